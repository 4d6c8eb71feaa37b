package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	pgquery "github.com/wasilibs/go-pgquery/parser"

	"github.com/oauthdb/oauthdb/internal/plan"
)

// statements are the SQL statements that a function runs: of one in SQL its body, of one in PL/pgSQL each statement and expression, in
// the order in which they are written. A variable stands in them as a column would.
func statements(f plan.Function) ([]string, error) {
	switch f.Language {
	case "sql":
		return []string{f.Statement()}, nil
	case "plpgsql":
	default:
		return nil, fmt.Errorf("a function in %s: what it runs is not known", f.Language)
	}
	document, err := pgquery.ParsePlPgSqlToJSON(f.Definition)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var tree any
	if err := json.Unmarshal([]byte(document), &tree); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var found []string
	var visit func(node any)
	visit = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, n := range node {
				visit(n)
			}
		case object:
			if query := text(node, "PLpgSQL_expr", "query"); query != "" {
				found = append(found, query)
				return
			}
			keys := slices.Collect(maps.Keys(node))
			slices.SortFunc(keys, func(a, b string) int { return clause(a) - clause(b) })
			for _, k := range keys {
				if k != "datums" { // the variables, with their defaults
					visit(node[k])
				}
			}
		}
	}
	visit(tree)
	for i, s := range found {
		if _, err := pgquery.ParseToJSON(s); err == nil {
			continue
		}
		// an expression, or an assignment
		if _, value, ok := strings.Cut(s, ":="); ok {
			s = value
		}
		found[i] = "SELECT " + s
	}
	return found, nil
}

// clause orders what a control structure consists of as it is written.
func clause(key string) int {
	order := []string{"cond", "expr", "query", "then_body", "elsif_list", "else_body", "body"}
	return slices.Index(order, key)
}
