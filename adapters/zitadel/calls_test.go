package zitadel_test

import (
	"go/parser"
	gotoken "go/token"
	"maps"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// documented reads the tables under a heading of doc.go: what stands first in a line, and the calls after it.
func documented(t *testing.T, heading string) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(file.Doc.Text(), "# "+heading+"\n")
	if !found {
		t.Fatalf("doc.go has no heading %q", heading)
	}
	section, _, _ := strings.Cut(rest, "\n# ")
	table := map[string][]string{}
	for line := range strings.Lines(section) {
		entry, isTable := strings.CutPrefix(line, "\t")
		if !isTable {
			continue
		}
		name, calls, found := strings.Cut(strings.TrimSpace(entry), "  ")
		if !found {
			t.Fatalf("doc.go: %q", line)
		}
		table[name] = strings.Split(strings.TrimSpace(calls), ", ")
	}
	return table
}

func TestMethodsMakeTheCallsThatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.KeyLeadTime = 1 })
	c, keyed := w.register(), w.registerKey(func(p *store.CreateClientParams) { p.GrantTypes = append(p.GrantTypes, string(oidc.GrantTypeBearer)) })
	cfg := c.oauth2()
	s := w.storage
	scopes := []string{"openid", "profile", "offline_access"}
	newRequest := func() string {
		r, err := s.CreateAuthRequest(w.ctx, &oidc.AuthRequest{
			ClientID: c.id, RedirectURI: redirectURI, ResponseType: "code", Scopes: scopes,
			CodeChallenge: oidc.NewSHACodeChallenge("verifier"), CodeChallengeMethod: "S256",
		}, "")
		w.ok(err)
		return r.GetID()
	}
	push := func() string {
		uri, err := s.PushAuthRequest(w.ctx, &oidc.AuthRequest{
			ClientID: c.id, RedirectURI: redirectURI, ResponseType: "code", Scopes: scopes,
			CodeChallenge: oidc.NewSHACodeChallenge("verifier"), CodeChallengeMethod: "S256",
		}, "")
		w.ok(err)
		return uri
	}
	approval := w.approval(zitadel.PendingRequest{Authorization: store.OAuthAuthorization{Scopes: scopes}})
	newTicket := func() string {
		ticket, err := s.Approve(w.ctx, newRequest(), approval)
		w.ok(err)
		return ticket
	}
	byCode := func() op.AuthRequest {
		r, err := s.AuthRequestByCode(w.ctx, newTicket())
		w.ok(err)
		return r
	}
	newRefreshToken := func() string {
		_, refresh, _, err := s.CreateAccessAndRefreshTokens(w.ctx, byCode(), "")
		w.ok(err)
		return refresh
	}
	byRefreshToken := func(refresh string) op.RefreshTokenRequest {
		r, err := s.TokenRequestByRefreshToken(w.ctx, refresh)
		w.ok(err)
		return r
	}
	machine, err := s.ClientCredentialsTokenRequest(w.ctx, c.id, []string{"files"})
	w.ok(err)
	tokens := c.login(cfg) // its opaque tokens are known by their digests
	jti, _, err := s.CreateAccessToken(w.ctx, byCode())
	w.ok(err)
	// As the Provider's Crypto has the library pass them on.
	accessID, err := w.provider.Crypto().Decrypt(tokens.AccessToken)
	w.ok(err)
	accessID = strings.TrimSuffix(accessID, ":")
	refreshID, err := w.provider.Crypto().Decrypt(newRefreshToken())
	w.ok(err)

	// What the methods are given is made before: only they are recorded.
	type drive func() error
	ticket, code, id, otherID, idToDeny, idToSave := newTicket(), newTicket(), newRequest(), newRequest(), newRequest(), byCode().GetID()
	refresh := newRefreshToken()
	refreshRequest, codeRequest, otherCodeRequest, describedRequest := byRefreshToken(refresh), byCode(), byCode(), byCode()
	sessionToEnd, requestURI := w.newSession().ID, push()
	jwtRequest := &oidc.JWTTokenRequest{Issuer: keyed.id, Subject: keyed.id, Scopes: []string{"files"}}
	drives := map[string][]drive{
		"AuthRequestByCode":             {func() error { _, err := s.AuthRequestByCode(w.ctx, code); return err }},
		"AuthRequestByID":               {func() error { _, err := s.AuthRequestByID(w.ctx, ticket); return err }},
		"AuthorizeClientIDSecret":       {func() error { return s.AuthorizeClientIDSecret(w.ctx, c.id, c.secret) }},
		"ClientCredentials":             {func() error { _, err := s.ClientCredentials(w.ctx, c.id, c.secret); return err }},
		"ClientCredentialsTokenRequest": {func() error { _, err := s.ClientCredentialsTokenRequest(w.ctx, c.id, nil); return err }},
		"CreateAccessAndRefreshTokens": {
			func() error { _, _, _, err := s.CreateAccessAndRefreshTokens(w.ctx, codeRequest, ""); return err },
			func() error {
				_, _, _, err := s.CreateAccessAndRefreshTokens(w.ctx, refreshRequest, refresh)
				return err
			},
		},
		"CreateAccessToken": {
			func() error { _, _, err := s.CreateAccessToken(w.ctx, otherCodeRequest); return err },
			func() error { _, _, err := s.CreateAccessToken(w.ctx, machine); return err },
			func() error { _, _, err := s.CreateAccessToken(w.ctx, jwtRequest); return err },
		},
		"CreateAuthRequest": {func() error { newRequest(); return nil }},
		"DeleteAuthRequest": {func() error { return s.DeleteAuthRequest(w.ctx, id) }},
		"GetClientByClientID": {
			func() error { _, err := s.GetClientByClientID(w.ctx, c.id); return err },
			func() error { // in a request that has a secret with it, of which this is the first call
				_, err := s.GetClientByClientID(zitadel.WithExchange(c.form("/oauth/token", url.Values{})).Context(), c.id)
				return err
			},
		},
		"GetKeyByIDAndClientID": {func() error { _, err := s.GetKeyByIDAndClientID(w.ctx, "k1", keyed.id); return err }},
		"GetPrivateClaimsFromRequest": {func() error {
			_, err := s.GetPrivateClaimsFromRequest(w.ctx, machine, nil)
			return err
		}},
		"GetPrivateClaimsFromScopes": {func() error { _, err := s.GetPrivateClaimsFromScopes(w.ctx, "", "", nil); return err }},
		"GetRefreshTokenInfo":        {func() error { _, _, err := s.GetRefreshTokenInfo(w.ctx, c.id, refresh); return err }},
		"Health":                     {func() error { return s.Health(w.ctx) }},
		"JWTProfileTokenType":        {func() error { _, err := s.JWTProfileTokenType(w.ctx, jwtRequest); return err }},
		"KeySet":                     {func() error { _, err := s.KeySet(w.ctx); return err }},
		"SaveAuthCode":               {func() error { return s.SaveAuthCode(w.ctx, idToSave, "code") }},
		"SetIntrospectionFromToken": {
			func() error {
				return s.SetIntrospectionFromToken(w.ctx, new(oidc.IntrospectionResponse), accessID, "", c.id)
			},
			func() error {
				return s.SetIntrospectionFromToken(w.ctx, new(oidc.IntrospectionResponse), jti, "", c.id)
			},
			func() error {
				return s.SetIntrospectionFromToken(w.ctx, new(oidc.IntrospectionResponse), strings.TrimSuffix(refreshID, ":"), "", c.id)
			},
		},
		"SetUserinfoFromRequest": {func() error {
			return s.SetUserinfoFromRequest(w.ctx, new(oidc.UserInfo), describedRequest, scopes)
		}},
		"SetUserinfoFromScopes": {func() error { return s.SetUserinfoFromScopes(w.ctx, new(oidc.UserInfo), "", "", nil) }},
		"SetUserinfoFromToken": {
			func() error { return s.SetUserinfoFromToken(w.ctx, new(oidc.UserInfo), accessID, "", "") },
			func() error { return s.SetUserinfoFromToken(w.ctx, new(oidc.UserInfo), jti, "", "") },
		},
		"RevokeToken": {
			func() error { return asError(s.RevokeToken(w.ctx, accessID, "", c.id)) },
			func() error { return asError(s.RevokeToken(w.ctx, jti, string(w.user.ID), c.id)) },
			func() error { return asError(s.RevokeToken(w.ctx, "whatever", "", c.id)) },
		},
		"SigningKeyFor":       {func() error { _, err := s.SigningKeyFor(w.ctx, store.ClientID(c.id)); return err }},
		"SignatureAlgorithms": {func() error { _, err := s.SignatureAlgorithms(w.ctx); return err }},
		"SigningKey": {
			func() error { _, err := s.SigningKey(w.ctx); return err },
			func() error {
				_, err := w.db.Pool.Exec(w.ctx, `DELETE FROM jwks`)
				w.ok(err)
				_, err = s.SigningKey(w.ctx)
				return err
			},
		},
		"TerminateSession": {func() error { return s.TerminateSession(w.ctx, string(w.user.ID), c.id) }},
		"TerminateSessionFromRequest": {func() error {
			_, err := s.TerminateSessionFromRequest(w.ctx, &op.EndSessionRequest{
				ClientID: c.id, IDTokenHintClaims: &oidc.IDTokenClaims{SessionID: string(sessionToEnd)},
			})
			return err
		}},
		"TokenRequestByRefreshToken": {func() error { byRefreshToken(refresh); return nil }},
		"ValidateJWTProfileScopes":   {func() error { _, err := s.ValidateJWTProfileScopes(w.ctx, keyed.id, nil); return err }},

		"Approve": {func() error { _, err := s.Approve(w.ctx, id, approval); return err }},
		"OpenAuthRequest": {func() error {
			opened, err := s.OpenAuthRequest(w.ctx, c.id, requestURI)
			if err == nil && opened == "" {
				t.Error("the request has no id")
			}
			return err
		}},
		"PushAuthRequest":   {func() error { push(); return nil }},
		"PendingRequest":    {func() error { _, err := s.PendingRequest(w.ctx, idToDeny); return err }},
		"RotateSigningKey":  {func() error { return rotateTwice(w) }},
		"RetireSigningKeys": {func() error { return retireOne(w) }},
		"Provider.Approve": {func() error {
			return w.provider.Approve(httptest.NewRecorder(), w.get("/login"), otherID, approval)
		}},
		"Provider.Deny": {func() error { return w.provider.Deny(httptest.NewRecorder(), w.get("/login"), idToDeny, nil) }},
		"Provider.JWTProfileVerifier": {func() error {
			_, err := op.VerifyJWTAssertion(w.ctx, keyed.assertion(), w.provider.JWTProfileVerifier(op.ContextWithIssuer(w.ctx, w.issuer)))
			return err
		}},
	}
	var methods []string
	for m := range reflect.TypeFor[*zitadel.Storage]().Methods() {
		methods = append(methods, m.Name)
	}
	table := documented(t, "Which method makes which call")
	for _, name := range slices.Concat(methods, slices.Collect(maps.Keys(table))) {
		if drives[name] == nil {
			t.Errorf("no call of %s here", name)
		}
	}
	// What ends things comes last.
	order := slices.Sorted(maps.Keys(drives))
	slices.SortStableFunc(order, func(a, b string) int { return late(a) - late(b) })
	for _, name := range order {
		made := map[string]bool{}
		for _, drive := range drives[name] {
			w.calls.take()
			if err := drive(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, call := range w.calls.take() {
				made[call] = true
			}
		}
		wantEqual(t, name, slices.Sorted(maps.Keys(made)), slices.Sorted(slices.Values(table[name])))
	}
}

