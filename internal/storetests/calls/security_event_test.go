package calls

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// eventsOf are the outcomes that write an event, whatever the call.
var eventsOf = []store.Outcome{
	store.OutcomeReplayed, store.OutcomeProofReplayed, store.OutcomeMismatched, store.OutcomeRegressed, store.OutcomeSuspended,
	store.OutcomeEnded, store.OutcomeWithdrawn, store.OutcomeDeleted, store.OutcomeReinstated, store.OutcomeEnabled,
	store.OutcomeRegistered, store.OutcomeSpent,
}

// eventsOfCall are those that write one for this call alone.
var eventsOfCall = map[string]store.Outcome{
	"RotateClientSecret":         store.OutcomeRotated,
	"UpdateRegistration":         store.OutcomeUpdated,
	"SetRegistrationAccessToken": store.OutcomeUpdated,
	"CreatePasskey":              store.OutcomeCreated,
	"CreateTOTP":                 store.OutcomeCreated,
	"ReplaceRecoveryCodes":       store.OutcomeReplaced,
	"UseRecoveryCode":            store.OutcomeAccepted,
}

// eventless are the calls that write none although they come to such an outcome, and why.
var eventless = map[string]string{
	"ResetAttempts":            "is part of every sign-in",
	"RememberProof":            "anybody can make a proof with a key of his own, and repeat it",
	"RedeemOneTimeCode":        "anybody can ask for a code for an address, and guess",
	"ReplaceForeignSecretHash": "mismatched says that another call of the client was faster",
}

// isEvent says whether a call writes an event of an outcome.
func isEvent(call string, o store.Outcome) bool {
	switch {
	case eventless[call] != "", call == "UseTOTP" && o != store.OutcomeSpent:
		return false
	default:
		return slices.Contains(eventsOf, o) || eventsOfCall[call] == o
	}
}

// diary keeps what the calls of a world came to that is an event. It is nil for a world that writes none.
type diary struct {
	sync.Mutex
	noted map[string]int
}

func (d *diary) note(call string, o store.Outcome) {
	if d == nil || !isEvent(call, o) {
		return
	}
	d.Lock()
	defer d.Unlock()
	d.noted[call+" "+string(o)]++
}

// withEvents makes a database whose calls write events.
var withEvents = storetest.Setting("oauthdb.events", "on")

// writesEvents wants in the end that one event was written of each outcome that the calls of a pool came to, and no other.
func writesEvents(t testing.TB, pool *pgxpool.Pool) *diary {
	t.Helper()
	d := &diary{noted: map[string]int{}}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // which is over by now
		rows, err := pool.Query(ctx, `SELECT call || ' ' || outcome, count(*)::integer FROM security_event GROUP BY 1`)
		if err != nil {
			t.Errorf("the events: %v", err)
			return
		}
		written := map[string]int{}
		var event string
		var count int
		if _, err := pgx.ForEachRow(rows, []any{&event, &count}, func() error { written[event] = count; return nil }); err != nil {
			t.Errorf("the events: %v", err)
		}
		d.Lock()
		defer d.Unlock()
		for event, times := range d.noted {
			if strings.HasPrefix(event, "PollDeviceCode ") { // which writes nothing while the request has no user
				if d.noted[event] = min(times, written[event]); d.noted[event] == 0 {
					delete(d.noted, event)
				}
			}
		}
		if !maps.Equal(written, d.noted) {
			t.Errorf("events were written of %v, want %v", written, d.noted)
		}
	})
	return d
}

// asks are the events that noted writes for each call of queries/ and each outcome of its contract.
func asks(w *world, all map[string][]store.Outcome) map[string]bool {
	w.Helper()
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer tx.Rollback(w.Ctx)
	for call, outcomes := range all {
		_, err := tx.Exec(w.Ctx, `SELECT noted(o.outcome, $1::text, of_user => 'u') FROM unnest($2::text[]::outcome[]) AS o (outcome)`, call, words(outcomes))
		w.OK(err)
	}
	rows, err := tx.Query(w.Ctx, `SELECT call || ' ' || outcome FROM security_event`)
	w.OK(err)
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.OK(err)
	found := map[string]bool{}
	for _, e := range events {
		found[e] = true
	}
	return found
}

