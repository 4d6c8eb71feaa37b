package zitadel

import (
	"context"
	"net/http"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// exchange is what one HTTP request carries and what has been found out for it. A Provider puts it into the request's
// context, so that a statement is not run twice in one request, and so that the store is told what the client presented,
// rather than what the library made of it. It ends with the request.
type exchange struct {
	request *http.Request
	fault   bool // the database gave no answer

	// At the endpoints whose calls authenticate the client themselves, the library's own step only notes what was presented.
	callsAuthenticate bool
	caller            caller
	judged            bool // a call has been told of the caller
	unauthenticated   bool // and has said so

	client *client
	user   *store.User

	proved bool // a DPoP proof was presented
}

// caller is how a client proves who it is (RFC 6749, section 2.3), as the calls of the store are told.
type caller struct {
	client store.ClientID
	method string // client_auth_method of the calls
	secret token.Digest
}

// Values of client_auth_method.
const (
	methodBasic    = "client_secret_basic"
	methodPost     = "client_secret_post"
	methodKey      = "private_key_jwt" // an assertion that has been verified here
	methodNone     = "none"
	methodVerified = "verified" // in a step of the library's own
	methodServer   = "server"   // nobody calls but this server
)

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

// callerOf is the client as it has presented itself in this request. One that has shown nothing counts as public. Without an
// exchange the library has authenticated the client before.
func callerOf(ctx context.Context, client store.ClientID) caller {
	x := exchangeFrom(ctx)
	switch {
	case x == nil:
		return caller{client: client, method: methodVerified}
	case x.caller.client == client && x.caller.method != "":
		return x.caller
	default:
		return caller{client: client, method: methodNone}
	}
}

// judged notes that a call has been told of the caller, and what it came to.
func judged(ctx context.Context, by caller, outcome store.Outcome) {
	if x := exchangeFrom(ctx); x != nil {
		x.judged = x.judged || by == x.caller || x.caller.method == ""
		x.unauthenticated = x.unauthenticated || outcome == store.OutcomeUnauthenticated
	}
}

// unjudged is the client that has presented itself in a request which failed before a call was told of it.
func (x *exchange) unjudged() (caller, bool) {
	if !x.callsAuthenticate || x.judged || x.caller.method == "" || x.client != nil && x.client.public() {
		return caller{}, false
	}
	return x.caller, true
}
