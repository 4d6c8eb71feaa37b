package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Request is the part of an authorization request that concerns the pages (OpenID Connect Core 1.0, section 3.1.2.1). It is
// kept in oauth_authorization.request.
type Request struct {
	// Prompt has none, login, consent or select_account. With none no page may be shown: where one would be needed, end in
	// [Provider.Deny] with login_required, consent_required or interaction_required.
	Prompt []string `json:"prompt,omitempty"`
	// MaxAge is the greatest age of the sign-in, in seconds; 0 asks for a new one, nil for none. It is the client's default_max_age if the request
	// doesn't say.
	MaxAge    *uint    `json:"max_age,omitempty"`
	LoginHint string   `json:"login_hint,omitempty"`
	Display   string   `json:"display,omitempty"`
	UILocales []string `json:"ui_locales,omitempty"`
	ACRValues []string `json:"acr_values,omitempty"`
	// Subject is the user whom the client's id_token_hint names: nobody else should be signed in.
	Subject store.UserID `json:"sub,omitempty"`
}

// unsupportedResponseType is of RFC 6749, section 4.1.2.1; the library has no function for it.
func unsupportedResponseType() *oidc.Error {
	return withCode("unsupported_response_type").WithDescription("only response_type code is served")
}

// CreateAuthRequest records a request that awaits the user's decision: [store.Queries.CreateAuthorization], which judges it by the
// client's registration. Only response_type code and code_challenge_method S256 are served. A client needs a code_challenge unless
// it is confidential and its require_pkce is false. Scopes that the client may not ask for are left out, as the library does with those it doesn't
// know (OpenID Connect Core 1.0, section 3.1.2.1); none left is invalid_scope.
func (s *Storage) CreateAuthRequest(ctx context.Context, r *oidc.AuthRequest, userID string) (op.AuthRequest, error) {
	return s.createAuthRequest(ctx, r, userID, nil)
}

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:" // RFC 9126, section 2.2
	// RequestURILifetime is for how long a request_uri can be opened first.
	RequestURILifetime = time.Minute
)

// PushAuthRequest records a request as CreateAuthRequest does, and returns the request_uri by which the browser refers to it (RFC 9126,
// section 2): [store.Queries.CreateAuthorization]. The library has no endpoint for it. Authenticate the client first; the errors are those
// of the endpoint.
func (s *Storage) PushAuthRequest(ctx context.Context, r *oidc.AuthRequest, userID string) (requestURI string, err error) {
	reference := token.Mint(token.RequestURI)
	if _, err := s.createAuthRequest(ctx, r, userID, new(reference.Digest())); err != nil {
		return "", err
	}
	return requestURIPrefix + reference.Reveal(), nil
}

// OpenAuthRequest returns the id of a pushed request, for the page at Options.LoginURL: [store.Queries.FindAuthorizationByRequestURI]. The
// page may be loaded again until the user has decided (RFC 9126, section 4). The errors are [ErrNoRequest] and a server_error that
// wraps [ErrStore].
func (s *Storage) OpenAuthRequest(ctx context.Context, clientID, requestURI string) (id string, err error) {
	reference, isOurs := strings.CutPrefix(requestURI, requestURIPrefix)
	raw, err := token.Parse(token.RequestURI, reference)
	if !isOurs || err != nil {
		return "", ErrNoRequest
	}
	row, err := s.store.FindAuthorizationByRequestURI(ctx, store.FindAuthorizationByRequestURIParams{
		RequestURI: raw.Digest(), ClientID: store.ClientID(clientID), Lifetime: s.opts.RequestLifetime,
	})
	switch {
	case db.IsNotFound(err):
		return "", ErrNoRequest
	case err != nil:
		return "", s.fault(ctx, err)
	}
	return string(row.ID), nil
}

