package measure

import (
	"testing"
	"time"
)

func TestSteadyCountsWhileAllAreBusy(t *testing.T) {
	// From 1050 ms to 1100 both are busy, with operations of 1 ms; then the first has 50 of its own.
	r, err := steady(twoConns(), 2, 1050*ms)
	if err != nil {
		t.Fatal(err)
	}
	if r.Ops != 100 || r.Elapsed != 50*ms || r.P999 > 2*ms {
		t.Errorf("%d in %v with a p99.9 of %v, want 100 in 50 ms of 1 ms each", r.Ops, r.Elapsed, r.P999)
	}
	// With the long one: one and 50 of the first, and 100 of the other.
	r, err = steady(twoConns(), 2, 1000*ms)
	if err != nil {
		t.Fatal(err)
	}
	if r.Ops != 151 || r.Elapsed != 100*ms || r.P999 < 49*ms {
		t.Errorf("%d in %v with a p99.9 of %v, want 151 in 100 ms of up to 50 ms", r.Ops, r.Elapsed, r.P999)
	}
}

func TestSteadyCountsInPartWhatReachesBeyond(t *testing.T) {
	all := []operation{
		{0, 40 * ms, 40 * ms}, {0, 40 * ms, 80 * ms}, // a quarter of the first, and all of the second
		{1, 100 * ms, 100 * ms}, {1, 10 * ms, 110 * ms}, // half of the first
	}
	r, err := steady(all, 2, 30*ms)
	if err != nil {
		t.Fatal(err)
	}
	// 0.25 + 1 + 0.5 = 1.75 in 50 ms; only the second of connection 0 began in that time.
	if r.Ops != 2 || r.Elapsed != 50*ms || r.P50 < 39*ms || r.P999 > 41*ms {
		t.Errorf("%d in %v, p50 %v, p99.9 %v", r.Ops, r.Elapsed, r.P50, r.P999)
	}
}

func TestSteadyNeedsAllAtWork(t *testing.T) {
	if _, err := steady(twoConns(), 3, 1050*ms); err == nil {
		t.Error("a connection that did nothing wasn't missed")
	}
	if _, err := steady(twoConns(), 2, 1200*ms); err == nil {
		t.Error("that all had ended wasn't noticed")
	}
	if _, err := steady([]operation{{0, time.Second, ms}}, 1, 2*time.Second); err == nil {
		t.Error("a time before the beginning was taken")
	}
}
