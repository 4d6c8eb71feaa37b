package model

import (
	"cmp"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// model is what the contracts above the queries promise, in memory. It is written from them, not from the SQL: it knows no
// tables, only people, grants and tokens. A method for each call says what the call must answer, false for zero rows, and leaves
// the model as the database must be afterwards.
type model struct {
	now        time.Time
	users      map[store.UserID]bool
	clients    map[store.ClientID]*modelClient
	sessions   map[store.SessionID]*modelSession
	consents   map[modelPair]*modelConsent
	assertions map[token.Digest]time.Time
	families   []*modelFamily
	tokens     []*modelToken

	nameFamily func() store.AuthorizationID // names a family that a call begins by itself
	wrote      bool                         // whether the last call was to change anything
	seen       map[string]int               // situations that the calls met, by name
}

type modelClient struct {
	public, disabled, skipsConsent bool
	scopes                         []string // nil: any
	owner                          *store.UserID
}

type modelSession struct {
	user           store.UserID
	token          token.Digest
	began, expires time.Time
}

type modelPair struct {
	client store.ClientID
	user   store.UserID
}

type modelConsent struct {
	id        store.ConsentID
	reference *store.ReferenceID
	scopes    []string
}

// modelFamily is an authorization, from the request to the last token that descends from it.
type modelFamily struct {
	id             store.AuthorizationID
	client         store.ClientID
	status         store.AuthorizationStatus
	asked, granted []string
	resources      []string
	redirect       *string
	challenge      *string
	requestURI     *token.Digest
	dpop           *token.Confirmation // of the request
	expires        *time.Time          // nil: never

	user      *store.UserID
	session   *store.SessionID
	reference *store.ReferenceID
	authTime  *time.Time
	acr       *string

	code        *token.Digest
	codeExpires time.Time
	redeemed    bool
	adopted     bool
	bound       *token.Confirmation // the key of its refresh tokens
	limit       *time.Time          // no token of it lives longer; nil: no limit
	revoked     store.RevocationReason
}

// modelToken is a token of either kind.
type modelToken struct {
	kind      store.TokenKind
	id        string
	digest    *token.Digest // nil: a JWT
	client    store.ClientID
	user      *store.UserID
	session   *store.SessionID
	reference *store.ReferenceID
	family    *modelFamily // nil: none
	scopes    []string
	resources []string
	bound     *token.Confirmation
	authTime  *time.Time
	issued    time.Time
	expires   *time.Time  // nil: never
	ended     *time.Time  // spent or revoked
	successor *modelToken // of a refresh token, once rotated here
	refresh   *modelToken // that an access token came with
}

func newModel(now time.Time) *model {
	return &model{
		now:        now,
		users:      map[store.UserID]bool{},
		clients:    map[store.ClientID]*modelClient{},
		sessions:   map[store.SessionID]*modelSession{},
		consents:   map[modelPair]*modelConsent{},
		assertions: map[token.Digest]time.Time{},
		seen:       map[string]int{},
	}
}

// Time: nil is never.

func (m *model) in(d *time.Duration) *time.Time {
	if d == nil {
		return nil
	}
	return new(m.now.Add(*d))
}

func (m *model) past(t *time.Time) bool { return t != nil && !t.After(m.now) }

func (m *model) agedOut(t *time.Time, retention time.Duration) bool {
	return t != nil && !t.Add(retention).After(m.now)
}

// expiries are the instants to come at which something expires, in their order.
func (m *model) expiries() (to []time.Time) {
	for _, f := range m.families {
		to = append(to, f.codeExpires)
		if f.expires != nil {
			to = append(to, *f.expires)
		}
	}
	for _, t := range m.tokens {
		if t.expires != nil {
			to = append(to, *t.expires)
		}
	}
	for _, s := range m.sessions {
		to = append(to, s.expires)
	}
	slices.SortFunc(to, time.Time.Compare)
	return slices.DeleteFunc(slices.Compact(to), func(t time.Time) bool { return !t.After(m.now) })
}

func earliest(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

func latest(a, b *time.Time) *time.Time {
	if a == nil || b == nil {
		return nil
	}
	if b.After(*a) {
		return b
	}
	return a
}

// Small questions.

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func is[T comparable](a *T, b T) bool { return a != nil && *a == b }

func within(part, whole []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(whole, s) })
}

func offline(scopes []string) bool { return slices.Contains(scopes, "offline_access") }

// holds says whether who has proven to hold the keys of proven may act for what is bound to the keys of bound.
func holds(proven, bound *token.Confirmation) bool {
	if bound == nil {
		return true
	}
	return proven != nil &&
		(bound.JKT == "" || bound.JKT == proven.JKT) &&
		(bound.X5TS256 == "" || bound.X5TS256 == proven.X5TS256)
}

func (m *model) saw(situation string, when bool) {
	if when {
		m.seen[situation]++
	}
}

func (m *model) family(id store.AuthorizationID) *modelFamily {
	for _, f := range m.families {
		if f.id == id {
			return f
		}
	}
	return nil
}

func (m *model) familyByCode(code token.Digest) *modelFamily {
	for _, f := range m.families {
		if is(f.code, code) {
			return f
		}
	}
	return nil
}

func (m *model) token(digest token.Digest) *modelToken {
	for _, t := range m.tokens {
		if is(t.digest, digest) {
			return t
		}
	}
	return nil
}

func (t *modelToken) isRefresh() bool { return t.kind == store.TokenKindRefreshToken }

