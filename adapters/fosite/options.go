package fositedb

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite/handler/oauth2"

	"github.com/oauthdb/oauthdb/store"
)

// Defaults of [Options].
const (
	DefaultRequestLifetime    = 15 * time.Minute
	DefaultGrace              = 30 * time.Second
	DefaultAssertionMaxAge    = time.Hour
	DefaultRequestURILifetime = 5 * time.Minute // as fosite.Config.PushedAuthorizeContextLifespan
)

// Options say how a Store serves. The zero value of each is the stricter or the usual choice. Lifetimes of codes and tokens are those of
// fosite.Config, cut to those of the client where it has some registered.
type Options struct {
	// SuccessorKeys derive refresh tokens from those that they replace, so that retries converge (token.Successors): random keys of at
	// least token.MinKeyLength bytes, the newest first. They are used by the tokens of [Store.Strategy]. Nil is the strict mode: a
	// refresh token that comes back ends its family, whoever brings it.
	SuccessorKeys [][]byte
	// Grace is for how long after a rotation the replaced refresh token is taken for a client's retry, and answered with the same
	// successor. Zero means [DefaultGrace]. It counts only with SuccessorKeys.
	Grace time.Duration

	// FamilyLifetime is the longest that a grant can last, however often it is refreshed. Zero: no such bound.
	FamilyLifetime time.Duration
	// RequestLifetime is for how long a pushed request, once opened, awaits the user's decision. Zero means [DefaultRequestLifetime].
	RequestLifetime time.Duration

	// Scopes are those that a client may ask for which has none registered (oauth_client.scopes is NULL).
	Scopes []string
	// Audience is what a client may ask for that has no resources registered.
	Audience []string

	// AssertionMaxAge bounds how far in the future the exp of an assertion may be: of a client's that authenticates by a key, and of a
	// trusted issuer's. Zero means [DefaultAssertionMaxAge].
	AssertionMaxAge time.Duration
	// JWKS, if set, fetches the keys of a trusted issuer that publishes them at its jwks_uri. The fetcher has to refuse addresses inside
	// of its own network, and should cache. Nil: such issuers are not served. Those of clients are fetched by fosite.Config.
	JWKS func(ctx context.Context, uri string) (*jose.JSONWebKeySet, error)

	// Foreign is the strategy whose tokens [Store.Strategy] accepts beside its own: one of compose.NewOAuth2HMACStrategy, for the tokens
	// that a server issued before. It issues none.
	Foreign oauth2.CoreStrategy

	// Logger, if set, gets a line for each fault of the database, without values, and for each code or refresh token that was
	// replayed, with the ids of authorization and client.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	for _, d := range []struct {
		name  string
		field *time.Duration
		zero  time.Duration
	}{
		{"Grace", &o.Grace, DefaultGrace},
		{"FamilyLifetime", &o.FamilyLifetime, store.Never},
		{"RequestLifetime", &o.RequestLifetime, DefaultRequestLifetime},
		{"AssertionMaxAge", &o.AssertionMaxAge, DefaultAssertionMaxAge},
	} {
		switch {
		case *d.field == 0:
			*d.field = d.zero
		case *d.field < time.Second:
			return o, fmt.Errorf("fositedb: Options.%s is under a second", d.name)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
