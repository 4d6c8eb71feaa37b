package model

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Moods are what a history is mostly about, so that each gets deep.
var modelMoods = []string{"grants", "rotations", "endings", "collection"}

// modelActions are the calls, and what happens beside them, with their weight in each mood.
var modelActions = []struct {
	weights [4]int
	run     func(*history, draw)
}{
	{[4]int{13, 10, 10, 14}, (*history).grantAuthorization},
	{[4]int{20, 16, 12, 14}, (*history).redeemAuthorizationCode},
	{[4]int{6, 45, 12, 24}, (*history).rotateRefreshToken},
	{[4]int{10, 16, 6, 24}, (*history).timePasses},
	{[4]int{12, 0, 1, 2}, (*history).createAuthorization},
	{[4]int{8, 0, 0, 0}, (*history).takeAuthorization},
	{[4]int{14, 0, 2, 1}, (*history).approveAuthorization},
	{[4]int{6, 0, 0, 0}, (*history).denyAuthorization},
	{[4]int{14, 0, 1, 0}, (*history).issueAuthorizationCode},
	{[4]int{4, 0, 4, 6}, (*history).createSession},
	{[4]int{0, 0, 6, 8}, (*history).extendSession},
	{[4]int{1, 1, 9, 1}, (*history).endSession},
	{[4]int{0, 0, 5, 0}, (*history).endUserSessions},
	{[4]int{0, 1, 12, 0}, (*history).grantConsent},
	{[4]int{0, 0, 6, 0}, (*history).checkConsent},
	{[4]int{0, 0, 3, 0}, (*history).findConsent},
	{[4]int{0, 1, 5, 0}, (*history).withdrawConsent},
	{[4]int{1, 5, 8, 1}, (*history).revokeToken},
	{[4]int{4, 1, 2, 0}, (*history).revokeAuthorization},
	{[4]int{1, 1, 3, 0}, (*history).revokeUserAuthorizations},
	{[4]int{2, 1, 2, 0}, (*history).revokeClientAuthorizations},
	{[4]int{8, 3, 1, 0}, (*history).disableClient},
	{[4]int{6, 2, 2, 1}, (*history).enableClient},
	{[4]int{1, 0, 4, 0}, (*history).deleteUserOrClient},
	{[4]int{5, 0, 4, 2}, (*history).issueAccessToken},
	{[4]int{0, 8, 8, 3}, (*history).writeForeignRefreshToken},
	{[4]int{0, 1, 3, 2}, (*history).writeForeignAccessToken},
	{[4]int{0, 7, 0, 0}, (*history).rotateElsewhere},
	{[4]int{0, 3, 1, 1}, (*history).adoptRefreshTokens},
	{[4]int{1, 6, 8, 1}, (*history).introspect},
	{[4]int{1, 0, 8, 2}, (*history).list},
	{[4]int{0, 0, 0, 7}, (*history).deleteExpiredAccessTokens},
	{[4]int{0, 2, 0, 9}, (*history).deleteExpiredRefreshTokens},
	{[4]int{0, 0, 0, 5}, (*history).deleteExpiredAuthorizations},
	{[4]int{0, 0, 0, 4}, (*history).deleteExpiredSessions},
	{[4]int{0, 0, 0, 5}, (*history).rememberClientAssertion},
	{[4]int{0, 0, 0, 3}, (*history).deleteExpiredClientAssertions},
}

// modelSlots has each action as often as it weighs in a mood, and as evenly spread as can be: rapid favours small numbers, and so
// it finds the same mix among the first slots as among all.
func modelSlots(mood string) (slots []func(*history, draw)) {
	m, total := slices.Index(modelMoods, mood), 0
	for _, a := range modelActions {
		total += a.weights[m]
	}
	given := make([]int, len(modelActions))
	for n := range total {
		next, most := 0, 0
		for i, a := range modelActions {
			if owed := a.weights[m]*(n+1) - given[i]*total; owed > most {
				next, most = i, owed
			}
		}
		given[next]++
		slots = append(slots, modelActions[next].run)
	}
	return slots
}

// modelStep is one call to be, or nothing at all: what the action makes of a number, as things stand.
type modelStep struct {
	run     func(*history, draw)
	choices uint64
}

// take takes a step.
func (h *history) take(s modelStep) {
	if h.err != nil {
		return
	}
	h.steps = append(h.steps, s)
	n := len(h.lines)
	s.run(h, newDraw(s.choices))
	if h.err == nil && len(h.lines) > n {
		h.compare()
	}
}

// Choices.

// user and client pick one that is or was, and at times one that never was.
func (h *history) user(d draw) store.UserID {
	if d.once(16) {
		return "u0"
	}
	return oneOf(d, h.users...)
}

func (h *history) client(d draw) store.ClientID {
	if d.once(16) {
		return "c0"
	}
	return oneOf(d, h.clients...)
}

// sessionOf picks mostly a session of the user's, sometimes none, and at times anybody's.
func (h *history) sessionOf(d draw, user store.UserID) *store.SessionID {
	of := h.sessions
	if !d.once(16) {
		of = slices.DeleteFunc(slices.Clone(of), func(s store.SessionID) bool {
			return !h.m.signedIn(&s, user)
		})
	}
	if s, found := recent(d, of); found && !d.once(4) {
		return &s
	}
	return nil
}

// tenant is none or one of two.
func (h *history) tenant(d draw) *store.ReferenceID {
	return oneOf(d, nil, nil, nil, new(store.ReferenceID("org1")), new(store.ReferenceID("org2")))
}

func (h *history) resources(d draw) []string {
	return oneOf(d, nil, []string{"https://api.example"}, []string{"https://api.example", "https://files.example"})
}

var (
	modelKeyA  = &token.Confirmation{JKT: "keyA"}
	modelKeyB  = &token.Confirmation{JKT: "keyB"}
	modelKeyAX = &token.Confirmation{JKT: "keyA", X5TS256: "certX"}
)

