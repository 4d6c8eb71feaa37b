package db_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/pgbouncer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
)

// Realms share a database, and nothing else: each has its own schema, and a pool works in one of them or not at all.
func TestRealmsAreASchemaEach(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	runSQL(t, d.URL, `CREATE SCHEMA "Realm b"; CREATE SCHEMA bare`)
	conn, err := sql.Open("pgx", d.URL+`&search_path=%22Realm%20b%22`)
	must(err)
	_, err = migrations.Up(t.Context(), conn, migrations.Options{})
	must(err)
	must(conn.Close())

	user := func(o db.Options, address string) (store.UserID, error) {
		pool, err := db.Open(t.Context(), address, o)
		if err != nil {
			return "", err
		}
		defer pool.Close()
		u, err := store.New(pool).CreateUser(t.Context(), store.CreateUserParams{ID: store.NewUserID(), Name: "Ada", Email: new("ada@example.com")})
		return u.ID, err
	}
	inPublic, err := user(db.Options{Schema: "public"}, d.URL)
	must(err)
	inRealm, err := user(db.Options{Schema: "Realm b"}, d.URL+"&search_path=public") // the option wins
	if err != nil {
		t.Fatalf("the address is taken in another realm: %v", err)
	}
	for schema, want := range map[string]store.UserID{"public": inPublic, "Realm b": inRealm} {
		pool, err := db.Open(t.Context(), d.URL, db.Options{Schema: schema})
		must(err)
		found, err := store.New(pool).FindUserByEmail(t.Context(), "ada@example.com")
		if err != nil || found.ID != want {
			t.Errorf("%s has %s, %v, want %s", schema, found.ID, err, want)
		}
		pool.Close()
	}

	refused := func(o db.Options, address, why string) {
		t.Helper()
		if _, err := user(o, address); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%+v: %v, want %q", o.Schema, err, why)
		}
	}
	refused(db.Options{Schema: "nowhere"}, d.URL, "there is no oauthdb in the schema nowhere")
	refused(db.Options{Schema: "bare"}, d.URL, "there is no oauthdb in the schema bare")
	// Nothing is sent through a pooler, so the role has to have it.
	pooled := pgbouncer.Start(t, d.URL, pgbouncer.Options{})
	refused(db.Options{Schema: "Realm b", PgBouncer: true}, pooled, "not in the schema Realm b: ALTER ROLE")
	alterRole(t, d.URL, `SET search_path = "Realm b"`)
	refused(db.Options{Schema: "public", PgBouncer: true}, pgbouncer.Start(t, d.URL, pgbouncer.Options{}), "not in the schema public")
	pool, err := db.Open(t.Context(), pgbouncer.Start(t, d.URL, pgbouncer.Options{}), db.Options{Schema: "Realm b", PgBouncer: true})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if found, err := store.New(pool).FindUserByEmail(t.Context(), "ada@example.com"); err != nil || found.ID != inRealm {
		t.Errorf("through the pooler: %s, %v", found.ID, err)
	}
}
