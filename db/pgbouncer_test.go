package db_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/pgbouncer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// ignore is a configuration that lets settings through and drops them.
func ignore(names string) pgbouncer.Options {
	return pgbouncer.Options{Settings: map[string]string{"ignore_startup_parameters": names}}
}

// alterRole changes the role's settings in the database of address.
func alterRole(t *testing.T, address, set string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	config := conn.Config()
	if _, err := conn.Exec(t.Context(), "ALTER ROLE "+pgx.Identifier{config.User}.Sanitize()+" IN DATABASE "+
		pgx.Identifier{config.Database}.Sanitize()+" "+set); err != nil {
		t.Fatal(err)
	}
}

// runSQL runs statements on a connection of their own.
func runSQL(t *testing.T, address, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
}

// A setting that is asked for and that the pooler drops would change what every call means: with search_path, which realm's tables it
// works on.
func TestSettingThatAPoolerDropsIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bouncer pgbouncer.Options
		opts    db.Options
		params  []string
		setting string // that the error names
		option  string // of PgBouncer's that it names
	}{
		"search_path": {
			bouncer: ignore("search_path"), opts: db.Options{PgBouncer: true},
			params: []string{"search_path", "realm"}, setting: "search_path", option: "ignore_startup_parameters",
		},
		"search_path in options": {
			bouncer: ignore("options"), opts: db.Options{PgBouncer: true},
			params: []string{"options", "-c geqo=on -c search_path=realm"}, setting: "search_path", option: "ignore_startup_parameters",
		},
		"search_path in session mode": {
			bouncer: pgbouncer.Options{Mode: "session", Settings: map[string]string{"ignore_startup_parameters": "search_path"}},
			opts:    db.Options{PgBouncer: true},
			params:  []string{"search_path", "realm"}, setting: "search_path", option: "ignore_startup_parameters",
		},
		"statement_timeout": {
			bouncer: ignore("statement_timeout, lock_timeout, idle_in_transaction_session_timeout"),
			opts:    db.Options{LockTimeout: -1, IdleInTransactionSessionTimeout: -1},
			setting: "statement_timeout", option: "ignore_startup_parameters",
		},
		"lock_timeout": {
			bouncer: ignore("statement_timeout, lock_timeout, idle_in_transaction_session_timeout"),
			opts:    db.Options{StatementTimeout: -1, IdleInTransactionSessionTimeout: -1},
			setting: "lock_timeout", option: "ignore_startup_parameters",
		},
		"idle_in_transaction_session_timeout": {
			bouncer: ignore("statement_timeout, lock_timeout, idle_in_transaction_session_timeout"),
			opts:    db.Options{StatementTimeout: -1, LockTimeout: -1},
			setting: "idle_in_transaction_session_timeout", option: "ignore_startup_parameters",
		},
		"a timeout in the string": {
			bouncer: ignore("statement_timeout"), opts: db.Options{PgBouncer: true},
			params: []string{"statement_timeout", "7s"}, setting: "statement_timeout", option: "ignore_startup_parameters",
		},
		"a setting of oauthdb": {
			bouncer: ignore("oauthdb.events"), opts: db.Options{PgBouncer: true},
			params: []string{"oauthdb.events", "on"}, setting: "oauthdb.events", option: "ignore_startup_parameters",
		},
		"connect_query": {
			bouncer: pgbouncer.Options{
				Settings: map[string]string{"ignore_startup_parameters": "search_path"},
				Database: "connect_query='SET search_path = realm'",
			},
			opts: db.Options{PgBouncer: true}, params: []string{"search_path", "realm"}, setting: "search_path", option: "connect_query",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testdb.New(t, testdb.Options{})
			if name == "connect_query" && scalar[bool](t, d.Pool, `SELECT current_setting('server_version_num')::int >= 180000`) {
				return // the server reports search_path, as it does for a pooler that keeps it for its client
			}
			through := pgbouncer.Start(t, d.URL, test.bouncer)
			pool, err := db.Open(t.Context(), withParams(t, through, test.params...), test.opts)
			if err == nil {
				pool.Close()
				t.Fatal("opened")
			}
			for _, part := range []string{test.setting + " = ", test.option, "ALTER ROLE oauthdb_test_", " SET " + test.setting} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if n := strings.Count(err.Error(), "db: "); n != 1 || !strings.HasPrefix(err.Error(), "db: ") {
				t.Errorf("the error is: %v", err)
			}
			if db.IsTransient(err) || db.IsTimeout(err) {
				t.Errorf("one might try again after: %v", err)
			}
		})
	}
}

