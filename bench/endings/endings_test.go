package main

import (
	"context"
	"reflect"
	"slices"
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
	c := &core{name: "after", files: asItIs("../.."), database: database}
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

// Every ending writes as many rows with a thousand families as with one; of a thousand sessions each is written, and nothing else goes by
// their number.
func TestAnEndingWritesTheSameRowsHoweverManyFamiliesThereAre(t *testing.T) {
	c := loaded(t, "bench_endings_test")
	for _, e := range all {
		costs, err := c.ending(t.Context(), e, []string{small, medium, large}, 3)
		if err != nil {
			t.Fatal(err)
		}
		if one, some, many := costs[small].rows, costs[medium].rows, costs[large].rows; one != many || one != some || one > 10 {
			t.Errorf("%s writes %d rows with one family, and %d and %d with a thousand", e.name, one, some, many)
		}
		if !slices.Contains(bySessions, e.name) {
			continue
		}
		if costs, err = c.ending(t.Context(), e, []string{crowd}, 1); err != nil || costs[crowd].rows < 1000 || costs[crowd].rows > 1010 {
			t.Errorf("%s writes %d rows with a thousand sessions: %v", e.name, costs[crowd].rows, err)
		}
	}
}

// The data are such that each call does what it is measured for.
func TestEachCallHasItsOutcome(t *testing.T) {
	c := loaded(t, "bench_endings_calls_test")
	for _, w := range works() {
		for n := range 3 {
			if err := c.rotateFirst(t.Context(), w, n); err != nil {
				t.Error(err)
			}
			if outcome, err := c.call(t.Context(), c.conn, w.name, w.values(n)); err != nil || w.outcome != "" && outcome != w.outcome {
				t.Errorf("%s: %s %v, want %s", w.name, outcome, err, w.outcome)
			}
		}
	}
}

func TestAMultipleAboveWhatIsAimedAtIsMissed(t *testing.T) {
	t.Parallel()
	for some, want := range map[time.Duration][]string{119: {"1.19", "met"}, 121: {"1.21", "**missed**"}} {
		if got := familiesRow("Some", map[string]cost{small: {took: 100}, medium: {took: some}, large: {took: 90}}); !slices.Equal(got[4:6], want) {
			t.Errorf("%v, want %v", got, want)
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

// Such as access_token_without_row: NULL is neither true nor false, and no access token would be written.
func TestACallThatLacksAParameterIsNotMade(t *testing.T) {
	t.Parallel()
	c := &core{name: "after", queries: map[string]statement{"Rotate": numbered("SELECT @without_row::boolean")}}
	if _, err := c.call(t.Context(), nil, "Rotate", values{}); err == nil {
		t.Error("it was made")
	}
}
