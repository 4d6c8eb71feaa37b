package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/measure"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// introspecting is how many connections introspect beside the collectors.
const introspecting = 4

// collect measures one pass of so many collectors, on data of its own.
func (d *driver) collect(ctx context.Context, collectors int, pace report.Pace) (err error) {
	d.logf("%s: %s at %v beside %.0f introspections a second", d.left(), plural(collectors, "collector"), pace, d.Rate)
	size := d.middle()
	name := d.clone(size, "collector")
	data, err := d.server.Clone(ctx, d.kept[size], name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.Drop(context.WithoutCancel(ctx), name)) }()
	if err := d.server.Warm(ctx, data); err != nil {
		return err
	}
	c, err := collectBeside(ctx, d.server, data, d.Options, collectors, pace)
	if err != nil {
		return err
	}
	d.results.Collector = append(d.results.Collector, c)
	fmt.Fprintf(d.out, "collectors: %d at %v, %d rows, %.0f/s; introspection p50 %v -> %v, p99 %v -> %v (x %.2f), p99.9 %v -> %v\n",
		c.Collectors, c.Pace, c.Rows, c.PerSecond(), c.Quiet.P50, c.Busy.P50, c.Quiet.P99, c.Busy.P99, c.Slowdown(), c.Quiet.P999, c.Busy.P999)
	return nil
}

// collectBeside introspects at a fixed rate, first by itself, and then for as long as it takes the collectors to make a pass.
func collectBeside(ctx context.Context, server *dataset.Server, data dataset.Data, o Options, collectors int, pace report.Pace) (report.Collector, error) {
	c := report.Collector{Size: data.AccessTokens, Collectors: collectors, Pace: pace, Rate: o.Rate}
	session, err := subject.Store.Open(ctx, server.URL(data.Database), introspecting)
	if err != nil {
		return c, err
	}
	defer session.Close()
	pool, err := db.Open(ctx, server.URL(data.Database), db.Options{MaxConns: int32(collectors), MinConns: int32(collectors)})
	if err != nil {
		return c, err
	}
	defer pool.Close()

	l := workload.Load{Work: subject.IntrospectHit, Data: data, Conns: introspecting, Ops: warm + 1000}
	if _, _, err := measure.Session(ctx, session, l, warm, 100*time.Millisecond, nil); err != nil {
		return c, err
	}
	l = workload.Load{Work: subject.IntrospectHit, Data: data, Conns: 1, Run: 1, Ops: max(1, int64(o.Rate*(o.Quiet.Seconds()+30)))}
	cases := l.Cases(0)
	var from int64
	introspect := func(ctx context.Context, n int64) error {
		return session.Do(ctx, l.Work, &cases[(from+n)%l.Ops])
	}
	quiet := make(chan struct{})
	time.AfterFunc(o.Quiet, func() { close(quiet) })
	if c.Quiet, from, err = measure.Paced(ctx, introspecting, o.Rate, quiet, introspect); err != nil {
		return c, err
	}

	stop := make(chan struct{})
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		c.Busy, _, err = measure.Paced(gctx, introspecting, o.Rate, stop, introspect)
		return err
	})
	g.Go(func() error {
		defer close(stop)
		began := time.Now()
		var mu sync.Mutex
		all, actx := errgroup.WithContext(gctx)
		for range collectors {
			all.Go(func() error {
				done, err := db.NewCollector(store.New(pool), db.CollectorOptions{BatchSize: pace.BatchSize, Share: pace.Share}).Collect(actx)
				mu.Lock()
				defer mu.Unlock()
				c.Rows += done.Total()
				return err
			})
		}
		err := all.Wait()
		c.Elapsed = time.Since(began)
		return err
	})
	if err := g.Wait(); err != nil {
		return c, err
	}
	if c.Rows == 0 {
		return c, errors.New("nothing was collected")
	}
	return c, nil
}