// What another client's SET has left behind on one of the pooler's connections is on no other.
func TestSettingLeftBehindByAnotherClientDoesNotCount(t *testing.T) {
	t.Parallel()
	o := ignore("search_path")
	o.PoolSize = 1
	through := pgbouncer.Start(t, testdb.New(t, testdb.Options{}).URL, o)
	runSQL(t, through, "SET search_path = realm")
	pool, err := db.Open(t.Context(), withParams(t, through, "search_path", "realm"), db.Options{PgBouncer: true})
	if err == nil {
		pool.Close()
		t.Fatal("opened")
	}
	if !strings.Contains(err.Error(), "search_path = 'realm' for now") {
		t.Error(err)
	}
}

// Each connection is compared, not only the first: the configuration of a pooler may be reloaded.
func TestEveryConnectionIsCompared(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	through := pgbouncer.Start(t, address, ignore("search_path"))
	alterRole(t, address, "SET search_path = public, realm")
	pool := openPool(t, withParams(t, through, "search_path", "public, realm"), db.Options{PgBouncer: true})
	alterRole(t, address, "RESET search_path")
	runSQL(t, address, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`)
	pool.Reset()
	var err error
	for deadline := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(deadline); pool.Reset() {
		_, err = pool.Exec(t.Context(), "SELECT")
		if db.IsTransient(err) || (err != nil && strings.Contains(err.Error(), "closed")) { // PgBouncer hasn't seen yet that its server is gone
			err = nil
		}
	}
	if err == nil || !strings.Contains(err.Error(), "search_path = 'public, realm'") {
		t.Error(err)
	}
}

// Two realms of one database, each in its schema and with its role, through one PgBouncer.
func TestSettingsOfTheRoleHoldThroughAPooler(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	alterRole(t, address, "SET search_path = public, extra")
	alterRole(t, address, "SET statement_timeout = '70s'")
	through := pgbouncer.Start(t, address, ignore("search_path, statement_timeout"))
	pool := openPool(t, withParams(t, through, "search_path", "public, extra", "statement_timeout", "70000"), db.Options{PgBouncer: true})
	if got := scalar[string](t, pool, `SELECT current_setting('search_path')`); got != "public, extra" {
		t.Error(got)
	}
}

// PgBouncer keeps some settings for its client.
func TestSettingsThatAPoolerTracksAreAccepted(t *testing.T) {
	t.Parallel()
	through := pgbouncer.Start(t, testdb.New(t, testdb.Options{}).URL, pgbouncer.Options{
		PoolSize: 1, Settings: map[string]string{"application_name_add_host": "1"},
	})
	for _, zone := range []string{"America/St_Johns", "Asia/Tokyo"} {
		pool := openPool(t, withParams(t, through, "timezone", zone, "datestyle", "SQL, DMY"), db.Options{PgBouncer: true})
		for range 3 {
			if got := scalar[string](t, pool, `SELECT current_setting('timezone')`); got != zone {
				t.Error(got)
			}
		}
	}
}

// From 1.20, PgBouncer keeps further settings for its client, of those that the server reports: search_path from PostgreSQL 18.
func TestSearchPathThatAPoolerTracks(t *testing.T) {
	t.Parallel()
	if !pgbouncer.Tracks() {
		t.Skip("PgBouncer is older than 1.20")
	}
	address := testdb.New(t, testdb.Options{}).URL
	through := pgbouncer.Start(t, address, pgbouncer.Options{PoolSize: 1, Settings: map[string]string{"track_extra_parameters": "search_path"}})
	reported := scalar[int](t, openPool(t, address, db.Options{}), `SELECT current_setting('server_version_num')::int / 10000`) >= 18
	pools := map[string]*pgxpool.Pool{`"$user", public`: openPool(t, through, db.Options{PgBouncer: true})}
	for _, path := range []string{"realm_a", "realm_b"} {
		pool, err := db.Open(t.Context(), withParams(t, through, "search_path", path), db.Options{PgBouncer: true})
		if !reported {
			if err == nil || !strings.Contains(err.Error(), "track_extra_parameters") {
				t.Errorf("%s: %v", path, err)
			}
		} else if err != nil {
			t.Error(err)
		}
		if err == nil {
			t.Cleanup(pool.Close)
			pools[path] = pool
		}
	}
	for range 3 { // by turns, in one session
		for path, pool := range pools {
			if got := scalar[string](t, pool, `SELECT current_setting('search_path')`); got != path {
				t.Errorf("the search_path is %s, want %s", got, path)
			}
		}
	}
}

// However a value is written, the server's own reading of it counts. Nothing that PostgreSQL accepts is refused without a pooler.
func TestSettingsAreComparedAsTheServerReadsThem(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	for _, params := range [][]string{
		{"statement_timeout", "60000", "lock_timeout", "1min", "idle_in_transaction_session_timeout", "60 s"},
		{"search_path", `"$user",public ,  "Odd name"`},
		{"TimeZone", "america/st_johns", "DateStyle", "german", "intervalstyle", "ISO_8601"},
		{"work_mem", "8192", "geqo", "yes", "seq_page_cost", "1", "client_min_messages", "WARNING"},
		{"oauthdb.events", "on", "some.Setting", " as  it is "},
		{"default_transaction_isolation", "Repeatable Read", "default_transaction_read_only", "TRUE"},
		{"client_encoding", "utf-8"},
		{"options", `-c statement_timeout=61000 --lock-timeout=2s -csearch_path=a,\ b\\ -c work_mem=8MB -c work_mem=16MB`},
		{"options", "-e -S 1024", "work_mem", "2MB"},
		{"post_auth_delay", "0", "ignore_system_indexes", "off"}, // can't change in a session
		{"statement_timeout", "1s", "transform_null_equals", "on", "standard_conforming_strings", "off"},
	} {
		through := withParams(t, address, params...)
		pool, err := db.Open(t.Context(), through, db.Options{MaxConns: 1})
		if err != nil {
			t.Errorf("%v: %v", params, err)
			continue
		}
		pool.Close()
	}
}

// The comparison leaves nothing behind in the session, and nothing prepared on the server.
func TestComparisonLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pool := openPool(t, withParams(t, testdb.New(t, testdb.Options{}).URL, "work_mem", "8192", "oauthdb.events", "on"), db.Options{MaxConns: 1})
	if got := scalar[int](t, pool, `SELECT count(*) FROM pg_settings WHERE source = 'session'`); got != 0 {
		t.Errorf("%d settings of the session", got)
	}
	if got := scalar[int](t, pool, `SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%jsonb_each_text%'`); got != 1 { // this one
		t.Errorf("%d prepared statements", got)
	}
}

