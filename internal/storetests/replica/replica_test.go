package replica

import (
	"context"
	"errors"
	"flag"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

var revocations = flag.Int("revocations", 3, "how many revocations TestReplica waits for on a standby that lags")

// endings are calls that end a grant, each by another row.
var endings = map[string]func(*pair, grant) (store.Outcome, error){
	"RevokeToken": func(p *pair, g grant) (store.Outcome, error) {
		params := p.RevokeParams(g.Refresh)
		params.ClientID = g.client
		r, err := p.Q.RevokeToken(p.Ctx, params)
		return r.Outcome, err
	},
	"RevokeAuthorization": func(p *pair, g grant) (store.Outcome, error) {
		r, err := p.Q.RevokeAuthorization(p.Ctx, g.Authorization)
		return r.Outcome, err
	},
	"EndSession": func(p *pair, g grant) (store.Outcome, error) {
		r, err := p.Q.EndSession(p.Ctx, g.sess)
		return r.Outcome, err
	},
	"EndUserSessions": func(p *pair, g grant) (store.Outcome, error) {
		r, err := p.Q.EndUserSessions(p.Ctx, store.EndUserSessionsParams{UserID: g.user})
		return r.Outcome, err
	},
	"RevokeUserAuthorizations": func(p *pair, g grant) (store.Outcome, error) {
		return p.Q.RevokeUserAuthorizations(p.Ctx, g.user)
	},
	"RevokeUserAuthorizationsByClient": func(p *pair, g grant) (store.Outcome, error) {
		return p.Q.RevokeUserAuthorizationsByClient(p.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: g.user, ClientID: g.client})
	},
	"SuspendUser": func(p *pair, g grant) (store.Outcome, error) {
		r, err := p.Q.SuspendUser(p.Ctx, g.user)
		return r.Outcome, err
	},
	"DisableClient": func(p *pair, g grant) (store.Outcome, error) { return p.Q.DisableClient(p.Ctx, g.client) },
	"RevokeClientAuthorizations": func(p *pair, g grant) (store.Outcome, error) {
		return p.Q.RevokeClientAuthorizations(p.Ctx, g.client)
	},
}

// One pair serves all cases, which stop the replay of its log, and in the end promote it.
func TestReplica(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cases := []struct {
		name string
		test func(*pair)
	}{
		{"a standby that has the position answers as the primary does", answersAsThePrimary},
		{"what was revoked before the position is dead, however late the standby is", revokedIsDead},
		{"a standby that lags answers once it has the position", waits},
		{"a position that was taken before the commit is too early", tooEarly},
		{"a single statement that waits reads what was there before", singleStatement},
		{"snapshots that are older than the answer aren't used", repeatableRead},
		{"without a position the primary answers", withoutPosition},
		{"a position on an idle primary is one that a standby gets to", idle},
		{"there is time left for the primary", deadline},
		{"the time is up while the standby is asked once more", upWhileAsked},
		{"callers share positions", sharedPositions},
		{"a role with no rights but to read is enough", reader},
		{"a server that never was a standby answers at once", neverAStandby},
		{"a server of another database isn't read", anotherServer},
		{"a standby that is away costs no answer", away},
		{"a standby that was promoted answers at once", promoted},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(p.forSubtest(t)) })
	}
}

func answersAsThePrimary(p *pair) {
	g := p.grant()
	r, q := p.replica(p.standby.URL, p.Pool, forever)
	ctx := db.After(p.Ctx, p.here(p.Pool))
	for name, introspect := range g.introspections() {
		want, outcome, err := introspect(p.Ctx, p.Q)
		p.OK(err)
		p.Want(name+" on the primary", outcome, store.OutcomeActive)
		got, _, err := introspect(ctx, q)
		p.OK(err)
		if !reflect.DeepEqual(got, want) {
			p.Errorf("%s: the standby answers %+v, the primary %+v", name, got, want)
		}
	}
	if s := r.Stat(); s != (db.ReplicaStat{ByStandby: 5}) {
		p.Errorf("%+v, want all answered by the standby", s)
	}
}

