package storm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// lane is a part of the storm with users and clients of its own.
type lane struct {
	*storm
	t       testing.TB
	n       int
	rng     *rand.Rand
	users   []*person
	apps    []*app
	pairs   map[[2]*scope]*scope
	codes   []*code
	grants  []*family
	own     []*credential // tokens of clients
	log     []entry
	names   int
	batches int
	broken  string // the disagreement, if one was found

	counts map[string]int // answers, by what was asked
}

// step is a request, and what is to be made of its answer: first the facts of all in a batch are noted, then what follows from refusals, then
// each is judged.
type step struct {
	name    string // the kind
	about   string // of what
	touches []*scope
	run     func(context.Context) (answer, error)
	facts   func(*result)
	after   func(*result)
	judge   func(*result)
}

// result is a step that was answered.
type result struct {
	*step
	during
	answer
	err   error
	alone bool // in its batch
}

func (r *result) is(status int) bool { return r.err == nil && r.status == status }

// unsure says that it can't be known what has become of a request.
func (r *result) unsure() bool { return r.err != nil || r.status >= 500 }

func (r *result) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	said := r.text("error")
	if active, is := r.body["active"].(bool); is {
		said = fmt.Sprintf("active %t", active)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, said))
}

func (l *lane) name(kind string) string {
	l.names++
	return fmt.Sprintf("%s%d", kind, l.names)
}

func pick[T any](l *lane, from []T) T { return from[l.rng.IntN(len(from))] }

func (l *lane) chance(p float64) bool { return l.rng.Float64() < p }

func (l *lane) server() *server { return pick(l, l.servers) }

// disagree notes the first disagreement, which ends the lane.
func (l *lane) disagree(r *result, t *credential, format string, args ...any) {
	if l.broken != "" {
		return
	}
	about := r.touches
	if t != nil {
		about = []*scope{&t.scope, &t.app.scope}
		if f := t.family; f != nil {
			about = append(about, &f.scope, f.pair, &f.user.scope, &f.session.scope)
		}
	}
	l.broken = fmt.Sprintf("lane %d, batch %d, %s %s %s: %s: %s", l.n, l.batches, r.during, r.name, r.about, r, fmt.Sprintf(format, args...))
	if r.raw != "" && len(r.raw) < 400 {
		l.broken += "\n  " + r.raw
	}
	l.broken += "\nwhat was before:\n" + history(l.log, 60, about...)
}

// batch sends requests at the same moment, and judges the answers.
func (l *lane) batch(ops ...*step) {
	l.batches++
	results := make([]*result, len(ops))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, o := range ops {
		all.Go(func() {
			<-start
			r := &result{step: o, alone: len(ops) == 1}
			r.sent = l.now()
			r.answer, r.err = o.run(l.ctx)
			r.answered = l.now()
			results[i] = r
		})
	}
	close(start)
	all.Wait()
	slices.SortFunc(results, func(a, b *result) int { return int(a.answered - b.answered) })
	for _, r := range results {
		l.counts[fmt.Sprintf("%s %d", r.name, r.status)]++
		l.log = append(l.log, entry{r.during, strings.TrimSpace(r.name+" "+r.about) + ": " + r.String(), r.touches})
	}
	for _, r := range results {
		r.facts(r)
	}
	for _, r := range results {
		r.after(r)
	}
	for _, r := range results {
		if r.unsure() {
			l.mu.Lock()
			l.faults = append(l.faults, r.name+": "+r.String()+" "+r.raw)
			l.mu.Unlock()
			if !strings.HasSuffix(r.name, "@"+betterAuth) {
				l.disagree(r, nil, "a fault: %s", r.raw)
			}
			continue
		}
		r.judge(r)
	}
}

func nothing(*result) {}

func newStep(name string, s *server, about string, touches ...*scope) *step {
	if s != nil {
		name += "@" + s.name
	}
	return &step{name: name, about: about, touches: touches, facts: nothing, after: nothing, judge: nothing}
}

func (l *lane) pair(u *person, c *app) *scope {
	key := [2]*scope{&u.scope, &c.scope}
	if l.pairs[key] == nil {
		l.pairs[key] = &scope{name: u.name + "/" + c.name}
	}
	return l.pairs[key]
}

// overlaps says whether something of these may have ended during a request.
func overlaps(d during, scopes ...*scope) bool {
	return slices.ContainsFunc(scopes, func(s *scope) bool {
		return slices.ContainsFunc(s.ends, func(e ending) bool { return e.sent < d.answered && e.answered > d.sent })
	})
}

