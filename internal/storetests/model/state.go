package model

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// model is what the contracts above the queries promise, in memory. It is written from them, not from the SQL: it knows no tables, no
// epochs and no locks. An ending marks whatever it ends, there and then; whether something is live is said by the four functions
// below and by nothing else. A method for each call says what the call has to answer, and leaves the model as the database must be
// afterwards.
type model struct {
	now      time.Time
	users    map[store.UserID]*user
	clients  map[store.ClientID]*client
	sessions map[store.SessionID]*session
	consents map[pair]*consent
	families []*family
	tokens   []*issued
	proofs   map[token.Digest]bool
	seen     map[string]int // situations that the calls met, by name

	// of histories of concurrent calls alone
	gates     gates
	signedOut map[store.SessionID]bool // by another server
}

type user struct{ suspended, deleted bool }

type client struct {
	kind          string // what it authenticates with: secret, key, certificate, none
	secret        token.Digest
	secretExpires *time.Time
	older         map[token.Digest]time.Time // secrets that were rotated out
	methodless    bool                       // registered without a method
	grants        []string                   // that it is registered for; nil: those with codes
	scopes        []string                   // nil: the server's default
	needsPKCE     bool
	skipsConsent  bool
	owner         store.UserID
	accessLimit   time.Duration // 0: none
	grace         *time.Duration
	untilUsed     bool
	disabled      bool
	deleted       bool
}

type session struct {
	id             store.SessionID
	cookie         token.Digest
	user           store.UserID
	began, expires time.Time
	over           bool // an ending came after it
	marked         bool // its row says so
}

type pair struct {
	client store.ClientID
	user   store.UserID
}

type consent struct {
	pair
	id        store.ConsentID
	reference *store.ReferenceID
	scopes    []string
	at        map[string][]string // scopes by resource
	over      bool
}

// family is an authorization, from the request to the last token that descends from it.
type family struct {
	id store.AuthorizationID
	pair
	status         store.AuthorizationStatus
	reference      *store.ReferenceID
	session        *session // nil: none, or it is gone
	bound          bool
	asked, granted []string
	resources      []string
	redirect       *string
	challenge      *string
	requestURI     token.Digest
	requestExpires time.Time
	key            *token.Confirmation
	expires        *time.Time // of the request, then of the code; nil once it is redeemed
	limit          *time.Time // no token of it lives longer; nil: no limit
	code           token.Digest
	codeExpires    time.Time
	redeemedAs     store.AccessTokenID
	redeemedAt     time.Time
	codeless       bool    // granted without a code, here or by another server
	device         *device // of a device's request
	first          *issued // the refresh token that was issued first, if one was
	over           bool    // an ending came after it
	marked         bool    // its row says so
	markedAt       time.Time
}

// issued is a token of either kind.
type issued struct {
	refresh bool
	id      string
	digest  token.Digest // "": a JWT
	pair
	reference *store.ReferenceID
	family    *family // nil: a client's own
	session   *session
	codeID    *store.AuthorizationID
	scopes    []string
	resources []string
	key       *token.Confirmation
	expires   *time.Time // nil: never
	own       bool       // it depends on its own client: that client's own, or exchanged
	over      bool       // revoked or spent; of one that is own, also ended with its client or pair
	spent     time.Time
	successor *issued // of a refresh token that was rotated here
	gone      bool    // collected

	withoutRow bool       // an access token that the database doesn't have
	keptUntil  *time.Time // of a refresh token: when the last of those expires that were issued with it
}

// Liveness.

func (m *model) userIsLive(id store.UserID) bool {
	u := m.users[id]
	return u != nil && !u.suspended && !u.deleted
}

func (m *model) sessionIsLive(s *session) bool {
	return s != nil && !s.over && !s.marked && s.expires.After(m.now) && m.userIsLive(s.user)
}

// familyIsOver says whether a family was ended for good, or never granted. A client that is disabled can be enabled again.
func (m *model) familyIsOver(f *family) bool {
	return f.status != store.AuthorizationStatusApproved || f.over || f.marked || !m.userIsLive(f.user) || f.bound && !m.sessionIsLive(f.session)
}

func (m *model) familyIsLive(f *family) bool { return !m.familyIsOver(f) && m.clientIsLive(f.client) }

func (m *model) tokenIsLive(t *issued) bool {
	return !t.gone && !t.over && !m.past(t.expires) && (t.family == nil || m.familyIsLive(t.family)) && (!t.own || m.clientIsLive(t.client))
}

func (m *model) consentCounts(g *consent) bool { return g != nil && !g.over && m.userIsLive(g.user) }

func (m *model) clientIsLive(id store.ClientID) bool {
	c := m.clients[id]
	return c != nil && !c.disabled
}

// Endings.

// end ends for good what was granted before to the clients, by the users and in the tenants that are meant, consents among it.
func (m *model) end(meant func(pair, *store.ReferenceID) bool) {
	for _, f := range m.families {
		f.over = f.over || f.status == store.AuthorizationStatusApproved && meant(f.pair, f.reference)
	}
	for _, t := range m.tokens {
		t.over = t.over || t.own && meant(t.pair, t.reference)
	}
	for _, g := range m.consents {
		g.over = g.over || meant(g.pair, g.reference)
	}
}

