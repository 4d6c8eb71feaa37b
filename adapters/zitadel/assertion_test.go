package zitadel_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/oauthdb/oauthdb/store"
)

// audiences are what the assertions of a client may name, of a server as change has it.
func audiences(t *testing.T, change func(*world), wanted func(issuer string) map[any]bool) {
	t.Helper()
	t.Parallel()
	w := newWorld(t, change)
	c := w.registerKey()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.key, KeyID: "k1"}}, nil)
	w.ok(err)
	for aud, accepted := range wanted(w.issuer) {
		audience := aud
		if list, ok := aud.([2]string); ok { // a map has no slices for keys
			audience = list[:]
		}
		for _, path := range []string{"/par", "/oauth/token"} {
			now := time.Now().Unix()
			status, body := c.post(path, url.Values{
				"client_assertion":      {signed(t, signer, map[string]any{"iss": c.id, "sub": c.id, "aud": audience, "iat": now, "exp": now + 60, "jti": token32()})},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			})
			if isKnown := status != http.StatusUnauthorized; isKnown != accepted {
				t.Errorf("%v, at %s: %d %v", audience, path, status, body)
			}
		}
	}
}

func strict(w *world) { w.opts.AssertionsForIssuerAlone = true }

// These three are named as modules of the OpenID Foundation's fapi2-security-profile-final-test-plan (docs/conformance.md).

func TestFapi2SecurityProfileFinalParTestArrayAsAudienceFails(t *testing.T) {
	audiences(t, strict, func(issuer string) map[any]bool {
		return map[any]bool{issuer: true, [2]string{issuer, "https://other.example"}: false, [2]string{issuer, issuer}: false}
	})
}

func TestFapi2SecurityProfileFinalParTestParEndpointUrlAsAudienceFails(t *testing.T) {
	audiences(t, strict, func(issuer string) map[any]bool { return map[any]bool{issuer: true, issuer + "/par": false} })
}

func TestFapi2SecurityProfileFinalParTestTokenEndpointUrlAsAudienceFails(t *testing.T) {
	audiences(t, strict, func(issuer string) map[any]bool { return map[any]bool{issuer: true, issuer + "/oauth/token": false} })
}

// Without the option, an assertion may be for the token endpoint and for others too (RFC 7523, section 3).
func TestAssertionMayBeForMoreThanTheIssuer(t *testing.T) {
	audiences(t, func(*world) {}, func(issuer string) map[any]bool {
		return map[any]bool{
			issuer: true, issuer + "/oauth/token": true, [2]string{issuer, "https://other.example"}: true,
			[2]string{issuer + "/userinfo", "https://other.example"}: false,
		}
	})
}

// A key that is registered for an algorithm, and a client that is, sign by that alone.
func TestAssertionIsSignedByTheRegisteredAlgorithm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for alg, want := range map[string]int{"ES256": http.StatusOK, "PS256": http.StatusUnauthorized} {
		c := w.registerKey(func(p *store.CreateClientParams) {
			p.Metadata = []byte(`{"token_endpoint_auth_signing_alg":"` + alg + `"}`)
		})
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.key, KeyID: "k1"}}, nil)
		w.ok(err)
		now := time.Now().Unix()
		status, body := c.post("/oauth/token", url.Values{
			"grant_type": {"client_credentials"}, "scope": {"files"},
			"client_assertion":      {signed(t, signer, map[string]any{"iss": c.id, "sub": c.id, "aud": w.issuer, "exp": now + 60, "jti": token32()})},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		})
		if status != want {
			t.Errorf("%s: %d %v", alg, status, body)
		}
	}
}
