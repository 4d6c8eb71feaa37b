package calls

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// initialToken creates an initial access token, named raw, of so many uses.
func (w *world) initialToken(raw string, uses int64, change ...func(*store.CreateInitialAccessTokenParams)) store.InitialAccessTokenID {
	w.Helper()
	p := store.CreateInitialAccessTokenParams{ID: store.NewInitialAccessTokenID(), Token: fixture.Digest(raw), MaxUses: uses, Lifetime: time.Hour}
	for _, c := range change {
		c(&p)
	}
	_, err := w.Q.CreateInitialAccessToken(w.Ctx, p)
	w.OK(err)
	return p.ID
}

// usesOf is how often an initial access token was used.
func (w *world) usesOf(id store.InitialAccessTokenID) int64 {
	w.Helper()
	row, err := w.Q.GetInitialAccessToken(w.Ctx, id)
	w.OK(err)
	return row.Uses
}

// registerParams registers a confidential client that manages itself, by the initial access token raw.
func registerParams(raw string) store.RegisterClientParams {
	p := store.RegisterClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{fixture.RedirectURI}, Name: new("Notes"),
		ClientSecret: new(fixture.Digest(fixture.Secret)), ClientSecretLifetime: store.Never,
		RegistrationAccessToken: new(fixture.Digest("r1")),
	}
	if raw != "" {
		p.InitialAccessToken = new(fixture.Digest(raw))
	}
	return p
}

func (w *world) register(p store.RegisterClientParams, want store.Outcome) store.RegisterClientRow {
	w.Helper()
	row, err := w.Q.RegisterClient(w.Ctx, p)
	w.OK(err)
	w.want("RegisterClient", row.Outcome, want)
	return row
}

// open registers a client without an initial access token.
func (w *world) open(change ...func(*store.RegisterClientParams)) store.ClientID {
	w.Helper()
	p := registerParams("")
	p.Open = true
	for _, c := range change {
		c(&p)
	}
	w.register(p, store.OutcomeRegistered)
	return p.ClientID
}

func asPublic(p *store.RegisterClientParams) {
	p.TokenEndpointAuthMethod, p.ClientSecret, p.ClientSecretLifetime = new("none"), nil, 0
}

// updateParams replaces a registration by one with a secret of its own and a registration token of the same name with a + behind it.
func updateParams(client store.ClientID, raw string) store.UpdateRegistrationParams {
	return store.UpdateRegistrationParams{
		ClientID: client, RegistrationAccessToken: fixture.Digest(raw), NewRegistrationAccessToken: new(fixture.Digest(raw + "+")),
		RedirectURIs: []string{fixture.RedirectURI}, Name: new("Notes, renamed"),
	}
}

func (w *world) update(p store.UpdateRegistrationParams, want store.Outcome) store.UpdateRegistrationRow {
	w.Helper()
	row, err := w.Q.UpdateRegistration(w.Ctx, p)
	w.OK(err)
	w.want("UpdateRegistration", row.Outcome, want)
	return row
}

func (w *world) managed(client store.ClientID, raw string) error {
	_, err := w.Q.FindClientByRegistrationToken(w.Ctx, store.FindClientByRegistrationTokenParams{ClientID: client, RegistrationAccessToken: fixture.Digest(raw)})
	return err
}

func TestRegistrationThatFailsCostsNoUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.initialToken("iat", 1)
	w.Unchanged(func() {
		for name, spoil := range map[string]func(*store.RegisterClientParams){
			"no redirect URI":     func(p *store.RegisterClientParams) { p.RedirectURIs = nil },
			"empty redirect URIs": func(p *store.RegisterClientParams) { p.RedirectURIs = []string{} },
		} {
			p := registerParams("iat")
			spoil(&p)
			row, err := w.Q.RegisterClient(w.Ctx, p)
			w.OK(err)
			w.want(name, row.Outcome, store.OutcomeInvalidRedirectURI)
		}
		noSecret := registerParams("iat")
		noSecret.ClientSecret = nil
		w.register(noSecret, store.OutcomeInvalidClientMetadata)

		// what a constraint refuses is an error, and costs no use either
		broken := registerParams("iat")
		broken.Metadata = json.RawMessage(strings.Repeat(`{"x":`, 40) + "1" + strings.Repeat("}", 40))
		_, err := w.Q.RegisterClient(w.Ctx, broken)
		w.violation(err, "RegisterClient", store.ConstraintObjectIsSmall)
		nobody := registerParams("iat")
		nobody.UserID = new(store.UserID("nobody"))
		_, err = w.Q.RegisterClient(w.Ctx, nobody)
		w.violation(err, "RegisterClient", store.ConstraintOAuthClientUserIDFKey)
		lasting := registerParams("iat")
		lasting.ClientSecretLifetime = 0
		_, err = w.Q.RegisterClient(w.Ctx, lasting)
		if e := pgErrorOf(err); e.Code != "22023" || !strings.Contains(e.Message, "ClientSecretLifetime") {
			t.Errorf("got %v, want ClientSecretLifetime to be refused", err)
		}
		taken := registerParams("iat")
		taken.ClientID = w.Client
		w.register(taken, store.OutcomeTaken)
	})
	p := registerParams("iat")
	w.register(p, store.OutcomeRegistered)
	if n := w.usesOf(id); n != 1 {
		t.Errorf("%d uses, want 1", n)
	}
	w.Unchanged(func() {
		w.register(registerParams("iat"), store.OutcomeExhausted)
		// the same call again, though its token is used up
		w.register(p, store.OutcomeRetried)
	})
}

