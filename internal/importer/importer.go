// Package importer takes over clients, users, consents and refresh tokens from files that other servers have exported, or from their
// databases. It reads record by record, writes each in a transaction of its own, and says of each what became of it. A record that is there already is left as it is, so an import
// that was interrupted goes on when it is run again.
//
// It decides nothing about what may be stored: the calls of package store and the constraints of the schema do.
package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// Kind is what a record is about, where a source has records of several kinds.
type Kind string

// The kinds of records, in the order in which they have to be written.
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
	// Key is the constraint that is violated if the record is there already.
	Key store.Constraint
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
	Skip   int64 // so many records of the file
	Jobs   int   // how many records are written at the same time; 0 is 1
	DryRun bool  // take back each record
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

// ahead is how many records a worker has in hand: those are written again if an import is stopped.
const ahead = 32

// Run writes the items, in their order but for a few at a time, and reports each in its order. An error of the iterator ends the import, as does
// one of the database that is not about the record; both are a *StoppedError.
func Run(ctx context.Context, pool db.TxBeginner, items iter.Seq2[Item, error], o Options, report func(Result)) (Summary, error) {
	var s Summary
	var batch []Item
	given := map[string]bool{} // what a dry run would have taken by now, for the records that need it
	o.Jobs = max(o.Jobs, 1)
	flush := func() error {
		results, err := write(ctx, pool, batch, s.Read-int64(len(batch)), o, given)
		if err != nil {
			return &StoppedError{Done: s.Read - int64(len(batch)), Err: err}
		}
		for _, r := range results {
			if o.DryRun && (r.Outcome == Taken || r.Outcome == Changed) && (r.Kind == ClientRecord || r.Kind == UserRecord) {
				given[string(r.Kind)+" "+r.ID] = true
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
		batch = batch[:0]
		return nil
	}
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
		if len(batch) > 0 && batch[0].Kind != item.Kind {
			if err := flush(); err != nil {
				return s, err
			}
		}
		s.Read++
		if s.Read <= o.Skip {
			continue
		}
		if batch = append(batch, item); len(batch) == o.Jobs*ahead {
			if err := flush(); err != nil {
				return s, err
			}
		}
	}
	return s, flush()
}

// write writes a few items at a time. An error is not about any of them.
func write(ctx context.Context, pool db.TxBeginner, batch []Item, before int64, o Options, given map[string]bool) ([]Result, error) {
	results, errs := make([]Result, len(batch)), make([]error, len(batch))
	var wg sync.WaitGroup
	for job := range min(o.Jobs, len(batch)) {
		wg.Go(func() {
			for n := job; n < len(batch); n += o.Jobs {
				results[n], errs[n] = one(ctx, pool, batch[n], o.DryRun, given)
				results[n].Record = before + int64(n) + 1
				if errs[n] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

var errDryRun = errors.New("dry run")

// one writes an item, and says what became of it. An error is not about the item.
func one(ctx context.Context, pool db.TxBeginner, item Item, dryRun bool, given map[string]bool) (Result, error) {
	r := Result{Kind: item.Kind, ID: item.ID, Outcome: Taken, Reasons: []string{}}
	refuse := func(reason string) (Result, error) {
		r.Outcome, r.Reasons = Refused, []string{reason}
		return r, nil
	}
	if item.Refused != nil {
		return refuse(item.Refused.Error())
	}
	err := db.InTx(ctx, pool, db.TxOptions{}, func(tx pgx.Tx) error {
		if err := item.Store(ctx, store.New(tx)); err != nil {
			return err
		}
		if dryRun {
			return errDryRun
		}
		return nil
	})
	var refused *refusal
	if dryRun && errors.As(err, &refused) && len(refused.missing) > 0 &&
		!slices.ContainsFunc(refused.missing, func(needed string) bool { return !given[needed] }) {
		err = errDryRun // it would be there by now
	}
	switch {
	case err == nil || errors.Is(err, errDryRun):
		if len(item.Notes) > 0 {
			r.Outcome, r.Reasons = Changed, item.Notes
		}
		return r, nil
	case item.Key != "" && db.Violates(err, item.Key) || errors.Is(err, errPresent):
		r.Outcome = Present
		return r, nil
	case errors.As(err, &refused):
		return refuse(refused.reason)
	case db.Violates(err, store.ConstraintUserEmailUIdx):
		return refuse("another user has the e-mail address")
	case db.IsUniqueViolation(err), db.IsCheckViolation(err), db.IsForeignKeyViolation(err), db.IsNotNullViolation(err),
		db.IsUnstorable(err), db.IsInvalidParameter(err):
		return refuse(db.Describe(err))
	}
	return r, err
}
