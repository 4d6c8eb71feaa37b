package main

import (
	"encoding/json"
	"fmt"
	"strings"

	pgquery "github.com/wasilibs/go-pgquery/parser"
)

// countTree counts in the parser's tree of a unit what operators look for.
func countTree(u unit) (counts, error) {
	var c counts
	if !u.plpgsql {
		sql := u.sql
		if u.isRoutine {
			sql = u.sql[u.body[0]:u.body[1]]
		}
		statements, err := parseSQL(sql)
		if err != nil && u.isRoutine { // RETURN expression
			statements, err = parseSQL("SELECT " + sql)
		}
		for _, s := range statements {
			c.visit(s.node)
		}
		return c, err
	}
	expressions, err := plpgsqlExpressions(u.sql)
	if err != nil {
		return c, err
	}
	for _, e := range expressions {
		statements, err := parseSQL(e)
		if err != nil {
			if _, value, ok := strings.Cut(e, ":="); ok {
				e = value
			}
			if statements, err = parseSQL("SELECT " + e); err != nil {
				return c, err
			}
		}
		for _, s := range statements {
			c.visit(s.node)
		}
	}
	return c, nil
}

// plpgsqlExpressions are the expressions and statements of a function in PL/pgSQL.
func plpgsqlExpressions(create string) ([]string, error) {
	document, err := pgquery.ParsePlPgSqlToJSON(create)
	if err != nil {
		return nil, err
	}
	var node any
	if err := json.Unmarshal([]byte(document), &node); err != nil {
		return nil, err
	}
	var found []string
	var visit func(node any)
	visit = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, n := range node {
				visit(n)
			}
		case map[string]any:
			if query := textAt(node, "PLpgSQL_expr", "query"); query != "" {
				found = append(found, query)
				return
			}
			for _, n := range node {
				visit(n)
			}
		}
	}
	visit(node)
	return found, nil
}

func (c *counts) visit(node any) {
	switch node := node.(type) {
	case []any:
		for _, n := range node {
			c.visit(n)
		}
	case map[string]any:
		for key, child := range node {
			c.count(key, child)
			c.visit(child)
		}
	}
}

func (c *counts) count(key string, child any) {
	o, isObject := child.(map[string]any)
	if !isObject {
		return
	}
	length := func(field string) int {
		list, _ := o[field].([]any)
		return len(list)
	}
	switch key {
	case "BoolExpr":
		switch o["boolop"] {
		case "AND_EXPR":
			c.and += length("args") - 1
		case "OR_EXPR":
			c.or += length("args") - 1
		case "NOT_EXPR":
			// x NOT IN (SELECT …) is one too
			if args := o["args"].([]any); textAt(args[0], "SubLink", "subLinkType") != "ANY_SUBLINK" {
				c.not++
			}
		}
	case "NullTest":
		c.nullTests++
	case "A_Expr":
		if o["kind"] != "AEXPR_OP" {
			return
		}
		names := o["name"].([]any)
		switch textAt(names[len(names)-1], "String", "sval") {
		case "=", "<", "<=", ">", ">=":
			c.comparisons++
		}
	case "CaseExpr":
		c.whens += length("args")
	case "CoalesceExpr", "MinMaxExpr":
		c.arguments += length("args")
	case "LockingClause":
		c.locks++
	case "SelectStmt", "larg", "rarg", "selectStmt":
		if o["limitCount"] != nil {
			c.limits++
		}
	case "UpdateStmt":
		c.sets += length("targetList")
	case "onConflictClause":
		c.sets += length("targetList")
	case "CommonTableExpr":
		for _, verb := range []string{"InsertStmt", "UpdateStmt", "DeleteStmt"} {
			if query, _ := o["ctequery"].(map[string]any); query[verb] != nil {
				c.writes++
			}
		}
	}
}

// changesOf are the mutants of a unit. It is an error if the tree of PostgreSQL's parser has more or fewer of what the operators look
// for than they have found: no mutant is left out in silence.
func changesOf(u unit, locks bool, notNull func(table, column string) bool) ([]change, error) {
	from, to := 0, len(u.sql)
	if u.isRoutine {
		from, to = u.body[0], u.body[1]
	}
	tokens, err := scan(u.sql[from:to], from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.name, err)
	}
	changes, found, err := mutants(u.sql, tokens, locks, notNull)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.name, err)
	}
	want, err := countTree(u)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.name, err)
	}
	if found != want {
		return nil, fmt.Errorf("%s: not understood: found %+v, but the parser has %+v", u.name, found, want)
	}
	return changes, nil
}
