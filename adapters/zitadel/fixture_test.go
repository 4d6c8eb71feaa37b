package zitadel_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/adapters/zitadel/zitadeltest"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

func TestMain(m *testing.M) {
	// The library logs each refused request to the default logger, and the tests have many refused.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(testdb.Reuse(m).Run())
}

// world is a provider that serves on loopback, on a database of its own, with a user who is signed in.
type world struct {
	testing.TB
	ctx      context.Context
	db       *storetest.DB
	q        *store.Queries
	calls    *recorder
	log      *logged
	opts     zitadel.Options
	config   op.Config
	storage  *zitadel.Storage
	provider *zitadel.Provider
	handler  swap
	issuer   string
	user     store.User
	session  store.Session

	tenant *store.ReferenceID // in which the user approves; nil: in none
	grants []string           // scopes that the user approves; nil: all
	agreed string             // authorization_details that the user approves
}

// swap is a handler that can be replaced while it serves.
type swap struct{ atomic.Value }

func (s *swap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Load().(http.HandlerFunc)(w, r)
}

// options are those of most tests: keys that are quick to make, and pages of the test's own.
func options() zitadel.Options {
	return zitadel.Options{
		SuccessorKeys:     [][]byte{[]byte(strings.Repeat("s", 32))},
		KeyEncryptionKeys: [][]byte{[]byte(strings.Repeat("k", 32))},
		LoginURL:          zitadeltest.LoginURL,
		SigningAlgorithm:  jose.ES256,
		Scopes:            []string{"calendar"},
	}
}

func newWorld(t testing.TB, change ...func(*world)) *world {
	t.Helper()
	w := &world{TB: t, ctx: t.Context(), calls: &recorder{}, log: &logged{}, opts: options()}
	w.config = op.Config{
		CodeMethodS256: true, GrantTypeRefreshToken: true, AuthMethodPost: true, AuthMethodPrivateKeyJWT: true,
		DefaultLogoutRedirectURI: "/signed-out",
	}
	for _, c := range change {
		c(w)
	}
	w.opts.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	w.db = storetest.New(t, storetest.MaxConns(10), storetest.Tracer(w.calls))
	w.q = w.db.Store
	server := httptest.NewServer(&w.handler)
	t.Cleanup(server.Close)
	w.issuer = server.URL
	w.serve()

	id := store.NewUserID()
	var err error
	w.user, err = w.q.CreateUser(w.ctx, store.CreateUserParams{
		ID: id, Name: "Ada Lovelace", Email: new(string(id) + "@example.com"), EmailVerified: true, Image: new("https://example.com/ada.png"),
	})
	w.ok(err)
	w.session = w.newSession()
	w.calls.take()
	return w
}

func (w *world) newSession() store.Session {
	w.Helper()
	id := store.NewSessionID()
	_, err := w.q.CreateSession(w.ctx, store.CreateSessionParams{
		ID: id, UserID: w.user.ID, Token: token.Mint(token.SessionToken).Digest(), Lifetime: time.Hour,
	})
	w.ok(err)
	session, err := w.q.GetSession(w.ctx, id)
	w.ok(err)
	return session
}

// serve starts the provider, or starts it anew: with new objects, as a new process would.
func (w *world) serve() {
	w.Helper()
	w.storage, w.provider = w.newServer(w.db.Pool)
	w.handler.Store(w.pages(w.storage, w.provider))
}

// newServer is a server on the world's database: nothing is shared with another but that.
func (w *world) newServer(pool zitadel.DB) (*zitadel.Storage, *zitadel.Provider) {
	w.Helper()
	storage, err := zitadel.New(pool, w.opts)
	w.ok(err)
	provider, err := zitadel.NewProvider(storage, &w.config, op.StaticIssuer(w.issuer), op.WithAllowInsecure())
	w.ok(err)
	return storage, provider
}

// pages are the provider's endpoints and a login page on which the world's user agrees to everything at once.
func (w *world) pages(storage *zitadel.Storage, provider *zitadel.Provider) http.HandlerFunc {
	return zitadeltest.Handler(storage, provider, func(_ *http.Request, p zitadel.PendingRequest) *zitadel.Approval {
		return new(w.approval(p))
	}).ServeHTTP
}

