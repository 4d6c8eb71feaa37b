package model

import (
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// A scene is a history written by hand, of what random ones come across too seldom. The calls are named as in history, and everything
// is answered and compared as there. Unless it says otherwise, a scene is played by the client c1 and the user u1.
type scene struct {
	name string
	play func(s *stage)
}

// playing plays a scene, on queries that rewrite may change.
func (db *modelDB) playing(s scene, rewrite func(string) string) *history {
	return db.run(s.name, rewrite, func(take func(step)) { s.play(&stage{take}) })
}

func sceneNamed(t *testing.T, name string) scene {
	t.Helper()
	i := slices.IndexFunc(scenes, func(s scene) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("there is no scene %q", name)
	}
	return scenes[i]
}

// stage takes steps that leave nothing to chance.
type stage struct{ take func(step) }

// do takes a step, unless one before it has failed.
func (s *stage) do(f func(h *history)) { s.take(step{run: func(h *history, _ draw) { f(h) }}) }

func changed[P any](p P, changes []func(*P)) P {
	for _, change := range changes {
		change(&p)
	}
	return p
}

// on makes a call that wants an id.
func on[ID any](s *stage, call func(*history, ID), ids ...ID) {
	for _, id := range ids {
		s.do(func(h *history) { call(h, id) })
	}
}

func (s *stage) pass(d time.Duration) { s.do(func(h *history) { h.pass(d) }) }

func (s *stage) collect(retention time.Duration, calls ...string) {
	for _, call := range calls {
		s.do(func(h *history) { h.collectBy(call, retention) })
	}
}

// push creates a request, a1, with a request_uri, q1.
func (s *stage) push(changes ...func(*store.CreateAuthorizationParams)) {
	s.do(func(h *history) {
		h.createAuthorizationWith(changed(store.CreateAuthorizationParams{
			ID: store.AuthorizationID(h.name("a")), ClientID: "c1", Scopes: []string{"openid", "offline_access"}, Lifetime: time.Minute,
			RequestURI: new(h.digest(h.name("q"))), RequestURILifetime: time.Minute, RedirectURI: new(fixture.RedirectURI),
			ResponseType: new("code"), CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), DefaultScopes: defaults, DefaultResources: apis,
		}, changes))
	})
}

func (s *stage) takeRequest(changes ...func(*store.TakeAuthorizationByRequestURIParams)) {
	s.do(func(h *history) {
		h.takeAuthorizationWith(changed(store.TakeAuthorizationByRequestURIParams{
			RequestURI: h.requestURIs[len(h.requestURIs)-1], ClientID: "c1", Lifetime: time.Minute,
		}, changes))
	})
}

// approve approves the latest request as u1, without a session.
func (s *stage) approve(changes ...func(*store.ApproveAuthorizationParams)) {
	s.do(func(h *history) {
		h.approveAuthorizationWith(changed(store.ApproveAuthorizationParams{
			ID: h.latest(), UserID: "u1", GrantedScopes: []string{"openid", "offline_access"}, Code: new(h.newCode()), CodeLifetime: time.Minute,
			DefaultScopes: defaults, DefaultResources: apis,
		}, changes))
	})
}

func (h *history) latest() store.AuthorizationID { return h.authorizations[len(h.authorizations)-1] }

func (s *stage) deny() { s.do(func(h *history) { h.denyAuthorizationOf(h.latest()) }) }

func (s *stage) issueCode() {
	s.do(func(h *history) {
		h.issueAuthorizationCodeWith(store.IssueAuthorizationCodeParams{ID: h.latest(), Code: h.newCode(), CodeLifetime: time.Minute, DefaultScopes: defaults, DefaultResources: apis})
	})
}

// revokeLatest revokes the latest authorization.
func (s *stage) revokeLatest() { s.do(func(h *history) { h.revokeAuthorizationOf(h.latest()) }) }

// grant writes an approved authorization and its code; without a session, and with offline_access.
func (s *stage) grant(changes ...func(*store.GrantAuthorizationParams)) {
	s.do(func(h *history) {
		p := changed(store.GrantAuthorizationParams{
			ID: store.AuthorizationID(h.name("a")), UserID: "u1", ClientID: "c1", Scopes: []string{"openid", "offline_access"}, Resources: apis[:1],
			RedirectURI: new(fixture.RedirectURI), Code: h.newCode(), CodeLifetime: time.Minute,
			ResponseType: new("code"), CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), DefaultScopes: defaults, DefaultResources: apis,
		}, changes)
		if p.GrantedScopes == nil {
			p.GrantedScopes = p.Scopes
		}
		h.grantAuthorizationWith(p)
	})
}

func inSession(p *store.GrantAuthorizationParams) {
	p.SessionID, p.Scopes = new(store.SessionID("s1")), []string{"openid"}
}

type (
	redemption = store.RedeemAuthorizationCodeParams
	rotation   = store.RotateRefreshTokenParams
)

// redeem redeems the latest code as its client has to. The first of a scene issues t1 and r1.
func (s *stage) redeem(changes ...func(*redemption)) {
	s.do(func(h *history) {
		code, id, r := h.codes[len(h.codes)-1], h.name("t"), h.name("r")
		p := redemption{
			Code: code, ClientID: "c1", AccessTokenID: store.AccessTokenID(id), AccessToken: new(h.digest(id)),
			RefreshTokenID: new(store.RefreshTokenID(r)), RefreshToken: new(h.digest(r)),
			AccessTokenLifetime: time.Minute, RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
			DefaultScopes: defaults, DefaultResources: apis,
		}
		if f := h.m.family(func(f *family) bool { return f.code == code }); f != nil {
			p.ClientID, p.CodeChallenge, p.RedirectURI = f.client, f.challenge, f.redirect
		}
		p.ClientAuthMethod, p.ClientSecret = h.m.clients[p.ClientID].registered(draw{})
		h.redeemWith(changed(p, changes))
	})
}

func withoutRefreshToken(p *redemption) { p.RefreshTokenID, p.RefreshToken = nil, nil }

