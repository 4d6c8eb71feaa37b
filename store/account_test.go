package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
)

// newAccount gives a user a way to sign in.
func (w *world) newAccount(user store.UserID, provider, password string) store.AccountID {
	w.Helper()
	p := store.CreateAccountParams{ID: store.NewAccountID(), AccountID: unique("account"), ProviderID: provider, UserID: user}
	if password != "" {
		p.Password = &password
	}
	_, err := w.q.CreateAccount(w.ctx, p)
	w.ok(err)
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
		ID: store.NewAccountID(), AccountID: "4711", ProviderID: "github", UserID: w.user,
		AccessToken: ptr("at"), RefreshToken: ptr("rt"), IDToken: ptr("it"), AccessTokenExpiresAt: &at, RefreshTokenExpiresAt: &rt,
		Scope: ptr("read:user repo"), Password: ptr("$argon2id$"),
	}
	_, err := w.q.CreateAccount(w.ctx, p)
	w.ok(err)
	got, err := w.q.GetAccount(w.ctx, p.ID)
	w.ok(err)
	if got.ID != p.ID || got.AccountID != p.AccountID || got.ProviderID != p.ProviderID || got.UserID != p.UserID ||
		*got.AccessToken != "at" || *got.RefreshToken != "rt" || *got.IDToken != "it" || *got.Scope != *p.Scope || *got.Password != *p.Password ||
		!got.AccessTokenExpiresAt.Equal(at) || !got.RefreshTokenExpiresAt.Equal(rt) {
		t.Errorf("created %+v, got %+v", p, got)
	}
	plain, err := w.q.CreateAccount(w.ctx, store.CreateAccountParams{ID: "plain", AccountID: "1", ProviderID: "gitlab", UserID: w.user})
	w.ok(err)
	if plain.AccessToken != nil || plain.RefreshToken != nil || plain.IDToken != nil || plain.AccessTokenExpiresAt != nil ||
		plain.RefreshTokenExpiresAt != nil || plain.Scope != nil || plain.Password != nil {
		t.Errorf("said nothing of it, got %+v", plain)
	}
	_, err = w.q.GetAccount(w.ctx, "none")
	w.none(err)
}

func TestAccountIsFoundByProviderAndIdentityTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bob := w.newUser()
	for _, p := range []store.CreateAccountParams{
		{ID: "a", AccountID: "4711", ProviderID: "github", UserID: w.user},
		{ID: "b", AccountID: "4711", ProviderID: "gitlab", UserID: bob},
		{ID: "c", AccountID: "4712", ProviderID: "github", UserID: bob},
	} {
		_, err := w.q.CreateAccount(w.ctx, p)
		w.ok(err)
		found, err := w.q.FindAccountByProvider(w.ctx, store.FindAccountByProviderParams{ProviderID: p.ProviderID, AccountID: p.AccountID})
		w.ok(err)
		if found.Account.ID != p.ID || found.User.ID != p.UserID || found.User.Email != string(p.UserID)+"@example.com" {
			t.Errorf("%s at %s: found %+v", p.AccountID, p.ProviderID, found)
		}
	}
	for _, p := range []store.FindAccountByProviderParams{
		{ProviderID: "github", AccountID: "4713"}, {ProviderID: "GitHub", AccountID: "4711"}, {ProviderID: "google", AccountID: "4711"}, {},
	} {
		_, err := w.q.FindAccountByProvider(w.ctx, p)
		w.none(err)
	}
}

