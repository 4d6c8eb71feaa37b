package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// prepareOurs migrates a database, and returns what there is to be asked of a server on it.
func prepareOurs(ctx context.Context, database string) (*pgxpool.Pool, *endpoints, error) {
	pool, err := db.Open(ctx, database, db.Options{ApplicationName: "bench", MaxConns: 2})
	if err != nil {
		return nil, nil, err
	}
	sqlDB := stdlib.OpenDBFromPool(pool)
	defer sqlDB.Close()
	if _, err := migrations.Up(ctx, sqlDB, migrations.Options{}); err != nil {
		return pool, nil, err
	}
	q := store.New(pool)
	user, session := store.NewUserID(), store.NewSessionID()
	if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: user, Name: "Ada", Email: new("ada@example.com")}); err != nil {
		return pool, nil, err
	}
	created, err := q.CreateSession(ctx, store.CreateSessionParams{
		ID: session, UserID: user, Token: token.Mint(token.SessionToken).Digest(), Lifetime: 24 * time.Hour,
	})
	if err != nil || created.Outcome != store.OutcomeCreated {
		return pool, nil, fmt.Errorf("no session: %s, %w", created.Outcome, err)
	}
	e := &endpoints{scope: "reports"}
	for _, c := range []*client{&e.public, &e.secret} {
		secret := token.Mint(token.ClientSecret)
		p := store.CreateClientParams{
			ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{redirectURI},
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
			Scopes: append(strings.Fields(openID), "reports"), TokenEndpointAuthMethod: new("none"), Public: new(true),
		}
		if c == &e.secret {
			p.ClientSecret, p.Public, p.TokenEndpointAuthMethod = new(secret.Digest()), nil, new("client_secret_basic")
			p.GrantTypes = append(p.GrantTypes, "client_credentials")
			c.secret = secret.Reveal()
		}
		if _, err := q.CreateClient(ctx, p); err != nil {
			return pool, nil, err
		}
		c.id = string(p.ClientID)
	}
	e.codes = func(ctx context.Context, c client, scope string, n int) ([]string, error) {
		all := make([]string, n)
		for i := range all {
			code := token.Mint(token.AuthorizationCode)
			all[i] = code.Reveal()
			outcome, err := q.GrantAuthorization(ctx, store.GrantAuthorizationParams{
				ID: store.NewAuthorizationID(), UserID: user, ClientID: store.ClientID(c.id), SessionID: &session, AuthTime: new(time.Now()),
				Scopes: strings.Fields(scope), GrantedScopes: strings.Fields(scope), RedirectURI: new(redirectURI), ResponseType: new("code"),
				CodeChallenge: new(challenge), CodeChallengeMethod: new("S256"), Code: code.Digest(), CodeLifetime: time.Hour,
			})
			if err != nil || outcome != store.OutcomeGranted {
				return nil, fmt.Errorf("no code: %s, %w", outcome, err)
			}
		}
		return all, nil
	}
	return pool, e, nil
}

// askOurs says where the server is.
func askOurs(ctx context.Context, e *endpoints, base, tokenPath, introspectPath string) {
	e.token = base + tokenPath
	e.introspect = func(access string) (*http.Request, error) {
		return post(ctx, base+introspectPath, e.secret, url.Values{"token": {access}})
	}
	e.isActive = isActive
}

func isActive(status int, body map[string]any) bool {
	return status == http.StatusOK && body["active"] == true
}
