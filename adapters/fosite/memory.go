package fositedb

import (
	"context"

	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// memory is what is known of one token request: the library looks things up several times in it, and a call that is repeated has to carry
// the same ids. It hangs on the client, which the library fetches for each request and passes on with it.
type memory struct {
	owner fosite.AccessRequester

	accessTokenID  store.AccessTokenID
	refreshTokenID store.RefreshTokenID

	code          string // by whose signature the authorization was found
	authorization store.OAuthAuthorization
	codeRequest   *fosite.Request

	spent     string        // signature of a refresh token that is spent
	successor *token.Digest // of the presented refresh token, if it is spent

	ended store.AuthorizationID // by this request
}

// memoryOf returns the memory of a token request. It is a new one each time where the client isn't a [Client], or was passed on from one
// request to another.
func memoryOf(ctx context.Context) *memory {
	r := accessRequest(ctx)
	fresh := &memory{owner: r, accessTokenID: store.NewAccessTokenID(), refreshTokenID: store.NewRefreshTokenID()}
	if r == nil {
		return fresh
	}
	c, ok := r.GetClient().(*Client)
	if !ok {
		return fresh
	}
	if c.memory.CompareAndSwap(nil, fresh) {
		return fresh
	}
	if m := c.memory.Load(); m.owner == r {
		return m
	}
	return fresh
}

// accessRequest is the token request that a context is of, as the library keeps it: with its whole form.
func accessRequest(ctx context.Context) fosite.AccessRequester {
	r, _ := ctx.Value(fosite.AccessRequestContextKey).(fosite.AccessRequester)
	return r
}

// authorizeRequest is the authorization request that a context is of.
func authorizeRequest(ctx context.Context) fosite.AuthorizeRequester {
	r, _ := ctx.Value(fosite.AuthorizeRequestContextKey).(fosite.AuthorizeRequester)
	return r
}
