package zitadel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"code.dny.dev/ssrf"
)

const (
	fetchTimeout = 5 * time.Second
	maxFetched   = 32 << 10 // bytes
	maxFetches   = 16       // at a time
)

// fetched is what a client has published.
type fetched struct {
	status int
	header http.Header
	body   []byte
}

var errNotFetched = errors.New("what the client publishes can't be fetched")

// PublicClient returns a client that connects to addresses that are everybody's, at the port of https, and to none inside of the server's own
// network. The address is looked at when the connection is made, so a name that resolves to another one the second time is no way around it. It is
// what Options.HTTPClient is by default; use it for whatever else is sent to where clients say that have registered themselves.
func PublicClient() *http.Client {
	guard := ssrf.New(ssrf.WithPorts(443))
	dialer := &net.Dialer{Timeout: fetchTimeout, Control: guard.Safe}
	return &http.Client{Transport: &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: fetchTimeout, ResponseHeaderTimeout: fetchTimeout, MaxResponseHeaderBytes: maxFetched,
		ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}}
}

// fetcher fetches what clients publish, within bounds of time, size and number.
type fetcher struct {
	client *http.Client
	slots  chan struct{}
}

func newFetcher(client *http.Client) fetcher {
	if client == nil {
		client = PublicClient()
	}
	bounded := *client
	bounded.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	bounded.Jar = nil
	return fetcher{client: &bounded, slots: make(chan struct{}, maxFetches)}
}

// fetch gets a URL, unless it is still what the ETag says.
func (s *Storage) fetch(ctx context.Context, uri, etag string) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	select {
	case s.fetcher.slots <- struct{}{}:
		defer func() { <-s.fetcher.slots }()
	case <-ctx.Done():
		return fetched{}, errNotFetched
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return fetched{}, errNotFetched
	}
	r.Header.Set("Accept", "application/json")
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	response, err := s.fetcher.client.Do(r)
	if err != nil {
		return fetched{}, errNotFetched
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFetched+1))
	if err != nil || len(body) > maxFetched {
		return fetched{}, errNotFetched
	}
	return fetched{response.StatusCode, response.Header, body}, nil
}
