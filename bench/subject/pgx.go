package subject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
)

// NewPgx is the same SQL called by hand: what sqlc, the typed identifiers and package db cost, or save.
func NewPgx() Subject { return pgxSubject{} }

type pgxSubject struct{}

func (pgxSubject) Name() string { return "pgx" }
func (pgxSubject) Describe() string {
	return "the same SQL in hand-written pgx, scanned into plain strings, on a pool of pgxpool"
}
func (pgxSubject) Race(Work) string   { return "" }
func (pgxSubject) Supports(Work) bool { return true }

func (pgxSubject) Open(ctx context.Context, url string, conns int) (Session, error) {
	pool, err := openPgx(ctx, url, conns)
	if err != nil {
		return nil, err
	}
	return &pgxSession{pool}, nil
}

// openPgx is pgxpool as it comes, but for its size.
func openPgx(ctx context.Context, url string, conns int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = int32(conns), int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := openAll(ctx, pool, conns); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

type pgxSession struct{ pool *pgxpool.Pool }

func (s *pgxSession) Close() { s.pool.Close() }

// Rows as one writes them without typed identifiers.
type (
	plainIntrospection struct {
		id, clientID                                               string
		userID, sessionID, referenceID, authorizationID, refreshID *string
		scopes, resources                                          []string
		confirmation                                               []byte
		issuedAt                                                   time.Time
		expiresAt, authTime                                        *time.Time
		acr                                                        *string
		amr                                                        []string
		username                                                   *string
	}
	plainGrant struct {
		outcome, authorizationID                string
		userID, sessionID, referenceID          *string
		successor, successorID                  *string
		scopes, resources                       []string
		nonce                                   *string
		claims                                  []byte
		authTime                                *time.Time
		acr                                     *string
		amr                                     []string
		accessTokenExpires, refreshTokenExpires *time.Time
	}
	plainConsent struct {
		id, clientID         string
		createdAt, updatedAt time.Time
		userID, referenceID  *string
		scopes               []string
	}
	plainClient struct {
		id, clientID                                                string
		createdAt, updatedAt                                        time.Time
		secret                                                      *string
		disabled                                                    bool
		skipConsent, enableEndSession                               *bool
		scopes                                                      []string
		userID, name, uri, icon                                     *string
		contacts                                                    []string
		tos, policy, softwareID, softwareVersion, softwareStatement *string
		redirectURIs, postLogoutRedirectURIs                        []string
		authMethod                                                  *string
		grantTypes, responseTypes                                   []string
		public                                                      *bool
		kind, referenceID                                           *string
		metadata                                                    []byte
		subjectType                                                 *string
		requirePKCE                                                 *bool
		jwks                                                        []byte
		jwksURI, applicationType, previousSecret                    *string
		previousSecretExpires, secretExpires                        *time.Time
		registrationToken                                           *string
	}
)

func (s *pgxSession) Do(ctx context.Context, w Work, c *Case) error {
	switch w {
	case IntrospectHit, IntrospectMiss, IntrospectExpired:
		var r plainIntrospection
		err := s.pool.QueryRow(ctx, store.IntrospectAccessToken, string(c.Presented)).Scan(
			&r.id, &r.clientID, &r.userID, &r.sessionID, &r.referenceID, &r.authorizationID, &r.refreshID, &r.scopes, &r.resources,
			&r.confirmation, &r.issuedAt, &r.expiresAt, &r.authTime, &r.acr, &r.amr, &r.username)
		switch {
		case w == IntrospectHit && err == nil && r.clientID != string(c.ClientID):
			return fmt.Errorf("the token is of client %q", r.clientID)
		case w == IntrospectHit:
			return err
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		}
		return fmt.Errorf("a row where there should be none, or %w", err)
	case Redeem:
		var r plainGrant
		err := s.pool.QueryRow(ctx, store.RedeemAuthorizationCode, string(c.Presented), string(c.RefreshToken), nil, nil,
			accessTokenLifetime, refreshTokenLifetime, string(c.ClientID), c.CodeChallenge, c.RedirectURI, string(c.RefreshTokenID),
			string(c.AccessTokenID), string(c.AccessToken)).Scan(
			&r.outcome, &r.authorizationID, &r.userID, &r.sessionID, &r.referenceID, &r.scopes, &r.resources, &r.nonce, &r.claims,
			&r.authTime, &r.acr, &r.amr, &r.accessTokenExpires, &r.refreshTokenExpires)
		return expect(r.outcome, "redeemed", err)
	case Rotate, Retry:
		var r plainGrant
		var authorizationID *string
		err := s.pool.QueryRow(ctx, store.RotateRefreshToken, string(c.Presented), string(c.ClientID), Grace, string(c.RefreshTokenID),
			accessTokenLifetime, refreshTokenLifetime, nil, nil, nil, string(c.RefreshToken), string(c.AccessTokenID), string(c.AccessToken),
			nil).Scan(
			&r.outcome, &authorizationID, &r.userID, &r.sessionID, &r.referenceID, &r.successor, &r.successorID, &r.scopes, &r.resources,
			&r.authTime, &r.accessTokenExpires, &r.refreshTokenExpires)
		if w == Rotate {
			return expect(r.outcome, "rotated", err)
		}
		return expect(r.outcome, "replayed", err)
	case Revoke:
		var kind, clientID string
		var accessTokenID, refreshTokenID, userID, authorizationID *string
		return s.pool.QueryRow(ctx, store.RevokeToken, string(c.Presented), string(c.ClientID)).Scan(
			&kind, &accessTokenID, &refreshTokenID, &clientID, &userID, &authorizationID)
	case Consent:
		var r plainConsent
		return s.pool.QueryRow(ctx, store.FindConsent, string(c.ClientID), string(c.UserID), nil).Scan(
			&r.id, &r.createdAt, &r.updatedAt, &r.clientID, &r.userID, &r.referenceID, &r.scopes)
	case Client:
		var r plainClient
		return s.pool.QueryRow(ctx, store.GetClient, string(c.ClientID)).Scan(
			&r.id, &r.createdAt, &r.updatedAt, &r.clientID, &r.secret, &r.disabled, &r.skipConsent, &r.enableEndSession, &r.scopes, &r.userID,
			&r.name, &r.uri, &r.icon, &r.contacts, &r.tos, &r.policy, &r.softwareID, &r.softwareVersion, &r.softwareStatement,
			&r.redirectURIs, &r.postLogoutRedirectURIs, &r.authMethod, &r.grantTypes, &r.responseTypes, &r.public, &r.kind, &r.referenceID,
			&r.metadata, &r.subjectType, &r.requirePKCE, &r.jwks, &r.jwksURI, &r.applicationType, &r.previousSecret,
			&r.previousSecretExpires, &r.secretExpires, &r.registrationToken)
	case EndSession:
		rows, err := s.pool.Query(ctx, store.EndSession, string(c.SessionID))
		if err != nil {
			return err
		}
		n, ended := 0, false
		var sessionID, userID string
		var clientID, authorizationID *string
		_, err = pgx.ForEachRow(rows, []any{&sessionID, &userID, &clientID, &authorizationID, &ended}, func() error {
			n++
			return nil
		})
		if err == nil && (n != 1 || !ended) {
			err = fmt.Errorf("%d clients to notify, or nothing revoked", n)
		}
		return err
	}
	return ErrUnsupported
}
