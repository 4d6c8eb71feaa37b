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
	o := options{config: "testdata/project/sqlmut.yaml", cache: cache, workers: 2, budget: time.Minute}
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
	if score := regexp.MustCompile(`(?m)^ +all +25 +21 +0 +1 +3 +0$`); !score.MatchString(out) {
		t.Errorf("the score is not 25 mutants, 21 killed, 1 equivalent and 3 survivors:\n%s", out)
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
