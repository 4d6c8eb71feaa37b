package importer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/token"
)

type reader func(io.Reader) iter.Seq2[importer.Item, error]

func hydra(r io.Reader) iter.Seq2[importer.Item, error] { return importer.Hydra(r, false) }

// imported runs an import, and says what became of each record.
func imported(t *testing.T, d *testdb.DB, read reader, o importer.Options, file string) (lines []string, s importer.Summary) {
	t.Helper()
	s, err := importer.Run(t.Context(), d.Pool, read(strings.NewReader(file)), o, func(r importer.Result) {
		lines = append(lines, strings.TrimSuffix(fmt.Sprintf("%d %s %s: %s", r.Record, r.ID, r.Outcome, strings.Join(r.Reasons, "; ")), ": "))
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, s
}

func TestEachRecordIsTakenOrRefusedByItself(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]importer.Options{"together": {}, "one by one": {OneByOne: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachByItself(t, o)
		})
	}
}

func eachByItself(t *testing.T, o importer.Options) {
	d := testdb.New(t, testdb.Options{})
	const clients = `
		{"client_id": "a", "redirect_uris": ["https://a.example/cb"], "client_secret": "in plain"}
		[{"client_id": "b", "redirect_uris": ["https://b.example/cb"], "client_secret_hash": "$2a$10$abcdefghijklmnopqrstuv", "skip_consent": true},
		 {"client_id": "c", "redirect_uris": ["https://c.example/cb"]}]
		{"client_id": "a", "redirect_uris": ["https://other.example/cb"]}
		{"redirect_uris": ["https://d.example/cb"]}
		{"client_id": "e"}
		{"client_id": "f", "redirect_uris": "https://f.example/cb"}
		{"client_id": "g", "redirect_uris": ["https://g.example/cb"], "user_id": "nobody"}
		{"client_id": "h", "redirect_uris": ["https://h.example/cb"], "client_secret": "******"}
		{"client_id": "i", "redirect_uris": ["https://i.example/cb"], "client_secret_hash": "secret-in-plain"}
		{"client_id": "j", "redirect_uris": ["https://j.example/cb"], "token_endpoint_auth_method": "none", "skip_consent": "perhaps"}
		{"client_id": "k\u0000", "redirect_uris": ["https://k.example/cb"], "token_endpoint_auth_method": "none"}
		{"client_id": "l", "redirect_uris": ["https://l.example/cb"], "token_endpoint_auth_method": "none", "x": {"y": 1}}`
	lines, sum := imported(t, d, importer.Clients, o, clients)
	want := []string{
		"1 a taken", "2 b taken", "3 c changed: it has no secret", "4 a present", "5  refused: client_id is missing", "6 e refused: ERROR: check constraint violated",
		"7 f refused: redirect_uris", "8 g refused: ERROR: foreign key violated", "9 h refused: client_secret is masked", "10 i refused: client_secret_hash is not a hash",
		"11 j refused: skip_consent is not of its type", "12 k\x00 refused: ", "13 l taken",
	}
	for i, line := range lines {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("it says %q", line)
		}
		if strings.Contains(line, "plain") || strings.Contains(line, "$2a") {
			t.Errorf("it prints a credential: %q", line)
		}
	}
	if sum != (importer.Summary{Read: 13, Taken: 3, Changed: 1, Present: 1, Refused: 8}) || len(lines) != len(want) {
		t.Errorf("%+v of %q", sum, lines)
	}
	a, err := d.Store.GetClient(t.Context(), "a")
	if err != nil || *a.ClientSecret != token.DigestOf("in plain") || a.RedirectURIs[0] != "https://a.example/cb" {
		t.Errorf("%+v, %v", a, err)
	}
	b, err := d.Store.GetClient(t.Context(), "b")
	if err != nil || b.ClientSecret != nil || *b.ForeignSecretHash != "$2a$10$abcdefghijklmnopqrstuv" || !*b.SkipConsent {
		t.Errorf("%+v, %v", b, err)
	}
	if l, err := d.Store.GetClient(t.Context(), "l"); err != nil || string(l.Metadata) != `{"x": {"y": 1}}` {
		t.Errorf("%s, %v", l.Metadata, err)
	}

	// again: all that was taken is there, and nothing is written
	o.Jobs = 4
	lines, sum = imported(t, d, importer.Clients, o, clients)
	if sum != (importer.Summary{Read: 13, Present: 5, Refused: 8}) {
		t.Errorf("again: %+v of %q", sum, lines)
	}
}

