package calls

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// The family that a token of another server gets, by what its row says.
func TestTokenOfAnotherServerIsGivenItsFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	another, client := w.NewUser(), w.NewClient()
	elsewhere := w.NewSession(another)
	k := w.Redeem()
	anothers, _ := w.Grant(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil })
	clients, _ := w.Grant(func(p *store.GrantAuthorizationParams) { p.ClientID = client })
	pending := w.pending()
	w.Exec(`UPDATE oauth_client SET grants_epoch = 7 WHERE client_id = $1`, string(client))
	w.Exec(`UPDATE oauth_authorization SET client_epoch = 7 WHERE client_id = $1`, string(client))
	long := strings.Repeat("x", 255)
	fallback := func(code string) string {
		sum := md5.Sum([]byte(string(w.Client) + " " + string(w.User) + " " + code))
		return "azn_" + hex.EncodeToString(sum[:])
	}
	type columns map[string]string
	base := columns{
		"id": "'t'", "token": "'" + string(fixture.Digest("t")) + "'", "client_id": "{client}", "user_id": "{user}", "session_id": "{session}",
		"authorization_code_id": "'code'", "refresh_id": "NULL", "scopes": "'{openid}'", "revoked": "NULL", "expires_at": "now() + interval '1 hour'",
	}
	of := replacerOf(w.namesOf(k.Authorization, another), "{long}", "'"+long+"'", "{longer}", "'"+long+"x'", "{elsewhere}", "'"+string(elsewhere)+"'",
		"{anothers}", "'"+string(anothers)+"'", "{clients}", "'"+string(clients)+"'", "{pending}", "'"+string(pending)+"'", "{second}", "'"+string(client)+"'",
		"{fallback}", "'"+fallback("code")+"'", "{refresh}", "'"+string(w.refreshTokenOf(k.Refresh).ID)+"'")
	var fallbacks []string
	for _, code := range []string{"code", long + "x", string(pending), string(anothers), string(clients)} {
		fallbacks = append(fallbacks, fallback(code))
	}
	const (
		refresh = "refresh_id"
		unbound = `UPDATE oauth_authorization SET bound = false WHERE id = {id};`
		bound   = `UPDATE oauth_authorization SET bound = true WHERE id = {id};`
		taken   = `UPDATE oauth_authorization SET id = 'code' WHERE id = {anothers};`
		allGone = taken + `UPDATE oauth_authorization SET id = {fallback} WHERE id = {clients};`
	)
	for _, c := range []struct {
		table, sql string
		change     columns
		want       string // the family, its kind, whether it is bound, why it has ended, whether the token is revoked, and the notes of the session about the client
	}{
		{"access", "", nil, "code foreign t - f 1"},
		{"refresh", "", nil, "code foreign t - f 1"},
		{"access", "", columns{"scopes": "'{openid,offline_access}'"}, "code foreign f - f 1"},
		{"access", "", columns{"session_id": "NULL"}, "code foreign f - f 0"},
		{"access", "", columns{"authorization_code_id": "NULL"}, "new foreign t - f 1"},
		{"access", "", columns{"authorization_code_id": "''"}, "new foreign t - f 1"},
		{"access", "", columns{"authorization_code_id": "{long}"}, long + " foreign t - f 1"},
		{"access", "", columns{"authorization_code_id": "{longer}"}, fallback(long+"x") + " foreign t - f 1"},
		{"access", "", columns{"authorization_code_id": "{id}"}, "mine code f - f 1"},
		{"refresh", "", columns{"authorization_code_id": "{id}"}, "mine code f - f 1"},
		{"access", "", columns{"authorization_code_id": "{pending}"}, fallback(string(pending)) + " foreign t - f 1"},
		{"access", "", columns{"authorization_code_id": "{anothers}"}, fallback(string(anothers)) + " foreign t - f 1"},
		{"access", "", columns{"authorization_code_id": "{clients}"}, fallback(string(clients)) + " foreign t - f 1"},
		{"access", taken, nil, fallback("code") + " foreign t - f 1"},
		{"access", allGone, nil, "new foreign t - f 1"},
		{"access", "", columns{refresh: "{refresh}"}, "mine code f - f 0"},
		{"access", "", columns{refresh: "'none'"}, "23503"},
		{"access", "", columns{refresh: "{refresh}", "client_id": "{second}"}, "code foreign t - f 0"},
		{"access", "", columns{refresh: "{refresh}", "user_id": "{other}", "session_id": "NULL"}, "code foreign f - f 0"},
		{"access", isRevoked, columns{refresh: "{refresh}"}, "mine code f authorization_revoked t 0"},
		{"access", isRevoked, columns{"authorization_code_id": "{id}"}, "mine code f authorization_revoked t 1"},
		{"refresh", isRevoked, columns{"authorization_code_id": "{id}"}, "mine code f authorization_revoked f 1"},
		{"access", grantsEnded, columns{refresh: "{refresh}"}, "mine code f - t 0"},
		{"access", isDisabled, columns{refresh: "{refresh}"}, "mine code f - f 0"},
		{"access", bound + hasExpired, columns{refresh: "{refresh}"}, "mine code t - t 0"},
		{"access", bound, columns{refresh: "{refresh}"}, "mine code t - f 0"},
		{"access", unbound + hasExpired, columns{refresh: "{refresh}"}, "mine code f - f 0"},
		{"access", "", columns{refresh: "{refresh}", "revoked": "'2020-01-01'"}, "mine code f - 2020 0"},
		{"access", isRevoked, columns{refresh: "{refresh}", "revoked": "'2020-01-01'"}, "mine code f authorization_revoked 2020 0"},
		{"access", hasExpired, nil, "code foreign t session_ended t 1"},
		{"refresh", hasExpired, nil, "code foreign t session_ended f 1"},
		{"access", "", columns{"session_id": "{elsewhere}"}, "code foreign t session_ended t 0"},
		{"access", hasExpired, columns{"session_id": "NULL"}, "code foreign f - f 0"},
		{"access", "", columns{"user_id": "'gone'", "session_id": "NULL"}, "23503"},
		{"access", "", columns{"client_id": "'gone'", "session_id": "NULL"}, "23503"},
	} {
		w.undone(func(tx pgx.Tx, _ *store.Queries) {
			_, err := tx.Exec(w.Ctx, of.Replace("DELETE FROM session_client;"+c.sql))
			w.OK(err)
			var names, values []string
			for name, value := range base {
				if changed, found := c.change[name]; found {
					value = changed
				}
				if c.table == "access" || name != refresh {
					names, values = append(names, name), append(values, value)
				}
			}
			table := "oauth_" + c.table + "_token"
			_, err = tx.Exec(w.Ctx, of.Replace("INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(values, ", ")+")"))
			got := pgErrorOf(err).Code
			if err == nil {
				got = w.scanned(tx, of.Replace(`
					SELECT CASE WHEN a.id = {id} THEN 'mine' WHEN a.id IN ('code', {long}) OR a.id = ANY ($1) THEN a.id::text ELSE 'new' END AS a,
						a.kind AS b, left(a.bound::text, 1) AS c, coalesce(a.revoked_reason::text, '-') AS d,
						CASE WHEN t.revoked IS NULL THEN 'f' WHEN t.revoked = now() THEN 't' ELSE left(t.revoked::text, 4) END AS e,
						(SELECT count(*) FROM session_client AS k WHERE k.session_id = {session} AND k.client_id = {client} AND k.user_id = {user} AND k.sid = {session}) AS f
					FROM `+table+` AS t
					JOIN oauth_authorization AS a ON a.id = t.authorization_id AND a.user_id = t.user_id AND a.client_id = t.client_id
					WHERE t.id = 't'`), fallbacks)
			}
			if got != c.want {
				w.Errorf("%s token, %q, %v: %s, want %s (%v)", c.table, c.sql, c.change, got, c.want, err)
			}
		})
	}

	// a client's own token gets the client's epoch
	w.undone(func(tx pgx.Tx, _ *store.Queries) {
		_, err := tx.Exec(w.Ctx, of.Replace(`INSERT INTO oauth_access_token (id, client_id, scopes) VALUES ('t', {second}, '{}')`))
		w.OK(err)
		wantEqual(t, "a client's own token", w.scanned(tx, `SELECT t.client_epoch AS a, t.authorization_id AS b FROM oauth_access_token AS t WHERE t.id = 't'`), "7 NULL")
	})

	// a family that a call is changing is not waited for
	other := w.otherSession()
	_, err := other.Exec(w.Ctx, of.Replace(`UPDATE oauth_authorization SET updated_at = now() WHERE id = {id}; UPDATE session_client SET due_at = now()`))
	w.OK(err)
	w.undone(func(tx pgx.Tx, _ *store.Queries) {
		_, err := tx.Exec(w.Ctx, of.Replace(`SET LOCAL lock_timeout = '500ms';
			INSERT INTO oauth_access_token (id, client_id, user_id, session_id, authorization_code_id, scopes) VALUES ('t', {client}, {user}, {session}, {id}, '{openid}')`))
		w.OK(err)
	})
	w.OK(other.Rollback(w.Ctx))
}

// Another server's tokens make the client known to each session that they are issued in, and to each session each client.
func TestForeignTokensNoteEachClientInEachSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	clients := []store.ClientID{w.Client, w.NewClient()}
	sessions := []store.SessionID{w.Session, w.NewSession(w.User)}
	for _, session := range sessions {
		for _, client := range clients {
			w.Session, w.Client = session, client
			w.ForeignRefreshToken(fixture.Unique("a"))
			w.ForeignRefreshToken(fixture.Unique("b"))
		}
	}
	for _, session := range sessions {
		known, err := w.Q.ListSessionClients(w.Ctx, session)
		w.OK(err)
		if len(known) != len(clients) {
			t.Errorf("a session knows %d clients, want %d", len(known), len(clients))
		}
	}
}
