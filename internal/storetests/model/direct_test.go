package model

import (
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// Grants without a code.

func (h *history) issueGrant(d draw) {
	if again, found := recent(d, h.directGrants); found && d.once(4) {
		h.issueGrantWith(again) // the very same call
		return
	}
	p := h.directGrant()
	p.UserID, p.ClientID, p.ReferenceID, p.Confirmation = h.user(d), h.client(d), h.tenant(d), h.key(d)
	p.SessionID = h.sessionOf(d, p.UserID)
	p.Scopes = oneOf(d, []string{"openid"}, []string{"openid", "offline_access"}, []string{"openid", "calendar"})
	p.GrantType = oneOf(d, "server", "server", "client_credentials")
	p.AccessTokenLifetime, p.RefreshTokenLifetime = h.lifetime(d, 5*time.Minute, time.Minute), h.lifetime(d, time.Hour, 10*time.Minute)
	p.FamilyLifetime = h.lifetime(d, 2*time.Hour, 30*time.Minute, 2*time.Minute)
	if d.once(6) {
		p.RefreshTokenID, p.RefreshToken = nil, nil
	}
	if d.once(3) {
		p.AccessTokenWithoutRow, p.AccessToken, p.AccessTokenLifetime = true, nil, withoutRowFor(p.AccessTokenLifetime)
	}
	h.issueGrantWith(p)
}

// directGrant is a grant to c1 for u1, with new ids.
func (h *history) directGrant() store.IssueGrantParams {
	id, r := h.name("t"), h.name("r")
	return store.IssueGrantParams{
		ID: store.AuthorizationID(h.name("a")), UserID: "u1", ClientID: "c1", GrantType: "server", Scopes: []string{"openid", "offline_access"},
		DefaultScopes: []string{"openid", "offline_access", "calendar"}, Resources: apis[:1], DefaultResources: apis,
		AccessTokenID: store.AccessTokenID(id), AccessToken: new(h.digest(id)), AccessTokenLifetime: time.Minute,
		RefreshTokenID: new(store.RefreshTokenID(r)), RefreshToken: new(h.digest(r)), RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	}
}

func (h *history) issueGrantWith(p store.IssueGrantParams) {
	h.authorizations = append(h.authorizations, p.ID)
	want := h.m.issueGrant(p)
	r, err := h.q.IssueGrant(h.ctx, p)
	h.answered("IssueGrant", p, want, r.Outcome, err)
	if h.err == nil && (want == store.OutcomeIssued || want == store.OutcomeRetried || want == store.OutcomeRevoked) {
		h.directGrants = append(h.directGrants, p)
	}
	if h.err == nil && (want == store.OutcomeIssued || want == store.OutcomeRetried) {
		h.told("access", r.AccessTokenExpiresAt, h.m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) }))
		if p.RefreshTokenID != nil {
			h.told("refresh", r.RefreshTokenExpiresAt, h.m.token(func(t *issued) bool { return t.refresh && t.id == string(*p.RefreshTokenID) }))
		}
	}
}

// direct issues a grant without a code; without a session, and with offline_access. The first of a scene issues t1 and r1.
func (s *stage) direct(changes ...func(*store.IssueGrantParams)) {
	s.do(func(h *history) { h.issueGrantWith(changed(h.directGrant(), changes)) })
}

func (s *stage) directAgain() {
	s.do(func(h *history) { h.issueGrantWith(h.directGrants[len(h.directGrants)-1]) })
}

// grantsWithoutACode goes through what a grant without a code can come to.
func grantsWithoutACode(s *stage) {
	s.direct(func(p *store.IssueGrantParams) { p.ClientID = "c0" })
	s.direct(func(p *store.IssueGrantParams) { p.UserID = "u0" })
	s.direct(func(p *store.IssueGrantParams) { p.GrantType = "urn:example:grant" })
	s.direct(func(p *store.IssueGrantParams) { p.ClientID, p.GrantType = "c5", "client_credentials" })
	s.direct(func(p *store.IssueGrantParams) { p.Scopes = []string{"openid", "calendar"} })
	s.direct(func(p *store.IssueGrantParams) { p.SessionID = new(store.SessionID("s2")) })
	on(s, (*history).suspendUserOf, "u2")
	s.direct(func(p *store.IssueGrantParams) { p.UserID = "u2" })
	on(s, (*history).disableClientOf, "c4")
	s.direct(func(p *store.IssueGrantParams) { p.ClientID = "c4" })
	s.direct(func(p *store.IssueGrantParams) {
		p.ClientID, p.GrantType, p.Scopes, p.SessionID = "c3", "client_credentials", []string{"openid"}, new(store.SessionID("s1"))
	})
	s.pass(10 * time.Second)
	s.directAgain()
	s.direct(func(p *store.IssueGrantParams) { p.ClientID = "c3" })
	s.revokeLatest()
	s.directAgain()
}