// A refusal says which option to set.
func TestRefusedStartupParameterSaysWhatToDo(t *testing.T) {
	t.Parallel()
	through := pgbouncer.Start(t, testdb.New(t, testdb.Options{}).URL, pgbouncer.Options{})
	for name, test := range map[string]struct {
		params []string
		opts   db.Options
		says   []string
		not    string
	}{
		"the defaults": {
			says: []string{"set Options.PgBouncer", "ALTER ROLE oauthdb_test_"}, not: "leave",
		},
		"a timeout in Options": {
			opts: db.Options{LockTimeout: time.Second, StatementTimeout: -1, IdleInTransactionSessionTimeout: -1},
			says: []string{"set Options.PgBouncer", "SET lock_timeout"}, not: "leave",
		},
		"search_path": {
			params: []string{"search_path", "realm"}, opts: db.Options{PgBouncer: true},
			says: []string{"leave search_path out of the connection string", "SET search_path"}, not: "Options.PgBouncer",
		},
		"a timeout in the string": {
			params: []string{"statement_timeout", "7s"}, opts: db.Options{PgBouncer: true},
			says: []string{"leave statement_timeout out of the connection string", "SET statement_timeout"}, not: "Options.PgBouncer",
		},
		"options": {
			params: []string{"options", "-c search_path=realm"}, opts: db.Options{PgBouncer: true},
			says: []string{" out of the connection string"}, not: "Options.PgBouncer", // from 1.20, PgBouncer names the setting itself
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, err := db.Open(t.Context(), withParams(t, through, test.params...), test.opts)
			if err == nil {
				pool.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), "08P01") || strings.Contains(err.Error(), test.not) || db.IsTransient(err) {
				t.Errorf("the error is: %v", err)
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
		})
	}
	openPool(t, through, db.Options{PgBouncer: true}) // as the error says
}

