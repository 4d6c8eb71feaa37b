package calls

import (
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// flaw is something about a call for which it is refused.
type flaw[P any] struct {
	name  string
	want  store.Outcome
	apply func(p *P, exec func(sql string, args ...any))
}

// firstFlawCounts tries a call with each flaw alone, and with each pair of them: it has to answer for the one that comes first. Each try
// begins with new parameters, in the transaction of stillTime.
func firstFlawCounts[P any](w *world, exec func(string, ...any), flaws []flaw[P], params func() P, call func(P) (store.Outcome, error)) {
	w.Helper()
	for i, first := range flaws {
		for _, second := range flaws[i:] {
			p := params()
			second.apply(&p, exec)
			if second.name != first.name {
				first.apply(&p, exec)
			}
			got, err := call(p)
			w.OK(err)
			w.want(fmt.Sprintf("%s, and %s", first.name, second.name), got, first.want)
		}
	}
}

func TestRegistrationIsRefusedForTheFirstReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	type params = store.RegisterClientParams
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		token := func(set string) func(*params, func(string, ...any)) {
			return func(p *params, exec func(string, ...any)) {
				exec(`UPDATE oauth_initial_access_token SET `+set+` WHERE token = $1`, string(*p.InitialAccessToken))
			}
		}
		client := 0
		flaws := []flaw[params]{
			{"no such token", store.OutcomeUnauthenticated, func(p *params, _ func(string, ...any)) {
				p.InitialAccessToken = new(fixture.Digest("none"))
			}},
			{"sent again", store.OutcomeRetried, func(p *params, _ func(string, ...any)) {
				first := registerParams("")
				p.ClientID = store.NewClientID() // not one that is taken
				first.Open, first.ID, first.ClientID = true, p.ID, p.ClientID
				row, err := q.RegisterClient(w.Ctx, first)
				w.OK(err)
				w.want("the first time", row.Outcome, store.OutcomeRegistered)
			}},
			{"revoked", store.OutcomeRevoked, token("revoked_at = now(), expires_at = now() + interval '1 hour'")},
			{"exhausted", store.OutcomeExhausted, token("uses = max_uses")},
			{"expired", store.OutcomeExpired, token("expires_at = now()")},
			{"a redirect URI", store.OutcomeInvalidRedirectURI, func(p *params, _ func(string, ...any)) { p.RedirectURIs = []string{"x"} }},
			{"a page", store.OutcomeInvalidClientMetadata, func(p *params, _ func(string, ...any)) { p.URI = new("x") }},
			{"taken", store.OutcomeTaken, func(p *params, _ func(string, ...any)) { p.ClientID = w.Client }},
		}
		firstFlawCounts(w, exec, flaws, func() params {
			client++
			raw := fmt.Sprint("iat", client)
			_, err := q.CreateInitialAccessToken(w.Ctx, store.CreateInitialAccessTokenParams{
				ID: store.NewInitialAccessTokenID(), Token: fixture.Digest(raw), MaxUses: 1, Lifetime: time.Hour,
			})
			w.OK(err)
			return registerParams(raw)
		}, func(p params) (store.Outcome, error) {
			row, err := q.RegisterClient(w.Ctx, p)
			return row.Outcome, err
		})
	})
}

