package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/measure"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
	"github.com/oauthdb/oauthdb/store"
)

const (
	introspections = 1000 // a second
	introspecting  = 2    // connections
)

// operation is one of those that are done at a rate.
type operation func(ctx context.Context, n int64) error

// besideAll measures introspection beside a loop of each ending of the party that has very many families; and, as a control, beside one of
// updates of a table that no call reads, which shows what the processors make of it.
func (p *place) besideAll(ctx context.Context, o options) (text string, err error) {
	session, err := subject.Store.Open(ctx, p.server.URL(p.data.Database), introspecting)
	if err != nil {
		return "", err
	}
	defer session.Close()
	load := workload.Load{Work: subject.IntrospectHit, Data: p.data, Conns: introspecting, Ops: 5000}
	cases := load.Cases(0)
	introspect := func(ctx context.Context, n int64) error { return session.Do(ctx, load.Work, &cases[n%load.Ops]) }

	t := report.NewTable(1, fmt.Sprintf("p99 of %d introspections a second beside", introspections), "quiet", fmt.Sprintf("%v a second", o.rate), "multiple", fmt.Sprint("≤ ", most))
	row := func(name string, loop operation) error {
		report.Logf("introspection beside %s", name)
		quiet, busy, err := p.beside(ctx, o, introspect, loop)
		if err == nil {
			t.Row(append([]string{name, report.Took(quiet), report.Took(busy)}, against(float64(busy)/float64(quiet))...)...)
		}
		return err
	}
	err = row("an update of a table of its own", func(ctx context.Context, _ int64) error {
		return pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE bench.control SET n = n + 1 WHERE id = $1", 1)
			return err
		})
	})
	for _, e := range all {
		if err != nil {
			return "", err
		}
		err = row("`"+e.name+"`", func(ctx context.Context, _ int64) error {
			return p.undone(ctx, func(tx pgx.Tx) error { return e.end(ctx, store.New(tx), large) })
		})
	}
	return t.String(), err
}

// beside is the p99 of introspections when it is quiet and beside a loop, by turns, as medians over the windows.
func (p *place) beside(ctx context.Context, o options, introspect, loop operation) (quiet, busy time.Duration, err error) {
	var p99 [2][]time.Duration
	for n := range 2 * (o.beside + 1) {
		stop := make(chan struct{})
		timer := time.AfterFunc(o.window, func() { close(stop) })
		ended := make(chan error, 1)
		go func() {
			var err error
			if n%2 == 1 {
				_, _, err = measure.Paced(ctx, 1, o.rate, stop, loop)
			}
			ended <- err
		}()
		latency, _, err := measure.Paced(ctx, introspecting, introspections, stop, introspect)
		err = errors.Join(err, <-ended)
		timer.Stop()
		if err != nil {
			return 0, 0, err
		}
		if n > 1 { // before, statements are planned
			p99[n%2] = append(p99[n%2], latency.P99)
		}
	}
	_, err = p.conn.Exec(ctx, "VACUUM")
	return report.Median(p99[0]), report.Median(p99[1]), err
}
