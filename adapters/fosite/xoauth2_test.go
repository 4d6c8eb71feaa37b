package fositedb_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/store"
)

func posting(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = new("client_secret_post") }

// The flow of golang.org/x/oauth2, with each way to authenticate that it has.
func TestFlowOfXOAuth2(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	refused := func(err error, code string) {
		t.Helper()
		var e *oauth2.RetrieveError
		if !errors.As(err, &e) || e.ErrorCode != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	for what, c := range map[string]client{"header": s.register(), "params": s.register(posting), "none": s.register(public)} {
		cfg := &oauth2.Config{
			ClientID: c.id, ClientSecret: c.secret, RedirectURL: redirectURI, Scopes: []string{"openid", "offline_access"},
			Endpoint: oauth2.Endpoint{AuthURL: s.url + "/authorize", TokenURL: s.url + "/token", AuthStyle: oauth2.AuthStyleInParams},
		}
		if what == "header" {
			cfg.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
		}
		pkce := oauth2.GenerateVerifier()
		to, err := url.Parse(cfg.AuthCodeURL("a-long-enough-state", oauth2.S256ChallengeOption(pkce)))
		w.ok(err)
		code := s.authorize(to.Query()).to.Get("code")
		tokens, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(pkce))
		w.ok(err)
		all := inParallel(8, func(int) string {
			again, err := cfg.TokenSource(w.ctx, &oauth2.Token{RefreshToken: tokens.RefreshToken}).Token()
			if err != nil {
				return err.Error()
			}
			return again.RefreshToken
		})
		for _, refreshToken := range all {
			wantEqual(t, what+": refreshes that run in parallel", refreshToken, all[0])
		}
		_, err = cfg.TokenSource(w.ctx, &oauth2.Token{RefreshToken: all[0]}).Token()
		w.ok(err)
		_, err = cfg.Exchange(w.ctx, code, oauth2.VerifierOption(pkce))
		refused(err, "invalid_grant")
		if c.secret != "" {
			wrong := *cfg
			wrong.ClientSecret = "wrong"
			_, err = wrong.Exchange(w.ctx, "x")
			refused(err, "invalid_client")
			var e *oauth2.RetrieveError
			wantEqual(t, what+": the status", errors.As(err, &e) && e.Response.StatusCode == http.StatusUnauthorized, true)
		}
	}
}
