package zitadel

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
)

// For how long a document is fresh: as it says, within these bounds. Where it can't be fetched again, it counts for a while longer.
const (
	minFresh     = time.Minute
	defaultFresh = 10 * time.Minute
	maxFresh     = 24 * time.Hour
	staleIfError = time.Hour
)

// The rules of the store for a client_id that is the URL of a metadata document: https, with a path, and nothing that another URL could be taken
// for.
var (
	isDocumentURL = regexp.MustCompile(`^https://[^/?#@\s\v]+/[^#\s\v]*$`)
	hasDotSegment = regexp.MustCompile(`(?i)/([.]|%2e){1,2}([/?]|$)`)
)

const maxDocumentURL = 2048 // bytes

// documentURL is a client_id that is the URL of a metadata document. What isn't one is fetched by nobody.
func documentURL(clientID string) (*url.URL, bool) {
	if len(clientID) > maxDocumentURL || !isDocumentURL.MatchString(clientID) || hasDotSegment.MatchString(clientID) || !storable(clientID) {
		return nil, false
	}
	u, err := url.Parse(clientID)
	return u, err == nil && u.Hostname() != "" && u.User == nil
}

// know fetches the metadata document of the client that a request names by its URL, unless what is stored of it is fresh
// ([store.Queries.GetClient]). Other clients are none of its business. Requests that wait for the same document wait for one fetch.
func (p *Provider) know(ctx context.Context, clientID string) error {
	s := p.storage
	u, isDocument := documentURL(clientID)
	if s.opts.ClientDocuments == nil || !isDocument {
		return nil
	}
	if allow := s.opts.ClientDocuments.Allow; allow != nil && !allow(u) {
		return unknownClient()
	}
	c, err := s.client(ctx, clientID)
	switch {
	case exchangeFrom(ctx).fault:
		return err
	case err == nil && (c.row.DocumentURI == nil || c.row.DocumentFreshUntil != nil && time.Now().Before(*c.row.DocumentFreshUntil)):
		return nil
	}
	known := store.OAuthClient{}
	if err == nil {
		known = c.row
	}
	// The fetch is for all that wait, so it doesn't end with the request that began it.
	_, err, _ = s.fetches.Do(clientID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout)
		defer cancel()
		return nil, p.put(ctx, clientID, known)
	})
	if errors.Is(err, ErrStore) {
		exchangeFrom(ctx).fault = true
	}
	if errors.Is(err, errNotFetched) && known.DocumentFreshUntil != nil && time.Now().Before(known.DocumentFreshUntil.Add(staleIfError)) {
		return nil
	}
	switch {
	case err == nil:
		exchangeFrom(ctx).client = nil // it may be another one now
	case errors.Is(err, errNotFetched):
		return oidc.ErrInvalidClient().WithDescription("the client's metadata document can't be fetched")
	}
	return err
}

// put fetches a document and stores it: [store.Queries.PutClientDocument], or [store.Queries.RefreshClientDocument] where it is still the same.
func (p *Provider) put(ctx context.Context, clientID string, known store.OAuthClient) error {
	s := p.storage
	at := time.Now()
	got, err := s.fetch(ctx, clientID, deref(known.DocumentETag))
	switch {
	case err != nil:
		return err
	case got.status == http.StatusNotModified && known.DocumentETag != nil:
		row, err := s.store.RefreshClientDocument(ctx, store.RefreshClientDocumentParams{
			ClientID: store.ClientID(clientID), FetchedAt: at, DocumentETag: *known.DocumentETag, FreshFor: freshFor(got.header),
		})
		if err != nil {
			return s.fault(ctx, err)
		}
		return refused(oautherror.Authorization, oautherror.RefreshClientDocument, row.Outcome)
	case got.status >= http.StatusInternalServerError:
		return errNotFetched
	case got.status != http.StatusOK || !isJSON(got.header):
		return unknownClient()
	}
	m, err := registration.Parse(got.body)
	if err == nil && m.TokenEndpointAuthMethod == nil {
		m.TokenEndpointAuthMethod = new(string(oidc.AuthMethodNone))
	}
	if err == nil {
		err = p.admit(ctx, &m)
	}
	var unfit *registration.Error
	switch {
	case errors.As(err, &unfit):
		return oidc.ErrInvalidClient().WithDescription("the client's metadata document: %s", unfit)
	case err != nil:
		return err
	}
	params := m.PutClientDocumentParams()
	params.ID, params.ClientID, params.FetchedAt, params.FreshFor = store.NewOAuthClientID(), store.ClientID(clientID), at, freshFor(got.header)
	if etag := got.header.Get("ETag"); etag != "" && storable(etag) {
		params.DocumentETag = &etag
	}
	row, err := s.store.PutClientDocument(ctx, params)
	if err != nil {
		if db.IsUnstorable(err) {
			return unknownClient()
		}
		return s.fault(ctx, err)
	}
	return refused(oautherror.Authorization, oautherror.PutClientDocument, row.Outcome)
}

// isJSON says whether an answer is a JSON document (RFC 8259; RFC 6839, section 3.1).
func isJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}

// freshFor is for how long an answer may be used again (RFC 9111, section 5.2.2).
func freshFor(h http.Header) time.Duration {
	directives, err := cacheobject.ParseResponseCacheControl(h.Get("Cache-Control"))
	switch {
	case err != nil:
		return defaultFresh
	case directives.NoStore || directives.NoCachePresent:
		return minFresh
	case directives.MaxAge >= 0:
		return min(max(time.Duration(directives.MaxAge)*time.Second, minFresh), maxFresh)
	}
	return defaultFresh
}
