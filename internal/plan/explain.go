package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Plan is how a server would run a statement.
type Plan struct {
	// Text is what EXPLAIN (COSTS OFF) writes, without a newline at the end. What an InitPlan returns is called as
	// PostgreSQL 17 and later call it, since the numbers that earlier ones give it differ for no reason that matters.
	Text string
	Root *Node
}

// Beginner begins transactions: a connection or a transaction (which makes savepoints).
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Explain returns the generic plan of a statement, whose parameters are $1, $2 and so on, each with a cast where its type does
// not follow. The statement is not run, so conn may be a transaction that is read only, whatever the statement does.
func Explain(ctx context.Context, conn Beginner, statement string) (Plan, error) {
	var p Plan
	err := explained(ctx, conn, statement, func(explain func(options string) ([]string, error)) error {
		lines, err := explain("COSTS OFF")
		if err != nil {
			return err
		}
		p.Text = normalise(strings.Join(lines, "\n"), statement)
		document, err := explain("FORMAT JSON")
		if err != nil {
			return err
		}
		p.Root, err = parse(document)
		return err
	})
	return p, err
}

// Tree is Explain without the text.
func Tree(ctx context.Context, conn Beginner, statement string) (root *Node, err error) {
	err = explained(ctx, conn, statement, func(explain func(options string) ([]string, error)) error {
		document, err := explain("FORMAT JSON")
		if err != nil {
			return err
		}
		root, err = parse(document)
		return err
	})
	return root, err
}

// explained calls do with a function that explains a statement by its generic plan.
func explained(ctx context.Context, conn Beginner, statement string, do func(explain func(options string) ([]string, error)) error) error {
	return rolledBack(ctx, conn, func(tx pgx.Tx) error {
		explain := func(options string) ([]string, error) {
			return simple(ctx, tx, "EXPLAIN (GENERIC_PLAN, "+options+") "+statement)
		}
		if major(tx.Conn()) < 16 {
			call, drop, err := prepare(ctx, tx, statement, generic)
			if err != nil {
				return err
			}
			defer drop()
			explain = func(options string) (lines []string, err error) {
				// one that fails leaves a transaction in which the prepared statement can be dropped
				err = rolledBack(ctx, tx, func(tx pgx.Tx) (err error) {
					lines, err = simple(ctx, tx, "EXPLAIN ("+options+") EXECUTE "+call(nil))
					return err
				})
				return lines, err
			}
		}
		return do(explain)
	})
}

// ExplainFor returns the plan of a statement for the given arguments, as Analyze takes them: the custom plan, which a statement
// gets the first times that it runs, and always where it isn't prepared. The statement is not run. The plan has no text.
func ExplainFor(ctx context.Context, conn Beginner, statement string, args []*string) (Plan, error) {
	var p Plan
	document, err := execute(ctx, conn, statement, custom, args, "FORMAT JSON")
	if err != nil {
		return p, err
	}
	p.Root, err = parse(document)
	return p, err
}

// Verbose returns the text of the generic plan of a statement with the expressions that each node computes. The statement is not
// run.
func Verbose(ctx context.Context, conn Beginner, statement string) (string, error) {
	lines, err := execute(ctx, conn, statement, generic, nil, "VERBOSE, COSTS OFF")
	return strings.Join(lines, "\n"), err
}

var (
	initPlan  = regexp.MustCompile(`(InitPlan \d+) \(returns ((?:\$\d+,?)+)\)`)
	parameter = regexp.MustCompile(`\$\d+`)
)

// normalise turns "InitPlan 3 (returns $6)" into "InitPlan 3", and $6 into (InitPlan 3).col1. A number that is a parameter of
// the statement too stays as it is.
func normalise(text, statement string) string {
	own := parameter.FindAllString(statement, -1)
	names := map[string]string{}
	for _, m := range initPlan.FindAllStringSubmatch(text, -1) {
		for i, number := range strings.Split(m[2], ",") {
			if slices.Contains(own, number) {
				return text
			}
			names[number] = fmt.Sprintf("(%s).col%d", m[1], i+1)
		}
	}
	text = initPlan.ReplaceAllString(text, "$1")
	return parameter.ReplaceAllStringFunc(text, func(number string) string { return cmp.Or(names[number], number) })
}

