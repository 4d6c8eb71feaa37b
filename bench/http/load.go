package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The works.
const (
	introspect        = "introspect"
	refreshPublic     = "refresh, public client"
	refreshSecret     = "refresh, with a secret"
	refreshOpenID     = "refresh, public client, openid"
	clientCredentials = "client_credentials"
	redeem            = "code exchange"
)

var works = []string{introspect, refreshPublic, refreshSecret, refreshOpenID, clientCredentials, redeem}

const (
	redirectURI = "https://client.example/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // of RFC 7636, appendix B

	// What is granted. With openid a server signs an ID token, mostly at each refresh too.
	offline, openID = "offline_access", "openid offline_access"
)

// client is one that is registered with a server.
type client struct{ id, secret string }

// endpoints are where a server is asked.
type endpoints struct {
	token      string
	introspect func(accessToken string) (*http.Request, error)
	isActive   func(status int, body map[string]any) bool
	public     client
	secret     client
	scope      string // that the client asks for, if it acts for itself
	code       func(ctx context.Context, c client, scope string) (string, error)
}

var browser = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
}

// ask sends a request and returns the status and the JSON of the answer.
func ask(r *http.Request) (int, map[string]any, error) {
	response, err := browser.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	var body map[string]any
	_ = json.Unmarshal(raw, &body)
	return response.StatusCode, body, nil
}

// post is a form, of a client's by HTTP Basic if it has a secret.
func post(ctx context.Context, to string, c client, form url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.secret != "" {
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
	return r, nil
}

// config is a client of the server's: one that authenticates by HTTP Basic, or with its id alone if it is public.
func (e *endpoints) config(ctx context.Context, c client) (context.Context, *oauth2.Config) {
	style := oauth2.AuthStyleInHeader
	if c.secret == "" {
		style = oauth2.AuthStyleInParams
	}
	return context.WithValue(ctx, oauth2.HTTPClient, browser), &oauth2.Config{
		ClientID: c.id, ClientSecret: c.secret, RedirectURL: redirectURI, Endpoint: oauth2.Endpoint{TokenURL: e.token, AuthStyle: style},
	}
}

func (e *endpoints) redeem(ctx context.Context, c client, code string) (*oauth2.Token, error) {
	ctx, config := e.config(ctx, c)
	return config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
}

func (e *endpoints) refresh(ctx context.Context, c client, presented string) (*oauth2.Token, error) {
	ctx, config := e.config(ctx, c)
	return config.TokenSource(ctx, &oauth2.Token{RefreshToken: presented}).Token()
}

func (e *endpoints) own(ctx context.Context, c client) error {
	ctx, config := e.config(ctx, c)
	own := clientcredentials.Config{ClientID: c.id, ClientSecret: c.secret, TokenURL: e.token, AuthStyle: config.Endpoint.AuthStyle, Scopes: strings.Fields(e.scope)}
	_, err := own.Token(ctx)
	return err
}

func (e *endpoints) active(access string) (bool, error) {
	r, err := e.introspect(access)
	if err != nil {
		return false, err
	}
	status, body, err := ask(r)
	return err == nil && e.isActive(status, body), err
}

// codes are of a grant each.
func (e *endpoints) codes(ctx context.Context, c client, scope string, n int) (all []string, err error) {
	for range n {
		code, err := e.code(ctx, c, scope)
		if err != nil {
			return nil, err
		}
		all = append(all, code)
	}
	return all, nil
}

// grants makes some, each with a refresh token.
func (e *endpoints) grants(ctx context.Context, c client, scope string, n int) ([]*oauth2.Token, error) {
	codes, err := e.codes(ctx, c, scope, n)
	if err != nil {
		return nil, err
	}
	all := make([]*oauth2.Token, n)
	for i, code := range codes {
		if all[i], err = e.redeem(ctx, c, code); err != nil {
			return nil, fmt.Errorf("redeem: %w", err)
		}
		if all[i].RefreshToken == "" {
			return nil, errors.New("redeem: no refresh token")
		}
	}
	return all, nil
}

// operation is the n-th request of a worker.
type operation func(ctx context.Context, worker int, n int64) error

// prepare makes what a measurement needs; of a code exchange so many codes for each worker.
func (e *endpoints) prepare(ctx context.Context, work string, workers int, codes int64) (operation, error) {
	switch work {
	case introspect:
		grants, err := e.grants(ctx, e.public, offline, max(workers, 8))
		return func(_ context.Context, worker int, n int64) error {
			active, err := e.active(grants[(worker+int(n))%len(grants)].AccessToken)
			if err == nil && !active {
				err = errors.New("not active")
			}
			return err
		}, err
	case refreshPublic, refreshSecret, refreshOpenID:
		c, scope := e.public, offline
		switch work {
		case refreshSecret:
			c = e.secret
		case refreshOpenID:
			scope = openID
		}
		grants, err := e.grants(ctx, c, scope, workers)
		return func(ctx context.Context, worker int, _ int64) error {
			next, err := e.refresh(ctx, c, grants[worker].RefreshToken)
			if err == nil && next.RefreshToken == grants[worker].RefreshToken {
				err = errors.New("no new refresh token")
			}
			if err == nil {
				grants[worker] = next
			}
			return err
		}, err
	case clientCredentials:
		return func(ctx context.Context, _ int, _ int64) error {
			return e.own(ctx, e.secret)
		}, nil
	case redeem:
		all, err := e.codes(ctx, e.public, offline, workers*int(codes))
		return func(ctx context.Context, worker int, n int64) error {
			_, err := e.redeem(ctx, e.public, all[int64(worker)*codes+n])
			return err
		}, err
	}
	return nil, fmt.Errorf("no such work: %s", work)
}

// race is what came of it when several presented the same thing at once.
type race struct {
	answered  int // with tokens
	live      int // of the access tokens, afterwards
	successor int // different refresh tokens that could be refreshed afterwards
}

const racers = 8

// raceFor has eight present what a grant has.
func (e *endpoints) raceFor(ctx context.Context, work string) (race, error) {
	presented, err := e.code(ctx, e.public, offline)
	present := e.redeem
	if work != redeem && err == nil {
		var first *oauth2.Token
		if first, err = e.redeem(ctx, e.public, presented); err == nil {
			presented, present = first.RefreshToken, e.refresh
		}
	}
	if err != nil {
		return race{}, err
	}
	answers, errs := make([]*oauth2.Token, racers), make([]error, racers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			<-start
			answers[i], errs[i] = present(ctx, e.public, presented)
		})
	}
	close(start)
	all.Wait()
	var r race
	refresh := map[string]bool{}
	for i, t := range answers {
		if refused := (*oauth2.RetrieveError)(nil); errors.As(errs[i], &refused) {
			continue
		}
		if errs[i] != nil {
			return r, errs[i]
		}
		r.answered++
		refresh[t.RefreshToken] = true
		live, err := e.active(t.AccessToken)
		if err != nil {
			return r, err
		}
		if live {
			r.live++
		}
	}
	for t := range refresh {
		if _, err := e.refresh(ctx, e.public, t); err == nil {
			r.successor++
		}
	}
	return r, nil
}
