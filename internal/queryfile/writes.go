package queryfile

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	lineComment = regexp.MustCompile(`(?m)--.*$`)
	writes      = regexp.MustCompile(`\b(INSERT INTO|UPDATE\s+\S+\s+AS|DELETE FROM)\b`)
	plainInsert = regexp.MustCompile(`(?s)^\s*INSERT INTO [^;]*\bVALUES\b`)
	finds       = regexp.MustCompile(`\b(ON CONFLICT|FROM|UPDATE|DELETE)\b`)
)

// ConditionalWrites names the queries of a directory that write by what they find, be it in a function of routines. A plain INSERT of new
// values finds nothing: of two with the same key, its constraint refuses one.
func ConditionalWrites(queries, routines string) ([]string, error) {
	all, err := ReadDir(queries)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(routines, "*.sql"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no routine in %s", routines)
	}
	inside := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		inside[strings.TrimSuffix(filepath.Base(file), ".sql")] = lineComment.ReplaceAllString(string(text), "")
	}
	calls := func(string) bool { return false }
	var writing []string
	for grown := true; grown; {
		grown = false
		for name, sql := range inside {
			if !slices.Contains(writing, name) && (writes.MatchString(sql) || calls(sql)) {
				writing, grown = append(writing, name), true
			}
		}
		pattern := regexp.MustCompile(`\b(` + strings.Join(writing, "|") + `)\(`)
		calls = func(sql string) bool { return len(writing) > 0 && pattern.MatchString(sql) }
	}
	var names []string
	for _, q := range all {
		sql := lineComment.ReplaceAllString(q.SQL, "")
		if (writes.MatchString(sql) || calls(sql)) && !(plainInsert.MatchString(sql) && !finds.MatchString(sql)) {
			names = append(names, q.Name)
		}
	}
	return names, nil
}
