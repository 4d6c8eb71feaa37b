package race

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
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

func (h *lockHolder) commit() {
	h.w.Helper()
	h.w.OK(h.Commit(h.w.Ctx))
	h.free()
	h.free = nil
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
	pid  uint32
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
	c := &startedCall{w: w, name: name, pid: conn.Conn().PgConn().PID(), done: make(chan error, 1)}
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
			SELECT cardinality(pg_blocking_pids($1)) > 0,
				(SELECT l.relation::regclass::text FROM pg_locks AS l WHERE l.pid = $1 AND l.locktype = 'tuple' LIMIT 1)`,
			c.pid).Scan(&blocked, &table))
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

// TestLockOrderOfEachCall holds the rows of each table and lets go of one table after the other, whenever the call has come to wait
// for it: the call waits first for the first table in the order, and so on. What it waits for last, it locks last.
func TestLockOrderOfEachCall(t *testing.T) {
	t.Parallel()
	const (
		user, client, session, family, refresh, access = "user", "oauth_client", "session", "oauth_authorization", "oauth_refresh_token", "oauth_access_token"
	)
	// Consents have no place in the order: whoever reaches one holds its user or its client.
	const consent = "oauth_consent"
	order := []string{user, client, session, family, refresh, access}
	w := newRaceWorld(t, len(order)+4)
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"openid"} })
	granted, code := w.Grant()
	pending, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
		ID: store.NewAuthorizationID(), ClientID: w.Client, Scopes: []string{"openid"}, RequestURI: new(fixture.Digest("uri")), Lifetime: time.Minute,
	})
	w.OK(err)
	stray, spent := fixture.Unique("rt-stray"), fixture.Unique("rt-spent")
	id := w.ForeignRefreshToken(stray)
	w.ForeignAccessToken(fixture.Unique("at-stray"), &id)
	w.Exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE id = $1`, w.ForeignRefreshToken(spent))
	_, err = w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}})
	w.OK(err)

	rotate := func(presented string) func(q *store.Queries) error {
		return func(q *store.Queries) error {
			p, _ := w.RotateParams(presented)
			_, err := q.RotateRefreshToken(w.Ctx, p)
			return err
		}
	}
	revoke := func(raw string) func(q *store.Queries) error {
		return func(q *store.Queries) error {
			_, err := q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(raw), ClientID: w.Client})
			return err
		}
	}
	for _, c := range []struct {
		call string
		want []string
		do   func(q *store.Queries) error
	}{
		{"CreateAuthorization", []string{client}, func(q *store.Queries) error {
			_, err := q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
				ID: store.NewAuthorizationID(), ClientID: w.Client, Scopes: []string{"openid"}, Lifetime: time.Minute,
			})
			return err
		}},
		{"TakeAuthorizationByRequestURI", []string{family}, func(q *store.Queries) error {
			_, err := q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{RequestURI: fixture.Digest("uri"), ClientID: w.Client, Lifetime: time.Minute})
			return err
		}},
		{"ApproveAuthorization", []string{user, client, session, family}, func(q *store.Queries) error {
			_, err := q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
				ID: pending.ID, UserID: w.User, SessionID: &w.Session, GrantedScopes: []string{"openid"}, CodeLifetime: time.Minute,
			})
			return err
		}},
		{"DenyAuthorization", []string{family}, func(q *store.Queries) error { _, err := q.DenyAuthorization(w.Ctx, pending.ID); return err }},
		{"IssueAuthorizationCode", []string{family}, func(q *store.Queries) error {
			_, err := q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: granted, Code: fixture.Digest("other"), CodeLifetime: time.Minute})
			return err
		}},
		{"GrantAuthorization", []string{user, client, session}, func(q *store.Queries) error {
			_, err := q.GrantAuthorization(w.Ctx, w.GrantParams(fixture.Unique("code")))
			return err
		}},
		{"RedeemAuthorizationCode", []string{user, client, session, family}, func(q *store.Queries) error {
			_, err := q.RedeemAuthorizationCode(w.Ctx, w.RedeemParams(code))
			return err
		}},
		{"IssueAccessToken", []string{client}, func(q *store.Queries) error {
			_, err := q.IssueAccessToken(w.Ctx, store.IssueAccessTokenParams{ClientID: w.Client, ID: store.NewAccessTokenID(), Scopes: []string{"api"}})
			return err
		}},
		{"RotateRefreshToken", []string{user, client, session, family, refresh}, rotate(k.Refresh)},
		{"RotateRefreshToken without a family", []string{user, client, session, refresh, access}, rotate(stray)},
		{"RotateRefreshToken reuse", []string{user, client, session, refresh, access}, rotate(spent)},
		{"RevokeToken access token", []string{access}, revoke(k.Access)},
		{"RevokeToken refresh token", []string{family}, revoke(k.Refresh)},
		{"RevokeToken without a family", []string{user, client, session, refresh, access}, revoke(stray)},
		{"RevokeAuthorization", []string{family}, func(q *store.Queries) error {
			_, err := q.RevokeAuthorization(w.Ctx, k.Authorization)
			return err
		}},
		{"RevokeUserAuthorizations", []string{user, client, session, family, refresh, access}, func(q *store.Queries) error {
			_, err := q.RevokeUserAuthorizations(w.Ctx, store.RevokeUserAuthorizationsParams{UserID: w.User})
			return err
		}},
		{"RevokeClientAuthorizations", []string{client, session, family, refresh, access}, func(q *store.Queries) error {
			_, err := q.RevokeClientAuthorizations(w.Ctx, w.Client)
			return err
		}},
		{"GrantConsent", []string{user, client, consent}, func(q *store.Queries) error {
			_, err := q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Scopes: []string{"email"}, Merge: true})
			return err
		}},
		{"WithdrawConsent", []string{user, client, session, consent, family, refresh, access}, func(q *store.Queries) error {
			_, err := q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: w.Client})
			return err
		}},
		{"ExtendSession", []string{session}, func(q *store.Queries) error {
			_, err := q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: 2 * time.Hour})
			return err
		}},
		{"EndSession", []string{user, client, session, family, refresh, access}, func(q *store.Queries) error {
			_, err := q.EndSession(w.Ctx, w.Session)
			return err
		}},
		{"EndUserSessions", []string{user, client, session, family, refresh, access}, func(q *store.Queries) error {
			_, err := q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User})
			return err
		}},
		{"UpdateUser", []string{user}, func(q *store.Queries) error {
			_, err := q.UpdateUser(w.Ctx, store.UpdateUserParams{ID: w.User, Email: new("other@example.com")})
			return err
		}},
		{"DisableClient", []string{client}, func(q *store.Queries) error { _, err := q.DisableClient(w.Ctx, w.Client); return err }},
		// The cascade goes from family to tokens, and access tokens refer to refresh tokens too.
		{"DeleteClient", []string{client, session, family, refresh, access, consent}, func(q *store.Queries) error { _, err := q.DeleteClient(w.Ctx, w.Client); return err }},
		{"DeleteUser", []string{user, client, session, family, refresh, access, consent}, func(q *store.Queries) error { _, err := q.DeleteUser(w.Ctx, w.User); return err }},
	} {
		t.Run(c.call, func(t *testing.T) {
			w := *w
			w.TB = t
			held := map[string]*lockHolder{}
			for _, table := range append(order, consent) {
				held[table] = w.holdingRows(`SELECT FROM "` + table + `" FOR UPDATE`)
			}
			call := w.startsOn(c.call, func(tx pgx.Tx) error { return c.do(store.New(tx)) }, false)
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
			got = slices.DeleteFunc(got, func(table string) bool { return table == consent })
			if !slices.IsSortedFunc(got, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }) {
				t.Errorf("waits at %v, in another order than %v", got, order)
			}
			for table, h := range held {
				if !slices.Contains(c.want, table) {
					h.release()
				}
			}
		})
	}
}

