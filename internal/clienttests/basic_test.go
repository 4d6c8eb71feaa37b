package clienttests

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// These are re-enactments of the modules of the OpenID Foundation's plan oidcc-basic-certification-test-plan, and of the one of
// oidcc-config-certification-test-plan, written by hand after the modules' descriptions. They run against the server and not against the
// suite: docs/conformance.md says what that is worth.

// basic is a client as the plan has it: confidential, with client_secret_basic, and without PKCE.
type basic struct {
	*client
	b *browser
}

func newBasic(t *testing.T, changes ...document) basic {
	w := newWorld(t)
	return basic{w.register(append([]document{{"require_pkce": false}}, changes...)...), w.browser()}
}

// request is an authorization request as the plan makes it.
func (o basic) request(params ...string) *request {
	return o.authorization(append([]string{"code_challenge", "", "code_challenge_method", ""}, params...)...)
}

// login goes through a request of the plan's, and validates what comes of it.
func (o basic) login(params ...string) (tokens answer, claims map[string]any) {
	o.Helper()
	a := o.b.goOn(o.b.open(o.request(params...)))
	got := o.authorized(a)
	if before, _, _ := strings.Cut(o.redirectURI, "?"); !strings.HasPrefix(a.url.String(), before+"?") {
		o.Fatalf("led to %s", a.url)
	}
	state := o.request(params...).query["state"]
	o.want("the authorization response", []any{got["state"], got["iss"]}, []any{state, []string{o.issuer}})
	return o.redeem(got.Get("code"), o.request(params...).query.Get("nonce"))
}

func (o basic) redeem(code, nonce string) (tokens answer, claims map[string]any) {
	o.Helper()
	r := o.redemption(code)
	r.form.Del("code_verifier")
	tokens = o.send(r)
	expires, _ := tokens.body["expires_in"].(float64)
	if tokens.status != http.StatusOK || tokens.text("access_token") == "" || !strings.EqualFold(tokens.text("token_type"), "Bearer") || expires <= 0 {
		o.Fatalf("the token response: %d %s", tokens.status, tokens.raw)
	}
	return tokens, o.validate(tokens, nonce)
}

// validate validates an ID token (OpenID Connect Core 1.0, section 3.1.3.7).
func (c *client) validate(tokens answer, nonce string) map[string]any {
	c.Helper()
	provider, err := oidc.NewProvider(c.Context(), c.issuer)
	c.ok(err)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: c.id}).Verify(c.Context(), tokens.text("id_token"))
	c.ok(err)
	c.ok(idToken.VerifyAccessToken(tokens.text("access_token")))
	claims := map[string]any{}
	c.ok(idToken.Claims(&claims))
	c.want("the ID token", []any{idToken.Nonce, idToken.Subject != "", idToken.IssuedAt.After(time.Now().Add(-time.Minute))}, []any{nonce, true, true})
	return claims
}

func (o basic) userinfo(r *request, claims map[string]any) answer {
	o.Helper()
	a := o.send(r)
	o.want("userinfo", []any{a.status, a.body["sub"], strings.HasPrefix(a.header.Get("Content-Type"), "application/json")}, []any{200, claims["sub"], true})
	return a
}

func (w *world) discovery() map[string]any {
	w.Helper()
	a := w.send(get("/.well-known/openid-configuration"))
	w.want("discovery", []any{a.status, strings.HasPrefix(a.header.Get("Content-Type"), "application/json")}, []any{200, true})
	return a.body
}

// lists says whether a member of the discovery document lists a value.
func (w *world) lists(member, value string) bool {
	w.Helper()
	all, _ := w.discovery()[member].([]any)
	return slices.Contains(all, any(value))
}

func TestOidccDiscoveryEndpointVerification(t *testing.T) {
	w := newWorld(t)
	d := w.discovery()
	w.want("issuer", d["issuer"], w.issuer)
	for _, endpoint := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"} {
		address, _ := d[endpoint].(string)
		w.want(endpoint, strings.HasPrefix(address, w.issuer+"/"), true)
	}
	for member, value := range map[string]string{
		"response_types_supported": "code", "subject_types_supported": "public", "id_token_signing_alg_values_supported": "RS256",
		"scopes_supported": "openid", "claims_supported": "sub", "grant_types_supported": "authorization_code", "code_challenge_methods_supported": "S256",
	} {
		w.want(member, w.lists(member, value), true)
	}
	for member, value := range d {
		if list, ok := value.([]any); ok && len(list) == 0 {
			t.Errorf("%s is an empty list", member)
		}
	}
	var keys jose.JSONWebKeySet
	w.ok(json.Unmarshal([]byte(w.send(get("/keys")).raw), &keys))
	for _, key := range keys.Keys {
		w.want("a public key with an id", []any{key.IsPublic(), key.Valid(), key.KeyID != ""}, []any{true, true, true})
	}
}

