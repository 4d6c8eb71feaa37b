package db_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
)

// worldSQL writes a user, a client, a sign-in and what was granted in it: the ids are a name, a slash, and a letter for the table.
const worldSQL = `
	WITH w AS (
		SELECT $1::text AS name, $2::boolean AS bound, $3::boolean AS expires, now() + interval '1 day' AS later
	), u AS (
		INSERT INTO "user" (id, name) SELECT name || '/u', name FROM w RETURNING id
	), c AS (
		INSERT INTO oauth_client (id, client_id, redirect_uris) SELECT name || '/c', name || '/c', '{https://client.example/callback}' FROM w
	), s AS (
		INSERT INTO session (id, user_id, token, expires_at) SELECT name || '/s', name || '/u', name, later FROM w
	), a AS (
		INSERT INTO oauth_authorization (id, client_id, user_id, session_id, bound, scopes, granted_scopes, status, user_epoch, client_epoch, pair_epoch)
		SELECT name || '/a', name || '/c', name || '/u', name || '/s', bound, '{a}', '{a}', 'approved', 0, 0, 0 FROM w
	), r AS (
		INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, scopes, authorization_id, expires_at, revoked, successor, successor_id)
		SELECT name || '/r' || n, left(md5(name || n) || md5(name), 43), name || '/c', name || '/u', name || '/s', '{a}', name || '/a', CASE WHEN expires THEN later END,
			CASE n WHEN 1 THEN now() END, CASE n WHEN 1 THEN left(md5(name || 2) || md5(name), 43) END, CASE n WHEN 1 THEN name || '/r2' END
		FROM w, generate_series(1, 2) AS n
	), t AS (
		INSERT INTO oauth_access_token (id, client_id, user_id, session_id, scopes, authorization_id, refresh_id, expires_at)
		SELECT name || '/t', name || '/c', name || '/u', name || '/s', '{a}', name || '/a', name || '/r2', CASE WHEN expires THEN later END FROM w
	), m AS (
		INSERT INTO oauth_access_token (id, client_id, scopes, client_epoch, expires_at)
		SELECT name || '/m', name || '/c', '{a}', 0, CASE WHEN expires THEN later END FROM w
	), g AS (
		INSERT INTO oauth_consent (id, client_id, user_id, scopes) SELECT name || '/g', name || '/c', name || '/u', '{a}' FROM w
	)
	INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid)
	SELECT name || '/k', name || '/s', name || '/c', name || '/u', name, name FROM w`

// ids are those of all rows that a world can consist of.
func ids(t *testing.T, d *testdb.DB) []string {
	t.Helper()
	tables := []string{"user", "oauth_client", "session", "oauth_authorization", "oauth_refresh_token", "oauth_access_token", "oauth_consent", "session_client"}
	var all []string
	for _, table := range tables {
		found, err := d.Pool.Query(t.Context(), "SELECT id FROM "+pgx.Identifier{table}.Sanitize())
		if err != nil {
			t.Fatal(err)
		}
		of, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, of...)
	}
	slices.Sort(all)
	return all
}

