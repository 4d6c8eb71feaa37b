package main

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

func TestEachComesFirstInItsTurn(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	for place := range all {
		var seen []string
		for round := range all {
			order := turn(all, round)
			if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, all) {
				t.Fatalf("round %d is of %v", round, order)
			}
			seen = append(seen, order[place])
		}
		slices.Sort(seen)
		if !slices.Equal(seen, all) {
			t.Errorf("%v came at place %d of as many rounds, want each once", seen, place)
		}
	}
	if got := turn(all, 9); !slices.Equal(got, []string{"b", "c", "d", "a"}) {
		t.Errorf("round 9 is %v", got)
	}
	if !slices.Equal(all, []string{"a", "b", "c", "d"}) {
		t.Error("the order itself was changed")
	}
}

func standard(t *testing.T, args ...string) Options {
	t.Helper()
	s, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return s.Options
}

// rounds are those of each cell of a plan.
func rounds(t *testing.T, o Options) map[cell]int {
	t.Helper()
	all := map[cell]int{}
	for _, s := range o.plan() {
		for _, g := range s.groups {
			for _, c := range g.cells {
				if all[c] > 0 {
					t.Errorf("%+v is measured twice", c)
				}
				if c.work != s.work {
					t.Errorf("%+v is part of %s", c, s.work)
				}
				all[c] = g.rounds
			}
		}
	}
	return all
}

// What aims are set for has to be measured, whatever else is left out to save time.
func TestPlanHasWhatAimsNeed(t *testing.T) {
	all := rounds(t, standard(t))
	const million, late = 1_000_000, 500 * time.Microsecond
	for _, conns := range []int{1, 16} {
		for _, name := range []string{"store", "store, no row", "tx-lock"} {
			if all[cell{subject.Rotate, name, million, conns, 0}] < 4 || all[cell{subject.Rotate, name, million, conns, late}] < 3 {
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
			if n := all[cell{w, "store", size, 1, 0}]; n < 4 {
				t.Errorf("%s at %d access tokens is measured %d times", w, size, n)
			}
		}
		for _, s := range subjects() {
			if measured := all[cell{w, s.Name(), million, 16, 0}] > 0; measured != s.Supports(w) {
				t.Errorf("%s of %s: supported %v, measured %v", w, s.Name(), s.Supports(w), measured)
			}
		}
	}
	if t.Logf("%d cells, %d rounds", len(all), n); n > 480 {
		t.Errorf("%d rounds, of which each takes two seconds: that isn't done in 25 minutes", n)
	}
}

// The growth with the data is that between measurements that were taken together.
func TestPlanMeasuresSizesTogether(t *testing.T) {
	for _, s := range standard(t).plan() {
		if !slices.ContainsFunc(s.groups, func(g group) bool {
			sizes := map[int64]bool{}
			for _, c := range g.cells {
				if c.subject == "store" && c.conns == 1 && c.delay == 0 {
					sizes[c.size] = true
				}
			}
			return len(sizes) == 3
		}) {
			t.Errorf("the sizes of %s are not in one group", s.work)
		}
	}
}

func TestPlanDoesWhatTheFlagsSay(t *testing.T) {
	all := rounds(t, standard(t, "-settings=false", "-sizes", "10000", "-conns", "4", "-works", "rotate", "-subjects", "store,tx-lock", "-delays", "0", "-rounds", "2", "-target-rounds", "3"))
	want := map[cell]int{{subject.Rotate, "store", 10_000, 4, 0}: 3, {subject.Rotate, "tx-lock", 10_000, 4, 0}: 3}
	if fmt.Sprint(all) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", all, want)
	}
	for _, args := range [][]string{
		{"-sizes", "10"},
		{"-conns", "0"},
		{"-works", "dance"},
		{"-subjects", "store,"},
		{"-delays", "-1ms"},
		{"-rounds", "0"},
		{"quick"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}
