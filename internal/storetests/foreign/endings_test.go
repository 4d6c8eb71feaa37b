package foreign

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// ending is a call of ours that ends a grant of the world's user, session and client. It is given a refresh token of the grant.
type ending struct {
	name       string
	end        func(*world, row) (store.Outcome, error)
	bound      bool // it ends only what was granted without offline_access
	token      bool // it has to find the token
	reversible bool // it can be undone, and then the grant lives again
}

var endings = []ending{
	{name: "EndSession", bound: true, end: func(w *world, r row) (store.Outcome, error) {
		a, err := w.q.EndSession(w.ctx, r.session)
		return a.Outcome, err
	}},
	{name: "EndUserSessions", bound: true, end: func(w *world, r row) (store.Outcome, error) {
		a, err := w.q.EndUserSessions(w.ctx, store.EndUserSessionsParams{UserID: r.user})
		return a.Outcome, err
	}},
	{name: "CreateSession with a maximum", bound: true, end: func(w *world, r row) (store.Outcome, error) {
		id := store.NewSessionID()
		a, err := w.q.CreateSession(w.ctx, store.CreateSessionParams{
			ID: id, UserID: r.user, Token: token.DigestOf(string(id)), Lifetime: time.Hour, MaxSessions: 1,
		})
		return a.Outcome, err
	}},
	{name: "RevokeUserAuthorizations", end: func(w *world, r row) (store.Outcome, error) {
		return w.q.RevokeUserAuthorizations(w.ctx, r.user)
	}},
	{name: "RevokeUserAuthorizationsByClient", end: func(w *world, r row) (store.Outcome, error) {
		return w.q.RevokeUserAuthorizationsByClient(w.ctx, store.RevokeUserAuthorizationsByClientParams{UserID: r.user, ClientID: r.client})
	}},
	{name: "WithdrawConsent", end: func(w *world, r row) (store.Outcome, error) {
		a, err := w.q.WithdrawConsent(w.ctx, store.WithdrawConsentParams{UserID: r.user, ClientID: r.client})
		return a.Outcome, err
	}},
	{name: "RevokeClientAuthorizations", end: func(w *world, r row) (store.Outcome, error) {
		return w.q.RevokeClientAuthorizations(w.ctx, r.client)
	}},
	{name: "SuspendUser", end: func(w *world, r row) (store.Outcome, error) {
		a, err := w.q.SuspendUser(w.ctx, r.user)
		return a.Outcome, err
	}},
	{name: "SuspendUser and ReinstateUser", end: func(w *world, r row) (store.Outcome, error) {
		if _, err := w.q.SuspendUser(w.ctx, r.user); err != nil {
			return "", err
		}
		_, err := w.q.ReinstateUser(w.ctx, r.user)
		return store.OutcomeEnded, err
	}},
	{name: "another server's suspension, and that it is lifted", end: func(w *world, r row) (store.Outcome, error) {
		for _, sql := range []string{`UPDATE "user" SET suspended_at = now() WHERE id = $1`, `UPDATE "user" SET suspended_at = NULL WHERE id = $1`} {
			if _, err := w.pool.Exec(w.ctx, sql, r.user); err != nil {
				return "", err
			}
		}
		return store.OutcomeEnded, nil
	}},
	{name: "DeleteUser", end: func(w *world, r row) (store.Outcome, error) {
		a, err := w.q.DeleteUser(w.ctx, r.user)
		return a.Outcome, err
	}},
	{name: "DisableClient", reversible: true, end: func(w *world, r row) (store.Outcome, error) { return w.q.DisableClient(w.ctx, r.client) }},
	{name: "DeleteClient", end: func(w *world, r row) (store.Outcome, error) { return w.q.DeleteClient(w.ctx, r.client) }},
	{name: "RevokeAuthorization", token: true, end: func(w *world, r row) (store.Outcome, error) {
		a, err := w.q.RevokeAuthorization(w.ctx, store.AuthorizationID(r.code))
		return a.Outcome, err
	}},
	{name: "RevokeToken", token: true, end: func(w *world, r row) (store.Outcome, error) {
		a, err := w.q.RevokeToken(w.ctx, store.RevokeTokenParams{ClientID: r.client, ClientAuthMethod: "none", Token: token.DigestOf(r.raw)})
		return a.Outcome, err
	}},
}

// scopes of a grant that it ends.
func (e ending) scopes() []string {
	if e.bound {
		return online
	}
	return offline
}

func (e ending) ends(w *world, r row) {
	w.Helper()
	outcome, err := e.end(w, r)
	w.ok(err)
	switch outcome {
	case store.OutcomeEnded, store.OutcomeDeleted, store.OutcomeWithdrawn, store.OutcomeCreated:
	default:
		w.Fatalf("%s: %s", e.name, outcome)
	}
}

func eachEnding(t *testing.T, test func(w *world, e ending)) {
	t.Helper()
	w := newWorld(t, 4)
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			sub := *w
			sub.TB, sub.ctx = t, t.Context()
			sub.anew()
			test(&sub, e)
		})
	}
}

func TestAnEndingBetweenTheTwoInsertsEndsBoth(t *testing.T) {
	t.Parallel()
	eachEnding(t, func(w *world, e ending) {
		t := w.TB
		r := w.refresh(w.row(e.scopes()))
		e.ends(w, r)
		a := w.access(of(r))
		if w.family(a) != w.family(r) {
			t.Error("the access token is of another family")
		}
		w.wantDead(r, a)
		if outcome, access, successor := w.rotate(r); outcome == store.OutcomeRotated {
			w.Errorf("rotated: %v %v", access, successor)
		}
		w.wantDead(r, a)
	})
}

