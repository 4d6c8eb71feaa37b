package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// newNeighbours fills every table for two people, Ada and Bob, who deal with the same two clients: the shop, which nobody
// owns, and Ada's own. Ids read as what they name, so that the rows which a delete reaches can be listed by name.
func newNeighbours(t *testing.T) *world {
	t.Helper()
	pool := fixture.NewPool(t, 2)
	w := worldOf(t, pool)
	for _, user := range []string{"ada", "bob"} {
		w.Exec(`WITH p AS (SELECT $1::text AS me), u AS (
				INSERT INTO "user" (id, name, email) SELECT me, me, me || '@example.com' FROM p
			), a AS (
				INSERT INTO account (id, account_id, provider_id, user_id) SELECT me || '-password', me, 'credential', me FROM p
			), k AS (
				INSERT INTO passkey (id, user_id, public_key) SELECT me || '-key', me, '' FROM p
			), o AS (
				INSERT INTO totp (id, user_id, secret) SELECT me || '-app', me, '' FROM p
			), e AS (
				INSERT INTO recovery_code (user_id, digest) SELECT me, $2::text FROM p
			)
			INSERT INTO session (id, user_id, token, expires_at)
			SELECT me || s, me, me || s, now() + interval '1 hour' FROM p, unnest(ARRAY['-phone', '-laptop']) AS s`, user, string(fixture.Digest("recovery code")))
	}
	w.Exec(`INSERT INTO oauth_client (id, client_id, redirect_uris, user_id)
		VALUES ('c1', 'shop', '{https://shop.example}', NULL), ('c2', 'adas', '{https://adas.example}', 'ada')`)
	for _, user := range []string{"ada", "bob"} {
		for _, client := range []string{"shop", "adas"} {
			// a family of two refresh tokens, the first one spent, with an access token each, and one without any; granted at the phone
			w.Exec(`WITH p AS (
				SELECT $1::text AS me, $2::text AS app, $1 || '-' || $2 AS name, $1 || '-phone' AS phone
			), c AS (
				INSERT INTO oauth_consent (id, client_id, user_id, scopes) SELECT name, app, me, '{openid}' FROM p
			), f AS (
				INSERT INTO oauth_authorization (id, client_id, user_id, session_id, status, scopes, granted_scopes, decided_at, user_epoch, client_epoch, pair_epoch)
				SELECT name, app, me, phone, 'approved', '{openid}', '{openid}', now(), 0, 0, 0 FROM p
			), k AS (
				INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) SELECT name, phone, app, me, me, phone FROM p
			), r AS (
				INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, scopes, authorization_id, revoked, successor, successor_id)
				SELECT name || '-1', $3::text, app, me, phone, '{openid}'::text[], name, now(), $4::text, name || '-2' FROM p
				UNION ALL
				SELECT name || '-2', $4::text, app, me, phone, '{openid}', name, NULL, NULL, NULL FROM p
			)
			INSERT INTO oauth_access_token (id, token, client_id, user_id, session_id, scopes, authorization_id, refresh_id)
			SELECT name || n, t, app, me, phone, '{openid}'::text[], name, name || n
			FROM p, (VALUES ('-1', $5::text), ('-2', $6::text)) AS x (n, t)
			UNION ALL
			SELECT name || '-jwt', NULL, app, me, phone, '{openid}', name, NULL FROM p`, user, client,
				string(fixture.Digest(user+client+"r1")), string(fixture.Digest(user+client+"r2")), string(fixture.Digest(user+client+"a1")), string(fixture.Digest(user+client+"a2")))
		}
		// what another server wrote, at the laptop: a trigger gives it a family, of its authorization_code_id
		w.Exec(`INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) SELECT me || '-foreign', me || '-laptop', 'shop', me, me, me || '-laptop'
			FROM (VALUES ($1::text)) AS p (me)`, user)
		w.Exec(`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, scopes, authorization_code_id)
			SELECT me || '-foreign', $2::text, 'shop', me, me || '-laptop', '{openid}', me || '-foreign' FROM (VALUES ($1::text)) AS p (me)`,
			user, string(fixture.Digest(user+"r")))
		w.Exec(`INSERT INTO oauth_access_token (id, token, client_id, user_id, session_id, scopes, refresh_id)
			SELECT me || '-foreign', $2::text, 'shop', me, me || '-laptop', '{openid}', me || '-foreign' FROM (VALUES ($1::text)) AS p (me)`,
			user, string(fixture.Digest(user+"a")))
	}
	w.Exec(`INSERT INTO oauth_access_token (id, client_id, scopes) VALUES ('shop-machine', 'shop', '{}'), ('adas-machine', 'adas', '{}')`)
	w.Exec(`INSERT INTO oauth_authorization (id, client_id, scopes, expires_at)
		SELECT a || '-pending', a, '{}', now() + interval '1 hour' FROM unnest(ARRAY['shop', 'adas']) AS a`)
	w.Exec(`INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval)
		SELECT a || '-pending', $2::text || substr(a, 1, 1), now() + interval '1 hour', '5 seconds' FROM unnest($1::text[]) AS a`, []string{"shop", "adas"}, string(fixture.Digest("device code"))[:42])
	w.Exec(`INSERT INTO oauth_client_secret (id, client_id, digest, expires_at)
		SELECT a || '-secret', a, $1, now() + interval '1 hour' FROM unnest(ARRAY['shop', 'adas']) AS a`, string(fixture.Digest("older secret")))
	w.Exec(`INSERT INTO oauth_resource (id, identifier, name) VALUES ('api', 'https://api.example', 'API')`)
	w.Exec(`INSERT INTO oauth_client_resource (id, client_id, resource_id) SELECT a || '-api', a, 'https://api.example' FROM unnest(ARRAY['shop', 'adas']) AS a`)
	w.Exec(`INSERT INTO oauth_initial_access_token (id, token, max_uses) VALUES ('initial', $1, 1)`, string(fixture.Digest("initial")))
	w.Exec(`INSERT INTO verification (id, identifier, value, expires_at) VALUES ('code', 'i', 'v', now() + interval '1 minute')`)
	w.Exec(`INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ('tv', 'd', 'u', 'pending', now() + interval '1 minute')`)
	w.Exec(`INSERT INTO oauth_pairwise_subject (sector, user_id, subject) SELECT 'shop.example', u, u || '-shop' FROM unnest(ARRAY['ada', 'bob']) AS u`)
	w.Exec(`INSERT INTO one_time_code (id, purpose, subject, digest, expires_at) VALUES ('mailed', 'sign-in', $1, $1, now() + interval '1 minute')`, string(fixture.Digest("ada")))
	w.Exec(`INSERT INTO attempt_count (id, purpose, subject, attempts, resets_at) VALUES ('guesses', 'sign-in', $1, 1, now() + interval '1 minute')`, string(fixture.Digest("ada")))
	w.Exec(`INSERT INTO oauth_proof (id, expires_at) VALUES ($1, now() + interval '1 minute')`, string(fixture.Digest("proof")))
	w.Exec(`INSERT INTO oauth_trusted_issuer (id, issuer) VALUES ('issuer', 'https://issuer.example')`)
	w.Exec(`INSERT INTO jwks (id, public_key, private_key) VALUES ('key', '', 'ciphertext')`)
	w.Exec(`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($1, now() + interval '1 minute')`, string(fixture.Digest("assertion")))

	rows := w.Snapshot()
	for _, table := range fixture.Tables {
		if table == "security_event" {
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(rows)), func(key string) bool { return strings.HasPrefix(key, table+" ") }) {
			t.Fatalf("table %s is empty: what a delete does to it would not show", table)
		}
	}
	return w
}

