package zitadel

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// CreateAccessToken issues an access token without a refresh token. For an authorization code it decides about the code:
// [store.Queries.RedeemAuthorizationCode]. For a client that acts for itself (client credentials, or an assertion of its own):
// [store.Queries.IssueAccessToken].
func (s *Storage) CreateAccessToken(ctx context.Context, request op.TokenRequest) (accessTokenID string, expiration time.Time, err error) {
	switch r := request.(type) {
	case *authRequest:
		id, _, expiration, err := s.redeem(ctx, r, false)
		return id, expiration, err
	case *machineRequest:
		return s.issue(ctx, r.client, r.scopes)
	case *oidc.JWTTokenRequest:
		return s.issue(ctx, r.Issuer, r.Scopes)
	default:
		return "", time.Time{}, oidc.ErrUnsupportedGrantType()
	}
}

// CreateAccessAndRefreshTokens decides about an authorization code ([store.Queries.RedeemAuthorizationCode]) or about the
// refresh token that was presented ([store.Queries.RotateRefreshToken]), and issues both tokens in the same statement.
func (s *Storage) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, currentRefreshToken string) (accessTokenID, newRefreshToken string, expiration time.Time, err error) {
	switch r := request.(type) {
	case *authRequest:
		return s.redeem(ctx, r, true)
	case *refreshRequest:
		return s.rotate(ctx, r, currentRefreshToken)
	default:
		return "", "", time.Time{}, oidc.ErrUnsupportedGrantType()
	}
}

// accessToken is one that is about to be issued.
type accessToken struct {
	id     store.AccessTokenID
	digest *token.Digest // nil: known by its id alone
	answer string        // what the library makes the token of: the token itself, or its id, as jti
}

// newAccessToken makes an opaque token of ours where the Provider's Crypto hands it out. A JWT is known by its id. So is the
// opaque token that the library makes by encrypting the id, when the Storage is served by an op.Provider of its own.
func (s *Storage) newAccessToken(ctx context.Context, clientID string) (accessToken, error) {
	t := accessToken{id: store.NewAccessTokenID()}
	t.answer = string(t.id)
	if exchangeFrom(ctx) == nil {
		return t, nil
	}
	c, err := s.client(ctx, clientID)
	if err != nil {
		return t, err
	}
	if c.AccessTokenType() != op.AccessTokenTypeJWT {
		raw := token.Mint(token.AccessToken)
		t.digest, t.answer = new(raw.Digest()), raw.Reveal()
	}
	return t, nil
}

func (s *Storage) redeem(ctx context.Context, r *authRequest, withRefreshToken bool) (accessTokenID, refreshToken string, expiration time.Time, err error) {
	if r.code == "" {
		return "", "", time.Time{}, unsupportedResponseType() // tokens from the authorization endpoint
	}
	access, err := s.newAccessToken(ctx, r.GetClientID())
	if err != nil {
		return "", "", time.Time{}, err
	}
	p := store.RedeemAuthorizationCodeParams{
		Code:                r.code,
		ClientID:            r.row.ClientID,
		RedirectURI:         r.row.RedirectURI,
		CodeChallenge:       r.row.CodeChallenge,
		AccessTokenID:       access.id,
		AccessToken:         access.digest,
		AccessTokenLifetime: &s.opts.AccessTokenLifetime,
		FamilyLifetime:      optionalLifetime(s.opts.FamilyLifetime),
	}
	if x := exchangeFrom(ctx); x != nil {
		// What the client presented, not what the library has compared it with.
		p.RedirectURI, p.CodeChallenge = optional(x.form("redirect_uri")), nil
		if verifier := x.form("code_verifier"); verifier != "" {
			p.CodeChallenge = new(token.S256(verifier))
		}
		if x.client != nil {
			p.ClientID = x.client.row.ClientID
		}
		// A code is good once: what the answer needs beside is fetched before, so that it is not lost for lack of that.
		if err := s.prepare(ctx, r); err != nil {
			return "", "", time.Time{}, err
		}
	}
	var refresh token.Raw
	if withRefreshToken {
		refresh = token.Mint(token.RefreshToken)
		p.RefreshTokenID = new(store.NewRefreshTokenID())
		p.RefreshToken, p.RefreshTokenLifetime = new(refresh.Digest()), &s.opts.RefreshTokenLifetime
	}
	row, err := s.store.RedeemAuthorizationCode(ctx, p)
	switch {
	case db.IsNotFound(err):
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	case err != nil:
		return "", "", time.Time{}, s.fault(ctx, err)
	}
	switch row.Outcome {
	case store.RedemptionOutcomeRedeemed:
	case store.RedemptionOutcomeReplayed:
		s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "authorization code replayed: its tokens are revoked",
			slog.String("authorization_id", string(row.AuthorizationID)), slog.String("client_id", r.GetClientID()))
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	case store.RedemptionOutcomeDisabled:
		return "", "", time.Time{}, unknownClient()
	default: // expired, mismatched, revoked
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	}
	r.row.GrantedScopes, r.row.UserID, r.row.SessionID = row.GrantedScopes, row.UserID, row.SessionID
	return access.answer, refresh.Reveal(), deref(row.AccessTokenExpiresAt), nil
}

