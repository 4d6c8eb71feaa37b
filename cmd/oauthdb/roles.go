package main

import (
	"context"
	"flag"
	"io"

	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/migrations/roles"
)

var rolesCommand = command{
	name:    "roles",
	summary: "print the SQL that gives each role its privileges",
	details: `It connects to nothing; psql runs what it prints. Once for each database, as a role that owns it and has CREATEROLE:

  oauthdb roles -create | psql -v ON_ERROR_STOP=1 $ADMIN_URL

and as the owner, after each migration:

  oauthdb migrate && oauthdb roles | psql -v ON_ERROR_STOP=1 $DATABASE_URL

docs/privileges.md says what each role may do.`,
	prepare: func(flags *flag.FlagSet) action {
		create := flags.Bool("create", false, "print the SQL that creates the roles and the schema instead")
		var o roles.Options
		flags.StringVar(&o.Schema, "schema", "public", "`name` of the schema")
		flags.StringVar(&o.Owner, "owner", "oauthdb_owner", "`name` of the role that migrates")
		flags.StringVar(&o.Application, "application", "oauthdb_application", "`name` of the role of servers")
		flags.StringVar(&o.Collector, "collector", "oauthdb_collector", "`name` of the role that deletes what is over")
		flags.StringVar(&o.Auditor, "auditor", "oauthdb_auditor", "`name` of the role that reads all but credentials")
		flags.StringVar(&o.Peer, "peer", "oauthdb_peer", "`name` of the role of another server that writes the tables by itself")
		flags.StringVar(&o.VersionTable, "version-table", migrations.DefaultTable, "`name` of the table of applied versions")
		return func(_ context.Context, c console) error {
			print := roles.Privileges
			if *create {
				print = roles.Create
			}
			script, err := print(o)
			if err != nil {
				return usage("roles: %w", err)
			}
			_, err = io.WriteString(c.out, script)
			return err
		}
	},
}
