package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// withParams adds parameters to a URL.
func withParams(t *testing.T, address string, pairs ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // to libpq, a plus is a plus
	return u.String()
}

// openPool opens a pool that is closed with the test.
func openPool(t *testing.T, address string, opts db.Options) *pgxpool.Pool {
	t.Helper()
	pool, err := db.Open(t.Context(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func scalar[T any](t *testing.T, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, sql string, args ...any,
) T {
	t.Helper()
	var v T
	if err := q.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

const anyURL = "postgres://auth:geheim@db.example/auth"

// poolSettings are those of a config that a test compares.
type poolSettings struct {
	MaxConns, MinConns, MinIdleConns int32
	Lifetime, Jitter, Idle, Health   time.Duration
	Ping, Connect                    time.Duration
	Mode                             pgx.QueryExecMode
	Params                           map[string]string
}

func settingsOf(c *pgxpool.Config) poolSettings {
	return poolSettings{
		c.MaxConns, c.MinConns, c.MinIdleConns,
		c.MaxConnLifetime, c.MaxConnLifetimeJitter, c.MaxConnIdleTime, c.HealthCheckPeriod,
		c.PingTimeout, c.ConnConfig.ConnectTimeout,
		c.ConnConfig.DefaultQueryExecMode,
		c.ConnConfig.RuntimeParams,
	}
}

func TestOptionsWinOverTheStringAndThatOverTheDefaults(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	full := anyURL + "?pool_max_conns=7&pool_min_conns=2&pool_min_idle_conns=1&pool_max_conn_lifetime=1h" +
		"&pool_max_conn_lifetime_jitter=9m&pool_max_conn_idle_time=8m&pool_health_check_period=7m&pool_ping_timeout=6s" +
		"&connect_timeout=3&statement_timeout=1000&lock_timeout=2s&idle_in_transaction_session_timeout=3000" +
		"&application_name=url&default_query_exec_mode=exec&search_path=auth"
	fromURL := poolSettings{
		7, 2, 1,
		time.Hour, 9 * minute, 8 * minute, 7 * minute,
		6 * time.Second, 3 * time.Second,
		pgx.QueryExecModeExec,
		map[string]string{
			"statement_timeout": "1000", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "3000",
			"application_name": "url", "search_path": "auth",
		},
	}
	defaults, err := db.ParseConfig(anyURL, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := defaults.MaxConns
	if n < 4 || n > 32 {
		t.Errorf("MaxConns is %d by default", n)
	}

	for name, test := range map[string]struct {
		url  string
		opts db.Options
		want poolSettings
	}{
		"defaults": {
			url: anyURL,
			want: poolSettings{
				n, 0, 0,
				30 * minute, 3 * minute, 5 * minute, 30 * time.Second,
				2 * time.Second, 5 * time.Second,
				pgx.QueryExecModeCacheStatement,
				map[string]string{
					"statement_timeout": "10000", "lock_timeout": "5000", "idle_in_transaction_session_timeout": "15000",
					"application_name": "oauthdb",
				},
			},
		},
		"the string wins over the defaults": {url: full, want: fromURL},
		"keywords and values are as good as a URL": {
			url: "host=db.example pool_max_conns=7 statement_timeout=1000 application_name=kv",
			want: poolSettings{
				7, 0, 0,
				30 * minute, 3 * minute, 5 * minute, 30 * time.Second,
				2 * time.Second, 5 * time.Second,
				pgx.QueryExecModeCacheStatement,
				map[string]string{
					"statement_timeout": "1000", "lock_timeout": "5000", "idle_in_transaction_session_timeout": "15000",
					"application_name": "kv",
				},
			},
		},
		"options=-c is part of the string": {
			url: anyURL + "?options=-c%20statement_timeout%3D1s%20-c%20lock_timeout%3D1s",
			want: poolSettings{
				n, 0, 0,
				30 * minute, 3 * minute, 5 * minute, 30 * time.Second,
				2 * time.Second, 5 * time.Second,
				pgx.QueryExecModeCacheStatement,
				map[string]string{
					"options":                             "-c statement_timeout=1s -c lock_timeout=1s",
					"idle_in_transaction_session_timeout": "15000",
					"application_name":                    "oauthdb",
				},
			},
		},
		"Options win over the string": {
			url: full,
			opts: db.Options{
				MaxConns: 3, MinConns: 1, MinIdleConns: 2,
				MaxConnLifetime: time.Minute, MaxConnLifetimeJitter: 2 * minute, MaxConnIdleTime: 3 * minute,
				HealthCheckPeriod: 4 * minute, PingTimeout: 5 * minute, ConnectTimeout: 6 * minute,
				StatementTimeout: 1500 * time.Microsecond, LockTimeout: time.Microsecond, IdleInTransactionSessionTimeout: minute,
				ApplicationName: "opts",
			},
			want: poolSettings{
				3, 1, 2,
				minute, 2 * minute, 3 * minute, 4 * minute,
				5 * minute, 6 * minute,
				pgx.QueryExecModeExec,
				map[string]string{
					"statement_timeout": "1", "lock_timeout": "1", "idle_in_transaction_session_timeout": "60000",
					"application_name": "opts", "search_path": "auth",
				},
			},
		},
		"negative is no limit": {
			url: full,
			opts: db.Options{
				MaxConnLifetime: -1, MaxConnLifetimeJitter: -1, MaxConnIdleTime: -1, HealthCheckPeriod: -1, PingTimeout: -1,
				ConnectTimeout: -1, StatementTimeout: -1, LockTimeout: -1, IdleInTransactionSessionTimeout: -1,
			},
			want: poolSettings{
				7, 2, 1,
				-1, 0, 1<<63 - 1, 1<<63 - 1,
				-1, 0,
				pgx.QueryExecModeExec,
				map[string]string{"application_name": "url", "search_path": "auth"},
			},
		},
		"PgBouncer gets no parameter that it doesn't know": {
			url:  anyURL,
			opts: db.Options{PgBouncer: true},
			want: poolSettings{
				n, 0, 0,
				30 * minute, 3 * minute, 5 * minute, 30 * time.Second,
				2 * time.Second, 5 * time.Second,
				pgx.QueryExecModeCacheDescribe,
				map[string]string{"application_name": "oauthdb"},
			},
		},
		"PgBouncer gets what the string asks for": {url: full, opts: db.Options{PgBouncer: true}, want: fromURL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := db.ParseConfig(test.url, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := settingsOf(config); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestOptionsOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]db.Options{
		"MaxConns":                            {MaxConns: -1},
		"MinConns":                            {MinConns: -1},
		"MinIdleConns":                        {MinIdleConns: -1},
		"statement_timeout":                   {PgBouncer: true, StatementTimeout: time.Second},
		"lock_timeout":                        {PgBouncer: true, LockTimeout: time.Second},
		"idle_in_transaction_session_timeout": {PgBouncer: true, IdleInTransactionSessionTimeout: time.Second},
	} {
		if _, err := db.ParseConfig(anyURL, opts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionsHaveTheTimeouts(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	show := func(pool *pgxpool.Pool) [4]string {
		var s [4]string
		for i, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name"} {
			s[i] = scalar[string](t, pool, `SELECT current_setting($1)`, name)
		}
		return s
	}

	if got, want := show(openPool(t, address, db.Options{})), [4]string{"10s", "5s", "15s", "oauthdb"}; got != want {
		t.Errorf("by default %v, want %v", got, want)
	}
	set := withParams(t, address, "statement_timeout", "7s", "application_name", "mine", "options", "-c lock_timeout=9s")
	if got, want := show(openPool(t, set, db.Options{})), [4]string{"7s", "9s", "15s", "mine"}; got != want {
		t.Errorf("by the string %v, want %v", got, want)
	}
	if got, want := show(openPool(t, set, db.Options{StatementTimeout: time.Second, LockTimeout: time.Second, ApplicationName: "x"})),
		[4]string{"1s", "1s", "15s", "x"}; got != want {
		t.Errorf("by Options %v, want %v", got, want)
	}

	pool := openPool(t, address, db.Options{StatementTimeout: 50 * time.Millisecond})
	_, err := pool.Exec(t.Context(), `SELECT pg_sleep(10)`)
	if !db.IsTimeout(err) || db.IsCanceled(err) {
		t.Errorf("a statement beyond the timeout: %v", err)
	}
}

// Identifiers are string types over domains, and outcomes enums: neither may need registering, in any of the modes that ask
// the server for the types.
func TestParametersNeedNoTypeRegistration(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec"} {
		pool := openPool(t, withParams(t, address, "default_query_exec_mode", mode), db.Options{})
		var ids []string
		var id store.UserID
		var outcome store.Outcome
		if err := pool.QueryRow(t.Context(), `SELECT $1::text[], $2::user_id, $3::outcome`,
			[]store.UserID{"a", "b"}, store.UserID("c"), store.OutcomeReplayed).Scan(&ids, &id, &outcome); err != nil {
			t.Errorf("%s: %v", mode, err)
		} else if len(ids) != 2 || ids[1] != "b" || id != "c" || outcome != store.OutcomeReplayed {
			t.Errorf("%s: %v, %v, %v", mode, ids, id, outcome)
		}
	}
}

// A connection string may ask for any mode, and poolers make people do so.
func TestStoreWorksInEachMode(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		queries := store.New(openPool(t, withParams(t, address, "default_query_exec_mode", mode), db.Options{}))
		client, err := queries.CreateClient(t.Context(), store.CreateClientParams{
			ID:           store.OAuthClientID(mode),
			ClientID:     store.ClientID(mode),
			RedirectURIs: []string{"https://client.example/cb"},
			Metadata:     json.RawMessage(`{"mode": true}`),
		})
		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		if client.ClientID != store.ClientID(mode) || len(client.RedirectURIs) != 1 || len(client.Metadata) == 0 {
			t.Errorf("%s: %+v", mode, client)
		}
		rotated, err := queries.RotateRefreshToken(t.Context(), store.RotateRefreshTokenParams{
			Token:                token.DigestOf("presented"),
			ClientID:             store.ClientID(mode),
			ClientAuthMethod:     "none",
			Grace:                10 * time.Second,
			Resources:            []string{"https://api.example"},
			Successor:            token.DigestOf("successor"),
			SuccessorID:          store.NewRefreshTokenID(),
			RefreshTokenLifetime: time.Hour,
			AccessTokenID:        store.NewAccessTokenID(),
			AccessTokenLifetime:  time.Hour,
		})
		if err != nil || rotated.Outcome != store.OutcomeUnknown {
			t.Errorf("%s: %s, %v", mode, rotated.Outcome, err)
		}
	}
}

// In this mode no statement has a name on the server, so that it doesn't matter on which connection it ends up.
func TestPgBouncerModePreparesNothingByName(t *testing.T) {
	t.Parallel()
	address := testdb.New(t, testdb.Options{}).URL
	for _, bouncer := range []bool{false, true} {
		pool := openPool(t, address, db.Options{MaxConns: 1, PgBouncer: bouncer})
		for range 3 {
			if got := scalar[string](t, pool, `SELECT $1::text`, "x"); got != "x" {
				t.Errorf("got %q", got)
			}
		}
		if n := scalar[int](t, pool, `SELECT count(*) FROM pg_prepared_statements`); (n == 0) != bouncer {
			t.Errorf("PgBouncer %t: %d prepared statements", bouncer, n)
		}
	}
}

func TestErrorsOfOpenDoNotShowThePassword(t *testing.T) {
	t.Parallel()
	const secret = "geheim"
	server := testdb.New(t, testdb.Options{}).URL
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), secret)
	wrongPassword := u.String()
	// A port that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := l.Addr().String()
	l.Close()

	for name, address := range map[string]string{
		"wrong password":         wrongPassword,
		"no server":              "postgres://auth:geheim@" + closedPort + "/auth?connect_timeout=1",
		"port out of range":      "postgres://auth:geheim@localhost:99999999/auth",
		"slash in the password":  "postgres://auth:geheim/geheim@localhost/auth",
		"hash in the password":   "postgres://auth:geheim#geheim@127.0.0.1:1/auth",
		"query in the password":  "postgres://auth:geheim?geheim@localhost/auth",
		"percent":                "postgres://auth:%geheim@localhost/auth",
		"colon and at":           "postgres://auth:gehe:geheim@im@localhost:x/auth",
		"bad pool setting":       "postgres://auth:geheim@localhost/auth?pool_max_conns=geheim",
		"bad mode":               "postgres://auth:geheim@localhost/auth?default_query_exec_mode=geheim",
		"bad certificate":        "postgres://auth:geheim@localhost/auth?sslmode=verify-full&sslrootcert=nowhere.pem",
		"keywords, not closed":   "host=localhost password='geheim",
		"keywords, not an equal": "host=localhost password geheim",
		"backquote":              "postgres://auth:`: geheim@localhost:x/auth",
		"key twice":              "postgres://localhost:x/auth?password=geheim",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, err := db.Open(t.Context(), address, db.Options{ConnectTimeout: 2 * time.Second})
			if err == nil {
				pool.Close()
				t.Skip("the server doesn't ask for a password")
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), secret) || strings.Contains(db.Describe(e), secret) {
					t.Errorf("%q shows the password", e)
				}
			}
			var parse *pgconn.ParseConfigError
			if errors.As(err, &parse) {
				t.Error("the error carries the whole string")
			}
			if !strings.HasPrefix(err.Error(), "db: ") {
				t.Errorf("error is %q", err)
			}
		})
	}

	_, err = db.ParseConfig("postgres://auth:geheim@localhost/auth?sslmode=verify-full&sslrootcert=nowhere.pem", db.Options{})
	if err == nil || !strings.Contains(err.Error(), "nowhere.pem") {
		t.Errorf("%v doesn't say what is missing", err)
	}
}

func TestOpenGivesUpInTime(t *testing.T) {
	t.Parallel()
	// Accepts connections, and never answers.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := "postgres://auth@" + l.Addr().String() + "/auth?sslmode=disable"

	start := time.Now()
	_, err = db.Open(t.Context(), address, db.Options{ConnectTimeout: 200 * time.Millisecond, PingTimeout: time.Millisecond})
	if !db.IsTimeout(err) {
		t.Errorf("error is %v, want a timeout", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Open took %s", took)
	}

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	start = time.Now()
	_, err = db.Open(ctx, address, db.Options{ConnectTimeout: time.Minute})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Open took %s after its context ended", took)
	}
}

type countingTracer struct{ n int }

func (c *countingTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n++
	return ctx
}
func (c *countingTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestTracerHearsOfStatements(t *testing.T) {
	t.Parallel()
	var tracer countingTracer
	pool := openPool(t, testdb.New(t, testdb.Options{}).URL, db.Options{Tracer: &tracer})
	before := tracer.n
	scalar[int](t, pool, `SELECT 1`)
	if tracer.n != before+1 {
		t.Errorf("%d statements were traced", tracer.n-before)
	}
}
