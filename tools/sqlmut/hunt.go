package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// verdict is what became of a mutant.
type verdict string

const (
	killed     verdict = "killed"
	hung       verdict = "timed out"
	survived   verdict = "survived"
	equivalent verdict = "equivalent"
	invalid    verdict = "invalid"
	untried    verdict = "untried"
)

// result is a line of the file of results.
type result struct {
	Key     string        `json:"key"`
	ID      string        `json:"id"`
	Verdict verdict       `json:"verdict"`
	By      string        `json:"by,omitempty"`   // the test that killed it
	Ran     int           `json:"ran,omitempty"`  // tests
	Left    int           `json:"left,omitempty"` // tests that there was no time for
	Seen    int64         `json:"seen"`           // how often tests met it
	Took    time.Duration `json:"took"`

	mutant *mutant
}

// hunter tries mutants.
type hunter struct {
	suite    *suite
	server   string
	closures *closures
	budget   time.Duration  // of recorded time of tests for one mutant
	patience time.Duration  // with tests, beside ten times what they took
	deadline time.Time      // for all mutants; zero for none
	only     *regexp.Regexp // tests
	listed   map[string]*known

	unrecorded int // tests that there was no time to record
	logf       func(string, ...any)

	mu      sync.Mutex
	killers map[string]map[string]int // by group of mutants: how many mutants a test has killed
	trusted map[string]bool           // by unit and test: it is green without a mutant
}

// order puts those in front that are promising for the time that they take: they killed others of the call, what is changed is named in them, or
// they make the call often. Where a mutant changes what is locked, those come first that are otherwise last: they run calls side by side, and others can't tell.
func (h *hunter) order(m *mutant, tests []chosen) []chosen {
	about := likeness(m.words(), tests)
	h.mu.Lock()
	defer h.mu.Unlock()
	kills := h.killers[m.group()]
	promise := map[string]float64{}
	for i, t := range tests {
		promise[t.name] = float64(1+kills[t.name]) * (0.1 + about[i]) * math.Log2(float64(1+t.count)) / (t.took + 50*time.Millisecond).Seconds()
	}
	tests = slices.Clone(tests)
	slices.SortStableFunc(tests, func(a, b chosen) int {
		if a.b.Last != b.b.Last {
			if a.b.Last == m.operator.locks() {
				return -1
			}
			return 1
		}
		return cmp.Compare(promise[b.name], promise[a.name])
	})
	return tests
}

// likeness is which part of the words stands in each test, from 0 to 1. The fewer tests have a word, the more it counts.
func likeness(words []string, tests []chosen) []float64 {
	found := make([]float64, len(tests))
	sum := 0.0
	for _, w := range words {
		n := 0
		for _, t := range tests {
			if strings.Contains(t.text, w) {
				n++
			}
		}
		if n == 0 {
			continue
		}
		weight := math.Log(1 + float64(len(tests))/float64(n))
		sum += weight
		for i, t := range tests {
			if strings.Contains(t.text, w) {
				found[i] += weight
			}
		}
	}
	for i := range found {
		found[i] /= max(sum, 1)
	}
	return found
}

func (h *hunter) killed(group, test string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.killers[group] == nil {
		h.killers[group] = map[string]int{}
	}
	h.killers[group][test]++
}

// learn takes from earlier results which tests kill mutants of which group.
func (h *hunter) learn(known map[string]result) {
	for _, r := range known {
		unit, rest, _ := strings.Cut(r.ID, "/")
		op, _, _ := strings.Cut(rest, "/")
		if r.Verdict == killed && r.By != "" {
			h.killed((&mutant{unit: unit, operator: operator(op)}).group(), r.By)
		}
	}
}

// attempt is a mutant on its way: what was tried already.
type attempt struct {
	result
	done map[string]bool // tests that pass with the mutant, or don't pass without it
}

// first is how long the tests may take together that are tried on every mutant, before the rest is on those that have survived them. The
// tests that kill many come to the front meanwhile.
const first = 3 * time.Second

