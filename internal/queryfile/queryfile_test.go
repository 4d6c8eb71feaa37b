package queryfile_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/queryfile"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := queryfile.Parse("user.sql", `
-- GetUser returns one.
--   - zero rows: none
-- name: GetUser :one
SELECT u.id
    -- by its key
FROM "user" AS u

WHERE u.id = @id::user_id;

-- name: Touch :execrows
UPDATE "user" SET updated_at = now() WHERE true;
`)
	want := []queryfile.Query{
		{
			File: "user.sql", Line: 4, Name: "GetUser", Cmd: "one", Contract: []string{"GetUser returns one.", "  - zero rows: none"},
			SQL: "SELECT u.id\n    -- by its key\nFROM \"user\" AS u\n\nWHERE u.id = @id::user_id;",
		},
		{File: "user.sql", Line: 11, Name: "Touch", Cmd: "execrows", SQL: `UPDATE "user" SET updated_at = now() WHERE true;`},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func TestParseSaysWhereAFileIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"-- name: A\nSELECT 1;":                                "f.sql:1: not a name",
		"-- name: A one\nSELECT 1;":                            "f.sql:1: not a name",
		"-- name: A- :one\nSELECT 1;":                          "f.sql:1: not a name",
		"-- name:\nSELECT 1;":                                  "f.sql:1: not a name",
		"\nSELECT 1;":                                          "f.sql:2: this statement has no name",
		"-- A banner.\n\n-- name: A :one\nSELECT 1;":           "f.sql:1: this comment stands above no",
		"-- name: A :one\nSELECT\n-- what\n1;":                 "f.sql:3: this comment stands above no",
		"-- name: A :one\nSELECT 1;\n-- the end":               "f.sql: the comment at its end",
		"-- name: A :one\n\n-- B does.\n-- name: B :one\nx;\n": "f.sql:1: A has no statement",
	} {
		queries, err := queryfile.Parse("f.sql", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %s", text, queries, err, want)
		}
	}
}

func TestReadDirReadsWhatSqlcCompiles(t *testing.T) {
	t.Parallel()
	queries, err := queryfile.ReadDir("../../queries")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		if len(q.Contract) == 0 || !strings.HasSuffix(q.SQL, ";") {
			t.Errorf("%s:%d: %+v", q.File, q.Line, q)
		}
	}
	if _, err := queryfile.ReadDir(t.TempDir()); err == nil {
		t.Error("no query, and no error")
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][3]string{
		"-- name: GetUser :one\nSELECT 1":               {"GetUser", "one", "SELECT 1"},
		"\n\t-- name: GetUser :one\r\nSELECT 1":         {"GetUser", "one", "SELECT 1"},
		"-- name: GetUser\nSELECT 1":                    {"GetUser", "", "SELECT 1"},
		"-- name: GetUser one\nSELECT 1":                {"GetUser", "", "SELECT 1"},
		"-- name: GetUser":                              {"GetUser", "", ""},
		"-- name: alice@example.com :one\nSELECT 1":     {"", "", "-- name: alice@example.com :one\nSELECT 1"},
		"SELECT 1 -- name: GetUser :one":                {"", "", "SELECT 1 -- name: GetUser :one"},
		"-- a comment\n-- name: GetUser :one\nSELECT 1": {"", "", "-- a comment\n-- name: GetUser :one\nSELECT 1"},
		"": {"", "", ""},
	} {
		name, cmd, rest := queryfile.Header(sql)
		if got := [3]string{name, cmd, rest}; got != want {
			t.Errorf("%q: got %q, want %q", sql, got, want)
		}
	}
}
