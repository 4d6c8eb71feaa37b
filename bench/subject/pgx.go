package subject

import (
	"context"
	"fmt"
	"time"

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
		outcome                                                                       string
		id, clientID, userID, sub, sessionID, referenceID, authorizationID, refreshID *string
		scopes, resources                                                             []string
		details, confirmation, act                                                    []byte
		issuedAt, expiresAt, authTime                                                 *time.Time
		acr                                                                           *string
		amr                                                                           []string
		username                                                                      *string
		data                                                                          []byte
	}
	plainGrant struct {
		outcome                                              string
		authorizationID, userID, sub, sessionID, referenceID *string
		successor, successorID, refreshTokenID               *string
		scopes, resources                                    []string
		nonce                                                *string
		details, claims                                      []byte
		authTime                                             *time.Time
		acr                                                  *string
		amr                                                  []string
		accessTokenExpires, refreshTokenExpires              *time.Time
		idTokenAlg                                           *string
	}
	plainConsent struct {
		id, clientID         string
		createdAt, updatedAt time.Time
		userID, referenceID  *string
		scopes               []string
		resourceScopes       []byte
		heldFor, claims      []string
		userEpoch, pairEpoch int64
		details              []byte
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
		grantsEpoch                                                 int64
		deletedAt, secretExpires                                    *time.Time
		foreignSecret, registrationToken, subjectType, sector       *string
		requirePKCE, allowPlainPKCE                                 *bool
		jwks                                                        []byte
		jwksURI, applicationType                                    *string
		defaultMaxAge, accessToken, refreshToken, authorization     *time.Duration
		code, refreshGrace                                          *time.Duration
		graceUntilUsed, requirePAR, dpop, mtls                      *bool
		subjectDN, sanDNS, sanURI, sanIP, sanEmail, logoutURI       *string
		discoveryID                                                 *string
		credentialsScopes                                           []string
		logoutSession                                               *bool
		resources, detailsTypes                                     []string
		previousRegistrationToken, documentURI, documentETag        *string
		documentFetched, documentFresh, unusedSince, unusedChecked  *time.Time
		documentChanges                                             []string
	}
)