func revokedIsDead(p *pair) {
	grants := map[string]grant{}
	for name := range endings {
		grants[name] = p.grant()
	}
	p.caughtUp()
	p.on(`SELECT pg_wal_replay_pause()`)
	defer p.on(`SELECT pg_wal_replay_resume()`)
	r, q := p.replica(p.standby.URL, p.Pool, 300*time.Millisecond)
	stale := store.New(p.raw)
	for name, g := range grants {
		outcome, err := endings[name](p, g)
		p.OK(err)
		p.Want(name, outcome, store.OutcomeEnded)
		p.want(p.Ctx, name+", on the standby without a position", stale, g, store.OutcomeActive) // else the test would prove nothing
		p.want(db.After(p.Ctx, p.here(p.Pool)), name, q, g, store.OutcomeInactive)
	}
	if s := r.Stat(); s.ByStandby != 0 || s.Behind == 0 {
		p.Errorf("%+v, want none answered by a standby that stands still", s)
	}
}

// waits measures how long what was revoked stays alive on the standby, too.
func waits(p *pair) {
	r, q := p.replica(p.standby.URL, p.Pool, forever)
	stale := store.New(p.raw)
	active, windows := 0, []time.Duration{}
	n := *revocations
	if testing.Short() {
		n = 1
	}
	for range n {
		g := p.grant()
		p.want(db.After(p.Ctx, p.here(p.Pool)), "before it is revoked", q, g, store.OutcomeActive)
		_, err := p.Q.RevokeAuthorization(p.Ctx, g.Authorization)
		p.OK(err)
		revoked := time.Now()
		before := r.Stat()
		ctx := db.After(p.Ctx, p.here(p.Pool))
		done := make(chan time.Duration, 1)
		go func() { // asks the standby as if there were no positions
			p.Until("the standby hears of it", func() bool {
				row, err := stale.IntrospectAuthorization(p.Ctx, store.IntrospectAuthorizationParams{ID: g.Authorization, ClientAuthMethod: fixture.Server})
				return err == nil && row.Outcome == store.OutcomeInactive
			})
			done <- time.Since(revoked)
		}()
		for name, introspect := range g.introspections() {
			_, outcome, err := introspect(ctx, q)
			p.OK(err)
			if outcome != store.OutcomeInactive {
				active++
				p.Errorf("%s: %s, want inactive", name, outcome)
			}
		}
		windows = append(windows, <-done)
		if s := r.Stat(); s.ByStandby != before.ByStandby+5 {
			p.Errorf("%+v after %+v, want five more answered by the standby", s, before)
		}
	}
	slices.Sort(windows)
	p.Logf("%d revocations: without a position the standby has them active for up to %d ms (median %d); with one, %d of %d answers were active",
		len(windows), windows[len(windows)-1].Milliseconds(), windows[len(windows)/2].Milliseconds(), active, 5*len(windows))
	if windows[len(windows)-1] < *lag/2 {
		p.Errorf("the standby doesn't lag: %s", windows)
	}
}

// tooEarly takes the position in the transaction that revokes. The test shows that such a mistake would be found.
func tooEarly(p *pair) {
	g := p.grant()
	p.caughtUp()
	tx, err := p.Pool.Begin(p.Ctx)
	p.OK(err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(p.Ctx)) }()
	_, err = p.Q.WithTx(tx).RevokeAuthorization(p.Ctx, g.Authorization)
	p.OK(err)
	early := p.here(p.Pool)
	p.caughtUp()
	p.on(`SELECT pg_wal_replay_pause()`)
	defer p.on(`SELECT pg_wal_replay_resume()`)
	p.OK(tx.Commit(p.Ctx))

	r, q := p.replica(p.standby.URL, p.Pool, forever)
	p.want(db.After(p.Ctx, early), "after a position from before the commit", q, g, store.OutcomeActive)
	if s := r.Stat(); s.ByStandby != 5 {
		p.Errorf("%+v, want all answered by the standby", s)
	}
	_, q = p.replica(p.standby.URL, p.Pool, 100*time.Millisecond)
	p.want(db.After(db.After(p.Ctx, early), p.here(p.Pool)), "after the later of two positions", q, g, store.OutcomeInactive)
	p.want(db.After(db.After(p.Ctx, p.here(p.Pool)), early), "after the later of two positions", q, g, store.OutcomeInactive)
}

