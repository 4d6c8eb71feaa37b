package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// suite is the tests of the project, compiled.
type suite struct {
	root     string
	variable string // that holds the server's URL
	packages []*compiled
}

// compiled is the test binary of a package, and what is known of its tests.
type compiled struct {
	testPackage
	binary  string
	tests   []string          // in the order of the package
	sources map[string]string // a digest for each of them
	files   map[string]string // the file that each of them stands in
	texts   map[string]string // each of them, in small letters and without underscores

	Tests map[string]*testRecord `json:"tests"`
}

// testRecord is what a test did when it was recorded.
type testRecord struct {
	Source string         `json:"source"` // a digest of the file that it stands in
	Took   time.Duration  `json:"took"`
	Units  map[string]int `json:"units"` // how often it sends each query, and names each function
}

// compileTests compiles each package once. cache is where binaries and records stay. A test's record counts until its source changes.
func compileTests(ctx context.Context, root, cache string, c config) (*suite, error) {
	s := &suite{root: root, variable: c.URLVariable}
	for _, p := range c.Tests {
		name := strings.NewReplacer("/", "-", ".", "").Replace(p.Dir)
		b := &compiled{testPackage: p, binary: filepath.Join(cache, name+".test")}
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-buildvcs=false", "-o", b.binary, ".")
		cmd.Dir = filepath.Join(root, p.Dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compiling the tests of %s: %w\n%s", p.Dir, err, out)
		}
		list := exec.CommandContext(ctx, b.binary, "-test.list", "^Test")
		list.Dir = cmd.Dir
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("listing the tests of %s: %w", p.Dir, err)
		}
		sources, files, err := sourcesOf(cmd.Dir)
		if err != nil {
			return nil, err
		}
		if err := b.readRecord(); err != nil {
			return nil, err
		}
		recorded := b.Tests
		b.Tests = map[string]*testRecord{}
		skip := regexp.MustCompile(p.Skip)
		for _, t := range strings.Fields(string(out)) {
			if p.Skip != "" && skip.MatchString(t) {
				continue
			}
			b.tests = append(b.tests, t)
			if r := recorded[t]; r != nil && r.Source == sources[t] {
				b.Tests[t] = r
			}
		}
		b.sources, b.files, b.texts = sources, files, map[string]string{}
		for t, f := range files {
			b.texts[t] = textOf(t, f)
		}
		s.packages = append(s.packages, b)
	}
	return s, nil
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// sourcesOf returns a digest for each test of a package, of its file and of the package's files that are no tests, and the file itself.
func sourcesOf(dir string) (digests, contents map[string]string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	common := sha256.New()
	tests := map[string][]byte{}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			return nil, nil, err
		}
		if !strings.HasSuffix(f, "_test.go") {
			common.Write(content)
			continue
		}
		for _, m := range testFunction.FindAllSubmatch(content, -1) {
			tests[string(m[1])] = content
		}
	}
	shared := common.Sum(nil)
	digests, contents = map[string]string{}, map[string]string{}
	for name, content := range tests {
		sum := sha256.Sum256(append(content[:len(content):len(content)], shared...))
		digests[name], contents[name] = hex.EncodeToString(sum[:8]), string(content)
	}
	return digests, contents, nil
}

// textOf is a test as it stands in its file, in small letters and without underscores.
func textOf(test, file string) string {
	_, text, _ := strings.Cut(file, "\nfunc "+test+"(")
	text, _, _ = strings.Cut(text, "\n}\n")
	return strings.ReplaceAll(strings.ToLower(test+" "+text), "_", "")
}

func (b *compiled) recordFile() string { return strings.TrimSuffix(b.binary, ".test") + ".json" }