// late says which methods end what others need.
func late(name string) int {
	return slices.Index([]string{"RevokeToken", "TerminateSession", "SigningKey", "RetireSigningKeys", "RotateSigningKey"}, name)
}

// asError keeps a nil *oidc.Error from becoming an error.
func asError(err *oidc.Error) error {
	if err != nil {
		return err
	}
	return nil
}

// retireOne leaves a key to retire, and retires it.
func retireOne(w *world) error {
	if _, err := w.storage.RotateSigningKey(w.ctx, 0); err != nil {
		return err
	}
	w.calls.take()
	return w.storage.RetireSigningKeys(w.ctx)
}

// rotateTwice rotates once more when a key has been replaced.
func rotateTwice(w *world) error {
	if _, err := w.storage.RotateSigningKey(w.ctx, 0); err != nil {
		return err
	}
	w.calls.take()
	_, err := w.storage.RotateSigningKey(w.ctx, 0)
	return err
}

func TestRequestsCostWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open, func(w *world) { w.opts.DeviceURL = "https://op.example/device" })
	c, resource := w.register(devices, exchanges), w.register()
	cfg := c.oauth2()
	verifier := oauth2.GenerateVerifier()
	authorizeURL := pathOf(w, cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	tokens := c.login(cfg)
	w.opts.AccessTokenType = zitadel.JWTs
	w.serve()
	jwt := c.login(cfg).AccessToken
	w.opts.AccessTokenType = nil
	w.serve()
	_, err := w.storage.SigningKey(w.ctx) // once a minute
	w.ok(err)
	login := w.fetch(w.get(authorizeURL)).location
	code := w.browse(w.issuer + login).Get("code")
	resource.wantActive(true, jwt) // keys to verify by, once a minute
	_, device := c.post("/device_authorization", url.Values{"scope": {"calendar"}})
	pending := strings.TrimPrefix(w.fetch(w.get(authorizeURL)).location, "/login?id=")
	var own map[string]any
	managed := func(method string, document map[string]any) {
		if method == "POST" {
			_, own, _ = registrar{w, ""}.ask(method, w.issuer+"/register", map[string]any{"redirect_uris": []string{redirectURI}})
			return
		}
		registrar{w, own["registration_access_token"].(string)}.ask(method, own["registration_client_uri"].(string), document)
	}
	costs := map[string]func(){
		"authorize": func() { w.fetch(w.get(authorizeURL)) },
		"approve": func() {
			w.ok(w.provider.Approve(httptest.NewRecorder(), w.get("/login"), pending, zitadel.Approval{
				UserID: w.user.ID, SessionID: &w.session.ID, Scopes: []string{"openid"}, AuthTime: w.session.CreatedAt,
			}))
		},
		"authorization_code": func() {
			_, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.ok(err)
		},
		"refresh_token": func() {
			_, err := c.refreshWith(cfg, tokens.RefreshToken)
			w.ok(err)
		},
		"device_code": func() {
			c.post("/oauth/token", url.Values{"grant_type": {string(oidc.GrantTypeDeviceCode)}, "device_code": {device["device_code"].(string)}})
		},
		"token-exchange": func() {
			c.post("/oauth/token", url.Values{
				"grant_type": {string(oidc.GrantTypeTokenExchange)}, "subject_token": {tokens.AccessToken}, "subject_token_type": {string(oidc.AccessTokenType)},
			})
		},
		"device_authorization": func() { c.post("/device_authorization", url.Values{"scope": {"calendar"}}) },
		"par": func() {
			c.post("/par", url.Values{
				"redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"},
				"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
			})
		},
		"client_credentials":            func() { c.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}}) },
		"introspection":                 func() { resource.wantActive(true, tokens.AccessToken) },
		"introspection of another kind": func() { resource.wantActive(false, tokens.RefreshToken) }, // spent
		"introspection of a JWT":        func() { resource.wantActive(true, jwt) },
		"userinfo":                      func() { w.userinfo(tokens.AccessToken) },
		"revocation":                    func() { c.post("/revoke", url.Values{"token": {tokens.RefreshToken}}) },
		"registration":                  func() { managed("POST", nil) },
		"registration, read":            func() { managed("GET", nil) },
		"registration, update": func() {
			managed("PUT", map[string]any{"client_id": own["client_id"], "redirect_uris": []string{redirectURI}})
		},
		"registration, delete": func() { managed("DELETE", nil) },
		"end_session": func() {
			w.fetch(w.get("/end_session?" + url.Values{"id_token_hint": {tokens.Extra("id_token").(string)}}.Encode()))
		},
	}
	table := documented(t, "What a request costs")
	wantEqual(t, "documented requests", slices.Sorted(maps.Keys(table)), slices.Sorted(maps.Keys(costs)))
	// In the order of a grant's life.
	for _, name := range []string{
		"authorize", "par", "approve", "authorization_code", "refresh_token", "client_credentials", "device_authorization", "device_code",
		"token-exchange", "introspection", "introspection of another kind", "introspection of a JWT",
		"userinfo", "revocation", "end_session", "registration", "registration, read", "registration, update", "registration, delete",
	} {
		w.calls.take()
		costs[name]()
		wantEqual(t, name, w.calls.take(), table[name])
	}
}
