package testdb

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx, which migrations are run with

	"github.com/oauthdb/oauthdb/internal/devdb"
)

// known is what server has found out, the same for every test of the process. The
// channel holds one value: who takes it out may look, and puts it back.
var known = func() chan answer {
	c := make(chan answer, 1)
	c <- answer{}
	return c
}()

type answer struct {
	found  bool
	server *testServer
	err    error
}

// testServer is the server that tests use.
type testServer struct {
	admin     conf // connects as the superuser
	role      role
	templates chan map[string]bool // holds one value: the templates that this process has seen
	idle      chan *pgx.Conn       // connections of the superuser, kept for the next test until the process ends
}

// exec runs a statement as the superuser. A new connection costs the server as much as a third of a database.
func (s *testServer) exec(ctx context.Context, sql string) (err error) {
	var conn *pgx.Conn
	select {
	case conn = <-s.idle:
	default:
		if conn, err = pgx.Connect(ctx, s.admin.URL()); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, sql)
	if err == nil {
		select {
		case s.idle <- conn:
			return nil
		default:
		}
	}
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// asTestRole connects to a database as the tests do.
func (s *testServer) asTestRole(database string) conf {
	c := s.admin
	c.User, c.Password, c.Database = s.role.name, s.role.password, database
	return c
}

// role is what tests run as.
type role struct{ name, password string }

// conf says how to connect; its parts are escaped as they have to be in a URL.
type conf struct {
	Host, Port, User, Password, Database string
	Options                              string // the query, without the question mark
}

func (c conf) URL() string {
	return fmt.Sprintf("postgres://%s:%s@%s:%s/%s?%s", c.User, c.Password, c.Host, c.Port, c.Database, c.Options)
}

// server returns the server that tests use, starting it if need be.
func server(ctx context.Context) (*testServer, error) {
	var a answer
	select {
	case a = <-known:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { known <- a }()
	if !a.found {
		a.server, a.err = connect(ctx)
		// The end of one test says nothing about the server.
		a.found = a.err == nil || ctx.Err() == nil
	}
	return a.server, a.err
}

func connect(ctx context.Context) (*testServer, error) {
	c, err := devdb.Start(ctx, devdb.Options{Kind: devdb.Test})
	if err != nil {
		return nil, err
	}
	admin, role, err := describe(c.URL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return nil, fmt.Errorf("connecting to %v: %w", c, err)
	}
	defer conn.Close(ctx)
	if err := suits(ctx, conn); err != nil {
		return nil, err
	}
	if !c.External {
		if err := dropOld(ctx, conn); err != nil {
			return nil, fmt.Errorf("dropping databases that failed tests left: %w", err)
		}
	}
	templates := make(chan map[string]bool, 1)
	templates <- map[string]bool{}
	return &testServer{admin: admin, role: role, templates: templates, idle: make(chan *pgx.Conn, 4)}, nil
}

// describe takes a connection URL to pieces, from which those of other roles and databases are put together.
func describe(rawURL string) (conf, role, error) {
	cfg, err := pgx.ParseConfig(rawURL) // knows PGUSER and the password file too; its error hides the password
	if err != nil {
		return conf{}, role{}, err
	}
	if !strings.HasPrefix(rawURL, "postgres://") && !strings.HasPrefix(rawURL, "postgresql://") {
		return conf{}, role{}, errors.New("tests need it as a URL: postgres://user:password@host:port/database")
	}
	_, rawQuery, _ := strings.Cut(rawURL, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return conf{}, role{}, errors.New("its query (after the question mark) cannot be read")
	}
	for _, name := range []string{"host", "port", "user", "password", "dbname", "passfile"} {
		query.Del(name)
	}
	host := cfg.Host
	switch {
	case strings.HasPrefix(host, "/"):
		query.Set("host", host)
		host = ""
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	r, err := testRole(cfg.Password)
	if err != nil {
		return conf{}, role{}, err
	}
	return conf{
		Host:     host,
		Port:     strconv.Itoa(int(cfg.Port)),
		User:     url.User(cfg.User).String(),
		Password: url.User(cfg.Password).String(),
		Database: url.PathEscape(cfg.Database),
		Options:  query.Encode(),
	}, r, nil
}

// testRole is the role that tests run as: a plain one. Its password derives from that of
// the superuser, so that every process finds the same and nobody else can guess it. It is
// printed by tests that fail, so the way back is made expensive. The name changes with the
// password, as an existing role keeps the password that it was created with.
func testRole(superuser string) (role, error) {
	key, err := pbkdf2.Key(sha256.New, superuser, []byte("oauthdb storetest role"), 50_000, 20)
	if err != nil {
		return role{}, err
	}
	return role{name: "oauthdb_test_" + hex.EncodeToString(key[:4]), password: hex.EncodeToString(key[4:])}, nil
}

// suits checks what would otherwise fail later and less clearly.
func suits(ctx context.Context, conn *pgx.Conn) error {
	var super bool
	var role string
	var version int
	var pid uint32
	err := conn.QueryRow(ctx, `
		SELECT r.rolsuper, r.rolname::text, current_setting('server_version_num')::int / 10000, pg_backend_pid()
		FROM pg_roles AS r
		WHERE r.rolname = current_user`).Scan(&super, &role, &version, &pid)
	switch {
	case err != nil:
		return fmt.Errorf("asking the server about its version and the role: %w", err)
	case pid != conn.PgConn().PID(): // it would keep connections to databases that are copied or dropped, and may drop settings
		return errors.New("DATABASE_URL goes through a pooler: tests need PostgreSQL itself; PGBOUNCER=transaction starts one for them")
	case version < devdb.Oldest:
		return fmt.Errorf("the server is PostgreSQL %d; the oldest supported is %d", version, devdb.Oldest)
	case !super:
		return fmt.Errorf("role %q of DATABASE_URL is not a superuser: tests need one, to create their role and to mark the template", role)
	}
	return nil
}

// The databases of tests that failed are kept for a day, and no more than the newest
// keptMost: they may stand in memory.
const keptMost = 20

// keep marks the database of a test that has failed.
func keep(ctx context.Context, database conf, test string) error {
	conn, err := pgx.Connect(ctx, database.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var sql string
	err = conn.QueryRow(ctx, "SELECT format('COMMENT ON DATABASE %I IS %L', $1::text, $2::text)",
		database.Database, "kept for "+test+", which failed").Scan(&sql)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return err
}

// dropOld drops what failed tests have left, and what was left an hour ago or more by
// processes that were killed.
func dropOld(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		WITH instance AS (
			SELECT
				d.oid,
				d.datname::text AS name,
				COALESCE(shobj_description(d.oid, 'pg_database') LIKE 'kept for %', false) AS kept,
				(pg_stat_file('base/' || d.oid || '/PG_VERSION', true)).modification AS created_at
			FROM pg_database AS d
			WHERE d.datname ~ '^testdb_tpl_[0-9a-f]+_inst_[0-9a-f]+$'
		), ranked AS (
			SELECT i.*, row_number() OVER (PARTITION BY i.kept ORDER BY i.created_at DESC) AS rank
			FROM instance AS i
		)
		SELECT r.name
		FROM ranked AS r
		WHERE CASE
				WHEN r.kept THEN r.rank > $1 OR r.created_at < now() - interval '1 day'
				ELSE r.created_at < now() - interval '1 hour'
			END
			AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datid = r.oid)`, keptMost)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		// Somebody may look at it again, or drop it too: the next run sees to it.
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}
