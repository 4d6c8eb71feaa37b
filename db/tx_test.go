package db_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
)

// newCounters returns a database with the table counter (id, n), in which the rows 1 and 2 have n = 0.
func newCounters(t *testing.T, o testdb.Options) *testdb.DB {
	t.Helper()
	d := testdb.New(t, o)
	mustExec(t, d.Pool, `
		CREATE TABLE counter (id integer PRIMARY KEY, n integer NOT NULL);
		INSERT INTO counter VALUES (1, 0), (2, 0)`)
	return d
}

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func mustExec(t *testing.T, e execer, sql string, args ...any) {
	t.Helper()
	if _, err := e.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func counter(t *testing.T, pool *pgxpool.Pool, id int) int {
	t.Helper()
	return scalar[int](t, pool, `SELECT n FROM counter WHERE id = $1`, id)
}

// requireClean checks that no connection is in use and that no session of the database is in a transaction.
func requireClean(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		acquired := pool.Stat().AcquiredConns()
		states := scalar[[]string](t, pool, `
			SELECT coalesce(array_agg(state || ': ' || query), '{}')
			FROM pg_stat_activity
			WHERE datname = current_database()
			    AND pid <> pg_backend_pid()
			    AND (state <> 'idle' OR xact_start IS NOT NULL)`)
		if acquired == 0 && len(states) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are acquired, sessions are %q", acquired, states)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestInTxCommitsWhenFnReturnsNil(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		if got := scalar[string](t, tx, `SHOW transaction_isolation`); got != "repeatable read" {
			t.Errorf("isolation is %q", got)
		}
		_, err := tx.Exec(t.Context(), `UPDATE counter SET n = 1`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := counter(t, d.Pool, 1); n != 1 {
		t.Errorf("counter is %d", n)
	}
	requireClean(t, d.Pool)
}

func TestInTxRunsStoreCallsTogether(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		queries := d.Store.WithTx(tx)
		if err := createUser(t.Context(), queries, "usr_1", knownEmail); err != nil {
			return err
		}
		return createUser(t.Context(), queries, "usr_2", knownEmail)
	})
	if !db.Violates(err, store.ConstraintUserEmailUIdx) {
		t.Errorf("error is %v", err)
	}
	if _, err := d.Store.GetUser(t.Context(), "usr_1"); !db.IsNotFound(err) {
		t.Errorf("the first of two calls took effect: %v", err)
	}
}

func TestInTxReturnsTheErrorOfFnAndRollsBack(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	mine := errors.New("mine")
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		mustExec(t, tx, `UPDATE counter SET n = 1`)
		return mine
	})
	if err != mine { // as it is, not wrapped
		t.Errorf("error is %v", err)
	}
	if n := counter(t, d.Pool, 1); n != 0 {
		t.Errorf("counter is %d", n)
	}
	requireClean(t, d.Pool)
}

func TestInTxRollsBackWhenFnPanicsOrExits(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	leave := func(how func()) {
		_ = db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
			mustExec(t, tx, `UPDATE counter SET n = 1`)
			how()
			return nil
		})
	}

	func() {
		defer func() {
			if r := recover(); r != "at the disco" {
				t.Errorf("recovered %v", r)
			}
		}()
		leave(func() { panic("at the disco") })
	}()
	requireClean(t, d.Pool)

	var wg sync.WaitGroup
	wg.Go(func() { leave(runtime.Goexit) })
	wg.Wait()
	requireClean(t, d.Pool)

	if n := counter(t, d.Pool, 1); n != 0 {
		t.Errorf("counter is %d", n)
	}
}

func TestInTxTriesASerializationFailureAgain(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	var calls int
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		calls++
		n := scalar[int](t, tx, `SELECT n FROM counter WHERE id = 1`)
		if calls == 1 {
			mustExec(t, d.Pool, `UPDATE counter SET n = n + 10 WHERE id = 1`)
		}
		_, err := tx.Exec(t.Context(), `UPDATE counter SET n = $1 WHERE id = 1`, n+1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := counter(t, d.Pool, 1); calls != 2 || n != 11 {
		t.Errorf("counter is %d after %d calls, want 11 after 2", n, calls)
	}
}

// Each of two transactions reads what the other one writes; the server finds out at COMMIT.
func TestInTxTriesASerializationFailureAtCommitAgain(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	var calls int
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
		calls++
		sum := scalar[int](t, tx, `SELECT sum(n) FROM counter`)
		if calls == 1 {
			other, err := d.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.Serializable})
			if err != nil {
				return err
			}
			defer other.Rollback(context.WithoutCancel(t.Context()))
			scalar[int](t, other, `SELECT sum(n) FROM counter`)
			mustExec(t, other, `INSERT INTO counter VALUES (3, 5)`)
			mustExec(t, tx, `INSERT INTO counter VALUES (4, $1)`, sum+1)
			return other.Commit(t.Context())
		}
		_, err := tx.Exec(t.Context(), `INSERT INTO counter VALUES (4, $1)`, sum+1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := counter(t, d.Pool, 4); calls != 2 || n != 6 {
		t.Errorf("the sum is %d after %d calls, want 6 after 2", n, calls)
	}
}

