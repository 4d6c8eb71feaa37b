package report

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// made has one cell, of five rounds at so many operations a second.
func made(w subject.Work, name string, conns int, size int64, delay time.Duration, perSecond int64) Cell {
	c := Cell{Condition: Condition{w, name, size, conns, delay}}
	for i, wobble := range []int64{100, 98, 103, 101, 97} { // of the machine, for everybody
		ops := perSecond * wobble
		c.Rounds = append(c.Rounds, Round{
			Number: i, Ops: ops, Elapsed: 100 * time.Second, P50: 1e11 / time.Duration(ops), P99: 3e11 / time.Duration(ops), P999: 9e11 / time.Duration(ops),
			Allocs: 25.4, Statements: 9, Rows: 4, WALBytes: 4500, Buffers: 140, DatabaseCPU: 5e10 / time.Duration(ops),
		})
	}
	return c
}

func collectors(n int, rows int64, p99 time.Duration) Collector {
	return Collector{
		Size: 100_000, Collectors: n, Pace: Pace{BatchSize: 1000, Share: 1}, Rows: rows, Elapsed: 2 * time.Second, Batches: 200, Working: 2 * time.Second, Deleting: time.Second,
		Rate: 1000, Quiet: Latency{1e5, 4e5, 9e5}, Busy: Latency{1e5, p99, 9e5}, Control: Latency{1e5, 5e5, 9e5},
	}
}

