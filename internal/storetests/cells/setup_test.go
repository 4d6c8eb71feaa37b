package cells

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/db/cells"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

var back = flag.Bool("back", false, "have a server that was killed come back, and become the primary again")

// installation is what docs/cells/setup.sh sets up: the cells eu1 and us1.
type installation struct {
	testing.TB
	home devdb.Home
	dir  string
	port int
	urls map[string]string
}

// setUp runs the script. Where what it needs isn't installed, the test is skipped.
func setUp(t *testing.T) *installation {
	t.Helper()
	if testing.Short() {
		t.Skip("sets up two cells")
	}
	control, _ := filepath.Glob("/usr/share/postgresql/*/extension/pgautofailover.control")
	_, err := exec.LookPath("pg_autoctl")
	_, pooler := exec.LookPath("/usr/sbin/pgbouncer")
	_, psql := exec.LookPath("psql")
	if err := errors.Join(err, pooler, psql); err != nil || len(control) == 0 {
		t.Skipf("pg_auto_failover or PgBouncer is missing: apt install pg-auto-failover-cli postgresql-15-auto-failover pgbouncer (%v)", err)
	}
	home, err := devdb.NewHome(t.Context())
	ok(t, err)
	i := &installation{TB: t, home: home, dir: filepath.Join(home.Dir, "cells"), port: freePorts(t), urls: map[string]string{}}
	t.Cleanup(func() { ok(t, home.Remove()) })
	// The user whom the servers run as may not be able to enter the repository.
	ok(t, os.MkdirAll(filepath.Join(home.Dir, "docs", "cells"), 0o755))
	for _, name := range []string{"docs/cells.md", "docs/cells/setup.sh"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", name))
		ok(t, err)
		ok(t, os.WriteFile(filepath.Join(home.Dir, name), text, 0o755))
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(home.Dir, "oauthdb"), "./cmd/oauthdb")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	t.Cleanup(func() {
		if t.Failed() {
			i.say()
		}
		i.script("down")
	})
	i.script("up")
	urls, err := os.ReadFile(filepath.Join(i.dir, "urls"))
	ok(t, err)
	for line := range strings.Lines(string(urls)) {
		name, url, _ := strings.Cut(strings.TrimSpace(line), " ")
		i.urls[name] = url
	}
	// As soon as a test can wait for: the defaults wait 20 seconds before a server counts as lost.
	for _, s := range []string{
		"health_check_period = 500", "health_check_timeout = 500", "health_check_max_retries = 1", "health_check_retry_delay = 200",
		"node_considered_unhealthy_timeout = 2000", "startup_grace_period = 1000", "primary_demote_timeout = 2000",
	} {
		i.exec(i.port, "pg_auto_failover", "ALTER SYSTEM SET pgautofailover."+s)
	}
	i.exec(i.port, "pg_auto_failover", "SELECT pg_reload_conf()")
	return i
}

// freePorts is the first of those that the script takes.
func freePorts(t testing.TB) int {
	t.Helper()
	for range 100 {
		port, free := 20000+100*rand.IntN(100), true
		for _, n := range []int{0, 1, 10, 11, 20, 21} {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+n)))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return port
		}
	}
	t.Fatal("no ports are free")
	return 0
}

func (i *installation) script(what ...string) {
	i.Helper()
	began := time.Now()
	cmd := i.home.Command(context.WithoutCancel(i.Context()), filepath.Join(i.home.Dir, "docs", "cells", "setup.sh"), what...)
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "DIR="+i.dir, "PORT="+strconv.Itoa(i.port), "OAUTHDB="+filepath.Join(i.home.Dir, "oauthdb"))
	if out, err := cmd.CombinedOutput(); err != nil {
		i.Fatalf("setup.sh %s: %v\n%s", strings.Join(what, " "), err, out)
	}
	i.Logf("setup.sh %s took %v", strings.Join(what, " "), time.Since(began).Round(time.Second))
}

