package zitadel_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

func TestOptionsThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*zitadel.Options){
		"SuccessorKeys":             func(o *zitadel.Options) { o.SuccessorKeys = nil },
		"short successor key":       func(o *zitadel.Options) { o.SuccessorKeys = [][]byte{[]byte("short")} },
		"KeyEncryptionKeys":         func(o *zitadel.Options) { o.KeyEncryptionKeys = nil },
		"short key encryption key":  func(o *zitadel.Options) { o.KeyEncryptionKeys = append(o.KeyEncryptionKeys, []byte("secret")) },
		"LoginURL":                  func(o *zitadel.Options) { o.LoginURL = nil },
		"SigningAlgorithm":          func(o *zitadel.Options) { o.SigningAlgorithm = "HS256" },
		"negative AccessToken":      func(o *zitadel.Options) { o.AccessTokenLifetime = -time.Second },
		"negative CodeLifetime":     func(o *zitadel.Options) { o.CodeLifetime = -1 },
		"negative FamilyLifetime":   func(o *zitadel.Options) { o.FamilyLifetime = -1 },
		"negative ClockSkew":        func(o *zitadel.Options) { o.ClockSkew = -1 },
		"negative KeyLeadTime":      func(o *zitadel.Options) { o.KeyLeadTime = -1 },
		"negative RequestLifetime":  func(o *zitadel.Options) { o.RequestLifetime = -1 },
		"negative IDTokenLifetime":  func(o *zitadel.Options) { o.IDTokenLifetime = -1 },
		"negative RefreshLifetime":  func(o *zitadel.Options) { o.RefreshTokenLifetime = -1 },
		"short CodeLifetime":        func(o *zitadel.Options) { o.CodeLifetime = time.Second - 1 },
		"short FamilyLifetime":      func(o *zitadel.Options) { o.FamilyLifetime = time.Millisecond },
		"two successor keys, alike": func(o *zitadel.Options) { o.SuccessorKeys = append(o.SuccessorKeys, o.SuccessorKeys[0]) },
	} {
		opts := options()
		change(&opts)
		if _, err := zitadel.New(nil, opts); err == nil {
			t.Errorf("%s: accepted", what)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "short") && what == "short successor key" && strings.Contains(err.Error(), `"short"`) {
			t.Errorf("%s: the error tells a key: %v", what, err)
		}
	}
	if _, err := zitadel.New(nil, options()); err != nil {
		t.Error(err)
	}
}

func TestClientIsServedAsItWasRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for what, test := range map[string]struct {
		change func(*store.CreateClientParams)
		want   []any // application type, method of authentication, response types, grant types
	}{
		"nothing said": {
			func(p *store.CreateClientParams) { p.GrantTypes = nil },
			[]any{op.ApplicationTypeWeb, oidc.AuthMethodBasic, []string{"code"}, []string{"authorization_code"}},
		},
		"public": {
			func(p *store.CreateClientParams) { p.Public = new(true) },
			[]any{op.ApplicationTypeUserAgent, oidc.AuthMethodNone, []string{"code"}, []string{"authorization_code", "refresh_token", "client_credentials"}},
		},
		"native": {
			func(p *store.CreateClientParams) {
				p.ApplicationType, p.GrantTypes = new("native"), []string{"refresh_token"}
				p.TokenEndpointAuthMethod, p.ResponseTypes = new("none"), []string{"code", "id_token"}
			},
			[]any{op.ApplicationTypeNative, oidc.AuthMethodNone, []string{"code"}, []string{"refresh_token"}},
		},
		"native as another server has it": {
			func(p *store.CreateClientParams) { p.Type, p.GrantTypes = new("native"), nil },
			[]any{op.ApplicationTypeNative, oidc.AuthMethodBasic, []string{"code"}, []string{"authorization_code"}},
		},
		"user agent": {
			func(p *store.CreateClientParams) {
				p.Type, p.GrantTypes = new("user-agent-based"), nil
				p.TokenEndpointAuthMethod = new("client_secret_post")
			},
			[]any{op.ApplicationTypeUserAgent, oidc.AuthMethodPost, []string{"code"}, []string{"authorization_code"}},
		},
		"implicit only": {
			func(p *store.CreateClientParams) { p.ResponseTypes, p.GrantTypes = []string{"id_token"}, nil },
			[]any{op.ApplicationTypeWeb, oidc.AuthMethodBasic, []string{}, []string{"authorization_code"}},
		},
	} {
		c, err := w.storage.GetClientByClientID(w.ctx, w.register(test.change).id)
		w.ok(err)
		wantEqual(t, what, []any{c.ApplicationType(), c.AuthMethod(), c.ResponseTypes(), c.GrantTypes()}, test.want)
		wantEqual(t, what+": addresses", []any{c.RedirectURIs(), c.PostLogoutRedirectURIs(), c.LoginURL("a b")},
			[]any{[]string{redirectURI}, []string{"https://client.example/signed-out"}, "/login?id=a+b"})
	}
}

func TestLifetimesAreThoseOfTheOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.opts.AccessTokenLifetime, w.opts.RefreshTokenLifetime, w.opts.FamilyLifetime = 2*time.Minute, time.Hour, 90*time.Minute
		w.opts.IDTokenLifetime, w.opts.ClockSkew = 3*time.Minute, 10*time.Second
	})
	c := w.register()
	cfg := c.oauth2()
	tokens := c.login(cfg)
	idToken := c.verify(tokens.Extra("id_token"))
	wantEqual(t, "ID token", idToken.Expiry.Sub(idToken.IssuedAt), 3*time.Minute+2*10*time.Second)
	_, told := c.post("/oauth/introspect", map[string][]string{"token": {tokens.AccessToken}})
	wantEqual(t, "access token", told["exp"].(float64)-told["iat"].(float64), 120)
	_, told = c.post("/oauth/introspect", map[string][]string{"token": {tokens.RefreshToken}})
	wantEqual(t, "refresh token", told["exp"].(float64)-told["iat"].(float64), 3600)
	refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
	w.ok(err)
	var max time.Duration
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT max_expires_at - redeemed_at FROM oauth_authorization`).Scan(&max))
	wantEqual(t, "family", max, 90*time.Minute)
	_, err = w.db.Pool.Exec(w.ctx, `UPDATE oauth_authorization SET max_expires_at = now() + interval '1 minute', auth_time = NULL`)
	w.ok(err)
	_, err = w.db.Pool.Exec(w.ctx, `UPDATE oauth_refresh_token SET auth_time = NULL`)
	w.ok(err)
	refreshed, err = c.refreshWith(cfg, refreshed.RefreshToken)
	w.ok(err)
	if left := time.Until(refreshed.Expiry); left > time.Minute+10*time.Second {
		t.Errorf("an access token outlives its family: %s", left)
	}
	var claims map[string]any
	w.ok(c.verify(refreshed.Extra("id_token")).Claims(&claims))
	if at, found := claims["auth_time"]; found {
		t.Errorf("auth_time of a grant that has none: %v", at)
	}
}