func TestUpdateOfARegistrationIsRefusedForTheFirstReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	type params = store.UpdateRegistrationParams
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		flaws := []flaw[params]{
			{"another's token", store.OutcomeUnauthenticated, func(p *params, _ func(string, ...any)) {
				p.RegistrationAccessToken = fixture.Digest("none")
			}},
			{"disabled", store.OutcomeDisabled, func(p *params, exec func(string, ...any)) {
				exec(`UPDATE oauth_client SET disabled = true WHERE client_id = $1`, string(p.ClientID))
			}},
			{"a redirect URI", store.OutcomeInvalidRedirectURI, func(p *params, _ func(string, ...any)) { p.RedirectURIs = []string{"x"} }},
			{"a page", store.OutcomeInvalidClientMetadata, func(p *params, _ func(string, ...any)) { p.URI = new("x") }},
			{"no secret", store.OutcomeInvalidClientMetadata, func(p *params, exec func(string, ...any)) {
				exec(`UPDATE oauth_client SET client_secret = NULL WHERE client_id = $1`, string(p.ClientID))
			}},
			{"another's sector", store.OutcomeInvalidClientMetadata, func(p *params, exec func(string, ...any)) {
				exec(`UPDATE oauth_client SET sector_identifier = 'other.example' WHERE client_id = $1`, string(p.ClientID))
				p.SubjectType = new("pairwise")
			}},
		}
		firstFlawCounts(w, exec, flaws, func() params {
			r := registerParams("")
			r.Open = true
			_, err := q.RegisterClient(w.Ctx, r)
			w.OK(err)
			return updateParams(r.ClientID, "r1")
		}, func(p params) (store.Outcome, error) {
			row, err := q.UpdateRegistration(w.Ctx, p)
			return row.Outcome, err
		})
	})
}

func TestDocumentIsRefusedForTheFirstReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	type params = store.PutClientDocumentParams
	fetched := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	set := func(sql string) func(*params, func(string, ...any)) {
		return func(p *params, exec func(string, ...any)) {
			exec(`UPDATE oauth_client SET `+sql+` WHERE client_id = $1`, string(p.ClientID))
		}
	}
	flaws := []flaw[params]{
		{"a document of another client", store.OutcomeInvalidClientMetadata, func(p *params, _ func(string, ...any)) {
			p.DocumentClientID = new("https://other.example/")
		}},
		{"a redirect URI", store.OutcomeInvalidRedirectURI, func(p *params, _ func(string, ...any)) { p.RedirectURIs = []string{"x"} }},
		{"a page", store.OutcomeInvalidClientMetadata, func(p *params, _ func(string, ...any)) { p.URI = new("x") }},
		{"deleted", store.OutcomeRevoked, set("deleted_at = now(), disabled = true")},
		{"no document", store.OutcomeTaken, set("document_fetched_at = NULL")},
		{"the fetch that is stored", store.OutcomeRetried, func(p *params, exec func(string, ...any)) {
			exec(`UPDATE oauth_client SET document_fetched_at = $2 WHERE client_id = $1 AND document_fetched_at IS NOT NULL`, string(p.ClientID), p.FetchedAt)
		}},
		{"another's sector", store.OutcomeInvalidClientMetadata, func(p *params, exec func(string, ...any)) {
			exec(`UPDATE oauth_client SET sector_identifier = 'other.example' WHERE client_id = $1`, string(p.ClientID))
			p.SubjectType = new("pairwise")
		}},
	}
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		firstFlawCounts(w, exec, flaws, func() params {
			p := documentParams(fetched)
			_, err := q.PutClientDocument(w.Ctx, p)
			w.OK(err)
			p.FetchedAt = fetched.Add(time.Minute)
			return p
		}, func(p params) (store.Outcome, error) {
			row, err := q.PutClientDocument(w.Ctx, p)
			return row.Outcome, err
		})
	})
	stale := flaw[params]{"a later fetch is stored", store.OutcomeStale, func(p *params, exec func(string, ...any)) {
		exec(`UPDATE oauth_client SET document_fetched_at = $2 WHERE client_id = $1 AND document_fetched_at IS NOT NULL`,
			string(p.ClientID), p.FetchedAt.Add(time.Microsecond))
	}}
	flaws = append(flaws[:5:5], stale, flaws[6])
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		firstFlawCounts(w, exec, flaws, func() params {
			p := documentParams(fetched)
			_, err := q.PutClientDocument(w.Ctx, p)
			w.OK(err)
			p.FetchedAt = fetched.Add(time.Minute)
			return p
		}, func(p params) (store.Outcome, error) {
			row, err := q.PutClientDocument(w.Ctx, p)
			return row.Outcome, err
		})
	})
}
