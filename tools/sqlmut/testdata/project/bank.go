// Package bank is a small project that uses sqlc, for the tests of sqlmut.
package bank

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schema string

//go:embed routines/is_open.sql
var isOpen string

// Migrate makes the schema.
func Migrate(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, schema+isOpen)
	return err
}
