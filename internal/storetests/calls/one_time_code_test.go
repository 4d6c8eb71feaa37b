package calls

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// createCode sends a code to a subject.
func (w *world) createCode(subject, code string, change ...func(*store.CreateOneTimeCodeParams)) store.OneTimeCode {
	w.Helper()
	p := store.CreateOneTimeCodeParams{Purpose: "sign-in", Subject: fixture.Digest(subject), Digest: fixture.Digest(code), Lifetime: 5 * time.Minute}
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.CreateOneTimeCode(w.Ctx, p)
	w.OK(err)
	return row
}

// guessParams presents a code, of which five are allowed in ten minutes.
func guessParams(subject, code string) store.RedeemOneTimeCodeParams {
	return store.RedeemOneTimeCodeParams{
		Purpose: "sign-in", Subject: fixture.Digest(subject), Digest: fixture.Digest(code), MaxAttempts: 5, AttemptWindow: 10 * time.Minute,
	}
}

func (w *world) redeemCode(want store.Outcome, p store.RedeemOneTimeCodeParams) store.RedeemOneTimeCodeRow {
	w.Helper()
	row, err := w.Q.RedeemOneTimeCode(w.Ctx, p)
	w.OK(err)
	w.want("RedeemOneTimeCode", row.Outcome, want)
	return row
}

func TestOneTimeCodeIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	created := w.createCode("ada", "right", func(p *store.CreateOneTimeCodeParams) { p.Data = json.RawMessage(`{"email": "ada@example.com"}`) })
	wantAt(t, "code", &created.ExpiresAt, created.CreatedAt, 5*time.Minute)
	wrong := w.redeemCode(store.OutcomeMismatched, guessParams("ada", "wrong"))
	if wrong.Data != nil || wrong.AttemptsLeft != 4 || wrong.ResetsAt == nil {
		t.Errorf("mismatched: %s", asJSON(wrong))
	}
	row := w.redeemCode(store.OutcomeAccepted, guessParams("ada", "right"))
	wantEqual(t, "data", string(row.Data), `{"email": "ada@example.com"}`)
	w.Unchanged(func() {
		row := w.redeemCode(store.OutcomeUnknown, guessParams("ada", "right"))
		if row.Data != nil || row.ResetsAt != nil {
			t.Errorf("unknown: %s", asJSON(row))
		}
	})
}

func TestOneTimeCodeIsForItsPurposeAndSubjectAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.createCode("ada", "right")
	w.createCode("bob", "his")
	w.redeemCode(store.OutcomeMismatched, guessParams("bob", "right"))
	other := guessParams("ada", "right")
	other.Purpose = "email-verification"
	w.Unchanged(func() {
		w.redeemCode(store.OutcomeUnknown, other)
		w.redeemCode(store.OutcomeUnknown, guessParams("eve", "right"))
		none := guessParams("ada", "right")
		none.Subject = ""
		w.redeemCode(store.OutcomeUnknown, none)
	})
	none := guessParams("ada", "right")
	none.Digest = ""
	w.redeemCode(store.OutcomeMismatched, none)
	w.redeemCode(store.OutcomeAccepted, guessParams("ada", "right"))
}

func TestOneTimeCodeExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.createCode("ada", "right")
	w.Exec(`UPDATE one_time_code SET expires_at = now()`)
	w.Unchanged(func() {
		w.redeemCode(store.OutcomeExpired, guessParams("ada", "right"))
		w.redeemCode(store.OutcomeExpired, guessParams("ada", "wrong"))
	})
}

