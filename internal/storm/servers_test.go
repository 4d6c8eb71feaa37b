package storm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/ory/fosite"
	"github.com/zitadel/oidc/v3/pkg/op"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/adapters/fosite/fositetest"
	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/adapters/zitadel/zitadeltest"
	"github.com/oauthdb/oauthdb/internal/storetests/betterauth"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	redirectURI = "https://client.example/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	lifetime    = time.Hour // of all that is issued: longer than a storm
)

// The servers.
const (
	fositeServer  = "fosite"
	zitadelServer = "zitadel"
	betterAuth    = "better-auth"
	theStore      = "store" // the reference: a connection of its own
)

// server is one that speaks OAuth.
type server struct {
	name                                  string
	base                                  string
	authorizePath, tokenPath              string
	introspectPath, revokePath, endedPath string // endedPath signs a user out
}

// isForeign says whether a server has statements of its own.
func (s *server) isForeign() bool { return s.name == betterAuth }

// answer is what a server said.
type answer struct {
	status int
	body   map[string]any
	to     *url.URL // where it sent the browser
	raw    string
}

func (a answer) text(name string) string { s, _ := a.body[name].(string); return s }

// code is that of an authorization.
func (a answer) code() string {
	if a.to != nil {
		return a.to.Query().Get("code")
	}
	return ""
}

// cookie is the one of a session, as a better-auth server has it. All servers take it.
func cookie(value token.Digest) string { return betterauth.Cookie(string(value)) }

// sessionOf finds the live session of a browser.
func sessionOf(q *store.Queries, r *http.Request) (store.FindSessionByTokenRow, bool) {
	c, err := r.Cookie("better-auth.session_token")
	if err != nil {
		return store.FindSessionByTokenRow{}, false
	}
	value, err := url.QueryUnescape(c.Value)
	if err != nil {
		return store.FindSessionByTokenRow{}, false
	}
	digest, _, _ := strings.Cut(value, ".")
	row, err := q.FindSessionByToken(r.Context(), token.Digest(digest))
	return row, err == nil
}

var successorKeys = [][]byte{[]byte(strings.Repeat("s", 32))}

// newFosite serves the fosite adapter.
func newFosite(t testing.TB, pool store.DBTX, how setup) *server {
	t.Helper()
	config := &fosite.Config{
		GlobalSecret: []byte(strings.Repeat("g", 32)), AccessTokenLifespan: lifetime, RefreshTokenLifespan: lifetime,
		AuthorizeCodeLifespan: lifetime, IDTokenIssuer: "https://fosite.example",
	}
	st, err := fositedb.New(pool, fositedb.Options{SuccessorKeys: successorKeys, Grace: lifetime})
	must(t, err)
	st.Configure(config)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	q := store.New(pool)
	handler := fositetest.Endpoints{
		Provider: fositedb.Wrap(fositetest.Compose(config, st, st.Strategy(), key)),
		SignedIn: func(r *http.Request) *fositedb.Session {
			s, ok := sessionOf(q, r)
			if !ok {
				return nil
			}
			return fositedb.NewSession(s.Session.UserID, s.Session.ID)
		},
	}.Handler()
	if how.fosite != nil {
		handler = how.fosite(handler)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	config.TokenURL = web.URL + "/token"
	return &server{
		name: fositeServer, base: web.URL, authorizePath: "/authorize", tokenPath: "/token", introspectPath: "/introspect", revokePath: "/revoke",
	}
}

// newZitadel serves the zitadel adapter.
func newZitadel(t testing.TB, pool zitadel.DB, how setup) *server {
	t.Helper()
	q, keys := store.New(pool), successorKeys
	if how.zitadelDB != nil {
		pool = how.zitadelDB(pool)
	}
	if how.zitadelKeys != nil {
		keys = how.zitadelKeys
	}
	web := httptest.NewUnstartedServer(nil)
	base := "http://" + web.Listener.Addr().String()
	storage, err := zitadel.New(pool, zitadel.Options{
		SuccessorKeys: keys, KeyEncryptionKeys: [][]byte{[]byte(strings.Repeat("k", 32))}, LoginURL: zitadeltest.LoginURL,
		CodeLifetime: lifetime, AccessTokenLifetime: lifetime, RefreshTokenLifetime: lifetime, Grace: lifetime,
	})
	must(t, err)
	config := &op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true, AuthMethodPost: true, DefaultLogoutRedirectURI: "/signed-out"}
	provider, err := zitadel.NewProvider(storage, config, op.StaticIssuer(base), op.WithAllowInsecure())
	must(t, err)
	handler := zitadeltest.Handler(storage, provider, func(r *http.Request, p zitadel.PendingRequest) *zitadel.Approval {
		s, ok := sessionOf(q, r)
		if !ok {
			return nil
		}
		return &zitadel.Approval{UserID: s.Session.UserID, SessionID: &s.Session.ID, Scopes: p.Authorization.Scopes, AuthTime: s.Session.CreatedAt}
	})
	if how.zitadel != nil {
		handler = how.zitadel(handler)
	}
	web.Config.Handler = handler
	web.Start()
	t.Cleanup(web.Close)
	return &server{
		name: zitadelServer, base: base, authorizePath: "/authorize", tokenPath: "/oauth/token", introspectPath: "/oauth/introspect",
		revokePath: "/revoke", endedPath: "/end_session",
	}
}

