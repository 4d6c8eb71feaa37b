package zitadel_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/store"
)

// OpenID Connect Core 1.0, section 3.1.2.1: without openid it is an OAuth request, and there is no ID token.
func TestIDTokenOnlyWhereOpenIDWasGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	for scope, want := range map[string]bool{"calendar offline_access": false, "openid offline_access": true} {
		cfg := c.oauth2(strings.Fields(scope)...)
		tokens := c.login(cfg)
		refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
		w.ok(err)
		for what, answer := range map[string]*oauth2.Token{"redemption": tokens, "refresh": refreshed} {
			if got := answer.Extra("id_token") != nil; got != want {
				t.Errorf("%s of %q: an ID token: %t", what, scope, got)
			}
		}
	}
	tokens := c.login(c.oauth2("openid", "offline_access"))
	_, narrowed := c.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}, "scope": {"offline_access"}})
	wantEqual(t, "an ID token of a refresh that leaves openid out", narrowed["id_token"], nil)
}

// An ID token says how the user signed in, after a refresh too, and has the nonce only once (OpenID Connect Core 1.0, section 12.2).
func TestIDTokenOfARefreshSaysHowTheUserSignedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2("openid", "offline_access")
	tokens := c.login(cfg, oauth2.SetAuthURLParam("nonce", "n-1"))
	refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
	w.ok(err)
	for nonce, answer := range map[string]*oauth2.Token{"n-1": tokens, "": refreshed} {
		var claims struct {
			ACR      string   `json:"acr"`
			AMR      []string `json:"amr"`
			AuthTime int64    `json:"auth_time"`
			Nonce    string   `json:"nonce"`
			SID      string   `json:"sid"`
			Audience []string `json:"aud"`
		}
		w.ok(c.verify(answer.Extra("id_token")).Claims(&claims))
		wantEqual(t, "claims", claims, struct {
			acr      string
			amr      []string
			authTime int64
			nonce    string
			sid      string
			aud      []string
		}{"urn:example:pwd", []string{"pwd"}, w.session.CreatedAt.Unix(), nonce, string(w.session.ID), []string{c.id}})
	}
}

// algorithmOf is that of a JWT's signature.
func (w *world) algorithmOf(raw any) string {
	w.Helper()
	jws, err := jose.ParseSignedCompact(raw.(string), []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	w.ok(err)
	return jws.Signatures[0].Protected.Algorithm
}

// withAlgorithm registers how ID tokens are to be signed.
func withAlgorithm(alg string) func(*store.CreateClientParams) {
	return func(p *store.CreateClientParams) {
		p.Metadata = json.RawMessage(`{"id_token_signed_response_alg":"` + alg + `"}`)
	}
}

func TestIDTokenIsSignedAsTheClientHasRegistered(t *testing.T) {
	t.Parallel()
	for by, algorithms := range map[jose.SignatureAlgorithm]map[string]string{
		"":         {"": "ES256", "RS256": "RS256", "ES256": "ES256", "none": "ES256"},
		jose.ES256: {"RS256": "RS256"},
		jose.RS256: {"": "RS256", "ES256": "ES256"},
	} {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.opts.SigningAlgorithm = by })
			for registered, want := range algorithms {
				c := w.register()
				if registered != "" {
					c = w.register(withAlgorithm(registered))
				}
				cfg := c.oauth2("openid", "offline_access")
				tokens := c.login(cfg)
				wantEqual(t, registered, w.algorithmOf(tokens.Extra("id_token")), want)
				refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
				w.ok(err)
				wantEqual(t, registered+", refreshed", w.algorithmOf(refreshed.Extra("id_token")), want)
				c.verify(tokens.Extra("id_token")) // by the published keys
				got := w.fetch(w.get("/end_session?" + url.Values{
					"id_token_hint": {tokens.Extra("id_token").(string)}, "post_logout_redirect_uri": {"https://client.example/signed-out"},
				}.Encode()))
				wantEqual(t, registered+", as a hint", got.location, "https://client.example/signed-out")
				w.session = w.newSession()
			}
		})
	}
}

// A database that has signed by RS256, which was the default, does so until it is told otherwise.
func TestDatabaseWithKeysOfRS256GoesOnWithThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.SigningAlgorithm = jose.RS256 })
	c := w.register()
	c.login(c.oauth2("openid"))
	w.opts.SigningAlgorithm = ""
	w.serve()
	wantEqual(t, "algorithm", w.algorithmOf(c.login(c.oauth2("openid")).Extra("id_token")), "RS256")
	other := w.register(withAlgorithm("ES256"))
	wantEqual(t, "of a client that wants another", w.algorithmOf(other.login(other.oauth2("openid")).Extra("id_token")), "RS256")
	var d struct {
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	w.ok(json.Unmarshal([]byte(w.fetch(w.get("/.well-known/openid-configuration")).body), &d))
	wantEqual(t, "offered", d.Algorithms, []string{"RS256"})
}

