package main

import (
	"context"
	"database/sql"
	"fmt"
	"go/format"
	"strings"
)

// constraintsFile renders store/constraints.go: what a violation can name, table by table.
func constraintsFile(ctx context.Context, db *sql.DB) ([]byte, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT v.relation, v.name, v.definition
		FROM (
		SELECT c.relname AS relation, n.conname AS name, pg_get_constraintdef(n.oid) AS definition
		FROM pg_constraint AS n
		JOIN pg_class AS c ON c.oid = n.conrelid
		WHERE n.connamespace = 'public'::regnamespace AND n.contype <> 'n' AND c.relname <> 'oauthdb_version'
		UNION ALL
		SELECT t.typname, n.conname, pg_get_constraintdef(n.oid)
		FROM pg_constraint AS n
		JOIN pg_type AS t ON t.oid = n.contypid
		WHERE n.connamespace = 'public'::regnamespace AND n.contype <> 'n'
		UNION ALL
		SELECT c.relname, i.relname, regexp_replace(pg_get_indexdef(x.indexrelid), '^CREATE UNIQUE INDEX \S+ ON \S+ USING \S+ ', 'UNIQUE ')
		FROM pg_index AS x
		JOIN pg_class AS i ON i.oid = x.indexrelid
		JOIN pg_class AS c ON c.oid = x.indrelid
		WHERE x.indisunique AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'oauthdb_version'
			AND NOT EXISTS (SELECT FROM pg_constraint AS n WHERE n.conindid = x.indexrelid)
		) AS v
		ORDER BY v.relation COLLATE "C", v.name COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("read constraints: %w", err)
	}
	defer rows.Close()
	var b strings.Builder
	b.WriteString(`// Code generated from the catalog by "make generate". DO NOT EDIT.

package store

// Constraint is the name of a constraint or unique index of the schema: what the server names when a statement violates it.
// db.Violates tells errors apart by it.
type Constraint string
`)
	last := ""
	for rows.Next() {
		var table, name, definition string
		if err := rows.Scan(&table, &name, &definition); err != nil {
			return nil, fmt.Errorf("read constraints: %w", err)
		}
		if table != last {
			if last != "" {
				b.WriteString(")\n")
			}
			fmt.Fprintf(&b, "\n// What a row of %s has to satisfy.\nconst (\n", table)
			last = table
		}
		fmt.Fprintf(&b, "\t// %s\n\tConstraint%s Constraint = %q\n", strings.Join(strings.Fields(definition), " "), goName(name), name)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read constraints: %w", err)
	}
	if last != "" {
		b.WriteString(")\n")
	}
	return format.Source([]byte(b.String()))
}

// goName turns an SQL name into the exported Go name that sqlc.yaml gives the same words.
func goName(name string) string {
	special := map[string]string{
		"id": "ID", "ip": "IP", "jwks": "JWKS", "oauth": "OAuth", "pkey": "PKey", "fkey": "FKey", "uidx": "UIdx", "uri": "URI",
		"uris": "URIs", "amr": "AMR", "vschar": "VSCHAR", "totp": "TOTP",
	}
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if s, found := special[word]; found {
			b.WriteString(s)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
