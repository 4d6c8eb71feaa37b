package zitadel_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func TestCodeFlowOfOAuth2AndGoOIDC(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name   string
		change []func(*store.CreateClientParams)
	}{
		{"confidential", nil},
		{"public", []func(*store.CreateClientParams){public}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				if kind.name == "confidential" {
					w.opts.SigningAlgorithm = jose.RS256
				}
			})
			c := w.register(kind.change...)
			cfg := c.oauth2()
			tokens := c.login(cfg, gooidc.Nonce("n-0S6_WzA2Mj"))

			idToken := c.verify(tokens.Extra("id_token"))
			w.ok(idToken.VerifyAccessToken(tokens.AccessToken))
			wantEqual(t, "nonce", idToken.Nonce, "n-0S6_WzA2Mj")
			wantEqual(t, "sub", idToken.Subject, w.user.ID)
			var claims struct {
				SID      string   `json:"sid"`
				AuthTime int64    `json:"auth_time"`
				ACR      string   `json:"acr"`
				AMR      []string `json:"amr"`
				Email    string   `json:"email"`
			}
			w.ok(idToken.Claims(&claims))
			wantEqual(t, "sid", claims.SID, w.session.ID)
			wantEqual(t, "auth_time", claims.AuthTime, w.session.CreatedAt.Unix())
			wantEqual(t, "acr", claims.ACR, "urn:example:pwd")
			wantEqual(t, "amr", claims.AMR, []string{"pwd"})
			wantEqual(t, "email, which is at the userinfo endpoint", claims.Email, "")
			wantEqual(t, "scope", tokens.Extra("scope"), "openid profile email offline_access calendar")
			if left := time.Until(tokens.Expiry); left < 9*time.Minute || left > 10*time.Minute {
				t.Errorf("the access token expires in %s", left)
			}
			for what, raw := range map[token.Kind]string{token.AccessToken: tokens.AccessToken, token.RefreshToken: tokens.RefreshToken} {
				if _, err := token.Parse(what, raw); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}

			provider, err := gooidc.NewProvider(w.ctx, w.issuer)
			w.ok(err)
			info, err := provider.UserInfo(w.ctx, oauth2.StaticTokenSource(tokens))
			w.ok(err)
			wantEqual(t, "userinfo", []any{info.Subject, info.Email, info.EmailVerified}, []any{w.user.ID, *w.user.Email, true})
			var profile struct{ Name, Picture string }
			w.ok(info.Claims(&profile))
			wantEqual(t, "profile", profile, "{Ada Lovelace https://example.com/ada.png}")

			refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
			w.ok(err)
			again := c.verify(refreshed.Extra("id_token"))
			w.ok(again.VerifyAccessToken(refreshed.AccessToken))
			wantEqual(t, "sub and nonce after the refresh", []string{again.Subject, again.Nonce}, []any{w.user.ID, ""})
			w.ok(again.Claims(&claims))
			wantEqual(t, "sid after the refresh", claims.SID, w.session.ID)
			wantEqual(t, "auth_time after the refresh", claims.AuthTime, w.session.CreatedAt.Unix())
			if refreshed.RefreshToken == tokens.RefreshToken || refreshed.AccessToken == tokens.AccessToken {
				t.Error("the tokens are the same as before")
			}
		})
	}
}

func TestAnswersComeInTheModeThatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2()
	verifier := oauth2.GenerateVerifier()
	ask := func(mode string, more ...oauth2.AuthCodeOption) answer {
		return w.browse(cfg.AuthCodeURL("st&ate", append(more, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("response_mode", mode))...))
	}
	for _, mode := range []string{"query", "fragment"} {
		a := ask(mode)
		wantEqual(t, mode+" status and state", []any{a.status, a.Get("state")}, []any{http.StatusSeeOther, "st&ate"})
		_, err := cfg.Exchange(w.ctx, a.Get("code"), oauth2.VerifierOption(verifier))
		w.ok(err)
		a = ask(mode, oauth2.SetAuthURLParam("prompt", "none"))
		wantEqual(t, mode+" error", []string{a.Get("error"), a.Get("state")}, []string{"access_denied", "st&ate"})
	}
	a := ask("form_post")
	for _, part := range []string{`action="` + redirectURI + `"`, `name="code"`, token.Mint(token.AuthorizationCode).Reveal()[:7], "st&amp;ate"} {
		if a.status != http.StatusOK || !strings.Contains(a.body, part) {
			t.Errorf("form_post: %d without %s in %s", a.status, part, a.body)
		}
	}
	if a := ask("query.jwt"); a.Get("error") != "invalid_request" {
		t.Errorf("an unknown response_mode: %v", a)
	}
}

func TestUserGrantsLessThanWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2()
	w.grants = []string{"openid", "email"}
	tokens := c.login(cfg)
	wantEqual(t, "scope", tokens.Extra("scope"), "openid email")
	wantEqual(t, "refresh token without offline_access", tokens.RefreshToken, "")
	_, info := w.userinfo(tokens.AccessToken)
	wantEqual(t, "name without the scope profile", info["name"], nil)
	wantEqual(t, "email", info["email"], *w.user.Email)
	w.grants = []string{"email"}
	if status, info := w.userinfo(c.login(cfg).AccessToken); status != http.StatusForbidden || info["email"] != nil {
		t.Errorf("userinfo without the scope openid: %d %v", status, info)
	}
}

func TestRefreshedAccessTokenCanBeNarrower(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	tokens := c.login(c.oauth2())
	refresh := func(refreshToken, scope string) (int, map[string]any) {
		return c.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "scope": {scope}})
	}
	if status, body := refresh(tokens.RefreshToken, "openid files"); status != http.StatusBadRequest || body["error"] != "invalid_scope" {
		t.Errorf("scopes beyond the grant: %d %v", status, body)
	}
	status, body := refresh(tokens.RefreshToken, "openid calendar")
	wantEqual(t, "status and scope", []any{status, body["scope"]}, []any{http.StatusOK, "openid calendar"})
	_, told := c.post("/oauth/introspect", url.Values{"token": {body["access_token"].(string)}})
	wantEqual(t, "scope of the access token", told["scope"], "openid calendar")
	_, body = refresh(body["refresh_token"].(string), "")
	wantEqual(t, "scope of the next one", body["scope"], "openid profile email offline_access calendar")
}

// A client with pairwise subjects never learns the user's id (OpenID Connect Core 1.0, section 8).
func TestPairwiseClientIsToldTheSameSubjectEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register(func(p *store.CreateClientParams) { p.SubjectType = new("pairwise") })
	cfg := c.oauth2()
	tokens := c.login(cfg)
	sub := c.verify(tokens.Extra("id_token")).Subject
	if sub == "" || sub == string(w.user.ID) {
		t.Fatalf("the client knows the user as %q", sub)
	}
	provider, err := gooidc.NewProvider(w.ctx, w.issuer)
	w.ok(err)
	info, err := provider.UserInfo(w.ctx, oauth2.StaticTokenSource(tokens))
	w.ok(err)
	wantEqual(t, "userinfo", info.Subject, sub)
	refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
	w.ok(err)
	wantEqual(t, "sub after the refresh", c.verify(refreshed.Extra("id_token")).Subject, sub)
	wantEqual(t, "sub at a second login", c.verify(c.login(cfg).Extra("id_token")).Subject, sub)
	row, err := w.q.FindUserBySubject(w.ctx, store.FindUserBySubjectParams{ClientID: store.ClientID(c.id), Subject: store.Subject(sub)})
	w.ok(err)
	wantEqual(t, "the user", row.ID, w.user.ID)
}
