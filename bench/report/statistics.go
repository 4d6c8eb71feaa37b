package report

import (
	"math"
	"slices"
	"time"
)

// fewRounds is the number of rounds below which there is nothing to take quartiles of.
const fewRounds = 4

// Spread is what several rounds say of one figure.
type Spread struct {
	N         int
	Median    float64
	Low, High float64 // the quartiles, or the least and the greatest of fewer than four
}

// Summarize gives the median and the spread of values, which it leaves alone. Quartiles between two values are interpolated.
func Summarize(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	s := Spread{N: len(v), Median: quantile(v, 0.5)}
	if s.N < fewRounds {
		s.Low, s.High = v[0], v[len(v)-1]
	} else {
		s.Low, s.High = quantile(v, 0.25), quantile(v, 0.75)
	}
	return s
}

// quantile interpolates between the values of v, which is sorted and has one at least.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 == len(v) {
		return v[i]
	}
	return v[i] + (v[i+1]-v[i])*(at-math.Floor(at))
}

// over is the spread of a figure of the rounds of c, which may be nil.
func (c *Cell) over(figure func(Round) float64) Spread {
	if c == nil {
		return Spread{}
	}
	values := make([]float64, len(c.Rounds))
	for i, r := range c.Rounds {
		values[i] = figure(r)
	}
	return Summarize(values)
}

// PerSecond is the throughput of c over its rounds. A nil c has none.
func (c *Cell) PerSecond() Spread { return c.over(Round.PerSecond) }

// P50 is the median latency in nanoseconds over the rounds of c. A nil c has none.
func (c *Cell) P50() Spread { return c.over(func(r Round) float64 { return float64(r.P50) }) }

// P99 is the latency, in nanoseconds, that 1 % of the operations exceed, over the rounds of c. A nil c has none.
func (c *Cell) P99() Spread { return c.over(func(r Round) float64 { return float64(r.P99) }) }

// P999 is the latency, in nanoseconds, that 0.1 % of the operations exceed, over the rounds of c. A nil c has none.
func (c *Cell) P999() Spread { return c.over(func(r Round) float64 { return float64(r.P999) }) }

// Ratio is the throughput of a as a multiple of b's. See within.
func Ratio(a, b *Cell) Spread { return within(a, b, Round.PerSecond) }

// Growth is the p50 of a as a multiple of b's. See within.
func Growth(a, b *Cell) Spread {
	return within(a, b, func(r Round) float64 { return float64(r.P50) })
}

// within is a figure of a as a multiple of b's, over the rounds that both have: each time, that of a divided by that of b in the
// same round. What slows the machine down for a while thereby slows both. It has no rounds if either is nil.
func within(a, b *Cell, figure func(Round) float64) Spread {
	if a == nil || b == nil {
		return Spread{}
	}
	var ratios []float64
	for _, ra := range a.Rounds {
		i := slices.IndexFunc(b.Rounds, func(rb Round) bool { return rb.Number == ra.Number })
		if i >= 0 && figure(b.Rounds[i]) > 0 {
			ratios = append(ratios, figure(ra)/figure(b.Rounds[i]))
		}
	}
	return Summarize(ratios)
}

// PerSecond is how many rows were deleted in a second, by all collectors together.
func (c Collector) PerSecond() float64 { return float64(c.Rows) / c.Elapsed.Seconds() }

// Slowdown is the p99 of introspection during the deleting as a multiple of that before.
func (c Collector) Slowdown() float64 { return ratio(c.Busy.P99, c.Quiet.P99) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
