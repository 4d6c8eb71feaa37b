package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// authenticator gives the browser one that makes passkeys without a person, and returns what it can be told.
func (c *chromium) authenticator() (id webauthn.AuthenticatorID) {
	c.Helper()
	c.run("an authenticator", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		added, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		id = added.AuthenticatorID
		return err
	}))
	return id
}

// sendsTwice has the authenticator sign once and the page send that twice at once.
const sendsTwice = `(async () => {
	const options = await (await fetch("/signin/passkey/options", {method: "POST"})).json();
	const credential = await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey)});
	const send = async () => (await fetch("/signin/passkey", {method: "POST", body: JSON.stringify(credential.toJSON())})).status;
	return (await Promise.all([send(), send()])).sort().join();
})()`

func TestAPersonSignsInWithAPasskey(t *testing.T) {
	t.Parallel()
	w := startAt(t, "localhost")
	c := w.chromium()
	id := c.authenticator()
	exec := func(sql string) {
		t.Helper()
		if _, err := w.server.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	signOut := func() {
		c.run("signing out", chromedp.Navigate(w.issuer+"/signout"), chromedp.Click(chromedp.CSS(`main button`)), see("You are signed out"))
	}
	c.run("signing in", chromedp.EmulateViewport(wide, high), chromedp.Navigate(w.issuer+"/signin"), fill("email", w.demo.email), fill("password", w.demo.password),
		press("Sign in"), see("Apps with access"))
	c.run("to the passkeys", press("Your passkeys"), see("You have none yet"))
	c.shoot("passkeys-none")
	c.run("adding one", press("Add a passkey"), see("You can sign in with this passkey from now on."), see("Passkey of Chrome on Linux"))
	c.shoot("passkeys")
	c.wantQuiet()
	c.run("adding it again", press("Add a passkey"), see("has a passkey for this account already"))
	c.forget()
	signOut()

	c.run("signing in to an app", chromedp.Navigate(w.app), press("Sign in"), see("to continue to Framed"))
	c.shoot("signin-passkey")
	c.run("with the passkey", press("Sign in with a passkey"), see("Allow Framed?"), press("Allow"), see("Hello, Ada Lovelace"))
	c.wantQuiet()
	c.run("it was used", chromedp.Navigate(w.issuer+passkeysPath), see("last used"))
	signOut()

	// A copy of the authenticator has been used more often.
	exec(`UPDATE passkey SET sign_count = 1000`)
	c.run("a copy", chromedp.Navigate(w.issuer+"/signin"), press("Sign in with a passkey"), see("There may be a copy of this passkey"))
	c.shoot("signin-passkey-error")
	exec(`UPDATE passkey SET sign_count = 0`)
	c.run("a signature that is wrong", overriding(id, webauthn.SetResponseOverrideBitsParams{IsBogusSignature: new(true)}),
		press("Sign in with a passkey"), see("That did not work"))
	c.run("nobody verified", overriding(id, webauthn.SetResponseOverrideBitsParams{IsBadUV: new(true)}), chromedp.Navigate(w.issuer+"/signin"),
		press("Sign in with a passkey"), see("That did not work"), overriding(id, webauthn.SetResponseOverrideBitsParams{}))
	statuses, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](sendsTwice, chromedp.EvalAwaitPromise))
	if err != nil || statuses != "200,422" {
		t.Errorf("sent twice: %s, %v", statuses, err)
	}
	c.forget()

	exec(`UPDATE session SET auth_time = now() - interval '1 hour', created_at = now() - interval '1 hour'`)
	c.run("later", chromedp.Navigate(w.issuer+passkeysPath), press("Sign in again to change them"), see("Show that it's you"))
	c.shoot("signin-again")
	c.run("again", press("Sign in with a passkey"), see("Your passkeys"), press("Remove"), see("Nobody can sign in with that passkey any more."), see("You have none yet"))
	c.wantQuiet()
	signOut()
	c.run("with what was removed", chromedp.Navigate(w.issuer+"/signin"), press("Sign in with a passkey"), see("That did not work"))
}

func TestPasskeysAreChangedInARecentSessionAlone(t *testing.T) {
	t.Parallel()
	w := startAt(t, "localhost")
	b := w.browser()
	asJSON := func(h http.Header) { h.Set("Content-Type", "application/json") }
	for _, path := range []string{passkeysPath + "/options", passkeysPath} {
		if a := b.post(w.issuer+path, nil, asJSON); a.status != http.StatusForbidden || !strings.Contains(a.body, "Sign in again") {
			t.Errorf("%s signed out: %d %s", path, a.status, a.body)
		}
	}
	b.wantPage(b.get(w.issuer+passkeysPath), http.StatusOK, "/signin", "Sign in")
	b.signedIn()
	if a := b.post(w.issuer+passkeysPath+"/options", nil, asJSON); a.status != http.StatusOK || !json.Valid([]byte(a.body)) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if _, err := w.server.pool.Exec(t.Context(), `UPDATE session SET auth_time = NULL, created_at = now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if a := b.post(w.issuer+passkeysPath+"/options", nil, asJSON); a.status != http.StatusForbidden {
		t.Errorf("an hour later: %d %s", a.status, a.body)
	}
	b.wantPage(b.post(w.issuer+passkeysPath+"/remove", url.Values{"passkey_id": {"x"}}), http.StatusOK, "/signin", "Show that it's you")
	for _, path := range []string{passkeySignInPath, passkeySignInPath + "/options", passkeysPath, passkeysPath + "/options", passkeysPath + "/remove"} {
		a := b.post(w.issuer+path, nil, asJSON, func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") })
		if a.status != http.StatusForbidden || strings.Contains(a.body, "challenge") {
			t.Errorf("%s from another site: %d %s", path, a.status, a.body)
		}
	}
	for _, body := range []string{"", "{}", `{"id":"x"}`, "null"} {
		if a := b.post(w.issuer+passkeySignInPath, url.Values{body: nil}, asJSON); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	}
}

func TestScriptsRunOnlyWherePasskeysAre(t *testing.T) {
	t.Parallel()
	w := startAt(t, "localhost")
	b := w.browser()
	const script = "; script-src 'self'; connect-src 'self'"
	pages := map[string]bool{"/signin": true, signUpPath: false, resetPath: false, "/signout": false}
	check := func() {
		for path, want := range pages {
			a := b.get(w.issuer + path)
			if got := strings.HasSuffix(a.header.Get("Content-Security-Policy"), script); got != want || want != strings.Contains(a.body, "<script") {
				t.Errorf("%s: %s", path, a.header.Get("Content-Security-Policy"))
			}
		}
	}
	check()
	b.signedIn()
	pages = map[string]bool{accountPath: false, passkeysPath: true, devicePath: false}
	check()
}

func overriding(id webauthn.AuthenticatorID, p webauthn.SetResponseOverrideBitsParams) chromedp.Action[chromedp.Void] {
	p.AuthenticatorID = id
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, webauthn.SetResponseOverrideBits, p)
		return err
	})
}
