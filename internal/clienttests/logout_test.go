package clienttests

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Re-enactments of the modules of oidcc-rp-initiated-logout-certification-test-plan and
// oidcc-backchannel-rp-initiated-logout-certification-test-plan.

const logoutState = "a state that is long and has characters that are escaped: ?&=/#%"

// newLogout is a client of these plans, whose user is signed in.
func newLogout(t *testing.T, changes ...document) (o basic, idToken string, sid any) {
	o = newBasic(t, append([]document{{"post_logout_redirect_uris": []string{postLogout}}}, changes...)...)
	tokens, claims := o.login()
	return o, tokens.text("id_token"), claims["sid"]
}

// endSession sends the browser to the end_session_endpoint; an empty value leaves a parameter out.
func (o basic) endSession(params ...string) answer {
	o.Helper()
	r := get("/end_session")
	for i := 0; i < len(params); i += 2 {
		if params[i+1] != "" {
			r.query.Set(params[i], params[i+1])
		}
	}
	return o.b.open(r)
}

// signedOut asks with prompt=none whether the user is.
func (o basic) signedOut(want bool) {
	o.Helper()
	_, told := o.b.open(o.request("prompt", "none")).response()
	wanted := ""
	if want {
		wanted = "login_required"
	}
	o.want("prompt=none afterwards", told.Get("error"), wanted)
}

// returned: the browser is back at the client, with the state.
func (o basic) returned(a answer, state string) {
	o.Helper()
	got := a.url.Query()
	a.url.RawQuery = ""
	o.want("the address", []any{a.url.String(), got.Get("state"), len(got)}, []any{postLogout, state, map[bool]int{true: 0, false: 1}[state == ""]})
}

// asked: the browser shows a page of the server's, which nothing has led back from.
func (o basic) asked(a answer) {
	o.Helper()
	if !strings.HasPrefix(a.url.String(), o.issuer+"/") {
		o.Fatalf("led to %s", a.url)
	}
	o.signedOut(false)
}

func TestOidccRpInitiatedLogoutDiscoveryEndpointVerification(t *testing.T) {
	w := newWorld(t)
	w.want("end_session_endpoint", w.discovery()["end_session_endpoint"], w.issuer+"/end_session")
}

func TestOidccRpInitiatedLogout(t *testing.T) {
	o, idToken, _ := newLogout(t)
	o.returned(o.endSession("id_token_hint", idToken, "post_logout_redirect_uri", postLogout, "state", logoutState), logoutState)
	o.signedOut(true)
}

// OpenID Connect RP-Initiated Logout 1.0, section 2: the endpoint takes POST as well, which comes from the client's page.
func TestRPInitiatedLogoutByPOST(t *testing.T) {
	o, idToken, _ := newLogout(t)
	r := post("/end_session", "id_token_hint", idToken, "post_logout_redirect_uri", postLogout, "state", logoutState, "client_id", o.id)
	r.header.Set("Sec-Fetch-Site", "cross-site")
	o.returned(o.b.open(r), logoutState)
	o.signedOut(true)
	another := o.register(document{"post_logout_redirect_uris": []string{postLogout}})
	o.want("a hint for another client", o.b.open(r.with("client_id", another.id)).status, http.StatusBadRequest)
}

func TestOidccRpInitiatedLogoutBadPostLogoutRedirectUri(t *testing.T) {
	o, idToken, _ := newLogout(t)
	o.asked(o.endSession("id_token_hint", idToken, "post_logout_redirect_uri", "https://other.example/signed-out", "state", logoutState))
}

func TestOidccRpInitiatedLogoutModifiedIdTokenHint(t *testing.T) {
	o, idToken, _ := newLogout(t)
	var claims map[string]any
	parsed, err := jwt.ParseSigned(idToken, []jose.SignatureAlgorithm{jose.ES256})
	o.ok(err)
	o.ok(parsed.UnsafeClaimsWithoutVerification(&claims))
	o.asked(o.endSession("id_token_hint", unsigned(claims), "post_logout_redirect_uri", postLogout, "state", logoutState))
}

// Of an earlier version of the plan.
func TestOidccRpInitiatedLogoutBadIdTokenHint(t *testing.T) {
	o, idToken, _ := newLogout(t)
	var claims map[string]any
	parsed, err := jwt.ParseSigned(idToken, []jose.SignatureAlgorithm{jose.ES256})
	o.ok(err)
	o.ok(parsed.UnsafeClaimsWithoutVerification(&claims))
	forged := signed(t, newKey(t), map[jose.HeaderKey]any{"kid": parsed.Headers[0].KeyID}, claims)
	o.asked(o.endSession("id_token_hint", forged, "post_logout_redirect_uri", postLogout, "state", logoutState))
}

