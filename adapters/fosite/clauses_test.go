package fositedb_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// ask sends a form, or with another method the query.
func (s *server) ask(method, path string, query, form url.Values, authorization ...string) answer {
	s.Helper()
	r, err := http.NewRequestWithContext(s.ctx, method, s.url+path+"?"+query.Encode(), strings.NewReader(form.Encode()))
	s.ok(err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch len(authorization) {
	case 1:
		r.Header.Set("Authorization", authorization[0])
	case 2:
		r.SetBasicAuth(url.QueryEscape(authorization[0]), url.QueryEscape(authorization[1]))
	}
	return s.send(r)
}

// Who calls comes first (RFC 6749, sections 3.2.1 and 5.2), whatever else is wrong.
func TestClientAuthenticationComesBeforeTheCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c, asserting := s.register(), s.register(keyed)
	code := c.code()
	now := time.Now()
	used := asserting.assertion("used")
	wantEqual(t, "the first use", asserting.post("/introspect", url.Values{"token": {"x"}, "client_assertion": {used}, "client_assertion_type": {assertionType}}).status, 200)
	claims := func(name string, value any) string {
		m := map[string]any{"iss": asserting.id, "sub": asserting.id, "aud": s.config.TokenURL, "jti": token.Mint(token.AccessToken).Reveal(), "exp": now.Add(time.Minute).Unix()}
		m[name] = value
		if value == nil {
			delete(m, name)
		}
		return sign(t, m)
	}
	by := func(assertion string) func(url.Values) []string {
		return func(f url.Values) []string {
			f.Set("client_assertion", assertion)
			f.Set("client_assertion_type", assertionType)
			return nil
		}
	}
	for what, alter := range map[string]func(url.Values) []string{
		"an unknown client":      func(url.Values) []string { return []string{"nobody", "secret"} },
		"a wrong secret":         func(url.Values) []string { return []string{c.id, "wrong"} },
		"an empty secret":        func(url.Values) []string { return []string{c.id, ""} },
		"none at all":            func(url.Values) []string { return nil },
		"a name alone":           func(f url.Values) []string { f.Set("client_id", c.id); return nil },
		"another scheme":         func(f url.Values) []string { f.Set("client_id", c.id); return []string{"Bearer x"} },
		"a wrong secret, posted": func(f url.Values) []string { f.Set("client_id", c.id); f.Set("client_secret", "wrong"); return nil },
		"a broken assertion":     by("x.y.z"),
		"another's audience":     by(claims("aud", "https://other.example")),
		"no audience":            by(claims("aud", nil)),
		"an expired assertion":   by(claims("exp", now.Add(-time.Minute).Unix())),
		"without exp":            by(claims("exp", nil)),
		"without jti":            by(claims("jti", nil)),
		"not good yet":           by(claims("nbf", now.Add(time.Hour).Unix())),
		"of the future":          by(claims("iat", now.Add(time.Hour).Unix())),
		"a used assertion":       by(used),
		"another's signature":    by(claims("iss", "nobody")[:200] + "x"),
		"about another":          by(claims("sub", c.id)),
	} {
		for grant, form := range map[string]url.Values{
			"a code":             redemption(code),
			"no code":            {"grant_type": {"authorization_code"}},
			"a refresh token":    {"grant_type": {"refresh_token"}, "refresh_token": {"x"}},
			"no grant":           {},
			"a grant not served": {"grant_type": {"password"}},
			"client credentials": {"grant_type": {"client_credentials"}},
		} {
			authorization := alter(form)
			a := s.ask(http.MethodPost, "/token", nil, form, authorization...)
			w.want(what+", with "+grant, a, http.StatusUnauthorized, "invalid_client")
		}
		for _, path := range []string{"/introspect", "/revoke", "/par"} {
			form := url.Values{"token": {"x"}}
			authorization := alter(form)
			a := s.ask(http.MethodPost, path, nil, form, authorization...)
			code := "invalid_client"
			if path == "/introspect" && what == "another scheme" { // an access token of the caller's
				code = "request_unauthorized"
			}
			w.want(what+", at "+path, a, http.StatusUnauthorized, code)
		}
	}
	w.want("the client itself", c.redeem(code), http.StatusOK, "")
	for _, audience := range []any{s.config.TokenURL, s.config.IDTokenIssuer, []string{s.config.TokenURL}, []string{"https://other.example", s.config.IDTokenIssuer}} {
		for _, more := range []map[string]any{{}, {"iat": now.Unix()}, {"nbf": now.Unix()}} {
			m := map[string]any{"iss": asserting.id, "sub": asserting.id, "aud": audience, "jti": token.Mint(token.AccessToken).Reveal(), "exp": now.Add(time.Minute).Unix()}
			for name, value := range more {
				m[name] = value
			}
			form := url.Values{"grant_type": {"client_credentials"}, "client_assertion": {sign(t, m)}, "client_assertion_type": {assertionType}}
			w.want("a good assertion", asserting.post("/token", form), http.StatusOK, "")
		}
	}
}

