package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

var codeInMail = regexp.MustCompile(`\d{4} \d{4}`)

func (w *world) code(letters []Message) string {
	w.Helper()
	if len(letters) == 0 {
		w.Fatal("there is no mail")
	}
	code := codeInMail.FindString(letters[len(letters)-1].Text)
	if code == "" {
		w.Fatalf("there is no code in %+v", letters)
	}
	return code
}

const newPassword = "a password of some length"

func TestAPersonSignsUpOnTheWayToAnApp(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	a := b.get(w.authorize())
	b.wantPage(a, http.StatusOK, "/signin", `href="/signup?id=`)
	link := regexp.MustCompile(`href="(/signup[^"]*)"`).FindStringSubmatch(a.body)[1]
	a = b.get(w.issuer + link)
	b.wantPage(a, http.StatusOK, signUpPath, "to continue to <strong>Framed</strong>")
	b.wantPage(b.post(w.issuer+signUpPath, a.form("email", "grace")), http.StatusUnprocessableEntity, signUpPath, "Enter an e-mail address")
	a = b.post(w.issuer+signUpPath, a.form("email", " Grace@Example.com "))
	b.wantPage(a, http.StatusOK, signUpPath, "A mail is on its way to <strong>grace@example.com</strong>")
	code := w.code(w.letters(1, "grace@example.com"))

	finish := func(more ...string) answer { return b.post(w.issuer+signUpPath+"/code", a.form(more...)) }
	// What is amiss besides the code costs no guess.
	for range codeAttempts + 1 {
		b.wantPage(finish("code", code, "name", "Grace", "password", "short"), http.StatusUnprocessableEntity, signUpPath+"/code", "12 characters at least")
		b.wantPage(finish("code", code, "name", " ", "password", newPassword), http.StatusUnprocessableEntity, signUpPath+"/code", "Enter your name")
	}
	wrong := finish("code", "1234", "name", "Grace <b>", "password", newPassword)
	b.wantPage(wrong, http.StatusUnprocessableEntity, signUpPath+"/code", "not the code of our latest mail")
	b.wantPage(wrong, http.StatusUnprocessableEntity, signUpPath+"/code", `value="Grace &lt;b&gt;"`)
	a = finish("code", strings.ReplaceAll(code, " ", "-"), "name", "Grace Hopper", "password", newPassword)
	b.wantPage(a, http.StatusOK, "/consent", "Allow Framed?")
	b.wantPage(a, http.StatusOK, "/consent", "grace@example.com")

	account, err := w.store.FindCredentialAccountByEmail(t.Context(), "grace@example.com")
	if err != nil || !account.User.EmailVerified || account.User.Name != "Grace Hopper" {
		t.Errorf("%+v, %v", account.User, err)
	}
	other := w.browser()
	if a := other.signIn(answer{}, "GRACE@example.com", newPassword); a.url.Path != accountPath {
		t.Errorf("signing in led to %s", a.url)
	}
}

func TestACodeIsForOnePurposeAndOneAddressAndOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	b.post(w.issuer+signUpPath, url.Values{"email": {"grace@example.com"}})
	b.post(w.issuer+signUpPath, url.Values{"email": {"mike@example.com"}})
	code, mikes := w.code(w.letters(2, "grace@example.com")), w.code(w.letters(2, "mike@example.com"))
	b.post(w.issuer+resetPath, url.Values{"email": {w.demo.email}})
	reset := w.code(w.letters(3, w.demo.email))
	form := func(email, code string) url.Values {
		return url.Values{"email": {email}, "code": {code}, "name": {"Somebody"}, "password": {newPassword}}
	}
	for _, c := range []struct{ path, email, code string }{
		{signUpPath, "mike@example.com", code},          // sent to another address
		{signUpPath, "mi\u212ae@example.com", mikes},    // the Kelvin sign is no k
		{resetPath, "grace@example.com", code},          // to sign up
		{signUpPath, w.demo.email, reset},               // to choose a password
		{resetPath, w.demo.email, code},                 // another one
		{signUpPath, "grace@example.com", ""},           // none
		{signUpPath, "grace@example.com\x00", code},     // can't be stored
		{signUpPath, "Grace <grace@example.com>", code}, // not an address alone
	} {
		a := b.post(w.issuer+c.path+"/code", form(c.email, c.code))
		if a.status != http.StatusUnprocessableEntity {
			t.Errorf("%+q: %d %s", c, a.status, a.url)
		}
	}
	if a := b.post(w.issuer+signUpPath+"/code", form("grace@example.com", code)); a.url.Path != accountPath {
		t.Errorf("the right code led to %d %s", a.status, a.url)
	}
	again := w.browser()
	again.wantPage(again.post(w.issuer+signUpPath+"/code", form("grace@example.com", code)), http.StatusUnprocessableEntity, signUpPath+"/code", "This code is over")
}

