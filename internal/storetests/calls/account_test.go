package calls

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// newAccount gives a user a way to sign in.
func (w *world) newAccount(user store.UserID, provider, password string) store.AccountID {
	w.Helper()
	p := store.CreateAccountParams{ID: store.NewAccountID(), AccountID: fixture.Unique("account"), ProviderID: provider, UserID: user}
	if password != "" {
		p.Password = &password
	}
	_, err := w.Q.CreateAccount(w.Ctx, p)
	w.OK(err)
	return p.ID
}

func accountIDs(accounts []store.Account) []store.AccountID {
	ids := make([]store.AccountID, 0, len(accounts))
	for _, a := range accounts {
		ids = append(ids, a.ID)
	}
	return ids
}

func TestAccountIsWhatWasCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	at, rt := time.Date(2030, 1, 2, 3, 4, 5, 678_000, time.UTC), time.Date(2031, 1, 2, 3, 4, 5, 0, time.FixedZone("", -3600))
	p := store.CreateAccountParams{
		ID: store.NewAccountID(), AccountID: "4711", ProviderID: "github", UserID: w.User,
		AccessToken: new("at"), RefreshToken: new("rt"), IDToken: new("it"), AccessTokenExpiresAt: &at, RefreshTokenExpiresAt: &rt,
		Scope: new("read:user repo"), Password: new("$argon2id$"),
	}
	_, err := w.Q.CreateAccount(w.Ctx, p)
	w.OK(err)
	got, err := w.Q.GetAccount(w.Ctx, p.ID)
	w.OK(err)
	if got.ID != p.ID || got.AccountID != p.AccountID || got.ProviderID != p.ProviderID || got.UserID != p.UserID ||
		*got.AccessToken != "at" || *got.RefreshToken != "rt" || *got.IDToken != "it" || *got.Scope != *p.Scope || *got.Password != *p.Password ||
		!got.AccessTokenExpiresAt.Equal(at) || !got.RefreshTokenExpiresAt.Equal(rt) {
		t.Errorf("created %+v, got %+v", p, got)
	}
	plain, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "plain", AccountID: "1", ProviderID: "gitlab", UserID: w.User})
	w.OK(err)
	if plain.AccessToken != nil || plain.RefreshToken != nil || plain.IDToken != nil || plain.AccessTokenExpiresAt != nil ||
		plain.RefreshTokenExpiresAt != nil || plain.Scope != nil || plain.Password != nil {
		t.Errorf("said nothing of it, got %+v", plain)
	}
	_, err = w.Q.GetAccount(w.Ctx, "none")
	w.None(err)
}

func TestAccountIsFoundByProviderAndIdentityTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bob := w.NewUser()
	for _, p := range []store.CreateAccountParams{
		{ID: "a", AccountID: "4711", ProviderID: "github", UserID: w.User},
		{ID: "b", AccountID: "4711", ProviderID: "gitlab", UserID: bob},
		{ID: "c", AccountID: "4712", ProviderID: "github", UserID: bob},
	} {
		_, err := w.Q.CreateAccount(w.Ctx, p)
		w.OK(err)
		found, err := w.Q.FindAccountByProvider(w.Ctx, store.FindAccountByProviderParams{ProviderID: p.ProviderID, AccountID: p.AccountID})
		w.OK(err)
		if found.Account.ID != p.ID || found.User.ID != p.UserID || *found.User.Email != string(p.UserID)+"@example.com" {
			t.Errorf("%s at %s: found %+v", p.AccountID, p.ProviderID, found)
		}
	}
	for _, p := range []store.FindAccountByProviderParams{
		{ProviderID: "github", AccountID: "4713"}, {ProviderID: "GitHub", AccountID: "4711"}, {ProviderID: "google", AccountID: "4711"}, {},
	} {
		_, err := w.Q.FindAccountByProvider(w.Ctx, p)
		w.None(err)
	}
	w.deleteUser(bob)
	_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "late", AccountID: "4711", ProviderID: "gitlab", UserID: bob}) // while the user went
	w.OK(err)
	_, err = w.Q.FindAccountByProvider(w.Ctx, store.FindAccountByProviderParams{ProviderID: "gitlab", AccountID: "4711"})
	w.None(err)
}

