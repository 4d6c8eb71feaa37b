package calls

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

type assertion = func(*store.IssueTokenByAssertionParams)

// assertionWorld is a world whose user has the account "7" at an issuer that is trusted, and a client that may present its assertions.
func assertionWorld(t *testing.T) (*world, store.ClientID) {
	t.Helper()
	w := newWorld(t, 2)
	w.TrustIssuer(fixture.Issuer)
	w.NewAccount(w.User, fixture.Issuer, "7")
	return w, w.NewExchanger()
}

func TestAssertionIsAGrant(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	p, access := w.AssertionParams(fixture.Issuer, "7", "jti", client)
	p.Confirmation, p.ReferenceID, p.ACR, p.AMR = &token.Confirmation{JKT: "key"}, new(store.ReferenceID("acme")), new("urn:mfa"), []string{"otp"}
	p.AuthTime = new(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes = json.RawMessage(`[{"type": "pay"}]`), []string{"pay"}
	p.Resources, p.DefaultResources = []string{fixture.Resource}, []string{fixture.Resource, "https://x.example"}
	row, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	got := w.accessTokenOf(access)
	wantAt(t, "expires_at", got.ExpiresAt, got.CreatedAt, 5*time.Minute)
	wantEqual(t, "the token", got, store.OAuthAccessToken{
		ID: p.AccessTokenID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Token: p.AccessToken, ClientID: client, UserID: &w.User,
		ReferenceID: p.ReferenceID, ExpiresAt: got.ExpiresAt, Scopes: p.Scopes, Resources: p.Resources, Confirmation: p.Confirmation,
		AuthorizationDetails: p.AuthorizationDetails, AuthorizationCodeID: got.AuthorizationID, AuthorizationID: got.AuthorizationID,
	})
	wantEqual(t, "the answer", row, store.IssueTokenByAssertionRow{
		Outcome: store.OutcomeIssued, AuthorizationID: got.AuthorizationID, UserID: &w.User, Sub: w.publicSubject(), Scopes: p.Scopes, Resources: p.Resources,
		ExpiresAt: got.ExpiresAt,
	})
	family := w.authorizationOf(*got.AuthorizationID)
	wantEqual(t, "the family's kind", family.Kind, store.AuthorizationKindAssertion)
	wantEqual(t, "the family's end", family.MaxExpiresAt, got.ExpiresAt)
	wantEqual(t, "the family's scopes", family.GrantedScopes, p.Scopes)
	wantEqual(t, "bound", family.Bound, false)
	wantEqual(t, "auth_time", family.AuthTime.UTC(), *p.AuthTime)
	w.WantLive(access)
	_, err = w.Q.RevokeAuthorization(w.Ctx, family.ID)
	w.OK(err)
	w.WantDead(access)
}

// A jti is unique for its issuer, and case-sensitive (RFC 7519, section 4.1.7).
func TestAssertionIsAcceptedOncePerIssuer(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	w.TrustIssuer("i2")
	w.NewAccount(w.NewUser(), "i2", "7")
	of := func(issuer, jti string, want store.Outcome) {
		t.Helper()
		p, _ := w.AssertionParams(issuer, "7", jti, client)
		r, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
		w.OK(err)
		w.want(issuer+" "+jti, r.Outcome, want)
		wantEqual(t, "replayed_proof", r.ReplayedProof, false)
	}
	of(fixture.Issuer, "1", store.OutcomeIssued)
	of("i2", "1", store.OutcomeIssued)
	w.Unchanged(func() { of(fixture.Issuer, "1", store.OutcomeProofReplayed) })
	of(fixture.Issuer, "A", store.OutcomeIssued)
	of(fixture.Issuer, "a", store.OutcomeIssued)
	// what authenticated a client is no grant that was presented
	w.want("RememberClientAssertion", w.outcome(w.Q.RememberClientAssertion(w.Ctx, remember(fixture.Issuer, "auth", time.Now().Add(time.Minute)))), store.OutcomeRemembered)
	of(fixture.Issuer, "auth", store.OutcomeIssued)
	// nor does another client get anything for it
	p, _ := w.AssertionParams(fixture.Issuer, "7", "1", w.NewExchanger())
	r, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	w.want("by another client", r.Outcome, store.OutcomeProofReplayed)
}

// The gate, the look-up and the issue are one decision.
func TestAssertionThatIsRefusedIsNotRemembered(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	disabledIssuer := w.TrustIssuer("https://disabled.example")
	w.want("DisableTrustedIssuer", w.outcome(w.Q.DisableTrustedIssuer(w.Ctx, disabledIssuer)), store.OutcomeEnded)
	picky := "https://picky.example"
	w.TrustIssuer(picky, func(p *store.CreateTrustedIssuerParams) { p.AnyClient, p.ClientIDs = false, []string{"somebody"} })
	brief := "https://brief.example"
	w.TrustIssuer(brief, func(p *store.CreateTrustedIssuerParams) { p.MaxLifetime = new(time.Minute) })
	suspended, deleted := w.NewUser(), w.NewUser()
	for _, issuer := range []string{"https://disabled.example", picky, brief} {
		w.NewAccount(w.NewUser(), issuer, "7")
	}
	w.NewAccount(suspended, fixture.Issuer, "suspended")
	w.suspend(suspended)
	w.NewAccount(deleted, fixture.Issuer, "deleted")
	w.deleteUser(deleted)
	public := w.NewExchanger(func(p *store.CreateClientParams) { p.Public = new(true) })
	code, off := w.NewClient(), w.NewExchanger()
	w.disable(off)
	bound := w.NewExchanger()
	w.Exec(`UPDATE oauth_client SET dpop_bound_access_tokens = true WHERE client_id = $1`, string(bound))
	exp := func(at int64) assertion {
		return func(p *store.IssueTokenByAssertionParams) { p.AssertionExpiresAt = at }
	}
	by := func(c store.ClientID) assertion { return func(p *store.IssueTokenByAssertionParams) { p.ClientID = c } }
	from := func(issuer string) assertion {
		return func(p *store.IssueTokenByAssertionParams) {
			p.Issuer, p.AssertionID = issuer, token.GrantAssertionID(issuer, "jti")
		}
	}
	about := func(subject string) assertion {
		return func(p *store.IssueTokenByAssertionParams) { p.Subject = subject }
	}
	for _, c := range []struct {
		name   string
		change assertion
		want   store.Outcome
	}{
		{"not authenticated", func(p *store.IssueTokenByAssertionParams) { p.ClientAuthMethod = "" }, store.OutcomeUnauthenticated},
		{"no client", by("none"), store.OutcomeUnauthenticated},
		{"a disabled client", by(off), store.OutcomeDisabled},
		{"a public client", by(public), store.OutcomeUnauthorizedClient},
		{"a client of other grant types", by(code), store.OutcomeUnauthorizedClient},
		{"none of the issuer's clients", from(picky), store.OutcomeUnauthorizedClient},
		{"no such issuer", from("https://unknown.example"), store.OutcomeUntrusted},
		{"no issuer", from(""), store.OutcomeUntrusted},
		{"a disabled issuer", from("https://disabled.example"), store.OutcomeUntrusted},
		{"another audience", func(p *store.IssueTokenByAssertionParams) { p.Audiences = []string{"https://other.example"} }, store.OutcomeMismatched},
		{"no audience", func(p *store.IssueTokenByAssertionParams) { p.Audiences = nil }, store.OutcomeMismatched},
		{"another algorithm", func(p *store.IssueTokenByAssertionParams) { p.SigningAlgorithm = "HS256" }, store.OutcomeMismatched},
		{"no algorithm", func(p *store.IssueTokenByAssertionParams) { p.SigningAlgorithm = "" }, store.OutcomeMismatched},
		{"another client's", func(p *store.IssueTokenByAssertionParams) { p.AssertionClientID = new(store.ClientID("somebody")) }, store.OutcomeMismatched},
		{"a client that binds its tokens, without a key", by(bound), store.OutcomeMismatched},
		{"the end of time", exp(math.MaxInt64), store.OutcomeTooFar},
		{"the end of PostgreSQL's time", exp(17592186044416), store.OutcomeTooFar},
		{"the year 2100", exp(4102444800), store.OutcomeTooFar},
		{"further than the caller allows", exp(time.Now().Add(61 * time.Minute).Unix()), store.OutcomeTooFar},
		{"further than the issuer's bound", from(brief), store.OutcomeTooFar},
		{"expired", exp(time.Now().Add(-11 * time.Second).Unix()), store.OutcomeExpired},
		{"the beginning of time", exp(math.MinInt64), store.OutcomeExpired},
		{"no exp", exp(0), store.OutcomeExpired},
		{"nobody's account", about("8"), store.OutcomeUnknown},
		{"no subject", about(""), store.OutcomeUnknown},
		{"a deleted user", about("deleted"), store.OutcomeUnknown},
		{"a suspended user", about("suspended"), store.OutcomeSuspended},
		{"too many scopes", func(p *store.IssueTokenByAssertionParams) { p.Scopes = []string{"openid", "admin"} }, store.OutcomeInvalidScope},
		{"details of a type that nobody may use", func(p *store.IssueTokenByAssertionParams) {
			p.AuthorizationDetails = json.RawMessage(`[{"type": "pay"}]`)
		}, store.OutcomeInvalidAuthorizationDetails},
		{"a resource of nobody", func(p *store.IssueTokenByAssertionParams) { p.Resources = []string{fixture.Resource} }, store.OutcomeInvalidTarget},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.Unchanged(func() { w.Assert("7", "jti", client, c.want, c.change) })
		})
	}
	// the account is made, and the same assertion is good
	w.NewAccount(w.NewUser(), fixture.Issuer, "8")
	w.Assert("8", "jti", client, store.OutcomeIssued)
	w.Unchanged(func() { w.Assert("8", "jti", client, store.OutcomeProofReplayed) })
	w.Assert("7", "its own client", client, store.OutcomeIssued, func(p *store.IssueTokenByAssertionParams) { p.AssertionClientID = &client })
	w.Assert("7", "within the skew", client, store.OutcomeIssued, exp(time.Now().Add(-5*time.Second).Unix()))
}

