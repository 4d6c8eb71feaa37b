package calls

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func TestSameRedemptionAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, c := range map[string]struct {
		granted   []func(*store.GrantAuthorizationParams)
		meanwhile func()
	}{
		"at once":               {nil, func() {}},
		"when the code expires": {nil, func() { w.Exec(`UPDATE oauth_authorization SET code_expires_at = now()`) }},
		"when the session is extended": {[]func(*store.GrantAuthorizationParams){online}, func() {
			w.Exec(`UPDATE session SET expires_at = expires_at + interval '1 minute'`)
		}},
		"when the client is given shorter lifetimes": {nil, func() { w.Exec(`UPDATE oauth_client SET access_token_lifetime = '1 second'`) }},
	} {
		w.Exec(`UPDATE session SET expires_at = now() + interval '3 minutes'`)
		w.Exec(`UPDATE oauth_client SET access_token_lifetime = NULL`)
		_, code := w.Grant(c.granted...)
		p := w.RedeemParams(code)
		p.Resources = []string{"https://api.example"}
		first, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		w.want(name, first.Outcome, store.OutcomeRedeemed)
		c.meanwhile()
		for range 2 {
			w.Unchanged(func() {
				again, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
				w.OK(err)
				want := first
				want.Outcome = store.OutcomeRetried
				wantEqual(t, name, again, want)
			})
		}
		w.WantLive("at-"+code, "rt-"+code)
	}
}

// A call that passes the ids of an earlier one and other tokens, or an id that is taken, is an error: it couldn't be answered with tokens that
// work.
func TestOtherTokensUnderTheSameIDsAreNoRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	another := w.Redeem()
	taken, foreign := w.accessTokenOf(another.Access).ID, w.refreshTokenOf(another.Refresh).ID
	other := new(fixture.Digest("other"))
	named := func(what, parameter string, call func() error) {
		t.Helper()
		w.refused(func() {
			if err := call(); pgErrorOf(err).Code != "22023" || !strings.Contains(err.Error(), parameter+" is") {
				t.Errorf("%s: %v, want an error that names %s", what, err, parameter)
			}
		})
	}
	_, code := w.Grant()
	redemption := w.RedeemParams(code)
	redeem := func(change func(*store.RedeemAuthorizationCodeParams)) func() error {
		return func() error {
			p := redemption
			change(&p)
			_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			return err
		}
	}
	ofAnotherToken := func(p *store.RedeemAuthorizationCodeParams) { p.AccessTokenID = taken }
	named("a first redemption, the id of another token", "AccessTokenID", redeem(ofAnotherToken))
	named("without a row, the id of another token", "AccessTokenID", redeem(func(p *store.RedeemAuthorizationCodeParams) { ofAnotherToken(p); withoutRow(p) }))
	named("a first redemption, the digest of another token", "AccessToken", redeem(func(p *store.RedeemAuthorizationCodeParams) { p.AccessToken = new(fixture.Digest(another.Access)) }))
	w.OK(redeem(func(*store.RedeemAuthorizationCodeParams) {})())
	named("redemption, another access token", "AccessTokenID", redeem(func(p *store.RedeemAuthorizationCodeParams) { p.AccessToken = other }))
	named("redemption, another refresh token", "RefreshTokenID", redeem(func(p *store.RedeemAuthorizationCodeParams) { p.RefreshToken = other }))
	named("redemption, the refresh token of another family", "RefreshTokenID", redeem(func(p *store.RedeemAuthorizationCodeParams) {
		p.RefreshTokenID = &foreign
	}))

	k := w.Redeem()
	rotation, _ := w.RotateParams(k.Refresh)
	rotate := func(change func(*store.RotateRefreshTokenParams)) func() error {
		return func() error {
			p := rotation
			change(&p)
			_, err := w.Q.RotateRefreshToken(w.Ctx, p)
			return err
		}
	}
	ofAnother := func(p *store.RotateRefreshTokenParams) { p.AccessTokenID = taken }
	named("rotation, the id of another token", "AccessTokenID", rotate(ofAnother))
	named("rotation without a row, the id of another token", "AccessTokenID", rotate(func(p *store.RotateRefreshTokenParams) { ofAnother(p); rotatedWithoutRow(p) }))
	w.Exec(`UPDATE oauth_access_token SET token = NULL WHERE id = $1`, string(taken)) // a JWT
	_, fresh := w.Grant()
	named("a first redemption, the id of another JWT", "AccessTokenID", func() error {
		p := w.RedeemParams(fresh)
		ofAnotherToken(&p)
		p.AccessToken = nil
		_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		return err
	})
	named("rotation, the id of another JWT", "AccessTokenID", rotate(func(p *store.RotateRefreshTokenParams) { ofAnother(p); p.AccessToken = nil }))
	named("rotation, the digest of another token", "AccessToken", rotate(func(p *store.RotateRefreshTokenParams) { p.AccessToken = new(fixture.Digest("at-" + code)) }))
	w.OK(rotate(func(*store.RotateRefreshTokenParams) {})())
	named("the same rotation, another access token", "AccessTokenID", rotate(func(p *store.RotateRefreshTokenParams) { p.AccessToken = other }))
	named("a retry, the id of another token", "AccessTokenID", rotate(func(p *store.RotateRefreshTokenParams) { ofAnother(p); p.SuccessorID = store.NewRefreshTokenID() }))

	device := w.forSubtest(t)
	device.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant, "refresh_token"} })
	poll := device.pollParams(device.approvedDevice().code)
	polls := func(change func(*store.PollDeviceCodeParams)) func() error {
		return func() error {
			p := poll
			change(&p)
			_, err := w.Q.PollDeviceCode(w.Ctx, p)
			return err
		}
	}
	named("poll, the id of another token", "AccessTokenID", polls(func(p *store.PollDeviceCodeParams) { p.AccessTokenID = taken }))
	named("poll without a row, the id of another JWT", "AccessTokenID", polls(func(p *store.PollDeviceCodeParams) {
		p.AccessTokenID, p.AccessToken, p.AccessTokenWithoutRow = taken, nil, true
	}))
	w.OK(polls(func(*store.PollDeviceCodeParams) {})())
	named("the same poll, another access token", "AccessTokenID", polls(func(p *store.PollDeviceCodeParams) { p.AccessToken = other }))
}