func (h *history) key(d draw) *token.Confirmation {
	return oneOf(d, nil, nil, modelKeyA, modelKeyA, modelKeyB, modelKeyAX)
}

// some picks some of what there is, and at times more.
func (h *history) some(d draw, all []string, more string) []string {
	some := []string{}
	for _, s := range all {
		if !d.once(4) {
			some = append(some, s)
		}
	}
	if d.once(6) {
		some = append(some, more)
	}
	return some
}

// lifetime is one of the choices, or without end. Where much is collected, little lives long, so that there is something to collect
// and calls come too late.
func (h *history) lifetime(d draw, choices ...time.Duration) *time.Duration {
	if d.once(8) {
		return nil
	}
	if h.mood == "collection" {
		choices = []time.Duration{10 * time.Second, 5 * time.Second, time.Minute}
	}
	return new(oneOf(d, choices...))
}

// Time.

func (h *history) timePasses(d draw) {
	by := oneOf(d, time.Second, time.Second, 5*time.Second, 5*time.Second, 10*time.Second, time.Minute, 5*time.Minute, time.Hour, 24*time.Hour)
	if next := h.m.expiries(); len(next) > 0 && !d.once(2) {
		by = oneOf(d, next[:min(len(next), 2)]...).Sub(h.m.now) // to the very instant
	}
	h.logf("%v pass", by)
	b := &pgx.Batch{}
	for _, sql := range h.sql.age {
		b.Queue(sql, by)
	}
	h.fail(h.tx.SendBatch(h.ctx, b).Close())
	h.passed += by
	h.m.now = h.m.now.Add(by)
	h.m.wrote = true
}

// Authorizations.

var modelAskedScopes = [][]string{
	{"openid", "offline_access"}, {"openid", "offline_access", "email"}, {"openid"}, {"openid", "email"},
}

func (h *history) createAuthorization(d draw) {
	p := store.CreateAuthorizationParams{
		ID: store.AuthorizationID(h.name("a")), ClientID: h.client(d), Scopes: oneOf(d, modelAskedScopes...), Resources: h.resources(d),
		Lifetime: oneOf(d, time.Minute, 10*time.Minute, 10*time.Second),
	}
	if d.once(4) {
		p.Confirmation = h.key(d)
	}
	if !d.once(4) {
		p.RedirectURI = new(fixture.RedirectURI)
	}
	if !d.once(4) {
		p.CodeChallenge, p.CodeChallengeMethod = &fixture.Challenge, new("S256")
	}
	if d.once(2) {
		p.RequestURI = new(h.digest(h.name("q")))
	}
	_, found := do(h, "CreateAuthorization", p, asModelled(h.m.createAuthorization),
		func(ctx context.Context, p store.CreateAuthorizationParams) (pendingRequest, error) {
			return asPending(h.q.CreateAuthorization(ctx, p))
		})
	h.authorizations = append(h.authorizations, p.ID)
	if p.RequestURI != nil && found {
		h.requestURIs = append(h.requestURIs, *p.RequestURI)
	}
}

// pendingRequest is what matters of an authorization that awaits its decision.
type pendingRequest struct {
	ID         store.AuthorizationID
	Client     store.ClientID
	RequestURI *token.Digest
	Scopes     []string
	Resources  []string
	Key        *token.Confirmation
	Expires    *time.Time
}

func asPending(a store.OAuthAuthorization, err error) (pendingRequest, error) {
	return pendingRequest{a.ID, a.ClientID, a.RequestURI, a.Scopes, a.Resources, a.Confirmation, a.ExpiresAt}, err
}

func asModelled[P any](call func(P) (*modelFamily, bool)) func(P) (pendingRequest, bool) {
	return func(p P) (pendingRequest, bool) {
		f, found := call(p)
		if !found {
			return pendingRequest{}, false
		}
		return pendingRequest{f.id, f.client, f.requestURI, f.asked, f.resources, f.dpop, f.expires}, true
	}
}

func (h *history) takeAuthorization(d draw) {
	uris := h.requestURIs
	if !d.once(4) {
		uris = nil
		for _, f := range h.m.families {
			if f.requestURI != nil {
				uris = append(uris, *f.requestURI)
			}
		}
	}
	uri, found := recent(d, uris)
	if !found {
		return
	}
	p := store.TakeAuthorizationByRequestURIParams{RequestURI: uri, ClientID: h.client(d), Lifetime: time.Minute}
	for _, f := range h.m.families {
		if is(f.requestURI, uri) && !d.once(4) {
			p.ClientID = f.client
		}
	}
	do(h, "TakeAuthorizationByRequestURI", p, asModelled(h.m.takeAuthorizationByRequestURI),
		func(ctx context.Context, p store.TakeAuthorizationByRequestURIParams) (pendingRequest, error) {
			return asPending(h.q.TakeAuthorizationByRequestURI(ctx, p))
		})
}

// authorization picks one, mostly of those that are asked for.
func (h *history) authorization(d draw, which func(*modelFamily) bool) (store.AuthorizationID, bool) {
	var ids []store.AuthorizationID
	for _, f := range h.m.families {
		if which(f) {
			ids = append(ids, f.id)
		}
	}
	if len(ids) == 0 || d.once(8) {
		ids = h.authorizations
	}
	return recent(d, ids)
}

func isPending(f *modelFamily) bool { return f.status == store.AuthorizationStatusPending }

func (h *history) approveAuthorization(d draw) {
	id, found := h.authorization(d, isPending)
	if !found {
		return
	}
	p := store.ApproveAuthorizationParams{
		ID: id, UserID: h.user(d), ReferenceID: h.tenant(d), GrantedScopes: []string{"openid"}, AuthTime: new(h.m.now), ACR: new("urn:acr"),
		CodeLifetime: oneOf(d, time.Minute, 10*time.Second),
	}
	p.SessionID = h.sessionOf(d, p.UserID)
	if f := h.m.family(id); f != nil {
		p.GrantedScopes = h.some(d, f.asked, "admin")
	}
	if !d.once(4) {
		p.Code = new(h.digest(h.name("k")))
	}
	r, _ := do(h, "ApproveAuthorization", p, h.m.approveAuthorization, h.q.ApproveAuthorization)
	if p.Code != nil && r.Outcome == store.DecisionOutcomeApproved {
		h.codes = append(h.codes, *p.Code)
	}
}