// try runs the tests that call the mutant's unit, until one is red or those that were run take as long as budget says, together; 0 is no
// limit. The first runs take a part of a second, each next one longer. It reports whether there is a verdict.
func (h *hunter) try(ctx context.Context, p *proxy, a *attempt, budget time.Duration) (bool, error) {
	m, r := a.mutant, &a.result
	start := time.Now()
	defer func() { r.Took += time.Since(start) }()
	tests := h.order(m, h.suite.calling(m.unit, h.closures))
	tests = slices.DeleteFunc(tests, func(t chosen) bool { return a.done[t.b.Dir+" "+t.name] || !h.only.MatchString(t.name) })
	p.use(m, nil)
	defer p.use(nil, nil)
	met := r.Seen
	var spent time.Duration
	for chunk := 500 * time.Millisecond; len(tests) > 0; chunk = chunk * 5 / 2 {
		if budget > 0 && spent >= budget {
			break
		}
		if isPast(h.deadline) {
			r.Verdict = untried
			return true, nil
		}
		var took time.Duration
		n := 0
		for n < len(tests) && (n == 0 || took+tests[n].took <= chunk) {
			took += tests[n].took
			n++
		}
		byPackage := map[*compiled][]string{}
		var order []*compiled
		for _, t := range tests[:n] {
			if byPackage[t.b] == nil {
				order = append(order, t.b)
			}
			byPackage[t.b] = append(byPackage[t.b], t.name)
			a.done[t.b.Dir+" "+t.name] = true
		}
		tests = tests[n:]
		spent += took
		for _, b := range order {
			limit := h.patience + 10*took
			for names := byPackage[b]; len(names) > 0; {
				run, err := h.suite.run(ctx, p, h.server, b, names, limit)
				if err != nil {
					return false, err
				}
				seen, err := p.outcome()
				if err != nil {
					return false, err
				}
				r.Seen = met + seen
				switch run.state {
				case passed:
					r.Ran += len(names)
					names = nil
				case timedOut:
					again, err := h.isConfirmed(ctx, p, m, b, names, limit)
					if err != nil {
						return false, err
					}
					if !again {
						names = nil
						continue
					}
					r.Verdict, r.By = hung, strings.Join(names, ", ")
					return true, nil
				case failed:
					isGreen, err := h.isGreen(ctx, p, m, b, run.test, limit)
					if err != nil {
						return false, err
					}
					if isGreen && run.test != "" {
						if isGreen, err = h.isConfirmed(ctx, p, m, b, []string{run.test}, limit); err != nil {
							return false, err
						}
					}
					if isGreen {
						r.Verdict, r.By = killed, run.test
						h.killed(m.group(), run.test)
						return true, nil
					}
					h.logf("%s fails without a mutant now, or only at times, so it is left out for %s", run.test, m.id)
					names = slices.DeleteFunc(names, func(n string) bool { return n == run.test })
					met = r.Seen
				}
			}
		}
	}
	r.Verdict, r.Left = survived, len(tests)+h.unrecorded
	if r.Left > 0 && !h.deadline.IsZero() {
		r.Verdict = untried // to the end
	}
	return len(tests) == 0, nil
}

// isGreen runs a test that has killed a mutant once more without it, the first time that it kills one of the unit: a test that fails
// because the machine is busy has killed nothing.
func (h *hunter) isGreen(ctx context.Context, p *proxy, m *mutant, b *compiled, test string, limit time.Duration) (bool, error) {
	if test == "" {
		return true, nil // the process has died
	}
	key := m.unit + " " + test
	h.mu.Lock()
	trusted := h.trusted[key]
	h.mu.Unlock()
	if trusted {
		return true, nil
	}
	p.use(nil, nil)
	defer p.use(m, nil)
	run, err := h.suite.run(ctx, p, h.server, b, []string{test}, limit)
	if err != nil || run.state != passed {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trusted[key] = true
	return true, nil
}

// isConfirmed runs tests that have not passed once more, if the list says that nothing can tell the mutant from the original: to contradict
// that takes more than one red test on a busy machine.
func (h *hunter) isConfirmed(ctx context.Context, p *proxy, m *mutant, b *compiled, tests []string, limit time.Duration) (bool, error) {
	if h.listed[m.id] == nil {
		return true, nil
	}
	run, err := h.suite.run(ctx, p, h.server, b, tests, limit)
	return run.state != passed, err
}

// all tries mutants, one at a time through each proxy, and calls done with each result.
func (h *hunter) all(ctx context.Context, proxies []*proxy, mutants []*mutant, done func(result) error) error {
	var attempts []*attempt
	for _, m := range mutants {
		attempts = append(attempts, &attempt{result{Key: m.key(), ID: m.id, mutant: m}, map[string]bool{}})
	}
	var mu sync.Mutex
	var rest []*attempt
	err := h.each(ctx, proxies, attempts, func(ctx context.Context, p *proxy, a *attempt) error {
		decided, err := h.try(ctx, p, a, first)
		switch {
		case err != nil:
			return err
		case decided:
			return done(a.result)
		}
		mu.Lock()
		defer mu.Unlock()
		rest = append(rest, a)
		return nil
	})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		h.logf("%d of %d have survived the first tests", len(rest), len(mutants))
	}
	return h.each(ctx, proxies, rest, func(ctx context.Context, p *proxy, a *attempt) error {
		if _, err := h.try(ctx, p, a, h.budget); err != nil {
			return err
		}
		return done(a.result)
	})
}

// each calls f for each attempt, one at a time for each proxy, until it fails.
func (h *hunter) each(ctx context.Context, proxies []*proxy, attempts []*attempt, f func(context.Context, *proxy, *attempt) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *attempt)
	var workers sync.WaitGroup
	for _, p := range proxies {
		workers.Go(func() {
			for a := range next {
				if err := f(ctx, p, a); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for _, a := range attempts {
		select {
		case next <- a:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// resultsFile keeps results from one run to the next.
type resultsFile struct {
	mu    sync.Mutex
	file  *os.File
	known map[string]result
}

func openResults(name string) (*resultsFile, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	r := &resultsFile{file: f, known: map[string]result{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one result
		if json.Unmarshal(lines.Bytes(), &one) == nil { // a line that was cut off is tried again
			r.known[one.Key] = one
		}
	}
	return r, errors.Join(lines.Err())
}

func (r *resultsFile) add(one result) error {
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[one.Key] = one
	_, err = r.file.Write(append(line, '\n'))
	return err
}
