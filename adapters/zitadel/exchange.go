package zitadel

import (
	"context"
	"net/http"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// exchange is what one HTTP request carries and what has been found out for it. A Provider puts it into the request's
// context, so that a statement is not run twice in one request, and so that the store is told what the client presented,
// rather than what the library made of it. It ends with the request.
type exchange struct {
	request *http.Request
	fault   bool // the database gave no answer
	invalid bool // the access token that was presented is not live

	client        *client
	secret        token.Digest // the one that client was authenticated with, if any
	authenticated bool

	key  op.SigningKey
	user *store.User
}

type exchangeKey struct{}

func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

func withExchange(r *http.Request) (*exchange, *http.Request) {
	x := &exchange{}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	x.request = r
	return x, r
}

// form is a parameter of the request as the library reads it, the body's before the query's.
func (x *exchange) form(name string) string { return x.request.FormValue(name) }

// secretPresented is the secret with which the request claims to come from a client (RFC 6749, section 2.3.1).
func (x *exchange) secretPresented() (string, bool) {
	_, secret, found := x.request.BasicAuth()
	if !found {
		secret = x.form("client_secret")
		return secret, secret != ""
	}
	secret, err := url.QueryUnescape(secret)
	return secret, err == nil
}
