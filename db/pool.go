package db

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/startup"
)

// Options are the limits of a pool and of its connections.
//
// For each, what is set here wins over what the connection string says, and that wins over the default. The environment
// (PGAPPNAME, PGOPTIONS, ...) and a service file count as parts of the connection string. Zero is not set. A negative
// duration is no limit from this side; for the timeouts of the server, what the role or the database has applies then.
type Options struct {
	// MaxConns is the most connections that the pool opens. The default is twice GOMAXPROCS, at least 4 and at most 32: a
	// call is one short statement, and a server is busy with a few connections for each of its cores. The sum over all
	// processes has to stay below the server's max_connections. In the connection string: pool_max_conns.
	MaxConns int32

	// MinConns and MinIdleConns are how many connections to keep open, in all and idle, whatever MaxConnIdleTime says.
	// The default is 0. In the connection string: pool_min_conns, pool_min_idle_conns.
	MinConns     int32
	MinIdleConns int32

	// MaxConnLifetime is how old a connection gets, so that all move on after a failover and server processes give back
	// the memory of their caches. The default is 30 minutes. In the connection string: pool_max_conn_lifetime.
	MaxConnLifetime time.Duration

	// MaxConnLifetimeJitter is added to MaxConnLifetime at random, so that not all connections are replaced at once. The
	// default is 3 minutes. In the connection string: pool_max_conn_lifetime_jitter.
	MaxConnLifetimeJitter time.Duration

	// MaxConnIdleTime is how long a connection may be idle before it is closed. The default is 5 minutes. In the connection
	// string: pool_max_conn_idle_time.
	MaxConnIdleTime time.Duration

	// HealthCheckPeriod is the time between two looks for connections that are too old, idle or few. The default is 30
	// seconds. In the connection string: pool_health_check_period.
	HealthCheckPeriod time.Duration

	// PingTimeout is how long a connection that was idle for a second may take to show that it is alive, before another is
	// used. The default is 2 seconds. In the connection string: pool_ping_timeout.
	PingTimeout time.Duration

	// ConnectTimeout is how long it may take to connect to one host and to authenticate. The default is 5 seconds. In the
	// connection string: connect_timeout.
	ConnectTimeout time.Duration

	// StatementTimeout is how long the server lets a statement run (SQLSTATE 57014 after that). A context's deadline is
	// usually shorter; this one holds when the client is gone and can't cancel. The default is 10 seconds. In the
	// connection string: statement_timeout.
	StatementTimeout time.Duration

	// LockTimeout is how long a statement waits for each lock (SQLSTATE 55P03 after that), of a token's row that another
	// transaction holds, say. The default is 5 seconds. In the connection string: lock_timeout.
	LockTimeout time.Duration

	// IdleInTransactionSessionTimeout is how long a transaction may do nothing before the server ends the connection, and
	// with it the locks on rows that others wait for. The default is 15 seconds. In the connection string:
	// idle_in_transaction_session_timeout.
	IdleInTransactionSessionTimeout time.Duration

	// ApplicationName is what pg_stat_activity shows. The default is "oauthdb". In the connection string: application_name.
	ApplicationName string

	// Tracer traces every statement, and more if it implements more of pgx's tracer interfaces. Package dbotel has one.
	// Combine several with pgx's multitracer.
	Tracer pgx.QueryTracer

	// Schema is where the tables are, if not in the schema that the connection string or the role says: for a realm in a schema of its
	// own. Each connection is refused unless the schema comes first in its session, and has the tables. Behind PgBouncer give the role the
	// search_path, because it can't be sent.
	Schema string

	// PgBouncer makes the pool safe behind PgBouncer in transaction or statement mode.
	//
	// Statements are then not prepared by name (pgx.QueryExecModeCacheDescribe), so the server plans each anew, unless PgBouncer keeps them for
	// its clients: 1.21 or later with max_prepared_statements above 0. [Open] finds that out, once, on a connection of its own; so
	// restart the servers after you turn it off. A default_query_exec_mode in the connection string wins.
	//
	// And no parameter but application_name is sent at the start of a connection, because PgBouncer refuses those it doesn't
	// track, so the three timeouts of the server have no defaults: to ask for one here is an error, never a setting that
	// leaks into other clients' sessions. Set them where they hold for every session, ALTER ROLE auth SET statement_timeout =
	// '10s'. What the connection string itself asks for is sent. If PgBouncer drops it (ignore_startup_parameters), the role has to set
	// the same value, or [Open] fails.
	PgBouncer bool

	// ReplicaWait is how long a standby may take to reach the position that an introspection asks for, and to answer, before the
	// primary answers; half of the time that the context has left, if that is less. The default is 200 milliseconds. It is for
	// [OpenReplica], and means nothing elsewhere.
	ReplicaWait time.Duration
}