func mayHaveEnded(s *scope, d during) bool {
	return slices.ContainsFunc(s.ends, func(e ending) bool { return e.sent < d.answered })
}

func hasEnded(s *scope, d during) bool {
	return slices.ContainsFunc(s.ends, func(e ending) bool { return e.certain && e.answered+5*time.Millisecond < d.sent })
}

func (l *lane) authorize(s *server, u *person, c *app, bound bool) *step {
	asked, in, pair := "openid email offline_access", u.session, l.pair(u, c)
	if bound {
		asked = "openid"
	}
	o := newStep("authorize", s, in.name+" "+c.name, &u.scope, &c.scope, &in.scope, pair)
	o.run = func(ctx context.Context) (answer, error) { return s.authorize(ctx, in.cookie, c, asked) }
	o.facts = func(r *result) {
		if raw := r.code(); raw != "" {
			f := &family{scope: scope{name: l.name("grant")}, by: s, user: u, app: c, pair: pair, session: in, bound: bound, granted: r.during}
			l.codes = append(l.codes, &code{family: f, raw: raw})
			o.touches = append(o.touches, &f.scope)
			l.log = append(l.log, entry{r.during, "that was " + f.name, []*scope{&f.scope}})
		} else if s.isForeign() { // it deletes a session that it finds expired
			in.end(ending{during: r.during, what: o.name, deletes: true})
		}
	}
	o.judge = func(r *result) {
		switch granted := r.code() != ""; {
		case granted && hasEnded(&in.scope, r.during):
			l.disagree(r, nil, "granted in a session that had ended")
		case granted && c.mustBeShut(r.during):
			l.disagree(r, nil, "granted to a client that was disabled")
		case !granted && !mayHaveEnded(&in.scope, r.during) && !c.mayBeShut(r.during) && !overlaps(r.during, &u.scope, &c.scope, pair):
			l.disagree(r, nil, "refused, and nothing has ended: %s", r.raw)
		}
	}
	return o
}

// issued are the tokens of an answer. before, if set, is the refresh token that was presented.
func (l *lane) issued(r *result, f *family, c *app, before *credential) {
	access := &credential{scope: scope{name: l.name("access")}, raw: r.text("access_token"), family: f, app: c, born: r.during}
	line := access.name
	r.touches = append(r.touches, &access.scope)
	if f != nil {
		f.tokens = append(f.tokens, access)
		if hint := r.text("id_token"); hint != "" && f.by.name == zitadelServer && strings.HasSuffix(r.name, "@"+zitadelServer) {
			f.hint = hint
		}
	} else {
		l.own = append(l.own, access)
	}
	raw := r.text("refresh_token")
	switch {
	case raw == "" || f == nil || f.bound:
	case before != nil && before.successor != nil && before.successor.raw == raw:
		line += ", again " + before.successor.name
	case before != nil && before.raw == raw:
		line += ", the same " + before.name
	default:
		refresh := &credential{scope: scope{name: l.name("refresh")}, raw: raw, isRefresh: true, family: f, app: c, born: r.during}
		f.tokens = append(f.tokens, refresh)
		line += ", " + refresh.name
		r.touches = append(r.touches, &refresh.scope)
		if before != nil && before.successor == nil {
			before.successor = refresh
		}
	}
	l.log = append(l.log, entry{r.during, "that was " + line, r.touches})
}

