package report

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Section is a part of the page that is written from Results.
type Section struct {
	Name     string // in the markers
	Title    string
	Markdown func(*Results) string // empty if nothing of it was measured
}

// Sections are those of the page, in order.
var Sections = []Section{
	{"targets", "Targets", targets},
	{"throughput", "Throughput", throughput},
	{"latency", "Latency", latency},
	{"size", "Growth of the data", bySize},
	{"network", "Network", byDelay},
	{"costs", "What an operation takes", costs},
	{"storage", "Bytes on disk", storage},
	{"collector", "The collector", collector},
	{"environment", "Where the numbers come from", environment},
}

const notMeasured = "Not measured.\n"

// WritePage brings the measured parts of the page at path up to date with r, and leaves the rest of it alone. See Page.
func WritePage(path string, r *Results) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	page, err := Page(string(old), r)
	if err != nil {
		return fmt.Errorf("write the page %s: %w", path, err)
	}
	if page == string(old) {
		return nil
	}
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// marker stands on a line of its own.
var marker = regexp.MustCompile(`(?m)^<!-- (begin|end) measured(?:: ([a-z-]+))? -->$`)

// Page returns page with what stands between its markers replaced: between
//
//	<!-- begin measured: targets -->
//	<!-- end measured: targets -->
//
// by the section of that name, under a heading of the page's own, and between
//
//	<!-- begin measured -->
//	<!-- end measured -->
//
// by all sections that have no markers of their own, with headings. It fails if a section has no place, and if a marker lacks its
// counterpart, names no section, or is there twice.
func Page(page string, r *Results) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	marks := marker.FindAllStringSubmatchIndex(page, -1)
	text := func(m []int, group int) string {
		if m[2*group] < 0 {
			return ""
		}
		return page[m[2*group]:m[2*group+1]]
	}
	own := map[string]bool{}
	for i, m := range marks {
		name := text(m, 2)
		if want := []string{"begin", "end"}[i%2]; text(m, 1) != want {
			return "", fmt.Errorf("%s where one to %s was expected", text(m, 0), want)
		}
		if i%2 == 1 {
			if name != text(marks[i-1], 2) {
				return "", fmt.Errorf("%s is followed by %s", text(marks[i-1], 0), text(m, 0))
			}
			continue
		}
		if own[name] {
			return "", fmt.Errorf("%s is there twice", text(m, 0))
		}
		own[name] = true
		if name != "" && !slices.ContainsFunc(Sections, func(s Section) bool { return s.Name == name }) {
			return "", fmt.Errorf("%s names no section", text(m, 0))
		}
	}
	if len(marks)%2 == 1 {
		return "", fmt.Errorf("%s has no end", text(marks[len(marks)-1], 0))
	}
	for _, s := range Sections {
		if !own[s.Name] && !own[""] {
			return "", fmt.Errorf("no marker for the section %s", s.Name)
		}
	}

	var b strings.Builder
	at := 0
	for i := 0; i < len(marks); i += 2 {
		b.WriteString(page[at:marks[i][1]])
		b.WriteString("\n\n")
		for _, s := range Sections {
			switch name := text(marks[i], 2); {
			case name == s.Name:
				fmt.Fprintf(&b, "%s\n", cmp.Or(s.Markdown(r), notMeasured))
			case name == "" && !own[s.Name]:
				fmt.Fprintf(&b, "## %s\n\n%s\n", s.Title, cmp.Or(s.Markdown(r), notMeasured))
			}
		}
		at = marks[i+1][0]
	}
	b.WriteString(page[at:])
	return b.String(), nil
}

// picture is the Markdown of a plot.
func picture(name, alt string) string {
	return fmt.Sprintf("![%s](performance/%s)\n", alt, name)
}

