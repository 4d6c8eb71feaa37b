package linear

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/model"
)

// calls is few by default, so that TestLinear fits into a run of all:
//
//	make linear CALLS=1000000
var calls = flag.Int("calls", 20_000, "how many calls the histories of TestLinear have")

var kills = flag.Int("kills", 1, "how often TestKilled kills PostgreSQL with SIGKILL")

var workers = flag.Int("workers", 4, "how many make calls at the same time about the same world, in TestLinear")

var worlds = flag.Int("worlds", 2, "how many worlds are under way at a time")

const each = 40 // calls of a world

// TestLinear lets several workers call about one world at a time, and holds the history of each world to the model. Some worlds are under way at
// once.
func TestLinear(t *testing.T) {
	t.Parallel()
	pool := newPool(t, *workers**worlds)
	started := time.Now()
	var bad, unjudged atomic.Int64
	var mu sync.Mutex
	said, done, made, overlaps, running := map[string]int{}, map[string]int{}, 0, 0, time.Duration(0)
	var all sync.WaitGroup
	next := make(chan int)
	for range *worlds {
		all.Go(func() {
			for n := range next {
				w, err := play(t.Context(), pool, fmt.Sprint("w", n), moods[n%len(moods)], uint64(n))
				if err != nil {
					t.Error(err)
					continue
				}
				from := time.Now()
				if v := w.Judge(); v.Result == porcupine.Unknown {
					unjudged.Add(1)
					t.Logf("world %s could not be judged within %v", w.name, Limit)
				} else if !v.holds(t) {
					bad.Add(1)
				}
				mu.Lock()
				running += time.Since(from)
				if before := made; before/50_000 < (made+w.Calls())/50_000 {
					t.Logf("%d calls after %v", made+w.Calls(), time.Since(started).Round(time.Second))
				}
				made += w.Calls()
				overlaps += w.overlaps()
				for k, n := range w.Outcomes() {
					said[k] += n
				}
				for _, op := range w.calls {
					if c := op.Input.(input).call; c.Reads() || !c.Refused(op.Output.(model.Answer)) {
						done[c.Name]++
					}
				}
				mu.Unlock()
			}
		})
	}
	for n := 0; n*each < *calls && bad.Load() < 5; n++ {
		next <- n
	}
	close(next)
	all.Wait()
	if made >= 20_000 && !t.Failed() { // or else it has proved little
		// Each world begins with its users and clients. Sessions last too long for one to gain by being extended.
		apart := []string{"CreateUser", "CreateClient", "ExtendSession"}
		for _, name := range model.Names() {
			if done[name] == 0 && !slices.Contains(apart, name) {
				t.Errorf("in %d calls %s never did anything", made, name)
			}
		}
	}
	if n := int(unjudged.Load()); n > made/each/5_000 {
		t.Errorf("%d of %d histories could not be judged", n, made/each)
	}
	for _, k := range slices.Sorted(maps.Keys(said)) {
		t.Logf("%6d %s", said[k], k)
	}
	t.Logf("%6d calls, each of which overlaps %.1f earlier ones; judged in %v", made, float64(overlaps)/float64(made), running)
}

// newPool returns a pool of a migrated database, on which each statement is planned once, and as for big
// tables.
func newPool(t *testing.T, conns int) *pgxpool.Pool {
	t.Helper()
	pool := fixture.NewPool(t, conns)
	all := make([]*pgxpool.Conn, conns)
	for i := range all {
		c, err := pool.Acquire(t.Context())
		if err == nil {
			_, err = c.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off")
		}
		if err != nil {
			t.Fatal(err)
		}
		all[i] = c
	}
	for _, c := range all {
		c.Release()
	}
	return pool
}
