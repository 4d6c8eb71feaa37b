// Package measure runs a load and takes the time.
package measure

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// histogram holds microsecond-grained latencies with three significant digits, up to a minute.
func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, time.Minute.Nanoseconds(), 3) }

// Session runs the load on an open session: as many goroutines as connections, each doing one operation after the other. The first
// warm operations of each come before the clock starts, for the server parses and plans a statement anew on each connection, and
// plans it for the parameters at hand the first five times. It ends early, with what was done until then, when limit has passed.
// Beside the round it returns how many operations were done in all, the first ones too.
func Session(ctx context.Context, s subject.Session, l workload.Load, warm int64, limit time.Duration) (report.Round, int64, error) {
	cases := make([][]subject.Case, l.Conns)
	for conn := range cases {
		cases[conn] = l.Cases(conn)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	histograms := make([]*hdrhistogram.Histogram, l.Conns)
	start := make(chan time.Time)
	var ready, done sync.WaitGroup
	ready.Add(l.Conns)
	for conn := range l.Conns {
		h := histogram()
		histograms[conn] = h
		do := func(n int64) bool {
			err := s.Do(ctx, l.Work, &cases[conn][n])
			if err != nil {
				cancel(fmt.Errorf("%s, operation %d of connection %d: %w", l.Work, n, conn, err))
			}
			return err == nil
		}
		done.Go(func() {
			warmed := true
			for n := int64(0); n < warm && warmed; n++ {
				warmed = do(n)
			}
			ready.Done()
			began := <-start
			for n := warm; n < l.Ops && warmed; n++ {
				before := time.Now()
				if before.Sub(began) > limit || ctx.Err() != nil {
					return
				}
				if !do(n) {
					return
				}
				_ = h.RecordValue(max(1, time.Since(before).Nanoseconds()))
			}
		})
	}
	ready.Wait()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range l.Conns {
		start <- began
	}
	done.Wait()
	elapsed := time.Since(began)
	runtime.ReadMemStats(&after)
	if err := context.Cause(ctx); err != nil {
		return report.Round{}, 0, err
	}

	all := histogram()
	for _, h := range histograms {
		all.Merge(h)
	}
	r := round(all, elapsed)
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(r.Ops)
	r.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(r.Ops)
	return r, r.Ops + int64(l.Conns)*warm, nil
}

func round(h *hdrhistogram.Histogram, elapsed time.Duration) report.Round {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return report.Round{Ops: h.TotalCount(), Elapsed: elapsed, P50: at(50), P99: at(99), P999: at(99.9)}
}
