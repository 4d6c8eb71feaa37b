package race

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// moment is when something was granted: by which call of a mix, until when by the test's clock, which counts, and what the statement
// could see at its end, where that was asked.
type moment struct {
	worker, step int
	end          int64
	snapshot     string
}

type mixGrant struct {
	act  *grantAct
	gave granted
	moment
}

type mixEnd struct {
	act          *endAct
	family       family
	worker, step int
	begin        int64
	xid          string
}

// mix is a few calls on one scene at the same time.
type mix struct {
	*world
	s      *scene
	clock  atomic.Int64
	mu     sync.Mutex
	log    []string
	grants []mixGrant
	ends   []mixEnd
	undoes map[string]bool // "ReinstateUser", "EnableClient"
}

var mixCollectors = map[string]func(ctx context.Context, q *store.Queries) error{
	"MarkDeadAuthorizations": func(ctx context.Context, q *store.Queries) error {
		_, err := q.MarkDeadAuthorizations(ctx, store.MarkDeadAuthorizationsParams{PageSize: 1000})
		return err
	},
	"MarkEndedSessions": func(ctx context.Context, q *store.Queries) error {
		_, err := q.MarkEndedSessions(ctx, store.MarkEndedSessionsParams{PageSize: 1000})
		return err
	},
	"SweepSessionClients": func(ctx context.Context, q *store.Queries) error {
		_, err := q.SweepSessionClients(ctx, store.SweepSessionClientsParams{PageSize: 1000})
		return err
	},
	"DeleteDeadConsents": func(ctx context.Context, q *store.Queries) error {
		_, err := q.DeleteDeadConsents(ctx, store.DeleteDeadConsentsParams{PageSize: 1000})
		return err
	},
	"DeleteDeadAccessTokens": func(ctx context.Context, q *store.Queries) error {
		_, err := q.DeleteDeadAccessTokens(ctx, store.DeleteDeadAccessTokensParams{PageSize: 1000})
		return err
	},
	"DeleteExpiredSessions": func(ctx context.Context, q *store.Queries) error {
		_, err := q.DeleteExpiredSessions(ctx, store.DeleteExpiredSessionsParams{BatchSize: 100})
		return err
	},
	"DeleteExpiredAccessTokens": func(ctx context.Context, q *store.Queries) error {
		_, err := q.DeleteExpiredAccessTokens(ctx, store.DeleteExpiredAccessTokensParams{BatchSize: 100})
		return err
	},
	// With a retention of nothing a family that is dead would be gone before another server's half-finished rotation, which then
	// begins it anew: retention has to be longer than that takes.
	"DeleteEndedAuthorizations": func(ctx context.Context, q *store.Queries) error {
		_, err := q.DeleteEndedAuthorizations(ctx, store.DeleteEndedAuthorizationsParams{BatchSize: 100, Retention: time.Minute})
		return err
	},
	"EraseDeletedUsers": func(ctx context.Context, q *store.Queries) error {
		_, err := q.EraseDeletedUsers(ctx, store.EraseDeletedUsersParams{BatchSize: 100})
		return err
	},
	"EraseDeletedClients": func(ctx context.Context, q *store.Queries) error {
		_, err := q.EraseDeletedClients(ctx, store.EraseDeletedClientsParams{BatchSize: 100})
		return err
	},
}

// deleting lets one DELETE by hand run at a time: two of them may deadlock with each other, as TestDeletesByHandMayDeadlock shows.
var deleting sync.Mutex

var deleteSessions = endAct{
	name: "DELETE of all sessions", session: true, deletes: true,
	run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
		return ended(ctx, c, `DELETE FROM session WHERE user_id = $1`, s.user)
	},
}

// reuse is RotateRefreshToken of a token that another server spent.
var reuse = endAct{name: "reuse of a token that another server spent", pair: true, writesUser: true}

// permanent says whether what an ending ends is dead whatever came first.
func (m *mix) permanent(e *endAct) bool {
	switch e.name {
	case "RevokeAuthorization", "RevokeToken of a refresh token", "EndSession", "DELETE of the session", "DELETE of all sessions",
		"DeleteUser", "DELETE of the user", "DeleteClient", "DELETE of the client":
		return true
	case "SuspendUser":
		return !m.undoes["ReinstateUser"]
	case "DisableClient":
		return !m.undoes["EnableClient"]
	}
	return false
}

