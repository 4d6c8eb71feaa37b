package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// client is a registered client as the library sees it.
type client struct {
	row  store.OAuthClient
	opts *Options
}

var _ op.Client = (*client)(nil)

// OAuthClient returns the registration behind a client that the library passes on.
func (c *client) OAuthClient() store.OAuthClient { return c.row }

func (c *client) GetID() string                    { return string(c.row.ClientID) }
func (c *client) RedirectURIs() []string           { return c.row.RedirectURIs }
func (c *client) PostLogoutRedirectURIs() []string { return c.row.PostLogoutRedirectURIs }
func (c *client) LoginURL(id string) string        { return c.opts.LoginURL(id) }
func (c *client) IDTokenLifetime() time.Duration   { return c.opts.IDTokenLifetime }
func (c *client) DevMode() bool                    { return c.opts.DevMode }
func (c *client) ClockSkew() time.Duration         { return c.opts.ClockSkew }

func (c *client) AccessTokenType() op.AccessTokenType  { return c.opts.AccessTokenType(c.row) }
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return c.opts.UserinfoInIDToken }

func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return asTheyAre }
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return asTheyAre }

func asTheyAre(scopes []string) []string { return scopes }

// ApplicationType is native or web as registered (OpenID Connect Dynamic Client Registration 1.0, section 2), and user_agent
// for a web client that can't keep a secret.
func (c *client) ApplicationType() op.ApplicationType {
	for _, registered := range []*string{c.row.ApplicationType, c.row.Type} {
		switch deref(registered) {
		case "native":
			return op.ApplicationTypeNative
		case "user-agent-based", "user_agent":
			return op.ApplicationTypeUserAgent
		}
	}
	if c.public() {
		return op.ApplicationTypeUserAgent
	}
	return op.ApplicationTypeWeb
}

// AuthMethod says by which method the library should have the client authenticate: token_endpoint_auth_method; where none was
// registered, what the registration leaves room for. Whether the client is authenticated, the store decides.
func (c *client) AuthMethod() oidc.AuthMethod {
	hasSecret := c.row.ClientSecret != nil || c.row.ForeignSecretHash != nil
	hasKeys := c.row.JWKS != nil || c.row.JWKSURI != nil
	switch {
	case deref(c.row.Public):
		return oidc.AuthMethodNone
	case c.row.TokenEndpointAuthMethod != nil:
		return oidc.AuthMethod(*c.row.TokenEndpointAuthMethod)
	case hasSecret:
		return oidc.AuthMethodBasic // RFC 7591, section 2
	case hasKeys:
		return oidc.AuthMethodPrivateKeyJWT
	case c.row.Public != nil:
		return oidc.AuthMethodBasic // confidential, and without a secret yet
	default:
		return oidc.AuthMethodNone
	}
}

func (c *client) public() bool { return c.AuthMethod() == oidc.AuthMethodNone }

// ResponseTypes is code, if the client registered it or nothing: the implicit and hybrid flows are not served (OAuth 2.1,
// section 10.1).
func (c *client) ResponseTypes() []oidc.ResponseType {
	if len(c.row.ResponseTypes) == 0 || slices.Contains(c.row.ResponseTypes, string(oidc.ResponseTypeCode)) {
		return []oidc.ResponseType{oidc.ResponseTypeCode}
	}
	return nil
}

func (c *client) GrantTypes() []oidc.GrantType {
	if len(c.row.GrantTypes) == 0 {
		return []oidc.GrantType{oidc.GrantTypeCode} // RFC 7591, section 2
	}
	types := make([]oidc.GrantType, len(c.row.GrantTypes))
	for i, t := range c.row.GrantTypes {
		types[i] = oidc.GrantType(t)
	}
	return types
}

// IsScopeAllowed says whether the client may ask for a scope on behalf of a user.
func (c *client) IsScopeAllowed(scope string) bool {
	if c.row.Scopes != nil {
		return slices.Contains(c.row.Scopes, scope)
	}
	return slices.Contains(c.opts.defaultScopes(), scope)
}

// defaultScopes are those that a client may ask for on behalf of a user which has none registered.
func (o *Options) defaultScopes() []string { return slices.Concat(servedScopes, o.Scopes) }

// ownScopes are those that the client may have for itself.
func (c *client) ownScopes() []string {
	scopes := c.row.Scopes
	if scopes == nil {
		scopes = c.opts.Scopes
	}
	return slices.DeleteFunc(slices.Clone(scopes), aboutUser)
}

// servedScopes are those of OpenID Connect that mean something here without further ado.
var servedScopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess}