func TestRegistrationIsRetriedOnlyByTheSameCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.initialToken("iat", 5)
	p := registerParams("iat")
	first := w.register(p, store.OutcomeRegistered)
	w.Unchanged(func() {
		again := w.register(p, store.OutcomeRetried)
		if !again.ClientIDIssuedAt.Equal(*first.ClientIDIssuedAt) {
			t.Errorf("issued at %v, then %v", first.ClientIDIssuedAt, again.ClientIDIssuedAt)
		}
		for name, change := range map[string]func(*store.RegisterClientParams){
			"id":                 func(p *store.RegisterClientParams) { p.ID = "other" },
			"secret":             func(p *store.RegisterClientParams) { p.ClientSecret = new(fixture.Digest("other")) },
			"registration token": func(p *store.RegisterClientParams) { p.RegistrationAccessToken = new(fixture.Digest("other")) },
			"none at all":        func(p *store.RegisterClientParams) { p.RegistrationAccessToken = nil },
		} {
			other := p
			change(&other)
			row, err := w.Q.RegisterClient(w.Ctx, other)
			w.OK(err)
			w.want("another "+name, row.Outcome, store.OutcomeTaken)
		}
		p.InitialAccessToken = new(fixture.Digest("none"))
		w.register(p, store.OutcomeUnauthenticated)
	})
}

// The id is the caller's to make, so one that is taken is an answer, too.
func TestRegistrationUnderTheIDOfAnotherClientIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	token := w.initialToken("iat", 2)
	p := registerParams("iat")
	w.register(p, store.OutcomeRegistered)
	p.ClientID = store.NewClientID()
	w.register(p, store.OutcomeTaken)
	wantEqual(t, "uses", w.usesOf(token), 1)
	_, err := w.Q.GetClient(w.Ctx, p.ClientID)
	w.None(err)
}

func TestRegistrationNeedsATokenUnlessItIsOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Unchanged(func() {
		w.register(registerParams(""), store.OutcomeUnauthenticated)
		w.register(registerParams("none"), store.OutcomeUnauthenticated)
		p := registerParams("none") // a token that is presented counts, though none is needed
		p.Open = true
		w.register(p, store.OutcomeUnauthenticated)
		empty := registerParams("")
		empty.InitialAccessToken = new(token.Digest(""))
		w.register(empty, store.OutcomeUnauthenticated)
	})
	w.open()

	revoked := w.initialToken("revoked", 1)
	w.want("RevokeInitialAccessToken", w.outcome(w.Q.RevokeInitialAccessToken(w.Ctx, revoked)), store.OutcomeEnded)
	w.want("RevokeInitialAccessToken again", w.outcome(w.Q.RevokeInitialAccessToken(w.Ctx, revoked)), store.OutcomeRevoked)
	w.want("RevokeInitialAccessToken", w.outcome(w.Q.RevokeInitialAccessToken(w.Ctx, "none")), store.OutcomeUnknown)
	w.initialToken("expired", 1)
	w.Exec(`UPDATE oauth_initial_access_token SET expires_at = now() WHERE token = $1`, string(fixture.Digest("expired")))
	w.Unchanged(func() {
		w.register(registerParams("revoked"), store.OutcomeRevoked)
		w.register(registerParams("expired"), store.OutcomeExpired)
	})
	w.initialToken("forever", 1, func(p *store.CreateInitialAccessTokenParams) { p.Lifetime = store.Never })
	w.register(registerParams("forever"), store.OutcomeRegistered)
}

func TestInitialAccessTokenNamesTheTenantOfItsClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.initialToken("iat", 2, func(p *store.CreateInitialAccessTokenParams) {
		p.ReferenceID, p.Label = new(store.ReferenceID("acme")), new("Acme's builders")
	})
	p := registerParams("iat")
	p.ReferenceID = new(store.ReferenceID("other"))
	w.register(p, store.OutcomeRegistered)
	c, err := w.Q.GetClient(w.Ctx, p.ClientID)
	w.OK(err)
	if c.ReferenceID == nil || *c.ReferenceID != "acme" {
		t.Errorf("the client belongs to %v", c.ReferenceID)
	}
	q := registerParams("")
	q.Open, q.ReferenceID, q.UserID = true, new(store.ReferenceID("other")), &w.User
	w.register(q, store.OutcomeRegistered)
	if c, err = w.Q.GetClient(w.Ctx, q.ClientID); err != nil || *c.ReferenceID != "other" || *c.UserID != w.User {
		t.Errorf("got %v, %v of %v", err, c.UserID, c.ReferenceID)
	}
}

func TestInitialAccessTokenWithoutBoundsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, spoil := range map[string]func(*store.CreateInitialAccessTokenParams){
		"MaxUses":   func(p *store.CreateInitialAccessTokenParams) { p.MaxUses = 0 },
		"MaxUses ":  func(p *store.CreateInitialAccessTokenParams) { p.MaxUses = -1 },
		"Lifetime":  func(p *store.CreateInitialAccessTokenParams) { p.Lifetime = 0 },
		"Lifetime ": func(p *store.CreateInitialAccessTokenParams) { p.Lifetime = time.Millisecond },
	} {
		p := store.CreateInitialAccessTokenParams{ID: "x", Token: fixture.Digest("x"), MaxUses: 1, Lifetime: time.Hour}
		spoil(&p)
		w.refused(func() {
			_, err := w.Q.CreateInitialAccessToken(w.Ctx, p)
			if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, strings.TrimSpace(name)) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}

func TestInitialAccessTokensAreListedAndCollected(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 1)
	var ids []store.InitialAccessTokenID
	for _, raw := range []string{"a", "b", "c"} {
		ids = append(ids, w.initialToken(raw, 1))
	}
	var listed []store.InitialAccessTokenID
	p := store.ListInitialAccessTokensParams{PageSize: 2}
	for {
		page, err := w.Q.ListInitialAccessTokens(w.Ctx, p)
		w.OK(err)
		if len(page) == 0 {
			break
		}
		for _, row := range page {
			listed = append(listed, row.ID)
		}
		p.AfterCreatedAt, p.AfterID = page[len(page)-1].CreatedAt, page[len(page)-1].ID
	}
	if !slices.Equal(listed, ids) {
		t.Errorf("listed %v, want %v", listed, ids)
	}
	_, err := w.Q.RevokeInitialAccessToken(w.Ctx, ids[0])
	w.OK(err)
	for _, c := range []struct {
		retention time.Duration
		want      int64
	}{{time.Hour, 0}, {0, 1}, {-time.Hour, 0}} {
		n, err := fixture.Deleted(w.Q.DeleteExpiredInitialAccessTokens(w.Ctx, store.DeleteExpiredInitialAccessTokensParams{Retention: c.retention, BatchSize: 10}))
		w.OK(err)
		if n != c.want {
			t.Errorf("retention %v: %d deleted, want %d", c.retention, n, c.want)
		}
	}
	_, err = w.Q.GetInitialAccessToken(w.Ctx, ids[0])
	w.None(err)
}

// A token that is revoked after it has expired keeps its expiry, so it is collected no later.
func TestRevokedInitialAccessTokenExpiresNoLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, c := range []struct{ left, want time.Duration }{{time.Hour, 0}, {-time.Hour, -time.Hour}} {
		id := w.initialToken(fixture.Unique("iat"), 1)
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(`UPDATE oauth_initial_access_token SET expires_at = now() + $2::interval WHERE id = $1`, string(id), c.left)
			w.want("RevokeInitialAccessToken", w.outcome(q.RevokeInitialAccessToken(w.Ctx, id)), store.OutcomeEnded)
			got, err := q.GetInitialAccessToken(w.Ctx, id)
			w.OK(err)
			wantAt(t, c.left.String()+" left", got.ExpiresAt, *got.RevokedAt, c.want)
		})
	}
}

