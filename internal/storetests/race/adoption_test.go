package race

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// adoptBatch adopts what there is, in one call.
func adoptBatch(w *world) int64 {
	row, err := w.Q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 100})
	w.Raced("AdoptRefreshTokens", err)
	return row.Adopted
}

func straySubject(r *raceRound) raceSubject {
	t := r.kinds[0].strays[0]
	return raceSubject{"stray0 online", "none", t.Access, t.Refresh}
}

// rotateStrays makes n rotations of each token that another server wrote.
func rotateStrays(w *world, r *raceRound, n int) []func() {
	return eachKind(r, func(g *raceGrants) []func() {
		var calls []func()
		for i, s := range g.strays {
			k := r.kinOf(fmt.Sprintf("stray%d%s", i, g.mode()))
			calls = append(calls, fixture.Times(n, func(int) { rotateInto(w, r, k, s.Refresh) })...)
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
		calls: func(w *world, _ *raceRound) []func() { return fixture.Times(2, func(int) { adoptBatch(w) }) },
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
		refresh := fixture.Unique("rt-stray")
		id := w.ForeignRefreshToken(refresh)
		access := fixture.Unique("at-stray")
		w.ForeignAccessToken(access, &id)
		var c tally[store.RotationOutcome]
		calls, check := raceRotations(w, 14, refresh, fixture.Grace, &c)
		if round%2 == 1 {
			calls = append(calls, fixture.Times(2, func(int) { adoptBatch(w) })...)
		}
		fixture.Together(calls...)
		check()
		c.want(w, map[store.RotationOutcome]int{store.RotationOutcomeRotated: 1, store.RotationOutcomeReplayed: 13})

		r, err := w.Q.GetRefreshToken(w.Ctx, id)
		w.OK(err)
		if r.AuthorizationID == nil {
			w.Fatal("the token has no family")
		}
		if access, refresh := w.CountLive(*r.AuthorizationID); access != 15 || refresh != 1 {
			w.Errorf("%d access and %d refresh tokens are live, want 15 and 1", access, refresh)
		}
		// The family knows of the rotation, however it came to be: a retry is forgiven, and nothing is collected before its time.
		w.Rotate(refresh, store.RotationOutcomeReplayed)
		var early bool
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT a.expires_at < max(r.expires_at) FROM oauth_authorization a JOIN oauth_refresh_token r ON r.authorization_id = a.id WHERE a.id = $1 GROUP BY a.id`, *r.AuthorizationID).Scan(&early))
		if early {
			w.Error("the family expires before its refresh token")
		}
		w.WantLive(access, fixture.SuccessorOf(refresh))
		w.WantDead(refresh)
	}
	var families int
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT count(*) FROM oauth_authorization`).Scan(&families))
	if families != *raceRounds {
		w.Errorf("%d families of %d tokens", families, *raceRounds)
	}
}

func TestRaceStrictAdoptingRotationsEndTheFamily(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for range roundsOf(2) {
		refresh := fixture.Unique("rt-stray")
		id := w.ForeignRefreshToken(refresh)
		access := fixture.Unique("at-stray")
		w.ForeignAccessToken(access, &id)
		var c tally[store.RotationOutcome]
		calls, check := raceRotations(w, 16, refresh, 0, &c)
		fixture.Together(calls...)
		check()
		// Those who waited for the first do not see the family that it made, and so not that others have ended it.
		if c.m[store.RotationOutcomeRotated] != 1 || c.m[store.RotationOutcomeReused] < 1 || c.m[store.RotationOutcomeReused]+c.m[store.RotationOutcomeRevoked] != 15 {
			w.Errorf("outcomes: %v", c.m)
		}
		w.WantDead(refresh, fixture.SuccessorOf(refresh), access)
	}
}

// TestRaceReuseEndsWhatIsBeingAdopted lets the reuse of a token that another server has spent race the first rotations of its
// siblings, and batches: afterwards nothing is live that the user had from that server with this client.
func TestRaceReuseEndsWhatIsBeingAdopted(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	other := w.NewClient(func(p *store.CreateClientParams) { p.Public = new(true) })
	for round := range roundsOf(4) {
		var raws []string
		var calls []func()
		for range 3 {
			refresh, access := fixture.Unique("rt-stray"), fixture.Unique("at-stray")
			id := w.ForeignRefreshToken(refresh)
			w.ForeignAccessToken(access, &id)
			raws = append(raws, access, refresh, fixture.SuccessorOf(refresh), fixture.SuccessorOf(fixture.SuccessorOf(refresh)))
			calls = append(calls, fixture.Times(2, func(int) {
				p, _ := w.RotateParams(refresh)
				r, err := w.Q.RotateRefreshToken(w.Ctx, p)
				if w.Raced("RotateRefreshToken", err) && r.Outcome == store.RotationOutcomeRotated {
					// and whoever is quick rotates on
					p, _ := w.RotateParams(fixture.SuccessorOf(refresh))
					_, err := w.Q.RotateRefreshToken(w.Ctx, p)
					w.Raced("RotateRefreshToken", err)
				}
			})...)
		}
		spent := fixture.Unique("rt-spent")
		w.Exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE id = $1`, w.ForeignRefreshToken(spent))
		elsewhere := fixture.Unique("rt-stray")
		w.Exec(`UPDATE oauth_refresh_token SET client_id = $2 WHERE id = $1`, w.ForeignRefreshToken(elsewhere), other)
		lone := fixture.Unique("at-stray")
		w.ForeignAccessToken(lone, nil)
		own := w.Redeem()

		var c tally[store.RotationOutcome]
		reuses, _ := raceRotations(w, 1+round%2*3, spent, fixture.Grace, &c)
		calls = append(calls, reuses...)
		if round%3 == 0 {
			calls = append(calls, func() { adoptBatch(w) })
		}
		for i := range calls {
			calls[i] = soonerOrLater(calls[i])
		}
		fixture.Together(calls...)
		if c.m[store.RotationOutcomeReused] != len(reuses) {
			w.Errorf("reuses: %v", c.m)
		}
		w.WantDead(append(raws, lone)...)
		w.WantLive(elsewhere, own.Access, own.Refresh)
		w.Exec(`DELETE FROM oauth_refresh_token WHERE authorization_id IS NULL OR authorization_id IN (SELECT id FROM oauth_authorization WHERE client_id = $1)`, other)
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
			r := fixture.Unique("rt-stray")
			w.ForeignRefreshToken(r)
			refresh = append(refresh, r)
		}
		live := fixture.Unique("rt-stray")
		w.ForeignRefreshToken(live)
		adoptBatch(w)
		var calls []func()
		var c tally[store.RotationOutcome]
		for _, r := range refresh {
			w.Exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1`, string(fixture.Digest(r)))
			reuses, _ := raceRotations(w, 2, r, fixture.Grace, &c)
			calls = append(calls, reuses...)
		}
		var now tally[store.RotationOutcome]
		rotations, _ := raceRotations(w, 2, live, fixture.Grace, &now)
		fixture.Together(slices.Concat(calls, rotations)...)
		if c.m[store.RotationOutcomeReused] < 1 || c.m[store.RotationOutcomeReused]+c.m[store.RotationOutcomeRevoked] != 2*n {
			w.Errorf("reuses: %v", c.m)
		}
		w.WantDead(live, fixture.SuccessorOf(live))
		w.Exec(`DELETE FROM oauth_authorization`)
	}
}

