package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// prepareOurs has a user sign in and registers clients, and returns what there is to be asked of a server below base.
func prepareOurs(ctx context.Context, pool *pgxpool.Pool, base string) (*endpoints, error) {
	q := store.New(pool)
	user, session := store.NewUserID(), store.NewSessionID()
	if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: user, Name: "Ada", Email: new("ada@example.com")}); err != nil {
		return nil, err
	}
	created, err := q.CreateSession(ctx, store.CreateSessionParams{
		ID: session, UserID: user, Token: token.Mint(token.SessionToken).Digest(), Lifetime: 24 * time.Hour,
	})
	if err != nil || created.Outcome != store.OutcomeCreated {
		return nil, fmt.Errorf("no session: %s, %w", created.Outcome, err)
	}
	e := &endpoints{token: base + "/token", isActive: isActive, scope: "reports"}
	e.introspect = func(access string) (*http.Request, error) {
		return post(ctx, base+"/introspect", e.secret, url.Values{"token": {access}})
	}
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
			return nil, err
		}
		c.id = string(p.ClientID)
	}
	e.code = func(ctx context.Context, c client, scope string) (string, error) {
		code := token.Mint(token.AuthorizationCode)
		outcome, err := q.GrantAuthorization(ctx, store.GrantAuthorizationParams{
			ID: store.NewAuthorizationID(), UserID: user, ClientID: store.ClientID(c.id), SessionID: &session, AuthTime: new(time.Now()),
			Scopes: strings.Fields(scope), GrantedScopes: strings.Fields(scope), RedirectURI: new(redirectURI), ResponseType: new("code"),
			CodeChallenge: new(challenge), CodeChallengeMethod: new("S256"), Code: code.Digest(), CodeLifetime: time.Hour,
		})
		if err != nil || outcome != store.OutcomeGranted {
			err = fmt.Errorf("no code: %s, %w", outcome, err)
		}
		return code.Reveal(), err
	}
	return e, nil
}

func isActive(status int, body map[string]any) bool {
	return status == http.StatusOK && body["active"] == true
}
