package zitadel_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
)

// cluster is two servers on one database behind a proxy that sends them requests in turn. Each has a pool of its own.
type cluster struct {
	*world
	mu      sync.Mutex
	turn    int
	proxies []http.Handler
	served  []int
	stop    func()
}

// newCluster replaces the world's server by two.
func newCluster(w *world) *cluster {
	w.Helper()
	c := &cluster{world: w, served: make([]int, 2), stop: func() {}}
	c.restart()
	w.Cleanup(func() { c.stop() })
	w.handler.Store(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.turn++
		turn := c.turn % len(c.proxies)
		c.served[turn]++
		proxy := c.proxies[turn]
		c.mu.Unlock()
		proxy.ServeHTTP(rw, r)
	}))
	return c
}

// restart replaces both servers by new ones, which know what is in the database and nothing else.
func (c *cluster) restart() {
	c.Helper()
	c.stop()
	var proxies []http.Handler
	var stops []func()
	for range 2 {
		pool, err := pgxpool.New(c.ctx, c.db.URL+"&pool_max_conns=4")
		c.ok(err)
		server := httptest.NewServer(c.pages(c.newServer(pool)))
		target, err := url.Parse(server.URL)
		c.ok(err)
		proxies = append(proxies, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		}})
		stops = append(stops, func() { server.Close(); pool.Close() })
	}
	c.mu.Lock()
	c.proxies = proxies
	c.mu.Unlock()
	c.stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func TestTwoServersOnOneDatabaseAreOneProvider(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"opaque", "JWT"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				if kind == "JWT" {
					w.opts.AccessTokenType = zitadel.JWTs
				}
			})
			servers := newCluster(w)
			c, keyed, resource := w.register(), w.registerKey(), w.register()
			cfg := c.oauth2()

			// Each step on servers that have never heard of the one before.
			verifier := oauth2.GenerateVerifier()
			login := w.fetch(w.get(pathOf(w, cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier), gooidc.Nonce("nonce"))))).location
			servers.restart()
			a := w.browse(w.issuer + login)
			servers.restart()
			tokens, err := cfg.Exchange(w.ctx, a.Get("code"), oauth2.VerifierOption(verifier))
			w.ok(err)
			servers.restart()
			wantEqual(t, "nonce", c.verify(tokens.Extra("id_token")).Nonce, "nonce")
			resource.wantActive(true, tokens.AccessToken, tokens.AccessToken)
			for range 2 {
				status, info := w.userinfo(tokens.AccessToken)
				wantEqual(t, "userinfo", []any{status, info["sub"]}, []any{http.StatusOK, w.user.ID})
			}
			servers.restart()
			refreshed, err := c.refreshWith(cfg, tokens.RefreshToken)
			w.ok(err)
			servers.restart()
			for range 2 { // a retry on either
				again, err := c.refreshWith(cfg, tokens.RefreshToken)
				w.ok(err)
				wantEqual(t, "successor", again.RefreshToken, refreshed.RefreshToken)
			}
			successors := map[string]bool{}
			for _, successor := range inParallel(8, func(int) string {
				tokens, err := c.refreshWith(cfg, refreshed.RefreshToken)
				if err != nil {
					t.Error(err)
					return ""
				}
				return tokens.RefreshToken
			}) {
				successors[successor] = true
			}
			wantEqual(t, "successors", len(successors), 1)

			assertion := keyed.assertion()
			machine := func() url.Values {
				return url.Values{"grant_type": {"client_credentials"}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
			}
			status, _ := keyed.post("/oauth/token", machine())
			wantEqual(t, "an assertion at one server", status, http.StatusOK)
			status, _ = keyed.post("/oauth/token", machine())
			wantEqual(t, "the same at the other", status, http.StatusUnauthorized)

			servers.restart()
			_, err = cfg.Exchange(w.ctx, a.Get("code"), oauth2.VerifierOption(verifier))
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			resource.wantActive(false, tokens.AccessToken, refreshed.AccessToken)
			for successor := range successors {
				_, err = c.refreshWith(cfg, successor)
				w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			}

			tokens = c.login(cfg)
			servers.restart()
			status, _ = c.post("/revoke", url.Values{"token": {tokens.RefreshToken}})
			wantEqual(t, "revocation", status, http.StatusOK)
			resource.wantActive(false, tokens.AccessToken, tokens.AccessToken)
			tokens = c.login(c.oauth2("openid"))
			servers.restart()
			out := w.fetch(w.get("/end_session?" + url.Values{"id_token_hint": {tokens.Extra("id_token").(string)}}.Encode()))
			wantEqual(t, "signed out", []any{out.status, out.location}, []any{http.StatusFound, "/signed-out"})
			resource.wantActive(false, tokens.AccessToken)
			if servers.served[0] == 0 || servers.served[1] == 0 {
				t.Errorf("served: %v", servers.served)
			}
		})
	}
}

// pathOf is a URL of the server without its beginning.
func pathOf(w *world, location string) string { return location[len(w.issuer):] }
