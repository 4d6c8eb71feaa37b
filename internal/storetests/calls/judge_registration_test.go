package calls

import (
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

// The rule about metadata, to the byte; TestStatedMetadataAreJudged holds the calls to it.
func TestRuleAboutMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const uri, meta = store.OutcomeInvalidRedirectURI, store.OutcomeInvalidClientMetadata
	keys, long := `{"keys": []}`, func(n int) string { return "https://a.example/" + strings.Repeat("x", n-len("https://a.example/")) }
	type metadata struct {
		redirects, goodbyes, grants []string
		method                      string
		jwks, jwksURI               *string
		names                       int
		pages                       []*string
	}
	is := func(want store.Outcome, change ...func(*metadata)) {
		t.Helper()
		m := metadata{redirects: []string{"https://a.example/cb"}, method: "none", pages: []*string{nil, nil}}
		for _, c := range change {
			c(&m)
		}
		var got *store.Outcome
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT judge_registration($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8)`,
			m.redirects, m.goodbyes, m.grants, m.method, m.jwks, m.jwksURI, m.names, m.pages).Scan(&got))
		if got == nil {
			got = new(store.Outcome(""))
		}
		w.want(asJSON([]any{m.redirects, m.goodbyes, m.grants, m.method, m.jwks, m.jwksURI, m.names, m.pages}), *got, want)
	}
	redirects := func(uris ...string) func(*metadata) { return func(m *metadata) { m.redirects = uris } }
	grants := func(types ...string) func(*metadata) { return func(m *metadata) { m.grants = types } }
	method := func(name string) func(*metadata) { return func(m *metadata) { m.method = name } }
	jwks := func(text string) func(*metadata) { return func(m *metadata) { m.jwks = &text } }
	jwksURI := func(m *metadata) { m.jwksURI = new("https://a.example/keys") }
	names := func(n int) func(*metadata) { return func(m *metadata) { m.names = n } }
	first := func(page string) func(*metadata) { return func(m *metadata) { m.pages[0] = &page } }
	last := func(page string) func(*metadata) { return func(m *metadata) { m.pages[1] = &page } }
	goodbye := func(uris ...string) func(*metadata) { return func(m *metadata) { m.goodbyes = uris } }

	is("")
	for _, none := range []func(*metadata){func(m *metadata) { m.redirects = nil }, redirects([]string{}...)} {
		is(uri, none)
		is(uri, none, grants("implicit"))
		is(uri, none, grants("client_credentials", "authorization_code"))
		is("", none, grants("client_credentials"))
		is("", none, grants([]string{}...))
		is(uri, none, first("x")) // before what else is wrong
	}
	is(uri, redirects("https://a.example/cb", "x"))
	is(uri, redirects("x"), grants("client_credentials"))

	is("", jwks(keys))
	is("", jwksURI)
	is(meta, jwks(keys), jwksURI)
	for _, text := range []string{`{}`, `[]`, `{"keys": {}}`, `{"keys": null}`, `{"keys": [{"d": "x"}]}`, `{"keys": [{}, {"k": "x"}]}`} {
		is(meta, jwks(text))
	}

	for _, name := range []string{"none", "client_secret_basic", "client_secret_post"} {
		is("", method(name))
	}
	for _, name := range []string{"private_key_jwt", "self_signed_tls_client_auth"} {
		is(meta, method(name))
		is("", method(name), jwks(keys))
		is("", method(name), jwksURI)
	}
	for n, want := range []store.Outcome{meta, "", meta} {
		is(want, method("tls_client_auth"), names(n))
	}
	is(meta, method("tls_client_auth"), jwks(keys))
	for _, name := range []string{"", "client_secret_jwt", "verified"} {
		is(meta, method(name), jwks(keys), names(1))
	}

	for _, page := range []func(string) func(*metadata){first, last, func(u string) func(*metadata) { return goodbye("https://a.example/", u) }} {
		is("", page("HTTP://a.example"))
		is("", page(long(4096)))
		is(meta, page(long(4097)))
		is(meta, page("x"))
		is(meta, page(""))
	}
	is(meta, first("com.example.app:/bye"))
	is(meta, last("com.example.app:/bye"))
	is("", goodbye("com.example.app:/bye"))
	is("", goodbye("com.example.app:/bye"), last("https://a.example/"))
	is(meta, goodbye("javascript:x"))
}