// The budget of guesses belongs to whom a code is for, not to the code: a mail more is no guess more, and the old code is wrong.
func TestNewCodeDoesNotRefillTheBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.createCode("ada", "old")
	for i := range 3 {
		w.redeemCode(store.OutcomeMismatched, guessParams("ada", fmt.Sprint(i)))
	}
	w.createCode("ada", "new")
	wantEqual(t, "guesses left", w.redeemCode(store.OutcomeMismatched, guessParams("ada", "old")).AttemptsLeft, 1)
	w.redeemCode(store.OutcomeMismatched, guessParams("ada", "4"))
	w.redeemCode(store.OutcomeExhausted, guessParams("ada", "5"))
	w.redeemCode(store.OutcomeExhausted, guessParams("ada", "6"))
	w.redeemCode(store.OutcomeExhausted, guessParams("ada", "new"))
	w.createCode("ada", "newer")
	w.redeemCode(store.OutcomeExhausted, guessParams("ada", "newer"))

	w.Exec(`UPDATE attempt_count SET resets_at = now()`)
	w.redeemCode(store.OutcomeAccepted, guessParams("ada", "newer"))
}

// A collector that takes an expired code away doesn't refill it either.
func TestCollectedCodeDoesNotRefillTheBudget(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 1)
	w.createCode("ada", "old")
	for i := range 5 {
		w.redeemCode(store.OutcomeMismatched, guessParams("ada", fmt.Sprint(i)))
	}
	w.Exec(`UPDATE one_time_code SET expires_at = now()`)
	for _, collect := range []func() (int64, error){
		func() (int64, error) {
			return fixture.Deleted(w.Q.DeleteExpiredOneTimeCodes(w.Ctx, store.DeleteExpiredOneTimeCodesParams{BatchSize: 10}))
		},
		func() (int64, error) {
			return fixture.Deleted(w.Q.DeleteExpiredAttemptCounts(w.Ctx, store.DeleteExpiredAttemptCountsParams{BatchSize: 10}))
		},
	} {
		_, err := collect()
		w.OK(err)
	}
	w.createCode("ada", "new")
	w.redeemCode(store.OutcomeExhausted, guessParams("ada", "new"))
}

// A right code shows who it was, so what was guessed before counts no more.
func TestRightCodeForgetsTheWrongOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for range 3 {
		w.createCode("ada", "right")
		for i := range 4 {
			w.redeemCode(store.OutcomeMismatched, guessParams("ada", fmt.Sprint(i)))
		}
		w.redeemCode(store.OutcomeAccepted, guessParams("ada", "right"))
	}
	wantEqual(t, "attempts", w.attempts("ada"), 0)
}

// CountAttempt and RedeemOneTimeCode of one purpose and subject share a budget.
func TestCodesAndAttemptsShareABudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.createCode("ada", "right")
	p := attemptParams("ada")
	p.Purpose = "sign-in"
	for range 5 {
		w.countAttempt(store.OutcomeCounted, p)
	}
	w.redeemCode(store.OutcomeExhausted, guessParams("ada", "right"))
	w.want("ResetAttempts", w.outcome(w.Q.ResetAttempts(w.Ctx, store.ResetAttemptsParams{Purpose: p.Purpose, Subject: p.Subject})), store.OutcomeDeleted)
	w.redeemCode(store.OutcomeAccepted, guessParams("ada", "right"))
}

func TestExpiredOneTimeCodesAreCollectedInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	ids := make([]string, 5)
	for i := range ids {
		ids[i] = fmt.Sprint("over", i)
		w.Exec(`INSERT INTO one_time_code (id, purpose, subject, digest, expires_at) VALUES ($1, 'sign-in', $2, $2, now() - $3 * interval '1 hour')`,
			ids[i], string(fixture.Digest(ids[i])), i+1)
	}
	w.createCode("ada", "right")
	w.collects("one_time_code ", fixture.Batches((*store.Queries).DeleteExpiredOneTimeCodes), `SELECT FROM one_time_code WHERE id = '`+ids[2]+`' FOR UPDATE`,
		[][]string{{ids[3], ids[4]}, {ids[0], ids[1]}, {ids[2]}})
}

