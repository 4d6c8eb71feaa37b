// Package testdb gives a test a migrated database of its own. Package storetest is built on it. The tests of this module use
// it directly, because storetest is a module that depends on this one.
package testdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

	// Roles gives the roles of package roles their privileges, and lets the pool's connections act as the one that a context
	// names: see [As]. They are called as the owner, with _application, _collector, _auditor and _peer behind it. An UPDATE by the
	// application or the collector fails if it leaves updated_at as it was.
	Roles bool

	// Fill writes what each database has in its tables from the beginning; nil for nothing.
	Fill *Fill

	patience time.Duration // with connections that are not released; 0 means 5 seconds
	shelf    *shelf        // nil means handedOn
}

// Fill fills the tables of a template.
type Fill struct {
	// ID changes when Rows would write something else.
	ID string

	// Rows writes the rows, as the owner of the tables. It runs once for each ID.
	Rows func(context.Context, *pgxpool.Pool) error
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
	o.MaxConns, o.TimeZone, o.patience = cmp.Or(o.MaxConns, 4), cmp.Or(o.TimeZone, "Asia/Kathmandu"), cmp.Or(o.patience, 5*time.Second)
	if o.shelf == nil {
		o.shelf = &handedOn
	}
	kind := o.kind()
	d := o.shelf.take(kind)
	if d == nil {
		var err error
		if d, err = create(t, o, kind); err != nil {
			t.Fatalf("test database: %v", err)
		}
	}
	d.tracer.of.Store(&o.Tracer)
	t.Cleanup(func() { d.end(t, o.patience) })
	return &DB{Pool: d.pool, Store: store.New(d.pool), URL: d.url}
}

// database is a database and the pool that is open on it.
type database struct {
	conf   conf
	url    string // of the pool
	pool   *pgxpool.Pool
	kind   string  // of the pool
	keeper *keeper // nil if it can't be handed on
	shelf  *shelf
	tracer tracer
}

// create makes a database. Where the tests hand theirs on, it gets a keeper.
func create(t testing.TB, o Options, kind string) (*database, error) {
	t.Helper()
	ctx := t.Context()
	c, err := clone(ctx, migrator{o.Migrations, o.Roles, o.Fill})
	if err != nil {
		return nil, err
	}
	d := &database{conf: c, url: c.URL(), kind: kind, shelf: o.shelf}
	if mode := os.Getenv("PGBOUNCER"); mode != "" {
		if err := setForAll(ctx, c, o.Settings); err != nil {
			return nil, err
		}
		d.url = pgbouncer.Start(t, d.url, pgbouncer.Options{Mode: mode, PoolSize: int(o.MaxConns) + 4}) // tests connect beside the pool, too
	}
	pc, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return nil, err
	}
	pc.MaxConns = o.MaxConns
	pc.ConnConfig.RuntimeParams["timezone"] = o.TimeZone
	if Pooled() { // as with db.Options.PgBouncer; without a name of its own, a connection has that of the session's last client
		pc.ConnConfig.RuntimeParams["application_name"] = "oauthdb test"
		pc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		maps.Copy(pc.ConnConfig.RuntimeParams, o.Settings)
	}
	if pc.ConnConfig.Tracer = o.Tracer; o.Tracer != nil && kind != "" {
		pc.ConnConfig.Tracer = &d.tracer
	}
	// Values are read as on a pool of db.Open. What else that does, its limits, a test asks for itself.
	pc.AfterConnect = registerTypes
	if o.Roles && !Pooled() { // a session has the role
		pc.PrepareConn = actAs
	}
	if d.keeper, err = keeperOf(ctx, d); err != nil {
		return nil, fmt.Errorf("looking at what is in it: %w", err)
	}
	if d.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("opening a pool: %w", err)
	}
	return d, nil
}

func registerTypes(_ context.Context, conn *pgx.Conn) error {
	db.RegisterTypes(conn.TypeMap())
	return nil
}

// end hands the database on or drops it, with the connections that are still open to it. That of a test which has failed is kept.
func (d *database) end(t testing.TB, patience time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	acquired := func() int32 { return d.pool.Stat().AcquiredConns() }
	for deadline := time.Now().Add(patience); acquired() > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if n := acquired(); n > 0 {
		t.Errorf("test database: %d connections were acquired from the pool and not released: Rows not closed, or a transaction not ended", n)
	}
	if !t.Failed() {
		if surplus := d.handOn(ctx); surplus != nil {
			if err := surplus.drop(ctx); err != nil {
				t.Errorf("test database: dropping it: %v", err)
			}
		}
		return
	}
	if err := d.keeper.close(ctx); err != nil {
		t.Logf("test database: %v", err)
	}
	if acquired() == 0 {
		d.pool.Close()
	} else {
		go d.pool.Close() // waits for what was acquired
	}
	if err := keep(ctx, d.conf, t.Name()); err != nil {
		t.Logf("marking the test database to be kept: %v", err)
	}
	t.Logf("the test database is kept: psql '%s'", d.conf.URL())
}

// drop closes the pool and drops the database.
func (d *database) drop(ctx context.Context) error {
	d.pool.Close()
	return errors.Join(d.keeper.close(ctx), drop(ctx, d.conf.Database))
}
