package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// known is an entry of the list of equivalents.
type known struct {
	Mutant string `yaml:"mutant"`
	Reason string `yaml:"reason"`
}

func readEquivalents(name string, isNamed bool) (map[string]*known, error) {
	listed := map[string]*known{}
	if !isNamed {
		return listed, nil
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return listed, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []known
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, e := range entries {
		switch {
		case e.Mutant == "" || strings.TrimSpace(e.Reason) == "":
			return nil, fmt.Errorf("%s: %q has no reason", name, e.Mutant)
		case listed[e.Mutant] != nil:
			return nil, fmt.Errorf("%s: %q is listed twice", name, e.Mutant)
		}
		listed[e.Mutant] = &e
	}
	return listed, nil
}

// report collects results.
type report struct {
	listed map[string]*known
	whole  bool            // all operators were tried
	units  map[string]bool // that were mutated

	mu      sync.Mutex
	results []result
}

func newReport(listed map[string]*known, whole bool) *report {
	return &report{listed: listed, whole: whole, units: map[string]bool{}}
}

func (r *report) add(one result) {
	if one.Verdict == survived && r.listed[one.ID] != nil {
		one.Verdict = equivalent
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, one)
}

// stale are the entries of the list that are wrong: their mutant is killed, or there is none.
func (r *report) stale() []string {
	var found []string
	exists := map[string]bool{}
	for _, one := range r.results {
		exists[one.ID] = true
		if r.listed[one.ID] != nil && (one.Verdict == killed || one.Verdict == hung) {
			found = append(found, fmt.Sprintf("listed as equivalent, but killed by %s: %s", one.By, one.ID))
		}
		if r.listed[one.ID] != nil && one.Verdict == invalid {
			found = append(found, "listed as equivalent, but refused by the server: "+one.ID)
		}
	}
	for id := range r.listed {
		unit, _, _ := strings.Cut(id, "/")
		if r.whole && r.units[unit] && !exists[id] {
			found = append(found, "listed as equivalent, but there is no such mutant: "+id)
		}
	}
	slices.Sort(found)
	return found
}

func (r *report) with(v verdict) []result {
	var found []result
	for _, one := range r.results {
		if one.Verdict == v {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b result) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// print writes the survivors and the score, and returns the exit code.
func (r *report) print(w io.Writer, o options) int {
	survivors, stale := r.with(survived), r.stale()
	for _, one := range survivors {
		note := ""
		switch {
		case one.Ran == 0:
			note = " (no test makes this call)"
		case one.Seen == 0:
			note = " (no test has met it)"
		case one.Left > 0:
			note = fmt.Sprintf(" (%d tests ran, %d more did not)", one.Ran, one.Left)
		}
		fmt.Fprintf(w, "survived: %s%s\n", one.ID, note)
		if o.show {
			fmt.Fprintf(w, "%s\n\n", one.mutant.text)
		}
	}
	for _, s := range stale {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range r.table() {
		fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
	}
	t.Flush()
	if n := len(r.with(untried)); n > 0 {
		fmt.Fprintf(w, "\n%d mutants were not tried. To try them, run\n  %s\n", n, o.again())
	}
	if len(survivors) > 0 || len(stale) > 0 {
		return 1
	}
	return 0
}

// again is the command that tries the rest.
func (o options) again() string {
	if o.hint != "" {
		return o.hint
	}
	command := "sqlmut -config " + o.config
	if o.only != "" {
		command += " -only '" + o.only + "'"
	}
	if o.since != "" {
		command += " -since " + o.since
	}
	return command
}

var columns = []verdict{killed, hung, equivalent, survived, untried, invalid}

// table is the score: a row for each operator, and the sum.
func (r *report) table() [][]string {
	count := map[operator]map[verdict]int{}
	for _, one := range r.results {
		if count[one.mutant.operator] == nil {
			count[one.mutant.operator] = map[verdict]int{}
		}
		count[one.mutant.operator][one.Verdict]++
	}
	head := []string{"operator", "mutants"}
	shown := slices.DeleteFunc(slices.Clone(columns), func(v verdict) bool { return v == untried && len(r.with(untried)) == 0 })
	for _, v := range shown {
		head = append(head, string(v))
	}
	rows := [][]string{head}
	sum := map[verdict]int{}
	line := func(name string, n map[verdict]int) {
		made := 0
		for v, k := range n {
			if v != invalid {
				made += k
			}
		}
		row := []string{name, fmt.Sprint(made)}
		for _, v := range shown {
			row = append(row, fmt.Sprint(n[v]))
		}
		rows = append(rows, row)
	}
	for _, op := range operators {
		if count[op] == nil {
			continue
		}
		line(string(op), count[op])
		for v, k := range count[op] {
			sum[v] += k
		}
	}
	line("all", sum)
	return rows
}

// page is the score as Markdown.
func (r *report) page(o options) []byte {
	var b bytes.Buffer
	b.WriteString(pageHead)
	for n, row := range r.table() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if n == 0 {
			fmt.Fprintf(&b, "|---|%s\n", strings.Repeat("---:|", len(row)-1))
		}
	}
	if n := len(r.with(untried)); n > 0 {
		fmt.Fprintf(&b, "\n%d of them have not been tried to the end.\n", n)
	}
	if o.hint != "" {
		fmt.Fprintf(&b, "\n`%s` tries them all and writes this page.\n", o.hint)
	}
	if survivors := r.with(survived); len(survivors) > 0 {
		b.WriteString("\nSurvivors:\n\n")
		for _, one := range survivors {
			fmt.Fprintf(&b, "- `%s`", one.ID)
			if one.Left > 0 {
				fmt.Fprintf(&b, ": %d tests ran, %d did not", one.Ran, one.Left)
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

const pageHead = `# Mutation testing

<!-- written by sqlmut -write -->

Do the tests notice when the SQL is wrong? Each mutant is one query or function with one change: a condition is dropped, a bound is
moved, a lock is forgotten. It is killed if a test that makes the call fails, and has timed out if one hangs. An equivalent mutant behaves as the
original does; a list gives the reasons. The server refuses invalid ones, so they don't count as mutants.

`
