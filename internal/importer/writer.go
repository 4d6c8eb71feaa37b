package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// writers are the connections of an import, opened as they are needed.
type writers struct {
	pool    *pgxpool.Pool
	options Options
	opened  int
	free    chan *writer
	given   given
}

// writer writes records by a connection that is its own, or one by one by any of the pool's.
type writer struct {
	conn    *pgxpool.Conn // nil: any
	begin   db.TxBeginner
	options Options
	given   given
}

// take returns a writer that has nothing to do.
func (w *writers) take(ctx context.Context) (*writer, error) {
	if w.opened == w.options.Jobs {
		return <-w.free, nil
	}
	if w.free == nil {
		w.free = make(chan *writer, w.options.Jobs)
	}
	if w.options.OneByOne {
		w.opened++
		return &writer{begin: w.pool, options: w.options, given: w.given}, nil
	}
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET synchronous_commit TO off"); err != nil {
		conn.Release()
		return nil, err
	}
	w.opened++
	return &writer{conn: conn, begin: conn, options: w.options, given: w.given}, nil
}

func (w *writers) give(one *writer) { w.free <- one }

// close gives the connections back as they were. The last commit waits for the disk, and for standbys where the server is set up so: all
// commits before it are as durable then.
func (w *writers) close(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for n := range w.opened {
		one := <-w.free
		if one.conn == nil {
			continue
		}
		if _, failed := one.conn.Exec(ctx, "RESET synchronous_commit"); failed != nil {
			err = errors.Join(err, failed)
			one.conn.Conn().Close(ctx)
		} else if n == 0 && !w.options.DryRun {
			if _, failed := one.conn.Exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'oauthdb', 'imported')"); failed != nil {
				err = errors.Join(err, fmt.Errorf("waiting until all is on disk: %w", failed))
			}
		}
		one.conn.Release()
	}
	return err
}

// write writes records and says what became of each. An error is not about any of them.
func (w *writer) write(ctx context.Context, items []Item, before int64) ([]Result, error) {
	results := make([]Result, len(items))
	var blind []int
	for n, item := range items {
		results[n].Record = before + int64(n) + 1
		if item.Refused == nil && (item.Blind || item.Single) && w.conn != nil {
			blind = append(blind, n)
		}
	}
	var errs []error
	if len(blind) > 0 {
		var err error
		if errs, err = w.together(ctx, items, blind); err != nil {
			return nil, err
		}
	}
	for n, item := range items {
		if item.Refused != nil {
			results[n] = Result{Record: results[n].Record, Kind: item.Kind, ID: item.ID, Outcome: Refused, Reasons: []string{item.Refused.Error()}}
			continue
		}
		err := errNotSent
		if errs != nil {
			err = errs[n]
		}
		result, failed := judge(item, err, w.given)
		if failed != nil { // not sent, or it may do better by itself: after a deadlock, say
			err = one(ctx, w.begin, item, w.options.DryRun)
			result, failed = judge(item, err, w.given)
		}
		if item.Otherwise != nil && db.IsForeignKeyViolation(err) {
			item.Store = item.Otherwise
			result, failed = judge(item, one(ctx, w.begin, item, w.options.DryRun), w.given)
		}
		if failed != nil {
			return nil, failed
		}
		result.Record = results[n].Record
		results[n] = result
	}
	return results, nil
}

var errNotSent = errors.New("not sent")

