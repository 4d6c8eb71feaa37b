package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// world is a database with a user who has signed in, a client that she uses, and a key: what docs/command.md is about.
type world struct {
	t   *testing.T
	db  *testdb.DB
	url string // writes security events

	theirs *testdb.DB
	source *testdb.DB // the tables of an Ory Hydra

	cookie, secret, code, access, refresh token.Raw
}

const (
	ada   = store.UserID("usr_ada")
	bob   = store.UserID("usr_bob")
	album = store.ClientID("album")
	azn   = store.AuthorizationID("azn_1")
	ses   = store.SessionID("ses_1")
	key1  = store.SigningKeyID("key-1")

	sealed = "sealed-by-the-servers-key" // a private key
	hashed = "$argon2id$of-ada"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, testdb.New(t, testdb.Options{Settings: map[string]string{"oauthdb.events": "on"}}))
}

func newWorldOn(t *testing.T, d *testdb.DB) *world {
	t.Helper()
	w := &world{t: t, db: d, url: d.URL, secret: token.Mint(token.ClientSecret), code: token.Mint(token.AuthorizationCode)}
	if !testdb.Pooled() {
		u, err := url.Parse(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("oauthdb.events", "on")
		u.RawQuery = q.Encode()
		w.url = u.String()
	}
	var err error
	if w.refresh, err = token.ParseForeign(token.RefreshToken, "refresh-token-of-ada"); err != nil {
		t.Fatal(err)
	}
	if w.access, err = token.ParseForeign(token.AccessToken, "access-token-of-ada"); err != nil {
		t.Fatal(err)
	}
	if w.cookie, err = token.ParseForeign(token.SessionToken, "of-ada-on-her-laptop"); err != nil {
		t.Fatal(err)
	}
	ctx, q := t.Context(), d.Store
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for _, u := range []store.CreateUserParams{
		{ID: ada, Name: "Ada Lovelace", Email: new("ada@example.com"), EmailVerified: true},
		{ID: bob, Name: "Bob"},
	} {
		_, err = q.CreateUser(ctx, u)
		must("user", err)
	}
	_, err = q.CreateAccount(ctx, store.CreateAccountParams{ID: store.NewAccountID(), AccountID: string(ada), ProviderID: "credential", UserID: ada, Password: new(hashed)})
	must("account", err)
	_, err = q.CreateSession(ctx, store.CreateSessionParams{
		ID: ses, UserID: ada, Token: w.cookie.Digest(), Lifetime: 14 * 24 * time.Hour, IPAddress: new("192.0.2.17"), UserAgent: new("Firefox"),
		AuthTime: new(time.Now()), AMR: []string{"pwd"},
	})
	must("session", err)
	_, err = q.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: album, Name: new("Album"), RedirectURIs: []string{"https://album.example/cb"}, ClientSecret: new(w.secret.Digest()),
		TokenEndpointAuthMethod: new("client_secret_basic"), GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"photos.read", "offline_access"},
		Metadata: json.RawMessage(`{"client_name#de": "Fotoalbum"}`),
	})
	must("client", err)
	_, err = q.GrantConsent(ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: album, UserID: ada, Scopes: []string{"photos.read", "offline_access"}})
	must("consent", err)
	verifier := newVerifier()
	_, err = q.GrantAuthorization(ctx, store.GrantAuthorizationParams{
		ID: azn, ClientID: album, UserID: ada, SessionID: new(ses), Scopes: []string{"photos.read", "offline_access"}, GrantedScopes: []string{"photos.read", "offline_access"},
		RedirectURI: new("https://album.example/cb"), ResponseType: new("code"), CodeChallenge: new(token.S256(verifier)), CodeChallengeMethod: new("S256"),
		Code: w.code.Digest(), CodeLifetime: time.Minute, AuthTime: new(time.Now()),
	})
	must("grant", err)
	row, err := q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		ClientID: album, ClientAuthMethod: "client_secret_basic", ClientSecret: w.secret.Digest(), Code: w.code.Digest(), RedirectURI: new("https://album.example/cb"),
		CodeChallenge: new(token.S256(verifier)), AccessTokenID: store.NewAccessTokenID(), AccessToken: new(w.access.Digest()), AccessTokenLifetime: time.Hour,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(w.refresh.Digest()), RefreshTokenLifetime: 24 * time.Hour, FamilyLifetime: store.Never,
	})
	must("redemption", err)
	if row.Outcome != store.OutcomeRedeemed {
		t.Fatalf("redemption: %s", row.Outcome)
	}
	_, err = q.CreateSigningKey(ctx, store.CreateSigningKeyParams{
		ID: key1, PublicKey: `{"kty":"EC","crv":"P-256","kid":"key-1"}`, PrivateKey: sealed, Alg: new("ES256"), Curve: new("P-256"),
	})
	must("key", err)
	return w
}

// run runs a command on the world's database.
func (w *world) run(stdin string, args ...string) (code int, out, errors string) {
	w.t.Helper()
	cmd, rest, err := find(args)
	if err != nil {
		w.t.Fatal(err)
	}
	if flags, _ := cmd.flags(); flags.Lookup("database-url") != nil {
		rest = append([]string{"-database-url", w.url}, rest...)
	}
	if i := slices.Index(rest, hydraURL); i >= 0 {
		rest[i] = w.hydra()
	}
	if i := slices.Index(rest, betterAuthURL); i >= 0 {
		rest[i] = w.betterAuth()
	}
	var stdout, stderr bytes.Buffer
	code = run(w.t.Context(), append(strings.Fields(cmd.name), rest...), console{in: strings.NewReader(stdin), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// hydraURL is what the pages call the database of an Ory Hydra.
const hydraURL = "postgres://reader@hydra.example/hydra"

// hydra is the address of a database with the tables of an Ory Hydra.
func (w *world) hydra() string {
	w.t.Helper()
	if w.source == nil {
		sql, err := os.ReadFile("../../internal/importer/testdata/hydra.sql")
		if err != nil {
			w.t.Fatal(err)
		}
		w.source = testdb.New(w.t, testdb.Options{})
		if _, err := w.source.Pool.Exec(w.t.Context(), string(sql)); err != nil {
			w.t.Fatal(err)
		}
	}
	return w.source.URL
}

// betterAuthURL is what the pages call the database of a better-auth server.
const betterAuthURL = "postgres://reader@app.example/app"

// betterAuth is the address of a database with the tables of better-auth. Ours has an ada, too.
func (w *world) betterAuth() string {
	w.t.Helper()
	if w.theirs == nil {
		sql, err := os.ReadFile("../../internal/importer/testdata/better-auth.sql")
		if err != nil {
			w.t.Fatal(err)
		}
		w.theirs = testdb.New(w.t, testdb.Options{})
		if _, err := w.theirs.Pool.Exec(w.t.Context(), string(sql)+`
			UPDATE theirs."user" SET email = 'other.' || email;
			UPDATE theirs."oauthRefreshToken" SET "expiresAt" = now() + interval '7 days'`); err != nil {
			w.t.Fatal(err)
		}
	}
	return withParams(w.t, w.theirs.URL, "search_path", "theirs")
}

// credentials are what no command may print, in any form that the database has.
func (w *world) credentials() []string {
	found := []string{sealed, hashed, "$argon2id$"}
	for _, raw := range []token.Raw{w.cookie, w.secret, w.code, w.access, w.refresh} {
		found = append(found, raw.Reveal(), string(raw.Digest()))
	}
	return found
}