// step plays one act, chosen by chance. It returns an error that it must not have.
func (m *mix) step(c conn, worker, step int, inTx bool) (err error) {
	note := func(what string, v any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.log = append(m.log, fmt.Sprintf("%d.%d@%d %s: %v", worker, step, m.clock.Load(), what, v))
	}
	expected := func(act string, err error, foreign bool) error {
		if err == nil {
			return nil
		}
		note(act, err)
		if foreign && code(err) == "23503" { // a parent that is gone
			return errGone
		}
		return fmt.Errorf("%s: %w", act, err)
	}
	begin := m.clock.Add(1)
	switch n := rand.N(100); {
	case n < 50:
		g := &grantActs[rand.N(len(grantActs))]
		if rand.N(6) == 0 { // two servers that rotate one token
			g = grantNamed([]string{foreignRotatedByUs, "another server's rotation"}[rand.N(2)])
		}
		gave, err := g.run(m.Ctx, c, m.s)
		if err != nil {
			return expected(g.name, err, g.want == "")
		}
		snapshot := ""
		if inTx {
			if err := c.QueryRow(m.Ctx, `SELECT pg_current_snapshot()::text`).Scan(&snapshot); err != nil {
				return err
			}
		}
		note(g.name, gave)
		if gave.outcome == store.OutcomeReplayed && g.name == foreignRotatedByUs {
			xid := ""
			if inTx {
				if err := c.QueryRow(m.Ctx, `SELECT pg_current_xact_id()::text`).Scan(&xid); err != nil {
					return err
				}
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.ends = append(m.ends, mixEnd{&reuse, family{}, worker, step, begin, xid})
			return nil
		}
		switch gave.outcome {
		case g.want, store.OutcomeRetried, store.OutcomeActive:
			m.mu.Lock()
			defer m.mu.Unlock()
			m.grants = append(m.grants, mixGrant{g, gave, moment{worker, step, m.clock.Add(1), snapshot}})
		}
	case n < 85:
		e := &endActs[rand.N(len(endActs))]
		if e.deletes && rand.N(3) == 0 {
			e = &deleteSessions
		}
		fs := []family{m.s.coded, m.s.at, m.s.rotated, m.s.foreign, {id: m.s.pending}, {id: m.s.approved}}
		f := fs[rand.N(len(fs))]
		if e.needs != nil && !e.needs(f) {
			return nil
		}
		if e.deletes && !inTx { // those in transactions may deadlock anyway
			deleting.Lock()
		}
		out, err := e.run(m.Ctx, c, m.s, f)
		if e.deletes && !inTx {
			deleting.Unlock()
		}
		if err != nil {
			return expected(e.name, err, false)
		}
		xid := ""
		if inTx {
			if err := c.QueryRow(m.Ctx, `SELECT pg_current_xact_id()::text`).Scan(&xid); err != nil {
				return err
			}
		}
		note(e.name+" "+string(f.id), out)
		switch out {
		case store.OutcomeEnded, store.OutcomeWithdrawn, store.OutcomeDeleted:
			m.mu.Lock()
			defer m.mu.Unlock()
			m.ends = append(m.ends, mixEnd{e, f, worker, step, begin, xid})
		}
	case n < 88:
		out, err := store.New(c).ReinstateUser(m.Ctx, m.s.user)
		note("ReinstateUser", out)
		m.undo("ReinstateUser")
		return expected("ReinstateUser", err, false)
	case n < 91:
		out, err := store.New(c).EnableClient(m.Ctx, m.s.client)
		note("EnableClient", out)
		m.undo("EnableClient")
		return expected("EnableClient", err, false)
	default:
		for name, collect := range mixCollectors { // in no order
			err := collect(m.Ctx, store.New(c))
			note(name, "")
			return expected(name, err, false)
		}
	}
	return nil
}

func (m *mix) undo(call string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.undoes[call] = true
}

var errGone = fmt.Errorf("what another server refers to is gone")

// play lets workers go, each in autocommit or in a transaction of its own, and judges what is left.
func (m *mix) play(workers int, inTx bool, deadlocks *atomic.Int64) (checked, alive int) {
	m.Helper()
	var committed [8]int64 // by worker: when its transaction was committed
	calls := fixture.Times(workers, func(i int) {
		steps := 1 + rand.N(3)
		if !inTx {
			for j := range steps {
				if err := m.step(m.Pool, i, j, false); err != nil && err != errGone {
					m.Errorf("%v\n%s", err, m.story())
				}
			}
			committed[i] = 1
			return
		}
		tx, err := m.Pool.BeginTx(m.Ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
		if !m.Raced("BEGIN", err) {
			return
		}
		defer tx.Rollback(context.WithoutCancel(m.Ctx))
		for j := range steps {
			if err := m.step(tx, i, j, true); err != nil {
				if code(err) == "40P01" {
					deadlocks.Add(1)
				} else if err != errGone {
					m.Errorf("%v\n%s", err, m.story())
				}
				return
			}
		}
		if rand.N(5) == 0 {
			return // rolled back
		}
		if m.Raced("COMMIT", tx.Commit(m.Ctx)) {
			committed[i] = m.clock.Add(1)
		}
	})
	for i := range calls {
		calls[i] = soonerOrLater(calls[i])
	}
	fixture.Together(calls...)

	var grants []mixGrant
	for _, g := range m.grants {
		if committed[g.worker] > 0 {
			if inTx {
				g.end = committed[g.worker]
			}
			grants = append(grants, g)
		}
	}
	var ends []mixEnd
	for _, e := range m.ends {
		if committed[e.worker] > 0 {
			ends = append(ends, e)
		}
	}
	// what a grant's root is: what it began with, or itself
	roots := func(g mixGrant) (all []moment) {
		f := g.act.family(m.s)
		switch {
		case g.act.consent:
			for _, x := range grants { // merged: the youngest counts
				if x.act.consent {
					all = append(all, x.moment)
				}
			}
			return all
		case f.id == m.s.pending:
			for _, x := range grants {
				if x.act.family(m.s).id == m.s.pending && x.gave.outcome == store.OutcomeApproved {
					all = append(all, x.moment)
				}
			}
			return all
		case f.id != "", g.act.session && !g.act.begins:
			return []moment{{worker: -1}} // from before the round
		}
		return []moment{g.moment}
	}
	for _, g := range grants {
		live := m.alive(m.s, g.gave)
		alive += min(len(live), 1)
		for _, e := range ends {
			if e.act.family && e.family.id != g.act.family(m.s).id || !e.act.ends(g.act, m.s) {
				continue
			}
			if e.act.name == "DisableClient" && m.undoes["EnableClient"] {
				continue // the one ending that can be undone
			}
			dead := true
			if !m.permanent(e.act) {
				for _, root := range roots(g) {
					before := root.end <= e.begin && root.worker != e.worker || root.worker == e.worker && root.step < e.step
					if !before && root.snapshot != "" && root.worker != e.worker {
						var seen bool
						m.OK(m.Pool.QueryRow(m.Ctx, `SELECT pg_visible_in_snapshot($1::xid8, $2::pg_snapshot)`, e.xid, root.snapshot).Scan(&seen))
						before = !seen
					}
					dead = dead && before
				}
			}
			if dead {
				checked++
				if len(live) > 0 {
					m.Errorf("%s (%d.%d): alive after %s (%d.%d): %s\n%s", g.act.name, g.worker, g.step, e.act.name, e.worker, e.step, strings.Join(live, ", "), m.story())
				}
			}
		}
	}
	return checked, alive
}

func (m *mix) story() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("bound %t\n", m.s.bound) + strings.Join(m.log, "\n")
}

// raceMixes plays mixes of up to five calls or sequences of calls on one scene each.
func raceMixes(t *testing.T, w *world, rounds int, inTx bool) {
	t.Helper()
	var checked, alive int
	var deadlocks atomic.Int64
	for range rounds {
		m := &mix{world: w, s: w.newScene(rand.N(2) == 0, rand.N(2) == 0), undoes: map[string]bool{}}
		c, a := m.play(2+rand.N(4), inTx, &deadlocks)
		checked, alive = checked+c, alive+a
		w.Exec(`DELETE FROM session_client WHERE client_id = $1`, m.s.client)
		w.Exec(`DELETE FROM oauth_client WHERE client_id = $1`, m.s.client)
		w.Exec(`DELETE FROM "user" WHERE id = $1`, m.s.user)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d rounds: %d grants had to be dead and were judged, %d were alive; %d deadlocks", rounds, checked, alive, deadlocks.Load())
	if rounds >= 100 && (checked == 0 || alive == 0) {
		t.Errorf("nothing was judged")
	}
}

// TestRaceMixes plays calls at random, each in autocommit: no call fails, and nothing lives that an ending has ended.
func TestRaceMixes(t *testing.T) {
	t.Parallel()
	raceMixes(t, newRaceWorld(t, 7), roundsOf(1), false)
}

// TestRaceMixesInTransactions plays them in transactions that wrap several: these may deadlock, as in any database, and nothing else.
func TestRaceMixesInTransactions(t *testing.T) {
	t.Parallel()
	raceMixes(t, newLockWorld(t, 7), roundsOf(1), true)
}
