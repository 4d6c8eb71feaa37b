package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// collected are the measurements of the collector under the same conditions.
type collected struct {
	Collector           // the first of them
	perSecond, slowdown Spread
	quiet, busy         Latency // medians
}

// holds is that introspection is left alone.
func (c collected) holds() bool { return c.slowdown.Median <= 1.5 }

func (c collected) met() bool { return c.holds() && c.perSecond.Median >= 50_000 }

// collected puts those measurements together that were taken under the same conditions.
func (r *Results) collected() []collected {
	same := func(a, b Collector) bool {
		return a.Size == b.Size && a.Collectors == b.Collectors && a.Pace == b.Pace && a.Rate == b.Rate
	}
	over := func(all []Collector, figure func(Collector) float64) Spread {
		var values []float64
		for _, c := range all {
			values = append(values, figure(c))
		}
		return Summarize(values)
	}
	latency := func(all []Collector, of func(Collector) Latency) Latency {
		at := func(q func(Latency) time.Duration) time.Duration {
			return time.Duration(over(all, func(c Collector) float64 { return float64(q(of(c))) }).Median)
		}
		return Latency{
			at(func(l Latency) time.Duration { return l.P50 }), at(func(l Latency) time.Duration { return l.P99 }), at(func(l Latency) time.Duration { return l.P999 }),
		}
	}
	quiet := func(c Collector) Latency { return c.Quiet }
	var all []collected
	for _, first := range r.Collector {
		if slices.ContainsFunc(all, func(c collected) bool { return same(c.Collector, first) }) {
			continue
		}
		var alike, calm []Collector
		for _, c := range r.Collector {
			if same(c, first) {
				alike = append(alike, c)
			}
			if c.Size == first.Size && c.Rate == first.Rate {
				// Before the collectors begin it is the same for all of them: a stall in one of the few short times of quiet would
				// else make its collectors look good.
				calm = append(calm, c)
			}
		}
		before := latency(calm, quiet)
		all = append(all, collected{
			Collector: first, perSecond: over(alike, Collector.PerSecond),
			slowdown: over(alike, func(c Collector) float64 { return float64(c.Busy.P99) / float64(before.P99) }),
			quiet:    latency(alike, quiet), busy: latency(alike, func(c Collector) Latency { return c.Busy }),
		})
	}
	return all
}

// bestCollected is what one would choose: the fastest that leaves introspection alone or, if none does, the fastest.
func (r *Results) bestCollected() (collected, bool) {
	all := r.collected()
	if len(all) == 0 {
		return collected{}, false
	}
	rank := map[bool]int{true: 1}
	return slices.MaxFunc(all, func(x, y collected) int {
		return cmp.Or(cmp.Compare(rank[x.holds()], rank[y.holds()]), cmp.Compare(x.perSecond.Median, y.perSecond.Median))
	}), true
}

func (r *Results) collector() string {
	all := r.collected()
	if len(all) == 0 {
		return ""
	}
	t := NewTable(0, "access tokens", "collectors", "rows in a batch", "share", "rows deleted a second", "introspections a second", "p50 / p99 / p99.9 before", "meanwhile", "p99, multiple")
	for _, c := range all {
		three := func(l Latency) string {
			return Took(float64(l.P50)) + " / " + Took(float64(l.P99)) + " / " + Took(float64(l.P999))
		}
		t.Row(sizeName(c.Size), fmt.Sprint(c.Collectors), Count(float64(c.BatchSize)), Decimals(c.Share), Count(c.perSecond.Median)+spread(c.perSecond, Count), Count(c.Rate),
			three(c.quiet), three(c.busy), Decimals(c.slowdown.Median)+spread(c.slowdown, Decimals))
	}
	return "Collectors delete expired rows while tokens are introspected at a fixed rate. The multiple is of the median p99 before any of them. Share is the part of its time that a collector works (`db.CollectorOptions`).\n\n" + t.String()
}
