package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func (h *history) createDeviceAuthorization(d draw) {
	p := h.deviceAuthorization()
	p.ClientID, p.Scopes, p.Resources = h.client(d), oneOf(d, askedFor...), apis[:d.below(3)]
	p.Lifetime = oneOf(d, time.Minute, 10*time.Minute)
	p.ClientAuthMethod, p.ClientSecret = h.caller(d, p.ClientID)
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	if code, found := recent(d, h.userCodes); found && d.once(6) {
		p.UserCode = code // short codes repeat
	}
	h.createDeviceAuthorizationWith(p)
}

// deviceAuthorization is a request of c1, with new codes.
func (h *history) deviceAuthorization() store.CreateDeviceAuthorizationParams {
	p := store.CreateDeviceAuthorizationParams{
		ID: store.AuthorizationID(h.name("a")), ClientID: "c1", Scopes: []string{"openid", "offline_access"}, Resources: apis[:1], DefaultResources: apis,
		DeviceCode: h.digest(h.name("dc")), UserCode: h.digest(h.name("uc")), Lifetime: time.Minute, PollInterval: 5 * time.Second,
	}
	p.ClientAuthMethod, p.ClientSecret = h.m.clients["c1"].registered(draw{})
	return p
}

func (h *history) createDeviceAuthorizationWith(p store.CreateDeviceAuthorizationParams) {
	h.authorizations = append(h.authorizations, p.ID)
	h.deviceCodes, h.userCodes = append(h.deviceCodes, p.DeviceCode), append(h.userCodes, p.UserCode)
	want := h.m.createDeviceAuthorization(p)
	r, err := h.q.CreateDeviceAuthorization(h.ctx, p)
	h.answered("CreateDeviceAuthorization", p, want, r.Outcome, err)
}

// claim enters a user code: mostly one that nobody has entered yet.
func (h *history) claim(d draw) {
	code, found := recent(d, h.userCodes)
	open := slices.DeleteFunc(slices.Clone(h.m.families), func(f *family) bool {
		return f.device == nil || f.device.gone || f.status != store.AuthorizationStatusPending || f.user != ""
	})
	if f, some := recent(d, open); some && !d.once(4) {
		code, found = f.device.userCode, true
	}
	if !found || code == "" {
		h.createDeviceAuthorization(d)
		return
	}
	p := store.FindAuthorizationByUserCodeParams{UserCode: code, UserID: h.user(d)}
	p.SessionID = h.sessionOf(d, p.UserID)
	h.claimWith(p)
}

func (h *history) claimWith(p store.FindAuthorizationByUserCodeParams) {
	want := h.m.claim(p)
	r, err := h.q.FindAuthorizationByUserCode(h.ctx, p)
	h.answered("FindAuthorizationByUserCode", p, want, r.Outcome, err)
}

// poll asks whether a request was decided: mostly for one that was, and whose tokens are to be had.
func (h *history) poll(d draw) {
	if again, found := recent(d, h.polls); found && d.once(4) {
		h.pollWith(again) // the very same call
		return
	}
	code, found := recent(d, h.deviceCodes)
	decided := slices.DeleteFunc(slices.Clone(h.m.families), func(f *family) bool {
		return f.device == nil || f.device.gone || f.status != store.AuthorizationStatusApproved || f.redeemedAs != "" && !d.once(3)
	})
	if f, some := recent(d, decided); some && !d.once(4) {
		code, found = f.device.code, true
	}
	if !found {
		h.createDeviceAuthorization(d)
		return
	}
	p := h.pollOf(code)
	if p.Confirmation = h.key(d); d.once(12) {
		p.ClientID = h.client(d)
	}
	if f := h.m.deviceByCode(code); f != nil && f.key != nil && !d.once(4) {
		p.Confirmation = f.key
	}
	p.AccessTokenLifetime, p.RefreshTokenLifetime = h.lifetime(d, 5*time.Minute, time.Minute), h.lifetime(d, time.Hour, 10*time.Minute)
	p.FamilyLifetime = h.lifetime(d, 2*time.Hour, 30*time.Minute, 2*time.Minute)
	p.ClientAuthMethod, p.ClientSecret = h.caller(d, p.ClientID)
	p.DefaultScopes, p.DefaultResources = byDefault(d)
	if d.once(6) {
		p.Resources = some(d, apis[:1], apis[1])
	}
	if d.once(6) {
		p.RefreshTokenID, p.RefreshToken = nil, nil
	}
	if d.once(4) {
		p.AccessTokenWithoutRow, p.AccessToken, p.AccessTokenLifetime = true, nil, withoutRowFor(p.AccessTokenLifetime)
	}
	h.pollWith(p)
}

