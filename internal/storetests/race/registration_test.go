package race

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// initialToken creates an initial access token of so many uses.
func (w *world) initialToken(uses int64) (store.InitialAccessTokenID, string) {
	w.Helper()
	id, raw := store.NewInitialAccessTokenID(), fixture.Unique("iat")
	_, err := w.Q.CreateInitialAccessToken(w.Ctx, store.CreateInitialAccessTokenParams{ID: id, Token: fixture.Digest(raw), MaxUses: uses, Lifetime: time.Hour})
	w.OK(err)
	return id, raw
}

// registration is a client that registers itself; raw names its initial access token, or is empty where registration is open.
func registration(raw string) store.RegisterClientParams {
	p := store.RegisterClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{fixture.RedirectURI}, TokenEndpointAuthMethod: new("none"),
		RegistrationAccessToken: new(fixture.Digest(fixture.Unique("r1"))), Open: raw == "",
	}
	if raw != "" {
		p.InitialAccessToken = new(fixture.Digest(raw))
	}
	return p
}

func (w *world) register(p store.RegisterClientParams) (store.Outcome, error) {
	row, err := w.Q.RegisterClient(w.Ctx, p)
	return row.Outcome, err
}

// TestRaceInitialAccessTokenIsSpentOnceForEachClient: a token of n uses registers n clients, whoever asks at the same time, and what comes to
// nothing spends nothing.
func TestRaceInitialAccessTokenIsSpentOnceForEachClient(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(10) {
		id, raw := w.initialToken(3)
		w.parallel("RegisterClient", 8, outcomes{store.OutcomeRegistered: 3, store.OutcomeExhausted: 5}, func(int) (store.Outcome, error) { return w.register(registration(raw)) })
		w.wantCount("uses", 3, `SELECT uses FROM oauth_initial_access_token WHERE id = $1`, string(id))

		// the same call, with a token and without
		again, second := w.initialToken(8)
		same := []store.RegisterClientParams{registration(second)}
		for range 10 { // these don't wait for a token's row, so they meet at an index
			same = append(same, registration(""))
		}
		for _, p := range same {
			w.parallel("RegisterClient", 8, outcomes{store.OutcomeRegistered: 1, store.OutcomeRetried: 7}, func(int) (store.Outcome, error) { return w.register(p) })
		}
		w.wantCount("uses", 1, `SELECT uses FROM oauth_initial_access_token WHERE id = $1`, string(again))

		// one client_id, and two tokens that don't wait for each other
		tokens := make([]string, 2)
		ids := make([]store.InitialAccessTokenID, 2)
		for i := range tokens {
			ids[i], tokens[i] = w.initialToken(8)
		}
		client := store.NewClientID()
		w.parallel("RegisterClient", 8, outcomes{store.OutcomeRegistered: 1, store.OutcomeTaken: 7}, func(i int) (store.Outcome, error) {
			p := registration(tokens[i%2])
			p.ClientID = client
			return w.register(p)
		})
		w.wantCount("uses of both", 1, `SELECT sum(uses) FROM oauth_initial_access_token WHERE id = ANY ($1)`, ids)

		// revoked meanwhile
		revoked, third := w.initialToken(8)
		var registered tally[store.Outcome]
		calls := fixture.Times(6, func(int) {
			if o, err := w.register(registration(third)); w.Raced("RegisterClient", err) {
				registered.add(o)
			}
		})
		fixture.Together(append(calls, soonerOrLater(func() {
			_, err := w.Q.RevokeInitialAccessToken(w.Ctx, revoked)
			w.Raced("RevokeInitialAccessToken", err)
		}))...)
		if registered.m[store.OutcomeRegistered]+registered.m[store.OutcomeRevoked] != 6 {
			w.Errorf("RegisterClient: %v", registered.m)
		}
		w.wantCount("uses of the revoked one", registered.m[store.OutcomeRegistered], `SELECT uses FROM oauth_initial_access_token WHERE id = $1`, string(revoked))
	}
}

