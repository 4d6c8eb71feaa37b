package store_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// adoptBatch adopts what there is, in one call.
func adoptBatch(w *world) int64 {
	row, err := w.q.AdoptRefreshTokens(w.ctx, store.AdoptRefreshTokensParams{BatchSize: 100})
	w.raced("AdoptRefreshTokens", err)
	return row.Adopted
}

func straySubject(r *raceRound) raceSubject {
	t := r.kinds[0].strays[0]
	return raceSubject{"stray0 online", "none", t.access, t.refresh}
}

// rotateStrays makes n rotations of each token that another server wrote.
func rotateStrays(w *world, r *raceRound, n int) []func() {
	return eachKind(r, func(g *raceGrants) []func() {
		var calls []func()
		for i, s := range g.strays {
			k := r.kinOf(fmt.Sprintf("stray%d%s", i, g.mode()))
			calls = append(calls, times(n, func(int) { rotateInto(w, r, k, s.refresh) })...)
		}
		return calls
	})
}

var raceAdoptions = []*raceAction{
	{
		name: "adopt by rotation", adopts: true, subject: straySubject,
		calls: func(w *world, r *raceRound) []func() { return rotateStrays(w, r, 2) },
	},
	{
		name: "adopt by batch", adopts: true, subject: straySubject,
		calls: func(w *world, _ *raceRound) []func() { return times(2, func(int) { adoptBatch(w) }) },
	},
	{
		name: "adopt by rotation and batch", adopts: true, subject: straySubject,
		calls: func(w *world, r *raceRound) []func() {
			return append(rotateStrays(w, r, 1), func() { adoptBatch(w) })
		},
	},
}

// TestRaceAdoptionsAgainstEndings is TestRaceGrantsAgainstEndings for tokens that another server wrote. One more rule: a rotation of such
// a token that was ended before is reuse, since nothing tells a revoked one from a spent one, and that ends all that the user has
// from another server with this client.
func TestRaceAdoptionsAgainstEndings(t *testing.T) {
	raceAgainst(t, raceAdoptions, roundsOf(20))
}

// TestRaceAdoptingRotationsConverge is TestRaceRotationsConverge for tokens that another server wrote, while batches adopt too: whoever
// gives the token its family, there is one.
func TestRaceAdoptingRotationsConverge(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for round := range *raceRounds {
		refresh := unique("rt-stray")
		id := w.foreignRefreshToken(refresh)
		access := unique("at-stray")
		w.foreignAccessToken(access, &id)
		var c tally[store.RotationOutcome]
		calls, check := raceRotations(w, 14, refresh, grace, &c)
		if round%2 == 1 {
			calls = append(calls, times(2, func(int) { adoptBatch(w) })...)
		}
		together(calls...)
		check()
		c.want(w, map[store.RotationOutcome]int{store.RotationOutcomeRotated: 1, store.RotationOutcomeReplayed: 13})

		r, err := w.q.GetRefreshToken(w.ctx, id)
		w.ok(err)
		if r.AuthorizationID == nil {
			w.Fatal("the token has no family")
		}
		if access, refresh := w.countLive(*r.AuthorizationID); access != 15 || refresh != 1 {
			w.Errorf("%d access and %d refresh tokens are live, want 15 and 1", access, refresh)
		}
		// The family knows of the rotation, however it came to be: a retry is forgiven, and nothing is collected before its time.
		w.rotate(refresh, store.RotationOutcomeReplayed)
		var early bool
		w.ok(w.pool.QueryRow(w.ctx, `SELECT a.expires_at < max(r.expires_at) FROM oauth_authorization a JOIN oauth_refresh_token r ON r.authorization_id = a.id WHERE a.id = $1 GROUP BY a.id`, *r.AuthorizationID).Scan(&early))
		if early {
			w.Error("the family expires before its refresh token")
		}
		w.wantLive(access, successorOf(refresh))
		w.wantDead(refresh)
	}
	var families int
	w.ok(w.pool.QueryRow(w.ctx, `SELECT count(*) FROM oauth_authorization`).Scan(&families))
	if families != *raceRounds {
		w.Errorf("%d families of %d tokens", families, *raceRounds)
	}
}

