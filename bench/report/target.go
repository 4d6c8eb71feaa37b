package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// What is aimed at.
const (
	leastOfPgx       = 0.97   // of the throughput of the same SQL in hand-written pgx
	leastOfPgBench   = 0.80   // of that of the same SQL in pgbench, which is C
	leastOverSocket  = 2.5    // times the throughput of a transaction of several statements
	leastOverNetwork = 4      // the same with 0.5 ms of network
	mostGrowth       = 1.25   // of the p50 from ten thousand to ten million access tokens
	leastCollected   = 50_000 // rows per second
	mostSlowdown     = 1.5    // of the p99 of introspection meanwhile
	mostAllocs       = 25     // heap allocations of an introspection

	network   = 500 * time.Microsecond
	smallSize = 10_000
	largeSize = 10_000_000
)

// transactional are the subjects that take several statements in a transaction for what store does in one.
var transactional = []string{"tx", "tx-lock", "gorm"}

// Target is an aim and what became of it.
type Target struct {
	What     string // is measured
	Want     string
	Measured string // empty if it wasn't
	Met      bool
}

// Verdict is one of "met", "missed" and "not measured".
func (t Target) Verdict() string {
	switch {
	case t.Measured == "":
		return "not measured"
	case t.Met:
		return "met"
	default:
		return "missed"
	}
}

// Targets compares r with what is aimed at.
func (r *Results) Targets() []Target {
	var all []Target
	for _, w := range []subject.Work{subject.IntrospectHit, subject.Rotate} {
		all = append(
			all,
			r.throughputTarget(w, "pgx", "hand-written pgx", comparedAt, 0, leastOfPgx),
			r.throughputTarget(w, "pgbench", "pgbench", comparedAt, 0, leastOfPgBench),
		)
	}
	// With one connection the time of an operation counts, with several on a machine of few cores what it takes of those.
	for _, n := range []int{1, comparedAt} {
		for _, name := range transactional {
			all = append(all, r.throughputTarget(subject.Rotate, name, name, n, 0, leastOverSocket))
		}
		for _, name := range transactional {
			all = append(all, r.throughputTarget(subject.Rotate, name, name, n, network, leastOverNetwork))
		}
	}
	all = append(all, r.growthTargets()...)
	return append(all, r.collectorTarget(), r.allocsTarget())
}

// throughputTarget holds store to least times the throughput of the subject name.
func (r *Results) throughputTarget(w subject.Work, name, title string, conns int, d time.Duration, least float64) Target {
	t := Target{
		What: fmt.Sprintf("throughput of %s, as a multiple of %s, at %s, %s", w, title, plural(conns, "connection"), onNetwork(d)),
		Want: fmt.Sprintf("≥ %.2f", least),
	}
	size := r.middle()
	s := Ratio(r.find(w, store, size, conns, d), r.find(w, name, size, conns, d))
	if s.N > 0 {
		t.Met = s.Median >= least
		t.Measured = against(s.Median, least, t.Met) + brackets(s, twoDecimals)
	}
	return t
}

// growth is how the p50 of store with one connection grows from the small to the large size.
type growth struct {
	work         subject.Work
	small, large Spread
	factor       Spread
}

// growthTargets holds introspection, rotation and whatever else grows most to mostGrowth.
func (r *Results) growthTargets() []Target {
	var measured []growth
	for _, w := range subject.Works {
		small, large := r.find(w, store, smallSize, 1, 0), r.find(w, store, largeSize, 1, 0)
		g := growth{w, small.P50(), large.P50(), Growth(large, small)}
		if g.factor.N > 0 {
			measured = append(measured, g)
		}
	}
	target := func(of subject.Work, prefix string) Target {
		t := Target{
			What: fmt.Sprintf("%sp50 of %s with 10 million access tokens, as a multiple of that with 10 thousand", prefix, of),
			Want: fmt.Sprintf("≤ %.2f", mostGrowth),
		}
		if i := slices.IndexFunc(measured, func(g growth) bool { return g.work == of }); i >= 0 {
			g := measured[i]
			t.Met = g.factor.Median <= mostGrowth
			t.Measured = fmt.Sprintf("%s%s, %s → %s", against(g.factor.Median, mostGrowth, t.Met), brackets(g.factor, twoDecimals),
				took(g.small.Median), took(g.large.Median))
		}
		return t
	}
	all := []Target{target(subject.IntrospectHit, ""), target(subject.Rotate, "")}
	if len(measured) > 0 {
		worst := slices.MaxFunc(measured, func(x, y growth) int {
			return cmp.Compare(x.factor.Median, y.factor.Median)
		})
		all = append(all, target(worst.work, fmt.Sprintf("the worst of %d works: ", len(measured))))
	}
	return all
}

// collected are the measurements of the collector under the same conditions.
type collected struct {
	size       int64
	collectors int
	batch      int32
	rate       float64
	perSecond  Spread
	slowdown   Spread
	quiet      Latency // medians
	busy       Latency
}

