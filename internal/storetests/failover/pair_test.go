package failover

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/witness"
	"github.com/oauthdb/oauthdb/store"
)

var failovers = flag.Int("failovers", 0, "how often TestSynchronous kills the primary; 0 leaves all tests of the package out")

func wanted(t *testing.T) {
	t.Helper()
	if *failovers < 1 {
		t.Skip("no primary is killed: -failovers 0 (make failover)")
	}
}

// conns is how many connections the pools of the tests have.
const conns = 24

// pair is a primary with a standby, and who is connected to them.
type pair struct {
	testing.TB
	primary, standby *devdb.Cluster
	world            *fixture.World // of whichever server accepts writes
}

// standbySettings keep what a standby needs that was away for a while.
var standbySettings = map[string]string{"wal_keep_size": "256MB"}

// newPair starts a primary and a standby, and opens a pool that names both.
func newPair(t *testing.T, synchronous bool, change ...func(*pgxpool.Config)) *pair {
	t.Helper()
	p := &pair{TB: t, primary: fixture.NewCluster(t, standbySettings)}
	p.follow(synchronous)
	p.connect(change...)
	return p
}

// follow gives the primary a standby.
func (p *pair) follow(synchronous bool) {
	p.Helper()
	settings := maps.Clone(fixture.Durable)
	maps.Copy(settings, standbySettings)
	standby, err := devdb.StartStandby(p.Context(), p.primary, "standby", devdb.PrivateOptions{Settings: settings})
	if errors.Is(err, devdb.ErrNoPostgres) {
		p.Skip(err)
	}
	p.ok(err)
	fixture.RemoveAtEnd(p, standby)
	p.standby = standby
	state := "async"
	if synchronous {
		state = "sync"
		p.set(p.primary, "synchronous_standby_names", "standby")
	}
	p.until("the standby streams", func() bool {
		var states []string
		p.ok(p.on(p.primary, `SELECT coalesce(array_agg(r.sync_state), '{}') FROM pg_stat_replication AS r WHERE r.state = 'streaming'`, &states))
		return slices.Equal(states, []string{state})
	})
}

// connect opens a pool as docs/failover.md says: all servers in one string, and read-write.
func (p *pair) connect(change ...func(*pgxpool.Config)) {
	p.Helper()
	config, err := db.ParseConfig(p.url(), db.Options{MaxConns: conns})
	p.ok(err)
	for _, c := range change {
		c(config)
	}
	pool, err := db.OpenConfig(p.Context(), config)
	p.ok(err)
	p.Cleanup(pool.Close)
	p.world = &fixture.World{TB: p.TB, Ctx: p.Context(), Pool: pool, Q: store.New(pool)}
}

// url names the standby first, which refuses writes while it is one.
func (p *pair) url() string {
	u, err := url.Parse(p.primary.URL)
	p.ok(err)
	u.Host = fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", p.standby.Port, p.primary.Port)
	u.RawQuery += "&target_session_attrs=read-write"
	return u.String()
}

// killPrimary kills the primary and all its processes.
func (p *pair) killPrimary() {
	p.Helper()
	p.ok(p.primary.Kill(p.Context()))
}

// promote promotes the standby, and waits until the pool has reached it with every connection.
func (p *pair) promote() {
	p.Helper()
	p.ok(p.standby.Promote(p.Context()))
	reached(p.TB, p.world, p.standby.Port)
}

// reached waits until all connections of a pool are to the server of a port, and accept writes.
func reached(t testing.TB, w *fixture.World, port int) {
	t.Helper()
	fixture.Within(t, time.Minute, "the pool reaches the standby", func() bool {
		var errs [conns]error
		fixture.Together(fixture.Times(conns, func(i int) {
			var at int
			var reads bool
			errs[i] = w.Pool.QueryRow(w.Ctx, `SELECT inet_server_port(), pg_is_in_recovery() FROM pg_sleep(0.01)`).Scan(&at, &reads)
			if errs[i] == nil && (at != port || reads) {
				errs[i] = errors.New("another server")
			}
		})...)
		return errors.Join(errs[:]...) == nil
	})
}

// failOver kills the primary after some time, while work is done, and promotes the standby.
func (p *pair) failOver(after time.Duration, work func()) {
	p.Helper()
	var working sync.WaitGroup
	working.Go(work)
	time.Sleep(after)
	began := time.Now()
	p.killPrimary()
	killed := time.Now()
	working.Wait()
	ended := time.Now()
	p.ok(p.standby.Promote(p.Context()))
	promoted := time.Now()
	reached(p.TB, p.world, p.standby.Port)
	p.Logf("the primary was dead after %d ms, the last call had failed %d ms later, the standby was promoted in %d ms, and the pool had reached it after %d ms",
		killed.Sub(began).Milliseconds(), ended.Sub(killed).Milliseconds(), promoted.Sub(ended).Milliseconds(), time.Since(promoted).Milliseconds())
}

// replaced says that the standby is the primary now, and gives it a standby of its own.
func (p *pair) replaced(synchronous bool) {
	p.Helper()
	p.world.Pool.Close()
	p.primary = p.standby
	p.follow(synchronous)
	p.connect()
}

// on runs a statement on one of the servers and scans its row.
func (p *pair) on(c *devdb.Cluster, sql string, dest ...any) error {
	ctx := context.WithoutCancel(p.Context())
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if len(dest) == 0 {
		_, err = conn.Exec(ctx, sql)
		return err
	}
	return conn.QueryRow(ctx, sql).Scan(dest...)
}

// set changes a setting of one of the servers.
func (p *pair) set(c *devdb.Cluster, name, value string) {
	p.Helper()
	p.ok(p.on(c, fmt.Sprintf(`ALTER SYSTEM SET %s = '%s'`, name, value)))
	p.ok(p.on(c, `SELECT pg_reload_conf()`))
}

// switchover is where the log of the promoted standby leaves that of the primary: all that it has of the primary is before.
func (p *pair) switchover() witness.Position {
	p.Helper()
	files, err := filepath.Glob(filepath.Join(p.standby.DataDir, "pg_wal", "*.history"))
	p.ok(err)
	if len(files) == 0 {
		p.Fatal("the standby has no history of another timeline")
	}
	slices.Sort(files)
	b, err := os.ReadFile(files[len(files)-1])
	p.ok(err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) < 2 {
		p.Fatalf("%s: %q", files[len(files)-1], b)
	}
	position, err := witness.ParsePosition(fields[1])
	p.ok(err)
	return position
}

func (p *pair) until(what string, holds func() bool) {
	p.Helper()
	fixture.Within(p, 30*time.Second, what, holds)
}

func (p *pair) ok(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}
