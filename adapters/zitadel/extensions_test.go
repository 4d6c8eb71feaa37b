package zitadel_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// holder holds a DPoP key (RFC 9449).
type holder struct {
	testing.TB
	key *ecdsa.PrivateKey
}

func newHolder(t testing.TB) holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return holder{t, key}
}

func (h holder) thumbprint() string {
	digest, err := (&jose.JSONWebKey{Key: &h.key.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		h.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(digest)
}

// proof is one for a request; more alters its claims.
func (h holder) proof(method, uri string, more map[string]any) string {
	claims := map[string]any{"jti": token32(), "htm": method, "htu": uri, "iat": time.Now().Unix()}
	maps.Copy(claims, more)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: h.key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		h.Fatal(err)
	}
	return signed(h, signer, claims)
}

// prove sends a form with a proof.
func (c registered) prove(proof, path string, form url.Values) (int, map[string]any) {
	c.Helper()
	r := c.form(path, form)
	r.Header.Set("DPoP", proof)
	return c.send(r)
}

// withProof asks the UserInfo endpoint with a token that is bound to a key.
func (w *world) withProof(scheme, accessToken, proof string) (int, string) {
	w.Helper()
	r := w.get("/userinfo")
	r.Header.Set("Authorization", scheme+" "+accessToken)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	status, body := w.send(r)
	code, _ := body["error"].(string)
	return status, code
}

func TestTokensAreBoundToTheKeyOfTheProof(t *testing.T) {
	t.Parallel()
	for _, jwts := range []bool{false, true} {
		w := newWorld(t, func(w *world) {
			if jwts {
				w.opts.AccessTokenType = zitadel.JWTs
			}
		})
		c, resource, h, thief := w.register(public), w.register(), newHolder(t), newHolder(t)
		cfg := c.oauth2("openid", "offline_access")
		at := w.issuer + "/oauth/token"
		code, verifier := c.authorize(cfg, oauth2.SetAuthURLParam("dpop_jkt", h.thumbprint()))
		redeem := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
		status, body := c.prove(thief.proof("POST", at, nil), "/oauth/token", maps.Clone(redeem))
		wantEqual(t, "another key than dpop_jkt", []any{status, body["error"]}, []any{400, "invalid_grant"})
		status, tokens := c.prove(h.proof("POST", at, nil), "/oauth/token", maps.Clone(redeem))
		wantEqual(t, "redemption", []any{status, tokens["token_type"]}, []any{200, "DPoP"})
		access := tokens["access_token"].(string)
		_, told := resource.post("/oauth/introspect", url.Values{"token": {access}})
		wantEqual(t, "introspection", []any{told["active"], told["token_type"], told["cnf"]}, []any{true, "DPoP", map[string]string{"jkt": h.thumbprint()}})
		if jwts {
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
			w.ok(err)
			var claims struct{ Cnf struct{ JKT string } }
			w.ok(json.Unmarshal(payload, &claims))
			wantEqual(t, "cnf of the JWT", claims.Cnf.JKT, h.thumbprint())
		}

		hash := sha256.Sum256([]byte(access))
		ath := map[string]any{"ath": base64.RawURLEncoding.EncodeToString(hash[:])}
		here := w.issuer + "/userinfo"
		good := h.proof("GET", here, ath)
		for _, attempt := range []struct {
			what, scheme, proof string
			status              int
			code                string
		}{
			{"as a bearer token", "Bearer", "", 401, "invalid_token"},
			{"without a proof", "DPoP", "", 401, "invalid_dpop_proof"},
			{"by a thief", "DPoP", thief.proof("GET", here, ath), 401, "invalid_token"},
			{"without ath", "DPoP", h.proof("GET", here, nil), 401, "invalid_dpop_proof"},
			{"with a proof", "DPoP", good, 200, ""},
			{"with the same proof", "DPoP", good, 401, "invalid_dpop_proof"},
		} {
			status, code := w.withProof(attempt.scheme, access, attempt.proof)
			wantEqual(t, attempt.what, []any{status, code}, []any{attempt.status, attempt.code})
		}

		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}}
		for _, attempt := range []struct {
			what, proof string
			status      int
			code        any
		}{
			{"by another key", thief.proof("POST", at, nil), 400, "invalid_grant"},
			{"for another endpoint", h.proof("POST", here, nil), 400, "invalid_dpop_proof"},
			{"for another method", h.proof("GET", at, nil), 400, "invalid_dpop_proof"},
			{"of yesterday", h.proof("POST", at, map[string]any{"iat": time.Now().Add(-24 * time.Hour).Unix()}), 400, "invalid_dpop_proof"},
			{"of tomorrow", h.proof("POST", at, map[string]any{"iat": time.Now().Add(24 * time.Hour).Unix()}), 400, "invalid_dpop_proof"},
			{"without jti", h.proof("POST", at, map[string]any{"jti": ""}), 400, "invalid_dpop_proof"},
			{"that is no JWT", "proof", 400, "invalid_dpop_proof"},
			{"as it should be", h.proof("POST", at, nil), 200, nil},
		} {
			status, body := c.prove(attempt.proof, "/oauth/token", maps.Clone(refresh))
			wantEqual(t, "refresh "+attempt.what, []any{status, body["error"]}, []any{attempt.status, attempt.code})
		}
	}
}

