package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

func TestARefusedSignInDoesNotTellWhatWasWrong(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	for _, email := range []string{w.demo.email, "nobody@example.com", "with\x00nul@example.com"} {
		a := b.signIn(answer{}, email, "wrong")
		b.wantPage(a, http.StatusUnprocessableEntity, "/signin", `role="alert" id="error">That e-mail address and password don&#39;t belong together.`)
		if a.header.Get("Set-Cookie") != "" {
			t.Errorf("%q: a cookie was set", email)
		}
	}
	b.wantPage(b.signIn(answer{}, w.demo.email, ""), http.StatusUnprocessableEntity, "/signin", "Enter your e-mail address")
	b.wantPage(b.get(w.issuer+"/account"), http.StatusOK, "/signin", "Sign in")
}

func TestTheRightPasswordSignsInWhateverTheCaseOfTheAddress(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	b.wantPage(b.signIn(answer{}, strings.ToUpper(w.demo.email), w.demo.password), http.StatusOK, accountPath, "this device")
}

func TestGuessingIsThrottledPerAccount(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	for range attemptsPerAccount {
		b.wantPage(b.signIn(answer{}, w.demo.email, "wrong"), http.StatusUnprocessableEntity, "/signin", "belong together")
	}
	a := b.signIn(answer{}, strings.ToUpper(w.demo.email), w.demo.password)
	b.wantPage(a, http.StatusTooManyRequests, "/signin", "Too many attempts")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.wantPage(b.signIn(answer{}, "somebody.else@example.com", "wrong"), http.StatusUnprocessableEntity, "/signin", "belong together")
}

func TestGuessingIsThrottledPerNetwork(t *testing.T) {
	t.Parallel()
	w := start(t)
	allowed := func(addr, email string) bool {
		t.Helper()
		wait, err := w.server.countGuess(t.Context(), netip.MustParseAddr(addr), email)
		if err != nil {
			t.Fatal(err)
		}
		return wait == 0
	}
	for i := range attemptsPerNetwork {
		if !allowed("2001:db8::1", strings.Repeat("x", i+1)+"@example.com") {
			t.Fatalf("attempt %d was refused", i)
		}
	}
	if allowed("2001:db8::ffff:2", "one@example.com") {
		t.Error("another address of the same /64 was not")
	}
	for addr, email := range map[string]string{"2001:db8:0:1::1": "one@example.com", "192.0.2.1": "two@example.com"} {
		if !allowed(addr, email) {
			t.Error("another network was refused")
		}
	}
}

// Whatever is typed as an address can be counted.
func TestGuessingIsThrottledForAnyAddress(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, email := range []string{"\x00", "\xff", strings.Repeat("x", 100_000)} {
		if wait, err := w.server.countGuess(t.Context(), netip.Addr{}, email); err != nil || wait != 0 {
			t.Errorf("%.10q: %s, %v", email, wait, err)
		}
	}
}

func TestASignInForgivesEarlierAttempts(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	for range 2 {
		for range attemptsPerAccount - 1 {
			b.signIn(answer{}, w.demo.email, "wrong")
		}
		b.wantPage(b.signIn(answer{}, w.demo.email, w.demo.password), http.StatusOK, accountPath, "this device")
	}
}

func TestEverySignInHasANewCookie(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser()
	values := map[string]bool{}
	for range 2 {
		b.signedIn()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.issuer, nil)
		for _, c := range b.client.Jar.Cookies(r.URL) {
			if c.Name == "session" {
				values[c.Value] = true
			}
		}
	}
	if len(values) != 2 {
		t.Errorf("%d session cookies, not 2", len(values))
	}
}

func TestTheSessionCookieIsStrict(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	for issuer, want := range map[string]string{
		"http://127.0.0.1:8080":  "session=odb_st_*; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax",
		"https://id.example.com": "__Host-session=odb_st_*; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
	} {
		s, err := newServer(d.Pool, optionsFor(issuer))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := seedDemo(t.Context(), d.Store, s.passwords, demoOrigin); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/signin",
			strings.NewReader("email="+demoEmail+"&password="+strings.ReplaceAll(demoPassword, " ", "+")))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		got := w.Header().Get("Set-Cookie")
		if len(w.Result().Cookies()) == 1 {
			raw, err := token.Parse(token.SessionToken, w.Result().Cookies()[0].Value)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Store.FindSessionByToken(t.Context(), raw.Digest()); err != nil {
				t.Errorf("the digest is not in the database: %v", err)
			}
			got = strings.ReplaceAll(got, raw.Reveal()[len("odb_st_"):], "*")
		}
		if got != want {
			t.Errorf("%s: %s, not %s", issuer, got, want)
		}
		if hsts := w.Header().Get("Strict-Transport-Security"); (hsts != "") != strings.HasPrefix(issuer, "https:") {
			t.Errorf("%s: Strict-Transport-Security: %q", issuer, hsts)
		}
	}
}

