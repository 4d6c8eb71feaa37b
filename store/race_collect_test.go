package store_test

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// raceCollectors are the calls that delete what has expired, in the order in which they leave nothing behind.
func raceCollectors(w *world) map[string]func(batch int32) (int64, error) {
	return map[string]func(batch int32) (int64, error){
		"1 DeleteExpiredAccessTokens": func(n int32) (int64, error) { return w.q.DeleteExpiredAccessTokens(w.ctx, n) },
		"2 DeleteExpiredRefreshTokens": func(n int32) (int64, error) {
			return w.q.DeleteExpiredRefreshTokens(w.ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: n})
		},
		"3 DeleteExpiredAuthorizations": func(n int32) (int64, error) {
			return w.q.DeleteExpiredAuthorizations(w.ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: n})
		},
		"4 DeleteExpiredSessions":         func(n int32) (int64, error) { return w.q.DeleteExpiredSessions(w.ctx, n) },
		"5 DeleteExpiredSigningKeys":      func(n int32) (int64, error) { return w.q.DeleteExpiredSigningKeys(w.ctx, n) },
		"6 DeleteExpiredClientAssertions": func(n int32) (int64, error) { return w.q.DeleteExpiredClientAssertions(w.ctx, n) },
	}
}

// collectOnce is one pass of a collector over all tables.
func collectOnce(w *world, batch int32) {
	calls := raceCollectors(w)
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		_, err := calls[name](batch)
		w.raced(name, err)
	}
}

// TestRaceCollectorsShareTheWork lets several collectors run side by side: together they count each row once, and leave none.
func TestRaceCollectorsShareTheWork(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const families = 20
	for range roundsOf(20) {
		user := w.newUser()
		for i := range families {
			session := w.newSession(user)
			w.redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = user, &session })
			raw := unique("rt-stray")
			id := w.foreignRefreshToken(raw)
			w.foreignAccessToken(unique("at-stray"), &id)
			_, err := w.q.CreateSigningKey(w.ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed", Lifetime: ptr(time.Duration(0))})
			w.ok(err)
			_, err = w.q.RememberClientAssertion(w.ctx, store.RememberClientAssertionParams{ID: digest(fmt.Sprint(raw, i)), ExpiresAt: time.Now().Add(-time.Hour)})
			w.ok(err)
		}
		for _, table := range []string{"session", "oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
			w.exec(`UPDATE ` + table + ` SET expires_at = now() - interval '1 minute' WHERE id <> '` + string(w.session) + `'`)
		}
		calls := raceCollectors(w)
		for i, name := range slices.Sorted(maps.Keys(calls)) {
			want := []int64{2 * families, 2 * families, families, families, families, families}[i]
			var total atomic.Int64
			together(times(6, func(int) {
				for none := 0; none < 3; {
					n, err := calls[name](3)
					if !w.raced(name, err) {
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
		k := w.redeem()
		id, code := w.grant()
		session := w.newSession(w.user)
		soon := fmt.Sprintf("interval '%d microseconds'", left.Microseconds())
		w.exec(`UPDATE oauth_access_token SET expires_at = now() WHERE authorization_id = $1`, k.authorization)
		w.exec(`WITH s AS (UPDATE session SET expires_at = clock_timestamp() + `+soon+` WHERE id = $3),
			r AS (UPDATE oauth_refresh_token SET expires_at = clock_timestamp() + `+soon+` WHERE authorization_id = $1)
			UPDATE oauth_authorization SET expires_at = clock_timestamp() + `+soon+`, code_expires_at = clock_timestamp() + `+soon+`
			WHERE id IN ($1, $2)`, k.authorization, id, session)
		calls := []func(){
			func() {
				p, access := w.rotateParams(k.refresh)
				r, err := w.q.RotateRefreshToken(w.ctx, p)
				if w.found("RotateRefreshToken", err) && r.Outcome == store.RotationOutcomeRotated {
					used++
					left = left * 9 / 10
					w.wantLive(access, successorOf(k.refresh))
				} else {
					late++
					left = left * 10 / 9
				}
			},
			func() {
				r, err := w.q.RedeemAuthorizationCode(w.ctx, w.redeemParams(code))
				if w.found("RedeemAuthorizationCode", err) && r.Outcome == store.RedemptionOutcomeRedeemed {
					w.wantLive("at-"+code, "rt-"+code)
				}
			},
			func() {
				_, err := w.q.ExtendSession(w.ctx, store.ExtendSessionParams{ID: session, Lifetime: time.Hour})
				if w.found("ExtendSession", err) {
					_, err := w.q.GetSession(w.ctx, session)
					w.ok(err)
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
		together(calls...)
	}
	w.Logf("%d rotations were in time, %d late", used, late)
}

// TestRaceRetryOfWhatIsCollected has a grace interval that outlasts the family: the successor may be collected before the token that
// is tried again, so that an access token could not refer to it.
func TestRaceRetryOfWhatIsCollected(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	for range roundsOf(2) {
		k := w.redeem()
		w.rotate(k.refresh, store.RotationOutcomeRotated)
		for _, table := range []string{"oauth_access_token", "oauth_refresh_token"} {
			w.exec(`UPDATE `+table+` SET expires_at = now() WHERE authorization_id = $1`, k.authorization)
		}
		w.exec(`UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`, k.authorization)
		together(soonerOrLater(func() {
			p, _ := w.rotateParams(k.refresh)
			p.Grace = time.Hour
			r, err := w.q.RotateRefreshToken(w.ctx, p)
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