// RFC 9449, section 8: a proof that was made in advance is good for nothing.
func TestProofsCarryTheServersNonce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.DPoPNonces = true })
	c, h := w.register(), newHolder(t)
	at, here := w.issuer+"/oauth/token", w.issuer+"/userinfo"
	tokens := c.login(c.oauth2("openid", "offline_access"))
	send := func(r *http.Request) (int, map[string]any, http.Header) {
		response, err := http.DefaultClient.Do(r)
		w.ok(err)
		defer response.Body.Close()
		var body map[string]any
		w.ok(json.NewDecoder(response.Body).Decode(&body))
		return response.StatusCode, body, response.Header
	}
	refresh := func(proof string) (int, map[string]any, http.Header) {
		r := c.form("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}})
		r.Header.Set("DPoP", proof)
		return send(r)
	}
	without := h.proof("POST", at, nil)
	w.calls.take()
	status, body, header := refresh(without)
	wantEqual(t, "without a nonce", []any{status, body["error"]}, []any{400, "use_dpop_nonce"})
	nonce := header.Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("no nonce is given")
	}
	wantEqual(t, "statements", w.calls.take(), []string{"AuthenticateClient"})
	nonces, takes := zitadel.Nonces(w.storage)
	for what, other := range map[string]string{
		"of nobody": "nonce", "of yesterday": nonces(time.Now().Add(-24 * time.Hour)), "of tomorrow": nonces(time.Now().Add(24 * time.Hour)),
	} {
		status, body, _ := refresh(h.proof("POST", at, map[string]any{"nonce": other}))
		wantEqual(t, "a nonce "+what, []any{status, body["error"]}, []any{400, "use_dpop_nonce"})
	}
	status, body, header = refresh(h.proof("POST", at, map[string]any{"nonce": nonce}))
	wantEqual(t, "with the nonce", []any{status, body["token_type"], header.Get("DPoP-Nonce") != ""}, []any{200, "DPoP", true})

	access := body["access_token"].(string)
	hash := sha256.Sum256([]byte(access))
	ath := map[string]any{"ath": base64.RawURLEncoding.EncodeToString(hash[:])}
	ask := func() (int, map[string]any, http.Header) {
		r := w.get("/userinfo")
		r.Header.Set("Authorization", "DPoP "+access)
		r.Header.Set("DPoP", h.proof("GET", here, ath))
		return send(r)
	}
	status, _, header = ask()
	wantEqual(t, "userinfo without a nonce", []any{status, strings.Contains(strings.Join(header.Values("WWW-Authenticate"), " "), `DPoP error="use_dpop_nonce"`)}, []any{401, true})
	ath["nonce"] = header.Get("DPoP-Nonce")
	status, _, _ = ask()
	wantEqual(t, "userinfo with the nonce", status, 200)

	// For a while after it was given out, and by all servers.
	now := time.Now()
	other, _ := w.newServer(w.db.Pool)
	given, _ := zitadel.Nonces(other)
	for after, want := range map[time.Duration]bool{0: true, 5 * time.Minute: true, 11 * time.Minute: false, -11 * time.Minute: false} {
		if takes(given(now), now.Add(after)) != want {
			t.Errorf("%s after it was given, a nonce is taken: %t", after, !want)
		}
	}
}

