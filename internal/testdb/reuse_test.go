package testdb

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
)

// shelfFor is a shelf of the test's own.
func shelfFor(t *testing.T) *shelf {
	s := &shelf{}
	s.start()
	t.Cleanup(func() { must(t, s.end(context.WithoutCancel(t.Context()))) })
	return s
}

// oneTest is a test that does something in its database, and passes.
func oneTest(t *testing.T, o Options, do func(t *testing.T, db *DB)) *DB {
	t.Helper()
	p := &pretended{TB: t}
	db := New(p, o)
	_, err := db.Store.CreateUser(t.Context(), store.CreateUserParams{ID: "user_1", Name: "Ada", Email: new("ada@example.com")})
	must(t, err)
	do(t, db)
	p.end()
	return db
}

func exec(sql ...string) func(*testing.T, *DB) {
	return func(t *testing.T, db *DB) {
		t.Helper()
		for _, s := range sql {
			_, err := db.Pool.Exec(t.Context(), s)
			must(t, err)
		}
	}
}

// filled is a database that has a user from the beginning.
func filled(id string) Options {
	return Options{Fill: &Fill{ID: id, Rows: func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := store.New(pool).CreateUser(ctx, store.CreateUserParams{ID: "user_0", Name: id})
		return err
	}}}
}

func TestADatabaseIsFilled(t *testing.T) {
	t.Parallel()
	o := filled("1")
	o.shelf = shelfFor(t)
	first := oneTest(t, o, exec())
	second := New(t, o)
	if first.URL != second.URL {
		t.Error("the next test has another database")
	}
	for range 2 {
		var got string
		must(t, second.Pool.QueryRow(t.Context(), `SELECT string_agg(id || ' ' || name, ', ') FROM "user"`).Scan(&got))
		if got != "user_0 1" {
			t.Errorf("users: %s", got)
		}
		second = New(t, filled("1"))
	}
}

func TestADatabaseIsHandedOnAsIfItWereNew(t *testing.T) {
	t.Parallel()
	events := Options{Settings: map[string]string{"oauthdb.events": "on"}, MaxConns: 3}
	fresh := New(t, events)
	exec("SELECT")(t, fresh)
	for name, do := range map[string]func(*testing.T, *DB){
		"rows":                    exec(),
		"rows that refer to rows": exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ('s', 'user_1', repeat('x', 43), now() + '1 hour')`),
		"numbers of a sequence":   exec(`SELECT nextval(seqrelid) FROM pg_sequence`),
		"a setting":               exec(`SET TIME ZONE 'UTC'`, `SET oauthdb.events = 'off'`, `SET lock_timeout = 1`),
		"an advisory lock":        exec(`SELECT pg_advisory_lock(1)`),
		"a cursor":                exec(`BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT`),
		"a channel":               exec(`LISTEN x`),
		"what is rolled back":     exec(`BEGIN; CREATE TABLE mine (); ROLLBACK`),
		"no connection":           func(_ *testing.T, db *DB) { db.Pool.Reset() },
		"connections that it opened": func(t *testing.T, db *DB) {
			var conns []func()
			for range 3 {
				c, err := db.Pool.Acquire(t.Context())
				must(t, err)
				conns = append(conns, c.Release)
			}
			for _, release := range conns {
				release()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := events
			o.shelf = shelfFor(t)
			first, second := oneTest(t, o, do), New(t, o)
			if first.URL != second.URL {
				t.Fatal("the next test has another database")
			}
			if n := second.Pool.Stat().TotalConns(); n != 1 {
				t.Errorf("it has %d connections", n)
			}
			for _, sql := range []string{
				`SELECT count(*)::text FROM "user"`,
				`SELECT count(*)::text FROM session`,
				`SELECT string_agg(coalesce(pg_sequence_last_value(seqrelid)::text, 'none'), ' ') FROM pg_sequence`,
				`SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE source IN ('session', 'client')`,
				`SELECT current_setting('TimeZone') || current_setting('oauthdb.events') || current_setting('lock_timeout')`,
				`SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
				`SELECT count(*)::text FROM pg_cursors WHERE is_holdable`,
				`SELECT count(*)::text FROM pg_listening_channels()`,
				`SELECT count(*)::text FROM oauthdb_version`,
			} {
				var got, want string
				must(t, second.Pool.QueryRow(t.Context(), sql).Scan(&got))
				must(t, fresh.Pool.QueryRow(t.Context(), sql).Scan(&want))
				if got != want {
					t.Errorf("%s: %s, in a new database %s", sql, got, want)
				}
			}
		})
	}
}

type ofPreparing struct{ counter }

func (*ofPreparing) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return ctx
}

func (*ofPreparing) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) {}

