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
		func() (int64, error) { return w.Q.DeleteExpiredOneTimeCodes(w.Ctx, 10) },
		func() (int64, error) { return w.Q.DeleteExpiredAttemptCounts(w.Ctx, 10) },
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
	w.collects("one_time_code ", w.Q.DeleteExpiredOneTimeCodes, `SELECT FROM one_time_code WHERE id = '`+ids[2]+`' FOR UPDATE`,
		[][]string{{ids[3], ids[4]}, {ids[0], ids[1]}, {ids[2]}})
}
