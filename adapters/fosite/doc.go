// Package fositedb serves github.com/ory/fosite on oauthdb: a [Store] for compose.ComposeAllEnabled, a [Strategy] for tokens that other
// servers know too, and a [Provider] that sets the library's answers right.
//
//	config := &fosite.Config{GlobalSecret: secret, TokenURL: issuer + "/token", IDTokenIssuer: issuer}
//	st, err := fositedb.New(pool, fositedb.Options{Scopes: []string{"openid", "offline_access"}})
//	st.Configure(config)
//	provider := fositedb.Wrap(compose.ComposeAllEnabled(config, st, signingKey))
//
// The library looks a code or a refresh token up, makes the new tokens, and then has the storage invalidate the old one and write the new
// ones, one after the other. With its own stores parallel requests all succeed (ory/fosite#778). Here the lookup decides nothing. What the
// library does between BeginTX and Commit is collected, and Commit is one statement on the pool that decides and writes the tokens,
// whatever the number of servers and of callers. Rollback drops what was collected. It can't undo a verdict: the statement that refuses a
// replayed code has ended the family.
//
// The id of a request is that of its authorization, and so of the family of its tokens.
//
// # Tokens
//
// The library knows tokens by their signatures: what stands after the dot of those that compose.ComposeAllEnabled makes. It has 256 bits,
// 43 characters of base64url, and is stored as it is. So is the digest of our own tokens, by [Store.Strategy]: a SHA-256 of the whole
// token has the same form. Both are of 256 bits, so the column token holds either, and neither is found by what stands for the other.
// Longer signatures, as of JWTs, are stored by a digest.
//
// Other servers on the same tables know a token by its digest. To share tokens with them, compose with the strategy of a Store:
//
//	strategy := &compose.CommonStrategy{CoreStrategy: st.Strategy(), OpenIDConnectTokenStrategy: …, Signer: …}
//	provider := fositedb.Wrap(compose.Compose(config, st, strategy, factories…))
//
// With Options.SuccessorKeys its refreshes converge: a client that repeats a refresh within Options.Grace, or sends several at once, gets
// the same refresh token each time. Without, and always with the library's own tokens, the mode is strict: of parallel refreshes one has
// tokens, and the next ends the family (RFC 9700, section 4.14.2). Options.Foreign lets a server go on with tokens that it issued before.
//
// # Sessions
//
// A session of the library is kept with the grant, without what columns hold: subject, expiries, nonce, auth_time, acr and amr. What a
// handler changes in it at the token endpoint is kept with the tokens that are issued there, and goes on with their refreshes. [Session] also
// says in which session of the user, and in which tenant, the grant is made. Of a request's form nothing is kept but what has a column, and
// prompt. A pushed request keeps its other parameters for the page, credentials excepted.
//
// # Which method makes which call
//
// A method that is not here sends nothing. A code that was looked up in a request is not looked up again in it.
//
//	Commit                      FindAuthorizationByCode, RedeemAuthorizationCode, RotateRefreshToken
//	CreateAccessTokenSession    IssueAccessToken, IssueTokenByAssertion
//	CreateAuthorizeCodeSession  GrantAuthorization, ApproveAuthorization
//	CreatePARSession            CreateAuthorization
//	DeleteAccessTokenSession    FindAccessTokenByToken, RevokeToken
//	DeleteRefreshTokenSession   RotateRefreshToken, FindRefreshTokenByToken, RevokeToken
//	GetAccessTokenSession       IntrospectAccessToken, GetClient
//	GetAuthorizeCodeSession     FindAuthorizationByCode
//	GetClient                   GetClient
//	GetOpenIDConnectSession     FindAuthorizationByCode
//	GetPARSession               FindAuthorizationByRequestURI, GetClient
//	GetPKCERequestSession       FindAuthorizationByCode
//	GetPublicKey                FindTrustedIssuerByIssuer
//	GetPublicKeys               FindTrustedIssuerByIssuer
//	GetRefreshTokenSession      IntrospectRefreshToken, GetClient, FindRefreshTokenByToken, GetAuthorization
//	RevokeAccessToken           RevokeAuthorization, FindAuthorizationByCode, RedeemAuthorizationCode, GetAccessToken, RevokeAccessTokenByID
//	RevokeRefreshToken          RevokeAuthorization, FindAuthorizationByCode, RedeemAuthorizationCode
//	SetClientAssertionJWT       RememberClientAssertion
//
// # What a request costs
//
// Each call is one statement and one round trip. The client is confidential, and has a secret. A public one costs no AuthenticateClient. One
// that has a key costs RememberClientAssertion instead, also at introspection, where the call about the token compares the secret. This is
// with a [Provider]: without it a push asks for the client twice, a revocation ends the grant twice, and an introspection costs
// AuthenticateClient too.
//
//	authorize                   GetClient, GrantAuthorization
//	refused authorize           GetClient, CheckAuthorizationRequest
//	push                        GetClient, AuthenticateClient, CreateAuthorization
//	authorize what was pushed   FindAuthorizationByRequestURI, GetClient, ApproveAuthorization
//	authorization_code          GetClient, AuthenticateClient, FindAuthorizationByCode, RedeemAuthorizationCode
//	refresh_token               GetClient, AuthenticateClient, IntrospectRefreshToken, RotateRefreshToken
//	client_credentials          GetClient, AuthenticateClient, IssueAccessToken
//	jwt-bearer                  GetClient, AuthenticateClient, FindTrustedIssuerByIssuer, IssueTokenByAssertion
//	introspection               GetClient, IntrospectAccessToken, GetClient
//	introspection of its own    GetClient, IntrospectAccessToken
//	revocation                  GetClient, AuthenticateClient, IntrospectRefreshToken, RevokeAuthorization
//	replayed code               GetClient, AuthenticateClient, FindAuthorizationByCode, RedeemAuthorizationCode
//	replayed refresh token      GetClient, AuthenticateClient, IntrospectRefreshToken, FindRefreshTokenByToken, RotateRefreshToken
//
// # What the losers are told
//
// A [Provider] answers invalid_grant to all parallel redemptions and refreshes but one, as it does to a later one, and server_error to a
// fault of the database. It also lets clients authenticate at introspection as they are registered, and has the client's authentication come
// first at every endpoint. Every error of an authorization request goes to the client, in the response mode that it asked for, if the store
// finds the redirect URI among the client's. A parameter that comes twice is refused, and so are a resource, authorization_details, and a
// request object without openid. Without it the answers are the library's own:
//
//   - A redemption that loses is told server_error, 500, as is every other refusal that comes with Commit.
//   - A refresh that loses is told invalid_request, 400. So is reuse that is found out by Commit, which it is with Options.SuccessorKeys.
//   - A fault is "active": false at introspection, 200 at revocation (the token lives on), invalid_client at the authorization endpoint and
//     at that of pushed requests.
//   - A conflict (SQLSTATE 40001, 40P01) is fosite.ErrSerializationFailure: invalid_request for a refresh, server_error for a redemption. A
//     Provider answers temporarily_unavailable.
//   - Introspection takes HTTP Basic or an access token of the caller's, and no key and no client_secret_post.
//   - An error that comes before the library has looked at the redirect URI is shown to the user as JSON. An error may go to an address that
//     only resembles a registered loopback one.
//   - A grant type that isn't served is invalid_request, and so is a missing one, whoever asks. A missing response_type is
//     unsupported_response_type. A revocation without a token is 200.
//   - What it has no place for is left aside: a resource, authorization_details, a request object without openid, a parameter that comes
//     again, a max_age that is no number. At the endpoint of pushed requests it takes the client's secret from the URI.
//
// # What the library can't do
//
//   - It has no resource parameter (RFC 8707): audience stands for it. An audience is granted as a whole where a request was pushed.
//   - It has no authorization_details, no sender-constrained tokens and no token exchange. A token that another server has bound to a key is
//     not found.
//   - It doesn't say who answers (RFC 9207), nor by which scheme to authenticate (RFC 6749, section 5.2). It has no endpoint for UserInfo,
//     no discovery and no CORS: a server brings its own.
//   - It makes a JWT before the code is redeemed, so one for a client with pairwise subjects has no sub until it is refreshed.
//   - It refuses a refresh where the client has lost one of the granted scopes, and doesn't narrow scopes.
//   - Revocation ends the whole grant, also by an access token.
//   - It takes a secret only in the way that is registered, the Authorization header if none is. The database takes it in either.
//   - It takes no assertion whose iat or nbf lies in the future, not even by a second: the clocks of clients may be behind, but not ahead.
//   - It says whether a code was issued to the client only after it has treated a used one as replayed. Here a replay is judged by
//     RedeemAuthorizationCode, so another client's attempt ends nothing.
//   - It doesn't validate a token before it revokes it. With its own tokens a client can end its grant by the signature alone.
//
// The implicit, hybrid and password grants are not served (OAuth 2.1, section 10), nor are GrantTypeJWTBearerCanSkipClientAuth and
// GrantTypeJWTBearerIDOptional: an assertion is accepted from an authenticated client, and once.
//
// # What it must not do
//
// It makes no decision about a grant: the SQL does. It logs no credential, and no error contains one.
package fositedb
