package cells_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/db/cells"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// somewhere are cells whose stores are told apart, and never asked.
func somewhere(t *testing.T, o cells.Options, names ...string) *cells.Cells {
	t.Helper()
	all := make([]cells.Cell, len(names))
	for i, name := range names {
		all[i] = cells.Cell{Name: name, Store: store.New(nil)}
	}
	c, err := cells.New(o, all...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCellsThatCannotBe(t *testing.T) {
	t.Parallel()
	q := store.New(nil)
	for name, all := range map[string][]cells.Cell{
		"none":          {},
		"two of a name": {{Name: "eu1", Store: q}, {Name: "eu1", Store: q}},
		"no vendor":     {{Name: "EU-1", Store: q}},
		"no store":      {{Name: "eu1"}},
	} {
		if _, err := cells.New(cells.Options{}, all...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCredentialsSayTheirCell(t *testing.T) {
	t.Parallel()
	c := somewhere(t, cells.Options{}, "eu1", "us1", "odb")
	for _, cell := range c.All() {
		for _, kind := range []token.Kind{token.AccessToken, token.RefreshToken, token.AuthorizationCode, token.SessionToken} {
			got, of, err := c.Of(cell.Scheme().Mint(kind).Reveal())
			if err != nil || got != cell || of != kind {
				t.Errorf("%s, kind %v: %s, %v, %v", cell.Name, kind, got.Name, of, err)
			}
		}
	}
	other, err := token.NewScheme("ap1")
	if err != nil {
		t.Fatal(err)
	}
	for _, presented := range []string{"", "x", "eu1", "eu1_zz_abc", "EU1_at_abc", other.Mint(token.AccessToken).Reveal()} {
		if got, _, err := c.Of(presented); !errors.Is(err, cells.ErrUnknown) {
			t.Errorf("%q is of %q, %v", presented, got.Name, err)
		}
	}
}

// Keys are spread evenly, and a cell that is added takes its share from each of the others.
func TestKeysAreSpread(t *testing.T) {
	t.Parallel()
	const keys = 12000
	three, four := somewhere(t, cells.Options{}, "a1", "a2", "a3"), somewhere(t, cells.Options{}, "a4", "a3", "a2", "a1")
	count, moved := map[string]int{}, map[string]int{}
	for i := range keys {
		key := fmt.Sprint("client-", i)
		before, after := three.For(key), four.For(key)
		count[before.Name]++
		if after.Name != before.Name {
			moved[before.Name]++
			if after.Name != "a4" {
				t.Fatalf("%s has moved from %s to %s, which was there before", key, before.Name, after.Name)
			}
		}
	}
	for _, cell := range three.All() {
		if n := count[cell.Name]; n < keys/3*9/10 || n > keys/3*11/10 {
			t.Errorf("%s has %d of %d keys", cell.Name, n, keys)
		}
		if n := moved[cell.Name]; n < keys/12*8/10 || n > keys/12*12/10 {
			t.Errorf("%d of %d keys have moved from %s, want a quarter", n, count[cell.Name], cell.Name)
		}
	}
}

func TestEachCellIsCalledWhateverTheOthersDo(t *testing.T) {
	t.Parallel()
	c := somewhere(t, cells.Options{}, "a1", "a2", "a3")
	var called atomic.Int32
	down := errors.New("down")
	err := c.Each(t.Context(), func(_ context.Context, cell cells.Cell) error {
		called.Add(1)
		if cell.Name != "a2" {
			return fmt.Errorf("asked %s: %w", cell.Name, down)
		}
		return nil
	})
	if called.Load() != 3 {
		t.Errorf("%d cells were called", called.Load())
	}
	if want := "cell a1: asked a1: down\ncell a3: asked a3: down"; err == nil || err.Error() != want || !errors.Is(err, down) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	c := somewhere(t, cells.Options{}, "a1", "a2", "a3")
	all := c.All()
	find := func(answers ...error) func(context.Context, *store.Queries) (int, error) { // nil: it is here
		return func(_ context.Context, q *store.Queries) (int, error) {
			i := slices.IndexFunc(all, func(c cells.Cell) bool { return c.Store == q })
			return i + 1, answers[i]
		}
	}
	none, down := error(pgx.ErrNoRows), errors.New("down")
	for name, test := range map[string]struct {
		answers []error
		want    int
		err     error
	}{
		"in one":                      {answers: []error{none, nil, none}, want: 2},
		"in one, and another is down": {answers: []error{down, nil, none}, want: 2},
		"in two":                      {answers: []error{none, nil, nil}, want: 2},
		"in none":                     {answers: []error{none, none, none}, err: none},
		"nobody knows":                {answers: []error{none, none, down}, err: down},
	} {
		got, cell, err := cells.First(t.Context(), c, find(test.answers...))
		if test.err != nil {
			if !errors.Is(err, test.err) || got != 0 || cell.Store != nil {
				t.Errorf("%s: %d in %q, %v", name, got, cell.Name, err)
			}
			continue
		}
		if err != nil || got != test.want || cell != all[test.want-1] {
			t.Errorf("%s: %d in %q, %v", name, got, cell.Name, err)
		}
	}
}

func TestCallsWaitForACellThatMoves(t *testing.T) {
	t.Parallel()
	closed := fmt.Errorf("RotateRefreshToken: %w", &pgconn.PgError{Code: "42501", Message: "permission denied"})
	after := store.New(nil)
	refuse := func(at *store.Queries, calls *atomic.Int32) func(context.Context, *store.Queries) error {
		return func(_ context.Context, q *store.Queries) error {
			calls.Add(1)
			if q == at {
				return nil
			}
			return closed
		}
	}

	c := somewhere(t, cells.Options{MoveWait: time.Minute}, "a1", "a2")
	var calls atomic.Int32
	done := make(chan error)
	go func() { done <- c.Do(t.Context(), "a1", refuse(after, &calls)) }()
	for calls.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	other, _ := c.Named("a2")
	if err := c.Replace(other); err != nil { // that another cell moves doesn't help
		t.Error(err)
	}
	if err := c.Replace(cells.Cell{Name: "a1", Store: after}); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}

	for name, c := range map[string]*cells.Cells{
		"at once":     somewhere(t, cells.Options{MoveWait: -1}, "a1"),
		"after a bit": somewhere(t, cells.Options{MoveWait: time.Millisecond}, "a1"),
	} {
		if err := c.Do(t.Context(), "a1", refuse(after, &calls)); !errors.Is(err, closed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if err := c.Do(ctx, "a2", refuse(after, &calls)); !errors.Is(err, gone) || !errors.Is(err, closed) {
		t.Error(err)
	}
	failed := errors.New("failed")
	if err := c.Do(t.Context(), "a2", func(context.Context, *store.Queries) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := c.Do(t.Context(), "nowhere", refuse(after, &calls)); !errors.Is(err, cells.ErrUnknown) {
		t.Error(err)
	}
	if err := c.Replace(cells.Cell{Name: "nowhere", Store: after}); err == nil {
		t.Error("a cell that isn't there was replaced")
	}
}
