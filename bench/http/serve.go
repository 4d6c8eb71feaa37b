package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/ory/fosite"
	"github.com/zitadel/oidc/v3/pkg/op"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/adapters/fosite/fositetest"
	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/adapters/zitadel/zitadeltest"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/examples/tokenendpoint"
)

// The program runs itself as a server: the variables name which, where it listens, the database, and a file for a CPU profile.
const (
	serveVariable    = "BENCH_HTTP_SERVE"
	addressVariable  = "BENCH_HTTP_ADDRESS"
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

// serve is a server until its standard input ends.
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
	listener, err := net.Listen("tcp", os.Getenv(addressVariable))
	if err != nil {
		return err
	}
	handler, err := handlers[name](pool, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	go http.Serve(listener, handler) //nolint:gosec // on loopback, while it is measured
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