func (l *lane) redeem(s *server, c *code) *step {
	f, wrong := c.family, s.isForeign() != c.by.isForeign()
	o := newStep("redeem", s, f.name, &f.scope, &f.app.scope, &f.user.scope, f.pair, &f.session.scope)
	itself := &credential{isRefresh: !f.bound, family: f, app: f.app} // the code lives as a token of its family would
	o.run = func(ctx context.Context) (answer, error) { return s.redeem(ctx, f.app, c.raw) }
	o.facts = func(r *result) {
		if !wrong {
			c.asked = append(c.asked, r.during)
		}
		if !r.is(200) {
			return
		}
		if c.redeemed = append(c.redeemed, r.during); len(c.redeemed) == 1 {
			l.grants = append(l.grants, f)
			if s.isForeign() {
				f.granted = r.during
			}
		}
		l.issued(r, f, f.app, nil)
	}
	o.after = func(r *result) {
		switch {
		case wrong && !r.unsure():
		case r.unsure():
			f.end(ending{during: r.during, what: o.name})
		case r.text("error") == "invalid_grant" && len(c.asked) > 1:
			certain := len(c.redeemed) > 0 && c.redeemed[0].before(r.during) && (!s.isForeign() || r.alone)
			f.end(ending{during: r.during, what: o.name + " again", certain: certain, marked: s.isForeign(), erases: s.isForeign()})
		}
	}
	o.judge = func(r *result) {
		ended, dead := itself.mustBeDead(r.sent, false)
		switch redeemed := r.is(200); {
		case redeemed && wrong:
			l.disagree(r, itself, "redeemed where it wasn't issued")
		case redeemed && len(c.redeemed) > 1:
			l.disagree(r, itself, "a code redeemed twice")
		case redeemed && f.app.mustBeShut(r.during):
			l.disagree(r, itself, "redeemed for a client that was disabled")
		case redeemed && s.isForeign() && hasEnded(&f.session.scope, r.during):
			l.disagree(r, itself, "redeemed though its session had ended")
		case redeemed && !s.isForeign() && dead:
			l.disagree(r, itself, "redeemed, though ended by %s at %s", ended.what, ended.during)
		case redeemed || wrong || len(c.asked) > 1 || f.app.mayBeShut(r.during):
		case s.isForeign() && mayHaveEnded(&f.session.scope, r.during):
		default:
			if _, may := itself.mayBeDead(r.answered, false); !may {
				l.disagree(r, itself, "refused, and nothing has ended: %s", r.raw)
			}
		}
	}
	return o
}

func (l *lane) refresh(s *server, t *credential) *step {
	f, there := t.family, s.isForeign()
	o := newStep("refresh", s, t.name, &t.scope, &f.scope, &f.app.scope, &f.user.scope, f.pair)
	l.counts["refresh of "+f.by.name+"'s@"+s.name]++
	o.run = func(ctx context.Context) (answer, error) { return s.refresh(ctx, f.app, t.raw) }
	o.facts = func(r *result) {
		if !r.is(200) {
			if r.unsure() {
				t.presented = append(t.presented, presentation{during: r.during, foreign: there})
			}
			return
		}
		t.presented = append(t.presented, presentation{during: r.during, foreign: there, certain: true})
		t.end(ending{during: r.during, what: o.name, certain: true, marked: true})
		f.seen = max(f.seen, r.sent)
		l.issued(r, f, f.app, t)
	}
	o.after = func(r *result) {
		if r.unsure() {
			f.end(ending{during: r.during, what: o.name})
			return
		}
		spent := t.spent(r.answered, anyone)
		if r.is(200) || !spent || r.text("error") == "invalid_client" {
			return
		}
		// The token had been spent, or may have been, and came back.
		_, uncertain := (&credential{isRefresh: true, family: f, app: f.app}).mayBeDead(r.answered, false)
		replay := ending{during: r.during, what: o.name + " again"}
		earlier := func(p presentation) bool { return p.certain && p.before(r.during) }
		// Nobody knows any more that it was spent if its row is gone; then nothing ends.
		uncertain = uncertain || slices.ContainsFunc(f.pair.ends, func(e ending) bool {
			return e.erases && e.sent < r.answered && e.answered > t.born.sent
		})
		switch {
		case there: // it deletes all refresh tokens of user and client, which a refresh elsewhere may outrun
			replay.erases = true
			f.pair.end(replay)
			replay.certain, replay.marked = !uncertain && r.alone && t.spent(r.sent, earlier), true
		case t.spent(r.answered, foreigner):
			all := replay
			all.certain = !uncertain && t.spent(r.sent, func(p presentation) bool { return p.foreign && earlier(p) })
			f.pair.end(all)
		default:
			replay.certain = !uncertain && t.successor != nil && t.successor.spent(r.sent, earlier)
		}
		f.end(replay)
	}
	o.judge = func(r *result) {
		family := &credential{isRefresh: true, family: f, app: f.app}
		if r.is(200) {
			raw := r.text("refresh_token")
			ended, dead := family.mustBeDead(r.sent, false)
			others := func(p presentation) bool { return p.certain && p.during != r.during }
			switch {
			case dead:
				l.disagree(r, t, "refreshed, though ended by %s at %s", ended.what, ended.during)
			case f.app.mustBeShut(r.during):
				l.disagree(r, t, "refreshed for a client that was disabled")
			case raw == "" || raw == t.raw:
				l.disagree(r, t, "refreshed without a new refresh token")
			case t.successor != nil && t.successor.raw != raw:
				l.disagree(r, t, "a second successor beside %s", t.successor.name)
			case there && t.spent(r.answered, others):
				l.disagree(r, t, "spent twice")
			case t.spent(r.sent, func(p presentation) bool { return p.foreign && others(p) && p.before(r.during) }):
				l.disagree(r, t, "a token that was spent at better-auth came back and was forgiven")
			case t.successor != nil && t.successor.spent(r.sent, func(p presentation) bool { return p.certain && p.before(r.during) }):
				l.disagree(r, t, "forgiven, though its successor %s had been used", t.successor.name)
			}
			return
		}
		if r.text("error") == "invalid_client" && f.app.mayBeShut(r.during) {
			return
		}
		if _, may := family.mayBeDead(r.answered, there); may {
			return
		}
		for _, e := range t.ends { // found dead, or revoked
			if e.sent < r.answered && !t.spent(e.answered+1, func(p presentation) bool { return p.during == e.during }) {
				return
			}
		}
		switch {
		case f.app.mayBeShut(r.during):
		case !t.spent(r.answered, anyone):
			l.disagree(r, t, "refused, and nothing has ended: %s", r.raw)
		case there, t.spent(r.answered, foreigner):
		case t.successor == nil || t.successor.spent(r.answered, anyone) || mayHaveEnded(&t.successor.scope, r.during):
		default:
			l.disagree(r, t, "a retry was refused, whose successor %s is unused", t.successor.name)
		}
	}
	return o
}

