package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Defaults of [TxOptions].
const (
	DefaultTxAttempts   = 5
	DefaultTxMinBackoff = 10 * time.Millisecond
	DefaultTxMaxBackoff = time.Second
)

// ErrCommitUnknown is wrapped by an error of [InTx] if COMMIT was sent but no answer came. The transaction may or may not be
// committed. Before doing it again, look up the ids or digests that it was to write.
var ErrCommitUnknown = errors.New("the outcome of COMMIT is unknown")

// TxBeginner begins transactions: a *pgxpool.Pool, a *pgx.Conn, and a pgx.Tx too, though not one that [InTx] should be given,
// since a savepoint can't be retried.
type TxBeginner interface {
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

// TxOptions say how [InTx] runs a transaction. The zero value is READ COMMITTED, or what default_transaction_isolation says,
// with the defaults.
type TxOptions struct {
	IsoLevel       pgx.TxIsoLevel
	AccessMode     pgx.TxAccessMode
	DeferrableMode pgx.TxDeferrableMode

	// Attempts is how often the transaction is tried in all. Zero means [DefaultTxAttempts]; 1 or less means no retry.
	Attempts int

	// MinBackoff and MaxBackoff bound the pause before the transaction is tried again. It doubles with each attempt, and the
	// half of it is random. Zero means [DefaultTxMinBackoff] and [DefaultTxMaxBackoff].
	MinBackoff time.Duration
	MaxBackoff time.Duration
}

// InTx runs fn in a transaction. It commits if fn returns nil, and rolls back if fn returns an error, panics or ends its
// goroutine. A single call of package store is atomic by itself and doesn't need InTx.
//
// If the server rolls the transaction back because of a conflict, with serialization_failure (SQLSTATE 40001) or
// deadlock_detected (40P01), in fn or at COMMIT, InTx tries again after a pause. fn then runs once more, in a new transaction,
// and must not keep anything from the earlier attempt. Nothing else is retried. If fn swallows an error of the server, the
// transaction is aborted and InTx returns pgx.ErrTxCommitRollback.
//
// fn must not commit or roll back. It uses the context that it closes over, usually ctx, which covers BEGIN, COMMIT and the
// pauses. ROLLBACK is sent even if ctx has ended. If it takes more than 5 seconds, the connection is closed, which rolls back
// as well.
//
// InTx returns the error of fn unchanged, so errors.Is and errors.As see it. After more than one attempt, it returns the last
// error with the number of attempts. If the context ends during a pause, it returns the context's error joined with the
// conflict. An error at COMMIT that doesn't say whether the transaction was committed wraps [ErrCommitUnknown] and is never
// retried.
func InTx(ctx context.Context, pool TxBeginner, opts TxOptions, fn func(tx pgx.Tx) error) error {
	attempts := cmp.Or(opts.Attempts, DefaultTxAttempts)
	minBackoff := cmp.Or(opts.MinBackoff, DefaultTxMinBackoff)
	maxBackoff := cmp.Or(opts.MaxBackoff, DefaultTxMaxBackoff)

	for attempt := 1; ; attempt++ {
		err := inTx(ctx, pool, opts, fn)
		switch {
		case err == nil:
			return nil
		case attempt < attempts && isConflict(err):
		case attempt == 1:
			return err
		default:
			return fmt.Errorf("attempt %d of a transaction: %w", attempt, err)
		}

		backoff := maxBackoff
		if shift := attempt - 1; shift < 32 && minBackoff<<shift > 0 {
			backoff = min(maxBackoff, minBackoff<<shift)
		}
		if ctxErr := sleep(ctx, backoff/2+rand.N(max(1, backoff/2+1))); ctxErr != nil {
			return fmt.Errorf("before attempt %d of a transaction: %w: %w", attempt+1, ctxErr, err)
		}
	}
}

// inTx is one attempt.
func inTx(ctx context.Context, pool TxBeginner, opts TxOptions, fn func(tx pgx.Tx) error) error {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{
		IsoLevel:       opts.IsoLevel,
		AccessMode:     opts.AccessMode,
		DeferrableMode: opts.DeferrableMode,
	})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// Not by recover: a panic goes on with its stack, and runtime.Goexit comes through here too.
	ended := false
	defer func() {
		if !ended {
			rollback(ctx, tx)
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	ended = true
	return commit(ctx, tx)
}

func commit(ctx context.Context, tx pgx.Tx) error {
	lost := tx.Conn() != nil && tx.Conn().IsClosed() // fn may not have noticed
	err := tx.Commit(ctx)
	switch {
	case err == nil:
		return nil
	case lost,
		errors.Is(err, pgx.ErrTxClosed),         // fn ended the transaction itself
		errors.Is(err, pgx.ErrTxCommitRollback), // the server answered ROLLBACK
		wasNotSent(err),                         // pgx has closed the connection
		isRefusal(err):
		return fmt.Errorf("commit: %w", err)
	default:
		return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	}
}

// wasNotSent reports whether pgx is sure that nothing of a statement reached the server.
//
// It makes an exception of pgx's word for it. Of a connection that breaks after a statement without arguments was sent, such
// as COMMIT, pgx 5.12 says "conn closed", as of one that was closed before, and calls both safe to retry.
func wasNotSent(err error) bool {
	return pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed)
}

// isRefusal reports whether the server has said that it didn't do what it was asked for. An error that ends the connection
// says less: a session that is terminated while COMMIT waits for a synchronous standby has committed.
func isRefusal(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	switch pgErr.Code {
	case "08007", // transaction_resolution_unknown
		"40003": // statement_completion_unknown
		return false
	}
	return severity(pgErr) == "ERROR"
}

func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	// An error means that the connection is closed, now if not before, and the server rolls back for that reason.
	_ = tx.Rollback(ctx)
}