// What a client states about itself is judged alike, whichever call states it.
func TestStatedMetadataAreJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	keys := json.RawMessage(`{"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}`)
	cases := map[string]struct {
		state func(*store.RegisterClientParams)
		want  store.Outcome
	}{
		"https": {func(p *store.RegisterClientParams) {
			p.RedirectURIs = []string{"https://a.example/cb?x=1", "HTTPS://b.example"}
		}, store.OutcomeRegistered},
		"loopback": {func(p *store.RegisterClientParams) {
			p.RedirectURIs = []string{"http://127.0.0.1/cb", "http://[::1]:80/", "http://localhost:8/x"}
		}, store.OutcomeRegistered},
		"private scheme": {func(p *store.RegisterClientParams) {
			p.RedirectURIs = []string{"com.example.app:/cb", "editor-plugin://auth/callback"}
		}, store.OutcomeRegistered},
		"http elsewhere":       {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"http://a.example/cb"} }, store.OutcomeInvalidRedirectURI},
		"http almost loopback": {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"http://127.0.0.1.evil.example/"} }, store.OutcomeInvalidRedirectURI},
		"http with userinfo":   {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"http://localhost:1@evil.example/"} }, store.OutcomeInvalidRedirectURI},
		"userinfo":             {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"https://a@evil.example/"} }, store.OutcomeInvalidRedirectURI},
		"fragment":             {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"https://a.example/#x"} }, store.OutcomeInvalidRedirectURI},
		"relative":             {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"/cb"} }, store.OutcomeInvalidRedirectURI},
		"no host":              {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"https:///cb"} }, store.OutcomeInvalidRedirectURI},
		"empty":                {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{""} }, store.OutcomeInvalidRedirectURI},
		"space":                {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"https://a.example/ x"} }, store.OutcomeInvalidRedirectURI},
		"line break":           {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"https://a.example/\n"} }, store.OutcomeInvalidRedirectURI},
		"backslash":            {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{`https://evil.example\@a.example/`} }, store.OutcomeInvalidRedirectURI},
		"not ASCII":            {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"https://ä.example/"} }, store.OutcomeInvalidRedirectURI},
		"script":               {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"JavaScript:alert(1)"} }, store.OutcomeInvalidRedirectURI},
		"data":                 {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{"data:text/html,x"} }, store.OutcomeInvalidRedirectURI},
		"the second is wrong":  {func(p *store.RegisterClientParams) { p.RedirectURIs = []string{fixture.RedirectURI, "x"} }, store.OutcomeInvalidRedirectURI},
		"too long": {func(p *store.RegisterClientParams) {
			p.RedirectURIs = []string{"https://a.example/" + strings.Repeat("x", 4096)}
		}, store.OutcomeInvalidRedirectURI},
		"no redirect URI, machine": {func(p *store.RegisterClientParams) {
			p.RedirectURIs, p.GrantTypes = nil, []string{"client_credentials"}
		}, store.OutcomeRegistered},
		"no redirect URI, implicit": {func(p *store.RegisterClientParams) { p.RedirectURIs, p.GrantTypes = nil, []string{"implicit"} }, store.OutcomeInvalidRedirectURI},
		"script as a page":          {func(p *store.RegisterClientParams) { p.URI = new("javascript:alert(1)") }, store.OutcomeInvalidClientMetadata},
		"data as a logo":            {func(p *store.RegisterClientParams) { p.Icon = new("data:image/svg+xml,x") }, store.OutcomeInvalidClientMetadata},
		"terms":                     {func(p *store.RegisterClientParams) { p.TOS = new("x") }, store.OutcomeInvalidClientMetadata},
		"policy":                    {func(p *store.RegisterClientParams) { p.Policy = new("") }, store.OutcomeInvalidClientMetadata},
		"keys that are no URL":      {func(p *store.RegisterClientParams) { p.JWKSURI = new("file:///etc/passwd") }, store.OutcomeInvalidClientMetadata},
		"logout that is no URL":     {func(p *store.RegisterClientParams) { p.BackchannelLogoutURI = new("//x") }, store.OutcomeInvalidClientMetadata},
		"pages": {func(p *store.RegisterClientParams) {
			p.URI, p.Icon = new("https://a.example"), new("http://a.example/x.png?y#z")
		}, store.OutcomeRegistered},
		"logout to an app": {func(p *store.RegisterClientParams) {
			p.PostLogoutRedirectURIs = []string{"com.example.app:/out", "http://a.example/"}
		}, store.OutcomeRegistered},
		"logout to a script":     {func(p *store.RegisterClientParams) { p.PostLogoutRedirectURIs = []string{"javascript:x"} }, store.OutcomeInvalidClientMetadata},
		"both kinds of keys":     {func(p *store.RegisterClientParams) { p.JWKS, p.JWKSURI = keys, new("https://a.example/k") }, store.OutcomeInvalidClientMetadata},
		"a key set that is none": {func(p *store.RegisterClientParams) { p.JWKS = json.RawMessage(`{"kty": "EC"}`) }, store.OutcomeInvalidClientMetadata},
		"a private key":          {func(p *store.RegisterClientParams) { p.JWKS = json.RawMessage(`{"keys": [{"kty": "EC", "d": "x"}]}`) }, store.OutcomeInvalidClientMetadata},
		"a symmetric key":        {func(p *store.RegisterClientParams) { p.JWKS = json.RawMessage(`{"keys": [{"kty": "oct", "k": "x"}]}`) }, store.OutcomeInvalidClientMetadata},
		"method with keys":       {func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod, p.JWKS = new("private_key_jwt"), keys }, store.OutcomeRegistered},
		"method without keys":    {func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod = new("private_key_jwt") }, store.OutcomeInvalidClientMetadata},
		"own certificate":        {func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod = new("self_signed_tls_client_auth") }, store.OutcomeInvalidClientMetadata},
		"certificate, no name":   {func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod = new("tls_client_auth") }, store.OutcomeInvalidClientMetadata},
		"certificate": {func(p *store.RegisterClientParams) {
			p.TokenEndpointAuthMethod, p.TLSClientAuthSANDNS = new("tls_client_auth"), new("a.example")
		}, store.OutcomeRegistered},
		"certificate, two names": {func(p *store.RegisterClientParams) {
			p.TokenEndpointAuthMethod, p.TLSClientAuthSANDNS, p.TLSClientAuthSANIP = new("tls_client_auth"), new("a.example"), new("10.0.0.1")
		}, store.OutcomeInvalidClientMetadata},
		"a method nobody knows": {func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod = new("client_secret_jwt") }, store.OutcomeInvalidClientMetadata},
		"an empty method":       {func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod = new("") }, store.OutcomeInvalidClientMetadata},
		"server's own":          {func(p *store.RegisterClientParams) { p.TokenEndpointAuthMethod = new("verified") }, store.OutcomeInvalidClientMetadata},
	}
	for name, c := range cases {
		p := registerParams("")
		p.Open = true
		c.state(&p)
		row, err := w.Q.RegisterClient(w.Ctx, p)
		w.OK(err)
		w.want("RegisterClient: "+name, row.Outcome, c.want)

		client := w.open()
		u := updateParams(client, "r1")
		u.RedirectURIs, u.PostLogoutRedirectURIs, u.GrantTypes, u.TokenEndpointAuthMethod = p.RedirectURIs, p.PostLogoutRedirectURIs, p.GrantTypes, p.TokenEndpointAuthMethod
		u.URI, u.Icon, u.TOS, u.Policy, u.JWKS, u.JWKSURI, u.BackchannelLogoutURI = p.URI, p.Icon, p.TOS, p.Policy, p.JWKS, p.JWKSURI, p.BackchannelLogoutURI
		u.TLSClientAuthSANDNS, u.TLSClientAuthSANIP = p.TLSClientAuthSANDNS, p.TLSClientAuthSANIP
		updated, err := w.Q.UpdateRegistration(w.Ctx, u)
		w.OK(err)
		want := c.want
		if want == store.OutcomeRegistered {
			want = store.OutcomeUpdated
		}
		w.want("UpdateRegistration: "+name, updated.Outcome, want)

		d := documentParams(time.Now())
		d.RedirectURIs, d.PostLogoutRedirectURIs, d.GrantTypes, d.TokenEndpointAuthMethod = p.RedirectURIs, p.PostLogoutRedirectURIs, p.GrantTypes, p.TokenEndpointAuthMethod
		d.URI, d.Icon, d.TOS, d.Policy, d.JWKS, d.JWKSURI, d.BackchannelLogoutURI = p.URI, p.Icon, p.TOS, p.Policy, p.JWKS, p.JWKSURI, p.BackchannelLogoutURI
		d.TLSClientAuthSANDNS, d.TLSClientAuthSANIP = p.TLSClientAuthSANDNS, p.TLSClientAuthSANIP
		put, err := w.Q.PutClientDocument(w.Ctx, d)
		w.OK(err)
		if want = c.want; want == store.OutcomeRegistered {
			want = store.OutcomeInserted
		}
		w.want("PutClientDocument: "+name, put.Outcome, want)
	}
}

