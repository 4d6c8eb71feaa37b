package calls

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
)

// registeredBy registers the client of a document, with a secret in case that it needs one.
func (w *world) registeredBy(document []byte) store.OAuthClient {
	w.Helper()
	m, err := registration.Parse(document)
	w.OK(err)
	p := m.RegisterClientParams()
	p.ID, p.ClientID, p.Open = store.NewOAuthClientID(), store.NewClientID(), true
	p.ClientSecret, p.ClientSecretLifetime = new(fixture.Digest(fixture.Secret)), store.Never
	w.register(p, store.OutcomeRegistered)
	c, err := w.Q.GetClient(w.Ctx, p.ClientID)
	w.OK(err)
	return c
}

// Documents as clients send them are registered, and what is registered can be used: with the server's default scopes where the document
// names none, and at any port where it names a loopback address.
func TestDocumentsAsClientsSendThemAreServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, redirectURIs := range map[string][]string{
		"no-scope.json":       {"https://notes.example/cb"},
		"extra-members.json":  {"https://shelf.example/cb"},
		"loopback.json":       {"http://localhost:41873/callback", "http://localhost:9/callback", "http://127.0.0.1:9/callback"},
		"private-scheme.json": {"editor-plugin://auth/callback"},
	} {
		text, err := os.ReadFile(filepath.Join("../../../registration/testdata", name))
		w.OK(err)
		c := w.registeredBy(text)
		for _, uri := range redirectURIs {
			row, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
				ID: store.NewAuthorizationID(), ClientID: c.ClientID, RedirectURI: &uri, ResponseType: new("code"), Scopes: []string{"openid"},
				DefaultScopes: []string{"openid"}, CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), Lifetime: time.Minute,
			})
			w.OK(err)
			w.want(name+" at "+uri, row.Outcome, store.OutcomeCreated)
		}

		// and it is rendered as it was sent
		document, err := registration.Render(c)
		w.OK(err)
		var sent map[string]any
		w.OK(json.Unmarshal(text, &sent))
		for member, value := range sent {
			if got := asJSON(document[member]); value != nil && got != asJSON(value) {
				t.Errorf("%s: %s is %s, was sent as %s", name, member, got, asJSON(value))
			}
		}
	}
}

// Whatever Parse lets pass in form, the columns hold.
func TestLargestDocumentsAreStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, value := range map[string]func(n int) string{
		"numbers":         func(n int) string { return `[` + strings.Repeat("1,", n) + `1]` },
		"fractions":       func(n int) string { return `[` + strings.Repeat("12345.6789,", n) + `1]` },
		"small exponents": func(n int) string { return `[` + strings.Repeat("1e-399,", n) + `1]` },
		"large exponents": func(n int) string { return `[` + strings.Repeat("1.5e300,", n) + `1]` },
		"empty texts":     func(n int) string { return `[` + strings.Repeat(`"",`, n) + `""]` },
		"texts":           func(n int) string { return `[` + strings.Repeat(`"abc",`, n) + `""]` },
		"wide texts":      func(n int) string { return `"` + strings.Repeat(`ä`, n) + `"` },
		"lists":           func(n int) string { return `[` + strings.Repeat(`[],`, n) + `1]` },
		"objects": func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, `"%d": {"a": null}, `, i)
			}
			return `{` + b.String() + `"x": 1}`
		},
		"depth": func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) },
	} {
		document := func(n int) []byte {
			return fmt.Appendf(nil, `{"redirect_uris": ["https://a.example/"], "x": %s}`, value(n))
		}
		low, high := 0, registration.MaxSize // the largest that Parse lets pass lies between
		for low+1 < high {
			if _, err := registration.Parse(document((low + high) / 2)); err == nil {
				low = (low + high) / 2
			} else {
				high = (low + high) / 2
			}
		}
		if low < 20 {
			t.Errorf("%s: not even %d pass", name, low+1)
		}
		m, err := registration.Parse(document(low))
		w.OK(err)
		p := m.RegisterClientParams()
		p.ID, p.ClientID, p.Open, p.TokenEndpointAuthMethod = store.NewOAuthClientID(), store.NewClientID(), true, new("none")
		row, err := w.Q.RegisterClient(w.Ctx, p)
		if err != nil {
			t.Errorf("%s: %d pass Parse: %v", name, low, err)
			continue
		}
		w.want(name, row.Outcome, store.OutcomeRegistered)
	}
}