// RFC 8707: what was asked for and granted is what a token is for.
func TestTokensAreForTheResources(t *testing.T) {
	t.Parallel()
	const calendar, mail = "https://calendar.example", "https://mail.example"
	w := newWorld(t, func(w *world) { w.opts.Resources = []string{calendar, mail} })
	c, resource := w.register(), w.register()
	cfg := c.oauth2("openid", "offline_access")
	code, verifier := c.authorize(cfg, oauth2.SetAuthURLParam("resource", calendar))
	redeem := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
	redeem.Set("resource", mail)
	status, body := c.post("/oauth/token", maps.Clone(redeem))
	wantEqual(t, "a resource that was not granted", []any{status, body["error"]}, []any{400, "invalid_target"})
	redeem.Set("resource", calendar)
	_, body = c.post("/oauth/token", maps.Clone(redeem))
	_, told := resource.post("/oauth/introspect", url.Values{"token": {body["access_token"].(string)}})
	wantEqual(t, "aud", told["aud"], []string{c.id, calendar})
	wantEqual(t, "aud of the ID token", c.verify(body["id_token"]).Audience, []string{c.id})
	_, body = c.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"files"}, "resource": {mail}})
	_, told = resource.post("/oauth/introspect", url.Values{"token": {body["access_token"].(string)}})
	wantEqual(t, "aud of a client's own", told["aud"], []string{c.id, mail})
}

func devices(p *store.CreateClientParams) {
	p.GrantTypes = append(p.GrantTypes, "urn:ietf:params:oauth:grant-type:device_code")
}

func TestDeviceIsGrantedAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.DeviceURL = "https://op.example/device" })
	c := w.register(public, devices)
	begin := func() map[string]any {
		status, told := c.post("/device_authorization", url.Values{"scope": {"openid offline_access"}})
		wantEqual(t, "device authorization", status, 200)
		return told
	}
	poll := func(told map[string]any) (int, map[string]any) {
		return c.post("/oauth/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {told["device_code"].(string)},
		})
	}
	claim := func(told map[string]any) store.AuthorizationID {
		found, err := w.q.FindAuthorizationByUserCode(w.ctx, store.FindAuthorizationByUserCodeParams{
			UserCode: zitadel.UserCode(strings.ToLower(told["user_code"].(string))), UserID: w.user.ID, SessionID: &w.session.ID,
		})
		w.ok(err)
		wantEqual(t, "user code", found.Outcome, store.OutcomeClaimed)
		return *found.ID
	}
	told := begin()
	wantEqual(t, "verification_uri", told["verification_uri"], "https://op.example/device")
	status, body := poll(told)
	wantEqual(t, "before", []any{status, body["error"]}, []any{400, "authorization_pending"})
	status, body = poll(told)
	wantEqual(t, "at once again", []any{status, body["error"]}, []any{400, "slow_down"})
	approved, err := w.q.ApproveAuthorization(w.ctx, store.ApproveAuthorizationParams{
		ID: claim(told), UserID: w.user.ID, SessionID: &w.session.ID, GrantedScopes: []string{"openid", "offline_access"},
		AuthTime: &w.session.CreatedAt, DefaultScopes: []string{"openid", "offline_access"},
	})
	w.ok(err)
	wantEqual(t, "approval", approved.Outcome, store.OutcomeApproved)
	status, first := poll(told)
	wantEqual(t, "after", []any{status, first["scope"]}, []any{200, "openid offline_access"})
	c.verify(first["id_token"])
	w.calls.take()
	status, again := poll(told)
	wantEqual(t, "after a lost answer", []any{status, again["refresh_token"]}, []any{200, first["refresh_token"]})
	wantEqual(t, "calls", w.calls.take(), []string{"PollDeviceCode"})

	denied := begin()
	_, err = w.q.DenyAuthorization(w.ctx, store.DenyAuthorizationParams{ID: claim(denied), UserID: &w.user.ID})
	w.ok(err)
	status, body = poll(denied)
	wantEqual(t, "denied", []any{status, body["error"]}, []any{400, "access_denied"})
	late := begin()
	_, err = w.db.Pool.Exec(w.ctx, `UPDATE oauth_polled_request SET expires_at = now()`)
	w.ok(err)
	status, body = poll(late)
	wantEqual(t, "too late", []any{status, body["error"]}, []any{400, "expired_token"})
	for what, other := range map[string]registered{"not registered for it": w.register(public)} {
		status, body := other.post("/device_authorization", url.Values{"scope": {"openid"}})
		wantEqual(t, what, []any{status, body["error"]}, []any{400, "unauthorized_client"})
	}
	stranger := registered{world: w, id: "nobody"}
	status, body = stranger.post("/device_authorization", url.Values{"scope": {"openid"}})
	wantEqual(t, "a stranger", []any{status, body["error"]}, []any{401, "invalid_client"})
}

