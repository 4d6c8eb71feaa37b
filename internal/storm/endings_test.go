package storm

import (
	"context"

	"github.com/oauthdb/oauthdb/store"
)

// besides is something that ends more than one grant.
func (l *lane) besides(u *person, c *app) []*step {
	if !l.chance(0.12) {
		return nil
	}
	switch l.rng.IntN(14) {
	case 0:
		return []*step{l.endSession(u)}
	case 1, 2:
		return l.signOut(u)
	case 3:
		return []*step{l.endUserSessions(u)}
	case 4:
		return []*step{l.suspend(u)}
	case 5:
		return []*step{l.endGrantsOfUser(u)}
	case 6, 7:
		return []*step{l.withdraw(u, c)}
	case 8:
		return []*step{l.endPair(u, c)}
	case 9:
		return []*step{l.endGrantsOfApp(c)}
	case 10:
		return []*step{l.disable(c)}
	case 11:
		return l.endFamily()
	case 12:
		if l.chance(0.5) {
			return []*step{l.deleteUser(u)}
		}
		return []*step{l.deleteApp(c)}
	}
	return l.signOut(u)
}

// ends is a call that certainly ends the scopes, if it was answered.
func ends(what string, r *result, marked bool, scopes ...*scope) {
	for _, s := range scopes {
		s.end(ending{during: r.during, what: what, certain: !r.unsure(), marked: marked})
	}
}

func (u *person) endSessions(what string, r *result) {
	for _, s := range u.sessions {
		ends(what, r, true, &s.scope)
	}
}

func (l *lane) endSession(u *person) *step {
	in := u.session
	return l.call("EndSession", func(ctx context.Context) (store.Outcome, error) {
		r, err := l.q.EndSession(ctx, in.id)
		return r.Outcome, err
	}, func(r *result) { ends("EndSession", r, true, &in.scope) }, &in.scope, &u.scope)
}

func (l *lane) endUserSessions(u *person) *step {
	return l.call("EndUserSessions", func(ctx context.Context) (store.Outcome, error) {
		r, err := l.q.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: u.id})
		return r.Outcome, err
	}, func(r *result) { u.endSessions("EndUserSessions", r) }, &u.session.scope, &u.scope)
}

// signOut is by one of the servers that have a place for it.
func (l *lane) signOut(u *person) []*step {
	in := u.session
	for range 4 {
		s, hint := l.server(), ""
		if s.endedPath == "" {
			continue
		}
		if !s.isForeign() {
			for _, f := range l.grants {
				if f.session == in && f.hint != "" && !f.app.mayBeShut(during{l.now(), l.now()}) {
					hint = f.hint
				}
			}
			if hint == "" {
				continue
			}
		}
		o := newStep("sign out", s, in.name, &in.scope, &u.scope)
		o.run = func(ctx context.Context) (answer, error) { return s.signOut(ctx, in.cookie, hint) }
		o.after = func(r *result) {
			in.end(ending{during: r.during, what: o.name, certain: !r.unsure() && r.status < 400, marked: !s.isForeign(), deletes: s.isForeign()})
		}
		return []*step{o}
	}
	return nil
}

func (l *lane) suspend(u *person) *step {
	u.away = true
	return l.call("SuspendUser", func(ctx context.Context) (store.Outcome, error) {
		r, err := l.q.SuspendUser(ctx, u.id)
		return r.Outcome, err
	}, func(r *result) {
		ends("SuspendUser", r, false, &u.scope)
		u.endSessions("SuspendUser", r)
	}, &u.scope, &u.session.scope)
}

func (l *lane) endGrantsOfUser(u *person) *step {
	return l.call("RevokeUserAuthorizations", func(ctx context.Context) (store.Outcome, error) {
		return l.q.RevokeUserAuthorizations(ctx, u.id)
	}, func(r *result) { ends("RevokeUserAuthorizations", r, false, &u.scope) }, &u.scope)
}

func (l *lane) withdraw(u *person, c *app) *step {
	pair := l.pair(u, c)
	return l.call("WithdrawConsent", func(ctx context.Context) (store.Outcome, error) {
		r, err := l.q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: u.id, ClientID: c.id})
		return r.Outcome, err
	}, func(r *result) { ends("WithdrawConsent", r, false, pair) }, pair, &u.scope, &c.scope)
}

func (l *lane) endPair(u *person, c *app) *step {
	pair := l.pair(u, c)
	return l.call("RevokeUserAuthorizationsByClient", func(ctx context.Context) (store.Outcome, error) {
		return l.q.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: u.id, ClientID: c.id})
	}, func(r *result) { ends("RevokeUserAuthorizationsByClient", r, false, pair) }, pair, &u.scope, &c.scope)
}

func (l *lane) endGrantsOfApp(c *app) *step {
	return l.call("RevokeClientAuthorizations", func(ctx context.Context) (store.Outcome, error) {
		return l.q.RevokeClientAuthorizations(ctx, c.id)
	}, func(r *result) { ends("RevokeClientAuthorizations", r, false, &c.scope) }, &c.scope)
}

func (l *lane) disable(c *app) *step {
	if n := len(c.shut) - 1; n >= 0 && c.shut[n].to == nil {
		return l.enable(c)
	}
	return l.call("DisableClient", func(ctx context.Context) (store.Outcome, error) {
		return l.q.DisableClient(ctx, c.id)
	}, func(r *result) { c.shut = append(c.shut, window{from: r.during}) }, &c.scope)
}

func (l *lane) enable(c *app) *step {
	return l.call("EnableClient", func(ctx context.Context) (store.Outcome, error) {
		return l.q.EnableClient(ctx, c.id)
	}, func(r *result) {
		if r.text("error") != string(store.OutcomeUnknown) { // it may have been deleted
			c.shut[len(c.shut)-1].to = &r.during
		}
	}, &c.scope)
}

func (l *lane) endFamily() []*step {
	if len(l.grants) == 0 {
		return nil
	}
	f := pick(l, l.grants)
	if f.id == "" {
		return nil
	}
	return []*step{l.call("RevokeAuthorization", func(ctx context.Context) (store.Outcome, error) {
		r, err := l.q.RevokeAuthorization(ctx, f.id)
		return r.Outcome, err
	}, func(r *result) { ends("RevokeAuthorization", r, false, &f.scope) }, &f.scope)}
}

// deleteUser puts another one in the user's place.
func (l *lane) deleteUser(u *person) *step {
	for i := range l.users {
		if l.users[i] == u {
			l.users[i] = l.newUser()
		}
	}
	return l.call("DeleteUser", func(ctx context.Context) (store.Outcome, error) {
		r, err := l.q.DeleteUser(ctx, u.id)
		return r.Outcome, err
	}, func(r *result) {
		ends("DeleteUser", r, false, &u.scope)
		u.endSessions("DeleteUser", r)
	}, &u.scope, &u.session.scope)
}

// deleteApp puts another one in the client's place.
func (l *lane) deleteApp(c *app) *step {
	for i := range l.apps {
		if l.apps[i] == c {
			l.apps[i] = l.newApp()
		}
	}
	return l.call("DeleteClient", func(ctx context.Context) (store.Outcome, error) {
		return l.q.DeleteClient(ctx, c.id)
	}, func(r *result) {
		ends("DeleteClient", r, false, &c.scope)
		c.shut = append(c.shut, window{from: r.during})
	}, &c.scope)
}
