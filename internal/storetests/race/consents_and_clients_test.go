package race

import (
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// TestRaceSigningKeys lets a fleet rotate and retire: one server stores its key, all are told which, and of the keys that nobody has
// replaced none is retired.
func TestRaceSigningKeys(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for round := range roundsOf(10) {
		var told tally[store.SigningKeyID]
		w.Exec(`UPDATE jwks SET created_at = created_at - interval '1 day'`)
		w.parallel("RotateSigningKeyIfDue", 16, outcomes{store.OutcomeRotated: 1, store.OutcomeFresh: 15}, func(i int) (store.Outcome, error) {
			r, err := w.Q.RotateSigningKeyIfDue(w.Ctx, store.RotateSigningKeyIfDueParams{
				ID: store.SigningKeyID(fmt.Sprint(round, "-", i)), PublicKey: "{}", PrivateKey: "x", Alg: "ES256", MaxAge: 12 * time.Hour,
			})
			if err == nil {
				told.add(r.ID)
			}
			return r.Outcome, err
		})
		if len(told.m) != 1 {
			w.Errorf("RotateSigningKeyIfDue tells of %v", told.m)
		}
		fixture.Together(fixture.Times(8, func(i int) {
			// not in agreement about the lead time: whoever waited for the longer one must not retire what it leaves
			_, err := w.Q.RetireReplacedSigningKeys(w.Ctx, store.RetireReplacedSigningKeysParams{Alg: "ES256", LeadTime: time.Duration(i%3*13) * time.Hour, Lifetime: time.Hour})
			w.Raced("RetireReplacedSigningKeys", err)
		})...)
		w.wantCount("keys that sign", 1, `SELECT count(*) FROM jwks WHERE expires_at IS NULL`)
		for id := range told.m {
			w.wantCount("the newest of them", 1, `SELECT count(*) FROM jwks WHERE expires_at IS NULL AND id = $1`, id)
		}
	}
}

// TestRaceFirstUseOfAForeignSecret rotates a secret while clients show the one that is known only as another server's hash: the new secret
// stands, and the old one counts on where it was replaced by its digest before.
func TestRaceFirstUseOfAForeignSecret(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 9)
	const hash = "$2b$12$foreign"
	for range roundsOf(4) {
		client := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret, p.ForeignSecretHash = nil, new(hash) })
		authenticated := func(secret string) bool {
			o, err := w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: client, ClientAuthMethod: "client_secret_basic", ClientSecret: fixture.Digest(secret)})
			w.OK(err)
			return o == store.OutcomeAuthenticated
		}
		var got tally[store.Outcome]
		calls := fixture.Times(8, func(int) {
			o, err := w.Q.ReplaceForeignSecretHash(w.Ctx, store.ReplaceForeignSecretHashParams{ClientID: client, ForeignSecretHash: hash, ClientSecret: fixture.Digest("A")})
			if w.Raced("ReplaceForeignSecretHash", err) {
				got.add(o)
			}
		})
		calls = append(calls, soonerOrLater(func() {
			o, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: client, ClientSecret: fixture.Digest("B"), Overlap: time.Hour, Lifetime: store.Never})
			if w.Raced("RotateClientSecret", err) && o != store.OutcomeRotated {
				w.Errorf("RotateClientSecret: %s", o)
			}
		}))
		fixture.Together(calls...)
		replaced := got.m[store.OutcomeReplaced]
		if replaced > 1 || got.m[store.OutcomeReplaced]+got.m[store.OutcomeRetried]+got.m[store.OutcomeMismatched] != 8 || replaced == 0 && got.m[store.OutcomeRetried] > 0 {
			w.Errorf("ReplaceForeignSecretHash: %v", got.m)
		}
		if !authenticated("B") || authenticated("A") != (replaced == 1) {
			w.Errorf("B is accepted: %t; A: %t; ReplaceForeignSecretHash: %v", authenticated("B"), authenticated("A"), got.m)
		}
	}
}

// TestRaceGrantToAClientThatIsUnused grants something to clients whose time is just over: a client that is kept keeps its grant, and the
// grants of one that is deleted are dead.
func TestRaceGrantToAClientThatIsUnused(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	var ends tally[string]
	for range roundsOf(1) {
		client := w.NewClient(func(p *store.CreateClientParams) {
			p.RegistrationAccessToken = new(fixture.Digest(fixture.Unique("registration")))
		})
		w.Exec(`UPDATE oauth_client SET unused_since = now() - interval '1 year', unused_checked_at = now() WHERE client_id = $1`, client)
		raw := fixture.Unique("grant")
		var granted store.Outcome
		mark := func() {
			_, err := w.Q.MarkUnusedClients(w.Ctx, store.MarkUnusedClientsParams{PageSize: 1000, UnusedFor: 24 * time.Hour, Retention: time.Hour})
			w.Raced("MarkUnusedClients", err)
		}
		fixture.Together(soonerOrLater(mark), soonerOrLater(mark), soonerOrLater(func() {
			r, err := w.Q.IssueGrant(w.Ctx, store.IssueGrantParams{
				ID: store.NewAuthorizationID(), ClientID: client, GrantType: "server", UserID: w.User, Scopes: []string{"openid", "offline_access"},
				DefaultScopes: []string{"openid", "offline_access"},
				AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(raw)), AccessTokenLifetime: time.Hour, FamilyLifetime: time.Hour,
				RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(fixture.Digest(raw + "r")), RefreshTokenLifetime: time.Hour,
			})
			w.Raced("IssueGrant", err)
			granted = r.Outcome
		}))
		_, err := w.Q.GetClient(w.Ctx, client)
		switch kept, live := err == nil, w.Live(raw) && w.Live(raw+"r"); {
		case kept && granted == store.OutcomeIssued && live:
			ends.add("kept")
		case !kept && !live && !w.Live(raw) && !w.Live(raw+"r"):
			ends.add("deleted: " + string(granted))
		default:
			w.Errorf("IssueGrant: %s; the client is kept: %t; the tokens are live: %t", granted, kept, live)
		}
	}
	if roundsOf(1) >= 50 && (ends.m["kept"] == 0 || len(ends.m) < 2) { // fewer may miss one by chance
		w.Errorf("not every end was reached: %v", ends.m)
	}
}

// TestRaceConsentsAtResources merges what a user agrees to at several resources at once: nothing is lost, and nothing comes to stand
// elsewhere.
func TestRaceConsentsAtResources(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 12)
	for range roundsOf(20) {
		s := w.newScene(true, false)
		w.parallel("GrantConsent", 12, outcomes{store.OutcomeGranted: 12}, func(i int) (store.Outcome, error) {
			p := store.GrantConsentParams{ID: store.NewConsentID(), ClientID: s.client, UserID: s.user, Scopes: []string{fmt.Sprint("scope", i)}, Merge: true}
			if i%3 > 0 {
				p.Resources = []string{fmt.Sprint("https://api", i%3, ".example")}
			}
			r, err := w.Q.GrantConsent(w.Ctx, p)
			return r.Outcome, err
		})
		w.wantCount("pairs", 12, `
			SELECT sum(n)::bigint FROM oauth_consent AS g, LATERAL (
				SELECT count(*) AS n FROM unnest(g.scopes) AS x WHERE substr(x, 6)::integer % 3 = 0 AND x LIKE 'scope%'
				UNION ALL
				SELECT count(*) FROM jsonb_each(g.resource_scopes) AS e, jsonb_array_elements_text(e.value) AS x
				WHERE e.key = 'https://api' || substr(x, 6)::integer % 3 || '.example'
			) AS l WHERE g.user_id = $1`, s.user)
	}
}
