package clienttests

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Re-enactments of the modules of fapi2-security-profile-final-test-plan, in its variant plain_fapi, private_key_jwt, dpop, openid_connect,
// unsigned, plain_response. The three about the audience of an assertion are in adapters/zitadel, as they are about an option.

// fapi is a client of that variant, and its user's browser.
type fapi struct {
	*client
	b *browser
}

func newFAPI(t *testing.T, changes ...document) fapi {
	w := newWorld(t)
	c := w.register(append([]document{{
		"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true, "require_pushed_authorization_requests": true,
	}}, changes...)...)
	c.proofs = newKey(t)
	return fapi{c, w.browser()}
}

// pushing is a pushed authorization request. The proof goes with token requests only, unless a test adds it.
func (f fapi) pushing(params ...string) *request {
	f.Helper()
	r := post("/par")
	r.form = f.authorization(append([]string{"client_id", ""}, params...)...).query
	r = f.as(r)
	r.header.Del("DPoP")
	return r
}

// push is the request_uri of a pushed request.
func (f fapi) push(r *request) string {
	f.Helper()
	a := f.send(r)
	expires, _ := a.body["expires_in"].(float64)
	if a.status != http.StatusCreated || a.text("request_uri") == "" || expires < 5 || expires >= 600 {
		f.Fatalf("pushing: %d %s", a.status, a.raw)
	}
	return a.text("request_uri")
}

// open sends the browser to a pushed request, with more parameters.
func (f fapi) opening(requestURI string, more ...string) *request {
	return get("/authorize", append([]string{"client_id", f.id, "request_uri", requestURI}, more...)...)
}

// authorize goes through a pushed request.
func (f fapi) authorize(params ...string) url.Values {
	f.Helper()
	return f.authorized(f.b.goOn(f.b.open(f.opening(f.push(f.pushing(params...))))))
}

func (f fapi) redeem(code string) answer {
	f.Helper()
	return f.send(f.redemption(code))
}

// flow goes through a pushed request to the tokens.
func (f fapi) flow(params ...string) (tokens answer, claims map[string]any) {
	f.Helper()
	got := f.authorize(params...)
	asked := f.authorization(params...).query
	f.want("the authorization response", []any{got["state"], got["iss"]}, []any{asked["state"], []string{f.issuer}})
	tokens = f.redeem(got.Get("code"))
	if tokens.status != http.StatusOK || tokens.text("token_type") != "DPoP" {
		f.Fatalf("redeeming: %d %s", tokens.status, tokens.raw)
	}
	return tokens, f.validate(tokens, asked.Get("nonce"))
}

// resource is a request to the protected resource that this server has.
func (f fapi) resource(accessToken string, changes ...map[string]any) *request {
	f.Helper()
	r := get("/userinfo")
	r.header.Set("Authorization", "DPoP "+accessToken)
	r.header.Set("DPoP", proof(f.T, f.proofs, http.MethodGet, f.issuer+"/userinfo", accessToken, changes...))
	return r
}

func (f fapi) refused(what string, a answer, codes ...string) {
	f.Helper()
	if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized || !slices.Contains(codes, a.text("error")) {
		f.Errorf("%s: %d %s, want one of %v", what, a.status, a.raw, codes)
	}
}

// page: the user is shown an error, and nobody is redirected.
func (f fapi) page(a answer) {
	f.Helper()
	if a.status != http.StatusBadRequest || !strings.HasPrefix(a.url.String(), f.issuer+"/") {
		f.Errorf("led to %d %s", a.status, a.url)
	}
}