func words(outcomes []store.Outcome) []string {
	all := make([]string, len(outcomes))
	for i, o := range outcomes {
		all[i] = string(o)
	}
	return all
}

// Every other test of this package wants an event of each outcome that it comes to and isEvent allows (writesEvents).
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
	w := newWorld(t, 1)
	want, events := map[string]bool{}, 0
	for _, q := range queries {
		come := slices.ContainsFunc(all[q.Name], func(o store.Outcome) bool { return isEvent(q.Name, o) })
		calls := strings.Count(q.SQL, "noted(")
		switch {
		case come && calls != 1:
			t.Errorf("%s:%d: %s may come to %v, and calls noted %d times", q.File, q.Line, q.Name, all[q.Name], calls)
		case !come && calls > 0:
			t.Errorf("%s:%d: %s calls noted, and comes to no event", q.File, q.Line, q.Name)
		case come && !strings.Contains(q.SQL, "'"+q.Name+"'"):
			t.Errorf("%s:%d: %s writes its event under another name", q.File, q.Line, q.Name)
		}
		if calls == 0 {
			delete(all, q.Name)
		}
		for _, o := range all[q.Name] {
			if isEvent(q.Name, o) {
				want[q.Name+" "+string(o)] = true
				events++
			}
		}
	}
	if got := asks(w, all); !maps.Equal(got, want) {
		t.Errorf("noted writes %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	if events < 60 {
		t.Errorf("only %d events were looked at", events)
	}
	for call := range eventless {
		if _, found := all[call]; found {
			t.Errorf("%s is said to write no event, and calls noted", call)
		}
	}
}

