package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/migrations"
)

// schema is what the catalog of a migrated database says. Everything is in an order that does not depend on the database.
type schema struct {
	tables    []*table // by name
	enums     []enum
	domains   []domain
	functions []plan.Function
	written   map[string]string // bodies of functions as routines/ has them, where PostgreSQL keeps another form
	comments  map[string]string // of functions
}

type table struct {
	Name     string // without quotes
	Comment  string
	Columns  []column
	Foreign  []foreignKey
	Checks   []check
	Indexes  []index
	Triggers []trigger
}

type column struct {
	Name, Type string
	NotNull    bool
	Default    string
	Comment    string
}

type foreignKey struct {
	Name       string
	Table      string // that refers
	Columns    []string
	RefTable   string
	RefColumns []string
	OnDelete   string // NO ACTION, RESTRICT, CASCADE, SET NULL, SET DEFAULT
	OnUpdate   string
}

type check struct {
	Name       string
	Columns    []string
	Expression string
}

type index struct {
	Name       string
	Columns    []string // with expressions, as the index defines them
	Plain      []string // columns alone, those of the predicate too
	Unique     bool
	Primary    bool
	Predicate  string
	Definition string // what follows ON table
	// Key says that PostgreSQL takes its columns for a key that foreign keys may refer to: an UPDATE that changes them
	// locks the row FOR UPDATE, not FOR NO KEY UPDATE.
	Key bool
}

type trigger struct {
	Name       string
	Events     []string // insert, update, delete, truncate
	Columns    []string // of UPDATE OF
	Definition string
	Function   string
	Condition  bool // WHEN
}

type enum struct {
	Name, Comment string
	Values        []string
}

type domain struct {
	Name, Comment, Type string
	Checks              []string
}

