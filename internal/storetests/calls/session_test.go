package calls

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// undone runs a case in a transaction that is rolled back. now() stands still in it: what happens at an instant can be told from what
// happens right before and after it.
func (w *world) undone(f func(tx pgx.Tx, q *store.Queries)) {
	w.Helper()
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer func() { w.OK(tx.Rollback(w.Ctx)) }()
	f(tx, recorded(tx, nil))
}

// stillTime is undone, for a case that makes calls and runs statements by hand.
func (w *world) stillTime(do func(q *store.Queries, exec func(sql string, args ...any))) {
	w.Helper()
	w.undone(func(tx pgx.Tx, q *store.Queries) {
		w.Helper()
		do(q, func(sql string, args ...any) {
			w.Helper()
			_, err := tx.Exec(w.Ctx, sql, args...)
			w.OK(err)
		})
	})
}

// on is the same world, whose calls are made on q.
func (w *world) on(q *store.Queries) *world {
	on := *w.World
	on.Q = q
	return &world{&on, w.machineClient, w.diary}
}

func TestSessionIsWhatWasCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := store.CreateSessionParams{
		ID: store.NewSessionID(), UserID: w.User, Token: fixture.Digest("cookie"), Lifetime: 90 * time.Minute,
		IPAddress: new("2001:db8::1"), UserAgent: new("curl/8"),
	}
	created, err := w.Q.CreateSession(w.Ctx, p)
	w.OK(err)
	got, err := w.Q.GetSession(w.Ctx, p.ID)
	w.OK(err)
	if got.ID != p.ID || got.UserID != p.UserID || got.Token != p.Token || *got.IPAddress != *p.IPAddress || *got.UserAgent != *p.UserAgent {
		t.Errorf("created %+v, got %+v", p, got)
	}
	if !got.ExpiresAt.Equal(got.CreatedAt.Add(p.Lifetime)) || !got.ExpiresAt.Equal(*created.ExpiresAt) || created.Outcome != store.OutcomeCreated {
		t.Errorf("created at %v for %v, expires at %v", got.CreatedAt, p.Lifetime, got.ExpiresAt)
	}
	plain, err := w.Q.GetSession(w.Ctx, w.Session)
	w.OK(err)
	if plain.IPAddress != nil || plain.UserAgent != nil {
		t.Errorf("said nothing of it, got %+v", plain)
	}
	_, err = w.Q.GetSession(w.Ctx, "none")
	w.None(err)
}

func TestSessionIsFoundByItsCookieWhileItLasts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	found, err := w.Q.FindSessionByToken(w.Ctx, fixture.Digest(string(w.Session)))
	w.OK(err)
	if found.Session.ID != w.Session || found.User.ID != w.User || found.Session.UserID != w.User || *found.User.Email != string(w.User)+"@example.com" {
		t.Errorf("found %+v", found)
	}
	_, err = w.Q.FindSessionByToken(w.Ctx, fixture.Digest("another cookie"))
	w.None(err)
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`UPDATE session SET expires_at = now() + interval '1 microsecond'`)
		_, err := q.FindSessionByToken(w.Ctx, fixture.Digest(string(w.Session)))
		w.OK(err)
		exec(`UPDATE session SET expires_at = now()`)
		_, err = q.FindSessionByToken(w.Ctx, fixture.Digest(string(w.Session)))
		w.None(err)
		s, err := q.GetSession(w.Ctx, w.Session)
		w.OK(err)
		if s.ID != w.Session {
			t.Errorf("GetSession of an expired one: %+v", s)
		}
	})
}

func TestSessionsOfAUserAreListedPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	other := w.NewUser()
	w.NewSession(other)
	w.Exec(`DELETE FROM session WHERE user_id = $1`, w.User)
	w.Exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ('expired', $1, 'expired', now() - interval '1 second')`, w.User)
	w.isPaged(keyset{
		page: func(after place, size int32) ([]place, error) {
			rows, err := w.Q.ListUserSessions(w.Ctx, store.ListUserSessionsParams{
				UserID: w.User, AfterCreatedAt: after.createdAt, AfterID: store.SessionID(after.id), PageSize: size,
			})
			return places(rows, func(s store.Session) place { return place{s.CreatedAt, string(s.ID)} }), err
		},
		insert: func(id string, createdAt time.Time) {
			w.Exec(`INSERT INTO session (id, created_at, user_id, token, expires_at) VALUES ($1, $2, $3, $4, now() + interval '1 hour')`,
				id, createdAt, w.User, id)
		},
		remove: func(id string) { w.Exec(`DELETE FROM session WHERE id = $1`, id) },
	})
}

func TestListOfSessionsHasTheLiveOnesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.NewSession(w.NewUser())
	ids := func(q *store.Queries) (ids []string) {
		rows, err := q.ListUserSessions(w.Ctx, store.ListUserSessionsParams{UserID: w.User, PageSize: 10})
		w.OK(err)
		for _, s := range rows {
			ids = append(ids, string(s.ID))
		}
		return ids
	}
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`DELETE FROM session WHERE user_id = $1`, w.User)
		exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES
			('a', $1, 'a', now() - interval '1 hour'), ('b', $1, 'b', now()), ('c', $1, 'c', now() + interval '1 microsecond'), ('d', $1, 'd', now() + interval '1 year')`, w.User)
		if got := ids(q); !slices.Equal(got, []string{"c", "d"}) {
			t.Errorf("got %v, want c and d", got)
		}
	})
}

