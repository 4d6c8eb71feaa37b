package measure

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/oauthdb/oauthdb/bench/report"
)

// Paced does operations at a rate, of all workers together, until stop is closed, and ends when those have been done that were due
// until then. Each is due at a moment that is fixed from the beginning, and if its worker is still busy with the one before, the
// waiting is part of its latency: requests of others don't wait for a slow one to end before they come. That a worker without
// anything to do wakes up too late is not part of it. The n-th operation, from 0, is done by worker n modulo workers.
func Paced(
	ctx context.Context, workers int, rate float64, stop <-chan struct{}, do func(ctx context.Context, n int64) error,
) (report.Latency, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	histograms := make([]*hdrhistogram.Histogram, workers)
	began := time.Now()
	var stopped atomic.Int64 // after that long, in nanoseconds
	stopped.Store(math.MaxInt64)
	var wg sync.WaitGroup
	watching, watched := context.WithCancel(ctx)
	wg.Go(func() {
		select {
		case <-stop:
			stopped.Store(int64(time.Since(began)))
		case <-watching.Done():
		}
	})
	var working sync.WaitGroup
	for worker := range workers {
		h := histogram()
		histograms[worker] = h
		working.Go(func() {
			for n := int64(worker); ; n += int64(workers) {
				due := time.Duration(float64(n) / rate * float64(time.Second))
				from := began.Add(due)
				if wait := time.Until(from); wait > 0 {
					select {
					case <-time.After(wait):
						from = time.Now()
					case <-stop:
						return
					case <-ctx.Done():
						return
					}
				}
				if int64(due) > stopped.Load() || ctx.Err() != nil {
					return
				}
				if err := do(ctx, n); err != nil {
					cancel(fmt.Errorf("operation %d: %w", n, err))
					return
				}
				_ = h.RecordValue(max(1, time.Since(from).Nanoseconds()))
			}
		})
	}
	working.Wait()
	watched()
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return report.Latency{}, 0, err
	}
	all := histogram()
	for _, h := range histograms {
		all.Merge(h)
	}
	r := round(all)
	return report.Latency{P50: r.P50, P99: r.P99, P999: r.P999}, all.TotalCount(), nil
}
