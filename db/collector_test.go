package db_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
)

// fillExpired writes n expired rows of each kind, n families with two refresh tokens each among them, and as many that are
// not due.
func fillExpired(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	const due = `generate_series(1, $1::int) AS n, (VALUES ('y', -interval '2 days'), ('n', interval '2 days')) AS d (due, after)`
	for _, sql := range []string{
		`INSERT INTO "user" (id, name) SELECT 'u', 'Ada' WHERE $1::int > 0`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris) SELECT 'c', 'c', '{https://client.example/callback}' WHERE $1::int > 0`,
		`INSERT INTO session (id, user_id, token, expires_at) SELECT due || n, 'u', due || n, now() + after FROM ` + due,
		`INSERT INTO oauth_authorization (id, client_id, user_id, session_id, scopes, granted_scopes, status, expires_at, user_epoch, client_epoch, pair_epoch)
			SELECT due || n, 'c', 'u', due || n, '{a}', '{a}', 'approved', now() + after, 0, 0, 0 FROM ` + due,
		`INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval)
			SELECT due || n, rpad(due || n, 43, '-'), now() + after, '5 seconds' FROM ` + due,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, scopes, authorization_id, expires_at)
			SELECT a.id || i, rpad(a.id || '_' || i, 43, '-'), 'c', 'u', a.session_id, '{a}', a.id, a.expires_at
			FROM oauth_authorization AS a, generate_series(1, 2) AS i WHERE $1::int > 0`,
		`INSERT INTO oauth_access_token (id, client_id, user_id, session_id, scopes, authorization_id, refresh_id, expires_at)
			SELECT r.id, 'c', 'u', r.session_id, '{a}', r.authorization_id, r.id, r.expires_at FROM oauth_refresh_token AS r WHERE $1::int > 0`,
		`INSERT INTO oauth_client_assertion (id, expires_at) SELECT rpad(due || n, 43, '-'), now() + after FROM ` + due,
		`INSERT INTO oauth_proof (id, expires_at) SELECT rpad(due || n, 43, '-'), now() + after FROM ` + due,
		`INSERT INTO oauth_client_secret (client_id, digest, expires_at) SELECT 'c', rpad(due || n, 43, '-'), now() + after FROM ` + due,
		`INSERT INTO jwks (id, public_key, private_key, expires_at) SELECT due || n, '{}', 'x', now() + after FROM ` + due,
		`INSERT INTO verification (id, identifier, value, expires_at) SELECT due || n, due || n, 'x', now() + after FROM ` + due,
		`INSERT INTO device_code (id, device_code, user_code, status, expires_at) SELECT due || n, due || n, due || n, 'pending', now() + after FROM ` + due,
	} {
		if _, err := pool.Exec(t.Context(), sql, n); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
}

func wantCollected(n int) db.Collected {
	m := int64(n)
	return db.Collected{
		"oauth_access_token": 2 * m, "oauth_refresh_token": 2 * m, "oauth_authorization": m, "session": m, "oauth_client_secret": m,
		"oauth_client_assertion": m, "oauth_proof": m, "oauth_polled_request": m, "jwks": m, "verification": m, "device_code": m,
	}
}

// sameCollected compares the counts that are not 0.
func sameCollected(a, b db.Collected) bool {
	zero := func(_ string, n int64) bool { return n == 0 }
	a, b = maps.Clone(a), maps.Clone(b)
	maps.DeleteFunc(a, zero)
	maps.DeleteFunc(b, zero)
	return maps.Equal(a, b)
}

