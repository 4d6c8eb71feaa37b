package fositedb

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
)

// Provider is a fosite.OAuth2Provider that answers what a Store has said where the library would say something else: the error of the
// decision where the library makes a server_error of it, and server_error where it takes a fault of the database for a statement about a
// token.
type Provider struct{ fosite.OAuth2Provider }

var _ fosite.OAuth2Provider = (*Provider)(nil)

// Wrap returns the provider that was composed with a Store as a Provider.
func Wrap(composed fosite.OAuth2Provider) *Provider { return &Provider{composed} }

// exchange is one call of the library: what the Provider is told by the Store, and what the Store need not ask or do twice in it.
type exchange struct {
	fault  error
	client *Client               // the latest that was fetched
	ended  store.AuthorizationID // the latest that was ended
}

type exchangeKey struct{}

func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// told runs a call of the library and says what it should have answered.
func told[T any](ctx context.Context, at oautherror.Endpoint, call func(ctx context.Context) (T, error)) (T, error) {
	x := &exchange{}
	answer, err := call(context.WithValue(ctx, exchangeKey{}, x))
	return answer, x.correct(at, err)
}

func (x *exchange) correct(at oautherror.Endpoint, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(x.fault, fosite.ErrSerializationFailure), errors.Is(err, fosite.ErrSerializationFailure):
		return fosite.ErrTemporarilyUnavailable.WithHint("Please retry the request.").WithWrap(err)
	case x.fault != nil:
		return fosite.ErrServerError.WithWrap(err)
	case errors.Is(err, errUnstorable):
		return fosite.ErrInvalidRequest.WithHint("A parameter can't be stored.").WithWrap(err)
	}
	if d, found := decision(err); found {
		if e := d.At(at); e != nil {
			return e
		}
	}
	return err
}

// NewAuthorizeRequest implements fosite.OAuth2Provider.
func (p *Provider) NewAuthorizeRequest(ctx context.Context, r *http.Request) (fosite.AuthorizeRequester, error) {
	return told(ctx, oautherror.Authorization, func(ctx context.Context) (fosite.AuthorizeRequester, error) {
		return p.OAuth2Provider.NewAuthorizeRequest(ctx, r)
	})
}

// NewAuthorizeResponse implements fosite.OAuth2Provider.
func (p *Provider) NewAuthorizeResponse(ctx context.Context, r fosite.AuthorizeRequester, session fosite.Session) (fosite.AuthorizeResponder, error) {
	return told(ctx, oautherror.Authorization, func(ctx context.Context) (fosite.AuthorizeResponder, error) {
		return p.OAuth2Provider.NewAuthorizeResponse(ctx, r, session)
	})
}

// NewPushedAuthorizeRequest implements fosite.OAuth2Provider.
func (p *Provider) NewPushedAuthorizeRequest(ctx context.Context, r *http.Request) (fosite.AuthorizeRequester, error) {
	return told(ctx, oautherror.PushedAuthorization, func(ctx context.Context) (fosite.AuthorizeRequester, error) {
		return p.OAuth2Provider.NewPushedAuthorizeRequest(ctx, r)
	})
}

// NewPushedAuthorizeResponse implements fosite.OAuth2Provider.
func (p *Provider) NewPushedAuthorizeResponse(ctx context.Context, r fosite.AuthorizeRequester, session fosite.Session) (fosite.PushedAuthorizeResponder, error) {
	return told(ctx, oautherror.PushedAuthorization, func(ctx context.Context) (fosite.PushedAuthorizeResponder, error) {
		return p.OAuth2Provider.NewPushedAuthorizeResponse(ctx, r, session)
	})
}

// NewAccessRequest implements fosite.OAuth2Provider.
func (p *Provider) NewAccessRequest(ctx context.Context, r *http.Request, session fosite.Session) (fosite.AccessRequester, error) {
	return told(ctx, oautherror.Token, func(ctx context.Context) (fosite.AccessRequester, error) {
		return p.OAuth2Provider.NewAccessRequest(ctx, r, session)
	})
}

