package plan_test

import (
	"regexp"
	"testing"

	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/internal/plan/sample"
	"github.com/oauthdb/oauthdb/internal/queryfile"
)

// A query that is not found is a query that nothing looks at.
func TestQueriesFindsEveryQuery(t *testing.T) {
	t.Parallel()
	found := map[string]plan.Statement{}
	queries, err := plan.Queries("../../store")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		found[q.Name] = q
	}
	written, err := queryfile.ReadDir("../../queries")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range written {
		if found[q.Name].Text == "" {
			t.Errorf("%s of queries/%s is not found in store/", q.Name, q.File)
		}
	}
	if len(written) != len(found) {
		t.Errorf("%d queries in queries/, %d found in store/", len(written), len(found))
	}
}

func TestFunctionStatementReplacesParameters(t *testing.T) {
	t.Parallel()
	f := plan.Function{Args: []string{"ended", ""}, ArgTypes: []string{"session_id", "text"}, Body: `
    -- whose session ended
    SELECT a.ended, ended.id, 'ended', "ended", endedness FROM a WHERE a.session_id = ended AND (ended) IS NOT NULL;
`}
	want := `-- whose session ended
    SELECT a.ended, ended.id, 'ended', "ended", endedness FROM a WHERE a.session_id = $1::session_id AND ($1::session_id) IS NOT NULL`
	if got := f.Statement(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A new table has to get rows, or its queries would be explained on an empty one.
func TestGrowRefusesATableWithoutRows(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE forgotten (id text)"); err != nil {
		t.Fatal(err)
	}
	err := sample.Grow(t.Context(), conn, 0, 100)
	if err == nil || !regexp.MustCompile(`forgotten.*sample\.sql`).MatchString(err.Error()) {
		t.Errorf("got %v", err)
	}
}

func TestExplainDoesNotRun(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	if err := sample.Grow(t.Context(), conn, 0, 100); err != nil {
		t.Fatal(err)
	}
	before, err := sample.Sizes(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Explain(t.Context(), conn, `DELETE FROM "user" AS u WHERE u.id = $1::user_id`)
	if err != nil {
		t.Fatal(err)
	}
	if p.Root.Type != "ModifyTable" || p.Root.Operation != "Delete" || !regexp.MustCompile(`\$1`).MatchString(p.Text) {
		t.Errorf("not the generic plan of a DELETE: %s", p.Text)
	}
	nobody, somebody := "nobody", "usr_00000000000187cb2d9ce6f6cd5da3e8"
	for _, arg := range []*string{&nobody, &somebody, nil} {
		if _, err := plan.Analyze(t.Context(), conn, `DELETE FROM "user" AS u WHERE u.id = $1::user_id OR true`, []*string{arg}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := plan.Analyze(t.Context(), conn, `SELECT 1 / $1::integer`, []*string{ptr("0")}); err == nil {
		t.Error("no error of the statement")
	}
	if _, err := plan.Analyze(t.Context(), conn, `SELECT $1::text`, []*string{ptr(`it's; DROP TABLE "user"`)}); err != nil {
		t.Error(err)
	}
	sizes, err := sample.Sizes(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if sizes["user"] != before["user"] || sizes["user"] == 0 {
		t.Errorf("%d of %d users are left", sizes["user"], before["user"])
	}
	var prepared int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements WHERE from_sql").Scan(&prepared); err != nil || prepared != 0 {
		t.Errorf("%d prepared statements are left, %v", prepared, err)
	}
}

func ptr[T any](v T) *T { return &v }