func (m *model) endClient(id store.ClientID) {
	for _, f := range m.families {
		f.over = f.over || f.status == store.AuthorizationStatusApproved && f.client == id
	}
	for _, t := range m.tokens {
		t.over = t.over || t.own && t.client == id
	}
}

func (m *model) endUser(id store.UserID) {
	m.end(func(p pair, _ *store.ReferenceID) bool { return p.user == id })
	m.endSessions(id, nil)
}

func (m *model) endSessions(user store.UserID, keep *store.SessionID) (n int64) {
	for _, s := range m.sessions {
		if s.user != user || is(keep, s.id) {
			continue
		}
		if !s.marked {
			n++
		}
		s.over = true
		m.markSession(s)
	}
	return n
}

// markSession writes the end of a session into its row, where it has expired from then on.
func (m *model) markSession(s *session) {
	s.marked, s.expires = true, *earliest(&s.expires, &m.now)
}

// Small questions.

func (m *model) past(t *time.Time) bool { return t != nil && !t.After(m.now) }

func is[T comparable](a *T, b T) bool { return a != nil && *a == b }

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func within(part, whole []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(whole, s) })
}

func or(some, otherwise []string) []string {
	if len(some) > 0 {
		return asSet(some)
	}
	return otherwise
}

// holds says whether who has proven to hold the keys of proven may act for what is bound to the keys of bound.
func holds(proven, bound *token.Confirmation) bool {
	return bound == nil || proven != nil && (bound.JKT == "" || bound.JKT == proven.JKT) && (bound.X5TS256 == "" || bound.X5TS256 == proven.X5TS256)
}

// in is when what lives for d, and for no longer than limit, expires; nil is never.
func in(from time.Time, d, limit time.Duration) *time.Time {
	if limit > 0 {
		d = min(d, limit)
	}
	if d == store.Never {
		return nil
	}
	return new(from.Add(d))
}

func earliest(of ...*time.Time) (first *time.Time) {
	for _, t := range of {
		if t != nil && (first == nil || t.Before(*first)) {
			first = new(*t)
		}
	}
	return first
}

// sessionEnd is when the session of a bound family expires, as things stand.
func (f *family) sessionEnd() *time.Time {
	if !f.bound || f.session == nil {
		return nil
	}
	return &f.session.expires
}

func (m *model) saw(situation string, when bool) {
	if when && m.seen != nil {
		m.seen[situation]++
	}
}

func (m *model) family(match func(*family) bool) *family {
	if i := slices.IndexFunc(m.families, match); i >= 0 {
		return m.families[i]
	}
	return nil
}

func (m *model) familyByID(id store.AuthorizationID) *family {
	return m.family(func(f *family) bool { return f.id == id })
}

func (m *model) token(match func(*issued) bool) *issued {
	if i := slices.IndexFunc(m.tokens, func(t *issued) bool { return !t.gone && match(t) }); i >= 0 {
		return m.tokens[i]
	}
	return nil
}

func (m *model) tokenByDigest(d token.Digest) *issued {
	return m.token(func(t *issued) bool { return d != "" && t.digest == d })
}

func (m *model) fresh(proof *token.Digest) bool {
	if proof == nil {
		return true
	}
	known := m.proofs[*proof]
	m.proofs[*proof] = true
	return !known
}

// expiries are the instants to come at which something expires, in their order.
func (m *model) expiries() (to []time.Time) {
	add := func(t *time.Time) {
		if t != nil && t.After(m.now) {
			to = append(to, *t)
		}
	}
	for _, f := range m.families {
		add(f.expires)
	}
	for _, t := range m.tokens {
		add(t.expires)
	}
	for _, s := range m.sessions {
		add(&s.expires)
	}
	for _, c := range m.clients {
		add(c.secretExpires)
		for _, t := range c.older {
			add(&t)
		}
	}
	slices.SortFunc(to, time.Time.Compare)
	return slices.Compact(to)
}

// Callers.

var kinds = map[string]string{
	"client_secret_basic": "secret", "client_secret_post": "secret", "private_key_jwt": "key",
	"tls_client_auth": "certificate", "self_signed_tls_client_auth": "certificate", "none": "none",
}

func (m *model) authenticates(id store.ClientID, method string, secret token.Digest) bool {
	c := m.clients[id]
	switch {
	case c == nil:
		return false
	case method == "verified":
		return true
	case kinds[method] != c.kind:
		return false
	case c.kind == "secret":
		older, rotated := c.older[secret]
		m.saw("an older secret", rotated && older.After(m.now))
		m.saw("an older secret that counts no more", rotated && !older.After(m.now))
		return secret != "" && (secret == c.secret && !m.past(c.secretExpires) || rotated && older.After(m.now))
	}
	return true
}

func (m *model) authenticateClient(p store.AuthenticateClientParams) store.Outcome {
	switch {
	case !m.authenticates(p.ClientID, p.ClientAuthMethod, p.ClientSecret):
		return store.OutcomeUnauthenticated
	case m.clients[p.ClientID].disabled:
		return store.OutcomeDisabled
	}
	return store.OutcomeAuthenticated
}