func (m *model) live(t *modelToken) bool {
	return t.ended == nil && !m.past(t.expires) && (t.family == nil || t.family.revoked == "") && !m.clients[t.client].disabled
}

// signedIn says whether a grant may be made in the session: in none, or in one of the user's that is not over.
func (m *model) signedIn(session *store.SessionID, user store.UserID) bool {
	if session == nil {
		return true
	}
	s := m.sessions[*session]
	return s != nil && s.user == user && s.expires.After(m.now)
}

// Small changes.

func (m *model) revoke(f *modelFamily, reason store.RevocationReason) bool {
	if f.revoked != "" {
		return false
	}
	f.revoked, m.wrote = reason, true
	m.saw("revoked: "+string(reason), true)
	return true
}

func (m *model) end(t *modelToken) bool {
	if t.ended != nil {
		return false
	}
	t.ended, m.wrote = new(m.now), true
	return true
}

// endStrays ends the tokens without a family that ended says so of, and counts them.
func (m *model) endStrays(ended func(*modelToken) bool) (refresh, access int64) {
	for _, t := range m.tokens {
		if t.family != nil || !ended(t) || !m.end(t) {
			continue
		}
		if t.isRefresh() {
			refresh++
		} else {
			access++
		}
	}
	return refresh, access
}

func (m *model) forget(tokens func(*modelToken) bool) {
	m.tokens = slices.DeleteFunc(m.tokens, func(t *modelToken) bool {
		return tokens(t) || t.refresh != nil && tokens(t.refresh)
	})
	m.wrote = true
}

func (m *model) forgetFamilies(gone func(*modelFamily) bool) (n int64) {
	m.forget(func(t *modelToken) bool { return t.family != nil && gone(t.family) })
	m.families = slices.DeleteFunc(m.families, func(f *modelFamily) bool {
		if gone(f) {
			n++
			return true
		}
		return false
	})
	return n
}

func (m *model) forgetSession(id store.SessionID) {
	for _, f := range m.families {
		if is(f.session, id) {
			f.session = nil
		}
	}
	for _, t := range m.tokens {
		if is(t.session, id) {
			t.session = nil
		}
	}
	delete(m.sessions, id)
	m.wrote = true
}

func (m *model) forgetClient(id store.ClientID) int64 {
	m.forget(func(t *modelToken) bool { return t.client == id })
	n := m.forgetFamilies(func(f *modelFamily) bool { return f.client == id })
	for k := range m.consents {
		if k.client == id {
			delete(m.consents, k)
		}
	}
	delete(m.clients, id)
	return n
}

// Authorizations.

func (m *model) createAuthorization(p store.CreateAuthorizationParams) (*modelFamily, bool) {
	if c := m.clients[p.ClientID]; c == nil || c.disabled {
		return nil, false
	}
	f := &modelFamily{
		id: p.ID, client: p.ClientID, status: store.AuthorizationStatusPending, asked: p.Scopes, resources: p.Resources,
		redirect: p.RedirectURI, challenge: p.CodeChallenge, requestURI: p.RequestURI, dpop: p.Confirmation,
		expires: new(m.now.Add(p.Lifetime)),
	}
	m.families, m.wrote = append(m.families, f), true
	return f, true
}

func (m *model) takeAuthorizationByRequestURI(p store.TakeAuthorizationByRequestURIParams) (*modelFamily, bool) {
	for _, f := range m.families {
		if is(f.requestURI, p.RequestURI) && f.client == p.ClientID && f.status == store.AuthorizationStatusPending &&
			!m.past(f.expires) && f.revoked == "" {
			f.requestURI, f.expires, m.wrote = nil, new(m.now.Add(p.Lifetime)), true
			return f, true
		}
	}
	return nil, false
}

func (m *model) approveAuthorization(p store.ApproveAuthorizationParams) (store.ApproveAuthorizationRow, bool) {
	f := m.family(p.ID)
	if f == nil || !m.users[p.UserID] || !m.signedIn(p.SessionID, p.UserID) {
		return store.ApproveAuthorizationRow{}, false
	}
	r := store.ApproveAuthorizationRow{ClientID: f.client, RedirectURI: f.redirect}
	switch {
	case f.status != store.AuthorizationStatusPending:
		r.Outcome = store.DecisionOutcomeDecided
	case m.past(f.expires) || f.revoked != "":
		r.Outcome = store.DecisionOutcomeExpired
		m.saw("approving a request that was revoked", f.revoked != "")
	case m.clients[f.client].disabled:
		r.Outcome = store.DecisionOutcomeDisabled
	case !within(p.GrantedScopes, f.asked):
		r.Outcome = store.DecisionOutcomeExceeded
	default:
		r.Outcome = store.DecisionOutcomeApproved
		f.status, f.user, f.session, f.reference = store.AuthorizationStatusApproved, &p.UserID, p.SessionID, p.ReferenceID
		f.granted, f.authTime, f.acr, f.requestURI = p.GrantedScopes, p.AuthTime, p.ACR, nil
		f.expires = new(m.now.Add(p.CodeLifetime))
		f.code, f.codeExpires = p.Code, *f.expires
		m.wrote = true
	}
	return r, true
}