func TestSessionSlides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		age, left   string // of the session
		lifetime    time.Duration
		minGain     time.Duration
		maxLifetime *time.Duration
		want        time.Duration // from now; 0: no rows
		extended    bool
	}{
		"lasts for another lifetime":             {age: "1 hour", left: "10 minutes", lifetime: time.Hour, want: time.Hour, extended: true},
		"of any age, without a bound":            {age: "1000 days", left: "10 minutes", lifetime: time.Hour, want: time.Hour, extended: true},
		"however little is gained":               {age: "1 hour", left: "59 minutes 59.999999 seconds", lifetime: time.Hour, want: time.Hour, extended: true},
		"not for nothing":                        {age: "1 hour", left: "1 hour", lifetime: time.Hour, want: time.Hour},
		"not while less than min_gain is gained": {age: "1 hour", left: "50 minutes 0.000001 seconds", lifetime: time.Hour, minGain: 10 * time.Minute, want: 50*time.Minute + time.Microsecond},
		"when just min_gain is gained":           {age: "1 hour", left: "50 minutes", lifetime: time.Hour, minGain: 10 * time.Minute, want: time.Hour, extended: true},
		"never lasts less long than before":      {age: "1 hour", left: "2 hours", lifetime: time.Hour, want: 2 * time.Hour},
		"up to max_lifetime from its beginning":  {age: "23 hours 30 minutes", left: "10 minutes", lifetime: time.Hour, maxLifetime: &day, want: 30 * time.Minute, extended: true},
		"not beyond max_lifetime":                {age: "24 hours", left: "10 minutes", lifetime: time.Hour, maxLifetime: &day, want: 10 * time.Minute},
		"max_lifetime does not shorten it":       {age: "25 hours", left: "3 hours", lifetime: time.Hour, maxLifetime: &day, want: 3 * time.Hour},
		"max_lifetime that is far":               {age: "1 hour", left: "10 minutes", lifetime: time.Hour, maxLifetime: &day, want: time.Hour, extended: true},
		"min_gain counts up to max_lifetime":     {age: "23 hours 50 minutes", left: "5 minutes", lifetime: time.Hour, minGain: 6 * time.Minute, maxLifetime: &day, want: 5 * time.Minute},
		"expired for good":                       {age: "1 hour", left: "-1 minutes", lifetime: time.Hour},
		"expired at this very instant":           {age: "1 hour", left: "0", lifetime: time.Hour},
		"alive to the last instant":              {age: "1 hour", left: "0.000001 seconds", lifetime: time.Hour, want: time.Hour, extended: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.TB = t
			w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
				exec(`UPDATE session SET created_at = now() - $1::text::interval, updated_at = now() - interval '1 minute', expires_at = now() + $2::text::interval`, c.age, c.left)
				before, err := q.GetSession(w.Ctx, w.Session)
				w.OK(err)
				now := before.UpdatedAt.Add(time.Minute)
				got, err := q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: c.lifetime, MinGain: c.minGain, MaxLifetime: c.maxLifetime})
				after, err2 := q.GetSession(w.Ctx, w.Session)
				w.OK(err2)
				w.OK(err)
				if c.want == 0 {
					wantEqual(t, "answer", got, store.ExtendSessionRow{Outcome: store.OutcomeSignedOut})
					if !after.ExpiresAt.Equal(before.ExpiresAt) || !after.UpdatedAt.Equal(before.UpdatedAt) {
						t.Errorf("an expired session was changed from %+v to %+v", before, after)
					}
					return
				}
				if *got.UserID != w.User || (got.Outcome == store.OutcomeExtended) != c.extended || (got.Outcome == store.OutcomeActive) == c.extended {
					t.Errorf("got %+v, want it extended: %t", got, c.extended)
				}
				if !got.ExpiresAt.Equal(now.Add(c.want)) {
					t.Errorf("it lasts for %v from now, want %v", got.ExpiresAt.Sub(now), c.want)
				}
				if !after.ExpiresAt.Equal(*got.ExpiresAt) {
					t.Errorf("answered %v, stored %v", got.ExpiresAt, after.ExpiresAt)
				}
				wantEqual(t, "last seen now", after.LastSeenAt != nil && after.LastSeenAt.Equal(now), c.extended)
				if written := !after.UpdatedAt.Equal(before.UpdatedAt); written != c.extended {
					t.Errorf("the row was written: %t, want %t", written, c.extended)
				}
			})
		})
	}
	got, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: "none", Lifetime: time.Hour})
	w.OK(err)
	w.want("of no session", got.Outcome, store.OutcomeSignedOut)
}

