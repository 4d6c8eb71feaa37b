package calls

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const bindTokens = `UPDATE oauth_client SET dpop_bound_access_tokens = true`

// remembered is a proof that was presented before.
func remembered(proof token.Digest) string {
	return `INSERT INTO oauth_proof (id, expires_at) VALUES ('` + string(proof) + `', now() + interval '1 minute') ON CONFLICT DO NOTHING`
}

func TestIssueAccessTokenRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	type params = store.IssueAccessTokenParams
	p := w.issueParams("token")
	p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute))
	refusesInOrder(w, p, func(q *store.Queries, p params) (store.Outcome, error) {
		r, err := q.IssueAccessToken(w.Ctx, p)
		return r.Outcome, err
	}, store.OutcomeIssued, []reason[params]{
		{store.OutcomeUnauthenticated, func(p *params) { p.ClientAuthMethod = "" }, ""},
		{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET public = true`},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{}'`},
		{store.OutcomeMismatched, nil, bindTokens},
		{store.OutcomeInvalidScope, func(p *params) { p.Scopes = []string{"admin"} }, ""},
		{store.OutcomeInvalidTarget, func(p *params) { p.Resources = []string{"https://none.example"} }, ""},
		{store.OutcomeProofReplayed, nil, remembered(*p.Proof)},
	}...)
}

func TestExchangeTokenRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	type params = store.ExchangeTokenParams
	api, _ := w.own()
	own := func(raw string) store.AccessTokenID {
		return w.accessTokenOf(w.issue(raw, store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ClientID, p.Scopes = api, nil })).ID
	}
	subject, actor, service := w.Redeem().Access, own("actor"), own("service")
	p, _ := w.ExchangeParams(subject, api)
	p.ActorTokenID = &actor
	p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute))
	refusesInOrder(w, p, func(q *store.Queries, p params) (store.Outcome, error) {
		r, err := q.ExchangeToken(w.Ctx, p)
		return r.Outcome, err
	}, store.OutcomeExchanged, []reason[params]{
		{store.OutcomeUnauthenticated, func(p *params) { p.ClientAuthMethod = "" }, ""},
		{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{}'`},
		{store.OutcomeUnknown, func(p *params) { p.SubjectToken = new(fixture.Digest("none")) }, ""},
		{store.OutcomeUnknown, func(p *params) { p.ActorToken = new(fixture.Digest("none")) }, ""},
		{store.OutcomeUnknown, func(p *params) { p.ActorTokenID = new(store.AccessTokenID("none")) }, ""},
		{store.OutcomeUnsupportedTokenType, func(p *params) { p.SubjectToken, p.SubjectTokenID = nil, &service }, ""},
		{store.OutcomeMismatched, nil, bindTokens},
		{store.OutcomeMismatched, nil, `UPDATE oauth_access_token SET confirmation = '{"jkt": "x"}' WHERE id = '` + string(actor) + `'`},
		{store.OutcomeExpired, nil, `UPDATE oauth_access_token SET expires_at = now() WHERE id = '` + string(actor) + `'`},
		{store.OutcomeExpired, nil, `UPDATE oauth_access_token SET expires_at = now() WHERE id <> '` + string(actor) + `'`},
		{store.OutcomeMismatched, nil, `UPDATE oauth_authorization SET may_act = '{}'`},
		{store.OutcomeTooManyActors, nil, `UPDATE oauth_access_token SET act = '` + actors(16) + `'`},
		{store.OutcomeInvalidScope, func(p *params) { p.Scopes = []string{"admin"} }, ""},
		{store.OutcomeInvalidTarget, func(p *params) { p.Resources = []string{"https://none.example"} }, ""},
		{store.OutcomeInvalidAuthorizationDetails, func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}]`) }, ""},
		{store.OutcomeRevoked, nil, `UPDATE oauth_access_token SET revoked = now() WHERE id <> '` + string(actor) + `'`},
		{store.OutcomeRevoked, nil, `UPDATE oauth_access_token SET revoked = now()`},
		{store.OutcomeProofReplayed, nil, remembered(*p.Proof)},
	}...)
}

func TestIssueTokenByAssertionRefusesInOrder(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	type params = store.IssueTokenByAssertionParams
	p, _ := w.AssertionParams(fixture.Issuer, "7", "jti", client)
	p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute))
	refusesInOrder(w, p, func(q *store.Queries, p params) (store.Outcome, error) {
		r, err := q.IssueTokenByAssertion(w.Ctx, p)
		return r.Outcome, err
	}, store.OutcomeIssued, []reason[params]{
		{store.OutcomeUnauthenticated, func(p *params) { p.ClientAuthMethod = "" }, ""},
		{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET public = true`},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{}'`},
		{store.OutcomeUntrusted, nil, `UPDATE oauth_trusted_issuer SET disabled = true`},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_trusted_issuer SET any_client = false`},
		{store.OutcomeMismatched, func(p *params) { p.Audiences = nil }, ""},
		{store.OutcomeMismatched, func(p *params) { p.SigningAlgorithm = "none" }, ""},
		{store.OutcomeMismatched, func(p *params) { p.AssertionClientID = &w.Client }, ""},
		{store.OutcomeMismatched, nil, bindTokens},
		{store.OutcomeTooFar, func(p *params) { p.AssertionExpiresAt += 7200 }, ""},
		{store.OutcomeExpired, func(p *params) { p.ClockSkew = -3 * time.Hour }, ""},
		{store.OutcomeUnknown, func(p *params) { p.Subject = "8" }, ""},
		{store.OutcomeSuspended, nil, `UPDATE "user" SET suspended_at = now()`},
		{store.OutcomeInvalidScope, func(p *params) { p.Scopes = []string{"admin"} }, ""},
		{store.OutcomeInvalidTarget, func(p *params) { p.Resources = []string{"https://none.example"} }, ""},
		{store.OutcomeInvalidAuthorizationDetails, func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}]`) }, ""},
		{store.OutcomeProofReplayed, nil, remembered(*p.Proof)},
		{store.OutcomeProofReplayed, nil, `INSERT INTO oauth_client_assertion (id, expires_at) VALUES ('` + string(p.AssertionID) + `', now() + interval '1 minute') ON CONFLICT DO NOTHING`},
	}...)
}

func TestRotateRefreshTokenRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	type params = store.RotateRefreshTokenParams
	w.Client = w.NewClient()
	of := func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client }
	call := func(q *store.Queries, p params) (store.Outcome, error) {
		r, err := q.RotateRefreshToken(w.Ctx, p)
		return r.Outcome, err
	}
	proof := fixture.Digest("proof")
	rotation := func(refresh string) params {
		p, _ := w.RotateParams(refresh)
		p.Proof, p.ProofExpiresAt = &proof, new(time.Now().Add(time.Minute))
		return p
	}
	first := []reason[params]{
		{store.OutcomeUnauthenticated, func(p *params) { p.ClientAuthMethod = "" }, ""},
		{store.OutcomeUnknown, func(p *params) { p.Token = fixture.Digest("none") }, ""},
		{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		{store.OutcomeMismatched, nil, `UPDATE oauth_authorization SET confirmation = '{"jkt": "x"}'`},
		{store.OutcomeMismatched, nil, bindTokens},
		{store.OutcomeRevoked, nil, `UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked'`},
	}
	known := reason[params]{store.OutcomeProofReplayed, nil, remembered(proof)}
	last := []reason[params]{
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{}'`},
		{store.OutcomeInvalidScope, nil, `UPDATE oauth_client SET scopes = '{}'`},
		{store.OutcomeInvalidScope, func(p *params) { p.Scopes = []string{"calendar"} }, ""},
		{store.OutcomeInvalidTarget, func(p *params) { p.Resources = []string{"https://none.example"} }, ""},
		{store.OutcomeInvalidAuthorizationDetails, func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}]`) }, ""},
	}
	refusesInOrder(w, rotation(w.Redeem(of).Refresh), call, store.OutcomeRotated, slices.Concat(first, []reason[params]{
		{store.OutcomeExpired, nil, `UPDATE oauth_refresh_token SET expires_at = now()`},
		known,
	}, last)...)
	refusesInOrder(w, rotation(w.Redeem(of).Refresh), call, store.OutcomeRotated, // also where no proof comes between the two
		reason[params]{store.OutcomeExpired, nil, `UPDATE oauth_refresh_token SET expires_at = now()`}, last[0])

	// A reuse is told whatever else is amiss with what is asked for.
	k := w.Redeem(of)
	w.Rotate(k.Refresh, store.OutcomeRotated)
	refusesInOrder(w, rotation(k.Refresh), call, store.OutcomeRetried, slices.Concat(first, []reason[params]{
		known,
		{store.OutcomeExpired, nil, `UPDATE oauth_refresh_token SET expires_at = now()`},
		{store.OutcomeReplayed, func(p *params) { p.Grace = 0 }, ""},
	}, last)...)
}