// It is remembered for as long as it may be accepted, or it would be accepted twice.
func TestAssertionIsRememberedUntilItHasExpired(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	exp := time.Now().Add(50 * time.Minute).Truncate(time.Second)
	for name, skew := range map[string]time.Duration{"with": 10 * time.Second, "without": 0, "negative": -time.Minute} {
		var id token.Digest
		w.Assert("7", name, client, store.OutcomeIssued, func(p *store.IssueTokenByAssertionParams) {
			p.AssertionExpiresAt, p.ClockSkew, id = exp.Unix(), skew, p.AssertionID
		})
		var until time.Time
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT expires_at FROM oauth_client_assertion WHERE id = $1`, string(id)).Scan(&until))
		if !until.Equal(exp.Add(max(skew, 0))) {
			t.Errorf("%s skew: remembered until %v, want %v", name, until, exp.Add(max(skew, 0)))
		}
	}
}

func TestSameAssertionByTheSameCallIsRetried(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	p, access := w.AssertionParams(fixture.Issuer, "7", "jti", client)
	p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute))
	first, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	w.Unchanged(func() {
		again, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
		w.OK(err)
		want := first
		want.Outcome = store.OutcomeRetried
		wantEqual(t, "the same call", again, want)
		r, _ := w.Assert("7", "another", client, store.OutcomeProofReplayed, func(q *store.IssueTokenByAssertionParams) {
			q.Proof, q.ProofExpiresAt = p.Proof, p.ProofExpiresAt
		})
		wantEqual(t, "the DPoP proof was replayed", r.ReplayedProof, true)
	})
	w.Assert("7", "another", client, store.OutcomeIssued) // and the assertion was not used up by that
	w.refused(func() {
		other := p
		other.Proof, other.AccessToken = nil, new(fixture.Digest("another token"))
		if _, err := w.Q.IssueTokenByAssertion(w.Ctx, other); pgErrorOf(err).Code != "22023" || !strings.Contains(err.Error(), "AccessTokenID") {
			t.Errorf("another token: %v, want an error that names AccessTokenID", err)
		}
		other = p
		other.Proof, other.AssertionID = nil, ""
		if _, err := w.Q.IssueTokenByAssertion(w.Ctx, other); pgErrorOf(err).Code != "22023" || !strings.Contains(err.Error(), "AssertionID") {
			t.Errorf("no assertion: %v, want an error that names AssertionID", err)
		}
	})
	// whatever it calls its token, another client, or a call about another user, has not made the same call
	another, row := w.NewUser(), p
	w.NewAccount(another, fixture.Issuer, "8")
	row.Proof = nil
	withoutRow, _ := w.AssertionParams(fixture.Issuer, "7", "without row", client)
	withoutRow.AccessToken, withoutRow.AccessTokenWithoutRow = nil, true
	issued, err := w.Q.IssueTokenByAssertion(w.Ctx, withoutRow)
	w.OK(err)
	w.want("without a row", issued.Outcome, store.OutcomeIssued)
	others := w.NewExchanger()
	w.Unchanged(func() {
		for _, p := range []store.IssueTokenByAssertionParams{row, withoutRow} {
			ofClient, ofUser := p, p
			ofClient.ClientID, ofUser.Subject = others, "8"
			for _, q := range []store.IssueTokenByAssertionParams{ofClient, ofUser} {
				r, err := w.Q.IssueTokenByAssertion(w.Ctx, q)
				w.OK(err)
				w.want("another client or user", r.Outcome, store.OutcomeProofReplayed)
				wantEqual(t, "the family", r.AuthorizationID, nil)
			}
		}
	})
	// the token that the call issued has expired and was collected, and the assertion goes on
	w.WantLive(access)
	w.Exec(`DELETE FROM oauth_access_token WHERE id = $1`, string(p.AccessTokenID))
	w.Unchanged(func() {
		again, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
		w.OK(err)
		w.want("what was issued is gone", again.Outcome, store.OutcomeExpired)
	})
}

// A client assertion that nobody can remember is refused by name.
func TestEndOfTimeIsRefusedWhereverAnAssertionIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, exp := range []int64{math.MaxInt64, 17592186044416, 4102444800} {
		for _, longest := range []time.Duration{time.Hour, store.Never} {
			p := remember("app", "jti", time.Now())
			p.ExpiresAt, p.MaxLifetime = exp, longest
			w.Unchanged(func() {
				w.want("RememberClientAssertion", w.outcome(w.Q.RememberClientAssertion(w.Ctx, p)), store.OutcomeTooFar)
			})
		}
	}
}

// A proof from the future is accepted for longer than its lifetime, so it is remembered until it can't be accepted any more (RFC 9449,
// section 11.1): by its iat, not from now on.
func TestProofFromTheFutureIsRememberedUntilItCannotBeAccepted(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	const lifetime, skew = 10 * time.Second, 15 * time.Second
	issuedAt := time.Now().Add(skew)
	until := token.ProofExpiresAt(issuedAt, lifetime, skew)
	if got := time.Until(until); got < 39*time.Second || got > 40*time.Second {
		t.Fatalf("remembered for %v, want 40 seconds", got)
	}
	k := w.Redeem()
	_, code := w.Grant()
	rotate, _ := w.RotateParams(k.Refresh)
	redeem, issue := w.RedeemParams(code), w.issueParams("machine token")
	swap, _ := w.ExchangeParams(k.Access, client)
	assert, _ := w.AssertionParams(fixture.Issuer, "7", "jti", client)
	for name, call := range map[string]func(proof *token.Digest, until *time.Time) (store.Outcome, error){
		"RememberProof": func(proof *token.Digest, until *time.Time) (store.Outcome, error) {
			return w.Q.RememberProof(w.Ctx, store.RememberProofParams{ID: *proof, ExpiresAt: *until})
		},
		"RedeemAuthorizationCode": func(proof *token.Digest, until *time.Time) (store.Outcome, error) {
			redeem.Proof, redeem.ProofExpiresAt = proof, until
			r, err := w.Q.RedeemAuthorizationCode(w.Ctx, redeem)
			redeem.AccessTokenID = store.NewAccessTokenID()
			return r.Outcome, err
		},
		"RotateRefreshToken": func(proof *token.Digest, until *time.Time) (store.Outcome, error) {
			rotate.Proof, rotate.ProofExpiresAt = proof, until
			r, err := w.Q.RotateRefreshToken(w.Ctx, rotate)
			rotate.AccessTokenID, rotate.SuccessorID = store.NewAccessTokenID(), store.NewRefreshTokenID()
			return r.Outcome, err
		},
		"IssueAccessToken": func(proof *token.Digest, until *time.Time) (store.Outcome, error) {
			issue.Proof, issue.ProofExpiresAt = proof, until
			r, err := w.Q.IssueAccessToken(w.Ctx, issue)
			issue.ID = store.NewAccessTokenID()
			return r.Outcome, err
		},
		"ExchangeToken": func(proof *token.Digest, until *time.Time) (store.Outcome, error) {
			swap.Proof, swap.ProofExpiresAt = proof, until
			r, err := w.Q.ExchangeToken(w.Ctx, swap)
			swap.AccessTokenID = store.NewAccessTokenID()
			return r.Outcome, err
		},
		"IssueTokenByAssertion": func(proof *token.Digest, until *time.Time) (store.Outcome, error) {
			assert.Proof, assert.ProofExpiresAt = proof, until
			r, err := w.Q.IssueTokenByAssertion(w.Ctx, assert)
			assert.AccessTokenID = store.NewAccessTokenID()
			return r.Outcome, err
		},
	} {
		proof := token.ProofID("key", name)
		first, err := call(&proof, &until)
		w.OK(err)
		if first == store.OutcomeProofReplayed {
			t.Errorf("%s: the first time it is replayed", name)
		}
		// 20 seconds later, which is within the memory
		w.Exec(`UPDATE oauth_proof SET expires_at = expires_at - interval '20 seconds' WHERE id = $1`, string(proof))
		_, err = w.Q.DeleteExpiredProofs(w.Ctx, store.DeleteExpiredProofsParams{BatchSize: 100})
		w.OK(err)
		w.Unchanged(func() {
			again, err := call(&proof, &until)
			w.OK(err)
			w.want(name, again, store.OutcomeProofReplayed)
		})
	}
}

func TestIssueAccessTokenWithAProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := w.issueParams("machine token")
	p.Proof, p.ProofExpiresAt, p.Confirmation = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute)), &token.Confirmation{JKT: "key"}
	first, err := w.Q.IssueAccessToken(w.Ctx, p)
	w.OK(err)
	w.want("the first", first.Outcome, store.OutcomeIssued)
	w.Unchanged(func() {
		again, err := w.Q.IssueAccessToken(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "the same call", again, store.IssueAccessTokenRow{Outcome: store.OutcomeRetried, ExpiresAt: first.ExpiresAt})
		w.issue("another", store.OutcomeProofReplayed, func(q *store.IssueAccessTokenParams) { q.Proof, q.ProofExpiresAt = p.Proof, p.ProofExpiresAt })
	})
	w.Exec(`UPDATE oauth_client SET dpop_bound_access_tokens = true WHERE client_id = $1`, string(w.machine()))
	w.Unchanged(func() { w.issue("unbound", store.OutcomeMismatched) })
	w.Unchanged(func() {
		w.issue("elsewhere", store.OutcomeInvalidTarget, func(q *store.IssueAccessTokenParams) {
			q.Confirmation, q.Resources = p.Confirmation, []string{"https://elsewhere.example"}
		})
	})
	w.issue("bound", store.OutcomeIssued, func(q *store.IssueAccessTokenParams) { q.Confirmation = p.Confirmation })
}
