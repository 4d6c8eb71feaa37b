// Package db_test holds what package db adds to pgx: its codecs, property by property.
package db_test

import (
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/db"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openPool opens a pool that is closed with the test.
func openPool(t *testing.T, address string, opts db.Options) *pgxpool.Pool {
	t.Helper()
	pool, err := db.Open(t.Context(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// withParam adds a parameter to a URL.
func withParam(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func scalar[T any](t *testing.T, pool *pgxpool.Pool, sql string) (v T) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
