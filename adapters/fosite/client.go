package fositedb

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v3/jwt"
	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Client is a registered client as the library sees it.
type Client struct {
	row      store.OAuthClient
	opts     *Options
	metadata struct {
		RequestURIs             []string `json:"request_uris"`
		RequestObjectSigningAlg string   `json:"request_object_signing_alg"`
		AuthSigningAlg          string   `json:"token_endpoint_auth_signing_alg"`
	}
	keys *jose.JSONWebKeySet

	// of the request that the client was fetched for
	memory atomic.Pointer[memory]
}

var (
	_ fosite.Client                         = (*Client)(nil)
	_ fosite.OpenIDConnectClient            = (*Client)(nil)
	_ fosite.ResponseModeClient             = (*Client)(nil)
	_ fosite.ClientWithCustomTokenLifespans = (*Client)(nil)
)

// OAuthClient returns the registration.
func (c *Client) OAuthClient() store.OAuthClient { return c.row }

// GetID implements fosite.Client.
func (c *Client) GetID() string { return string(c.row.ClientID) }

const hashPrefix = "oauth_client:"

// GetHashedSecret returns no hash: it says whose secret the hasher that [Store.Configure] sets has to ask the database about.
func (c *Client) GetHashedSecret() []byte { return []byte(hashPrefix + c.GetID()) }

// GetRedirectURIs implements fosite.Client.
func (c *Client) GetRedirectURIs() []string { return c.row.RedirectURIs }

// GetGrantTypes implements fosite.Client. A client without registered ones uses authorization_code, and the refresh tokens issued with it.
func (c *Client) GetGrantTypes() fosite.Arguments {
	if c.row.GrantTypes == nil {
		return fosite.Arguments{"authorization_code", "refresh_token"}
	}
	return c.row.GrantTypes
}

// GetResponseTypes is code, if the client registered it or nothing: the implicit and hybrid flows are not served (OAuth 2.1, section
// 10.1).
func (c *Client) GetResponseTypes() fosite.Arguments {
	if c.row.ResponseTypes == nil || slices.Contains(c.row.ResponseTypes, "code") {
		return fosite.Arguments{"code"}
	}
	return nil
}

// GetScopes implements fosite.Client.
func (c *Client) GetScopes() fosite.Arguments {
	if c.row.Scopes == nil {
		return c.opts.Scopes
	}
	return c.row.Scopes
}

// GetAudience is what the client may ask for in audience: its resources (RFC 8707).
func (c *Client) GetAudience() fosite.Arguments {
	if c.row.Resources == nil {
		return c.opts.Audience
	}
	return c.row.Resources
}

// IsPublic implements fosite.Client. The database decides by the same rule (the routine is_public).
func (c *Client) IsPublic() bool {
	switch {
	case c.row.Public != nil:
		return *c.row.Public
	case c.row.TokenEndpointAuthMethod != nil:
		return *c.row.TokenEndpointAuthMethod == "none"
	default:
		return c.row.ClientSecret == nil && c.row.ForeignSecretHash == nil && c.row.JWKS == nil && c.row.JWKSURI == nil
	}
}

// GetTokenEndpointAuthMethod is what is registered or, if nothing is, what the registration leaves room for.
func (c *Client) GetTokenEndpointAuthMethod() string {
	switch {
	case c.IsPublic():
		return "none"
	case c.row.TokenEndpointAuthMethod != nil:
		return *c.row.TokenEndpointAuthMethod
	case c.row.ClientSecret == nil && c.row.ForeignSecretHash == nil && (c.row.JWKS != nil || c.row.JWKSURI != nil):
		return "private_key_jwt"
	default:
		return "client_secret_basic" // RFC 7591, section 2
	}
}

// GetTokenEndpointAuthSigningAlgorithm is what is registered or, if nothing is, what the client's keys are for.
func (c *Client) GetTokenEndpointAuthSigningAlgorithm() string {
	if c.metadata.AuthSigningAlg != "" {
		return c.metadata.AuthSigningAlg
	}
	if c.keys != nil {
		for _, k := range c.keys.Keys {
			if k.Algorithm != "" {
				return k.Algorithm
			}
		}
	}
	return string(jose.RS256)
}

// GetJSONWebKeys implements fosite.OpenIDConnectClient.
func (c *Client) GetJSONWebKeys() *jose.JSONWebKeySet { return c.keys }

// GetJSONWebKeysURI implements fosite.OpenIDConnectClient.
func (c *Client) GetJSONWebKeysURI() string { return deref(c.row.JWKSURI) }

// GetRequestURIs implements fosite.OpenIDConnectClient.
func (c *Client) GetRequestURIs() []string { return c.metadata.RequestURIs }

