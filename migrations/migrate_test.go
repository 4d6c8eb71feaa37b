package migrations

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// three is a little schema: 2 would fail if it ran twice, 3 is an index that is built concurrently.
func three() fstest.MapFS {
	return fstest.MapFS{
		"00001_things.sql": {Data: []byte(`-- +goose Up
CREATE TABLE things (id integer NOT NULL);
-- +goose Down
DROP TABLE things;
`)},
		"00002_thing_name.sql": {Data: []byte(`-- +goose Up
ALTER TABLE things ADD COLUMN name text;
INSERT INTO things (id) VALUES (2);
-- +goose Down
DELETE FROM things WHERE id = 2;
ALTER TABLE things DROP COLUMN name;
`)},
		"00003_thing_id_idx.sql": {Data: []byte(`-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY thing_id_idx ON things (id);
-- +goose Down
DROP INDEX CONCURRENTLY thing_id_idx;
`)},
	}
}

// with adds a file to the little schema.
func with(name, text string) fstest.MapFS {
	fsys := three()
	fsys[name] = &fstest.MapFile{Data: []byte(text)}
	return fsys
}

// syncBuffer is a log that may still be written to while it is read.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newTestMigrator(t *testing.T, db *sql.DB, fsys fs.FS, opts Options) *migrator {
	t.Helper()
	m, err := newMigrator(db, fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func versions(results []Result) []int64 {
	var vs []int64
	for _, r := range results {
		vs = append(vs, r.Version)
	}
	return vs
}

func requireVersion(t *testing.T, m *migrator, want int64) {
	t.Helper()
	got, err := m.version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("version is %d, want %d", got, want)
	}
}

func requirePending(t *testing.T, m *migrator, want bool) {
	t.Helper()
	got, err := m.pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("pending is %t, want %t", got, want)
	}
}

