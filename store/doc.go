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
// A call that decides always returns an [Outcome]. [pgx.ErrNoRows] comes only from calls that read or update a row. Any other
// error is a bug or a failure of the database.
//
// A call needs no transaction. It may run in one; docs/locking.md describes the locks it takes. Use READ COMMITTED, which is
// PostgreSQL's default: at a stricter level, a call that would have waited for a row and then decided fails with SQLSTATE
// 40001. Calls that end a family when a code or token is replayed, count a guess, or remember a proof run on the pool, because
// a rollback would undo that. Their contracts say so.
//
// # Outcomes
//
// A word means the same in every call. The contract of a call lists its words, and the OAuth error to answer for each; package
// oautherror has them in code. The call has done what it is for, or what was asked about is so:
//
//	created, inserted, registered    something new is stored
//	granted                          an authorization or a consent is stored
//	approved                         the user's consent to a request is recorded
//	denied                           the user said no, in this call or before
//	claimed                          the request belongs to this user
//	issued                           the token or the code is written
//	redeemed                         the tokens for a code are written
//	exchanged                        the token for another token is written
//	rotated                          the successor of a token, secret or key is stored
//	updated, changed, replaced       something new stands in the place of the old
//	extended                         the session lasts longer
//	fresh                            what is stored is still right
//	authenticated                    the client or user is the one that was claimed
//	accepted                         what was presented is right; what is good only once is spent
//	remembered                       the proof or assertion had not been presented before
//	counted                          the attempt may be made
//	active                           what was asked about is in force
//	ended                            it was in force, and is no longer
//	withdrawn                        the consent is gone, and the grants have ended
//	deleted                          it is gone
//	enabled, reinstated              the client, issuer or user that was shut out is let in again
//	delivered, postponed, abandoned  the client was told; will be tried again; was given up on
//	retried                          the same call had succeeded before
//
// The call refuses. Apart from what its contract says, it has changed nothing:
//
//	unauthenticated                  the caller is not the one that it claims to be
//	unknown                          there is no such thing
//	inactive                         the token is unknown or not live
//	expired                          its time was over
//	revoked                          it had been ended before
//	replayed                         a code or token came back after its use; this call has ended the family
//	proof_replayed                   the DPoP proof or the assertion had been presented before
//	spent                            a code that is good once had been used before
//	regressed                        the counter of a passkey has not grown
//	mismatched                       what was presented is another one: verifier, key, client, user, guess
//	exhausted                        no use or attempt is left
//	taken                            the identifier or code is another's
//	stale, superseded                a later fetch or claim, or the use of what this very call had issued, came before
//	disabled                         the client is disabled
//	suspended                        the user is suspended
//	signed_out                       the session is not a live session of the user
//	decided, undecided               another decision stands; the user has not decided
//	authorization_pending            the user has not decided, and the client may go on asking
//	slow_down                        the same, but the client asks too often
//	last                             it is the last one, and stays
//	untrusted                        nobody trusts the issuer of the assertion
//	too_far                          the expiry of the assertion is too far away
//	too_many_actors                  the chain of actors would be too long
//	redirect_uri_mismatched          the redirect URI is not registered
//	request_must_be_pushed           the client has to push its requests
//	pkce_required                    there is no code_challenge
//	pkce_method_refused              the code_challenge is not one that the client may use
//	unauthorized_client, unsupported_response_type, unsupported_token_type, invalid_scope, invalid_target,
//	invalid_authorization_details, invalid_redirect_uri, invalid_client_metadata
//	                                 what the OAuth error of that name means
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
// # Failover
//
// What was acknowledged survives the loss of a primary that has a synchronous standby. A call whose context ended or whose
// connection broke may have taken effect or not: repeat it with the same parameters, ids included, and it comes to the same
// result. A client that repeats its request with a refresh token or a device code is forgiven only within the grace. A Grace
// shorter than a failover ends the families of honest clients, so choose it longer than that and the client's retries, or set
// GraceUntilUsed. docs/failover.md says more.
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
// own way: any text of 1 to 255 bytes, for a client identifier 1 to 2048 printable ASCII characters (RFC 6749, appendix A.1).
// An identifier that PostgreSQL can't store, because of a NUL or invalid UTF-8, finds nothing.
//
// This package must not decide anything in Go. Only this file, ids.go and never.go are written by hand. sqlc generates the
// rest from queries/ and migrations/, and `make generate` writes constraints.go from the catalog.
package store
