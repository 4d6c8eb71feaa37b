package race

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// The tests in this file stop calls halfway, by locks that they hold, to look where the calls wait and to let them go on in an
// order of the test's choice. What the races find by chance, these tests do every time.

// lockHolder is a transaction of a test, and what it holds.
type lockHolder struct {
	pgx.Tx
	w    *world
	q    *store.Queries
	free func() // gives the connection back; nil once it has been
}

// holdingRows begins a transaction and runs a statement in it.
func (w *world) holdingRows(sql string, args ...any) *lockHolder {
	w.Helper()
	h := w.transaction()
	_, err := h.Exec(w.Ctx, sql, args...)
	w.OK(err)
	return h
}

// transaction begins a transaction for calls.
func (w *world) transaction() *lockHolder {
	w.Helper()
	conn, err := w.Pool.Acquire(w.Ctx)
	w.OK(err)
	tx, err := conn.Begin(w.Ctx)
	w.OK(err)
	h := &lockHolder{tx, w, w.Q.WithTx(tx), conn.Release}
	w.Cleanup(func() {
		if h.free != nil {
			tx.Rollback(context.WithoutCancel(w.Ctx))
			h.free()
		}
	})
	return h
}

func (h *lockHolder) release() {
	h.w.Helper()
	h.w.OK(h.Rollback(h.w.Ctx))
	h.free()
	h.free = nil
}

// commits ends the transaction for good.
func (h *lockHolder) commits() {
	h.w.Helper()
	h.w.OK(h.Commit(h.w.Ctx))
	h.free()
	h.free = nil
}

// startedCall is a call that runs beside the test.
type startedCall struct {
	w    *world
	name string
	pid  string // an expression
	done chan error
	err  error
	over bool
}

// starts lets a call run on a connection of its own.
func (w *world) starts(name string, call func(q *store.Queries) error) *startedCall {
	w.Helper()
	return w.startsOn(name, func(tx pgx.Tx) error { return call(store.New(tx)) }, true)
}

// startsOn lets work run in a transaction of its own, which is committed or undone after it.
func (w *world) startsOn(name string, work func(tx pgx.Tx) error, commit bool) *startedCall {
	w.Helper()
	conn, err := w.Pool.Acquire(w.Ctx)
	w.OK(err)
	c := &startedCall{w: w, name: name, pid: w.Backend(conn.Conn()), done: make(chan error, 1)}
	go func() {
		defer conn.Release()
		tx, err := conn.Begin(w.Ctx)
		if err == nil {
			if err = work(tx); err == nil && commit {
				err = tx.Commit(w.Ctx)
			} else {
				err = errors.Join(err, tx.Rollback(w.Ctx))
			}
		}
		c.done <- err
	}()
	return c
}

// ended says whether the call has returned.
func (c *startedCall) ended() bool {
	select {
	case c.err = <-c.done:
		c.over = true
	default:
	}
	return c.over
}

// waits says for a row of which table the call waits, or "" once it has returned. For a row lock a backend queues by a lock of
// type tuple, which it holds, or waits for, while it waits for the transaction that has the row.
func (c *startedCall) waits() string {
	c.w.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if c.ended() {
			return ""
		}
		var blocked bool
		var table *string
		c.w.OK(c.w.Pool.QueryRow(c.w.Ctx, `
			SELECT coalesce(cardinality(pg_blocking_pids(b.pid)) > 0, false),
				(SELECT l.relation::regclass::text FROM pg_locks AS l WHERE l.pid = b.pid AND l.locktype = 'tuple' LIMIT 1)
			FROM (SELECT `+c.pid+` AS pid) AS b`).Scan(&blocked, &table))
		if blocked && table != nil {
			return strings.Trim(*table, `"`)
		}
	}
	c.w.Fatalf("%s neither waits for a row nor returns", c.name)
	return ""
}

// wantWaiting fails the test unless the call waits for a row of a table.
func (c *startedCall) wantWaiting(table string) {
	c.w.Helper()
	if at := c.waits(); at != table {
		c.w.Fatalf("%s waits at %q, want %q; its error: %v", c.name, at, table, c.err)
	}
}

// returns waits for the call to return.
func (c *startedCall) returns() error {
	c.w.Helper()
	if !c.over {
		select {
		case c.err = <-c.done:
			c.over = true
		case <-time.After(20 * time.Second):
			c.w.Fatalf("%s does not return", c.name)
		}
	}
	return c.err
}

// succeeds waits for the call to return, without an error.
func (c *startedCall) succeeds() {
	c.w.Helper()
	c.w.Raced(c.name, c.returns())
}

