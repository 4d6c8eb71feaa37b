// Command sqlmut tests the tests of a project that uses sqlc: see the README.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

type options struct {
	config, root, cache string
	only, since, op     string
	mutant, tests       string
	skipListed          bool
	workers             int
	limit, budget       time.Duration
	fresh, list, show   bool
	write, survivors    string
	hint                string
	patience            time.Duration
	equivalents         string // another list, for tests
}

func main() {
	var o options
	flag.StringVar(&o.config, "config", "sqlmut.yaml", "the project's `file`; what it names is relative to its folder")
	flag.StringVar(&o.cache, "cache", "", "a `folder` for test binaries, records and results (default: in the user's cache)")
	flag.StringVar(&o.only, "only", "", "a `regexp`: only the calls and routines that it matches as a whole")
	flag.StringVar(&o.op, "operator", "", "a `regexp`: only the operators that it matches as a whole")
	flag.StringVar(&o.mutant, "mutant", "", "a `regexp`: only the mutants whose name it matches somewhere")
	flag.StringVar(&o.tests, "tests", "", "a `regexp`: run only the tests whose name it matches somewhere; what survives them is not kept")
	flag.BoolVar(&o.skipListed, "skip-listed", false, "take the list's word for the mutants on it")
	flag.StringVar(&o.since, "since", "", "only the calls and routines whose SQL has changed since a git `revision`")
	flag.IntVar(&o.workers, "workers", min(2, runtime.NumCPU()), "how many mutants are tried at the same time")
	flag.DurationVar(&o.limit, "for", 0, "begin no mutant after this time; 0 for no limit")
	flag.DurationVar(&o.budget, "budget", 2*time.Minute, "of the tests that make a call, run the first that take this long together; 0 for all")
	flag.DurationVar(&o.patience, "patience", 20*time.Second, "stop tests that take ten times as long as they did, and this")
	flag.BoolVar(&o.fresh, "fresh", false, "forget the results of earlier runs")
	flag.BoolVar(&o.list, "list", false, "print the mutants and stop")
	flag.BoolVar(&o.show, "show", false, "print the changed text of each survivor")
	flag.StringVar(&o.write, "write", "", "write the score to a Markdown `file`")
	flag.StringVar(&o.survivors, "survivors", "", "append survivors to a `file` as they come")
	flag.StringVar(&o.hint, "hint", "", "the `command` that tries all, to be printed where -for has left some, and on the page of -write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code, err := run(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sqlmut:", err)
		code = 2
	}
	os.Exit(code)
}

func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// run returns 0 if every mutant is killed or listed, 1 if one has survived or the list is wrong.
func run(ctx context.Context, o options, out io.Writer) (code int, err error) {
	c, err := readConfig(o.config)
	if err != nil {
		return 0, err
	}
	if o.root, err = filepath.Abs(filepath.Dir(o.config)); err != nil {
		return 0, err
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return 0, err
		}
		o.cache = filepath.Join(dir, "sqlmut", strings.NewReplacer("/", "-", ":", "").Replace(strings.Trim(o.root, "/")))
	}
	if err := os.MkdirAll(o.cache, 0o700); err != nil {
		return 0, err
	}
	var deadline time.Time
	if o.limit > 0 {
		deadline = time.Now().Add(o.limit)
	}
	units, err := readUnits(workTree{o.root}, c)
	if err != nil {
		return 0, err
	}
	selected, err := choose(units, c, o)
	if err != nil {
		return 0, err
	}
	if len(selected) == 0 {
		fmt.Fprintln(out, "no call and no routine to mutate")
		return 0, nil
	}
	if o.equivalents != "" {
		c.Equivalents = o.equivalents
	}
	listed, err := readEquivalents(filepath.Join(o.root, c.Equivalents), c.Equivalents != "")
	if err != nil {
		return 0, err
	}
	server, err := serverURL(ctx, o.root, c)
	if err != nil {
		return 0, err
	}
	s, err := makeSchema(ctx, o.root, c, server)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	refs, err := newReferences(units, s.triggers)
	if err != nil {
		return 0, err
	}
	operatorPattern, err := regexp.Compile("^(" + o.op + ")$")
	if err != nil {
		return 0, err
	}

	mutantPattern, err := regexp.Compile(o.mutant)
	if err != nil {
		return 0, err
	}

	report := newReport(listed, o.op == "" && o.mutant == "")
	var mutants []*mutant
	for _, u := range selected {
		all, err := mutantsOf(u, refs.locking[u.name], s.isNotNull)
		if err != nil {
			return 0, err
		}
		if o.op != "" {
			all = slices.DeleteFunc(all, func(m *mutant) bool { return !operatorPattern.MatchString(string(m.operator)) })
		}
		all = slices.DeleteFunc(all, func(m *mutant) bool { return !mutantPattern.MatchString(m.id) })
		if len(all) == 0 && o.mutant != "" {
			continue
		}
		valid, refused, err := s.prepare(ctx, u, all)
		if err != nil {
			return 0, err
		}
		for m, reason := range refused {
			report.add(result{ID: m.id, Verdict: invalid, By: reason, mutant: m})
		}
		mutants = append(mutants, valid...)
		report.units[u.name] = true
	}
	logf("%d mutants of %d calls and routines", len(mutants), len(selected))
	if o.list {
		for _, m := range mutants {
			fmt.Fprintln(out, m.id)
		}
		return 0, nil
	}

	results, err := openResults(filepath.Join(o.cache, "results.jsonl"))
	if err != nil {
		return 0, err
	}
	var todo []*mutant
	for _, m := range mutants {
		old, ok := results.known[m.key()]
		if ok && !o.fresh && (old.Verdict == killed || old.Verdict == hung) {
			old.ID, old.mutant = m.id, m
			report.add(old)
			continue
		}
		if o.skipListed && listed[m.id] != nil {
			report.add(result{Key: m.key(), ID: m.id, Verdict: survived, mutant: m})
			continue
		}
		todo = append(todo, m)
	}
	if isPast(deadline) { // the score of what was tried before
		for _, m := range todo {
			r := result{Key: m.key(), Verdict: untried}
			if old, ok := results.known[m.key()]; ok && !o.fresh {
				r = old
			}
			r.ID, r.mutant = m.id, m
			report.add(r)
		}
	} else if len(todo) > 0 {
		if err := hunt(ctx, o, c, server, refs, todo, deadline, results, report); err != nil {
			return 0, err
		}
	}
	code = report.print(out, o)
	if o.write != "" {
		err = os.WriteFile(o.write, report.page(o), 0o644)
	}
	return code, err
}