// TestEventsSayWho looks at what the events of each kind say. That each call writes its own is held by writesEvents.
func TestEventsSayWho(t *testing.T) {
	t.Parallel()
	base := newDeviceWorld(t, 2)
	address := new("203.0.113.7")
	type event = store.SecurityEvent
	for _, c := range []struct {
		name string
		do   func(w *world) []event
	}{
		{"the code of another client", func(w *world) []event {
			id, code := w.Grant()
			other := w.NewClient()
			w.redeem(code, store.OutcomeMismatched, func(p *store.RedeemAuthorizationCodeParams) { p.ClientID = other })
			return []event{{
				Call: "RedeemAuthorizationCode", Outcome: store.OutcomeMismatched, Reason: new("client"), UserID: &w.User, ClientID: &other,
				SessionID: &w.Session, AuthorizationID: &id,
			}}
		}},
		{"a code with another verifier, redirect URI and key", func(w *world) []event {
			id, code := w.Grant()
			want := func(reason string) event {
				return event{
					Call: "RedeemAuthorizationCode", Outcome: store.OutcomeMismatched, Reason: &reason, UserID: &w.User, ClientID: &w.Client,
					SessionID: &w.Session, AuthorizationID: &id, IPAddress: address,
				}
			}
			for _, change := range []func(*store.RedeemAuthorizationCodeParams){
				func(p *store.RedeemAuthorizationCodeParams) { p.CodeChallenge = new("another") },
				func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI = new("https://evil.example") },
			} {
				w.redeem(code, store.OutcomeMismatched, change, func(p *store.RedeemAuthorizationCodeParams) { p.IPAddress = address })
			}
			w.Exec(`UPDATE oauth_client SET dpop_bound_access_tokens = true WHERE client_id = $1`, string(w.Client))
			for _, change := range []func(*store.RedeemAuthorizationCodeParams){
				func(*store.RedeemAuthorizationCodeParams) {},
				func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI = nil }, // which will do beside a challenge
			} {
				w.redeem(code, store.OutcomeMismatched, change, func(p *store.RedeemAuthorizationCodeParams) { p.IPAddress = address })
			}
			return []event{want("code_challenge"), want("redirect_uri"), want("key"), want("key")}
		}},
		// what a header says about the address can't make the call fail, and so can't hide a replay
		{"a code that comes back, from an address of any length", func(w *world) []event {
			id, code := w.Grant()
			w.redeem(code, store.OutcomeRedeemed)
			w.redeem(code, store.OutcomeReplayed, func(p *store.RedeemAuthorizationCodeParams) { p.IPAddress = new(strings.Repeat("ä", 5000)) })
			return []event{{
				Call: "RedeemAuthorizationCode", Outcome: store.OutcomeReplayed, UserID: &w.User, ClientID: &w.Client, SessionID: &w.Session,
				AuthorizationID: &id, IPAddress: new(strings.Repeat("ä", 255)),
			}}
		}},
		{"a refresh token that comes back", func(w *world) []event {
			k := w.Redeem()
			w.Rotate(k.Refresh, store.OutcomeRotated)
			w.Rotate(fixture.SuccessorOf(k.Refresh), store.OutcomeRotated)
			w.Rotate(k.Refresh, store.OutcomeReplayed, func(p *store.RotateRefreshTokenParams) { p.IPAddress = address })
			return []event{{
				Call: "RotateRefreshToken", Outcome: store.OutcomeReplayed, UserID: &w.User, ClientID: &w.Client, SessionID: &w.Session,
				AuthorizationID: &k.Authorization, IPAddress: address,
			}}
		}},
		{"a device code, once a user has to do with it", func(w *world) []event {
			pending, claimed := w.device(), w.device()
			w.find(claimed.user, store.OutcomeClaimed)
			other := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant} })
			for _, d := range []device{pending, claimed} {
				w.poll(d.code, store.OutcomeMismatched, func(p *store.PollDeviceCodeParams) { p.ClientID = other })
			}
			bound := w.approvedDevice()
			key := func(p *store.PollDeviceCodeParams) { p.Confirmation = &token.Confirmation{JKT: "key"} }
			w.poll(bound.code, store.OutcomeRedeemed, key)
			w.poll(bound.code, store.OutcomeMismatched)
			w.ago(bound, fixture.Grace)
			w.poll(bound.code, store.OutcomeReplayed, key)
			of := event{Call: "PollDeviceCode", UserID: &w.User, ClientID: &w.Client, SessionID: &w.Session}
			byClient, byKey, replayed := of, of, of
			byClient.Outcome, byClient.Reason, byClient.ClientID, byClient.AuthorizationID = store.OutcomeMismatched, new("client"), &other, &claimed.id
			byKey.Outcome, byKey.Reason, byKey.AuthorizationID = store.OutcomeMismatched, new("key"), &bound.id
			replayed.Outcome, replayed.AuthorizationID = store.OutcomeReplayed, &bound.id
			return []event{byClient, byKey, replayed}
		}},
		{"an approval by another user", func(w *world) []event {
			d, other := w.device(), w.NewUser()
			w.find(d.user, store.OutcomeClaimed)
			w.approve(d.id, store.OutcomeMismatched, func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID, p.IPAddress = other, nil, address })
			return []event{{
				Call: "ApproveAuthorization", Outcome: store.OutcomeMismatched, UserID: &other, ClientID: &w.Client, AuthorizationID: &d.id, IPAddress: address,
			}}
		}},
		{"endings", func(w *world) []event {
			k := w.Redeem()
			w.revokeFamily(k.Authorization)
			w.endSession(w.Session)
			if r, err := w.Q.EndSession(w.Ctx, w.Session); err != nil || r.Outcome != store.OutcomeRevoked {
				w.Errorf("EndSession again: %s, %v", r.Outcome, err)
			}
			w.suspend(w.User)
			w.deleteUser(w.User)
			w.disable(w.Client)
			w.deleteClient(w.Client)
			return []event{
				{Call: "RevokeAuthorization", Outcome: store.OutcomeEnded, UserID: &w.User, ClientID: &w.Client, SessionID: &w.Session, AuthorizationID: &k.Authorization},
				{Call: "EndSession", Outcome: store.OutcomeEnded, UserID: &w.User, SessionID: &w.Session},
				{Call: "SuspendUser", Outcome: store.OutcomeEnded, UserID: &w.User},
				{Call: "DeleteUser", Outcome: store.OutcomeDeleted, UserID: &w.User},
				{Call: "DisableClient", Outcome: store.OutcomeEnded, ClientID: &w.Client},
				{Call: "DeleteClient", Outcome: store.OutcomeDeleted, ClientID: &w.Client},
			}
		}},
		{"a new secret", func(w *world) []event {
			client := w.NewClient()
			w.rotateSecret(w.Q, client, "new", 0, store.OutcomeRotated)
			w.rotateSecret(w.Q, client, "new", 0, store.OutcomeRetried)
			return []event{{Call: "RotateClientSecret", Outcome: store.OutcomeRotated, ClientID: &client}}
		}},
		{"an issuer", func(w *world) []event {
			issuer := w.TrustIssuer("https://" + fixture.Unique("issuer") + ".example")
			w.want("DisableTrustedIssuer", w.outcome(w.Q.DisableTrustedIssuer(w.Ctx, issuer)), store.OutcomeEnded)
			return []event{{Call: "DisableTrustedIssuer", Outcome: store.OutcomeEnded, ItemID: new(string(issuer))}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := base.forSubtest(t)
			w.User = w.NewUser()
			w.Session = w.NewSession(w.User)
			w.Client = w.NewClient(func(p *store.CreateClientParams) {
				p.Public, p.GrantTypes = new(true), []string{"authorization_code", "refresh_token", deviceGrant}
			})
			before := int64(0)
			for _, e := range w.eventsAfter(0) {
				before = max(before, e.ID)
			}
			want := c.do(w)
			got := w.eventsAfter(before)
			for i := range got {
				got[i].ID, got[i].CreatedAt, got[i].UpdatedAt = 0, time.Time{}, time.Time{}
			}
			wantEqual(t, "events", got, want)
		})
	}
}

