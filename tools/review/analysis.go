package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	pgquery "github.com/wasilibs/go-pgquery/parser"

	"github.com/oauthdb/oauthdb/internal/catalog"
)

// step is one thing that a statement does to rows, in the order in which it is written.
type step struct {
	do       string // select, insert, update, delete, lock, call
	table    string // without quotes; for a call, the function
	columns  []string
	conflict []string // of an insert: the columns that ON CONFLICT DO UPDATE sets; nil if it doesn't
	strength catalog.Strength
	by       string // of a lock: the clause
	wait     string
	within   string // the CTE
}

// analyze finds the steps of a statement.
func analyze(sql string) ([]step, error) {
	document, err := pgquery.ParseToJSON(sql)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var tree struct {
		Stmts []struct{ Stmt map[string]any }
	}
	if err := json.Unmarshal([]byte(document), &tree); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	if len(tree.Stmts) != 1 {
		return nil, fmt.Errorf("%d statements in one query", len(tree.Stmts))
	}
	var a analyzer
	a.walk(tree.Stmts[0].Stmt, scope{})
	if a.err != nil {
		return nil, a.err
	}
	return a.steps, nil
}

type analyzer struct {
	steps []step
	err   error
}

// scope is what a name may mean where a node stands.
type scope struct {
	ctes   []string
	within string
}

type object = map[string]any

// walk visits a node of the tree: JSON as libpg_query writes it, in which the node of a type is an object with one field,
// named as the type, except where the grammar leaves no choice.
func (a *analyzer) walk(node any, in scope) {
	switch node := node.(type) {
	case []any:
		for _, n := range node {
			a.walk(n, in)
		}
	case object:
		for _, key := range slices.Sorted(maps.Keys(node)) {
			child := node[key]
			switch key {
			case "SelectStmt":
				a.query(child.(object), in)
			case "InsertStmt", "UpdateStmt", "DeleteStmt":
				a.write(key, child.(object), in)
			case "MergeStmt":
				a.err = fmt.Errorf("MERGE is not known here")
			case "RangeVar":
				if t, ok := tableOf(child.(object), in); ok {
					a.steps = append(a.steps, step{do: "select", table: t, within: in.within})
				}
			case "FuncCall":
				a.walk(child, in)
				name := child.(object)["funcname"].([]any)
				a.steps = append(a.steps, step{do: "call", table: text(name[len(name)-1], "String", "sval"), within: in.within})
			default:
				a.walk(child, in)
			}
		}
	}
}

// fields visits some fields of a node, in that order.
func (a *analyzer) fields(node object, in scope, names ...string) {
	for _, n := range names {
		a.walk(node[n], in)
	}
}

// with visits the CTEs of a statement, and returns the scope of the rest of it.
func (a *analyzer) with(node object, in scope) scope {
	clause, ok := node["withClause"].(object)
	if !ok {
		return in
	}
	recursive, _ := clause["recursive"].(bool)
	list, _ := clause["ctes"].([]any)
	in.ctes = slices.Clone(in.ctes)
	for _, c := range list {
		cte := c.(object)["CommonTableExpr"].(object)
		name := cte["ctename"].(string)
		if recursive {
			in.ctes = append(in.ctes, name)
		}
		a.walk(cte["ctequery"], scope{ctes: slices.Clone(in.ctes), within: name})
		in.ctes = append(in.ctes, name)
	}
	return in
}

func (a *analyzer) query(node object, in scope) {
	in = a.with(node, in)
	for _, side := range []string{"larg", "rarg"} {
		if s, ok := node[side].(object); ok {
			a.query(s, in)
		}
	}
	a.fields(node, in, "fromClause", "targetList", "whereClause", "groupClause", "havingClause", "windowClause", "valuesLists",
		"sortClause", "limitOffset", "limitCount")
	clauses, _ := node["lockingClause"].([]any)
	for _, c := range clauses {
		a.lock(c.(object)["LockingClause"].(object), node["fromClause"], in)
	}
}

// lock adds the tables that a locking clause names, or all of the FROM clause if it names none.
func (a *analyzer) lock(clause object, from any, in scope) {
	l := step{do: "lock", within: in.within}
	switch s := clause["strength"]; s {
	case "LCS_FORKEYSHARE":
		l.strength = catalog.KeyShare
	case "LCS_FORSHARE":
		l.strength = catalog.Share
	case "LCS_FORNOKEYUPDATE":
		l.strength = catalog.NoKeyUpdate
	case "LCS_FORUPDATE":
		l.strength = catalog.Update
	default:
		a.err = fmt.Errorf("a locking clause of unknown strength %v", s)
		return
	}
	switch w := clause["waitPolicy"]; w {
	case "LockWaitSkip":
		l.wait = "SKIP LOCKED"
	case "LockWaitError":
		l.wait = "NOWAIT"
	}
	var names []string
	locked, _ := clause["lockedRels"].([]any)
	for _, r := range locked {
		names = append(names, r.(object)["RangeVar"].(object)["relname"].(string))
	}
	for _, r := range sources(from) {
		t, ok := tableOf(r, in)
		if !ok || (len(names) > 0 && !slices.Contains(names, aliasOf(r))) {
			continue
		}
		l.table, l.by = t, l.strength.String()
		if len(names) > 0 {
			l.by += " OF " + aliasOf(r)
		}
		a.steps = append(a.steps, l)
	}
}

// sources are the tables of a FROM clause, those of subqueries not included.
func sources(from any) []object {
	var found []object
	switch from := from.(type) {
	case []any:
		for _, f := range from {
			found = append(found, sources(f)...)
		}
	case object:
		if r, ok := from["RangeVar"].(object); ok {
			return []object{r}
		}
		if j, ok := from["JoinExpr"].(object); ok {
			return append(sources(j["larg"]), sources(j["rarg"])...)
		}
	}
	return found
}

func (a *analyzer) write(kind string, node object, in scope) {
	in = a.with(node, in)
	s := step{do: strings.ToLower(strings.TrimSuffix(kind, "Stmt")), within: in.within}
	s.table, _ = node["relation"].(object)["relname"].(string)
	switch kind {
	case "InsertStmt":
		s.columns = targets(node["cols"])
		a.fields(node, in, "selectStmt")
		if c, ok := node["onConflictClause"].(object); ok {
			if c["action"] == "ONCONFLICT_UPDATE" {
				s.conflict = targets(c["targetList"])
			}
			a.fields(c, in, "targetList", "whereClause")
		}
	case "UpdateStmt":
		s.columns = targets(node["targetList"])
		a.fields(node, in, "fromClause", "whereClause", "targetList")
	case "DeleteStmt":
		a.fields(node, in, "usingClause", "whereClause")
	}
	a.steps = append(a.steps, s)
	a.fields(node, in, "returningList")
}

// targets are the columns that a list of assignments names.
func targets(list any) []string {
	var names []string
	items, _ := list.([]any)
	for _, t := range items {
		names = append(names, text(t, "ResTarget", "name"))
	}
	return names
}

// tableOf is the table that a reference means, if it does not mean a CTE.
func tableOf(r object, in scope) (string, bool) {
	name, _ := r["relname"].(string)
	if _, qualified := r["schemaname"]; !qualified && slices.Contains(in.ctes, name) {
		return "", false
	}
	return name, true
}

func aliasOf(r object) string {
	if alias, ok := r["alias"].(object); ok {
		return alias["aliasname"].(string)
	}
	return r["relname"].(string)
}

// text is the string at the end of a path of fields.
func text(node any, path ...string) string {
	for _, p := range path {
		o, _ := node.(object)
		node = o[p]
	}
	s, _ := node.(string)
	return s
}