func thumbprint(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(5) // crypto.SHA256
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func TestFapi2SecurityProfileFinalDiscoveryEndPointVerification(t *testing.T) {
	w := newWorld(t)
	d := w.discovery()
	w.want("issuer", d["issuer"], w.issuer)
	w.want("iss is named", d["authorization_response_iss_parameter_supported"], true)
	w.want("the endpoint", d["pushed_authorization_request_endpoint"], w.issuer+"/par")
	for member, value := range map[string]string{
		"dpop_signing_alg_values_supported": "ES256", "id_token_signing_alg_values_supported": "ES256", "code_challenge_methods_supported": "S256",
		"token_endpoint_auth_methods_supported": "private_key_jwt", "token_endpoint_auth_signing_alg_values_supported": "ES256",
	} {
		w.want(member, w.lists(member, value), true)
	}
}

func TestFapi2SecurityProfileFinalHappyFlow(t *testing.T) {
	for _, redirectURI := range []string{somewhere, somewhere + "?dummy1=lorem&dummy2=ipsum"} {
		t.Run(redirectURI, func(t *testing.T) {
			f := newFAPI(t, document{"redirect_uris": []string{redirectURI}})
			tokens, claims := f.flow()
			a := f.send(f.resource(tokens.text("access_token")))
			f.want("the resource", []any{a.status, a.body["sub"]}, []any{200, claims["sub"]})
			other := newFAPIOf(f)
			code := f.authorize().Get("code")
			f.want("another client's code", other.redeem(code).told(), "400 invalid_grant")
		})
	}
}

// newFAPIOf is another client in the same test.
func newFAPIOf(f fapi) fapi {
	f.Helper()
	c := f.register(document{"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true, "require_pushed_authorization_requests": true})
	c.proofs = newKey(f.T)
	return fapi{c, f.b}
}

func TestFapi2SecurityProfileFinalUserRejectsAuthentication(t *testing.T) {
	f := newFAPI(t)
	a := f.b.open(f.opening(f.push(f.pushing("state", strings.Repeat("s", 128)))))
	a = f.b.submit(a, "email", f.b.email, "password", f.b.password)
	_, told := f.b.submit(a, "decision", "deny").response()
	f.want("the response", []any{told.Get("error"), told.Get("state"), told.Get("iss")}, []any{"access_denied", strings.Repeat("s", 128), f.issuer})
}

func TestFapi2SecurityProfileFinalEnsureAuthorizationRequestWithoutStateSuccess(t *testing.T) {
	f := newFAPI(t)
	f.want("state", f.authorize("state", "").Has("state"), false)
}

func TestFapi2SecurityProfileFinalEnsureAuthorizationRequestWithoutNonceSuccess(t *testing.T) {
	f := newFAPI(t)
	_, claims := f.flow("nonce", "")
	f.want("nonce", claims["nonce"], nil)
}

func TestFapi2SecurityProfileFinalEnsureAuthorizationRequestWith64CharNonceSuccess(t *testing.T) {
	newFAPI(t).flow("nonce", strings.Repeat("n", 64))
}

func TestFapi2SecurityProfileFinalEnsureOtherScopeOrderSucceeds(t *testing.T) {
	newFAPI(t).flow("scope", "email openid")
}

func TestFapi2SecurityProfileFinalAccessTokenTypeHeaderCaseSensitivity(t *testing.T) {
	f := newFAPI(t)
	tokens, _ := f.flow()
	for _, scheme := range []string{"dpop", "DPOP", "dPoP"} {
		r := f.resource(tokens.text("access_token"))
		r.header.Set("Authorization", scheme+" "+tokens.text("access_token"))
		f.want(scheme, f.send(r).status, 200)
	}
}

func TestFapi2SecurityProfileFinalCheckDpopProofNbfExp(t *testing.T) {
	f := newFAPI(t)
	now := time.Now()
	more := map[string]any{"nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	r := f.redemption(f.authorize().Get("code"))
	r.header.Set("DPoP", proof(t, f.proofs, "POST", f.issuer+"/oauth/token", "", more))
	tokens := f.send(r)
	f.want("the token endpoint", tokens.status, 200)
	f.want("the resource", f.send(f.resource(tokens.text("access_token"), more)).status, 200)
}

// issuedAt has the iat of proofs some seconds off.
func (f fapi) issuedAt(off time.Duration) {
	f.Helper()
	change := func() map[string]any { return map[string]any{"iat": time.Now().Add(off).Unix()} }
	r := f.redemption(f.authorize().Get("code"))
	r.header.Set("DPoP", proof(f.T, f.proofs, "POST", f.issuer+"/oauth/token", "", change()))
	tokens := f.send(r)
	f.want("the token endpoint", tokens.status, 200)
	f.want("the resource", f.send(f.resource(tokens.text("access_token"), change())).status, 200)
}

func TestFapi2SecurityProfileFinalEnsureDpopproofWithIat10secondsBeforeSucceeds(t *testing.T) {
	newFAPI(t).issuedAt(-10 * time.Second)
}

func TestFapi2SecurityProfileFinalEnsureDpopproofWithIat10secondsAfterSucceeds(t *testing.T) {
	newFAPI(t).issuedAt(10 * time.Second)
}

func TestFapi2SecurityProfileFinalEnsureMismatchedDpopJktFails(t *testing.T) {
	f := newFAPI(t)
	r := f.pushing("dpop_jkt", thumbprint(t, newKey(t)))
	r.header.Set("DPoP", proof(t, f.proofs, "POST", f.issuer+"/par", ""))
	f.refused("another dpop_jkt", f.send(r), "invalid_request", "invalid_dpop_proof")
}

func TestFapi2SecurityProfileFinalEnsureTokenEndpointFailsWithMismatchedDpopProofJkt(t *testing.T) {
	f := newFAPI(t)
	r := f.pushing()
	r.header.Set("DPoP", proof(t, newKey(t), "POST", f.issuer+"/par", ""))
	code := f.authorized(f.b.goOn(f.b.open(f.opening(f.push(r))))).Get("code")
	f.refused("another key", f.redeem(code), "invalid_request", "invalid_grant", "invalid_dpop_proof")
}

func TestFapi2SecurityProfileFinalEnsureTokenEndpointFailsWithMismatchedDpopJkt(t *testing.T) {
	f := newFAPI(t)
	f.refused("another key", f.redeem(f.authorize("dpop_jkt", thumbprint(t, newKey(t))).Get("code")), "invalid_request", "invalid_grant", "invalid_dpop_proof")
}

func TestFapi2SecurityProfileFinalEnsureDpopproofAtParEndpointBindingSuccess(t *testing.T) {
	f := newFAPI(t)
	r := f.pushing()
	r.header.Set("DPoP", proof(t, f.proofs, "POST", f.issuer+"/par", ""))
	f.want("the tokens", f.redeem(f.authorized(f.b.goOn(f.b.open(f.opening(f.push(r))))).Get("code")).status, 200)
}

func TestFapi2SecurityProfileFinalEnsureDpopAuthCodeBindingSuccess(t *testing.T) {
	f := newFAPI(t)
	f.want("the tokens", f.redeem(f.authorize("dpop_jkt", thumbprint(t, f.proofs)).Get("code")).status, 200)
}

func TestFapi2SecurityProfileFinalEnsureDifferentNonceInsideAndOutsideRequestObject(t *testing.T) {
	f := newFAPI(t)
	got := f.authorized(f.b.goOn(f.b.open(f.opening(f.push(f.pushing()), "nonce", "another", "scope", "openid email", "response_type", "code"))))
	f.validate(f.redeem(got.Get("code")), "a nonce")
}

func TestFapi2SecurityProfileFinalEnsureDifferentStateInsideAndOutsideRequestObject(t *testing.T) {
	f := newFAPI(t)
	got := f.authorized(f.b.goOn(f.b.open(f.opening(f.push(f.pushing()), "state", "another"))))
	f.want("state", got["state"], []string{"a state&"})
}

func TestFapi2SecurityProfileFinalStateOnlyOutsideRequestObjectNotUsed(t *testing.T) {
	f := newFAPI(t)
	got := f.authorized(f.b.goOn(f.b.open(f.opening(f.push(f.pushing("state", "")), "state", "another"))))
	f.want("state", got.Has("state"), false)
}

func TestFapi2SecurityProfileFinalEnsureAuthorizationRequestWithLongNonce(t *testing.T) {
	newFAPI(t).flow("nonce", strings.Repeat("n", 384))
}

func TestFapi2SecurityProfileFinalEnsureAuthorizationRequestWithLongState(t *testing.T) {
	newFAPI(t).flow("state", strings.Repeat("s", 384))
}

func TestFapi2SecurityProfileFinalEnsureRequestObjectWithoutRedirectUriFails(t *testing.T) {
	f := newFAPI(t)
	f.refused("no redirect_uri", f.send(f.pushing("redirect_uri", "")), "invalid_request")
}

func TestFapi2SecurityProfileFinalEnsureRedirectUriInAuthorizationRequest(t *testing.T) {
	f := newFAPI(t, document{"redirect_uris": []string{somewhere, somewhere + "/other"}})
	f.refused("no redirect_uri", f.send(f.pushing("redirect_uri", "")), "invalid_request")
}

// A redirect URI that isn't registered is refused, as the module allows.
func TestFapi2SecurityProfileFinalPlainFapiTolerateUnregisteredRedirectUri(t *testing.T) {
	f := newFAPI(t)
	f.refused("another redirect_uri", f.send(f.pushing("redirect_uri", somewhere+"/extra")), "invalid_request")
}

func TestFapi2SecurityProfileFinalEnsureUnsignedAuthorizationRequestWithoutUsingParFails(t *testing.T) {
	f := newFAPI(t)
	_, told := f.b.open(f.authorization()).response()
	f.want("the response", []any{told.Get("error"), told.Get("state")}, []any{"invalid_request", "a state&"})
}

func TestFapi2SecurityProfileFinalEnsureResponseTypeCodeIdtokenFails(t *testing.T) {
	f := newFAPI(t)
	f.refused("code id_token", f.send(f.pushing("response_type", "code id_token")), "invalid_request", "unsupported_response_type")
}

func TestFapi2SecurityProfileFinalEnsureResponseTypeTokenFails(t *testing.T) {
	f := newFAPI(t)
	f.refused("token", f.send(f.pushing("response_type", "token")), "invalid_request", "unsupported_response_type")
}

func TestFapi2SecurityProfileFinalEnsureClientIdInTokenEndpoint(t *testing.T) {
	f := newFAPI(t)
	second := newFAPIOf(f)
	code := f.authorize().Get("code")
	r := f.redemption(code, "client_id", second.id)
	r.form.Set("client_assertion", f.assertion(map[string]any{"iss": second.id, "sub": second.id})) // by the first one's key
	f.want("another client_id", f.send(r).told(), "401 invalid_client")
	f.want("the code", f.redeem(code).status, 200)
}

func TestFapi2SecurityProfileFinalEnsureHolderOfKeyRequired(t *testing.T) {
	f := newFAPI(t)
	r := f.redemption(f.authorize().Get("code"))
	r.header.Del("DPoP")
	f.refused("no proof", f.send(r), "invalid_request", "invalid_grant", "invalid_dpop_proof")
}

func TestFapi2SecurityProfileFinalEnsureAuthorizationCodeIsBoundToClient(t *testing.T) {
	f := newFAPI(t)
	second := newFAPIOf(f)
	code := f.authorize().Get("code")
	r := second.redemption(code)
	r.header.Set("DPoP", proof(t, f.proofs, "POST", f.issuer+"/oauth/token", ""))
	f.want("another client's", f.send(r).told(), "400 invalid_grant")
	f.want("the code", f.redeem(code).status, 200)
}

func TestFapi2SecurityProfileFinalAttemptReuseAuthorizationCodeAfterOneSecond(t *testing.T) {
	f := newFAPI(t)
	code := f.authorize().Get("code")
	tokens := f.redeem(code)
	f.want("the first use", tokens.status, 200)
	nextSecond()
	f.want("the second use", f.redeem(code).told(), "400 invalid_grant")
	f.want("the token that it had given", f.send(f.resource(tokens.text("access_token"))).status, 401)
}

// The module waits for 62 seconds. Here the code has a shorter life, and the default is looked at.
func TestFapi2SecurityProfileFinalEnsureTokenEndpointFailsWithExpiredAuthCode(t *testing.T) {
	f := newFAPI(t, document{"code_lifetime": time.Second})
	code := f.authorize().Get("code")
	nextSecond()
	f.want("an expired code", f.redeem(code).told(), "400 invalid_grant")
	row, err := f.db.Store.FindAuthorizationByCode(t.Context(), token.DigestOf(newFAPIOf(f).authorize().Get("code")))
	f.ok(err)
	if row.CodeExpiresAt == nil || time.Until(*row.CodeExpiresAt) > time.Minute+5*time.Second {
		t.Errorf("a code lasts until %v", row.CodeExpiresAt)
	}
}

// The client's key is an RSA key for PS256, and signs by RS256.
func TestFapi2SecurityProfileFinalEnsureSignedClientAssertionWithRS256Fails(t *testing.T) {
	f := newFAPI(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	f.ok(err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "PS256", Use: "sig"}}})
	f.ok(err)
	_, err = f.db.Store.UpdateClient(t.Context(), store.UpdateClientParams{ClientID: store.ClientID(f.id), JWKS: set})
	f.ok(err)
	for alg, wanted := range map[jose.SignatureAlgorithm]int{jose.RS256: http.StatusUnauthorized, jose.PS256: http.StatusCreated} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
		f.ok(err)
		now := time.Now()
		assertion, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": f.id, "sub": f.id, "aud": f.issuer, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}).Serialize()
		f.ok(err)
		f.want(string(alg), f.send(f.pushing().with("client_assertion", assertion)).status, wanted)
	}
}

func TestFapi2SecurityProfileFinalEnsureClientAssertionInTokenEndpoint(t *testing.T) {
	f := newFAPI(t)
	r := f.redemption(f.authorize().Get("code"), "client_id", f.id)
	r.form.Del("client_assertion")
	r.form.Del("client_assertion_type")
	f.want("no assertion", f.send(r).told(), "401 invalid_client")
}

// assertionFails: an assertion with these claims is none, at the token endpoint and at that of pushed requests.
func (f fapi) assertionFails(what string, changes map[string]any) {
	f.Helper()
	code := f.authorize().Get("code")
	f.want(what, f.send(f.redemption(code).with("client_assertion", f.assertion(changes))).told(), "401 invalid_client")
	f.want(what+", pushed", f.send(f.pushing().with("client_assertion", f.assertion(changes))).told(), "401 invalid_client")
	f.want("the code", f.redeem(code).status, 200)
}

func TestFapi2SecurityProfileFinalEnsureClientAssertionWithExpIs5MinutesInPastFails(t *testing.T) {
	now := time.Now()
	newFAPI(t).assertionFails("expired", map[string]any{"exp": now.Add(-5 * time.Minute).Unix(), "iat": now.Add(-6 * time.Minute).Unix()})
}

func TestFapi2SecurityProfileFinalEnsureClientAssertionWithWrongAudFails(t *testing.T) {
	newFAPI(t).assertionFails("another audience", map[string]any{"aud": "https://other.example"})
}

func TestFapi2SecurityProfileFinalEnsureClientAssertionWithNoSubFails(t *testing.T) {
	newFAPI(t).assertionFails("no sub", map[string]any{"sub": nil})
}

// Of a later version of the plan, which has the modules about single claims in one.
func TestFapi2SecurityProfileFinalEnsureInvalidClientAssertionsFail(t *testing.T) {
	f := newFAPI(t)
	now := time.Now()
	for what, r := range map[string]*request{
		"no assertion":    f.pushing("client_id", f.id).with("client_assertion", ""),
		"no type":         f.pushing().with("client_assertion_type", ""),
		"a wrong type":    f.pushing().with("client_assertion_type", assertionType+"x"),
		"no sub":          f.pushing().with("client_assertion", f.assertion(map[string]any{"sub": nil})),
		"a wrong sub":     f.pushing().with("client_assertion", f.assertion(map[string]any{"sub": "x"})),
		"no iss":          f.pushing().with("client_assertion", f.assertion(map[string]any{"iss": nil})),
		"a wrong iss":     f.pushing().with("client_assertion", f.assertion(map[string]any{"iss": "x"})),
		"no aud":          f.pushing().with("client_assertion", f.assertion(map[string]any{"aud": nil})),
		"a wrong aud":     f.pushing().with("client_assertion", f.assertion(map[string]any{"aud": "https://other.example"})),
		"expired":         f.pushing().with("client_assertion", f.assertion(map[string]any{"exp": now.Add(-5 * time.Minute).Unix()})),
		"of the future":   f.pushing().with("client_assertion", f.assertion(map[string]any{"iat": now.Add(5 * time.Minute).Unix(), "nbf": now.Add(5 * time.Minute).Unix(), "exp": now.Add(6 * time.Minute).Unix()})),
		"without a hash":  f.pushing().with("client_assertion", unsigned(map[string]any{"iss": f.id, "sub": f.id, "aud": f.issuer, "jti": "a", "exp": now.Add(time.Minute).Unix()})),
		"another's key":   f.pushing().with("client_assertion", signed(t, newKey(t), nil, map[string]any{"iss": f.id, "sub": f.id, "aud": f.issuer, "jti": "b", "exp": now.Add(time.Minute).Unix()})),
		"without the end": f.pushing().with("client_assertion", strings.TrimRight(f.assertion(), "AQgw")[:150]),
	} {
		for name, values := range r.form {
			if values[0] == "" {
				delete(r.form, name)
			}
		}
		f.refused(what, f.send(r), "invalid_client", "invalid_request")
	}
	f.want("8 seconds ahead", f.send(f.pushing().with("client_assertion", f.assertion(map[string]any{"iat": now.Add(8 * time.Second).Unix(), "nbf": now.Add(8 * time.Second).Unix()}))).status, 201)
	f.want("a good one", f.send(f.pushing()).status, 201)
}

func TestFapi2SecurityProfileFinalDpopNegativeTests(t *testing.T) {
	f := newFAPI(t)
	tokens, _ := f.flow()
	accessToken := tokens.text("access_token")
	now := time.Now()
	with := func(changes map[string]any) *request { return f.resource(accessToken, changes) }
	header := func(key *ecdsa.PrivateKey, header map[jose.HeaderKey]any) *request {
		r := f.resource(accessToken)
		hash := sha256.Sum256([]byte(accessToken))
		r.header.Set("DPoP", signed(t, key, header, map[string]any{
			"jti": rand.Text(), "htm": "GET", "htu": f.issuer + "/userinfo", "iat": time.Now().Unix(), "ath": base64.RawURLEncoding.EncodeToString(hash[:]),
		}))
		return r
	}
	public := jose.JSONWebKey{Key: f.proofs.Public()}
	private := map[string]any{}
	text, err := json.Marshal(jose.JSONWebKey{Key: f.proofs})
	f.ok(err)
	f.ok(json.Unmarshal(text, &private))
	change := func(r *request, change func(*request)) *request { change(r); return r }
	another := newKey(t)
	used := rand.Text()
	for _, try := range []struct {
		what string
		r    func() *request // made when it is sent: a proof is good for a minute
		ok   bool
	}{
		{"a good one", func() *request { return with(nil) }, true},
		{"upper case of the header", func() *request {
			return change(with(nil), func(r *request) { r.header["DPOP"] = r.header["Dpop"]; delete(r.header, "Dpop") })
		}, true},
		{"two proofs", func() *request {
			return change(with(nil), func(r *request) { r.header["Dpop"] = append(r.header["Dpop"], with(nil).header.Get("DPoP")) })
		}, false},
		{"no JWT", func() *request { return change(with(nil), func(r *request) { r.header.Set("DPoP", "x") }) }, false},
		{"no typ", func() *request { return header(f.proofs, map[jose.HeaderKey]any{"jwk": public}) }, false},
		{"another typ", func() *request { return header(f.proofs, map[jose.HeaderKey]any{"typ": "jwt", "jwk": public}) }, false},
		{"no jwk", func() *request { return header(f.proofs, map[jose.HeaderKey]any{"typ": "dpop+jwt"}) }, false},
		{"no jti", func() *request { return with(map[string]any{"jti": nil}) }, false},
		{"no htm", func() *request { return with(map[string]any{"htm": nil}) }, false},
		{"no htu", func() *request { return with(map[string]any{"htu": nil}) }, false},
		{"no iat", func() *request { return with(map[string]any{"iat": nil}) }, false},
		{"no ath", func() *request { return with(map[string]any{"ath": nil}) }, false},
		{"another ath", func() *request { return with(map[string]any{"ath": "x"}) }, false},
		{"alg none", func() *request {
			return change(with(nil), func(r *request) { r.header.Set("DPoP", unsigned(map[string]any{"jti": "a"})) })
		}, false},
		{"a wrong signature", func() *request {
			return change(with(nil), func(r *request) { r.header.Set("DPoP", r.header.Get("DPoP")[:len(r.header.Get("DPoP"))-8]+"AAAAAAAA") })
		}, false},
		{"a private key", func() *request { return header(f.proofs, map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": private}) }, false},
		{"another method", func() *request { return with(map[string]any{"htm": "PUT"}) }, false},
		{"another address", func() *request { return with(map[string]any{"htu": f.issuer + "/other"}) }, false},
		{"another server", func() *request { return with(map[string]any{"htu": "https://other.example/userinfo"}) }, false},
		{"an address with a query and a fragment", func() *request { return with(map[string]any{"htu": f.issuer + "/userinfo?a=b#c"}) }, true},
		{"an hour ahead", func() *request { return with(map[string]any{"iat": now.Add(time.Hour).Unix()}) }, false},
		{"an hour ago", func() *request { return with(map[string]any{"iat": now.Add(-time.Hour).Unix()}) }, false},
		{"good for a while", func() *request { return with(map[string]any{"nbf": now.Unix(), "exp": now.Add(time.Minute).Unix()}) }, true},
		{"a fraction of a second", func() *request { return with(map[string]any{"iat": float64(time.Now().UnixMilli()) / 1000}) }, true},
		{"good tomorrow", func() *request { return with(map[string]any{"nbf": now.Add(24 * time.Hour).Unix()}) }, false},
		{"expired by its own word", func() *request { return with(map[string]any{"exp": now.Add(-time.Minute).Unix()}) }, false},
		{"a jti", func() *request { return with(map[string]any{"jti": used}) }, true},
		{"the same jti", func() *request { return with(map[string]any{"jti": used, "extra": 1}) }, false},
		{"another key", func() *request {
			return header(another, map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: another.Public()}})
		}, false},
		{"more claims and headers", func() *request {
			return header(f.proofs, map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": public, "extra": "x"})
		}, true},
		{"no proof", func() *request { return change(with(nil), func(r *request) { r.header.Del("DPoP") }) }, false},
		{"as a bearer token", func() *request {
			return change(with(nil), func(r *request) { r.bearer(accessToken).header.Del("DPoP") })
		}, false},
	} {
		if a := f.send(try.r()); (a.status == 200) != try.ok || !try.ok && a.status != 400 && a.status != 401 {
			t.Errorf("%s: %d %s", try.what, a.status, a.raw)
		}
	}
}

// The module waits for 30 seconds before it comes with the token before. A client like this one is registered for a grace that lasts until
// the successor is used.
func TestFapi2SecurityProfileFinalRefreshToken(t *testing.T) {
	f := newFAPI(t, document{"refresh_grace_until_used": true})
	tokens, first := f.flow("scope", "openid offline_access", "prompt", "consent")
	again := f.refresh(tokens.text("refresh_token"))
	f.want("a refresh", again.status, 200)
	f.want("sub", f.validate(again, "")["sub"], first["sub"])
	f.want("the resource", f.send(f.resource(again.text("access_token"))).status, 200)
	nextSecond()
	f.want("the token before", f.refresh(tokens.text("refresh_token")).status, 200)
	r := f.as(post("/oauth/token", "grant_type", "refresh_token", "refresh_token", again.text("refresh_token")))
	r.header.Del("DPoP")
	f.refused("without a proof", f.send(r), "invalid_request", "invalid_grant", "invalid_client")
	second := newFAPIOf(f)
	others, _ := second.flow("scope", "openid offline_access", "prompt", "consent")
	f.want("another client's", f.refresh(others.text("refresh_token")).told(), "400 invalid_grant")
	f.want("another client's access token", f.send(f.resource(others.text("access_token"))).status, 401)
}

func TestFapi2SecurityProfileFinalParEnsureReusedRequestUriPriorToAuthCompletionSucceeds(t *testing.T) {
	f := newFAPI(t)
	requestURI := f.push(f.pushing())
	f.want("the first visit", f.b.open(f.opening(requestURI)).url.Path, "/signin")
	f.want("the tokens", f.redeem(f.authorized(f.b.goOn(f.b.open(f.opening(requestURI)))).Get("code")).status, 200)
}

func TestFapi2SecurityProfileFinalParAttemptReuseRequestUri(t *testing.T) {
	f := newFAPI(t)
	requestURI := f.push(f.pushing())
	f.want("the tokens", f.redeem(f.authorized(f.b.goOn(f.b.open(f.opening(requestURI)))).Get("code")).status, 200)
	f.page(f.b.open(f.opening(requestURI)))
}

// The module waits for as long as expires_in says. Here the database is told that it has passed.
func TestFapi2SecurityProfileFinalParAttemptToUseExpiredRequestUri(t *testing.T) {
	f := newFAPI(t)
	requestURI := f.push(f.pushing())
	_, err := f.db.Pool.Exec(t.Context(), `UPDATE oauth_authorization SET request_uri_expires_at = now() - interval '1 second' WHERE client_id = $1`, f.id)
	f.ok(err)
	f.page(f.b.open(f.opening(requestURI)))
}

func TestFapi2SecurityProfileFinalParAttemptToUseRequestUriForDifferentClient(t *testing.T) {
	f := newFAPI(t)
	second := newFAPIOf(f)
	f.page(f.b.open(second.opening(f.push(f.pushing()))))
}

func TestFapi2SecurityProfileFinalParEnsureJwtClientAssertionsNbf8SecondsInTheFutureIsAccepted(t *testing.T) {
	f := newFAPI(t)
	ahead := time.Now().Add(8 * time.Second).Unix()
	f.push(f.pushing().with("client_assertion", f.assertion(map[string]any{"iat": ahead, "nbf": ahead})))
}

func TestFapi2SecurityProfileFinalParEnsureJwtClientAssertionsNbfOver60SecondsInTheFutureFails(t *testing.T) {
	f := newFAPI(t)
	ahead := time.Now().Add(70 * time.Second)
	for _, claim := range []string{"iat", "nbf"} {
		a := f.send(f.pushing().with("client_assertion", f.assertion(map[string]any{claim: ahead.Unix(), "exp": ahead.Add(time.Minute).Unix()})))
		f.want(claim, a.told(), "401 invalid_client")
	}
}

func TestFapi2SecurityProfileFinalParAuthorizationRequestContainingRequestUriFormParam(t *testing.T) {
	f := newFAPI(t)
	f.want("a request_uri", f.send(f.pushing("request_uri", f.push(f.pushing()))).told(), "400 invalid_request")
}

func TestFapi2SecurityProfileFinalParAttemptInvalidHttpMethod(t *testing.T) {
	f := newFAPI(t)
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		r := f.pushing()
		r.method = method
		if method == http.MethodGet {
			r.query = r.form
		}
		f.want(method, f.send(r).status, http.StatusMethodNotAllowed)
	}
}

func TestFapi2SecurityProfileFinalParEnsurePkceRequired(t *testing.T) {
	f := newFAPI(t)
	f.want("no challenge", f.send(f.pushing("code_challenge", "", "code_challenge_method", "")).told(), "400 invalid_request")
}

func TestFapi2SecurityProfileFinalParPlainPkceRejected(t *testing.T) {
	f := newFAPI(t)
	f.want("plain", f.send(f.pushing("code_challenge", verifier, "code_challenge_method", "plain")).told(), "400 invalid_request")
}

func TestFapi2SecurityProfileFinalEnsurePkceCodeVerifierRequired(t *testing.T) {
	f := newFAPI(t)
	r := f.redemption(f.authorize().Get("code"))
	r.form.Del("code_verifier")
	f.want("no verifier", f.send(r).told(), "400 invalid_grant")
}

func TestFapi2SecurityProfileFinalIncorrectPkceCodeVerifierRejected(t *testing.T) {
	f := newFAPI(t)
	f.want("another verifier", f.send(f.redemption(f.authorize().Get("code"), "code_verifier", verifier+"x")).told(), "400 invalid_grant")
}

func TestFapi2SecurityProfileFinalParWithoutDuplicateParameters(t *testing.T) {
	newFAPI(t).flow() // with client_id and request_uri alone, as all of these
}

// The claims parameter isn't served, which the discovery document doesn't say it is: the module is skipped.
func TestFapi2SecurityProfileFinalTestClaimsParameterIdentityClaims(t *testing.T) {
	f := newFAPI(t)
	f.want("claims_parameter_supported", f.discovery()["claims_parameter_supported"] == true, false)
	f.flow("claims", `{"id_token":{"name":{"essential":true}}}`)
}
