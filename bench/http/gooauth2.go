package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	goserver "github.com/go-oauth2/oauth2/v4/server"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tokenTable is the table of a token store of github.com/go-oauth2/oauth2, in the layout of its SQL stores: one row for a grant's
// current code or tokens, found by any of the three, and the rest in a document.
const tokenTable = `
CREATE TABLE oauth2_token (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    code       text        NOT NULL,
    access     text        NOT NULL,
    refresh    text        NOT NULL,
    data       jsonb       NOT NULL
);
CREATE INDEX oauth2_token_expires_at_idx ON oauth2_token (expires_at);
CREATE INDEX oauth2_token_code_idx ON oauth2_token (code);
CREATE INDEX oauth2_token_access_idx ON oauth2_token (access);
CREATE INDEX oauth2_token_refresh_idx ON oauth2_token (refresh);
CREATE TABLE oauth2_client (
    id     text  PRIMARY KEY,
    secret text  NOT NULL,
    domain text  NOT NULL,
    data   jsonb NOT NULL
);
`

// goOAuth2Tokens is an oauth2.TokenStore on that, with the statements of those for PostgreSQL that its documentation names.
type goOAuth2Tokens struct{ pool *pgxpool.Pool }

// Create adds a row under the code, or else under the access and the refresh token.
func (s goOAuth2Tokens) Create(ctx context.Context, t oauth2.TokenInfo) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	code, access, refresh, expires := t.GetCode(), "", "", t.GetCodeCreateAt().Add(t.GetCodeExpiresIn())
	if code == "" {
		access, refresh, expires = t.GetAccess(), t.GetRefresh(), t.GetAccessCreateAt().Add(t.GetAccessExpiresIn())
		if refresh != "" {
			expires = t.GetRefreshCreateAt().Add(t.GetRefreshExpiresIn())
		}
	}
	_, err = s.pool.Exec(ctx, `
		INSERT INTO oauth2_token (created_at, expires_at, code, access, refresh, data)
		VALUES ($1, $2, $3, $4, $5, $6)`, time.Now(), expires, code, access, refresh, data)
	return err
}

// RemoveByCode and the following are of oauth2.TokenStore.
func (s goOAuth2Tokens) RemoveByCode(ctx context.Context, v string) error {
	return s.remove(ctx, "code", v)
}

func (s goOAuth2Tokens) RemoveByAccess(ctx context.Context, v string) error {
	return s.remove(ctx, "access", v)
}

func (s goOAuth2Tokens) RemoveByRefresh(ctx context.Context, v string) error {
	return s.remove(ctx, "refresh", v)
}

func (s goOAuth2Tokens) GetByCode(ctx context.Context, v string) (oauth2.TokenInfo, error) {
	return s.get(ctx, "code", v)
}

func (s goOAuth2Tokens) GetByAccess(ctx context.Context, v string) (oauth2.TokenInfo, error) {
	return s.get(ctx, "access", v)
}

func (s goOAuth2Tokens) GetByRefresh(ctx context.Context, v string) (oauth2.TokenInfo, error) {
	return s.get(ctx, "refresh", v)
}

func (s goOAuth2Tokens) remove(ctx context.Context, column, v string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM oauth2_token WHERE `+column+` = $1`, v)
	return err
}

// get returns nil for what is not there, from which the manager makes the right error.
func (s goOAuth2Tokens) get(ctx context.Context, column, v string) (oauth2.TokenInfo, error) {
	if v == "" {
		return nil, nil
	}
	var t models.Token
	err := s.pool.QueryRow(ctx, `SELECT data FROM oauth2_token WHERE `+column+` = $1`, v).Scan(&t)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &t, err
}

// goOAuth2Clients is a store in the layout of the library's SQL stores.
type goOAuth2Clients struct{ pool *pgxpool.Pool }

// GetByID implements oauth2.ClientStore.
func (s goOAuth2Clients) GetByID(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	var c models.Client
	err := s.pool.QueryRow(ctx, `SELECT data FROM oauth2_client WHERE id = $1`, id).Scan(&c)
	if errors.Is(err, pgx.ErrNoRows) {
		err = oautherrors.ErrInvalidClient
	}
	return &c, err
}

// goOAuth2Handler is as example/server of the library: /oauth/token, and /test, which a resource asks with the token that it was given. The
// library has no introspection.
func goOAuth2Handler(pool *pgxpool.Pool, _ string) (http.Handler, error) {
	m := manage.NewDefaultManager()
	m.SetAuthorizeCodeTokenCfg(&manage.Config{
		AccessTokenExp: accessTokenLifetime, RefreshTokenExp: refreshTokenLifetime, IsGenerateRefresh: true,
	})
	refreshing := *manage.DefaultRefreshTokenCfg
	refreshing.AccessTokenExp, refreshing.RefreshTokenExp = accessTokenLifetime, refreshTokenLifetime
	m.SetRefreshTokenCfg(&refreshing)
	m.MapTokenStorage(goOAuth2Tokens{pool})
	m.MapClientStorage(goOAuth2Clients{pool})
	srv := goserver.NewServer(goserver.NewConfig(), m)
	srv.SetClientInfoHandler(func(r *http.Request) (string, string, error) {
		if id, secret, err := goserver.ClientBasicHandler(r); err == nil {
			return id, secret, nil
		}
		return r.FormValue("client_id"), "", nil
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth/token", func(w http.ResponseWriter, r *http.Request) { _ = srv.HandleTokenRequest(w, r) })
	mux.HandleFunc("/test", func(w http.ResponseWriter, r *http.Request) {
		t, err := srv.ValidationBearerToken(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"expires_in": int64(time.Until(t.GetAccessCreateAt().Add(t.GetAccessExpiresIn())).Seconds()),
			"client_id":  t.GetClientID(), "user_id": t.GetUserID(),
		})
	})
	return mux, nil
}

// prepareGoOAuth2 makes the tables, and returns what there is to be asked.
func prepareGoOAuth2(ctx context.Context, pool *pgxpool.Pool, base string) (*endpoints, error) {
	if _, err := pool.Exec(ctx, tokenTable); err != nil {
		return nil, err
	}
	e := &endpoints{token: base + "/oauth/token", public: client{id: "public"}, secret: client{"confidential", rand.Text()}}
	e.introspect = func(access string) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/test", nil)
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+access)
		}
		return r, err
	}
	e.isActive = func(status int, body map[string]any) bool { return status == http.StatusOK && body["client_id"] != "" }
	for _, c := range []models.Client{
		{ID: e.public.id, Domain: "https://client.example", Public: true},
		{ID: e.secret.id, Secret: e.secret.secret, Domain: "https://client.example"},
	} {
		data, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		if _, err := pool.Exec(ctx, `INSERT INTO oauth2_client (id, secret, domain, data) VALUES ($1, $2, $3, $4)`, c.ID, c.Secret, c.Domain, data); err != nil {
			return nil, err
		}
	}
	e.code = func(ctx context.Context, c client, scope string) (string, error) {
		code := rand.Text()
		return code, goOAuth2Tokens{pool}.Create(ctx, &models.Token{
			ClientID: c.id, UserID: "ada", RedirectURI: redirectURI, Scope: scope, Code: code, CodeCreateAt: time.Now(), CodeExpiresIn: time.Hour,
			CodeChallenge: challenge, CodeChallengeMethod: "S256",
		})
	}
	return e, nil
}