func TestGuessesAtACodeAreLimitedAndANewCodeDoesNotRefillThem(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.browser().post(w.issuer+resetPath, url.Values{"email": {w.demo.email}})
	var all sync.WaitGroup
	for range codeAttempts {
		all.Go(func() {
			w.browser().post(w.issuer+resetPath+"/code", url.Values{"email": {w.demo.email}, "code": {"1"}, "password": {newPassword}})
		})
	}
	all.Wait()
	b := w.browser()
	b.post(w.issuer+resetPath, url.Values{"email": {w.demo.email}})
	code := w.code(w.letters(2, w.demo.email))
	a := b.post(w.issuer+resetPath+"/code", url.Values{"email": {w.demo.email}, "code": {code}, "password": {newPassword}})
	b.wantPage(a, http.StatusTooManyRequests, resetPath+"/code", "Too many attempts")
	if _, err := w.server.authenticate(t.Context(), w.demo.email, w.demo.password); err != nil {
		t.Errorf("the old password: %v", err)
	}
}

func TestMailIsLimited(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	for _, email := range []string{w.demo.email, "nobody@example.com"} {
		for range mailsPerAddress {
			b.wantPage(b.post(w.issuer+resetPath, url.Values{"email": {email}}), http.StatusOK, resetPath, "a mail is on its way")
		}
		a := b.post(w.issuer+resetPath, url.Values{"email": {strings.ToUpper(email)}})
		b.wantPage(a, http.StatusTooManyRequests, resetPath, "Too many attempts")
		if a.header.Get("Retry-After") == "" {
			t.Error("it is not said when to come back")
		}
	}
}

// statements are those that a world's server has made, by name.
type statements struct {
	mu    sync.Mutex
	names []string
}

var queryName = regexp.MustCompile(`-- name: (\w+)`)

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if m := queryName.FindStringSubmatch(data.SQL); m != nil && ctx.Value(http.ServerContextKey) != nil { // within a request
		s.mu.Lock()
		defer s.mu.Unlock()
		s.names = append(s.names, m[1])
	}
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.names
	s.names = nil
	return names
}

