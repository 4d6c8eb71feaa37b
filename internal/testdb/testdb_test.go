package testdb

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/leak"
	"github.com/oauthdb/oauthdb/store"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := New(t, Options{})
			// The address is unique, so this succeeds in an empty database only.
			u, err := db.Store.CreateUser(t.Context(), store.CreateUserParams{ID: "user_1", Name: "Ada", Email: new("ada@example.com")})
			must(t, err)
			if u.ID != "user_1" {
				t.Errorf("got %v", u)
			}
		})
	}
}

func TestTestsRunAsAPlainRole(t *testing.T) {
	t.Parallel()
	db := New(t, Options{})
	var privileged, owner bool
	must(t, db.Pool.QueryRow(t.Context(), `
		SELECT r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls, d.datdba = r.oid
		FROM pg_roles AS r, pg_database AS d
		WHERE r.rolname = current_user AND d.datname = current_database()`).Scan(&privileged, &owner))
	if privileged || !owner {
		t.Errorf("privileged: %v, owner of the database: %v", privileged, owner)
	}

	conn, err := pgx.Connect(t.Context(), db.URL)
	must(t, err)
	defer conn.Close(t.Context())
	if err := suits(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "superuser") {
		t.Errorf("a plain role will do: %v", err)
	}
}

func TestTheTimeZoneIsOddUnlessAskedFor(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string]Options{"Asia/Kathmandu": {}, "America/St_Johns": {TimeZone: "America/St_Johns"}} {
		var got string
		must(t, New(t, opts).Pool.QueryRow(t.Context(), "SHOW TimeZone").Scan(&got))
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestThePoolIsAsAskedFor(t *testing.T) {
	t.Parallel()
	var c counter
	db := New(t, Options{MaxConns: 23, Tracer: &c})
	if got := db.Pool.Config().MaxConns; got != 23 {
		t.Errorf("%d connections", got)
	}
	_, err := db.Pool.Exec(t.Context(), "SELECT")
	must(t, err)
	if got := c.n.Load(); got != 1 {
		t.Errorf("the tracer heard of %d queries, want 1", got)
	}
	if got := New(t, Options{}).Pool.Config().MaxConns; got != 4 {
		t.Errorf("%d connections by default", got)
	}
}

func TestAServersOwnMigrationsFollow(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{"1_notes.sql": {Data: []byte(`-- +goose Up
CREATE TABLE note (user_id user_id NOT NULL REFERENCES "user" (id));
`)}}
	for range 2 {
		_, err := New(t, Options{Migrations: fsys}).Pool.Exec(t.Context(), "SELECT FROM note")
		must(t, err)
	}
	with, err := migrator{own: fsys}.hash()
	must(t, err)
	plain, err := migrator{}.hash()
	must(t, err)
	fsys["1_notes.sql"].Data = append(fsys["1_notes.sql"].Data, "-- changed\n"...)
	changed, err := migrator{own: fsys}.hash()
	must(t, err)
	if with == plain || with == changed {
		t.Errorf("one template for different migrations: %s, %s, %s", plain, with, changed)
	}
}

func TestATemplateIsMadeOnceAndAnewIfItFailedHalfWay(t *testing.T) {
	t.Parallel()
	s, err := server(t.Context())
	must(t, err)
	admin := admin(t)
	name := "testdb_tpl_" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		for _, sql := range []string{"ALTER DATABASE %s IS_TEMPLATE false", "DROP DATABASE %s"} {
			_, err := admin.Exec(context.Background(), fmt.Sprintf(sql, quoted(name)))
			must(t, err)
		}
	})
	broken := migrator{own: fstest.MapFS{"1_broken.sql": {Data: []byte("-- +goose Up\nSELECT nothing;\n")}}}
	if err := s.makeTemplate(t.Context(), name, broken); err == nil {
		t.Fatal("broken migrations make a template")
	}
	must(t, s.makeTemplate(t.Context(), name, migrator{}))
	must(t, s.makeTemplate(t.Context(), name, broken)) // it is there, so nothing is run
	var marked bool
	must(t, admin.QueryRow(t.Context(), "SELECT datistemplate FROM pg_database WHERE datname = $1", name).Scan(&marked))
	if !marked {
		t.Error("it is not marked as complete")
	}
}