// TestRaceRegistrationIsManagedByOneToken: of two updates that go on with different tokens one changes something; the same update is done
// again; and once the new token is used, the old one is worth nothing.
func TestRaceRegistrationIsManagedByOneToken(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(10) {
		p := registration("")
		if o, err := w.register(p); err != nil || o != store.OutcomeRegistered {
			t.Fatal(o, err)
		}
		r2 := fixture.Digest(fixture.Unique("r2"))
		update := store.UpdateRegistrationParams{
			ClientID: p.ClientID, RegistrationAccessToken: *p.RegistrationAccessToken, NewRegistrationAccessToken: &r2,
			RedirectURIs: []string{fixture.RedirectURI}, TokenEndpointAuthMethod: new("none"),
		}
		do := func(u store.UpdateRegistrationParams) (store.Outcome, error) {
			row, err := w.Q.UpdateRegistration(w.Ctx, u)
			return row.Outcome, err
		}
		w.parallel("UpdateRegistration", 6, outcomes{store.OutcomeUpdated: 6}, func(int) (store.Outcome, error) { return do(update) })

		// used while late ones still come
		late := update
		late.Name = new("late")
		var came tally[store.Outcome]
		calls := fixture.Times(4, func(int) {
			if o, err := do(late); w.Raced("UpdateRegistration", err) {
				came.add(o)
			}
		})
		fixture.Together(append(calls, soonerOrLater(func() {
			_, err := w.Q.FindClientByRegistrationToken(w.Ctx, store.FindClientByRegistrationTokenParams{ClientID: p.ClientID, RegistrationAccessToken: r2})
			w.Raced("FindClientByRegistrationToken", err)
		}))...)
		if came.m[store.OutcomeUpdated]+came.m[store.OutcomeUnauthenticated] != 4 {
			w.Errorf("late updates: %v", came.m)
		}
		w.parallel("UpdateRegistration", 4, outcomes{store.OutcomeUnauthenticated: 4}, func(int) (store.Outcome, error) { return do(late) })

		update.RegistrationAccessToken = r2
		w.parallel("UpdateRegistration", 4, outcomes{store.OutcomeUpdated: 1, store.OutcomeUnauthenticated: 3}, func(i int) (store.Outcome, error) {
			u := update
			u.Name, u.NewRegistrationAccessToken = new(fmt.Sprint(i)), new(fixture.Digest(fmt.Sprint(p.ClientID, i)))
			return do(u)
		})
		w.wantCount("the token of the update that won", 1, `SELECT count(*) FROM oauth_client WHERE client_id = $1 AND registration_access_token = ANY ($2) AND name IS NOT NULL`,
			string(p.ClientID), digestsOf(string(p.ClientID), 4))

		c, err := w.Q.GetClient(w.Ctx, p.ClientID)
		w.OK(err)
		w.parallel("DeleteRegistration", 6, outcomes{store.OutcomeDeleted: 1, store.OutcomeUnauthenticated: 5}, func(int) (store.Outcome, error) {
			return w.Q.DeleteRegistration(w.Ctx, store.DeleteRegistrationParams{ClientID: p.ClientID, RegistrationAccessToken: *c.RegistrationAccessToken})
		})
		if _, err := w.Q.GetClient(w.Ctx, p.ClientID); !errors.Is(err, pgx.ErrNoRows) {
			w.Errorf("a deleted registration is found: %v", err)
		}
	}
}

func digestsOf(name string, n int) (digests []string) {
	for i := range n {
		digests = append(digests, string(fixture.Digest(fmt.Sprint(name, i))))
	}
	return digests
}

// TestRaceLatestFetchOfADocumentStays: whatever the order in which servers store what they have fetched, the latest fetch is what stays, one of
// them has made the client, and an operator who disables it isn't overruled.
func TestRaceLatestFetchOfADocumentStays(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(10) {
		client := store.ClientID("https://app.example/" + fixture.Unique("c"))
		at := time.Now().Add(-time.Hour).Truncate(time.Second)
		put := func(i int) (store.Outcome, error) {
			row, err := w.Q.PutClientDocument(w.Ctx, store.PutClientDocumentParams{
				ID: store.NewOAuthClientID(), ClientID: client, DocumentClientID: new(string(client)), FetchedAt: at.Add(time.Duration(i) * time.Second), FreshFor: time.Hour,
				RedirectURIs: []string{fixture.RedirectURI}, Name: new(fmt.Sprint(i)), DocumentETag: new(fmt.Sprint(i)),
			})
			return row.Outcome, err
		}
		got := w.parallel("PutClientDocument", 8, nil, put)
		if got[store.OutcomeInserted] != 1 || got[store.OutcomeInserted]+got[store.OutcomeChanged]+got[store.OutcomeStale] != 8 {
			w.Errorf("PutClientDocument: %v", got)
		}
		w.wantCount("the latest", 1, `SELECT count(*) FROM oauth_client WHERE client_id = $1 AND name = '7'`, string(client))
		fresh := w.parallel("RefreshClientDocument", 8, nil, func(i int) (store.Outcome, error) {
			row, err := w.Q.RefreshClientDocument(w.Ctx, store.RefreshClientDocumentParams{
				ClientID: client, DocumentETag: "7", FetchedAt: at.Add(7*time.Second + time.Duration(i)*100*time.Millisecond), FreshFor: time.Hour,
			})
			return row.Outcome, err
		})
		if fresh[store.OutcomeFresh] == 0 || fresh[store.OutcomeFresh]+fresh[store.OutcomeStale]+fresh[store.OutcomeRetried] != 8 {
			w.Errorf("RefreshClientDocument: %v", fresh)
		}
		w.wantCount("the latest answer", 1, `SELECT count(*) FROM oauth_client WHERE client_id = $1 AND document_fetched_at = $2`, string(client), at.Add(7700*time.Millisecond))

		calls := fixture.Times(6, func(i int) {
			_, err := put(8 + i)
			w.Raced("PutClientDocument", err)
		})
		fixture.Together(append(calls, soonerOrLater(func() {
			_, err := w.Q.DisableClient(w.Ctx, client)
			w.Raced("DisableClient", err)
		}))...)
		w.wantCount("the latest, disabled", 1, `SELECT count(*) FROM oauth_client WHERE client_id = $1 AND name = '13' AND disabled`, string(client))
		w.parallel("the same fetch", 6, outcomes{store.OutcomeRetried: 6}, func(int) (store.Outcome, error) { return put(13) })

		// deleted meanwhile: nobody makes it again while its row is there
		calls = fixture.Times(6, func(i int) {
			o, err := put(20 + i)
			if w.Raced("PutClientDocument", err) && !slices.Contains([]store.Outcome{store.OutcomeChanged, store.OutcomeStale, store.OutcomeRevoked}, o) {
				w.Errorf("PutClientDocument: %s", o)
			}
		})
		fixture.Together(append(calls, soonerOrLater(func() {
			_, err := w.Q.DeleteClient(w.Ctx, client)
			w.Raced("DeleteClient", err)
		}))...)
		w.wantCount("deleted, blank", 1, `SELECT count(*) FROM oauth_client WHERE client_id = $1 AND deleted_at IS NOT NULL AND name IS NULL`, string(client))
	}
}
