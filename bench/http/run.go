package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/machine"
	"github.com/oauthdb/oauthdb/bench/measure"
	"github.com/oauthdb/oauthdb/bench/report"
)

// contestants are the servers, in the order of the tables.
var contestants = []struct{ name, describe string }{
	{"net/http", "examples/tokenendpoint: a plain token endpoint on the store; it signs no ID tokens"},
	{"zitadel", "zitadel/oidc's provider by adapters/zitadel, as in examples/authserver; with openid a refresh signs an ID token, by ES256"},
	{"fosite", "ory/fosite by adapters/fosite; with openid a refresh signs an ID token, by ES256"},
	{"hydra", "Ory Hydra " + hydraVersion + ", which is fosite on its own SQL store; introspection is on its administrator's side and authenticates nobody; with openid a refresh signs an ID token, by RS256 and 4096 bits"},
	{"go-oauth2", "go-oauth2's example server on a store in the layout of its stores for PostgreSQL; it has no introspection, so a resource is asked that validates the token, and no openid"},
}

func names() []string {
	var all []string
	for _, c := range contestants {
		all = append(all, c.name)
	}
	return all
}

// cell is one kind of measurement of one server.
type cell struct {
	server, work string
	workers      int
}

// measured is one measurement.
type measured struct {
	report.Round
	serverCPU time.Duration // of a request
}

// results are of a run.
type results struct {
	options
	environment dataset.Environment
	cells       map[cell][]measured
	statements  map[cell]float64 // a request, of a work
	races       map[cell][]race
}

// contestant is a server that is running.
type contestant struct {
	name     string
	database string
	*endpoints
	process *process
	look    *pgx.Conn // on its database, and in nobody's way
	pool    *pgxpool.Pool
}

func (c *contestant) stop() {
	if c.process != nil {
		c.process.stop()
	}
	if c.look != nil {
		_ = c.look.Close(context.Background())
	}
	if c.pool != nil {
		c.pool.Close()
	}
}

func run(ctx context.Context, o options, logf func(string, ...any)) (*results, error) {
	server, err := dataset.StartServer(ctx, logf)
	if err != nil {
		return nil, err
	}
	r := &results{options: o, cells: map[cell][]measured{}, statements: map[cell]float64{}, races: map[cell][]race{}}
	if r.environment, err = server.Environment(ctx); err != nil {
		return nil, err
	}
	var hydraProgram string
	if slices.Contains(o.servers, "hydra") {
		if hydraProgram, err = buildHydra(ctx, logf); err != nil {
			return nil, err
		}
	}
	var running []*contestant
	for _, name := range o.servers {
		data, err := server.Clone(ctx, dataset.Data{Database: "template1"}, "bench_http_"+name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = server.Drop(context.WithoutCancel(ctx), data.Database) }()
		c, err := begin(ctx, name, server.Via(server.HostPort, data.Database), hydraProgram, o.profile)
		if c != nil {
			defer c.stop()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		running = append(running, c)
	}
	for round := range o.rounds {
		for _, work := range o.works {
			for _, c := range running {
				if _, err := c.look.Exec(ctx, "ANALYZE"); err != nil { // as autovacuum would, which is off so as not to be measured
					return nil, err
				}
			}
			for _, workers := range o.workers {
				logf("round %d of %d: %s, %d workers", round+1, o.rounds, work, workers)
				for i := range running { // each in each place
					c := running[(i+round)%len(running)]
					if err := r.measure(ctx, c, work, workers); err != nil {
						return nil, fmt.Errorf("%s, %s, %d workers: %w", c.name, work, workers, err)
					}
				}
			}
		}
	}
	for _, work := range o.works {
		for _, c := range running {
			if err := r.countStatements(ctx, c, work); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", c.name, work, err)
			}
		}
	}
	for _, work := range []string{refreshPublic, redeem} {
		for _, c := range running {
			for range o.races {
				came, err := c.raceFor(ctx, work)
				if err != nil {
					return nil, fmt.Errorf("%s, races: %w", c.name, err)
				}
				k := cell{server: c.name, work: work}
				r.races[k] = append(r.races[k], came)
			}
		}
	}
	return r, nil
}

