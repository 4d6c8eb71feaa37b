package calls

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func remember(client, jti string, expiresAt time.Time) store.RememberClientAssertionParams {
	return store.RememberClientAssertionParams{
		ID: token.AssertionID(client, jti), ExpiresAt: expiresAt.Unix(), MaxLifetime: 24 * time.Hour,
	}
}

func TestClientAssertionIsFreshOnceAndReplayedEverAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	later := time.Now().Add(time.Minute)
	want := func(p store.RememberClientAssertionParams, want store.Outcome) {
		t.Helper()
		got, err := w.Q.RememberClientAssertion(w.Ctx, p)
		w.OK(err)
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	want(remember("app", "jti", later), store.OutcomeRemembered)
	w.Unchanged(func() {
		want(remember("app", "jti", later), store.OutcomeProofReplayed)
		want(remember("app", "jti", later.Add(time.Hour)), store.OutcomeProofReplayed) // the expiry tells no assertions apart
	})
	want(remember("another", "jti", later), store.OutcomeRemembered)
	want(remember("app", "jti2", later), store.OutcomeRemembered)

	// It is remembered until it is collected; so where the two clocks differ, it is refused rather than accepted twice.
	w.Exec(`UPDATE oauth_client_assertion SET expires_at = now() - interval '1 hour'`)
	want(remember("app", "jti", later), store.OutcomeProofReplayed)
}

func TestClientAssertionPresentedAtOnceIsFreshOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16)
	for round := range 200 {
		p := remember("app", fmt.Sprint("jti", round), time.Now().Add(time.Minute))
		var wg sync.WaitGroup
		outcomes := make([]store.Outcome, 16)
		for i := range outcomes {
			wg.Go(func() {
				var err error
				if outcomes[i], err = w.Q.RememberClientAssertion(w.Ctx, p); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		counts := map[store.Outcome]int{}
		for _, o := range outcomes {
			counts[o]++
		}
		if counts[store.OutcomeRemembered] != 1 || counts[store.OutcomeProofReplayed] != 15 {
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
		want   store.Outcome
	}{"committed": {true, store.OutcomeProofReplayed}, "rolled back": {false, store.OutcomeRemembered}} {
		p := remember("app", name, time.Now().Add(time.Minute))
		other := w.otherSession()
		outcome, err := w.Q.WithTx(other).RememberClientAssertion(w.Ctx, p)
		w.OK(err)
		if outcome != store.OutcomeRemembered {
			t.Errorf("%s: the first is %s", name, outcome)
		}
		answer := make(chan store.Outcome, 1)
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
		w.Exec(`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($1, to_timestamp($2))`, string(p.ID), p.ExpiresAt)
		ids[i] = string(p.ID)
	}
	_, err := w.Q.RememberClientAssertion(w.Ctx, remember("app", "live", time.Now().Add(time.Hour)))
	w.OK(err)
	w.collects("oauth_client_assertion ", fixture.Batches((*store.Queries).DeleteExpiredClientAssertions), `SELECT FROM oauth_client_assertion WHERE id = '`+ids[2]+`' FOR UPDATE`,
		[][]string{{ids[3], ids[4]}, {ids[0], ids[1]}, {ids[2]}})
}