// TestLockOrderCollectorsWaitForNobody: whoever holds a row, a collector and a batch that adopts go by, and come back later.
func TestLockOrderCollectorsWaitForNobody(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	w.Redeem()
	id := w.ForeignRefreshToken(fixture.Unique("rt-stray"))
	w.ForeignAccessToken(fixture.Unique("at-stray"), &id)
	adopt := func() (int64, error) {
		row, err := w.Q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 10})
		return row.Adopted, err
	}
	for _, rows := range []string{`"user"`, `oauth_client`, `session`, `oauth_refresh_token`} {
		held := w.holdingRows(`SELECT FROM ` + rows + ` FOR UPDATE`)
		call := w.starts("AdoptRefreshTokens", func(q *store.Queries) error {
			row, err := q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 10})
			n := row.Adopted
			if n > 0 {
				t.Errorf("AdoptRefreshTokens adopted %d tokens while %s was held", n, rows)
			}
			return err
		})
		if at := call.waits(); at != "" {
			t.Errorf("AdoptRefreshTokens waits for %s", at)
		}
		held.release()
		call.succeeds()
	}
	if n, err := adopt(); !w.Raced("AdoptRefreshTokens", err) || n != 1 {
		t.Errorf("AdoptRefreshTokens adopted %d tokens, want 1", n)
	}

	w.ForeignRefreshToken(fixture.Unique("rt-stray"))
	for _, table := range []string{"session", "oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
		w.Exec(`UPDATE ` + table + ` SET expires_at = now()`)
	}
	calls := raceCollectors(w)
	for i, rows := range []string{"oauth_access_token", "oauth_refresh_token", "oauth_authorization", "session"} {
		name := slices.Sorted(maps.Keys(calls))[i]
		for _, holding := range []string{`SELECT FROM ` + rows + ` FOR KEY SHARE`, `SELECT FROM ` + rows + ` FOR NO KEY UPDATE`} {
			held := w.holdingRows(holding)
			call := w.startsOn(name, func(pgx.Tx) error {
				n, err := calls[name](10)
				if n > 0 {
					t.Errorf("%s took %d rows that were held", name, n)
				}
				return err
			}, true)
			select {
			case err := <-call.done:
				w.Raced(name, err)
			case <-time.After(10 * time.Second):
				t.Errorf("%s waits", name)
			}
			held.release()
		}
		if n, err := calls[name](10); !w.Raced(name, err) || n == 0 {
			t.Errorf("%s took nothing", name)
		}
	}
}

