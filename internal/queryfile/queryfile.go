// Package queryfile parses queries that are written for sqlc: the files of queries/, and the first line of a statement of
// package store, which holds its name.
package queryfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Query is a query of a file.
type Query struct {
	File     string   // without its directory: "session.sql"
	Line     int      // of its name
	Name     string   // "GetSession"
	Cmd      string   // sqlc's command: one, many, exec, execrows
	Contract []string // the lines of the comment above the name, without the dashes; lists keep their indentation
	SQL      string   // from the line below the name to the end of the statement
}

// ReadDir reads the .sql files of a directory, in the order of their names. It is an error if there is no query.
func ReadDir(dir string) ([]Query, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	var all []Query
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		queries, err := Parse(filepath.Base(path), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, queries...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no query in %s", dir)
	}
	return all, nil
}

// Parse takes the text of a file apart. A comment that begins its line belongs to the query whose name stands right below it; it
// is an error if there is none, as it is if a name is malformed or a statement has no name.
func Parse(file, text string) ([]Query, error) {
	var found []Query
	var comment []string
	for i, line := range strings.Split(text, "\n") {
		fail := func(what string) error { return fmt.Errorf("%s:%d: %s", file, i+1, what) }
		line = strings.TrimRight(line, " \t\r")
		switch {
		case strings.HasPrefix(line, namePrefix):
			name, cmd, _ := Header(line)
			if name == "" || cmd == "" {
				return nil, fail("not a name and a command, as in '-- name: GetUser :one'")
			}
			found = append(found, Query{File: file, Line: i + 1, Name: name, Cmd: cmd, Contract: comment})
			comment = nil
		case strings.HasPrefix(line, "--"):
			comment = append(comment, strings.TrimPrefix(strings.TrimPrefix(line, "--"), " "))
		case comment != nil:
			return nil, fmt.Errorf("%s:%d: this comment stands above no query's name: indent it if it is a part of the statement", file, i)
		case len(found) > 0:
			found[len(found)-1].SQL += line + "\n"
		case line != "":
			return nil, fail("this statement has no name")
		}
	}
	if comment != nil {
		return nil, fmt.Errorf("%s: the comment at its end stands above no query's name", file)
	}
	for i := range found {
		if found[i].SQL = strings.TrimSpace(found[i].SQL); found[i].SQL == "" {
			return nil, fmt.Errorf("%s:%d: %s has no statement", file, found[i].Line, found[i].Name)
		}
	}
	return found, nil
}

const namePrefix = "-- name:"

// Header is what the first line of a statement tells, "-- name: GetUser :one": the name, the command without its colon, and the
// statement without that line. Where there is no such line, name and command are empty and rest is sql as it is; a command alone
// may be missing.
func Header(sql string) (name, cmd, rest string) {
	line, isNamed := strings.CutPrefix(strings.TrimLeft(sql, " \t\r\n"), namePrefix)
	if !isNamed {
		return "", "", sql
	}
	line, rest, _ = strings.Cut(line, "\n")
	name, cmd, _ = strings.Cut(strings.TrimSpace(line), " ")
	if name == "" || strings.ContainsFunc(name, notInName) {
		return "", "", sql
	}
	cmd, isCmd := strings.CutPrefix(strings.TrimSpace(cmd), ":")
	if !isCmd || strings.ContainsFunc(cmd, notInName) {
		cmd = ""
	}
	return name, cmd, rest
}

func notInName(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
