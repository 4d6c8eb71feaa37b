package model

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// State is a state of the model, for histories of concurrent calls. It never changes: a step returns other states.
//
// Its time stands still, so it fits histories that are much shorter than the lifetimes in them.
type State struct {
	m       *model
	endings []ending // that a grant overlapped, in their order
	text    string   // describes all of it; what is equal has an equal one
}

// ending is one that has taken effect, and the state that it found.
type ending struct {
	call      Call
	until     int64
	overtaken int64
	before    *model
	text      string // of the state that it found
}

// Span is when a call was made and when it was answered, by any clock that goes forward.
type Span struct {
	From, To  int64
	Overtaken int64 // of an ending: when the last of the grants was answered that overlap it; 0 if none does
}

// Lost is the outcome of a call that got no answer. It may have taken effect, or not.
const Lost store.Outcome = "lost"

// NewState returns the state of a database in which there is nothing.
func NewState() *State {
	return (&State{m: &model{
		now: time.Unix(0, 0), users: map[store.UserID]*user{}, clients: map[store.ClientID]*client{}, sessions: map[store.SessionID]*session{},
		consents: map[pair]*consent{}, proofs: map[token.Digest]bool{}, gates: newGates(),
		signedOut: map[store.SessionID]bool{},
	}}).described()
}

// After returns the state after a call, and its answer.
func (s *State) After(c Call) (*State, Answer) {
	m := s.m.clone()
	a := calls[c.Name].want(m, c.Params)
	return (&State{m: m, endings: s.endings}).described(), a
}

// Step returns the states that a call can lead to with an answer; none, if it can't have got it.
//
// There is one at most, but for two cases. A call that got no answer may have had any effect, or none. And what a statement granted that
// had read before an ending committed is dead: it is as if it had read before and written after the ending. A grant that overlaps an ending
// may do so, and no other call.
func (s *State) Step(c Call, got Answer, at Span) (next []*State) {
	call := calls[c.Name]
	lost := got.Outcome == Lost
	s = s.since(at.From)
	m := s.m
	if !call.reads {
		m = m.clone()
	}
	want := call.want(m, c.Params)
	if want != got && s.m.isAsRight(c, want.Outcome, got.Outcome) {
		if want = got; !call.reads && c.Refused(got) && !call.ends {
			m = s.m.clone() // nothing has changed
		}
	}
	switch {
	case lost:
		next = append(next, s)
	case call.reads && want == got:
		return []*State{s}
	case call.reads:
		return nil
	}
	if lost || want == got {
		after := &State{m: m, endings: s.endings}
		if at.Overtaken != 0 && c.Ends(want) {
			after.endings = append(slices.Clone(s.endings), ending{c, at.To, at.Overtaken, s.m, "before an ending: " + s.m.undoable()})
		}
		next = append(next, after.described())
	}
	if p, is := c.Params.(store.RedeemAuthorizationCodeParams); is && got.Outcome == store.OutcomeUnknown && want == got && p.Proof != nil {
		// it has found the code, remembered the proof, and waited for an approval that replaced the code
		m := s.m.clone()
		m.proofs[*p.Proof] = true
		next = append(next, (&State{m: m, endings: s.endings}).described())
	}
	if lost || call.mayOvertake(got.Outcome) {
		for i, e := range s.endings {
			if e.until < at.From {
				continue // it was over when the call was made
			}
			if after := s.overtaken(c, got, s.endings[i:]); after != nil {
				next = append(next, after)
			}
		}
	}
	return next
}

// since leaves out the endings that no call can overtake any more. What remains to be placed when a call is was answered after that was made.
func (s *State) since(made int64) *State {
	if !slices.ContainsFunc(s.endings, func(e ending) bool { return e.overtaken < made }) {
		return s
	}
	endings := slices.DeleteFunc(slices.Clone(s.endings), func(e ending) bool { return e.overtaken < made })
	return (&State{m: s.m, endings: endings}).described()
}

