package zitadel_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// certificate makes one for a key of its own.
func certificate(t testing.TB, name string) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Shelf"}}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, URIs: []*url.URL{{Scheme: "spiffe", Host: name, Path: "/app"}}, IPAddresses: []net.IP{net.ParseIP("192.0.2.1")},
		EmailAddresses: []string{"app@" + name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}

// behindProxy takes certificates from headers, as a proxy would set them.
func behindProxy(w *world) {
	w.opts.ClientCertificate = func(r *http.Request) (*x509.Certificate, bool) {
		der, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Client-Certificate"))
		if err != nil || len(der) == 0 {
			return nil, false
		}
		c, err := x509.ParseCertificate(der)
		return c, err == nil && r.Header.Get("X-Client-Verified") == "yes"
	}
}

// by adds a certificate to a request.
func by(r *http.Request, c *x509.Certificate, verified bool) *http.Request {
	if c != nil {
		r.Header.Set("X-Client-Certificate", base64.StdEncoding.EncodeToString(c.Raw))
	}
	if verified {
		r.Header.Set("X-Client-Verified", "yes")
	}
	return r
}

func TestClientAuthenticatesByItsCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behindProxy)
	own, _ := certificate(t, "client.example")
	other, _ := certificate(t, "other.example")
	named := func(change func(*store.CreateClientParams)) registered {
		return w.register(func(p *store.CreateClientParams) {
			p.ClientSecret, p.TokenEndpointAuthMethod = nil, new("tls_client_auth")
		}, change)
	}
	selfSigned := func(k jose.JSONWebKey) registered {
		jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}})
		w.ok(err)
		return w.register(func(p *store.CreateClientParams) {
			p.ClientSecret, p.TokenEndpointAuthMethod, p.JWKS = nil, new("self_signed_tls_client_auth"), jwks
		})
	}
	for what, c := range map[string]registered{
		"subject": named(func(p *store.CreateClientParams) { p.TLSClientAuthSubjectDN = new("CN=client.example,O=Shelf") }),
		"dns":     named(func(p *store.CreateClientParams) { p.TLSClientAuthSANDNS = new("Client.example") }),
		"uri":     named(func(p *store.CreateClientParams) { p.TLSClientAuthSANURI = new("spiffe://client.example/app") }),
		"email":   named(func(p *store.CreateClientParams) { p.TLSClientAuthSANEmail = new("app@client.example") }),
		"key":     selfSigned(jose.JSONWebKey{Key: own.PublicKey}),
		"x5c":     selfSigned(jose.JSONWebKey{Key: own.PublicKey, Certificates: []*x509.Certificate{own}}),
	} {
		isSelfSigned := what == "key" || what == "x5c"
		for attempt, a := range map[string]struct {
			certificate *x509.Certificate
			verified    bool
			want        int
		}{
			"its own":             {own, true, 200},
			"its own, unverified": {own, false, map[bool]int{false: 401, true: 200}[isSelfSigned]},
			"another's":           {other, true, 401},
			"none":                {nil, true, 401},
		} {
			for _, path := range []string{"/oauth/token", "/oauth/introspect", "/revoke"} {
				status, body := w.send(by(c.form(path, url.Values{"grant_type": {"client_credentials"}, "token": {"x"}}), a.certificate, a.verified))
				if status != a.want || status == 401 && body["error"] != "invalid_client" {
					t.Errorf("%s, %s at %s: %d %v, want %d", what, attempt, path, status, body, a.want)
				}
			}
		}
	}
	// A certificate of the same key, which is not the one that is registered, and names that the client doesn't have.
	for what, c := range map[string]registered{
		"another certificate": selfSigned(jose.JSONWebKey{Key: other.PublicKey, Certificates: []*x509.Certificate{other}}),
		"an address":          named(func(p *store.CreateClientParams) { p.TLSClientAuthSANIP = new("192.0.2.2") }),
		"no name":             named(func(*store.CreateClientParams) {}),
		"one name of two": named(func(p *store.CreateClientParams) {
			p.TLSClientAuthSANDNS, p.TLSClientAuthSANIP = new("client.example"), new("192.0.2.2")
		}),
		"a client with a secret": {world: w, id: w.register().id},
	} {
		status, body := w.send(by(c.form("/oauth/token", url.Values{"grant_type": {"client_credentials"}}), own, true))
		wantEqual(t, what, []any{status, body["error"]}, []any{401, "invalid_client"})
	}
	_, told := w.send(w.get(zitadel.AuthorizationServerMetadataPath))
	wantEqual(t, "metadata", told["token_endpoint_auth_methods_supported"], []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"})
}

func TestTokensAreBoundToTheCertificate(t *testing.T) {
	t.Parallel()
	for _, jwts := range []bool{false, true} {
		w := newWorld(t, behindProxy, func(w *world) {
			if jwts {
				w.opts.AccessTokenType = zitadel.JWTs
			}
		})
		own, _ := certificate(t, "client.example")
		other, _ := certificate(t, "other.example")
		c := w.register(public, func(p *store.CreateClientParams) { p.TLSClientCertificateBoundAccessTokens = new(true) })
		code, verifier := c.authorize(c.oauth2("openid", "offline_access"))
		redeem := func(by func(*http.Request) *http.Request) (int, map[string]any) {
			return w.send(by(c.form("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}})))
		}
		status, body := redeem(func(r *http.Request) *http.Request { return r })
		wantEqual(t, "without a certificate", []any{status, body["error"]}, []any{400, "invalid_grant"})
		status, body = redeem(func(r *http.Request) *http.Request { return by(r, own, false) })
		wantEqual(t, "redemption", []any{status, body["token_type"]}, []any{200, "Bearer"})
		access := body["access_token"].(string)
		hash := sha256.Sum256(own.Raw)
		_, told := w.register().post("/oauth/introspect", url.Values{"token": {access}})
		wantEqual(t, "introspection", []any{told["active"], told["token_type"], told["cnf"]},
			[]any{true, "Bearer", map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(hash[:])}})
		for what, attempt := range map[string]struct {
			certificate *x509.Certificate
			want        int
		}{"its own": {own, 200}, "another's": {other, 401}, "none": {nil, 401}} {
			r := w.get("/userinfo")
			r.Header.Set("Authorization", "Bearer "+access)
			status, _ := w.send(by(r, attempt.certificate, false))
			wantEqual(t, "userinfo by "+what, status, attempt.want)
		}
		refresh := c.form("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}})
		status, body = w.send(by(refresh, other, false))
		wantEqual(t, "refresh by another's", []any{status, body["error"]}, []any{400, "invalid_grant"})
	}
}

func TestPeerCertificateIsThatOfTheConnection(t *testing.T) {
	t.Parallel()
	own, _ := certificate(t, "client.example")
	for what, attempt := range map[string]struct {
		state    *tls.ConnectionState
		want     *x509.Certificate
		verified bool
	}{
		"no TLS":         {nil, nil, false},
		"no certificate": {&tls.ConnectionState{}, nil, false},
		"unverified":     {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{own}}, own, false},
		"verified":       {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{own}, VerifiedChains: [][]*x509.Certificate{{own}}}, own, true},
	} {
		got, verified := zitadel.PeerCertificate(&http.Request{TLS: attempt.state})
		if got != attempt.want || verified != attempt.verified {
			t.Errorf("%s: %v %t", what, got, verified)
		}
	}
}