// onDelete runs a delete and wants exactly these rows to die, exactly these to lose their session and nothing else of
// theirs, and every other row of the database to stay byte by byte as it was.
func (w *world) onDelete(remove func(), dies, losesSession []string) {
	w.Helper()
	before := w.Snapshot()
	remove()
	after := w.Snapshot()
	var want []string
	for _, key := range dies {
		want = append(want, "-"+key)
	}
	for _, key := range losesSession {
		want = append(want, "~"+key)
		var row map[string]json.RawMessage
		w.OK(json.Unmarshal([]byte(before[key]), &row))
		if string(row["session_id"]) == "null" {
			w.Errorf("%s had no session to lose", key)
		}
		row["session_id"] = json.RawMessage("null")
		var now map[string]json.RawMessage
		if after[key] == "" {
			w.Errorf("%s is gone, want it without its session", key)
			continue
		}
		w.OK(json.Unmarshal([]byte(after[key]), &now))
		for column, value := range row {
			if string(now[column]) != string(value) {
				w.Errorf("%s: %s is %s, want %s", key, column, now[column], value)
			}
		}
	}
	slices.Sort(want)
	got := fixture.Changed(before, after)
	for _, line := range want {
		if !slices.Contains(got, line) {
			w.Errorf("want %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			w.Errorf("unwanted %s", line)
		}
	}
}

// family is what hangs on an authorization of newNeighbours, itself included.
func family(name string) []string {
	return append(familyTokens(name), "oauth_authorization "+name)
}

func familyTokens(name string) []string {
	return []string{
		"oauth_refresh_token " + name + "-1", "oauth_refresh_token " + name + "-2",
		"oauth_access_token " + name + "-1", "oauth_access_token " + name + "-2", "oauth_access_token " + name + "-jwt",
	}
}

// ofAdas is all that hangs on Ada's client, whoever granted it.
func ofAdas() []string {
	return slices.Concat(family("ada-adas"), family("bob-adas"), []string{
		"oauth_client c2", "oauth_client_secret adas " + string(fixture.Digest("older secret")), "oauth_consent ada-adas", "oauth_consent bob-adas",
		"oauth_authorization adas-pending", "oauth_polled_request adas-pending", "oauth_access_token adas-machine", "session_client ada-phone adas", "session_client bob-phone adas", "oauth_client_resource adas-api",
	})
}

// What a session was known to stays, for as long as there is somebody to tell: it has no key to user or session.
func TestDeletedUserTakesEverythingOfTheirsAlong(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t)
	ofAda := slices.Concat(ofAdas(), family("ada-shop"), []string{
		"user ada", "session ada-phone", "session ada-laptop", "account ada-password", "oauth_consent ada-shop", "oauth_pairwise_subject shop.example ada",
		"user ada", "session ada-phone", "session ada-laptop", "account ada-password", "oauth_consent ada-shop",
		"passkey ada-key", "totp ada-app", "recovery_code ada " + string(fixture.Digest("recovery code")),
		"oauth_authorization ada-foreign", "oauth_refresh_token ada-foreign", "oauth_access_token ada-foreign",
	})
	w.onDelete(func() { w.Exec(`DELETE FROM "user" WHERE id = 'ada'`) }, ofAda, nil)
}

