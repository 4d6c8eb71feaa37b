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
		ReferenceID: new(store.ReferenceID("org1")), Metadata: json.RawMessage(`{"a": [1, null, {"b": "ä"}]}`), SubjectType: new("pairwise"),
		RequirePKCE: new(true), JWKS: json.RawMessage(`{"keys": []}`), ApplicationType: new("web"),
		ClientSecretExpiresAt:   new(time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)),
		RegistrationAccessToken: new(fixture.Digest("registration")),
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
	} {
		created, err := w.Q.CreateClient(w.Ctx, p)
		w.OK(err)
		sameFields(t, p, created)
		if created.Disabled || created.PreviousClientSecret != nil || created.PreviousClientSecretExpiresAt != nil || !created.UpdatedAt.Equal(created.CreatedAt) {
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
	r, err := q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: client, ClientSecret: fixture.Digest(secret)})
	w.OK(err)
	if r.OAuthClient.ClientID != client {
		w.Errorf("asked for %s, got %s", client, r.OAuthClient.ClientID)
	}
	return r.Authenticated
}

func TestClientIsAuthenticatedByItsSecretAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("secret")) })
	another := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("another")) })
	for _, c := range []struct {
		client store.ClientID
		secret string
		want   bool
	}{
		{client, "secret", true},
		{another, "another", true},
		{client, "another", false},
		{another, "secret", false},
		{client, "Secret", false},
		{client, "", false},
		{client, string(fixture.Digest("secret")), false}, // who has read the database has the digest, not the secret
		{w.Client, "secret", false},
		{w.Client, "", false}, // has none
	} {
		if got := w.authenticated(w.Q, c.client, c.secret); got != c.want {
			t.Errorf("%s with %q: %t", c.client, c.secret, got)
		}
	}
	_, err := w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: "none", ClientSecret: fixture.Digest("secret")})
	w.None(err)
}

func TestDisabledClientIsNotAuthenticatedUntilEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("secret")) })
	before, err := w.Q.GetClient(w.Ctx, id)
	w.OK(err)
	rows := w.Snapshot()
	for _, disabled := range []bool{true, true, false, false} { // twice is once
		call := w.Q.EnableClient
		if disabled {
			call = w.Q.DisableClient
		}
		got, err := call(w.Ctx, id)
		w.OK(err)
		wantTouched(t, fmt.Sprint("disabled ", disabled), before.CreatedAt, got.CreatedAt, before.UpdatedAt, got.UpdatedAt)
		if got.Disabled != disabled || w.authenticated(w.Q, id, "secret") == disabled {
			t.Errorf("disabled is %t, want %t", got.Disabled, disabled)
		}
		if found, err := w.Q.GetClient(w.Ctx, id); err != nil || found.Disabled != disabled { // an admin still finds it
			t.Errorf("GetClient: %+v, %v", found, err)
		}
		before.UpdatedAt, before.Disabled = got.UpdatedAt, disabled
		sameFields(t, before, got)
	}
	if diff := fixture.Changed(rows, w.Snapshot()); !slices.Equal(diff, []string{"~oauth_client " + string(before.ID)}) {
		t.Errorf("changed %v", diff)
	}
	_, err = w.Q.DisableClient(w.Ctx, "none")
	w.None(err)
	_, err = w.Q.EnableClient(w.Ctx, "none")
	w.None(err)
}

func TestSecretIsRefusedFromItsExpiryOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("secret")) })
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		for _, c := range []struct {
			expires string
			want    bool
		}{{"NULL", true}, {"now() + interval '1 microsecond'", true}, {"now()", false}, {"now() - interval '1 year'", false}} {
			exec(`UPDATE oauth_client SET client_secret_expires_at = `+c.expires+` WHERE client_id = $1`, id)
			if got := w.authenticated(q, id, "secret"); got != c.want {
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
		got, err := q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: id, ClientSecret: fixture.Digest("new"), Overlap: time.Hour})
		w.OK(err)
		want := before
		want.UpdatedAt = got.UpdatedAt
		want.ClientSecret, want.PreviousClientSecret = new(fixture.Digest("new")), new(fixture.Digest("old"))
		want.PreviousClientSecretExpiresAt = new(got.UpdatedAt.Add(time.Hour))
		sameFields(t, want, got)
		wantTouched(t, "RotateClientSecret", before.CreatedAt, got.CreatedAt, before.UpdatedAt, got.UpdatedAt)
		for _, c := range []struct {
			age      string // of the rotation
			old, new bool
		}{
			{"0", true, true},
			{"59 minutes 59.999999 seconds", true, true},
			{"1 hour", false, true},
			{"1 year", false, true},
		} {
			exec(`UPDATE oauth_client SET previous_client_secret_expires_at = now() + interval '1 hour' - $2::text::interval WHERE client_id = $1`, id, c.age)
			if got := w.authenticated(q, id, "old"); got != c.old {
				t.Errorf("%s after the rotation, the old secret: %t", c.age, got)
			}
			if got := w.authenticated(q, id, "new"); got != c.new {
				t.Errorf("%s after the rotation, the new secret: %t", c.age, got)
			}
		}
	})
	w.Unchanged(func() {
		_, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: "none", ClientSecret: fixture.Digest("new"), Overlap: time.Hour})
		w.None(err)
	})
}

func TestSecretRotatedWithoutOverlapIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("leaked")) })
	w.stillTime(func(q *store.Queries, _ func(string, ...any)) { // in the very instant of the rotation
		_, err := q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: id, ClientSecret: fixture.Digest("new")})
		w.OK(err)
		if w.authenticated(q, id, "leaked") || !w.authenticated(q, id, "new") {
			t.Error("the leaked secret is still accepted, or the new one is not")
		}
	})
}

// Two secrets at a time, not three.
func TestSecondRotationEndsTheFirstSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("first")) })
	for _, secret := range []string{"second", "third"} {
		_, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: id, ClientSecret: fixture.Digest(secret), Overlap: time.Hour})
		w.OK(err)
	}
	if w.authenticated(w.Q, id, "first") || !w.authenticated(w.Q, id, "second") || !w.authenticated(w.Q, id, "third") {
		t.Error("want the second and the third secret accepted, and the first refused")
	}
}

func TestOverlapNeverOutlivesTheReplacedSecretsOwnExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("old")) })
	for _, c := range []struct {
		left string        // until the old secret's own expiry
		want time.Duration // of the old one, from the rotation
	}{{"30 minutes", 30 * time.Minute}, {"2 hours", time.Hour}, {"0", 0}, {"-1 hours", -time.Hour}} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(`UPDATE oauth_client SET client_secret_expires_at = now() + $2::text::interval WHERE client_id = $1`, id, c.left)
			got, err := q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: id, ClientSecret: fixture.Digest("new"), Overlap: time.Hour})
			w.OK(err)
			if !got.PreviousClientSecretExpiresAt.Equal(got.UpdatedAt.Add(c.want)) {
				t.Errorf("%s left: the old secret is accepted until %v after the rotation, want %v", c.left, got.PreviousClientSecretExpiresAt.Sub(got.UpdatedAt), c.want)
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
		got, err := q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{
			ClientID: id, ClientSecret: fixture.Digest("new"), Overlap: time.Hour, Lifetime: new(90 * 24 * time.Hour),
		})
		w.OK(err)
		if !got.ClientSecretExpiresAt.Equal(got.UpdatedAt.Add(90 * 24 * time.Hour)) {
			t.Errorf("it expires at %v, rotated at %v", got.ClientSecretExpiresAt, got.UpdatedAt)
		}
		// however short: the old secret has its overlap
		got, err = q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: id, ClientSecret: fixture.Digest("newer"), Overlap: time.Hour, Lifetime: new(time.Duration(0))})
		w.OK(err)
		if w.authenticated(q, id, "newer") || !w.authenticated(q, id, "new") || got.PreviousClientSecret == nil {
			t.Error("a lifetime of 0 is none, and the overlap is the one before's")
		}
	})
}

