package report

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Sections are the parts of docs/performance.md that are written from r, by their marks. What wasn't measured is empty.
func (r *Results) Sections() map[string]string {
	return map[string]string{
		"targets": r.targets(), "throughput": r.throughput(), "per-core": r.perCore(), "latency": r.latency(), "size": r.growth(),
		"network": r.network(), "settings": r.settings(), "costs": r.costs(), "storage": r.storage(), "collector": r.collector(),
		"environment": r.environment(),
	}
}

// Write writes the sections into the page in a folder, which has a place for each, and the plot beside it. Without a folder it prints what
// was measured.
func (r *Results) Write(docs string) error {
	page, sections := "", r.Sections()
	if docs != "" {
		page = filepath.Join(docs, "performance.md")
	}
	for _, mark := range slices.Sorted(maps.Keys(sections)) {
		if page == "" && sections[mark] == "" {
			continue
		}
		if err := Put(page, mark, cmp.Or(sections[mark], "Not measured.")); err != nil {
			return err
		}
	}
	if docs == "" {
		return nil
	}
	return r.plots(filepath.Join(docs, "performance"))
}

// distinct are the values of a field of the cells that ok accepts, in ascending order.
func distinct[T cmp.Ordered](r *Results, field func(Cell) T, ok func(Cell) bool) []T {
	var all []T
	for _, c := range r.Cells {
		if len(c.Rounds) > 0 && ok(c) {
			all = append(all, field(c))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Conditions under which subjects are compared, if they were measured.
const (
	store = "store" // the subject that the others are compared with
	many  = 16      // connections
)

// Middle is the one of the sizes at which subjects are compared: a million, or else the middle one. Of none it is 0.
func Middle(sizes []int64) int64 {
	sizes = slices.Sorted(slices.Values(sizes))
	switch {
	case len(sizes) == 0:
		return 0
	case slices.Contains(sizes, 1_000_000):
		return 1_000_000
	}
	return sizes[len(sizes)/2]
}

func (r *Results) middle() int64 {
	return Middle(distinct(r, func(c Cell) int64 { return c.Size }, func(Cell) bool { return true }))
}

// most is the number of connections at which subjects are compared.
func (r *Results) most() int {
	all := distinct(r, func(c Cell) int { return c.Conns }, func(c Cell) bool { return c.Subject == store })
	if len(all) == 0 || slices.Contains(all, many) {
		return many
	}
	return all[len(all)-1]
}

// bySubject is a table with a row for each work and a column for each subject that was measured under a condition.
func (r *Results) bySubject(conns int, delay time.Duration, works []subject.Work, cell func(c, base *Cell) string) string {
	at := r.middle()
	var names []string
	for _, s := range r.Subjects {
		if slices.ContainsFunc(works, func(w subject.Work) bool { return r.Find(w, s.Name, at, conns, delay) != nil }) {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	t := NewTable(1, append([]string{Plural(conns, "connection") + ", " + delayName(delay)}, names...)...)
	for _, w := range works {
		row, measured := []string{string(w)}, false
		for _, name := range names {
			text := None
			if c := r.Find(w, name, at, conns, delay); c != nil {
				text, measured = cell(c, r.Find(w, store, at, conns, delay)), true
			}
			row = append(row, text)
		}
		if measured {
			t.Row(row...)
		}
	}
	return t.String()
}

// inverse writes the time that one of v operations a second takes.
func inverse(v float64) string { return Took(1e9 / v) }

func rate(c, base *Cell) string {
	text := Count(c.PerSecond().Median)
	if c.Subject != store {
		text += times(Ratio(c, base))
	}
	return text
}

func (r *Results) throughput() string {
	text := ""
	for _, n := range []int{1, r.most()} {
		text += r.bySubject(n, 0, subject.Works, rate) + "\n"
	}
	if text == "\n\n" {
		return ""
	}
	return fmt.Sprintf("Operations per second with %s access tokens, and in ( ) the multiple of store's.\n\n%s", sizeName(r.middle()), text)
}

func (r *Results) perCore() string {
	works := []subject.Work{subject.IntrospectHit, subject.IntrospectBound, subject.Redeem, subject.Rotate}
	text := ""
	for _, n := range []int{1, r.most()} {
		text += r.bySubject(n, 0, works, func(c, _ *Cell) string {
			s := c.PerCPU()
			return or(s.Median, func(v float64) string { return fmt.Sprintf("%s, %s", Count(v), Took(1e9/v)) })
		}) + "\n"
	}
	return text
}

// byWork is a table of store with a row for each work and a column for each of the conditions.
func byWork[T any](conditions []T, name func(T) string, cell func(w subject.Work, of T) string) string {
	head := []string{""}
	for _, of := range conditions {
		head = append(head, name(of))
	}
	t := NewTable(1, head...)
	for _, w := range subject.Works {
		row := []string{string(w)}
		for _, of := range conditions {
			row = append(row, cell(w, of))
		}
		t.Row(row...)
	}
	return t.String()
}

func (r *Results) latency() string {
	at := r.middle()
	all := distinct(r, func(c Cell) int { return c.Conns }, func(c Cell) bool { return c.Subject == store && c.Size == at && c.Delay == 0 })
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("p50 / p99 / p99.9 of store with %s access tokens. Each connection is busy all the time, so with more of them than the "+
		"machine has processors, most of the latency is waiting for a processor.\n\n", sizeName(at)) +
		byWork(all, func(n int) string { return Plural(n, "connection") }, func(w subject.Work, n int) string {
			c := r.Find(w, store, at, n, 0)
			if c == nil {
				return None
			}
			return Took(c.P50().Median) + " / " + Took(c.P99().Median) + " / " + Took(c.Over(p999).Median)
		})
}

func (r *Results) sizes() []int64 {
	return distinct(r, func(c Cell) int64 { return c.Size }, func(c Cell) bool { return c.Subject == store && c.Conns == 1 && c.Delay == 0 })
}

func (r *Results) growth() string {
	sizes := r.sizes()
	if len(sizes) < 2 {
		return ""
	}
	return fmt.Sprintf("![p50 of each work against the number of access tokens](performance/%s)\n\np50 of store with one connection by the number of "+
		"access tokens, and in ( ) the multiple of that with %s.\n\n", sizePlot, sizeName(sizes[0])) +
		byWork(sizes, sizeName, func(w subject.Work, n int64) string {
			c := r.Find(w, store, n, 1, 0)
			text := or(c.P50().Median, Took)
			if n != sizes[0] {
				text += times(Growth(c, r.Find(w, store, sizes[0], 1, 0)))
			}
			return text
		})
}

func (r *Results) network() string {
	delays := distinct(r, func(c Cell) time.Duration { return c.Delay }, func(c Cell) bool { return c.Delay > 0 })
	if len(delays) == 0 {
		return ""
	}
	text := "Operations per second, and in ( ) the multiple of store's.\n\n"
	for _, n := range []int{1, r.most()} {
		for _, d := range append([]time.Duration{0}, delays...) {
			text += r.bySubject(n, d, []subject.Work{subject.IntrospectHit, subject.Rotate}, rate) + "\n"
		}
	}
	for _, p := range r.Proxies {
		text += fmt.Sprintf("- With %s asked for, the proxy adds %s to the p50 of a round trip of `SELECT 1`.\n", delayName(p.Asked), Took(float64(p.Added)))
	}
	return text
}

func (r *Results) settings() string {
	text := ""
	for _, w := range []subject.Work{subject.IntrospectHit, subject.Rotate} {
		for _, n := range distinct(r, func(c Cell) int { return c.Conns }, func(c Cell) bool {
			return c.Work == w && slices.ContainsFunc(r.Settings, func(s subject.Subject) bool { return s.Name == c.Subject })
		}) {
			t := NewTable(1, fmt.Sprintf("%s, %s", w, Plural(n, "worker")), "a second", "p50", "p99", "database CPU", "allocations")
			for _, s := range r.Settings {
				if c := r.Find(w, s.Name, r.middle(), n, 0); c != nil {
					t.Row(s.Describe, Count(c.PerSecond().Median)+spread(c.PerSecond(), Count), Took(c.P50().Median), Took(c.P99().Median),
						or(c.PerCPU().Median, inverse), or(c.Over(allocs).Median, figure))
				}
			}
			text += t.String() + "\n"
		}
	}
	return text
}

func (r *Results) costs() string {
	at, measured := r.middle(), false
	t := NewTable(2, "", "", "statements", "rows written", "WAL bytes", "buffers", "allocations", "allocated bytes")
	for _, w := range subject.Works {
		for _, s := range r.Subjects {
			c := cmp.Or(r.Find(w, s.Name, at, 1, 0), r.Find(w, s.Name, at, r.most(), 0))
			median := func(figure func(Round) float64) float64 { return c.Over(figure).Median }
			if statements := median(func(r Round) float64 { return r.Statements }); statements > 0 {
				measured = true
				t.Row(string(w), s.Name, figure(statements), figure(median(func(r Round) float64 { return r.Rows })), Count(median(func(r Round) float64 { return r.WALBytes })),
					figure(median(func(r Round) float64 { return r.Buffers })), or(median(allocs), figure), or(median(func(r Round) float64 { return r.Bytes }), Count))
			}
		}
	}
	if !measured {
		return ""
	}
	return fmt.Sprintf("Of one operation with %s access tokens: statements that the server gets (BEGIN and COMMIT are statements too), each of which is a "+
		"round trip that the client waits for, rows that are inserted, updated and deleted, what is written to the WAL, pages looked at in shared buffers, and what the client "+
		"allocates on its heap.\n\n%s", sizeName(at), t)
}

func (r *Results) storage() string {
	if len(r.Datasets) == 0 {
		return ""
	}
	largest := slices.MaxFunc(r.Datasets, func(x, y Dataset) int { return cmp.Compare(x.AccessTokens, y.AccessTokens) })
	t := NewTable(1, "with "+sizeName(largest.AccessTokens)+" access tokens", "rows", "bytes of a row", "and in the indexes", "in all, MiB")
	var sum int64
	for _, table := range largest.Tables {
		sum += table.HeapBytes + table.IndexBytes
		t.Row("`"+table.Name+"`", Count(float64(table.Rows)), Count(float64(table.HeapBytes)/float64(table.Rows)),
			Count(float64(table.IndexBytes)/float64(table.Rows)), Count(float64(table.HeapBytes+table.IndexBytes)/(1<<20)))
	}
	t.Row("all", "", "", "", Count(float64(sum)/(1<<20)))
	return t.String()
}

func (r *Results) environment() string {
	e := r.Environment
	t := NewTable(2, "", "")
	put := func(what, value string) {
		if value != "" {
			t.Row(what, value)
		}
	}
	put("Taken", r.Taken.UTC().Format("2 January 2006"))
	put("Commit", r.Commit)
	put("PostgreSQL", e.PostgreSQL)
	put("Go", e.Go)
	put("Processors", strings.TrimSuffix(fmt.Sprintf("%d × %s", e.CPUs, e.CPU), " × "))
	put("Memory", or(float64(e.Memory), func(v float64) string { return fmt.Sprintf("%.1f GiB", v/(1<<30)) }))
	put("Transport without a proxy", e.Transport)
	put("Load average before the run", e.Load)
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(e.Settings)) {
		settings = append(settings, fmt.Sprintf("`%s = %s`", name, e.Settings[name]))
	}
	put("Settings of the server that matter here", strings.Join(settings, ", "))
	text := t.String()
	if rounds := distinct(r, func(c Cell) int { return len(c.Rounds) }, func(Cell) bool { return true }); len(rounds) > 0 {
		text += fmt.Sprintf("\nEvery figure is the median of %d to %s. What stands in [ ] beside it are the quartiles. A multiple of another subject is taken "+
			"within each round, in which the subjects do the same work right after one another, and is the median of those.\n", rounds[0], Plural(rounds[len(rounds)-1], "round"))
	}
	text += "\nThe subjects:\n\n"
	for _, s := range r.Subjects {
		text += fmt.Sprintf("- **%s**: %s\n", s.Name, s.Describe)
	}
	return text + fmt.Sprintf("\nTo take the numbers again:\n\n    %s\n\nThe [results](performance/results.json) hold every round.\n", r.Command)
}
