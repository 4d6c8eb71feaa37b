package importer_test

import (
	"encoding/json"
	"io"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/internal/importer/hydracase"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// hydraSource is a database with the tables of an Ory Hydra, and what is in them.
func hydraSource(t *testing.T) (*testdb.DB, hydracase.Case) {
	t.Helper()
	var c hydracase.Case
	content, err := os.ReadFile("testdata/hydra.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &c); err != nil {
		t.Fatal(err)
	}
	sql, err := os.ReadFile("testdata/hydra.sql")
	if err != nil {
		t.Fatal(err)
	}
	d := testdb.New(t, testdb.Options{})
	if _, err := d.Pool.Exec(t.Context(), string(sql)); err != nil {
		t.Fatal(err)
	}
	return d, c
}

// bench/http does the same with a Hydra that it builds (make hydra).
func TestTheTablesOfHydraAreImported(t *testing.T) {
	t.Parallel()
	source, c := hydraSource(t)
	hydracase.Check(t, source.URL, testdb.New(t, testdb.Options{}), c)
}

// tables imports the tables of a Hydra, and says what became of each record.
func tables(t *testing.T, source string, d *testdb.DB, o importer.HydraOptions) (lines []string, err error) {
	t.Helper()
	s, err := importer.OpenSource(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	items, err := importer.HydraTables(t.Context(), s, o)
	if err != nil {
		return nil, err
	}
	_, err = importer.Run(t.Context(), d.Pool, items, importer.Options{}, func(r importer.Result) {
		lines = append(lines, strings.Join(append([]string{string(r.Kind), r.ID, string(r.Outcome)}, r.Reasons...), " "))
	})
	return lines, err
}

func TestOlderTablesOfHydraAreRead(t *testing.T) {
	t.Parallel()
	source, _ := hydraSource(t)
	// of 2.0: no end of a refresh token, and no columns that came later
	for _, sql := range []string{
		`ALTER TABLE hydra_oauth2_refresh DROP COLUMN expires_at, DROP COLUMN first_used_at, DROP COLUMN access_token_signature`,
		`ALTER TABLE hydra_client DROP COLUMN skip_consent, DROP COLUMN skip_logout_consent, DROP COLUMN access_token_strategy`,
		`ALTER TABLE hydra_oauth2_flow DROP COLUMN identity_provider_session_id, DROP COLUMN login_extend_session_lifespan`,
		`UPDATE hydra_oauth2_refresh SET requested_at = now() AT TIME ZONE 'UTC' - interval '1 hour'`,
		`UPDATE hydra_oauth2_refresh SET requested_at = now() AT TIME ZONE 'UTC' - interval '3 hours' WHERE subject = 'bob'`,
		// two tokens of one grant, as a rotation with a grace period leaves them
		`UPDATE hydra_oauth2_refresh SET active = true WHERE client_id = 'shop' AND subject = 'ada'`,
	} {
		if _, err := source.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	d := testdb.New(t, testdb.Options{})
	lines, err := tables(t, source.URL, d, importer.HydraOptions{
		CreateUsers: true, Lifetimes: importer.Lifetimes{RefreshToken: 2 * time.Hour, Family: 24 * time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(lines, "\n")
	if !strings.Contains(said, "refresh token ada/shop taken") || strings.Contains(said, "refresh token bob") || strings.Count(said, "ada/shop") != 2 {
		t.Errorf("it says\n%s", said)
	}
	var tokens, families int
	var left time.Duration
	if err := d.Pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT authorization_id), max(expires_at) - now() FROM oauth_refresh_token WHERE client_id = 'shop'`).Scan(&tokens, &families, &left); err != nil {
		t.Fatal(err)
	}
	if tokens != 2 || families != 1 || left > time.Hour || left < 30*time.Minute {
		t.Errorf("%d tokens of %d families, for %s", tokens, families, left)
	}
}

func TestASourceThatIsNoHydraIsRefused(t *testing.T) {
	t.Parallel()
	source, _ := hydraSource(t)
	d := testdb.New(t, testdb.Options{})
	if _, err := tables(t, d.URL, d, importer.HydraOptions{}); err == nil || !strings.Contains(err.Error(), "no tables of Ory Hydra 2") {
		t.Errorf("without tables: %v", err)
	}
	if _, err := tables(t, source.URL, d, importer.HydraOptions{Network: "x"}); err == nil || !strings.Contains(err.Error(), "one of [") {
		t.Errorf("another network: %v", err)
	}
	const second = `INSERT INTO networks SELECT gen_random_uuid(), created_at, updated_at FROM networks`
	if _, err := source.Pool.Exec(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := tables(t, source.URL, d, importer.HydraOptions{}); err == nil || !strings.Contains(err.Error(), "2 networks: one of") {
		t.Errorf("two networks: %v", err)
	}
	var network string
	if err := source.Pool.QueryRow(t.Context(), `SELECT n.id::text FROM networks AS n WHERE n.id NOT IN (SELECT c.nid FROM hydra_client AS c)`).Scan(&network); err != nil {
		t.Fatal(err)
	}
	if lines, err := tables(t, source.URL, d, importer.HydraOptions{Network: network}); err != nil || len(lines) != 0 {
		t.Errorf("the empty one: %q, %v", lines, err)
	}
	for _, connection := range []string{"postgres://ada:hunter2@127.0.0.1:1/x", "postgres://ada:hunter2@[", "host=127.0.0.1 port=1 password=hunter2"} {
		if _, err := importer.OpenSource(t.Context(), connection); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", connection, err)
		}
	}
}

// A source can't be written to, and is read as it was when the import began.
func TestASourceIsReadInOneSnapshot(t *testing.T) {
	t.Parallel()
	source, _ := hydraSource(t)
	s, err := importer.OpenSource(t.Context(), source.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	count := func() (n int) {
		for _, err := range s.Objects(t.Context(), `SELECT to_jsonb(c) FROM hydra_client AS c`) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	before := count()
	if _, err := source.Pool.Exec(t.Context(), `DELETE FROM hydra_client`); err != nil {
		t.Fatal(err)
	}
	if after := count(); before != 3 || after != before {
		t.Errorf("%d clients, then %d", before, after)
	}
	for _, err := range s.Objects(t.Context(), `INSERT INTO networks SELECT gen_random_uuid(), now(), now() RETURNING '{}'`) {
		if err == nil || !strings.Contains(err.Error(), "25006") {
			t.Errorf("it can be written to: %v", err)
		}
	}
}

func TestConsentsAndRefreshTokensAreReadFromFiles(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	for _, sql := range []string{
		`INSERT INTO "user" (id, name) VALUES ('u1', ''), ('u2', ''), ('u3', '')`,
		`UPDATE "user" SET suspended_at = now() WHERE id = 'u3'`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris, public) VALUES ('1', 'a', '{https://a.example/cb}', true), ('2', 'b', '{https://b.example/cb}', true)`,
	} {
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	same := func(lines []string, want ...string) {
		t.Helper()
		for i, line := range lines {
			if i >= len(want) || line != want[i] {
				t.Errorf("it says %q", line)
			}
			if strings.Contains(line, "hunter2") {
				t.Errorf("it prints a token: %q", line)
			}
		}
		if len(lines) != len(want) {
			t.Errorf("%d lines, want %d", len(lines), len(want))
		}
	}
	lines, _ := imported(t, d, importer.ConsentsCSV, importer.Options{}, "user_id,client_id,scope,granted_at,resources\n"+
		"u1,a,openid email,2024-05-06T07:08:09Z,\n"+"u1,b,openid,2024-05-06 07:08:09.5+00,https://api.example\n"+"u1,a,profile,,\n"+"u2,c,openid,,\n"+"u4,d,openid,,\n"+"u3,a,openid,,\n"+",a,openid,,\n"+"u2,,openid,,\n"+"u2,a,openid,yesterday,\n")
	same(lines, "1 u1/a taken", "2 u1/b taken", "3 u1/a present", "4 u2/c refused: there is no client c", "5 u4/d refused: there is no client d, and no user u4",
		"6 u3/a refused: the user is suspended", "7 /a refused: user_id is missing", "8 u2/ refused: client_id is missing", "9 u2/a refused: granted_at is no time (RFC 3339)")
	g, err := d.Store.FindConsent(t.Context(), store.FindConsentParams{UserID: "u1", ClientID: "a"})
	if err != nil || strings.Join(g.Scopes, " ") != "openid email" || !g.CreatedAt.Equal(time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)) {
		t.Errorf("%+v, %v", g, err)
	}
	lines, _ = imported(t, d, importer.Consents, importer.Options{}, `{"user_id": "u2", "client_id": "a", "scopes": ["openid"], "resources": ["https://api.example"], "granted_at": 1700000000}
		{"user_id": "u2", "client_id": "b", "scope": 7}`)
	same(lines, "1 u2/a taken", "2 u2/b refused: scope is not of its type")

	bounds := importer.Lifetimes{RefreshToken: time.Hour, Family: store.Never}
	lines, _ = imported(t, d, func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.RefreshTokens(r, bounds) }, importer.Options{}, `
		{"user_id": "u1", "client_id": "a", "token": "hunter2", "scope": "openid", "expires_at": "2124-01-02T03:04:05Z"}
		{"user_id": "u1", "client_id": "a", "token": "hunter2", "scope": "openid"}
		{"user_id": "u1", "client_id": "a", "tokens": ["one", "two"], "grant_id": "g"}
		{"user_id": "u1", "client_id": "a", "tokens": ["three"], "grant_id": "g"}
		{"user_id": "u2", "client_id": "a", "tokens": ["two"], "grant_id": "h"}
		{"user_id": "u2", "client_id": "a", "token": "late", "expires_at": "2024-01-02T03:04:05Z"}
		{"user_id": "u2", "client_id": "a"}
		{"user_id": "u2", "client_id": "a", "token_digest": "hunter2"}
		{"user_id": "u2", "client_id": "a", "token": "h\u0000hunter2"}
		{"user_id": "u2", "client_id": "b", "token_digest": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}
		{"user_id": "u2", "client_id": "b", "token_digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`)
	same(lines, "1 u1/a taken", "2 u1/a present", "3 u1/a taken", "4 u1/a present", "5 u2/a present", "6 u2/a refused: it has expired", "7 u2/a refused: token and token_digest are missing",
		"8 u2/a refused: token_digest: token: not a digest: 43 characters of unpadded base64url are expected", "9 u2/a refused: token: token: malformed: a character outside printable ASCII", "10 u2/b taken", "11 u2/b present") // the same digest in hexadecimal
	lines, _ = imported(t, d, func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.RefreshTokensCSV(r, bounds) }, importer.Options{},
		"user_id,client_id,token,scope\nu2,a,of-csv,openid offline_access\n")
	same(lines, "1 u2/a taken")
	raw, err := token.ParseForeign(token.RefreshToken, "of-csv")
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.Store.FindRefreshTokenByToken(t.Context(), raw.Digest())
	if err != nil || strings.Join(r.Scopes, " ") != "openid offline_access" || time.Until(*r.ExpiresAt) > time.Hour {
		t.Errorf("%+v, %v", r, err)
	}
}
