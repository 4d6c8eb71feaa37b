package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/plan"
)

var explainCommand = command{
	name:    "explain",
	summary: "show what a query does, and how this database plans it",
	operand: "[NAME]",
	details: `Without a name it lists the queries. With one it prints the query's page as it was reviewed: contract, parameters, tables,
row locks, constraints, indexes. Then it asks the database for its own plan, for any parameters, and says whether it is the
reviewed one, or how it differs. The query is not run.

With -analyze a query that only reads is run, in a transaction that is read only and rolled back, and the plan shows what it
took. Parameters are given as PostgreSQL writes them, NULL by leaving them out; credentials are given by their digests:

  oauthdb explain FindConsent -analyze -param client_id=web -param user_id=usr_1`,
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		analyze := flags.Bool("analyze", false, "run the query, which must only read, and measure it")
		params := map[string]string{}
		flags.Func("param", "`name=value` of a parameter for -analyze; once for each", func(s string) error {
			name, value, ok := strings.Cut(s, "=")
			if !ok || name == "" {
				return errors.New("want name=value")
			}
			if _, twice := params[name]; twice {
				return fmt.Errorf("%s is given twice", name)
			}
			params[name] = value
			return nil
		})
		return func(ctx context.Context, c console) error {
			reviewed, err := catalog.Reviewed()
			if err != nil {
				return err
			}
			if flags.NArg() == 0 {
				if *analyze || len(params) > 0 {
					return usage("explain: which query? 'oauthdb explain' lists them")
				}
				listQueries(c, reviewed)
				return nil
			}
			q, err := findQuery(reviewed, flags.Arg(0))
			if err != nil {
				return err
			}
			args, err := arguments(q, params, *analyze)
			if err != nil {
				return err
			}
			s, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			return explain(ctx, c, s, reviewed, q, args, *analyze)
		}
	},
}

// findQuery finds a query by its name in whatever case, and makes suggestions for one that is not there.
func findQuery(reviewed *catalog.Catalog, name string) (*catalog.Query, error) {
	for i, q := range reviewed.Queries {
		if strings.EqualFold(q.Name, name) {
			return &reviewed.Queries[i], nil
		}
	}
	if near := similar(reviewed, name); len(near) > 0 {
		return nil, usage("explain: no query %q: did you mean %s?", name, strings.Join(near, ", "))
	}
	return nil, usage("explain: no query %q: 'oauthdb explain' lists them", name)
}

// similar are up to five names that somebody may have meant: those that hold the word, or nearly are it.
func similar(reviewed *catalog.Catalog, name string) []string {
	type candidate struct {
		name    string
		far, by int // how far it is from the name, and from holding it
	}
	var found []candidate
	word := strings.ToLower(name)
	for _, q := range reviewed.Queries {
		other := strings.ToLower(q.Name)
		far := distance(word, other)
		by := far
		if len(word) > 2 && strings.Contains(other, word) {
			by = 0
		}
		if by <= max(2, len(word)/3) {
			found = append(found, candidate{q.Name, far, by})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.by, b.by), cmp.Compare(a.far, b.far)) })
	var names []string
	for _, f := range found[:min(5, len(found))] {
		names = append(names, f.name)
	}
	return names
}

// distance counts the letters to insert, delete or replace that make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// arguments puts the values of -param in the order of the query's parameters.
func arguments(q *catalog.Query, params map[string]string, analyze bool) ([]*string, error) {
	switch {
	case !analyze && len(params) > 0:
		return nil, usage("explain: -param is for -analyze: the plan shown without it is that for any parameters")
	case !analyze:
		return nil, nil
	case len(q.Writes) > 0:
		return nil, usage("explain: %s writes %s: a write is not run, not even to be rolled back", q.Name, strings.Join(tables(q.Writes), ", "))
	case !q.ReadOnly():
		return nil, usage("explain: %s locks rows: -analyze runs only what reads", q.Name)
	}
	var args []*string
	var missing []string
	for _, p := range q.Params {
		value, ok := params[p.Name]
		delete(params, p.Name)
		switch {
		case ok:
			args = append(args, &value)
		case p.Nullable:
			args = append(args, nil)
		default:
			missing = append(missing, fmt.Sprintf("-param %s=... (%s)", p.Name, p.Type))
		}
	}
	for name := range params {
		return nil, usage("explain: %s has no parameter %q", q.Name, name)
	}
	if len(missing) > 0 {
		return nil, usage("explain: %s needs %s", q.Name, strings.Join(missing, ", "))
	}
	return args, nil
}

