// Package democlient is an app that signs its users in with an OpenID provider, as anybody would write it with golang.org/x/oauth2
// and github.com/coreos/go-oidc, and shows what it is given. It is for demonstrations: it keeps its sessions in memory, and shows
// what a real app keeps to itself. It knows nothing of the provider but its URL.
package democlient

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/oauth2"
)

// Config is what the app is registered with.
type Config struct {
	Issuer, ClientID, ClientSecret string
	Home                           string // the app's own URL, without a slash at the end
	Scopes                         []string
	ScreenClientID                 string // of the same app on a screen without a keyboard; empty: there is none
}

// Client is the app, an http.Handler.
type Client struct {
	config  Config
	visits  *lru.Cache[string, *visit]
	handler http.Handler

	mu       sync.Mutex
	provider *provider
}

// provider is what the discovery document says.
type provider struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	oidc     *oidc.Provider

	introspection, endSession, pushed string
}

// visit is one browser's, by its cookie.
type visit struct {
	mu sync.Mutex

	state, nonce, verifier string // of the sign-in under way

	pushed string  // the reference to a request that was pushed
	key    *prover // that the tokens are bound to; nil: whoever has them may use them
	screen *screen

	token   *oauth2.Token
	idToken string
	claims  map[string]any
	name    string   // as userinfo has it
	spent   []string // refresh tokens that were replaced, the oldest first
	steps   []Step   // what was done, the latest first
	problem string
}

// Step is something that the app did, and what came of it.
type Step struct {
	Title  string
	Result string
	Detail string
	Good   bool
}

const (
	cookieName = "framed"
	maxVisits  = 1000
	maxSteps   = 12
	parallel   = 8
	timeout    = 20 * time.Second
)

// New returns the app. It asks the provider nothing until somebody signs in.
func New(config Config) *Client {
	c := &Client{config: config}
	c.visits, _ = lru.New[string, *visit](maxVisits) // the error is for sizes below 1
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.home)
	mux.HandleFunc("POST /signin", c.signIn)
	mux.HandleFunc("GET /callback", c.callback)
	mux.HandleFunc("POST /refresh", c.do(c.refresh))
	mux.HandleFunc("POST /refresh-parallel", c.do(c.refreshInParallel))
	mux.HandleFunc("POST /userinfo", c.do(c.userinfo))
	mux.HandleFunc("POST /introspect", c.do(c.introspect))
	mux.HandleFunc("POST /reuse", c.do(c.reuse))
	mux.HandleFunc("POST /steal", c.do(c.steal))
	mux.HandleFunc("POST /screen", c.connectScreen)
	mux.HandleFunc("POST /signout", c.signOut)
	mux.HandleFunc("GET /signed-out", c.signedOut)
	mux.HandleFunc("POST /backchannel-logout", c.toldOfSignOut)
	mux.Handle("GET /static/", http.FileServerFS(static))
	c.handler = http.NewCrossOriginProtection().Handler(mux)
	return c
}

// ServeHTTP implements http.Handler.
func (c *Client) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' "+c.config.Issuer+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // the address of the callback holds the code
	h.Set("Cache-Control", "no-store")
	c.handler.ServeHTTP(w, r)
}

