package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// tellsClients lets the worker tell whoever has to be told, and wants so many to have been.
func (w *world) tellsClients(want db.LogoutDelivered) {
	w.Helper()
	got, err := w.server.logoutWorker().RunOnce(w.Context())
	if got != want || err != nil {
		w.Errorf("the worker: %+v, %v; want %+v", got, err, want)
	}
}

// A user who signs out at the provider is signed out of the app: by the provider, not by the browser.
func TestSigningOutIsToldToTheApp(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	a := b.post(w.app+"/signin", nil)
	a = b.signIn(a, w.demo.email, w.demo.password)
	a = b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", ""))
	b.wantPage(b.get(a.url.String()), http.StatusOK, "/", "Hello, ")
	w.tellsClients(db.LogoutDelivered{})
	b.wantPage(b.post(w.issuer+"/signout", nil), http.StatusOK, signedOutPath, "You are signed out")
	w.tellsClients(db.LogoutDelivered{Delivered: 1})
	w.tellsClients(db.LogoutDelivered{})
	a = b.get(w.app + "/")
	b.wantPage(a, http.StatusOK, "/", "The provider has signed you out")
	if strings.Contains(a.body, "Hello, ") {
		t.Error("still signed in to the app")
	}
	a = b.post(w.app+"/backchannel-logout", url.Values{"logout_token": {"forged"}})
	b.wantPage(a, http.StatusBadRequest, "/backchannel-logout", "invalid_request")
}

// OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.5.
func TestLogoutTokenHoldsWhatTheStandardAsksFor(t *testing.T) {
	t.Parallel()
	w := start(t)
	heard := make(chan url.Values, 2)
	status := http.StatusServiceUnavailable
	client := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		heard <- r.PostForm
		rw.WriteHeader(status)
	}))
	defer client.Close()
	delivery := db.LogoutDelivery{ClientID: store.ClientID(w.demo.web.ID), BackchannelLogoutURI: client.URL, Sub: "sub", SID: "sid"}
	if err := w.server.deliverLogout(t.Context(), delivery); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("an answer of 503: %v", err)
	}
	status = http.StatusNoContent
	if err := w.server.deliverLogout(t.Context(), delivery); err != nil {
		t.Error(err)
	}
	provider, err := oidc.NewProvider(context.WithoutCancel(t.Context()), w.issuer)
	if err != nil {
		t.Fatal(err)
	}
	var offered struct {
		Supported bool `json:"backchannel_logout_supported"`
		Session   bool `json:"backchannel_logout_session_supported"`
	}
	if err := provider.Claims(&offered); err != nil || !offered.Supported || !offered.Session {
		t.Errorf("discovery offers %+v, %v", offered, err)
	}
	var jti string
	for range 2 {
		token, err := provider.Verifier(&oidc.Config{ClientID: w.demo.web.ID}).Verify(t.Context(), (<-heard).Get("logout_token"))
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := token.Claims(&claims); err != nil {
			t.Fatal(err)
		}
		events, _ := claims["events"].(map[string]any)
		_, isLogout := events["http://schemas.openid.net/event/backchannel-logout"]
		_, hasNonce := claims["nonce"]
		if token.Subject != "sub" || claims["sid"] != "sid" || claims["iat"] == nil || !isLogout || hasNonce || claims["jti"] == jti || claims["jti"] == "" {
			t.Errorf("claims %v; the last jti was %s", claims, jti)
		}
		jti, _ = claims["jti"].(string)
	}
}
