package measure

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// Costs counts what one operation of the load takes of the server, which has to have pg_stat_statements. The first warm operations of the
// session's one connection are not counted, so that nothing is prepared while it counts, but for rows, of which they write as many. look is another connection to the same database, on which nobody else is at work. Costs
// closes the session, with which its server process reports the rows. Beside the costs it returns how many operations were done in all.
func Costs(ctx context.Context, look *pgx.Conn, s subject.Session, l workload.Load, warm int64) (c report.Cost, done int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("count what %s takes: %w", l.Work, err)
		}
	}()
	closed := false
	end := func() {
		if !closed {
			s.Close()
			closed = true
		}
	}
	defer end()
	c = report.Cost{Work: l.Work, Size: l.Data.AccessTokens}
	rows := func() (n float64, err error) {
		err = look.QueryRow(ctx, `
			SELECT (tup_inserted + tup_updated + tup_deleted)::float8
			FROM pg_stat_database
			WHERE datname = current_database()`).Scan(&n)
		return n, err
	}
	rowsBefore, err := rows()
	if err != nil {
		return c, 0, err
	}
	cases := l.Cases(0)
	for n := range l.Ops {
		if n == warm {
			if _, err := look.Exec(ctx, "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()"); err != nil {
				return c, 0, err
			}
		}
		if err := s.Do(ctx, l.Work, &cases[n]); err != nil {
			return c, 0, fmt.Errorf("operation %d: %w", n, err)
		}
	}
	err = look.QueryRow(ctx, `
		SELECT
			coalesce(sum(s.calls), 0)::float8,
			coalesce(sum(s.wal_bytes), 0)::float8,
			coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::float8
		FROM pg_stat_statements AS s
		JOIN pg_database AS d ON d.oid = s.dbid
		JOIN pg_roles AS r ON r.oid = s.userid
		WHERE d.datname = current_database() AND r.rolname = current_user AND s.query NOT LIKE '%pg_stat_%'`).
		Scan(&c.Statements, &c.WALBytes, &c.Buffers)
	if err != nil {
		return c, 0, err
	}
	end()
	for { // until the server process is gone
		var left int
		err := look.QueryRow(ctx, `
			SELECT count(*)
			FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&left)
		if err != nil {
			return c, 0, err
		}
		if left == 0 {
			break
		}
	}
	rowsAfter, err := rows()
	if err != nil {
		return c, 0, err
	}
	per := float64(l.Ops - warm)
	c.Statements /= per
	c.Rows = (rowsAfter - rowsBefore) / float64(l.Ops)
	c.WALBytes /= per
	c.Buffers /= per
	return c, l.Ops, nil
}
