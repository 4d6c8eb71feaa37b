package privileges

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/migrations/roles"
	"github.com/oauthdb/oauthdb/store"
)

// installation is a database of an operator's, and what logs in there.
type installation struct {
	*testing.T
	base *url.URL
	name string // of the database, and what the names of roles begin with
}

// newInstallation makes a database that belongs to a role with CREATEROLE, as the one of a hosted PostgreSQL is: no superuser.
func newInstallation(t *testing.T) *installation {
	t.Helper()
	cluster, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test})
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(cluster.URL)
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	i := &installation{t, base, "installation_" + strings.ToLower(rand.Text()[:10])}
	super, err := pgx.Connect(t.Context(), cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for _, sql := range []string{
			`DROP DATABASE IF EXISTS ` + i.name + ` WITH (FORCE)`,
			// the admin last: it has made the others members of each other
			`DO $$ DECLARE r text; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname LIKE '` + i.name + `%' ORDER BY rolname = '` + i.name + `_admin' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP; END $$`,
		} {
			if _, err := super.Exec(ctx, sql); err != nil {
				t.Error(err)
			}
		}
		_ = super.Close(ctx)
	})
	for _, sql := range []string{
		`CREATE ROLE ` + i.name + `_admin LOGIN CREATEROLE PASSWORD 'pw'`,
		`CREATE DATABASE ` + i.name + ` OWNER ` + i.name + `_admin`,
	} {
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// as is a pool of a role that logs in with the password pw.
func (i *installation) as(role string, params ...string) *pgxpool.Pool {
	i.Helper()
	u := *i.base
	u.User, u.Path = url.UserPassword(i.name+"_"+role, "pw"), "/"+i.name
	q := u.Query()
	for p := 0; p < len(params); p += 2 {
		q.Set(params[p], params[p+1])
	}
	u.RawQuery = q.Encode()
	pool, err := db.Open(i.Context(), u.String(), db.Options{MaxConns: 2})
	if err != nil {
		i.Fatal(err)
	}
	i.Cleanup(pool.Close)
	return pool
}

// sql is a pool for package migrations.
func (i *installation) sql(pool *pgxpool.Pool) *sql.DB {
	handle := stdlib.OpenDBFromPool(pool)
	i.Cleanup(func() { _ = handle.Close() })
	return handle
}

func (i *installation) run(pool *pgxpool.Pool, script string) {
	i.Helper()
	if _, err := pool.Exec(i.Context(), script); err != nil {
		i.Fatal(err)
	}
}

func (i *installation) script(write func(roles.Options) (string, error), o roles.Options) string {
	i.Helper()
	text, err := write(o)
	if err != nil {
		i.Fatal(err)
	}
	return text
}

// An operator without a superuser installs two realms in one database, under names that have to be quoted, and upgrades them.
func TestScriptsInstallRealmsWithoutASuperuser(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	admin := i.as("admin")
	for _, schema := range []string{"public", `Realm "B" $roles$ it's \b`} {
		o := roles.Options{
			Schema: schema, Owner: i.name + `_own"er $roles$ it's \o ` + schema[:1], Application: i.name + "_Application " + schema[:1],
			Collector: i.name + "_collector" + schema[:1], Auditor: i.name + "_auditor" + schema[:1], Peer: i.name + "_peer" + schema[:1],
		}
		for range 2 {
			i.run(admin, i.script(roles.Create, o))
		}
		for member, of := range map[string]string{"m" + schema[:1]: o.Owner, "a" + schema[:1]: o.Application, "c" + schema[:1]: o.Collector, "u" + schema[:1]: o.Auditor} {
			member = i.name + "_" + member
			i.run(admin, `CREATE ROLE "`+member+`" LOGIN PASSWORD 'pw' IN ROLE `+pgx.Identifier{of}.Sanitize())
			i.run(admin, `ALTER ROLE "`+member+`" SET search_path = `+pgx.Identifier{schema}.Sanitize())
		}
		i.run(admin, `ALTER ROLE "`+i.name+"_m"+schema[:1]+`" SET role = `+pgx.Identifier{o.Owner}.Sanitize())
		owner := i.as("m" + schema[:1])
		if _, err := migrations.Up(t.Context(), i.sql(owner), migrations.Options{}); err != nil {
			t.Fatal(err)
		}
		privileges := i.script(roles.Privileges, o)
		i.run(owner, privileges)
		application, collector, auditor := i.as("a"+schema[:1]), i.as("c"+schema[:1]), i.as("u"+schema[:1])
		i.serves(application, collector, auditor)

		// what an earlier release had needed and this one doesn't
		i.run(owner, `GRANT DELETE, UPDATE (token) ON oauth_refresh_token TO `+pgx.Identifier{o.Application}.Sanitize())
		i.run(owner, privileges)
		i.serves(application, collector, auditor)
		_, err := application.Exec(t.Context(), `UPDATE oauth_refresh_token SET token = 'x'`)
		refused(t, "UPDATE after the upgrade", err)
		_, err = application.Exec(t.Context(), `DELETE FROM oauth_refresh_token`)
		refused(t, "DELETE after the upgrade", err)

		for name, pool := range map[string]*pgxpool.Pool{"application": application, "collector": collector, "auditor": auditor} {
			_, err := pool.Exec(t.Context(), `CREATE TEMPORARY TABLE session ()`)
			refused(t, name+": a temporary table", err)
			if pending, err := migrations.Pending(t.Context(), i.sql(pool), migrations.Options{}); err != nil || pending {
				t.Errorf("%s: pending %t, %v", name, pending, err)
			}
		}
	}
	for _, of := range []string{"ap", "aR"} { // one realm's server in the other's schema
		other := map[string]string{"ap": `"Realm ""B"" $roles$ it's \b"`, "aR": "public"}[of]
		_, err := i.as(of).Exec(t.Context(), `SELECT id FROM `+other+`.session`)
		refused(t, "the other realm", err)
	}
}

// serves makes some calls as each role.
func (i *installation) serves(application, collector, auditor *pgxpool.Pool) {
	i.Helper()
	w := fixture.Of(i.T, application)
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	w.Client = w.NewClient(func(c *store.CreateClientParams) { c.Public = new(true) })
	f := w.Redeem()
	w.Rotate(f.Refresh, store.OutcomeRotated)
	w.WantLive(fixture.SuccessorOf(f.Refresh))
	if _, err := db.NewCollector(store.New(collector), db.CollectorOptions{UnusedClients: time.Hour}).Collect(i.Context()); err != nil {
		i.Error(err)
	}
	var families int
	if err := auditor.QueryRow(i.Context(), `SELECT count(*) FROM oauth_authorization WHERE user_id = $1`, w.User).Scan(&families); err != nil || families != 1 {
		i.Errorf("the auditor sees %d families, %v", families, err)
	}
	_, err := w.Q.DeleteUser(i.Context(), w.User)
	w.OK(err)
}

func TestNamesThatPostgreSQLWouldCutAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []roles.Options{{Owner: strings.Repeat("o", 64)}, {Schema: "a\x00b"}} {
		if text, err := roles.Privileges(o); err == nil || text != "" {
			t.Errorf("%+v: %q, %v", o, text, err)
		}
	}
}
