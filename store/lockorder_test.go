package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// lockOrderWaits returns when a session of the world's database waits for a lock.
func (w *world) lockOrderWaits() {
	w.Helper()
	for range 500 {
		var waiting bool
		w.ok(w.pool.QueryRow(w.ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting))
		if waiting {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Fatal("nobody waits for a lock")
}

// TestTokenBeforeSessionDeadlocksWithTheSessionsEnd keeps the reason for the order of locks on record (docs/locking.md): a
// rotation that locked the token, then its family, and reached for the session last, by the foreign key of what it inserts,
// would meet the deletion of the session head-on.
func TestTokenBeforeSessionDeadlocksWithTheSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	tokens := w.redeem()
	tx, err := w.pool.Begin(w.ctx)
	w.ok(err)
	defer func() { _ = tx.Rollback(w.ctx) }()
	_, err = tx.Exec(w.ctx, `SELECT FROM oauth_refresh_token WHERE token = $1 FOR NO KEY UPDATE`, string(digest(tokens.refresh)))
	w.ok(err)
	_, err = tx.Exec(w.ctx, `SELECT FROM oauth_authorization WHERE id = $1 FOR NO KEY UPDATE`, string(tokens.authorization))
	w.ok(err)
	ended := make(chan error, 1)
	go func() {
		_, err := w.pool.Exec(w.ctx, `DELETE FROM session WHERE id = $1`, string(w.session))
		ended <- err
	}()
	w.lockOrderWaits()
	_, err = tx.Exec(w.ctx, `INSERT INTO oauth_access_token (id, client_id, session_id, scopes) VALUES ('x', $1, $2, '{}')`, string(w.client), string(w.session))
	_ = tx.Rollback(w.ctx)
	err = errors.Join(err, <-ended)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "40P01" {
		t.Errorf("the old order gave %v, want a deadlock (40P01)", err)
	}
}

// TestRotationWaitsForTheSessionsEndBeforeItLocksAnythingElse is the same meeting with the order that the calls keep.
func TestRotationWaitsForTheSessionsEndBeforeItLocksAnythingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	tokens := w.redeem() // with offline_access: it outlives the session
	tx, err := w.pool.Begin(w.ctx)
	w.ok(err)
	defer func() { _ = tx.Rollback(w.ctx) }()
	_, err = tx.Exec(w.ctx, `SELECT FROM session WHERE id = $1 FOR UPDATE`, string(w.session))
	w.ok(err)
	type answer struct {
		row store.RotateRefreshTokenRow
		err error
	}
	rotated := make(chan answer, 1)
	go func() {
		p, _ := w.rotateParams(tokens.refresh)
		row, err := w.q.RotateRefreshToken(w.ctx, p)
		rotated <- answer{row, err}
	}()
	w.lockOrderWaits()
	for _, row := range []string{
		`SELECT FROM oauth_refresh_token WHERE authorization_id = $1 FOR UPDATE NOWAIT`,
		`SELECT FROM oauth_authorization WHERE id = $1 FOR UPDATE NOWAIT`,
	} {
		_, err := tx.Exec(w.ctx, row, string(tokens.authorization)) // the waiting rotation holds neither
		w.ok(err)
	}
	_, err = tx.Exec(w.ctx, `DELETE FROM session WHERE id = $1`, string(w.session))
	w.ok(err)
	w.ok(tx.Commit(w.ctx))
	a := <-rotated
	w.ok(a.err)
	if a.row.Outcome != store.RotationOutcomeRotated || a.row.SessionID != nil {
		t.Errorf("after the session's end: %s in session %v, want rotated, in none", a.row.Outcome, a.row.SessionID)
	}
}
