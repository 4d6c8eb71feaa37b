package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// project runs sqlmut on the project of testdata, and returns what it prints and its exit code.
func project(t *testing.T, cache string, change func(*options)) (string, int) {
	t.Helper()
	if os.Getenv("DATABASE_URL") == "" {
		cmd := exec.Command("go", "run", "./cmd/oauthdb", "url", "-cluster", "test", "-database", "postgres")
		cmd.Dir, cmd.Stderr = filepath.Join("..", ".."), os.Stderr
		url, err := cmd.Output()
		if err != nil {
			t.Fatalf("a server: %v", err)
		}
		t.Setenv("DATABASE_URL", string(bytes.TrimSpace(url)))
	}
	o := options{config: "testdata/project/sqlmut.yaml", cache: cache, workers: 2, budget: time.Minute, patience: 4 * time.Second}
	if change != nil {
		change(&o)
	}
	var out bytes.Buffer
	code, err := run(t.Context(), o, &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), code
}

// TestProject shows the whole way on a small project. Its test can't see locks, as it has one connection. It looks at no exact time,
// and it doesn't notice that the wrong account pays, because all begin with the same balance.
func TestProject(t *testing.T) {
	cache := t.TempDir()
	out, code := project(t, cache, nil)
	if code != 1 {
		t.Errorf("exit code %d with survivors, not 1", code)
	}
	want := []string{
		"Withdraw/drop-lock/FOR UPDATE",
		"Withdraw/negate/a.id = l.id",
		"is_open/boundary/a.closed_at > now()",
	}
	var survivors []string
	for line := range strings.Lines(out) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "survived: "); ok {
			survivors = append(survivors, id)
		}
	}
	if !slices.Equal(survivors, want) {
		t.Errorf("survivors:\n%s\nwant:\n%s\n\n%s", strings.Join(survivors, "\n"), strings.Join(want, "\n"), out)
	}
	if score := regexp.MustCompile(`(?m)^ +all +31 +25 +2 +1 +3 +0$`); !score.MatchString(out) {
		t.Errorf("the score is not 31 mutants, 25 killed, 2 timed out, 1 equivalent and 3 survivors:\n%s", out)
	}

	t.Run("a list that is wrong", func(t *testing.T) {
		out, code := project(t, cache, func(o *options) { o.equivalents = "wrong.yaml" })
		for _, want := range []string{
			"listed as equivalent, but killed by TestWithdraw: Withdraw/negate/is_open(a)",
			"listed as equivalent, but there is no such mutant: Withdraw/negate/is_closed(a)",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("it does not say %q:\n%s", want, out)
			}
		}
		if code != 1 {
			t.Errorf("exit code %d, not 1", code)
		}
	})
}

// TestOneMutant tries one mutant by one test, as one does who writes the test for it.
func TestOneMutant(t *testing.T) {
	cache := t.TempDir()
	one := func(pattern string, change func(*options)) (string, int) {
		t.Helper()
		return project(t, cache, func(o *options) {
			o.mutant = pattern
			if change != nil {
				change(o)
			}
		})
	}
	wants := func(what, out string, code, wantCode int, want string) {
		t.Helper()
		if code != wantCode || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s: exit code %d, want %d and %s:\n%s", what, code, wantCode, want, out)
		}
	}
	const mutant = `Withdraw/negate/is_open`
	wrong := func(o *options) { o.equivalents = "wrong.yaml" }
	out, code := one(mutant, func(o *options) { o.tests = "Tick" })
	wants("by a test that can't tell", out, code, 1, `survived: Withdraw/negate/is_open`)
	out, code = one(mutant, func(o *options) { wrong(o); o.skipListed = true })
	wants("listed", out, code, 0, `(?m)^ +all +1 +0 +0 +1 +0 +0$`)
	out, code = one(mutant, nil)
	wants("by all tests", out, code, 0, `(?m)^ +all +1 +1 +0 +0 +0 +0$`)
	out, code = one(mutant, wrong)
	wants("a list that is wrong", out, code, 1, `listed as equivalent, but killed by TestWithdraw`)

	t.Setenv("BUSY", filepath.Join(cache, "busy"))
	out, code = one(`Withdraw/weaken-lock`, func(o *options) { o.tests, o.cache = "Busy", t.TempDir() })
	wants("by a test that fails once", out, code, 0, `(?m)^ +all +1 +0 +0 +1 +0 +0$`)
	if runs, err := os.ReadFile(os.Getenv("BUSY")); err != nil || len(runs) != 4 {
		t.Errorf("%d runs, %v: want one to record, one that fails, one without the mutant, and one that confirms nothing", len(runs), err)
	}
}

// TestSince shows that what has changed since a revision is picked, and nothing else.
func TestSince(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com"}, args...)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	query := func(name, condition string) string {
		return "package store\n\nconst " + name + " = `-- name: " + name + " :one\nSELECT 1 WHERE " + condition + "\n`\n"
	}
	routine := func(name, body string) string {
		return "CREATE FUNCTION " + name + "() RETURNS boolean LANGUAGE sql AS $$ SELECT " + body + " $$;"
	}
	write("store/a.sql.go", query("A", "true"))
	write("store/b.sql.go", query("B", "true"))
	write("routines/c.sql", routine("c", "true"))
	write("routines/d.sql", routine("d", "true"))
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	c := config{Queries: []string{"store"}, Routines: []string{"routines"}}
	changed := func() []string {
		t.Helper()
		units, err := readUnits(workTree{root}, c)
		if err != nil {
			t.Fatal(err)
		}
		picked, err := choose(units, c, options{root: root, since: "HEAD"})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, u := range picked {
			names = append(names, u.name)
		}
		return names
	}
	if got := changed(); len(got) > 0 {
		t.Errorf("nothing has changed, but %v is picked", got)
	}
	write("store/b.sql.go", query("B", "false"))
	write("store/e.sql.go", query("E", "true"))
	write("routines/d.sql", routine("d", "false"))
	if got, want := changed(), []string{"B", "E", "d"}; !slices.Equal(got, want) {
		t.Errorf("%v is picked, not %v", got, want)
	}
}
