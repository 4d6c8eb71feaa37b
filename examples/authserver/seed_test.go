package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

func TestSeedingTwiceChangesTheDemoAppsAddressAlone(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	hashing, err := newPasswords(cheap)
	if err != nil {
		t.Fatal(err)
	}
	first, err := seedDemo(t.Context(), d.Store, hashing, demoOrigin)
	if err != nil {
		t.Fatal(err)
	}
	account, err := d.Store.FindCredentialAccountByEmail(t.Context(), demoEmail)
	if err != nil {
		t.Fatal(err)
	}
	second, err := seedDemo(t.Context(), d.Store, hashing, "http://127.0.0.1:9999")
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Store.FindCredentialAccountByEmail(t.Context(), demoEmail)
	if err != nil {
		t.Fatal(err)
	}
	if first.user != second.user || *account.Account.Password != *again.Account.Password {
		t.Error("the user is another one")
	}
	clients, err := d.Store.ListClients(t.Context(), store.ListClientsParams{PageSize: 10})
	if err != nil || len(clients) != 4 {
		t.Fatalf("%d clients, %v", len(clients), err)
	}
	web, err := d.Store.GetClient(t.Context(), "framed")
	if err != nil {
		t.Fatal(err)
	}
	if len(web.RedirectURIs) != 1 || web.RedirectURIs[0] != "http://127.0.0.1:9999/callback" {
		t.Errorf("redirect URIs: %q", web.RedirectURIs)
	}
}

func TestUsersAndClientsAreAddedByCommand(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	var out strings.Builder
	c := &config{addUser: "grace@example.com", addClient: "clients/native.json"}
	if err := administer(t.Context(), d.Store, c, strings.NewReader("short\n"), &out); err == nil {
		t.Error("a short password was taken")
	}
	if err := administer(t.Context(), d.Store, c, strings.NewReader("a long enough password\n"), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "client_id pocket-album\n") || strings.Contains(out.String(), "secret") {
		t.Errorf("said %q", out.String())
	}
	if err := administer(t.Context(), d.Store, c, strings.NewReader("a long enough password\n"), &out); err == nil || !strings.Contains(err.Error(), "there is a user") {
		t.Errorf("again: %v", err)
	}
}

func TestAnInitialAccessTokenRegistersSoManyClients(t *testing.T) {
	t.Parallel()
	w := startAs(t, "127.0.0.1", func(o *options) { offers{registration: registrationByToken}.configure(&o.storage, false) })
	var out strings.Builder
	if err := administer(t.Context(), w.store, &config{addRegistrations: 2}, strings.NewReader(""), &out); err != nil {
		t.Fatal(err)
	}
	initial, found := strings.CutPrefix(strings.TrimSpace(out.String()), "initial_access_token ")
	if !found {
		t.Fatalf("said %q", out.String())
	}
	for i, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusUnauthorized} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.issuer+"/register", strings.NewReader(`{"redirect_uris":["https://app.example/cb"]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+initial)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("registration %d: %s", i+1, response.Status)
		}
	}
}
