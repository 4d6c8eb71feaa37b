package main

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// appBrowser is a browser that goes wherever it is sent, the demo app too.
func (w *world) appBrowser() *browser {
	w.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// signInAtTheApp goes from the app through the provider's pages and back.
func (b *browser) signInAtTheApp(way string) answer {
	b.Helper()
	a := b.post(b.app+"/signin", url.Values{"way": {way}})
	if a.url.Path == "/signin" {
		a = b.signIn(a, b.demo.email, b.demo.password)
	}
	if a.url.Path == "/consent" {
		a = b.post(b.issuer+"/consent", a.form("decision", "allow", "tenant", ""))
	}
	if !strings.HasPrefix(a.url.String(), b.app) || !strings.Contains(a.body, "Hello, Ada Lovelace") {
		b.Fatalf("%q led to %s: %s", way, a.url, a.body)
	}
	return a
}

func (b *browser) wantStep(a answer, texts ...string) {
	b.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			b.Errorf("the app doesn't say %q:\n%s", text, a.body)
		}
	}
}

func TestTheDemoAppPushesItsRequest(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.appBrowser()
	b.wantStep(b.signInAtTheApp("pushed"), "Pushed the request", "urn:ietf:params:oauth:request_uri:")
	a := b.post(w.app+"/steal", nil)
	b.wantStep(a, "whoever has such a token may use it")
}

func TestTheDemoAppBindsItsTokensToAKey(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*options){"": nothing, "with nonces": func(o *options) { o.storage.DPoPNonces = true }} {
		w := startAs(t, "127.0.0.1", change)
		b := w.appBrowser()
		b.wantStep(b.signInAtTheApp("bound"), "Proved to have a key", "token_type DPoP")
		b.wantStep(b.post(w.app+"/userinfo", nil), "the access token is good")
		b.wantStep(b.post(w.app+"/introspect", nil), "it is active", "jkt")
		b.wantStep(b.post(w.app+"/refresh-parallel", nil), "8 of 8 succeeded", "and 1 refresh token")
		b.wantStep(b.post(w.app+"/userinfo", nil), "the access token is good")
		a := b.post(w.app+"/steal", nil)
		b.wantStep(a, "userinfo has refused it")
		if t.Failed() {
			t.Fatal(what)
		}
	}
}

func TestTheDemoAppConnectsAScreen(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the screen asks every five seconds")
	}
	w := start(t)
	b := w.appBrowser()
	a := b.post(w.app+"/screen", nil)
	code := regexp.MustCompile(`<code id="code">([^<]+)</code>`).FindStringSubmatch(a.body)
	if code == nil || !strings.Contains(a.body, `http-equiv="refresh"`) {
		t.Fatalf("no code is shown: %s", a.body)
	}
	b.signedIn()
	a = b.post(w.issuer+devicePath, url.Values{"user_code": {code[1]}})
	a = b.post(w.issuer+devicePath+"/decide", a.form("decision", "allow"))
	b.wantPage(a, http.StatusOK, devicePath+"/decide", "Your device is connected")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		a = b.get(w.app + "/")
		if strings.Contains(a.body, "The screen is connected.") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the screen isn't connected: %s", a.body)
		}
	}
	b.wantStep(a, "Connected a screen", "an access token and a refresh token")
}
