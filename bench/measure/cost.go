package measure

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// Costs counts what one operation of the load takes of the network and of the server, which has to have pg_stat_statements. The
// session's one connection goes through a relay whose round trips trips counts; its first warm operations are not counted, so that
// nothing is prepared while it counts. look is another connection to the same database, on which nobody else is at work. Beside the
// costs it returns how many operations were done in all.
func Costs(ctx context.Context, look *pgx.Conn, trips func() int64, s subject.Session, l workload.Load, warm int64) (report.Cost, int64, error) {
	fail := func(err error) (report.Cost, int64, error) {
		return report.Cost{}, 0, fmt.Errorf("count what %s takes: %w", l.Work, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cases := l.Cases(0)
	var before int64
	for n := range l.Ops {
		if n == warm {
			_, err := look.Exec(ctx, "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()")
			if err != nil {
				return fail(err)
			}
			before = trips()
		}
		if err := s.Do(ctx, l.Work, &cases[n]); err != nil {
			return fail(fmt.Errorf("operation %d: %w", n, err))
		}
	}
	waited := trips() - before
	c := report.Cost{Work: l.Work, Size: l.Data.AccessTokens}
	err := look.QueryRow(ctx, `
		SELECT
			coalesce(sum(s.calls), 0)::float8,
			coalesce(sum(s.wal_bytes), 0)::float8,
			coalesce(sum(s.wal_fpi), 0)::float8,
			coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::float8
		FROM pg_stat_statements AS s
		JOIN pg_database AS d ON d.oid = s.dbid
		JOIN pg_roles AS r ON r.oid = s.userid
		WHERE d.datname = current_database() AND r.rolname = current_user AND s.query NOT LIKE '%pg_stat_statements%'`).
		Scan(&c.Statements, &c.WALBytes, &c.FullPages, &c.Buffers)
	if err != nil {
		return fail(err)
	}
	per := float64(l.Ops - warm)
	c.Statements /= per
	c.RoundTrips = float64(waited) / per
	c.WALBytes /= per
	c.FullPages /= per
	c.Buffers /= per
	return c, l.Ops, nil
}
