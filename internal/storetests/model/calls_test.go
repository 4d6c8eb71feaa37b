package model

import (
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
var moods = []string{"grants", "callers", "rotations", "endings", "sessions", "consents", "foreign", "collection"}

// actions are the calls, and what happens beside them, with their weight in each mood.
var actions = []struct {
	weights [8]int
	run     func(*history, draw)
}{
	{[8]int{13, 12, 10, 12, 10, 6, 5, 12}, (*history).grantAuthorization},
	{[8]int{24, 12, 14, 12, 8, 4, 4, 14}, (*history).redeem},
	{[8]int{8, 6, 4, 6, 6, 2, 1, 4}, (*history).issueGrant},
	{[8]int{3, 8, 40, 5, 0, 0, 8, 18}, (*history).rotate},
	{[8]int{9, 8, 14, 3, 7, 0, 3, 18}, (*history).timePasses},
	{[8]int{12, 0, 0, 0, 0, 0, 0, 2}, (*history).createAuthorization},
	{[8]int{6, 0, 0, 0, 0, 0, 0, 0}, (*history).takeAuthorization},
	{[8]int{20, 0, 0, 0, 3, 0, 0, 1}, (*history).approveAuthorization},
	{[8]int{4, 0, 0, 0, 0, 0, 0, 0}, (*history).denyAuthorization},
	{[8]int{12, 0, 0, 2, 0, 0, 0, 0}, (*history).issueAuthorizationCode},
	{[8]int{0, 28, 0, 3, 0, 0, 0, 2}, (*history).issueAccessToken},
	{[8]int{0, 16, 0, 0, 0, 0, 0, 0}, (*history).authenticateClient},
	{[8]int{0, 12, 0, 0, 0, 0, 0, 0}, (*history).rotateClientSecret},
	{[8]int{0, 12, 0, 0, 0, 0, 0, 0}, (*history).introspect},
	{[8]int{0, 8, 2, 3, 0, 0, 0, 1}, (*history).revokeToken},
	{[8]int{4, 0, 2, 3, 0, 0, 0, 0}, (*history).revokeAuthorization},
	{[8]int{1, 0, 1, 4, 0, 2, 2, 1}, (*history).revokeUserAuthorizations},
	{[8]int{1, 0, 1, 4, 0, 3, 2, 1}, (*history).revokeUserAuthorizationsByClient},
	{[8]int{1, 2, 1, 5, 0, 0, 2, 1}, (*history).revokeClientAuthorizations},
	{[8]int{3, 3, 2, 4, 0, 1, 1, 1}, (*history).disableClient},
	{[8]int{3, 3, 2, 5, 0, 1, 1, 1}, (*history).enableClient},
	{[8]int{0, 1, 0, 2, 0, 0, 0, 1}, (*history).deleteClient},
	{[8]int{2, 0, 1, 4, 3, 3, 5, 1}, (*history).suspendUser},
	{[8]int{2, 0, 1, 4, 3, 3, 4, 0}, (*history).reinstateUser},
	{[8]int{1, 0, 0, 2, 2, 2, 3, 1}, (*history).deleteUser},
	{[8]int{3, 0, 1, 2, 14, 0, 2, 5}, (*history).createSession},
	{[8]int{2, 0, 3, 2, 9, 0, 1, 3}, (*history).extendSession},
	{[8]int{2, 0, 2, 3, 6, 0, 2, 1}, (*history).endSession},
	{[8]int{1, 0, 0, 2, 9, 0, 1, 0}, (*history).endUserSessions},
	{[8]int{0, 0, 0, 0, 0, 22, 0, 3}, (*history).grantConsent},
	{[8]int{0, 0, 0, 0, 0, 16, 0, 0}, (*history).checkConsent},
	{[8]int{0, 0, 0, 3, 0, 7, 0, 1}, (*history).withdrawConsent},
	{[8]int{0, 0, 4, 4, 1, 1, 22, 3}, (*history).foreignRefreshToken},
	{[8]int{0, 0, 2, 3, 0, 0, 16, 3}, (*history).foreignAccessToken},
	{[8]int{0, 0, 8, 0, 0, 0, 14, 1}, (*history).foreignRotation},
	{[8]int{0, 0, 0, 0, 6, 0, 4, 0}, (*history).foreignSession},
	{[8]int{1, 0, 0, 1, 4, 0, 4, 1}, (*history).foreignSignOut},
	{[8]int{0, 0, 0, 0, 0, 8, 0, 1}, (*history).foreignConsent},
	{[8]int{2, 4, 2, 8, 1, 0, 1, 2}, (*history).exchange},
	{[8]int{12, 4, 2, 3, 3, 0, 0, 4}, (*history).createDeviceAuthorization},
	{[8]int{14, 2, 2, 3, 3, 0, 0, 3}, (*history).claim},
	{[8]int{24, 5, 4, 6, 4, 0, 0, 8}, (*history).poll},
	{[8]int{0, 0, 0, 1, 8, 4, 5, 0}, (*history).byHand},
	{[8]int{0, 0, 1, 2, 2, 1, 3, 24}, (*history).collect},
	{[8]int{1, 0, 0, 3, 1, 0, 2, 1}, (*history).list},
}

// slots has each action as often as it weighs in a mood, and as evenly spread as can be: rapid favours small numbers, and so it finds
// the same mix among the first slots as among all.
func slots(mood string) (slots []func(*history, draw)) {
	m, total := slices.Index(moods, mood), 0
	for _, a := range actions {
		total += a.weights[m]
	}
	given := make([]int, len(actions))
	for n := range total {
		next, most := 0, 0
		for i, a := range actions {
			if owed := a.weights[m]*(n+1) - given[i]*total; owed > most {
				next, most = i, owed
			}
		}
		given[next]++
		slots = append(slots, actions[next].run)
	}
	return slots
}

// Choices.

// user and client pick one that there is, and at times one that never was.
func (h *history) user(d draw) store.UserID {
	if d.once(20) {
		return "u0"
	}
	return mostly(d, h.users, h.m.userIsLive)
}

// mostly picks one of those for which something holds, if there are any, and at times any.
func mostly[T any](d draw, items []T, holds func(T) bool) T {
	if picked := slices.DeleteFunc(slices.Clone(items), func(i T) bool { return !holds(i) }); len(picked) > 0 && !d.once(5) {
		return oneOf(d, picked...)
	}
	return oneOf(d, items...)
}

func (h *history) client(d draw) store.ClientID {
	if d.once(20) {
		return "c0"
	}
	return mostly(d, h.clients, h.m.clientIsLive)
}

// pairOf picks a client and a user, mostly of a family that is live, so that an ending finds something to end.
func (h *history) pairOf(d draw) (pair, *store.ReferenceID) {
	live := slices.DeleteFunc(slices.Clone(h.m.families), func(f *family) bool { return !h.m.familyIsLive(f) })
	if f, found := recent(d, live); found && !d.once(4) {
		return f.pair, f.reference
	}
	return pair{h.client(d), h.user(d)}, h.tenant(d)
}

// sessionOf picks mostly a live session of the user's, sometimes none, and at times anybody's.
func (h *history) sessionOf(d draw, user store.UserID) *store.SessionID {
	of := h.sessions
	if !d.once(12) {
		of = slices.DeleteFunc(slices.Clone(of), func(id store.SessionID) bool {
			s := h.m.sessions[id]
			return s == nil || s.user != user || !h.m.sessionIsLive(s)
		})
	}
	if s, found := recent(d, of); found && !d.once(4) {
		return &s
	}
	return nil
}

func (h *history) session(d draw) store.SessionID {
	there := h.sessions
	if !d.once(8) {
		there = slices.DeleteFunc(slices.Clone(there), func(s store.SessionID) bool { return h.m.sessions[s] == nil })
	}
	id, _ := recent(d, there)
	return id
}

// tenant is none or one of two.
func (h *history) tenant(d draw) *store.ReferenceID {
	return oneOf(d, nil, nil, new(store.ReferenceID("org1")), new(store.ReferenceID("org2")))
}

var (
	apis     = []string{"https://api.example", "https://files.example"}
	defaults = []string{"openid", "email", "offline_access"} // what a client may ask for that has no scopes registered
	askedFor = [][]string{{"openid", "offline_access"}, {"openid"}, {"openid", "email", "offline_access"}, {"openid", "email"}}
	keyA     = &token.Confirmation{JKT: "keyA"}
	keyB     = &token.Confirmation{JKT: "keyB"}
	keyAX    = &token.Confirmation{JKT: "keyA", X5TS256: "certX"}
)

func (h *history) key(d draw) *token.Confirmation {
	return oneOf(d, nil, nil, nil, nil, keyA, keyA, keyB, keyAX)
}

// some picks some of what there is, and at times more.
func some(d draw, all []string, more string) []string {
	picked := []string{}
	for _, s := range all {
		if !d.once(4) {
			picked = append(picked, s)
		}
	}
	if d.once(8) && !slices.Contains(picked, more) {
		picked = append(picked, more)
	}
	return picked
}

// lifetime is one of the choices, or without end. Where much is collected little lives long.
func (h *history) lifetime(d draw, choices ...time.Duration) time.Duration {
	if d.once(8) {
		return store.Never
	}
	if h.mood == "collection" {
		choices = []time.Duration{10 * time.Second, 5 * time.Second, time.Minute}
	}
	return oneOf(d, choices...)
}

// caller is how a client authenticates: mostly as it is registered.
func (h *history) caller(d draw, id store.ClientID) (method string, secret token.Digest) {
	c := h.m.clients[id]
	n := 12
	if h.mood == "callers" {
		n = 3
	}
	if c == nil || d.once(n) {
		old, _ := recent(d, h.secrets)
		method = oneOf(d, "", "none", "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "verified")
		secret = oneOf(d, "", h.digest("wrong"), old)
		if c != nil && d.once(2) {
			secret = c.secret
		}
		return method, secret
	}
	return c.registered(d)
}

// registered is how a client authenticates as it has to.
func (c *client) registered(d draw) (method string, secret token.Digest) {
	if c == nil { // deleted
		return "none", ""
	}
	switch c.kind {
	case "secret":
		return oneOf(d, "client_secret_basic", "client_secret_post"), c.secret
	case "key":
		return "private_key_jwt", ""
	case "certificate":
		return oneOf(d, "tls_client_auth", "self_signed_tls_client_auth"), ""
	}
	return "none", ""
}

// proof is mostly none, and at times one that was presented before.
func (h *history) proof(d draw) (*token.Digest, *time.Time) {
	if !d.once(6) {
		return nil, nil
	}
	known, found := recent(d, h.proofs)
	if !found || !d.once(3) {
		known = h.digest(h.name("p"))
		h.proofs = append(h.proofs, known)
	}
	return &known, new(h.began.Add(time.Hour))
}

// Time.

func (h *history) timePasses(d draw) {
	by := oneOf(d, time.Second, 5*time.Second, 5*time.Second, 10*time.Second, time.Minute, time.Hour)
	if next := h.m.expiries(); len(next) > 0 && !d.once(2) {
		by = oneOf(d, next[:min(len(next), 2)]...).Sub(h.m.now) // to the very instant
	}
	h.pass(by)
}

func (h *history) pass(by time.Duration) {
	h.logf("%v pass", by)
	b := &pgx.Batch{}
	for _, sql := range h.sql.age {
		b.Queue(sql, by)
	}
	h.fail(h.tx.SendBatch(h.ctx, b).Close())
	h.passed += by
	h.m.now = h.m.now.Add(by)
}

// Requests and decisions.

func (h *history) authorization(d draw) store.AuthorizationID {
	id, _ := recent(d, h.authorizations)
	return id
}

// pending picks mostly a request that nobody has decided.
func (h *history) pending(d draw) store.AuthorizationID {
	open := slices.DeleteFunc(slices.Clone(h.m.families), func(f *family) bool { return f.status != store.AuthorizationStatusPending })
	if f, found := recent(d, open); found && !d.once(3) {
		return f.id
	}
	return h.authorization(d)
}

func (h *history) createAuthorization(d draw) {
	p := store.CreateAuthorizationParams{
		ID: store.AuthorizationID(h.name("a")), ClientID: h.client(d), Scopes: oneOf(d, askedFor...), Resources: apis[:d.below(3)],
		Lifetime: oneOf(d, time.Minute, 10*time.Second), Confirmation: h.key(d),
	}
	if !d.once(4) {
		p.RedirectURI = oneOf(d, new(fixture.RedirectURI), new(fixture.RedirectURI), new(fixture.RedirectURI), new("https://attacker.example"))
	}
	if !d.once(16) {
		p.ResponseType = new("code")
	}
	if !d.once(4) {
		p.CodeChallenge, p.CodeChallengeMethod = &fixture.Challenge, new("S256")
	}
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	if d.once(2) {
		p.RequestURI, p.RequestURILifetime = new(h.digest(h.name("q"))), oneOf(d, time.Minute, 5*time.Second)
	}
	h.createAuthorizationWith(p)
}

// byDefault are the server's defaults, from which a scope or a resource is missing now and then.
func byDefault(d draw) (scopes, resources []string) {
	switch d.below(24) {
	case 21:
		return defaults[:1], apis
	case 22:
		return defaults, apis[:1]
	case 23:
		return nil, nil
	}
	return defaults, apis
}

func (h *history) createAuthorizationWith(p store.CreateAuthorizationParams) {
	h.authorizations = append(h.authorizations, p.ID)
	if p.RequestURI != nil {
		h.requestURIs = append(h.requestURIs, *p.RequestURI)
	}
	r, err := h.q.CreateAuthorization(h.ctx, p)
	h.answered("CreateAuthorization", p, h.m.createAuthorization(p), r.Outcome, err)
}

func (h *history) takeAuthorization(d draw) {
	uri, found := recent(d, h.requestURIs)
	if !found {
		return
	}
	p := store.TakeAuthorizationByRequestURIParams{RequestURI: uri, ClientID: h.client(d), Lifetime: time.Minute}
	if f := h.m.family(func(f *family) bool { return f.requestURI == uri }); f != nil && !d.once(4) {
		p.ClientID = f.client
	}
	h.takeAuthorizationWith(p)
}

func (h *history) takeAuthorizationWith(p store.TakeAuthorizationByRequestURIParams) {
	want, none := h.m.takeAuthorization(p), store.OutcomeUnknown
	_, err := h.q.TakeAuthorizationByRequestURI(h.ctx, p)
	said := func(found bool) store.Outcome {
		if found {
			return "taken"
		}
		return none
	}
	h.answered("TakeAuthorizationByRequestURI", p, said(want != nil), said(err == nil), withoutNoRows(err))
}

func (h *history) approveAuthorization(d draw) {
	p := store.ApproveAuthorizationParams{
		ID: h.pending(d), UserID: h.user(d), ReferenceID: h.tenant(d), CodeLifetime: oneOf(d, time.Minute, 10*time.Second),
	}
	p.SessionID = h.sessionOf(d, p.UserID)
	f := h.m.familyByID(p.ID)
	if f != nil {
		p.GrantedScopes = some(d, f.asked, oneOf(d, "admin", "email"))
	}
	if approved := slices.DeleteFunc(slices.Clone(h.m.families), func(f *family) bool { return f.user == "" || f.redeemedAs != "" }); d.once(4) && len(approved) > 0 {
		f, _ = recent(d, approved) // a second click
		p.ID, p.UserID, p.SessionID = f.id, f.user, nil
		if f.session != nil {
			p.SessionID = &f.session.id
		}
	}
	if f := h.m.familyByID(p.ID); f != nil && f.device != nil && f.user != "" && !d.once(4) {
		p.UserID, p.SessionID = f.user, h.sessionOf(d, f.user)
	}
	if !d.once(3) {
		p.Code = new(h.newCode())
	}
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	h.approveAuthorizationWith(p)
}

func (h *history) approveAuthorizationWith(p store.ApproveAuthorizationParams) {
	r, err := h.q.ApproveAuthorization(h.ctx, p)
	h.answered("ApproveAuthorization", p, h.m.approveAuthorization(p), r.Outcome, err)
}

func (h *history) newCode() token.Digest {
	code := h.digest(h.name("o"))
	h.codes = append(h.codes, code)
	return code
}

func (h *history) denyAuthorization(d draw) {
	h.denyAuthorizationOf(h.pending(d))
}

func (h *history) denyAuthorizationOf(id store.AuthorizationID) {
	p := store.DenyAuthorizationParams{ID: id}
	if f := h.m.familyByID(id); f != nil && f.user != "" {
		p.UserID = &f.user
	}
	r, err := h.q.DenyAuthorization(h.ctx, p)
	h.answered("DenyAuthorization", p, h.m.denyAuthorization(p), r.Outcome, err)
}

func (h *history) issueAuthorizationCode(d draw) {
	p := store.IssueAuthorizationCodeParams{ID: h.authorization(d), Code: h.newCode(), CodeLifetime: oneOf(d, time.Minute, 10*time.Second)}
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	h.issueAuthorizationCodeWith(p)
}

func (h *history) issueAuthorizationCodeWith(p store.IssueAuthorizationCodeParams) {
	r, err := h.q.IssueAuthorizationCode(h.ctx, p)
	h.answered("IssueAuthorizationCode", p, h.m.issueAuthorizationCode(p), r.Outcome, err)
}

func (h *history) grantAuthorization(d draw) {
	p := store.GrantAuthorizationParams{
		ID: store.AuthorizationID(h.name("a")), UserID: h.user(d), ClientID: h.client(d), ReferenceID: h.tenant(d),
		Scopes: oneOf(d, askedFor...), Resources: apis[:d.below(3)], Confirmation: h.key(d),
		Code: h.newCode(), CodeLifetime: oneOf(d, time.Minute, 10*time.Second),
	}
	p.GrantedScopes = p.Scopes
	if d.once(4) {
		p.GrantedScopes = some(d, p.Scopes, "admin")
	}
	if !d.once(4) {
		p.RedirectURI = oneOf(d, new(fixture.RedirectURI), new(fixture.RedirectURI), new(fixture.RedirectURI), new("https://attacker.example"))
	}
	if !d.once(16) {
		p.ResponseType = new("code")
	}
	if !d.once(4) {
		p.CodeChallenge, p.CodeChallengeMethod = &fixture.Challenge, new("S256")
	}
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	p.SessionID = h.sessionOf(d, p.UserID)
	h.grantAuthorizationWith(p)
}

func (h *history) grantAuthorizationWith(p store.GrantAuthorizationParams) {
	h.authorizations = append(h.authorizations, p.ID)
	outcome, err := h.q.GrantAuthorization(h.ctx, p)
	h.answered("GrantAuthorization", p, h.m.grantAuthorization(p), outcome, err)
}

func (h *history) revokeAuthorization(d draw) {
	h.revokeAuthorizationOf(h.authorization(d))
}

func (h *history) revokeAuthorizationOf(id store.AuthorizationID) {
	r, err := h.q.RevokeAuthorization(h.ctx, id)
	h.answered("RevokeAuthorization", id, h.m.mark(h.m.familyByID(id)), r.Outcome, err)
}

// Tokens.

func (h *history) redeem(d draw) {
	if again, found := recent(d, h.redemptions); found && d.once(5) {
		h.redeemWith(again) // the very same call
		return
	}
	code, found := recent(d, h.codes)
	open := slices.DeleteFunc(slices.Clone(h.m.families), func(f *family) bool {
		return f.code == "" || f.redeemedAs != "" || !h.m.familyIsLive(f) || !f.codeExpires.After(h.m.now)
	})
	if f, some := recent(d, open); !d.once(4) {
		if !some {
			h.grantAuthorization(d) // or there is little to redeem
			return
		}
		code, found = f.code, true
	}
	if !found {
		return
	}
	id := h.name("t")
	p := store.RedeemAuthorizationCodeParams{
		Code: code, ClientID: h.client(d), AccessTokenID: store.AccessTokenID(id),
		AccessTokenLifetime: h.lifetime(d, 5*time.Minute, time.Minute), RefreshTokenLifetime: h.lifetime(d, time.Hour, 10*time.Minute),
		FamilyLifetime: h.lifetime(d, 2*time.Hour, 30*time.Minute, 2*time.Minute), Confirmation: h.key(d),
	}
	if f := h.m.family(func(f *family) bool { return f.code == code }); f != nil {
		if !d.once(12) {
			p.ClientID = f.client
		}
		p.CodeChallenge, p.RedirectURI = f.challenge, f.redirect
		if f.key != nil && !d.once(4) {
			p.Confirmation = f.key
		}
		if d.once(4) {
			p.Resources = some(d, f.resources, apis[1])
		}
	}
	switch d.below(16) {
	case 12:
		p.RedirectURI = nil
	case 13:
		p.RedirectURI = new("https://attacker.example")
	case 14:
		p.CodeChallenge = nil
	case 15:
		p.CodeChallenge = new("another challenge, as long as one has to be, as it is")
	}
	p.ClientAuthMethod, p.ClientSecret = h.caller(d, p.ClientID)
	p.Proof, p.ProofExpiresAt = h.proof(d)
	if !d.once(6) {
		p.AccessToken = new(h.digest(id))
	}
	if !d.once(6) {
		id := h.name("r")
		p.RefreshTokenID, p.RefreshToken = new(store.RefreshTokenID(id)), new(h.digest(id))
	}
	if d.once(4) {
		p.AccessTokenWithoutRow, p.AccessToken, p.AccessTokenLifetime = true, nil, withoutRowFor(p.AccessTokenLifetime)
	}
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	h.redeemWith(p)
}

func (h *history) redeemWith(p store.RedeemAuthorizationCodeParams) {
	want := h.m.redeem(p)
	r, err := h.q.RedeemAuthorizationCode(h.ctx, p)
	h.answered("RedeemAuthorizationCode", p, want, r.Outcome, err)
	if h.err == nil && (want == store.OutcomeRedeemed || want == store.OutcomeRetried) {
		h.redemptions = append(h.redemptions, p)
		h.told("access", r.AccessTokenExpiresAt, h.m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) }))
		if p.RefreshTokenID != nil {
			h.told("refresh", r.RefreshTokenExpiresAt, h.m.token(func(t *issued) bool { return t.refresh && t.id == string(*p.RefreshTokenID) }))
		}
	}
}

