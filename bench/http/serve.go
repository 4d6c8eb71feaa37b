package main

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
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	goserver "github.com/go-oauth2/oauth2/v4/server"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/ory/fosite"
	"github.com/zitadel/oidc/v3/pkg/op"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/adapters/fosite/fositetest"
	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/adapters/zitadel/zitadeltest"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/examples/tokenendpoint"
)

// The program runs itself as a server: the first variable names which, the second the database, the third a file for a CPU profile.
const (
	serveVariable    = "BENCH_HTTP_SERVE"
	databaseVariable = "BENCH_HTTP_DATABASE"
	profileVariable  = "BENCH_HTTP_PROFILE"
)

// connections are those that each server may have.
const connections = 16

const accessTokenLifetime, refreshTokenLifetime = time.Hour, 30 * 24 * time.Hour

// handlers are the servers that this program can be.
var handlers = map[string]func(pool *pgxpool.Pool, issuer string) (http.Handler, error){
	"net/http":  plainHandler,
	"zitadel":   zitadelHandler,
	"fosite":    fositeHandler,
	"go-oauth2": goOAuth2Handler,
}

// serve is a server until its standard input ends. It prints its address.
func serve(name string) error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	signal.Ignore(os.Interrupt)
	if profile := os.Getenv(profileVariable); profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx := context.Background()
	pool, err := db.Open(ctx, os.Getenv(databaseVariable), db.Options{ApplicationName: "bench " + name, MaxConns: connections})
	if name == "go-oauth2" { // which has a schema of its own
		pool, err = pgxpool.New(ctx, fmt.Sprintf("%s&pool_max_conns=%d", os.Getenv(databaseVariable), connections))
	}
	if err != nil {
		return err
	}
	defer pool.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler, err := handlers[name](pool, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	go http.Serve(listener, handler) //nolint:gosec // on loopback, while it is measured
	fmt.Printf("http://%s\n", listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

var serverKey = []byte(strings.Repeat("s", 32))

func plainHandler(pool *pgxpool.Pool, _ string) (http.Handler, error) {
	return tokenendpoint.New(pool, tokenendpoint.Options{SuccessorKeys: [][]byte{serverKey}})
}

func zitadelHandler(pool *pgxpool.Pool, issuer string) (http.Handler, error) {
	storage, err := zitadel.New(pool, zitadel.Options{
		SuccessorKeys: [][]byte{serverKey}, KeyEncryptionKeys: [][]byte{serverKey}, LoginURL: zitadeltest.LoginURL,
		AccessTokenLifetime: accessTokenLifetime, RefreshTokenLifetime: refreshTokenLifetime,
	})
	if err != nil {
		return nil, err
	}
	config := &op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true}
	return zitadel.NewProvider(storage, config, op.StaticIssuer(issuer), op.WithAllowInsecure())
}

func fositeHandler(pool *pgxpool.Pool, issuer string) (http.Handler, error) {
	config := &fosite.Config{
		GlobalSecret: serverKey, AccessTokenLifespan: accessTokenLifetime, RefreshTokenLifespan: refreshTokenLifetime,
		IDTokenIssuer: issuer, TokenURL: issuer + "/token",
	}
	st, err := fositedb.New(pool, fositedb.Options{SuccessorKeys: [][]byte{serverKey}})
	if err != nil {
		return nil, err
	}
	st.Configure(config)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return fositetest.Endpoints{
		Provider: fositedb.Wrap(fositetest.Compose(config, st, st.Strategy(), key)),
		SignedIn: func(*http.Request) *fositedb.Session { return nil },
	}.Handler(), nil
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
	m.MapTokenStorage(subject.PeerTokens(pool))
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

// goOAuth2Clients is a store in the layout of the library's SQL stores.
type goOAuth2Clients struct{ pool *pgxpool.Pool }

// GetByID implements oauth2.ClientStore.
func (s goOAuth2Clients) GetByID(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	var data []byte
	switch err := s.pool.QueryRow(ctx, `SELECT data FROM oauth2_client WHERE id = $1`, id).Scan(&data); {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, oautherrors.ErrInvalidClient
	case err != nil:
		return nil, err
	}
	var c models.Client
	return &c, json.Unmarshal(data, &c)
}