// begin starts a server on its database.
func begin(ctx context.Context, name, database, hydraProgram, profile string) (c *contestant, err error) {
	c = &contestant{name: name, database: database}
	if c.look, err = pgx.Connect(ctx, database); err != nil {
		return c, err
	}
	if _, err := c.look.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return c, err
	}
	switch name {
	case "hydra":
		c.process, c.endpoints, err = startHydra(ctx, hydraProgram, database)
		return c, err
	case "go-oauth2":
		c.pool, c.endpoints, err = prepareGoOAuth2(ctx, database)
	default:
		c.pool, c.endpoints, err = prepareOurs(ctx, database)
	}
	if err != nil {
		return c, err
	}
	program, err := os.Executable()
	if err != nil {
		return c, err
	}
	port, err := freePort()
	if err != nil {
		return c, err
	}
	address := "127.0.0.1:" + port
	base := "http://" + address
	c.process, err = start(ctx, base, []string{serveVariable + "=" + name, addressVariable + "=" + address, databaseVariable + "=" + database, profileVariable + "=" + profile}, program)
	switch name {
	case "net/http", "fosite":
		askOurs(ctx, c.endpoints, base, "/token", "/introspect")
	case "zitadel":
		askOurs(ctx, c.endpoints, base, "/oauth/token", "/oauth/introspect")
	case "go-oauth2":
		askGoOAuth2(ctx, c.endpoints, base)
	}
	return c, err
}

// countStatements counts how many a request takes of the database, BEGIN and COMMIT among them.
func (r *results) countStatements(ctx context.Context, c *contestant, work string) error {
	const requests = 20
	do, err := c.prepare(ctx, work, 1, requests+1)
	if err != nil {
		return err
	}
	var before, after int64
	for n := range requests + 1 {
		if err := do(ctx, 0, int64(n)); err != nil {
			return err
		}
		if n == 0 { // which may have opened a connection
			if before, err = c.executed(ctx); err != nil {
				return err
			}
		}
	}
	if after, err = c.executed(ctx); err != nil {
		return err
	}
	r.statements[cell{server: c.name, work: work}] = float64(after-before) / requests
	return nil
}

// executed is how many statements were run in the contestant's database so far, but for these.
func (c *contestant) executed(ctx context.Context) (n int64, err error) {
	err = c.look.QueryRow(ctx, `
		SELECT coalesce(sum(s.calls), 0)::bigint
		FROM pg_stat_statements AS s
		JOIN pg_database AS d ON d.oid = s.dbid
		WHERE d.datname = current_database() AND s.query NOT LIKE '%pg_stat%'`).Scan(&n)
	return n, err
}

// measure adds one measurement of a cell.
func (r *results) measure(ctx context.Context, c *contestant, work string, workers int) error {
	const warm = 8 // PostgreSQL plans a statement anew the first five times on a connection
	ops, limit := int64(math.MaxInt64), r.duration
	if work == redeem { // until the codes are used
		ops, limit = int64(warm+max(20, r.codes*workers/slices.Max(r.workers))/workers), time.Minute
	}
	do, err := c.prepare(ctx, work, workers, ops)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	backends, err := machine.Backends(ctx, c.look)
	if err != nil {
		return err
	}
	before, err := machine.Used(c.process.cmd.Process.Pid)
	if err != nil {
		return err
	}
	round, n, err := measure.Busy(ctx, workers, ops, warm, limit, func() time.Duration { return machine.UsedByAll(backends) }, do)
	if err != nil {
		return err
	}
	after, err := machine.Used(c.process.cmd.Process.Pid)
	k := cell{c.name, work, workers}
	r.cells[k] = append(r.cells[k], measured{round, (after - before) / time.Duration(n)})
	return err
}

// process is a server at work.
type process struct {
	cmd  *exec.Cmd
	stop func() // also when the context is done
}

// start starts a program, and waits until it answers at a URL. To stop it, its standard input is closed and it is interrupted; if it doesn't
// end then, it is killed.
func start(ctx context.Context, answersAt string, environment []string, program string, args ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), environment...), &said, &said
	stdin, err := cmd.StdinPipe()
	cmd.WaitDelay, cmd.Cancel = 3*time.Second, func() error { return errors.Join(stdin.Close(), cmd.Process.Signal(os.Interrupt)) }
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	p := &process{cmd, func() { cancel(); <-ended }}
	for deadline := time.After(time.Minute); ; {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, answersAt, nil)
		if err != nil {
			p.stop()
			return nil, err
		}
		if status, _, err := ask(r); err == nil && status < http.StatusInternalServerError {
			return p, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-ended:
		case <-deadline:
		}
		p.stop()
		return nil, fmt.Errorf("%s doesn't start: %s", filepath.Base(program), said.Bytes()[max(0, said.Len()-2000):])
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
