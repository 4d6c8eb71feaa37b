package storm

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// moment is how long the storm has gone on.
type moment = time.Duration

// late is after the storm.
const late = 24 * time.Hour

// during is a request: when it was sent, and when it was answered.
type during struct{ sent, answered moment }

func (d during) String() string {
	return fmt.Sprintf("%.4f–%.4f", d.sent.Seconds(), d.answered.Seconds())
}

func (d during) before(other during) bool { return d.answered < other.sent }

// ending is a request that ends what was granted before, certainly or perhaps.
type ending struct {
	during
	what    string
	certain bool // it has ended it by the time of the answer
	marked  bool // in the token's row or its session's, or its client's: what a better-auth server reads
	deletes bool // a better-auth server has deleted the session, and goes on to revoke all access tokens of it that it sees
	there   bool // what only a better-auth server takes for an ending
	erases  bool // a better-auth server has deleted tokens row by row, those that it saw: others of the family may live on
}

// window is a time in which a client was disabled.
type window struct {
	from during
	to   *during // nil: still is
}

// scope is something whose end ends tokens.
type scope struct {
	name string
	ends []ending
}

func (s *scope) end(e ending) { s.ends = append(s.ends, e) }

// session is one of a user's.
type session struct {
	scope
	id     store.SessionID
	cookie string
}

// person is a user.
type person struct {
	scope
	id       store.UserID
	session  *session
	sessions []*session
	away     bool // suspended
}

// family is a grant, and the tokens that come from it.
type family struct {
	scope
	by      *server
	user    *person
	app     *app
	pair    *scope // of user and client
	session *session
	bound   bool // without offline_access
	granted during
	seen    moment // the last time that one of its tokens was found live: when that was asked
	id      store.AuthorizationID
	tokens  []*credential
	hint    string // an ID token
}

// code is one to be redeemed.
type code struct {
	*family
	raw      string
	redeemed []during // with success
	asked    []during // by whoever could redeem it
}

// credential is an access or a refresh token.
type credential struct {
	scope
	raw       string
	isRefresh bool
	family    *family // nil: the client's own
	app       *app
	born      during
	seen      moment // the last time that it was found live: when that was asked

	successor *credential
	presented []presentation
}

// presentation is a request that has spent a refresh token, or may have.
type presentation struct {
	during
	foreign bool // to a better-auth server
	certain bool
}

// endings are those that count for a token: begun or certain before the grant was made they don't.
func (t *credential) endings(yield func(e ending, since moment) bool) {
	for _, e := range t.ends {
		if !yield(e, t.seen) {
			return
		}
	}
	scopes, granted, seen := []*scope{&t.app.scope}, t.born, t.seen
	if f := t.family; f != nil {
		scopes, granted, seen = f.scopes(), f.granted, f.seen
	}
	for _, s := range scopes {
		for _, e := range s.ends {
			if e.answered <= granted.sent {
				continue // what was granted afterwards
			}
			e.certain = e.certain && granted.before(e.during)
			since := seen
			if e.erases {
				since = t.seen
			}
			if !yield(e, since) {
				return
			}
		}
	}
	if t.family != nil {
		t.family.sessionEndings(t.isRefresh, yield)
	}
}

// sessionEndings are the ends of a family's session, as they count for its tokens.
func (f *family) sessionEndings(isRefresh bool, yield func(e ending, since moment) bool) {
	deleted := slices.ContainsFunc(f.session.ends, func(e ending) bool { return e.deletes })
	for _, e := range f.session.ends {
		switch {
		case f.bound:
			e.marked = e.marked && !deleted // then the token names no session
		case isRefresh:
			continue
		default:
			// A better-auth server takes access tokens for dead whose session has expired. If it deletes that, it goes on to revoke them.
			e.there, e.certain, e.answered = !e.deletes, false, late
		}
		if !yield(e, f.seen) {
			return
		}
	}
}

// scopes are those whose end ends the family, besides its session.
func (f *family) scopes() []*scope {
	return []*scope{&f.scope, f.pair, &f.user.scope, &f.app.scope}
}

// mustBeDead says which ending makes a token dead for a request that is sent later. What a better-auth server reads has an end in
// milliseconds, so there it isn't over at once.
func (t *credential) mustBeDead(sent moment, there bool) (ending, bool) {
	for e := range t.endings {
		switch {
		case !e.certain:
		case !there && !e.there && e.answered < sent:
			return e, true
		case there && e.marked && e.answered+5*time.Millisecond < sent:
			return e, true
		}
	}
	return ending{}, false
}

// mustBeShut says whether the token's client was disabled for all of a request.
func (a *app) mustBeShut(d during) bool {
	return slices.ContainsFunc(a.shut, func(w window) bool {
		return w.from.answered < d.sent && (w.to == nil || w.to.sent > d.answered)
	})
}

// mayBeShut says whether it may have been disabled at some time of it.
func (a *app) mayBeShut(d during) bool {
	return slices.ContainsFunc(a.shut, func(w window) bool {
		return w.from.sent < d.answered && (w.to == nil || w.to.answered > d.sent)
	})
}

// mayBeDead says which ending may have made a token dead for a request that is answered by then.
func (t *credential) mayBeDead(answered moment, there bool) (ending, bool) {
	for e, seen := range t.endings {
		if e.sent < answered && e.answered >= seen && (there || !e.there) {
			return e, true
		}
	}
	return ending{}, false
}

// found notes that a server other than better-auth's has found a token live.
func (t *credential) found(d during) {
	t.seen = max(t.seen, d.sent)
	if t.family != nil {
		t.family.seen = max(t.family.seen, d.sent)
	}
}

// spent are the presentations that have succeeded, or may have, before a moment.
func (t *credential) spent(by moment, test func(presentation) bool) bool {
	return slices.ContainsFunc(t.presented, func(p presentation) bool { return p.sent < by && test(p) })
}

func anyone(presentation) bool { return true }

func foreigner(p presentation) bool { return p.foreign }

// entry is a line of the log.
type entry struct {
	during
	text    string
	touches []*scope
}

// history is the log of what touches a token, or another scope: the latest, oldest first.
func history(log []entry, most int, about ...*scope) string {
	var lines []string
	for _, e := range slices.Backward(log) {
		if len(lines) == most {
			lines = append(lines, "  …")
			break
		}
		if slices.ContainsFunc(e.touches, func(s *scope) bool { return slices.Contains(about, s) }) {
			lines = append(lines, fmt.Sprintf("  %s %s", e.during, e.text))
		}
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}