// told compares the expiry that an answer names with that of the token, unless it has been collected.
func (h *history) told(kind string, got *time.Time, t *issued) {
	if t != nil && !(t.withoutRow && h.m.past(t.expires)) && h.when(inward(h, got)) != h.when(t.expires) {
		h.fail(fmt.Errorf("the answer says that the %s token expires at %s, want %s", kind, h.when(inward(h, got)), h.when(t.expires)))
	}
}

// refreshToken picks mostly one that can be rotated, or the one before it.
func (h *history) refreshToken(d draw) *issued {
	var all, live []*issued
	for _, t := range h.m.tokens {
		if t.refresh {
			all = append(all, t)
			if h.m.tokenIsLive(t) || t.successor != nil && h.m.tokenIsLive(t.successor) && d.once(2) {
				live = append(live, t)
			}
		}
	}
	if !d.once(4) {
		t, _ := recent(d, live)
		return t
	}
	t, _ := recent(d, all)
	return t
}

func (h *history) rotate(d draw) {
	if again, found := recent(d, h.rotations); found && d.once(8) {
		h.rotateWith(again) // the very same call
		return
	}
	r := h.refreshToken(d)
	if r == nil {
		h.redeem(d) // or there is little to rotate
		return
	}
	id := h.name("t")
	p := store.RotateRefreshTokenParams{
		Token: r.digest, ClientID: r.client, Grace: oneOf(d, 10*time.Second, 0), GraceUntilUsed: d.once(8), Confirmation: h.key(d),
		Successor: h.digest(h.names[r.digest] + "'"), SuccessorID: store.RefreshTokenID(h.name("r")),
		AccessTokenID: store.AccessTokenID(id), AccessTokenLifetime: h.lifetime(d, 5*time.Minute, time.Minute),
		RefreshTokenLifetime: h.lifetime(d, time.Hour, time.Minute),
	}
	if d.once(16) {
		p.ClientID = h.client(d)
	}
	if r.family.key != nil && !d.once(4) {
		p.Confirmation = r.family.key
	}
	if d.once(3) {
		p.Scopes = some(d, r.scopes, oneOf(d, "admin", "email"))
	}
	if d.once(4) {
		p.Resources = some(d, r.resources, apis[1])
	}
	p.ClientAuthMethod, p.ClientSecret = h.caller(d, p.ClientID)
	p.Proof, p.ProofExpiresAt = h.proof(d)
	if !d.once(6) {
		p.AccessToken = new(h.digest(id))
	}
	if d.once(4) {
		p.AccessTokenWithoutRow, p.AccessToken, p.AccessTokenLifetime = true, nil, withoutRowFor(p.AccessTokenLifetime)
	}
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	h.rotateWith(p)
}

