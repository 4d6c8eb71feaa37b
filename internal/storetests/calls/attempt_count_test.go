package calls

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// attemptParams is an attempt for a subject, of which five are allowed in ten minutes.
func attemptParams(subject string) store.CountAttemptParams {
	return store.CountAttemptParams{Purpose: "password", Subject: fixture.Digest(subject), MaxAttempts: 5, AttemptWindow: 10 * time.Minute}
}

func (w *world) countAttempt(want store.Outcome, p store.CountAttemptParams) store.CountAttemptRow {
	w.Helper()
	row, err := w.Q.CountAttempt(w.Ctx, p)
	w.OK(err)
	w.want("CountAttempt", row.Outcome, want)
	return row
}

// attempts is how many were counted.
func (w *world) attempts(subject string) (n int64) {
	w.Helper()
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT coalesce(sum(attempts), 0) FROM attempt_count WHERE subject = $1`, string(fixture.Digest(subject))).Scan(&n))
	return n
}

func TestAttemptsAreCountedUpToTheirLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := attemptParams("ada")
	first := w.countAttempt(store.OutcomeCounted, p)
	if left := time.Until(first.ResetsAt); left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("the window ends in %s, want 10 minutes", left)
	}
	wantEqual(t, "attempts left", first.AttemptsLeft, 4)
	for left := int64(3); left >= 0; left-- {
		row := w.countAttempt(store.OutcomeCounted, p)
		wantEqual(t, "attempts left", row.AttemptsLeft, left)
		if !row.ResetsAt.Equal(first.ResetsAt) {
			t.Errorf("an attempt has moved the end of the window from %s to %s", first.ResetsAt, row.ResetsAt)
		}
	}
	for range 3 { // which prolong nothing
		row := w.countAttempt(store.OutcomeExhausted, p)
		if row.AttemptsLeft != 0 || !row.ResetsAt.Equal(first.ResetsAt) {
			t.Errorf("exhausted: %d left, until %s; want 0, until %s", row.AttemptsLeft, row.ResetsAt, first.ResetsAt)
		}
	}
	w.countAttempt(store.OutcomeCounted, attemptParams("bob"))
	other := p
	other.Purpose = "recovery"
	w.countAttempt(store.OutcomeCounted, other)
	// whoever allows more sees the same count
	more := p
	more.MaxAttempts = 9
	wantEqual(t, "attempts left of 9", w.countAttempt(store.OutcomeCounted, more).AttemptsLeft, 0)
	w.countAttempt(store.OutcomeExhausted, p)
}

func TestNewWindowBeginsWithTheFirstAttemptAfterTheOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := attemptParams("ada")
	for range 7 {
		_, err := w.Q.CountAttempt(w.Ctx, p)
		w.OK(err)
	}
	w.Exec(`UPDATE attempt_count SET resets_at = now()`)
	p.AttemptWindow = time.Hour
	row := w.countAttempt(store.OutcomeCounted, p)
	wantEqual(t, "attempts left", row.AttemptsLeft, 4)
	if left := time.Until(row.ResetsAt); left < 59*time.Minute {
		t.Errorf("the window ends in %s, want an hour", left)
	}
}

func TestResetForgetsWhatWasCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := attemptParams("ada")
	reset := store.ResetAttemptsParams{Purpose: p.Purpose, Subject: p.Subject}
	w.want("ResetAttempts", w.outcome(w.Q.ResetAttempts(w.Ctx, reset)), store.OutcomeUnknown)
	w.countAttempt(store.OutcomeCounted, p)
	w.countAttempt(store.OutcomeCounted, attemptParams("bob"))
	w.Unchanged(func() {
		w.want("ResetAttempts of another purpose", w.outcome(w.Q.ResetAttempts(w.Ctx, store.ResetAttemptsParams{Purpose: "recovery", Subject: p.Subject})), store.OutcomeUnknown)
	})
	w.want("ResetAttempts", w.outcome(w.Q.ResetAttempts(w.Ctx, reset)), store.OutcomeDeleted)
	wantEqual(t, "attempts left", w.countAttempt(store.OutcomeCounted, p).AttemptsLeft, 4)
	wantEqual(t, "of another", w.attempts("bob"), 1)
}

// A limit or a window that is left out would be none, so it is an error that names it.
func TestForgottenLimitIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.createCode("ada", "123456")
	for name, change := range map[string]func(limit *int32, window *time.Duration){
		"MaxAttempts is missing":             func(limit *int32, _ *time.Duration) { *limit = 0 },
		"MaxAttempts is missing or under 1":  func(limit *int32, _ *time.Duration) { *limit = -1 },
		"AttemptWindow is missing":           func(_ *int32, window *time.Duration) { *window = 0 },
		"AttemptWindow is missing or under ": func(_ *int32, window *time.Duration) { *window = -time.Hour },
		"AttemptWindow is without end":       func(_ *int32, window *time.Duration) { *window = store.Never },
	} {
		w.refused(func() {
			p, g := attemptParams("ada"), guessParams("ada", "123456")
			change(&p.MaxAttempts, &p.AttemptWindow)
			change(&g.MaxAttempts, &g.AttemptWindow)
			_, err := w.Q.CountAttempt(w.Ctx, p)
			_, other := w.Q.RedeemOneTimeCode(w.Ctx, g)
			for _, err := range []error{err, other} {
				if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, name) {
					t.Errorf("%v, want %s", err, name)
				}
			}
		})
	}
}

// rolledBack is a handler as many servers have it: each request is a transaction, and one that is answered by an error is rolled back.
func (w *world) rolledBack(request func(tx *store.Queries) error) {
	w.Helper()
	failed := errors.New("a wrong guess")
	err := pgx.BeginFunc(w.Ctx, w.Pool, func(tx pgx.Tx) error {
		w.OK(request(w.Q.WithTx(tx)))
		return failed
	})
	if !errors.Is(err, failed) {
		w.Fatal(err)
	}
}

// What counts, and what is spent, runs on the pool: there a handler that rolls back changes nothing. In its transaction the verdict would go
// with it, and guesses would never end.
func TestCallersRollbackForgetsNothingThatRanOnThePool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.createCode("ada", "right")
	for i, want := range []store.Outcome{
		store.OutcomeMismatched, store.OutcomeMismatched, store.OutcomeMismatched, store.OutcomeMismatched, store.OutcomeMismatched, store.OutcomeExhausted,
	} {
		w.rolledBack(func(tx *store.Queries) error {
			_, err := tx.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: fixture.Long})
			w.OK(err)
			w.redeemCode(want, guessParams("ada", fmt.Sprint("wrong", i)))
			return nil
		})
	}
	w.redeemCode(store.OutcomeExhausted, guessParams("ada", "right"))

	key := w.createPasskey(new(int64(5)))
	codes := w.replaceCodes("one")
	app := w.createTOTP(nil)
	for _, call := range []func(q *store.Queries) (store.Outcome, error){
		func(q *store.Queries) (store.Outcome, error) {
			r, err := q.UsePasskey(w.Ctx, store.UsePasskeyParams{ID: key, SignCount: 6})
			return r.Outcome, err
		},
		func(q *store.Queries) (store.Outcome, error) {
			r, err := q.UseRecoveryCode(w.Ctx, store.UseRecoveryCodeParams{UserID: w.User, Digest: codes[0]})
			return r.Outcome, err
		},
		func(q *store.Queries) (store.Outcome, error) {
			return q.UseTOTP(w.Ctx, store.UseTOTPParams{ID: app, UserID: w.User, Steps: []int64{7}})
		},
	} {
		w.rolledBack(func(tx *store.Queries) error { // which is why the contracts say so
			o, err := call(tx)
			w.want("in the request's transaction", o, store.OutcomeAccepted)
			return err
		})
		w.rolledBack(func(*store.Queries) error {
			o, err := call(w.Q)
			w.want("on the pool", o, store.OutcomeAccepted)
			return err
		})
		o, err := call(w.Q)
		w.OK(err)
		if o != store.OutcomeRegressed && o != store.OutcomeSpent {
			t.Errorf("what was spent on the pool is %s", o)
		}
	}
}

// Other calls whose verdict has to outlast the request.
func TestCallersRollbackRevivesNothingThatWasEndedOnThePool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	f := w.Redeem()
	w.Rotate(f.Refresh, store.OutcomeRotated)
	w.Rotate(fixture.SuccessorOf(f.Refresh), store.OutcomeRotated)
	last := fixture.SuccessorOf(fixture.SuccessorOf(f.Refresh))
	w.rolledBack(func(tx *store.Queries) error {
		p, _ := w.RotateParams(f.Refresh)
		row, err := tx.RotateRefreshToken(w.Ctx, p)
		w.want("in the request's transaction", row.Outcome, store.OutcomeReplayed)
		return err
	})
	w.WantLive(last) // which is why the contract says so
	w.rolledBack(func(*store.Queries) error {
		w.Rotate(f.Refresh, store.OutcomeReplayed)
		return nil
	})
	w.WantDead(last)

	_, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed)
	w.rolledBack(func(*store.Queries) error {
		w.redeem(code, store.OutcomeReplayed)
		return nil
	})
	w.WantDead("at-"+code, "rt-"+code)

	proof := store.RememberProofParams{ID: fixture.Digest("proof"), ExpiresAt: time.Now().Add(time.Minute)}
	for _, want := range []store.Outcome{store.OutcomeRemembered, store.OutcomeProofReplayed} {
		w.rolledBack(func(*store.Queries) error {
			w.want("RememberProof", w.outcome(w.Q.RememberProof(w.Ctx, proof)), want)
			return nil
		})
	}
}

func TestAttemptCountsAreCollectedInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	ids := make([]string, 5)
	for i := range ids {
		ids[i] = fmt.Sprint("over", i)
		w.Exec(`INSERT INTO attempt_count (id, purpose, subject, attempts, resets_at) VALUES ($1, 'password', $2, 1, now() - $3 * interval '1 hour')`,
			ids[i], string(fixture.Digest(ids[i])), i+1)
	}
	w.countAttempt(store.OutcomeCounted, attemptParams("ada"))
	w.collects("attempt_count ", fixture.Batches((*store.Queries).DeleteExpiredAttemptCounts),
		`SELECT FROM attempt_count WHERE id = '`+ids[2]+`' FOR UPDATE`, [][]string{{ids[3], ids[4]}, {ids[0], ids[1]}, {ids[2]}})
}
