package zitadel_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

type inTransaction struct{}

// rollingBack serves each request in a transaction of the application's, which calls find in its context, and rolls it back unless
// the request succeeds.
func (w *world) rollingBack(next http.Handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		tx, err := w.db.Pool.Begin(r.Context())
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), inTransaction{}, tx)))
		end := tx.Commit
		if answer.Code >= http.StatusBadRequest {
			end = tx.Rollback
		}
		if err := end(r.Context()); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		for name, values := range answer.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(answer.Code)
		_, _ = rw.Write(answer.Body.Bytes())
	}
}

// joining is what a Storage must not have: a pool whose calls join the transaction of the request.
type joining struct{ *pgxpool.Pool }

func (j joining) in(ctx context.Context) store.DBTX {
	if tx, found := ctx.Value(inTransaction{}).(pgx.Tx); found {
		return tx
	}
	return j.Pool
}

func (j joining) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return j.in(ctx).Exec(ctx, sql, args...)
}

func (j joining) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return j.in(ctx).Query(ctx, sql, args...)
}

func (j joining) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return j.in(ctx).QueryRow(ctx, sql, args...)
}

func TestVerdictOutlivesTheRollbackOfItsRequest(t *testing.T) {
	t.Parallel()
	for name, joins := range map[string]bool{"pool": false, "in the transaction it would not": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var pool zitadel.DB = w.db.Pool
			if joins {
				pool = joining{w.db.Pool}
			}
			w.handler.Store(w.rollingBack(w.pages(w.newServer(pool))))
			c, resource := w.register(), w.register()
			cfg := c.oauth2()

			code, verifier := c.authorize(cfg)
			first, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.ok(err)
			_, err = cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			resource.wantActive(joins, first.AccessToken, first.RefreshToken)

			first = c.login(cfg)
			second, err := c.refreshWith(cfg, first.RefreshToken)
			w.ok(err)
			third, err := c.refreshWith(cfg, second.RefreshToken)
			w.ok(err)
			_, err = c.refreshWith(cfg, first.RefreshToken)
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			resource.wantActive(joins, first.AccessToken, second.AccessToken, third.AccessToken, third.RefreshToken)
		})
	}
}

func TestStorageTakesNoTransaction(t *testing.T) {
	t.Parallel()
	pool := reflect.TypeFor[zitadel.DB]()
	for kind, want := range map[reflect.Type]bool{
		reflect.TypeFor[*pgxpool.Pool](): true, reflect.TypeFor[pgx.Tx](): false, reflect.TypeFor[*pgxpool.Tx](): false,
	} {
		wantEqual(t, kind.String(), kind.Implements(pool), want)
	}
}

func TestSameCallAgainHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.Grace = -1 })
	c, resource := w.register(), w.register()
	code, verifier := c.authorize(c.oauth2())
	twice := func(call func() ([]string, error)) []string {
		t.Helper()
		first, err := call()
		w.ok(err)
		second, err := call()
		w.ok(err)
		wantEqual(t, "the answer to the call again", second, first)
		return first
	}
	in := func(form url.Values) context.Context {
		r := c.form("/oauth/token", form)
		ctx := zitadel.WithExchange(r).Context()
		w.ok(w.storage.AuthorizeClientIDSecret(ctx, c.id, c.secret))
		return ctx
	}

	ctx := in(url.Values{"code_verifier": {verifier}, "redirect_uri": {redirectURI}})
	byCode, err := w.storage.AuthRequestByCode(ctx, code)
	w.ok(err)
	tokens := twice(func() ([]string, error) {
		access, refresh, _, err := w.storage.CreateAccessAndRefreshTokens(ctx, byCode, "")
		return []string{access, refresh}, err
	})
	ctx = in(url.Values{})
	byRefreshToken, err := w.storage.TokenRequestByRefreshToken(ctx, tokens[1])
	w.ok(err)
	tokens = append(tokens, twice(func() ([]string, error) {
		access, refresh, _, err := w.storage.CreateAccessAndRefreshTokens(ctx, byRefreshToken, tokens[1])
		return []string{access, refresh}, err
	})...)
	byItself, err := w.storage.ClientCredentialsTokenRequest(ctx, c.id, []string{"files"})
	w.ok(err)
	tokens = append(tokens, twice(func() ([]string, error) {
		access, _, err := w.storage.CreateAccessToken(ctx, byItself)
		return []string{access}, err
	})...)
	resource.wantActive(true, tokens[0], tokens[2], tokens[3], tokens[4])
	wantEqual(t, "the log", w.log.String(), "")

	// In another request it is no retry, however alike it is.
	again, err := w.storage.TokenRequestByRefreshToken(ctx, tokens[1])
	w.ok(err)
	_, _, _, err = w.storage.CreateAccessAndRefreshTokens(ctx, again, tokens[1])
	if !errors.Is(err, oidc.ErrInvalidGrant()) {
		t.Errorf("in another request: %v", err)
	}
	resource.wantActive(false, tokens[0], tokens[2], tokens[3])
}

