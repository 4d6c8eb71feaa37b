package registration_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
)

// addDocuments adds what clients send, and what is amiss in one way.
func addDocuments(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no documents: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		``, `{}`, `[]`, `null`, `{"scope": null, "x": [1e5, {"y": "\ud800"}]}`, `{"redirect_uris": ["a:b"], "redirect_uris": 1}`, `{"a": 1}{}`,
		`{"client_name": "\u0000"}`, `{"x": 1e999}`, `{"x": 1e-999}`, `{"x": -0.0}`, `{"default_max_age": 1.5}`, `{"default_max_age": -1}`, `{"jwks": {"keys": []}}`,
		`{"client_secret": "s", "client_id": "c", "scope": " a  b a "}`, `{"contacts": [], "client_name": ""}`, `{"x": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		`{"client_name#ja": "\u30af", "metadata": {"x": [null, true, "é"]}}`, "{\"a\xff\": 1}",
	} {
		f.Add([]byte(text))
	}
}

// rendered is the document of a client that has these metadata and nothing else.
func rendered(t *testing.T, m registration.Metadata) []byte {
	t.Helper()
	document, err := registration.Render(store.OAuthClient{
		RedirectURIs: m.RedirectURIs, PostLogoutRedirectURIs: m.PostLogoutRedirectURIs, TokenEndpointAuthMethod: m.TokenEndpointAuthMethod,
		GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, Name: m.Name, URI: m.URI, Icon: m.Icon, TOS: m.TOS, Policy: m.Policy,
		Contacts: m.Contacts, JWKS: m.JWKS, JWKSURI: m.JWKSURI, SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion,
		SoftwareStatement: m.SoftwareStatement, ApplicationType: m.ApplicationType, SubjectType: m.SubjectType, DefaultMaxAge: m.DefaultMaxAge,
		BackchannelLogoutURI: m.BackchannelLogoutURI, BackchannelLogoutSessionRequired: m.BackchannelLogoutSessionRequired,
		RequirePushedAuthorizationRequests: m.RequirePushedAuthorizationRequests, DPoPBoundAccessTokens: m.DPoPBoundAccessTokens,
		TLSClientCertificateBoundAccessTokens: m.TLSClientCertificateBoundAccessTokens, TLSClientAuthSubjectDN: m.TLSClientAuthSubjectDN,
		TLSClientAuthSANDNS: m.TLSClientAuthSANDNS, TLSClientAuthSANURI: m.TLSClientAuthSANURI, TLSClientAuthSANIP: m.TLSClientAuthSANIP,
		TLSClientAuthSANEmail: m.TLSClientAuthSANEmail, AuthorizationDetailsTypes: m.AuthorizationDetailsTypes, Scopes: m.Scopes, Metadata: m.Other,
	})
	if err != nil {
		t.Fatalf("what was read can't be rendered: %v", err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatalf("what was rendered is no JSON: %v", err)
	}
	return text
}

// FuzzParse: a document is refused by an *Error, or read. What is read is the same when it is rendered and read again.
func FuzzParse(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, document []byte) {
		m, err := registration.Parse(document)
		if err != nil {
			if refused := new(registration.Error); !errors.As(err, &refused) {
				t.Errorf("got %v, want an *Error", err)
			}
			if !reflect.DeepEqual(m, registration.Metadata{}) {
				t.Errorf("something beside an error: %+v", m)
			}
			return
		}
		if m.Other != nil && !json.Valid(m.Other) {
			t.Errorf("not JSON: %s", m.Other)
		}
		first := rendered(t, m)
		if len(first) > registration.MaxSize {
			return // with the defaults, which it didn't state
		}
		again, err := registration.Parse(first)
		if err != nil {
			t.Fatalf("%s is rendered as %s, which is refused: %v", document, first, err)
		}
		if second := rendered(t, again); string(second) != string(first) {
			t.Errorf("%s is rendered as\n%s and, once this is read, as\n%s", document, first, second)
		}
	})
}