// singleStatement shows why the wait isn't part of the statement that reads: its snapshot is that of its beginning.
func singleStatement(p *pair) {
	p.Exec(`
		CREATE FUNCTION wait_for(place pg_lsn) RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN
			WHILE pg_last_wal_replay_lsn() < place LOOP PERFORM pg_sleep(0.01); END LOOP;
			RETURN true;
		END $$`)
	g := p.grant()
	p.caughtUp()
	p.on(`SELECT pg_wal_replay_pause()`)
	_, err := p.Q.RevokeAuthorization(p.Ctx, g.Authorization)
	p.OK(err)
	at := p.here(p.Pool)
	p.NewUser()
	type answer struct {
		live bool
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.err = p.raw.QueryRow(p.Ctx, `
			SELECT wait_for('0/0'::pg_lsn + ('x' || $1::text)::bit(64)::int8) AND a.revoked_at IS NULL FROM oauth_authorization AS a WHERE a.id = $2`,
			at.String()[9:], string(g.Authorization)).Scan(&a.live)
		answers <- a
	}()
	p.Until("the statement waits", func() bool {
		var waiting bool
		p.OK(p.raw.QueryRow(p.Ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')`).Scan(&waiting))
		return waiting
	})
	p.on(`SELECT pg_wal_replay_resume()`)
	a := <-answers
	p.OK(a.err)
	if !a.live {
		p.Error("a single statement sees what was replayed while it waited: the read needs no statement of its own")
	}
	_, q := p.replica(p.standby.URL, p.Pool, forever)
	p.want(db.After(p.Ctx, at), "after the same position", q, g, store.OutcomeInactive)
}

func repeatableRead(p *pair) {
	g := p.grant()
	p.caughtUp()
	u, err := url.Parse(p.standby.URL)
	p.OK(err)
	u.RawQuery += "&default_transaction_isolation=repeatable%20read"
	r, q := p.replica(u.String(), p.Pool, forever)
	p.want(db.After(p.Ctx, p.here(p.Pool)), "with repeatable read", q, g, store.OutcomeActive)
	if s := r.Stat(); s != (db.ReplicaStat{Behind: 5}) {
		p.Errorf("%+v, want none answered by the standby", s)
	}
}

func withoutPosition(p *pair) {
	g := p.grant()
	_, err := p.Q.RevokeAuthorization(p.Ctx, g.Authorization)
	p.OK(err)
	r, q := p.replica(p.standby.URL, p.Pool, forever)
	p.want(p.Ctx, "without a position", q, g, store.OutcomeInactive)
	p.want(db.After(p.Ctx, db.Position{}), "after no position", q, g, store.OutcomeInactive)
	p.want(db.After(db.After(p.Ctx, p.here(p.Pool)), db.Position{}), "after one that couldn't be had", q, g, store.OutcomeInactive)
	if s := r.Stat(); s != (db.ReplicaStat{Without: 15}) {
		p.Errorf("%+v, want all answered by the primary", s)
	}

	// All other calls go to the primary, with a position or without.
	ctx := db.After(p.Ctx, p.here(p.Pool))
	_, err = q.CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "Grace"})
	p.OK(err)
	_, err = q.ListUserSessions(ctx, store.ListUserSessionsParams{UserID: g.user, PageSize: 10})
	p.OK(err)
	_, err = q.DeleteExpiredProofs(ctx, store.DeleteExpiredProofsParams{BatchSize: 10})
	p.OK(err)
}

