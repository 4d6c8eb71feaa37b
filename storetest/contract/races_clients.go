package contract

import (
	"fmt"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func clientUpdatesAddUp(w *world) {
	word := "new"
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		change := store.UpdateClientParams{ClientID: w.client}
		switch i % 3 {
		case 0:
			change.Name = &word
		case 1:
			change.SoftwareID = &word
		case 2:
			change.Contacts = []string{word}
		}
		_, err := w.q.UpdateClient(w.Context(), change)
		return found(err)
	})
	c, err := w.q.GetClient(w.Context(), w.client)
	w.noError(err)
	if c.Name == nil || c.SoftwareID == nil || len(c.Contacts) == 0 {
		w.Fatalf("a change is lost: %v, %v, %v", c.Name, c.SoftwareID, c.Contacts)
	}
}

// clientIsDisabledOrNot fails the test unless the client is so.
func (w *world) clientIsDisabledOrNot(want bool) {
	w.Helper()
	c, err := w.q.GetClient(w.Context(), w.client)
	w.noError(err)
	if c.Disabled != want {
		w.Fatalf("the client is disabled: %t, want %t", c.Disabled, want)
	}
}

func clientIsDisabled(w *world) {
	w.race(each(store.OutcomeEnded), func(int) (store.Outcome, error) { return w.q.DisableClient(w.Context(), w.client) })
	w.clientIsDisabledOrNot(true)
}

func clientIsEnabled(w *world) {
	outcome, err := w.q.DisableClient(w.Context(), w.client)
	w.noError(err)
	w.is(outcome, store.OutcomeEnded)
	w.race(each(store.OutcomeEnabled), func(int) (store.Outcome, error) { return w.q.EnableClient(w.Context(), w.client) })
	w.clientIsDisabledOrNot(false)
}

func clientIsDeletedOnce(w *world) {
	w.race(once(store.OutcomeDeleted, store.OutcomeUnknown), func(int) (store.Outcome, error) { return w.q.DeleteClient(w.Context(), w.client) })
}

func secretsAreReplaced(w *world) {
	secrets, method := w.digests("secret"), "client_secret_basic"
	w.client = w.newClient(func(c *store.CreateClientParams) { c.ClientSecret, c.TokenEndpointAuthMethod = &secrets[0], &method })
	rotate := func(secret token.Digest) (store.Outcome, error) {
		return w.q.RotateClientSecret(w.Context(), store.RotateClientSecretParams{
			ClientID: w.client, ClientSecret: secret, Overlap: time.Hour, Lifetime: store.Never,
		})
	}
	next := w.digests("next secret")
	w.race(each(store.OutcomeRotated), func(i int) (store.Outcome, error) { return rotate(next[i]) })
	for _, secret := range append(next, secrets[0]) { // which all were promised another hour
		outcome, err := w.q.AuthenticateClient(w.Context(), store.AuthenticateClientParams{ClientID: w.client, ClientAuthMethod: method, ClientSecret: secret})
		w.noError(err)
		w.is(outcome, store.OutcomeAuthenticated)
	}
	w.race(once(store.OutcomeRotated, store.OutcomeRetried), func(int) (store.Outcome, error) { return rotate(secrets[1]) })
}

func foreignSecretIsReplacedOnce(w *world) {
	hash, method, secrets := "$2b$12$foreign", "client_secret_basic", w.digests("secret")
	foreign := func(c *store.CreateClientParams) { c.ForeignSecretHash, c.TokenEndpointAuthMethod = &hash, &method }
	replace := func(secret token.Digest) (store.Outcome, error) {
		return w.q.ReplaceForeignSecretHash(w.Context(), store.ReplaceForeignSecretHashParams{ClientID: w.client, ForeignSecretHash: hash, ClientSecret: secret})
	}
	w.client = w.newClient(foreign)
	w.race(once(store.OutcomeReplaced, store.OutcomeRetried), func(int) (store.Outcome, error) { return replace(secrets[0]) })
	w.client = w.newClient(foreign)
	w.race(once(store.OutcomeReplaced, store.OutcomeMismatched), func(i int) (store.Outcome, error) { return replace(secrets[i]) })
}

