package race

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The tests in this file stop calls halfway, by locks that they hold, to look where the calls wait and to let them go on in an
// order of the test's choice. What the races find by chance, these tests do every time.

// lockHolder is a transaction of a test, and what it holds.
type lockHolder struct {
	pgx.Tx
	w    *world
	q    *store.Queries
	free func() // gives the connection back; nil once it has been
}

// holdingRows begins a transaction and runs a statement in it.
func (w *world) holdingRows(sql string, args ...any) *lockHolder {
	w.Helper()
	h := w.transaction()
	_, err := h.Exec(w.Ctx, sql, args...)
	w.OK(err)
	return h
}

// transaction begins a transaction for calls.
func (w *world) transaction() *lockHolder {
	w.Helper()
	conn, err := w.Pool.Acquire(w.Ctx)
	w.OK(err)
	tx, err := conn.Begin(w.Ctx)
	w.OK(err)
	h := &lockHolder{tx, w, w.Q.WithTx(tx), conn.Release}
	w.Cleanup(func() {
		if h.free != nil {
			tx.Rollback(context.WithoutCancel(w.Ctx))
			h.free()
		}
	})
	return h
}

func (h *lockHolder) release() {
	h.w.Helper()
	h.w.OK(h.Rollback(h.w.Ctx))
	h.free()
	h.free = nil
}

// startedCall is a call that runs beside the test.
type startedCall struct {
	w    *world
	name string
	pid  string // an expression
	done chan error
	err  error
	over bool
}

// starts lets a call run on a connection of its own.
func (w *world) starts(name string, call func(q *store.Queries) error) *startedCall {
	w.Helper()
	return w.startsOn(name, func(tx pgx.Tx) error { return call(store.New(tx)) }, true)
}

// startsOn lets work run in a transaction of its own, which is committed or undone after it.
func (w *world) startsOn(name string, work func(tx pgx.Tx) error, commit bool) *startedCall {
	w.Helper()
	conn, err := w.Pool.Acquire(w.Ctx)
	w.OK(err)
	c := &startedCall{w: w, name: name, pid: w.Backend(conn.Conn()), done: make(chan error, 1)}
	go func() {
		defer conn.Release()
		tx, err := conn.Begin(w.Ctx)
		if err == nil {
			if err = work(tx); err == nil && commit {
				err = tx.Commit(w.Ctx)
			} else {
				err = errors.Join(err, tx.Rollback(w.Ctx))
			}
		}
		c.done <- err
	}()
	return c
}

// ended says whether the call has returned.
func (c *startedCall) ended() bool {
	select {
	case c.err = <-c.done:
		c.over = true
	default:
	}
	return c.over
}

// waits says for a row of which table the call waits, or "" once it has returned. For a row lock a backend queues by a lock of
// type tuple, which it holds, or waits for, while it waits for the transaction that has the row.
func (c *startedCall) waits() string {
	c.w.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if c.ended() {
			return ""
		}
		var blocked bool
		var table *string
		c.w.OK(c.w.Pool.QueryRow(c.w.Ctx, `
			SELECT coalesce(cardinality(pg_blocking_pids(b.pid)) > 0, false),
				(SELECT l.relation::regclass::text FROM pg_locks AS l WHERE l.pid = b.pid AND l.locktype = 'tuple' LIMIT 1)
			FROM (SELECT `+c.pid+` AS pid) AS b`).Scan(&blocked, &table))
		if blocked && table != nil {
			return strings.Trim(*table, `"`)
		}
	}
	c.w.Fatalf("%s neither waits for a row nor returns", c.name)
	return ""
}

// wantWaiting fails the test unless the call waits for a row of a table.
func (c *startedCall) wantWaiting(table string) {
	c.w.Helper()
	if at := c.waits(); at != table {
		c.w.Fatalf("%s waits at %q, want %q; its error: %v", c.name, at, table, c.err)
	}
}

// returns waits for the call to return.
func (c *startedCall) returns() error {
	c.w.Helper()
	if !c.over {
		select {
		case c.err = <-c.done:
			c.over = true
		case <-time.After(20 * time.Second):
			c.w.Fatalf("%s does not return", c.name)
		}
	}
	return c.err
}