func TestPasswordIsFoundByEmailWhateverItsCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: "grace", Email: "Grace@Example.com"})
	w.ok(err)
	find := func(email string) (store.FindCredentialAccountByEmailRow, error) {
		return w.q.FindCredentialAccountByEmail(w.ctx, email)
	}

	_, err = find("grace@example.com")
	w.none(err) // no way to sign in
	w.newAccount("grace", "github", "")
	w.newAccount("grace", "github", "not a password of ours")
	_, err = find("grace@example.com")
	w.none(err) // no password
	w.newAccount("grace", "credential", "")
	_, err = find("grace@example.com")
	w.none(err) // none set yet
	password := w.newAccount("grace", "credential", "$argon2id$grace")
	w.newAccount(w.user, "credential", "$argon2id$another")
	for _, email := range []string{"Grace@Example.com", "grace@example.com", "GRACE@EXAMPLE.COM"} {
		found, err := find(email)
		w.ok(err)
		if found.Account.ID != password || *found.Account.Password != "$argon2id$grace" || found.User.ID != "grace" || found.User.Email != "Grace@Example.com" {
			t.Errorf("%s: found %+v", email, found)
		}
	}
	_, err = find("grace@example.org")
	w.none(err)

	// Another server may have written a second one; the oldest is it.
	w.newAccount("grace", "credential", "$argon2id$later")
	found, err := find("grace@example.com")
	w.ok(err)
	if found.Account.ID != password {
		t.Errorf("of two passwords found %+v", found.Account)
	}
}

func TestAccountsOfAUserAreListedOldestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	list := func(user store.UserID) []store.AccountID {
		rows, err := w.q.ListUserAccounts(w.ctx, user)
		w.ok(err)
		if rows == nil {
			t.Error("a list without rows is nil, want it empty")
		}
		return accountIDs(rows)
	}
	if got := list(w.user); len(got) != 0 {
		t.Errorf("a user without accounts has %v", got)
	}
	a, b, c := w.newAccount(w.user, "github", ""), w.newAccount(w.user, "credential", "x"), w.newAccount(w.user, "gitlab", "")
	w.newAccount(w.newUser(), "github", "")
	w.exec(`UPDATE account SET created_at = created_at - interval '1 hour' WHERE id = $1`, c)
	w.exec(`UPDATE account SET created_at = (SELECT created_at FROM account WHERE id = $1) WHERE id = $2`, a, b)
	if got, want := list(w.user), []store.AccountID{c, a, b}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPasswordIsReplacedInTheUsersOwnPasswordAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.newAccount(w.user, "github", "not a password of ours")
	w.newAccount(w.newUser(), "credential", "another's")
	w.unchanged(func() {
		_, err := w.q.UpdateAccountPassword(w.ctx, store.UpdateAccountPasswordParams{UserID: w.user, Password: "new"})
		w.none(err)
	})
	id := w.newAccount(w.user, "credential", "old")
	old, err := w.q.GetAccount(w.ctx, id)
	w.ok(err)
	before := w.snapshot()
	got, err := w.q.UpdateAccountPassword(w.ctx, store.UpdateAccountPasswordParams{UserID: w.user, Password: "new"})
	w.ok(err)
	if got.ID != id || *got.Password != "new" || got.AccountID != old.AccountID {
		t.Errorf("got %+v", got)
	}
	wantTouched(t, "UpdateAccountPassword", old.CreatedAt, got.CreatedAt, old.UpdatedAt, got.UpdatedAt)
	if diff := changed(before, w.snapshot()); !slices.Equal(diff, []string{"~account " + string(id)}) {
		t.Errorf("changed %v", diff)
	}

	// a password for an account that has none yet
	w.exec(`UPDATE account SET password = NULL WHERE id = $1`, id)
	got, err = w.q.UpdateAccountPassword(w.ctx, store.UpdateAccountPasswordParams{UserID: w.user, Password: "first"})
	w.ok(err)
	if *got.Password != "first" {
		t.Errorf("got %+v", got)
	}
}

