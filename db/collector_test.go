package db_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
)

// fillExpired writes n expired rows of each kind, n families with two refresh tokens each among them, and as many that are
// not due.
func fillExpired(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO "user" (id, name, email) VALUES ('u', 'Ada', 'ada@example.com')`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c', 'c', '{https://client.example/callback}')`,
		`INSERT INTO session (id, user_id, token, expires_at)
			SELECT due || n, 'u', due || n, now() + CASE WHEN due = 'y' THEN -interval '1 day' ELSE interval '1 day' END
			FROM generate_series(1, $1::int) AS n, (VALUES ('y'), ('n')) AS d (due)`,
		`INSERT INTO oauth_authorization (id, client_id, user_id, session_id, scopes, granted_scopes, status, expires_at)
			SELECT due || n, 'c', 'u', due || n, '{a}', '{a}', 'approved', now() + CASE WHEN due = 'y' THEN -interval '2 days' ELSE interval '1 day' END
			FROM generate_series(1, $1::int) AS n, (VALUES ('y'), ('n')) AS d (due)`,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, scopes, authorization_id, expires_at)
			SELECT a.id || i, left(translate(encode(sha256((a.id || i)::bytea), 'base64'), '+/', '-_'), 43), 'c', 'u', a.session_id, '{a}', a.id, a.expires_at
			FROM oauth_authorization AS a, generate_series(1, 2) AS i WHERE $1::int > 0`,
		`INSERT INTO oauth_access_token (id, client_id, user_id, session_id, scopes, authorization_id, refresh_id, expires_at)
			SELECT r.id, 'c', 'u', r.session_id, '{a}', r.authorization_id, r.id, r.expires_at
			FROM oauth_refresh_token AS r WHERE $1::int > 0`,
		`INSERT INTO oauth_client_assertion (id, expires_at)
			SELECT left(translate(encode(sha256((due || n)::bytea), 'base64'), '+/', '-_'), 43), now() + CASE WHEN due = 'y' THEN -interval '1 day' ELSE interval '1 day' END
			FROM generate_series(1, $1::int) AS n, (VALUES ('y'), ('n')) AS d (due)`,
		`INSERT INTO jwks (id, public_key, private_key, expires_at)
			SELECT due || n, '{}', 'x', now() + CASE WHEN due = 'y' THEN -interval '1 day' ELSE interval '1 day' END
			FROM generate_series(1, $1::int) AS n, (VALUES ('y'), ('n')) AS d (due)`,
	} {
		args := []any{n}
		if !strings.Contains(sql, "$1") {
			args = nil
		}
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
}

func wantCollected(n int) db.Collected {
	m := int64(n)
	return db.Collected{ClientAssertions: m, AccessTokens: 2 * m, RefreshTokens: 2 * m, Authorizations: m, Sessions: m, SigningKeys: m}
}

func TestCollectDeletesAllThatIsDueAndNothingElse(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 25)
	batches := 0
	c := db.NewCollector(d.Store, db.CollectorOptions{BatchSize: 10, Progress: func(p db.Progress) {
		batches++
		if p.Deleted > 10 {
			t.Errorf("%s: a batch of %d rows, want at most 10", p.Table, p.Deleted)
		}
	}})
	got, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != wantCollected(25) {
		t.Errorf("collected %+v, want %+v", got, wantCollected(25))
	}
	if want := 3 + 6 + 6 + 3 + 3 + 3; batches != want {
		t.Errorf("%d batches, want %d", batches, want)
	}
	for table, want := range map[string]int{"session": 25, "oauth_authorization": 25, "oauth_refresh_token": 50, "oauth_access_token": 50, "oauth_client_assertion": 25, "jwks": 25} {
		var n int
		if err := d.Pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != want {
			t.Errorf("%s: %d rows left, want %d", table, n, want)
		}
	}
	if again, err := c.Collect(t.Context()); err != nil || again.Total() != 0 {
		t.Errorf("a second pass: %+v, %v; want nothing left to do", again, err)
	}
}

func TestCollectKeepsEvidenceForTheRetention(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 3)
	got, err := db.NewCollector(d.Store, db.CollectorOptions{Retention: 49 * time.Hour}).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.RefreshTokens != 0 || got.Authorizations != 0 || got.AccessTokens != 6 {
		t.Errorf("collected %+v, want the access tokens and no evidence", got)
	}
}

func TestSeveralCollectorsShareTheWork(t *testing.T) {
	t.Parallel()
	const n = 300
	d := testdb.New(t, testdb.Options{MaxConns: 4})
	fillExpired(t, d.Pool, n)
	var mu sync.Mutex
	var sum db.Collected
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := db.NewCollector(d.Store, db.CollectorOptions{BatchSize: 20})
			for {
				got, err := c.Collect(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if got.Total() == 0 {
					return
				}
				mu.Lock()
				sum.ClientAssertions += got.ClientAssertions
				sum.AccessTokens += got.AccessTokens
				sum.RefreshTokens += got.RefreshTokens
				sum.Authorizations += got.Authorizations
				sum.Sessions += got.Sessions
				sum.SigningKeys += got.SigningKeys
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	rest, err := db.NewCollector(d.Store, db.CollectorOptions{}).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if total := sum.Total() + rest.Total(); total != wantCollected(n).Total() {
		t.Errorf("together they deleted %d rows, want each of %d once", total, wantCollected(n).Total())
	}
}

func TestCollectStopsWithItsContext(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 20)
	ctx, cancel := context.WithCancel(t.Context())
	c := db.NewCollector(d.Store, db.CollectorOptions{BatchSize: 5, Pause: time.Hour, Progress: func(db.Progress) { cancel() }})
	began := time.Now()
	got, err := c.Collect(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if got.Total() != 5 || time.Since(began) > 10*time.Second {
		t.Errorf("deleted %d rows in %s, want the one batch that was under way", got.Total(), time.Since(began))
	}
	if n := d.Pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are still out", n)
	}
}

// flaky fails its first call as a database that is away does.
type flaky struct {
	*store.Queries
	failed bool
}

func (f *flaky) DeleteExpiredClientAssertions(ctx context.Context, n int32) (int64, error) {
	if !f.failed {
		f.failed = true
		return 0, errors.New("connection refused")
	}
	return f.Queries.DeleteExpiredClientAssertions(ctx, n)
}

func TestRunOutlivesAFailedPassAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log strings.Builder
	c := db.NewCollector(&flaky{Queries: d.Store}, db.CollectorOptions{
		Interval: 20 * time.Millisecond,
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		Progress: func(p db.Progress) {
			if p.Table == "jwks" && p.Collected == wantCollected(2) {
				cancel()
			}
		},
	})
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want the context's error", err)
	}
	if ctx.Err() == nil {
		t.Error("Run ended before its context")
	}
	if !strings.Contains(log.String(), "collecting expired rows failed") {
		t.Errorf("the failed pass was not logged: %s", log.String())
	}
}