// TestLockOrderFamilyBeforeToken keeps the reason why a family comes before its tokens, and all their parents before both. Deleting a
// session or a user locks that row, and then its foreign keys want authorizations and tokens. A call that locked the token first,
// as one would who begins with what the client presents, meets that head-on.
func TestLockOrderFamilyBeforeToken(t *testing.T) {
	t.Parallel()
	deadlock := func(t *testing.T, first, then string) {
		t.Helper()
		w := newLockWorld(t, 4)
		w.Redeem()
		rotation := w.holdingRows(first)
		end := w.startsOn("DELETE FROM session", func(tx pgx.Tx) error {
			_, err := tx.Exec(w.Ctx, `DELETE FROM session`)
			return err
		}, true)
		end.wantWaiting("oauth_refresh_token") // and it holds the session and the family
		_, err := rotation.Exec(w.Ctx, then)
		rotation.release()
		other := end.returns()
		if isDeadlock(err) == isDeadlock(other) {
			t.Errorf("the rotation's error: %v, the session's: %v; want one deadlock", err, other)
		}
	}
	const token, family, session = `SELECT FROM oauth_refresh_token FOR NO KEY UPDATE`, `SELECT FROM oauth_authorization FOR NO KEY UPDATE`, `SELECT FROM session FOR KEY SHARE`
	t.Run("the token and then the family deadlock", func(t *testing.T) {
		t.Parallel()
		deadlock(t, token, family)
	})
	t.Run("the token and then the session deadlock", func(t *testing.T) {
		t.Parallel()
		deadlock(t, token, session)
	})
	t.Run("RotateRefreshToken waits for the session and holds nothing that its end wants", func(t *testing.T) {
		t.Parallel()
		w := newRaceWorld(t, 4)
		k := w.Redeem()
		held := w.holdingRows(token)
		end := w.startsOn("DELETE FROM session", func(tx pgx.Tx) error {
			_, err := tx.Exec(w.Ctx, `DELETE FROM session`)
			return err
		}, true)
		end.wantWaiting("oauth_refresh_token")
		var row store.RotateRefreshTokenRow
		rotation := w.starts("RotateRefreshToken", func(q *store.Queries) (err error) {
			p, _ := w.RotateParams(k.Refresh)
			row, err = q.RotateRefreshToken(w.Ctx, p)
			return err
		})
		rotation.wantWaiting("session")
		held.release()
		end.succeeds()
		rotation.succeeds()
		if row.Outcome != store.RotationOutcomeRotated || row.SessionID != nil {
			t.Errorf("RotateRefreshToken: %s, session %v", row.Outcome, row.SessionID)
		}
		w.WantLive(fixture.SuccessorOf(k.Refresh))
	})
}

