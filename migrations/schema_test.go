package migrations_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/migrations"
)

// emptyDatabase creates a database without any schema, and returns a way to it as the superuser, its URL and the server.
func emptyDatabase(t *testing.T) (*sql.DB, string, *devdb.Cluster) {
	t.Helper()
	cluster, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test})
	if err != nil {
		t.Fatal(err)
	}
	admin := connect(t, cluster.URL)
	name := "schema_" + strings.ToLower(rand.Text())
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(cluster.URL)
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	u.Path = "/" + name
	return connect(t, u.String()), u.String(), cluster
}

func connect(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// fingerprintSQL describes everything in the database that migrations can make, a line for each thing, but for the version
// table and the rows in any table. Columns are described in their order. TestFingerprintSeesWhatMigrationsCanDo holds it to that.
const fingerprintSQL = `
	WITH relation AS (
		SELECT c.*
		FROM pg_class AS c
		JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	)
	SELECT format('schema %s owner %s %s', n.nspname, n.nspowner::regrole, n.nspacl)
	FROM pg_namespace AS n
	WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	UNION ALL
	SELECT format('relation %s %s %s %s %s %s %s %s owner %s method %s tablespace %s partition %s',
		r.oid::regclass, r.relkind, r.relpersistence, r.relreplident, r.relrowsecurity, r.relforcerowsecurity, r.reloptions, r.relacl,
		r.relowner::regrole, (SELECT m.amname FROM pg_am AS m WHERE m.oid = r.relam),
		(SELECT s.spcname FROM pg_tablespace AS s WHERE s.oid = r.reltablespace), pg_get_expr(r.relpartbound, r.oid))
	FROM relation AS r
	UNION ALL
	SELECT format('inherits %s %s from %s', i.inhrelid::regclass, i.inhseqno, i.inhparent::regclass)
	FROM pg_inherits AS i
	UNION ALL
	SELECT format('column %s %s %s %s not null %s default %s collation %s identity %s generated %s storage %s compression %s statistics %s %s %s',
		r.oid::regclass, row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
		a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation, a.attidentity, a.attgenerated,
		a.attstorage, a.attcompression, nullif(a.attstattarget, -1), a.attoptions, a.attacl)
	FROM relation AS r
	JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	UNION ALL
	SELECT format('index %s %s valid %s ready %s clustered %s replica identity %s',
		i.indrelid::regclass, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisclustered, i.indisreplident)
	FROM pg_index AS i
	JOIN relation AS r ON r.oid = i.indexrelid
	UNION ALL
	SELECT format('sequence %s %s start %s increment %s min %s max %s cache %s cycle %s',
		s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
	FROM pg_sequence AS s
	UNION ALL
	SELECT format('constraint %s %s %s %s valid %s', c.conrelid::regclass, c.contypid::regtype, c.conname, pg_get_constraintdef(c.oid), c.convalidated)
	FROM pg_constraint AS c
	JOIN pg_namespace AS n ON n.oid = c.connamespace
	WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	UNION ALL
	SELECT format('trigger %s %s enabled %s', g.tgrelid::regclass, pg_get_triggerdef(g.oid), g.tgenabled)
	FROM pg_trigger AS g
	WHERE NOT g.tgisinternal
	UNION ALL
	SELECT format('type %s %s base %s not null %s default %s collation %s labels %s owner %s %s',
		t.oid::regtype, t.typtype, t.typbasetype::regtype, t.typnotnull, t.typdefault, t.typcollation::regcollation,
		(SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid), t.typowner::regrole, t.typacl)
	FROM pg_type AS t
	JOIN pg_namespace AS n ON n.oid = t.typnamespace
	WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	UNION ALL
	SELECT format('function %s owner %s %s', p.proacl, p.proowner::regrole, CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE p.proname::text END)
	FROM pg_proc AS p
	JOIN pg_namespace AS n ON n.oid = p.pronamespace
	WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	UNION ALL
	SELECT format('policy %s on %s %s %s for %s using %s with check %s', p.polname, p.polrelid::regclass, p.polcmd, p.polpermissive,
		p.polroles, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
	FROM pg_policy AS p
	UNION ALL
	SELECT format('rule %s enabled %s', pg_get_ruledef(w.oid), w.ev_enabled)
	FROM pg_rewrite AS w
	WHERE w.oid >= 16384
	UNION ALL
	SELECT format('statistics %s target %s', pg_get_statisticsobjdef(s.oid), nullif((to_jsonb(s) ->> 'stxstattarget')::integer, -1))
	FROM pg_statistic_ext AS s
	UNION ALL
	SELECT format('default privileges of %s in %s on %s: %s', d.defaclrole::regrole, d.defaclnamespace::regnamespace, d.defaclobjtype, d.defaclacl)
	FROM pg_default_acl AS d
	UNION ALL
	SELECT format('event trigger %s %s %s enabled %s', v.evtname, v.evtevent, v.evtfoid::regprocedure, v.evtenabled)
	FROM pg_event_trigger AS v
	UNION ALL
	SELECT format('publication %s %s of %s', p.pubname, to_jsonb(p) - 'oid', (SELECT array_agg(r.prrelid::regclass ORDER BY 1) FROM pg_publication_rel AS r WHERE r.prpubid = p.oid))
	FROM pg_publication AS p
	UNION ALL
	SELECT format('setting of %s: %s', CASE WHEN s.setrole = 0 THEN 'the database' ELSE s.setrole::regrole::text END, s.setconfig)
	FROM pg_db_role_setting AS s
	WHERE s.setdatabase = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
	UNION ALL
	SELECT format('other %s', pg_describe_object(o.classid, o.objid, 0))
	FROM (
		SELECT 'pg_extension'::regclass::oid, e.oid FROM pg_extension AS e
		UNION ALL SELECT 'pg_cast'::regclass, c.oid FROM pg_cast AS c WHERE c.oid >= 16384
		UNION ALL SELECT 'pg_operator'::regclass, o.oid FROM pg_operator AS o WHERE o.oid >= 16384
		UNION ALL SELECT 'pg_opclass'::regclass, o.oid FROM pg_opclass AS o WHERE o.oid >= 16384
		UNION ALL SELECT 'pg_collation'::regclass, l.oid FROM pg_collation AS l WHERE l.oid >= 16384
	) AS o (classid, objid)
	UNION ALL
	SELECT format('comment on %s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
	FROM pg_description AS d
	WHERE d.objoid >= 16384`

// fingerprint is what the database consists of, sorted.
func fingerprint(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), fingerprintSQL)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		if !versionTable.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// versionTable matches what belongs to the table of applied versions, which no migration makes.
var versionTable = regexp.MustCompile(`^(relation|column|index|constraint|type|sequence) _?` + migrations.DefaultTable + `(_\w+|\[\])? `)

