package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/oauthdb/oauthdb/store"
)

func TestConsentIsAskedOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	a := b.get(w.authorize("login_hint", "ada@example.com"))
	b.wantPage(a, http.StatusOK, "/signin", `value="ada@example.com"`)
	b.wantPage(a, http.StatusOK, "/signin", "<strong>Framed</strong>")
	a = b.signIn(a, w.demo.email, w.demo.password)
	for _, text := range []string{"Allow Framed?", "Look at your photos", "Keep its access while you&#39;re away", "Only myself", "Royal Photographic Society"} {
		b.wantPage(a, http.StatusOK, "/consent", text)
	}
	b.exchange(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", "")))
	b.wantCallback(b.get(w.authorize()), "")
	b.wantPage(b.get(w.authorize("prompt", "consent")), http.StatusOK, "/consent", "Allow Framed?")
}

func TestARefusalReachesTheClient(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser().signedIn()
	a := b.get(w.authorize())
	b.wantPage(a, http.StatusOK, "/consent", "Allow Framed?")
	form := a.form("decision", "deny", "tenant", "")
	b.wantCallback(b.post(w.issuer+"/consent", form), "access_denied")
	b.wantPage(b.post(w.issuer+"/consent", form), http.StatusBadRequest, "/consent", "This request is over")
	b.wantPage(b.get(w.authorize()), http.StatusOK, "/consent", "Allow Framed?") // nothing was agreed to
}

func TestPromptNoneShowsNoPage(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	b.wantCallback(b.get(w.authorize("prompt", "none")), "login_required")
	b.signedIn()
	b.wantCallback(b.get(w.authorize("prompt", "none")), "consent_required")
	b.grant("")
	b.wantCallback(b.get(w.authorize("prompt", "none")), "")
	time.Sleep(1100 * time.Millisecond) // max_age is in seconds
	b.wantCallback(b.get(w.authorize("prompt", "none", "max_age", "1")), "login_required")
	b.wantCallback(b.get(w.authorize("prompt", "none", "max_age", "3600")), "")
}

func TestAClientMayAskForANewSignIn(t *testing.T) {
	t.Parallel()
	for _, parameters := range [][]string{{"prompt", "login"}, {"max_age", "0"}, {"prompt", "select_account"}} {
		t.Run(strings.Join(parameters, "="), func(t *testing.T) {
			t.Parallel()
			w := start(t)
			b := w.browser()
			before := authTime(t, b.grant(""))
			a := b.get(w.authorize(parameters...))
			b.wantPage(a, http.StatusOK, "/signin", "asks you to sign in again")
			a = b.signIn(a, w.demo.email, w.demo.password)
			if after := authTime(t, b.exchange(a)); after < before {
				t.Errorf("auth_time went from %d to %d", before, after)
			}
		})
	}
}

func authTime(t *testing.T, given *oauth2.Token) int64 {
	t.Helper()
	raw, _ := given.Extra("id_token").(string)
	verifier := oidc.NewVerifier("", nil, &oidc.Config{
		InsecureSkipSignatureCheck: true, SkipClientIDCheck: true, SkipIssuerCheck: true, SupportedSigningAlgs: []string{oidc.ES256},
	})
	id, err := verifier.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		AuthTime int64    `json:"auth_time"`
		AMR      []string `json:"amr"`
	}
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.AuthTime == 0 || len(claims.AMR) != 1 || claims.AMR[0] != "pwd" {
		t.Errorf("claims: %+v", claims)
	}
	return claims.AuthTime
}

func TestTheUserWhomAnIDTokenHintNamesHasToSignIn(t *testing.T) {
	t.Parallel()
	w := start(t)
	if _, err := addUser(t.Context(), w.store, w.server.passwords, "Charles", "charles@example.com", "another password"); err != nil {
		t.Fatal(err)
	}
	hint, _ := w.browser().grant("").Extra("id_token").(string)
	b := w.browser()
	b.signIn(answer{}, "charles@example.com", "another password")
	a := b.get(w.authorize("id_token_hint", hint))
	b.wantPage(a, http.StatusOK, "/signin", "signed in as <strong>charles@example.com")
	b.wantCallback(b.signIn(a, "charles@example.com", "another password"), "login_required")
	a = b.get(w.authorize("id_token_hint", hint))
	b.wantCallback(b.signIn(a, w.demo.email, w.demo.password), "") // who had agreed before
	b.wantCallback(w.browser().get(w.authorize("id_token_hint", hint, "prompt", "none")), "login_required")
}

func TestAGrantIsMadeInTheTenantThatTheUserChooses(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	b.grant("org_royal")
	consent, err := w.store.FindConsent(t.Context(), store.FindConsentParams{
		ClientID: store.ClientID(w.demo.web.ID), UserID: w.demo.user, ReferenceID: new(store.ReferenceID("org_royal")),
	})
	if err != nil || len(consent.Scopes) != len(w.demo.web.Scopes) {
		t.Fatalf("%+v, %v", consent, err)
	}
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, accountPath, "On behalf of <strong>Royal Photographic Society")
	b.wantCallback(b.get(w.authorize()), "")

	a := b.get(w.authorize("prompt", "consent"))
	b.wantPage(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", "org_of_others")), http.StatusBadRequest, "/consent", "not one of yours")
}

func TestAnAnswerOfSomebodyElseIsNotTaken(t *testing.T) {
	t.Parallel()
	w := start(t)
	if _, err := addUser(t.Context(), w.store, w.server.passwords, "Charles", "charles@example.com", "another password"); err != nil {
		t.Fatal(err)
	}
	b := w.browser().signedIn()
	question := b.get(w.authorize())
	b.signIn(answer{}, "charles@example.com", "another password") // in another tab
	a := b.post(w.issuer+"/consent", question.form("decision", "allow", "tenant", ""))
	b.wantPage(a, http.StatusOK, "/consent", "Signed in as charles@example.com")
	a = w.browser().post(w.issuer+"/consent", question.form("decision", "allow", "tenant", ""))
	b.wantPage(a, http.StatusOK, "/signin", "Framed")
}

