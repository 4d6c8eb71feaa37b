package fositedb

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
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
	asked  bool                  // the client has been asked to authenticate
	nobody error                 // and has not done so
	ended  store.AuthorizationID // the latest that was ended

	introspects bool             // for a client that asks about a token: its secret is compared by the statement that looks at the token
	unproven    *presentedSecret // the secret that no statement has compared yet
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
		request, err := p.OAuth2Provider.NewAuthorizeRequest(ctx, r)
		if err == nil && !strings.HasPrefix(request.GetID(), pushedPrefix) {
			err = unservedRequest(r.Form)
		}
		if errors.Is(err, fosite.ErrUnsupportedResponseType) && r.Form.Get("response_type") == "" {
			err = fosite.ErrInvalidRequest.WithHint("The response_type is missing.").WithWrap(err)
		}
		if err != nil {
			p.answerTo(ctx, request, r.Form)
		}
		return request, err
	})
}

// NewAuthorizeResponse implements fosite.OAuth2Provider.
func (p *Provider) NewAuthorizeResponse(ctx context.Context, r fosite.AuthorizeRequester, session fosite.Session) (fosite.AuthorizeResponder, error) {
	return told(ctx, oautherror.Authorization, func(ctx context.Context) (fosite.AuthorizeResponder, error) {
		response, err := p.OAuth2Provider.NewAuthorizeResponse(ctx, r, session)
		if err != nil && !strings.HasPrefix(r.GetID(), pushedPrefix) {
			p.answerTo(ctx, r, r.GetRequestForm())
		}
		return response, err
	})
}

// NewPushedAuthorizeRequest implements fosite.OAuth2Provider. The library reads parameters in the URI too, credentials among them.
func (p *Provider) NewPushedAuthorizeRequest(ctx context.Context, r *http.Request) (fosite.AuthorizeRequester, error) {
	return told(ctx, oautherror.PushedAuthorization, func(ctx context.Context) (fosite.AuthorizeRequester, error) {
		if r.Method == http.MethodPost && r.ParseMultipartForm(maxFormMemory) != nil && r.PostForm == nil {
			return p.OAuth2Provider.NewPushedAuthorizeRequest(ctx, r) // which says so
		}
		pushed := r.Clone(ctx)
		pushed.URL.RawQuery, pushed.Form = "", maps.Clone(r.PostForm)
		request, err := p.OAuth2Provider.NewPushedAuthorizeRequest(ctx, pushed)
		if err == nil {
			err = unservedRequest(pushed.Form)
		}
		return request, err
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
		request, err := p.OAuth2Provider.NewAccessRequest(ctx, r, session)
		if r.Method != http.MethodPost {
			return request, err
		}
		if nobody := p.nobody(ctx, r); nobody != nil && err != nil {
			return request, nobody
		}
		switch {
		case err == nil, errors.Is(err, fosite.ErrInvalidRequest) && twice(r.PostForm) != nil:
			err = unserved(r.PostForm)
		case request == nil && errors.Is(err, fosite.ErrInvalidRequest):
			err = fosite.ErrUnsupportedGrantType.WithWrap(err)
		}
		return request, err
	})
}

// nobody is the error for a client that has not authenticated, which comes first (RFC 6749, section 5.2). The library doesn't ask where it
// finds something else amiss before.
func (p *Provider) nobody(ctx context.Context, r *http.Request) error {
	x := exchangeFrom(ctx)
	if library, ok := p.OAuth2Provider.(authenticator); ok && !x.asked {
		_, x.nobody = library.AuthenticateClient(ctx, r, r.PostForm)
		x.asked = true
	}
	return x.nobody
}

type authenticator interface {
	AuthenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error)
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
		if r.Method != http.MethodPost || r.ParseMultipartForm(maxFormMemory) != nil && r.PostForm == nil || len(r.PostForm["token"]) == 1 && r.PostForm.Get("token") != "" {
			return struct{}{}, p.OAuth2Provider.NewRevocationRequest(ctx, r)
		}
		if nobody := p.nobody(ctx, r); nobody != nil {
			return struct{}{}, nobody
		}
		return struct{}{}, fosite.ErrInvalidRequest.WithHint("There is no token, or more than one.")
	})
	return err
}

// WriteRevocationResponse implements fosite.OAuth2Provider. The library answers 200 to most errors, also where the token is still live.
func (p *Provider) WriteRevocationResponse(ctx context.Context, w http.ResponseWriter, err error) {
	if isFault(err) || errors.Is(err, fosite.ErrInvalidClient) { // which it doesn't see where it has a cause
		p.WriteAccessError(ctx, w, nil, err)
		return
	}
	p.OAuth2Provider.WriteRevocationResponse(ctx, w, err)
}