func initialAccessTokenIsRevokedOnce(w *world) {
	id := store.NewInitialAccessTokenID()
	_, err := w.q.CreateInitialAccessToken(w.Context(), store.CreateInitialAccessTokenParams{ID: id, Token: w.digests("token")[0], MaxUses: 1, Lifetime: time.Hour})
	w.noError(err)
	w.race(once(store.OutcomeEnded, store.OutcomeRevoked), func(int) (store.Outcome, error) { return w.q.RevokeInitialAccessToken(w.Context(), id) })
}

const redirectURI = "https://client.example/cb"

// registered is a client that has registered itself, and the token that manages it.
func (w *world) registered() (store.ClientID, token.Digest) {
	w.Helper()
	id, method, manages := store.NewClientID(), "none", w.digests("registration token")[0]
	row, err := w.q.RegisterClient(w.Context(), store.RegisterClientParams{
		ID: store.NewOAuthClientID(), ClientID: id, Open: true, RedirectURIs: []string{redirectURI}, TokenEndpointAuthMethod: &method,
		RegistrationAccessToken: &manages,
	})
	w.noError(err)
	w.is(row.Outcome, store.OutcomeRegistered)
	return id, manages
}

// update is a new registration of a client, which goes on with another token.
func (w *world) update(id store.ClientID, presented, next token.Digest) (store.Outcome, error) {
	method := "none"
	row, err := w.q.UpdateRegistration(w.Context(), store.UpdateRegistrationParams{
		ClientID: id, RegistrationAccessToken: presented, NewRegistrationAccessToken: &next, RedirectURIs: []string{redirectURI},
		TokenEndpointAuthMethod: &method,
	})
	return row.Outcome, err
}

func (w *world) manages(id store.ClientID, presented token.Digest) (store.Outcome, error) {
	_, err := w.q.FindClientByRegistrationToken(w.Context(), store.FindClientByRegistrationTokenParams{ClientID: id, RegistrationAccessToken: presented})
	return found(err)
}

func usedRegistrationTokenEndsItsPredecessor(w *world) {
	id, first := w.registered()
	second := w.digests("next registration token")[0]
	outcome, err := w.update(id, first, second)
	w.noError(err)
	w.is(outcome, store.OutcomeUpdated)
	w.race(each(store.OutcomeActive), func(int) (store.Outcome, error) { return w.manages(id, second) })
	outcome, err = w.update(id, first, second)
	w.noError(err)
	w.is(outcome, store.OutcomeUnauthenticated)
}

func registrationIsUpdatedByOne(w *world) {
	id, first := w.registered()
	next := w.digests("next registration token")
	w.race(once(store.OutcomeUpdated, store.OutcomeUnauthenticated), func(i int) (store.Outcome, error) { return w.update(id, first, next[i]) })
	w.countsOne("registration tokens", func(i int) (bool, error) {
		outcome, err := w.manages(id, next[i])
		return outcome == store.OutcomeActive, err
	})
}

func oneRegistrationTokenManages(w *world) {
	id, first := w.registered()
	next := w.digests("next registration token")
	w.race(each(store.OutcomeUpdated), func(i int) (store.Outcome, error) {
		return w.q.SetRegistrationAccessToken(w.Context(), store.SetRegistrationAccessTokenParams{ClientID: id, RegistrationAccessToken: &next[i]})
	})
	w.countsOne("registration tokens", func(i int) (bool, error) {
		outcome, err := w.manages(id, next[i])
		return outcome == store.OutcomeActive, err
	})
	outcome, err := w.manages(id, first)
	w.noError(err)
	w.is(outcome, store.OutcomeUnknown)
}

