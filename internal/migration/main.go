// Command migration keeps the files of migrations/ and routines/. It runs in the repository's root, needs no database, and has
// three subcommands:
//
//	check            fails if a file that has landed was changed, renamed or removed, if a file isn't listed in
//	                 migrations/migrations.sum, if one has a SET that outlives it, or if a routine differs from what the
//	                 migrations make of it
//	sums             adds the new files to migrations.sum; it never touches a line that is there
//	routine [name…]  writes the next migration, which carries the routines that have changed: those named, or all. To write
//	                 one anew that hasn't landed, delete it first: the new one gets its number
//
// A file has landed once it is listed. As long as no release has it, a file may still be changed: delete its line by hand,
// and say in the commit why databases that have it may be made anew. tools/previous-release.sh refuses that for a file that a
// release has.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

func main() {
	if err := run(".", os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "migration:", err)
		os.Exit(1)
	}
}

func run(root string, args []string, out io.Writer) error {
	t := tree{migrations: filepath.Join(root, "migrations"), routines: filepath.Join(root, "routines")}
	switch {
	case len(args) == 1 && args[0] == "check":
		return t.check()
	case len(args) == 1 && args[0] == "sums":
		return t.addSums(out)
	case len(args) >= 1 && args[0] == "routine":
		return t.writeRoutines(args[1:], out)
	default:
		return errors.New("usage: migration check | sums | routine [name…]")
	}
}

// tree is where the files are.
type tree struct{ migrations, routines string }

func (t tree) check() error {
	problems, err := t.checkSums()
	if err != nil {
		return err
	}
	lasting, err := t.lastingSettings()
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	problems = append(problems, lasting...)
	files, err := t.readMigrations()
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	changes, err := t.changedRoutines(files, nil)
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	for _, c := range changes {
		problems = append(problems, fmt.Errorf("routines/%s.sql: no migration carries it as it is: run `make routine NAME=%s`", c.name, c.name))
	}
	return errors.Join(problems...)
}

var (
	set      = regexp.MustCompile(`(?i)^(SET|RESET|DISCARD)\s`)
	setLocal = regexp.MustCompile(`(?i)^SET\s+(LOCAL|CONSTRAINTS)\s`)
)

// lastingSettings finds statements that change the session: what the next file makes would depend on whether it runs in the
// same one.
func (t tree) lastingSettings() ([]error, error) {
	files, err := t.readMigrations()
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, m := range files {
		parts, err := statements(string(m.text))
		if err != nil {
			return nil, fmt.Errorf("migrations/%s: %w", m.name, err)
		}
		for _, s := range parts {
			if set.MatchString(s) && !setLocal.MatchString(s) {
				problems = append(problems, fmt.Errorf("migrations/%s: %q outlives the file: use SET LOCAL", m.name, s))
			}
		}
	}
	return problems, nil
}

// migration is one file of migrations/.
type migration struct {
	version int
	name    string // of the file
	text    []byte
}

var fileName = regexp.MustCompile(`^(\d{5})_[a-z0-9_]+\.sql$`)

// readMigrations reads the files in order. They are numbered from 1 on, without gaps.
func (t tree) readMigrations() ([]migration, error) {
	files, _, err := t.readNumbered(false)
	return files, err
}

// readNumbered reads the files in order and says which number a new one gets: the one that is missing, if one may be, or the next.
func (t tree) readNumbered(oneMayBeMissing bool) (files []migration, free int, err error) {
	paths, err := filepath.Glob(filepath.Join(t.migrations, "*.sql"))
	if err != nil {
		return nil, 0, err
	}
	slices.Sort(paths)
	for i, path := range paths {
		m := migration{name: filepath.Base(path)}
		match := fileName.FindStringSubmatch(m.name)
		if match == nil {
			return nil, 0, fmt.Errorf("migrations/%s: the name is not NNNNN_what_it_does.sql", m.name)
		}
		if m.version, err = strconv.Atoi(match[1]); err != nil {
			return nil, 0, err
		}
		number := i + 1
		if free > 0 {
			number++
		}
		if oneMayBeMissing && free == 0 && m.version == number+1 {
			free = number
			number++
		}
		if m.version != number {
			return nil, 0, fmt.Errorf("migrations/%s: this is file %d; numbers go up by one", m.name, i+1)
		}
		if m.text, err = os.ReadFile(path); err != nil {
			return nil, 0, err
		}
		files = append(files, m)
	}
	if len(files) == 0 {
		return nil, 0, fmt.Errorf("no migrations in %s", t.migrations)
	}
	if free == 0 {
		free = len(files) + 1
	}
	return files, free, nil
}