// A new code takes the place of the old one with all that belongs to it.
func TestNewCodeReplacesTheOldOneWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.createCode("ada", "old", func(p *store.CreateOneTimeCodeParams) {
		p.Lifetime, p.Data = time.Hour, json.RawMessage(`{"old": true}`)
	})
	w.createCode("bob", "his")
	w.Exec(`UPDATE one_time_code SET created_at = created_at - interval '1 hour', updated_at = updated_at - interval '1 hour'`)
	got := w.createCode("ada", "new")
	wantAt(t, "code", &got.ExpiresAt, got.CreatedAt, 5*time.Minute)
	if time.Since(got.CreatedAt).Abs() > time.Minute || !got.UpdatedAt.Equal(got.CreatedAt) || got.Data != nil || got.Digest != fixture.Digest("new") {
		t.Errorf("the new code is %s", asJSON(got))
	}
	w.redeemCode(store.OutcomeUnknown, guessParams("bob's neighbour", "new"))
	w.redeemCode(store.OutcomeAccepted, guessParams("ada", "new"))
	w.redeemCode(store.OutcomeAccepted, guessParams("bob", "his"))
}

// The instant at which something is over belongs to what comes after: a code has expired, and a new window begins.
func TestCodesAndWindowsAreOverAtTheInstantOfTheirEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		_, err := q.CreateOneTimeCode(w.Ctx, store.CreateOneTimeCodeParams{
			Purpose: "sign-in", Subject: fixture.Digest("ada"), Digest: fixture.Digest("right"), Lifetime: time.Hour,
		})
		w.OK(err)
		exec(`UPDATE one_time_code SET expires_at = now()`)
		row, err := q.RedeemOneTimeCode(w.Ctx, guessParams("ada", "right"))
		w.OK(err)
		w.want("RedeemOneTimeCode", row.Outcome, store.OutcomeExpired)
		p := attemptParams("ada")
		for left := range int64(2) {
			_, err = q.CountAttempt(w.Ctx, p)
			w.OK(err)
			exec(`UPDATE attempt_count SET resets_at = now() + $1 * interval '1 microsecond'`, left)
		}
		last, err := q.CountAttempt(w.Ctx, p) // the first one's window was over, the second one's isn't
		w.OK(err)
		wantEqual(t, "attempts left", last.AttemptsLeft, 3)
		exec(`UPDATE attempt_count SET resets_at = now()`)
		again, err := q.CountAttempt(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "attempts left of a new window", again.AttemptsLeft, 4)
		if got := again.ResetsAt.Sub(last.ResetsAt); got < 9*time.Minute {
			t.Errorf("the new window ends %s after the old one", got)
		}
	})
}

// A right guess makes the attempts of its own purpose and subject forgotten.
func TestRightCodeForgetsNobodyElsesAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.countAttempt(store.OutcomeCounted, attemptParams("ada"))
	other := attemptParams("bob")
	other.Purpose = "sign-in"
	w.countAttempt(store.OutcomeCounted, other)
	w.createCode("ada", "right")
	w.redeemCode(store.OutcomeMismatched, guessParams("ada", "wrong"))
	w.redeemCode(store.OutcomeAccepted, guessParams("ada", "right"))
	wantEqual(t, "attempts", []int64{w.attempts("ada"), w.attempts("bob")}, []int64{1, 1})
}

// Routines refuse what is NULL as they refuse what is zero, whoever calls them.
func TestRoutinesRefuseWhatIsNull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for sql, want := range map[string]string{
		`SELECT count_attempt('p', '` + string(fixture.Digest("s")) + `', NULL, '1 hour', true)`: "MaxAttempts is missing or under 1",
		`SELECT newest_signing_key(NULL, '1 hour')`:                                              "Alg is missing",
		`SELECT newest_signing_key('ES256', NULL)`:                                               "MaxAge is missing",
	} {
		w.refused(func() {
			_, err := w.Pool.Exec(w.Ctx, sql)
			wantEqual(t, sql, pgErrorOf(err).Message, want)
		})
	}
}
