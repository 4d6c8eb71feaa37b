package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// key is what there is one Cell for.
type key struct {
	work    subject.Work
	subject string
	size    int64
	conns   int
	delay   time.Duration
}

func (c *Cell) key() key { return key{c.Work, c.Subject, c.Size, c.Conns, c.Delay} }

func (k key) String() string {
	return fmt.Sprintf("%s of %s at %d rows, %d connections and a delay of %v", k.work, k.subject, k.size, k.conns, k.delay)
}

// check finds what could not have been measured.
func (r *Results) check() error {
	seen := map[key]bool{}
	for _, c := range r.Cells {
		if seen[c.key()] {
			return fmt.Errorf("%v is there twice", c.key())
		}
		seen[c.key()] = true
		numbers := map[int]bool{}
		for _, round := range c.Rounds {
			if round.Elapsed <= 0 || round.Ops <= 0 {
				return fmt.Errorf("round %d of %v did nothing", round.Number, c.key())
			}
			if numbers[round.Number] {
				return fmt.Errorf("round %d of %v is there twice", round.Number, c.key())
			}
			numbers[round.Number] = true
		}
	}
	for _, c := range r.Collector {
		if c.Elapsed <= 0 || c.Quiet.P99 <= 0 {
			return errors.New("a measurement of the collector took no time")
		}
	}
	return nil
}

// Load reads what Save wrote.
func Load(path string) (*Results, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load results: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	r := new(Results)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("load results from %s: %w", path, err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("load results from %s: %w", path, err)
	}
	return r, nil
}

// Save writes r as JSON, each measurement on a line of its own and in an order that doesn't depend on that in which they were taken.
func (r *Results) Save(path string) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("save results: %w", err)
	}
	b, err := r.encode()
	if err != nil {
		return fmt.Errorf("save results: %w", err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("save results: %w", err)
	}
	return nil
}

func (r *Results) encode() ([]byte, error) {
	var b bytes.Buffer
	var failed error
	put := func(name string, v any) {
		if b.Len() > 0 {
			b.WriteString(",\n")
		}
		line, err := json.Marshal(v)
		failed = errors.Join(failed, err)
		fmt.Fprintf(&b, "%q: %s", name, line)
	}
	put("Taken", r.Taken.UTC())
	put("Command", r.Command)
	put("Environment", r.Environment)
	failed = errors.Join(
		failed,
		list(&b, "Subjects", r.Subjects),
		list(&b, "Datasets", slices.SortedStableFunc(slices.Values(r.Datasets), func(x, y Dataset) int {
			return cmp.Compare(x.AccessTokens, y.AccessTokens)
		})),
		list(&b, "Cells", slices.SortedStableFunc(slices.Values(r.Cells), func(x, y Cell) int {
			return cmp.Or(
				cmp.Compare(rank(x.Work), rank(y.Work)),
				cmp.Compare(x.Size, y.Size),
				cmp.Compare(x.Conns, y.Conns),
				cmp.Compare(x.Delay, y.Delay),
				cmp.Compare(r.subjectRank(x.Subject), r.subjectRank(y.Subject)),
				cmp.Compare(x.Subject, y.Subject),
			)
		})),
		list(&b, "Costs", slices.SortedStableFunc(slices.Values(r.Costs), func(x, y Cost) int {
			return cmp.Or(
				cmp.Compare(rank(x.Work), rank(y.Work)),
				cmp.Compare(x.Size, y.Size),
				cmp.Compare(r.subjectRank(x.Subject), r.subjectRank(y.Subject)),
				cmp.Compare(x.Subject, y.Subject),
			)
		})),
		list(&b, "Collector", slices.SortedStableFunc(slices.Values(r.Collector), func(x, y Collector) int {
			return cmp.Or(cmp.Compare(x.Size, y.Size), cmp.Compare(x.Collectors, y.Collectors), -cmp.Compare(x.BatchSize, y.BatchSize), cmp.Compare(x.Rate, y.Rate))
		})),
	)
	return slices.Concat([]byte("{\n"), b.Bytes(), []byte("\n}\n")), failed
}

// list adds an array with each element on a line.
func list[T any](b *bytes.Buffer, name string, all []T) error {
	fmt.Fprintf(b, ",\n%q: [", name)
	for i, v := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "\n%s", line)
	}
	b.WriteString("\n]")
	return nil
}

// rank orders works as they are reported.
func rank(w subject.Work) int {
	if i := slices.Index(subject.Works, w); i >= 0 {
		return i
	}
	return len(subject.Works)
}

// subjectRank orders subjects as they are listed.
func (r *Results) subjectRank(name string) int {
	if i := slices.IndexFunc(r.Subjects, func(s Subject) bool { return s.Name == name }); i >= 0 {
		return i
	}
	return len(r.Subjects)
}