func (s *schema) table(name string) *table {
	i := slices.IndexFunc(s.tables, func(t *table) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return s.tables[i]
}

// keyColumns are the columns whose change makes an UPDATE take the stronger lock.
func (t *table) keyColumns() []string {
	var found []string
	for _, x := range t.Indexes {
		if x.Key {
			found = append(found, x.Plain...)
		}
	}
	return found
}

// referring are the foreign keys that refer to the table, by name.
func (s *schema) referring(name string) []foreignKey {
	var found []foreignKey
	for _, t := range s.tables {
		for _, f := range t.Foreign {
			if f.RefTable == name {
				found = append(found, f)
			}
		}
	}
	slices.SortFunc(found, func(a, b foreignKey) int { return compare(a.Name, b.Name) })
	return found
}

func readSchema(ctx context.Context, conn *pgx.Conn) (*schema, error) {
	s := &schema{comments: map[string]string{}}
	fail := func(what string, err error) (*schema, error) { return nil, fmt.Errorf("read %s: %w", what, err) }

	tables, err := collect[table](ctx, conn, `
		SELECT c.relname::text AS name, coalesce(obj_description(c.oid, 'pg_class'), '') AS comment
		FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> $1
		ORDER BY c.relname COLLATE "C"`, migrations.DefaultTable)
	if err != nil {
		return fail("tables", err)
	}
	for _, t := range tables {
		t.Columns, err = collect[column](ctx, conn, `
			SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
				coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS "default",
				coalesce(col_description(a.attrelid, a.attnum), '') AS comment
			FROM pg_attribute AS a
			LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			WHERE a.attrelid = format('public.%I', $1::text)::regclass AND a.attnum > 0 AND NOT a.attisdropped
			ORDER BY a.attnum`, t.Name)
		if err != nil {
			return fail("columns", err)
		}
		for i, c := range t.Columns {
			t.Columns[i].Type = shortType(c.Type)
		}
		t.Foreign, err = collect[foreignKey](ctx, conn, `
			SELECT n.conname::text AS name, $1::text AS "table", f.relname::text AS ref_table,
				ARRAY(SELECT a.attname::text FROM unnest(n.conkey) WITH ORDINALITY AS k (n, o) JOIN pg_attribute AS a ON a.attrelid = n.conrelid AND a.attnum = k.n ORDER BY k.o) AS columns,
				ARRAY(SELECT a.attname::text FROM unnest(n.confkey) WITH ORDINALITY AS k (n, o) JOIN pg_attribute AS a ON a.attrelid = n.confrelid AND a.attnum = k.n ORDER BY k.o) AS ref_columns,
				CASE n.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END AS on_delete,
				CASE n.confupdtype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END AS on_update
			FROM pg_constraint AS n
			JOIN pg_class AS f ON f.oid = n.confrelid
			WHERE n.conrelid = format('public.%I', $1::text)::regclass AND n.contype = 'f'
			ORDER BY n.conname COLLATE "C"`, t.Name)
		if err != nil {
			return fail("foreign keys", err)
		}
		t.Checks, err = collect[check](ctx, conn, `
			SELECT n.conname::text AS name,
				ARRAY(SELECT a.attname::text FROM unnest(n.conkey) WITH ORDINALITY AS k (n, o) JOIN pg_attribute AS a ON a.attrelid = n.conrelid AND a.attnum = k.n ORDER BY k.o) AS columns,
				pg_get_expr(n.conbin, n.conrelid, true) AS expression
			FROM pg_constraint AS n
			WHERE n.conrelid = format('public.%I', $1::text)::regclass AND n.contype = 'c'
			ORDER BY n.conname COLLATE "C"`, t.Name)
		if err != nil {
			return fail("checks", err)
		}
		t.Indexes, err = collect[index](ctx, conn, `
			SELECT i.relname::text AS name,
				ARRAY(SELECT pg_get_indexdef(x.indexrelid, g.n, true) FROM generate_series(1, x.indnatts) AS g (n) ORDER BY g.n) AS columns,
				ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend AS d JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
					WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid AND d.refobjid = x.indrelid AND d.refobjsubid > 0
					UNION SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey::smallint[])
					ORDER BY 1) AS plain,
				x.indisunique AS "unique", x.indisprimary AS "primary", coalesce(pg_get_expr(x.indpred, x.indrelid, true), '') AS predicate,
				regexp_replace(pg_get_indexdef(x.indexrelid), '^.* ON \S+ USING ', '') AS definition,
				x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL AND x.indimmediate AS key
			FROM pg_index AS x
			JOIN pg_class AS i ON i.oid = x.indexrelid
			WHERE x.indrelid = format('public.%I', $1::text)::regclass
			ORDER BY x.indisprimary DESC, x.indisunique DESC, i.relname COLLATE "C"`, t.Name)
		if err != nil {
			return fail("indexes", err)
		}
		t.Triggers, err = collect[trigger](ctx, conn, `
			SELECT g.tgname::text AS name,
				ARRAY(SELECT e.event FROM (VALUES (4, 'insert'), (16, 'update'), (8, 'delete'), (32, 'truncate')) AS e (bit, event) WHERE g.tgtype & e.bit > 0) AS events,
				ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = g.tgrelid AND a.attnum = ANY (g.tgattr::smallint[]) ORDER BY a.attnum) AS columns,
				pg_get_triggerdef(g.oid, true) AS definition, p.proname::text AS function, g.tgqual IS NOT NULL AS condition
			FROM pg_trigger AS g
			JOIN pg_proc AS p ON p.oid = g.tgfoid
			WHERE g.tgrelid = format('public.%I', $1::text)::regclass AND NOT g.tgisinternal
			ORDER BY g.tgname COLLATE "C"`, t.Name)
		if err != nil {
			return fail("triggers", err)
		}
		s.tables = append(s.tables, &t)
	}

	s.enums, err = collect[enum](ctx, conn, `
		SELECT t.typname::text AS name, coalesce(obj_description(t.oid, 'pg_type'), '') AS comment,
			ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS values
		FROM pg_type AS t
		WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'e'
		ORDER BY t.typname COLLATE "C"`)
	if err != nil {
		return fail("enums", err)
	}
	s.domains, err = collect[domain](ctx, conn, `
		SELECT t.typname::text AS name, coalesce(obj_description(t.oid, 'pg_type'), '') AS comment, format_type(t.typbasetype, t.typtypmod) AS type,
			ARRAY(SELECT pg_get_constraintdef(n.oid, true) FROM pg_constraint AS n WHERE n.contypid = t.oid ORDER BY n.conname COLLATE "C") AS checks
		FROM pg_type AS t
		WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'd'
		ORDER BY t.typname COLLATE "C"`)
	if err != nil {
		return fail("domains", err)
	}
	if s.functions, err = plan.Functions(ctx, conn); err != nil {
		return nil, err
	}
	comments, err := collect[struct{ Name, Comment string }](ctx, conn, `
		SELECT p.proname::text AS name, coalesce(obj_description(p.oid, 'pg_proc'), '') AS comment
		FROM pg_proc AS p
		WHERE p.pronamespace = 'public'::regnamespace`)
	if err != nil {
		return fail("functions", err)
	}
	for _, c := range comments {
		s.comments[c.Name] = c.Comment
	}
	return s, nil
}

func collect[T any](ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]T, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByNameLax[T])
}

// shortType gives the names by which migrations call types.
func shortType(t string) string {
	switch t {
	case "timestamp with time zone":
		return "timestamptz"
	case "timestamp without time zone":
		return "timestamp"
	case "character varying":
		return "varchar"
	}
	return t
}
