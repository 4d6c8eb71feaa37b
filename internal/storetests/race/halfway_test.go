package race

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

var allPairs = flag.Bool("pairs", false, "hold each grant half-way against each ending in all variants, not in a part of them")

// code is the SQLSTATE of an error, or "".
func code(err error) string {
	if e, found := errors.AsType[*pgconn.PgError](err); found {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// halfwayOrder says what of a grant and an ending is held open while the other runs.
type halfwayOrder int

const (
	grantOpen   halfwayOrder = iota // the grant has run and has not committed
	endingOpen                      // the ending has run and has not committed
	oldSnapshot                     // the grant's transaction has its snapshot from before the ending, and runs after it
)

func (o halfwayOrder) String() string {
	return [...]string{"the grant open", "the ending open", "an old snapshot"}[o]
}

// waiting is a statement that runs on a connection of its own while the test looks whether it waits.
type waiting struct {
	done   chan error
	waited bool
}

// besides runs do and returns when it is done or waits for somebody.
func (w *world) besides(c *pgxpool.Conn, do func() error) *waiting {
	w.Helper()
	x := &waiting{done: make(chan error, 1)}
	pid := w.Backend(c.Conn())
	res := make(chan error, 1)
	go func() { res <- do() }()
	for wait := 4 * time.Millisecond; ; wait = time.Millisecond {
		select {
		case err := <-res:
			x.done <- err
			return x
		case <-time.After(wait):
		}
		var blocked bool
		// for a row, that is: for the transaction that has it, and not for a page that another test is adding to the table
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE pid = `+pid+` AND NOT granted AND locktype IN ('transactionid', 'tuple'))`).Scan(&blocked))
		if blocked {
			x.waited = true
			x.done = res
			return x
		}
	}
}

// finish waits for the statement to return.
func (x *waiting) finish() error {
	select {
	case err := <-x.done:
		return err
	case <-time.After(20 * time.Second):
		return errors.New("doesn't return")
	}
}

// waits says whether one of the two waits for the other: where both write the same row (docs/locking.md).
func waits(g *grantAct, e *endAct, o halfwayOrder) bool {
	if o == oldSnapshot {
		return false
	}
	switch {
	case g.writes == "family" && e.family:
		return true
	case g.writes == "user" && e.writesUser:
		return true
	case g.writes == "session" && e.keeps, g.writes == "session" && e.session && e.name == "EndSession":
		return true
	case g.writes == "session" && e.session && o == endingOpen: // in the other order the ending skips the row
		return true
	case g.writes == "consent" && e.name == "WithdrawConsent" && o == endingOpen: // likewise
		return true
	case !e.deletes:
		return false
	}
	// Rows that are deleted by hand, and what the foreign keys do to the rest.
	switch {
	case g.writes == "session":
		return e.user || e.session
	case g.begins:
		return e.user
	case g.own:
		return e.client
	case g.consent, g.unbound:
		return e.user || e.client
	}
	return true
}

type halfwayResult struct {
	pairs, granted, refused, waited, serialization, foreignKey atomic.Int64
}

// halfway holds a grant half-way against an ending, in a scene of their own.
func (w *world) halfway(n *halfwayResult, g *grantAct, e *endAct, o halfwayOrder, iso pgx.TxIsoLevel, bound, tenant bool) {
	w.Helper()
	name := fmt.Sprintf("%s against %s, %s, %s, bound %t, in a tenant %t", g.name, e.name, o, iso, bound, tenant)
	s := w.newScene(bound, tenant)
	f := g.family(s)
	one, err := w.Pool.Acquire(w.Ctx)
	w.OK(err)
	defer one.Release()
	two, err := w.Pool.Acquire(w.Ctx)
	w.OK(err)
	defer two.Release()
	var gave granted
	grant := func(c conn) error {
		got, err := g.run(w.Ctx, c, s)
		if err == nil {
			gave = got
		}
		return err
	}
	end := func(c conn) error {
		out, err := e.run(w.Ctx, c, s, f)
		if err == nil && out != store.OutcomeEnded && out != store.OutcomeWithdrawn && out != store.OutcomeDeleted {
			err = fmt.Errorf("outcome %s", out)
		}
		return err
	}
	// in runs do in a transaction; a 40001, which asks for that, makes it try again.
	in := func(c *pgxpool.Conn, do func(conn) error, again bool) error {
		for {
			tx, err := c.BeginTx(w.Ctx, pgx.TxOptions{IsoLevel: iso})
			if err != nil {
				return err
			}
			if err = do(tx); err == nil {
				return tx.Commit(w.Ctx)
			}
			tx.Rollback(context.WithoutCancel(w.Ctx))
			if code(err) != "40001" || iso == pgx.ReadCommitted {
				return err
			}
			n.serialization.Add(1)
			if !again {
				return nil // it has granted nothing
			}
		}
	}
	// Another server's statement, or one that comes after a DELETE, may violate a foreign key.
	tolerate := func(err error) error {
		if code(err) == "23503" && g.want == "" && e.deletes {
			n.foreignKey.Add(1)
			return nil
		}
		return err
	}
	begin := func(c *pgxpool.Conn) pgx.Tx {
		tx, err := c.BeginTx(w.Ctx, pgx.TxOptions{IsoLevel: iso})
		w.OK(err)
		return tx
	}
	var waited bool
	switch o {
	case grantOpen:
		tx := begin(one)
		if err := grant(tx); err != nil {
			w.Errorf("%s: the grant: %v", name, err)
		}
		if gave.outcome != g.want {
			w.Errorf("%s: the grant: %s, want %s", name, gave.outcome, g.want)
		}
		x := w.besides(two, func() error { return in(two, end, true) })
		w.OK(tx.Commit(w.Ctx))
		waited = x.waited
		if err := x.finish(); err != nil {
			w.Errorf("%s: the ending: %v", name, err)
		}
	case endingOpen:
		tx := begin(one)
		if err := end(tx); err != nil {
			w.Errorf("%s: the ending: %v", name, err)
		}
		x := w.besides(two, func() error { return in(two, grant, false) })
		w.OK(tx.Commit(w.Ctx))
		waited = x.waited
		if err := tolerate(x.finish()); err != nil {
			w.Errorf("%s: the grant: %v", name, err)
		}
	case oldSnapshot:
		tx := begin(one)
		_, err := tx.Exec(w.Ctx, `SELECT FROM "user" LIMIT 1`)
		w.OK(err)
		if err := in(two, end, true); err != nil {
			w.Errorf("%s: the ending: %v", name, err)
		}
		if err := grant(tx); err != nil {
			tx.Rollback(w.Ctx)
			if err = tolerate(err); err != nil && code(err) != "40001" {
				w.Errorf("%s: the grant: %v", name, err)
			}
		} else {
			w.OK(tx.Commit(w.Ctx))
		}
	}
	n.pairs.Add(1)
	if gave.outcome == g.want && gave != (granted{}) {
		n.granted.Add(1)
	} else {
		n.refused.Add(1)
		gave = granted{}
	}
	if waited {
		n.waited.Add(1)
	}
	if want := waits(g, e, o); waited != want {
		w.Errorf("%s: waits %t, want %t", name, waited, want)
	}
	alive := w.alive(s, gave)
	switch {
	case e.ends(g, s):
		if len(alive) > 0 {
			w.Errorf("%s: alive after the ending: %s", name, strings.Join(alive, ", "))
		}
	case gave != (granted{}) && len(alive) == 0:
		w.Errorf("%s: dead, although the ending doesn't end it", name)
	}
	if o != oldSnapshot && !e.ends(g, s) && gave == (granted{}) {
		// refused although the ending doesn't concern it
		if !(e.deletes || e.session || e.client || e.user || waited && iso == pgx.RepeatableRead) {
			w.Errorf("%s: refused, although the ending doesn't end it", name)
		}
	}
}

// TestRaceGrantsHeldHalfway holds each grant half-way against each ending: what a statement granted that had read before the ending
// committed is dead afterwards, and neither waits for the other but where both write the same row.
func TestRaceGrantsHeldHalfway(t *testing.T) {
	t.Parallel()
	const workers = 4
	w := newRaceWorld(t, 3*workers)
	var jobs []func()
	var n halfwayResult
	variant := 0
	for gi := range grantActs {
		for ei := range endActs {
			g, e := &grantActs[gi], &endActs[ei]
			if e.needs != nil && !e.needs(g.family(&scene{})) {
				if f := g.family(&scene{pending: "x", approved: "x", coded: family{id: "x"}, at: family{id: "x", refresh: "x"}, rotated: family{id: "x", refresh: "x"}, foreign: family{id: "x", refresh: "x"}}); !e.needs(f) {
					continue
				}
			}
			for oi, at := range []struct {
				o   halfwayOrder
				iso pgx.TxIsoLevel
			}{
				{grantOpen, pgx.ReadCommitted}, {endingOpen, pgx.ReadCommitted}, {grantOpen, pgx.RepeatableRead}, {endingOpen, pgx.RepeatableRead}, {oldSnapshot, pgx.RepeatableRead},
			} {
				for _, bound := range []bool{true, false} {
					variant++
					if !*allPairs && bound != ((gi+ei+oi)%2 == 0) {
						continue // half of them: bound or not, in turn
					}
					tenant := variant%3 == 0
					jobs = append(jobs, func() { w.halfway(&n, g, e, at.o, at.iso, bound, tenant) })
				}
			}
		}
	}
	ch := make(chan func())
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for job := range ch {
				fixture.Together(job) // in a goroutine of its own, which a fatal error ends
			}
		})
	}
	for _, job := range jobs {
		ch <- job
	}
	close(ch)
	done.Wait()
	t.Logf("%d pairs: %d granted, %d refused; %d waited; %d serialization failures, %d foreign keys of another server's statements",
		n.pairs.Load(), n.granted.Load(), n.refused.Load(), n.waited.Load(), n.serialization.Load(), n.foreignKey.Load())
}