func TestPasswordIsFoundByEmailWhateverItsCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "grace", Email: new("Grace@Example.com")})
	w.OK(err)
	w.newAccount(w.User, "credential", "$argon2id$another") // of an older account
	find := func(email string) (store.FindCredentialAccountByEmailRow, error) {
		return w.Q.FindCredentialAccountByEmail(w.Ctx, email)
	}

	_, err = find("grace@example.com")
	w.None(err) // no way to sign in
	w.newAccount("grace", "github", "")
	w.newAccount("grace", "github", "not a password of ours")
	_, err = find("grace@example.com")
	w.None(err) // no password
	w.newAccount("grace", "credential", "")
	_, err = find("grace@example.com")
	w.None(err) // none set yet
	password := w.newAccount("grace", "credential", "$argon2id$grace")
	for _, email := range []string{"Grace@Example.com", "grace@example.com", "GRACE@EXAMPLE.COM"} {
		found, err := find(email)
		w.OK(err)
		if found.Account.ID != password || *found.Account.Password != "$argon2id$grace" || found.User.ID != "grace" || *found.User.Email != "Grace@Example.com" {
			t.Errorf("%s: found %+v", email, found)
		}
	}
	_, err = find("grace@example.org")
	w.None(err)

	// Another server may have written a second one; the oldest is it.
	w.newAccount("grace", "credential", "$argon2id$later")
	found, err := find("grace@example.com")
	w.OK(err)
	if found.Account.ID != password {
		t.Errorf("of two passwords found %+v", found.Account)
	}
}

func TestAccountsOfAUserAreListedOldestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	list := func(user store.UserID) []store.AccountID {
		rows, err := w.Q.ListUserAccounts(w.Ctx, user)
		w.OK(err)
		if rows == nil {
			t.Error("a list without rows is nil, want it empty")
		}
		return accountIDs(rows)
	}
	if got := list(w.User); len(got) != 0 {
		t.Errorf("a user without accounts has %v", got)
	}
	a, b, c := w.newAccount(w.User, "github", ""), w.newAccount(w.User, "credential", "x"), w.newAccount(w.User, "gitlab", "")
	w.newAccount(w.NewUser(), "github", "")
	w.Exec(`UPDATE account SET created_at = created_at - interval '1 hour' WHERE id = $1`, c)
	w.Exec(`UPDATE account SET created_at = (SELECT created_at FROM account WHERE id = $1) WHERE id = $2`, a, b)
	if got, want := list(w.User), []store.AccountID{c, a, b}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPasswordIsReplacedInTheUsersOwnPasswordAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.newAccount(w.User, "github", "not a password of ours")
	w.newAccount(w.NewUser(), "credential", "another's")
	w.Unchanged(func() {
		_, err := w.Q.UpdateAccountPassword(w.Ctx, store.UpdateAccountPasswordParams{UserID: w.User, Password: "new"})
		w.None(err)
	})
	id := w.newAccount(w.User, "credential", "old")
	old, err := w.Q.GetAccount(w.Ctx, id)
	w.OK(err)
	before := w.Snapshot()
	got, err := w.Q.UpdateAccountPassword(w.Ctx, store.UpdateAccountPasswordParams{UserID: w.User, Password: "new"})
	w.OK(err)
	if got.ID != id || *got.Password != "new" || got.AccountID != old.AccountID {
		t.Errorf("got %+v", got)
	}
	wantTouched(t, "UpdateAccountPassword", old.CreatedAt, got.CreatedAt, old.UpdatedAt, got.UpdatedAt)
	if diff := fixture.Changed(before, w.Snapshot()); !slices.Equal(diff, []string{"~account " + string(id)}) {
		t.Errorf("changed %v", diff)
	}

	// a password for an account that has none yet
	w.Exec(`UPDATE account SET password = NULL WHERE id = $1`, id)
	got, err = w.Q.UpdateAccountPassword(w.Ctx, store.UpdateAccountPasswordParams{UserID: w.User, Password: "first"})
	w.OK(err)
	if *got.Password != "first" {
		t.Errorf("got %+v", got)
	}
}

