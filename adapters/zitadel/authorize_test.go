package zitadel_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

func TestAuthorizationRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, spa := w.register(), w.register(public)
	strict := w.register(func(p *store.CreateClientParams) { p.RequirePKCE = new(true) })
	lax := w.register(func(p *store.CreateClientParams) { p.RequirePKCE = new(false) })
	narrow := w.register(func(p *store.CreateClientParams) { p.Scopes = []string{"openid"} })
	pushing := w.register()
	_, err := w.db.Pool.Exec(w.ctx, `UPDATE oauth_client SET require_pushed_authorization_requests = true WHERE client_id = $1`, pushing.id)
	w.ok(err)
	request := func(c registered, change func(url.Values)) fetched {
		form := url.Values{
			"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid email"}, "state": {"s"},
			"code_challenge": {oidc.NewSHACodeChallenge("verifier")}, "code_challenge_method": {"S256"},
		}
		change(form)
		return w.fetch(w.get("/authorize?" + form.Encode()))
	}
	for what, attempt := range map[string]struct {
		by     registered
		change func(url.Values)
		want   string // the error that the client is told; empty: none; "page": the user is
	}{
		"as it should be":                 {c, func(url.Values) {}, ""},
		"implicit":                        {c, func(f url.Values) { f.Set("response_type", "id_token token") }, "unsupported_response_type"},
		"no response_type":                {c, func(f url.Values) { f.Del("response_type") }, "invalid_request"},
		"plain":                           {c, func(f url.Values) { f.Set("code_challenge_method", "plain") }, "invalid_request"},
		"plain by default":                {c, func(f url.Values) { f.Del("code_challenge_method") }, "invalid_request"},
		"unknown challenge method":        {c, func(f url.Values) { f.Set("code_challenge_method", "S512") }, "invalid_request"},
		"no challenge":                    {c, func(f url.Values) { f.Del("code_challenge") }, "invalid_request"},
		"a challenge that isn't by S256":  {c, func(f url.Values) { f.Set("code_challenge", "verifier") }, "invalid_request"},
		"a request that must be pushed":   {pushing, func(url.Values) {}, "invalid_request"},
		"no challenge, public":            {spa, func(f url.Values) { f.Del("code_challenge") }, "invalid_request"},
		"no challenge where required":     {strict, func(f url.Values) { f.Del("code_challenge") }, "invalid_request"},
		"no challenge where not required": {lax, func(f url.Values) { f.Del("code_challenge") }, ""},
		"a scope that it may not have":    {narrow, func(url.Values) {}, ""},
		"no scope that it may have":       {narrow, func(f url.Values) { f.Set("scope", "email files") }, "invalid_scope"},
		"no scope":                        {c, func(f url.Values) { f.Del("scope") }, "invalid_scope"},
		"NUL in the state":                {c, func(f url.Values) { f.Set("state", "\x00") }, "invalid_request"},
		"no UTF-8 in the nonce":           {c, func(f url.Values) { f.Set("nonce", "\xff") }, "invalid_request"},
		"NUL in the login_hint":           {c, func(f url.Values) { f.Set("login_hint", "a\x00b") }, "invalid_request"},
		"two states":                      {c, func(f url.Values) { f.Add("state", "t") }, "invalid_request"},
		"unknown client":                  {c, func(f url.Values) { f.Set("client_id", "nobody") }, "page"},
		"a client_id that isn't text":     {c, func(f url.Values) { f.Set("client_id", "\x00") }, "page"},
		"no client":                       {c, func(f url.Values) { f.Del("client_id") }, "page"},
		"another redirect_uri":            {c, func(f url.Values) { f.Set("redirect_uri", redirectURI+"/../evil") }, "page"},
		"no redirect_uri":                 {c, func(f url.Values) { f.Del("redirect_uri") }, "page"},
		"a request object, not supported": {c, func(f url.Values) { f.Set("request", "e30.e30.") }, "request_not_supported"},
		"a hint that isn't a token":       {c, func(f url.Values) { f.Set("id_token_hint", "x") }, "login_required"},
		"prompt none with something else": {c, func(f url.Values) { f.Set("prompt", "none login") }, "invalid_request"},
		"an empty prompt, which is none":  {c, func(f url.Values) { f.Set("prompt", "") }, ""},
		"unknown parameters, left aside":  {c, func(f url.Values) { f.Set("foo", "bar") }, ""},
		"a request_uri that is not ours":  {c, func(f url.Values) { f.Set("request_uri", "urn:x") }, "request_uri_not_supported"},
		"a request_uri, without more":     {c, func(f url.Values) { f.Set("request_uri", "urn:x"); f.Del("redirect_uri") }, "page"},
		"a request that is over":          {c, func(f url.Values) { f.Set("request_uri", "urn:ietf:params:oauth:request_uri:x") }, "invalid_request_uri"},
		"two redirect URIs":               {c, func(f url.Values) { f.Add("redirect_uri", redirectURI) }, "page"},
		"two scopes":                      {c, func(f url.Values) { f.Add("scope", "calendar") }, "invalid_request"},
		"an unknown prompt":               {c, func(f url.Values) { f.Set("prompt", "dance") }, "invalid_request"},
		"a max_age that is no number":     {c, func(f url.Values) { f.Set("max_age", "x") }, "invalid_request"},
		"a resource that is no URI":       {c, func(f url.Values) { f["resource"] = []string{"a", "b"} }, "invalid_target"},
		"a resource that is not served":   {c, func(f url.Values) { f.Set("resource", "https://bank.example") }, "invalid_target"},
		"authorization_details":           {c, func(f url.Values) { f.Set("authorization_details", `[{"type":"pay"}]`) }, "invalid_authorization_details"},
		"registration":                    {c, func(f url.Values) { f.Set("registration", "{}") }, "registration_not_supported"},
	} {
		got := request(attempt.by, attempt.change)
		location, err := url.Parse(got.location)
		w.ok(err)
		fragment, err := url.ParseQuery(location.EscapedFragment()) // where the implicit flow has its errors
		w.ok(err)
		switch told := location.Query().Get("error") + fragment.Get("error"); {
		case attempt.want == "page" && got.status == http.StatusBadRequest && got.location == "":
		case attempt.want == "" && strings.HasPrefix(got.location, "/login?id="):
		case attempt.want != "" && attempt.want == told && strings.HasPrefix(got.location, redirectURI):
		default:
			t.Errorf("%s: got %+v, want %q", what, got, attempt.want)
		}
	}
}

func TestPagesKnowWhatTheRequestSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register(func(p *store.CreateClientParams) { p.Scopes = []string{"openid", "calendar"} })
	idToken := c.login(c.oauth2("openid")).Extra("id_token").(string)
	r := w.fetch(w.get("/authorize?" + url.Values{
		"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid email calendar"}, "state": {"s"},
		"code_challenge": {oidc.NewSHACodeChallenge("verifier")}, "code_challenge_method": {"S256"}, "nonce": {"n"}, "response_mode": {"form_post"},
		"prompt": {"login consent"}, "max_age": {"60"}, "login_hint": {"ada@example.com"}, "display": {"popup"}, "ui_locales": {"ne en-GB"},
		"acr_values": {"urn:a urn:b"}, "id_token_hint": {idToken},
	}.Encode()))
	p, err := w.storage.PendingRequest(w.ctx, strings.TrimPrefix(r.location, "/login?id="))
	w.ok(err)
	maxAge := *p.Request.MaxAge
	p.Request.MaxAge = nil
	wantEqual(t, "max_age, by prompt=login", maxAge, 0)
	wantEqual(t, "request", p.Request, zitadel.Request{
		Prompt: []string{"login", "consent"}, LoginHint: "ada@example.com", Display: "popup", UILocales: []string{"ne", "en-GB"},
		ACRValues: []string{"urn:a", "urn:b"}, Subject: w.user.ID,
	})
	a := p.Authorization
	wantEqual(t, "authorization", []any{*a.State, *a.Nonce, *a.ResponseMode, *a.ResponseType, *a.RedirectURI, a.Scopes, a.ClientID, *a.CodeChallengeMethod},
		[]any{"s", "n", "form_post", "code", redirectURI, []string{"openid", "calendar"}, c.id, "S256"})
	if lifetime := a.ExpiresAt.Sub(a.CreatedAt); lifetime != zitadel.DefaultRequestLifetime {
		t.Errorf("the request awaits a decision for %s", lifetime)
	}
}