func TestTokensOfAnAccountAreReplacedAsFarAsTheyAreGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	before, err := w.q.CreateAccount(w.ctx, store.CreateAccountParams{
		ID: "a", AccountID: "4711", ProviderID: "github", UserID: w.user,
		AccessToken: ptr("at"), RefreshToken: ptr("rt"), IDToken: ptr("it"), AccessTokenExpiresAt: &at, RefreshTokenExpiresAt: &at,
		Scope: ptr("a b"), Password: ptr("p"),
	})
	w.ok(err)
	w.newAccount(w.user, "gitlab", "")
	later := at.Add(time.Hour)
	for name, c := range map[string]struct {
		change store.UpdateAccountTokensParams
		want   func(*store.Account)
	}{
		"nothing":                  {store.UpdateAccountTokensParams{}, func(*store.Account) {}},
		"access token":             {store.UpdateAccountTokensParams{AccessToken: ptr("at2")}, func(a *store.Account) { a.AccessToken = ptr("at2") }},
		"refresh token":            {store.UpdateAccountTokensParams{RefreshToken: ptr("rt2")}, func(a *store.Account) { a.RefreshToken = ptr("rt2") }},
		"ID token":                 {store.UpdateAccountTokensParams{IDToken: ptr("it2")}, func(a *store.Account) { a.IDToken = ptr("it2") }},
		"access token's expiry":    {store.UpdateAccountTokensParams{AccessTokenExpiresAt: &later}, func(a *store.Account) { a.AccessTokenExpiresAt = &later }},
		"refresh token's expiry":   {store.UpdateAccountTokensParams{RefreshTokenExpiresAt: &later}, func(a *store.Account) { a.RefreshTokenExpiresAt = &later }},
		"scope":                    {store.UpdateAccountTokensParams{Scope: ptr("")}, func(a *store.Account) { a.Scope = ptr("") }},
		"as after a usual refresh": {store.UpdateAccountTokensParams{AccessToken: ptr("at2"), AccessTokenExpiresAt: &later}, func(a *store.Account) { a.AccessToken, a.AccessTokenExpiresAt = ptr("at2"), &later }},
	} {
		w.exec(`UPDATE account SET access_token = 'at', refresh_token = 'rt', id_token = 'it', access_token_expires_at = $1,
			refresh_token_expires_at = $1, scope = 'a b', updated_at = $2 WHERE id = 'a'`, at, before.UpdatedAt)
		rows := w.snapshot()
		c.change.ID = "a"
		got, err := w.q.UpdateAccountTokens(w.ctx, c.change)
		w.ok(err)
		wantTouched(t, name, before.CreatedAt, got.CreatedAt, before.UpdatedAt, got.UpdatedAt)
		want := before
		c.want(&want)
		if !equalPtr(got.AccessToken, want.AccessToken) || !equalPtr(got.RefreshToken, want.RefreshToken) || !equalPtr(got.IDToken, want.IDToken) ||
			!got.AccessTokenExpiresAt.Equal(*want.AccessTokenExpiresAt) || !got.RefreshTokenExpiresAt.Equal(*want.RefreshTokenExpiresAt) ||
			!equalPtr(got.Scope, want.Scope) || !equalPtr(got.Password, want.Password) || got.AccountID != want.AccountID || got.UserID != want.UserID {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if diff := changed(rows, w.snapshot()); !slices.Equal(diff, []string{"~account a"}) {
			t.Errorf("%s: changed %v", name, diff)
		}
	}
	w.unchanged(func() {
		_, err = w.q.UpdateAccountTokens(w.ctx, store.UpdateAccountTokensParams{ID: "none", Scope: ptr("x")})
		w.none(err)
	})
}

func TestAccountIsDeletedUnlessItIsTheLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	a, b := w.newAccount(w.user, "github", ""), w.newAccount(w.user, "credential", "x")
	bob := w.newUser()
	bobs, bobs2 := w.newAccount(bob, "github", ""), w.newAccount(bob, "gitlab", "")
	remove := func(user store.UserID, id store.AccountID) error {
		got, err := w.q.DeleteAccount(w.ctx, store.DeleteAccountParams{UserID: user, ID: id})
		if err == nil && got != id {
			t.Errorf("deleted %s, want %s", got, id)
		}
		return err
	}
	w.unchanged(func() {
		w.none(remove(w.user, "none"))
		w.none(remove(w.user, bobs)) // another user's
		w.none(remove("nobody", a))
	})
	before := w.snapshot()
	w.ok(remove(w.user, a))
	if diff := changed(before, w.snapshot()); !slices.Equal(diff, []string{"-account " + string(a)}) {
		t.Errorf("changed %v", diff)
	}
	w.unchanged(func() {
		w.none(remove(w.user, b)) // the last
		w.none(remove(w.user, a)) // gone
	})
	w.ok(remove(bob, bobs2))
	w.unchanged(func() { w.none(remove(bob, bobs)) })
	w.ok(remove(w.user, func() store.AccountID { w.newAccount(w.user, "gitlab", ""); return b }()))
}