func exchanges(p *store.CreateClientParams) {
	p.GrantTypes = append(p.GrantTypes, "urn:ietf:params:oauth:grant-type:token-exchange")
}

// RFC 8693.
func TestTokenIsExchanged(t *testing.T) {
	t.Parallel()
	const access = "urn:ietf:params:oauth:token-type:access_token"
	for _, jwts := range []bool{false, true} {
		w := newWorld(t, func(w *world) {
			if jwts {
				w.opts.AccessTokenType = zitadel.JWTs
			}
		})
		c := w.register(exchanges)
		other, resource := w.register(), w.register()
		tokens := c.login(c.oauth2("openid", "calendar", "files"))
		exchange := func(by registered, change func(url.Values)) (int, map[string]any) {
			form := url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {tokens.AccessToken},
				"subject_token_type": {access}, "scope": {"calendar"},
			}
			change(form)
			return by.post("/oauth/token", form)
		}
		status, body := exchange(c, func(url.Values) {})
		wantEqual(t, "exchange", []any{status, body["issued_token_type"], body["scope"], body["id_token"]}, []any{200, access, "calendar", nil})
		_, told := resource.post("/oauth/introspect", url.Values{"token": {body["access_token"].(string)}})
		wantEqual(t, "introspection", []any{told["active"], told["sub"], told["scope"]}, []any{true, string(w.user.ID), "calendar"})
		for what, attempt := range map[string]struct {
			by     registered
			change func(url.Values)
			want   string
		}{
			"beyond the token":           {c, func(f url.Values) { f.Set("scope", "email") }, "invalid_scope"},
			"not registered for it":      {other, func(url.Values) {}, "unauthorized_client"},
			"for a refresh token":        {c, func(f url.Values) { f.Set("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token") }, "invalid_request"},
			"of an unknown token":        {c, func(f url.Values) { f.Set("subject_token", "x.y.z") }, "invalid_request"},
			"of a token without kind":    {c, func(f url.Values) { f.Del("subject_token_type") }, "invalid_request"},
			"for another resource":       {c, func(f url.Values) { f.Set("resource", "https://bank.example") }, "invalid_target"},
			"for an audience":            {c, func(f url.Values) { f.Set("audience", "bank") }, "invalid_target"},
			"with an unknown actor":      {c, func(f url.Values) { f.Set("actor_token", "x"); f.Set("actor_token_type", access) }, "invalid_request"},
			"with authorization_details": {c, func(f url.Values) { f.Set("authorization_details", `[{"type":"pay"}]`) }, "invalid_authorization_details"},
		} {
			status, body := exchange(attempt.by, attempt.change)
			wantEqual(t, what, []any{status, body["error"]}, []any{400, attempt.want})
		}
	}
}

