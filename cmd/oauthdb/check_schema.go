package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/routines"
)

// tableNames are the names of the tables that the migrations make.
func tableNames() ([]string, error) {
	expected, err := catalog.Objects()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, o := range expected {
		if o.Kind == "table" {
			names = append(names, o.Name)
		}
	}
	return names, nil
}

func checkSearchPath(ctx context.Context, i *inspection) error {
	names, err := tableNames()
	if err != nil {
		return err
	}
	rows, err := i.Query(ctx, `
		SELECT coalesce(n.nspname::text, ''), t.name, coalesce((
		    SELECT string_agg(m.nspname, ', ' ORDER BY array_position(current_schemas(true), m.nspname))
		    FROM pg_class AS d JOIN pg_namespace AS m ON m.oid = d.relnamespace
		    WHERE d.relname = t.name AND m.nspname = ANY (current_schemas(true)) AND m.oid <> n.oid
		), '')
		FROM unnest($1::text[]) AS t (name)
		LEFT JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(t.name))
		LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace`, names)
	if err != nil {
		return err
	}
	in := map[string][]string{}
	var twice []string
	var schema, table, others string
	if _, err := pgx.ForEachRow(rows, []any{&schema, &table, &others}, func() error {
		in[schema] = append(in[schema], table)
		if others != "" {
			twice = append(twice, table+" (in "+others+", too)")
		}
		return nil
	}); err != nil {
		return err
	}
	var path string
	if err := one(ctx, i, `SELECT current_setting('search_path')`, &path); err != nil {
		return err
	}
	missing := in[""]
	delete(in, "")
	if len(in) == 0 {
		i.fail("run 'oauthdb migrate'; or set search_path to the schema that has them: ALTER ROLE … SET search_path", "search_path is %s, and none of the tables is found by it", path)
		return nil
	}
	var schemas []string
	for name := range in {
		schemas = append(schemas, name)
	}
	slices.SortFunc(schemas, func(a, b string) int { return len(in[b]) - len(in[a]) })
	i.schema = schemas[0]
	if len(schemas) > 1 {
		i.fail("set search_path to one schema of oauthdb's, and pg_temp after it", "search_path is %s, and finds tables in more than one schema: %s of %s", path, some(in[schemas[1]]), schemas[1])
	}
	if len(twice) > 0 {
		i.warn("set search_path to the one schema that counts", "there is more than one table by the name of %s; that of %s counts", some(twice), i.schema)
	}
	if len(missing) > 0 && len(schemas) == 1 {
		i.say(statusUnknown, "see the check schema", "%s can't be found", some(missing))
	}
	if len(schemas) == 1 && len(twice) == 0 && len(missing) == 0 {
		i.ok("the tables are in the schema %s", i.schema)
	}
	return nil
}

func checkSchema(ctx context.Context, i *inspection) error {
	handle, err := i.server.sql(ctx)
	if err != nil {
		return err
	}
	defer handle.Close()
	files, err := migrations.Status(ctx, handle, migrations.Options{})
	if changed := (*migrations.ChangedError)(nil); errors.As(err, &changed) {
		i.fail("use the release that applied it", "%s", changed.Error())
		return nil
	} else if err != nil {
		return err
	}
	var pending, newer []string
	for _, f := range files {
		switch {
		case f.Name == "":
			newer = append(newer, fmt.Sprint(f.Version))
		case !f.Applied:
			pending = append(pending, f.Name)
		}
	}
	i.objects = len(pending) == 0 && len(newer) == 0
	switch {
	case len(pending) > 0:
		i.fail("run 'oauthdb migrate' before the servers of this release start", "%s pending: %s", plural(len(pending), "migration is", "migrations are"), some(pending))
	case len(newer) > 0:
		i.warn("use the newer release of this command", "a newer release has migrated the schema, to version %s", newer[len(newer)-1])
	default:
		i.ok("at version %d, that of this release", files[len(files)-1].Version)
	}
	return nil
}

func checkObjects(ctx context.Context, i *inspection) error {
	if !i.objects || i.schema == "" {
		i.say(statusUnknown, "see the checks search_path and schema", "the schema is not that of this release")
		return nil
	}
	expected, err := catalog.Objects()
	if err != nil {
		return err
	}
	var document string
	if err := i.QueryRow(ctx, catalog.ObjectsQuery, i.schema).Scan(&document); err != nil {
		return err
	}
	actual, err := catalog.ReadObjects(document)
	if err != nil {
		return err
	}
	before := len(i.found)
	compareObjects(i, expected, actual)
	if err := compareFunctions(ctx, i); err != nil {
		return err
	}
	if len(i.found) == before {
		i.ok("all %d tables, columns, indexes, constraints, triggers and functions are there", len(expected))
	}
	return nil
}

