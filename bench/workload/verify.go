package workload

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// Verify checks that a run has left done operations in the tables, no more and no fewer: pgbench looks at no outcome.
func (l Load) Verify(ctx context.Context, conn *pgx.Conn, done int64) error {
	families := fmt.Sprintf("id BETWEEN '%s' AND '%s'", dataset.SeedAuthorization(l.Run, 0), dataset.SeedAuthorization(l.Run, 999_999))
	issued := fmt.Sprintf("id >= 'atk_0191%06d' AND id < 'atk_0191%06d'", l.Run, l.Run+1)
	query := ""
	switch l.Work {
	case subject.Redeem:
		query = "SELECT count(*) FROM oauth_authorization WHERE redeemed_at IS NOT NULL AND revoked_at IS NULL AND " + families
	case subject.Rotate, subject.Retry:
		// one access token of each was there before
		query = fmt.Sprintf("SELECT count(*) - %d FROM oauth_access_token WHERE %s", l.Seed(false).Count, issued)
	case subject.Revoke:
		query = "SELECT count(*) FROM oauth_authorization WHERE revoked_at IS NOT NULL AND " + families
	case subject.EndSession:
		// store marks the session, the others revoke what was granted in it and delete it
		query = `
			SELECT count(*)
			FROM oauth_authorization AS a
			LEFT JOIN session AS s ON s.id = a.session_id
			WHERE (s.ended_at IS NOT NULL OR (s.id IS NULL AND a.revoked_at IS NOT NULL)) AND a.` + families
	default:
		return nil
	}
	var found int64
	if err := conn.QueryRow(ctx, query).Scan(&found); err != nil {
		return err
	}
	if found != done {
		return fmt.Errorf("%s: %d operations were counted, but the tables show %d", l.Work, done, found)
	}
	return nil
}
