// Package db is what a server needs around package store: a pool with sane limits, transactions that retry where that is
// safe, errors told apart, and the collector of what has expired or was ended.
//
// # Opening
//
//	pool, err := db.Open(ctx, os.Getenv("DATABASE_URL"), db.Options{})
//	if err != nil {
//		return err
//	}
//	defer pool.Close()
//	queries := store.New(pool)
//
// [Open] checks that a server answers, and that it is PostgreSQL 15 or later. [Options] holds the limits and their
// defaults; the connection string may set any of them too.
//
// A pool of this package also scans the rows of package store with less work than pgx by itself, and with the same results: see
// [RegisterTypes], which connections that were opened otherwise may call.
//
// # Transactions
//
// Each call of package store is one statement, and atomic by itself: no call of it needs a transaction. [InTx] is for those
// that have to happen together with one another, or with an application's own statements.
//
// # Contexts
//
// A call returns soon after its context ends, with the context's error, and leaves neither a transaction open nor a
// connection in use. What was sent by then may have taken effect all the same: the server is told to cancel, but may have
// finished, or not yet have begun, when it hears of it. A statement that goes on unheard ends by statement_timeout.
//
// # Errors
//
// What may happen to a grant is an outcome, a value that a call returns. What is left for errors are bugs, constraints and
// the weather; the functions here tell them apart, so that an OAuth endpoint answers what it should:
//
//	switch {
//	case db.IsNotFound(err): // from calls that only read or update: there is no such row
//	case db.Violates(err, store.ConstraintOAuthClientClientIDUIdx): // the client_id is taken
//	case db.IsUnstorable(err): // invalid_request: NUL or broken UTF-8 in a parameter
//	case db.IsInvalidParameter(err): // server_error: a lifetime was forgotten
//	case db.IsTransient(err): // temporarily_unavailable, and try again
//	case db.IsTimeout(err): // temporarily_unavailable, and look why
//	default: // server_error
//	}
//	logger.Error("token", "error", db.Describe(err))
//
// A server's error may carry values of the row it is about, in its detail and for some errors in its message: e-mail
// addresses, digests. No error of this package prints a detail; [Describe] leaves out such messages too.
//
// # What it must not do
//
// Nothing in this package decides about a grant. The rules are in the SQL of package store.
package db
