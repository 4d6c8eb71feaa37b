package crash

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
)

// crashes is few by default, so that TestCrash fits into a run of all:
//
//	make crash
var crashes = flag.Int("crashes", 3, "how often TestCrash kills PostgreSQL with SIGKILL; 0 leaves it out")

// crashGrant is what a worker of TestCrash knows of a grant: what the server has acknowledged, and which calls got no answer.
type crashGrant struct {
	id      store.AuthorizationID
	code    string
	doubled bool // two callers redeem its code, so that it ends as replayed

	mu        sync.Mutex
	redeemed  int      // answers that said so
	replayed  bool     // an answer said so
	access    []string // acknowledged
	chain     []string // refresh tokens, oldest first; all but the last were rotated, as was acknowledged
	ids       []store.RefreshTokenID
	redeeming *store.RedeemAuthorizationCodeParams // the redemption that got no answer
	rotating  []store.RotateRefreshTokenParams     // the rotations that got no answer
}

// crashWorker makes grants and uses them, until the server is killed.
type crashWorker struct {
	grants   []*crashGrant
	answered int
	lost     int
}

// TestCrash kills PostgreSQL with SIGKILL while codes are redeemed and tokens rotated, over and over. After each recovery,
//   - what was acknowledged is there: grants, redeemed codes, live tokens, and the successors of spent ones;
//   - no code was redeemed twice, and no family has two live refresh tokens;
//   - what got no answer has happened as a whole or not at all, and the same call again converges: it is done, or retried.
//
// A server that is killed keeps what it has given to the operating system, so this is not the loss of power.
func TestCrash(t *testing.T) {
	switch {
	case *crashes < 1:
		t.Skip("PostgreSQL is not killed: -crashes 0")
	case testing.Short():
		t.Skip("PostgreSQL is not killed: -short")
	}
	t.Parallel()
	ctx := t.Context()
	cluster, err := devdb.StartPrivate(ctx, devdb.PrivateOptions{
		Settings: map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"},
	})
	if errors.Is(err, devdb.ErrNoPostgres) {
		t.Skipf("there is no PostgreSQL to kill: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Remove(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	db, err := sql.Open("pgx", cluster.URL)
	if err == nil {
		_, err = migrations.Up(ctx, db, migrations.Options{})
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}

	w := &fixture.World{TB: t, Ctx: ctx}
	connect := func() {
		config, err := pgxpool.ParseConfig(cluster.URL)
		w.OK(err)
		config.MaxConns = 16
		w.Pool, err = pgxpool.NewWithConfig(ctx, config)
		w.OK(err)
		w.Q = store.New(w.Pool)
	}
	connect()
	w.User = w.NewUser()
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.Public = new(true) })
	w.Session = w.NewSession(w.User)
	workers := make([]crashWorker, 8)
	for kill := range *crashes {
		var working sync.WaitGroup
		for i := range workers {
			working.Go(func() { workers[i].work(w, i == 0) })
		}
		time.Sleep(50*time.Millisecond + rand.N(250*time.Millisecond))
		if err := cluster.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		working.Wait()
		w.Pool.Close()
		if err := cluster.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		connect()
		checkAfterCrash(w, workers)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", kill+1, *crashes)
		}
	}
	w.Pool.Close()
	answered, lost, grants, rotations := 0, 0, 0, 0
	for i := range workers {
		answered += workers[i].answered
		lost += workers[i].lost
		grants += len(workers[i].grants)
		for _, g := range workers[i].grants {
			rotations += max(len(g.chain)-1, 0)
		}
	}
	t.Logf("%d kills: %d answers, with %d grants and %d rotations; %d calls got no answer", *crashes, answered, grants, rotations, lost)
	if lost < *crashes || rotations < *crashes {
		t.Error("the server was not killed in the middle of anything")
	}
}

// work grants, redeems and rotates until the server is gone. Every refresh token is presented twice at once, and so are the
// codes, if doubled.
func (k *crashWorker) work(w *fixture.World, doubled bool) {
	for {
		g := &crashGrant{code: fixture.Unique("code"), doubled: doubled}
		p := w.GrantParams(g.code)
		p.CodeLifetime = fixture.Long
		g.id = p.ID
		if _, err := w.Q.GrantAuthorization(w.Ctx, p); !k.answer(w, err) {
			return
		}
		k.grants = append(k.grants, g)
		callers := 1
		if doubled {
			callers = 2
		}
		if !k.each(callers, func() error { return g.redeem(w) }, w) {
			return
		}
		for i := range 6 {
			if i > 2 { // and one from before the last crashes
				g = k.grants[rand.N(len(k.grants))]
			}
			if g.doubled || len(g.chain) == 0 {
				continue
			}
			refresh := g.chain[len(g.chain)-1]
			if !k.each(2, func() error { return g.rotate(w, refresh) }, w) {
				return
			}
		}
	}
}

