package betterauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/storetest"
)

// wanted is a field of the server there, and the column that schema.mjs maps it to.
type wanted struct {
	Model, Field string
	Type         string // what better-auth calls it
	Required     bool
	Table        *string
	Column       *string
	Written      *string // the type by which it is written
}

func (f wanted) String() string { return f.Model + "." + f.Field }

func allWanted(t *testing.T, plugins ...string) []wanted {
	t.Helper()
	installed(t)
	node := exec.Command("node", append([]string{"columns.mjs"}, plugins...)...)
	node.Dir = folder
	out, err := node.Output()
	if err != nil {
		t.Fatalf("columns.mjs: %v", err)
	}
	var all []wanted
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// column is one of the database.
type column struct {
	Table, Name string
	Type        string // without domains
	Omissible   bool   // it may be NULL, or has a default
}

func columns(t *testing.T) map[string]map[string]column {
	t.Helper()
	d := storetest.New(t)
	rows, err := d.Pool.Query(t.Context(), `
		WITH RECURSIVE base (oid, plain) AS (
			SELECT t.oid, t.oid FROM pg_type AS t WHERE t.typtype <> 'd'
			UNION ALL
			SELECT t.oid, b.plain FROM base AS b JOIN pg_type AS t ON t.typbasetype = b.oid
		)
		SELECT c.relname, a.attname, format_type(b.plain, NULL), NOT a.attnotnull OR a.atthasdef
		FROM pg_class AS c
		JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		JOIN base AS b ON b.oid = a.atttypid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]map[string]column{}
	for _, c := range all {
		if tables[c.Table] == nil {
			tables[c.Table] = map[string]column{}
		}
		tables[c.Table][c.Name] = c
	}
	return tables
}

// typesOf says which types of a column hold what better-auth calls by that name.
var typesOf = map[string][]string{
	"string": {"text", "jsonb"}, "string[]": {"text[]"}, "boolean": {"boolean"}, "number": {"integer"},
	"date": {"timestamp with time zone"}, "json": {"jsonb"},
}

// lacks lists what the server there would miss in the database.
func lacks(all []wanted, tables map[string]map[string]column) []string {
	var problems []string
	written := map[string][]string{}
	for _, f := range all {
		if f.Column == nil {
			problems = append(problems, fmt.Sprintf("%s: schema.mjs doesn't map it", f))
			continue
		}
		c, exists := tables[*f.Table][*f.Column]
		switch {
		case !exists:
			problems = append(problems, fmt.Sprintf("%s: there is no column %s.%s", f, *f.Table, *f.Column))
		case !slices.Contains(typesOf[f.Type], c.Type):
			problems = append(problems, fmt.Sprintf("%s: it is a %s, and %s.%s a %s", f, f.Type, c.Table, c.Name, c.Type))
		case c.Type != strings.Replace(*f.Written, "timestamp (6)", "timestamp", 1):
			problems = append(problems, fmt.Sprintf("%s: schema.mjs takes %s.%s for a %s, and it is a %s", f, c.Table, c.Name, *f.Written, c.Type))
		case !f.Required && !c.Omissible:
			problems = append(problems, fmt.Sprintf("%s: it may be left out, and %s.%s can't", f, c.Table, c.Name))
		}
		written[*f.Table] = append(written[*f.Table], *f.Column)
	}
	for table, names := range written {
		for _, c := range tables[table] {
			if !c.Omissible && !slices.Contains(names, c.Name) && table+"."+c.Name != "oauth_refresh_token.authorization_id" { // a trigger sets that
				problems = append(problems, fmt.Sprintf("%s.%s: it can't be left out, and is not written there", table, c.Name))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

func TestTheMigrationsMadeAllThatTheServerThereWants(t *testing.T) {
	t.Parallel()
	all, tables := allWanted(t), columns(t)
	for _, problem := range lacks(all, tables) {
		t.Error(problem)
	}

	// What such a fault would look like.
	if found := lacks(allWanted(t, "twoFactor"), tables); !slices.Contains(found, "twoFactor.secret: schema.mjs doesn't map it") {
		t.Errorf("a plugin without tables: %q", found)
	}
	for name, c := range map[string]struct {
		change func(map[string]map[string]column)
		want   string
	}{
		"no column": {func(m map[string]map[string]column) { delete(m["device_code"], "resources") }, "deviceCode.resources: there is no column device_code.resources"},
		"another type": {func(m map[string]map[string]column) {
			m["oauth_client"]["scopes"] = column{Table: "oauth_client", Name: "scopes", Type: "jsonb", Omissible: true}
		}, "oauthClient.scopes: it is a string[], and oauth_client.scopes a jsonb"},
		"obligatory": {func(m map[string]map[string]column) {
			m["oauth_client"]["name"] = column{Table: "oauth_client", Name: "name", Type: "text"}
		}, "oauthClient.name: it may be left out, and oauth_client.name can't"},
		"one more": {func(m map[string]map[string]column) {
			m["session"]["realm"] = column{Table: "session", Name: "realm", Type: "text"}
		}, "session.realm: it can't be left out, and is not written there"},
		"taken for one": {func(m map[string]map[string]column) {
			m["oauth_client"]["jwks"] = column{Table: "oauth_client", Name: "jwks", Type: "text", Omissible: true}
		}, "oauthClient.jwks: schema.mjs takes oauth_client.jwks for a jsonb, and it is a text"},
	} {
		changed := map[string]map[string]column{}
		for table, named := range tables {
			changed[table] = maps.Clone(named)
		}
		c.change(changed)
		if found := lacks(all, changed); !slices.Contains(found, c.want) {
			t.Errorf("%s: %q", name, found)
		}
	}
}
