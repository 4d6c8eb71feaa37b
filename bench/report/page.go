package report

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Put puts text between the marks of a page: <!-- begin mark --> and <!-- end mark -->.
func Put(page, mark, text string) error {
	begin, end := "<!-- begin "+mark+" -->\n", "<!-- end "+mark+" -->"
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, found := strings.Cut(string(old), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for %s", page, mark)
	}
	return os.WriteFile(page, []byte(head+begin+"\n"+strings.TrimSpace(text)+"\n\n"+end+tail), 0o644)
}

// Logf says on standard error what a command is doing.
func Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// Sections are the parts of docs/performance.md that are written from r, by their marks. What wasn't measured is empty.
func (r *Results) Sections() map[string]string {
	return map[string]string{
		"targets": r.targets(), "throughput": r.throughput(), "per-core": r.perCore(), "latency": r.latency(), "size": r.growth(),
		"network": r.network(), "settings": r.settings(), "costs": r.costs(), "storage": r.storage(), "collector": r.collector(),
		"environment": r.environment(),
	}
}

// WritePage writes the sections into a page that has a place for each.
func (r *Results) WritePage(page string) error {
	sections := r.Sections()
	for _, mark := range slices.Sorted(maps.Keys(sections)) {
		if err := Put(page, mark, cmp.Or(sections[mark], "Not measured.")); err != nil {
			return err
		}
	}
	return nil
}

// table is one in Markdown. Columns after the first left ones are aligned to the right.
type table struct {
	strings.Builder
	left int
}

func newTable(left int, head ...string) *table {
	t := &table{left: left}
	t.row(head...)
	t.WriteString("|" + strings.Repeat("---|", left) + strings.Repeat("---:|", len(head)-left) + "\n")
	return t
}

func (t *table) row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

const none = "—" // was not measured

// or writes v, unless it is 0, which is what wasn't measured.
func or(v float64, write func(float64) string) string {
	if v == 0 {
		return none
	}
	return write(v)
}