func TestRaceStrictAdoptingRotationsEndTheFamily(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for range roundsOf(2) {
		refresh := unique("rt-stray")
		id := w.foreignRefreshToken(refresh)
		access := unique("at-stray")
		w.foreignAccessToken(access, &id)
		var c tally[store.RotationOutcome]
		calls, check := raceRotations(w, 16, refresh, 0, &c)
		together(calls...)
		check()
		// Those who waited for the first do not see the family that it made, and so not that others have ended it.
		if c.m[store.RotationOutcomeRotated] != 1 || c.m[store.RotationOutcomeReused] < 1 || c.m[store.RotationOutcomeReused]+c.m[store.RotationOutcomeRevoked] != 15 {
			w.Errorf("outcomes: %v", c.m)
		}
		w.wantDead(refresh, successorOf(refresh), access)
	}
}

// TestRaceReuseEndsWhatIsBeingAdopted lets the reuse of a token that another server has spent race the first rotations of its
// siblings, and batches: afterwards nothing is live that the user had from that server with this client.
func TestRaceReuseEndsWhatIsBeingAdopted(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	other := w.newClient(func(p *store.CreateClientParams) { p.Public = ptr(true) })
	for round := range roundsOf(4) {
		var raws []string
		var calls []func()
		for range 3 {
			refresh, access := unique("rt-stray"), unique("at-stray")
			id := w.foreignRefreshToken(refresh)
			w.foreignAccessToken(access, &id)
			raws = append(raws, access, refresh, successorOf(refresh), successorOf(successorOf(refresh)))
			calls = append(calls, times(2, func(int) {
				p, _ := w.rotateParams(refresh)
				r, err := w.q.RotateRefreshToken(w.ctx, p)
				if w.raced("RotateRefreshToken", err) && r.Outcome == store.RotationOutcomeRotated {
					// and whoever is quick rotates on
					p, _ := w.rotateParams(successorOf(refresh))
					_, err := w.q.RotateRefreshToken(w.ctx, p)
					w.raced("RotateRefreshToken", err)
				}
			})...)
		}
		spent := unique("rt-spent")
		w.exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE id = $1`, w.foreignRefreshToken(spent))
		elsewhere := unique("rt-stray")
		w.exec(`UPDATE oauth_refresh_token SET client_id = $2 WHERE id = $1`, w.foreignRefreshToken(elsewhere), other)
		lone := unique("at-stray")
		w.foreignAccessToken(lone, nil)
		own := w.redeem()

		var c tally[store.RotationOutcome]
		reuses, _ := raceRotations(w, 1+round%2*3, spent, grace, &c)
		calls = append(calls, reuses...)
		if round%3 == 0 {
			calls = append(calls, func() { adoptBatch(w) })
		}
		for i := range calls {
			calls[i] = soonerOrLater(calls[i])
		}
		together(calls...)
		if c.m[store.RotationOutcomeReused] != len(reuses) {
			w.Errorf("reuses: %v", c.m)
		}
		w.wantDead(append(raws, lone)...)
		w.wantLive(elsewhere, own.access, own.refresh)
		w.exec(`DELETE FROM oauth_refresh_token WHERE authorization_id IS NULL OR authorization_id IN (SELECT id FROM oauth_authorization WHERE client_id = $1)`, other)
	}
}

// TestRaceReusesOfAdoptedTokens: another server has spent tokens that were adopted, and they come back, all at once. Each reuse ends
// the families of the others.
func TestRaceReusesOfAdoptedTokens(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 12)
	for range roundsOf(4) {
		const n = 4
		var refresh []string
		for range n {
			r := unique("rt-stray")
			w.foreignRefreshToken(r)
			refresh = append(refresh, r)
		}
		live := unique("rt-stray")
		w.foreignRefreshToken(live)
		adoptBatch(w)
		var calls []func()
		var c tally[store.RotationOutcome]
		for _, r := range refresh {
			w.exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1`, string(digest(r)))
			reuses, _ := raceRotations(w, 2, r, grace, &c)
			calls = append(calls, reuses...)
		}
		var now tally[store.RotationOutcome]
		rotations, _ := raceRotations(w, 2, live, grace, &now)
		together(slices.Concat(calls, rotations)...)
		if c.m[store.RotationOutcomeReused] < 1 || c.m[store.RotationOutcomeReused]+c.m[store.RotationOutcomeRevoked] != 2*n {
			w.Errorf("reuses: %v", c.m)
		}
		w.wantDead(live, successorOf(live))
		w.exec(`DELETE FROM oauth_authorization`)
	}
}