// aboutUser says whether a scope is about a user (OpenID Connect Core 1.0, sections 5.4 and 11), and so nothing for a client
// by itself.
func aboutUser(scope string) bool {
	return slices.Contains(servedScopes, scope) || scope == oidc.ScopePhone || scope == oidc.ScopeAddress
}

// assertionAlg is the algorithm of the client's assertions, if it has registered one (OpenID Connect Dynamic Client Registration 1.0,
// section 2, token_endpoint_auth_signing_alg).
func (c *client) assertionAlg() string {
	var metadata struct {
		Alg string `json:"token_endpoint_auth_signing_alg"`
	}
	if c.row.Metadata == nil || json.Unmarshal(c.row.Metadata, &metadata) != nil {
		return ""
	}
	return metadata.Alg
}

// key is the client's public key by its id; an empty id is enough where there is one key only (RFC 7515, section 4.1.4).
func (c *client) key(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	set, err := c.keySet(ctx)
	if err != nil {
		return nil, err
	}
	keys := set.Keys
	if id != "" {
		keys = set.Key(id)
	}
	keys = slices.DeleteFunc(slices.Clone(keys), func(k jose.JSONWebKey) bool {
		return !k.Valid() || k.Use != "" && k.Use != oidc.KeyUseSignature
	})
	if len(keys) != 1 {
		return nil, errors.New("not one key of the client fits")
	}
	return &keys[0], nil
}

func (c *client) keySet(ctx context.Context) (*jose.JSONWebKeySet, error) {
	switch {
	case c.row.JWKS != nil:
		set := new(jose.JSONWebKeySet)
		if err := json.Unmarshal(c.row.JWKS, set); err != nil {
			return nil, errors.New("the client's jwks can't be read")
		}
		return set, nil
	case c.row.JWKSURI != nil:
		return c.opts.JWKS(ctx, *c.row.JWKSURI)
	default:
		return nil, errors.New("the client has no keys")
	}
}

// unknownClient is what there is to say of a client that does not exist or is disabled.
func unknownClient() *oidc.Error {
	return oidc.ErrInvalidClient().WithDescription("unknown client")
}

// GetClientByClientID returns an enabled client: [store.Queries.GetClient].
func (s *Storage) GetClientByClientID(ctx context.Context, clientID string) (op.Client, error) {
	c, err := s.client(ctx, clientID)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Storage) client(ctx context.Context, clientID string) (*client, error) {
	x := exchangeFrom(ctx)
	if x != nil && x.client != nil && x.client.GetID() == clientID {
		return x.client, nil
	}
	row, err := s.store.GetClient(ctx, store.ClientID(clientID))
	switch {
	case db.IsNotFound(err):
		return nil, unknownClient()
	case err != nil:
		return nil, s.fault(ctx, err)
	case row.Disabled:
		return nil, unknownClient()
	}
	c := &client{row: row, opts: &s.opts}
	if x != nil {
		x.client = c
	}
	return c, nil
}

// AuthorizeClientIDSecret authenticates a client by its secret: [store.Queries.AuthenticateClient]. At the token, introspection and
// revocation endpoints of a [Provider] it only notes the secret, as the call that answers the request judges it first.
func (s *Storage) AuthorizeClientIDSecret(ctx context.Context, clientID, clientSecret string) error {
	c := caller{client: store.ClientID(clientID), method: methodNone}
	if clientSecret != "" {
		c.method, c.secret = methodBasic, token.DigestOf(clientSecret)
	}
	x := exchangeFrom(ctx)
	if x == nil {
		return s.authenticate(ctx, c)
	}
	if _, _, inHeader := x.request.BasicAuth(); clientSecret != "" && !inHeader {
		c.method = methodPost
	}
	x.caller, x.judged = c, false
	if x.callsAuthenticate {
		return nil
	}
	return s.authenticate(ctx, c)
}

// authenticate asks the store about a caller: [store.Queries.AuthenticateClient].
func (s *Storage) authenticate(ctx context.Context, c caller) error {
	outcome, err := s.store.AuthenticateClient(ctx, store.AuthenticateClientParams{
		ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret,
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	judged(ctx, c, outcome)
	return refused(oautherror.Token, oautherror.AuthenticateClient, outcome)
}

// GetKeyByIDAndClientID returns a client's public key, to verify request objects: [store.Queries.GetClient]. A [Provider]
// does not verify client assertions by it, as it has to remember them too.
func (s *Storage) GetKeyByIDAndClientID(ctx context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	c, err := s.client(ctx, clientID)
	if err != nil {
		return nil, err
	}
	return c.key(ctx, keyID)
}
