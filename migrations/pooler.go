package migrations

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/internal/startup"
)

// PoolerError says that a run was refused, before it changed anything, because its connection goes through a pooler that isn't known to
// keep one server session for it. Connect to PostgreSQL itself, or to a pooler in session mode.
type PoolerError struct {
	reason string
	err    error
}

func (e *PoolerError) Error() string {
	const advice = "connect to PostgreSQL itself or to a pooler in session mode"
	if e.err != nil {
		return fmt.Sprintf("migrations: %s (%v): %s", e.reason, e.err, advice)
	}
	return fmt.Sprintf("migrations: %s: %s", e.reason, advice)
}

func (e *PoolerError) Unwrap() error { return e.err }

// ownSession makes sure that conn has a session of the server to itself for as long as it is open. It changes nothing in it.
//
// The server tells each connection the number of its process, for cancel requests. A pooler answers those itself, so it makes up
// the number. Where it is the true one, nothing but a relay of bytes is between.
func ownSession(ctx context.Context, conn *pgx.Conn) error {
	pid, err := backend(ctx, conn.PgConn())
	if err != nil {
		return fmt.Errorf("ask for the server process: %w", err)
	}
	if pid == conn.PgConn().PID() {
		return nil
	}
	return poolerKeepsSessions(ctx, conn.Config())
}

// poolerKeepsSessions tells a pooler in session mode from any other: there, the end of an idle connection's server process is the end of
// the connection, and elsewhere it isn't. Two connections of its own try it out.
func poolerKeepsSessions(ctx context.Context, config *pgx.ConnConfig) error {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	unknown := func(err error) error {
		if whole.Err() != nil {
			return err
		}
		return &PoolerError{"the connection goes through a pooler, and it can't be told whether that keeps a session for it", err}
	}
	shared := &PoolerError{reason: "the connection goes through a pooler in transaction or statement mode"}

	config = config.Copy()
	name := "oauthdb " + rand.Text()
	config.RuntimeParams["application_name"] = name
	var conns [2]*pgconn.PgConn
	for i := range conns {
		conn, err := pgconn.ConnectConfig(ctx, &config.Config)
		if err != nil {
			return unknown(err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		conns[i] = conn
	}
	idle, other := conns[0], conns[1]

	// Most often it shows at once: the process that the idle connection has just used serves the other one, or no longer serves
	// the idle one.
	pid, err := backend(ctx, idle)
	if err != nil {
		return unknown(err)
	}
	if _, err := other.Exec(ctx, "BEGIN READ ONLY").ReadAll(); err != nil {
		return unknown(err)
	}
	defer func() { // a pooler gives up the session of a connection that is closed in a transaction
		_, _ = other.Exec(ctx, "ROLLBACK").ReadAll()
	}()
	for _, conn := range []*pgconn.PgConn{other, idle} {
		now, err := backend(ctx, conn)
		if err != nil {
			return unknown(err)
		}
		if (now == pid) != (conn == idle) {
			return shared
		}
	}

	// Else the process is ended, provided that it is idle and has the name of the idle connection. A pooler that shares it loses an idle
	// process of its pool, and opens another.
	results, err := other.Exec(ctx, `
		SELECT pg_catalog.pg_terminate_backend(a.pid, 5000)
		FROM pg_catalog.pg_stat_activity AS a
		WHERE a.pid = `+strconv.FormatUint(uint64(pid), 10)+`
		    AND a.state = 'idle'
		    AND a.application_name = '`+name+`'`).ReadAll()
	if err != nil {
		return unknown(err)
	}
	if rows := results[len(results)-1].Rows; len(rows) != 1 || string(rows[0][0]) != "t" {
		return unknown(nil)
	}
	// Nothing is sent on the idle connection, for which a pooler might find another process, or this one, before it has seen it end.
	waiting, cancelWait := context.WithTimeout(ctx, 2*time.Second)
	defer cancelWait()
	if err := idle.WaitForNotification(waiting); err == nil || waiting.Err() != nil {
		return shared
	}
	return nil
}

// backend is the number of the process in which the server runs the statement.
func backend(ctx context.Context, conn *pgconn.PgConn) (uint32, error) {
	results, err := conn.Exec(ctx, "SELECT pg_catalog.pg_backend_pid()").ReadAll()
	if err != nil {
		return 0, err
	}
	pid, err := strconv.ParseUint(string(results[0].Rows[0][0]), 10, 32)
	return uint32(pid), err
}

// pgxConn calls do with the connection of pgx below conn, or with nil if its driver is another one.
func pgxConn(conn *sql.Conn, do func(*pgx.Conn) error) error {
	return conn.Raw(func(c any) error {
		if below, ok := c.(*stdlib.Conn); ok {
			return do(below.Conn())
		}
		return do(nil)
	})
}

// connect opens a connection of db and compares the settings of its session with those that it asked for, as far as that can be
// known: of a connection that pgx has opened.
func connect(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", onRefusal(err))
	}
	err = pgxConn(conn, func(c *pgx.Conn) error {
		if c == nil {
			return nil
		}
		return startup.Check(ctx, c.PgConn(), c.Config().RuntimeParams)
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// onRefusal says what to do about a startup parameter that a pooler has refused.
func onRefusal(err error) error {
	if name := startup.Refused(err); name != "" {
		return &PoolerError{"a pooler refuses the setting " + name + " of the connection string", err}
	}
	return err
}

// patiently repeats what a very short statement_timeout of the role or the connection string has cut off.
func patiently(ctx context.Context, do func() error) (err error) {
	for range 10 {
		err = do()
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "57014" || ctx.Err() != nil {
			break
		}
	}
	return err
}