// pollOf polls for a device code as its client has to. The refresh token derives from the code.
func (h *history) pollOf(code token.Digest) store.PollDeviceCodeParams {
	id := h.name("t")
	p := store.PollDeviceCodeParams{
		DeviceCode: code, ClientID: "c1", AccessTokenID: store.AccessTokenID(id), AccessToken: new(h.digest(id)), Grace: 10 * time.Second,
		RefreshTokenID: new(store.RefreshTokenID(h.name("r"))), RefreshToken: new(h.digest(h.names[code] + "'")), DefaultResources: apis,
		AccessTokenLifetime: time.Minute, RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	}
	if f := h.m.deviceByCode(code); f != nil {
		p.ClientID = f.client
	}
	p.ClientAuthMethod, p.ClientSecret = h.m.clients[p.ClientID].registered(draw{})
	return p
}

func (h *history) pollWith(p store.PollDeviceCodeParams) {
	want := h.m.poll(p)
	r, err := h.q.PollDeviceCode(h.ctx, p)
	h.answered("PollDeviceCode", p, want, r.Outcome, err)
	if h.err != nil || want != store.OutcomeRedeemed && want != store.OutcomeRetried {
		return
	}
	h.polls = append(h.polls, p)
	f := h.m.deviceByCode(p.DeviceCode)
	h.told("access", r.AccessTokenExpiresAt, h.m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) }))
	if f.first != nil {
		if r.RefreshTokenID == nil || string(*r.RefreshTokenID) != f.first.id {
			h.fail(fmt.Errorf("PollDeviceCode: the refresh token is another one than %s", f.first.id))
		}
		h.told("refresh", r.RefreshTokenExpiresAt, f.first)
	}
}

// device creates a request of c1, a1, with a device code, dc1, and a user code, uc1.
func (s *stage) device(changes ...func(*store.CreateDeviceAuthorizationParams)) {
	s.do(func(h *history) { h.createDeviceAuthorizationWith(changed(h.deviceAuthorization(), changes)) })
}

// claim enters the latest user code as u1, without a session.
func (s *stage) claim(changes ...func(*store.FindAuthorizationByUserCodeParams)) {
	s.do(func(h *history) {
		h.claimWith(changed(store.FindAuthorizationByUserCodeParams{UserID: "u1", UserCode: h.userCodes[len(h.userCodes)-1]}, changes))
	})
}

// poll polls for the latest device code as its client has to.
func (s *stage) poll(changes ...func(*store.PollDeviceCodeParams)) {
	s.do(func(h *history) { h.pollWith(changed(h.pollOf(h.deviceCodes[len(h.deviceCodes)-1]), changes)) })
}

func (s *stage) pollAgain() { s.do(func(h *history) { h.pollWith(h.polls[len(h.polls)-1]) }) }

// approved goes through a request up to its approval.
func (s *stage) approvedDevice() {
	s.device()
	s.claim()
	s.approve()
}

