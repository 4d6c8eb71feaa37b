package privileges

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needed is what the calls of a role need, by the facts that reviewers see: "INSERT session", "UPDATE session.ended_at". What a foreign
// key does is done by the owner of its tables. Of SELECT it names tables only; columns are the matter of
// TestCollectorReadsNoColumnThatItDoesNotNeed.
func needed(t *testing.T, role fixture.Role) []string {
	t.Helper()
	facts, err := catalog.Reviewed()
	if err != nil {
		t.Fatal(err)
	}
	all, locked, updated := map[string]bool{"SELECT oauthdb_version": true}, map[string]bool{}, map[string]bool{}
	for _, q := range facts.Queries {
		if fixture.RoleOf(q.Name) != role {
			continue
		}
		for _, a := range slices.Concat(q.Reads, q.Writes) {
			switch {
			case strings.HasPrefix(a.Through, "foreign key "):
			case a.How == "update":
				if len(a.Columns) == 0 {
					t.Errorf("%s updates no column of %s", q.Name, a.Table)
				}
				for _, c := range a.Columns {
					all["UPDATE "+a.Table+"."+c] = true
				}
				updated[a.Table] = true
			case a.How == "insert":
				all["INSERT "+a.Table], all["SELECT "+a.Table] = true, true // ON CONFLICT and RETURNING read
			default:
				all[strings.ToUpper(a.How)+" "+a.Table] = true
			}
		}
		for _, l := range q.Locks {
			if !strings.HasPrefix(l.Through, "foreign key ") && strings.HasPrefix(l.By, "FOR ") {
				locked[l.Table] = true
			}
		}
	}
	for table := range locked {
		if !updated[table] { // a lock asks for an UPDATE of some column
			all["UPDATE "+table+".updated_at"] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// given is what a role has, in the same words, and EXECUTE, USAGE and the like of anything else in the schema. With columns, it names
// the columns of SELECT.
func given(t *testing.T, d *fixture.World, role fixture.Role, columns bool) []string {
	t.Helper()
	lines := fixture.CatalogLines(t, d.Pool, `
		WITH grantee AS (SELECT oid FROM pg_roles WHERE rolname = session_user || '_' || $1)
		SELECT a.privilege_type || ' ' || c.relname
		FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a JOIN grantee AS g ON g.oid = a.grantee
		WHERE c.relnamespace = 'public'::regnamespace
		UNION
		SELECT a.privilege_type || ' ' || c.relname || CASE WHEN a.privilege_type = 'UPDATE' OR $2 THEN '.' || k.attname ELSE '' END
		FROM pg_class AS c JOIN pg_attribute AS k ON k.attrelid = c.oid
		CROSS JOIN aclexplode(k.attacl) AS a JOIN grantee AS g ON g.oid = a.grantee
		WHERE c.relnamespace = 'public'::regnamespace
		UNION
		SELECT a.privilege_type || ' ON ' || p.proname
		FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a JOIN grantee AS g ON g.oid = a.grantee
		UNION
		SELECT a.privilege_type || ' ON schema'
		FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS a JOIN grantee AS g ON g.oid = a.grantee AND a.privilege_type <> 'USAGE'
		ORDER BY 1`, string(role), columns)
	return lines
}

func TestEachRoleHasWhatItsCallsNeedAndNoMore(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 1, fixture.WithRoles)
	for _, role := range []fixture.Role{fixture.Application, fixture.Collector} {
		want := needed(t, role)
		if len(want) < 40 {
			t.Errorf("the calls of the %s need only %q", role, want)
		}
		fixture.SameLines(t, string(role), want, given(t, w, role, false))
	}
	for _, line := range given(t, w, fixture.Auditor, true) {
		if !strings.HasPrefix(line, "SELECT ") {
			t.Errorf("the auditor has %s", line)
		}
	}
	for _, line := range given(t, w, fixture.Collector, false) {
		if strings.HasPrefix(line, "INSERT ") {
			t.Errorf("the collector has %s", line)
		}
	}
}

// Without any of the columns that the collector may read, one of its calls is refused.
func TestCollectorReadsNoColumnThatItDoesNotNeed(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 2, fixture.WithRoles)
	facts, err := catalog.Reviewed()
	if err != nil {
		t.Fatal(err)
	}
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer tx.Rollback(w.Ctx)
	exec := func(format string, args ...any) error {
		_, err := tx.Exec(w.Ctx, fmt.Sprintf(format, args...))
		return err
	}
	var collector string
	w.OK(tx.QueryRow(w.Ctx, `SELECT session_user || '_collector'`).Scan(&collector))
	explain := map[string][]string{} // by table
	for _, q := range facts.Queries {
		if fixture.RoleOf(q.Name) != fixture.Collector {
			continue
		}
		w.OK(exec("PREPARE %s AS %s", q.Name, q.Statement))
		nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(q.Params)), ", ")
		for _, a := range slices.Concat(q.Reads, q.Writes) {
			statement := fmt.Sprintf("EXPLAIN EXECUTE %s (%s)", q.Name, nulls)
			if a.Through == "" && !slices.Contains(explain[a.Table], statement) {
				explain[a.Table] = append(explain[a.Table], statement)
			}
		}
	}
	tried := 0
	for _, line := range given(t, w, fixture.Collector, true) {
		table, column, found := strings.Cut(strings.TrimPrefix(line, "SELECT "), ".")
		if !strings.HasPrefix(line, "SELECT ") || !found {
			continue
		}
		tried++
		w.OK(exec("SAVEPOINT given"))
		w.OK(exec("REVOKE SELECT (%s) ON %s FROM %s", column, pgx.Identifier{table}.Sanitize(), collector))
		w.OK(exec("SET LOCAL ROLE %s", collector))
		refused := slices.ContainsFunc(explain[table], func(statement string) bool {
			w.OK(exec("SAVEPOINT tried"))
			if exec("%s", statement) == nil {
				return false
			}
			w.OK(exec("ROLLBACK TO tried"))
			return true
		})
		if !refused {
			t.Errorf("no call of the collector needs %s of %s", column, table)
		}
		w.OK(exec("ROLLBACK TO given"))
	}
	if tried < 50 {
		t.Errorf("only %d columns were tried", tried)
	}
}