// A call that is repeated with another request is answered what was written, which is never more than was granted.
func TestRepeatedCallAnswersWhatWasWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	one, two := fixture.Resources[:1], fixture.Resources[1:]
	_, code := w.Grant()
	redemption := w.RedeemParams(code)
	redemption.Resources = one
	_, err := w.Q.RedeemAuthorizationCode(w.Ctx, redemption)
	w.OK(err)
	redemption.Resources = two
	redeemed, err := w.Q.RedeemAuthorizationCode(w.Ctx, redemption)
	w.OK(err)
	w.want("RedeemAuthorizationCode", redeemed.Outcome, store.OutcomeRetried)
	wantEqual(t, "the resources of the redemption", redeemed.Resources, one)
	redemption.Resources = []string{"https://bank.example"}
	redeemed, err = w.Q.RedeemAuthorizationCode(w.Ctx, redemption)
	w.OK(err)
	w.want("beyond the grant", redeemed.Outcome, store.OutcomeInvalidTarget)

	rotation, _ := w.RotateParams("rt-" + code)
	rotation.Resources, rotation.Scopes = one, []string{"openid"}
	_, err = w.Q.RotateRefreshToken(w.Ctx, rotation)
	w.OK(err)
	rotation.Resources, rotation.Scopes = two, nil
	rotated, err := w.Q.RotateRefreshToken(w.Ctx, rotation)
	w.OK(err)
	w.want("RotateRefreshToken", rotated.Outcome, store.OutcomeRetried)
	wantEqual(t, "the resources of the rotation", rotated.Resources, one)
	wantEqual(t, "the scopes of the rotation", rotated.Scopes, []string{"openid"})

	device := w.forSubtest(t)
	device.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant, "refresh_token"} })
	poll := device.pollParams(device.approvedDevice().code)
	poll.Resources = one
	_, err = w.Q.PollDeviceCode(w.Ctx, poll)
	w.OK(err)
	poll.Resources = two
	polled, err := w.Q.PollDeviceCode(w.Ctx, poll)
	w.OK(err)
	w.want("PollDeviceCode", polled.Outcome, store.OutcomeRetried)
	wantEqual(t, "the resources of the poll", polled.Resources, one)
}

func TestSameRotationAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, c := range map[string]struct {
		granted   []func(*store.GrantAuthorizationParams)
		meanwhile func(refresh string)
	}{
		"at once":              {nil, func(string) {}},
		"long after the grace": {nil, func(refresh string) { w.spentAgo(refresh, time.Minute) }},
		"when the session is extended": {[]func(*store.GrantAuthorizationParams){online}, func(string) {
			w.Exec(`UPDATE session SET expires_at = expires_at + interval '1 minute'`)
		}},
		"when the client is given shorter lifetimes": {nil, func(string) { w.Exec(`UPDATE oauth_client SET access_token_lifetime = '1 second'`) }},
	} {
		w.Exec(`UPDATE session SET expires_at = now() + interval '3 minutes'`)
		w.Exec(`UPDATE oauth_client SET access_token_lifetime = NULL`)
		k := w.Redeem(c.granted...)
		p, access := w.RotateParams(k.Refresh)
		p.Grace, p.Scopes = 0, []string{"openid"}
		first, err := w.Q.RotateRefreshToken(w.Ctx, p)
		w.OK(err)
		w.want(name, first.Outcome, store.OutcomeRotated)
		c.meanwhile(k.Refresh)
		for range 2 {
			w.Unchanged(func() {
				again, err := w.Q.RotateRefreshToken(w.Ctx, p)
				w.OK(err)
				want := first
				want.Outcome = store.OutcomeRetried
				wantEqual(t, name, again, want)
			})
		}
		w.WantLive(access, fixture.SuccessorOf(k.Refresh))
		p.SuccessorID = store.NewRefreshTokenID() // another call
		row, err := w.Q.RotateRefreshToken(w.Ctx, p)
		w.OK(err)
		w.want(name+", by another call", row.Outcome, store.OutcomeReplayed)
	}
}

func TestSameIssueAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := w.issueParams("token")
	first, err := w.Q.IssueAccessToken(w.Ctx, p)
	w.OK(err)
	w.Exec(`UPDATE oauth_client SET access_token_lifetime = '1 second'`)
	for range 2 {
		w.Unchanged(func() {
			again, err := w.Q.IssueAccessToken(w.Ctx, p)
			w.OK(err)
			wantEqual(t, "row", again, store.IssueAccessTokenRow{Outcome: store.OutcomeRetried, ExpiresAt: first.ExpiresAt})
		})
	}
}

// After ten minutes, and the successor was never used.
func TestRetryIsForgivenUntilTheSuccessorIsUsedByChoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	choose := func(p *store.RotateRefreshTokenParams) { p.Grace, p.GraceUntilUsed = 0, true }
	for name, c := range map[string]struct {
		client *bool
		caller []rotation
		want   store.Outcome
	}{
		"the caller's":             {nil, []rotation{choose}, store.OutcomeRetried},
		"the client's":             {new(true), nil, store.OutcomeRetried},
		"the client's comes first": {new(false), []rotation{choose}, store.OutcomeReplayed},
		"nobody's":                 {nil, nil, store.OutcomeReplayed},
	} {
		w.Client = w.NewClient(func(p *store.CreateClientParams) { p.RefreshGraceUntilUsed = c.client })
		k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client })
		w.Rotate(k.Refresh, store.OutcomeRotated)
		w.spentAgo(k.Refresh, 10*time.Minute)
		row, _ := w.Rotate(k.Refresh, c.want, c.caller...)
		if c.want != store.OutcomeRetried {
			continue
		}
		if row.Successor == nil || *row.Successor != fixture.Digest(fixture.SuccessorOf(k.Refresh)) {
			t.Errorf("%s: successor %v", name, row.Successor)
		}
		w.Rotate(fixture.SuccessorOf(k.Refresh), store.OutcomeRotated) // which uses it
		w.Rotate(k.Refresh, store.OutcomeReplayed, c.caller...)
	}
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.RefreshGrace = new(time.Hour) })
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client })
	w.Rotate(k.Refresh, store.OutcomeRotated)
	w.spentAgo(k.Refresh, 59*time.Minute)
	w.Rotate(k.Refresh, store.OutcomeRetried) // by the client's own interval, not by the caller's
}

