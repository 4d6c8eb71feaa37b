package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/measure"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

const (
	introspecting = 4           // connections that introspect beside the collectors
	inTurn        = time.Second // introspection by itself, beside the collectors, and beside loops
	collectedMost = 100_000     // access tokens in the data: also a slow pace makes whole passes
)

// collect measures collectors over whole passes, each on data of its own.
func (d *driver) collect(ctx context.Context, collectors int, pace report.Pace) (err error) {
	d.logf("%s: %s at %v beside %.0f introspections a second", d.left(), plural(collectors, "collector"), pace, d.Rate)
	size := min(d.middle(), collectedMost)
	kept, ok := d.kept[size]
	if !ok {
		if kept, err = d.server.Prepare(ctx, size, d.logf); err != nil {
			return err
		}
	}
	b := beside{Collector: report.Collector{Size: size, Collectors: collectors, Pace: pace, Rate: d.Rate}}
	name := d.clone(size, "collector")
	defer func() { err = errors.Join(err, d.server.Drop(context.WithoutCancel(ctx), name)) }()
	for b.Elapsed < d.Quiet {
		data, err := d.server.Clone(ctx, kept, name)
		if err != nil {
			return err
		}
		if err := b.pass(ctx, d.server, data); err != nil {
			return err
		}
	}
	c := b.Collector
	c.Quiet, c.Busy, c.Control = report.MiddleLatency(b.quiet), report.MiddleLatency(b.busy), report.MiddleLatency(b.control)
	d.results.Collector = append(d.results.Collector, c)
	fmt.Fprintf(d.out, "collectors: %d at %v, %d rows in %d batches of %v, %.0f/s, where due %.0f/s; introspection p99 %v, beside them %v (x %.2f), beside loops %v (x %.2f), in %d turns\n",
		c.Collectors, c.Pace, c.Rows, c.Batches, c.Batch().Round(time.Microsecond), c.PerSecond(), c.WhereDue(), c.Quiet.P99, c.Busy.P99, c.Slowdown(), c.Control.P99,
		c.ControlSlowdown(), len(b.busy))
	return nil
}

// beside is a measurement of collectors with its turns.
type beside struct {
	report.Collector
	quiet, busy, control []report.Latency

	mu sync.Mutex // for what collectors count
}

