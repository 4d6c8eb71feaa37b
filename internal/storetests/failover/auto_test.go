package failover

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/witness"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
)

// formation is a monitor of pg_auto_failover and two servers under it.
type formation struct {
	testing.TB
	home  devdb.Home
	pgctl string
	ports map[string]int
	run   map[string]*exec.Cmd
}

// newFormation starts a formation from the installed programs. Where they aren't installed, the test is skipped.
func newFormation(t *testing.T) *formation {
	t.Helper()
	const how = "; install them: apt install pg-auto-failover-cli postgresql-15-auto-failover"
	pgctl := ""
	if _, err := exec.LookPath("pg_autoctl"); err != nil {
		t.Skipf("the programs of pg_auto_failover are missing: %v%s", err, how)
	}
	controls, _ := filepath.Glob("/usr/share/postgresql/*/extension/pgautofailover.control")
	for _, c := range controls {
		major := filepath.Base(filepath.Dir(filepath.Dir(c)))
		if path := filepath.Join("/usr/lib/postgresql", major, "bin", "pg_ctl"); len(c) > 0 {
			if _, err := os.Stat(path); err == nil {
				pgctl = path
			}
		}
	}
	if pgctl == "" {
		t.Skip("no PostgreSQL has the extension pgautofailover" + how)
	}
	home, err := devdb.NewHome(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := &formation{TB: t, home: home, pgctl: pgctl, ports: map[string]int{}, run: map[string]*exec.Cmd{}}
	t.Cleanup(f.remove)

	port := f.port("monitor")
	f.must("create", "monitor", "--pgdata", "monitor", "--pgport", port, "--hostname", "127.0.0.1", "--auth", "trust", "--no-ssl", "--pgctl", pgctl)
	f.must("config", "set", "--pgdata", "monitor", "postgresql.listen_addresses", "127.0.0.1")
	f.start("monitor")
	// As soon as a test can wait for: the defaults wait 20 seconds before a server counts as lost.
	f.until("the monitor runs", func() bool {
		for _, s := range []string{
			"health_check_period = 500", "health_check_timeout = 500", "health_check_max_retries = 1", "health_check_retry_delay = 200",
			"node_considered_unhealthy_timeout = 2000", "startup_grace_period = 1000", "primary_demote_timeout = 2000",
		} {
			if f.exec(f.url("monitor", "pg_auto_failover"), "ALTER SYSTEM SET pgautofailover."+s) != nil {
				return false
			}
		}
		return f.exec(f.url("monitor", "pg_auto_failover"), "SELECT pg_reload_conf()") == nil
	})
	for _, name := range []string{"a", "b"} {
		port := f.port(name)
		f.must("create", "postgres", "--pgdata", name, "--name", name, "--pgport", port, "--hostname", "127.0.0.1", "--listen", "127.0.0.1",
			"--auth", "trust", "--no-ssl", "--pgctl", pgctl, "--monitor", fmt.Sprintf("postgres://autoctl_node@127.0.0.1:%d/pg_auto_failover", f.ports["monitor"]))
		f.start(name)
		f.until(name+" runs", func() bool { return f.exec(f.url(name, "postgres"), "SELECT 1") == nil })
	}
	f.until("a is the primary, and waits for b", func() bool {
		state, _ := f.autoctl("show", "state", "--pgdata", "monitor").CombinedOutput()
		return bytes.Count(state, []byte(" primary |             primary")) == 1 && bytes.Count(state, []byte(" secondary |           secondary")) == 1
	})
	return f
}

// port chooses a port for one of the servers.
func (f *formation) port(name string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.ok(err)
	defer l.Close()
	f.ports[name] = l.Addr().(*net.TCPAddr).Port
	return fmt.Sprint(f.ports[name])
}

func (f *formation) url(name, database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", f.ports[name], database)
}

// autoctl prepares pg_autoctl, which keeps its state in the home alone.
func (f *formation) autoctl(args ...string) *exec.Cmd {
	cmd := f.home.Command(context.WithoutCancel(f.Context()), "pg_autoctl", args...)
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"} {
		cmd.Env = append(cmd.Env, name+"="+f.home.Dir)
	}
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(f.pgctl)+":"+os.Getenv("PATH"))
	return cmd
}

func (f *formation) must(args ...string) {
	f.Helper()
	if out, err := f.autoctl(args...).CombinedOutput(); err != nil {
		f.Fatalf("pg_autoctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// start runs one of the servers.
func (f *formation) start(name string) {
	f.Helper()
	cmd := f.autoctl("run", "--pgdata", name)
	f.ok(cmd.Start())
	f.run[name] = cmd
}

// kill ends a server with all its processes, and pg_autoctl with it, which would start it again.
func (f *formation) kill(name string) {
	f.Helper()
	f.ok(devdb.KillTree(f.Context(), f.run[name].Process.Pid))
	f.run[name].Wait()
	delete(f.run, name)
}

// remove stops everything.
func (f *formation) remove() {
	for _, name := range []string{"b", "a", "monitor"} {
		cmd := f.run[name]
		if cmd == nil {
			continue
		}
		late := time.AfterFunc(20*time.Second, func() { devdb.KillTree(context.Background(), cmd.Process.Pid) })
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		late.Stop()
	}
	if err := f.home.Remove(); err != nil {
		f.Error(err)
	}
}

func (f *formation) exec(url, sql string) error {
	ctx, cancel := context.WithTimeout(f.Context(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func (f *formation) until(what string, holds func() bool) {
	f.Helper()
	fixture.Within(f, time.Minute, what, holds)
}

func (f *formation) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// TestAutoFailover kills a primary under pg_auto_failover, which promotes the standby by itself. What was acknowledged is there.
func TestAutoFailover(t *testing.T) {
	wanted(t)
	f := newFormation(t)
	admin, err := sql.Open("pgx", f.url("a", "postgres"))
	f.ok(err)
	_, err = migrations.Up(t.Context(), admin, migrations.Options{})
	f.ok(errors.Join(err, admin.Close()))
	f.ok(f.exec(f.url("a", "postgres"), "ALTER DATABASE postgres SET oauthdb.events = 'on'"))
	pool, err := db.Open(t.Context(), fmt.Sprintf(
		"postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write", f.ports["a"], f.ports["b"],
	), db.Options{MaxConns: conns})
	f.ok(err)
	defer pool.Close()
	w := &fixture.World{TB: t, Ctx: t.Context(), Pool: pool, Q: store.New(pool)}
	var synchronous string
	w.OK(pool.QueryRow(w.Ctx, `SELECT string_agg(r.sync_state, ' ') FROM pg_stat_replication AS r`).Scan(&synchronous))
	if synchronous != "quorum" && synchronous != "sync" {
		t.Fatalf("the standby is %s", synchronous)
	}

	seen := witness.New(w, witness.Options{Workers: 12})
	var working sync.WaitGroup
	working.Go(func() { seen.Work(w) })
	time.Sleep(3 * time.Second)
	killed := time.Now()
	f.kill("a")
	working.Wait()
	reached(t, w, f.ports["b"])
	t.Logf("b took over %d ms after a was killed", time.Since(killed).Milliseconds())
	seen.Check(w)
	seen.PresentAgain(w)
	if c := seen.Counts(); c.Lost == 0 || c.Rotations == 0 || c.Endings == 0 {
		t.Errorf("the primary was killed in the middle of nothing: %s", c)
	}
}
