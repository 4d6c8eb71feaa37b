package db_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	knownEmail = "alice.liddell@wonderland.example"
	knownName  = "a name that nobody logs"
)

func createUser(ctx context.Context, q *store.Queries, id store.UserID, email string) error {
	_, err := q.CreateUser(ctx, store.CreateUserParams{ID: id, Name: knownName, Email: &email})
	return err
}

func TestViolationsAreToldApart(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	ctx := t.Context()
	if err := createUser(ctx, d.Store, "usr_1", knownEmail); err != nil {
		t.Fatal(err)
	}

	exec := func(sql string) func() error {
		return func() error {
			_, err := d.Pool.Exec(ctx, sql)
			return err
		}
	}
	for name, test := range map[string]struct {
		do         func() error
		constraint store.Constraint
		column     string
		is         string // the one of the four that holds
	}{
		"unique, of the primary key": {
			do:         func() error { return createUser(ctx, d.Store, "usr_1", "b@b.example") },
			constraint: store.ConstraintUserPKey, is: "unique",
		},
		"unique, of an index": {
			do:         func() error { return createUser(ctx, d.Store, "usr_3", strings.ToUpper(knownEmail)) },
			constraint: store.ConstraintUserEmailUIdx, is: "unique",
		},
		"foreign key": {
			do: exec(`
				INSERT INTO account (id, account_id, provider_id, user_id)
				VALUES ('acc_1', 'a', 'p', 'nobody')`),
			constraint: store.ConstraintAccountUserIDFKey, is: "foreign key",
		},
		"check": {
			do:         func() error { return createUser(ctx, d.Store, "usr_4", "no address") },
			constraint: store.ConstraintUserEmailIsAddress, is: "check",
		},
		"check of a domain, over a column": {
			do:         func() error { return createUser(ctx, d.Store, "", "b@b.example") },
			constraint: store.ConstraintUserIDLength, is: "check",
		},
		"check of a table": {
			do:         exec(`INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c', 'c', '{}')`),
			constraint: store.ConstraintOAuthClientRedirectURIsWhereRedirected, is: "check",
		},
		"not null": {
			do:     exec(`UPDATE "user" SET name = NULL`),
			column: "name", is: "not null",
		},
	} {
		err := test.do()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wrapped := fmt.Errorf("doing it: %w", err)
		if got := db.Constraint(wrapped); got != test.constraint {
			t.Errorf("%s: Constraint is %q, want %q", name, got, test.constraint)
		}
		if got := db.Column(wrapped); got != test.column {
			t.Errorf("%s: Column is %q, want %q", name, got, test.column)
		}
		if got, want := db.Violates(wrapped, store.ConstraintJWKSPKey, test.constraint), test.constraint != ""; got != want {
			t.Errorf("%s: Violates is %t", name, got)
		}
		if db.Violates(wrapped, store.ConstraintJWKSPKey) || db.Violates(wrapped) {
			t.Errorf("%s: violates what it doesn't", name)
		}
		for is, f := range map[string]func(error) bool{
			"unique":      db.IsUniqueViolation,
			"foreign key": db.IsForeignKeyViolation,
			"check":       db.IsCheckViolation,
			"not null":    db.IsNotNullViolation,
		} {
			if got := f(wrapped); got != (is == test.is) {
				t.Errorf("%s: is a violation of %s: %t", name, is, got)
			}
		}
		if db.IsTransient(wrapped) || db.IsTimeout(wrapped) || db.IsNotFound(wrapped) || db.IsCanceled(wrapped) {
			t.Errorf("%s is taken for something else", name)
		}
	}
}

func TestNotFoundIsNoRow(t *testing.T) {
	t.Parallel()
	_, err := testdb.New(t, testdb.Options{}).Store.GetUser(t.Context(), "nobody")
	if !db.IsNotFound(err) {
		t.Errorf("error is %v", err)
	}
	if db.IsTransient(err) || db.IsTimeout(err) || db.Constraint(err) != "" {
		t.Error("no row is taken for something else")
	}
}