// overtaken is the state after a grant that had read before some endings and is written after them, or nil if it can't have been answered
// so. What it grants is as dead as if the endings had come after it.
func (s *State) overtaken(c Call, got Answer, endings []ending) *State {
	call := calls[c.Name]
	m := s.m.clone()
	undo(m, endings[0].before)
	want := call.want(m, c.Params)
	if p, is := c.Params.(store.GrantConsentParams); is && want != got {
		// it has waited for a consent that was given meanwhile, and that it takes for one that doesn't count
		m = s.m.clone()
		undo(m, endings[0].before)
		if g := m.consents[pair{p.ClientID, p.UserID}]; g != nil {
			g.over = true
		}
		want = call.want(m, c.Params)
	}
	if want != got && got.Outcome != Lost || !call.mayOvertake(want.Outcome) {
		return nil
	}
	later := m.clone()
	for _, e := range endings {
		calls[e.call.Name].want(later, e.call.Params)
	}
	redo(m, s.m)
	for i, f := range m.families {
		if i >= len(s.m.families) || s.m.families[i].status != f.status {
			f.over, f.marked = later.families[i].over, later.families[i].marked
		}
	}
	for i, t := range m.tokens {
		if i >= len(s.m.tokens) {
			t.over = later.tokens[i].over
		}
	}
	for id, x := range m.sessions {
		if s.m.sessions[id] == nil {
			x.over, x.marked = later.sessions[id].over, later.sessions[id].marked
		}
	}
	its := consentOf(c)
	for of, g := range m.consents {
		switch now := s.m.consents[of]; {
		case of == its:
			g.over = later.consents[of] == nil || later.consents[of].over
		case now == nil:
			delete(m.consents, of) // undo has brought it back
		default:
			m.consents[of] = new(*now)
		}
	}
	return (&State{m: m, endings: s.endings}).described()
}

// consentOf is the pair of whose consent a call writes the row.
func consentOf(c Call) (of pair) {
	switch p := c.Params.(type) {
	case store.GrantConsentParams:
		of = pair{p.ClientID, p.UserID}
	case ForeignConsent:
		of = pair{p.ClientID, p.UserID}
	}
	return of
}

// given says whether something was granted.
func given(o store.Outcome) bool { return slices.Contains(grantings, o) }

var grantings = []store.Outcome{
	store.OutcomeApproved, store.OutcomeGranted, store.OutcomeIssued, store.OutcomeRedeemed, store.OutcomeRotated, store.OutcomeRetried,
	store.OutcomeExchanged, store.OutcomeCreated, store.OutcomeClaimed, inserted, written,
}

// undo takes back what has ended since before.
func undo(m, before *model) {
	for id, u := range before.users {
		*m.users[id] = *u
	}
	for id, c := range before.clients {
		if now := m.clients[id]; now.deleted != c.deleted {
			now.deleted, now.kind, now.secret = c.deleted, c.kind, c.secret
		}
		m.clients[id].disabled = c.disabled
	}
	for id, x := range before.sessions {
		now := m.sessions[id]
		if now == nil { // another server has deleted it
			now = new(*x)
			m.sessions[id] = now
			for i, f := range before.families {
				if f.session == x {
					m.families[i].session = now
				}
			}
			for i, t := range before.tokens {
				if t.session == x {
					m.tokens[i].session = now
				}
			}
		}
		if now.marked != x.marked {
			now.marked, now.expires = x.marked, x.expires
		}
		now.over = x.over
	}
	for i, f := range before.families {
		m.families[i].over, m.families[i].marked = f.over, f.marked
	}
	for i, t := range before.tokens {
		if !t.refresh {
			m.tokens[i].over, m.tokens[i].spent = t.over, t.spent
		}
	}
	for of, g := range before.consents {
		if now := m.consents[of]; now == nil || now.over {
			m.consents[of] = new(*g)
		}
	}
}