func TestOidccServer(t *testing.T) {
	for _, redirectURI := range []string{somewhere, somewhere + "?dummy1=lorem&dummy2=ipsum"} { // the plan's second client has parameters there
		t.Run(redirectURI, func(t *testing.T) {
			o := newBasic(t, document{"redirect_uris": []string{redirectURI}})
			got := o.authorized(o.b.goOn(o.b.open(o.request())))
			registered, err := url.Parse(redirectURI)
			o.ok(err)
			for name, values := range registered.Query() {
				o.want(name, got[name], values)
			}
			_, claims := o.redeem(got.Get("code"), "a nonce")
			tokens, again := o.login()
			o.want("the user", again["sub"], claims["sub"])
			o.userinfo(get("/userinfo").bearer(tokens.text("access_token")), claims)
		})
	}
}

func TestOidccResponseTypeMissing(t *testing.T) {
	o := newBasic(t)
	_, told := o.b.open(o.request("response_type", "")).response()
	o.want("the response", []any{told.Get("error"), told.Get("state")}, []any{"invalid_request", "a state&"})
}

func TestOidccIdtokenSignature(t *testing.T) {
	for _, alg := range []string{"", "ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			change := document{}
			if alg != "" {
				change["id_token_signed_response_alg"] = alg
			}
			o := newBasic(t, change)
			tokens, _ := o.login()
			parsed, err := jwt.ParseSigned(tokens.text("id_token"), []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
			o.ok(err)
			header := parsed.Headers[0]
			o.want("the algorithm", []any{alg == "" || header.Algorithm == alg, o.lists("id_token_signing_alg_values_supported", header.Algorithm)}, []any{true, true})
			var keys jose.JSONWebKeySet
			o.ok(json.Unmarshal([]byte(o.send(get("/keys")).raw), &keys))
			o.want("keys by that kid", len(keys.Key(header.KeyID)), 1)
			o.ok(parsed.Claims(keys.Key(header.KeyID)[0].Key, &map[string]any{}))
		})
	}
}

// The module is skipped where none isn't advertised.
func TestOidccIdtokenUnsigned(t *testing.T) {
	o := newBasic(t, document{"id_token_signed_response_alg": "none"})
	o.want("none is served", o.lists("id_token_signing_alg_values_supported", "none"), false)
	tokens, _ := o.login()
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.text("id_token"), ".")[0])
	o.ok(err)
	o.want("it is signed all the same", strings.Contains(string(header), `"none"`), false)
}

func TestOidccUserinfoGet(t *testing.T) {
	o := newBasic(t)
	tokens, claims := o.login()
	o.userinfo(get("/userinfo").bearer(tokens.text("access_token")), claims)
}

func TestOidccUserinfoPostHeader(t *testing.T) {
	o := newBasic(t)
	tokens, claims := o.login()
	o.userinfo(post("/userinfo").bearer(tokens.text("access_token")), claims)
}

func TestOidccUserinfoPostBody(t *testing.T) {
	o := newBasic(t)
	tokens, claims := o.login()
	o.userinfo(post("/userinfo", "access_token", tokens.text("access_token")), claims)
}

func TestOidccEnsureRequestWithoutNonceSucceedsForCodeFlow(t *testing.T) {
	o := newBasic(t)
	_, claims := o.login("nonce", "")
	o.want("a nonce that nobody has sent", claims["nonce"], nil)
}

// scope asks for scopes, and for what they say of the user.
func (o basic) scope(scope string, members ...string) {
	o.Helper()
	tokens, claims := o.login("scope", scope)
	info := o.userinfo(get("/userinfo").bearer(tokens.text("access_token")), claims)
	for _, member := range members {
		if info.body[member] == nil {
			o.Errorf("userinfo has no %s: %s", member, info.raw)
		}
	}
	if at, ok := info.body["updated_at"]; ok {
		if _, isNumber := at.(float64); !isNumber {
			o.Errorf("updated_at: %v", at)
		}
	}
}

func TestOidccScopeProfile(t *testing.T) { newBasic(t).scope("openid profile", "name") }
func TestOidccScopeEmail(t *testing.T)   { newBasic(t).scope("openid email", "email", "email_verified") }

