package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
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
	budget   time.Duration // of recorded time of tests for one mutant
	logf     func(string, ...any)

	mu      sync.Mutex
	killers map[string]map[string]int // by unit: how many mutants a test has killed
	trusted map[string]bool           // by unit and test: it is green without a mutant
}

// order puts those that killed before in front.
func (h *hunter) order(unit string, tests []chosen) []chosen {
	h.mu.Lock()
	defer h.mu.Unlock()
	kills := h.killers[unit]
	tests = slices.Clone(tests)
	slices.SortStableFunc(tests, func(a, b chosen) int { return rank(kills[b.name], b.took) - rank(kills[a.name], a.took) })
	return tests
}

// rank is how promising a test is: what it killed for the time that it takes.
func rank(kills int, took time.Duration) int {
	return int(1000 * float64(kills) / (took + 50*time.Millisecond).Seconds())
}

func (h *hunter) killed(unit, test string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.killers[unit] == nil {
		h.killers[unit] = map[string]int{}
	}
	h.killers[unit][test]++
}

// try runs the tests that call the mutant's unit, until one is red. The first runs take a part of a second, each next one longer.
func (h *hunter) try(ctx context.Context, p *proxy, m *mutant) (result, error) {
	r := result{Key: m.key(), ID: m.id, mutant: m}
	start := time.Now()
	tests := h.order(m.unit, h.suite.calling(m.unit, h.closures))
	p.use(m, nil)
	defer p.use(nil, nil)
	var spent time.Duration
	for chunk := 500 * time.Millisecond; len(tests) > 0; chunk = chunk * 5 / 2 {
		if h.budget > 0 && spent >= h.budget {
			break
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
		}
		tests = tests[n:]
		spent += took
		for _, b := range order {
			limit := 20*time.Second + 10*took
			for names := byPackage[b]; len(names) > 0; {
				run, err := h.suite.run(ctx, p, h.server, b, names, limit)
				if err != nil {
					return r, err
				}
				seen, err := p.outcome()
				if err != nil {
					return r, err
				}
				r.Seen = max(r.Seen, seen)
				r.Took = time.Since(start)
				switch run.state {
				case passed:
					r.Ran += len(names)
					names = nil
				case timedOut:
					r.Verdict, r.By = hung, strings.Join(names, ", ")
					return r, nil
				case failed:
					isGreen, err := h.isGreen(ctx, p, m, b, run.test, limit)
					if err != nil {
						return r, err
					}
					if isGreen {
						r.Verdict, r.By = killed, run.test
						h.killed(m.unit, run.test)
						return r, nil
					}
					h.logf("%s fails without a mutant now, so it is left out for %s", run.test, m.id)
					names = slices.DeleteFunc(names, func(n string) bool { return n == run.test })
				}
			}
		}
	}
	r.Verdict, r.Left = survived, len(tests)
	return r, nil
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

// all tries mutants, one at a time through each proxy, and calls done with each result. Past the deadline none is begun.
func (h *hunter) all(ctx context.Context, proxies []*proxy, mutants []*mutant, deadline time.Time, done func(result) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *mutant)
	var workers sync.WaitGroup
	for _, p := range proxies {
		workers.Go(func() {
			for m := range next {
				var r result
				var err error
				if isPast(deadline) {
					r = result{Key: m.key(), ID: m.id, Verdict: untried, mutant: m}
				} else {
					r, err = h.try(ctx, p, m)
				}
				if err == nil {
					err = done(r)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for _, m := range mutants {
		select {
		case next <- m:
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
