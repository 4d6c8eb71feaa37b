package importer_test

import (
	"context"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// waits counts the calls of an import that are waited for one by one.
type waits struct{ atomic.Int64 }

func (w *waits) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(db.QueryName(data.SQL), "Import") {
		w.Add(1)
	}
	return ctx
}

func (*waits) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A call whose answer counts is sent with others as well, and comes to what it does by itself.
func TestCallsWhoseAnswerCountsAreSentTogether(t *testing.T) {
	t.Parallel()
	const things = `{"user_id": "u1", "client_id": "c1", "scope": "a b", "token": "one"} {"user_id": "u1", "client_id": "c2", "scope": "a", "token": "two"}
		{"user_id": "u2", "client_id": "c1", "scope": "a", "token": "three"} {"user_id": "u1", "client_id": "off", "scope": "a", "token": "four"}
		{"user_id": "u1", "client_id": "c2", "scope": "b", "token": "one", "grant_id": "another"} {"user_id": "u1", "client_id": "c1\u0000", "scope": "a", "token": "five"}`
	tokens := func(r io.Reader) iter.Seq2[importer.Item, error] {
		return importer.RefreshTokens(r, importer.Lifetimes{RefreshToken: store.Never, Family: store.Never})
	}
	want := map[bool][]string{
		false: {
			"1 u1/c1 taken", "2 u1/c2 taken", "3 u2/c1 refused: there is no user u2", "4 u1/off refused: the client is disabled", "5 u1/c2 present", "6 u1/c1\x00 refused: there is no client c1\x00",
		},
		true: {
			"1 u1/c1 present", "2 u1/c2 present", "3 u2/c1 refused: there is no user u2", "4 u1/off refused: the client is disabled", "5 u1/c2 present", "6 u1/c1\x00 refused: there is no client c1\x00",
		},
	}
	for name, o := range map[string]importer.Options{"together": {Jobs: 2}, "one by one": {OneByOne: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &waits{}
			d := testdb.New(t, testdb.Options{Tracer: w})
			imported(t, d, importer.Users, importer.Options{}, `{"id": "u1"}`)
			imported(t, d, importer.Clients, importer.Options{}, `{"client_id": "c1", "redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "none"}
				{"client_id": "c2", "redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "none"} {"client_id": "off", "redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "none"}`)
			if _, err := d.Store.DisableClient(t.Context(), "off"); err != nil {
				t.Fatal(err)
			}
			for _, read := range []reader{importer.Consents, tokens} {
				dry := o
				dry.DryRun = true
				for _, step := range []struct {
					o     importer.Options
					again bool
				}{{dry, false}, {o, false}, {o, true}} {
					if name == "together" { // in one batch: which of two comes first isn't said
						step.o.Jobs = 1
					}
					lines, _ := imported(t, d, read, step.o, things)
					if step.o.DryRun {
						lines[4] = want[false][4] // what the first has written is taken back
					}
					if !slices.Equal(lines, want[step.again]) {
						t.Errorf("dry run: %t: it says\n%s\nwant\n%s", step.o.DryRun, strings.Join(lines, "\n"), strings.Join(want[step.again], "\n"))
					}
				}
			}
			if n := w.Load(); (n == 0) != (name == "together") {
				t.Errorf("%d calls were waited for", n)
			}
		})
	}
}

// A token is taken whole or not at all: of one with a space, no part becomes a token.
func TestATokenIsTakenWhole(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	imported(t, d, importer.Users, importer.Options{}, `{"id": "u1"}`)
	imported(t, d, importer.Clients, importer.Options{}, `{"client_id": "c1", "redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "none"}`)
	read := func(r io.Reader) iter.Seq2[importer.Item, error] {
		return importer.RefreshTokens(r, importer.Lifetimes{RefreshToken: store.Never, Family: store.Never})
	}
	lines, _ := imported(t, d, read, importer.Options{}, `{"user_id": "u1", "client_id": "c1", "token": "refresh me"} {"user_id": "u1", "client_id": "c1", "tokens": ["x", "y"], "token": "z"}`)
	var digests []string
	if err := d.Pool.QueryRow(t.Context(), `SELECT array_agg(r.token::text ORDER BY r.token) FROM oauth_refresh_token AS r`).Scan(&digests); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, whole := range []string{"refresh me", "x", "y", "z"} {
		want = append(want, string(token.DigestOf(whole)))
	}
	slices.Sort(want)
	if !slices.Equal(digests, want) {
		t.Errorf("%q: the tokens are %q", lines, digests)
	}
}
