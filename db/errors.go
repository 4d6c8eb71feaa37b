package db

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// SQLSTATEs that this package knows by name.
const (
	numberOutOfRange     = "22003"
	notInRepertoire      = "22021"
	invalidText          = "22P02"
	untranslatable       = "22P05"
	notNullViolation     = "23502"
	foreignKeyViolation  = "23503"
	uniqueViolation      = "23505"
	checkViolation       = "23514"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	tooManyConnections   = "53300"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
	idleInTransaction    = "25P03"
	idleSession          = "57P05"
	transactionTimeout   = "25P04"
	invalidParameter     = "22023"
	undefinedTable       = "42P01"

	insufficientPrivilege = "42501"
)

// IsNotFound reports whether a call that returns one row has found none.
func IsNotFound(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// Violates reports whether a statement was refused by one of the constraints named.
func Violates(err error, constraints ...store.Constraint) bool {
	violated := Constraint(err)
	return violated != "" && slices.Contains(constraints, violated)
}

// Constraint returns the name of the constraint or unique index that refused a statement. It may belong to a table or a
// domain, of the schema or of the application. It is empty if there is none, and for NOT NULL, which has no name: see
// [Column].
func Constraint(err error) store.Constraint {
	if pgErr := serverError(err); pgErr != nil && strings.HasPrefix(pgErr.Code, "23") {
		return store.Constraint(pgErr.ConstraintName)
	}
	return ""
}

// Column returns the column of a NOT NULL violation, for which [IsNotNullViolation] is true. It is empty for other errors.
func Column(err error) string {
	if pgErr := serverError(err); pgErr != nil && pgErr.Code == notNullViolation {
		return pgErr.ColumnName
	}
	return ""
}

// IsUniqueViolation reports whether a row with the same key exists already.
func IsUniqueViolation(err error) bool { return hasCode(err, uniqueViolation) }

// IsForeignKeyViolation reports whether a row refers to one that doesn't exist.
func IsForeignKeyViolation(err error) bool { return hasCode(err, foreignKeyViolation) }

// IsCheckViolation reports whether a value is out of its bounds.
func IsCheckViolation(err error) bool { return hasCode(err, checkViolation) }

// IsNotNullViolation reports whether a value is missing; [Column] says which.
func IsNotNullViolation(err error) bool { return hasCode(err, notNullViolation) }

// IsUnstorable reports whether a parameter holds a value that PostgreSQL can't store: a text with NUL or invalid UTF-8
// (SQLSTATE 22021), malformed JSON (22P02), JSON that escapes NUL or half a surrogate pair (22P05), or a number that is too
// large (22003). If the value came from a client, answer invalid_request. Identifiers of package store and token.Digest never
// cause it: they find nothing.
func IsUnstorable(err error) bool {
	return hasCode(err, numberOutOfRange, notInRepertoire, invalidText, untranslatable)
}

// IsInvalidParameter reports whether a required parameter is missing or out of range (SQLSTATE 22023), such as a lifetime that
// is missing or under a second, or a DPoP proof without an expiry. It is a bug of the server, not of a client. [Describe]
// names the parameter.
func IsInvalidParameter(err error) bool { return hasCode(err, invalidParameter) }

// IsTransient reports whether the statement or transaction had no effect, for a reason that may soon pass, so that it can be
// retried unchanged:
//
//   - it was undone to resolve a conflict (SQLSTATE 40001, 40P01);
//   - the server had no connection left, was shutting down or starting (53300, 57P01 to 57P03);
//   - there was no connection to send it on.
//
// It is false when the connection broke after that and the outcome is unknown, and for [ErrCommitUnknown]. One case looks
// certain but isn't: a session that an administrator terminates (57P01) while its commit waits for a synchronous standby has
// committed. It is false for the context's own end.
func IsTransient(err error) bool {
	if err == nil || errors.Is(err, ErrCommitUnknown) {
		return false
	}
	if hasCode(err, serializationFailure, deadlockDetected,
		tooManyConnections, adminShutdown, crashShutdown, cannotConnectNow) {
		return true
	}
	if serverError(err) != nil {
		return false
	}
	// A timeout of connecting is a deadline too, but not the caller's.
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return !errors.Is(err, context.Canceled)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return wasNotSent(err)
}

// IsTimeout reports whether something took too long: the context's deadline or another one of the client has passed, or the
// server has cut off a statement (statement_timeout or pg_cancel_backend, SQLSTATE 57014), a wait for a lock (lock_timeout,
// 55P03), a transaction (25P04) or an idle session (25P03, 57P05). A context that was cancelled is no timeout: see [IsCanceled].
func IsTimeout(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) ||
		pgconn.Timeout(err) ||
		hasCode(err, queryCanceled, lockNotAvailable, transactionTimeout, idleInTransaction, idleSession)
}

// IsCanceled reports whether the context was cancelled, usually because the client has gone away.
func IsCanceled(err error) bool { return errors.Is(err, context.Canceled) }

// isConflict reports whether the server undid a transaction for the sake of another, and nothing is known to the contrary.
func isConflict(err error) bool {
	return !errors.Is(err, ErrCommitUnknown) && hasCode(err, serializationFailure, deadlockDetected)
}

func hasCode(err error, codes ...string) bool {
	pgErr := serverError(err)
	return pgErr != nil && slices.Contains(codes, pgErr.Code)
}

func serverError(err error) *pgconn.PgError {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr
	}
	return nil
}

// severity is that of the protocol, which is not translated, or "UNKNOWN".
func severity(e *pgconn.PgError) string {
	word := cmp.Or(e.SeverityUnlocalized, e.Severity)
	if !slices.Contains([]string{"ERROR", "FATAL", "PANIC", "WARNING", "NOTICE"}, word) {
		return "UNKNOWN"
	}
	return word
}