func TestInTxTriesADeadlockAgain(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	var (
		wg       sync.WaitGroup
		calls    atomic.Int32
		bothHold sync.WaitGroup
	)
	bothHold.Add(2)
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		wg.Go(func() {
			first := true
			err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
				calls.Add(1)
				if _, err := tx.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE id = $1`, order[0]); err != nil {
					return err
				}
				if first {
					first = false
					bothHold.Done()
					bothHold.Wait()
				}
				_, err := tx.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE id = $1`, order[1])
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := calls.Load(); n < 3 { // on a slow machine one may be the victim twice
		t.Errorf("fn ran %d times, want 3: two and the one that was the victim", n)
	}
	if a, b := counter(t, d.Pool, 1), counter(t, d.Pool, 2); a != 2 || b != 2 {
		t.Errorf("counters are %d and %d, want 2 and 2", a, b)
	}
	requireClean(t, d.Pool)
}

func TestInTxLosesNoIncrementUnderContention(t *testing.T) {
	t.Parallel()
	const workers, each = 4, 10
	d := newCounters(t, testdb.Options{MaxConns: workers})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				err := db.InTx(t.Context(), d.Pool, db.TxOptions{IsoLevel: pgx.Serializable, Attempts: 1000, MaxBackoff: 20 * time.Millisecond},
					func(tx pgx.Tx) error {
						var n int
						if err := tx.QueryRow(t.Context(), `SELECT n FROM counter WHERE id = 1`).Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec(t.Context(), `UPDATE counter SET n = $1 WHERE id = 1`, n+1)
						return err
					})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := counter(t, d.Pool, 1); n != workers*each {
		t.Errorf("counter is %d, want %d", n, workers*each)
	}
}

func TestInTxGivesUpAfterTheLastAttempt(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	conflict := &pgconn.PgError{Severity: "ERROR", Code: "40001", Message: "conflict"}
	for attempts, want := range map[int]int{0: db.DefaultTxAttempts, 3: 3, 1: 1, -1: 1} {
		calls := 0
		err := db.InTx(t.Context(), d.Pool, db.TxOptions{Attempts: attempts, MinBackoff: time.Microsecond, MaxBackoff: time.Millisecond},
			func(pgx.Tx) error {
				calls++
				return conflict
			})
		if calls != want || !errors.Is(err, conflict) {
			t.Errorf("Attempts %d: %d calls, error %v", attempts, calls, err)
		}
		if want > 1 != strings.Contains(err.Error(), "attempt ") {
			t.Errorf("Attempts %d: error is %q", attempts, err)
		}
	}
}

func TestInTxTriesNothingElseAgain(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	for _, sql := range []string{
		`INSERT INTO counter VALUES (1, 0)`,
		`SELECT 1/0`,
		`SELECT nothing`,
		`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40002'; END $$`,
		`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '55P03'; END $$`,
	} {
		calls := 0
		err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
			calls++
			_, err := tx.Exec(t.Context(), sql)
			return err
		})
		if calls != 1 || err == nil {
			t.Errorf("%s: %d calls, error %v", sql, calls, err)
		}
	}
	requireClean(t, d.Pool)
}

func TestInTxStopsPausingWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conflict := &pgconn.PgError{Severity: "ERROR", Code: "40P01", Message: "deadlock"}
	start := time.Now()
	err := db.InTx(ctx, d.Pool, db.TxOptions{MinBackoff: time.Hour, MaxBackoff: time.Hour}, func(pgx.Tx) error {
		time.AfterFunc(50*time.Millisecond, cancel)
		return conflict
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, conflict) {
		t.Errorf("error is %v, want the context's and the conflict", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("InTx returned after %s", took)
	}
	requireClean(t, d.Pool)
}

// A transaction in which a statement failed can only be rolled back, whatever fn thinks.
func TestInTxReportsAnErrorThatFnSwallowed(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		_, _ = tx.Exec(t.Context(), `SELECT 1/0`)
		return nil
	})
	if !errors.Is(err, pgx.ErrTxCommitRollback) || errors.Is(err, db.ErrCommitUnknown) {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
}