// succeeds waits for the call to return, without an error.
func (c *startedCall) succeeds() {
	c.w.Helper()
	c.w.Raced(c.name, c.returns())
}

// isDeadlock says whether an error is that of the one whom PostgreSQL chose to resolve a deadlock.
func isDeadlock(err error) bool {
	e, found := errors.AsType[*pgconn.PgError](err)
	return found && e.Code == "40P01"
}

// TestLockOrderOfEachCall holds the rows of each table and lets go of one table after the other, whenever the call has come to wait for
// it: the call waits first for the first table in the order, and so on. What it waits for last, it locks last.
func TestLockOrderOfEachCall(t *testing.T) {
	t.Parallel()
	const (
		user, client, session, refresh, family, polled, consent, access, known = "user", "oauth_client", "session", "oauth_refresh_token", "oauth_authorization", "oauth_polled_request", "oauth_consent", "oauth_access_token", "session_client"
	)
	// What is a user's own comes after the user, and a code before its attempts; nobody who has one of these waits for a token.
	order := []string{user, client, session, refresh, access, family, polled, consent, known, "passkey", "totp", "recovery_code", "one_time_code", "attempt_count"}
	w := newRaceWorld(t, len(order)+4)
	s := w.newScene(true, false)
	w.Exec(`UPDATE oauth_client SET user_id = $1 WHERE client_id = $2`, s.user, s.client)
	w.Exec(`UPDATE oauth_authorization SET request_uri = $2, request_uri_expires_at = now() + interval '1 hour' WHERE id = $1`, s.pending, string(fixture.Digest("uri")))
	w.Exec(`INSERT INTO oauth_authorization (id, client_id, kind, scopes, expires_at) VALUES ('dead', $1, 'device', '{}', now())`, s.client)
	w.Exec(`INSERT INTO oauth_polled_request (id, code, user_code, expires_at, poll_interval) VALUES ('dead', $1, $1, now(), '5 seconds')`, string(fixture.Digest("dead")))
	again := w.newScene(true, false)
	w.does(w.Q.PollDeviceCode(w.Ctx, again.poll(again.device, "first")))
	spent := fixture.Unique("spent")
	spentID := fixture.Unique("r")
	w.Exec(foreignRefresh, spentID, fixture.Digest(spent), s.client, s.session, s.user, s.tenant, s.scopes(), fixture.Unique("ba"))
	w.Exec(foreignSpend, spentID)
	w.Exec(`INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid, due_at, lease, lease_expires_at) SELECT 'delivery', 'gone', client_id, $2, 'sub', 'gone', now(), 'lease', now() FROM oauth_client WHERE client_id = $1`, s.client, s.user)
	subject, key, app := fixture.Digest("subject"), store.PasskeyID("key"), store.TOTPID("app")
	for _, sql := range []string{
		`INSERT INTO passkey (id, user_id, public_key) VALUES ('key', '` + string(s.user) + `', '')`,
		`INSERT INTO totp (id, user_id, secret) VALUES ('app', '` + string(s.user) + `', '')`,
		`INSERT INTO recovery_code (user_id, digest) VALUES ('` + string(s.user) + `', '` + string(subject) + `')`,
		`INSERT INTO one_time_code (purpose, subject, digest, expires_at) VALUES ('x', '` + string(subject) + `', '` + string(subject) + `', now() + interval '1 hour')`,
		`INSERT INTO attempt_count (purpose, subject, attempts, resets_at) VALUES ('x', '` + string(subject) + `', 1, now() + interval '1 hour')`,
	} {
		w.Exec(sql)
	}
	_, initial := w.initialToken(8)
	w.Exec(`UPDATE oauth_client SET registration_access_token = $2, previous_registration_access_token = $2 WHERE client_id = $1`, s.client, string(fixture.Digest("managed")))
	w.does(w.Q.PutClientDocument(w.Ctx, store.PutClientDocumentParams{ID: store.NewOAuthClientID(), ClientID: "https://app.example/document", DocumentClientID: new("https://app.example/document"), DocumentETag: new("v1"), FetchedAt: time.Now().Add(-time.Minute), FreshFor: time.Hour, RedirectURIs: []string{fixture.RedirectURI}}))
	type lockCase struct {
		call string
		want []string
		do   func(c conn) error
	}
	cases := []lockCase{
		{"CreateAuthorization", []string{client}, func(c conn) error {
			_, err := store.New(c).CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{ID: store.NewAuthorizationID(), ClientID: s.client, RedirectURI: new("https://a.example/"), ResponseType: new("code"), Scopes: []string{"openid"}, DefaultScopes: fixture.Scopes, CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), Lifetime: time.Minute})
			return err
		}},
		{"TakeAuthorizationByRequestURI", []string{family}, func(c conn) error {
			_, err := store.New(c).TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{RequestURI: fixture.Digest("uri"), ClientID: s.client, Lifetime: time.Minute})
			return err
		}},
		{"FindAuthorizationByRequestURI", []string{family}, func(c conn) error {
			_, err := store.New(c).FindAuthorizationByRequestURI(w.Ctx, store.FindAuthorizationByRequestURIParams{RequestURI: fixture.Digest("uri"), ClientID: s.client, Lifetime: time.Minute})
			return err
		}},
		{"DenyAuthorization", []string{family}, func(c conn) error {
			_, err := store.New(c).DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: s.pending})
			return err
		}},
		{"CreateDeviceAuthorization", []string{client, polled}, func(c conn) error {
			_, err := store.New(c).CreateDeviceAuthorization(w.Ctx, store.CreateDeviceAuthorizationParams{
				ID: store.NewAuthorizationID(), ClientID: s.client, ClientAuthMethod: "verified", DeviceCode: fixture.Digest("device"), UserCode: fixture.Digest("dead"), Lifetime: time.Minute,
			})
			return err
		}},
		{"CreateBackchannelAuthentication", []string{user, client}, func(c conn) error {
			_, err := store.New(c).CreateBackchannelAuthentication(w.Ctx, store.CreateBackchannelAuthenticationParams{
				ID: store.NewAuthorizationID(), ClientID: s.client, ClientAuthMethod: "verified", UserID: s.user, AuthReqID: fixture.Digest("req"), Lifetime: time.Minute,
			})
			return err
		}},
		{"FindAuthorizationByUserCode", []string{user, session, family}, func(c conn) error {
			_, err := store.New(c).FindAuthorizationByUserCode(w.Ctx, store.FindAuthorizationByUserCodeParams{UserCode: fixture.Digest(userCode(s.asking)), UserID: s.user, SessionID: &s.session})
			return err
		}},
		{"PollDeviceCode of a request that waits", []string{polled}, func(c conn) error {
			_, err := store.New(c).PollDeviceCode(w.Ctx, s.poll(s.asking, "at"))
			return err
		}},
		{"PollDeviceCode retried", []string{user, client, session, refresh, family}, func(c conn) error {
			r, err := store.New(c).PollDeviceCode(w.Ctx, again.poll(again.device, "at"))
			if err == nil && r.Outcome != store.OutcomeRetried {
				err = errors.New(string(r.Outcome))
			}
			return err
		}},
		{"RotateRefreshToken of one that another server spent", []string{user, client, session, refresh, family}, func(c conn) error {
			r, err := store.New(c).RotateRefreshToken(w.Ctx, s.rotation(spent, "next", "at"))
			if err == nil && r.Outcome != store.OutcomeReplayed {
				err = errors.New(string(r.Outcome))
			}
			return err
		}},
		{"UpdateUser", []string{user}, func(c conn) error {
			_, err := store.New(c).UpdateUser(w.Ctx, store.UpdateUserParams{ID: s.user, Name: new("Bob")})
			return err
		}},
		{"UpdateClient", []string{client}, func(c conn) error {
			_, err := store.New(c).UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: s.client, Name: new("Bob")})
			return err
		}},
		{"ReplaceForeignSecretHash", []string{client}, func(c conn) error {
			_, err := store.New(c).ReplaceForeignSecretHash(w.Ctx, store.ReplaceForeignSecretHashParams{ClientID: s.client, ForeignSecretHash: "$1$x", ClientSecret: fixture.Digest("new")})
			return err
		}},
		{"RotateSigningKeyIfDue", nil, func(c conn) error {
			_, err := store.New(c).RotateSigningKeyIfDue(w.Ctx, store.RotateSigningKeyIfDueParams{ID: "new", PrivateKey: "x", Alg: "ES256", MaxAge: time.Hour})
			return err
		}},
		{"RetireReplacedSigningKeys", nil, func(c conn) error {
			_, err := store.New(c).RetireReplacedSigningKeys(w.Ctx, store.RetireReplacedSigningKeysParams{Alg: "ES256", Lifetime: time.Hour})
			return err
		}},
		{"RotateClientSecret", []string{client}, func(c conn) error {
			_, err := store.New(c).RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: s.client, ClientSecret: fixture.Digest("new"), Overlap: time.Minute, Lifetime: store.Never})
			return err
		}},
		{"ClaimLogoutDeliveries", nil, func(c conn) error {
			_, err := store.New(c).ClaimLogoutDeliveries(w.Ctx, store.ClaimLogoutDeliveriesParams{PageSize: 10, LeaseLifetime: time.Minute})
			return err
		}},
		{"FinishLogoutDelivery", []string{known}, func(c conn) error {
			r, err := store.New(c).FinishLogoutDelivery(w.Ctx, store.FinishLogoutDeliveryParams{ID: "delivery", Lease: "lease", Delivered: true})
			if err == nil && r.Outcome != store.OutcomeDelivered {
				err = errors.New(string(r.Outcome))
			}
			return err
		}},
		{"CreatePasskey", []string{user}, func(c conn) error {
			_, err := store.New(c).CreatePasskey(w.Ctx, store.CreatePasskeyParams{ID: "another", UserID: s.user, PublicKey: "x"})
			return err
		}},
		{"UsePasskey", []string{"passkey"}, func(c conn) error {
			_, err := store.New(c).UsePasskey(w.Ctx, store.UsePasskeyParams{ID: key, SignCount: 1})
			return err
		}},
		{"DeletePasskey", []string{"passkey"}, func(c conn) error {
			_, err := store.New(c).DeletePasskey(w.Ctx, store.DeletePasskeyParams{ID: key, UserID: s.user})
			return err
		}},
		{"CreateTOTP", []string{user}, func(c conn) error {
			_, err := store.New(c).CreateTOTP(w.Ctx, store.CreateTOTPParams{ID: "another", UserID: s.user, Secret: "x"})
			return err
		}},
		{"UseTOTP", []string{"totp"}, func(c conn) error {
			_, err := store.New(c).UseTOTP(w.Ctx, store.UseTOTPParams{ID: app, UserID: s.user, Steps: []int64{1}})
			return err
		}},
		{"DeleteTOTP", []string{"totp"}, func(c conn) error {
			_, err := store.New(c).DeleteTOTP(w.Ctx, store.DeleteTOTPParams{ID: app, UserID: s.user})
			return err
		}},
		{"UseRecoveryCode", []string{"recovery_code"}, func(c conn) error {
			_, err := store.New(c).UseRecoveryCode(w.Ctx, store.UseRecoveryCodeParams{UserID: s.user, Digest: subject})
			return err
		}},
		{"ReplaceRecoveryCodes", []string{user, "recovery_code"}, func(c conn) error {
			_, err := store.New(c).ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{UserID: s.user, Digests: token.Digests{subject}})
			return err
		}},
		{"DeleteRecoveryCodes", []string{user, "recovery_code"}, func(c conn) error {
			_, err := store.New(c).DeleteRecoveryCodes(w.Ctx, s.user)
			return err
		}},
		{"CreateOneTimeCode", []string{"one_time_code"}, func(c conn) error {
			_, err := store.New(c).CreateOneTimeCode(w.Ctx, store.CreateOneTimeCodeParams{Purpose: "x", Subject: subject, Digest: subject, Lifetime: time.Minute})
			return err
		}},
		{"RedeemOneTimeCode", []string{"one_time_code", "attempt_count"}, func(c conn) error {
			_, err := store.New(c).RedeemOneTimeCode(w.Ctx, store.RedeemOneTimeCodeParams{Purpose: "x", Subject: subject, Digest: subject, MaxAttempts: 5, AttemptWindow: time.Minute})
			return err
		}},
		{"CountAttempt", []string{"attempt_count"}, func(c conn) error {
			_, err := store.New(c).CountAttempt(w.Ctx, store.CountAttemptParams{Purpose: "x", Subject: subject, MaxAttempts: 5, AttemptWindow: time.Minute})
			return err
		}},
		{"ResetAttempts", []string{"attempt_count"}, func(c conn) error {
			_, err := store.New(c).ResetAttempts(w.Ctx, store.ResetAttemptsParams{Purpose: "x", Subject: subject})
			return err
		}},
		{"RegisterClient", []string{user}, func(c conn) error {
			p := registration(initial)
			p.UserID = &s.user
			_, err := store.New(c).RegisterClient(w.Ctx, p)
			return err
		}},
		{"UpdateRegistration", []string{client}, func(c conn) error {
			_, err := store.New(c).UpdateRegistration(w.Ctx, store.UpdateRegistrationParams{ClientID: s.client, RegistrationAccessToken: fixture.Digest("managed"), RedirectURIs: []string{fixture.RedirectURI}, TokenEndpointAuthMethod: new("none")})
			return err
		}},
		{"FindClientByRegistrationToken", []string{client}, func(c conn) error {
			_, err := store.New(c).FindClientByRegistrationToken(w.Ctx, store.FindClientByRegistrationTokenParams{ClientID: s.client, RegistrationAccessToken: fixture.Digest("managed")})
			return err
		}},
		{"DeleteRegistration", []string{client}, func(c conn) error {
			_, err := store.New(c).DeleteRegistration(w.Ctx, store.DeleteRegistrationParams{ClientID: s.client, RegistrationAccessToken: fixture.Digest("managed")})
			return err
		}},
		{"PutClientDocument", []string{client}, func(c conn) error {
			_, err := store.New(c).PutClientDocument(w.Ctx, store.PutClientDocumentParams{ID: store.NewOAuthClientID(), ClientID: "https://app.example/document", DocumentClientID: new("https://app.example/document"), DocumentETag: new("v1"), FetchedAt: time.Now(), FreshFor: time.Hour, RedirectURIs: []string{fixture.RedirectURI}})
			return err
		}},
		{"RefreshClientDocument", []string{client}, func(c conn) error {
			_, err := store.New(c).RefreshClientDocument(w.Ctx, store.RefreshClientDocumentParams{ClientID: "https://app.example/document", DocumentETag: "v1", FetchedAt: time.Now(), FreshFor: time.Hour})
			return err
		}},
		{"ReinstateUser", nil, func(c conn) error { _, err := store.New(c).ReinstateUser(w.Ctx, s.user); return err }},
	}
	grants := map[string][]string{
		"ApproveAuthorization": {user, client, session, family}, "ApproveAuthorization retried": {user, client, session, family},
		"IssueAuthorizationCode": {family}, "GrantAuthorization": {user, client, session}, "IssueGrant": {user, client, session}, "RedeemAuthorizationCode": {user, client, session, family},
		"PollDeviceCode":     {user, client, session, family, polled},
		"RotateRefreshToken": {user, client, session, refresh, family}, "RotateRefreshToken retried": {user, client, session, refresh, family},
		"RedeemAuthorizationCode without a row": {user, client, session, family}, "RotateRefreshToken retried without a row": {user, client, session, refresh},
		foreignRotatedByUs: {user, client, session, refresh, family},
		"ExchangeToken":    {user, client, session, access, family}, "ExchangeToken by another client": {user, client, session, access, family},
		"IssueTokenByAssertion": {user, client},
		"IssueAccessToken":      {client}, "GrantConsent": {user, client, consent}, "CreateSession": {user}, "CreateSession with a maximum": {user, session},
		"ExtendSession": {session}, "ReauthenticateSession": {session}, "another server's session": {user},
		"another server's refresh token": {user, client, session}, "another server's access token": {user, client, session}, "another server's tokens": {user, client, session},
		"another server's rotation": {refresh, user, client, session, family}, "another server's rotation of ours": {refresh, user, client, session, family},
	}
	for i := range grantActs {
		g := &grantActs[i]
		cases = append(cases, lockCase{g.name, grants[g.name], func(c conn) error {
			got, err := g.run(w.Ctx, c, s)
			if err == nil && got.outcome != g.want {
				err = errors.New(string(got.outcome))
			}
			return err
		}})
	}
	ends := map[string][]string{
		"RevokeAuthorization": {family}, "RevokeToken of a refresh token": {family}, "RevokeToken of an access token": {access}, "EndSession": {session},
		"EndUserSessions": {user}, "EndUserSessions but another": {user, session}, "EndUserSessions but this one": {user, session},
		"RevokeUserAuthorizations": {user}, "RevokeUserAuthorizationsByClient": {user}, "WithdrawConsent": {user}, "RevokeClientAuthorizations": {client},
		"SuspendUser": {user}, "DeleteUser": {user, client}, "DisableClient": {client}, "DeleteClient": {client},
	}
	for i := range endActs {
		if e := &endActs[i]; !e.deletes {
			cases = append(cases, lockCase{e.name, ends[e.name], func(c conn) error { _, err := e.run(w.Ctx, c, s, s.at); return err }})
		}
	}
	for name, collect := range collectors { // they wait for nobody
		cases = append(cases, lockCase{name, nil, func(c conn) error { _, err := collect(w.Ctx, store.New(c)); return err }})
	}
	for _, c := range cases {
		t.Run(c.call, func(t *testing.T) {
			w := &world{w.ForSubtest(t)}
			held := map[string]*lockHolder{}
			for _, table := range order {
				held[table] = w.holdingRows(`SELECT FROM "` + table + `" FOR UPDATE`)
			}
			call := w.startsOn(c.call, func(tx pgx.Tx) error { return c.do(tx) }, false)
			var got []string
			for at := call.waits(); at != ""; at = call.waits() {
				if got = append(got, at); held[at] == nil || slices.Index(got, at) < len(got)-1 {
					t.Fatalf("waits at %v", got)
				}
				held[at].release()
			}
			w.Raced(c.call, call.err)
			if !slices.Equal(got, c.want) {
				t.Errorf("waits at %v, want %v", got, c.want)
			}
			if !strings.HasPrefix(c.call, "another server's rotation") && !slices.IsSortedFunc(got, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }) {
				t.Errorf("waits at %v, in another order than %v", got, order)
			}
			for table, h := range held {
				if !slices.Contains(got, table) {
					h.release()
				}
			}
		})
	}
}

