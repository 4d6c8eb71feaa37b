package zitadel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// flaky is a pool of which one statement fails.
type flaky struct {
	zitadel.DB
	left atomic.Int64 // statements until the one that fails; negative: none does
}

var errBroken = &pgconn.PgError{Severity: "PANIC", Code: "XX001", Message: "secret message", Detail: "secret detail"}

func (f *flaky) fails() bool { return f.left.Add(-1) == -1 }

// Exec, Query and QueryRow implement store.DBTX.
func (f *flaky) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if f.fails() {
		return pgconn.CommandTag{}, errBroken
	}
	return f.DB.Exec(ctx, sql, args...)
}

func (f *flaky) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if f.fails() {
		return nil, errBroken
	}
	return f.DB.Query(ctx, sql, args...)
}

func (f *flaky) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if f.fails() {
		return brokenRow{}
	}
	return f.DB.QueryRow(ctx, sql, args...)
}

type brokenRow struct{}

func (brokenRow) Scan(...any) error { return errBroken }

// fetched is what an endpoint answered.
type fetched struct {
	status   int
	location string
	body     string
}

// fetch sends a request and follows no redirect.
func (w *world) fetch(r *http.Request) fetched {
	w.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	w.ok(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	w.ok(err)
	return fetched{response.StatusCode, response.Header.Get("Location"), string(body)}
}

func (w *world) get(path string) *http.Request {
	w.Helper()
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.issuer+path, nil)
	w.ok(err)
	return r
}

// requests are one to each endpoint and for each grant, which succeed one after the other, and only once where a code is used.
func (w *world) requests(c registered) []struct {
	name string
	make func() *http.Request
	good string // in the answer of one that succeeds
} {
	w.Helper()
	cfg := c.oauth2()
	if c.secret == "" {
		cfg.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	party := c.rp("openid", "profile", "email", "offline_access", "calendar")
	tokens := c.rpLogin(party)
	code, verifier := c.authorize(cfg)
	pending := strings.TrimPrefix(w.fetch(w.get(strings.TrimPrefix(cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)), w.issuer))).location, "/login?id=")
	approval := w.approval(zitadel.PendingRequest{Authorization: store.OAuthAuthorization{Scopes: []string{"openid"}}})
	ticket, err := w.storage.Approve(w.ctx, pending, approval)
	w.ok(err)
	bearer := func(path, token string) *http.Request {
		r := w.get(path)
		r.Header.Set("Authorization", "Bearer "+token)
		return r
	}
	type request = struct {
		name string
		make func() *http.Request
		good string
	}
	return []request{
		{"discovery", func() *http.Request { return w.get("/.well-known/openid-configuration") }, "issuer"},
		{"keys", func() *http.Request { return w.get("/keys") }, `"kid"`},
		{"ready", func() *http.Request { return w.get("/ready") }, "ok"},
		{"authorize", func() *http.Request {
			return w.get(strings.TrimPrefix(cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)), w.issuer))
		}, "/login?id="},
		{"callback", func() *http.Request { return w.get("/authorize/callback?id=" + ticket) }, "code="},
		{"authorization_code", func() *http.Request {
			return c.form("/oauth/token", url.Values{
				"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI},
			})
		}, "refresh_token"},
		{"refresh_token", func() *http.Request {
			return c.form("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}})
		}, "refresh_token"},
		{"client_credentials", func() *http.Request {
			return c.form("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"files"}})
		}, "access_token"},
		{"token-exchange", func() *http.Request {
			return c.form("/oauth/token", url.Values{
				"grant_type": {string(oidc.GrantTypeTokenExchange)}, "subject_token": {tokens.AccessToken}, "subject_token_type": {string(oidc.AccessTokenType)},
			})
		}, "issued_token_type"},
		{"device_authorization", func() *http.Request {
			return c.form("/device_authorization", url.Values{"scope": {"calendar"}})
		}, "user_code"},
		{"par", func() *http.Request {
			return c.form("/par", url.Values{
				"redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"},
				"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
			})
		}, "request_uri"},
		{"introspection of an access token", func() *http.Request {
			return c.form("/oauth/introspect", url.Values{"token": {tokens.AccessToken}})
		}, `"active":true`},
		{"introspection of a refresh token", func() *http.Request {
			return c.form("/oauth/introspect", url.Values{"token": {tokens.RefreshToken}})
		}, `"active"`},
		{"userinfo", func() *http.Request { return bearer("/userinfo", tokens.AccessToken) }, *w.user.Email},
		{"revocation", func() *http.Request { return c.form("/revoke", url.Values{"token": {tokens.AccessToken}}) }, ""},
		{"revocation without a hint", func() *http.Request { return c.form("/revoke", url.Values{"token": {tokens.RefreshToken}}) }, ""},
		{"end_session", func() *http.Request {
			return w.get("/end_session?" + url.Values{
				"id_token_hint": {tokens.IDToken}, "post_logout_redirect_uri": {"https://client.example/signed-out"},
			}.Encode())
		}, "https://client.example/signed-out"},
	}
}

