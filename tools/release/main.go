// Command release prepares and makes a release of the repository's modules, all of one version. Run it in a clone:
//
//	go run -C tools/release . -version v0.2.0 -require   # has the go.mod files require it
//	go run -C tools/release . -version v0.2.0            # says what isn't ready
//	go run -C tools/release . -version v0.2.0 -tag       # tags each module, for git push --tags
//	go run -C tools/release . -proxy DIR                 # writes a module proxy: GOPROXY=file://DIR
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"
)

const root = "github.com/oauthdb/oauthdb"

// published are the modules that others use, by folder. The rest is for work in the repository.
var published = []string{".", "adapters/fosite", "adapters/zitadel", "db/dbotel", "storetest", "tools/sqlmut"}

func main() {
	version := flag.String("version", "", "the release's `version`, such as v0.2.0")
	require := flag.Bool("require", false, "have the go.mod files require the version")
	tag := flag.Bool("tag", false, "tag each module")
	proxy := flag.String("proxy", "", "write a module proxy of the commit that is checked out to this `folder`")
	flag.Parse()
	if err := run(*version, *require, *tag, *proxy); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(version string, require, tag bool, proxy string) error {
	repository, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	r := &release{dir: repository}
	if proxy != "" {
		return r.proxy(proxy, "HEAD")
	}
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("%q is no version: -version v0.2.0", version)
	}
	if require {
		return r.require(version)
	}
	if err := r.check(version); err != nil {
		return err
	}
	for _, folder := range published {
		name := tagOf(folder, version)
		if !tag {
			fmt.Println("would tag", name)
		} else if _, err := git(r.dir, "tag", "-a", "-m", "oauthdb "+version, name); err != nil {
			return err
		}
	}
	if tag {
		fmt.Println("tagged; publish with: git push --follow-tags")
	}
	return nil
}

type release struct{ dir string }

// tagOf is the tag of a module in a folder of the repository (https://go.dev/ref/mod#vcs-version).
func tagOf(folder, version string) string {
	if folder == "." {
		return version
	}
	return folder + "/" + version
}

func pathOf(folder string) string {
	if folder == "." {
		return root
	}
	return root + "/" + folder
}

// modules reads the go.mod files that are under version control.
func (r *release) modules() (map[string]*modfile.File, error) {
	list, err := git(r.dir, "ls-files", "go.mod", "*/go.mod")
	if err != nil {
		return nil, err
	}
	files := map[string]*modfile.File{}
	for name := range strings.FieldsSeq(list) {
		if strings.Contains(name, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			return nil, err
		}
		f, err := modfile.Parse(name, text, nil)
		if err != nil {
			return nil, err
		}
		files[name] = f
	}
	return files, nil
}

func ours(path string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// required returns the version at which the modules require each other; it is an error if there are two.
func (r *release) required() (string, error) {
	files, err := r.modules()
	if err != nil {
		return "", err
	}
	found := ""
	for name, f := range files {
		for _, q := range f.Require {
			switch {
			case !ours(q.Mod.Path):
			case found == "" || found == q.Mod.Version:
				found = q.Mod.Version
			default:
				return "", fmt.Errorf("%s requires %s, and another go.mod %s: go run -C tools/release . -version … -require", name, q.Mod, found)
			}
		}
	}
	return found, nil
}

func (r *release) require(version string) error {
	files, err := r.modules()
	if err != nil {
		return err
	}
	for name, f := range files {
		for _, q := range f.Require {
			if ours(q.Mod.Path) {
				if err := f.AddRequire(q.Mod.Path, version); err != nil {
					return err
				}
			}
		}
		f.Cleanup()
		if err := os.WriteFile(filepath.Join(r.dir, name), modfile.Format(f.Syntax), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// check says all that isn't ready for a release of the version.
func (r *release) check(version string) error {
	var wrong []error
	if required, err := r.required(); err != nil {
		wrong = append(wrong, err)
	} else if required != version {
		wrong = append(wrong, fmt.Errorf("the go.mod files require %s: go run -C tools/release . -version %s -require", required, version))
	}
	log, err := os.ReadFile(filepath.Join(r.dir, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	heading := regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(strings.TrimPrefix(version, "v")) + `\] - (\S+)$`)
	if m := heading.FindSubmatch(log); m == nil {
		wrong = append(wrong, fmt.Errorf("CHANGELOG.md has no heading ## [%s] - and the day", strings.TrimPrefix(version, "v")))
	} else if _, err := time.Parse(time.DateOnly, string(m[1])); err != nil {
		wrong = append(wrong, fmt.Errorf("CHANGELOG.md: %s is no day: %w", m[1], err))
	}
	if newest, err := filepath.Glob(filepath.Join(r.dir, "migrations", "[0-9]*.sql")); err != nil || len(newest) == 0 {
		wrong = append(wrong, errors.Join(errors.New("there are no migrations"), err))
	} else {
		number, _, _ := strings.Cut(filepath.Base(newest[len(newest)-1]), "_")
		if _, err := os.Stat(filepath.Join(r.dir, "internal", "storetests", "upgrade", "testdata", number+".jsonl")); err != nil {
			wrong = append(wrong, fmt.Errorf("later releases have no rows of this one to migrate: make upgrade WRITE=1: %w", err))
		}
	}
	if status, err := git(r.dir, "status", "--porcelain"); err != nil {
		return err
	} else if status != "" {
		wrong = append(wrong, fmt.Errorf("there are changes that are not committed:\n%s", status))
	}
	for _, folder := range published {
		if _, err := git(r.dir, "rev-parse", "-q", "--verify", "refs/tags/"+tagOf(folder, version)); err == nil {
			wrong = append(wrong, fmt.Errorf("there is a tag %s already", tagOf(folder, version)))
		}
	}
	return errors.Join(wrong...)
}

// proxy writes the published modules as the version that the go.mod files require, as a module proxy serves them
// (https://go.dev/ref/mod#goproxy-protocol). What is in revision counts.
func (r *release) proxy(to, revision string) error {
	version, err := r.required()
	if err != nil {
		return err
	}
	tree, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if _, err := git(r.dir, "--work-tree="+tree, "restore", "--source="+revision, "--worktree", ":/"); err != nil {
		return err
	}
	for _, folder := range published {
		m := module.Version{Path: pathOf(folder), Version: version}
		escaped, err := module.EscapePath(m.Path)
		if err != nil {
			return err
		}
		dir := filepath.Join(to, filepath.FromSlash(escaped), "@v")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		mod, err := os.ReadFile(filepath.Join(tree, folder, "go.mod"))
		if err != nil {
			return err
		}
		info := fmt.Sprintf(`{"Version":%q,"Time":"2006-01-02T15:04:05Z"}`, version)
		for name, text := range map[string]string{"list": version + "\n", version + ".info": info, version + ".mod": string(mod)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		if err := archive(filepath.Join(dir, version+".zip"), m, filepath.Join(tree, folder)); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	return nil
}

func archive(name string, m module.Version, dir string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return zip.CreateFromDir(f, m, dir)
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
