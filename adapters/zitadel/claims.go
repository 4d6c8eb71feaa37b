package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// SetUserinfoFromScopes does nothing: the library asks SetUserinfoFromRequest.
func (s *Storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// granted is a request on behalf of a user.
type granted interface {
	session() *store.SessionID
	about() (store.UserID, Subject)
}

// SetUserinfoFromRequest sets the claims of an ID token: sub, sid (OpenID Connect Front-Channel Logout 1.0, section 3), and,
// with UserinfoInIDToken or a hook, those about the user: [store.Queries.GetUser].
func (s *Storage) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	info.Subject = request.GetSubject()
	r, isGranted := request.(granted)
	if !isGranted {
		return nil
	}
	if session := r.session(); session != nil {
		info.AppendClaims("sid", string(*session))
	}
	id, about := r.about()
	about.Scopes = scopes
	return s.describe(ctx, info, id, about)
}

// describe sets the claims that the scopes ask for (OpenID Connect Core 1.0, section 5.4).
func (s *Storage) describe(ctx context.Context, info *oidc.UserInfo, id store.UserID, about Subject) error {
	if !s.describes(about.Scopes) {
		return nil
	}
	user, err := s.user(ctx, id)
	if err != nil {
		return err
	}
	profile, email := slices.Contains(about.Scopes, oidc.ScopeProfile), slices.Contains(about.Scopes, oidc.ScopeEmail)
	if profile {
		info.Name = user.Name
		info.Picture = deref(user.Image)
		info.UpdatedAt = oidc.FromTime(user.UpdatedAt)
	}
	if email {
		info.Email = deref(user.Email)
		info.EmailVerified = oidc.Bool(user.EmailVerified)
	}
	if s.opts.Userinfo != nil {
		about.User = user
		return s.opts.Userinfo(ctx, info, about)
	}
	return nil
}

// describes says whether such scopes need the user's row.
func (s *Storage) describes(scopes []string) bool {
	return s.opts.Userinfo != nil || slices.Contains(scopes, oidc.ScopeProfile) || slices.Contains(scopes, oidc.ScopeEmail)
}

func (s *Storage) user(ctx context.Context, id store.UserID) (store.User, error) {
	x := exchangeFrom(ctx)
	if x != nil && x.user != nil && x.user.ID == id {
		return *x.user, nil
	}
	user, err := s.store.GetUser(ctx, id)
	switch {
	case db.IsNotFound(err):
		return user, errNotLive // deleted, and the tokens with it
	case err != nil:
		return user, s.fault(ctx, err)
	}
	if x != nil {
		x.user = &user
	}
	return user, nil
}

// userOf is the user whom a client calls by a subject: [store.Queries.FindUserBySubject] if the client has pairwise ones. A subject that is
// nobody's becomes an id that no user of ours has, so that nobody who is signed in passes for it.
func (s *Storage) userOf(ctx context.Context, c store.OAuthClient, subject string) (store.UserID, error) {
	if subject == "" || c.SubjectType == nil || *c.SubjectType == "public" {
		return store.UserID(subject), nil
	}
	u, err := s.store.FindUserBySubject(ctx, store.FindUserBySubjectParams{ClientID: c.ClientID, Subject: store.Subject(subject)})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return store.UserID("?" + subject), nil
	case err != nil:
		return "", s.fault(ctx, err)
	}
	return u.ID, nil
}

// SetUserinfoFromToken answers the userinfo endpoint for an access token that is live and has the scope openid:
// [store.Queries.IntrospectAccessToken], or [store.Queries.IntrospectAccessTokenByID] for a JWT; then
// [store.Queries.GetUser]. A token that is bound to a key is refused, since the library accepts it as a bearer token only
// (RFC 9449, section 7.2).
func (s *Storage) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, _, _ string) error {
	t, err := s.introspectAccessToken(ctx, caller{method: methodServer}, tokenID)
	if err != nil {
		return err
	}
	if t.sub == nil || t.confirmation != nil || !slices.Contains(t.scopes, oidc.ScopeOpenID) {
		return oidc.ErrAccessDenied().WithDescription("the token is not for this endpoint")
	}
	info.Subject = string(deref(t.sub))
	return s.describe(ctx, info, *t.userID, Subject{ClientID: t.clientID, ReferenceID: t.referenceID, Scopes: t.scopes})
}

