package measure

import (
	"testing"
	"time"
)

const ms = time.Millisecond

func TestSteadyCountsWhileAllAreBusy(t *testing.T) {
	// Connection 0 has ended after 80 ms; a half of the other's first operation, and none of its second, is within that time.
	r, err := steady([]operation{{0, 40 * ms, 40 * ms}, {0, 40 * ms, 80 * ms}, {1, 160 * ms, 160 * ms}, {1, 5 * ms, 165 * ms}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.Ops != 3 || r.Elapsed != 80*ms || r.P50 < 39*ms || r.P50 > 41*ms || r.P999 < 159*ms {
		t.Errorf("%d in %v, p50 %v, p99.9 %v, want 2.5 in 80 ms", r.Ops, r.Elapsed, r.P50, r.P999)
	}
}

func TestSteadyNeedsAllAtWork(t *testing.T) {
	if _, err := steady([]operation{{0, ms, ms}, {1, ms, ms}}, 3); err == nil {
		t.Error("a connection that did nothing wasn't missed")
	}
}