// A row that another server or an import would break for everybody is refused by each call that writes one.
func TestNoCallWritesMetadataThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	deep := json.RawMessage(strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001))
	client := w.open()
	w.refused(func() {
		r := registerParams("")
		r.Open, r.Metadata = true, deep
		_, err := w.Q.RegisterClient(w.Ctx, r)
		w.unreadable(err, "RegisterClient")
		u := updateParams(client, "r1")
		u.Metadata = deep
		_, err = w.Q.UpdateRegistration(w.Ctx, u)
		w.unreadable(err, "UpdateRegistration")
		d := documentParams(time.Now())
		d.Metadata = deep
		_, err = w.Q.PutClientDocument(w.Ctx, d)
		w.unreadable(err, "PutClientDocument")
		_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, Metadata: deep})
		w.unreadable(err, "CreateClient")
		_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: client, Metadata: deep})
		w.unreadable(err, "UpdateClient")
	})
	_, err := w.Q.ListClients(w.Ctx, store.ListClientsParams{PageSize: 10})
	w.OK(err)
	w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, client)), store.OutcomeEnded)
}

func (w *world) unreadable(err error, call string) {
	w.Helper()
	w.violation(err, call, store.ConstraintObjectIsSmall)
}

func TestDocumentThatHasNotChangedIsFreshAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	p := documentParams(at)
	p.DocumentETag = new(`"v1"`)
	first := w.put(p, store.OutcomeInserted)
	refresh := func(client store.ClientID, etag string, fetched time.Time, want store.Outcome) store.RefreshClientDocumentRow {
		t.Helper()
		row, err := w.Q.RefreshClientDocument(w.Ctx, store.RefreshClientDocumentParams{ClientID: client, DocumentETag: etag, FetchedAt: fetched, FreshFor: 2 * time.Hour})
		w.OK(err)
		w.want("RefreshClientDocument", row.Outcome, want)
		return row
	}
	w.Unchanged(func() {
		refresh(p.ClientID, `"v1"`, at, store.OutcomeRetried)
		refresh(p.ClientID, `"v1"`, at.Add(-time.Minute), store.OutcomeStale)
		refresh(p.ClientID, `"v0"`, at.Add(time.Minute), store.OutcomeStale) // of another version
		refresh(p.ClientID, "", at.Add(time.Minute), store.OutcomeStale)
		refresh(w.Client, `"v1"`, at.Add(time.Minute), store.OutcomeTaken)
		refresh("https://nobody.example/", `"v1"`, at, store.OutcomeUnknown)
	})
	again := refresh(p.ClientID, `"v1"`, at.Add(time.Minute), store.OutcomeFresh)
	if first.FreshUntil == nil || again.FreshUntil == nil || !again.FreshUntil.After(*first.FreshUntil) {
		t.Errorf("fresh until %v, then %v", first.FreshUntil, again.FreshUntil)
	}
	p.FetchedAt = at.Add(30 * time.Second)
	w.put(p, store.OutcomeStale) // the older fetch

	w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, p.ClientID)), store.OutcomeEnded)
	if row := refresh(p.ClientID, `"v1"`, at.Add(2*time.Minute), store.OutcomeFresh); !row.IsDisabled {
		t.Error("an operator's no is lifted, or not said")
	}
	w.deleteClient(p.ClientID)
	refresh(p.ClientID, `"v1"`, at.Add(3*time.Minute), store.OutcomeRevoked)
}