// idle takes a position where the primary is about to write the header of a segment, and then writes nothing.
func idle(p *pair) {
	g := p.grant()
	p.caughtUp()
	p.Exec(`SELECT pg_switch_wal()`)
	at := p.here(p.Pool)
	var begins string
	p.OK(p.Pool.QueryRow(p.Ctx, `
		SELECT upper(lpad(to_hex(l - l % s), 16, '0'))
		FROM (SELECT (pg_current_wal_insert_lsn() - '0/0')::int8, pg_size_bytes(current_setting('wal_segment_size'))) AS x (l, s)`).Scan(&begins))
	if at.String()[9:] != begins {
		p.Errorf("the position is %s, want that where the segment begins, %s: no record ends after it", at, begins)
	}
	r, q := p.replica(p.standby.URL, p.Pool, forever)
	p.want(db.After(p.Ctx, at), "on an idle primary", q, g, store.OutcomeActive)
	if s := r.Stat(); s.ByStandby != 5 {
		p.Errorf("%+v, want all answered by the standby", s)
	}
}

// deadline gives less time than a standby may take.
func deadline(p *pair) {
	g := p.grant()
	p.caughtUp()
	p.on(`SELECT pg_wal_replay_pause()`)
	defer p.on(`SELECT pg_wal_replay_resume()`)
	p.NewUser()
	r, q := p.replica(p.standby.URL, p.Pool, forever)
	ctx, cancel := context.WithTimeout(db.After(p.Ctx, p.here(p.Pool)), 8*time.Second)
	defer cancel()
	row, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: fixture.Digest(g.Access), ClientAuthMethod: fixture.Server})
	p.OK(err)
	p.Want("IntrospectToken with a deadline", row.Outcome, store.OutcomeActive)
	if ends, _ := ctx.Deadline(); time.Until(ends) < time.Second {
		p.Errorf("the primary was asked %s before the deadline", time.Until(ends))
	}
	if s := r.Stat(); s != (db.ReplicaStat{Behind: 1}) {
		p.Errorf("%+v, want it answered by the primary", s)
	}
}

// upWhileAsked has a standby answer once that it is behind, and not again: it has not failed.
func upWhileAsked(p *pair) {
	g := p.grant()
	p.caughtUp()
	p.on(`SELECT pg_wal_replay_pause()`)
	defer p.on(`SELECT pg_wal_replay_resume()`)
	p.NewUser()
	r, err := db.OpenReplica(p.Ctx, p.standby.URL, p.Pool, db.Options{ReplicaWait: time.Second, Tracer: &slowAfterOne{}})
	p.OK(err)
	p.Cleanup(r.Close)
	row, err := store.New(r).IntrospectToken(db.After(p.Ctx, p.here(p.Pool)), store.IntrospectTokenParams{Token: fixture.Digest(g.Access), ClientAuthMethod: fixture.Server})
	p.OK(err)
	p.Want("IntrospectToken", row.Outcome, store.OutcomeActive)
	if s := r.Stat(); s != (db.ReplicaStat{Behind: 1}) {
		p.Errorf("%+v, want it answered by the primary, as the standby was behind", s)
	}
}

// slowAfterOne lets one batch pass, and holds each other one until its time is up.
type slowAfterOne struct {
	statements
	batches atomic.Int64
}

func (s *slowAfterOne) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	if s.batches.Add(1) > 1 {
		<-ctx.Done()
	}
	return ctx
}

func (s *slowAfterOne) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *slowAfterOne) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// statements counts what is sent.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// sharedPositions has many ask at once, each for a position of its own, of what was revoked just before.
func sharedPositions(p *pair) {
	const callers = 16
	var counted statements
	primary, err := db.Open(p.Ctx, p.primary.URL, db.Options{MaxConns: 4, Tracer: &counted})
	p.OK(err)
	p.Cleanup(primary.Close)
	r, q := p.replica(p.standby.URL, primary, forever)
	grants := make([]grant, callers)
	for i := range grants {
		grants[i] = p.grant()
	}
	p.caughtUp()
	before := counted.n.Load()
	var asked atomic.Int64
	fixture.Together(fixture.Times(callers, func(i int) {
		ask := func(want store.Outcome) {
			at, err := r.Position(p.Ctx)
			if err != nil {
				p.Error(err)
				return
			}
			row, err := q.IntrospectToken(db.After(p.Ctx, at), store.IntrospectTokenParams{Token: fixture.Digest(grants[i].Access), ClientAuthMethod: fixture.Server})
			if err != nil || row.Outcome != want {
				p.Errorf("%s, %v; want %s", row.Outcome, err, want)
			}
			asked.Add(1)
		}
		for range 20 {
			ask(store.OutcomeActive)
		}
		if _, err := p.Q.RevokeAuthorization(p.Ctx, grants[i].Authorization); err != nil {
			p.Error(err)
			return
		}
		ask(store.OutcomeInactive)
	})...)
	p.Logf("%d introspections of %d callers took %d statements on the primary", asked.Load(), callers, counted.n.Load()-before)
	if s := r.Stat(); s.ByStandby != asked.Load() || asked.Load() != 21*callers {
		p.Errorf("%+v, want all of %d answered by the standby", s, asked.Load())
	}
}

