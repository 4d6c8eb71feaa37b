package race

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// wantAlive and wantAllDead fail the test unless what was granted is alive, or dead.
func (w *world) wantAlive(s *scene, what string, g granted) {
	w.Helper()
	if len(w.alive(s, g)) == 0 {
		w.Errorf("%s: dead, want alive", what)
	}
}

func (w *world) wantAllDead(s *scene, what string, g granted) {
	w.Helper()
	if alive := w.alive(s, g); len(alive) > 0 {
		w.Errorf("%s: alive: %v", what, alive)
	}
}

func grantNamed(name string) *grantAct {
	for i := range grantActs {
		if grantActs[i].name == name {
			return &grantActs[i]
		}
	}
	panic(name)
}

func endNamed(name string) *endAct {
	for i := range endActs {
		if endActs[i].name == name {
			return &endActs[i]
		}
	}
	panic(name)
}

// TestRaceTransactionsOfAGrantAndAnEnding lets two transactions of one user overlap that each grant and then end: none dies.
func TestRaceTransactionsOfAGrantAndAnEnding(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	for _, end := range []string{
		"RevokeUserAuthorizations", "RevokeUserAuthorizationsByClient", "WithdrawConsent", "EndUserSessions", "RevokeClientAuthorizations", "EndSession", "SuspendUser",
	} {
		for _, grant := range []string{"GrantAuthorization", "RotateRefreshToken", "RedeemAuthorizationCode", "CreateSession", "another server's refresh token"} {
			s := w.newScene(true, false)
			g, e := grantNamed(grant), endNamed(end)
			one, err := w.Pool.Begin(w.Ctx)
			w.OK(err)
			two, err := w.Pool.Begin(w.Ctx)
			w.OK(err)
			other := g
			if g.want != "" && g.name != "CreateSession" { // the same code or token would be waited for
				other = grantNamed("GrantAuthorization")
			}
			gave1, err := g.run(w.Ctx, one, s)
			w.Raced(grant, err)
			gave2, err := other.run(w.Ctx, two, s)
			w.Raced(other.name, err)
			_, err = e.run(w.Ctx, one, s, s.at)
			w.Raced(end, err)
			done := make(chan error)
			go func() {
				_, err := e.run(w.Ctx, two, s, s.at) // waits for the first
				if err == nil {
					err = two.Commit(w.Ctx)
				}
				done <- err
			}()
			time.Sleep(2 * time.Millisecond)
			w.OK(one.Commit(w.Ctx))
			if err := <-done; !w.Raced(end, err) {
				two.Rollback(w.Ctx)
			}
			if e.ends(g, s) {
				w.wantAllDead(s, grant+", then "+end, gave1)
				w.wantAllDead(s, other.name+", then "+end, gave2)
			}
		}
	}
}

// TestRaceNothingComesBackByReinstating suspends and reinstates a user while another server goes on issuing.
func TestRaceNothingComesBackByReinstating(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	for i := range roundsOf(10) {
		s := w.newScene(i%2 == 0, i%4 < 2)
		suspended, goOn := make(chan struct{}), make(chan struct{})
		var during []granted
		fixture.Together(func() {
			_, err := w.Q.SuspendUser(w.Ctx, s.user)
			w.Raced("SuspendUser", err)
			close(suspended)
			<-goOn
			_, err = w.Q.ReinstateUser(w.Ctx, s.user)
			w.Raced("ReinstateUser", err)
		}, func() {
			<-suspended
			defer close(goOn)
			for _, act := range []string{"another server's session", "another server's refresh token", "another server's tokens", "another server's access token", "another server's rotation"} {
				g, err := grantNamed(act).run(w.Ctx, w.Pool, s)
				w.Raced(act, err)
				if g.outcome == "" {
					during = append(during, g)
				}
			}
			if len(during) != 4 {
				t.Errorf("another server issued %v, and a suspended user's token was spent", during)
			}
		})
		for _, g := range append(during, granted{token: s.at.access, refresh: s.at.refresh}, granted{code: s.coded.code}, granted{session: s.session}, granted{refresh: s.foreign.refresh}) {
			w.wantAllDead(s, "from before or during the suspension", g)
		}
		g, err := grantNamed("another server's session").run(w.Ctx, w.Pool, s)
		w.Raced("INSERT", err)
		w.wantAlive(s, "a session after it", g)
	}
}

