// Package roles writes the SQL that gives each process the privileges it needs and no others:
//
//   - the owner migrates. Tables and functions belong to it.
//   - the application is a server that makes the calls of package store.
//   - the collector is what runs a db.Collector, or `oauthdb gc`.
//   - the auditor reads, but no credential in any form: neither digests nor ciphertext.
//   - the peer is another server that writes the tables by itself, as a better-auth server does.
//
// docs/privileges.md says how to use them, and what a leak of each one's password means. `oauthdb roles` prints what this package
// writes. The package connects to nothing.
package roles

import (
	"bytes"
	"cmp"
	_ "embed" // for the templates
	"fmt"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/migrations"
)

// Options name the roles and the schema. They are quoted, so any name that PostgreSQL takes will do. Empty means the default.
type Options struct {
	Schema string // that the tables are in: public

	Owner       string // oauthdb_owner
	Application string // oauthdb_application
	Collector   string // oauthdb_collector
	Auditor     string // oauthdb_auditor
	Peer        string // oauthdb_peer

	// VersionTable is [migrations.Options].Table: oauthdb_version.
	VersionTable string
}

//go:embed create.sql
var create string

//go:embed privileges.sql
var privileges string

// Create returns the script that creates the roles and the schema unless they exist, and lets nobody else create anything in the
// database. Run it before the first migration, as a role that owns the database and has CREATEROLE. It sets no passwords.
func Create(o Options) (string, error) { return render(create, o) }

// Privileges returns the script that gives the roles their privileges, and takes from them what it doesn't give. Run it after each
// migration, as the owner. It is a transaction, so other sessions see all of it or nothing.
func Privileges(o Options) (string, error) { return render(privileges, o) }

func render(text string, o Options) (string, error) {
	names := map[string]string{
		"Schema":       cmp.Or(o.Schema, "public"),
		"Owner":        cmp.Or(o.Owner, "oauthdb_owner"),
		"Application":  cmp.Or(o.Application, "oauthdb_application"),
		"Collector":    cmp.Or(o.Collector, "oauthdb_collector"),
		"Auditor":      cmp.Or(o.Auditor, "oauthdb_auditor"),
		"Peer":         cmp.Or(o.Peer, "oauthdb_peer"),
		"VersionTable": cmp.Or(o.VersionTable, migrations.DefaultTable),
	}
	data := map[string]string{}
	for of, name := range names {
		if len(name) > 63 || strings.ContainsRune(name, 0) {
			return "", fmt.Errorf("roles: %s %q is not a name in PostgreSQL, which has 1 to 63 bytes", of, name)
		}
		data[of] = pgx.Identifier{name}.Sanitize()
		if of == "VersionTable" {
			data[of] = pgx.Identifier(strings.Split(name, ".")).Sanitize() // with or without a schema
		}
		data[of+"Name"] = literal(name)
	}
	var b bytes.Buffer
	if err := template.Must(template.New("").Option("missingkey=error").Parse(text)).Execute(&b, data); err != nil {
		return "", fmt.Errorf("roles: %w", err)
	}
	return b.String(), nil
}

// literal is a text as SQL. What isn't plain in it is escaped, so that it means the same within dollar quotes, and whatever
// standard_conforming_strings says.
func literal(text string) string {
	var b strings.Builder
	b.WriteString("E'")
	for _, r := range text {
		switch {
		case r > 127 || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\x%02X`, r)
		}
	}
	return b.String() + "'"
}