func hunt(ctx context.Context, o options, c config, server string, refs *references, todo []*mutant, deadline time.Time, results *resultsFile, report *report) error {
	only, err := regexp.Compile(o.tests)
	if err != nil {
		return err
	}
	suite, err := compileTests(ctx, o.root, o.cache, c)
	if err != nil {
		return err
	}
	admin, err := pgx.ParseConfig(server)
	if err != nil {
		return err
	}
	isTest := func(database string) bool { return c.testDatabases != nil && c.testDatabases.MatchString(database) }
	var proxies []*proxy
	for range o.workers {
		p, err := newProxy(admin, isTest)
		if err != nil {
			return err
		}
		defer p.close()
		proxies = append(proxies, p)
	}
	recorded := deadline
	if o.limit > 0 { // half of the time is for the mutants
		recorded = deadline.Add(-o.limit / 2)
	}
	left, err := suite.record(ctx, proxies, server, refs, refs.running(todo), recorded, only, logf)
	if err != nil {
		return err
	}
	if left > 0 {
		logf("there was no time to record %d tests, which are left out", left)
	}
	h := &hunter{
		suite: suite, server: server, closures: &closures{r: refs, known: map[string]map[string]bool{}}, budget: o.budget, patience: o.patience,
		deadline: deadline, unrecorded: left, only: only, listed: report.listed,
		logf: logf, killers: map[string]map[string]int{}, trusted: map[string]bool{},
	}
	h.learn(results.known)
	var mu sync.Mutex
	n, total := 0, len(todo)
	done := func(r result) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%25 == 0 {
			logf("%d of %d", n, total)
		}
		report.add(r)
		if r.Verdict == untried {
			return nil
		}
		if r.Verdict == survived && o.tests != "" {
			return nil // others may kill it
		}
		if r.Verdict == survived && report.listed[r.ID] == nil {
			logf("survived: %s (%d tests, met %d times, %d tests left)", r.ID, r.Ran, r.Seen, r.Left)
			if o.survivors != "" {
				if err := appendLine(o.survivors, fmt.Sprintf("%s\t(%d tests ran, met %d times)", r.ID, r.Ran, r.Seen)); err != nil {
					return err
				}
			}
		}
		return results.add(r)
	}
	for len(todo) > 0 { // some calls and routines after others, so that survivors are known early
		k := 1
		for k < len(todo) && (k < 50 || todo[k].unit == todo[k-1].unit) {
			k++
		}
		if err := h.all(ctx, proxies, todo[:k], done); err != nil {
			return err
		}
		todo = todo[k:]
	}
	return nil
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

// choose picks what is to be mutated.
func choose(units []unit, c config, o options) ([]unit, error) {
	pattern, err := regexp.Compile("^(" + o.only + ")$")
	if err != nil {
		return nil, err
	}
	before := map[string]string{}
	if o.since != "" {
		old, err := readUnits(revision{o.root, o.since}, c)
		if err != nil {
			return nil, err
		}
		for _, u := range old {
			before[u.name] = u.sql
		}
	}
	var found []unit
	for _, u := range units {
		if (o.only == "" || pattern.MatchString(u.name)) && (o.since == "" || before[u.name] != u.sql) {
			found = append(found, u)
		}
	}
	if len(found) == 0 && o.only != "" && o.since == "" {
		return nil, fmt.Errorf("no call and no routine is called %s", o.only)
	}
	return found, nil
}

// serverURL is what the project's command prints, or the variable if it is set.
func serverURL(ctx context.Context, root string, c config) (string, error) {
	if set := os.Getenv(c.URLVariable); set != "" {
		return set, nil
	}
	if len(c.Server) == 0 {
		return "", fmt.Errorf("set %s to the URL of a superuser", c.URLVariable)
	}
	cmd := exec.CommandContext(ctx, c.Server[0], c.Server[1:]...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(c.Server, " "), err)
	}
	return string(bytes.TrimSpace(out)), nil
}