func TestClientNeverBecomesConfidentialWithoutASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open(asPublic)
	authenticates := func(method, secret string, want store.Outcome) {
		t.Helper()
		p := store.AuthenticateClientParams{ClientID: client, ClientAuthMethod: method}
		if secret != "" {
			p.ClientSecret = fixture.Digest(secret)
		}
		w.want("AuthenticateClient", w.outcome(w.Q.AuthenticateClient(w.Ctx, p)), want)
	}
	authenticates("none", "", store.OutcomeAuthenticated)

	// all members but token_endpoint_auth_method, whose default is client_secret_basic
	p := updateParams(client, "r1")
	w.Unchanged(func() { w.update(p, store.OutcomeInvalidClientMetadata) })
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		p.TokenEndpointAuthMethod = &method
		w.Unchanged(func() { w.update(p, store.OutcomeInvalidClientMetadata) })
	}
	p.TokenEndpointAuthMethod = nil
	p.ClientSecret, p.ClientSecretLifetime = new(fixture.Digest("new")), time.Hour
	row := w.update(p, store.OutcomeUpdated)
	if row.ClientSecretExpiresAt == nil || row.HasSecret == nil || !*row.HasSecret {
		t.Errorf("got %+v, want a secret that expires", row)
	}
	authenticates("client_secret_basic", "new", store.OutcomeAuthenticated)
	authenticates("none", "", store.OutcomeUnauthenticated)

	// a confidential one keeps its secret, and loses it as it becomes public
	p = updateParams(client, "r1+")
	w.update(p, store.OutcomeUpdated)
	authenticates("client_secret_basic", "new", store.OutcomeAuthenticated)
	p = updateParams(client, "r1++")
	p.TokenEndpointAuthMethod, p.ClientSecret = new("none"), new(fixture.Digest("useless"))
	if row := w.update(p, store.OutcomeUpdated); *row.HasSecret || row.ClientSecretExpiresAt != nil {
		t.Errorf("got %+v, want no secret", row)
	}
	authenticates("none", "", store.OutcomeAuthenticated)
	authenticates("client_secret_basic", "useless", store.OutcomeUnauthenticated)
	p = updateParams(client, "r1+++")
	w.Unchanged(func() { w.update(p, store.OutcomeInvalidClientMetadata) })
}

// public was set with the method, so it goes with it: a client that an operator has made confidential needs its secret.
func TestPublicFollowsTheMethodThatAnOperatorSets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	update := func(client store.ClientID, p store.UpdateClientParams, want *bool) {
		t.Helper()
		p.ClientID = client
		c, err := w.Q.UpdateClient(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "public", c.Public, want)
	}
	client := w.open(asPublic)
	update(client, store.UpdateClientParams{Name: new("x")}, new(true))
	update(client, store.UpdateClientParams{TokenEndpointAuthMethod: new("client_secret_basic")}, new(false))
	w.rotateSecret(w.Q, client, "B", time.Hour, store.OutcomeRotated)
	w.want("AuthenticateClient", w.outcome(w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: client, ClientAuthMethod: "none"})), store.OutcomeUnauthenticated)
	wantEqual(t, "authenticated", w.authenticated(w.Q, client, "B"), true)
	update(client, store.UpdateClientParams{TokenEndpointAuthMethod: new("none")}, new(true))
	update(client, store.UpdateClientParams{TokenEndpointAuthMethod: new("client_secret_post"), Public: new(true)}, new(true))
	update(client, store.UpdateClientParams{TokenEndpointAuthMethod: new("client_secret_post"), Cleared: []string{"public"}}, nil)
	update(client, store.UpdateClientParams{TokenEndpointAuthMethod: new("none")}, nil)
}

func TestUpdateOfARegistrationSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open()
	p := updateParams(client, "r1")
	w.update(p, store.OutcomeUpdated)
	w.update(p, store.OutcomeUpdated) // the answer was lost
	w.None(w.managed(client, "r1"))   // for nothing else
	w.update(p, store.OutcomeUpdated)
	w.Unchanged(func() {
		other := p // another successor is another call, as is none
		other.NewRegistrationAccessToken = new(fixture.Digest("other"))
		w.update(other, store.OutcomeUnauthenticated)
		other.NewRegistrationAccessToken = nil
		w.update(other, store.OutcomeUnauthenticated)
		w.want("DeleteRegistration", w.deleteRegistration(client, "r1"), store.OutcomeUnauthenticated)
		w.None(w.managed(w.Client, "r1+"))
	})
	w.OK(w.managed(client, "r1+"))
	w.Unchanged(func() { w.update(p, store.OutcomeUnauthenticated) })
	w.OK(w.managed(client, "r1+"))

	// the new token is used by an update
	w.update(updateParams(client, "r1+"), store.OutcomeUpdated)
	w.update(updateParams(client, "r1++"), store.OutcomeUpdated)
	w.Unchanged(func() { w.update(updateParams(client, "r1+"), store.OutcomeUnauthenticated) })

	// the operator replaces the token
	_, err := w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{ClientID: client, RegistrationAccessToken: new(fixture.Digest("r1+++"))})
	w.OK(err)
	w.Unchanged(func() { w.update(updateParams(client, "r1++"), store.OutcomeUnauthenticated) })
	_, err = w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{ClientID: client})
	w.OK(err)
	w.Unchanged(func() {
		w.update(updateParams(client, "r1+++"), store.OutcomeUnauthenticated)
		none := updateParams(client, "")
		none.RegistrationAccessToken, none.NewRegistrationAccessToken = "", nil
		w.update(none, store.OutcomeUnauthenticated)
	})
}

func (w *world) deleteRegistration(client store.ClientID, raw string) store.Outcome {
	w.Helper()
	return w.outcome(w.Q.DeleteRegistration(w.Ctx, store.DeleteRegistrationParams{ClientID: client, RegistrationAccessToken: fixture.Digest(raw)}))
}

func TestUpdateOfARegistrationReplacesItWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open(func(p *store.RegisterClientParams) {
		p.UserID, p.Scopes, p.Contacts, p.Metadata = &w.User, []string{"openid"}, []string{"a@example.com"}, json.RawMessage(`{"x": 1}`)
		p.DPoPBoundAccessTokens, p.DefaultMaxAge, p.SoftwareID = new(true), new(time.Hour), new("s")
	})
	_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: client, SkipConsent: new(true), AccessTokenLifetime: new(time.Minute), RequirePKCE: new(true)})
	w.OK(err)
	before, err := w.Q.GetClient(w.Ctx, client)
	w.OK(err)
	w.update(updateParams(client, "r1"), store.OutcomeUpdated)
	after, err := w.Q.GetClient(w.Ctx, client)
	w.OK(err)
	want := before
	want.Name, want.TokenEndpointAuthMethod, want.Public = new("Notes, renamed"), new("client_secret_basic"), new(false)
	want.Scopes, want.Contacts, want.Metadata, want.DPoPBoundAccessTokens, want.DefaultMaxAge, want.SoftwareID = nil, nil, nil, nil, nil, nil
	want.RegistrationAccessToken, want.PreviousRegistrationAccessToken = new(fixture.Digest("r1+")), new(fixture.Digest("r1"))
	want.UpdatedAt, want.ConsentsEpoch = after.UpdatedAt, before.ConsentsEpoch+1 // the name is another one
	if got, want := asJSON(after), asJSON(want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	wantTouched(t, "UpdateRegistration", before.CreatedAt, after.CreatedAt, before.UpdatedAt, after.UpdatedAt)
}

func TestDisabledClientDoesNotChangeItsRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open()
	w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, client)), store.OutcomeEnded)
	w.Unchanged(func() { w.update(updateParams(client, "r1"), store.OutcomeDisabled) })
	w.OK(w.managed(client, "r1"))
	w.want("DeleteRegistration", w.deleteRegistration(client, "wrong"), store.OutcomeUnauthenticated)
	w.want("DeleteRegistration", w.deleteRegistration("none", "r1"), store.OutcomeUnauthenticated)
	w.want("DeleteRegistration", w.deleteRegistration(client, "r1"), store.OutcomeDeleted)
	w.want("DeleteRegistration", w.deleteRegistration(client, "r1"), store.OutcomeUnauthenticated)
	w.update(updateParams(client, "r1"), store.OutcomeUnauthenticated)
	w.None(w.managed(client, "r1"))
	_, err := w.Q.GetClient(w.Ctx, client)
	w.None(err)
	// an absent token manages nothing, not even a client that has none
	w.want("DeleteRegistration", w.outcome(w.Q.DeleteRegistration(w.Ctx, store.DeleteRegistrationParams{ClientID: w.Client})), store.OutcomeUnauthenticated)
}

func TestDeletedRegistrationIsLikeADeletedClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open(asPublic)
	w.Client = client
	live := w.Redeem()
	w.WantLive(live.Access, live.Refresh)
	w.want("DeleteRegistration", w.deleteRegistration(client, "r1"), store.OutcomeDeleted)
	w.WantDead(live.Access, live.Refresh)
}

// documentParams is what a client says in its metadata document, as fetched then.
func documentParams(fetched time.Time) store.PutClientDocumentParams {
	p := store.PutClientDocumentParams{
		ID: store.NewOAuthClientID(), FetchedAt: fetched, FreshFor: time.Hour, RedirectURIs: []string{fixture.RedirectURI}, Name: new("App"), DocumentETag: new(`"1"`),
	}
	documentAt(&p, store.ClientID("https://app.example/"+fixture.Unique("client")))
	return p
}

// documentAt gives a document another client_id, which it says itself, too.
func documentAt(p *store.PutClientDocumentParams, client store.ClientID) {
	p.ClientID, p.DocumentClientID = client, new(string(client))
}