// ownToken asks for a token of the client itself.
func (l *lane) ownToken(s *server, c *app) *step {
	o := newStep("client_credentials", s, c.name, &c.scope)
	o.run = func(ctx context.Context) (answer, error) { return s.ownToken(ctx, c) }
	o.facts = func(r *result) {
		if r.is(200) {
			l.issued(r, nil, c, nil)
		}
	}
	o.judge = func(r *result) {
		switch issued := r.is(200); {
		case issued && c.mustBeShut(r.during):
			l.disagree(r, nil, "issued to a client that was disabled")
		case !issued && !c.mayBeShut(r.during):
			l.disagree(r, nil, "refused")
		}
	}
	return o
}

// heard judges what a server says about a token.
func (l *lane) heard(r *result, t *credential, active, there bool) {
	if active {
		ended, dead := t.mustBeDead(r.sent, there)
		switch {
		case dead:
			l.disagree(r, t, "%s is live, though ended by %s at %s", t.name, ended.what, ended.during)
		case t.app.mustBeShut(r.during):
			l.disagree(r, t, "%s is live, and its client is disabled", t.name)
		case !there:
			t.found(r.during)
		}
		return
	}
	if t.app.mayBeShut(r.during) {
		return
	}
	if _, may := t.mayBeDead(r.answered, there); !may {
		l.disagree(r, t, "%s is dead, and nothing has ended it", t.name)
	} else if !there {
		t.end(ending{during: r.during, what: r.name, certain: true}) // what is dead remains so
	}
}

func (l *lane) introspect(s *server, t *credential) *step {
	o := newStep("introspect", s, t.name, &t.scope)
	if t.family != nil {
		o.touches = append(o.touches, &t.family.scope)
		l.counts["introspect of "+t.family.by.name+"'s@"+s.name]++
	}
	o.run = func(ctx context.Context) (answer, error) { return s.introspect(ctx, t.app, t.raw) }
	o.judge = func(r *result) {
		active, said := r.body["active"].(bool)
		switch {
		case !said && t.app.mayBeShut(r.during):
		case !said:
			l.disagree(r, t, "no answer about %s: %s", t.name, r.raw)
		default:
			l.heard(r, t, active, s.isForeign())
			if sub, _ := r.body["sub"].(string); active && t.family != nil && sub != string(t.family.user.id) || active && r.text("client_id") != string(t.app.id) {
				l.disagree(r, t, "%s is said to be another's: %s", t.name, r.raw)
			}
		}
	}
	return o
}

// lookUp asks the store itself.
func (l *lane) lookUp(t *credential) *step {
	o := newStep("introspect@"+theStore, nil, t.name, &t.scope)
	if t.family != nil {
		o.touches = append(o.touches, &t.family.scope)
	}
	var row store.IntrospectTokenRow
	o.run = func(ctx context.Context) (_ answer, err error) {
		row, err = introspectHere(ctx, l.q, t.raw)
		return answer{status: 200, body: map[string]any{"active": row.Outcome == store.OutcomeActive}}, err
	}
	o.judge = func(r *result) {
		active := row.Outcome == store.OutcomeActive
		l.heard(r, t, active, false)
		if f := t.family; f != nil && active {
			if f.id == "" {
				f.id = *row.AuthorizationID
			}
			if f.id != *row.AuthorizationID {
				l.disagree(r, t, "%s has left its family %s for %s", t.name, f.id, *row.AuthorizationID)
			}
		}
	}
	return o
}

