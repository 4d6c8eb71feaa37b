package betterauth

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/scrypt"

	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

var writeDump = flag.Bool("write-dump", false, "write the tables that TestImport has had better-auth fill into the importer's testdata")

// withSearchPath is the URL of sessions that see the tables of a schema.
func withSearchPath(t testing.TB, database, schema string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal("the database's URL cannot be read")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// What a better-auth server has written into tables of its own is taken over: its users sign in, its clients authenticate and its refresh
// tokens go on.
func TestImport(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	if _, err := d.Pool.Exec(t.Context(), `CREATE SCHEMA theirs`); err != nil {
		t.Fatal(err)
	}
	source := withSearchPath(t, d.URL, "theirs")
	pool, err := pgxpool.New(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	// the server's pool reads search_path from PGOPTIONS: its driver takes it for no parameter of a URL
	w := &world{t, t.Context(), pool, d.Store, Start(t, d.URL, "OWN_TABLES=1", "PGOPTIONS=-c search_path=theirs")}

	ada, bob := w.signUp("ada@example.com"), w.signUp("bob@example.com")
	shop, _ := w.registerThere(person{}, map[string]any{
		"redirect_uris": []string{redirectURI}, "client_name": "Calendar", "token_endpoint_auth_method": "client_secret_post",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "contacts": []string{"ops@client.example"},
		"client_uri": "https://client.example", "software_id": "calendar", "software_version": "2",
	})
	app, _ := w.registerThere(bob, map[string]any{"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none"})
	grant := func(p person, c client, scope string) string {
		a := w.redeemThere(c, w.code(p, c, scope))
		if a.status != 200 {
			t.Fatalf("no tokens: %s", a)
		}
		return a.text("refresh_token")
	}
	spent := grant(ada, shop, offline)
	live := w.refreshThere(shop, spent).text("refresh_token")
	other := grant(bob, app, offline)
	grant(bob, shop, "openid") // no refresh token, but a consent
	revoked := grant(ada, app, offline)
	if a := w.post("/oauth2/revoke", app.authenticate(url.Values{"token": {revoked}}), ""); a.status != 200 {
		t.Fatalf("revoke: %s", a)
	}
	w.ok(exec1(w, `INSERT INTO account (id, "accountId", "providerId", "userId", "createdAt", "updatedAt") VALUES ('github', '4711', 'github', $1, now(), now())`, ada.id))
	if *writeDump {
		dump(t, w, map[string]string{
			"ada": string(ada.id), "bob": string(bob.id), "shop": string(shop.id), "secret of shop": shop.secret, "app": string(app.id), "live": live, "other": other, "spent": spent, "revoked": revoked,
		})
	}

	lines, sum := imported(t, d.Pool, source, importer.Options{Jobs: 2})
	if sum.Taken+sum.Changed != sum.Read || sum.Read != 10 {
		t.Fatalf("%+v:\n%s", sum, strings.Join(lines, "\n"))
	}
	if lines, sum := imported(t, d.Pool, source, importer.Options{}); sum.Present != sum.Read {
		t.Errorf("once more: %+v:\n%s", sum, strings.Join(lines, "\n"))
	}

	accounts, err := d.Store.ListUserAccounts(t.Context(), ada.id)
	w.ok(err)
	if i := slices.IndexFunc(accounts, func(a store.Account) bool { return a.ProviderID == "credential" }); len(accounts) != 2 || i < 0 || !verifies(t, *accounts[i].Password, password) || verifies(t, *accounts[i].Password, password+"!") {
		t.Errorf("ada's accounts: %+v", accounts)
	}
	first := w.rotateHere(shop, live, store.OutcomeRotated)
	if user, err := d.Store.GetAuthorization(t.Context(), first.family); err != nil || *user.UserID != ada.id {
		t.Errorf("the family is not ada's: %v", err)
	}
	w.rotateHere(shop, first.refresh, store.OutcomeRotated)
	w.rotateHere(shop, live, store.OutcomeReplayed)
	w.rotateHere(app, other, store.OutcomeRotated)
	for _, dead := range []struct {
		c   client
		raw string
	}{{shop, spent}, {app, revoked}} {
		w.rotateHere(dead.c, dead.raw, store.OutcomeUnknown)
	}
	c, err := d.Store.FindConsent(t.Context(), store.FindConsentParams{ClientID: shop.id, UserID: bob.id})
	if err != nil || !slices.Equal(c.Scopes, []string{"openid"}) {
		t.Errorf("bob's consent: %+v, %v", c, err)
	}
}

func exec1(w *world, sql string, args ...any) error {
	_, err := w.pool.Exec(w.ctx, sql, args...)
	return err
}

// imported imports from better-auth's tables, and says what became of each record.
func imported(t *testing.T, pool *pgxpool.Pool, source string, o importer.Options) (lines []string, s importer.Summary) {
	t.Helper()
	from, err := importer.OpenSource(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	items, err := importer.BetterAuth(t.Context(), from, importer.BetterAuthOptions{Lifetimes: importer.Lifetimes{RefreshToken: store.Never, Family: store.Never}})
	if err != nil {
		t.Fatal(err)
	}
	s, err = importer.Run(t.Context(), pool, items, o, func(r importer.Result) {
		lines = append(lines, strings.TrimSuffix(fmt.Sprintf("%d %s %s %s: %s", r.Record, r.Kind, r.ID, r.Outcome, strings.Join(r.Reasons, "; ")), ": "))
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	return lines, s
}

// verifies says whether a password has a hash, as a server checks it: scrypt in the notation of PHC.
func verifies(t *testing.T, hashed, password string) bool {
	t.Helper()
	var ln, r, p int
	parts := strings.Split(hashed, "$")
	if len(parts) != 5 || parts[1] != "scrypt" {
		t.Fatalf("it isn't scrypt")
	}
	if _, err := fmt.Sscanf(parts[2], "ln=%d,r=%d,p=%d", &ln, &r, &p); err != nil {
		t.Fatal(err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[3])
	if err != nil {
		t.Fatal(err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		t.Fatal(err)
	}
	got, err := scrypt.Key([]byte(password), salt, 1<<ln, r, p, len(want))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(got, want)
}

// dump writes the server's tables for the test of the importer, which runs without Node.js, with what users and clients have of them.
func dump(t *testing.T, w *world, presented map[string]string) {
	t.Helper()
	if err := exec1(w, `CREATE TABLE presented (name text, value text)`); err != nil {
		t.Fatal(err)
	}
	for name, value := range presented {
		w.ok(exec1(w, `INSERT INTO presented VALUES ($1, $2)`, name, value))
	}
	config := w.pool.Config().ConnConfig
	cmd := exec.Command("pg_dump", "--schema=theirs", "--no-owner", "--no-privileges", "--inserts", "--exclude-table=theirs.verification", "--exclude-table-data=theirs.jwks", "--no-comments")
	cmd.Env = append(os.Environ(), "PGHOST="+config.Host, fmt.Sprintf("PGPORT=%d", config.Port), "PGUSER="+config.User, "PGPASSWORD="+config.Password, "PGDATABASE="+config.Database)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	kept := []string{"-- Tables of better-auth's own migrations, and what its server wrote into them; written by go test ./betterauth -run TestImport -write-dump."}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "--") || strings.HasPrefix(line, `\`) || strings.HasPrefix(line, "SET ") || strings.Contains(line, "set_config(") {
			continue
		}
		kept = append(kept, line)
	}
	file := filepath.Join(folder, "..", "..", "..", "..", "importer", "testdata", "better-auth.sql")
	if err := os.WriteFile(file, []byte(strings.Join(kept, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
