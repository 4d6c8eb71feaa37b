package fositedb

import (
	"context"
	"encoding/json"
	"reflect"

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

	looked bool // something was looked up, of which this is kept:
	kept   json.RawMessage

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

// changed is what is to be kept of a session with the new tokens: nothing where it is what is kept already.
func (m *memory) changed(session fosite.Session) (json.RawMessage, error) {
	if !m.looked {
		return nil, nil
	}
	now, err := keep(session, false)
	if err != nil {
		return nil, fosite.ErrMisconfiguration.WithHint(err.Error())
	}
	var before, after any
	if m.kept != nil && json.Unmarshal(m.kept, &before) != nil || now != nil && json.Unmarshal(now, &after) != nil {
		return nil, fosite.ErrServerError.WithHint("The session of a grant can't be read.")
	}
	if reflect.DeepEqual(before, after) {
		return nil, nil
	}
	if now == nil {
		return json.RawMessage("{}"), nil
	}
	return now, nil
}
