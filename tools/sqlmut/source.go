package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pgquery "github.com/wasilibs/go-pgquery/parser"
)

// unit is what is mutated on its own: a query as sqlc sends it, or a function of the database.
type unit struct {
	name       string
	file       string
	isRoutine  bool
	sql        string   // the statement that is sent, or the CREATE FUNCTION
	parameters []string // of a query: what $1, $2 … are called
	body       [2]int   // of a routine: where its statements begin and end in sql
	plpgsql    bool
}

// tree is a state of the project: its files now, or at a revision.
type tree interface {
	list(dir string) ([]string, error)
	read(name string) ([]byte, error)
}

type workTree struct{ root string }

func (t workTree) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(t.root, dir))
	var names []string
	for _, e := range entries {
		names = append(names, path.Join(dir, e.Name()))
	}
	return names, err
}

func (t workTree) read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(t.root, name)) }

type revision struct{ root, rev string }

func (t revision) git(args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = t.root
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("git %s: %s", strings.Join(args, " "), bytes.TrimSpace(failed.Stderr))
	}
	return out, err
}

func (t revision) list(dir string) ([]string, error) {
	out, err := t.git("ls-tree", "--name-only", t.rev, dir+"/")
	return strings.Fields(string(out)), err
}

func (t revision) read(name string) ([]byte, error) { return t.git("show", t.rev+":./"+name) }

// readUnits reads the queries that sqlc wrote into Go files, and the functions of .sql files.
func readUnits(t tree, c config) ([]unit, error) {
	var all []unit
	for _, dir := range c.Queries {
		err := eachFile(t, dir, ".go", func(name string, content []byte) error {
			if strings.HasSuffix(name, "_test.go") {
				return nil
			}
			units, err := readQueries(name, content)
			all = append(all, units...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, dir := range c.Routines {
		err := eachFile(t, dir, ".sql", func(name string, content []byte) error {
			units, err := readRoutines(name, string(content))
			all = append(all, units...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	seen := map[string]string{}
	for _, u := range all {
		if seen[u.name] != "" {
			return nil, fmt.Errorf("%s is in %s and in %s", u.name, seen[u.name], u.file)
		}
		seen[u.name] = u.file
	}
	return all, nil
}

func eachFile(t tree, dir, extension string, f func(name string, content []byte) error) error {
	names, err := t.list(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if path.Ext(name) != extension {
			continue
		}
		content, err := t.read(name)
		if err != nil {
			return err
		}
		if err := f(name, content); err != nil {
			return err
		}
	}
	return nil
}

var queryName = regexp.MustCompile(`^-- name: (\w+) :\w+`)

// readQueries finds the constants that sqlc writes, and the names of their parameters.
func readQueries(file string, content []byte) ([]unit, error) {
	f, err := parser.ParseFile(gotoken.NewFileSet(), file, content, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []unit
	arguments := map[string][]string{} // of each method that runs a query, after the context and the SQL
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind != gotoken.STRING {
				break
			}
			text, err := strconv.Unquote(n.Value)
			if err != nil {
				break
			}
			if m := queryName.FindStringSubmatch(text); m != nil {
				found = append(found, unit{name: m[1], file: file, sql: text})
			}
		case *ast.FuncDecl:
			if n.Recv == nil || n.Body == nil {
				break
			}
			ast.Inspect(n.Body, func(inner ast.Node) bool {
				call, ok := inner.(*ast.CallExpr)
				if !ok || len(call.Args) < 2 {
					return true
				}
				if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(runners, s.Sel.Name) && arguments[n.Name.Name] == nil {
					for _, a := range call.Args[2:] {
						arguments[n.Name.Name] = append(arguments[n.Name.Name], nameOf(a))
					}
				}
				return true
			})
		}
		return true
	})
	for i, u := range found {
		found[i].parameters = arguments[u.name]
	}
	return found, nil
}

// runners are the methods by which the code of sqlc runs a query, for pgx and for database/sql.
var runners = []string{"Query", "QueryRow", "Exec", "QueryContext", "QueryRowContext", "ExecContext"}

// nameOf is what a query's argument is called: X for arg.X, x for x, and both also in pq.Array(x).
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			return nameOf(e.Args[len(e.Args)-1])
		}
	}
	return ""
}

// readRoutines finds the statements of a file that create a function in SQL or PL/pgSQL.
func readRoutines(file, content string) ([]unit, error) {
	statements, err := parseSQL(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var found []unit
	for _, s := range statements {
		create, ok := s.node["CreateFunctionStmt"].(map[string]any)
		if !ok {
			continue
		}
		names := create["funcname"].([]any)
		u := unit{name: textAt(names[len(names)-1], "String", "sval"), file: file, isRoutine: true, sql: content[s.start:s.end]}
		options, _ := create["options"].([]any)
		for _, o := range options {
			d := o.(map[string]any)["DefElem"].(map[string]any)
			if d["defname"] == "language" {
				u.plpgsql = textAt(d, "arg", "String", "sval") == "plpgsql"
			}
		}
		if u.body, err = bodyOf(u.sql); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, u.name, err)
		}
		found = append(found, u)
	}
	return found, nil
}

// bodyOf finds the statements of a function: what is between dollar quotes, or between BEGIN ATOMIC and END.
func bodyOf(sql string) ([2]int, error) {
	tokens, err := scan(sql, 0)
	if err != nil {
		return [2]int{}, err
	}
	for i, t := range tokens {
		switch {
		case isDollarQuoted(t.word):
			tag := strings.Index(t.word[1:], "$") + 2
			return [2]int{t.start + tag, t.end - tag}, nil
		case t.word == "atomic" && i > 0 && tokens[i-1].word == "begin":
			return [2]int{t.end, tokens[len(tokens)-1].start}, nil
		case t.word == "return" && i > 0:
			return [2]int{t.end, len(sql)}, nil
		}
	}
	return [2]int{}, errors.New("no body between dollar quotes, and no BEGIN ATOMIC")
}

// parsedStatement is a statement of a text, in the parser's tree.
type parsedStatement struct {
	start, end int
	node       map[string]any
}

func parseSQL(sql string) ([]parsedStatement, error) {
	document, err := pgquery.ParseToJSON(sql)
	if err != nil {
		return nil, err
	}
	var tree struct {
		Stmts []struct {
			Stmt map[string]any
			At   int `json:"stmt_location"`
			Len  int `json:"stmt_len"`
		}
	}
	if err := json.Unmarshal([]byte(document), &tree); err != nil {
		return nil, err
	}
	var found []parsedStatement
	for _, s := range tree.Stmts {
		end := len(sql)
		if s.Len > 0 {
			end = s.At + s.Len
		}
		start := s.At
		for start < end && strings.ContainsRune(" \t\r\n", rune(sql[start])) {
			start++
		}
		found = append(found, parsedStatement{start, end, s.Stmt})
	}
	return found, nil
}

// textAt is the string at the end of a path of fields.
func textAt(node any, path ...string) string {
	for _, p := range path {
		o, _ := node.(map[string]any)
		node = o[p]
	}
	s, _ := node.(string)
	return s
}
