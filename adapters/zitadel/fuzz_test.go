package zitadel_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
)

// What is taken is a list of objects of types that are served, says the same when it is read again, and has no text that jsonb can't hold.
func FuzzAuthorizationDetails(f *testing.F) {
	for _, seed := range []string{
		`[{"type":"account"}]`, `[{"type":"account","x":"\ud800"}]`, `[{"type":"account","x":[1e5,{"y":null}]}]`, `[]`, `{"type":"account"}`, `[{"type":"account"}]x`,
		`[{"type":"account","type":"payment"}]`, `[{"type":"account","x":1e400000}]`, `[null]`,
	} {
		f.Add(seed)
	}
	opts := options()
	opts.AuthorizationDetails = map[string]func(json.RawMessage) error{"account": nil}
	storage, err := zitadel.New(nil, opts)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := zitadel.Details(storage, text)
		if err != nil || got == nil {
			return
		}
		var elements []map[string]any
		if err := json.Unmarshal(got, &elements); err != nil || len(elements) == 0 {
			t.Fatalf("%q is taken for %s: %v", text, got, err)
		}
		for _, element := range elements {
			if element["type"] != "account" {
				t.Errorf("%q is taken for %s", text, got)
			}
		}
		again, err := zitadel.Details(storage, string(got))
		if err == nil && !bytes.Equal(got, again) {
			t.Errorf("%s becomes %s", got, again)
		}
		if bytes.Contains(got, []byte(`\u0000`)) && !bytes.Contains(got, []byte(`\\u0000`)) {
			t.Errorf("%q has a NUL", got)
		}
	})
}

// What is fetched names one host, by https, and says the same when it is written again.
func FuzzDocumentURL(f *testing.F) {
	for _, seed := range []string{
		"https://a.example/client.json", "https://a.example", "https://a.example/../x", "https://a.example/%2E%2e/x", "https://b@a.example/", "http://a.example/",
		"https://a.example:443/x?y#z", "https://[::1]/x", "https://a.example/a b", "https:///x", "https://a.example\\@b.example/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, isDocument := zitadel.DocumentURL(text)
		if !isDocument {
			return
		}
		host := strings.TrimPrefix(text, "https://")
		host, _, _ = strings.Cut(host, "/")
		if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || !strings.EqualFold(u.Host, host) && !strings.Contains(host, "%") {
			t.Errorf("%q is taken for %s at %q", text, u, u.Host)
		}
		for segment := range strings.SplitSeq(u.Path, "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q has the path %q", text, u.Path)
			}
		}
	})
}

// A proof that nobody has signed is refused, and says why.
func FuzzDPoPProof(f *testing.F) {
	for _, seed := range []string{
		"", "a.b.c", "eyJhbGciOiJub25lIiwidHlwIjoiZHBvcCtqd3QifQ.e30.", "eyJhbGciOiJIUzI1NiIsInR5cCI6ImRwb3Arand0In0.e30.x", newHolder(f).proof("POST", "https://a.example/token", nil),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if zitadel.ReadProof(header) == "" && strings.Count(header, ".") != 2 {
			t.Errorf("%q is taken for a proof", header)
		}
	})
}
