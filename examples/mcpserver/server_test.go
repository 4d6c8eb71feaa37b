package mcpserver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/examples/mcpserver"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

func TestMain(m *testing.M) { os.Exit(storetest.Reuse(m).Run()) }

const resource = "https://notes.example/mcp"

type world struct {
	*testing.T
	*storetest.DB
	user   store.UserID
	client store.ClientID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, DB: storetest.New(t), user: store.NewUserID(), client: store.NewClientID()}
	_, err := w.Store.CreateUser(t.Context(), store.CreateUserParams{ID: w.user, Name: "Ada"})
	w.ok(err)
	_, err = w.Store.CreateClient(t.Context(), store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: w.client, RedirectURIs: []string{"https://client.example/cb"}, TokenEndpointAuthMethod: new("none"),
		Scopes: []string{"notes", "other"}, Resources: []string{resource, "https://bank.example/mcp"},
	})
	w.ok(err)
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// token is an access token that the user has granted a minute ago; change makes it another one.
func (w *world) token(change func(*store.IssueGrantParams)) string {
	w.Helper()
	access := token.Mint(token.AccessToken)
	p := store.IssueGrantParams{
		ID: store.NewAuthorizationID(), ClientID: w.client, UserID: w.user, Scopes: []string{"notes"}, Resources: []string{resource},
		GrantType: "authorization_code", AuthTime: new(time.Now().Add(-time.Minute)), ACR: new("password"),
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	}
	if change != nil {
		change(&p)
	}
	row, err := w.Store.IssueGrant(w.T.Context(), p)
	w.ok(err)
	if row.Outcome != store.OutcomeGranted && row.Outcome != store.OutcomeIssued {
		w.Fatal(row.Outcome)
	}
	return access.Reveal()
}

// call calls the tool, and returns the status, the challenge and what the tool has said.
func (w *world) call(handler http.Handler, authorization string) (status int, challenge, said string) {
	w.Helper()
	r := httptest.NewRequestWithContext(w.T.Context(), http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	rw := httptest.NewRecorder()
	handler.ServeHTTP(rw, r)
	body, err := io.ReadAll(rw.Result().Body)
	w.ok(err)
	return rw.Code, rw.Header().Get("WWW-Authenticate"), string(body)
}

func TestToolsAskForATokenThatIsForThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handler, err := mcpserver.New(w.Pool, mcpserver.Options{Resource: resource, Issuer: "https://id.example", Scopes: []string{"notes"}})
	w.ok(err)
	const where = `Bearer resource_metadata="https://notes.example/.well-known/oauth-protected-resource/mcp"`
	good := w.token(nil)
	revoked := w.token(nil)
	_, err = w.Store.RevokeToken(t.Context(), store.RevokeTokenParams{ClientID: w.client, ClientAuthMethod: "none", Token: token.DigestOf(revoked)})
	w.ok(err)
	for what, attempt := range map[string]struct {
		authorization string
		status        int
		challenge     string
	}{
		"as it should be":      {"Bearer " + good, 200, ""},
		"by another case":      {"bearer " + good, 200, ""},
		"no token":             {"", 401, where + `, scope="notes"`},
		"another scheme":       {"Basic " + good, 401, where + `, scope="notes"`},
		"nonsense":             {"Bearer nonsense", 401, where + `, error="invalid_token", scope="notes"`},
		"a revoked token":      {"Bearer " + revoked, 401, where + `, error="invalid_token", scope="notes"`},
		"for another resource": {"Bearer " + w.token(func(p *store.IssueGrantParams) { p.Resources = []string{"https://bank.example/mcp"} }), 401, where + `, error="invalid_token", scope="notes"`},
		"for no resource":      {"Bearer " + w.token(func(p *store.IssueGrantParams) { p.Resources = nil }), 401, where + `, error="invalid_token", scope="notes"`},
		"for two resources":    {"Bearer " + w.token(func(p *store.IssueGrantParams) { p.Resources = []string{resource, "https://bank.example/mcp"} }), 200, ""},
		"bound to a key": {"Bearer " + w.token(func(p *store.IssueGrantParams) {
			p.Confirmation = &token.Confirmation{JKT: string(token.DigestOf("a key"))}
		}), 401, where + `, error="invalid_token", scope="notes"`},
		"for less": {"Bearer " + w.token(func(p *store.IssueGrantParams) { p.Scopes = []string{"other"} }), 403, where + `, error="insufficient_scope", scope="notes"`},
	} {
		status, challenge, said := w.call(handler, attempt.authorization)
		if status != attempt.status || challenge != attempt.challenge {
			t.Errorf("%s: %d %q, want %d %q", what, status, challenge, attempt.status, attempt.challenge)
		}
		if strings.Contains(said, string(w.user)) != (status == http.StatusOK) {
			t.Errorf("%s: the tool has said %s", what, said)
		}
	}
}

// RFC 9470, section 3.
func TestToolsAskForABetterSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handler, err := mcpserver.New(w.Pool, mcpserver.Options{
		Resource: resource, Issuer: "https://id.example", MaxAge: 5 * time.Minute, ACRValues: []string{"phr", "phrh"},
	})
	w.ok(err)
	const wanted = `error="insufficient_user_authentication", acr_values="phr phrh", max_age="300"`
	for what, attempt := range map[string]struct {
		change func(*store.IssueGrantParams)
		want   string
	}{
		"strong and recent": {func(p *store.IssueGrantParams) { p.ACR = new("phr") }, ""},
		"a password":        {nil, wanted},
		"nothing said":      {func(p *store.IssueGrantParams) { p.ACR = nil }, wanted},
		"long ago":          {func(p *store.IssueGrantParams) { p.ACR, p.AuthTime = new("phr"), new(time.Now().Add(-time.Hour)) }, wanted},
	} {
		status, challenge, _ := w.call(handler, "Bearer "+w.token(attempt.change))
		if (status == http.StatusUnauthorized) != (attempt.want != "") || !strings.Contains(challenge, attempt.want) {
			t.Errorf("%s: %d %s", what, status, challenge)
		}
	}
}

// RFC 9728, section 3.
func TestMetadataNameTheAuthorizationServer(t *testing.T) {
	t.Parallel()
	handler, err := mcpserver.New(nil, mcpserver.Options{Resource: resource, Issuer: "https://id.example", Scopes: []string{"notes"}})
	if err != nil {
		t.Fatal(err)
	}
	rw := httptest.NewRecorder()
	handler.ServeHTTP(rw, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://notes.example/.well-known/oauth-protected-resource/mcp", nil))
	var told struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	if err := json.Unmarshal(rw.Body.Bytes(), &told); err != nil {
		t.Fatal(err)
	}
	if told.Resource != resource || len(told.Servers) != 1 || told.Servers[0] != "https://id.example" || len(told.Scopes) != 1 {
		t.Errorf("told %+v", told)
	}
	for _, wrong := range []string{"", "notes", "https://notes.example", "https://notes.example/mcp#x"} {
		if _, err := mcpserver.New(nil, mcpserver.Options{Resource: wrong}); err == nil {
			t.Errorf("%q is taken for the URL of an endpoint", wrong)
		}
	}
}