func (m *model) denyAuthorization(id store.AuthorizationID) (store.DenyAuthorizationRow, bool) {
	f := m.family(id)
	if f == nil {
		return store.DenyAuthorizationRow{}, false
	}
	r := store.DenyAuthorizationRow{ClientID: f.client, RedirectURI: f.redirect}
	switch {
	case f.status != store.AuthorizationStatusPending:
		r.Outcome = store.DecisionOutcomeDecided
	case m.past(f.expires) || f.revoked != "":
		r.Outcome = store.DecisionOutcomeExpired
	default:
		r.Outcome = store.DecisionOutcomeDenied
		f.status, f.requestURI, m.wrote = store.AuthorizationStatusDenied, nil, true
	}
	return r, true
}

func (m *model) issueAuthorizationCode(p store.IssueAuthorizationCodeParams) (store.IssueAuthorizationCodeRow, bool) {
	f := m.family(p.ID)
	if f == nil {
		return store.IssueAuthorizationCodeRow{}, false
	}
	r := store.IssueAuthorizationCodeRow{ClientID: f.client, RedirectURI: f.redirect}
	switch {
	case f.status == store.AuthorizationStatusDenied:
		r.Outcome = store.CodeOutcomeDenied
	case f.redeemed:
		r.Outcome = store.CodeOutcomeRedeemed
	case f.revoked != "":
		r.Outcome = store.CodeOutcomeRevoked
	case m.past(f.expires):
		r.Outcome = store.CodeOutcomeExpired
	case f.status == store.AuthorizationStatusPending:
		r.Outcome = store.CodeOutcomeUndecided
	case m.clients[f.client].disabled:
		r.Outcome = store.CodeOutcomeDisabled
	default:
		r.Outcome = store.CodeOutcomeIssued
		m.saw("a code replaced", f.code != nil)
		f.expires = new(m.now.Add(p.CodeLifetime))
		f.code, f.codeExpires, m.wrote = &p.Code, *f.expires, true
	}
	return r, true
}

func (m *model) grantAuthorization(p store.GrantAuthorizationParams) (store.GrantOutcome, bool) {
	c := m.clients[p.ClientID]
	switch {
	case c == nil || !m.users[p.UserID] || !m.signedIn(p.SessionID, p.UserID):
		return "", false
	case c.disabled:
		return store.GrantOutcomeDisabled, true
	case !within(p.GrantedScopes, p.Scopes):
		return store.GrantOutcomeExceeded, true
	}
	expires := m.now.Add(p.CodeLifetime)
	m.families, m.wrote = append(m.families, &modelFamily{
		id: p.ID, client: p.ClientID, status: store.AuthorizationStatusApproved, asked: p.Scopes, granted: p.GrantedScopes,
		resources: p.Resources, redirect: p.RedirectURI, challenge: p.CodeChallenge, dpop: p.Confirmation,
		expires: &expires, user: &p.UserID, session: p.SessionID, reference: p.ReferenceID, authTime: p.AuthTime, acr: p.ACR,
		code: &p.Code, codeExpires: expires,
	}), true
	return store.GrantOutcomeGranted, true
}

func (m *model) redeemAuthorizationCode(p store.RedeemAuthorizationCodeParams) (store.RedeemAuthorizationCodeRow, bool) {
	f := m.familyByCode(p.Code)
	if f == nil {
		return store.RedeemAuthorizationCodeRow{}, false
	}
	r := store.RedeemAuthorizationCodeRow{
		AuthorizationID: f.id, UserID: f.user, SessionID: f.session, ReferenceID: f.reference, GrantedScopes: f.granted,
		Resources: f.resources, AuthTime: f.authTime, ACR: f.acr,
	}
	redirects := same(p.RedirectURI, f.redirect) || p.RedirectURI == nil && f.challenge != nil
	switch {
	case f.client != p.ClientID, !same(p.CodeChallenge, f.challenge), !redirects:
		r.Outcome = store.RedemptionOutcomeMismatched
		m.saw("a spent code with a mismatch", f.redeemed)
	case f.redeemed:
		r.Outcome = store.RedemptionOutcomeReplayed
		m.saw("a code replayed with another key", !holds(p.Confirmation, f.bound))
		m.saw("a code replayed, tokens live", slices.ContainsFunc(m.tokens, func(t *modelToken) bool { return t.family == f && m.live(t) }))
		m.revoke(f, store.RevocationReasonCodeReplayed)
	case !holds(p.Confirmation, f.dpop):
		r.Outcome = store.RedemptionOutcomeMismatched
	case f.revoked != "":
		r.Outcome = store.RedemptionOutcomeRevoked
	case m.clients[f.client].disabled:
		r.Outcome = store.RedemptionOutcomeDisabled
	case m.past(&f.codeExpires):
		r.Outcome = store.RedemptionOutcomeExpired
	default:
		r.Outcome = store.RedemptionOutcomeRedeemed
		f.redeemed, f.limit = true, m.in(p.FamilyLifetime)
		if m.clients[f.client].public {
			f.bound = p.Confirmation
			if f.dpop != nil {
				f.bound = f.dpop
			}
		}
		m.saw("a code redeemed after its session's expiry", f.session != nil && m.past(&m.sessions[*f.session].expires))
		var refresh *modelToken
		r.AccessTokenExpiresAt = earliest(m.in(p.AccessTokenLifetime), f.limit)
		f.expires = r.AccessTokenExpiresAt
		if p.RefreshToken != nil {
			r.RefreshTokenExpiresAt = earliest(m.in(p.RefreshTokenLifetime), f.limit)
			f.expires = latest(f.expires, r.RefreshTokenExpiresAt)
			refresh = m.refreshToken(string(*p.RefreshTokenID), *p.RefreshToken, f, r.RefreshTokenExpiresAt)
			refresh.session, refresh.scopes, refresh.resources, refresh.authTime = f.session, f.granted, f.resources, f.authTime
		}
		a := m.accessToken(string(p.AccessTokenID), p.AccessToken, f, refresh, r.AccessTokenExpiresAt)
		a.session, a.scopes, a.resources, a.bound = f.session, f.granted, f.resources, p.Confirmation
		m.saw("a code redeemed for an access token alone", refresh == nil)
		m.saw("a token cut to the family's limit", f.limit != nil && same(r.AccessTokenExpiresAt, f.limit))
	}
	return r, true
}