// TestRaceNothingComesBackUnderTheSameID deletes a user and a client by hand, with a grant half-way, and writes them again.
func TestRaceNothingComesBackUnderTheSameID(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	for _, what := range []string{"DELETE of the user", "DELETE of the client"} {
		for gi := range grantActs {
			g := &grantActs[gi]
			s := w.newScene(gi%2 == 0, false)
			if !endNamed(what).ends(g, s) {
				continue
			}
			c, err := w.Pool.Acquire(w.Ctx)
			w.OK(err)
			tx, err := w.Pool.Begin(w.Ctx)
			w.OK(err)
			gave, err := g.run(w.Ctx, tx, s)
			w.Raced(g.name, err)
			x := w.besides(c, func() error {
				if _, err := endNamed(what).run(w.Ctx, c, s, family{}); err != nil {
					return err
				}
				if what == "DELETE of the user" {
					_, err := c.Exec(w.Ctx, `INSERT INTO "user" (id, name) VALUES ($1, 'Eve')`, s.user)
					return err
				}
				_, err := c.Exec(w.Ctx, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ($1, $2, '{https://e.example/}')`, store.NewOAuthClientID(), s.client)
				return err
			})
			w.OK(tx.Commit(w.Ctx))
			w.Raced(what, x.finish())
			c.Release()
			w.wantAllDead(s, g.name+", "+what+", the same id again", gave)
		}
	}
}

// TestRaceCountersAtTheirLimit ends the grants of 256 clients, so that the map of counters is full, while a grant is half-way, and one
// more, which raises the user's epoch and empties the map; and once more the first: no grant comes back.
func TestRaceCountersAtTheirLimit(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	for _, name := range []string{"GrantAuthorization", "RotateRefreshToken", "GrantConsent", "another server's refresh token", "ApproveAuthorization"} {
		for _, before := range []int{0, 1, 254, 255, 256} { // counters at the grant
			s := w.newScene(false, false)
			w.Exec(`UPDATE "user" SET ended_grants = coalesce((SELECT jsonb_object_agg('other' || i, '{"": 1}'::jsonb) FROM generate_series(1, $2::integer) AS i), '{}') WHERE id = $1`, s.user, before)
			raise := func(n int) {
				for range n {
					_, err := w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: s.user, ClientID: store.NewClientID()})
					w.Raced("RevokeUserAuthorizationsByClient", err)
				}
			}
			tx, err := w.Pool.Begin(w.Ctx)
			w.OK(err)
			gave, err := grantNamed(name).run(w.Ctx, tx, s)
			w.Raced(name, err)
			_, err = w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: s.user, ClientID: s.client})
			w.Raced("RevokeUserAuthorizationsByClient", err)
			raise(2)
			if before%2 == 0 {
				_, err = w.Q.RevokeUserAuthorizations(w.Ctx, s.user) // empties the map
				w.Raced("RevokeUserAuthorizations", err)
			}
			raise(1)
			w.OK(tx.Commit(w.Ctx))
			w.wantAllDead(s, fmt.Sprintf("%s at %d counters", name, before), gave)
			var keys int
			w.OK(w.Pool.QueryRow(w.Ctx, `SELECT count(*) FROM "user" AS u, jsonb_each(u.ended_grants) AS c (client, keys), jsonb_object_keys(c.keys) WHERE u.id = $1`, s.user).Scan(&keys))
			if keys > 256 {
				t.Errorf("%d counters", keys)
			}
		}
	}
}

// TestRaceTwoClicksOnSignOutEverywhereElse: two calls that keep the same session keep it, two that keep different ones keep none.
func TestRaceTwoClicksOnSignOutEverywhereElse(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	click := func(c conn, s *scene, keep store.SessionID) error {
		_, err := store.New(c).EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: s.user, Keep: &keep})
		return err
	}
	for round := range roundsOf(5) {
		for _, same := range []bool{true, false} {
			s := w.newScene(true, false)
			second := s.session
			if !same {
				second = s.other
			}
			if round%2 == 0 { // the second waits for the first, which is open
				c, err := w.Pool.Acquire(w.Ctx)
				w.OK(err)
				tx, err := w.Pool.Begin(w.Ctx)
				w.OK(err)
				w.Raced("EndUserSessions", click(tx, s, s.session))
				x := w.besides(c, func() error { return click(c, s, second) })
				if !x.waited {
					t.Errorf("the second click doesn't wait for the first")
				}
				w.OK(tx.Commit(w.Ctx))
				w.Raced("EndUserSessions", x.finish())
				c.Release()
			} else {
				fixture.Together(func() { w.Raced("EndUserSessions", click(w.Pool, s, s.session)) }, func() { w.Raced("EndUserSessions", click(w.Pool, s, second)) })
			}
			if same {
				w.wantAlive(s, "the session that both keep", granted{session: s.session})
				w.wantAlive(s, "what was granted in it", granted{token: s.at.access})
			} else {
				w.wantAllDead(s, "the first session", granted{session: s.session, token: s.at.access})
				w.wantAllDead(s, "the second session", granted{session: s.other})
			}
		}
	}
}

// TestRaceForeignRotationWithAnEndingInBetween makes another server's rotation in its separate statements, each ending in between, and the
// collector after that: nothing comes back.
func TestRaceForeignRotationWithAnEndingInBetween(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	for ei := range endActs {
		for between := range 3 { // before the UPDATE, after it, after the first INSERT
			for _, ours := range []bool{false, true} {
				e := &endActs[ei]
				s := w.newScene(ei%2 == 0 || e.name == "EndSession", false)
				f := s.foreign
				if ours {
					f = s.at
					f.codeID = string(f.id)
				}
				if e.access || !(e.user || e.pair || e.client || e.family || e.session && s.bound) {
					continue
				}
				end := func() {
					_, err := e.run(w.Ctx, w.Pool, s, f)
					w.Raced(e.name, err)
					w.collect()
				}
				g := granted{refresh: fixture.Unique("rt"), token: fixture.Unique("at")}
				id := fixture.Unique("r")
				if between == 0 {
					end()
				}
				tag, err := w.Pool.Exec(w.Ctx, foreignSpend, f.refreshID)
				w.Raced("another server's UPDATE", err)
				if between == 0 {
					if tag.RowsAffected() != 0 {
						t.Errorf("%s: another server has spent a dead token", e.name)
					}
					continue
				}
				if between == 1 {
					end()
				}
				_, err = w.Pool.Exec(w.Ctx, foreignRefresh, id, fixture.Digest(g.refresh), s.client, s.session, s.user, s.tenant, s.scopes(), f.codeID)
				if err != nil && !(e.deletes && code(err) == "23503") {
					w.Raced("another server's INSERT", err)
				}
				if between == 2 {
					end()
				}
				_, err = w.Pool.Exec(w.Ctx, foreignAccess, fixture.Unique("a"), fixture.Digest(g.token), s.client, s.session, s.user, s.tenant, id, s.scopes(), f.codeID)
				if err != nil && !(e.deletes && code(err) == "23503") {
					w.Raced("another server's INSERT", err)
				}
				w.collect()
				w.wantAllDead(s, fmt.Sprintf("another server's rotation (ours %t) with %s after statement %d", ours, e.name, between), g)
			}
		}
	}
}

// collect is a pass of the collector over the first pages.
func (w *world) collect() {
	w.Helper()
	for name, collect := range mixCollectors {
		w.Raced(name, collect(context.WithoutCancel(w.Ctx), w.Q))
	}
}