// each makes n calls at once and says whether all were answered.
func (k *crashWorker) each(n int, call func() error, w *fixture.World) bool {
	errs := make([]error, n)
	fixture.Together(fixture.Times(n, func(i int) { errs[i] = call() })...)
	all := true
	for _, err := range errs {
		all = k.answer(w, err) && all
	}
	return all
}

// answer says whether a call was answered. It wasn't if the server was on its way out, or gone.
func (k *crashWorker) answer(w *fixture.World, err error) bool {
	if err == nil {
		k.answered++
		return true
	}
	k.lost++
	if e, found := errors.AsType[*pgconn.PgError](err); found && !strings.HasPrefix(e.Code, "57P") {
		w.Errorf("%v", err)
	}
	return false
}

// redeem redeems the code, as one more caller.
func (g *crashGrant) redeem(w *fixture.World) error {
	p := w.RedeemParams(g.code)
	p.AccessToken, p.RefreshToken = new(fixture.Digest("at-"+string(p.AccessTokenID))), new(fixture.Digest("rt-"+string(p.AccessTokenID)))
	p.AccessTokenLifetime, p.RefreshTokenLifetime, p.FamilyLifetime = fixture.Long, fixture.Long, store.Never
	return g.redeemWith(w, p, false)
}

// redeemWith makes a call, or makes it again after it got no answer.
func (g *crashGrant) redeemWith(w *fixture.World, p store.RedeemAuthorizationCodeParams, again bool) error {
	r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil:
		g.redeeming = &p
	case r.Outcome == store.OutcomeRedeemed, again && r.Outcome == store.OutcomeRetried:
		g.redeemed++
		g.access = append(g.access, "at-"+string(p.AccessTokenID))
		g.chain, g.ids = []string{"rt-" + string(p.AccessTokenID)}, []store.RefreshTokenID{*p.RefreshTokenID}
	case g.doubled && (r.Outcome == store.OutcomeReplayed || again && r.Outcome == store.OutcomeRevoked):
		g.replayed = true
	default:
		w.Errorf("RedeemAuthorizationCode of %s: %s", g.code, r.Outcome)
	}
	return err
}

// rotate rotates a refresh token, as one more caller.
func (g *crashGrant) rotate(w *fixture.World, refresh string) error {
	p, _ := w.RotateParams(refresh)
	p.AccessToken = new(fixture.Digest("at-" + string(p.AccessTokenID)))
	p.Grace, p.AccessTokenLifetime, p.RefreshTokenLifetime = fixture.Long, fixture.Long, fixture.Long
	return g.rotateWith(w, refresh, p)
}

// rotateWith makes a call, or makes it again after it got no answer.
func (g *crashGrant) rotateWith(w *fixture.World, refresh string, p store.RotateRefreshTokenParams) error {
	r, err := w.Q.RotateRefreshToken(w.Ctx, p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.rotating = append(g.rotating, p)
		return err
	}
	if r.Outcome != store.OutcomeRotated && r.Outcome != store.OutcomeRetried {
		w.Errorf("RotateRefreshToken of %s: %s", refresh, r.Outcome)
		return nil
	}
	g.access = append(g.access, "at-"+string(p.AccessTokenID))
	next := fixture.SuccessorOf(refresh)
	if *r.Successor != fixture.Digest(next) {
		w.Errorf("RotateRefreshToken of %s: another successor", refresh)
	}
	if last := len(g.chain) - 1; g.chain[last] == refresh {
		g.chain, g.ids = append(g.chain, next), append(g.ids, *r.SuccessorID)
	} else if g.ids[last] != *r.SuccessorID {
		w.Errorf("RotateRefreshToken of %s: two successors", refresh)
	}
	return nil
}