// TestLockOrderParentsFirst keeps the reason why parents come first: deleting a session by hand locks it, and then its foreign keys want the
// families and tokens. A call that begins with the token meets that head-on; RotateRefreshToken doesn't.
func TestLockOrderParentsFirst(t *testing.T) {
	t.Parallel()
	t.Run("the token and then the session deadlock", func(t *testing.T) {
		t.Parallel()
		w := newLockWorld(t, 5)
		s := w.newScene(true, false)
		one := w.holdingRows(`UPDATE oauth_refresh_token SET updated_at = now() WHERE id = $1`, s.at.refreshID)
		two := w.startsOn("DELETE", func(tx pgx.Tx) error {
			_, err := tx.Exec(w.Ctx, `DELETE FROM session WHERE id = $1`, s.session)
			return err
		}, true)
		two.wantWaiting("oauth_refresh_token")
		_, err := one.Exec(w.Ctx, `SELECT FROM session WHERE id = $1 FOR KEY SHARE`, s.session)
		one.release()
		if isDeadlock(err) == isDeadlock(two.returns()) {
			t.Errorf("errors %v and %v, want one deadlock", err, two.err)
		}
	})
	t.Run("RotateRefreshToken waits for the session and holds nothing that its DELETE wants", func(t *testing.T) {
		t.Parallel()
		w := newRaceWorld(t, 5)
		s := w.newScene(true, false)
		held := w.holdingRows(`SELECT FROM oauth_refresh_token WHERE id = $1 FOR UPDATE`, s.at.refreshID)
		del := w.startsOn("DELETE", func(tx pgx.Tx) error {
			_, err := tx.Exec(w.Ctx, `DELETE FROM session WHERE id = $1`, s.session)
			return err
		}, true)
		del.wantWaiting("oauth_refresh_token")
		rotate := w.starts("RotateRefreshToken", func(q *store.Queries) error {
			_, err := q.RotateRefreshToken(w.Ctx, s.rotation(s.at.refresh, "next", "at"))
			return err
		})
		rotate.wantWaiting("session")
		held.release()
		del.succeeds()
		rotate.succeeds()
		w.WantDead(s.at.refresh, "next", "at")
	})
}
