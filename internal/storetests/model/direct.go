package model

import (
	"github.com/oauthdb/oauthdb/store"
)

func (m *model) issueGrant(p store.IssueGrantParams) store.Outcome {
	if m.users[p.UserID] == nil {
		return store.OutcomeUnknown
	}
	if o := m.grantable(p.ClientID, p.UserID, p.SessionID); o != store.OutcomeGranted {
		return o
	}
	c := m.clients[p.ClientID]
	switch {
	case p.GrantType != "server" && !c.uses(p.GrantType):
		return store.OutcomeUnauthorizedClient
	case c.scopes != nil && !within(p.Scopes, c.scopes), c.scopes == nil && !within(p.Scopes, p.DefaultScopes):
		return store.OutcomeInvalidScope
	}
	if f := m.familyByID(p.ID); f != nil {
		if !m.familyIsLive(f) {
			return store.OutcomeRevoked
		}
		return store.OutcomeRetried
	}
	f := &family{id: p.ID, pair: pair{client: p.ClientID}, asked: p.Scopes, resources: p.Resources, codeless: true}
	f.approve(p.UserID, m.session(p.SessionID), p.ReferenceID, p.Scopes)
	m.families = append(m.families, f)
	m.issueFirst(f, firstTokens{
		access: p.AccessTokenID, accessDigest: p.AccessToken, accessLifetime: p.AccessTokenLifetime, withoutRow: p.AccessTokenWithoutRow,
		refresh: p.RefreshTokenID, refreshDigest: p.RefreshToken, refreshLifetime: p.RefreshTokenLifetime, familyLifetime: p.FamilyLifetime,
		key: p.Confirmation,
	})
	return store.OutcomeIssued
}
