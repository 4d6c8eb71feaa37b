package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// previous runs tools/previous-release.sh in a clone of the repository, with HEAD for the release.
type previous struct {
	*testing.T
	dir string
}

func newPrevious(t *testing.T) *previous {
	t.Helper()
	repository, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	p := &previous{t, filepath.Join(t.TempDir(), "clone")}
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", "--shared", repository, p.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script, err := os.ReadFile(filepath.Join(repository, "tools", "previous-release.sh"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("tools/previous-release.sh", string(script)) // it may have changed since HEAD
	return p
}

func (p *previous) write(name, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o755); err != nil {
		p.Fatal(err)
	}
}

// read is a file of the clone.
func (p *previous) read(name string) string {
	p.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.Fatal(err)
	}
	return string(text)
}

// run says whether the script passes, and what it says.
func (p *previous) run(env ...string) (passes bool, said string) {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), "tools/previous-release.sh")
	// With -trimpath, what is compiled doesn't depend on the folder.
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), append([]string{"GOFLAGS=-trimpath", "PREVIOUS=HEAD"}, env...)...)
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

func TestPreviousReleaseIsCompared(t *testing.T) {
	t.Parallel()
	p := newPrevious(t)
	const first = "migrations/00001_identity.sql"
	text := p.read(first)
	for _, test := range []struct {
		name   string
		env    string
		change func()
		passes bool
		want   string
	}{
		{"the same", "", func() {}, true, "HEAD has this very schema"},
		{"no such revision", "PREVIOUS=v99.0.0", func() {}, false, "there is no revision v99.0.0"},
		{"a file was edited", "", func() { p.write(first, text+"\n") }, false, first + " is another one in HEAD"},
		{"a file is gone", "", func() { os.Remove(filepath.Join(p.dir, first)) }, false, first + " is in HEAD and gone here"},
	} {
		test.change()
		passes, said := p.run(test.env)
		if passes != test.passes || !strings.Contains(said, test.want) {
			t.Errorf("%s: passes %v, want %v\n%s", test.name, passes, test.passes, said)
		}
		p.write(first, text)
	}
}

// A migration that the servers of the previous release can't live with is found, and another one isn't.
func TestPreviousReleaseRunsOnTheNewSchema(t *testing.T) {
	t.Parallel()
	repository, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	url := exec.CommandContext(t.Context(), "go", "run", "./cmd/oauthdb", "url", "-cluster", "test", "-database", "postgres")
	url.Dir = repository // a server in the clone would outlive it
	address, err := url.Output()
	if err != nil {
		t.Fatal(err)
	}
	p := newPrevious(t)
	const file = "migrations/99999_new.sql"
	for _, test := range []struct {
		name, sql string
		passes    bool
	}{
		{"a column that may be empty", "ALTER TABLE session ADD COLUMN device text;", true},
		{"one that has to be filled", "ALTER TABLE session ADD COLUMN device text; ALTER TABLE session ALTER COLUMN device SET NOT NULL;", false},
	} {
		p.write(file, "-- +goose Up\n"+test.sql+"\n\n-- +goose Down\nSELECT 1;\n")
		passes, said := p.run("DATABASE_URL="+strings.TrimSpace(string(address)), "TESTS=-vet=off ./fixture")
		if passes != test.passes || !strings.Contains(said, "the store of HEAD on the migrations of the working tree") {
			t.Errorf("%s: passes %v, want %v\n%s", test.name, passes, test.passes, said)
		}
	}
	if passes, said := p.run("DATABASE_URL="+strings.TrimSpace(string(address)), "TESTS=."); passes || !strings.Contains(said, "no test of the store in HEAD") {
		t.Errorf("a release without tests passes: %v\n%s", passes, said)
	}
}