// The modules of address and phone, and so that of all scopes, are skipped where these aren't advertised. They are left out of the grant.
func (o basic) withoutScope(asked string, wanted string) {
	o.Helper()
	for _, scope := range strings.Fields(asked) {
		if served := slices.Contains(strings.Fields(wanted), scope); o.lists("scopes_supported", scope) != served {
			o.Errorf("%s: served %t", scope, !served)
		}
	}
	tokens, _ := o.login("scope", asked)
	o.want("the granted scopes", tokens.text("scope"), wanted)
}

func TestOidccScopeAddress(t *testing.T) { newBasic(t).withoutScope("openid address", "openid") }
func TestOidccScopePhone(t *testing.T)   { newBasic(t).withoutScope("openid phone", "openid") }
func TestOidccScopeAll(t *testing.T) {
	newBasic(t).withoutScope("openid address email phone profile", "openid email profile")
}

func TestOidccEnsureOtherScopeOrderSucceeds(t *testing.T) {
	newBasic(t).scope("email openid", "email")
}

func TestOidccDisplayPage(t *testing.T)  { newBasic(t).login("display", "page") }
func TestOidccDisplayPopup(t *testing.T) { newBasic(t).login("display", "popup") }

// nextSecond is when a sign-in has another auth_time than one before.
func nextSecond() { time.Sleep(1100 * time.Millisecond) }

func TestOidccPromptLogin(t *testing.T) {
	o := newBasic(t)
	_, first := o.login()
	nextSecond()
	o.b.seen = nil
	_, second := o.login("prompt", "login")
	o.want("pages", o.b.seen, []string{"/signin"})
	o.want("auth_time is later", second["auth_time"].(float64) > first["auth_time"].(float64), true)
}

func TestOidccPromptNoneNotLoggedIn(t *testing.T) {
	o := newBasic(t)
	_, told := o.b.open(o.request("prompt", "none")).response()
	o.want("the response", []any{told.Get("error"), told.Get("state"), told.Has("code")}, []any{"login_required", "a state&", false})
}

func TestOidccPromptNoneLoggedIn(t *testing.T) {
	o := newBasic(t)
	_, first := o.login()
	o.b.seen = nil
	_, second := o.login("prompt", "none")
	o.want("pages", o.b.seen, []string(nil))
	o.want("the sign-in", []any{second["sub"], second["auth_time"]}, []any{first["sub"], first["auth_time"]})
}

func TestOidccMaxAge1(t *testing.T) {
	o := newBasic(t)
	_, first := o.login()
	nextSecond()
	nextSecond()
	o.b.seen = nil
	_, second := o.login("max_age", "1")
	o.want("pages", o.b.seen, []string{"/signin"})
	o.want("auth_time is later", second["auth_time"].(float64) > first["auth_time"].(float64), true)
}

func TestOidccMaxAge10000(t *testing.T) {
	o := newBasic(t)
	_, first := o.login()
	o.b.seen = nil
	_, second := o.login("max_age", "10000")
	o.want("pages", o.b.seen, []string(nil))
	o.want("the sign-in", []any{second["sub"], second["auth_time"]}, []any{first["sub"], first["auth_time"]})
	o.want("auth_time is there", second["auth_time"] != nil, true)
}

func TestOidccEnsureRequestWithUnknownParameterSucceeds(t *testing.T) {
	newBasic(t).login("extra", "foobar")
}

func TestOidccIdTokenHint(t *testing.T) {
	o := newBasic(t)
	tokens, first := o.login()
	o.b.seen = nil
	_, second := o.login("prompt", "none", "id_token_hint", tokens.text("id_token"))
	o.want("pages", o.b.seen, []string(nil))
	o.want("the user", second["sub"], first["sub"])
}

func TestOidccLoginHint(t *testing.T) { newBasic(t).login("login_hint", "buffy@localhost") }

func TestOidccUiLocales(t *testing.T) { newBasic(t).login("ui_locales", "se no-such-locale!") }

func TestOidccClaimsLocales(t *testing.T) { newBasic(t).login("claims_locales", "se") }

// The suite asks for what is advertised.
func TestOidccEnsureRequestWithAcrValuesSucceeds(t *testing.T) {
	o := newBasic(t)
	asked := fmt.Sprint(o.discovery()["acr_values_supported"]) // [a b]
	asked = strings.Trim(asked, "[]")
	_, claims := o.login("acr_values", asked+" 1 2")
	acr, _ := claims["acr"].(string)
	o.want("one of those that were asked for", acr != "" && slices.Contains(strings.Fields(asked), acr), true)
	o.login("acr_values", "1 2")
}

