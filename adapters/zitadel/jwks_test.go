package zitadel_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

// A client that publishes its keys authenticates by them. They are fetched once for a while, and from https URLs alone.
func TestClientPublishesItsKeys(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var keys json.RawMessage
	serve := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/keys":
			_, _ = w.Write(keys)
		case "/page":
			_, _ = w.Write([]byte("<html>"))
		default:
			http.NotFound(w, r)
		}
	}
	site, plain := httptest.NewTLSServer(http.HandlerFunc(serve)), httptest.NewServer(http.HandlerFunc(serve))
	t.Cleanup(site.Close)
	t.Cleanup(plain.Close)
	w := newWorld(t, func(w *world) { w.opts.HTTPClient = site.Client() })
	at := func(uri string) registered {
		return w.registerKey(func(p *store.CreateClientParams) { keys, p.JWKS, p.JWKSURI = p.JWKS, nil, &uri })
	}
	ask := func(c registered) int {
		status, _ := c.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"files"}})
		return status
	}
	c := at(site.URL + "/keys")
	for range 3 {
		wantEqual(t, "by published keys", ask(c), http.StatusOK)
	}
	wantEqual(t, "fetches", asked.Swap(0), 1)
	gone := at(site.URL + "/gone")
	for range 3 {
		wantEqual(t, "by keys that aren't there", ask(gone), http.StatusUnauthorized)
	}
	wantEqual(t, "fetches of what isn't there", asked.Swap(0), 1)
	wantEqual(t, "by a page", ask(at(site.URL+"/page")), http.StatusUnauthorized)
	wantEqual(t, "by the keys of another URL", ask(at(site.URL+"/keys?other")), http.StatusOK)
	wantEqual(t, "by the keys that were", ask(c), http.StatusOK)
	asked.Store(0)
	wantEqual(t, "by http", ask(at(plain.URL+"/keys")), http.StatusUnauthorized)
	w.opts.HTTPClient = nil
	w.serve()
	wantEqual(t, "by keys in the server's own network", ask(at(site.URL+"/keys?private")), http.StatusUnauthorized)
	wantEqual(t, "fetches of what isn't fetched", asked.Load(), 0)
}