func (h *history) denyAuthorization(d draw) {
	if id, found := h.authorization(d, isPending); found {
		do(h, "DenyAuthorization", id, h.m.denyAuthorization, h.q.DenyAuthorization)
	}
}

func (h *history) issueAuthorizationCode(d draw) {
	id, found := h.authorization(d, func(f *modelFamily) bool { return !f.redeemed && !f.adopted })
	if !found {
		return
	}
	if f := h.m.family(id); f != nil && f.adopted {
		return // there is nothing to redeem, and no server would ask
	}
	p := store.IssueAuthorizationCodeParams{ID: id, Code: h.digest(h.name("k")), CodeLifetime: oneOf(d, time.Minute, 10*time.Second)}
	if r, _ := do(h, "IssueAuthorizationCode", p, h.m.issueAuthorizationCode, h.q.IssueAuthorizationCode); r.Outcome == store.CodeOutcomeIssued {
		h.codes = append(h.codes, p.Code)
	}
}

func (h *history) grantAuthorization(d draw) {
	p := store.GrantAuthorizationParams{
		ID: store.AuthorizationID(h.name("a")), UserID: h.user(d), ClientID: h.client(d), Scopes: oneOf(d, modelAskedScopes...),
		Resources: h.resources(d), ReferenceID: h.tenant(d), Code: h.digest(h.name("k")), CodeLifetime: oneOf(d, time.Minute, 10*time.Second, 10*time.Minute),
		AuthTime: new(h.m.now), ACR: new("urn:acr"),
	}
	p.GrantedScopes = p.Scopes
	if d.once(4) {
		p.GrantedScopes = h.some(d, p.Scopes, "admin")
	}
	p.SessionID = h.sessionOf(d, p.UserID)
	if !d.once(4) {
		p.RedirectURI = new(fixture.RedirectURI)
	}
	if !d.once(4) {
		p.CodeChallenge, p.CodeChallengeMethod = &fixture.Challenge, new("S256")
	}
	if d.once(4) {
		p.Confirmation = h.key(d)
	}
	outcome, _ := do(h, "GrantAuthorization", p, h.m.grantAuthorization, h.q.GrantAuthorization)
	h.authorizations = append(h.authorizations, p.ID)
	if outcome == store.GrantOutcomeGranted {
		h.codes = append(h.codes, p.Code)
	}
}

func (h *history) redeemAuthorizationCode(d draw) {
	codes := h.codes
	if !d.once(4) {
		codes = slices.DeleteFunc(slices.Clone(codes), func(c token.Digest) bool {
			f := h.m.familyByCode(c)
			return f == nil || f.redeemed || f.revoked != "" || h.m.past(&f.codeExpires)
		})
	}
	code, found := recent(d, codes)
	if !found {
		h.grantAuthorization(d) // there has to be one first
		return
	}
	p := store.RedeemAuthorizationCodeParams{
		Code: code, ClientID: h.client(d),
		AccessTokenLifetime:  h.lifetime(d, time.Minute, 10*time.Second, 5*time.Minute),
		RefreshTokenLifetime: h.lifetime(d, time.Hour, time.Minute, 10*time.Second),
		Confirmation:         h.key(d),
	}
	if f := h.m.familyByCode(code); f != nil {
		p.ClientID, p.RedirectURI, p.CodeChallenge = f.client, f.redirect, f.challenge
		if f.dpop != nil && !d.once(4) {
			p.Confirmation = f.dpop
		}
	}
	if d.once(3) {
		p.FamilyLifetime = new(oneOf(d, time.Minute, time.Hour, 10*time.Second))
	}
	if d.once(16) {
		p.ClientID = h.client(d)
	}
	if d.once(8) {
		p.RedirectURI = oneOf(d, nil, new(fixture.RedirectURI), new("https://evil.example"))
	}
	if d.once(16) {
		p.CodeChallenge = oneOf(d, nil, &fixture.Challenge, new("another"))
	}
	access := h.name("t")
	p.AccessToken, p.AccessTokenID = new(h.digest(access)), store.AccessTokenID(access)
	if !d.once(8) {
		raw := h.name("r")
		p.RefreshToken, p.RefreshTokenID = new(h.digest(raw)), new(store.RefreshTokenID(strings.ToUpper(raw)))
	}
	r, _ := do(h, "RedeemAuthorizationCode", p, h.m.redeemAuthorizationCode, h.q.RedeemAuthorizationCode)
	h.accessTokens, h.accessTokenIDs = append(h.accessTokens, *p.AccessToken), append(h.accessTokenIDs, p.AccessTokenID)
	if p.RefreshToken != nil && r.Outcome == store.RedemptionOutcomeRedeemed {
		h.refreshTokens = append(h.refreshTokens, *p.RefreshToken)
	}
}

func (h *history) revokeAuthorization(d draw) {
	if id, found := h.authorization(d, func(f *modelFamily) bool { return f.revoked == "" }); found {
		do(h, "RevokeAuthorization", id, h.m.revokeAuthorization, h.q.RevokeAuthorization)
	}
}

func (h *history) revokeUserAuthorizations(d draw) {
	p := store.RevokeUserAuthorizationsParams{UserID: h.user(d)}
	if d.once(2) {
		p.ClientID = new(h.client(d))
	}
	key := func(r store.RevokeUserAuthorizationsRow) string {
		return string(r.ClientID) + " " + orEmpty(r.AuthorizationID)
	}
	do(h, "RevokeUserAuthorizations", p, sortedBy(key, h.m.revokeUserAuthorizations), sortedRows(h, key, h.q.RevokeUserAuthorizations))
}