func (b *compiled) readRecord() error {
	content, err := os.ReadFile(b.recordFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(content, b)
}

func (b *compiled) writeRecord() error {
	content, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(b.recordFile(), content, 0o600)
}

func (s *suite) writeRecords() error {
	for _, b := range s.packages {
		if err := b.writeRecord(); err != nil {
			return err
		}
	}
	return nil
}

// record runs each test alone, unless that was done since its source changed, and notes what it calls and how long it takes. All have to
// pass. It begins with those whose file has one of the names in it. Past the deadline it begins none, and returns how many are left.
func (s *suite) record(
	ctx context.Context, proxies []*proxy, server string, r *references, names []string, deadline time.Time, only *regexp.Regexp,
	logf func(string, ...any),
) (left int, err error) {
	type job struct {
		b    *compiled
		test string
	}
	var jobs []job
	for _, b := range s.packages {
		for _, t := range b.tests {
			if b.Tests[t] == nil && only.MatchString(t) {
				jobs = append(jobs, job{b, t})
			}
		}
	}
	if len(jobs) == 0 {
		return 0, nil
	}
	names = slices.Clone(names)
	for i, n := range names {
		names[i] = regexp.QuoteMeta(n)
	}
	named := regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)\b`)
	slices.SortStableFunc(jobs, func(x, y job) int {
		isIn := func(j job) int {
			if named.MatchString(j.b.files[j.test]) {
				return 0
			}
			return 1
		}
		return isIn(x) - isIn(y)
	})
	logf("recording which calls %d tests make, one by one", len(jobs))
	var mu sync.Mutex
	var red []string
	next := make(chan job)
	var workers sync.WaitGroup
	for _, p := range proxies {
		workers.Go(func() {
			seen := newRecorder(r)
			for j := range next {
				p.use(nil, seen.observe)
				start := time.Now()
				result, err := s.run(ctx, p, server, j.b, []string{j.test}, 10*time.Minute)
				if err == nil && result.state != passed { // once more: the machine may have been busy
					seen.take()
					start = time.Now()
					result, err = s.run(ctx, p, server, j.b, []string{j.test}, 10*time.Minute)
				}
				units := seen.take()
				mu.Lock()
				switch {
				case err != nil:
					red = append(red, fmt.Sprintf("%s %s: %v", j.b.Dir, j.test, err))
				case result.state != passed:
					red = append(red, fmt.Sprintf("%s %s:\n%s", j.b.Dir, j.test, tail(result.output)))
				default:
					j.b.Tests[j.test] = &testRecord{Source: j.b.sources[j.test], Took: time.Since(start), Units: units}
				}
				mu.Unlock()
			}
		})
	}
	for n, j := range jobs {
		if n > 0 && n%50 == 0 {
			logf("recorded %d of %d", n, len(jobs))
			mu.Lock()
			err := s.writeRecords()
			mu.Unlock()
			if err != nil {
				return 0, err
			}
		}
		if ctx.Err() != nil || isPast(deadline) {
			left = len(jobs) - n
			break
		}
		next <- j
	}
	close(next)
	workers.Wait()
	if err := s.writeRecords(); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if len(red) > 0 {
		return 0, fmt.Errorf("%d tests fail without a mutant:\n%s", len(red), strings.Join(red, "\n"))
	}
	return left, nil
}

func isPast(deadline time.Time) bool { return !deadline.IsZero() && time.Now().After(deadline) }

func tail(output string) string {
	const most = 2000
	return strings.TrimSpace(output[max(0, len(output)-most):])
}

// chosen is a test that runs a unit.
type chosen struct {
	b     *compiled
	name  string
	took  time.Duration
	text  string
	count int // how often it runs the unit
}

// calling are the tests that run a unit.
func (s *suite) calling(unit string, closures *closures) []chosen {
	var found []chosen
	for _, b := range s.packages {
		for _, name := range b.tests {
			t := b.Tests[name]
			if t == nil {
				continue
			}
			if n := closures.count(t, unit); n > 0 {
				found = append(found, chosen{b, name, t.Took, b.texts[name], n})
			}
		}
	}
	return found
}

// closures are the units that each unit runs, worked out once.
type closures struct {
	r     *references
	mu    sync.Mutex
	known map[string]map[string]bool
}

func (c *closures) of(unit string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[unit] == nil {
		c.known[unit] = c.r.all(unit)
	}
	return c.known[unit]
}

// count is how often what a test sends runs a unit.
func (c *closures) count(t *testRecord, unit string) int {
	sum := 0
	for name, n := range t.Units {
		if c.of(name)[unit] {
			sum += n
		}
	}
	return sum
}

// state is how a run of tests has ended.
type state string

const (
	passed   state = "passed"
	failed   state = "failed"
	timedOut state = "timed out"
)

type runResult struct {
	state  state
	test   string // that failed
	output string
}

var failure = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// run runs tests of one package, and stops at the first that fails.
func (s *suite) run(ctx context.Context, p *proxy, server string, b *compiled, tests []string, limit time.Duration) (runResult, error) {
	address, err := p.url(server)
	if err != nil {
		return runResult{}, err
	}
	args := append([]string{
		"-test.run", "^(" + strings.Join(tests, "|") + ")$", "-test.failfast", "-test.count=1", "-test.timeout", limit.String(),
	}, b.Args...)
	inner, cancel := context.WithTimeout(ctx, limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(inner, b.binary, args...)
	cmd.Dir = filepath.Join(s.root, b.Dir)
	cmd.Env = append(os.Environ(), s.variable+"="+address)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	output := out.String()
	var dropErr error
	if err != nil { // tests that pass drop their databases
		dropErr = p.drop(context.WithoutCancel(ctx))
	}
	switch {
	case ctx.Err() != nil:
		return runResult{}, ctx.Err()
	case dropErr != nil:
		return runResult{}, fmt.Errorf("dropping what tests left: %w", dropErr)
	case inner.Err() != nil, strings.Contains(output, "panic: test timed out"):
		return runResult{timedOut, "", output}, nil
	case err == nil && strings.Contains(output, "no tests to run"):
		return runResult{}, fmt.Errorf("%s has no such tests: %s", b.Dir, strings.Join(tests, ", "))
	case err == nil:
		return runResult{passed, "", output}, nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return runResult{}, err
	}
	r := runResult{state: failed, output: output}
	if m := failure.FindStringSubmatch(output); m != nil {
		r.test = m[1]
	}
	return r, nil
}
