package zitadel

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
)

// Defaults of [Options].
const (
	DefaultRequestLifetime      = 15 * time.Minute
	DefaultCodeLifetime         = time.Minute
	DefaultAccessTokenLifetime  = 10 * time.Minute
	DefaultRefreshTokenLifetime = 30 * 24 * time.Hour
	DefaultIDTokenLifetime      = time.Hour
	DefaultGrace                = 30 * time.Second
	DefaultKeyLeadTime          = 24 * time.Hour
	DefaultDeviceCodeLifetime   = 10 * time.Minute
	DefaultSigningAlgorithm     = jose.ES256
)

// Options say how a Storage serves. SuccessorKeys, KeyEncryptionKeys and LoginURL are required; the zero value of everything
// else is the stricter or the usual choice. Lifetimes count from the database's now(), are a second at least, and are cut to those of
// the client where it has some registered.
type Options struct {
	// SuccessorKeys derive refresh tokens from those that they replace, so that retries converge (token.Successors): 1 to
	// token.MaxKeys random keys of at least token.MinKeyLength bytes, the newest first. A key may be dropped when Grace has
	// passed since another came before it.
	SuccessorKeys [][]byte

	// KeyEncryptionKeys encrypt the private signing keys in the table jwks, by AES-256-GCM: random keys of 32 bytes, the newest
	// first. New keys are encrypted under the first; all of them are tried to decrypt. A key may be dropped when the last
	// signing key that was encrypted under it is no longer published.
	KeyEncryptionKeys [][]byte

	// LoginURL is where a browser is sent with a new authorization request: the page that signs the user in, asks for consent,
	// and ends in [Provider.Approve] or [Provider.Deny]. The id is that of the pending authorization ([Storage.PendingRequest]).
	LoginURL func(id string) string

	// LogoutURL is the page that asks a user whether to sign out, for requests to end a session that do not prove by
	// themselves who wants it: without id_token_hint, or of a client that may not end sessions (OpenID Connect RP-Initiated
	// Logout 1.0, section 6). Nil: they are refused.
	LogoutURL func(request *op.EndSessionRequest) string

	// RequestLifetime is for how long an authorization request awaits the user's decision. Zero means [DefaultRequestLifetime].
	RequestLifetime time.Duration
	// CodeLifetime is that of an authorization code; RFC 6749, section 4.1.2 recommends 10 minutes at most. Zero means
	// [DefaultCodeLifetime].
	CodeLifetime time.Duration
	// AccessTokenLifetime is that of access tokens. Zero means [DefaultAccessTokenLifetime].
	AccessTokenLifetime time.Duration
	// RefreshTokenLifetime is that of each refresh token: a grant ends when it is not refreshed for so long. Zero means
	// [DefaultRefreshTokenLifetime].
	RefreshTokenLifetime time.Duration
	// FamilyLifetime is the longest that a grant can last, however often it is refreshed. Zero: no such bound.
	FamilyLifetime time.Duration
	// IDTokenLifetime is that of ID tokens. Zero means [DefaultIDTokenLifetime].
	IDTokenLifetime time.Duration

	// Grace is for how long after a rotation the replaced refresh token is taken for a client's retry, and answered with the
	// same successor. Zero means [DefaultGrace], a negative value never.
	Grace time.Duration

	// ClockSkew is allowed to clients whose clocks are behind or ahead: iat and nbf are moved back by it, exp ahead.
	ClockSkew time.Duration

	// Scopes are those that a client may ask for which has none registered (oauth_client.scopes is NULL). On behalf of a user
	// openid, profile, email and offline_access go without saying; a client that acts for itself never gets a scope about users.
	Scopes []string

	// DevMode allows public clients redirect URIs with http beyond the loopback addresses and localhost. For development only.
	DevMode bool

	// AccessTokenType says which clients get JWTs as access tokens. Nil: all get opaque ones. [JWTs] is for all.
	AccessTokenType func(client store.OAuthClient) op.AccessTokenType

	// UserinfoInIDToken puts the claims of the scopes profile and email into ID tokens too, where a client of the code flow
	// finds them at the userinfo endpoint otherwise (OpenID Connect Core 1.0, section 5.4).
	UserinfoInIDToken bool

	// Userinfo, if set, adds to or alters what the standard scopes say about a user. It is called for the userinfo endpoint
	// and for each ID token.
	Userinfo func(ctx context.Context, info *oidc.UserInfo, about Subject) error

	// AccessTokenClaims, if set, returns further claims of a JWT access token.
	AccessTokenClaims func(ctx context.Context, request op.TokenRequest) (map[string]any, error)

	// MayIntrospect, if set, says whether an authenticated client is told about a token. Nil: each is told about all, as
	// resource servers have to be; they must be registered as clients, with a secret or a key.
	MayIntrospect func(ctx context.Context, caller store.ClientID, token Introspected) bool

	// AssertionsForIssuerAlone has a client's assertion name the issuer in aud, as a string, and nothing else (FAPI 2.0 Security Profile,
	// section 5.3.2.1). Without it, an assertion may also be for the token endpoint, or among others for either (RFC 7523, section 3), and
	// one that comes with a pushed request for that endpoint (RFC 9126, section 2).
	AssertionsForIssuerAlone bool

	// JWKS, if set, fetches the keys of a client that publishes them at its jwks_uri. It has to refuse addresses inside of its own network, and
	// should cache. Nil: HTTPClient fetches them, from https URLs, and they are used for as long as the answer may be cached, 10 minutes at most.
	JWKS func(ctx context.Context, uri string) (*jose.JSONWebKeySet, error)

	// SigningAlgorithm signs ID tokens and JWT access tokens: ES256 or RS256. ID tokens of a client that has registered the other one
	// (id_token_signed_response_alg; OpenID Connect Dynamic Client Registration 1.0, section 2) are signed by that. Empty means
	// [DefaultSigningAlgorithm], unless the database has keys of RS256 alone, which was the default before: then these go on alone.
	SigningAlgorithm jose.SignatureAlgorithm

	// Resources are those that a client may name which has none registered (RFC 8707, section 2). An access token that is for resources
	// says so in its aud.
	Resources []string

	// AuthorizationDetails are the types of authorization_details that are served (RFC 9396, section 2), each with what checks an element of it: an
	// error tells the client's developer what is amiss. Nil checks nothing but the type. A client may use those that it has registered
	// (authorization_details_types), or all if it has none. The pages show them to the user and pass on what is granted ([Approval]).
	AuthorizationDetails map[string]func(element json.RawMessage) error

	// ACRValues are those that the pages can reach ([Approval].ACR), for the discovery document. A request's acr_values, max_age and prompt are in
	// [Request]; the pages follow them (RFC 9470, section 5).
	ACRValues []string

	// ClientCertificate, if set, returns the certificate that a client has shown to whoever ends TLS, and whether that has verified it by an
	// authority. Clients then authenticate by certificates, and tokens are bound to them, if they are registered so (RFC 8705). [PeerCertificate] is
	// one; behind a proxy, read the header that the proxy sets and nobody else can.
	ClientCertificate func(r *http.Request) (certificate *x509.Certificate, verified bool)

	// DPoPNonces has DPoP proofs carry a nonce of the server's (RFC 9449, section 8), so that none can be made in advance. A proof without one is
	// answered by use_dpop_nonce. All servers need the same SuccessorKeys, by which nonces are made.
	DPoPNonces bool

	// DeviceURL is the page on which a user enters the code that a device shows (RFC 8628, section 3.3). It looks the code up with
	// store.FindAuthorizationByUserCode ([UserCode]), and ends in store.ApproveAuthorization or DenyAuthorization. Empty: devices aren't
	// served.
	DeviceURL string
	// DeviceCodeLifetime is for how long a device waits. Zero means [DefaultDeviceCodeLifetime].
	DeviceCodeLifetime time.Duration

	// Registration, if set, serves dynamic client registration and its management (RFC 7591 and 7592), at [RegistrationPath].
	Registration *Registration
	// ClientDocuments, if set, serves clients whose client_id is the URL of a metadata document (draft-ietf-oauth-client-id-metadata-document).
	ClientDocuments *ClientDocuments
	// SelfRegistered is what clients may be that register themselves or have a metadata document.
	SelfRegistered SelfRegistered
	// HTTPClient fetches what clients publish: metadata documents, keys and sector identifiers. No redirect is followed. Nil: a client that connects to
	// public addresses alone, at port 443. One of your own has to take care of that itself.
	HTTPClient *http.Client

	// KeyLeadTime is for how long a new signing key is published before it signs: as long as verifiers cache the key set. Zero
	// means [DefaultKeyLeadTime].
	KeyLeadTime time.Duration

	// Logger, if set, gets a line for each fault of the database, without values, and for each code or refresh token that was
	// replayed, with the ids of authorization and client.
	Logger *slog.Logger

	allOpaque bool // AccessTokenType was nil, so no client has to be fetched to know
}

