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
	"github.com/oauthdb/oauthdb/oautherror"
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
		return s.issue(ctx, r)
	case *oidc.JWTTokenRequest:
		return s.issue(ctx, &machineRequest{client: r.Issuer, scopes: r.Scopes})
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

// minted is what one request issues: made once and kept with it, so that the same call again, after an answer that was lost, carries
// the same ids and is known as a retry by them.
type minted struct {
	accessTokenID store.AccessTokenID // empty: nothing is made yet
	accessToken   *token.Digest       // nil: known by its id alone
	answer        string              // what the library makes the access token of: the token itself, or its id, as jti

	refreshTokenID store.RefreshTokenID
	refreshToken   token.Raw
}

// mint makes an opaque access token of ours where the Provider's Crypto hands it out. A JWT is known by its id. So is the opaque token
// that the library makes by encrypting the id, when the Storage is served by an op.Provider of its own.
func (s *Storage) mint(ctx context.Context, m *minted, clientID string) error {
	if m.accessTokenID != "" {
		return nil
	}
	made := minted{accessTokenID: store.NewAccessTokenID(), refreshTokenID: store.NewRefreshTokenID(), refreshToken: token.Mint(token.RefreshToken)}
	made.answer = string(made.accessTokenID)
	if exchangeFrom(ctx) != nil {
		opaque := s.opts.allOpaque
		if !opaque {
			c, err := s.client(ctx, clientID)
			if err != nil {
				return err
			}
			opaque = c.AccessTokenType() != op.AccessTokenTypeJWT
		}
		if opaque {
			raw := token.Mint(token.AccessToken)
			made.accessToken, made.answer = new(raw.Digest()), raw.Reveal()
		}
	}
	*m = made
	return nil
}

func (s *Storage) redeem(ctx context.Context, r *authRequest, withRefreshToken bool) (accessTokenID, refreshToken string, expiration time.Time, err error) {
	if r.code == "" {
		return "", "", time.Time{}, unsupportedResponseType() // tokens from the authorization endpoint
	}
	if err := s.mint(ctx, &r.minted, r.GetClientID()); err != nil {
		return "", "", time.Time{}, err
	}
	p := store.RedeemAuthorizationCodeParams{
		Code:                r.code,
		ClientID:            r.row.ClientID,
		RedirectURI:         r.row.RedirectURI,
		CodeChallenge:       r.row.CodeChallenge,
		AccessTokenID:       r.minted.accessTokenID,
		AccessToken:         r.minted.accessToken,
		AccessTokenLifetime: s.opts.AccessTokenLifetime,
		DefaultScopes:       s.opts.defaultScopes(),
	}
	by := callerOf(ctx, p.ClientID)
	p.ClientAuthMethod, p.ClientSecret = by.method, by.secret
	if withRefreshToken {
		p.RefreshTokenID, p.RefreshToken = &r.minted.refreshTokenID, new(r.minted.refreshToken.Digest())
		p.RefreshTokenLifetime, p.FamilyLifetime = s.opts.RefreshTokenLifetime, s.opts.familyLifetime()
		refreshToken = r.minted.refreshToken.Reveal()
	}
	row, err := s.store.RedeemAuthorizationCode(ctx, p)
	if err := s.granted(ctx, by, oautherror.RedeemAuthorizationCode, row.Outcome, err, row.AuthorizationID); err != nil {
		return "", "", time.Time{}, err
	}
	if row.RefreshTokenID == nil { // the client isn't registered for refresh_token
		refreshToken = ""
	}
	r.row.GrantedScopes, r.row.UserID, r.row.SessionID, r.sub = row.GrantedScopes, row.UserID, row.SessionID, row.Sub
	return r.minted.answer, refreshToken, deref(row.AccessTokenExpiresAt), nil
}

// granted is nil where tokens were issued, now or by the same call before.
func (s *Storage) granted(ctx context.Context, by caller, call oautherror.Call, outcome store.Outcome, err error, family *store.AuthorizationID) error {
	if err != nil {
		return s.fault(ctx, err)
	}
	judged(ctx, by, outcome)
	if outcome == store.OutcomeReplayed {
		what := "refresh token"
		switch call {
		case oautherror.RedeemAuthorizationCode:
			what = "authorization code"
		case oautherror.PollDeviceCode:
			what = "device code"
		}
		s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, what+" replayed: its family is ended",
			slog.String("authorization_id", string(deref(family))), slog.String("client_id", string(by.client)))
	}
	return refused(oautherror.Token, call, outcome)
}

// prepare fetches, and keeps for this HTTP request, what an ID token will be made of. What is said of a user who is gone is left to
// the decision.
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
	if _, err := s.user(ctx, *r.row.UserID); !errors.Is(err, errNotLive) {
		return err
	}
	return nil
}

// refreshRequest is a refresh token, in whatever state it is, as the library sees it.
type refreshRequest struct {
	row      store.OAuthRefreshToken
	sub      store.Subject // by which the client knows the user; the user's id until the token is rotated
	narrowed []string      // scopes asked for now; nil: all
	skew     time.Duration
	minted   minted
}

var _ op.RefreshTokenRequest = (*refreshRequest)(nil)

func (r *refreshRequest) GetAMR() []string      { return nil }
func (r *refreshRequest) GetAudience() []string { return audience(r.row.ClientID, r.row.Resources) }

