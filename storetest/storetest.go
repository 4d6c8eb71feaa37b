package storetest

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/peterldowns/pgtestdb"

	"github.com/oauthdb/oauthdb/db"
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
type Option func(*config)

type config struct {
	maxConns   int32
	timeZone   string
	tracer     pgx.QueryTracer
	migrations fs.FS // nil for none
	patience   time.Duration
}

// MaxConns bounds the pool to n connections, 1 or more. The default is 4: connections
// are opened as they are needed, but the server has to hold those of all tests that run
// at once.
func MaxConns(n int) Option { return func(c *config) { c.maxConns = int32(n) } }

// TimeZone is that of the pool's sessions, by the name PostgreSQL has for it. The default
// is Asia/Kathmandu, 5:45 hours ahead of UTC.
func TimeZone(name string) Option { return func(c *config) { c.timeZone = name } }

// Tracer hears of everything that the pool's connections run, for tests that count
// round trips or look at what is sent.
func Tracer(t pgx.QueryTracer) Option { return func(c *config) { c.tracer = t } }

// Migrations adds a server's own tables: the goose migrations in the root of fsys, applied
// after those of oauthdb and recorded in goose_db_version. They are part of the template,
// so they too run once for each state of the files. Given twice, the second counts.
func Migrations(fsys fs.FS) Option {
	return func(c *config) { c.migrations = fsys }
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
	c := config{maxConns: 4, timeZone: "Asia/Kathmandu", patience: 5 * time.Second}
	for _, o := range opts {
		o(&c)
	}
	server, err := server(t.Context())
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	database := pgtestdb.Custom(reporter{t}, server, migrator{c.migrations})

	url := database.URL()
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	pc.MaxConns = c.maxConns
	pc.ConnConfig.RuntimeParams["timezone"] = c.timeZone
	pc.ConnConfig.Tracer = c.tracer
	// Values are read as on a pool of db.Open. What else that does, its limits, a test asks for itself.
	pc.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		db.RegisterTypes(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), pc)
	if err != nil {
		t.Fatalf("storetest: opening a pool: %v", err)
	}
	// Cleanups run last in, first out: the pool is closed before the database is dropped.
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			pool.Close() // waits for what was acquired
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(c.patience):
			t.Errorf("storetest: %d connections were acquired from the pool and not released: Rows not closed, or a transaction not ended",
				pool.Stat().AcquiredConns())
		}
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), c.patience)
			defer cancel()
			if err := keep(ctx, *database, t.Name()); err != nil {
				t.Logf("storetest: marking the database to be kept: %v", err)
			}
			t.Logf("storetest: the database is kept: psql '%s'", url)
		}
	})
	return &DB{Pool: pool, Store: store.New(pool), URL: url}
}

// reporter passes on what pgtestdb has to say, except for the address of each database,
// which is of interest only once a test has failed.
type reporter struct{ testing.TB }

func (r reporter) Logf(format string, args ...any) {
	if format != "testdbconf: %s" {
		r.Helper()
		r.TB.Logf(format, args...)
	}
}

func (r reporter) Fatalf(format string, args ...any) {
	r.Helper()
	r.TB.Fatalf("storetest: "+format, args...)
}