func environment(r *Results) string {
	var b strings.Builder
	t := newTable(2, "", "")
	put := func(what, value string) {
		if value != "" {
			t.row(what, value)
		}
	}
	e := r.Environment
	if !r.Taken.IsZero() {
		put("Taken", r.Taken.UTC().Format("2 January 2006"))
	}
	put("PostgreSQL", e.PostgreSQL)
	put("Go", e.Go)
	if e.CPUs > 0 {
		put("Processors", strings.TrimSuffix(fmt.Sprintf("%d × %s", e.CPUs, e.CPU), " × "))
	}
	if e.Memory > 0 {
		put("Memory", bytesName(e.Memory))
	}
	put("Transport without a delay", e.Transport)
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(e.Settings)) {
		settings = append(settings, fmt.Sprintf("`%s = %s`", name, e.Settings[name]))
	}
	put("Settings of the server that matter here", strings.Join(settings, ", "))
	b.WriteString(t.String())

	if rounds := r.rounds(); len(rounds) > 0 {
		fmt.Fprintf(&b, "\nEvery figure is the median of %s", plural(rounds[len(rounds)-1], "round"))
		if rounds[0] != rounds[len(rounds)-1] {
			fmt.Fprintf(&b, ", or of as few as %d where nothing is compared", rounds[0])
		}
		b.WriteString(", and what stands in [ ] beside it are the quartiles")
		if rounds[0] < fewRounds {
			fmt.Fprintf(&b, "; of fewer than %d rounds, the least and the greatest", fewRounds)
		}
		b.WriteString(". A multiple of another subject is taken within each round, in which the subjects do the same work right after one " +
			"another, and is the median of those.\n")
	}
	if len(r.Subjects) > 0 {
		b.WriteString("\nThe subjects:\n\n")
		for _, s := range r.Subjects {
			fmt.Fprintf(&b, "- **%s**: %s\n", s.Name, s.Describe)
		}
	}
	if r.Command != "" {
		fmt.Fprintf(&b, "\nTo take the numbers again:\n\n    %s\n\nThe [results](performance/results.json) hold every round.\n", r.Command)
	}
	return b.String()
}

// rounds are the numbers of rounds that cells have, in ascending order.
func (r *Results) rounds() []int {
	return distinct(r, func(c *Cell) int { return len(c.Rounds) }, func(*Cell) bool { return true })
}

func targets(r *Results) string {
	t := newTable(4, "What", "Aim", "Measured", "")
	for _, target := range r.Targets() {
		verdict := target.Verdict()
		if verdict == "missed" {
			verdict = "**missed**"
		}
		t.row(target.What, target.Want, cmp.Or(target.Measured, none), verdict)
	}
	return t.String()
}

func throughput(r *Results) string {
	at := r.middle()
	compared := func(c *Cell) bool { return c.Size == at && c.Conns == comparedAt && c.Delay == 0 }
	works, names := r.works(compared), r.subjects(compared)
	if len(works) == 0 {
		return ""
	}
	var b strings.Builder
	if len(bars(r)) > 0 {
		fmt.Fprintf(&b, "%s\n", picture(throughputPlot, "Operations per second of each subject"))
	}
	fmt.Fprintf(&b, "Operations per second with %s and %s access tokens, and in ( ) the multiple of %s's.\n\n",
		plural(comparedAt, "connection"), sizeName(at), store)
	t := newTable(1, append([]string{""}, names...)...)
	var footnotes notes
	var spreads []float64
	for _, w := range works {
		row := []string{string(w)}
		base := r.find(w, store, at, comparedAt, 0)
		for _, name := range names {
			c := r.find(w, name, at, comparedAt, 0)
			if c == nil {
				row = append(row, none)
				continue
			}
			s := c.PerSecond()
			spreads = append(spreads, (s.High-s.Low)/s.Median)
			cell := count(s.Median)
			if ratio := Ratio(c, base); name != store && ratio.N > 0 {
				cell += " (" + twoDecimals(ratio.Median) + ")"
			}
			row = append(row, cell+footnotes.mark(r.race(name, w)))
		}
		t.row(row...)
	}
	b.WriteString(t.String())
	if len(footnotes.texts) > 0 {
		fmt.Fprintf(&b, "\nWhat goes wrong when requests race:\n\n%s", &footnotes)
	}
	if spread := Summarize(spreads); r.rounds()[0] > 1 {
		fmt.Fprintf(&b, "\nFrom the lower end of the spread to the upper it is %.1f %% of the median in the median cell, and %.1f %% in the widest.\n",
			100*spread.Median, 100*slices.Max(spreads))
	}
	return b.String()
}

// race says what goes wrong with w when requests race.
func (r *Results) race(name string, w subject.Work) string {
	for _, s := range r.Subjects {
		if s.Name == name {
			return s.Races[w]
		}
	}
	return ""
}