// prepare fetches, and keeps for this HTTP request, what an ID token will be made of.
func (s *Storage) prepare(ctx context.Context, r *authRequest) error {
	if _, err := s.SigningKey(ctx); err != nil {
		return err
	}
	scopes := r.GetScopes()
	if !s.opts.UserinfoInIDToken {
		scopes = slices.DeleteFunc(slices.Clone(scopes), aboutUser)
	}
	if r.row.UserID == nil || !s.describes(scopes) {
		return nil
	}
	_, err := s.user(ctx, *r.row.UserID)
	return err
}

// refreshRequest is a refresh token, in whatever state it is, as the library sees it.
type refreshRequest struct {
	row      store.OAuthRefreshToken
	narrowed []string // scopes asked for now; nil: all
	skew     time.Duration
}

var _ op.RefreshTokenRequest = (*refreshRequest)(nil)

func (r *refreshRequest) GetAMR() []string      { return nil }
func (r *refreshRequest) GetAudience() []string { return audience(r.row.ClientID, r.row.Resources) }

func (r *refreshRequest) GetAuthTime() time.Time           { return authTime(r.row.AuthTime, r.skew) }
func (r *refreshRequest) GetClientID() string              { return string(r.row.ClientID) }
func (r *refreshRequest) GetSubject() string               { return string(r.row.UserID) }
func (r *refreshRequest) SetCurrentScopes(scopes []string) { r.narrowed = scopes }
func (r *refreshRequest) session() *store.SessionID        { return r.row.SessionID }

func (r *refreshRequest) about() (store.UserID, Subject) {
	return r.row.UserID, Subject{ClientID: r.row.ClientID, ReferenceID: r.row.ReferenceID}
}

func (r *refreshRequest) GetScopes() []string {
	if r.narrowed != nil {
		return r.narrowed
	}
	return r.row.Scopes
}

var errNoSuchToken = errors.New("no such token")

// TokenRequestByRefreshToken returns what a refresh token was granted, whatever its state; CreateAccessAndRefreshTokens decides.
// [store.Queries.FindRefreshTokenByToken].
func (s *Storage) TokenRequestByRefreshToken(ctx context.Context, refreshToken string) (op.RefreshTokenRequest, error) {
	presented, err := token.ParseForeign(token.RefreshToken, refreshToken)
	if err != nil {
		return nil, errNoSuchToken
	}
	row, err := s.store.FindRefreshTokenByToken(ctx, presented.Digest())
	switch {
	case db.IsNotFound(err):
		return nil, errNoSuchToken
	case err != nil:
		return nil, s.fault(ctx, err)
	}
	return &refreshRequest{row: row, skew: s.opts.ClockSkew}, nil
}

func (s *Storage) rotate(ctx context.Context, r *refreshRequest, presented string) (accessTokenID, refreshToken string, expiration time.Time, err error) {
	current, err := token.ParseForeign(token.RefreshToken, presented)
	if err != nil {
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	}
	access, err := s.newAccessToken(ctx, r.GetClientID())
	if err != nil {
		return "", "", time.Time{}, err
	}
	successor := s.successors.Successor(current)
	row, err := s.store.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
		Presented:            current.Digest(),
		ClientID:             r.row.ClientID,
		Scopes:               r.narrowed,
		Grace:                s.opts.Grace,
		SuccessorID:          store.NewRefreshTokenID(),
		Successor:            successor.Digest(),
		RefreshTokenLifetime: &s.opts.RefreshTokenLifetime,
		AccessTokenID:        access.id,
		AccessToken:          access.digest,
		AccessTokenLifetime:  &s.opts.AccessTokenLifetime,
		FamilyLifetime:       optionalLifetime(s.opts.FamilyLifetime),
	})
	switch {
	case db.IsNotFound(err):
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	case err != nil:
		return "", "", time.Time{}, s.fault(ctx, err)
	}
	switch row.Outcome {
	case store.RotationOutcomeRotated:
	case store.RotationOutcomeReplayed:
		// a retry: the successor that was written before, whichever of the keys it was derived with
		written, found := s.successors.Match(current, deref(row.Successor))
		if !found {
			return "", "", time.Time{}, oidc.ErrInvalidGrant()
		}
		successor = written
	case store.RotationOutcomeExceeded:
		return "", "", time.Time{}, oidc.ErrInvalidScope()
	case store.RotationOutcomeDisabled:
		return "", "", time.Time{}, unknownClient()
	case store.RotationOutcomeReused:
		s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "refresh token reused: its family is revoked",
			slog.String("authorization_id", string(deref(row.AuthorizationID))), slog.String("client_id", r.GetClientID()))
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	default: // expired, revoked, mismatched
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	}
	r.narrowed, r.row.AuthTime, r.row.SessionID = row.Scopes, row.AuthTime, row.SessionID
	return access.answer, successor.Reveal(), deref(row.AccessTokenExpiresAt), nil
}

