// Package fositetest serves a provider of package fositedb at the usual endpoints, for tests: a user who is signed in agrees to
// everything at once.
package fositetest

import (
	"context"
	"net/http"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
)

// Compose makes a provider that issues the tokens of core. key signs ID tokens.
func Compose(config *fosite.Config, storage any, core oauth2.CoreStrategy, key any) fosite.OAuth2Provider {
	get := func(context.Context) (any, error) { return key, nil }
	return compose.Compose(config, storage, &compose.CommonStrategy{
		CoreStrategy:               core,
		OpenIDConnectTokenStrategy: compose.NewOpenIDConnectStrategy(get, config),
		Signer:                     &jwt.DefaultSigner{GetPrivateKey: get},
	}, compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2ClientCredentialsGrantFactory, compose.OAuth2RefreshTokenGrantFactory,
		compose.RFC7523AssertionGrantFactory, compose.OpenIDConnectExplicitFactory, compose.OpenIDConnectRefreshFactory,
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory, compose.OAuth2PKCEFactory,
		compose.PushedAuthorizeHandlerFactory)
}

// Endpoints are as the library's documentation has them: /authorize, /par, /token, /introspect and /revoke.
type Endpoints struct {
	Provider fosite.OAuth2Provider
	// SignedIn says whose browser asks for authorization. Nil is nobody's, and answered 401.
	SignedIn func(r *http.Request) *fositedb.Session
	// Look, if set, says whether /authorize is only to show its page.
	Look func(r *http.Request) bool
	// Grant, if set, is called before /token issues.
	Grant func(r *http.Request, ar fosite.AccessRequester)
}

// Handler serves the endpoints.
func (e Endpoints) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/authorize", e.authorize)
	mux.HandleFunc("/par", e.push)
	mux.HandleFunc("/token", e.token)
	mux.HandleFunc("/introspect", func(w http.ResponseWriter, r *http.Request) {
		response, err := e.Provider.NewIntrospectionRequest(r.Context(), r, fositedb.NewSession("", ""))
		if err != nil {
			e.Provider.WriteIntrospectionError(r.Context(), w, err)
			return
		}
		e.Provider.WriteIntrospectionResponse(r.Context(), w, response)
	})
	mux.HandleFunc("/revoke", func(w http.ResponseWriter, r *http.Request) {
		e.Provider.WriteRevocationResponse(r.Context(), w, e.Provider.NewRevocationRequest(r.Context(), r))
	})
	return mux
}

func (e Endpoints) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	ar, err := e.Provider.NewAuthorizeRequest(ctx, r)
	if err != nil {
		e.Provider.WriteAuthorizeError(ctx, w, ar, err)
		return
	}
	if e.Look != nil && e.Look(r) {
		return
	}
	session := e.SignedIn(r)
	if session == nil {
		http.Error(w, "nobody is signed in", http.StatusUnauthorized)
		return
	}
	for _, scope := range ar.GetRequestedScopes() {
		ar.GrantScope(scope)
	}
	for _, audience := range ar.GetRequestedAudience() {
		ar.GrantAudience(audience)
	}
	response, err := e.Provider.NewAuthorizeResponse(ctx, ar, session)
	if err != nil {
		e.Provider.WriteAuthorizeError(ctx, w, ar, err)
		return
	}
	e.Provider.WriteAuthorizeResponse(ctx, w, ar, response)
}

func (e Endpoints) push(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	ar, err := e.Provider.NewPushedAuthorizeRequest(ctx, r)
	if err != nil {
		e.Provider.WritePushedAuthorizeError(ctx, w, ar, err)
		return
	}
	response, err := e.Provider.NewPushedAuthorizeResponse(ctx, ar, fositedb.NewSession("", ""))
	if err != nil {
		e.Provider.WritePushedAuthorizeError(ctx, w, ar, err)
		return
	}
	e.Provider.WritePushedAuthorizeResponse(ctx, w, ar, response)
}

func (e Endpoints) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	ar, err := e.Provider.NewAccessRequest(ctx, r, fositedb.NewSession("", ""))
	if err != nil {
		e.Provider.WriteAccessError(ctx, w, ar, err)
		return
	}
	if ar.GetGrantTypes().ExactOne("client_credentials") {
		for _, scope := range ar.GetRequestedScopes() {
			ar.GrantScope(scope)
		}
	}
	if e.Grant != nil {
		e.Grant(r, ar)
	}
	response, err := e.Provider.NewAccessResponse(ctx, ar)
	if err != nil {
		e.Provider.WriteAccessError(ctx, w, ar, err)
		return
	}
	e.Provider.WriteAccessResponse(ctx, w, ar, response)
}