// reuse redeems a code again, and answers with the access token that it had given.
func (o basic) reuse() string {
	o.Helper()
	code := o.authorized(o.b.goOn(o.b.open(o.request()))).Get("code")
	tokens, _ := o.redeem(code, "a nonce")
	r := o.redemption(code)
	r.form.Del("code_verifier")
	o.want("the second use", o.send(r).told(), "400 invalid_grant")
	return tokens.text("access_token")
}

func TestOidccCodereuse(t *testing.T) { newBasic(t).reuse() }

// Time makes no difference to the second use, so the test doesn't wait for 30 seconds.
func TestOidccCodereuse30seconds(t *testing.T) {
	o := newBasic(t)
	o.want("the token that the code had given", o.send(get("/userinfo").bearer(o.reuse())).status, http.StatusUnauthorized)
}

func TestOidccEnsureRegisteredRedirectUri(t *testing.T) {
	o := newBasic(t)
	for _, other := range []string{"https://client.example/callback/extra", "https://client.example/callback?foo=bar", "https://other.example/callback"} {
		a := o.b.open(o.request("redirect_uri", other))
		o.want(other, []any{a.status, a.url.Path}, []any{http.StatusBadRequest, "/authorize"})
	}
}

func TestOidccEnsurePostRequestSucceeds(t *testing.T) {
	o := newBasic(t)
	r := post("/authorize")
	r.form = o.request().query
	r.header.Set("Sec-Fetch-Site", "cross-site") // it is the client's page that posts it
	o.redeem(o.authorized(o.b.goOn(o.b.open(r))).Get("code"), "a nonce")
}

func TestOidccServerClientSecretPost(t *testing.T) {
	o := newBasic(t, document{"token_endpoint_auth_method": "client_secret_post"})
	tokens, claims := o.login()
	o.userinfo(get("/userinfo").bearer(tokens.text("access_token")), claims)
}

func unsigned(claims map[string]any) string {
	text, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(text) + "."
}

// The suite skips the module where the error is this one.
func TestOidccRequestUriUnsignedSupportedCorrectlyOrRejectedAsUnsupported(t *testing.T) {
	o := newBasic(t)
	_, told := o.b.open(o.request("request_uri", "https://client.example/request.jwt")).response()
	o.want("the response", told.Get("error"), "request_uri_not_supported")
}

func TestOidccUnsignedRequestObjectSupportedCorrectlyOrRejectedAsUnsupported(t *testing.T) {
	o := newBasic(t)
	_, told := o.b.open(o.request("request", unsigned(map[string]any{"nonce": "another", "client_id": o.id}))).response()
	o.want("the response", told.Get("error"), "request_not_supported")
}

// The claim is left out, which is a warning of the suite's.
func TestOidccClaimsEssential(t *testing.T) {
	newBasic(t).login("claims", `{"userinfo":{"name":{"essential":true}}}`)
}

// Request objects aren't served, and no error goes to an address that isn't registered.
func TestOidccEnsureRequestObjectWithRedirectUri(t *testing.T) {
	o := newBasic(t)
	a := o.b.open(o.request("redirect_uri", "https://other.example/callback", "request", unsigned(map[string]any{"redirect_uri": somewhere, "client_id": o.id})))
	o.want("the answer", []any{a.status, a.url.Path}, []any{http.StatusBadRequest, "/authorize"})
}

func TestOidccRefreshToken(t *testing.T) {
	o := newBasic(t)
	tokens, first := o.login("scope", "openid offline_access", "prompt", "consent")
	o.want("grant_types_supported has refresh_token", o.lists("grant_types_supported", "refresh_token"), true)
	again := o.refresh(tokens.text("refresh_token"))
	o.want("the refresh", again.status, 200)
	second := o.validate(again, "")
	for _, claim := range []string{"iss", "sub", "aud", "auth_time", "azp"} {
		o.want(claim, second[claim], first[claim])
	}
	o.want("another access token", again.text("access_token") != tokens.text("access_token"), true)
	o.userinfo(get("/userinfo").bearer(again.text("access_token")), first)
	other := basic{o.register(document{"require_pkce": false}), o.b}
	others, _ := other.login("scope", "openid offline_access", "prompt", "consent")
	o.want("another client's refresh token", o.refresh(others.text("refresh_token")).told(), "400 invalid_grant")
	o.want("which is as good as before", other.refresh(others.text("refresh_token")).status, 200)
}

func TestOidccEnsureRequestWithValidPkceSucceeds(t *testing.T) {
	o := newBasic(t)
	code := o.client.authorize(o.b).Get("code")
	o.validate(o.send(o.redemption(code)), "a nonce")
}