// refreshToken adds a refresh token to a family.
func (m *model) refreshToken(id string, digest token.Digest, f *modelFamily, expires *time.Time) *modelToken {
	t := &modelToken{
		kind: store.TokenKindRefreshToken, id: id, digest: &digest, client: f.client, user: f.user, reference: f.reference,
		family: f, bound: f.bound, issued: m.now, expires: expires,
	}
	m.tokens, m.wrote = append(m.tokens, t), true
	return t
}

// accessToken adds an access token to a family.
func (m *model) accessToken(id string, digest *token.Digest, f *modelFamily, refresh *modelToken, expires *time.Time) *modelToken {
	t := &modelToken{
		kind: store.TokenKindAccessToken, id: id, digest: digest, client: f.client, user: f.user, reference: f.reference,
		family: f, refresh: refresh, issued: m.now, expires: expires,
	}
	m.tokens, m.wrote = append(m.tokens, t), true
	return t
}

func (m *model) revokeAuthorization(id store.AuthorizationID) (store.RevokeAuthorizationRow, bool) {
	f := m.family(id)
	if f == nil || !m.revoke(f, store.RevocationReasonAuthorizationRevoked) {
		return store.RevokeAuthorizationRow{}, false
	}
	return store.RevokeAuthorizationRow{ID: f.id, ClientID: f.client, UserID: f.user, SessionID: f.session, ReferenceID: f.reference}, true
}

func (m *model) revokeUserAuthorizations(p store.RevokeUserAuthorizationsParams) []store.RevokeUserAuthorizationsRow {
	rows := []store.RevokeUserAuthorizationsRow{}
	for _, f := range m.families {
		if is(f.user, p.UserID) && (p.ClientID == nil || *p.ClientID == f.client) && m.revoke(f, store.RevocationReasonUserRevoked) {
			rows = append(rows, store.RevokeUserAuthorizationsRow{ClientID: f.client, AuthorizationID: &f.id, SessionID: f.session})
		}
	}
	for client := range m.clients {
		refresh, access := m.endStrays(func(t *modelToken) bool {
			return is(t.user, p.UserID) && t.client == client && (p.ClientID == nil || *p.ClientID == client)
		})
		if refresh+access > 0 {
			rows = append(rows, store.RevokeUserAuthorizationsRow{ClientID: client})
			m.saw("a user's tokens without a family revoked", true)
		}
	}
	return rows
}

func (m *model) revokeClientAuthorizations(id store.ClientID) (store.RevokeClientAuthorizationsRow, bool) {
	if m.clients[id] == nil {
		return store.RevokeClientAuthorizationsRow{}, false
	}
	r := store.RevokeClientAuthorizationsRow{ClientID: id}
	for _, f := range m.families {
		if f.client == id && m.revoke(f, store.RevocationReasonClientRevoked) {
			r.Authorizations++
		}
	}
	r.RefreshTokens, r.AccessTokens = m.endStrays(func(t *modelToken) bool { return t.client == id })
	return r, true
}

// Refresh tokens.

