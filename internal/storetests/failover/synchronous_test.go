package failover

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/witness"
)

// TestSynchronous kills a primary in the middle of calls and promotes its synchronous standby. Nothing that was acknowledged is
// lost, and what got no answer converges. The standby becomes the primary of the next round.
func TestSynchronous(t *testing.T) {
	wanted(t)
	p := newPair(t, true)
	seen := witness.New(p.world, witness.Options{Workers: 12})
	for round := range *failovers {
		if round > 0 {
			p.replaced(true)
		}
		before := seen.Counts()
		p.failOver(2*time.Second+rand.N(time.Second), func() { seen.Work(p.world) })
		seen.Check(p.world)
		if t.Failed() {
			t.Fatalf("after failover %d of %d", round+1, *failovers)
		}
		if c := seen.Counts(); c.Lost == before.Lost || c.Rotations == before.Rotations || c.Endings == before.Endings {
			t.Errorf("the primary was killed in the middle of nothing: %s", c)
		}
	}
	seen.PresentAgain(p.world)
}
