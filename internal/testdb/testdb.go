// Package testdb gives a test a migrated database of its own. Package storetest is built on it. The tests of this module use
// it directly, because storetest is a module that depends on this one.
package testdb

import (
	"cmp"
	"context"
	"io/fs"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/pgbouncer"
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

// Pooled reports whether databases are reached through PgBouncer, as the environment variable PGBOUNCER says, which names the
// pool_mode. A session of the server is then not that of a connection.
func Pooled() bool { return os.Getenv("PGBOUNCER") != "" }

// Options alter what [New] sets up. The zero value is that of most tests.
type Options struct {
	// MaxConns bounds the pool; 0 means 4. Connections are opened as they are needed.
	MaxConns int32

	// TimeZone is that of the pool's sessions; "" means Asia/Kathmandu, 5:45 hours ahead of UTC.
	TimeZone string

	// Settings are run-time parameters of the pool's sessions.
	Settings map[string]string

	// Tracer traces everything that the pool's connections run; it may be nil.
	Tracer pgx.QueryTracer

	// Migrations are goose migrations that the template has after those of oauthdb; nil for none.
	Migrations fs.FS

	patience time.Duration // with connections that are not released; 0 means 5 seconds
}

// New creates a database for t and drops it when t ends, together with the connections
// that are still open to it. If t has failed by then, the database is kept. New fails t
// when there is no database to be had; the first call in a clone may start a server and
// take seconds, later ones tens of milliseconds.
//
// t also fails if it ends with a connection that was acquired from the pool and is not
// released within 5 seconds: Rows not closed, a transaction neither committed nor rolled
// back.
func New(t testing.TB, o Options) *DB {
	t.Helper()
	maxConns, timeZone, patience := cmp.Or(o.MaxConns, 4), cmp.Or(o.TimeZone, "Asia/Kathmandu"), cmp.Or(o.patience, 5*time.Second)
	database, err := clone(t.Context(), migrator{o.Migrations})
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	url := database.URL()
	t.Cleanup(func() { // the last to run
		if t.Failed() {
			return // and it is kept
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := drop(ctx, database.Database); err != nil {
			t.Errorf("test database: dropping it: %v", err)
		}
	})
	params, direct, mode := o.Settings, url, os.Getenv("PGBOUNCER")
	if mode != "" {
		if err := setForAll(t.Context(), database, o.Settings); err != nil {
			t.Fatalf("test database: %v", err)
		}
		url = pgbouncer.Start(t, url, pgbouncer.Options{Mode: mode, PoolSize: int(maxConns) + 4}) // tests connect beside the pool, too
		params = nil
	}
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	pc.MaxConns = maxConns
	pc.ConnConfig.RuntimeParams["timezone"] = timeZone
	maps.Copy(pc.ConnConfig.RuntimeParams, params)
	if mode != "" { // as with db.Options.PgBouncer; without a name of its own, a connection has that of the session's last client
		pc.ConnConfig.RuntimeParams["application_name"] = "oauthdb test"
		pc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	pc.ConnConfig.Tracer = o.Tracer
	// Values are read as on a pool of db.Open. What else that does, its limits, a test asks for itself.
	pc.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		db.RegisterTypes(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), pc)
	if err != nil {
		t.Fatalf("test database: opening a pool: %v", err)
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
		case <-time.After(patience):
			t.Errorf("test database: %d connections were acquired from the pool and not released: Rows not closed, or a transaction not ended",
				pool.Stat().AcquiredConns())
		}
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
			defer cancel()
			if err := keep(ctx, database, t.Name()); err != nil {
				t.Logf("marking the test database to be kept: %v", err)
			}
			t.Logf("the test database is kept: psql '%s'", direct)
		}
	})
	return &DB{Pool: pool, Store: store.New(pool), URL: url}
}