// checkAfterCrash holds what the workers know against what is there. The server has just recovered, and nobody else uses it.
func checkAfterCrash(w *fixture.World, workers []crashWorker) {
	w.Helper()
	var fsync, commit string
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit))
	if fsync != "on" || commit != "on" {
		w.Fatalf("fsync is %s, synchronous_commit %s", fsync, commit)
	}
	type family struct {
		Redeemed, Revoked bool
		Access, Refresh   int
		Firsts            int // refresh tokens that are nobody's successor: one for each redemption
	}
	families := map[store.AuthorizationID]family{}
	var id store.AuthorizationID
	var f family
	rows, err := w.Pool.Query(w.Ctx, `
		SELECT a.id, a.redeemed_at IS NOT NULL, a.revoked_at IS NOT NULL,
			(SELECT count(*) FROM oauth_access_token AS t WHERE t.authorization_id = a.id),
			(SELECT count(*) FROM oauth_refresh_token AS r WHERE r.authorization_id = a.id),
			(
				SELECT count(*) FROM oauth_refresh_token AS r
				WHERE r.authorization_id = a.id AND NOT EXISTS (SELECT FROM oauth_refresh_token AS p WHERE p.authorization_id = a.id AND p.successor_id = r.id)
			)
		FROM oauth_authorization AS a`)
	w.OK(err)
	_, err = pgx.ForEachRow(rows, []any{&id, &f.Redeemed, &f.Revoked, &f.Access, &f.Refresh, &f.Firsts}, func() error {
		families[id] = f
		return nil
	})
	w.OK(err)
	tokens := map[store.RefreshTokenID]bool{}
	var token store.RefreshTokenID
	rows, err = w.Pool.Query(w.Ctx, `SELECT id FROM oauth_refresh_token`)
	w.OK(err)
	_, err = pgx.ForEachRow(rows, []any{&token}, func() error { tokens[token] = true; return nil })
	w.OK(err)

	var live, dead []string
	for i := range workers {
		for _, g := range workers[i].grants {
			f, found := families[g.id]
			switch {
			case !found:
				w.Errorf("the grant of %s is lost", g.code)
				continue
			case g.redeemed > 1, f.Firsts > 1:
				w.Errorf("%s was redeemed %d times, as was acknowledged; the family has %d first tokens", g.code, g.redeemed, f.Firsts)
			case g.redeemed == 1 && !f.Redeemed, g.replayed && !f.Redeemed:
				w.Errorf("%s was redeemed, and is not", g.code)
			case f.Redeemed != (f.Access > 0), f.Redeemed != (f.Refresh > 0):
				w.Errorf("%s is redeemed %t, with %d access and %d refresh tokens", g.code, f.Redeemed, f.Access, f.Refresh)
			case f.Revoked && !g.doubled:
				w.Errorf("the family of %s is revoked, by nothing", g.code)
			case !f.Revoked && g.replayed:
				w.Errorf("%s was replayed, and its family is not revoked", g.code)
			}
			for n, id := range g.ids {
				if !tokens[id] {
					w.Errorf("%s, refresh token %d of a family, is lost", g.chain[n], n)
				}
			}
			// What got no answer is tried again with the same parameters, as a server would.
			if p := g.redeeming; p != nil {
				g.redeeming = nil
				w.Raced("RedeemAuthorizationCode", g.redeemWith(w, *p, true))
				f.Revoked = f.Revoked || g.replayed
			}
			for _, p := range g.rotating {
				refresh := g.chain[len(g.chain)-1]
				if p.Token != fixture.Digest(refresh) {
					refresh = g.chain[len(g.chain)-2] // the other caller's call has converged
				}
				if w.Raced("RotateRefreshToken", g.rotateWith(w, refresh, p)) && g.chain[len(g.chain)-1] != fixture.SuccessorOf(refresh) {
					w.Errorf("the rotation of %s does not converge", refresh)
				}
			}
			g.rotating = nil
			if f.Revoked {
				dead = slices.Concat(dead, g.access, g.chain)
			} else if len(g.chain) > 0 {
				last := len(g.chain) - 1
				live = append(append(live, g.access...), g.chain[last])
				dead = append(dead, g.chain[:last]...)
			}
		}
	}
	lives := w.Livings(slices.Concat(live, dead))
	for _, raw := range live {
		if !lives[raw] {
			w.Errorf("%s was acknowledged, and is dead", raw)
		}
	}
	for _, raw := range dead {
		if lives[raw] {
			w.Errorf("%s is live", raw)
		}
	}
	fixture.Invariants(w)
}