func (h *history) rotateWith(p store.RotateRefreshTokenParams) {
	want := h.m.rotate(p)
	r, err := h.q.RotateRefreshToken(h.ctx, p)
	h.answered("RotateRefreshToken", p, want, r.Outcome, err)
	if h.err != nil || want != store.OutcomeRotated && want != store.OutcomeRetried {
		return
	}
	h.rotations = append(h.rotations, p)
	n := h.m.tokenByDigest(p.Token).successor
	if r.Successor == nil || *r.Successor != n.digest || r.SuccessorID == nil || string(*r.SuccessorID) != n.id {
		h.fail(fmt.Errorf("RotateRefreshToken: the successor is another one than %s", n.id))
	}
	h.told("access", r.AccessTokenExpiresAt, h.m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) }))
	h.told("refresh", r.RefreshTokenExpiresAt, n)
}

func (h *history) issueAccessToken(d draw) {
	if again, found := recent(d, h.issues); found && d.once(5) {
		h.issueWith(again)
		return
	}
	id := h.name("t")
	p := store.IssueAccessTokenParams{
		ID: store.AccessTokenID(id), ClientID: h.client(d), Scopes: oneOf(d, []string{"openid"}, []string{"openid", "calendar"}),
		Lifetime: h.lifetime(d, time.Minute, 10*time.Second), Resources: apis[:d.below(2)], ReferenceID: h.tenant(d), Confirmation: h.key(d),
		DefaultScopes: oneOf(d, nil, []string{"openid", "calendar"}, []string{"openid", "calendar"}),
	}
	_, p.DefaultResources = byDefault(d)
	p.ClientAuthMethod, p.ClientSecret = h.caller(d, p.ClientID)
	if !d.once(4) {
		p.AccessToken = new(h.digest(id))
	}
	h.issueWith(p)
}

