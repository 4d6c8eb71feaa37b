package fositedb_test

import (
	"context"
	"crypto/ecdsa"
	"log"
	"net/http"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/token/jwt"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/db"
)

// A server whose tokens others on the same tables know, and whose clients may repeat a refresh.
func Example() {
	var ( // from the server's configuration
		ctx          context.Context
		databaseURL  string
		secret       []byte // of 32 bytes
		successorKey []byte // the same on all servers
		signingKey   *ecdsa.PrivateKey
	)
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	if err != nil {
		log.Fatal(err)
	}
	st, err := fositedb.New(pool, fositedb.Options{
		SuccessorKeys: [][]byte{successorKey},
		Scopes:        []string{"openid", "offline_access"},
	})
	if err != nil {
		log.Fatal(err)
	}
	config := &fosite.Config{
		GlobalSecret: secret, IDTokenIssuer: "https://id.example", TokenURL: "https://id.example/token",
	}
	st.Configure(config)
	key := func(context.Context) (any, error) { return signingKey, nil }
	strategy := &compose.CommonStrategy{
		CoreStrategy:               st.Strategy(),
		OpenIDConnectTokenStrategy: compose.NewOpenIDConnectStrategy(key, config),
		Signer:                     &jwt.DefaultSigner{GetPrivateKey: key},
	}
	provider := fositedb.Wrap(compose.Compose(config, st, strategy,
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2RefreshTokenGrantFactory, compose.OpenIDConnectExplicitFactory,
		compose.OpenIDConnectRefreshFactory, compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory,
		compose.OAuth2PKCEFactory, compose.PushedAuthorizeHandlerFactory,
	))
	http.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		request, err := provider.NewAccessRequest(r.Context(), r, fositedb.NewSession("", ""))
		if err != nil {
			provider.WriteAccessError(r.Context(), w, request, err)
			return
		}
		response, err := provider.NewAccessResponse(r.Context(), request)
		if err != nil {
			provider.WriteAccessError(r.Context(), w, request, err)
			return
		}
		provider.WriteAccessResponse(r.Context(), w, request, response)
	})
}
