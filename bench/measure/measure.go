// Package measure runs a load and takes the time.
package measure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// histogram holds microsecond-grained latencies with three significant digits, up to a minute.
func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, time.Minute.Nanoseconds(), 3) }

// Session runs the load on an open session, by Busy.
func Session(
	ctx context.Context, s subject.Session, l workload.Load, warm int64, limit time.Duration, used func() (time.Duration, error),
) (report.Round, int64, error) {
	cases := make([][]subject.Case, l.Conns)
	for conn := range cases {
		cases[conn] = l.Cases(conn)
	}
	r, n, err := Busy(ctx, l.Conns, l.Ops, warm, limit, used, func(ctx context.Context, conn int, n int64) error {
		return s.Do(ctx, l.Work, &cases[conn][n])
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", l.Work, err)
	}
	return r, n, err
}

// Busy has as many goroutines as connections each do one operation after the other, the n-th of a connection from 0. The first
// warm operations of each come before the clock starts, for the server parses and plans a statement anew on each connection, and
// plans it for the parameters at hand the first five times. All connections are busy from then on until the first of them has done
// ops operations; what the others do thereafter doesn't count. Busy ends early, with what was done until then, when limit has
// passed. Beside the round it returns how many operations were done in all, the first ones too.
//
// used says what processes have used of the processors so far; nil says nothing.
func Busy(
	ctx context.Context, conns int, ops, warm int64, limit time.Duration, used func() (time.Duration, error), op func(ctx context.Context, conn int, n int64) error,
) (report.Round, int64, error) {
	if used == nil {
		used = func() (time.Duration, error) { return 0, nil }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	runtime.GC() // what the first operations fill again counts for nothing: pools of buffers, say

	done := make([][]operation, conns)
	start := make(chan time.Time)
	var ready, ended sync.WaitGroup
	ready.Add(conns)
	for conn := range conns {
		done[conn] = make([]operation, 0, min(max(0, ops-warm), 1<<16))
		do := func(n int64) bool {
			err := op(ctx, conn, n)
			if err != nil {
				cancel(fmt.Errorf("operation %d of connection %d: %w", n, conn, err))
			}
			return err == nil
		}
		ended.Go(func() {
			warmed := true
			for n := int64(0); n < warm && warmed; n++ {
				warmed = do(n)
			}
			ready.Done()
			began := <-start
			for n := warm; n < ops && warmed; n++ {
				before := time.Now()
				if before.Sub(began) > limit || ctx.Err() != nil {
					return
				}
				if !do(n) {
					return
				}
				now := time.Now()
				done[conn] = append(done[conn], operation{conn, now.Sub(before), now.Sub(began)})
			}
		})
	}
	ready.Wait()
	var before, after runtime.MemStats
	usedBefore, errBefore := used()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range conns {
		start <- began
	}
	ended.Wait()
	runtime.ReadMemStats(&after)
	usedAfter, errAfter := used()
	if err := errors.Join(context.Cause(ctx), errBefore, errAfter); err != nil {
		return report.Round{}, 0, err
	}

	all := slices.Concat(done...)
	r, err := steady(all, conns)
	if err != nil {
		return r, 0, err
	}
	n := int64(len(all))
	r.DatabaseCPU = (usedAfter - usedBefore) / time.Duration(n)
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(n)
	r.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	return r, n + int64(conns)*warm, nil
}

// operation is one that a connection did.
type operation struct {
	conn    int
	latency time.Duration
	ended   time.Duration // since some moment that all of them have in common
}

func (o operation) began() time.Duration { return o.ended - o.latency }

// ErrUneven is that a run was too short: before the last connection came to its first operation, another had done all of its.
var ErrUneven = errors.New("at no time were all connections busy")

// steady makes a round of the time in which all connections were busy: until the first of them had ended its last operation.
// Operations that reach beyond the end count in part; latencies are those of all that began in that time.
func steady(all []operation, conns int) (report.Round, error) {
	last := map[int]time.Duration{}
	for _, o := range all {
		last[o.conn] = max(last[o.conn], o.ended)
	}
	ended := time.Duration(math.MaxInt64)
	for _, t := range last {
		ended = min(ended, t)
	}
	if len(last) != conns || ended <= 0 {
		return report.Round{}, ErrUneven
	}
	h := histogram()
	ops := 0.0
	for _, o := range all {
		if within := min(o.ended, ended) - o.began(); within > 0 {
			ops += float64(within) / float64(o.latency)
		}
		if o.began() < ended {
			_ = h.RecordValue(max(1, o.latency.Nanoseconds()))
		}
	}
	r := round(h)
	r.Ops, r.Elapsed = int64(math.Round(ops)), ended
	if r.Ops == 0 || h.TotalCount() == 0 {
		return r, ErrUneven
	}
	return r, nil
}

// round has the latencies of a round.
func round(h *hdrhistogram.Histogram) report.Round {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return report.Round{P50: at(50), P99: at(99), P999: at(99.9)}
}
