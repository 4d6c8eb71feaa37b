package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/migrations/roles"
)

const (
	livePath     = "/livez"
	readyPath    = "/readyz"
	readyTimeout = 2 * time.Second // for the database to answer
)

// health answers whoever runs the server: whether the process lives, and whether to send it requests.
type health struct {
	draining atomic.Bool
	check    func(context.Context) error
	logger   *slog.Logger
}

func newHealth(pool *pgxpool.Pool, logger *slog.Logger) *health {
	return &health{logger: logger, check: func(ctx context.Context) error { return db.Check(ctx, pool, db.CheckOptions{}) }}
}

// drain makes the server say that it isn't ready.
func (h *health) drain() { h.draining.Store(true) }

func (h *health) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+livePath, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET "+readyPath, h.ready)
}

// ready says no while the server stops, the database doesn't answer or only reads, its schema is older than this server, or the role lacks
// privileges. Why is in the log: it is nothing for everybody.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		say(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	err := h.check(ctx)
	if err == nil {
		say(w, http.StatusOK, "ready")
		return
	}
	h.logger.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("error", db.Describe(err)))
	switch {
	case errors.Is(err, db.ErrStandby):
		say(w, http.StatusServiceUnavailable, "the database accepts no writes")
	case errors.Is(err, db.ErrSchema), errors.Is(err, db.ErrPrivileges):
		say(w, http.StatusServiceUnavailable, "the database is not prepared")
	default:
		say(w, http.StatusServiceUnavailable, "the database does not answer")
	}
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

// checkHealth asks the server at an address whether it is ready. An address that stands for all of the machine is asked for on this one.
func checkHealth(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*readyTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+readyPath, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready: %s", answer.Status)
	}
	return nil
}

var errOldSchema = errors.New("the database's schema is older than this server: run `authserver -migrate-only` as the role that owns the tables first, " +
	"or start with -migrate if that is this server's")

func upToDate(ctx context.Context, conn *sql.DB) (bool, error) {
	pending, err := migrations.Pending(ctx, conn, migrations.Options{})
	return !pending, err
}

// prepareSchema migrates if it is asked to, which several servers may be at once, and refuses a schema that is older than the server.
func prepareSchema(ctx context.Context, pool *pgxpool.Pool, c *config, logger *slog.Logger) error {
	conn := stdlib.OpenDBFromPool(pool)
	defer conn.Close()
	if c.migrate || c.migrateOnly || c.demo {
		if _, err := migrations.Up(ctx, conn, migrations.Options{Logger: logger}); err != nil {
			return err
		}
	}
	if c.migrateOnly {
		return givePrivileges(ctx, pool, roles.Options{})
	}
	switch current, err := upToDate(ctx, conn); {
	case err != nil:
		return err
	case !current:
		return errOldSchema
	}
	return nil
}

// givePrivileges runs what `oauthdb roles` prints, if the database has the roles.
func givePrivileges(ctx context.Context, pool *pgxpool.Pool, o roles.Options) error {
	script, err := roles.Privileges(o)
	if err != nil {
		return err
	}
	connection, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer connection.Release()
	var there bool
	err = connection.QueryRow(ctx, `SELECT count(*) = 4 FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::name[])`,
		[]string{"oauthdb_application", "oauthdb_collector", "oauthdb_auditor", "oauthdb_peer"}).Scan(&there)
	if err != nil || !there {
		return err
	}
	_, err = connection.Conn().PgConn().Exec(ctx, script).ReadAll()
	return err
}