func registrationIsDeletedOnce(w *world) {
	id, manages := w.registered()
	w.race(once(store.OutcomeDeleted, store.OutcomeUnauthenticated), func(int) (store.Outcome, error) {
		return w.q.DeleteRegistration(w.Context(), store.DeleteRegistrationParams{ClientID: id, RegistrationAccessToken: manages})
	})
}

// putDocument stores the i-th of the documents that were fetched from a client, a second after the one before.
func (w *world) putDocument(client store.ClientID, begin time.Time, i int) (store.Outcome, error) {
	id, etag := string(client), fmt.Sprint(i)
	row, err := w.q.PutClientDocument(w.Context(), store.PutClientDocumentParams{
		ID: store.NewOAuthClientID(), ClientID: client, DocumentClientID: &id, DocumentETag: &etag, Name: &etag,
		FetchedAt: begin.Add(time.Duration(i) * time.Second), FreshFor: time.Hour, RedirectURIs: []string{redirectURI},
	})
	return row.Outcome, err
}

func newDocument() (store.ClientID, time.Time) {
	return store.ClientID("https://client.example/" + strings.ToLower(string(store.NewClientID()))), time.Now().Add(-time.Hour).Truncate(time.Second)
}

func latestDocumentStays(w *world) {
	client, begin := newDocument()
	got := w.atOnce(func(i int) (store.Outcome, error) { return w.putDocument(client, begin, i) })
	if got[store.OutcomeInserted] != 1 || got[store.OutcomeInserted]+got[store.OutcomeChanged]+got[store.OutcomeStale] != Parallel {
		w.Fatalf("documents: %v", got)
	}
	for i := range Parallel {
		outcome, err := w.putDocument(client, begin, i)
		w.noError(err)
		want := store.OutcomeStale
		if i == Parallel-1 {
			want = store.OutcomeRetried
		}
		w.is(outcome, want)
	}
}

func documentIsRefreshedOnce(w *world) {
	client, begin := newDocument()
	outcome, err := w.putDocument(client, begin, 0)
	w.noError(err)
	w.is(outcome, store.OutcomeInserted)
	w.race(once(store.OutcomeFresh, store.OutcomeRetried), func(int) (store.Outcome, error) {
		row, err := w.q.RefreshClientDocument(w.Context(), store.RefreshClientDocumentParams{
			ClientID: client, DocumentETag: "0", FetchedAt: begin.Add(time.Minute), FreshFor: time.Hour,
		})
		return row.Outcome, err
	})
}

func consentsAddUp(w *world) {
	w.race(each(store.OutcomeGranted), func(i int) (store.Outcome, error) {
		row, err := w.q.GrantConsent(w.Context(), store.GrantConsentParams{
			ID: store.NewConsentID(), UserID: w.user, ClientID: w.client, Scopes: []string{fmt.Sprint("scope", i)}, Merge: true,
		})
		return row.Outcome, err
	})
	consent, err := w.q.FindConsent(w.Context(), store.FindConsentParams{UserID: w.user, ClientID: w.client})
	w.noError(err)
	if len(consent.Scopes) != Parallel {
		w.Fatalf("the user has agreed to %v", consent.Scopes)
	}
}

func consentIsWithdrawnOnce(w *world) {
	granted, err := w.q.GrantConsent(w.Context(), store.GrantConsentParams{ID: store.NewConsentID(), UserID: w.user, ClientID: w.client, Scopes: []string{"openid"}})
	w.noError(err)
	w.is(granted.Outcome, store.OutcomeGranted)
	w.race(once(store.OutcomeWithdrawn, store.OutcomeEnded), func(int) (store.Outcome, error) {
		row, err := w.q.WithdrawConsent(w.Context(), store.WithdrawConsentParams{UserID: w.user, ClientID: w.client})
		return row.Outcome, err
	})
}

