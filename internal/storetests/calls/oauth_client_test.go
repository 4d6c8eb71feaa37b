package calls

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// fullClient is a registration in which nothing is left out.
func fullClient(user store.UserID) store.CreateClientParams {
	return store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), ClientSecret: new(fixture.Digest("secret")),
		SkipConsent: new(true), EnableEndSession: new(false), Scopes: []string{"openid", "email"}, UserID: &user,
		Name: new("Shop"), URI: new("https://shop.example"), Icon: new("https://shop.example/i.png"), Contacts: []string{"ops@shop.example"},
		TOS: new("https://shop.example/tos"), Policy: new("https://shop.example/privacy"), SoftwareID: new("shop"),
		SoftwareVersion: new("1.2"), SoftwareStatement: new("eyJ"), RedirectURIs: []string{"https://shop.example/cb", "http://127.0.0.1/cb"},
		PostLogoutRedirectURIs: []string{"https://shop.example/bye"}, TokenEndpointAuthMethod: new("client_secret_basic"),
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}, Public: new(false), Type: new("web"),
		ReferenceID: new(store.ReferenceID("org1")), Metadata: json.RawMessage(`{"a": [1, null, {"b": "ä"}]}`), SubjectType: new("pairwise"), SectorIdentifier: new("sector.example"),
		RequirePKCE: new(true), JWKS: json.RawMessage(`{"keys": []}`), ApplicationType: new("web"),
		ClientSecretExpiresAt:   new(time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)),
		RegistrationAccessToken: new(fixture.Digest("registration")), AccessTokenLifetime: new(time.Minute), RefreshTokenLifetime: new(time.Hour),
		AuthorizationLifetime: new(24 * time.Hour), CodeLifetime: new(30 * time.Second), RefreshGrace: new(10 * time.Second),
		RefreshGraceUntilUsed: new(true), BackchannelLogoutURI: new("https://shop.example/logout"), BackchannelLogoutSessionRequired: new(true),
		AllowPlainPKCE: new(false), DefaultMaxAge: new(time.Hour), RequirePushedAuthorizationRequests: new(true),
		DPoPBoundAccessTokens: new(true), TLSClientCertificateBoundAccessTokens: new(true), TLSClientAuthSubjectDN: new("CN=shop"),
		TLSClientAuthSANDNS: new("shop.example"), TLSClientAuthSANURI: new("spiffe://shop"), TLSClientAuthSANIP: new("192.0.2.1"), TLSClientAuthSANEmail: new("ops@shop.example"),
		Resources: []string{"https://api.example"}, AuthorizationDetailsTypes: []string{"payment"},
	}
}

// sameFields compares the fields that two structs have in common by name.
func sameFields(t *testing.T, want, got any) {
	t.Helper()
	w, g := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range w.NumField() {
		name := w.Type().Field(i).Name
		a, b := w.Field(i).Interface(), g.FieldByName(name).Interface()
		if at, ok := a.(*time.Time); ok && at != nil {
			if bt := b.(*time.Time); bt == nil || !at.Equal(*bt) {
				t.Errorf("%s is %v, want %v", name, bt, at)
			}
			continue
		}
		if raw, ok := a.(json.RawMessage); ok && raw != nil {
			var x, y any
			if err := errors.Join(json.Unmarshal(raw, &x), json.Unmarshal(b.(json.RawMessage), &y)); err != nil || !reflect.DeepEqual(x, y) {
				t.Errorf("%s is %s, want %s (%v)", name, b, raw, err)
			}
			continue
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %#v, want %#v", name, b, a)
		}
	}
}

func TestClientIsWhatWasRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	full := fullClient(w.User)
	byURI := full
	byURI.ID, byURI.ClientID, byURI.JWKS, byURI.JWKSURI = "o2", "c2", nil, new("https://shop.example/jwks")
	for i, p := range []store.CreateClientParams{
		full, byURI,
		{ID: "o3", ClientID: "c3", RedirectURIs: []string{"https://app.example"}}, // nil stays nil
		{ // and empty stays empty: said to be none, not left to the server
			ID: "o4", ClientID: "c4", RedirectURIs: []string{"https://app.example"}, Scopes: []string{}, Contacts: []string{},
			ResponseTypes: []string{}, PostLogoutRedirectURIs: []string{}, Name: new(""), Metadata: json.RawMessage(`{}`),
		},
		{ID: "o5", ClientID: "c5", RedirectURIs: []string{"https://app.example"}, ForeignSecretHash: new("$2b$12$x")},
	} {
		created, err := w.Q.CreateClient(w.Ctx, p)
		w.OK(err)
		sameFields(t, p, created)
		if created.Disabled || created.DeletedAt != nil || created.GrantsEpoch != 0 || !created.UpdatedAt.Equal(created.CreatedAt) {
			t.Errorf("client %d begins as %+v", i, created)
		}
		got, err := w.Q.GetClient(w.Ctx, p.ClientID)
		w.OK(err)
		sameFields(t, created, got)
		got, err = w.Q.GetClientByID(w.Ctx, p.ID)
		w.OK(err)
		sameFields(t, created, got)
	}
	_, err := w.Q.GetClient(w.Ctx, store.ClientID(full.ID)) // the one identifier is not the other
	w.None(err)
	_, err = w.Q.GetClientByID(w.Ctx, store.OAuthClientID(full.ClientID))
	w.None(err)
	_, err = w.Q.GetClient(w.Ctx, "C2") // client_id is case-sensitive (RFC 6749, section 1.9)
	w.None(err)
}

func TestClientIDIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for round := range 15 {
		var wg sync.WaitGroup
		created := make([]bool, 8)
		for i := range created {
			wg.Go(func() {
				_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{
					ID: store.NewOAuthClientID(), ClientID: store.ClientID(fmt.Sprint("app", round)), RedirectURIs: []string{"x"},
				})
				created[i] = err == nil
				if err != nil && pgErrorOf(err).ConstraintName != string(store.ConstraintOAuthClientClientIDUIdx) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if i := slices.Index(created, true); i < 0 || slices.Contains(created[i+1:], true) {
			t.Fatalf("round %d: registered by %v", round, created)
		}
	}
}

// authenticated says whether a secret is one of the client's.
func (w *world) authenticated(q *store.Queries, client store.ClientID, secret string) bool {
	w.Helper()
	outcome, err := q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{
		ClientID: client, ClientAuthMethod: "client_secret_basic", ClientSecret: fixture.Digest(secret),
	})
	w.OK(err)
	return outcome == store.OutcomeAuthenticated
}

// rotateSecret gives a client a new secret, and wants an outcome.
func (w *world) rotateSecret(q *store.Queries, client store.ClientID, secret string, overlap time.Duration, want store.Outcome, change ...func(*store.RotateClientSecretParams)) {
	w.Helper()
	p := store.RotateClientSecretParams{ClientID: client, ClientSecret: fixture.Digest(secret), Overlap: overlap, Lifetime: store.Never}
	for _, c := range change {
		c(&p)
	}
	w.want("RotateClientSecret", w.outcome(q.RotateClientSecret(w.Ctx, p)), want)
}

func TestDisabledClientIsNotAuthenticatedUntilEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient()
	before, err := w.Q.GetClient(w.Ctx, id)
	w.OK(err)
	w.changesRows(func() {
		for _, disabled := range []bool{true, true, false, false} { // twice is once
			call, outcome, want := w.Q.EnableClient, store.OutcomeEnabled, store.OutcomeAuthenticated
			if disabled {
				call, outcome, want = w.Q.DisableClient, store.OutcomeEnded, store.OutcomeDisabled
			}
			w.want("the call", w.outcome(call(w.Ctx, id)), outcome)
			w.want("AuthenticateClient", w.outcome(w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{
				ClientID: id, ClientAuthMethod: "client_secret_post", ClientSecret: fixture.Digest(fixture.Secret),
			})), want)
			got, err := w.Q.GetClient(w.Ctx, id) // an admin still finds it
			w.OK(err)
			wantTouched(t, fmt.Sprint("disabled ", disabled), before.CreatedAt, got.CreatedAt, before.UpdatedAt, got.UpdatedAt)
			before.UpdatedAt, before.Disabled = got.UpdatedAt, disabled
			sameFields(t, before, got)
		}
	}, rowName("~", "oauth_client", before.ID))
	w.Unchanged(func() {
		w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, "none")), store.OutcomeUnknown)
		w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, "none")), store.OutcomeUnknown)
	})
}

func TestSecretIsRefusedFromItsExpiryOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient()
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		for _, c := range []struct {
			expires string
			want    bool
		}{{"NULL", true}, {"now() + interval '1 microsecond'", true}, {"now()", false}, {"now() - interval '1 year'", false}} {
			exec(`UPDATE oauth_client SET client_secret_expires_at = `+c.expires+` WHERE client_id = $1`, id)
			if got := w.authenticated(q, id, fixture.Secret); got != c.want {
				t.Errorf("expires at %s: authenticated %t", c.expires, got)
			}
		}
	})
}