// However many ways to sign in a user removes at the same time, one is left.
func TestConcurrentDeletesOfAccountsLeaveOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	for round := range 120 {
		n := 2 + round%3
		ids := make([]store.AccountID, n)
		for i := range ids {
			ids[i] = w.newAccount(w.user, "github", "")
		}
		deleted := make([]bool, n)
		var wg sync.WaitGroup
		for i, id := range ids {
			wg.Go(func() {
				switch _, err := w.q.DeleteAccount(w.ctx, store.DeleteAccountParams{UserID: w.user, ID: id}); {
				case err == nil:
					deleted[i] = true
				case !errors.Is(err, pgx.ErrNoRows):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		rows, err := w.q.ListUserAccounts(w.ctx, w.user)
		w.ok(err)
		if len(rows) != 1 || deleted[slices.Index(ids, rows[0].ID)] || slices.Index(deleted, false) != slices.Index(ids, rows[0].ID) {
			t.Fatalf("round %d: of %v deleted %v, left %v", round, ids, deleted, accountIDs(rows))
		}
		w.exec(`DELETE FROM account`)
	}
}

// The second of two deletes waits for the first one, and goes by what that has left.
func TestDeleteOfAnAccountThatWaitedGoesByWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, keeps := range []bool{false, true} { // whether the first one is rolled back
		first, second := w.newAccount(w.user, "github", ""), w.newAccount(w.user, "gitlab", "")
		other := w.otherSession()
		_, err := w.q.WithTx(other).DeleteAccount(w.ctx, store.DeleteAccountParams{UserID: w.user, ID: first})
		w.ok(err)
		answer := make(chan error, 1)
		go func() {
			_, err := w.q.DeleteAccount(w.ctx, store.DeleteAccountParams{UserID: w.user, ID: second})
			answer <- err
		}()
		w.until("the second one waits", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
		if keeps {
			w.ok(other.Rollback(w.ctx))
			w.ok(<-answer)
		} else {
			w.ok(other.Commit(w.ctx))
			w.none(<-answer)
		}
		w.exec(`DELETE FROM account`)
	}
}

// One identity at another provider signs in one user, however it is claimed.
func TestIdentityIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	users := []store.UserID{w.user, w.newUser(), w.newUser(), w.newUser(), w.newUser(), w.newUser(), w.newUser(), w.newUser()}
	for round := range 15 {
		identity := fmt.Sprint("identity ", round)
		taken := make([]bool, len(users))
		var wg sync.WaitGroup
		for i, user := range users {
			wg.Go(func() {
				_, err := w.q.CreateAccount(w.ctx, store.CreateAccountParams{ID: store.NewAccountID(), AccountID: identity, ProviderID: "github", UserID: user})
				taken[i] = err == nil
				if err != nil && pgErrorOf(err).ConstraintName != string(store.ConstraintAccountProviderAccountUIdx) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		found, err := w.q.FindAccountByProvider(w.ctx, store.FindAccountByProviderParams{ProviderID: "github", AccountID: identity})
		w.ok(err)
		if i := slices.Index(taken, true); i < 0 || slices.Contains(taken[i+1:], true) || found.User.ID != users[i] {
			t.Fatalf("round %d: taken by %v, found %s", round, taken, found.User.ID)
		}
	}
}