// liveToken is what introspection tells, whichever call it was.
type liveToken struct {
	id           string
	kind         store.TokenKind
	clientID     store.ClientID
	userID       *store.UserID
	sub          *store.Subject
	referenceID  *store.ReferenceID
	scopes       []string
	resources    []string
	confirmation *token.Confirmation
	issuedAt     time.Time
	expiresAt    *time.Time
	authTime     *time.Time
	acr          *string
	amr          []string
	username     *string
	act          json.RawMessage
	sessionID    *store.SessionID
	details      json.RawMessage
}

// introspectAccessToken returns errNotLive, an answer, or a fault.
func (s *Storage) introspectAccessToken(ctx context.Context, by caller, tokenID string) (liveToken, error) {
	digest, isDigest := digestOf(tokenID)
	var row store.IntrospectAccessTokenRow
	var err error
	call := oautherror.IntrospectAccessToken
	if isDigest {
		row, err = s.store.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{
			ClientID: by.client, ClientAuthMethod: by.method, ClientSecret: by.secret, Token: digest,
		})
	} else {
		var byID store.IntrospectAccessTokenByIDRow
		byID, err = s.store.IntrospectAccessTokenByID(ctx, store.IntrospectAccessTokenByIDParams{
			ClientID: by.client, ClientAuthMethod: by.method, ClientSecret: by.secret, ID: store.AccessTokenID(tokenID),
		})
		row, call = store.IntrospectAccessTokenRow(byID), oautherror.IntrospectAccessTokenByID
	}
	if err := s.introspected(ctx, by, call, row.Outcome, err); err != nil {
		return liveToken{}, err
	}
	return liveToken{
		id: string(deref(row.ID)), kind: store.TokenKindAccessToken, clientID: deref(row.ClientID), userID: row.UserID, sub: row.Sub, referenceID: row.ReferenceID,
		scopes: row.Scopes, resources: row.Resources, confirmation: row.Confirmation, issuedAt: deref(row.IssuedAt), expiresAt: row.ExpiresAt,
		authTime: row.AuthTime, acr: row.ACR, amr: row.AMR, username: row.Username, sessionID: row.SessionID, act: row.Act,
		details: row.AuthorizationDetails,
	}, nil
}

// introspected is nil for a token that is live.
func (s *Storage) introspected(ctx context.Context, by caller, call oautherror.Call, outcome store.Outcome, err error) error {
	if err != nil {
		return s.fault(ctx, err)
	}
	judged(ctx, by, outcome)
	if outcome == store.OutcomeInactive {
		return errNotLive
	}
	return refused(oautherror.Introspection, call, outcome)
}

// introspect is introspectAccessToken for a client that asks, and knows refresh tokens too where it is given a digest. A token that says
// what it is costs the database a third less than one that has to be looked for in both tables.
func (s *Storage) introspect(ctx context.Context, by caller, tokenID string) (liveToken, error) {
	digest, isDigest := digestOf(tokenID)
	if !isDigest || isAccessToken(tokenID) {
		return s.introspectAccessToken(ctx, by, tokenID)
	}
	row, err := s.store.IntrospectToken(ctx, store.IntrospectTokenParams{
		ClientID: by.client, ClientAuthMethod: by.method, ClientSecret: by.secret, Token: digest,
	})
	if err := s.introspected(ctx, by, oautherror.IntrospectToken, row.Outcome, err); err != nil {
		return liveToken{}, err
	}
	id := string(deref(row.AccessTokenID))
	if deref(row.Kind) == store.TokenKindRefreshToken {
		id = string(deref(row.RefreshTokenID))
	}
	return liveToken{
		id: id, kind: deref(row.Kind), clientID: deref(row.ClientID), userID: row.UserID, sub: row.Sub, referenceID: row.ReferenceID,
		scopes: row.Scopes, resources: row.Resources, confirmation: row.Confirmation, issuedAt: deref(row.IssuedAt), expiresAt: row.ExpiresAt,
		authTime: row.AuthTime, acr: row.ACR, amr: row.AMR, username: row.Username, sessionID: row.SessionID, act: row.Act,
		details: row.AuthorizationDetails,
	}, nil
}

