package subject

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// NewGORM is the usual way with an object-relational mapper: read, decide in Go, write, in one transaction, on the tables of this
// project.
func NewGORM() Subject { return gormSubject{} }

type gormSubject struct{}

func (gormSubject) Name() string { return "gorm" }

func (gormSubject) Describe() string {
	return "gorm.io/gorm on pgx: read, decide in Go, write, in one transaction; a statement for each table"
}

func (gormSubject) Race(w Work) string { return raceUnlocked(w) }

// Supports is false for a retry: the design takes it for reuse, and ends the family.
func (gormSubject) Supports(w Work) bool { return w != Retry && slices.Contains(Works, w) }

func (gormSubject) Open(ctx context.Context, url string, conns int) (Session, error) {
	db, err := gorm.Open(postgres.Open(url), &gorm.Config{
		SkipDefaultTransaction: true, // as the documentation advises for speed; what writes here is in a transaction anyway
		// It advises PrepareStmt too. The driver keeps prepared statements by itself, and what GORM prepares within a transaction it
		// prepares again, and drops, in every later one: a refresh would take 19 round trips instead of 9.
		PrepareStmt: false,
		Logger:      logger.Discard,
	})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	open := make([]*sql.Conn, 0, conns)
	for range conns {
		var c *sql.Conn
		if c, err = pool.Conn(ctx); err != nil {
			break
		}
		open = append(open, c)
	}
	for _, c := range open {
		err = errors.Join(err, c.Close()) // to the pool
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %d connections: %w", conns, err), pool.Close())
	}
	return &gormSession{db: db, pool: pool}, nil
}

// Models of the columns that are read or written. GORM writes created_at and updated_at by itself.

type gormUser struct {
	ID    store.UserID `gorm:"primaryKey"`
	Email string
}

func (gormUser) TableName() string { return "user" }

type gormUserSession struct {
	ID store.SessionID `gorm:"primaryKey"`
}

func (gormUserSession) TableName() string { return "session" }

type gormClient struct {
	ID                               store.OAuthClientID `gorm:"primaryKey"`
	CreatedAt                        time.Time
	UpdatedAt                        time.Time
	ClientID                         store.ClientID
	ClientSecret                     *token.Digest
	Disabled                         bool
	SkipConsent                      *bool
	EnableEndSession                 *bool
	Scopes                           pq.StringArray `gorm:"type:text[]"`
	UserID                           *store.UserID
	Name                             *string
	URI                              *string
	Icon                             *string
	Contacts                         pq.StringArray `gorm:"type:text[]"`
	TOS                              *string        `gorm:"column:tos"`
	Policy                           *string
	SoftwareID                       *string
	SoftwareVersion                  *string
	SoftwareStatement                *string
	RedirectURIs                     pq.StringArray `gorm:"column:redirect_uris;type:text[]"`
	PostLogoutRedirectURIs           pq.StringArray `gorm:"column:post_logout_redirect_uris;type:text[]"`
	TokenEndpointAuthMethod          *string
	GrantTypes                       pq.StringArray `gorm:"type:text[]"`
	ResponseTypes                    pq.StringArray `gorm:"type:text[]"`
	Public                           *bool
	Type                             *string
	ReferenceID                      *store.ReferenceID
	Metadata                         []byte `gorm:"type:jsonb"`
	GrantsEpoch                      int64
	DeletedAt                        *time.Time
	ClientSecretExpiresAt            *time.Time
	ForeignSecretHash                *string
	RegistrationAccessToken          *token.Digest
	SubjectType                      *string
	SectorIdentifier                 *string
	RequirePKCE                      *bool   `gorm:"column:require_pkce"`
	AllowPlainPKCE                   *bool   `gorm:"column:allow_plain_pkce"`
	JWKS                             []byte  `gorm:"column:jwks;type:jsonb"`
	JWKSURI                          *string `gorm:"column:jwks_uri"`
	ApplicationType                  *string
	DefaultMaxAge                    *string // intervals, as text
	AccessTokenLifetime              *string
	RefreshTokenLifetime             *string
	AuthorizationLifetime            *string
	CodeLifetime                     *string
	RefreshGrace                     *string
	RefreshGraceUntilUsed            *bool
	RequirePAR                       *bool   `gorm:"column:require_pushed_authorization_requests"`
	DPoPBound                        *bool   `gorm:"column:dpop_bound_access_tokens"`
	CertificateBound                 *bool   `gorm:"column:tls_client_certificate_bound_access_tokens"`
	TLSClientAuthSubjectDN           *string `gorm:"column:tls_client_auth_subject_dn"`
	TLSClientAuthSANDNS              *string `gorm:"column:tls_client_auth_san_dns"`
	TLSClientAuthSANURI              *string `gorm:"column:tls_client_auth_san_uri"`
	TLSClientAuthSANIP               *string `gorm:"column:tls_client_auth_san_ip"`
	TLSClientAuthSANEmail            *string `gorm:"column:tls_client_auth_san_email"`
	BackchannelLogoutURI             *string
	BackchannelLogoutSessionRequired *bool
	ClientDiscoveryID                *string
	ClientCredentialsScopes          pq.StringArray `gorm:"type:text[]"`
}

