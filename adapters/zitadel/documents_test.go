package zitadel_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// publisher is a client's site, with its metadata document.
type publisher struct {
	*httptest.Server
	mu      sync.Mutex
	answer  http.HandlerFunc // nil: the document
	said    map[string]any   // in the document, beside the client_id
	header  http.Header
	etag    string
	fetched int // in full
	asked   int
}

func newPublisher(t testing.TB) *publisher {
	s := &publisher{said: map[string]any{"client_name": "Shelf", "redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none"}, header: http.Header{}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *publisher) id() string { return s.URL + "/client.json" }

func (s *publisher) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), s.header)
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
		if r.Header.Get("If-None-Match") == s.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	s.fetched++
	document := map[string]any{"client_id": s.URL + r.URL.RequestURI()}
	maps.Copy(document, s.said)
	_ = json.NewEncoder(w).Encode(document)
}

func (s *publisher) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// counts are the requests and the documents given since the last time.
func (s *publisher) counts() (asked, fetched int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, fetched = s.asked, s.fetched
	s.asked, s.fetched = 0, 0
	return asked, fetched
}

func newDocumentWorld(t testing.TB) (*world, *publisher, registered) {
	site := newPublisher(t)
	w := newWorld(t, func(w *world) {
		w.opts.ClientDocuments, w.opts.HTTPClient, w.opts.DeviceURL = &zitadel.ClientDocuments{}, site.Client(), "https://op.example/device"
	})
	return w, site, registered{world: w, id: site.id(), redirectURI: redirectURI}
}

