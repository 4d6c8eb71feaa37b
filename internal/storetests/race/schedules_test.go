package race

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// grantActor is a grant as an actor, and where it says what it gave.
func grantActor(g *grantAct) (actor, *granted) {
	gave := new(granted)
	return actor{name: g.name, what: g, autocommit: g.statements, run: func(ctx context.Context, c conn, s *scene) (string, error) {
		got, err := g.run(ctx, c, s)
		*gave = got
		if err == nil && got.outcome == "" {
			return "given", nil
		}
		return string(got.outcome), err
	}}, gave
}

// endActor is an ending as an actor, of the family that of says.
func endActor(e *endAct, of func(s *scene) family) actor {
	name := e.name
	if f := of(&scene{}); e.needs != nil && f.id != "" {
		name += " " + string(f.id)
	}
	return actor{name: name, what: e, run: func(ctx context.Context, c conn, s *scene) (string, error) {
		out, err := e.run(ctx, c, s, of(s))
		return string(out), err
	}}
}

func ofWork(s *scene) family { return s.at }

func ofCall(a callAct) actor { return actor{name: a.name, run: a.run, what: &a} }

// inOrder plays calls one after the other.
func (x *scheduler) inOrder(set setting, actors []actor, order ...int) *schedule {
	x.Helper()
	var want []string
	for _, i := range order {
		want = append(want, string(rune('A'+i))+" starts", string(rune('A'+i))+" commits")
	}
	return x.play(x.stage(set), actors, nil, func(steps []string) int {
		for len(want) > 0 {
			if at := slices.Index(steps, want[0]); at >= 0 {
				want = want[1:]
				return at
			}
			want = want[1:] // a call that failed has nothing to commit
		}
		return 0
	})
}

// result is what a schedule came to: the outcomes, and what is left. What a call says of a row that is deleted by hand meanwhile is open.
func (p *schedule) result() string {
	said := p.outcomes()
	for _, a := range p.actors {
		if e, is := a.what.(*endAct); is && e.deletes {
			said = ""
		}
	}
	return said + "\n" + p.state()
}

// meeting is calls that meet in a setting.
type meeting struct {
	actors []actor
	gave   []*granted            // what those of them that are grants gave
	of     func(s *scene) family // which an ending ends
	set    setting
	draws  int // how many orders of three calls are walked, if that is more than of others
}

func (m *meeting) name() string {
	var names []string
	for _, a := range m.actors {
		names = append(names, a.name)
	}
	name := strings.Join(names, " | ")
	if m.set.aged {
		name += ", aged"
	}
	return name
}

// chance is a number that a name always gets, so that a sample is always the same.
func (m *meeting) chance() uint32 {
	h := fnv.New32a()
	h.Write([]byte(m.name()))
	return h.Sum32()
}

// newMeeting makes actors of their own for a meeting: an ending ends the family that the first grant is of.
func newMeeting(set setting, acts ...any) *meeting {
	m := &meeting{set: set}
	of := ofWork
	for _, act := range acts {
		if g, is := act.(*grantAct); is {
			if f := g.family(&scene{pending: "p", approved: "q", coded: family{id: "g"}, at: family{id: "f"}, rotated: family{id: "h"}, foreign: family{id: "b"}, device: family{id: "d"}}); f.id != "" {
				of = g.family
				break
			}
		}
	}
	for _, act := range acts {
		var a actor
		var gave *granted
		switch act := act.(type) {
		case *grantAct:
			a, gave = grantActor(act)
		case *endAct:
			a = endActor(act, of)
		case *callAct:
			a = ofCall(*act)
		}
		m.actors, m.gave = append(m.actors, a), append(m.gave, gave)
	}
	m.of = of
	return m
}

// allActs are all calls and statements: grants, endings, other calls, the collector's.
func allActs() (grants, ends, calls, collecting []any) {
	for i := range grantActs {
		grants = append(grants, &grantActs[i])
	}
	for i := range endActs {
		ends = append(ends, &endActs[i])
	}
	for i := range callActs {
		calls = append(calls, &callActs[i])
	}
	sorted := collectorActs()
	slices.SortFunc(sorted, func(a, b callAct) int { return strings.Compare(a.name, b.name) })
	for i := range sorted {
		collecting = append(collecting, &sorted[i])
	}
	return grants, ends, calls, collecting
}

