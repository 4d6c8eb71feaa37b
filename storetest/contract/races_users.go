package contract

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func userUpdatesAddUp(w *world) {
	name, email, image := "Grace", strings.ToLower(string(w.user))+"@client.example", "https://client.example/grace"
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		change := store.UpdateUserParams{ID: w.user}
		switch i % 3 {
		case 0:
			change.Name = &name
		case 1:
			change.Email = &email
		case 2:
			change.Image = &image
		}
		_, err := w.q.UpdateUser(w.Context(), change)
		return found(err)
	})
	u, err := w.q.UpdateUser(w.Context(), store.UpdateUserParams{ID: w.user})
	w.noError(err)
	if u.Name != name || u.Email == nil || *u.Email != email || u.Image == nil || *u.Image != image {
		w.Fatalf("a change is lost: %+v", u)
	}
}

func userIsSuspendedOnce(w *world) {
	w.race(once(store.OutcomeEnded, store.OutcomeRevoked), func(int) (store.Outcome, error) {
		row, err := w.q.SuspendUser(w.Context(), w.user)
		if err == nil && row.Outcome == store.OutcomeEnded && row.Sessions != 1 {
			w.Errorf("%d sessions have ended, want 1", row.Sessions)
		}
		return row.Outcome, err
	})
	w.sessionIsLive(w.session, false)
}

func userIsReinstatedOnce(w *world) {
	suspended, err := w.q.SuspendUser(w.Context(), w.user)
	w.noError(err)
	w.is(suspended.Outcome, store.OutcomeEnded)
	w.race(once(store.OutcomeReinstated, store.OutcomeRetried), func(int) (store.Outcome, error) { return w.q.ReinstateUser(w.Context(), w.user) })
}

func userIsDeletedOnce(w *world) {
	w.race(once(store.OutcomeDeleted, store.OutcomeUnknown), func(int) (store.Outcome, error) {
		row, err := w.q.DeleteUser(w.Context(), w.user)
		if err == nil && row.Outcome == store.OutcomeDeleted && row.Sessions != 1 {
			w.Errorf("%d sessions have ended, want 1", row.Sessions)
		}
		return row.Outcome, err
	})
	w.sessionIsLive(w.session, false)
}

// account gives the user an account at a provider.
func (w *world) account(provider string) store.AccountID {
	w.Helper()
	id, password := store.NewAccountID(), "the hash before"
	_, err := w.q.CreateAccount(w.Context(), store.CreateAccountParams{
		ID: id, AccountID: string(w.user), ProviderID: provider, UserID: w.user, Password: &password,
	})
	w.noError(err)
	return id
}

func passwordIsReplaced(w *world) {
	id := w.account("credential")
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		_, err := w.q.UpdateAccountPassword(w.Context(), store.UpdateAccountPasswordParams{UserID: w.user, Password: fmt.Sprint("a new hash: ", i)})
		return found(err)
	})
	a, err := w.q.GetAccount(w.Context(), id)
	w.noError(err)
	if a.Password == nil || !strings.HasPrefix(*a.Password, "a new hash: ") {
		w.Fatalf("no new password is stored: %v", a.Password)
	}
}

func accountUpdatesAddUp(w *world) {
	id, word := w.account("https://provider.example"), "new"
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		change := store.UpdateAccountTokensParams{ID: id}
		switch i % 3 {
		case 0:
			change.AccessToken = &word
		case 1:
			change.RefreshToken = &word
		case 2:
			change.Scope = &word
		}
		_, err := w.q.UpdateAccountTokens(w.Context(), change)
		return found(err)
	})
	a, err := w.q.GetAccount(w.Context(), id)
	w.noError(err)
	if a.AccessToken == nil || a.RefreshToken == nil || a.Scope == nil {
		w.Fatal("a change is lost")
	}
}

