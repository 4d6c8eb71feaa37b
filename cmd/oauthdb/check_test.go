package main

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/pgbouncer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/routines"
)

// withParams is a URL with parameters added.
func withParams(t *testing.T, address string, pairs ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func (w *world) superuser(t *testing.T) *pgx.Conn {
	t.Helper()
	server, err := devdb.URL(t.Context(), devdb.Options{Kind: devdb.Test, Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(w.db.URL)
	if err != nil {
		t.Fatal(err)
	}
	if server, err = withDatabase(server, strings.TrimPrefix(u.Path, "/")); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

// inspected are the findings on a database, as check says them.
func inspected(t *testing.T, address string, quick bool, only ...string) (all []string) {
	t.Helper()
	found, err := inspect(t.Context(), &server{url: address}, 30*time.Second, quick, only...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if (f.Advice == "") != (f.Status == statusOK) {
			t.Errorf("%s: %s %q with the advice %q", f.Check, f.Status, f.Message, f.Advice)
		}
		all = append(all, fmt.Sprintf("%s %s: %s (%s)", f.Check, f.Status, f.Message, f.Advice))
	}
	return all
}

func amiss(found []string) []string {
	return slices.DeleteFunc(slices.Clone(found), func(f string) bool {
		return strings.Contains(f, " ok: ") || strings.HasPrefix(f, "connections ") // of which other tests may use many
	})
}

// What the server of the tests is: fast, not durable, and alone.
var always = []string{
	"durability failure: fsync or full_page_writes is off",
	"durability warning: synchronous_commit is off",
	"replication warning: no standby is synchronous",
	"transactions unknown: the role sees only its own transactions",
}

// Each fault is seeded, found by the check that is for it, and gone when it is mended. What can't be done to a server of tests is
// pretended by functions and views that come before those of PostgreSQL in the search_path.
func TestCheckFindsWhatIsSeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.superuser(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := root.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	pretend := func(name, value string) string {
		return fmt.Sprintf(`CREATE FUNCTION fake.current_setting(text) RETURNS text LANGUAGE sql
			AS $$ SELECT CASE WHEN $1 = '%s' THEN '%s' ELSE pg_catalog.current_setting($1) END $$`, name, value)
	}
	here := withParams(t, w.db.URL, "search_path", "fake,pg_catalog,public")
	const fake = `CREATE SCHEMA fake; GRANT USAGE ON SCHEMA fake TO PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA fake GRANT SELECT ON TABLES TO PUBLIC`
	exec(fake)

	healthy := inspected(t, w.db.URL, false)
	bad := amiss(healthy)
	for _, want := range always {
		bad = slices.DeleteFunc(bad, func(f string) bool { return strings.HasPrefix(f, want) })
	}
	if len(bad) > 0 {
		t.Errorf("of a database that is as it should be, it says\n%s", strings.Join(bad, "\n"))
	}
	for _, c := range checks {
		if !slices.ContainsFunc(healthy, func(f string) bool { return strings.HasPrefix(f, c.name+" ") }) {
			t.Errorf("%s says nothing", c.name)
		}
	}

	for _, fault := range []struct {
		seed, mend string
		want       string
		slow       bool // the calls are looked at
	}{
		{seed: pretend("server_version_num", "140012"), want: "server failure: PostgreSQL"},
		{seed: pretend("server_version_num", "990001"), want: "server warning: PostgreSQL"},
		{seed: pretend("server_encoding", "LATIN1"), want: "server failure: the encoding of the database is LATIN1"},
		{seed: pretend("default_transaction_read_only", "on"), want: "session failure: transactions are read only"},
		{seed: pretend("default_transaction_isolation", "serializable"), want: "session failure: transactions are serializable by default"},
		{
			seed: `CREATE VIEW fake.pg_database AS SELECT d.oid, d.datname, '1.0' AS datcollversion FROM pg_catalog.pg_database AS d;
				CREATE FUNCTION fake.pg_database_collation_actual_version(oid) RETURNS text LANGUAGE sql AS $$ SELECT '2.0' $$`,
			want: "server failure: the database was made with version 1.0 of its collation, and the system has 2.0",
		},
		{seed: pretend("session_replication_role", "replica"), want: "session failure: session_replication_role"},
		{seed: `CREATE FUNCTION fake.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1'`, want: "pooler warning: a pooler is between, and the role has no statement_timeout"},
		{
			seed: `CREATE FUNCTION fake.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1';` + pretend("statement_timeout", "10s"),
			want: "pooler ok: a pooler is between",
		},
		{seed: `CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + '5 minutes' $$`, want: "clock failure: "},
		{seed: `CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() - '15 seconds'::interval $$`, want: "clock warning: "},
		{seed: `CREATE FUNCTION fake.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'`, want: "standby failure: the server is a standby"},
		{seed: pretend("synchronous_commit", "remote_write"), want: "durability warning: synchronous_commit is remote_write"},
		{
			seed: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = local', current_database()); END $$`,
			mend: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET synchronous_commit', current_database()); END $$`,
			want: "durability warning: database testdb_",
		},
		{
			seed: pretend("synchronous_standby_names", "ANY 1 (a, b)"),
			want: `replication unknown: synchronous_standby_names is "ANY 1 (a, b)"; the role may not see`,
		},
		{
			seed: pretend("synchronous_standby_names", "a") + `; CREATE FUNCTION fake.pg_has_role(name, text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
			want: `replication failure: synchronous_standby_names is "a", but no such standby is connected`,
		},
		{
			seed: pretend("synchronous_standby_names", "a") + `; CREATE FUNCTION fake.pg_has_role(name, text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
				CREATE VIEW fake.pg_stat_replication AS SELECT 'sync'::text AS sync_state`,
			want: `replication warning: one standby is connected`,
		},
		{
			seed: `CREATE VIEW fake.pg_stat_replication AS SELECT 'async'::text AS sync_state, 'far' AS application_name, NULL::inet AS client_addr, '0/0'::pg_lsn AS replay_lsn;
				CREATE FUNCTION fake.pg_wal_lsn_diff(pg_lsn, pg_lsn) RETURNS numeric LANGUAGE sql AS 'SELECT 1e9'`,
			want: "replication warning: far is behind by 954 MB",
		},
		{seed: `CREATE VIEW fake.pg_replication_slots AS SELECT 'old'::name AS slot_name, false AS active`, want: "replication warning: nobody reads the replication slot old"},
		{seed: `CREATE TABLE fake.session (id text)`, want: "search_path failure: search_path is fake,pg_catalog,public, and finds tables in more than one schema: session of fake"},
		{
			seed: `DELETE FROM oauthdb_version WHERE version_id = (SELECT max(version_id) FROM oauthdb_version)`,
			mend: `INSERT INTO oauthdb_version SELECT * FROM kept`, want: "schema failure: 1 migration is pending",
		},
		{
			seed: `INSERT INTO oauthdb_version (version_id, is_applied, file_name, file_sha256) VALUES (99999, true, '99999_later.sql', '')`,
			mend: `DELETE FROM oauthdb_version WHERE version_id = 99999`, want: "schema warning: a newer release has migrated the schema, to version 99999",
		},
		{
			seed: `DROP INDEX oauth_refresh_token_user_id_idx`, mend: `CREATE INDEX oauth_refresh_token_user_id_idx ON oauth_refresh_token (user_id)`,
			want: "objects failure: the index oauth_refresh_token_user_id_idx of oauth_refresh_token is missing (CREATE INDEX CONCURRENTLY oauth_refresh_token_user_id_idx ON oauth_refresh_token USING btree (user_id))",
		},
		{
			seed: `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'oauth_refresh_token_user_id_idx'::regclass`,
			mend: `UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'oauth_refresh_token_user_id_idx'::regclass`,
			want: "objects failure: the index oauth_refresh_token_user_id_idx of oauth_refresh_token is invalid",
		},
		{
			seed: `CREATE INDEX mine ON session (label); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'mine'::regclass`, mend: `DROP INDEX mine`,
			want: "objects warning: the index mine of session is invalid",
		},
		{
			seed: `DROP INDEX oauth_refresh_token_user_id_idx; CREATE INDEX oauth_refresh_token_user_id_idx ON oauth_refresh_token (user_id) WHERE revoked IS NULL`,
			mend: `DROP INDEX oauth_refresh_token_user_id_idx; CREATE INDEX oauth_refresh_token_user_id_idx ON oauth_refresh_token (user_id)`,
			want: "objects warning: the index oauth_refresh_token_user_id_idx of oauth_refresh_token is another one",
		},
		{
			seed: `ALTER TABLE oauth_refresh_token DISABLE TRIGGER refuse_dead_rotation`, mend: `ALTER TABLE oauth_refresh_token ENABLE TRIGGER refuse_dead_rotation`,
			want: `objects failure: the trigger refuse_dead_rotation of oauth_refresh_token is disabled (ALTER TABLE "oauth_refresh_token" ENABLE TRIGGER`,
		},
		{
			seed: `UPDATE pg_constraint SET convalidated = false WHERE conname = 'oauth_consent_client_id_fkey'`,
			mend: `UPDATE pg_constraint SET convalidated = true WHERE conname = 'oauth_consent_client_id_fkey'`,
			want: "objects warning: the constraint oauth_consent_client_id_fkey of oauth_consent is not validated",
		},
		{
			seed: `UPDATE pg_proc SET prosrc = prosrc || ' -- mended by hand' WHERE proname = 'noted'`,
			mend: `UPDATE pg_proc SET prosrc = replace(prosrc, ' -- mended by hand', '') WHERE proname = 'noted'`,
			want: "objects failure: the function noted(",
		},
		{
			seed: `CREATE OR REPLACE FUNCTION is_live(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE RETURN true`,
			mend: routineText(t, "is_live"), want: "objects failure: not as this release makes it is the function is_live",
		},
		{
			seed: `ALTER FUNCTION may_present SECURITY DEFINER`, mend: `ALTER FUNCTION may_present SECURITY INVOKER`,
			want: "objects failure: not as this release makes it is the function may_present",
		},
		{
			seed: `ALTER TABLE oauth_refresh_token ENABLE ROW LEVEL SECURITY`, mend: `ALTER TABLE oauth_refresh_token DISABLE ROW LEVEL SECURITY`,
			want: `objects failure: the table oauth_refresh_token is under row security`,
		},
		{seed: `ALTER TABLE one_time_code SET UNLOGGED`, mend: `ALTER TABLE one_time_code SET LOGGED`, want: `objects failure: the table one_time_code is unlogged`},
		{
			seed: `CREATE RULE quiet AS ON DELETE TO oauth_consent DO INSTEAD NOTHING`, mend: `DROP RULE quiet ON oauth_consent`,
			want: `objects failure: the table oauth_consent is rewritten by a rule`,
		},
		{
			seed: `ALTER TABLE oauth_consent DISABLE TRIGGER ALL`, mend: `ALTER TABLE oauth_consent ENABLE TRIGGER ALL`,
			want: `objects failure: the constraint oauth_consent_client_id_fkey of oauth_consent is disabled`,
		},
		{
			seed: `ALTER TABLE session ALTER COLUMN user_sessions_epoch DROP NOT NULL`, mend: `ALTER TABLE session ALTER COLUMN user_sessions_epoch SET NOT NULL`,
			want: `objects failure: the column user_sessions_epoch of session is int8 with a default, not int8 NOT NULL with a default`,
		},
		{
			seed: `ALTER TABLE session ALTER COLUMN created_at DROP DEFAULT`, mend: `ALTER TABLE session ALTER COLUMN created_at SET DEFAULT now()`,
			want: `objects failure: the column created_at of session is timestamptz NOT NULL, not `,
		},
		{seed: `CREATE VIEW fake.pg_roles AS SELECT oid, rolname, true AS rolsuper FROM pg_catalog.pg_roles`, want: "role warning: "},
		{
			seed: `REVOKE ALL ON session FROM PUBLIC; DO $$ BEGIN EXECUTE format('REVOKE INSERT ON session FROM %I', (SELECT relowner::regrole::text FROM pg_class WHERE relname = 'session' AND relnamespace = 'public'::regnamespace)); END $$`,
			mend: `DO $$ BEGIN EXECUTE format('GRANT INSERT ON session TO %s', (SELECT relowner::regrole::text FROM pg_class WHERE relname = 'session' AND relnamespace = 'public'::regnamespace)); END $$`,
			want: "calls failure: the role may make most calls of a server, but not CreateSession", slow: true,
		},
		{
			seed: `INSERT INTO "user" (id, name) SELECT 'many_' || n, '' FROM generate_series(1, 12000) AS n; ANALYZE "user"; DROP INDEX user_email_uidx; DROP INDEX user_email_idx`,
			mend: `DELETE FROM "user" WHERE id LIKE 'many\_%'; ANALYZE "user"; CREATE UNIQUE INDEX user_email_uidx ON "user" (lower(email COLLATE "C")); CREATE INDEX user_email_idx ON "user" (email)`,
			want: "plans warning: user has 12002 rows, and is read from end to end by FindUserByEmail (", slow: true,
		},
		{
			seed: `UPDATE oauth_access_token SET expires_at = now() - interval '2 hours'`, mend: `UPDATE oauth_access_token SET expires_at = now() + interval '1 hour'`,
			want: "collector warning: 1 rows of oauth_access_token should have been deleted",
		},
		{
			seed: `UPDATE security_event SET created_at = now() - interval '91 days'; INSERT INTO security_event (call, outcome, created_at) VALUES ('a', 'ended', now() - interval '91 days')`,
			mend: `DELETE FROM security_event`, want: "collector warning: 1 rows of security_event",
		},
		{seed: pretend("autovacuum", "off"), want: "autovacuum failure: autovacuum is off"},
		{
			seed: `ALTER TABLE oauth_access_token SET (autovacuum_enabled = off)`, mend: `ALTER TABLE oauth_access_token RESET (autovacuum_enabled)`,
			want: "autovacuum failure: autovacuum is off for oauth_access_token",
		},
		{seed: `CREATE FUNCTION fake.age(xid) RETURNS int LANGUAGE sql AS 'SELECT 600000000'`, want: "autovacuum warning: the oldest row is 600000000 transactions old"},
		{seed: `CREATE FUNCTION fake.age(xid) RETURNS int LANGUAGE sql AS 'SELECT 1600000000'`, want: "autovacuum failure: the oldest row is 1600000000 transactions old"},
		{seed: `CREATE FUNCTION fake.mxid_age(xid) RETURNS int LANGUAGE sql AS 'SELECT 900000000'`, want: "autovacuum warning: the oldest group of lockers (multixact) is 900000000 groups old"},
		{seed: `CREATE FUNCTION fake.mxid_age(xid) RETURNS int LANGUAGE sql AS 'SELECT 1600000000'`, want: "autovacuum failure: the oldest group of lockers is 1600000000 groups old"},
		{
			seed: `ALTER TABLE security_event SET (autovacuum_enabled = off)`, mend: `ALTER TABLE security_event RESET (autovacuum_enabled)`,
			want: "autovacuum failure: autovacuum is off for security_event",
		},
		{
			seed: `CREATE VIEW fake.pg_stat_user_tables AS SELECT 'session'::regclass::oid AS relid, 2000000 AS n_live_tup, 3000000 AS n_dead_tup, NULL::timestamptz AS last_analyze, NULL::timestamptz AS last_autoanalyze`,
			want: "autovacuum warning: session has 3000000 dead rows beside 2000000 live ones",
		},
		{
			seed: `CREATE VIEW fake.pg_stat_user_tables AS SELECT 'session'::regclass::oid AS relid, 2000000 AS n_live_tup, 0 AS n_dead_tup, NULL::timestamptz AS last_analyze, NULL::timestamptz AS last_autoanalyze`,
			want: "autovacuum warning: session was never analysed",
		},
		{
			seed: `CREATE VIEW fake.pg_stat_user_tables AS SELECT 'session'::regclass::oid AS relid, 2000000 AS n_live_tup, 0 AS n_dead_tup, now() AS last_analyze, now() AS last_autoanalyze;` +
				`ALTER TABLE session SET (autovacuum_vacuum_scale_factor = 0.5)`,
			mend: `ALTER TABLE session RESET (autovacuum_vacuum_scale_factor)`,
			want: "autovacuum warning: session is vacuumed only when 50 % of its 2000000 rows are dead",
		},
		{
			seed: `CREATE VIEW fake.pg_stat_activity AS SELECT current_database() AS datname, 'client backend'::text AS backend_type, 1 AS pid, now() - interval '1 hour' AS xact_start`,
			want: "transactions warning: a transaction is open for 1h0m",
		},
		{
			seed: `CREATE VIEW fake.pg_prepared_xacts AS SELECT current_database() AS database, now() - interval '1 hour' AS prepared`,
			want: "transactions warning: a prepared transaction waits for 1h0m",
		},
		{seed: pretend("log_statement", "mod"), want: "logging warning: log_statement is mod"},
		{seed: pretend("log_min_duration_statement", "0"), want: "logging warning: log_min_duration_statement is 0"},
		{seed: pretend("max_connections", "4"), want: "connections failure: "},
		{seed: `UPDATE jwks SET expires_at = now() + interval '1 hour'`, mend: `UPDATE jwks SET expires_at = NULL`, want: "keys warning: no key of ES256 may sign, while 1 is published still"},
		{seed: `UPDATE jwks SET expires_at = now() - interval '2 hours'`, mend: `UPDATE jwks SET expires_at = NULL`, want: "keys warning: 1 key of ES256 expired"},
		{seed: `UPDATE jwks SET created_at = now() - interval '2 years'`, mend: `UPDATE jwks SET created_at = now()`, want: "keys warning: the newest key of ES256 is from"},
		{
			seed: `UPDATE oauth_client SET refresh_grace = '5 seconds' WHERE client_id = 'album'`, mend: `UPDATE oauth_client SET refresh_grace = NULL`,
			want: "grace warning: the grace of 1 client is shorter than a failover of 30s, which then signs their users out: album",
		},
		{
			seed: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET oauthdb.events = ''true''', current_database()); END $$`,
			mend: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET oauthdb.events', current_database()); END $$`, want: `events warning: oauthdb.events is "true"`,
		},
	} {
		exec(`CREATE TEMPORARY TABLE IF NOT EXISTS kept AS SELECT * FROM oauthdb_version ORDER BY version_id DESC LIMIT 1`)
		exec(fault.seed)
		address := w.db.URL
		if strings.Contains(fault.seed, "fake.") {
			address = here
		}
		found := inspected(t, address, !fault.slow, strings.Fields(fault.want)[0])
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, fault.want) }) {
			t.Errorf("of\n%s\nit says\n%s\nwant %q", fault.seed, strings.Join(amiss(found), "\n"), fault.want)
		}
		if fault.mend != "" {
			exec(fault.mend)
		}
		exec(`DROP SCHEMA fake CASCADE;` + fake)
	}
	if found := inspected(t, w.db.URL, true, "objects"); len(found) != 1 || !strings.HasPrefix(found[0], "objects ok: ") {
		t.Errorf("of the objects alone, it says %q", found)
	}
	if after := inspected(t, w.db.URL, true); len(amiss(after)) != len(amiss(healthy)) {
		t.Errorf("after all is mended, it says\n%s", strings.Join(amiss(after), "\n"))
	}
}

// routineText is the text of a routine.
func routineText(t *testing.T, name string) string {
	t.Helper()
	text, err := routines.FS.ReadFile(name + ".sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCheckSaysWhatARoleMayDo(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{Roles: true})
	config, err := pgx.ParseConfig(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	for role, want := range map[string]string{
		"":             "calls ok: the role may make all ",
		"_application": "calls ok: the role may make the calls of a server, and not those of the collector",
		"_collector":   "calls ok: the role may make the calls of the collector, and not those of a server",
		"_auditor":     "calls warning: the role may make neither",
	} {
		address := d.URL
		if role != "" {
			address = withParams(t, d.URL, "role", config.User+role)
		}
		if found := inspected(t, address, false); !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, want) }) {
			t.Errorf("as %s it says\n%s\nwant %q", role, strings.Join(found, "\n"), want)
		}
	}
}

func TestCheckWhereThereIsNoSchema(t *testing.T) {
	t.Parallel()
	address := emptyDatabase(t)
	found := inspected(t, address, false)
	for _, want := range []string{"search_path failure: ", "schema failure: ", "objects unknown: ", "calls unknown: ", "collector unknown: "} {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, want) }) {
			t.Errorf("it doesn't say %q:\n%s", want, strings.Join(found, "\n"))
		}
	}
	code, out, errors := oauthdb(t, "check", "-quick", "-json", "-database-url", address)
	if code != exitFailed || errors != "" || strings.Count(out, "\n") < len(checks)-2 {
		t.Errorf("-json: exit status %d, output\n%s\nerrors %q", code, out, errors)
	}
	for line := range strings.Lines(out) {
		if err := isRecord([]byte(line), reflect.TypeFor[finding]()); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	code, out, errors = oauthdb(t, "check", "-quick", "-database-url", address)
	if code != exitFailed || errors != "" || !strings.Contains(out, "failures, ") || strings.Contains(out, "\nok ") {
		t.Errorf("exit status %d, output\n%s\nerrors %q", code, out, errors)
	}
}

func TestCheckThroughAPooler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	transaction := pgbouncer.Start(t, w.db.URL, pgbouncer.Options{})
	found := inspected(t, transaction, false)
	if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "pooler warning: a pooler is between, and") }) ||
		!slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "calls ok: the role may make all") }) {
		t.Errorf("it says\n%s", strings.Join(found, "\n"))
	}
	dropping := pgbouncer.Start(t, w.db.URL, pgbouncer.Options{Mode: "session", Settings: map[string]string{"ignore_startup_parameters": "search_path"}})
	found = inspected(t, withParams(t, dropping, "search_path", "realm"), true)
	if !slices.ContainsFunc(found, func(f string) bool {
		return strings.HasPrefix(f, "session failure: a pooler has dropped search_path = 'realm'")
	}) {
		t.Errorf("it says\n%s", strings.Join(found, "\n"))
	}
}