// pairs are all pairs of calls.
func pairs() []*meeting {
	grants, ends, calls, collecting := allActs()
	var all []*meeting
	add := func(a, b any, set setting) {
		if m := newMeeting(set, a, b); m.possible() {
			all = append(all, m)
		}
	}
	acts := slices.Concat(grants, ends, calls)
	for i, a := range acts {
		for _, b := range acts[i:] {
			_, furnished := b.(*callAct)
			m := newMeeting(setting{}, a, b)
			add(a, b, setting{bound: m.chance()%2 == 0, furnished: furnished})
		}
	}
	for i, a := range collecting {
		for _, b := range acts {
			add(b, a, setting{bound: true, furnished: true})
			add(b, a, setting{furnished: true, aged: true})
		}
		for _, b := range collecting[i:] {
			add(a, b, setting{furnished: true, aged: true})
		}
	}
	return all
}

// possible says whether the calls can be made together. Two DELETEs by hand may deadlock, as any two in a database.
func (m *meeting) possible() bool {
	deletes := 0
	of := family{id: "f", refresh: "f"}
	for _, a := range m.actors {
		if g, is := a.what.(*grantAct); is {
			of = g.family(&scene{pending: "p", approved: "q", coded: family{id: "g"}, at: of, rotated: of, foreign: of, device: family{id: "d"}})
			break
		}
	}
	if of.id == "" {
		of = family{id: "f", refresh: "f"}
	}
	for _, a := range m.actors {
		if e, is := a.what.(*endAct); is {
			if e.deletes {
				deletes++
			}
			if e.needs != nil && !e.needs(of) {
				return false
			}
		}
	}
	return deletes < 2
}

// tried is what became of the schedules of some meetings.
type tried struct {
	meetings, schedules, most int
	mostOf                    string
	mixed                     int     // that came to what no order of the calls comes to
	orders                    float64 // that the steps could have, if no call waited for another one
}

// ordersOfTriple is how many orders of three calls are walked, unless the meeting says more.
const ordersOfTriple = 8

