package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/store"
)

// No test of the package may leave a goroutine behind: of a call that was given up, say.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// otherSession is a connection to the database that the pool doesn't know, in a transaction. The server ends it before long,
// lest a call that doesn't heed its context wait for it for ever.
func (w *world) otherSession() pgx.Tx {
	w.Helper()
	conn, err := pgx.ConnectConfig(w.ctx, w.pool.Config().ConnConfig)
	w.ok(err)
	w.Cleanup(func() { conn.Close(context.WithoutCancel(w.ctx)) })
	tx, err := conn.Begin(w.ctx)
	w.ok(err)
	_, err = tx.Exec(w.ctx, "SET LOCAL idle_in_transaction_session_timeout = '20s'")
	w.ok(err)
	return tx
}

// lockTables holds a lock that no call gets past, until the returned function is called.
func (w *world) lockTables() (unlock func()) {
	w.Helper()
	tx := w.otherSession()
	_, err := tx.Exec(w.ctx, `LOCK TABLE "`+strings.Join(tables, `", "`)+`" IN ACCESS EXCLUSIVE MODE`)
	w.ok(err)
	return func() { w.ok(tx.Rollback(w.ctx)) }
}

// activity counts the sessions on the database, but for the one that asks, that match a condition.
func (w *world) activity(tx pgx.Tx, condition string) (n int) {
	w.Helper()
	w.ok(tx.QueryRow(w.ctx, `
		SELECT count(*)
		FROM pg_stat_activity AS a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND `+condition).Scan(&n))
	return n
}

// until waits for a condition to come true.
func (w *world) until(what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not within 10 seconds: %s", what)
		}
	}
}

// settled fails the test unless, soon, nothing is left of the calls that it has made: no connection that is still acquired,
// no statement that still runs, no transaction that is open. It does without the pool, which might be what is stuck.
func (w *world) settled() {
	w.Helper()
	observer := w.otherSession()
	w.until("no connection is acquired", func() bool { return w.pool.Stat().AcquiredConns() == 0 }) // the pool closes broken ones by and by
	w.until("every session is idle", func() bool {
		return w.activity(observer, "a.backend_type = 'client backend' AND a.state <> 'idle'") == 0
	})
	w.ok(observer.Rollback(w.ctx))
	w.ok(w.pool.Ping(w.ctx))
}

func TestEveryCallReturnsTheErrorOfAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	w.unchanged(func() {
		for _, c := range anyCalls(w.q) {
			if err := c.call(cancelled, c.newArg()); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want context.Canceled", c.name, err)
			}
			if err := c.call(late, c.newArg()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want context.DeadlineExceeded", c.name, err)
			}
		}
	})
	w.settled()
}

func TestEveryCallThatWaitsForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	before := w.snapshot()
	unlock := w.lockTables()
	calls := make(chan anyCall)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for c := range calls {
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Millisecond)
				start := time.Now()
				err := c.call(ctx, c.newArg())
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: got %v, want context.DeadlineExceeded", c.name, err)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s returned only after %s", c.name, took)
				}
			}
		})
	}
	for _, c := range anyCalls(w.q) {
		calls <- c
	}
	close(calls)
	wg.Wait()
	unlock()
	w.settled()
	if diff := changed(before, w.snapshot()); len(diff) > 0 {
		t.Errorf("calls that had ended all the same wrote %v", diff)
	}
}

// What a call is in the middle of when its context is cancelled.
func TestCallCancelledWhileItWaitsForARowChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	authorization, code := w.grant()
	for name, c := range map[string]struct {
		lock string
		call func(context.Context) error
	}{
		"DeleteUser": {`SELECT FROM "user" FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.DeleteUser(ctx, w.user)
			return err
		}},
		"UpdateUser": {`SELECT FROM "user" FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.UpdateUser(ctx, store.UpdateUserParams{ID: w.user, Name: ptr("Bob")})
			return err
		}},
		"CreateSession": {`SELECT FROM "user" FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.CreateSession(ctx, store.CreateSessionParams{ID: "x", UserID: w.user, Token: digest("x")})
			return err
		}},
		"ExtendSession": {`SELECT FROM session FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.ExtendSession(ctx, store.ExtendSessionParams{ID: w.session, Lifetime: 9 * time.Hour})
			return err
		}},
		"EndSession": {`SELECT FROM oauth_authorization FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.EndSession(ctx, w.session)
			return err
		}},
		"DisableClient": {`SELECT FROM oauth_client FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.DisableClient(ctx, w.client)
			return err
		}},
		"RedeemAuthorizationCode": {`SELECT FROM oauth_authorization FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.RedeemAuthorizationCode(ctx, w.redeemParams(code))
			return err
		}},
		"RevokeAuthorization": {`SELECT FROM oauth_authorization FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.q.RevokeAuthorization(ctx, authorization)
			return err
		}},
		"RememberClientAssertion": {
			`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ('` + string(digest("x")) + `', now())`,
			func(ctx context.Context) error {
				_, err := w.q.RememberClientAssertion(ctx, store.RememberClientAssertionParams{ID: digest("x"), ExpiresAt: time.Now()})
				return err
			},
		},
	} {
		other := w.otherSession()
		_, err := other.Exec(w.ctx, c.lock)
		w.ok(err)
		w.unchanged(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answer := make(chan error, 1)
			go func() { answer <- c.call(ctx) }()
			w.until(name+" waits for the lock", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
			cancel()
			select {
			case err := <-answer:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: got %v, want context.Canceled", name, err)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: cancelled, and still waiting", name)
			}
			// The server too is told: the statement must not get the lock after all.
			w.until("the server has given up "+name, func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 0 })
			w.ok(other.Rollback(w.ctx))
			w.settled()
		})
	}
}

func TestCallCancelledInATransactionLeavesNoneOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	unlock := func() {}
	w.unchanged(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			q := w.q.WithTx(tx)
			if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: "bob", Email: "bob@example.com"}); err != nil {
				return err
			}
			other := w.otherSession()
			if _, err := other.Exec(w.ctx, `SELECT FROM oauth_client FOR UPDATE`); err != nil {
				return err
			}
			unlock = func() { w.ok(other.Rollback(w.ctx)) }
			_, err := q.DisableClient(ctx, w.client)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
		unlock()
		w.settled()
	})
}

func TestCallThatFindsNoFreeConnectionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	busy, err := w.pool.Acquire(t.Context())
	w.ok(err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.q.GetUser(ctx, w.user); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	busy.Release()
	_, err = w.q.GetUser(t.Context(), w.user)
	w.ok(err)
	w.settled()
}

// A call that has failed on the server has its connection back in the pool before it returns.
func TestCallThatFailsLeaksNoConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for range 20 {
		if _, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: w.user, Email: "x@example.com"}); err == nil {
			t.Fatal("a second user has the same id")
		}
		_, err := w.q.GetUser(w.ctx, "nobody")
		w.none(err)
		if _, err := w.q.ListUsers(w.ctx, store.ListUsersParams{PageSize: -1}); err == nil {
			t.Fatal("a page of negative size was given")
		}
	}
	w.settled()
}
