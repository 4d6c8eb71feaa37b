package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/internal/queryfile"
)

func compare(a, b string) int { return cmp.Compare(a, b) }

// gather collects the facts of every query: from the files of the repository at root, from sqlc, from the generated Go, and
// from the reference database that conn is connected to.
func gather(ctx context.Context, conn *pgx.Conn, root string, s *schema) (*catalog.Catalog, []queryfile.Query, error) {
	queries, err := queryfile.ReadDir(root + "/queries")
	if err != nil {
		return nil, nil, err
	}
	compiled, err := compile(ctx, root)
	if err != nil {
		return nil, nil, err
	}
	goSource, err := readGo(root + "/store")
	if err != nil {
		return nil, nil, err
	}
	sent, err := plan.Queries(root + "/store")
	if err != nil {
		return nil, nil, err
	}
	c := &catalog.Catalog{PostgreSQL: plan.Reference}
	for _, w := range queries {
		sqlc, ok := compiled[w.Name]
		i := slices.IndexFunc(sent, func(s plan.Statement) bool { return s.Name == w.Name })
		if !ok || i < 0 || sent[i].Text != strings.TrimSpace(sqlc.Text) {
			return nil, nil, fmt.Errorf("queries/%s:%d: store/ does not have %s as it is written here: run `make generate` first", w.File, w.Line, w.Name)
		}
		q := catalog.Query{
			Name: w.Name, File: w.File, Kind: w.Cmd, Contract: strings.Join(w.Contract, "\n"), SQL: w.SQL, Statement: sent[i].Text,
		}
		if err := values(&q, sqlc, goSource, s); err != nil {
			return nil, nil, fmt.Errorf("queries/%s:%d: %w", w.File, w.Line, err)
		}
		if err := effects(&q, s, q.Statement, ""); err != nil {
			return nil, nil, fmt.Errorf("queries/%s:%d: %s: %w", w.File, w.Line, w.Name, err)
		}
		if err := plans(ctx, conn, &q, s); err != nil {
			return nil, nil, fmt.Errorf("queries/%s:%d: %s: %w", w.File, w.Line, w.Name, err)
		}
		for _, e := range plan.Exceptions {
			if e.Statement == w.Name {
				q.Exceptions = append(q.Exceptions, catalog.Exception{Rule: string(e.Rule), Reason: e.Reason})
			}
		}
		c.Queries = append(c.Queries, q)
	}
	return c, queries, nil
}

// values adds what goes in and what comes out.
func values(q *catalog.Query, sqlc compiled, source *goSource, s *schema) error {
	m, ok := source.methods[q.Name]
	if !ok {
		return fmt.Errorf("store.Queries has no method %s: run `make generate` first", q.Name)
	}
	q.Signature = m.signature
	for i, p := range sqlc.Params {
		typ, field, err := source.param(m, i, len(sqlc.Params))
		if err != nil {
			return err
		}
		q.Params = append(q.Params, catalog.Value{
			Name: p.Column.Name, Type: p.Column.sqlType(), Nullable: !p.Column.NotNull, Go: typ, Field: field,
		})
	}
	for i, c := range sqlc.Columns {
		if q.Kind != "one" && q.Kind != "many" {
			break
		}
		typ, field, err := source.result(m, i, len(sqlc.Columns))
		if err != nil {
			return err
		}
		v := catalog.Value{
			Name: c.Name, Type: c.sqlType(), Nullable: !c.NotNull && c.EmbedTable == nil, Go: typ, Field: field,
		}
		for _, e := range s.enums {
			if e.Name == v.Type {
				v.Values = e.Values
			}
		}
		q.Columns = append(q.Columns, v)
	}
	return nil
}