// Many requests of one browser arrive at once, and min_gain is there to make one of them write. The others answer with
// what that one wrote.
func TestConcurrentExtensionsOfASessionWriteOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	for range 25 {
		w.Exec(`UPDATE session SET expires_at = now() + interval '1 minute'`)
		var wg sync.WaitGroup
		var mu sync.Mutex
		extended, answers := 0, map[time.Time]int{}
		for range 8 {
			wg.Go(func() {
				r, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: time.Hour, MinGain: time.Minute})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				answers[r.ExpiresAt.UTC()]++
				if r.Outcome == store.OutcomeExtended {
					extended++
				}
			})
		}
		wg.Wait()
		stored, err := w.Q.GetSession(w.Ctx, w.Session)
		w.OK(err)
		if extended != 1 || len(answers) != 1 || answers[stored.ExpiresAt.UTC()] != 8 {
			t.Fatalf("%d calls extended the session, to %v; the answers are %v", extended, stored.ExpiresAt.UTC(), answers)
		}
	}
}

// A call that waits for another one's change goes by what it finds then, not by what it saw before.
func TestExtensionThatWaitedGoesByTheSessionAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	later := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change string
		want   *time.Time // nil: no rows
	}{
		"extended far":  {`UPDATE session SET expires_at = '2100-01-01 00:00:00Z'`, &later},
		"expired":       {`UPDATE session SET expires_at = now() - interval '1 hour'`, nil},
		"ended by then": {`DELETE FROM session`, nil},
	} {
		w.Exec(`DELETE FROM session`)
		w.Session = w.NewSession(w.User)
		other := w.otherSession()
		_, err := other.Exec(w.Ctx, c.change)
		w.OK(err)
		type answer struct {
			row store.ExtendSessionRow
			err error
		}
		answered := make(chan answer, 1)
		go func() {
			row, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: 2 * time.Hour})
			answered <- answer{row, err}
		}()
		w.Until("the call waits", func() bool { return w.activity(other, "a.wait_event_type = 'Lock'") == 1 })
		w.OK(other.Commit(w.Ctx))
		a := <-answered
		w.OK(a.err)
		if c.want == nil {
			w.want(name, a.row.Outcome, store.OutcomeSignedOut)
			continue
		}
		if !a.row.ExpiresAt.Equal(*c.want) || a.row.Outcome != store.OutcomeActive {
			t.Errorf("%s: got %+v, want it to expire at %v, not extended", name, a.row, *c.want)
		}
	}
}

func sessionRow[ID ~string](change string, id ID) string { return rowName(change, "session", id) }

func (w *world) sessionOf(id store.SessionID) store.Session {
	w.Helper()
	s, err := w.Q.GetSession(w.Ctx, id)
	w.OK(err)
	return s
}

func (w *world) createSession(change ...func(*store.CreateSessionParams)) (store.SessionID, store.CreateSessionRow) {
	w.Helper()
	id := store.NewSessionID()
	p := store.CreateSessionParams{ID: id, UserID: w.User, Token: fixture.Digest(string(id)), Lifetime: time.Hour}
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.CreateSession(w.Ctx, p)
	w.OK(err)
	return id, row
}

