package storm

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/internal/storetests/betterauth"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

var (
	seed  = flag.Uint64("seed", 0, "what the choices of the storm come from; 0 is another one each time")
	lasts = flag.Duration("lasts", 15*time.Second, "how long the storm goes on, but for the short form")
	third = flag.Bool("better-auth", false, "let a better-auth server take part, as make storm does")
	lanes = flag.Int("lanes", 4, "how many parts it has, which don't wait for each other")
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // the libraries log what they refuse
	os.Exit(testdb.Reuse(m).Run())
}

// storm is a database with servers on it.
type storm struct {
	ctx     context.Context
	servers []*server
	q       *store.Queries // the reference
	pool    *pgxpool.Pool
	started time.Time

	mu     sync.Mutex
	faults []string // of a better-auth server
}

func (s *storm) now() moment { return time.Since(s.started) }

// setup is how the servers are made. A fault changes it.
type setup struct {
	foreign         bool // with a better-auth server
	fosite, zitadel func(http.Handler) http.Handler
	zitadelDB       func(zitadel.DB) zitadel.DB
	zitadelKeys     [][]byte
	sql             string // run in the database
}

func newStorm(t *testing.T, how setup) *storm {
	t.Helper()
	d := storetest.New(t, fixture.WithRoles, storetest.MaxConns(8))
	s := &storm{ctx: t.Context(), q: d.Store, pool: d.Pool}
	if how.sql != "" {
		_, err := d.Pool.Exec(s.ctx, how.sql)
		must(t, err)
	}
	if how.foreign {
		s.servers = append(s.servers, newBetterAuth(t, d.URL))
	}
	s.servers = append(s.servers, newFosite(t, newPool(t, d.URL), how), newZitadel(t, newPool(t, d.URL), how))
	s.started = time.Now()
	return s
}

func (s *storm) lane(t testing.TB, seed uint64, n int) *lane {
	l := &lane{
		storm: s, t: t, n: n, rng: rand.New(rand.NewPCG(seed, uint64(n))), pairs: map[[2]*scope]*scope{}, counts: map[string]int{},
	}
	for range 2 {
		l.users = append(l.users, l.newUser())
		l.apps = append(l.apps, l.newApp())
	}
	return l
}

// rage has a lane go on until there is a disagreement, or enough.
func (l *lane) rage(enough func(*lane) bool) {
	for l.broken == "" && !enough(l) {
		l.tidy()
		if l.broken == "" {
			l.batch(l.choose()...)
		}
		if l.broken == "" && l.chance(0.15) {
			l.sweep()
		}
	}
}

// tidy has users signed in again, and clients enabled, some time after they have ended.
func (l *lane) tidy() {
	for _, u := range l.users {
		if u.away && l.chance(0.5) {
			out, err := l.q.ReinstateUser(l.ctx, u.id)
			if err != nil || out != store.OutcomeReinstated {
				l.broken = fmt.Sprintf("not reinstated: %s, %v", out, err)
				return
			}
			u.away = false
		}
		if !u.away && len(u.session.ends) > 0 && l.chance(0.7) {
			l.newSession(u)
		}
	}
	for _, c := range l.apps {
		if n := len(c.shut) - 1; n >= 0 && c.shut[n].to == nil && l.chance(0.6) {
			l.batch(l.enable(c))
		}
	}
}

// choose makes the requests of a batch.
func (l *lane) choose() []*step {
	u, c := pick(l, l.users), pick(l, l.apps)
	if len(l.grants)+len(l.codes) == 0 || l.chance(0.15) {
		var ops []*step
		for range 1 + l.rng.IntN(2) {
			ops = append(ops, l.authorize(l.server(), u, c, l.chance(0.25)))
		}
		return append(ops, l.besides(u, c)...)
	}
	if len(l.codes) > 0 && (len(l.grants) == 0 || l.chance(0.35)) {
		n := l.rng.IntN(len(l.codes))
		code := l.codes[n]
		ops := []*step{l.redeem(l.rightful(code), code)}
		for l.chance(0.3) {
			ops = append(ops, l.redeem(l.server(), code))
		}
		if len(code.asked) > 0 || l.chance(0.6) {
			l.codes = slices.Delete(l.codes, n, n+1)
		}
		return append(ops, l.besides(code.user, code.app)...)
	}
	f := l.focus()
	var ops []*step
	for range 1 + l.rng.IntN(4) {
		ops = append(ops, l.about(f))
	}
	return append(ops, l.besides(f.user, f.app)...)
}