func TestADeadTokenIsNotSpentByAnotherServer(t *testing.T) {
	t.Parallel()
	eachEnding(t, func(w *world, e ending) {
		t := w.TB
		r := w.refresh(w.row(e.scopes()))
		other := w.refresh(w.row(e.scopes()))
		if !w.spend(other) {
			t.Error("a live token can't be spent")
		}
		e.ends(w, r)
		if w.spend(r) {
			t.Error("a dead token was spent")
		}
		if value[bool](w, `SELECT revoked IS NOT NULL OR rotated_at IS NOT NULL FROM oauth_refresh_token WHERE id = $1`, r.id) {
			t.Error("its row has changed")
		}
		next := r.next() // a server that doesn't mind
		w.refresh(next)
		w.wantDead(r, next, w.access(of(next)))
	})
}

func TestAnEndingAfterTheSpendingEndsTheSuccessorToo(t *testing.T) {
	t.Parallel()
	eachEnding(t, func(w *world, e ending) {
		t := w.TB
		r := w.refresh(w.row(e.scopes()))
		if !w.spend(r) {
			t.Fatal("not spent")
		}
		e.ends(w, r)
		w.collect()
		next := r.next()
		if err := insertRefresh(w.ctx, w.pool, next); violates(err, "oauth_refresh_token_session_id_fkey") {
			next.session = "" // the collector has deleted the session, so the server can't go on; another one might
			w.refresh(next)
		} else {
			w.ok(err)
		}
		w.wantDead(next, w.access(of(next)))
		if w.spend(next) {
			t.Error("the successor was spent")
		}
	})
}

func TestAnAccessTokenOfADeadFamilyIsStoredAsRevoked(t *testing.T) {
	t.Parallel()
	eachEnding(t, func(w *world, e ending) {
		t := w.TB
		r := w.refresh(w.row(e.scopes()))
		revoked := func(a row) bool {
			return value[bool](w, `SELECT revoked IS NOT NULL FROM oauth_access_token WHERE id = $1`, a.id)
		}
		unnamed := func() row { a := of(r); a.refresh = ""; return a }
		if revoked(w.access(of(r))) || revoked(w.access(unnamed())) {
			t.Error("revoked before the ending")
		}
		e.ends(w, r)
		if revoked(w.access(of(r))) == e.reversible || revoked(w.access(unnamed())) == e.reversible {
			t.Errorf("revoked after the ending: %v", e.reversible)
		}
	})
}

func TestAGrantThatOverlapsAnEndingIsDead(t *testing.T) {
	t.Parallel()
	eachEnding(t, func(w *world, e ending) {
		if e.token {
			return // it can't know of a token that is not committed
		}
		for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead} {
			w.anew()
			r := w.row(e.scopes())
			tx, err := w.pool.BeginTx(w.ctx, pgx.TxOptions{IsoLevel: level})
			w.ok(err)
			defer tx.Rollback(w.ctx)
			w.ok(insertRefresh(w.ctx, tx, r))
			e.ends(w, r) // without waiting
			a := of(r)
			w.ok(insertAccess(w.ctx, tx, a))
			w.ok(tx.Commit(w.ctx))
			w.wantDead(r, a)
		}
	})
}

// The two statements race with an ending. Whichever way it goes, they live or die together, and what an ending finds is dead.
func TestTheTwoInsertsRaceWithAnEnding(t *testing.T) {
	t.Parallel()
	const rounds = 30
	eachEnding(t, func(w *world, e ending) {
		t := w.TB
		for range rounds {
			w.anew()
			r := w.row(e.scopes())
			a := of(r)
			if e.token {
				w.refresh(r)
			}
			var both sync.WaitGroup
			both.Go(func() {
				if !e.token {
					if err := insertRefresh(w.ctx, w.pool, r); err != nil {
						t.Error(err)
					}
				}
				if err := insertAccess(w.ctx, w.pool, a); err != nil {
					t.Error(err)
				}
			})
			both.Go(func() {
				if _, err := e.end(w, r); err != nil {
					t.Error(err)
				}
			})
			both.Wait()
			if t.Failed() {
				return
			}
			if w.live(a.raw) && !w.live(r.raw) || w.family(a) != w.family(r) {
				t.Fatalf("access token live: %v, refresh token live: %v, families %s and %s", w.live(a.raw), w.live(r.raw), w.family(a), w.family(r))
			}
			if e.token {
				w.wantDead(r, a)
			}
			_, err := e.end(w, r)
			w.ok(err)
			w.wantDead(r, a)
		}
	})
}

func TestAnyCallBetweenTheTwoInsertsLeavesNothingThatOutlivesARevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, call := range map[string]func(r row){
		"none":               nil,
		"RotateRefreshToken": func(r row) { w.rotate(r) },
		"IntrospectToken":    func(r row) { w.live(r.raw) },
		"the collector":      func(row) { w.collect() },
		"a rotation there":   func(r row) { w.spend(r) },
		"RotateRefreshToken twice": func(r row) {
			_, _, successor := w.rotate(r)
			w.rotate(successor)
		},
		"reuse": func(r row) {
			_, _, successor := w.rotate(r)
			w.rotate(successor)
			w.rotate(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.anew()
			r := w.refresh(w.row(offline))
			if call != nil {
				call(r)
			}
			a := w.access(of(r))
			if w.family(a) != w.family(r) {
				t.Errorf("the access token is of %s, its refresh token of %s", w.family(a), w.family(r))
			}
			w.revokeToken(r)
			w.wantDead(r, a)
			if n := value[int](w, `
				SELECT count(*)::integer FROM oauth_authorization WHERE user_id = $1 AND revoked_at IS NULL`, string(w.user)); n > 0 {
				t.Errorf("%d families live", n)
			}
		})
	}
}
