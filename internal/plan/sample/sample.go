package sample

import (
	"context"
	_ "embed" // for sample.sql
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/migrations"
)

//go:embed sample.sql
var text string

// Grow adds rows to the sample of size from until it has size to, and analyses it. The size is the number of
// authorizations, and nearly that of refresh and of access tokens; other tables are in proportion. It begins with from = 0
// on an empty database; both are multiples of 100.
//
// While rows are written, foreign keys, indexes and triggers are away. Autovacuum is off from then on, so that statistics only ever
// change here: the database is good for nothing but explaining queries. conn's role has to own the tables.
func Grow(ctx context.Context, conn *pgx.Conn, from, to int) error {
	if from%100 != 0 || to%100 != 0 || from < 0 || to <= from {
		return fmt.Errorf("sample: cannot grow from %d to %d: both are multiples of 100, and the second is the larger", from, to)
	}
	tables, err := Tables(ctx, conn)
	if err != nil {
		return err
	}
	before, after, validate, err := obstacles(ctx, conn)
	if err != nil {
		return err
	}
	before = append(before, "SET maintenance_work_mem = '256MB'", "SET synchronous_commit = off")
	if from == 0 {
		// later the same statements write more such rows, and checks cost as much as all the rest
		after = append(after, validate...)
	}
	for _, t := range tables {
		before = append(before, "ALTER TABLE "+t+" SET (autovacuum_enabled = false, toast.autovacuum_enabled = false)",
			"ALTER TABLE "+t+" DISABLE TRIGGER USER")
		after = append(after, "ALTER TABLE "+t+" ENABLE TRIGGER USER", "VACUUM (ANALYZE) "+t)
	}
	if err := exec(ctx, conn, before); err != nil {
		return err
	}
	for s := range strings.SplitSeq(text, "\n\n") {
		var args []any
		if strings.Contains(s, "$1") && strings.Contains(s, "INSERT INTO") {
			args = []any{from, to}
		}
		if err := exec(ctx, conn, []string{s}, args...); err != nil {
			return err
		}
	}
	if err := exec(ctx, conn, after); err != nil {
		return err
	}
	sizes, err := Sizes(ctx, conn)
	if err != nil {
		return err
	}
	for _, t := range slices.Sorted(maps.Keys(sizes)) {
		if sizes[t] == 0 {
			return fmt.Errorf("sample: the table %s has no rows: add some to internal/plan/sample/sample.sql, as many as it has in production", t)
		}
	}
	return nil
}

// Sizes counts the rows of each table, by the table's name without quotes.
func Sizes(ctx context.Context, conn *pgx.Conn) (map[string]int64, error) {
	tables, err := Tables(ctx, conn)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, t := range tables {
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+t).Scan(&n); err != nil {
			return nil, fmt.Errorf("sample: count the rows of %s: %w", t, err)
		}
		sizes[strings.Trim(t, `"`)] = n
	}
	return sizes, nil
}

// Tables names the tables of the schema, quoted where need be, in the order of their names.
func Tables(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `
		SELECT quote_ident(c.relname)
		FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> $1
		ORDER BY c.relname COLLATE "C"`, migrations.DefaultTable)
	if err != nil {
		return nil, fmt.Errorf("sample: read tables: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("sample: read tables: %w", err)
	}
	return names, nil
}

// obstacles returns the statements that take away what slows writing down, all constraints and indexes, and those that put it
// back in the order in which it was made, as the planner takes the older of two indexes that are equally good. Checks are
// put back for new rows alone; validate holds the others against them.
func obstacles(ctx context.Context, conn *pgx.Conn) (away, back, validate []string, err error) {
	rows, err := conn.Query(ctx, `
		SELECT d.away, d.back, d.validate
		FROM (
			SELECT 2 AS step, x.indexrelid AS age, format('DROP INDEX %s', x.indexrelid::regclass) AS away,
				pg_get_indexdef(x.indexrelid) AS back, NULL AS validate
			FROM pg_index AS x
			JOIN pg_class AS c ON c.oid = x.indrelid
			WHERE c.relnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint AS n WHERE n.conindid = x.indexrelid)
			UNION ALL
			SELECT CASE n.contype WHEN 'f' THEN 3 WHEN 'c' THEN 4 ELSE 1 END, n.oid,
				format('ALTER TABLE %s DROP CONSTRAINT %I', n.conrelid::regclass, n.conname),
				format('ALTER TABLE %s ADD CONSTRAINT %I %s', n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid))
				|| CASE WHEN n.contype = 'c' AND n.convalidated THEN ' NOT VALID' ELSE '' END,
				CASE WHEN n.contype = 'c' THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I', n.conrelid::regclass, n.conname) END
			FROM pg_constraint AS n
			WHERE n.connamespace = 'public'::regnamespace AND n.conrelid <> 0 AND n.contype IN ('p', 'u', 'x', 'f', 'c')
				AND n.conrelid <> $1::regclass
		) AS d
		ORDER BY d.step, d.age`, migrations.DefaultTable)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("sample: read indexes and constraints: %w", err)
	}
	var a, b string
	var v *string
	_, err = pgx.ForEachRow(rows, []any{&a, &b, &v}, func() error {
		away, back = append(away, a), append(back, b)
		if v != nil {
			validate = append(validate, *v)
		}
		return nil
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("sample: read indexes and constraints: %w", err)
	}
	slices.Reverse(away)
	return away, back, validate, nil
}

func exec(ctx context.Context, conn *pgx.Conn, statements []string, args ...any) error {
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s, args...); err != nil {
			return fmt.Errorf("sample: %w: %.200s", err, s)
		}
	}
	return nil
}