// try walks the schedules of a meeting, if its calls meet.
func (x *scheduler) try(m *meeting, most int, n *tried, wrong func(p *schedule, why string)) {
	x.Helper()
	hold, meet := x.meeting(m.actors, m.set)
	grants, ends := 0, 0
	for _, a := range m.actors {
		switch a.what.(type) {
		case *grantAct:
			grants++
		case *endAct:
			ends++
		}
	}
	if !meet && (grants == 0 || ends == 0) {
		return
	}
	orders := [][]int{{0, 1}, {1, 0}}
	if len(m.actors) == 3 {
		orders = [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	}
	serial := map[string]string{}
	for _, order := range orders {
		p := x.inOrder(m.set, m.actors, order...)
		for i := range p.runs {
			if e := p.came(i); strings.HasPrefix(e, "error") && !p.mayFail(i) {
				wrong(p, p.actors[i].name+" fails, one call after the other")
			}
		}
		serial[p.result()] += fmt.Sprint(order)
	}
	judge := func(p *schedule) {
		n.schedules++
		for i := range p.runs {
			if e := p.came(i); strings.HasPrefix(e, "error") && !p.mayFail(i) {
				wrong(p, p.actors[i].name+" fails")
				return
			}
		}
		if r := p.result(); serial[r] == "" && m.single() && !m.isStrange() {
			alike := p.alike(r, serial)
			isOrder := slices.ContainsFunc(alike, func(r string) bool { return serial[r] != "" })
			isMix := p.overlapped() && slices.ContainsFunc(alike, func(r string) bool { return isMixOf(r, serial) })
			if n.mixed++; !isOrder && !isMix {
				wrong(p, "no order of the calls comes to that:\n"+differ(r, serial))
			}
		}
		if why := p.liveness(m); why != "" {
			wrong(p, why)
		}
	}
	n.meetings++
	n.orders += x.orders(m, hold)
	before := n.schedules
	waits := map[string]bool{}
	walk := x.walk
	if len(m.actors) > 2 { // too many to walk them all
		walk = func(actors []actor, set setting, hold []rowName, _ int, judge func(p *schedule)) int {
			return x.stroll(actors, set, hold, max(m.draws, ordersOfTriple), uint64(m.chance()), judge)
		}
	}
	walk(m.actors, m.set, hold, most, func(p *schedule) {
		maps.Copy(waits, p.waited)
		judge(p)
	})
	if x.skips(m, hold, waits) {
		walk(m.actors, m.set, nil, most, judge)
	}
	if took := n.schedules - before; took > n.most {
		n.most, n.mostOf = took, m.name()
	}
}

// orders is in how many orders the steps of a meeting could be taken, if no call waited for another one: each starts, passes its rows and commits.
func (x *scheduler) orders(m *meeting, hold []rowName) float64 {
	orders, all := 1.0, 0
	for _, a := range m.actors {
		steps := 2
		for _, row := range hold {
			if x.locksOf(a, m.set)[row] > 0 {
				steps++
			}
		}
		for i := range steps {
			all++
			orders = orders * float64(all) / float64(i+1)
		}
	}
	return orders
}

// alike are results that are as right as one: of two refusals that hold, a grant may give either. One that has waited for its parents sees that
// an ending has ended the session or the token presented, and the user and the client as they were before.
func (p *schedule) alike(result string, serial map[string]string) []string {
	all := []string{result}
	for i, a := range p.actors {
		over, signedOut := false, false
		for j, b := range p.actors {
			if e, is := b.what.(*endAct); is && p.runs[j].ended < p.runs[i].ended {
				over, signedOut = true, signedOut || e.session
			}
		}
		g, is := a.what.(*grantAct)
		came := p.came(i)
		if !is || !(over && came == string(store.OutcomeRevoked)) && !(signedOut && came == string(store.OutcomeSignedOut)) {
			continue
		}
		said, rows, _ := strings.Cut(result, "\n")
		for order := range serial {
			outcomes, _, _ := strings.Cut(order, "\n")
			if other := strings.Split(outcomes, ", "); len(other) == len(p.actors) && other[i] != string(g.want) {
				each := strings.Split(said, ", ")
				each[i] = other[i]
				all = append(all, strings.Join(each, ", ")+"\n"+rows)
			}
		}
	}
	return all
}

// overlapped says whether one of three calls is a grant that had begun before an ending committed which ends it, and that returned later. It is
// dead. But the third call may have read after the ending, and met what the grant wrote, or not yet: no order of the three comes to that.
func (p *schedule) overlapped() bool {
	for i, a := range p.actors {
		g, is := a.what.(*grantAct)
		if !is || len(p.actors) < 3 {
			continue
		}
		for j, b := range p.actors {
			e, is := b.what.(*endAct)
			if is && e.ends(g, p.s) && p.runs[i].begun < p.runs[j].ended && p.runs[j].ended < p.runs[i].ended {
				return true
			}
		}
	}
	return false
}

// isMixOf says whether each answer and each row of a result is that of some order, and nothing is missing that all orders leave.
func isMixOf(result string, serial map[string]string) bool {
	outcomes, rows, _ := strings.Cut(result, "\n")
	left := strings.Split(rows, "\n")
	each := make([]map[string]bool, 3)
	times := map[string]int{}
	for order := range serial {
		said, rows, _ := strings.Cut(order, "\n")
		for i, outcome := range strings.Split(said, ", ") {
			if each[i] == nil {
				each[i] = map[string]bool{}
			}
			each[i][outcome] = true
		}
		for _, row := range slices.Compact(strings.Split(rows, "\n")) {
			times[row]++
		}
	}
	for i, outcome := range strings.Split(outcomes, ", ") {
		if !each[i][outcome] {
			return false
		}
	}
	for row, n := range times {
		if n == len(serial) && !slices.Contains(left, row) {
			return false
		}
	}
	return !slices.ContainsFunc(left, func(row string) bool { return times[row] == 0 })
}

// skips says whether a call skips a row that is held, and would lock it otherwise.
func (x *scheduler) skips(m *meeting, hold []rowName, waits map[string]bool) bool {
	for i, a := range m.actors {
		for _, row := range hold {
			if x.locksOf(a, m.set)[row] > 0 && !waits[fmt.Sprint(i, row)] {
				return true
			}
		}
	}
	return false
}

// mayFail says whether a call's error is one that it may have: of a row that it names and that was deleted by hand, or of another server's
// statement.
func (p *schedule) mayFail(i int) bool {
	if !strings.HasPrefix(p.came(i), "error 23503") {
		return false
	}
	g, isGrant := p.actors[i].what.(*grantAct)
	if isGrant && g.want == "" {
		return true
	}
	byHand := slices.ContainsFunc(p.actors, func(a actor) bool { e, is := a.what.(*endAct); return is && e.deletes })
	return byHand && namesAnOwner[p.actors[i].name]
}

// namesAnOwner are the calls that store a row of a user, and whose foreign key reports that there is none.
var namesAnOwner = map[string]bool{
	"CreateAccount": true, "CreateClient": true, "RegisterClient": true, "UpdateClient that hands one over to the user": true,
}

// liveness holds a schedule to the promise of docs/locking.md: what a statement granted that had read before an ending committed is dead.
func (p *schedule) liveness(m *meeting) string {
	p.Helper()
	for i, a := range p.actors {
		g, is := a.what.(*grantAct)
		if !is || m.gave[i] == nil || p.runs[i].err != nil {
			continue
		}
		gave := *m.gave[i]
		if gave.outcome != g.want || g.want == "" && gave.outcome != "" {
			continue // refused
		}
		lives := p.alive(p.s, gave)
		ends := false
		for j, b := range p.actors {
			e, is := b.what.(*endAct)
			if !is {
				continue
			}
			f := g.family(p.s)
			if !e.ends(g, p.s) || e.family && f.id != m.of(p.s).id {
				continue
			}
			ends = true
			later := p.runs[i].read > p.runs[j].ended && (f.id == "" || f.id == p.s.pending) // a new grant
			if len(lives) > 0 && p.runs[j].err == nil && !later && !p.agreedAgain(i, j, m) {
				return fmt.Sprintf("%s is alive after %s: %v", g.name, e.name, lives)
			}
		}
		others := 0 // that may end it in another way
		for _, b := range p.actors {
			if _, is := b.what.(*endAct); !is {
				others++
			}
		}
		if !ends && others == 1 && len(lives) == 0 && g.want != "" {
			return g.name + " is dead, although nothing ended it"
		}
	}
	return ""
}

// agreedAgain says whether the consent that one call has stored was stored by another one as well, after an ending: it is the same row.
func (p *schedule) agreedAgain(grant, ending int, m *meeting) bool {
	if !m.gave[grant].consent {
		return false
	}
	for k := range p.actors {
		if k != grant && m.gave[k] != nil && m.gave[k].consent && m.gave[k].outcome == store.OutcomeGranted && p.runs[k].read > p.runs[ending].ended {
			return true
		}
	}
	return false
}

// isStrange says whether a meeting is in strange, or has two calls that are.
func (m *meeting) isStrange() bool {
	if strange[m.name()] != "" {
		return true
	}
	for i := range m.actors {
		if rest := slices.Delete(slices.Clone(m.actors), i, i+1); len(rest) > 1 && (&meeting{actors: rest, set: m.set}).isStrange() {
			return true
		}
	}
	return false
}

// strange are meetings that come to what no order of the calls comes to, and why that is right.
var strange = map[string]string{
	"CreateSession with a maximum | EndUserSessions but another":                                                signedInBefore,
	"CreateSession with a maximum | EndUserSessions but this one":                                               signedInBefore,
	"WithdrawConsent | RotateRefreshToken of one that another server spent":                                     bothHadRead,
	"PollDeviceCode replayed | PollDeviceCode replayed":                                                         bothHadRead,
	"RotateRefreshToken replayed | RotateRefreshToken replayed":                                                 bothHadRead,
	"RotateRefreshToken of one that another server spent | RotateRefreshToken of one that another server spent": bothHadRead,
	"RevokeToken of an access token | DeleteExpiredAccessTokens, aged":                                          goneMeanwhile,
	"RevokeAccessTokenByID | DeleteExpiredAccessTokens, aged":                                                   goneMeanwhile,
	"RevokeInitialAccessToken | DeleteExpiredInitialAccessTokens, aged":                                         goneMeanwhile,
	"RevokeAuthorization of one that has lapsed | DeleteExpiredAuthorizations":                                  goneMeanwhile,
	"RevokeAuthorization of one that has lapsed | DeleteExpiredAuthorizations, aged":                            goneMeanwhile,
	"EndSession of one that has expired | DeleteExpiredSessions":                                                goneMeanwhile,
	"EndSession of one that has expired | DeleteExpiredSessions, aged":                                          goneMeanwhile,
	"DeleteUser | UpdateClient that hands one over to the user":                                                 "neither sees the other; the collector disables the client",
}

const bothHadRead = "each had read before the other committed, and both end the grants"

const goneMeanwhile = "what has expired is deleted while the call waits for it; revoked says so, as the contract does"

const signedInBefore = "a sign-in that waited for the ending makes room as it is after it, and its session is dead, because it had read before it"

// single says whether each of the calls is one statement. Several statements of another server's can come to what no order of the calls does.
func (m *meeting) single() bool {
	return !slices.ContainsFunc(m.actors, func(a actor) bool { return a.autocommit })
}

// walkAll walks the schedules of meetings, shared among worlds.
func walkAll(t *testing.T, all []*meeting, most int) {
	shards := 1
	if *sample == 0 {
		shards = 4 * runtime.GOMAXPROCS(0) // a call of the driver mostly waits
	}
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			x := newScheduler(newLockWorld(t, maxActors+maxHolders+2))
			begin := time.Now()
			var n tried
			for i, m := range all {
				if i%shards != shard || *only != "" && !regexp.MustCompile(*only).MatchString(m.name()) {
					continue
				}
				if testing.Verbose() && i%200 == shard {
					t.Logf("%d of %d pairs or triples, %d schedules after %s", i, len(all), n.schedules, time.Since(begin).Round(time.Second))
				}
				said := false
				x.try(m, most, &n, func(p *schedule, why string) {
					if !said { // once for each meeting
						t.Errorf("%s:\n%s\t%s", m.name(), p.story(), why)
					}
					said = true
				})
			}
			if n.schedules == 0 && *only == "" {
				t.Error("no schedule")
			}
			t.Logf("%d meetings, %d schedules of %.0f orders at most, in %s; %d came to what no order of the calls does; at most %d, of %s",
				n.meetings, n.schedules, n.orders, time.Since(begin).Round(time.Second), n.mixed, n.most, n.mostOf)
		})
	}
}