// TestLockOrderWaitersSeeTheWinner stops one call before its end, has another wait for it, and looks what that one makes of it.
func TestLockOrderWaitersSeeTheWinner(t *testing.T) {
	t.Parallel()
	rotate := func(w *world, q *store.Queries, refresh string) (store.RotateRefreshTokenRow, error) {
		p, _ := w.RotateParams(refresh)
		return q.RotateRefreshToken(w.Ctx, p)
	}
	pending := func(w *world) store.AuthorizationID {
		a, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
			ID: store.NewAuthorizationID(), ClientID: w.Client, Scopes: []string{"openid"}, Lifetime: time.Minute,
		})
		w.OK(err)
		return a.ID
	}
	approve := func(w *world, q *store.Queries, id store.AuthorizationID) (store.ApproveAuthorizationRow, error) {
		return q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
			ID: id, UserID: w.User, SessionID: &w.Session, GrantedScopes: []string{"openid"}, CodeLifetime: time.Minute,
		})
	}
	wantReason := func(w *world, id store.AuthorizationID, want store.RevocationReason) {
		w.Helper()
		a, err := w.Q.GetAuthorization(w.Ctx, id)
		w.OK(err)
		if a.RevokedReason == nil || *a.RevokedReason != want {
			w.Errorf("revoked for %v, want %s", a.RevokedReason, want)
		}
	}
	for name, test := range map[string]func(w *world){
		"EndSession ends the approval that it waited for": func(w *world) {
			id := pending(w)
			first := w.transaction()
			_, err := approve(w, first.q, id)
			w.OK(err)
			var rows []store.EndSessionRow
			end := w.starts("EndSession", func(q *store.Queries) (err error) { rows, err = q.EndSession(w.Ctx, w.Session); return err })
			end.wantWaiting("user")
			first.commit()
			end.succeeds()
			if len(rows) != 1 || rows[0].AuthorizationID == nil || *rows[0].AuthorizationID != id || !rows[0].Revoked {
				w.Errorf("EndSession: %+v", rows)
			}
			wantReason(w, id, store.RevocationReasonSessionEnded)
		},
		"ApproveAuthorization finds no session after the EndSession that it waited for": func(w *world) {
			id := pending(w)
			first := w.transaction()
			_, err := first.q.EndSession(w.Ctx, w.Session)
			w.OK(err)
			second := w.starts("ApproveAuthorization", func(q *store.Queries) error { _, err := approve(w, q, id); return err })
			second.wantWaiting("user")
			first.commit()
			w.None(second.returns())
		},
		"a rotation gives the successor of the one that it waited for": func(w *world) {
			k := w.Redeem()
			first := w.transaction()
			one, err := rotate(w, first.q, k.Refresh)
			w.OK(err)
			var two store.RotateRefreshTokenRow
			second := w.starts("RotateRefreshToken", func(q *store.Queries) (err error) { two, err = rotate(w, q, k.Refresh); return err })
			second.wantWaiting("oauth_authorization")
			first.commit()
			second.succeeds()
			if two.Outcome != store.RotationOutcomeReplayed || *two.SuccessorID != *one.SuccessorID || *two.Successor != *one.Successor {
				w.Errorf("RotateRefreshToken: %+v after %+v", two, one)
			}
		},
		"a rotation rotates after the one that it waited for was undone": func(w *world) {
			k := w.Redeem()
			first := w.transaction()
			_, err := rotate(w, first.q, k.Refresh)
			w.OK(err)
			var two store.RotateRefreshTokenRow
			second := w.starts("RotateRefreshToken", func(q *store.Queries) (err error) { two, err = rotate(w, q, k.Refresh); return err })
			second.wantWaiting("oauth_authorization")
			first.release()
			second.succeeds()
			if two.Outcome != store.RotationOutcomeRotated {
				w.Errorf("RotateRefreshToken: %s", two.Outcome)
			}
			w.WantLive(fixture.SuccessorOf(k.Refresh))
		},
		"reuse ends the successor of the rotation that it waited for": func(w *world) {
			k := w.Redeem()
			w.Rotate(k.Refresh, store.RotationOutcomeRotated)
			current := fixture.SuccessorOf(k.Refresh)
			first := w.transaction()
			_, err := rotate(w, first.q, current)
			w.OK(err)
			var two store.RotateRefreshTokenRow
			second := w.starts("RotateRefreshToken", func(q *store.Queries) (err error) { two, err = rotate(w, q, k.Refresh); return err })
			second.wantWaiting("oauth_authorization")
			first.commit()
			second.succeeds()
			if two.Outcome != store.RotationOutcomeReused {
				w.Errorf("RotateRefreshToken: %s", two.Outcome)
			}
			w.WantDead(k.Access, fixture.SuccessorOf(current))
		},
		"a second redemption ends what the one that it waited for has issued": func(w *world) {
			id, code := w.Grant()
			first := w.transaction()
			_, err := first.q.RedeemAuthorizationCode(w.Ctx, w.RedeemParams(code))
			w.OK(err)
			var two store.RedeemAuthorizationCodeRow
			second := w.starts("RedeemAuthorizationCode", func(q *store.Queries) (err error) {
				two, err = q.RedeemAuthorizationCode(w.Ctx, w.RedeemParams(code))
				return err
			})
			second.wantWaiting("oauth_authorization")
			first.commit()
			second.succeeds()
			if two.Outcome != store.RedemptionOutcomeReplayed {
				w.Errorf("RedeemAuthorizationCode: %s", two.Outcome)
			}
			w.WantDead("at-"+code, "rt-"+code)
			wantReason(w, id, store.RevocationReasonCodeReplayed)
		},
		"a code is issued after the approval that it waited for": func(w *world) {
			id := pending(w)
			first := w.transaction()
			_, err := approve(w, first.q, id)
			w.OK(err)
			var row store.IssueAuthorizationCodeRow
			second := w.starts("IssueAuthorizationCode", func(q *store.Queries) (err error) {
				row, err = q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: id, Code: fixture.Digest("code"), CodeLifetime: time.Minute})
				return err
			})
			second.wantWaiting("oauth_authorization")
			first.commit()
			second.succeeds()
			if row.Outcome != store.CodeOutcomeIssued {
				w.Errorf("IssueAuthorizationCode: %s", row.Outcome)
			}
			p := w.RedeemParams("code")
			p.CodeChallenge, p.RedirectURI = nil, nil
			if r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p); !w.Raced("RedeemAuthorizationCode", err) || r.Outcome != store.RedemptionOutcomeRedeemed {
				w.Errorf("RedeemAuthorizationCode: %s", r.Outcome)
			}
		},
		"two retries of a token that another server spends meanwhile": func(w *world) {
			k := w.Redeem()
			other := w.transaction()
			_, err := other.Exec(w.Ctx, `UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1`, string(fixture.Digest(k.Refresh)))
			w.OK(err)
			first := w.starts("RotateRefreshToken", func(q *store.Queries) error { _, err := rotate(w, q, k.Refresh); return err })
			first.wantWaiting("oauth_refresh_token")
			second := w.starts("RotateRefreshToken", func(q *store.Queries) error { _, err := rotate(w, q, k.Refresh); return err })
			second.wantWaiting("oauth_authorization")
			other.commit()
			first.succeeds() // the user is locked FOR KEY SHARE by both, and by none FOR UPDATE
			second.succeeds()
			wantReason(w, k.Authorization, store.RevocationReasonRefreshTokenReused)
		},
		"a rotation moves along the family that a batch gave its token": func(w *world) {
			stray := fixture.Unique("rt-stray")
			w.ForeignRefreshToken(stray)
			first := w.transaction()
			row, err := first.q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 1})
			n := row.Adopted
			w.OK(err)
			if n != 1 {
				w.Fatalf("AdoptRefreshTokens: %d", n)
			}
			second := w.starts("RotateRefreshToken", func(q *store.Queries) error { _, err := rotate(w, q, stray); return err })
			second.wantWaiting("user")
			first.commit()
			second.succeeds()
			w.Rotate(stray, store.RotationOutcomeReplayed) // and by then it can see the family
			fixture.Invariants(w.World)
		},
		"deleting a client locks the session of the approval that it waited for": func(w *world) {
			k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.SessionID = nil })
			id := pending(w)
			first := w.transaction()
			_, err := approve(w, first.q, id)
			w.OK(err)
			second := w.starts("DeleteClient", func(q *store.Queries) error { _, err := q.DeleteClient(w.Ctx, w.Client); return err })
			second.wantWaiting("oauth_client")
			held := w.holdingRows(`SELECT FROM oauth_authorization WHERE id = $1 FOR KEY SHARE`, k.Authorization)
			first.commit()
			second.wantWaiting("oauth_authorization")
			end := w.startsOn("DELETE FROM session", func(tx pgx.Tx) error {
				_, err := tx.Exec(w.Ctx, `DELETE FROM session`)
				return err
			}, true)
			end.wantWaiting("session")
			held.release()
			second.succeeds()
			end.succeeds()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newRaceWorld(t, 5))
		})
	}
	// What another server issued is adopted by a call in flight, and the call that waits for it cannot see the family.
	for name, end := range map[string]struct {
		table string
		call  func(w *world, q *store.Queries, stray string) error
	}{
		"RevokeUserAuthorizations": {"user", func(w *world, q *store.Queries, _ string) error {
			_, err := q.RevokeUserAuthorizations(w.Ctx, store.RevokeUserAuthorizationsParams{UserID: w.User})
			return err
		}},
		"WithdrawConsent": {"user", func(w *world, q *store.Queries, _ string) error {
			_, err := q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: w.Client})
			return err
		}},
		"RevokeClientAuthorizations": {"oauth_client", func(w *world, q *store.Queries, _ string) error {
			_, err := q.RevokeClientAuthorizations(w.Ctx, w.Client)
			return err
		}},
		"RevokeToken": {"user", func(w *world, q *store.Queries, stray string) error {
			_, err := q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(stray), ClientID: w.Client})
			return err
		}},
		"EndSession": {"user", func(w *world, q *store.Queries, _ string) error {
			_, err := q.EndSession(w.Ctx, w.Session)
			return err
		}},
		"DeleteUser": {"user", func(w *world, q *store.Queries, _ string) error { _, err := q.DeleteUser(w.Ctx, w.User); return err }},
		"DeleteClient": {"oauth_client", func(w *world, q *store.Queries, _ string) error {
			_, err := q.DeleteClient(w.Ctx, w.Client)
			return err
		}},
	} {
		t.Run(name+" ends the family that it cannot see", func(t *testing.T) {
			t.Parallel()
			w := newRaceWorld(t, 4)
			stray, access := fixture.Unique("rt-stray"), fixture.Unique("at-stray")
			id := w.ForeignRefreshToken(stray)
			w.ForeignAccessToken(access, &id)
			w.Exec(`UPDATE oauth_refresh_token SET scopes = '{openid}'`)
			_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}})
			w.OK(err)
			first := w.transaction()
			_, err = rotate(w, first.q, stray)
			w.OK(err)
			second := w.starts(name, func(q *store.Queries) error { return end.call(w, q, stray) })
			second.wantWaiting(end.table)
			first.commit()
			second.succeeds()
			w.WantDead(stray, fixture.SuccessorOf(stray), access)
		})
	}
}

