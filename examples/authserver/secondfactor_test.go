package main

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/oauthdb/oauthdb/store"
)

// app is an authenticator app. Its clock and the server's stand still, so that a code is the same until the test ends.
type app struct {
	*world
	secret string
}

func (a *app) code() string {
	a.Helper()
	code, err := totp.GenerateCode(a.secret, a.server.clock())
	if err != nil {
		a.Fatal(err)
	}
	return code
}

// startStill is a world whose clock for codes stands still.
func startStill(t *testing.T) *world {
	t.Helper()
	w := start(t)
	now := time.Now()
	w.server.clock = func() time.Time { return now }
	return w
}

// past has the database forget which steps were used: as if it were later.
func (w *world) past() {
	w.Helper()
	if _, err := w.server.pool.Exec(w.Context(), `UPDATE totp SET last_step = 0`); err != nil {
		w.Fatal(err)
	}
}

var recoveryCode = regexp.MustCompile(`<code>((?:[A-Z2-7]{4} ?){4})</code>`)

// setUp turns the second step on, and returns the app and the recovery codes.
func (b *browser) setUp() (*app, []string) {
	b.Helper()
	page := b.get(b.issuer + secondFactorPath)
	b.wantPage(page, http.StatusOK, secondFactorPath, "data:image/png;base64,")
	key := regexp.MustCompile(`<code id="key">([A-Z2-7 ]+)</code>`).FindStringSubmatch(page.body)
	if key == nil {
		b.Fatalf("no key\n%s", page.body)
	}
	a := &app{b.world, strings.ReplaceAll(key[1], " ", "")}
	wrong := b.post(b.issuer+secondFactorPath, page.form("code", "12345"))
	b.wantPage(wrong, http.StatusUnprocessableEntity, secondFactorPath, "not the code of your app")
	b.wantPage(wrong, http.StatusUnprocessableEntity, secondFactorPath, key[1]) // the same key as before
	done := b.post(b.issuer+secondFactorPath, wrong.form("code", a.code()))
	b.wantPage(done, http.StatusOK, secondFactorPath, "signing in takes a code")
	var codes []string
	for _, m := range recoveryCode.FindAllStringSubmatch(done.body, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != recoveryCodes {
		b.Fatalf("%d recovery codes", len(codes))
	}
	return a, codes
}

func (b *browser) second(at answer, code string) answer {
	b.Helper()
	return b.post(b.issuer+secondPath, at.form("code", code))
}

func TestAPasswordAloneDoesNotSignInWhoHasASecondStep(t *testing.T) {
	t.Parallel()
	w := startStill(t)
	before := w.browser().signedIn()
	b := w.browser().signedIn()
	app, codes := b.setUp()
	before.wantPage(before.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, accountPath, "this device")

	other := w.browser()
	at := other.signIn(other.get(w.authorize()), w.demo.email, w.demo.password)
	other.wantPage(at, http.StatusOK, secondPath, "authenticator app")
	other.wantPage(other.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in") // not signed in
	other.wantPage(other.second(at, "12345"), http.StatusUnprocessableEntity, secondPath, "not the code")
	other.wantPage(other.second(at, app.code()), http.StatusUnprocessableEntity, secondPath, "used already") // to set it up
	w.past()
	code := app.code()
	other.wantPage(other.second(at, code), http.StatusOK, "/consent", "Allow Framed?")
	sessions, err := w.store.ListUserSessions(t.Context(), store.ListUserSessionsParams{UserID: w.demo.user, PageSize: 10})
	if err != nil || len(sessions) != 2 || !slices.Equal(sessions[1].AMR, []string{"pwd", "otp", "mfa"}) || !slices.Equal(sessions[0].AMR, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("%+v %v", sessions, err)
	}

	third := w.browser()
	at = third.signIn(answer{}, w.demo.email, w.demo.password)
	third.wantPage(third.second(at, code), http.StatusUnprocessableEntity, secondPath, "used already")
	third.wantPage(third.second(at, strings.ToLower(codes[0])), http.StatusOK, accountPath, "this device")
	fourth := w.browser()
	at = fourth.signIn(answer{}, w.demo.email, w.demo.password)
	fourth.wantPage(fourth.second(at, codes[0]), http.StatusUnprocessableEntity, secondPath, "used already")
	fourth.wantPage(fourth.second(at, codes[1]), http.StatusOK, accountPath, "this device")
	fourth.wantPage(fourth.get(w.issuer+secondFactorPath), http.StatusOK, secondFactorPath, "8 recovery codes left")

	renewed := fourth.post(w.issuer+secondFactorPath+"/codes", nil)
	fourth.wantPage(renewed, http.StatusOK, secondFactorPath+"/codes", "10 recovery codes left")
	fifth := w.browser()
	at = fifth.signIn(answer{}, w.demo.email, w.demo.password)
	fifth.wantPage(fifth.second(at, codes[2]), http.StatusUnprocessableEntity, secondPath, "not the code")

	fourth.wantPage(fourth.post(w.issuer+secondFactorPath+"/remove", nil), http.StatusOK, secondFactorPath, "Your password is enough")
	w.browser().signedIn()
}

func TestGuessesAtTheSecondStepAreLimited(t *testing.T) {
	t.Parallel()
	w := startStill(t)
	app, codes := w.browser().signedIn().setUp()
	w.past()
	var all sync.WaitGroup
	for range secondAttempts {
		all.Go(func() {
			b := w.browser()
			b.second(b.signIn(answer{}, w.demo.email, w.demo.password), "12345")
		})
	}
	all.Wait()
	b := w.browser()
	at := b.signIn(answer{}, w.demo.email, w.demo.password)
	for _, code := range []string{app.code(), codes[0]} {
		b.wantPage(b.second(at, code), http.StatusTooManyRequests, secondPath, "Too many attempts")
	}
}

func TestAMailboxAloneDoesNotSignInWhoHasASecondStep(t *testing.T) {
	t.Parallel()
	w := startStill(t)
	app, _ := w.browser().signedIn().setUp()
	w.past()
	old := w.browser() // has given the password, and lacks the code
	oldAt := old.signIn(answer{}, w.demo.email, w.demo.password)
	b := w.browser()
	a := b.post(w.issuer+resetPath, url.Values{"email": {w.demo.email}})
	a = b.post(w.issuer+resetPath+"/code", a.form("code", w.code(w.letters(1, w.demo.email)), "password", newPassword))
	b.wantPage(a, http.StatusOK, secondPath, "authenticator app")
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
	// A sign-in that began with the old password is over.
	old.wantPage(old.second(oldAt, app.code()), http.StatusOK, "/signin", "Sign in")
	b.wantPage(b.second(a, app.code()), http.StatusOK, accountPath, "this device")
}

func TestWhatIsSealedIsForItsPurposeAndItsUser(t *testing.T) {
	t.Parallel()
	w := startStill(t)
	b := w.browser().signedIn()
	page := b.get(w.issuer + secondFactorPath)
	sealed := page.form().Get("secret")
	if _, err := addUser(t.Context(), w.store, w.server.passwords, "Eve", "eve@example.com", newPassword); err != nil {
		t.Fatal(err)
	}
	eve := w.browser()
	eve.signIn(answer{}, "eve@example.com", newPassword)
	for _, secret := range []string{sealed, "", "x", sealed[:len(sealed)-2]} {
		a := eve.post(w.issuer+secondFactorPath, url.Values{"secret": {secret}, "code": {"12345"}})
		eve.wantPage(a, http.StatusUnprocessableEntity, secondFactorPath, "That took too long")
	}
	// Nor is it a sign-in that lacks the code.
	u, err := url.Parse(w.issuer)
	if err != nil {
		t.Fatal(err)
	}
	stranger := w.browser()
	stranger.client.Jar.SetCookies(u, []*http.Cookie{{Name: w.server.pendingCookie().name, Value: sealed}})
	stranger.wantPage(stranger.get(w.issuer+secondPath), http.StatusOK, "/signin", "Sign in")
	stranger.wantPage(stranger.get(w.issuer+secondFactorPath), http.StatusOK, "/signin", "Sign in")

	old, err := newSealer([][]byte{demoKey("old")})
	if err != nil {
		t.Fatal(err)
	}
	both, err := newSealer([][]byte{demoKey("new"), demoKey("old")})
	if err != nil {
		t.Fatal(err)
	}
	text, err := old.seal("x", "secret")
	var got string
	if err != nil || both.open("x", text, &got) != nil || got != "secret" || both.open("y", text, &got) == nil {
		t.Errorf("%q %v", got, err)
	}
	if text, err = both.seal("x", "secret"); err != nil || old.open("x", text, &got) == nil {
		t.Error("the old key opens what the new one has sealed")
	}
	if _, err := newSealer(nil); err == nil {
		t.Error("no key is needed")
	}
}

func TestTheSecondStepIsChangedInARecentSessionAlone(t *testing.T) {
	t.Parallel()
	w := startStill(t)
	b := w.browser().signedIn()
	b.setUp()
	if _, err := w.server.pool.Exec(t.Context(), `UPDATE session SET auth_time = now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/codes", "/remove"} {
		b.wantPage(b.post(w.issuer+secondFactorPath+path, nil), http.StatusOK, "/signin", "Show that it's you")
	}
	apps, err := w.store.ListUserTOTPs(t.Context(), w.demo.user)
	if err != nil || len(apps) != 1 {
		t.Fatalf("%d apps, %v", len(apps), err)
	}
	if strings.Contains(apps[0].Secret, "=") || len(apps[0].Secret) < 60 {
		t.Error("the secret is not sealed")
	}
	page := b.get(w.issuer + secondFactorPath)
	b.wantPage(page, http.StatusOK, secondFactorPath, "Sign in again to change it")
	if strings.Contains(page.body, "Remove") {
		t.Error("it can be removed")
	}
}

func TestStepsAreAllThatACodeFits(t *testing.T) {
	t.Parallel()
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // of RFC 6238, appendix B
	for at, code := range map[int64]string{59: "94287082", 1111111109: "07081804", 2000000000: "69279037"} {
		for offset, want := range map[int64]bool{0: true, 30: true, -30: true, 61: false, -61: false} {
			if at+offset < 0 {
				continue
			}
			steps := stepsOf(code, secret, "SHA1", 8, 30, time.Unix(at+offset, 0))
			if got := slices.Contains(steps, at/30); got != want {
				t.Errorf("%d%+d: %v", at, offset, steps)
			}
		}
	}
	if steps := stepsOf("", secret, "SHA1", 6, 30, time.Unix(59, 0)); len(steps) != 0 {
		t.Errorf("no code fits %v", steps)
	}
}
