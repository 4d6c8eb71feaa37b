package calls

import (
	"math"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// A statement that waits for the consent's row stamps it as it saw the user at its beginning: what was withdrawn meanwhile doesn't come back.
func TestMergeThatWaitsOverAWithdrawalRevivesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	grant := func(q *store.Queries, scope string) (store.Outcome, error) {
		r, err := q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Scopes: []string{scope}, Merge: true})
		return r.Outcome, err
	}
	w.want("GrantConsent", w.outcome(grant(w.Q, "payments")), store.OutcomeGranted)
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer tx.Rollback(w.Ctx)
	w.want("GrantConsent", w.outcome(grant(store.New(tx), "email")), store.OutcomeGranted)
	done := make(chan error, 1)
	go func() { _, err := grant(w.Q, "calendar"); done <- err }()
	w.Until("the second waits for the first", func() bool {
		var waits bool
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits))
		return waits
	})
	r, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: w.Client})
	w.OK(err)
	w.want("WithdrawConsent", r.Outcome, store.OutcomeWithdrawn)
	w.OK(tx.Commit(w.Ctx))
	w.OK(<-done)
	_, err = w.Q.FindConsent(w.Ctx, store.FindConsentParams{UserID: w.User, ClientID: w.Client})
	w.None(err)
}

// exp is the client's to write, whatever it is.
func TestAssertionThatExpiredBeforeAllTimesIsExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, exp := range []int64{math.MinInt64, -1 << 44, -1, 0} {
		o, err := w.Q.RememberClientAssertion(w.Ctx, store.RememberClientAssertionParams{
			ID: fixture.Digest("assertion"), ExpiresAt: exp, MaxLifetime: time.Hour, ClockSkew: time.Minute,
		})
		w.OK(err)
		w.want("RememberClientAssertion", o, store.OutcomeExpired)
	}
}

// A server whose answer was lost makes the very same call again, proof included.
func TestSameCallAgainIsRetriedWithTheSameProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	proof, until := fixture.Digest("proof"), time.Now().Add(time.Minute)
	_, code := w.Grant()
	p := w.RedeemParams(code)
	p.Proof, p.ProofExpiresAt = &proof, &until
	for _, want := range []store.Outcome{store.OutcomeRedeemed, store.OutcomeRetried} {
		r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		w.want("RedeemAuthorizationCode", r.Outcome, want)
	}
	proof2 := fixture.Digest("another proof")
	again, _ := w.RotateParams("rt-" + code)
	again.Proof, again.ProofExpiresAt = &proof2, &until
	for _, want := range []store.Outcome{store.OutcomeRotated, store.OutcomeRetried} {
		r, err := w.Q.RotateRefreshToken(w.Ctx, again)
		w.OK(err)
		w.want("RotateRefreshToken", r.Outcome, want)
	}
	other, _ := w.RotateParams("rt-" + code)
	other.Proof, other.ProofExpiresAt = &proof2, &until
	r, err := w.Q.RotateRefreshToken(w.Ctx, other)
	w.OK(err)
	w.want("another call with the proof", r.Outcome, store.OutcomeProofReplayed)
	w.WantLive(fixture.SuccessorOf("rt-" + code))
}

// A lifetime that was lowered lets a successor be collected before the token that it replaced.
func TestReuseIsToldWhereTheSuccessorIsCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	f := w.Redeem()
	second := fixture.SuccessorOf(f.Refresh)
	w.Rotate(f.Refresh, store.OutcomeRotated)
	w.Rotate(second, store.OutcomeRotated)
	w.Exec(`DELETE FROM oauth_refresh_token WHERE token = $1`, string(fixture.Digest(second)))
	w.WantLive(fixture.SuccessorOf(second))
	w.Rotate(f.Refresh, store.OutcomeReplayed)
	w.WantDead(fixture.SuccessorOf(second))
}

func TestUnauthenticatedCallerLearnsNothingOfAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, code := w.Grant()
	p := w.RedeemParams(code)
	w.redeem(code, store.OutcomeRedeemed, func(r *store.RedeemAuthorizationCodeParams) { r.AccessTokenID = p.AccessTokenID })
	r, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: p.AccessTokenID, ClientID: w.Client})
	w.OK(err)
	w.want("RevokeAccessTokenByID", r.Outcome, store.OutcomeUnauthenticated)
	if r.AuthorizationID != nil {
		t.Errorf("an unauthenticated caller is told of family %s", *r.AuthorizationID)
	}
}

func TestNegativeRetentionCollectsNothingThatHasNotExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.Redeem()
	w.Grant() // a code
	w.Exec(`DELETE FROM oauth_access_token`)
	r, err := w.Q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{Retention: -fixture.Long, BatchSize: 10})
	w.OK(err)
	m, err := fixture.Deleted(w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{Retention: -fixture.Long, BatchSize: 10}))
	w.OK(err)
	if r.Deleted+m != 0 {
		t.Errorf("collected %d refresh tokens and %d authorizations that have not expired", r.Deleted, m)
	}
	w.WantLive(f.Refresh)
}

// An empty authorization_code_id is none: two tokens that carry it have nothing in common.
func TestEmptyCodeIDOfAnotherServerNamesNoFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, raw := range []string{"one", "two"} {
		w.Exec(`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_code_id) VALUES ($1, $2, $3, $4, '{}', '')`,
			fixture.Unique("r"), string(fixture.Digest(raw)), w.Client, w.User)
	}
	o, err := w.Q.RevokeToken(w.Ctx, w.RevokeParams("one"))
	w.OK(err)
	w.want("RevokeToken", o.Outcome, store.OutcomeEnded)
	w.WantDead("one")
	w.WantLive("two")
}
