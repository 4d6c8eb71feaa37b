package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// device is an app on a screen without a keyboard.
type device struct{ *world }

const (
	deviceClient            = "big-screen"
	deviceGrant             = "urn:ietf:params:oauth:grant-type:device_code"
	deviceAuthorizationPath = "/device_authorization"
	tokenPath               = "/oauth/token"
)

// call posts a form as the device does, and returns what it is told.
func (d device) call(path string, form url.Values) (status int, told map[string]any) {
	d.Helper()
	form.Set("client_id", deviceClient)
	r, err := http.NewRequestWithContext(d.Context(), http.MethodPost, d.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		d.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		d.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		d.Fatal(err)
	}
	if err := json.Unmarshal(body, &told); err != nil {
		d.Fatalf("%s: %s", response.Status, body)
	}
	return response.StatusCode, told
}

// begin is a new request: its codes.
func (d device) begin() (deviceCode, userCode string) {
	d.Helper()
	status, told := d.call(deviceAuthorizationPath, url.Values{"scope": {"openid profile photos.read offline_access"}})
	if status != http.StatusOK || told["verification_uri"] != d.issuer+"/device" || told["interval"] != 5.0 {
		d.Fatalf("%d %v", status, told)
	}
	return told["device_code"].(string), told["user_code"].(string)
}

// poll fails the test unless the device is told wantError or, if it is empty, gets tokens.
func (d device) poll(deviceCode, wantError string) map[string]any {
	d.Helper()
	_, told := d.call(tokenPath, url.Values{"grant_type": {deviceGrant}, "device_code": {deviceCode}})
	if got, _ := told["error"].(string); got != wantError {
		d.Fatalf("the device is told %v, want the error %q", told, wantError)
	}
	return told
}

func (d device) introspect(told map[string]any) store.Outcome {
	d.Helper()
	row, err := d.store.IntrospectAccessToken(d.Context(), store.IntrospectAccessTokenParams{
		ClientAuthMethod: "server", Token: token.DigestOf(told["access_token"].(string)),
	})
	if err != nil {
		d.Fatal(err)
	}
	return row.Outcome
}

func TestDeviceIsConnectedByTheUserWhoEntersItsCode(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := device{w}
	deviceCode, userCode := d.begin()
	d.poll(deviceCode, "authorization_pending")
	d.poll(deviceCode, "slow_down")

	b := w.browser()
	a := b.get(w.issuer + "/device?user_code=" + userCode)
	b.wantPage(a, http.StatusOK, "/signin", "to connect a device")
	a = b.signIn(a, w.demo.email, w.demo.password)
	b.wantPage(a, http.StatusOK, "/device", userCode)
	b.wantPage(b.post(w.issuer+"/device", url.Values{"user_code": {"BBBB-BBBB"}}), http.StatusUnprocessableEntity, "/device", "No device waits with this code")
	a = b.post(w.issuer+"/device", url.Values{"user_code": {" " + strings.ToLower(userCode)}})
	b.wantPage(a, http.StatusOK, "/device", "Connect Big Screen?")
	b.wantPage(b.post(w.issuer+"/device/decide", a.form("decision", "allow")), http.StatusOK, "/device/decide", "Your device is connected")

	first := d.poll(deviceCode, "")
	again := d.poll(deviceCode, "") // the answer was lost
	if first["refresh_token"] == nil || first["refresh_token"] != again["refresh_token"] {
		t.Errorf("two polls have got different refresh tokens")
	}
	if d.introspect(first) != store.OutcomeActive {
		t.Error("the access token is not live")
	}
	provider, err := gooidc.NewProvider(t.Context(), w.issuer)
	if err != nil {
		t.Fatal(err)
	}
	if provider.Endpoint().DeviceAuthURL != w.issuer+deviceAuthorizationPath {
		t.Errorf("discovery says %q", provider.Endpoint().DeviceAuthURL)
	}
	idToken, err := provider.Verifier(&gooidc.Config{ClientID: deviceClient}).Verify(t.Context(), first["id_token"].(string))
	if err != nil || idToken.Subject != string(w.demo.user) {
		t.Errorf("the ID token: %v %v", idToken, err)
	}
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, accountPath, "Big Screen")

	// What a device gets is refreshed like any other token; then the code is spent.
	status, told := d.call(tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}})
	if status != http.StatusOK {
		t.Fatalf("refreshing: %d %v", status, told)
	}
	d.poll(deviceCode, "invalid_grant")
	if d.introspect(told) != store.OutcomeInactive {
		t.Error("the code came back after its refresh token was used, and the tokens live on")
	}
}