// GetRequestObjectSigningAlgorithm implements fosite.OpenIDConnectClient.
func (c *Client) GetRequestObjectSigningAlgorithm() string { return c.metadata.RequestObjectSigningAlg }

// GetResponseModes implements fosite.ResponseModeClient.
func (c *Client) GetResponseModes() []fosite.ResponseModeType {
	return []fosite.ResponseModeType{fosite.ResponseModeQuery, fosite.ResponseModeFragment, fosite.ResponseModeFormPost}
}

// GetEffectiveLifespan cuts a lifetime to the client's, as the database does.
func (c *Client) GetEffectiveLifespan(_ fosite.GrantType, of fosite.TokenType, fallback time.Duration) time.Duration {
	var registered *time.Duration
	switch of {
	case fosite.AccessToken:
		registered = c.row.AccessTokenLifetime
	case fosite.RefreshToken:
		registered = c.row.RefreshTokenLifetime
	}
	switch {
	case registered == nil || *registered >= store.Never.Truncate(time.Microsecond):
		return fallback
	case fallback < 0: // unlimited
		return *registered
	default:
		return min(fallback, *registered)
	}
}

// GetClient returns an enabled client: [store.Queries.GetClient].
func (s *Store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	x := exchangeFrom(ctx)
	if x != nil && x.client != nil && x.client.GetID() == id {
		return x.client, nil
	}
	row, err := s.queries.GetClient(ctx, store.ClientID(id))
	switch {
	case db.IsNotFound(err):
		return nil, fosite.ErrNotFound
	case err != nil:
		return nil, s.fault(ctx, err)
	case row.Disabled:
		return nil, fosite.ErrNotFound
	}
	c := s.newClient(row)
	if x != nil {
		x.client = c
	}
	return c, nil
}

func (s *Store) newClient(row store.OAuthClient) *Client {
	c := &Client{row: row, opts: &s.opts}
	if row.Metadata != nil {
		_ = json.Unmarshal(row.Metadata, &c.metadata) // members of another type say nothing
	}
	if row.JWKS != nil {
		set := new(jose.JSONWebKeySet)
		if json.Unmarshal(row.JWKS, set) == nil {
			for i := range set.Keys {
				if set.Keys[i].Use == "" { // optional (RFC 7517, section 4.2), but not for the library
					set.Keys[i].Use = "sig"
				}
			}
			c.keys = set
		}
	}
	return c
}

// clientOf is the client that something was issued to, where that is all that is asked about it.
func (s *Store) clientOf(ctx context.Context, id store.ClientID) *Client {
	if r := accessRequest(ctx); r != nil {
		if c, ok := r.GetClient().(*Client); ok && c.row.ClientID == id {
			return c
		}
	}
	return &Client{row: store.OAuthClient{ClientID: id}, opts: &s.opts}
}

// caller is the client of the present request as the calls of package store want it. The library has authenticated it by then.
func caller(ctx context.Context) (id store.ClientID, method string) {
	r := accessRequest(ctx)
	if r == nil || r.GetClient() == nil {
		return "", ""
	}
	id, method = store.ClientID(r.GetClient().GetID()), "verified"
	if r.GetClient().IsPublic() {
		method = "none"
	}
	return id, method
}

// hasher has the database compare secrets, with the older ones of a client and their expiry: [store.Queries.AuthenticateClient].
type hasher struct{ s *Store }

var errNotAuthenticated = errors.New("the secret is not the client's")

// Compare implements fosite.Hasher. At the introspection endpoint it leaves the secret to the statement that looks at the token.
func (h hasher) Compare(ctx context.Context, hash, secret []byte) error {
	id, ours := strings.CutPrefix(string(hash), hashPrefix)
	if !ours {
		return errNotAuthenticated
	}
	c := &presentedSecret{s: h.s, client: store.ClientID(id), secret: token.DigestOf(string(secret))}
	if x := exchangeFrom(ctx); x != nil && x.introspects {
		x.unproven = c
		return nil
	}
	return c.prove(ctx)
}

// presentedSecret is a secret, and the client that presents it.
type presentedSecret struct {
	s      *Store
	client store.ClientID
	secret token.Digest
}

// secretMethod stands for all methods that present a secret. The library has compared the method with the registered one.
const secretMethod = "client_secret_basic"

// prove has a statement compare the secret that does nothing else.
func (c *presentedSecret) prove(ctx context.Context) error {
	outcome, err := c.s.queries.AuthenticateClient(ctx, store.AuthenticateClientParams{
		ClientID: c.client, ClientAuthMethod: secretMethod, ClientSecret: c.secret,
	})
	if err != nil {
		return c.s.fault(ctx, err)
	}
	if outcome != store.OutcomeAuthenticated {
		return &DecisionError{Call: oautherror.AuthenticateClient, Outcome: outcome}
	}
	return nil
}