func rows(t *testing.T, pool *pgxpool.Pool, table string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCollectDeletesAllThatIsDueAndNothingElse(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 25)
	c := db.NewCollector(d.Store, db.CollectorOptions{BatchSize: 10, Progress: func(p db.Progress) {
		if p.Deleted > 10 {
			t.Errorf("%s: a batch of %d rows, want at most 10", p.Call, p.Deleted)
		}
	}})
	first, err := c.CollectBatch(t.Context())
	if err != nil || first["jwks"] != 10 || first["oauth_access_token"] < 10 || first["oauth_access_token"] >= 50 {
		t.Errorf("the first batch of each step deleted %+v, %v", first, err)
	}
	got, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for table, n := range first {
		got[table] += n
	}
	if !sameCollected(got, wantCollected(25)) {
		t.Errorf("collected %+v, want %+v", got, wantCollected(25))
	}
	for table, want := range wantCollected(25) {
		if n := rows(t, d.Pool, table); int64(n) != want {
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
	if got["oauth_refresh_token"] != 0 || got["oauth_authorization"] != 0 || got["oauth_access_token"] != 6 {
		t.Errorf("collected %+v, want the access tokens and no evidence", got)
	}
}

func TestSeveralCollectorsShareTheWork(t *testing.T) {
	t.Parallel()
	const n = 300
	d := testdb.New(t, testdb.Options{MaxConns: 4})
	fillExpired(t, d.Pool, n)
	var mu sync.Mutex
	var sum int64
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
				sum += got.Total()
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	rest, err := db.NewCollector(d.Store, db.CollectorOptions{}).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if total := sum + rest.Total(); total != wantCollected(n).Total() {
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

// stub makes some calls fail.
type stub struct {
	*store.Queries
	accessTokens func() error
	proofs       func(size int32) error
	sessions     func(*store.MarkEndedSessionsParams)
}

func (s *stub) MarkEndedSessions(ctx context.Context, arg store.MarkEndedSessionsParams) (store.MarkEndedSessionsRow, error) {
	if s.sessions != nil {
		s.sessions(&arg)
	}
	return s.Queries.MarkEndedSessions(ctx, arg)
}

func (s *stub) DeleteExpiredAccessTokens(ctx context.Context, arg store.DeleteExpiredAccessTokensParams) (store.DeleteExpiredAccessTokensRow, error) {
	if s.accessTokens != nil {
		if err := s.accessTokens(); err != nil {
			return store.DeleteExpiredAccessTokensRow{}, err
		}
	}
	return s.Queries.DeleteExpiredAccessTokens(ctx, arg)
}

func (s *stub) DeleteExpiredProofs(ctx context.Context, arg store.DeleteExpiredProofsParams) (store.DeleteExpiredProofsRow, error) {
	if s.proofs != nil {
		if err := s.proofs(arg.BatchSize); err != nil {
			return store.DeleteExpiredProofsRow{}, err
		}
	}
	return s.Queries.DeleteExpiredProofs(ctx, arg)
}

func TestRunOutlivesAFailedPassAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log strings.Builder
	failed := false
	flaky := &stub{Queries: d.Store, accessTokens: func() error {
		if !failed {
			failed = true
			return &pgconn.ConnectError{Config: &pgconn.Config{}}
		}
		return nil
	}}
	c := db.NewCollector(flaky, db.CollectorOptions{
		Interval: 20 * time.Millisecond,
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		Progress: func(p db.Progress) {
			if p.Call == "EraseDeletedClients" && p.Total == wantCollected(2).Total() {
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
	if !strings.Contains(log.String(), "collecting failed") {
		t.Errorf("the failed pass was not logged: %s", log.String())
	}
}

func TestAStepThatFailsIsReportedAndStopsNoOther(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 3)
	broken := errors.New("broken")
	c := db.NewCollector(&stub{Queries: d.Store, accessTokens: func() error { return broken }, proofs: func(int32) error {
		return &pgconn.PgError{Code: "42501", Message: "permission denied"}
	}}, db.CollectorOptions{})
	got, err := c.Collect(t.Context())
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	for _, want := range []string{"DeleteExpiredAccessTokens", "DeleteExpiredProofs", "42501"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s in it", err, want)
		}
	}
	want := wantCollected(3)
	// what waits for the access tokens stays too
	for _, table := range []string{"oauth_access_token", "oauth_refresh_token", "oauth_authorization", "oauth_proof"} {
		delete(want, table)
	}
	if !sameCollected(got, want) {
		t.Errorf("collected %v, want %v", got, want)
	}
}

func TestABatchThatIsTooMuchIsHalved(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillExpired(t, d.Pool, 120)
	for code, wantError := range map[string]bool{"57014": false, "55P03": false, "25P04": false, "40P01": false, "42501": true} {
		var sizes []int32
		broken := true
		collector := db.NewCollector(&stub{Queries: d.Store, proofs: func(size int32) error {
			sizes = append(sizes, size)
			if size > 30 && broken {
				return &pgconn.PgError{Code: code}
			}
			broken = false
			return nil
		}}, db.CollectorOptions{BatchSize: 200})
		_, err := collector.Collect(t.Context())
		if (err != nil) != wantError {
			t.Errorf("%s: %v", code, err)
		}
		switch {
		case wantError:
			if len(sizes) != 1 {
				t.Errorf("%s: batches of %v, want one", code, sizes)
			}
			continue
		case len(sizes) < 4 || !slices.Equal(sizes[:4], []int32{200, 100, 50, 25}):
			t.Errorf("%s: batches of %v, want them halved", code, sizes)
		}
		for i, size := range sizes[4:] {
			if before := sizes[i+3]; size <= before || size > before+before/8+1 {
				t.Errorf("%s: batches of %v, want them to grow slowly", code, sizes)
				break
			}
		}
		if _, err := d.Pool.Exec(t.Context(), `INSERT INTO oauth_proof (id, expires_at)
			SELECT rpad('y' || n, 43, '-'), now() - interval '1 day' FROM generate_series(1, 120) AS n`); err != nil {
			t.Fatal(err)
		}
	}
	// and when even one row is too much the step fails, once
	calls := 0
	_, err := db.NewCollector(&stub{Queries: d.Store, proofs: func(int32) error {
		calls++
		return &pgconn.PgError{Code: "57014"}
	}}, db.CollectorOptions{BatchSize: 8}).Collect(t.Context())
	if err == nil || calls != 4 {
		t.Errorf("%d calls and %v, want 8, 4, 2 and 1 rows to fail", calls, err)
	}
}

// Sessions to which many rows refer, each of which takes time to write: more than a statement has.
func TestSessionsWithManyTokensDrain(t *testing.T) {
	t.Parallel()
	const sessions, tokens = 20, 50
	d := testdb.New(t, testdb.Options{})
	for _, sql := range []string{
		`INSERT INTO "user" (id, name) VALUES ('u', 'Ada')`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c', 'c', '{https://client.example/callback}')`,
		fmt.Sprintf(`INSERT INTO session (id, user_id, token, expires_at)
			SELECT 's' || n, 'u', 's' || n, now() - interval '1 day' FROM generate_series(1, %d) AS n`, sessions),
		`INSERT INTO oauth_authorization (id, client_id, user_id, session_id, scopes, granted_scopes, status, user_epoch, client_epoch, pair_epoch)
			SELECT s.id, 'c', 'u', s.id, '{offline_access}', '{offline_access}', 'approved', 0, 0, 0 FROM session AS s`,
		fmt.Sprintf(`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, scopes, authorization_id, expires_at)
			SELECT a.id || '_' || n, rpad(a.id || '_' || n || '_', 43, '-'), 'c', 'u', a.session_id, '{offline_access}', a.id, now() + interval '1 day'
			FROM oauth_authorization AS a, generate_series(1, %d) AS n`, tokens),
		`CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END $$`,
		`CREATE TRIGGER take_time BEFORE UPDATE ON oauth_refresh_token FOR EACH ROW EXECUTE FUNCTION take_time()`,
	} {
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	pool := openPool(t, d.URL, db.Options{StatementTimeout: 600 * time.Millisecond})
	if _, err := pool.Exec(t.Context(), `DELETE FROM session WHERE expires_at <= now()`); !db.IsTimeout(err) {
		t.Fatalf("a statement for all of them: %v, want it to time out, or this test shows nothing", err)
	}
	got, err := db.NewCollector(store.New(pool), db.CollectorOptions{}).Collect(t.Context())
	if err != nil {
		t.Error(err)
	}
	if !sameCollected(got, db.Collected{"session": sessions}) || rows(t, d.Pool, "oauth_refresh_token") != sessions*tokens {
		t.Errorf("collected %v, want the sessions alone", got)
	}
}

func TestADeletedClientIsErasedInBoundedStatements(t *testing.T) {
	t.Parallel()
	const batch = 40
	d := testdb.New(t, testdb.Options{})
	for _, sql := range []string{
		`INSERT INTO "user" (id, name) SELECT 'u' || n, 'Ada' FROM generate_series(1, 200) AS n`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c', 'c', '{https://client.example/callback}')`,
		`INSERT INTO oauth_consent (id, client_id, user_id, scopes) SELECT u.id, 'c', u.id, '{a}' FROM "user" AS u`,
		`INSERT INTO oauth_authorization (id, client_id, user_id, scopes, granted_scopes, status, user_epoch, client_epoch, pair_epoch)
			SELECT u.id, 'c', u.id, '{a}', '{a}', 'approved', 0, 0, 0 FROM "user" AS u`,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id, expires_at)
			SELECT a.id || '_' || n, rpad(a.id || '_' || n || '_', 43, '-'), 'c', a.user_id, '{a}', a.id, now() + interval '1 day'
			FROM oauth_authorization AS a, generate_series(1, 5) AS n`,
		`INSERT INTO oauth_access_token (id, client_id, user_id, scopes, authorization_id, refresh_id, expires_at)
			SELECT r.id || '_' || n, 'c', r.user_id, '{a}', r.authorization_id, r.id, now() + interval '1 day'
			FROM oauth_refresh_token AS r, generate_series(1, 2) AS n`,
		`INSERT INTO oauth_access_token (id, client_id, scopes, client_epoch, expires_at)
			SELECT 'own' || n, 'c', '{a}', 0, now() + interval '1 day' FROM generate_series(1, 500) AS n`,
		`CREATE TABLE touched (xid xid8 NOT NULL, n bigint NOT NULL)`,
		`CREATE FUNCTION note_touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO touched SELECT pg_current_xact_id(), count(*) FROM o; RETURN NULL; END $$`,
	} {
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	for _, table := range []string{"oauth_client", "oauth_consent", "oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
		for _, event := range []string{"UPDATE", "DELETE"} {
			if _, err := d.Pool.Exec(t.Context(), fmt.Sprintf(`CREATE TRIGGER note_%[2]s AFTER %[2]s ON %[1]s REFERENCING OLD TABLE AS o
				FOR EACH STATEMENT EXECUTE FUNCTION note_touched()`, table, event)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if outcome, err := d.Store.DeleteClient(t.Context(), "c"); err != nil || outcome != store.OutcomeDeleted {
		t.Fatalf("DeleteClient: %s, %v", outcome, err)
	}
	if _, err := db.NewCollector(d.Store, db.CollectorOptions{BatchSize: batch, Retention: -1}).Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"oauth_client", "oauth_consent", "oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
		if n := rows(t, d.Pool, table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
	var most, sum int
	if err := d.Pool.QueryRow(t.Context(), `SELECT max(n), sum(n)::int FROM (SELECT sum(n)::int AS n FROM touched GROUP BY xid) AS t`).Scan(&most, &sum); err != nil {
		t.Fatal(err)
	}
	// A statement erases from a few tables, a batch of each.
	if most > 3*batch || sum < 3700 {
		t.Errorf("a statement wrote %d rows, of %d altogether; want at most %d", most, sum, 3*batch)
	}
}

// A pass of Run is bounded: a walk goes on where the pass before stopped, and begins again behind the last page.
func TestAWalkGoesOnInTheNextPass(t *testing.T) {
	t.Parallel()
	const sessions, pagesInTurn = 130, 100 // of 1,000 rows, as the collector thinks
	d := testdb.New(t, testdb.Options{})
	for _, sql := range []string{
		`INSERT INTO "user" (id, name) VALUES ('u', 'Ada')`,
		fmt.Sprintf(`INSERT INTO session (id, user_id, token, expires_at)
			SELECT to_char(n, 'FM0000'), 'u', n, now() + interval '1 day' FROM generate_series(1, %d) AS n`, sessions),
	} {
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pages []string // of each pass
	passes := 0
	c := db.NewCollector(&stub{
		Queries:      d.Store,
		accessTokens: func() error { passes++; return nil },
		sessions: func(p *store.MarkEndedSessionsParams) {
			p.PageSize = 1
			pages = append(pages, fmt.Sprintf("%d:%s", passes, p.AfterID))
			if len(pages) == sessions+10 {
				cancel()
			}
		},
	}, db.CollectorOptions{BatchSize: 1000, Share: 1, Interval: time.Millisecond})
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var want []string
	for i := range sessions + 10 {
		switch {
		case i == 0:
			want = append(want, "1:")
		case i < pagesInTurn:
			want = append(want, fmt.Sprintf("1:%04d", i))
		case i <= sessions: // the last page is empty
			want = append(want, fmt.Sprintf("2:%04d", i))
		case i == sessions+1:
			want = append(want, "3:")
		default:
			want = append(want, fmt.Sprintf("3:%04d", i-sessions-1))
		}
	}
	if !slices.Equal(pages, want) {
		t.Errorf("pages are %v, want %v", pages, want)
	}
}

// Only a collector that is asked to deletes clients that nobody uses, and only those that were registered dynamically.
func TestCollectDeletesUnusedClientsByChoice(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	if _, err := d.Pool.Exec(t.Context(), `
		INSERT INTO oauth_client (id, client_id, redirect_uris, registration_access_token, unused_since, unused_checked_at)
		SELECT n, n, '{x}', CASE WHEN n = 'registered' THEN rpad(n, 43, '-') END, now() - interval '91 days', now() - interval '1 hour'
		FROM unnest(ARRAY['registered', 'by hand']) AS n`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opts db.CollectorOptions
		left int
	}{
		{db.CollectorOptions{}, 2},
		{db.CollectorOptions{UnusedClients: 92 * 24 * time.Hour}, 2},
		{db.CollectorOptions{UnusedClients: 90 * 24 * time.Hour, Retention: -1}, 2},
		{db.CollectorOptions{UnusedClients: 90 * 24 * time.Hour}, 1},
		{db.CollectorOptions{UnusedClients: 90 * 24 * time.Hour, AnyUnusedClient: true}, 0},
	} {
		if c.left < 2 { // whoever did not count the time begins anew
			if _, err := d.Pool.Exec(t.Context(), `UPDATE oauth_client SET unused_since = now() - interval '91 days', unused_checked_at = now() - interval '1 hour'`); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second pass erases what the first one has marked
			if _, err := db.NewCollector(d.Store, c.opts).Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := rows(t, d.Pool, "oauth_client"); n != c.left {
			t.Errorf("%+v: %d clients are left, want %d", c.opts, n, c.left)
		}
	}
}

// PostgreSQL keeps a deleted row, and its place in each index, for as long as an older transaction runs. A batch of the
// collector doesn't pass over those that the batches before it have deleted.
func TestABatchDoesNotReadAgainWhatThoseBeforeItHaveDeleted(t *testing.T) {
	t.Parallel()
	const rows, batch = 1000, 100
	d := testdb.New(t, testdb.Options{})
	over := fmt.Sprintf(`(SELECT 'n' || n, left(md5('x' || n) || md5(''), 43), now() - interval '100 days' - n * 919 %% 1000 * interval '1 second' FROM generate_series(1, %d) AS n) AS x (id, digest, past)`, rows)
	for _, sql := range []string{
		`INSERT INTO "user" (id, name) VALUES ('u', 'Ada')`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('k', 'c', '{https://app.example/cb}')`,
		`INSERT INTO oauth_authorization (id, client_id, scopes) VALUES ('a', 'c', '{a}')`,
		`INSERT INTO oauth_authorization (id, client_id, scopes, expires_at) SELECT id, 'c', '{a}', past FROM ` + over,
		`INSERT INTO oauth_authorization (id, client_id, scopes, revoked_at, revoked_reason) SELECT 'ended' || id, 'c', '{a}', past, 'authorization_revoked' FROM ` + over,
		`INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval) SELECT id, digest, past, '5 seconds' FROM ` + over,
		`INSERT INTO session (id, user_id, token, expires_at) SELECT id, 'u', id, past FROM ` + over,
		`INSERT INTO oauth_access_token (id, token, client_id, scopes, expires_at) SELECT id, digest, 'c', '{a}', past FROM ` + over,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id, expires_at) SELECT id, digest, 'c', 'u', '{a}', 'a', past FROM ` + over,
		`INSERT INTO oauth_client_assertion (id, expires_at) SELECT digest, past FROM ` + over,
		`INSERT INTO oauth_client_secret (client_id, digest, expires_at) SELECT 'c', digest, past FROM ` + over,
		`INSERT INTO oauth_initial_access_token (id, token, max_uses, expires_at) SELECT id, digest, 1, past FROM ` + over,
		`INSERT INTO oauth_proof (id, expires_at) SELECT digest, past FROM ` + over,
		`INSERT INTO jwks (id, public_key, private_key, expires_at) SELECT id, '{}', 'x', past FROM ` + over,
		`INSERT INTO verification (id, identifier, value, expires_at) SELECT id, id, 'x', past FROM ` + over,
		`INSERT INTO device_code (id, device_code, user_code, status, expires_at) SELECT id, id, id, 'pending', past FROM ` + over,
		`INSERT INTO one_time_code (purpose, subject, digest, expires_at) SELECT 'x', digest, digest, past FROM ` + over,
		`INSERT INTO attempt_count (purpose, subject, attempts, resets_at) SELECT 'x', digest, 1, past FROM ` + over,
		`INSERT INTO "user" (id, name, suspended_at, deleted_at) SELECT id, '', past, past FROM ` + over,
		`INSERT INTO oauth_client (id, client_id, redirect_uris, disabled, deleted_at) SELECT id, id, '{https://app.example/cb}', true, past FROM ` + over,
		`INSERT INTO security_event (id, call, outcome, created_at) OVERRIDING SYSTEM VALUE
			SELECT substr(id, 2)::int * 919 % 1000 + 1, 'EndSession', 'ended', past FROM ` + over,
	} {
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	older, err := d.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer older.Rollback(context.WithoutCancel(t.Context()))
	if _, err := older.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}

	type made struct {
		sql         string
		first, last []any // arguments
		deleted     int64
	}
	calls := make(map[string]*made)
	last := &lastQuery{DBTX: d.Pool}
	c := db.NewCollector(store.New(last), db.CollectorOptions{BatchSize: batch, Share: 1, Progress: func(p db.Progress) {
		if strings.HasPrefix(p.Call, "DeleteExpired") || strings.HasPrefix(p.Call, "DeleteEnded") || strings.HasPrefix(p.Call, "Erase") && p.Deleted > 0 {
			if calls[p.Call] == nil {
				calls[p.Call] = &made{sql: last.sql, first: last.args}
			}
			calls[p.Call].last = last.args
			calls[p.Call].deleted += p.Deleted
		}
	}})
	if _, err := c.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	pages := func(sql string, args []any) int {
		t.Helper()
		tx, err := d.Pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(context.WithoutCancel(t.Context()))
		// plans as for large tables
		if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
			SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`); err != nil {
			t.Fatal(err)
		}
		var plans []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		if err := tx.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+sql, args...).Scan(&plans); err != nil {
			t.Fatal(err)
		}
		return plans[0].Plan.Hit + plans[0].Plan.Read
	}
	for name, c := range calls {
		if c.deleted < rows {
			t.Errorf("%s deleted %d rows, want %d in several batches", name, c.deleted, rows)
		}
		few := 60
		if strings.HasPrefix(name, "Erase") {
			few += batch // the last batch that deleted something: it finds what it deleted itself
		}
		if first, last := pages(c.sql, c.first), pages(c.sql, c.last); last > few || first < rows/2 {
			t.Errorf("%s reads %d pages from where the last batch began, want few; and %d from the start, want one for each row at least", name, last, first)
		}
	}
	if len(calls) < 18 {
		t.Errorf("the collector made batches of %d calls: %v", len(calls), slices.Sorted(maps.Keys(calls)))
	}
}

// A row that changes between a batch's snapshot and its lock is another version, which the batch doesn't see: the next one deletes it. No
// other row goes in its place.
func TestABatchDeletesOnlyRowsThatItHasLocked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := testdb.New(t, testdb.Options{})
	for _, sql := range []string{
		`INSERT INTO "user" (id, name) VALUES ('u', 'Ada')`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('k', 'c', '{https://app.example/cb}')`,
		`INSERT INTO oauth_authorization (id, client_id, scopes, revoked_at, revoked_reason) SELECT 'ended' || n, 'c', '{a}', now() - interval '9 days', 'authorization_revoked' FROM generate_series(1, 9) AS n`,
		`INSERT INTO oauth_authorization (id, client_id, scopes) VALUES ('live', 'c', '{a}')`,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id, expires_at)
			SELECT 'r' || n, left(md5('x' || n) || md5(''), 43), 'c', 'u', '{a}', 'ended' || n, now() - interval '9 days' FROM generate_series(1, 9) AS n`,
		`INSERT INTO oauth_access_token (id, client_id, user_id, scopes, authorization_id, refresh_id, expires_at) VALUES ('t', 'c', 'u', '{a}', 'ended1', 'r1', now() - interval '1 day')`,
		// The first delete of a batch waits until the test lets it go, before the batch locks refresh tokens.
		`CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN OLD; END $$`,
		`CREATE TRIGGER wait BEFORE DELETE ON oauth_access_token FOR EACH ROW EXECUTE FUNCTION wait_for_test()`,
	} {
		if _, err := d.Pool.Exec(ctx, sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	holder, err := d.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Rollback(context.WithoutCancel(ctx))
	if _, err := holder.Exec(ctx, "SELECT pg_advisory_xact_lock(7)"); err != nil {
		t.Fatal(err)
	}
	batch := func() (store.DeleteEndedAuthorizationsRow, error) {
		return d.Store.DeleteEndedAuthorizations(ctx, store.DeleteEndedAuthorizationsParams{BatchSize: 100})
	}
	type answer struct {
		row store.DeleteEndedAuthorizationsRow
		err error
	}
	first := make(chan answer, 1)
	go func() {
		row, err := batch()
		first <- answer{row, err}
	}()
	for waiting := false; !waiting; {
		if err := d.Pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		`UPDATE oauth_refresh_token SET updated_at = now() WHERE id IN ('r2', 'r5')`,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id, expires_at)
			SELECT 'live' || n, left(md5('y' || n) || md5(''), 43), 'c', 'u', '{a}', 'live', now() + interval '9 days' FROM generate_series(1, 9) AS n`,
	} {
		if _, err := d.Pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := holder.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if a := <-first; a.err != nil || a.row.AccessTokens != 1 || a.row.RefreshTokens != 6 {
		// ended1's refresh token was not free either, when the batch began: r1 goes with the next
		t.Errorf("the first batch deletes %d access tokens and %d refresh tokens, %v; want 1 and 6: those that didn't change", a.row.AccessTokens, a.row.RefreshTokens, a.err)
	}
	for n := 0; ; n++ {
		row, err := batch()
		if err != nil {
			t.Fatal(err)
		}
		if row.AccessTokens+row.RefreshTokens+row.Authorizations == 0 {
			break
		}
		if n > 5 {
			t.Fatal("there is no end")
		}
	}
	if ended, live := rows(t, d.Pool, "oauth_authorization"), rows(t, d.Pool, "oauth_refresh_token"); ended != 1 || live != 9 {
		t.Errorf("%d families and %d refresh tokens are left, want 1 and 9: those that live", ended, live)
	}
}

// lastQuery remembers the last query for a row.
type lastQuery struct {
	store.DBTX
	sql  string
	args []any
}

func (q *lastQuery) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	q.sql, q.args = sql, args
	return q.DBTX.QueryRow(ctx, sql, args...)
}

func (q *lastQuery) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	q.sql, q.args = sql, args
	return q.DBTX.Exec(ctx, sql, args...)
}