func scalar[T any](t *testing.T, db *sql.DB, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// requireNoLock checks that no session of this database is left with an advisory lock.
func requireNoLock(t *testing.T, db *sql.DB) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		n := scalar[int](t, db, `
			SELECT count(*) FROM pg_locks
			WHERE locktype = 'advisory'
			    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d advisory locks are still held", n)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestUpAppliesEachFileOnceAndInOrder(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	var log syncBuffer
	m := newTestMigrator(t, db, three(), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})

	requirePending(t, m, true)
	requireVersion(t, m, 0)

	results, err := m.upTo(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := versions(results); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("UpTo 2 applied %v", got)
	}
	requirePending(t, m, true)
	requireVersion(t, m, 2)

	results, err = m.upTo(t.Context(), 99)
	if err != nil {
		t.Fatal(err)
	}
	if got := versions(results); !slices.Equal(got, []int64{3}) {
		t.Errorf("Up applied %v, want what was left", got)
	}
	r := results[0]
	if r.Name != "00003_thing_id_idx.sql" || r.Direction != "up" || r.Duration <= 0 || r.Empty {
		t.Errorf("result is %+v", r)
	}
	requirePending(t, m, false)
	requireVersion(t, m, 3)

	results, err = m.upTo(t.Context(), 99)
	if err != nil || len(results) != 0 {
		t.Errorf("Up on a database that is up to date: %v, %v", results, err)
	}
	if n := strings.Count(log.String(), "oauthdb: migrated up"); n != 3 {
		t.Errorf("%d log lines for 3 migrations:\n%s", n, log.String())
	}
	requireNoLock(t, db)
}

func TestDownUndoesTheLatestVersion(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	m := newTestMigrator(t, db, three(), Options{})

	results, err := m.down(t.Context())
	if err != nil || len(results) != 0 {
		t.Errorf("Down on an empty database: %v, %v", results, err)
	}
	if scalar[bool](t, db, `SELECT to_regclass('oauthdb_version') IS NOT NULL`) {
		t.Error("Down on an empty database created the version table")
	}

	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	results, err = m.down(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := versions(results); !slices.Equal(got, []int64{3}) || results[0].Direction != "down" {
		t.Errorf("Down undid %+v", results)
	}
	if scalar[bool](t, db, `SELECT to_regclass('thing_id_idx') IS NOT NULL`) {
		t.Error("the index is still there")
	}
	requireVersion(t, m, 2)

	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	results, err = m.downTo(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := versions(results); !slices.Equal(got, []int64{3, 2}) {
		t.Errorf("DownTo 1 undid %v", got)
	}
	requireVersion(t, m, 1)

	if _, err = m.down(t.Context()); err != nil {
		t.Fatal(err)
	}
	requireVersion(t, m, 0)
	if scalar[bool](t, db, `SELECT to_regclass('things') IS NOT NULL`) {
		t.Error("the table is still there")
	}

	// And up again.
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	requireVersion(t, m, 3)
}

func TestConcurrentRunsApplyEachFileOnce(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)

	const servers = 8
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		applied []int64
	)
	for range servers {
		m := newTestMigrator(t, open(t, url), three(), Options{})
		wg.Go(func() {
			results, err := m.upTo(t.Context(), 99)
			if err != nil {
				t.Error(err)
			}
			requirePending(t, m, false)
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, versions(results)...)
		})
	}
	wg.Wait()

	slices.Sort(applied)
	if !slices.Equal(applied, []int64{1, 2, 3}) {
		t.Errorf("%d servers applied %v together", servers, applied)
	}
	db := open(t, url)
	if n := scalar[int](t, db, `SELECT count(*) FROM things`); n != 1 {
		t.Errorf("file 2 has inserted %d rows", n)
	}
	if n := scalar[int](t, db, `SELECT count(*) FROM oauthdb_version WHERE version_id > 0`); n != 3 {
		t.Errorf("%d versions are recorded", n)
	}
	requireNoLock(t, db)
}

func TestFailedFileLeavesTheVersionBeforeIt(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	m := newTestMigrator(t, db, with("00004_broken.sql", `-- +goose Up
CREATE TABLE half (id integer);
INSERT INTO things (id) VALUES (NULL);
-- +goose Down
DROP TABLE half;
`), Options{})

	results, err := m.upTo(t.Context(), 99)
	if got := versions(results); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("before the failure %v were applied", got)
	}
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("error is %v, want an *Error", err)
	}
	if failed.Version != 4 || failed.Name != "00004_broken.sql" || failed.Direction != "up" {
		t.Errorf("error names %+v", failed)
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "23502" {
		t.Errorf("error doesn't carry the server's: %v", err)
	}
	if text := err.Error(); !strings.Contains(text, "00004_broken.sql") || !strings.Contains(text, "23502") {
		t.Errorf("error reads %q", text)
	}
	requireVersion(t, m, 3)
	if scalar[bool](t, db, `SELECT to_regclass('half') IS NOT NULL`) {
		t.Error("the first statement of the failed file is still there")
	}
	requireNoLock(t, db)
}

func TestLockTimeoutBoundsTheWaitForATable(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	db := open(t, url)
	if _, err := newTestMigrator(t, db, three(), Options{}).upTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	busy, err := open(t, url).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Rollback()
	if _, err := busy.Exec(`LOCK TABLE things IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}

	m := newTestMigrator(t, db, three(), Options{LockTimeout: 200 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	start := time.Now()
	_, err = m.upTo(ctx, 99)
	if took := time.Since(start); took < 200*time.Millisecond || took > 10*time.Second {
		t.Errorf("Up took %s", took)
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "55P03" {
		t.Fatalf("error is %v, want lock_not_available", err)
	}
	requireVersion(t, m, 1)
	requireNoLock(t, db)

	// The connection is back in db as it was.
	if got := scalar[string](t, db, `SHOW lock_timeout`); got != "0" {
		t.Errorf("lock_timeout is still %s", got)
	}

	if err := busy.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Errorf("the run repeated: %v", err)
	}
}

// A concurrent index build waits for older transactions, and lock_timeout counts that wait.
func TestLockTimeoutSparesConcurrentIndexBuilds(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	db := open(t, url)
	m := newTestMigrator(t, db, three(), Options{LockTimeout: 50 * time.Millisecond})
	if _, err := m.upTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	older, err := open(t, url).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer older.Rollback()
	if _, err := older.Exec(`INSERT INTO things (id) VALUES (7)`); err != nil {
		t.Fatal(err)
	}

	done := make(chan error, 1)
	go func() {
		_, err := m.upTo(t.Context(), 99)
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("the build didn't wait for the older transaction: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if err := older.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !scalar[bool](t, db, `SELECT indisvalid FROM pg_index WHERE indexrelid = 'thing_id_idx'::regclass`) {
		t.Error("the index is invalid")
	}
}

func TestStatementTimeoutOfTheConnectionDoesNotApply(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(newDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("statement_timeout", "100")
	u.RawQuery = q.Encode()
	db := open(t, u.String())
	m := newTestMigrator(t, db, with("00004_slow.sql", `-- +goose Up
SELECT pg_sleep(0.3);
-- +goose Down
`), Options{})

	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	if got := scalar[string](t, db, `SHOW statement_timeout`); got != "100ms" {
		t.Errorf("statement_timeout of the connection is now %s", got)
	}
}

func TestCancelledWhileWaitingForAnotherRun(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	other, err := open(t, url).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, lockID); err != nil {
		t.Fatal(err)
	}

	db := open(t, url)
	m := newTestMigrator(t, db, three(), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = m.upTo(ctx, 99)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want the context's", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Up returned only after %s", took)
	}
	requireVersion(t, m, 0)
}

func TestLockWaitBoundsTheWaitForAnotherRun(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	other, err := open(t, url).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, lockID); err != nil {
		t.Fatal(err)
	}

	var log syncBuffer
	m := newTestMigrator(t, open(t, url), three(), Options{
		LockWait: 1500 * time.Millisecond,
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
	})
	start := time.Now()
	_, err = m.upTo(t.Context(), 99)
	if err == nil || !strings.Contains(err.Error(), "advisory lock") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(start); took < 1500*time.Millisecond || took > 10*time.Second {
		t.Errorf("Up gave up after %s", took)
	}
	if !strings.Contains(log.String(), "waiting for another migration run") {
		t.Errorf("the log doesn't say what it waits for: %s", log.String())
	}
}

func TestCancelledDuringAStatement(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	m := newTestMigrator(t, db, with("00004_slow.sql", `-- +goose Up
CREATE TABLE half (id integer);
SELECT pg_sleep(60);
-- +goose Down
DROP TABLE half;
`), Options{})

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	results, err := m.upTo(ctx, 99)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("Up returned only after %s", took)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want the context's", err)
	}
	if got := versions(results); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("before that %v were applied", got)
	}
	requireNoLock(t, db)
	requireVersion(t, m, 3)
	if scalar[bool](t, db, `SELECT to_regclass('half') IS NOT NULL`) {
		t.Error("half of the cancelled file is there")
	}
}