func TestADatabaseThatATestHasChangedIsNotHandedOn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		o  Options
		do func(*testing.T, *DB)
	}{
		"a table":                   {do: exec(`CREATE TABLE mine ()`)},
		"a temporary table":         {do: exec(`CREATE TEMPORARY TABLE mine ()`)},
		"a column":                  {do: exec(`ALTER TABLE session ADD mine int`)},
		"an index is missing":       {do: exec(`DROP INDEX session_user_id_idx`)},
		"a function":                {do: exec(`CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1`)},
		"a function is another":     {do: exec(`ALTER FUNCTION is_live SET jit = off`)},
		"a trigger":                 {do: exec(`ALTER TABLE session DISABLE TRIGGER USER`)},
		"a privilege":               {do: exec(`GRANT SELECT ON session TO PUBLIC`)},
		"a privilege for all":       {do: exec(`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC`)},
		"a privilege of a database": {do: exec(`DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$`)},
		"a comment":                 {do: exec(`COMMENT ON TABLE session IS 'mine'`)},
		"a setting of the database": {do: exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$`)},
		"a statement":               {do: exec(`PREPARE mine AS SELECT 1`)},
		"a row of the migrations":   {do: exec(`UPDATE oauthdb_version SET tstamp = now()`)},
		"a lot of rows":             {do: exec(`INSERT INTO "user" (id, name) SELECT 'user_' || n, repeat('x', 1000) FROM generate_series(2, 10000) AS n`)},
		"a closed pool":             {do: func(_ *testing.T, db *DB) { db.Pool.Close() }},
		"a connection of its own": {do: func(t *testing.T, db *DB) {
			conn, err := pgx.Connect(t.Context(), db.URL)
			must(t, err)
			t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
		}},
		"a row that was there is another": {o: filled("1"), do: exec(`UPDATE "user" SET name = 'x' WHERE id = 'user_0'`)},
		"a row that was there is missing": {o: filled("1"), do: exec(`DELETE FROM "user" WHERE id = 'user_0'`)},
		"a tracer of more than queries":   {o: Options{Tracer: &ofPreparing{}}, do: exec()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			admin := admin(t)
			tc.o.shelf = shelfFor(t)
			db := oneTest(t, tc.o, tc.do)
			if len(tc.o.shelf.free) > 0 || exists(t, admin, db) {
				t.Error("it is still there")
			}
		})
	}
	t.Run("another kind of pool", func(t *testing.T) {
		t.Parallel()
		s := shelfFor(t)
		first := oneTest(t, Options{shelf: s}, exec())
		for _, o := range []Options{{MaxConns: 1, shelf: s}, {TimeZone: "UTC", shelf: s}, {Settings: map[string]string{"jit": "on"}, shelf: s}} {
			if second := New(t, o); second.URL == first.URL {
				t.Errorf("the next test, which wants %+v, has the same database", o)
			}
		}
	})
	t.Run("another filling", func(t *testing.T) {
		t.Parallel()
		s := shelfFor(t)
		o := filled("1")
		o.shelf = s
		first := oneTest(t, o, exec())
		other := filled("2")
		other.shelf = s
		if second := New(t, other); second.URL == first.URL {
			t.Error("the next test has the same database")
		}
		if third := New(t, o); third.URL != first.URL {
			t.Error("the test after that has another database")
		}
	})
	t.Run("of a test that failed", func(t *testing.T) {
		t.Parallel()
		admin := admin(t)
		o := Options{shelf: shelfFor(t)}
		p := &pretended{TB: t}
		first := New(p, o)
		exec("SELECT")(t, first)
		p.failed = true
		p.end()
		defer dropNow(t, admin, first)
		if second := New(t, o); second.URL == first.URL || !exists(t, admin, first) {
			t.Error("it is not kept")
		}
	})
}

func TestATracerHearsItsOwnTestAlone(t *testing.T) {
	t.Parallel()
	var c, next counter
	s := shelfFor(t)
	first := oneTest(t, Options{Tracer: &c, shelf: s}, exec())
	second := New(t, Options{Tracer: &next, shelf: s})
	if first.URL != second.URL {
		t.Fatal("the next test has another database")
	}
	exec("SELECT", "SELECT")(t, second)
	if c.n.Load() != 1 || next.n.Load() != 2 {
		t.Errorf("the first test heard of %d statements, the second of %d", c.n.Load(), next.n.Load())
	}
	if without := New(t, Options{shelf: s}); without.URL == first.URL {
		t.Error("a test without a tracer has the same database")
	}
}

func TestNoMoreDatabasesStayThanAreKept(t *testing.T) {
	t.Parallel()
	admin := admin(t)
	s := &shelf{}
	s.start()
	var dbs []*DB
	var tests []*pretended
	for range freeMost + 1 {
		p := &pretended{TB: t}
		dbs, tests = append(dbs, New(p, Options{shelf: s})), append(tests, p)
		exec("SELECT")(t, dbs[len(dbs)-1])
	}
	there := func() (n int) {
		for _, db := range dbs {
			if exists(t, admin, db) {
				n++
			}
		}
		return n
	}
	for _, p := range tests {
		p.end()
	}
	if n := there(); n != freeMost {
		t.Errorf("%d are kept", n)
	}
	must(t, s.end(t.Context()))
	if n := there(); n != 0 {
		t.Errorf("%d are left at the end", n)
	}
}
