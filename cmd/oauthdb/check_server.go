package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/startup"
)

// newestTested is the newest major version of PostgreSQL that the tests run on.
const newestTested = 18

func checkServer(ctx context.Context, i *inspection) error {
	var number int
	var version, encoding string
	if err := one(ctx, i, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding')`, &number, &version, &encoding); err != nil {
		return err
	}
	switch major := number / 10000; {
	case major < db.MinServerVersion:
		i.fail(fmt.Sprintf("upgrade to %d or later", db.MinServerVersion), "PostgreSQL %s is older than what calls need", version)
	case major > newestTested:
		i.warn("look for a newer release of oauthdb", "PostgreSQL %s is newer than what this release was tested on", version)
	default:
		i.ok("PostgreSQL %s", version)
	}
	var made, now *string
	if err := one(ctx, i, `SELECT d.datcollversion, pg_database_collation_actual_version(d.oid) FROM pg_database AS d WHERE d.datname = current_database()`, &made, &now); err != nil {
		return err
	}
	if made != nil && now != nil && *made != *now {
		i.fail("REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION", "the database was made with version %s of its collation, and the system has %s: indexes on texts may miss rows that are there", *made, *now)
	}
	if encoding != "UTF8" {
		i.fail("make a database with ENCODING 'UTF8' and move to it", "the encoding of the database is %s: names and addresses can't all be stored", encoding)
	}
	return nil
}

func checkSession(ctx context.Context, i *inspection) error {
	err := startup.Check(ctx, i.PgConn(), i.Config().RuntimeParams)
	if lost := (*startup.LostError)(nil); errors.As(err, &lost) {
		i.fail(fmt.Sprintf("ALTER ROLE %s SET %s = '%s'; or leave it out of the connection string", lost.Role, lost.Name, lost.Asked), "a pooler has dropped %s = '%s': the session has '%s'", lost.Name, lost.Asked, lost.Held)
	} else if err != nil {
		return err
	}
	var readOnly, replica bool
	var isolation, statement, lock string
	if err := one(ctx, i, `SELECT current_setting('default_transaction_read_only')::boolean, current_setting('session_replication_role') = 'replica', current_setting('default_transaction_isolation'), current_setting('statement_timeout'), current_setting('lock_timeout')`, &readOnly, &replica, &isolation, &statement, &lock); err != nil {
		return err
	}
	if isolation != "read committed" {
		i.fail("ALTER ROLE or ALTER DATABASE … RESET default_transaction_isolation", "transactions are %s by default: calls that meet fail with 40001 instead of answering", isolation)
	}
	if readOnly {
		i.fail("ALTER ROLE or ALTER DATABASE … RESET default_transaction_read_only", "transactions are read only: every call that writes fails")
	}
	if replica {
		i.fail("ALTER ROLE or ALTER DATABASE … RESET session_replication_role", "session_replication_role is replica: triggers and foreign keys don't work")
	}
	if err == nil && !readOnly && !replica && isolation == "read committed" {
		i.ok("statement_timeout %s, lock_timeout %s, before what db.Open asks for", statement, lock)
	}
	return nil
}

func checkPooler(ctx context.Context, i *inspection) error {
	var pid uint32
	var statement string
	if err := one(ctx, i, `SELECT pg_backend_pid(), current_setting('statement_timeout')`, &pid, &statement); err != nil {
		return err
	}
	switch {
	case pid == i.PgConn().PID():
		i.ok("the connection is to PostgreSQL itself")
	case statement == "0":
		i.warn("ALTER ROLE … SET statement_timeout = '10s'; docs/pgbouncer.md has all of them", "a pooler is between, and the role has no statement_timeout")
	default:
		i.ok("a pooler is between: servers set db.Options.PgBouncer, migrations connect to PostgreSQL itself")
	}
	return nil
}

func checkEncryption(_ context.Context, i *inspection) error {
	judgeEncryption(i, i.Config())
	return nil
}

func judgeEncryption(i *inspection, config *pgx.ConnConfig) {
	ip := net.ParseIP(config.Host)
	local := strings.HasPrefix(config.Host, "/") || config.Host == "localhost" || ip != nil && ip.IsLoopback()
	switch tls := config.TLSConfig; {
	case tls != nil && tls.InsecureSkipVerify && tls.VerifyPeerCertificate == nil && !local: // sslmode=require
		i.warn("add sslmode=verify-full to the connection string", "the server's certificate is not verified: whoever is between can read along")
	case tls != nil && slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil }) && !local: // prefer
		i.warn("add sslmode=verify-full to the connection string", "the connection falls back to one without encryption")
	case tls != nil:
		i.ok("the connection is encrypted")
	case local:
		i.ok("the connection stays on this machine")
	default:
		i.warn("add sslmode=verify-full to the connection string", "the connection to %s is not encrypted", config.Host)
	}
}