func (w *world) approval(p zitadel.PendingRequest) zitadel.Approval {
	scopes := w.grants
	if scopes == nil {
		scopes = p.Authorization.Scopes
	}
	return zitadel.Approval{
		AuthorizationDetails: json.RawMessage(w.agreed),
		UserID:               w.user.ID, SessionID: &w.session.ID, ReferenceID: w.tenant, Scopes: scopes,
		AuthTime: w.session.CreatedAt, ACR: "urn:example:pwd", AMR: []string{"pwd"},
	}
}

// registered is a client as its own developers know it.
type registered struct {
	*world
	id, secret  string
	redirectURI string
	key         *ecdsa.PrivateKey
}

const redirectURI = "https://client.example/callback"

// register registers a confidential client that may do everything; change alters the registration.
func (w *world) register(change ...func(*store.CreateClientParams)) registered {
	w.Helper()
	secret := token.Mint(token.ClientSecret)
	p := store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), ClientSecret: new(secret.Digest()), Name: new("Client"),
		RedirectURIs: []string{redirectURI}, PostLogoutRedirectURIs: []string{"https://client.example/signed-out"},
		GrantTypes:       []string{"authorization_code", "refresh_token", "client_credentials"},
		Scopes:           []string{"openid", "profile", "email", "offline_access", "calendar", "files"},
		EnableEndSession: new(true),
	}
	for _, c := range change {
		c(&p)
	}
	_, err := w.q.CreateClient(w.ctx, p)
	w.ok(err)
	c := registered{world: w, id: string(p.ClientID), redirectURI: redirectURI}
	if p.ClientSecret != nil {
		c.secret = secret.Reveal()
	}
	if len(p.RedirectURIs) > 0 {
		c.redirectURI = p.RedirectURIs[0]
	}
	w.calls.take()
	return c
}

// public makes a client that has no secret.
func public(p *store.CreateClientParams) {
	p.Public, p.ClientSecret, p.TokenEndpointAuthMethod = new(true), nil, new("none")
}

// registerKey registers a client that authenticates by a key.
func (w *world) registerKey(change ...func(*store.CreateClientParams)) registered {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.ok(err)
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	w.ok(err)
	c := w.register(append([]func(*store.CreateClientParams){func(p *store.CreateClientParams) {
		p.ClientSecret, p.TokenEndpointAuthMethod, p.JWKS = nil, new("private_key_jwt"), jwks
	}}, change...)...)
	c.key = key
	return c
}

// oauth2 is the client by golang.org/x/oauth2.
func (c registered) oauth2(scopes ...string) *oauth2.Config {
	c.Helper()
	if scopes == nil {
		scopes = []string{"openid", "profile", "email", "offline_access", "calendar"}
	}
	style := oauth2.AuthStyleInHeader
	if c.secret == "" {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: c.id, ClientSecret: c.secret, RedirectURL: c.redirectURI, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: c.issuer + "/authorize", TokenURL: c.issuer + "/oauth/token", AuthStyle: style},
	}
}

// answer is what came back to the client's redirect URI.
type answer struct {
	url.Values
	status int
	body   string
}

