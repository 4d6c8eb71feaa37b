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
	"sync"
	"time"

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
	races       map[cell][]race
}

// contestant is a server that is running.
type contestant struct {
	name string
	*endpoints
	process *process
	pool    *pgxpool.Pool // on its database, for looking
}

func run(ctx context.Context, o options, logf func(string, ...any)) (*results, error) {
	server, err := dataset.StartServer(ctx, logf)
	if err != nil {
		return nil, err
	}
	r := &results{options: o, cells: map[cell][]measured{}, races: map[cell][]race{}}
	if r.environment, err = server.Environment(ctx); err != nil {
		return nil, err
	}
	hydra := ""
	if slices.Contains(o.servers, "hydra") {
		if hydra, err = buildHydra(ctx, logf); err != nil {
			return nil, err
		}
	}
	var running []*contestant
	defer func() {
		for _, c := range running {
			if c.process != nil {
				c.process.stop()
			}
			if c.pool != nil {
				c.pool.Close()
			}
			_ = server.Drop(context.WithoutCancel(ctx), c.database())
		}
	}()
	for _, name := range o.servers {
		c := &contestant{name: name}
		running = append(running, c)
		if err := c.begin(ctx, server, hydra, o.profile); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for round := range o.rounds {
		for _, work := range o.works {
			for _, c := range running {
				if _, err := c.pool.Exec(ctx, "ANALYZE"); err != nil { // as autovacuum would, which is off so as not to be measured
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

func (c *contestant) database() string { return "bench_http_" + c.name }

// begin starts the server on its database.
func (c *contestant) begin(ctx context.Context, server *dataset.Server, hydra, profile string) (err error) {
	others := c.name == "hydra" || c.name == "go-oauth2" // which have schemas of their own
	if others {
		_, err = server.Clone(ctx, dataset.Data{Database: "template1"}, c.database())
	} else {
		err = server.Create(ctx, c.database())
	}
	if err != nil {
		return err
	}
	database := server.Via(server.HostPort, c.database())
	if c.pool, err = pgxpool.New(ctx, database+"&application_name=bench&pool_max_conns=2"); err != nil {
		return err
	}
	if _, err := c.pool.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	base := "http://" + address
	switch c.name {
	case "hydra":
		c.process, c.endpoints, err = startHydra(ctx, hydra, database)
		return err
	case "go-oauth2":
		c.endpoints, err = prepareGoOAuth2(ctx, c.pool, base)
	case "zitadel":
		c.endpoints, err = prepareOurs(ctx, c.pool, base+"/oauth")
	default:
		c.endpoints, err = prepareOurs(ctx, c.pool, base)
	}
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c.process, err = start(ctx, base, []string{serveVariable + "=" + c.name, addressVariable + "=" + address, databaseVariable + "=" + database, profileVariable + "=" + profile}, program)
	return err
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
	before, err := machine.Used(c.process.cmd.Process.Pid)
	if err != nil {
		return err
	}
	count := sync.OnceValue(func() error { // when the clock starts, as what comes before plans statements
		_, err := c.pool.Exec(ctx, "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()")
		return err
	})
	round, n, err := measure.Busy(ctx, workers, ops, warm, limit, func() (time.Duration, error) {
		if err := count(); err != nil {
			return 0, err
		}
		return machine.UsedByBackends(ctx, c.pool)
	}, do)
	if err != nil {
		return err
	}
	after, err := machine.Used(c.process.cmd.Process.Pid)
	if err != nil {
		return err
	}
	m := measured{Round: round, serverCPU: (after - before) / time.Duration(n)}
	// Those that are run for most requests: what a new connection begins with is rare.
	err = c.pool.QueryRow(ctx, `
		SELECT coalesce(sum(round(s.calls / $1::numeric)), 0)::float8
		FROM pg_stat_statements AS s
		JOIN pg_database AS d ON d.oid = s.dbid
		WHERE d.datname = current_database() AND s.query NOT LIKE '%pg_stat%'`, n-warm*int64(workers)).Scan(&m.Statements)
	k := cell{c.name, work, workers}
	r.cells[k] = append(r.cells[k], m)
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

// freeAddress is one of this machine that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
