package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/bench/cpu"
	"github.com/oauthdb/oauthdb/bench/dataset"
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

// figures are those of one measurement.
type figures struct {
	rate                  float64 // a second
	p50, p99              time.Duration
	serverCPU, backendCPU time.Duration
}

// results are of a run.
type results struct {
	options
	environment string
	cells       map[cell][]figures
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
	r := &results{options: o, cells: map[cell][]figures{}, statements: map[cell]float64{}, races: map[cell][]race{}}
	if r.environment, err = environment(ctx, server); err != nil {
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
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), serveVariable+"="+name, databaseVariable+"="+database, profileVariable+"="+profile)
	if c.process, err = start(ctx, 1, cmd); err != nil {
		return c, err
	}
	base := c.process.lines[0]
	switch name {
	case "net/http", "fosite":
		askOurs(ctx, c.endpoints, base, "/token", "/introspect")
	case "zitadel":
		askOurs(ctx, c.endpoints, base, "/oauth/token", "/oauth/introspect")
	case "go-oauth2":
		askGoOAuth2(ctx, c.endpoints, base)
	}
	return c, nil
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
		if err := do(ctx, 0); err != nil {
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
	codes := max(20, r.codes*workers/slices.Max(r.workers))
	do, err := c.prepare(ctx, work, workers, codes)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	duration, warm := r.duration, do
	if work == redeem {
		duration, warm = time.Minute, nil // until the codes are used
	}
	if len(r.cells[cell{c.name, work, workers}]) == 0 { // PostgreSQL plans a statement anew the first five times on a connection
		if warm, err = c.prepare(ctx, work, workers, 8*workers); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
		if _, err := drive(ctx, warm, workers, r.duration/2); err != nil {
			return err
		}
	} else if warm != nil {
		if _, err := drive(ctx, warm, workers, r.duration/10); err != nil {
			return err
		}
	}
	backends, err := cpu.Backends(ctx, c.look)
	if err != nil {
		return err
	}
	serverBefore, err := cpu.Of(c.process.cmd.Process.Pid)
	if err != nil {
		return err
	}
	backendsBefore := cpu.OfAll(backends)
	m, err := drive(ctx, do, workers, duration)
	if err != nil {
		return err
	}
	if len(m.latencies) == 0 {
		return errors.New("no request was answered in time")
	}
	backendsAfter := cpu.OfAll(backends)
	serverAfter, err := cpu.Of(c.process.cmd.Process.Pid)
	if err != nil {
		return err
	}
	n := time.Duration(len(m.latencies))
	f := figures{
		rate: m.rate(), p50: m.quantile(0.5), p99: m.quantile(0.99), serverCPU: (serverAfter - serverBefore) / n,
		backendCPU: (backendsAfter - backendsBefore) / n,
	}
	k := cell{c.name, work, workers}
	r.cells[k] = append(r.cells[k], f)
	return nil
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

// environment is what the figures depend on.
func environment(ctx context.Context, server *dataset.Server) (string, error) {
	version, _, err := server.Settings(ctx)
	load, _ := os.ReadFile("/proc/loadavg")
	busy, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("PostgreSQL %s, %s, %d CPUs for the clients, the servers and the database. Load average before the run: %s.",
		version, runtime.Version(), runtime.NumCPU(), busy), err
}
