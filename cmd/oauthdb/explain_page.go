package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oauthdb/oauthdb/internal/catalog"
)

// sheet writes what is known of a query for a terminal.
type sheet struct {
	out     io.Writer
	colours colours
	width   int
}

func (p sheet) heading(text string) {
	fmt.Fprintf(p.out, "\n%s\n\n", p.colours.in(bold, text))
}

// text writes a paragraph, broken into lines and indented but for the first line, which begins with the label.
func (p sheet) text(label string, indent int, text string) {
	lines := wrap(text, p.width-indent)
	for i, l := range lines {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(p.out, "%-*s%s\n", indent, label, l)
	}
}

// block writes lines as they are, indented.
func (p sheet) block(text string) {
	for l := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(p.out, "  %s\n", l)
	}
}

// wrap breaks text at spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// rows writes a table, its columns as wide as what is in them, but for the last one, which is broken into lines.
func (p sheet) rows(rows [][]string) {
	if len(rows) == 0 {
		return
	}
	last := len(rows[0]) - 1
	widths := make([]int, last)
	for _, r := range rows {
		for i := range last {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
	}
	for _, r := range rows {
		label := "  "
		for i := range last {
			label += fmt.Sprintf("%-*s  ", widths[i], r[i])
		}
		p.text(label, utf8.RuneCountInString(label), r[last])
	}
}

func (p sheet) query(q *catalog.Query) {
	fmt.Fprintf(p.out, "%s  %s\n\n", p.colours.in(bold, q.Name), p.colours.in(dim, "queries/"+q.File+", :"+q.Kind+", one round trip"))
	for _, paragraph := range q.Paragraphs() {
		if paragraph.Outcome == "" {
			p.text("", 0, paragraph.Text)
			continue
		}
		label := "  " + paragraph.Outcome + "  "
		p.text(label, max(len(label), 14), paragraph.Text)
	}
	fmt.Fprintf(p.out, "\n  %s\n\n", q.Signature)

	var facts [][]string
	fact := func(name string, texts []string) {
		if len(texts) > 0 {
			facts = append(facts, []string{name, strings.Join(texts, ", ")})
		}
	}
	fact("reads", tables(q.Reads))
	fact("writes", writes(q))
	fact("calls", q.Functions)
	fact("indexes", indexes(q))
	for _, e := range q.Exceptions {
		fact("exception", []string{fmt.Sprintf("from the rule %q: %s", e.Rule, e.Reason)})
	}
	p.rows(facts)

	p.values("Parameters", q.Params)
	p.values("Result", q.Columns)
	if len(q.Locks) > 0 {
		p.heading("Row locks, until the transaction ends")
		p.rows(lockRows(q))
	}
	if len(q.Fires) > 0 {
		p.heading("Constraints and triggers that fire")
		p.rows(fireRows(q))
	}
	p.heading("SQL")
	p.block(q.SQL)
}

func (p sheet) values(title string, values []catalog.Value) {
	if len(values) == 0 {
		return
	}
	p.heading(title)
	var rows [][]string
	for _, v := range values {
		null := ""
		if v.Nullable {
			null = "NULL"
		}
		rows = append(rows, []string{v.Name, v.Type, null, v.Go})
	}
	p.rows(rows)
}

func writes(q *catalog.Query) []string {
	var texts []string
	for _, a := range q.Writes {
		text := a.Table + " (" + a.How + by(a.Through) + ")"
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

func by(through string) string {
	if through == "" {
		return ""
	}
	return " by " + through
}

func indexes(q *catalog.Query) []string {
	var names []string
	for _, x := range q.Indexes {
		if !slices.Contains(names, x.Name) {
			names = append(names, x.Name)
		}
	}
	return names
}

func lockRows(q *catalog.Query) [][]string {
	var rows [][]string
	for _, l := range q.Locks {
		strength := l.Strength.String()
		if len(l.Keys) > 0 {
			strength += ", FOR UPDATE if " + strings.Join(l.Keys, ", ") + " changes"
		}
		how := l.By
		if strings.HasPrefix(how, "FOR ") {
			how = "the clause"
		}
		if l.Within != "" {
			how += " in " + l.Within
		}
		how += by(l.Through)
		if l.Wait != "" {
			how += "; " + l.Wait
		}
		rows = append(rows, []string{l.Table, strength, how})
	}
	return rows
}

func fireRows(q *catalog.Query) [][]string {
	type group struct{ on, kind string }
	var order []group
	names := map[group][]string{}
	for _, f := range q.Fires {
		g := group{f.On, f.Kind}
		if !slices.Contains(order, g) {
			order = append(order, g)
		}
		text := f.Name
		if f.Does != "" {
			text += " " + f.Does
		}
		if !slices.Contains(names[g], text) {
			names[g] = append(names[g], text)
		}
	}
	var rows [][]string
	for i, g := range order {
		on := g.on
		if i > 0 && order[i-1].on == on {
			on = ""
		}
		rows = append(rows, []string{on, g.kind, strings.Join(names[g], "; ")})
	}
	return rows
}

// compare writes a plan, and says whether it is the reviewed one: if not, with what was reviewed and is not here (-), and
// what is here and was not reviewed (+).
func (p sheet) compare(here, reviewed string) bool {
	if here == reviewed {
		fmt.Fprintln(p.out, "  "+p.colours.in(green, "Same as reviewed.")+"\n")
		p.block(here)
		return true
	}
	fmt.Fprintln(p.out, "  "+p.colours.in(yellow, "Not as reviewed (- reviewed, + here):")+"\n")
	for _, l := range diff(strings.Split(reviewed, "\n"), strings.Split(here, "\n")) {
		colour := plain
		switch l[0] {
		case '-':
			colour = red
		case '+':
			colour = green
		}
		fmt.Fprintln(p.out, p.colours.in(colour, l[:1]+" "+l[1:]))
	}
	return false
}

// diff marks the lines of both sides: ' ' for those in common, '-' for those of a alone, '+' for those of b alone.
func diff(a, b []string) []string {
	// common[i][j] is how many lines a[i:] and b[j:] have in common, in order
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var lines []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "-"+a[i])
			i++
		default:
			lines = append(lines, "+"+b[j])
			j++
		}
	}
	return lines
}