func aDevice(s *stage) {
	s.device(func(p *store.CreateDeviceAuthorizationParams) { p.ClientSecret = token.DigestOf("wrong") })
	s.device(func(p *store.CreateDeviceAuthorizationParams) {
		p.ClientID, p.ClientAuthMethod, p.ClientSecret = "c5", "tls_client_auth", ""
	})
	s.device(func(p *store.CreateDeviceAuthorizationParams) { p.Scopes = []string{"email"} })
	s.device(func(p *store.CreateDeviceAuthorizationParams) { p.Resources = []string{"https://bank.example"} })
	s.device()
	s.do(func(h *history) {
		p := h.deviceAuthorization()
		p.UserCode = h.userCodes[len(h.userCodes)-1]
		h.createDeviceAuthorizationWith(p)
	})
	s.device()
	s.poll()
	s.pass(5 * time.Second) // to the instant
	s.poll()
	s.pass(4 * time.Second)
	s.poll() // too early, and 10 seconds from now on
	s.pass(3 * time.Second)
	s.poll() // too early again, and 15 seconds
	s.pass(8 * time.Second)
	s.poll()
	s.poll(func(p *store.PollDeviceCodeParams) { p.DeviceCode = token.DigestOf("another") })
	s.approve() // nobody has entered the code
	s.deny()
	s.claim(func(p *store.FindAuthorizationByUserCodeParams) { p.UserID = "u0" })
	s.claim(func(p *store.FindAuthorizationByUserCodeParams) { p.SessionID = new(store.SessionID("s2")) })
	s.claim()
	s.claim(func(p *store.FindAuthorizationByUserCodeParams) { p.SessionID = new(store.SessionID("s1")) })
	s.claim(func(p *store.FindAuthorizationByUserCodeParams) { p.UserID = "u2" })
	s.approve(func(p *store.ApproveAuthorizationParams) { p.UserID = "u2" })
	s.issueCode()
	s.approve()
	s.approve()
	s.claim()
	s.poll(func(p *store.PollDeviceCodeParams) { p.ClientSecret = token.DigestOf("wrong") })
	s.poll(func(p *store.PollDeviceCodeParams) {
		p.ClientID, p.ClientAuthMethod, p.ClientSecret = "c3", "private_key_jwt", ""
	})
	s.poll(func(p *store.PollDeviceCodeParams) { p.Resources = apis })
	s.poll(func(p *store.PollDeviceCodeParams) { p.DefaultResources = nil })
	s.poll()
	s.pollAgain()
	s.poll()
	s.pass(10 * time.Second) // grace is over
	s.pollAgain()
	s.poll()
	s.poll()
	s.device(func(p *store.CreateDeviceAuthorizationParams) {
		p.ClientID, p.ClientAuthMethod, p.ClientSecret, p.DefaultScopes = "c3", "private_key_jwt", "", p.Scopes
	})
	s.claim()
	s.approve()
	s.poll(func(p *store.PollDeviceCodeParams) { p.DefaultScopes = []string{"openid"} })
}

func aDeviceThatPollsTooLate(s *stage) {
	s.approvedDevice()
	s.pass(time.Minute) // to the instant
	s.poll()
	s.claim()
	s.do(func(h *history) {
		p := h.deviceAuthorization()
		p.UserCode = h.userCodes[len(h.userCodes)-1]
		h.createDeviceAuthorizationWith(p)
	})
	s.claim()
	s.revokeLatest()
	s.claim()
	s.poll()
	s.device()
	s.claim()
	s.deny()
	s.deny()
	s.poll()
	s.collect(0, "DeleteExpiredPolledRequests", "DeleteExpiredAuthorizations")
	s.approvedDevice()
	s.poll()
	s.rotate("r4")
	s.pollAgain() // the very same call, late
	s.poll()      // the refresh token was used
	s.approvedDevice()
	s.poll(func(p *store.PollDeviceCodeParams) { p.RefreshTokenLifetime = 5 * time.Second })
	s.pass(5 * time.Second)
	s.poll()
	s.device()
	on(s, (*history).suspendUserOf, "u2")
	s.claim(func(p *store.FindAuthorizationByUserCodeParams) { p.UserID = "u2" })
	on(s, (*history).disableClientOf, "c1")
	s.claim()
	s.poll()
	s.device()
}

func aDeviceWhoseTokensHaveNoRow(s *stage) {
	withoutRow := func(p *store.PollDeviceCodeParams) { p.AccessTokenWithoutRow, p.AccessToken = true, nil }
	withoutRefresh := func(p *store.PollDeviceCodeParams) { p.RefreshTokenID, p.RefreshToken = nil, nil }
	s.approvedDevice()
	s.poll(withoutRow)
	s.pass(time.Second)
	s.pollAgain()
	s.poll(withoutRow)
	s.approvedDevice()
	s.poll(withoutRow, withoutRefresh)
	s.pass(time.Second)
	s.pollAgain()
	s.poll(withoutRow, withoutRefresh)
	s.pass(time.Minute - time.Second/2)
	s.list()
	s.pass(time.Second)
	s.collect(0, "MarkDeadAuthorizations", "DeleteExpiredPolledRequests", "DeleteExpiredAuthorizations")
}

// Token exchange (RFC 8693).

