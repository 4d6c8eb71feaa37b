package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/machine"
	"github.com/oauthdb/oauthdb/bench/measure"
	"github.com/oauthdb/oauthdb/bench/network"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// driver measures what its options say.
type driver struct {
	Options
	server  *dataset.Server
	out     io.Writer // gets a line for each measurement of a collector
	logf    func(string, ...any)
	results *report.Results

	lock    *pgx.Conn
	data    map[int64]dataset.Data // to work on
	kept    map[int64]dataset.Data // as loaded; the same for large ones, which are put in order after use
	conns   map[int64]*pgx.Conn    // to data, for looking
	proxies map[time.Duration]*network.Proxy
	run     int64 // number of the last run
	counts  bool  // the server has pg_stat_statements

	step, steps int // of the groups, and of the measurements of collectors
}

// cloned is the number of access tokens up to which a run works on a copy.
const cloned = 1_000_000

func (d *driver) clone(size int64, purpose string) string {
	return fmt.Sprintf("bench_%d_%s%s", size, d.Label, purpose)
}

var plural = report.Plural

// left says how far the run has come.
func (d *driver) left() string {
	d.step++
	return fmt.Sprintf("%d of %d", d.step, d.steps)
}

// measure does all of it. What it has when it fails is in results, too.
func (d *driver) measure(ctx context.Context) (err error) {
	d.results.Taken = time.Now().Truncate(time.Second)
	defer func() { // also of what was interrupted
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
		defer cancel()
		err = errors.Join(err, d.close(cleaning))
	}()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if d.Callgrind != "" {
		return d.instructions(ctx)
	}
	var stages []stage
	if !d.OnlyCollector {
		stages = d.plan()
	}
	d.steps = d.CollectorRounds * len(d.Collectors) * len(d.Paces)
	for _, s := range stages {
		d.steps += len(s.groups)
	}
	for _, s := range stages {
		if err := d.stage(ctx, s); err != nil {
			return err
		}
	}
	for round := range d.CollectorRounds {
		for _, n := range turn(d.Collectors, round) {
			for _, pace := range turn(d.Paces, round) {
				if err := d.collect(ctx, n, pace); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// exclusive makes sure that no other benchmark with the same label is at work on the server.
func exclusive(ctx context.Context, server *dataset.Server, label string, wait bool) (*pgx.Conn, error) {
	conn, err := server.Connect(ctx, "postgres")
	if err != nil {
		return nil, err
	}
	key, got := "oauthdb benchmark "+label, true
	if wait {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", key)
	} else {
		err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key).Scan(&got)
	}
	if err == nil && !got {
		err = errors.New("another benchmark is at work on the same server")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}

func (d *driver) prepare(ctx context.Context) (err error) {
	d.data, d.kept, d.conns = map[int64]dataset.Data{}, map[int64]dataset.Data{}, map[int64]*pgx.Conn{}
	d.proxies = map[time.Duration]*network.Proxy{}
	if d.lock, err = exclusive(ctx, d.server, d.Label, d.Label != ""); err != nil {
		return err
	}
	if _, err := d.lock.Exec(ctx, "SHOW pg_stat_statements.max"); err == nil {
		d.counts = true
	} else {
		d.logf("statements are not counted: pg_stat_statements is not in shared_preload_libraries")
	}
	if d.results.Environment, err = d.server.Environment(ctx); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output(); err == nil { // else outside of a repository
		d.results.Commit = strings.TrimSpace(string(out))
	}
	d.results.Subjects = slices.DeleteFunc(slices.Clone(subjects), func(s subject.Subject) bool { return !slices.Contains(d.Subjects, s.Name) })
	if d.Settings {
		d.results.Settings = slices.Concat(modes, pools)
	}
	for _, size := range d.Sizes {
		kept, err := d.server.Prepare(ctx, size, d.logf)
		if err != nil {
			return err
		}
		d.kept[size], d.data[size] = kept, kept
		if err := d.server.Uproot(ctx, kept); err != nil { // what an interrupted run left
			return err
		}
		if err := d.relations(ctx, kept); err != nil {
			return err
		}
	}
	for _, size := range d.Sizes {
		if size <= cloned {
			if d.data[size], err = d.server.Clone(ctx, d.kept[size], d.clone(size, "work")); err != nil {
				return fmt.Errorf("copy the data with %d access tokens: %w", size, err)
			}
			if d.Hasty {
				_, err := d.lock.Exec(ctx, "ALTER DATABASE "+pgx.Identifier{d.data[size].Database}.Sanitize()+" SET synchronous_commit = off")
				if err != nil {
					return err
				}
			}
		}
		d.logf("warming up %d access tokens", size)
		if err := d.server.Warm(ctx, d.data[size]); err != nil {
			return err
		}
		if d.conns[size], err = d.server.Connect(ctx, d.data[size].Database); err != nil {
			return err
		}
	}
	for _, delay := range d.Delays {
		if delay == 0 || d.proxies[delay] != nil {
			continue
		}
		if d.proxies[delay], err = network.Start(d.server.HostPort, delay); err != nil {
			return err
		}
		if err := d.proxy(ctx, delay); err != nil {
			return err
		}
	}
	return nil
}

// close leaves the databases as they were.
func (d *driver) close(ctx context.Context) error {
	var errs []error
	for _, p := range d.proxies {
		p.Close()
	}
	for _, conn := range d.conns {
		errs = append(errs, conn.Close(ctx))
	}
	for size, data := range d.data {
		if data.Database != d.kept[size].Database {
			errs = append(errs, d.server.Drop(ctx, data.Database))
			continue
		}
		errs = append(errs, d.server.Uproot(ctx, data))
		if d.run > 0 {
			errs = append(errs, d.server.Vacuum(ctx, data))
		}
	}
	if d.CollectorRounds > 0 && d.lock != nil {
		errs = append(errs, d.server.Drop(ctx, d.clone(d.middle(), "collector")))
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close(ctx))
	}
	return errors.Join(errs...)
}

// proxy takes what a proxy really adds to a round trip.
func (d *driver) proxy(ctx context.Context, delay time.Duration) error {
	p50 := func(url string) (time.Duration, error) {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return 0, err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		took := make([]time.Duration, 301)
		for i := range took {
			began := time.Now()
			if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
				return 0, err
			}
			took[i] = time.Since(began)
		}
		return report.Median(took), nil
	}
	direct, err := p50(d.server.URL("postgres"))
	if err != nil {
		return err
	}
	via, err := p50(d.server.Via(d.proxies[delay].Addr(), "postgres"))
	d.results.Proxies = append(d.results.Proxies, report.Proxy{Asked: delay, Added: via - direct})
	return err
}

// relations takes the sizes of the tables, before anything is done to them.
func (d *driver) relations(ctx context.Context, data dataset.Data) error {
	conn, err := d.server.Connect(ctx, data.Database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `
		SELECT c.relname, c.reltuples::bigint, pg_table_size(c.oid), pg_indexes_size(c.oid)
		FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.reltuples > 0 AND c.relname <> 'oauthdb_version'
		ORDER BY c.relname`)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[report.Relation])
	d.results.Datasets = append(d.results.Datasets, report.Dataset{AccessTokens: data.AccessTokens, Tables: all})
	return err
}

// stage measures all of one work, and then puts the data in order.
func (d *driver) stage(ctx context.Context, s stage) error {
	if !workload.Plants(s.work) { // looks at all of the data, which others may have pushed out
		for _, size := range d.Sizes {
			if err := d.server.Warm(ctx, d.data[size]); err != nil {
				return err
			}
		}
	}
	for _, g := range s.groups {
		if err := d.group(ctx, g); err != nil {
			return err
		}
	}
	for _, data := range d.data {
		if err := d.tidy(ctx, s.work, data, true); err != nil {
			return err
		}
	}
	return nil
}

// group measures the cells of a group in rounds.
func (d *driver) group(ctx context.Context, g group) error {
	first := g.cells[0]
	d.logf("%s: %s, %s, %v away, %s in %s", d.left(), first.Work, plural(first.Conns, "connection"), first.Delay, plural(len(g.cells), "cell"), plural(g.rounds, "round"))
	ops := map[cell]int64{} // of the store under the same condition
	measured := make([]report.Cell, len(g.cells))
	order := make([]int, len(g.cells))
	for i, c := range g.cells {
		order[i], measured[i].Condition = i, c
		c.Subject = subject.Store.Name
		if ops[c] > 0 {
			continue
		}
		r, err := d.round(ctx, c, max(leastOps, 400/int64(c.Conns)), d.Duration)
		if err != nil {
			return fmt.Errorf("see how fast it is: %w", err)
		}
		perConn := int64(r.PerSecond() * d.Duration.Seconds() / float64(c.Conns))
		ops[c] = min(max(leastOps, perConn), 900_000/int64(c.Conns))
	}
	for round := range g.rounds {
		for _, i := range turn(order, round) {
			c, limit := g.cells[i], time.Minute // for what may be somewhat slower than store
			if c.Subject == subject.Transaction.Name {
				limit = d.Duration // for what may be slower by any factor
			}
			same := c
			same.Subject = subject.Store.Name
			r, err := d.round(ctx, c, ops[same], limit)
			if err != nil {
				return err
			}
			r.Number = round + 1
			if c.Delay > 0 {
				r.Allocs, r.Bytes = 0, 0 // the proxy's are in them
			}
			measured[i].Rounds = append(measured[i].Rounds, r)
		}
	}
	d.results.Cells = append(d.results.Cells, measured...)
	for size, data := range d.data {
		if slices.ContainsFunc(g.cells, func(c cell) bool { return c.Size == size }) {
			if err := d.tidy(ctx, first.Work, data, size <= tidiedOftenTo && !d.Hasty); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidy takes out what a work has left in some data.
func (d *driver) tidy(ctx context.Context, w subject.Work, data dataset.Data, vacuum bool) error {
	if !workload.Plants(w) {
		return nil
	}
	err := d.server.Uproot(ctx, data)
	if err == nil && vacuum {
		err = d.server.Vacuum(ctx, data)
	}
	return err
}

// load is the next run of a cell, with its rows planted.
func (d *driver) load(ctx context.Context, c cell, ops int64) (workload.Load, error) {
	d.run++
	l := workload.Load{Work: c.Work, Data: d.data[c.Size], Conns: c.Conns, Run: d.run, Ops: ops}
	if !workload.Plants(c.Work) {
		return l, nil
	}
	count, state := l.Planted()
	return l, d.server.Plant(ctx, l.Data, l.Run, count, state)
}

// round measures one subject once, over so many operations of each connection unless limit passes first. It begins anew, with twice
// as many, when the connections were too uneven, as they can be where a round lasts some milliseconds.
func (d *driver) round(ctx context.Context, c cell, ops int64, limit time.Duration) (report.Round, error) {
	for attempt := 1; ; attempt++ {
		r, err := d.once(ctx, c, ops<<(attempt-1), limit)
		if attempt == 5 || !errors.Is(err, measure.ErrUneven) {
			return r, err
		}
		d.logf("again: %v", err)
	}
}

func (d *driver) once(ctx context.Context, c cell, ops int64, limit time.Duration) (r report.Round, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("measure %s with %d access tokens: %w", c.Subject, c.Size, err)
		}
	}()
	l, err := d.load(ctx, c, warm+ops)
	if err != nil {
		return r, err
	}
	look := d.conns[c.Size]
	rows, err := settled(ctx, look)
	if err != nil {
		return r, err
	}
	url := d.server.URL(l.Data.Database)
	if c.Delay > 0 {
		url = d.server.Via(d.proxies[c.Delay].Addr(), l.Data.Database)
	}
	s, err := find(c.Subject).Open(ctx, url, c.Conns)
	if err != nil {
		return r, err
	}
	close := sync.OnceFunc(s.Close)
	defer close()
	count := sync.OnceValue(func() error { // when the clock starts, as what comes before plans statements
		if !d.counts {
			return nil
		}
		_, err := look.Exec(ctx, "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()")
		return err
	})
	r, done, err := measure.Session(ctx, s, l, warm, limit, func() (time.Duration, error) {
		if err := count(); err != nil {
			return 0, err
		}
		return machine.UsedByBackends(ctx, look)
	})
	if err != nil {
		return r, err
	}
	if d.counts {
		err := look.QueryRow(ctx, `
			SELECT coalesce(sum(s.calls), 0)::float8 / $1, coalesce(sum(s.wal_bytes), 0)::float8 / $1,
				coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::float8 / $1
			FROM pg_stat_statements AS s
			JOIN pg_database AS d ON d.oid = s.dbid
			JOIN pg_roles AS r ON r.oid = s.userid
			WHERE d.datname = current_database() AND r.rolname = current_user AND s.query NOT LIKE '%pg_stat_%'`, float64(done-warm*int64(c.Conns))).
			Scan(&r.Statements, &r.WALBytes, &r.Buffers)
		if err != nil {
			return r, err
		}
	}
	close()
	after, err := settled(ctx, look)
	if err != nil {
		return r, err
	}
	r.Rows = (after - rows) / float64(done)
	return r, l.Verify(ctx, look, done)
}

// settled waits until the other clients of a database are gone, for until then the server may not know what they have written, or for some
// seconds. It returns how many rows were written so far.
func settled(ctx context.Context, look *pgx.Conn) (rows float64, err error) {
	for began, others := time.Now(), 1; others > 0 && err == nil && time.Since(began) < 3*time.Second; {
		err = look.QueryRow(ctx, `
			SELECT count(*)
			FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&others)
	}
	if err != nil {
		return 0, err
	}
	err = look.QueryRow(ctx, `
		SELECT (tup_inserted + tup_updated + tup_deleted)::float8
		FROM pg_stat_database
		WHERE datname = current_database()`).Scan(&rows)
	return rows, err
}