// MinServerVersion is the oldest major version of PostgreSQL that oauthdb supports.
const MinServerVersion = 15

// Open connects to the PostgreSQL server that connString names, as a URL or as keywords and values like libpq's. It returns
// when a connection is open and the server has turned out to be version 15 or later. It fails after the ConnectTimeout of each
// host and PingTimeout, or when ctx ends. The caller closes the pool.
//
// Each connection of the pool is refused unless its session began with the settings that it asked for: the timeouts, search_path,
// and what else the connection string says, but for application_name. PostgreSQL guarantees that. A pooler may drop a setting, and
// calls would then silently work on the tables of another schema, say. The comparison is one round trip for each new connection.
//
// A connection string that names several hosts, a primary and its standbys, should say target_session_attrs=read-write:
// nearly every call writes.
//
// No error contains the password.
func Open(ctx context.Context, connString string, opts Options) (*pgxpool.Pool, error) {
	config, err := ParseConfig(connString, opts)
	if err != nil {
		return nil, err
	}
	if parsed, _ := pgconn.ParseConfig(connString); opts.PgBouncer && parsed.RuntimeParams["default_query_exec_mode"] == "" && keepsStatements(ctx, config.ConnConfig) {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	}
	return OpenConfig(ctx, config)
}

// keepsStatements says whether a PgBouncer in between gives each session the statements that its client has prepared, as 1.21 and later do
// with max_prepared_statements above 0: in the session they have names of PgBouncer's own. What can't be found out is a no.
func keepsStatements(ctx context.Context, config *pgx.ConnConfig) bool {
	if config.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, config.ConnectTimeout)
		defer cancel()
	}
	config = config.Copy()
	config.Tracer = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false // and Open says why
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.Begin(ctx) // one session for all of it; there is none in statement mode
	if err != nil {
		return false
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	name := "oauthdb_" + rand.Text()
	if _, err := tx.Prepare(ctx, name, "SELECT '"+name+"'"); err != nil {
		return false
	}
	var kept string
	err = tx.QueryRow(ctx, "SELECT name FROM pg_catalog.pg_prepared_statements WHERE statement = $1", pgx.QueryExecModeSimpleProtocol, "SELECT '"+name+"'").Scan(&kept)
	if kept == name { // it would stay in the pooler's session
		_, _ = tx.Exec(ctx, "DEALLOCATE "+pgx.Identifier{name}.Sanitize(), pgx.QueryExecModeSimpleProtocol)
	}
	return err == nil && kept != name
}