// TestRaceBatchesAdoptEachTokenOnce shares tokens among batches, while some of the tokens are rotated, revoked and lose their session.
func TestRaceBatchesAdoptEachTokenOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 12)
	for round := range roundsOf(10) {
		w.Session = w.NewSession(w.User)
		const n = 40
		var refresh []string
		for range n {
			r := fixture.Unique("rt-stray")
			id := w.ForeignRefreshToken(r)
			w.ForeignAccessToken(fixture.Unique("at-stray"), &id)
			refresh = append(refresh, r)
		}
		var adopted atomic.Int64
		calls := fixture.Times(4, func(int) {
			for range 2 * n / 5 {
				row, err := w.Q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 5})
				w.Raced("AdoptRefreshTokens", err)
				adopted.Add(row.Adopted)
			}
		})
		var rotated atomic.Int64
		if round%2 == 1 {
			calls = append(calls,
				func() {
					for _, r := range refresh[:10] {
						p, _ := w.RotateParams(r)
						row, err := w.Q.RotateRefreshToken(w.Ctx, p)
						if w.Raced("RotateRefreshToken", err) && row.Outcome == store.RotationOutcomeRotated {
							rotated.Add(1)
						}
					}
				},
				func() {
					for _, r := range refresh[10:20] {
						_, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(r), ClientID: w.Client})
						if !w.found("RevokeToken", err) {
							w.Errorf("RevokeToken found nothing to revoke")
						}
					}
				},
				func() {
					time.Sleep(time.Millisecond)
					_, err := w.Pool.Exec(w.Ctx, `DELETE FROM session WHERE id = $1`, w.Session)
					w.Raced("DELETE FROM session", err)
				})
		}
		fixture.Together(calls...)
		for adoptBatch(w) > 0 { // what other calls held at the time
		}
		if round%2 == 0 && adopted.Load() != n {
			w.Errorf("batches adopted %d tokens, want %d", adopted.Load(), n)
		}
		if round%2 == 1 && rotated.Load() != 10 {
			w.Errorf("%d rotations, want 10", rotated.Load())
		}
		var unadopted, apart int
		w.OK(w.Pool.QueryRow(w.Ctx, `
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
				w.WantLive(fixture.SuccessorOf(r))
			} else {
				w.WantLive(r)
			}
		}
		for _, r := range refresh[10:20] {
			if round%2 == 1 {
				w.WantDead(r)
			}
		}
		w.WantLive(refresh[20:]...)
		w.Exec(`DELETE FROM oauth_authorization`)
		w.Exec(`DELETE FROM oauth_refresh_token`)
	}
	var shared int
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT count(*) FROM (SELECT FROM oauth_refresh_token WHERE revoked IS NULL GROUP BY authorization_id HAVING count(*) > 1) AS x`).Scan(&shared))
	if shared > 0 {
		w.Errorf("%d families have two live refresh tokens", shared)
	}
}
