package contract

import (
	"fmt"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func (w *world) newPasskey() store.PasskeyID {
	w.Helper()
	id, count := store.PasskeyID(w.user), int64(1)
	outcome, err := w.q.CreatePasskey(w.Context(), store.CreatePasskeyParams{UserID: w.user, ID: id, PublicKey: "key", SignCount: &count})
	w.noError(err)
	w.is(outcome, store.OutcomeCreated)
	return id
}

func passkeysAreStored(w *world) {
	id := func(i int) store.PasskeyID { return store.PasskeyID(fmt.Sprint(w.user, i)) }
	w.race(each(store.OutcomeCreated), func(i int) (store.Outcome, error) {
		return w.q.CreatePasskey(w.Context(), store.CreatePasskeyParams{UserID: w.user, ID: id(i), PublicKey: "key"})
	})
	for i := range Parallel {
		row, err := w.q.UsePasskey(w.Context(), store.UsePasskeyParams{ID: id(i), SignCount: 1})
		w.noError(err)
		w.is(row.Outcome, store.OutcomeAccepted)
	}
}

func counterIsAcceptedOnce(w *world) {
	id := w.newPasskey()
	w.race(once(store.OutcomeAccepted, store.OutcomeRegressed), func(int) (store.Outcome, error) {
		row, err := w.q.UsePasskey(w.Context(), store.UsePasskeyParams{ID: id, SignCount: 2})
		return row.Outcome, err
	})
}

func passkeyIsDeletedOnce(w *world) {
	id := w.newPasskey()
	w.race(once(store.OutcomeDeleted, store.OutcomeUnknown), func(int) (store.Outcome, error) {
		return w.q.DeletePasskey(w.Context(), store.DeletePasskeyParams{UserID: w.user, ID: id})
	})
}

func (w *world) newTOTP() store.TOTPID {
	w.Helper()
	id := store.NewTOTPID()
	outcome, err := w.q.CreateTOTP(w.Context(), store.CreateTOTPParams{UserID: w.user, ID: id, Secret: "sealed"})
	w.noError(err)
	w.is(outcome, store.OutcomeCreated)
	return id
}

func authenticatorsAreStored(w *world) {
	ids := make([]store.TOTPID, Parallel)
	w.race(each(store.OutcomeCreated), func(i int) (store.Outcome, error) {
		ids[i] = store.NewTOTPID()
		return w.q.CreateTOTP(w.Context(), store.CreateTOTPParams{UserID: w.user, ID: ids[i], Secret: "sealed"})
	})
	for _, id := range ids {
		outcome, err := w.q.UseTOTP(w.Context(), store.UseTOTPParams{UserID: w.user, ID: id, Steps: []int64{1}})
		w.noError(err)
		w.is(outcome, store.OutcomeAccepted)
	}
}

func stepIsAcceptedOnce(w *world) {
	id := w.newTOTP()
	w.race(once(store.OutcomeAccepted, store.OutcomeSpent), func(int) (store.Outcome, error) {
		return w.q.UseTOTP(w.Context(), store.UseTOTPParams{UserID: w.user, ID: id, Steps: []int64{7, 8}})
	})
}

func authenticatorIsDeletedOnce(w *world) {
	id := w.newTOTP()
	w.race(once(store.OutcomeDeleted, store.OutcomeUnknown), func(int) (store.Outcome, error) {
		return w.q.DeleteTOTP(w.Context(), store.DeleteTOTPParams{UserID: w.user, ID: id})
	})
}

func oneSetOfRecoveryCodesCounts(w *world) {
	first, second := w.digests("a code"), w.digests("another code")
	w.race(each(store.OutcomeReplaced), func(i int) (store.Outcome, error) {
		row, err := w.q.ReplaceRecoveryCodes(w.Context(), store.ReplaceRecoveryCodesParams{UserID: w.user, Digests: token.Digests{first[i], second[i]}})
		return row.Outcome, err
	})
	w.countsOne("sets of codes", func(i int) (bool, error) {
		one, err := w.q.UseRecoveryCode(w.Context(), store.UseRecoveryCodeParams{UserID: w.user, Digest: first[i]})
		w.noError(err)
		two, err := w.q.UseRecoveryCode(w.Context(), store.UseRecoveryCodeParams{UserID: w.user, Digest: second[i]})
		if one.Outcome != two.Outcome {
			w.Errorf("of the codes of one set, one is %s and another one %s", one.Outcome, two.Outcome)
		}
		return one.Outcome == store.OutcomeAccepted, err
	})
}

func (w *world) newRecoveryCodes() token.Digests {
	w.Helper()
	codes := token.Digests(w.digests("recovery code"))
	row, err := w.q.ReplaceRecoveryCodes(w.Context(), store.ReplaceRecoveryCodesParams{UserID: w.user, Digests: codes})
	w.noError(err)
	w.is(row.Outcome, store.OutcomeReplaced)
	return codes
}

func recoveryCodeIsAcceptedOnce(w *world) {
	codes := w.newRecoveryCodes()
	w.race(once(store.OutcomeAccepted, store.OutcomeSpent), func(int) (store.Outcome, error) {
		row, err := w.q.UseRecoveryCode(w.Context(), store.UseRecoveryCodeParams{UserID: w.user, Digest: codes[0]})
		return row.Outcome, err
	})
}

func recoveryCodesAreDeletedOnce(w *world) {
	w.newRecoveryCodes()
	w.race(once(store.OutcomeDeleted, store.OutcomeUnknown), func(int) (store.Outcome, error) {
		return w.q.DeleteRecoveryCodes(w.Context(), w.user)
	})
}

func oneOneTimeCodeCounts(w *world) {
	subject, codes := w.digests("subject")[0], w.digests("code")
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		_, err := w.q.CreateOneTimeCode(w.Context(), store.CreateOneTimeCodeParams{Purpose: "contract", Subject: subject, Digest: codes[i], Lifetime: time.Hour})
		return found(err)
	})
	w.countsOne("codes", func(i int) (bool, error) {
		outcome, err := w.redeemOneTimeCode(subject, codes[i], 2*Parallel)
		return outcome == store.OutcomeAccepted, err
	})
}