// A proof that fails spends nothing (RFC 9449, sections 8 and 11.1).
func TestProofThatFailsSpendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	key, other := &token.Confirmation{JKT: "k"}, &token.Confirmation{JKT: "other"}
	with := func(c *token.Confirmation, proof string) rotation {
		return func(p *store.RotateRefreshTokenParams) {
			p.Confirmation, p.Proof, p.ProofExpiresAt = c, new(fixture.Digest(proof)), new(time.Now().Add(time.Minute))
		}
	}
	_, code := w.Grant()
	withKey := func(proof string) func(*store.RedeemAuthorizationCodeParams) {
		return func(p *store.RedeemAuthorizationCodeParams) {
			p.Confirmation, p.Proof, p.ProofExpiresAt = key, new(fixture.Digest(proof)), new(time.Now().Add(time.Minute))
		}
	}
	w.redeem(code, store.OutcomeRedeemed, withKey("redemption"))
	w.Unchanged(func() { w.redeem(code, store.OutcomeProofReplayed, withKey("redemption")) }) // a proxy repeats the request: no replay of the code
	w.WantLive("at-" + code)
	w.Unchanged(func() { w.redeem("nobody's", store.OutcomeUnknown, withKey("of no code")) }) // nor does it fill the table of proofs

	r := "rt-" + code
	w.Unchanged(func() {
		w.Rotate(r, store.OutcomeMismatched)
		w.Rotate(r, store.OutcomeMismatched, with(other, "another key's"))
		w.Rotate(r, store.OutcomeProofReplayed, with(key, "redemption"))
	})
	w.Rotate(r, store.OutcomeRotated, with(key, "first"))
	w.Unchanged(func() { w.Rotate(r, store.OutcomeProofReplayed, with(key, "first")) })
	w.Rotate(r, store.OutcomeRetried, with(key, "second"))
	w.WantLive(fixture.SuccessorOf(r))
	w.Unchanged(func() { // a proof that can't be remembered is an error, and spends nothing either
		for _, until := range []*time.Time{nil, new(time.Now().Add(-time.Second))} {
			p, _ := w.RotateParams(fixture.SuccessorOf(r))
			p.Confirmation, p.Proof, p.ProofExpiresAt = key, new(fixture.Digest("unbounded")), until
			_, err := w.Q.RotateRefreshToken(w.Ctx, p)
			wantEqual(t, "SQLSTATE", pgErrorOf(err).Code, "22023")
		}
	})
	remember := func(proof string, want store.Outcome) {
		w.Helper()
		w.want("RememberProof", w.outcome(w.Q.RememberProof(w.Ctx, store.RememberProofParams{
			ID: fixture.Digest(proof), ExpiresAt: time.Now().Add(time.Minute),
		})), want)
	}
	remember("first", store.OutcomeProofReplayed)
	remember("at a resource server", store.OutcomeRemembered)
	remember("at a resource server", store.OutcomeProofReplayed)
}

// The end of time: an assertion is refused for being too far, never an error, and never forgotten before it ends.
func TestAssertionIsRememberedForAsLongAsItIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	now := time.Now().Unix()
	for _, c := range []struct {
		exp       int64
		max, skew time.Duration
		want      store.Outcome
	}{
		{math.MaxInt64, time.Hour, 0, store.OutcomeTooFar},
		{math.MaxInt64, store.Never, store.Never, store.OutcomeTooFar},
		{1 << 44, time.Hour, 0, store.OutcomeTooFar},
		{1 << 44, store.Never, 0, store.OutcomeTooFar},
		{4102444800, time.Hour, 0, store.OutcomeTooFar},
		{4102444800, store.Never, 0, store.OutcomeTooFar},
		{now + 3700, time.Hour, 0, store.OutcomeTooFar},
		{now + 3500, time.Hour, 0, store.OutcomeRemembered},
		{now - 5, time.Hour, 0, store.OutcomeExpired},
		{now - 5, time.Hour, 10 * time.Second, store.OutcomeRemembered},
		{0, time.Hour, 0, store.OutcomeExpired},
		{-1, time.Hour, 0, store.OutcomeExpired},
		{math.MinInt64, time.Hour, 0, store.OutcomeExpired},
	} {
		p := store.RememberClientAssertionParams{ID: fixture.Digest(fmt.Sprint(c)), ExpiresAt: c.exp, MaxLifetime: c.max, ClockSkew: c.skew}
		remember := func(want store.Outcome) {
			w.Helper()
			outcome, err := w.Q.RememberClientAssertion(w.Ctx, p)
			w.OK(err)
			w.want(fmt.Sprintf("exp %d", c.exp), outcome, want)
		}
		if c.want != store.OutcomeRemembered {
			w.Unchanged(func() { remember(c.want) })
			continue
		}
		remember(c.want)
		n, err := fixture.Deleted(w.Q.DeleteExpiredClientAssertions(w.Ctx, store.DeleteExpiredClientAssertionsParams{BatchSize: 10}))
		w.OK(err)
		wantEqual(t, "collected", n, 0)
		remember(store.OutcomeProofReplayed)
	}
}

