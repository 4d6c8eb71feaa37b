package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"
)

// For how long a client's keys are used before they are fetched again: as the answer says, up to a bound within which a new key counts.
const (
	maxKeysFresh  = 10 * time.Minute
	maxPublishers = 1000 // clients
)

// fetchedKeys are a client's, or why there are none.
type fetchedKeys struct {
	set   *jose.JSONWebKeySet
	err   error
	until time.Time
}

// published fetches and caches the keys that clients publish.
type published struct {
	fetch func(ctx context.Context, uri, etag string) (fetched, error)
	cache *lru.Cache[string, fetchedKeys]
}

func newPublished(fetch func(ctx context.Context, uri, etag string) (fetched, error)) (*published, error) {
	cache, err := lru.New[string, fetchedKeys](maxPublishers)
	return &published{fetch: fetch, cache: cache}, err
}

// keys are those at a jwks_uri (RFC 7591, section 2). That they can't be had is remembered for a while, too.
func (p *published) keys(ctx context.Context, uri string) (*jose.JSONWebKeySet, error) {
	if known, found := p.cache.Get(uri); found && time.Now().Before(known.until) {
		return known.set, known.err
	}
	got, fresh := p.get(ctx, uri)
	if ctx.Err() == nil { // else it says nothing of the client
		got.until = time.Now().Add(fresh)
		p.cache.Add(uri, got)
	}
	return got.set, got.err
}

func (p *published) get(ctx context.Context, uri string) (fetchedKeys, time.Duration) {
	const soon = 10 * time.Second
	if u, err := url.Parse(uri); err != nil || u.Scheme != "https" {
		return fetchedKeys{err: errors.New("the client's jwks_uri is not an https URL")}, soon
	}
	got, err := p.fetch(ctx, uri, "")
	if err != nil || got.status != http.StatusOK {
		return fetchedKeys{err: errors.New("the client's keys can't be fetched")}, soon
	}
	set := new(jose.JSONWebKeySet)
	if json.Unmarshal(got.body, set) != nil {
		return fetchedKeys{err: errors.New("the client's keys can't be read")}, soon
	}
	return fetchedKeys{set: set}, min(freshFor(got.header), maxKeysFresh)
}