// liveSessions are those of the world's user, oldest first.
func (w *world) liveSessions() (ids []store.SessionID) {
	w.Helper()
	rows, err := w.Q.ListUserSessions(w.Ctx, store.ListUserSessionsParams{UserID: w.User, PageSize: 100})
	w.OK(err)
	for _, s := range rows {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestNobodySignsInWhoMayNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	suspended, deleted := w.NewUser(), w.NewUser()
	w.suspend(suspended)
	w.deleteUser(deleted)
	for user, want := range map[store.UserID]store.Outcome{
		"unknown": store.OutcomeUnknown, deleted: store.OutcomeUnknown, suspended: store.OutcomeSuspended,
	} {
		for _, most := range []int32{0, 1} {
			w.Unchanged(func() {
				_, row := w.createSession(func(p *store.CreateSessionParams) { p.UserID, p.MaxSessions = user, most })
				wantEqual(t, string(want), row, store.CreateSessionRow{Outcome: want})
			})
		}
	}
}

func TestSessionKeepsHowTheUserAuthenticated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id, _ := w.createSession(func(p *store.CreateSessionParams) {
		p.Label, p.ACR, p.AMR, p.AuthTime = new("Ada's phone"), new("1"), []string{"pwd", "otp"}, &at
	})
	got := w.sessionOf(id)
	wantEqual(t, "label, acr, amr", []any{got.Label, got.ACR, got.AMR}, []any{new("Ada's phone"), new("1"), []string{"pwd", "otp"}})
	wantAt(t, "auth_time", got.AuthTime, at, 0)
	wantEqual(t, "last_seen_at", got.LastSeenAt, nil)

	w.changesRows(func() {
		row, err := w.Q.ReauthenticateSession(w.Ctx, store.ReauthenticateSessionParams{
			ID: id, UserID: w.User, ACR: new("2"), AMR: []string{"hwk"}, Token: new(fixture.Digest("new cookie")),
		})
		w.OK(err)
		again := w.sessionOf(id)
		wantEqual(t, "row", row, store.ReauthenticateSessionRow{Outcome: store.OutcomeAuthenticated, AuthTime: &again.UpdatedAt})
		want := got
		want.Token, want.ACR, want.AMR, want.UpdatedAt = fixture.Digest("new cookie"), new("2"), []string{"hwk"}, again.UpdatedAt
		want.AuthTime, want.LastSeenAt = &again.UpdatedAt, &again.UpdatedAt
		wantEqual(t, "the session", again, want)
	}, sessionRow("~", id))
	_, err := w.Q.FindSessionByToken(w.Ctx, fixture.Digest(string(id)))
	w.None(err)
	_, err = w.Q.ReauthenticateSession(w.Ctx, store.ReauthenticateSessionParams{ID: id, UserID: w.User})
	w.OK(err)
	_, err = w.Q.FindSessionByToken(w.Ctx, fixture.Digest("new cookie")) // a cookie that isn't given stays
	w.OK(err)

	ended, _ := w.createSession()
	w.endSession(ended)
	other := w.NewUser()
	w.Unchanged(func() {
		for _, p := range []store.ReauthenticateSessionParams{
			{ID: "unknown", UserID: w.User}, {ID: ended, UserID: w.User}, {ID: id, UserID: other}, {ID: id},
		} {
			row, err := w.Q.ReauthenticateSession(w.Ctx, p)
			w.OK(err)
			wantEqual(t, "row", row, store.ReauthenticateSessionRow{Outcome: store.OutcomeSignedOut})
		}
	})
}

func TestOldestSessionsEndWhereThereIsAMaximum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	most := func(n int32) func(*store.CreateSessionParams) {
		return func(p *store.CreateSessionParams) { p.MaxSessions = n }
	}
	other := w.NewSession(w.NewUser())
	second, row := w.createSession(most(2))
	wantEqual(t, "ended", row.EndedSessions, 0)
	third, row := w.createSession(most(2))
	wantEqual(t, "ended", row.EndedSessions, 1)
	wantEqual(t, "live", w.liveSessions(), []store.SessionID{second, third})
	fourth, _ := w.createSession()
	fifth, row := w.createSession(most(0)) // no maximum
	wantEqual(t, "ended", row.EndedSessions, 0)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(fourth)) // which counts no more
	sixth, row := w.createSession(most(3))
	wantEqual(t, "ended", row.EndedSessions, 1)
	wantEqual(t, "live", w.liveSessions(), []store.SessionID{third, fifth, sixth})
	_, row = w.createSession(most(1))
	wantEqual(t, "ended", row.EndedSessions, 3)
	for range 3 { // less than none is no maximum, not less than one
		_, row = w.createSession(most(-1))
		wantEqual(t, "ended", row.EndedSessions, 0)
	}
	wantEqual(t, "live sessions", len(w.liveSessions()), 4)
	wantEqual(t, "another user's", w.sessionOf(other).EndedAt, nil)
}