func TestFaultIsAnsweredAsOneAtEveryStatementOfEveryEndpoint(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"secret, opaque", "secret, JWT", "key, opaque", "key, JWT"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.opts.UserinfoInIDToken, w.opts.DeviceURL = true, "https://op.example/device"
				if strings.HasSuffix(kind, "JWT") {
					w.opts.AccessTokenType = zitadel.JWTs
				}
			})
			broken := &flaky{DB: w.db.Pool}
			broken.left.Store(-1)
			w.handler.Store(w.pages(w.newServer(broken)))
			c := w.register(devices, exchanges)
			if strings.HasPrefix(kind, "key") {
				c = w.registerKey(devices, exchanges)
			}
			for _, request := range w.requests(c) {
				for statement := 0; ; statement++ {
					if statement > 10 {
						t.Fatalf("%s: too many statements", request.name)
					}
					r := request.make()
					broken.left.Store(int64(statement))
					got := w.fetch(r)
					if left := broken.left.Swap(-1); left >= 0 {
						// Fewer statements than that: this one has succeeded, though it had failed at each of its statements before.
						if got.status >= http.StatusBadRequest || !strings.Contains(got.location+got.body, request.good) {
							t.Errorf("%s, %d faults later: %+v", request.name, statement, got)
						}
						if statement == 0 && request.name != "ready" {
							t.Errorf("%s sends no statement", request.name)
						}
						break
					}
					what := fmt.Sprintf("%s, statement %d", request.name, statement)
					told := got.status == http.StatusInternalServerError && strings.Contains(got.body, `"server_error"`) ||
						strings.Contains(got.location, "error=server_error")
					if !told {
						t.Errorf("%s: %+v", what, got)
					}
					if strings.Contains(got.location+got.body, "XX001") || strings.Contains(got.location+got.body, "secret ") {
						t.Errorf("%s tells the reason: %+v", what, got)
					}
				}
			}
			if log := w.log.String(); !strings.Contains(log, "XX001") || strings.Contains(log, "secret ") {
				t.Error("the log should say what went wrong, and none of the values")
			}
		})
	}
}

func TestServerWithoutDatabaseIsAtFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.DeviceURL = "https://op.example/device" })
	c := w.register(devices, exchanges)
	requests := w.requests(c)
	pool, err := pgxpool.New(w.ctx, w.db.URL)
	w.ok(err)
	pool.Close()
	w.handler.Store(w.pages(w.newServer(pool)))
	for _, request := range requests {
		got := w.fetch(request.make())
		if got.status != http.StatusInternalServerError {
			t.Errorf("%s: %+v", request.name, got)
		}
	}
	storage, provider := w.newServer(pool)
	_, err = storage.PendingRequest(w.ctx, "id")
	wantFault(t, "PendingRequest", err)
	approval := w.approval(zitadel.PendingRequest{})
	_, err = storage.Approve(w.ctx, "id", approval)
	wantFault(t, "Approve", err)
	wantFault(t, "Provider.Approve", provider.Approve(nil, w.get("/"), "id", approval))
	wantFault(t, "Provider.Deny", provider.Deny(nil, w.get("/"), "id", nil))
	wantFault(t, "TerminateSession", storage.TerminateSession(w.ctx, "user", "client"))
	_, err = storage.RotateSigningKey(w.ctx, 0)
	wantFault(t, "RotateSigningKey", err)
	wantFault(t, "RetireSigningKeys", storage.RetireSigningKeys(w.ctx))
	wantFault(t, "Health", storage.Health(w.ctx))
}

func wantFault(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, zitadel.ErrStore) || !errors.Is(err, oidc.ErrServerError()) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestCallThatIsGivenUpIsNoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	tokens := c.login(c.oauth2())
	gone, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err := w.storage.TokenRequestByRefreshToken(gone, tokens.RefreshToken)
	wantFault(t, "TokenRequestByRefreshToken", err)
	wantFault(t, "SetIntrospectionFromToken", w.storage.SetIntrospectionFromToken(gone, new(oidc.IntrospectionResponse), "id", "", c.id))
	_, err = w.storage.GetClientByClientID(gone, c.id)
	wantFault(t, "GetClientByClientID", err)
	_, _, _, err = w.storage.CreateAccessAndRefreshTokens(gone, mustRequest(w.storage.TokenRequestByRefreshToken(w.ctx, tokens.RefreshToken)), tokens.RefreshToken)
	wantFault(t, "CreateAccessAndRefreshTokens", err)
	if w.log.String() != "" {
		t.Errorf("logged, though nobody waits: %s", w.log)
	}
	_, err = c.refreshWith(c.oauth2(), tokens.RefreshToken)
	w.ok(err)
}

func mustRequest(r op.RefreshTokenRequest, err error) op.TokenRequest {
	if err != nil {
		panic(err)
	}
	return r
}
