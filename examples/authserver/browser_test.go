package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// screenshotsVariable names the folder to keep screenshots in; without it none is taken.
const screenshotsVariable = "AUTHSERVER_SCREENSHOTS"

// chromium is a real browser, in which nothing but what the test does goes on.
type chromium struct {
	*world
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// chromium starts one. Where none is installed the test is skipped, but never in CI.
func (w *world) chromium() *chromium {
	w.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		const missing = "no Chromium is installed: apt install chromium"
		if os.Getenv("CI") != "" {
			w.Fatal(missing)
		}
		w.Skip(missing)
	}
	c := &chromium{world: w}
	allocator, cancel := chromedp.NewExecAllocator(w.Context(),
		chromedp.ExecPath(program), chromedp.UserDataDir(profile(w.T)), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.WindowSize(wide, high),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-default-apps", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("password-store", "basic"),
	)
	w.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithListener(c.listen))
	w.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until the browser has ended
		cancel()
	})
	c.ctx = ctx
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil { // the browser lives as long as this context
		w.Fatalf("%s does not start: %v", program, err)
	}
	return c
}

const wide, high = 1000, 820

// profile is a fresh one, in a folder that may still be written to when the browser has gone.
func profile(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "authserver-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 {
			if os.RemoveAll(folder) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return folder
}

func (c *chromium) listen(event any) {
	var complaint string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		complaint = e.ExceptionDetails.Text
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			complaint = e.Entry.Text + " " + e.Entry.URL
		}
	}
	if complaint != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.complaints = append(c.complaints, complaint)
	}
}

// run does what a person does.
func (c *chromium) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		url, _ := chromedp.Run(c.ctx, chromedp.Location())
		text, _ := chromedp.Run(c.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		c.Fatalf("%s: %v\nat %s:\n%s", what, err, url, text)
	}
}

// see waits for a text on the page.
func see(text string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitReady(fmt.Sprintf(`//*[self::h1 or self::h2 or self::p or self::li or self::pre or self::code][contains(., %q)]`, text))
}

func press(button string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(fmt.Sprintf(`//*[self::button or self::a][normalize-space()=%q]`, button))
}

func fill(id, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(chromedp.ID(id), text)
}

func (c *chromium) text(id string) string {
	c.Helper()
	text, err := chromedp.Run(c.ctx, chromedp.Text(chromedp.ID(id)))
	if err != nil {
		c.Fatal(err)
	}
	return text
}

// shoot keeps a picture of the page, if pictures are asked for.
func (c *chromium) shoot(name string) {
	c.Helper()
	folder := os.Getenv(screenshotsVariable)
	if folder == "" {
		return
	}
	png, err := chromedp.Run(c.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		c.Fatal(err)
	}
}

// media emulates a media feature.
func media(name, value string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: name, Value: value}}})
		return err
	})
}

// narrow: the page does not scroll sideways.
func narrow() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		fits, err := chromedp.Evaluate[bool](`document.documentElement.scrollWidth <= innerWidth`)(ctx, t)
		if err == nil && !fits {
			err = errors.New("the page scrolls sideways")
		}
		return err
	})
}

func (c *chromium) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complaints = nil
}

// wantQuiet: the browser has had nothing to complain about, a violated content security policy among others.
func (c *chromium) wantQuiet() {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.complaints) > 0 {
		c.Errorf("the browser complains:\n%s", strings.Join(c.complaints, "\n"))
	}
	c.complaints = nil
}

// eightRefreshes says how much of what the demo app has told is in sight without scrolling.
const eightRefreshes = `(() => {
	const told = document.querySelector(".steps pre"), list = document.querySelector(".steps"), box = told.getBoundingClientRect();
	const lines = told.textContent.trim().split("\n").length;
	const inSight = box.top >= 0 && box.bottom <= Math.min(innerHeight, list.getBoundingClientRect().bottom) && told.scrollWidth <= told.clientWidth;
	return lines + " lines, " + (inSight ? "in sight" : "not in sight");
})()`

