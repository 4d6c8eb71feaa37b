package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

func TestWithdrawingEndsTheTokens(t *testing.T) {
	t.Parallel()
	for _, tenant := range []string{"", "org_royal"} {
		w := start(t)
		b := w.browser()
		given := b.grant(tenant)
		other := w.browser().grant(tenant) // in another session
		page := b.get(w.issuer + accountPath)
		b.wantPage(page, http.StatusOK, accountPath, "Remove access of Framed")
		a := b.post(w.issuer+"/account/withdraw", url.Values{"client_id": {w.demo.web.ID}, "reference_id": {tenant}})
		b.wantPage(a, http.StatusOK, accountPath, "The app has no access any more.")
		b.wantPage(a, http.StatusOK, accountPath, "No app has access")
		for _, token := range []string{given.AccessToken, other.AccessToken} {
			if w.active(t.Context(), token) {
				t.Error("a token is live")
			}
		}
		b.wantPage(b.get(w.authorize()), http.StatusOK, "/consent", "Allow Framed?")
	}
}

func TestAppsAreListedByTenantAndWithdrawnInOne(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	royal := b.grant("org_royal")
	a := b.get(w.authorize("prompt", "consent"))
	own := b.exchange(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", ""))) // to which the consent moves
	page := b.get(w.issuer + accountPath)
	for _, text := range []string{"On behalf of <strong>Royal Photographic Society", "On your own behalf", "Last used <time"} {
		b.wantPage(page, http.StatusOK, accountPath, text)
	}
	if n := strings.Count(page.body, "<h3>"); n != 2 { // the app and this device
		t.Errorf("%d headings", n)
	}
	withdraw := func(tenant string) answer {
		return b.post(w.issuer+"/account/withdraw", url.Values{"client_id": {w.demo.web.ID}, "reference_id": {tenant}})
	}
	b.wantPage(withdraw(""), http.StatusOK, accountPath, "On behalf of <strong>Royal Photographic Society")
	if w.active(t.Context(), own.AccessToken) || !w.active(t.Context(), royal.AccessToken) {
		t.Error("the wrong grant has ended")
	}
	b.wantPage(withdraw("org_royal"), http.StatusOK, accountPath, "No app has access")
	if w.active(t.Context(), royal.AccessToken) {
		t.Error("a token is live")
	}
}

func TestAnAppThatIsNotInUseIsListed(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	token := b.grant("")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.issuer+"/revoke", strings.NewReader(url.Values{"token": {token.RefreshToken}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(w.demo.web.ID, w.demo.web.Secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := b.do(r); a.status != http.StatusOK {
		t.Fatalf("revoking: %d %s", a.status, a.body)
	}
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, accountPath, "Not in use")
}

func TestSessionsCanBeEnded(t *testing.T) {
	t.Parallel()
	w := start(t)
	here, there, elsewhere := w.browser().signedIn(), w.browser().signedIn(), w.browser().signedIn()
	if _, err := addUser(t.Context(), w.store, w.server.passwords, "Charles", "charles@example.com", "another password"); err != nil {
		t.Fatal(err)
	}
	stranger := w.browser()
	stranger.signIn(answer{}, "charles@example.com", "another password")

	sessions, err := w.store.ListUserSessions(t.Context(), store.ListUserSessionsParams{UserID: w.demo.user, PageSize: 10})
	if err != nil || len(sessions) != 3 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	second := url.Values{"session_id": {string(sessions[1].ID)}}
	stranger.post(w.issuer+"/account/end-session", second)
	there.wantPage(there.get(w.issuer+accountPath), http.StatusOK, accountPath, "this device")
	here.wantPage(here.post(w.issuer+"/account/end-session", second), http.StatusOK, accountPath, "That session has been signed out.")
	there.wantPage(there.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")

	here.wantPage(here.post(w.issuer+"/account/end-other-sessions", nil), http.StatusOK, accountPath, "signed out everywhere else")
	elsewhere.wantPage(elsewhere.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
	stranger.wantPage(stranger.get(w.issuer+accountPath), http.StatusOK, accountPath, "this device")

	a := here.post(w.issuer+"/account/end-session", url.Values{"session_id": {string(sessions[0].ID)}})
	here.wantPage(a, http.StatusOK, signedOutPath, "You are signed out")
	here.wantPage(here.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
}

func TestSigningOutEndsWhatIsBoundToTheSession(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	a := b.get(w.authorize("scope", "openid profile"))
	a = b.signIn(a, w.demo.email, w.demo.password)
	bound := b.exchange(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", "")))
	a = b.get(w.authorize("scope", "openid offline_access"))
	offline := b.exchange(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", "")))
	b.wantPage(b.get(w.issuer+"/signout"), http.StatusOK, "/signout", "Stay signed in")
	b.wantPage(b.post(w.issuer+"/signout", nil), http.StatusOK, signedOutPath, "You are signed out")
	if w.active(t.Context(), bound.AccessToken) {
		t.Error("the token without offline_access is live")
	}
	if !w.active(t.Context(), offline.AccessToken) {
		t.Error("the token with offline_access is dead")
	}
}

func TestAClientSignsItsUserOut(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	idToken, _ := b.grant("").Extra("id_token").(string)
	back := w.app + "/signed-out"
	query := url.Values{"client_id": {w.demo.web.ID}, "post_logout_redirect_uri": {back}, "state": {"s"}}

	// Without proof of who wants it, the user is asked.
	a := b.get(w.issuer + "/end_session?" + query.Encode())
	b.wantPage(a, http.StatusOK, "/signout", "<strong>Framed</strong> asks to sign you out")
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, accountPath, "this device")
	a = b.post(w.issuer+"/signout", a.form())
	b.wantPage(a, http.StatusOK, signedOutPath, `href="`+back+`?state=s"`)

	idToken2, _ := b.grant("").Extra("id_token").(string)
	if idToken2 == idToken {
		t.Fatal("the same ID token")
	}
	query.Set("id_token_hint", idToken2)
	a = b.get(w.issuer + "/end_session?" + query.Encode())
	if got := a.url.String(); got != back+"?state=s" {
		t.Errorf("led to %s", got)
	}
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
}

func TestOnlyRegisteredAddressesAreLinkedAfterSigningOut(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	for _, address := range []string{"https://evil.example/", w.app + "/signed-out/../x", w.app + "/signed-out?x=1", "javascript:alert(1)"} {
		a := b.get(w.issuer + signedOutPath + "?" + url.Values{"client_id": {w.demo.web.ID}, "return_to": {address}}.Encode())
		b.wantPage(a, http.StatusOK, signedOutPath, "You are signed out")
		if strings.Contains(a.body, "Back to") {
			t.Errorf("%s is linked", address)
		}
	}
	b.wantPage(b.get(w.issuer+signedOutPath+"?client_id=nobody"), http.StatusOK, signedOutPath, "You are signed out")
	a := b.get(w.issuer + "/end_session?post_logout_redirect_uri=https://evil.example/&client_id=" + w.demo.web.ID)
	b.wantPage(a, http.StatusBadRequest, "/end_session", "we can&#39;t follow")
}

func TestDevicesAreNamed(t *testing.T) {
	t.Parallel()
	for userAgent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36":  "Chrome on Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0":  "Edge on Windows",
		"curl/8.0": "curl",
		"":         "Unknown browser",
	} {
		if got := deviceOf(userAgent); got != want {
			t.Errorf("%q: %s, not %s", userAgent, got, want)
		}
	}
}

func TestTimesAreTold(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for passed, want := range map[time.Duration]string{
		-time.Second: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 59 * time.Minute: "59 minutes ago", time.Hour: "1 hour ago",
		23 * time.Hour: "23 hours ago", 24 * time.Hour: "1 day ago", 6 * 24 * time.Hour: "6 days ago", 7 * 24 * time.Hour: "on 3 February 2026",
	} {
		if got := ago(passed, day); got != want {
			t.Errorf("%s: %s, not %s", passed, got, want)
		}
	}
}