func subjectIsGivenOnce(w *world) {
	pairwise, sector := "pairwise", strings.ToLower(string(w.client))+".example"
	w.client = w.newClient(func(c *store.CreateClientParams) { c.SubjectType, c.SectorIdentifier = &pairwise, &sector })
	subjects := w.digests("subject")
	give := func(user store.UserID, i int) (store.Outcome, error) {
		return w.q.CreatePairwiseSubject(w.Context(), store.CreatePairwiseSubjectParams{ClientID: w.client, UserID: user, Subject: store.Subject(subjects[i])})
	}
	w.race(once(store.OutcomeCreated, store.OutcomeTaken), func(i int) (store.Outcome, error) { return give(w.user, i) })
	w.countsOne("subjects", func(i int) (bool, error) {
		_, err := w.q.FindUserBySubject(w.Context(), store.FindUserBySubjectParams{ClientID: w.client, Subject: store.Subject(subjects[i])})
		outcome, err := found(err)
		return outcome == store.OutcomeActive, err
	})
	other := w.newUser()
	subjects = w.digests("subject")
	w.race(once(store.OutcomeCreated, store.OutcomeRetried), func(int) (store.Outcome, error) { return give(other, 0) })
}

func (w *world) newKey(alg string) store.SigningKeyID {
	w.Helper()
	id := store.NewSigningKeyID()
	_, err := w.q.CreateSigningKey(w.Context(), store.CreateSigningKeyParams{ID: id, Alg: &alg, PublicKey: "{}", PrivateKey: "sealed"})
	w.noError(err)
	return id
}

// newAlg is a signature algorithm that has no keys.
func newAlg() string { return string(store.NewSigningKeyID()) }

func keyIsRotatedOnce(w *world) {
	alg, ids := newAlg(), make([]store.SigningKeyID, Parallel)
	w.race(once(store.OutcomeRotated, store.OutcomeFresh), func(i int) (store.Outcome, error) {
		row, err := w.q.RotateSigningKeyIfDue(w.Context(), store.RotateSigningKeyIfDueParams{
			ID: store.NewSigningKeyID(), Alg: alg, MaxAge: time.Hour, PublicKey: "{}", PrivateKey: "sealed",
		})
		ids[i] = row.ID
		return row.Outcome, err
	})
	for _, id := range ids {
		if id != ids[0] {
			w.Fatalf("the callers are told of keys %s and %s", ids[0], id)
		}
	}
}

func replacedKeysAreRetiredOnce(w *world) {
	alg := newAlg()
	first, second, newest := w.newKey(alg), w.newKey(alg), w.newKey(alg)
	retired := make([][]store.SigningKey, Parallel)
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		keys, err := w.q.RetireReplacedSigningKeys(w.Context(), store.RetireReplacedSigningKeysParams{Alg: alg, Lifetime: time.Hour})
		retired[i] = keys
		return found(err)
	})
	times := map[store.SigningKeyID]int{}
	for _, keys := range retired {
		for _, key := range keys {
			times[key.ID]++
		}
	}
	if times[first] != 1 || times[second] != 1 || times[newest] != 0 {
		w.Fatalf("of three keys, these were retired so many times: %v", times)
	}
}

func shortestRetirementStays(w *world) {
	id := w.newKey(newAlg())
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		_, err := w.q.RetireSigningKey(w.Context(), store.RetireSigningKeyParams{ID: id, Lifetime: time.Duration(1+i*5%Parallel) * time.Hour})
		return found(err)
	})
	key, err := w.q.RetireSigningKey(w.Context(), store.RetireSigningKeyParams{ID: id, Lifetime: 24 * time.Hour})
	w.noError(err)
	if lasts := key.ExpiresAt.Sub(key.UpdatedAt).Round(time.Hour); lasts != time.Hour {
		w.Fatalf("the key is published for %v, want an hour", lasts)
	}
}

func keyIsDeletedOnce(w *world) {
	id := w.newKey(newAlg())
	w.race(once(store.OutcomeActive, store.OutcomeUnknown), func(int) (store.Outcome, error) {
		_, err := w.q.DeleteSigningKey(w.Context(), id)
		return found(err)
	})
}
