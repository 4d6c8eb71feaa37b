package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/storetest"
)

// newPool returns a pool of at most conns connections to a migrated database of the test's own.
func NewPool(t testing.TB, conns int) *pgxpool.Pool {
	t.Helper()
	return storetest.New(t, storetest.MaxConns(conns)).Pool
}