// What a call does in its own time: a cancelled context frees the server's connection, and a wait for a lock ends.
func TestCancelledCallEndsThroughAPooler(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	through := pgbouncer.Start(t, address, pgbouncer.Options{PoolSize: 2})
	pool := openPool(t, through, db.Options{PgBouncer: true, MaxConns: 4})
	id := store.NewUserID()
	if _, err := store.New(pool).CreateUser(t.Context(), store.CreateUserParams{ID: id, Name: "Ada"}); err != nil {
		t.Fatal(err)
	}
	holder, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.WithoutCancel(t.Context()))
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE "user" SET name = name WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := store.New(pool).SuspendUser(ctx, id)
		ended <- err
	}()
	observer := openPool(t, address, db.Options{MaxConns: 1})
	waiting := func() int {
		return scalar[int](t, observer, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	}
	until := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); waiting() != n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d statements wait, want %d", waiting(), n)
			}
		}
	}
	until(1)
	cancel()
	if err := <-ended; !db.IsCanceled(err) {
		t.Errorf("the call ended with %v", err)
	}
	until(0)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := scalar[int](t, pool, `SELECT count(*) FROM "user" WHERE suspended_at IS NOT NULL`); got != 0 {
		t.Error("the cancelled call took effect")
	}
}

