package schema

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// town is a database in which docs/existing-users.md is followed: an application's accounts.members, and oauthdb in a schema of its own.
type town struct {
	*testing.T
	name   string                  // of the database, and what the names of its roles begin with
	super  *pgxpool.Pool           // of the database
	admin  *pgxpool.Pool           // a role with CREATEROLE that owns both schemas, and is no superuser
	app    *pgxpool.Pool           // the application's role, with rights on accounts.members and nowhere else
	auth   *pgxpool.Pool           // the authorization server's
	q      *store.Queries          // on auth
	blocks map[string][]string     // of SQL on the page, by heading
	run    map[string]map[int]bool // those that the test has run
}

var sqlBlock = regexp.MustCompile("(?s)```sql\n(.*?)\n```")

func newTown(t *testing.T) *town {
	t.Helper()
	ctx := t.Context()
	cluster, err := devdb.Start(ctx, devdb.Options{Kind: devdb.Test})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/existing-users.md")
	if err != nil {
		t.Fatal(err)
	}
	w := &town{T: t, name: "town_" + strings.ToLower(rand.Text()[:10]), blocks: map[string][]string{}, run: map[string]map[int]bool{}}
	for _, section := range strings.Split(string(page), "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		for _, block := range sqlBlock.FindAllStringSubmatch(text, -1) {
			w.blocks[heading] = append(w.blocks[heading], block[1])
		}
		w.run[heading] = map[int]bool{}
	}
	outside := w.pool(cluster.URL, "", "", "")
	t.Cleanup(func() {
		ctx := context.Background()
		for _, sql := range []string{
			`DROP DATABASE IF EXISTS ` + w.name + ` WITH (FORCE)`, `DROP ROLE IF EXISTS ` + w.name + `_mirror, ` + w.name + `_app, ` + w.name + `_admin`,
		} {
			if _, err := outside.Exec(ctx, sql); err != nil {
				t.Error(err)
			}
		}
		outside.Close()
	})
	w.exec(outside, `CREATE ROLE `+w.name+`_admin LOGIN CREATEROLE PASSWORD 'pw'`)
	w.exec(outside, `CREATE ROLE `+w.name+`_app LOGIN PASSWORD 'pw'`)
	w.exec(outside, `CREATE DATABASE `+w.name+` OWNER `+w.name+`_admin`)
	w.super = w.pool(cluster.URL, w.name, "", "")
	w.admin = w.pool(cluster.URL, w.name, w.name+"_admin", "")
	w.app = w.pool(cluster.URL, w.name, w.name+"_app", "")
	w.exec(w.admin, `CREATE SCHEMA oauthdb`)
	w.auth = w.pool(cluster.URL, w.name, w.name+"_admin", "oauthdb")
	w.q = store.New(w.auth)
	own := stdlib.OpenDBFromPool(w.auth)
	defer own.Close()
	if _, err := migrations.Up(ctx, own, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *town) pool(address, database, role, path string) *pgxpool.Pool {
	w.Helper()
	u, err := url.Parse(address)
	if err != nil {
		w.Fatal("the server's URL cannot be read")
	}
	if database != "" {
		u.Path = "/" + database
	}
	if role != "" {
		u.User = url.UserPassword(role, "pw")
	}
	q := u.Query()
	if path != "" {
		q.Set("search_path", path)
	}
	u.RawQuery = q.Encode()
	pool, err := pgxpool.New(w.Context(), u.String())
	if err != nil {
		w.Fatal(err)
	}
	if database != "" {
		w.Cleanup(pool.Close)
	}
	return pool
}

func (w *town) exec(pool *pgxpool.Pool, sql string, args ...any) {
	w.Helper()
	if _, err := pool.Exec(w.Context(), sql, args...); err != nil {
		w.Fatal(err)
	}
}

// block is the n-th block of SQL under a heading of the page, as printed but for the name of the role, as all databases of a server
// share roles.
func (w *town) block(heading string, n int) string {
	w.Helper()
	if n >= len(w.blocks[heading]) {
		w.Fatalf("%q has %d blocks of SQL", heading, len(w.blocks[heading]))
	}
	w.run[heading][n] = true
	role := regexp.MustCompile(`(ROLE|GRANT|TO|BY|AUTHORIZATION) oauthdb_mirror\b`)
	return role.ReplaceAllString(w.blocks[heading][n], "${1} "+w.name+"_mirror")
}

