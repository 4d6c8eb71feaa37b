package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Pace is how hard a collector works, as in db.CollectorOptions, and how its server process is scheduled.
type Pace struct {
	BatchSize int32
	Share     float64
	Nice      int // of the server's process
}

func (p Pace) String() string {
	s := fmt.Sprintf("%d@%v", p.BatchSize, p.Share)
	if p.Nice > 0 {
		s += fmt.Sprintf("+%d", p.Nice)
	}
	return s
}

// Collector is one measurement of collectors beside introspection.
type Collector struct {
	Size       int64
	Collectors int
	Pace
	Rows     int64         // deleted
	Elapsed  time.Duration // while they did nothing but collect
	Batches  int64         // those that found nothing due, too
	Working  time.Duration // the sum of what they took
	Deleting time.Duration // what those of them took that deleted something
	Rate     float64       // introspections per second that were asked for
	Quiet    Latency       // of introspection by itself
	Busy     Latency       // beside the collectors
	Control  Latency       // beside loops that only use a processor for as long, as often
}

// PerSecond is how many rows were deleted in a second, by all collectors together.
func (c Collector) PerSecond() float64 { return float64(c.Rows) / c.Elapsed.Seconds() }

// WhereDue is how many it would be if they didn't look at what stays.
func (c Collector) WhereDue() float64 {
	return float64(c.Rows) / c.Deleting.Seconds() * c.Share * float64(c.Collectors)
}

// Batch is how long a batch took.
func (c Collector) Batch() time.Duration { return c.Working / time.Duration(max(1, c.Batches)) }

// Slowdown is the p99 of introspection beside the collectors as a multiple of that by itself.
func (c Collector) Slowdown() float64 { return float64(c.Busy.P99) / float64(c.Quiet.P99) }

// ControlSlowdown is the same beside the loops.
func (c Collector) ControlSlowdown() float64 { return float64(c.Control.P99) / float64(c.Quiet.P99) }

// MiddleLatency takes the median of each quantile.
func MiddleLatency(all []Latency) Latency {
	at := func(q func(Latency) time.Duration) time.Duration {
		var values []float64
		for _, l := range all {
			values = append(values, float64(q(l)))
		}
		return time.Duration(Summarize(values).Median)
	}
	return Latency{
		at(func(l Latency) time.Duration { return l.P50 }), at(func(l Latency) time.Duration { return l.P99 }), at(func(l Latency) time.Duration { return l.P999 }),
	}
}

// collected are the measurements of collectors under the same conditions.
type collected struct {
	Collector                                        // the first of them
	perSecond, whereDue, batch, slowdown, controlled Spread
	quiet, busy                                      Latency // medians
}

// holds is that introspection is left alone.
func (c collected) holds() bool { return c.slowdown.Median <= 1.5 }

func (c collected) met() bool { return c.holds() && c.perSecond.Median >= 50_000 }

// collected puts those measurements together that were taken under the same conditions.
func (r *Results) collected() (all []collected) {
	same := func(a, b Collector) bool {
		return a.Size == b.Size && a.Collectors == b.Collectors && a.Pace == b.Pace && a.Rate == b.Rate
	}
	for _, first := range r.Collector {
		if slices.ContainsFunc(all, func(c collected) bool { return same(c.Collector, first) }) {
			continue
		}
		var quiet, busy []Latency
		for _, c := range r.Collector {
			if same(c, first) {
				quiet, busy = append(quiet, c.Quiet), append(busy, c.Busy)
			}
		}
		over := func(figure func(Collector) float64) Spread {
			var values []float64
			for _, c := range r.Collector {
				if same(c, first) {
					values = append(values, figure(c))
				}
			}
			return Summarize(values)
		}
		all = append(all, collected{
			Collector: first, perSecond: over(Collector.PerSecond), whereDue: over(Collector.WhereDue),
			batch:    over(func(c Collector) float64 { return float64(c.Batch()) }),
			slowdown: over(Collector.Slowdown), controlled: over(Collector.ControlSlowdown),
			quiet: MiddleLatency(quiet), busy: MiddleLatency(busy),
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
	t := NewTable(0, "collectors", "rows in a batch", "share", "nice", "a batch takes", "rows deleted a second", "where all is due",
		"p50 / p99 / p99.9 of introspection by itself", "beside the collector", "p99, multiple", "beside a loop that only counts")
	for _, c := range all {
		three := func(l Latency) string {
			return Took(float64(l.P50)) + " / " + Took(float64(l.P99)) + " / " + Took(float64(l.P999))
		}
		t.Row(fmt.Sprint(c.Collectors), Count(float64(c.BatchSize)), fmt.Sprint(c.Share), fmt.Sprint(c.Nice), Took(c.batch.Median), Count(c.perSecond.Median)+spread(c.perSecond, Count),
			Count(c.whereDue.Median), three(c.quiet), three(c.busy), Decimals(c.slowdown.Median)+spread(c.slowdown, Decimals), Decimals(c.controlled.Median)+spread(c.controlled, Decimals))
	}
	at := ""
	if r.Collected != "" {
		at = " Commit " + r.Collected + "."
	}
	return fmt.Sprintf(`Of %s access tokens a fifth has expired, with what belongs to them. Collectors make passes over copies of that, while %s tokens are introspected a
second. Introspection by itself, beside the collectors and beside a loop take turns of a second; the quantiles are the medians of those of each turn.
The loop counts rows of `+"`generate_series`"+`, for as long as a batch takes and as often, and touches no table: what it does to introspection is
what the processors do. A pass also looks at twice as many rows that stay. "Where all is due" leaves that out.%s

`, sizeName(all[0].Size), Count(all[0].Rate), at) + t.String()
}