// discover asks the provider once, and again if it failed.
func (c *Client) discover(ctx context.Context) (*provider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.provider != nil {
		return c.provider, nil
	}
	// The provider keeps its context, to fetch keys later.
	found, err := oidc.NewProvider(context.WithoutCancel(ctx), c.config.Issuer)
	if err != nil {
		return nil, err
	}
	p := &provider{oidc: found, verifier: found.Verifier(&oidc.Config{ClientID: c.config.ClientID})}
	p.oauth = oauth2.Config{
		ClientID: c.config.ClientID, ClientSecret: c.config.ClientSecret, Endpoint: found.Endpoint(),
		RedirectURL: c.config.Home + "/callback", Scopes: c.config.Scopes,
	}
	var more struct {
		Introspection string `json:"introspection_endpoint"`
		EndSession    string `json:"end_session_endpoint"`
		Pushed        string `json:"pushed_authorization_request_endpoint"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, err
	}
	p.introspection, p.endSession, p.pushed = more.Introspection, more.EndSession, more.Pushed
	c.provider = p
	return p, nil
}

func (c *Client) visit(w http.ResponseWriter, r *http.Request) *visit {
	if cookie, err := r.Cookie(cookieName); err == nil {
		if v, found := c.visits.Get(cookie.Value); found {
			return v
		}
	}
	return c.newVisit(w)
}

func (c *Client) newVisit(w http.ResponseWriter) *visit {
	id, v := rand.Text(), &visit{}
	c.visits.Add(id, v)
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(c.config.Home, "https:"),
	})
	return v
}

// signIn sends the browser to the provider: with the request in the URL, or with a reference to one that was pushed (RFC 9126).
func (c *Client) signIn(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	to, err := c.begin(r, v)
	if err != nil {
		v.problem, to = err.Error(), "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (c *Client) begin(r *http.Request, v *visit) (string, error) {
	p, err := c.discover(r.Context())
	if err != nil {
		return "", fmt.Errorf("the provider doesn't answer: %w", err)
	}
	v.state, v.nonce, v.verifier, v.problem, v.pushed, v.key = rand.Text(), rand.Text(), oauth2.GenerateVerifier(), "", "", nil
	request := p.oauth.AuthCodeURL(v.state, oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier))
	switch r.PostFormValue("way") {
	case "bound":
		if v.key, err = newProver(); err != nil {
			return "", err
		}
	case "pushed":
	default:
		return request, nil
	}
	ctx, cancel := context.WithTimeout(v.context(r.Context()), timeout)
	defer cancel()
	u, err := url.Parse(request)
	if err != nil {
		return "", err
	}
	answer, err := c.post(ctx, p.pushed, u.Query())
	if err != nil {
		return "", fmt.Errorf("pushing the request: %w", err)
	}
	if v.pushed, _ = answer["request_uri"].(string); v.pushed == "" {
		return "", errors.New("pushing the request: the provider gave no request_uri")
	}
	u.RawQuery = url.Values{"client_id": {c.config.ClientID}, "request_uri": {v.pushed}}.Encode()
	return u.String(), nil
}

// context has requests prove that the app has the key, if the tokens are bound to one.
func (v *visit) context(ctx context.Context) context.Context {
	if v.key == nil {
		return ctx
	}
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: v.key, Timeout: timeout})
}

// callback exchanges the code, and begins a new visit with what it gives.
func (c *Client) callback(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	v := c.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	next, err := c.exchange(ctx, v, r.URL.Query())
	v.state = "" // good once
	if err != nil {
		v.problem = err.Error()
	} else {
		*c.newVisit(w) = visit{token: next.token, idToken: next.idToken, claims: next.claims, name: next.name, steps: next.steps, key: v.key}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Client) exchange(ctx context.Context, v *visit, answer url.Values) (*visit, error) {
	switch {
	case v.state == "" || answer.Get("state") != v.state:
		return nil, errors.New("this answer does not belong to a sign-in of this browser")
	case answer.Get("error") == "access_denied":
		return nil, errors.New("you did not allow Framed to use your account")
	case answer.Get("error") != "":
		return nil, fmt.Errorf("the provider refused: %s", answer.Get("error"))
	}
	p, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = v.context(ctx)
	given, err := p.oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(v.verifier))
	if err != nil {
		return nil, fmt.Errorf("the code could not be exchanged: %w", err)
	}
	next := &visit{token: given}
	if err := next.accept(ctx, p, v.nonce); err != nil {
		return nil, err
	}
	if v.pushed != "" {
		next.say("Pushed the request", true, "the browser has carried a reference to it, and nothing else", v.pushed)
	}
	next.say("Exchanged the code, with the PKCE verifier", true, "an access token, an ID token and a refresh token", "")
	if v.key != nil {
		next.say("Proved to have a key", given.Type() == "DPoP", "the access token is bound to it: token_type "+given.Type(), "")
	}
	info, err := p.oidc.UserInfo(ctx, oauth2.StaticTokenSource(given))
	if err != nil {
		return nil, fmt.Errorf("userinfo: %w", err)
	}
	if info.Subject != next.claims["sub"] { // OpenID Connect Core 1.0, section 5.3.4
		return nil, errors.New("userinfo is about somebody else")
	}
	var about struct {
		Name string `json:"name"`
	}
	if err := info.Claims(&about); err != nil {
		return nil, fmt.Errorf("userinfo: %w", err)
	}
	next.name = about.Name
	if next.name == "" {
		next.name = info.Subject
	}
	next.say("Asked userinfo", true, "the user is "+next.name, "")
	return next, nil
}

// accept verifies the ID token that came with the visit's token, if one did.
func (v *visit) accept(ctx context.Context, p *provider, nonce string) error {
	raw, _ := v.token.Extra("id_token").(string)
	if raw == "" {
		return nil
	}
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return fmt.Errorf("the ID token: %w", err)
	}
	if nonce != "" && id.Nonce != nonce {
		return errors.New("the ID token is not for this sign-in")
	}
	v.idToken = raw
	v.claims = nil
	return id.Claims(&v.claims)
}

func (v *visit) say(title string, good bool, result, detail string) {
	v.steps = append([]Step{{title, result, detail, good}}, v.steps...)
	v.steps = v.steps[:min(len(v.steps), maxSteps)]
}

// do runs a button of somebody who is signed in.
func (c *Client) do(button func(context.Context, *provider, *visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		v := c.visit(w, r)
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.token != nil {
			if p, err := c.discover(ctx); err != nil {
				v.say("Provider", false, err.Error(), "")
			} else {
				button(v.context(ctx), p, v)
			}
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// redeem is one refresh request.
func redeem(ctx context.Context, p *provider, refreshToken string) (*oauth2.Token, error) {
	return p.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
}

func (v *visit) take(ctx context.Context, p *provider, next *oauth2.Token) error {
	if next.RefreshToken != v.token.RefreshToken {
		v.spent = append(v.spent, v.token.RefreshToken)
	}
	v.token = next
	return v.accept(ctx, p, "")
}

func (c *Client) refresh(ctx context.Context, p *provider, v *visit) {
	const title = "Refreshed"
	next, err := redeem(ctx, p, v.token.RefreshToken)
	if err == nil {
		err = v.take(ctx, p, next)
	}
	if err != nil {
		v.say(title, false, reason(err), "")
		return
	}
	v.say(title, true, "a new access token, and a new refresh token in place of the old", "")
}

// refreshInParallel presents one refresh token several times at once, as an app with many tabs does.
func (c *Client) refreshInParallel(ctx context.Context, p *provider, v *visit) {
	tokens, errs := make([]*oauth2.Token, parallel), make([]error, parallel)
	began := time.Now()
	var wait sync.WaitGroup
	for i := range parallel {
		wait.Go(func() { tokens[i], errs[i] = redeem(ctx, p, v.token.RefreshToken) })
	}
	wait.Wait()
	took := time.Since(began)
	successors, accesses, detail := map[string]bool{}, map[string]bool{}, &strings.Builder{}
	succeeded := 0
	for i, t := range tokens {
		if errs[i] != nil {
			fmt.Fprintf(detail, "%d  %s\n", i+1, reason(errs[i]))
			continue
		}
		succeeded++
		successors[t.RefreshToken], accesses[t.AccessToken] = true, true
		fmt.Fprintf(detail, "%d  access %s  refresh %s\n", i+1, short(t.AccessToken), short(t.RefreshToken))
	}
	result := fmt.Sprintf("%d of %d succeeded, in %d ms: %d access tokens, and %d refresh token", succeeded, parallel, took.Milliseconds(), len(accesses), len(successors))
	v.say(fmt.Sprintf("Refreshed %d× in parallel", parallel), succeeded == parallel && len(successors) == 1, result, detail.String())
	for i, t := range tokens {
		if errs[i] == nil {
			if err := v.take(ctx, p, t); err != nil {
				v.say("ID token", false, err.Error(), "")
			}
			return
		}
	}
}

func (c *Client) userinfo(ctx context.Context, p *provider, v *visit) {
	const title = "Called userinfo"
	info, err := p.oidc.UserInfo(ctx, oauth2.StaticTokenSource(v.token))
	if err != nil {
		v.say(title, false, reason(err), "")
		return
	}
	var claims map[string]any
	_ = info.Claims(&claims) // UserInfo has read them
	v.say(title, true, "the access token is good", pretty(claims))
}

func (c *Client) introspect(ctx context.Context, p *provider, v *visit) {
	const title = "Introspected the access token"
	claims, err := c.introspection(ctx, p, v.token.AccessToken)
	if err != nil {
		v.say(title, false, reason(err), "")
		return
	}
	active, _ := claims["active"].(bool)
	result := "it is not active"
	if active {
		result = "it is active"
	}
	v.say(title, active, result, pretty(claims))
}

func (c *Client) introspection(ctx context.Context, p *provider, token string) (map[string]any, error) {
	return c.post(ctx, p.introspection, url.Values{"token": {token}})
}

// post sends a form as the client, and returns the JSON object that comes back.
func (c *Client) post(ctx context.Context, at string, form url.Values) (map[string]any, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(url.QueryEscape(c.config.ClientID), url.QueryEscape(c.config.ClientSecret))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client, found := ctx.Value(oauth2.HTTPClient).(*http.Client)
	if !found {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, errors.New(response.Status)
	}
	var claims map[string]any
	return claims, json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&claims)
}

// reuse plays the thief who has copied a refresh token that was replaced long ago.
func (c *Client) reuse(ctx context.Context, p *provider, v *visit) {
	const title = "Presented a spent refresh token"
	if len(v.spent) == 0 {
		return
	}
	_, err := redeem(ctx, p, v.spent[0])
	if err == nil {
		v.say(title, false, "it was taken for a retry: it was replaced a moment ago, and its successor is unused", "")
		return
	}
	v.say(title, true, reason(err)+": it must have leaked, and so the provider has ended the grant. Introspect the access token now", "")
}

// steal plays the thief who has copied an access token, and not the key that it is bound to.
func (c *Client) steal(ctx context.Context, p *provider, v *visit) {
	const title = "Used the access token without the key"
	thief := *v.token
	thief.TokenType = "Bearer"
	_, err := p.oidc.UserInfo(context.WithValue(ctx, oauth2.HTTPClient, http.DefaultClient), oauth2.StaticTokenSource(&thief))
	if err == nil {
		v.say(title, v.key == nil, "userinfo has answered: whoever has such a token may use it", "")
		return
	}
	v.say(title, v.key != nil, "userinfo has refused it: "+reason(err), "")
}

// signOut forgets the user here, and asks the provider to do so too (OpenID Connect RP-Initiated Logout 1.0).
func (c *Client) signOut(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	idToken := v.idToken
	v.token, v.idToken, v.claims, v.name, v.spent, v.steps, v.key = nil, "", nil, "", nil, nil, nil
	v.state = rand.Text()
	next := "/"
	if p, err := c.discover(r.Context()); err == nil && p.endSession != "" {
		next = p.endSession + "?" + url.Values{
			"id_token_hint": {idToken}, "client_id": {c.config.ClientID}, "state": {v.state},
			"post_logout_redirect_uri": {c.config.Home + "/signed-out"},
		}.Encode()
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (c *Client) signedOut(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.token == nil && v.state != "" && r.FormValue("state") == v.state {
		v.state, v.problem = "", ""
		v.steps = nil
		v.say("Signed out", true, "here and at the provider", "")
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logoutEvent is what a logout token says has happened.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// toldOfSignOut forgets the users of a session that is over, as the provider says (OpenID Connect Back-Channel Logout 1.0, sections 2.6 to
// 2.8). A real app also refuses a jti that it has seen.
func (c *Client) toldOfSignOut(w http.ResponseWriter, r *http.Request) {
	p, err := c.discover(r.Context())
	if err != nil {
		http.Error(w, "the provider can't be reached", http.StatusServiceUnavailable)
		return
	}
	token, err := p.verifier.Verify(r.Context(), r.PostFormValue("logout_token"))
	var claims struct {
		SID    string         `json:"sid"`
		Nonce  *string        `json:"nonce"`
		Events map[string]any `json:"events"`
	}
	if err == nil {
		err = token.Claims(&claims)
	}
	if _, isLogout := claims.Events[logoutEvent]; err != nil || !isLogout || claims.Nonce != nil || claims.SID == "" {
		http.Error(w, `{"error": "invalid_request"}`, http.StatusBadRequest)
		return
	}
	for _, v := range c.visits.Values() {
		v.mu.Lock()
		if v.claims["sid"] == claims.SID && v.claims["sub"] == token.Subject {
			v.token, v.idToken, v.claims, v.name, v.spent, v.steps, v.state = nil, "", nil, "", nil, nil, ""
			v.say("Signed out", true, "The provider has signed you out", "")
		}
		v.mu.Unlock()
	}
	w.WriteHeader(http.StatusOK)
}

//go:embed static
var static embed.FS

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

type shown struct {
	Issuer, Name, Email, Problem    string
	SignedIn                        bool
	Access, Refresh, Expiry, Claims string
	Scope                           string
	Spent                           bool
	Parallel                        int
	Steps                           []Step
	Screen                          *screen
	Screens, Waits                  bool // whether there is one to connect, and whether it waits for the user
	Type                            string
}

func (c *Client) home(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	data := shown{Issuer: c.config.Issuer, Problem: v.problem, Steps: v.steps, Parallel: parallel, Spent: len(v.spent) >= 2, Screen: v.screen, Screens: c.config.ScreenClientID != "", Waits: v.screen.waits()}
	if v.token != nil {
		data.SignedIn = true
		data.Name = v.name
		data.Type = v.token.Type()
		data.Access, data.Refresh = short(v.token.AccessToken), short(v.token.RefreshToken)
		data.Expiry = fmt.Sprintf("in %s", time.Until(v.token.Expiry).Round(time.Second))
		data.Scope, _ = v.token.Extra("scope").(string)
		data.Claims = pretty(v.claims)
	}
	v.problem = ""
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, data) // whoever asked may have gone
}

// short shows enough of a token to tell it from another, and too little to use it.
func short(token string) string {
	if len(token) < 20 {
		return "none"
	}
	return token[:12] + "…" + token[len(token)-4:]
}

func pretty(claims map[string]any) string {
	text, err := json.MarshalIndent(claims, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// reason is what the provider answered, or what went wrong on the way.
func reason(err error) string {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode != "" {
		return refused.ErrorCode
	}
	return err.Error()
}