// wereWrong are pairs whose schedules have found something.
var wereWrong = []string{
	"CreateAuthorization | CreateAuthorization", "GrantAuthorization with one id | GrantAuthorization with one id",
	"CreateBackchannelAuthentication | CreateBackchannelAuthentication", "ReplaceRecoveryCodes | DeleteRecoveryCodes",
	"DeleteUser | CreateClient", "DeleteUser | RegisterClient", "SuspendUser | DeleteUser",
	"ReinstateUser of one who is suspended | DeleteUser of one who is suspended",
}

// TestSchedulesOfPairs walks all orders in which two calls can meet. In make test these are those that were wrong, and the pairs of a fixed
// sample.
func TestSchedulesOfPairs(t *testing.T) {
	t.Parallel()
	all := pairs()
	if *sample > 0 {
		all = slices.DeleteFunc(all, func(m *meeting) bool { return m.chance()%uint32(*sample) != 0 && !slices.Contains(wereWrong, m.name()) })
	}
	walkAll(t, all, 1000)
}

// TestSchedulesOfTriples walks orders, chosen by a fixed seed, in which a grant and an ending meet another grant or ending.
func TestSchedulesOfTriples(t *testing.T) {
	t.Parallel()
	all := triples()
	if *sample > 0 {
		all = slices.DeleteFunc(all, func(m *meeting) bool { return m.chance()%uint32(*sample) != 0 })
	}
	walkAll(t, all, 0)
}