// effects adds what a statement reads, writes and locks, and what that sets off, each in the order of the statement. through
// is the function whose body the statement is, if it is one's.
func effects(q *catalog.Query, s *schema, statement, through string) error {
	steps, err := analyze(statement)
	if err != nil {
		return err
	}
	for _, step := range steps {
		t := s.table(step.table)
		if t == nil && step.do != "call" {
			return fmt.Errorf("there is no table %s", step.table)
		}
		at := place{within: step.within, through: through}
		switch step.do {
		case "select":
			addAccess(&q.Reads, catalog.Access{Table: t.Name, How: "select", Within: at.within, Through: at.through})
		case "lock":
			addLock(q, catalog.Lock{
				Table: t.Name, Strength: step.strength, By: step.by, Wait: step.wait, Within: at.within, Through: at.through,
			})
		case "insert":
			err = insert(q, s, t, step, at)
		case "update":
			err = update(q, s, t, step.columns, at)
		case "delete":
			err = remove(q, s, t, at)
		case "call":
			i := slices.IndexFunc(s.functions, func(f plan.Function) bool { return f.Name == step.table })
			if i < 0 || slices.Contains(q.Functions, step.table) {
				continue // PostgreSQL's own, or known already
			}
			q.Functions = append(q.Functions, step.table)
			err = runs(q, s, s.functions[i], "function "+step.table)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runs adds the effects of a function.
func runs(q *catalog.Query, s *schema, f plan.Function, through string) error {
	list, err := statements(f)
	for _, statement := range list {
		err = errors.Join(err, effects(q, s, statement, through))
	}
	if err != nil {
		return fmt.Errorf("function %s: %w", f.Name, err)
	}
	return nil
}

// place says where in a query something happens.
type place struct{ within, through string }

func insert(q *catalog.Query, s *schema, t *table, step step, at place) error {
	columns := step.columns
	if len(columns) == 0 {
		for _, c := range t.Columns {
			columns = append(columns, c.Name)
		}
	}
	addAccess(&q.Writes, catalog.Access{Table: t.Name, How: "insert", Within: at.within, Through: at.through})
	err := fires(q, s, t, "insert", columns, at)
	parents(q, t, columns, at, "")
	if step.conflict != nil {
		addAccess(&q.Writes, catalog.Access{Table: t.Name, How: "update", Columns: step.conflict, Within: at.within, Through: at.through})
		addLock(q, updateLock(t, step.conflict, "ON CONFLICT DO UPDATE", at))
		err = errors.Join(err, fires(q, s, t, "update", step.conflict, at))
		parents(q, t, step.conflict, at, ", if it changes")
	}
	return err
}

func update(q *catalog.Query, s *schema, t *table, columns []string, at place) error {
	addAccess(&q.Writes, catalog.Access{Table: t.Name, How: "update", Columns: columns, Within: at.within, Through: at.through})
	addLock(q, updateLock(t, columns, "UPDATE", at))
	err := fires(q, s, t, "update", columns, at)
	parents(q, t, columns, at, ", if it changes")
	for _, f := range s.referring(t.Name) {
		if overlap(f.RefColumns, columns) {
			addFire(q, catalog.Fire{
				On: "update of " + t.Name, Kind: "foreign key", Name: f.Name, Through: at.through,
				Does: fmt.Sprintf("ON UPDATE %s in %s, if %s changes", f.OnUpdate, f.Table, strings.Join(f.RefColumns, ", ")),
			})
		}
	}
	return err
}

// updateLock is the lock of an UPDATE: the weaker one, unless a column changes that foreign keys may refer to.
func updateLock(t *table, columns []string, by string, at place) catalog.Lock {
	l := catalog.Lock{Table: t.Name, Strength: catalog.NoKeyUpdate, By: by, Within: at.within, Through: at.through}
	for _, k := range t.keyColumns() {
		if slices.Contains(columns, k) && !slices.Contains(l.Keys, k) {
			l.Keys = append(l.Keys, k)
		}
	}
	return l
}

func remove(q *catalog.Query, s *schema, t *table, at place) error {
	addAccess(&q.Writes, catalog.Access{Table: t.Name, How: "delete", Within: at.within, Through: at.through})
	addLock(q, catalog.Lock{Table: t.Name, Strength: catalog.Update, By: "DELETE", Within: at.within, Through: at.through})
	err := fires(q, s, t, "delete", nil, at)
	for _, f := range s.referring(t.Name) {
		fire := catalog.Fire{On: "delete from " + t.Name, Kind: "foreign key", Name: f.Name, Through: at.through}
		known := slices.ContainsFunc(q.Fires, func(k catalog.Fire) bool { return k.Kind == fire.Kind && k.Name == fire.Name && k.On == fire.On })
		child := s.table(f.Table)
		by := place{within: "", through: "foreign key " + f.Name}
		switch f.OnDelete {
		case "CASCADE":
			fire.Does = "deletes the rows of " + f.Table + " that refer to it"
			addFire(q, fire)
			if !known { // once is enough, and the only way out of a circle
				err = errors.Join(err, remove(q, s, child, by))
			}
		case "SET NULL", "SET DEFAULT":
			fire.Does = fmt.Sprintf("sets %s to %s in %s", strings.Join(f.Columns, ", "), strings.TrimPrefix(f.OnDelete, "SET "), f.Table)
			addFire(q, fire)
			if !known {
				err = errors.Join(err, update(q, s, child, f.Columns, by))
			}
		default:
			fire.Does = "fails if a row of " + f.Table + " refers to it"
			addFire(q, fire)
		}
	}
	return err
}

// fires adds the constraints and triggers of the table itself, and what a trigger without a condition does. The others are for rows
// that another server writes: their conditions say so.
func fires(q *catalog.Query, s *schema, t *table, event string, columns []string, at place) error {
	on := map[string]string{"insert": "insert into ", "update": "update of ", "delete": "delete from "}[event] + t.Name
	for _, x := range t.Indexes {
		if x.Unique && event != "delete" && overlap(x.Plain, columns) {
			addFire(q, catalog.Fire{On: on, Kind: "unique", Name: x.Name, Through: at.through})
		}
	}
	for _, c := range t.Checks {
		if event != "delete" && overlap(c.Columns, columns) {
			addFire(q, catalog.Fire{On: on, Kind: "check", Name: c.Name, Through: at.through})
		}
	}
	for _, g := range t.Triggers {
		if slices.Contains(g.Events, event) && (event != "update" || len(g.Columns) == 0 || overlap(g.Columns, columns)) {
			addFire(q, catalog.Fire{On: on, Kind: "trigger", Name: g.Name, Does: g.Definition, Through: at.through})
			i := slices.IndexFunc(s.functions, func(f plan.Function) bool { return f.Name == g.Function })
			if i < 0 || g.Condition {
				continue
			}
			if err := runs(q, s, s.functions[i], "trigger "+g.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// parents adds the rows that foreign keys look up, and keep from being deleted, when columns are written.
func parents(q *catalog.Query, t *table, columns []string, at place, condition string) {
	event := "insert into "
	if condition != "" {
		event = "update of "
	}
	for _, f := range t.Foreign {
		if !overlap(f.Columns, columns) || strings.HasPrefix(at.through, "foreign key ") {
			continue // what a foreign key itself sets to NULL needs no row
		}
		addLock(q, catalog.Lock{
			Table: f.RefTable, Strength: catalog.KeyShare, By: "foreign key " + f.Name + condition, Within: at.within, Through: at.through,
		})
		addFire(q, catalog.Fire{
			On: event + t.Name, Kind: "foreign key", Name: f.Name, Through: at.through,
			Does: fmt.Sprintf("looks up %s in %s%s", strings.Join(f.Columns, ", "), f.RefTable, condition),
		})
	}
}

// plans adds the plans of the query and of the functions that it calls.
func plans(ctx context.Context, conn *pgx.Conn, q *catalog.Query, s *schema) error {
	p, err := plan.Explain(ctx, conn, q.Statement)
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	if err := agree(q, p.Root); err != nil {
		return err
	}
	q.Plan = p.Text
	for _, name := range p.Root.Indexes() {
		q.Indexes = append(q.Indexes, catalog.Index{Name: name, Table: s.tableOfIndex(name)})
	}
	for _, name := range q.Functions {
		if !touches(q, "function "+name) {
			continue // an expression, most likely inlined
		}
		i := slices.IndexFunc(s.functions, func(f plan.Function) bool { return f.Name == name })
		if !s.functions[i].Explainable() {
			continue
		}
		p, err := plan.Explain(ctx, conn, s.functions[i].Statement())
		if err != nil {
			return fmt.Errorf("explain function %s: %w", name, err)
		}
		q.Inner = append(q.Inner, catalog.Inner{Function: name, Plan: p.Text})
		for _, x := range p.Root.Indexes() {
			q.Indexes = append(q.Indexes, catalog.Index{Name: x, Table: s.tableOfIndex(x), Through: "function " + name})
		}
	}
	return nil
}

// touches says whether something is read, written or locked that way.
func touches(q *catalog.Query, through string) bool {
	return slices.ContainsFunc(slices.Concat(q.Reads, q.Writes), func(a catalog.Access) bool { return a.Through == through }) ||
		slices.ContainsFunc(q.Locks, func(l catalog.Lock) bool { return l.Through == through })
}

// agree makes sure that what was read out of the statement's text is what PostgreSQL plans: no table is touched that the page
// does not name, and whatever it says is written is.
func agree(q *catalog.Query, root *plan.Node) error {
	type written struct{ table, how string }
	planned := map[written]bool{}
	for n := range root.All() {
		switch {
		case n.Type == "ModifyTable":
			planned[written{n.Relation, strings.ToLower(n.Operation)}] = true
		case n.Relation != "" && !slices.ContainsFunc(slices.Concat(q.Reads, q.Writes), func(a catalog.Access) bool { return a.Table == n.Relation }):
			return fmt.Errorf("the plan reads %s, which is not found in the statement", n.Relation)
		}
	}
	for _, w := range q.Writes {
		if w.Through == "" {
			if !planned[written{w.Table, w.How}] && !(w.How == "update" && planned[written{w.Table, "insert"}]) { // ON CONFLICT DO UPDATE
				return fmt.Errorf("the statement has the %s of %s, which is not found in the plan", w.How, w.Table)
			}
		}
	}
	for w := range planned {
		if !slices.ContainsFunc(q.Writes, func(a catalog.Access) bool { return a.Table == w.table && a.How == w.how && a.Through == "" }) {
			return fmt.Errorf("the plan has the %s of %s, which is not found in the statement", w.how, w.table)
		}
	}
	return nil
}

func (s *schema) tableOfIndex(name string) string {
	for _, t := range s.tables {
		if slices.ContainsFunc(t.Indexes, func(x index) bool { return x.Name == name }) {
			return t.Name
		}
	}
	return ""
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

func addAccess(list *[]catalog.Access, a catalog.Access) {
	i := slices.IndexFunc(*list, func(b catalog.Access) bool {
		return a.Table == b.Table && a.How == b.How && a.Within == b.Within && a.Through == b.Through
	})
	if i < 0 {
		a.Columns = slices.Clone(a.Columns)
		*list = append(*list, a)
		return
	}
	for _, c := range a.Columns {
		if b := &(*list)[i]; !slices.Contains(b.Columns, c) {
			b.Columns = append(b.Columns, c)
		}
	}
}

func addLock(q *catalog.Query, l catalog.Lock) {
	if !slices.ContainsFunc(q.Locks, func(k catalog.Lock) bool {
		return l.Table == k.Table && l.Strength == k.Strength && l.By == k.By && l.Wait == k.Wait && l.Within == k.Within && l.Through == k.Through
	}) {
		q.Locks = append(q.Locks, l)
	}
}

func addFire(q *catalog.Query, f catalog.Fire) {
	if !slices.Contains(q.Fires, f) {
		q.Fires = append(q.Fires, f)
	}
}
