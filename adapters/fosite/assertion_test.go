package fositedb_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/store"
)

const clientAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func (c client) withAssertion(assertion string) answer {
	return c.post("/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"calendar"}, "client_assertion": {assertion}, "client_assertion_type": {clientAssertionType},
	})
}

func TestClientAssertionIsGoodOnce(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.serve(kind)
			c, other := s.register(keyed), s.register(keyed)
			first := c.assertion("1")
			w.want("the first time", c.withAssertion(first), http.StatusOK, "")
			w.want("the second time", c.withAssertion(first), http.StatusUnauthorized, "invalid_client")
			w.want("another client numbers its own alike", other.withAssertion(other.assertion("1")), http.StatusOK, "")
			elsewhere := c.request(func(f url.Values) {
				f.Set("client_assertion", first)
				f.Set("client_assertion_type", clientAssertionType)
			})
			w.want("at another endpoint", c.post("/par", elsewhere), http.StatusUnauthorized, "invalid_client")
			for what, claims := range map[string]map[string]any{
				"another audience": {"aud": "https://other.example"}, "expired": {"exp": time.Now().Add(-time.Minute).Unix()},
				"too far": {"exp": time.Now().Add(24 * time.Hour).Unix()}, "no jti": {"jti": nil}, "another client's": {"iss": other.id},
			} {
				all := map[string]any{"iss": c.id, "sub": c.id, "aud": c.config.TokenURL, "jti": what, "exp": time.Now().Add(time.Minute).Unix()}
				for k, v := range claims {
					all[k] = v
				}
				w.want(what, c.withAssertion(sign(t, all)), http.StatusUnauthorized, "invalid_client")
			}
			forged := c.assertion("forged")
			w.want("another signature", c.withAssertion(forged[:strings.LastIndex(forged, ".")]+first[strings.LastIndex(first, "."):]),
				http.StatusUnauthorized, "invalid_client")
			w.want("nonsense", c.withAssertion("nonsense"), http.StatusUnauthorized, "invalid_client")
			for what, audience := range map[string]any{"the issuer": c.config.IDTokenIssuer, "a list": []string{"https://x.example", c.config.TokenURL}} {
				w.want(what, c.withAssertion(sign(t, map[string]any{
					"iss": c.id, "sub": c.id, "aud": audience, "jti": what, "exp": time.Now().Add(time.Minute).Unix(),
				})), http.StatusOK, "")
			}
			w.want("of an unknown kind", c.post("/token", url.Values{
				"grant_type": {"client_credentials"}, "client_assertion": {first}, "client_assertion_type": {"saml"},
			}), http.StatusUnauthorized, "invalid_client")
			at := c.assertion("at once")
			accepted := 0
			for _, a := range inParallel(8, func(int) answer { return c.withAssertion(at) }) {
				if a.status == http.StatusOK {
					accepted++
				}
			}
			wantEqual(t, "accepted of eight at once", accepted, 1)
		})
	}
}

// trust trusts an issuer whose keys are the clients', and gives the user an account there.
func (s *server) trust(issuer, subject string) {
	s.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{clientJWK}})
	s.ok(err)
	_, err = s.q.CreateTrustedIssuer(s.ctx, store.CreateTrustedIssuerParams{
		ID: store.NewTrustedIssuerID(), Issuer: issuer, JWKS: set, Audiences: []string{s.config.TokenURL}, SigningAlgorithms: []string{"ES256"}, AnyClient: true,
	})
	s.ok(err)
	if subject != "" {
		s.account(issuer, subject)
	}
}

func (s *server) account(issuer, subject string) {
	s.Helper()
	_, err := s.q.CreateAccount(s.ctx, store.CreateAccountParams{ID: store.NewAccountID(), UserID: s.user, ProviderID: issuer, AccountID: subject})
	s.ok(err)
}

// grant presents an issuer's assertion; change alters its claims.
func (c client) grant(issuer, subject, jti string, change ...func(map[string]any)) answer {
	c.Helper()
	claims := map[string]any{
		"iss": issuer, "sub": subject, "aud": []string{c.config.TokenURL}, "jti": jti, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	for _, ch := range change {
		ch(claims)
	}
	return c.post("/token", url.Values{"grant_type": {string(fosite.GrantTypeJWTBearer)}, "assertion": {sign(c, claims)}, "scope": {"calendar"}})
}

func TestAssertionGrantIsDecidedAsAWhole(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.serve(kind)
			c := s.register()
			s.trust("https://one.example", "")
			s.trust("https://two.example", "ada")
			w.want("nobody has the account", c.grant("https://one.example", "ada", "1"), http.StatusBadRequest, "invalid_grant")
			s.account("https://one.example", "ada")
			tokens := c.grant("https://one.example", "ada", "1") // what was refused for another reason wasn't remembered
			w.want("the first time", tokens, http.StatusOK, "")
			about := c.introspect(tokens.str("access_token"))
			wantEqual(t, "token", []any{about.body["active"], about.body["sub"], about.body["scope"]}, []any{true, w.user, "calendar"})
			w.want("the second time", c.grant("https://one.example", "ada", "1"), http.StatusBadRequest, "invalid_grant")
			w.want("another issuer numbers its own alike", c.grant("https://two.example", "ada", "1"), http.StatusOK, "")
			w.want("an issuer that nobody trusts", c.grant("https://three.example", "ada", "1"), http.StatusBadRequest, "invalid_grant")
			w.want("another client's", c.grant("https://one.example", "ada", "2", func(m map[string]any) { m["client_id"] = "another" }), http.StatusBadRequest, "invalid_grant")
			w.want("without jti", c.grant("https://one.example", "ada", "", func(m map[string]any) { delete(m, "jti") }), http.StatusBadRequest, "invalid_grant")
			w.want("another audience", c.grant("https://one.example", "ada", "3", func(m map[string]any) { m["aud"] = []string{"https://other.example"} }),
				http.StatusBadRequest, "invalid_grant")
			w.want("a public client", s.register(public).grant("https://one.example", "ada", "4"), http.StatusBadRequest, "unauthorized_client")
			form := url.Values{"grant_type": {string(fosite.GrantTypeJWTBearer)}, "scope": {"files"}, "assertion": {sign(t, map[string]any{
				"iss": "https://one.example", "sub": "ada", "aud": c.config.TokenURL, "jti": "5", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
			})}}
			w.want("a scope that the client may not have", c.post("/token", form), http.StatusBadRequest, "invalid_scope")
			issued := 0
			for _, a := range inParallel(8, func(int) answer { return c.grant("https://one.example", "ada", "at once") }) {
				if a.status == http.StatusOK {
					issued++
				}
			}
			wantEqual(t, "issued of eight at once", issued, 1)
			if strings.Contains(w.log.String(), "fault") {
				t.Errorf("log: %s", w.log)
			}
		})
	}
}