func TestDeletedClientTakesItsGrantsAlong(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t)
	w.onDelete(func() { w.Exec(`DELETE FROM oauth_client WHERE id = 'c2'`) }, ofAdas(), nil)
}

// DeleteUser and DeleteClient mark, and the collector erases, in steps that touch a bounded number of rows: in the end the same rows are
// gone that a DELETE takes along.
func TestDeletingInStepsEndsAsDeletingAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call func(w *world) (store.Outcome, error)
		sql  string
	}{
		"DeleteUser": {
			func(w *world) (store.Outcome, error) {
				r, err := w.Q.DeleteUser(w.Ctx, "ada")
				return r.Outcome, err
			},
			`DELETE FROM "user" WHERE id = 'ada'`,
		},
		"DeleteClient": {func(w *world) (store.Outcome, error) { return w.Q.DeleteClient(w.Ctx, "adas") }, `DELETE FROM oauth_client WHERE id = 'c2'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps, once := newNeighbours(t), newNeighbours(t)
			for _, w := range []*world{steps, once} {
				w.Exec(`UPDATE oauth_authorization SET expires_at = now() - interval '1 minute', updated_at = now() WHERE id = 'adas-pending'`)
				w.Exec(`UPDATE oauth_polled_request SET expires_at = now() - interval '1 minute', updated_at = now() WHERE id = 'adas-pending'`)
			}
			outcome, err := c.call(steps)
			steps.OK(err)
			if outcome != store.OutcomeDeleted {
				t.Errorf("%s: %s", name, outcome)
			}
			once.Exec(c.sql)
			for range 10 {
				steps.collect(1)
			}
			once.collect(1)
			got, want := steps.Snapshot(), once.Snapshot()
			fixture.SameLines(t, "rows", slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
			outcome, err = c.call(steps)
			steps.OK(err)
			if outcome != store.OutcomeUnknown {
				t.Errorf("%s again: %s", name, outcome)
			}
		})
	}
}

// collect makes a pass of the collector in batches of so many rows.
func (w *world) collect(size int32) {
	w.Helper()
	walk := func(page func() (last bool, err error)) {
		for {
			last, err := page()
			w.OK(err)
			if last {
				return
			}
		}
	}
	var sessions store.SessionID
	walk(func() (bool, error) {
		r, err := w.Q.MarkEndedSessions(w.Ctx, store.MarkEndedSessionsParams{AfterID: sessions, PageSize: size})
		sessions = value(r.LastID)
		return r.LastID == nil, err
	})
	var known store.SessionClientID
	walk(func() (bool, error) {
		r, err := w.Q.SweepSessionClients(w.Ctx, store.SweepSessionClientsParams{AfterID: known, PageSize: size})
		known = value(r.LastID)
		return r.LastID == nil, err
	})
	var consents store.ConsentID
	walk(func() (bool, error) {
		r, err := w.Q.DeleteDeadConsents(w.Ctx, store.DeleteDeadConsentsParams{AfterID: consents, PageSize: size})
		consents = value(r.LastID)
		return r.LastID == nil, err
	})
	var tokens store.AccessTokenID
	walk(func() (bool, error) {
		r, err := w.Q.DeleteDeadAccessTokens(w.Ctx, store.DeleteDeadAccessTokensParams{AfterID: tokens, PageSize: size})
		tokens = value(r.LastID)
		return r.LastID == nil, err
	})
	var families store.AuthorizationID
	walk(func() (bool, error) {
		r, err := w.Q.MarkDeadAuthorizations(w.Ctx, store.MarkDeadAuthorizationsParams{AfterID: families, PageSize: size})
		families = value(r.LastID)
		return r.LastID == nil, err
	})
	walk(func() (bool, error) {
		r, err := w.Q.DeleteEndedAuthorizations(w.Ctx, store.DeleteEndedAuthorizationsParams{BatchSize: size})
		return r.AccessTokens+r.RefreshTokens+r.Authorizations == 0, err
	})
	walk(func() (bool, error) {
		n, err := fixture.Deleted(w.Q.DeleteExpiredPolledRequests(w.Ctx, store.DeleteExpiredPolledRequestsParams{BatchSize: size}))
		return n == 0, err
	})
	walk(func() (bool, error) {
		n, err := fixture.Deleted(w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: size}))
		return n == 0, err
	})
	walk(func() (bool, error) {
		r, err := w.Q.DeleteExpiredSessions(w.Ctx, store.DeleteExpiredSessionsParams{BatchSize: size})
		return r.Deleted+r.Detached == 0, err
	})
	var users, clients time.Time
	walk(func() (bool, error) {
		r, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{AfterDeletedAt: users, BatchSize: size})
		users = value(r.LastDeletedAt)
		return r.LastDeletedAt == nil, err
	})
	walk(func() (bool, error) {
		r, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{AfterDeletedAt: clients, BatchSize: size})
		clients = value(r.LastDeletedAt)
		return r.LastDeletedAt == nil, err
	})
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// The end of a session by itself is not the end of what was granted in it: that is EndSession's decision.
func TestDeletedSessionLeavesGrantsWithoutOne(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t)
	w.onDelete(func() { w.Exec(`DELETE FROM session WHERE id = 'ada-phone'`) },
		[]string{"session ada-phone"}, slices.Concat(family("ada-shop"), family("ada-adas")))
	w.onDelete(func() { w.Exec(`DELETE FROM session WHERE id = 'bob-laptop'`) },
		[]string{"session bob-laptop"}, []string{"oauth_authorization bob-foreign", "oauth_refresh_token bob-foreign", "oauth_access_token bob-foreign"})
}

// A successor outlives the token that it replaced: nothing but the access tokens refers to a refresh token by a key.
func TestDeletedRefreshTokenTakesItsAccessTokensAlong(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t)
	w.onDelete(func() { w.Exec(`DELETE FROM oauth_refresh_token WHERE id = 'ada-shop-1'`) },
		[]string{"oauth_refresh_token ada-shop-1", "oauth_access_token ada-shop-1"}, nil)
	w.onDelete(func() { w.Exec(`DELETE FROM oauth_refresh_token WHERE id = 'bob-shop-2'`) },
		[]string{"oauth_refresh_token bob-shop-2", "oauth_access_token bob-shop-2"}, nil)
	w.onDelete(func() { w.Exec(`DELETE FROM oauth_refresh_token WHERE id = 'bob-foreign'`) },
		[]string{"oauth_refresh_token bob-foreign", "oauth_access_token bob-foreign"}, nil)
}

func TestDeletedAuthorizationTakesItsFamilyAlong(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t)
	w.onDelete(func() { w.Exec(`DELETE FROM oauth_authorization WHERE id = 'ada-shop'`) }, family("ada-shop"), nil)
	w.onDelete(func() { w.Exec(`DELETE FROM oauth_authorization WHERE id = 'shop-pending'`) },
		[]string{"oauth_authorization shop-pending", "oauth_polled_request shop-pending"}, nil)
}

// What nothing refers to can go alone.
func TestDeletedLeavesTakeNothingAlong(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t)
	for _, row := range []struct{ table, id string }{
		{"account", "ada-password"},
		{"oauth_consent", "ada-shop"},
		{"oauth_access_token", "ada-shop-2"},
		{"oauth_access_token", "shop-machine"},
		{"jwks", "key"},
		{"oauth_trusted_issuer", "issuer"},
		{"verification", "code"},
		{"device_code", "tv"},
		{"oauth_polled_request", "shop-pending"},
		{"one_time_code", "mailed"},
		{"attempt_count", "guesses"},
		{"passkey", "ada-key"},
		{"totp", "ada-app"},
		{"oauth_proof", string(fixture.Digest("proof"))},
		{"oauth_client_assertion", string(fixture.Digest("assertion"))},
	} {
		w.onDelete(func() { w.Exec("DELETE FROM "+row.table+" WHERE id = $1", row.id) }, []string{row.table + " " + row.id}, nil)
	}
}
