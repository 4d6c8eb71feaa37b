// Package zitadel serves the OpenID Provider of github.com/zitadel/oidc/v3 on oauthdb: a [Storage] that answers the library
// by calls of package store, and a [Provider], the library's own with what its interfaces leave no room for.
//
//	storage, err := zitadel.New(pool, zitadel.Options{
//		SuccessorKeys:     [][]byte{successorKey},
//		KeyEncryptionKeys: [][]byte{keyEncryptionKey},
//		LoginURL:          func(id string) string { return "/login?id=" + url.QueryEscape(id) },
//	})
//	config := &op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true}
//	provider, err := zitadel.NewProvider(storage, config, op.StaticIssuer(issuer))
//	mux.Handle("/", provider)
//
// The library looks a client and a code or a refresh token up first and creates the tokens later, as if nothing could happen in between.
// A Provider serves the token endpoint itself: RedeemAuthorizationCode or RotateRefreshToken authenticates the client, decides and creates
// the tokens, in one statement, whatever the number of servers and of callers. A code that is presented twice ends what it gave; refreshes
// of one token, in parallel or again, converge on one successor. There is an ID token where openid was granted, and nowhere else.
//
// # Which method makes which call
//
// A method that is not here sends nothing. A client that was fetched for an HTTP request is not fetched again for it.
//
//	AuthRequestByCode              FindAuthorizationByCode
//	AuthRequestByID                FindAuthorizationByCode
//	AuthorizeClientIDSecret        AuthenticateClient
//	ClientCredentials              GetClient, AuthenticateClient
//	ClientCredentialsTokenRequest  GetClient
//	CreateAccessAndRefreshTokens   RedeemAuthorizationCode, RotateRefreshToken
//	CreateAccessToken              RedeemAuthorizationCode, IssueAccessToken
//	CreateAuthRequest              GetClient, CreateAuthorization
//	GetClientByClientID            GetClient
//	GetKeyByIDAndClientID          GetClient
//	JWTProfileTokenType            GetClient
//	KeySet                         ListSigningKeys
//	RevokeToken                    RevokeToken, RevokeAccessTokenByID
//	SaveAuthCode                   IssueAuthorizationCode
//	SetIntrospectionFromToken      IntrospectAccessToken, IntrospectToken, IntrospectAccessTokenByID
//	SetUserinfoFromRequest         GetUser
//	SetUserinfoFromToken           IntrospectAccessToken, IntrospectAccessTokenByID, GetUser
//	SignatureAlgorithms            ListSigningKeys
//	SigningKeyFor                  GetClient, FindCurrentSigningKey
//	SigningKey                     FindCurrentSigningKey, RotateSigningKeyIfDue
//	TerminateSession               GetClient, RevokeUserAuthorizationsByClient
//	TerminateSessionFromRequest    GetClient, EndSession
//	TokenRequestByRefreshToken     FindRefreshTokenByToken
//	ValidateJWTProfileScopes       GetClient
//
// And those that are not the library's:
//
//	Approve                        ApproveAuthorization
//	OpenAuthRequest                FindAuthorizationByRequestURI
//	PendingRequest                 GetAuthorization
//	PushAuthRequest                GetClient, CreateAuthorization
//	RetireSigningKeys              RetireReplacedSigningKeys
//	RotateSigningKey               FindCurrentSigningKey, RetireReplacedSigningKeys, RotateSigningKeyIfDue
//	Provider.Approve               ApproveAuthorization
//	Provider.Deny                  DenyAuthorization
//	Provider.JWTProfileVerifier    GetClient, RememberClientAssertion
//
// # What a request costs
//
// Each call is one statement and one round trip. The library's own lookups are among them.
//
//	authorize                      GetClient, CreateAuthorization
//	approve                        ApproveAuthorization
//	authorization_code             RedeemAuthorizationCode
//	refresh_token                  RotateRefreshToken
//	device_code                    PollDeviceCode
//	token-exchange                 ExchangeToken
//	client_credentials             GetClient, IssueAccessToken
//	introspection                  IntrospectAccessToken
//	introspection of another kind  IntrospectToken
//	introspection of a JWT         IntrospectAccessTokenByID
//	userinfo                       IntrospectAccessToken, GetUser
//	revocation                     RevokeToken
//	end_session                    GetClient, EndSession
//	device_authorization           CreateDeviceAuthorization
//	par                            AuthenticateClient, GetClient, CreateAuthorization
//	registration                   RegisterClient
//	registration, read             FindClientByRegistrationToken
//	registration, update           UpdateRegistration
//	registration, delete           DeleteRegistration
//
// Once a minute FindCurrentSigningKey is added where something is signed, and ListSigningKeys where it is verified. A client that
// authenticates by a key costs RememberClientAssertion in addition, and GetClient where it isn't there. An authorization request that
// is refused adds CheckAuthorizationRequest. AccessTokenType adds GetClient; UserinfoInIDToken or a Userinfo hook adds GetUser, and
// FindAuthorizationByCode before a code is redeemed. client_credentials with a scope needs no GetClient.
//
// # Who calls
//
// The token, introspection and revocation endpoints authenticate the client by the statement that answers the request. They take POST, and
// parameters in the body alone. Where a request fails before it gets that far, the Provider asks
// AuthenticateClient, and who is not authenticated is told that and nothing else.
//
// # Retries and verdicts
//
// The ids of tokens are random, made once for each request and kept with it: a call that is repeated after a lost answer is known by
// them, and gets the same answer. A code or a refresh token that comes back in another request is replayed, and ends its family. That
// is written by the statement that refuses, so it must stand whatever becomes of the request: a Storage has a pool, and takes part in
// no transaction of the application's.
//
// # How tokens are known
//
// Opaque tokens and codes are those of package token, and the database holds their digests: a Provider's Crypto hands out
// what Storage has minted. So other servers on the same tables can introspect, revoke and refresh them, and this one theirs.
// A JWT access token is known by its jti, which is its row's id; it can be revoked, and introspection says so, as long as a
// resource server asks.
//
// # Devices, exchange, pushed requests, bound tokens, resources
//
// A Provider also serves what the library has no place for, or decides about in Go. A client has to be registered for the grant type.
//
//   - Devices (RFC 8628), if Options.DeviceURL is set.
//   - Token exchange (RFC 8693) of access tokens for access tokens, the client's own or those for its resources.
//   - Pushed requests (RFC 9126), at [PushedAuthorizationPath].
//   - DPoP (RFC 9449): tokens are bound to the key of the proof, and the UserInfo endpoint asks for one. Options.DPoPNonces asks for
//     nonces (section 8), which no server has to keep.
//   - Certificates (RFC 8705), if Options.ClientCertificate is set: clients authenticate by them, and tokens are bound to them, if registered so.
//     It costs GetClient where a certificate is shown.
//   - Resource indicators (RFC 8707): an access token says in its aud what it is for. An ID token is for the client.
//   - Authorization details (RFC 9396) of the types in Options.AuthorizationDetails. The pages show them and pass on what is granted
//     ([Approval]); the answer of the token endpoint, introspection and JWT access tokens have it.
//   - Registration by the client itself and its management (RFC 7591 and 7592), at [RegistrationPath], if Options.Registration is set. A client
//     keeps its secret and its registration access token when it updates.
//   - Clients that bring a metadata document (draft-ietf-oauth-client-id-metadata-document), if Options.ClientDocuments is set. One that is fresh
//     costs nothing; else it is fetched, and PutClientDocument or RefreshClientDocument is added. No redirect is followed, and no address inside
//     of the server's own network is asked. A document that can't be fetched for the moment counts for an hour longer. If one changes what users
//     see of the client, its name or a redirect URI for instance, they are asked for consent again.
//   - The server's metadata (RFC 8414), at [AuthorizationServerMetadataPath].
//
// # The pages
//
// Options.LoginURL leads to a page of the application's own. It reads the request with [Storage.PendingRequest], finds the
// session (store.FindSessionByToken) or signs the user in (store.CreateSession), asks for consent where store.CheckConsent
// says so (store.GrantConsent), and ends in [Provider.Approve] or [Provider.Deny], which send the browser back to the
// client. A user who clicks on Allow twice approves twice, and the browser gets the code of the second click. Consents, sessions and what a
// settings page lists are plain calls of package store.
//
// # Telling clients of a sign-out
//
// The library sends no logout tokens (OpenID Connect Back-Channel Logout 1.0). db.LogoutWorker finds who has to be told;
// sign its tokens with [Storage.SigningKeyFor], and set BackChannelLogoutSupported and BackChannelLogoutSessionSupported in op.Config.
// examples/authserver has the whole of it in logout.go. Where clients register themselves, send the tokens by [PublicClient].
//
// # Resource servers
//
// A resource server that has the database asks IntrospectAccessToken, and any other the introspection endpoint. It compares what the token is
// for (aud) with itself, and says where its tokens come from (RFC 9728) and which sign-in it wants (RFC 9470): examples/mcpserver.
//
// # Without the Provider
//
// A Storage also serves an op.Provider of your own: have [Storage.Approve] make the ticket for its callback. There is no place
// in its interfaces for some things, though. A client assertion can be presented again until it expires. A database fault
// comes out as invalid_grant at the token endpoint, as "active": false at introspection, as 403 at userinfo. Opaque access
// tokens are encryptions of row ids under op.Config.CryptoKey, and not for users whose id has a colon in it. The library's
// experimental op.LegacyServer is not served: it leaves out PKCE where a confidential client sends no verifier.
//
// # Signing keys
//
// They are in the table jwks, the private ones encrypted under Options.KeyEncryptionKeys and made when the first is needed.
// Have a timer call [Storage.RotateSigningKey] each hour, with the age at which a key is replaced, a month say. ES256 signs unless
// Options.SigningAlgorithm says otherwise, and RS256 for clients that have registered it; its key is made for the first of them. To change
// the default, call RotateSigningKey once with a Storage that has the new one, and give it to the servers when KeyLeadTime has
// passed. Another server that keeps its own keys in the table must use another algorithm: what it has encrypted can't sign
// here.
//
// # What is not served
//
// The implicit and hybrid flows (OAuth 2.1, section 10), request objects, the registration parameter, and software statements. A request
// that needs one of them is refused, but for software statements, which are kept and not believed. Of the claims parameter the sub and acr of the
// ID token are followed ([Request]); other claims are voluntary, and come by scopes.
//
// # What it must not do
//
// It makes no decision about a grant: the SQL does. It logs no credential, and no error contains one.
package zitadel
