package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// served has the server serve all that it can.
func served(o *options) {
	p := offers{
		registration: registrationOpen, clientDocuments: true, scopes: words{"notes"},
		resources: words{"https://notes.example/mcp", "https://bank.example/"},
	}
	p.configure(&o.storage, true)
}

// claims are those of an ID token.
func (w *world) claims(given *oauth2.Token) (claims struct {
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	AuthTime int64    `json:"auth_time"`
},
) {
	w.Helper()
	provider, err := oidc.NewProvider(w.Context(), w.issuer)
	if err != nil {
		w.Fatal(err)
	}
	raw, _ := given.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: w.demo.web.ID}).Verify(w.Context(), raw)
	if err != nil {
		w.Fatal(err)
	}
	if err := idToken.Claims(&claims); err != nil {
		w.Fatal(err)
	}
	return claims
}

// signedInBy has a browser signed in for an hour, by these methods.
func (b *browser) signedInBy(amr ...string) *browser {
	b.Helper()
	raw := token.Mint(token.SessionToken)
	created, err := b.store.CreateSession(b.Context(), store.CreateSessionParams{
		ID: store.NewSessionID(), UserID: b.demo.user, Token: raw.Digest(), Lifetime: time.Hour, AMR: amr,
	})
	if err != nil || created.Outcome != store.OutcomeCreated {
		b.Fatal(created.Outcome, err)
	}
	u, err := url.Parse(b.issuer)
	if err != nil {
		b.Fatal(err)
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: b.server.cookie.name, Value: raw.Reveal(), Path: "/"}})
	return b
}

// RFC 9470, section 5: the client learns what the sign-in has reached, and is not turned away for it.
func TestAStrongerSignInIsAskedForWhereItIsWanted(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser().signedIn()
	given := b.grant("")
	if c := w.claims(given); c.ACR != acrPassword || !slices.Equal(c.AMR, []string{"pwd"}) {
		t.Errorf("a password: %+v", c)
	}
	for wanted, again := range map[string]bool{acrPassword: false, "urn:unknown": false, acrPhishingResistant: true, "urn:unknown phr": true, "phr " + acrPassword: false} {
		a := b.get(w.authorize("acr_values", wanted))
		if asked := a.url.Path == "/signin"; asked != again {
			t.Errorf("acr_values %q: asked for a new sign-in: %t", wanted, asked)
		}
		if !again {
			b.wantCallback(a, "")
			continue
		}
		given := b.exchange(b.signIn(a, w.demo.email, w.demo.password))
		if c := w.claims(given); c.ACR != acrPassword {
			t.Errorf("acr_values %q, and a password all the same: %+v", wanted, c)
		}
		b.wantCallback(b.get(w.authorize("acr_values", wanted, "prompt", "none")), "login_required")
	}
	strong := w.browser().signedInBy("hwk", "user")
	if c := w.claims(strong.exchange(strong.get(w.authorize("acr_values", acrPhishingResistant)))); c.ACR != acrPhishingResistant || c.AuthTime == 0 {
		t.Errorf("a passkey: %+v", c)
	}
}

func TestAuthorizationDetailsAreShownAndGranted(t *testing.T) {
	t.Parallel()
	w := startAs(t, "127.0.0.1", served)
	b := w.browser().signedIn()
	b.grant("") // the scopes, as far as they go
	const details = `[{"type":"photo_album","album":"Holidays","actions":["view","add"]}]`
	a := b.get(w.authorize("authorization_details", details))
	b.wantPage(a, http.StatusOK, "/consent", "In the album “Holidays”: look at it, add photos")
	given := b.exchange(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", "")))
	granted, err := json.Marshal(given.Extra("authorization_details"))
	if err != nil || !strings.Contains(string(granted), `"album":"Holidays"`) {
		t.Errorf("granted: %s %v", granted, err)
	}
	b.wantCallback(b.get(w.authorize("authorization_details", details)), "") // agreed already
	b.wantPage(b.get(w.authorize("authorization_details", strings.Replace(details, "Holidays", "Weddings", 1))), http.StatusOK, "/consent", "Weddings")
	for _, unknown := range []string{`[{"type":"photo_album","album":"Holidays","actions":["sell"]}]`, `[{"type":"payment"}]`, `[{"type":"photo_album","album":"Holidays","actions":["view"],"x":1}]`} {
		b.wantCallback(b.get(w.authorize("authorization_details", unknown)), "invalid_authorization_details")
	}
}

// What was agreed to at one resource server is asked again at another (RFC 8707).
func TestConsentIsForTheResource(t *testing.T) {
	t.Parallel()
	w := startAs(t, "127.0.0.1", served)
	b := w.browser().signedIn()
	b.grant("")
	a := b.get(w.authorize("resource", "https://notes.example/mcp"))
	b.wantPage(a, http.StatusOK, "/consent", "https://notes.example/mcp")
	b.exchange(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", "")))
	b.wantCallback(b.get(w.authorize("resource", "https://notes.example/mcp")), "")
	b.wantPage(b.get(w.authorize("resource", "https://bank.example/")), http.StatusOK, "/consent", "https://bank.example/")
	b.wantCallback(b.get(w.authorize("resource", "https://other.example/")), "invalid_target")
}

// Who registers a client decides where the server sends logout tokens to. It is not an address inside of the server's own network.
func TestLogoutTokensOfSelfRegisteredClientsStayOutOfTheServersNetwork(t *testing.T) {
	t.Parallel()
	for what, attempt := range map[string]struct {
		offers offers
		demo   bool
		want   bool
	}{
		"closed":       {offers{registration: registrationClosed}, false, true},
		"by token":     {offers{registration: registrationByToken}, false, false},
		"open":         {offers{registration: registrationOpen}, false, false},
		"by documents": {offers{registration: registrationClosed, clientDocuments: true}, false, false},
		"a demo":       {offers{registration: registrationOpen, clientDocuments: true}, true, true},
	} {
		heard := false
		inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard = true }))
		w := startAs(t, "127.0.0.1", func(o *options) { o.outbound = attempt.offers.outbound(attempt.demo) })
		err := w.server.deliverLogout(t.Context(), db.LogoutDelivery{
			ClientID: store.ClientID(w.demo.web.ID), BackchannelLogoutURI: inside.URL, Sub: "sub", SID: "sid",
		})
		inside.Close()
		if (err == nil) != attempt.want || heard != attempt.want {
			t.Errorf("%s: %v, and it was heard inside: %t", what, err, heard)
		}
	}
}

func TestMetadataIsWhatTheFlagsSay(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*options){"": nothing, "served": served} {
		w := startAs(t, "127.0.0.1", change)
		response, err := http.Get(w.issuer + "/.well-known/oauth-authorization-server")
		if err != nil {
			t.Fatal(err)
		}
		var told map[string]any
		if err := json.NewDecoder(response.Body).Decode(&told); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		scopes, _ := told["scopes_supported"].([]any)
		if (told["registration_endpoint"] != nil) != (what == "served") || told["issuer"] != w.issuer || slices.Contains(scopes, any("notes")) != (what == "served") {
			t.Errorf("%s: %v", what, told)
		}
	}
}
