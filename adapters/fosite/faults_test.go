package fositedb_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// flaky is a pool of which one statement fails.
type flaky struct {
	store.DBTX
	left atomic.Int64 // statements until the one that fails; negative: none does
	err  error
}

func (f *flaky) fails() bool { return f.left.Add(-1) == -1 }

// Query implements store.DBTX.
func (f *flaky) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if f.fails() {
		return nil, f.err
	}
	return f.DBTX.Query(ctx, sql, args...)
}

// QueryRow implements store.DBTX.
func (f *flaky) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if f.fails() {
		return brokenRow{f.err}
	}
	return f.DBTX.QueryRow(ctx, sql, args...)
}

type brokenRow struct{ err error }

// Scan implements pgx.Row.
func (r brokenRow) Scan(...any) error { return r.err }

// requests are one to each endpoint and for each grant. Each succeeds once all statements do.
func (c client) requests() []struct {
	name string
	make func() answer
	good string
} {
	c.Helper()
	tokens, code, spent := c.login(), c.code(), c.login()
	strict := c.refresh(spent.str("refresh_token"))
	pushed := c.post("/par", c.request())
	revoked := c.login()
	type request = struct {
		name string
		make func() answer
		good string
	}
	return []request{
		{"authorize", func() answer { return c.authorize(c.request()) }, "code="},
		{"push", func() answer { return c.post("/par", c.request()) }, "request_uri"},
		{"authorize what was pushed", func() answer {
			return c.authorize(url.Values{"client_id": {c.id}, "request_uri": {pushed.str("request_uri")}})
		}, "code="},
		{"authorization_code", func() answer { return c.redeem(code) }, "refresh_token"},
		{"refresh_token", func() answer { return c.refresh(tokens.str("refresh_token")) }, "refresh_token"},
		{"client_credentials", func() answer {
			return c.post("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"calendar"}})
		}, "access_token"},
		{"jwt-bearer", func() answer { return c.grant("https://idp.example", "ada", "1") }, "access_token"},
		{"introspection of an access token", func() answer { return c.introspect(strict.str("access_token")) }, `"active":true`},
		{"introspection of a refresh token", func() answer { return c.introspect(strict.str("refresh_token")) }, `"active":true`},
		{"revocation", func() answer { return c.post("/revoke", url.Values{"token": {revoked.str("refresh_token")}}) }, ""},
		{"revocation of an access token", func() answer {
			return c.post("/revoke", url.Values{"token": {strict.str("access_token")}, "token_type_hint": {"access_token"}})
		}, ""},
	}
}

// A fault of the database is never a statement about a grant: not invalid_grant, not "active": false, not 200.
func TestFaultIsAnsweredAsOneAtEveryStatementOfEveryEndpoint(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*store.CreateClientParams){"secret": func(*store.CreateClientParams) {}, "key": keyed} {
		for fault, err := range map[string]error{
			"lost connection": io.ErrUnexpectedEOF,
			"corrupted":       &pgconn.PgError{Severity: "PANIC", Code: "XX001", Message: "secret message", Detail: "secret detail"},
			"serialization":   &pgconn.PgError{Severity: "ERROR", Code: "40001"},
			"deadlock":        &pgconn.PgError{Severity: "ERROR", Code: "40P01"},
		} {
			if name == "key" && fault != "lost connection" {
				continue
			}
			t.Run(name+", "+fault, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				broken := &flaky{DBTX: w.db.Pool, err: err}
				broken.left.Store(-1)
				s := w.serve(func(h *how) { h.pool = broken })
				c := s.register(change)
				s.trust("https://idp.example", "ada")
				status, code := http.StatusInternalServerError, "server_error"
				if strings.HasPrefix(fault, "serial") || fault == "deadlock" {
					status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
				}
				for _, request := range c.requests() {
					for statement := 0; ; statement++ {
						if statement > 10 {
							t.Fatalf("%s: too many statements", request.name)
						}
						broken.left.Store(int64(statement))
						a := request.make()
						if broken.left.Swap(-1) >= 0 {
							if a.status >= http.StatusBadRequest || !strings.Contains(a.text+a.to.Encode(), request.good) {
								t.Errorf("%s, %d faults later: %d %s %v", request.name, statement, a.status, a.text, a.to)
							}
							break
						}
						told := a.status == status && a.str("error") == code || a.to.Get("error") == code
						if request.name == "introspection of a refresh token" && statement == map[string]int{"secret": 1, "key": 2}[name] {
							told = a.body["active"] == true // the library looks for both kinds, and has found it
						}
						if !told {
							t.Errorf("%s, statement %d: %d %s %v", request.name, statement, a.status, a.text, a.to)
						}
						if strings.Contains(a.text+a.to.Encode(), "secret") {
							t.Errorf("%s tells the reason: %s", request.name, a.text)
						}
					}
				}
				if log := w.log.String(); !strings.Contains(log, "fault") || strings.Contains(log, "secret ") {
					t.Errorf("log: %s", log)
				}
			})
		}
	}
}

// Without a Provider the token endpoint, too, tells a fault from a refusal.
func TestLostConnectionIsNoInvalidGrantWithoutAProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := &flaky{DBTX: w.db.Pool, err: io.ErrUnexpectedEOF}
	broken.left.Store(-1)
	s := w.serve(func(h *how) { h.pool, h.bare, h.hmac, h.opts.SuccessorKeys = broken, true, true, nil })
	c := s.register()
	s.trust("https://idp.example", "ada")
	for _, request := range c.requests() {
		switch request.name {
		case "authorization_code", "refresh_token", "client_credentials":
			for statement := range 4 {
				broken.left.Store(int64(statement))
				a := request.make()
				if broken.left.Swap(-1) < 0 {
					w.want(request.name, a, http.StatusInternalServerError, "server_error")
				}
			}
		}
	}
}

// What a parallel request undid is to be retried, and is where the library knows the word.
func TestConflictOfARefreshIsToBeRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := &flaky{DBTX: w.db.Pool}
	broken.left.Store(-1)
	s := w.serve(func(h *how) { h.pool, h.bare = broken, true })
	c := s.register()
	current := c.login().str("refresh_token")
	for _, code := range []string{"40001", "40P01"} {
		broken.err = &pgconn.PgError{Code: code}
		broken.left.Store(3)
		a := c.refresh(current)
		w.want(code, a, http.StatusBadRequest, "invalid_request")
		if !strings.Contains(a.text, "concurrent requests") {
			t.Errorf("%s: %s", code, a.text)
		}
	}
	w.want("retry", c.refresh(current), http.StatusOK, "")
}