func TestNewestSessionNeverEndsWhereAllBeganAtTheSameInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`UPDATE session SET created_at = now()`)
		for i := range 4 {
			id := store.SessionID(fmt.Sprint("ses_", 9-i)) // the new one's id sorts first
			row, err := q.CreateSession(w.Ctx, store.CreateSessionParams{
				ID: id, UserID: w.User, Token: fixture.Digest(string(id)), Lifetime: time.Hour, MaxSessions: 2,
			})
			w.OK(err)
			live, err := q.ListUserSessions(w.Ctx, store.ListUserSessionsParams{UserID: w.User, PageSize: 10})
			w.OK(err)
			if !slices.ContainsFunc(live, func(s store.Session) bool { return s.ID == id }) || len(live) != 2 || row.EndedSessions != min(int64(i), 1) {
				t.Errorf("%d sessions are live after the sign-in of %s, which ended %d", len(live), id, row.EndedSessions)
			}
		}
	})
}

// Sign-ins with a maximum run one after the other for a user, and for each user apart.
func TestSignInWaitsForThoseOfTheSameUserAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for user, want := range map[store.UserID]string{w.User: "55P03", w.NewUser(): ""} {
		release := w.holding(`SELECT FROM "user" WHERE id = $1 FOR NO KEY UPDATE`, string(user))
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(`SET LOCAL lock_timeout = '200ms'`)
			_, err := q.CreateSession(w.Ctx, store.CreateSessionParams{ID: "new", UserID: w.User, Token: fixture.Digest("new"), Lifetime: time.Hour, MaxSessions: 1})
			if got := pgErrorOf(err).Code; got != want {
				w.Errorf("while %s is held: %v, want %q", user, err, want)
			}
		})
		release()
	}
}

// To authenticate again in a session is no new session: nothing ends, and nobody is notified.
func TestTheSameSessionAgainCountsForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id, _ := w.createSession(func(p *store.CreateSessionParams) { p.MaxSessions = 1 })
	w.Session = id
	k := w.Redeem(online)
	row, err := w.Q.ReauthenticateSession(w.Ctx, store.ReauthenticateSessionParams{ID: id, UserID: w.User, ACR: new("2")})
	w.OK(err)
	w.want("ReauthenticateSession", row.Outcome, store.OutcomeAuthenticated)
	wantEqual(t, "live", w.liveSessions(), []store.SessionID{id})
	w.WantLive(k.Access, k.Refresh)
	known, err := w.Q.ListSessionClients(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "clients to tell", []any{len(known), known[0].DueAt}, []any{1, (*time.Time)(nil)})
}

func TestEndSessionEndsWhatLacksOfflineAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(withLogoutURI)
	gone, offline := w.Redeem(online), w.Redeem()
	_, goneCode := w.Grant(online)
	_, offlineCode := w.Grant()
	uncoded := w.pending()
	w.approve(uncoded, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) {
		p.Code, p.GrantedScopes = nil, []string{"openid"}
	})
	bystander := w.Redeem(func(p *store.GrantAuthorizationParams) { online(p); p.SessionID = nil })
	session := w.Session
	w.Session = w.NewSession(w.User)
	elsewhere := w.Redeem(online)
	machine := w.issue("machine token", store.OutcomeIssued)
	w.Session = session
	w.changesRows(func() {
		row, err := w.Q.EndSession(w.Ctx, session)
		w.OK(err)
		wantEqual(t, "row", row, store.EndSessionRow{Outcome: store.OutcomeEnded, UserID: &w.User})
	}, sessionRow("~", session), w.knownRow("~"))
	s := w.sessionOf(session)
	wantAt(t, "ended_at", s.EndedAt, s.UpdatedAt, 0)
	wantAt(t, "expires_at, for servers that read only that", &s.ExpiresAt, s.UpdatedAt, 0)
	w.WantDead(gone.Access, gone.Refresh)
	w.WantLive(offline.Access, offline.Refresh, bystander.Refresh, elsewhere.Access, elsewhere.Refresh, machine)
	w.Unchanged(func() {
		for id, want := range map[store.SessionID]store.EndSessionRow{
			session:   {Outcome: store.OutcomeRevoked, UserID: &w.User},
			"unknown": {Outcome: store.OutcomeUnknown}, "": {Outcome: store.OutcomeUnknown},
		} {
			row, err := w.Q.EndSession(w.Ctx, id)
			w.OK(err)
			wantEqual(t, "row", row, want)
		}
		w.redeem(goneCode, store.OutcomeRevoked)
		row, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: uncoded, Code: fixture.Digest("late"), CodeLifetime: time.Minute})
		w.OK(err)
		w.want("IssueAuthorizationCode", row.Outcome, store.OutcomeRevoked)
	})
	w.redeem(offlineCode, store.OutcomeRedeemed)
	w.Rotate(offline.Refresh, store.OutcomeRotated)
	w.Rotate(gone.Refresh, store.OutcomeRevoked)
}