func TestRequestsThatCannotBeServedAreExplained(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser().signedIn()
	b.wantPage(b.get(w.issuer+"/continue?id=nonsense"), http.StatusBadRequest, "/continue", "This request is over")
	b.wantPage(b.get(w.issuer+"/signin?id=%00"), http.StatusBadRequest, "/signin", "This request is over")
	for _, change := range [][2]string{{"client_id", "nobody"}, {"redirect_uri", "https://evil.example/callback"}} {
		u, err := url.Parse(w.authorize(change[0], change[1]))
		if err != nil {
			t.Fatal(err)
		}
		b.wantPage(b.get(u.String()), http.StatusBadRequest, "/authorize", "The app sent a request that we can&#39;t follow")
	}
	if _, err := w.store.DisableClient(t.Context(), store.ClientID(w.demo.web.ID)); err != nil {
		t.Fatal(err)
	}
	b.wantPage(b.get(w.authorize()), http.StatusBadRequest, "/authorize", "The app sent a request")
}

func TestAPublicClientOnThisMachineMayListenOnAnyPort(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	c := &oauth2.Config{
		ClientID: "pocket-album", RedirectURL: "http://127.0.0.1:54321/callback", Scopes: []string{"openid", "photos.read"},
		Endpoint: oauth2.Endpoint{AuthURL: w.issuer + "/authorize", TokenURL: w.issuer + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Port() == "54321" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	a := b.get(c.AuthCodeURL("s", oauth2.S256ChallengeOption(testVerifier)))
	if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' http://127.0.0.1:54321;") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
	a = b.signIn(a, w.demo.email, w.demo.password)
	b.wantPage(a, http.StatusOK, "/consent", "Allow Pocket Album?")
	a = b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", ""))
	if _, err := c.Exchange(t.Context(), a.url.Query().Get("code"), oauth2.VerifierOption(testVerifier)); err != nil {
		t.Fatal(err)
	}
}

func TestAMachineGetsATokenForItself(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := clientcredentials.Config{ClientID: w.demo.machine.ID, ClientSecret: w.demo.machine.Secret, TokenURL: w.issuer + "/oauth/token"}
	given, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w.active(t.Context(), given.AccessToken) {
		t.Error("a client was told about a token of another")
	}
}

func TestAnswersByFormPostRunTheirScriptAndNoOther(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	b.grant("")
	a := b.get(w.authorize("response_mode", "form_post"))
	if a.status != http.StatusOK || !strings.Contains(a.body, `action="`+w.app+`/callback"`) || !strings.Contains(a.body, `onload="javascript:document.forms[0].submit()"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got, want := a.header.Get("Content-Security-Policy"), "script-src 'unsafe-hashes' 'sha256-"; !strings.Contains(got, want) || !strings.Contains(got, "form-action "+w.app+";") {
		t.Errorf("Content-Security-Policy: %s", got)
	}
}

func TestClickingTwiceOnAllowGivesACode(t *testing.T) {
	t.Parallel()
	for _, tenant := range []string{"", "org_royal"} {
		w := start(t)
		b := w.browser().signedIn()
		question := b.get(w.authorize("prompt", "consent")).form("decision", "allow", "tenant", tenant)
		first, second := b.post(w.issuer+"/consent", question), b.post(w.issuer+"/consent", question)
		b.wantCallback(first, "")
		given := b.exchange(second)
		if !w.active(t.Context(), given.AccessToken) {
			t.Error("the token is dead")
		}
		again := b.post(w.issuer+"/consent", question) // the code has been redeemed
		b.wantPage(again, http.StatusBadRequest, "/consent", "This request is over")
		if !w.active(t.Context(), given.AccessToken) {
			t.Error("a third click has ended the token")
		}
	}
}

func TestAClickOnDenyAfterAllowChangesNothing(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser().signedIn()
	question := b.get(w.authorize())
	allowed := b.post(w.issuer+"/consent", question.form("decision", "allow", "tenant", ""))
	b.wantPage(b.post(w.issuer+"/consent", question.form("decision", "deny", "tenant", "")), http.StatusBadRequest, "/consent", "This request is over")
	b.exchange(allowed)
}

// What ends a session between the moment at which a page looks it up and the approval.
func TestAnApprovalIsRefusedByWhatCameBetween(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		end  func(*world, store.Session) error
		want string // in the address that the browser is sent to
	}{
		"signed out": {func(w *world, s store.Session) error {
			_, err := w.store.EndSession(w.Context(), s.ID)
			return err
		}, "/continue?id="},
		"suspended": {func(w *world, s store.Session) error {
			_, err := w.store.SuspendUser(w.Context(), s.UserID)
			return err
		}, "error=access_denied"},
	} {
		w := start(t)
		b := w.browser().signedIn()
		id := b.get(w.authorize()).url.Query().Get("id")
		pending, err := w.server.storage.PendingRequest(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		session, err := w.store.FindSessionByToken(t.Context(), w.sessions()[0].Token)
		if err != nil {
			t.Fatal(err)
		}
		if err := test.end(w, session.Session); err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/continue", nil)
		if err := w.server.approve(answer, r, situation{id: id, pending: pending, session: &session}, nil); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if location := answer.Header().Get("Location"); !strings.Contains(location, test.want) || strings.Contains(location, "code=") {
			t.Errorf("%s: led to %s", what, location)
		}
	}
}