func TestUnstorableIsWhatPostgreSQLCannotHold(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	for name, c := range map[string]struct {
		sql  string
		arg  any
		want bool
	}{
		"NUL":                {"SELECT $1::text", "a\x00", true},
		"broken UTF-8":       {"SELECT $1::text", "a\xff", true},
		"NUL in JSON":        {"SELECT $1::jsonb", `"\u0000"`, true},
		"half a pair":        {"SELECT $1::jsonb", `"\ud800"`, true},
		"a number too large": {"SELECT $1::jsonb", `1e400000`, true},
		"no JSON":            {"SELECT $1::jsonb", `{`, true},
		"a word":             {"SELECT $1::text", "a", false},
		"an unknown table":   {"SELECT $1::text FROM nowhere", "a", false},
		"a division by zero": {"SELECT 1 / ($1::text)::int", "0", false},
	} {
		_, err := d.Pool.Exec(t.Context(), c.sql, c.arg)
		if db.IsUnstorable(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && db.IsUnstorable(fmt.Errorf("wrapped: %w", err)) != c.want {
			t.Errorf("%s, wrapped: %v", name, err)
		}
	}
	if db.IsUnstorable(nil) || db.IsUnstorable(io.EOF) {
		t.Error("what isn't the server's error is unstorable")
	}
}

func TestInvalidParameterIsWhatTheCallerForgot(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	ctx := t.Context()
	if err := createUser(ctx, d.Store, "usr_1", knownEmail); err != nil {
		t.Fatal(err)
	}
	_, forgotten := d.Store.CreateSession(ctx, store.CreateSessionParams{ID: "ses_1", UserID: "usr_1", Token: token.DigestOf("x")})
	_, past := d.Store.RememberProof(ctx, store.RememberProofParams{ID: token.ProofID("key", "jti")})
	for name, err := range map[string]error{"a lifetime": forgotten, "a proof's expiry": past} {
		if !db.IsInvalidParameter(fmt.Errorf("call: %w", err)) || db.IsUnstorable(err) || db.IsTransient(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, err := range []error{nil, io.EOF, createUser(ctx, d.Store, "usr_1", knownEmail)} {
		if db.IsInvalidParameter(err) {
			t.Errorf("%v is an invalid parameter", err)
		}
	}
}

func TestIdentifiersThatCannotBeStoredFindNothing(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	ctx := t.Context()
	if err := createUser(ctx, d.Store, "usr_1", knownEmail); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"cache_statement", "exec", "simple_protocol"} {
		q := store.New(openPool(t, withParams(t, d.URL, "default_query_exec_mode", mode), db.Options{}))
		if _, err := q.GetUser(ctx, "usr_1"); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		for _, bad := range []string{"\x00", "usr_1\x00", "\xff", "usr_1\xed\xa0\x80"} {
			if store.UserID(bad).Storable() {
				t.Errorf("%q is storable", bad)
			}
			for name, look := range map[string]func() error{
				"user":    func() error { _, err := q.GetUser(ctx, store.UserID(bad)); return err },
				"session": func() error { _, err := q.GetSession(ctx, store.SessionID(bad)); return err },
				"client":  func() error { _, err := q.GetClient(ctx, store.ClientID(bad)); return err },
				"token":   func() error { _, err := q.FindSessionByToken(ctx, token.Digest(bad)); return err },
				"none":    func() error { _, err := q.FindSessionByToken(ctx, ""); return err },
			} {
				if err := look(); !db.IsNotFound(err) {
					t.Errorf("%s: %s %q: %v", mode, name, bad, err)
				}
			}
			if err := createUser(ctx, q, store.UserID(bad), "x@y.example"); !db.Violates(err, store.ConstraintUserIDLength) {
				t.Errorf("%s: created as %q: %v", mode, bad, err)
			}
			var found int
			ids := []store.UserID{store.UserID(bad), "usr_1"}
			if err := d.Pool.QueryRow(ctx, `SELECT count(*) FROM "user" WHERE id = ANY ($1)`, ids).Scan(&found); err != nil || found != 1 {
				t.Errorf("%s: %q in an array: %d, %v", mode, bad, found, err)
			}
		}
	}
}

// What a server says about a row, and what pgx says about an argument, holds the row's values.
func TestDescribeShowsNoValues(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	ctx := t.Context()
	if err := createUser(ctx, d.Store, "usr_1", knownEmail); err != nil {
		t.Fatal(err)
	}
	simple := openPool(t, withParams(t, d.URL, "default_query_exec_mode", "simple_protocol"), db.Options{})
	scan := func() error {
		var n int
		return d.Pool.QueryRow(ctx, `SELECT email FROM "user"`).Scan(&n)
	}
	for name, test := range map[string]struct {
		do   func() error
		want string
	}{
		"unique": {
			func() error { return createUser(ctx, d.Store, "usr_2", knownEmail) },
			"SQLSTATE 23505, table user, constraint user_email_uidx",
		},
		"check": {
			func() error { return createUser(ctx, d.Store, "usr_2", "x "+knownEmail) },
			"SQLSTATE 23514, type email_address, constraint user_email_is_address",
		},
		"not null": {
			func() error { _, err := d.Pool.Exec(ctx, `UPDATE "user" SET name = NULL`); return err },
			"SQLSTATE 23502, table user, column name",
		},
		"a forgotten lifetime": {
			func() error {
				_, err := d.Store.CreateSession(ctx, store.CreateSessionParams{ID: "ses_1", UserID: "usr_1", Token: token.DigestOf("x")})
				return err
			},
			"ERROR: Lifetime is missing or under a second (SQLSTATE 22023)",
		},
		"another invalid parameter": {
			func() error {
				_, err := d.Pool.Exec(ctx, `SELECT set_config('TimeZone', $1, false)`, knownEmail)
				return err
			},
			"ERROR: message withheld (SQLSTATE 22023)",
		},
		"input syntax": {
			func() error { _, err := d.Pool.Exec(ctx, `SELECT $1::text::int`, knownEmail); return err },
			"ERROR: message withheld (SQLSTATE 22P02)",
		},
		"json": {
			func() error { _, err := d.Pool.Exec(ctx, `SELECT $1::text::jsonb`, knownEmail); return err },
			"ERROR: message withheld (SQLSTATE 22P02)",
		},
		"syntax": {
			func() error { _, err := d.Pool.Exec(ctx, `SELECT '`+knownEmail+`' '`+knownEmail+`'`); return err },
			"ERROR: message withheld (SQLSTATE 42601)",
		},
		"undefined table": {
			func() error { _, err := d.Pool.Exec(ctx, `SELECT FROM nothing WHERE name = $1`, knownName); return err },
			"ERROR: undefined table (SQLSTATE 42P01)",
		},
		"raised": {
			func() error {
				_, err := d.Pool.Exec(ctx, `DO $$ BEGIN RAISE EXCEPTION 'no % here', (SELECT email FROM "user"); END $$`)
				return err
			},
			"ERROR: message withheld (SQLSTATE P0001)",
		},
		"argument": {
			func() error {
				_, err := d.Pool.Exec(ctx, `SELECT $1::int`, struct{ Email string }{knownEmail})
				return err
			},
			"failed to encode args[0]: value withheld",
		},
		"argument, in the simple protocol": {
			func() error {
				_, err := simple.Exec(ctx, `SELECT $1::int`, struct{ Email string }{knownEmail})
				return err
			},
			"unable to encode: value withheld",
		},
		"scan": {scan, "can't scan into dest[0]: value withheld"},
	} {
		err := test.do()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		got := db.Describe(fmt.Errorf("doing it: %w", err))
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q in it", name, got, test.want)
		}
		if strings.Contains(got, "liddell") || strings.Contains(got, knownName) {
			t.Errorf("%s: %q shows a value", name, got)
		}
	}
	if db.Describe(nil) != "" {
		t.Error("nil is described")
	}
	if got := db.Describe(io.EOF); got != "EOF" {
		t.Errorf("EOF is %q", got)
	}
}

func TestTransientIsWhatCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	server := func(code, severity string) error {
		return fmt.Errorf("call: %w", &pgconn.PgError{Code: code, Severity: severity})
	}
	for code, want := range map[string]bool{
		"40001": true, "40P01": true, "53300": true, "57P01": true, "57P02": true, "57P03": true,
		"23505": false, "42601": false, "57014": false, "55P03": false, "28P01": false, "08006": false, "40003": false,
	} {
		if got := db.IsTransient(server(code, "ERROR")); got != want {
			t.Errorf("%s: %t", code, got)
		}
	}
	for _, err := range []error{
		nil, io.EOF, pgx.ErrNoRows, context.Canceled, context.DeadlineExceeded,
		fmt.Errorf("%w: %w", db.ErrCommitUnknown, server("57P01", "FATAL")),
		io.ErrUnexpectedEOF,
	} {
		if db.IsTransient(err) {
			t.Errorf("%v is transient", err)
		}
	}
}