// browse follows a URL as a browser would, until it leaves the server, and returns what it carries to where it goes.
func (w *world) browse(location string) answer {
	w.Helper()
	jar, err := cookiejar.New(nil)
	w.ok(err)
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	r, err := browser.Get(location)
	w.ok(err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	w.ok(err)
	a := answer{status: r.StatusCode, body: string(body)}
	if l, err := r.Location(); err == nil {
		a.Values = l.Query()
		if l.Fragment != "" {
			a.Values, err = url.ParseQuery(l.EscapedFragment())
			w.ok(err)
		}
	}
	return a
}

// authorize has the user agree to a request and returns the code and the verifier that redeems it.
func (c registered) authorize(cfg *oauth2.Config, opts ...oauth2.AuthCodeOption) (code, verifier string) {
	c.Helper()
	verifier = oauth2.GenerateVerifier()
	a := c.browse(cfg.AuthCodeURL("state", append(opts, oauth2.S256ChallengeOption(verifier))...))
	if a.Get("code") == "" || a.Get("state") != "state" {
		c.Fatalf("authorization: %d %v %s", a.status, a.Values, a.body)
	}
	return a.Get("code"), verifier
}

// login goes through the code flow and returns the tokens.
func (c registered) login(cfg *oauth2.Config, opts ...oauth2.AuthCodeOption) *oauth2.Token {
	c.Helper()
	code, verifier := c.authorize(cfg, opts...)
	tokens, err := cfg.Exchange(c.ctx, code, oauth2.VerifierOption(verifier))
	c.ok(err)
	return tokens
}

// refreshWith refreshes once, and does not keep the result.
func (c registered) refreshWith(cfg *oauth2.Config, refreshToken string) (*oauth2.Token, error) {
	return cfg.TokenSource(c.ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
}

// verify verifies an ID token as go-oidc does, with keys that it has not seen before.
func (c registered) verify(raw any) *gooidc.IDToken {
	c.Helper()
	provider, err := gooidc.NewProvider(c.ctx, c.issuer)
	c.ok(err)
	text, _ := raw.(string)
	idToken, err := provider.Verifier(&gooidc.Config{ClientID: c.id}).Verify(c.ctx, text)
	c.ok(err)
	return idToken
}

// form is a request to an endpoint with the client's authentication.
func (c registered) form(path string, form url.Values) *http.Request {
	c.Helper()
	switch {
	case c.key != nil && !form.Has("client_assertion"):
		form.Set("client_assertion", c.assertion())
		form.Set("client_assertion_type", zoidc.ClientAssertionTypeJWTAssertion)
	case c.secret == "" && c.key == nil:
		form.Set("client_id", c.id)
	}
	r, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.issuer+path, strings.NewReader(form.Encode()))
	c.ok(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.secret != "" {
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
	return r
}

// post sends a form to an endpoint, with the client's authentication, and returns what came back.
func (c registered) post(path string, form url.Values) (int, map[string]any) {
	c.Helper()
	return c.send(c.form(path, form))
}

// send sends a request and returns the status and the JSON that came back, if it was.
func (w *world) send(r *http.Request) (int, map[string]any) {
	w.Helper()
	response, err := http.DefaultClient.Do(r)
	w.ok(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.ok(err)
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		body = map[string]any{"text": string(text)}
	}
	return response.StatusCode, body
}

// active asks the introspection endpoint about a token.
func (c registered) active(accessToken string) bool {
	c.Helper()
	status, body := c.post("/oauth/introspect", url.Values{"token": {accessToken}})
	if status != http.StatusOK {
		c.Fatalf("introspection: %d %v", status, body)
	}
	return body["active"] == true
}

// wantActive fails the test unless all of the tokens are live, or all are dead.
func (c registered) wantActive(want bool, tokens ...string) {
	c.Helper()
	for i, t := range tokens {
		if got := c.active(t); got != want {
			c.Errorf("token %d is active: %t, want %t", i, got, want)
		}
	}
}

// userinfo asks the userinfo endpoint.
func (w *world) userinfo(accessToken string) (int, map[string]any) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.issuer+"/userinfo", nil)
	w.ok(err)
	r.Header.Set("Authorization", "Bearer "+accessToken)
	return w.send(r)
}

// wantOAuthError fails the test unless err is the token endpoint's answer with such an error code.
func (w *world) wantOAuthError(err error, status int, code string) {
	w.Helper()
	var answered *oauth2.RetrieveError
	if !errors.As(err, &answered) {
		w.Errorf("got %v, want %s", err, code)
		return
	}
	if answered.ErrorCode != code || answered.Response.StatusCode != status {
		w.Errorf("got %d %s, want %d %s", answered.Response.StatusCode, answered.ErrorCode, status, code)
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wantEqual fails the test unless both print the same.
func wantEqual(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// inParallel runs a call n times at the same moment and returns the results.
func inParallel[T any](n int, call func(i int) T) []T {
	results, start := make([]T, n), make(chan struct{})
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			<-start
			results[i] = call(i)
		})
	}
	close(start)
	calls.Wait()
	return results
}

// recorder records the names of the calls that a pool runs.
type recorder struct {
	mu    sync.Mutex
	names []string
}

// TraceQueryStart implements pgx.QueryTracer.
func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	name := db.QueryName(data.SQL)
	if name == "" {
		return ctx // of the test, or a ping
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = append(r.names, name)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// take returns the names since the last time, in order.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.names
	r.names = nil
	return names
}

// logged is what a Storage has logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// token32 is a word that nobody has used before.
func token32() string { return rand.Text() }

// signed is a JWT with such claims.
func signed(t testing.TB, signer jose.Signer, claims any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