// Analyze runs a statement with its generic plan, takes back what it did, and returns the plan with what was measured; it
// has no text. The arguments are texts as PostgreSQL reads them, nil for NULL, in the order of the parameters.
func Analyze(ctx context.Context, conn Beginner, statement string, args []*string) (Plan, error) {
	var p Plan
	document, err := execute(ctx, conn, statement, generic, args, "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON")
	if err != nil {
		return p, err
	}
	p.Root, err = parse(document)
	return p, err
}

// AnalyzeText is Analyze for a reader: the plan as EXPLAIN (ANALYZE, BUFFERS) writes it, with costs and times.
func AnalyzeText(ctx context.Context, conn Beginner, statement string, args []*string) (string, error) {
	lines, err := execute(ctx, conn, statement, generic, args, "ANALYZE, BUFFERS")
	return strings.Join(lines, "\n"), err
}

// execute explains a prepared statement; args is nil for all NULL.
func execute(ctx context.Context, conn Beginner, statement string, mode cacheMode, args []*string, options string) ([]string, error) {
	var lines []string
	err := rolledBack(ctx, conn, func(tx pgx.Tx) error {
		var values []string
		if args != nil {
			values = make([]string, len(args))
		}
		for i, a := range args {
			values[i] = "NULL"
			if a != nil {
				quoted, err := tx.Conn().PgConn().EscapeString(*a)
				if err != nil {
					return fmt.Errorf("quote parameter %d: %w", i+1, err)
				}
				values[i] = "'" + quoted + "'"
			}
		}
		call, drop, err := prepare(ctx, tx, statement, mode)
		if err != nil {
			return err
		}
		defer drop()
		// what it did is taken back before the prepared statement is dropped, which a failed transaction could not do
		return rolledBack(ctx, tx, func(tx pgx.Tx) (err error) {
			lines, err = simple(ctx, tx, "EXPLAIN ("+options+") EXECUTE "+call(values))
			return err
		})
	})
	return lines, err
}

// cacheMode is a value of plan_cache_mode.
type cacheMode string

const (
	generic cacheMode = "force_generic_plan"
	custom  cacheMode = "force_custom_plan"
)

// prepare prepares a statement that is run with its generic or its custom plan. call renders what EXECUTE takes: values is as long as
// the statement has parameters, or nil for all NULL. drop must be called before the transaction ends, as behind a pooler
// the next one may be on another server connection.
func prepare(ctx context.Context, tx pgx.Tx, statement string, mode cacheMode) (call func(values []string) string, drop func(), err error) {
	const name = "oauthdb_explained"
	if _, err := simple(ctx, tx, "SET LOCAL plan_cache_mode = "+string(mode)); err != nil {
		return nil, nil, err
	}
	if _, err := simple(ctx, tx, "PREPARE "+name+" AS "+statement); err != nil {
		return nil, nil, err
	}
	drop = func() { _, _ = simple(context.WithoutCancel(ctx), tx, "DEALLOCATE "+name) }
	var params int
	err = tx.QueryRow(ctx, "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = $1", name).Scan(&params)
	if err != nil {
		drop()
		return nil, nil, err
	}
	return func(values []string) string {
		if values == nil {
			for range params {
				values = append(values, "NULL")
			}
		}
		if len(values) == 0 {
			return name
		}
		return name + "(" + strings.Join(values, ", ") + ")"
	}, drop, nil
}

// rolledBack calls do in a transaction that is rolled back, whatever becomes of it.
func rolledBack(ctx context.Context, conn Beginner, do func(pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(tx), tx.Rollback(context.WithoutCancel(ctx)))
}

// simple runs one statement by the simple protocol, which takes PREPARE, EXECUTE and parameters without values, and returns
// the first column.
func simple(ctx context.Context, tx pgx.Tx, statement string) ([]string, error) {
	results, err := tx.Conn().PgConn().Exec(ctx, statement).ReadAll()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, r := range results {
		for _, row := range r.Rows {
			lines = append(lines, string(row[0]))
		}
	}
	return lines, nil
}

func parse(document []string) (*Node, error) {
	var plans []struct{ Plan *Node }
	if err := json.Unmarshal([]byte(strings.Join(document, "\n")), &plans); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	if len(plans) != 1 || plans[0].Plan == nil {
		return nil, errors.New("read the plan: it is not one statement's")
	}
	return plans[0].Plan, nil
}

// major is the server's major version; what is not PostgreSQL's numbering counts as the oldest.
func major(conn *pgx.Conn) int {
	var n int
	_, _ = fmt.Sscan(conn.PgConn().ParameterStatus("server_version"), &n)
	return n
}
