package fositedb

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v3/jwt"
	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// GetPublicKey returns a key of a trusted issuer, whoever the subject is: [store.Queries.FindTrustedIssuerByIssuer].
func (s *Store) GetPublicKey(ctx context.Context, issuer, subject, keyID string) (*jose.JSONWebKey, error) {
	set, err := s.GetPublicKeys(ctx, issuer, subject)
	if err != nil {
		return nil, err
	}
	for _, k := range set.Key(keyID) {
		if k.Valid() && (k.Use == "" || k.Use == "sig") {
			return &k, nil
		}
	}
	return nil, fosite.ErrNotFound
}

// GetPublicKeys returns the keys of a trusted issuer: [store.Queries.FindTrustedIssuerByIssuer].
func (s *Store) GetPublicKeys(ctx context.Context, issuer, _ string) (*jose.JSONWebKeySet, error) {
	row, err := s.queries.FindTrustedIssuerByIssuer(ctx, issuer)
	switch {
	case db.IsNotFound(err):
		return nil, fosite.ErrNotFound
	case err != nil:
		return nil, s.fault(ctx, err)
	case row.JWKS != nil:
		set := new(jose.JSONWebKeySet)
		if err := json.Unmarshal(row.JWKS, set); err != nil {
			return nil, fosite.ErrNotFound
		}
		return set, nil
	case row.JWKSURI != nil && s.opts.JWKS != nil:
		return s.opts.JWKS(ctx, *row.JWKSURI)
	default:
		return nil, fosite.ErrNotFound
	}
}

// GetPublicKeyScopes sends nothing and returns all scopes that are asked for: what the client may have, CreateAccessTokenSession decides.
func (s *Store) GetPublicKeyScopes(ctx context.Context, _, _, _ string) ([]string, error) {
	if r := accessRequest(ctx); r != nil {
		return r.GetRequestedScopes(), nil
	}
	return nil, nil
}

// IsJWTUsed sends nothing: CreateAccessTokenSession decides.
func (s *Store) IsJWTUsed(context.Context, string) (bool, error) { return false, nil }

// MarkJWTUsedForTime sends nothing: CreateAccessTokenSession remembers the assertion together with what is issued for it, so that one that
// is refused can be presented again.
func (s *Store) MarkJWTUsedForTime(context.Context, string, time.Time) error { return nil }

// issueByAssertion issues a token for an assertion whose signature the library has verified.
func (s *Store) issueByAssertion(ctx context.Context, signature string, request fosite.Requester) error {
	client, method := caller(ctx)
	if client == "" {
		return fosite.ErrInvalidClient // fosite.Config.GrantTypeJWTBearerCanSkipClientAuth isn't served
	}
	assertion, err := jwt.ParseSigned(presented(ctx).Get("assertion"))
	if err != nil || len(assertion.Headers) != 1 {
		return fosite.ErrInvalidGrant
	}
	var claims jwt.Claims
	var more struct {
		ClientID store.ClientID `json:"client_id"`
	}
	if err := assertion.UnsafeClaimsWithoutVerification(&claims, &more); err != nil {
		return fosite.ErrInvalidGrant
	}
	if claims.ID == "" || claims.Expiry == nil {
		return fosite.ErrInvalidGrant.WithHint("The assertion has no jti, or no exp.")
	}
	session := request.GetSession()
	data, err := keep(session, false)
	if err != nil {
		return fosite.ErrMisconfiguration.WithHint(err.Error())
	}
	p := store.IssueTokenByAssertionParams{
		ClientID: client, ClientAuthMethod: method, Issuer: claims.Issuer, Subject: claims.Subject, Audiences: claims.Audience,
		SigningAlgorithm: assertion.Headers[0].Algorithm, AssertionID: token.GrantAssertionID(claims.Issuer, claims.ID),
		AssertionExpiresAt: claims.Expiry.Time().Unix(), MaxLifetime: s.opts.AssertionMaxAge + assertionMargin, ClockSkew: assertionMargin,
		Scopes: request.GetGrantedScopes(), DefaultScopes: s.opts.Scopes, DefaultResources: s.opts.Audience,
		AccessTokenID: memoryOf(ctx).accessTokenID, AccessToken: new(digestOf(signature)),
		AccessTokenLifetime: lifetime(session, fosite.AccessToken), Data: data,
	}
	if more.ClientID != "" {
		p.AssertionClientID = &more.ClientID
	}
	if g, ok := session.(grantedIn); ok {
		if _, tenant := g.GrantedIn(); tenant != "" {
			p.ReferenceID = &tenant
		}
	}
	row, err := s.queries.IssueTokenByAssertion(ctx, p)
	if err != nil {
		return s.fault(ctx, err)
	}
	d := &DecisionError{Call: oautherror.IssueTokenByAssertion, Outcome: row.Outcome, replayedProof: row.ReplayedProof}
	if e := d.At(oautherror.Token); e != nil {
		return e
	}
	tell(ctx, p.AccessTokenLifetime, row.ExpiresAt, row.Sub, false)
	return nil
}