// triples are two grants and an ending, or a grant and two endings. Of those that lock and write alike, one stands for all.
func triples() []*meeting {
	var grants, ends []any
	for _, name := range []string{
		"ApproveAuthorization", "IssueAuthorizationCode", "GrantAuthorization", "RedeemAuthorizationCode", "PollDeviceCode", "RotateRefreshToken",
		"RotateRefreshToken retried", "ExchangeToken by another client", "GrantConsent", "CreateSession with a maximum", "ReauthenticateSession",
		"another server's rotation of ours",
	} {
		grants = append(grants, grantNamed(name))
	}
	for _, name := range []string{
		"RevokeAuthorization", "RevokeToken of an access token", "EndSession", "EndUserSessions but this one", "RevokeUserAuthorizations",
		"WithdrawConsent", "SuspendUser", "DeleteUser", "DeleteClient", "DELETE of the session",
	} {
		ends = append(ends, endNamed(name))
	}
	var all []*meeting
	add := func(acts ...any) {
		if m := newMeeting(setting{bound: true}, acts...); m.possible() {
			m.set.bound = m.chance()%2 == 0
			all = append(all, m)
		}
	}
	for i, g := range grants {
		for j, e := range ends {
			for _, other := range grants[i:] {
				add(g, other, e)
			}
			for _, other := range ends[j:] {
				add(g, e, other)
			}
		}
	}
	return all
}

