package calls

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func remember(client, jti string, expiresAt time.Time) store.RememberClientAssertionParams {
	return store.RememberClientAssertionParams{ID: token.AssertionID(client, jti), ExpiresAt: expiresAt}
}

func TestClientAssertionIsFreshOnceAndReplayedEverAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	later := time.Now().Add(time.Minute)
	want := func(p store.RememberClientAssertionParams, want store.AssertionOutcome) {
		t.Helper()
		got, err := w.Q.RememberClientAssertion(w.Ctx, p)
		w.OK(err)
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	want(remember("app", "jti", later), store.AssertionOutcomeFresh)
	w.Unchanged(func() {
		want(remember("app", "jti", later), store.AssertionOutcomeReplayed)
		want(remember("app", "jti", later.Add(time.Hour)), store.AssertionOutcomeReplayed) // the expiry tells no assertions apart
	})
	want(remember("another", "jti", later), store.AssertionOutcomeFresh)
	want(remember("app", "jti2", later), store.AssertionOutcomeFresh)

	// It is remembered until it is collected; so where the two clocks differ, it is refused rather than accepted twice.
	w.Exec(`UPDATE oauth_client_assertion SET expires_at = now() - interval '1 hour'`)
	want(remember("app", "jti", later), store.AssertionOutcomeReplayed)
}

func TestClientAssertionPresentedAtOnceIsFreshOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16)
	for round := range 200 {
		p := remember("app", fmt.Sprint("jti", round), time.Now().Add(time.Minute))
		var wg sync.WaitGroup
		outcomes := make([]store.AssertionOutcome, 16)
		for i := range outcomes {
			wg.Go(func() {
				var err error
				if outcomes[i], err = w.Q.RememberClientAssertion(w.Ctx, p); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		counts := map[store.AssertionOutcome]int{}
		for _, o := range outcomes {
			counts[o]++
		}
		if counts[store.AssertionOutcomeFresh] != 1 || counts[store.AssertionOutcomeReplayed] != 15 {
			t.Fatalf("round %d: %v", round, counts)
		}
	}
}

// Whoever waits for another one's decision goes by how that ended.
func TestClientAssertionIsFreshIfTheOneBeforeWasRolledBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, c := range map[string]struct {
		commit bool
		want   store.AssertionOutcome
	}{"committed": {true, store.AssertionOutcomeReplayed}, "rolled back": {false, store.AssertionOutcomeFresh}} {
		p := remember("app", name, time.Now().Add(time.Minute))
		other := w.otherSession()
		outcome, err := w.Q.WithTx(other).RememberClientAssertion(w.Ctx, p)
		w.OK(err)
		if outcome != store.AssertionOutcomeFresh {
			t.Errorf("%s: the first is %s", name, outcome)
		}
		answer := make(chan store.AssertionOutcome, 1)
		go func() {
			outcome, err := w.Q.RememberClientAssertion(w.Ctx, p)
			if err != nil {
				t.Error(err)
			}
			answer <- outcome
		}()
		w.Until("the second one waits", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
		if c.commit {
			w.OK(other.Commit(w.Ctx))
		} else {
			w.OK(other.Rollback(w.Ctx))
		}
		if got := <-answer; got != c.want {
			t.Errorf("%s: the second is %s, want %s", name, got, c.want)
		}
	}
}

func TestExpiredClientAssertionsAreCollectedInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	ids := make([]string, 5)
	for i := range ids {
		p := remember("app", fmt.Sprint("over", i), time.Now().Add(-time.Duration(i+1)*time.Hour))
		_, err := w.Q.RememberClientAssertion(w.Ctx, p)
		w.OK(err)
		ids[i] = string(p.ID)
	}
	_, err := w.Q.RememberClientAssertion(w.Ctx, remember("app", "live", time.Now().Add(time.Hour)))
	w.OK(err)
	w.collects("oauth_client_assertion ", w.Q.DeleteExpiredClientAssertions, `SELECT FROM oauth_client_assertion WHERE id = '`+ids[2]+`' FOR UPDATE`,
		[][]string{{ids[3], ids[4]}, {ids[0], ids[1]}, {ids[2]}})
}
