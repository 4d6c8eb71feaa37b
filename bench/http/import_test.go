package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
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
	e := &endpoints{token: h.base + "/oauth2/token"}
	agreed := func(user string, c client, scope string, consent map[string]any) string {
		t.Helper()
		query := url.Values{"scope": {scope}}
		if audience, ok := consent["grant_access_token_audience"].([]string); ok {
			query["audience"] = audience
		}
		consent["grant_scope"] = strings.Fields(scope)
		code, err := h.agreed(ctx, user, c, query, consent)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.redeem(ctx, c, code)
		if err != nil {
			t.Fatal(err)
		}
		return got.RefreshToken
	}
	c.Spent = agreed("ada", shop, "openid offline profile", map[string]any{"remember": true})
	live, err := e.refresh(ctx, shop, c.Spent)
	if err != nil {
		t.Fatal(err)
	}
	c.Live = live.RefreshToken
	c.Partner = agreed("ada", partner, "openid offline", map[string]any{"remember": true, "grant_access_token_audience": []string{"https://api.example/"}})
	c.App = agreed("ada", app, "openid offline", map[string]any{"remember": true, "remember_for": 3600})
	c.Bob = agreed("bob", shop, "openid offline", map[string]any{})
	p.stop()

	if *writeDump {
		dump(t, source.URL, c)
	}
	hydracase.Check(t, source.URL, testdb.New(t, testdb.Options{}), c)
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
