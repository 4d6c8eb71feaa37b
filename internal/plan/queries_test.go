package plan_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/internal/plan/sample"
	"github.com/oauthdb/oauthdb/internal/testdb"
)

const ordinarySize = 10_000

var size = flag.Int("size", ordinarySize, "rows in the larger of the two databases that plans are compared on")

// TestPlans holds the generic and the custom plan of every query, of every statement that functions and triggers run meanwhile, and of
// every foreign key's action to the rules of the package, and what each query reads to the rule Buffers, on two sizes of one database.
// Then it takes indexes away, to see that each rule can fail.
func TestPlans(t *testing.T) {
	t.Parallel()
	small, large := min(*size/200*100, ordinarySize), *size
	conn, nested := connectAndListen(t)
	statements := statements(t, conn)
	grow(t, conn, 0, small)
	before := newSurvey(t, conn, nested, statements)
	grow(t, conn, small, large)
	after := newSurvey(t, conn, nested, statements)
	if large > ordinarySize {
		report(before, after)
	}

	broken := map[plan.Exception]bool{}
	for _, s := range statements {
		t.Run(s.Name, func(t *testing.T) {
			for _, f := range after.faults(before, s) {
				key := plan.Exception{Statement: s.Name, Rule: f.Rule}
				broken[key] = true
				if !excepted(key) {
					t.Error(f)
				}
			}
			if t.Failed() {
				t.Logf("the plan with %d rows:\n%s", large, after.of[s.Name].plan.Text)
			}
		})
	}
	for _, e := range plan.Exceptions {
		if e.Rule == plan.Buffers && large == ordinarySize {
			continue // it takes a larger database to tell
		}
		if !broken[plan.Exception{Statement: e.Statement, Rule: e.Rule}] {
			t.Errorf("%s keeps the rule %q: take the exception out of internal/plan/exceptions.go", e.Statement, e.Rule)
		}
	}

	t.Run("without a condition", func(t *testing.T) {
		s := plan.Statement{Name: "all users", Text: `SELECT u.created_at, u.id FROM "user" AS u ORDER BY u.created_at, u.id`}
		for _, v := range []*survey{before, after} {
			if err := v.measure(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		found := after.faults(before, s)
		if !slices.ContainsFunc(found, func(f plan.Fault) bool { return f.Rule == plan.IndexCondition }) {
			t.Errorf("no fault against %q in %v; the plan:\n%s", plan.IndexCondition, found, after.of[s.Name].plan.Text)
		}
	})

	t.Run("every function is looked at", func(t *testing.T) { everyFunctionIsLookedAt(t, conn, after) })

	for _, bite := range []struct {
		rule      plan.Rule
		statement string
		lost      string
	}{
		{plan.NoSeqScan, "FindSessionByToken", "ALTER TABLE session DROP CONSTRAINT session_token_uidx"},
		{plan.NoSeqScan, "FindUserByEmail", "DROP INDEX user_email_uidx"},
		{plan.NoSeqScan, "DeleteExpiredRefreshTokens", "DROP INDEX oauth_access_token_refresh_id_idx"},
		{plan.NoSeqScan, "ON DELETE of oauth_access_token_refresh_id_fkey", "DROP INDEX oauth_access_token_refresh_id_idx"},
		{plan.NoSeqScan, "function end_user_sessions", "DROP INDEX session_user_id_idx"},
		{plan.NoSeqScan, "EndSession", "ALTER TABLE session_client DROP CONSTRAINT session_client_session_client_uidx"}, // in end_sessions
		{plan.NoGrowth, "another server's rotation", "ALTER TABLE session DROP CONSTRAINT session_pkey CASCADE"},        // in refuse_dead_rotation
		{plan.NoGrowth, "ListUsers", "DROP INDEX user_created_at_idx"},
		{plan.Buffers, "FindConsent", "ALTER TABLE oauth_consent DROP CONSTRAINT oauth_consent_client_user_uidx; DROP INDEX oauth_consent_user_id_idx"},
	} {
		t.Run("without an index/"+bite.statement, func(t *testing.T) {
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			if _, err := tx.Exec(t.Context(), bite.lost, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
			s := statements[slices.IndexFunc(statements, func(s plan.Statement) bool { return s.Name == bite.statement })]
			without := *after
			without.conn, without.of = tx, map[string]measured{}
			if err := without.measure(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			found := without.faults(before, s)
			if !slices.ContainsFunc(found, func(f plan.Fault) bool { return f.Rule == bite.rule }) {
				t.Errorf("after %s, no fault against %q in %v; the plan:\n%s", bite.lost, bite.rule, found, without.of[s.Name].plan.Text)
			}
		})
	}
}

func excepted(key plan.Exception) bool {
	return slices.ContainsFunc(plan.Exceptions, func(e plan.Exception) bool {
		return e.Statement == key.Statement && e.Rule == key.Rule
	})
}

// connect returns a connection to a migrated database of the test's own, with the planner's settings fixed.
func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), testdb.New(t, testdb.Options{}).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if err := plan.Settings(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

func statements(t *testing.T, conn *pgx.Conn) []plan.Statement {
	t.Helper()
	queries, err := plan.Queries("../../store")
	if err != nil {
		t.Fatal(err)
	}
	actions, err := plan.Actions(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(queries, called, actions)
}

func grow(t *testing.T, conn *pgx.Conn, from, to int) {
	t.Helper()
	begin := time.Now()
	if err := sample.Grow(t.Context(), conn, from, to); err != nil {
		t.Fatal(err)
	}
	t.Logf("filled from %d to %d rows in %v", from, to, time.Since(begin).Round(time.Millisecond))
}

// database is a connection or a transaction.
type database interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error)
}

// survey is what became of each statement on a database of some size.
type survey struct {
	conn    database
	nested  *nested
	sizes   map[string]int64   // rows of each table
	indexes map[string]float64 // how many each table has
	focus   map[string]string
	of      map[string]measured // by the statement's name
}

// measured is a statement's plan and, but for the actions of foreign keys, what running it took.
type measured struct {
	plan    plan.Plan
	custom  *plan.Node
	nested  []within
	buffers int64   // pages read
	more    float64 // how many more a larger database explains, in which indexes are higher and rows farther apart
}

func newSurvey(t *testing.T, conn *pgx.Conn, nested *nested, statements []plan.Statement) *survey {
	t.Helper()
	v := survey{conn: conn, nested: nested, of: map[string]measured{}}
	var err error
	if v.sizes, err = sample.Sizes(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if v.indexes, err = indexCount(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if v.focus, err = focus(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if err := v.measure(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return &v
}

// measure explains a statement and runs it.
func (v *survey) measure(ctx context.Context, s plan.Statement) error {
	explained, err := plan.Explain(ctx, v.conn, s.Text)
	if err != nil {
		return fmt.Errorf("%s: explain: %w", s.Name, err)
	}
	m := measured{plan: explained}
	if !strings.HasPrefix(s.Name, "ON DELETE") {
		const advice = "Give it arguments that find something in internal/plan/arguments_test.go."
		types, err := parameters(ctx, v.conn, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		args := arguments(s, types, v.focus)
		if custom, err := plan.ExplainFor(ctx, v.conn, s.Text, args); err == nil {
			m.custom = custom.Root
		} else {
			return fmt.Errorf("%s: explain: %w", s.Name, err)
		}
		var ran plan.Plan
		for range 2 { // the first time, it reads the catalog too
			v.nested.take()
			if ran, err = plan.Analyze(ctx, v.conn, s.Text, args); err != nil {
				return fmt.Errorf("%s: it cannot be measured: %w\n%s", s.Name, err, advice)
			}
		}
		m.nested = v.nested.take()
		m.buffers = ran.Root.Hit + ran.Root.Read
		for _, w := range m.nested {
			v.walk(w.plan, &m.more)
		}
		if wrote, writes := v.walk(ran.Root, &m.more); writes && wrote == 0 || !writes && ran.Root.ActualRows == 0 {
			return fmt.Errorf("%s: it found no row to read or to write, so that nothing is measured.\n%s", s.Name, advice)
		}
	}
	v.of[s.Name] = m
	return nil
}

// walk counts the rows that a plan has written, and the pages that it would read if every index were one level higher and every
// row on a page of its own: one for each time that a scan of an index began, for each row that it found, and for each index of
// a row that was written.
func (v *survey) walk(root *plan.Node, more *float64) (wrote float64, writes bool) {
	for n := range root.All() {
		switch {
		case n.Index != "":
			*more += n.ActualLoops * (1 + n.ActualRows + n.Removed)
		case n.Type == "ModifyTable":
			writes = true
			for _, p := range n.Plans {
				if p.Relationship == "Outer" {
					wrote += p.ActualRows * p.ActualLoops
					*more += p.ActualRows * p.ActualLoops * v.indexes[n.Relation]
				}
			}
		}
	}
	return wrote, writes
}

// faults are all that a statement does wrong in the larger of two databases.
func (v *survey) faults(smaller *survey, s plan.Statement) []plan.Fault {
	before, after := smaller.of[s.Name], v.of[s.Name]
	found := plan.Judge(
		plan.Sized{Plan: before.plan.Root, Sizes: smaller.sizes},
		plan.Sized{Plan: after.plan.Root, Sizes: v.sizes},
	)
	if after.custom != nil {
		for _, f := range plan.Judge(plan.Sized{Plan: before.custom, Sizes: smaller.sizes}, plan.Sized{Plan: after.custom, Sizes: v.sizes}) {
			// told the arguments, the planner rightly sorts the hundred rows that a small database has
			if f.Rule != plan.NoGrowth || *size > ordinarySize {
				f.Node += " (custom plan)"
				found = append(found, f)
			}
		}
	}
	for _, w := range after.nested {
		small := plan.Sized{Sizes: smaller.sizes}
		if i := slices.IndexFunc(before.nested, func(b within) bool { return b.text == w.text }); i >= 0 {
			small.Plan = before.nested[i].plan
		}
		for _, f := range plan.Judge(small, plan.Sized{Plan: w.plan, Sizes: v.sizes}) {
			f.Node += " within " + strings.Join(strings.Fields(w.text), " ")
			found = append(found, f)
		}
	}
	// The larger database is measured with another user, so half as many again pass. What grows with the table grows a
	// hundredfold.
	if allowed := float64(before.buffers)*1.5 + before.more; float64(after.buffers) > allowed {
		found = append(found, plan.Fault{
			Rule: plan.Buffers, Node: "the whole statement",
			Why: fmt.Sprintf("it reads %d pages where the database is small and %d where it is large; higher indexes and rows that are farther apart explain %.0f",
				before.buffers, after.buffers, allowed),
		})
	}
	return found
}

// report prints what was measured.
func report(before, after *survey) {
	fmt.Printf("%-36s %10s %10s %10s\n", "pages read of a database that is", "small", "large", "(at most)")
	for _, name := range slices.Sorted(maps.Keys(before.of)) {
		if b, a := before.of[name], after.of[name]; a.buffers > 0 {
			fmt.Printf("%-36s %10d %10d %10.0f\n", name, b.buffers, a.buffers, float64(b.buffers)*1.5+b.more)
		}
	}
}

// parameters are the types of a statement's parameters.
func parameters(ctx context.Context, conn database, s plan.Statement) ([]string, error) {
	d, err := conn.Prepare(ctx, "", s.Text)
	if err != nil {
		return nil, err
	}
	if len(d.ParamOIDs) != len(s.Args) {
		return nil, fmt.Errorf("%d parameters, and %d are passed", len(d.ParamOIDs), len(s.Args))
	}
	rows, err := conn.Query(ctx, "SELECT format_type(t.oid, NULL) FROM unnest($1::oid[]) WITH ORDINALITY AS t (oid, n) ORDER BY t.n", d.ParamOIDs)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func indexCount(ctx context.Context, conn database) (map[string]float64, error) {
	rows, err := conn.Query(ctx, "SELECT c.relname::text, count(*)::float8 FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indrelid GROUP BY c.relname")
	if err != nil {
		return nil, err
	}
	counts := map[string]float64{}
	var name string
	var n float64
	_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
		counts[name] = n
		return nil
	})
	return counts, err
}
