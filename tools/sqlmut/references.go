package main

import (
	"slices"
	"sync"
)

// references knows which units a statement runs: the query that it is, the functions that it names, and those that its writes run.
type references struct {
	queries  map[string]bool
	routines map[string]bool
	triggers map[string][]string // by table
	direct   map[string][]string // what a unit names
	locking  map[string]bool     // routines that lock or write, by themselves or by what they name
}

func newReferences(units []unit, triggers map[string][]string) (*references, error) {
	r := &references{
		queries: map[string]bool{}, routines: map[string]bool{}, triggers: triggers,
		direct: map[string][]string{}, locking: map[string]bool{},
	}
	for _, u := range units {
		if u.isRoutine {
			r.routines[u.name] = true
		} else {
			r.queries[u.name] = true
		}
	}
	for _, u := range units {
		sql := u.sql
		if u.isRoutine {
			sql = u.sql[u.body[0]:u.body[1]]
		}
		tokens, err := scan(sql, 0)
		if err != nil {
			return nil, err
		}
		r.direct[u.name] = r.named(tokens)
		r.locking[u.name] = locksRows(tokens)
	}
	for changed := true; changed; {
		changed = false
		for name, direct := range r.direct {
			if !r.locking[name] && slices.ContainsFunc(direct, func(d string) bool { return r.locking[d] }) {
				r.locking[name], changed = true, true
			}
		}
	}
	return r, nil
}

// named are the routines that tokens name, and those that run where tokens write.
func (r *references) named(tokens []token) []string {
	var found []string
	for i, t := range tokens {
		if r.routines[unquoted(t.word)] {
			found = append(found, unquoted(t.word))
		}
		if i == 0 {
			continue
		}
		prev := tokens[i-1].word
		if prev == "into" || prev == "update" || prev == "copy" || prev == "from" && i > 1 && tokens[i-2].word == "delete" {
			found = append(found, r.triggers[unquoted(t.word)]...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func unquoted(word string) string {
	if len(word) > 2 && word[0] == '"' {
		return word[1 : len(word)-1]
	}
	return word
}

// all are the units that a unit runs, itself included.
func (r *references) all(name string) map[string]bool {
	found := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if found[name] {
			return
		}
		found[name] = true
		for _, d := range r.direct[name] {
			visit(d)
		}
	}
	visit(name)
	return found
}

// running are the names of all units that run one of those of the mutants.
func (r *references) running(mutants []*mutant) []string {
	wanted := map[string]bool{}
	for _, m := range mutants {
		wanted[m.unit] = true
	}
	var found []string
	for name := range r.direct {
		for u := range r.all(name) {
			if wanted[u] {
				found = append(found, name)
				break
			}
		}
	}
	slices.Sort(found)
	return found
}

// recorder collects the units that the statements of a test run.
type recorder struct {
	*references
	mu    sync.Mutex
	known map[string][]string // by statement
	found map[string]int
}

func newRecorder(r *references) *recorder {
	return &recorder{references: r, known: map[string][]string{}, found: map[string]int{}}
}

func (r *recorder) observe(sql string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names, ok := r.known[sql]
	if !ok {
		if m := queryName.FindStringSubmatch(sql); m != nil && r.queries[m[1]] {
			names = []string{m[1]}
		} else if tokens, err := scan(sql, 0); err == nil {
			names = r.named(tokens)
		}
		if len(r.known) < 100_000 {
			r.known[sql] = names
		}
	}
	for _, n := range names {
		r.found[n]++
	}
}

// take returns how often each unit was met since it was last called.
func (r *recorder) take() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.found
	r.found = map[string]int{}
	return found
}