func latency(r *Results) string {
	at := r.middle()
	own := func(c *Cell) bool { return c.Subject == store && c.Size == at && c.Delay == 0 }
	works, all := r.works(own), distinct(r, conns, own)
	if len(works) == 0 {
		return ""
	}
	head := []string{""}
	for _, n := range all {
		head = append(head, plural(n, "connection"))
	}
	t := newTable(1, head...)
	for _, w := range works {
		row := []string{string(w)}
		for _, n := range all {
			c := r.find(w, store, at, n, 0)
			if c == nil {
				row = append(row, none)
				continue
			}
			row = append(row, strings.Join([]string{
				took(c.P50().Median), measured(c.P99().Median, took), measured(c.P999().Median, took),
			}, " / "))
		}
		t.row(row...)
	}
	return fmt.Sprintf("p50 / p99 / p99.9 of %s with %s access tokens. Each connection is busy all the time, so with more of them than the "+
		"machine has processors, most of the latency is waiting for a processor.\n\n%s", store, sizeName(at), t)
}

func bySize(r *Results) string {
	own := func(c *Cell) bool { return c.Subject == store && c.Conns == 1 && c.Delay == 0 }
	works, sizes := r.works(own), distinct(r, size, own)
	if len(works) == 0 {
		return ""
	}
	head := []string{""}
	for _, n := range sizes {
		head = append(head, sizeName(n))
	}
	t := newTable(1, head...)
	for _, w := range works {
		row := []string{string(w)}
		base := r.find(w, store, sizes[0], 1, 0)
		for i, n := range sizes {
			c := r.find(w, store, n, 1, 0)
			cell := measured(c.P50().Median, took)
			if grown := Growth(c, base); i > 0 && grown.N > 0 {
				cell += " (" + twoDecimals(grown.Median) + ")"
			}
			row = append(row, cell)
		}
		t.row(row...)
	}
	var b strings.Builder
	if len(sizes) > 1 {
		fmt.Fprintf(&b, "%s\n", picture(sizePlot, "p50 of each work against the number of access tokens"))
	}
	fmt.Fprintf(&b, "p50 of %s with one connection by the number of access tokens, and in ( ) the multiple of that with %s.\n\n%s",
		store, sizeName(sizes[0]), t)
	return b.String()
}

func byDelay(r *Results) string {
	at := r.middle()
	delayed := r.works(func(c *Cell) bool { return c.Delay > 0 && c.Size == at })
	if len(delayed) == 0 {
		return ""
	}
	var b strings.Builder
	if len(delayLines(r)) > 0 {
		fmt.Fprintf(&b, "%s\n", picture(delayPlot, "p50 of a rotation of each subject against the delay of the network"))
	}
	b.WriteString("Operations per second (the multiple of " + store + "'s) and p50 when a round trip through the network takes so much longer.\n")
	for _, w := range delayed {
		for _, n := range r.delayedConns(w) {
			fmt.Fprintf(&b, "\n%s", r.delayTable(w, n))
		}
	}
	return b.String()
}

// delayTable is what n connections do of w by the delay.
func (r *Results) delayTable(w subject.Work, n int) *table {
	at := r.middle()
	ok := func(c *Cell) bool { return c.Work == w && c.Size == at && c.Conns == n }
	delays := distinct(r, delay, ok)
	head := []string{fmt.Sprintf("%s, %s", w, plural(n, "connection")), "round trips"}
	for _, d := range delays {
		head = append(head, delayName(d))
	}
	t := newTable(1, head...)
	for _, name := range r.subjects(ok) {
		row := []string{name, none}
		if c := r.cost(w, name, at); c != nil {
			row[1] = measured(c.RoundTrips, figure)
		}
		for _, d := range delays {
			c := r.find(w, name, at, n, d)
			if c == nil {
				row = append(row, none)
				continue
			}
			cell := count(c.PerSecond().Median)
			if ratio := Ratio(c, r.find(w, store, at, n, d)); name != store && ratio.N > 0 {
				cell += " (" + twoDecimals(ratio.Median) + ")"
			}
			row = append(row, cell+", "+measured(c.P50().Median, took))
		}
		t.row(row...)
	}
	return t
}

