package calls

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
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
	"ReplaceRecoveryCodes":       store.OutcomeCreated,
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
