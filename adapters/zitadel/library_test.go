package zitadel_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/profile"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// rp is the client by the library's own package.
func (c registered) rp(scopes ...string) rp.RelyingParty {
	c.Helper()
	style := oauth2.AuthStyleInHeader
	if c.secret == "" {
		style = oauth2.AuthStyleInParams
	}
	opts := []rp.Option{rp.WithAuthStyle(style), rp.WithSigningAlgsFromDiscovery()}
	if c.key != nil {
		opts = append(opts, rp.WithJWTProfile(rp.SignerFromKeyAndKeyID(pemOf(c, c.key), "k1")))
	}
	party, err := rp.NewRelyingPartyOIDC(c.ctx, c.issuer, c.id, c.secret, c.redirectURI, scopes, opts...)
	c.ok(err)
	return party
}

func pemOf(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// assertion is one that the client signs.
func (c registered) assertion() string {
	c.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.key, KeyID: "k1"}}, nil)
	c.ok(err)
	text, err := client.SignedJWTProfileAssertion(c.id, []string{c.issuer}, time.Hour, signer)
	c.ok(err)
	return text
}

// rpLogin goes through the code flow by the library's own client.
func (c registered) rpLogin(party rp.RelyingParty) *oidc.Tokens[*oidc.IDTokenClaims] {
	c.Helper()
	verifier := oauth2.GenerateVerifier()
	a := c.browse(rp.AuthURL("state", party, rp.WithCodeChallenge(oidc.NewSHACodeChallenge(verifier))))
	opts := []rp.CodeExchangeOpt{rp.WithCodeVerifier(verifier)}
	if c.key != nil {
		opts = append(opts, rp.WithClientAssertionJWT(c.assertion()))
	}
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](c.ctx, a.Get("code"), party, opts...)
	c.ok(err)
	return tokens
}