func (h *history) issueWith(p store.IssueAccessTokenParams) {
	want := h.m.issueAccessToken(p)
	r, err := h.q.IssueAccessToken(h.ctx, p)
	h.answered("IssueAccessToken", p, want, r.Outcome, err)
	if h.err == nil && (want == store.OutcomeIssued || want == store.OutcomeRetried) {
		h.issues = append(h.issues, p)
		h.told("access", r.ExpiresAt, h.m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.ID) }))
	}
}

// anyToken picks one of either kind, mostly live.
func (h *history) anyToken(d draw) *issued {
	live := slices.DeleteFunc(slices.Clone(h.m.tokens), func(t *issued) bool { return !h.m.tokenIsLive(t) })
	if t, found := recent(d, live); found && !d.once(4) {
		return t
	}
	t, _ := recent(d, h.m.tokens)
	return t
}

// there is the token, unless it has been collected or has no row.
func there(t *issued) *issued {
	if t.gone || t.withoutRow {
		return nil
	}
	return t
}

func (h *history) introspect(d draw) {
	t := h.anyToken(d)
	if t == nil {
		return
	}
	client := oneOf(d, h.clients...)
	method, secret := h.caller(d, client)
	h.introspectAs(client, method, secret, t, d.once(2))
}

// introspectAs asks of a token, by whichever call knows it, or by the one that looks for either kind.
func (h *history) introspectAs(client store.ClientID, method string, secret token.Digest, t *issued, either bool) {
	if t.family != nil && !t.gone {
		p := store.IntrospectAuthorizationParams{ID: t.family.id, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}
		r, err := h.q.IntrospectAuthorization(h.ctx, p)
		h.answered("IntrospectAuthorization", p, h.m.introspectFamily(client, method, secret, t.family), r.Outcome, err)
	}
	want := h.m.introspect(client, method, secret, there(t))
	switch {
	case t.digest == "":
		p := store.IntrospectAccessTokenByIDParams{ID: store.AccessTokenID(t.id), ClientID: client, ClientAuthMethod: method, ClientSecret: secret}
		r, err := h.q.IntrospectAccessTokenByID(h.ctx, p)
		h.answered("IntrospectAccessTokenByID", p, want, r.Outcome, err)
	case either:
		p := store.IntrospectTokenParams{Token: t.digest, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}
		r, err := h.q.IntrospectToken(h.ctx, p)
		h.answered("IntrospectToken", p, want, r.Outcome, err)
	case t.refresh:
		p := store.IntrospectRefreshTokenParams{Token: t.digest, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}
		r, err := h.q.IntrospectRefreshToken(h.ctx, p)
		h.answered("IntrospectRefreshToken", p, want, r.Outcome, err)
	default:
		p := store.IntrospectAccessTokenParams{Token: t.digest, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}
		r, err := h.q.IntrospectAccessToken(h.ctx, p)
		h.answered("IntrospectAccessToken", p, want, r.Outcome, err)
	}
}

func (h *history) revokeToken(d draw) {
	t := h.anyToken(d)
	if t == nil {
		return
	}
	client := t.client
	if d.once(6) {
		client = h.client(d)
	}
	method, secret := h.caller(d, client)
	h.revokeTokenAs(client, method, secret, t)
}