func explain(ctx context.Context, c console, s *server, reviewed *catalog.Catalog, q *catalog.Query, args []*string, analyze bool) (err error) {
	config, err := s.config()
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	// one transaction for all of it: behind a pooler, its statements go to one server
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()

	here, err := planHere(ctx, tx, q)
	if err != nil {
		return err
	}
	p := sheet{out: c.out, colours: coloursFor(c.out), width: width()}
	p.query(q)
	p.heading(fmt.Sprintf("Plan in the database %s, PostgreSQL %s", here.database, here.version))
	same := p.compare(here.plan, q.Plan)
	for i, in := range here.inner {
		p.heading("Plan of the function " + q.Inner[i].Function)
		same = p.compare(in, q.Inner[i].Plan) && same
	}
	if !same {
		p.differences(here, reviewed.PostgreSQL)
	}
	if !analyze {
		return nil
	}
	measured, err := plan.AnalyzeText(ctx, tx, q.Statement, args)
	if err != nil {
		return fmt.Errorf("run %s: %w", q.Name, err)
	}
	p.heading("Run once, and rolled back")
	p.block(measured)
	return nil
}

// local is what a database says of a query.
type local struct {
	database, version string
	major             int
	plan              string
	inner             []string // plans of the functions, in the order of the reviewed ones
	tables            []tableHere
}

// tableHere is a table as the planner of this database sees it.
type tableHere struct {
	Name     string
	Rows     int64 // as of the last ANALYZE
	Analysed bool
}

func planHere(ctx context.Context, tx pgx.Tx, q *catalog.Query) (*local, error) {
	var l local
	err := tx.QueryRow(ctx, "SELECT current_database(), current_setting('server_version'), current_setting('server_version_num')::int / 10000").
		Scan(&l.database, &l.version, &l.major)
	if err != nil {
		return nil, fmt.Errorf("ask for the server's version: %w", err)
	}
	p, err := plan.Explain(ctx, tx, q.Statement)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "42703" || refused.Code == "42704" || refused.Code == "42883") {
		return nil, fmt.Errorf("the schema of this database is not that of this version: %s: 'oauthdb status' tells what it lacks", refused.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", q.Name, err)
	}
	l.plan = p.Text
	if len(q.Inner) > 0 {
		functions, err := plan.Functions(ctx, tx)
		if err != nil {
			return nil, err
		}
		for _, in := range q.Inner {
			i := slices.IndexFunc(functions, func(f plan.Function) bool { return f.Name == in.Function })
			if i < 0 {
				return nil, fmt.Errorf("the schema of this database is not that of this version: it has no function %s", in.Function)
			}
			p, err := plan.Explain(ctx, tx, functions[i].Statement())
			if err != nil {
				return nil, fmt.Errorf("explain the function %s: %w", in.Function, err)
			}
			l.inner = append(l.inner, p.Text)
		}
	}
	rows, err := tx.Query(ctx, `
		SELECT c.relname::text AS name, greatest(c.reltuples, 0)::bigint AS rows, c.reltuples >= 0 AS analysed
		FROM unnest($1::text[]) WITH ORDINALITY AS t (name, n)
		JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(t.name))
		ORDER BY t.n`, tables(append(slices.Clone(q.Reads), q.Writes...)))
	if err != nil {
		return nil, fmt.Errorf("look at the tables: %w", err)
	}
	if l.tables, err = pgx.CollectRows(rows, pgx.RowToStructByName[tableHere]); err != nil {
		return nil, fmt.Errorf("look at the tables: %w", err)
	}
	return &l, nil
}

// tables names each table once.
func tables(list []catalog.Access) []string {
	var names []string
	for _, a := range list {
		if !slices.Contains(names, a.Table) {
			names = append(names, a.Table)
		}
	}
	return names
}

// width is that of the terminal, as the shell tells it, within what reads well.
func width() int {
	n, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil {
		return 100
	}
	return min(max(n, 50), 120)
}
