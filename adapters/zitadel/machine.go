package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// machineRequest is that of a client which acts for itself (RFC 6749, section 4.4).
type machineRequest struct {
	client       string
	scopes       []string
	resources    []string
	confirmation *token.Confirmation
	minted       minted
}

var _ op.TokenRequest = (*machineRequest)(nil)

func (r *machineRequest) GetSubject() string { return r.client }
func (r *machineRequest) GetAudience() []string {
	return audience(store.ClientID(r.client), r.resources)
}
func (r *machineRequest) GetScopes() []string { return r.scopes }

func (r *machineRequest) boundTo() *token.Confirmation { return r.confirmation }

// ClientCredentials returns a client that has a secret, and authenticates it as [Storage.AuthorizeClientIDSecret] does:
// [store.Queries.GetClient], [store.Queries.AuthenticateClient].
func (s *Storage) ClientCredentials(ctx context.Context, clientID, clientSecret string) (op.Client, error) {
	c, err := s.client(ctx, clientID)
	if err != nil {
		return nil, err
	}
	if err := s.AuthorizeClientIDSecret(ctx, clientID, clientSecret); err != nil {
		return nil, err
	}
	return c, nil
}

// ClientCredentialsTokenRequest settles the scopes of a client that acts for itself: all that it may have, if it names none
// (RFC 6749, section 3.3). Whether it may have those that it names, [store.Queries.IssueAccessToken] decides.
func (s *Storage) ClientCredentialsTokenRequest(ctx context.Context, clientID string, scopes []string) (op.TokenRequest, error) {
	c, err := s.client(ctx, clientID)
	if err != nil {
		return nil, err
	}
	scopes, err = c.machineScopes(scopes)
	if err != nil {
		return nil, err
	}
	return &machineRequest{client: clientID, scopes: scopes}, nil
}

// machineScopes are those asked for. Scopes about a user are nobody's who acts for themselves; of the others the store decides.
func (c *client) machineScopes(asked []string) ([]string, error) {
	if len(asked) == 0 {
		return c.ownScopes(), nil
	}
	if !storable(asked...) || slices.ContainsFunc(asked, aboutUser) {
		return nil, oidc.ErrInvalidScope()
	}
	return asked, nil
}

// ValidateJWTProfileScopes settles the scopes of a client that presents an assertion as its authorization grant (RFC 7523,
// section 2.1), like ClientCredentialsTokenRequest, and refuses a client that did not register the grant type:
// [store.Queries.GetClient]. The client needs client_credentials beside it, as [store.Queries.IssueAccessToken] issues by that.
func (s *Storage) ValidateJWTProfileScopes(ctx context.Context, clientID string, scopes []string) ([]string, error) {
	c, err := s.client(ctx, clientID)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(c.GrantTypes(), oidc.GrantTypeBearer) {
		return nil, oidc.ErrUnauthorizedClient()
	}
	return c.machineScopes(scopes)
}

// JWTProfileTokenType says whether such a client gets a JWT.
func (s *Storage) JWTProfileTokenType(ctx context.Context, request op.TokenRequest) (op.AccessTokenType, error) {
	c, err := s.client(ctx, request.GetSubject())
	if err != nil {
		return op.AccessTokenTypeBearer, err
	}
	return c.AccessTokenType(), nil
}

const (
	assertionMaxAge = time.Hour   // from iat, as the library has it
	assertionSkew   = time.Second // likewise, by which it expires sooner
	// assertionAhead is for how far ahead of ours a client's clock may be, which then says so in iat and nbf (FAPI 2.0 Security Profile,
	// section 5.3.2.1: 10 seconds at least, less than 60).
	assertionAhead = 30 * time.Second
	// assertionMargin is for how much longer an assertion is remembered than any server accepts it, for clocks that differ.
	assertionMargin = 5 * time.Minute
)

// JWTProfileVerifier verifies client assertions and assertions that are authorization grants (RFC 7523), each of which is
// good once.
func (p *Provider) JWTProfileVerifier(ctx context.Context) *op.JWTProfileVerifier {
	return op.NewJWTProfileVerifierKeySet(assertionKeySet{p.storage}, op.IssuerFromContext(ctx), assertionMaxAge, assertionSkew)
}

// assertionKeySet verifies an assertion's signature, which the library does last, and then remembers the assertion: what
// gets here has been checked in every other way.
type assertionKeySet struct{ storage *Storage }

// VerifySignature implements oidc.KeySet.
func (k assertionKeySet) VerifySignature(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	var claims oidc.JWTTokenRequest
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return nil, err
	}
	// An assertion that authenticates a client fails as invalid_client (RFC 6749, section 5.2), as a grant as invalid_grant.
	refuse := func(why string) error {
		if x := exchangeFrom(ctx); x != nil && x.form("grant_type") == string(oidc.GrantTypeBearer) {
			return oidc.ErrInvalidGrant().WithDescription("%s", why)
		}
		return oidc.ErrInvalidClient().WithDescription("%s", why)
	}
	c, err := k.storage.client(ctx, claims.Issuer)
	if err != nil {
		return nil, err
	}
	if c.AuthMethod() != oidc.AuthMethodPrivateKeyJWT {
		return nil, refuse("the client doesn't authenticate by assertions")
	}
	keyID, alg := oidc.GetKeyIDAndAlg(jws)
	key, err := c.key(ctx, keyID)
	if err != nil {
		return nil, refuse(err.Error())
	}
	for _, only := range []string{key.Algorithm, c.assertionAlg()} {
		if only != "" && only != alg {
			return nil, refuse("the client's assertions are signed by " + only)
		}
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, refuse("wrong signature of the assertion")
	}
	if claims.JWTID == "" { // OpenID Connect Core 1.0, section 9 requires it
		return nil, refuse("the assertion has no jti")
	}
	until := claims.ExpiresAt.AsTime().Unix()
	if claims.IssuedAt != 0 {
		until = min(until, claims.IssuedAt.AsTime().Add(assertionMaxAge).Unix())
	}
	outcome, err := k.storage.store.RememberClientAssertion(ctx, store.RememberClientAssertionParams{
		ID: token.AssertionID(claims.Issuer, claims.JWTID), ExpiresAt: until,
		MaxLifetime: assertionMaxAge + assertionMargin, ClockSkew: assertionMargin,
	})
	if err != nil {
		return nil, k.storage.fault(ctx, err)
	}
	if outcome != store.OutcomeRemembered {
		return nil, refuse(fmt.Sprintf("the assertion is not accepted: %s", outcome))
	}
	if x := exchangeFrom(ctx); x != nil {
		x.caller = caller{client: c.row.ClientID, method: methodKey}
	}
	return payload, nil
}

var errNotLive = errors.New("the token is not live")