// NewIntrospectionRequest implements fosite.OAuth2Provider. The library has callers authenticate by HTTP Basic or by an access token. Here
// they may also do so as they are registered (RFC 7662, section 2.1), public clients excepted.
func (p *Provider) NewIntrospectionRequest(ctx context.Context, r *http.Request, session fosite.Session) (fosite.IntrospectionResponder, error) {
	return told(ctx, oautherror.Introspection, func(ctx context.Context) (fosite.IntrospectionResponder, error) {
		library, ok := p.OAuth2Provider.(authenticator)
		if !ok || r.Method != http.MethodPost || fosite.AccessTokenFromRequest(r) != "" {
			return p.OAuth2Provider.NewIntrospectionRequest(ctx, r, session)
		}
		inactive := &fosite.IntrospectionResponse{}
		if err := r.ParseMultipartForm(maxFormMemory); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			return inactive, fosite.ErrInvalidRequest.WithWrap(err)
		}
		x := exchangeFrom(ctx)
		x.introspects = r.PostForm.Get("token") != ""
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
		if nobody := x.unauthenticated(ctx); nobody != nil {
			return inactive, nobody
		}
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

// unauthenticated is the error for a client whose secret is wrong. No statement has looked at it yet where the token isn't one that the Store
// was asked about.
func (x *exchange) unauthenticated(ctx context.Context) error {
	if x.nobody == nil && x.unproven != nil {
		if err := x.unproven.prove(ctx); err != nil {
			x.nobody = fosite.ErrInvalidClient.WithWrap(err)
		}
	}
	return x.nobody
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

// maxFormMemory is the library's.
const maxFormMemory = 1 << 20

// twice refuses a parameter that is given twice, of which the library takes the first (RFC 6749, sections 3.1 and 3.2).
func twice(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 && name != "audience" && name != "resource" {
			return fosite.ErrInvalidRequest.WithHint("A parameter is given twice.")
		}
	}
	return nil
}

// unserved refuses what the library would leave aside: a token for less was asked for than it would be good for (RFC 8707, section 2; RFC
// 9396, section 5).
func unserved(form url.Values) error {
	switch {
	case form.Has("resource"):
		return &fosite.RFC6749Error{ErrorField: "invalid_target", CodeField: http.StatusBadRequest, DescriptionField: "Name an audience: the parameter resource is not served."}
	case form.Has("authorization_details"):
		return &fosite.RFC6749Error{ErrorField: "invalid_authorization_details", CodeField: http.StatusBadRequest, DescriptionField: "authorization_details are not served."}
	}
	return twice(form)
}

// unservedRequest is the same of an authorization request. The library reads request objects where openid is asked for, and leaves them
// aside otherwise.
func unservedRequest(form url.Values) error {
	isOpenID := fosite.Arguments(strings.Fields(form.Get("scope"))).Has("openid")
	switch {
	case !isOpenID && form.Get("request") != "":
		return fosite.ErrRequestNotSupported
	case !isOpenID && form.Get("request_uri") != "":
		return fosite.ErrRequestURINotSupported
	}
	if age := form.Get("max_age"); age != "" {
		if n, err := strconv.ParseInt(age, 10, 64); err != nil || n < 0 {
			return fosite.ErrInvalidRequest.WithHint("max_age is not a number of seconds.")
		}
	}
	return unserved(form)
}

// answerTo sets where the error of a request goes, and how. The library doesn't know yet where the error comes early, and takes other
// addresses for the client's own: [store.Queries.CheckAuthorizationRequest] says.
func (p *Provider) answerTo(ctx context.Context, request fosite.AuthorizeRequester, form url.Values) {
	library, _ := p.OAuth2Provider.(*fosite.Fosite)
	ar, ok := request.(*fosite.AuthorizeRequest)
	if library == nil || !ok || ar.GetClient() == nil || ar.GetClient().GetID() == "" {
		return
	}
	s, ok := library.Store.(*Store)
	if !ok {
		return
	}
	ar.RedirectURI = nil
	if len(form["redirect_uri"]) > 1 {
		return
	}
	row, err := s.queries.CheckAuthorizationRequest(ctx, store.CheckAuthorizationRequestParams{
		ClientID: store.ClientID(ar.GetClient().GetID()), RedirectURI: optional(form.Get("redirect_uri")),
	})
	switch {
	case err != nil:
		_ = s.fault(ctx, err)
	case row.RedirectURI != nil:
		ar.RedirectURI, _ = url.Parse(*row.RedirectURI)
	}
	if ar.ResponseMode == fosite.ResponseModeDefault {
		switch mode := fosite.ResponseModeType(form.Get("response_mode")); {
		case mode == fosite.ResponseModeFragment, mode == fosite.ResponseModeFormPost:
			ar.ResponseMode = mode
		case mode == fosite.ResponseModeDefault && strings.Contains(form.Get("response_type"), "token"):
			ar.ResponseMode = fosite.ResponseModeFragment // OAuth 2.0 Multiple Response Type Encoding Practices, section 5
		}
	}
}

func isFault(err error) bool {
	return errors.Is(err, fosite.ErrServerError) || errors.Is(err, fosite.ErrTemporarilyUnavailable)
}