// Each issuer numbers its own assertions, in letters of either case.
func TestAssertionsAreTheirIssuersOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		issuer, jti string
		want        store.Outcome
	}{
		{"i1", "1", store.OutcomeRemembered},
		{"i2", "1", store.OutcomeRemembered},
		{"i1", "1", store.OutcomeProofReplayed},
		{"i1", "A", store.OutcomeRemembered},
		{"i1", "a", store.OutcomeRemembered},
		{"i", "11", store.OutcomeRemembered},
	} {
		p := remember(c.issuer, c.jti, time.Now().Add(time.Minute))
		w.want(c.issuer+" "+c.jti, w.outcome(w.Q.RememberClientAssertion(w.Ctx, p)), c.want)
	}
}

// The life of a request_uri bounds its opening, not the sign-in that follows (RFC 9126, section 4).
func TestSlowSignInIsApproved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	push := func(name string) store.AuthorizationID {
		return w.pending(func(p *store.CreateAuthorizationParams) {
			p.RequestURI, p.RequestURILifetime, p.Lifetime = new(fixture.Digest(name)), time.Minute, 10*time.Minute
		})
	}
	later := func(by string) {
		w.Exec(`UPDATE oauth_authorization SET expires_at = expires_at - $1::text::interval, request_uri_expires_at = request_uri_expires_at - $1::text::interval`, by)
	}
	take := func(name string) error {
		_, err := w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest(name), ClientID: w.Client, Lifetime: 10 * time.Minute,
		})
		return err
	}
	opened := push("opened")
	push("never opened")
	later("55 seconds")
	w.OK(take("opened"))
	later("6 seconds")
	w.None(take("never opened"))
	later("4 minutes")
	w.approve(opened, store.OutcomeApproved)
}

func TestSecondClickOnAllowGetsACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending()
	w.approve(id, store.OutcomeApproved)
	before := w.authorizationOf(id)
	w.changesRows(func() {
		row := w.approve(id, store.OutcomeRetried, func(p *store.ApproveAuthorizationParams) {
			p.Code, p.GrantedScopes, p.ACR, p.ReferenceID = new(fixture.Digest("second")), []string{"openid"}, nil, nil
		})
		wantEqual(t, "redirect_uri", row.RedirectURI, new(fixture.RedirectURI))
	}, authorizationRow("~", id))
	got := w.authorizationOf(id)
	before.Code, before.CodeExpiresAt, before.ExpiresAt, before.UpdatedAt = new(fixture.Digest("second")), got.CodeExpiresAt, got.ExpiresAt, got.UpdatedAt
	wantEqual(t, "nothing but the code is new", got, before)
	w.redeem("code of "+string(id), store.OutcomeUnknown)
	w.redeem("second", store.OutcomeRedeemed)
}