func (m *model) rotateClientSecret(p store.RotateClientSecretParams) store.Outcome {
	c := m.clients[p.ClientID]
	switch {
	case c == nil || c.deleted:
		return store.OutcomeUnknown
	case c.secret == p.ClientSecret:
		return store.OutcomeRetried
	}
	until := *earliest(c.secretExpires, new(m.now.Add(p.Overlap)))
	if c.secret != "" && until.After(m.now) {
		c.older[c.secret] = until
	}
	delete(c.older, p.ClientSecret)
	c.secret, c.secretExpires = p.ClientSecret, in(m.now, p.Lifetime, 0)
	return store.OutcomeRotated
}

// Requests and decisions.

// asked is what a client asks for at the authorization endpoint.
type asked struct {
	client                                             store.ClientID
	redirect, responseType, challenge                  *string
	scopes, defaultScopes, resources, defaultResources []string
}

// judge says what is amiss with a request, and "" if nothing is. Each client has one redirect URI and no resources of its own.
func (m *model) judge(a asked) store.Outcome {
	c := m.clients[a.client]
	switch {
	case c == nil || c.deleted:
		return store.OutcomeUnknown
	case c.disabled:
		return store.OutcomeDisabled
	case a.redirect != nil && *a.redirect != fixture.RedirectURI:
		return store.OutcomeRedirectURIMismatched
	case deref(a.responseType) != "code":
		return store.OutcomeUnsupportedResponseType
	case a.challenge == nil && c.needsPKCE:
		return store.OutcomePKCERequired
	}
	return m.judgeAgain(a)
}

// judgeAgain says what is amiss later, as what the server lets a client ask for has changed.
func (m *model) judgeAgain(a asked) store.Outcome {
	switch {
	case !within(a.scopes, m.allowed(a.client, a.defaultScopes)):
		return store.OutcomeInvalidScope
	case !within(a.resources, a.defaultResources):
		return store.OutcomeInvalidTarget
	}
	return ""
}

func (m *model) allowed(client store.ClientID, byDefault []string) []string {
	if c := m.clients[client]; c.scopes != nil {
		return c.scopes
	}
	return byDefault
}

func kept(list, allowed []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !slices.Contains(allowed, s) })
}

func (m *model) createAuthorization(p store.CreateAuthorizationParams) store.Outcome {
	if o := m.judge(asked{p.ClientID, p.RedirectURI, p.ResponseType, p.CodeChallenge, p.Scopes, p.DefaultScopes, p.Resources, p.DefaultResources}); o != "" {
		return o
	}
	f := &family{
		id: p.ID, pair: pair{client: p.ClientID}, status: store.AuthorizationStatusPending, asked: p.Scopes, resources: p.Resources,
		redirect: p.RedirectURI, challenge: p.CodeChallenge, key: p.Confirmation, expires: in(m.now, p.Lifetime, 0),
	}
	if p.RequestURI != nil {
		f.requestURI, f.requestExpires = *p.RequestURI, m.now.Add(p.RequestURILifetime)
	}
	m.families = append(m.families, f)
	return store.OutcomeCreated
}

func (m *model) takeAuthorization(p store.TakeAuthorizationByRequestURIParams) *family {
	f := m.family(func(f *family) bool { return f.requestURI == p.RequestURI && f.client == p.ClientID })
	if f == nil || f.status != store.AuthorizationStatusPending || f.marked || !f.requestExpires.After(m.now) {
		return nil
	}
	f.requestURI, f.expires = "", in(m.now, p.Lifetime, 0)
	return f
}

// grantable says whether a client may be granted something by a user in a session.
func (m *model) grantable(client store.ClientID, user store.UserID, session *store.SessionID) store.Outcome {
	c, u := m.clients[client], m.users[user]
	switch {
	case c == nil:
		return store.OutcomeUnknown
	case c.disabled:
		return store.OutcomeDisabled
	case u == nil || u.deleted:
		return store.OutcomeUnknown
	case u.suspended:
		return store.OutcomeSuspended
	case session != nil && (m.sessions[*session] == nil || m.sessions[*session].user != user || !m.sessionIsLive(m.sessions[*session])):
		return store.OutcomeSignedOut
	}
	return store.OutcomeGranted
}

func (f *family) approve(user store.UserID, session *session, reference *store.ReferenceID, granted []string) {
	f.status, f.user, f.session, f.reference, f.granted = store.AuthorizationStatusApproved, user, session, reference, granted
	f.bound = session != nil && !slices.Contains(granted, "offline_access")
	f.requestURI = ""
}

func (f *family) setCode(code token.Digest, expires time.Time) {
	f.code, f.codeExpires, f.expires = code, expires, &expires
}

func (m *model) session(id *store.SessionID) *session {
	if id == nil {
		return nil
	}
	return m.sessions[*id]
}

