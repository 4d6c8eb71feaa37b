package fositedb_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/jackc/pgx/v5"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/adapters/fosite/fositetest"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

func TestMain(m *testing.M) { os.Exit(testdb.Reuse(m).Run()) }

// The keys of all tests: making one costs more than a flow.
var (
	signingKey = newKey()
	clientKey  = newKey()
	clientJWK  = jose.JSONWebKey{Key: &clientKey.PublicKey, KeyID: "k1", Algorithm: "ES256"}
)

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// world is a server that the library makes, on a database of its own, with a user who is signed in.
type world struct {
	testing.TB
	ctx     context.Context
	db      *storetest.DB
	q       *store.Queries
	calls   *recorder
	log     *logged
	user    store.UserID
	session store.SessionID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, ctx: t.Context(), calls: &recorder{}, log: &logged{}}
	w.db = storetest.New(t, storetest.MaxConns(10), storetest.Tracer(w.calls))
	w.q = w.db.Store
	w.user = store.NewUserID()
	_, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: w.user, Name: "Ada Lovelace"})
	w.ok(err)
	w.session = store.NewSessionID()
	_, err = w.q.CreateSession(w.ctx, store.CreateSessionParams{
		ID: w.session, UserID: w.user, Token: token.Mint(token.SessionToken).Digest(), Lifetime: time.Hour,
	})
	w.ok(err)
	w.calls.take()
	return w
}

// server is one process that serves.
type server struct {
	*world
	url      string
	config   *fosite.Config
	provider fosite.OAuth2Provider
	widen    atomic.Bool // the token endpoint grants calendar to everybody
}

// how a server is made.
type how struct {
	opts    fositedb.Options
	config  fosite.Config
	hmac    bool // the library's own tokens, by compose.ComposeAllEnabled as it is
	jwt     bool // access tokens are JWTs
	bare    bool // not in a Provider
	storage any  // another one
	pool    store.DBTX
}

func (w *world) serve(change ...func(*how)) *server {
	w.Helper()
	h := how{pool: w.db.Pool, opts: fositedb.Options{SuccessorKeys: [][]byte{[]byte(strings.Repeat("s", 32))}, Scopes: []string{"openid"}}}
	h.config = fosite.Config{
		GlobalSecret: []byte(strings.Repeat("g", 32)), AccessTokenLifespan: 5 * time.Minute, RefreshTokenLifespan: time.Hour,
		AuthorizeCodeLifespan: time.Minute, IDTokenIssuer: "https://issuer.example", GrantTypeJWTBearerMaxDuration: time.Hour,
	}
	for _, c := range change {
		c(&h)
	}
	h.opts.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	s := &server{world: w, config: &h.config}
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	w.Cleanup(web.Close)
	s.url = web.URL
	s.config.TokenURL = web.URL + "/token"
	if h.storage == nil {
		st, err := fositedb.New(h.pool, h.opts)
		w.ok(err)
		st.Configure(s.config)
		h.storage = st
	}
	if h.hmac {
		s.provider = compose.ComposeAllEnabled(s.config, h.storage, signingKey)
	} else {
		var core oauth2.CoreStrategy = h.storage.(*fositedb.Store).Strategy()
		if h.jwt {
			key := func(context.Context) (any, error) { return signingKey, nil }
			core = compose.NewOAuth2JWTStrategy(key, compose.NewOAuth2HMACStrategy(s.config), s.config)
		}
		s.provider = fositetest.Compose(s.config, h.storage, core, signingKey)
	}
	if !h.bare {
		s.provider = fositedb.Wrap(s.provider)
	}
	mux.Handle("/", s.endpoints())
	return s
}

// endpoints are served with the world's user signed in.
func (s *server) endpoints() http.Handler {
	return fositetest.Endpoints{
		Provider: s.provider,
		Look:     func(r *http.Request) bool { return r.Form.Get("look") != "" },
		SignedIn: func(*http.Request) *fositedb.Session {
			session := fositedb.NewSession(s.user, s.session)
			session.Claims.AuthTime = session.Claims.RequestedAt
			session.Claims.AuthenticationContextClassReference = "urn:example:pwd"
			session.Username = "ada"
			session.Extra = map[string]any{"plan": "gold"}
			return session
		},
		Grant: func(r *http.Request, ar fosite.AccessRequester) {
			session := ar.GetSession().(*fositedb.Session)
			if ar.GetGrantTypes().ExactOne("client_credentials") {
				session.Extra = map[string]any{"plan": "machine"}
			}
			if s.widen.Load() {
				ar.GrantScope("calendar")
			}
			if plan := r.Form.Get("plan"); plan != "" {
				session.Extra = map[string]any{"plan": plan}
			}
		},
	}.Handler()
}

// client is a client as its own developers know it.
type client struct {
	*server
	id, secret string
	key        bool
}

