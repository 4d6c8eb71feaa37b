package plan

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/queryfile"
)

// Statement is something that the data layer makes PostgreSQL plan.
type Statement struct {
	Name string   // of the query, "function f", or "ON DELETE of foreign_key"
	Text string   // with $1, $2 ...
	Args []string // what is passed for $1, $2 ...: to a query, the last word of a Go selector, "ClientID"; to a function, its parameters
}

// Queries reads the queries out of the Go files that sqlc wrote into dir: what is run in production, to the letter.
func Queries(dir string) ([]Statement, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql.go"))
	if err != nil {
		return nil, err
	}
	var found []Statement
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		args := map[string][]string{}
		ast.Inspect(file, func(n ast.Node) bool {
			// q.db.QueryRow(ctx, name, arg.ClientID, ...)
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := method.X.(*ast.SelectorExpr); !ok || on.Sel.Name != "db" {
				return true
			}
			if query, ok := call.Args[1].(*ast.Ident); ok {
				for _, a := range call.Args[2:] {
					args[strings.ToLower(query.Name)] = append(args[strings.ToLower(query.Name)], lastWord(a))
				}
			}
			return true
		})
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.ValueSpec)
				literal, ok := spec.Values[0].(*ast.BasicLit)
				if !ok {
					continue
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				if name, _, body := queryfile.Header(text); name != "" {
					found = append(found, Statement{Name: name, Text: strings.TrimSpace(body), Args: args[strings.ToLower(name)]})
				}
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no query in %s", dir)
	}
	return found, nil
}

func lastWord(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// Actions lists what foreign keys do to the referring rows when the row that they refer to is deleted.
func Actions(ctx context.Context, conn Querier) ([]Statement, error) {
	rows, err := conn.Query(ctx, `
		SELECT format('ON DELETE of %s', n.conname),
			CASE n.confdeltype
				WHEN 'c' THEN format('DELETE FROM ONLY %s WHERE %s', n.conrelid::regclass, w.condition)
				WHEN 'n' THEN format('UPDATE ONLY %s SET %s WHERE %s', n.conrelid::regclass, w.nulls, w.condition)
				WHEN 'd' THEN format('UPDATE ONLY %s SET %s WHERE %s', n.conrelid::regclass, w.defaults, w.condition)
				ELSE format('SELECT FROM ONLY %s WHERE %s FOR KEY SHARE', n.conrelid::regclass, w.condition)
			END
		FROM pg_constraint AS n
		CROSS JOIN LATERAL (
			SELECT string_agg(format('%I = $%s::%s', a.attname, k.n, format_type(a.atttypid, a.atttypmod)), ' AND ' ORDER BY k.n) AS condition,
				string_agg(format('%I = NULL', a.attname), ', ' ORDER BY k.n) AS nulls,
				string_agg(format('%I = DEFAULT', a.attname), ', ' ORDER BY k.n) AS defaults
			FROM unnest(n.conkey) WITH ORDINALITY AS k (attnum, n)
			JOIN pg_attribute AS a ON a.attrelid = n.conrelid AND a.attnum = k.attnum
		) AS w
		WHERE n.connamespace = 'public'::regnamespace AND n.contype = 'f'
		ORDER BY n.conname COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("read foreign keys: %w", err)
	}
	actions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Statement, err error) {
		return s, row.Scan(&s.Name, &s.Text)
	})
	if err != nil {
		return nil, fmt.Errorf("read foreign keys: %w", err)
	}
	return actions, nil
}

// Function is a function of the schema.
type Function struct {
	Name     string
	Language string
	Args     []string // names
	ArgTypes []string
	OfRows   bool   // takes whole rows of tables
	Body     string // the source: as it was written, or as PostgreSQL has parsed it
	// Definition is the whole CREATE OR REPLACE FUNCTION.
	Definition string
}

// Explainable says whether the body is one statement that can be explained by itself. That of a function in another language is
// several; and a function of whole rows reads nothing but them, and is inlined.
func (f Function) Explainable() bool { return f.Language == "sql" && !f.OfRows }

// Functions reads the functions of the schema, in the order of their names.
func Functions(ctx context.Context, conn Querier) ([]Function, error) {
	rows, err := conn.Query(ctx, `
		SELECT p.proname::text, l.lanname::text, coalesce(p.proargnames[:p.pronargs], '{}')::text[],
			ARRAY(SELECT format_type(t.oid, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS t (oid, n) ORDER BY t.n),
			EXISTS (SELECT FROM unnest(p.proargtypes) AS a (oid) JOIN pg_type AS t ON t.oid = a.oid WHERE t.typtype = 'c'),
			coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), pg_get_functiondef(p.oid)
		FROM pg_proc AS p
		JOIN pg_language AS l ON l.oid = p.prolang
		WHERE p.pronamespace = 'public'::regnamespace
			AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
		ORDER BY p.proname COLLATE "C", p.oid`)
	if err != nil {
		return nil, fmt.Errorf("read functions: %w", err)
	}
	functions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Function, err error) {
		return f, row.Scan(&f.Name, &f.Language, &f.Args, &f.ArgTypes, &f.OfRows, &f.Body, &f.Definition)
	})
	if err != nil {
		return nil, fmt.Errorf("read functions: %w", err)
	}
	return functions, nil
}

// Statement is the function's body with $1, $2 ... in place of its parameters' names.
func (f Function) Statement() string {
	number := map[string]int{}
	for i, a := range f.Args {
		if a != "" {
			number[a] = i + 1
		}
	}
	src := f.Body
	var b strings.Builder
	for i := 0; i < len(src); {
		end := i + 1
		switch c := rune(src[i]); {
		case strings.HasPrefix(src[i:], "--"):
			end = until(src, i, "\n")
		case c == '\'' || c == '"':
			end = until(src, i+1, string(c))
		case c == '_' || unicode.IsLetter(c):
			for end < len(src) && (src[end] == '_' || src[end] == '$' || unicode.IsLetter(rune(src[end])) || unicode.IsDigit(rune(src[end]))) {
				end++
			}
			qualified := i > 0 && src[i-1] == '.' || end < len(src) && src[end] == '.'
			if n := number[src[i:end]]; n > 0 && !qualified {
				fmt.Fprintf(&b, "$%d::%s", n, f.ArgTypes[n-1])
				i = end
				continue
			}
		}
		b.WriteString(src[i:end])
		i = end
	}
	text := strings.TrimSuffix(strings.TrimSpace(b.String()), ";")
	if expression, ok := strings.CutPrefix(text, "RETURN "); ok {
		return "SELECT " + expression
	}
	return text
}

// until returns the index behind the first mark at or after from.
func until(s string, from int, mark string) int {
	if n := strings.Index(s[from:], mark); n >= 0 {
		return from + n + len(mark)
	}
	return len(s)
}

// Querier asks the catalog: a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}