// RFC 6749, section 3.2; RFC 7009, section 2.1; RFC 9126, section 2.
func TestEndpointsTakePOSTAndTheBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	good := url.Values{"grant_type": {"client_credentials"}}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		a := s.ask(method, "/token", good, nil, c.id, c.secret)
		if a.status < 400 {
			t.Errorf("%s: %d %s", method, a.status, a.text)
		}
	}
	a := s.ask(http.MethodPost, "/token", good, url.Values{}, c.id, c.secret)
	w.want("the grant type in the query", a, 400, "invalid_request")
	credentials := url.Values{"client_id": {c.id}, "client_secret": {c.secret}}
	a = s.ask(http.MethodPost, "/token", credentials, good)
	w.want("the client in the query", a, 401, "invalid_client")
	a = s.ask(http.MethodPost, "/par", credentials, c.request(func(f url.Values) { f.Del("client_id") }))
	w.want("a push by a client in the query", a, 401, "invalid_client")
	a = s.ask(http.MethodPost, "/par", c.request(), url.Values{"scope": {"openid"}}, c.id, c.secret)
	w.want("a push in the query", a, 400, "invalid_request")
	w.want("a grant type that isn't served", c.post("/token", url.Values{"grant_type": {"password"}}), 400, "unsupported_grant_type")
	w.want("no grant type", c.post("/token", url.Values{"scope": {"calendar"}}), 400, "invalid_request")
	w.want("a grant type twice", c.post("/token", url.Values{"grant_type": {"client_credentials", "client_credentials"}}), 400, "invalid_request")
	w.want("revocation of nothing", c.post("/revoke", url.Values{}), 400, "invalid_request")
	w.want("revocation of nothing, with a hint", c.post("/revoke", url.Values{"token_type_hint": {"access_token"}}), 400, "invalid_request")
	w.want("revocation of nothing by a public client", s.register(public).post("/revoke", url.Values{}), 400, "invalid_request")
	a = s.ask(http.MethodPost, "/revoke", nil, url.Values{})
	w.want("revocation of nothing by nobody", a, 401, "invalid_client")
	for _, path := range []string{"/introspect", "/token", "/revoke"} {
		h := s.ask(http.MethodPost, path, nil, url.Values{"token": {"x"}, "grant_type": {"client_credentials"}}, c.id, c.secret)
		wantEqual(t, path, h.header.Get("Cache-Control"), "no-store")
		h = s.ask(http.MethodPost, path, nil, url.Values{"token": {"x"}, "grant_type": {"client_credentials"}}, c.id, "wrong")
		wantEqual(t, path+", refused", h.header.Get("Cache-Control"), "no-store")
	}
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)" ?/?>`)

