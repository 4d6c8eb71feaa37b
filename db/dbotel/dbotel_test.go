package dbotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/db/dbotel"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// secret is part of every value that the tests send.
const secret = "geheim"

type traced struct {
	pool  *pgxpool.Pool
	store *store.Queries

	provider *trace.TracerProvider
	exporter *tracetest.InMemoryExporter
	reader   *metric.ManualReader
	opts     dbotel.Options
}

func newTraced(t *testing.T, params string) *traced {
	t.Helper()
	x := &traced{exporter: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader()}
	x.provider = trace.NewTracerProvider(trace.WithSyncer(x.exporter))
	meters := metric.NewMeterProvider(metric.WithReader(x.reader))
	opts := dbotel.Options{
		TracerProvider: x.provider,
		MeterProvider:  meters,
		Attributes:     []attribute.KeyValue{attribute.String("tenant", "t1")},
	}
	url := storetest.New(t).URL
	if strings.Contains(url, "?") {
		params = strings.Replace(params, "?", "&", 1)
	}
	pool, err := db.Open(t.Context(), url+params, db.Options{Tracer: dbotel.NewTracer(opts)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	x.pool, x.store, x.opts = pool, store.New(pool), opts
	if err := dbotel.RecordStats(pool, opts); err != nil {
		t.Fatal(err)
	}
	return x
}

// spans runs f below a span that records, and returns the spans that it led to.
func (x *traced) spans(t *testing.T, f func(ctx context.Context)) tracetest.SpanStubs {
	t.Helper()
	x.exporter.Reset()
	ctx, parent := x.provider.Tracer("test").Start(t.Context(), "parent")
	f(ctx)
	parent.End()
	return slices.DeleteFunc(x.exporter.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name == "parent" })
}

func names(spans tracetest.SpanStubs) []string {
	var ns []string
	for _, s := range spans {
		ns = append(ns, s.Name)
	}
	return ns
}

func find(t *testing.T, spans tracetest.SpanStubs, name string) tracetest.SpanStub {
	t.Helper()
	for _, s := range spans {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no span %q among %q", name, names(spans))
	return tracetest.SpanStub{}
}

// requireNoSecret looks at all that is exported.
func requireNoSecret(t *testing.T, spans tracetest.SpanStubs) {
	t.Helper()
	if len(spans) == 0 {
		t.Error("no spans")
	}
	for _, s := range spans {
		text := fmt.Sprintf("%s %+v %+v %+v %+v", s.Name, s.Attributes, s.Events, s.Status, s.Links)
		if strings.Contains(strings.ToLower(text), secret) {
			t.Errorf("span %s holds a value: %s", s.Name, text)
		}
	}
}

func createUser(ctx context.Context, q *store.Queries, id store.UserID) error {
	_, err := q.CreateUser(ctx, store.CreateUserParams{ID: id, Name: secret, Email: new(secret + "@wonderland.example")})
	return err
}

func TestSpansAreNamedAfterTheCall(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")

	spans := x.spans(t, func(ctx context.Context) {
		if err := createUser(ctx, x.store, "usr_1"); err != nil {
			t.Error(err)
		}
	})
	if got, want := names(spans), []string{"pool.acquire", "prepare CreateUser", "CreateUser"}; !slices.Equal(got, want) {
		t.Errorf("spans are %q, want %q", got, want)
	}
	call := find(t, spans, "CreateUser")
	if call.Status.Code != codes.Unset || !slices.Contains(call.Attributes, attribute.String("tenant", "t1")) {
		t.Errorf("span is %+v", call)
	}
	requireNoSecret(t, spans)

	// What is no call of the store goes by its keyword.
	for sql, want := range map[string]string{
		"select '" + secret + "'":                 "SELECT",
		"SELECT'" + secret + "'":                  "SELECT",
		"VALUES('" + secret + "')":                "VALUES",
		"/* " + secret + " */ SELECT 1":           "SELECT",
		"-- " + secret + "\nSELECT 1":             "SELECT",
		"-- name: Mine :one\nSELECT 1":            "Mine",
		secret + " SELECT":                        "UNKNOWN",
		"('" + secret + "')":                      "UNKNOWN",
		"SET application_name = '" + secret + "'": "SET",
	} {
		spans := x.spans(t, func(ctx context.Context) { _, _ = x.pool.Exec(ctx, sql) })
		find(t, spans, want)
		requireNoSecret(t, spans)
	}
}

func TestTransactionsBatchesAndCopiesAreTraced(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	spans := x.spans(t, func(ctx context.Context) {
		err := db.InTx(ctx, x.pool, db.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
			return createUser(ctx, x.store.WithTx(tx), "usr_1")
		})
		if err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"BEGIN", "CreateUser", "COMMIT"} {
		find(t, spans, name)
	}
	requireNoSecret(t, spans)

	spans = x.spans(t, func(ctx context.Context) {
		batch := &pgx.Batch{}
		batch.Queue("-- name: InBatch :exec\nSELECT $1::text", secret)
		batch.Queue("UPDATE \"user\" SET email = $1", secret) // which is no address
		if err := x.pool.SendBatch(ctx, batch).Close(); err == nil {
			t.Error("no error")
		}
	})
	find(t, spans, "InBatch")
	if s := find(t, spans, "UPDATE"); s.Status.Code != codes.Error {
		t.Errorf("status is %+v", s.Status)
	}
	requireNoSecret(t, spans)

	spans = x.spans(t, func(ctx context.Context) {
		_, err := x.pool.CopyFrom(ctx, pgx.Identifier{"user"}, []string{"id", "name", "email"},
			pgx.CopyFromRows([][]any{{"usr_2", secret, secret}}))
		if !db.Violates(err, store.ConstraintUserEmailIsAddress) {
			t.Errorf("error is %v", err)
		}
	})
	find(t, spans, `copy_from "user"`)
	requireNoSecret(t, spans)
}

// The server quotes rows in its errors, and pgx quotes arguments.
func TestErrorsAreTracedWithoutValues(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			x := newTraced(t, "?default_query_exec_mode="+mode)
			if err := createUser(t.Context(), x.store, "usr_1"); err != nil {
				t.Fatal(err)
			}
			exec := func(sql string, args ...any) func(context.Context) error {
				return func(ctx context.Context) error {
					_, err := x.pool.Exec(ctx, sql, args...)
					return err
				}
			}
			for name, test := range map[string]struct {
				do    func(context.Context) error
				state string // SQLSTATE
			}{
				"unique":       {func(ctx context.Context) error { return createUser(ctx, x.store, "usr_2") }, "23505"},
				"check":        {exec(`UPDATE "user" SET email = $1`, secret), "23514"},
				"foreign key":  {exec(`UPDATE "user" SET id = 'x'; INSERT INTO account (id, account_id, provider_id, user_id) VALUES ('a', 'a', 'a', 'geheim')`), "23503"},
				"not null":     {exec(`UPDATE "user" SET name = NULL`), "23502"},
				"input syntax": {exec(`SELECT $1::text::int`, secret), "22P02"},
				"json":         {exec(`SELECT $1::text::jsonb`, secret), "22P02"},
				"raised":       {exec(`DO $$ BEGIN RAISE EXCEPTION 'no %', (SELECT email FROM "user") USING HINT = 'geheim'; END $$`), "P0001"},
				"in a context": {exec(`DO $$ BEGIN PERFORM ('geheim' || email)::int FROM "user"; END $$`), "22P02"},
				"argument":     {exec(`SELECT $1::int`, struct{ Name string }{secret}), ""},
			} {
				var err error
				spans := x.spans(t, func(ctx context.Context) { err = test.do(ctx) })
				if err == nil {
					t.Errorf("%s: no error", name)
					continue
				}
				requireNoSecret(t, spans)
				i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Status.Code == codes.Error })
				if i < 0 {
					t.Errorf("%s: no span has an error", name)
					continue
				}
				s := spans[i]
				if test.state != "" && (!slices.Contains(s.Attributes, attribute.String("pgx.sql_state", test.state)) ||
					!strings.Contains(s.Status.Description, test.state)) {
					t.Errorf("%s: SQLSTATE %s is not in %+v", name, test.state, s)
				}
				if len(s.Events) == 0 {
					t.Errorf("%s: the error is no event", name)
				}
			}
		})
	}
}

