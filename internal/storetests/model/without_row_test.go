package model

import (
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// withoutRowFor is a lifetime for a token without a row, which has to end.
func withoutRowFor(d time.Duration) time.Duration {
	if d == store.Never {
		return 5 * time.Minute
	}
	return d
}

func redeemedWithoutRow(p *redemption) { p.AccessTokenWithoutRow, p.AccessToken = true, nil }

func rotatedWithoutRow(p *rotation) { p.AccessTokenWithoutRow, p.AccessToken = true, nil }

// accessTokensWithoutARow goes through what keeps a family for as long as such tokens last, and what ends them.
func accessTokensWithoutARow(s *stage) {
	s.grant()
	s.redeem(redeemedWithoutRow)
	s.redeemAgain()
	s.introspect("c1", "t1")
	s.revoke("c1", "t1")
	s.rotate("r1", rotatedWithoutRow)
	s.rotateAgain()
	s.rotate("r1", rotatedWithoutRow, func(p *rotation) { p.AccessTokenLifetime = time.Hour }) // another call
	s.revokeLatest()

	s.grant()
	s.redeem(redeemedWithoutRow, withoutRefreshToken)
	s.redeemAgain()
	s.direct(func(p *store.IssueGrantParams) { p.AccessTokenWithoutRow, p.AccessToken = true, nil })
	s.direct(func(p *store.IssueGrantParams) {
		p.AccessTokenWithoutRow, p.AccessToken, p.RefreshTokenID, p.RefreshToken = true, nil, nil, nil
	})
	s.directAgain()
	s.list()
	s.collect(0, "MarkDeadAuthorizations", "DeleteExpiredAuthorizations", "DeleteEndedAuthorizations")
	s.pass(time.Minute)
	s.list()
	s.collect(0, "DeleteExpiredAuthorizations")
}

// accessTokensThatOutliveTheirRefreshToken goes through refresh tokens that are kept, though they have expired or are spent.
func accessTokensThatOutliveTheirRefreshToken(s *stage) {
	brief := func(p *redemption) { p.RefreshTokenLifetime = 5 * time.Second }
	s.grant()
	s.redeem(redeemedWithoutRow, brief)
	s.grant()
	s.redeem(redeemedWithoutRow, func(p *redemption) { p.RefreshTokenLifetime = store.Never })
	s.rotate("r2", rotatedWithoutRow, func(p *rotation) { p.RefreshTokenLifetime, p.AccessTokenLifetime = 5*time.Second, 10*time.Second })
	s.grant()
	s.redeem(brief, func(p *redemption) { p.AccessTokenLifetime = 5 * time.Second })
	s.rotate("r4", func(p *rotation) { p.AccessTokenLifetime = 5 * time.Second })
	s.rotate("r4", rotatedWithoutRow) // another call: r4 is kept for its token
	s.pass(5 * time.Second)
	s.collect(0, "DeleteExpiredAccessTokens", "DeleteExpiredRefreshTokens", "DeleteSpentRefreshTokens", "MarkDeadAuthorizations")
	s.list()
	s.pass(5 * time.Second)
	s.collect(0, "DeleteExpiredRefreshTokens", "DeleteSpentRefreshTokens", "MarkDeadAuthorizations")
	s.list()
	s.pass(50 * time.Second)
	s.collect(0, "DeleteExpiredRefreshTokens", "DeleteSpentRefreshTokens", "MarkDeadAuthorizations", "DeleteEndedAuthorizations")
}