func (s *stage) redeemAgain() {
	s.do(func(h *history) { h.redeemWith(h.redemptions[len(h.redemptions)-1]) })
}

// rotate presents a refresh token as its client has to.
func (s *stage) rotate(id string, changes ...func(*rotation)) {
	s.do(func(h *history) {
		r, access := h.tokenNamed(id), h.name("t")
		p := rotation{
			Token: r.digest, ClientID: r.client, Grace: 10 * time.Second, Successor: h.digest(h.names[r.digest] + "'"),
			SuccessorID: store.RefreshTokenID(h.name("r")), AccessTokenID: store.AccessTokenID(access), AccessToken: new(h.digest(access)),
			AccessTokenLifetime: time.Minute, RefreshTokenLifetime: time.Hour, DefaultScopes: defaults, DefaultResources: apis,
		}
		p.ClientAuthMethod, p.ClientSecret = h.m.clients[p.ClientID].registered(draw{})
		h.rotateWith(changed(p, changes))
	})
}

func (s *stage) rotateAgain() {
	s.do(func(h *history) { h.rotateWith(h.rotations[len(h.rotations)-1]) })
}

func (h *history) tokenNamed(id string) *issued {
	i := slices.IndexFunc(h.m.tokens, func(t *issued) bool { return t.id == id })
	if i < 0 {
		panic("the scene has no token " + id + " here" + h.GoString())
	}
	return h.m.tokens[i]
}

// issue issues a token of the client's own.
func (s *stage) issue(client store.ClientID, changes ...func(*store.IssueAccessTokenParams)) {
	s.do(func(h *history) {
		id := h.name("t")
		p := store.IssueAccessTokenParams{
			ID: store.AccessTokenID(id), AccessToken: new(h.digest(id)), ClientID: client, Scopes: []string{"openid"},
			DefaultScopes: []string{"openid", "calendar"}, Lifetime: time.Minute,
		}
		p.ClientAuthMethod, p.ClientSecret = h.m.clients[client].registered(draw{})
		h.issueWith(changed(p, changes))
	})
}

// introspect and revoke are called by a client as it has to.
func (s *stage) introspect(client store.ClientID, ids ...string) {
	for _, id := range ids {
		for _, either := range []bool{false, true} {
			s.do(func(h *history) {
				method, secret := h.m.clients[client].registered(draw{})
				h.introspectAs(client, method, secret, h.tokenNamed(id), either)
			})
		}
	}
}

func (s *stage) revoke(client store.ClientID, id string) {
	s.do(func(h *history) {
		method, secret := h.m.clients[client].registered(draw{})
		h.revokeTokenAs(client, method, secret, h.tokenNamed(id))
	})
}

// authenticate presents a secret.
func (s *stage) authenticate(client store.ClientID, method string, secrets ...string) {
	for _, secret := range secrets {
		s.do(func(h *history) {
			p := store.AuthenticateClientParams{ClientID: client, ClientAuthMethod: method}
			if secret != "" {
				p.ClientSecret = h.digest(secret)
			}
			h.authenticateClientWith(p)
		})
	}
}

func (s *stage) rotateSecret(secret string, overlap, lifetime time.Duration) {
	s.do(func(h *history) {
		h.rotateClientSecretWith(store.RotateClientSecretParams{ClientID: "c1", ClientSecret: h.digest(secret), Overlap: overlap, Lifetime: lifetime})
	})
}

// createSession signs u1 in.
func (s *stage) createSession(changes ...func(*store.CreateSessionParams)) {
	s.do(func(h *history) {
		p := changed(store.CreateSessionParams{UserID: "u1", Lifetime: time.Hour}, changes)
		if p.ID == "" {
			p.ID = store.SessionID(h.name("s"))
		}
		h.createSessionWith(p)
	})
}

func (s *stage) extend(id store.SessionID, lifetime, maxLifetime time.Duration) {
	s.do(func(h *history) {
		h.extendSessionWith(store.ExtendSessionParams{ID: id, Lifetime: lifetime, MaxLifetime: &maxLifetime})
	})
}

var bothScopes = []string{"openid", "email"}

// consent, withdraw and covers are about consent to c1 in a tenant.
func (s *stage) consent(tenant *store.ReferenceID, changes ...func(*store.GrantConsentParams)) {
	s.do(func(h *history) {
		h.grantConsentWith(changed(store.GrantConsentParams{
			ID: store.ConsentID(h.name("n")), ClientID: "c1", UserID: "u1", ReferenceID: tenant, Scopes: bothScopes,
		}, changes))
	})
}

func merged(p *store.GrantConsentParams) { p.Scopes, p.Merge = []string{"offline_access"}, true }

func (s *stage) withdraw(tenant *store.ReferenceID) {
	s.do(func(h *history) {
		h.withdrawConsentWith(store.WithdrawConsentParams{ClientID: "c1", UserID: "u1", ReferenceID: tenant})
	})
}

func (s *stage) checkConsent(tenant *store.ReferenceID) {
	s.do(func(h *history) {
		h.checkConsentWith(store.CheckConsentParams{ClientID: "c1", UserID: "u1", ReferenceID: tenant, Scopes: bothScopes})
	})
}

func (s *stage) list() {
	for _, byUser := range []bool{true, false} {
		s.do(func(h *history) { h.listOf(pair{"c1", "u1"}, byUser) })
	}
}

// Another server's statements, for c1 and u1.

func (s *stage) foreignRefreshToken(changes ...func(*issued)) {
	s.do(func(h *history) {
		id := h.name("r")
		t := changed(issued{
			refresh: true, id: id, digest: h.digest(id), pair: pair{"c1", "u1"}, scopes: []string{"openid", "offline_access"},
			expires: new(h.m.now.Add(time.Hour)), codeID: new(store.AuthorizationID(h.name("f"))),
		}, changes)
		h.insert(&t, nil, t.sessionID())
	})
}