func (m *model) rotateRefreshToken(p store.RotateRefreshTokenParams) (store.RotateRefreshTokenRow, bool) {
	t := m.token(p.Presented)
	if t == nil || !t.isRefresh() || t.client != p.ClientID {
		return store.RotateRefreshTokenRow{}, false
	}
	f, bound := t.family, t.bound
	if f != nil && f.bound != nil {
		bound = f.bound
	}
	r := store.RotateRefreshTokenRow{
		UserID: *t.user, SessionID: t.session, ReferenceID: t.reference, AuthTime: t.authTime, Scopes: t.scopes, Resources: t.resources,
	}
	if f != nil {
		r.AuthorizationID = &f.id
	}
	if len(p.Scopes) > 0 {
		r.Scopes = p.Scopes
	}
	if len(p.Resources) > 0 {
		r.Resources = p.Resources
	}
	used := t.successor != nil && t.successor.ended != nil
	forgiven := t.ended != nil && t.successor != nil && !used && m.now.Before(t.ended.Add(p.Grace))
	switch {
	case !holds(p.Confirmation, bound):
		r.Outcome = store.RotationOutcomeMismatched
	case f != nil && f.revoked != "":
		r.Outcome = store.RotationOutcomeRevoked
	case t.ended != nil && !forgiven:
		r.Outcome = store.RotationOutcomeReused
		m.reuse(t)
		m.saw("reuse: strict", t.successor != nil && !used && p.Grace == 0)
		m.saw("reuse: the predecessor, its grace over", t.successor != nil && !used && p.Grace > 0)
		m.saw("reuse: the predecessor in its grace, the successor used", used && m.now.Before(t.ended.Add(p.Grace)))
		m.saw("reuse: spent here, the successor spent by another server", used && t.successor.successor == nil)
		m.saw("reuse: an older one", used && t.successor.successor != nil && t.successor.successor.successor != nil)
		m.saw("reuse: of none of a family", f == nil)
		m.saw("reuse: of a family, spent by another server", f != nil && t.successor == nil)
		m.saw("reuse: after its expiry", m.past(t.expires))
	case m.clients[t.client].disabled:
		r.Outcome = store.RotationOutcomeDisabled
	case t.ended == nil && m.past(t.expires), t.ended != nil && m.past(f.expires),
		t.ended != nil && p.RefreshTokenLifetime != nil && m.past(new(t.ended.Add(*p.RefreshTokenLifetime))):
		m.saw("a retry after the family's expiry", t.ended != nil)
		r.Outcome = store.RotationOutcomeExpired
	case !within(p.Scopes, t.scopes), !within(p.Resources, t.resources):
		r.Outcome = store.RotationOutcomeExceeded
		m.saw("a retry that exceeds", t.ended != nil)
	default:
		next := t.successor
		rotatedAt := m.now
		if next == nil {
			r.Outcome = store.RotationOutcomeRotated
		} else {
			r.Outcome = store.RotationOutcomeReplayed
			rotatedAt = *t.ended
			m.saw("a retry after some time", rotatedAt.Before(m.now))
			m.saw("a retry in a family that was adopted", f.adopted)
		}
		adopted := f == nil
		if adopted {
			limit := m.in(p.FamilyLifetime)
			f = m.adopt(t, earliest(m.in(p.AccessTokenLifetime), limit))
			f.limit, r.AuthorizationID = limit, &f.id
			m.saw("a rotation that adopts", true)
		}
		r.AccessTokenExpiresAt = earliest(m.in(p.AccessTokenLifetime), f.limit)
		last := r.AccessTokenExpiresAt
		if p.RefreshTokenLifetime != nil {
			r.RefreshTokenExpiresAt = new(rotatedAt.Add(*p.RefreshTokenLifetime))
		}
		r.RefreshTokenExpiresAt = earliest(r.RefreshTokenExpiresAt, f.limit)
		if next == nil {
			next = m.refreshToken(string(p.SuccessorID), p.Successor, f, r.RefreshTokenExpiresAt)
			next.session, next.scopes, next.resources, next.authTime, next.bound = t.session, t.scopes, t.resources, t.authTime, bound
			last = latest(last, next.expires)
			t.ended, t.successor = new(m.now), next
			m.saw("a family's third rotation", m.depth(next) >= 3)
			m.saw("a successor cut to the family's limit", f.limit != nil && same(next.expires, f.limit))
		}
		switch {
		case adopted: // begins with what it has to last
			f.expires = latest(f.expires, last)
		case last == nil:
			f.expires = nil
		case f.expires != nil && last.After(*f.expires): // gets a sixteenth in advance
			f.expires = earliest(new(last.Add(last.Sub(m.now)/16)), f.limit)
			m.saw("a family's expiry moved in advance", true)
		default:
			m.saw("a family's expiry left as it was", f.expires != nil)
		}
		r.Successor, r.SuccessorID = next.digest, new(store.RefreshTokenID(next.id))
		a := m.accessToken(string(p.AccessTokenID), p.AccessToken, f, next, r.AccessTokenExpiresAt)
		a.session, a.scopes, a.resources, a.bound = t.session, r.Scopes, r.Resources, p.Confirmation
		if a.bound == nil {
			a.bound = bound
		}
		m.saw("a narrower access token", len(a.scopes) < len(t.scopes))
	}
	return r, true
}

// depth counts the rotations that led to t.
func (m *model) depth(t *modelToken) int {
	for _, p := range m.tokens {
		if p.successor == t {
			return 1 + m.depth(p)
		}
	}
	return 0
}

// reuse ends what a spent token's return puts in doubt: its family; and where another server spent it, what may descend from
// it there has no family, or has been adopted since.
func (m *model) reuse(t *modelToken) {
	if t.family != nil {
		m.revoke(t.family, store.RevocationReasonRefreshTokenReused)
	}
	if t.successor != nil {
		return
	}
	kin := func(client store.ClientID, user *store.UserID) bool { return client == t.client && same(user, t.user) }
	for _, f := range m.families {
		if f.adopted && kin(f.client, f.user) {
			m.revoke(f, store.RevocationReasonRefreshTokenReused)
			m.saw("reuse ends a family that was adopted", f != t.family)
		}
	}
	m.endStrays(func(s *modelToken) bool { return kin(s.client, s.user) })
}

// adopt gives a token that another server wrote a family, with the access tokens that came with it. The family lasts as long as
// they do, and until expires at least.
func (m *model) adopt(t *modelToken, expires *time.Time) *modelFamily {
	f := &modelFamily{
		id: m.nameFamily(), client: t.client, status: store.AuthorizationStatusApproved, asked: t.scopes, granted: t.scopes,
		resources: t.resources, user: t.user, session: t.session, reference: t.reference, authTime: t.authTime, adopted: true,
		bound: t.bound, expires: expires,
	}
	t.family = f
	for _, a := range m.tokens {
		if a.refresh == t && a.family == nil {
			a.family = f
			f.expires = latest(f.expires, a.expires)
		}
	}
	m.families, m.wrote = append(m.families, f), true
	return f
}

// Introspection.

