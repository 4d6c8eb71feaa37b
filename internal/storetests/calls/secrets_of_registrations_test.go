package calls

import (
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// An update keeps the secret that a client has, puts a new one in its place, or ends it with the method that used it. So it does with a
// secret of which another server has made a hash.
func TestUpdateOfARegistrationKeepsReplacesOrEndsTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, hashed := range []bool{false, true} {
		start := func() (client store.ClientID, before store.OAuthClient) {
			client = w.open(func(p *store.RegisterClientParams) { p.ClientSecretLifetime = time.Hour })
			if hashed {
				w.Exec(`UPDATE oauth_client SET client_secret = NULL, foreign_secret_hash = $2 WHERE client_id = $1`, client, bcryptOfA)
			}
			before, err := w.Q.GetClient(w.Ctx, client)
			w.OK(err)
			return client, before
		}
		update := func(client store.ClientID, change func(*store.UpdateRegistrationParams)) (store.OAuthClient, store.UpdateRegistrationRow) {
			t.Helper()
			p := updateParams(client, "r1")
			p.NewRegistrationAccessToken = nil // the present one goes on
			change(&p)
			row := w.update(p, store.OutcomeUpdated)
			c, err := w.Q.GetClient(w.Ctx, client)
			w.OK(err)
			wantEqual(t, "registration_access_token", c.RegistrationAccessToken, new(fixture.Digest("r1")))
			wantEqual(t, "previous_registration_access_token", c.PreviousRegistrationAccessToken, nil)
			wantEqual(t, "client_id_issued_at", row.ClientIDIssuedAt, &c.CreatedAt)
			wantEqual(t, "client_secret_expires_at in the answer", row.ClientSecretExpiresAt, c.ClientSecretExpiresAt)
			return c, row
		}

		client, before := start()
		c, row := update(client, func(*store.UpdateRegistrationParams) {})
		wantEqual(t, "kept", []any{c.ClientSecret, c.ForeignSecretHash, c.ClientSecretExpiresAt, row.HasSecret},
			[]any{before.ClientSecret, before.ForeignSecretHash, before.ClientSecretExpiresAt, new(true)})
		c, row = update(client, func(p *store.UpdateRegistrationParams) {
			p.ClientSecret, p.ClientSecretLifetime = new(fixture.Digest("new")), 2*time.Hour
		})
		wantEqual(t, "replaced", []any{c.ClientSecret, c.ForeignSecretHash, row.HasSecret}, []any{new(fixture.Digest("new")), (*string)(nil), new(true)})
		wantAt(t, "its expiry", c.ClientSecretExpiresAt, c.UpdatedAt, 2*time.Hour)
		client, _ = start()
		c, row = update(client, func(p *store.UpdateRegistrationParams) { p.TokenEndpointAuthMethod = new("none") })
		wantEqual(t, "ended", []any{c.ClientSecret, c.ForeignSecretHash, c.ClientSecretExpiresAt, row.HasSecret},
			[]any{(*token.Digest)(nil), (*string)(nil), (*time.Time)(nil), new(false)})
	}
}

// A client that had no sector gets the one that the server has verified. From then on it is kept.
func TestUpdateOfARegistrationStatesTheSectorOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open()
	for _, c := range []struct{ verified, host, want string }{
		{"Sector.example", "a.example", "sector.example"},
		{"other.example", "sector.example", "sector.example"}, // where it is no longer verified, but where the client is
	} {
		p := updateParams(client, "r1")
		p.NewRegistrationAccessToken, p.SubjectType, p.SectorIdentifier = nil, new("pairwise"), &c.verified
		p.RedirectURIs = []string{"https://" + c.host + "/cb"}
		w.update(p, store.OutcomeUpdated)
		got, err := w.Q.GetClient(w.Ctx, client)
		w.OK(err)
		wantEqual(t, "sector_identifier", got.SectorIdentifier, &c.want)
	}
}

