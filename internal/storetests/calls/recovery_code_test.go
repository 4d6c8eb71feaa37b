package calls

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// replaceCodes gives the world's user recovery codes.
func (w *world) replaceCodes(raw ...string) token.Digests {
	w.Helper()
	var digests token.Digests
	for _, r := range raw {
		digests = append(digests, fixture.Digest(r))
	}
	row, err := w.Q.ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{UserID: w.User, Digests: digests})
	w.OK(err)
	w.want("ReplaceRecoveryCodes", row.Outcome, store.OutcomeReplaced)
	wantEqual(w, "codes", row.Codes, int64(len(raw)))
	return digests
}

func (w *world) useCode(want store.Outcome, digest token.Digest) int64 {
	w.Helper()
	row, err := w.Q.UseRecoveryCode(w.Ctx, store.UseRecoveryCodeParams{UserID: w.User, Digest: digest})
	w.OK(err)
	w.want("UseRecoveryCode", row.Outcome, want)
	return row.CodesLeft
}

func TestRecoveryCodeIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	codes := w.replaceCodes("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
	wantEqual(t, "left", w.useCode(store.OutcomeAccepted, codes[0]), 9)
	wantEqual(t, "left", w.useCode(store.OutcomeAccepted, codes[1]), 8)
	w.Unchanged(func() {
		wantEqual(t, "left", w.useCode(store.OutcomeSpent, codes[0]), 8)
		wantEqual(t, "left", w.useCode(store.OutcomeSpent, codes[1]), 8)
		wantEqual(t, "left", w.useCode(store.OutcomeUnknown, fixture.Digest("11")), 8)
		wantEqual(t, "left", w.useCode(store.OutcomeUnknown, ""), 8)
		row, err := w.Q.UseRecoveryCode(w.Ctx, store.UseRecoveryCodeParams{UserID: "another", Digest: codes[2]})
		w.OK(err)
		wantEqual(t, "another user's", row, store.UseRecoveryCodeRow{Outcome: store.OutcomeUnknown})
	})
	all, err := w.Q.ListUserRecoveryCodes(w.Ctx, w.User)
	w.OK(err)
	used := 0
	for _, c := range all {
		if c.UsedAt != nil {
			used++
		}
	}
	wantEqual(t, "codes and used ones", []int{len(all), used}, []int{10, 2})
}

func TestNewRecoveryCodesReplaceAllOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	old := w.replaceCodes("1", "2")
	w.useCode(store.OutcomeAccepted, old[0])
	codes := w.replaceCodes("1", "3", "4") // one of them again, which is a new one
	w.useCode(store.OutcomeUnknown, old[1])
	wantEqual(t, "left", w.useCode(store.OutcomeAccepted, codes[0]), 2)
}

// Whoever forgets the codes would delete all that there are, so that is an error.
func TestForgottenRecoveryCodesAreRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.replaceCodes("1")
	for _, digests := range [][]token.Digest{nil, {}, {"", ""}} {
		w.refused(func() {
			_, err := w.Q.ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{UserID: w.User, Digests: digests})
			if e := pgErrorOf(err); e.Code != "22023" || e.Message != "Digests is missing" {
				t.Errorf("%d digests: %v", len(digests), err)
			}
		})
	}
}

func TestRecoveryCodesAreASet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	row, err := w.Q.ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{
		UserID: w.User, Digests: token.Digests{fixture.Digest("1"), fixture.Digest("2"), fixture.Digest("1")},
	})
	w.OK(err)
	wantEqual(t, "codes", row, store.ReplaceRecoveryCodesRow{Outcome: store.OutcomeReplaced, Codes: 2})
}

func TestRecoveryCodesAreDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	codes := w.replaceCodes("1", "2")
	w.want("DeleteRecoveryCodes", w.outcome(w.Q.DeleteRecoveryCodes(w.Ctx, "another")), store.OutcomeUnknown)
	w.want("DeleteRecoveryCodes", w.outcome(w.Q.DeleteRecoveryCodes(w.Ctx, w.User)), store.OutcomeDeleted)
	w.want("DeleteRecoveryCodes", w.outcome(w.Q.DeleteRecoveryCodes(w.Ctx, w.User)), store.OutcomeUnknown)
	w.useCode(store.OutcomeUnknown, codes[0])
}