func TestInTxReportsThatFnEndedTheTransaction(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error { return tx.Rollback(t.Context()) })
	if !errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, db.ErrCommitUnknown) {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
}

// The server says at COMMIT what it thinks of a deferred constraint, and that nothing was committed.
func TestInTxReturnsADeferredViolationAsSuch(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	mustExec(t, d.Pool, `
		UPDATE counter SET n = id;
		ALTER TABLE counter ADD CONSTRAINT counter_n_uidx UNIQUE (n) DEFERRABLE INITIALLY DEFERRED`)
	calls := 0
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		calls++
		_, err := tx.Exec(t.Context(), `UPDATE counter SET n = 7`)
		return err
	})
	if !db.Violates(err, "counter_n_uidx") || errors.Is(err, db.ErrCommitUnknown) || calls != 1 {
		t.Errorf("error is %v after %d calls", err, calls)
	}
	requireClean(t, d.Pool)
}

func TestInTxDoesNotCommitOnceItsContextHasEnded(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := db.InTx(ctx, d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		mustExec(t, tx, `UPDATE counter SET n = 1`)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, db.ErrCommitUnknown) {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
	if n := counter(t, d.Pool, 1); n != 0 {
		t.Errorf("counter is %d", n)
	}
}

func TestInTxRollsBackWithAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	pid := uint32(0)
	err := db.InTx(ctx, d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		pid = tx.Conn().PgConn().PID()
		mustExec(t, tx, `UPDATE counter SET n = 1`)
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
	if !scalar[bool](t, d.Pool, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, pid) {
		t.Error("the connection was thrown away, though nothing was wrong with it")
	}
}

func TestInTxPassesItsContextToBegin(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{MaxConns: 1})
	only, err := d.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = db.InTx(ctx, d.Pool, db.TxOptions{}, func(pgx.Tx) error {
		t.Error("fn ran")
		return nil
	})
	only.Release()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
}

// The connection breaks at COMMIT: whether the server has got the message or only its answer is lost, the client can't tell.
func TestInTxReportsALostCommitAsUnknownAndDoesNotRepeatIt(t *testing.T) {
	t.Parallel()
	for name, delivered := range map[string]bool{"before the server has it": false, "after the server has done it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newCounters(t, testdb.Options{})
			p, address := cutAt(t, commitMessage, d.URL, delivered)
			pool := openPool(t, address, db.Options{MaxConns: 1})

			calls := 0
			err := db.InTx(t.Context(), pool, db.TxOptions{}, func(tx pgx.Tx) error {
				calls++
				_, err := tx.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE id = 1`)
				return err
			})
			if !errors.Is(err, db.ErrCommitUnknown) {
				t.Errorf("error is %v, want ErrCommitUnknown", err)
			}
			if db.IsTransient(err) {
				t.Error("a commit whose outcome is unknown is taken for one that can be tried again")
			}
			if calls != 1 || p.cutCount() != 1 {
				t.Errorf("fn ran %d times, COMMIT was sent %d times", calls, p.cutCount())
			}
			requireClean(t, d.Pool)
			want := 0
			if delivered {
				want = 1
			}
			if n := counter(t, d.Pool, 1); n != want {
				t.Errorf("counter is %d, want %d", n, want)
			}
			requireClean(t, pool) // which goes on with another connection
		})
	}
}

// slowCommit makes COMMIT last until the session is interrupted.
func slowCommit(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	mustExec(t, pool, `
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON counter DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
}

// whenCommitting runs do with the process id of the session that is at COMMIT.
func whenCommitting(t *testing.T, pool *pgxpool.Pool, do func(pid int)) {
	for t.Context().Err() == nil {
		var pid int
		err := pool.QueryRow(t.Context(), `
			SELECT coalesce(max(pid), 0)
			FROM pg_stat_activity
			WHERE datname = current_database()
			    AND query = 'commit'
			    AND wait_event = 'PgSleep'`).Scan(&pid)
		if err != nil {
			t.Error(err)
			return
		}
		if pid != 0 {
			do(pid)
			return
		}
		runtime.Gosched()
	}
}

func TestInTxReportsACommitThatIsTerminatedAsUnknown(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	slowCommit(t, d.Pool)
	var wg sync.WaitGroup
	wg.Go(func() {
		whenCommitting(t, d.Pool, func(pid int) {
			if _, err := d.Pool.Exec(t.Context(), `SELECT pg_terminate_backend($1)`, pid); err != nil {
				t.Error(err)
			}
		})
	})
	calls := 0
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		calls++
		_, err := tx.Exec(t.Context(), `UPDATE counter SET n = 1 WHERE id = 1`)
		return err
	})
	wg.Wait()
	if !errors.Is(err, db.ErrCommitUnknown) || db.IsTransient(err) || calls != 1 {
		t.Errorf("error is %v after %d calls", err, calls)
	}
	requireClean(t, d.Pool)
}

func TestInTxReportsACommitThatIsCancelledAsUnknown(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	slowCommit(t, d.Pool)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { whenCommitting(t, d.Pool, func(int) { cancel() }) })
	calls := 0
	err := db.InTx(ctx, d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		calls++
		_, err := tx.Exec(t.Context(), `UPDATE counter SET n = 1 WHERE id = 1`)
		return err
	})
	wg.Wait()
	if !errors.Is(err, db.ErrCommitUnknown) || !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("error is %v after %d calls", err, calls)
	}
	requireClean(t, d.Pool)
	if n := counter(t, d.Pool, 1); n != 0 {
		t.Errorf("counter is %d", n)
	}
}