// RFC 9126.
func TestRequestIsPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.register(), w.register()
	verifier := oauth2.GenerateVerifier()
	push := func(by registered, change func(url.Values)) (int, map[string]any) {
		form := url.Values{
			"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
			"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
		}
		change(form)
		return by.post("/par", form)
	}
	status, told := push(c, func(url.Values) {})
	wantEqual(t, "pushed", []any{status, told["expires_in"]}, []any{http.StatusCreated, 60})
	a := w.browse(w.issuer + "/authorize?" + url.Values{"client_id": {c.id}, "request_uri": {told["request_uri"].(string)}}.Encode())
	wantEqual(t, "state", a.Get("state"), "s")
	tokens, err := c.oauth2("openid").Exchange(w.ctx, a.Get("code"), oauth2.VerifierOption(verifier))
	w.ok(err)
	c.verify(tokens.Extra("id_token"))
	a = w.browse(w.issuer + "/authorize?" + url.Values{"client_id": {c.id}, "request_uri": {told["request_uri"].(string)}}.Encode())
	wantEqual(t, "again, when it was decided", []any{a.status, strings.TrimSpace(a.body)}, []any{400, "invalid_request_uri"})

	h := newHolder(t)
	r := c.form("/par", url.Values{
		"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	})
	r.Header.Set("DPoP", h.proof("POST", w.issuer+"/par", nil))
	status, told = w.send(r)
	wantEqual(t, "pushed with a proof", status, http.StatusCreated)
	a = w.browse(w.issuer + "/authorize?" + url.Values{"client_id": {c.id}, "request_uri": {told["request_uri"].(string)}}.Encode())
	_, err = c.oauth2("openid").Exchange(w.ctx, a.Get("code"), oauth2.VerifierOption(verifier))
	w.wantOAuthError(err, 400, "invalid_grant") // without the key

	wrong := c
	wrong.secret = "wrong"
	for what, attempt := range map[string]struct {
		by     registered
		change func(url.Values)
		status int
		want   string
	}{
		"a wrong secret":        {wrong, func(url.Values) {}, 401, "invalid_client"},
		"another client's":      {other, func(url.Values) {}, 401, "invalid_client"},
		"a request_uri":         {c, func(f url.Values) { f.Set("request_uri", "urn:x") }, 400, "invalid_request"},
		"a redirect_uri":        {c, func(f url.Values) { f.Set("redirect_uri", "https://thief.example") }, 400, "invalid_request"},
		"a scope":               {c, func(f url.Values) { f.Set("scope", "admin") }, 400, "invalid_scope"},
		"a resource":            {c, func(f url.Values) { f.Set("resource", "https://bank.example") }, 400, "invalid_target"},
		"a plain challenge":     {c, func(f url.Values) { f.Set("code_challenge_method", "plain") }, 400, "invalid_request"},
		"another response":      {c, func(f url.Values) { f.Set("response_type", "token") }, 400, "unsupported_response_type"},
		"authorization_details": {c, func(f url.Values) { f.Set("authorization_details", `[{"type":"pay"}]`) }, 400, "invalid_authorization_details"},
	} {
		status, body := push(attempt.by, attempt.change)
		wantEqual(t, what, []any{status, body["error"]}, []any{attempt.status, attempt.want})
	}
}

// RFC 6750, section 3.1: no error without a token; a token in the URI is none (section 5.3).
func TestUserInfoSaysWhatIsWrongWithTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	good, plain := c.login(c.oauth2("openid")).AccessToken, c.login(c.oauth2("calendar")).AccessToken
	ask := func(change func(*http.Request)) string {
		r := w.get("/userinfo")
		change(r)
		response, err := http.DefaultClient.Do(r)
		w.ok(err)
		response.Body.Close()
		wantEqual(t, "Cache-Control", response.Header.Get("Cache-Control"), "no-store")
		return response.Status[:3] + " " + response.Header.Get("WWW-Authenticate")
	}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for what, attempt := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"no token":           {func(*http.Request) {}, "401 Bearer"},
		"another scheme":     {func(r *http.Request) { r.SetBasicAuth(c.id, c.secret) }, "401 Bearer"},
		"a token in the URI": {func(r *http.Request) { r.URL.RawQuery = "access_token=" + good }, "401 Bearer"},
		"an unknown token":   {bearer("x"), `401 Bearer error="invalid_token"`},
		"without openid":     {bearer(plain), `403 Bearer error="insufficient_scope" scope="openid"`},
		"a good one":         {bearer(good), "200 "},
	} {
		wantEqual(t, what, ask(attempt.change), attempt.want)
	}
}

