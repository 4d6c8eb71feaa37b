package clienttests

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Who calls comes first (RFC 6749, sections 3.2.1 and 5.2): whoever is not authenticated is told that, and the code is as good as before.
func TestClientAuthenticationComesBeforeTheCode(t *testing.T) {
	w := newWorld(t)
	c := w.register()
	code := c.authorize(w.browser()).Get("code")
	for what, r := range map[string]*request{
		"an unknown client":         post("/oauth/token").basic("nobody", c.secret),
		"an unknown client by form": post("/oauth/token", "client_id", "nobody", "client_secret", c.secret),
		"a wrong secret":            post("/oauth/token").basic(c.id, "wrong"),
		"a wrong secret by form":    post("/oauth/token", "client_id", c.id, "client_secret", "wrong"),
		"no secret":                 post("/oauth/token").basic(c.id, ""),
		"a name alone":              post("/oauth/token", "client_id", c.id),
		"none at all":               post("/oauth/token"),
		"another scheme":            post("/oauth/token", "client_id", c.id).bearer("x"),
		"no assertion":              post("/oauth/token", "client_assertion", "x.y.z", "client_assertion_type", assertionType),
	} {
		w.want(what, w.send(r.with("grant_type", "authorization_code", "code", code, "redirect_uri", c.redirectURI, "code_verifier", verifier)).told(), "401 invalid_client")
	}
	w.want("the client, at last", w.send(c.redemption(code)).status, http.StatusOK)
}

