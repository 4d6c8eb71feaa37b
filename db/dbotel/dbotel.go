package dbotel

import (
	"context"
	"fmt"
	"strings"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/oauthdb/oauthdb/db"
)

// Options say where to report. The zero value reports to the global providers.
type Options struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	// Attributes are added to every span and measurement.
	Attributes []attribute.KeyValue
}

// Tracer is a pgx.QueryTracer, and traces batches, copies, preparation, connections and the wait for one as well.
type Tracer struct {
	otel *otelpgx.Tracer
}

var (
	_ pgx.QueryTracer       = (*Tracer)(nil)
	_ pgx.BatchTracer       = (*Tracer)(nil)
	_ pgx.CopyFromTracer    = (*Tracer)(nil)
	_ pgx.PrepareTracer     = (*Tracer)(nil)
	_ pgx.ConnectTracer     = (*Tracer)(nil)
	_ pgxpool.AcquireTracer = (*Tracer)(nil)
)

// NewTracer returns a tracer for db.Options.Tracer, or the Tracer of a pgx config.
func NewTracer(opts Options) *Tracer {
	options := []otelpgx.Option{
		otelpgx.WithSpanNameCtxFunc(spanName),
		otelpgx.WithMetricOperationName(operationName),
		otelpgx.WithDisableSQLStatementInAttributes(),
	}
	if opts.TracerProvider != nil {
		options = append(options, otelpgx.WithTracerProvider(opts.TracerProvider))
	}
	if opts.MeterProvider != nil {
		options = append(options, otelpgx.WithMeterProvider(opts.MeterProvider))
	}
	if len(opts.Attributes) > 0 {
		options = append(options, otelpgx.WithTracerAttributes(opts.Attributes...), otelpgx.WithMeterAttributes(opts.Attributes...))
	}
	return &Tracer{otel: otelpgx.NewTracer(options...)}
}

// RecordStats reports the statistics of a pool, its connections and the waits for them, whenever the meter provider collects,
// but at most once a second. It does so until the provider is shut down, so call it once for each pool.
func RecordStats(pool *pgxpool.Pool, opts Options) error {
	var options []otelpgx.StatsOption
	if opts.MeterProvider != nil {
		options = append(options, otelpgx.WithStatsMeterProvider(opts.MeterProvider))
	}
	if len(opts.Attributes) > 0 {
		options = append(options, otelpgx.WithStatsAttributes(opts.Attributes...))
	}
	if err := otelpgx.RecordStats(pool, options...); err != nil {
		return fmt.Errorf("dbotel: %w", err)
	}
	return nil
}

// operationName is the name of the call, or else one of the keywords below: it never holds a part of a statement.
func operationName(ctx context.Context, sql string) string {
	if name := db.QueryName(sql); name != "" {
		return name
	}
	word := otelpgx.SQLOperationName(ctx, sql) // up to the first space, in upper case
	if i := strings.IndexFunc(word, func(r rune) bool { return r < 'A' || r > 'Z' }); i >= 0 {
		word = word[:i]
	}
	if _, ok := keywords[word]; ok {
		return word
	}
	return "UNKNOWN"
}

// keywords begin statements.
var keywords = func() map[string]struct{} {
	set := make(map[string]struct{})
	for word := range strings.FieldsSeq(`
		ABORT ALTER ANALYZE BEGIN CALL CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DISCARD DO DROP END
		EXECUTE EXPLAIN FETCH GRANT INSERT LISTEN LOCK MERGE MOVE NOTIFY PREPARE REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK
		SAVEPOINT SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH`) {
		set[word] = struct{}{}
	}
	return set
}()

type preparing struct{}

func spanName(ctx context.Context, sql string) string {
	name := operationName(ctx, sql)
	if ctx.Value(preparing{}) != nil {
		return "prepare " + name
	}
	return name
}

// safe is an error with nothing in its text that a trace may not have. Whoever looks inside still finds the SQLSTATE.
type safe struct{ err error }

func (e *safe) Error() string { return db.Describe(e.err) }
func (e *safe) Unwrap() error { return e.err }

func safely(err error) error {
	if err == nil || db.Describe(err) == err.Error() {
		return err
	}
	return &safe{err}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *Tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	data.Args = nil
	return t.otel.TraceQueryStart(ctx, conn, data)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *Tracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	data.Err = safely(data.Err)
	t.otel.TraceQueryEnd(ctx, conn, data)
}

// TraceBatchStart implements pgx.BatchTracer.
func (t *Tracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	return t.otel.TraceBatchStart(ctx, conn, data)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t *Tracer) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	data.Args = nil
	data.Err = safely(data.Err)
	t.otel.TraceBatchQuery(ctx, conn, data)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (t *Tracer) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	data.Err = safely(data.Err)
	t.otel.TraceBatchEnd(ctx, conn, data)
}

// TraceCopyFromStart implements pgx.CopyFromTracer.
func (t *Tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return t.otel.TraceCopyFromStart(ctx, conn, data)
}

// TraceCopyFromEnd implements pgx.CopyFromTracer.
func (t *Tracer) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromEndData) {
	data.Err = safely(data.Err)
	t.otel.TraceCopyFromEnd(ctx, conn, data)
}

// TracePrepareStart implements pgx.PrepareTracer.
func (t *Tracer) TracePrepareStart(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareStartData) context.Context {
	return t.otel.TracePrepareStart(context.WithValue(ctx, preparing{}, true), conn, data)
}

// TracePrepareEnd implements pgx.PrepareTracer.
func (t *Tracer) TracePrepareEnd(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareEndData) {
	data.Err = safely(data.Err)
	t.otel.TracePrepareEnd(ctx, conn, data)
}

// TraceConnectStart implements pgx.ConnectTracer.
func (t *Tracer) TraceConnectStart(ctx context.Context, data pgx.TraceConnectStartData) context.Context {
	return t.otel.TraceConnectStart(ctx, data)
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (t *Tracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	data.Err = safely(data.Err)
	t.otel.TraceConnectEnd(ctx, data)
}

// TraceAcquireStart implements pgxpool.AcquireTracer.
func (t *Tracer) TraceAcquireStart(ctx context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireStartData) context.Context {
	return t.otel.TraceAcquireStart(ctx, pool, data)
}

// TraceAcquireEnd implements pgxpool.AcquireTracer.
func (t *Tracer) TraceAcquireEnd(ctx context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	data.Err = safely(data.Err)
	t.otel.TraceAcquireEnd(ctx, pool, data)
}
