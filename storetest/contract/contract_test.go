package contract_test

import (
	"context"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/storetest/contract"
)

// calls notes which calls are made.
type calls struct{ made sync.Map }

func (c *calls) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	name, _, _ := strings.Cut(strings.TrimPrefix(data.SQL, "-- name: "), " ")
	c.made.Store(name, true)
	return ctx
}

func (c *calls) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestStoreKeepsTheContract runs the suite on a pool as a server opens it. It also holds the groups to what the suite calls: whoever
// implements one owes nothing that nobody needs.
func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	var c calls
	contract.Run(t, func(t *testing.T) contract.Store {
		pool, err := db.Open(t.Context(), storetest.New(t).URL, db.Options{
			MaxConns: contract.Parallel, Tracer: &c,
			PgBouncer: os.Getenv("PGBOUNCER") != "", // see make pgbouncer
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return contract.Of(store.New(pool))
	})
	for group := range reflect.TypeFor[contract.Store]().Fields() {
		for call := range group.Type.Methods() {
			if _, made := c.made.Load(call.Name); !made {
				t.Errorf("%s has %s, which the suite doesn't call", group.Name, call.Name)
			}
		}
	}
}