func TestWrongAssertionIsNoAuthentication(t *testing.T) {
	w := newWorld(t)
	c := w.register(document{"token_endpoint_auth_method": "private_key_jwt"})
	other := w.register(document{"token_endpoint_auth_method": "private_key_jwt"})
	code := c.authorize(w.browser()).Get("code")
	used := c.assertion()
	w.want("the first use of an assertion", w.send(post("/oauth/introspect", "token", "x", "client_assertion_type", assertionType, "client_assertion", used)).status, 200)
	now := time.Now()
	claims := map[string]any{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": "a", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	for what, assertion := range map[string]string{
		"another server's":           c.assertion(map[string]any{"aud": "https://other.example"}),
		"nobody's":                   c.assertion(map[string]any{"aud": nil}),
		"an empty list of audiences": c.assertion(map[string]any{"aud": []string{}}),
		"an endpoint of no use":      c.assertion(map[string]any{"aud": w.issuer + "/userinfo"}),
		"expired":                    c.assertion(map[string]any{"iat": now.Add(-2 * time.Minute).Unix(), "exp": now.Add(-time.Minute).Unix()}),
		"without an end":             c.assertion(map[string]any{"exp": nil}),
		"without a jti":              c.assertion(map[string]any{"jti": nil}),
		"used":                       used,
		"of the future":              c.assertion(map[string]any{"iat": now.Add(time.Hour).Unix(), "exp": now.Add(2 * time.Hour).Unix()}),
		"for more than an hour":      c.assertion(map[string]any{"exp": now.Add(3 * time.Hour).Unix(), "iat": nil}),
		"not yet good":               c.assertion(map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"another client's key":       signed(t, other.key, map[jose.HeaderKey]any{"kid": "k1"}, claims),
		"a key of no name":           signed(t, c.key, map[jose.HeaderKey]any{"kid": "k2"}, claims),
		"about another":              c.assertion(map[string]any{"sub": other.id}),
		"by another":                 c.assertion(map[string]any{"iss": other.id, "sub": other.id}),
		"without a signature":        c.assertion()[:strings.LastIndex(c.assertion(), ".")+1],
		"broken":                     c.assertion() + "x",
	} {
		for _, path := range []string{"/oauth/token", "/oauth/introspect", "/revoke", "/par", "/device_authorization"} {
			r := post(path, "client_assertion_type", assertionType, "client_assertion", assertion, "token", "x",
				"grant_type", "authorization_code", "code", code, "redirect_uri", c.redirectURI, "code_verifier", verifier)
			w.want(what+", at "+path, w.send(r).told(), "401 invalid_client")
		}
	}
	w.want("a good one", w.send(c.redemption(c.authorize(w.browser()).Get("code"))).status, http.StatusOK)
}

// RFC 7523, section 3, item 3; RFC 9126, section 2 for the endpoint of pushed requests.
func TestAssertionNamesTheIssuerOrTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	c := w.register(document{"token_endpoint_auth_method": "private_key_jwt", "grant_types": []string{"client_credentials"}, "scope": "files"})
	for _, audience := range []any{
		w.issuer, w.issuer + "/oauth/token", []string{w.issuer}, []string{w.issuer + "/oauth/token"}, []string{"https://other.example", w.issuer},
	} {
		r := post("/oauth/token", "grant_type", "client_credentials", "scope", "files", "client_assertion_type", assertionType,
			"client_assertion", c.assertion(map[string]any{"aud": audience}))
		if a := w.send(r); a.status != http.StatusOK {
			t.Errorf("%v: %s", audience, a.raw)
		}
		for _, path := range []string{"/oauth/introspect", "/revoke"} {
			r := post(path, "token", "x", "client_assertion_type", assertionType, "client_assertion", c.assertion(map[string]any{"aud": audience}))
			if a := w.send(r); a.status != http.StatusOK {
				t.Errorf("%v, at %s: %s", audience, path, a.raw)
			}
		}
	}
	for what, changes := range map[string]map[string]any{"without iat": {"iat": nil}, "with a fraction": {"iat": float64(time.Now().UnixMilli()) / 1000}, "with nbf": {"nbf": time.Now().Unix()}} {
		r := post("/revoke", "token", "x", "client_assertion_type", assertionType, "client_assertion", c.assertion(changes))
		w.want(what, w.send(r).status, 200)
	}
	pusher := w.register(document{"token_endpoint_auth_method": "private_key_jwt"})
	for _, audience := range []any{w.issuer, w.issuer + "/oauth/token", w.issuer + "/par", []string{w.issuer + "/par"}} {
		r := post("/par", "client_assertion_type", assertionType, "client_assertion", pusher.assertion(map[string]any{"aud": audience}))
		for name := range pusher.authorization().query {
			r.with(name, pusher.authorization().query.Get(name))
		}
		if a := w.send(r); a.status != http.StatusCreated {
			t.Errorf("%v, at /par: %s", audience, a.raw)
		}
	}
	r := post("/oauth/token", "grant_type", "client_credentials", "scope", "files", "client_assertion_type", assertionType,
		"client_assertion", c.assertion(map[string]any{"aud": w.issuer + "/par"}))
	w.want("the endpoint of pushed requests, at the token endpoint", w.send(r).told(), "401 invalid_client")
}

// RFC 6749, section 3.2.
func TestTokenEndpointTakesPOSTAndTheBody(t *testing.T) {
	w := newWorld(t)
	c := w.register(document{"grant_types": []string{"client_credentials"}, "scope": "files"})
	good := func() *request { return post("/oauth/token", "grant_type", "client_credentials").basic(c.id, c.secret) }
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodHead} {
		r := good()
		r.method = method
		r.query, r.form = r.form, url.Values{}
		a := w.send(r)
		w.want(method, []any{a.status, a.header.Get("Allow")}, []any{405, "POST"})
	}
	r := good()
	r.query, r.form = r.form, url.Values{}
	w.want("the grant type in the query", w.send(r).told(), "400 invalid_request")
	r = post("/oauth/token", "grant_type", "client_credentials")
	r.query.Set("client_id", c.id)
	r.query.Set("client_secret", c.secret)
	w.want("the client in the query", w.send(r).told(), "401 invalid_client")
	r = good()
	r.query.Set("scope", "other")
	a := w.send(r)
	w.want("the scope in the query", []any{a.status, a.text("scope")}, []any{200, "files"})
	w.want("Cache-Control", a.header.Get("Cache-Control"), "no-store")
	r = good()
	r.form.Add("grant_type", "client_credentials")
	w.want("a parameter twice", w.send(r).told(), "400 invalid_request")
	w.want("a grant type that is not served", w.send(good().with("grant_type", "password")).told(), "400 unsupported_grant_type")
	w.want("two ways to authenticate", w.send(good().with("client_id", c.id, "client_secret", c.secret)).told(), "400 invalid_request")
}