func (m *model) approveAuthorization(p store.ApproveAuthorizationParams) store.Outcome {
	f := m.familyByID(p.ID)
	switch {
	case f == nil:
		return store.OutcomeUnknown
	case f.device != nil && f.user != p.UserID:
		return store.OutcomeMismatched
	case f.status == store.AuthorizationStatusApproved && f.redeemedAs == "" && f.expires != nil && f.expires.After(m.now) &&
		f.user == p.UserID && (p.SessionID == nil && f.session == nil || f.session != nil && is(p.SessionID, f.session.id)):
		switch {
		case m.clients[f.client].disabled:
			return store.OutcomeDisabled
		case m.familyIsOver(f):
			return store.OutcomeRevoked
		}
		if o := m.judgeAgain(f.asks(f.granted, p.DefaultScopes, p.DefaultResources)); o != "" {
			return o
		}
		if f.device != nil {
			return store.OutcomeRetried
		}
		f.expires = new(m.now.Add(p.CodeLifetime))
		if p.Code != nil { // without one the code of before stays
			f.setCode(*p.Code, *f.expires)
		}
		return store.OutcomeRetried
	case f.status != store.AuthorizationStatusPending:
		return store.OutcomeDecided
	case f.marked:
		return store.OutcomeRevoked
	case m.past(f.expires):
		return store.OutcomeExpired
	}
	if o := m.grantable(f.client, p.UserID, p.SessionID); o != store.OutcomeGranted {
		return o
	}
	if !within(p.GrantedScopes, f.asked) {
		return store.OutcomeInvalidScope
	}
	if o := m.judgeAgain(f.asks(p.GrantedScopes, p.DefaultScopes, p.DefaultResources)); o != "" {
		return o
	}
	f.approve(p.UserID, m.session(p.SessionID), p.ReferenceID, p.GrantedScopes)
	if f.device == nil {
		f.setCode(deref(p.Code), m.now.Add(p.CodeLifetime))
	}
	return store.OutcomeApproved
}