// paste runs SQL as psql does.
func (w *town) paste(sql string) error {
	w.Helper()
	c, err := w.admin.Acquire(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer c.Release()
	_, err = c.Conn().PgConn().Exec(w.Context(), sql).ReadAll()
	return err
}

func (w *town) mustPaste(sql string) {
	w.Helper()
	if err := w.paste(sql); err != nil {
		w.Fatal(err)
	}
}

// rows are those of a query, each as text.
func (w *town) rows(sql string) []string {
	w.Helper()
	rows, err := w.admin.Query(w.Context(), `SELECT q::text FROM (`+strings.TrimSuffix(sql, ";")+`) AS q`)
	if err != nil {
		w.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *town) wantRows(what, sql string, want ...string) {
	w.Helper()
	if got := w.rows(sql); !slices.Equal(got, want) {
		w.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// told checks that the application was refused in words: a sentence, and what to do.
func (w *town) told(what string, err error, code, sentence string) {
	w.Helper()
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		w.Errorf("%s: %v", what, err)
		return
	}
	if e.Code != code || !strings.Contains(e.Message, sentence) || e.Hint == "" {
		w.Errorf("%s: %s %q, hint %q", what, e.Code, e.Message, e.Hint)
	}
}

func (w *town) appDoes(sql string, args ...any) error {
	_, err := w.app.Exec(w.Context(), sql, args...)
	return err
}

func (w *town) user(id store.UserID) store.User {
	w.Helper()
	u, err := w.q.GetUser(w.Context(), id)
	if err != nil {
		w.Fatalf("user %s: %v", id, err)
	}
	return u
}

// grant gives a member a session and a token. It is one of the session, unless offline_access is among the scopes.
func grant(t *testing.T, q *store.Queries, user store.UserID, scopes ...string) token.Digest {
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
		ID: store.NewOAuthClientID(), ClientID: client, RedirectURIs: []string{"https://client.example/callback"}, Public: new(true), Scopes: scopes,
	})
	must(err)
	created, err := q.CreateSession(ctx, store.CreateSessionParams{ID: session, UserID: user, Token: token.DigestOf(string(session)), Lifetime: time.Hour})
	must(err)
	code := token.Mint(token.AuthorizationCode)
	granted, err := q.GrantAuthorization(ctx, store.GrantAuthorizationParams{
		ID: store.NewAuthorizationID(), UserID: user, ClientID: client, SessionID: &session, Scopes: scopes,
		GrantedScopes: scopes, RedirectURI: new("https://client.example/callback"), ResponseType: new("code"),
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

func TestExistingUsers(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ctx := t.Context()
	const untidy, triggers, backfill = "Who won't fit", "The triggers", "The members you already have"

	w.exec(w.admin, `CREATE SCHEMA accounts`)
	w.exec(w.admin, `CREATE TABLE accounts.members (id bigint PRIMARY KEY, display_name text, email text, email_confirmed_at timestamptz,
		banned_at timestamptz, deleted_at timestamptz, seen_at timestamptz)`)
	w.exec(w.admin, `GRANT USAGE ON SCHEMA accounts TO `+w.name+`_app`)
	w.exec(w.admin, `GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON accounts.members TO `+w.name+`_app`)
	w.exec(w.admin, `INSERT INTO accounts.members (id, display_name, email, email_confirmed_at, banned_at, deleted_at) VALUES
		(1, 'Grace', 'grace@example.com', now(), NULL, NULL), (2, NULL, NULL, NULL, NULL, NULL), (3, 'Empty', '', now(), NULL, NULL),
		(4, 'Blank', '  ', NULL, NULL, NULL), (5, 'Nonsense', 'n/a', NULL, NULL, NULL), (6, 'Ada', ' ada@example.com ', NULL, NULL, NULL),
		(7, 'Augusta', 'ADA@example.com', NULL, NULL, NULL), (8, repeat('ö', 5000), NULL, NULL, NULL, NULL),
		(9, 'Banned', 'banned@example.com', NULL, now(), NULL), (10, 'Gone', 'Grace@example.com', NULL, NULL, now()),
		(11, 'José', 'josé@example.com', NULL, NULL, NULL), (12, 'Another José', 'JOSÉ@example.com', NULL, NULL, NULL)`)
	w.exec(w.admin, `INSERT INTO accounts.members (id, display_name) SELECT n, 'Member ' || n FROM generate_series(100, 1300) AS n`)

	w.mustPaste(w.block("A schema and a role", 0))
	w.mustPaste(w.block("What is copied", 0))
	cut := `("know: the name is cut",{8},` + strings.Repeat("ö", 5000) + `)`
	w.wantRows("the members who won't fit", w.block(untidy, 0),
		`("fix: the same address","{6,7}",ada@example.com)`, `("know: not an address, becomes NULL",{5},n/a)`, cut)

	w.mustPaste(w.block(triggers, 0))
	w.told("copying with two members of one address", w.paste(w.block(backfill, 0)), "23505", "member 7 can't have the e-mail address of member 6")
	w.exec(w.admin, `UPDATE accounts.members SET email = 'augusta@example.com' WHERE id = 7`)
	w.wantRows("the members who won't fit, when they fit", w.block(untidy, 0), `("know: not an address, becomes NULL",{5},n/a)`, cut)

	// The application goes on while its members are copied: it holds one, deletes one, and has changed one and added one.
	var held pgx.Tx
	held, err := w.app.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`UPDATE accounts.members SET seen_at = now() WHERE id = 200`, `DELETE FROM accounts.members WHERE id = 201`} {
		if _, err := held.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{`UPDATE accounts.members SET display_name = 'Renamed' WHERE id = 100`, `INSERT INTO accounts.members VALUES (2000, 'New', NULL)`} {
		if err := w.appDoes(sql); err != nil {
			t.Fatal(err)
		}
	}
	w.mustPaste(w.block(backfill, 0))
	w.wantRows("users of the first and the last batch are of one transaction", `SELECT count(DISTINCT xmin) FROM oauthdb."user" WHERE id IN ('1', '1300')`, `(2)`)
	w.wantRows("what is left after copying", w.block(backfill, 1), `("not copied, or differs",200)`, `("not copied, or differs",201)`)
	if err := held.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	w.mustPaste(w.block(backfill, 0))
	w.wantRows("what is left in the end", w.block(backfill, 1))
	w.wantRows("the users", `SELECT id, CASE WHEN length(name) > 20 THEN length(name)::text ELSE name END, email, email_verified, suspended_at IS NOT NULL
		FROM oauthdb."user" WHERE length(id) < 3 OR id IN ('100', '201', '2000') ORDER BY length(id), id`,
		`(1,Grace,grace@example.com,t,f)`, `(2,"",,f,f)`, `(3,Empty,,f,f)`, `(4,Blank,,f,f)`, `(5,Nonsense,,f,f)`, `(6,Ada,ada@example.com,f,f)`,
		`(7,Augusta,augusta@example.com,f,f)`, `(8,1000,,f,f)`, `(9,Banned,banned@example.com,f,t)`, `(10,Gone,,f,t)`, `(11,José,josé@example.com,f,f)`,
		`(12,"Another José",JOSÉ@example.com,f,f)`, `(100,Renamed,,f,f)`, `(2000,New,,f,f)`)

	// The application knows nothing of oauthdb, and may do nothing there.
	for _, sql := range []string{
		`SELECT FROM oauthdb."user"`, `SELECT oauthdb_mirror.put_user(NULL, NULL)`,
		`CREATE TRIGGER mine AFTER DELETE ON accounts.members FOR EACH ROW EXECUTE FUNCTION oauthdb_mirror.mirror_member()`,
	} {
		var e *pgconn.PgError
		if err := w.appDoes(sql); !errors.As(err, &e) || e.Code != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	w.wantRows("functions that anybody may call", `SELECT p.proname FROM pg_proc AS p
		WHERE p.pronamespace = 'oauthdb_mirror'::regnamespace AND has_function_privilege('`+w.name+`_app', p.oid, 'EXECUTE')`)
	before := w.rows(`SELECT xmin FROM oauthdb."user" WHERE id = '1'`)
	if err := w.appDoes(`UPDATE accounts.members SET seen_at = now(), display_name = display_name`); err != nil {
		t.Fatal(err)
	}
	w.wantRows("a user whose member was seen", `SELECT xmin FROM oauthdb."user" WHERE id = '1'`, before...)

	// What it is refused, it is refused in words.
	w.told("a taken address", w.appDoes(`INSERT INTO accounts.members VALUES (3000, 'Grace', 'GRACE@example.com')`), "23505", "member 3000 can't have the e-mail address of member 1")
	w.told("a taken address", w.appDoes(`UPDATE accounts.members SET email = 'GRACE@example.com' WHERE id = 6`), "23505", "member 6 can't have the e-mail address of member 1")
	w.told("another id", w.appDoes(`UPDATE accounts.members SET id = 3000 WHERE id = 6`), "23001", "id of member 6 can't be changed")
	w.told("TRUNCATE", w.appDoes(`TRUNCATE accounts.members`), "23001", "accounts.members can't be truncated")
	first, err := w.app.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Exec(ctx, `INSERT INTO accounts.members VALUES (3001, 'First', 'both@example.com')`); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		second <- w.appDoes(`INSERT INTO accounts.members VALUES (3002, 'Second', 'BOTH@example.com')`)
	}()
	fixture.Within(t, time.Minute, "the second waits for the first", func() bool {
		var n int
		err := w.super.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'`, w.name).Scan(&n)
		return err == nil && n == 1
	})
	if err := first.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	w.told("an address that somebody takes at the same moment", <-second, "23505", "address of member 3002")
	for what, sql := range map[string]string{
		"dropping a column that is copied": `ALTER TABLE accounts.members DROP COLUMN display_name`,
		"changing the type of the id":      `ALTER TABLE accounts.members ALTER COLUMN id TYPE text`,
	} {
		var e *pgconn.PgError
		if _, err := w.admin.Exec(ctx, sql); !errors.As(err, &e) || e.Code != "2BP01" && e.Code != "0A000" {
			t.Errorf("%s: %v", what, err)
		}
	}

	// Bans and endings.
	access := grant(t, w.q, "1", "openid", "offline_access")
	ofSession := grant(t, w.q, "1", "openid")
	w.dies("a ban that is rolled back", access, false, func() error {
		return errors.Join(w.appDoes(`BEGIN; UPDATE accounts.members SET banned_at = now() WHERE id = 1; ROLLBACK`))
	})
	w.dies("a ban", access, true, func() error { return w.appDoes(`UPDATE accounts.members SET banned_at = now() WHERE id = 1`) })
	if r, err := w.q.CreateSession(ctx, store.CreateSessionParams{ID: "s", UserID: "1", Token: token.DigestOf("s"), Lifetime: time.Hour}); err != nil || r.Outcome != store.OutcomeSuspended {
		t.Errorf("signing in while banned: %v, %v", r.Outcome, err)
	}
	if err := w.appDoes(`UPDATE accounts.members SET banned_at = NULL WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	if active(t, w.q, access) || active(t, w.q, ofSession) {
		t.Error("a grant came back when the ban was lifted")
	}
	w.wantRows("sessions that came back when the ban was lifted", `SELECT s.id FROM oauthdb.session AS s JOIN oauthdb."user" AS u ON u.id = s.user_id
		WHERE u.id = '1' AND oauthdb.session_is_live(s, u)`)
	access = grant(t, w.q, "1", "openid")
	if _, err := w.q.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: "1"}); err != nil { // its functions find their tables in the schema
		t.Fatal(err)
	}
	if active(t, w.q, access) {
		t.Error("the end of the session didn't reach the token")
	}
	if _, err := w.q.SuspendUser(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	if err := w.appDoes(`UPDATE accounts.members SET display_name = 'Grace Hopper' WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	if u := w.user("1"); u.Name != "Grace Hopper" || u.SuspendedAt == nil {
		t.Errorf("a suspended user who is renamed: %+v", u)
	}
	if err := w.appDoes(`UPDATE accounts.members SET banned_at = now() WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	if err := w.appDoes(`UPDATE accounts.members SET banned_at = NULL, email = NULL WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	if u := w.user("1"); u.SuspendedAt != nil || u.Email != nil || u.EmailVerified {
		t.Errorf("a user whose ban is lifted, and whose address is gone: %+v", u)
	}
	access = grant(t, w.q, "2", "openid", "offline_access")
	w.dies("a member who is deleted softly", access, true, func() error { return w.appDoes(`UPDATE accounts.members SET deleted_at = now() WHERE id = 2`) })

	access = grant(t, w.q, "6", "openid", "offline_access")
	owned := store.NewClientID()
	if _, err := w.q.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: owned, UserID: new(store.UserID("6")), RedirectURIs: []string{"https://client.example/callback"}, Public: new(true),
	}); err != nil {
		t.Fatal(err)
	}
	w.dies("a member who is deleted", access, true, func() error { return w.appDoes(`DELETE FROM accounts.members WHERE id = 6`) })
	if err := w.appDoes(`INSERT INTO accounts.members VALUES (3003, 'Ada', 'ada@example.com')`); err != nil {
		t.Errorf("the address of a member who was deleted: %v", err)
	}
	w.told("the id of a member who was deleted", w.appDoes(`INSERT INTO accounts.members VALUES (6, 'Somebody', NULL)`), "23505", "id of member 6 belonged")
	w.collect()
	if c, err := w.q.GetClient(ctx, owned); !db.IsNotFound(err) {
		t.Errorf("a client of a member who was deleted: %+v, %v", c, err)
	}
	if err := w.appDoes(`INSERT INTO accounts.members VALUES (6, 'Somebody', NULL)`); err != nil {
		t.Errorf("the id of a member, once everything of it is erased: %v", err)
	}

	// As the page has it in Go, and a user who is deleted here alone.
	access = grant(t, w.q, "7", "openid", "offline_access")
	pool, id := w.auth, "7"
	w.dies("a member who is deleted with the user", access, true, func() error {
		return db.InTx(ctx, pool, db.TxOptions{}, func(tx pgx.Tx) error {
			if _, err := store.New(tx).DeleteUser(ctx, store.UserID(id)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DELETE FROM accounts.members WHERE id::text = $1`, id)
			return err
		})
	})
	if _, err := w.q.DeleteUser(ctx, "11"); err != nil {
		t.Fatal(err)
	}
	if err := w.appDoes(`UPDATE accounts.members SET display_name = 'Joseph', banned_at = now() WHERE id = 11`); err != nil {
		t.Errorf("renaming a member whose user was deleted: %v", err)
	}
	w.mustPaste(w.block(backfill, 0))
	if _, err := w.q.GetUser(ctx, "11"); !db.IsNotFound(err) {
		t.Errorf("a user who was deleted came back: %v", err)
	}

	// What the triggers haven't seen is found.
	off, on, found := strings.Cut(w.block(backfill, 2), "-- COPY accounts.members FROM …")
	if !found {
		t.Fatal("the bulk load isn't as it was")
	}
	w.mustPaste(off)
	w.exec(w.admin, `INSERT INTO accounts.members VALUES (4000, 'Loaded', 'loaded@example.com')`)
	w.exec(w.admin, `UPDATE accounts.members SET banned_at = now() WHERE id = 12`)
	w.exec(w.admin, `UPDATE accounts.members SET email_confirmed_at = now() WHERE id = 3001`)
	w.exec(w.admin, `DELETE FROM accounts.members WHERE id = 100`)
	w.mustPaste(on)
	missed := []string{`("a member whose user was deleted",11)`, `("a user without a member",100)`}
	w.wantRows("what a bulk load leaves", w.block(backfill, 1), append(slices.Clone(missed), `("not copied, or differs",12)`,
		`("not copied, or differs",3001)`, `("not copied, or differs",4000)`)...)
	w.mustPaste(w.block(backfill, 0))
	w.wantRows("what copying leaves of it", w.block(backfill, 1), missed...)

	// Replication applies rows with session_replication_role = replica.
	replicated := func(sql string) {
		w.exec(w.super, `SET session_replication_role = replica; `+sql+`; RESET session_replication_role`)
	}
	replicated(`INSERT INTO accounts.members VALUES (5000, 'Replicated', NULL)`)
	w.mustPaste(w.block(backfill, 3))
	replicated(`INSERT INTO accounts.members VALUES (5001, 'Replicated', NULL)`)
	w.wantRows("what replication leaves", w.block(backfill, 1), append(slices.Clone(missed), `("not copied, or differs",5000)`)...)
	w.mustPaste(w.block(backfill, 0))

	// The application is never refused.
	w.mustPaste(w.block("If the application must never be refused", 0))
	if err := w.appDoes(`INSERT INTO accounts.members VALUES (6000, 'Loaded, too', 'LOADED@example.com', now())`); err != nil {
		t.Error(err)
	}
	if u := w.user("6000"); u.Email != nil || u.EmailVerified {
		t.Errorf("a member whose address somebody has: %+v", u)
	}
	w.wantRows("an address that somebody has", w.block(backfill, 1), missed...)
	if err := w.appDoes(`UPDATE accounts.members SET email = NULL WHERE id = 4000`); err != nil {
		t.Error(err)
	}
	w.wantRows("an address that somebody had", w.block(backfill, 1), append(slices.Clone(missed), `("not copied, or differs",6000)`)...)
	w.mustPaste(w.block(backfill, 0))
	if u := w.user("6000"); u.Email == nil || !u.EmailVerified {
		t.Errorf("a member whose address somebody had: %+v", u)
	}

	w.mustPaste(w.block("Taking it away", 0))
	if err := w.appDoes(`TRUNCATE accounts.members`); err != nil {
		t.Error(err)
	}

	// Other types of id: the same blocks once more.
	for kind, id := range map[string]string{"uuid": "0190a3c0-7c3e-7d4a-8f11-2b3c4d5e6f70", "text": "grace", "integer": "70001"} {
		w.exec(w.admin, `DROP TABLE accounts.members`)
		w.exec(w.admin, `CREATE TABLE accounts.members (id `+kind+` PRIMARY KEY, display_name text, email text, email_confirmed_at timestamptz,
			banned_at timestamptz, deleted_at timestamptz)`)
		w.exec(w.admin, `INSERT INTO accounts.members (id, display_name) VALUES ('`+id+`', '`+kind+`')`)
		for _, block := range []string{
			w.block("A schema and a role", 0), w.block("What is copied", 0), w.block(triggers, 0), w.block(backfill, 0),
		} {
			w.mustPaste(block)
		}
		if u := w.user(store.UserID(id)); u.Name != kind {
			t.Errorf("a member with an id of type %s: %+v", kind, u)
		}
		w.mustPaste(w.block("Taking it away", 0))
	}

	for _, heading := range slices.Sorted(maps.Keys(w.blocks)) {
		if n := len(w.run[heading]); n != len(w.blocks[heading]) {
			t.Errorf("of %d blocks of SQL under %q, %d were run", len(w.blocks[heading]), heading, n)
		}
	}
}

// dies checks whether what is done ends a token.
func (w *town) dies(what string, access token.Digest, want bool, do func() error) {
	w.Helper()
	if err := do(); err != nil {
		w.Fatalf("%s: %v", what, err)
	}
	if got := !active(w.T, w.q, access); got != want {
		w.Errorf("%s: the token is dead: %t, want %t", what, got, want)
	}
}

// collect erases what has ended.
func (w *town) collect() {
	w.Helper()
	c := db.NewCollector(w.q, db.CollectorOptions{Retention: -1})
	for range 3 { // what one pass marks, the next one deletes
		if _, err := c.Collect(w.Context()); err != nil {
			w.Fatal(err)
		}
	}
}