func (m *model) introspect(t *modelToken) store.IntrospectTokenRow {
	r := store.IntrospectTokenRow{
		Kind: t.kind, ClientID: t.client, UserID: t.user, SessionID: t.session, ReferenceID: t.reference, Scopes: t.scopes,
		Resources: t.resources, Confirmation: t.bound, IssuedAt: t.issued, ExpiresAt: t.expires, AuthTime: t.authTime,
	}
	if t.isRefresh() {
		r.RefreshTokenID = new(store.RefreshTokenID(t.id))
	} else {
		r.AccessTokenID = new(store.AccessTokenID(t.id))
		if t.refresh != nil {
			r.RefreshTokenID = new(store.RefreshTokenID(t.refresh.id))
		}
	}
	if t.family != nil {
		r.AuthorizationID, r.AuthTime, r.ACR = &t.family.id, t.family.authTime, t.family.acr
		if t.isRefresh() && r.AuthTime == nil {
			r.AuthTime = t.authTime
		}
	}
	if t.user != nil {
		r.Username = new(string(*t.user) + "@example.com")
	}
	return r
}

func (m *model) introspectToken(digest token.Digest) (store.IntrospectTokenRow, bool) {
	if t := m.token(digest); t != nil && m.live(t) {
		return m.introspect(t), true
	}
	return store.IntrospectTokenRow{}, false
}

// Revocation of one token.

func (m *model) revokeToken(p store.RevokeTokenParams) (store.RevokeTokenRow, bool) {
	t := m.token(p.Token)
	if t == nil || t.client != p.ClientID {
		return store.RevokeTokenRow{}, false
	}
	r := store.RevokeTokenRow{Kind: t.kind, ClientID: t.client, UserID: t.user}
	if t.family != nil {
		r.AuthorizationID = &t.family.id
	}
	switch {
	case !t.isRefresh():
		r.AccessTokenID = new(store.AccessTokenID(t.id))
		if !m.endAccessToken(t) {
			return store.RevokeTokenRow{}, false
		}
	case t.family != nil:
		r.RefreshTokenID = new(store.RefreshTokenID(t.id))
		if !m.revoke(t.family, store.RevocationReasonTokenRevoked) {
			return store.RevokeTokenRow{}, false
		}
		m.saw("a family revoked by a spent token", t.ended != nil)
	default:
		r.RefreshTokenID = new(store.RefreshTokenID(t.id))
		ended := m.end(t)
		_, access := m.endStrays(func(a *modelToken) bool { return a.refresh == t && !m.past(a.expires) })
		if !ended && access == 0 {
			return store.RevokeTokenRow{}, false
		}
		m.saw("a refresh token without a family revoked", ended)
		m.saw("access tokens revoked by a spent refresh token without a family", !ended)
	}
	return r, true
}

// endAccessToken ends an access token alone, if it is not dead already.
func (m *model) endAccessToken(t *modelToken) bool {
	return !m.past(t.expires) && (t.family == nil || t.family.revoked == "") && m.end(t)
}

func (m *model) revokeAccessTokenByID(p store.RevokeAccessTokenByIDParams) (store.RevokeAccessTokenByIDRow, bool) {
	for _, t := range m.tokens {
		if t.isRefresh() || t.id != string(p.ID) || t.client != p.ClientID || !m.endAccessToken(t) {
			continue
		}
		r := store.RevokeAccessTokenByIDRow{ID: p.ID, ClientID: t.client, UserID: t.user}
		if t.family != nil {
			r.AuthorizationID = &t.family.id
		}
		return r, true
	}
	return store.RevokeAccessTokenByIDRow{}, false
}

// Client credentials.

func (m *model) issueAccessToken(p store.IssueAccessTokenParams) (store.IssueAccessTokenRow, bool) {
	c := m.clients[p.ClientID]
	switch {
	case c == nil:
		return store.IssueAccessTokenRow{}, false
	case c.disabled:
		return store.IssueAccessTokenRow{Outcome: store.IssuanceOutcomeDisabled}, true
	case c.scopes != nil && !within(p.Scopes, c.scopes):
		return store.IssueAccessTokenRow{Outcome: store.IssuanceOutcomeExceeded}, true
	}
	t := &modelToken{
		kind: store.TokenKindAccessToken, id: string(p.ID), digest: p.AccessToken, client: p.ClientID, reference: p.ReferenceID,
		scopes: p.Scopes, resources: p.Resources, bound: p.Confirmation, issued: m.now, expires: m.in(p.Lifetime),
	}
	m.tokens, m.wrote = append(m.tokens, t), true
	return store.IssueAccessTokenRow{Outcome: store.IssuanceOutcomeIssued, ExpiresAt: t.expires}, true
}

// Sessions.

func (m *model) createSession(p store.CreateSessionParams) *modelSession {
	s := &modelSession{user: p.UserID, token: p.Token, began: m.now, expires: m.now.Add(p.Lifetime)}
	m.sessions[p.ID], m.wrote = s, true
	return s
}

func (m *model) findSessionByToken(digest token.Digest) (store.SessionID, bool) {
	for id, s := range m.sessions {
		if s.token == digest && s.expires.After(m.now) {
			return id, true
		}
	}
	return "", false
}