func lastAccountStays(w *world) {
	ids := []store.AccountID{w.account("credential"), w.account("https://provider.example")}
	got := w.atOnce(func(i int) (store.Outcome, error) {
		return w.q.DeleteAccount(w.Context(), store.DeleteAccountParams{ID: ids[i%2], UserID: w.user})
	})
	if got[store.OutcomeDeleted] != 1 || got[store.OutcomeLast]+got[store.OutcomeUnknown] != Parallel-1 {
		w.Fatalf("of two accounts: %v", got)
	}
	left := 0
	for _, id := range ids {
		_, err := w.q.GetAccount(w.Context(), id)
		outcome, err := found(err)
		w.noError(err)
		if outcome == store.OutcomeActive {
			left++
		}
	}
	if left != 1 {
		w.Fatalf("%d accounts are left, want 1", left)
	}
}

// sessionIsLive fails the test unless the session's cookie finds it, or doesn't.
func (w *world) sessionIsLive(id store.SessionID, want bool) {
	w.Helper()
	_, err := w.q.FindSessionByToken(w.Context(), token.DigestOf(string(id)))
	outcome, err := found(err)
	w.noError(err)
	if live := outcome == store.OutcomeActive; live != want {
		w.Fatalf("the session is live: %t, want %t", live, want)
	}
}

func longestExtensionStays(w *world) {
	got := w.atOnce(func(i int) (store.Outcome, error) {
		row, err := w.q.ExtendSession(w.Context(), store.ExtendSessionParams{ID: w.session, Lifetime: time.Duration(2+i*5%Parallel) * time.Hour})
		return row.Outcome, err
	})
	if got[store.OutcomeExtended] == 0 || got[store.OutcomeExtended]+got[store.OutcomeActive] != Parallel {
		w.Fatalf("extensions: %v", got)
	}
	row, err := w.q.FindSessionByToken(w.Context(), token.DigestOf(string(w.session)))
	w.noError(err)
	if lasts := row.Session.ExpiresAt.Sub(row.Session.UpdatedAt).Round(time.Hour); lasts != (Parallel+1)*time.Hour {
		w.Fatalf("the session lasts for %v, want %v", lasts, (Parallel+1)*time.Hour)
	}
}

func oneCookieCounts(w *world) {
	cookies := w.digests("cookie")
	w.race(each(store.OutcomeAuthenticated), func(i int) (store.Outcome, error) {
		row, err := w.q.ReauthenticateSession(w.Context(), store.ReauthenticateSessionParams{ID: w.session, UserID: w.user, Token: &cookies[i]})
		return row.Outcome, err
	})
	w.countsOne("cookies", func(i int) (bool, error) {
		_, err := w.q.FindSessionByToken(w.Context(), cookies[i])
		outcome, err := found(err)
		return outcome == store.OutcomeActive, err
	})
	w.sessionIsLive(w.session, false) // by the cookie before
}

func sessionIsEndedOnce(w *world) {
	w.race(once(store.OutcomeEnded, store.OutcomeRevoked), func(int) (store.Outcome, error) {
		row, err := w.q.EndSession(w.Context(), w.session)
		return row.Outcome, err
	})
	w.sessionIsLive(w.session, false)
}

func userSessionsAreEnded(w *world) {
	kept := w.newSession()
	var ended atomic.Int64
	w.race(each(store.OutcomeEnded), func(int) (store.Outcome, error) {
		row, err := w.q.EndUserSessions(w.Context(), store.EndUserSessionsParams{UserID: w.user, Keep: &kept})
		ended.Add(row.Sessions)
		return row.Outcome, err
	})
	if ended.Load() != 1 {
		w.Fatalf("the callers have ended %d sessions, want 1", ended.Load())
	}
	w.sessionIsLive(w.session, false)
	w.sessionIsLive(kept, true)
}

// digests are as many as there are callers, and those of no other part of the suite.
func (w *world) digests(of string) []token.Digest {
	digests := make([]token.Digest, Parallel)
	for i := range digests {
		digests[i] = token.DigestOf(of + string(store.NewSessionID()))
	}
	return digests
}

// countsOne fails the test unless one of what the callers have left counts.
func (w *world) countsOne(what string, count func(i int) (bool, error)) {
	w.Helper()
	counting := 0
	for i := range Parallel {
		counts, err := count(i)
		w.noError(err)
		if counts {
			counting++
		}
	}
	if counting != 1 {
		w.Fatalf("%d of the %s count, want 1", counting, what)
	}
}
