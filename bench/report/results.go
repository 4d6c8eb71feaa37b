// Package report keeps what the benchmark measured and writes the page and the plots from it. It measures nothing and rounds
// nothing away: the numbers are kept as JSON, and the page can be written again from that.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/aclements/go-moremath/stats"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// Results are what one run of the benchmark measured.
type Results struct {
	Taken       time.Time // when the run began
	Commit      string    // of what was measured
	Command     string    // that takes them again
	Environment dataset.Environment
	Subjects    []subject.Subject
	Settings    []subject.Subject // of package db, that were tried
	Datasets    []Dataset
	Proxies     []Proxy
	Collector   []Collector
	Collected   string `json:",omitzero"` // the commit whose collectors were measured, if by themselves
	Cells       []Cell
}

// Dataset is one size of the data.
type Dataset struct {
	AccessTokens int64
	Tables       []Relation
}

// Relation is what a table costs on disk.
type Relation struct {
	Name                        string
	Rows, HeapBytes, IndexBytes int64
}

// Proxy is what it really adds to the round trip of SELECT 1.
type Proxy struct{ Asked, Added time.Duration }

// Condition is one subject doing one work.
type Condition struct {
	Work    subject.Work
	Subject string
	Size    int64         // access tokens in the data
	Conns   int           // connections, each busy all the time
	Delay   time.Duration `json:",omitzero"` // added to each network round trip
}

// Cell is a condition in several rounds. Rounds with the same number, of different subjects, were measured right after one another,
// so a ratio is taken within a round, and the median over the rounds.
type Cell struct {
	Condition
	Rounds []Round `json:",omitempty"`
}

// Round is one measurement. What is 0 was not measured.
type Round struct {
	Number         int
	Ops            int64
	Elapsed        time.Duration
	P50, P99, P999 time.Duration
	Allocs         float64       `json:",omitzero"` // heap allocations per operation in the client
	Bytes          float64       `json:",omitzero"` // allocated per operation in the client
	DatabaseCPU    time.Duration `json:",omitzero"` // per operation, of the server's processes for the connections
	Statements     float64       `json:",omitzero"` // per operation; BEGIN and COMMIT count
	Rows           float64       `json:",omitzero"` // per operation: inserted, updated and deleted
	WALBytes       float64       `json:",omitzero"` // per operation
	Buffers        float64       `json:",omitzero"` // per operation: pages looked at in shared buffers, whether or not they were there
}

// PerSecond is the throughput of the round.
func (r Round) PerSecond() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// PerCPU is how many operations a second of one processor of the database gives.
func (r Round) PerCPU() float64 {
	if r.DatabaseCPU <= 0 {
		return 0
	}
	return float64(time.Second) / float64(r.DatabaseCPU)
}

// Latency is a distribution.
type Latency struct{ P50, P99, P999 time.Duration }

// Save writes r as JSON.
func (r *Results) Save(path string) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		err = fmt.Errorf("save results: %w", err)
	}
	return err
}

// Load reads what Save wrote.
func Load(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	r := new(Results)
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("load results: %w", err)
	}
	return r, nil
}

// Find returns the cell, or nil if it wasn't measured.
func (r *Results) Find(w subject.Work, name string, size int64, conns int, delay time.Duration) *Cell {
	i := slices.IndexFunc(r.Cells, func(c Cell) bool { return c.Condition == Condition{w, name, size, conns, delay} && len(c.Rounds) > 0 })
	if i < 0 {
		return nil
	}
	return &r.Cells[i]
}

// Spread is what several rounds say of one figure.
type Spread struct {
	N                 int
	Median, Low, High float64 // and the quartiles
}

// Summarize gives the median and the spread of values, which it leaves alone.
func Summarize(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := stats.Sample{Xs: values}
	return Spread{len(values), s.Quantile(0.5), s.Quantile(0.25), s.Quantile(0.75)}
}

// Over is the spread of a figure of the rounds of c, which may be nil.
func (c *Cell) Over(figure func(Round) float64) Spread {
	if c == nil {
		return Spread{}
	}
	var values []float64
	for _, r := range c.Rounds {
		values = append(values, figure(r))
	}
	return Summarize(values)
}

// PerSecond is the throughput of c over its rounds. A nil c has none.
func (c *Cell) PerSecond() Spread { return c.Over(Round.PerSecond) }

// PerCPU is that of a second of one processor of the database.
func (c *Cell) PerCPU() Spread { return c.Over(Round.PerCPU) }

func p50(r Round) float64    { return float64(r.P50) }
func p99(r Round) float64    { return float64(r.P99) }
func p999(r Round) float64   { return float64(r.P999) }
func allocs(r Round) float64 { return r.Allocs }

// P50 is the median latency in nanoseconds over the rounds of c. A nil c has none.
func (c *Cell) P50() Spread { return c.Over(p50) }

// P99 is the latency, in nanoseconds, that 1 % of the operations exceed, over the rounds of c. A nil c has none.
func (c *Cell) P99() Spread { return c.Over(p99) }

// Ratio is the throughput of a as a multiple of b's.
func Ratio(a, b *Cell) Spread { return within(a, b, Round.PerSecond) }

// Growth is the p50 of a as a multiple of b's.
func Growth(a, b *Cell) Spread { return within(a, b, p50) }

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
