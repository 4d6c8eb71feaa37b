package measure

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pace runs Paced with a clock of its own for a second: four workers and a thousand operations of a millisecond, but for that with the
// number slow, which takes 200 ms.
func pace(t *testing.T, slow int64) (p50, p99, p999 time.Duration, n int64) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		time.AfterFunc(time.Second-time.Nanosecond, func() { close(stop) })
		l, done, err := Paced(t.Context(), 4, 1000, stop, func(_ context.Context, n int64) error {
			if n == slow {
				time.Sleep(200 * time.Millisecond)
			} else {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		p50, p99, p999, n = l.P50, l.P99, l.P999, done
	})
	return p50, p99, p999, n
}

func about(got, want time.Duration) bool { return got > want*98/100 && got < want*102/100 }

func TestPacedKeepsItsRate(t *testing.T) {
	p50, p99, p999, n := pace(t, -1)
	if n != 1000 {
		t.Errorf("%d operations, want 1000", n)
	}
	for _, l := range []time.Duration{p50, p99, p999} {
		if !about(l, time.Millisecond) {
			t.Errorf("a latency of %v, want 1 ms", l)
		}
	}
}

// One operation of 200 ms holds those up that its worker gets every 4 ms and does in one: the k-th waits for 200 - 3k ms, so it is in 66
// latencies, of which ten are above 169 ms.
func TestPacedCountsWaitingBehindAStall(t *testing.T) {
	p50, p99, p999, n := pace(t, 400)
	if n != 1000 {
		t.Errorf("%d operations, want 1000: none may be left out because of the stall", n)
	}
	if !about(p50, time.Millisecond) {
		t.Errorf("p50 = %v, want 1 ms", p50)
	}
	if !about(p99, 171*time.Millisecond) {
		t.Errorf("p99 = %v, want 171 ms", p99)
	}
	if !about(p999, 200*time.Millisecond) {
		t.Errorf("p99.9 = %v, want 200 ms", p999)
	}
}

func TestPacedDoesWhatWasDueWhenItStopped(t *testing.T) {
	_, p99, _, n := pace(t, 900) // still stalled at the end
	if n != 1000 {
		t.Errorf("%d operations, want 1000", n)
	}
	if p99 < 100*time.Millisecond {
		t.Errorf("p99 = %v: the stall is not in it", p99)
	}
}

func TestPacedEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	var calls atomic.Int64
	_, _, err := Paced(t.Context(), 2, 1e6, make(chan struct{}), func(context.Context, int64) error {
		if calls.Add(1) == 100 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