func (c collected) met() bool {
	return c.perSecond.Median >= leastCollected && c.slowdown.Median <= mostSlowdown
}

// collected puts those measurements together that were taken under the same conditions.
func (r *Results) collected() []collected {
	type conditions struct {
		size       int64
		collectors int
		batch      int32
		rate       float64
	}
	var order []conditions
	by := map[conditions][]Collector{}
	for _, c := range r.Collector {
		k := conditions{c.Size, c.Collectors, c.BatchSize, c.Rate}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], c)
	}
	// Before the collectors begin it is the same for all of them, so the median of all is what to compare with: a stall in one of
	// the few short times of quiet would else make its collectors look good.
	type calm struct {
		size int64
		rate float64
	}
	before := map[calm][]float64{}
	for _, c := range r.Collector {
		k := calm{c.Size, c.Rate}
		before[k] = append(before[k], float64(c.Quiet.P99))
	}
	quiet := map[calm]float64{}
	for k, values := range before {
		quiet[k] = Summarize(values).Median
	}
	all := make([]collected, len(order))
	for i, k := range order {
		over := func(figure func(Collector) float64) Spread {
			values := make([]float64, len(by[k]))
			for i, c := range by[k] {
				values[i] = figure(c)
			}
			return Summarize(values)
		}
		latency := func(of func(Collector) Latency) Latency {
			return Latency{
				P50:  time.Duration(over(func(c Collector) float64 { return float64(of(c).P50) }).Median),
				P99:  time.Duration(over(func(c Collector) float64 { return float64(of(c).P99) }).Median),
				P999: time.Duration(over(func(c Collector) float64 { return float64(of(c).P999) }).Median),
			}
		}
		all[i] = collected{
			size: k.size, collectors: k.collectors, batch: k.batch, rate: k.rate,
			perSecond: over(Collector.PerSecond),
			slowdown:  over(func(c Collector) float64 { return float64(c.Busy.P99) / quiet[calm{k.size, k.rate}] }),
			quiet:     latency(func(c Collector) Latency { return c.Quiet }),
			busy:      latency(func(c Collector) Latency { return c.Busy }),
		}
	}
	return all
}

// collectorTarget is met by the number of collectors that one would choose: the fastest that leaves introspection alone. If none
// does, or none is fast enough, the fastest misses it.
func (r *Results) collectorTarget() Target {
	t := Target{
		What: "rows deleted by the collectors in all, while the p99 of introspection is at most 1.5 of that without them",
		Want: fmt.Sprintf("≥ %s/s, p99 ≤ %.2f", count(leastCollected), mostSlowdown),
	}
	all := r.collected()
	if len(all) == 0 {
		return t
	}
	best := slices.MaxFunc(all, func(x, y collected) int {
		switch {
		case x.met() && !y.met():
			return 1
		case y.met() && !x.met():
			return -1
		default:
			return cmp.Compare(x.perSecond.Median, y.perSecond.Median)
		}
	})
	t.Met = best.met()
	t.Measured = fmt.Sprintf(
		"%s/s%s, p99 × %s%s with %s in batches of %s at %s access tokens",
		count(floorIf(best.perSecond.Median < leastCollected, best.perSecond.Median)), brackets(best.perSecond, count),
		against(best.slowdown.Median, mostSlowdown, best.slowdown.Median <= mostSlowdown), brackets(best.slowdown, twoDecimals),
		plural(best.collectors, "collector"), count(float64(best.batch)), sizeName(best.size),
	)
	return t
}

// allocsTarget looks at one connection, where nothing else allocates.
func (r *Results) allocsTarget() Target {
	t := Target{What: "heap allocations of the client for an introspect-hit", Want: fmt.Sprintf("≤ %d", mostAllocs)}
	for _, n := range []int{1, comparedAt} {
		s := r.find(subject.IntrospectHit, store, r.middle(), n, 0).over(func(r Round) float64 {
			return math.Floor(r.Allocs) // as testing.AllocsPerRun has it: the pool makes its resources in chunks, of which each call has a small share
		})
		if s.Median > 0 {
			t.Met = s.Median <= mostAllocs
			t.Measured = against(s.Median, mostAllocs, t.Met) + brackets(s, twoDecimals)
			break
		}
	}
	return t
}

// against writes v with two decimals, or with as many more as it takes to see that it misses limit.
func against(v, limit float64, met bool) string {
	for digits := 2; ; digits++ {
		s := fmt.Sprintf("%.*f", digits, v)
		scale := math.Pow10(digits)
		if met || digits == 9 || math.Round(v*scale) != math.Round(limit*scale) {
			return s
		}
	}
}

// floorIf rounds v down if short, so that it isn't rounded up to what it falls short of.
func floorIf(short bool, v float64) float64 {
	if short {
		return math.Floor(v)
	}
	return v
}