func TestNoTraceIsBegun(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	x.exporter.Reset()
	if err := createUser(t.Context(), x.store, "usr_1"); err != nil {
		t.Fatal(err)
	}
	if spans := x.exporter.GetSpans(); len(spans) != 0 {
		t.Errorf("spans are %q", names(spans))
	}
}

func TestOutcomesAndTheEndOfAContextAreTraced(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	spans := x.spans(t, func(ctx context.Context) {
		_, err := x.store.FindSessionByToken(ctx, token.DigestOf(secret))
		if !db.IsNotFound(err) {
			t.Errorf("error is %v", err)
		}
	})
	if s := find(t, spans, "FindSessionByToken"); s.Status.Code == codes.Error {
		t.Error("no row is traced as an error")
	}
	if text := fmt.Sprint(spans); strings.Contains(text, string(token.DigestOf(secret))) {
		t.Error("the digest is traced")
	}

	spans = x.spans(t, func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := x.pool.Exec(ctx, `SELECT 1`); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
	if s := find(t, spans, "pool.acquire"); s.Status.Code != codes.Error {
		t.Errorf("status is %+v", s.Status)
	}
}

func TestMetricsGoByTheCallAndHoldNoValues(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	for range 2 { // the second is refused
		_ = createUser(t.Context(), x.store, "usr_1")
	}
	_, _ = x.pool.Exec(t.Context(), "SELECT'"+secret+"'")

	var data metricdata.ResourceMetrics
	if err := x.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", data)
	if strings.Contains(strings.ToLower(text), secret) {
		t.Errorf("metrics hold a value: %s", text)
	}
	got := make(map[string]bool)
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			got[m.Name] = true
			switch m.Name {
			case "db.client.operation.duration":
				if n := countOf(m.Data, "CreateUser"); n < 2 {
					t.Errorf("%d calls of CreateUser are measured", n)
				}
			case "db.client.operation.errors":
				if n := countOf(m.Data, "CreateUser"); n != 1 {
					t.Errorf("%d errors of CreateUser are counted", n)
				}
			}
		}
	}
	for _, name := range []string{"db.client.operation.duration", "db.client.operation.errors", "pgxpool.acquires", "pgxpool.acquired_connections"} {
		if !got[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// countOf sums the points of an operation.
func countOf(data metricdata.Aggregation, operation string) int {
	var n int
	is := func(set attribute.Set) bool {
		v, _ := set.Value("db.operation.name")
		return v.AsString() == operation
	}
	switch data := data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			if is(p.Attributes) {
				n += int(p.Count)
			}
		}
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			if is(p.Attributes) {
				n += int(p.Value)
			}
		}
	}
	return n
}
