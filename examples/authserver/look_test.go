package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// amiss lists what keeps somebody from using a page: with a screen reader, a keyboard or a phone.
const amiss = `(() => {
	const found = [], name = e => e.outerHTML.slice(0, 120);
	if (document.documentElement.scrollWidth > innerWidth) found.push("it scrolls sideways");
	if (document.querySelectorAll("h1").length !== 1) found.push("it has not one h1");
	if (!document.documentElement.lang || !document.title) found.push("it has no language or no title");
	if (document.querySelectorAll("main").length !== 1 || !document.querySelector("a.skip[href='#main']")) found.push("it has no main part to skip to");
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push("two elements are called " + id);
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
		if (!e.labels.length || !e.labels[0].innerText.trim()) found.push("no label: " + name(e));
	for (const e of document.querySelectorAll("button, a")) {
		const box = e.getBoundingClientRect();
		if (!(e.getAttribute("aria-label") || e.innerText).trim()) found.push("no name: " + name(e));
		if (e.offsetParent && (box.right > innerWidth + 1 || box.left < -1) && !e.matches(".skip")) found.push("out of sight: " + name(e));
		if (e.tabIndex < 0 || e.tabIndex > 0) found.push("out of order: " + name(e));
	}
	for (const e of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
		for (const id of (e.getAttribute("aria-describedby") || "").split(" ").concat((e.getAttribute("aria-labelledby") || "").split(" ")))
			if (id && !document.getElementById(id)) found.push("nothing is called " + id);
	for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) found.push("no alternative: " + name(e));
	const alert = document.querySelector(".alert:not([hidden])");
	if (alert && alert.id && !document.querySelector("[aria-invalid=true][aria-describedby~=" + alert.id + "]")) found.push("an error is tied to no field");
	// WCAG 2.2, 1.4.3: the contrast of text
	const numbers = text => text.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const behind = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
	for (const e of document.querySelectorAll("body *")) {
		if (!e.offsetParent || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
		const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
		if ((a + .05) / (b + .05) < 4.5) found.push("little contrast: " + name(e));
	}
	return found.join("\n");
})()`

func TestEveryPageCanBeUsedByEverybody(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at each page four times: without -short")
	}
	t.Parallel()
	w := startAt(t, "localhost")
	w.browser().grant("org_royal")
	w.browser().grant("")
	for range 2 {
		w.browser().signedIn()
	}
	c := w.chromium()
	look := func(name string) {
		t.Helper()
		for _, width := range []int64{1280, 375} {
			for _, scheme := range []string{"light", "dark"} {
				c.run(name, chromedp.EmulateViewport(width, 900), media("prefers-color-scheme", scheme))
				found, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](amiss))
				if err != nil {
					t.Fatal(err)
				}
				if found != "" {
					t.Errorf("%s, %d pixels, %s:\n%s", name, width, scheme, found)
				}
				c.shoot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
			}
		}
	}
	visit := func(name, path, text string) {
		t.Helper()
		c.run(name, chromedp.Navigate(w.issuer+path), see(text))
		look(name)
	}
	visit("signin", "/signin", "Sign in")
	c.run("a wrong password", fill("email", "nobody@example.com"), fill("password", "wrong"), press("Sign in"), see("belong together"))
	look("signin-error")
	visit("signup", signUpPath, "We send a code")
	c.run("asking for a code", fill("email", "grace@example.com"), press("Send me a code"), see("A mail is on its way"))
	look("signup-code")
	w.code(w.letters(1, "grace@example.com"))
	c.run("a wrong code", fill("code", "1234"), fill("name", "Grace Hopper"), fill("password", newPassword), press("Create account"), see("not the code"))
	look("signup-error")
	c.run("another mail", press("send another code"), see("A mail is on its way"))
	c.run("the code", fill("code", w.code(w.letters(2, "grace@example.com"))), fill("name", "Grace Hopper"), fill("password", newPassword), press("Create account"), see("No app has access"))
	look("account-new")
	visit("signout", "/signout", "Sign out?")
	c.run("signing out", chromedp.Click(chromedp.CSS(`main button`)), see("You are signed out"))
	look("signedout")
	visit("reset", resetPath, "Choose a new password")
	c.run("asking for a code", fill("email", w.demo.email), press("Send me a code"), see("a mail is on its way"))
	look("reset-code")

	c.run("to an app", chromedp.Navigate(w.authorize("prompt", "consent")), see("to continue to Framed"))
	look("signin-app")
	c.run("signing in", fill("email", w.demo.email), fill("password", w.demo.password), press("Sign in"), see("Allow Framed?"))
	look("consent")
	visit("account", accountPath, "On behalf of Royal Photographic Society")
	visit("passkeys", passkeysPath, "You have none yet")
	c.authenticator()
	c.run("adding one", press("Add a passkey"), see("You can sign in with this passkey"))
	look("passkeys-one")
	visit("second-factor", secondFactorPath, "Scan this")
	secret := strings.ReplaceAll(c.text("key"), " ", "")
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.run("turning it on", fill("code", code), press("Turn on"), see("Your recovery codes"))
	look("second-factor-on")
	visit("device", devicePath, "Enter the code")
	c.run("a wrong code", fill("user_code", "BCDF-GHJK"), press("Continue"), see("No device waits"))
	look("device-error")
	_, userCode := device{w}.begin()
	c.run("the code", chromedp.Navigate(w.issuer+devicePath+"?"+url.Values{"user_code": {userCode}}.Encode()), see("Enter the code"), press("Continue"), see("A device shows the code"))
	look("device-question")
	c.run("allowing", press("Allow"), see("Your device is connected"))
	look("device-done")
	c.run("the demo app", chromedp.Navigate(w.app), press("Sign in"), see("Hello, Ada Lovelace"))
	c.run("refreshing in parallel", press("Refresh 8× in parallel"), see("8 of 8 succeeded"))
	look("demo")
	visit("nothing", "/nothing", "There is nothing here")
	visit("error", "/continue?id=nonsense", "This request is over")

	c.run("signing out", chromedp.Navigate(w.issuer+"/signout"), chromedp.Click(chromedp.CSS(`main button`)), see("You are signed out"))
	c.run("a second step", chromedp.Navigate(w.issuer+"/signin"), fill("email", w.demo.email), fill("password", w.demo.password), press("Sign in"), see("authenticator app"))
	look("second")

	// What is amiss on a page would be found.
	c.run("the page", media("prefers-color-scheme", "light"), chromedp.EmulateViewport(375, 900), chromedp.Navigate(w.issuer+"/signin"), see("Sign in"))
	for change, want := range map[string]string{
		`document.querySelector("label").remove()`:                                  "no label",
		`document.querySelector("h1").style.width = "900px"`:                        "scrolls sideways",
		`document.querySelector("h1").style.color = "#ccc"`:                         "little contrast",
		`document.querySelector("button").textContent = ""`:                         "no name",
		`document.querySelector("button").tabIndex = -1`:                            "out of order",
		`document.querySelector("#email").id = "password"`:                          "two elements",
		`document.querySelector("#email").setAttribute("aria-describedby", "gone")`: "nothing is called gone",
		`document.querySelector("img").removeAttribute("alt")`:                      "no alternative",
		`document.querySelector("h1").outerHTML = "<p class=alert id=error>No</p>"`: "tied to no field",
	} {
		c.run("the page", chromedp.Reload(), see("Sign in"))
		found, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](`(() => { `+change+`; return `+amiss+` })()`))
		if err != nil || !strings.Contains(found, want) {
			t.Errorf("after %s: %q, not %q, %v", change, found, want, err)
		}
	}
}
