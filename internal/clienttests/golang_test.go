package clienttests

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// oauth2 is the client as golang.org/x/oauth2 has it.
func (c *client) oauth2(provider *oidc.Provider, scopes ...string) *oauth2.Config {
	endpoint := provider.Endpoint()
	if c.method == "client_secret_basic" {
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	} else {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{ClientID: c.id, ClientSecret: c.secret, RedirectURL: c.redirectURI, Endpoint: endpoint, Scopes: scopes}
}

// The flow of golang.org/x/oauth2 and github.com/coreos/go-oidc, with each way to authenticate that they have.
func TestXOAuth2AndGoOIDC(t *testing.T) {
	w := newWorld(t)
	provider, err := oidc.NewProvider(w.Context(), w.issuer)
	w.ok(err)
	var served struct {
		Issuer            string `json:"issuer"`
		EndSession        string `json:"end_session_endpoint"`
		DeviceEndpoint    string `json:"device_authorization_endpoint"`
		IssuerIsNamed     bool   `json:"authorization_response_iss_parameter_supported"`
		BackChannelLogout bool   `json:"backchannel_logout_supported"`
	}
	w.ok(provider.Claims(&served))
	w.want("metadata", []any{served.Issuer, served.IssuerIsNamed, served.BackChannelLogout, provider.Endpoint().DeviceAuthURL == served.DeviceEndpoint}, []any{w.issuer, true, true, true})
	b := w.browser()
	for _, method := range []string{"none", "client_secret_basic", "client_secret_post"} {
		c := w.register(document{"token_endpoint_auth_method": method})
		cfg := c.oauth2(provider, oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess)
		pkce := oauth2.GenerateVerifier()
		got := b.visit(cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(pkce), oidc.Nonce("nonce")))
		code, state := c.returned(got["url"])
		w.want("state", state, "state")
		token, err := cfg.Exchange(w.Context(), code, oauth2.VerifierOption(pkce))
		w.ok(err)
		raw, _ := token.Extra("id_token").(string)
		idToken, err := provider.Verifier(&oidc.Config{ClientID: c.id}).Verify(w.Context(), raw)
		w.ok(err)
		w.ok(idToken.VerifyAccessToken(token.AccessToken))
		w.want("nonce", idToken.Nonce, "nonce")
		info, err := provider.UserInfo(w.Context(), oauth2.StaticTokenSource(token))
		w.ok(err)
		w.want(method, []any{info.Subject, info.Email, info.EmailVerified}, []any{idToken.Subject, b.email, true})

		again, err := cfg.TokenSource(w.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		w.ok(err)
		var all [8]string // eight processes that refresh the same token
		var running sync.WaitGroup
		for i := range all {
			running.Go(func() {
				if token, err := cfg.TokenSource(w.Context(), &oauth2.Token{RefreshToken: again.RefreshToken}).Token(); err == nil {
					all[i] = token.RefreshToken
				}
			})
		}
		running.Wait()
		for _, refreshToken := range all {
			w.want("refreshes that run in parallel", []any{refreshToken, refreshToken != ""}, []any{all[0], true})
		}
		_, err = cfg.Exchange(w.Context(), code, oauth2.VerifierOption(pkce))
		w.wantError(err, "invalid_grant")
		_, err = cfg.TokenSource(w.Context(), &oauth2.Token{RefreshToken: all[0]}).Token() // the replayed code has ended them
		w.wantError(err, "invalid_grant")
	}
	wrong := w.register().oauth2(provider, oidc.ScopeOpenID)
	wrong.ClientSecret = "wrong"
	_, err = wrong.Exchange(w.Context(), "x")
	w.wantError(err, "invalid_client")
}

func (w *world) wantError(err error, code string) {
	w.Helper()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != code {
		w.Errorf("got %v, want %s", err, code)
	}
}

func TestDeviceFlowOfXOAuth2(t *testing.T) {
	w := newWorld(t)
	provider, err := oidc.NewProvider(w.Context(), w.issuer)
	w.ok(err)
	c := w.register(document{"token_endpoint_auth_method": "none", "redirect_uris": []string{}, "response_types": []string{}, "grant_types": []string{deviceGrant}})
	cfg := c.oauth2(provider, oidc.ScopeOpenID)
	device, err := cfg.DeviceAuth(w.Context())
	w.ok(err)
	b := w.browser()
	b.connect(device.UserCode)
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	token, err := cfg.DeviceAccessToken(ctx, device)
	w.ok(err)
	raw, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: c.id}).Verify(w.Context(), raw)
	w.ok(err)
	w.want("the user", idToken.Subject, b.id)
}

func TestClientCredentialsOfXOAuth2(t *testing.T) {
	w := newWorld(t)
	for method, style := range map[string]oauth2.AuthStyle{"client_secret_basic": oauth2.AuthStyleInHeader, "client_secret_post": oauth2.AuthStyleInParams} {
		c := w.register(document{
			"token_endpoint_auth_method": method, "redirect_uris": []string{}, "response_types": []string{}, "grant_types": []string{"client_credentials"}, "scope": "files",
		})
		for _, style := range []oauth2.AuthStyle{style, oauth2.AuthStyleAutoDetect} {
			cfg := clientcredentials.Config{ClientID: c.id, ClientSecret: c.secret, TokenURL: w.issuer + "/oauth/token", Scopes: []string{"files"}, AuthStyle: style}
			token, err := cfg.Token(w.Context())
			w.ok(err)
			a := c.introspect(token.AccessToken)
			w.want(method, []any{a.body["active"], a.text("scope")}, []any{true, "files"})
		}
	}
}