// After a pass without retention nothing that is dead is left, and all that is live is.
func TestWhatIsDeadIsCollectedAndWhatIsLiveIsNot(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	q := d.Store
	sql := func(statement string) func(context.Context, string) (store.Outcome, error) {
		return func(ctx context.Context, name string) (store.Outcome, error) {
			_, err := d.Pool.Exec(ctx, statement, name)
			return store.OutcomeEnded, err
		}
	}
	type ending struct {
		name string
		do   func(ctx context.Context, name string) (store.Outcome, error)
		want store.Outcome
		// what goes where the family is bound, and where it isn't
		bound, unbound string
	}
	const family = "a r1 r2 t"
	wantGone := map[string][]string{} // by name
	for _, e := range []ending{
		{"none", sql("SELECT $1::text"), store.OutcomeEnded, "", ""},
		{"DisableClient", func(ctx context.Context, n string) (store.Outcome, error) {
			return q.DisableClient(ctx, store.ClientID(n+"/c"))
		}, store.OutcomeEnded, "", ""},
		{"RevokeAuthorization", func(ctx context.Context, n string) (store.Outcome, error) {
			row, err := q.RevokeAuthorization(ctx, store.AuthorizationID(n+"/a"))
			return row.Outcome, err
		}, store.OutcomeEnded, family, family},
		{"EndSession", func(ctx context.Context, n string) (store.Outcome, error) {
			row, err := q.EndSession(ctx, store.SessionID(n+"/s"))
			return row.Outcome, err
		}, store.OutcomeEnded, "s k " + family, "s k"},
		{"EndUserSessions", func(ctx context.Context, n string) (store.Outcome, error) {
			row, err := q.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: store.UserID(n + "/u")})
			return row.Outcome, err
		}, store.OutcomeEnded, "s k " + family, "s k"},
		{"epoch of sessions alone", sql(`UPDATE "user" SET sessions_epoch = 1 WHERE id = $1 || '/u'`), store.OutcomeEnded, "s k " + family, "s k"},
		{"session expires", sql(`UPDATE session SET expires_at = now() WHERE id = $1 || '/s'`), store.OutcomeEnded, "s k " + family, "s k"},
		{"session deleted by hand", sql(`DELETE FROM session WHERE id = $1 || '/s'`), store.OutcomeEnded, "s k " + family, "s k"},
		{"RevokeUserAuthorizations", func(ctx context.Context, n string) (store.Outcome, error) {
			return q.RevokeUserAuthorizations(ctx, store.UserID(n+"/u"))
		}, store.OutcomeEnded, "g " + family, "g " + family},
		{"RevokeUserAuthorizationsByClient", func(ctx context.Context, n string) (store.Outcome, error) {
			return q.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: store.UserID(n + "/u"), ClientID: store.ClientID(n + "/c")})
		}, store.OutcomeEnded, "g " + family, "g " + family},
		{"WithdrawConsent", func(ctx context.Context, n string) (store.Outcome, error) {
			row, err := q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: store.UserID(n + "/u"), ClientID: store.ClientID(n + "/c")})
			return row.Outcome, err
		}, store.OutcomeWithdrawn, "g " + family, "g " + family},
		{"SuspendUser", func(ctx context.Context, n string) (store.Outcome, error) {
			row, err := q.SuspendUser(ctx, store.UserID(n+"/u"))
			return row.Outcome, err
		}, store.OutcomeEnded, "s k g " + family, "s k g " + family},
		{"DeleteUser", func(ctx context.Context, n string) (store.Outcome, error) {
			row, err := q.DeleteUser(ctx, store.UserID(n+"/u"))
			return row.Outcome, err
		}, store.OutcomeDeleted, "u s k g " + family, "u s k g " + family},
		{"RevokeClientAuthorizations", func(ctx context.Context, n string) (store.Outcome, error) {
			return q.RevokeClientAuthorizations(ctx, store.ClientID(n+"/c"))
		}, store.OutcomeEnded, family + " m", family + " m"},
		{"DeleteClient", func(ctx context.Context, n string) (store.Outcome, error) {
			return q.DeleteClient(ctx, store.ClientID(n+"/c"))
		}, store.OutcomeDeleted, "c g k m " + family, "c g k m " + family},
		{
			"tokens gone", sql(`WITH t AS (DELETE FROM oauth_access_token WHERE id = $1 || '/t') DELETE FROM oauth_refresh_token WHERE authorization_id = $1 || '/a'`),
			store.OutcomeEnded, family, family,
		},
		{"access token revoked", sql(`UPDATE oauth_access_token SET revoked = now() WHERE id IN ($1 || '/t', $1 || '/m')`), store.OutcomeEnded, "t m", "t m"},
		{"DeleteUser of the client's owner", func(ctx context.Context, n string) (store.Outcome, error) {
			if _, err := d.Pool.Exec(ctx, `UPDATE oauth_client SET user_id = $1 || '/u' WHERE id = $1 || '/c'`, n); err != nil {
				return "", err
			}
			row, err := q.DeleteUser(ctx, store.UserID(n+"/u"))
			return row.Outcome, err
		}, store.OutcomeDeleted, "u c s k g m " + family, "u c s k g m " + family},
	} {
		for _, bound := range []bool{true, false} {
			for _, expires := range []bool{true, false} {
				name := fmt.Sprintf("%s, bound %t, expires %t", e.name, bound, expires)
				if _, err := d.Pool.Exec(t.Context(), worldSQL, name, bound, expires); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				outcome, err := e.do(t.Context(), name)
				if err != nil || outcome != e.want {
					t.Fatalf("%s: %s, %v", name, outcome, err)
				}
				gone := strings.Fields(e.unbound)
				if bound {
					gone = strings.Fields(e.bound)
				}
				if !expires { // a spent token is no evidence any more
					gone = append(gone, "r1")
				}
				if expires && !slices.Contains(gone, "c") && slices.Contains(gone, "m") {
					// What expires by itself may do so, where no family ends and no client goes.
					gone = slices.DeleteFunc(gone, func(s string) bool { return s == "m" || (s == "t" && !slices.Contains(gone, "a")) })
				}
				wantGone[name] = gone
			}
		}
	}
	before := ids(t, d)
	if _, err := db.NewCollector(q, db.CollectorOptions{BatchSize: 7, Retention: -1}).Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := ids(t, d)
	for _, id := range before {
		name, row, _ := strings.Cut(id, "/")
		if want, is := slices.Contains(wantGone[name], row), !slices.Contains(after, id); is != want {
			t.Errorf("%s is gone: %t, want %t", id, is, want)
		}
	}
	if again, err := db.NewCollector(q, db.CollectorOptions{Retention: -1}).Collect(t.Context()); err != nil || again.Total() != 0 {
		t.Errorf("a second pass: %v, %v; want nothing left to do", again, err)
	}
}
