package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"

	"github.com/oauthdb/oauthdb/internal/startup"
)

// lockID is the advisory lock that serialises runs in a database: "oauthdb" in ASCII. It differs from goose's default, so
// that an application's own migrations neither wait for ours nor hold them up.
const lockID int64 = 0x6f617574686462

// dedicated returns a handle of its own on the database of db. A run leaves settings and a lock on its connection; on
// some errors database/sql would hand it back to the caller's pool with both still on it.
func dedicated(ctx context.Context, db *sql.DB) (*sql.DB, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", onRefusal(err))
	}
	defer conn.Close()
	var config *pgx.ConnConfig
	err = pgxConn(conn, func(c *pgx.Conn) error {
		if c == nil {
			return errors.New("the database driver has to be pgx's")
		}
		config = c.Config()
		return nil
	})
	if err != nil {
		return nil, err
	}
	own := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		err := prepare(ctx, conn)
		if err != nil {
			_ = conn.Close(context.WithoutCancel(ctx)) // package stdlib doesn't
		}
		return err
	}))
	if err := own.PingContext(ctx); err != nil {
		own.Close()
		return nil, err
	}
	return own, nil
}

// prepare is called for each connection of a run, before anything else is sent on it. The settings that it pins aren't compared.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	if err := patiently(ctx, func() error { return ownSession(ctx, conn) }); err != nil {
		return err
	}
	if err := pin(ctx, conn); err != nil {
		return err
	}
	if err := startup.Check(ctx, conn.PgConn(), conn.Config().RuntimeParams, ownSettings()...); err != nil {
		return err
	}
	return searchSchemaFirst(ctx, conn)
}

// session prepares the one connection on which goose runs. goose calls it at the right moments because it is a
// [lock.SessionLocker]: first the lock, then the settings.
type session struct {
	lockTimeout   time.Duration
	lockWait      time.Duration
	noTransaction bool // the files to run are exempt from lockTimeout
	log           *slog.Logger
	locked        func(context.Context, *sql.Conn) error // called once the lock is held

	locker lock.SessionLocker
}

func (s *session) SessionLock(ctx context.Context, conn *sql.Conn) (err error) {
	// A locker counts its attempts once for all calls, hence a new one for each.
	attempts := max(1, uint64((max(s.lockWait, 0)+time.Second-1)/time.Second))
	s.locker, err = lock.NewPostgresSessionLocker(
		lock.WithLockID(lockID),
		lock.WithLockTimeout(1, attempts),
		lock.WithUnlockTimeout(1, 1),
	)
	if err != nil {
		return err
	}

	waiting := time.AfterFunc(time.Second, func() {
		s.log.LogAttrs(ctx, slog.LevelInfo, "oauthdb: waiting for another migration run to finish",
			slog.Duration("at_most", s.lockWait))
	})
	defer waiting.Stop()
	if err := s.locker.SessionLock(ctx, conn); err != nil {
		return fmt.Errorf("wait up to %s for the advisory lock %d of migration runs: %w", s.lockWait, lockID, err)
	}

	var lockTimeout int64 // milliseconds; 0 is no bound
	if !s.noTransaction && s.lockTimeout > 0 {
		lockTimeout = max(1, s.lockTimeout.Milliseconds())
	}
	if _, err := conn.ExecContext(ctx, `SELECT set_config('lock_timeout', $1::text, false)`,
		strconv.FormatInt(lockTimeout, 10)); err != nil {
		return fmt.Errorf("set lock_timeout of the migration session: %w", err)
	}
	if err := s.locked(ctx, conn); err != nil {
		// goose doesn't unlock what it was told it could not lock
		return errors.Join(err, s.SessionUnlock(context.WithoutCancel(ctx), conn))
	}
	return nil
}

// SessionUnlock never fails: what it can't unlock is unlocked a moment later, when the run closes its connection.
func (s *session) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.locker.SessionUnlock(ctx, conn); err != nil {
		s.log.LogAttrs(ctx, slog.LevelDebug, "oauthdb: the migration session is closed with its lock", slog.Any("error", err))
	}
	return nil
}