// 5,000 scopes to compare with 5,000 take no time that anybody would notice.
func TestManyScopesAreComparedInLinearTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	scopes := make([]string, 5000)
	reversed := make([]string, len(scopes))
	for i := range scopes {
		scopes[i] = fmt.Sprintf("https://api.example/scope/%d", i)
		reversed[len(scopes)-1-i] = scopes[i]
	}
	_, err := w.Pool.Exec(w.Ctx, `SELECT 1`)
	w.OK(err)
	fastest := func(name string, call func()) {
		w.Helper()
		best := time.Hour
		for range 6 {
			start := time.Now()
			call()
			if best = min(best, time.Since(start)); best < 250*time.Millisecond { // comparing each with each took seconds
				return
			}
		}
		t.Errorf("%s takes %s", name, best)
	}
	w.consent("", false, scopes...)
	fastest("CheckConsent", func() {
		row, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: reversed})
		w.OK(err)
		wantEqual(t, "covered", row.Covered, true)
	})
	fastest("GrantConsent", func() { w.consent("", true, reversed...) })
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.Scopes = scopes })
	asked := func(p *store.GrantAuthorizationParams) { p.Scopes, p.GrantedScopes = scopes, reversed }
	fastest("GrantAuthorization", func() { w.Grant(asked) })
	fastest("ApproveAuthorization", func() {
		id := w.pending(func(p *store.CreateAuthorizationParams) { p.Scopes = scopes })
		w.approve(id, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = reversed })
	})
	fastest("RevokeAuthorization", func() {
		id, _ := w.Grant(asked)
		w.revokeFamily(id)
	})
	tokens := w.Redeem(asked)
	fastest("RotateRefreshToken", func() {
		w.Rotate(tokens.Refresh, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) { p.Scopes = scopes })
		tokens.Refresh = fixture.SuccessorOf(tokens.Refresh)
	})
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes, p.Scopes = []string{"client_credentials"}, scopes })
	fastest("IssueAccessToken", func() {
		w.issue(fixture.Unique("own"), store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ClientID, p.Scopes = w.Client, reversed })
	})
	for _, wider := range [][]string{append(slices.Clone(reversed), "one more"), append([]string{"one more"}, reversed...)} {
		w.issue("wider", store.OutcomeInvalidScope, func(p *store.IssueAccessTokenParams) { p.ClientID, p.Scopes = w.Client, wider })
	}
}

// nil and an empty list mean the same where something is asked for or granted.
func TestNilAndEmptyListsMeanTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var requests, grants []store.OAuthAuthorization
	var consents, tokens [][]string
	for _, list := range [][]string{nil, {}} {
		requests = append(requests, w.authorizationOf(w.pending(func(p *store.CreateAuthorizationParams) { p.Scopes, p.Resources = list, list })))
		id, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.Scopes, p.GrantedScopes, p.Resources = list, list, list })
		w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) { p.Resources = list })
		w.Rotate("rt-"+code, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) { p.Scopes, p.Resources = list, list })
		grants = append(grants, w.authorizationOf(id))
		consents = append(consents, w.consent("", false, list...).Scopes)
		w.issue(fixture.Unique("token"), store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.Scopes, p.Resources = list, list })
		tokens = append(tokens, w.accessTokenOf("at-"+code).Scopes)
		wantEqual(t, "resources of the token", w.accessTokenOf("at-"+code).Resources, nil)
	}
	for _, pair := range [][]store.OAuthAuthorization{requests, grants} {
		wantEqual(t, "scopes", pair[0].Scopes, []string{})
		wantEqual(t, "scopes", pair[1].Scopes, pair[0].Scopes)
		wantEqual(t, "granted scopes", pair[1].GrantedScopes, pair[0].GrantedScopes)
		wantEqual(t, "resources", [][]string{pair[0].Resources, pair[1].Resources}, [][]string{nil, nil})
	}
	wantEqual(t, "consents", consents, [][]string{{}, {}})
	wantEqual(t, "tokens", tokens, [][]string{{}, {}})
}