// An error goes to the client by the response mode that it named, with its state (RFC 6749, section 4.1.2.1).
func TestErrorsOfAuthorizationRequestsReachTheClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	hash := token.S256(verifier)
	for what, attempt := range map[string]struct {
		params []string
		want   string
	}{
		"nothing wrong":                    {nil, ""},
		"a page and no page":               {[]string{"prompt", "none login"}, "invalid_request"},
		"an unknown prompt":                {[]string{"prompt", "dance"}, "invalid_request"},
		"a max_age that is no number":      {[]string{"max_age", "x"}, "invalid_request"},
		"a flow that isn't served":         {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		"an unknown response type":         {[]string{"response_type", "carrier-pigeon"}, "unsupported_response_type"},
		"no response type":                 {[]string{"response_type", ""}, "invalid_request"},
		"a scope of others":                {[]string{"scope", "files"}, "invalid_scope"},
		"no challenge":                     {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"a short challenge":                {[]string{"code_challenge", hash[:42]}, "invalid_request"},
		"a long challenge":                 {[]string{"code_challenge", hash + "A"}, "invalid_request"},
		"a challenge in plain base64":      {[]string{"code_challenge", "/+" + hash[2:]}, "invalid_request"},
		"a plain challenge":                {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"a challenge without a method":     {[]string{"code_challenge_method", ""}, "invalid_request"},
		"an unknown method":                {[]string{"code_challenge_method", "S512"}, "invalid_request"},
		"a request object, without openid": {[]string{"request", "eyJhbGciOiJub25lIn0.e30.", "scope", "calendar"}, "request_not_supported"},
		"a request_uri, without openid":    {[]string{"request_uri", "https://client.example/r.jwt", "scope", "calendar"}, "request_uri_not_supported"},
		"a request object":                 {[]string{"request", "eyJhbGciOiJub25lIn0.e30."}, "invalid_request"},
		"a request_uri":                    {[]string{"request_uri", "https://client.example/r.jwt"}, "invalid_request"},
		"a registration":                   {[]string{"registration", "{}"}, "registration_not_supported"},
		"a resource":                       {[]string{"resource", "https://api.example"}, "invalid_target"},
		"authorization_details":            {[]string{"authorization_details", `[{"type":"payment"}]`}, "invalid_authorization_details"},
		"an audience of others":            {[]string{"audience", "https://bank.example"}, "invalid_request"},
	} {
		for _, mode := range []string{"", "query", "fragment", "form_post"} {
			form := c.request(func(f url.Values) {
				f.Set("state", "the state&")
				for i := 0; i < len(attempt.params); i += 2 {
					f.Set(attempt.params[i], attempt.params[i+1])
					if attempt.params[i+1] == "" {
						f.Del(attempt.params[i])
					}
				}
				if mode != "" {
					f.Set("response_mode", mode)
				}
			})
			a := s.ask(http.MethodGet, "/authorize", form, nil)
			got, told := "page", url.Values{}
			location, err := url.Parse(a.header.Get("Location"))
			w.ok(err)
			switch {
			case strings.Contains(a.text, `action="`+redirectURI+`"`):
				got = "form_post"
				for _, m := range hiddenInput.FindAllStringSubmatch(a.text, -1) {
					told.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
				}
			case location.Fragment != "":
				got = "fragment"
				told, err = url.ParseQuery(location.EscapedFragment())
				w.ok(err)
			case location.RawQuery != "":
				got, told = "query", location.Query()
			}
			wanted := mode
			if wanted == "" {
				wanted = "query"
				if attempt.want == "unsupported_response_type" && strings.Contains(form.Get("response_type"), "token") {
					wanted = "fragment"
				}
			}
			wantEqual(t, what+", "+mode, []any{got, told.Get("error"), told["state"], told.Has("code")}, []any{wanted, attempt.want, []string{"the state&"}, attempt.want == ""})
		}
	}
	a := s.authorize(c.request(func(f url.Values) { f.Set("response_mode", "jwt") }))
	wantEqual(t, "a mode that isn't served", []any{a.to.Get("error"), a.to.Get("state")}, []any{"unsupported_response_mode", "the-state"})
	a = s.authorize(c.request(func(f url.Values) { f.Add("scope", "calendar") }))
	wantEqual(t, "two scopes", []any{a.to.Get("error"), a.to.Get("state")}, []any{"invalid_request", "the-state"})
	for what, change := range map[string]func(url.Values){
		"an unknown client":     func(f url.Values) { f.Set("client_id", "nobody") },
		"another redirect URI":  func(f url.Values) { f.Set("redirect_uri", "https://thief.example/") },
		"the same, with a mode": func(f url.Values) { f.Set("redirect_uri", "https://thief.example/"); f.Set("response_mode", "jwt") },
		"two redirect URIs":     func(f url.Values) { f.Add("redirect_uri", "https://thief.example/") },
	} {
		a := s.authorize(c.request(change))
		wantEqual(t, what, []any{a.to, a.status >= 400}, []any{url.Values(nil), true})
	}
}

func TestThereIsNoIDTokenWithoutOpenID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	for scope, wanted := range map[string]bool{"offline_access calendar": false, "openid offline_access calendar": true} {
		tokens := c.login(func(f url.Values) { f.Set("scope", scope) })
		again := c.refresh(tokens.str("refresh_token"))
		wantEqual(t, scope, []any{tokens.body["id_token"] != nil, again.status, again.body["id_token"] != nil}, []any{wanted, 200, wanted})
	}
}

// RFC 8252, section 7.3; RFC 9700, section 2.1.
func TestOfALoopbackAddressThePortAloneIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	for _, try := range []struct {
		registered, asked string
		want              bool
	}{
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004/callback", true},
		{"http://[::1]/callback", "http://[::1]:51004/callback", true},
		{"http://localhost:3000/callback", "http://localhost:3000/callback", true},
		{"http://127.0.0.1/callback", "https://127.0.0.1:51004/callback", false},
		{"http://127.0.0.1/callback", "http://localhost:51004/callback", false},
		{"http://127.0.0.1/callback", "http://[::1]:51004/callback", false},
		{"http://127.0.0.1/callback", "http://127.0.0.2:51004/callback", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004/callback?a=b", false},
		{"http://127.0.0.1/callback", "http://127.0.0.1:51004/callback#a", false},
		{"http://127.0.0.1/callback", "http://a@127.0.0.1:51004/callback", false},
		{"https://client.example/callback", "https://client.example:51004/callback", false},
	} {
		c := s.register(public, func(p *store.CreateClientParams) { p.RedirectURIs = []string{try.registered} })
		a := s.ask(http.MethodGet, "/authorize", c.request(func(f url.Values) { f.Set("redirect_uri", try.asked) }), nil)
		if got := a.to.Has("code"); got != try.want || got != strings.HasPrefix(a.header.Get("Location"), try.asked) || !got && a.header.Get("Location") != "" {
			t.Errorf("%s, asked for %s: %d %s %s", try.registered, try.asked, a.status, a.header.Get("Location"), a.text)
		}
	}
}

// RFC 8707, section 2; RFC 9396, section 5: what isn't served is refused, not ignored.
func TestTargetsThatAreNotServedAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	live := c.login()
	for what, form := range map[string]func() url.Values{
		"a code": func() url.Values { return redemption(c.code()) },
		"a refresh": func() url.Values {
			return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {live.str("refresh_token")}}
		},
		"a client's own token": func() url.Values { return url.Values{"grant_type": {"client_credentials"}} },
		"a pushed request":     func() url.Values { return c.request() },
	} {
		path := "/token"
		if what == "a pushed request" {
			path = "/par"
		}
		f := form()
		f.Set("resource", "https://api.example")
		w.want(what+": resource", c.post(path, f), 400, "invalid_target")
		f = form()
		details, err := json.Marshal([]map[string]string{{"type": "payment"}})
		w.ok(err)
		f.Set("authorization_details", string(details))
		w.want(what+": authorization_details", c.post(path, f), 400, "invalid_authorization_details")
	}
	w.want("the refresh token is still good", c.refresh(live.str("refresh_token")), 200, "")
}
