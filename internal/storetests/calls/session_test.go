package calls

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// stillTime runs calls in one transaction, in which now() stands still: what happens at an instant can be told from what
// happens right before and after it. It is rolled back.
func (w *world) stillTime(do func(q *store.Queries, exec func(sql string, args ...any))) {
	w.Helper()
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer func() { w.OK(tx.Rollback(w.Ctx)) }()
	do(w.Q.WithTx(tx), func(sql string, args ...any) {
		w.Helper()
		_, err := tx.Exec(w.Ctx, sql, args...)
		w.OK(err)
	})
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
	if !got.ExpiresAt.Equal(got.CreatedAt.Add(p.Lifetime)) || !got.ExpiresAt.Equal(created.ExpiresAt) {
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
	if found.Session.ID != w.Session || found.User.ID != w.User || found.Session.UserID != w.User || found.User.Email != string(w.User)+"@example.com" {
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
				if c.want == 0 {
					w.None(err)
					if !after.ExpiresAt.Equal(before.ExpiresAt) || !after.UpdatedAt.Equal(before.UpdatedAt) {
						t.Errorf("an expired session was changed from %+v to %+v", before, after)
					}
					return
				}
				w.OK(err)
				if got.ID != w.Session || got.UserID != w.User || got.Extended != c.extended {
					t.Errorf("got %+v, want it extended: %t", got, c.extended)
				}
				if !got.ExpiresAt.Equal(now.Add(c.want)) {
					t.Errorf("it lasts for %v from now, want %v", got.ExpiresAt.Sub(now), c.want)
				}
				if !after.ExpiresAt.Equal(got.ExpiresAt) {
					t.Errorf("answered %v, stored %v", got.ExpiresAt, after.ExpiresAt)
				}
				if written := !after.UpdatedAt.Equal(before.UpdatedAt); written != c.extended {
					t.Errorf("the row was written: %t, want %t", written, c.extended)
				}
			})
		})
	}
	_, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: "none", Lifetime: time.Hour})
	w.None(err)
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
				if r.Extended {
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
		if c.want == nil {
			w.None(a.err)
			continue
		}
		w.OK(a.err)
		if !a.row.ExpiresAt.Equal(*c.want) || a.row.Extended {
			t.Errorf("%s: got %+v, want it to expire at %v, not extended", name, a.row, *c.want)
		}
	}
}

func TestEndedSessionIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	kept := w.NewSession(w.User)
	before := w.Snapshot()
	rows, err := w.Q.EndSession(w.Ctx, w.Session)
	w.OK(err)
	if len(rows) != 1 || rows[0].SessionID != w.Session || rows[0].UserID != w.User || rows[0].ClientID != nil || rows[0].AuthorizationID != nil || rows[0].Revoked {
		t.Errorf("got %+v, want the session and no client", rows)
	}
	if diff := fixture.Changed(before, w.Snapshot()); !slices.Equal(diff, []string{"-session " + string(w.Session)}) {
		t.Errorf("changed %v", diff)
	}
	_, err = w.Q.GetSession(w.Ctx, kept)
	w.OK(err)
	rows, err = w.Q.EndSession(w.Ctx, w.Session)
	w.OK(err)
	if len(rows) != 0 {
		t.Errorf("ended twice: %+v", rows)
	}
}

func TestSessionsOfAUserEndButForTheOneToKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	other := w.NewSession(w.NewUser())
	end := func(keep *store.SessionID, want ...store.SessionID) {
		t.Helper()
		before := w.Snapshot()
		rows, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User, Keep: keep})
		w.OK(err)
		var got []store.SessionID
		var gone []string
		for _, r := range rows {
			got = append(got, r.SessionID)
			gone = append(gone, "-session "+string(r.SessionID))
			if r.UserID != w.User || r.ClientID != nil || r.AuthorizationID != nil || r.Revoked {
				t.Errorf("got %+v", r)
			}
		}
		slices.Sort(want)
		slices.Sort(gone)
		if !slices.Equal(got, want) {
			t.Errorf("ended %v, want %v", got, want)
		}
		if diff := fixture.Changed(before, w.Snapshot()); !slices.Equal(diff, gone) {
			t.Errorf("changed %v", diff)
		}
	}
	phone, laptop := w.NewSession(w.User), w.NewSession(w.User)
	w.Exec(`UPDATE session SET expires_at = now() - interval '1 minute' WHERE id = $1`, laptop) // over, but there
	end(&phone, w.Session, laptop)
	end(&phone)
	end(&other, phone) // another user's is neither kept nor ended
	end(nil)
	tablet := w.NewSession(w.User)
	end(nil, tablet)
	_, err := w.Q.GetSession(w.Ctx, other)
	w.OK(err)
}

func TestExpiredSessionsAreCollectedInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	tokens := w.Redeem() // in the world's session
	for i := range 5 {
		w.Exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, now() - $4 * interval '1 hour')`,
			fmt.Sprint("over", i), w.User, fmt.Sprint("over", i), i+1)
	}
	w.collects("session ", w.Q.DeleteExpiredSessions, `SELECT FROM session WHERE id = 'over2' FOR UPDATE`,
		[][]string{{"over3", "over4"}, {"over0", "over1"}, {"over2"}})

	// Expiry is not a sign-out.
	w.Exec(`UPDATE session SET expires_at = now() - interval '1 second' WHERE id = $1`, w.Session)
	if n, err := w.Q.DeleteExpiredSessions(w.Ctx, 10); err != nil || n != 1 {
		t.Errorf("collected %d, %v", n, err)
	}
	w.WantLive(tokens.Access, tokens.Refresh)
	a, err := w.Q.GetAuthorization(w.Ctx, tokens.Authorization)
	w.OK(err)
	if a.SessionID != nil || a.RevokedAt != nil {
		t.Errorf("the authorization is %+v, want it in force, without a session", a)
	}
}