// TestLockOrderOfSlidingSessions is a deadlock that no order of rows prevents, since there is one row only. ExtendSession locks the session
// as it is now; had it updated it after that, PostgreSQL would have begun with the version in the snapshot. While a grant that
// began before holds that version for its foreign key, whoever locks or updates it queues for it first; and who is first in
// that queue goes on to wait for the version as it is now.
func TestLockOrderOfSlidingSessions(t *testing.T) {
	t.Parallel()
	slide := func(w *world) error {
		grant := w.holdingRows(`SELECT FROM session FOR KEY SHARE`)
		first := w.holdingRows(`UPDATE session SET expires_at = expires_at + interval '1 minute'`)
		var calls []*startedCall
		for i := range 2 {
			c := w.starts("ExtendSession", func(q *store.Queries) error {
				_, err := q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: time.Duration(i+2) * time.Hour})
				return err
			})
			c.wantWaiting("session")
			calls = append(calls, c)
		}
		first.commit()
		var errs []error
		for _, c := range calls {
			errs = append(errs, c.returns())
		}
		grant.release()
		return errors.Join(errs...)
	}
	t.Run("ExtendSession", func(t *testing.T) {
		t.Parallel()
		w := newRaceWorld(t, 6)
		w.Raced("ExtendSession", slide(w))
	})
	t.Run("locked and then updated it deadlocks", func(t *testing.T) {
		t.Parallel()
		w := newLockWorld(t, 6)
		grant := w.holdingRows(`SELECT FROM session FOR KEY SHARE`)
		first := w.holdingRows(`UPDATE session SET expires_at = expires_at + interval '1 minute'`)
		extend := func() *startedCall {
			c := w.startsOn("lock and update", func(tx pgx.Tx) error {
				_, err := tx.Exec(w.Ctx, `
					WITH live AS MATERIALIZED (SELECT s.id FROM session AS s FOR NO KEY UPDATE)
					UPDATE session AS s SET expires_at = s.expires_at + interval '1 minute' FROM live AS l WHERE s.id = l.id`)
				return err
			}, true)
			c.wantWaiting("session")
			return c
		}
		one, two := extend(), extend()
		first.commit()
		if e1, e2 := one.returns(), two.returns(); isDeadlock(e1) == isDeadlock(e2) {
			t.Errorf("errors %v and %v, want one deadlock", e1, e2)
		}
		grant.release()
	})
}

// TestLockOrderOfOwners deletes two users at once, of whom each owns a client that the other uses.
func TestLockOrderOfOwners(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 5)
	users := []store.UserID{w.User, w.NewUser()}
	sessions := []store.SessionID{w.Session, w.NewSession(users[1])}
	var clients []store.ClientID
	for _, u := range users {
		clients = append(clients, w.NewClient(func(p *store.CreateClientParams) { p.UserID, p.Public = &u, new(true) }))
	}
	for i, u := range users {
		w.Redeem(func(p *store.GrantAuthorizationParams) {
			p.UserID, p.SessionID, p.ClientID = u, &sessions[i], clients[1-i]
		})
	}
	held := w.holdingRows(`SELECT FROM oauth_client FOR KEY SHARE`)
	deletes := func(u store.UserID) *startedCall {
		return w.starts("DeleteUser", func(q *store.Queries) error { _, err := q.DeleteUser(w.Ctx, u); return err })
	}
	one := deletes(users[0])
	one.wantWaiting("oauth_client")
	two := deletes(users[1])
	w.Until("the other waits for its turn", func() (waits bool) {
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted)`, two.pid).Scan(&waits))
		return waits
	})
	held.release()
	one.succeeds()
	two.succeeds()
}
