package migrations

import "embed"

// FS holds the migration files, named NNNNN_name.sql, at its root. They are goose's: other goose tooling can run them
// too, given the same version table ([DefaultTable]).
//
//go:embed *.sql
var FS embed.FS