func TestFlowOfTheLibrarysOwnClient(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"client_secret_basic", "private_key_jwt", "none"} {
		for _, accessTokens := range []string{"opaque", "JWT"} {
			t.Run(kind+" "+accessTokens, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(w *world) {
					if accessTokens == "JWT" {
						w.opts.AccessTokenType = zitadel.JWTs
					}
					w.opts.UserinfoInIDToken = true
				})
				var c registered
				switch kind {
				case "private_key_jwt":
					c = w.registerKey()
				case "none":
					c = w.register(public)
				default:
					c = w.register()
				}
				party := c.rp("openid", "profile", "email", "offline_access", "calendar")
				tokens := c.rpLogin(party)
				wantEqual(t, "ID token", []any{tokens.IDTokenClaims.Subject, tokens.IDTokenClaims.SessionID, tokens.IDTokenClaims.Email},
					[]any{w.user.ID, w.session.ID, *w.user.Email})
				wantEqual(t, "parts of the access token", strings.Count(tokens.AccessToken, "."), map[string]int{"opaque": 0, "JWT": 2}[accessTokens])

				resource := w.register()
				introspect := func(accessToken string) *oidc.IntrospectionResponse {
					server, err := rs.NewResourceServerClientCredentials(w.ctx, w.issuer, resource.id, resource.secret)
					w.ok(err)
					told, err := rs.Introspect[*oidc.IntrospectionResponse](w.ctx, server, accessToken)
					w.ok(err)
					return told
				}
				told := introspect(tokens.AccessToken)
				wantEqual(t, "introspection", []any{
					told.Active, told.Subject, told.ClientID, told.Scope, told.TokenType, told.Issuer, told.Audience, told.Username,
					told.Claims["sid"], told.Claims["acr"], told.AuthenticationMethodsReferences, told.AuthTime.AsTime().Unix(),
				}, []any{
					true, w.user.ID, c.id, "openid profile email offline_access calendar", "Bearer", w.issuer,
					[]string{c.id},
					*w.user.Email,
					w.session.ID, "urn:example:pwd",
					[]string{"pwd"},
					w.session.CreatedAt.Unix(),
				})
				wantEqual(t, "exp - iat", told.Expiration.AsTime().Sub(told.IssuedAt.AsTime()), zitadel.DefaultAccessTokenLifetime)
				if accessTokens == "JWT" {
					claims, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](w.ctx, tokens.AccessToken,
						op.NewAccessTokenVerifier(w.issuer, &op.OpenIDKeySet{Storage: w.storage}))
					w.ok(err)
					wantEqual(t, "JWT", []any{claims.Subject, claims.ClientID, claims.Scopes, claims.JWTID},
						[]any{w.user.ID, c.id, told.Scope, told.JWTID})
				}

				info, err := rp.Userinfo[*oidc.UserInfo](w.ctx, tokens.AccessToken, "Bearer", tokens.IDTokenClaims.Subject, party)
				w.ok(err)
				wantEqual(t, "userinfo", []any{info.Email, info.Name, bool(info.EmailVerified)}, []any{*w.user.Email, "Ada Lovelace", true})

				refreshed, err := rp.RefreshTokens[*oidc.IDTokenClaims](w.ctx, party, tokens.RefreshToken, "", "")
				w.ok(err)
				wantEqual(t, "refreshed", []any{refreshed.IDTokenClaims.Subject, refreshed.IDTokenClaims.SessionID}, []any{w.user.ID, w.session.ID})

				// An access token dies alone, and a refresh token takes its family along.
				w.ok(rp.RevokeToken(w.ctx, party, tokens.AccessToken, "access_token"))
				wantEqual(t, "revoked access token is active", introspect(tokens.AccessToken).Active, false)
				wantEqual(t, "the next one is active", introspect(refreshed.AccessToken).Active, true)
				w.ok(rp.RevokeToken(w.ctx, party, refreshed.AccessToken, "")) // without a hint
				wantEqual(t, "revoked access token is active", introspect(refreshed.AccessToken).Active, false)
				refreshed, err = rp.RefreshTokens[*oidc.IDTokenClaims](w.ctx, party, refreshed.RefreshToken, "", "")
				w.ok(err)
				w.ok(rp.RevokeToken(w.ctx, party, refreshed.RefreshToken, "access_token")) // with a wrong one
				wantEqual(t, "active after its refresh token was revoked", introspect(refreshed.AccessToken).Active, false)
				_, err = rp.RefreshTokens[*oidc.IDTokenClaims](w.ctx, party, refreshed.RefreshToken, "", "")
				if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
					t.Errorf("refresh by a revoked token: %v", err)
				}
				status, _ := w.userinfo(refreshed.AccessToken)
				wantEqual(t, "userinfo by a dead token", status, http.StatusUnauthorized)
			})
		}
	}
}

func TestClientCredentialsOfTheLibrarysOwnClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register(func(p *store.CreateClientParams) {
		p.RedirectURIs, p.GrantTypes, p.Scopes = []string{}, []string{"client_credentials"}, []string{"calendar", "files", "openid"}
	})
	tokens, err := rp.ClientCredentials(w.ctx, c.rp("files"), nil)
	w.ok(err)
	server, err := rs.NewResourceServerClientCredentials(w.ctx, w.issuer, c.id, c.secret)
	w.ok(err)
	told, err := rs.Introspect[*oidc.IntrospectionResponse](w.ctx, server, tokens.AccessToken)
	w.ok(err)
	wantEqual(t, "introspection", []any{told.Active, told.Subject, told.ClientID, told.Scope}, []any{true, c.id, c.id, "files"})
	wantEqual(t, "refresh token", tokens.RefreshToken, "")
	if status, _ := w.userinfo(tokens.AccessToken); status != http.StatusForbidden {
		t.Errorf("userinfo for a client's own token: %d", status)
	}

	tokens, err = rp.ClientCredentials(w.ctx, c.rp(), nil)
	w.ok(err)
	wantEqual(t, "scope where none was named", tokens.Extra("scope"), "calendar files")

	for scope, party := range map[string]rp.RelyingParty{"admin": c.rp("admin"), "openid": c.rp("openid")} {
		_, err = rp.ClientCredentials(w.ctx, party, nil)
		w.wantOAuthError(err, http.StatusBadRequest, "invalid_scope")
		if err == nil {
			t.Errorf("%s was issued", scope)
		}
	}
	wrong := c
	wrong.secret = "wrong"
	_, err = rp.ClientCredentials(w.ctx, wrong.rp("files"), nil)
	w.wantOAuthError(err, http.StatusUnauthorized, "invalid_client")
	_, err = rp.ClientCredentials(w.ctx, w.register(func(p *store.CreateClientParams) { p.GrantTypes = nil }).rp("files"), nil)
	w.wantOAuthError(err, http.StatusBadRequest, "unauthorized_client")
}