// A client's first secret replaces none.
func TestFirstSecretLeavesNoPreviousOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: w.Client, ClientSecret: fixture.Digest("first"), Overlap: time.Hour})
	w.OK(err)
	if got.PreviousClientSecret != nil || got.PreviousClientSecretExpiresAt != nil || !w.authenticated(w.Q, w.Client, "first") {
		t.Errorf("got %+v", got)
	}
}

// However many rotate at the same time, the secrets follow one another: each replaces the one before.
func TestConcurrentRotationsOfASecretFormOneChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for round := range 10 {
		first := fmt.Sprint("first", round)
		id := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest(first)) })
		replaced := map[token.Digest]token.Digest{}
		var wg sync.WaitGroup
		var mu sync.Mutex
		for i := range 8 {
			wg.Go(func() {
				secret := fixture.Digest(fmt.Sprint(round, i))
				r, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: id, ClientSecret: secret, Overlap: time.Hour})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if *r.ClientSecret != secret {
					t.Errorf("rotated to %s, answered %s", secret, *r.ClientSecret)
				}
				replaced[*r.PreviousClientSecret] = secret
			})
		}
		wg.Wait()
		last := fixture.Digest(first)
		for range 8 {
			last = replaced[last]
		}
		stored, err := w.Q.GetClient(w.Ctx, id)
		w.OK(err)
		if *stored.ClientSecret != last {
			t.Fatalf("round %d: the secrets are no chain: %v, at last %s", round, replaced, *stored.ClientSecret)
		}
	}
}

func TestRegistrationIsManagedByItsOwnToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	a := w.NewClient(func(p *store.CreateClientParams) { p.RegistrationAccessToken = new(fixture.Digest("a")) })
	b := w.NewClient(func(p *store.CreateClientParams) { p.RegistrationAccessToken = new(fixture.Digest("b")) })
	find := func(id store.ClientID, raw string) error {
		c, err := w.Q.GetClientByRegistrationToken(w.Ctx, store.GetClientByRegistrationTokenParams{ClientID: id, RegistrationAccessToken: fixture.Digest(raw)})
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
	id, err := w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{ClientID: a, RegistrationAccessToken: new(fixture.Digest("a2"))})
	w.OK(err)
	if id != a {
		t.Errorf("got %s", id)
	}
	w.OK(find(a, "a2"))
	w.None(find(a, "a"))
	_, err = w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{ClientID: a})
	w.OK(err)
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
	_, err = w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{ClientID: "none"})
	w.None(err)
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
	}
}

func TestUpdateClientChangesWhatIsGivenAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := fullClient(w.User)
	created, err := w.Q.CreateClient(w.Ctx, p)
	w.OK(err)
	_, err = w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: p.ClientID, ClientSecret: fixture.Digest("new"), Overlap: time.Hour})
	w.OK(err)
	for column, value := range w.columns(p.ClientID) {
		if value == "null" && column != "jwks_uri" && column != "client_secret_expires_at" {
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
	for column, change := range all {
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

func TestRetriedSecretRotationKeepsThePreviousSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	old, fresh := fixture.Digest(fixture.Unique("secret")), fixture.Digest(fixture.Unique("secret"))
	client := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = &old })
	for range 2 { // the answer to the first got lost
		_, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: client, ClientSecret: fresh, Overlap: time.Hour})
		w.OK(err)
	}
	for name, secret := range map[string]token.Digest{"previous": old, "present": fresh} {
		r, err := w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: client, ClientSecret: secret})
		w.OK(err)
		if !r.Authenticated {
			t.Errorf("the %s secret is refused after a retried rotation", name)
		}
	}
}
