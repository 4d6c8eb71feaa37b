package subject

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// NewStore is what this repository is about.
func NewStore() Subject { return storeSubject{} }

type storeSubject struct{}

func (storeSubject) Name() string       { return "store" }
func (storeSubject) Describe() string   { return "oauthdb: package store on a pool of package db" }
func (storeSubject) Race(Work) string   { return "" }
func (storeSubject) Supports(Work) bool { return true }

func (storeSubject) Open(ctx context.Context, url string, conns int) (Session, error) {
	pool, err := db.Open(ctx, url, db.Options{MaxConns: int32(conns), MinConns: int32(conns)})
	if err != nil {
		return nil, err
	}
	if err := openAll(ctx, pool, conns); err != nil {
		pool.Close()
		return nil, err
	}
	return &storeSession{pool, store.New(pool)}, nil
}

// openAll makes the pool open all its connections, so that none is opened while the clock runs.
func openAll(ctx context.Context, pool *pgxpool.Pool, conns int) error {
	held := make([]*pgxpool.Conn, 0, conns)
	defer func() {
		for _, c := range held {
			c.Release()
		}
	}()
	for range conns {
		c, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		held = append(held, c)
	}
	return nil
}

type storeSession struct {
	pool *pgxpool.Pool
	q    *store.Queries
}

func (s *storeSession) Close() { s.pool.Close() }

// Who calls. The other subjects don't authenticate clients, so a step before has done it here.
const (
	authenticated = "verified"
	itself        = "server" // introspects
)

func (s *storeSession) Do(ctx context.Context, w Work, c *Case) error {
	switch w {
	case IntrospectHit:
		row, err := s.q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{Token: c.Presented, ClientAuthMethod: itself})
		if err = expect(row.Outcome, store.OutcomeActive, err); err == nil && *row.ClientID != c.ClientID {
			err = fmt.Errorf("the token is of client %q", *row.ClientID)
		}
		return err
	case IntrospectMiss, IntrospectExpired:
		row, err := s.q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{Token: c.Presented, ClientAuthMethod: itself})
		return expect(row.Outcome, store.OutcomeInactive, err)
	case Redeem:
		row, err := s.q.RedeemAuthorizationCode(ctx, redeemParams(c))
		return expect(row.Outcome, store.OutcomeRedeemed, err)
	case Rotate:
		row, err := s.q.RotateRefreshToken(ctx, rotateParams(c))
		return expect(row.Outcome, store.OutcomeRotated, err)
	case Retry:
		row, err := s.q.RotateRefreshToken(ctx, rotateParams(c))
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

func redeemParams(c *Case) store.RedeemAuthorizationCodeParams {
	return store.RedeemAuthorizationCodeParams{
		Code:                 c.Presented,
		ClientID:             c.ClientID,
		ClientAuthMethod:     authenticated,
		RedirectURI:          &c.RedirectURI,
		CodeChallenge:        &c.CodeChallenge,
		AccessTokenID:        c.AccessTokenID,
		AccessToken:          &c.AccessToken,
		AccessTokenLifetime:  AccessTokenLifetime,
		RefreshTokenID:       &c.RefreshTokenID,
		RefreshToken:         &c.RefreshToken,
		RefreshTokenLifetime: RefreshTokenLifetime,
		FamilyLifetime:       FamilyLifetime,
	}
}

func rotateParams(c *Case) store.RotateRefreshTokenParams {
	return store.RotateRefreshTokenParams{
		Token:                c.Presented,
		ClientID:             c.ClientID,
		ClientAuthMethod:     authenticated,
		Grace:                Grace,
		SuccessorID:          c.RefreshTokenID,
		Successor:            c.RefreshToken,
		RefreshTokenLifetime: RefreshTokenLifetime,
		AccessTokenID:        c.AccessTokenID,
		AccessToken:          &c.AccessToken,
		AccessTokenLifetime:  AccessTokenLifetime,
	}
}
