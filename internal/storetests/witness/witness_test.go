package witness

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/storetest"
)

// recorder collects what a check has to say against a database.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}

// world is one whose calls write security events.
func world(t *testing.T) *fixture.World {
	t.Helper()
	return fixture.Of(t, fixture.NewPool(t, 8, storetest.Setting("oauthdb.events", "on")))
}

// Calls whose context ends get no answer, as from a server that is gone. Everything holds all the same.
func TestWhatWasAcknowledgedHolds(t *testing.T) {
	t.Parallel()
	w := world(t)
	s := New(w, Options{Workers: 4})
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	working := *w
	working.Ctx = ctx
	s.Work(&working)
	s.Check(w)
	s.PresentAgain(w)
	if c := s.Counts(); c.Lost == 0 || c.Rotations == 0 {
		t.Errorf("the context ended in the middle of nothing: %s", c)
	}
}

// A database that has lost something doesn't pass.
func TestALossIsFound(t *testing.T) {
	t.Parallel()
	knows := func(kinds ...kind) func(*worker) bool {
		return func(k *worker) bool {
			for _, kind := range kinds {
				if !slices.ContainsFunc(k.facts, func(f known) bool { return f.kind == kind }) {
					return false
				}
			}
			return true
		}
	}
	for name, c := range map[string]struct {
		lose, want string
		enough     func(*worker) bool
	}{
		"a grant": {
			`DELETE FROM oauth_authorization WHERE id = (SELECT max(id) FROM oauth_authorization WHERE redeemed_at IS NOT NULL)`,
			"acknowledged and lost", knows(redeemed, spentRefreshToken),
		},
		"a rotation": {
			`UPDATE oauth_refresh_token SET revoked = NULL, successor = NULL, successor_id = NULL
			WHERE id = (SELECT max(id) FROM oauth_refresh_token WHERE successor_id IS NOT NULL)`, "acknowledged and lost", knows(spentRefreshToken),
		},
		"an access token": {
			`DELETE FROM oauth_access_token WHERE id = (SELECT max(id) FROM oauth_access_token)`, "acknowledged and lost", knows(theAccessToken),
		},
		"a revocation": {
			`UPDATE oauth_authorization SET revoked_at = NULL, revoked_reason = NULL`, "acknowledged and lost", knows(endedFamily),
		},
		"a counter": {
			`UPDATE "user" SET ended_grants = '{}'`, "is live, and was ended or spent",
			knows(eventOfUser("RevokeUserAuthorizationsByClient")),
		},
		"a sign-out": {
			`UPDATE session SET ended_at = NULL, expires_at = now() + interval '1 day'`, "is live, and was ended or spent",
			func(k *worker) bool {
				for {
					g := k.grant()
					if g == nil || !k.redeem(g) || g.bound {
						return k.signOut()
					}
				}
			},
		},
		"proofs":     {`DELETE FROM oauth_proof`, "a proof, ", knows(theProof)},
		"assertions": {`DELETE FROM oauth_client_assertion`, "an assertion, ", (*worker).assert},
		"attempts":   {`DELETE FROM attempt_count`, "an attempt, ", knows(theAttempt)},
		"events":     {`DELETE FROM security_event`, "acknowledged and lost", knows(endedFamily)},
		"nothing":    {`SELECT 1`, "", knows(endedFamily)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world(t)
			s := New(w, Options{Workers: 2})
			s.enough = func(k *worker) bool { return k.doubled || c.enough(k) } // grants of the doubled one may all end by replays
			s.Work(w)
			w.Exec(c.lose)
			r := &recorder{TB: t}
			judged := *w
			judged.TB = r
			s.Check(&judged)
			s.PresentAgain(&judged)
			if said := strings.Join(r.said, "\n"); !strings.Contains(said, c.want) || (c.want == "") != (said == "") {
				t.Errorf("the witness says %q, want %q in it", said, c.want)
			}
		})
	}
}
