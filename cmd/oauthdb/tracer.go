package main

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
)

// statement is what the tracer saw of one.
type statement struct {
	name string // as sqlc wrote it in front: the call's. Empty for any other statement.
	rows int64  // that it returned or, if it returns none, changed
}

// tracer notes every statement that a connection runs, so that a call can be held to its one. It sees neither parameters nor
// results.
type tracer struct {
	mu       sync.Mutex
	ran      []statement
	prepared int
}

var _ interface {
	pgx.QueryTracer
	pgx.BatchTracer
	pgx.CopyFromTracer
	pgx.PrepareTracer
} = (*tracer)(nil)

func (t *tracer) begin(sql string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ran = append(t.ran, statement{name: db.QueryName(sql)})
}

func (t *tracer) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.ran)
}

func (t *tracer) since(mark int) []statement {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]statement(nil), t.ran[mark:]...)
}

func (t *tracer) prepares() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.prepared
}

// TraceQueryStart implements [pgx.QueryTracer].
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.begin(data.SQL)
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer]. One connection, used by one goroutine: the last statement is the one that ends.
func (t *tracer) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ran[len(t.ran)-1].rows = data.CommandTag.RowsAffected()
}

// TraceBatchStart implements [pgx.BatchTracer].
func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (t *tracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t.begin(data.SQL)
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (t *tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceCopyFromStart implements [pgx.CopyFromTracer].
func (t *tracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	t.begin("COPY")
	return ctx
}

// TraceCopyFromEnd implements [pgx.CopyFromTracer].
func (t *tracer) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

// TracePrepareStart implements [pgx.PrepareTracer].
func (t *tracer) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return ctx
}

// TracePrepareEnd implements [pgx.PrepareTracer].
func (t *tracer) TracePrepareEnd(_ context.Context, _ *pgx.Conn, data pgx.TracePrepareEndData) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if data.Err == nil && !data.AlreadyPrepared {
		t.prepared++
	}
}
