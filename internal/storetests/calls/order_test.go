package calls

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// refusal is what a call comes to if something is amiss, and how to bring that about.
type refusal[P any] struct {
	name    string
	outcome store.Outcome
	amiss   func(p *P, exec func(sql string, args ...any))
}

// toldInOrder wants a call to come to each refusal where that alone is amiss and, where the next one is amiss too, still to it. So what is
// told of many is the first.
func toldInOrder[P any](w *world, good store.Outcome, p P, call func(*store.Queries, P) (store.Outcome, error), refusals []refusal[P]) {
	w.Helper()
	try := func(want store.Outcome, amiss ...refusal[P]) {
		w.Helper()
		w.stillTime(func(q *store.Queries, exec func(sql string, args ...any)) {
			w.Helper()
			p := p
			var names []string
			for _, r := range slices.Backward(amiss) {
				r.amiss(&p, exec)
				names = append(names, r.name)
			}
			got, err := call(q, p)
			w.OK(err)
			w.want("amiss: "+strings.Join(names, ", "), got, want)
		})
	}
	try(good)
	for i, r := range refusals {
		try(r.outcome, r)
		for _, next := range refusals[i+1:] {
			try(r.outcome, r, next)
			if next.outcome != r.outcome {
				break
			}
		}
	}
}

// in is something amiss in the database, whatever the call says.
func in[P any](sql string, args ...any) func(*P, func(string, ...any)) {
	return func(_ *P, exec func(string, ...any)) { exec(sql, args...) }
}

// said is something amiss in what the call says.
func said[P any](change func(*P)) func(*P, func(string, ...any)) {
	return func(p *P, _ func(string, ...any)) { change(p) }
}

const (
	rememberProof = `INSERT INTO oauth_proof (id, expires_at) VALUES ($1, now() + interval '1 minute')`
	bindTokens    = `UPDATE oauth_client SET dpop_bound_access_tokens = true`
)

func TestIssueAccessTokenTellsRefusalsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	type params = store.IssueAccessTokenParams
	p := w.issueParams("token")
	p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute))
	toldInOrder(w, store.OutcomeIssued, p, func(q *store.Queries, p params) (store.Outcome, error) {
		r, err := q.IssueAccessToken(w.Ctx, p)
		return r.Outcome, err
	}, []refusal[params]{
		{"authentication", store.OutcomeUnauthenticated, said(func(p *params) { p.ClientAuthMethod = "" })},
		{"disabled", store.OutcomeDisabled, in[params](`UPDATE oauth_client SET disabled = true`)},
		{"public", store.OutcomeUnauthorizedClient, in[params](`UPDATE oauth_client SET public = true`)},
		{"grant type", store.OutcomeUnauthorizedClient, in[params](`UPDATE oauth_client SET grant_types = '{}'`)},
		{"no key", store.OutcomeMismatched, in[params](bindTokens)},
		{"scope", store.OutcomeInvalidScope, said(func(p *params) { p.Scopes = []string{"admin"} })},
		{"resource", store.OutcomeInvalidTarget, said(func(p *params) { p.Resources = []string{"https://none.example"} })},
		{"proof", store.OutcomeProofReplayed, in[params](rememberProof, string(*p.Proof))},
	})
}

