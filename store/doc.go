// Package store is the data layer of an OAuth 2.1 / OpenID Connect provider: typed calls on PostgreSQL, each of them one SQL
// statement, one round trip and one atomic decision.
//
//	q := store.New(pool) // a *pgxpool.Pool, a pgx.Tx or a *pgx.Conn
//	redeemed, err := q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{…})
//	switch {
//	case err != nil:
//		// a bug or a failure of the database, never an answer about the grant
//	case redeemed.Outcome == store.OutcomeRedeemed, redeemed.Outcome == store.OutcomeRetried:
//		// the tokens are written
//	case redeemed.Outcome == store.OutcomeUnauthenticated:
//		// invalid_client
//	default:
//		// invalid_grant, and redeemed.Outcome says why
//	}
//
// # Contracts
//
// The comment of each call is its contract. It also stands above the SQL in queries/, from which sqlc generates this package.
// A call that decides always returns an [Outcome], and an outcome means the same in every call: [OutcomeUnknown] means that
// there is no such thing, [OutcomeRetried] that the same call had succeeded before. [pgx.ErrNoRows] comes only from calls that
// read or update a row. Any other error is a bug or a failure of the database.
//
// A call needs no transaction. It may run in one; docs/locking.md describes the locks it takes. Use READ COMMITTED, which is
// PostgreSQL's default: at a stricter level, a call that would have waited for a row and then decided fails with SQLSTATE
// 40001. RedeemAuthorizationCode, RotateRefreshToken and PollDeviceCode end a family when a code or token is replayed. A
// rollback would undo that, so run them on the pool.
//
// # Endings
//
// Ending something updates one row, however many tokens depend on it, because a token's liveness is derived from its family,
// client, user and session whenever it is asked about. An ending also covers what a concurrent statement grants, if that
// statement read before the ending committed. The collector of package db deletes dead rows later.
//
// # Callers
//
// The calls of the token, introspection and revocation endpoints authenticate the client first. They take ClientID,
// ClientAuthMethod (RFC 7591, section 2: "client_secret_basic", "none" …) and ClientSecret, a digest. An empty method
// authenticates nobody. A server that has authenticated the client in a separate step passes the method "verified".
// A server that asks for itself, for its UserInfo endpoint for example, introspects with the method "server" and no client.
//
// # What the server checks
//
// CreateAuthorization and GrantAuthorization judge a request by the client's registration: redirect URI, response and grant
// type, PKCE, scopes, resources, types of authorization_details, and whether it had to be pushed. CheckAuthorizationRequest
// says the same without writing anything. Each of them says in RedirectURI where the answer to the client goes, errors
// included. While that is nil, the user gets an error page: nothing is redirected. What a client may ask for that has no
// scopes, resources or types registered is passed by the caller as DefaultScopes and so on. Without them that is nothing.
//
// What is taken from a client later counts, too. ApproveAuthorization, IssueAuthorizationCode and RedeemAuthorizationCode
// refuse what is no longer registered; RotateRefreshToken leaves it out of the access token. So these calls take the same
// defaults.
//
// The server itself verifies what the database can't: the signatures of request objects, assertions and proofs, the
// certificate of a connection, and who the user is. It derives the challenge that RedeemAuthorizationCode compares.
//
// # Security events
//
// If the setting oauthdb.events is on, calls record what matters to whoever investigates abuse: reuse, mismatches, endings,
// registrations, new secrets and second factors. The event is written by the call itself, in its transaction, and holds no
// credential. [Queries.ListSecurityEvents] says how to turn it on and what isn't written. An IPAddress that is passed to a call
// appears in its event.
//
// # Time
//
// Only the database's clock counts, so lifetimes are durations. A lifetime that is missing or under a second is an error that
// names the parameter (SQLSTATE 22023). [Never] is a lifetime without end. The lifetimes of a client's registration cap those
// that a caller passes.
//
// # Secrets
//
// No token, code or secret reaches the database, only its [token.Digest]. Private keys and other providers' tokens are stored
// as the caller encrypted them.
//
// # Identifiers
//
// Each kind has a type of its own ([UserID], [ClientID], …). The caller makes them, with [NewUserID] and the like or in its
// own way: any text of 1 to 255 bytes, for a client identifier 1 to 512 printable ASCII characters (RFC 6749, appendix A.1).
// An identifier that PostgreSQL can't store, because of a NUL or invalid UTF-8, finds nothing.
//
// This package must not decide anything in Go. Only this file, ids.go and never.go are written by hand. sqlc generates the
// rest from queries/ and migrations/, and `make generate` writes constraints.go from the catalog.
package store
