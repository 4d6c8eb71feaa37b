// Package store is the data layer of an OAuth 2.1 / OpenID Connect provider: typed calls on PostgreSQL, each of them one SQL
// statement, one round trip and one atomic decision.
//
//	q := store.New(pool) // a *pgxpool.Pool, a pgx.Tx or a *pgx.Conn
//	redeemed, err := q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{…})
//	switch {
//	case err != nil:
//		// a bug or the database's fault, never an answer about the grant
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
// What a call guarantees stands above it, and above its SQL in queries/, from which sqlc writes this package. A call that decides
// always answers with an [Outcome], and a word means the same in every call: [OutcomeUnknown] is that there is no such thing,
// [OutcomeRetried] that the same call had succeeded before. [pgx.ErrNoRows] is for calls that only read or update a row; any other
// error is a bug or the database's.
//
// The calls need no transaction around them. They may be run in one, with the locks of docs/locking.md in mind, at the isolation
// level READ COMMITTED, which is PostgreSQL's default: under a stricter one a call that would have waited and then decided fails
// with SQLSTATE 40001 instead. What ends a family as a punishment, such as the reuse of a refresh token, is undone with the
// transaction that it is in: make such calls on the pool.
//
// # Endings
//
// Ending something is one update of one row, however much hangs on it: whether a token is live is derived from its family, client,
// user and session when it is asked about. What a statement granted that had read before the ending committed is dead, too. The
// rows of what is dead are deleted by a collector (package db) later.
//
// # Callers
//
// The calls of the token, introspection and revocation endpoints take who calls, and judge that first: ClientID, ClientAuthMethod
// as in RFC 7591, section 2, and the digest of a secret. An empty method authenticates nobody. A client that the server has
// authenticated in a step of its own has the method "verified".
//
// # Time
//
// The database's clock decides, and lifetimes are durations. One that is needed and was forgotten, or is under a second, is an error
// that names the parameter (SQLSTATE 22023); [Never] is a lifetime without end. A client's own lifetimes cap what a caller asks
// for.
//
// # Secrets
//
// No token, code or secret gets here, only its [token.Digest]. Private keys and other providers' tokens are stored as the caller
// encrypted them.
//
// # Identifiers
//
// Each kind has a type of its own ([UserID], [ClientID], …). The caller makes them, with [NewUserID] and its like, or
// as it likes: any text of 1 to 255 bytes, client identifiers 1 to 512 printable ASCII characters (RFC 6749, appendix A.1). One
// that PostgreSQL can't hold, with a NUL in it or broken UTF-8, finds nothing.
//
// This package must not decide anything in Go. By hand are only this file, ids.go and never.go; sqlc writes the rest from queries/ and
// migrations/, and `make generate` writes constraints.go from the catalog.
package store