var errNotTold = errors.New("the client is not told about the token")

// SetIntrospectionFromToken answers for a token (RFC 7662, section 2.2): [store.Queries.IntrospectAccessToken] for an opaque access token of
// ours, [store.Queries.IntrospectToken] for any other opaque one, [store.Queries.IntrospectAccessTokenByID] for one that is known by its id. An error means that the token
// is not active; if it is a fault of the database, a [Provider] answers 500 instead.
func (s *Storage) SetIntrospectionFromToken(ctx context.Context, response *oidc.IntrospectionResponse, tokenID, _, clientID string) error {
	t, err := s.introspect(ctx, callerOf(ctx, store.ClientID(clientID)), tokenID)
	if err != nil {
		return err
	}
	if s.opts.MayIntrospect != nil && !s.opts.MayIntrospect(ctx, store.ClientID(clientID), Introspected{
		ClientID: t.clientID, UserID: t.userID, ReferenceID: t.referenceID, Scopes: t.scopes, Resources: t.resources,
	}) {
		return errNotTold
	}
	response.Scope = t.scopes
	response.ClientID = string(t.clientID)
	response.IssuedAt = oidc.FromTime(t.issuedAt)
	response.Issuer = op.IssuerFromContext(ctx)
	response.Subject = string(t.clientID)
	response.Audience = audience(t.clientID, t.resources)
	response.AuthenticationMethodsReferences = t.amr
	response.JWTID = t.id
	if t.userID != nil {
		response.Subject = string(deref(t.sub))
	}
	if t.kind == store.TokenKindAccessToken {
		response.TokenType = oidc.BearerToken
	}
	if t.expiresAt != nil {
		response.Expiration = oidc.FromTime(*t.expiresAt)
	}
	if t.authTime != nil {
		response.AuthTime = oidc.FromTime(*t.authTime)
	}
	if slices.Contains(t.scopes, oidc.ScopeEmail) {
		response.Username = deref(t.username)
	}
	response.Claims = map[string]any{}
	if t.acr != nil {
		response.Claims["acr"] = *t.acr // RFC 9470, section 6.2
	}
	if t.act != nil {
		response.Claims["act"] = t.act // RFC 8693, section 4.1
	}
	if t.details != nil {
		response.Claims["authorization_details"] = t.details // RFC 9396, section 9.2
	}
	if t.sessionID != nil {
		response.Claims["sid"] = string(*t.sessionID)
	}
	if t.confirmation != nil {
		response.Claims["cnf"] = t.confirmation // RFC 7800, section 3.1
		if t.confirmation.JKT != "" {
			response.TokenType = "DPoP" // RFC 9449, section 6.2
		}
	}
	return nil
}

// GetPrivateClaimsFromRequest sets the claims of a JWT access token that the library doesn't: scope (RFC 9068, section
// 2.2.3), and those of Options.AccessTokenClaims.
func (s *Storage) GetPrivateClaimsFromRequest(ctx context.Context, request op.TokenRequest, _ []string) (map[string]any, error) {
	claims := map[string]any{}
	if s.opts.AccessTokenClaims != nil {
		more, err := s.opts.AccessTokenClaims(ctx, request)
		if err != nil {
			return nil, err
		}
		for name, value := range more {
			claims[name] = value
		}
	}
	if scopes := request.GetScopes(); len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	if r, isOurs := request.(interface{ boundTo() *token.Confirmation }); isOurs && r.boundTo() != nil {
		claims["cnf"] = r.boundTo() // RFC 9449, section 6.1
	}
	if r, isOurs := request.(*authRequest); isOurs && r.act != nil {
		claims["act"] = r.act // RFC 8693, section 4.1
	}
	if r, isOurs := request.(*authRequest); isOurs && r.row.AuthorizationDetails != nil {
		claims["authorization_details"] = r.row.AuthorizationDetails // RFC 9396, section 9.1
	}
	return claims, nil
}

// GetPrivateClaimsFromScopes returns nothing: the library asks GetPrivateClaimsFromRequest.
func (s *Storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}
