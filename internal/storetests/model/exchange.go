package model

import (
	"slices"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// Token exchange (RFC 8693).

func (m *model) exchange(p store.ExchangeTokenParams) store.Outcome {
	if !m.authenticates(p.ClientID, p.ClientAuthMethod, p.ClientSecret) {
		return store.OutcomeUnauthenticated
	}
	c := m.clients[p.ClientID]
	t := m.token(func(t *issued) bool {
		return !t.refresh && !t.withoutRow && (p.SubjectToken != nil && t.digest == *p.SubjectToken || is(p.SubjectTokenID, store.AccessTokenID(t.id)))
	})
	switch {
	case c.disabled:
		return store.OutcomeDisabled
	case !c.uses(fixture.TokenExchange):
		return store.OutcomeUnauthorizedClient
	case t == nil || t.client != p.ClientID && (c.kind == "none" || !slices.ContainsFunc(t.resources, func(r string) bool { return slices.Contains(p.ClientResources, r) })):
		return store.OutcomeUnknown
	case t.family == nil:
		return store.OutcomeUnsupportedTokenType
	case t.client == p.ClientID && !holds(p.Confirmation, t.key):
		return store.OutcomeMismatched
	case m.past(t.expires):
		return store.OutcomeExpired
	}
	allowed := m.allowed(p.ClientID, p.DefaultScopes)
	switch {
	case !within(p.Scopes, kept(t.scopes, allowed)):
		return store.OutcomeInvalidScope
	case !within(p.Resources, t.resources):
		return store.OutcomeInvalidTarget
	case !m.tokenIsLive(t):
		return store.OutcomeRevoked
	case m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) }) != nil:
		return store.OutcomeRetried
	}
	expires := earliest(in(m.now, p.AccessTokenLifetime, c.accessLimit), t.expires, t.family.limit, t.family.sessionEnd())
	m.saw("an exchanged token cut to its subject", same(expires, t.expires))
	m.saw("a chain of exchanges", t.own)
	m.tokens = append(m.tokens, &issued{
		id: string(p.AccessTokenID), digest: deref(p.AccessToken), pair: pair{p.ClientID, t.user}, reference: t.reference, family: t.family, session: t.session,
		codeID: t.codeID, own: true, scopes: kept(or(p.Scopes, t.scopes), allowed), resources: or(p.Resources, t.resources), key: p.Confirmation, expires: expires,
	})
	return store.OutcomeExchanged
}
