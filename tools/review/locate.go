package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// migrationFiles are the texts of the migrations, in order.
type migrationFiles []struct{ path, text string }

func readMigrations(root string) (migrationFiles, error) {
	paths, err := filepath.Glob(filepath.Join(root, "migrations", "*.sql"))
	if err != nil {
		return nil, err
	}
	var files migrationFiles
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		files = append(files, struct{ path, text string }{"migrations/" + filepath.Base(p), string(text)})
	}
	return files, nil
}

var creates = regexp.MustCompile(`(?i)^\s*(?:CREATE|ALTER)\s+(?:TABLE|TYPE|DOMAIN|FUNCTION)\s+(?:ONLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"?(\w+)"?`)

// where is the place at which a migration makes an object or, if column is not empty, a column of a table; the folder, if it
// is not found.
func (files migrationFiles) where(object, column string) string {
	add := regexp.MustCompile(`(?i)(?:^|,|ADD(?:\s+COLUMN)?(?:\s+IF\s+NOT\s+EXISTS)?)\s*"?` + regexp.QuoteMeta(column) + `"?\s+\w`)
	for _, f := range files {
		up, _, _ := strings.Cut(f.text, "-- +goose Down")
		current := ""
		for i, l := range strings.Split(up, "\n") {
			if m := creates.FindStringSubmatch(l); m != nil {
				current = m[1]
				if current == object && column == "" {
					return fmt.Sprintf("%s:%d", f.path, i+1)
				}
			}
			if current == object && column != "" && add.MatchString(strings.TrimSpace(l)) {
				return fmt.Sprintf("%s:%d", f.path, i+1)
			}
			if strings.HasSuffix(strings.TrimSpace(l), ";") {
				current = ""
			}
		}
	}
	return "migrations/"
}