func (gormClient) TableName() string { return "oauth_client" }

type gormAuthorization struct {
	ID            store.AuthorizationID `gorm:"primaryKey"`
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ClientID      store.ClientID
	RedirectURI   *string
	Scopes        pq.StringArray `gorm:"type:text[]"`
	CodeChallenge *string
	Resources     pq.StringArray `gorm:"type:text[]"`
	ExpiresAt     *time.Time
	UserID        *store.UserID
	SessionID     *store.SessionID
	ReferenceID   *store.ReferenceID
	GrantedScopes pq.StringArray `gorm:"type:text[]"`
	AuthTime      *time.Time
	ACR           *string        `gorm:"column:acr"`
	AMR           pq.StringArray `gorm:"column:amr;type:text[]"`
	Code          *token.Digest
	CodeExpiresAt *time.Time
	RedeemedAt    *time.Time
	MaxExpiresAt  *time.Time
	RevokedAt     *time.Time
	RevokedReason *store.RevocationReason
}

func (gormAuthorization) TableName() string { return "oauth_authorization" }

type gormRefreshToken struct {
	ID              store.RefreshTokenID `gorm:"primaryKey"`
	CreatedAt       time.Time
	UpdatedAt       time.Time
	Token           token.Digest
	ClientID        store.ClientID
	SessionID       *store.SessionID
	UserID          store.UserID
	ReferenceID     *store.ReferenceID
	ExpiresAt       *time.Time
	Revoked         *time.Time
	Scopes          pq.StringArray `gorm:"type:text[]"`
	AuthorizationID *store.AuthorizationID
	AuthTime        *time.Time
	Successor       *token.Digest
	SuccessorID     *store.RefreshTokenID
	Resources       pq.StringArray `gorm:"type:text[]"`
}

func (gormRefreshToken) TableName() string { return "oauth_refresh_token" }

type gormAccessToken struct {
	ID              store.AccessTokenID `gorm:"primaryKey"`
	CreatedAt       time.Time
	UpdatedAt       time.Time
	Token           *token.Digest
	ClientID        store.ClientID
	SessionID       *store.SessionID
	UserID          *store.UserID
	ReferenceID     *store.ReferenceID
	RefreshID       *store.RefreshTokenID
	ExpiresAt       *time.Time
	Scopes          pq.StringArray `gorm:"type:text[]"`
	AuthorizationID *store.AuthorizationID
	Revoked         *time.Time
	Resources       pq.StringArray `gorm:"type:text[]"`
}

func (gormAccessToken) TableName() string { return "oauth_access_token" }

type gormConsent struct {
	ID          store.ConsentID `gorm:"primaryKey"`
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ClientID    store.ClientID
	UserID      *store.UserID
	ReferenceID *store.ReferenceID
	Scopes      pq.StringArray `gorm:"type:text[]"`
}

func (gormConsent) TableName() string { return "oauth_consent" }

type gormSession struct {
	db   *gorm.DB
	pool *sql.DB
}

func (s *gormSession) Close() { s.pool.Close() }

func (s *gormSession) Do(ctx context.Context, w Work, c *Case) error {
	var err error
	db := s.db.WithContext(ctx)
	switch w {
	case IntrospectHit:
		err = gormIntrospect(db, c)
	case IntrospectMiss:
		err = wantError(gormIntrospect(db, c), errUnknown)
	case IntrospectExpired:
		err = wantError(gormIntrospect(db, c), errExpired)
	case Redeem:
		err = gormRedeem(db, c)
	case Rotate:
		err = gormRotate(db, c)
	case Revoke:
		err = gormRevoke(db, c)
	case Consent:
		err = gormFindConsent(db, c)
	case Client:
		err = gormFindClient(db, c)
	case EndSession:
		err = gormEndSession(db, c)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w, err)
	}
	return nil
}

// gormFound is found for GORM.
func gormFound(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return errUnknown
	}
	return err
}