// rightful is mostly a server that can redeem a code.
func (l *lane) rightful(c *code) *server {
	for {
		if s := l.server(); s.isForeign() == c.by.isForeign() || l.chance(0.03) {
			return s
		}
	}
}

// focus is mostly a family that goes on.
func (l *lane) focus() *family {
	recent := l.grants[max(0, len(l.grants)-12):]
	for range 8 {
		f := pick(l, recent)
		itself := credential{isRefresh: !f.bound, family: f, app: f.app}
		if _, dead := itself.mustBeDead(l.now(), false); !dead {
			return f
		}
	}
	return pick(l, l.grants)
}

// about is a request about one of the family's tokens.
func (l *lane) about(f *family) *step {
	t := pick(l, f.tokens)
	newest := f.tokens[len(f.tokens)-1]
	if l.chance(0.75) {
		t = newest
	}
	s := l.server()
	switch x := l.rng.IntN(100); {
	case x < 50 && newest.isRefresh:
		if !t.isRefresh {
			t = newest
		}
		return l.refresh(s, t)
	case x < 54 && x >= 50:
		return l.revoke(s, t)
	case x < 58 && x >= 54:
		return l.ownToken(s, f.app)
	case x < 62 && x >= 58 && len(l.own) > 0:
		own := pick(l, l.own[max(0, len(l.own)-6):])
		if l.chance(0.2) {
			return l.revoke(s, own)
		}
		return l.introspect(s, own)
	case x >= 92:
		return l.lookUp(t)
	}
	return l.introspect(s, t)
}

// sweep asks everybody about the same tokens, while nothing else goes on.
func (l *lane) sweep() {
	var tokens []*credential
	if len(l.grants) > 0 {
		for range 3 {
			f := pick(l, l.grants[max(0, len(l.grants)-8):])
			tokens = append(tokens, f.tokens[len(f.tokens)-1], pick(l, f.tokens))
		}
	}
	if len(l.own) > 0 {
		tokens = append(tokens, pick(l, l.own[max(0, len(l.own)-8):]))
	}
	var ops []*step
	for _, t := range tokens {
		ops = append(ops, l.lookUp(t))
	}
	l.batch(ops...) // what is uncertain is certain from here
	for _, t := range tokens {
		if l.broken != "" {
			return
		}
		ops = []*step{l.lookUp(t)}
		for _, s := range l.servers {
			ops = append(ops, l.introspect(s, t))
		}
		l.batch(ops...)
	}
}

func summary(counts map[string]int) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%7d %s", counts[name], name))
	}
	return strings.Join(lines, "\n")
}

// TestStorm holds that no two servers disagree about what is live.
func TestStorm(t *testing.T) {
	t.Parallel()
	foreign := *third
	if program := betterauth.Missing(); foreign && program != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", program)
		}
		foreign = false
		t.Logf("NO BETTER-AUTH SERVER TAKES PART, as %s is not installed", program)
	}
	s := newStorm(t, setup{foreign: foreign})
	from := *seed
	if from == 0 {
		from = rand.Uint64()
	}
	enough := func(l *lane) bool { return s.now() > *lasts && l.batches > 60 }
	n := *lanes
	if testing.Short() {
		n, enough = 2, func(l *lane) bool { return l.batches > 60 }
	}
	counts := map[string]int{}
	var all sync.WaitGroup
	batches := 0
	for i := range n {
		all.Go(func() {
			l := s.lane(t, from, i)
			l.rage(enough)
			if l.broken != "" {
				t.Errorf("-seed %d: %s", from, l.broken)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for name, n := range l.counts {
				counts[name] += n
			}
			batches += l.batches
		})
	}
	all.Wait()
	t.Logf("seed %d, %d batches in %.1f s:\n%s\n%d faults of better-auth\n%s",
		from, batches, s.now().Seconds(), summary(counts), len(s.faults), strings.Join(s.faults[:min(len(s.faults), 5)], "\n"))
	if t.Failed() || testing.Short() {
		return
	}
	for _, by := range s.servers {
		for _, at := range s.servers {
			for _, what := range []string{"refresh", "introspect"} {
				if name := what + " of " + by.name + "'s@" + at.name; counts[name] == 0 {
					t.Errorf("no %s", name)
				}
			}
		}
	}
}
