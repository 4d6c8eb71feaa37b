package migrations

import "embed"

// FS holds the migration files, named NNNNN_name.sql, at its root. They are goose's. Other goose tooling can run them too, but
// records no files, so the calls of this package then refuse the database.
//
//go:embed *.sql
var FS embed.FS