// differences says what a plan may differ for.
func (p sheet) differences(here *local, reviewed int) {
	p.heading("What may explain the difference")
	if here.major != reviewed {
		p.text("  - ", 4, fmt.Sprintf("The reviewed plan is PostgreSQL %d's. Other versions write some plans in other words.", reviewed))
	}
	var unknown []string
	for _, t := range here.tables {
		if !t.Analysed {
			unknown = append(unknown, t.Name)
		}
	}
	if len(unknown) > 0 {
		p.text("  - ", 4, fmt.Sprintf("Not analysed yet: %s. ANALYZE, or wait for autovacuum.", strings.Join(unknown, ", ")))
	}
	for _, t := range here.tables {
		if t.Analysed && t.Rows < few {
			p.text("  - ", 4, fmt.Sprintf("%s has about %d rows here. A table as small as that is read from end to end, rightly.", t.Name, t.Rows))
		}
	}
	p.text("  - ", 4, "The planner's settings (random_page_cost, work_mem ...) or the distribution of the rows are other ones.")
	for _, l := range strings.Split(here.plan+"\n"+strings.Join(here.inner, "\n"), "\n") {
		table, ok := strings.CutPrefix(strings.TrimLeft(l, "-> "), "Seq Scan on ")
		if !ok {
			continue
		}
		for _, t := range here.tables {
			if strings.HasPrefix(table, t.Name) && t.Rows >= few {
				p.text("  ! ", 4, fmt.Sprintf("%s has about %d rows and is read from end to end. Is an index missing, or invalid?", t.Name, t.Rows))
			}
		}
	}
}

// few rows are read from end to end whatever indexes there are.
const few = 1000

// listQueries lists the queries, file by file, with the first sentence of each contract.
func listQueries(c console, reviewed *catalog.Catalog) {
	p := sheet{out: c.out, colours: coloursFor(c.out), width: width()}
	file := ""
	var rows [][]string
	for _, q := range reviewed.Queries {
		if q.File != file {
			p.rows(rows)
			rows, file = nil, q.File
			p.heading(strings.TrimSuffix(file, ".sql"))
		}
		first, _, _ := strings.Cut(strings.ReplaceAll(q.Contract, "\n", " "), ". ")
		first, _, _ = strings.Cut(first, "; ")
		rows = append(rows, []string{q.Name, strings.TrimSuffix(strings.TrimPrefix(first, q.Name+" "), ".")})
	}
	p.rows(rows)
}