func (r *refreshRequest) GetAuthTime() time.Time           { return authTime(r.row.AuthTime, r.skew) }
func (r *refreshRequest) GetClientID() string              { return string(r.row.ClientID) }
func (r *refreshRequest) GetSubject() string               { return string(r.sub) }
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
	return &refreshRequest{row: row, sub: store.Subject(row.UserID), skew: s.opts.ClockSkew}, nil
}

func (s *Storage) rotate(ctx context.Context, r *refreshRequest, presented string) (accessTokenID, refreshToken string, expiration time.Time, err error) {
	current, err := token.ParseForeign(token.RefreshToken, presented)
	if err != nil {
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	}
	if err := s.mint(ctx, &r.minted, r.GetClientID()); err != nil {
		return "", "", time.Time{}, err
	}
	by := callerOf(ctx, r.row.ClientID)
	successor := s.successors.Successor(current)
	row, err := s.store.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
		Token:                current.Digest(),
		ClientID:             by.client,
		ClientAuthMethod:     by.method,
		ClientSecret:         by.secret,
		Scopes:               r.narrowed,
		Grace:                s.opts.Grace,
		SuccessorID:          r.minted.refreshTokenID,
		Successor:            successor.Digest(),
		RefreshTokenLifetime: s.opts.RefreshTokenLifetime,
		AccessTokenID:        r.minted.accessTokenID,
		AccessToken:          r.minted.accessToken,
		AccessTokenLifetime:  s.opts.AccessTokenLifetime,
		DefaultScopes:        s.opts.defaultScopes(),
	})
	if err := s.granted(ctx, by, oautherror.RotateRefreshToken, row.Outcome, err, row.AuthorizationID); err != nil {
		return "", "", time.Time{}, err
	}
	r.sub = deref(row.Sub)
	// In a retry it is the successor that was written before, whichever of the keys it was derived with.
	successor, found := s.successors.Match(current, deref(row.Successor))
	if !found {
		return "", "", time.Time{}, oidc.ErrInvalidGrant()
	}
	r.narrowed, r.row.AuthTime, r.row.SessionID = row.Scopes, row.AuthTime, row.SessionID
	return r.minted.answer, successor.Reveal(), deref(row.AccessTokenExpiresAt), nil
}

// issue gives a client a token for itself.
func (s *Storage) issue(ctx context.Context, r *machineRequest) (string, time.Time, error) {
	if err := s.mint(ctx, &r.minted, r.client); err != nil {
		return "", time.Time{}, err
	}
	by := callerOf(ctx, store.ClientID(r.client))
	row, err := s.store.IssueAccessToken(ctx, store.IssueAccessTokenParams{
		ID: r.minted.accessTokenID, AccessToken: r.minted.accessToken, Scopes: r.scopes, DefaultScopes: s.opts.Scopes,
		Lifetime: s.opts.AccessTokenLifetime,
		ClientID: by.client, ClientAuthMethod: by.method, ClientSecret: by.secret,
	})
	if err := s.granted(ctx, by, oautherror.IssueAccessToken, row.Outcome, err, nil); err != nil {
		return "", time.Time{}, err
	}
	return r.minted.answer, deref(row.ExpiresAt), nil
}

// digestMark stands before the digest of a token where the library passes on what it takes for a token's id.
// accessMark follows it where the token says by its prefix that it is an access token.
const digestMark, accessMark = "digest.", "access."

// digested is an opaque token, of either kind, as the library may carry it about.
func digested(presented string) string {
	if kind, known := token.KindOf(presented); known && kind == token.AccessToken {
		return digestMark + accessMark + string(token.DigestOf(presented))
	}
	return digestMark + string(token.DigestOf(presented))
}

// isAccessToken says whether a digested token can be nothing else.
func isAccessToken(tokenID string) bool { return strings.HasPrefix(tokenID, digestMark+accessMark) }

// digestOf undoes digested; false: it is a token's id.
func digestOf(tokenID string) (token.Digest, bool) {
	marked, found := strings.CutPrefix(tokenID, digestMark)
	if !found {
		return "", false
	}
	digest, err := token.ParseDigest(strings.TrimPrefix(marked, accessMark))
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
	by := callerOf(ctx, store.ClientID(clientID))
	digest, isDigest := digestOf(tokenOrTokenID)
	if !isDigest && userID != "" {
		// The library has taken the id out of a token that it could decrypt or verify.
		row, err := s.store.RevokeAccessTokenByID(ctx, store.RevokeAccessTokenByIDParams{
			ID: store.AccessTokenID(tokenOrTokenID), ClientID: by.client, ClientAuthMethod: by.method, ClientSecret: by.secret,
		})
		return s.revoked(ctx, by, oautherror.RevokeAccessTokenByID, row.Outcome, err)
	}
	if !isDigest {
		digest = token.DigestOf(tokenOrTokenID) // the library could make nothing of it and passes it on as it was presented
	}
	row, err := s.store.RevokeToken(ctx, store.RevokeTokenParams{
		Token: digest, ClientID: by.client, ClientAuthMethod: by.method, ClientSecret: by.secret,
	})
	return s.revoked(ctx, by, oautherror.RevokeToken, row.Outcome, err)
}

// revoked is nil whatever became of the token, as long as the client was authenticated and the token can be revoked alone.
func (s *Storage) revoked(ctx context.Context, by caller, call oautherror.Call, outcome store.Outcome, err error) *oidc.Error {
	if err != nil {
		return s.fault(ctx, err)
	}
	judged(ctx, by, outcome)
	return refusal(oautherror.Revocation, call, outcome)
}