func TestNoServerIsTransient(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "postgres://auth@" + l.Addr().String() + "/auth?sslmode=disable"

	// It accepts, and doesn't answer in time.
	_, err = db.Open(t.Context(), address, db.Options{ConnectTimeout: 100 * time.Millisecond})
	if !db.IsTransient(err) || !db.IsTimeout(err) {
		t.Errorf("connecting timed out: transient %t, timeout %t: %v", db.IsTransient(err), db.IsTimeout(err), err)
	}
	// It refuses.
	l.Close()
	_, err = db.Open(t.Context(), address, db.Options{})
	if !db.IsTransient(err) || db.IsTimeout(err) {
		t.Errorf("connecting was refused: transient %t, timeout %t: %v", db.IsTransient(err), db.IsTimeout(err), err)
	}
}

func TestTerminatedSessionIsTransient(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	conn, err := d.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := d.Pool.Exec(t.Context(), `SELECT pg_terminate_backend($1)`, conn.Conn().PgConn().PID()); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), `SELECT pg_sleep(10)`)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) { // or the connection was reset before it could be read
		if !db.IsTransient(err) {
			t.Errorf("error is %v", err)
		}
	} else if err == nil {
		t.Error("no error")
	}
}

// Once a statement has been sent, a broken connection leaves open what it did.
func TestBrokenConnectionIsNotTransient(t *testing.T) {
	t.Parallel()
	d := newCounters(t, testdb.Options{})
	for _, delivered := range []bool{false, true} {
		_, address := cutAt(t, "unlucky", d.URL, delivered)
		for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
			pool := openPool(t, withParams(t, address, "default_query_exec_mode", mode), db.Options{MaxConns: 1})
			for name, call := range map[string]func() error{
				"Exec": func() error {
					_, err := pool.Exec(t.Context(), `UPDATE counter SET n = n + 1 /* unlucky */`)
					return err
				},
				"Exec with an argument": func() error {
					_, err := pool.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE 'unlucky' = $1::text`, "unlucky")
					return err
				},
				"QueryRow": func() error {
					var n int
					return pool.QueryRow(t.Context(), `UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n /* unlucky */`).Scan(&n)
				},
				"QueryRow with an argument": func() error {
					var n int
					return pool.QueryRow(t.Context(), `UPDATE counter SET n = n + 1 WHERE id = $1 RETURNING n /* unlucky */`, 1).Scan(&n)
				},
				"QueryRow with an unlucky argument": func() error {
					var n int
					return pool.QueryRow(t.Context(), `UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING length($1)`, "unlucky").Scan(&n)
				},
			} {
				err := call()
				if err == nil || db.IsTransient(err) {
					t.Errorf("%s, mode %s, delivered %t: error is %v", name, mode, delivered, err)
				}
			}
		}
	}
}

func TestTimeoutsAreToldFromCancellation(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	pool := openPool(t, address, db.Options{LockTimeout: 50 * time.Millisecond, StatementTimeout: 500 * time.Millisecond})

	_, err := pool.Exec(t.Context(), `SELECT pg_sleep(10)`)
	if !db.IsTimeout(err) || db.IsCanceled(err) || db.IsTransient(err) {
		t.Errorf("statement_timeout: %v", err)
	}

	held, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback(context.WithoutCancel(t.Context()))
	if _, err := held.Exec(t.Context(), `LOCK TABLE session`); err != nil {
		t.Fatal(err)
	}
	_, err = pool.Exec(t.Context(), `SELECT FROM session`)
	if !db.IsTimeout(err) || db.IsCanceled(err) {
		t.Errorf("lock_timeout: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = pool.Exec(ctx, `SELECT pg_sleep(10)`)
	if !db.IsTimeout(err) || db.IsCanceled(err) || db.IsTransient(err) {
		t.Errorf("deadline: %v", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = pool.Exec(ctx, `SELECT pg_sleep(10)`)
	if db.IsTimeout(err) || !db.IsCanceled(err) || db.IsTransient(err) {
		t.Errorf("cancelled: %v", err)
	}
	_, err = pool.Exec(ctx, `SELECT 1`)
	if db.IsTimeout(err) || !db.IsCanceled(err) || db.IsTransient(err) {
		t.Errorf("cancelled before: %v", err)
	}
}