// Of an earlier version of the plan.
func TestOidccRpInitiatedLogoutQueryAddedToPostLogoutRedirectUri(t *testing.T) {
	o, idToken, _ := newLogout(t)
	o.asked(o.endSession("id_token_hint", idToken, "post_logout_redirect_uri", postLogout+"?foo=bar", "state", logoutState))
}

func TestOidccRpInitiatedLogoutNoIdTokenHint(t *testing.T) {
	o, _, _ := newLogout(t)
	o.asked(o.endSession("post_logout_redirect_uri", postLogout, "state", logoutState))
}

// confirmed: the server asks first, and the user is signed out after a click.
func (o basic) confirmed(a answer) {
	o.Helper()
	o.asked(a)
	o.want("the page", []any{a.status, a.url.Path}, []any{200, "/signout"})
	a = o.b.submit(a)
	o.want("the page after it", []any{a.status, strings.Contains(a.raw, "Signed out")}, []any{200, true})
	o.signedOut(true)
}

func TestOidccRpInitiatedLogoutNoParams(t *testing.T) {
	o, _, _ := newLogout(t)
	o.confirmed(o.endSession())
}

func TestOidccRpInitiatedLogoutOnlyState(t *testing.T) {
	o, _, _ := newLogout(t)
	o.confirmed(o.endSession("state", logoutState))
}

func TestOidccRpInitiatedLogoutNoPostLogoutRedirectUri(t *testing.T) {
	o, idToken, _ := newLogout(t)
	a := o.endSession("id_token_hint", idToken, "state", logoutState)
	o.want("the page", []any{a.status, strings.HasPrefix(a.url.String(), o.issuer+"/"), strings.Contains(a.raw, "Signed out")}, []any{200, true, true})
	o.signedOut(true)
}

func TestOidccRpInitiatedLogoutNoState(t *testing.T) {
	o, idToken, _ := newLogout(t)
	o.returned(o.endSession("id_token_hint", idToken, "post_logout_redirect_uri", postLogout), "")
	o.signedOut(true)
}

func TestOidccBackchannelLogoutDiscoveryEndpointVerification(t *testing.T) {
	w := newWorld(t)
	d := w.discovery()
	w.want("discovery", []any{d["backchannel_logout_supported"], d["backchannel_logout_session_supported"]}, []any{true, true})
}

func TestOidccBackchannelRpInitiatedLogout(t *testing.T) {
	told := make(chan url.Values, 8)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		told <- r.PostForm
		w.Header().Set("Cache-Control", "no-store")
	}))
	t.Cleanup(app.Close)
	o, idToken, sid := newLogout(t, document{"backchannel_logout_uri": app.URL + "/backchannel_logout", "backchannel_logout_session_required": true})
	o.returned(o.endSession("id_token_hint", idToken, "post_logout_redirect_uri", postLogout, "state", logoutState), logoutState)
	var form url.Values
	select {
	case form = <-told:
	case <-time.After(time.Minute):
		t.Fatal("the client is not told")
	}
	o.want("the parameters", len(form), 1)
	var keys jose.JSONWebKeySet
	o.ok(json.Unmarshal([]byte(o.send(get("/keys")).raw), &keys))
	token, err := jwt.ParseSigned(form.Get("logout_token"), []jose.SignatureAlgorithm{jose.ES256})
	o.ok(err)
	var claims, of map[string]any
	o.ok(token.Claims(keys.Key(token.Headers[0].KeyID)[0].Key, &claims))
	parsed, err := jwt.ParseSigned(idToken, []jose.SignatureAlgorithm{jose.ES256})
	o.ok(err)
	o.ok(parsed.UnsafeClaimsWithoutVerification(&of))
	o.want("iss, aud, sub, sid", []any{claims["iss"], claims["aud"], claims["sub"], claims["sid"]}, []any{o.issuer, []string{o.id}, of["sub"], sid})
	events, _ := claims["events"].(map[string]any)
	_, isLogout := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	o.want("events", []any{len(events), isLogout}, []any{1, true})
	o.want("iat, jti, nonce", []any{claims["iat"] != nil, claims["exp"] != nil, claims["jti"] != nil, claims["nonce"]}, []any{true, true, true, nil})
	o.signedOut(true)
}