// pass has the collectors make one pass, in turns with the rest.
func (b *beside) pass(ctx context.Context, server *dataset.Server, data dataset.Data) error {
	if err := server.Warm(ctx, data); err != nil {
		return err
	}
	session, err := subject.Store.Open(ctx, server.URL(data.Database), introspecting)
	if err != nil {
		return err
	}
	defer session.Close()
	config, err := db.ParseConfig(server.URL(data.Database), db.Options{MaxConns: int32(b.Collectors), MinConns: int32(b.Collectors)})
	if err != nil {
		return err
	}
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "off" // as `oauthdb gc` has it
	if b.Nice > 0 {
		config.AfterConnect = func(_ context.Context, c *pgx.Conn) error { return renice(int(c.PgConn().PID()), b.Nice) }
	}
	pool, err := db.OpenConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	l := workload.Load{Work: subject.IntrospectHit, Data: data, Conns: introspecting, Ops: warm + 1000}
	if _, _, err := measure.Session(ctx, session, l, warm, 100*time.Millisecond, nil); err != nil {
		return err
	}

	l = workload.Load{Work: subject.IntrospectHit, Data: data, Conns: 1, Run: 1, Ops: 20_000}
	cases := l.Cases(0)
	var from int64
	turn := func(ctx context.Context, to *[]report.Latency, until <-chan struct{}) error {
		stop := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(stop)
			select {
			case <-time.After(inTurn):
			case <-until:
			case <-ctx.Done():
			}
		}()
		latency, n, err := measure.Paced(ctx, introspecting, b.Rate, stop, func(ctx context.Context, n int64) error { return session.Do(ctx, l.Work, &cases[(from+n)%l.Ops]) })
		from += n
		if err == nil && (time.Since(began) > inTurn/2 || len(*to) == 0) { // the last turn may be cut short
			*to = append(*to, latency)
		}
		return err
	}

	var gate sync.RWMutex // open while it is the collectors' turn
	gate.Lock()
	g, gctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	g.Go(func() error {
		defer close(done)
		all, actx := errgroup.WithContext(gctx)
		for range b.Collectors {
			all.Go(func() error {
				await(&gate)
				timed := &timed{DBTX: pool}
				_, err := db.NewCollector(store.New(timed), db.CollectorOptions{BatchSize: b.BatchSize, Share: b.Share, Progress: func(p db.Progress) {
					b.mu.Lock()
					b.Batches, b.Working, b.Rows = b.Batches+1, b.Working+timed.took, b.Rows+p.Deleted
					if p.Deleted > 0 {
						b.Deleting += timed.took
					}
					b.mu.Unlock()
					await(&gate)
				}}).Collect(actx)
				return err
			})
		}
		return all.Wait()
	})
	g.Go(func() error {
		for open := true; open; {
			if err := turn(gctx, &b.quiet, nil); err != nil {
				gate.Unlock()
				return err
			}
			began := time.Now()
			gate.Unlock()
			err := turn(gctx, &b.busy, done)
			select {
			case <-done:
				open = false
			default:
			}
			b.Elapsed += time.Since(began)
			if err != nil {
				return err
			}
			gate.Lock()
			time.Sleep(50 * time.Millisecond) // a batch may still be under way
			if err := b.loops(gctx, pool, func(ctx context.Context) error { return turn(ctx, &b.control, nil) }); err != nil {
				gate.Unlock()
				return err
			}
		}
		gate.Unlock()
		return nil
	})
	return g.Wait()
}

// loops keeps as many connections as there are collectors busy as often as those, for as long as a batch takes, while it does what it is
// given.
func (b *beside) loops(ctx context.Context, pool *pgxpool.Pool, while func(context.Context) error) error {
	b.mu.Lock()
	batch := b.Batch()
	b.mu.Unlock()
	g, gctx := errgroup.WithContext(ctx)
	lctx, stop := context.WithCancel(gctx)
	for range b.Collectors {
		g.Go(func() error {
			const most = 2 // a busy moment says little
			rows, owed := float64(batch.Microseconds())*10, time.Duration(0)
			for lctx.Err() == nil {
				began := time.Now()
				if _, err := pool.Exec(gctx, "SELECT count(*) FROM generate_series(1, $1::bigint)", int64(rows)); err != nil {
					return err
				}
				took := time.Since(began)
				rows = max(1, rows*min(most, max(1./most, float64(batch)/float64(took))))
				if owed += time.Duration(float64(took) * (1/b.Share - 1)); owed >= time.Millisecond { // as db.Collector has it
					rested := time.Now()
					select {
					case <-time.After(owed):
					case <-lctx.Done():
					}
					owed = max(owed-time.Since(rested), -time.Millisecond)
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer stop()
		return while(gctx)
	})
	return g.Wait()
}

// renice sets the nice value of a process of this machine, and that of its group where the kernel schedules sessions as groups (sched(7), autogroup).
func renice(pid, nice int) error {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, pid, nice); err != nil {
		return fmt.Errorf("renicing the collector's server process: %w", err)
	}
	err := os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(strconv.Itoa(nice)), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// await waits until a gate is open.
func await(gate *sync.RWMutex) {
	gate.RLock()
	defer gate.RUnlock()
}

// timed is how long the last query for a row took.
type timed struct {
	store.DBTX
	took time.Duration
}

func (t *timed) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	began := time.Now()
	return timedRow{t.DBTX.QueryRow(ctx, sql, args...), t, began}
}

type timedRow struct {
	pgx.Row
	to    *timed
	began time.Time
}

func (r timedRow) Scan(to ...any) error {
	err := r.Row.Scan(to...)
	r.to.took = time.Since(r.began)
	return err
}
