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

// sample is what the tables take at a moment, indexes included.
type sample struct {
	at    time.Duration
	bytes map[string]int64
}

// looks is how many samples are taken: one in 30 seconds of an hour.
const looks = 120

// steady lets grants be made, refreshed and collected at one rate, and looks at the tables all the while. What is issued lives for so small a
// part of the time that as much is collected as is made for the greater part of it.
func steady(ctx context.Context, server *dataset.Server, o options) (text string, err error) {
	p, err := newPlace(ctx, server, "steady")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.drop(context.WithoutCancel(ctx))) }()
	naptime := max(time.Second, o.steady/60) // a minute of an hour, which is the server's default
	undo, err := p.autovacuum(ctx, naptime)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, undo(context.WithoutCancel(ctx))) }()

	o.lifetime, o.lasts = max(time.Second, o.steady/20), o.steady
	report.Logf("%s of steady work", o.lasts)
	s := &side{place: p}
	collecting, stop := context.WithCancel(ctx)
	var samples []sample
	g, working := errgroup.WithContext(collecting)
	g.Go(func() error {
		c := db.NewCollector(p.q, db.CollectorOptions{Retention: o.lifetime, Interval: naptime})
		if err := c.Run(working); collecting.Err() == nil {
			return err
		}
		return nil
	})
	g.Go(func() error {
		defer stop()
		began := time.Now()
		var next time.Duration
		return s.grantAndRefresh(working, o, func(now time.Time) error {
			if now.Sub(began) < next {
				return nil
			}
			next += o.lasts / looks
			bytes, err := p.sizes(working)
			samples = append(samples, sample{now.Sub(began), bytes})
			return err
		})
	})
	if err := g.Wait(); err != nil {
		return "", err
	}
	if o.plot != "" {
		if err := drawn(samples, o.plot); err != nil {
			return "", err
		}
	}
	l := o.lifetime
	return fmt.Sprintf("%s of work at %g grants a second, each refreshed twice, access tokens of %s, refresh tokens of %s and a retention of %s, the "+
		"collector and autovacuum every %s, PostgreSQL %s. Table and indexes in MB, at their largest in each third of the time; flat is a last third "+
		"of at most %.1f times the second.\n\n%s", short(o.lasts), o.rate, short(l), short(2*l), short(l), short(naptime), p.version(ctx), mostGrown,
		flatness(samples, o.lasts)), nil
}

// autovacuum switches it on, as the cluster for benchmarks has it off. It returns what undoes that.
func (p *place) autovacuum(ctx context.Context, naptime time.Duration) (undo func(context.Context) error, err error) {
	all := func(ctx context.Context, statements ...string) error {
		for _, sql := range append(statements, `SELECT pg_reload_conf()`) {
			if _, err := p.admin.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}
	return func(ctx context.Context) error {
		return all(ctx, `ALTER SYSTEM RESET autovacuum`, `ALTER SYSTEM RESET autovacuum_naptime`)
	}, all(ctx, `ALTER SYSTEM SET autovacuum = on`, fmt.Sprintf(`ALTER SYSTEM SET autovacuum_naptime = '%ds'`, int(naptime.Seconds())))
}

// sizes are those of the tables that the work writes to.
func (p *place) sizes(ctx context.Context) (map[string]int64, error) {
	rows, err := p.pool.Query(ctx, `
		SELECT s.relname::text, pg_total_relation_size(s.relid)
		FROM pg_stat_user_tables AS s
		WHERE s.n_tup_ins > 100`)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for rows.Next() {
		var name string
		var bytes int64
		if err := rows.Scan(&name, &bytes); err != nil {
			return nil, err
		}
		all[name] = bytes
	}
	return all, rows.Err()
}

// mostGrown is how much larger a table that is flat may be in the last third of the time than in the second.
const mostGrown = 1.1

// flatness is a table of the sizes, with a verdict. The first third is the warm-up.
func flatness(samples []sample, lasts time.Duration) string {
	largest := map[string]*[3]int64{}
	for _, s := range samples {
		for name, bytes := range s.bytes {
			of := largest[name]
			if of == nil {
				of = new([3]int64)
				largest[name] = of
			}
			third := min(2, int(3*s.at/lasts))
			of[third] = max(of[third], bytes)
		}
	}
	var b strings.Builder
	b.WriteString("| table | first third | second | last | last : second | |\n|---|---:|---:|---:|---:|---|\n")
	for _, name := range slices.SortedFunc(maps.Keys(largest), func(x, y string) int {
		return cmp.Or(cmp.Compare(largest[y][2], largest[x][2]), cmp.Compare(x, y))
	}) {
		of := largest[name]
		verdict := "flat"
		if float64(of[2]) > mostGrown*float64(of[1]) {
			verdict = "**grows**"
		}
		mb := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %.2f | %s |\n", name, mb(of[0]), mb(of[1]), mb(of[2]), float64(of[2])/float64(max(of[1], 1)), verdict)
	}
	return b.String()
}

// drawn draws the sizes over the time.
func drawn(samples []sample, path string) error {
	lines := map[string]plotter.XYs{}
	for _, s := range samples {
		for name, bytes := range s.bytes {
			lines[name] = append(lines[name], plotter.XY{X: s.at.Minutes(), Y: float64(bytes) / 1e6})
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