// begin is what an authorization request of the client comes to.
func (c registered) begin() fetched {
	c.Helper()
	return c.fetch(c.get(pathOf(c.world, c.oauth2("openid").AuthCodeURL("state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))))
}

func (c registered) wantServed(what string, want bool) {
	c.Helper()
	got := c.begin()
	if served := strings.HasPrefix(got.location, "/login?id="); served != want || !served && (got.status != http.StatusBadRequest || got.location != "") {
		c.Errorf("%s: %+v", what, got)
	}
}

// outdate has the store think that the document was fetched long ago.
func (w *world) outdate(by time.Duration) {
	w.Helper()
	_, err := w.db.Pool.Exec(w.ctx, `UPDATE oauth_client SET document_fetched_at = document_fetched_at - $1::interval,
		document_fresh_until = document_fresh_until - $1::interval WHERE document_uri IS NOT NULL`, by)
	w.ok(err)
}

func TestClientBringsItsMetadataDocument(t *testing.T) {
	t.Parallel()
	w, site, c := newDocumentWorld(t)
	tokens := c.login(c.oauth2("openid", "offline_access"))
	refreshed, err := c.refreshWith(c.oauth2(), tokens.RefreshToken)
	w.ok(err)
	if refreshed.AccessToken == "" {
		t.Error("no access token")
	}
	asked, _ := site.counts()
	wantEqual(t, "fetches", asked, 1)

	w.calls.take()
	c.wantServed("a fresh document", true)
	wantEqual(t, "statements", w.calls.take(), []string{"GetClient", "CreateAuthorization"})
	asked, _ = site.counts()
	wantEqual(t, "fetches of a fresh document", asked, 0)

	// The document counts as it is now.
	site.change(func() { site.said["redirect_uris"] = []string{"https://client.example/elsewhere"} })
	c.wantServed("a document that is fresh still", true)
	w.outdate(time.Hour)
	c.wantServed("a redirect URI that is gone", false)
	c.redirectURI = "https://client.example/elsewhere"
	c.wantServed("the new redirect URI", true)

	// Where nothing has changed, nothing is sent.
	site.change(func() { site.etag = `"1"` })
	w.outdate(time.Hour)
	c.wantServed("a document with an ETag", true)
	w.outdate(time.Hour)
	site.counts()
	c.wantServed("the same document", true)
	asked, given := site.counts()
	wantEqual(t, "requests and documents", []int{asked, given}, []int{1, 0})

	// A site that is down for a moment takes nobody's sign-in away. One that is down for long does.
	site.change(func() {
		site.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	})
	w.outdate(30 * time.Minute)
	c.wantServed("a site that is down", true)
	w.outdate(2 * time.Hour)
	c.wantServed("a site that is down for long", false)
	site.change(func() { site.answer = nil })
	c.wantServed("a site that is up again", true)
	site.change(func() { site.answer = http.NotFound })
	w.outdate(30 * time.Minute)
	c.wantServed("a document that is gone", false)
	site.change(func() { site.answer = nil })

	_, err = w.q.DisableClient(w.ctx, store.ClientID(c.id))
	w.ok(err)
	w.outdate(time.Hour)
	c.wantServed("a client that an operator has disabled", false)
}

func TestDocumentIsFetchedWhereverItsClientComesFirst(t *testing.T) {
	t.Parallel()
	w, site, _ := newDocumentWorld(t)
	site.said["grant_types"] = []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}
	at := func(name string) registered {
		return registered{world: w, id: site.URL + "/" + name, redirectURI: redirectURI}
	}
	status, _ := at("pushes").post("/par", url.Values{
		"redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())}, "code_challenge_method": {"S256"},
	})
	wantEqual(t, "par", status, 201)
	status, body := at("device").post("/device_authorization", url.Values{"scope": {"openid"}})
	wantEqual(t, "device authorization", []any{status, body["error"]}, []any{200, nil})
	for _, path := range []string{"/par", "/device_authorization"} {
		site.change(func() { site.answer = http.NotFound })
		status, body = at("nowhere").post(path, url.Values{})
		wantEqual(t, path, []any{status, body["error"]}, []any{401, "invalid_client"})
	}
	// Eight at once wait for one fetch.
	site.change(func() { site.answer = nil })
	site.counts()
	for _, served := range inParallel(8, func(int) bool { return strings.HasPrefix(at("eight").begin().location, "/login") }) {
		if !served {
			t.Error("one of eight isn't served")
		}
	}
	if asked, _ := site.counts(); asked < 1 || asked > 8 {
		t.Errorf("%d requests", asked)
	}
}

func TestDocumentIsRefused(t *testing.T) {
	t.Parallel()
	w, site, c := newDocumentWorld(t)
	text := func(kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(text))
		}
	}
	for what, answer := range map[string]http.HandlerFunc{
		"a page":      text("text/html", "<html>"),
		"no document": text("application/json", "[]"),
		"too large":   text("application/json", `{"client_id":"`+c.id+`","redirect_uris":["`+redirectURI+`"],"x":"`+strings.Repeat("a", 40<<10)+`"}`),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, site.URL+"/other", http.StatusFound)
		},
		"another's document":  text("application/json", `{"client_id":"https://other.example/","redirect_uris":["`+redirectURI+`"]}`),
		"nobody's document":   text("application/json", `{"redirect_uris":["`+redirectURI+`"]}`),
		"no redirect URI":     text("application/json", `{"client_id":"`+c.id+`"}`),
		"a secret":            text("application/json", `{"client_id":"`+c.id+`","redirect_uris":["`+redirectURI+`"],"token_endpoint_auth_method":"client_secret_basic"}`),
		"a method not served": text("application/json", `{"client_id":"`+c.id+`","redirect_uris":["`+redirectURI+`"],"token_endpoint_auth_method":"tls_client_auth"}`),
	} {
		site.change(func() { site.answer = answer })
		c.wantServed(what, false)
		var n int
		w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT count(*) FROM oauth_client`).Scan(&n))
		wantEqual(t, what+": clients", n, 0)
	}
	site.change(func() { site.answer = nil })
	site.counts()
	for _, id := range []string{
		strings.Replace(site.URL, "https:", "http:", 1) + "/client.json", site.URL, site.URL + "/../client.json", site.URL + "/%2e%2e/client.json",
		site.URL + "/client.json#x", strings.Replace(site.URL, "https://", "https://a@", 1) + "/client.json", "HTTPS" + strings.TrimPrefix(site.URL, "https") + "/client.json",
		site.URL + "/client\x00.json", site.URL + "/client .json",
	} {
		registered{world: w, id: id, redirectURI: redirectURI}.wantServed(id, false)
	}
	asked, _ := site.counts()
	wantEqual(t, "requests for what is no URL of a document", asked, 0)
	c.wantServed("as it should be", true)

	w.opts.ClientDocuments.Allow = func(u *url.URL) bool { return u.Hostname() == "client.example" }
	w.serve()
	c.wantServed("a host that isn't on the list", false)
	w.opts.ClientDocuments = nil
	w.serve()
	registered{world: w, id: site.URL + "/never", redirectURI: redirectURI}.wantServed("not served at all", false)
}

// Without a client of the application's own, no address is asked that is not everybody's.
func TestDocumentsOfTheServersOwnNetworkAreNotFetched(t *testing.T) {
	t.Parallel()
	w, site, c := newDocumentWorld(t)
	w.opts.HTTPClient = nil
	w.serve()
	u, err := url.Parse(site.URL)
	w.ok(err)
	port, err := strconv.Atoi(u.Port())
	w.ok(err)
	c.wantServed("loopback", false)
	for _, host := range []string{"localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"} {
		registered{world: w, id: "https://" + host + ":" + strconv.Itoa(port) + "/client.json", redirectURI: redirectURI}.wantServed(host, false)
	}
	asked, _ := site.counts()
	wantEqual(t, "requests", asked, 0)
	// The same site is served where the application says so.
	w.opts.HTTPClient = site.Client()
	w.serve()
	c.wantServed("by a client of the application's own", true)
}

func TestPublicClientConnectsToPublicAddressesAlone(t *testing.T) {
	t.Parallel()
	client := zitadel.PublicClient()
	for at, want := range map[string]error{
		"https://127.0.0.1/": ssrf.ErrProhibitedIP, "https://localhost/": ssrf.ErrProhibitedIP, "https://[::1]/": ssrf.ErrProhibitedIP,
		"https://10.0.0.1/": ssrf.ErrProhibitedIP, "https://192.168.0.1/": ssrf.ErrProhibitedIP, "https://169.254.169.254/": ssrf.ErrProhibitedIP,
		"https://[fd00::1]/": ssrf.ErrProhibitedIP, "https://[::ffff:10.0.0.1]/": ssrf.ErrProhibitedIP, "https://[64:ff9b::7f00:1]/": ssrf.ErrProhibitedIP,
		"https://0.0.0.0/": ssrf.ErrProhibitedIP, "https://1.1.1.1:8443/": ssrf.ErrProhibitedPort, "https://1.1.1.1:80/": ssrf.ErrProhibitedPort,
	} {
		response, err := client.Get(at)
		if err == nil {
			response.Body.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", at, err, want)
		}
	}
}