// OpenID Connect Core 1.0, sections 5.5.1 and 5.5.1.1: who has to be signed in, and how, may stand in the claims parameter.
func TestPagesKnowWhichSignInTheClaimsAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	ask := func(claims, acrValues string) fetched {
		return w.fetch(w.get("/authorize?" + url.Values{
			"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"}, "claims": {claims}, "acr_values": {acrValues},
			"code_challenge": {oidc.NewSHACodeChallenge("verifier")}, "code_challenge_method": {"S256"},
		}.Encode()))
	}
	for claims, want := range map[string][]any{
		`{"id_token":{"acr":{"essential":true,"values":["b","c"]},"sub":{"value":"somebody"}}}`:      {[]string{"a", "b", "c"}, "somebody"},
		`{"id_token":{"acr":{"value":"b"}},"userinfo":{"name":null}}`:                                {[]string{"a", "b"}, ""},
		`{"id_token":{"auth_time":{"essential":true},"acr":null},"userinfo":{"email":{"x":[1,{}]}}}`: {[]string{"a"}, ""},
	} {
		p, err := w.storage.PendingRequest(w.ctx, strings.TrimPrefix(ask(claims, "a").location, "/login?id="))
		w.ok(err)
		wantEqual(t, claims, []any{p.Request.ACRValues, p.Request.Subject}, want)
	}
	for _, claims := range []string{"x", "[]", `{"id_token":{"acr":{"values":"b"}}}`, `{"id_token":{"acr":{"values":["\u0000"]}}}`, `{"id_token":{"sub":{"value":"\u0000"}}}`, `"` + strings.Repeat("a", 20<<10) + `"`} {
		if got := ask(claims, ""); !strings.Contains(got.location, "error=invalid_request") {
			t.Errorf("%.40s: %+v", claims, got)
		}
	}
}

// OpenID Connect Dynamic Client Registration 1.0, section 2, default_max_age.
func TestClientsDefaultMaxAgeCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register(func(p *store.CreateClientParams) { p.DefaultMaxAge = new(time.Hour) })
	for asked, want := range map[string]uint{"": 3600, "60": 60} {
		r := w.fetch(w.get("/authorize?" + url.Values{
			"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"}, "max_age": {asked},
			"code_challenge": {oidc.NewSHACodeChallenge("verifier")}, "code_challenge_method": {"S256"},
		}.Encode()))
		p, err := w.storage.PendingRequest(w.ctx, strings.TrimPrefix(r.location, "/login?id="))
		w.ok(err)
		if got := p.Request.MaxAge; got == nil || *got != want {
			t.Errorf("asked %q: %v, want %d", asked, got, want)
		}
	}
}

func TestDecisionIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2("openid", "email")
	pending := func() string {
		location := w.fetch(w.get(pathOf(w, cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))))).location
		return strings.TrimPrefix(location, "/login?id=")
	}
	approval := w.approval(zitadel.PendingRequest{Authorization: store.OAuthAuthorization{Scopes: []string{"openid"}}})
	approve := func(id string, a zitadel.Approval) (*httptest.ResponseRecorder, error) {
		rw := httptest.NewRecorder()
		err := w.provider.Approve(rw, w.get("/login"), id, a)
		if err != nil && (rw.Body.Len() > 0 || len(rw.Header()) > 0) {
			t.Errorf("written beside the error %v: %v", err, rw)
		}
		return rw, err
	}
	deny := func(id string, reason *oidc.Error) (*httptest.ResponseRecorder, error) {
		rw := httptest.NewRecorder()
		return rw, w.provider.Deny(rw, w.get("/login"), id, reason)
	}
	wantOutcome := func(what string, err error, want store.Outcome) {
		t.Helper()
		var decision *zitadel.DecisionError
		if !errors.As(err, &decision) || decision.Outcome != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}

	id := pending()
	beyond := approval
	beyond.Scopes = []string{"openid", "files"}
	_, err := approve(id, beyond)
	wantOutcome("scopes that were not asked for", err, store.OutcomeInvalidScope)
	_, err = w.storage.PendingRequest(w.ctx, id)
	w.ok(err)
	rw, err := approve(id, approval)
	w.ok(err)
	wantEqual(t, "headers", []string{rw.Header().Get("Cache-Control"), rw.Header().Get("Referrer-Policy")}, []string{"no-store", "no-referrer"})
	elsewhere := approval
	elsewhere.SessionID = new(w.newSession().ID)
	_, err = approve(id, elsewhere)
	wantOutcome("approved again in another session", err, store.OutcomeDecided)
	_, err = deny(id, nil)
	wantOutcome("denied after it was approved", err, store.OutcomeDecided)

	id = pending()
	rw, err = deny(id, oidc.ErrLoginRequired().WithDescription("no session"))
	w.ok(err)
	location, err := url.Parse(rw.Header().Get("Location"))
	w.ok(err)
	wantEqual(t, "denied", location.Query().Encode(), "error=login_required&error_description=no+session&iss="+url.QueryEscape(w.issuer)+"&state=state")
	_, err = approve(id, approval)
	wantOutcome("approved after it was denied", err, store.OutcomeDecided)
	if _, err = w.storage.PendingRequest(w.ctx, id); !errors.Is(err, zitadel.ErrNoRequest) {
		t.Errorf("pending after it was denied: %v", err)
	}

	stranger, foreign, untimed := approval, approval, approval
	stranger.UserID = "nobody"
	foreign.SessionID = new(store.SessionID("none"))
	untimed.AuthTime = time.Time{}
	for what, attempt := range map[string]struct {
		id string
		a  zitadel.Approval
	}{
		"unknown request": {"azn_unknown", approval}, "an id that isn't text": {"\x00", approval}, "no id": {"", approval},
		"unknown user": {pending(), stranger},
	} {
		if _, err := approve(attempt.id, attempt.a); !errors.Is(err, zitadel.ErrNoRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = approve(pending(), foreign)
	wantOutcome("unknown session", err, store.OutcomeSignedOut)
	if _, err = approve(pending(), untimed); err == nil {
		t.Error("approved without the time of the sign-in")
	}
	for _, id := range []string{"azn_unknown", "\x00"} {
		if _, err = deny(id, nil); !errors.Is(err, zitadel.ErrNoRequest) {
			t.Errorf("denied %q: %v", id, err)
		}
		if _, err = w.storage.PendingRequest(w.ctx, id); !errors.Is(err, zitadel.ErrNoRequest) {
			t.Errorf("pending %q: %v", id, err)
		}
	}

	lapsed := pending()
	_, err = w.db.Pool.Exec(w.ctx, `UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`, lapsed)
	w.ok(err)
	_, err = approve(lapsed, approval)
	wantOutcome("approved too late", err, store.OutcomeExpired)
	_, err = deny(lapsed, nil)
	wantOutcome("denied too late", err, store.OutcomeExpired)
	id = pending()
	_, err = w.q.DisableClient(w.ctx, store.ClientID(c.id))
	w.ok(err)
	_, err = approve(id, approval)
	wantOutcome("disabled client", err, store.OutcomeDisabled)
}

func TestRequestObjectIsVerifiedByTheClientsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.RequestObjectSupported = true })
	c, other := w.registerKey(), w.registerKey()
	object := func(by registered) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: by.key, KeyID: "k1"}}, nil)
		w.ok(err)
		return signed(t, signer, map[string]any{"iss": c.id, "aud": w.issuer, "client_id": c.id, "state": "from the object"})
	}
	ask := func(by registered) answer {
		return w.browse(c.oauth2().AuthCodeURL("state", oauth2.S256ChallengeOption("verifier"), oauth2.SetAuthURLParam("request", object(by))))
	}
	wantEqual(t, "state", ask(c).Get("state"), "from the object")
	wantEqual(t, "another one's signature", ask(other).Get("error"), "invalid_request_object")
}