func (s *Storage) createAuthRequest(ctx context.Context, r *oidc.AuthRequest, userID string, requestURI *token.Digest) (op.AuthRequest, error) {
	c, err := s.client(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	maxAge := r.MaxAge
	if maxAge == nil && c.row.DefaultMaxAge != nil {
		maxAge = new(uint(*c.row.DefaultMaxAge / time.Second))
	}
	more := url.Values{} // of what the library doesn't read
	if x := exchangeFrom(ctx); x != nil {
		more = x.request.Form
	}
	claims, err := parseClaims(more.Get("claims"))
	if err != nil {
		return nil, err
	}
	acrValues := slices.Concat(r.ACRValues, claims.IDToken.ACR.Values)
	request := Request{
		Prompt: r.Prompt, MaxAge: maxAge, LoginHint: r.LoginHint, Display: string(r.Display), ACRValues: acrValues,
		Subject: store.UserID(userID),
	}
	if request.Subject, err = s.userOf(ctx, c.row, userID); err != nil {
		return nil, err
	}
	if sub := claims.IDToken.Sub.Value; sub != "" { // nobody else may be signed in (OpenID Connect Core 1.0, section 5.5.1)
		named, err := s.userOf(ctx, c.row, sub)
		switch {
		case err != nil:
			return nil, err
		case request.Subject != "" && request.Subject != named:
			return nil, oidc.ErrLoginRequired().WithDescription("the hint is about somebody else")
		case !storable(sub):
			return nil, oidc.ErrInvalidRequest().WithDescription("a parameter is not text")
		}
		request.Subject = named
	}
	for _, locale := range r.UILocales {
		request.UILocales = append(request.UILocales, locale.String())
	}
	texts := slices.Concat(r.Scopes, request.Prompt, request.ACRValues, []string{
		r.RedirectURI, r.State, r.Nonce, r.CodeChallenge, request.LoginHint, request.Display, userID,
	})
	switch {
	case !storable(texts...):
		return nil, oidc.ErrInvalidRequest().WithDescription("a parameter is not text")
	case r.ResponseType != oidc.ResponseTypeCode:
		return nil, unsupportedResponseType()
	case !slices.Contains([]oidc.ResponseMode{"", oidc.ResponseModeQuery, oidc.ResponseModeFragment, oidc.ResponseModeFormPost}, r.ResponseMode):
		return nil, oidc.ErrInvalidRequest().WithDescription("unknown response_mode")
	case r.CodeChallenge != "" && r.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return nil, oidc.ErrInvalidRequest().WithDescription("code_challenge_method must be S256")
	}
	asked, err := resources(more)
	if err != nil {
		return nil, err
	}
	details, err := s.details(more)
	if err != nil {
		return nil, err
	}
	var boundTo *token.Confirmation
	switch jkt := more.Get("dpop_jkt"); {
	case more.Get("registration") != "":
		return nil, withCode("registration_not_supported") // OpenID Connect Core 1.0, section 3.1.2.6
	case jkt != "" && !storable(jkt):
		return nil, oidc.ErrInvalidRequest().WithDescription("dpop_jkt is not a thumbprint")
	case jkt != "":
		boundTo = &token.Confirmation{JKT: jkt} // RFC 9449, section 10
	}
	scopes := slices.DeleteFunc(slices.Clone([]string(r.Scopes)), func(scope string) bool { return !c.IsScopeAllowed(scope) })
	if len(scopes) == 0 {
		return nil, oidc.ErrInvalidScope().WithDescription("the client may ask for none of the scopes")
	}
	rest, err := json.Marshal(request)
	if err != nil {
		return nil, oidc.ErrInvalidRequest().WithDescription("a parameter is not text")
	}
	p := store.CreateAuthorizationParams{
		ID:           store.NewAuthorizationID(),
		ClientID:     c.row.ClientID,
		RedirectURI:  optional(r.RedirectURI),
		ResponseType: optional(r.ResponseType),
		ResponseMode: optional(r.ResponseMode),
		Scopes:       scopes,
		State:        optional(r.State),
		Nonce:        optional(r.Nonce),
		Request:      rest,
		Lifetime:     s.opts.RequestLifetime,

		DefaultScopes:    s.opts.defaultScopes(),
		Resources:        asked,
		DefaultResources: s.opts.Resources,
		Confirmation:     boundTo,

		AuthorizationDetails: details, DefaultAuthorizationDetailsTypes: s.opts.detailTypes(),
		ACRValues:  r.ACRValues,
		RequestURI: requestURI,
	}
	if requestURI != nil {
		p.RequestURILifetime = RequestURILifetime
	}
	if maxAge != nil {
		p.MaxAge = new(int64(min(uint64(*maxAge), math.MaxInt64)))
	}
	if r.CodeChallenge != "" {
		p.CodeChallenge, p.CodeChallengeMethod = optional(r.CodeChallenge), optional(r.CodeChallengeMethod)
	}
	created, err := s.store.CreateAuthorization(ctx, p)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	at := oautherror.Authorization
	if requestURI != nil {
		at = oautherror.PushedAuthorization
	}
	if err := requestRefused(at, created); err != nil {
		return nil, err
	}
	return &authRequest{skew: s.opts.ClockSkew, row: store.OAuthAuthorization{
		ID: p.ID, ClientID: p.ClientID, Status: store.AuthorizationStatusPending, RedirectURI: p.RedirectURI,
		ResponseType: p.ResponseType, ResponseMode: p.ResponseMode, Scopes: p.Scopes, State: p.State, Nonce: p.Nonce,
		CodeChallenge: p.CodeChallenge, CodeChallengeMethod: p.CodeChallengeMethod,
	}}, nil
}

var (
	errNoSuchRequest = errors.New("no such authorization request")
	errNoSuchCode    = errors.New("no such code")
)

// AuthRequestByID returns the request that the library's callback is about: [store.Queries.FindAuthorizationByCode]. The id
// is the ticket that Approve returned, not the authorization's own: that one is known to whoever began the request, who
// could fetch the code before the user's browser does.
func (s *Storage) AuthRequestByID(ctx context.Context, id string) (op.AuthRequest, error) {
	request, err := s.authRequestByCode(ctx, id)
	if errors.Is(err, errNoSuchCode) {
		return nil, errNoSuchRequest
	}
	return request, err
}

// AuthRequestByCode returns the request that a code was given for, also when it has been redeemed or revoked:
// CreateAccessToken and CreateAccessAndRefreshTokens decide, and end the family if the code was used before.
// [store.Queries.FindAuthorizationByCode].
func (s *Storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	return s.authRequestByCode(ctx, code)
}

func (s *Storage) authRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	raw, err := token.ParseForeign(token.AuthorizationCode, code)
	if err != nil {
		return nil, errNoSuchCode
	}
	row, err := s.store.FindAuthorizationByCode(ctx, raw.Digest())
	switch {
	case db.IsNotFound(err):
		return nil, errNoSuchCode
	case err != nil:
		return nil, s.fault(ctx, err)
	}
	return &authRequest{row: row, code: raw.Digest(), skew: s.opts.ClockSkew}, nil
}