func TestRotatedSecretIsValidBesideTheNewOneForTheOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("old")) })
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		before, err := q.GetClient(w.Ctx, id)
		w.OK(err)
		w.rotateSecret(q, id, "new", time.Hour, store.OutcomeRotated)
		got, err := q.GetClient(w.Ctx, id)
		w.OK(err)
		want := before
		want.UpdatedAt, want.ClientSecret = got.UpdatedAt, new(fixture.Digest("new"))
		sameFields(t, want, got)
		older, err := q.ListClientSecrets(w.Ctx, id)
		w.OK(err)
		wantEqual(t, "older secrets", len(older), 1)
		wantEqual(t, "digest", older[0].Digest, fixture.Digest("old"))
		wantAt(t, "expires_at", &older[0].ExpiresAt, got.UpdatedAt, time.Hour)
		for _, c := range []struct {
			age      string // of the rotation
			old, new bool
		}{
			{"0", true, true},
			{"59 minutes 59.999999 seconds", true, true},
			{"1 hour", false, true},
			{"1 year", false, true},
		} {
			exec(`UPDATE oauth_client_secret SET expires_at = now() + interval '1 hour' - $2::text::interval WHERE client_id = $1`, id, c.age)
			if got := w.authenticated(q, id, "old"); got != c.old {
				t.Errorf("%s after the rotation, the old secret: %t", c.age, got)
			}
			if got := w.authenticated(q, id, "new"); got != c.new {
				t.Errorf("%s after the rotation, the new secret: %t", c.age, got)
			}
			older, err := q.ListClientSecrets(w.Ctx, id)
			w.OK(err)
			wantEqual(t, "listed", len(older) == 1, c.old)
		}
	})
	w.Unchanged(func() { w.rotateSecret(w.Q, "none", "new", time.Hour, store.OutcomeUnknown) })
}

func TestSecretRotatedWithoutOverlapIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("leaked")) })
	w.stillTime(func(q *store.Queries, _ func(string, ...any)) { // in the very instant of the rotation
		w.rotateSecret(q, id, "new", 0, store.OutcomeRotated)
		if w.authenticated(q, id, "leaked") || !w.authenticated(q, id, "new") {
			t.Error("the leaked secret is still accepted, or the new one is not")
		}
	})
	// Also where it had been rotated out once, and was made the present one again.
	id = w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("leaked")) })
	w.rotateSecret(w.Q, id, "between", time.Hour, store.OutcomeRotated)
	w.rotateSecret(w.Q, id, "leaked", time.Hour, store.OutcomeRotated)
	w.rotateSecret(w.Q, id, "new", 0, store.OutcomeRotated)
	if w.authenticated(w.Q, id, "leaked") || !w.authenticated(w.Q, id, "between") || !w.authenticated(w.Q, id, "new") {
		t.Error("want the leaked secret refused, and the others accepted")
	}
}

// A fleet rolls out for as long as it was promised, whatever else is rotated meanwhile.
func TestEachSecretCountsForAsLongAsItWasPromised(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("A")) })
	accepted := func(q *store.Queries) (all string) {
		for _, secret := range []string{"A", "B", "C", "D"} {
			if w.authenticated(q, id, secret) {
				all += secret
			}
		}
		return all
	}
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		later := func(by string) {
			exec(`UPDATE oauth_client_secret SET expires_at = expires_at - $1::text::interval`, by)
		}
		w.rotateSecret(q, id, "B", 24*time.Hour, store.OutcomeRotated)
		later("1 hour")
		w.rotateSecret(q, id, "C", 24*time.Hour, store.OutcomeRotated)
		wantEqual(t, "an hour later", accepted(q), "ABC")
		w.rotateSecret(q, id, "D", time.Minute, store.OutcomeRotated)
		wantEqual(t, "at once", accepted(q), "ABCD")
		later("1 minute")
		wantEqual(t, "when C's minute is over", accepted(q), "ABD")
		later("22 hours 58 minutes 59.999999 seconds")
		wantEqual(t, "shortly before A's day is over", accepted(q), "ABD")
		later("0.000001 seconds")
		wantEqual(t, "when A's day is over", accepted(q), "BD")
		later("1 hour")
		wantEqual(t, "when B's day is over", accepted(q), "D")
	})
}