func (h *history) revokeTokenAs(client store.ClientID, method string, secret token.Digest, t *issued) {
	want := h.m.revokeToken(client, method, secret, there(t))
	if t.digest == "" {
		p := store.RevokeAccessTokenByIDParams{ID: store.AccessTokenID(t.id), ClientID: client, ClientAuthMethod: method, ClientSecret: secret}
		r, err := h.q.RevokeAccessTokenByID(h.ctx, p)
		h.answered("RevokeAccessTokenByID", p, want, r.Outcome, err)
		return
	}
	p := store.RevokeTokenParams{Token: t.digest, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}
	r, err := h.q.RevokeToken(h.ctx, p)
	h.answered("RevokeToken", p, want, r.Outcome, err)
}

// Users and clients.

func (h *history) authenticateClient(d draw) {
	p := store.AuthenticateClientParams{ClientID: h.client(d)}
	p.ClientAuthMethod, p.ClientSecret = h.caller(d, p.ClientID)
	if old, found := recent(d, h.secrets); found && d.once(3) {
		p.ClientAuthMethod, p.ClientSecret = "client_secret_basic", old
	}
	h.authenticateClientWith(p)
}

func (h *history) authenticateClientWith(p store.AuthenticateClientParams) {
	want := h.m.authenticateClient(p)
	got, err := h.q.AuthenticateClient(h.ctx, p)
	h.answered("AuthenticateClient", p, want, got, err)
}

func (h *history) rotateClientSecret(d draw) {
	p := store.RotateClientSecretParams{ClientID: oneOf(d, "c1", "c4", h.client(d)), Overlap: oneOf(d, time.Minute, 10*time.Second, 0)}
	p.Lifetime = oneOf(d, store.Never, store.Never, store.Never, time.Minute, 5*time.Second)
	c := h.m.clients[p.ClientID]
	if c != nil && c.kind != "secret" {
		return // it would become another kind of client
	}
	p.ClientSecret = h.digest(h.name("x"))
	if c != nil && c.secret != "" && d.once(8) {
		p.ClientSecret = c.secret
	}
	h.rotateClientSecretWith(p)
}

func (h *history) rotateClientSecretWith(p store.RotateClientSecretParams) {
	h.secrets = append(h.secrets, p.ClientSecret)
	got, err := h.q.RotateClientSecret(h.ctx, p)
	h.answered("RotateClientSecret", p, h.m.rotateClientSecret(p), got, err)
}

func (h *history) revokeUserAuthorizations(d draw) {
	of, _ := h.pairOf(d)
	h.revokeUserAuthorizationsOf(of.user)
}

func (h *history) revokeUserAuthorizationsOf(id store.UserID) {
	got, err := h.q.RevokeUserAuthorizations(h.ctx, id)
	h.answered("RevokeUserAuthorizations", id, h.m.revokeUserAuthorizations(id), got, err)
}

func (h *history) revokeUserAuthorizationsByClient(d draw) {
	of, _ := h.pairOf(d)
	h.revokeUserAuthorizationsByClientOf(of)
}

func (h *history) revokeUserAuthorizationsByClientOf(of pair) {
	p := store.RevokeUserAuthorizationsByClientParams{UserID: of.user, ClientID: of.client}
	got, err := h.q.RevokeUserAuthorizationsByClient(h.ctx, p)
	h.answered("RevokeUserAuthorizationsByClient", p, h.m.revokeUserAuthorizationsByClient(of), got, err)
}

func (h *history) revokeClientAuthorizations(d draw) {
	of, _ := h.pairOf(d)
	h.revokeClientAuthorizationsOf(of.client)
}

func (h *history) revokeClientAuthorizationsOf(id store.ClientID) {
	got, err := h.q.RevokeClientAuthorizations(h.ctx, id)
	h.answered("RevokeClientAuthorizations", id, h.m.revokeClientAuthorizations(id), got, err)
}

func (h *history) disableClient(d draw) {
	of, _ := h.pairOf(d)
	h.disableClientOf(of.client)
}

func (h *history) disableClientOf(id store.ClientID) {
	got, err := h.q.DisableClient(h.ctx, id)
	h.answered("DisableClient", id, h.m.disableClient(id), got, err)
}

func (h *history) enableClient(d draw) {
	id := h.client(d)
	for _, c := range h.clients {
		if m := h.m.clients[c]; m != nil && m.disabled && !d.once(3) {
			id = c
		}
	}
	h.enableClientOf(id)
}

func (h *history) enableClientOf(id store.ClientID) {
	got, err := h.q.EnableClient(h.ctx, id)
	h.answered("EnableClient", id, h.m.enableClient(id), got, err)
	h.quiet = false // the row is written even where a deleted owner keeps it disabled
}

func (h *history) deleteClient(d draw) {
	h.deleteClientOf(h.client(d))
}

func (h *history) deleteClientOf(id store.ClientID) {
	got, err := h.q.DeleteClient(h.ctx, id)
	h.answered("DeleteClient", id, h.m.deleteClient(id), got, err)
}

func (h *history) suspendUser(d draw) {
	of, _ := h.pairOf(d)
	h.suspendUserOf(of.user)
}

func (h *history) suspendUserOf(id store.UserID) {
	r, err := h.q.SuspendUser(h.ctx, id)
	h.answered("SuspendUser", id, h.m.suspendUser(id), r.Outcome, err)
}

func (h *history) reinstateUser(d draw) {
	id := h.user(d)
	for _, u := range h.users {
		if m := h.m.users[u]; m != nil && m.suspended && !d.once(3) {
			id = u
		}
	}
	h.reinstateUserOf(id)
}

func (h *history) reinstateUserOf(id store.UserID) {
	got, err := h.q.ReinstateUser(h.ctx, id)
	h.answered("ReinstateUser", id, h.m.reinstateUser(id), got, err)
}

func (h *history) deleteUser(d draw) {
	h.deleteUserOf(h.user(d))
}

func (h *history) deleteUserOf(id store.UserID) {
	r, err := h.q.DeleteUser(h.ctx, id)
	h.answered("DeleteUser", id, h.m.deleteUser(id), r.Outcome, err)
}

// Sessions.

func (h *history) createSession(d draw) {
	p := store.CreateSessionParams{
		ID: store.SessionID(h.name("s")), UserID: h.user(d), Lifetime: oneOf(d, time.Hour, time.Minute, 10*time.Second),
		MaxSessions: oneOf[int32](d, 0, 0, 1, 2),
	}
	h.createSessionWith(p)
}

func (h *history) createSessionWith(p store.CreateSessionParams) {
	p.Token = h.digest(string(p.ID))
	want, ended := h.m.createSession(p)
	if want != store.OutcomeTaken {
		h.sessions = append(h.sessions, p.ID)
	}
	r, err := h.q.CreateSession(h.ctx, p)
	h.answered("CreateSession", p, want, r.Outcome, err)
	h.count("ended sessions", r.EndedSessions, ended)
}

func (h *history) count(what string, got, want int64) {
	if got != want {
		h.fail(fmt.Errorf("%s: got %d, want %d", what, got, want))
	}
}

func (h *history) extendSession(d draw) {
	p := store.ExtendSessionParams{ID: h.session(d), Lifetime: oneOf(d, time.Hour, time.Minute), MinGain: oneOf(d, 30*time.Second, 0)}
	if d.once(2) {
		p.MaxLifetime = new(oneOf(d, time.Hour, 2*time.Hour))
	}
	h.extendSessionWith(p)
}

func (h *history) extendSessionWith(p store.ExtendSessionParams) {
	r, err := h.q.ExtendSession(h.ctx, p)
	h.answered("ExtendSession", p, h.m.extendSession(p), r.Outcome, err)
}

func (h *history) endSession(d draw) {
	h.endSessionOf(h.session(d))
}

