// Package cells spreads an authorization server over several PostgreSQL clusters, for who outgrows one machine. docs/cells.md says when one
// needs that, and how to set it up.
//
// A cell is a cluster, or one realm of a cluster, with all tables of oauthdb. A user, with all that it was granted, lives in one cell.
// Every call of package store is about one user and one client, so it runs in a cell as it does elsewhere. What is new is to find the cell:
//
//   - A credential says it by its prefix. Each cell has a token.Scheme of its own, and [Cells.Of] returns the cell of what is presented.
//   - A client's own tokens, its assertions and user codes have no user yet: [Cells.For] chooses a cell by a key, the same on every server.
//   - An e-mail address can be anywhere: [First] asks all cells at once.
//   - What concerns all users, such as RevokeClientAuthorizations or DeleteClient, is done in each cell: [Cells.Each].
//
// A cell that is down fails the calls that are about it, and no others.
package cells

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Cell is where users live, with all that they were granted.
type Cell struct {
	// Name is the vendor of the cell's credentials (token.NewScheme): 2 to 16 lower-case letters and digits, a letter first.
	Name string
	// Store is on a pool of the cell's cluster.
	Store *store.Queries
}

// Scheme mints and parses the credentials of the cell.
func (c Cell) Scheme() token.Scheme {
	s, err := token.NewScheme(c.Name)
	if err != nil {
		panic("cells: " + c.Name + ": " + err.Error()) // New has refused it
	}
	return s
}

// Error is what a call in one of the cells has failed with.
type Error struct {
	Cell string // its name
	Err  error
}