func TestExchangeTokenTellsRefusalsInOrder(t *testing.T) {
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
	toldInOrder(w, store.OutcomeExchanged, p, func(q *store.Queries, p params) (store.Outcome, error) {
		r, err := q.ExchangeToken(w.Ctx, p)
		return r.Outcome, err
	}, []refusal[params]{
		{"authentication", store.OutcomeUnauthenticated, said(func(p *params) { p.ClientAuthMethod = "" })},
		{"disabled", store.OutcomeDisabled, in[params](`UPDATE oauth_client SET disabled = true`)},
		{"grant type", store.OutcomeUnauthorizedClient, in[params](`UPDATE oauth_client SET grant_types = '{}'`)},
		{"no subject token", store.OutcomeUnknown, said(func(p *params) { p.SubjectToken = new(fixture.Digest("none")) })},
		{"no actor token", store.OutcomeUnknown, said(func(p *params) { p.ActorToken = new(fixture.Digest("none")) })},
		{"no actor token of that id", store.OutcomeUnknown, said(func(p *params) { p.ActorTokenID = new(store.AccessTokenID("none")) })},
		{"a client's own token", store.OutcomeUnsupportedTokenType, said(func(p *params) { p.SubjectToken, p.SubjectTokenID = nil, &service })},
		{"no key", store.OutcomeMismatched, in[params](bindTokens)},
		{"not the actor token's key", store.OutcomeMismatched, in[params](`UPDATE oauth_access_token SET confirmation = '{"jkt": "x"}' WHERE id = $1`, string(actor))},
		{"the actor token has expired", store.OutcomeExpired, in[params](`UPDATE oauth_access_token SET expires_at = now() WHERE id = $1`, string(actor))},
		{"the subject token has expired", store.OutcomeExpired, in[params](`UPDATE oauth_access_token SET expires_at = now() WHERE id <> $1`, string(actor))},
		{"nobody may act", store.OutcomeMismatched, in[params](`UPDATE oauth_authorization SET may_act = '{}'`)},
		{"chain", store.OutcomeTooManyActors, in[params](`UPDATE oauth_access_token SET act = $1`, actors(16))},
		{"scope", store.OutcomeInvalidScope, said(func(p *params) { p.Scopes = []string{"admin"} })},
		{"resource", store.OutcomeInvalidTarget, said(func(p *params) { p.Resources = []string{"https://none.example"} })},
		{"details", store.OutcomeInvalidAuthorizationDetails, said(func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}]`) })},
		{"revoked", store.OutcomeRevoked, in[params](`UPDATE oauth_access_token SET revoked = now() WHERE id <> $1`, string(actor))},
		{"the actor token is revoked", store.OutcomeRevoked, in[params](`UPDATE oauth_access_token SET revoked = now()`)},
		{"proof", store.OutcomeProofReplayed, in[params](rememberProof, string(*p.Proof))},
	})
}

func TestIssueTokenByAssertionTellsRefusalsInOrder(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	type params = store.IssueTokenByAssertionParams
	p, _ := w.AssertionParams(fixture.Issuer, "7", "jti", client)
	p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute))
	toldInOrder(w, store.OutcomeIssued, p, func(q *store.Queries, p params) (store.Outcome, error) {
		r, err := q.IssueTokenByAssertion(w.Ctx, p)
		return r.Outcome, err
	}, []refusal[params]{
		{"authentication", store.OutcomeUnauthenticated, said(func(p *params) { p.ClientAuthMethod = "" })},
		{"disabled", store.OutcomeDisabled, in[params](`UPDATE oauth_client SET disabled = true`)},
		{"public", store.OutcomeUnauthorizedClient, in[params](`UPDATE oauth_client SET public = true`)},
		{"grant type", store.OutcomeUnauthorizedClient, in[params](`UPDATE oauth_client SET grant_types = '{}'`)},
		{"issuer", store.OutcomeUntrusted, in[params](`UPDATE oauth_trusted_issuer SET disabled = true`)},
		{"not one of its clients", store.OutcomeUnauthorizedClient, in[params](`UPDATE oauth_trusted_issuer SET any_client = false`)},
		{"audience", store.OutcomeMismatched, said(func(p *params) { p.Audiences = nil })},
		{"algorithm", store.OutcomeMismatched, said(func(p *params) { p.SigningAlgorithm = "none" })},
		{"another client's", store.OutcomeMismatched, said(func(p *params) { p.AssertionClientID = &w.Client })},
		{"no key", store.OutcomeMismatched, in[params](bindTokens)},
		{"too far", store.OutcomeTooFar, said(func(p *params) { p.AssertionExpiresAt += 7200 })},
		{"expired", store.OutcomeExpired, said(func(p *params) { p.ClockSkew = -3 * time.Hour })},
		{"nobody's account", store.OutcomeUnknown, said(func(p *params) { p.Subject = "8" })},
		{"suspended", store.OutcomeSuspended, in[params](`UPDATE "user" SET suspended_at = now()`)},
		{"scope", store.OutcomeInvalidScope, said(func(p *params) { p.Scopes = []string{"admin"} })},
		{"resource", store.OutcomeInvalidTarget, said(func(p *params) { p.Resources = []string{"https://none.example"} })},
		{"details", store.OutcomeInvalidAuthorizationDetails, said(func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}]`) })},
		{"proof", store.OutcomeProofReplayed, in[params](rememberProof, string(*p.Proof))},
		{"assertion", store.OutcomeProofReplayed, in[params](`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($1, now() + interval '1 minute')`, string(p.AssertionID))},
	})
}

func TestRotateRefreshTokenTellsRefusalsInOrder(t *testing.T) {
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
	first := []refusal[params]{
		{"authentication", store.OutcomeUnauthenticated, said(func(p *params) { p.ClientAuthMethod = "" })},
		{"no token", store.OutcomeUnknown, said(func(p *params) { p.Token = fixture.Digest("none") })},
		{"disabled", store.OutcomeDisabled, in[params](`UPDATE oauth_client SET disabled = true`)},
		{"not the family's key", store.OutcomeMismatched, in[params](`UPDATE oauth_authorization SET confirmation = '{"jkt": "x"}'`)},
		{"no key", store.OutcomeMismatched, in[params](bindTokens)},
		{"revoked", store.OutcomeRevoked, in[params](`UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked'`)},
	}
	known := refusal[params]{"proof", store.OutcomeProofReplayed, in[params](rememberProof, string(proof))}
	last := []refusal[params]{
		{"grant type", store.OutcomeUnauthorizedClient, in[params](`UPDATE oauth_client SET grant_types = '{}'`)},
		{"nothing that was granted is left", store.OutcomeInvalidScope, in[params](`UPDATE oauth_client SET scopes = '{}'`)},
		{"scope", store.OutcomeInvalidScope, said(func(p *params) { p.Scopes = []string{"calendar"} })},
		{"resource", store.OutcomeInvalidTarget, said(func(p *params) { p.Resources = []string{"https://none.example"} })},
		{"details", store.OutcomeInvalidAuthorizationDetails, said(func(p *params) { p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}]`) })},
	}
	toldInOrder(w, store.OutcomeRotated, rotation(w.Redeem(of).Refresh), call, slices.Concat(first, []refusal[params]{
		{"expired", store.OutcomeExpired, in[params](`UPDATE oauth_refresh_token SET expires_at = now()`)},
		known,
	}, last))

	// A reuse is told whatever else is amiss with what is asked for.
	k := w.Redeem(of)
	w.Rotate(k.Refresh, store.OutcomeRotated)
	toldInOrder(w, store.OutcomeRetried, rotation(k.Refresh), call, slices.Concat(first, []refusal[params]{
		known,
		{"the successor has expired", store.OutcomeExpired, in[params](`UPDATE oauth_refresh_token SET expires_at = now()`)},
		{"reuse", store.OutcomeReplayed, said(func(p *params) { p.Grace = 0 })},
	}, last))
}