func (h *history) endSessionOf(id store.SessionID) {
	r, err := h.q.EndSession(h.ctx, id)
	h.answered("EndSession", id, h.m.endSession(id), r.Outcome, err)
	h.quiet = false // also where the session is gone its clients are to be told
}

func (h *history) endUserSessions(d draw) {
	p := store.EndUserSessionsParams{UserID: h.user(d)}
	if d.once(2) {
		p.Keep = h.sessionOf(d, p.UserID)
	}
	h.endUserSessionsWith(p)
}

func (h *history) endUserSessionsWith(p store.EndUserSessionsParams) {
	want, n := h.m.endUserSessions(p)
	r, err := h.q.EndUserSessions(h.ctx, p)
	h.answered("EndUserSessions", p, want, r.Outcome, err)
	h.count("sessions", r.Sessions, n)
}

// Consents.

var consentScopes = []string{"openid", "offline_access", "email"}

// consented picks a client, a user and a tenant, mostly of a consent that there is.
func (h *history) consented(d draw) (pair, *store.ReferenceID) {
	var there []*consent
	for _, c := range h.clients {
		for _, u := range h.users {
			if g := h.m.consents[pair{c, u}]; g != nil {
				there = append(there, g)
			}
		}
	}
	if g, found := recent(d, there); found && !d.once(4) {
		if d.once(4) {
			return g.pair, h.tenant(d)
		}
		return g.pair, g.reference
	}
	if d.once(2) {
		return pair{"c1", "u1"}, h.tenant(d)
	}
	return h.pairOf(d)
}

func (h *history) consentResources(d draw) []string {
	return oneOf(d, nil, []string{"https://a.example"}, []string{"https://b.example"}, []string{"https://b.example", "https://a.example"})
}

func (h *history) grantConsent(d draw) {
	of, reference := h.consented(d)
	p := store.GrantConsentParams{
		ID: store.ConsentID(h.name("n")), ClientID: of.client, UserID: of.user, ReferenceID: reference,
		Scopes: some(d, consentScopes, "openid"), Merge: d.once(2), Resources: h.consentResources(d),
	}
	h.grantConsentWith(p)
}

func (h *history) grantConsentWith(p store.GrantConsentParams) {
	want, scopes := h.m.grantConsent(p)
	r, err := h.q.GrantConsent(h.ctx, p)
	h.answered("GrantConsent", p, want, r.Outcome, err)
	if h.err == nil && want == store.OutcomeGranted && !slices.Equal(r.Scopes, scopes) {
		h.fail(fmt.Errorf("GrantConsent: scopes %v, want %v", r.Scopes, scopes))
	}
}

func (h *history) checkConsent(d draw) {
	of, reference := h.consented(d)
	p := store.CheckConsentParams{ClientID: of.client, UserID: of.user, ReferenceID: reference, Scopes: some(d, consentScopes, "admin"), Resources: h.consentResources(d)}
	h.checkConsentWith(p)
}

func (h *history) checkConsentWith(p store.CheckConsentParams) {
	want := h.m.checkConsent(p)
	r, err := h.q.CheckConsent(h.ctx, p)
	h.answered("CheckConsent", p, want.Outcome, r.Outcome, err)
	if h.err == nil && (r.Covered != want.Covered || !slices.Equal(r.Missing, want.Missing) || !slices.Equal(r.MissingResources, want.MissingResources)) {
		h.fail(fmt.Errorf("CheckConsent: got %v %v %v, want %v %v %v", r.Covered, r.Missing, r.MissingResources, want.Covered, want.Missing, want.MissingResources))
	}
}

func (h *history) withdrawConsent(d draw) {
	of, reference := h.consented(d)
	p := store.WithdrawConsentParams{ClientID: of.client, UserID: of.user, ReferenceID: reference}
	h.withdrawConsentWith(p)
}

func (h *history) withdrawConsentWith(p store.WithdrawConsentParams) {
	r, err := h.q.WithdrawConsent(h.ctx, p)
	h.answered("WithdrawConsent", p, h.m.withdrawConsent(p), r.Outcome, err)
}

// Another server's statements: it knows nothing of families and epochs.

func (h *history) foreignRefreshToken(d draw) {
	of, reference := h.pairOf(d)
	id := h.name("r")
	t := &issued{
		refresh: true, id: id, digest: h.digest(id), pair: of, reference: reference, scopes: oneOf(d, askedFor...),
		expires: in(h.m.now, h.lifetime(d, time.Hour, time.Minute), 0), codeID: h.codeID(d),
	}
	h.insertForeign(d, t, nil)
}

func (h *history) foreignAccessToken(d draw) {
	of, reference := h.pairOf(d)
	id := h.name("t")
	t := &issued{
		id: id, digest: h.digest(id), pair: of, reference: reference, scopes: oneOf(d, askedFor...),
		expires: in(h.m.now, h.lifetime(d, time.Hour, time.Minute), 0), codeID: h.codeID(d),
	}
	var refresh *issued
	if r := h.refreshToken(d); r != nil && !r.gone && !d.once(3) {
		refresh = r
		if !d.once(6) {
			t.pair, t.reference = r.pair, r.reference
		}
	}
	h.insertForeign(d, t, refresh)
}

// codeID is mostly none or a new one, and at times that of a family that there is or was.
func (h *history) codeID(d draw) *store.AuthorizationID {
	switch d.below(4) {
	case 0:
		return nil
	case 1:
		if id, found := recent(d, h.authorizations); found {
			return &id
		}
	}
	return new(store.AuthorizationID(h.name("f")))
}

func (h *history) insertForeign(d draw, t, refresh *issued) {
	if h.m.clients[t.client] == nil || h.m.users[t.user] == nil {
		return
	}
	sessionID := h.sessionOf(d, t.user)
	if refresh != nil && refresh.session != nil {
		sessionID = &refresh.session.id
	}
	t.session = h.m.session(sessionID)
	if t.session == nil {
		sessionID = nil
	}
	h.insert(t, refresh, sessionID)
}

func (h *history) insert(t, refresh *issued, sessionID *store.SessionID) {
	table, column, refreshID := "oauth_refresh_token", "", []any{}
	if !t.refresh {
		table = "oauth_access_token"
		if refresh != nil {
			column, refreshID = ", refresh_id", []any{refresh.id}
		}
	}
	marks := "$1, $2, $3, $4, $5, $6, $7, $8, $9"
	if column != "" {
		marks += ", $10"
	}
	var family store.AuthorizationID
	err := h.tx.QueryRow(h.ctx, `INSERT INTO `+table+` (id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_code_id`+column+`)
		VALUES (`+marks+`) RETURNING authorization_id`,
		append([]any{t.id, t.digest, t.client, sessionID, t.user, t.reference, outward(h, t.expires), t.scopes, t.codeID}, refreshID...)...).Scan(&family)
	h.fail(err)
	want := h.m.familyOfForeign(t.pair, refresh, t.codeID)
	h.logf("another server inserts into %s %s of %v, session %v, code %v → %s", table, t.id, t.pair, deref(sessionID), deref(t.codeID), family)
	if f := h.m.familyByID(family); want != "" && want != family || want == "" && f != nil && f.pair != t.pair {
		h.fail(fmt.Errorf("%s is of the family %s, want %s", t.id, family, want))
	}
	if h.err != nil {
		return
	}
	h.m.saw("another server's token joins a family", h.m.familyByID(family) != nil)
	t.family = h.m.foreign(t, refresh, family, sessionID != nil)
	if !t.refresh && h.m.familyIsOver(t.family) {
		t.over, t.spent = true, h.m.now // for servers that read the row alone
	}
	if !slices.Contains(h.authorizations, family) {
		h.authorizations = append(h.authorizations, family)
	}
	h.m.tokens = append(h.m.tokens, t)
	h.said["foreign token"]++
}