func (i *installation) connect(port int, database string) *pgx.Conn {
	i.Helper()
	conn, err := pgx.Connect(i.Context(), fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", port, database))
	ok(i, err)
	return conn
}

func (i *installation) exec(port int, database, sql string) {
	i.Helper()
	conn := i.connect(port, database)
	_, err := conn.Exec(i.Context(), sql)
	ok(i, errors.Join(err, conn.Close(i.Context())))
}

func (i *installation) row(port int, database, sql string, dest ...any) {
	i.Helper()
	conn := i.connect(port, database)
	ok(i, errors.Join(conn.QueryRow(i.Context(), sql).Scan(dest...), conn.Close(i.Context())))
}

// say logs the end of each log.
func (i *installation) say() {
	logs, _ := filepath.Glob(filepath.Join(i.dir, "*.log"))
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		i.Logf("%s:\n%s", filepath.Base(name), strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
}

// kill ends a server with all its processes, and pg_autoctl with it, which would start it again.
func (i *installation) kill(name string) {
	i.Helper()
	text, err := os.ReadFile(filepath.Join(i.dir, name+".pid"))
	ok(i, err)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	ok(i, err)
	ok(i, devdb.KillTree(i.Context(), pid))
}

// cell connects to a cell by way of PgBouncer, as a server would.
func (i *installation) cell(name string) cells.Cell {
	i.Helper()
	pool, err := db.Open(i.Context(), i.urls[name], db.Options{PgBouncer: true, MaxConns: 4})
	ok(i, err)
	i.Cleanup(pool.Close)
	return cells.Cell{Name: name, Store: store.New(pool)}
}

// register writes a client, or another name of it, in the first cell.
func register(t testing.TB, in cells.Cell, id store.ClientID) {
	t.Helper()
	_, err := in.Store.CreateClient(t.Context(), store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: id, TokenEndpointAuthMethod: new("none"), Scopes: []string{"openid"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, RedirectURIs: []string{"https://client.example/"},
	})
	ok(t, err)
}

// arrives waits until a client has a name in a cell.
func arrives(t testing.TB, in cells.Cell, id store.ClientID, name string) {
	t.Helper()
	began := time.Now()
	fixture.Within(t, 2*time.Minute, fmt.Sprintf("%s of the name %q is in %s", id, name, in.Name), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := in.Store.GetClient(ctx, id)
		return err == nil && (name == "" || c.Name != nil && *c.Name == name)
	})
	t.Logf("%s was in %s after %d ms", id, in.Name, time.Since(began).Milliseconds())
}

// answers waits until a cell does so.
func answers(t testing.TB, in cells.Cell) {
	t.Helper()
	began := time.Now()
	fixture.Within(t, 2*time.Minute, in.Name+" answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := in.Store.CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "Ada"})
		return err == nil
	})
	t.Logf("%s answered after %d ms", in.Name, time.Since(began).Milliseconds())
}

// The script of the page sets up cells, and what the page says of them is so: a primary is lost and its standby takes over, the other cell
// doesn't notice, and clients still get there, whichever of the cells has failed over.
func TestTheScriptSetsUpCells(t *testing.T) {
	i := setUp(t)
	eu, us := i.cell("eu1"), i.cell("us1")
	all, err := cells.New(cells.Options{}, eu, us)
	ok(t, err)
	keys, err := token.NewSuccessors([]byte("a key of 32 bytes or more, kept as a secret"))
	ok(t, err)
	register(t, eu, "first")
	arrives(t, us, "first", "")

	workers := map[string]*worker{}
	for _, cell := range all.All() {
		w := &worker{cells: all, cell: cell.Name, client: "first", user: store.NewUserID(), keys: keys, rng: rand.New(rand.NewPCG(1, 2)), calls: new(atomic.Int64)}
		_, err := cell.Store.CreateUser(t.Context(), store.CreateUserParams{ID: w.user, Name: "Ada"})
		ok(t, err)
		workers[cell.Name] = w
	}
	work := func(w *worker) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		working.Go(func() {
			for ctx.Err() == nil {
				w.step(t.Context())
				time.Sleep(20 * time.Millisecond)
			}
		})
		return func() { cancel(); working.Wait() }
	}
	check := func(w *worker) {
		t.Helper()
		if w.wrong != nil {
			t.Errorf("%s, after %d calls: %v", w.cell, w.calls.Load(), w.wrong)
		}
		cell, _ := all.Named(w.cell)
		for _, g := range w.grants {
			if err := w.judge(t.Context(), cell.Store, g); err != nil {
				t.Errorf("%s: %v", w.cell, err)
			}
		}
	}

	// Where clients are written. The other cell works on all the time.
	rest := work(workers["us1"])
	for range 50 {
		workers["eu1"].step(t.Context())
	}
	register(t, eu, "just before")
	i.kill("eu1-0")
	answers(t, eu)
	check(workers["eu1"])
	register(t, eu, "just after")
	_, err = eu.Store.UpdateClient(t.Context(), store.UpdateClientParams{ClientID: "first", Name: new("Renamed")})
	ok(t, err)
	arrives(t, us, "just before", "")
	arrives(t, us, "just after", "")
	arrives(t, us, "first", "Renamed")
	rest()
	check(workers["us1"])
	if n := workers["us1"].calls.Load(); n < 50 {
		t.Errorf("only %d calls in us1", n)
	}

	// And one to which they come.
	rest = work(workers["eu1"])
	i.kill("us1-0")
	register(t, eu, "meanwhile")
	answers(t, us)
	check(workers["us1"])
	arrives(t, us, "meanwhile", "")
	rest()
	check(workers["eu1"])
	if !*back {
		return
	}

	// The first one comes back, with a slot of old, and is the primary again.
	i.script("run", "eu1-0")
	fixture.Within(t, 2*time.Minute, "eu1-0 is a standby", func() bool {
		var is bool
		i.row(i.port, "pg_auto_failover", `SELECT count(*) = 2 FROM pgautofailover.node
			WHERE nodename = 'eu1-0' AND reportedstate = 'secondary' OR nodename = 'eu1-1' AND reportedstate = 'primary'`, &is)
		return is
	})
	fixture.Within(t, time.Minute, "its slots are dropped", func() bool {
		var dropped bool
		i.row(i.port+10, "auth", `SELECT pg_is_in_recovery() AND count(*) = 0 FROM pg_replication_slots WHERE slot_type = 'logical'`, &dropped)
		return dropped
	})
	register(t, eu, "before the way back")
	i.kill("eu1-1")
	answers(t, eu)
	register(t, eu, "after the way back")
	arrives(t, us, "before the way back", "")
	arrives(t, us, "after the way back", "")
	check(workers["eu1"])
}
