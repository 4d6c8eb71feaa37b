package linear

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/oauthdb/oauthdb/internal/storetests/model"
)

// Limit is how long a history may take to be judged. Almost all take milliseconds.
const Limit = 20 * time.Second

// Check fails the test if the history of a world isn't linearizable. It prints the shortest part of the history that isn't, and leaves a page
// that shows it.
func Check(t testing.TB, w *World) bool {
	t.Helper()
	return w.Judge().holds(t)
}

func (v Verdict) holds(t testing.TB) bool {
	t.Helper()
	w := v.world
	switch v.Result {
	case porcupine.Ok:
		return true
	case porcupine.Unknown:
		t.Errorf("world %s: %d calls could not be judged within %v", w.name, len(w.calls), Limit)
	default:
		page, err := v.Page(t.ArtifactDir())
		if err != nil {
			t.Error(err)
		}
		t.Errorf("world %s is not linearizable; see %s\n%s", w.name, page, v)
	}
	return false
}

// Verdict is what the checker says of a history.
type Verdict struct {
	Result porcupine.CheckResult
	world  *World
	ops    []porcupine.Operation
}

// Judge says whether the history is linearizable.
func (w *World) Judge() Verdict { return w.judge(Limit) }

func (w *World) judge(limit time.Duration) Verdict {
	ops := w.history()
	// Almost all histories have an order in which no grant is overtaken. To look for one first takes a hundredth of the time.
	result := porcupine.CheckOperationsTimeout(w.model(), inOrder(ops), limit)
	if result != porcupine.Ok {
		result = porcupine.CheckOperationsTimeout(w.model(), ops, limit)
	}
	return Verdict{result, w, ops}
}

// inOrder leaves out that endings can overtake grants.
func inOrder(ops []porcupine.Operation) []porcupine.Operation {
	ops = slices.Clone(ops)
	for i, op := range ops {
		in := op.Input.(input)
		in.span.Overtaken = 0
		ops[i].Input = in
	}
	return ops
}

// model is the model as the checker wants it.
func (w *World) model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{w.start} },
		Step: func(state, in, out any) (next []any) {
			i := in.(input)
			for _, s := range state.(*model.State).Step(i.call, out.(model.Answer), i.span) {
				next = append(next, s)
			}
			return next
		},
		Equal: func(a, b any) bool { return a.(*model.State).Equal(b.(*model.State)) },
		Hash:  func(s any) uint64 { return s.(*model.State).Hash() },
		DescribeOperation: func(in, out any) string {
			return w.short(in.(input).call.Text(w.names)) + " → " + describe(out.(model.Answer))
		},
		DescribeState: func(s any) string { return s.(*model.State).String() },
	}
	return m.ToModel()
}

func describe(a model.Answer) string { return strings.TrimSpace(string(a.Outcome) + " " + a.Detail) }

// short leaves the world's name out of its ids.
func (w *World) short(s string) string { return strings.ReplaceAll(s, w.name+"-", "") }

// smallest is the shortest part of a history that isn't linearizable: up to the first answer that can't be, and without calls that have
// changed nothing, as far as it fails without them.
func (v Verdict) smallest() []porcupine.Operation {
	m := v.world.model()
	fails := func(ops []porcupine.Operation) bool {
		return porcupine.CheckOperationsTimeout(m, overtaken(slices.Clone(ops)), Limit/6) == porcupine.Illegal
	}
	// up to an answer: what was answered later was on its way
	upTo := func(end int64) (ops []porcupine.Operation) {
		for _, op := range v.ops {
			if op.Call > end {
				continue
			}
			if op.Return > end {
				if op.Input.(input).call.Reads() {
					continue
				}
				op.Return, op.Output = math.MaxInt64, model.Answer{Outcome: model.Lost}
			}
			ops = append(ops, op)
		}
		return ops
	}
	ends := make([]int64, len(v.ops))
	for i, op := range v.ops {
		ends[i] = op.Return
	}
	slices.Sort(ends)
	least := v.ops
	i, _ := slices.BinarySearchFunc(ends, true, func(end int64, _ bool) int {
		if fails(upTo(end)) {
			return 1
		}
		return -1
	})
	if i < len(ends) {
		if ops := upTo(ends[i]); fails(ops) { // unless there was no time to say
			least = ops
		}
	}
	for i := len(least) - 1; i >= 0; i-- {
		op := least[i]
		if !op.Input.(input).call.Refused(op.Output.(model.Answer)) {
			continue
		}
		if without := slices.Delete(slices.Clone(least), i, i+1); fails(without) {
			least = without
		}
	}
	return least
}

// String prints the smallest part of the history that fails, a call a line, in the order in which they were made.
func (v Verdict) String() string {
	var b strings.Builder
	ops, last := v.smallest(), int64(0)
	for _, op := range ops {
		if op.Return != math.MaxInt64 {
			last = max(last, op.Return)
		}
	}
	for _, op := range ops {
		in, until := op.Input.(input), "        …"
		if op.Return != math.MaxInt64 {
			until = fmt.Sprintf("%9.3f", float64(op.Return)/1e6)
		}
		mark := ' '
		if op.Return == last {
			mark = '✗' // without this answer it would be linearizable
		}
		fmt.Fprintf(&b, "\t%c %9.3f–%s ms  worker %d  %s → %s\n", mark, float64(op.Call)/1e6, until, op.ClientId, v.world.short(in.call.Text(v.world.names)),
			v.world.short(describe(op.Output.(model.Answer))))
	}
	return b.String()
}

// Page writes a page that shows the smallest part of the history that fails, and returns its name.
func (v Verdict) Page(dir string) (string, error) {
	m, ops := v.world.model(), overtaken(v.smallest())
	last := int64(0)
	for _, op := range ops {
		if op.Return != math.MaxInt64 {
			last = max(last, op.Return)
		}
	}
	for i := range ops { // a page has an end
		ops[i].Return = min(ops[i].Return, last+1)
	}
	_, info := porcupine.CheckOperationsVerbose(m, ops, Limit/6)
	page := filepath.Join(dir, "world-"+v.world.name+".html")
	f, err := os.Create(page)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return page, porcupine.Visualize(m, info, f)
}