// Transactions and the collector work on whichever connection of the pooler they get, and leave no lock behind on it.
func TestTransactionsAndCollectorThroughAPooler(t *testing.T) {
	t.Parallel()
	const users = 8
	address := testdb.New(t, testdb.Options{}).URL
	pool := openPool(t, pgbouncer.Start(t, address, pgbouncer.Options{PoolSize: 2}), db.Options{PgBouncer: true, MaxConns: users})
	queries := store.New(pool)
	errs := make(chan error)
	for range users {
		go func() {
			errs <- db.InTx(t.Context(), pool, db.TxOptions{}, func(tx pgx.Tx) error {
				id := store.NewUserID()
				if _, err := queries.WithTx(tx).CreateUser(t.Context(), store.CreateUserParams{ID: id, Name: "Ada"}); err != nil {
					return err
				}
				session := store.NewSessionID()
				created, err := queries.WithTx(tx).CreateSession(t.Context(), store.CreateSessionParams{
					ID: session, UserID: id, Token: token.DigestOf(string(session)), Lifetime: time.Second,
				})
				if err == nil && created.Outcome != store.OutcomeCreated {
					err = errors.New(string(created.Outcome))
				}
				return err
			})
		}()
	}
	for range users {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	runSQL(t, address, `UPDATE session SET created_at = now() - interval '90 days', expires_at = now() - interval '60 days'`)
	if done, err := db.NewCollector(queries, db.CollectorOptions{}).Collect(t.Context()); err != nil || done["session"] != users {
		t.Errorf("%d sessions, %v", done["session"], err)
	}
	direct := openPool(t, address, db.Options{})
	if left := scalar[int](t, direct, `
		SELECT count(*) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); left != 0 {
		t.Errorf("%d advisory locks", left)
	}
}

// Where PgBouncer keeps statements for its clients, they are prepared, and planned once. Where it doesn't, none is, and none is left behind.
// The position and the introspection are sent together, so a pooler in transaction mode can't part them.
func TestReplicaThroughAPooler(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	if testdb.Pooled() {
		t.Skip("there is a pooler already")
	}
	r, err := db.OpenReplica(t.Context(), pgbouncer.Start(t, d.URL, pgbouncer.Options{}), d.Pool, db.Options{PgBouncer: true, ReplicaWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 3 {
		at, err := r.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		row, err := store.New(r).IntrospectToken(db.After(t.Context(), at), store.IntrospectTokenParams{Token: token.DigestOf("x"), ClientAuthMethod: "server"})
		if err != nil || row.Outcome != store.OutcomeInactive {
			t.Errorf("%s, %v", row.Outcome, err)
		}
	}
	if s := r.Stat(); s != (db.ReplicaStat{ByStandby: 3}) {
		t.Errorf("%+v, want all answered through the pooler", s)
	}
}

func TestStatementsArePreparedWherePgBouncerKeepsThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings map[string]string
		mode     string
		keeps    bool
	}{
		"as it is installed": {keeps: pgbouncer.Keeps()},
		"session mode":       {mode: "session"}, // it passes them on as they are
		"statement mode":     {mode: "statement"},
		"turned off":         {settings: map[string]string{"max_prepared_statements": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.keeps {
				test.settings = map[string]string{"max_prepared_statements": "100"} // it is 0 in 1.21
			} else if !pgbouncer.Keeps() {
				test.settings = nil
			}
			address := testdb.New(t, testdb.Options{}).URL
			through := pgbouncer.Start(t, address, pgbouncer.Options{Mode: test.mode, PoolSize: 8, Settings: test.settings})
			pool := openPool(t, through, db.Options{PgBouncer: true, MaxConns: 4})
			q := store.New(pool)
			for range 3 { // by other connections than last time
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						row, err := q.IntrospectToken(t.Context(), store.IntrospectTokenParams{Token: token.DigestOf("x"), ClientAuthMethod: "server"})
						if err != nil || row.Outcome != store.OutcomeInactive {
							t.Errorf("%v, %v", row.Outcome, err)
						}
					})
				}
				wg.Wait()
			}
			conns := 1
			if test.mode == "session" {
				conns = 4
			}
			prepared, left := false, false
			for range conns {
				prepared = prepared || scalar[bool](t, pool, `SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE statement LIKE '-- name: IntrospectToken %')`)
				left = left || scalar[bool](t, pool, `SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE statement LIKE 'SELECT ''oauthdb%' AND name NOT LIKE 'PGBOUNCER%')`)
			}
			if prepared != test.keeps {
				t.Errorf("the call is prepared: %v, want %v", prepared, test.keeps)
			}
			if left {
				t.Error("the statement that Open has tried is still there")
			}
		})
	}
}

// What planning each call anew costs: go test ./db -run '^$' -bench ThroughPgBouncer
func BenchmarkIntrospectionThroughPgBouncer(b *testing.B) {
	d := testdb.New(b, testdb.Options{})
	settings := map[string]string{}
	if pgbouncer.Keeps() {
		settings["max_prepared_statements"] = "200"
	}
	through := pgbouncer.Start(b, d.URL, pgbouncer.Options{Settings: settings})
	for _, side := range []struct {
		name, address string
		opts          db.Options
	}{
		{"without", d.URL, db.Options{MaxConns: 1}},
		{"planned anew", through + "&default_query_exec_mode=cache_describe", db.Options{MaxConns: 1, PgBouncer: true}},
		{"kept", through, db.Options{MaxConns: 1, PgBouncer: true}},
	} {
		b.Run(side.name, func(b *testing.B) {
			if side.name == "kept" && !pgbouncer.Keeps() {
				b.Skip("PgBouncer is older than 1.21")
			}
			pool, err := db.Open(b.Context(), side.address, side.opts)
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			q := store.New(pool)
			for b.Loop() {
				if _, err := q.IntrospectToken(b.Context(), store.IntrospectTokenParams{Token: token.DigestOf("x"), ClientAuthMethod: "server"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