func TestListsHoldNoDuplicate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	twice, once := []string{"b", "a", "b", "a"}, []string{"b", "a"}
	id := w.pending(func(p *store.CreateAuthorizationParams) {
		p.Scopes, p.Resources, p.DefaultScopes, p.DefaultResources = twice, twice, twice, twice
		p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes = json.RawMessage(`[{"type": "b"}, {"type": "a"}, {"type": "b"}]`), twice
		p.ACRValues = twice
	})
	wantEqual(t, "acr_values", w.authorizationOf(id).ACRValues, once)
	wantEqual(t, "authorization_details", string(w.authorizationOf(id).AuthorizationDetails), `[{"type": "b"}, {"type": "a"}]`)
	w.approve(id, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) {
		p.GrantedScopes, p.DefaultScopes, p.DefaultResources = twice, twice, twice
		p.AuthorizationDetails = json.RawMessage(`[{"type": "a"}, {"type": "a"}]`)
	})
	wantEqual(t, "granted authorization_details", string(w.authorizationOf(id).AuthorizationDetails), `[{"type": "a"}]`)
	a := w.authorizationOf(id)
	wantEqual(t, "a request", [][]string{a.Scopes, a.Resources, a.GrantedScopes}, [][]string{once, once, once})
	id, _ = w.Grant(func(p *store.GrantAuthorizationParams) {
		p.Scopes, p.Resources, p.GrantedScopes, p.DefaultScopes, p.DefaultResources = twice, twice, twice, twice, twice
	})
	a = w.authorizationOf(id)
	wantEqual(t, "a grant", [][]string{a.Scopes, a.Resources, a.GrantedScopes}, [][]string{once, once, once})
	wantEqual(t, "a consent", w.consent("", true, twice...).Scopes, once)
	w.issue("token", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) {
		p.Scopes, p.DefaultScopes, p.Resources, p.DefaultResources = twice, twice, twice, twice
	})
	token := w.accessTokenOf("token")
	wantEqual(t, "a client's own token", [][]string{token.Scopes, token.Resources}, [][]string{once, once})
	check, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: []string{"c", "a", "c"}})
	w.OK(err)
	wantEqual(t, "what is missing", check.Missing, []string{"c"})
}

// JSON that PostgreSQL can hold and a reader in Go can't, or that PostgreSQL can't hold, is refused when it is written, with an error
// that says why, and the rows beside it can be read.
func TestOddJSONIsRefusedWhenItIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	deep := json.RawMessage(`{"a":` + string(repeated("[", 10_001)) + string(repeated("]", 10_001)) + `}`)
	grant := func(change func(*store.GrantAuthorizationParams)) func(json.RawMessage) error {
		return func(json.RawMessage) error {
			p := w.GrantParams(fixture.Unique("code"))
			change(&p)
			_, err := w.Q.GrantAuthorization(w.Ctx, p)
			return err
		}
	}
	for name, write := range map[string]func(json.RawMessage) error{
		"CreateClient.Metadata": func(j json.RawMessage) error {
			_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, Metadata: j})
			return err
		},
		"CreateClient.JWKS": func(j json.RawMessage) error {
			_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, JWKS: j})
			return err
		},
		"UpdateClient.Metadata": func(j json.RawMessage) error {
			_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, Metadata: j})
			return err
		},
		"UpdateClient.JWKS": func(j json.RawMessage) error {
			_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, JWKS: j})
			return err
		},
		"CreateAuthorization.Claims": func(j json.RawMessage) error {
			p := w.RequestParams()
			p.Claims = j
			_, err := w.Q.CreateAuthorization(w.Ctx, p)
			return err
		},
		"CreateAuthorization.Request": func(j json.RawMessage) error {
			p := w.RequestParams()
			p.Request = j
			_, err := w.Q.CreateAuthorization(w.Ctx, p)
			return err
		},
		"GrantAuthorization.Claims": func(j json.RawMessage) error {
			return grant(func(p *store.GrantAuthorizationParams) { p.Claims = j })(j)
		},
		"GrantAuthorization.Request": func(j json.RawMessage) error {
			return grant(func(p *store.GrantAuthorizationParams) { p.Request = j })(j)
		},
	} {
		for _, c := range []struct {
			json json.RawMessage
			code string
		}{
			{json.RawMessage(`{"x": "\u0000"}`), "22P05"},
			{json.RawMessage(`{"x": "\ud800"}`), "22P02"},
			{json.RawMessage(`{"x": 1e400000}`), "22003"},
			{deep, "23514"},
			{json.RawMessage("{\"x\": \"\xff\"}"), "22021"},
			{json.RawMessage(`[]`), "23514"},
		} {
			w.refused(func() {
				if err := write(c.json); pgErrorOf(err).Code != c.code {
					t.Errorf("%s of %.30s: %v, want %s", name, c.json, err, c.code)
				}
			})
		}
	}
	_, err := w.Q.ListClients(w.Ctx, store.ListClientsParams{PageSize: 10})
	w.OK(err)
}

