package fositedb

import (
	"context"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"

	"github.com/oauthdb/oauthdb/token"
)

// Strategy makes the tokens and codes of package token. Other servers on the same tables can introspect, refresh and revoke them, and this
// one theirs. With Options.SuccessorKeys, retries of a refresh converge on one token.
type Strategy struct {
	successors *token.Successors
	foreign    oauth2.CoreStrategy
}

var _ oauth2.CoreStrategy = (*Strategy)(nil)

// Strategy returns the strategy for compose.CommonStrategy.CoreStrategy.
func (s *Store) Strategy() *Strategy {
	return &Strategy{successors: s.successors, foreign: s.opts.Foreign}
}

// isForeign says whether a token is one that the library's own strategy makes.
func (s *Strategy) isForeign(presented string) bool {
	return s.foreign != nil && strings.Contains(presented, ".")
}

// AccessTokenSignature implements oauth2.AccessTokenStrategy: it is the token's digest.
func (s *Strategy) AccessTokenSignature(ctx context.Context, presented string) string {
	if s.isForeign(presented) {
		return s.foreign.AccessTokenSignature(ctx, presented)
	}
	return string(token.DigestOf(presented))
}

// RefreshTokenSignature implements oauth2.RefreshTokenStrategy.
func (s *Strategy) RefreshTokenSignature(ctx context.Context, presented string) string {
	if s.isForeign(presented) {
		return s.foreign.RefreshTokenSignature(ctx, presented)
	}
	return string(token.DigestOf(presented))
}

// AuthorizeCodeSignature implements oauth2.AuthorizeCodeStrategy.
func (s *Strategy) AuthorizeCodeSignature(ctx context.Context, presented string) string {
	if s.isForeign(presented) {
		return s.foreign.AuthorizeCodeSignature(ctx, presented)
	}
	return string(token.DigestOf(presented))
}

func mint(kind token.Kind) (text, signature string, err error) {
	raw := token.Mint(kind)
	return raw.Reveal(), string(raw.Digest()), nil
}

// GenerateAccessToken implements oauth2.AccessTokenStrategy.
func (s *Strategy) GenerateAccessToken(context.Context, fosite.Requester) (text, signature string, err error) {
	return mint(token.AccessToken)
}

// GenerateAuthorizeCode implements oauth2.AuthorizeCodeStrategy.
func (s *Strategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (text, signature string, err error) {
	return mint(token.AuthorizationCode)
}

// GenerateRefreshToken implements oauth2.RefreshTokenStrategy. In a refresh it derives the successor of the token that was presented: of
// one that is spent, the successor that it has.
func (s *Strategy) GenerateRefreshToken(ctx context.Context, _ fosite.Requester) (text, signature string, err error) {
	r := accessRequest(ctx)
	if s.successors == nil || r == nil || !r.GetGrantTypes().ExactOne("refresh_token") {
		return mint(token.RefreshToken)
	}
	presented, err := token.ParseForeign(token.RefreshToken, r.GetRequestForm().Get("refresh_token"))
	if err != nil {
		return "", "", fosite.ErrInvalidGrant
	}
	successor := s.successors.Successor(presented)
	if stored := memoryOf(ctx).successor; stored != nil {
		if match, found := s.successors.Match(presented, *stored); found {
			successor = match
		}
	}
	return successor.Reveal(), string(successor.Digest()), nil
}

// ValidateAccessToken implements oauth2.AccessTokenStrategy. Whoever presents the token has proven to have it by its digest.
func (s *Strategy) ValidateAccessToken(ctx context.Context, r fosite.Requester, presented string) error {
	if s.isForeign(presented) {
		return s.foreign.ValidateAccessToken(ctx, r, presented)
	}
	return notExpired(r, fosite.AccessToken)
}

// ValidateRefreshToken implements oauth2.RefreshTokenStrategy.
func (s *Strategy) ValidateRefreshToken(ctx context.Context, r fosite.Requester, presented string) error {
	if s.isForeign(presented) {
		return s.foreign.ValidateRefreshToken(ctx, r, presented)
	}
	return notExpired(r, fosite.RefreshToken)
}

// ValidateAuthorizeCode implements oauth2.AuthorizeCodeStrategy.
func (s *Strategy) ValidateAuthorizeCode(ctx context.Context, r fosite.Requester, presented string) error {
	if s.isForeign(presented) {
		return s.foreign.ValidateAuthorizeCode(ctx, r, presented)
	}
	return notExpired(r, fosite.AuthorizeCode)
}

// notExpired is what the library's strategies say of the time. The database decides by its own clock.
func notExpired(r fosite.Requester, of fosite.TokenType) error {
	if end := r.GetSession().GetExpiresAt(of); !end.IsZero() && end.Before(time.Now()) {
		return fosite.ErrTokenExpired
	}
	return nil
}
