// Command bench measures oauthdb against other ways to do the same, all on one PostgreSQL and in one run, and writes
// docs/performance.md from what it finds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/db"
)

func main() {
	report.Main("bench", func(ctx context.Context, args []string) error { return command(ctx, args, os.Stdout, os.Stderr) })
}

// settings are the flags.
type settings struct {
	Options
	docs              string
	write, onlyReport bool
}

func parse(args []string, stderr io.Writer) (settings, error) {
	s := settings{Options: Options{
		Sizes:      []int64{10_000, 1_000_000, 10_000_000},
		Conns:      []int{1, 16, 64},
		Works:      subject.Works,
		Subjects:   names(subjects),
		Delays:     []time.Duration{0, 500 * time.Microsecond},
		Rate:       1000,
		Quiet:      6 * time.Second,
		Collectors: []int{1},
		Paces: []report.Pace{
			{BatchSize: 1000, Share: 1},
			{BatchSize: 1000, Share: 1, Nice: 19},
			{BatchSize: 1000, Share: 0.1},
			{BatchSize: db.DefaultBatchSize, Share: db.DefaultShare},
			{BatchSize: 1000, Share: 0.02},
			{BatchSize: 100, Share: 0.05},
			{BatchSize: 25, Share: 0.25},
		},
	}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, `Measures oauthdb against other ways to do the same: go run . [flags]

The data are made once and kept, in the private PostgreSQL that is kept for benchmarks, or in the server that DATABASE_URL names.
Results are printed; with -write they become docs/performance.md. Lists are separated by commas.

`)
		f.PrintDefaults()
	}
	number := func(least, most int64) func(string) (int64, error) {
		return func(v string) (int64, error) {
			n, err := strconv.ParseInt(v, 10, 64)
			if err == nil && (n < least || n > most) {
				err = fmt.Errorf("from %d to %d", least, most)
			}
			return n, err
		}
	}
	few := func(most int64) func(string) (int, error) {
		return func(v string) (int, error) {
			n, err := number(1, most)(v)
			return int(n), err
		}
	}
	list(f, "sizes", "numbers of access tokens in the data", &s.Sizes, number(1000, 1e9))
	list(f, "conns", "numbers of connections, each of which is busy all the time", &s.Conns, few(200))
	list(f, "works", "works", &s.Works, func(v string) (subject.Work, error) { return known(subject.Work(v), subject.Works) })
	list(f, "subjects", "subjects; how many operations the others do is found out with store", &s.Subjects,
		func(v string) (string, error) { return known(v, names(subjects)) })
	list(f, "delays", "what a network adds to a round trip; 0 is without one, through the Unix socket where there is one", &s.Delays, func(v string) (time.Duration, error) {
		d, err := time.ParseDuration(v)
		if err == nil && d < 0 {
			err = errors.New("not negative")
		}
		return d, err
	})
	f.IntVar(&s.Rounds, "rounds", 4, "measurements of each cell; those that nothing is compared by have three at most")
	f.IntVar(&s.TargetRounds, "target-rounds", 7, "measurements of introspect-hit and rotate at 16 connections and the middle size")
	f.DurationVar(&s.Duration, "duration", 700*time.Millisecond, "how long a measurement of store takes; others do as many operations, or as many as they can in that time")
	f.BoolVar(&s.Settings, "settings", true, "measure the settings of package db, too")
	list(f, "collectors", "numbers of collectors at work at once", &s.Collectors, few(16))
	list(f, "paces", "how hard a collector works: rows in a batch @ part of the time + nice value of its server process, if not 0", &s.Paces, func(v string) (report.Pace, error) {
		var p report.Pace
		pace, nice, isNice := strings.Cut(v, "+")
		_, err := fmt.Sscanf(pace, "%d@%g", &p.BatchSize, &p.Share)
		if err == nil && isNice {
			p.Nice, err = strconv.Atoi(nice)
		}
		if err == nil && (p.BatchSize < 1 || p.BatchSize > db.MaxBatchSize || !(p.Share > 0 && p.Share <= 1) || p.Nice < 0 || p.Nice > 19) {
			err = fmt.Errorf("from 1 to %d rows, a part above 0 and at most 1, and a nice value from 0 to 19", db.MaxBatchSize)
		}
		return p, err
	})
	f.IntVar(&s.CollectorRounds, "collector-rounds", 1, "measurements of the collector, each of at least a whole pass; 0 leaves it out")
	f.BoolVar(&s.OnlyCollector, "only-collector", false, "measure the collector and nothing else, for which -sizes 100000 is enough; -write keeps the other results that are there")
	f.StringVar(&s.Callgrind, "callgrind", "", "folder with the callgrind.out.PID of the processes of the server that DATABASE_URL names: count instructions of the works, and nothing else")
	f.StringVar(&s.docs, "docs", filepath.Join("..", "docs"), "folder of performance.md and performance/")
	f.BoolVar(&s.write, "write", false, "write the page, the plot and performance/results.json")
	f.BoolVar(&s.onlyReport, "only-report", false, "measure nothing: write the page and the plot from the results that are there")
	err := f.Parse(args)
	switch {
	case err != nil:
	case f.NArg() > 0:
		err = fmt.Errorf("what is %q? All there is are flags", f.Arg(0))
	case s.Rounds < 1 || s.Duration <= 0:
		err = errors.New("there has to be a round, and it has to take some time")
	}
	return s, err
}

// list defines a flag with a list of values.
func list[T any](f *flag.FlagSet, name, usage string, to *[]T, parse func(string) (T, error)) {
	var standard []string
	for _, v := range *to {
		standard = append(standard, fmt.Sprint(v))
	}
	f.Func(name, usage+" (default "+strings.Join(standard, ",")+")", func(values string) error {
		*to = nil
		for v := range strings.SplitSeq(values, ",") {
			one, err := parse(strings.TrimSpace(v))
			if err != nil {
				return err
			}
			*to = append(*to, one)
		}
		return nil
	})
}

func known[T ~string](v T, all []T) (T, error) {
	if !slices.Contains(all, v) {
		return v, fmt.Errorf("there are %q", all)
	}
	return v, nil
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	kept := filepath.Join(s.docs, "performance", "results.json")
	if s.onlyReport {
		results, err := report.Load(kept)
		if err != nil {
			return err
		}
		return results.Write(s.docs)
	}
	began := time.Now()
	server, err := dataset.StartServer(ctx, report.Logf)
	if err != nil {
		return err
	}
	again := "make bench" // the command that measures the same
	if !slices.Equal(args, []string{"-write"}) {
		again = strings.TrimSpace("go run -C bench . " + strings.Join(args, " "))
	}
	d := &driver{Options: s.Options, server: server, out: stdout, logf: report.Logf, results: &report.Results{Command: again}}
	if err := d.measure(ctx); err != nil || s.Callgrind != "" {
		return err
	}
	report.Logf("done in %v", time.Since(began).Round(time.Second))
	if !s.write {
		return d.results.Write("")
	}
	results := d.results
	if s.OnlyCollector {
		if results, err = report.Load(kept); err != nil {
			return err
		}
		results.Collector, results.Collected = d.results.Collector, d.results.Commit
	}
	if err := results.Save(kept); err != nil {
		return err
	}
	return results.Write(s.docs)
}