// The same call twice at once: the second waits for the first, and answers what that has done.
func TestRegistrationThatWaitedForItselfIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for what, c := range map[string]struct {
		commit bool
		want   store.Outcome
	}{"committed": {true, store.OutcomeRetried}, "rolled back": {false, store.OutcomeRegistered}} {
		p := registerParams("")
		p.Open, p.ClientSecretLifetime = true, time.Hour
		other, events := w.otherSession(), w.diary
		if !c.commit {
			events = nil // nor is one written
		}
		first, err := recorded(other, events).RegisterClient(w.Ctx, p)
		w.OK(err)
		w.want("the first", first.Outcome, store.OutcomeRegistered)
		answer := make(chan store.RegisterClientRow, 1)
		go func() {
			row, err := w.Q.RegisterClient(w.Ctx, p)
			if err != nil {
				t.Error(err)
			}
			answer <- row
		}()
		w.Until("the second one waits", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
		if c.commit {
			w.OK(other.Commit(w.Ctx))
		} else {
			w.OK(other.Rollback(w.Ctx))
		}
		second := <-answer
		w.want(what, second.Outcome, c.want)
		stored, err := w.Q.GetClient(w.Ctx, p.ClientID)
		w.OK(err)
		wantEqual(t, what+": the answer", []*time.Time{second.ClientIDIssuedAt, second.ClientSecretExpiresAt}, []*time.Time{&stored.CreatedAt, stored.ClientSecretExpiresAt})
		again := w.register(p, store.OutcomeRetried)
		wantEqual(t, what+": once more", []*time.Time{again.ClientIDIssuedAt, again.ClientSecretExpiresAt}, []*time.Time{&stored.CreatedAt, stored.ClientSecretExpiresAt})
	}
}

// An update that changed nothing says why as it was when it began, if it has not waited: a client that is enabled since was disabled, and a token
// that manages the client since didn't.
func TestUpdateThatFoundItsClientDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.replaceRoutine("judge_registration_update", `
		UPDATE oauth_client AS k
		SET disabled = false, registration_access_token = manager, client_secret = repeat('A', 43), updated_at = now()
		WHERE k.client_id = of_client;
		RETURN judge_registration_update_before(
			c, of_client, manager, successor, refused, wants_secret, verified, subject_type, redirect_uris, grant_types
		);`)
	for _, c := range []struct {
		secret *token.Digest
		has    string // what the client has, as an UPDATE sets it
		want   store.Outcome
	}{
		{new(fixture.Digest("new")), "disabled = true", store.OutcomeDisabled},
		{nil, "disabled = true", store.OutcomeDisabled},
		{nil, "foreign_secret_hash = NULL", store.OutcomeInvalidClientMetadata},
		{new(fixture.Digest("new")), "registration_access_token = repeat('B', 43)", store.OutcomeUnauthenticated},
	} {
		p := updateParams(w.open(func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod = new("none") }), "r1")
		w.Exec(`UPDATE oauth_client SET `+c.has+` WHERE client_id = $1`, p.ClientID)
		p.TokenEndpointAuthMethod, p.ClientSecret, p.ClientSecretLifetime = new("client_secret_basic"), c.secret, store.Never
		w.update(p, c.want)
	}
}

// An update that has waited for its client says what it found then, also if the client has no secret and needs none, or gets one.
func TestUpdateThatWaitedForItsClientToBeDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	for _, method := range []string{"none", "client_secret_basic"} {
		p := updateParams(w.open(asPublic), "r1")
		p.TokenEndpointAuthMethod = &method
		if method != "none" {
			p.ClientSecret, p.ClientSecretLifetime = new(fixture.Digest("new")), store.Never
		}
		other := w.otherSession()
		_, err := other.Exec(w.Ctx, `UPDATE oauth_client SET disabled = true WHERE client_id = $1`, p.ClientID)
		w.OK(err)
		answer := make(chan store.Outcome, 1)
		go func() {
			row, err := w.Q.UpdateRegistration(w.Ctx, p)
			if err != nil {
				t.Error(err)
			}
			answer <- row.Outcome
		}()
		w.Until("the update waits", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
		w.OK(other.Commit(w.Ctx))
		w.want("UpdateRegistration to "+method, <-answer, store.OutcomeDisabled)
	}
}
