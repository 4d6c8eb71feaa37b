package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/importer/hydracase"
	"github.com/oauthdb/oauthdb/internal/testdb"
)

var (
	withHydra = flag.Bool("hydra", false, "build Ory Hydra, and import its tables")
	writeDump = flag.Bool("write-dump", false, "write what it has in its tables, for the tests of package importer")
)

const importerData = "../../internal/importer/testdata/"

// TestTheTablesOfHydraAreImported has a Hydra of its own register clients, ask users and issue refresh tokens, and imports its tables.
func TestTheTablesOfHydraAreImported(t *testing.T) {
	if !*withHydra {
		t.Skip("it builds Ory Hydra, which takes some minutes: make hydra")
	}
	ctx := t.Context()
	program, err := buildHydra(ctx, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	source := testdb.New(t, testdb.Options{})
	c := hydracase.Case{SystemSecret: "the system secret of a Hydra for tests", PartnerSecret: "the secret of a partner for tests"}
	p, h, err := serveHydra(ctx, program, source.URL, c.SystemSecret, "TTL_REFRESH_TOKEN=876000h")
	if p != nil {
		defer p.stop()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, registration := range []map[string]any{
		{"client_id": "shop", "client_name": "Shop", "scope": "openid offline profile", "token_endpoint_auth_method": "none"},
		{"client_id": "app", "scope": "openid offline", "token_endpoint_auth_method": "none"},
		{
			"client_id": "partner", "scope": "openid offline", "client_secret": c.PartnerSecret, "audience": []string{"https://api.example/"},
			"metadata": map[string]string{"team": "photos"}, "authorization_code_grant_access_token_lifespan": "2h", "refresh_token_grant_access_token_lifespan": "1h",
			"refresh_token_grant_refresh_token_lifespan": "876000h",
		},
	} {
		registration["redirect_uris"], registration["response_types"] = []string{redirectURI}, []string{"code"}
		registration["grant_types"] = []string{"authorization_code", "refresh_token"}
		if _, err := h.json(ctx, http.MethodPost, "/admin/clients", registration); err != nil {
			t.Fatal(err)
		}
	}
	shop, app, partner := client{id: "shop"}, client{id: "app"}, client{id: "partner", secret: c.PartnerSecret}
	remembered := map[string]any{"remember": true}
	c.Spent = h.agreed(t, "ada", shop, "openid offline profile", "", remembered)
	c.Live = h.tokens(t, shop, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.Spent}})
	c.Partner = h.agreed(t, "ada", partner, "openid offline", "https://api.example/", remembered)
	c.App = h.agreed(t, "ada", app, "openid offline", "", map[string]any{"remember": true, "remember_for": 3600})
	c.Bob = h.agreed(t, "bob", shop, "openid offline", "", nil)
	p.stop()

	if *writeDump {
		dump(t, source.URL, c)
	}
	hydracase.Check(t, source.URL, testdb.New(t, testdb.Options{}), c)
}

// tokens asks for tokens, and returns the refresh token.
func (h hydra) tokens(t *testing.T, c client, form url.Values) string {
	t.Helper()
	if c.secret == "" {
		form.Set("client_id", c.id)
	}
	r, err := post(t.Context(), h.base+"/oauth2/token", c, form)
	if err != nil {
		t.Fatal(err)
	}
	status, body, err := ask(r)
	refresh, _ := body["refresh_token"].(string)
	if err != nil || refresh == "" {
		t.Fatalf("%v: %d %v", err, status, body)
	}
	return refresh
}

// agreed has a user agree to what a client asks for, and returns the refresh token.
func (h hydra) agreed(t *testing.T, user string, c client, scope, audience string, consent map[string]any) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(to string) *url.URL {
		t.Helper()
		response, err := b.Get(to)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		next, err := response.Location()
		if err != nil {
			t.Fatalf("%v: %s %s", err, response.Status, body)
		}
		return next
	}
	query := url.Values{
		"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {scope}, "state": {"a-state-of-sixteen"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	accepted := map[string]any{"grant_scope": strings.Fields(scope)}
	if audience != "" {
		query.Set("audience", audience)
		accepted["grant_access_token_audience"] = []string{audience}
	}
	for name, value := range consent {
		accepted[name] = value
	}
	next := follow(h.base + "/oauth2/auth?" + query.Encode())
	for _, step := range []struct {
		name   string
		accept map[string]any
	}{{"login", map[string]any{"subject": user}}, {"consent", accepted}} {
		asked := next.Query().Get(step.name + "_challenge")
		body, err := h.json(t.Context(), http.MethodPut, "/admin/oauth2/auth/requests/"+step.name+"/accept?"+url.Values{step.name + "_challenge": {asked}}.Encode(), step.accept)
		if err != nil {
			t.Fatal(err)
		}
		to, _ := body["redirect_to"].(string)
		next = follow(to)
	}
	code := next.Query().Get("code")
	if code == "" {
		t.Fatalf("no code: %s", next)
	}
	return h.tokens(t, c, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}})
}

// dump writes the tables that an import reads.
func dump(t *testing.T, source string, c hydracase.Case) {
	cmd := exec.CommandContext(t.Context(), "pg_dump", "--no-owner", "--no-privileges", "--inserts", "--section=pre-data", "--section=data",
		"-t", "hydra_client*", "-t", "hydra_oauth2_flow", "-t", "hydra_oauth2_refresh", "-t", "networks", source)
	cmd.Stderr = os.Stderr
	sql, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	// what the versions of pg_dump differ in, and what the reader of the file doesn't know
	text := regexp.MustCompile(`(?m)^(--.*|SET .*|SELECT pg_catalog.*|\\.*)?\n`).ReplaceAllString(string(sql), "")
	text = fmt.Sprintf("-- Tables of Ory Hydra %s, as it has made and filled them: make hydra DUMP=1 writes them.\n%s", hydraVersion, text)
	tokens, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"hydra.sql": text, "hydra.json": string(tokens) + "\n"} {
		if err := os.WriteFile(importerData+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
