//go:build !race

// The race detector makes pools forget at random, and so changes what is allocated.

package db_test

import (
	"context"
	"testing"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

// On a pool of pgx an introspection is 76 by the store and 75 by hand: BenchmarkIntrospect.
func TestReadingAllocatesLittle(t *testing.T) { // not parallel: AllocsPerRun counts for the whole process
	d := storetest.New(t)
	digest := grantToken(t, d.Store)
	queries := store.New(openPool(t, d.URL, db.Options{MaxConns: 1}))
	ctx := context.Background() // of which pgx needs no watch
	row, err := queries.IntrospectAccessToken(ctx, asServer(digest))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		most float64
		call func() error
	}{
		{"an introspection", 34, func() error { _, err := queries.IntrospectAccessToken(ctx, asServer(digest)); return err }},
		{"a client", 17, func() error { _, err := queries.GetClient(ctx, *row.ClientID); return err }},
	} {
		got := testing.AllocsPerRun(500, func() {
			if err := c.call(); err != nil {
				t.Error(err)
			}
		})
		if got > c.most {
			t.Errorf("%s takes %v allocations, at most %v are expected", c.name, got, c.most)
		}
		t.Logf("%s: %v allocations", c.name, got)
	}
}