// The same page, and the same statements in the time of the request, whoever is asked about.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	var made statements
	w := start(t, storetest.Tracer(&made))
	made.take()
	if _, err := addUser(t.Context(), w.store, w.server.passwords, "Suspended", "sam@example.com", newPassword); err != nil {
		t.Fatal(err)
	}
	sam, err := w.store.FindUserByEmail(t.Context(), "sam@example.com")
	if err == nil {
		_, err = w.store.SuspendUser(t.Context(), sam.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	known := []string{w.demo.email, "sam@example.com"}
	for _, path := range []string{signUpPath, resetPath} {
		for _, step := range []string{"", "/code"} {
			seen := map[string]string{}
			for _, email := range append([]string{"nobody@example.com"}, known...) {
				b := w.browser()
				a := b.post(w.issuer+path+step, url.Values{"email": {email}, "code": {"00000000"}, "name": {"X"}, "password": {newPassword}})
				a.header.Del("Date")
				a.header.Del("Content-Length") // says how long the address is
				seen[email] = fmt.Sprint(a.status, a.header, made.take(), strings.ReplaceAll(a.body, email, "ADDRESS"))
			}
			for _, email := range known {
				if seen[email] != seen["nobody@example.com"] {
					t.Errorf("%s: an address that is known:\n%s\none that isn't:\n%s", path+step, seen[email], seen["nobody@example.com"])
				}
			}
			if !strings.Contains(seen["nobody@example.com"], "OneTimeCode") {
				t.Errorf("%s: no statement is seen: %s", path+step, seen["nobody@example.com"])
			}
		}
	}
	// Only the mail tells.
	const requests = 6
	if m := w.letters(requests, "sam@example.com"); len(m) != 1 || !strings.Contains(m[0].Subject, "account already") {
		t.Errorf("a suspended user gets %+v", m)
	}
	if m := w.letters(requests, "nobody@example.com"); len(m) != 1 || !codeInMail.MatchString(m[0].Text) {
		t.Errorf("somebody new gets %+v", m)
	}
	m := w.letters(requests, w.demo.email)
	if len(m) != 2 || codeInMail.MatchString(m[0].Text) == codeInMail.MatchString(m[1].Text) {
		t.Errorf("a user gets %+v", m)
	}
}

func TestANewPasswordEndsWhatWasBegunWithTheOldOne(t *testing.T) {
	t.Parallel()
	w := start(t)
	elsewhere := w.browser()
	granted := elsewhere.grant("org_royal")
	for range 3 { // guesses at the old one are forgiven
		w.browser().signIn(answer{}, w.demo.email, "wrong")
	}
	b := w.browser()
	b.wantPage(b.get(w.issuer+"/signin"), http.StatusOK, "/signin", `href="/reset"`)
	a := b.post(w.issuer+resetPath, url.Values{"email": {"ADA@example.com"}})
	code := w.code(w.letters(1, w.demo.email))
	a = b.post(w.issuer+resetPath+"/code", a.form("code", code, "password", newPassword))
	b.wantPage(a, http.StatusOK, accountPath, "this device")

	elsewhere.wantPage(elsewhere.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
	if w.active(t.Context(), granted.AccessToken) {
		t.Error("a token is live")
	}
	other := w.browser()
	other.wantPage(other.signIn(answer{}, w.demo.email, w.demo.password), http.StatusUnprocessableEntity, "/signin", "belong together")
	other.wantPage(other.signIn(answer{}, w.demo.email, newPassword), http.StatusOK, accountPath, "this device")
	m := w.letters(2, w.demo.email)
	if len(m) != 2 || m[1].Subject != "Your password was changed" || strings.Contains(m[1].Text, newPassword) {
		t.Errorf("mail %+v", m)
	}
}

// Somebody had registered the address, and waited for its owner.
func TestAResetTakesAnUnverifiedAccountFromWhoeverMadeIt(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	user, err := w.store.CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "X", Email: new("grace@example.com")})
	if err != nil {
		t.Fatal(err)
	}
	if outcome, err := w.store.CreatePasskey(ctx, store.CreatePasskeyParams{UserID: user.ID, ID: "c29tZWJvZHk", PublicKey: "x", Transports: []string{}}); err != nil || outcome != store.OutcomeCreated {
		t.Fatal(outcome, err)
	}
	b := w.browser()
	a := b.post(w.issuer+resetPath, url.Values{"email": {"grace@example.com"}})
	a = b.post(w.issuer+resetPath+"/code", a.form("code", w.code(w.letters(1, "grace@example.com")), "password", newPassword))
	b.wantPage(a, http.StatusOK, accountPath, "this device")
	account, err := w.store.FindCredentialAccountByEmail(ctx, "grace@example.com") // there was no password before
	if err != nil || !account.User.EmailVerified {
		t.Errorf("%+v %v", account.User, err)
	}
	if keys, err := w.store.ListUserPasskeys(ctx, user.ID); err != nil || len(keys) != 0 {
		t.Errorf("%d passkeys are left, %v", len(keys), err)
	}
}

func TestWithoutMailThereIsNoSignUpAndNoReset(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	s, err := newServer(d.Pool, optionsFor("http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	web := serverOn(t, "")
	web.Config.Handler = s
	web.Start()
	defer web.Close()
	for _, path := range []string{signUpPath, resetPath} {
		if status, _, _ := get(t, web.URL+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if _, _, body := get(t, web.URL+"/signin"); strings.Contains(body, signUpPath) || strings.Contains(body, resetPath) {
		t.Error("the sign-in offers it")
	}
}

func TestMailAddressesAreASCIIInLowerCase(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Ada@Example.COM": "ada@example.com", " ada@example.com\n": "ada@example.com", "JOSÉ@example.com": "josÉ@example.com",
		"mi\u212ae@example.com": "mi\u212ae@example.com", "ada": "", "": "", "Ada <ada@example.com>": "", "a@b@c.example": "", `"a b"@example.com`: "",
		"ada@example.com, eve@example.com": "", "ada@example.com\r\nBcc: eve@example.com": "", strings.Repeat("a", 320) + "@example.com": "",
	} {
		if got, ok := mailAddress(text); got != want || ok != (want != "") {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func TestCodesAreOfManyAndHaveEightDigits(t *testing.T) {
	t.Parallel()
	var seen []string
	for range 50 {
		code, err := newCode()
		if err != nil || len(code) != codeDigits || slices.Contains(seen, code) || typedCode(grouped(code)) != code {
			t.Fatalf("%s, %v", code, err)
		}
		seen = append(seen, code)
	}
}
