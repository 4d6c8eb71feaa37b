package calls

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// otherSession is a connection to the database that the pool doesn't know, in a transaction. The server ends it before long,
// lest a call that doesn't heed its context wait for it for ever.
func (w *world) otherSession() pgx.Tx {
	w.Helper()
	conn, err := pgx.ConnectConfig(w.Ctx, w.Pool.Config().ConnConfig)
	w.OK(err)
	w.Cleanup(func() { conn.Close(context.WithoutCancel(w.Ctx)) })
	tx, err := conn.Begin(w.Ctx)
	w.OK(err)
	_, err = tx.Exec(w.Ctx, "SET LOCAL idle_in_transaction_session_timeout = '20s'")
	w.OK(err)
	return tx
}

// lockTables holds a lock that no call gets past, until the returned function is called.
func (w *world) lockTables() (unlock func()) {
	w.Helper()
	tx := w.otherSession()
	_, err := tx.Exec(w.Ctx, `LOCK TABLE "`+strings.Join(fixture.Tables, `", "`)+`" IN ACCESS EXCLUSIVE MODE`)
	w.OK(err)
	return func() { w.OK(tx.Rollback(w.Ctx)) }
}

// activity counts the sessions on the database, but for the one that asks, that match a condition.
func (w *world) activity(tx pgx.Tx, condition string) (n int) {
	w.Helper()
	_, err := tx.Exec(w.Ctx, `SELECT pg_stat_clear_snapshot()`) // which a transaction takes once
	w.OK(err)
	w.OK(tx.QueryRow(w.Ctx, `
		SELECT count(*)
		FROM pg_stat_activity AS a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND `+condition).Scan(&n))
	return n
}

// settled fails the test unless, soon, nothing is left of the calls that it has made: no connection that is still acquired,
// no statement that still runs, no transaction that is open. It does without the pool, which might be what is stuck.
func (w *world) settled() {
	w.Helper()
	observer := w.otherSession()
	w.Until("no connection is acquired", func() bool { return w.Pool.Stat().AcquiredConns() == 0 }) // the pool closes broken ones by and by
	w.Until("every session is idle", func() bool {
		return w.activity(observer, "a.backend_type = 'client backend' AND a.state <> 'idle'") == 0
	})
	w.OK(observer.Rollback(w.Ctx))
	w.OK(w.Pool.Ping(w.Ctx))
}

func TestEveryCallReturnsTheErrorOfAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	w.Unchanged(func() {
		for _, c := range fixture.AnyCalls(w.Q) {
			if err := c.Call(cancelled, c.NewArg()); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want context.Canceled", c.Name, err)
			}
			if err := c.Call(late, c.NewArg()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want context.DeadlineExceeded", c.Name, err)
			}
		}
	})
	w.settled()
}

func TestEveryCallThatWaitsForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	before := w.Snapshot()
	unlock := w.lockTables()
	calls := make(chan fixture.AnyCall)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for c := range calls {
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Millisecond)
				start := time.Now()
				err := c.Call(ctx, c.NewArg())
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: got %v, want context.DeadlineExceeded", c.Name, err)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s returned only after %s", c.Name, took)
				}
			}
		})
	}
	for _, c := range fixture.AnyCalls(w.Q) {
		calls <- c
	}
	close(calls)
	wg.Wait()
	unlock()
	w.settled()
	if diff := fixture.Changed(before, w.Snapshot()); len(diff) > 0 {
		t.Errorf("calls that had ended all the same wrote %v", diff)
	}
}

// What a call is in the middle of when its context is cancelled.
func TestCallCancelledWhileItWaitsForARowChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	authorization, code := w.Grant()
	for name, c := range map[string]struct {
		lock string
		call func(context.Context) error
	}{
		"DeleteUser": {`SELECT FROM "user" FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.DeleteUser(ctx, w.User)
			return err
		}},
		"UpdateUser": {`SELECT FROM "user" FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.UpdateUser(ctx, store.UpdateUserParams{ID: w.User, Name: new("Bob")})
			return err
		}},
		"CreateSession": {`SELECT FROM "user" FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.CreateSession(ctx, store.CreateSessionParams{ID: "x", UserID: w.User, Token: fixture.Digest("x")})
			return err
		}},
		"ExtendSession": {`SELECT FROM session FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.ExtendSession(ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: 9 * time.Hour})
			return err
		}},
		"EndSession": {`SELECT FROM session FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.EndSession(ctx, w.Session)
			return err
		}},
		"DisableClient": {`SELECT FROM oauth_client FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.DisableClient(ctx, w.Client)
			return err
		}},
		"RedeemAuthorizationCode": {`SELECT FROM oauth_authorization FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.RedeemAuthorizationCode(ctx, w.RedeemParams(code))
			return err
		}},
		"RevokeAuthorization": {`SELECT FROM oauth_authorization FOR UPDATE`, func(ctx context.Context) error {
			_, err := w.Q.RevokeAuthorization(ctx, authorization)
			return err
		}},
		"RememberClientAssertion": {
			`INSERT INTO oauth_client_assertion (id, expires_at) VALUES ('` + string(fixture.Digest("x")) + `', now())`,
			func(ctx context.Context) error {
				_, err := w.Q.RememberClientAssertion(ctx, store.RememberClientAssertionParams{ID: fixture.Digest("x"), ExpiresAt: time.Now().Add(time.Hour).Unix(), MaxLifetime: fixture.Long})
				return err
			},
		},
	} {
		other := w.otherSession()
		_, err := other.Exec(w.Ctx, c.lock)
		w.OK(err)
		w.Unchanged(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answer := make(chan error, 1)
			go func() { answer <- c.call(ctx) }()
			w.Until(name+" waits for the lock", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
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
			w.Until("the server has given up "+name, func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 0 })
			w.OK(other.Rollback(w.Ctx))
			w.settled()
		})
	}
}

func TestCallCancelledInATransactionLeavesNoneOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	unlock := func() {}
	w.Unchanged(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := pgx.BeginFunc(ctx, w.Pool, func(tx pgx.Tx) error {
			q := w.Q.WithTx(tx)
			if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: "bob", Email: new("bob@example.com")}); err != nil {
				return err
			}
			other := w.otherSession()
			if _, err := other.Exec(w.Ctx, `SELECT FROM oauth_client FOR UPDATE`); err != nil {
				return err
			}
			unlock = func() { w.OK(other.Rollback(w.Ctx)) }
			_, err := q.DisableClient(ctx, w.Client)
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
	busy, err := w.Pool.Acquire(t.Context())
	w.OK(err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.Q.GetUser(ctx, w.User); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	busy.Release()
	_, err = w.Q.GetUser(t.Context(), w.User)
	w.OK(err)
	w.settled()
}

// A call that has failed on the server has its connection back in the pool before it returns.
func TestCallThatFailsLeaksNoConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for range 20 {
		if _, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: w.User, Email: new("x@example.com")}); err == nil {
			t.Fatal("a second user has the same id")
		}
		_, err := w.Q.GetUser(w.Ctx, "nobody")
		w.None(err)
		if _, err := w.Q.ListUsers(w.Ctx, store.ListUsersParams{PageSize: -1}); err == nil {
			t.Fatal("a page of negative size was given")
		}
	}
	w.settled()
}