func gormIntrospect(db *gorm.DB, c *Case) error {
	var t gormAccessToken
	err := db.Where("token = ?", c.Presented).Take(&t).Error
	switch {
	case err != nil:
		return gormFound(err)
	case t.Revoked != nil:
		return errRevoked
	case past(t.ExpiresAt, time.Now()):
		return errExpired
	}

	var client gormClient
	err = db.Where("client_id = ?", t.ClientID).Take(&client).Error
	switch {
	case err != nil:
		return gormFound(err)
	case client.Disabled:
		return errDisabled
	}

	if t.AuthorizationID != nil {
		var a gormAuthorization
		err = db.Where("id = ?", *t.AuthorizationID).Take(&a).Error
		switch {
		case err != nil:
			return gormFound(err)
		case a.RevokedAt != nil:
			return errRevoked
		}
	}

	if t.UserID != nil {
		var user gormUser
		if err := db.Where("id = ?", *t.UserID).Take(&user).Error; err != nil {
			return gormFound(err)
		}
	}
	if client.ClientID != c.ClientID {
		return errMismatched
	}
	return nil
}

func gormRedeem(db *gorm.DB, c *Case) error {
	var refused error // decided, and committed, rather than failed
	err := db.Transaction(func(tx *gorm.DB) error {
		var a gormAuthorization
		if err := tx.Where("code = ?", c.Presented).Take(&a).Error; err != nil {
			return gormFound(err)
		}
		var client gormClient
		if err := tx.Where("client_id = ?", c.ClientID).Take(&client).Error; err != nil {
			return gormFound(err)
		}
		now := time.Now()
		switch {
		case a.ClientID != c.ClientID,
			a.CodeChallenge == nil || *a.CodeChallenge != c.CodeChallenge,
			a.RedirectURI == nil || *a.RedirectURI != c.RedirectURI:
			return errMismatched
		case a.RedeemedAt != nil:
			refused = errSpent
			return gormRevokeFamily(tx, a.ID, store.RevocationReasonCodeReplayed, now)
		case a.RevokedAt != nil:
			return errRevoked
		case client.Disabled:
			return errDisabled
		case past(a.CodeExpiresAt, now):
			return errExpired
		}

		expires := now.Add(RefreshTokenLifetime)
		ends := now.Add(FamilyLifetime)
		err := tx.Model(&a).Select("RedeemedAt", "ExpiresAt", "MaxExpiresAt").Updates(gormAuthorization{
			RedeemedAt:   &now,
			MaxExpiresAt: &ends,
		}).Error
		if err != nil {
			return err
		}
		return gormIssue(tx, c, now, gormRefreshToken{
			ClientID:        a.ClientID,
			SessionID:       a.SessionID,
			UserID:          *a.UserID,
			ReferenceID:     a.ReferenceID,
			ExpiresAt:       &expires,
			Scopes:          a.GrantedScopes,
			AuthorizationID: &a.ID,
			AuthTime:        a.AuthTime,
			Resources:       a.Resources,
		})
	})
	if err != nil {
		return err
	}
	return refused
}

// gormIssue writes a refresh token that lacks but what the case has of it, and an access token.
func gormIssue(tx *gorm.DB, c *Case, now time.Time, r gormRefreshToken) error {
	r.ID, r.Token = c.RefreshTokenID, c.RefreshToken
	if err := tx.Create(&r).Error; err != nil {
		return err
	}
	expires := now.Add(AccessTokenLifetime)
	return tx.Create(&gormAccessToken{
		ID:              c.AccessTokenID,
		Token:           &c.AccessToken,
		ClientID:        r.ClientID,
		SessionID:       r.SessionID,
		UserID:          &r.UserID,
		ReferenceID:     r.ReferenceID,
		RefreshID:       &r.ID,
		ExpiresAt:       &expires,
		Scopes:          r.Scopes,
		AuthorizationID: r.AuthorizationID,
		Resources:       r.Resources,
	}).Error
}

func gormRevokeFamily(tx *gorm.DB, id store.AuthorizationID, reason store.RevocationReason, now time.Time) error {
	return tx.Model(&gormAuthorization{}).Where("id = ? AND revoked_at IS NULL", id).
		Updates(gormAuthorization{RevokedAt: &now, RevokedReason: &reason}).Error
}