// SaveAuthCode gives an approved request the code that the library has made: [store.Queries.IssueAuthorizationCode].
func (s *Storage) SaveAuthCode(ctx context.Context, id, code string) error {
	issued, err := s.issueCode(ctx, id, token.DigestOf(code))
	if err != nil {
		return s.fault(ctx, err)
	}
	return refused(oautherror.Authorization, oautherror.IssueAuthorizationCode, issued.Outcome)
}

func (s *Storage) issueCode(ctx context.Context, id string, code token.Digest) (store.IssueAuthorizationCodeRow, error) {
	return s.store.IssueAuthorizationCode(ctx, store.IssueAuthorizationCodeParams{
		ID: store.AuthorizationID(id), Code: code, CodeLifetime: s.opts.CodeLifetime,
		DefaultScopes: s.opts.defaultScopes(), DefaultResources: s.opts.Resources,
	})
}

// DeleteAuthRequest does nothing. The library calls it when the tokens are written; from then on the row is the family of these
// tokens, and the evidence by which a replayed code is recognised. It is collected when the last token has expired.
func (s *Storage) DeleteAuthRequest(context.Context, string) error { return nil }

// authRequest is an authorization as the library sees it.
type authRequest struct {
	row    store.OAuthAuthorization
	code   token.Digest // of the code by which it was found
	skew   time.Duration
	sub    *store.Subject // once the code is redeemed
	minted minted

	confirmation *token.Confirmation // of the access token
	act          json.RawMessage     // of an exchanged one
}

var (
	_ op.AuthRequest    = (*authRequest)(nil)
	_ op.LogAuthRequest = (*authRequest)(nil)
)

func (r *authRequest) GetID() string          { return string(r.row.ID) }
func (r *authRequest) GetACR() string         { return deref(r.row.ACR) }
func (r *authRequest) GetAMR() []string       { return r.row.AMR }
func (r *authRequest) GetClientID() string    { return string(r.row.ClientID) }
func (r *authRequest) GetNonce() string       { return deref(r.row.Nonce) }
func (r *authRequest) GetRedirectURI() string { return deref(r.row.RedirectURI) }
func (r *authRequest) GetState() string       { return deref(r.row.State) }

func (r *authRequest) GetAudience() []string        { return audience(r.row.ClientID, r.row.Resources) }
func (r *authRequest) GetAuthTime() time.Time       { return authTime(r.row.AuthTime, r.skew) }
func (r *authRequest) session() *store.SessionID    { return r.row.SessionID }
func (r *authRequest) boundTo() *token.Confirmation { return r.confirmation }

// GetSubject is the user or, once the code is redeemed, the subject by which the client knows the user, as it stands in the tokens.
func (r *authRequest) GetSubject() string {
	if r.sub != nil {
		return string(*r.sub)
	}
	return string(deref(r.row.UserID))
}

func (r *authRequest) about() (store.UserID, Subject) {
	return deref(r.row.UserID), Subject{ClientID: r.row.ClientID, ReferenceID: r.row.ReferenceID}
}

func (r *authRequest) GetResponseType() oidc.ResponseType {
	return oidc.ResponseType(deref(r.row.ResponseType))
}

func (r *authRequest) GetResponseMode() oidc.ResponseMode {
	return oidc.ResponseMode(deref(r.row.ResponseMode))
}

func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.row.CodeChallenge == nil {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: *r.row.CodeChallenge, Method: oidc.CodeChallengeMethod(deref(r.row.CodeChallengeMethod))}
}

// GetScopes are those that the user has granted, or, before, those that the client asks for.
func (r *authRequest) GetScopes() []string {
	if r.row.Status == store.AuthorizationStatusApproved {
		return r.row.GrantedScopes
	}
	return r.row.Scopes
}

// Done says whether the user has decided.
func (r *authRequest) Done() bool { return r.row.Status != store.AuthorizationStatusPending }

// LogValue implements op.LogAuthRequest.
func (r *authRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("authorization_id", r.GetID()), slog.String("client_id", r.GetClientID()),
		slog.Any("scopes", r.GetScopes()))
}

// audience is that of a token: the client, and the resources that it is for (RFC 8707, section 2).
func audience(client store.ClientID, resources []string) []string {
	return append([]string{string(client)}, resources...)
}

// authTime is what the library turns into auth_time, or leaves out if it is the zero time after it has subtracted the skew.
func authTime(at *time.Time, skew time.Duration) time.Time {
	if at == nil {
		return time.Time{}.Add(skew)
	}
	return *at
}
