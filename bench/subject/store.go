package subject

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Way is how a subject uses the store.
type Way struct {
	Rowless bool   // its access tokens have no row, and resource servers ask about the family
	Params  string // more of the connection string, from &
	Conns   int    // of the pool, whatever the number of workers is; 0 is one for each
}

// By is the store used in a way.
func By(w Way, name, describe string, works ...Work) Subject {
	return Subject{name, describe, works, func(ctx context.Context, url string, conns int) (Session, error) {
		if w.Conns > 0 {
			conns = w.Conns
		}
		pool, err := db.Open(ctx, url+w.Params, db.Options{MaxConns: int32(conns), MinConns: int32(conns)})
		if pool, err = filled(ctx, pool, err); err != nil {
			return nil, err
		}
		return &storeSession{pool, store.New(pool), w.Rowless}, nil
	}}
}

// What this repository is about; the same with access tokens that are JWTs; and with security events, of which a redemption and a rotation
// that go well are none.
var (
	Store   = By(Way{}, "store", "oauthdb: package store on a pool of package db")
	Rowless = By(Way{Rowless: true}, "store, no row", "the same, with access tokens that have no row; their introspection asks about the family",
		IntrospectHit, IntrospectBound, Redeem, Rotate)
	Events = By(Way{Params: "&options=-c%20oauthdb.events%3Don"}, "store, events", "the same, with oauthdb.events on", Redeem, Rotate, Revoke, EndSession)
)

type storeSession struct {
	pool    *pgxpool.Pool
	q       *store.Queries
	rowless bool
}

func (s *storeSession) Close() { s.pool.Close() }

// Who calls. The other subjects don't authenticate clients, so a step before has done it here.
const (
	authenticated = "verified"
	itself        = "server" // introspects
)

func (s *storeSession) Do(ctx context.Context, w Work, c *Case) error {
	switch w {
	case IntrospectHit, IntrospectBound:
		if s.rowless {
			row, err := s.q.IntrospectAuthorization(ctx, store.IntrospectAuthorizationParams{ID: c.AuthorizationID, ClientAuthMethod: itself})
			return expect(row.Outcome, store.OutcomeActive, err)
		}
		row, err := s.q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{Token: c.Presented, ClientAuthMethod: itself})
		if err = expect(row.Outcome, store.OutcomeActive, err); err == nil && *row.ClientID != c.ClientID {
			err = fmt.Errorf("the token is of client %q", *row.ClientID)
		}
		return err
	case IntrospectMiss:
		row, err := s.q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{Token: c.Presented, ClientAuthMethod: itself})
		return expect(row.Outcome, store.OutcomeInactive, err)
	case Redeem:
		row, err := s.q.RedeemAuthorizationCode(ctx, s.redeemParams(c))
		return expect(row.Outcome, store.OutcomeRedeemed, err)
	case Rotate:
		row, err := s.q.RotateRefreshToken(ctx, s.rotateParams(c))
		return expect(row.Outcome, store.OutcomeRotated, err)
	case Retry:
		row, err := s.q.RotateRefreshToken(ctx, s.rotateParams(c))
		return expect(row.Outcome, store.OutcomeRetried, err)
	case Revoke:
		row, err := s.q.RevokeToken(ctx, store.RevokeTokenParams{Token: c.Presented, ClientID: c.ClientID, ClientAuthMethod: authenticated})
		return expect(row.Outcome, store.OutcomeEnded, err)
	case Consent:
		_, err := s.q.FindConsent(ctx, store.FindConsentParams{ClientID: c.ClientID, UserID: c.UserID})
		return err
	case Client:
		_, err := s.q.GetClient(ctx, c.ClientID)
		return err
	case EndSession:
		row, err := s.q.EndSession(ctx, c.SessionID)
		return expect(row.Outcome, store.OutcomeEnded, err)
	}
	return ErrUnsupported
}

func expect[O comparable](got, want O, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("outcome %v instead of %v", got, want)
	}
	return err
}

func (s *storeSession) redeemParams(c *Case) store.RedeemAuthorizationCodeParams {
	return store.RedeemAuthorizationCodeParams{
		Code:             c.Presented,
		ClientID:         c.ClientID,
		ClientAuthMethod: authenticated,
		RedirectURI:      &c.RedirectURI,
		CodeChallenge:    &c.CodeChallenge,
		AccessTokenID:    c.AccessTokenID,
		AccessToken:      s.accessToken(c), AccessTokenWithoutRow: s.rowless,
		AccessTokenLifetime:  AccessTokenLifetime,
		RefreshTokenID:       &c.RefreshTokenID,
		RefreshToken:         &c.RefreshToken,
		RefreshTokenLifetime: RefreshTokenLifetime,
		FamilyLifetime:       FamilyLifetime,
	}
}

func (s *storeSession) rotateParams(c *Case) store.RotateRefreshTokenParams {
	return store.RotateRefreshTokenParams{
		Token:                c.Presented,
		ClientID:             c.ClientID,
		ClientAuthMethod:     authenticated,
		Grace:                Grace,
		SuccessorID:          c.RefreshTokenID,
		Successor:            c.RefreshToken,
		RefreshTokenLifetime: RefreshTokenLifetime,
		AccessTokenID:        c.AccessTokenID,
		AccessToken:          s.accessToken(c), AccessTokenWithoutRow: s.rowless,
		AccessTokenLifetime: AccessTokenLifetime,
	}
}

func (s *storeSession) accessToken(c *Case) *token.Digest {
	if s.rowless {
		return nil
	}
	return &c.AccessToken
}
