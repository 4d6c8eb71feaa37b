package main

import (
	"context"
	"reflect"
	"testing"

	"github.com/oauthdb/oauthdb/bench/dataset"
)

// Every ending writes as many rows with a thousand families as with one.
func TestAnEndingWritesTheSameRowsHoweverManyFamiliesThereAre(t *testing.T) {
	server, err := dataset.StartServer(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	c := &core{name: "after", files: asItIs("../.."), database: "bench_endings_test", perCall: 3}
	t.Cleanup(func() {
		if err := c.conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := server.Drop(context.Background(), c.database); err != nil {
			t.Error(err)
		}
	})
	if err := c.open(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if err := c.load(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	results, err := endings(t.Context(), []*core{c}, options{rounds: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(all) {
		t.Errorf("%d endings were measured, of %d", len(results), len(all))
	}
	for _, r := range results {
		if one, many := r.after[small].rows, r.after[large].rows; one != many || one > 10 {
			t.Errorf("%s writes %d rows with one family, and %d with a thousand", r.name, one, many)
		}
	}
}

func TestParametersAreNumberedInTheOrderInWhichTheyCome(t *testing.T) {
	t.Parallel()
	got := numbered("SELECT @b::text, sqlc.narg('a')::text\n-- not @this\n    -- nor @that\nWHERE @b::text <> '{}' AND x @> @c::jsonb AND sqlc.embed(c) IS NULL")
	want := statement{"SELECT $1::text, $2::text\nWHERE $1::text <> '{}' AND x @> $3::jsonb AND c.* IS NULL", []string{"b", "a", "c"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestAMigrationIsOneStatementUnlessItRunsOutsideATransaction(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"-- +goose Up\nCREATE TABLE a ();\nCREATE TABLE b ();\n\n-- +goose Down\nDROP TABLE b;\n": {"CREATE TABLE a ();\nCREATE TABLE b ();\n\n"},
		"-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY a;\nDROP INDEX b;\n":   {"CREATE INDEX CONCURRENTLY a", "\nDROP INDEX b"},
	} {
		if got := up(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q", got)
		}
	}
}