// RFC 7662, section 2.1: callers authenticate as they are registered, and whoever can't is told nothing.
func TestIntrospectionIsForAuthenticatedClients(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, method := range []string{"client_secret_post", "client_secret_basic", "private_key_jwt"} {
		c := w.register(document{"token_endpoint_auth_method": method})
		a := c.introspect(c.tokens(b).text("access_token"))
		w.want(method, []any{a.status, a.body["active"], a.header.Get("Cache-Control")}, []any{200, true, "no-store"})
		a = c.introspect("unknown")
		w.want(method+", of an unknown token", []any{a.status, a.body, a.header.Get("Cache-Control")}, []any{200, map[string]any{"active": false}, "no-store"})
	}
	c := w.register()
	accessToken := c.tokens(b).text("access_token")
	w.want("a wrong secret", w.send(post("/oauth/introspect", "token", accessToken).basic(c.id, "wrong")).told(), "401 invalid_client")
	w.want("a wrong secret, by form", w.send(post("/oauth/introspect", "token", accessToken, "client_id", c.id, "client_secret", "wrong")).told(), "401 invalid_client")
	w.want("nobody", w.send(post("/oauth/introspect", "token", accessToken)).told(), "401 invalid_client")
	w.want("the token itself", w.send(post("/oauth/introspect", "token", accessToken).bearer(accessToken)).told(), "401 invalid_client")
	w.want("no token", w.send(c.as(post("/oauth/introspect"))).told(), "400 invalid_request")
	public := w.register(document{"token_endpoint_auth_method": "none"})
	w.want("a public client", public.introspect(public.tokens(b).text("access_token")).told(), "401 invalid_client")
	r := c.as(get("/oauth/introspect", "token", accessToken))
	if a := w.send(r); a.status < 400 {
		t.Errorf("by GET: %d %s", a.status, a.raw)
	}
	r = c.as(post("/oauth/introspect"))
	r.query.Set("token", accessToken)
	w.want("a token in the query", w.send(r).told(), "400 invalid_request")
}

// RFC 7009, section 2.1.
func TestRevocationWantsAToken(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, method := range []string{"client_secret_post", "client_secret_basic", "private_key_jwt", "none"} {
		c := w.register(document{"token_endpoint_auth_method": method})
		w.want(method+": no token", w.send(c.as(post("/revoke"))).told(), "400 invalid_request")
		r := c.as(post("/revoke"))
		r.query.Set("token", "x")
		w.want(method+": a token in the query", w.send(r).told(), "400 invalid_request")
		w.want(method+": an unknown token", w.send(c.as(post("/revoke", "token", "x"))).status, 200)
		granted := c.tokens(b, "scope", "openid offline_access")
		for _, kind := range []string{"access_token", "refresh_token"} {
			w.want(method+": "+kind, w.send(c.as(post("/revoke", "token", granted.text(kind), "token_type_hint", "refresh_token"))).status, 200)
		}
		w.want(method+": userinfo", w.send(get("/userinfo").bearer(granted.text("access_token"))).status, 401)
		w.want(method+": refresh", c.refresh(granted.text("refresh_token")).told(), "400 invalid_grant")
	}
	c := w.register()
	w.want("nobody", w.send(post("/revoke", "token", "x")).told(), "401 invalid_client")
	w.want("a wrong secret, no token", w.send(post("/revoke").basic(c.id, "wrong")).told(), "401 invalid_client")
}