func TestPendingOnlyReads(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	owner := open(t, url)

	// As a role that can read and no more, and in a read-only session on top.
	reader := open(t, url)
	reader.SetMaxOpenConns(1)
	role := "reader_" + scalar[string](t, owner, `SELECT current_database()`)
	for _, statement := range []string{`CREATE ROLE ` + role, `ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ` + role} {
		if _, err := owner.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := owner.ExecContext(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	if _, err := reader.Exec(`SET ROLE ` + role + `; SET default_transaction_read_only = on`); err != nil {
		t.Fatal(err)
	}

	m := newTestMigrator(t, reader, three(), Options{})
	requirePending(t, m, true)
	if scalar[bool](t, owner, `SELECT to_regclass('oauthdb_version') IS NOT NULL`) {
		t.Fatal("Pending created the version table")
	}
	if _, err := newTestMigrator(t, owner, three(), Options{}).upTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	requirePending(t, m, true)
	requireVersion(t, m, 2)
	if _, err := newTestMigrator(t, owner, three(), Options{}).upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}

	// It neither waits for a run that is going on nor disturbs it.
	other, err := owner.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, lockID); err != nil {
		t.Fatal(err)
	}
	requirePending(t, m, false)
	requireVersion(t, m, 3)
}

func TestStatusListsFilesAndUnknownVersions(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	newer := newTestMigrator(t, db, with("00004_newer.sql", "-- +goose Up\n-- +goose Down\n"), Options{})
	before := scalar[time.Time](t, db, `SELECT now()`)
	results, err := newer.upTo(t.Context(), 99)
	if err != nil {
		t.Fatal(err)
	}
	if !results[3].Empty {
		t.Error("a file without a statement isn't reported as empty")
	}

	m := newTestMigrator(t, db, with("00005_next.sql", "-- +goose Up\nSELECT 1;\n-- +goose Down\n"), Options{})
	statuses, err := m.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(statuses) != 5 {
		t.Fatalf("%d lines: %+v", len(statuses), statuses)
	}
	for i, s := range statuses {
		if s.Version != int64(i+1) {
			t.Errorf("line %d is version %d", i, s.Version)
		}
		if want := s.Version < 5; s.Applied != want {
			t.Errorf("version %d: applied is %t", s.Version, s.Applied)
		}
		if want := s.Version != 4; (s.Name != "") != want {
			t.Errorf("version %d has the name %q", s.Version, s.Name)
		}
		if s.Applied && (s.AppliedAt.Before(before) || s.AppliedAt.After(before.Add(time.Hour))) {
			t.Errorf("version %d was applied at %s, after %s", s.Version, s.AppliedAt, before)
		}
	}

	// The release before runs on this schema, but can't undo what it doesn't know.
	older := newTestMigrator(t, db, three(), Options{})
	requirePending(t, older, false)
	if _, err := older.upTo(t.Context(), 99); err != nil {
		t.Errorf("Up of the release before: %v", err)
	}
	if _, err := older.down(t.Context()); err == nil {
		t.Error("Down undid a version without a file")
	}
	requireVersion(t, older, 4)
}

