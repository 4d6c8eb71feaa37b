package store

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// ID is an identifier of a T. Each domain of the schema has a type of its own, so that the compiler tells a user from a
// client. Identifiers of another server are accepted as they are. Those made here have a prefix of four characters that says
// what they name, and are time-ordered: a UUIDv7 (RFC 9562, section 5.7) as 32 hexadecimal digits. None is a secret.
//
// PostgreSQL can't store a NUL or invalid UTF-8 in a text, so no row has such an identifier. It is sent as the empty text,
// which no row has either: a look-up finds nothing instead of failing with SQLSTATE 22021, and an insert is refused. (It isn't
// sent as NULL, because that has a meaning in optional parameters: no tenant, no session.)
type ID[T any] string

type (
	// UserID is the primary key of "user". It is the subject (sub) of tokens, too, unless their client has pairwise ones.
	UserID = ID[User]
	// SessionID is the primary key of session and the sid of OpenID Connect logout.
	SessionID = ID[Session]
	// AccountID is the primary key of account.
	AccountID = ID[Account]
	// ReferenceID points at a tenant, such as an organisation. It is opaque to oauthdb.
	ReferenceID = ID[tenant]
	// OAuthClientID is the primary key of oauth_client. Clients never see it.
	OAuthClientID = ID[OAuthClient]
	// ClientID is the public client identifier (RFC 6749, section 2.2).
	ClientID = ID[publicClient]
	// AuthorizationID is the primary key of oauth_authorization: it names a family of tokens.
	AuthorizationID = ID[OAuthAuthorization]
	// AccessTokenID is the primary key of oauth_access_token and the jti of a JWT access token.
	AccessTokenID = ID[OAuthAccessToken]
	// RefreshTokenID is the primary key of oauth_refresh_token.
	RefreshTokenID = ID[OAuthRefreshToken]
	// ConsentID is the primary key of oauth_consent.
	ConsentID = ID[OAuthConsent]
	// ClientSecretID is the primary key of oauth_client_secret. The server makes it.
	ClientSecretID = ID[OAuthClientSecret]
	// InitialAccessTokenID is the primary key of oauth_initial_access_token.
	InitialAccessTokenID = ID[OAuthInitialAccessToken]
	// SessionClientID is the primary key of session_client. The server makes it.
	SessionClientID = ID[SessionClient]
	// OneTimeCodeID is the primary key of one_time_code. The server makes it.
	OneTimeCodeID = ID[OneTimeCode]
	// AttemptCountID is the primary key of attempt_count. The server makes it.
	AttemptCountID = ID[AttemptCount]
	// PasskeyID is the primary key of passkey: the credential ID of WebAuthn in unpadded base64url, as the browser gives it.
	PasskeyID = ID[Passkey]
	// TOTPID is the primary key of totp.
	TOTPID = ID[TOTP]
	// RecoveryCodeID is the primary key of recovery_code. The server makes it.
	RecoveryCodeID = ID[RecoveryCode]
	// TrustedIssuerID is the primary key of oauth_trusted_issuer.
	TrustedIssuerID = ID[OAuthTrustedIssuer]
	// VerificationID is the primary key of verification.
	VerificationID = ID[Verification]
	// PairwiseSubjectID is the primary key of oauth_pairwise_subject. The server makes it.
	PairwiseSubjectID = ID[OAuthPairwiseSubject]
	// Subject is the identifier by which a client knows a user: the sub of tokens (OpenID Connect Core, section 2).
	Subject = ID[subject]
	// SigningKeyID is the primary key of jwks and the kid of what the key signs.
	SigningKeyID = ID[SigningKey]
)

// Types that have an identifier and no table of their own.
type (
	tenant       struct{}
	publicClient struct{}
	subject      struct{}
)

// NewUserID returns a new, time-ordered identifier.
func NewUserID() UserID { return newID[UserID]("usr_") }

// NewSessionID returns a new, time-ordered identifier.
func NewSessionID() SessionID { return newID[SessionID]("ses_") }

// NewAccountID returns a new, time-ordered identifier.
func NewAccountID() AccountID { return newID[AccountID]("acc_") }

// NewOAuthClientID returns a new, time-ordered identifier.
func NewOAuthClientID() OAuthClientID { return newID[OAuthClientID]("ocl_") }

// NewClientID returns a new, time-ordered public client identifier.
func NewClientID() ClientID { return newID[ClientID]("cli_") }

// NewAuthorizationID returns a new, time-ordered identifier.
func NewAuthorizationID() AuthorizationID { return newID[AuthorizationID]("azn_") }

// NewAccessTokenID returns a new, time-ordered identifier.
func NewAccessTokenID() AccessTokenID { return newID[AccessTokenID]("atk_") }

// NewTrustedIssuerID returns a new, time-ordered identifier.
func NewTrustedIssuerID() TrustedIssuerID { return newID[TrustedIssuerID]("iss_") }

// NewRefreshTokenID returns a new, time-ordered identifier.
func NewRefreshTokenID() RefreshTokenID { return newID[RefreshTokenID]("rtk_") }

// NewConsentID returns a new, time-ordered identifier.
func NewConsentID() ConsentID { return newID[ConsentID]("cns_") }

// NewInitialAccessTokenID returns a new, time-ordered identifier.
func NewInitialAccessTokenID() InitialAccessTokenID { return newID[InitialAccessTokenID]("iat_") }

// NewSigningKeyID returns a new, time-ordered identifier.
func NewSigningKeyID() SigningKeyID { return newID[SigningKeyID]("key_") }

// NewTOTPID returns a new, time-ordered identifier.
func NewTOTPID() TOTPID { return newID[TOTPID]("otp_") }

func newID[I ~string](prefix string) I {
	// NewV7 fails only if the system has no randomness to give, in which case crypto/rand has already ended the process.
	return I(prefix + strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", ""))
}

var errNullID = errors.New("store: cannot scan NULL into an identifier: use a pointer to it")

// Storable reports whether PostgreSQL can hold the identifier: it is valid UTF-8 without NUL.
func (id ID[T]) Storable() bool {
	return utf8.ValidString(string(id)) && strings.IndexByte(string(id), 0) < 0
}

// TextValue implements [pgtype.TextValuer]: the text, or the empty text for one that isn't Storable.
func (id ID[T]) TextValue() (pgtype.Text, error) {
	if !id.Storable() {
		return pgtype.Text{Valid: true}, nil
	}
	return pgtype.Text{String: string(id), Valid: true}, nil
}

// ScanText implements [pgtype.TextScanner]. NULL is an error: scan it into a pointer to the identifier, which becomes nil.
func (id *ID[T]) ScanText(v pgtype.Text) error {
	if !v.Valid {
		return errNullID
	}
	*id = ID[T](v.String)
	return nil
}
