package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
		if item.Refused == nil && item.Blind && w.conn != nil {
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
		var r recorder
		if err := items[n].Store(ctx, store.New(&r)); err != nil {
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
	for i := 0; err == nil && i < len(sent); i++ {
		var outcome store.Outcome
		outcome, errs[sent[i]], err = answers(p)
		if answer := items[sent[i]].Answer; answer != nil && errs[sent[i]] == nil {
			errs[sent[i]] = answer(outcome)
		}
		if err == nil && w.options.DryRun {
			var failed error
			if _, failed, err = answers(p); err == nil {
				err = failed
			}
		}
	}
	return errs, errors.Join(err, p.Close())
}

// answers reads what the server says up to the next synchronization. outcome is the first column of the last row. The second error is the
// connection's.
func answers(p *pgconn.Pipeline) (outcome store.Outcome, failed, broken error) {
	for {
		results, err := p.GetResults()
		switch r := results.(type) {
		case *pgconn.PipelineSync:
			return outcome, failed, nil
		case *pgconn.ResultReader:
			for r.NextRow() {
				outcome = store.Outcome(r.Values()[0])
			}
			var tag pgconn.CommandTag
			if tag, err = r.Close(); err == nil && tag.RowsAffected() == 0 && (tag.Select() || tag.Insert() || tag.Update()) {
				err = pgx.ErrNoRows
			}
		}
		switch {
		case err == nil && results == nil:
			return "", failed, errors.New("the server has answered less than it was asked")
		case err != nil && !errors.As(err, new(*pgconn.PgError)) && !errors.Is(err, pgx.ErrNoRows):
			return "", failed, err
		case err != nil && failed == nil:
			failed = err
		}
	}
}

// recorder keeps the calls of a Store instead of making them. Their answers are empty.
type recorder struct{ statements []statement }

type statement struct {
	sql  string
	args []any
}

func (r *recorder) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	r.statements = append(r.statements, statement{sql, args})
	return empty{}
}

var errNotBlind = errors.New("a call that answers other than with a row can't be sent with others")

func (*recorder) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, errNotBlind
}

func (*recorder) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errNotBlind }

type empty struct{}

func (empty) Scan(...any) error { return nil }