// OpenConfig is [Open] for a config of [ParseConfig] that the caller may have changed. It doesn't change the config.
// AfterConnect runs after [RegisterTypes] and after the settings of the session have been compared.
func OpenConfig(ctx context.Context, config *pgxpool.Config) (*pgxpool.Pool, error) {
	config = config.Copy()
	prepareFirst(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("db: open pool: %w", err)
	}
	if err := check(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// prepareFirst has a pool register the types on each of its connections and compare its settings, before the caller's hook.
func prepareFirst(config *pgxpool.Config) {
	next := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		RegisterTypes(conn.TypeMap())
		if err := startup.Check(ctx, conn.PgConn(), conn.Config().RuntimeParams); err != nil {
			return fmt.Errorf("db: %w", err)
		}
		if next == nil {
			return nil
		}
		return next(ctx, conn)
	}
}

func check(ctx context.Context, pool *pgxpool.Pool) error {
	config := pool.Config()
	if connect := config.ConnConfig.ConnectTimeout; connect > 0 {
		hosts := time.Duration(1 + len(config.ConnConfig.Fallbacks))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, hosts*connect+max(0, config.PingTimeout))
		defer cancel()
	}
	var number int32
	var name string
	if err := pool.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version')
	`).Scan(&number, &name); err != nil {
		if lost := (*startup.LostError)(nil); errors.As(err, &lost) {
			return err
		}
		if advice := onRefusal(config.ConnConfig, startup.Refused(err)); advice != "" {
			return fmt.Errorf("db: connect: %w: %s", err, advice)
		}
		return fmt.Errorf("db: connect: %w", err)
	}
	return checkVersion(number, name)
}

// onRefusal says what to do about a startup parameter that a pooler has refused.
func onRefusal(config *pgx.ConnConfig, refused string) string {
	if refused == "" {
		return ""
	}
	given := map[string]string{} // in the connection string
	if parsed, err := pgconn.ParseConfig(config.ConnString()); err == nil {
		given = startup.Asked(parsed.RuntimeParams)
		if _, ok := parsed.RuntimeParams["options"]; ok {
			given["options"] = ""
		}
	}
	var advice []string
	for name := range startup.Asked(config.RuntimeParams) {
		if _, ok := given[name]; !ok && startup.IsTimeout(name) {
			advice = append(advice, "set Options.PgBouncer, which sends no timeouts")
			break
		}
	}
	if _, ok := given[refused]; ok || !startup.IsTimeout(refused) {
		advice = append(advice, "leave "+refused+" out of the connection string")
	}
	if refused == "options" {
		refused = "…"
	}
	return strings.Join(append(advice, "have the server set it: ALTER ROLE "+config.User+" SET "+refused), "; ")
}

// checkVersion takes server_version_num, 150004 for 15.4, and server_version.
func checkVersion(number int32, name string) error {
	if number/10000 < MinServerVersion {
		return fmt.Errorf("db: the server is PostgreSQL %s, but %d or later is needed", name, MinServerVersion)
	}
	return nil
}

// ParseConfig returns the config of a pool, for a caller that wants to change it before [OpenConfig], for example its hooks or
// TLS settings. No error contains the password.
func ParseConfig(connString string, opts Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, parseError(connString, err)
	}
	// The same parser, one level down, keeps in RuntimeParams all that it doesn't know itself: what the string has set.
	parsed, err := pgconn.ParseConfig(connString)
	if err != nil {
		return nil, parseError(connString, err)
	}
	given := parsed.RuntimeParams

	setCount(&config.MaxConns, given, "pool_max_conns", opts.MaxConns, defaultMaxConns())
	setCount(&config.MinConns, given, "pool_min_conns", opts.MinConns, 0)
	setCount(&config.MinIdleConns, given, "pool_min_idle_conns", opts.MinIdleConns, 0)
	for _, c := range []struct {
		name  string
		value int32
		least int32
	}{
		{"MaxConns", config.MaxConns, 1},
		{"MinConns", config.MinConns, 0},
		{"MinIdleConns", config.MinIdleConns, 0},
	} {
		if c.value < c.least {
			return nil, fmt.Errorf("db: %s is %d, but has to be %d or greater", c.name, c.value, c.least)
		}
	}
	setDuration(&config.MaxConnLifetime, given, "pool_max_conn_lifetime", opts.MaxConnLifetime, 30*time.Minute)
	setDuration(&config.MaxConnLifetimeJitter, given, "pool_max_conn_lifetime_jitter", opts.MaxConnLifetimeJitter, 3*time.Minute)
	setDuration(&config.MaxConnIdleTime, given, "pool_max_conn_idle_time", opts.MaxConnIdleTime, 5*time.Minute)
	setDuration(&config.HealthCheckPeriod, given, "pool_health_check_period", opts.HealthCheckPeriod, 30*time.Second)
	setDuration(&config.PingTimeout, given, "pool_ping_timeout", opts.PingTimeout, 2*time.Second)
	config.MaxConnLifetimeJitter = max(0, config.MaxConnLifetimeJitter)
	if config.MaxConnIdleTime <= 0 { // to pgxpool, 0 is no time at all
		config.MaxConnIdleTime = forever
	}
	if config.HealthCheckPeriod <= 0 { // a ticker has to have a period
		config.HealthCheckPeriod = forever
	}

	// pgconn takes connect_timeout out of what it was given, and 0 for not set.
	config.ConnConfig.ConnectTimeout = cmp.Or(opts.ConnectTimeout, config.ConnConfig.ConnectTimeout, 5*time.Second)
	config.ConnConfig.ConnectTimeout = max(0, config.ConnConfig.ConnectTimeout)

	if opts.Tracer != nil {
		config.ConnConfig.Tracer = opts.Tracer
	}
	if _, ok := given["default_query_exec_mode"]; opts.PgBouncer && !ok {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if opts.Schema != "" {
		config.AfterConnect = requireSchema(opts.Schema)
	}
	return config, setParams(config.ConnConfig.RuntimeParams, opts)
}

// requireSchema refuses a connection that would work on the tables of another schema, or on none. What counts is what sessions begin with:
// behind a pooler the next statement may run in another one.
func requireSchema(schema string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		var first, has bool
		var path string
		if err := conn.QueryRow(ctx, `
			SELECT
			    coalesce((pg_catalog.current_schemas(false))[1] = $1 AND s.setting = s.reset_val, false),
			    pg_catalog.to_regclass(pg_catalog.quote_ident($1) || '.oauth_client') IS NOT NULL,
			    s.reset_val
			FROM pg_catalog.pg_settings AS s
			WHERE s.name = 'search_path'`, schema).Scan(&first, &has, &path); err != nil {
			return fmt.Errorf("db: look for the schema: %w", err)
		}
		switch {
		case !has:
			return fmt.Errorf("db: there is no oauthdb in the schema %s: migrate it, or give the role USAGE", schema)
		case !first:
			return fmt.Errorf("db: sessions begin with search_path = '%s', and not in the schema %s: ALTER ROLE %s SET search_path", path, schema,
				conn.Config().User)
		}
		return nil
	}
}

const forever = 1<<63 - 1

func defaultMaxConns() int32 {
	return int32(min(max(4, 2*runtime.GOMAXPROCS(0)), 32))
}

func setCount(field *int32, given map[string]string, param string, opt, def int32) {
	if _, ok := given[param]; opt != 0 {
		*field = opt
	} else if !ok {
		*field = def
	}
}

func setDuration(field *time.Duration, given map[string]string, param string, opt, def time.Duration) {
	if _, ok := given[param]; opt != 0 {
		*field = opt
	} else if !ok {
		*field = def
	}
}

// setParams sets what is sent at the start of each connection.
func setParams(params map[string]string, opts Options) error {
	if _, ok := params["application_name"]; opts.ApplicationName != "" || !ok {
		params["application_name"] = cmp.Or(opts.ApplicationName, "oauthdb")
	}
	if opts.Schema != "" && !opts.PgBouncer {
		params["search_path"] = pgx.Identifier{opts.Schema}.Sanitize() + ", pg_temp" // last, or it would come first
	}
	for _, p := range []struct {
		name string
		opt  time.Duration
		def  time.Duration
	}{
		{"statement_timeout", opts.StatementTimeout, 10 * time.Second},
		{"lock_timeout", opts.LockTimeout, 5 * time.Second},
		{"idle_in_transaction_session_timeout", opts.IdleInTransactionSessionTimeout, 15 * time.Second},
	} {
		_, given := params[p.name]
		given = given || strings.Contains(params["options"], p.name) // -c statement_timeout=5s
		switch {
		case p.opt < 0:
			delete(params, p.name)
		case p.opt > 0 && opts.PgBouncer:
			return fmt.Errorf("db: %s can't be set through PgBouncer: ALTER ROLE ... SET %s", p.name, p.name)
		case p.opt > 0:
			params[p.name] = milliseconds(p.opt)
		case !given && !opts.PgBouncer:
			params[p.name] = milliseconds(p.def)
		}
	}
	return nil
}

// milliseconds is the unit of the server's timeouts. It never rounds to 0, which is no timeout.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}

// parseError says what is wrong with connString as far as that can't show the password. pgx masks it where it finds it, but
// in a string that can't be parsed it may be anywhere.
func parseError(connString string, err error) error {
	// The text is: cannot parse `...`: reason (cause).
	_, reason, found := lastCut(err.Error(), "`: ")
	if !found {
		return errors.New("db: cannot parse the connection string")
	}
	for _, broken := range []string{"failed to parse as URL", "failed to parse as keyword/value", "invalid port", "could not match"} {
		if strings.HasPrefix(reason, broken) {
			return fmt.Errorf("db: cannot parse the connection string: %s", broken)
		}
	}
	if u, err := url.Parse(connString); err == nil {
		if password, ok := u.User.Password(); ok && password != "" && strings.Contains(reason, password) {
			return errors.New("db: cannot parse the connection string")
		}
	}
	return fmt.Errorf("db: cannot parse the connection string: %s", reason)
}

func lastCut(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
