package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/db"
)

// size is what a table and its indexes take, in bytes, and how often autovacuum has come to it.
type size struct{ table, index, vacuums int64 }

// sample is what the tables are like at a moment.
type sample struct {
	at time.Duration
	of map[string]size
}

// sizes are those of the tables that the work writes to.
func (p *place) sizes(ctx context.Context) (map[string]size, error) {
	rows, err := p.pool.Query(ctx, `
		SELECT s.relname::text, pg_table_size(s.relid), pg_indexes_size(s.relid), s.autovacuum_count
		FROM pg_stat_user_tables AS s
		WHERE s.n_tup_ins > 50`)
	if err != nil {
		return nil, err
	}
	all := map[string]size{}
	for rows.Next() {
		var name string
		var s size
		if err := rows.Scan(&name, &s.table, &s.index, &s.vacuums); err != nil {
			return nil, err
		}
		all[name] = s
	}
	return all, rows.Err()
}

// work grants at a rate for some time, and refreshes each grant twice, half a lifetime of an access token apart. Every now and then it collects
// what has expired, and looks at the tables.
func (p *place) work(ctx context.Context, rate float64, lasts, every time.Duration) (samples []sample, err error) {
	type due struct {
		family
		at time.Time
	}
	var session family
	if session.session, err = p.signIn(ctx, max(24*time.Hour, 2*lasts)); err != nil {
		return nil, err
	}
	collector := db.NewCollector(p.q, db.CollectorOptions{Retention: p.access})
	var waiting []due // by time
	began := time.Now()
	grants, next := 0, time.Duration(0)
	for {
		now := time.Now()
		passed := now.Sub(began)
		if passed >= lasts {
			return samples, nil
		}
		for ; float64(grants) < passed.Seconds()*rate; grants++ {
			f := session
			if err := errors.Join(p.grant(ctx, &f), p.redeem(ctx, &f, false)); err != nil {
				return nil, err
			}
			waiting = append(waiting, due{f, time.Now().Add(p.access / 2)})
		}
		for len(waiting) > 0 && waiting[0].at.Before(now) {
			f := waiting[0].family
			waiting = waiting[1:]
			if err := p.rotate(ctx, &f, false); err != nil {
				return nil, err
			}
			if f.tokens < 2 {
				waiting = append(waiting, due{f, time.Now().Add(p.access / 2)})
			}
		}
		if passed >= next {
			next = passed + every
			if _, err := collector.Collect(ctx); err != nil {
				return nil, err
			}
			of, err := p.sizes(ctx)
			if err != nil {
				return nil, err
			}
			samples = append(samples, sample{passed, of})
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// autovacuum switches it on, as the cluster for benchmarks has it off. It returns what undoes that.
func autovacuum(ctx context.Context, server *dataset.Server, naptime time.Duration) (undo func() error, err error) {
	const reload = `SELECT pg_reload_conf()`
	return func() error {
			return server.Exec(context.WithoutCancel(ctx), "postgres", `ALTER SYSTEM RESET autovacuum`, `ALTER SYSTEM RESET autovacuum_naptime`, reload)
		}, server.Exec(ctx, "postgres", `ALTER SYSTEM SET autovacuum = on`,
			fmt.Sprintf(`ALTER SYSTEM SET autovacuum_naptime = '%ds'`, int(naptime.Seconds())), reload)
}

// short is a time without zeroes at its end: 3m, not 3m0s.
func short(d time.Duration) string {
	if d%time.Minute == 0 {
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.String()
}

// churned are the tables that autovacuum is about.
var churned = []string{"oauth_authorization", "oauth_refresh_token", "oauth_access_token"}

// parameters are those that the migrations set.
const parameters = `autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor,
	autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit`

// churn measures with each naptime.
func churn(ctx context.Context, server *dataset.Server, o options) (string, error) {
	var all []string
	for _, naptime := range o.naptimes {
		text, err := churnWith(ctx, server, o, naptime)
		if err != nil {
			return "", err
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n"), nil
}

// churnWith lets grants be made, refreshed, and collected when they have expired, at the same rate on each side: with the server's defaults, with
// what the migrations set, and with what is to be tried.
func churnWith(ctx context.Context, server *dataset.Server, o options, naptime time.Duration) (text string, err error) {
	labels, changes := []string{"defaults", "migrations"}, []string{` RESET (` + parameters + `)`, ``}
	tried := ""
	if o.try != "" {
		labels, changes, tried = append(labels, "try"), append(changes, ` SET (`+o.try+`)`), " Try is "+o.try+"."
	}
	undo, err := autovacuum(ctx, server, naptime)
	defer func() { err = errors.Join(err, undo()) }()
	if err != nil {
		return "", err
	}
	sides, samples := make([]*place, len(labels)), make([][]sample, len(labels))
	head := []string{"Table"}
	for i, label := range labels {
		p, err := newPlace(ctx, server, label, lifetimes{code: o.lifetime, access: o.lifetime, refresh: 2 * o.lifetime})
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, p.drop(ctx)) }()
		for _, table := range churned {
			if changes[i] == "" {
				continue
			}
			if _, err := p.pool.Exec(ctx, `ALTER TABLE `+table+changes[i]); err != nil {
				return "", err
			}
		}
		sides[i], head = p, append(head, label+": table", "indexes", "vacuums")
	}
	report.Logf("%s of steady work", o.lasts)
	g, working := errgroup.WithContext(ctx)
	for i, p := range sides {
		g.Go(func() (err error) {
			samples[i], err = p.work(working, o.rate, o.lasts, min(2*time.Second, o.lifetime/4))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	live := make([]map[string]size, len(sides)) // once nothing dead is in them
	for i, p := range sides {
		for _, table := range churned {
			if _, err := p.pool.Exec(ctx, `VACUUM FULL `+table); err != nil {
				return "", err
			}
		}
		if live[i], err = p.sizes(ctx); err != nil {
			return "", err
		}
	}
	t := report.NewTable(1, head...)
	for _, table := range churned {
		row := []string{"`" + table + "`"}
		for i := range sides {
			var largest size // in the second half of the time
			for _, s := range samples[i] {
				if s.at > o.lasts/2 {
					of := s.of[table]
					largest = size{max(largest.table, of.table), max(largest.index, of.index), of.vacuums}
				}
			}
			if o.lasts > 3*naptime && largest.vacuums == 0 && table == "oauth_access_token" {
				return "", errors.New("autovacuum never came, so there is nothing to compare")
			}
			times := func(n, live int64) string { return fmt.Sprintf("%.1f", float64(n)/float64(max(live, 1))) }
			row = append(row, times(largest.table, live[i][table].table), times(largest.index, live[i][table].index), fmt.Sprint(largest.vacuums))
		}
		t.Row(row...)
	}
	return fmt.Sprintf("%s of work at %g grants a second, each refreshed twice, access tokens of %s, autovacuum_naptime %s, PostgreSQL %s. The tables at their largest in the second half of the time, in multiples of what was live in the end, and how often autovacuum came.%s\n\n%s",
		short(o.lasts), o.rate, short(o.lifetime), short(naptime), sides[0].version, tried, t), nil
}

// steady lets grants be made, refreshed and collected at one rate, and looks at the tables all the while. What is issued lives for so small a
// part of the time that as much is collected as is made for the greater part of it.
func steady(ctx context.Context, server *dataset.Server, o options) (text string, err error) {
	l := max(time.Second, o.steady/20)
	p, err := newPlace(ctx, server, "steady", lifetimes{code: l, access: l, refresh: 2 * l})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.drop(ctx)) }()
	naptime := max(time.Second, o.steady/60) // a minute of an hour, which is the server's default
	undo, err := autovacuum(ctx, server, naptime)
	defer func() { err = errors.Join(err, undo()) }()
	if err != nil {
		return "", err
	}
	report.Logf("%s of steady work", o.steady)
	samples, err := p.work(ctx, o.rate, o.steady, naptime)
	if err == nil && o.plot != "" {
		err = drawn(samples, o.plot)
	}
	return fmt.Sprintf("%s of work at %g grants a second, each refreshed twice, access tokens of %s, refresh tokens of %s and a retention of %s, the "+
		"collector and autovacuum every %s, PostgreSQL %s. Table and indexes in MB, at their largest in each third of the time; flat is a last third "+
		"of at most %.1f times the second.\n\n%s", short(o.steady), o.rate, short(l), short(2*l), short(l), short(naptime), p.version, mostGrown,
		flatness(samples, o.steady)), err
}

// mostGrown is how much larger a table that is flat may be in the last third of the time than in the second.
const mostGrown = 1.1

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// flatness is a table of the sizes, with a verdict. The first third is the warm-up.
func flatness(samples []sample, lasts time.Duration) string {
	largest := map[string][3]int64{}
	for _, s := range samples {
		for name, of := range s.of {
			thirds, third := largest[name], min(2, int(3*s.at/lasts))
			thirds[third] = max(thirds[third], of.table+of.index)
			largest[name] = thirds
		}
	}
	t := report.NewTable(1, "table", "first third", "second", "last", "last : second", "")
	for _, name := range slices.SortedFunc(maps.Keys(largest), func(x, y string) int {
		return cmp.Or(cmp.Compare(largest[y][2], largest[x][2]), cmp.Compare(x, y))
	}) {
		row := []string{"`" + name + "`"}
		for _, n := range largest[name] {
			row = append(row, fmt.Sprintf("%.1f", mb(n)))
		}
		growth, verdict := float64(largest[name][2])/float64(max(largest[name][1], 1)), "flat"
		if growth > mostGrown {
			verdict = "**grows**"
		}
		t.Row(append(row, report.Decimals(growth), verdict)...)
	}
	return t.String()
}

// drawn draws the sizes over the time.
func drawn(samples []sample, path string) error {
	lines := map[string]plotter.XYs{}
	for _, s := range samples {
		for name, of := range s.of {
			lines[name] = append(lines[name], plotter.XY{X: s.at.Minutes(), Y: mb(of.table + of.index)})
		}
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "tables under steady work, with their indexes", "minutes", "MB"
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = true, true
	var all []any
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		all = append(all, name, lines[name])
	}
	if err := plotutil.AddLines(p, all...); err != nil {
		return err
	}
	return p.Save(18*vg.Centimeter, 11*vg.Centimeter, path)
}