// revivals are acts of a user of the scene who is suspended at first. A call of theirs that waits while the suspension is lifted must not refuse
// for what is over by then.
var revivals = []callAct{
	{name: "ApproveAuthorization of a device by one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
			ID: s.asking.id, UserID: s.suspended(), GrantedScopes: s.scopes(), DefaultScopes: fixture.Scopes,
		}))
	}},
	{name: "FindAuthorizationByUserCode by one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).FindAuthorizationByUserCode(ctx, store.FindAuthorizationByUserCodeParams{
			UserCode: fixture.Digest(userCode(s.asking)), UserID: s.suspended(),
		}))
	}},
	{name: "DenyAuthorization of a device by one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		id := s.suspended()
		return came(store.New(c).DenyAuthorization(ctx, store.DenyAuthorizationParams{ID: s.asking.id, UserID: &id}))
	}},
	{name: "IssueGrant with one id to one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p, _ := s.directGrant()
		p.ID, p.AccessTokenID, p.UserID, p.SessionID = store.AuthorizationID("same"+s.n), store.AccessTokenID("same"+s.n), s.suspended(), nil
		p.AccessToken, p.RefreshToken, p.RefreshTokenID = new(fixture.Digest("same")), nil, nil
		return came(store.New(c).IssueGrant(ctx, p))
	}},
	{name: "GrantConsent by one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).GrantConsent(ctx, store.GrantConsentParams{
			ID: store.NewConsentID(), ClientID: s.client, UserID: s.suspended(), Scopes: []string{"email"}, Merge: true,
		}))
	}},
	{name: "CreateSession of one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateSession(ctx, store.CreateSessionParams{
			ID: store.SessionID("same" + s.n), UserID: s.suspended(), Token: fixture.Digest("same"), Lifetime: time.Hour, MaxSessions: 1,
		}))
	}},
}

func (s *scene) suspended() store.UserID { return store.UserID("sus" + s.n) }

// revived are the meetings of two of these calls while the suspension is lifted.
func revived() []*meeting {
	const approve, find, deny, issue, agree, signIn = 0, 1, 2, 3, 4, 5
	reinstate := callActs[slices.IndexFunc(callActs, func(a callAct) bool { return a.name == "ReinstateUser of one who is suspended" })]
	another := callActs[slices.IndexFunc(callActs, func(a callAct) bool { return a.name == "FindAuthorizationByUserCode of another user" })]
	var all []*meeting
	add := func(a, b callAct) {
		all = append(all, newMeeting(setting{bound: true, furnished: true}, &a, &reinstate, &b))
	}
	for _, pair := range [][2]int{{approve, find}, {approve, approve}, {approve, deny}, {find, deny}, {find, find}, {issue, issue}, {agree, agree}, {signIn, signIn}} {
		add(revivals[pair[0]], revivals[pair[1]])
	}
	add(revivals[approve], another)
	add(revivals[find], another)
	return all
}

// TestSchedulesOfRevivals walks orders, chosen by a fixed seed, in which two calls of a user who is suspended meet each other and ReinstateUser.
// In make test these are the two that were wrong.
func TestSchedulesOfRevivals(t *testing.T) {
	t.Parallel()
	all := revived()
	if *sample > 0 {
		all = all[:1]
	}
	for _, m := range all {
		if m.draws = 24; *sample == 0 {
			m.draws = 100
		}
	}
	walkAll(t, all, 0)
}

var (
	sample = flag.Int("sample", 100, "walk the schedules of one in so many pairs and triples of calls; 0 is all of them")
	only   = flag.String("meetings", "", "walk only the schedules of calls whose names match")
)

