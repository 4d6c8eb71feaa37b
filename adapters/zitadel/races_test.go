package zitadel_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func TestParallelRefreshesConvergeOnOneSuccessor(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]func(*store.CreateClientParams){"confidential": nil, "public": {public}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.register(change...)
			resource := w.register()
			cfg := c.oauth2()
			current := c.login(cfg).RefreshToken
			for range 5 {
				var accessTokens []string
				successors := map[string]bool{}
				for _, tokens := range inParallel(8, func(int) *oauth2.Token {
					tokens, err := c.refreshWith(cfg, current)
					if err != nil {
						t.Error(err)
						return nil
					}
					return tokens
				}) {
					if tokens == nil {
						t.FailNow()
					}
					successors[tokens.RefreshToken] = true
					accessTokens = append(accessTokens, tokens.AccessToken)
				}
				wantEqual(t, "successors", len(successors), 1)
				resource.wantActive(true, accessTokens...)
				for current = range successors {
				}
			}
		})
	}
}

func TestReusedRefreshTokenEndsItsFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2()
	first := c.login(cfg)
	second, err := c.refreshWith(cfg, first.RefreshToken)
	w.ok(err)
	third, err := c.refreshWith(cfg, second.RefreshToken)
	w.ok(err)
	other := c.login(cfg)
	_, err = c.refreshWith(cfg, first.RefreshToken) // the successor has been used: this is no retry
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
	_, err = c.refreshWith(cfg, third.RefreshToken)
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
	c.wantActive(false, first.AccessToken, second.AccessToken, third.AccessToken)
	c.wantActive(true, other.AccessToken)
	if log := w.log.String(); !strings.Contains(log, "refresh token replayed") || strings.Contains(log, first.RefreshToken) {
		t.Errorf("log: %s", log)
	}
}

func TestRetryIsForgivenForTheGraceIntervalOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.Grace = -1 })
	c := w.register()
	cfg := c.oauth2()
	first := c.login(cfg)
	second, err := c.refreshWith(cfg, first.RefreshToken)
	w.ok(err)
	_, err = c.refreshWith(cfg, first.RefreshToken)
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
	c.wantActive(false, second.AccessToken)
}

func TestRetryConvergesWhileSuccessorKeysChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2()
	first := c.login(cfg)
	second, err := c.refreshWith(cfg, first.RefreshToken)
	w.ok(err)
	w.opts.SuccessorKeys = [][]byte{[]byte(strings.Repeat("t", 32)), w.opts.SuccessorKeys[0]}
	w.serve()
	retried, err := c.refreshWith(cfg, first.RefreshToken)
	w.ok(err)
	wantEqual(t, "successor", retried.RefreshToken, second.RefreshToken)
	w.opts.SuccessorKeys = w.opts.SuccessorKeys[:1]
	w.serve()
	_, err = c.refreshWith(cfg, first.RefreshToken)
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
	_, err = c.refreshWith(cfg, second.RefreshToken) // which lives on
	w.ok(err)
}

func TestReplayedCodeEndsWhatItGave(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]func(*store.CreateClientParams){"confidential": nil, "public": {public}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.register(change...)
			resource := w.register()
			cfg := c.oauth2()
			code, verifier := c.authorize(cfg)
			first, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.ok(err)
			second, err := c.refreshWith(cfg, first.RefreshToken)
			w.ok(err)
			resource.wantActive(true, first.AccessToken, second.AccessToken)
			_, err = cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			resource.wantActive(false, first.AccessToken, second.AccessToken)
			_, err = c.refreshWith(cfg, second.RefreshToken)
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			_, err = cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			if log := w.log.String(); !strings.Contains(log, "authorization code replayed") || strings.Contains(log, code) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestParallelExchangesOfACodeGiveOneAnswerAndEndIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2()
	for range 5 {
		code, verifier := c.authorize(cfg)
		var given *oauth2.Token
		outcomes := map[string]int{}
		for _, outcome := range inParallel(8, func(int) any {
			tokens, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			if err != nil {
				return err
			}
			return tokens
		}) {
			var refused *oauth2.RetrieveError
			switch o := outcome.(type) {
			case *oauth2.Token:
				outcomes["tokens"]++
				given = o
			case error:
				if errors.As(o, &refused) {
					outcomes[refused.ErrorCode]++
				} else {
					t.Error(o)
				}
			}
		}
		wantEqual(t, "outcomes", outcomes, map[string]int{"tokens": 1, "invalid_grant": 7})
		if given == nil {
			t.FailNow()
		}
		c.wantActive(false, given.AccessToken, given.RefreshToken)
	}
}

func TestCodeIsBoundToWhatTheRequestSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.register(), w.register()
	code, verifier := c.authorize(c.oauth2())
	exchange := func(by registered, change func(url.Values)) (int, map[string]any) {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
		change(form)
		return by.post("/oauth/token", form)
	}
	for what, attempt := range map[string]struct {
		by     registered
		change func(url.Values)
		want   string
	}{
		"another client":       {other, func(url.Values) {}, "invalid_grant"},
		"another redirect_uri": {c, func(f url.Values) { f.Set("redirect_uri", "https://client.example/other") }, "invalid_grant"},
		"another verifier":     {c, func(f url.Values) { f.Set("code_verifier", oauth2.GenerateVerifier()) }, "invalid_grant"},
		"no verifier":          {c, func(f url.Values) { f.Del("code_verifier") }, "invalid_grant"},
		"two verifiers":        {c, func(f url.Values) { f.Add("code_verifier", verifier) }, "invalid_request"},
		"the digest":           {c, func(f url.Values) { f.Set("code", string(token.DigestOf(code))) }, "invalid_grant"},
		"another code":         {c, func(f url.Values) { f.Set("code", token.Mint(token.AuthorizationCode).Reveal()) }, "invalid_grant"},
		"a refresh token":      {c, func(f url.Values) { f.Set("code", token.Mint(token.RefreshToken).Reveal()) }, "invalid_grant"},
	} {
		status, body := exchange(attempt.by, attempt.change)
		wantEqual(t, what, []any{status, body["error"]}, []any{http.StatusBadRequest, attempt.want})
	}
	status, _ := exchange(c, func(url.Values) {})
	wantEqual(t, "as it should be, after all that", status, http.StatusOK)
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.CodeLifetime = time.Second })
	c := w.register()
	cfg := c.oauth2()
	code, verifier := c.authorize(cfg)
	time.Sleep(1100 * time.Millisecond)
	_, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
}

func TestRefreshTokenIsItsClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.register(), w.register()
	tokens := c.login(c.oauth2())
	_, err := other.refreshWith(other.oauth2(), tokens.RefreshToken)
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
	for _, wrong := range []string{tokens.AccessToken, token.Mint(token.RefreshToken).Reveal(), "nothing", "\x00"} {
		_, err := c.refreshWith(c.oauth2(), wrong)
		w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
	}
	// Another client can't end it either, nor by presenting a digest or an id.
	for _, by := range []registered{other, c} {
		for _, presented := range []string{tokens.RefreshToken, tokens.AccessToken, string(token.DigestOf(tokens.RefreshToken)), "digest." + string(token.DigestOf(tokens.RefreshToken))} {
			if by.id == c.id && (presented == tokens.RefreshToken || presented == tokens.AccessToken) {
				continue
			}
			for _, hint := range []string{"", "access_token", "refresh_token"} {
				status, _ := by.post("/revoke", url.Values{"token": {presented}, "token_type_hint": {hint}})
				wantEqual(t, fmt.Sprintf("revocation with the hint %q", hint), status, http.StatusOK)
			}
		}
	}
	c.wantActive(true, tokens.AccessToken, tokens.RefreshToken)
}

func TestDisabledClientIsServedNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, resource := w.register(), w.register()
	cfg := c.oauth2()
	tokens := c.login(cfg)
	code, verifier := c.authorize(cfg)
	_, err := w.q.DisableClient(w.ctx, store.ClientID(c.id))
	w.ok(err)
	_, err = cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
	w.wantOAuthError(err, http.StatusUnauthorized, "invalid_client")
	_, err = c.refreshWith(cfg, tokens.RefreshToken)
	w.wantOAuthError(err, http.StatusUnauthorized, "invalid_client")
	resource.wantActive(false, tokens.AccessToken, tokens.RefreshToken)
	wantEqual(t, "status of an authorization request", w.browse(cfg.AuthCodeURL("state")).status, http.StatusBadRequest)
	_, err = w.q.EnableClient(w.ctx, store.ClientID(c.id))
	w.ok(err)
	resource.wantActive(true, tokens.AccessToken, tokens.RefreshToken)
}

func TestTokensOfAnotherServerOnTheSameTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	_, err := w.db.Pool.Exec(w.ctx, `INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes)
		VALUES ('r', $1, $2, $3, $4, now() + interval '1 hour', '{openid,offline_access}')`,
		string(token.DigestOf("foreign-refresh")), c.id, w.session.ID, w.user.ID)
	w.ok(err)
	_, err = w.db.Pool.Exec(w.ctx, `INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes)
		VALUES ('a', $1, $2, $3, $4, 'r', now() + interval '5 minutes', '{openid,offline_access}')`,
		string(token.DigestOf("foreign-access")), c.id, w.session.ID, w.user.ID)
	w.ok(err)
	c.wantActive(true, "foreign-access", "foreign-refresh")
	status, info := w.userinfo("foreign-access")
	wantEqual(t, "userinfo", []any{status, info["sub"]}, []any{http.StatusOK, w.user.ID})
	tokens, err := c.refreshWith(c.oauth2(), "foreign-refresh")
	w.ok(err)
	wantEqual(t, "sub", c.verify(tokens.Extra("id_token")).Subject, w.user.ID)
	again, err := c.refreshWith(c.oauth2(), "foreign-refresh")
	w.ok(err)
	wantEqual(t, "successor", again.RefreshToken, tokens.RefreshToken)
	status, _ = c.post("/revoke", url.Values{"token": {"foreign-access"}})
	wantEqual(t, "revocation", status, http.StatusOK)
	c.wantActive(false, "foreign-access")
	c.wantActive(true, tokens.AccessToken)
}