// inquirer is who asks about a token: the client whose secret is still to be compared, or else the server itself. It is an error once the
// secret has turned out to be wrong: there is no need to ask again, as the library does for tokens of another kind.
func inquirer(ctx context.Context) (id store.ClientID, method string, secret token.Digest, err error) {
	switch x := exchangeFrom(ctx); {
	case x == nil || x.unproven == nil:
		return "", "server", "", nil
	default:
		return x.unproven.client, secretMethod, x.unproven.secret, x.nobody
	}
}

// answered takes what a statement has said to the client that asked: an error if its secret is wrong.
func answered(ctx context.Context, call oautherror.Call, outcome store.Outcome) error {
	x := exchangeFrom(ctx)
	switch {
	case x == nil || x.unproven == nil:
	case outcome == store.OutcomeUnauthenticated:
		x.nobody = fosite.ErrInvalidClient.WithWrap(&DecisionError{Call: call, Outcome: outcome})
		return x.nobody
	default:
		x.unproven = nil
	}
	return nil
}

// Hash implements fosite.Hasher: it is the digest that store.CreateClient takes.
func (h hasher) Hash(_ context.Context, secret []byte) ([]byte, error) {
	return []byte(token.DigestOf(string(secret))), nil
}

type asserterKey struct{}

// clientAuthentication is the library's, with its errors set right: a fault is no invalid_client, and no credentials, some of an unknown
// kind, or an expired assertion are (RFC 6749, section 5.2).
func (s *Store) clientAuthentication(config *fosite.Config) fosite.ClientAuthenticationStrategy {
	library := &fosite.Fosite{Store: s, Config: audiences{config}}
	return func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		ctx = context.WithValue(ctx, asserterKey{}, asserter(form.Get("client_assertion")))
		c, err := library.DefaultClientAuthenticationStrategy(ctx, r, form)
		switch {
		case err == nil:
		case errors.Is(err, ErrStore):
			err = fosite.ErrServerError.WithWrap(err)
		case errors.Is(err, fosite.ErrInvalidRequest), !errors.As(err, new(*fosite.RFC6749Error)): // an assertion that has expired is the latter
			err = fosite.ErrInvalidClient.WithHint(fosite.ErrorToRFC6749Error(err).HintField).WithWrap(err)
		}
		if x := exchangeFrom(ctx); x != nil {
			x.asked, x.nobody = true, err
		}
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// audiences lets a client name the issuer in its assertion as well as the token endpoint (RFC 7523, section 3).
type audiences struct{ *fosite.Config }

// GetTokenURLs implements fosite.TokenURLProvider.
func (a audiences) GetTokenURLs(ctx context.Context) []string {
	if a.IDTokenIssuer == "" {
		return a.Config.GetTokenURLs(ctx)
	}
	return append(a.Config.GetTokenURLs(ctx), a.IDTokenIssuer)
}

// asserter is the client that an assertion says it is of. The library verifies that before it is used.
func asserter(assertion string) store.ClientID {
	var claims jwt.Claims
	if parsed, err := jwt.ParseSigned(assertion); err != nil || parsed.UnsafeClaimsWithoutVerification(&claims) != nil {
		return ""
	}
	return store.ClientID(claims.Issuer)
}

// ClientAssertionJWTValid sends nothing: SetClientAssertionJWT decides.
func (s *Store) ClientAssertionJWTValid(context.Context, string) error { return nil }

// assertionMargin is for how much longer an assertion is accepted and remembered, for clocks that differ.
const assertionMargin = 5 * time.Minute

// SetClientAssertionJWT remembers an assertion, or refuses one that was presented before: [store.Queries.RememberClientAssertion]. The
// library doesn't say whose it is. By the authentication that [Store.Configure] sets it is known, so that clients may number theirs alike.
func (s *Store) SetClientAssertionJWT(ctx context.Context, jti string, exp time.Time) error {
	client, _ := ctx.Value(asserterKey{}).(store.ClientID)
	outcome, err := s.queries.RememberClientAssertion(ctx, store.RememberClientAssertionParams{
		ID: token.AssertionID(string(client), jti), ExpiresAt: exp.Unix(), ClientID: &client,
		MaxLifetime: s.opts.AssertionMaxAge + assertionMargin, ClockSkew: assertionMargin,
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	return refused(oautherror.Token, oautherror.RememberClientAssertion, outcome)
}