func (l *lane) revoke(s *server, t *credential) *step {
	o := newStep("revoke", s, t.name, &t.scope)
	if t.family != nil {
		o.touches = append(o.touches, &t.family.scope)
	}
	o.run = func(ctx context.Context) (answer, error) { return s.revoke(ctx, t.app, t.raw) }
	o.after = func(r *result) {
		if !r.unsure() && (r.status == 401 || r.text("error") == "invalid_client") {
			return
		}
		_, uncertain := t.mayBeDead(r.answered, s.isForeign())
		e := ending{during: r.during, what: o.name, certain: r.is(200) && !uncertain && !t.app.mayBeShut(r.during)}
		f := t.family
		switch {
		case s.isForeign() && t.isRefresh:
			// As a spent one: it deletes all refresh tokens of user and client where it had been revoked.
			if t.spent(r.answered, anyone) || uncertain {
				f.pair.end(ending{during: r.during, what: o.name})
			}
			t.presented = append(t.presented, presentation{during: r.during, foreign: true, certain: r.is(200)})
			f.end(ending{during: r.during, what: o.name})
			e.marked = true
			t.end(e)
		case s.isForeign():
			e.marked = true
			t.end(e)
		case f != nil && (t.isRefresh || s.name == fositeServer):
			f.end(e)
		default:
			e.marked = true
			t.end(e)
		}
	}
	o.judge = func(r *result) {
		if r.status != 200 && !s.isForeign() && !t.app.mayBeShut(r.during) {
			l.disagree(r, t, "not revoked: %s", r.raw)
		}
	}
	return o
}

// call is one of the store's, as the application around a server makes it.
func (l *lane) call(name string, outcome func(context.Context) (store.Outcome, error), then func(r *result), touches ...*scope) *step {
	o := newStep(name+"@"+theStore, nil, touches[0].name, touches...)
	o.run = func(ctx context.Context) (answer, error) {
		out, err := outcome(ctx)
		return answer{status: 200, body: map[string]any{"error": string(out)}}, err
	}
	o.after = then
	return o
}

func (l *lane) newSession(u *person) {
	id, value := store.NewSessionID(), token.Mint(token.SessionToken).Digest()
	row, err := l.q.CreateSession(l.ctx, store.CreateSessionParams{ID: id, UserID: u.id, Token: value, Lifetime: lifetime})
	if err != nil || row.Outcome != store.OutcomeCreated {
		l.broken = fmt.Sprintf("lane %d: no session for %s: %s, %v", l.n, u.name, row.Outcome, err)
		return
	}
	u.session = &session{scope: scope{name: l.name("session")}, id: id, cookie: cookie(value)}
	u.sessions = append(u.sessions, u.session)
}

func (l *lane) newUser() *person {
	u := &person{scope: scope{name: l.name("user")}, id: store.NewUserID()}
	_, err := l.q.CreateUser(l.ctx, store.CreateUserParams{ID: u.id, Name: "Ada", Email: new(strings.ToLower(string(u.id)) + "@example.com"), EmailVerified: true})
	if err != nil {
		l.broken = err.Error()
		return u
	}
	l.newSession(u)
	return u
}

func (l *lane) newApp() *app {
	secret := token.Mint(token.ClientSecret)
	c := &app{scope: scope{name: l.name("client")}, id: store.NewClientID(), secret: secret.Reveal()}
	_, err := l.q.CreateClient(l.ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: c.id, ClientSecret: new(secret.Digest()), Name: new("Calendar"), RedirectURIs: []string{redirectURI},
		TokenEndpointAuthMethod: new("client_secret_post"), GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
		ResponseTypes: []string{"code"}, SkipConsent: new(true), EnableEndSession: new(true),
		Scopes: []string{"openid", "email", "offline_access", "reports"},
	})
	if err == nil { // a column of the other server's
		_, err = l.pool.Exec(l.ctx, `UPDATE oauth_client SET client_credentials_scopes = '{reports}' WHERE client_id = $1`, string(c.id))
	}
	if err != nil {
		l.broken = err.Error()
	}
	return c
}
