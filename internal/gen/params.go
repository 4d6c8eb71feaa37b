package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"go/format"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/internal/queryfile"
)

// glossary is what queries/parameters.txt says about the fields of Params types.
type glossary struct {
	comments map[string]string // by "Call.Name", "Name Type" or "Name"; an empty one stands for the column's
	order    map[string]int    // likewise, and of rest
	used     map[string]bool
}

const rest = "..."

func readGlossary(path string) (*glossary, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g := &glossary{comments: map[string]string{}, order: map[string]int{}, used: map[string]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, comment, found := strings.Cut(line, ":")
		if _, again := g.order[key]; !found && key != rest || again {
			return nil, fmt.Errorf("%s:%d: %q is not a name and a comment, or not the first of its name", path, n, line)
		}
		g.order[key] = n
		if key != rest {
			g.comments[key] = strings.TrimSpace(comment)
		}
	}
	return g, lines.Err()
}

// of returns the comment of a field, and its place; columns holds the comments of the table's columns.
func (g *glossary) of(call, name, goType string, columns map[string]string) (string, int, error) {
	place, comment := g.order[rest], ""
	for _, key := range []string{call + "." + name, name + " " + goType, name} {
		if _, found := g.comments[key]; found {
			g.used[key] = true
			place, comment = g.order[key], g.comments[key]
			break
		}
	}
	comment = cmp.Or(comment, columns[strings.ToLower(name)])
	if comment == "" {
		return "", 0, fmt.Errorf("%s.%s of type %s: no comment in queries/parameters.txt, and none of a column of its table", call, name, goType)
	}
	return comment, place, nil
}

// columnComments returns the comments of columns, by table and by the column's name without underscores.
func columnComments(ctx context.Context, db *sql.DB) (map[string]map[string]string, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT c.relname, replace(a.attname, '_', ''), d.description
		FROM pg_description AS d
		JOIN pg_class AS c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
		JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid
		WHERE c.relnamespace = 'public'::regnamespace`)
	if err != nil {
		return nil, fmt.Errorf("read comments: %w", err)
	}
	defer rows.Close()
	comments := map[string]map[string]string{}
	for rows.Next() {
		var table, column, comment string
		if err := rows.Scan(&table, &column, &comment); err != nil {
			return nil, fmt.Errorf("read comments: %w", err)
		}
		if comments[table] == nil {
			comments[table] = map[string]string{}
		}
		comments[table][column] = comment
	}
	return comments, rows.Err()
}

var (
	paramsType = regexp.MustCompile(`(?ms)^type (\w+)Params struct \{\n(.*?)^\}`)
	field      = regexp.MustCompile(`^\t([A-Z]\w*)\s+(\S.*)$`)
)

// arrange puts the fields of the Params types of what sqlc has written for one file of queries into order, with their comments.
func (g *glossary) arrange(text []byte, columns map[string]string) ([]byte, error) {
	var failed error
	text = paramsType.ReplaceAllFunc(text, func(declaration []byte) []byte {
		parts := paramsType.FindSubmatch(declaration)
		call := string(parts[1])
		type param struct {
			name, goType, comment string
			place                 int
		}
		var params []param
		for line := range strings.Lines(string(parts[2])) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, "\t//") || line == "" { // of an earlier run
				continue
			}
			f := field.FindStringSubmatch(line)
			if f == nil {
				failed = errors.Join(failed, fmt.Errorf("%sParams: what is %q?", call, line))
				continue
			}
			p := param{name: f[1], goType: f[2]}
			var err error
			p.comment, p.place, err = g.of(call, p.name, p.goType, columns)
			failed = errors.Join(failed, err)
			params = append(params, p)
		}
		slices.SortStableFunc(params, func(a, b param) int { return cmp.Compare(a.place, b.place) })
		var b bytes.Buffer
		fmt.Fprintf(&b, "type %sParams struct {\n", call)
		for _, p := range params {
			fmt.Fprintf(&b, "\t// %s\n\t%s %s\n", p.comment, p.name, p.goType)
		}
		b.WriteString("}")
		return b.Bytes()
	})
	if failed != nil {
		return nil, failed
	}
	return format.Source(text)
}

// callFiles renders what sqlc has written to dir for the files of queries, with the fields in order, and store/sql.go.
func callFiles(ctx context.Context, db *sql.DB, dir string) ([]output, error) {
	g, err := readGlossary("queries/parameters.txt")
	if err != nil {
		return nil, err
	}
	comments, err := columnComments(ctx, db)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sql.go"))
	if err != nil {
		return nil, err
	}
	var outputs []output
	var failed error
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		table, _ := strings.CutSuffix(filepath.Base(path), ".sql.go")
		text, err = g.arrange(text, comments[table])
		failed = errors.Join(failed, err)
		outputs = append(outputs, output{filepath.Join("store", filepath.Base(path)), text})
	}
	for key := range maps.Keys(g.comments) {
		if !g.used[key] {
			failed = errors.Join(failed, fmt.Errorf("queries/parameters.txt: there is no field for %q", key))
		}
	}
	if failed != nil {
		return nil, failed
	}
	statements, err := statementsFile()
	return append(outputs, output{"store/sql.go", statements}), err
}

// statementsFile renders store/sql.go: the calls' statements by name.
func statementsFile() ([]byte, error) {
	queries, err := queryfile.ReadDir("queries")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(`// Code generated from queries/ by "make generate". DO NOT EDIT.

package store

// SQL returns the statement of a call, such as "GetClient", with $1, $2 … for its parameters: to EXPLAIN it, or to find it in a log. It
// returns "" if there is no such call.
func SQL(call string) string { return statements[call] }

var statements = map[string]string{
`)
	for _, q := range queries {
		fmt.Fprintf(&b, "\t%q: %s,\n", q.Name, strings.ToLower(q.Name[:1])+q.Name[1:])
	}
	b.WriteString("}\n")
	return format.Source(b.Bytes())
}
