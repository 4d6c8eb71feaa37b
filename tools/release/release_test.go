package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// world is an empty machine but for a module proxy that has the release.
type world struct {
	*testing.T
	env     []string
	version string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	repository, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	r := &release{dir: repository}
	revision := "HEAD"
	if dirty, err := git(r.dir, "stash", "create"); err == nil && dirty != "" {
		revision = dirty // what is changed and not committed is tried as well
	}
	dir := t.TempDir()
	if err := r.proxy(filepath.Join(dir, "proxy"), revision); err != nil {
		t.Fatal(err)
	}
	version, err := r.required()
	if err != nil {
		t.Fatal(err)
	}
	goEnv := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	env := append(os.Environ(),
		"GOPROXY=file://"+filepath.Join(dir, "proxy")+",file://"+filepath.Join(goEnv("GOMODCACHE"), "cache", "download")+","+goEnv("GOPROXY"),
		"GOMODCACHE="+filepath.Join(dir, "mod"), "GOFLAGS=-modcacherw", "GONOSUMDB="+root, "GONOSUMCHECK=1", "GOSUMDB=off", "GOWORK=off",
		"GOBIN="+filepath.Join(dir, "bin"))
	return &world{T: t, env: env, version: version}
}

// run runs a command in a folder and returns what it says.
func (w *world) run(dir, name string, args ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, w.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// write writes a file that is formatted as Printf does.
func (w *world) write(name, format string, args ...any) {
	w.Helper()
	if err := os.WriteFile(name, fmt.Appendf(nil, format, args...), 0o644); err != nil {
		w.Fatal(err)
	}
}

// What a release has is what a stranger gets: each module by go get in a module of its own, and the command by go install.
func TestReleaseInstalls(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles everything from the start")
	}
	w := newWorld(t)
	uses := map[string][]string{
		root:                       {"store", "db", "migrations", "migrations/roles", "token", "registration", "oautherror"},
		root + "/adapters/fosite":  {""},
		root + "/adapters/zitadel": {""},
		root + "/db/dbotel":        {""},
		root + "/storetest":        {"", "contract"},
	}
	for _, folder := range published {
		module := pathOf(folder)
		if uses[module] == nil && module != root+"/tools/sqlmut" { // a command
			t.Errorf("%s is published, and no test uses it", module)
		}
	}
	for module, packages := range uses {
		t.Run(strings.TrimPrefix(module, root), func(t *testing.T) {
			w := &world{T: t, env: w.env, version: w.version}
			dir := t.TempDir()
			w.write(filepath.Join(dir, "go.mod"), "module example.com/user\n\ngo 1.26\n")
			var imports strings.Builder
			for _, p := range packages {
				fmt.Fprintf(&imports, "\t_ %q\n", strings.TrimSuffix(module+"/"+p, "/"))
			}
			w.write(filepath.Join(dir, "main.go"), "package main\n\nimport (\n%s)\n\nfunc main() {}\n", imports.String())
			w.run(dir, "go", "get", module+"@"+w.version)
			w.run(dir, "go", "mod", "tidy")
			w.run(dir, "go", "build", "-o", os.DevNull, ".")
			list := w.run(dir, "go", "list", "-m", "all")
			for line := range strings.Lines(list) {
				if strings.HasPrefix(line, root) && !strings.HasSuffix(strings.TrimSpace(line), " "+w.version) {
					t.Errorf("it comes with %s", line)
				}
			}
		})
	}
	t.Run("oauthdb", func(t *testing.T) {
		w := &world{T: t, env: w.env, version: w.version}
		dir := t.TempDir()
		w.run(dir, "go", "install", root+"/cmd/oauthdb@"+w.version)
		command := filepath.Join(w.bin(), "oauthdb")
		if said := w.run(dir, command, "version"); !strings.Contains(said, w.version) {
			t.Errorf("oauthdb version says %q, want %s", said, w.version)
		}
	})
	t.Run("sqlmut", func(t *testing.T) {
		w := &world{T: t, env: w.env, version: w.version}
		w.run(t.TempDir(), "go", "install", root+"/tools/sqlmut@"+w.version)
	})
	// The example is copied, not imported: a copy without its replace directives is built from the release.
	for _, example := range []string{"authserver", "tokenendpoint"} {
		t.Run(example, func(t *testing.T) {
			w := &world{T: t, env: w.env, version: w.version}
			dir := filepath.Join(t.TempDir(), example)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", example))); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(w.run(dir, "go", "mod", "edit", "-print")) {
				if _, of, found := strings.Cut(line, root); found && strings.Contains(line, "=>") {
					path, _, _ := strings.Cut(of, " ")
					w.run(dir, "go", "mod", "edit", "-dropreplace", root+path)
				}
			}
			w.run(dir, "go", "mod", "tidy")
			w.run(dir, "go", "build", "-o", os.DevNull, "./...")
		})
	}
}

