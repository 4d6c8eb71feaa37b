// Package importer takes over clients, users, consents and refresh tokens from files that other servers have exported, or from their
// databases. It reads record by record, writes each in a transaction of its own, and says of each what became of it. A record that is there
// already is left as it is, so an import that was interrupted goes on when it is run again.
//
// Records are sent to the server without waiting for the answer to the one before, and commits don't wait for the disk. At the end of an
// import, however it ends, one commit does; what was reported until then is durable from there on.
//
// It decides nothing about what may be stored: the calls of package store and the constraints of the schema do.
package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// Kind is what a record is about, where a source has records of several kinds.
type Kind string

// The kinds of records.
const (
	ClientRecord       Kind = "client"
	UserRecord         Kind = "user"
	ConsentRecord      Kind = "consent"
	RefreshTokenRecord Kind = "refresh token"
)

// Item is a record of a file or a database, read.
type Item struct {
	Kind  Kind     // what it is about; empty if the source has one kind alone. Items of a kind are written once those before them are
	ID    string   // client_id, the user's id, or both of a consent or a refresh token
	Notes []string // what is taken over otherwise than it stood there

	// Refused says why the record can't be taken; then there is no Store.
	Refused error
	// Store writes it, in a transaction.
	Store func(ctx context.Context, q *store.Queries) error
	// Blind says that Store makes calls that answer one row, and looks at no answer: then they are sent together.
	Blind bool
	// Single says that Store begins with one call that writes, and then reads at most: the call is sent with others, and Store is called
	// again with its answer.
	Single bool
	// Needs is what the record's foreign keys refer to, by kind and id, for a dry run.
	Needs []string
	// Key is the constraint that is violated if the record is there already.
	Key store.Constraint
	// Otherwise, if it is there, writes the record after Store has violated a foreign key. Missing says what it means if it finds no row.
	Otherwise func(ctx context.Context, q *store.Queries) error
	Missing   string
}

// refusal is an error of Store's that is about the record.
type refusal struct {
	reason  string
	missing []string // what has to be there first, by kind and id
}

func (r *refusal) Error() string { return r.reason }

// errPresent is an error of Store's: the record is there already.
var errPresent = errors.New("it is there already")

// Outcome is what became of a record.
type Outcome string

// What can become of a record.
const (
	Taken   Outcome = "taken"
	Changed Outcome = "changed" // taken, but not as it stood there
	Present Outcome = "present" // there before, and left as it is
	Refused Outcome = "refused"
)

// Result says what became of a record.
type Result struct {
	Record  int64 // its number in the file, from 1
	Kind    Kind
	ID      string
	Outcome Outcome
	Reasons []string
}

// Options say how to import.
type Options struct {
	Skip     int64 // so many records of the file
	Jobs     int   // how many connections write at the same time; 0 is 1
	DryRun   bool  // take back each record
	OneByOne bool  // wait for each record, and use nothing of a session: for PgBouncer
}

// Summary counts what became of records.
type Summary struct {
	Read                             int64 // records, with those that were skipped
	Taken, Changed, Present, Refused int64
}

// StoppedError says that the database, or the file, has stopped an import.
type StoppedError struct {
	Done int64 // records are done with: skip so many the next time
	Err  error
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("stopped after %d records: %v: run it again with -skip %d", e.Done, e.Err, e.Done)
}

func (e *StoppedError) Unwrap() error { return e.Err }

// inHand is how many records are sent together. So many for each job are written again if an import is killed.
const inHand = 64

// batch is some records in their order, on their way.
type batch struct {
	before  int64 // records of the file
	items   []Item
	results []Result
	err     error // not about any of them
	done    chan struct{}
}