func (w *world) eventsAfter(id int64) []store.SecurityEvent {
	w.Helper()
	all, err := w.Q.ListSecurityEvents(w.Ctx, store.ListSecurityEventsParams{AfterID: id, PageSize: 1000})
	w.OK(err)
	return all
}

func TestNoEventIsWrittenUnlessTheyAreOn(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"", "off", "true", "ON"} {
		opts := []storetest.Option{}
		if setting != "" {
			opts = append(opts, storetest.Setting("oauthdb.events", setting))
		}
		w := worldOf(t, fixture.NewPool(t, 1, opts...))
		w.User = w.NewUser()
		w.endSession(w.NewSession(w.User))
		w.suspend(w.User)
		if got := w.eventsAfter(0); len(got) > 0 {
			t.Errorf("%q: %+v", setting, got)
		}
	}
}

// What a request says of its own accord, and nobody has looked up, is not what makes an ending fail.
func TestNothingThatAnybodyMaySayFailsForItsEvent(t *testing.T) {
	t.Parallel()
	w := &world{World: fixture.NewWorld(t, 2, withEvents)}
	var long strings.Builder
	for i := range 300 {
		long.WriteString(string(fixture.Digest(fmt.Sprint(i)))) // nothing that could be compressed
	}
	none := store.ClientID(long.String())
	w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: none})), store.OutcomeEnded)
	row, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: none})
	w.OK(err)
	w.want("WithdrawConsent", row.Outcome, store.OutcomeEnded)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.OutcomeRotated)
	address := new(strings.Repeat("192.0.2.1, ", 1000))
	w.Rotate(k.Refresh, store.OutcomeReplayed, func(p *store.RotateRefreshTokenParams) { p.Grace, p.IPAddress = 0, address })
	w.WantDead(k.Access)
	events, err := w.Q.ListUserSecurityEvents(w.Ctx, store.ListUserSecurityEventsParams{UserID: w.User, PageSize: 10})
	w.OK(err)
	wantEqual(t, "events", len(events), 3)
}

func TestRolledBackCallLeavesNoEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	r, err := w.Q.WithTx(tx).EndSession(w.Ctx, w.Session)
	w.OK(err)
	w.want("EndSession", r.Outcome, store.OutcomeEnded)
	w.OK(tx.Rollback(w.Ctx))
	if got := w.eventsAfter(0); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// An event is there as long as whoever investigates may need it, whatever became of the user and the client.
func TestEventsOutliveTheUserAndTheClientAndGoByAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	other := w.NewUser()
	for range 2 {
		w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{
			UserID: w.User, ClientID: w.Client,
		})), store.OutcomeEnded)
		w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, other)), store.OutcomeEnded)
	}
	w.Exec(`DELETE FROM "user"`)
	w.Exec(`DELETE FROM oauth_client`)

	all := w.eventsAfter(0)
	if len(all) != 4 {
		t.Fatalf("%+v", all)
	}
	var ofUser, ofClient []store.SecurityEvent
	for after := int64(0); ; after = ofUser[len(ofUser)-1].ID {
		page, err := w.Q.ListUserSecurityEvents(w.Ctx, store.ListUserSecurityEventsParams{UserID: w.User, AfterID: after, PageSize: 1})
		w.OK(err)
		if len(page) == 0 {
			break
		}
		ofUser = append(ofUser, page...)
	}
	ofClient, err := w.Q.ListClientSecurityEvents(w.Ctx, store.ListClientSecurityEventsParams{ClientID: w.Client, PageSize: 10})
	w.OK(err)
	wantEqual(t, "the user's", ofUser, []store.SecurityEvent{all[0], all[2]})
	wantEqual(t, "the client's", ofClient, []store.SecurityEvent{all[0], all[2]})

	w.Exec(`UPDATE security_event SET created_at = created_at - interval '2 days' WHERE id <> $1`, all[3].ID)
	collect := func(want int64) {
		t.Helper()
		n, err := fixture.Deleted(w.Q.DeleteExpiredSecurityEvents(w.Ctx, store.DeleteExpiredSecurityEventsParams{Retention: 24 * time.Hour, BatchSize: 2}))
		w.OK(err)
		if n != want {
			t.Errorf("collected %d, want %d", n, want)
		}
	}
	collect(2)
	collect(1)
	collect(0)
	wantEqual(t, "what is left", w.eventsAfter(0), all[3:])
	w.diary.noted = map[string]int{"RevokeUserAuthorizations ended": 1}
}

func TestNoCredentialIsInAnEvent(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.live()
	all := v.eventsAfter(0)
	if len(all) < 5 {
		t.Fatalf("only %d events", len(all))
	}
	for _, e := range all {
		text := asJSON(e)
		for name, raw := range v.minted {
			if strings.Contains(text, string(raw.Digest())) || strings.Contains(text, randomPart(raw)) {
				t.Errorf("%s is in %s", name, text)
			}
		}
	}
}

