package migrations_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// functionsOf describes every function in the schema, by name, with its comment and privileges.
func functionsOf(t *testing.T, db *sql.DB) (names, described []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT p.proname,
			format('%s %s: %s', CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END, p.proacl, obj_description(p.oid, 'pg_proc'))
		FROM pg_proc AS p
		WHERE p.pronamespace = 'public'::regnamespace
			AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
		ORDER BY p.proname COLLATE "C", 2`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, description string
		if err := rows.Scan(&name, &description); err != nil {
			t.Fatal(err)
		}
		names, described = append(names, name), append(described, description)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names, described
}

// One function has one file, of its name, and the migrations make each function what its file says.
func TestFunctionsAreWhatTheirFilesSay(t *testing.T) {
	t.Parallel()
	db, _, _ := emptyDatabase(t)
	up(t, db)
	names, migrated := functionsOf(t, db)
	if len(names) == 0 {
		t.Fatal("there is no function")
	}

	paths, err := filepath.Glob("../routines/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, path := range paths {
		files = append(files, strings.TrimSuffix(filepath.Base(path), ".sql"))
	}
	slices.Sort(files)
	requireSame(t, "files of routines/ against the functions of the schema", files, names)
	if len(files) != len(names) {
		t.Errorf("%d files for %d functions: %q", len(files), len(names), names)
	}

	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// with the search_path of a session that migrates
		if _, err := db.ExecContext(t.Context(), "SET search_path = public, pg_temp;\n"+string(text)+"RESET search_path;"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, loaded := functionsOf(t, db)
	requireSame(t, "the functions as the files make them, against the migrations", loaded, migrated)
}
