// Package store is the data layer of an OAuth 2.1 / OpenID Connect provider: typed calls on PostgreSQL, each of them one SQL
// statement, one round trip and one atomic decision.
//
//	q := store.New(pool) // a *pgxpool.Pool, a pgx.Tx or a *pgx.Conn
//	redeemed, err := q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{…})
//	switch {
//	case errors.Is(err, pgx.ErrNoRows):
//		// no such code
//	case err != nil:
//		// the database's fault, never an answer about the grant
//	case redeemed.Outcome == store.RedemptionOutcomeRedeemed:
//		// the tokens are written
//	default:
//		// invalid_grant, and redeemed.Outcome says why
//	}
//
// # Contracts
//
// What a call guarantees stands above it, and above its SQL in queries/, from which sqlc writes this package. Everything that can
// happen to a grant is a value of the call's outcome; [pgx.ErrNoRows] means that there is no such thing; any other error is
// the database's. The calls need no transaction around them. They may be run in one, with the locks of docs/locking.md
// in mind, at the isolation level READ COMMITTED, which is PostgreSQL's default: under a stricter one a call that would have
// waited and then decided fails with SQLSTATE 40001 instead.
//
// # Time
//
// The database's clock decides, and lifetimes are durations. A nil lifetime is one without end.
//
// # Secrets
//
// No token, code or secret gets here, only its [token.Digest]. Private keys and other providers' tokens are stored as the caller
// encrypted them.
//
// # Identifiers
//
// Each kind has a type of its own ([UserID], [ClientID], …). The caller makes them, with [NewUserID] and its like, or
// as it likes: any text of 1 to 255 bytes, client identifiers 1 to 512 printable ASCII characters (RFC 6749, appendix A.1).
//
// This package must not decide anything in Go. By hand are only this file and ids.go; sqlc writes the rest from queries/ and
// migrations/, and `make generate` writes constraints.go from the catalog.
package store