// requireChanged checks that no call does anything about a database whose versions came from other files, and that each says
// which file it is.
func requireChanged(t *testing.T, m *migrator, want ChangedError) {
	t.Helper()
	before := scalar[string](t, m.db, `SELECT json_agg(v ORDER BY v.id) FROM oauthdb_version AS v`)
	_, up := m.upTo(t.Context(), 99)
	_, down := m.down(t.Context())
	_, downTo := m.downTo(t.Context(), 0)
	_, pending := m.pending(t.Context())
	statuses, status := m.status(t.Context())
	for call, err := range map[string]error{"Up": up, "Down": down, "DownTo": downTo, "Pending": pending, "Status": status} {
		var changed *ChangedError
		if !errors.As(err, &changed) {
			t.Errorf("%s: %v, want a ChangedError", call, err)
			continue
		}
		if changed.Version != want.Version || changed.Name != want.Name || changed.AppliedName != want.AppliedName ||
			(changed.AppliedDigest == "") != (want.AppliedDigest == "") || changed.AppliedDigest == changed.Digest {
			t.Errorf("%s: %+v, want %+v", call, changed, want)
		}
		if !strings.Contains(err.Error(), want.Name) {
			t.Errorf("%s: %q doesn't name the file", call, err)
		}
	}
	marked := false
	for _, s := range statuses {
		marked = marked || s.Version == want.Version && s.Changed
	}
	if len(statuses) < len(m.files) || !marked {
		t.Errorf("Status lists %+v", statuses)
	}
	if after := scalar[string](t, m.db, `SELECT json_agg(v ORDER BY v.id) FROM oauthdb_version AS v`); after != before {
		t.Errorf("the version table was\n%s\nand is\n%s", before, after)
	}
	requireNoLock(t, m.db)
}

func TestFileThatChangedAfterItWasAppliedIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	if _, err := newTestMigrator(t, db, three(), Options{}).upTo(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	edited := three()
	edited["00002_thing_name.sql"].Data = append(edited["00002_thing_name.sql"].Data, "-- later\n"...)
	requireChanged(t, newTestMigrator(t, db, edited, Options{}), ChangedError{
		Version: 2, Name: "00002_thing_name.sql", AppliedName: "00002_thing_name.sql", AppliedDigest: "some",
	})

	// The files that were applied still fit.
	m := newTestMigrator(t, db, three(), Options{})
	if statuses, err := m.status(t.Context()); err != nil || statuses[1].Changed {
		t.Errorf("Status with the files that were applied: %+v, %v", statuses, err)
	}
	if _, err := m.downTo(t.Context(), 0); err != nil {
		t.Error(err)
	}
	// What was undone may change.
	if _, err := newTestMigrator(t, db, edited, Options{}).upTo(t.Context(), 99); err != nil {
		t.Error(err)
	}
}

func TestFileThatWasRenumberedIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	if _, err := newTestMigrator(t, db, three(), Options{}).upTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	// A file in between, as if it had always been the second: goose alone finds versions 1 and 2 and says that all is well.
	renumbered := fstest.MapFS{
		"00001_things.sql": three()["00001_things.sql"],
		"00002_other.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE others ();\n-- +goose Down\nDROP TABLE others;\n")},
	}
	requireChanged(t, newTestMigrator(t, db, renumbered, Options{}), ChangedError{
		Version: 2, Name: "00002_other.sql", AppliedName: "00002_thing_name.sql", AppliedDigest: "some",
	})
	renamed := fstest.MapFS{
		"00001_things.sql": three()["00001_things.sql"],
		"00002_name.sql":   three()["00002_thing_name.sql"],
	}
	if _, err := newTestMigrator(t, db, renamed, Options{}).upTo(t.Context(), 99); err == nil {
		t.Error("a renamed file was accepted")
	}
}

func TestVersionWithoutARecordOfItsFileIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	plain, err := goose.NewProvider(goose.DialectPostgres, db, three(), goose.WithTableName(DefaultTable))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	m := newTestMigrator(t, db, three(), Options{})
	requireChanged(t, m, ChangedError{Version: 1, Name: "00001_things.sql"})

	// With nothing applied there is nothing to doubt, and the table gets the columns that it lacks.
	if _, err := plain.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](t, db, `SELECT count(*) FROM oauthdb_version WHERE file_sha256 ~ '^[0-9a-f]{64}$' AND file_name LIKE '0000%.sql'`); n != 3 {
		t.Errorf("%d versions have a record of their file", n)
	}
}