func (h *history) revokeClientAuthorizations(d draw) {
	do(h, "RevokeClientAuthorizations", h.client(d), h.m.revokeClientAuthorizations, h.q.RevokeClientAuthorizations)
}

// sortedBy and sortedRows adapt calls that answer with rows, and that the model never has no answer for.
func sortedBy[P, R any](key func(R) string, call func(P) []R) func(P) ([]R, bool) {
	return func(p P) ([]R, bool) {
		rows := call(p)
		slices.SortFunc(rows, func(a, b R) int { return strings.Compare(key(a), key(b)) })
		return rows, true
	}
}

func sortedRows[P, R any](h *history, key func(R) string, call func(context.Context, P) ([]R, error)) func(context.Context, P) ([]R, error) {
	return func(ctx context.Context, p P) ([]R, error) {
		rows, err := call(ctx, p)
		slices.SortFunc(rows, func(a, b R) int { return strings.Compare(key(inward(h, a)), key(inward(h, b))) })
		return rows, err
	}
}

// Refresh tokens.

// refreshToken picks mostly one that can be rotated, often its predecessor, and sometimes an older one or whichever.
func (h *history) refreshToken(d draw) (token.Digest, bool) {
	current := func(t *modelToken) bool { return h.m.live(t) }
	predecessor := func(t *modelToken) bool { return t.successor != nil && t.successor.ended == nil }
	tooLate := func(t *modelToken) bool { return predecessor(t) && h.m.past(t.family.expires) }
	older := func(t *modelToken) bool { return t.successor != nil && t.successor.ended != nil }
	spentElsewhere := func(t *modelToken) bool { return t.successor == nil && t.ended != nil && t.family != nil }
	whichever := func(*modelToken) bool { return true }
	var tokens []token.Digest
	for _, which := range []func(*modelToken) bool{
		oneOf(d, current, current, current, current, current, current, predecessor, predecessor, predecessor, tooLate, tooLate, older, spentElsewhere, whichever),
		current, whichever,
	} {
		for _, t := range h.m.tokens {
			if t.isRefresh() && which(t) && (t.family == nil || t.family.revoked == "") {
				tokens = append(tokens, *t.digest)
			}
		}
		if len(tokens) > 0 {
			break
		}
	}
	if len(tokens) == 0 || d.once(16) {
		tokens = h.refreshTokens
	}
	return recent(d, tokens)
}

func (h *history) rotateRefreshToken(d draw) {
	presented, found := h.refreshToken(d)
	canRotate := slices.ContainsFunc(h.m.tokens, func(t *modelToken) bool { return t.isRefresh() && h.m.live(t) })
	if !found || !canRotate && !d.once(4) {
		h.redeemAuthorizationCode(d) // there has to be one first
		return
	}
	// like token.Successor, the same for every retry; but each has an id of its own
	raw, access, id := h.names[presented]+"+", h.name("t"), h.name("S")
	p := store.RotateRefreshTokenParams{
		Presented: presented, ClientID: h.client(d), Grace: oneOf(d, time.Minute, 10*time.Second),
		Successor: h.digest(raw), SuccessorID: store.RefreshTokenID(id), RefreshTokenLifetime: h.lifetime(d, time.Hour, time.Minute, 10*time.Second),
		AccessToken: new(h.digest(access)), AccessTokenID: store.AccessTokenID(access), AccessTokenLifetime: h.lifetime(d, time.Minute, 10*time.Second, 5*time.Minute),
	}
	if d.once(8) {
		p.Grace = 0
	}
	if d.once(4) {
		p.FamilyLifetime = new(oneOf(d, time.Minute, time.Hour))
	}
	t := h.m.token(presented)
	if t != nil {
		if !d.once(16) {
			p.ClientID = t.client
		}
		p.Confirmation = t.bound
		if d.once(4) {
			p.Scopes = h.some(d, t.scopes, "admin")
		}
		if d.once(4) {
			p.Resources = h.some(d, t.resources, "https://admin.example")
		}
	}
	if d.once(4) {
		p.Confirmation = h.key(d)
	}
	r, _ := do(h, "RotateRefreshToken", p, h.m.rotateRefreshToken, func(ctx context.Context, p store.RotateRefreshTokenParams) (store.RotateRefreshTokenRow, error) {
		r, err := h.q.RotateRefreshToken(ctx, p)
		if r.AuthorizationID != nil && t != nil && t.family != nil {
			h.alias(*r.AuthorizationID, t.family)
		}
		return r, err
	})
	h.accessTokens, h.accessTokenIDs = append(h.accessTokens, *p.AccessToken), append(h.accessTokenIDs, p.AccessTokenID)
	if r.Outcome == store.RotationOutcomeRotated {
		h.refreshTokens = append(h.refreshTokens, p.Successor)
	}
}

// alias notes that the database knows an adopted family by another name than the model.
func (h *history) alias(id store.AuthorizationID, f *modelFamily) {
	if f.adopted && strings.HasPrefix(string(id), "azn_") {
		h.aliases[id] = f.id
	}
}

// writeForeignRefreshToken is another server on the same tables: it knows no family, and marks what it has spent as revoked.
func (h *history) writeForeignRefreshToken(d draw) {
	raw := h.name("f")
	t := &modelToken{
		kind: store.TokenKindRefreshToken, id: strings.ToUpper(raw), digest: new(h.digest(raw)), client: h.client(d),
		user: new(h.user(d)), reference: h.tenant(d), scopes: oneOf(d, modelAskedScopes...), expires: h.m.in(h.lifetime(d, time.Hour, time.Minute, 10*time.Second)),
	}
	t.session = h.sessionOf(d, *t.user)
	if d.once(3) {
		t.ended = new(h.m.now)
	}
	h.writeForeign(t)
	if !d.once(3) {
		h.writeForeignAccess(d, t)
	}
}

func (h *history) writeForeignAccessToken(d draw) { h.writeForeignAccess(d, nil) }