func TestTokensOfAnAccountAreReplacedAsFarAsTheyAreGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	before, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{
		ID: "a", AccountID: "4711", ProviderID: "github", UserID: w.User,
		AccessToken: new("at"), RefreshToken: new("rt"), IDToken: new("it"), AccessTokenExpiresAt: &at, RefreshTokenExpiresAt: &at,
		Scope: new("a b"), Password: new("p"),
	})
	w.OK(err)
	w.newAccount(w.User, "gitlab", "")
	later := at.Add(time.Hour)
	for name, c := range map[string]struct {
		change store.UpdateAccountTokensParams
		want   func(*store.Account)
	}{
		"nothing":                  {store.UpdateAccountTokensParams{}, func(*store.Account) {}},
		"access token":             {store.UpdateAccountTokensParams{AccessToken: new("at2")}, func(a *store.Account) { a.AccessToken = new("at2") }},
		"refresh token":            {store.UpdateAccountTokensParams{RefreshToken: new("rt2")}, func(a *store.Account) { a.RefreshToken = new("rt2") }},
		"ID token":                 {store.UpdateAccountTokensParams{IDToken: new("it2")}, func(a *store.Account) { a.IDToken = new("it2") }},
		"access token's expiry":    {store.UpdateAccountTokensParams{AccessTokenExpiresAt: &later}, func(a *store.Account) { a.AccessTokenExpiresAt = &later }},
		"refresh token's expiry":   {store.UpdateAccountTokensParams{RefreshTokenExpiresAt: &later}, func(a *store.Account) { a.RefreshTokenExpiresAt = &later }},
		"scope":                    {store.UpdateAccountTokensParams{Scope: new("")}, func(a *store.Account) { a.Scope = new("") }},
		"as after a usual refresh": {store.UpdateAccountTokensParams{AccessToken: new("at2"), AccessTokenExpiresAt: &later}, func(a *store.Account) { a.AccessToken, a.AccessTokenExpiresAt = new("at2"), &later }},
	} {
		w.Exec(`UPDATE account SET access_token = 'at', refresh_token = 'rt', id_token = 'it', access_token_expires_at = $1,
			refresh_token_expires_at = $1, scope = 'a b', updated_at = $2 WHERE id = 'a'`, at, before.UpdatedAt)
		rows := w.Snapshot()
		c.change.ID = "a"
		got, err := w.Q.UpdateAccountTokens(w.Ctx, c.change)
		w.OK(err)
		wantTouched(t, name, before.CreatedAt, got.CreatedAt, before.UpdatedAt, got.UpdatedAt)
		want := before
		c.want(&want)
		if !equalPtr(got.AccessToken, want.AccessToken) || !equalPtr(got.RefreshToken, want.RefreshToken) || !equalPtr(got.IDToken, want.IDToken) ||
			!got.AccessTokenExpiresAt.Equal(*want.AccessTokenExpiresAt) || !got.RefreshTokenExpiresAt.Equal(*want.RefreshTokenExpiresAt) ||
			!equalPtr(got.Scope, want.Scope) || !equalPtr(got.Password, want.Password) || got.AccountID != want.AccountID || got.UserID != want.UserID {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if diff := fixture.Changed(rows, w.Snapshot()); !slices.Equal(diff, []string{"~account a"}) {
			t.Errorf("%s: changed %v", name, diff)
		}
	}
	w.Unchanged(func() {
		_, err = w.Q.UpdateAccountTokens(w.Ctx, store.UpdateAccountTokensParams{ID: "none", Scope: new("x")})
		w.None(err)
	})
}

func TestAccountIsDeletedUnlessItIsTheLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	a, b := w.newAccount(w.User, "github", ""), w.newAccount(w.User, "credential", "x")
	bob := w.NewUser()
	bobs, bobs2 := w.newAccount(bob, "github", ""), w.newAccount(bob, "gitlab", "")
	remove := func(user store.UserID, id store.AccountID, want store.Outcome) {
		w.Helper()
		w.want("DeleteAccount", w.outcome(w.Q.DeleteAccount(w.Ctx, store.DeleteAccountParams{UserID: user, ID: id})), want)
	}
	w.Unchanged(func() {
		remove(w.User, "none", store.OutcomeUnknown)
		remove(w.User, bobs, store.OutcomeUnknown) // another user's
		remove("nobody", a, store.OutcomeUnknown)
	})
	before := w.Snapshot()
	remove(w.User, a, store.OutcomeDeleted)
	if diff := fixture.Changed(before, w.Snapshot()); !slices.Equal(diff, []string{"-account " + string(a)}) {
		t.Errorf("changed %v", diff)
	}
	w.Unchanged(func() {
		remove(w.User, b, store.OutcomeLast)
		remove(w.User, a, store.OutcomeUnknown) // gone
	})
	remove(bob, bobs2, store.OutcomeDeleted)
	w.Unchanged(func() { remove(bob, bobs, store.OutcomeLast) })
	w.newAccount(w.User, "gitlab", "")
	remove(w.User, b, store.OutcomeDeleted)
}