// A release with other files may be the one that migrates while this one waits for the lock.
func TestFilesAreComparedOnceTheLockIsHeld(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	db := open(t, url)
	if _, err := newTestMigrator(t, db, three(), Options{}).upTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	other, err := open(t, url).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, lockID); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	m := newTestMigrator(t, db, three(), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	done := make(chan error, 1)
	go func() {
		_, err := m.upTo(t.Context(), 99)
		done <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "waiting for another"); {
		if time.Now().After(deadline) {
			t.Fatal("the run doesn't wait")
		}
		runtime.Gosched()
	}
	if _, err := other.ExecContext(t.Context(), `
		INSERT INTO oauthdb_version (version_id, is_applied, file_name, file_sha256) VALUES (2, true, '00002_else.sql', 'else')`); err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_unlock($1)`, lockID); err != nil {
		t.Fatal(err)
	}
	var changed *ChangedError
	if err := <-done; !errors.As(err, &changed) || changed.AppliedName != "00002_else.sql" {
		t.Errorf("Up: %v", err)
	}
	requireNoLock(t, db)
}

// Every pinned setting is what it should be while a file runs, whatever was set before, and the connection that was lent keeps its own.
func TestSettingsArePinnedForTheRunAlone(t *testing.T) {
	t.Parallel()
	address := newDatabase(t)
	owner := open(t, address)
	name := scalar[string](t, owner, `SELECT current_database()`)
	other := map[string]string{
		"standard_conforming_strings": "off", "backslash_quote": "off", "client_encoding": "UTF8", "transform_null_equals": "on",
		"array_nulls": "off", "xmloption": "document", "DateStyle": "German, DMY", "IntervalStyle": "iso_8601",
		"TimeZone": "Asia/Kathmandu", "timezone_abbreviations": "India", "bytea_output": "escape", "extra_float_digits": "-3",
		"xmlbinary": "hex", "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
		"default_transaction_deferrable": "on", "check_function_bodies": "off", "row_security": "on",
		"session_replication_role": "replica", "default_table_access_method": "heap", "idle_session_timeout": "60000",
		"idle_in_transaction_session_timeout": "60000", "transaction_timeout": "60000", "statement_timeout": "60000",
		"lock_timeout": "60000",
	}
	record := "-- +goose Up\nCREATE TABLE settings AS SELECT name, setting FROM pg_settings;\n" +
		"CREATE TABLE isolation AS SELECT current_setting('transaction_isolation') AS level;\n-- +goose Down\nDROP TABLE settings, isolation;\n"
	for setting, value := range other {
		if scalar[bool](t, owner, `SELECT EXISTS (SELECT FROM pg_settings WHERE name = $1)`, setting) {
			if _, err := owner.Exec(`ALTER DATABASE ` + name + ` SET ` + setting + ` = '` + value + `'`); err != nil {
				t.Fatal(err)
			}
		}
	}
	db := open(t, address)
	db.SetMaxOpenConns(1)
	before := scalar[string](t, db, `SELECT json_agg(s ORDER BY name) FROM (SELECT name, setting FROM pg_settings) AS s`)
	m := newTestMigrator(t, db, fstest.MapFS{"00001_settings.sql": {Data: []byte(record)}}, Options{LockTimeout: 1234 * time.Millisecond})
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	if after := scalar[string](t, db, `SELECT json_agg(s ORDER BY name) FROM (SELECT name, setting FROM pg_settings) AS s`); after != before {
		t.Error("the settings of the connection that was lent have changed")
	}

	want := []struct{ name, value string }{{"statement_timeout", "0"}, {"lock_timeout", "1234"}}
	for _, s := range append(want, pinned...) {
		if _, ok := other[s.name]; !ok {
			t.Errorf("%s is pinned and not tested", s.name)
		}
		if got := scalar[string](t, owner, `SELECT coalesce((SELECT setting FROM settings WHERE name = $1), '-')`, s.name); got != s.value &&
			scalar[bool](t, owner, `SELECT EXISTS (SELECT FROM pg_settings WHERE name = $1)`, s.name) {
			t.Errorf("%s is %s while a file runs, want %s", s.name, got, s.value)
		}
	}
	for name := range other {
		if !scalar[bool](t, owner, `SELECT EXISTS (SELECT FROM pg_settings WHERE name = $1)`, name) && name != "transaction_timeout" {
			t.Errorf("the server knows no setting %s", name)
		}
	}
	if level := scalar[string](t, owner, `SELECT level FROM isolation`); level != "read committed" {
		t.Errorf("a file runs in a transaction that is %s", level)
	}
}

func TestOwnVersionTable(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	if _, err := db.Exec(`CREATE SCHEMA auth; CREATE TABLE goose_db_version (of text)`); err != nil {
		t.Fatal(err)
	}
	m := newTestMigrator(t, db, three(), Options{Table: "auth.versions"})
	requirePending(t, m, true)
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	requirePending(t, m, false)
	if n := scalar[int](t, db, `SELECT count(*) FROM auth.versions WHERE version_id > 0`); n != 3 {
		t.Errorf("%d versions in auth.versions", n)
	}
	if _, err := m.downTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](t, db, `SELECT count(*) FROM goose_db_version`); n != 0 {
		t.Error("goose_db_version was touched")
	}

	for _, table := range []string{"x;DROP TABLE things", `"Quoted"`, "a.b.c", "Versions", "a b"} {
		if _, err := newMigrator(db, three(), Options{Table: table}); err == nil {
			t.Errorf("table name %q was accepted", table)
		}
	}
}

// A search_path may find the version table of another schema, but Up would not use that one.
func TestVersionTableIsThatOfTheCurrentSchema(t *testing.T) {
	t.Parallel()
	address := newDatabase(t)
	public := newTestMigrator(t, open(t, address), three(), Options{})
	if _, err := public.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}

	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", "auth,public")
	u.RawQuery = q.Encode()
	db := open(t, u.String())
	if _, err := db.Exec(`CREATE SCHEMA auth`); err != nil {
		t.Fatal(err)
	}
	m := newTestMigrator(t, db, three(), Options{})
	requirePending(t, m, true)
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	requirePending(t, m, false)
	if n := scalar[int](t, db, `SELECT count(*) FROM auth.things`); n != 1 {
		t.Errorf("%d rows in auth.things", n)
	}
}

func TestUpThroughAPgxPool(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(newDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()

	m := newTestMigrator(t, db, three(), Options{})
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	requirePending(t, m, false)
	if n := pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are still acquired", n)
	}

	if got := scalar[string](t, db, `SHOW lock_timeout`); got != "0" {
		t.Errorf("lock_timeout in the pool is %s", got)
	}
	requireNoLock(t, db)
}

func TestNoConnectionOrLockIsLeftBehind(t *testing.T) {
	t.Parallel()
	db := open(t, newDatabase(t))
	fsys := three()
	delete(fsys, "00003_thing_id_idx.sql") // an interrupted concurrent build has to be cleared up by hand
	m := newTestMigrator(t, db, fsys, Options{})
	for range 20 {
		// Wherever the cancellation comes, between two statements of goose too.
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(rand.IntN(20000))*time.Microsecond, cancel)
		_, err := m.upTo(ctx, 99)
		timer.Stop()
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	requireNoLock(t, db)
	deadline := time.Now().Add(5 * time.Second)
	for scalar[int](t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()`) > db.Stats().OpenConnections {
		if time.Now().After(deadline) {
			t.Fatal("a connection of a run is still open")
		}
		runtime.Gosched()
	}
	if _, err := m.upTo(t.Context(), 99); err != nil {
		t.Error(err)
	}
	requirePending(t, m, false)
}

func TestVersionsOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	db := open(t, "postgres://localhost:1/unused")
	if _, err := UpTo(t.Context(), db, 0, Options{}); err == nil {
		t.Error("UpTo 0 was accepted")
	}
	if _, err := DownTo(t.Context(), db, -1, Options{}); err == nil {
		t.Error("DownTo -1 was accepted")
	}
}

func TestEmbeddedFilesAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	m := newTestMigrator(t, open(t, "postgres://localhost:1/unused"), FS, Options{})
	if len(m.files) == 0 || len(m.files) != len(names) {
		t.Fatalf("%d versions in %d files", len(m.files), len(names))
	}
	for i, f := range m.files {
		if f.version != int64(i+1) {
			t.Errorf("%s is file %d", f.name, i+1)
		}
	}
}