// Whatever else is wrong with a request, and whatever is right: a client that isn't authenticated learns that alone.
func TestWhoCallsComesBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, machine := w.register(), w.register(func(p *store.CreateClientParams) { p.GrantTypes = nil })
	keyed := w.registerKey()
	tokens := c.login(c.oauth2())
	code, verifier := c.authorize(c.oauth2())
	redeem := func(change ...string) url.Values {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
		for i := 0; i < len(change); i += 2 {
			form.Set(change[i], change[i+1])
		}
		return form
	}
	refresh := func(refreshToken, scope string) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "scope": {scope}}
	}
	requests := []struct {
		what, path string
		form       url.Values
	}{
		{"a code", "/oauth/token", redeem()},
		{"a code with another redirect_uri", "/oauth/token", redeem("redirect_uri", "https://client.example/other")},
		{"an unknown code", "/oauth/token", redeem("code", token.Mint(token.AuthorizationCode).Reveal())},
		{"a code with another verifier", "/oauth/token", redeem("code_verifier", oauth2.GenerateVerifier())},
		{"a refresh token", "/oauth/token", refresh(tokens.RefreshToken, "")},
		{"an unknown refresh token", "/oauth/token", refresh("nothing", "")},
		{"a refresh token with a scope beyond it", "/oauth/token", refresh(tokens.RefreshToken, "admin")},
		{"client_credentials", "/oauth/token", url.Values{"grant_type": {"client_credentials"}}},
		{"client_credentials with a scope beyond", "/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"admin"}}},
		{"introspection", "/oauth/introspect", url.Values{"token": {tokens.AccessToken}}},
		{"introspection of what is no token", "/oauth/introspect", url.Values{"token": {"a.b.c"}}},
		{"revocation", "/revoke", url.Values{"token": {tokens.AccessToken}}},
		{"revocation of a refresh token", "/revoke", url.Values{"token": {tokens.RefreshToken}, "token_type_hint": {"refresh_token"}}},
		{"revocation of nothing", "/revoke", url.Values{"token": {"a.b.c"}}},
	}
	impostors := map[string]func(url.Values) *http.Request{
		"a wrong secret": func(form url.Values) *http.Request {
			impostor := c
			impostor.secret = "wrong"
			return impostor.form("", form)
		},
		"another client's secret": func(form url.Values) *http.Request {
			impostor := c
			impostor.secret = machine.secret
			return impostor.form("", form)
		},
		"a client without the grant type, and a wrong secret": func(form url.Values) *http.Request {
			impostor := machine
			impostor.secret = "wrong"
			return impostor.form("", form)
		},
		"a secret of a client that has a key": func(form url.Values) *http.Request {
			impostor := keyed
			impostor.key, impostor.secret = nil, "wrong"
			return impostor.form("", form)
		},
		"a wrong secret in the form": func(form url.Values) *http.Request {
			impostor := c
			impostor.secret = ""
			form.Set("client_secret", "wrong")
			return impostor.form("", form)
		},
	}
	for who, impostor := range impostors {
		for _, request := range requests {
			form := url.Values{}
			for name, values := range request.form {
				form[name] = slices.Clone(values)
			}
			r := impostor(form)
			r.URL, _ = url.Parse(w.issuer + request.path)
			status, body := w.send(r)
			wantEqual(t, who+": "+request.what, []any{status, body["error"]}, []any{http.StatusUnauthorized, "invalid_client"})
			if len(body) > 2 || body["active"] != nil {
				t.Errorf("%s: %s: told more: %v", who, request.what, body)
			}
		}
	}
	impostor := c
	impostor.secret = ""
	for _, request := range requests {
		if status, body := impostor.post(request.path, request.form); status < http.StatusBadRequest || body["active"] != nil {
			t.Errorf("no secret: %s: %d %v", request.what, status, body)
		}
	}
	// Nothing of this has spent or ended anything.
	c.wantActive(true, tokens.AccessToken, tokens.RefreshToken)
	status, _ := c.post("/oauth/token", redeem())
	wantEqual(t, "the code, after all that", status, http.StatusOK)
}

