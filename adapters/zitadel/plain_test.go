package zitadel_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// servePlain serves the world by the library's own Provider, as one who implements op.Storage only expects it, with a login
// page that goes through the library's callback.
func (w *world) servePlain() {
	w.Helper()
	config := w.config
	config.CryptoKey = [32]byte([]byte(strings.Repeat("c", 32)))
	provider, err := op.NewProvider(&config, w.storage, op.StaticIssuer(w.issuer), op.WithAllowInsecure())
	w.ok(err)
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.Handle("/login", op.NewIssuerInterceptor(provider.IssuerFromRequest).HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p, err := w.storage.PendingRequest(r.Context(), r.FormValue("id"))
		w.ok(err)
		ticket, err := w.storage.Approve(r.Context(), r.FormValue("id"), w.approval(p))
		w.ok(err)
		http.Redirect(rw, r, op.AuthCallbackURL(provider)(r.Context(), ticket), http.StatusFound)
	}))
	w.handler.Store(http.HandlerFunc(mux.ServeHTTP))
}

func TestStorageServesTheLibrarysOwnProvider(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"opaque", "JWT"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.opts.UserinfoInIDToken = true
				if kind == "JWT" {
					w.opts.AccessTokenType = zitadel.JWTs
				}
			})
			w.servePlain()
			c, resource := w.register(), w.register()
			cfg := c.oauth2()
			code, verifier := c.authorize(cfg)
			tokens, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.ok(err)
			w.ok(c.verify(tokens.Extra("id_token")).VerifyAccessToken(tokens.AccessToken))
			resource.wantActive(true, tokens.AccessToken)
			status, info := w.userinfo(tokens.AccessToken)
			wantEqual(t, "userinfo", []any{status, info["email"]}, []any{http.StatusOK, *w.user.Email})

			successors := map[string]bool{}
			for _, refreshed := range inParallel(8, func(int) *oauth2.Token {
				refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
				if err != nil {
					t.Error(err)
					return &oauth2.Token{}
				}
				return refreshed
			}) {
				successors[refreshed.RefreshToken] = true
			}
			wantEqual(t, "successors", len(successors), 1)
			status, _ = c.post("/revoke", url.Values{"token": {tokens.AccessToken}})
			wantEqual(t, "revocation", status, http.StatusOK)
			resource.wantActive(false, tokens.AccessToken)

			_, err = cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			for successor := range successors {
				_, err := c.refreshWith(cfg, successor)
				w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			}

			other := c.login(cfg)
			status, _ = c.post("/revoke", url.Values{"token": {other.RefreshToken}, "token_type_hint": {"refresh_token"}})
			wantEqual(t, "revocation of a refresh token", status, http.StatusOK)
			resource.wantActive(false, other.AccessToken)
			status, _ = c.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
			wantEqual(t, "client credentials", status, http.StatusOK)

			// An id alone is no token.
			live := c.login(cfg)
			_, told := resource.post("/oauth/introspect", url.Values{"token": {live.AccessToken}})
			for _, hint := range []string{"", "access_token"} {
				status, _ = c.post("/revoke", url.Values{"token": {told["jti"].(string)}, "token_type_hint": {hint}})
				wantEqual(t, "revocation by an id", status, http.StatusOK)
			}
			resource.wantActive(false, told["jti"].(string))
			resource.wantActive(true, live.AccessToken)
		})
	}
}

func TestRequestsIDIsNoTicketForTheCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2()
	pending := func() string {
		location := w.fetch(w.get(pathOf(w, cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))))).location
		return strings.TrimPrefix(location, "/login?id=")
	}
	approval := w.approval(zitadel.PendingRequest{Authorization: store.OAuthAuthorization{Scopes: []string{"openid"}}})
	id := pending()
	if got := w.fetch(w.get("/authorize/callback?id=" + id)); got.status != http.StatusBadRequest || got.location != "" {
		t.Errorf("callback before the approval: %+v", got)
	}
	ticket, err := w.storage.Approve(w.ctx, id, approval)
	w.ok(err)
	// Whoever began the request knows its id, and must not be given the code of the one who approved it.
	if got := w.fetch(w.get("/authorize/callback?id=" + id)); got.status != http.StatusBadRequest || got.location != "" {
		t.Errorf("callback with the request's id: %+v", got)
	}
	if got := w.fetch(w.get("/authorize/callback?id=" + ticket)); !strings.Contains(got.location, "code=") {
		t.Errorf("callback with the ticket: %+v", got)
	}
	if got := w.fetch(w.get("/authorize/callback?id=" + ticket)); got.status != http.StatusBadRequest {
		t.Errorf("callback with a used ticket: %+v", got)
	}
}
