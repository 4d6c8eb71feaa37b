package tokenendpoint_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/examples/tokenendpoint"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

const (
	redirectURI = "https://client.example/callback"
	resource    = "https://calendar.example"
	verifier    = "a-verifier-of-at-least-forty-three-characters"
)

// statements are those that a pool has run since they were asked for, by name.
type statements struct {
	mu    sync.Mutex
	names []string
}

// TraceQueryStart implements pgx.QueryTracer.
func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := db.QueryName(data.SQL)
	if name == "" {
		name = data.SQL
	}
	s.names = append(s.names, name)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.names
	s.names = nil
	return names
}

type world struct {
	testing.TB
	*storetest.DB
	ran     *statements
	handler http.Handler
	user    store.UserID
	session store.SessionID
	client  store.ClientID
	secret  string
}

func newWorld(t testing.TB) *world {
	w := &world{TB: t, ran: &statements{}, user: store.NewUserID(), session: store.NewSessionID(), client: store.NewClientID()}
	w.DB = storetest.New(t, storetest.Tracer(w.ran), storetest.MaxConns(8))
	var err error
	w.handler, err = tokenendpoint.New(w.Pool, tokenendpoint.Options{
		SuccessorKeys: [][]byte{[]byte(strings.Repeat("k", 32))}, Scopes: []string{"read", "write"}, Resources: []string{resource},
	})
	w.ok(err)
	_, err = w.Store.CreateUser(t.Context(), store.CreateUserParams{ID: w.user, Name: "Ada"})
	w.ok(err)
	_, err = w.Store.CreateSession(t.Context(), store.CreateSessionParams{
		ID: w.session, UserID: w.user, Token: token.Mint(token.SessionToken).Digest(), Lifetime: time.Hour,
	})
	w.ok(err)
	secret := token.Mint(token.ClientSecret)
	w.secret = secret.Reveal()
	_, err = w.Store.CreateClient(t.Context(), store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: w.client, ClientSecret: new(secret.Digest()), RedirectURIs: []string{redirectURI},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
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

// code is one that the user has let the client have.
func (w *world) code() string {
	w.Helper()
	code, now := token.Mint(token.AuthorizationCode), time.Now()
	outcome, err := w.Store.GrantAuthorization(w.Context(), store.GrantAuthorizationParams{
		ID: store.NewAuthorizationID(), UserID: w.user, ClientID: w.client, SessionID: &w.session, AuthTime: &now,
		RedirectURI: new(redirectURI), ResponseType: new("code"), CodeChallenge: new(token.S256(verifier)), CodeChallengeMethod: new("S256"),
		Scopes: []string{"read", "write"}, GrantedScopes: []string{"read", "write"}, DefaultScopes: []string{"read", "write"},
		Resources: []string{resource}, DefaultResources: []string{resource}, Code: code.Digest(), CodeLifetime: time.Minute,
	})
	w.ok(err)
	if outcome != store.OutcomeGranted {
		w.Fatal(outcome)
	}
	return code.Reveal()
}

// answered is what came back.
type answered struct {
	status int
	body   map[string]any
	header http.Header
	ran    []string // statements
}

func (a answered) text(name string) string { text, _ := a.body[name].(string); return text }

// ask sends a form with the client's authentication, unless alter changes that.
func (w *world) ask(path string, form url.Values, alter ...func(*http.Request)) answered {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(string(w.client), w.secret)
	for _, a := range alter {
		a(r)
	}
	w.ran.take()
	rw := httptest.NewRecorder()
	w.handler.ServeHTTP(rw, r)
	a := answered{status: rw.Code, header: rw.Header(), ran: w.ran.take()}
	if rw.Body.Len() > 0 {
		w.ok(json.Unmarshal(rw.Body.Bytes(), &a.body))
	}
	return a
}

func redemption(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}}
}

func refreshing(refreshToken string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
}

func TestARequestIsOneStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wants := func(what string, a answered, status int, code, statement string) answered {
		t.Helper()
		if a.status != status || a.text("error") != code || !slices.Equal(a.ran, []string{statement}) {
			t.Errorf("%s: %d %v by %v, want %d %s by %s", what, a.status, a.body, a.ran, status, code, statement)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be cached", what)
		}
		return a
	}
	code := w.code()
	first := wants("code", w.ask("/token", redemption(code)), 200, "", "RedeemAuthorizationCode")
	if first.text("scope") != "read write" || first.text("token_type") != "Bearer" || first.body["expires_in"].(float64) < 500 {
		t.Errorf("code: %v", first.body)
	}
	active := wants("introspection", w.ask("/introspect", url.Values{"token": {first.text("access_token")}}), 200, "", "IntrospectAccessToken")
	if active.body["active"] != true || active.text("sub") != string(w.user) || fmt.Sprint(active.body["aud"]) != "["+resource+"]" {
		t.Errorf("introspection: %v", active.body)
	}
	second := wants("refresh", w.ask("/token", refreshing(first.text("refresh_token"))), 200, "", "RotateRefreshToken")
	again := wants("retry", w.ask("/token", refreshing(first.text("refresh_token"))), 200, "", "RotateRefreshToken")
	if second.text("refresh_token") == "" || second.text("refresh_token") != again.text("refresh_token") {
		t.Error("a retry got another refresh token")
	}
	if a := wants("a refresh token", w.ask("/introspect", url.Values{"token": {second.text("refresh_token")}}), 200, "", "IntrospectToken"); a.body["active"] != true {
		t.Errorf("introspection of a refresh token: %v", a.body)
	}
	wants("too many scopes", w.ask("/token", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {second.text("refresh_token")}, "scope": {"read admin"},
	}), 400, "invalid_scope", "RotateRefreshToken")
	wants("revocation", w.ask("/revoke", url.Values{"token": {second.text("refresh_token")}}), 200, "", "RevokeToken")
	wants("a revoked token", w.ask("/token", refreshing(second.text("refresh_token"))), 400, "invalid_grant", "RotateRefreshToken")
	over := wants("a dead token", w.ask("/introspect", url.Values{"token": {first.text("access_token")}}), 200, "", "IntrospectAccessToken")
	if len(over.body) != 1 || over.body["active"] != false {
		t.Errorf("introspection of a dead token: %v", over.body)
	}
	wants("another code", w.ask("/token", redemption(w.code())), 200, "", "RedeemAuthorizationCode")
	wants("replay", w.ask("/token", redemption(code)), 400, "invalid_grant", "RedeemAuthorizationCode")
	wants("client credentials", w.ask("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}), 200, "", "IssueAccessToken")
	wants("a resource of others", w.ask("/token", url.Values{
		"grant_type": {"client_credentials"}, "resource": {"https://bank.example"},
	}), 400, "invalid_target", "IssueAccessToken")

	for what, form := range map[string]url.Values{
		"unsupported_grant_type":        {"grant_type": {"password"}},
		"invalid_request":               {"grant_type": {"authorization_code"}},
		"invalid_grant":                 {"grant_type": {"refresh_token"}, "refresh_token": {first.text("access_token")}},
		"invalid_authorization_details": {"grant_type": {"client_credentials"}, "authorization_details": {`[{"type":"payment"}]`}},
	} {
		wants(what, w.ask("/token", form), 400, what, "AuthenticateClient")
		wrong := wants(what+" of nobody", w.ask("/token", form, func(r *http.Request) { r.SetBasicAuth(string(w.client), "wrong") }),
			401, "invalid_client", "AuthenticateClient")
		if wrong.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", what)
		}
	}
	twice := url.Values{"grant_type": {"client_credentials"}, "scope": {"read", "write"}}
	wants("a parameter that comes twice", w.ask("/token", twice), 400, "invalid_request", "AuthenticateClient")
	wants("a parameter that isn't text", w.ask("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"re\x00ad"}}),
		400, "invalid_request", "AuthenticateClient")
	wants("two ways of authentication", w.ask("/token", url.Values{"grant_type": {"client_credentials"}, "client_secret": {w.secret}}),
		401, "invalid_client", "AuthenticateClient")
	wants("no token", w.ask("/introspect", url.Values{}), 400, "invalid_request", "AuthenticateClient")
	wants("no token", w.ask("/revoke", url.Values{}), 400, "invalid_request", "AuthenticateClient")
	for _, path := range []string{"/token", "/introspect", "/revoke"} {
		form := redemption(w.code())
		form.Set("token", first.text("access_token"))
		a := w.ask(path, form, func(r *http.Request) { r.SetBasicAuth(string(w.client), "wrong") })
		if a.status != 401 || a.text("error") != "invalid_client" || len(a.ran) != 1 {
			t.Errorf("%s with a wrong secret: %d %v by %v", path, a.status, a.body, a.ran)
		}
	}
}

func TestEightRedemptionsOfOneCodeGiveTokensOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := redemption(w.code()).Encode()
	statuses := make([]int, 8)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(string(w.client), w.secret)
			rw := httptest.NewRecorder()
			w.handler.ServeHTTP(rw, r)
			statuses[i] = rw.Code
		})
	}
	all.Wait()
	slices.Sort(statuses)
	if want := []int{200, 400, 400, 400, 400, 400, 400, 400}; !slices.Equal(statuses, want) {
		t.Errorf("got %v, want %v", statuses, want)
	}
}