func (h *history) writeForeignAccess(d draw, refresh *modelToken) {
	t := &modelToken{client: h.client(d), user: new(h.user(d)), reference: h.tenant(d), scopes: oneOf(d, modelAskedScopes...)}
	if refresh != nil {
		t.client, t.user, t.session, t.reference, t.scopes = refresh.client, refresh.user, refresh.session, refresh.reference, refresh.scopes
	} else {
		t.session = h.sessionOf(d, *t.user)
	}
	raw := h.name("g")
	t.kind, t.id, t.digest, t.refresh = store.TokenKindAccessToken, raw, new(h.digest(raw)), refresh
	t.expires = h.m.in(h.lifetime(d, 10*time.Second, time.Minute, time.Hour))
	h.writeForeign(t)
}

func (h *history) writeForeign(t *modelToken) {
	if h.m.clients[t.client] == nil || !h.m.users[*t.user] || t.session != nil && h.m.sessions[*t.session] == nil {
		return
	}
	table, refreshColumn, args := "oauth_refresh_token", "", []any{
		t.id, string(*t.digest), t.client, t.user, t.session, t.reference, t.scopes, h.outward(t.expires), h.outward(t.ended),
	}
	placeholder := ""
	if t.isRefresh() {
		h.refreshTokens = append(h.refreshTokens, *t.digest)
	} else {
		table = "oauth_access_token"
		h.accessTokens, h.accessTokenIDs = append(h.accessTokens, *t.digest), append(h.accessTokenIDs, store.AccessTokenID(t.id))
		if t.refresh != nil {
			refreshColumn, placeholder, args = ", refresh_id", ", $10", append(args, t.refresh.id)
		}
	}
	_, err := h.tx.Exec(h.ctx, `INSERT INTO `+table+` (id, token, client_id, user_id, session_id, reference_id, scopes, expires_at, revoked`+
		refreshColumn+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9`+placeholder+`)`, args...)
	h.fail(err)
	t.issued = h.m.now
	h.m.tokens, h.m.wrote = append(h.m.tokens, t), true
	h.logf("another server writes %s %s: client=%s user=%s session=%s reference=%s scopes=%v expires=%s%s", t.kind, h.names[*t.digest], t.client,
		*t.user, orEmpty(t.session), orEmpty(t.reference), t.scopes, h.until(t.expires), map[bool]string{true: " spent"}[t.ended != nil])
}

func (h *history) outward(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.Add(-h.passed))
}

func (h *history) until(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return fmt.Sprintf("%+v", t.Sub(h.m.now))
}

// rotateElsewhere is another server that spends a token, of a family or not, and writes a successor that has none.
func (h *history) rotateElsewhere(d draw) {
	presented, found := h.refreshToken(d)
	t := h.m.token(presented)
	if !found || t == nil || t.ended != nil {
		return
	}
	_, err := h.tx.Exec(h.ctx, "UPDATE oauth_refresh_token SET revoked = now() WHERE id = $1", t.id)
	h.fail(err)
	h.m.end(t)
	h.logf("another server spends %s", h.names[presented])
	raw := h.name("f")
	next := *t
	next.id, next.digest, next.expires = strings.ToUpper(raw), new(h.digest(raw)), new(h.m.now.Add(time.Hour))
	next.family, next.ended, next.resources, next.bound, next.authTime = nil, nil, nil, nil, nil
	h.writeForeign(&next)
}

func (h *history) adoptRefreshTokens(d draw) {
	batch := int32(oneOf(d, 1000, 1))
	due := h.m.adoptable(int(batch))
	row, err := h.q.AdoptRefreshTokens(h.ctx, store.AdoptRefreshTokensParams{BatchSize: batch})
	got := row.Adopted
	h.fail(err)
	h.logf("AdoptRefreshTokens(batch_size=%d) → %d", batch, got)
	h.said[fmt.Sprintf("AdoptRefreshTokens %v", got > 0)]++
	h.m.wrote = got > 0
	if want := int64(len(due)); got != want {
		h.fail(fmt.Errorf("AdoptRefreshTokens: got %d, want %d of %v", got, want, due))
	}
	rows, err := h.tx.Query(h.ctx, "SELECT r.id::text, r.authorization_id::text FROM oauth_refresh_token AS r WHERE r.id = ANY ($1) AND r.authorization_id IS NOT NULL ORDER BY r.id", due)
	h.fail(err)
	if h.err != nil {
		return
	}
	var id, family string
	adopted := int64(0)
	_, err = pgx.ForEachRow(rows, []any{&id, &family}, func() error {
		for _, t := range h.m.tokens {
			if t.id == id {
				h.alias(store.AuthorizationID(family), h.m.adopt(t, t.expires))
				adopted++
			}
		}
		return nil
	})
	h.fail(err)
	if adopted != got {
		h.fail(fmt.Errorf("AdoptRefreshTokens: says %d, adopted %d", got, adopted))
	}
}

// Introspection and revocation of one token.

func (h *history) introspect(d draw) {
	call := oneOf(d, "", "access", "refresh", "id")
	digests, ids := slices.Concat(h.accessTokens, h.refreshTokens), h.accessTokenIDs
	if !d.once(3) {
		digests, ids = nil, nil
		for _, t := range h.m.tokens {
			if !h.m.live(t) {
				continue
			}
			if t.digest != nil && (call == "" || call == "refresh" == t.isRefresh()) {
				digests = append(digests, *t.digest)
			}
			if !t.isRefresh() {
				ids = append(ids, store.AccessTokenID(t.id))
			}
		}
	}
	digest, found := recent(d, digests)
	if !found {
		return
	}
	of := func(kind store.TokenKind) func(token.Digest) (store.IntrospectTokenRow, bool) {
		return func(digest token.Digest) (store.IntrospectTokenRow, bool) {
			if t := h.m.token(digest); t == nil || t.kind != kind {
				return store.IntrospectTokenRow{}, false
			}
			return h.m.introspectToken(digest)
		}
	}
	switch call {
	case "":
		do(h, "IntrospectToken", digest, h.m.introspectToken, h.q.IntrospectToken)
	case "access":
		do(h, "IntrospectAccessToken", digest, of(store.TokenKindAccessToken), func(ctx context.Context, digest token.Digest) (store.IntrospectTokenRow, error) {
			r, err := h.q.IntrospectAccessToken(ctx, digest)
			return asTokenRow(store.IntrospectAccessTokenByIDRow(r)), err
		})
	case "refresh":
		do(h, "IntrospectRefreshToken", digest, of(store.TokenKindRefreshToken), func(ctx context.Context, digest token.Digest) (store.IntrospectTokenRow, error) {
			r, err := h.q.IntrospectRefreshToken(ctx, digest)
			return store.IntrospectTokenRow{
				Kind: store.TokenKindRefreshToken, RefreshTokenID: &r.ID, ClientID: r.ClientID, UserID: &r.UserID, SessionID: r.SessionID,
				ReferenceID: r.ReferenceID, AuthorizationID: r.AuthorizationID, Scopes: r.Scopes, Resources: r.Resources,
				Confirmation: r.Confirmation, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt, AuthTime: r.AuthTime, ACR: r.ACR, AMR: r.AMR,
				Username: &r.Username,
			}, err
		})
	case "id":
		id, found := recent(d, ids)
		if !found {
			return
		}
		do(h, "IntrospectAccessTokenByID", id, func(id store.AccessTokenID) (store.IntrospectTokenRow, bool) {
			for _, t := range h.m.tokens {
				if t.id == string(id) && h.m.live(t) {
					return h.m.introspect(t), true
				}
			}
			return store.IntrospectTokenRow{}, false
		}, func(ctx context.Context, id store.AccessTokenID) (store.IntrospectTokenRow, error) {
			r, err := h.q.IntrospectAccessTokenByID(ctx, id)
			return asTokenRow(r), err
		})
	}
}

func (h *history) revokeToken(d draw) {
	digest, found := h.refreshToken(d)
	switch d.below(5) {
	case 1, 2:
		digest, found = recent(d, h.accessTokens)
	case 4:
		if id, found := recent(d, h.accessTokenIDs); found {
			p := store.RevokeAccessTokenByIDParams{ID: id, ClientID: h.client(d)}
			for _, t := range h.m.tokens {
				if t.id == string(id) && !d.once(4) {
					p.ClientID = t.client
				}
			}
			do(h, "RevokeAccessTokenByID", p, h.m.revokeAccessTokenByID, h.q.RevokeAccessTokenByID)
		}
		return
	case 3:
		var strays []token.Digest
		for _, t := range h.m.tokens {
			if t.isRefresh() && t.family == nil {
				strays = append(strays, *t.digest)
			}
		}
		digest, found = recent(d, strays)
	}
	if !found {
		return
	}
	p := store.RevokeTokenParams{Token: digest, ClientID: h.client(d)}
	if t := h.m.token(digest); t != nil && !d.once(4) {
		p.ClientID = t.client
	}
	do(h, "RevokeToken", p, h.m.revokeToken, h.q.RevokeToken)
}

func (h *history) issueAccessToken(d draw) {
	id := h.name("t")
	p := store.IssueAccessTokenParams{
		ID: store.AccessTokenID(id), ClientID: h.client(d), Scopes: oneOf(d, []string{"openid"}, []string{"openid", "calendar"}),
		Lifetime: h.lifetime(d, time.Minute, 10*time.Second), Resources: h.resources(d), ReferenceID: h.tenant(d),
	}
	if d.once(4) {
		p.Confirmation = h.key(d)
	}
	if !d.once(4) {
		p.AccessToken = new(h.digest(id))
		h.accessTokens = append(h.accessTokens, *p.AccessToken)
	}
	h.accessTokenIDs = append(h.accessTokenIDs, p.ID)
	do(h, "IssueAccessToken", p, h.m.issueAccessToken, h.q.IssueAccessToken)
}

// Sessions.

func (h *history) createSession(d draw) {
	p := store.CreateSessionParams{ID: store.SessionID(h.name("s")), UserID: h.user(d), Lifetime: oneOf(d, time.Hour, time.Minute, 10*time.Second)}
	if h.mood == "collection" {
		p.Lifetime = 10 * time.Second
	}
	if !h.m.users[p.UserID] {
		return
	}
	p.Token = h.digest(string(p.ID))
	type session struct {
		User    store.UserID
		Expires time.Time
	}
	do(h, "CreateSession", p, func(p store.CreateSessionParams) (session, bool) {
		s := h.m.createSession(p)
		return session{s.user, s.expires}, true
	}, func(ctx context.Context, p store.CreateSessionParams) (session, error) {
		s, err := h.q.CreateSession(ctx, p)
		return session{s.UserID, s.ExpiresAt}, err
	})
	h.sessions = append(h.sessions, p.ID)
}

func (h *history) extendSession(d draw) {
	id, found := h.session(d)
	if !found {
		return
	}
	p := store.ExtendSessionParams{ID: id, Lifetime: oneOf(d, time.Hour, time.Minute), MinGain: oneOf(d, 30*time.Second, 0)}
	if d.once(2) {
		p.MaxLifetime = new(oneOf(d, time.Hour, 2*time.Hour))
	}
	do(h, "ExtendSession", p, h.m.extendSession, h.q.ExtendSession)
}

func endedKey(r store.EndSessionRow) string {
	return fmt.Sprint(r.SessionID, orEmpty(r.ClientID), " ", orEmpty(r.AuthorizationID))
}

// session picks mostly one that there is.
func (h *history) session(d draw) (store.SessionID, bool) {
	sessions := h.sessions
	if !d.once(8) {
		sessions = slices.DeleteFunc(slices.Clone(sessions), func(s store.SessionID) bool { return h.m.sessions[s] == nil })
	}
	return recent(d, sessions)
}

func (h *history) endSession(d draw) {
	if id, found := h.session(d); found {
		do(h, "EndSession", id, sortedBy(endedKey, h.m.endSession), sortedRows(h, endedKey, h.q.EndSession))
	}
}

func (h *history) endUserSessions(d draw) {
	p := store.EndUserSessionsParams{UserID: h.user(d)}
	if d.once(2) {
		p.Keep = h.sessionOf(d, p.UserID)
	}
	key := func(r store.EndUserSessionsRow) string { return endedKey(store.EndSessionRow(r)) }
	do(h, "EndUserSessions", p, sortedBy(key, h.m.endUserSessions), sortedRows(h, key, h.q.EndUserSessions))
}

// Consents.

type consentOf struct {
	ID        store.ConsentID
	Reference *store.ReferenceID
	Scopes    []string
}

func asConsent(c store.OAuthConsent, err error) (consentOf, error) {
	return consentOf{c.ID, c.ReferenceID, c.Scopes}, err
}

func ofModel[P any](call func(P) (modelConsent, bool)) func(P) (consentOf, bool) {
	return func(p P) (consentOf, bool) {
		c, found := call(p)
		return consentOf{c.id, c.reference, c.scopes}, found
	}
}

var modelConsentScopes = []string{"openid", "offline_access", "email"}

func (h *history) grantConsent(d draw) {
	p := store.GrantConsentParams{
		ID: store.ConsentID(h.name("n")), ClientID: h.client(d), UserID: h.user(d), ReferenceID: h.tenant(d),
		Scopes: h.some(d, modelConsentScopes, "openid"), Merge: d.once(2),
	}
	granted := slices.DeleteFunc(slices.Clone(h.m.families), func(f *modelFamily) bool { return f.user == nil })
	if f, found := recent(d, granted); found && !d.once(4) {
		p.ClientID, p.UserID, p.ReferenceID = f.client, *f.user, f.reference
	}
	if h.m.clients[p.ClientID] == nil || !h.m.users[p.UserID] {
		return
	}
	do(h, "GrantConsent", p, ofModel(h.m.grantConsent), func(ctx context.Context, p store.GrantConsentParams) (consentOf, error) {
		return asConsent(h.q.GrantConsent(ctx, p))
	})
}

// consented picks a client, a user and a tenant, mostly of a consent that there is.
func (h *history) consented(d draw) (store.ClientID, store.UserID, *store.ReferenceID) {
	client, user, tenant := h.client(d), h.user(d), h.tenant(d)
	if d.once(6) {
		return client, user, tenant
	}
	var pairs []modelPair
	for _, c := range h.clients {
		for _, u := range h.users {
			if h.m.consents[modelPair{c, u}] != nil {
				pairs = append(pairs, modelPair{c, u})
			}
		}
	}
	if pair, found := recent(d, pairs); found {
		client, user = pair.client, pair.user
		if !d.once(4) {
			tenant = h.m.consents[pair].reference
		}
	}
	return client, user, tenant
}

func (h *history) checkConsent(d draw) {
	var p store.CheckConsentParams
	p.ClientID, p.UserID, p.ReferenceID = h.consented(d)
	p.Scopes = h.some(d, modelConsentScopes, "admin")
	do(h, "CheckConsent", p, h.m.checkConsent, h.q.CheckConsent)
}

func (h *history) findConsent(d draw) {
	var p store.FindConsentParams
	p.ClientID, p.UserID, p.ReferenceID = h.consented(d)
	do(h, "FindConsent", p, ofModel(h.m.findConsent), func(ctx context.Context, p store.FindConsentParams) (consentOf, error) {
		return asConsent(h.q.FindConsent(ctx, p))
	})
}

func (h *history) withdrawConsent(d draw) {
	var p store.WithdrawConsentParams
	p.ClientID, p.UserID, p.ReferenceID = h.consented(d)
	do(h, "WithdrawConsent", p, h.m.withdrawConsent, h.q.WithdrawConsent)
}

// Users and clients.

func (h *history) disableClient(d draw) {
	id := h.client(d)
	if f, found := recent(d, h.m.families); found && !d.once(4) {
		id = f.client
	}
	do(h, "DisableClient", id, func(id store.ClientID) (bool, bool) { return h.m.switchClient(id, true) },
		func(ctx context.Context, id store.ClientID) (bool, error) {
			c, err := h.q.DisableClient(ctx, id)
			return c.Disabled, err
		})
}

func (h *history) enableClient(d draw) {
	id := h.client(d)
	for _, c := range h.clients {
		if m := h.m.clients[c]; m != nil && m.disabled && !d.once(8) {
			id = c
		}
	}
	do(h, "EnableClient", id, func(id store.ClientID) (bool, bool) { return h.m.switchClient(id, false) },
		func(ctx context.Context, id store.ClientID) (bool, error) {
			c, err := h.q.EnableClient(ctx, id)
			return c.Disabled, err
		})
}

func (h *history) deleteUserOrClient(d draw) {
	user, client := h.user(d), h.client(d)
	if d.once(3) {
		user, client = "u0", "c0"
	}
	if d.once(2) {
		do(h, "DeleteUser", user, h.m.deleteUser, h.q.DeleteUser)
	} else {
		do(h, "DeleteClient", client, h.m.deleteClient, h.q.DeleteClient)
	}
}

func (h *history) rememberClientAssertion(d draw) {
	p := store.RememberClientAssertionParams{ExpiresAt: h.m.now.Add(oneOf(d, time.Minute, 10*time.Second))}
	if known, found := recent(d, h.assertions); found && d.once(2) {
		p.ID = known
	} else {
		p.ID = h.digest(h.name("j"))
		h.assertions = append(h.assertions, p.ID)
	}
	do(h, "RememberClientAssertion", p, h.m.rememberClientAssertion, h.q.RememberClientAssertion)
}

// Collectors.

// collect runs one of the collectors, and lets the model forget what it has chosen of what is due.
func (h *history) collect(name, table string, batch int32, due []string, run func() (int64, error), forget func(id string)) {
	got, err := run()
	h.fail(err)
	h.logf("%s → %d", name, got)
	h.said[fmt.Sprintf("%s %v", strings.Split(name, "(")[0], got > 0)]++
	h.m.wrote = got > 0
	if want := min(int64(len(due)), int64(batch)); got != want {
		h.fail(fmt.Errorf("%s: got %d, want %d of %v", name, got, want, due))
	}
	if h.err != nil || got == 0 {
		return
	}
	rows, err := h.tx.Query(h.ctx, "SELECT x.id::text FROM "+table+" AS x")
	if err != nil {
		h.fail(err)
		return
	}
	kept, err := pgx.CollectRows(rows, pgx.RowTo[string])
	h.fail(err)
	for from, to := range h.aliases {
		if i := slices.Index(kept, string(from)); i >= 0 {
			kept[i] = string(to)
		}
	}
	for _, id := range due {
		if !slices.Contains(kept, id) {
			forget(id)
		}
	}
}

func modelBatch(d draw) int32 { return int32(oneOf(d, 1000, 1000, 1000, 1)) }

func modelRetention(d draw) time.Duration { return oneOf(d, 0, time.Hour) }

func (h *history) deleteExpiredAccessTokens(d draw) {
	batch := modelBatch(d)
	h.collect(fmt.Sprintf("DeleteExpiredAccessTokens(batch_size=%d)", batch), "oauth_access_token", batch, h.m.dueAccessTokens(),
		func() (int64, error) { return h.q.DeleteExpiredAccessTokens(h.ctx, batch) },
		func(id string) { h.m.forget(func(t *modelToken) bool { return t.id == id }) })
}

func (h *history) deleteExpiredRefreshTokens(d draw) {
	p := store.DeleteExpiredRefreshTokensParams{BatchSize: modelBatch(d), Retention: modelRetention(d)}
	h.collect(fmt.Sprintf("DeleteExpiredRefreshTokens(batch_size=%d retention=%v)", p.BatchSize, p.Retention), "oauth_refresh_token", p.BatchSize,
		h.m.dueRefreshTokens(p.Retention),
		func() (int64, error) { return h.q.DeleteExpiredRefreshTokens(h.ctx, p) },
		func(id string) { h.m.forget(func(t *modelToken) bool { return t.id == id }) })
}

func (h *history) deleteExpiredAuthorizations(d draw) {
	p := store.DeleteExpiredAuthorizationsParams{BatchSize: modelBatch(d), Retention: modelRetention(d)}
	h.collect(fmt.Sprintf("DeleteExpiredAuthorizations(batch_size=%d retention=%v)", p.BatchSize, p.Retention), "oauth_authorization", p.BatchSize,
		h.m.dueAuthorizations(p.Retention),
		func() (int64, error) { return h.q.DeleteExpiredAuthorizations(h.ctx, p) },
		func(id string) { h.m.forgetFamilies(func(f *modelFamily) bool { return string(f.id) == id }) })
}

func (h *history) deleteExpiredSessions(d draw) {
	batch := modelBatch(d)
	h.collect(fmt.Sprintf("DeleteExpiredSessions(batch_size=%d)", batch), "session", batch, h.m.dueSessions(),
		func() (int64, error) { return h.q.DeleteExpiredSessions(h.ctx, batch) },
		func(id string) { h.m.forgetSession(store.SessionID(id)) })
}

func (h *history) deleteExpiredClientAssertions(d draw) {
	batch := modelBatch(d)
	h.collect(fmt.Sprintf("DeleteExpiredClientAssertions(batch_size=%d)", batch), "oauth_client_assertion", batch, h.m.dueAssertions(),
		func() (int64, error) { return h.q.DeleteExpiredClientAssertions(h.ctx, batch) },
		func(id string) { delete(h.m.assertions, token.Digest(id)) })
}

// Lists.

func (h *history) list(d draw) {
	user, client := oneOf(d, h.users...), oneOf(d, h.clients...)
	ids := func(rows []store.OAuthAuthorization, err error) ([]string, error) {
		ids := []string{}
		for _, a := range rows {
			ids = append(ids, string(inward(h, a.ID)))
		}
		slices.Sort(ids)
		return ids, err
	}
	switch d.below(4) {
	case 0:
		do(h, "ListUserAuthorizations", user, func(user store.UserID) ([]string, bool) { return h.m.listUserAuthorizations(user), true },
			func(ctx context.Context, user store.UserID) ([]string, error) {
				return ids(h.q.ListUserAuthorizations(ctx, store.ListUserAuthorizationsParams{UserID: user, PageSize: 1000}))
			})
		return
	case 1:
		do(h, "ListClientAuthorizations", client, func(client store.ClientID) ([]string, bool) { return h.m.listClientAuthorizations(client), true },
			func(ctx context.Context, client store.ClientID) ([]string, error) {
				return ids(h.q.ListClientAuthorizations(ctx, store.ListClientAuthorizationsParams{ClientID: client, PageSize: 1000}))
			})
		return
	case 2:
		if id, found := recent(d, h.sessions); found {
			type found struct{ Session store.SessionID }
			do(h, "FindSessionByToken", h.digest(string(id)), func(digest token.Digest) (found, bool) {
				id, live := h.m.findSessionByToken(digest)
				return found{id}, live
			}, func(ctx context.Context, digest token.Digest) (found, error) {
				r, err := h.q.FindSessionByToken(ctx, digest)
				return found{r.Session.ID}, err
			})
		}
		return
	}
	do(h, "ListUserConsents", user, func(user store.UserID) ([]modelListedConsent, bool) { return h.m.listUserConsents(user), true },
		func(ctx context.Context, user store.UserID) ([]modelListedConsent, error) {
			rows, err := h.q.ListUserConsents(ctx, store.ListUserConsentsParams{UserID: user, PageSize: 1000})
			listed := []modelListedConsent{}
			for _, c := range rows {
				listed = append(listed, modelListedConsent{c.ID, c.Authorizations})
			}
			slices.SortFunc(listed, func(a, b modelListedConsent) int { return strings.Compare(string(a.ID), string(b.ID)) })
			return listed, err
		})
}
