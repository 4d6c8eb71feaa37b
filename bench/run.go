package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/cpu"
	"github.com/oauthdb/oauthdb/bench/dataset"
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
	out     io.Writer // gets a line of results for each group
	logf    func(string, ...any)
	results *report.Results

	lock    *pgx.Conn
	data    map[int64]dataset.Data // to work on
	kept    map[int64]dataset.Data // as loaded; the same for large ones, which are put in order after use
	conns   map[int64]*pgx.Conn    // to data, for looking
	proxies map[time.Duration]*network.Proxy
	run     int64 // number of the last run

	began       time.Time
	done, total float64 // as in work
}

// cloned is the number of access tokens up to which a run works on a copy.
const cloned = 1_000_000

func (d *driver) clone(size int64, purpose string) string {
	return fmt.Sprintf("bench_%d_%s%s", size, d.Label, purpose)
}

// measure does all of it. What it has when it fails is in results, too.
func (d *driver) measure(ctx context.Context) (err error) {
	d.began = time.Now()
	d.results.Taken = d.began.Truncate(time.Second)
	defer func() { // also of what was interrupted
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
		defer cancel()
		err = errors.Join(err, d.close(cleaning))
	}()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	stages := d.plan()
	d.total = work(stages)
	collecting := float64(d.CollectorRounds*len(d.Collectors)*len(d.Paces)) * (d.Quiet.Seconds() + 20)
	d.total += collecting
	d.began = time.Now()
	for _, s := range stages {
		if err := d.stage(ctx, s); err != nil {
			return err
		}
	}
	for round := range d.CollectorRounds {
		for _, n := range turn(d.Collectors, round) {
			for _, pace := range turn(d.Paces, round) {
				if err := d.collect(ctx, n, pace); err != nil {
					return fmt.Errorf("measure %d collectors: %w", n, err)
				}
				d.done += collecting / float64(d.CollectorRounds*len(d.Collectors)*len(d.Paces))
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
	key := "oauthdb benchmark " + label
	got := true
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
	if d.CostOps > 0 {
		var preloaded bool
		err := d.lock.QueryRow(ctx, "SELECT 'pg_stat_statements' = ANY (string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ','))").
			Scan(&preloaded)
		if err == nil && !preloaded {
			err = errors.New("costs are counted with pg_stat_statements, which is not in shared_preload_libraries: add it there, or leave costs out with -cost-ops 0")
		}
		if err != nil {
			return err
		}
	}
	if d.results.Environment, err = environment(ctx, d.server); err != nil {
		return err
	}
	d.results.Commit, d.results.Subjects = commit(ctx), legend(subjects(), d.Subjects)
	if modes, pools := variants(); d.Settings {
		all := slices.Concat(modes, pools)
		d.results.Settings = legend(all, names(all))
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
		if err := d.tables(ctx, kept); err != nil {
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
	for _, delay := range append([]time.Duration{0}, d.Delays...) { // 0 to count round trips
		if d.proxies[delay] != nil {
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
		if data.Database == d.kept[size].Database {
			errs = append(errs, d.server.Uproot(ctx, data))
			if d.done > 0 {
				errs = append(errs, d.server.Vacuum(ctx, data))
			}
		} else {
			errs = append(errs, d.server.Drop(ctx, data.Database))
		}
	}
	for _, size := range d.Sizes {
		if d.CollectorRounds > 0 && d.kept[size].Database != "" {
			errs = append(errs, d.server.Drop(ctx, d.clone(size, "collector")))
		}
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
		slices.Sort(took)
		return took[len(took)/2], nil
	}
	direct, err := p50(d.server.URL("postgres"))
	if err != nil {
		return err
	}
	via, err := p50(d.server.Via(d.proxies[delay].Addr(), "postgres"))
	d.results.Proxies = append(d.results.Proxies, report.Proxy{Asked: delay, Added: via - direct})
	return err
}

// tables takes the sizes of the tables, before anything is done to them.
func (d *driver) tables(ctx context.Context, data dataset.Data) error {
	conn, err := d.server.Connect(ctx, data.Database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `
		SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid)
		FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace
			AND c.relkind = 'r'
			AND c.relname NOT IN ('oauth2_token', 'oauth2_client', 'oauthdb_version')
		ORDER BY c.relname`)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t report.Table, err error) {
		return t, row.Scan(&t.Name, &t.HeapBytes, &t.IndexBytes)
	})
	if err != nil {
		return err
	}
	of := report.Dataset{AccessTokens: data.AccessTokens}
	for _, t := range all {
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{t.Name}.Sanitize()).Scan(&t.Rows); err != nil {
			return err
		}
		if t.Rows > 0 {
			of.Tables = append(of.Tables, t)
		}
	}
	d.results.Datasets = append(d.results.Datasets, of)
	return nil
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
	// After the rounds, which have brought most pages into the WAL since the last checkpoint.
	for _, c := range s.costs {
		if err := d.cost(ctx, c); err != nil {
			return err
		}
		d.done += 0.5
	}
	if !workload.Plants(s.work) {
		return nil
	}
	for _, data := range d.data {
		if err := errors.Join(d.server.Uproot(ctx, data), d.server.Vacuum(ctx, data)); err != nil {
			return err
		}
	}
	return nil
}

// group measures the cells of a group in rounds.
func (d *driver) group(ctx context.Context, g group) error {
	type condition struct {
		size  int64
		conns int
		delay time.Duration
	}
	first := g.cells[0]
	d.logf("%s: %s, %s%s, %s in %s", d.left(), first.work, plural(first.conns, "connection"), delayed(first.delay), plural(len(g.cells), "cell"), plural(g.rounds, "round"))
	ops := map[condition]int64{}
	measured := make([]report.Cell, len(g.cells))
	order := make([]int, len(g.cells))
	for i, c := range g.cells {
		order[i] = i
		measured[i] = report.Cell{Work: c.work, Subject: c.subject, Size: c.size, Conns: c.conns, Delay: c.delay}
		k := condition{c.size, c.conns, c.delay}
		if ops[k] > 0 {
			continue
		}
		c.subject = "store"
		r, err := d.round(ctx, c, max(leastOps, 400/int64(c.conns)), d.Duration)
		if err != nil {
			return fmt.Errorf("see how fast it is: %w", err)
		}
		perConn := int64(r.PerSecond() * d.Duration.Seconds() / float64(c.conns))
		ops[k] = min(max(leastOps, perConn), 900_000/int64(c.conns))
	}
	for round := range g.rounds {
		for _, i := range turn(order, round) {
			c := g.cells[i]
			limit := time.Minute // for what may be somewhat slower than store
			if _, own := find(c.subject).(subject.Variant); !own {
				limit = d.Duration // for what may be slower by any factor
			}
			r, err := d.round(ctx, c, ops[condition{c.size, c.conns, c.delay}], limit)
			if err != nil {
				return err
			}
			r.Number = round + 1
			if c.delay > 0 {
				r.Allocs, r.Bytes = 0, 0 // the proxy's are in them
			}
			measured[i].Rounds = append(measured[i].Rounds, r)
		}
	}
	d.results.Cells = append(d.results.Cells, measured...)
	d.print(measured)
	d.done += g.weight()
	tidied := map[int64]bool{}
	for _, c := range g.cells {
		if !tidied[c.size] {
			tidied[c.size] = true
			if err := d.tidy(ctx, c.work, c.size); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidy takes out what a work has left in the data of a size.
func (d *driver) tidy(ctx context.Context, w subject.Work, size int64) error {
	if !workload.Plants(w) {
		return nil
	}
	if err := d.server.Uproot(ctx, d.data[size]); err != nil {
		return err
	}
	if size > tidiedOftenTo || d.Hasty {
		return nil
	}
	return d.server.Vacuum(ctx, d.data[size])
}

// load is the next run of a cell, with its rows planted.
func (d *driver) load(ctx context.Context, c cell, ops int64) (workload.Load, error) {
	d.run++
	l := workload.Load{Work: c.work, Data: d.data[c.size], Conns: c.conns, Run: d.run, Ops: ops}
	if !workload.Plants(c.work) {
		return l, nil
	}
	count, state := l.Planted()
	return l, d.server.Plant(ctx, l.Data, l.Run, count, state, c.subject == "go-oauth2")
}

// verify checks what a run has left.
func (d *driver) verify(ctx context.Context, c cell, l workload.Load, done int64) error {
	if c.subject == "go-oauth2" { // has tables of its own
		return nil
	}
	if err := l.Verify(ctx, d.conns[c.size], done); err != nil {
		return fmt.Errorf("verify %s: %w", c.subject, err)
	}
	return nil
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

func (d *driver) once(ctx context.Context, c cell, ops int64, limit time.Duration) (report.Round, error) {
	l, err := d.load(ctx, c, warm+ops)
	if err != nil {
		return report.Round{}, err
	}
	url := d.server.URL(l.Data.Database)
	if c.delay > 0 {
		url = d.server.Via(d.proxies[c.delay].Addr(), l.Data.Database)
	}
	s, err := find(c.subject).Open(ctx, url, c.conns)
	if err != nil {
		return report.Round{}, err
	}
	defer s.Close()
	backends, err := cpu.Backends(ctx, d.conns[c.size])
	if err != nil {
		return report.Round{}, err
	}
	r, done, err := measure.Session(ctx, s, l, warm, limit, func() time.Duration { return cpu.OfAll(backends) })
	if err != nil {
		return r, fmt.Errorf("measure %s with %d access tokens: %w", c.subject, c.size, err)
	}
	return r, d.verify(ctx, c, l, done)
}

// cost counts what an operation takes.
func (d *driver) cost(ctx context.Context, c cell) error {
	l, err := d.load(ctx, c, warm+d.CostOps)
	if err != nil {
		return err
	}
	s, err := find(c.subject).Open(ctx, d.server.Via(d.proxies[0].Addr(), l.Data.Database), 1)
	if err != nil {
		return err
	}
	cost, done, err := measure.Costs(ctx, d.conns[c.size], s, l, warm)
	if err != nil {
		return fmt.Errorf("%s: %w", c.subject, err)
	}
	cost.Subject = c.subject
	d.results.Costs = append(d.results.Costs, cost)
	return d.verify(ctx, c, l, done)
}

// print writes a line for each size of a group.
func (d *driver) print(cells []report.Cell) {
	for i, c := range cells {
		base := &cells[0]
		if i == 0 || c.Size != cells[i-1].Size {
			fmt.Fprintf(d.out, "%s, %d access tokens, %s%s:\n", c.Work, c.Size, plural(c.Conns, "connection"), delayed(c.Delay))
		}
		for j := range cells {
			if cells[j].Size == c.Size {
				base = &cells[j]
				break
			}
		}
		allocs := ""
		if a := c.Rounds[0].Allocs; a > 0 {
			allocs = fmt.Sprintf("%5.0f allocs", a)
		}
		fmt.Fprintf(d.out, "  %-26s %8.0f/s  x %.2f   p50 %-9v p99 %-9v CPU %-9v %s\n", c.Subject, c.PerSecond().Median, report.Ratio(&c, base).Median,
			time.Duration(c.P50().Median).Round(time.Microsecond), time.Duration(c.P99().Median).Round(time.Microsecond), c.Rounds[0].DatabaseCPU, allocs)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func delayed(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf(" %v away", d)
}

// left says how long the rest takes at the pace of what is done.
func (d *driver) left() string {
	rest := time.Duration((d.total - d.done) * 1.4 * float64(d.Duration))
	if passed := time.Since(d.began); d.done > 0 {
		rest = time.Duration(float64(passed) / d.done * (d.total - d.done))
	}
	return fmt.Sprintf("%2.0f %% done, about %v left", 100*d.done/d.total, rest.Round(10*time.Second))
}