// NewAccessResponse implements fosite.OAuth2Provider.
func (p *Provider) NewAccessResponse(ctx context.Context, r fosite.AccessRequester) (fosite.AccessResponder, error) {
	return told(ctx, oautherror.Token, func(ctx context.Context) (fosite.AccessResponder, error) {
		return p.OAuth2Provider.NewAccessResponse(ctx, r)
	})
}

// NewRevocationRequest implements fosite.OAuth2Provider.
func (p *Provider) NewRevocationRequest(ctx context.Context, r *http.Request) error {
	_, err := told(ctx, oautherror.Revocation, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.OAuth2Provider.NewRevocationRequest(ctx, r)
	})
	return err
}

// WriteRevocationResponse implements fosite.OAuth2Provider. The library answers 200 to most errors, also where the token is still live.
func (p *Provider) WriteRevocationResponse(ctx context.Context, w http.ResponseWriter, err error) {
	if isFault(err) {
		p.WriteAccessError(ctx, w, nil, err)
		return
	}
	p.OAuth2Provider.WriteRevocationResponse(ctx, w, err)
}

// NewIntrospectionRequest implements fosite.OAuth2Provider. The library has callers authenticate by HTTP Basic or by an access token. Here
// they may also do so as they are registered (RFC 7662, section 2.1), public clients excepted.
func (p *Provider) NewIntrospectionRequest(ctx context.Context, r *http.Request, session fosite.Session) (fosite.IntrospectionResponder, error) {
	return told(ctx, oautherror.Introspection, func(ctx context.Context) (fosite.IntrospectionResponder, error) {
		library, ok := p.OAuth2Provider.(interface {
			AuthenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error)
		})
		if !ok || r.Method != http.MethodPost || fosite.AccessTokenFromRequest(r) != "" {
			return p.OAuth2Provider.NewIntrospectionRequest(ctx, r, session)
		}
		inactive := &fosite.IntrospectionResponse{}
		if err := r.ParseMultipartForm(1 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			return inactive, fosite.ErrInvalidRequest.WithWrap(err)
		}
		client, err := library.AuthenticateClient(ctx, r, r.PostForm)
		switch {
		case err != nil:
			return inactive, err
		case client.IsPublic():
			return inactive, fosite.ErrInvalidClient
		case r.PostForm.Get("token") == "":
			return inactive, fosite.ErrInvalidRequest.WithHint("There is no token.")
		}
		use, request, err := p.OAuth2Provider.IntrospectToken(ctx, r.PostForm.Get("token"), fosite.TokenUse(r.PostForm.Get("token_type_hint")), session,
			fosite.RemoveEmpty(strings.Split(r.PostForm.Get("scope"), " "))...)
		if err != nil {
			return inactive, fosite.ErrInactiveToken.WithWrap(err)
		}
		response := &fosite.IntrospectionResponse{Active: true, AccessRequester: request, TokenUse: use}
		if use == fosite.AccessToken {
			response.AccessTokenType = fosite.BearerAccessToken
		}
		return response, nil
	})
}

// WriteIntrospectionError implements fosite.OAuth2Provider. The library answers "active": false to a fault.
func (p *Provider) WriteIntrospectionError(ctx context.Context, w http.ResponseWriter, err error) {
	if isFault(err) || !errors.Is(err, fosite.ErrInactiveToken) && errors.Is(err, fosite.ErrInvalidClient) {
		p.WriteAccessError(ctx, w, nil, err)
		return
	}
	p.OAuth2Provider.WriteIntrospectionError(ctx, w, err)
}

// IntrospectToken implements fosite.OAuth2Provider.
func (p *Provider) IntrospectToken(ctx context.Context, token string, use fosite.TokenUse, session fosite.Session, scope ...string) (fosite.TokenUse, fosite.AccessRequester, error) {
	var found fosite.TokenUse
	r, err := told(ctx, oautherror.ProtectedResource, func(ctx context.Context) (r fosite.AccessRequester, err error) {
		found, r, err = p.OAuth2Provider.IntrospectToken(ctx, token, use, session, scope...)
		return r, err
	})
	return found, r, err
}

func isFault(err error) bool {
	return errors.Is(err, fosite.ErrServerError) || errors.Is(err, fosite.ErrTemporarilyUnavailable)
}