// Registration is how clients register themselves.
type Registration struct {
	// Open lets everybody register. Otherwise a client needs an initial access token ([store.Queries.CreateInitialAccessToken]).
	Open bool
	// SecretLifetime is that of the secrets which clients get. Zero: they last.
	SecretLifetime time.Duration
}

// ClientDocuments is how clients are served that publish their metadata. A document is fetched when its client comes and what is stored is
// no longer fresh, by its Cache-Control, for a day at most.
type ClientDocuments struct {
	// Allow, if set, says from which URLs documents are taken. Nil: from all.
	Allow func(clientID *url.URL) bool
}

// SelfRegistered is what clients may be that nobody has looked at. What they state beyond it is left out of their registration (RFC 7591,
// section 3.2.1).
type SelfRegistered struct {
	// Scopes are those that they may ask for. Nil: those of [Options].Scopes and of OpenID Connect.
	Scopes []string
	// GrantTypes are those that they may use. Nil: authorization_code, refresh_token and, if it is served, that of devices.
	GrantTypes []string
	// Review, if set, sees what a client states before it is registered, and may alter it. A [registration.Error] refuses it; any other error is
	// a fault.
	Review func(ctx context.Context, stated *registration.Metadata) error
}

// Subject is whom claims are made about, and to whom.
type Subject struct {
	User     store.User
	ClientID store.ClientID
	// ReferenceID is the tenant in which the user granted; nil: in none.
	ReferenceID *store.ReferenceID
	Scopes      []string
}