func (f *family) asks(scopes, defaultScopes, defaultResources []string) asked {
	return asked{client: f.client, scopes: scopes, defaultScopes: defaultScopes, resources: f.resources, defaultResources: defaultResources}
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (m *model) denyAuthorization(p store.DenyAuthorizationParams) store.Outcome {
	f := m.familyByID(p.ID)
	switch {
	case f == nil:
		return store.OutcomeUnknown
	case f.device != nil && (f.user == "" || !is(p.UserID, f.user)):
		return store.OutcomeMismatched
	case f.status == store.AuthorizationStatusDenied:
		return store.OutcomeRetried
	case f.status != store.AuthorizationStatusPending:
		return store.OutcomeDecided
	case f.marked:
		return store.OutcomeRevoked
	case m.past(f.expires):
		return store.OutcomeExpired
	}
	f.status, f.requestURI = store.AuthorizationStatusDenied, ""
	return store.OutcomeDenied
}

func (m *model) issueAuthorizationCode(p store.IssueAuthorizationCodeParams) store.Outcome {
	f := m.familyByID(p.ID)
	switch {
	case f == nil || f.codeless || f.device != nil:
		return store.OutcomeUnknown
	case f.status == store.AuthorizationStatusDenied:
		return store.OutcomeDenied
	case f.redeemedAs != "":
		return store.OutcomeDecided
	case f.marked:
		return store.OutcomeRevoked
	case m.past(f.expires):
		return store.OutcomeExpired
	case f.status == store.AuthorizationStatusPending:
		return store.OutcomeUndecided
	case m.clients[f.client].disabled:
		return store.OutcomeDisabled
	case !m.familyIsLive(f):
		return store.OutcomeRevoked
	}
	if o := m.judgeAgain(f.asks(f.granted, p.DefaultScopes, p.DefaultResources)); o != "" {
		return o
	}
	m.saw("a code replaced", f.code != "")
	f.setCode(p.Code, m.now.Add(p.CodeLifetime))
	return store.OutcomeIssued
}

func (m *model) grantAuthorization(p store.GrantAuthorizationParams) store.Outcome {
	if m.users[p.UserID] == nil {
		return store.OutcomeUnknown
	}
	if o := m.judge(asked{p.ClientID, p.RedirectURI, p.ResponseType, p.CodeChallenge, p.Scopes, p.DefaultScopes, p.Resources, p.DefaultResources}); o != "" {
		return o
	}
	if o := m.grantable(p.ClientID, p.UserID, p.SessionID); o != store.OutcomeGranted {
		return o
	}
	if !within(p.GrantedScopes, p.Scopes) {
		return store.OutcomeInvalidScope
	}
	f := &family{
		id: p.ID, pair: pair{client: p.ClientID}, asked: p.Scopes, resources: p.Resources,
		redirect: p.RedirectURI, challenge: p.CodeChallenge, key: p.Confirmation,
	}
	f.approve(p.UserID, m.session(p.SessionID), p.ReferenceID, p.GrantedScopes)
	f.setCode(p.Code, m.now.Add(p.CodeLifetime))
	m.families = append(m.families, f)
	return store.OutcomeGranted
}

// Tokens.

func (m *model) redeem(p store.RedeemAuthorizationCodeParams) store.Outcome {
	if !m.authenticates(p.ClientID, p.ClientAuthMethod, p.ClientSecret) {
		return store.OutcomeUnauthenticated
	}
	c := m.clients[p.ClientID]
	f := m.family(func(f *family) bool { return f.code != "" && f.code == p.Code })
	if f == nil {
		return store.OutcomeUnknown
	}
	fresh := m.fresh(p.Proof)
	redeemed := f.redeemedAs != ""
	switch {
	case f.client != p.ClientID,
		!same(f.challenge, p.CodeChallenge),
		!same(f.redirect, p.RedirectURI) && !(p.RedirectURI == nil && f.challenge != nil):
		return store.OutcomeMismatched
	case !fresh && f.redeemedAs != p.AccessTokenID:
		return store.OutcomeProofReplayed
	case redeemed && f.redeemedAs != p.AccessTokenID:
		m.saw("a code replayed, tokens live", m.familyIsLive(f))
		m.mark(f)
		return store.OutcomeReplayed
	case !holds(p.Confirmation, f.key):
		return store.OutcomeMismatched
	case c.disabled:
		return store.OutcomeDisabled
	case !m.familyIsLive(f):
		return store.OutcomeRevoked
	case !redeemed && !f.codeExpires.After(m.now):
		return store.OutcomeExpired
	case !within(p.Resources, f.resources):
		return store.OutcomeInvalidTarget
	case redeemed:
		return store.OutcomeRetried
	}
	if o := m.judgeAgain(f.asks(f.granted, p.DefaultScopes, p.DefaultResources)); o != "" {
		return o
	}
	m.issueFirst(f, firstTokens{
		access: p.AccessTokenID, accessDigest: p.AccessToken, accessLifetime: p.AccessTokenLifetime, withoutRow: p.AccessTokenWithoutRow,
		refresh: p.RefreshTokenID, refreshDigest: p.RefreshToken, refreshLifetime: p.RefreshTokenLifetime, familyLifetime: p.FamilyLifetime,
		resources: p.Resources, key: p.Confirmation,
	})
	return store.OutcomeRedeemed
}

func (m *model) rotate(p store.RotateRefreshTokenParams) store.Outcome {
	if !m.authenticates(p.ClientID, p.ClientAuthMethod, p.ClientSecret) {
		return store.OutcomeUnauthenticated
	}
	c := m.clients[p.ClientID]
	r := m.token(func(t *issued) bool { return t.refresh && t.digest == p.Token && t.client == p.ClientID })
	if r == nil {
		return store.OutcomeUnknown
	}
	f, spent := r.family, r.over
	key := cmp.Or(f.key, r.key)
	switch {
	case c.disabled:
		return store.OutcomeDisabled
	case !holds(p.Confirmation, key):
		return store.OutcomeMismatched
	case !m.familyIsLive(f):
		return store.OutcomeRevoked
	case !spent && m.past(r.expires):
		return store.OutcomeExpired
	}
	outcome, allowed := store.OutcomeRotated, m.allowed(p.ClientID, p.DefaultScopes)
	switch {
	case !within(p.Scopes, kept(r.scopes, allowed)), len(r.scopes) > 0 && len(kept(r.scopes, allowed)) == 0:
		outcome = store.OutcomeInvalidScope
	case !within(p.Resources, kept(r.resources, p.DefaultResources)), len(r.resources) > 0 && len(kept(r.resources, p.DefaultResources)) == 0:
		outcome = store.OutcomeInvalidTarget
	}
	m.saw("a scope that the client has lost", outcome == store.OutcomeRotated && !within(r.scopes, allowed))
	again := spent && r.successor != nil && r.successor.id == string(p.SuccessorID)
	if !m.fresh(p.Proof) && !again {
		return store.OutcomeProofReplayed
	}
	since := m.now
	if spent {
		grace, n := p.Grace, r.successor
		if c.grace != nil {
			grace = *c.grace
		}
		switch {
		case again && (n.over && !n.gone || n.gone && m.token(func(t *issued) bool { return t.refresh && t.family == f && !t.over }) != nil):
			m.saw("a call that comes after the use of what it issued", true)
			return store.OutcomeSuperseded
		case n == nil || n.over && !n.gone:
			m.saw("reuse: spent by another server", n == nil)
			m.saw("reuse: the successor was used", n != nil)
			m.mark(f)
			if n == nil {
				m.end(func(p pair, _ *store.ReferenceID) bool { return p == r.pair })
			}
			return store.OutcomeReplayed
		case n.gone && m.token(func(t *issued) bool { return t.refresh && t.family == f && !t.over }) != nil:
			m.saw("reuse: the successor was used and collected", true)
			m.mark(f)
			return store.OutcomeReplayed
		case n.gone || m.past(n.expires):
			return store.OutcomeExpired
		case !again && !p.GraceUntilUsed && !c.untilUsed && !m.now.Before(r.spent.Add(grace)):
			m.saw("reuse: grace is over", true)
			m.mark(f)
			return store.OutcomeReplayed
		}
		m.saw("a retry after grace", !m.now.Before(r.spent.Add(grace)))
		if outcome == store.OutcomeRotated {
			outcome = store.OutcomeRetried
		}
		if again {
			since = r.spent
		}
	}
	if outcome != store.OutcomeRotated && outcome != store.OutcomeRetried {
		m.saw("a retry that asks for more", spent)
		return outcome
	}
	if outcome == store.OutcomeRotated {
		n := *r
		n.id, n.digest, n.keptUntil, n.expires = string(p.SuccessorID), p.Successor, nil, earliest(in(m.now, p.RefreshTokenLifetime, 0), f.limit)
		r.over, r.spent, r.successor = true, m.now, &n
		n.codeID = cmp.Or(r.codeID, &f.id)
		m.tokens = append(m.tokens, &n)
	}
	expires := earliest(in(since, p.AccessTokenLifetime, c.accessLimit), f.limit, f.sessionEnd())
	if before := m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) }); before != nil {
		if before.withoutRow && !again && outcome == store.OutcomeRetried {
			m.saw("a retry without a row that is repeated", true)
			before.expires = expires // nothing remembers the first one
			r.keepFor(before)
		}
	} else {
		access := &issued{
			id: string(p.AccessTokenID), digest: deref(p.AccessToken), pair: r.pair, reference: r.reference, family: f, session: r.session,
			codeID: cmp.Or(r.codeID, &f.id), scopes: kept(or(p.Scopes, r.scopes), allowed), resources: kept(or(p.Resources, r.resources), p.DefaultResources),
			key: cmp.Or(p.Confirmation, key), expires: expires, withoutRow: p.AccessTokenWithoutRow,
		}
		m.tokens = append(m.tokens, access)
		if outcome == store.OutcomeRotated {
			r.successor.keepFor(access)
		} else {
			r.keepFor(access)
		}
	}
	return outcome
}