func (m *model) extendSession(p store.ExtendSessionParams) (store.ExtendSessionRow, bool) {
	s := m.sessions[p.ID]
	if s == nil || m.past(&s.expires) {
		return store.ExtendSessionRow{}, false
	}
	until := m.now.Add(p.Lifetime)
	if p.MaxLifetime != nil {
		until = *earliest(&until, new(s.began.Add(*p.MaxLifetime)))
	}
	gain := until.Sub(s.expires)
	r := store.ExtendSessionRow{ID: p.ID, UserID: s.user, Extended: gain > 0 && gain >= p.MinGain}
	m.saw("a session that gains too little", gain > 0 && !r.Extended)
	if r.Extended {
		s.expires, m.wrote = until, true
	}
	r.ExpiresAt = s.expires
	return r, true
}

func (m *model) endSession(id store.SessionID) []store.EndSessionRow {
	rows := []store.EndSessionRow{}
	s := m.sessions[id]
	if s == nil {
		return rows
	}
	for _, f := range m.families {
		if !is(f.session, id) {
			continue
		}
		ended := !offline(f.granted) && m.revoke(f, store.RevocationReasonSessionEnded)
		rows = append(rows, store.EndSessionRow{SessionID: id, UserID: s.user, ClientID: &f.client, AuthorizationID: &f.id, Revoked: ended})
		m.saw("a grant outlives its session", f.revoked == "" && offline(f.granted))
	}
	for client := range m.clients {
		strays := func(t *modelToken) bool { return t.family == nil && is(t.session, id) && t.client == client }
		if !slices.ContainsFunc(m.tokens, strays) {
			continue
		}
		refresh, access := m.endStrays(func(t *modelToken) bool { return strays(t) && !offline(t.scopes) })
		rows = append(rows, store.EndSessionRow{SessionID: id, UserID: s.user, ClientID: new(client), Revoked: refresh+access > 0})
		m.saw("tokens without a family end with their session", refresh+access > 0)
		m.saw("tokens without a family outlive their session", refresh+access == 0)
	}
	if len(rows) == 0 {
		rows = append(rows, store.EndSessionRow{SessionID: id, UserID: s.user})
	}
	m.forgetSession(id)
	return rows
}

func (m *model) endUserSessions(p store.EndUserSessionsParams) []store.EndUserSessionsRow {
	rows := []store.EndUserSessionsRow{}
	for id, s := range m.sessions {
		if s.user != p.UserID || is(p.Keep, id) {
			continue
		}
		for _, r := range m.endSession(id) {
			rows = append(rows, store.EndUserSessionsRow(r))
		}
	}
	return rows
}

// Consents.

func (m *model) grantConsent(p store.GrantConsentParams) (modelConsent, bool) {
	k := modelPair{p.ClientID, p.UserID}
	c := m.consents[k]
	if c == nil {
		c = &modelConsent{id: p.ID}
		m.consents[k] = c
	} else if !p.Merge || !same(c.reference, p.ReferenceID) {
		m.saw("a consent moved to another tenant", !same(c.reference, p.ReferenceID))
		c.scopes = nil
	}
	c.reference = p.ReferenceID
	scopes := append([]string{}, c.scopes...)
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	c.scopes, m.wrote = scopes, true
	return *c, true
}

// consent is the one that a user has given a client in this very tenant; nil: none.
func (m *model) consent(client store.ClientID, user store.UserID, reference *store.ReferenceID) *modelConsent {
	c := m.consents[modelPair{client, user}]
	if c == nil || !same(c.reference, reference) {
		m.saw("a consent asked for in another tenant", c != nil)
		return nil
	}
	return c
}

func (m *model) findConsent(p store.FindConsentParams) (modelConsent, bool) {
	if c := m.consent(p.ClientID, p.UserID, p.ReferenceID); c != nil {
		return *c, true
	}
	return modelConsent{}, false
}

func (m *model) checkConsent(p store.CheckConsentParams) (store.CheckConsentRow, bool) {
	client := m.clients[p.ClientID]
	if client == nil || client.disabled {
		return store.CheckConsentRow{}, false
	}
	consent := m.consent(p.ClientID, p.UserID, p.ReferenceID)
	r := store.CheckConsentRow{Covered: client.skipsConsent, Missing: []string{}}
	if r.Covered {
		return r, true
	}
	for _, s := range p.Scopes {
		if consent == nil || !slices.Contains(consent.scopes, s) {
			r.Missing = append(r.Missing, s)
		}
	}
	r.Covered = consent != nil && len(r.Missing) == 0
	m.saw("a consent that covers", r.Covered)
	m.saw("a consent that misses something", consent != nil && !r.Covered)
	return r, true
}

func (m *model) withdrawConsent(p store.WithdrawConsentParams) (store.WithdrawConsentRow, bool) {
	c := m.consent(p.ClientID, p.UserID, p.ReferenceID)
	if c == nil {
		return store.WithdrawConsentRow{}, false
	}
	delete(m.consents, modelPair{p.ClientID, p.UserID})
	m.wrote = true
	r := store.WithdrawConsentRow{ID: c.id, Scopes: c.scopes}
	rests := func(client store.ClientID, user *store.UserID, reference *store.ReferenceID) bool {
		return client == p.ClientID && is(user, p.UserID) && same(reference, p.ReferenceID)
	}
	for _, f := range m.families {
		if rests(f.client, f.user, f.reference) && m.revoke(f, store.RevocationReasonConsentWithdrawn) {
			r.Authorizations++
		}
	}
	r.RefreshTokens, r.AccessTokens = m.endStrays(func(t *modelToken) bool { return rests(t.client, t.user, t.reference) })
	m.saw("a withdrawal that ends something", r.Authorizations+r.RefreshTokens+r.AccessTokens > 0)
	return r, true
}

// Users and clients.