func (s *pgxSession) Do(ctx context.Context, w Work, c *Case) error {
	switch w {
	case IntrospectHit, IntrospectMiss, IntrospectExpired:
		var r plainIntrospection
		err := s.pool.QueryRow(ctx, store.SQL("IntrospectAccessToken"), itself, "", nil, string(c.Presented)).Scan(
			&r.outcome, &r.id, &r.clientID, &r.userID, &r.sub, &r.sessionID, &r.referenceID, &r.authorizationID, &r.refreshID, &r.scopes,
			&r.resources, &r.details, &r.confirmation, &r.act, &r.issuedAt, &r.expiresAt, &r.authTime, &r.acr, &r.amr, &r.username, &r.data)
		if w != IntrospectHit {
			return expect(r.outcome, "inactive", err)
		}
		if err = expect(r.outcome, "active", err); err == nil && *r.clientID != string(c.ClientID) {
			err = fmt.Errorf("the token is of client %q", *r.clientID)
		}
		return err
	case Redeem:
		var r plainGrant
		err := s.pool.QueryRow(ctx, store.SQL("RedeemAuthorizationCode"), string(c.ClientID), c.CodeChallenge, c.RedirectURI, nil, authenticated, nil,
			nil, nil, string(c.Presented), false, string(c.RefreshToken), nil, nil, nil, AccessTokenLifetime, RefreshTokenLifetime, FamilyLifetime,
			string(c.AccessTokenID), nil, nil, nil, string(c.RefreshTokenID), false, string(c.AccessToken), nil).Scan(
			&r.outcome, &r.authorizationID, &r.userID, &r.sub, &r.sessionID, &r.referenceID, &r.scopes, &r.resources, &r.details, &r.nonce,
			&r.claims, &r.authTime, &r.acr, &r.amr, &r.refreshTokenID, &r.accessTokenExpires, &r.refreshTokenExpires, &r.idTokenAlg)
		return expect(r.outcome, "redeemed", err)
	case Rotate, Retry:
		var r plainGrant
		err := s.pool.QueryRow(ctx, store.SQL("RotateRefreshToken"), string(c.ClientID), nil, Grace, false, nil, nil, nil, nil, nil, authenticated, nil,
			nil, nil, string(c.Presented), nil, nil, string(c.RefreshTokenID), string(c.RefreshToken), AccessTokenLifetime, RefreshTokenLifetime,
			nil, false, string(c.AccessToken), string(c.AccessTokenID)).Scan(
			&r.outcome, &r.authorizationID, &r.userID, &r.sub, &r.sessionID, &r.referenceID, &r.successor, &r.successorID, &r.scopes,
			&r.resources, &r.details, &r.authTime, &r.acr, &r.amr, &r.accessTokenExpires, &r.refreshTokenExpires, &r.idTokenAlg)
		if w == Rotate {
			return expect(r.outcome, "rotated", err)
		}
		return expect(r.outcome, "retried", err)
	case Revoke:
		var outcome string
		var kind, authorizationID, accessTokenID *string
		err := s.pool.QueryRow(ctx, store.SQL("RevokeToken"), string(c.ClientID), nil, authenticated, nil, string(c.Presented)).Scan(
			&outcome, &kind, &authorizationID, &accessTokenID)
		return expect(outcome, "ended", err)
	case Consent:
		var r plainConsent
		return s.pool.QueryRow(ctx, store.SQL("FindConsent"), string(c.ClientID), string(c.UserID), nil).Scan(
			&r.id, &r.createdAt, &r.updatedAt, &r.clientID, &r.userID, &r.referenceID, &r.scopes, &r.resourceScopes,
			&r.userEpoch, &r.pairEpoch, &r.heldFor, &r.claims, &r.details)
	case Client:
		var r plainClient
		return s.pool.QueryRow(ctx, store.SQL("GetClient"), string(c.ClientID)).Scan(
			&r.id, &r.createdAt, &r.updatedAt, &r.clientID, &r.secret, &r.disabled, &r.skipConsent, &r.enableEndSession, &r.scopes, &r.userID,
			&r.name, &r.uri, &r.icon, &r.contacts, &r.tos, &r.policy, &r.softwareID, &r.softwareVersion, &r.softwareStatement,
			&r.redirectURIs, &r.postLogoutRedirectURIs, &r.authMethod, &r.grantTypes, &r.responseTypes, &r.public, &r.kind, &r.referenceID,
			&r.metadata, &r.grantsEpoch, &r.deletedAt, &r.secretExpires, &r.foreignSecret, &r.registrationToken, &r.subjectType, &r.sector,
			&r.requirePKCE, &r.allowPlainPKCE, &r.jwks, &r.jwksURI, &r.applicationType, &r.defaultMaxAge, &r.accessToken, &r.refreshToken,
			&r.authorization, &r.code, &r.refreshGrace, &r.graceUntilUsed, &r.requirePAR, &r.dpop, &r.mtls, &r.subjectDN, &r.sanDNS,
			&r.sanURI, &r.sanIP, &r.sanEmail, &r.logoutURI, &r.logoutSession, &r.discoveryID,
			&r.credentialsScopes, &r.resources, &r.detailsTypes, &r.previousRegistrationToken, &r.documentURI, &r.documentETag,
			&r.documentFetched, &r.documentFresh, &r.documentChanges, &r.unusedSince, &r.unusedChecked)
	case EndSession:
		var outcome string
		var userID *string
		err := s.pool.QueryRow(ctx, store.SQL("EndSession"), string(c.SessionID)).Scan(&outcome, &userID)
		return expect(outcome, "ended", err)
	}
	return ErrUnsupported
}