// inNoOrder are the calls that wait for several rows of one table and lock them in no order, and why they may.
var inNoOrder = map[string]string{
	"DeleteUser account":                 "whoever locks several accounts holds the user",
	"ReplaceRecoveryCodes recovery_code": "whoever locks several codes holds the user",
	"DeleteRecoveryCodes recovery_code":  "whoever locks several codes holds the user",
}

// TestSchedulesSeveralRows wants each call that locks several rows of one table, and waits for them, in rowOrders or inNoOrder. In make test
// these are the calls of a fixed sample.
func TestSchedulesSeveralRows(t *testing.T) {
	t.Parallel()
	listed := maps.Clone(inNoOrder)
	for _, r := range rowOrders {
		listed[r.in+" "+r.table] = "in order"
	}
	listed["ExchangeToken oauth_client"] = "TestExchangeLocksClientsAndUsersInOrder"
	listed["DeleteUser oauth_client"] = listed["disable_owned_clients oauth_client"]
	listed["CreateSession session"] = listed["make_room_for_session session"]
	x := newScheduler(newLockWorld(t, maxActors+maxHolders+2))
	found := 0
	grants, ends, calls, _ := allActs()
	for _, act := range slices.Concat(grants, ends, calls) {
		m := newMeeting(setting{bound: true, furnished: true}, act)
		if e, is := act.(*endAct); is && e.deletes || *sample > 0 && m.chance()%uint32(max(*sample/10, 1)) != 0 && inNoOrder[m.actors[0].name+" recovery_code"] == "" {
			continue
		}
		tables := map[string][]rowName{}
		for row := range x.locksOf(m.actors[0], m.set) {
			table, _, _ := strings.Cut(string(row), " ")
			tables[table] = append(tables[table], row)
		}
		for table, rows := range tables {
			if len(rows) < 2 {
				continue
			}
			waits := 0
			for _, row := range rows {
				p := x.play(x.stage(m.set), m.actors, []rowName{row}, func([]string) int { return 0 })
				waits += len(p.waited)
			}
			name, _, _ := strings.Cut(m.actors[0].name, " ")
			if waits > 1 {
				found++
				if listed[name+" "+table] == "" {
					t.Errorf("%s waits for %d rows of %s: lock them in an order, and add it to rowOrders", m.actors[0].name, waits, table)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no call waits for several rows")
	}
}

// TestSchedulesMeetEveryWrite wants each call that writes by what it finds in the schedules.
func TestSchedulesMeetEveryWrite(t *testing.T) {
	t.Parallel()
	met := map[string]bool{}
	for _, m := range pairs() {
		for _, a := range m.actors {
			name, _, _ := strings.Cut(a.name, " ")
			met[name] = true
		}
	}
	queries, err := queryfile.ConditionalWrites("../../../queries", "../../../routines")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		if !met[q] {
			t.Errorf("%s writes by what it finds, and meets no other call in a schedule: add it to callActs", q)
		}
	}
}

// scheduleFault is a fault that shows only if calls meet.
type scheduleFault struct {
	name, a, b   string // the calls that meet
	c            string // and a third
	in           string // the query or routine
	right, wrong string
	finds        string // in what the test says
}

var scheduleFaults = []scheduleFault{
	{
		name: "the token is locked before its parents", a: "RotateRefreshToken", b: "DELETE of the session", in: "RotateRefreshToken",
		right: `lock_parents((p.r).user_id, (p.r).client_id, (p.r).session_id) AS parents`, wrong: `'locked'::text AS parents`, finds: "error 40P01",
	}, {
		name: "two rotate the same token", a: "RotateRefreshToken", b: "RotateRefreshToken", in: "RotateRefreshToken",
		right: `AND p.fresh AND t.revoked IS NULL`, wrong: `AND p.fresh`, finds: "RotateRefreshToken fails",
	}, {
		name: "an ending marks what it sees and counts nothing", a: "CreateSession", b: "EndUserSessions", in: "EndUserSessions",
		right: `SET sessions_epoch = u.sessions_epoch + 1`, wrong: `SET sessions_epoch = u.sessions_epoch`, finds: "is alive after",
	}, {
		name: "sign-ins don't wait for each other", a: "CreateSession with a maximum", b: "CreateSession with a maximum", in: "make_room_for_session",
		right: `PERFORM FROM "user" AS u WHERE u.id = owner FOR NO KEY UPDATE;`, wrong: ``, finds: "no order of the calls",
	}, {
		name: "a user is deleted while an ending waits", a: "SuspendUser", b: "DeleteUser", in: "settled_of_user",
		right: `LANGUAGE plpgsql VOLATILE`, wrong: `LANGUAGE plpgsql STABLE`, finds: "no order of the calls",
	}, {
		name: "a user who was suspended before", a: "ApproveAuthorization of a device by one who is suspended", b: "ReinstateUser of one who is suspended",
		c: "FindAuthorizationByUserCode by one who is suspended", in: "ApproveAuthorization",
		right: `granter_refusal(l.parents, p.u,`, wrong: `granter_refusal(l.parents, (SELECT o FROM "user" AS o WHERE o.id = $1::user_id),`,
		finds: "no order of the calls",
	},
}

// TestSchedulesFindFaults puts faults into queries and routines, and wants the schedules of two calls to show them.
func TestSchedulesFindFaults(t *testing.T) {
	t.Parallel()
	acts := map[string]any{}
	grants, ends, calls, _ := allActs()
	for _, act := range slices.Concat(grants, ends, calls) {
		acts[newMeeting(setting{}, act).actors[0].name] = act
	}
	for i := range revivals {
		acts[revivals[i].name] = &revivals[i]
	}
	w := newLockWorld(t, maxActors+maxHolders+2)
	x := newScheduler(w)
	for _, f := range scheduleFaults {
		t.Run(f.name, func(t *testing.T) {
			x := &scheduler{
				world: &world{w.ForSubtest(t)}, super: x.super, eraser: x.eraser, actors: x.actors, holders: x.holders, watch: x.watch, staged: x.staged,
				locks: map[string]map[rowName]strength{}, inserts: map[string]map[rowName]bool{},
			}
			meet := []any{acts[f.a], acts[f.b]}
			if f.c != "" {
				meet = append(meet, acts[f.c])
			}
			m := newMeeting(setting{bound: true, furnished: f.c != ""}, meet...)
			m.draws = 24
			m.actors = x.withFault(m.actors, f.in, f.right, f.wrong)
			var found []string
			x.try(m, 1000, new(tried), func(p *schedule, why string) { found = append(found, p.story()+why) })
			if !strings.Contains(strings.Join(found, "\n"), f.finds) {
				t.Errorf("%d schedules are wrong, and none for %q: %v", len(found), f.finds, found)
			}
		})
	}
}

// withFault puts a fault into a query or a routine, until the test ends. The calls that it returns have it.
func (x *scheduler) withFault(actors []actor, in, right, wrong string) []actor {
	x.Helper()
	var source string
	if file, err := os.ReadFile("../../../routines/" + in + ".sql"); err == nil {
		source = string(file)
		_, err := x.super.Exec(x.Ctx, strings.Replace(source, right, wrong, 1))
		x.OK(err)
		x.Cleanup(func() {
			_, err := x.super.Exec(context.WithoutCancel(x.Ctx), source)
			x.OK(err)
		})
	} else {
		queries, err := queryfile.ReadDir("../../../queries")
		x.OK(err)
		source = queries[slices.IndexFunc(queries, func(q queryfile.Query) bool { return q.Name == in })].SQL
	}
	if places := strings.Count(source, right); places != 1 {
		x.Fatalf("%s has changed: %q is in it %d times", in, right, places)
	}
	faulty := slices.Clone(actors)
	for i, a := range actors {
		faulty[i].run = func(ctx context.Context, c conn, s *scene) (string, error) {
			return a.run(ctx, rewritten{c, func(sql string) string {
				if name, _, _ := queryfile.Header(sql); name == in {
					return strings.Replace(sql, right, wrong, 1)
				}
				return sql
			}}, s)
		}
	}
	return faulty
}

func differ(got string, want map[string]string) string {
	var b strings.Builder
	for w, order := range want {
		fmt.Fprintf(&b, "\tbut in the order %s:\n", order)
		g, w := strings.Split(got, "\n"), strings.Split(w, "\n")
		for _, line := range g {
			if !slices.Contains(w, line) {
				fmt.Fprintf(&b, "\t\there  %s\n", line)
			}
		}
		for _, line := range w {
			if !slices.Contains(g, line) {
				fmt.Fprintf(&b, "\t\tthere %s\n", line)
			}
		}
	}
	return b.String()
}
