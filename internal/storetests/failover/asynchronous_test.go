package failover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/witness"
)

// TestAsynchronous promotes a standby that the primary doesn't wait for. What is lost is reported, and it is only what the
// standby had not received: nothing whose position in the log is before the end of what the standby has.
func TestAsynchronous(t *testing.T) {
	wanted(t)
	for name, lagging := range map[string]bool{"a standby that keeps up": false, "a standby that has stopped receiving": true} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, false)
			seen := witness.New(p.world, witness.Options{Workers: 12, Positions: true})
			p.failOver(2*time.Second, func() {
				if lagging {
					lag := time.AfterFunc(1200*time.Millisecond, func() { p.set(p.standby, "primary_conninfo", "") })
					defer lag.Stop()
				}
				seen.Work(p.world)
			})
			end := p.switchover()
			total, missing := seen.Facts(p.world)
			t.Logf("%s; the standby has the log up to %s: %s", seen.Counts(), end, report(total, missing))
			for _, m := range unexplained(missing, end) {
				t.Errorf("lost, and not by lag: %s", m)
			}
			if lagging && len(missing) == 0 {
				t.Error("nothing is lost, or it isn't noticed")
			}
			fixture.Invariants(p.world)

			// What the standby had and then lost would be found.
			_, before := seen.Facts(p.world)
			p.world.Exec(`DELETE FROM oauth_access_token`)
			_, after := seen.Facts(p.world)
			if found := unexplained(after, end); len(found) == 0 || len(after) <= len(before) {
				t.Errorf("access tokens that were deleted are not missed: %d facts are missing, of which lag doesn't explain %d", len(after), len(found))
			}
		})
	}
}

// unexplained is what is missing though the standby had received it.
func unexplained(missing []witness.Missing, end witness.Position) []witness.Missing {
	return slices.DeleteFunc(slices.Clone(missing), func(m witness.Missing) bool { return m.Position > end })
}

// report says what is missing, by call.
func report(total int, missing []witness.Missing) string {
	calls := map[string]int{}
	for _, m := range missing {
		calls[m.Call]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d facts that were acknowledged are lost", len(missing), total)
	for _, call := range slices.Sorted(maps.Keys(calls)) {
		fmt.Fprintf(&b, ", %d of %s", calls[call], call)
	}
	return b.String()
}