func (m *model) issueAccessToken(p store.IssueAccessTokenParams) store.Outcome {
	if !m.authenticates(p.ClientID, p.ClientAuthMethod, p.ClientSecret) {
		return store.OutcomeUnauthenticated
	}
	switch c := m.clients[p.ClientID]; {
	case c.disabled:
		return store.OutcomeDisabled
	case c.kind == "none" || !c.uses("client_credentials"):
		return store.OutcomeUnauthorizedClient
	case c.scopes != nil && !within(p.Scopes, c.scopes), c.scopes == nil && !within(p.Scopes, p.DefaultScopes):
		return store.OutcomeInvalidScope
	case !within(p.Resources, p.DefaultResources):
		return store.OutcomeInvalidTarget
	case m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.ID) }) != nil:
		return store.OutcomeRetried
	default:
		m.tokens = append(m.tokens, &issued{
			id: string(p.ID), digest: deref(p.AccessToken), pair: pair{client: p.ClientID}, reference: p.ReferenceID, own: true,
			scopes: p.Scopes, resources: p.Resources, key: p.Confirmation, expires: in(m.now, p.Lifetime, c.accessLimit),
		})
	}
	return store.OutcomeIssued
}

// introspect says what a caller is told of a token.
func (m *model) introspect(client store.ClientID, method string, secret token.Digest, t *issued) store.Outcome {
	switch {
	case method != "server" && !(m.clientIsLive(client) && method != "none" && m.authenticates(client, method, secret)):
		return store.OutcomeUnauthenticated
	case t == nil || !m.tokenIsLive(t):
		return store.OutcomeInactive
	}
	return store.OutcomeActive
}

// uses says whether a client is registered for a grant type.
func (c *client) uses(grant string) bool {
	if c.grants == nil {
		return grant == "authorization_code" || grant == "refresh_token"
	}
	return slices.Contains(c.grants, grant)
}

// introspectFamily is introspect for an access token without a row.
func (m *model) introspectFamily(client store.ClientID, method string, secret token.Digest, f *family) store.Outcome {
	switch {
	case method != "server" && !(m.clientIsLive(client) && method != "none" && m.authenticates(client, method, secret)):
		return store.OutcomeUnauthenticated
	case !m.isInForce(f):
		return store.OutcomeInactive
	}
	return store.OutcomeActive
}

func (m *model) revokeToken(client store.ClientID, method string, secret token.Digest, t *issued) store.Outcome {
	switch {
	case !m.authenticates(client, method, secret):
		return store.OutcomeUnauthenticated
	case t == nil || t.client != client:
		return store.OutcomeUnknown
	case t.refresh:
		m.saw("a family revoked by a spent token", t.over && m.familyIsLive(t.family))
		return m.mark(t.family)
	case t.revoked():
		return store.OutcomeRevoked
	}
	t.over, t.spent = true, m.now
	return store.OutcomeEnded
}

// revoked says whether an access token was revoked by itself.
func (t *issued) revoked() bool { return !t.spent.IsZero() }

func (m *model) mark(f *family) store.Outcome {
	if f == nil {
		return store.OutcomeUnknown
	}
	if f.marked {
		return store.OutcomeRevoked
	}
	f.marked, f.markedAt = true, m.now
	return store.OutcomeEnded
}

// Users, clients and their grants.

func (m *model) revokeUserAuthorizations(id store.UserID) store.Outcome {
	if u := m.users[id]; u == nil || u.deleted {
		return store.OutcomeUnknown
	}
	m.end(func(p pair, _ *store.ReferenceID) bool { return p.user == id })
	return store.OutcomeEnded
}

func (m *model) revokeUserAuthorizationsByClient(of pair) store.Outcome {
	if u := m.users[of.user]; u == nil || u.deleted {
		return store.OutcomeUnknown
	}
	m.end(func(p pair, _ *store.ReferenceID) bool { return p == of })
	return store.OutcomeEnded
}

func (m *model) revokeClientAuthorizations(id store.ClientID) store.Outcome {
	if c := m.clients[id]; c == nil || c.deleted {
		return store.OutcomeUnknown
	}
	m.endClient(id)
	return store.OutcomeEnded
}

