package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
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
			)
			INSERT INTO session (id, user_id, token, expires_at)
			SELECT me || s, me, me || s, now() + interval '1 hour' FROM p, unnest(ARRAY['-phone', '-laptop']) AS s`, user)
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
				INSERT INTO oauth_authorization (id, client_id, user_id, session_id, status, scopes, granted_scopes, decided_at)
				SELECT name, app, me, phone, 'approved', '{openid}', '{openid}', now() FROM p
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
		// what another server wrote, at the laptop: no family
		w.Exec(`WITH p AS (
				SELECT $1::text AS me, $1 || '-foreign' AS name, $1 || '-laptop' AS laptop
			), r AS (
				INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, scopes)
				SELECT name, $2::text, 'shop', me, laptop, '{openid}' FROM p
			)
			INSERT INTO oauth_access_token (id, token, client_id, user_id, session_id, scopes, refresh_id)
			SELECT name, $3::text, 'shop', me, laptop, '{openid}', name FROM p`,
			user, string(fixture.Digest(user+"r")), string(fixture.Digest(user+"a")))
	}
	w.Exec(`INSERT INTO oauth_access_token (id, client_id, scopes) VALUES ('shop-machine', 'shop', '{}'), ('adas-machine', 'adas', '{}')`)
	w.Exec(`INSERT INTO oauth_authorization (id, client_id, scopes) VALUES ('shop-pending', 'shop', '{}'), ('adas-pending', 'adas', '{}')`)
	w.Exec(`INSERT INTO jwks (id, public_key, private_key) VALUES ('key', '', '')`)
	w.Exec(`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($1, now() + interval '1 minute')`, string(fixture.Digest("assertion")))

	rows := w.Snapshot()
	for _, table := range fixture.Tables {
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
		"oauth_client c2", "oauth_consent ada-adas", "oauth_consent bob-adas",
		"oauth_authorization adas-pending", "oauth_access_token adas-machine",
	})
}

func TestDeletedUserTakesEverythingOfTheirsAlong(t *testing.T) {
	t.Parallel()
	ofAda := slices.Concat(ofAdas(), family("ada-shop"), []string{
		"user ada", "session ada-phone", "session ada-laptop", "account ada-password", "oauth_consent ada-shop",
		"oauth_refresh_token ada-foreign", "oauth_access_token ada-foreign",
	})
	t.Run("DeleteUser", func(t *testing.T) {
		t.Parallel()
		w := newNeighbours(t)
		w.onDelete(func() {
			r, err := w.Q.DeleteUser(w.Ctx, "ada")
			w.OK(err)
			if r.ID != "ada" || r.Authorizations != 2 {
				t.Errorf("DeleteUser: %+v, want ada and her 2 authorizations", r)
			}
		}, ofAda, nil)
		w.Unchanged(func() {
			_, err := w.Q.DeleteUser(w.Ctx, "ada")
			w.None(err)
		})
	})
	t.Run("DELETE", func(t *testing.T) {
		t.Parallel()
		w := newNeighbours(t)
		w.onDelete(func() { w.Exec(`DELETE FROM "user" WHERE id = 'ada'`) }, ofAda, nil)
	})
}

func TestDeletedClientTakesItsGrantsAlong(t *testing.T) {
	t.Parallel()
	t.Run("DeleteClient", func(t *testing.T) {
		t.Parallel()
		w := newNeighbours(t)
		w.onDelete(func() {
			r, err := w.Q.DeleteClient(w.Ctx, "adas")
			w.OK(err)
			if r.ClientID != "adas" || r.Authorizations != 3 {
				t.Errorf("DeleteClient: %+v, want adas and its 3 authorizations", r)
			}
		}, ofAdas(), nil)
		w.Unchanged(func() {
			_, err := w.Q.DeleteClient(w.Ctx, "adas")
			w.None(err)
		})
	})
	t.Run("DELETE", func(t *testing.T) {
		t.Parallel()
		w := newNeighbours(t)
		w.onDelete(func() { w.Exec(`DELETE FROM oauth_client WHERE id = 'c2'`) }, ofAdas(), nil)
	})
}

// The end of a session by itself is not the end of what was granted in it: that is EndSession's decision.
func TestDeletedSessionLeavesGrantsWithoutOne(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t)
	w.onDelete(func() { w.Exec(`DELETE FROM session WHERE id = 'ada-phone'`) },
		[]string{"session ada-phone"}, slices.Concat(family("ada-shop"), family("ada-adas")))
	w.onDelete(func() { w.Exec(`DELETE FROM session WHERE id = 'bob-laptop'`) },
		[]string{"session bob-laptop"}, []string{"oauth_refresh_token bob-foreign", "oauth_access_token bob-foreign"})
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
		[]string{"oauth_authorization shop-pending"}, nil)
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
		{"oauth_client_assertion", string(fixture.Digest("assertion"))},
	} {
		w.onDelete(func() { w.Exec("DELETE FROM "+row.table+" WHERE id = $1", row.id) }, []string{row.table + " " + row.id}, nil)
	}
}