// pretended is a test whose end can be watched.
type pretended struct {
	testing.TB
	cleanups []func()
	failed   bool
	said     strings.Builder
}

func (p *pretended) Cleanup(f func())                  { p.cleanups = append(p.cleanups, f) }
func (p *pretended) Failed() bool                      { return p.failed }
func (p *pretended) Logf(format string, args ...any)   { fmt.Fprintf(&p.said, format+"\n", args...) }
func (p *pretended) Errorf(format string, args ...any) { p.failed = true; p.Logf(format, args...) }
func (p *pretended) Fatalf(format string, args ...any) { p.TB.Fatalf(format, args...) }

func (p *pretended) end() {
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i]()
	}
}

// admin connects to the server as its superuser.
func admin(t *testing.T) *pgx.Conn {
	t.Helper()
	u, err := devdb.URL(t.Context(), devdb.Options{Kind: devdb.Test})
	must(t, err)
	conn, err := pgx.Connect(t.Context(), u)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exists(t *testing.T, admin *pgx.Conn, db *DB) bool {
	t.Helper()
	var found bool
	must(t, admin.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", nameOf(db)).Scan(&found))
	return found
}

func nameOf(db *DB) string { return db.Pool.Config().ConnConfig.Database }

func dropNow(t *testing.T, admin *pgx.Conn, db *DB) {
	t.Helper()
	_, err := admin.Exec(t.Context(), "DROP DATABASE IF EXISTS "+pgx.Identifier{nameOf(db)}.Sanitize()+" WITH (FORCE)")
	must(t, err)
}

func TestTheDatabaseGoesWhenTheTestPasses(t *testing.T) {
	t.Parallel()
	admin := admin(t)
	p := &pretended{TB: t}
	db := New(p, Options{})
	must(t, db.Pool.Ping(t.Context()))
	leaked, err := pgx.Connect(t.Context(), db.URL) // not the pool's, and not closed
	must(t, err)
	if !exists(t, admin, db) {
		t.Error("it is not there")
	}
	p.end()
	if exists(t, admin, db) {
		t.Error("it is still there")
	}
	if p.said.Len() > 0 {
		t.Errorf("a passing test says %q", p.said.String())
	}
	leaked.Close(t.Context())
}

func TestTheDatabaseStaysWhenTheTestFails(t *testing.T) {
	t.Parallel()
	admin := admin(t)
	p := &pretended{TB: t}
	db := New(p, Options{})
	p.failed = true
	p.end()
	if !exists(t, admin, db) {
		t.Fatal("it is gone")
	}
	defer dropNow(t, admin, db)
	if want := "psql '" + db.URL + "'"; !strings.Contains(p.said.String(), want) {
		t.Errorf("the test says %q, without %q", p.said.String(), want)
	}
	if conn, err := pgx.Connect(t.Context(), db.URL); err != nil {
		t.Error(err)
	} else {
		conn.Close(t.Context())
	}
}

func TestAConnectionThatIsNotReleasedFailsTheTest(t *testing.T) {
	t.Parallel()
	admin := admin(t)
	p := &pretended{TB: t}
	db := New(p, Options{patience: 50 * time.Millisecond})
	conn, err := db.Pool.Acquire(t.Context())
	must(t, err)
	p.end()
	if !p.failed || !strings.Contains(p.said.String(), "1 connections were acquired") {
		t.Errorf("the test says %q", p.said.String())
	}
	conn.Release()
	dropNow(t, admin, db)
}

func TestWhatFailedTestsLeftIsDroppedInTime(t *testing.T) {
	c, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test})
	must(t, err)
	if c.External {
		t.Skip("only on a server that devdb runs")
	}
	admin := admin(t)
	create := func(age time.Duration, fail bool) *DB {
		p := &pretended{TB: t, failed: fail}
		db := New(p, Options{})
		must(t, db.Pool.Ping(t.Context()))
		if fail {
			p.end()
		} else {
			db.Pool.Close() // as if the process had been killed
		}
		var oid uint32
		must(t, admin.QueryRow(t.Context(), "SELECT oid FROM pg_database WHERE datname = $1", nameOf(db)).Scan(&oid))
		then := time.Now().Add(-age)
		must(t, os.Chtimes(filepath.Join(c.DataDir, "base", fmt.Sprint(oid), "PG_VERSION"), then, then))
		return db
	}
	for _, tc := range []struct {
		what   string
		age    time.Duration
		failed bool
		stays  bool
	}{
		{"failed a day ago", 25 * time.Hour, true, false},
		{"failed now", 0, true, true},
		{"killed an hour ago", 61 * time.Minute, false, false},
		{"running", 0, false, true},
	} {
		db := create(tc.age, tc.failed)
		// A backend ends some time after its connection is closed.
		for patience := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			must(t, dropOld(t.Context(), admin))
			if got := exists(t, admin, db); tc.stays || !got || time.Now().After(patience) {
				if got != tc.stays {
					t.Errorf("%s: is there: %v", tc.what, got)
				}
				break
			}
		}
		if tc.stays {
			dropNow(t, admin, db)
		}
	}

	var dbs []*DB
	for i := range keptMost + 2 {
		dbs = append(dbs, create(time.Duration(i)*time.Second, true))
	}
	there := len(dbs)
	for patience := time.Now().Add(5 * time.Second); there > keptMost && time.Now().Before(patience); time.Sleep(20 * time.Millisecond) {
		must(t, dropOld(t.Context(), admin))
		there = 0
		for _, db := range dbs {
			if exists(t, admin, db) {
				there++
			}
		}
	}
	for _, db := range dbs {
		dropNow(t, admin, db)
	}
	// Other packages' tests may fail at this moment, and newer ones displace these.
	if there == 0 || there > keptMost {
		t.Errorf("%d of %d stay, want %d", there, len(dbs), keptMost)
	}
}

