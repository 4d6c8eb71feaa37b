package calls

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

const collectRetention = 24 * time.Hour

// expireBy makes a row expire a time ago.
func (w *world) expireBy(table, id string, ago time.Duration) {
	w.Helper()
	w.Exec(`UPDATE "`+table+`" SET expires_at = now() - $2::interval WHERE id = $1`, id, ago)
}

// withoutAccessTokens redeems a grant and takes its access token away, as the collector would.
func (w *world) withoutAccessTokens() (family, refresh string) {
	w.Helper()
	k := w.Redeem()
	w.Exec(`DELETE FROM oauth_access_token WHERE token = $1`, string(fixture.Digest(k.Access)))
	return string(k.Authorization), string(w.refreshTokenOf(k.Refresh).ID)
}

func (w *world) collectRefreshTokens(batch int32) int64 {
	w.Helper()
	n, err := w.Q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: batch, Retention: collectRetention})
	w.OK(err)
	return n
}

func (w *world) collectAuthorizations(batch int32) int64 {
	w.Helper()
	n, err := w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: batch, Retention: collectRetention})
	w.OK(err)
	return n
}

func (w *world) collectAccessTokens(batch int32) int64 {
	w.Helper()
	n, err := w.Q.DeleteExpiredAccessTokens(w.Ctx, batch)
	w.OK(err)
	return n
}

func (w *world) collectSessions(batch int32) int64 {
	w.Helper()
	n, err := w.Q.DeleteExpiredSessions(w.Ctx, batch)
	w.OK(err)
	return n
}

// collectorCall is a call that collects, with rows of its table: the i-th that is due by now, and all kinds that are not.
type collectorCall struct {
	name, table string
	collect     func(w *world, batch int32) int64
	due         func(w *world, i int) (id string)
	stays       func(w *world)
}