// RFC 6750, sections 2 and 3.
func TestUserInfoSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	b, c := w.browser(), w.register()
	good := c.tokens(b).text("access_token")
	without := c.tokens(b, "scope", "email").text("access_token")
	for what, attempt := range map[string]struct {
		r         *request
		status    int
		challenge string // of the scheme Bearer
	}{
		"no token":                {get("/userinfo"), 401, `Bearer`},
		"a token in the query":    {get("/userinfo", "access_token", good), 401, `Bearer`},
		"also of a POST":          {&request{method: "POST", path: "/userinfo", query: url.Values{"access_token": {good}}}, 401, `Bearer`},
		"another scheme":          {get("/userinfo").basic(c.id, c.secret), 401, `Bearer`},
		"an unknown token":        {get("/userinfo").bearer("unknown"), 401, `Bearer error="invalid_token"`},
		"a token in two places":   {post("/userinfo", "access_token", good).bearer(good), 400, `Bearer error="invalid_request"`},
		"a token without openid":  {get("/userinfo").bearer(without), 403, `Bearer error="insufficient_scope" scope="openid"`},
		"a good token":            {get("/userinfo").bearer(good), 200, ""},
		"a good token, by POST":   {post("/userinfo").bearer(good), 200, ""},
		"a good token, in a body": {post("/userinfo", "access_token", good), 200, ""},
	} {
		a := w.send(attempt.r)
		challenge := ""
		for _, value := range a.header.Values("WWW-Authenticate") {
			if strings.HasPrefix(value, "Bearer") {
				challenge = value
			}
		}
		w.want(what, []any{a.status, challenge, a.header.Get("Cache-Control")}, []any{attempt.status, attempt.challenge, "no-store"})
	}
}