// compareObjects says what is amiss. Objects that are not expected are somebody else's, unless they are indexes that aren't valid.
func compareObjects(i *inspection, expected, actual []catalog.Object) {
	type key struct{ kind, table, name string }
	there := map[key]catalog.Object{}
	for _, o := range actual {
		there[key{o.Kind, o.Table, o.Name}] = o
	}
	for _, want := range expected {
		k := key{want.Kind, want.Table, want.Name}
		got, ok := there[k]
		delete(there, k)
		on := want.Kind + " " + want.Name
		if want.Table != "" {
			on += " of " + want.Table
		}
		switch {
		case !ok && want.Kind == "index":
			i.fail(strings.Replace(want.Definition, " INDEX ", " INDEX CONCURRENTLY ", 1), "the %s is missing", on)
		case !ok:
			i.fail("restore it from a backup, or from the migration that makes it", "the %s is missing", on)
		case got.Amiss == "invalid":
			i.fail("REINDEX INDEX CONCURRENTLY "+want.Name, "the %s is invalid: it is kept up to date and not used, and if it is unique, it may not hold", on)
		case want.Kind == "table" && got.Amiss == "unlogged":
			i.fail(fmt.Sprintf("ALTER TABLE %s SET LOGGED", pgx.Identifier{want.Name}.Sanitize()), "the %s is unlogged: a crash empties it, and no standby has it", on)
		case want.Kind == "table" && got.Amiss == "under row security":
			i.fail(fmt.Sprintf("ALTER TABLE %s DISABLE ROW LEVEL SECURITY", pgx.Identifier{want.Name}.Sanitize()), "the %s is under row security: calls don't see rows that are there", on)
		case want.Kind == "table" && got.Amiss != "":
			i.fail("DROP RULE: pg_rules lists them", "the %s is %s: what a call writes may be dropped", on, got.Amiss)
		case want.Kind == "constraint" && got.Amiss == "disabled":
			i.fail(fmt.Sprintf("ALTER TABLE %s ENABLE TRIGGER ALL, and look for rows that it would have refused", pgx.Identifier{want.Table}.Sanitize()), "the %s is disabled", on)
		case got.Amiss == "disabled":
			i.fail(fmt.Sprintf("ALTER TABLE %s ENABLE TRIGGER %s", pgx.Identifier{want.Table}.Sanitize(), want.Name), "the %s is disabled", on)
		case got.Amiss != "":
			i.warn(fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", pgx.Identifier{want.Table}.Sanitize(), want.Name), "the %s is %s", on, got.Amiss)
		case got.Definition != want.Definition && want.Kind == "index":
			i.warn("drop it, and make it anew: "+want.Definition, "the %s is another one: %s", on, got.Definition)
		case got.Definition != want.Definition && want.Kind == "column":
			i.fail("make it again as the migration that makes it does", "the %s is %s, not %s", on, got.Definition, want.Definition)
		case got.Definition != want.Definition:
			i.fail("restore it from the migration that makes it", "the %s is not that of this release: somebody has changed it", on)
		}
	}
	for _, o := range actual {
		if _, left := there[key{o.Kind, o.Table, o.Name}]; left && o.Kind == "index" && o.Amiss == "invalid" {
			i.warn("REINDEX INDEX CONCURRENTLY or DROP INDEX "+o.Name, "the index %s of %s is invalid: it costs writes and serves nothing", o.Name, o.Table)
		}
	}
}

// compareFunctions makes each function once more among the temporary objects of a transaction that is rolled back, and compares what
// PostgreSQL keeps of the two. The form in which it keeps a body that is SQL depends on its version, so no list could have it.
func compareFunctions(ctx context.Context, i *inspection) error {
	const advice = "look again as the owner of the tables"
	var may bool
	if err := one(ctx, i, `SELECT has_database_privilege(current_database(), 'TEMPORARY') AND NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean`, &may); err != nil {
		return err
	}
	if !may {
		i.say(statusUnknown, advice, "whether somebody has changed a function can't be told on a server that only reads, or without the right to make temporary ones")
		return nil
	}
	tx, err := i.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, routines.Temporary(), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		SELECT p.proname::text
		FROM pg_proc AS p
		JOIN pg_proc AS t ON t.proname = p.proname AND t.proargtypes = p.proargtypes AND t.pronamespace = pg_my_temp_schema()
		WHERE p.pronamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = $1::text)
		    AND (p.prosrc, pg_get_function_sqlbody(p.oid), pg_get_function_result(p.oid), p.provolatile, p.prosecdef, p.proisstrict, p.proleakproof, p.proconfig IS NULL)
		        IS DISTINCT FROM (t.prosrc, pg_get_function_sqlbody(t.oid), pg_get_function_result(t.oid), t.provolatile, t.prosecdef, t.proisstrict, t.proleakproof, t.proconfig IS NULL)
		ORDER BY 1`, i.schema)
	if err != nil {
		return err
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		i.fail("restore it from the migration that makes it", "not as this release makes it is the function %s: somebody has changed it", some(changed))
	}
	return nil
}

func checkRole(ctx context.Context, i *inspection) error {
	var user string
	var super, owner, temp bool
	err := one(ctx, i, `
		SELECT current_user, r.rolsuper,
		    EXISTS (SELECT FROM pg_class AS c WHERE c.oid = to_regclass('oauth_client') AND pg_has_role(current_user, c.relowner, 'USAGE')),
		    has_database_privilege(current_database(), 'TEMPORARY')
		FROM pg_roles AS r
		WHERE r.rolname = current_user`, &user, &super, &owner, &temp)
	if err != nil {
		return err
	}
	const advice = "give servers a role of their own: 'oauthdb roles' prints the SQL, docs/privileges.md explains it"
	switch {
	case super:
		i.warn(advice, "%s is a superuser", user)
	case owner:
		i.ok("%s owns the tables: right for migrations; servers need less (docs/privileges.md)", user)
	case temp:
		i.warn("run 'oauthdb roles -create', which takes it from PUBLIC", "%s may create temporary tables, which hide those of the schema", user)
	default:
		i.ok("%s neither owns the tables nor is a superuser", user)
	}
	return nil
}

// collecting are the names of the collector's calls.
var collecting = regexp.MustCompile(`^(DeleteExpired|DeleteDead|DeleteEnded|DeleteSpent|Mark|Sweep|Erase)`)

func checkCalls(ctx context.Context, i *inspection) error {
	if i.quick {
		return nil
	}
	reviewed, err := catalog.Reviewed()
	if err != nil {
		return err
	}
	if i.schema == "" {
		i.say(statusUnknown, "see the check search_path", "the tables can't be found")
		return nil
	}
	rows, err := i.Query(ctx, `
		SELECT c.relname::text, c.reltuples::bigint
		FROM pg_class AS c
		JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname = $1::text AND c.relkind = 'r' AND c.reltuples >= $2::bigint`, i.schema, large)
	if err != nil {
		return err
	}
	i.large, i.reads = map[string]int64{}, map[string][]string{}
	var table string
	var size int64
	if _, err := pgx.ForEachRow(rows, []any{&table, &size}, func() error {
		i.large[table] = size
		return nil
	}); err != nil {
		return err
	}
	denied, broken := map[bool][]string{}, []string{}
	allowed := map[bool]int{}
	for _, q := range reviewed.Queries {
		root, err := plan.Tree(ctx, i.Conn, q.Statement)
		var refused *pgconn.PgError
		switch {
		case err == nil:
			allowed[collecting.MatchString(q.Name)]++
			for _, fault := range plan.Judge(plan.Sized{}, plan.Sized{Plan: root, Sizes: i.large}) {
				table := strings.Fields(strings.TrimPrefix(fault.Node, "Seq Scan on "))[0]
				if fault.Rule == plan.NoSeqScan && !slices.Contains(i.reads[table], q.Name) {
					i.reads[table] = append(i.reads[table], q.Name)
				}
			}
		case errors.As(err, &refused) && refused.Code == "42501":
			denied[collecting.MatchString(q.Name)] = append(denied[collecting.MatchString(q.Name)], q.Name)
		case errors.As(err, &refused):
			broken = append(broken, fmt.Sprintf("%s (%s)", q.Name, refused.Message))
		default:
			return err
		}
	}
	const advice = "as the owner: oauthdb roles | psql; docs/privileges.md"
	of := func(collector bool) string {
		if collector {
			return "the collector"
		}
		return "a server"
	}
	if len(broken) > 0 {
		i.fail("see the checks schema and objects", "calls that the schema doesn't support: %s", some(broken))
	}
	for _, collector := range []bool{false, true} {
		if len(denied[collector]) > 0 && allowed[collector] > 0 && allowed[collector] >= len(denied[collector]) {
			i.fail(advice, "the role may make most calls of %s, but not %s", of(collector), some(denied[collector]))
		}
	}
	switch servers, collector := len(denied[false]) == 0, len(denied[true]) == 0; {
	case len(broken) > 0:
	case servers && collector:
		i.ok("the role may make all %d calls", len(reviewed.Queries))
	case servers:
		i.ok("the role may make the calls of a server, and not those of the collector")
	case collector:
		i.ok("the role may make the calls of the collector, and not those of a server")
	case allowed[false] < len(denied[false]) && allowed[true] < len(denied[true]):
		i.warn(advice, "the role may make neither the calls of a server nor those of the collector")
	}
	return nil
}

// large is how many rows a table has that no call may read from end to end.
const large = 10_000

// checkPlans says what checkCalls has seen. What else the rules of package plan ask for needs two databases of different sizes.
func checkPlans(_ context.Context, i *inspection) error {
	if i.quick {
		return nil
	}
	if i.reads == nil {
		i.say(statusUnknown, "see the check search_path", "the tables can't be found")
		return nil
	}
	if len(i.reads) == 0 {
		i.ok("no call reads a table of %d rows or more from end to end", large)
		return nil
	}
	for _, table := range slices.Sorted(maps.Keys(i.reads)) {
		calls := i.reads[table]
		i.warn(fmt.Sprintf("ANALYZE it; set random_page_cost = 1.1 on solid-state disks; 'oauthdb explain %s' compares the plan", calls[0]),
			"%s has %d rows, and is read from end to end by %s", table, i.large[table], some(calls))
	}
	return nil
}