func repeated(s string, n int) []byte {
	all := make([]byte, 0, n*len(s))
	for range n {
		all = append(all, s...)
	}
	return all
}

// What another server writes as infinite means never, or past; what is only far can be read.
func TestInfiniteAndFarTimesOfAnotherServerCanBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		at   string
		live bool
	}{{"infinity", true}, {"-infinity", false}, {"294276-12-31 00:00:00Z", true}, {"4713-01-01 00:00:00Z BC", false}} {
		raw := fixture.Unique("foreign")
		w.Exec(`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, expires_at, scopes) VALUES ($1, $2, $3, $4, $5::text::timestamptz, '{openid}')`,
			raw, string(fixture.Digest(raw)), w.Client, w.User, c.at)
		w.Exec(`INSERT INTO oauth_access_token (id, token, client_id, user_id, refresh_id, expires_at, scopes) VALUES ($1, $2, $3, $4, $5, $6::text::timestamptz, '{openid}')`,
			raw, string(fixture.Digest(raw+" access")), w.Client, w.User, raw, c.at)
		w.Exec(`INSERT INTO oauth_access_token (id, token, client_id, expires_at, scopes) VALUES ($1, $2, $3, $4::text::timestamptz, '{openid}')`,
			raw+" own", string(fixture.Digest(raw+" own")), w.Client, c.at)
		w.Exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, $4::text::timestamptz)`, raw, w.User, raw, c.at)
		for _, token := range []string{raw, raw + " access", raw + " own"} {
			wantEqual(t, token+" of "+c.at, w.Live(token), c.live)
		}
		family := w.refreshTokenOf(raw).AuthorizationID
		_, err := w.Q.ListAuthorizationAccessTokens(w.Ctx, family)
		w.OK(err)
		_, err = w.Q.ListAuthorizationRefreshTokens(w.Ctx, family)
		w.OK(err)
		s := w.sessionOf(store.SessionID(raw))
		wantEqual(t, "the session of "+c.at, s.ExpiresAt.After(time.Now()), c.live)

		// the same of a row that was written otherwise before
		w.Exec(`UPDATE oauth_refresh_token SET expires_at = now()`)
		w.Exec(`UPDATE oauth_refresh_token SET expires_at = $1::text::timestamptz WHERE id = $2`, c.at, raw)
		w.Exec(`UPDATE oauth_access_token SET expires_at = now()`)
		w.Exec(`UPDATE oauth_access_token SET expires_at = $1::text::timestamptz WHERE id LIKE $2 || '%'`, c.at, raw)
		w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, raw)
		w.Exec(`UPDATE session SET expires_at = $1::text::timestamptz WHERE id = $2`, c.at, raw)
		for _, token := range []string{raw, raw + " access", raw + " own"} {
			wantEqual(t, token+" of "+c.at+", updated", w.Live(token), c.live)
		}
		s = w.sessionOf(store.SessionID(raw))
		wantEqual(t, "the session of "+c.at+", updated", s.ExpiresAt.After(time.Now()), c.live)
	}
	w.Exec(`INSERT INTO account (id, account_id, provider_id, user_id, access_token_expires_at) VALUES ('far', 'x', 'github', $1, '294276-12-31 00:00:00Z')`, w.User)
	_, err := w.Q.ListUserAccounts(w.Ctx, w.User)
	w.OK(err)
	_, err = w.Q.ListUserSessions(w.Ctx, store.ListUserSessionsParams{UserID: w.User, PageSize: 100})
	w.OK(err)
}

// An absent secret authenticates nobody, and is no error of the caller's.
func TestZeroArgumentsOfDecisionsAreRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Redeem()
	querier := reflect.TypeFor[store.Querier]()
	for i := range querier.NumMethod() {
		m := querier.Method(i)
		args := []reflect.Value{reflect.ValueOf(w.Ctx)}
		if m.Type.NumIn() > 1 {
			args = append(args, reflect.Zero(m.Type.In(1)))
		}
		w.Unchanged(func() {
			out := reflect.ValueOf(w.Q).MethodByName(m.Name).Call(args)
			err, _ := out[len(out)-1].Interface().(error)
			if errors.Is(err, token.ErrDigest) {
				t.Errorf("%s: %v", m.Name, err)
			}
		})
	}
}