// requireSame fails the test for every line that only one of two fingerprints has.
func requireSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s: lost %s", what, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s: has in addition %s", what, line)
		}
	}
}

// versionsOf lists the files, in order.
func versionsOf(t *testing.T, db *sql.DB) []int64 {
	t.Helper()
	statuses, err := migrations.Status(t.Context(), db, migrations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var versions []int64
	for _, s := range statuses {
		versions = append(versions, s.Version)
	}
	if len(versions) == 0 {
		t.Fatal("there is no migration")
	}
	return versions
}

func up(t *testing.T, db *sql.DB) {
	t.Helper()
	if _, err := migrations.Up(t.Context(), db, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
}

func upTo(t *testing.T, db *sql.DB, version int64) {
	t.Helper()
	if _, err := migrations.UpTo(t.Context(), db, version, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
}

func downTo(t *testing.T, db *sql.DB, version int64) {
	t.Helper()
	if _, err := migrations.DownTo(t.Context(), db, version, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
}

// dump is what pg_dump makes of the schema; it skips the rest of the test where there is none that knows the server.
func dump(t *testing.T, url string, cluster *devdb.Cluster, db *sql.DB) string {
	t.Helper()
	var server int
	if err := db.QueryRowContext(t.Context(), `SELECT current_setting('server_version_num')::integer / 10000`).Scan(&server); err != nil {
		t.Fatal(err)
	}
	candidates := []string{"pg_dump"}
	if cluster.BinDir != "" {
		candidates = append(candidates, filepath.Join(cluster.BinDir, "pg_dump"))
	}
	for _, program := range candidates {
		program, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		version, err := exec.CommandContext(t.Context(), program, "--version").Output()
		if err != nil {
			continue
		}
		number := regexp.MustCompile(`\d+`).FindString(string(version))
		if major, err := strconv.Atoi(number); err != nil || major < server {
			continue
		}
		cmd := exec.CommandContext(t.Context(), program, "--schema-only", "--exclude-table="+migrations.DefaultTable+"*", "--dbname="+url)
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				t.Fatalf("%s: %v: %s", program, err, exit.Stderr)
			}
			t.Fatal(err)
		}
		// a key of its own against injection, in each dump another one
		return regexp.MustCompile(`(?m)^\\(un)?restrict .*$`).ReplaceAllString(string(out), "")
	}
	t.Skipf("no pg_dump for a server of version %d", server)
	return ""
}

// Each of these changes what a database is, so a migration could do it and its Down forget to undo it.
func TestFingerprintSeesWhatMigrationsCanDo(t *testing.T) {
	t.Parallel()
	db, _, _ := emptyDatabase(t)
	for _, statement := range []string{
		`CREATE SCHEMA s`,
		`GRANT USAGE ON SCHEMA public TO pg_monitor`,
		`CREATE TABLE t (id integer PRIMARY KEY, a text, b text, CONSTRAINT t_a_check CHECK (a <> ''))`,
		`CREATE TABLE u (id integer REFERENCES t (id))`,
		`ALTER TABLE t ADD COLUMN c text`,
		`ALTER TABLE t ALTER COLUMN c SET DEFAULT 'x'`,
		`ALTER TABLE t ALTER COLUMN c SET NOT NULL`,
		`ALTER TABLE t ALTER COLUMN c SET STORAGE EXTERNAL`,
		`ALTER TABLE t ALTER COLUMN c SET COMPRESSION pglz`,
		`ALTER TABLE t ALTER COLUMN c SET STATISTICS 10`,
		`ALTER TABLE t ALTER COLUMN c SET (n_distinct = 5)`,
		`ALTER TABLE t ALTER COLUMN c TYPE text COLLATE "C"`,
		`ALTER TABLE t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY`,
		`ALTER TABLE t SET (fillfactor = 80)`,
		`ALTER TABLE u SET UNLOGGED`,
		`ALTER TABLE t REPLICA IDENTITY FULL`,
		`ALTER TABLE t ENABLE ROW LEVEL SECURITY`,
		`ALTER TABLE t FORCE ROW LEVEL SECURITY`,
		`CREATE POLICY p ON t USING (true)`,
		`ALTER POLICY p ON t USING (false)`,
		`GRANT SELECT ON t TO pg_monitor`,
		`GRANT UPDATE (a) ON t TO pg_monitor`,
		`ALTER TABLE t OWNER TO pg_monitor`,
		`COMMENT ON TABLE t IS 'a table'`,
		`COMMENT ON COLUMN t.a IS 'a column'`,
		`COMMENT ON CONSTRAINT t_a_check ON t IS 'a constraint'`,
		`ALTER TABLE t RENAME CONSTRAINT t_a_check TO t_a_is_there`,
		`ALTER TABLE t ADD CONSTRAINT t_b_check CHECK (b <> '') NOT VALID`,
		`ALTER TABLE t VALIDATE CONSTRAINT t_b_check`,
		`CREATE INDEX t_a_idx ON t (a)`,
		`COMMENT ON INDEX t_a_idx IS 'an index'`,
		`ALTER INDEX t_a_idx SET (fillfactor = 70)`,
		`CLUSTER t USING t_a_idx`,
		`CREATE DOMAIN d AS text`,
		`ALTER DOMAIN d ADD CONSTRAINT d_check CHECK (VALUE <> '')`,
		`COMMENT ON DOMAIN d IS 'a domain'`,
		`COMMENT ON CONSTRAINT d_check ON DOMAIN d IS 'its constraint'`,
		`ALTER DOMAIN d SET DEFAULT 'x'`,
		`ALTER DOMAIN d SET NOT NULL`,
		`GRANT USAGE ON DOMAIN d TO pg_monitor`,
		`CREATE DOMAIN dc AS text COLLATE "C"`,
		`CREATE TYPE e AS ENUM ('a')`,
		`ALTER TYPE e ADD VALUE 'b'`,
		`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
		`ALTER FUNCTION f() SECURITY DEFINER`,
		`ALTER FUNCTION f() SET search_path = public`,
		`REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC`,
		`COMMENT ON FUNCTION f() IS 'a function'`,
		`CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()`,
		`ALTER TABLE t DISABLE TRIGGER g`,
		`COMMENT ON TRIGGER g ON t IS 'a trigger'`,
		`CREATE SEQUENCE q`,
		`ALTER SEQUENCE q INCREMENT 2`,
		`CREATE VIEW v AS SELECT 1 AS one`,
		`CREATE OR REPLACE VIEW v AS SELECT 2 AS one`,
		`CREATE STATISTICS x ON a, b FROM t`,
		`CREATE TABLE w () INHERITS (t)`,
		`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor`,
		`CREATE PUBLICATION n FOR TABLE t`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 8192', current_database()); END $$`,
		`ALTER TABLE t DROP COLUMN c`,
		`DROP TRIGGER g ON t`,
	} {
		before := fingerprint(t, db)
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if slices.Equal(fingerprint(t, db), before) {
			t.Errorf("the fingerprint doesn't see %s", statement)
		}
	}
}

func TestUpDownUpGivesTheSameSchema(t *testing.T) {
	t.Parallel()
	db, url, cluster := emptyDatabase(t)
	before := fingerprint(t, db)

	up(t, db)
	first := fingerprint(t, db)
	if len(first) < len(before)+100 {
		t.Fatalf("the fingerprint of the whole schema has only %d lines", len(first))
	}
	downTo(t, db, 0)
	t.Run("down leaves nothing", func(t *testing.T) {
		requireSame(t, "after down", fingerprint(t, db), before)
		var tables int
		if err := db.QueryRowContext(t.Context(), `
			SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')`).Scan(&tables); err != nil {
			t.Fatal(err)
		}
		if tables != 1 {
			t.Errorf("down leaves %d tables, want the version table alone", tables)
		}
	})
	up(t, db)
	t.Run("catalog", func(t *testing.T) {
		requireSame(t, "up again", fingerprint(t, db), first)
	})
	t.Run("dump", func(t *testing.T) {
		again := dump(t, url, cluster, db)
		if n := strings.Count(again, "CREATE TABLE"); n < 10 {
			t.Fatalf("the dump has %d tables", n)
		}
		downTo(t, db, 0)
		if empty := dump(t, url, cluster, db); strings.Contains(empty, "\nCREATE ") {
			t.Errorf("the dump after down:\n%s", empty)
		}
		up(t, db)
		if dump(t, url, cluster, db) != again {
			t.Error("the dump after down and up differs from the one before")
		}
	})
}

func TestEachVersionUndoesExactlyWhatItDid(t *testing.T) {
	t.Parallel()
	db, _, _ := emptyDatabase(t)
	versions := versionsOf(t, db)
	states := [][]string{fingerprint(t, db)} // by the number of versions applied
	before := func(i int) int64 {
		if i == 0 {
			return 0
		}
		return versions[i-1]
	}
	for i, version := range versions {
		upTo(t, db, version)
		states = append(states, fingerprint(t, db))
		if slices.Equal(states[i], states[i+1]) {
			t.Errorf("up %d changes nothing that the fingerprint shows", version)
		}
		downTo(t, db, before(i))
		requireSame(t, fmt.Sprintf("up and down %d", version), fingerprint(t, db), states[i])
		upTo(t, db, version)
		requireSame(t, fmt.Sprintf("up, down and up %d", version), fingerprint(t, db), states[i+1])
	}
	// down the whole way, where each version finds what the later ones left
	for i := len(versions) - 1; i >= 0; i-- {
		results, err := migrations.Down(t.Context(), db, migrations.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(results) != 1 || results[0].Version != versions[i] || results[0].Direction != "down" {
			t.Errorf("down from %d undid %+v", versions[i], results)
		}
		requireSame(t, fmt.Sprintf("down %d", versions[i]), fingerprint(t, db), states[i])
	}
}

func TestConcurrentUpsApplyEachVersionOnce(t *testing.T) {
	t.Parallel()
	db, url, _ := emptyDatabase(t)
	versions := versionsOf(t, db)

	const servers = 8
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		applied []int64
	)
	for range servers {
		server := connect(t, url)
		wg.Go(func() {
			results, err := migrations.Up(t.Context(), server, migrations.Options{})
			if err != nil {
				t.Error(err)
			}
			if pending, err := migrations.Pending(t.Context(), server, migrations.Options{}); err != nil || pending {
				t.Errorf("after its Up a server finds pending %t, %v", pending, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range results {
				applied = append(applied, r.Version)
			}
		})
	}
	wg.Wait()
	slices.Sort(applied)
	if !slices.Equal(applied, versions) {
		t.Errorf("%d servers together applied %v, want each of %v once", servers, applied, versions)
	}

	alone, _, _ := emptyDatabase(t)
	up(t, alone)
	requireSame(t, "eight at once", fingerprint(t, db), fingerprint(t, alone))
}

// saboteur counts DDL statements, with a sequence since that stays where it is when the transaction is rolled back, and makes
// the one fail whose number is given.
const saboteur = `
	CREATE SCHEMA saboteur;
	CREATE SEQUENCE saboteur.statements;
	CREATE TABLE saboteur.fails (at bigint);
	INSERT INTO saboteur.fails VALUES (0);
	CREATE FUNCTION saboteur.count() RETURNS event_trigger LANGUAGE plpgsql AS $$
		DECLARE
			n bigint := nextval('saboteur.statements');
		BEGIN
			IF EXISTS (SELECT FROM saboteur.fails WHERE at = n) THEN
				RAISE EXCEPTION 'sabotage of % at %', tg_tag, n USING ERRCODE = 'XX999';
			END IF;
		END
	$$;
	CREATE EVENT TRIGGER saboteur ON ddl_command_end EXECUTE FUNCTION saboteur.count();`

func TestVersionThatFailsHalfWayLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	db, _, _ := emptyDatabase(t)
	versions := versionsOf(t, db)
	upTo(t, db, versions[0]) // makes the version table, which is not to be counted
	downTo(t, db, 0)
	if _, err := db.ExecContext(t.Context(), saboteur); err != nil {
		t.Fatal(err)
	}
	// count runs a migration whose statement number fails, none if it is 0, and says how many DDL statements it came to.
	count := func(fails int64, run func()) int64 {
		if _, err := db.ExecContext(t.Context(), `
			WITH reset AS (SELECT setval('saboteur.statements', 1, false))
			UPDATE saboteur.fails SET at = $1 FROM reset`, fails); err != nil {
			t.Fatal(err)
		}
		run()
		var n int64
		if err := db.QueryRowContext(t.Context(), `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM saboteur.statements`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// failsAt runs a migration whose n-th statement fails, and wants nothing of it left: the state that it was in before.
	failsAt := func(n, version int64, direction string, state []string, run func() error) {
		at, err := migrations.Version(t.Context(), db, migrations.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if reached := count(n, func() { err = run() }); reached != n {
			t.Errorf("%s %d: the run got to statement %d, want it to end at %d", direction, version, reached, n)
		}
		var failed *migrations.Error
		if !errors.As(err, &failed) || failed.Version != version || failed.Direction != direction {
			t.Errorf("%s %d fails at statement %d with %v", direction, version, n, err)
		}
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "XX999" {
			t.Errorf("%s %d: the error doesn't carry the server's: %v", direction, version, err)
		}
		if now, err := migrations.Version(t.Context(), db, migrations.Options{}); err != nil || now != at {
			t.Errorf("%s %d: the version is %d after the failure, %d before (%v)", direction, version, now, at, err)
		}
		requireSame(t, fmt.Sprintf("%s %d failed at statement %d", direction, version, n), fingerprint(t, db), state)
	}

	previous := int64(0)
	for _, version := range versions {
		ups := count(0, func() { upTo(t, db, version) })
		downs := count(0, func() { downTo(t, db, previous) })
		if ups < 1 || downs < 1 {
			t.Fatalf("%d has %d statements up and %d down", version, ups, downs)
		}
		if withoutTransaction(t, version) {
			if ups != 1 || downs != 1 {
				t.Errorf("%d has no transaction, so it has to be one statement: %d up, %d down", version, ups, downs)
			}
			upTo(t, db, version)
			previous = version
			continue
		}
		state := fingerprint(t, db)
		for _, n := range slices.Compact([]int64{1, ups/2 + 1, ups}) {
			failsAt(n, version, "up", state, func() error {
				_, err := migrations.UpTo(t.Context(), db, version, migrations.Options{})
				return err
			})
		}
		count(0, func() { upTo(t, db, version) })
		failsAt(downs, version, "down", fingerprint(t, db), func() error {
			_, err := migrations.DownTo(t.Context(), db, previous, migrations.Options{})
			return err
		})
		previous = version
	}
}

// withoutTransaction says whether goose runs a version outside a transaction.
func withoutTransaction(t *testing.T, version int64) bool {
	t.Helper()
	names, err := fs.Glob(migrations.FS, fmt.Sprintf("%05d_*.sql", version))
	if err != nil || len(names) != 1 {
		t.Fatalf("files of version %d: %q, %v", version, names, err)
	}
	text, err := fs.ReadFile(migrations.FS, names[0])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), "+goose NO TRANSACTION")
}