func (h *history) exchange(d draw) {
	if again, found := recent(d, h.exchanges); found && d.once(5) {
		h.exchangeWith(again)
		return
	}
	of := slices.DeleteFunc(slices.Clone(h.m.tokens), func(t *issued) bool { return t.refresh || t.gone || t.family == nil && !d.once(8) })
	live := slices.DeleteFunc(slices.Clone(of), func(t *issued) bool { return !h.m.tokenIsLive(t) })
	t, found := recent(d, live)
	if !found || d.once(4) {
		t, found = recent(d, of)
	}
	if !found {
		h.redeem(d) // or there is little to exchange
		return
	}
	p := h.exchangeOf(t, h.client(d))
	if p.ClientID == "c0" || d.once(3) {
		p = h.exchangeOf(t, t.client)
	}
	if p.ClientAuthMethod, p.ClientSecret = h.caller(d, p.ClientID); d.once(4) {
		p.ClientResources = nil
	}
	p.AccessTokenLifetime = h.lifetime(d, 5*time.Minute, time.Minute, 10*time.Second)
	if p.Confirmation = h.key(d); t.key != nil && !d.once(4) {
		p.Confirmation = t.key
	}
	if d.once(3) {
		p.Scopes = some(d, t.scopes, "admin")
	}
	if d.once(4) {
		p.Resources = some(d, t.resources, apis[1])
	}
	p.DefaultScopes, _ = byDefault(d)
	h.exchangeWith(p)
}

// exchangeOf exchanges a token for a client that serves its resources.
func (h *history) exchangeOf(t *issued, client store.ClientID) store.ExchangeTokenParams {
	id := h.name("t")
	p := store.ExchangeTokenParams{
		ClientID: client, ClientResources: apis, DefaultScopes: []string{"openid", "email", "offline_access"},
		AccessTokenID: store.AccessTokenID(id), AccessToken: new(h.digest(id)), AccessTokenLifetime: time.Hour,
	}
	if t.digest != "" {
		p.SubjectToken = &t.digest
	} else {
		p.SubjectTokenID = new(store.AccessTokenID(t.id))
	}
	if c := h.m.clients[client]; c != nil {
		p.ClientAuthMethod, p.ClientSecret = c.registered(draw{})
	}
	return p
}

func (h *history) exchangeWith(p store.ExchangeTokenParams) {
	want := h.m.exchange(p)
	r, err := h.q.ExchangeToken(h.ctx, p)
	h.answered("ExchangeToken", p, want, r.Outcome, err)
	if h.err == nil && (want == store.OutcomeExchanged || want == store.OutcomeRetried) {
		h.exchanges = append(h.exchanges, p)
		h.told("access", r.ExpiresAt, h.m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) }))
	}
}

// exchange exchanges a token as a client has to.
func (s *stage) exchange(id string, client store.ClientID, changes ...func(*store.ExchangeTokenParams)) {
	s.do(func(h *history) { h.exchangeWith(changed(h.exchangeOf(h.tokenNamed(id), client), changes)) })
}

func aTokenIsExchanged(s *stage) {
	s.grant()
	s.redeem()
	s.exchange("t1", "c3")
	s.do(func(h *history) { h.exchangeWith(h.exchanges[len(h.exchanges)-1]) })
	s.exchange("t1", "c3", func(p *store.ExchangeTokenParams) { p.ClientAuthMethod = "none" })
	s.exchange("t1", "c3", func(p *store.ExchangeTokenParams) { p.ClientResources = nil })
	s.exchange("t1", "c2")
	s.exchange("t1", "c5")
	s.exchange("t1", "c3", func(p *store.ExchangeTokenParams) { p.Scopes = []string{"email"} })
	s.exchange("t1", "c3", func(p *store.ExchangeTokenParams) { p.Resources = apis })
	s.exchange("t2", "c4") // a chain
	on(s, (*history).disableClientOf, "c3")
	s.exchange("t1", "c3")
	s.exchange("t2", "c6") // its own client is disabled
	on(s, (*history).enableClientOf, "c3")
	on(s, (*history).revokeClientAuthorizationsOf, "c3")
	s.exchange("t1", "c3")
	on(s, (*history).revokeUserAuthorizationsByClientOf, pair{"c3", "u1"})
	s.exchange("t1", "c3")
	s.pass(time.Minute) // to the instant
	s.exchange("t1", "c3")
	s.issue("c1")
	s.do(func(h *history) { h.exchangeWith(h.exchangeOf(h.m.tokens[len(h.m.tokens)-1], "c1")) })
	s.grant(byClient("c2"), boundTo(keyA))
	s.redeem(func(p *redemption) { p.Confirmation = keyA })
	s.do(func(h *history) { h.exchangeWith(h.exchangeOf(h.m.tokens[len(h.m.tokens)-1], "c2")) }) // without its key
	s.revokeLatest()
	s.do(func(h *history) { h.exchangeWith(h.exchangeOf(h.m.tokens[len(h.m.tokens)-1], "c3")) })
}