func TestDeviceIsToldOfARefusal(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := device{w}
	deviceCode, userCode := d.begin()
	b := w.browser().signedIn()
	a := b.post(w.issuer+"/device", url.Values{"user_code": {userCode}})
	b.wantPage(b.post(w.issuer+"/device/decide", a.form("decision", "deny")), http.StatusOK, "/device/decide", "no access")
	d.poll(deviceCode, "access_denied")
	b.wantPage(b.post(w.issuer+"/device/decide", a.form("decision", "allow")), http.StatusBadRequest, "/device/decide", "This request is over")
	d.poll(deviceCode, "access_denied")
}

func TestRequestOfADeviceIsTheUsersWhoFoundIt(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := device{w}
	if _, err := addUser(t.Context(), w.store, w.server.passwords, "Grace", "grace@example.com", w.demo.password); err != nil {
		t.Fatal(err)
	}
	deviceCode, userCode := d.begin()
	ada, grace := w.browser().signedIn(), w.browser()
	a := ada.post(w.issuer+"/device", url.Values{"user_code": {userCode}})
	grace.signIn(answer{}, "grace@example.com", w.demo.password)
	grace.wantPage(grace.post(w.issuer+"/device", url.Values{"user_code": {userCode}}), http.StatusUnprocessableEntity, "/device", "No device waits")
	grace.wantPage(grace.post(w.issuer+"/device/decide", a.form("decision", "allow")), http.StatusBadRequest, "/device/decide", "This request is over")
	d.poll(deviceCode, "authorization_pending")
	ada.wantPage(ada.post(w.issuer+"/device/decide", a.form("decision", "allow")), http.StatusOK, "/device/decide", "connected")
	d.poll(deviceCode, "")
}

func TestUserCodesAreNotGuessed(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, userCode := device{w}.begin()
	b := w.browser().signedIn()
	for range userCodeAttempts {
		b.wantPage(b.post(w.issuer+"/device", url.Values{"user_code": {"BBBB-BBBB"}}), http.StatusUnprocessableEntity, "/device", "No device waits")
	}
	b.wantPage(b.post(w.issuer+"/device", url.Values{"user_code": {userCode}}), http.StatusTooManyRequests, "/device", "Too many attempts")
}

func TestDeviceRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		path   string
		form   url.Values
		status int
		want   string
	}{
		{deviceAuthorizationPath, url.Values{"scope": {"photos.write"}}, 400, "invalid_scope"},
		{deviceAuthorizationPath, url.Values{"scope": {"openid", "openid"}}, 400, "invalid_request"},
		{deviceAuthorizationPath, url.Values{"client_secret": {"a secret"}}, 401, "invalid_client"},
		{tokenPath, url.Values{"grant_type": {deviceGrant}}, 400, "invalid_request"},
		{tokenPath, url.Values{"grant_type": {deviceGrant}, "device_code": {"odb_dc_nonsense"}}, 400, "invalid_grant"},
		{tokenPath, url.Values{"grant_type": {"password"}}, 400, "unsupported_grant_type"},
	} {
		if status, told := (device{w}).call(c.path, c.form); status != c.status || told["error"] != c.want {
			t.Errorf("%s %v: %d %v, want %d %s", c.path, c.form, status, told, c.status, c.want)
		}
	}
}