func (w *world) bin() string {
	for _, e := range w.env {
		if dir, found := strings.CutPrefix(e, "GOBIN="); found {
			return dir
		}
	}
	w.Fatal("no GOBIN")
	return ""
}

// clone is a repository with two modules, in which nothing is released.
func clone(t *testing.T, requires, changelog string) *release {
	t.Helper()
	r := &release{dir: t.TempDir()}
	w := &world{T: t, env: append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull)}
	w.write(filepath.Join(r.dir, "go.mod"), "module %s\n", root)
	w.write(filepath.Join(r.dir, "CHANGELOG.md"), "%s", changelog)
	const rows = "internal/storetests/upgrade/testdata"
	for _, dir := range []string{"storetest", "migrations", rows} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"migrations/00001_first.sql", "migrations/00002_routines.sql", rows + "/00002.jsonl"} {
		w.write(filepath.Join(r.dir, name), "")
	}
	w.write(filepath.Join(r.dir, "storetest", "go.mod"), "module %s/storetest\n\nrequire %s %s\n\nreplace %s => ..\n", root, root, requires, root)
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "-A"},
		{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "first"},
	} {
		w.run(r.dir, "git", args...)
	}
	return r
}

func TestWhatIsNotReadyIsNotReleased(t *testing.T) {
	t.Parallel()
	const log = "# Changelog\n\n## [0.2.0] - 2026-12-01\n"
	for name, test := range map[string]struct {
		requires, changelog string
		change              func(r *release) error
		want                string
	}{
		"ready":            {requires: "v0.2.0", changelog: log},
		"an older version": {requires: "v0.1.0", changelog: log, want: "the go.mod files require v0.1.0"},
		"no entry":         {requires: "v0.2.0", changelog: "# Changelog\n\n## [Unreleased]\n", want: "CHANGELOG.md has no heading"},
		"no day":           {requires: "v0.2.0", changelog: "## [0.2.0] - soon\n", want: "soon is no day"},
		"a change": {requires: "v0.2.0", changelog: log, want: "not committed", change: func(r *release) error {
			return os.WriteFile(filepath.Join(r.dir, "new.go"), nil, 0o644)
		}},
		"a newer schema": {requires: "v0.2.0", changelog: log, want: "make upgrade WRITE=1", change: func(r *release) error {
			return os.WriteFile(filepath.Join(r.dir, "migrations", "00003_more.sql"), nil, 0o644)
		}},
		"a tag": {requires: "v0.2.0", changelog: log, want: "there is a tag storetest/v0.2.0 already", change: func(r *release) error {
			_, err := git(r.dir, "tag", "storetest/v0.2.0")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := clone(t, test.requires, test.changelog)
			if test.change != nil {
				if err := test.change(r); err != nil {
					t.Fatal(err)
				}
			}
			err := r.check("v0.2.0")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestModulesRequireOneVersion(t *testing.T) {
	t.Parallel()
	r := clone(t, "v0.1.0", "")
	if err := r.require("v0.2.0"); err != nil {
		t.Fatal(err)
	}
	if version, err := r.required(); err != nil || version != "v0.2.0" {
		t.Errorf("the modules require %s, %v", version, err)
	}
	here := &release{dir: "../.."}
	if version, err := here.required(); err != nil || version == "" {
		t.Errorf("the modules of the repository require %q: %v", version, err)
	}
}
