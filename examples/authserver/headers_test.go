package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func contextThatEnds(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 20*time.Millisecond)
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser().signedIn()
	token := w.browser().grant("")
	for _, path := range []string{"/signin", "/consent", "/account/withdraw", "/account/end-session", "/account/end-other-sessions", "/signout"} {
		for _, change := range []func(http.Header){
			func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
			func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") }, // another port of this host, another subdomain
			func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "https://evil.example") },
			func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "null") },
		} {
			a := b.post(w.issuer+path, url.Values{"client_id": {w.demo.web.ID}}, change)
			b.wantPage(a, http.StatusForbidden, path, "came from another site")
		}
	}
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, accountPath, "Framed")
	if !w.active(t.Context(), token.AccessToken) {
		t.Error("the token is dead")
	}
}

func TestPagesHaveStrictHeaders(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	signIn := b.get(w.authorize())
	consent := b.signIn(signIn, w.demo.email, w.demo.password)
	client := " " + w.app
	for name, c := range map[string]struct {
		answer answer
		client string
	}{
		"sign in":       {signIn, client},
		"consent":       {consent, client},
		"account":       {b.get(w.issuer + accountPath), ""},
		"sign out":      {b.get(w.issuer + "/signout"), ""},
		"signed out":    {b.get(w.issuer + signedOutPath), ""},
		"error":         {b.get(w.issuer + "/consent?id=nonsense"), ""},
		"library error": {b.get(w.issuer + "/authorize?client_id=nobody"), ""},
	} {
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'self'" + c.client + "; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin",
			"Cache-Control":           "no-store",
			"Content-Type":            "text/html; charset=utf-8",
		} {
			if got := c.answer.header.Get(header); got != want {
				t.Errorf("%s: %s: %q, not %q", name, header, got, want)
			}
		}
		if strings.Contains(c.answer.body, "<script") || strings.Contains(c.answer.body, "style=") {
			t.Errorf("%s: it has a script or a style of its own", name)
		}
	}
	for _, path := range []string{"/keys", "/.well-known/openid-configuration", "/oauth/token", "/static/style.css", "/nothing"} {
		a := b.get(w.issuer + path)
		if a.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}

func TestAPersonIsShownThatNothingIsThere(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	ask := func(method, path, accept string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, w.issuer+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		r.Header.Set("Origin", "https://elsewhere.example")
		return b.do(r)
	}
	const browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for path, status := range map[string]int{
		"/nothing": http.StatusNotFound, "/static/nothing": http.StatusNotFound, "/account/withdraw": http.StatusNotFound, "/oauth/token": http.StatusMethodNotAllowed,
	} {
		a := ask(http.MethodGet, path, browsers)
		b.wantPage(a, status, path, "There is nothing here")
		if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.header.Get("Content-Security-Policy"), "style-src") {
			t.Errorf("%s: %v", path, a.header)
		}
		if a := ask(http.MethodGet, path, "application/json"); a.status != status || strings.Contains(a.body, "<html") {
			t.Errorf("a program gets %d %s", a.status, a.body)
		}
	}
	if a := ask(http.MethodGet, "/static/style.css", browsers); a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/css") {
		t.Errorf("the style: %d %v", a.status, a.header)
	}
}

func TestSourcesOfAPolicyCannotBeBrokenOutOf(t *testing.T) {
	t.Parallel()
	for redirectURI, want := range map[string]string{
		"https://app.example/callback?x=1":     "https://app.example",
		"http://127.0.0.1:1234/callback":       "http://127.0.0.1:1234",
		"http://[::1]:1234/callback":           "http://[::1]:1234",
		"com.example.app:/callback":            "com.example.app:",
		"com.example.app://callback/x":         "com.example.app:",
		"https://a;script-src%20*/":            "",
		"https://app.example;img-src/callback": "",
		"/relative":                            "",
	} {
		if got := sourceOf(&redirectURI); got != want {
			t.Errorf("%s: %q, not %q", redirectURI, got, want)
		}
	}
	if got := sourceOf(nil); got != "" {
		t.Errorf("nil: %q", got)
	}
}

func TestTheAddressOfABrowserIsTakenFromAProxyOnlyIfThereIsOne(t *testing.T) {
	t.Parallel()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	r.Header["X-Forwarded-For"] = []string{"203.0.113.9", "198.51.100.2, 2001:db8::7"}
	if got := (&server{}).address(r).String(); got != "192.0.2.1" {
		t.Errorf("%s without a proxy", got)
	}
	if got := (&server{options: options{behindProxy: true}}).address(r).String(); got != "2001:db8::7" {
		t.Errorf("%s behind a proxy", got)
	}
}
