package main

import (
	"context"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/examples/authserver/democlient"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the library logs each refused request
	os.Exit(storetest.Reuse(m).Run())
}

// world is the provider and the demo app, on loopback and on a database of the test's own.
type world struct {
	*testing.T
	store  *store.Queries
	server *server
	issuer string
	app    string
	demo   demo
	mail   *mailbox
}

// mailbox is where all mail arrives.
type mailbox struct {
	mu       sync.Mutex
	messages []Message
}

func (m *mailbox) Send(_ context.Context, message Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, message)
	return nil
}

// letters waits until the mail of n requests has been looked after, and returns what was sent to an address.
func (w *world) letters(n int64, to string) []Message {
	w.Helper()
	eventually(w.T, "the mail is sent", func() bool { return w.server.outbox.sent.Load() >= n })
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	var found []Message
	for _, m := range w.mail.messages {
		if m.To == to {
			found = append(found, m)
		}
	}
	return found
}

// cheap is fast, and protects nothing.
var cheap = &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func start(t *testing.T, options ...storetest.Option) *world {
	t.Helper()
	return startAt(t, "127.0.0.1", options...)
}

// startAt gives the provider another name of this machine. Passkeys are for names alone.
func startAt(t *testing.T, host string, options ...storetest.Option) *world {
	t.Helper()
	return startAs(t, host, nothing, options...)
}

// startAs has the server's options changed.
func startAs(t *testing.T, host string, change func(*options), options ...storetest.Option) *world {
	t.Helper()
	d := storetest.New(t, options...)
	web, app := serverOn(t, "127.0.0.1:8080"), serverOn(t, "127.0.0.1:8081")
	_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
	w := &world{T: t, store: d.Store, mail: &mailbox{}, issuer: "http://" + net.JoinHostPort(host, port), app: "http://" + app.Listener.Addr().String()}
	var err error
	o := optionsFor(w.issuer)
	o.mailer, o.signUp = w.mail, true
	change(&o)
	w.server, err = newServer(d.Pool, o)
	if err != nil {
		t.Fatal(err)
	}
	w.demo, err = seedDemo(t.Context(), d.Store, w.server.passwords, w.app)
	if err != nil {
		t.Fatal(err)
	}
	w.server.tenants = w.demo.tenants
	web.Config.Handler = w.server
	app.Config.Handler = democlient.New(democlient.Config{
		Issuer: w.issuer, ClientID: w.demo.web.ID, ClientSecret: w.demo.web.Secret, Home: w.app, Scopes: w.demo.web.Scopes, ScreenClientID: w.demo.tv.ID,
	})
	web.Start()
	app.Start()
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { w.server.outbox.work(ctx) })
	t.Cleanup(func() { stop(); working.Wait() })
	t.Cleanup(web.Close)
	t.Cleanup(app.Close)
	return w
}

// serverOn has the address that a person would see, if it is free and pictures are taken; otherwise a free one.
func serverOn(t *testing.T, address string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	if os.Getenv(screenshotsVariable) != "" {
		if listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address); err == nil {
			server.Listener.Close()
			server.Listener = listener
		}
	}
	return server
}

func nothing(*options) {}

func optionsFor(issuer string) options {
	return options{
		issuer: issuer, sessionLifetime: time.Hour, maxSessionLifetime: 24 * time.Hour, passwordParams: cheap,
		codeKey: demoKey("codes"), sealKeys: [][]byte{demoKey("seal")}, logger: slog.New(slog.DiscardHandler),
		storage: zitadel.Options{
			SuccessorKeys: [][]byte{demoKey("successor")}, KeyEncryptionKeys: [][]byte{demoKey("key encryption")}, SigningAlgorithm: jose.ES256,
		},
	}
}

// browser follows redirects and keeps cookies, up to the client's callback, which it does not call.
type browser struct {
	*world
	client *http.Client
}