func (m *model) suspendUser(id store.UserID) store.Outcome {
	switch u := m.users[id]; {
	case u == nil || u.deleted:
		return store.OutcomeUnknown
	case u.suspended:
		return store.OutcomeRevoked
	default:
		u.suspended = true
	}
	m.endUser(id)
	return store.OutcomeEnded
}

func (m *model) reinstateUser(id store.UserID) store.Outcome {
	switch u := m.users[id]; {
	case u == nil || u.deleted:
		return store.OutcomeUnknown
	case !u.suspended:
		return store.OutcomeRetried
	default:
		u.suspended = false
	}
	// what another server wrote meanwhile doesn't come to life; but nothing looks for its sessions' rows
	m.end(func(p pair, _ *store.ReferenceID) bool { return p.user == id })
	for _, s := range m.sessions {
		s.over = s.over || s.user == id
	}
	return store.OutcomeReinstated
}

func (m *model) deleteUser(id store.UserID) store.Outcome {
	u := m.users[id]
	if u == nil || u.deleted {
		return store.OutcomeUnknown
	}
	u.deleted, u.suspended = true, true
	m.endUser(id)
	for of, c := range m.clients {
		if c.owner == id {
			c.disabled = true
			m.endClient(of)
		}
	}
	return store.OutcomeDeleted
}

func (m *model) disableClient(id store.ClientID) store.Outcome {
	c := m.clients[id]
	if c == nil || c.deleted {
		return store.OutcomeUnknown
	}
	c.disabled = true
	return store.OutcomeEnded
}

func (m *model) enableClient(id store.ClientID) store.Outcome {
	c := m.clients[id]
	switch {
	case c == nil || c.deleted:
		return store.OutcomeUnknown
	case c.owner != "" && m.users[c.owner].deleted:
		return store.OutcomeDisabled
	}
	c.disabled = false
	return store.OutcomeEnabled
}

func (m *model) deleteClient(id store.ClientID) store.Outcome {
	c := m.clients[id]
	if c == nil || c.deleted {
		return store.OutcomeUnknown
	}
	c.deleted, c.disabled, c.secret = true, true, ""
	if c.methodless {
		c.kind = "none" // nothing is left that it could authenticate with
	}
	m.endClient(id)
	return store.OutcomeDeleted
}

// Sessions.

func (m *model) createSession(p store.CreateSessionParams) (outcome store.Outcome, ended int64) {
	switch u := m.users[p.UserID]; {
	case u == nil || u.deleted:
		return store.OutcomeUnknown, 0
	case u.suspended:
		return store.OutcomeSuspended, 0
	case m.sessions[p.ID] != nil:
		return store.OutcomeTaken, 0
	}
	if p.MaxSessions > 0 {
		var live []*session
		for _, s := range m.sessions {
			if s.user == p.UserID && m.sessionIsLive(s) {
				live = append(live, s)
			}
		}
		slices.SortFunc(live, func(a, b *session) int { return cmp.Or(b.began.Compare(a.began), cmp.Compare(b.id, a.id)) })
		for _, s := range live[min(len(live), int(p.MaxSessions)-1):] {
			m.markSession(s)
			ended++
		}
	}
	m.sessions[p.ID] = &session{id: p.ID, cookie: p.Token, user: p.UserID, began: m.now, expires: m.now.Add(p.Lifetime)}
	return store.OutcomeCreated, ended
}

func (m *model) extendSession(p store.ExtendSessionParams) store.Outcome {
	s := m.sessions[p.ID]
	if !m.sessionIsLive(s) {
		return store.OutcomeSignedOut
	}
	to := m.now.Add(p.Lifetime)
	if p.MaxLifetime != nil {
		to = *earliest(&to, new(s.began.Add(*p.MaxLifetime)))
	}
	if gain := to.Sub(s.expires); gain <= 0 || gain < p.MinGain {
		return store.OutcomeActive
	}
	s.expires = to
	return store.OutcomeExtended
}

func (m *model) endSession(id store.SessionID) store.Outcome {
	s := m.sessions[id]
	switch {
	case s == nil:
		return store.OutcomeUnknown
	case s.marked:
		return store.OutcomeRevoked
	}
	m.markSession(s)
	return store.OutcomeEnded
}

func (m *model) endUserSessions(p store.EndUserSessionsParams) (store.Outcome, int64) {
	if u := m.users[p.UserID]; u == nil || u.deleted {
		return store.OutcomeUnknown, 0
	}
	return store.OutcomeEnded, m.endSessions(p.UserID, p.Keep)
}

func (m *model) forgetSession(s *session) {
	delete(m.sessions, s.id)
	for _, f := range m.families {
		if f.session == s {
			f.session = nil
		}
	}
	for _, t := range m.tokens {
		if t.session == s {
			t.session = nil
		}
	}
}

// Consents.

