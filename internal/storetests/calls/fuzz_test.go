package calls

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
)

// FuzzDocuments: a document that registration.Parse reads is stored by each call that takes one, or refused by an outcome; never by an
// error, which a server would have to answer with 500. What is stored can be rendered, and read again.
func FuzzDocuments(f *testing.F) {
	files, err := filepath.Glob("../../../registration/testdata/*.json")
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
		`{}`, `{"redirect_uris": ["https://a.example/"], "scope": "a b"}`, `{"redirect_uris": ["a:b", "http://[::1]:1/"], "application_type": "native"}`,
		`{"redirect_uris": [""], "contacts": [""], "grant_types": [], "response_types": []}`, `{"jwks": {}, "token_endpoint_auth_method": "private_key_jwt"}`,
		`{"subject_type": "pairwise", "redirect_uris": ["https://a.example/", "https://b.example/"]}`, `{"x": {"y": [1e300, -0.0, 1e-300, "\ud800"]}}`,
		`{"default_max_age": 2147483647, "redirect_uris": ["https://é.example/ü?#"]}`, `{"backchannel_logout_uri": "javascript:x", "jwks_uri": "https://"}`,
		`{"grant_types": ["client_credentials"], "authorization_details_types": ["", "a"], "client_name": "` + strings.Repeat("ä", 2000) + `"}`,
		`{"tls_client_auth_san_ip": "::ffff:1.2.3.4", "token_endpoint_auth_method": "tls_client_auth", "redirect_uris": ["https://a.example/"]}`,
		`{"scope": "\u00e9 \" \\", "redirect_uris": ["https://a.example/"]}`,
	} {
		f.Add([]byte(text))
	}
	w := fixture.NewWorld(f, 1)
	f.Fuzz(func(t *testing.T, document []byte) { tryDocument(t, w, document) })
}

// FuzzDocumentMembers does so with documents that are right but for two members, which hold a text as it is or in a list, or its value if it
// is JSON.
func FuzzDocumentMembers(f *testing.F) {
	names := []string{
		"application_type", "authorization_details_types", "backchannel_logout_session_required", "backchannel_logout_uri", "client_id", "client_name",
		"client_secret", "client_uri", "contacts", "default_max_age", "dpop_bound_access_tokens", "grant_types", "jwks", "jwks_uri", "logo_uri",
		"policy_uri", "post_logout_redirect_uris", "redirect_uris", "require_pushed_authorization_requests", "response_types", "scope", "software_id",
		"software_statement", "software_version", "subject_type", "tls_client_auth_san_dns", "tls_client_auth_san_email", "tls_client_auth_san_ip",
		"tls_client_auth_san_uri", "tls_client_auth_subject_dn", "tls_client_certificate_bound_access_tokens", "token_endpoint_auth_method", "tos_uri",
		"another", "another#de",
	}
	for i := range names {
		for j, text := range []string{"https://a.example/", "a", "", "native", "pairwise", "urn:x:y", "none", `{"keys": []}`, "true", "7", `["code", "a b"]`, "é \"\\\n"} {
			if (i+j)%3 == 0 {
				f.Add(uint8(i), text, uint8(i+j), "https://b.example/?x#y", uint8(j))
			}
		}
	}
	w := fixture.NewWorld(f, 1)
	f.Fuzz(func(t *testing.T, first uint8, a string, second uint8, b string, form uint8) {
		document := map[string]any{"redirect_uris": []string{"https://a.example/cb"}, "client_name": "A"}
		for i, text := range []string{a, b} {
			name := names[int([]uint8{first, second}[i])%len(names)]
			switch form >> (2 * i) & 3 {
			case 0:
				document[name] = text
			case 1:
				document[name] = []string{text}
			case 2:
				document[name] = []string{text, "https://a.example/cb", text + "x"}
			case 3:
				if !json.Valid([]byte(text)) {
					return
				}
				document[name] = json.RawMessage(text)
			}
		}
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		tryDocument(t, w, text)
	})
}

// tryDocument passes a document to each call that takes one.
func tryDocument(t testing.TB, w *fixture.World, document []byte) {
	t.Helper()
	refused := []store.Outcome{store.OutcomeInvalidRedirectURI, store.OutcomeInvalidClientMetadata}
	m, err := registration.Parse(document)
	if err != nil {
		return
	}
	ctx, secret, manages := t.Context(), fixture.Digest(fixture.Secret), fixture.Digest(fixture.Unique("r"))
	outcome := func(call string, got store.Outcome, err error, want ...store.Outcome) bool {
		t.Helper()
		if err != nil || !slices.Contains(append(want, refused...), got) {
			t.Errorf("%s of %s: %s, %v", call, document, got, err)
		}
		return err == nil && slices.Contains(want, got)
	}
	stored := func(id store.ClientID) {
		t.Helper()
		c, err := w.Q.GetClient(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		rendered, err := registration.Render(c)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(rendered)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registration.Parse(text); err != nil && len(text) <= registration.MaxSize {
			t.Errorf("%s is rendered as %s, which is refused: %v", document, text, err)
		}
	}
	p := m.RegisterClientParams()
	p.ID, p.ClientID, p.Open = store.NewOAuthClientID(), store.NewClientID(), true
	p.ClientSecret, p.ClientSecretLifetime, p.RegistrationAccessToken = &secret, store.Never, &manages
	registered, err := w.Q.RegisterClient(ctx, p)
	if outcome("RegisterClient", registered.Outcome, err, store.OutcomeRegistered) {
		stored(p.ClientID)
		u := m.UpdateRegistrationParams()
		u.ClientID, u.RegistrationAccessToken, u.ClientSecret, u.ClientSecretLifetime = p.ClientID, manages, &secret, store.Never
		updated, err := w.Q.UpdateRegistration(ctx, u)
		outcome("UpdateRegistration", updated.Outcome, err, store.OutcomeUpdated)
		stored(p.ClientID)
	}
	d := m.PutClientDocumentParams()
	d.ID, d.ClientID, d.FetchedAt, d.FreshFor = store.NewOAuthClientID(), store.ClientID("https://a.example/"+fixture.Unique("c")), time.Now(), time.Hour
	d.DocumentClientID = new(string(d.ClientID))
	put, err := w.Q.PutClientDocument(ctx, d)
	if outcome("PutClientDocument", put.Outcome, err, store.OutcomeInserted) {
		stored(d.ClientID)
	}
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	failed []string
}

func (f *failing) Errorf(format string, args ...any) {
	f.failed = append(f.failed, fmt.Sprintf(format, args...))
}

// TestTheFuzzTargetOfDocumentsFindsFaults gives the tables a bound that the routines don't know: what is read can't be stored any more.
func TestTheFuzzTargetOfDocumentsFindsFaults(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 1)
	document := []byte(`{"redirect_uris": ["https://a.example/cb"], "client_name": "a name"}`)
	f := &failing{TB: t}
	tryDocument(f, w, document)
	if len(f.failed) > 0 {
		t.Fatalf("without a fault: %v", f.failed)
	}
	w.Exec(`ALTER TABLE oauth_client ADD CONSTRAINT short CHECK (char_length(name) < 3) NOT VALID`)
	tryDocument(f, w, document)
	if len(f.failed) != 2 { // of the three calls, one updates what another one has registered
		t.Errorf("found: %v", f.failed)
	}
}