// answer is the last of a chain of redirects.
type answer struct {
	status int
	header http.Header
	url    *url.URL
	body   string
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), w.app) && r.URL.Path != "/" {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

func (b *browser) do(r *http.Request) answer {
	b.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	a := answer{response.StatusCode, response.Header, response.Request.URL, string(body)}
	if location, err := response.Location(); err == nil {
		a.url = location
	}
	return a
}

func (b *browser) get(address string) answer {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.Fatal(err)
	}
	return b.do(r)
}

// post sends a form as a page of this site does; change may make it another's.
func (b *browser) post(address string, form url.Values, change ...func(http.Header)) answer {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range change {
		f(r.Header)
	}
	return b.do(r)
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// form is the hidden inputs of a page, and more.
func (a answer) form(more ...string) url.Values {
	form := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(a.body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

func (b *browser) signIn(at answer, email, password string) answer {
	b.Helper()
	return b.post(b.issuer+"/signin", at.form("email", email, "password", password))
}

func (b *browser) signedIn() *browser {
	b.Helper()
	if a := b.signIn(answer{}, b.demo.email, b.demo.password); a.status != http.StatusOK || a.url.Path != accountPath {
		b.Fatalf("signing in led to %d %s", a.status, a.url)
	}
	return b
}

const testVerifier = "a-verifier-that-is-as-long-as-rfc-7636-asks-for"

func (w *world) oauth() *oauth2.Config {
	return &oauth2.Config{
		ClientID: w.demo.web.ID, ClientSecret: w.demo.web.Secret, RedirectURL: w.app + "/callback", Scopes: w.demo.web.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: w.issuer + "/authorize", TokenURL: w.issuer + "/oauth/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
}

// authorize is a request of the client's.
func (w *world) authorize(parameters ...string) string {
	var options []oauth2.AuthCodeOption
	for i := 0; i < len(parameters); i += 2 {
		options = append(options, oauth2.SetAuthURLParam(parameters[i], parameters[i+1]))
	}
	return w.oauth().AuthCodeURL("a-state", append(options, oauth2.S256ChallengeOption(testVerifier))...)
}

// grant signs in, agrees, and exchanges the code.
func (b *browser) grant(tenant string) *oauth2.Token {
	b.Helper()
	a := b.get(b.authorize())
	if a.url.Path == "/signin" {
		a = b.signIn(a, b.demo.email, b.demo.password)
	}
	if a.url.Path == "/consent" {
		a = b.post(b.issuer+"/consent", a.form("decision", "allow", "tenant", tenant))
	}
	return b.exchange(a)
}

func (b *browser) exchange(a answer) *oauth2.Token {
	b.Helper()
	b.wantCallback(a, "")
	token, err := b.oauth().Exchange(b.Context(), a.url.Query().Get("code"), oauth2.VerifierOption(testVerifier))
	if err != nil {
		b.Fatal(err)
	}
	return token
}

// wantCallback: the browser is back at the client, with an error or, if it is empty, with a code.
func (b *browser) wantCallback(a answer, wantError string) {
	b.Helper()
	q := a.url.Query()
	if !strings.HasPrefix(a.url.String(), b.app+"/callback") || q.Get("state") != "a-state" || q.Get("error") != wantError || q.Has("code") == q.Has("error") {
		b.Fatalf("led to %d %s, not to the client with error=%q\n%s", a.status, a.url, wantError, a.body)
	}
}

func (b *browser) wantPage(a answer, status int, path, text string) {
	b.Helper()
	if a.status != status || a.url.Path != path || !strings.Contains(a.body, text) {
		b.Fatalf("led to %d %s, not to %d %s with %q\n%s", a.status, a.url, status, path, text, a.body)
	}
}

// active asks whether an access token is live.
func (w *world) active(ctx context.Context, token string) bool {
	w.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.issuer+"/oauth/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.SetBasicAuth(w.demo.web.ID, w.demo.web.Secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		w.Fatalf("introspection: %s %s", response.Status, body)
	}
	return strings.Contains(string(body), `"active":true`)
}
