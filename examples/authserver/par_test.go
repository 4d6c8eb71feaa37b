package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// push pushes a request of the demo app's, as change has it.
func (w *world) push(secret string, change ...string) (status int, requestURI, refused string) {
	w.Helper()
	form := url.Values{
		"response_type": {"code"}, "redirect_uri": {w.app + "/callback"}, "scope": {"openid photos.read"}, "state": {"a-state"},
		"code_challenge": {token.S256(testVerifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.issuer+zitadel.PushedAuthorizationPath, strings.NewReader(form.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(w.demo.web.ID, secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	var told struct {
		RequestURI string `json:"request_uri"`
		Error      string `json:"error"`
	}
	if err := json.NewDecoder(response.Body).Decode(&told); err != nil {
		w.Fatal(err)
	}
	return response.StatusCode, told.RequestURI, told.Error
}

func TestPushedRequestIsOpenedUntilTheUserHasDecided(t *testing.T) {
	t.Parallel()
	w := start(t)
	if _, err := w.store.UpdateClient(t.Context(), store.UpdateClientParams{
		ClientID: store.ClientID(w.demo.web.ID), RequirePushedAuthorizationRequests: new(true),
	}); err != nil {
		t.Fatal(err)
	}
	b := w.browser().signedIn()
	b.wantCallback(b.get(b.authorize()), "invalid_request") // this client has to push
	status, requestURI, refused := w.push(w.demo.web.Secret)
	if status != http.StatusCreated {
		t.Fatalf("pushing: %d %s", status, refused)
	}
	link := w.issuer + "/authorize?" + url.Values{"client_id": {w.demo.web.ID}, "request_uri": {requestURI}}.Encode()
	another := w.issuer + "/authorize?" + url.Values{"client_id": {"pocket-album"}, "request_uri": {requestURI}}.Encode()
	b.wantPage(b.get(another), http.StatusBadRequest, "/authorize", "This request is over")
	b.wantPage(b.get(link), http.StatusOK, "/consent", "Framed")
	a := b.get(link)
	b.wantPage(a, http.StatusOK, "/consent", "Framed")
	b.exchange(b.post(b.issuer+"/consent", a.form("decision", "allow")))
	b.wantPage(b.get(link), http.StatusBadRequest, "/authorize", "This request is over")
}

func TestPushedRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		secret string
		change []string
		status int
		want   string
	}{
		{"wrong", nil, 401, "invalid_client"},
		{w.demo.web.Secret, []string{"redirect_uri", "https://elsewhere.example/"}, 400, "invalid_request"},
		{w.demo.web.Secret, []string{"code_challenge", ""}, 400, "invalid_request"},
		{w.demo.web.Secret, []string{"scope", "photos.export"}, 400, "invalid_scope"},
		{w.demo.web.Secret, []string{"request_uri", "urn:example"}, 400, "invalid_request"},
		{w.demo.web.Secret, []string{"client_id", "pocket-album"}, 401, "invalid_client"},
	} {
		if status, _, refused := w.push(c.secret, c.change...); status != c.status || refused != c.want {
			t.Errorf("%v: %d %s, want %d %s", c.change, status, refused, c.status, c.want)
		}
	}
}
