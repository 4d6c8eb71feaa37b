package zitadel_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/store"
)

// Which redirect URIs are served, whatever the client has said about its kind: those that are registered, and any port of a loopback
// address (RFC 8252, sections 7.1 and 7.3; RFC 9700, section 2.1).
func TestRedirectURIsAreThoseOfTheRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		registered, asked string
		want              bool
	}{
		{"http://127.0.0.1/callback", "http://127.0.0.1:49152/callback", true},
		{"http://[::1]/callback", "http://[::1]:49152/callback", true},
		{"http://127.0.0.1/callback", "http://127.0.0.1/callback", true},
		{"http://127.0.0.1/callback", "http://localhost:49152/callback", false},
		{"http://127.0.0.1/callback", "https://127.0.0.1:49152/callback", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1:49152/other", false},
		{"http://127.0.0.1/callback", "http://a@127.0.0.1:49152/callback", false},
		{"http://localhost:3000/callback", "http://localhost:3000/callback", true},
		{"http://localhost:3000/callback", "http://localhost:3001/callback", true},
		{"com.example.app:/callback", "com.example.app:/callback", true},
		{"https://app.example/cb?b=1&a=2", "https://app.example/cb?b=1&a=2", true},
		{"https://app.example/cb", "https://app.example/cb/", false},
		{"https://app.example/cb", "", true}, // the only one
	} {
		for kind, public := range map[string][]func(*store.CreateClientParams){"confidential": nil, "public": {public}} {
			client := w.register(append(public, func(p *store.CreateClientParams) { p.RedirectURIs = []string{c.registered} })...)
			form := url.Values{
				"client_id": {client.id}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
				"code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())}, "code_challenge_method": {"S256"},
			}
			form.Set("redirect_uri", c.asked)
			if c.asked == "" { // OpenID Connect requires it
				form.Set("scope", "calendar")
			}
			got := w.fetch(w.get("/authorize?" + form.Encode()))
			if served := strings.HasPrefix(got.location, "/login?id="); served != c.want || !served && (got.status != http.StatusBadRequest || got.location != "") {
				t.Errorf("%s, a %s client of %s: %d %s %s", c.asked, kind, c.registered, got.status, got.location, got.body)
			}
			// What is wrong with a request is told to those that the client has registered, and to nobody else.
			form.Set("response_mode", "carrier-pigeon")
			got = w.fetch(w.get("/authorize?" + form.Encode()))
			if told := strings.Contains(got.location, "error=invalid_request"); told != c.want || told && !strings.HasPrefix(got.location, strings.TrimSuffix(c.asked, "?b=1&a=2")) {
				t.Errorf("%s, a %s client of %s, is told of an error: %d %s %s", c.asked, kind, c.registered, got.status, got.location, got.body)
			}
		}
	}
}
