package calls

import (
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// createPasskey registers a passkey of the world's user.
func (w *world) createPasskey(signCount *int64, change ...func(*store.CreatePasskeyParams)) store.PasskeyID {
	w.Helper()
	p := store.CreatePasskeyParams{ID: store.PasskeyID(fixture.Unique("key")), UserID: w.User, PublicKey: "pQECAyYgASFYIA", SignCount: signCount}
	for _, c := range change {
		c(&p)
	}
	w.want("CreatePasskey", w.outcome(w.Q.CreatePasskey(w.Ctx, p)), store.OutcomeCreated)
	return p.ID
}

func (w *world) usePasskey(want store.Outcome, id store.PasskeyID, signCount int64) store.UsePasskeyRow {
	w.Helper()
	row, err := w.Q.UsePasskey(w.Ctx, store.UsePasskeyParams{ID: id, SignCount: signCount})
	w.OK(err)
	w.want("UsePasskey", row.Outcome, want)
	return row
}

func (w *world) passkeyOf(id store.PasskeyID) store.Passkey {
	w.Helper()
	row, err := w.Q.FindPasskey(w.Ctx, id)
	w.OK(err)
	return row.Passkey
}

func TestPasskeyIsWhatWasCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.createPasskey(new(int64(5)), func(p *store.CreatePasskeyParams) {
		p.Name, p.Transports, p.AAGUID, p.BackupEligible = new("Phone"), []string{"internal", "hybrid"}, new("fbfc3007-154e-4ecc-8c0b-6e020557d7bd"), true
	})
	other := w.createPasskey(nil)
	found, err := w.Q.FindPasskey(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "passkey", found.Passkey, store.Passkey{
		ID: id, CreatedAt: found.Passkey.CreatedAt, UpdatedAt: found.Passkey.CreatedAt, UserID: w.User, Name: new("Phone"), PublicKey: "pQECAyYgASFYIA",
		SignCount: new(int64(5)), Transports: []string{"internal", "hybrid"}, AAGUID: new("fbfc3007-154e-4ecc-8c0b-6e020557d7bd"), BackupEligible: true,
	})
	wantEqual(t, "user", found.User.ID, w.User)
	all, err := w.Q.ListUserPasskeys(w.Ctx, w.User)
	w.OK(err)
	wantEqual(t, "passkeys", []store.PasskeyID{all[0].ID, all[1].ID}, []store.PasskeyID{id, other})
	for _, bad := range []string{"a+b", "a/b=", "", "a b", strings.Repeat("x", 1365)} {
		if _, err := w.Q.CreatePasskey(w.Ctx, store.CreatePasskeyParams{ID: store.PasskeyID(bad), UserID: w.User, PublicKey: "x"}); pgErrorOf(err).ConstraintName != string(store.ConstraintPasskeyIDIsBase64url) {
			t.Errorf("credential ID %q: %v", bad, err)
		}
	}
	w.createPasskey(nil, func(p *store.CreatePasskeyParams) { p.ID = store.PasskeyID(strings.Repeat("x", 1364)) })
}

// WebAuthn, section 6.1.1: the counter grows, or is 0 for ever. What is refused stays what it was.
func TestPasskeyWithoutAKeyIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.refused(func() {
		_, err := w.Q.CreatePasskey(w.Ctx, store.CreatePasskeyParams{ID: "empty", UserID: w.User})
		wantEqual(t, "error", pgErrorOf(err).Message, "PublicKey is missing")
	})
}

func TestSignCountOfAPasskeyGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	counting, silent := w.createPasskey(new(int64(5))), w.createPasskey(new(int64(0)))
	row := w.usePasskey(store.OutcomeAccepted, counting, 6)
	wantEqual(t, "user", row.UserID, &w.User)
	used := w.passkeyOf(counting)
	if used.LastUsedAt == nil || *used.SignCount != 6 {
		t.Errorf("after its use: %s", asJSON(used))
	}
	w.Unchanged(func() {
		for _, n := range []int64{6, 5, 1, 0, -1} {
			wantEqual(t, "user", w.usePasskey(store.OutcomeRegressed, counting, n).UserID, nil)
		}
		w.usePasskey(store.OutcomeUnknown, "none", 7)
	})
	w.usePasskey(store.OutcomeAccepted, counting, 4294967295)
	for range 3 {
		w.usePasskey(store.OutcomeAccepted, silent, 0)
	}
	wantEqual(t, "count", *w.passkeyOf(silent).SignCount, 0)
	w.usePasskey(store.OutcomeRegressed, silent, -1)
	w.usePasskey(store.OutcomeAccepted, silent, 1)
	w.usePasskey(store.OutcomeRegressed, silent, 0)
}

// A row of an import knows no counter: the first one is accepted and stored.
func TestFirstUseOfAPasskeyWithoutASignCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, first := range []int64{7, 4294967295} {
		id := w.createPasskey(nil)
		w.usePasskey(store.OutcomeAccepted, id, first)
		wantEqual(t, "count", *w.passkeyOf(id).SignCount, first)
		w.usePasskey(store.OutcomeRegressed, id, first)
		w.usePasskey(store.OutcomeRegressed, id, 0)
	}
	silent := w.createPasskey(nil)
	w.usePasskey(store.OutcomeAccepted, silent, 0)
	w.usePasskey(store.OutcomeAccepted, silent, 0)
	wantEqual(t, "count", *w.passkeyOf(silent).SignCount, 0)
}

func TestPasskeyTellsWhetherItIsBackedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.createPasskey(new(int64(0)))
	for _, backedUp := range []bool{true, false} {
		row, err := w.Q.UsePasskey(w.Ctx, store.UsePasskeyParams{ID: id, BackedUp: backedUp})
		w.OK(err)
		w.want("UsePasskey", row.Outcome, store.OutcomeAccepted)
		wantEqual(t, "backed up", w.passkeyOf(id).BackedUp, backedUp)
	}
}

func TestPasskeyIsDeletedByItsUser(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 1)
	id := w.createPasskey(nil)
	w.Unchanged(func() {
		w.want("another user's", w.outcome(w.Q.DeletePasskey(w.Ctx, store.DeletePasskeyParams{ID: id, UserID: w.NewUser()})), store.OutcomeUnknown)
		w.Exec(`DELETE FROM "user" WHERE id <> $1`, w.User)
	})
	w.want("DeletePasskey", w.outcome(w.Q.DeletePasskey(w.Ctx, store.DeletePasskeyParams{ID: id, UserID: w.User})), store.OutcomeDeleted)
	w.usePasskey(store.OutcomeUnknown, id, 9)
	_, err := w.Q.FindPasskey(w.Ctx, id)
	w.None(err)
}

// What belongs to a user who is suspended or deleted is dead at once, though its row is there; and nobody gets a new one.
func TestSecondFactorsEndWithTheirUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	key, app, codes := w.createPasskey(new(int64(1))), w.createTOTP(nil), w.replaceCodes("one", "two")
	all := func(want store.Outcome) {
		t.Helper()
		w.usePasskey(want, key, 2)
		w.useTOTP(want, app, 1)
		w.useCode(want, codes[0])
		w.want("CreatePasskey", w.outcome(w.Q.CreatePasskey(w.Ctx, store.CreatePasskeyParams{ID: "another", UserID: w.User, PublicKey: "x"})), want)
		w.want("CreateTOTP", w.outcome(w.Q.CreateTOTP(w.Ctx, store.CreateTOTPParams{ID: "another", UserID: w.User, Secret: "x"})), want)
		row, err := w.Q.ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{UserID: w.User, Digests: codes})
		w.OK(err)
		w.want("ReplaceRecoveryCodes", row.Outcome, want)
	}
	w.suspend(w.User)
	w.Unchanged(func() { all(store.OutcomeSuspended) })
	reinstated, err := w.Q.ReinstateUser(w.Ctx, w.User)
	w.OK(err)
	w.want("ReinstateUser", reinstated, store.OutcomeReinstated)
	w.usePasskey(store.OutcomeAccepted, key, 2)
	w.deleteUser(w.User)
	w.Unchanged(func() { all(store.OutcomeUnknown) })
	_, err = w.Q.FindPasskey(w.Ctx, key)
	w.None(err)
}

// A deleted user's second factors go before the user, in batches, so that nothing cascades.
func TestSecondFactorsOfADeletedUserAreErased(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 1)
	left := func() (n int) {
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT (SELECT count(*) FROM passkey) + (SELECT count(*) FROM totp) + (SELECT count(*) FROM recovery_code)`).Scan(&n))
		return n
	}
	for range 3 {
		w.createPasskey(nil)
		w.createTOTP(nil)
	}
	w.replaceCodes("one", "two", "three")
	w.deleteUser(w.User)
	w.Exec(`DELETE FROM session`)
	for _, want := range []struct{ left, users int }{{3, 0}, {0, 0}, {0, 1}} {
		row, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{BatchSize: 2})
		w.OK(err)
		wantEqual(t, "left, users erased", []int{left(), int(row.Deleted)}, []int{want.left, want.users})
	}
}

// Each call touches the one factor that it names, of all that a user has.
func TestFactorsOfAUserAreTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	key, app := w.createPasskey(new(int64(1))), w.createTOTP(nil)
	w.createPasskey(new(int64(1)))
	w.createTOTP(nil)
	codes := w.replaceCodes("one", "two")
	ada := w.User
	w.User = w.NewUser()
	w.createPasskey(new(int64(1)))
	w.createTOTP(nil)
	w.replaceCodes("one", "three")
	w.User = ada
	w.changesRows(func() { w.usePasskey(store.OutcomeAccepted, key, 2) }, rowName("~", "passkey", key))
	w.changesRows(func() { w.useTOTP(store.OutcomeAccepted, app, 2) }, rowName("~", "totp", app))
	w.changesRows(func() { w.useCode(store.OutcomeAccepted, codes[0]) }, rowName("~", "recovery_code", string(ada)+" "+string(codes[0])))
	w.changesRows(func() {
		w.want("DeletePasskey", w.outcome(w.Q.DeletePasskey(w.Ctx, store.DeletePasskeyParams{ID: key, UserID: ada})), store.OutcomeDeleted)
	}, rowName("-", "passkey", key))
	w.changesRows(func() {
		w.want("DeleteTOTP", w.outcome(w.Q.DeleteTOTP(w.Ctx, store.DeleteTOTPParams{ID: app, UserID: ada})), store.OutcomeDeleted)
	}, rowName("-", "totp", app))
	w.changesRows(func() { w.replaceCodes("two") }, rowName("-", "recovery_code", string(ada)+" "+string(codes[0])),
		rowName("~", "recovery_code", string(ada)+" "+string(codes[1])))
	w.changesRows(func() {
		w.want("DeleteRecoveryCodes", w.outcome(w.Q.DeleteRecoveryCodes(w.Ctx, ada)), store.OutcomeDeleted)
	}, rowName("-", "recovery_code", string(ada)+" "+string(codes[1])))
}