func TestHydrasClientsAreTakenOver(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	const file = `{"items": [
		{"client_id": "web", "client_name": "Web", "client_secret": "$pbkdf2-sha256$i=25000,l=32$c2FsdA$aGFzaA", "client_secret_expires_at": 0, "client_uri": "", "contacts": null,
		 "redirect_uris": ["https://web.example/cb"], "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "scope": "openid offline",
		 "audience": ["https://api.example/"], "owner": "", "jwks": {}, "metadata": {"team": "photos"}, "skip_consent": true, "skip_logout_consent": null, "subject_type": "public",
		 "token_endpoint_auth_method": "client_secret_basic", "userinfo_signed_response_alg": "none", "allowed_cors_origins": [], "created_at": "2023-01-01T00:00:00Z",
		 "authorization_code_grant_access_token_lifespan": "1h0m0s", "refresh_token_grant_access_token_lifespan": "30m", "refresh_token_grant_refresh_token_lifespan": "-1"},
		{"client_id": "app", "redirect_uris": ["com.example.app:/cb"], "grant_types": ["authorization_code"], "token_endpoint_auth_method": "none", "audience": ["api"],
		 "allowed_cors_origins": ["https://app.example"]},
		{"client_id": "machine", "grant_types": ["client_credentials"], "redirect_uris": null, "scope": "read", "client_credentials_grant_access_token_lifespan": "soon"},
		{"client_id": "pair", "redirect_uris": ["https://pair.example/cb"], "grant_types": ["implicit"], "token_endpoint_auth_method": "none", "subject_type": "pairwise", "sector_identifier_uri": "https://sector.example/uris.json"}
	], "next_page_token": "x", "is_last_page": true}`
	lines, sum := imported(t, d, hydra, importer.Options{}, file)
	want := []string{
		"1 web changed: it has lifetimes by grant type; the longest is the upper bound for all; the scope offline is called offline_access; its requests need PKCE from now on; with -pkce-optional they don't",
		"2 app changed: allowed_cors_origins are for the server to configure; audience is no list of resource indicators (RFC 8707), and is kept with the other metadata",
		"3 machine refused: client_credentials_grant_access_token_lifespan is not a duration of a second or more",
		"4 pair changed: its users get new pairwise subjects: Hydra's are derived from a salt of its own",
	}
	if !slices.Equal(lines, want) || sum.Changed != 3 {
		t.Errorf("it says\n%s", strings.Join(lines, "\n"))
	}
	web, err := d.Store.GetClient(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if *web.ForeignSecretHash != "$pbkdf2-sha256$i=25000,l=32$c2FsdA$aGFzaA" || !slices.Equal(web.Scopes, []string{"openid", "offline_access"}) ||
		!slices.Equal(web.Resources, []string{"https://api.example/"}) || web.AccessTokenLifetime.String() != "1h0m0s" || web.RefreshTokenLifetime != nil ||
		!*web.SkipConsent || web.JWKS != nil || web.RequirePKCE != nil || !strings.Contains(string(web.Metadata), `"team": "photos"`) {
		t.Errorf("%+v\n%s", web, web.Metadata)
	}
	if app, err := d.Store.GetClient(t.Context(), "app"); err != nil || string(app.Metadata) != `{"audience": ["api"], "allowed_cors_origins": ["https://app.example"]}` || !*app.Public {
		t.Errorf("%s, %v", app.Metadata, err)
	}
	if pair, err := d.Store.GetClient(t.Context(), "pair"); err != nil || *pair.SectorIdentifier != "sector.example" {
		t.Errorf("%+v, %v", pair, err)
	}
	_, _ = imported(t, d, func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.Hydra(r, true) }, importer.Options{}, `{"client_id": "old", "client_secret": "in plain", "redirect_uris": ["https://old.example/cb"]}`)
	if old, err := d.Store.GetClient(t.Context(), "old"); err != nil || *old.RequirePKCE {
		t.Errorf("-pkce-optional: %+v, %v", old, err)
	}
}