func TestClientWithoutScopesOfItsOwnHasTheServersDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register(func(p *store.CreateClientParams) { p.Scopes = nil })
	tokens, err := rp.ClientCredentials(w.ctx, c.rp(), nil)
	w.ok(err)
	wantEqual(t, "scope", tokens.Extra("scope"), "calendar")
	_, err = rp.ClientCredentials(w.ctx, c.rp("files"), nil)
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_scope")
	wantEqual(t, "scope of a user's grant", c.login(c.oauth2("openid", "email", "calendar", "files")).Extra("scope"), "openid email calendar")
}

func TestEndSessionOfTheLibrarysOwnClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	party := c.rp("openid")
	other := c.rp("openid", "offline_access")
	tokens, lasting := c.rpLogin(party), c.rpLogin(other)
	location, err := rp.EndSession(w.ctx, party, tokens.IDToken, "https://client.example/signed-out", "state", "", nil)
	w.ok(err)
	wantEqual(t, "redirect", location, "https://client.example/signed-out?state=state")
	ended, err := w.q.GetSession(w.ctx, w.session.ID)
	w.ok(err)
	if ended.EndedAt == nil {
		t.Error("the session has not ended")
	}
	c.wantActive(false, tokens.AccessToken)
	c.wantActive(true, lasting.AccessToken)
	refreshed, err := rp.RefreshTokens[*oidc.IDTokenClaims](w.ctx, other, lasting.RefreshToken, "", "")
	w.ok(err)
	_, err = w.db.Pool.Exec(w.ctx, `DELETE FROM session WHERE id = $1`, w.session.ID)
	w.ok(err)
	refreshed, err = rp.RefreshTokens[*oidc.IDTokenClaims](w.ctx, other, refreshed.RefreshToken, "", "")
	w.ok(err)
	wantEqual(t, "sid once the session is erased", refreshed.IDTokenClaims.SessionID, "")

	// Again, as a browser that goes back does, and for a grant that has no session any more.
	for _, hint := range []string{tokens.IDToken, refreshed.IDToken} {
		_, err = rp.EndSession(w.ctx, party, hint, "https://client.example/signed-out", "state", "", nil)
		w.ok(err)
	}
	if _, err = rp.EndSession(w.ctx, party, tokens.IDToken, "https://evil.example/", "", "", nil); err == nil {
		t.Error("redirected to an address that is not registered")
	}
}

func TestSessionEndsOnlyForOneWhoProvesToBeThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tame := w.register(func(p *store.CreateClientParams) { p.EnableEndSession = nil })
	c := w.register()
	hint, tameHint := c.rpLogin(c.rp("openid")).IDToken, tame.rpLogin(tame.rp("openid")).IDToken
	attempts := map[string]url.Values{
		"no hint":                           {"client_id": {c.id}, "post_logout_redirect_uri": {"https://client.example/signed-out"}},
		"nothing":                           {},
		"a client that may not":             {"id_token_hint": {tameHint}},
		"another client's hint":             {"id_token_hint": {hint}, "client_id": {tame.id}},
		"a hint with another one's payload": {"id_token_hint": {swapPayload(hint, tameHint)}},
	}
	for what, form := range attempts {
		status, body := c.post("/end_session", form)
		wantEqual(t, what, []any{status, body["error"]}, []any{http.StatusBadRequest, "invalid_request"})
	}
	w.opts.LogoutURL = func(r *op.EndSessionRequest) string { return "https://op.example/sign-out?client=" + r.ClientID }
	w.serve()
	noFollow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := noFollow.Get(w.issuer + "/end_session?" + attempts["no hint"].Encode())
	w.ok(err)
	r.Body.Close()
	wantEqual(t, "where the user is asked", r.Header.Get("Location"), "https://op.example/sign-out?client="+c.id)
	session, err := w.q.GetSession(w.ctx, w.session.ID)
	w.ok(err)
	if session.EndedAt != nil {
		t.Error("the session has ended")
	}
}

