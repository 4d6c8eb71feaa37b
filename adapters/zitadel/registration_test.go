package zitadel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// registrar is whoever registers a client, with a token or without one.
type registrar struct {
	*world
	token string
}

func (a registrar) ask(method, uri string, document any) (int, map[string]any, http.Header) {
	a.Helper()
	body, isText := document.(string)
	if !isText && document != nil {
		text, err := json.Marshal(document)
		a.ok(err)
		body = string(text)
	}
	r, err := http.NewRequestWithContext(a.ctx, method, uri, strings.NewReader(body))
	a.ok(err)
	r.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := http.DefaultClient.Do(r)
	a.ok(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	a.ok(err)
	var answer map[string]any
	if len(bytes.TrimSpace(text)) > 0 {
		a.ok(json.Unmarshal(text, &answer))
	}
	return response.StatusCode, answer, response.Header
}

// wantRefusal fails the test unless the answer is a refusal with such a status and code; an empty code is none.
func (a registrar) wantRefusal(what string, method, uri string, document any, status int, code string) {
	a.Helper()
	got, answer, header := a.ask(method, uri, document)
	told, _ := answer["error"].(string)
	if got != status || told != code {
		a.Errorf("%s: %d %v, want %d %s", what, got, answer, status, code)
	}
	if challenge := header.Get("WWW-Authenticate"); (status == http.StatusUnauthorized) != (challenge != "") || (a.token == "") != !strings.Contains(challenge, "error=") && challenge != "" {
		a.Errorf("%s: WWW-Authenticate: %q", what, challenge)
	}
	if header.Get("Cache-Control") != "no-store" {
		a.Errorf("%s: may be cached", what)
	}
}

func open(w *world) { w.opts.Registration = &zitadel.Registration{Open: true} }

func TestClientRegistersAndIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open)
	status, got, _ := registrar{w, ""}.ask("POST", w.issuer+"/register", map[string]any{
		"client_name": "Shelf", "redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code", "refresh_token", "implicit"},
		"scope": "openid offline_access admin", "x_vendor": map[string]any{"tier": 3},
	})
	wantEqual(t, "status", status, http.StatusCreated)
	for name, want := range map[string]any{
		"client_name": "Shelf", "grant_types": []string{"authorization_code", "refresh_token"}, "scope": "openid offline_access",
		"token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0, "x_vendor": map[string]any{"tier": 3},
		"registration_client_uri": w.issuer + "/register/" + got["client_id"].(string),
	} {
		wantEqual(t, name, got[name], want)
	}
	wantEqual(t, "statements", w.calls.take(), []string{"RegisterClient"})
	c := registered{world: w, id: got["client_id"].(string), secret: got["client_secret"].(string), redirectURI: redirectURI}
	if tokens := c.login(c.oauth2("openid", "offline_access")); tokens.RefreshToken == "" {
		t.Error("no refresh token")
	}

	// What it is told stands in the database.
	status, read, _ := registrar{w, got["registration_access_token"].(string)}.ask("GET", got["registration_client_uri"].(string), nil)
	wantEqual(t, "status", status, http.StatusOK)
	delete(got, "client_secret") // of which the database has the digest
	if !maps.EqualFunc(read, got, func(a, b any) bool { return jsonOf(t, a) == jsonOf(t, b) }) {
		t.Errorf("read: %v, registered: %v", read, got)
	}
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The small documents of testdata are those that other servers got wrong.
func TestWhatNativeClientsAndOthersStateIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open)
	for file, redirectURI := range map[string]string{
		"loopback": "http://127.0.0.1:50000/callback", "private-scheme": "editor-plugin://auth/callback", "no-scope": "https://notes.example/cb",
		"extra-members": "https://shelf.example/cb",
	} {
		document, err := os.ReadFile("../../registration/testdata/" + file + ".json")
		w.ok(err)
		status, got, _ := registrar{w, ""}.ask("POST", w.issuer+"/register", string(document))
		wantEqual(t, file, status, http.StatusCreated)
		c := registered{world: w, id: got["client_id"].(string), redirectURI: redirectURI}
		c.secret, _ = got["client_secret"].(string)
		c.login(c.oauth2("openid"))
	}
}

func TestRegistrationIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open)
	w.opts.SelfRegistered.Review = func(_ context.Context, m *registration.Metadata) error {
		switch {
		case m.Name != nil && *m.Name == "evil":
			return &registration.Error{Code: registration.InvalidClientMetadata, Member: "client_name", Problem: "is not welcome"}
		case m.Name != nil && *m.Name == "fault":
			return errors.New("the list can't be read")
		}
		return nil
	}
	w.serve()
	anybody, at := registrar{w, ""}, w.issuer+"/register"
	fit := map[string]any{"redirect_uris": []string{redirectURI}}
	with := func(name string, value any) map[string]any {
		d := maps.Clone(fit)
		d[name] = value
		return d
	}
	for what, attempt := range map[string]struct {
		document any
		code     string
	}{
		"no JSON":                          {"client_name=x", "invalid_client_metadata"},
		"nothing":                          {nil, "invalid_client_metadata"},
		"too large":                        {with("x", strings.Repeat("a", registration.MaxSize)), "invalid_client_metadata"},
		"no redirect URI":                  {map[string]any{}, "invalid_redirect_uri"},
		"a redirect URI that is not fit":   {map[string]any{"redirect_uris": []string{"https://a.example/#x"}}, "invalid_redirect_uri"},
		"another response type":            {with("response_types", []string{"token"}), "invalid_client_metadata"},
		"another grant type":               {with("grant_types", []string{"password"}), "invalid_client_metadata"},
		"tokens for itself":                {with("grant_types", []string{"client_credentials"}), "invalid_client_metadata"},
		"no scope that is served":          {with("scope", "admin"), "invalid_client_metadata"},
		"a method that isn't served":       {with("token_endpoint_auth_method", "tls_client_auth"), "invalid_client_metadata"},
		"keys missing":                     {with("token_endpoint_auth_method", "private_key_jwt"), "invalid_client_metadata"},
		"an algorithm that isn't served":   {with("id_token_signed_response_alg", "HS256"), "invalid_client_metadata"},
		"no algorithm":                     {with("id_token_signed_response_alg", "none"), "invalid_client_metadata"},
		"a sector that can't be fetched":   {with("sector_identifier_uri", "https://127.0.0.1/sector"), "invalid_client_metadata"},
		"a sector that isn't https":        {with("sector_identifier_uri", w.issuer), "invalid_client_metadata"},
		"what the server doesn't like":     {with("client_name", "evil"), "invalid_client_metadata"},
		"what the server doesn't know now": {with("client_name", "fault"), "server_error"},
		"a page that isn't one":            {with("logo_uri", "javascript:alert(1)"), "invalid_client_metadata"},
		"keys that aren't to be seen":      {with("jwks", map[string]any{"keys": []any{map[string]any{"d": "x"}}}), "invalid_client_metadata"},
	} {
		status := http.StatusBadRequest
		if attempt.code == "server_error" {
			status, answer, _ := anybody.ask("POST", at, attempt.document)
			wantEqual(t, what, []any{status, answer["error"]}, []any{500, attempt.code})
			continue
		}
		anybody.wantRefusal(what, "POST", at, attempt.document, status, attempt.code)
	}
	status, _, header := anybody.ask("PUT", at, fit)
	wantEqual(t, "PUT", []any{status, header.Get("Allow")}, []any{405, "POST"})
	status, _, _ = anybody.ask("POST", at, fit)
	wantEqual(t, "as it should be", status, 201)

	w.opts.Registration = &zitadel.Registration{}
	w.serve()
	anybody.wantRefusal("closed", "POST", at, fit, 401, "invalid_token")
	registrar{w, "nonsense"}.wantRefusal("closed, by a wrong token", "POST", at, fit, 401, "invalid_token")
	initial := token.Mint(token.InitialAccessToken)
	_, err := w.q.CreateInitialAccessToken(w.ctx, store.CreateInitialAccessTokenParams{
		ID: store.NewInitialAccessTokenID(), Token: initial.Digest(), MaxUses: 1, Lifetime: time.Hour,
	})
	w.ok(err)
	holder := registrar{w, initial.Reveal()}
	holder.wantRefusal("what fails spends nothing", "POST", at, map[string]any{}, 400, "invalid_redirect_uri")
	status, _, _ = holder.ask("POST", at, fit)
	wantEqual(t, "by an initial access token", status, 201)
	holder.wantRefusal("once too often", "POST", at, fit, 401, "invalid_token")

	w.opts.Registration = nil
	w.serve()
	r, err := http.Post(at, "application/json", strings.NewReader("{}"))
	w.ok(err)
	r.Body.Close()
	wantEqual(t, "not served", r.StatusCode, http.StatusNotFound)
}

func TestClientManagesItsRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open)
	_, got, _ := registrar{w, ""}.ask("POST", w.issuer+"/register", map[string]any{
		"redirect_uris": []string{redirectURI}, "client_name": "before", "token_endpoint_auth_method": "none",
	})
	id, at := got["client_id"].(string), got["registration_client_uri"].(string)
	manager := registrar{w, got["registration_access_token"].(string)}
	c := registered{world: w, id: id, redirectURI: redirectURI}
	c.login(c.oauth2("openid"))
	wanted := map[string]any{"client_id": id, "redirect_uris": []string{redirectURI}, "client_name": "after", "token_endpoint_auth_method": "none"}
	change := func(name string, value any) map[string]any {
		d := maps.Clone(wanted)
		d[name] = value
		return d
	}
	for _, stranger := range []registrar{{w, ""}, {w, "nonsense"}} {
		stranger.wantRefusal("GET by a stranger", "GET", at, nil, 401, "invalid_token")
		stranger.wantRefusal("PUT by a stranger", "PUT", at, wanted, 401, "invalid_token")
		stranger.wantRefusal("DELETE by a stranger", "DELETE", at, nil, 401, "invalid_token")
	}
	manager.wantRefusal("another's registration", "GET", w.issuer+"/register/nobody", nil, 401, "invalid_token")
	manager.wantRefusal("another client_id", "PUT", at, change("client_id", "other"), 400, "invalid_client_metadata")
	manager.wantRefusal("a secret of its own choice", "PUT", at, change("client_secret", "12345"), 400, "invalid_client_metadata")
	manager.wantRefusal("no redirect URI", "PUT", at, change("redirect_uris", []string{}), 400, "invalid_redirect_uri")
	w.calls.take()
	status, updated, _ := manager.ask("PUT", at, wanted)
	wantEqual(t, "PUT", []any{status, updated["client_name"], updated["registration_access_token"]}, []any{200, "after", manager.token})
	wantEqual(t, "statements", w.calls.take(), []string{"UpdateRegistration"})

	// One that turns confidential gets a secret, and keeps it.
	_, updated, _ = manager.ask("PUT", at, change("token_endpoint_auth_method", "client_secret_basic"))
	secret, _ := updated["client_secret"].(string)
	if secret == "" || updated["client_secret_expires_at"] == nil {
		t.Fatalf("no secret: %v", updated)
	}
	c.secret = secret
	c.login(c.oauth2("openid"))
	d := change("token_endpoint_auth_method", "client_secret_basic")
	d["client_secret"] = secret
	status, updated, _ = manager.ask("PUT", at, d)
	wantEqual(t, "PUT with the secret", []any{status, updated["client_secret"]}, []any{200, nil})
	d["client_secret"] = "another"
	manager.wantRefusal("a secret of its own choice", "PUT", at, d, 400, "invalid_client_metadata")
	delete(d, "client_secret")
	status, _, _ = manager.ask("PUT", at, d)
	wantEqual(t, "PUT without the secret", status, 200)
	c.login(c.oauth2("openid"))

	_, err := w.q.DisableClient(w.ctx, store.ClientID(id))
	w.ok(err)
	manager.wantRefusal("disabled", "PUT", at, wanted, 403, "")
	status, _, _ = manager.ask("DELETE", at, nil)
	wantEqual(t, "DELETE", status, 204)
	manager.wantRefusal("GET of what is gone", "GET", at, nil, 401, "invalid_token")
	manager.wantRefusal("DELETE of what is gone", "DELETE", at, nil, 401, "invalid_token")
}

// A client whose subjects are pairwise may have redirect URIs of several hosts if a list at its sector names them (OpenID Connect Core 1.0,
// section 8.1).
func TestSectorIdentifierIsVerified(t *testing.T) {
	t.Parallel()
	listed := []string{"https://a.example/cb", "https://b.example/cb"}
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(listed) }))
	t.Cleanup(site.Close)
	w := newWorld(t, open, func(w *world) { w.opts.HTTPClient = site.Client() })
	anybody := registrar{w, ""}
	document := map[string]any{"subject_type": "pairwise", "sector_identifier_uri": site.URL, "redirect_uris": listed, "scope": "openid"}
	var subs []string
	for range 2 { // two clients of one sector know the user by one name
		status, got, _ := anybody.ask("POST", w.issuer+"/register", document)
		wantEqual(t, "status", status, 201)
		c := registered{world: w, id: got["client_id"].(string), secret: got["client_secret"].(string), redirectURI: listed[0]}
		subs = append(subs, c.verify(c.login(c.oauth2("openid")).Extra("id_token")).Subject)
	}
	if subs[0] != subs[1] || subs[0] == string(w.user.ID) {
		t.Errorf("subjects %q of user %s", subs, w.user.ID)
	}
	document["redirect_uris"] = append(slices.Clone(listed), "https://c.example/cb")
	anybody.wantRefusal("a redirect URI that isn't listed", "POST", w.issuer+"/register", document, 400, "invalid_client_metadata")
}

func TestMetadataSaysWhatIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open, func(w *world) { w.opts.ClientDocuments = &zitadel.ClientDocuments{} })
	for _, path := range []string{"/.well-known/openid-configuration", zitadel.AuthorizationServerMetadataPath} {
		_, got := w.send(w.get(path))
		for name, want := range map[string]any{
			"issuer": w.issuer, "registration_endpoint": w.issuer + "/register", "client_id_metadata_document_supported": true,
			"pushed_authorization_request_endpoint": w.issuer + "/par", "authorization_response_iss_parameter_supported": true,
			"subject_types_supported": []string{"public", "pairwise"}, "code_challenge_methods_supported": []string{"S256"},
		} {
			wantEqual(t, path+" "+name, got[name], want)
		}
	}
	w.opts.Registration, w.opts.ClientDocuments = nil, nil
	issuer := w.issuer
	w.issuer += "/tenant" // the issuer's path comes last (RFC 8414, section 3.1)
	w.serve()
	w.issuer = issuer
	for _, path := range []string{zitadel.AuthorizationServerMetadataPath, "/.well-known/openid-configuration"} {
		status, got := w.send(w.get(path + "/tenant"))
		wantEqual(t, path, []any{status, got["issuer"], got["registration_endpoint"], got["client_id_metadata_document_supported"]},
			[]any{200, issuer + "/tenant", nil, nil})
		status, _ = w.send(w.get(path + "/other"))
		wantEqual(t, "of another issuer", status, 404)
	}
}