var collectorCalls = []collectorCall{
	{
		name: "DeleteExpiredAccessTokens", table: "oauth_access_token", collect: (*world).collectAccessTokens,
		due: func(w *world, i int) string {
			raw := w.Redeem().Access
			if i%2 == 0 {
				raw = w.issue(fixture.Unique("machine"), store.IssuanceOutcomeIssued)
			}
			id := string(w.accessTokenOf(raw).ID)
			w.expireBy("oauth_access_token", id, 0)
			return id
		},
		stays: func(w *world) {
			never, revoked, soon := w.accessTokenOf(w.Redeem().Access), w.accessTokenOf(w.Redeem().Access), w.accessTokenOf(w.Redeem().Access)
			w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE id = $1`, string(never.ID))
			w.Exec(`UPDATE oauth_access_token SET revoked = now() WHERE id = $1`, string(revoked.ID))
			w.expireBy("oauth_access_token", string(soon.ID), -time.Minute)
		},
	},
	{
		name: "DeleteExpiredRefreshTokens", table: "oauth_refresh_token", collect: (*world).collectRefreshTokens,
		due: func(w *world, i int) string {
			if i%2 == 0 {
				id := string(w.ForeignRefreshToken(fixture.Unique("foreign")))
				w.expireBy("oauth_refresh_token", id, collectRetention)
				return id
			}
			family, refresh := w.withoutAccessTokens()
			w.expireBy("oauth_authorization", family, collectRetention)
			return refresh
		},
		stays: func(w *world) {
			recent, _ := w.withoutAccessTokens()
			w.expireBy("oauth_authorization", recent, collectRetention-time.Minute)
			_, expired := w.withoutAccessTokens() // by itself, which says nothing while the family lives
			w.expireBy("oauth_refresh_token", expired, 10*collectRetention)
			endless, _ := w.withoutAccessTokens()
			w.Exec(`UPDATE oauth_authorization SET expires_at = NULL WHERE id = $1`, endless)
			w.expireBy("oauth_authorization", string(w.Redeem().Authorization), 10*collectRetention) // an access token refers to it

			w.expireBy("oauth_refresh_token", string(w.ForeignRefreshToken(fixture.Unique("recent"))), collectRetention-time.Minute)
			referred := w.ForeignRefreshToken(fixture.Unique("referred"))
			w.ForeignAccessToken(fixture.Unique("access"), &referred)
			w.expireBy("oauth_refresh_token", string(referred), 10*collectRetention)
			never := w.ForeignRefreshToken(fixture.Unique("never"))
			w.Exec(`UPDATE oauth_refresh_token SET expires_at = NULL, revoked = now() WHERE id = $1`, string(never))
		},
	},
	{
		name: "DeleteExpiredAuthorizations", table: "oauth_authorization", collect: (*world).collectAuthorizations,
		due: func(w *world, i int) string {
			id := w.pending()
			switch i % 4 {
			case 1:
				w.deny(id, store.DecisionOutcomeDenied)
			case 2:
				w.approve(id, store.DecisionOutcomeApproved)
			case 3:
				w.Exec(`DELETE FROM oauth_authorization WHERE id = $1`, string(id))
				k := w.Redeem()
				w.Exec(`DELETE FROM oauth_access_token WHERE token = $1`, string(fixture.Digest(k.Access)))
				w.Exec(`DELETE FROM oauth_refresh_token WHERE token = $1`, string(fixture.Digest(k.Refresh)))
				id = k.Authorization
			}
			w.expireBy("oauth_authorization", string(id), collectRetention)
			return string(id)
		},
		stays: func(w *world) {
			w.pending()
			w.expireBy("oauth_authorization", string(w.pending()), collectRetention-time.Minute)
			w.Exec(`UPDATE oauth_authorization SET expires_at = NULL WHERE id = $1`, string(w.Redeem().Authorization))
			family, _ := w.withoutAccessTokens() // a refresh token is left
			w.expireBy("oauth_authorization", family, 10*collectRetention)
			id, code := w.Grant() // an access token is left
			p := w.RedeemParams(code)
			p.RefreshToken = nil
			_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			w.OK(err)
			w.expireBy("oauth_authorization", string(id), 10*collectRetention)
		},
	},
	{
		name: "DeleteExpiredSessions", table: "session", collect: (*world).collectSessions,
		due: func(w *world, _ int) string {
			id := string(w.NewSession(w.User))
			w.expireBy("session", id, 0)
			return id
		},
		stays: func(w *world) { w.expireBy("session", string(w.NewSession(w.User)), -time.Minute) },
	},
	{
		name: "DeleteExpiredClientAssertions", table: "oauth_client_assertion",
		collect: func(w *world, batch int32) int64 {
			n, err := w.Q.DeleteExpiredClientAssertions(w.Ctx, batch)
			w.OK(err)
			return n
		},
		due: func(w *world, _ int) string {
			id := fixture.Digest(fixture.Unique("assertion"))
			w.Exec(`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($1, now())`, id)
			return string(id)
		},
		stays: func(w *world) {
			w.Exec(`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($1, now() + interval '1 minute')`, fixture.Digest("assertion"))
		},
	},
	{
		name: "DeleteExpiredSigningKeys", table: "jwks",
		collect: func(w *world, batch int32) int64 {
			n, err := w.Q.DeleteExpiredSigningKeys(w.Ctx, batch)
			w.OK(err)
			return n
		},
		due: func(w *world, _ int) string {
			id := store.NewSigningKeyID()
			w.Exec(`INSERT INTO jwks (id, public_key, private_key, expires_at) VALUES ($1, '{}', '', now())`, id)
			return string(id)
		},
		stays: func(w *world) {
			w.Exec(`INSERT INTO jwks (id, public_key, private_key, expires_at) VALUES ('soon', '{}', '', now() + interval '1 minute'), ('never', '{}', '', NULL)`)
		},
	},
}

// makeDue makes n rows that are due, and names what is seen of each when it goes.
func (w *world) makeDue(c collectorCall, n int) (ids, gone []string) {
	w.Helper()
	for i := range n {
		id := c.due(w, i)
		ids, gone = append(ids, id), append(gone, rowName("-", c.table, id))
	}
	return ids, gone
}

func TestCollectorTakesWhatIsDueInBatchesAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range collectorCalls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			c.stays(w)
			w.Unchanged(func() { wantEqual(t, "collected, though nothing is due", c.collect(w, 100), 0) })
			_, gone := w.makeDue(c, 5)
			w.changesRows(func() {
				for _, want := range []int64{2, 2, 1, 0, 0} {
					wantEqual(t, "collected", c.collect(w, 2), want)
				}
			}, gone...)
			w.makeDue(c, 3)
			w.Unchanged(func() { wantEqual(t, "collected in a batch of none", c.collect(w, 0), 0) })
		})
	}
}

// hurry ends the world's calls after a time, so that one which waits for a lock fails.
func (w *world) hurry() (cancel func()) {
	w.Ctx, cancel = context.WithTimeout(w.Ctx, 20*time.Second)
	return cancel
}

func TestCollectorSkipsWhatACallHolds(t *testing.T) {
	t.Parallel()
	for _, c := range collectorCalls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			ids, _ := w.makeDue(c, 4)
			lock := `FOR UPDATE`
			if c.table == "session" {
				lock = `FOR KEY SHARE` // the lock of a grant
			}
			cancel := w.hurry() // what isn't skipped is waited for
			defer cancel()
			release := w.holding(`SELECT FROM "`+c.table+`" WHERE id = $1 `+lock, ids[1])
			wantEqual(t, "collected while one is held", c.collect(w, 100), 3)
			wantEqual(t, "collected of what is held", c.collect(w, 100), 0)
			release()
			wantEqual(t, "collected afterwards", c.collect(w, 100), 1)
		})
	}
}

func TestCollectorSkipsSessionsOfAUserWhoseGrantsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.expireBy("session", string(w.Session), 0)
	cancel := w.hurry()
	defer cancel()
	release := w.holding(`SELECT FROM "user" WHERE id = $1 FOR UPDATE`, string(w.User))
	wantEqual(t, "collected while the user is held", w.collectSessions(10), 0)
	release()
	wantEqual(t, "collected afterwards", w.collectSessions(10), 1)
}

func TestCollectorsSideBySideShareTheWork(t *testing.T) {
	t.Parallel()
	for _, c := range collectorCalls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 4)
			_, gone := w.makeDue(c, 12)
			w.changesRows(func() {
				var mu sync.Mutex
				var wg sync.WaitGroup
				var total int64
				for range 4 {
					wg.Go(func() {
						for range 20 { // a batch may come out empty while others hold what is left
							n := c.collect(w, 2)
							mu.Lock()
							total += n
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				wantEqual(t, "collected by all", total, 12)
			}, gone...)
		})
	}
}

func TestReuseIsRecognisedUntilTheFamilyHasExpiredForTheRetention(t *testing.T) {
	t.Parallel()
	for _, due := range []bool{false, true} {
		t.Run(fmt.Sprintf("due %v", due), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			k := w.Redeem()
			w.Rotate(k.Refresh, store.RotationOutcomeRotated)
			w.Rotate(fixture.SuccessorOf(k.Refresh), store.RotationOutcomeRotated)
			other := w.Redeem()
			// every token has expired, and the family a second less than the collectRetention ago, or for as long
			ago := collectRetention - time.Second
			if due {
				ago = collectRetention
			}
			w.Exec(`UPDATE oauth_access_token SET expires_at = now() - $2::interval WHERE authorization_id = $1`, string(k.Authorization), ago)
			w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() - $2::interval, revoked = revoked - $2::interval WHERE authorization_id = $1`, string(k.Authorization), ago)
			w.Exec(`UPDATE oauth_authorization SET expires_at = now() - $2::interval WHERE id = $1`, string(k.Authorization), ago)

			wantEqual(t, "access tokens", w.collectAccessTokens(10), 3)
			if due {
				wantEqual(t, "authorizations, before their tokens", w.collectAuthorizations(10), 0)
				wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), 3)
				wantEqual(t, "authorizations", w.collectAuthorizations(10), 1)
				p, _ := w.RotateParams(k.Refresh)
				_, err := w.Q.RotateRefreshToken(w.Ctx, p)
				w.None(err)
			} else {
				wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), 0)
				wantEqual(t, "authorizations", w.collectAuthorizations(10), 0)
				w.Rotate(k.Refresh, store.RotationOutcomeReused)
				wantEqual(t, "revoked_reason", w.authorizationOf(k.Authorization).RevokedReason, new(store.RevocationReasonRefreshTokenReused))
			}
			w.WantLive(other.Access, other.Refresh)
		})
	}
}

