package importer_test

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// theirs is a database with better-auth's tables in the schema theirs.
type theirs struct {
	*testdb.DB
	t      *testing.T
	source string
}

func newTheirs(t *testing.T, sql string) *theirs {
	t.Helper()
	d := &theirs{testdb.New(t, testdb.Options{}), t, ""}
	d.exec(sql)
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal("the database's URL cannot be read")
	}
	q := u.Query()
	q.Set("search_path", "theirs")
	u.RawQuery = q.Encode()
	d.source = u.String()
	return d
}

func (d *theirs) exec(sql string) {
	d.t.Helper()
	if _, err := d.Pool.Exec(d.t.Context(), sql); err != nil {
		d.t.Fatal(err)
	}
}

// imported imports from better-auth's tables, and says what became of each record.
func (d *theirs) imported(run importer.Options, o importer.BetterAuthOptions) (lines []string, s importer.Summary) {
	d.t.Helper()
	from, err := importer.OpenSource(d.t.Context(), d.source)
	if err != nil {
		d.t.Fatal(err)
	}
	defer from.Close()
	o.Lifetimes = importer.Lifetimes{RefreshToken: 30 * 24 * time.Hour, Family: store.Never}
	items, err := importer.BetterAuth(d.t.Context(), from, o)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err = importer.Run(d.t.Context(), d.Pool, items, run, func(r importer.Result) {
		lines = append(lines, strings.TrimSuffix(string(r.Kind)+" "+r.ID+" "+string(r.Outcome)+": "+strings.Join(r.Reasons, "; "), ": "))
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return lines, s
}

// rotate presents a refresh token that better-auth has issued.
func (d *theirs) rotate(client, method, secret, refresh string) store.Outcome {
	d.t.Helper()
	p := store.RotateRefreshTokenParams{
		ClientID: store.ClientID(client), ClientAuthMethod: method, Token: token.DigestOf(refresh), Successor: token.Mint(token.RefreshToken).Digest(),
		SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: time.Hour, AccessTokenID: store.NewAccessTokenID(),
		AccessToken: new(token.Mint(token.AccessToken).Digest()), AccessTokenLifetime: time.Minute, DefaultScopes: []string{"openid", "email", "offline_access"},
	}
	if secret != "" {
		p.ClientSecret = token.DigestOf(secret)
	}
	r, err := d.Store.RotateRefreshToken(d.t.Context(), p)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.Outcome
}

// The rows are those that a better-auth server has written, so what is taken over is what it would have gone on with.
func TestBetterAuthsTables(t *testing.T) {
	t.Parallel()
	dump, err := os.ReadFile("testdata/better-auth.sql")
	if err != nil {
		t.Fatal(err)
	}
	d := newTheirs(t, string(dump))
	d.exec(`UPDATE theirs."oauthRefreshToken" SET "expiresAt" = now() + interval '7 days'`) // they were written some time ago
	had := map[string]string{}
	rows, err := d.Pool.Query(t.Context(), `SELECT name, value FROM theirs.presented`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			t.Fatal(err)
		}
		had[name] = value
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	ada, bob, shop, app := had["ada"], had["bob"], had["shop"], had["app"]
	want := []string{
		"client " + app + " changed: it is registered for refresh_token, too: better-auth gives such a client refresh tokens all the same", "client " + shop + " taken",
		"consent " + ada + "/" + app + " taken", "consent " + ada + "/" + shop + " taken", "consent " + bob + "/" + app + " taken", "consent " + bob + "/" + shop + " taken",
		"refresh token " + ada + "/" + shop + " taken", "refresh token " + bob + "/" + app + " taken", "user " + ada + " taken", "user " + bob + " taken",
	}
	slices.Sort(want)
	for _, o := range []importer.Options{{DryRun: true, Jobs: 2}, {Jobs: 2}} {
		lines, _ := d.imported(o, importer.BetterAuthOptions{})
		if slices.Sort(lines); !slices.Equal(lines, want) {
			t.Fatalf("dry run: %t: it says\n%s\nwant\n%s", o.DryRun, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	}
	if lines, s := d.imported(importer.Options{}, importer.BetterAuthOptions{}); s.Present != 10 {
		t.Errorf("once more: %q", lines)
	}

	c, err := d.Store.GetClient(t.Context(), store.ClientID(shop))
	if err != nil || *c.ClientSecret != token.DigestOf(had["secret of shop"]) || *c.Name != "Calendar" || *c.URI != "https://client.example" || c.Metadata != nil {
		t.Errorf("%+v, %v, %s", c, err, c.Metadata)
	}
	if owned, err := d.Store.GetClient(t.Context(), store.ClientID(app)); err != nil || string(*owned.UserID) != bob || !*owned.Public {
		t.Errorf("%+v, %v", owned, err)
	}
	accounts, err := d.Store.ListUserAccounts(t.Context(), store.UserID(ada))
	if err != nil || len(accounts) != 2 {
		t.Fatalf("%+v, %v", accounts, err)
	}
	for _, a := range accounts {
		if a.ProviderID == "credential" && !strings.HasPrefix(*a.Password, "$scrypt$ln=14,r=16,p=1$") || a.ProviderID == "github" && a.AccountID != "4711" {
			t.Errorf("%+v", a)
		}
	}
	for _, step := range []struct {
		refresh string
		want    store.Outcome
	}{
		{had["spent"], store.OutcomeUnknown}, {had["live"], store.OutcomeRotated}, {had["live"], store.OutcomeReplayed}, {had["live"], store.OutcomeRevoked},
	} {
		if got := d.rotate(shop, "client_secret_post", had["secret of shop"], step.refresh); got != step.want {
			t.Errorf("a refresh token of better-auth's: %s, want %s", got, step.want)
		}
	}
	if got := d.rotate(app, "none", "", had["other"]); got != store.OutcomeRotated {
		t.Errorf("the public client's: %s", got)
	}
	if lines, s := d.imported(importer.Options{}, importer.BetterAuthOptions{}); s.Present != 10 || d.rotate(shop, "client_secret_post", had["secret of shop"], had["live"]) == store.OutcomeRotated {
		t.Errorf("an import after the family's end: %q", lines)
	}
}

// What better-auth can be configured to write, and what can't be taken.
func TestBetterAuthsOddRows(t *testing.T) {
	t.Parallel()
	dump, err := os.ReadFile("testdata/better-auth.sql")
	if err != nil {
		t.Fatal(err)
	}
	d := newTheirs(t, string(dump)+`
		TRUNCATE theirs."user" CASCADE;
		TRUNCATE theirs."oauthClient" CASCADE;
		ALTER TABLE theirs."user" ADD COLUMN banned boolean, ADD COLUMN "twoFactorEnabled" boolean, ADD COLUMN role text;
		INSERT INTO theirs."user" (id, name, email, "emailVerified", banned, "twoFactorEnabled", role) VALUES
			('u1', 'Banned', 'u1@example.com', true, true, false, NULL), ('u2', 'Careful', 'u2@example.com', false, false, true, 'admin'), ('u3', 'Same', 'u3@example.com', false, NULL, NULL, NULL),
			('u4', 'Same', 'U3@example.com', false, NULL, NULL, NULL);
		INSERT INTO theirs.account (id, "accountId", "providerId", "userId", password, "accessToken", "accessTokenExpiresAt", "updatedAt") VALUES
			('a1', 'u1', 'credential', 'u1', '$2b$10$abcdefghijklmnopqrstuv', NULL, NULL, now()), ('a2', 'u2', 'credential', 'u2', 'of:our-own', NULL, NULL, now()),
			('a3', '7', 'google', 'u2', NULL, 'of Google', '2030-01-01', now());
		INSERT INTO theirs."oauthClient" (id, "clientId", "clientSecret", "tokenEndpointAuthMethod", "redirectUris", "grantTypes", scopes, disabled, "requirePKCE", "subjectType", "referenceId", metadata, "clientDiscoveryId", jwks) VALUES
			('c1', 'encrypted', repeat('ab', 60), 'client_secret_basic', '["https://a.example/cb"]', '["authorization_code", "refresh_token"]', NULL, NULL, false, 'pairwise', 'acme', '{"team": "photos"}', NULL, NULL),
			('c2', 'hashed', '$argon2id$of-our-own', 'client_secret_basic', '["https://a.example/cb"]', '["client_credentials"]', '["read"]', true, NULL, NULL, NULL, NULL, NULL, NULL),
			('c3', 'found', NULL, 'none', '["https://a.example/cb"]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'cimd', NULL),
			('c4', 'keys', NULL, 'private_key_jwt', '["https://a.example/cb"]', '["authorization_code"]', '["openid"]', NULL, NULL, NULL, NULL, NULL, NULL, '{"keys": [{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": "1"}]}');
		INSERT INTO theirs."oauthResource" (id, identifier, name) VALUES ('r1', 'https://api.example/', 'API');
		INSERT INTO theirs."oauthClientResource" (id, "clientId", "resourceId") VALUES ('cr', 'keys', 'https://api.example/');
		INSERT INTO theirs."oauthConsent" (id, "clientId", "userId", scopes, "createdAt", "updatedAt", "referenceId") VALUES
			('g1', 'keys', 'u2', '["openid"]', '2024-02-03', now(), NULL), ('g2', 'hashed', 'u2', '["read"]', now(), now(), NULL), ('g3', 'keys', 'u1', '["openid"]', now(), now(), NULL), ('g4', 'found', 'u3', '["openid"]', now(), now(), NULL);
		INSERT INTO theirs."oauthRefreshToken" (id, token, "clientId", "userId", scopes, "createdAt", "expiresAt", revoked) VALUES
			('t1', 'of-our-own', 'keys', 'u2', '["offline_access"]', now(), now() + interval '1 day', NULL), ('t2', repeat('A', 43), 'keys', 'u2', '["openid"]', now(), now() + interval '1 day', NULL),
			('t3', repeat('B', 42) || 'A', 'keys', 'u2', '["offline_access"]', now(), now() - interval '1 day', NULL), ('t4', repeat('C', 42) || 'A', 'keys', 'u2', '["offline_access"]', now(), now() + interval '1 day', now()),
			('t5', repeat('D', 42) || 'A', 'keys', 'u3', '["offline_access"]', now(), now() + interval '1 day', NULL)`)
	lines, _ := d.imported(importer.Options{}, importer.BetterAuthOptions{})
	want := []string{
		"user u1 taken",
		"user u2 changed: role is left out; twoFactorEnabled is left out; the password is left out: its hash is in a notation of the server's own; -keep-hashes takes it as it is",
		"user u3 taken", "user u4 refused: another user has the e-mail address",
		"client encrypted changed: its users get new pairwise subjects: better-auth's are derived by a key of its own; its secret is left out: it is encrypted, or hashed in a way of the server's own; " +
			"it has no secret, so it can't authenticate: give it one with 'oauthdb client rotate-secret'",
		"client hashed taken", "client found refused: it was found by its metadata document, and will be again", "client keys taken",
		"consent u2/keys taken", "consent u2/hashed refused: the client is disabled", "consent u1/keys refused: the user is suspended", "consent u3/found refused: there is no client found",
		"refresh token u2/keys refused: it is hashed in a way of the server's own", "refresh token u2/keys refused: it was granted without offline_access, so it ends with the session",
		"refresh token u3/keys taken",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("it says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if c, err := d.Store.GetClient(t.Context(), "encrypted"); err != nil || c.ClientSecret != nil || c.ForeignSecretHash != nil || *c.RequirePKCE || string(*c.ReferenceID) != "acme" || string(c.Metadata) != `{"team": "photos"}` {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := d.Store.GetClient(t.Context(), "hashed"); err != nil || !c.Disabled || *c.ForeignSecretHash != "$argon2id$of-our-own" || !slices.Equal(c.Scopes, []string{"read"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := d.Store.GetClient(t.Context(), "keys"); err != nil || c.JWKS == nil || !slices.Equal(c.Resources, []string{"https://api.example/"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if u, err := d.Store.GetUser(t.Context(), "u1"); err != nil || u.SuspendedAt == nil {
		t.Errorf("%+v, %v", u, err)
	}
	if g, err := d.Store.FindConsent(t.Context(), store.FindConsentParams{ClientID: "keys", UserID: "u2"}); err != nil || g.CreatedAt.Year() != 2024 {
		t.Errorf("%+v, %v", g, err)
	}
	d.exec(`DELETE FROM "user" WHERE id = 'u2'`)
	lines, _ = d.imported(importer.Options{}, importer.BetterAuthOptions{KeepHashes: true, Only: []importer.Kind{importer.UserRecord}})
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "user u2 changed") || strings.Contains(lines[1], "password") {
		t.Errorf("with the hashes as they are: %q", lines)
	}
	var kept []string
	if err := d.Pool.QueryRow(t.Context(), `SELECT array_agg(concat_ws(' ', provider_id, password, access_token, access_token_expires_at AT TIME ZONE 'UTC') ORDER BY id) FROM account WHERE user_id = 'u2'`).Scan(&kept); err != nil ||
		!slices.Contains(kept, "credential of:our-own") || len(kept) != 2 {
		t.Errorf("%q, %v", kept, err)
	}
}

// The OIDC provider that better-auth had before its OAuth provider keeps secrets and tokens in plain.
func TestBetterAuthsOlderProvider(t *testing.T) {
	t.Parallel()
	d := newTheirs(t, `
		CREATE SCHEMA theirs;
		CREATE TABLE theirs."user" (id text PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, "emailVerified" boolean NOT NULL, image text, "createdAt" timestamp NOT NULL, "updatedAt" timestamp NOT NULL);
		CREATE TABLE theirs.account (id text PRIMARY KEY, "accountId" text NOT NULL, "providerId" text NOT NULL, "userId" text NOT NULL REFERENCES theirs."user" (id), password text, "createdAt" timestamp NOT NULL, "updatedAt" timestamp NOT NULL);
		CREATE TABLE theirs."oauthApplication" (id text PRIMARY KEY, name text, icon text, metadata text, "clientId" text UNIQUE, "clientSecret" text, "redirectUrls" text, type text, disabled boolean, "userId" text, "createdAt" timestamp, "updatedAt" timestamp);
		CREATE TABLE theirs."oauthAccessToken" (id text PRIMARY KEY, "accessToken" text UNIQUE, "refreshToken" text UNIQUE, "accessTokenExpiresAt" timestamp, "refreshTokenExpiresAt" timestamp, "clientId" text, "userId" text, scopes text, "createdAt" timestamp, "updatedAt" timestamp);
		CREATE TABLE theirs."oauthConsent" (id text PRIMARY KEY, "clientId" text, "userId" text, scopes text, "createdAt" timestamp, "updatedAt" timestamp, "consentGiven" boolean);
		INSERT INTO theirs."user" VALUES ('u1', 'Ada', 'ada@example.com', true, NULL, now(), now());
		INSERT INTO theirs."oauthApplication" VALUES
			('1', 'Web', NULL, '{"team": "photos"}', 'web', repeat('Secret', 5) || 'ab', 'https://a.example/cb,https://a.example/other', 'web', false, NULL, now(), now()),
			('2', 'App', NULL, NULL, 'app', '', 'com.example.app:/cb', 'public', true, 'u1', now(), now()),
			('3', 'Odd', NULL, 'no object', 'odd', NULL, 'https://a.example/cb', 'web', false, NULL, now(), now()),
			('4', 'Encrypted', NULL, NULL, 'encrypted', repeat('ab', 32), 'https://a.example/cb', 'web', false, NULL, now(), now());
		INSERT INTO theirs."oauthConsent" VALUES ('1', 'web', 'u1', 'openid offline_access', now(), now(), true), ('2', 'app', 'u1', 'openid', now(), now(), false);
		INSERT INTO theirs."oauthAccessToken" VALUES
			('1', 'access', 'refresh', now(), now() + interval '7 days', 'web', 'u1', 'openid offline_access', now(), now()),
			('2', 'access 2', 'refresh 2', now(), now() - interval '7 days', 'web', 'u1', 'openid offline_access', now(), now());`)
	lines, _ := d.imported(importer.Options{}, importer.BetterAuthOptions{})
	want := []string{
		"user u1 taken", "client web taken", "client app taken", "client odd refused: metadata is not a JSON object",
		"client encrypted changed: its secret is left out: it is encrypted, or hashed in a way of the server's own; if secrets are in plain there, -plain-secrets takes them; " +
			"it has no secret, so it can't authenticate: give it one with 'oauthdb client rotate-secret'",
		"consent u1/web taken", "refresh token u1/web taken",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("it says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	secret := strings.Repeat("Secret", 5) + "ab"
	if c, err := d.Store.GetClient(t.Context(), "web"); err != nil || *c.ClientSecret != token.DigestOf(secret) || len(c.RedirectURIs) != 2 || string(c.Metadata) != `{"team": "photos"}` {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := d.Store.GetClient(t.Context(), "app"); err != nil || !c.Disabled || !*c.Public || *c.UserID != "u1" {
		t.Errorf("%+v, %v", c, err)
	}
	if got := d.rotate("web", "client_secret_basic", secret, "refresh"); got != store.OutcomeRotated {
		t.Errorf("the refresh token: %s", got)
	}
	d.exec(`DELETE FROM oauth_client WHERE client_id = 'encrypted'`)
	d.imported(importer.Options{}, importer.BetterAuthOptions{PlainSecrets: true})
	if c, err := d.Store.GetClient(t.Context(), "encrypted"); err != nil || *c.ClientSecret != token.DigestOf(strings.Repeat("ab", 32)) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestADatabaseThatIsntBetterAuths(t *testing.T) {
	t.Parallel()
	d := newTheirs(t, `CREATE SCHEMA theirs`)
	from, err := importer.OpenSource(t.Context(), d.URL) // ours
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if _, err := importer.BetterAuth(t.Context(), from, importer.BetterAuthOptions{}); err == nil || !strings.Contains(err.Error(), "emailVerified") {
		t.Errorf("%v", err)
	}
}