// TestRaceBatchesAdoptEachTokenOnce shares tokens among batches, while some of the tokens are rotated, revoked and lose their session.
func TestRaceBatchesAdoptEachTokenOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 12)
	for round := range roundsOf(10) {
		w.session = w.newSession(w.user)
		const n = 40
		var refresh []string
		for range n {
			r := unique("rt-stray")
			id := w.foreignRefreshToken(r)
			w.foreignAccessToken(unique("at-stray"), &id)
			refresh = append(refresh, r)
		}
		var adopted atomic.Int64
		calls := times(4, func(int) {
			for range 2 * n / 5 {
				row, err := w.q.AdoptRefreshTokens(w.ctx, store.AdoptRefreshTokensParams{BatchSize: 5})
				w.raced("AdoptRefreshTokens", err)
				adopted.Add(row.Adopted)
			}
		})
		var rotated atomic.Int64
		if round%2 == 1 {
			calls = append(calls,
				func() {
					for _, r := range refresh[:10] {
						p, _ := w.rotateParams(r)
						row, err := w.q.RotateRefreshToken(w.ctx, p)
						if w.raced("RotateRefreshToken", err) && row.Outcome == store.RotationOutcomeRotated {
							rotated.Add(1)
						}
					}
				},
				func() {
					for _, r := range refresh[10:20] {
						_, err := w.q.RevokeToken(w.ctx, store.RevokeTokenParams{Token: digest(r), ClientID: w.client})
						if !w.found("RevokeToken", err) {
							w.Errorf("RevokeToken found nothing to revoke")
						}
					}
				},
				func() {
					time.Sleep(time.Millisecond)
					_, err := w.pool.Exec(w.ctx, `DELETE FROM session WHERE id = $1`, w.session)
					w.raced("DELETE FROM session", err)
				})
		}
		together(calls...)
		for adoptBatch(w) > 0 { // what other calls held at the time
		}
		if round%2 == 0 && adopted.Load() != n {
			w.Errorf("batches adopted %d tokens, want %d", adopted.Load(), n)
		}
		if round%2 == 1 && rotated.Load() != 10 {
			w.Errorf("%d rotations, want 10", rotated.Load())
		}
		var unadopted, apart int
		w.ok(w.pool.QueryRow(w.ctx, `
			SELECT count(*) FILTER (WHERE r.authorization_id IS NULL AND r.revoked IS NULL),
				count(*) FILTER (WHERE t.authorization_id IS DISTINCT FROM r.authorization_id)
			FROM oauth_refresh_token r
			LEFT JOIN oauth_access_token t ON t.refresh_id = r.id
			WHERE t.id IS NOT NULL`).Scan(&unadopted, &apart))
		if unadopted+apart > 0 {
			w.Errorf("%d tokens have no family, %d access tokens not that of their refresh token", unadopted, apart)
		}
		for _, r := range refresh[:10] {
			if round%2 == 1 {
				w.wantLive(successorOf(r))
			} else {
				w.wantLive(r)
			}
		}
		for _, r := range refresh[10:20] {
			if round%2 == 1 {
				w.wantDead(r)
			}
		}
		w.wantLive(refresh[20:]...)
		w.exec(`DELETE FROM oauth_authorization`)
		w.exec(`DELETE FROM oauth_refresh_token`)
	}
	var shared int
	w.ok(w.pool.QueryRow(w.ctx, `SELECT count(*) FROM (SELECT FROM oauth_refresh_token WHERE revoked IS NULL GROUP BY authorization_id HAVING count(*) > 1) AS x`).Scan(&shared))
	if shared > 0 {
		w.Errorf("%d families have two live refresh tokens", shared)
	}
}