func TestAPersonGoesThroughTheWholeDance(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := w.chromium()
	c.run("opening the app", chromedp.EmulateViewport(wide, high), chromedp.Navigate(w.app), see("Your photos, framed"))
	c.shoot("app")
	c.run("going to sign in", press("Sign in"), see("to continue to Framed"))
	c.shoot("signin")
	c.wantQuiet()

	c.run("a wrong password", fill("email", w.demo.email), fill("password", "wrong"), press("Sign in"), see("belong together"))
	c.shoot("signin-error")
	c.forget() // a browser reports each answer with a 4xx status

	c.run("signing in", fill("password", w.demo.password), press("Sign in"), see("Allow Framed?"))
	c.shoot("consent")
	c.run("refusing", press("Don't allow"), see("you did not allow Framed"))
	c.run("going back", press("Sign in"), see("Allow Framed?"))
	c.run("agreeing", chromedp.Click(chromedp.CSS(`input[value=org_royal]`)), press("Allow"), see("Hello, Ada Lovelace"))
	before := c.text("refresh")
	c.run("refreshing", press("Refresh"), see("a new access token, and a new refresh token"))
	if after := c.text("refresh"); after == before {
		t.Errorf("the refresh token is still %s", after)
	}
	c.run("refreshing in parallel", press("Refresh 8× in parallel"), see("8 of 8 succeeded"), see("8 access tokens, and 1 refresh token"))
	c.shoot("tokens")
	c.run("on a phone", chromedp.EmulateViewport(375, 812))
	seen, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](eightRefreshes))
	if err != nil || seen != "8 lines, in sight" {
		t.Errorf("the eight refreshes on a phone: %s, %v", seen, err)
	}
	c.shoot("tokens-phone")
	c.run("on a screen", chromedp.EmulateViewport(wide, high))
	c.run("userinfo", press("Call userinfo"), see("the access token is good"), see("ada@example.com"))
	c.run("introspection", press("Introspect"), see("it is active"))

	c.run("connected apps", press("Connected apps at the provider"), see("Apps with access"), see("On behalf of Royal Photographic Society"))
	c.shoot("account")
	c.run("in the dark", media("prefers-color-scheme", "dark"))
	c.shoot("account-dark")
	c.run("on a phone", chromedp.EmulateViewport(390, 780), narrow())
	c.shoot("account-phone")
	c.run("removing access", press("Remove access"), see("The app has no access any more."), see("No app has access"))
	c.run("refreshing in vain", chromedp.Navigate(w.app), press("Refresh"), see("invalid_grant"))
	c.run("introspecting", press("Introspect"), see("it is not active"))

	c.run("signing in again", chromedp.EmulateViewport(wide, high), press("Sign out"), see("Signed out"), press("Sign in"), see("to continue to Framed"))
	c.run("agreeing again", fill("email", w.demo.email), fill("password", w.demo.password), press("Sign in"), see("Allow Framed?"), press("Allow"), see("Hello, Ada Lovelace"))
	c.run("spending tokens", press("Refresh"), see("a new access token"), press("Refresh"), chromedp.WaitReady(`//button[.="Use a spent refresh token"]`))
	c.run("reusing one", press("Use a spent refresh token"), see("it must have leaked"), press("Introspect"), see("it is not active"))
	c.run("signing out at the provider", chromedp.Navigate(w.issuer), press("Sign out"), see("Sign out?"))
	c.shoot("signout")
	c.run("confirming", chromedp.Click(chromedp.CSS(`main button`)), see("You are signed out"))
	c.shoot("signed-out")
	c.wantQuiet()
	c.run("an error", chromedp.Navigate(w.issuer+"/continue?id=nonsense"), see("This request is over"))
	c.shoot("error")
}

func TestAKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := w.chromium()
	// reach presses Tab until the element that a selector names has the focus, and a ring to show it.
	reach := func(selector string) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			for range 15 {
				there, err := chromedp.Evaluate[bool](fmt.Sprintf(`document.activeElement.matches(%q)`, selector))(ctx, t)
				if err != nil || there {
					return err
				}
				if _, err := chromedp.KeyEvent(kb.Tab)(ctx, t); err != nil {
					return err
				}
			}
			return fmt.Errorf("the focus does not reach %s", selector)
		})
	}
	keys := func(keys string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(keys) }

	c.run("opening the app", chromedp.Navigate(w.app), see("Your photos, framed"))
	c.run("going to sign in", reach("button.primary"), keys(kb.Enter), see("to continue to Framed"))
	c.run("signing in", reach("#email"), keys(w.demo.email), keys(kb.Tab), keys(w.demo.password), keys(kb.Enter), see("Allow Framed?"))
	c.run("the skip link", keys(kb.Tab), reach("a.skip"), reach("input[type=radio]"))
	c.run("choosing a tenant", keys(kb.ArrowDown), chromedp.WaitReady(chromedp.CSS(`input[value=org_analytical]:checked`)))
	c.run("agreeing", reach("button[value=allow]"), keys(kb.Enter), see("Hello, Ada Lovelace"))
	c.run("connected apps", chromedp.Navigate(w.issuer), see("On behalf of Analytical Engines Ltd."))
	c.run("reading", reach("summary"), keys(kb.Enter), chromedp.WaitVisible(chromedp.CSS(`details .scopes`)))
	c.run("removing access", reach("button.danger"), keys(kb.Enter), see("No app has access"))
	c.wantQuiet()
}
