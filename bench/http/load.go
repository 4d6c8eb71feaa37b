package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
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
	codes      func(ctx context.Context, c client, scope string, n int) ([]string, error)
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

// post is a form of a client's: with HTTP Basic, or with its id alone if it is public.
func post(ctx context.Context, to string, c client, form url.Values) (*http.Request, error) {
	if c.secret == "" {
		form.Set("client_id", c.id)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.secret != "" {
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.id)+":"+url.QueryEscape(c.secret))))
	}
	return r, nil
}

// tokens are what a client has got.
type tokens struct{ access, refresh string }

func (e *endpoints) grant(ctx context.Context, c client, form url.Values) (tokens, error) {
	r, err := post(ctx, e.token, c, form)
	if err != nil {
		return tokens{}, err
	}
	status, body, err := ask(r)
	if err != nil {
		return tokens{}, err
	}
	t := tokens{}
	t.access, _ = body["access_token"].(string)
	t.refresh, _ = body["refresh_token"].(string)
	if status != http.StatusOK || t.access == "" {
		return t, refused{status, fmt.Sprint(body)}
	}
	return t, nil
}

// refused is an answer without tokens.
type refused struct {
	status int
	body   string
}

func (r refused) Error() string { return fmt.Sprintf("%d %s", r.status, r.body) }

func (e *endpoints) redeem(ctx context.Context, c client, code string) (tokens, error) {
	return e.grant(ctx, c, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
}

func (e *endpoints) refresh(ctx context.Context, c client, presented string) (tokens, error) {
	return e.grant(ctx, c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {presented}})
}

func (e *endpoints) own(ctx context.Context, c client) (tokens, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if e.scope != "" {
		form.Set("scope", e.scope)
	}
	return e.grant(ctx, c, form)
}

func (e *endpoints) active(access string) (bool, error) {
	r, err := e.introspect(access)
	if err != nil {
		return false, err
	}
	status, body, err := ask(r)
	return err == nil && e.isActive(status, body), err
}

// grants makes some, each with a refresh token.
func (e *endpoints) grants(ctx context.Context, c client, scope string, n int) ([]tokens, error) {
	codes, err := e.codes(ctx, c, scope, n)
	if err != nil {
		return nil, err
	}
	all := make([]tokens, n)
	for i, code := range codes {
		if all[i], err = e.redeem(ctx, c, code); err != nil {
			return nil, fmt.Errorf("redeem: %w", err)
		}
		if all[i].refresh == "" {
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
			active, err := e.active(grants[(worker+int(n))%len(grants)].access)
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
			next, err := e.refresh(ctx, c, grants[worker].refresh)
			if err == nil && next.refresh == "" {
				err = errors.New("no refresh token")
			}
			if err == nil {
				grants[worker] = next
			}
			return err
		}, err
	case clientCredentials:
		return func(ctx context.Context, _ int, _ int64) error {
			_, err := e.own(ctx, e.secret)
			return err
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
	var once func() (tokens, error)
	if work == redeem {
		codes, err := e.codes(ctx, e.public, offline, 1)
		if err != nil {
			return race{}, err
		}
		once = func() (tokens, error) { return e.redeem(ctx, e.public, codes[0]) }
	} else {
		grants, err := e.grants(ctx, e.public, offline, 1)
		if err != nil {
			return race{}, err
		}
		once = func() (tokens, error) { return e.refresh(ctx, e.public, grants[0].refresh) }
	}
	answers, errs := make([]tokens, racers), make([]error, racers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			<-start
			answers[i], errs[i] = once()
		})
	}
	close(start)
	all.Wait()
	var r race
	refresh := map[string]bool{}
	for i, t := range answers {
		if refusal := (refused{}); errs[i] != nil && !errors.As(errs[i], &refusal) {
			return r, errs[i]
		}
		if errs[i] != nil {
			continue
		}
		r.answered++
		refresh[t.refresh] = true
		live, err := e.active(t.access)
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
