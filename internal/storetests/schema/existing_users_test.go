package schema

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// existingUsersSQL is the page's SQL, as its reader copies it.
func existingUsersSQL(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/existing-users.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "```sql\n")
	block, _, closed := strings.Cut(block, "\n```")
	if !found || !closed {
		t.Fatal("docs/existing-users.md has no block of SQL")
	}
	return block
}

// members is a database with a table of the application's own.
type members struct {
	*testing.T
	pool *pgxpool.Pool
	q    *store.Queries
}

func newMembers(t *testing.T) members {
	t.Helper()
	d := storetest.New(t)
	m := members{t, d.Pool, d.Store}
	m.exec(`CREATE SCHEMA accounts`)
	m.exec(`CREATE TABLE accounts.members (id bigint PRIMARY KEY, display_name text NOT NULL, email text, email_confirmed_at timestamptz)`)
	return m
}

func (m members) exec(sql string, args ...any) {
	m.Helper()
	if _, err := m.pool.Exec(m.Context(), sql, args...); err != nil {
		m.Fatal(err)
	}
}

func (m members) user(id store.UserID) store.User {
	m.Helper()
	u, err := m.q.GetUser(m.Context(), id)
	if err != nil {
		m.Fatal(err)
	}
	return u
}

// grant gives a member a session and a token of it.
func grant(t *testing.T, q *store.Queries, user store.UserID) token.Digest {
	t.Helper()
	ctx := t.Context()
	client, session, access := store.NewClientID(), store.NewSessionID(), token.Mint(token.AccessToken)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := q.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: client, RedirectURIs: []string{"https://client.example/callback"}, Public: new(true), Scopes: []string{"openid"},
	})
	must(err)
	created, err := q.CreateSession(ctx, store.CreateSessionParams{ID: session, UserID: user, Token: token.DigestOf(string(session)), Lifetime: time.Hour})
	must(err)
	code := token.Mint(token.AuthorizationCode)
	granted, err := q.GrantAuthorization(ctx, store.GrantAuthorizationParams{
		ID: store.NewAuthorizationID(), UserID: user, ClientID: client, SessionID: &session, Scopes: []string{"openid"},
		GrantedScopes: []string{"openid"}, RedirectURI: new("https://client.example/callback"), ResponseType: new("code"),
		CodeChallenge: new(token.S256("verifier")), CodeChallengeMethod: new("S256"), Code: code.Digest(), CodeLifetime: time.Minute,
	})
	must(err)
	redeemed, err := q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		ClientID: client, ClientAuthMethod: "none", Code: code.Digest(), RedirectURI: new("https://client.example/callback"),
		CodeChallenge: new(token.S256("verifier")), AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()),
		AccessTokenLifetime: time.Minute,
	})
	must(err)
	if created.Outcome != store.OutcomeCreated || granted != store.OutcomeGranted || redeemed.Outcome != store.OutcomeRedeemed {
		t.Fatal(created.Outcome, granted, redeemed.Outcome)
	}
	if !active(t, q, access.Digest()) {
		t.Fatal("the token is dead from the start")
	}
	return access.Digest()
}

func active(t *testing.T, q *store.Queries, access token.Digest) bool {
	t.Helper()
	r, err := q.IntrospectToken(t.Context(), store.IntrospectTokenParams{ClientAuthMethod: "server", Token: access})
	if err != nil {
		t.Fatal(err)
	}
	return r.Outcome == store.OutcomeActive
}

func TestExistingUserTableIsMirrored(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	m.exec(`INSERT INTO accounts.members VALUES (1, 'Grace', 'grace@example.com', now()), (2, 'Nobody', NULL, NULL), (3, 'Empty', '', NULL)`)
	m.exec(existingUsersSQL(t))
	m.exec(`INSERT INTO accounts.members VALUES (4, 'Edsger', 'edsger@example.com', NULL), (5, 'Somebody', NULL, NULL), (6, 'Blank', '', NULL)`)

	if grace := m.user("1"); grace.Name != "Grace" || !grace.EmailVerified || *grace.Email != "grace@example.com" {
		t.Errorf("a member who was there before: %+v", grace)
	}
	for _, id := range []store.UserID{"2", "3", "5", "6"} {
		if u := m.user(id); u.Email != nil || u.EmailVerified {
			t.Errorf("a member without an address: %+v", u)
		}
	}
	m.exec(`UPDATE accounts.members SET email = 'dijkstra@example.com', email_confirmed_at = now() WHERE id = 4`)
	if edsger := m.user("4"); *edsger.Email != "dijkstra@example.com" || !edsger.EmailVerified {
		t.Errorf("a member whose address changed: %+v", edsger)
	}
	m.exec(`UPDATE accounts.members SET email = NULL, email_confirmed_at = NULL WHERE id = 1`)
	if grace := m.user("1"); grace.Email != nil || grace.EmailVerified {
		t.Errorf("a member whose address is gone: %+v", grace)
	}
	_, err := m.pool.Exec(t.Context(), `INSERT INTO accounts.members VALUES (7, 'Edsger', 'DIJKSTRA@example.com', NULL)`)
	if !db.Violates(err, store.ConstraintUserEmailUIdx) {
		t.Errorf("an address in capitals: %v", err)
	}

	access := grant(t, m.q, "4")
	m.exec(`DELETE FROM accounts.members WHERE id = 4`)
	if active(t, m.q, access) {
		t.Error("a token outlives its member")
	}
	if _, err := m.q.GetUser(t.Context(), "4"); !db.IsNotFound(err) {
		t.Errorf("the user of a deleted member: %v", err)
	}
}

func TestAMemberIsDeletedWithTheUserInOneTransaction(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	m.exec(existingUsersSQL(t))
	m.exec(`DROP TRIGGER unmirror_user ON accounts.members`)
	m.exec(`INSERT INTO accounts.members VALUES (1, 'Grace', 'grace@example.com', now())`)
	access := grant(t, m.q, "1")
	const id = "1"
	ctx, pool := t.Context(), m.pool
	err := db.InTx(ctx, pool, db.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := store.New(tx).DeleteUser(ctx, store.UserID(id)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM accounts.members WHERE id::text = $1`, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if active(t, m.q, access) {
		t.Error("a token outlives its member")
	}
	m.exec(`INSERT INTO accounts.members VALUES (2, 'Grace', 'grace@example.com', now())`) // the address is free at once
}

func TestSchemaOfItsOwn(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	ctx := t.Context()
	if _, err := d.Pool.Exec(ctx, `CREATE SCHEMA own`); err != nil {
		t.Fatal(err)
	}
	config, err := pgxpool.ParseConfig(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = "own"
	own := stdlib.OpenDB(*config.ConnConfig)
	defer own.Close()
	if _, err := migrations.Up(ctx, own, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	q, id := store.New(pool), store.NewUserID()
	if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: id, Name: "Ada"}); err != nil {
		t.Fatal(err)
	}
	access := grant(t, q, id)
	if _, err := q.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: id}); err != nil { // its functions find their tables, too
		t.Fatal(err)
	}
	if active(t, q, access) {
		t.Error("the ending didn't reach the token")
	}
	var n int
	if err := d.Pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM own."user") - (SELECT count(*) FROM public."user")`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Error("the user was written to the wrong schema")
	}
}
