package migrations

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/pgbouncer"
)

// withParameter adds a parameter to a URL.
func withParameter(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// runs are the calls that change the schema.
var runs = map[string]func(context.Context, *migrator) ([]Result, error){
	"up":     func(ctx context.Context, m *migrator) ([]Result, error) { return m.upTo(ctx, 3) },
	"down":   func(ctx context.Context, m *migrator) ([]Result, error) { return m.down(ctx) },
	"downTo": func(ctx context.Context, m *migrator) ([]Result, error) { return m.downTo(ctx, 0) },
}

// A session-level lock and settings would end up in whichever session of the pool comes next, and stay there.
func TestRunThroughATransactionPoolerIsRefusedBeforeItChangesAnything(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bouncer pgbouncer.Options
		clients int // that keep the pool busy
		loses   int // sessions that the pool may lose: idle ones
	}{
		"one session":      {bouncer: pgbouncer.Options{PoolSize: 1}},
		"several sessions": {bouncer: pgbouncer.Options{PoolSize: 4}, clients: 3, loses: 1},
		"statement mode":   {bouncer: pgbouncer.Options{Mode: "statement"}, loses: 1}, // as PgBouncer does at BEGIN
		// The idle connection gets the same session twice, and the other one another.
		"sessions by turns": {bouncer: pgbouncer.Options{PoolSize: 2, Settings: map[string]string{"server_round_robin": "1"}}, loses: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := newDatabase(t)
			direct := open(t, address)
			applied := newTestMigrator(t, direct, three(), Options{})
			if _, err := applied.upTo(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			through := open(t, withParameter(t, pgbouncer.Start(t, address, test.bouncer), "default_query_exec_mode", "cache_describe"))
			warm(t, through, max(2, test.clients))
			sessions := func() []int {
				var pids []int
				rows, err := direct.QueryContext(t.Context(), `
					SELECT pid FROM pg_stat_activity
					WHERE datname = current_database() AND client_port IS NOT NULL AND pid <> pg_backend_pid() ORDER BY pid`)
				if err != nil {
					t.Fatal(err)
				}
				defer rows.Close()
				for rows.Next() {
					var pid int
					if err := rows.Scan(&pid); err != nil {
						t.Fatal(err)
					}
					pids = append(pids, pid)
				}
				return pids
			}
			before := sessions()

			ctx, stop := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			for range test.clients {
				clients.Go(func() {
					for ctx.Err() == nil {
						_, _ = through.ExecContext(ctx, `SELECT pg_sleep(0.001 * random())`)
					}
				})
			}
			for call, run := range runs {
				done, err := run(t.Context(), newTestMigrator(t, through, three(), Options{LockWait: time.Second}))
				var pooler *PoolerError
				if !errors.As(err, &pooler) || len(done) > 0 {
					t.Errorf("%s: %v, %v", call, done, err)
				} else if !strings.HasPrefix(err.Error(), "migrations: ") || !strings.Contains(err.Error(), "connect to PostgreSQL itself") {
					t.Errorf("%s: %v", call, err)
				}
			}
			stop()
			clients.Wait()

			requireVersion(t, applied, 2)
			requireNoLock(t, direct)
			kept := 0
			for _, pid := range sessions() {
				for _, b := range before {
					if pid == b {
						kept++
					}
				}
			}
			if lost := len(before) - kept; lost > test.loses*len(runs) {
				t.Errorf("%d of %d sessions are gone", lost, len(before))
			}
			changed := scalar[string](t, through, `
				SELECT coalesce(string_agg(name, ', '), '') FROM pg_settings
				WHERE source = 'session' AND setting <> reset_val AND name <> 'application_name'`)
			if changed != "" {
				t.Errorf("changed in the pooler's session: %s", changed)
			}
		})
	}
}