func TestReplayOfACodeIsRecognisedUntilTheFamilyHasExpiredForTheRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id, code := w.Grant()
	p := w.RedeemParams(code)
	p.RefreshToken = nil
	redeem := func(want store.RedemptionOutcome) {
		t.Helper()
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "outcome", row.Outcome, want)
	}
	redeem(store.RedemptionOutcomeRedeemed)
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() - interval '1 day'`)
	w.expireBy("oauth_authorization", string(id), collectRetention-time.Second)
	wantEqual(t, "access tokens", w.collectAccessTokens(10), 1)
	wantEqual(t, "authorizations", w.collectAuthorizations(10), 0)
	redeem(store.RedemptionOutcomeReplayed)
	w.expireBy("oauth_authorization", string(id), collectRetention)
	wantEqual(t, "authorizations", w.collectAuthorizations(10), 1)
	_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.None(err)
}

func TestCollectorNeverTakesALiveAccessTokenAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	stray := w.ForeignRefreshToken("stray")
	w.ForeignAccessToken("stray access", &stray)
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL`) // whatever the rows beside them say
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() - interval '1 year'`)
	w.Exec(`UPDATE oauth_authorization SET expires_at = now() - interval '1 year'`)
	w.Exec(`UPDATE session SET expires_at = now() - interval '1 year'`)
	for range 2 {
		wantEqual(t, "access tokens", w.collectAccessTokens(10), 0)
		wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), 0)
		wantEqual(t, "authorizations", w.collectAuthorizations(10), 0)
		w.collectSessions(10)
	}
	w.WantLive(k.Access, "stray access")
	w.Exec(`UPDATE oauth_access_token SET expires_at = now()`)
	wantEqual(t, "access tokens", w.collectAccessTokens(10), 2)
	wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), 2)
	wantEqual(t, "authorizations", w.collectAuthorizations(10), 1)
}

func TestExpiryOfASessionIsNoSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, offline := w.Redeem(online), w.Redeem()
	unredeemed, code := w.Grant(online)
	refresh, access := w.foreignOnline("stray")
	w.expireBy("session", string(w.Session), time.Hour)
	want := []string{sessionRow("-", w.Session), authorizationRow("~", unredeemed), refreshRow("~", refresh), accessRow("~", access)}
	for _, k := range []fixture.Tokens{k, offline} {
		want = append(want, authorizationRow("~", k.Authorization), accessRow("~", w.accessTokenOf(k.Access).ID), refreshRow("~", w.refreshTokenOf(k.Refresh).ID))
	}
	before := w.authorizationOf(k.Authorization)
	w.changesRows(func() { wantEqual(t, "collected", w.collectSessions(10), 1) }, want...)
	before.SessionID = nil
	wantEqual(t, "the family", w.authorizationOf(k.Authorization), before)
	w.WantLive(k.Access, k.Refresh, offline.Access, offline.Refresh, "stray", "stray access")
	for _, refresh := range []string{k.Refresh, offline.Refresh, "stray"} {
		row, _ := w.Rotate(refresh, store.RotationOutcomeRotated)
		wantEqual(t, "session of the answer", row.SessionID, nil)
	}
	row, err := w.Q.RedeemAuthorizationCode(w.Ctx, w.RedeemParams(code))
	w.OK(err)
	wantEqual(t, "outcome", row.Outcome, store.RedemptionOutcomeRedeemed)
}

func TestFamilyWithoutEndIsNeverCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	_, code := w.Grant()
	p := w.RedeemParams(code)
	p.AccessTokenLifetime = nil
	_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	w.Rotate("rt-"+code, store.RotationOutcomeRotated) // to tokens that do expire
	w.Exec(`UPDATE oauth_access_token SET expires_at = expires_at - interval '1 year'`)
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = expires_at - interval '1 year', revoked = revoked - interval '1 year'`)
	w.Exec(`UPDATE oauth_authorization SET expires_at = expires_at - interval '1 year'`)
	wantEqual(t, "access tokens", w.collectAccessTokens(10), 1)
	wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), 0)
	wantEqual(t, "authorizations", w.collectAuthorizations(10), 0)
	w.WantLive("at-" + code)
	listed, err := w.Q.ListUserAuthorizations(w.Ctx, store.ListUserAuthorizationsParams{UserID: w.User, PageSize: 10})
	w.OK(err)
	wantEqual(t, "authorizations in force", len(listed), 1)
	w.Rotate("rt-"+code, store.RotationOutcomeReused) // as the evidence is still there
	w.WantDead("at-" + code)
}

func TestCollectedSessionsFreeTheirBatchInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var ids []string
	for i := range 3 {
		id := string(w.NewSession(w.User))
		w.expireBy("session", id, time.Duration(3-i)*time.Hour)
		ids = append(ids, rowName("-", "session", id))
	}
	for _, oldest := range ids {
		before := w.Snapshot()
		wantEqual(t, "collected", w.collectSessions(1), 1)
		if diff := fixture.Changed(before, w.Snapshot()); !slices.Equal(diff, []string{oldest}) {
			t.Errorf("collected %v, want the one that expired first, %s", diff, oldest)
		}
	}
}

func TestCollectorOfAuthorizationsLooksNoFurtherThanItIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	kept := w.Redeem() // has its tokens still
	w.expireBy("oauth_authorization", string(kept.Authorization), 3*collectRetention)
	due, refresh := w.withoutAccessTokens()
	w.Exec(`DELETE FROM oauth_refresh_token WHERE id = $1`, refresh)
	w.expireBy("oauth_authorization", due, 2*collectRetention)
	collect := func(lookAt *int64) int64 {
		n, err := w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{
			BatchSize: 10, Retention: collectRetention, LookAt: lookAt,
		})
		w.OK(err)
		return n
	}
	w.Unchanged(func() { wantEqual(t, "collected of the oldest one, which is not ripe", collect(new(int64(1))), 0) })
	w.changesRows(func() { wantEqual(t, "collected of the oldest two", collect(new(int64(2))), 1) }, authorizationRow("-", store.AuthorizationID(due)))
	wantEqual(t, "collected of all", collect(nil), 0)
}