// Introspected is the token that a client asks about.
type Introspected struct {
	ClientID    store.ClientID
	UserID      *store.UserID
	ReferenceID *store.ReferenceID
	Scopes      []string
	// Resources are those that the token is for (RFC 8707); empty: it isn't bound to any.
	Resources []string
}

// JWTs is an AccessTokenType of [Options] that gives every client JWTs.
func JWTs(store.OAuthClient) op.AccessTokenType { return op.AccessTokenTypeJWT }

// familyLifetime is as the store takes it.
func (o *Options) familyLifetime() time.Duration {
	if o.FamilyLifetime == 0 {
		return store.Never
	}
	return o.FamilyLifetime
}

// withDefaults returns the options with every default in place, or an error that says which one can't be used.
func (o Options) withDefaults() (Options, error) {
	if o.LoginURL == nil {
		return o, errors.New("zitadel: Options.LoginURL is required")
	}
	if len(o.KeyEncryptionKeys) == 0 {
		return o, errors.New("zitadel: Options.KeyEncryptionKeys is required")
	}
	for _, lifetime := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
		least    time.Duration // unless it is 0
	}{
		{"RequestLifetime", &o.RequestLifetime, DefaultRequestLifetime, time.Second},
		{"CodeLifetime", &o.CodeLifetime, DefaultCodeLifetime, time.Second},
		{"AccessTokenLifetime", &o.AccessTokenLifetime, DefaultAccessTokenLifetime, time.Second},
		{"RefreshTokenLifetime", &o.RefreshTokenLifetime, DefaultRefreshTokenLifetime, time.Second},
		{"FamilyLifetime", &o.FamilyLifetime, 0, time.Second},
		{"DeviceCodeLifetime", &o.DeviceCodeLifetime, DefaultDeviceCodeLifetime, time.Second},
		{"IDTokenLifetime", &o.IDTokenLifetime, DefaultIDTokenLifetime, time.Second},
		{"KeyLeadTime", &o.KeyLeadTime, DefaultKeyLeadTime, 0},
		{"ClockSkew", &o.ClockSkew, 0, 0},
	} {
		switch {
		case *lifetime.value == 0:
			*lifetime.value = lifetime.fallback
		case *lifetime.value < lifetime.least:
			return o, fmt.Errorf("zitadel: Options.%s is less than %s", lifetime.name, lifetime.least)
		}
	}
	switch {
	case o.Grace == 0:
		o.Grace = DefaultGrace
	case o.Grace < 0:
		o.Grace = 0
	}
	switch {
	case o.Registration == nil || o.Registration.SecretLifetime >= time.Second:
	case o.Registration.SecretLifetime == 0:
		o.Registration = &Registration{Open: o.Registration.Open, SecretLifetime: store.Never}
	default:
		return o, errors.New("zitadel: Options.Registration.SecretLifetime is less than 1s")
	}
	switch o.SigningAlgorithm {
	case "", jose.RS256, jose.ES256:
	default:
		return o, fmt.Errorf("zitadel: Options.SigningAlgorithm: %s is neither RS256 nor ES256", o.SigningAlgorithm)
	}
	if o.allOpaque = o.AccessTokenType == nil; o.allOpaque {
		o.AccessTokenType = func(store.OAuthClient) op.AccessTokenType { return op.AccessTokenTypeBearer }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
