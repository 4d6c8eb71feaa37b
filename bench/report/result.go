// Package report keeps what the benchmark measured and writes the page and the plots from it. It measures nothing and rounds
// nothing away: the numbers are kept as JSON, and the page can be written again from that.
package report

import (
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Results are what one run of the benchmark measured.
type Results struct {
	Taken       time.Time // when the run began
	Command     string    // that takes them again
	Environment Environment
	Subjects    []Subject
	Datasets    []Dataset
	Cells       []Cell
	Costs       []Cost
	Collector   []Collector
}

// Environment is what the numbers depend on beside the code.
type Environment struct {
	PostgreSQL string // version
	Go         string // version
	CPU        string // model
	CPUs       int
	Memory     int64             // bytes
	Settings   map[string]string // of the server that matter to the figures
	Transport  string            // "Unix socket", say
}

// Subject describes one of the subjects, for the legend.
type Subject struct {
	Name, Describe string
	Races          map[subject.Work]string // what goes wrong when requests race, where something does
}

// Dataset is one size of the data.
type Dataset struct {
	AccessTokens int64
	Tables       []Table
}

// Table is what a table costs on disk.
type Table struct {
	Name       string
	Rows       int64
	HeapBytes  int64
	IndexBytes int64
}

// Cell is one subject doing one work under one condition, in several rounds. Rounds with the same number, of different subjects,
// were measured right after one another, so a ratio is taken within a round, and the median over the rounds.
type Cell struct {
	Work    subject.Work
	Subject string
	Size    int64         // access tokens in the data
	Conns   int           // connections, each busy all the time
	Delay   time.Duration `json:",omitzero"` // added to each network round trip
	Rounds  []Round
}

// Round is one measurement.
type Round struct {
	Number  int
	Ops     int64
	Elapsed time.Duration
	P50     time.Duration
	P99     time.Duration
	P999    time.Duration
	Allocs  float64 `json:",omitzero"` // heap allocations per operation in the client; 0 for pgbench, which is not Go
	Bytes   float64 `json:",omitzero"` // allocated per operation in the client
}

// PerSecond is the throughput of the round.
func (r Round) PerSecond() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// Cost is what one operation takes of the server and the network, counted with one connection.
type Cost struct {
	Work       subject.Work
	Subject    string
	Size       int64
	Statements float64 // BEGIN and COMMIT count
	RoundTrips float64 // times that the client waits for the server
	WALBytes   float64
	FullPages  float64 // full page images in the WAL
	Buffers    float64 // pages looked at in shared buffers, whether or not they were there
}

// Collector is one measurement of the collector beside introspection.
type Collector struct {
	Size       int64
	Collectors int
	BatchSize  int32         // rows that a statement deletes at most
	Rows       int64         // deleted
	Elapsed    time.Duration // of the deleting
	Rate       float64       // introspections per second that were asked for
	Quiet      Latency       // of introspection before
	Busy       Latency       // of introspection during it
}

// Latency is a distribution.
type Latency struct{ P50, P99, P999 time.Duration }