func (w *world) redeemOneTimeCode(subject, code token.Digest, guesses int32) (store.Outcome, error) {
	row, err := w.q.RedeemOneTimeCode(w.Context(), store.RedeemOneTimeCodeParams{
		Purpose: "contract", Subject: subject, Digest: code, MaxAttempts: guesses, AttemptWindow: time.Hour,
	})
	return row.Outcome, err
}

func oneTimeCodeIsAcceptedOnce(w *world) {
	subjects, code, wrong := w.digests("subject"), w.digests("code")[0], w.digests("guess")
	for _, subject := range subjects[:2] {
		_, err := w.q.CreateOneTimeCode(w.Context(), store.CreateOneTimeCodeParams{Purpose: "contract", Subject: subject, Digest: code, Lifetime: time.Hour})
		w.noError(err)
	}
	w.race(once(store.OutcomeAccepted, store.OutcomeUnknown), func(int) (store.Outcome, error) {
		return w.redeemOneTimeCode(subjects[0], code, Parallel)
	})
	const guesses = 3
	w.race(map[store.Outcome]int{store.OutcomeMismatched: guesses, store.OutcomeExhausted: Parallel - guesses}, func(i int) (store.Outcome, error) {
		return w.redeemOneTimeCode(subjects[1], wrong[i], guesses)
	})
}

func (w *world) countAttempt(subject token.Digest) (store.Outcome, error) {
	row, err := w.q.CountAttempt(w.Context(), store.CountAttemptParams{Purpose: "contract", Subject: subject, MaxAttempts: 3, AttemptWindow: time.Hour})
	return row.Outcome, err
}

func attemptsAreCounted(w *world) {
	subject := w.digests("subject")[0]
	w.race(map[store.Outcome]int{store.OutcomeCounted: 3, store.OutcomeExhausted: Parallel - 3}, func(int) (store.Outcome, error) {
		return w.countAttempt(subject)
	})
}

func attemptsAreForgottenOnce(w *world) {
	subject := w.digests("subject")[0]
	outcome, err := w.countAttempt(subject)
	w.noError(err)
	w.is(outcome, store.OutcomeCounted)
	w.race(once(store.OutcomeDeleted, store.OutcomeUnknown), func(int) (store.Outcome, error) {
		return w.q.ResetAttempts(w.Context(), store.ResetAttemptsParams{Purpose: "contract", Subject: subject})
	})
}