func TestHooksHaveTheirSay(t *testing.T) {
	t.Parallel()
	var published []byte
	w := newWorld(t, func(w *world) {
		w.tenant = new(store.ReferenceID("acme"))
		w.opts.AccessTokenType = zitadel.JWTs
		w.opts.Userinfo = func(_ context.Context, info *oidc.UserInfo, about zitadel.Subject) error {
			info.AppendClaims("tenant", string(*about.ReferenceID))
			info.PreferredUsername = about.User.Name + " of " + string(about.ClientID)
			return nil
		}
		w.opts.AccessTokenClaims = func(_ context.Context, r op.TokenRequest) (map[string]any, error) {
			return map[string]any{"who": r.GetSubject(), "scope": "everything"}, nil
		}
		w.opts.MayIntrospect = func(_ context.Context, caller store.ClientID, told zitadel.Introspected) bool {
			return caller == told.ClientID && *told.ReferenceID == "acme" && told.UserID != nil
		}
		w.opts.JWKS = func(_ context.Context, uri string) (*jose.JSONWebKeySet, error) {
			set := new(jose.JSONWebKeySet)
			if uri != "https://client.example/jwks" {
				return nil, errors.New("unreachable")
			}
			return set, json.Unmarshal(published, set)
		}
	})
	c, other := w.register(), w.register()
	tokens := c.login(c.oauth2("openid", "calendar"))
	var idClaims struct {
		Tenant            string `json:"tenant"`
		PreferredUsername string `json:"preferred_username"`
	}
	w.ok(c.verify(tokens.Extra("id_token")).Claims(&idClaims))
	wantEqual(t, "ID token", []string{idClaims.Tenant, idClaims.PreferredUsername}, []string{"acme", "Ada Lovelace of " + c.id})
	_, info := w.userinfo(tokens.AccessToken)
	wantEqual(t, "userinfo", []any{info["tenant"], info["preferred_username"]}, []string{"acme", "Ada Lovelace of " + c.id})
	claims := new(oidc.AccessTokenClaims)
	_, err := oidc.ParseToken(tokens.AccessToken, claims)
	w.ok(err)
	wantEqual(t, "access token", []any{claims.Claims["who"], claims.Scopes}, []any{w.user.ID, "openid calendar"})
	c.wantActive(true, tokens.AccessToken)
	other.wantActive(false, tokens.AccessToken)

	remote := w.registerKey(func(p *store.CreateClientParams) {
		published = p.JWKS
		p.JWKS, p.JWKSURI = nil, new("https://client.example/jwks")
	})
	away := w.registerKey(func(p *store.CreateClientParams) { p.JWKS, p.JWKSURI = nil, new("https://away.example/jwks") })
	for want, c := range map[int]registered{http.StatusOK: remote, http.StatusUnauthorized: away} {
		status, _ := c.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
		wantEqual(t, "by keys at jwks_uri", status, want)
	}
}

