package calls

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// withEvents is the world as a server sees it whose role or database has oauthdb.events set.
func (w *world) withEvents() *world {
	w.Helper()
	config := w.Pool.Config()
	config.ConnConfig.RuntimeParams["oauthdb.events"] = "on"
	pool, err := pgxpool.NewWithConfig(w.Ctx, config)
	w.OK(err)
	w.Cleanup(pool.Close)
	sees := *w.World
	sees.Pool, sees.Q = pool, recorded(pool)
	return &world{&sees, w.machineClient}
}

// events are all that were written, without their ids and times.
func (w *world) events() []store.SecurityEvent {
	w.Helper()
	all, err := w.Q.ListSecurityEvents(w.Ctx, store.ListSecurityEventsParams{PageSize: 1000})
	w.OK(err)
	for i := range all {
		if all[i].CreatedAt.IsZero() || all[i].ID == 0 {
			w.Errorf("event %+v has no id or time", all[i])
		}
		all[i].ID, all[i].CreatedAt, all[i].UpdatedAt = 0, time.Time{}, time.Time{}
	}
	return all
}

// noted are the outcomes that write an event, as routines/noted.sql lists them.
func noted(t *testing.T) []store.Outcome {
	t.Helper()
	source, err := os.ReadFile("../../../routines/noted.sql")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)verdict IN \((.*?)\)`).FindSubmatch(source)
	if list == nil {
		t.Fatal("routines/noted.sql has no list of outcomes")
	}
	var words []store.Outcome
	for _, m := range regexp.MustCompile(`'(\w+)'`).FindAllSubmatch(list[1], -1) {
		words = append(words, store.Outcome(m[1]))
		if !words[len(words)-1].Valid() {
			t.Errorf("%s is no outcome", m[1])
		}
	}
	if len(words) < 5 {
		t.Fatalf("routines/noted.sql lists only %v", words)
	}
	return words
}

func TestEveryCallThatComesToAnEventWritesItUnderItsName(t *testing.T) {
	t.Parallel()
	all, err := promised()
	if err != nil {
		t.Fatal(err)
	}
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	words := noted(t)
	for _, q := range queries {
		matters := slices.ContainsFunc(all[q.Name], func(o store.Outcome) bool { return slices.Contains(words, o) }) || q.Name == "RotateClientSecret"
		writes := strings.Contains(q.SQL, "noted(")
		switch {
		case matters && !writes:
			t.Errorf("%s:%d: %s may come to %v, and writes no event", q.File, q.Line, q.Name, all[q.Name])
		case !matters && writes:
			t.Errorf("%s:%d: %s writes an event of no outcome of its contract", q.File, q.Line, q.Name)
		case writes && (strings.Count(q.SQL, "noted(") != 1 || !strings.Contains(q.SQL, "'"+q.Name+"'")):
			t.Errorf("%s:%d: %s writes its event under another name, or twice", q.File, q.Line, q.Name)
		}
	}
}

func TestEndingsWriteTheirEvent(t *testing.T) {
	t.Parallel()
	silent := newWorld(t, 2)
	for _, c := range []struct {
		call string
		end  func(w *world, k fixture.Tokens) store.Outcome
		want func(w *world, k fixture.Tokens) store.SecurityEvent
	}{
		{"EndSession", func(w *world, _ fixture.Tokens) store.Outcome {
			r, err := w.Q.EndSession(w.Ctx, w.Session)
			return w.outcome(r.Outcome, err)
		}, func(w *world, _ fixture.Tokens) store.SecurityEvent {
			return store.SecurityEvent{UserID: &w.User, SessionID: &w.Session}
		}},
		{"EndUserSessions", func(w *world, _ fixture.Tokens) store.Outcome {
			r, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User})
			return w.outcome(r.Outcome, err)
		}, func(w *world, _ fixture.Tokens) store.SecurityEvent { return store.SecurityEvent{UserID: &w.User} }},
		{"SuspendUser", func(w *world, _ fixture.Tokens) store.Outcome {
			r, err := w.Q.SuspendUser(w.Ctx, w.User)
			return w.outcome(r.Outcome, err)
		}, func(w *world, _ fixture.Tokens) store.SecurityEvent { return store.SecurityEvent{UserID: &w.User} }},
		{"DeleteUser", func(w *world, _ fixture.Tokens) store.Outcome {
			r, err := w.Q.DeleteUser(w.Ctx, w.User)
			return w.outcome(r.Outcome, err)
		}, func(w *world, _ fixture.Tokens) store.SecurityEvent {
			return store.SecurityEvent{Outcome: store.OutcomeDeleted, UserID: &w.User}
		}},
		{"RevokeAuthorization", func(w *world, k fixture.Tokens) store.Outcome {
			r, err := w.Q.RevokeAuthorization(w.Ctx, k.Authorization)
			return w.outcome(r.Outcome, err)
		}, func(w *world, k fixture.Tokens) store.SecurityEvent {
			return store.SecurityEvent{UserID: &w.User, ClientID: &w.Client, SessionID: &w.Session, AuthorizationID: &k.Authorization}
		}},
		{"RevokeUserAuthorizations", func(w *world, _ fixture.Tokens) store.Outcome {
			return w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User))
		}, func(w *world, _ fixture.Tokens) store.SecurityEvent { return store.SecurityEvent{UserID: &w.User} }},
		{"RevokeUserAuthorizationsByClient", func(w *world, _ fixture.Tokens) store.Outcome {
			return w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: w.Client}))
		}, func(w *world, _ fixture.Tokens) store.SecurityEvent {
			return store.SecurityEvent{UserID: &w.User, ClientID: &w.Client}
		}},
		{"RevokeClientAuthorizations", func(w *world, _ fixture.Tokens) store.Outcome {
			return w.outcome(w.Q.RevokeClientAuthorizations(w.Ctx, w.Client))
		}, func(w *world, _ fixture.Tokens) store.SecurityEvent { return store.SecurityEvent{ClientID: &w.Client} }},
		{"RevokeToken", func(w *world, k fixture.Tokens) store.Outcome {
			r, err := w.Q.RevokeToken(w.Ctx, w.RevokeParams(k.Refresh))
			return w.outcome(r.Outcome, err)
		}, func(w *world, k fixture.Tokens) store.SecurityEvent {
			return store.SecurityEvent{UserID: &w.User, ClientID: &w.Client, AuthorizationID: &k.Authorization}
		}},
	} {
		t.Run(c.call, func(t *testing.T) {
			quiet := silent.forSubtest(t)
			quiet.User = quiet.NewUser()
			quiet.Session = quiet.NewSession(quiet.User)
			quiet.Client = quiet.NewClient()
			k := quiet.Redeem()
			before := quiet.events()
			if len(before) > 0 {
				t.Fatalf("before: %+v", before)
			}
			loud := quiet.withEvents()
			got := c.end(loud, k)
			want := c.want(loud, k)
			want.Call = c.call
			if want.Outcome == "" {
				want.Outcome = store.OutcomeEnded
			}
			loud.want(c.call, got, want.Outcome)
			wantEqual(t, "events", loud.events(), []store.SecurityEvent{want})
			loud.Exec(`TRUNCATE security_event`)
		})
	}
}