// Scripts call the endpoints from every origin and without cookies; they see why they are refused, and may send a proof.
func TestScriptsOfOtherOriginsCallEndpointsAndNoPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, want := range map[string]bool{
		"/oauth/token": true, "/userinfo": true, "/revoke": true, "/.well-known/openid-configuration": true, "/keys": true, "/par": true,
		"/authorize": false, "/authorize/callback": false, "/end_session": false,
	} {
		r := w.get(path)
		r.Method = http.MethodOptions
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		r.Header.Set("Access-Control-Request-Headers", "authorization,dpop")
		response, err := http.DefaultClient.Do(r)
		w.ok(err)
		response.Body.Close()
		got := response.Header.Get("Access-Control-Allow-Origin") == "https://app.example" && response.Header.Get("Access-Control-Allow-Headers") == "authorization,dpop"
		wantEqual(t, path, []any{got, response.Header.Get("Access-Control-Allow-Credentials")}, []any{want, ""})
	}
	r := w.get("/userinfo")
	r.Header.Set("Origin", "https://app.example")
	response, err := http.DefaultClient.Do(r)
	w.ok(err)
	response.Body.Close()
	wantEqual(t, "exposed", response.Header.Get("Access-Control-Expose-Headers"), "Www-Authenticate, Dpop-Nonce")
}

// RFC 7523, section 3, item 3: the token endpoint's URL names the server as well as the issuer does.
func TestAssertionIsMeantForTheIssuerOrTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.registerKey()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.key, KeyID: "k1"}}, nil)
	w.ok(err)
	for _, aud := range []any{w.issuer, w.issuer + "/oauth/token", []string{w.issuer}, []string{"https://other.example", w.issuer + "/oauth/token"}} {
		now := time.Now().Unix()
		assertion := signed(t, signer, map[string]any{"iss": c.id, "sub": c.id, "aud": aud, "iat": now, "exp": now + 60, "jti": token32()})
		for _, want := range []int{http.StatusOK, http.StatusUnauthorized} { // once
			status, body := c.post("/oauth/token", url.Values{
				"grant_type": {"client_credentials"}, "scope": {"files"}, "client_assertion": {assertion},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			})
			if status != want {
				t.Errorf("aud %v: %d %v", aud, status, body)
			}
		}
	}
}

// RFC 7662, section 2.1, and RFC 7009, section 2.1: token is required, and so is the client's authentication, before all else.
func TestIntrospectionAndRevocationBeginWithTheClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, keyed := w.register(), w.registerKey()
	for _, path := range []string{"/oauth/introspect", "/revoke"} {
		status, body := c.post(path, url.Values{})
		wantEqual(t, path+" without a token", []any{status, body["error"]}, []any{400, "invalid_request"})
		wrong := c
		wrong.secret = "wrong"
		status, body = wrong.post(path, url.Values{})
		wantEqual(t, path+" without a token, by a stranger", []any{status, body["error"]}, []any{401, "invalid_client"})
		status, body = keyed.post(path, url.Values{"token": {"x"}, "client_assertion": {"x.y.z"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
		wantEqual(t, path+" with a broken assertion", []any{status, body["error"]}, []any{401, "invalid_client"})
		r := c.form(path, url.Values{"token": {"x"}, "client_id": {c.id}, "client_secret": {c.secret}})
		r.Header.Del("Authorization")
		status, _ = w.send(r)
		wantEqual(t, path+" by client_secret_post", status, 200)
	}
}