// foreignAccessToken inserts an access token that belongs to a refresh token.
func (s *stage) foreignAccessToken(refresh string) {
	s.do(func(h *history) {
		r, id := h.tokenNamed(refresh), h.name("t")
		t := &issued{
			id: id, digest: h.digest(id), pair: r.pair, reference: r.reference, session: r.session, scopes: r.scopes,
			expires: new(h.m.now.Add(time.Hour)), codeID: r.codeID,
		}
		h.insert(t, r, t.sessionID())
	})
}

func (t *issued) sessionID() *store.SessionID {
	if t.session == nil {
		return nil
	}
	return &t.session.id
}

func (s *stage) foreignRotation(id string, finished bool) {
	s.do(func(h *history) { h.rotateForeign(h.tokenNamed(id), finished) })
}

func (s *stage) foreignConsent() {
	s.do(func(h *history) { h.foreignConsentOf(pair{"c1", "u1"}, nil, bothScopes) })
}

func (s *stage) onSession(id store.SessionID, do func(*history, *session)) {
	s.do(func(h *history) { do(h, h.m.sessions[id]) })
}

var org1, org2 = new(store.ReferenceID("org1")), new(store.ReferenceID("org2"))

func inTenant(tenant *store.ReferenceID) func(*store.GrantAuthorizationParams) {
	return func(p *store.GrantAuthorizationParams) { p.ReferenceID = tenant }
}

func byClient(id store.ClientID) func(*store.GrantAuthorizationParams) {
	return func(p *store.GrantAuthorizationParams) { p.ClientID = id }
}

func boundTo(key *token.Confirmation) func(*store.GrantAuthorizationParams) {
	return func(p *store.GrantAuthorizationParams) { p.Confirmation = key }
}

