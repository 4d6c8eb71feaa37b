package race

import (
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// TestRaceExchangeAgainstTheEndsOfItsOwnClient holds an exchange half-way against what ends the client that exchanges, which is not the
// client of the family: what had read before is dead afterwards, and neither waits for the other.
func TestRaceExchangeAgainstTheEndsOfItsOwnClient(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	g := grantNamed("ExchangeToken by another client")
	for ei := range endActs {
		e := &endActs[ei]
		if !(e.client || e.pair) {
			continue
		}
		for _, o := range []halfwayOrder{grantOpen, endingOpen} {
			for _, bound := range []bool{true, false} {
				name := fmt.Sprintf("%s, %s, bound %t", e.name, o, bound)
				s := w.newScene(bound, !bound)
				own := *s
				own.client = s.exchanger // of which the ending is
				var gave granted
				grant := func(c conn) (err error) { gave, err = g.run(w.Ctx, c, s); return err }
				end := func(c conn) error { _, err := e.run(w.Ctx, c, &own, family{}); return err }
				first, second := grant, end
				if o == endingOpen {
					first, second = end, grant
				}
				c, err := w.Pool.Acquire(w.Ctx)
				w.OK(err)
				tx, err := w.Pool.Begin(w.Ctx)
				w.OK(err)
				w.Raced(name, first(tx))
				x := w.besides(c, func() error { return second(c) })
				if x.waited != e.deletes {
					t.Errorf("%s: waits: %t", name, x.waited)
				}
				w.OK(tx.Commit(w.Ctx))
				w.Raced(name, x.finish())
				c.Release()
				if !e.deletes && gave.outcome != store.OutcomeExchanged {
					t.Errorf("%s: %s", name, gave.outcome)
				}
				w.wantAllDead(s, name, gave)
				w.wantAlive(s, name+": the subject token", granted{token: s.at.access})
			}
		}
	}
}

// TestRaceExchangeThatWaitsUntilItsSubjectHasEnded makes an exchange wait for a lock until its subject token, or the actor's, has ended: it is
// refused, or what it answers is dead.
func TestRaceExchangeThatWaitsUntilItsSubjectHasEnded(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	for name, end := range map[string]func(s *scene){
		"it is revoked alone": func(s *scene) {
			w.Exec(`UPDATE oauth_access_token SET revoked = now() WHERE token = $1`, string(fixture.Digest(s.at.access)))
		},
		"its family is revoked": func(s *scene) {
			w.Exec(`UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked' WHERE id = $1`, string(s.at.id))
		},
		"it is collected": func(s *scene) {
			w.Exec(`DELETE FROM oauth_access_token WHERE token = $1`, string(fixture.Digest(s.at.access)))
		},
		"its family is collected": func(s *scene) {
			w.Exec(`DELETE FROM oauth_authorization WHERE id = $1`, string(s.at.id))
		},
		"the actor's token is revoked": func(s *scene) {
			w.Exec(`UPDATE oauth_access_token SET revoked = now() WHERE token = $1`, string(fixture.Digest(s.foreign.access)))
		},
		"the actor's family is revoked": func(s *scene) {
			w.Exec(`UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked' WHERE id = $1`, string(s.foreign.id))
		},
		"it expires": func(*scene) { time.Sleep(150 * time.Millisecond) },
	} {
		for _, table := range []string{"user", "session"} {
			s := w.newScene(true, false)
			if name == "it expires" {
				w.Exec(`UPDATE oauth_access_token SET expires_at = now() + interval '100 milliseconds' WHERE token = $1`, string(fixture.Digest(s.at.access)))
			}
			id := map[string]string{"user": string(s.user), "session": string(s.session)}[table]
			held := w.holdingRows(`SELECT FROM "`+table+`" WHERE id = $1 FOR UPDATE`, id)
			p, g := s.exchanged(s.client)
			p.ActorToken = new(fixture.Digest(s.foreign.access))
			var got store.Outcome
			call := w.starts("ExchangeToken", func(q *store.Queries) error {
				r, err := q.ExchangeToken(w.Ctx, p)
				got = r.Outcome
				return err
			})
			call.wantWaiting(table)
			end(s)
			held.release()
			call.succeeds()
			want := store.OutcomeRevoked
			if name == "it expires" {
				want = store.OutcomeExchanged // and it is expired
			}
			if got != want {
				t.Errorf("%s while the exchange waits for the %s: %s, want %s", name, table, got, want)
			}
			w.wantAllDead(s, name, g)
		}
	}
}

// TestRaceAssertionsOfAnIssuerThatIsDisabled: no call waits for another one, and what comes after is refused.
func TestRaceAssertionsOfAnIssuerThatIsDisabled(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	w.newScene(false, false)
	id := store.TrustedIssuerID(fixture.Issuer)
	for range roundsOf(20) {
		s := w.newScene(false, false)
		calls := fixture.Times(4, func(int) {
			p, g := s.assertion()
			r, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
			if w.Raced("IssueTokenByAssertion", err) && (r.Outcome == store.OutcomeIssued) != w.Live(g.token) {
				w.Errorf("%s, and live: %t", r.Outcome, r.Outcome != store.OutcomeIssued)
			}
		})
		calls = append(calls, func() {
			_, err := w.Q.DisableTrustedIssuer(w.Ctx, id)
			w.Raced("DisableTrustedIssuer", err)
			p, _ := s.assertion()
			r, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
			w.Raced("IssueTokenByAssertion", err)
			w.Want("after that", r.Outcome, store.OutcomeUntrusted)
		})
		fixture.Together(calls...)
		outcome, err := w.Q.EnableTrustedIssuer(w.Ctx, id)
		w.Raced("EnableTrustedIssuer", err)
		w.Want("EnableTrustedIssuer", outcome, store.OutcomeEnabled)
	}
	// of several that write it, each is told what has become of it
	w.parallel("DeleteTrustedIssuer", 4, outcomes{store.OutcomeDeleted: 1, store.OutcomeUnknown: 3}, func(int) (store.Outcome, error) {
		w.Q.UpdateTrustedIssuer(w.Ctx, store.UpdateTrustedIssuerParams{ID: id, Audiences: []string{fixture.Audience}})
		return w.Q.DeleteTrustedIssuer(w.Ctx, id)
	})
}

// TestRaceGrantThatWaitsUntilARowIsDeleted makes a call that issues tokens, or signs in, wait for a user, a client or a session until that row is deleted: it
// is refused or, where only the session is gone, goes on without it.
func TestRaceGrantThatWaitsUntilARowIsDeleted(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	type answer struct {
		outcome store.Outcome
		session *store.SessionID
	}
	exchange := func(client func(one, two *scene) store.ClientID, withActor bool) func(*store.Queries, *scene, *scene) (answer, error) {
		return func(q *store.Queries, one, two *scene) (answer, error) {
			p, _ := one.exchanged(client(one, two))
			if withActor {
				p.ActorToken = new(fixture.Digest(two.at.access))
			}
			r, err := q.ExchangeToken(w.Ctx, p)
			return answer{r.Outcome, r.SessionID}, err
		}
	}
	byActor := exchange(func(_, two *scene) store.ClientID { return two.client }, true)
	byAnother := exchange(func(one, _ *scene) store.ClientID { return one.exchanger }, false)
	bySubject := exchange(func(one, _ *scene) store.ClientID { return one.client }, false)
	assert := func(q *store.Queries, one, _ *scene) (answer, error) {
		p, _ := one.assertion()
		r, err := q.IssueTokenByAssertion(w.Ctx, p)
		return answer{r.Outcome, nil}, err
	}
	rotate := func(q *store.Queries, one, _ *scene) (answer, error) {
		r, err := q.RotateRefreshToken(w.Ctx, one.rotation(one.at.refresh, fixture.Unique("rt"), fixture.Unique("at")))
		return answer{r.Outcome, r.SessionID}, err
	}
	signIn := func(q *store.Queries, one, _ *scene) (answer, error) {
		r, err := q.CreateSession(w.Ctx, store.CreateSessionParams{
			ID: store.NewSessionID(), UserID: one.user, Token: fixture.Digest(fixture.Unique("cookie")), Lifetime: fixture.Long,
		})
		return answer{r.Outcome, nil}, err
	}
	user := func(s *scene) (string, string) { return "user", string(s.user) }
	client := func(s *scene) (string, string) { return "oauth_client", string(s.client) }
	exchanger := func(s *scene) (string, string) { return "oauth_client", string(s.exchanger) }
	session := func(s *scene) (string, string) { return "session", string(s.session) }
	for name, c := range map[string]struct {
		call func(*store.Queries, *scene, *scene) (answer, error)
		row  func(*scene) (table, id string)
		of   int // whose row it is
		want store.Outcome
	}{
		"ExchangeToken, the user":            {byActor, user, 0, store.OutcomeUnknown},
		"ExchangeToken, the actor":           {byActor, user, 1, store.OutcomeUnknown},
		"ExchangeToken, the family's client": {byActor, client, 0, store.OutcomeUnknown},
		"ExchangeToken, the actor's client":  {byActor, client, 1, store.OutcomeUnknown},
		"ExchangeToken, its client":          {byAnother, exchanger, 0, store.OutcomeUnknown},
		"ExchangeToken, its client's user":   {byAnother, user, 0, store.OutcomeUnknown},
		"ExchangeToken, the session":         {bySubject, session, 0, store.OutcomeExchanged},
		"IssueTokenByAssertion, the user":    {assert, user, 0, store.OutcomeUnknown},
		"IssueTokenByAssertion, the client":  {assert, client, 0, store.OutcomeUnknown},
		"RotateRefreshToken, the user":       {rotate, user, 0, store.OutcomeUnknown},
		"CreateSession, the user":            {signIn, user, 0, store.OutcomeUnknown},
		"RotateRefreshToken, the session":    {rotate, session, 0, store.OutcomeRotated},
	} {
		for _, reversed := range []bool{false, true} {
			one, two := w.newScene(false, false), w.newScene(false, false)
			if reversed {
				one, two = two, one
			}
			table, id := c.row([]*scene{one, two}[c.of])
			key := "id"
			if table == "oauth_client" {
				key = "client_id"
			}
			deletion := w.holdingRows(`DELETE FROM "`+table+`" WHERE `+key+` = $1`, id)
			var got answer
			call := w.starts(name, func(q *store.Queries) (err error) { got, err = c.call(q, one, two); return err })
			call.wantWaiting(table)
			deletion.commits()
			call.succeeds()
			if got.outcome != c.want || got.session != nil {
				t.Errorf("%s, which is deleted meanwhile: %s, in the session %v, want %s", name, got.outcome, got.session, c.want)
			}
		}
	}
}
