package race

import (
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// guess presents a code of a subject, of which five are allowed.
func guess(subject token.Digest, code string) store.RedeemOneTimeCodeParams {
	return store.RedeemOneTimeCodeParams{Purpose: "sign-in", Subject: subject, Digest: fixture.Digest(code), MaxAttempts: 5, AttemptWindow: time.Minute}
}

func (w *world) sendCode(subject token.Digest, code string) {
	w.Helper()
	w.does(w.Q.CreateOneTimeCode(w.Ctx, store.CreateOneTimeCodeParams{Purpose: "sign-in", Subject: subject, Digest: fixture.Digest(code), Lifetime: time.Minute}))
}

// However many attempts are made at once, exactly as many are allowed as may be: at the beginning of the first window, in the middle, and
// where an old one has ended.
func TestRaceAttemptsAreCountedExactly(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 64)
	for i := range roundsOf(20) {
		most := int32(1 + i%7)
		p := store.CountAttemptParams{Purpose: "password", Subject: fixture.Digest(fixture.Unique("subject")), MaxAttempts: most, AttemptWindow: time.Minute}
		count := func(int) (store.Outcome, error) {
			r, err := w.Q.CountAttempt(w.Ctx, p)
			return r.Outcome, err
		}
		all := outcomes{store.OutcomeCounted: int(most), store.OutcomeExhausted: 64 - int(most)}
		w.parallel("CountAttempt", 64, all, count)
		w.parallel("CountAttempt", 8, outcomes{store.OutcomeExhausted: 8}, count)
		w.Exec(`UPDATE attempt_count SET resets_at = now() WHERE subject = $1`, string(p.Subject))
		w.parallel("CountAttempt in a new window", 64, all, count)
		w.Exec(`UPDATE attempt_count SET resets_at = now() WHERE subject = $1`, string(p.Subject))
		// an old window that is collected, or forgotten, meanwhile
		got := w.parallel("CountAttempt besides a collector", 32, nil, func(i int) (store.Outcome, error) {
			if i == 0 {
				_, err := w.Q.DeleteExpiredAttemptCounts(w.Ctx, store.DeleteExpiredAttemptCountsParams{BatchSize: 100})
				return "collected", err
			}
			return count(i)
		})
		if got[store.OutcomeCounted] != int(most) {
			w.Errorf("besides a collector, %d of %d were allowed: %v", got[store.OutcomeCounted], most, got)
		}
		w.parallel("ResetAttempts", 8, outcomes{store.OutcomeDeleted: 1, store.OutcomeUnknown: 7}, func(int) (store.Outcome, error) {
			return w.Q.ResetAttempts(w.Ctx, store.ResetAttemptsParams{Purpose: p.Purpose, Subject: p.Subject})
		})
	}
}

func TestRaceOneTimeCodeIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 64)
	redeem := func(p store.RedeemOneTimeCodeParams) (store.Outcome, error) {
		r, err := w.Q.RedeemOneTimeCode(w.Ctx, p)
		return r.Outcome, err
	}
	for range roundsOf(20) {
		subject := fixture.Digest(fixture.Unique("subject"))
		w.sendCode(subject, "right")
		w.parallel("RedeemOneTimeCode", 16, outcomes{store.OutcomeAccepted: 1, store.OutcomeUnknown: 15}, func(int) (store.Outcome, error) {
			return redeem(guess(subject, "right"))
		})
		w.wantCount("attempts, after a right one", 0, `SELECT count(*) FROM attempt_count WHERE subject = $1`, string(subject))
		// wrong ones by the dozen: five are looked at, and then not even the right one
		w.sendCode(subject, "right")
		w.parallel("RedeemOneTimeCode", 64, outcomes{store.OutcomeMismatched: 5, store.OutcomeExhausted: 59}, func(i int) (store.Outcome, error) {
			return redeem(guess(subject, fmt.Sprint("wrong", i)))
		})
		w.parallel("RedeemOneTimeCode", 8, outcomes{store.OutcomeExhausted: 8}, func(int) (store.Outcome, error) { return redeem(guess(subject, "right")) })
		// new codes meanwhile refill nothing
		subject = fixture.Digest(fixture.Unique("subject"))
		w.sendCode(subject, "old")
		got := w.parallel("RedeemOneTimeCode besides CreateOneTimeCode", 32, nil, func(i int) (store.Outcome, error) {
			if i%4 == 0 {
				_, err := w.Q.CreateOneTimeCode(w.Ctx, store.CreateOneTimeCodeParams{Purpose: "sign-in", Subject: subject, Digest: fixture.Digest("new"), Lifetime: time.Minute})
				return store.OutcomeCreated, err
			}
			return redeem(guess(subject, "wrong"))
		})
		if got[store.OutcomeMismatched] != 5 || got[store.OutcomeExhausted] != 19 {
			w.Errorf("besides new codes: %v", got)
		}
		w.wantCount("codes", 1, `SELECT count(*) FROM one_time_code WHERE subject = $1 AND digest = $2`, string(subject), string(fixture.Digest("new")))
	}
}

func TestRaceSecondFactorsAreUsedOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for range roundsOf(10) {
		s := w.newScene(true, false)
		create := func(count *int64) store.PasskeyID {
			id := store.PasskeyID(fixture.Unique("key"))
			w.does(w.Q.CreatePasskey(w.Ctx, store.CreatePasskeyParams{ID: id, UserID: s.user, PublicKey: "x", SignCount: count}))
			return id
		}
		use := func(id store.PasskeyID, count int64) (store.Outcome, error) {
			r, err := w.Q.UsePasskey(w.Ctx, store.UsePasskeyParams{ID: id, SignCount: count})
			return r.Outcome, err
		}
		key, silent, fresh, going := create(new(int64(5))), create(new(int64(0))), create(nil), create(new(int64(1)))
		once := outcomes{store.OutcomeAccepted: 1, store.OutcomeRegressed: 15}
		w.parallel("UsePasskey", 16, once, func(int) (store.Outcome, error) { return use(key, 6) })
		w.parallel("UsePasskey for the first time", 16, once, func(int) (store.Outcome, error) { return use(fresh, 6) })
		w.parallel("UsePasskey that doesn't count", 16, outcomes{store.OutcomeAccepted: 16}, func(int) (store.Outcome, error) { return use(silent, 0) })
		w.parallel("UsePasskey in any order", 16, nil, func(i int) (store.Outcome, error) { return use(key, int64(7+i)) })
		w.wantCount("sign_count", 22, `SELECT sign_count FROM passkey WHERE id = $1`, key)
		// one that is deleted meanwhile is not taken for a copy
		got := w.parallel("UsePasskey besides DeletePasskey", 16, nil, func(i int) (store.Outcome, error) {
			if i%8 == 0 {
				return w.Q.DeletePasskey(w.Ctx, store.DeletePasskeyParams{ID: going, UserID: s.user})
			}
			return use(going, 0)
		})
		if got[store.OutcomeDeleted] != 1 || got[store.OutcomeAccepted] != 0 {
			w.Errorf("besides DeletePasskey: %v", got)
		}
		going = create(nil)
		fixture.Together(
			func() { o, err := use(going, 1); w.Raced("UsePasskey", err); w.neither(o, store.OutcomeRegressed) },
			func() { w.does(w.Q.DeletePasskey(w.Ctx, store.DeletePasskeyParams{ID: going, UserID: s.user})) },
		)

		app := store.NewTOTPID()
		w.does(w.Q.CreateTOTP(w.Ctx, store.CreateTOTPParams{ID: app, UserID: s.user, Secret: "x"}))
		for _, steps := range [][]int64{{7}, {8, 10}} {
			w.parallel("UseTOTP", 16, outcomes{store.OutcomeAccepted: 1, store.OutcomeSpent: 15}, func(int) (store.Outcome, error) {
				return w.Q.UseTOTP(w.Ctx, store.UseTOTPParams{ID: app, UserID: s.user, Steps: steps})
			})
		}
		w.wantCount("last_step", 10, `SELECT last_step FROM totp WHERE id = $1`, app)
		w.parallel("DeleteTOTP", 8, outcomes{store.OutcomeDeleted: 1, store.OutcomeUnknown: 7}, func(int) (store.Outcome, error) {
			return w.Q.DeleteTOTP(w.Ctx, store.DeleteTOTPParams{ID: app, UserID: s.user})
		})
	}
}

func TestRaceRecoveryCodes(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for range roundsOf(10) {
		s := w.newScene(true, false)
		set := func(name string) (digests token.Digests) {
			for i := range 10 {
				digests = append(digests, fixture.Digest(fmt.Sprint(name, i)))
			}
			return digests
		}
		replace := func(digests token.Digests) (store.Outcome, error) {
			r, err := w.Q.ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{UserID: s.user, Digests: digests})
			return r.Outcome, err
		}
		use := func(digest token.Digest) (store.Outcome, error) {
			r, err := w.Q.UseRecoveryCode(w.Ctx, store.UseRecoveryCodeParams{UserID: s.user, Digest: digest})
			return r.Outcome, err
		}
		w.does(replace(set("first")))
		w.parallel("UseRecoveryCode, two of them", 2, outcomes{store.OutcomeAccepted: 2}, func(i int) (store.Outcome, error) { return use(set("first")[i]) })
		w.parallel("UseRecoveryCode, both again", 2, outcomes{store.OutcomeSpent: 2}, func(i int) (store.Outcome, error) { return use(set("first")[i]) })
		w.wantCount("codes left", 8, `SELECT count(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL`, s.user)
		w.parallel("UseRecoveryCode", 16, outcomes{store.OutcomeAccepted: 1, store.OutcomeSpent: 15}, func(int) (store.Outcome, error) { return use(set("first")[2]) })
		// of several new sets, one is left; a code that is used meanwhile is of the old set, or gone
		w.parallel("ReplaceRecoveryCodes", 8, outcomes{store.OutcomeReplaced: 8}, func(i int) (store.Outcome, error) { return replace(set(fmt.Sprint("set", i))) })
		w.wantCount("codes", 10, `SELECT count(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL`, s.user)
		w.does(replace(set("last")))
		w.parallel("UseRecoveryCode besides ReplaceRecoveryCodes", 16, nil, func(i int) (store.Outcome, error) {
			if i%4 == 0 {
				return replace(set(fmt.Sprint("other", i)))
			}
			return use(set("last")[i%10])
		})
		w.wantCount("codes", 10, `SELECT count(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL`, s.user)
		w.parallel("DeleteRecoveryCodes", 4, nil, func(int) (store.Outcome, error) { return w.Q.DeleteRecoveryCodes(w.Ctx, s.user) })
		w.wantCount("codes", 0, `SELECT count(*) FROM recovery_code WHERE user_id = $1`, s.user)
	}
}

func (w *world) neither(got store.Outcome, unwanted store.Outcome) {
	w.Helper()
	if got == unwanted {
		w.Errorf("%s, where nothing is amiss", got)
	}
}