func eventIDs(events []store.SecurityEvent) []int64 {
	ids := make([]int64, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

func TestEventsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	w := worldOf(t, fixture.NewPool(t, 1))
	for id, who := range map[int]*string{1: new("ada"), 2: new("ada"), 3: nil, 4: new("bob"), 5: new("ada"), 6: new("ada")} {
		w.Exec(`INSERT INTO security_event (id, call, outcome, user_id, client_id) OVERRIDING SYSTEM VALUE VALUES ($1, 'EndSession', 'ended', $2::text, $2::text)`, id, who)
	}
	for _, c := range []struct {
		who   string
		after int64
		want  []int64
	}{{"ada", 0, []int64{1, 2}}, {"ada", 2, []int64{5, 6}}, {"ada", 5, []int64{6}}, {"ada", 6, []int64{}}, {"bob", 0, []int64{4}}, {"\x00", 0, []int64{}}} {
		ofUser, err := w.Q.ListUserSecurityEvents(w.Ctx, store.ListUserSecurityEventsParams{UserID: store.UserID(c.who), AfterID: c.after, PageSize: 2})
		w.OK(err)
		wantEqual(t, fmt.Sprintf("the user's, after %d", c.after), eventIDs(ofUser), c.want)
		ofClient, err := w.Q.ListClientSecurityEvents(w.Ctx, store.ListClientSecurityEventsParams{ClientID: store.ClientID(c.who), AfterID: c.after, PageSize: 2})
		w.OK(err)
		wantEqual(t, fmt.Sprintf("the client's, after %d", c.after), eventIDs(ofClient), c.want)
	}
	all, err := w.Q.ListSecurityEvents(w.Ctx, store.ListSecurityEventsParams{AfterID: 1, PageSize: 3})
	w.OK(err)
	wantEqual(t, "all, after 1", eventIDs(all), []int64{2, 3, 4})
}

// The oldest events are those with the lowest ids, however the table is read. One that is as old as the retention goes; one of the future,
// which a clock that was ahead has written, stays.
func TestOldestEventsAreCollectedFirst(t *testing.T) {
	t.Parallel()
	w := worldOf(t, fixture.NewPool(t, 1))
	tx, err := w.Pool.Begin(w.Ctx) // in which now() stands still
	w.OK(err)
	defer func() { w.OK(tx.Rollback(w.Ctx)) }()
	_, err = tx.Exec(w.Ctx, `SELECT set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`)
	w.OK(err)
	for _, e := range []struct {
		id  int
		ago time.Duration
	}{{5, -30 * time.Minute}, {4, 0}, {3, time.Hour - time.Microsecond}, {2, time.Hour}, {1, 2 * time.Hour}} {
		_, err := tx.Exec(w.Ctx, `INSERT INTO security_event (id, created_at, call, outcome) OVERRIDING SYSTEM VALUE VALUES ($1, now() - $2::interval, 'EndSession', 'ended')`, e.id, e.ago)
		w.OK(err)
	}
	q := recorded(tx, nil)
	for _, c := range []struct {
		retention time.Duration
		batch     int32
		left      []int64
	}{
		{time.Hour, 0, []int64{1, 2, 3, 4, 5}},
		{time.Hour, 1, []int64{2, 3, 4, 5}},
		{time.Hour, 10, []int64{3, 4, 5}},
		{time.Hour, 10, []int64{3, 4, 5}},
		{0, 10, []int64{5}},
		{-2 * time.Hour, 10, []int64{5}},
	} {
		_, err := q.DeleteExpiredSecurityEvents(w.Ctx, store.DeleteExpiredSecurityEventsParams{Retention: c.retention, BatchSize: c.batch})
		w.OK(err)
		all, err := q.ListSecurityEvents(w.Ctx, store.ListSecurityEventsParams{PageSize: 10})
		w.OK(err)
		wantEqual(t, fmt.Sprintf("left by %d with a retention of %s", c.batch, c.retention), eventIDs(all), c.left)
	}
}

// An event names a client as long as a client_id can be.
func TestEventNamesAnyClientThatThereMayBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	longest := store.ClientID(strings.Repeat("c", 2048))
	for _, client := range []store.ClientID{longest, longest + "c"} {
		w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{
			UserID: w.User, ClientID: client,
		})), store.OutcomeEnded)
	}
	all := w.eventsAfter(0)
	wantEqual(t, "clients", []*store.ClientID{all[0].ClientID, all[1].ClientID}, []*store.ClientID{&longest, nil})
}
