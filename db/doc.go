// Package db holds what a server needs around package store: a pool with sane limits, transactions that are retried where that
// is safe, functions that tell errors apart, a collector that deletes expired and ended rows, and a worker that tells clients
// of sign-outs.
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
// Behind PgBouncer in transaction mode, set [Options].PgBouncer; docs/pgbouncer.md has a configuration that works.
//
// A pool of this package also scans the rows of package store with fewer allocations than plain pgx, and with the same
// results. Connections that are opened in another way can use [RegisterTypes] for that.
//
// # Transactions
//
// Each call of package store is one statement and atomic by itself, so it needs no transaction. [InTx] is for calls that have
// to happen together, or with statements of the application. Calls whose contract says that they run on the pool stay out of
// it: a rollback would undo that a replayed token has ended its family, or that a guess was counted.
//
// # Contexts
//
// A call returns soon after its context ends, with the context's error, and leaves neither a transaction open nor a connection
// in use. A statement that was sent by then may have taken effect all the same: the server is asked to cancel it, but may have
// finished already, or not have started. If the request to cancel is lost, statement_timeout ends the statement.
//
// # Errors
//
// What happens to a grant is an outcome, which a call returns as a value. An error is a bug, a violated constraint or an
// outage. The functions of this package tell them apart, so that an OAuth endpoint can give the right answer:
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
// An error of the server may contain values of a row, such as e-mail addresses and digests, in its detail and sometimes in its
// message. No error of this package prints a detail. [Describe] leaves out such messages as well.
//
// # Replicas
//
// A [Replica] has standbys answer introspections, once they have replayed the log up to a [Position] that the caller names. The primary
// answers where none is named, where no standby gets there in time, and all other calls. docs/replicas.md says what holds.
//
// # Monitoring
//
// [Observe] tells metrics and logs what each call has come to; [Security] says which outcomes are signs of attacks. [ReadBacklog] says what
// is left to do for the background work, and [Check] whether a server is ready. docs/monitoring.md puts them together.
//
// # Background work
//
// A [Collector] deletes what has expired or was ended. A [LogoutWorker] tells clients that a session is over (OpenID Connect
// Back-Channel Logout 1.0). Run both in every server, or in one of them:
//
//	go db.NewCollector(queries, db.CollectorOptions{Logger: logger}).Run(ctx)
//	go db.NewLogoutWorker(queries, postLogoutToken, db.LogoutOptions{Logger: logger}).Run(ctx)
//
// # What it must not do
//
// Nothing in this package decides about a grant. The rules are in the SQL of package store.
package db
