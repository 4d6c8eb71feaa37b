package db

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// Observation is what a call of package store has come to. It holds no token, digest or secret.
type Observation struct {
	// Call is the name of the call, such as RotateRefreshToken. There is a fixed number of them.
	Call string
	// Outcome is what the call has decided. It is empty for calls that don't decide, and if there is an error.
	Outcome store.Outcome
	// Err is what the call has returned, pgx.ErrNoRows included. [Describe] has a text that holds no values; [Cause] a word for it.
	Err error
	// Elapsed is the time from the call until its last row was read.
	Elapsed time.Duration

	// Client, User and Authorization are ids that the answer holds. Client is else the client_id that the call was given, unless it is
	// unknown or the client isn't authenticated: what somebody claims to be isn't here.
	Client        store.ClientID
	User          store.UserID
	Authorization store.AuthorizationID
}

// Observe returns a store.DBTX that makes calls on another one, and tells see what each has come to. see is called by the goroutine that
// made the call, so it has to be quick. Statements that aren't calls of package store, and other sqlc queries, pass unobserved.
//
//	queries := store.New(db.Observe(pool, metrics.See, db.LogSecurity(slog.Default())))
//
// Of calls in a transaction, which store.Queries.WithTx makes past it, see store.New(db.Observe(tx, ...)).
func Observe(on store.DBTX, see ...func(context.Context, Observation)) store.DBTX {
	return &observed{DBTX: on, see: see}
}

type observed struct {
	store.DBTX
	see []func(context.Context, Observation)
}

// observation is a call that is under way.
type observation struct {
	Observation
	of    *observed
	ctx   context.Context
	args  []any
	began time.Time
}

func (o *observed) begin(ctx context.Context, sql string, args []any) *observation {
	name := QueryName(sql)
	if !calls()[name] {
		return nil
	}
	return &observation{of: o, ctx: ctx, args: args, began: time.Now(), Observation: Observation{Call: name}}
}

// read takes what is known of a row: by the types of its columns, as each kind of id has a type of its own.
func (o *observation) read(dest []any) {
	for _, d := range dest {
		switch d := d.(type) {
		case *store.Outcome:
			o.Outcome = *d
		case *store.ClientID:
			o.Client = *d
		case **store.ClientID:
			set(&o.Client, *d)
		case *store.UserID:
			o.User = *d
		case **store.UserID:
			set(&o.User, *d)
		case *store.AuthorizationID:
			o.Authorization = *d
		case **store.AuthorizationID:
			set(&o.Authorization, *d)
		}
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// unverified are the outcomes of calls that don't know who has called.
var unverified = []store.Outcome{"", store.OutcomeUnauthenticated, store.OutcomeUnknown}

func (o *observation) end(err error) {
	o.Elapsed, o.Err = time.Since(o.began), err
	if err != nil {
		o.Outcome, o.Client, o.User, o.Authorization = "", "", "", ""
	}
	if o.Client == "" && !slices.Contains(unverified, o.Outcome) {
		for _, arg := range o.args {
			if client, ok := arg.(store.ClientID); ok {
				o.Client = client
			}
		}
	}
	for _, see := range o.of.see {
		see(o.ctx, o.Observation)
	}
}

// Exec implements [store.DBTX].
func (o *observed) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	tag, err := o.DBTX.Exec(ctx, sql, args...)
	if w := o.begin(ctx, sql, args); w != nil {
		w.end(err)
	}
	return tag, err
}

// Query implements [store.DBTX].
func (o *observed) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	w := o.begin(ctx, sql, args)
	rows, err := o.DBTX.Query(ctx, sql, args...)
	switch {
	case w == nil:
	case err != nil:
		w.end(err)
	default:
		rows = &observedRows{Rows: rows, w: w}
	}
	return rows, err
}

// QueryRow implements [store.DBTX].
func (o *observed) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	w := o.begin(ctx, sql, args)
	row := o.DBTX.QueryRow(ctx, sql, args...)
	if w == nil {
		return row
	}
	return &observedRow{row, w}
}

type observedRow struct {
	pgx.Row
	w *observation
}

func (r *observedRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	if err == nil {
		r.w.read(dest)
	}
	r.w.end(err)
	return err
}

// observedRows are those of a call that returns many. The ids of one of many say nothing.
type observedRows struct {
	pgx.Rows
	w     *observation
	ended bool
	err   error // of Scan
}

func (r *observedRows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.err = err
	}
	return err
}

func (r *observedRows) Close() {
	r.Rows.Close()
	if !r.ended {
		r.ended = true
		if err := r.Rows.Err(); err != nil {
			r.err = err
		}
		r.w.end(r.err)
	}
}

// Security says whether an outcome is a sign of an attack, or of a client or user who errs in the same way: something that is good once was
// presented again, or somebody has failed to prove something.
//
//   - replayed: a code or refresh token was used before. Its grant has ended.
//   - proof_replayed, spent: a proof, an assertion, or a code of a second factor was used before.
//   - unauthenticated, untrusted: a client's or an issuer's proof is wrong.
//   - mismatched: a verifier, redirect URI or key is not that of the grant, or a code of a second factor is wrong.
//   - exhausted: somebody has tried too often.
//   - regressed: a passkey's counter has gone back, so there may be two of it.
func Security(outcome store.Outcome) bool {
	return slices.Contains(securityOutcomes, outcome)
}

var securityOutcomes = []store.Outcome{
	store.OutcomeReplayed, store.OutcomeProofReplayed, store.OutcomeSpent, store.OutcomeUnauthenticated, store.OutcomeUntrusted,
	store.OutcomeMismatched, store.OutcomeExhausted, store.OutcomeRegressed,
}

// LogSecurity returns a function for [Observe] that logs the outcomes that [Security] names, as warnings. A record has the call, the outcome
// and ids, but no credential and no digest. logger must not be nil.
func LogSecurity(logger *slog.Logger) func(context.Context, Observation) {
	return func(ctx context.Context, o Observation) {
		if !Security(o.Outcome) {
			return
		}
		attrs := []slog.Attr{slog.String("call", o.Call), slog.String("outcome", string(o.Outcome))}
		for _, id := range []struct{ name, is string }{
			{"client_id", string(o.Client)},
			{"user_id", string(o.User)},
			{"authorization_id", string(o.Authorization)},
		} {
			if id.is != "" {
				attrs = append(attrs, slog.String(id.name, id.is))
			}
		}
		logger.LogAttrs(ctx, slog.LevelWarn, "security", attrs...)
	}
}

// Cause is a word for the kind of an error, for metrics: "" for none, "not_found", "canceled", "timeout", "conflict", "refused" for a
// violated constraint or a parameter that can't be taken, "unavailable" for a
// database that can't be reached, and "other".
func Cause(err error) string {
	switch {
	case err == nil:
		return ""
	case IsNotFound(err):
		return "not_found"
	case IsCanceled(err):
		return "canceled"
	case IsTimeout(err):
		return "timeout"
	case isConflict(err):
		return "conflict"
	case IsTransient(err):
		return "unavailable"
	case IsUnstorable(err), IsInvalidParameter(err), IsUniqueViolation(err), IsForeignKeyViolation(err), IsCheckViolation(err), IsNotNullViolation(err):
		return "refused"
	}
	return "other"
}