func checkClock(ctx context.Context, i *inspection) error {
	var server time.Time
	before := time.Now()
	if err := one(ctx, i, `SELECT clock_timestamp()`, &server); err != nil {
		return err
	}
	took := time.Since(before)
	off := server.Sub(before.Add(took / 2))
	least := max(off, -off) - took/2 // the least that it is off, wherever in between it was read
	text := fmt.Sprintf("the server's clock and the one here are %s apart", max(off, -off).Round(time.Millisecond))
	switch {
	case least > 30*time.Second:
		i.fail("have both follow the same time servers", "%s: codes and tokens expire too early or too late, and assertions and JWTs are refused", text)
	case least > time.Second:
		i.warn("have both follow the same time servers", "%s", text)
	default:
		i.ok("%s", text)
	}
	return nil
}

func checkStandby(ctx context.Context, i *inspection) error {
	var standby bool
	if err := one(ctx, i, `SELECT pg_is_in_recovery()`, &standby); err != nil {
		return err
	}
	if standby {
		i.fail("connect to the primary: name all servers, and add target_session_attrs=read-write", "the server is a standby: it only reads")
	} else {
		i.ok("the server accepts writes")
	}
	return nil
}

func checkDurability(ctx context.Context, i *inspection) error {
	var commit string
	var fsync, pages bool
	if err := one(ctx, i, `SELECT current_setting('synchronous_commit'), current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean`, &commit, &fsync, &pages); err != nil {
		return err
	}
	if !fsync || !pages {
		i.fail("set fsync = on and full_page_writes = on", "fsync or full_page_writes is off: a crash of the machine destroys the database")
	}
	weak := func(value string) bool {
		return !slices.Contains([]string{"on", "remote_apply", "true", "yes", "1"}, value)
	}
	const advice = "set synchronous_commit = on, or remote_apply: docs/failover.md"
	if weak(commit) {
		i.warn(advice, "synchronous_commit is %s: a sign-out that was confirmed may be undone by a crash or a failover", commit)
	}
	others, err := texts(ctx, i, `
		SELECT format('%s %s: %s', CASE WHEN r.rolname IS NULL THEN 'database' ELSE 'role' END, coalesce(r.rolname, d.datname), c.setting)
		FROM pg_db_role_setting AS s
		CROSS JOIN unnest(s.setconfig) AS c (setting)
		LEFT JOIN pg_roles AS r ON r.oid = s.setrole
		LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
		WHERE c.setting ~ '^synchronous_commit=(off|local|remote_write|false|no|0)$' AND (s.setdatabase = 0 OR d.datname = current_database())
		ORDER BY 1`)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		i.warn(advice, "%s", some(others))
	}
	if fsync && pages && !weak(commit) && len(others) == 0 {
		i.ok("synchronous_commit is %s", commit)
	}
	return nil
}

func checkReplication(ctx context.Context, i *inspection) error {
	var names string
	var standby, sees bool
	var waiting, all int
	err := one(ctx, i, `
		SELECT current_setting('synchronous_standby_names'), pg_is_in_recovery(), pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
		    (SELECT count(*) FROM pg_stat_replication AS r WHERE r.sync_state IN ('sync', 'quorum')), (SELECT count(*) FROM pg_stat_replication)`,
		&names, &standby, &sees, &waiting, &all)
	if err != nil {
		return err
	}
	switch {
	case standby:
	case names == "":
		i.warn("set synchronous_standby_names: docs/failover.md", "no standby is synchronous: what is confirmed is lost with the primary, endings too")
	case !sees:
		i.say(statusUnknown, "connect as a member of pg_monitor", "synchronous_standby_names is %q; the role may not see which standbys there are", names)
	case waiting == 0:
		i.fail("start the standby; or, to go on without it, change synchronous_standby_names and reload", "synchronous_standby_names is %q, but no such standby is connected: every call that writes waits", names)
	case all < 2:
		i.warn("add a second standby", "one standby is connected: while it is away, every call that writes waits")
	default:
		i.ok("%d standbys are connected, %d of them synchronous", all, waiting)
	}
	slots, err := texts(ctx, i, `SELECT s.slot_name::text FROM pg_replication_slots AS s WHERE NOT s.active ORDER BY 1`)
	if err != nil {
		return err
	}
	if len(slots) > 0 {
		i.warn("connect who uses it, or SELECT pg_drop_replication_slot(…)", "nobody reads the replication slot %s: the log that it keeps fills the disk", some(slots))
	}
	if standby {
		return nil
	}
	lagging, err := texts(ctx, i, `
		SELECT format('%s is behind by %s', coalesce(nullif(r.application_name, ''), r.client_addr::text, 'a standby'), pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)))
		FROM pg_stat_replication AS r
		WHERE pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn) > 256 * 1024 * 1024
		ORDER BY 1`)
	if err != nil {
		return err
	}
	if len(lagging) > 0 {
		i.warn("look at the standby's disk and its long queries", "%s: a failover to it takes as long as it needs to catch up", some(lagging))
	}
	return nil
}