// An error of an authorization request goes to the client by the response mode that it named, with state and iss (RFC 6749, section
// 4.1.2.1; OAuth 2.0 Form Post Response Mode, section 2; RFC 9207).
func TestErrorsOfAuthorizationRequestsReachTheClient(t *testing.T) {
	w := newWorld(t)
	c := w.register(document{"scope": "openid email"})
	signedIn, stranger := w.browser(), w.browser()
	c.tokens(signedIn)
	hash := token.S256(verifier)
	for what, attempt := range map[string]struct {
		by     *browser
		params []string
		want   string
	}{
		"nothing wrong":                    {signedIn, nil, ""},
		"nobody is signed in":              {stranger, []string{"prompt", "none"}, "login_required"},
		"the user has not agreed":          {signedIn, []string{"prompt", "none", "scope", "openid email"}, "consent_required"},
		"no page and a page":               {signedIn, []string{"prompt", "none login"}, "invalid_request"},
		"a prompt that is not known":       {signedIn, []string{"prompt", "dance"}, "invalid_request"},
		"a max_age that is no number":      {signedIn, []string{"max_age", "x"}, "invalid_request"},
		"a negative max_age":               {signedIn, []string{"max_age", "-1"}, "invalid_request"},
		"a response type of no flow here":  {signedIn, []string{"response_type", "code id_token"}, "unsupported_response_type"},
		"a token at once":                  {signedIn, []string{"response_type", "token"}, "unsupported_response_type"},
		"an unknown response type":         {signedIn, []string{"response_type", "carrier-pigeon"}, "unsupported_response_type"},
		"no response type":                 {signedIn, []string{"response_type", ""}, "invalid_request"},
		"scopes that the client can't ask": {signedIn, []string{"scope", "files"}, "invalid_scope"},
		"no scope that is left":            {signedIn, []string{"scope", "phone address"}, "invalid_scope"},
		"no challenge":                     {signedIn, []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"a short challenge":                {signedIn, []string{"code_challenge", hash[:42]}, "invalid_request"},
		"a long challenge":                 {signedIn, []string{"code_challenge", hash + "A"}, "invalid_request"},
		"a challenge in plain base64":      {signedIn, []string{"code_challenge", "/+" + hash[2:]}, "invalid_request"},
		"a padded challenge":               {signedIn, []string{"code_challenge", hash + "="}, "invalid_request"},
		"the verifier as challenge":        {signedIn, []string{"code_challenge", verifier}, "invalid_request"},
		"a plain challenge":                {signedIn, []string{"code_challenge_method", "plain"}, "invalid_request"},
		"a challenge without a method":     {signedIn, []string{"code_challenge_method", ""}, "invalid_request"},
		"a method that is not known":       {signedIn, []string{"code_challenge_method", "S512"}, "invalid_request"},
		"a request object":                 {signedIn, []string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
		"a request object by reference":    {signedIn, []string{"request_uri", "https://client.example/request.jwt"}, "request_uri_not_supported"},
		"a registration":                   {signedIn, []string{"registration", "{}"}, "registration_not_supported"},
		"a resource that is not served":    {signedIn, []string{"resource", "https://bank.example"}, "invalid_target"},
		"a resource that is no URI":        {signedIn, []string{"resource", "bank"}, "invalid_target"},
		"details that are not served":      {signedIn, []string{"authorization_details", `[{"type":"payment"}]`}, "invalid_authorization_details"},
		"details that are no JSON":         {signedIn, []string{"authorization_details", `{`}, "invalid_authorization_details"},
		"a hint that is no token":          {signedIn, []string{"id_token_hint", "x"}, "login_required"},
		"text that is none":                {signedIn, []string{"nonce", "\x00"}, "invalid_request"},
	} {
		for _, mode := range []string{"", "query", "fragment", "form_post"} {
			a := attempt.by.open(c.authorization(append([]string{"response_mode", mode}, attempt.params...)...))
			got, told := a.response()
			wanted := mode
			if wanted == "" {
				wanted = "query"
				if slices.Contains([]string{"token", "code id_token"}, c.authorization(attempt.params...).query.Get("response_type")) {
					wanted = "fragment" // OAuth 2.0 Multiple Response Type Encoding Practices, sections 3 and 5
				}
			}
			w.want(what+", "+mode, []any{got, told.Get("error"), told["state"], told["iss"], told.Has("code")},
				[]any{wanted, attempt.want, []string{"a state&"}, []string{w.issuer}, attempt.want == ""})
		}
	}
	for mode, wanted := range map[string]string{"query.jwt": "query", "jwt": "query", "web_message": "query"} { // nobody can answer in a mode that isn't served
		got, told := signedIn.open(c.authorization("response_mode", mode)).response()
		w.want("mode "+mode, []any{got, told.Get("error"), told.Get("state")}, []any{wanted, "invalid_request", "a state&"})
	}
	denied := w.browser()
	for _, mode := range []string{"query", "fragment", "form_post"} {
		page := denied.submit(denied.open(c.authorization("response_mode", mode, "prompt", "consent login")), "email", denied.email, "password", denied.password)
		got, told := denied.submit(page, "decision", "deny").response()
		w.want("denied, "+mode, []any{got, told.Get("error"), told["state"], told["iss"]}, []any{mode, "access_denied", []string{"a state&"}, []string{w.issuer}})
	}
}

// Nobody is redirected to where the client is not (RFC 6749, section 4.1.2.1).
func TestErrorsThatReachNoClientAreShownToTheUser(t *testing.T) {
	w := newWorld(t)
	b, c := w.browser(), w.register(document{"redirect_uris": []string{somewhere, "https://client.example/other"}})
	for what, params := range map[string][]string{
		"an unknown client":           {"client_id", "nobody"},
		"no client":                   {"client_id", ""},
		"another's redirect URI":      {"redirect_uri", "https://thief.example/callback"},
		"no redirect URI":             {"redirect_uri", ""},
		"a request that is long over": {"request_uri", "urn:ietf:params:oauth:request_uri:x", "redirect_uri", ""},
	} {
		for _, mode := range []string{"", "form_post"} {
			a := b.open(c.authorization(append(params, "response_mode", mode)...))
			if a.status != http.StatusBadRequest || a.url.Path != "/authorize" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(a.raw, "thief.example\"") {
				t.Errorf("%s: %d %s\n%s", what, a.status, a.url, a.raw)
			}
		}
	}
	r := c.authorization()
	r.query.Add("redirect_uri", "https://thief.example/callback")
	w.want("two redirect URIs", b.open(r).status, http.StatusBadRequest)
	r = c.authorization()
	r.query.Add("scope", "email")
	_, told := b.open(r).response()
	w.want("two scopes", []any{told.Get("error"), told.Get("state")}, []any{"invalid_request", "a state&"})
}

// OpenID Connect Core 1.0, section 3.1.2.1.
func TestThereIsNoIDTokenWithoutOpenID(t *testing.T) {
	w := newWorld(t)
	b, c := w.browser(), w.register()
	for scope, wanted := range map[string]bool{"email offline_access": false, "openid email offline_access": true} {
		granted := c.tokens(b, "scope", scope)
		w.want(scope, []any{granted.text("scope"), granted.body["id_token"] != nil}, []any{scope, wanted})
		again := c.refresh(granted.text("refresh_token"))
		w.want(scope+", refreshed", []any{again.status, again.body["id_token"] != nil}, []any{200, wanted})
	}
}

// RFC 8252, sections 7.3 and 8.4; RFC 9700, section 2.1.
func TestOfALoopbackAddressThePortAloneIsFree(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, try := range []struct {
		registered, asked string
		want              bool
	}{
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004/callback", true},
		{"http://127.0.0.1/callback", "http://127.0.0.1/callback", true},
		{"http://127.0.0.1:8000/callback", "http://127.0.0.1:51004/callback", true},
		{"http://[::1]/callback", "http://[::1]:51004/callback", true},
		{"http://127.0.0.1/callback", "https://127.0.0.1:51004/callback", false},
		{"http://127.0.0.1/callback", "http://localhost:51004/callback", false},
		{"http://127.0.0.1/callback", "http://[::1]:51004/callback", false},
		{"http://127.0.0.1/callback", "http://127.0.0.2:51004/callback", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004/callback/", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004/callback?a=b", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004/callback#a", false},
		{"http://127.0.0.1/callback", "http://a@127.0.0.1:51004/callback", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004@thief.example/callback", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1.thief.example:51004/callback", false},
		{"https://client.example/callback", "https://client.example:51004/callback", false},
	} {
		c := w.register(document{"token_endpoint_auth_method": "none", "application_type": "native", "redirect_uris": []string{try.registered}})
		c.redirectURI = try.asked
		a := b.goOn(b.open(c.authorization()))
		if !try.want {
			w.want(try.registered+", asked for "+try.asked, []any{a.status, a.url.Path}, []any{http.StatusBadRequest, "/authorize"})
			continue
		}
		code := c.authorized(a).Get("code")
		if !strings.HasPrefix(a.url.String(), try.asked+"?") {
			t.Errorf("%s, asked for %s: led to %s", try.registered, try.asked, a.url)
		}
		w.want(try.asked, w.send(c.redemption(code)).status, 200)
	}
}

func TestPublicWebClientUnderDevelopmentIsOnLocalhost(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, kind := range []string{"web", ""} {
		c := w.register(document{"token_endpoint_auth_method": "none", "application_type": kind, "redirect_uris": []string{"http://localhost:3000/callback"}})
		w.want("the token endpoint", w.send(c.redemption(c.authorize(b).Get("code"))).status, 200)
	}
}

// Scripts of every origin call the endpoints, without cookies; the pages are for none.
func TestCrossOriginRequests(t *testing.T) {
	w := newWorld(t)
	for path, wanted := range map[string]bool{
		"/oauth/token": true, "/oauth/introspect": true, "/revoke": true, "/userinfo": true, "/par": true, "/device_authorization": true,
		"/keys": true, "/.well-known/openid-configuration": true, "/.well-known/oauth-authorization-server": true,
		"/authorize": false, "/authorize/callback": false, "/end_session": false, "/": false, "/signin": false, "/consent": false,
		"/account": false, "/continue": false, "/device": false, "/signout": false, "/static/style.css": false,
	} {
		preflight := get(path)
		preflight.method = http.MethodOptions
		preflight.header = http.Header{
			"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type,dpop"},
		}
		asked := get(path)
		asked.header.Set("Origin", "https://app.example")
		for what, r := range map[string]*request{"preflight": preflight, "request": asked} {
			h := w.send(r).header
			allowed := h.Get("Access-Control-Allow-Origin")
			w.want(path+": "+what, []any{allowed == "https://app.example" || allowed == "*", h.Get("Access-Control-Allow-Credentials")}, []any{wanted, ""})
			switch {
			case !wanted:
			case what == "preflight":
				w.want(path+": headers", h.Get("Access-Control-Allow-Headers"), "authorization,content-type,dpop")
			default:
				w.want(path+": exposed", strings.Contains(strings.ToLower(h.Get("Access-Control-Expose-Headers")), "www-authenticate"), true)
			}
		}
	}
}

// RFC 8707, section 2; RFC 9396, section 5.
func TestTargetsThatAreNotServedAreRefusedEverywhere(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	c := w.register(document{"grant_types": []string{"authorization_code", "refresh_token", "client_credentials", deviceGrant, exchangeGrant}})
	granted := c.tokens(b, "scope", "openid offline_access")
	device := w.send(c.as(post("/device_authorization", "scope", "openid")))
	w.want("a device", device.status, 200)
	details := `[{"type":"payment"}]`
	for what, r := range map[string]func() *request{
		"a pushed request": func() *request {
			r := post("/par")
			r.form = c.authorization().query
			return r
		},
		"a device's request": func() *request { return post("/device_authorization", "scope", "openid") },
		"a code": func() *request {
			return post("/oauth/token", "grant_type", "authorization_code", "code", c.authorize(b).Get("code"), "redirect_uri", c.redirectURI, "code_verifier", verifier)
		},
		"a refresh": func() *request {
			return post("/oauth/token", "grant_type", "refresh_token", "refresh_token", granted.text("refresh_token"))
		},
		"a client's own token": func() *request { return post("/oauth/token", "grant_type", "client_credentials") },
		"an exchange": func() *request {
			return post("/oauth/token", "grant_type", exchangeGrant, "subject_token", granted.text("access_token"), "subject_token_type", "urn:ietf:params:oauth:token-type:access_token")
		},
	} {
		w.want(what+": resource", w.send(c.as(r().with("resource", "https://bank.example"))).told(), "400 invalid_target")
		w.want(what+": no URI", w.send(c.as(r().with("resource", "bank"))).told(), "400 invalid_target")
		w.want(what+": a fragment", w.send(c.as(r().with("resource", "https://bank.example/#a"))).told(), "400 invalid_target")
		w.want(what+": authorization_details", w.send(c.as(r().with("authorization_details", details))).told(), "400 invalid_authorization_details")
	}
	w.want("the refresh token is still good", c.refresh(granted.text("refresh_token")).status, 200)
}

// Each scope that the discovery document names can be granted, and says something.
func TestScopesSupportedAreServed(t *testing.T) {
	w := newWorld(t)
	b, c := w.browser(), w.register()
	var metadata struct {
		Scopes []string `json:"scopes_supported"`
	}
	w.ok(json.Unmarshal([]byte(w.send(get("/.well-known/openid-configuration")).raw), &metadata))
	says := map[string]func(granted, info answer) bool{
		"openid":         func(granted, info answer) bool { return granted.text("id_token") != "" && info.text("sub") != "" },
		"profile":        func(_, info answer) bool { return info.text("name") != "" },
		"email":          func(_, info answer) bool { return info.text("email") == b.email && info.body["email_verified"] == true },
		"offline_access": func(granted, _ answer) bool { return granted.text("refresh_token") != "" },
	}
	w.want("scopes_supported", len(metadata.Scopes) >= len(says), true)
	for _, scope := range metadata.Scopes {
		granted := c.tokens(b, "scope", "openid "+scope)
		info := w.send(get("/userinfo").bearer(granted.text("access_token")))
		w.want(scope, slices.Contains(strings.Fields(granted.text("scope")), scope), true)
		if says[scope] == nil {
			t.Errorf("%s: what does it say?", scope)
		} else {
			w.want(scope+" says something", says[scope](granted, info), true)
		}
	}
	w.want("a scope that isn't named", c.tokens(b, "scope", "openid phone").text("scope"), "openid")
}

// What the discovery document says is served is, and what it leaves out isn't.
func TestMetadataAreTrue(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	_, err := w.db.Store.UpdateUser(w.Context(), store.UpdateUserParams{ID: b.id, Image: new("https://client.example/grace.png")})
	w.ok(err)
	d := w.discovery()
	listed := func(member string) []string {
		all, _ := d[member].([]any)
		var texts []string
		for _, value := range all {
			texts = append(texts, value.(string))
		}
		slices.Sort(texts)
		return texts
	}
	served := map[string][]string{}
	for _, method := range []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"} {
		c := w.register(document{"token_endpoint_auth_method": method})
		for member, r := range map[string]*request{
			"token_endpoint_auth_methods_supported":         post("/oauth/token", "grant_type", "refresh_token", "refresh_token", "x"),
			"introspection_endpoint_auth_methods_supported": post("/oauth/introspect", "token", "x"),
			"revocation_endpoint_auth_methods_supported":    post("/revoke", "token", "x"),
		} {
			if w.send(c.as(r)).status != http.StatusUnauthorized {
				served[member] = append(served[member], method)
			}
		}
	}
	for member, methods := range served {
		slices.Sort(methods)
		w.want(member, listed(member), methods)
	}
	c := w.register()
	for _, grantType := range listed("grant_types_supported") {
		if a := w.send(c.as(post("/oauth/token", "grant_type", grantType))); a.text("error") == "unsupported_grant_type" {
			t.Errorf("%s: %s", grantType, a.raw)
		}
	}
	for name, value := range d {
		if address, ok := value.(string); ok && (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") {
			if status := w.send(get(strings.TrimPrefix(address, w.issuer))).status; status == http.StatusNotFound {
				t.Errorf("%s: there is nothing at %s", name, address)
			}
		}
	}
	tokens := c.tokens(b, "scope", "openid profile email")
	claims := c.validate(tokens, "a nonce")
	maps.Copy(claims, w.send(get("/userinfo").bearer(tokens.text("access_token"))).body)
	for _, claim := range listed("claims_supported") {
		if claims[claim] == nil {
			t.Errorf("nothing says %s", claim)
		}
	}
	for claim := range claims {
		if !slices.Contains(listed("claims_supported"), claim) {
			t.Errorf("claims_supported has no %s", claim)
		}
	}
	for _, mode := range listed("response_modes_supported") {
		got, _ := b.goOn(b.open(c.authorization("response_mode", mode))).response()
		w.want("response_mode", got, mode)
	}
	for _, prompt := range listed("prompt_values_supported") {
		if _, told := b.open(c.authorization("prompt", prompt)).response(); told.Get("error") == "invalid_request" {
			t.Errorf("prompt %s: %s", prompt, told)
		}
	}
}