// Which key signs is asked once a minute.
func TestSigningKeyIsNotAskedForAtEachToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2("openid", "offline_access")
	c.login(cfg)
	tokens := c.login(cfg)
	w.calls.take()
	_, err := c.refreshWith(cfg, tokens.RefreshToken)
	w.ok(err)
	wantEqual(t, "calls of a refresh with an ID token", w.calls.take(), []string{"RotateRefreshToken"})
	_, err = w.storage.RotateSigningKey(w.ctx, 0)
	w.ok(err)
	w.calls.take()
	_, err = w.storage.SigningKey(w.ctx)
	w.ok(err)
	wantEqual(t, "calls after a rotation", w.calls.take(), []string{"FindCurrentSigningKey"})
}

// Parameters of the token endpoint stand in the body of a POST (RFC 6749, section 3.2; RFC 9700, section 4.3.2).
func TestTokenEndpointTakesTheBodyOfAPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	query := url.Values{"grant_type": {"client_credentials"}, "scope": {"files"}}.Encode()
	r := c.form("/oauth/token?"+query, url.Values{})
	status, body := w.send(r)
	wantEqual(t, "in the query", []any{status, body["error"]}, []any{http.StatusBadRequest, "invalid_request"})
	r = w.get("/oauth/token?" + query)
	r.SetBasicAuth(c.id, c.secret)
	status, body = w.send(r)
	wantEqual(t, "by GET", []any{status, body["error"]}, []any{http.StatusMethodNotAllowed, "invalid_request"})
}

// The lifetimes of a client's registration cap those of the options.
func TestLifetimesAreThoseOfTheClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	_, err := w.db.Pool.Exec(w.ctx, `UPDATE oauth_client SET access_token_lifetime = '90 seconds' WHERE client_id = $1`, c.id)
	w.ok(err)
	for _, form := range []url.Values{
		{"grant_type": {"client_credentials"}, "scope": {"files"}},
		{"grant_type": {"refresh_token"}, "refresh_token": {c.login(c.oauth2("openid", "offline_access")).RefreshToken}},
	} {
		_, body := c.post("/oauth/token", form)
		if expires, _ := body["expires_in"].(float64); expires < 85 || expires > 90 {
			t.Errorf("%s: %v", form.Get("grant_type"), body)
		}
	}
}

// Who calls comes first: whoever is not authenticated hears that alone, and a code that was presented is as good as before.
func TestClientAuthenticationComesBeforeTheCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2("openid")
	code, verifier := c.authorize(cfg)
	for what, alter := range map[string]func(*http.Request, url.Values){
		"an unknown client": func(r *http.Request, _ url.Values) { r.SetBasicAuth("nobody", "secret") },
		"a wrong secret":    func(r *http.Request, _ url.Values) { r.SetBasicAuth(c.id, "wrong") },
		"an empty secret":   func(r *http.Request, _ url.Values) { r.SetBasicAuth(c.id, "") },
		"nothing at all":    func(*http.Request, url.Values) {},
		"a name alone":      func(_ *http.Request, f url.Values) { f.Set("client_id", c.id) },
		"another scheme": func(r *http.Request, f url.Values) {
			r.Header.Set("Authorization", "Bearer x")
			f.Set("client_id", c.id)
		},
		"two names":              func(r *http.Request, f url.Values) { r.SetBasicAuth(c.id, c.secret); f.Set("client_id", "nobody") },
		"a broken escape":        func(r *http.Request, _ url.Values) { r.SetBasicAuth(c.id, "%zz") },
		"a wrong secret by form": func(_ *http.Request, f url.Values) { f.Set("client_id", c.id); f.Set("client_secret", "wrong") },
		"a name that isn't text": func(_ *http.Request, f url.Values) { f.Set("client_id", "\x00"); f.Set("client_secret", "wrong") },
		"a broken assertion": func(_ *http.Request, f url.Values) {
			f.Set("client_assertion", "x.y.z")
			f.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		},
		"an assertion of no type": func(_ *http.Request, f url.Values) { f.Set("client_assertion", "x.y.z") },
	} {
		for grant, form := range map[string]url.Values{
			"a code":             {"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}},
			"no code":            {"grant_type": {"authorization_code"}},
			"a refresh token":    {"grant_type": {"refresh_token"}, "refresh_token": {"x"}},
			"no grant":           {},
			"a grant not served": {"grant_type": {"password"}},
			"client credentials": {"grant_type": {"client_credentials"}},
			"a bad resource":     {"grant_type": {"authorization_code"}, "code": {code}, "resource": {"x"}},
			"details":            {"grant_type": {"authorization_code"}, "code": {code}, "authorization_details": {"[]"}},
		} {
			r := w.get("/oauth/token")
			alter(r, form)
			authorization := r.Header.Get("Authorization")
			r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.issuer+"/oauth/token", strings.NewReader(form.Encode()))
			w.ok(err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			status, body := w.send(r)
			wantEqual(t, what+", with "+grant, []any{status, body["error"]}, []any{http.StatusUnauthorized, "invalid_client"})
		}
	}
	_, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
	w.ok(err)
}
