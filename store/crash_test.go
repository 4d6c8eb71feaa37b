package store_test

import (
	"context"
	"database/sql"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
)

var crashes = flag.Int("crashes", 0, "how often TestCrash kills PostgreSQL with SIGKILL; 0 leaves it out")

// crashFamily is what one worker knows of a grant: only what PostgreSQL has acknowledged.
type crashFamily struct {
	id         store.AuthorizationID
	code       string
	redeemed   int      // acknowledged redemptions
	refresh    []string // acknowledged refresh tokens, the first from the code
	access     []string // acknowledged access tokens
	unanswered string   // the refresh token whose rotation got no answer
	unredeemed bool     // the redemption got no answer
}

// TestCrash kills PostgreSQL in the middle of concurrent redemptions and rotations, again and again, on a cluster with full
// durability. After each recovery every acknowledged result is there, no code has been redeemed twice, no family has two live
// refresh tokens, and a retry of an unanswered rotation converges.
//
//	go test ./store -run TestCrash -crashes 20
func TestCrash(t *testing.T) {
	if *crashes == 0 {
		t.Skip("kills PostgreSQL only when asked to: go test ./store -run TestCrash -crashes 20")
	}
	ctx := t.Context()
	cluster, err := devdb.StartPrivate(ctx, devdb.PrivateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Remove(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	db, err := sql.Open("pgx", cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Up(ctx, db, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open := func() *world {
		pool, err := pgxpool.New(ctx, cluster.URL)
		if err != nil {
			t.Fatal(err)
		}
		return &world{TB: t, ctx: ctx, pool: pool, q: store.New(pool)}
	}
	w := open()
	defer func() { w.pool.Close() }()
	w.user = w.newUser()
	w.session = w.newSession(w.user)
	w.client = w.newClient()

	var acknowledged, interrupted, converged int
	for crash := range *crashes {
		families := make([]*crashFamily, 200)
		for i := range families {
			id, code := w.grant()
			families[i] = &crashFamily{id: id, code: code}
		}
		var wg sync.WaitGroup
		next := make(chan *crashFamily, len(families))
		for _, f := range families {
			next <- f
		}
		close(next)
		for range 8 {
			wg.Go(func() {
				for f := range next {
					if !w.crashWork(f) {
						return // PostgreSQL is gone
					}
				}
			})
		}
		time.Sleep(20*time.Millisecond + rand.N(150*time.Millisecond))
		if err := cluster.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		w.pool.Close()
		if err := cluster.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		recovered := open()
		recovered.user, recovered.session, recovered.client = w.user, w.session, w.client
		w = recovered
		for _, f := range families {
			acknowledged += len(f.refresh)
			if f.unanswered != "" || f.unredeemed {
				interrupted++
			}
			converged += w.crashJudge(crash, f)
		}
	}
	t.Logf("%d crashes, %d results acknowledged, %d calls without an answer, %d retries of rotations converged", *crashes, acknowledged, interrupted, converged)
	if acknowledged == 0 || interrupted == 0 {
		t.Error("the crashes came too early or too late to show anything")
	}
}

// crashWork redeems a family's code and rotates its token until a call fails, or ten times, and says whether none failed.
func (w *world) crashWork(f *crashFamily) bool {
	r, err := w.q.RedeemAuthorizationCode(w.ctx, w.redeemParams(f.code))
	if err != nil {
		f.unredeemed = true
		return false
	}
	if r.Outcome != store.RedemptionOutcomeRedeemed {
		w.Errorf("first redemption: %s", r.Outcome)
		return true
	}
	f.redeemed++
	f.refresh, f.access = []string{"rt-" + f.code}, []string{"at-" + f.code}
	for range 10 {
		presented := f.refresh[len(f.refresh)-1]
		p, access := w.rotateParams(presented)
		r, err := w.q.RotateRefreshToken(w.ctx, p)
		if err != nil {
			f.unanswered = presented
			return false
		}
		if r.Outcome != store.RotationOutcomeRotated {
			w.Errorf("rotation: %s", r.Outcome)
			return true
		}
		f.refresh, f.access = append(f.refresh, successorOf(presented)), append(f.access, access)
	}
	return true
}

// crashJudge compares a family after the recovery with what was acknowledged, and returns how many retries converged.
func (w *world) crashJudge(crash int, f *crashFamily) (converged int) {
	for _, raw := range f.refresh {
		if _, err := w.q.FindRefreshTokenByToken(w.ctx, digest(raw)); err != nil {
			w.Errorf("crash %d: acknowledged refresh token %q: %v", crash, raw, err)
		}
	}
	for _, raw := range f.access {
		if !w.live(raw) {
			w.Errorf("crash %d: acknowledged access token %q is not live", crash, raw)
		}
	}
	a, err := w.q.GetAuthorization(w.ctx, f.id)
	w.ok(err)
	if f.redeemed > 0 && a.RedeemedAt == nil {
		w.Errorf("crash %d: an acknowledged redemption is gone", crash)
	}
	var roots int // refresh tokens that are no other's successor: what redemptions wrote
	w.ok(w.pool.QueryRow(w.ctx, `SELECT count(*) FROM oauth_refresh_token r WHERE r.authorization_id = $1
		AND NOT EXISTS (SELECT FROM oauth_refresh_token p WHERE p.successor_id = r.id)`, string(f.id)).Scan(&roots))
	if roots > 1 || (roots == 1) != (a.RedeemedAt != nil) {
		w.Errorf("crash %d: %d redemptions of one code", crash, roots)
	}
	if _, refresh := w.countLive(f.id); refresh > 1 || (refresh == 0 && a.RedeemedAt != nil) {
		w.Errorf("crash %d: %d live refresh tokens in a family, want one", crash, refresh)
	}
	if f.unanswered != "" {
		p, _ := w.rotateParams(f.unanswered)
		p.Grace = time.Hour // the recovery took its time
		r, err := w.q.RotateRefreshToken(w.ctx, p)
		w.ok(err)
		if (r.Outcome != store.RotationOutcomeRotated && r.Outcome != store.RotationOutcomeReplayed) || *r.Successor != digest(successorOf(f.unanswered)) {
			w.Errorf("crash %d: a retried rotation: %s", crash, r.Outcome)
			return 0
		}
		if _, refresh := w.countLive(f.id); refresh != 1 {
			w.Errorf("crash %d: %d live refresh tokens after the retry, want one", crash, refresh)
		}
		return 1
	}
	return 0
}
