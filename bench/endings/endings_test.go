package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
)

// Every ending writes as many rows with a thousand families as with one; of a thousand sessions each is written, and nothing else goes by
// their number.
func TestAnEndingWritesTheSameRowsHoweverManyFamiliesThereAre(t *testing.T) {
	server, err := dataset.StartServer(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlace(t.Context(), server, "bench_endings_test", 1000)
	defer func() {
		if err := p.drop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		costs, err := p.ending(t.Context(), e, []string{small, medium, large}, 3)
		if err != nil {
			t.Fatal(err)
		}
		if one, some, many := costs[small].rows, costs[medium].rows, costs[large].rows; one != many || one != some || one > 10 {
			t.Errorf("%s writes %d rows with one family, and %d and %d with a thousand", e.name, one, some, many)
		}
		if !slices.Contains(bySessions, e.name) {
			continue
		}
		if costs, err = p.ending(t.Context(), e, []string{crowd}, 1); err != nil || costs[crowd].rows < 1000 || costs[crowd].rows > 1010 {
			t.Errorf("%s writes %d rows with a thousand sessions: %v", e.name, costs[crowd].rows, err)
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
