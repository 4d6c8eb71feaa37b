package clienttests

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// world is what a test has of the server.
type world struct {
	*testing.T
	*server
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	return &world{t, shared}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) want(what string, got, want any) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}

// client is one that is registered.
type client struct {
	*world
	id, secret, method string
	redirectURI        string
	key                *ecdsa.PrivateKey // of private_key_jwt
	proofs             *ecdsa.PrivateKey // with which it proves possession at each request, if it does (RFC 9449)
}

const (
	somewhere     = "https://client.example/callback"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	deviceGrant   = "urn:ietf:params:oauth:grant-type:device_code"
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// document is a registration (RFC 7591, section 2).
type document map[string]any

// register registers a confidential client of the code flow with client_secret_basic, or as the changes have it.
func (w *world) register(changes ...document) *client {
	w.Helper()
	d := document{
		"client_name": w.Name(), "redirect_uris": []string{somewhere}, "token_endpoint_auth_method": "client_secret_basic",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	}
	for _, change := range changes {
		maps.Copy(d, change)
	}
	c := &client{world: w, method: d["token_endpoint_auth_method"].(string)}
	if uris := d["redirect_uris"].([]string); len(uris) > 0 {
		c.redirectURI = uris[0]
	}
	if c.method == "private_key_jwt" {
		c.key = newKey(w.T)
		d["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: c.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
	}
	text, err := json.Marshal(d) // with members that mean nothing there
	w.ok(err)
	metadata, err := registration.Parse(text)
	w.ok(err)
	p := metadata.CreateClientParams()
	p.ID, p.ClientID = store.NewOAuthClientID(), store.NewClientID()
	p.EnableEndSession = new(len(p.PostLogoutRedirectURIs) > 0)
	if strings.HasPrefix(c.method, "client_secret_") {
		c.secret = token.Mint(token.ClientSecret).Reveal()
		p.ClientSecret = new(token.DigestOf(c.secret))
	}
	// What follows is no member of a registration, but an operator's word.
	if resources, ok := d["resources"].([]string); ok {
		p.Resources = resources
	}
	if required, ok := d["require_pkce"].(bool); ok {
		p.RequirePKCE = &required
	}
	if untilUsed, ok := d["refresh_grace_until_used"].(bool); ok {
		p.RefreshGrace, p.RefreshGraceUntilUsed = new(time.Duration(0)), &untilUsed
	}
	if lifetime, ok := d["code_lifetime"].(time.Duration); ok {
		p.CodeLifetime = &lifetime
	}
	row, err := w.db.Store.CreateClient(w.Context(), p)
	w.ok(err)
	c.id = string(row.ClientID)
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signed is a JWT.
func signed(t *testing.T, key *ecdsa.PrivateKey, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(name, value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// assertion is a client assertion with the claims that RFC 7523, section 3 asks for, or as the changes have it; nil leaves one out.
func (c *client) assertion(changes ...map[string]any) string {
	c.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": c.id, "sub": c.id, "aud": c.issuer, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	for _, change := range changes {
		maps.Copy(claims, change)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return signed(c.T, c.key, map[jose.HeaderKey]any{"kid": "k1"}, claims)
}

// proof is a DPoP proof (RFC 9449, section 4.2).
func proof(t *testing.T, key *ecdsa.PrivateKey, method, address, accessToken string, changes ...map[string]any) string {
	t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": time.Now().Unix()}
	if accessToken != "" {
		hash := sha256.Sum256([]byte(accessToken))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	for _, change := range changes {
		maps.Copy(claims, change)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return signed(t, key, map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: key.Public()}}, claims)
}

// request is one to an endpoint, for a test to change.
type request struct {
	method, path string
	query, form  url.Values
	header       http.Header
}

func post(path string, params ...string) *request {
	r := &request{method: http.MethodPost, path: path, query: url.Values{}, form: url.Values{}, header: http.Header{}}
	for i := 0; i < len(params); i += 2 {
		r.form.Add(params[i], params[i+1])
	}
	return r
}

func get(path string, params ...string) *request {
	r := post(path)
	r.method = http.MethodGet
	for i := 0; i < len(params); i += 2 {
		r.query.Add(params[i], params[i+1])
	}
	return r
}

// basic authenticates by HTTP Basic (RFC 6749, section 2.3.1).
func (r *request) basic(id, secret string) *request {
	r.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret))))
	return r
}

func (r *request) bearer(accessToken string) *request {
	r.header.Set("Authorization", "Bearer "+accessToken)
	return r
}

func (r *request) with(params ...string) *request {
	for i := 0; i < len(params); i += 2 {
		r.form.Set(params[i], params[i+1])
	}
	return r
}

// as authenticates the client as it is registered.
func (c *client) as(r *request) *request {
	c.Helper()
	switch c.method {
	case "none":
		r.form.Set("client_id", c.id)
	case "client_secret_post":
		r.form.Set("client_id", c.id)
		r.form.Set("client_secret", c.secret)
	case "private_key_jwt":
		r.form.Set("client_assertion_type", assertionType)
		r.form.Set("client_assertion", c.assertion())
	default:
		r.basic(c.id, c.secret)
	}
	if c.proofs != nil {
		r.header.Set("DPoP", proof(c.T, c.proofs, r.method, c.issuer+r.path, ""))
	}
	return r
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	url    *url.URL // of what a browser shows or would go to
	raw    string
	body   map[string]any // of a JSON object
}

func (a answer) text(name string) string { s, _ := a.body[name].(string); return s }

// told is the status and the error.
func (a answer) told() string { return strings.TrimSpace(fmt.Sprint(a.status, " ", a.text("error"))) }

func (w *world) send(r *request) answer {
	w.Helper()
	return w.sendBy(httpClient, r)
}

func (w *world) sendBy(by *http.Client, r *request) answer {
	w.Helper()
	address := w.issuer + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.method == http.MethodPost || r.method == http.MethodPut {
		body = strings.NewReader(r.form.Encode())
	}
	sent, err := http.NewRequestWithContext(w.Context(), r.method, address, body)
	w.ok(err)
	maps.Copy(sent.Header, r.header)
	if body != nil {
		sent.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return w.do(by, sent)
}

func (w *world) do(by *http.Client, r *http.Request) answer {
	w.Helper()
	response, err := by.Do(r)
	w.ok(err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	w.ok(err)
	a := answer{status: response.StatusCode, header: response.Header, url: response.Request.URL, raw: string(raw)}
	if to, err := response.Location(); err == nil {
		a.url = to
	}
	_ = json.Unmarshal(raw, &a.body)
	return a
}

// user is somebody with a password.
type user struct {
	id              store.UserID
	email, password string
}

func (w *world) user() user {
	w.Helper()
	u := user{store.NewUserID(), strings.ToLower(rand.Text()) + "@example.com", "correct horse battery staple"}
	_, err := w.db.Store.CreateUser(w.Context(), store.CreateUserParams{ID: u.id, Name: "Grace Hopper", Email: &u.email, EmailVerified: true})
	w.ok(err)
	hash, err := argon2id.CreateHash(u.password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	w.ok(err)
	_, err = w.db.Store.CreateAccount(w.Context(), store.CreateAccountParams{
		ID: store.NewAccountID(), AccountID: string(u.id), ProviderID: "credential", UserID: u.id, Password: &hash,
	})
	w.ok(err)
	return u
}

// browser is a user's: it follows redirects, keeps cookies, and stops where it would leave the server.
type browser struct {
	*world
	user
	http       *http.Client
	netAddress netip.Addr // so that one test's sign-ins don't count against another's
	seen       []string   // the paths of the pages that were shown
}

func (w *world) browser() *browser {
	w.Helper()
	jar, err := cookiejar.New(nil)
	w.ok(err)
	var address [16]byte
	_, _ = rand.Read(address[:])
	address[0] = 0x20
	b := &browser{world: w, user: w.user(), netAddress: netip.AddrFrom16(address)}
	b.http = &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		r.Header.Set("X-Forwarded-For", b.netAddress.String())
		if !strings.HasPrefix(r.URL.String(), w.issuer+"/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return b
}

func (b *browser) open(r *request) answer {
	b.Helper()
	r.header.Set("X-Forwarded-For", b.netAddress.String())
	r.header.Set("Accept", "text/html")
	if r.header.Get("Sec-Fetch-Site") == "" {
		r.header.Set("Sec-Fetch-Site", "same-origin")
	}
	return b.sendBy(b.http, r)
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)" ?/?>`)

// inputs are the hidden ones of a page.
func (a answer) inputs() url.Values {
	found := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(a.raw, -1) {
		found.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return found
}

// submit sends a page's form.
func (b *browser) submit(a answer, params ...string) answer {
	b.Helper()
	r := post(a.url.Path)
	r.form = a.inputs()
	return b.open(r.with(params...))
}

// goOn signs in and agrees, as far as pages ask for it.
func (b *browser) goOn(a answer) answer {
	b.Helper()
	for range 4 {
		if a.status != http.StatusOK || !strings.HasPrefix(a.url.String(), b.issuer+"/") {
			return a
		}
		switch a.url.Path {
		case "/signin":
			b.seen = append(b.seen, a.url.Path)
			a = b.submit(a, "email", b.email, "password", b.password)
		case "/consent":
			b.seen = append(b.seen, a.url.Path)
			a = b.submit(a, "decision", "allow")
		default:
			return a
		}
	}
	b.Fatalf("the pages don't end: %s\n%s", a.url, a.raw)
	return a
}

// response is what the client's redirect URI gets (RFC 6749, section 4.1.2), and how.
func (a answer) response() (mode string, params url.Values) {
	switch {
	case strings.Contains(a.raw, "document.forms[0].submit()"):
		return "form_post", a.inputs()
	case a.status < 300 || a.status >= 400:
		return "", url.Values{}
	case a.url.Fragment != "":
		params, _ = url.ParseQuery(a.url.EscapedFragment())
		return "fragment", params
	default:
		return "query", a.url.Query()
	}
}

const verifier = "a-verifier-that-is-as-long-as-rfc-7636-asks-for"

// authorization is an authorization request of the client's, with PKCE.
func (c *client) authorization(params ...string) *request {
	r := get("/authorize", "client_id", c.id, "redirect_uri", c.redirectURI, "response_type", "code", "scope", "openid", "state", "a state&",
		"nonce", "a nonce", "code_challenge", token.S256(verifier), "code_challenge_method", "S256")
	for i := 0; i < len(params); i += 2 {
		r.query.Set(params[i], params[i+1])
		if params[i+1] == "" {
			r.query.Del(params[i])
		}
	}
	return r
}

// authorize lets the user of a browser agree to a request, and is the response.
func (c *client) authorize(b *browser, params ...string) url.Values {
	c.Helper()
	return c.authorized(b.goOn(b.open(c.authorization(params...))))
}

func (c *client) authorized(a answer) url.Values {
	c.Helper()
	_, got := a.response()
	if got.Get("code") == "" {
		c.Fatalf("there is no code: %d %s\n%s", a.status, a.url, a.raw)
	}
	return got
}

// redemption is a token request for a code.
func (c *client) redemption(code string, params ...string) *request {
	c.Helper()
	return c.as(post("/oauth/token", "grant_type", "authorization_code", "code", code, "redirect_uri", c.redirectURI, "code_verifier", verifier).with(params...))
}

// tokens lets the user of a browser grant a request.
func (c *client) tokens(b *browser, params ...string) answer {
	c.Helper()
	a := c.send(c.redemption(c.authorize(b, params...).Get("code")))
	if a.status != http.StatusOK {
		c.Fatalf("redeeming the code: %d %s", a.status, a.raw)
	}
	return a
}

func (c *client) refresh(refreshToken string, params ...string) answer {
	c.Helper()
	return c.send(c.as(post("/oauth/token", "grant_type", "refresh_token", "refresh_token", refreshToken).with(params...)))
}

func (c *client) introspect(accessToken string) answer {
	c.Helper()
	return c.send(c.as(post("/oauth/introspect", "token", accessToken)))
}

// returned is what a redirect URI has got in its query.
func (c *client) returned(address string) (code, state string) {
	c.Helper()
	u, err := url.Parse(address)
	c.ok(err)
	if u.Query().Get("code") == "" {
		c.Fatalf("there is no code in %s", address)
	}
	return u.Query().Get("code"), u.Query().Get("state")
}
