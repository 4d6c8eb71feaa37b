package storetest

import (
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
)

// DB is a migrated database that belongs to one test.
type DB struct {
	// Pool connects to the database as its owner, a role without further privileges. It is
	// closed when the test ends, so a connection that was acquired has to be released
	// before.
	Pool *pgxpool.Pool

	// Store runs the calls of oauthdb on Pool.
	Store *store.Queries

	// URL connects as Pool does, except that sessions have the server's time zone. It
	// carries the password of a role that exists for tests alone.
	URL string
}

// Option alters what [New] sets up.
type Option func(*testdb.Options)

// MaxConns bounds the pool to n connections, 1 or more. The default is 4: connections
// are opened as they are needed, but the server has to hold those of all tests that run
// at once.
func MaxConns(n int) Option { return func(c *testdb.Options) { c.MaxConns = int32(n) } }

// TimeZone is that of the pool's sessions, by the name PostgreSQL has for it. The default
// is Asia/Kathmandu, 5:45 hours ahead of UTC.
func TimeZone(name string) Option { return func(c *testdb.Options) { c.TimeZone = name } }

// Setting sets a run-time parameter of the pool's sessions, such as oauthdb.events.
func Setting(name, value string) Option {
	return func(c *testdb.Options) {
		if c.Settings == nil {
			c.Settings = map[string]string{}
		}
		c.Settings[name] = value
	}
}

// Tracer traces everything that the pool's connections run, for tests that count round trips or look at what is sent.
func Tracer(t pgx.QueryTracer) Option { return func(c *testdb.Options) { c.Tracer = t } }

// Migrations adds a server's own tables: the goose migrations in the root of fsys, applied
// after those of oauthdb and recorded in goose_db_version. They are part of the template,
// so they too run once for each state of the files. Given twice, the second counts.
func Migrations(fsys fs.FS) Option {
	return func(c *testdb.Options) { c.Migrations = fsys }
}

// New creates a database for t and drops it when t ends, together with the connections
// that are still open to it. If t has failed by then, the database is kept. New fails t
// when there is no database to be had; the first call in a clone may start a server and
// take seconds, later ones tens of milliseconds.
//
// t also fails if it ends with a connection that was acquired from the pool and is not
// released within 5 seconds: Rows not closed, a transaction neither committed nor rolled
// back.
func New(t testing.TB, opts ...Option) *DB {
	t.Helper()
	var c testdb.Options
	for _, o := range opts {
		o(&c)
	}
	d := testdb.New(t, c)
	return &DB{Pool: d.Pool, Store: d.Store, URL: d.URL}
}

// Reuse returns m, whose tests hand their databases on: what a test has written is deleted, and the next test gets the database
// with its pool. A test finds what it would find in a new database, and a package with many tests is faster for it.
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Reuse(m).Run()) }
func Reuse(m *testing.M) interface{ Run() int } { return testdb.Reuse(m) }
