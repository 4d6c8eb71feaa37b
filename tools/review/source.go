package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// written is a query as it stands in queries/.
type written struct {
	file     string // session.sql
	line     int    // of its name
	name     string
	kind     string
	contract []string // the lines of the comment above, without the dashes
	sql      string
}

var nameLine = regexp.MustCompile(`^-- name: (\w+) :(\w+)\s*$`)

// readQueries reads the files of dir, in the order of their names.
func readQueries(dir string) ([]written, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	var all []written
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, splitQueries(filepath.Base(path), string(text))...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no query in %s", dir)
	}
	return all, nil
}

func splitQueries(file, text string) []written {
	lines := strings.Split(text, "\n")
	var found []written
	var starts []int // where the contract of each begins
	for i, l := range lines {
		m := nameLine.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		start := i
		for start > 0 && strings.HasPrefix(lines[start-1], "--") {
			start--
		}
		q := written{file: file, line: i + 1, name: m[1], kind: m[2]}
		for _, c := range lines[start:i] {
			q.contract = append(q.contract, strings.TrimSpace(strings.TrimLeft(c, "-")))
		}
		found = append(found, q)
		starts = append(starts, start)
	}
	for i := range found {
		end := len(lines)
		if i+1 < len(found) {
			end = starts[i+1]
		}
		found[i].sql = strings.TrimSpace(strings.Join(lines[found[i].line:end], "\n"))
	}
	return found
}