func TestTokenThatIsBoundToAKeyIsNoBearerToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register(public)
	resource := w.register()
	tokens := c.login(c.oauth2())
	_, err := w.db.Pool.Exec(w.ctx, `UPDATE oauth_access_token SET confirmation = '{"jkt":"thumbprint"}'`)
	w.ok(err)
	_, err = w.db.Pool.Exec(w.ctx, `UPDATE oauth_authorization SET confirmation = '{"jkt":"thumbprint"}'`)
	w.ok(err)
	_, told := resource.post("/oauth/introspect", url.Values{"token": {tokens.AccessToken}})
	wantEqual(t, "introspection", []any{told["active"], told["token_type"], told["cnf"]}, []any{true, "DPoP", map[string]string{"jkt": "thumbprint"}})
	status, _ := w.userinfo(tokens.AccessToken)
	wantEqual(t, "userinfo", status, http.StatusUnauthorized)
	_, err = c.refreshWith(c.oauth2(), tokens.RefreshToken)
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
}

func TestRefusalsSayHowToAuthenticate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	header := func(r *http.Request) []any {
		response, err := http.DefaultClient.Do(r)
		w.ok(err)
		defer response.Body.Close()
		var body map[string]any
		_ = json.NewDecoder(response.Body).Decode(&body)
		return []any{response.StatusCode, response.Header.Get("WWW-Authenticate"), body["error"]}
	}
	wrong := c
	wrong.secret = "wrong"
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/revoke"} {
		r := wrong.form(path, url.Values{"grant_type": {"client_credentials"}, "token": {"x"}})
		wantEqual(t, path, header(r), []any{http.StatusUnauthorized, `Basic realm="client"`, "invalid_client"})
	}
	r := c.form("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {c.id}, "client_secret": {"wrong"}})
	r.Header.Del("Authorization")
	wantEqual(t, "by form", header(r), []any{http.StatusUnauthorized, "", "invalid_client"})
	r = w.get("/userinfo")
	r.Header.Set("Authorization", "Bearer x.y.z")
	wantEqual(t, "userinfo", header(r), []any{http.StatusUnauthorized, `Bearer error="invalid_token"`, "invalid_token"})
	tokens := c.login(c.oauth2())
	r = c.form("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}})
	response, err := http.DefaultClient.Do(r)
	w.ok(err)
	response.Body.Close()
	wantEqual(t, "Cache-Control of tokens", response.Header.Get("Cache-Control"), "no-store")
}

func TestDiscoverySaysWhatIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var d oidc.DiscoveryConfiguration
	w.ok(json.Unmarshal([]byte(w.fetch(w.get("/.well-known/openid-configuration")).body), &d))
	wantEqual(t, "discovery", []any{
		d.ResponseTypesSupported, d.ResponseModesSupported, d.GrantTypesSupported, d.ScopesSupported, d.IDTokenSigningAlgValuesSupported,
		d.CodeChallengeMethodsSupported, d.DeviceAuthorizationEndpoint, d.TokenEndpointAuthSigningAlgValuesSupported,
	}, []any{
		"[code]", "[query fragment form_post]", "[authorization_code refresh_token client_credentials urn:ietf:params:oauth:grant-type:jwt-bearer urn:ietf:params:oauth:grant-type:token-exchange]",
		"[openid profile email offline_access calendar]", "[ES256 RS256]", "[S256]", "", "[RS256 ES256 PS256]",
	})
	for _, grant := range []string{"urn:ietf:params:oauth:grant-type:device_code", "password"} {
		status, body := w.register().post("/oauth/token", url.Values{"grant_type": {grant}})
		wantEqual(t, grant, []any{status, body["error"]}, []any{http.StatusBadRequest, "unsupported_grant_type"})
	}
}