func TestEndedSessionNamesEveryClientThatKnewIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	list := func() (clients []store.ClientID, due int) {
		rows, err := w.Q.ListSessionClients(w.Ctx, w.Session)
		w.OK(err)
		for _, k := range rows {
			clients = append(clients, k.ClientID)
			wantEqual(t, "user, sub, sid", []string{string(k.UserID), k.Sub, k.SID}, []string{string(w.User), string(w.User), string(w.Session)})
			if k.DueAt != nil {
				due++
			}
		}
		return clients, due
	}
	var want []store.ClientID
	of := func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client }
	for _, grant := range []func(){
		func() { w.Redeem(of, online) },
		func() { w.Redeem(of) },
		func() { w.revokeFamily(w.Redeem(of, online).Authorization) },
		func() { w.approve(w.pending(), store.OutcomeApproved) },
		func() { w.ForeignRefreshToken("foreign") },
		func() { w.ForeignAccessToken("foreign access", nil) },
	} {
		w.Client = w.NewClient(withLogoutURI)
		grant()
		want = append(want, w.Client)
	}
	w.Redeem(of) // again
	clients, due := list()
	wantEqual(t, "clients", clients, want)
	wantEqual(t, "to be told", due, 0)
	// A session outlives the grants that were made in it; the collector takes them, and looks at the clients.
	w.Exec(`DELETE FROM oauth_authorization WHERE session_id = $1`, string(w.Session))
	_, err := w.Q.SweepSessionClients(w.Ctx, store.SweepSessionClientsParams{PageSize: 100})
	w.OK(err)
	clients, due = list()
	wantEqual(t, "clients whose grants are collected", clients, want)
	wantEqual(t, "to be told", due, 0)
	w.endSession(w.Session)
	_, due = list()
	wantEqual(t, "to be told", due, len(want))
	w.Exec(`DELETE FROM session WHERE id = $1`, string(w.Session)) // as another server signs out
	clients, _ = list()
	wantEqual(t, "clients of a session that is gone", clients, want)
}

func TestEndUserSessionsEndsAllButTheOneToKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(withLogoutURI)
	end := func(keep *store.SessionID, want store.EndUserSessionsRow) {
		w.Helper()
		row, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User, Keep: keep})
		w.OK(err)
		wantEqual(w, "row", row, want)
	}
	user, one := w.User, w.Session
	first := w.Redeem(online)
	idle := w.NewSession(user)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(idle)) // over, but there
	kept := w.NewSession(user)
	w.Session = kept
	third, offline := w.Redeem(online), w.Redeem()
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	anothers, anothersSession := w.Redeem(online), w.Session
	w.User = user

	w.Session = one
	w.changesRows(func() { end(&kept, store.EndUserSessionsRow{Outcome: store.OutcomeEnded, Sessions: 2}) },
		rowName("~", "user", user), sessionRow("~", one), sessionRow("~", idle), sessionRow("~", kept), w.knownRow("~"))
	w.WantDead(first.Access, first.Refresh)
	w.WantLive(third.Access, third.Refresh, offline.Access, anothers.Access, anothers.Refresh)
	wantEqual(t, "live", w.liveSessions(), []store.SessionID{kept})
	end(&kept, store.EndUserSessionsRow{Outcome: store.OutcomeEnded}) // the second click
	wantEqual(t, "live", w.liveSessions(), []store.SessionID{kept})
	w.WantLive(third.Access, third.Refresh)
	end(&one, store.EndUserSessionsRow{Outcome: store.OutcomeEnded, Sessions: 1}) // one that has ended isn't kept
	wantEqual(t, "live", w.liveSessions(), nil)
	w.WantDead(third.Access, third.Refresh)
	w.WantLive(offline.Access, offline.Refresh)

	tablet := w.NewSession(user)
	w.changesRows(func() { // another user's is neither kept nor ended
		end(&anothersSession, store.EndUserSessionsRow{Outcome: store.OutcomeEnded, Sessions: 1})
	}, rowName("~", "user", user), sessionRow("~", tablet))
	w.NewSession(user)
	end(nil, store.EndUserSessionsRow{Outcome: store.OutcomeEnded, Sessions: 1})
	wantEqual(t, "live", w.liveSessions(), nil)
	if w.sessionOf(tablet).EndedAt == nil {
		t.Error("the tablet's session has not ended")
	}
	w.WantLive(anothers.Access)
	w.User = "unknown"
	w.Unchanged(func() { end(nil, store.EndUserSessionsRow{Outcome: store.OutcomeUnknown}) })
}