// isDeadlock says whether an error is that of the one whom PostgreSQL chose to resolve a deadlock.
func isDeadlock(err error) bool {
	e, found := errors.AsType[*pgconn.PgError](err)
	return found && e.Code == "40P01"
}

// TestLockOrderParentsFirst keeps the reason why parents come first: deleting a session by hand locks it, and then its foreign keys want the
// families and tokens. A call that begins with the token meets that head-on; RotateRefreshToken doesn't.
func TestLockOrderParentsFirst(t *testing.T) {
	t.Parallel()
	t.Run("the token and then the session deadlock", func(t *testing.T) {
		t.Parallel()
		w := newLockWorld(t, 5)
		s := w.newScene(true, false)
		one := w.holdingRows(`UPDATE oauth_refresh_token SET updated_at = now() WHERE id = $1`, s.at.refreshID)
		two := w.startsOn("DELETE", func(tx pgx.Tx) error {
			_, err := tx.Exec(w.Ctx, `DELETE FROM session WHERE id = $1`, s.session)
			return err
		}, true)
		two.wantWaiting("oauth_refresh_token")
		_, err := one.Exec(w.Ctx, `SELECT FROM session WHERE id = $1 FOR KEY SHARE`, s.session)
		one.release()
		if isDeadlock(err) == isDeadlock(two.returns()) {
			t.Errorf("errors %v and %v, want one deadlock", err, two.err)
		}
	})
	t.Run("RotateRefreshToken waits for the session and holds nothing that its DELETE wants", func(t *testing.T) {
		t.Parallel()
		w := newRaceWorld(t, 5)
		s := w.newScene(true, false)
		held := w.holdingRows(`SELECT FROM oauth_refresh_token WHERE id = $1 FOR UPDATE`, s.at.refreshID)
		del := w.startsOn("DELETE", func(tx pgx.Tx) error {
			_, err := tx.Exec(w.Ctx, `DELETE FROM session WHERE id = $1`, s.session)
			return err
		}, true)
		del.wantWaiting("oauth_refresh_token")
		rotate := w.starts("RotateRefreshToken", func(q *store.Queries) error {
			_, err := q.RotateRefreshToken(w.Ctx, s.rotation(s.at.refresh, "next", "at"))
			return err
		})
		rotate.wantWaiting("session")
		held.release()
		del.succeeds()
		rotate.succeeds()
		w.WantDead(s.at.refresh, "next", "at")
	})
}

// TestDeletesByHandMayDeadlock keeps the reason why the tests let one DELETE of another server's run at a time. Each locks the families that it
// finds in the order of an index: that of the client's has the time and the id, that of the session's the place in the table. The calls that end
// sessions, clients and users lock no families.
func TestDeletesByHandMayDeadlock(t *testing.T) {
	t.Parallel()
	w := newLockWorld(t, 7)
	s := w.newScene(true, false)
	const columns = `kind, scopes, status, user_id, granted_scopes, bound, user_epoch, client_epoch, pair_epoch, decided_at, created_at`
	for _, f := range []struct{ id, client, session string }{ // as they lie in the table
		{"1", string(s.client), string(s.other)},
		{"4", string(s.exchanger), string(s.other)},
		{"2", string(s.exchanger), string(s.other)},
		{"3", string(s.exchanger), string(s.session)},
	} {
		w.Exec(`INSERT INTO oauth_authorization (id, client_id, session_id, `+columns+`) SELECT $1, $2, $3, `+columns+` FROM oauth_authorization WHERE id = $4`,
			f.id, f.client, f.session, s.at.id)
	}
	holding := func(family string) *lockHolder {
		return w.holdingRows(`SELECT FROM oauth_authorization WHERE id = $1 FOR UPDATE`, family)
	}
	deleting := func(name, sql string, arg any) *startedCall {
		return w.startsOn(name, func(tx pgx.Tx) error {
			_, err := tx.Exec(w.Ctx, sql, arg)
			return err
		}, true)
	}
	one, three := holding("1"), holding("3")
	session := deleting("DELETE of the session", `DELETE FROM session WHERE id = $1`, s.other)
	session.wantWaiting("oauth_authorization") // for 1; then come 4 and 2
	client := deleting("DELETE of the client", `DELETE FROM oauth_client WHERE client_id = $1`, s.exchanger)
	client.wantWaiting("oauth_authorization") // for 3; it has 2, and then comes 4
	one.release()
	session.wantWaiting("oauth_authorization") // for 2; it has 4
	three.release()
	if errs := []error{session.returns(), client.returns()}; isDeadlock(errs[0]) == isDeadlock(errs[1]) {
		t.Errorf("errors %v, want one deadlock", errs)
	}
}
