package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// sum is a line of migrations.sum, which is in the format of sha256sum: digest, two spaces, name.
type sum struct{ digest, name string }

var sumLine = regexp.MustCompile(`^([0-9a-f]{64})  (\S+)$`)

func (t tree) sumsPath() string { return filepath.Join(t.migrations, "migrations.sum") }

// readSums reads the lines, none if there is no file.
func (t tree) readSums() ([]sum, error) {
	text, err := os.ReadFile(t.sumsPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var sums []sum
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		match := sumLine.FindStringSubmatch(line)
		if match == nil {
			return nil, fmt.Errorf("migrations.sum, line %d: want a SHA-256, two spaces and a name", i+1)
		}
		sums = append(sums, sum{digest: match[1], name: match[2]})
	}
	return sums, nil
}

func sumOf(m migration) sum {
	return sum{digest: fmt.Sprintf("%x", sha256.Sum256(m.text)), name: m.name}
}

// landed compares the lines with the files that they are of, and returns the files that have no line.
func (t tree) landed() (added []sum, problems []error, err error) {
	files, err := t.readMigrations()
	if err != nil {
		return nil, nil, err
	}
	sums, err := t.readSums()
	if err != nil {
		return nil, nil, err
	}
	var present []sum
	for _, m := range files {
		present = append(present, sumOf(m))
	}
	for i, s := range sums {
		if i > 0 && s.name <= sums[i-1].name {
			problems = append(problems, fmt.Errorf("migrations.sum: %s comes after %s; lines are only ever added at the end", s.name, sums[i-1].name))
		}
		at := slices.IndexFunc(present, func(p sum) bool { return p.name == s.name })
		switch {
		case at >= 0 && present[at].digest == s.digest:
		case at >= 0:
			problems = append(problems, fmt.Errorf("migrations/%s has changed since it landed: restore it, and write a migration that changes what it made", s.name))
		default:
			if renamed := slices.IndexFunc(present, func(p sum) bool { return p.digest == s.digest }); renamed >= 0 {
				problems = append(problems, fmt.Errorf("migrations/%s has landed and is now %s: restore its name", s.name, present[renamed].name))
			} else {
				problems = append(problems, fmt.Errorf("migrations/%s has landed and is gone: restore it", s.name))
			}
		}
	}
	for _, p := range present {
		if slices.ContainsFunc(sums, func(s sum) bool { return s.name == p.name }) {
			continue
		}
		if len(sums) > 0 && p.name < sums[len(sums)-1].name {
			problems = append(problems, fmt.Errorf("migrations/%s is new, but comes before %s, which has landed: number it after that", p.name, sums[len(sums)-1].name))
			continue
		}
		added = append(added, p)
	}
	return added, problems, nil
}

func (t tree) checkSums() ([]error, error) {
	added, problems, err := t.landed()
	for _, s := range added {
		problems = append(problems, fmt.Errorf("migrations/%s is not in migrations.sum: run `make sums` when it is ready to land", s.name))
	}
	return problems, err
}

// addSums adds lines for new files at the end. If anything is wrong with the others it does nothing.
func (t tree) addSums(out io.Writer) error {
	added, problems, err := t.landed()
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	if len(added) == 0 {
		fmt.Fprintln(out, "migrations.sum lists every file")
		return nil
	}
	text, err := os.ReadFile(t.sumsPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	b := bytes.NewBuffer(text)
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		b.WriteByte('\n')
	}
	for _, s := range added {
		fmt.Fprintf(b, "%s  %s\n", s.digest, s.name)
	}
	if err := os.WriteFile(t.sumsPath(), b.Bytes(), 0o644); err != nil {
		return err
	}
	for _, s := range added {
		fmt.Fprintln(out, "added", s.name)
	}
	return nil
}
