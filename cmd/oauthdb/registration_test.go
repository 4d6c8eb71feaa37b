package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := documents.ReadFile("clients/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// same compares two values by their JSON, which tells nil from empty.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	g, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

func TestEveryMemberOfARegistrationGoesToItsColumn(t *testing.T) {
	t.Parallel()
	got, err := clientOf(read(t, "web.json"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "web.json", got, store.CreateClientParams{
		Scopes:                  []string{"openid", "profile", "photos.read", "offline_access"},
		Name:                    new("Framed"),
		URI:                     new("https://framed.example"),
		Icon:                    new("https://framed.example/logo.svg"),
		Contacts:                []string{"hello@framed.example", "security@framed.example"},
		TOS:                     new("https://framed.example/terms"),
		Policy:                  new("https://framed.example/privacy"),
		SoftwareID:              new("7c1f6e5a-2b0d-4b54-9a3e-1f8f0f1f6d11"),
		SoftwareVersion:         new("2026.4"),
		RedirectURIs:            []string{"https://framed.example/oauth/callback", "https://staging.framed.example/oauth/callback"},
		PostLogoutRedirectURIs:  []string{"https://framed.example/goodbye"},
		TokenEndpointAuthMethod: new("client_secret_basic"),
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		ResponseTypes:           []string{"code"},
		Public:                  new(false),
		SubjectType:             new("public"),
		JWKSURI:                 new("https://framed.example/.well-known/jwks.json"),
		ApplicationType:         new("web"),
		BackchannelLogoutURI:    new("https://framed.example/oauth/logout"),
		Metadata: json.RawMessage(`{
			"client_name#de": "Gerahmt",
			"default_max_age": 86400,
			"id_token_signed_response_alg": "ES256",
			"require_pushed_authorization_requests": true
		}`),
	})
}

func TestANativeClientWithoutASecretIsPublic(t *testing.T) {
	t.Parallel()
	got, err := clientOf(read(t, "native.json"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "public", got.Public, new(true))
	same(t, "application_type", got.ApplicationType, new("native"))
	same(t, "metadata", got.Metadata, json.RawMessage(`{"dpop_bound_access_tokens": true}`))
	same(t, "redirect_uris", got.RedirectURIs, []string{"example.pocketalbum:/oauth", "http://127.0.0.1/oauth"})
}

func TestAMachineHasKeysAndNoRedirectURI(t *testing.T) {
	t.Parallel()
	got, err := clientOf(read(t, "machine.json"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "redirect_uris", got.RedirectURIs, []string{}) // the column is NOT NULL
	same(t, "response_types", got.ResponseTypes, []string{})
	same(t, "public", got.Public, new(false))
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(got.JWKS, &set); err != nil || len(set.Keys) != 1 || set.Keys[0].Kid != "backup-2026" {
		t.Errorf("jwks: %s, %v", got.JWKS, err)
	}
}

func TestWhatARegistrationLeavesOutStaysNull(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		`{}`,
		`{"client_name": null, "redirect_uris": null, "jwks": null, "scope": null, "token_endpoint_auth_method": null}`,
	} {
		got, err := clientOf([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		same(t, document, got, store.CreateClientParams{RedirectURIs: []string{}})
	}
}

func TestNamesOfMembersAreExact(t *testing.T) {
	t.Parallel()
	got, err := clientOf([]byte(`{"Client_Name": "not the name", "client_id": "chosen by the client"}`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "client_name", got.Name, (*string)(nil))
	same(t, "client_id", got.ClientID, "")
	same(t, "metadata", got.Metadata, json.RawMessage(`{"Client_Name": "not the name", "client_id": "chosen by the client"}`))
}

func TestARegistrationThatCannotBeReadSaysWhere(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		``:                            "unexpected end of JSON input",
		`null`:                        "not an object",
		`[]`:                          "cannot unmarshal array",
		`{"redirect_uris": "x"}`:      "redirect_uris",
		`{"contacts": [1]}`:           "contacts",
		`{"client_name": ["Framed"]}`: "client_name",
		`{"scope": ["openid"]}`:       "scope",
	} {
		if _, err := clientOf([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", document, err, want)
		}
	}
}
