package calls

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

// createTOTP stores an authenticator app of the world's user.
func (w *world) createTOTP(lastStep *int64) store.TOTPID {
	w.Helper()
	id := store.NewTOTPID()
	w.want("CreateTOTP", w.outcome(w.Q.CreateTOTP(w.Ctx, store.CreateTOTPParams{ID: id, UserID: w.User, Secret: "ciphertext", LastStep: lastStep})), store.OutcomeCreated)
	return id
}

func (w *world) useTOTP(want store.Outcome, id store.TOTPID, steps ...int64) {
	w.Helper()
	w.want(fmt.Sprint("UseTOTP of ", steps), w.outcome(w.Q.UseTOTP(w.Ctx, store.UseTOTPParams{ID: id, UserID: w.User, Steps: steps})), want)
}

func (w *world) lastStep(id store.TOTPID) (step *int64) {
	w.Helper()
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT last_step FROM totp WHERE id = $1`, id).Scan(&step))
	return step
}

// totpCode is the code of 6 digits at a step (RFC 6238, section 4.2), of the secret of RFC 6238, appendix B.
func totpCode(step int64) string {
	mac := hmac.New(sha1.New, []byte("12345678901234567890"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000)
}

// stepsOf are the steps within one of the present that a code fits, as a server finds them.
func stepsOf(code string, present int64) (steps []int64) {
	for step := present - 1; step <= present+1; step++ {
		if totpCode(step) == code {
			steps = append(steps, step)
		}
	}
	return steps
}

func TestTOTPIsWhatWasCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	usual := w.createTOTP(nil)
	w.want("CreateTOTP", w.outcome(w.Q.CreateTOTP(w.Ctx, store.CreateTOTPParams{
		ID: "other", UserID: w.User, Name: new("Phone"), Secret: "other", Algorithm: new("SHA256"), Digits: new(int32(8)), Period: new(int32(60)), LastStep: new(int64(9)),
	})), store.OutcomeCreated)
	all, err := w.Q.ListUserTOTPs(w.Ctx, w.User)
	w.OK(err)
	wantEqual(t, "apps", all, []store.TOTP{
		{ID: usual, CreatedAt: all[0].CreatedAt, UpdatedAt: all[0].CreatedAt, UserID: w.User, Secret: "ciphertext", Algorithm: "SHA1", Digits: 6, Period: 30},
		{ID: "other", CreatedAt: all[1].CreatedAt, UpdatedAt: all[1].CreatedAt, UserID: w.User, Name: new("Phone"), Secret: "other", Algorithm: "SHA256", Digits: 8, Period: 60, LastStep: new(int64(9))},
	})
	for _, p := range []store.CreateTOTPParams{{Digits: new(int32(0))}, {Digits: new(int32(5))}, {Period: new(int32(0))}, {Algorithm: new("MD5")}, {Algorithm: new("")}} {
		p.ID, p.UserID, p.Secret = "bad", w.User, "ciphertext"
		w.refused(func() {
			if _, err := w.Q.CreateTOTP(w.Ctx, p); pgErrorOf(err).Code != "23514" {
				t.Errorf("%s: %v", asJSON(p), err)
			}
		})
	}
}

// Of an empty secret anybody knows the codes.
func TestTOTPWithoutASecretIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.refused(func() {
		_, err := w.Q.CreateTOTP(w.Ctx, store.CreateTOTPParams{ID: "empty", UserID: w.User})
		wantEqual(t, "error", pgErrorOf(err).Message, "Secret is missing")
	})
}

// A code is accepted once (RFC 6238, section 5.2), and with it all earlier ones are spent.
func TestStepOfATOTPGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.createTOTP(new(int64(100)))
	w.Unchanged(func() {
		w.useTOTP(store.OutcomeMismatched, id)
		w.useTOTP(store.OutcomeSpent, id, 100)
		w.useTOTP(store.OutcomeSpent, id, 99)
		w.useTOTP(store.OutcomeUnknown, "none", 101)
		o, err := w.Q.UseTOTP(w.Ctx, store.UseTOTPParams{ID: id, UserID: "another", Steps: []int64{101}})
		w.OK(err)
		w.want("another user's", o, store.OutcomeUnknown)
	})
	w.useTOTP(store.OutcomeAccepted, id, 101)
	w.useTOTP(store.OutcomeSpent, id, 101)
	wantEqual(t, "step", *w.lastStep(id), 101)
	all, err := w.Q.ListUserTOTPs(w.Ctx, w.User)
	w.OK(err)
	if all[0].LastUsedAt == nil {
		t.Error("it is not told when it was used")
	}
}

// A row of an import knows no step: the first one is accepted and stored.
func TestFirstUseOfATOTPWithoutAStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, first := range []int64{0, 59_000_000} {
		id := w.createTOTP(nil)
		w.useTOTP(store.OutcomeAccepted, id, first)
		wantEqual(t, "step", *w.lastStep(id), first)
		w.useTOTP(store.OutcomeSpent, id, first)
	}
}

// Now and then a code fits two steps of the window. It is one code all the same.
func TestCodeThatFitsTwoStepsIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, c := range []struct {
		code   string
		first  int64
		stored int64
	}{{"235522", 62075368, 62075369}, {"768734", 61331809, 61331809}} {
		id := w.createTOTP(nil)
		wantEqual(t, "code", totpCode(c.first), c.code)
		w.useTOTP(store.OutcomeAccepted, id, stepsOf(c.code, c.first)...)
		wantEqual(t, "step", *w.lastStep(id), c.stored)
		later := stepsOf(c.code, c.first+1)
		if len(later) != 2 {
			t.Fatalf("a step later, %s fits %v", c.code, later)
		}
		w.Unchanged(func() { w.useTOTP(store.OutcomeSpent, id, later...) })
		// in whatever order the caller has found them
		w.Unchanged(func() { w.useTOTP(store.OutcomeSpent, id, later[1], later[0]) })
		next := later[1] + 1
		w.useTOTP(store.OutcomeAccepted, id, stepsOf(totpCode(next), next)...)
	}
}

func TestTOTPIsDeletedByItsUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.createTOTP(nil)
	w.Unchanged(func() {
		w.want("another user's", w.outcome(w.Q.DeleteTOTP(w.Ctx, store.DeleteTOTPParams{ID: id, UserID: "another"})), store.OutcomeUnknown)
	})
	w.want("DeleteTOTP", w.outcome(w.Q.DeleteTOTP(w.Ctx, store.DeleteTOTPParams{ID: id, UserID: w.User})), store.OutcomeDeleted)
	w.useTOTP(store.OutcomeUnknown, id, 1)
}
