package witness

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// Check holds what was answered against the database of the world, which nobody else uses:
//   - what was acknowledged is there: grants, successors, endings, the memory of what is good once, security events;
//   - no code was redeemed twice, and no family has two live refresh tokens;
//   - what got no answer has happened as a whole or not at all, and the same call again converges;
//   - what failed with an error that db.IsTransient knows has not happened, unless the server was told to shut down;
//   - a grant that was acknowledged is live unless it was ended, and what was ended or spent is dead.
func (s *Witness) Check(w *fixture.World) {
	w.Helper()
	_, missing := s.Facts(w)
	for _, m := range missing {
		w.Errorf("acknowledged and lost: %s", m)
	}
	s.checkFamilies(w)
	for _, k := range s.workers {
		own := *w
		own.Client, own.User, own.Session = s.client, k.w.User, k.w.Session
		k.w = &own
		k.repeat()
	}
	if _, missing = s.Facts(w); len(missing) > 0 {
		w.Errorf("lost after the repeats: %s", missing)
	}
	s.checkLiveness(w)
	fixture.Invariants(w)
	w.Logf("%s", s.Counts())
}

// checkFamilies looks for halves of calls.
func (s *Witness) checkFamilies(w *fixture.World) {
	w.Helper()
	type family struct {
		Redeemed, Revoked bool
		Access, Refresh   int
		Firsts            int // refresh tokens that are nobody's successor: one for each redemption
	}
	families := map[store.AuthorizationID]family{}
	var id store.AuthorizationID
	var f family
	rows, err := w.Pool.Query(w.Ctx, `
		SELECT a.id, a.redeemed_at IS NOT NULL, a.revoked_at IS NOT NULL,
			(SELECT count(*) FROM oauth_access_token AS t WHERE t.authorization_id = a.id),
			(SELECT count(*) FROM oauth_refresh_token AS r WHERE r.authorization_id = a.id),
			(
				SELECT count(*) FROM oauth_refresh_token AS r
				WHERE r.authorization_id = a.id AND NOT EXISTS (SELECT FROM oauth_refresh_token AS p WHERE p.authorization_id = a.id AND p.successor_id = r.id)
			)
		FROM oauth_authorization AS a`)
	w.OK(err)
	_, err = pgx.ForEachRow(rows, []any{&id, &f.Redeemed, &f.Revoked, &f.Access, &f.Refresh, &f.Firsts}, func() error {
		families[id] = f
		return nil
	})
	w.OK(err)
	for _, k := range s.workers {
		ending := false // one that got no answer may have revoked any family of the worker
		for _, o := range k.open {
			ending = ending || o.call == "RevokeAuthorization" || o.call == "RevokeToken"
		}
		for _, g := range k.grants {
			f := families[g.id]
			switch {
			case g.redeemed > 1, f.Firsts > 1:
				w.Errorf("%s was redeemed %d times, as was acknowledged; the family has %d first tokens", g.name, g.redeemed, f.Firsts)
			case f.Redeemed != (f.Access > 0), g.client != s.exchanger && f.Redeemed != (f.Refresh > 0):
				w.Errorf("%s is redeemed %t, with %d access and %d refresh tokens", g.name, f.Redeemed, f.Access, f.Refresh)
			case f.Revoked && !g.doubled && !g.ended && !ending:
				w.Errorf("the family of %s is revoked, by nothing", g.name)
			}
		}
	}
}

// repeat makes the calls that got no answer again, with the same parameters, as a server would.
func (k *worker) repeat() {
	k.w.Helper()
	open := k.open
	k.open = nil
	for _, o := range open {
		k.before = false
		if !k.call(o.call, o.repeat) {
			k.w.Errorf("%s, which had got no answer (%s), got none again", o.call, db.Describe(o.err))
		}
		server, _ := errors.AsType[*pgconn.PgError](o.err)
		if k.before && server == nil && db.IsTransient(o.err) {
			k.w.Errorf("%s had taken effect, though its error is said to be transient: %s", o.call, db.Describe(o.err))
		}
	}
}

func (s *Witness) checkLiveness(w *fixture.World) {
	w.Helper()
	want := map[string]bool{}
	for _, k := range s.workers {
		for _, g := range k.grants {
			for raw, lives := range g.access {
				want[raw] = lives && !g.isDead()
			}
			for n, raw := range g.chain {
				want[raw] = n == len(g.chain)-1 && !g.isDead()
			}
		}
	}
	all := make([]string, 0, len(want))
	for raw := range want {
		all = append(all, raw)
	}
	lives := w.Livings(all)
	for raw, want := range want {
		switch {
		case want && !lives[raw]:
			w.Errorf("%s was acknowledged, and is dead", raw)
		case !want && lives[raw]:
			w.Errorf("%s is live, and was ended or spent", raw)
		}
	}
}

// PresentAgain presents everything again that is good once and was accepted: codes, assertions, proofs, and refresh tokens that
// have been spent for long, which ends their families. All of it has to be refused. It comes last.
func (s *Witness) PresentAgain(w *fixture.World) {
	w.Helper()
	for _, k := range s.workers {
		for _, present := range k.once {
			present(w)
		}
		for i, g := range k.grants {
			switch {
			case g.isDead() || g.redeemed == 0 || len(g.chain) == 0:
			case i%2 == 0 && len(g.chain) > 2:
				p, _ := w.RotateParams(g.chain[len(g.chain)-3])
				p.ClientID = g.client
				r, err := w.Q.RotateRefreshToken(w.Ctx, p)
				refused(w, "a refresh token", g.chain[len(g.chain)-3], r.Outcome, err, store.OutcomeReplayed)
				g.ended = true
			case g.client == s.client:
				p := w.RedeemParams(g.name)
				p.ClientID = g.client
				r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
				refused(w, "a code", g.name, r.Outcome, err, store.OutcomeReplayed)
				g.ended = true
			}
		}
	}
	s.checkLiveness(w)
}

// refused fails the test unless something that is good once came to one of the outcomes.
func refused(w *fixture.World, what, of string, outcome store.Outcome, err error, want ...store.Outcome) {
	w.Helper()
	w.OK(err)
	for _, o := range want {
		if outcome == o {
			return
		}
	}
	w.Errorf("%s, %s, was accepted before and presented again: %s", what, of, outcome)
}