func gormRotate(db *gorm.DB, c *Case) error {
	var refused error // decided, and committed, rather than failed
	err := db.Transaction(func(tx *gorm.DB) error {
		var r gormRefreshToken
		if err := tx.Where("token = ?", c.Presented).Take(&r).Error; err != nil {
			return gormFound(err)
		}
		var client gormClient
		if err := tx.Where("client_id = ?", c.ClientID).Take(&client).Error; err != nil {
			return gormFound(err)
		}
		var a gormAuthorization
		if err := tx.Where("id = ?", r.AuthorizationID).Take(&a).Error; err != nil {
			return gormFound(err)
		}
		now := time.Now()
		switch {
		case r.ClientID != c.ClientID:
			return errMismatched
		case a.RevokedAt != nil:
			return errRevoked
		case r.Revoked != nil:
			refused = errSpent
			return gormRevokeFamily(tx, a.ID, store.RevocationReasonRefreshTokenReused, now)
		case client.Disabled:
			return errDisabled
		case past(r.ExpiresAt, now):
			return errExpired
		}

		err := tx.Model(&r).Select("Revoked", "Successor", "SuccessorID").Updates(gormRefreshToken{
			Revoked:     &now,
			Successor:   &c.RefreshToken,
			SuccessorID: &c.RefreshTokenID,
		}).Error
		if err != nil {
			return err
		}
		expires := now.Add(RefreshTokenLifetime)
		if a.MaxExpiresAt != nil && a.MaxExpiresAt.Before(expires) {
			expires = *a.MaxExpiresAt
		}
		return gormIssue(tx, c, now, gormRefreshToken{
			ClientID:        r.ClientID,
			SessionID:       r.SessionID,
			UserID:          r.UserID,
			ReferenceID:     r.ReferenceID,
			ExpiresAt:       &expires,
			Scopes:          r.Scopes,
			AuthorizationID: r.AuthorizationID,
			AuthTime:        r.AuthTime,
			Resources:       r.Resources,
		})
	})
	if err != nil {
		return err
	}
	return refused
}

func gormRevoke(db *gorm.DB, c *Case) error {
	return db.Transaction(func(tx *gorm.DB) error {
		var r gormRefreshToken
		err := tx.Where("token = ?", c.Presented).Take(&r).Error
		switch {
		case err != nil:
			return gormFound(err)
		case r.ClientID != c.ClientID:
			return errMismatched
		}
		now, reason := time.Now(), store.RevocationReasonTokenRevoked
		result := tx.Model(&gormAuthorization{}).Where("id = ? AND revoked_at IS NULL", r.AuthorizationID).
			Updates(gormAuthorization{RevokedAt: &now, RevokedReason: &reason})
		if result.Error == nil && result.RowsAffected == 0 {
			return errRevoked
		}
		return result.Error
	})
}

func gormFindConsent(db *gorm.DB, c *Case) error {
	var o gormConsent
	err := db.Where("client_id = ? AND user_id = ? AND reference_id IS NULL", c.ClientID, c.UserID).Take(&o).Error
	if err != nil {
		return gormFound(err)
	}
	if o.ClientID != c.ClientID || len(o.Scopes) == 0 {
		return errMismatched
	}
	return nil
}

func gormFindClient(db *gorm.DB, c *Case) error {
	var o gormClient
	if err := db.Where("client_id = ?", c.ClientID).Take(&o).Error; err != nil {
		return gormFound(err)
	}
	if o.ClientID != c.ClientID {
		return errMismatched
	}
	return nil
}

func gormEndSession(db *gorm.DB, c *Case) error {
	var notify []store.ClientID // for back-channel logout
	var doomed []store.AuthorizationID
	err := db.Transaction(func(tx *gorm.DB) error {
		var granted []gormAuthorization
		if err := tx.Where("session_id = ?", c.SessionID).Find(&granted).Error; err != nil {
			return err
		}
		for _, a := range granted {
			scopes := a.GrantedScopes
			if scopes == nil {
				scopes = a.Scopes
			}
			notify = append(notify, a.ClientID)
			if a.RevokedAt == nil && !slices.Contains(scopes, offlineAccess) {
				doomed = append(doomed, a.ID)
			}
		}
		if len(doomed) > 0 {
			now, reason := time.Now(), store.RevocationReasonSessionEnded
			err := tx.Model(&gormAuthorization{}).Where("id IN ?", doomed).
				Updates(gormAuthorization{RevokedAt: &now, RevokedReason: &reason}).Error
			if err != nil {
				return err
			}
		}
		result := tx.Where("id = ?", c.SessionID).Delete(&gormUserSession{})
		if result.Error == nil && result.RowsAffected == 0 {
			return errUnknown
		}
		return result.Error
	})
	if err == nil && (len(notify) == 0 || len(doomed) == 0) {
		return errNothingEnded
	}
	return err
}