// together sends some of the items, each as a transaction of its own, and then reads the answers. It returns an error for each item.
func (w *writer) together(ctx context.Context, items []Item, which []int) ([]error, error) {
	conn := w.conn.Conn()
	errs := make([]error, len(items))
	for n := range errs {
		errs[n] = errNotSent
	}
	type prepared struct {
		name  string
		query pgx.ExtendedQueryBuilder
	}
	sent, statements := make([]int, 0, len(which)), make([][]prepared, 0, len(which))
	for _, n := range which {
		r := recorder{waits: items[n].Single}
		if err := items[n].Store(ctx, store.New(&r)); items[n].Single != errors.Is(err, errNotAnswered) || err != nil && !items[n].Single {
			continue
		}
		all := make([]prepared, len(r.statements))
		var err error
		for i, s := range r.statements {
			var d *pgconn.StatementDescription
			if d, err = conn.Prepare(ctx, s.sql, s.sql); err != nil { // once a connection
				return nil, err
			}
			all[i].name = d.Name
			if err = all[i].query.Build(conn.TypeMap(), d, s.args); err != nil {
				break
			}
		}
		if err == nil {
			sent, statements = append(sent, n), append(statements, all)
		}
	}

	p := conn.PgConn().StartPipeline(ctx)
	command := func(sql string) { p.SendQueryParams(sql, nil, nil, nil, nil) }
	for _, all := range statements {
		if w.options.DryRun {
			command("BEGIN")
		}
		for i := range all {
			p.SendQueryPrepared(all[i].name, all[i].query.ParamValues, all[i].query.ParamFormats, nil)
		}
		p.SendPipelineSync() // commits, or ends what an error has broken off
		if w.options.DryRun {
			command("ROLLBACK")
			p.SendPipelineSync()
		}
	}
	err := p.Flush()
	given := make([]*answer, len(sent))
	for i := 0; err == nil && i < len(sent); i++ {
		given[i], errs[sent[i]], err = answers(p)
		if err == nil && w.options.DryRun {
			var failed error
			if _, failed, err = answers(p); err == nil {
				err = failed
			}
		}
	}
	if err = errors.Join(err, p.Close()); err != nil {
		return nil, err
	}
	for i, n := range sent {
		if items[n].Single {
			errs[n] = items[n].Store(ctx, store.New(&answered{Conn: conn, first: given[i], err: errs[n]}))
		}
	}
	return errs, nil
}

// answer is the last row that a statement has returned, in the formats of text.
type answer struct {
	fields []pgconn.FieldDescription
	values [][]byte
}

// answers reads what the server says up to the next synchronization, and returns its last row. The second error is the connection's.
func answers(p *pgconn.Pipeline) (row *answer, failed, broken error) {
	for {
		results, err := p.GetResults()
		switch r := results.(type) {
		case *pgconn.PipelineSync:
			return row, failed, nil
		case *pgconn.ResultReader:
			for r.NextRow() {
				row = &answer{slices.Clone(r.FieldDescriptions()), slices.Clone(r.Values())}
				for i, value := range row.values {
					row.values[i] = bytes.Clone(value)
				}
			}
			var tag pgconn.CommandTag
			if tag, err = r.Close(); err == nil && tag.RowsAffected() == 0 && (tag.Select() || tag.Insert() || tag.Update()) {
				err = pgx.ErrNoRows
			}
		}
		switch {
		case err == nil && results == nil:
			return nil, failed, errors.New("the server has answered less than it was asked")
		case err != nil && !errors.As(err, new(*pgconn.PgError)) && !errors.Is(err, pgx.ErrNoRows):
			return nil, failed, err
		case err != nil && failed == nil:
			failed = err
		}
	}
}

// answered has the answer to the first call of a Store. What it asks beside that goes to the server.
type answered struct {
	*pgx.Conn
	first *answer
	err   error
	asked bool
}

func (a *answered) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if a.asked {
		return a.Conn.QueryRow(ctx, sql, args...)
	}
	a.asked = true
	return known{a.TypeMap(), a.first, a.err}
}

// known is a row that has been read.
type known struct {
	types *pgtype.Map
	row   *answer
	err   error
}

func (k known) Scan(targets ...any) error {
	switch {
	case k.err != nil:
		return k.err
	case k.row == nil:
		return pgx.ErrNoRows
	}
	if len(targets) != len(k.row.values) {
		return fmt.Errorf("the row has %d columns, and %d are asked for", len(k.row.values), len(targets))
	}
	for i, target := range targets {
		if err := k.types.Scan(k.row.fields[i].DataTypeOID, pgtype.TextFormatCode, k.row.values[i], target); err != nil {
			return err
		}
	}
	return nil
}

// recorder keeps the calls of a Store instead of making them. Their answers are empty, or not there yet.
type recorder struct {
	waits      bool
	statements []statement
}

type statement struct {
	sql  string
	args []any
}

func (r *recorder) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	r.statements = append(r.statements, statement{sql, args})
	if r.waits {
		return notYet{}
	}
	return empty{}
}

var errNotBlind = errors.New("a call that answers other than with a row can't be sent with others")

func (*recorder) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, errNotBlind
}

func (*recorder) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errNotBlind }

type empty struct{}

func (empty) Scan(...any) error { return nil }

var errNotAnswered = errors.New("not answered yet")

type notYet struct{}

func (notYet) Scan(...any) error { return errNotAnswered }
