package main

import (
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

func TestEachComesFirstInItsTurn(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	for round, first := range []string{"a", "b", "c", "d", "a", "b"} {
		order := turn(all, round)
		if order[0] != first || !slices.Equal(slices.Sorted(slices.Values(order)), all) {
			t.Errorf("round %d is of %v", round, order)
		}
	}
}

func of(w subject.Work, name string, size int64, conns int, delay time.Duration) cell {
	return cell{Work: w, Subject: name, Size: size, Conns: conns, Delay: delay}
}

// rounds are those of each cell of the plan by some flags.
func rounds(t *testing.T, args ...string) map[cell]int {
	t.Helper()
	s, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	all := map[cell]int{}
	for _, st := range s.plan() {
		for _, g := range st.groups {
			for _, c := range g.cells {
				if all[c] > 0 || c.Work != st.work {
					t.Errorf("%+v is measured twice, or as part of %s", c, st.work)
				}
				all[c] = g.rounds
			}
		}
	}
	return all
}

// What aims are set for has to be measured, whatever else is left out to save time.
func TestPlanHasWhatAimsNeed(t *testing.T) {
	all := rounds(t)
	const million, late = 1_000_000, 500 * time.Microsecond
	for _, conns := range []int{1, 16} {
		for _, name := range []string{"store", "store, no row", "tx-lock"} {
			if all[of(subject.Rotate, name, million, conns, 0)] < 4 || all[of(subject.Rotate, name, million, conns, late)] < 3 {
				t.Errorf("rotate of %s with %d connections is measured too rarely", name, conns)
			}
		}
	}
	n := 0
	for _, rounds := range all {
		n += rounds
	}
	for _, w := range subject.Works {
		for _, size := range []int64{10_000, million, 10_000_000} {
			if n := all[of(w, "store", size, 1, 0)]; n < 4 {
				t.Errorf("%s at %d access tokens is measured %d times", w, size, n)
			}
		}
		for _, s := range subjects {
			if measured := all[of(w, s.Name, million, 16, 0)] > 0; measured != s.Supports(w) {
				t.Errorf("%s of %s: supported %v, measured %v", w, s.Name, s.Supports(w), measured)
			}
		}
	}
	if t.Logf("%d cells, %d rounds", len(all), n); n > 420 {
		t.Errorf("%d rounds, of which each takes two seconds: that isn't done in 15 minutes", n)
	}
}

func TestPlanDoesWhatTheFlagsSay(t *testing.T) {
	all := rounds(t, "-settings=false", "-sizes", "10000", "-conns", "4", "-works", "rotate", "-subjects", "store,tx-lock", "-delays", "0", "-rounds", "2", "-target-rounds", "3")
	want := map[cell]int{of(subject.Rotate, "store", 10_000, 4, 0): 3, of(subject.Rotate, "tx-lock", 10_000, 4, 0): 3}
	if !maps.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
	for flag, value := range map[string]string{"-sizes": "10", "-conns": "0", "-works": "dance", "-subjects": "store,", "-delays": "-1ms", "-rounds": "0", "quick": ""} {
		if _, err := parse([]string{flag, value}, io.Discard); err == nil {
			t.Errorf("%s %s was taken", flag, value)
		}
	}
}