func (w *world) put(p store.PutClientDocumentParams, want store.Outcome) store.PutClientDocumentRow {
	w.Helper()
	row, err := w.Q.PutClientDocument(w.Ctx, p)
	w.OK(err)
	w.want("PutClientDocument", row.Outcome, want)
	return row
}

func TestOlderFetchOfADocumentChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	at := time.Now().Add(-time.Minute).Truncate(time.Microsecond)
	older := documentParams(at)
	older.RedirectURIs = []string{"https://withdrawn.example/cb"}
	newer := older
	newer.ID, newer.FetchedAt, newer.RedirectURIs = store.NewOAuthClientID(), at.Add(5*time.Second), []string{fixture.RedirectURI}
	w.put(newer, store.OutcomeInserted)
	w.Unchanged(func() {
		w.put(older, store.OutcomeStale)
		w.put(newer, store.OutcomeRetried)
	})

	newest := newer
	newest.ID, newest.FetchedAt, newest.RedirectURIs, newest.Contacts = store.NewOAuthClientID(), at.Add(6*time.Second), []string{"https://app.example/cb"}, []string{"a@app.example"}
	for _, want := range []store.Outcome{store.OutcomeChanged, store.OutcomeRetried} { // a lost answer is given again
		row := w.put(newest, want)
		if !slices.Equal(row.Changes, []string{"contacts", "redirect_uris"}) || !slices.Equal(row.ConsentChanges, []string{"redirect_uris"}) {
			t.Errorf("%s: changes %v, of which consent %v", want, row.Changes, row.ConsentChanges)
		}
	}
	w.Unchanged(func() {
		w.put(older, store.OutcomeStale)
		w.put(newer, store.OutcomeStale)
	})
	newest.FetchedAt = at.Add(7 * time.Second)
	if row := w.put(newest, store.OutcomeFresh); len(row.Changes) != 0 || row.IsDisabled || row.FreshUntil == nil {
		t.Errorf("got %+v", row)
	}
	c, err := w.Q.GetClient(w.Ctx, newer.ClientID)
	w.OK(err)
	if c.ID != newer.ID || *c.TokenEndpointAuthMethod != "none" || !*c.Public || *c.DocumentURI != string(newer.ClientID) {
		t.Errorf("got %+v", c)
	}
}

// A server whose clock is ahead doesn't keep the others from storing what they fetch.
func TestFetchThatLiesAheadCountsAsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	ahead := documentParams(time.Now().Add(24 * time.Hour))
	w.put(ahead, store.OutcomeInserted)
	ahead.ID, ahead.FetchedAt, ahead.Name = store.NewOAuthClientID(), time.Now(), new("Renamed") // of a server whose clock is right
	w.put(ahead, store.OutcomeChanged)
}

// Else the first fetch would stay, as no later one of such a server is later.
func TestFetchWithoutItsTimeIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.refused(func() {
		_, err := w.Q.PutClientDocument(w.Ctx, documentParams(time.Time{}))
		wantEqual(t, "error", pgErrorOf(err).Message, "FetchedAt is missing")
	})
}

func TestDocumentNeverLiftsAnOperatorsNo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now().Add(-time.Minute))
	w.put(p, store.OutcomeInserted)
	w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, p.ClientID)), store.OutcomeEnded)
	p.ID, p.FetchedAt, p.Name = store.NewOAuthClientID(), p.FetchedAt.Add(time.Second), new("Renamed")
	if row := w.put(p, store.OutcomeChanged); !row.IsDisabled {
		t.Error("the answer does not say that the client is disabled")
	}
	c, err := w.Q.GetClient(w.Ctx, p.ClientID)
	w.OK(err)
	if !c.Disabled || *c.Name != "Renamed" {
		t.Errorf("disabled %t, name %s", c.Disabled, *c.Name)
	}
	w.deleteClient(p.ClientID)
	p.ID, p.FetchedAt = store.NewOAuthClientID(), p.FetchedAt.Add(time.Second)
	w.Unchanged(func() { w.put(p, store.OutcomeRevoked) })
}

func TestDocumentLeavesWhatTheServerDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now().Add(-time.Minute))
	w.put(p, store.OutcomeInserted)
	_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: p.ClientID, UserID: &w.User, SkipConsent: new(true), AccessTokenLifetime: new(time.Minute)})
	w.OK(err)
	p.ID, p.FetchedAt = store.NewOAuthClientID(), p.FetchedAt.Add(time.Second)
	w.put(p, store.OutcomeFresh)
	c, err := w.Q.GetClient(w.Ctx, p.ClientID)
	w.OK(err)
	if *c.UserID != w.User || !*c.SkipConsent || *c.AccessTokenLifetime != time.Minute {
		t.Errorf("got %+v", c)
	}
}

// A server that derives the id from the client_id passes the same one each time. What has changed is still told, so that users are asked again.
func TestDocumentIsNewOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now().Add(-time.Minute))
	w.put(p, store.OutcomeInserted)
	w.put(p, store.OutcomeRetried)
	p.FetchedAt = p.FetchedAt.Add(time.Second)
	w.put(p, store.OutcomeFresh)
	p.FetchedAt, p.Name = p.FetchedAt.Add(time.Second), new("Bank")
	r := w.put(p, store.OutcomeChanged)
	wantEqual(t, "consent_changes", r.ConsentChanges, []string{"name"})
}