// count writes v without decimals, in groups of three digits.
func count(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// took writes nanoseconds with three significant digits.
func took(ns float64) string {
	unit := " µs"
	v := ns / 1e3
	if v >= 999.5 {
		v, unit = v/1e3, " ms"
	}
	return strconv.FormatFloat(v, 'f', max(0, 3-len(strconv.Itoa(int(v)))), 64) + unit
}

func decimals(v float64) string { return fmt.Sprintf("%.2f", v) }

// figure writes v with a decimal if it has any.
func figure(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// times writes a multiple in brackets, and nothing of no rounds.
func times(s Spread) string {
	if s.N == 0 {
		return ""
	}
	return " (" + decimals(s.Median) + ")"
}

// spread writes the quartiles, if there are any to speak of.
func spread(s Spread, write func(float64) string) string {
	if s.N < 2 {
		return ""
	}
	return " [" + write(s.Low) + "–" + write(s.High) + "]"
}

func sizeName(rows int64) string {
	switch {
	case rows >= 1e6 && rows%1e6 == 0:
		return fmt.Sprintf("%d million", rows/1e6)
	case rows >= 1e3 && rows < 1e6 && rows%1e3 == 0:
		return fmt.Sprintf("%d thousand", rows/1e3)
	default:
		return count(float64(rows))
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func delayName(d time.Duration) string {
	if d == 0 {
		return "no network"
	}
	return strconv.FormatFloat(float64(d)/1e6, 'f', -1, 64) + " ms away"
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

// Middle is the size at which subjects are compared: a million, or else the middle one of those that were measured.
func (r *Results) Middle() int64 {
	sizes := distinct(r, func(c Cell) int64 { return c.Size }, func(Cell) bool { return true })
	switch {
	case len(sizes) == 0:
		return 0
	case slices.Contains(sizes, 1_000_000):
		return 1_000_000
	default:
		return sizes[len(sizes)/2]
	}
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
	at := r.Middle()
	var names []string
	for _, s := range r.Subjects {
		if slices.ContainsFunc(works, func(w subject.Work) bool { return r.Find(w, s.Name, at, conns, delay) != nil }) {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	t := newTable(1, append([]string{plural(conns, "connection") + ", " + delayName(delay)}, names...)...)
	for _, w := range works {
		row, measured := []string{string(w)}, false
		for _, name := range names {
			text := none
			if c := r.Find(w, name, at, conns, delay); c != nil {
				text, measured = cell(c, r.Find(w, store, at, conns, delay)), true
			}
			row = append(row, text)
		}
		if measured {
			t.row(row...)
		}
	}
	return t.String()
}

func rate(c, base *Cell) string {
	text := count(c.PerSecond().Median)
	if c.Subject != store {
		text += times(Ratio(c, base))
	}
	return text
}

func (r *Results) throughput() string {
	var notes []string
	mark := func(c *Cell) string {
		for _, s := range r.Subjects {
			if race := s.Races[c.Work]; s.Name == c.Subject && race != "" {
				if !slices.Contains(notes, race) {
					notes = append(notes, race)
				}
				return "<sup>" + string(rune('a'+slices.Index(notes, race))) + "</sup>"
			}
		}
		return ""
	}
	text := ""
	for _, n := range []int{1, r.most()} {
		text += r.bySubject(n, 0, subject.Works, func(c, base *Cell) string { return rate(c, base) + mark(c) }) + "\n"
	}
	if text == "\n\n" {
		return ""
	}
	text = fmt.Sprintf("![Operations per second of each subject, as a multiple of the store](performance/%s)\n\nOperations per second with %s access tokens, and in ( ) the multiple of store's.\n\n%s",
		throughputPlot, sizeName(r.Middle()), text)
	for i, note := range notes {
		if i == 0 {
			text += "What goes wrong when requests race:\n\n"
		}
		text += fmt.Sprintf("- %c: %s\n", 'a'+i, note)
	}
	return text
}

func (r *Results) perCore() string {
	works := []subject.Work{subject.IntrospectHit, subject.Redeem, subject.Rotate}
	text := ""
	for _, n := range []int{1, r.most()} {
		text += r.bySubject(n, 0, works, func(c, _ *Cell) string {
			s := c.PerCPU()
			return or(s.Median, func(v float64) string { return fmt.Sprintf("%s, %s", count(v), took(1e9/v)) })
		}) + "\n"
	}
	return text
}

func (r *Results) latency() string {
	at := r.Middle()
	own := func(c Cell) bool { return c.Subject == store && c.Size == at && c.Delay == 0 }
	all := distinct(r, func(c Cell) int { return c.Conns }, own)
	if len(all) == 0 {
		return ""
	}
	head := []string{""}
	for _, n := range all {
		head = append(head, plural(n, "connection"))
	}
	t := newTable(1, head...)
	for _, w := range subject.Works {
		row := []string{string(w)}
		for _, n := range all {
			text := none
			if c := r.Find(w, store, at, n, 0); c != nil {
				text = took(c.P50().Median) + " / " + took(c.P99().Median) + " / " + took(c.Over(p999).Median)
			}
			row = append(row, text)
		}
		t.row(row...)
	}
	return fmt.Sprintf("p50 / p99 / p99.9 of store with %s access tokens. Each connection is busy all the time, so with more of them than the "+
		"machine has processors, most of the latency is waiting for a processor.\n\n%s", sizeName(at), t)
}

func (r *Results) sizes() []int64 {
	return distinct(r, func(c Cell) int64 { return c.Size }, func(c Cell) bool { return c.Subject == store && c.Conns == 1 && c.Delay == 0 })
}

func (r *Results) growth() string {
	sizes := r.sizes()
	if len(sizes) < 2 {
		return ""
	}
	head := []string{""}
	for _, n := range sizes {
		head = append(head, sizeName(n))
	}
	t := newTable(1, head...)
	for _, w := range subject.Works {
		row := []string{string(w)}
		base := r.Find(w, store, sizes[0], 1, 0)
		for i, n := range sizes {
			c := r.Find(w, store, n, 1, 0)
			text := or(c.P50().Median, took)
			if i > 0 {
				text += times(Growth(c, base))
			}
			row = append(row, text)
		}
		t.row(row...)
	}
	return fmt.Sprintf("![p50 of each work against the number of access tokens](performance/%s)\n\np50 of store with one connection by the number of "+
		"access tokens, and in ( ) the multiple of that with %s.\n\n%s", sizePlot, sizeName(sizes[0]), t)
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
		text += fmt.Sprintf("- With %s asked for, the proxy adds %s to the p50 of a round trip of `SELECT 1`.\n", delayName(p.Asked), took(float64(p.Added)))
	}
	return text
}

func (r *Results) settings() string {
	text := ""
	for _, w := range []subject.Work{subject.IntrospectHit, subject.Rotate} {
		for _, n := range distinct(r, func(c Cell) int { return c.Conns }, func(c Cell) bool {
			return c.Work == w && slices.ContainsFunc(r.Settings, func(s Subject) bool { return s.Name == c.Subject })
		}) {
			t := newTable(1, fmt.Sprintf("%s, %s", w, plural(n, "worker")), "a second", "p50", "p99", "database CPU", "allocations")
			for _, s := range r.Settings {
				if c := r.Find(w, s.Name, r.Middle(), n, 0); c != nil {
					t.row(s.Describe, count(c.PerSecond().Median)+spread(c.PerSecond(), count), took(c.P50().Median), took(c.P99().Median),
						or(c.PerCPU().Median, func(v float64) string { return took(1e9 / v) }), or(c.Over(allocs).Median, figure))
				}
			}
			text += t.String() + "\n"
		}
	}
	return text
}

func (r *Results) costs() string {
	if len(r.Costs) == 0 {
		return ""
	}
	at := r.Middle()
	t := newTable(2, "", "", "statements", "round trips", "rows written", "WAL bytes", "buffers", "allocations", "allocated bytes")
	for _, w := range subject.Works {
		for _, s := range r.Subjects {
			c := r.Cost(w, s.Name, at)
			if c == nil {
				continue
			}
			cell := cmp.Or(r.Find(w, s.Name, at, 1, 0), r.Find(w, s.Name, at, r.most(), 0))
			t.row(string(w), s.Name, figure(c.Statements), figure(c.RoundTrips), figure(c.Rows), count(c.WALBytes), figure(c.Buffers),
				or(cell.Over(allocs).Median, figure), or(cell.Over(func(r Round) float64 { return r.Bytes }).Median, count))
		}
	}
	return fmt.Sprintf("Of one operation with %s access tokens: statements that the server gets (BEGIN and COMMIT are statements too), round trips that the "+
		"client waits for, rows that are inserted, updated and deleted, what is written to the WAL, pages looked at in shared buffers, and what the client "+
		"allocates on its heap.\n\n%s", sizeName(at), t)
}

func (r *Results) storage() string {
	if len(r.Datasets) == 0 {
		return ""
	}
	largest := slices.MaxFunc(r.Datasets, func(x, y Dataset) int { return cmp.Compare(x.AccessTokens, y.AccessTokens) })
	t := newTable(1, "with "+sizeName(largest.AccessTokens)+" access tokens", "rows", "bytes of a row", "and in the indexes", "in all, MiB")
	var sum int64
	for _, table := range largest.Tables {
		sum += table.HeapBytes + table.IndexBytes
		t.row("`"+table.Name+"`", count(float64(table.Rows)), count(float64(table.HeapBytes)/float64(table.Rows)),
			count(float64(table.IndexBytes)/float64(table.Rows)), count(float64(table.HeapBytes+table.IndexBytes)/(1<<20)))
	}
	t.row("all", "", "", "", count(float64(sum)/(1<<20)))
	return t.String()
}

func (r *Results) environment() string {
	e := r.Environment
	t := newTable(2, "", "")
	put := func(what, value string) {
		if value != "" {
			t.row(what, value)
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
			"within each round, in which the subjects do the same work right after one another, and is the median of those.\n", rounds[0], plural(rounds[len(rounds)-1], "round"))
	}
	text += "\nThe subjects:\n\n"
	for _, s := range r.Subjects {
		text += fmt.Sprintf("- **%s**: %s\n", s.Name, s.Describe)
	}
	return text + fmt.Sprintf("\nTo take the numbers again:\n\n    %s\n\nThe [results](performance/results.json) hold every round.\n", r.Command)
}