// foreignRotation spends a refresh token as better-auth does, in statements of their own.
func (h *history) foreignRotation(d draw) {
	r := h.refreshToken(d)
	if r == nil {
		return
	}
	h.rotateForeign(r, !d.once(4))
}

// rotateForeign spends a token and, if that worked, inserts its successor, unless that second statement is still to come.
func (h *history) rotateForeign(r *issued, finished bool) {
	tag, err := h.tx.Exec(h.ctx, `UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1 AND revoked IS NULL`, r.digest)
	h.fail(err)
	got, want := tag.RowsAffected() > 0, h.m.tokenIsLive(r)
	h.logf("another server spends %s → %v", r.id, got)
	h.said[fmt.Sprintf("foreign rotation %v", got)]++
	if got != want {
		h.fail(fmt.Errorf("another server spends %s: got %v, want %v", r.id, got, want))
	}
	if h.err != nil || !want {
		return
	}
	r.over, r.spent = true, h.m.now
	if !finished {
		return
	}
	id := h.name("r")
	n := &issued{
		refresh: true, id: id, digest: h.digest(id), pair: r.pair, reference: r.reference, scopes: r.scopes, session: r.session, codeID: r.codeID,
		expires: in(h.m.now, time.Hour, 0),
	}
	var sessionID *store.SessionID
	if r.session != nil {
		sessionID = &r.session.id
	}
	h.insert(n, nil, sessionID)
}

func (h *history) foreignSession(d draw) {
	if user := h.user(d); h.m.users[user] != nil {
		h.foreignSessionOf(user)
	}
}

func (h *history) foreignSessionOf(user store.UserID) {
	s := &session{id: store.SessionID(h.name("s")), user: user, began: h.m.now, expires: h.m.now.Add(time.Hour)}
	if !h.m.userIsLive(user) {
		h.m.markSession(s)
	}
	_, err := h.tx.Exec(h.ctx, `INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, $4)`, s.id, user, h.digest(string(s.id)), outward(h, new(h.m.now.Add(time.Hour))))
	h.fail(err)
	h.logf("another server inserts session %s of %s", s.id, user)
	h.m.saw("another server's session of a suspended user", s.marked)
	h.sessions = append(h.sessions, s.id)
	h.m.sessions[s.id] = s
}

func (h *history) foreignSignOut(d draw) {
	if s := h.m.sessions[h.session(d)]; s != nil {
		h.foreignSignOutOf(s)
	}
}

func (h *history) foreignSignOutOf(s *session) {
	_, err := h.tx.Exec(h.ctx, `DELETE FROM session WHERE id = $1`, s.id)
	h.fail(err)
	h.logf("another server deletes session %s", s.id)
	h.m.saw("a session deleted by another server", h.m.sessionIsLive(s))
	h.m.forgetSession(s)
}

func (h *history) foreignConsent(d draw) {
	of, reference := h.consented(d)
	if h.m.clients[of.client] == nil || h.m.users[of.user] == nil {
		return
	}
	h.foreignConsentOf(of, reference, some(d, consentScopes, "openid"))
}

func (h *history) foreignConsentOf(of pair, reference *store.ReferenceID, scopes []string) {
	g := h.m.consents[of]
	if g == nil {
		g = &consent{pair: of, id: store.ConsentID(h.name("n")), reference: reference}
		h.m.consents[of] = g
	}
	if g.over { // what the other server doesn't know of isn't revived
		g.at = nil
	}
	g.scopes, g.over = scopes, false
	_, err := h.tx.Exec(h.ctx, `INSERT INTO oauth_consent (id, client_id, user_id, reference_id, scopes) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (client_id, user_id) DO UPDATE SET scopes = excluded.scopes`, g.id, of.client, of.user, g.reference, g.scopes)
	h.fail(err)
	h.logf("another server writes a consent of %v %v in %q", of, g.scopes, deref(g.reference))
}

// byHand leaves rows as an ending does that did not see them, or as an operator may.
func (h *history) byHand(d draw) {
	var unseen []*session
	for _, id := range h.sessions {
		if s := h.m.sessions[id]; s != nil && s.marked && (s.over || !h.m.userIsLive(s.user)) {
			unseen = append(unseen, s)
		}
	}
	if s, found := recent(d, unseen); found && !d.once(3) {
		h.unseen(s)
		return
	}
	var ended []*session
	for _, id := range h.sessions {
		if s := h.m.sessions[id]; s != nil && s.marked && !s.over {
			ended = append(ended, s)
		}
	}
	if s, found := recent(d, ended); found && !d.once(3) {
		h.endsLater(s)
		return
	}
	for _, id := range h.users {
		if u := h.m.users[id]; u != nil && u.deleted && u.suspended {
			h.deletedAlone(id)
			return
		}
	}
}

func (h *history) unseen(s *session) {
	s.marked, s.expires = false, h.m.now.Add(time.Hour)
	_, err := h.tx.Exec(h.ctx, `UPDATE session SET ended_at = NULL, expires_at = $2 WHERE id = $1`, s.id, outward(h, &s.expires))
	h.fail(err)
	h.logf("session %s is as if an ending had not seen it", s.id)
	h.m.saw("a session over by its epoch alone", true)
}

func (h *history) endsLater(s *session) {
	s.expires = h.m.now.Add(time.Minute)
	_, err := h.tx.Exec(h.ctx, `UPDATE session SET ended_at = $2, expires_at = $2 WHERE id = $1`, s.id, outward(h, &s.expires))
	h.fail(err)
	h.logf("session %s is as if it had ended after this transaction began", s.id)
	h.said["a session that ends later"]++
}

func (h *history) deletedAlone(id store.UserID) {
	h.m.users[id].suspended = false
	_, err := h.tx.Exec(h.ctx, `UPDATE "user" SET suspended_at = NULL WHERE id = $1`, id)
	h.fail(err)
	h.logf("deleted %s is no longer marked as suspended", id)
}

// Collectors.

// collect makes one of the collector's calls. They change no liveness; of what is gone, the model has to agree that it was dead.
func (h *history) collect(d draw) {
	call := oneOf(d, "MarkDeadAuthorizations", "MarkDeadAuthorizations", "MarkEndedSessions", "SweepSessionClients", "DeleteDeadConsents",
		"DeleteDeadAccessTokens", "DeleteSpentRefreshTokens", "DeleteEndedAuthorizations", "DeleteExpiredAccessTokens", "DeleteExpiredRefreshTokens",
		"DeleteExpiredSessions", "")
	if call == "" {
		call = oneOf(d, "DeleteExpiredPolledRequests", "DeleteExpiredAuthorizations", "DeleteExpiredClientSecrets", "EraseDeletedUsers", "EraseDeletedClients")
	}
	h.collectBy(call, oneOf(d, 0, time.Minute))
}