// newBetterAuth starts a better-auth server in the role that is meant for it.
func newBetterAuth(t *testing.T, database string) *server {
	t.Helper()
	s := betterauth.Start(t, betterauth.AsPeer(t, database))
	return &server{
		name: betterAuth, base: s.Base, authorizePath: "/oauth2/authorize", tokenPath: "/oauth2/token", introspectPath: "/oauth2/introspect",
		revokePath: "/oauth2/revoke", endedPath: "/sign-out",
	}
}

// app is a client as its developers know it.
type app struct {
	scope
	id     store.ClientID
	secret string
	shut   []window
}

// browser follows redirects within the server, and stops where it is sent elsewhere.
func browser(base string) *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar, Timeout: 3 * time.Minute, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), base+"/") || strings.HasSuffix(r.URL.Path, "/sign-in") || strings.HasSuffix(r.URL.Path, "/signed-out") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

func send(client *http.Client, r *http.Request) (answer, error) {
	response, err := client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	a := answer{status: response.StatusCode, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // or a page
	a.to, _ = response.Location()
	if to := a.text("url"); a.to == nil && to != "" {
		a.to, _ = url.Parse(to)
	}
	return a, nil
}

// authorize sends a browser that may be signed in, whose user agrees.
func (s *server) authorize(ctx context.Context, signedIn string, c *app, asked string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+s.authorizePath+"?"+url.Values{
		"response_type": {"code"}, "client_id": {string(c.id)}, "redirect_uri": {redirectURI}, "scope": {asked}, "state": {"a-state-of-eight"},
		"code_challenge": {token.S256(verifier)}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
	if err != nil {
		return answer{}, err
	}
	b := browser(s.base)
	name, value, _ := strings.Cut(signedIn, "=")
	b.Jar.SetCookies(r.URL, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
	return send(b, r)
}

var plain = &http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// post sends a form of the client's.
func (s *server) post(ctx context.Context, path string, c *app, form url.Values) (answer, error) {
	form.Set("client_id", string(c.id))
	form.Set("client_secret", c.secret)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(plain, r)
}

func (s *server) redeem(ctx context.Context, c *app, code string) (answer, error) {
	return s.post(ctx, s.tokenPath, c, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
}

func (s *server) refresh(ctx context.Context, c *app, presented string) (answer, error) {
	return s.post(ctx, s.tokenPath, c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {presented}})
}

func (s *server) ownToken(ctx context.Context, c *app) (answer, error) {
	return s.post(ctx, s.tokenPath, c, url.Values{"grant_type": {"client_credentials"}, "scope": {"reports"}})
}

func (s *server) introspect(ctx context.Context, c *app, presented string) (answer, error) {
	return s.post(ctx, s.introspectPath, c, url.Values{"token": {presented}})
}

func (s *server) revoke(ctx context.Context, c *app, presented string) (answer, error) {
	return s.post(ctx, s.revokePath, c, url.Values{"token": {presented}})
}

// signOut ends the session of a browser. The zitadel server wants an ID token of it.
func (s *server) signOut(ctx context.Context, signedIn, idToken string) (answer, error) {
	var r *http.Request
	var err error
	if s.isForeign() {
		r, err = http.NewRequestWithContext(ctx, http.MethodPost, s.base+s.endedPath, strings.NewReader("{}"))
	} else {
		r, err = http.NewRequestWithContext(ctx, http.MethodGet, s.base+s.endedPath+"?"+url.Values{"id_token_hint": {idToken}}.Encode(), nil)
	}
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Cookie", signedIn)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", strings.TrimSuffix(s.base, "/api/auth"))
	return send(browser(s.base), r)
}

// introspectHere asks the store itself.
func introspectHere(ctx context.Context, q *store.Queries, presented string) (store.IntrospectTokenRow, error) {
	return q.IntrospectToken(ctx, store.IntrospectTokenParams{ClientAuthMethod: "server", Token: token.DigestOf(presented)})
}

// newPool is one of a server's own.
func newPool(t testing.TB, database string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), database+"&pool_max_conns=6")
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