func TestOverlapNeverOutlivesTheReplacedSecretsOwnExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("old")) })
	for _, c := range []struct {
		left string        // until the old secret's own expiry
		want time.Duration // of the old one, from the rotation; 0: none
	}{{"30 minutes", 30 * time.Minute}, {"2 hours", time.Hour}, {"0", 0}, {"-1 hours", 0}} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(`UPDATE oauth_client SET client_secret_expires_at = now() + $2::text::interval WHERE client_id = $1`, id, c.left)
			w.rotateSecret(q, id, "new", time.Hour, store.OutcomeRotated)
			got, err := q.GetClient(w.Ctx, id)
			w.OK(err)
			older, err := q.ListClientSecrets(w.Ctx, id)
			w.OK(err)
			if c.want == 0 {
				wantEqual(t, c.left+" left: older secrets", len(older), 0)
			} else {
				wantAt(t, c.left+" left: expires_at of the old secret", &older[0].ExpiresAt, got.UpdatedAt, c.want)
			}
			if got := w.authenticated(q, id, "old"); got != (c.want > 0) {
				t.Errorf("%s left: the old secret: %t", c.left, got)
			}
			if got.ClientSecretExpiresAt != nil || !w.authenticated(q, id, "new") {
				t.Errorf("%s left: the new secret expires at %v, want never", c.left, got.ClientSecretExpiresAt)
			}
		})
	}
}

func TestRotatedSecretLastsForItsOwnLifetime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("old")) })
	w.stillTime(func(q *store.Queries, _ func(string, ...any)) {
		w.rotateSecret(q, id, "new", time.Hour, store.OutcomeRotated, func(p *store.RotateClientSecretParams) { p.Lifetime = 90 * 24 * time.Hour })
		got, err := q.GetClient(w.Ctx, id)
		w.OK(err)
		wantAt(t, "client_secret_expires_at", got.ClientSecretExpiresAt, got.UpdatedAt, 90*24*time.Hour)
	})
}

// A client's first secret replaces none.
func TestFirstSecretLeavesNoOlderOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret, p.Public = nil, new(false) })
	w.rotateSecret(w.Q, id, "first", time.Hour, store.OutcomeRotated)
	older, err := w.Q.ListClientSecrets(w.Ctx, id)
	w.OK(err)
	if len(older) != 0 || !w.authenticated(w.Q, id, "first") {
		t.Errorf("older secrets: %v", older)
	}
}

// However many rotate at the same time, none is lost: one is present, and each other counts for its overlap.
func TestConcurrentRotationsOfASecretLoseNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for round := range 5 {
		id := w.NewClient()
		fixture.Together(fixture.Times(8, func(i int) {
			p := store.RotateClientSecretParams{ClientID: id, ClientSecret: fixture.Digest(fmt.Sprint(round, i)), Overlap: time.Hour, Lifetime: store.Never}
			if outcome, err := w.Q.RotateClientSecret(w.Ctx, p); err != nil || outcome != store.OutcomeRotated {
				t.Error(outcome, err)
			}
		})...)
		older, err := w.Q.ListClientSecrets(w.Ctx, id)
		w.OK(err)
		wantEqual(t, "older secrets", len(older), 8)
		for i := range 8 {
			if !w.authenticated(w.Q, id, fmt.Sprint(round, i)) {
				t.Fatalf("round %d: secret %d is refused", round, i)
			}
		}
	}
}

func TestRegistrationIsManagedByItsOwnToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	a := w.NewClient(func(p *store.CreateClientParams) { p.RegistrationAccessToken = new(fixture.Digest("a")) })
	b := w.NewClient(func(p *store.CreateClientParams) { p.RegistrationAccessToken = new(fixture.Digest("b")) })
	find := func(id store.ClientID, raw string) error {
		c, err := w.Q.FindClientByRegistrationToken(w.Ctx, store.FindClientByRegistrationTokenParams{ClientID: id, RegistrationAccessToken: fixture.Digest(raw)})
		if err == nil && c.ClientID != id {
			t.Errorf("asked for %s, got %s", id, c.ClientID)
		}
		return err
	}
	w.OK(find(a, "a"))
	w.OK(find(b, "b"))
	w.None(find(a, "b"))
	w.None(find(b, "a"))
	w.None(find(w.Client, "a")) // has none
	w.None(find("none", "a"))

	before, err := w.Q.GetClient(w.Ctx, a)
	w.OK(err)
	rows := w.Snapshot()
	set := func(id store.ClientID, registration *token.Digest, want store.Outcome) {
		w.Helper()
		p := store.SetRegistrationAccessTokenParams{ClientID: id, RegistrationAccessToken: registration}
		w.want("SetRegistrationAccessToken", w.outcome(w.Q.SetRegistrationAccessToken(w.Ctx, p)), want)
	}
	set(a, new(fixture.Digest("a2")), store.OutcomeUpdated)
	w.OK(find(a, "a2"))
	w.None(find(a, "a"))
	set(a, nil, store.OutcomeUpdated)
	w.None(find(a, "a2"))
	after, err := w.Q.GetClient(w.Ctx, a)
	w.OK(err)
	if after.RegistrationAccessToken != nil {
		t.Error("NULL ends the management of a registration")
	}
	wantTouched(t, "SetRegistrationAccessToken", before.CreatedAt, after.CreatedAt, before.UpdatedAt, after.UpdatedAt)
	if diff := fixture.Changed(rows, w.Snapshot()); !slices.Equal(diff, []string{"~oauth_client " + string(before.ID)}) {
		t.Errorf("changed %v", diff)
	}
	w.Unchanged(func() { set("none", nil, store.OutcomeUnknown) })
}

func TestClientsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]struct {
		owner string // of the clients that are listed
		page  func(w *world, after place, size int32) ([]store.OAuthClient, error)
	}{
		"all": {"", func(w *world, after place, size int32) ([]store.OAuthClient, error) {
			return w.Q.ListClients(w.Ctx, store.ListClientsParams{AfterCreatedAt: after.createdAt, AfterID: store.OAuthClientID(after.id), PageSize: size})
		}},
		"of a user": {"user_id", func(w *world, after place, size int32) ([]store.OAuthClient, error) {
			return w.Q.ListClientsByUser(w.Ctx, store.ListClientsByUserParams{
				UserID: w.User, AfterCreatedAt: after.createdAt, AfterID: store.OAuthClientID(after.id), PageSize: size,
			})
		}},
		"of a tenant": {"reference_id", func(w *world, after place, size int32) ([]store.OAuthClient, error) {
			return w.Q.ListClientsByReference(w.Ctx, store.ListClientsByReferenceParams{
				ReferenceID: store.ReferenceID(w.User), AfterCreatedAt: after.createdAt, AfterID: store.OAuthClientID(after.id), PageSize: size,
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.Exec(`DELETE FROM oauth_client`)
			owner := "name" // any text will do where it doesn't matter
			if list.owner != "" {
				owner = list.owner
				other := w.NewUser()
				w.NewClient() // nobody's
				w.NewClient(func(p *store.CreateClientParams) { p.UserID = &other })
				w.NewClient(func(p *store.CreateClientParams) { p.ReferenceID = new(store.ReferenceID(other)) })
			}
			w.isPaged(keyset{
				page: func(after place, size int32) ([]place, error) {
					rows, err := list.page(w, after, size)
					return places(rows, func(c store.OAuthClient) place { return place{c.CreatedAt, string(c.ID)} }), err
				},
				insert: func(id string, createdAt time.Time) {
					w.Exec(`INSERT INTO oauth_client (id, created_at, client_id, redirect_uris, `+owner+`) VALUES ($1, $2, $3, '{x}', $4)`,
						id, createdAt, "client "+id, w.User)
				},
				remove: func(id string) { w.Exec(`DELETE FROM oauth_client WHERE id = $1`, id) },
			})
			w.Exec(`UPDATE oauth_client SET disabled = true, deleted_at = now()`)
			rows, err := list.page(w, place{}, 100)
			w.OK(err)
			if len(rows) > 0 {
				t.Errorf("%d deleted clients are listed", len(rows))
			}
		})
	}
}

// columns are those of one client, as JSON.
func (w *world) columns(client store.ClientID) map[string]string {
	w.Helper()
	var row map[string]json.RawMessage
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT to_jsonb(c) FROM oauth_client AS c WHERE c.client_id = $1`, client).Scan(&row))
	texts := map[string]string{}
	for column, value := range row {
		texts[column] = string(value)
	}
	return texts
}

// differing lists the columns in which two rows differ, but for updated_at.
func differing(a, b map[string]string) []string {
	var columns []string
	for _, column := range slices.Sorted(maps.Keys(a)) {
		if a[column] != b[column] && column != "updated_at" {
			columns = append(columns, column)
		}
	}
	return columns
}

// clientUpdates are changes of each field that UpdateClient can change, by column.
func clientUpdates(other store.UserID) map[string]store.UpdateClientParams {
	return map[string]store.UpdateClientParams{
		"skip_consent":               {SkipConsent: new(false)},
		"enable_end_session":         {EnableEndSession: new(true)},
		"scopes":                     {Scopes: []string{}},
		"user_id":                    {UserID: &other},
		"name":                       {Name: new("")},
		"uri":                        {URI: new("https://new.example")},
		"icon":                       {Icon: new("https://new.example/i.png")},
		"contacts":                   {Contacts: []string{"a@new.example", "b@new.example"}},
		"tos":                        {TOS: new("https://new.example/tos")},
		"policy":                     {Policy: new("https://new.example/policy")},
		"software_id":                {SoftwareID: new("new")},
		"software_version":           {SoftwareVersion: new("2")},
		"software_statement":         {SoftwareStatement: new("new")},
		"redirect_uris":              {RedirectURIs: []string{"https://new.example/cb"}},
		"post_logout_redirect_uris":  {PostLogoutRedirectURIs: []string{}},
		"token_endpoint_auth_method": {TokenEndpointAuthMethod: new("none")},
		"grant_types":                {GrantTypes: []string{"client_credentials"}},
		"response_types":             {ResponseTypes: []string{"none"}},
		"public":                     {Public: new(true)},
		"type":                       {Type: new("native")},
		"reference_id":               {ReferenceID: new(store.ReferenceID("org2"))},
		"metadata":                   {Metadata: json.RawMessage(`{}`)},
		"subject_type":               {SubjectType: new("public")},
		"require_pkce":               {RequirePKCE: new(false)},
		"jwks":                       {JWKS: json.RawMessage(`{"keys": [{}]}`)},
		"application_type":           {ApplicationType: new("native")},
		"access_token_lifetime":      {AccessTokenLifetime: new(2 * time.Minute)},
		"refresh_token_lifetime":     {RefreshTokenLifetime: new(2 * time.Hour)},
		"authorization_lifetime":     {AuthorizationLifetime: new(48 * time.Hour)},
		"code_lifetime":              {CodeLifetime: new(time.Minute)},
		"refresh_grace":              {RefreshGrace: new(time.Minute)},
		"refresh_grace_until_used":   {RefreshGraceUntilUsed: new(false)},
		"backchannel_logout_uri":     {BackchannelLogoutURI: new("https://new.example/logout")},

		"backchannel_logout_session_required":        {BackchannelLogoutSessionRequired: new(false)},
		"allow_plain_pkce":                           {AllowPlainPKCE: new(true)},
		"default_max_age":                            {DefaultMaxAge: new(time.Minute)},
		"require_pushed_authorization_requests":      {RequirePushedAuthorizationRequests: new(false)},
		"dpop_bound_access_tokens":                   {DPoPBoundAccessTokens: new(false)},
		"tls_client_certificate_bound_access_tokens": {TLSClientCertificateBoundAccessTokens: new(false)},
		"tls_client_auth_subject_dn":                 {TLSClientAuthSubjectDN: new("CN=new")},
		"tls_client_auth_san_dns":                    {TLSClientAuthSANDNS: new("new.example")},
		"tls_client_auth_san_uri":                    {TLSClientAuthSANURI: new("spiffe://new")},
		"tls_client_auth_san_ip":                     {TLSClientAuthSANIP: new("192.0.2.2")},
		"resources":                                  {Resources: []string{}},
		"authorization_details_types":                {AuthorizationDetailsTypes: []string{"other"}},
		"tls_client_auth_san_email":                  {TLSClientAuthSANEmail: new("ops@new.example")},
	}
}

func TestUpdateClientChangesWhatIsGivenAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := fullClient(w.User)
	created, err := w.Q.CreateClient(w.Ctx, p)
	w.OK(err)
	_, err = w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: p.ClientID, ClientSecret: fixture.Digest("new"), Overlap: time.Hour, Lifetime: store.Never})
	w.OK(err)
	w.Exec(`UPDATE oauth_client SET unused_since = now(), unused_checked_at = now(), client_credentials_scopes = '{x}', client_discovery_id = 'x',
		previous_registration_access_token = registration_access_token, document_uri = 'x', document_etag = 'x', document_fetched_at = now(),
		document_fresh_until = now(), document_changes = '{name}' WHERE client_id = $1`, p.ClientID)
	for column, value := range w.columns(p.ClientID) {
		if value == "null" && !slices.Contains([]string{"jwks_uri", "client_secret_expires_at", "foreign_secret_hash", "deleted_at"}, column) {
			t.Errorf("%s is NULL to begin with: whether an update keeps it would not show", column)
		}
	}
	bob := w.NewUser()
	all := clientUpdates(bob)
	for i := range reflect.TypeFor[store.UpdateClientParams]().NumField() {
		name := reflect.TypeFor[store.UpdateClientParams]().Field(i).Name
		if name != "ClientID" && name != "Cleared" && name != "JWKSURI" && !slices.ContainsFunc(slices.Collect(maps.Values(all)), func(u store.UpdateClientParams) bool {
			return !reflect.ValueOf(u).FieldByName(name).IsZero()
		}) {
			t.Errorf("no update of %s is tried", name)
		}
	}
	for _, column := range slices.Sorted(maps.Keys(all)) { // public before the method, which sets it too
		change := all[column]
		before := w.columns(p.ClientID)
		rows := w.Snapshot()
		change.ClientID = p.ClientID
		got, err := w.Q.UpdateClient(w.Ctx, change)
		w.OK(err)
		after := w.columns(p.ClientID)
		if diff := differing(before, after); !slices.Equal(diff, []string{column}) {
			t.Errorf("an update of %s changed %v", column, diff)
		}
		if before["updated_at"] == after["updated_at"] {
			t.Errorf("an update of %s left updated_at", column)
		}
		if diff := fixture.Changed(rows, w.Snapshot()); !slices.Equal(diff, []string{"~oauth_client " + string(created.ID)}) {
			t.Errorf("an update of %s changed %v", column, diff)
		}
		stored, err := w.Q.GetClient(w.Ctx, p.ClientID)
		w.OK(err)
		sameFields(t, stored, got)
		for i := range reflect.TypeOf(change).NumField() {
			if name := reflect.TypeOf(change).Field(i).Name; name != "Cleared" && !reflect.ValueOf(change).Field(i).IsZero() {
				want, is := reflect.ValueOf(change).Field(i).Interface(), reflect.ValueOf(got).FieldByName(name).Interface()
				if !reflect.DeepEqual(want, is) {
					t.Errorf("%s is %v, want %v", name, is, want)
				}
			}
		}
	}
	before := w.columns(p.ClientID)
	_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: p.ClientID})
	w.OK(err)
	if diff := differing(before, w.columns(p.ClientID)); len(diff) > 0 {
		t.Errorf("an update of nothing changed %v", diff)
	}
	w.Unchanged(func() {
		_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: "none", Name: new("x")})
		w.None(err)
	})
}

func TestUpdateClientClearsWhatIsNamedAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := fullClient(w.User)
	_, err := w.Q.CreateClient(w.Ctx, p)
	w.OK(err)
	original := w.columns(p.ClientID)
	var fields []string
	for _, f := range store.AllOAuthClientFieldValues() {
		fields = append(fields, string(f))
	}
	reset := func() {
		w.Exec(`DELETE FROM oauth_client WHERE client_id = $1`, p.ClientID)
		if _, err := w.Q.CreateClient(w.Ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	for _, field := range fields {
		for given, change := range map[string]store.UpdateClientParams{"": {}, ", though it is given": clientUpdates(w.User)[field]} {
			reset()
			if field == "jwks_uri" {
				w.Exec(`UPDATE oauth_client SET jwks = NULL, jwks_uri = 'https://shop.example/jwks' WHERE client_id = $1`, p.ClientID)
			}
			before := w.columns(p.ClientID)
			change.ClientID, change.Cleared = p.ClientID, []string{field}
			_, err := w.Q.UpdateClient(w.Ctx, change)
			w.OK(err)
			after := w.columns(p.ClientID)
			if diff := differing(before, after); !slices.Equal(diff, []string{field}) || after[field] != "null" {
				t.Errorf("clearing %s%s changed %v and leaves it %s", field, given, diff, after[field])
			}
		}
	}

	reset()
	_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: p.ClientID, Cleared: fields})
	w.OK(err)
	after := w.columns(p.ClientID)
	for column, value := range original {
		switch cleared := slices.Contains(fields, column); {
		case cleared && after[column] != "null":
			t.Errorf("%s is %s, want it cleared", column, after[column])
		case !cleared && after[column] != value && column != "updated_at" && column != "created_at":
			t.Errorf("%s is %s, was %s", column, after[column], value)
		}
	}
}

// What a client can't have both of, it can change from one to the other, in one call.
func TestClientMovesItsKeysFromOnePlaceToTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.JWKS = json.RawMessage(`{"keys": []}`) })
	w.refused(func() {
		_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: id, JWKSURI: new("https://app.example/jwks")})
		w.violation(err, "UpdateClient", store.ConstraintOAuthClientOneSourceOfKeys)
	})
	got, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: id, JWKSURI: new("https://app.example/jwks"), Cleared: []string{"jwks"}})
	w.OK(err)
	if got.JWKS != nil || *got.JWKSURI != "https://app.example/jwks" {
		t.Errorf("got %s and %v", got.JWKS, got.JWKSURI)
	}
	got, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: id, Name: new("Notes")})
	w.OK(err)
	wantEqual(t, "jwks_uri after another update", got.JWKSURI, new("https://app.example/jwks"))
}

// Two who change different fields at the same time both get their way.
func TestConcurrentUpdatesOfAClientLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for round := range 10 {
		v := fmt.Sprint("round ", round)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i, change := range []store.UpdateClientParams{
			{Name: &v}, {URI: &v}, {Icon: &v}, {TOS: &v}, {Policy: &v}, {SoftwareID: &v}, {Contacts: []string{v}}, {Cleared: []string{"software_version"}},
		} {
			change.ClientID = w.Client
			wg.Go(func() { _, errs[i] = w.Q.UpdateClient(w.Ctx, change) })
		}
		wg.Wait()
		w.OK(errors.Join(errs...))
		c, err := w.Q.GetClient(w.Ctx, w.Client)
		w.OK(err)
		if *c.Name != v || *c.URI != v || *c.Icon != v || *c.TOS != v || *c.Policy != v || *c.SoftwareID != v || c.Contacts[0] != v || c.SoftwareVersion != nil {
			t.Fatalf("%s: %+v", v, c)
		}
		w.Exec(`UPDATE oauth_client SET software_version = '1'`)
	}
}

func TestRetriedSecretRotationChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("old")) })
	w.rotateSecret(w.Q, client, "new", time.Hour, store.OutcomeRotated)
	w.Unchanged(func() { w.rotateSecret(w.Q, client, "new", time.Hour, store.OutcomeRetried) }) // the answer to the first got lost
	if !w.authenticated(w.Q, client, "old") || !w.authenticated(w.Q, client, "new") {
		t.Error("a secret is refused after a retried rotation")
	}
}

func TestDeletedClientIsGoneAtOnceAndBlank(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := fullClient(w.User)
	p.RequirePushedAuthorizationRequests, p.DPoPBoundAccessTokens, p.TLSClientCertificateBoundAccessTokens, p.Resources = nil, nil, nil, nil
	created, err := w.Q.CreateClient(w.Ctx, p)
	w.OK(err)
	w.rotateSecret(w.Q, p.ClientID, "new", time.Hour, store.OutcomeRotated)
	k := w.Redeem(func(g *store.GrantAuthorizationParams) {
		g.ClientID, g.RedirectURI, g.Scopes, g.GrantedScopes = p.ClientID, &p.RedirectURIs[0], p.Scopes, p.Scopes
	})
	w.changesRows(func() { w.deleteClient(p.ClientID) }, rowName("~", "oauth_client", created.ID))
	w.WantDead(k.Access, k.Refresh)
	columns := w.columns(p.ClientID)
	for _, personal := range []string{
		"client_secret", "registration_access_token", "jwks", "name", "uri", "icon", "contacts", "tos", "policy", "software_statement",
		"post_logout_redirect_uris", "metadata", "foreign_secret_hash",
	} {
		if columns[personal] != "null" {
			t.Errorf("%s is %s", personal, columns[personal])
		}
	}
	wantEqual(t, "disabled", columns["disabled"], "true")
	if w.authenticated(w.Q, p.ClientID, "secret") || w.authenticated(w.Q, p.ClientID, "new") {
		t.Error("it is authenticated")
	}
	w.Unchanged(func() {
		_, err := w.Q.GetClient(w.Ctx, p.ClientID)
		w.None(err)
		_, err = w.Q.GetClientByID(w.Ctx, p.ID)
		w.None(err)
		_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: p.ClientID, Name: new("again")})
		w.None(err)
		w.want("DeleteClient again", w.outcome(w.Q.DeleteClient(w.Ctx, p.ClientID)), store.OutcomeUnknown)
		w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, p.ClientID)), store.OutcomeUnknown)
		w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, p.ClientID)), store.OutcomeUnknown)
		w.rotateSecret(w.Q, p.ClientID, "x", time.Hour, store.OutcomeUnknown)
		w.want("DeleteClient of nobody's", w.outcome(w.Q.DeleteClient(w.Ctx, "none")), store.OutcomeUnknown)
		clients, err := w.Q.ListClientsByUser(w.Ctx, store.ListClientsByUserParams{UserID: w.User, PageSize: 10})
		w.OK(err)
		wantEqual(t, "listed", len(clients), 0)
	})
}