func TestUsersAreTakenOverFromCSVAndJSON(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	const file = "\xef\xbb\xbfid,email,name,password_hash,email_verified,colour\n" +
		"u1,Ada@example.com,Ada,$argon2id$v=19$m=65536$c2FsdA$aGFzaA,true,red\n" +
		"u2,,\"Bob \"\"B\"\" Bauer\",,,\n" +
		"u3,ada@EXAMPLE.com,Other Ada,,1,\n" +
		",x@example.com,No id,,,\n" +
		"u4,not an address,Dan,,,\n" +
		"u5,e@example.com,Eve,hunter2,,\n" +
		"u6,f@example.com,Fay,,perhaps,\n" +
		"u1,,Ada again,,,\n"
	lines, sum := imported(t, d, importer.UsersCSV, importer.Options{}, file)
	want := []string{
		"1 u1 taken", "2 u2 taken", "3 u3 refused: another user has the e-mail address", "4  refused: id is missing", "5 u4 refused: ERROR: check constraint violated (SQLSTATE 23514, type email_address, constraint user_email_is_address)",
		"6 u5 refused: password_hash is not a hash", "7 u6 refused: email_verified is neither true nor false", "8 u1 present",
	}
	for i, line := range lines {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) || strings.Contains(line, "hunter2") {
			t.Errorf("it says %q", line)
		}
	}
	if sum.Read != 8 || sum.Taken != 2 || sum.Refused != 5 {
		t.Errorf("%+v", sum)
	}
	u, err := d.Store.GetUser(t.Context(), "u1")
	if err != nil || u.Name != "Ada" || *u.Email != "Ada@example.com" || !u.EmailVerified {
		t.Errorf("%+v, %v", u, err)
	}
	if accounts, err := d.Store.ListUserAccounts(t.Context(), "u1"); err != nil || len(accounts) != 1 || *accounts[0].Password != "$argon2id$v=19$m=65536$c2FsdA$aGFzaA" || accounts[0].ProviderID != "credential" {
		t.Errorf("%+v, %v", accounts, err)
	}
	if u, err := d.Store.GetUser(t.Context(), "u2"); err != nil || u.Name != `Bob "B" Bauer` || u.Email != nil {
		t.Errorf("%+v, %v", u, err)
	}
	lines, _ = imported(t, d, importer.Users, importer.Options{}, `{"id": "u7", "email": null, "email_verified": true, "more": [1]} {"id": 8}`)
	if len(lines) != 2 || lines[0] != "1 u7 taken" || !strings.HasPrefix(lines[1], "2 ") || !strings.Contains(lines[1], "refused: id") {
		t.Errorf("%q", lines)
	}
}

func TestADryRunTakesBackEachRecord(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	for _, one := range []bool{false, true} {
		lines, sum := imported(t, d, importer.Users, importer.Options{DryRun: true, Jobs: 2, OneByOne: one}, `{"id": "u1", "password_hash": "$2a$10$x"} {"id": "u2", "email": "no address"} {"id": "u1"}`)
		if sum.Taken != 2 || sum.Refused != 1 { // the second u1 doesn't meet the first one
			t.Errorf("%+v of %q", sum, lines)
		}
		if _, err := d.Store.GetUser(t.Context(), "u1"); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("it is there: %v", err)
		}
	}
}