func (m *model) grantConsent(p store.GrantConsentParams) (store.Outcome, []string) {
	if m.users[p.UserID] == nil {
		return store.OutcomeUnknown, nil
	}
	if o := m.grantable(p.ClientID, p.UserID, nil); o != store.OutcomeGranted {
		return o, nil
	}
	k := pair{p.ClientID, p.UserID}
	g := m.consents[k]
	if g == nil {
		g = &consent{pair: k, id: p.ID}
		m.consents[k] = g
	}
	m.saw("a consent moved to another tenant", g.scopes != nil && !same(g.reference, p.ReferenceID))
	if !p.Merge || g.over || !same(g.reference, p.ReferenceID) {
		g.scopes, g.at = nil, nil
	}
	if len(p.Resources) == 0 {
		g.scopes = slices.Concat(g.scopes, p.Scopes)
	}
	for _, r := range p.Resources {
		g.at = maps.Clone(g.at)
		if g.at == nil {
			g.at = map[string][]string{}
		}
		g.at[r] = asSet(slices.Concat(g.at[r], p.Scopes))
	}
	g.scopes, g.reference, g.over = asSet(g.scopes), p.ReferenceID, false
	return store.OutcomeGranted, g.scopes
}

func asSet(of []string) []string {
	set := []string{}
	for _, s := range of {
		if !slices.Contains(set, s) {
			set = append(set, s)
		}
	}
	return set
}

// consent is what counts of a pair in a tenant.
func (m *model) consent(of pair, reference *store.ReferenceID) *consent {
	if g := m.consents[of]; m.consentCounts(g) && same(g.reference, reference) {
		return g
	}
	return nil
}

func (m *model) checkConsent(p store.CheckConsentParams) store.CheckConsentRow {
	c := m.clients[p.ClientID]
	row := store.CheckConsentRow{Outcome: store.OutcomeUnknown}
	if c == nil || c.deleted {
		return row
	}
	g := m.consent(pair{p.ClientID, p.UserID}, p.ReferenceID)
	missing := map[string]bool{}
	if len(p.Resources) == 0 {
		for _, s := range p.Scopes {
			missing[s] = g == nil || !slices.Contains(g.scopes, s)
		}
	}
	row.Missing, row.MissingResources = asSet(p.Scopes), asSet(p.Resources)
	row.MissingResources = slices.DeleteFunc(row.MissingResources, func(r string) bool {
		var agreed []string
		known := false
		if g != nil {
			agreed, known = g.at[r]
		}
		for _, s := range p.Scopes {
			if !slices.Contains(agreed, s) {
				missing[s], known = true, false
			}
		}
		return known
	})
	row.Missing = slices.DeleteFunc(row.Missing, func(s string) bool { return !missing[s] })
	row.Outcome, row.Covered = store.OutcomeActive, c.skipsConsent || g != nil && len(row.Missing)+len(row.MissingResources) == 0
	if c.skipsConsent {
		row.Missing, row.MissingResources = []string{}, []string{}
	}
	if c.disabled {
		row.Outcome, row.Covered = store.OutcomeDisabled, false
	}
	m.saw("a consent that covers a scope at a resource", row.Covered && g != nil && len(p.Resources) > 0)
	m.saw("a scope that is agreed to at another resource alone", g != nil && len(row.MissingResources) > 0 && len(g.at) > 0)
	m.saw("a consent that covers", row.Covered && g != nil)
	return row
}

func (m *model) withdrawConsent(p store.WithdrawConsentParams) store.Outcome {
	if u := m.users[p.UserID]; u == nil || u.deleted {
		return store.OutcomeUnknown
	}
	of, outcome := pair{p.ClientID, p.UserID}, store.OutcomeEnded
	if m.consent(of, p.ReferenceID) != nil {
		outcome = store.OutcomeWithdrawn
	}
	m.end(func(p2 pair, reference *store.ReferenceID) bool { return p2 == of && same(reference, p.ReferenceID) })
	if g := m.consents[of]; g != nil && same(g.reference, p.ReferenceID) {
		delete(m.consents, of)
	}
	return outcome
}

// Another server's statements.

// foreign gives a token that another server inserts its family: the one of the refresh token it names, the one that codeID names, or a
// new one. derived is the family that began with this codeID before where that was taken; id is the one that a new family got.
func (m *model) foreign(t *issued, refresh *issued, id store.AuthorizationID, sessionGiven bool) *family {
	if refresh != nil && refresh.pair == t.pair {
		return refresh.family
	}
	if f := m.familyByID(id); f != nil {
		return f
	}
	f := &family{
		id: id, asked: t.scopes, resources: t.resources, key: t.key, markedAt: m.now, codeless: true,
		marked: sessionGiven && !(t.session != nil && t.session.user == t.user && m.sessionIsLive(t.session)),
	}
	if t.session != nil && t.session.user != t.user {
		f.approve(t.user, nil, t.reference, t.scopes)
	} else {
		f.approve(t.user, t.session, t.reference, t.scopes)
	}
	f.bound = sessionGiven && !slices.Contains(t.scopes, "offline_access")
	f.client = t.client
	m.saw("another server's grant for a suspended user", m.users[t.user].suspended)
	m.families = append(m.families, f)
	return f
}

// familyOfForeign says which family a token of another server has to get: by its id, or "" for a new one with an id of its own.
func (m *model) familyOfForeign(p pair, refresh *issued, codeID *store.AuthorizationID) store.AuthorizationID {
	switch {
	case refresh != nil && refresh.pair == p:
		return refresh.family.id
	case codeID == nil:
		return ""
	}
	if f := m.familyByID(*codeID); f != nil && f.pair != p {
		return ""
	}
	return *codeID
}