func TestAnyConnectionURLWillDo(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"postgres://postgres:postgres@localhost:5432/postgres",
		"postgresql://admin:p%40ss%3A%2F%3F%23%25w%2Br%20d@db.example:6543/odd%20name?sslmode=disable&connect_timeout=3",
		"postgres://admin:secret@[::1]:5433/postgres?sslmode=disable",
		"postgres:///postgres?host=/run/postgresql&user=admin&port=5433",
		"postgres://ad%40min@127.0.0.1/",
	} {
		want, err := pgx.ParseConfig(raw)
		must(t, err)
		conf, _, err := describe(raw)
		must(t, err)
		got, err := pgx.ParseConfig(conf.URL())
		if err != nil {
			t.Errorf("%s became something else: %v", raw, err)
			continue
		}
		if got.Host != want.Host || got.Port != want.Port || got.User != want.User || got.Password != want.Password ||
			got.Database != want.Database && want.Database != "" || got.ConnectTimeout != want.ConnectTimeout || (got.TLSConfig == nil) != (want.TLSConfig == nil) {
			t.Errorf("%s became %s", raw, conf.URL())
		}
	}
	for _, bad := range []string{"host=localhost user=admin password=secret", "postgres://admin:secret@host:port/", "postgres://admin:secret@host/?%zz"} {
		if _, _, err := describe(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestTheRoleFollowsThePassword(t *testing.T) {
	t.Parallel()
	a, err := testRole("one")
	must(t, err)
	again, err := testRole("one")
	must(t, err)
	b, err := testRole("two")
	must(t, err)
	if a != again || a.name == b.name || a.password == b.password {
		t.Errorf("got %v, %v, %v", a, again, b)
	}
	if u := url.PathEscape(a.name); u != a.name {
		t.Errorf("%s is written %s in a URL", a.name, u)
	}
}

// BenchmarkNew measures what a test pays: setting up, one query, clearing away.
func BenchmarkNew(b *testing.B) {
	one := func(b *testing.B) {
		p := &pretended{TB: b}
		if err := New(p, Options{}).Pool.Ping(b.Context()); err != nil {
			b.Error(err)
		}
		p.end()
	}
	one(b) // the template
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			one(b)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one(b)
			}
		})
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