func checkTransactions(ctx context.Context, i *inspection) error {
	var sees bool
	var oldest, prepared time.Duration
	err := one(ctx, i, `
		SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
		    coalesce((SELECT max(clock_timestamp() - a.xact_start) FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()), '0'),
		    coalesce((SELECT max(clock_timestamp() - p.prepared) FROM pg_prepared_xacts AS p WHERE p.database = current_database()), '0')`,
		&sees, &oldest, &prepared)
	if err != nil {
		return err
	}
	const long = 5 * time.Minute
	if oldest > long {
		i.warn("find it in pg_stat_activity by xact_start, and end it: SELECT pg_terminate_backend(…)", "a transaction is open for %s: nothing that died since can be vacuumed", oldest.Round(time.Second))
	}
	if prepared > long {
		i.warn("ROLLBACK PREPARED or COMMIT PREPARED: pg_prepared_xacts lists them", "a prepared transaction waits for %s, with its locks", prepared.Round(time.Second))
	}
	switch {
	case oldest > long || prepared > long:
	case !sees:
		i.say(statusUnknown, "connect as a member of pg_monitor", "the role sees only its own transactions")
	default:
		i.ok("no transaction is open for longer than %s", long)
	}
	return nil
}

func checkConnections(ctx context.Context, i *inspection) error {
	var used, most int
	err := one(ctx, i, `
		SELECT (SELECT count(*) FROM pg_stat_activity AS a WHERE a.backend_type IN ('client backend') OR a.backend_type IS NULL),
		    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int`, &used, &most)
	if err != nil {
		return err
	}
	const advice = "raise max_connections, lower MaxConns of the servers, or put PgBouncer in between"
	switch {
	case used*100 >= most*95:
		i.fail(advice, "%d of %d connections are in use", used, most)
	case used*100 >= most*80:
		i.warn(advice, "%d of %d connections are in use", used, most)
	default:
		i.ok("%d of %d connections are in use", used, most)
	}
	return nil
}

// checkLogging looks at what PostgreSQL writes of a statement's parameters. There is no credential among them but as a digest or a ciphertext.
func checkLogging(ctx context.Context, i *inspection) error {
	var statements, duration string
	var length int
	if err := one(ctx, i, `SELECT current_setting('log_statement'), current_setting('log_min_duration_statement'), (SELECT s.setting::int FROM pg_settings AS s WHERE s.name = 'log_parameter_max_length')`, &statements, &duration, &length); err != nil {
		return err
	}
	const advice = "set log_parameter_max_length = 0"
	switch {
	case length == 0:
		i.ok("the server's log gets no parameters")
	case statements == "all" || statements == "mod":
		i.warn(advice, "log_statement is %s: the server's log gets names, addresses and digests", statements)
	case duration == "0":
		i.warn(advice, "log_min_duration_statement is 0: the server's log gets names, addresses and digests")
	default:
		i.ok("log_statement is %s", statements)
	}
	return nil
}

func checkEvents(ctx context.Context, i *inspection) error {
	var on string
	if err := one(ctx, i, `SELECT coalesce(current_setting('oauthdb.events', true), '')`, &on); err != nil {
		return err
	}
	switch on {
	case "on":
		i.ok("security events are written")
	case "", "off":
		i.ok("security events are not written; ALTER DATABASE … SET oauthdb.events = 'on' turns them on")
	default:
		i.warn("set it to on or off", "oauthdb.events is %q, which is not on", on)
	}
	return nil
}