// warm has a pooler open n sessions.
func warm(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := db.ExecContext(t.Context(), `SELECT pg_sleep(0.05)`); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestRunThroughASessionPooler(t *testing.T) {
	t.Parallel()
	address := newDatabase(t)
	direct := open(t, address)
	through := open(t, pgbouncer.Start(t, address, pgbouncer.Options{Mode: "session"}))
	m := newTestMigrator(t, through, three(), Options{})
	if done, err := m.upTo(t.Context(), 3); err != nil || len(done) != 3 {
		t.Fatalf("%v, %v", done, err)
	}
	requireVersion(t, m, 3)
	requirePending(t, m, false)
	if done, err := m.downTo(t.Context(), 0); err != nil || len(done) != 3 {
		t.Fatalf("%v, %v", done, err)
	}
	requireNoLock(t, direct)
}

// A relay passes on what it gets, so that the connection has its session.
func TestRunThroughARelay(t *testing.T) {
	t.Parallel()
	address := newDatabase(t)
	m := newTestMigrator(t, open(t, relay(t, address)), three(), Options{})
	if done, err := m.upTo(t.Context(), 3); err != nil || len(done) != 3 {
		t.Fatalf("%v, %v", done, err)
	}
	if n := scalar[int](t, open(t, address), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'oauthdb %'`); n != 0 {
		t.Errorf("%d connections to try it out", n)
	}
}

func relay(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer client.Close()
				upstream, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer upstream.Close()
				go func() {
					_, _ = io.Copy(client, upstream)
					client.Close()
				}()
				_, _ = io.Copy(upstream, client)
			})
		}
	})
	u.Host = l.Addr().String()
	return u.String()
}

// A server that is behind a pooler itself asks whether its schema is up to date.
func TestReadingWorksThroughATransactionPooler(t *testing.T) {
	t.Parallel()
	address := newDatabase(t)
	if _, err := newTestMigrator(t, open(t, address), three(), Options{}).upTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	m := newTestMigrator(t, open(t, withParameter(t, pgbouncer.Start(t, address, pgbouncer.Options{}), "default_query_exec_mode", "cache_describe")), three(), Options{})
	requireVersion(t, m, 2)
	requirePending(t, m, true)
	if statuses, err := m.status(t.Context()); err != nil || len(statuses) != 3 || statuses[2].Applied {
		t.Errorf("%v, %v", statuses, err)
	}
}

// Without the search_path that was asked for, a run would make the tables in another schema, and a reading call tell of another one's.
func TestSearchPathThatAPoolerDropsIsRefused(t *testing.T) {
	t.Parallel()
	address := newDatabase(t)
	direct := open(t, address)
	if _, err := direct.ExecContext(t.Context(), `CREATE SCHEMA realm`); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"session", "transaction"} {
		through := pgbouncer.Start(t, address, pgbouncer.Options{Mode: mode, Settings: map[string]string{"ignore_startup_parameters": "search_path"}})
		m := newTestMigrator(t, open(t, withParameter(t, through, "search_path", "realm")), three(), Options{})
		calls := map[string]func() error{
			"version": func() error { _, err := m.version(t.Context()); return err },
			"pending": func() error { _, err := m.pending(t.Context()); return err },
			"status":  func() error { _, err := m.status(t.Context()); return err },
		}
		if mode == "session" {
			for name, run := range runs {
				calls[name] = func() error { _, err := run(t.Context(), m); return err }
			}
		}
		for name, call := range calls {
			err := call()
			if err == nil || !strings.HasPrefix(err.Error(), "migrations: ") || !strings.Contains(err.Error(), "search_path = 'realm'") ||
				!strings.Contains(err.Error(), "ignore_startup_parameters") {
				t.Errorf("%s in mode %s: %v", name, mode, err)
			}
		}
	}
	if n := scalar[int](t, direct, `SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'realm')`); n != 0 {
		t.Errorf("%d tables were made", n)
	}
}

// What a run sets itself may be lost.
func TestTimeoutThatAPoolerDropsDoesNotMatterToARun(t *testing.T) {
	t.Parallel()
	address := newDatabase(t)
	through := pgbouncer.Start(t, address, pgbouncer.Options{Mode: "session", Settings: map[string]string{"ignore_startup_parameters": "statement_timeout"}})
	m := newTestMigrator(t, open(t, withParameter(t, through, "statement_timeout", "1min")), three(), Options{})
	if _, err := m.upTo(t.Context(), 3); err != nil {
		t.Error(err)
	}
}

func TestStartupParameterThatAPoolerRefuses(t *testing.T) {
	t.Parallel()
	through := pgbouncer.Start(t, newDatabase(t), pgbouncer.Options{Mode: "session"})
	m := newTestMigrator(t, open(t, withParameter(t, through, "search_path", "realm")), three(), Options{})
	_, ofRun := m.upTo(t.Context(), 3)
	_, ofRead := m.pending(t.Context())
	for _, err := range []error{ofRun, ofRead} {
		var pooler *PoolerError
		if !errors.As(err, &pooler) || !strings.Contains(err.Error(), "search_path") || !strings.Contains(err.Error(), "connect to PostgreSQL itself") {
			t.Error(err)
		}
	}
}
