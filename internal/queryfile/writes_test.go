package queryfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oauthdb/oauthdb/internal/queryfile"
)

func TestConditionalWrites(t *testing.T) {
	t.Parallel()
	queries, routines := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(queries, "a.sql", `-- name: Read :one
SELECT 1 FROM a -- UPDATE a AS x
;

-- name: Insert :one
INSERT INTO a (b) VALUES (@b::text) RETURNING *;

-- name: Upsert :one
INSERT INTO a (b) VALUES (@b::text) ON CONFLICT DO NOTHING RETURNING *;

-- name: InsertSelect :one
INSERT INTO a (b) SELECT @b::text FROM c RETURNING *;

-- name: Update :one
UPDATE a AS x SET b = 1 WHERE x.b = 2;

-- name: Delete :one
DELETE FROM a AS x WHERE x.b = 2;

-- name: Call :one
SELECT outer_one(@b::text);

-- name: CallReader :one
SELECT reader(@b::text);
`)
	write(routines, "inner_one.sql", `CREATE FUNCTION inner_one() AS $$ DELETE FROM a $$`)
	write(routines, "outer_one.sql", `CREATE FUNCTION outer_one() AS $$ SELECT inner_one() $$`)
	write(routines, "reader.sql", `CREATE FUNCTION reader() AS $$ SELECT 1 $$ -- not inner_one()`)
	got, err := queryfile.ConditionalWrites(queries, routines)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"Upsert", "InsertSelect", "Update", "Delete", "Call"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
