package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/oauthdb/oauthdb/bench/subject"
)

var update = flag.Bool("update", false, "write testdata again")

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{1, 3, 3, 3}},
		{[]float64{9, 1, 2}, Spread{3, 2, 1, 9}},            // least and greatest
		{[]float64{4, 1, 3, 2}, Spread{4, 2.5, 1.75, 3.25}}, // quartiles
		{[]float64{50, 10, 40, 20, 30}, Spread{5, 30, 20, 40}},
	} {
		before := slices.Clone(c.values)
		if got := Summarize(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("%v became %v", before, c.values)
		}
	}
}

func TestRatioIsTakenWithinTheRound(t *testing.T) {
	rounds := func(ops ...int64) *Cell {
		c := &Cell{}
		for i, n := range ops {
			c.Rounds = append(c.Rounds, Round{Number: i, Ops: n, Elapsed: time.Second})
		}
		return c
	}
	a, b := rounds(100, 10, 30), rounds(50, 5, 10) // the machine was slow in the second round
	slices.Reverse(b.Rounds)
	if got, want := Ratio(a, b), (Spread{3, 2, 2, 3}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	b.Rounds = b.Rounds[:1] // the last
	if got, want := Ratio(a, b), (Spread{1, 3, 3, 3}); got != want {
		t.Errorf("of the common round: %v, want %v", got, want)
	}
	if got := Ratio(a, nil); got.N != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// find returns the index of the target whose text has all parts.
func find(t *testing.T, r *Results, parts ...string) Target {
	t.Helper()
	var found []Target
	for _, target := range r.Targets() {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(target.What, p) }) {
			found = append(found, target)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d targets of %q", len(found), parts)
	}
	return found[0]
}

// scale multiplies the throughput of cells.
func scale(r *Results, factor float64, ok func(*Cell) bool) {
	for i := range r.Cells {
		if c := &r.Cells[i]; ok(c) {
			for j := range c.Rounds {
				c.Rounds[j].Elapsed = time.Duration(float64(c.Rounds[j].Elapsed) / factor)
				c.Rounds[j].P50 = time.Duration(float64(c.Rounds[j].P50) / factor)
			}
		}
	}
}

func TestTargetsTellMetFromMissed(t *testing.T) {
	of := func(name string, w subject.Work, d time.Duration) func(*Cell) bool {
		return func(c *Cell) bool { return c.Subject == name && c.Work == w && c.Delay == d && c.Conns == comparedAt }
	}
	sized := func(w subject.Work, n int64) func(*Cell) bool {
		return func(c *Cell) bool { return c.Work == w && c.Size == n && c.Conns == 1 }
	}
	for _, c := range []struct {
		name  string
		parts []string
		// set makes the figure what it would have to be, times off.
		set func(r *Results, off float64)
	}{
		{"pgx", []string{"introspect-hit", "hand-written pgx"}, func(r *Results, off float64) {
			same(r, of("store", subject.IntrospectHit, 0), of("pgx", subject.IntrospectHit, 0), 0.97*off)
		}},
		{"pgbench", []string{"rotate", "pgbench"}, func(r *Results, off float64) {
			same(r, of("store", subject.Rotate, 0), of("pgbench", subject.Rotate, 0), 0.8*off)
		}},
		{"socket", []string{"rotate", "of tx,", "16 connections", "no delay"}, func(r *Results, off float64) {
			same(r, of("store", subject.Rotate, 0), of("tx", subject.Rotate, 0), 2.5*off)
		}},
		{"network", []string{"rotate", "of gorm,", "16 connections", "0.5 ms"}, func(r *Results, off float64) {
			same(r, of("store", subject.Rotate, network), of("gorm", subject.Rotate, network), 4*off)
		}},
		{"growth", []string{"p50 of rotate", "10 million"}, func(r *Results, off float64) {
			scale(r, 1.14/1.25*off, sized(subject.Rotate, largeSize))
			scale(r, 0.5, sized(subject.Redeem, largeSize)) // so that another is the worst
		}},
		{"worst growth", []string{"p50 of consent", "the worst of 10 works"}, func(r *Results, off float64) {
			scale(r, 1.14/1.25*off, sized(subject.Consent, largeSize))
		}},
		{"collected", []string{"rows deleted"}, func(r *Results, off float64) {
			r.Collector = r.Collector[:2]
			r.Collector[1].Elapsed = time.Duration(float64(r.Collector[1].Rows) / (50_000 * off) * 1e9)
		}},
		{"slowdown", []string{"rows deleted"}, func(r *Results, off float64) {
			r.Collector = r.Collector[2:]
			r.Collector[0].Busy.P99 = time.Duration(float64(r.Collector[0].Quiet.P99) * 1.5 / off)
		}},
		{"allocations", []string{"heap allocations"}, func(r *Results, off float64) {
			for i := range r.Cells {
				for j := range r.Cells[i].Rounds {
					r.Cells[i].Rounds[j].Allocs = 25.9 // allocated now and then
					if off < 1 {
						r.Cells[i].Rounds[j].Allocs = 26
					}
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, off := range []float64{1.0001, 0.9999, 0} {
				r := made()
				want := "met"
				switch {
				case off == 0:
					r = &Results{}
					want = "not measured"
				case off < 1:
					want = "missed"
				}
				if off > 0 {
					c.set(r, off)
				} else if strings.Contains(c.name, "worst") {
					continue
				}
				got := find(t, r, c.parts...)
				if got.Verdict() != want {
					t.Errorf("at %v of the limit: %s (%s)", off, got.Verdict(), got.Measured)
				}
				limit := strings.Fields(strings.NewReplacer("/s,", "", "≥", "", "≤", "", ".50", ".5").Replace(got.Want))[0]
				if want == "missed" && slices.Contains(strings.Fields(got.Measured), limit) {
					t.Errorf("%q reads as if it met %q", got.Measured, got.Want)
				}
			}
		})
	}
}

// same gives the cell a the rounds of b, with a throughput that is a multiple of it.
func same(r *Results, a, b func(*Cell) bool, multiple float64) {
	var from *Cell
	for i := range r.Cells {
		if b(&r.Cells[i]) {
			from = &r.Cells[i]
		}
	}
	for i := range r.Cells {
		if a(&r.Cells[i]) {
			r.Cells[i].Rounds = slices.Clone(from.Rounds)
		}
	}
	scale(r, multiple, a)
}

func TestCollectorTargetTakesTheFastestThatLeavesIntrospectionAlone(t *testing.T) {
	r := made()
	r.Collector[1].Elapsed /= 2 // 83,333 a second, p99 × 1.3; four collectors are at 62,500, × 1.6
	got := find(t, r, "rows deleted")
	if !got.Met || !strings.Contains(got.Measured, "2 collectors") {
		t.Errorf("%+v", got)
	}
}

func TestSavedResultsAreLoadedAgain(t *testing.T) {
	r := made()
	path := filepath.Join(t.TempDir(), "results.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Cells {
		k := c.key()
		if l := got.find(k.work, k.subject, k.size, k.conns, k.delay); l == nil || !reflect.DeepEqual(c, *l) {
			t.Errorf("%v came back as %+v", k, l)
		}
	}
	if !got.Taken.Equal(r.Taken) || !reflect.DeepEqual(got.Subjects, r.Subjects) || !reflect.DeepEqual(got.Environment, r.Environment) ||
		!reflect.DeepEqual(got.Datasets, r.Datasets) || !reflect.DeepEqual(got.Collector, r.Collector) || len(got.Costs) != len(r.Costs) {
		t.Error("something came back otherwise")
	}

	t.Run("in the same order", func(t *testing.T) {
		rand.Shuffle(len(r.Cells), func(i, j int) { r.Cells[i], r.Cells[j] = r.Cells[j], r.Cells[i] })
		rand.Shuffle(len(r.Costs), func(i, j int) { r.Costs[i], r.Costs[j] = r.Costs[j], r.Costs[i] })
		again, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(saved, again) {
			t.Error("the order of measuring shows")
		}
	})
}

func TestImpossibleResultsAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Results){
		"a cell twice":      func(r *Results) { r.Cells = append(r.Cells, r.Cells[0]) },
		"a round twice":     func(r *Results) { r.Cells[0].Rounds[1].Number = r.Cells[0].Rounds[0].Number },
		"a round without t": func(r *Results) { r.Cells[0].Rounds[0].Elapsed = 0 },
		"an empty round":    func(r *Results) { r.Cells[0].Rounds[0].Ops = 0 },
		"no deleting":       func(r *Results) { r.Collector[0].Elapsed = 0 },
	} {
		r := made()
		spoil(r)
		if err := r.Save(filepath.Join(t.TempDir(), "results.json")); err == nil {
			t.Errorf("%s was saved", name)
		}
		if _, err := Page("<!-- begin measured -->\n<!-- end measured -->\n", r); err == nil {
			t.Errorf("%s was written to the page", name)
		}
	}
	path := filepath.Join(t.TempDir(), "results.json")
	for _, text := range []string{"", "{", `{"Cell": []}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil {
			t.Errorf("%q was loaded", text)
		}
	}
}

const handWritten = `# Performance

By hand, before.

## The aims

<!-- begin measured: targets -->
of yesterday
<!-- end measured: targets -->

By hand, between.

<!-- begin measured -->
<!-- end measured -->

By hand, after.
`

// TestPage compares the whole page with testdata/page.md, which -update writes.
func TestPage(t *testing.T) {
	r := made()
	// Less of the same: enough to see every form.
	keep := []subject.Work{subject.IntrospectHit, subject.Rotate, subject.Retry}
	r.Cells = slices.DeleteFunc(r.Cells, func(c Cell) bool { return !slices.Contains(keep, c.Work) })
	r.Costs = slices.DeleteFunc(r.Costs, func(c Cost) bool { return !slices.Contains(keep, c.Work) || c.Subject == "pgx" })
	for i := range r.Cells {
		if r.Cells[i].Conns == 64 {
			r.Cells[i].Rounds = r.Cells[i].Rounds[:3]
		}
	}
	got, err := Page(handWritten, r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "page.md")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("otherwise than %s; -update writes it:\n%s", path, got)
	}
	again, err := Page(got, r)
	if err != nil {
		t.Fatal(err)
	}
	if again != got {
		t.Error("writing the page again changes it")
	}
}

func TestPageLeavesHandWrittenTextAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte(handWritten), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Results{made(), {}} {
		if err := WritePage(path, r); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page := string(b)
		for _, text := range []string{
			"# Performance\n\nBy hand, before.\n\n## The aims\n\n<!-- begin measured: targets -->\n\n| ",
			"\n<!-- end measured: targets -->\n\nBy hand, between.\n\n<!-- begin measured -->\n\n## Throughput\n\n",
			"\n\n<!-- end measured -->\n\nBy hand, after.\n",
		} {
			if !strings.Contains(page, text) {
				t.Errorf("lacks %q", text)
			}
		}
		if strings.Contains(page, "yesterday") {
			t.Error("has what was measured before")
		}
		if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Errorf("has figures that are none:\n%s", page)
		}
	}
}

func TestPageNeedsItsMarkers(t *testing.T) {
	whole := "<!-- begin measured -->\n<!-- end measured -->\n"
	for name, page := range map[string]string{
		"none":              "# Performance\n",
		"one section":       "<!-- begin measured: targets -->\n<!-- end measured: targets -->\n",
		"no end":            "<!-- begin measured -->\n",
		"no beginning":      "<!-- end measured -->\n",
		"the wrong end":     "<!-- begin measured -->\n<!-- end measured: targets -->\n",
		"one in another":    "<!-- begin measured -->\n<!-- begin measured: targets -->\n<!-- end measured: targets -->\n<!-- end measured -->\n",
		"twice":             whole + whole,
		"an unknown name":   whole + "<!-- begin measured: weather -->\n<!-- end measured: weather -->\n",
		"amid a line":       "Between <!-- begin measured --> and <!-- end measured --> it is written.\n",
		"the end before it": "<!-- end measured -->\n<!-- begin measured -->\n",
	} {
		if _, err := Page(page, made()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var all strings.Builder
	for _, s := range Sections {
		all.WriteString("<!-- begin measured: " + s.Name + " -->\n<!-- end measured: " + s.Name + " -->\n")
	}
	if _, err := Page(all.String(), made()); err != nil {
		t.Errorf("a pair for each section: %v", err)
	}
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WritePage(path, made()); err == nil {
		t.Error("no error")
	}
	if b, _ := os.ReadFile(path); string(b) != "by hand" {
		t.Errorf("became %q", b)
	}
}

func TestPlotsAreTheSameForTheSameResults(t *testing.T) {
	r := made()
	first, err := Plots(r)
	if err != nil {
		t.Fatal(err)
	}
	rand.Shuffle(len(r.Cells), func(i, j int) { r.Cells[i], r.Cells[j] = r.Cells[j], r.Cells[i] })
	r.Taken = time.Now()
	second, err := Plots(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 3 {
		t.Errorf("%d plots", len(first))
	}
	for name, b := range first {
		if !bytes.Equal(b, second[name]) {
			t.Errorf("%s differs", name)
		}
		for d := xml.NewDecoder(bytes.NewReader(b)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, s := range r.Subjects {
			if name != sizePlot && !bytes.Contains(b, []byte(">"+s.Name+"<")) {
				t.Errorf("%s doesn't name %s", name, s.Name)
			}
		}
		for _, w := range subject.Works {
			if name == sizePlot && !bytes.Contains(b, []byte(">"+string(w)+"<")) {
				t.Errorf("%s doesn't name %s", name, w)
			}
		}
		if bytes.Contains(b, []byte("NaN")) || bytes.Contains(b, []byte("Inf")) {
			t.Errorf("%s has figures that are none", name)
		}
	}
}

func TestPlotsThatHaveNoNumbersAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "performance")
	r := made()
	for _, want := range []int{3, 1, 0} {
		if err := WritePlots(dir, r); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != want {
			t.Errorf("%d plots, want %d", len(files), want)
		}
		page, err := Page(handWritten, r)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(page, "]("+"performance/") - strings.Count(page, "results.json"); n != want {
			t.Errorf("the page shows %d plots, want %d", n, want)
		}
		if want == 3 { // only the throughput on the socket
			r.Cells = slices.DeleteFunc(r.Cells, func(c Cell) bool { return c.Conns != comparedAt || c.Delay > 0 })
		} else {
			r.Cells = nil
		}
	}
}

func TestNamesAreMovedApart(t *testing.T) {
	for _, c := range []struct{ want, at []vg.Length }{
		{[]vg.Length{10, 50}, []vg.Length{10, 50}},
		{[]vg.Length{50, 50}, []vg.Length{45, 55}},
		{[]vg.Length{50, 52, 58}, []vg.Length{130. / 3, 160. / 3, 190. / 3}},
		{[]vg.Length{0, 0, 1}, []vg.Length{0, 10, 20}},
		{[]vg.Length{99, 100}, []vg.Length{90, 100}},
	} {
		got := apart(c.want, 10, 0, 100)
		for i := range got {
			if d := got[i] - c.at[i]; d > 0.001 || d < -0.001 {
				t.Errorf("%v: %v, want %v", c.want, got, c.at)
				break
			}
		}
	}
}

func TestFigures(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(999.5): "1,000", count(1234567): "1,234,567", count(123): "123",
		took(1234): "1.23 µs", took(56_780): "56.8 µs", took(999_400): "999 µs", took(999_600): "1.00 ms", took(12_345_678): "12.3 ms", took(2e9): "2,000 ms",
		figure(1): "1", figure(0.25): "0.25", figure(10.5): "10.5", figure(0): "0",
		sizeName(10_000): "10 thousand", sizeName(10_000_000): "10 million", sizeName(1_234): "1,234",
		delayName(500 * time.Microsecond): "0.5 ms", delayName(0): "no delay",
		letter(0): "a", letter(25): "z", letter(26): "aa", letter(53): "bb",
		against(0.97, 0.97, true): "0.97", against(0.9699, 0.97, false): "0.9699", against(0.5, 0.97, false): "0.50",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
