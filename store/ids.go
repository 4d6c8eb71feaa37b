package store

import (
	"strings"

	"github.com/google/uuid"
)

// Identifiers are strings of a type of their own, one for each domain of the schema, so that the compiler knows a user from
// a client. An identifier that another server wrote is accepted as it is; those made here are time-ordered (a UUIDv7, RFC
// 9562, section 5.7, as 32 hexadecimal digits) behind a prefix of four characters that says what they name. None is a secret.
type (
	// UserID is the primary key of "user" and the subject (sub) of tokens.
	UserID string
	// SessionID is the primary key of session and the sid of OpenID Connect logout.
	SessionID string
	// AccountID is the primary key of account.
	AccountID string
	// ReferenceID points at a tenant, an organisation say. oauthdb never looks into it.
	ReferenceID string
	// OAuthClientID is the primary key of oauth_client. Clients never see it.
	OAuthClientID string
	// ClientID is the public client identifier (RFC 6749, section 2.2).
	ClientID string
	// AuthorizationID is the primary key of oauth_authorization: it names a family of tokens.
	AuthorizationID string
	// AccessTokenID is the primary key of oauth_access_token and the jti of a JWT access token.
	AccessTokenID string
	// RefreshTokenID is the primary key of oauth_refresh_token.
	RefreshTokenID string
	// ConsentID is the primary key of oauth_consent.
	ConsentID string
	// SigningKeyID is the primary key of jwks and the kid of what the key signs.
	SigningKeyID string
)

// NewUserID returns a new, time-ordered identifier.
func NewUserID() UserID { return UserID(newID("usr_")) }

// NewSessionID returns a new, time-ordered identifier.
func NewSessionID() SessionID { return SessionID(newID("ses_")) }

// NewAccountID returns a new, time-ordered identifier.
func NewAccountID() AccountID { return AccountID(newID("acc_")) }

// NewOAuthClientID returns a new, time-ordered identifier.
func NewOAuthClientID() OAuthClientID { return OAuthClientID(newID("ocl_")) }

// NewClientID returns a new, time-ordered public client identifier.
func NewClientID() ClientID { return ClientID(newID("cli_")) }

// NewAuthorizationID returns a new, time-ordered identifier.
func NewAuthorizationID() AuthorizationID { return AuthorizationID(newID("azn_")) }

// NewAccessTokenID returns a new, time-ordered identifier.
func NewAccessTokenID() AccessTokenID { return AccessTokenID(newID("atk_")) }

// NewRefreshTokenID returns a new, time-ordered identifier.
func NewRefreshTokenID() RefreshTokenID { return RefreshTokenID(newID("rtk_")) }

// NewConsentID returns a new, time-ordered identifier.
func NewConsentID() ConsentID { return ConsentID(newID("cns_")) }

// NewSigningKeyID returns a new, time-ordered identifier.
func NewSigningKeyID() SigningKeyID { return SigningKeyID(newID("key_")) }

func newID(prefix string) string {
	// NewV7 fails only if the system has no randomness to give, in which case crypto/rand has already ended the process.
	return prefix + strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", "")
}