// swapPayload is a JWT with the payload of another one.
func swapPayload(jwt, payload string) string {
	parts := strings.Split(jwt, ".")
	parts[1] = strings.Split(payload, ".")[1]
	return strings.Join(parts, ".")
}

func TestAssertionIsGoodOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.registerKey(func(p *store.CreateClientParams) { p.GrantTypes = append(p.GrantTypes, string(oidc.GrantTypeBearer)) })
	by := func(assertion string, form url.Values) url.Values {
		form.Set("client_assertion", assertion)
		form.Set("client_assertion_type", oidc.ClientAssertionTypeJWTAssertion)
		return form
	}
	machine := func() url.Values { return url.Values{"grant_type": {"client_credentials"}, "scope": {"files"}} }
	used := c.assertion()
	status, body := c.post("/oauth/token", by(used, machine()))
	wantEqual(t, "client credentials", []any{status, body["scope"]}, []any{http.StatusOK, "files"})
	access := body["access_token"].(string)

	tokens := c.rpLogin(c.rp("openid", "offline_access"))
	code, verifier := c.authorize(c.oauth2())
	for what, request := range map[string]struct {
		path string
		form url.Values
		want []any
	}{
		"client_credentials": {"/oauth/token", machine(), []any{http.StatusUnauthorized, "invalid_client"}},
		"refresh_token": {
			"/oauth/token",
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}},
			[]any{http.StatusUnauthorized, "invalid_client"},
		},
		"authorization_code": {"/oauth/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI},
		}, []any{http.StatusUnauthorized, "invalid_client"}},
		"revocation":    {"/revoke", url.Values{"token": {access}}, []any{http.StatusUnauthorized, "invalid_client"}},
		"introspection": {"/oauth/introspect", url.Values{"token": {access}}, []any{http.StatusUnauthorized, "invalid_client"}},
	} {
		status, body := c.post(request.path, by(used, request.form))
		wantEqual(t, "replayed at "+what, []any{status, body["error"]}, request.want)
	}
	wantEqual(t, "status of the introspection", func() int {
		status, _ := c.post("/oauth/introspect", by(c.assertion(), url.Values{"token": {access}}))
		return status
	}(), http.StatusOK)

	// In parallel: one of them.
	shared := c.assertion()
	outcomes := map[int]int{}
	for _, status := range inParallel(8, func(int) int { status, _ := c.post("/oauth/token", by(shared, machine())); return status }) {
		outcomes[status]++
	}
	wantEqual(t, "outcomes", outcomes, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 7})

	// As a grant (RFC 7523, section 2.1).
	source, err := profile.NewJWTProfileTokenSource(w.ctx, w.issuer, c.id, "k1", pemOf(t, c.key), []string{"files"})
	w.ok(err)
	granted, err := source.TokenCtx(w.ctx)
	w.ok(err)
	if granted.AccessToken == "" {
		t.Error("no token for the grant")
	}
	grant := c.assertion()
	for i, want := range []any{nil, "invalid_grant"} {
		_, body := c.post("/oauth/token", url.Values{"grant_type": {string(oidc.GrantTypeBearer)}, "assertion": {grant}, "scope": {"files"}})
		wantEqual(t, fmt.Sprint("grant ", i), body["error"], want)
	}
}

func TestAssertionIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.registerKey(), w.registerKey()
	withSecret := w.registerKey(func(p *store.CreateClientParams) {
		p.TokenEndpointAuthMethod, p.ClientSecret = nil, new(token.Mint(token.ClientSecret).Digest())
	})
	form := func(assertion string) url.Values {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_assertion": {assertion}, "client_assertion_type": {oidc.ClientAssertionTypeJWTAssertion},
		}
	}
	sign := func(change func(*oidc.JWTTokenRequest), key *ecdsa.PrivateKey) string {
		claims := &oidc.JWTTokenRequest{
			Issuer: c.id, Subject: c.id, Audience: []string{w.issuer}, JWTID: token32(),
			IssuedAt: oidc.FromTime(time.Now()), ExpiresAt: oidc.FromTime(time.Now().Add(time.Minute)),
		}
		change(claims)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
		w.ok(err)
		return signed(t, signer, claims)
	}
	asIs := func(*oidc.JWTTokenRequest) {}
	status, body := c.post("/oauth/token", form(sign(asIs, c.key)))
	wantEqual(t, "as it should be", []any{status, body["error"]}, []any{http.StatusOK, nil})
	for what, assertion := range map[string]string{
		"another key":                 sign(asIs, other.key),
		"no jti":                      sign(func(r *oidc.JWTTokenRequest) { r.JWTID = "" }, c.key),
		"unknown client":              sign(func(r *oidc.JWTTokenRequest) { r.Issuer, r.Subject = "nobody", "nobody" }, c.key),
		"another client's name":       sign(func(r *oidc.JWTTokenRequest) { r.Issuer, r.Subject = other.id, other.id }, c.key),
		"a client that has a secret":  sign(func(r *oidc.JWTTokenRequest) { id := w.register().id; r.Issuer, r.Subject = id, id }, c.key),
		"a client_id that isn't text": sign(func(r *oidc.JWTTokenRequest) { r.Issuer, r.Subject = "\x00", "\x00" }, c.key),
		"another audience":            sign(func(r *oidc.JWTTokenRequest) { r.Audience = []string{"https://other.example"} }, c.key),
		"expired":                     sign(func(r *oidc.JWTTokenRequest) { r.ExpiresAt = oidc.FromTime(time.Now()) }, c.key),
		"on behalf":                   sign(func(r *oidc.JWTTokenRequest) { r.Subject = string(w.user.ID) }, c.key),
	} {
		status, body := c.post("/oauth/token", form(assertion))
		wantEqual(t, what, []any{status, body["error"]}, []any{http.StatusUnauthorized, "invalid_client"})
	}
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/revoke"} {
		f := form(sign(func(r *oidc.JWTTokenRequest) { r.Issuer, r.Subject = withSecret.id, withSecret.id }, withSecret.key))
		f.Set("token", "x")
		status, body := c.post(path, f)
		wantEqual(t, "a client that has keys beside its secret, at "+path, []any{status, body["error"]}, []any{http.StatusUnauthorized, "invalid_client"})
	}
	two := form(sign(asIs, c.key))
	two.Set("client_secret", "secret")
	two.Set("client_id", c.id)
	status, body = c.post("/oauth/token", two)
	wantEqual(t, "two methods", []any{status, body["error"]}, []any{http.StatusBadRequest, "invalid_request"})
	mine := form(sign(asIs, c.key))
	mine.Set("client_id", other.id)
	status, body = c.post("/oauth/token", mine)
	wantEqual(t, "another client_id", []any{status, body["error"]}, []any{http.StatusUnauthorized, "invalid_client"})
	grant := url.Values{"grant_type": {string(oidc.GrantTypeBearer)}, "assertion": {sign(asIs, c.key)}}
	status, body = c.post("/oauth/token", grant)
	wantEqual(t, "a grant type that is not registered", []any{status, body["error"]}, []any{http.StatusBadRequest, "unauthorized_client"})
	_, err := w.q.DisableClient(w.ctx, store.ClientID(c.id))
	w.ok(err)
	status, body = c.post("/oauth/token", form(sign(asIs, c.key)))
	wantEqual(t, "disabled client", []any{status, body["error"]}, []any{http.StatusUnauthorized, "invalid_client"})
}
