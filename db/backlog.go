package db

import (
	"context"
	"fmt"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// Backlog is work that waits for a [Collector] and a [LogoutWorker].
type Backlog struct {
	// Expired is, by table, for how long the oldest row has been expired, and zero where none is. A collector deletes rows of most tables
	// in its next pass; refresh tokens and polled requests are kept for its retention.
	Expired map[string]time.Duration

	// LogoutsDue is how many clients are to be told of a sign-out by now, at most [MaxBacklog], and LogoutsLate for how long the first of
	// them has been waiting. Attempts that failed count from when the next is due.
	LogoutsDue  int64
	LogoutsLate time.Duration
}

// MaxBacklog is how far deliveries are counted.
const MaxBacklog = 10_000

// ReadBacklog looks at what is left to do. It reads the first entry of an index for each table, and up to [MaxBacklog] deliveries: once a minute
// is no burden. The role needs to read these tables; roles for servers and collectors may.
func ReadBacklog(ctx context.Context, on store.DBTX) (Backlog, error) {
	b := Backlog{Expired: map[string]time.Duration{}}
	var tables []string
	var seconds []float64
	var late float64
	err := on.QueryRow(ctx, `
		WITH oldest AS (
			SELECT 'oauth_access_token' AS name, min(t.expires_at) AS expires_at FROM oauth_access_token AS t
			UNION ALL SELECT 'oauth_refresh_token', min(t.expires_at) FROM oauth_refresh_token AS t
			UNION ALL SELECT 'oauth_polled_request', min(t.expires_at) FROM oauth_polled_request AS t
			UNION ALL SELECT 'oauth_client_assertion', min(t.expires_at) FROM oauth_client_assertion AS t
			UNION ALL SELECT 'oauth_proof', min(t.expires_at) FROM oauth_proof AS t
			UNION ALL SELECT 'one_time_code', min(t.expires_at) FROM one_time_code AS t
		), due AS (
			SELECT k.due_at
			FROM session_client AS k
			JOIN oauth_client AS c ON c.client_id = k.client_id
			WHERE k.due_at <= now() AND k.told_at IS NULL AND has_logout_uri(c)
			ORDER BY k.due_at
			LIMIT $1::int8
		)
		SELECT o.names, o.seconds, d.n, d.late
		FROM (
			SELECT array_agg(o.name), array_agg(greatest(0, coalesce(extract(epoch FROM now() - o.expires_at), 0))::float8) FROM oldest AS o
		) AS o (names, seconds), (
			SELECT count(*), coalesce(extract(epoch FROM now() - min(d.due_at)), 0)::float8 FROM due AS d
		) AS d (n, late)`, int64(MaxBacklog)).Scan(&tables, &seconds, &b.LogoutsDue, &late)
	if err != nil {
		return Backlog{}, fmt.Errorf("db: read backlog: %w", err)
	}
	for i, table := range tables {
		b.Expired[table] = time.Duration(seconds[i] * float64(time.Second))
	}
	b.LogoutsLate = time.Duration(late * float64(time.Second))
	return b, nil
}
