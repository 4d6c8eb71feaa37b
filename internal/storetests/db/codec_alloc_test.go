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

// On a pool of pgx it is 78 by the store and 75 by hand: BenchmarkIntrospect.
func TestIntrospectionAllocatesLittle(t *testing.T) { // not parallel: AllocsPerRun counts for the whole process
	d := storetest.New(t)
	digest := grantToken(t, d.Store)
	queries := store.New(openPool(t, d.URL, db.Options{MaxConns: 1}))
	ctx := context.Background() // of which pgx needs no watch
	got := testing.AllocsPerRun(500, func() {
		if _, err := queries.IntrospectAccessToken(ctx, asServer(digest)); err != nil {
			t.Error(err)
		}
	})
	const most = 34
	if got > most {
		t.Errorf("%v allocations, at most %v are expected", got, most)
	}
	t.Logf("%v allocations", got)
}