// issue gives a client a token for itself.
func (s *Storage) issue(ctx context.Context, clientID string, scopes []string) (string, time.Time, error) {
	access, err := s.newAccessToken(ctx, clientID)
	if err != nil {
		return "", time.Time{}, err
	}
	if scopes == nil {
		scopes = []string{}
	}
	row, err := s.store.IssueAccessToken(ctx, store.IssueAccessTokenParams{
		ID: access.id, AccessToken: access.digest, ClientID: store.ClientID(clientID), Scopes: scopes, Lifetime: &s.opts.AccessTokenLifetime,
	})
	switch {
	case db.IsNotFound(err):
		return "", time.Time{}, unknownClient()
	case err != nil:
		return "", time.Time{}, s.fault(ctx, err)
	}
	switch row.Outcome {
	case store.IssuanceOutcomeIssued:
		return access.answer, deref(row.ExpiresAt), nil
	case store.IssuanceOutcomeExceeded:
		return "", time.Time{}, oidc.ErrInvalidScope()
	default: // disabled
		return "", time.Time{}, unknownClient()
	}
}

// digestMark stands before the digest of a token where the library passes on what it takes for a token's id.
const digestMark = "digest."

// digested is an opaque token, of either kind, as the library may carry it about.
func digested(presented string) string { return digestMark + string(token.DigestOf(presented)) }

// digestOf undoes digested; false: it is a token's id.
func digestOf(tokenID string) (token.Digest, bool) {
	marked, found := strings.CutPrefix(tokenID, digestMark)
	if !found {
		return "", false
	}
	digest, err := token.ParseDigest(marked)
	return digest, err == nil
}

// GetRefreshTokenInfo tells the library which token it is about to revoke; it sends nothing to the database, as RevokeToken
// finds tokens of either kind by their digest. What looks like the library's own, a JWT or an encrypted id, is left to it to
// read.
func (s *Storage) GetRefreshTokenInfo(_ context.Context, _, presented string) (userID, tokenID string, err error) {
	if strings.Contains(presented, ".") {
		return "", "", op.ErrInvalidRefreshToken
	}
	return "", digested(presented), nil
}

// RevokeToken revokes a token of the client's (RFC 7009, section 2.1): an opaque one of either kind by
// [store.Queries.RevokeToken], so that a refresh token ends its family; one that is known by its id by
// [store.Queries.RevokeAccessTokenByID]. A token that is unknown, another client's, or dead already is no error (section
// 2.2).
func (s *Storage) RevokeToken(ctx context.Context, tokenOrTokenID, userID, clientID string) *oidc.Error {
	if !storable(tokenOrTokenID, clientID) {
		return nil
	}
	client := store.ClientID(clientID)
	digest, isDigest := digestOf(tokenOrTokenID)
	var err error
	switch {
	case isDigest:
		_, err = s.store.RevokeToken(ctx, store.RevokeTokenParams{Token: digest, ClientID: client})
	case userID != "":
		// The library has taken the id out of a token that it could decrypt or verify.
		_, err = s.store.RevokeAccessTokenByID(ctx, store.RevokeAccessTokenByIDParams{ID: store.AccessTokenID(tokenOrTokenID), ClientID: client})
	default:
		// The library could make nothing of it and passes it on as it was presented.
		_, err = s.store.RevokeToken(ctx, store.RevokeTokenParams{Token: token.DigestOf(tokenOrTokenID), ClientID: client})
	}
	if err != nil && !db.IsNotFound(err) {
		return s.fault(ctx, err)
	}
	return nil
}

func optionalLifetime(d time.Duration) *time.Duration {
	if d == 0 {
		return nil
	}
	return &d
}