func results() *Results {
	r := &Results{
		Taken: time.Date(2026, 3, 9, 23, 30, 0, 0, time.UTC), Commit: "608fed8", Command: "make bench",
		Subjects: []subject.Subject{{Name: "store"}, {Name: "tx-lock"}},
		Settings: []subject.Subject{{Name: "mode exec", Describe: "`exec`"}},
		Datasets: []Dataset{{1000, []Relation{{"session", 10, 1000, 500}}}},
		Proxies:  []Proxy{{500 * time.Microsecond, 620 * time.Microsecond}},
		Collector: []Collector{
			collectors(1, 120_000, 6e5),
			collectors(2, 180_000, 7e5),
		},
		Cells: []Cell{made(subject.Rotate, "mode exec", 16, 1_000_000, 0, 300)},
	}
	for _, n := range []int{1, 16} {
		for _, d := range []time.Duration{0, 500 * time.Microsecond} {
			r.Cells = append(r.Cells, made(subject.Rotate, "store", n, 1_000_000, d, 2100), made(subject.Rotate, "tx-lock", n, 1_000_000, d, 700))
		}
	}
	r.Cells = append(r.Cells, made(subject.IntrospectHit, "store", 1, 1_000_000, 0, 9000), made(subject.IntrospectBound, "store", 1, 1_000_000, 0, 7500),
		made(subject.Rotate, "store", 1, 10_000, 0, 2205), made(subject.Rotate, "store", 1, 10_000_000, 0, 2100))
	return r
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	a, b := made(subject.Rotate, "a", 1, 1, 0, 300), made(subject.Rotate, "b", 1, 1, 0, 100)
	b.Rounds[0], b.Rounds[4] = b.Rounds[4], b.Rounds[0]
	if got, want := Ratio(&a, &b), (Spread{5, 3, 3, 3}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	b.Rounds = b.Rounds[:2]
	if got := Ratio(&a, &b); got.N != 2 {
		t.Errorf("of two common rounds: %v", got)
	}
	if got := Ratio(&a, nil); got.N != 0 {
		t.Errorf("of nothing: %v", got)
	}
	if got := Summarize([]float64{50, 10, 40, 20, 30}); got.Median != 30 || got.Low >= 30 || got.High <= 30 {
		t.Errorf("the median and quartiles are %v", got)
	}
}

// Of two collectors that are both too slow or too loud, the one that leaves introspection alone counts, with its rate.
func TestTheCollectorThatLeavesIntrospectionAloneCounts(t *testing.T) {
	r := results()
	r.Collector[0].Rows = 20_000
	if best, ok := r.bestCollected(); !ok || best.Collectors != 1 || best.met() {
		t.Errorf("%+v", best.Collector)
	}
	r.Collector[0].Busy.P99 *= 2
	if best, ok := r.bestCollected(); !ok || best.Collectors != 2 {
		t.Errorf("where none does, the fastest: %+v", best.Collector)
	}
}

func TestTargetsTellMetFromMissed(t *testing.T) {
	verdicts := func(r *Results) (all []bool) {
		for _, target := range r.Targets() {
			if target.Measured == "" {
				t.Errorf("%s: not measured", target.What)
			}
			all = append(all, target.Met)
		}
		return all
	}
	if got := verdicts(results()); !reflect.DeepEqual(got, []bool{true, true, true, true, true, true, true, true, true}) {
		t.Errorf("all are met by a hair: %v", got)
	}
	r := results()
	for i := range r.Cells { // one half, and more allocations; ten times the data takes twice as long
		for j := range r.Cells[i].Rounds {
			round := &r.Cells[i].Rounds[j]
			if r.Cells[i].Work == subject.IntrospectBound {
				round.DatabaseCPU *= 2
			}
			if round.Allocs++; r.Cells[i].Subject == "store" && r.Cells[i].Size > 10_000 {
				round.Elapsed, round.P50, round.DatabaseCPU = 2*round.Elapsed, 2*round.P50, 3*round.DatabaseCPU
			}
		}
	}
	r.Collector = r.Collector[1:] // the p99 of the other goes up by 1.75
	if got := verdicts(r); !reflect.DeepEqual(got, []bool{false, false, false, false, false, false, false, false, false}) {
		t.Errorf("none is met: %v", got)
	}
	for _, target := range (&Results{}).Targets() {
		if target.Measured != "" || target.Met {
			t.Errorf("of nothing: %+v", target)
		}
	}
}

func TestThePageHasAPlaceForEachSection(t *testing.T) {
	docs := t.TempDir()
	kept := filepath.Join(docs, "results.json")
	if err := results().Save(kept); err != nil {
		t.Fatal(err)
	}
	r, err := Load(kept)
	if err != nil || !reflect.DeepEqual(r, results()) {
		t.Fatalf("%v\ngot  %+v\nwant %+v", err, r, results())
	}
	page := filepath.Join(docs, "performance.md")
	text := "# Mine\n"
	for mark := range r.Sections() {
		text += "<!-- begin " + mark + " -->\n(old)\n<!-- end " + mark + " -->\n"
	}
	if err := os.WriteFile(page, []byte(text+"mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Write(docs); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Mine\n", "mine\n",
		"| rotate | 2,100 | 700 (0.33) |",                     // throughput
		"| rotate | 4,200, 238 µs | 1,400, 714 µs |",          // per core
		"| rotate | 476 µs / 1.43 ms / 4.29 ms |",             // latency
		"| rotate | 454 µs | 476 µs (1.05) | 476 µs (1.05) |", // growth
		"the proxy adds 620 µs",
		"| `exec` | 300 [",
		"| rotate | tx-lock | 9 | 4 | 4,500 | 140 | 25.4 | — |",
		"| `session` | 10 | 100 | 50 | 0 |",
		"| 1 | 1,000 | 1 | 0 | 10.0 ms | 60,000 | 120,000 | 100 µs / 400 µs / 900 µs | 100 µs / 600 µs / 900 µs | 1.50 | 1.25 |",
		"| Commit | 608fed8 |",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(got), "(old)") || strings.Contains(string(got), "Not measured") || t.Failed() {
		t.Errorf("the page is\n%s", got)
	}
	if svg, err := os.ReadFile(filepath.Join(docs, "performance", sizePlot)); err != nil || !strings.Contains(string(svg), "rotate") {
		t.Errorf("the plot lacks a work: %v", err)
	}
	if err := os.WriteFile(page, []byte("# Mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(docs); err == nil {
		t.Error("a page without a place was taken")
	}
}