func TestThePasswordsThatAreHashedAtATimeAreBounded(t *testing.T) {
	t.Parallel()
	p, err := newPasswords(cheap)
	if err != nil {
		t.Fatal(err)
	}
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	ctx, cancel := contextThatEnds(t)
	defer cancel()
	if _, err := p.match(ctx, "x", p.dummy); err == nil {
		t.Error("one more was hashed")
	}
}

// As bcrypt, PBKDF2, scrypt and an Argon2i of other servers have it, and what is no hash at all.
func TestAHashOfAnUnknownKindIsAWrongPassword(t *testing.T) {
	t.Parallel()
	w := start(t)
	log := &strings.Builder{}
	w.server.logger = slog.New(slog.NewTextHandler(log, nil))
	for _, hash := range []string{
		"$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
		"pbkdf2-sha256$27500$c2FsdA$aGFzaA",
		"c0ffee:deadbeef",
		"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b8Gyw",
		"$argon2id$v=19$m=65536,t=2,p=1$!$!",
		"$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGdWdz+T8lz/U", // no rounds: the library panics
		"$argon2id$v=19$m=8,t=1,p=0$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGdWdz+T8lz/U",
		"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$",                                                     // cut off: nothing equals nothing
		"$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGdWdz+T8lz/U", // four terabytes
		"$argon2id$v=19$m=8,t=4294967295,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGdWdz+T8lz/U", // for days
		"",
	} {
		log.Reset()
		if _, err := w.store.UpdateAccountPassword(t.Context(), store.UpdateAccountPasswordParams{UserID: w.demo.user, Password: hash}); err != nil {
			t.Fatal(err)
		}
		if err := w.server.forgiveGuesses(t.Context(), w.demo.email); err != nil {
			t.Fatal(err)
		}
		a := w.browser().signIn(answer{}, w.demo.email, w.demo.password)
		w.browser().wantPage(a, http.StatusUnprocessableEntity, "/signin", "belong together")
		if told := log.String(); !strings.Contains(told, "not an Argon2id hash") || !strings.Contains(told, string(w.demo.user)) {
			t.Errorf("%s: the log says %q", hash, told)
		}
		if hash != "" && strings.Contains(log.String(), hash) {
			t.Errorf("%s: the log has it", hash)
		}
	}
}

func TestASuspendedUserIsNotSignedIn(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser().signedIn()
	if _, err := w.store.SuspendUser(t.Context(), w.demo.user); err != nil {
		t.Fatal(err)
	}
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
	b.wantPage(b.signIn(answer{}, w.demo.email, "wrong"), http.StatusUnprocessableEntity, "/signin", "belong together")
	a := b.signIn(answer{}, w.demo.email, w.demo.password)
	b.wantPage(a, http.StatusForbidden, "/signin", "This account is suspended")
	if a.header.Get("Set-Cookie") != "" {
		t.Error("a cookie was set")
	}
	if _, err := w.store.ReinstateUser(t.Context(), w.demo.user); err != nil {
		t.Fatal(err)
	}
	b.signedIn()
	if _, err := w.store.DeleteUser(t.Context(), w.demo.user); err != nil {
		t.Fatal(err)
	}
	b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
	b.wantPage(b.signIn(answer{}, w.demo.email, w.demo.password), http.StatusUnprocessableEntity, "/signin", "belong together")
}

func (w *world) sessions() []store.Session {
	w.Helper()
	sessions, err := w.store.ListUserSessions(w.Context(), store.ListUserSessionsParams{UserID: w.demo.user, PageSize: 10})
	if err != nil {
		w.Fatal(err)
	}
	return sessions
}

func TestSigningInAgainGoesOnInTheSameSession(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.server.maxSessions = 1
	b := w.browser()
	a := b.get(w.authorize("scope", "openid profile"))
	a = b.signIn(a, w.demo.email, w.demo.password)
	bound := b.exchange(b.post(w.issuer+"/consent", a.form("decision", "allow", "tenant", "")))
	before := w.sessions()
	a = b.get(w.authorize("scope", "openid profile", "prompt", "login"))
	b.wantPage(a, http.StatusOK, "/signin", "asks you to sign in again")
	b.wantCallback(b.signIn(a, w.demo.email, w.demo.password), "")
	after := w.sessions()
	if len(before) != 1 || len(after) != 1 || before[0].ID != after[0].ID || before[0].Token == after[0].Token {
		t.Fatalf("sessions before %v, after %v", before, after)
	}
	if !authenticatedAt(after[0]).After(authenticatedAt(before[0])) {
		t.Errorf("authenticated at %s, and then at %s", authenticatedAt(before[0]), authenticatedAt(after[0]))
	}
	if !w.active(t.Context(), bound.AccessToken) {
		t.Error("what was granted in the session has ended")
	}
}

func TestTheOldestSessionsMakeRoom(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.server.maxSessions = 2
	first, second, third := w.browser().signedIn(), w.browser().signedIn(), w.browser().signedIn()
	first.wantPage(first.get(w.issuer+accountPath), http.StatusOK, "/signin", "Sign in")
	for _, b := range []*browser{second, third} {
		b.wantPage(b.get(w.issuer+accountPath), http.StatusOK, accountPath, "this device")
	}
}
