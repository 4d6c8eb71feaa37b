package registration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// read parses a document of testdata.
func read(t *testing.T, name string) registration.Metadata {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

func parse(t *testing.T, document string) registration.Metadata {
	t.Helper()
	m, err := registration.Parse([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return m
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

func TestEveryMemberGoesToItsField(t *testing.T) {
	t.Parallel()
	same(t, "web.json", read(t, "web.json"), registration.Metadata{
		Scopes:                  []string{"openid", "profile", "photos.read", "offline_access"},
		Name:                    new("Framed"),
		URI:                     new("https://framed.example"),
		Icon:                    new("https://framed.example/logo.svg"),
		Contacts:                []string{"hello@framed.example", "security@framed.example"},
		TOS:                     new("https://framed.example/terms"),
		Policy:                  new("https://framed.example/privacy"),
		SoftwareID:              new("7c1f6e5a-2b0d-4b54-9a3e-1f8f0f1f6d11"),
		SoftwareVersion:         new("2026.4"),
		SoftwareStatement:       new("eyJ.e30.x"),
		RedirectURIs:            []string{"https://framed.example/oauth/callback", "https://staging.framed.example/oauth/callback"},
		PostLogoutRedirectURIs:  []string{"https://framed.example/goodbye"},
		TokenEndpointAuthMethod: new("tls_client_auth"),
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		ResponseTypes:           []string{"code"},
		SubjectType:             new("public"),
		JWKS:                    json.RawMessage(`{"keys": [{"kid": "1", "kty": "EC"}]}`),
		JWKSURI:                 new("https://framed.example/.well-known/jwks.json"), // that there are both is for the database to refuse
		ApplicationType:         new("web"),
		BackchannelLogoutURI:    new("https://framed.example/oauth/logout"),
		DefaultMaxAge:           new(24 * time.Hour),

		BackchannelLogoutSessionRequired:      new(true),
		RequirePushedAuthorizationRequests:    new(true),
		DPoPBoundAccessTokens:                 new(false),
		TLSClientCertificateBoundAccessTokens: new(true),
		TLSClientAuthSubjectDN:                new("CN=framed"),
		TLSClientAuthSANDNS:                   new("framed.example"),
		TLSClientAuthSANURI:                   new("spiffe://framed"),
		TLSClientAuthSANIP:                    new("192.0.2.1"),
		TLSClientAuthSANEmail:                 new("ops@framed.example"),
		AuthorizationDetailsTypes:             []string{"photo_upload"},

		Other: json.RawMessage(`{"client_name#de": "Gerahmt", "id_token_signed_response_alg": "ES256"}`),
	})
	// and that is all fields that there are
	v := reflect.ValueOf(read(t, "web.json"))
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "ClientID" && name != "ClientSecret" {
			t.Errorf("no member of web.json goes to %s", name)
		}
	}
}

func TestDocumentWithoutScopeAsksForTheDefault(t *testing.T) {
	t.Parallel()
	m := read(t, "no-scope.json")
	same(t, "scopes", m.Scopes, []string(nil))
	same(t, "contacts", m.Contacts, []string{})
	same(t, "scope: null", read(t, "private-scheme.json").Scopes, []string(nil))
	same(t, "scope: empty", parse(t, `{"scope": ""}`).Scopes, []string(nil))
	same(t, "scope: spaces", parse(t, `{"scope": "  "}`).Scopes, []string(nil))
	same(t, "scope", parse(t, `{"scope": " b a  b "}`).Scopes, []string{"b", "a"})
}

func TestUnknownMembersAreKept(t *testing.T) {
	t.Parallel()
	m := read(t, "extra-members.json")
	same(t, "name", m.Name, "Shelf")
	same(t, "software_id", m.SoftwareID, "shelf-cli")
	same(t, "jwks_uri", m.JWKSURI, "https://shelf.example/keys.json")
	same(t, "backchannel_logout_uri", m.BackchannelLogoutURI, "https://shelf.example/bye")
	same(t, "other", m.Other, json.RawMessage(`{"allowed_cors_origins": ["https://shelf.example"], "client_name#de": "Regal", "resource": "https://api.example/", "tos_uri#fr": "https://shelf.example/cgu", "x_vendor": {"tier": 3}}`))
	same(t, "names are exact", parse(t, `{"Client_Name": "x", "": 1}`), registration.Metadata{Other: json.RawMessage(`{"": 1, "Client_Name": "x"}`)})
	same(t, "large numbers stay", parse(t, `{"n": 12345678901234567890.5}`).Other, json.RawMessage(`{"n": 12345678901234567890.5}`))
}

func TestAppIsRecognisedByItsRedirectURIs(t *testing.T) {
	t.Parallel()
	same(t, "loopback.json", read(t, "loopback.json").ApplicationType, "native")
	same(t, "private-scheme.json", read(t, "private-scheme.json").ApplicationType, "native")
	same(t, "extra-members.json", read(t, "extra-members.json").ApplicationType, (*string)(nil))
	for document, want := range map[string]any{
		`{"redirect_uris": ["http://[::1]/cb", "com.example.app:/cb"]}`:         "native",
		`{"redirect_uris": ["http://127.0.0.1/cb"], "application_type": "web"}`: "web",
		`{"redirect_uris": ["http://127.0.0.1/cb"], "application_type": null}`:  "native",
		`{"redirect_uris": ["http://127.0.0.1/cb", "https://a.example/cb"]}`:    (*string)(nil),
		`{"redirect_uris": ["http://127.0.0.1.evil.example/cb"]}`:               (*string)(nil),
		`{"redirect_uris": ["http://localhost@evil.example/cb"]}`:               (*string)(nil),
		`{"redirect_uris": ["/cb"]}`:                                            (*string)(nil),
		`{"redirect_uris": []}`:                                                 (*string)(nil),
		`{}`:                                                                    (*string)(nil),
		`{"redirect_uris": ["HTTPS://a.example/cb"]}`:                           (*string)(nil),
		`{"redirect_uris": ["%"]}`:                                              (*string)(nil),
	} {
		same(t, document, parse(t, document).ApplicationType, want)
	}
}

// members are all that Parse knows, with a value of the right type.
var members = map[string]string{
	"redirect_uris": `["https://a.example"]`, "post_logout_redirect_uris": `["x"]`, "grant_types": `["x"]`, "response_types": `["x"]`, "contacts": `["x"]`, "authorization_details_types": `["x"]`,
	"token_endpoint_auth_method": `"x"`, "scope": `"x"`, "client_name": `"x"`, "client_uri": `"x"`, "logo_uri": `"x"`, "tos_uri": `"x"`, "policy_uri": `"x"`,
	"jwks": `{}`, "jwks_uri": `"x"`, "software_id": `"x"`, "software_version": `"x"`, "software_statement": `"x"`, "application_type": `"x"`, "subject_type": `"x"`,
	"default_max_age": `1`, "backchannel_logout_uri": `"x"`, "backchannel_logout_session_required": `true`, "require_pushed_authorization_requests": `true`,
	"dpop_bound_access_tokens": `true`, "tls_client_certificate_bound_access_tokens": `true`, "tls_client_auth_subject_dn": `"x"`, "tls_client_auth_san_dns": `"x"`,
	"tls_client_auth_san_uri": `"x"`, "tls_client_auth_san_ip": `"x"`, "tls_client_auth_san_email": `"x"`, "client_id": `"x"`, "client_secret": `"x"`,
}

func TestNullIsLeftOut(t *testing.T) {
	t.Parallel()
	for name := range members {
		same(t, name, parse(t, fmt.Sprintf(`{%q: null}`, name)), registration.Metadata{})
	}
	same(t, "unknown", parse(t, `{"x": null, "client_name#de": null}`), registration.Metadata{})
	same(t, "nothing", parse(t, `{}`), registration.Metadata{})
	same(t, "empty text", parse(t, `{"client_uri": "", "token_endpoint_auth_method": "", "client_id": "", "client_secret": ""}`), registration.Metadata{})
	same(t, "empty lists", parse(t, `{"redirect_uris": [], "grant_types": [], "response_types": []}`),
		registration.Metadata{RedirectURIs: []string{}, GrantTypes: []string{}, ResponseTypes: []string{}})
}

func TestMemberOfAnotherTypeIsRefusedByName(t *testing.T) {
	t.Parallel()
	values := []string{`1`, `1.5`, `-1`, `"1"`, `true`, `"true"`, `{}`, `[]`, `["x"]`, `[1]`, `[null]`, `[["x"]]`, `[{}]`, `"x"`, `{"keys": []}`}
	fits := func(example, value string) bool {
		switch example[0] {
		case '[':
			return value == `[]` || value == `["x"]`
		case '"':
			return value[0] == '"'
		case '{':
			return value[0] == '{'
		case 't':
			return value == `true`
		default:
			return value == `1`
		}
	}
	for name, example := range members {
		parse(t, fmt.Sprintf(`{%q: %s}`, name, example))
		for _, value := range values {
			_, err := registration.Parse(fmt.Appendf(nil, `{%q: %s}`, name, value))
			if fits(example, value) {
				if err != nil {
					t.Errorf("%s: %s: %v", name, value, err)
				}
				continue
			}
			wantRefused(t, name+": "+value, err, name)
		}
		_, err := registration.Parse(fmt.Appendf(nil, `{%q: %s, "x": 1, %q: %s}`, name, example, name, example))
		wantRefused(t, name+" twice", err, name)
	}
}

func wantRefused(t *testing.T, what string, err error, member string) {
	t.Helper()
	var refused *registration.Error
	if !errors.As(err, &refused) {
		t.Errorf("%s: got %v, want it refused", what, err)
		return
	}
	code := registration.InvalidClientMetadata
	if member == "redirect_uris" {
		code = registration.InvalidRedirectURI
	}
	if refused.Member != member || refused.Code != code || refused.Problem == "" || !strings.HasPrefix(err.Error(), member) {
		t.Errorf("%s: got %+v (%v), want %s of %q", what, refused, err, code, member)
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"x": ` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	parse(t, deep(registration.MaxDepth-1))
	parse(t, `{"x": "`+strings.Repeat("y", registration.MaxSize/2)+`"}`)
	parse(t, `{"client_name": "`+strings.Repeat("y", registration.MaxText)+`"}`)
	parse(t, `{"software_statement": "`+strings.Repeat("y", 2*registration.MaxText)+`"}`)
	for document, member := range map[string]string{
		``:                                 "",
		` `:                                "",
		`null`:                             "",
		`[]`:                               "",
		`"x"`:                              "",
		`1`:                                "",
		`{`:                                "",
		`{"x": 1`:                          "",
		`{"x": 1} {}`:                      "",
		`{"x": 1} x`:                       "",
		`{"x": }`:                          "x",
		`{"x": 01}`:                        "",
		`{x: 1}`:                           "",
		"{\"x\": \"\xff\"}":                "",
		`{"x": 1, "x": 1}`:                 "x",
		`{"client_name": "\u0000"}`:        "client_name",
		`{"contacts": ["a\u0000"]}`:        "contacts",
		`{"x": {"\u0000": 1}}`:             "x",
		`{"a\u0000": 1}`:                   "",
		`{"x": 1e999999}`:                  "x",
		`{"x": [1e-999999]}`:               "x",
		`{"default_max_age": 1e3}`:         "default_max_age",
		`{"default_max_age": -1}`:          "default_max_age",
		`{"default_max_age": 99999999999}`: "default_max_age",
		deep(registration.MaxDepth):        "x",
		deep(20_000):                       "x",
		`{"x": "` + strings.Repeat("y", registration.MaxSize) + `"}`:                 "",
		`{"x": [` + strings.Repeat("1,", 20_000) + `1]}`:                             "",
		`{"jwks": {"keys": [` + strings.Repeat("1,", 20_000) + `1]}}`:                "jwks",
		`{"client_name": "` + strings.Repeat("y", registration.MaxText+1) + `"}`:     "client_name",
		`{"redirect_uris": ["` + strings.Repeat("y", registration.MaxText+1) + `"]}`: "redirect_uris",
	} {
		_, err := registration.Parse([]byte(document))
		wantRefused(t, document[:min(len(document), 40)], err, member)
	}
}

// A client sends back all that it was given when it updates its registration. Nothing of that is kept, least of all a credential.
func TestCredentialsAreNotKept(t *testing.T) {
	t.Parallel()
	m := parse(t, `{"client_id": "app", "client_secret": "the secret", "registration_access_token": "the token", "client_id_issued_at": 1,
		"client_secret_expires_at": 0, "registration_client_uri": "https://as.example/register/app", "client_name": "App"}`)
	same(t, "metadata", m, registration.Metadata{Name: new("App"), ClientID: new("app"), ClientSecret: new(token.DigestOf("the secret"))})
	for _, p := range []any{m, m.CreateClientParams(), m.RegisterClientParams(), m.UpdateRegistrationParams(), m.PutClientDocumentParams()} {
		for _, text := range []string{fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p)} {
			if strings.Contains(text, "the secret") || strings.Contains(text, "the token") {
				t.Errorf("a credential is kept: %s", text)
			}
		}
		if id := reflect.ValueOf(p).FieldByName("ClientID"); id.Kind() == reflect.String && id.String() != "" {
			t.Errorf("%T has the client_id of the document", p)
		}
	}
}

// What a document says is in the params of each call, under the same name.
func TestParamsHaveAllMetadata(t *testing.T) {
	t.Parallel()
	m := read(t, "web.json")
	for _, p := range []any{m.CreateClientParams(), m.RegisterClientParams(), m.UpdateRegistrationParams(), m.PutClientDocumentParams()} {
		for i := range reflect.TypeOf(m).NumField() {
			name := reflect.TypeOf(m).Field(i).Name
			switch name {
			case "ClientID", "ClientSecret":
				continue
			case "Other":
				same(t, fmt.Sprintf("%T.Metadata", p), reflect.ValueOf(p).FieldByName("Metadata").Interface(), m.Other)
			default:
				same(t, fmt.Sprintf("%T.%s", p, name), reflect.ValueOf(p).FieldByName(name).Interface(), reflect.ValueOf(m).Field(i).Interface())
			}
		}
	}
	for method, want := range map[string]any{`"none"`: true, `"client_secret_post"`: false, `null`: (*bool)(nil)} {
		same(t, method, parse(t, `{"token_endpoint_auth_method": `+method+`}`).CreateClientParams().Public, want)
	}
	same(t, "redirect_uris", parse(t, `{}`).CreateClientParams().RedirectURIs, []string{})
	same(t, "client_id", parse(t, `{"client_id": "x"}`).PutClientDocumentParams().DocumentClientID, "x")
}

// stored is the row that a registration comes to.
func stored(t *testing.T, p store.CreateClientParams) store.OAuthClient {
	t.Helper()
	var c store.OAuthClient
	row, params := reflect.ValueOf(&c).Elem(), reflect.ValueOf(p)
	for i := range params.NumField() {
		if f := row.FieldByName(params.Type().Field(i).Name); f.IsValid() {
			f.Set(params.Field(i))
		}
	}
	return c
}

func render(t *testing.T, c store.OAuthClient) string {
	t.Helper()
	document, err := registration.Render(c)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRenderedDocumentSaysWhatIsStored(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"web.json", "no-scope.json", "extra-members.json", "loopback.json", "private-scheme.json"} {
		m := read(t, name)
		c := stored(t, m.CreateClientParams())
		c.ClientID, c.CreatedAt = "app", time.Unix(1_700_000_000, 0)
		again := parse(t, render(t, c))
		if *again.ClientID != "app" {
			t.Errorf("%s: client_id %s", name, *again.ClientID)
		}
		again.ClientID = nil
		if m.GrantTypes == nil {
			m.GrantTypes = []string{"authorization_code"}
		}
		if m.ResponseTypes == nil {
			m.ResponseTypes = []string{"code"}
		}
		if m.TokenEndpointAuthMethod == nil {
			m.TokenEndpointAuthMethod = again.TokenEndpointAuthMethod
		}
		same(t, name, again, m)
	}
}

func TestRenderedDocumentStatesTheDefaults(t *testing.T) {
	t.Parallel()
	c := store.OAuthClient{ClientID: "app", CreatedAt: time.Unix(7, 0), RedirectURIs: []string{}, Scopes: []string{}}
	const rest = `"client_id": "app", "client_id_issued_at": 7, "grant_types": ["authorization_code"], "redirect_uris": [], "response_types": ["code"], "scope": ""`
	sameDocument(t, render(t, c), `{`+rest+`, "token_endpoint_auth_method": "none"}`)
	c.JWKSURI = new("https://a.example/keys")
	sameDocument(t, render(t, c), `{`+rest+`, "jwks_uri": "https://a.example/keys", "token_endpoint_auth_method": "private_key_jwt"}`)
	c.JWKSURI, c.ClientSecret = nil, new(token.DigestOf("x"))
	sameDocument(t, render(t, c), `{`+rest+`, "client_secret_expires_at": 0, "token_endpoint_auth_method": "client_secret_basic"}`)
	c.ClientSecretExpiresAt = new(time.Unix(9, 0))
	// what another server left in metadata stands behind the columns, and is no credential
	c.Metadata = json.RawMessage(`{"client_id": "other", "client_name": "x", "client_secret": "x", "registration_access_token": "x", "scope": "all", "x": 1.50}`)
	sameDocument(t, render(t, c), `{`+rest+`, "client_secret_expires_at": 9, "token_endpoint_auth_method": "client_secret_basic", "x": 1.50}`)
	c.Metadata = json.RawMessage(`[`)
	if _, err := registration.Render(c); err == nil {
		t.Error("metadata that can't be read are no error")
	}
}

func sameDocument(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal([]byte(got), &g), json.Unmarshal([]byte(want), &w)); err != nil || !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s (%v)", got, want, err)
	}
}
