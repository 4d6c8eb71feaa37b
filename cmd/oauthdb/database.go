package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/startup"
	"github.com/oauthdb/oauthdb/migrations"
)

// defaultDatabase is the database of the private cluster that commands work on.
const defaultDatabase = "oauthdb"

// target says which database a command is to work on.
type target struct {
	url       string
	cluster   string
	database  string
	pgbouncer bool
}

func (t *target) register(flags *flag.FlagSet) {
	t.registerServer(flags)
	flags.StringVar(&t.database, "database", defaultDatabase, "`name` of the database in the private PostgreSQL")
}

func (t *target) registerServer(flags *flag.FlagSet) {
	flags.StringVar(&t.url, "database-url", "", "work on the database at this `URL`, whatever DATABASE_URL says")
	t.registerCluster(flags)
}

func (t *target) registerCluster(flags *flag.FlagSet) {
	flags.StringVar(&t.cluster, "cluster", string(devdb.Dev), "which private PostgreSQL: `dev`, or test, which the tests use")
}

// registerPooler is for commands that work through a pooler in transaction mode, too.
func (t *target) registerPooler(flags *flag.FlagSet) {
	flags.BoolVar(&t.pgbouncer, "pgbouncer", false, "connect through PgBouncer in transaction mode")
}

// server is a PostgreSQL and the database to work on.
type server struct {
	url     string // with its password
	private bool   // ours: started here, reachable from this machine alone, of no value to anybody else
	cluster *devdb.Cluster
}

// open finds the server, and starts it if it is the private one.
func (t *target) open(ctx context.Context, c console) (*server, error) {
	if t.url != "" {
		if _, err := pgx.ParseConfig(t.url); err != nil { // its message hides the password
			return nil, usage("-database-url: %w", err)
		}
		return &server{url: t.url}, nil
	}
	cluster, err := t.start(ctx, c)
	if err != nil {
		return nil, err
	}
	if cluster.External {
		return &server{url: cluster.URL}, nil
	}
	u, err := devdb.EnsureDatabase(ctx, cluster.URL, t.database)
	if err != nil {
		return nil, err
	}
	return &server{url: u, private: true, cluster: cluster}, nil
}

func (t *target) start(ctx context.Context, c console) (*devdb.Cluster, error) {
	kind := devdb.Kind(t.cluster)
	if kind != devdb.Dev && kind != devdb.Test {
		return nil, usage("-cluster: %q is neither dev nor test", t.cluster)
	}
	if os.Getenv("DATABASE_URL") == "" && !devdb.InClone() {
		return nil, usage("no database is given: pass -database-url or set DATABASE_URL; a private PostgreSQL is started in a clone of oauthdb only")
	}
	return devdb.Start(ctx, devdb.Options{Kind: kind, Logf: c.say})
}

// shown is the URL as it may be printed: with the password only where it protects nothing.
func (s *server) shown() string {
	if s.private {
		return s.url
	}
	return redact(s.url)
}

const hidden = "xxxxx"

// redact replaces the password in a connection string. What is not a URL is written as one.
func redact(connection string) string {
	u, err := url.Parse(connection)
	if err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		if q := u.Query(); q.Has("password") || q.Has("sslpassword") {
			for _, name := range []string{"password", "sslpassword"} {
				if q.Has(name) {
					q.Set(name, hidden)
				}
			}
			u.RawQuery = q.Encode()
		}
		return u.Redacted()
	}
	config, err := pgx.ParseConfig(connection)
	if err != nil {
		return "(a connection string that cannot be read)"
	}
	u = &url.URL{Scheme: "postgres", Host: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), Path: "/" + config.Database}
	if strings.HasPrefix(config.Host, "/") { // a Unix-domain socket
		u.Host, u.RawQuery = "", url.Values{"host": {config.Host}, "port": {strconv.Itoa(int(config.Port))}}.Encode()
	}
	u.User = url.User(config.User)
	if config.Password != "" {
		u.User = url.UserPassword(config.User, hidden)
	}
	return u.String()
}

// sql opens the database for package migrations.
func (s *server) sql(ctx context.Context) (*sql.DB, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	if config.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement { // each statement runs once, perhaps through a pooler
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	handle := stdlib.OpenDB(*config)
	if err := handle.PingContext(ctx); err != nil {
		handle.Close()
		return nil, err
	}
	return handle, nil
}

// pool opens the database for package store.
func (s *server) pool(ctx context.Context, opts db.Options) (*pgxpool.Pool, error) {
	return db.Open(ctx, s.url, opts)
}

func (s *server) config() (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(s.url)
	if err != nil {
		return nil, err
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "oauthdb"
	}
	return config, nil
}

// hintFor says what may help against an error that the server, or its absence, gave rise to.
func hintFor(err error) string {
	var changed *migrations.ChangedError
	if errors.As(err, &changed) {
		return "The schema is not what this release thinks it is. Use the release that applied it, or make the database anew;\n'oauthdb stop -delete' deletes the private PostgreSQL."
	}
	if lost := (*startup.LostError)(nil); errors.As(err, &lost) || startup.Refused(err) != "" {
		return "A pooler is in between. Connect to PostgreSQL itself with -database-url or DATABASE_URL."
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "3D000":
			return "The database does not exist. Create it first: createdb, or CREATE DATABASE in psql."
		case "42P01":
			return "The database lacks a table: run 'oauthdb migrate' first, and 'oauthdb status' to see what it has."
		case "28P01", "28000":
			return "PostgreSQL refused the user or the password. Check -database-url or DATABASE_URL."
		case "42501":
			return "The role may not do this. The schema is migrated by a role that owns it; see GRANT, and ALTER DATABASE … OWNER TO."
		case "55P03":
			return "Another transaction holds a lock on a table for longer than a migration waits. What was applied before\nstands, nothing is half done: run it again when the database is less busy."
		case "25006":
			return "This server only reads: a replica, perhaps. Connect to the primary."
		}
	}
	var connecting *pgconn.ConnectError
	var missing *net.DNSError
	switch {
	case errors.As(err, &missing):
		return "No machine of that name. Check the host in -database-url or DATABASE_URL."
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT) && errors.As(err, &connecting):
		return "Nothing listens there. Is PostgreSQL running? In a clone of oauthdb, without -database-url and DATABASE_URL, oauthdb starts one of its own."
	}
	return ""
}

// withDatabase is a connection string with another database in it.
func withDatabase(connection, name string) (string, error) {
	u, err := url.Parse(connection)
	if err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		u.Path, u.RawPath = "/"+name, ""
		if q := u.Query(); q.Has("dbname") || q.Has("database") { // they would win
			q.Del("dbname")
			q.Del("database")
			u.RawQuery = q.Encode()
		}
		return u.String(), nil
	}
	if _, err := pgx.ParseConfig(connection); err != nil { // its message hides the password
		return "", fmt.Errorf("reading the connection string: %w", err)
	}
	if strings.Contains(connection, "://") {
		return "", errors.New("reading the connection string: a port is missing: name one for each host, or none at all")
	}
	return strings.TrimSpace(connection + " dbname=" + name), nil // the last one wins
}