// Run writes the items, in their order but for a few at a time, and reports each in its order. An error of the iterator ends the import, as does
// one of the database that is not about the record; both are a *StoppedError.
func Run(ctx context.Context, pool *pgxpool.Pool, items iter.Seq2[Item, error], o Options, report func(Result)) (s Summary, err error) {
	o.Jobs = max(o.Jobs, 1)
	writers := writers{pool: pool, options: o, given: given{}}
	var waiting []*batch
	next := &batch{}
	settle := func() error { // the oldest that is on its way
		b := waiting[0]
		waiting = waiting[1:]
		if <-b.done; b.err != nil {
			return &StoppedError{Done: b.before, Err: b.err}
		}
		for _, r := range b.results {
			if o.DryRun {
				writers.given.add(r)
			}
			switch r.Outcome {
			case Taken:
				s.Taken++
			case Changed:
				s.Changed++
			case Present:
				s.Present++
			case Refused:
				s.Refused++
			}
			report(r)
		}
		return nil
	}
	send := func() error {
		if len(waiting) == o.Jobs {
			if err := settle(); err != nil {
				return err
			}
		}
		b := next
		b.before, b.done = s.Read-int64(len(b.items)), make(chan struct{})
		next = &batch{}
		waiting = append(waiting, b)
		w, err := writers.take(ctx)
		if err != nil {
			b.err = err
			close(b.done)
			return nil // those before it come first
		}
		go func() {
			defer close(b.done)
			b.results, b.err = w.write(ctx, b.items, b.before)
			writers.give(w)
		}()
		return nil
	}
	flush := func() (err error) {
		if len(next.items) > 0 {
			err = send()
		}
		for err == nil && len(waiting) > 0 {
			err = settle()
		}
		return err
	}
	defer func() {
		for _, b := range waiting { // after an error
			<-b.done
		}
		if failed := writers.close(ctx); err == nil && failed != nil {
			err = &StoppedError{Err: failed}
		}
	}()
	for item, err := range items {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if failed := flush(); failed != nil {
				return s, failed
			}
			return s, &StoppedError{Done: s.Read, Err: err}
		}
		if len(next.items) > 0 && next.items[0].Kind != item.Kind || len(waiting) > 0 && waiting[0].items[0].Kind != item.Kind {
			if err := flush(); err != nil {
				return s, err
			}
		}
		s.Read++
		if s.Read <= o.Skip {
			continue
		}
		if next.items = append(next.items, item); len(next.items) == inHand {
			if err := send(); err != nil {
				return s, err
			}
		}
	}
	return s, flush()
}

var errDryRun = errors.New("dry run")

// given is what a dry run would have taken by now, for the records that need it: clients and users. It isn't written while others read it,
// because records of another kind wait.
type given map[string]bool

func (g given) add(r Result) {
	if (r.Kind == ClientRecord || r.Kind == UserRecord) && (r.Outcome == Taken || r.Outcome == Changed) {
		g[string(r.Kind)+" "+r.ID] = true
	}
}

// has says whether all that a record misses would be there by now.
func (g given) has(missing []string) bool {
	return len(missing) > 0 && !slices.ContainsFunc(missing, func(needed string) bool { return !g[needed] })
}

// judge says what became of a record that was written, or gave an error. One that is not about the record is returned.
func judge(item Item, err error, g given) (Result, error) {
	r := Result{Kind: item.Kind, ID: item.ID, Outcome: Taken, Reasons: []string{}}
	var refused *refusal
	if errors.As(err, &refused) && g.has(refused.missing) || db.IsForeignKeyViolation(err) && g.has(item.Needs) {
		err = errDryRun
	}
	refuse := func(reason string) (Result, error) {
		r.Outcome, r.Reasons = Refused, []string{reason}
		return r, nil
	}
	switch {
	case err == nil || errors.Is(err, errDryRun):
		if len(item.Notes) > 0 {
			r.Outcome, r.Reasons = Changed, item.Notes
		}
		return r, nil
	case item.Key != "" && db.Violates(err, item.Key), errors.Is(err, errPresent):
		r.Outcome = Present
		return r, nil
	case errors.As(err, &refused):
		return refuse(refused.reason)
	case errors.Is(err, pgx.ErrNoRows) && item.Missing != "":
		return refuse(item.Missing)
	case db.Violates(err, store.ConstraintUserEmailUIdx):
		return refuse("another user has the e-mail address")
	case db.IsUniqueViolation(err), db.IsCheckViolation(err), db.IsForeignKeyViolation(err), db.IsNotNullViolation(err),
		db.IsUnstorable(err), db.IsInvalidParameter(err):
		return refuse(db.Describe(err))
	}
	return r, err
}

// one writes an item, and waits for it.
func one(ctx context.Context, conn db.TxBeginner, item Item, dryRun bool) error {
	return db.InTx(ctx, conn, db.TxOptions{}, func(tx pgx.Tx) error {
		if err := item.Store(ctx, store.New(tx)); err != nil {
			return err
		}
		if dryRun {
			return errDryRun
		}
		return nil
	})
}