const redirectURI = "https://client.example/callback"

// register registers a confidential client that may do everything; change alters the registration.
func (s *server) register(change ...func(*store.CreateClientParams)) client {
	s.Helper()
	secret := token.Mint(token.ClientSecret)
	p := store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), ClientSecret: new(secret.Digest()), RedirectURIs: []string{redirectURI},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials", string(fosite.GrantTypeJWTBearer)},
		Scopes:     []string{"openid", "offline_access", "calendar"}, Resources: []string{"https://api.example"},
	}
	for _, c := range change {
		c(&p)
	}
	_, err := s.q.CreateClient(s.ctx, p)
	s.ok(err)
	c := client{server: s, id: string(p.ClientID), key: p.JWKS != nil}
	if p.ClientSecret != nil {
		c.secret = secret.Reveal()
	}
	s.calls.take()
	return c
}

// public makes a client that has no secret, keyed one that authenticates by a key.
func public(p *store.CreateClientParams) {
	p.Public, p.ClientSecret, p.TokenEndpointAuthMethod = new(true), nil, new("none")
}

func keyed(p *store.CreateClientParams) {
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{clientJWK}})
	if err != nil {
		panic(err)
	}
	p.ClientSecret, p.TokenEndpointAuthMethod, p.JWKS = nil, new("private_key_jwt"), set
}

// sign is a JWT by the clients' key.
func sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: clientKey, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// assertion is what a client authenticates by.
func (c client) assertion(jti string) string {
	return sign(c, map[string]any{
		"iss": c.id, "sub": c.id, "aud": c.config.TokenURL, "jti": jti, "exp": time.Now().Add(time.Minute).Unix(),
	})
}

// answer is what came back: a JSON object, or the parameters of a redirect.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	to     url.Values
	text   string
}

func (a answer) str(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func (s *server) send(r *http.Request) answer {
	s.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Do(r)
	s.ok(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	s.ok(err)
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body)
	if l, err := response.Location(); err == nil {
		a.to = l.Query()
	}
	return a
}

// post sends a form with the client's authentication.
func (c client) post(path string, form url.Values) answer {
	c.Helper()
	switch {
	case c.key && !form.Has("client_assertion"):
		form.Set("client_assertion", c.assertion(rand.Text()))
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	case c.secret == "" && !c.key:
		form.Set("client_id", c.id)
	}
	r, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.url+path, strings.NewReader(form.Encode()))
	c.ok(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.secret != "" {
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
	return c.send(r)
}

var verifier = strings.Repeat("verifier-", 5)

// request is an authorization request.
func (c client) request(change ...func(url.Values)) url.Values {
	form := url.Values{
		"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"the-state"}, "nonce": {"the-nonce"},
		"scope": {"openid offline_access calendar"}, "audience": {"https://api.example"},
		"code_challenge": {token.S256(verifier)}, "code_challenge_method": {"S256"},
	}
	for _, ch := range change {
		ch(form)
	}
	return form
}

func (s *server) authorize(form url.Values) answer {
	s.Helper()
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.url+"/authorize?"+form.Encode(), nil)
	s.ok(err)
	return s.send(r)
}

// code has the user agree.
func (c client) code(change ...func(url.Values)) string {
	c.Helper()
	a := c.authorize(c.request(change...))
	if a.to.Get("code") == "" || a.to.Get("state") != "the-state" {
		c.Fatalf("authorization: %d %v %s", a.status, a.to, a.text)
	}
	return a.to.Get("code")
}

func redemption(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}}
}

func (c client) redeem(code string) answer { return c.post("/token", redemption(code)) }

func (c client) refresh(refreshToken string) answer {
	return c.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
}

// login goes through the code flow and returns the tokens.
func (c client) login(change ...func(url.Values)) answer {
	c.Helper()
	a := c.redeem(c.code(change...))
	if a.status != http.StatusOK {
		c.Fatalf("redemption: %d %s", a.status, a.text)
	}
	return a
}

func (c client) introspect(presented string) answer {
	c.Helper()
	return c.post("/introspect", url.Values{"token": {presented}})
}

// wantActive fails the test unless all of the tokens are live, or all are dead.
func (c client) wantActive(want bool, tokens ...string) {
	c.Helper()
	for i, t := range tokens {
		a := c.introspect(t)
		if a.status != http.StatusOK || a.body["active"] != want {
			c.Errorf("token %d: %d %s, want active %t", i, a.status, a.text, want)
		}
	}
}

func (w *world) want(what string, a answer, status int, code string) {
	w.Helper()
	if a.status != status || a.str("error") != code {
		w.Errorf("%s: %d %s, want %d %s", what, a.status, a.text, status, code)
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
	if name := db.QueryName(data.SQL); name != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.names = append(r.names, name)
	}
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
	return slices.Clone(names)
}

// logged is what a Store has logged.
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
