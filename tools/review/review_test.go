package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/internal/queryfile"
)

const root = "../.."

// on makes a reference database for the test on a server.
func on(t *testing.T, server string, size int) *pgx.Conn {
	t.Helper()
	conn, done, err := reference(t.Context(), server, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func testServer(t *testing.T) string {
	t.Helper()
	cluster, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test, Major: plan.Reference, Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if cluster.External { // whatever it is, it is to be tested with
		conn, err := pgx.Connect(t.Context(), cluster.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if v := conn.PgConn().ParameterStatus("server_version"); !strings.HasPrefix(v, fmt.Sprintf("%d.", plan.Reference)) {
			t.Skipf("DATABASE_URL names PostgreSQL %s, and queries are reviewed with %d", v, plan.Reference)
		}
	}
	return cluster.URL
}

// all gathers and renders everything.
func all(t *testing.T, conn *pgx.Conn) (*catalog.Catalog, *schema, map[string][]byte) {
	t.Helper()
	s, err := readSchema(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	facts, _, err := gather(t.Context(), conn, root, s)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := render(facts, s)
	if err != nil {
		t.Fatal(err)
	}
	return facts, s, pages
}

// What is written must not depend on how a server is configured, nor on its collation, nor on when it is asked.
func TestPagesAreTheSameOnEveryServer(t *testing.T) {
	t.Parallel()
	odd, err := devdb.StartPrivate(t.Context(), devdb.PrivateOptions{Major: plan.Reference, Logf: t.Logf, Settings: map[string]string{
		"fsync": "off", "random_page_cost": "9", "seq_page_cost": "0.1", "cpu_tuple_cost": "1", "enable_nestloop": "off", "enable_hashjoin": "off",
		"default_statistics_target": "3", "work_mem": "64kB", "effective_cache_size": "1MB", "geqo_threshold": "2",
		"join_collapse_limit": "1", "max_parallel_workers_per_gather": "4", "min_parallel_table_scan_size": "0", "jit_above_cost": "0",
		"plan_cache_mode": "force_custom_plan", "timezone": "Pacific/Chatham", "datestyle": "SQL, DMY", "intervalstyle": "iso_8601",
		"autovacuum_naptime": "1s", "quote_all_identifiers": "on",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := odd.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	_, _, here := all(t, on(t, testServer(t), referenceSize))
	_, _, there := all(t, on(t, odd.URL, referenceSize))
	for _, name := range slices.Sorted(maps.Keys(here)) {
		if !bytes.Equal(here[name], there[name]) {
			a, b := strings.Split(string(here[name]), "\n"), strings.Split(string(there[name]), "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Errorf("%s:%d: %q here, %q there", name, i+1, a[i], b[i])
					break
				}
			}
		}
	}
}

// What a reviewer is told when somebody has been careless: which, where, and what to do.
func TestCheck(t *testing.T) {
	t.Parallel()
	conn := on(t, testServer(t), 2000)
	before, s, pages := all(t, conn)

	t.Run("what is up to date passes", func(t *testing.T) {
		queries, err := queryfile.ReadDir(root + "/queries")
		if err != nil {
			t.Fatal(err)
		}
		if found := lacking(queries, nil, s); len(found) > 0 {
			t.Error(strings.Join(found, "\n"))
		}
	})

	t.Run("what lacks a comment is named", func(t *testing.T) {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		_, err = tx.Exec(t.Context(), `
			ALTER TABLE session ADD COLUMN colour text, ADD COLUMN paid_by user_id REFERENCES "user" (id), ADD COLUMN token_expires_at timestamptz;
			CREATE TABLE fresh (id text, created_at timestamptz);
			CREATE TYPE mood AS ENUM ('happy');
			CREATE DOMAIN shade AS text;
			CREATE FUNCTION paint() RETURNS integer LANGUAGE sql AS 'SELECT 1'`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		s, err := readSchema(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		queries, err := queryfile.Parse("session.sql", "-- name: Bare :one\nSELECT 1;\n\n-- It says little.\n-- name: Nameless :one\nSELECT 1;\n")
		if err != nil {
			t.Fatal(err)
		}
		files := migrationFiles{
			{"migrations/1.sql", "CREATE TABLE session (\n    id text,\n    colour text\n);\nCREATE TABLE fresh (paid_by text);\nCREATE TYPE mood AS ENUM ('happy');\n"},
			{"migrations/2.sql", "-- +goose Up\nALTER TABLE session\n    ADD COLUMN paid_by user_id;\n\n-- +goose Down\nCREATE DOMAIN shade AS text;\n"},
		}
		found := lacking(queries, files, s)
		for _, want := range []string{
			`^queries/session\.sql:1: Bare has no contract`, `^queries/session\.sql:5: the contract of Nameless has to begin with its name`,
			`^migrations/1\.sql:3: the column session\.colour has no comment.*COMMENT ON COLUMN session\.colour IS`,
			`^migrations/2\.sql:3: the column session\.paid_by has no comment`, `^migrations/1\.sql:5: the table fresh has no comment.*COMMENT ON TABLE fresh`,
			`^migrations/1\.sql:6: the type mood`, `^migrations/: the domain shade`, `^migrations/: the function paint`,
		} {
			if !slices.ContainsFunc(found, regexp.MustCompile(want).MatchString) {
				t.Errorf("no %s in\n%s", want, strings.Join(found, "\n"))
			}
		}
		if len(found) != 8 {
			t.Errorf("%d complaints:\n%s", len(found), strings.Join(found, "\n"))
		}
	})

	t.Run("a stale page fails, and a lost index is named", func(t *testing.T) {
		if _, err := conn.Exec(t.Context(), "ALTER TABLE session DROP CONSTRAINT session_token_uidx"); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if _, err := compareOrWrite(dir, pages, before, false); err != nil {
			t.Fatal(err)
		}
		if report, err := compareOrWrite(dir, pages, before, true); err != nil || len(report) > 0 {
			t.Errorf("nothing has changed yet: %v, %v", report, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "docs/queries/gone.md"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		after, _, now := all(t, conn)
		report, err := compareOrWrite(dir, now, after, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"stale: docs/queries/session.md", "stale: docs/schema.md", "stale: docs/queries/gone.md, whose queries are gone",
			"FindSessionByToken: the plan no longer uses the index session_token_uidx", "FindSessionByToken: the plan now has a Seq Scan on session s",
			"CreateSession: its constraints and triggers changed", "make review",
		} {
			if !strings.Contains(strings.Join(report, "\n"), want) {
				t.Errorf("no %q in\n%s", want, strings.Join(report, "\n"))
			}
		}
		if strings.Contains(strings.Join(report, "\n"), "jwks") {
			t.Errorf("what has not changed is stale:\n%s", strings.Join(report, "\n"))
		}
	})
}

func TestFacts(t *testing.T) {
	t.Parallel()
	conn := on(t, testServer(t), 100)
	_, err := conn.Exec(t.Context(), `
		CREATE TABLE parent (id integer CONSTRAINT parent_pkey PRIMARY KEY, name text, note text, CONSTRAINT parent_name_set CHECK (name <> ''));
		CREATE UNIQUE INDEX parent_name_uidx ON parent (lower(name));
		CREATE TABLE child (id integer, parent_id integer CONSTRAINT child_fkey REFERENCES parent ON DELETE CASCADE);
		ALTER TABLE child ADD CONSTRAINT child_pkey PRIMARY KEY (id);
		CREATE TABLE toy (child_id integer CONSTRAINT toy_fkey REFERENCES child ON DELETE SET NULL);
		CREATE FUNCTION forget(gone integer) RETURNS void LANGUAGE sql AS 'DELETE FROM toy WHERE child_id = gone';
		CREATE FUNCTION sweep(of integer) RETURNS integer LANGUAGE plpgsql AS $$
			DECLARE
				p parent;
				n text;
			BEGIN
				SELECT x.* INTO p FROM parent AS x WHERE x.id = of FOR KEY SHARE;
				IF p.id IS NULL THEN
					RETURN 0;
				ELSIF EXISTS (SELECT FROM account) THEN
					UPDATE toy SET child_id = of;
				ELSE
					PERFORM forget(of);
				END IF;
				n := (SELECT s.label FROM session AS s FOR SHARE);
				RETURN 1;
			END $$;
		CREATE TABLE watched (id integer);
		CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM FROM parent FOR SHARE; RETURN NEW; END';
		CREATE TRIGGER always BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
		CREATE TRIGGER sometimes BEFORE UPDATE ON watched FOR EACH ROW WHEN (NEW.id IS NULL) EXECUTE FUNCTION watch()`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSchema(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		"INSERT INTO child (id) VALUES (1)": `
			write insert child
			fire insert into child unique child_pkey`,
		"INSERT INTO child VALUES (1, 1)": `
			write insert child
			lock parent FOR KEY SHARE foreign key child_fkey
			fire insert into child unique child_pkey
			fire insert into child foreign key child_fkey`,
		"UPDATE parent SET note = 'x'": `
			write update parent
			lock parent FOR NO KEY UPDATE UPDATE`,
		"UPDATE parent SET name = 'x'": `
			write update parent
			lock parent FOR NO KEY UPDATE UPDATE
			fire update of parent unique parent_name_uidx
			fire update of parent check parent_name_set`,
		"UPDATE parent SET id = 2": `
			write update parent
			lock parent FOR NO KEY UPDATE UPDATE keys id
			fire update of parent unique parent_pkey
			fire update of parent foreign key child_fkey`,
		"INSERT INTO parent (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2": `
			write insert parent
			write update parent
			lock parent FOR NO KEY UPDATE ON CONFLICT DO UPDATE keys id
			fire insert into parent unique parent_pkey
			fire update of parent unique parent_pkey`,
		"DELETE FROM parent": `
			write delete parent
			write delete child through foreign key child_fkey
			write update toy through foreign key toy_fkey
			lock parent FOR UPDATE DELETE
			lock child FOR UPDATE DELETE through foreign key child_fkey
			lock toy FOR NO KEY UPDATE UPDATE through foreign key toy_fkey
			fire delete from parent foreign key child_fkey
			fire delete from child foreign key toy_fkey`,
		"SELECT forget(1)": `
			write delete toy through function forget
			lock toy FOR UPDATE DELETE through function forget`,
		"SELECT sweep(1)": `
			write update toy through function sweep
			write delete toy through function forget
			lock parent FOR KEY SHARE FOR KEY SHARE through function sweep
			lock toy FOR NO KEY UPDATE UPDATE through function sweep
			lock child FOR KEY SHARE foreign key toy_fkey, if it changes through function sweep
			lock toy FOR UPDATE DELETE through function forget
			lock session FOR SHARE FOR SHARE through function sweep`,
		"INSERT INTO watched VALUES (1)": `
			write insert watched
			lock parent FOR SHARE FOR SHARE through trigger always
			fire insert into watched trigger always`,
		"UPDATE watched SET id = 1": `
			write update watched
			lock watched FOR NO KEY UPDATE UPDATE
			fire update of watched trigger sometimes`,
		"WITH p AS (SELECT FROM parent FOR SHARE SKIP LOCKED) SELECT FROM p": `
			lock parent FOR SHARE FOR SHARE SKIP LOCKED in p`,
	} {
		var q catalog.Query
		if err := effects(&q, s, sql, ""); err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		var lines []string
		line := func(words ...string) {
			lines = append(lines, strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		}
		said := func(word, value string) string {
			if value == "" {
				return ""
			}
			return word + " " + value
		}
		for _, a := range q.Writes {
			line("write", a.How, a.Table, said("through", a.Through))
		}
		for _, l := range q.Locks {
			line("lock", l.Table, l.Strength.String(), l.By, l.Wait, said("keys", strings.Join(l.Keys, " ")), said("in", l.Within), said("through", l.Through))
		}
		for _, f := range q.Fires {
			line("fire", f.On, f.Kind, f.Name)
		}
		got, expected := strings.Join(lines, "\n"), strings.TrimSpace(strings.ReplaceAll(want, "\t", ""))
		if !strings.HasPrefix(got, expected) {
			t.Errorf("%s: got\n%s\nwant\n%s", sql, got, expected)
		}
	}
}

func TestProseIsMarkdown(t *testing.T) {
	t.Parallel()
	q := catalog.Query{Name: "GetX", File: "x.sql", Contract: "GetX returns (RFC 7009, section 2.1) what FindX <may> find\nby user_id, or GetY a*b. See RFC 9126."}
	c := &catalog.Catalog{Queries: []catalog.Query{q, {Name: "GetY", File: "x.sql"}, {Name: "FindX", File: "other.sql"}}}
	want := "**GetX** returns ([RFC 7009, section 2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1)) what [FindX](other.md#findx) &lt;may&gt; find " +
		"by `user_id`, or [GetY](#gety) a\\*b. See [RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)."
	if got := prose(c, q); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Every link of the pages has to lead somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	packed, err := os.ReadFile(filepath.Join(root, catalogFile))
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile(root + "/docs/schema.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{"../schema.md": string(schema)}
	maps.Copy(pages, queryPages(c))
	headings := map[string]bool{}
	for name, text := range pages {
		for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
			headings[name+anchor(m[1])] = true
		}
		headings[name] = true
	}
	code := regexp.MustCompile("`[^`\n]*`") // in which a regular expression may look like a link
	for name, text := range pages {
		for _, m := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			to := m[1]
			switch {
			case strings.HasPrefix(to, "https://www.rfc-editor.org/"):
				continue
			case strings.HasPrefix(to, "#"):
				to = name + to
			}
			base := "docs/queries"
			if name == "../schema.md" {
				base = "docs"
			}
			if _, err := os.Stat(filepath.Join(root, base, to)); !headings[to] && err != nil {
				t.Errorf("%s links to %s, which is not there", name, to)
			}
		}
	}
}

func TestAPageThatDisagreesWithThePlanIsAnError(t *testing.T) {
	t.Parallel()
	of := func(typ, operation, relation string, below ...*plan.Node) *plan.Node {
		return &plan.Node{Type: typ, Operation: operation, Relation: relation, Plans: below}
	}
	q := catalog.Query{
		Reads:  []catalog.Access{{Table: "account", How: "select"}},
		Writes: []catalog.Access{{Table: "session", How: "delete"}, {Table: "jwks", How: "update", Through: "foreign key x"}},
	}
	if err := agree(&q, of("ModifyTable", "Delete", "session", of("Seq Scan", "", "session"), of("Seq Scan", "", "account"))); err != nil {
		t.Error(err)
	}
	for want, root := range map[string]*plan.Node{
		"the plan reads user":                       of("ModifyTable", "Delete", "session", of("Seq Scan", "", "user")),
		"the statement has the delete of session":   of("Seq Scan", "", "account"),
		"the plan has the insert of oauth_client":   of("ModifyTable", "Delete", "session", of("ModifyTable", "Insert", "oauth_client")),
		"the plan has the update of jwks, which is": of("ModifyTable", "Delete", "session", of("ModifyTable", "Update", "jwks")),
	} {
		if err := agree(&q, root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
