package failover

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/linear"
)

// TestAHistoryGoesOnOverAFailover records histories of concurrent calls until the primary is killed, goes on with each of them on the
// standby, and has them judged as wholes. Calls that got no answer may have taken effect at any time, or never.
func TestAHistoryGoesOnOverAFailover(t *testing.T) {
	wanted(t)
	const workers, atATime, calls, after = 4, 4, 10, 6 // calls of each worker, before and after the failover
	p := newPair(t, true)
	var mu sync.Mutex
	var worlds []*linear.World
	work := func(w *linear.World, from, calls int, seed uint64) {
		var working sync.WaitGroup
		for i := range workers {
			working.Go(func() {
				if err := w.Work(t.Context(), p.world.Pool, from+i, calls, seed); err != nil {
					t.Error(err)
				}
			})
		}
		working.Wait()
	}
	var number atomic.Uint64
	p.failOver(4*time.Second, func() {
		var all sync.WaitGroup
		for range atATime {
			all.Go(func() {
				for {
					n := number.Add(1)
					w, err := linear.NewWorld(t.Context(), p.world.Pool, fmt.Sprint("w", n))
					if err != nil {
						if linear.IsAnswer(err) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					worlds = append(worlds, w)
					mu.Unlock()
					if work(w, 0, calls, n); w.Lost() > 0 {
						return
					}
				}
			})
		}
		all.Wait()
	})
	var all sync.WaitGroup
	made, lost := 0, 0
	for i := range atATime {
		all.Go(func() {
			for n := i; n < len(worlds); n += atATime {
				before := worlds[n].Lost()
				work(worlds[n], workers, after, uint64(n)+1<<32)
				if worlds[n].Lost() > before {
					t.Error("calls got no answer from the new primary")
				}
				linear.Check(t, worlds[n])
				mu.Lock()
				made, lost = made+worlds[n].Calls(), lost+worlds[n].Lost()
				mu.Unlock()
			}
		})
	}
	all.Wait()
	t.Logf("%d histories, %d calls, of which %d got no answer", len(worlds), made, lost)
	if lost == 0 {
		t.Error("the primary was killed in the middle of nothing")
	}
}