func (h *history) collectBy(call string, retention time.Duration) {
	const page = 1000
	var err error
	switch call {
	case "MarkDeadAuthorizations":
		_, err = h.q.MarkDeadAuthorizations(h.ctx, store.MarkDeadAuthorizationsParams{PageSize: page})
		for _, f := range h.m.families {
			hasTokens := h.m.token(func(t *issued) bool { return t.family == f && !t.withoutRow }) != nil
			if f.status == store.AuthorizationStatusApproved && (h.m.familyIsOver(f) || f.expires == nil && !hasTokens) {
				h.m.mark(f)
			}
		}
	case "MarkEndedSessions":
		_, err = h.q.MarkEndedSessions(h.ctx, store.MarkEndedSessionsParams{PageSize: page})
		for _, s := range h.m.sessions {
			if s.expires.After(h.m.now) && !s.marked && !h.m.sessionIsLive(s) {
				h.m.markSession(s)
			}
		}
	case "SweepSessionClients":
		_, err = h.q.SweepSessionClients(h.ctx, store.SweepSessionClientsParams{PageSize: page})
	case "DeleteDeadConsents":
		_, err = h.q.DeleteDeadConsents(h.ctx, store.DeleteDeadConsentsParams{PageSize: page})
	case "DeleteDeadAccessTokens":
		_, err = h.q.DeleteDeadAccessTokens(h.ctx, store.DeleteDeadAccessTokensParams{PageSize: page})
	case "DeleteSpentRefreshTokens":
		_, err = h.q.DeleteSpentRefreshTokens(h.ctx, store.DeleteSpentRefreshTokensParams{PageSize: page, Retention: retention})
	case "DeleteEndedAuthorizations":
		_, err = h.q.DeleteEndedAuthorizations(h.ctx, store.DeleteEndedAuthorizationsParams{BatchSize: page, Retention: retention})
	case "DeleteExpiredAccessTokens":
		_, err = h.q.DeleteExpiredAccessTokens(h.ctx, store.DeleteExpiredAccessTokensParams{BatchSize: page})
	case "DeleteExpiredRefreshTokens":
		_, err = h.q.DeleteExpiredRefreshTokens(h.ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: page, Retention: retention})
	case "DeleteExpiredSessions":
		_, err = h.q.DeleteExpiredSessions(h.ctx, store.DeleteExpiredSessionsParams{BatchSize: page})
	case "DeleteExpiredAuthorizations":
		_, err = h.q.DeleteExpiredAuthorizations(h.ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: page, Retention: retention})
	case "DeleteExpiredPolledRequests":
		_, err = h.q.DeleteExpiredPolledRequests(h.ctx, store.DeleteExpiredPolledRequestsParams{BatchSize: page, Retention: retention})
	case "DeleteExpiredClientSecrets":
		_, err = h.q.DeleteExpiredClientSecrets(h.ctx, store.DeleteExpiredClientSecretsParams{BatchSize: page})
	case "EraseDeletedUsers":
		_, err = h.q.EraseDeletedUsers(h.ctx, store.EraseDeletedUsersParams{BatchSize: page})
		for id, c := range h.m.clients { // those that they owned are deleted as well
			if u := h.m.users[c.owner]; u != nil && u.deleted {
				h.m.deleteClient(id)
			}
		}
	case "EraseDeletedClients":
		_, err = h.q.EraseDeletedClients(h.ctx, store.EraseDeletedClientsParams{BatchSize: page})
	default:
		err = fmt.Errorf("there is no collector %s", call)
	}
	h.fail(err)
	h.logf("%s (retention %v)", call, retention)
	h.said[call]++
	h.forget(call, retention)
}

// forget lets the model forget what the collector has deleted, and fails if that was not due.
func (h *history) forget(call string, retention time.Duration) {
	if h.err != nil {
		return
	}
	there, err := h.ids()
	if err != nil {
		h.fail(err)
		return
	}
	wrongly := func(what, id string, unless bool) {
		h.said["collected by "+call]++
		if !unless {
			h.fail(fmt.Errorf("%s has deleted %s %s", call, what, id))
		}
	}
	for _, t := range h.m.tokens {
		table := "access_token "
		if t.refresh {
			table = "refresh_token "
		}
		if t.gone || t.withoutRow || there[table+t.id] {
			continue
		}
		due := t.over || h.m.past(t.expires) || t.family != nil && h.m.familyIsOver(t.family)
		if t.refresh && t.family != nil && !t.family.marked {
			// evidence of reuse is kept
			due = due && (t.expires != nil && !t.expires.Add(retention).After(h.m.now) || t.expires == nil && t.over && !t.spent.Add(retention).After(h.m.now))
			due = due && (t.keptUntil == nil || h.m.past(t.keptUntil))
		}
		if call == "DeleteEndedAuthorizations" {
			due = t.family != nil && t.family.endedBefore(h.m.now.Add(-retention))
		}
		wrongly("token", t.id, due)
		t.gone = true
	}
	for _, f := range h.m.families {
		if p := f.device; p != nil && !p.gone && !there["polled_request "+string(f.id)] {
			wrongly("code of a device", string(f.id), !p.expires.Add(retention).After(h.m.now))
			p.gone = true
		}
	}
	h.m.families = slices.DeleteFunc(h.m.families, func(f *family) bool {
		if there["authorization "+string(f.id)] {
			return false
		}
		due := f.endedBefore(h.m.now.Add(-retention))
		if call == "DeleteExpiredAuthorizations" {
			due = f.expires != nil && !f.expires.Add(retention).After(h.m.now)
		}
		wrongly("authorization", string(f.id), due)
		return true
	})
	for id, s := range h.m.sessions {
		if !there["session "+string(id)] {
			wrongly("session", string(id), !h.m.sessionIsLive(s))
			h.m.forgetSession(s)
		} else if call == "DeleteExpiredSessions" && !s.expires.After(h.m.now) {
			detached := *s
			h.m.forgetSession(s)
			h.m.sessions[id] = &detached
		}
	}
	for k, g := range h.m.consents {
		if !there["consent "+string(g.id)] {
			wrongly("consent", string(g.id), !h.m.consentCounts(g) || h.m.clients[g.client] == nil || h.m.clients[g.client].deleted)
			delete(h.m.consents, k)
		}
	}
	for id, u := range h.m.users {
		if !there["user "+string(id)] {
			wrongly("user", string(id), u.deleted)
			delete(h.m.users, id)
		}
	}
	for id, c := range h.m.clients {
		if !there["client "+string(id)] {
			wrongly("client", string(id), c.deleted)
			delete(h.m.clients, id)
		}
	}
}

// endedBefore says whether the family's row says that it had ended by then.
func (f *family) endedBefore(t time.Time) bool { return f.marked && !f.markedAt.After(t) }

// Lists.

func (h *history) list(d draw) {
	of, _ := h.pairOf(d)
	h.listOf(of, d.once(2))
}

// listOf lists what a user has authorized, or else what a client may do.
func (h *history) listOf(of pair, byUser bool) {
	match := func(f *family) bool { return f.user == of.user }
	var rows []store.OAuthAuthorization
	var err error
	call := "ListUserAuthorizations"
	if byUser {
		rows, err = h.q.ListUserAuthorizations(h.ctx, store.ListUserAuthorizationsParams{UserID: of.user, PageSize: 1000})
	} else {
		call, match = "ListClientAuthorizations", func(f *family) bool { return f.client == of.client }
		rows, err = h.q.ListClientAuthorizations(h.ctx, store.ListClientAuthorizationsParams{ClientID: of.client, PageSize: 1000})
	}
	var got, want []string
	for _, a := range rows {
		got = append(got, string(a.ID))
	}
	for _, f := range h.m.families {
		inForce := f.expires != nil && f.expires.After(h.m.now) || h.m.token(func(t *issued) bool {
			return t.family == f && (!t.over || t.own && !t.revoked()) && !h.m.past(t.expires)
		}) != nil
		if match(f) && h.m.familyIsLive(f) && inForce {
			want = append(want, string(f.id))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	h.logf("%s of %v → %s", call, of, strings.Join(got, " "))
	h.fail(err)
	h.said[fmt.Sprintf("%s %v", call, len(want) > 0)]++
	if !slices.Equal(got, want) {
		h.fail(fmt.Errorf("%s: got %v, want %v", call, got, want))
	}
}
