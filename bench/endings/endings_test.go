package main

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
)

// loaded is the core of the working tree, with a thousand families that have everything in common.
func loaded(t *testing.T, database string) *core {
	t.Helper()
	server, err := dataset.StartServer(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	c := &core{name: "after", files: asItIs("../.."), database: database, perCall: 3}
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
	return c
}

// Every ending writes as many rows with a thousand families as with one.
func TestAnEndingWritesTheSameRowsHoweverManyFamiliesThereAre(t *testing.T) {
	c := loaded(t, "bench_endings_test")
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
		if r.after[medium] == nil {
			t.Errorf("%s was not measured with some families", r.name)
		}
	}
	sessions, err := sessionEndings(t.Context(), c, options{rounds: 2, families: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range sessions { // each session is written, and nothing else goes by their number
		if one, many := r.after[small].rows, r.after[crowd].rows; many < 1000 || many > 1010 {
			t.Errorf("%s writes %d rows with one session, and %d with a thousand", r.name, one, many)
		}
	}
}

// The data are such that each call does what it is measured for.
func TestEachCallHasItsOutcome(t *testing.T) {
	c := loaded(t, "bench_endings_calls_test")
	for _, w := range works() {
		for n := range 3 {
			if w.first != nil {
				if _, err := c.call(t.Context(), c.conn, "RotateRefreshToken", w.first(n)); err != nil {
					t.Error(err)
				}
			}
			if outcome, err := c.call(t.Context(), c.conn, w.name, w.values(n)); err != nil || w.outcome != "" && outcome != w.outcome {
				t.Errorf("%s: %s %v, want %s", w.name, outcome, err, w.outcome)
			}
		}
	}
}

func TestAMultipleAboveWhatIsAimedAtIsMissed(t *testing.T) {
	t.Parallel()
	took := func(d time.Duration) *cost { return &cost{took: d} }
	got := tables([]result{
		{"Met", nil, map[string]*cost{small: took(100), medium: took(119), large: took(90)}},
		{"Missed", nil, map[string]*cost{small: took(100), medium: took(121), large: took(100)}},
	}, options{families: 100_000})
	for _, want := range []string{"| 1.19 | met |\n", "| 1.21 | **missed** |\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestParametersAreNumberedInTheOrderInWhichTheyCome(t *testing.T) {
	t.Parallel()
	got := numbered("SELECT @b::text, sqlc.narg('a')::text\n-- not @this\n    -- nor @that\nWHERE @b::text <> '{}' AND x @> @c::jsonb AND sqlc.embed(c) IS NULL")
	want := statement{"SELECT $1::text, $2::text\nWHERE $1::text <> '{}' AND x @> $3::jsonb AND c.* IS NULL", []string{"b", "a", "c"}, map[string]bool{"b": true, "c": true}}
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

// Such as access_token_without_row: NULL is neither true nor false, and no access token would be written.
func TestACallThatLacksAParameterIsNotMade(t *testing.T) {
	t.Parallel()
	c := &core{name: "after", queries: map[string]statement{"Rotate": numbered("SELECT @without_row::boolean")}}
	if _, err := c.call(t.Context(), nil, "Rotate", values{}); err == nil {
		t.Error("it was made")
	}
}