func TestStrictFailsOnAWarning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := withParams(t, w.db.URL, "search_path", "public,fake,pg_catalog")
	root := w.superuser(t)
	if _, err := root.Exec(t.Context(), `
		CREATE SCHEMA fake; GRANT USAGE ON SCHEMA fake TO PUBLIC;
		CREATE FUNCTION fake.current_setting(text) RETURNS text LANGUAGE sql
		AS $$ SELECT CASE WHEN $1 IN ('fsync', 'full_page_writes', 'synchronous_commit') THEN 'on' ELSE pg_catalog.current_setting($1) END $$`); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{"-quick": exitDone, "-quick -strict": exitFailed} { // no standby is a warning
		code, out, errors := oauthdb(t, append([]string{"check", "-database-url", conn}, strings.Fields(args)...)...)
		if code != want || errors != "" || !strings.HasSuffix(out, "in order\n") && !strings.HasSuffix(out, "unknown\n") {
			t.Errorf("%s: exit status %d, output\n%s\nerrors %q", args, code, out, errors)
		}
	}
}

func TestEncryptionIsAskedForAcrossMachines(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://auth@db.internal/auth?sslmode=disable":     "warning: the connection to db.internal is not encrypted",
		"postgres://auth@db.internal/auth?sslmode=prefer":      "warning: ",
		"postgres://auth@db.internal/auth?sslmode=require":     "warning: the server's certificate is not verified",
		"postgres://auth@db.internal/auth?sslmode=verify-full": "ok: the connection is encrypted",
		"postgres://auth@127.0.0.1/auth?sslmode=disable":       "ok: the connection stays on this machine",
		"postgres:///auth?host=/run/postgresql":                "ok: the connection stays on this machine",
	} {
		config, err := pgx.ParseConfig(address)
		if err != nil {
			t.Fatal(err)
		}
		var i inspection
		if judgeEncryption(&i, config); len(i.found) != 1 || !strings.HasPrefix(string(i.found[0].Status)+": "+i.found[0].Message, want) {
			t.Errorf("%s: %v, want %q", address, i.found, want)
		}
	}
}