var scenes = []scene{
	// Endings.
	{"a user is deleted", func(s *stage) {
		s.consent(nil)
		s.grant()
		s.redeem()
		s.push()
		on(s, (*history).deleteUserOf, "u1", "u1")
		s.approve()
		s.grant()
		s.consent(nil)
		s.createSession()
		on(s, (*history).suspendUserOf, "u1")
		on(s, (*history).reinstateUserOf, "u1")
		// what another server writes from now on is dead by that alone
		on(s, (*history).deletedAlone, "u1")
		on(s, (*history).foreignSessionOf, "u1")
		s.onSession("s4", (*history).unseen)
		s.foreignConsent()
		s.foreignRefreshToken()
		s.collect(0, "MarkEndedSessions", "DeleteDeadConsents", "MarkDeadAuthorizations", "EraseDeletedUsers")
	}},
	{"a deleted user is erased last", func(s *stage) {
		s.onSession("s1", (*history).foreignSignOutOf)
		s.grant()
		on(s, (*history).deleteUserOf, "u1")
		s.collect(0, "EraseDeletedUsers", "MarkDeadAuthorizations", "DeleteEndedAuthorizations", "EraseDeletedUsers")
	}},
	{"a user is suspended", func(s *stage) {
		s.consent(nil)
		s.grant(inSession)
		s.redeem()
		on(s, (*history).suspendUserOf, "u1", "u1", "u0")
		s.push()
		s.approve()
		s.grant()
		s.consent(nil)
		s.createSession()
		on(s, (*history).foreignSessionOf, "u1", "u1")
		on(s, (*history).endSessionOf, "s5") // it is stored as ended
		s.onSession("s4", (*history).unseen)
		s.foreignConsent()
		s.foreignRefreshToken()
		on(s, (*history).reinstateUserOf, "u1", "u1", "u0")
		s.grant()
		s.redeem()
	}},
	{"the grants of a user end", func(s *stage) {
		s.consent(nil)
		s.checkConsent(nil)
		s.grant()
		s.redeem()
		s.push()
		s.approve()
		on(s, (*history).revokeUserAuthorizationsOf, "u1", "u0")
		s.checkConsent(nil)
		s.issueCode()
		s.approve()
		s.redeem()
		s.rotate("r1")
		s.consent(nil, merged)
	}},
	{"the grants of a client end", func(s *stage) {
		s.grant()
		s.redeem()
		s.issue("c1")
		on(s, (*history).revokeClientAuthorizationsOf, "c1")
		s.rotate("r1")
		s.issue("c1")
	}},
	{"a client is disabled", func(s *stage) {
		s.consent(nil)
		s.grant()
		s.redeem()
		s.issue("c1")
		s.push()
		s.grant()
		on(s, (*history).disableClientOf, "c1")
		s.introspect("c1", "t1", "r1")
		s.introspect("c3", "t1")
		s.issue("c1")
		s.rotate("r1")
		s.redeem()
		s.grant()
		s.do(func(h *history) {
			h.approveAuthorizationWith(store.ApproveAuthorizationParams{ID: "a2", UserID: "u1", Code: new(h.newCode()), CodeLifetime: time.Minute, DefaultScopes: defaults, DefaultResources: apis})
		})
		s.authenticate("c1", "client_secret_basic", "x1")
		s.checkConsent(nil)
		s.consent(nil)
		s.collect(0, "MarkDeadAuthorizations", "DeleteDeadAccessTokens", "DeleteEndedAuthorizations")
		on(s, (*history).enableClientOf, "c1")
		s.rotate("r1")
	}},
	{"the owner of a client is deleted", func(s *stage) {
		s.grant(byClient("c2"))
		s.redeem()
		on(s, (*history).deleteUserOf, "u2")
		s.grant(byClient("c2"))
		on(s, (*history).enableClientOf, "c2")
		s.collect(0, "EraseDeletedUsers", "EraseDeletedClients")
	}},
	{"a client is deleted", func(s *stage) {
		s.consent(nil)
		s.grant()
		s.redeem()
		s.issue("c1")
		on(s, (*history).deleteClientOf, "c1", "c1")
		on(s, (*history).enableClientOf, "c1")
		s.authenticate("c1", "client_secret_basic", "", "x1")
		s.collect(0, "DeleteDeadAccessTokens", "DeleteDeadConsents", "MarkDeadAuthorizations", "DeleteEndedAuthorizations", "EraseDeletedClients")
	}},
	{"a token is exchanged", aTokenIsExchanged},
	{"a device", aDevice},
	{"a device that polls too late", aDeviceThatPollsTooLate},
	{"a device whose tokens have no row", aDeviceWhoseTokensHaveNoRow},
	{"access tokens without a row", accessTokensWithoutARow},
	{"access tokens that outlive their refresh token", accessTokensThatOutliveTheirRefreshToken},
	{"tenants", func(s *stage) {
		for _, tenant := range []*store.ReferenceID{nil, org1, org2} {
			s.grant(inTenant(tenant))
			s.redeem()
		}
		s.consent(nil)
		s.consent(org1, merged) // with nothing of another tenant's
		s.consent(org1)
		s.consent(org1, merged)
		s.checkConsent(org1)
		s.checkConsent(nil)
		s.withdraw(nil)
		s.withdraw(org1)
		s.checkConsent(org1)
		s.consent(org1)
		s.consent(org2)
		on(s, (*history).revokeUserAuthorizationsByClientOf, pair{"c1", "u1"}, pair{"c1", "u0"})
		s.checkConsent(org2)
	}},

	{"a consent that another server writes again", func(s *stage) {
		bank := []string{"https://bank.example"}
		check := func() {
			s.do(func(h *history) {
				h.checkConsentWith(store.CheckConsentParams{ClientID: "c1", UserID: "u1", Scopes: bothScopes, Resources: bank})
				h.checkConsentWith(store.CheckConsentParams{ClientID: "c1", UserID: "u1", Scopes: bothScopes})
				h.checkConsentWith(store.CheckConsentParams{ClientID: "c1", UserID: "u1", Scopes: bothScopes, Resources: []string{"https://a.example"}})
			})
		}
		again := func() {
			s.do(func(h *history) { h.foreignConsentOf(pair{"c1", "u1"}, nil, bothScopes) })
			check()
		}
		s.consent(nil, func(p *store.GrantConsentParams) { p.Resources = bank })
		check()
		again()
		on(s, (*history).revokeUserAuthorizationsByClientOf, pair{"c1", "u1"})
		check()
		again()
	}},

	// Callers.
	{"who calls", func(s *stage) {
		for _, client := range []store.ClientID{"c0", "c1", "c2", "c3", "c4", "c5", "c6"} {
			for _, method := range []string{"", "none", "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "verified", "server"} {
				s.authenticate(client, method, "", "x1")
			}
		}
	}},
	{"callers who are not authenticated", func(s *stage) {
		wrong := token.DigestOf("wrong")
		s.grant()
		s.redeem(func(p *redemption) { p.ClientSecret = wrong })
		s.redeem(func(p *redemption) { p.ClientAuthMethod = "none" })
		s.redeem()
		s.rotate("r3", func(p *rotation) { p.ClientSecret = "" })
		s.issue("c1", func(p *store.IssueAccessTokenParams) { p.ClientSecret = wrong })
		for _, either := range []bool{true, false} {
			s.do(func(h *history) { h.introspectAs("c1", "client_secret_basic", wrong, h.tokenNamed("t3"), either) })
			s.do(func(h *history) { h.introspectAs("c1", "client_secret_basic", wrong, h.tokenNamed("r3"), either) })
		}
		s.do(func(h *history) { h.revokeTokenAs("c1", "none", "", h.tokenNamed("t3")) })
		s.do(func(h *history) { h.revokeTokenAs("c1", "client_secret_post", wrong, h.tokenNamed("r3")) })
	}},
	{"who may ask", func(s *stage) {
		s.grant()
		s.redeem()
		s.grant()
		s.redeem(func(p *redemption) { p.AccessToken = nil })
		for _, client := range []store.ClientID{"c1", "c2", "c3", "c4", "c5", "c6"} {
			s.introspect(client, "t1", "r1", "t2")
		}
		for _, id := range []string{"t1", "r1", "t2"} { // the server may have checked a public client in a way of its own
			for _, either := range []bool{true, false} {
				s.do(func(h *history) { h.introspectAs("c2", "verified", "", h.tokenNamed(id), either) })
			}
		}
	}},
	{"callers who ask of another client's", func(s *stage) {
		s.grant()
		s.redeem(func(p *redemption) { p.ClientID, p.ClientAuthMethod, p.ClientSecret = "c3", "private_key_jwt", "" })
		s.redeem()
		s.rotate("r2", func(p *rotation) { p.ClientID, p.ClientAuthMethod, p.ClientSecret = "c3", "private_key_jwt", "" })
		s.revoke("c3", "r2")
		s.revoke("c3", "t2")
		s.introspect("c3", "r2", "t2")
		s.revoke("c1", "t2")
		s.revoke("c1", "t2")
		s.rotate("r2")
		s.revoke("c1", "r2") // a spent one ends its family
		s.revoke("c1", "r2")
		s.introspect("c1", "r4")
	}},
	{"tokens that are known by their ids", func(s *stage) {
		s.grant()
		s.redeem(func(p *redemption) { p.AccessToken = nil })
		s.introspect("c1", "t1")
		s.do(func(h *history) {
			h.introspectAs("c1", "client_secret_basic", token.DigestOf("wrong"), h.tokenNamed("t1"), false)
			h.revokeTokenAs("c1", "client_secret_basic", token.DigestOf("wrong"), h.tokenNamed("t1"))
		})
		s.revoke("c3", "t1")
		s.revoke("c1", "t1")
		s.revoke("c1", "t1")
		s.introspect("c1", "t1")
	}},
	{"secrets", func(s *stage) {
		s.rotateSecret("x2", 10*time.Second, time.Minute)
		s.rotateSecret("x2", 10*time.Second, time.Minute)
		s.authenticate("c1", "client_secret_basic", "x1", "x2")
		s.authenticate("c4", "client_secret_basic", "x1", "x2", "x4")
		s.pass(10 * time.Second)
		s.authenticate("c1", "client_secret_basic", "x1", "x2")
		s.rotateSecret("x3", time.Hour, store.Never)
		s.authenticate("c1", "client_secret_basic", "x2", "x3")
		s.pass(50 * time.Second)
		s.authenticate("c1", "client_secret_basic", "x2", "x3")
		s.rotateSecret("x5", 0, time.Minute)
		s.authenticate("c1", "client_secret_basic", "x3", "x5")
		s.pass(time.Minute)
		s.authenticate("c1", "client_secret_basic", "x5")
		s.collect(0, "DeleteExpiredClientSecrets")
	}},
	{"a client's own tokens", func(s *stage) {
		calendar := func(p *store.IssueAccessTokenParams) { p.Scopes = []string{"openid", "calendar"} }
		for _, client := range []store.ClientID{"c1", "c2", "c3", "c4", "c5", "c6"} {
			s.issue(client)
			s.issue(client, calendar)
			s.issue(client, calendar, func(p *store.IssueAccessTokenParams) { p.DefaultScopes = nil })
		}
		s.do(func(h *history) { h.issueWith(h.issues[len(h.issues)-1]) })
		s.issue("c1", func(p *store.IssueAccessTokenParams) { p.Resources = apis })
		s.pass(30 * time.Second)
		on(s, (*history).disableClientOf, "c3")
		on(s, (*history).enableClientOf, "c3")
		on(s, (*history).revokeClientAuthorizationsOf, "c3")
		s.pass(30 * time.Second)
	}},

	{"grants without a code", grantsWithoutACode},

	// Requests.
	{"a request", func(s *stage) {
		s.push()
		s.takeRequest(func(p *store.TakeAuthorizationByRequestURIParams) { p.ClientID = "c3" })
		s.takeRequest()
		s.takeRequest()
		s.approve(func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = append(p.GrantedScopes, "admin") })
		s.issueCode()
		s.approve(func(p *store.ApproveAuthorizationParams) { p.Code = nil })
		s.approve() // a second click
		s.approve(func(p *store.ApproveAuthorizationParams) { p.Code = nil })
		s.approve(func(p *store.ApproveAuthorizationParams) { p.UserID = "u2" })
		s.approve(func(p *store.ApproveAuthorizationParams) { p.SessionID = new(store.SessionID("s1")) })
		s.deny()
		s.issueCode()
		s.redeem()
		s.issueCode()
		s.approve()
		s.approve(func(p *store.ApproveAuthorizationParams) { p.ID = "a0" })
	}},
	{"a request that the client is not registered for", func(s *stage) {
		s.push(func(p *store.CreateAuthorizationParams) { p.RedirectURI = new("https://attacker.example") })
		s.push(func(p *store.CreateAuthorizationParams) { p.ResponseType = nil })
		s.push(func(p *store.CreateAuthorizationParams) {
			p.ClientID, p.CodeChallenge, p.CodeChallengeMethod = "c2", nil, nil
		})
		s.push(func(p *store.CreateAuthorizationParams) { p.Scopes = []string{"email"} }) // which is among the defaults
		s.push(func(p *store.CreateAuthorizationParams) { p.Resources = []string{"https://bank.example"} })
		s.grant(func(p *store.GrantAuthorizationParams) { p.RedirectURI = new("https://attacker.example") })
		s.grant(func(p *store.GrantAuthorizationParams) { p.ResponseType = nil })
		s.grant(func(p *store.GrantAuthorizationParams) {
			p.ClientID, p.CodeChallenge, p.CodeChallengeMethod = "c2", nil, nil
		})
		s.grant(func(p *store.GrantAuthorizationParams) { p.Scopes = []string{"email"} })
		s.grant(func(p *store.GrantAuthorizationParams) { p.Resources = []string{"https://bank.example"} })
	}},
	{"scopes that a client has lost", func(s *stage) {
		s.push(func(p *store.CreateAuthorizationParams) { p.ClientID, p.Scopes = "c3", defaults[:2] })
		s.approve(func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = defaults })
		s.approve(func(p *store.ApproveAuthorizationParams) {
			p.GrantedScopes, p.DefaultScopes = defaults[:1], defaults[:1]
		})
		s.push(func(p *store.CreateAuthorizationParams) { p.ClientID, p.Resources = "c3", apis })
		for _, lost := range []func(*store.ApproveAuthorizationParams){
			func(p *store.ApproveAuthorizationParams) { p.DefaultScopes = []string{"openid"} },
			func(p *store.ApproveAuthorizationParams) { p.DefaultResources = apis[:1] },
			func(*store.ApproveAuthorizationParams) {},
			func(p *store.ApproveAuthorizationParams) { p.DefaultScopes = []string{"openid"} }, // a second click
			func(p *store.ApproveAuthorizationParams) { p.DefaultResources = nil },
		} {
			s.approve(lost)
		}
		for _, scopes := range [][]string{{"openid"}, defaults} {
			s.do(func(h *history) {
				h.issueAuthorizationCodeWith(store.IssueAuthorizationCodeParams{
					ID: h.latest(), Code: h.newCode(), CodeLifetime: time.Minute, DefaultScopes: scopes, DefaultResources: apis[:len(scopes)-1],
				})
			})
		}
		s.redeem(func(p *redemption) { p.DefaultScopes = nil })
		s.redeem(func(p *redemption) { p.DefaultResources = apis[1:] })
		s.redeem()
		s.rotate("r3", func(p *rotation) { p.DefaultScopes = nil })
		s.rotate("r3", func(p *rotation) { p.DefaultResources = nil })
		s.rotate("r3", func(p *rotation) { p.DefaultScopes, p.Scopes = defaults[:1], []string{"offline_access"} })
		s.rotate("r3", func(p *rotation) { p.DefaultResources, p.Resources = apis[:1], apis[1:] })
		s.rotate("r3", func(p *rotation) { p.DefaultScopes, p.DefaultResources = defaults[:1], apis[1:] })
	}},
	{"a second click without a code", func(s *stage) {
		s.push()
		s.approve()
		s.approve(func(p *store.ApproveAuthorizationParams) { p.Code = nil })
		s.redeem(func(p *redemption) { p.Code, p.RedirectURI = token.DigestOf("o1"), new(fixture.RedirectURI) }) // the code of before
	}},
	{"what there is not", func(s *stage) {
		on(s, (*history).revokeAuthorizationOf, "a0")
		on(s, (*history).denyAuthorizationOf, "a0")
		s.do(func(h *history) {
			h.issueAuthorizationCodeWith(store.IssueAuthorizationCodeParams{ID: "a0", Code: h.newCode(), CodeLifetime: time.Minute, DefaultScopes: defaults, DefaultResources: apis})
		})
		for _, client := range []store.ClientID{"c0", "c3"} {
			s.push(func(p *store.CreateAuthorizationParams) { p.ClientID = client })
			on(s, (*history).disableClientOf, client)
			s.push(func(p *store.CreateAuthorizationParams) { p.ClientID = client })
			on(s, (*history).revokeClientAuthorizationsOf, client)
		}
		s.do(func(h *history) {
			h.rotateClientSecretWith(store.RotateClientSecretParams{ClientID: "c0", ClientSecret: h.digest("x9"), Lifetime: store.Never})
		})
		s.do(func(h *history) { h.endUserSessionsWith(store.EndUserSessionsParams{UserID: "u0"}) })
		s.do(func(h *history) {
			h.checkConsentWith(store.CheckConsentParams{ClientID: "c0", UserID: "u1", Scopes: bothScopes})
		})
		s.do(func(h *history) { h.withdrawConsentWith(store.WithdrawConsentParams{ClientID: "c1", UserID: "u0"}) })
		s.do(func(h *history) { h.withdrawConsentWith(store.WithdrawConsentParams{ClientID: "c1", UserID: "u1"}) })
	}},
	{"requests that were denied, have expired or were revoked", func(s *stage) {
		s.push()
		s.deny()
		s.deny()
		s.approve()
		s.issueCode()
		s.push()
		s.revokeLatest()
		s.approve()
		s.deny()
		s.issueCode()
		s.revokeLatest()
		s.push()
		s.pass(time.Minute)
		s.takeRequest()
		s.approve()
		s.deny()
		s.issueCode()
		s.collect(time.Minute, "DeleteExpiredAuthorizations")
		s.pass(time.Minute)
		s.collect(time.Minute, "DeleteExpiredAuthorizations")
	}},
	{"approved in a session", func(s *stage) {
		session := func(p *store.ApproveAuthorizationParams) {
			p.SessionID, p.GrantedScopes = new(store.SessionID("s1")), []string{"openid"}
		}
		s.push()
		s.approve(session)
		s.approve(session)
		s.push()
		s.approve(session, func(p *store.ApproveAuthorizationParams) { p.UserID = "u2" })
		s.grant(inSession, func(p *store.GrantAuthorizationParams) { p.UserID = "u2" })
		s.grant(func(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"admin"} })
		s.push()
		s.approve(session, func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = []string{"offline_access"} })
		s.redeem()
		s.push()
		on(s, (*history).endSessionOf, "s1", "s1", "s0")
		s.approve(session)
		s.grant(inSession)
		s.onSession("s1", (*history).endsLater)
		s.rotate("r1")
	}},

	// Redemption.
	{"a code is redeemed", func(s *stage) {
		s.grant(func(p *store.GrantAuthorizationParams) {
			p.CodeChallenge, p.CodeChallengeMethod = &fixture.Challenge, new("S256")
		})
		s.redeem(func(p *redemption) { p.CodeChallenge = nil })
		s.redeem(func(p *redemption) { p.CodeChallenge = new("another challenge, as long as one has to be, as it is") })
		s.redeem(func(p *redemption) { p.RedirectURI = new("https://attacker.example") })
		s.redeem(func(p *redemption) { p.Resources = apis })
		s.redeem(func(p *redemption) { p.Code = token.DigestOf("another") })
		s.redeem()
		s.redeemAgain()
		s.redeem()
		s.redeemAgain()
	}},
	{"a code that has expired", func(s *stage) {
		s.grant()
		s.pass(time.Minute) // to the instant
		s.redeem()
		s.issueCode()
		s.collect(time.Minute, "DeleteExpiredAuthorizations")
	}},
	{"proofs", func(s *stage) {
		proof := token.DigestOf("proof")
		redeemed := func(p *redemption) { p.Proof, p.ProofExpiresAt = &proof, new(time.Now().Add(time.Hour)) }
		rotated := func(p *rotation) { p.Proof, p.ProofExpiresAt = &proof, new(time.Now().Add(time.Hour)) }
		s.grant()
		s.redeem(redeemed)
		s.redeemAgain()
		s.grant()
		s.redeem(redeemed)
		s.rotate("r1", rotated)
		s.rotate("r1", func(p *rotation) {
			p.Proof, p.ProofExpiresAt = new(token.DigestOf("another proof")), new(time.Now().Add(time.Hour))
		})
		s.rotateAgain()
		s.rotate("r1")
		s.rotate("r1", rotated)
		s.rotate("r1", rotated, func(p *rotation) { p.Scopes = []string{"admin"} })
	}},
	{"keys", func(s *stage) {
		s.grant(byClient("c2"), boundTo(keyA))
		s.redeem(func(p *redemption) { p.Confirmation = keyB })
		s.redeem()
		s.redeem(func(p *redemption) { p.Confirmation = keyA })
		s.rotate("r3", func(p *rotation) { p.Confirmation = keyB })
		s.rotate("r3", func(p *rotation) { p.Confirmation = keyA })
		s.grant()
		s.redeem(func(p *redemption) { p.Confirmation = keyA }) // a confidential client's refresh token is bound to none
	}},
	{"tokens live no longer than their session and their family", func(s *stage) {
		s.createSession(func(p *store.CreateSessionParams) { p.Lifetime = 30 * time.Second })
		s.grant(func(p *store.GrantAuthorizationParams) {
			p.SessionID, p.Scopes = new(store.SessionID("s3")), []string{"openid"}
		})
		s.redeem()
		s.rotate("r1")
		s.grant()
		s.redeem(func(p *redemption) { p.FamilyLifetime = 30 * time.Second })
		s.rotate("r3")
		s.grant(byClient("c4")) // its own limit is 30 seconds
		s.redeem()
		s.rotate("r5")
		s.list()
		s.pass(30 * time.Second)
		s.rotate("r4")
		s.list()
		s.pass(time.Hour)
		s.list()
	}},

	// Rotation.
	{"a token is rotated", func(s *stage) {
		s.grant()
		s.redeem()
		s.rotate("r1", func(p *rotation) { p.Scopes = []string{"admin"} })
		s.rotate("r1", func(p *rotation) { p.Resources = apis })
		s.rotate("r1", func(p *rotation) { p.Scopes, p.Resources = []string{"openid"}, apis[:1] })
		s.introspect("c1", "r1")
		s.rotateAgain()
		s.rotate("r1")
		s.rotate("r1", func(p *rotation) { p.Scopes = []string{"admin"} })
		s.do(func(h *history) {
			h.rotateWith(changed(h.rotations[0], []func(*rotation){func(p *rotation) { p.Token = token.DigestOf("another") }}))
		})
		s.grant(byClient("c3"))
		s.redeem()
		s.rotate("r7", func(p *rotation) { p.Scopes = []string{"email"} }) // which c3 may ask for, but has not
	}},
	{"a retry once grace is over", func(s *stage) {
		s.grant()
		s.redeem()
		s.rotate("r1")
		s.pass(10 * time.Second)
		s.rotateAgain()
		s.rotate("r1", func(p *rotation) { p.GraceUntilUsed = true })
		s.rotate("r1") // to the instant
		s.rotate("r2")
	}},
	{"a retry once the successor was used", func(s *stage) {
		s.grant()
		s.redeem()
		s.rotate("r1")
		s.rotate("r2")
		s.rotate("r1", func(p *rotation) { p.GraceUntilUsed = true })
		s.rotate("r3")
	}},
	{"reuse that asks for more", func(s *stage) {
		s.grant()
		s.redeem()
		s.rotate("r1")
		s.rotate("r2")
		s.rotate("r1", func(p *rotation) { p.Scopes = []string{"admin"} })
	}},
	{"a client's own grace", func(s *stage) {
		s.grant(byClient("c4")) // a minute
		s.redeem()
		s.rotate("r1")
		s.pass(59 * time.Second)
		s.rotate("r1")
		s.pass(time.Second)
		s.rotate("r1")
		s.grant(byClient("c3")) // until the successor is used
		s.redeem()
		s.rotate("r5")
		s.pass(59 * time.Minute)
		s.rotate("r5")
	}},
	{"a retry once the successor has expired", func(s *stage) {
		s.grant()
		s.redeem()
		s.rotate("r1", func(p *rotation) { p.RefreshTokenLifetime = 5 * time.Second })
		s.pass(5 * time.Second)
		s.rotate("r1")
		s.rotate("r2")
	}},
	{"a retry once the successor is gone", func(s *stage) {
		s.grant()
		s.redeem(func(p *redemption) { p.RefreshTokenLifetime = store.Never })
		s.rotate("r1", func(p *rotation) { p.RefreshTokenLifetime, p.AccessTokenLifetime = 5*time.Second, 5*time.Second })
		s.pass(5 * time.Second)
		s.collect(0, "DeleteExpiredAccessTokens", "DeleteExpiredRefreshTokens")
		s.rotate("r1")
	}},
	{"a retry once the successor was used and is gone", func(s *stage) {
		s.grant()
		s.redeem(func(p *redemption) { p.RefreshTokenLifetime = store.Never })
		s.rotate("r1", func(p *rotation) { p.RefreshTokenLifetime, p.AccessTokenLifetime = 5*time.Second, 5*time.Second })
		s.rotate("r2")
		s.revoke("c1", "t3")
		s.pass(time.Minute)
		s.collect(0, "DeleteExpiredAccessTokens", "DeleteExpiredRefreshTokens")
		s.rotate("r1")
	}},
	{"the same call again once its successor was used", func(s *stage) {
		s.grant()
		s.redeem(func(p *redemption) { p.RefreshTokenLifetime = store.Never })
		s.rotate("r1", func(p *rotation) { p.RefreshTokenLifetime, p.AccessTokenLifetime = 5*time.Second, 5*time.Second })
		again := func() { s.do(func(h *history) { h.rotateWith(h.rotations[0]) }) }
		s.rotate("r2")
		again()
		s.revoke("c1", "t2")
		s.pass(time.Minute)
		s.collect(0, "DeleteExpiredAccessTokens", "DeleteExpiredRefreshTokens")
		again() // its successor is gone
		s.rotate("r3")
	}},
	{"the same call again once its access token is gone", func(s *stage) {
		s.grant()
		s.redeem()
		s.rotate("r1", func(p *rotation) { p.AccessTokenLifetime = 5 * time.Second })
		s.pass(5 * time.Second)
		s.collect(0, "DeleteExpiredAccessTokens")
		s.rotateAgain() // and it is no younger than it was
		s.pass(time.Second)
	}},

	// Sessions.
	{"sessions", func(s *stage) {
		s.grant(inSession)
		s.redeem()
		s.pass(time.Second)
		s.createSession()
		s.pass(time.Second)
		s.createSession(func(p *store.CreateSessionParams) { p.MaxSessions = 2 })
		s.createSession(func(p *store.CreateSessionParams) { p.ID, p.MaxSessions = "s4", 1 }) // again
		s.extend("s4", 2*time.Hour, 90*time.Minute)
		s.extend("s4", time.Hour, 90*time.Minute)
		s.pass(time.Second)
		s.createSession()
		s.do(func(h *history) {
			h.endUserSessionsWith(store.EndUserSessionsParams{UserID: "u1", Keep: new(store.SessionID("s4"))})
		})
		s.onSession("s5", (*history).unseen)
		s.extend("s5", time.Hour, 90*time.Minute)
		s.collect(0, "MarkEndedSessions", "SweepSessionClients")
		s.onSession("s4", (*history).foreignSignOutOf)
		s.createSession(func(p *store.CreateSessionParams) { p.UserID = "u0" })
	}},

	// Another server.
	{"another server's session is over", func(s *stage) {
		on(s, (*history).endSessionOf, "s1")
		s.do(func(h *history) {
			id := h.name("r")
			h.insert(&issued{
				refresh: true, id: id, digest: h.digest(id), pair: pair{"c1", "u1"}, session: h.m.sessions["s1"], scopes: []string{"openid", "offline_access"},
				expires: new(h.m.now.Add(time.Hour)), codeID: new(store.AuthorizationID(h.name("f"))),
			}, nil, new(store.SessionID("s1")))
		})
		s.foreignAccessToken("r1")
		s.revoke("c1", "t1") // it is stored as revoked
		s.foreignRotation("r1", true)
	}},
	{"another server's tokens in a session", func(s *stage) {
		inS1 := func(scopes ...string) {
			s.do(func(h *history) {
				id := h.name("r")
				h.insert(&issued{
					refresh: true, id: id, digest: h.digest(id), pair: pair{"c1", "u1"}, session: h.m.sessions["s1"], scopes: scopes,
					expires: new(h.m.now.Add(time.Hour)), codeID: new(store.AuthorizationID(h.name("f"))),
				}, nil, new(store.SessionID("s1")))
			})
		}
		inS1("openid")
		inS1("openid", "offline_access")
		s.foreignAccessToken("r1")
		s.foreignAccessToken("r2")
		s.do(func(h *history) { // no code tells its family, but its refresh token does
			r, id := h.tokenNamed("r1"), h.name("t")
			h.insert(&issued{id: id, digest: h.digest(id), pair: r.pair, scopes: r.scopes, expires: r.expires}, r, nil)
		})
		s.foreignRefreshToken(func(t *issued) { t.user, t.codeID = "u2", new(store.AuthorizationID("f1")) }) // somebody else's
		on(s, (*history).endSessionOf, "s1")
	}},
	{"another server rotates", func(s *stage) {
		s.foreignRefreshToken()
		s.foreignRefreshToken(func(t *issued) { t.expires = new(t.expires.Add(-time.Hour).Add(5 * time.Second)) })
		s.foreignAccessToken("r1")
		s.foreignRotation("r1", true)
		s.foreignRotation("r1", true)
		s.pass(5 * time.Second)
		s.foreignRotation("r2", true)
		s.grant()
		s.redeem()
		s.rotate("r1") // reuse: all of the client's grants by this user end
		s.foreignRotation("r3", true)
	}},

	// The collector.
	{"tokens that never expire are collected", func(s *stage) {
		s.grant()
		s.redeem(func(p *redemption) { p.RefreshTokenLifetime, p.AccessTokenLifetime = store.Never, 5*time.Second })
		s.rotate("r1", func(p *rotation) { p.RefreshTokenLifetime = store.Never })
		s.pass(5 * time.Second)
		s.collect(time.Minute, "DeleteExpiredAccessTokens", "DeleteSpentRefreshTokens")
		s.pass(time.Minute)
		s.collect(time.Minute, "DeleteExpiredAccessTokens", "DeleteSpentRefreshTokens")
		s.rotate("r2")
	}},
	{"tokens that have expired are collected", func(s *stage) {
		s.grant()
		s.redeem(func(p *redemption) { p.RefreshTokenLifetime, p.AccessTokenLifetime = 5*time.Second, 5*time.Second })
		s.pass(5 * time.Second)
		s.collect(time.Minute, "DeleteExpiredAccessTokens", "DeleteExpiredRefreshTokens", "MarkDeadAuthorizations", "DeleteEndedAuthorizations")
		s.pass(time.Minute)
		s.collect(time.Minute, "DeleteExpiredRefreshTokens", "MarkDeadAuthorizations", "DeleteEndedAuthorizations")
		s.pass(time.Minute)
		s.collect(time.Minute, "DeleteEndedAuthorizations")
	}},
	{"what lives is left", func(s *stage) {
		s.consent(nil)
		s.grant()
		s.redeem(withoutRefreshToken, func(p *redemption) { p.AccessTokenLifetime = store.Never })
		s.grant(inSession)
		s.redeem()
		s.rotate("r2")
		s.issue("c1")
		s.push()
		s.collect(
			0, "MarkDeadAuthorizations", "MarkEndedSessions", "SweepSessionClients", "DeleteDeadConsents", "DeleteDeadAccessTokens", "DeleteSpentRefreshTokens",
			"DeleteEndedAuthorizations", "DeleteExpiredAccessTokens", "DeleteExpiredRefreshTokens", "DeleteExpiredSessions", "DeleteExpiredAuthorizations",
			"DeleteExpiredClientSecrets", "EraseDeletedUsers", "EraseDeletedClients",
		)
		s.rotate("r3")
	}},
	{"what has ended is collected", func(s *stage) {
		s.grant(inSession)
		s.redeem()
		s.consent(nil)
		s.revokeLatest()
		s.collect(time.Minute, "DeleteEndedAuthorizations")
		on(s, (*history).endSessionOf, "s1")
		on(s, (*history).revokeUserAuthorizationsOf, "u1")
		s.pass(time.Hour)
		s.collect(
			0, "MarkDeadAuthorizations", "DeleteDeadConsents", "DeleteDeadAccessTokens", "DeleteEndedAuthorizations", "DeleteEndedAuthorizations",
			"DeleteExpiredSessions",
		)
	}},
}