func costs(r *Results) string {
	if len(r.Costs) == 0 {
		return ""
	}
	sizes := map[int64]bool{}
	for _, c := range r.Costs {
		sizes[c.Size] = true
	}
	at := r.middle()
	if !sizes[at] {
		at = slices.Max(slices.Collect(maps.Keys(sizes)))
	}
	t := newTable(2, "", "", "statements", "round trips", "WAL bytes", "full-page images", "buffers", "allocations", "allocated bytes")
	sorted := slices.SortedStableFunc(slices.Values(r.Costs), func(x, y Cost) int {
		return cmp.Or(cmp.Compare(rank(x.Work), rank(y.Work)), cmp.Compare(r.subjectRank(x.Subject), r.subjectRank(y.Subject)))
	})
	var last subject.Work
	for _, c := range sorted {
		if c.Size != at {
			continue
		}
		work := ""
		if c.Work != last {
			work, last = string(c.Work), c.Work
		}
		allocs, allocated := none, none
		for _, n := range []int{1, comparedAt} {
			if cell := r.find(c.Work, c.Subject, at, n, 0); cell != nil {
				allocs = measured(cell.over(func(r Round) float64 { return r.Allocs }).Median, figure)
				allocated = measured(cell.over(func(r Round) float64 { return r.Bytes }).Median, count)
				break
			}
		}
		t.row(work, c.Subject, figure(c.Statements), figure(c.RoundTrips), count(c.WALBytes), figure(c.FullPages), figure(c.Buffers), allocs, allocated)
	}
	return fmt.Sprintf("Of one operation with %s access tokens: statements that the server gets (BEGIN and COMMIT are statements too), round trips that the "+
		"client waits for, what is written to the WAL, pages looked at in shared buffers, and what the client allocates on its heap.\n\n%s",
		sizeName(at), t)
}

func storage(r *Results) string {
	if len(r.Datasets) == 0 {
		return ""
	}
	data := slices.SortedStableFunc(slices.Values(r.Datasets), func(x, y Dataset) int { return cmp.Compare(x.AccessTokens, y.AccessTokens) })
	head := []string{""}
	var names []string
	for _, d := range data {
		head = append(head, sizeName(d.AccessTokens))
		for _, table := range d.Tables {
			if !slices.Contains(names, table.Name) {
				names = append(names, table.Name)
			}
		}
	}
	t := newTable(1, head...)
	for _, name := range names {
		row := []string{"`" + name + "`"}
		for _, d := range data {
			i := slices.IndexFunc(d.Tables, func(t Table) bool { return t.Name == name })
			if i < 0 || d.Tables[i].Rows == 0 {
				row = append(row, none)
				continue
			}
			table := d.Tables[i]
			per := func(n int64) string { return count(float64(n) / float64(table.Rows)) }
			row = append(row, fmt.Sprintf("%s (%s + %s) × %s", per(table.HeapBytes+table.IndexBytes), per(table.HeapBytes), per(table.IndexBytes),
				count(float64(table.Rows))))
		}
		t.row(row...)
	}
	total := []string{"all"}
	for _, d := range data {
		var n int64
		for _, t := range d.Tables {
			n += t.HeapBytes + t.IndexBytes
		}
		total = append(total, bytesName(n))
	}
	t.row(total...)
	return "Bytes of a row (in the table + in its indexes) × rows, by the number of access tokens.\n\n" + t.String()
}

func collector(r *Results) string {
	all := r.collected()
	if len(all) == 0 {
		return ""
	}
	t := newTable(0, "access tokens", "collectors", "rows in a batch", "rows deleted a second", "introspections a second", "p50 / p99 / p99.9 before", "meanwhile", "p99, multiple")
	for _, c := range all {
		three := func(l Latency) string {
			return took(float64(l.P50)) + " / " + took(float64(l.P99)) + " / " + measured(float64(l.P999), took)
		}
		t.row(
			sizeName(c.size), fmt.Sprint(c.collectors), count(float64(c.batch)), count(c.perSecond.Median)+brackets(c.perSecond, count), measured(c.rate, count),
			three(c.quiet), three(c.busy), twoDecimals(c.slowdown.Median)+brackets(c.slowdown, twoDecimals),
		)
	}
	return "Collectors delete expired rows while tokens are introspected at a fixed rate. The multiple is of the median p99 before any of them.\n\n" + t.String()
}