// An import that is stopped by the file or the database says where, and goes on from there.
func TestAnImportThatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	run := func(ctx context.Context, file string, skip int64) (importer.Summary, *importer.StoppedError) {
		t.Helper()
		sum, err := importer.Run(ctx, d.Pool, importer.Users(strings.NewReader(file)), importer.Options{Skip: skip, Jobs: 3}, func(importer.Result) {})
		var stopped *importer.StoppedError
		if err != nil && !errors.As(err, &stopped) {
			t.Fatal(err)
		}
		return sum, stopped
	}
	var whole strings.Builder
	for n := range 250 {
		fmt.Fprintf(&whole, `{"id": "u%03d"}`+"\n", n)
	}
	half := whole.String()[:whole.Len()/2+5] // ends within a record
	sum, stopped := run(t.Context(), half, 0)
	if stopped == nil || stopped.Done != sum.Read || sum.Taken != sum.Read || sum.Read < 120 || !strings.Contains(stopped.Error(), fmt.Sprintf("the file ends within a record: run it again with -skip %d", sum.Read)) {
		t.Fatalf("%+v, %v", sum, stopped)
	}
	if _, err := d.Pool.Exec(t.Context(), `ALTER TABLE "user" RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	if broken, err := run(t.Context(), whole.String(), stopped.Done); err == nil || err.Done != stopped.Done || broken.Taken != 0 {
		t.Errorf("without a table: %+v, %v", broken, err)
	}
	if _, err := d.Pool.Exec(t.Context(), `ALTER TABLE gone RENAME TO "user"`); err != nil {
		t.Fatal(err)
	}
	rest, again := run(t.Context(), whole.String(), stopped.Done-1) // one too many does no harm
	if again != nil || rest.Present != 1 || rest.Taken != 250-stopped.Done || rest.Read != 250 {
		t.Errorf("%+v, %v", rest, again)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sum, err := run(ctx, whole.String(), 0); err == nil || !errors.Is(err, context.Canceled) || sum.Taken != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestWhatIsNoFileOfRecordsIsRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		``: "", `[]`: "", `{"items": []}`: "", ` [] [] `: "",
		`"secret"`: "not a JSON object", `[1]`: "not a JSON object", `[null]`: "not a JSON object", `{"items": "secret"}`: "items is not a list",
		`{"id": }`: "not a JSON object", `{"id": "a"`: "ends within a record", `[{"id": "a"}`: "ends within a record", `secret`: "not a JSON object",
	} {
		var stopped *importer.StoppedError
		_, err := importer.Run(t.Context(), nil, importer.Users(strings.NewReader(file)), importer.Options{DryRun: true, Skip: 10}, func(importer.Result) {})
		if (want == "") != (err == nil) || err != nil && (!errors.As(err, &stopped) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	for file, want := range map[string]string{"": "", "id\n": "", "id,name\na\n": "line 2: wrong number of fields", "id\n\"a\n": "line 2"} {
		_, err := importer.Run(t.Context(), nil, importer.UsersCSV(strings.NewReader(file)), importer.Options{Skip: 10}, func(importer.Result) {})
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}

// A record that fails for a reason of the moment, such as a deadlock, is written again, and no other record is lost by it.
func TestARecordThatMeetsADeadlockIsWrittenAgain(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	if _, err := d.Pool.Exec(t.Context(), `
		CREATE SEQUENCE attempts;
		CREATE FUNCTION interfere() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.id = 'u2' AND nextval('attempts') = 1 THEN
				RAISE 'of the moment' USING ERRCODE = '40P01';
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER interfere BEFORE INSERT ON "user" FOR EACH ROW EXECUTE FUNCTION interfere()`); err != nil {
		t.Fatal(err)
	}
	lines, _ := imported(t, d, importer.Users, importer.Options{}, `{"id": "u1"} {"id": "u2", "password_hash": "$2a$10$x"} {"id": "u3"}`)
	if !slices.Equal(lines, []string{"1 u1 taken", "2 u2 taken", "3 u3 taken"}) {
		t.Errorf("%q", lines)
	}
	var attempts, accounts int
	if err := d.Pool.QueryRow(t.Context(), `SELECT last_value, (SELECT count(*) FROM account) FROM attempts`).Scan(&attempts, &accounts); err != nil || attempts != 2 || accounts != 1 {
		t.Errorf("%d attempts, %d accounts, %v", attempts, accounts, err)
	}
}

// Commits that don't wait are for the import alone: the pool's connections are given back as they were, and the last commit has waited.
func TestConnectionsAreGivenBackAsTheyWere(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{MaxConns: 1, Settings: map[string]string{"synchronous_commit": "on"}})
	if _, err := d.Pool.Exec(t.Context(), `CREATE TABLE seen (setting text, position pg_lsn);
		CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO seen VALUES (current_setting('synchronous_commit'), pg_current_wal_insert_lsn());
			RETURN NEW;
		END $$;
		CREATE TRIGGER look AFTER INSERT ON "user" FOR EACH ROW EXECUTE FUNCTION look()`); err != nil {
		t.Fatal(err)
	}
	imported(t, d, importer.Users, importer.Options{}, `{"id": "u1"}`)
	var during, after string
	var flushed bool
	if err := d.Pool.QueryRow(t.Context(), `SELECT setting, current_setting('synchronous_commit'), pg_current_wal_flush_lsn() >= position FROM seen`).Scan(&during, &after, &flushed); err != nil {
		t.Fatal(err)
	}
	if during != "off" || after != "on" || !flushed {
		t.Errorf("synchronous_commit was %s and is %s; on disk: %t", during, after, flushed)
	}
	if s := d.Pool.Stat(); s.AcquiredConns() != 0 {
		t.Errorf("%d connections are kept", s.AcquiredConns())
	}
}

// endless makes records as they are read.
type endless struct{ n, most int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == e.most {
		return 0, io.EOF
	}
	e.n++
	return copy(p, fmt.Sprintf(`{"client_id": "c%d", "redirect_uris": ["https://client.example/callback"], "client_name": "%0200d"}`, e.n, e.n)), nil
}

// long makes users with much that is of no interest.
type long struct {
	n, most int
	rest    []byte
}

func (l *long) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.n == l.most {
			return 0, io.EOF
		}
		l.n++
		l.rest = fmt.Appendf(nil, `{"id": "u%d", "notes": "%03000d"}`, l.n, l.n)
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// A file of any length is read in bounded memory.
func TestMemoryIsBounded(t *testing.T) { // not parallel: it looks at the heap
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const records = 20_000 // 6 MB
	before, most := heap(), uint64(0)
	n := 0
	for item, err := range importer.Hydra(&endless{most: records}, false) {
		if err != nil || item.Refused != nil {
			t.Fatal(err, item.Refused)
		}
		if n++; n%4000 == 0 {
			most = max(most, heap())
		}
	}
	if n != records || most > before+2<<20 {
		t.Errorf("%d records, and the heap has grown from %d to %d bytes", n, before, most)
	}
	// the same while it writes, and of a reader that keeps the file it would be seen
	d := testdb.New(t, testdb.Options{})
	for _, hoards := range []bool{false, true} {
		const records, bound = 3000, 4 << 20
		var file io.Reader = &long{most: records}
		var kept bytes.Buffer
		if hoards {
			file = io.TeeReader(file, &kept)
		}
		before, most := heap(), uint64(0)
		sum, err := importer.Run(t.Context(), d.Pool, importer.Users(file), importer.Options{Jobs: 2}, func(r importer.Result) {
			if r.Record%1000 == 0 {
				most = max(most, heap())
			}
		})
		if err != nil || sum.Taken+sum.Present != records {
			t.Fatal(sum, err)
		}
		if (most > before+bound) != hoards {
			t.Errorf("%d records, and the heap has grown from %d to %d bytes; a file of %d bytes is kept", records, before, most, kept.Len())
		}
	}
	if _, err := importer.Run(t.Context(), nil, importer.Clients(&endless{most: records}), importer.Options{Skip: records}, func(importer.Result) {}); err != nil {
		t.Error(err)
	}
	// and of a database
	source, err := importer.OpenSource(t.Context(), d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for _, hoards := range []bool{false, true} {
		const records, bound = 10_000, 4 << 20
		before, most := heap(), uint64(0)
		var kept []map[string]json.RawMessage
		n := 0
		for o, err := range source.Objects(t.Context(), `SELECT jsonb_build_object('id', n, 'notes', repeat('x', 1000)) FROM generate_series(1, 10000) AS n`) {
			if err != nil {
				t.Fatal(err)
			}
			if hoards {
				kept = append(kept, o)
			}
			if n++; n%2500 == 0 {
				most = max(most, heap())
			}
		}
		if n != records || (most > before+bound) != hoards {
			t.Errorf("%d rows, and the heap has grown from %d to %d bytes; %d are kept", n, before, most, len(kept))
		}
	}
}