// What an ending has reached only by an epoch is marked afterwards.
func TestSessionsThatAnEndingDidNotSeeAreMarked(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	unseen, other := w.NewSession(w.User), w.NewSession(w.NewUser())
	w.Exec(`UPDATE "user" SET sessions_epoch = sessions_epoch + 1 WHERE id = $1`, string(w.User))
	late := w.NewSession(w.User)
	expired := w.NewSession(w.User)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(expired))
	var marked int64
	w.changesRows(func() {
		after, pages := store.SessionID(""), 0
		for {
			row, err := w.Q.MarkEndedSessions(w.Ctx, store.MarkEndedSessionsParams{AfterID: after, PageSize: 2})
			w.OK(err)
			marked += row.Marked
			if row.LastID == nil {
				break
			}
			after = *row.LastID
			pages++
		}
		wantEqual(t, "pages", pages, 3)
	}, sessionRow("~", w.Session), sessionRow("~", unseen))
	wantEqual(t, "marked", marked, 2)
	for _, id := range []store.SessionID{w.Session, unseen} {
		s := w.sessionOf(id)
		wantAt(t, "ended_at", s.EndedAt, s.UpdatedAt, 0)
		wantAt(t, "expires_at", &s.ExpiresAt, s.UpdatedAt, 0)
	}
	for _, id := range []store.SessionID{late, other} {
		wantEqual(t, "ended_at of a live one", w.sessionOf(id).EndedAt, nil)
	}
}

// A session is as live as its own user lets it be, whatever the others are.
func TestSessionGoesByItsOwnUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid, due_at) VALUES ($1, $2, $3, '', '', now())`,
		string(w.Session), string(w.NewClient(withLogoutURI)), string(w.User))
	w.deleteUser(w.NewUser())
	look := func(what string, live bool) {
		w.Helper()
		w.undone(func(_ pgx.Tx, q *store.Queries) {
			w := w.on(q)
			_, err := q.FindSessionByToken(w.Ctx, fixture.Digest(string(w.Session)))
			wantEqual(t, what+": found", err == nil, live)
			wantEqual(t, what+": listed", len(w.liveSessions()) == 1, live)
			extended, err := q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: 10 * fixture.Long})
			w.OK(err)
			outcome := store.OutcomeExtended
			if !live {
				outcome = store.OutcomeSignedOut
			}
			wantEqual(t, what+": extended", extended.Outcome, outcome)
			again, err := q.ReauthenticateSession(w.Ctx, store.ReauthenticateSessionParams{ID: w.Session, UserID: w.User})
			w.OK(err)
			wantEqual(t, what+": authenticated again", again.Outcome == store.OutcomeAuthenticated, live)
			wantEqual(t, what+": to be told of", len(w.claim(10)) == 0, live)
		})
	}
	look("live", true)
	for _, change := range []string{"sessions_epoch = sessions_epoch + 1", "suspended_at = now()", "deleted_at = now()"} {
		w.Exec(`UPDATE "user" SET `+change+` WHERE id = $1`, w.User)
		look(change, false)
		w.Exec(`UPDATE "user" SET sessions_epoch = 0, suspended_at = NULL, deleted_at = NULL WHERE id = $1`, w.User)
	}
}

// A session that another call has ended since this one began is not marked again, and keeps the time at which it ended.
func TestSessionThatEndedMeanwhileIsNotMarked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.Exec(`UPDATE "user" SET sessions_epoch = sessions_epoch + 1 WHERE id = $1`, string(w.User))
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		expired := w.NewSession(w.User) // by the instant
		exec(`UPDATE session SET expires_at = now(), user_sessions_epoch = 0 WHERE id = $1`, string(expired))
		w.endSession(w.Session)
		row, err := q.MarkEndedSessions(w.Ctx, store.MarkEndedSessionsParams{PageSize: 10})
		w.OK(err)
		wantEqual(t, "marked", row.Marked, 0)
	})
}

// Another server may sign up and sign in by one statement, and may sign in a user who is suspended or deleted.
func TestSessionOfAnotherServerIsStamped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Exec(`
		WITH signed_up AS (INSERT INTO "user" (id, name) VALUES ('new', 'Ada') RETURNING id)
		INSERT INTO session (id, user_id, token, expires_at) SELECT 'first', u.id, 'first', now() + interval '1 hour' FROM signed_up AS u`)
	w.User = "new"
	wantEqual(t, "live", w.liveSessions(), []store.SessionID{"first"})
	suspended, deleted := w.NewUser(), w.NewUser()
	w.suspend(suspended)
	w.deleteUser(deleted)
	for _, user := range []store.UserID{suspended, deleted} {
		w.Exec(`INSERT INTO session (id, user_id, token, expires_at) SELECT v.id, v.user_id, v.id, v.at
			FROM (VALUES ($1::text, $1::text, now() + interval '1 hour'), ($1::text || 'old', $1::text, '2020-01-01 00:00:00Z')) AS v (id, user_id, at)`, string(user))
		s, old := w.sessionOf(store.SessionID(user)), w.sessionOf(store.SessionID(user+"old"))
		wantAt(t, "ended_at", s.EndedAt, s.CreatedAt, 0)
		wantAt(t, "expires_at", &s.ExpiresAt, s.CreatedAt, 0)
		wantAt(t, "ended_at of an old one", old.EndedAt, old.CreatedAt, 0)
		wantEqual(t, "expires_at of an old one", old.ExpiresAt.Year(), 2020)
	}
}

// A session that has expired before it is ended keeps the time at which it expired, and one that has ended before is none of an ending's, nor are
// its clients.
func TestEndingLeavesWhatIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Exec(`UPDATE session SET expires_at = '2020-01-01 00:00:00Z'`)
	w.endSession(w.Session)
	wantEqual(t, "expires_at", w.sessionOf(w.Session).ExpiresAt.Year(), 2020)
	w.Client = w.NewClient(withLogoutURI)
	w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ($1, $2, $3, '', '')`, string(w.Session), string(w.Client), string(w.User))
	live, deleted := w.NewSession(w.User), w.NewUser()
	w.deleteUser(deleted)
	w.changesRows(func() {
		row, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User})
		w.OK(err)
		wantEqual(t, "row", row, store.EndUserSessionsRow{Outcome: store.OutcomeEnded, Sessions: 1})
		row, err = w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: deleted})
		w.OK(err)
		wantEqual(t, "row of a deleted user", row, store.EndUserSessionsRow{Outcome: store.OutcomeUnknown})
	}, sessionRow("~", live), rowName("~", "user", w.User))
}

