package race

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// raceCollectors are the calls that delete what has expired, in the order in which they leave nothing behind.
func raceCollectors(w *world) map[string]func(batch int32) (int64, error) {
	return map[string]func(batch int32) (int64, error){
		"1 DeleteExpiredAccessTokens": func(n int32) (int64, error) { return w.Q.DeleteExpiredAccessTokens(w.Ctx, n) },
		"2 DeleteExpiredRefreshTokens": func(n int32) (int64, error) {
			return w.Q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: n})
		},
		"3 DeleteExpiredAuthorizations": func(n int32) (int64, error) {
			return w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: n})
		},
		"4 DeleteExpiredSessions":         func(n int32) (int64, error) { return w.Q.DeleteExpiredSessions(w.Ctx, n) },
		"5 DeleteExpiredSigningKeys":      func(n int32) (int64, error) { return w.Q.DeleteExpiredSigningKeys(w.Ctx, n) },
		"6 DeleteExpiredClientAssertions": func(n int32) (int64, error) { return w.Q.DeleteExpiredClientAssertions(w.Ctx, n) },
	}
}

// collectOnce is one pass of a collector over all tables.
func collectOnce(w *world, batch int32) {
	calls := raceCollectors(w)
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		_, err := calls[name](batch)
		w.Raced(name, err)
	}
}

// TestRaceCollectorsShareTheWork lets several collectors run side by side: together they count each row once, and leave none.
func TestRaceCollectorsShareTheWork(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const families = 20
	for range roundsOf(20) {
		user := w.NewUser()
		for i := range families {
			session := w.NewSession(user)
			w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = user, &session })
			raw := fixture.Unique("rt-stray")
			id := w.ForeignRefreshToken(raw)
			w.ForeignAccessToken(fixture.Unique("at-stray"), &id)
			_, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed", Lifetime: new(time.Duration(0))})
			w.OK(err)
			_, err = w.Q.RememberClientAssertion(w.Ctx, store.RememberClientAssertionParams{ID: fixture.Digest(fmt.Sprint(raw, i)), ExpiresAt: time.Now().Add(-time.Hour)})
			w.OK(err)
		}
		for _, table := range []string{"session", "oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
			w.Exec(`UPDATE ` + table + ` SET expires_at = now() - interval '1 minute' WHERE id <> '` + string(w.Session) + `'`)
		}
		calls := raceCollectors(w)
		for i, name := range slices.Sorted(maps.Keys(calls)) {
			want := []int64{2 * families, 2 * families, families, families, families, families}[i]
			var total atomic.Int64
			fixture.Together(fixture.Times(6, func(int) {
				for none := 0; none < 3; {
					n, err := calls[name](3)
					if !w.Raced(name, err) {
						return
					}
					total.Add(n)
					if n == 0 {
						none++
					}
				}
			})...)
			if total.Load() != want {
				w.Errorf("%s: %d rows, want %d", name, total.Load(), want)
			}
		}
	}
}

// TestRaceCollectorTakesNothingThatIsUsed has grants used at the very moment at which they expire, while collectors look for them: what
// a call has answered with is there.
func TestRaceCollectorTakesNothingThatIsUsed(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 10)
	var used, late int
	left := 4 * time.Millisecond // until all expires: kept such that about every second use is in time
	for range roundsOf(2) {
		k := w.Redeem()
		id, code := w.Grant()
		session := w.NewSession(w.User)
		soon := fmt.Sprintf("interval '%d microseconds'", left.Microseconds())
		w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE authorization_id = $1`, k.Authorization)
		w.Exec(`WITH s AS (UPDATE session SET expires_at = clock_timestamp() + `+soon+` WHERE id = $3),
			r AS (UPDATE oauth_refresh_token SET expires_at = clock_timestamp() + `+soon+` WHERE authorization_id = $1)
			UPDATE oauth_authorization SET expires_at = clock_timestamp() + `+soon+`, code_expires_at = clock_timestamp() + `+soon+`
			WHERE id IN ($1, $2)`, k.Authorization, id, session)
		calls := []func(){
			func() {
				p, access := w.RotateParams(k.Refresh)
				r, err := w.Q.RotateRefreshToken(w.Ctx, p)
				if w.found("RotateRefreshToken", err) && r.Outcome == store.RotationOutcomeRotated {
					used++
					left = left * 9 / 10
					w.WantLive(access, fixture.SuccessorOf(k.Refresh))
				} else {
					late++
					left = left * 10 / 9
				}
			},
			func() {
				r, err := w.Q.RedeemAuthorizationCode(w.Ctx, w.RedeemParams(code))
				if w.found("RedeemAuthorizationCode", err) && r.Outcome == store.RedemptionOutcomeRedeemed {
					w.WantLive("at-"+code, "rt-"+code)
				}
			},
			func() {
				_, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: session, Lifetime: time.Hour})
				if w.found("ExtendSession", err) {
					_, err := w.Q.GetSession(w.Ctx, session)
					w.OK(err)
				}
			},
		}
		for i := range calls {
			calls[i] = soonerOrLater(calls[i])
		}
		for range 3 {
			calls = append(calls, func() {
				for range 4 {
					collectOnce(w, 10)
				}
			})
		}
		fixture.Together(calls...)
	}
	w.Logf("%d rotations were in time, %d late", used, late)
}

// TestRaceRetryOfWhatIsCollected has a grace interval that outlasts the family: the successor may be collected before the token that
// is tried again, so that an access token could not refer to it.
func TestRaceRetryOfWhatIsCollected(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	for range roundsOf(2) {
		k := w.Redeem()
		w.Rotate(k.Refresh, store.RotationOutcomeRotated)
		for _, table := range []string{"oauth_access_token", "oauth_refresh_token"} {
			w.Exec(`UPDATE `+table+` SET expires_at = now() WHERE authorization_id = $1`, k.Authorization)
		}
		w.Exec(`UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`, k.Authorization)
		fixture.Together(soonerOrLater(func() {
			p, _ := w.RotateParams(k.Refresh)
			p.Grace = time.Hour
			r, err := w.Q.RotateRefreshToken(w.Ctx, p)
			if w.found("RotateRefreshToken", err) && r.Outcome != store.RotationOutcomeExpired {
				w.Errorf("RotateRefreshToken: %s", r.Outcome)
			}
		}), func() {
			for range 4 {
				collectOnce(w, 1)
			}
		})
	}
}