// Whoever can put a file on a host is not the client of its URL: the document has to say so (draft-ietf-oauth-client-id-metadata-document).
func TestDocumentHasToSayItsClientID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now())
	for _, says := range []*string{nil, new(""), new("https://other.example/client"), new(string(p.ClientID) + "/"), new(strings.ToUpper(string(p.ClientID)))} {
		p.DocumentClientID = says
		w.Unchanged(func() { w.put(p, store.OutcomeInvalidClientMetadata) })
	}
	documentAt(&p, p.ClientID)
	w.put(p, store.OutcomeInserted)
}

func TestDocumentTakesNoOtherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	url := w.NewClient(func(p *store.CreateClientParams) { p.ClientID = "https://app.example/registered" })
	p := documentParams(time.Now())
	documentAt(&p, url)
	w.Unchanged(func() { w.put(p, store.OutcomeTaken) })
	for _, bad := range []store.ClientID{
		"", "app", "http://app.example/c", "https://app.example", "https://app.example?c", "https://u@app.example/c", "https://u:p@app.example/c",
		"https://app.example/c#x", "https://app.example/../c", "https://app.example/c/.", "https://app.example/./c", "https://app.example/%2e%2E/c",
		"https://app.example/.%2e", "https://app.example/%2e?c", "HTTPS://app.example/c d", "https:///c",
	} {
		documentAt(&p, bad)
		w.Unchanged(func() { w.put(p, store.OutcomeInvalidClientMetadata) })
	}
	p = documentParams(time.Now())
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt"} {
		p.TokenEndpointAuthMethod = &method
		w.Unchanged(func() { w.put(p, store.OutcomeInvalidClientMetadata) })
	}
	p.TokenEndpointAuthMethod, p.FreshFor = nil, 0
	w.refused(func() {
		_, err := w.Q.PutClientDocument(w.Ctx, p)
		if e := pgErrorOf(err); e.Code != "22023" || !strings.Contains(e.Message, "FreshFor") {
			t.Errorf("got %v, want FreshFor to be refused", err)
		}
	})
}

func TestStaleDocumentsAreFoundInTheOrderInWhichTheyExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var want []store.ClientID
	for i := range 5 {
		p := documentParams(time.Now())
		w.put(p, store.OutcomeInserted)
		switch i {
		case 3: // is fresh
		case 4:
			w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, p.ClientID)), store.OutcomeEnded)
			fallthrough
		default:
			w.Exec(`UPDATE oauth_client SET document_fresh_until = now() - $2 * interval '1 minute' WHERE client_id = $1`, p.ClientID, 10-i)
			if i < 3 {
				want = append(want, p.ClientID)
			}
		}
	}
	var found []store.ClientID
	p := store.FindStaleClientsParams{PageSize: 2}
	for {
		page, err := w.Q.FindStaleClients(w.Ctx, p)
		w.OK(err)
		if len(page) == 0 {
			break
		}
		if len(page) > 2 {
			t.Fatalf("%d on a page of 2", len(page))
		}
		for _, row := range page {
			found = append(found, row.ClientID)
		}
		p.AfterFreshUntil, p.AfterID = *page[len(page)-1].DocumentFreshUntil, page[len(page)-1].ID
	}
	if !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`UPDATE oauth_client SET document_fresh_until = now() + CASE WHEN client_id <> $1 THEN interval '1 hour' ELSE '0' END`, want[0])
		page, err := q.FindStaleClients(w.Ctx, store.FindStaleClientsParams{PageSize: 10})
		w.OK(err)
		if len(page) != 1 || page[0].ClientID != want[0] {
			t.Errorf("fresh until now: found %v", page)
		}
	})
}

// A client_id may be as long as a URL: every index that holds it has room for it, whatever stands beside it.
func TestLongClientIDFitsEveryIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	long := "https://app.example/"
	for len(long) < 2048 {
		long += string(fixture.Digest(long)) // which doesn't compress
	}
	user := store.UserID(fixture.Digest("u"))
	for len(user) < 255 {
		user += store.UserID(fixture.Digest(string(user)))
	}
	user = user[:255]
	p := documentParams(time.Now())
	documentAt(&p, store.ClientID(long[:2048]))
	w.put(p, store.OutcomeInserted)
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: user, Name: "Ada"})
	w.OK(err)
	session := store.SessionID(user)
	row, err := w.Q.CreateSession(w.Ctx, store.CreateSessionParams{ID: session, UserID: user, Token: fixture.Digest("long"), Lifetime: time.Hour})
	w.OK(err)
	w.want("CreateSession", row.Outcome, store.OutcomeCreated)
	w.Client, w.User, w.Session = p.ClientID, user, session
	reference := store.ReferenceID(user)
	live := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID = &reference })
	w.WantLive(live.Access, live.Refresh)
	_, err = w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: user, ReferenceID: &reference, Scopes: []string{"openid"}})
	w.OK(err)
	for _, secret := range []string{"a", "b"} {
		_, err = w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: w.Client, ClientSecret: fixture.Digest(secret), Lifetime: store.Never, Overlap: time.Hour})
		w.OK(err)
	}
	_, err = w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: user, ClientID: w.Client})
	w.OK(err)
	w.WantDead(live.Access, live.Refresh)

	documentAt(&p, p.ClientID+"x")
	_, err = w.Q.PutClientDocument(w.Ctx, p)
	w.violation(err, "PutClientDocument", store.ConstraintOAuthClientClientIDIsVSCHAR)
	if errors.Is(err, nil) {
		t.Error("a client_id of 2,049 bytes is accepted")
	}
}