func (e *Error) Error() string { return "cell " + e.Cell + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// ErrUnknown says that a credential is of none of the cells. To the client it means what an unknown token means.
var ErrUnknown = errors.New("cells: the credential is of no cell")

// DefaultMoveWait is Options.MoveWait where that is zero.
const DefaultMoveWait = 5 * time.Second

// Options are those of [New].
type Options struct {
	// MoveWait is how long [Cells.Do] waits for a cell that is being moved. Zero means [DefaultMoveWait], a negative value not at all.
	MoveWait time.Duration
}

// Cells are all cells of a deployment. Methods may be called by any number of goroutines.
type Cells struct {
	wait time.Duration

	mu    sync.RWMutex
	cells map[string]Cell
	moved chan struct{} // closed when a cell is replaced
}

// New returns the cells. Every server has to have the same.
func New(opts Options, cells ...Cell) (*Cells, error) {
	c := &Cells{wait: max(0, cmp.Or(opts.MoveWait, DefaultMoveWait)), cells: map[string]Cell{}, moved: make(chan struct{})}
	for _, cell := range cells {
		if _, err := token.NewScheme(cell.Name); err != nil {
			return nil, fmt.Errorf("cells: %q: %w", cell.Name, err)
		}
		if _, again := c.cells[cell.Name]; again {
			return nil, fmt.Errorf("cells: there are two of the name %s", cell.Name)
		}
		if cell.Store == nil {
			return nil, fmt.Errorf("cells: %s has no store", cell.Name)
		}
		c.cells[cell.Name] = cell
	}
	if len(c.cells) == 0 {
		return nil, errors.New("cells: there is none")
	}
	return c, nil
}

// Of returns the cell of a presented credential, and its kind. The error is [ErrUnknown]. That there is such a cell says nothing about whether the
// credential was ever issued: parse it with the Scheme of the cell, and ask.
func (c *Cells) Of(presented string) (Cell, token.Kind, error) {
	scheme, kind, ok := token.SchemeOf(presented)
	if !ok {
		return Cell{}, 0, ErrUnknown
	}
	cell, ok := c.Named(scheme.Vendor())
	if !ok {
		return Cell{}, 0, ErrUnknown
	}
	return cell, kind, nil
}

// Named returns the cell of a name.
func (c *Cells) Named(name string) (Cell, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	cell, ok := c.cells[name]
	return cell, ok
}

// All returns the cells in the order of their names.
func (c *Cells) All() []Cell {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.SortedFunc(maps.Values(c.cells), func(a, b Cell) int { return cmp.Compare(a.Name, b.Name) })
}

// For chooses a cell by a key: a client_id, where a client acts for itself or presents an assertion; a user code; the id of a new user, if users are
// spread evenly. Of two servers with the same cells, each chooses the same. A cell that is added takes over its share of the keys, and leaves
// the rest where it was (rendezvous hashing). What was written by a key stays where it is, so a cell is added before it is needed.
func (c *Cells) For(key string) Cell {
	var chosen Cell
	var most uint64
	for _, cell := range c.All() {
		h := fnv.New64a()
		h.Write([]byte(cell.Name))
		h.Write([]byte{0})
		h.Write([]byte(key))
		if weight := mix(h.Sum64()); chosen.Store == nil || weight > most {
			chosen, most = cell, weight
		}
	}
	return chosen
}

// mix spreads the bits of a hash whose last bytes change little (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Each calls do for each cell, for all at once, and returns when all have returned. The error joins an [Error] for each cell in which do has
// failed; errors.As finds the first. A cell that fails stops no other: do it again when the cell is back. Calls that end something may be repeated.
func (c *Cells) Each(ctx context.Context, do func(ctx context.Context, cell Cell) error) error {
	all := c.All()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, cell := range all {
		wg.Go(func() {
			if err := do(ctx, cell); err != nil {
				errs[i] = &Error{Cell: cell.Name, Err: err}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// First asks all cells at once for what one of them has, such as the user of an e-mail address, and returns the answer with the cell. find returns
// pgx.ErrNoRows where there is nothing. If no cell has it, and one could not be asked, the error is that [Error]: nobody knows.
// If two cells have it, the first by name counts.
func First[T any](ctx context.Context, c *Cells, find func(ctx context.Context, q *store.Queries) (T, error)) (T, Cell, error) {
	all := c.All()
	type answer struct {
		value T
		err   error
	}
	answers := make([]answer, len(all))
	var wg sync.WaitGroup
	for i, cell := range all {
		wg.Go(func() { answers[i].value, answers[i].err = find(ctx, cell.Store) })
	}
	wg.Wait()
	var none, failed error
	for i, a := range answers {
		switch {
		case a.err == nil:
			return a.value, all[i], nil
		case db.IsNotFound(a.err):
			none = a.err
		case failed == nil:
			failed = &Error{Cell: all[i].Name, Err: a.err}
		}
	}
	var zero T
	if failed != nil {
		return zero, Cell{}, failed
	}
	return zero, Cell{}, none
}

// Replace puts another store in the place of a cell's: the one on the cluster to which the cell has moved. Calls of [Cells.Do] that wait for the
// move go on there.
func (c *Cells) Replace(cell Cell) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.cells[cell.Name]; !ok || cell.Store == nil {
		return fmt.Errorf("cells: there is no cell %s to replace, or no store for it", cell.Name)
	}
	c.cells[cell.Name] = cell
	close(c.moved)
	c.moved = make(chan struct{})
	return nil
}

// insufficientPrivilege is what a statement fails with at a cell whose tables are closed for a move.
const insufficientPrivilege = "42501"

// Do calls do with the store of a cell. If the cell is closed because it is being moved (SQLSTATE 42501; docs/cells.md), do has changed
// nothing; it is called again once [Cells.Replace] has told where the cell is, if that happens within Options.MoveWait. do is one call
// of the store. The error is that of do.
func (c *Cells) Do(ctx context.Context, name string, do func(ctx context.Context, q *store.Queries) error) error {
	timeout := time.NewTimer(c.wait)
	defer timeout.Stop()
	for {
		c.mu.RLock()
		cell, ok := c.cells[name]
		moved := c.moved
		c.mu.RUnlock()
		if !ok {
			return ErrUnknown
		}
		err := do(ctx, cell.Store)
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != insufficientPrivilege {
			return err
		}
		select {
		case <-moved:
		case <-timeout.C:
			return err
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}