func reader(p *pair) {
	p.Exec(`CREATE ROLE reader LOGIN PASSWORD 'reader'`)
	p.Exec(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader`)
	g := p.grant()
	p.caughtUp()
	as := func(raw string) string {
		u, err := url.Parse(raw)
		p.OK(err)
		u.User = url.UserPassword("reader", "reader")
		return u.String()
	}
	primary, err := db.Open(p.Ctx, as(p.primary.URL), db.Options{MaxConns: 2})
	p.OK(err)
	p.Cleanup(primary.Close)
	r, q := p.replica(as(p.standby.URL), primary, forever)
	at, err := r.Position(p.Ctx)
	p.OK(err)
	p.want(db.After(p.Ctx, at), "as a role that reads", q, g, store.OutcomeActive)
	if s := r.Stat(); s != (db.ReplicaStat{ByStandby: 5}) {
		p.Errorf("%+v, want all answered by the standby", s)
	}
	p.OK(db.Check(p.Ctx, r.Standby(), db.CheckOptions{Standby: true}))
	if err := db.Check(p.Ctx, r.Standby(), db.CheckOptions{}); !errors.Is(err, db.ErrStandby) {
		p.Errorf("a standby is ready to write: %v", err)
	}
}

func neverAStandby(p *pair) {
	g := p.grant()
	r, q := p.replica(p.primary.URL, p.Pool, forever)
	p.want(db.After(p.Ctx, p.here(p.Pool)), "on the primary", q, g, store.OutcomeActive)
	if s := r.Stat(); s != (db.ReplicaStat{ByStandby: 5}) {
		p.Errorf("%+v, want all answered there", s)
	}
}

func anotherServer(p *pair) {
	g := p.grant()
	r, q := p.replica(storetest.New(p.TB).URL, p.Pool, forever)
	p.want(db.After(p.Ctx, p.here(p.Pool)), "with a server that is no copy", q, g, store.OutcomeActive)
	if s := r.Stat(); s.Failed != 5 || !strings.Contains(s.LastError, "no copy") {
		p.Errorf("%+v, want no answer from there, and why", s)
	}
}

func away(p *pair) {
	g := p.grant()
	r, q := p.replica(p.standby.URL, p.Pool, forever)
	ctx := db.After(p.Ctx, p.here(p.Pool))
	p.want(ctx, "with the standby", q, g, store.OutcomeActive)
	p.OK(p.standby.Stop(p.Ctx))
	_, err := p.Q.RevokeAuthorization(p.Ctx, g.Authorization)
	p.OK(err)
	p.want(db.After(ctx, p.here(p.Pool)), "without the standby", q, g, store.OutcomeInactive)
	if s := r.Stat(); s.ByStandby != 5 || s.Failed == 0 || s.LastError == "" {
		p.Errorf("%+v, want the last answers from the primary, and why", s)
	}
	p.OK(p.standby.Restart(p.Ctx))
	p.Until("the standby is used again", func() bool {
		before := r.Stat().ByStandby
		p.want(db.After(ctx, p.here(p.Pool)), "when the standby is back", q, g, store.OutcomeInactive)
		return r.Stat().ByStandby > before
	})
}

// promoted promotes the standby while the primary lives on, as happens when a copy of a database is made. It hears no more of what
// is revoked, and says so at once. Then it takes the primary's place.
func promoted(p *pair) {
	g := p.grant()
	p.caughtUp()
	r, q := p.replica(p.standby.URL, p.Pool, forever)
	before := p.here(p.Pool)
	p.want(db.After(p.Ctx, before), "before the promotion", q, g, store.OutcomeActive)
	began := time.Now()
	elsewhere, err := db.ParsePosition("00000002-0000000000000001")
	p.OK(err)
	p.want(db.After(p.Ctx, elsewhere), "with a position of another timeline", q, g, store.OutcomeActive)
	if s := r.Stat(); s != (db.ReplicaStat{ByStandby: 5, Behind: 5}) {
		p.Errorf("%+v, want none answered by a standby of another timeline", s)
	}
	p.OK(p.standby.Promote(p.Ctx))
	_, err = p.Q.RevokeAuthorization(p.Ctx, g.Authorization)
	p.OK(err)
	at := p.here(p.Pool)
	p.lengthen(p.raw, at)
	p.want(p.Ctx, "on the standby that was promoted", store.New(p.raw), g, store.OutcomeActive)
	p.want(db.After(p.Ctx, at), "by the primary that lives on", q, g, store.OutcomeInactive)
	if time.Since(began) > forever/2 {
		p.Error("a server that can't get there was waited for")
	}
	if s := r.Stat(); s != (db.ReplicaStat{ByStandby: 5, Behind: 10}) {
		p.Errorf("%+v, want no answer from a standby that was promoted", s)
	}

	// Positions of the new primary are good there, and say nothing about the old one, however long its log is.
	primary := *p
	primary.World = fixture.Of(p.TB, p.raw)
	h := grant{user: p.User, client: p.Client, sess: p.Session, Tokens: primary.worldOf(p).Redeem()}
	r, q = p.replica(p.standby.URL, p.raw, forever)
	at = p.here(p.raw)
	p.lengthen(p.Pool, at)
	row, err := q.IntrospectToken(db.After(p.Ctx, at), store.IntrospectTokenParams{Token: fixture.Digest(h.Access), ClientAuthMethod: fixture.Server})
	p.OK(err)
	p.Want("IntrospectToken on the new primary", row.Outcome, store.OutcomeActive)
	if s := r.Stat(); s != (db.ReplicaStat{ByStandby: 1}) {
		p.Errorf("%+v, want it answered by the new primary", s)
	}
	r, q = p.replica(p.primary.URL, p.raw, forever)
	row, err = q.IntrospectToken(db.After(p.Ctx, at), store.IntrospectTokenParams{Token: fixture.Digest(h.Access), ClientAuthMethod: fixture.Server})
	p.OK(err)
	p.Want("IntrospectToken with the old primary for a standby", row.Outcome, store.OutcomeActive)
	if s := r.Stat(); s != (db.ReplicaStat{Behind: 1}) {
		p.Errorf("%+v, want no answer from the old primary", s)
	}
	p.want(db.After(db.After(p.Ctx, before), at), "after positions of two timelines", q, g, store.OutcomeActive) // as the revocation is lost
	if s := r.Stat(); s != (db.ReplicaStat{Behind: 1, Without: 5}) {
		p.Errorf("%+v, want those answered by the new primary", s)
	}
}

// worldOf is the world of the new primary with the people of the old one.
func (p *pair) worldOf(old *pair) *fixture.World {
	w := *p.World
	w.User, w.Session, w.Client = old.User, old.Session, old.Client
	return &w
}

// TestCallsAreComplete holds the tests to the calls that there are.
func TestCallsAreComplete(t *testing.T) {
	t.Parallel()
	tried := slices.Sorted(maps.Keys(grant{}.introspections()))
	var all []string
	for m := range reflect.TypeFor[store.Querier]().Methods() {
		if strings.HasPrefix(m.Name, "Introspect") {
			all = append(all, m.Name)
		}
	}
	if !slices.Equal(tried, all) {
		t.Errorf("the tests ask by %s, of %s", tried, all)
	}
}