// An error that leaves the connection open is an answer: the server has rolled back.
func TestInTxReturnsAStatementCancelledAtCommitAsSuch(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	slowCommit(t, d.Pool)
	var wg sync.WaitGroup
	wg.Go(func() {
		whenCommitting(t, d.Pool, func(pid int) {
			if _, err := d.Pool.Exec(t.Context(), `SELECT pg_cancel_backend($1)`, pid); err != nil {
				t.Error(err)
			}
		})
	})
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE counter SET n = 1 WHERE id = 1`)
		return err
	})
	wg.Wait()
	if !db.IsTimeout(err) || errors.Is(err, db.ErrCommitUnknown) {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
}

// COMMIT was never sent on a connection that was lost before, so nothing is unknown about it.
func TestInTxKnowsThatAConnectionWasLostBeforeCommit(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		mustExec(t, tx, `UPDATE counter SET n = 1 WHERE id = 1`)
		return tx.Conn().Close(t.Context())
	})
	if !errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, db.ErrCommitUnknown) {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
}

func TestInTxReportsRowsLeftOpen(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Query(t.Context(), `SELECT generate_series(1, 3)`)
		return err
	})
	if err == nil || errors.Is(err, db.ErrCommitUnknown) || !strings.Contains(err.Error(), "busy") {
		t.Errorf("error is %v", err)
	}
	requireClean(t, d.Pool)
}

// refusingPool answers COMMIT with an error of the server's, after a rollback.
type refusingPool struct {
	*pgxpool.Pool
	err error
}

type refusingTx struct {
	pgx.Tx
	err error
}

func (p refusingPool) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	tx, err := p.Pool.BeginTx(ctx, opts)
	return refusingTx{tx, p.err}, err
}

func (tx refusingTx) Commit(ctx context.Context) error {
	if err := tx.Rollback(ctx); err != nil {
		return err
	}
	return tx.err
}

// Not every 40001 is an answer: a standby that ends the connection for the sake of recovery says so too.
func TestInTxTellsAnswersAtCommitFromTheEndOfTheConnection(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	for _, test := range []struct {
		severity, code string
		calls          int
		unknown        bool
	}{
		{"ERROR", "40001", 3, false},
		{"ERROR", "40P01", 3, false},
		{"ERROR", "23505", 1, false},
		{"ERROR", "40003", 1, true},
		{"ERROR", "08007", 1, true},
		{"FATAL", "40001", 1, true},
		{"FATAL", "57P01", 1, true},
		{"PANIC", "XX000", 1, true},
	} {
		calls := 0
		pool := refusingPool{d.Pool, &pgconn.PgError{Severity: test.severity, Code: test.code}}
		err := db.InTx(t.Context(), pool, db.TxOptions{Attempts: 3, MaxBackoff: time.Millisecond}, func(pgx.Tx) error {
			calls++
			return nil
		})
		if calls != test.calls || errors.Is(err, db.ErrCommitUnknown) != test.unknown || !errors.Is(err, pool.err) {
			t.Errorf("%s %s: %v after %d calls", test.severity, test.code, err, calls)
		}
	}
}