// redo brings back what undo has taken back.
func redo(m, now *model) {
	for id, u := range now.users {
		*m.users[id] = *u
	}
	for id, c := range now.clients {
		if m.clients[id].deleted != c.deleted {
			m.clients[id].deleted, m.clients[id].kind, m.clients[id].secret = c.deleted, c.kind, c.secret
		}
		m.clients[id].disabled = c.disabled
	}
	for id, x := range m.sessions {
		if now.sessions[id] == nil && now.signedOut[id] {
			m.forgetSession(x)
		}
	}
	for id, x := range now.sessions {
		if x.marked {
			m.sessions[id].marked, m.sessions[id].expires = true, x.expires
		}
		m.sessions[id].over = m.sessions[id].over || x.over
	}
	for i, f := range now.families {
		m.families[i].over, m.families[i].marked = m.families[i].over || f.over, m.families[i].marked || f.marked
	}
	for i, t := range now.tokens {
		if !t.refresh {
			m.tokens[i].over, m.tokens[i].spent = t.over, t.spent
		}
	}
}

// undoable describes what undo takes from a model.
func (m *model) undoable() string {
	var lines []string
	for id, u := range m.users {
		lines = append(lines, fmt.Sprint(id, *u))
	}
	for id, c := range m.clients {
		lines = append(lines, fmt.Sprint(id, c.deleted, c.disabled, c.kind, c.secret))
	}
	for id, x := range m.sessions {
		lines = append(lines, fmt.Sprint(id, x.marked, x.over))
	}
	for _, f := range m.families {
		lines = append(lines, fmt.Sprint(f.id, f.over, f.marked))
	}
	for _, t := range m.tokens {
		if !t.refresh {
			lines = append(lines, fmt.Sprint(t.id, t.over, t.revoked()))
		}
	}
	for of, g := range m.consents {
		lines = append(lines, fmt.Sprint(of, g.over, g.scopes, g.at))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

func (m *model) clone() *model {
	n := &model{
		now: m.now, proofs: maps.Clone(m.proofs), gates: m.gates.clone(), signedOut: maps.Clone(m.signedOut),
		users: make(map[store.UserID]*user, len(m.users)), clients: make(map[store.ClientID]*client, len(m.clients)),
		sessions: make(map[store.SessionID]*session, len(m.sessions)), consents: make(map[pair]*consent, len(m.consents)),
		families: make([]*family, len(m.families), len(m.families)+1), tokens: make([]*issued, len(m.tokens), len(m.tokens)+2),
	}
	for id, u := range m.users {
		n.users[id] = new(*u)
	}
	for id, c := range m.clients {
		copied := *c
		copied.older = maps.Clone(c.older)
		n.clients[id] = &copied
	}
	for id, s := range m.sessions {
		n.sessions[id] = new(*s)
	}
	for of, g := range m.consents {
		n.consents[of] = new(*g)
	}
	sessionOf := func(s *session) *session {
		if s == nil {
			return nil
		}
		return n.sessions[s.id]
	}
	families := make(map[*family]*family, len(m.families))
	allFamilies, allTokens := make([]family, len(m.families)), make([]issued, len(m.tokens))
	for i, f := range m.families {
		allFamilies[i] = *f
		g := &allFamilies[i]
		g.session = sessionOf(f.session)
		if f.device != nil {
			g.device = new(*f.device)
		}
		families[f], n.families[i] = g, g
	}
	tokens := make(map[*issued]*issued, len(m.tokens))
	for i, t := range m.tokens {
		allTokens[i] = *t
		tokens[t], n.tokens[i] = &allTokens[i], &allTokens[i]
	}
	for _, t := range n.tokens {
		t.session, t.successor = sessionOf(t.session), tokens[t.successor]
		if t.family != nil {
			t.family = families[t.family]
		}
	}
	for _, f := range n.families {
		f.first = tokens[f.first]
	}
	return n
}

// described fills in text.
func (s *State) described() *State {
	lines := s.m.lines()
	for _, e := range s.endings {
		lines = append(lines, e.text)
	}
	s.text = strings.Join(lines, "\n")
	return s
}

var seed = maphash.MakeSeed()

// Hash is equal for states that are equal.
func (s *State) Hash() uint64 { return maphash.String(seed, s.text) }

// Equal says whether nothing tells two states apart.
func (s *State) Equal(other *State) bool { return s == other || s.text == other.text }

// String describes what is there, a thing a line.
func (s *State) String() string { return strings.Join(s.m.lines(), "\n") }

// isOverForGood says whether nothing of a family can come to life again.
func (m *model) isOverForGood(f *family) bool {
	return f.status == store.AuthorizationStatusApproved && (f.over || f.marked || f.bound && (f.session == nil || f.session.over || f.session.marked))
}

// lines describes what is there, in an order that doesn't depend on what was there first. Of what is dead it says no more than what an answer
// can still depend on, so that states which differ in nothing else are equal: the checker has to look at fewer.
func (m *model) lines() []string {
	lines := make([]string, 0, 8+len(m.families)+len(m.tokens))
	var b []byte
	field := func(s string) { b = append(append(b, ' '), s...) }
	mark := func(name string, is bool) {
		if is {
			field(name)
		}
	}
	when := func(name string, t *time.Time) {
		if t != nil {
			field(name)
			b = binary.AppendVarint(b, int64(t.Sub(m.now)/time.Second))
		}
	}
	line := func(words ...string) {
		b = b[:0]
		for _, w := range words {
			field(w)
		}
	}
	end := func() { lines = append(lines, string(b[1:])) }
	for id, u := range m.users {
		line("user", string(id))
		mark("suspended", u.suspended)
		mark("deleted", u.deleted)
		end()
	}
	for id, c := range m.clients {
		line("client", string(id), string(c.secret))
		mark("disabled", c.disabled)
		mark("deleted", c.deleted)
		for _, s := range slices.Sorted(maps.Keys(c.older)) {
			field(string(s))
		}
		end()
	}
	for id, s := range m.sessions {
		line("session", string(id))
		mark("marked", s.marked)
		mark("over", s.over)
		if !s.over && !s.marked {
			when("expires", &s.expires)
		}
		end()
	}
	for of, g := range m.consents {
		line("consent", string(of.client), string(of.user), string(deref(g.reference)))
		if g.over {
			field("over")
			end()
			continue
		}
		for _, s := range g.scopes {
			field(s)
		}
		for _, r := range slices.Sorted(maps.Keys(g.at)) {
			field(r)
			for _, s := range g.at[r] {
				field(s)
			}
		}
		end()
	}
	for _, f := range m.families {
		line("family", string(f.id), string(f.status), string(f.user), string(f.code), string(f.requestURI), string(f.redeemedAs))
		mark("marked", f.marked)
		if m.isOverForGood(f) {
			field("over")
			end()
			continue
		}
		if f.session != nil {
			field(string(f.session.id))
		}
		for _, s := range f.granted {
			field(s)
		}
		mark("bound", f.bound)
		when("expires", f.expires)
		if d := f.device; d != nil {
			field("device")
			field(string(d.userCode))
			mark("polled", !d.polled.IsZero())
			when("interval", new(m.now.Add(d.interval)))
		}
		end()
	}
	for _, t := range m.tokens {
		line("token", t.id)
		mark("revoked", !t.refresh && t.revoked())
		if t.family != nil && m.isOverForGood(t.family) || t.own && t.over {
			field("over")
			end()
			continue
		}
		if t.family != nil {
			field(string(t.family.id))
		}
		mark("over", t.over)
		if t.successor != nil {
			field(t.successor.id)
		}
		when("expires", t.expires)
		end()
	}
	for p := range m.proofs {
		lines = append(lines, "proof "+string(p))
	}
	lines = append(lines, m.gates.lines()...)
	slices.SortFunc(lines, cmp.Compare[string])
	return lines
}
