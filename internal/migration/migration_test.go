package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	gooselib "github.com/pressly/goose/v3"

	"github.com/oauthdb/oauthdb/internal/devdb"
)

// files is a tree in a directory of its own: path, text, path, text …
func files(t *testing.T, texts ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"migrations", "routines"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(texts); i += 2 {
		write(t, root, texts[i], texts[i+1])
	}
	return root
}

func write(t *testing.T, root, path, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func requireRun(t *testing.T, root string, args ...string) {
	t.Helper()
	if err := run(root, args, io.Discard); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

func requireRefused(t *testing.T, root, want string, args ...string) {
	t.Helper()
	if err := run(root, args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v: %v, want an error with %q", args, err, want)
	}
}

const (
	one   = "-- +goose Up\nCREATE TABLE one ();\n-- +goose Down\nDROP TABLE one;\n"
	two   = "-- +goose Up\nCREATE TABLE two ();\n-- +goose Down\nDROP TABLE two;\n"
	three = "-- +goose Up\nCREATE TABLE three ();\n-- +goose Down\nDROP TABLE three;\n"
)

func TestSumsAreOnlyAdded(t *testing.T) {
	t.Parallel()
	root := files(t, "migrations/00001_one.sql", one, "migrations/00002_two.sql", two)
	requireRefused(t, root, "00001_one.sql is not in migrations.sum", "check")
	requireRun(t, root, "sums")
	requireRun(t, root, "check")
	landed := read(t, root, "migrations/migrations.sum")

	write(t, root, "migrations/00003_three.sql", three)
	requireRefused(t, root, "00003_three.sql is not in migrations.sum", "check")
	requireRun(t, root, "sums")
	requireRun(t, root, "check")
	more := read(t, root, "migrations/migrations.sum")
	if rest, ok := strings.CutPrefix(more, landed); !ok || strings.Count(rest, "\n") != 1 || !strings.HasSuffix(rest, "  00003_three.sql\n") {
		t.Errorf("sums made\n%s\nof\n%s", more, landed)
	}
	requireRun(t, root, "sums")
	if again := read(t, root, "migrations/migrations.sum"); again != more {
		t.Errorf("sums with nothing to add made\n%s\nof\n%s", again, more)
	}
}

func TestLandedFilesAreHeld(t *testing.T) {
	t.Parallel()
	rename := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			if err := os.Rename(filepath.Join(root, "migrations", from), filepath.Join(root, "migrations", to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*testing.T, string)
		want   string
	}{
		"changed": {func(t *testing.T, root string) { write(t, root, "migrations/00001_one.sql", one+"\n") }, "00001_one.sql has changed since it landed"},
		"renamed": {rename("00002_two.sql", "00002_deux.sql"), "00002_two.sql has landed and is now 00002_deux.sql"},
		"removed": {func(t *testing.T, root string) {
			if err := os.Remove(filepath.Join(root, "migrations/00002_two.sql")); err != nil {
				t.Fatal(err)
			}
		}, "00002_two.sql has landed and is gone"},
		"renumbered": {func(t *testing.T, root string) {
			rename("00002_two.sql", "00003_two.sql")(t, root)
			write(t, root, "migrations/00002_three.sql", three)
		}, "00002_two.sql has landed and is now 00003_two.sql"},
		"same number twice": {func(t *testing.T, root string) { write(t, root, "migrations/00002_other.sql", three) }, "numbers go up by one"},
		"gap":               {func(t *testing.T, root string) { write(t, root, "migrations/00004_four.sql", three) }, "numbers go up by one"},
		"odd name":          {func(t *testing.T, root string) { write(t, root, "migrations/3.sql", three) }, "NNNNN_"},
		"line edited": {func(t *testing.T, root string) {
			text := read(t, root, "migrations/migrations.sum")
			write(t, root, "migrations/migrations.sum", strings.Repeat("0", 64)+text[64:])
		}, "00001_one.sql has changed"},
		"lines out of order": {func(t *testing.T, root string) {
			lines := strings.SplitAfter(read(t, root, "migrations/migrations.sum"), "\n")
			write(t, root, "migrations/migrations.sum", lines[1]+lines[0])
		}, "lines are only ever added at the end"},
		"line removed in the middle": {func(t *testing.T, root string) {
			lines := strings.SplitAfter(read(t, root, "migrations/migrations.sum"), "\n")
			write(t, root, "migrations/migrations.sum", lines[1])
		}, "00001_one.sql is new, but comes before 00002_two.sql"},
		"not a line": {func(t *testing.T, root string) { write(t, root, "migrations/migrations.sum", "sum\n") }, "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := files(t, "migrations/00001_one.sql", one, "migrations/00002_two.sql", two)
			requireRun(t, root, "sums")
			c.change(t, root)
			before := read(t, root, "migrations/migrations.sum")
			requireRefused(t, root, c.want, "check")
			requireRefused(t, root, c.want, "sums")
			if after := read(t, root, "migrations/migrations.sum"); after != before {
				t.Errorf("sums rewrote\n%s\nas\n%s", before, after)
			}
		})
	}
}

func TestSettingsThatOutliveTheirFileAreFound(t *testing.T) {
	t.Parallel()
	for statement, refused := range map[string]bool{
		"SET work_mem = '1GB';": true, "set session search_path = x;": true, "RESET ALL;": true, "DISCARD ALL;": true,
		"SET LOCAL work_mem = '1GB';": false, "SET CONSTRAINTS ALL IMMEDIATE;": false, "-- SET x = y;\nSELECT 'SET x = y;';": false,
	} {
		for _, at := range []string{"-- +goose Up\n", "-- +goose Down\n"} {
			root := files(t, "migrations/00001_one.sql", strings.Replace(one, at, at+statement+"\n", 1))
			requireRun(t, root, "sums")
			if refused {
				requireRefused(t, root, "outlives the file", "check")
			} else {
				requireRun(t, root, "check")
			}
		}
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	got, err := statements(`-- one; two
/* a; /* b; */ c; */ SELECT ';', ";", 'it''s;', E'\';', $$;$$, $x$ $$;$$ ;$x$; -- end;
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
SELECT 1;;`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`SELECT ';', ";", 'it''s;', E'\';', $$;$$, $x$ $$;$$ ;$x$;`,
		`CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;`,
		`SELECT 1;`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"SELECT 1", "SELECT 'a;", "SELECT $$;", "/* SELECT 1;"} {
		if got, err := statements(text); err == nil {
			t.Errorf("%q was split into %q", text, got)
		}
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	of := func(rest string) string { return signature("CREATE OR REPLACE FUNCTION f" + rest) }
	base := of("(a int, b text DEFAULT ')') RETURNS TABLE (x int, language text) LANGUAGE sql AS $$ SELECT 1 $$;")
	for _, same := range []string{
		"(a int, b text DEFAULT ')')\nRETURNS TABLE (x int, language text)\nSTABLE AS $$ SELECT 2 $$;",
		"(a int, b text DEFAULT ')') RETURNS TABLE (x int, language text) RETURNS NULL ON NULL INPUT AS $$ $$;",
		"(a int, b text DEFAULT ')') RETURNS TABLE (x int, language text) BEGIN ATOMIC SELECT 1; END;",
	} {
		if got := of(same); got != base {
			t.Errorf("%q and %q differ", got, base)
		}
	}
	for _, other := range []string{
		"(a bigint, b text DEFAULT ')') RETURNS TABLE (x int, language text) AS $$ $$;",
		"(a int, b text DEFAULT '(') RETURNS TABLE (x int, language text) AS $$ $$;",
		"(a int, b text DEFAULT ')') RETURNS TABLE (x int) AS $$ $$;",
	} {
		if got := of(other); got == base {
			t.Errorf("%q is taken for the same", other)
		}
	}
}

func TestRoutineFilesAreHeldToTheirForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';":                                            "CREATE OR REPLACE FUNCTION",
		"CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1';":                                 "the function f",
		"CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';":                          "the function f",
		"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP TABLE one;":                 "COMMENT ON FUNCTION f",
		"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON FUNCTION g() IS 'g';": "COMMENT ON FUNCTION f",
		"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'":                                  "semicolon",
		"": "nothing else",
	} {
		root := files(t, "migrations/00001_one.sql", one, "routines/f.sql", text)
		requireRun(t, root, "sums")
		requireRefused(t, root, want, "check")
		requireRefused(t, root, want, "routine")
	}
	root := files(t, "migrations/00001_one.sql", one, "routines/README", "")
	requireRefused(t, root, "only files of functions", "check")
	root = files(t, "migrations/00001_one.sql", strings.Replace(one, "CREATE TABLE", "ALTER FUNCTION f() STABLE;\nCREATE TABLE", 1))
	requireRefused(t, root, "one by one", "check")
	root = files(t, "migrations/00001_one.sql", one)
	requireRefused(t, root, "there is no function", "routine", "g")
}

const aFunction = "-- +goose Up\nCREATE TABLE one (id int);\n-- +goose StatementBegin\nCREATE FUNCTION f(a int) RETURNS int\n" +
	"LANGUAGE sql AS $$ SELECT a; $$;\n-- +goose StatementEnd\nCOMMENT ON FUNCTION f(int) IS 'One.';\n" +
	"-- +goose Down\nDROP FUNCTION f(int);\nDROP TABLE one;\n"

// Each step changes routines/, writes the migration, and applies it. Then the functions are what the files make of them, and its
// Down leaves what was there before.
func TestARoutineMigrationThatIsWrittenAnewKeepsItsNumber(t *testing.T) {
	t.Parallel()
	f := func(what string) string {
		return "CREATE OR REPLACE FUNCTION f(a int) RETURNS int\nLANGUAGE sql AS $$ SELECT " + what + "; $$;\n"
	}
	root := files(t, "migrations/00001_one.sql", one, "routines/f.sql", f("1"))
	requireRun(t, root, "routine")
	write(t, root, "migrations/00003_three.sql", three)
	requireRun(t, root, "sums")
	for _, what := range []string{"2", "3"} {
		write(t, root, "routines/f.sql", f(what))
		write(t, root, "migrations/migrations.sum", strings.SplitAfter(read(t, root, "migrations/migrations.sum"), "\n")[0])
		if err := os.Remove(filepath.Join(root, "migrations/00002_routine_f.sql")); err != nil {
			t.Fatal(err)
		}
		requireRefused(t, root, "numbers go up by one", "check")
		requireRefused(t, root, "numbers go up by one", "sums")
		requireRun(t, root, "routine")
		if text := read(t, root, "migrations/00002_routine_f.sql"); !strings.Contains(text, "SELECT "+what+";") {
			t.Errorf("it carries\n%s", text)
		}
		requireRun(t, root, "sums")
		requireRun(t, root, "check")
	}
	write(t, root, "routines/f.sql", f("4"))
	requireRun(t, root, "routine")
	if text := read(t, root, "migrations/00004_routine_f.sql"); !strings.Contains(text, "SELECT 4;") {
		t.Errorf("the next carries\n%s", text)
	}
	for _, name := range []string{"00002_routine_f.sql", "00003_three.sql"} { // two are missing
		if err := os.Remove(filepath.Join(root, "migrations", name)); err != nil {
			t.Fatal(err)
		}
	}
	requireRefused(t, root, "numbers go up by one", "routine")
}

func TestRoutineMigrationsCarryTheFilesAndUndoThem(t *testing.T) {
	t.Parallel()
	const (
		f = "-- why\nCREATE OR REPLACE FUNCTION f(a int) RETURNS int\nLANGUAGE sql AS $$ SELECT a; $$;\n\nCOMMENT ON FUNCTION f(int) IS 'One.';\n"
	)
	root := files(t, "migrations/00001_one.sql", aFunction, "routines/f.sql", f)
	requireRun(t, root, "sums")
	requireRun(t, root, "check")
	requireRefused(t, root, "as routines/ has it", "routine", "f")
	requireRun(t, root, "routine")
	db := database(t)
	migrate(t, db, root, 1, true)

	for i, step := range []struct {
		what  string
		files map[string]string // empty: remove
		names []string
		path  string
		text  []string // the migration has each
	}{
		{"body and comment", map[string]string{"f": strings.ReplaceAll(strings.Replace(f, "SELECT a;", "SELECT a + 1; -- ; 'x", 1), "One.", "Two; three.")}, []string{"f"}, "00002_routine_f.sql", []string{"CREATE OR REPLACE FUNCTION f("}},
		{"comment alone", map[string]string{"f": strings.Replace(f, "SELECT a;", "SELECT a + 1; -- ; 'x", 1)}, nil, "00003_routine_f.sql", []string{"IS 'One.'", "IS 'Two; three.'"}},
		{"no comment", map[string]string{"f": "CREATE OR REPLACE FUNCTION f(a int) RETURNS int\nLANGUAGE sql AS $$ SELECT a; $$;\n"}, nil, "00004_routine_f.sql", []string{"IS NULL;"}},
		{"new ones, that call each other", map[string]string{
			"a": "CREATE OR REPLACE FUNCTION a() RETURNS int LANGUAGE sql AS $$ SELECT z() $$;\n",
			"z": "CREATE OR REPLACE FUNCTION z() RETURNS int LANGUAGE sql SET search_path FROM CURRENT BEGIN ATOMIC SELECT CASE WHEN true THEN f(1) END; SELECT 2; END;\n",
		}, nil, "00005_routines.sql", []string{"CREATE FUNCTION a()", "DROP FUNCTION a;"}},
		{"another signature", map[string]string{"a": "CREATE OR REPLACE FUNCTION a(n bigint DEFAULT 1) RETURNS bigint LANGUAGE sql AS $$ SELECT n $$;\nCOMMENT ON FUNCTION a IS 'A.';\n"}, []string{"a"}, "00006_routine_a.sql", []string{"DROP FUNCTION a;"}},
		{"gone", map[string]string{"a": ""}, []string{"a"}, "00007_routine_a.sql", []string{"DROP FUNCTION a;", "COMMENT ON FUNCTION a IS 'A.'"}},
	} {
		for name, text := range step.files {
			if text == "" {
				if err := os.Remove(filepath.Join(root, "routines", name+".sql")); err != nil {
					t.Fatal(err)
				}
				continue
			}
			write(t, root, "routines/"+name+".sql", text)
		}
		requireRefused(t, root, "make routine", "check")
		requireRun(t, root, append([]string{"routine"}, step.names...)...)
		text := read(t, root, "migrations/"+step.path)
		for _, part := range step.text {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the migration lacks %q:\n%s", step.what, part, text)
			}
		}
		requireRun(t, root, "sums")
		requireRun(t, root, "check")

		version := int64(i + 2)
		before := functions(t, db)
		migrate(t, db, root, version, true)
		now := functions(t, db)
		if slices.Equal(before, now) {
			t.Errorf("%s: the migration changes nothing:\n%s", step.what, text)
		}
		load(t, db, root)
		if loaded := functions(t, db); !slices.Equal(now, loaded) {
			t.Errorf("%s: the migrations make\n%q\nand the files\n%q", step.what, now, loaded)
		}
		migrate(t, db, root, version-1, false)
		if undone := functions(t, db); !slices.Equal(undone, before) {
			t.Errorf("%s: Down leaves\n%q\nof\n%q", step.what, undone, before)
		}
		migrate(t, db, root, version, true)
	}
}

// functions describes all of them, with their comments.
func functions(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT pg_get_functiondef(p.oid) || coalesce(obj_description(p.oid, 'pg_proc'), '-')
		FROM pg_proc AS p
		WHERE p.pronamespace = 'public'::regnamespace
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var f string
		if err := rows.Scan(&f); err != nil {
			t.Fatal(err)
		}
		found = append(found, f)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func load(t *testing.T, db *sql.DB, root string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "routines/*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

func migrate(t *testing.T, db *sql.DB, root string, version int64, up bool) {
	t.Helper()
	p, err := gooselib.NewProvider(gooselib.DialectPostgres, db, os.DirFS(filepath.Join(root, "migrations")))
	if err != nil {
		t.Fatal(err)
	}
	if up {
		_, err = p.UpTo(t.Context(), version)
	} else {
		_, err = p.DownTo(t.Context(), version)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func database(t *testing.T) *sql.DB {
	t.Helper()
	cluster, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	name := "routines_" + strings.ToLower(rand.Text())
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(cluster.URL)
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	u.Path = "/" + name
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Close()
		if _, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		admin.Close()
	})
	return db
}
