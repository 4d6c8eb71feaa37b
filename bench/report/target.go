package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Target is an aim and what became of it.
type Target struct {
	What     string // is measured
	Aim      string
	Measured string // empty if it wasn't
	Met      bool
}

// Targets compares r with what is aimed at.
func (r *Results) Targets() []Target {
	at, most := r.middle(), r.most()
	var all []Target
	least := func(what string, s Spread, aim float64, write func(float64) string) {
		t := Target{What: what, Aim: "≥ " + write(aim), Met: s.Median >= aim}
		if s.N > 0 {
			t.Measured = write(s.Median) + spread(s, write)
		}
		all = append(all, t)
	}
	for _, aim := range []struct {
		conns int
		away  time.Duration
		least float64
	}{
		{1, 0, 2.1},
		{most, 0, 1.7},
		{1, 500 * time.Microsecond, 2.5},
		{most, 500 * time.Microsecond, 2.5},
	} {
		least(fmt.Sprintf("rotations, as a multiple of tx-lock, %s, %s", Plural(aim.conns, "connection"), delayName(aim.away)),
			Ratio(r.Find(subject.Rotate, store, at, aim.conns, aim.away), r.Find(subject.Rotate, "tx-lock", at, aim.conns, aim.away)), aim.least, Decimals)
	}
	least(fmt.Sprintf("rotations a second of database CPU, %s", Plural(most, "connection")), r.Find(subject.Rotate, store, at, most, 0).PerCPU(), 2000, Count)

	t := Target{What: "database CPU of an introspection of a bound family's token, as a multiple of another's, 1 connection", Aim: "≤ 1.20"}
	bound, other := r.Find(subject.IntrospectBound, store, at, 1, 0).PerCPU().Median, r.Find(subject.IntrospectHit, store, at, 1, 0).PerCPU().Median
	if bound > 0 && other > 0 {
		t.Met, t.Measured = other/bound <= 1.2, Decimals(other/bound)
	}
	all = append(all, t)

	// Growth is what a thousand times the data makes of a p50.
	type growth struct {
		work subject.Work
		Spread
	}
	var grown []growth
	if sizes := r.sizes(); len(sizes) > 0 {
		for _, w := range subject.Works {
			if s := Growth(r.Find(w, store, sizes[len(sizes)-1], 1, 0), r.Find(w, store, sizes[0], 1, 0)); s.N > 0 && len(sizes) > 1 {
				grown = append(grown, growth{w, s})
			}
		}
	}
	t = Target{What: "p50 with the most data, as a multiple of that with the least, of the work that grows most", Aim: "≤ 1.10"}
	if len(grown) > 0 {
		worst := slices.MaxFunc(grown, func(x, y growth) int { return cmp.Compare(x.Median, y.Median) })
		t.Met, t.Measured = worst.Median <= 1.1, fmt.Sprintf("%s%s, %s", Decimals(worst.Median), spread(worst.Spread, Decimals), worst.work)
	}
	all = append(all, t)

	t = Target{What: "rows that collectors delete a second, while introspection's p99 is at most 1.5 of that without them", Aim: "≥ 50,000, p99 ≤ 1.50"}
	if pass, ok := r.bestCollected(); ok {
		t.Met, t.Measured = pass.met(), fmt.Sprintf("%s, p99 × %s", Count(pass.perSecond.Median), Decimals(pass.slowdown.Median))
	}
	all = append(all, t)

	t = Target{What: "heap allocations of the client for an introspection", Aim: "≤ 25"}
	if s := r.Find(subject.IntrospectHit, store, at, 1, 0).Over(allocs); s.Median > 0 {
		// as testing.AllocsPerRun has it: the pool makes its resources in chunks, of which each call has a small share
		t.Met, t.Measured = math.Floor(s.Median) <= 25, figure(s.Median)
	}
	return append(all, t)
}

func (r *Results) targets() string {
	t := NewTable(4, "What", "Aim", "Measured", "")
	for _, target := range r.Targets() {
		verdict := Verdict(target.Met)
		if target.Measured == "" {
			verdict = "not measured"
		}
		t.Row(target.What, target.Aim, cmp.Or(target.Measured, None), verdict)
	}
	return t.String()
}