// What another call holds is left to those that walk, by whichever lock it is held.
func TestEndingSkipsWhatAnotherCallHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(withLogoutURI)
	w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ($1, $2, $3, '', '')`, string(w.Session), string(w.Client), string(w.User))
	for _, lock := range []string{"FOR NO KEY UPDATE", "FOR SHARE"} {
		within := func(table string, call func(q *store.Queries)) {
			t.Helper()
			release := w.holding(`SELECT FROM ` + table + ` ` + lock)
			defer release()
			w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
				exec(`SET LOCAL lock_timeout = '5s'`)
				call(q)
			})
		}
		within("session_client", func(q *store.Queries) {
			row, err := q.EndSession(w.Ctx, w.Session)
			w.OK(err)
			w.want("EndSession", row.Outcome, store.OutcomeEnded)
			known, err := q.ListSessionClients(w.Ctx, w.Session)
			w.OK(err)
			wantEqual(t, "due, while it is held", known[0].DueAt, nil)
		})
		within("session", func(q *store.Queries) {
			row, err := q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User})
			w.OK(err)
			wantEqual(t, "row", row, store.EndUserSessionsRow{Outcome: store.OutcomeEnded})
			_, err = q.FindSessionByToken(w.Ctx, fixture.Digest(string(w.Session)))
			w.None(err)
		})
	}
}

func TestEndingTellsOnlyClientsWithALogoutURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	told := w.NewClient(withLogoutURI)
	for _, client := range []store.ClientID{w.Client, told} {
		w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ($1, $2, $3, '', '')`, string(w.Session), string(client), string(w.User))
	}
	w.endSession(w.Session)
	rows, err := w.Q.ListSessionClients(w.Ctx, w.Session)
	w.OK(err)
	due := map[store.ClientID]bool{}
	for _, k := range rows {
		due[k.ClientID] = k.DueAt != nil
	}
	wantEqual(t, "due", due, map[store.ClientID]bool{w.Client: false, told: true})
}

// Each of the two marks of a user is enough to keep a session that is inserted from living.
func TestSessionInsertedForASuspendedOrDeletedUserHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for mark, ended := range map[string]bool{"suspended_at": true, "deleted_at": true, "updated_at": false} {
		user := w.NewUser()
		w.Exec(`UPDATE "user" SET `+mark+` = now() WHERE id = $1`, string(user))
		id := store.NewSessionID()
		w.Exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, now() + interval '1 hour')`,
			string(id), string(user), string(fixture.Digest(string(id))))
		s := w.sessionOf(id)
		wantEqual(t, mark+": ended", s.EndedAt != nil, ended)
		wantEqual(t, mark+": expired", s.ExpiresAt.Before(time.Now().Add(30*time.Minute)), ended)
	}
}