func (m *model) switchClient(id store.ClientID, disabled bool) (bool, bool) {
	c := m.clients[id]
	if c == nil {
		return false, false
	}
	m.saw("a client enabled again, with live tokens", c.disabled && !disabled && slices.ContainsFunc(m.tokens, func(t *modelToken) bool {
		return t.client == id && t.ended == nil && !m.past(t.expires)
	}))
	c.disabled, m.wrote = disabled, true
	return disabled, true
}

func (m *model) deleteUser(id store.UserID) (store.DeleteUserRow, bool) {
	if !m.users[id] {
		return store.DeleteUserRow{}, false
	}
	r := store.DeleteUserRow{ID: id}
	m.forget(func(t *modelToken) bool { return is(t.user, id) })
	r.Authorizations = m.forgetFamilies(func(f *modelFamily) bool { return is(f.user, id) })
	for c, client := range m.clients {
		if is(client.owner, id) {
			m.forgetClient(c)
		}
	}
	for s, session := range m.sessions {
		if session.user == id {
			m.forgetSession(s)
		}
	}
	for k := range m.consents {
		if k.user == id {
			delete(m.consents, k)
		}
	}
	delete(m.users, id)
	return r, true
}

func (m *model) deleteClient(id store.ClientID) (store.DeleteClientRow, bool) {
	if m.clients[id] == nil {
		return store.DeleteClientRow{}, false
	}
	return store.DeleteClientRow{ClientID: id, Authorizations: m.forgetClient(id)}, true
}

func (m *model) rememberClientAssertion(p store.RememberClientAssertionParams) (store.AssertionOutcome, bool) {
	if _, known := m.assertions[p.ID]; known {
		return store.AssertionOutcomeReplayed, true
	}
	m.assertions[p.ID], m.wrote = p.ExpiresAt, true
	return store.AssertionOutcomeFresh, true
}

// Collection: what is due, in no order. Of more than a batch, which ones go is the collector's choice.

func (m *model) hasTokens(f *modelFamily) bool {
	return slices.ContainsFunc(m.tokens, func(t *modelToken) bool { return t.family == f })
}

func (m *model) dueAccessTokens() (due []string) {
	for _, t := range m.tokens {
		if !t.isRefresh() && m.past(t.expires) {
			due = append(due, t.id)
		}
	}
	return due
}

func (m *model) dueRefreshTokens(retention time.Duration) (due []string) {
	for _, t := range m.tokens {
		if !t.isRefresh() || slices.ContainsFunc(m.tokens, func(a *modelToken) bool { return a.refresh == t }) {
			continue
		}
		expires := t.expires
		if t.family != nil {
			expires = t.family.expires
			m.saw("a spent token kept as evidence", t.ended != nil && m.past(t.expires) && !m.agedOut(expires, retention))
		}
		if m.agedOut(expires, retention) {
			due = append(due, t.id)
		}
	}
	return due
}

func (m *model) dueAuthorizations(retention time.Duration) (due []string) {
	for _, f := range m.families {
		if m.agedOut(f.expires, retention) && !m.hasTokens(f) {
			due = append(due, string(f.id))
		}
	}
	return due
}

func (m *model) dueSessions() (due []string) {
	for id, s := range m.sessions {
		if m.past(&s.expires) {
			due = append(due, string(id))
		}
	}
	return due
}

func (m *model) dueAssertions() (due []string) {
	for id, expires := range m.assertions {
		if m.past(&expires) {
			due = append(due, string(id))
		}
	}
	return due
}

// adoptable are the refresh tokens that AdoptRefreshTokens may give a family.
// adoptable are the tokens to adopt among the first of those without a family.
func (m *model) adoptable(first int) (due []string) {
	var strays []*modelToken
	for _, t := range m.tokens {
		if t.isRefresh() && t.family == nil {
			strays = append(strays, t)
		}
	}
	slices.SortFunc(strays, func(x, y *modelToken) int { return cmp.Compare(x.id, y.id) })
	for _, t := range strays[:min(first, len(strays))] {
		if t.ended == nil && !m.past(t.expires) {
			due = append(due, t.id)
		}
	}
	return due
}

// Lists: the ids, sorted.

func (m *model) inForce(f *modelFamily) bool {
	return f.status == store.AuthorizationStatusApproved && f.revoked == "" && !m.past(f.expires)
}

func (m *model) listAuthorizations(of func(*modelFamily) bool) []string {
	ids := []string{}
	for _, f := range m.families {
		if of(f) && m.inForce(f) {
			ids = append(ids, string(f.id))
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *model) listUserAuthorizations(user store.UserID) []string {
	return m.listAuthorizations(func(f *modelFamily) bool { return is(f.user, user) })
}

func (m *model) listClientAuthorizations(client store.ClientID) []string {
	return m.listAuthorizations(func(f *modelFamily) bool { return f.client == client })
}

type modelListedConsent struct {
	ID             store.ConsentID
	Authorizations int64
}

func (m *model) listUserConsents(user store.UserID) []modelListedConsent {
	rows := []modelListedConsent{}
	for k, c := range m.consents {
		if k.user != user {
			continue
		}
		r := modelListedConsent{ID: c.id}
		for _, f := range m.families {
			if is(f.user, user) && f.client == k.client && same(f.reference, c.reference) && m.inForce(f) {
				r.Authorizations++
			}
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b modelListedConsent) int { return cmp.Compare(a.ID, b.ID) })
	return rows
}
