package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// schema is a database with the project's schema, in which mutants are prepared.
type schema struct {
	conn     *pgx.Conn
	admin    *pgx.ConnConfig
	name     string
	triggers map[string][]string // the functions that a write of a table runs
	notNull  map[[2]string]bool  // by table and column
}

// makeSchema makes a database of its own and has the project migrate it.
func makeSchema(ctx context.Context, root string, c config, server string) (s *schema, err error) {
	admin, err := pgx.ParseConfig(server)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, admin)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var id [4]byte
	rand.Read(id[:])
	s = &schema{admin: admin, name: "sqlmut_" + hex.EncodeToString(id[:])}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+s.name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	u.Path = "/" + s.name
	cmd := exec.CommandContext(ctx, c.Schema[0], c.Schema[1:]...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), c.URLVariable+"="+u.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(c.Schema, " "), err, out)
	}
	if s.conn, err = pgx.Connect(ctx, u.String()); err != nil {
		return nil, err
	}
	return s, errors.Join(s.readTriggers(ctx), s.readColumns(ctx))
}

func (s *schema) close(ctx context.Context) error {
	if s.conn != nil {
		s.conn.Close(ctx)
	}
	conn, err := pgx.ConnectConfig(ctx, s.admin)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+s.name+" WITH (FORCE)")
	return err
}

// readTriggers finds the functions that are run by a write: by triggers, constraints, defaults, and constraints of the columns' domains.
func (s *schema) readTriggers(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, `
		SELECT c.relname::text, p.proname::text
		FROM pg_trigger AS t
		JOIN pg_class AS c ON c.oid = t.tgrelid
		JOIN pg_proc AS p ON p.oid = t.tgfoid
		WHERE NOT t.tgisinternal
		UNION
		SELECT c.relname::text, p.proname::text
		FROM pg_depend AS d
		JOIN pg_proc AS p ON p.oid = d.refobjid
		LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
		LEFT JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
		JOIN pg_class AS c ON c.oid = coalesce(nullif(k.conrelid, 0), f.adrelid)
			OR k.contypid <> 0 AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.atttypid = k.contypid)
		WHERE d.refclassid = 'pg_proc'::regclass AND p.pronamespace <> 'pg_catalog'::regnamespace AND c.relkind = 'r'`)
	if err != nil {
		return err
	}
	s.triggers = map[string][]string{}
	var table, function string
	_, err = pgx.ForEachRow(rows, []any{&table, &function}, func() error {
		s.triggers[table] = append(s.triggers[table], function)
		return nil
	})
	return err
}

// readColumns finds the columns that are never NULL. Where two schemas have a table of one name, both have to agree.
func (s *schema) readColumns(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, `
		SELECT c.relname::text, a.attname::text, bool_and(a.attnotnull OR coalesce(d.typnotnull, false))
		FROM pg_class AS c
		JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		JOIN pg_type AS d ON d.oid = a.atttypid
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace <> 'pg_catalog'::regnamespace
		GROUP BY 1, 2`)
	if err != nil {
		return err
	}
	s.notNull = map[[2]string]bool{}
	var table, column string
	var isNotNull bool
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &isNotNull}, func() error {
		s.notNull[[2]string{table, column}] = isNotNull
		return nil
	})
	return err
}

func (s *schema) isNotNull(table, column string) bool { return s.notNull[[2]string{table, column}] }

// described is what the server says of a statement.
type described struct {
	parameters []uint32
	columns    []uint32
}

func (s *schema) describe(ctx context.Context, sql string) (described, error) {
	d, err := s.conn.PgConn().Prepare(ctx, "", sql, nil)
	if err != nil {
		return described{}, err
	}
	var columns []uint32
	for _, f := range d.Fields {
		columns = append(columns, f.DataTypeOID)
	}
	return described{d.ParamOIDs, columns}, nil
}

// prepare has the server look at the mutants of a unit. Those that it refuses are no mutants, and neither are those whose parameters or
// columns have other types: the program that sends them could not.
func (s *schema) prepare(ctx context.Context, u unit, all []*mutant) (valid []*mutant, invalid map[*mutant]string, err error) {
	invalid = map[*mutant]string{}
	if u.isRoutine {
		for _, m := range all {
			switch reason, err := s.prepareRoutine(ctx, m); {
			case err != nil:
				return nil, nil, err
			case reason != "":
				invalid[m] = reason
			default:
				valid = append(valid, m)
			}
		}
		return valid, invalid, nil
	}
	want, err := s.describe(ctx, u.sql)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", u.name, err)
	}
	types := make([]string, len(want.parameters))
	for i, oid := range want.parameters {
		if err := s.conn.QueryRow(ctx, "SELECT format_type($1::oid, NULL)", oid).Scan(&types[i]); err != nil {
			return nil, nil, err
		}
	}
	for _, m := range all {
		if err := keepParameters(m, types); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", m.id, err)
		}
		got, err := s.describe(ctx, m.text)
		var refused *pgconn.PgError
		switch {
		case errors.As(err, &refused):
			invalid[m] = refused.Message
		case err != nil:
			return nil, nil, err
		case !slices.Equal(got.parameters, want.parameters):
			invalid[m] = "its parameters have other types"
		case !slices.Equal(got.columns, want.columns):
			invalid[m] = "its columns have other types"
		default:
			valid = append(valid, m)
		}
	}
	return valid, invalid, nil
}

// prepareRoutine creates a function and takes it back. It returns why the server refuses it, if it does.
func (s *schema) prepareRoutine(ctx context.Context, m *mutant) (string, error) {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer tx.Rollback(ctx)
	n, err := replaceRoutine(ctx, s.conn, m)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return refused.Message, nil
	case err == nil && n == 0:
		err = fmt.Errorf("%s: the schema has no such function", m.unit)
	}
	return "", err
}

// keepParameters names the parameters that a mutant has lost in a CTE that nothing reads: the statement is sent with all of them.
func keepParameters(m *mutant, types []string) error {
	tokens, err := scan(m.text, 0)
	if err != nil || len(tokens) == 0 {
		return nil // the server will say so
	}
	kept := parametersIn(tokens)
	var lost []string
	for n := 1; n <= len(types); n++ {
		if !slices.Contains(kept, n) {
			lost = append(lost, fmt.Sprintf("$%d::%s", n, types[n-1]))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	cte := "sqlmut_lost AS (SELECT " + strings.Join(lost, ", ") + ")"
	at := tokens[0].start
	switch {
	case tokens[0].word != "with":
		m.text = m.text[:at] + "WITH " + cte + " " + m.text[at:]
	case len(tokens) > 1 && tokens[1].word == "recursive":
		m.text = m.text[:tokens[1].end] + " " + cte + "," + m.text[tokens[1].end:]
	default:
		m.text = m.text[:tokens[0].end] + " " + cte + "," + m.text[tokens[0].end:]
	}
	return nil
}
