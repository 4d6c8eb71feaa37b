package db_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
)

func TestCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	// The server may get the cancellation before the statement, and ignores it; then statement_timeout ends the statement.
	pool := openPool(t, d.URL, db.Options{MaxConns: 2, StatementTimeout: time.Second})
	blocked := func(ctx context.Context) error {
		_, err := pool.Exec(ctx, `UPDATE counter SET n = n + 1 WHERE id = 1`)
		return err
	}
	inTx := func(ctx context.Context) error {
		return db.InTx(ctx, pool, db.TxOptions{}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE counter SET n = n + 1 WHERE id = 2`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE counter SET n = n + 1 WHERE id = 1`)
			return err
		})
	}
	rows := func(ctx context.Context) error {
		rows, err := pool.Query(ctx, `SELECT pg_sleep(0.01) FROM generate_series(1, 10000)`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
		}
		return rows.Err()
	}

	holder, err := d.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, holder, `UPDATE counter SET n = n WHERE id = 1`)
	for name, call := range map[string]func(context.Context) error{"a statement": blocked, "a transaction": inTx, "rows": rows} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, timed out: %v", name, err)
		}
		cancel()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, begun too late: %v", name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s returned after %s", name, took)
		}
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	requireClean(t, pool)
	if n := counter(t, pool, 2); n != 0 {
		t.Errorf("counter is %d: a transaction took effect that got no COMMIT", n)
	}
}

// Wherever the cancellation falls, between two messages or inside one, the transaction has happened or it has not, no
// transaction stays open, and the pool goes on.
func TestCancelledTransactionsLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{MaxConns: 2})
	committed, unknown := 0, 0
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, cancel)
		err := db.InTx(ctx, d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE counter SET n = n + 1 WHERE id = 1`)
			return err
		})
		timer.Stop()
		cancel()
		switch {
		case err == nil:
			committed++
		case !errors.Is(err, context.Canceled):
			t.Errorf("error is %v, want the context's", err)
		case errors.Is(err, db.ErrCommitUnknown):
			unknown++
		}
	}
	requireClean(t, d.Pool)
	if n := counter(t, d.Pool, 1); n < committed || n > committed+unknown {
		t.Errorf("counter is %d after %d commits and %d of unknown outcome", n, committed, unknown)
	}
}