func TestSecretCountsForAsLongAsWasPromised(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	tokens := c.login(c.oauth2())
	older := c
	for _, overlap := range []time.Duration{time.Hour, 0} {
		secret := token.Mint(token.ClientSecret)
		_, err := w.q.RotateClientSecret(w.ctx, store.RotateClientSecretParams{
			ClientID: store.ClientID(c.id), ClientSecret: secret.Digest(), Overlap: overlap, Lifetime: store.Never,
		})
		w.ok(err)
		replaced := c
		c.secret = secret.Reveal()
		for who, want := range map[*registered]int{&older: http.StatusOK, &c: http.StatusOK} {
			status, _ := who.post("/oauth/introspect", url.Values{"token": {tokens.AccessToken}})
			wantEqual(t, "introspection", status, want)
			status, _ = who.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
			wantEqual(t, "client_credentials", status, want)
		}
		if overlap == 0 {
			status, _ := replaced.post("/oauth/introspect", url.Values{"token": {tokens.AccessToken}})
			wantEqual(t, "a secret without an overlap", status, http.StatusUnauthorized)
		}
	}
}

func TestClientIsPublicWhereItHasNothingToAuthenticateWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resource := w.register()
	c := w.register(func(p *store.CreateClientParams) { p.ClientSecret = nil }) // nothing said of public, nor of a method
	tokens := c.login(c.oauth2())
	resource.wantActive(true, tokens.AccessToken)
	status, body := c.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {c.id}})
	wantEqual(t, "a public client by itself", []any{status, body["error"]}, []any{http.StatusBadRequest, "unauthorized_client"})

	keyed := w.registerKey(func(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = nil })
	status, _ = keyed.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
	wantEqual(t, "a client that has keys and nothing else", status, http.StatusOK)
}

func TestUserWhoIsGoneIsGrantedNothing(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*world){
		"deleted": func(w *world) {
			ended, err := w.q.DeleteUser(w.ctx, w.user.ID)
			w.ok(err)
			wantEqual(w, "outcome", ended.Outcome, store.OutcomeDeleted)
		},
		"suspended": func(w *world) {
			ended, err := w.q.SuspendUser(w.ctx, w.user.ID)
			w.ok(err)
			wantEqual(w, "outcome", ended.Outcome, store.OutcomeEnded)
		},
		"deleted by hand": func(w *world) {
			_, err := w.db.Pool.Exec(w.ctx, `DELETE FROM "user" WHERE id = $1`, w.user.ID)
			w.ok(err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.opts.UserinfoInIDToken = true })
			c, resource := w.register(), w.register()
			cfg := c.oauth2()
			tokens := c.login(cfg)
			code, verifier := c.authorize(cfg)
			pending := strings.TrimPrefix(w.fetch(w.get(pathOf(w, cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))))).location, "/login?id=")
			end(w)
			_, err := cfg.Exchange(w.ctx, code, oauth2.VerifierOption(verifier))
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			_, err = c.refreshWith(cfg, tokens.RefreshToken)
			w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
			resource.wantActive(false, tokens.AccessToken, tokens.RefreshToken)
			status, _ := w.userinfo(tokens.AccessToken)
			wantEqual(t, "userinfo", status, http.StatusUnauthorized)

			err = w.provider.Approve(httptest.NewRecorder(), w.get("/login"), pending, w.approval(zitadel.PendingRequest{}))
			var decision *zitadel.DecisionError
			switch {
			case what == "suspended" && errors.As(err, &decision):
				wantEqual(t, "what the client is told", decision.OAuth().ErrorType, oidc.AccessDenied)
			case what != "suspended" && errors.Is(err, zitadel.ErrNoRequest):
			default:
				t.Errorf("approval: %v", err)
			}
		})
	}
}

func TestEndedSessionAsksForASignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	location := w.fetch(w.get(pathOf(w, c.oauth2().AuthCodeURL("state", oauth2.S256ChallengeOption("verifier"))))).location
	_, err := w.q.EndSession(w.ctx, w.session.ID)
	w.ok(err)
	err = w.provider.Approve(httptest.NewRecorder(), w.get("/login"), strings.TrimPrefix(location, "/login?id="), w.approval(zitadel.PendingRequest{}))
	var decision *zitadel.DecisionError
	if !errors.As(err, &decision) || decision.OAuth().ErrorType != oidc.LoginRequired {
		t.Errorf("approval: %v", err)
	}
}

func TestClickingTwiceGivesACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2()
	verifier := oauth2.GenerateVerifier()
	login := w.fetch(w.get(pathOf(w, cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))))).location
	first, second := w.browse(w.issuer+login), w.browse(w.issuer+login)
	if first.Get("code") == "" || second.Get("code") == "" || first.Get("code") == second.Get("code") {
		t.Fatalf("codes: %v, %v", first.Values, second.Values)
	}
	_, err := cfg.Exchange(w.ctx, first.Get("code"), oauth2.VerifierOption(verifier)) // the browser never came to it
	w.wantOAuthError(err, http.StatusBadRequest, "invalid_grant")
	tokens, err := cfg.Exchange(w.ctx, second.Get("code"), oauth2.VerifierOption(verifier))
	w.ok(err)
	c.wantActive(true, tokens.AccessToken)
	third := w.browse(w.issuer + login)
	wantEqual(t, "once the code is redeemed", third.status, http.StatusBadRequest)
	c.wantActive(true, tokens.AccessToken)

	// At the same moment: each browser has a code, and one of them is good.
	login = w.fetch(w.get(pathOf(w, cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))))).location
	good := 0
	for _, a := range inParallel(8, func(int) answer { return w.browse(w.issuer + login) }) {
		if a.Get("code") == "" {
			t.Errorf("no code: %d %s", a.status, a.body)
			continue
		}
		if _, err := cfg.Exchange(w.ctx, a.Get("code"), oauth2.VerifierOption(verifier)); err == nil {
			good++
		}
	}
	wantEqual(t, "codes that were good", good, 1)
}

func TestClientsOwnLifetimesAreTheShorterOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register(func(p *store.CreateClientParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime = new(time.Minute), new(time.Hour)
	})
	tokens := c.login(c.oauth2())
	for raw, want := range map[string]float64{tokens.AccessToken: 60, tokens.RefreshToken: 3600} {
		_, told := c.post("/oauth/introspect", url.Values{"token": {raw}})
		wantEqual(t, "lifetime", told["exp"].(float64)-told["iat"].(float64), want)
	}
	var maximum *time.Time
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT max_expires_at FROM oauth_authorization`).Scan(&maximum))
	if maximum != nil {
		t.Errorf("the family ends at %s, where no lifetime of it was given", maximum)
	}
}

func TestAssertionsEndIsNoTrapForTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.registerKey()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.key, KeyID: "k1"}}, nil)
	w.ok(err)
	for _, exp := range []int64{1<<63 - 1, 1 << 44, 4102444800} {
		assertion := signed(t, signer, map[string]any{
			"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": token32(), "iat": time.Now().Unix(), "exp": exp,
		})
		for i := range 2 {
			status, body := c.post("/oauth/token", url.Values{
				"grant_type": {"client_credentials"}, "client_assertion": {assertion}, "client_assertion_type": {oidc.ClientAssertionTypeJWTAssertion},
			})
			if status >= http.StatusInternalServerError || i == 1 && status == http.StatusOK {
				t.Errorf("exp %d, presentation %d: %d %v", exp, i, status, body)
			}
		}
	}
}

// What the library lets through without having asked who it is counts as a public client, and the store knows better.
func TestRequestWithoutAuthenticationIsAPublicClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, spa := w.register(), w.register(public)
	for by, want := range map[registered]string{c: "invalid_client", spa: ""} {
		tokens, other := by.login(by.oauth2("openid", "offline_access")), by.login(by.oauth2("openid", "offline_access"))
		anonymous := registered{world: w, id: by.id}
		ctx := zitadel.WithExchange(anonymous.form("/oauth/token", url.Values{})).Context()
		for what, call := range map[string]func() error{
			"introspection of a refresh token": func() error {
				id, err := w.provider.Crypto().Decrypt(other.RefreshToken)
				w.ok(err)
				return w.storage.SetIntrospectionFromToken(ctx, new(oidc.IntrospectionResponse), strings.TrimSuffix(id, ":"), "", by.id)
			},
			"rotation": func() error {
				r, err := w.storage.TokenRequestByRefreshToken(ctx, tokens.RefreshToken)
				w.ok(err)
				_, _, _, err = w.storage.CreateAccessAndRefreshTokens(ctx, r, tokens.RefreshToken)
				return err
			},
			"revocation": func() error { return asError(w.storage.RevokeToken(ctx, tokens.AccessToken, "", by.id)) },
		} {
			told := ""
			if err := call(); err != nil {
				told = string(oidc.DefaultToServerError(err, "").ErrorType)
			}
			if strings.HasPrefix(what, "introspection") { // which a public client has no authorization for (RFC 7662, section 2.1)
				wantEqual(t, what, told, "invalid_client")
				continue
			}
			wantEqual(t, what, told, want)
		}
	}
}