// However many ways to sign in a user removes at the same time, one is left.
func TestConcurrentDeletesOfAccountsLeaveOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	for round := range 120 {
		n := 2 + round%3
		ids := make([]store.AccountID, n)
		for i := range ids {
			ids[i] = w.newAccount(w.User, "github", "")
		}
		deleted := make([]bool, n)
		var wg sync.WaitGroup
		for i, id := range ids {
			wg.Go(func() {
				outcome, err := w.Q.DeleteAccount(w.Ctx, store.DeleteAccountParams{UserID: w.User, ID: id})
				if err != nil || (outcome != store.OutcomeDeleted && outcome != store.OutcomeLast) {
					t.Error(outcome, err)
				}
				deleted[i] = outcome == store.OutcomeDeleted
			})
		}
		wg.Wait()
		rows, err := w.Q.ListUserAccounts(w.Ctx, w.User)
		w.OK(err)
		if len(rows) != 1 || deleted[slices.Index(ids, rows[0].ID)] || slices.Index(deleted, false) != slices.Index(ids, rows[0].ID) {
			t.Fatalf("round %d: of %v deleted %v, left %v", round, ids, deleted, accountIDs(rows))
		}
		w.Exec(`DELETE FROM account`)
	}
}

// The second of two deletes waits for the first one, and goes by what that has left.
func TestDeleteOfAnAccountThatWaitedGoesByWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, keeps := range []bool{false, true} { // whether the first one is rolled back
		first, second := w.newAccount(w.User, "github", ""), w.newAccount(w.User, "gitlab", "")
		other := w.otherSession()
		_, err := w.Q.WithTx(other).DeleteAccount(w.Ctx, store.DeleteAccountParams{UserID: w.User, ID: first})
		w.OK(err)
		answer := make(chan store.Outcome, 1)
		go func() {
			outcome, err := w.Q.DeleteAccount(w.Ctx, store.DeleteAccountParams{UserID: w.User, ID: second})
			if err != nil {
				t.Error(err)
			}
			answer <- outcome
		}()
		w.Until("the second one waits", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
		if keeps {
			w.OK(other.Rollback(w.Ctx))
			w.want("the second", <-answer, store.OutcomeDeleted)
		} else {
			w.OK(other.Commit(w.Ctx))
			w.diary.note("DeleteAccount", store.OutcomeDeleted)
			w.want("the second", <-answer, store.OutcomeLast)
		}
		w.Exec(`DELETE FROM account`)
	}
}

// One identity at another provider signs in one user, however it is claimed.
func TestIdentityIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	users := []store.UserID{w.User, w.NewUser(), w.NewUser(), w.NewUser(), w.NewUser(), w.NewUser(), w.NewUser(), w.NewUser()}
	for round := range 15 {
		identity := fmt.Sprint("identity ", round)
		taken := make([]bool, len(users))
		var wg sync.WaitGroup
		for i, user := range users {
			wg.Go(func() {
				_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: store.NewAccountID(), AccountID: identity, ProviderID: "github", UserID: user})
				taken[i] = err == nil
				if err != nil && pgErrorOf(err).ConstraintName != string(store.ConstraintAccountProviderAccountUIdx) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		found, err := w.Q.FindAccountByProvider(w.Ctx, store.FindAccountByProviderParams{ProviderID: "github", AccountID: identity})
		w.OK(err)
		if i := slices.Index(taken, true); i < 0 || slices.Contains(taken[i+1:], true) || found.User.ID != users[i] {
			t.Fatalf("round %d: taken by %v, found %s", round, taken, found.User.ID)
		}
	}
}
