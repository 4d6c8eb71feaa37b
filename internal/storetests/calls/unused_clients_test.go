package calls

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

const (
	unusedFor       = 10 * 24 * time.Hour
	unusedRetention = 24 * time.Hour
)

// markUnused walks all clients once, and returns how many it has deleted.
func (w *world) markUnused(change ...func(*store.MarkUnusedClientsParams)) (deleted int64) {
	w.Helper()
	p := store.MarkUnusedClientsParams{PageSize: 2, UnusedFor: unusedFor, Retention: unusedRetention}
	for _, c := range change {
		c(&p)
	}
	for {
		row, err := w.Q.MarkUnusedClients(w.Ctx, p)
		w.OK(err)
		deleted += row.Deleted
		if row.LastID == nil {
			return deleted
		}
		p.AfterID = *row.LastID
	}
}

// later lets time pass for what MarkUnusedClients writes down.
func (w *world) clientsLater(by time.Duration) {
	w.Helper()
	w.Exec(`UPDATE oauth_client SET unused_since = unused_since - $1::interval, unused_checked_at = unused_checked_at - $1::interval`, by)
}

// watched lets days pass, with a walk at noon and at midnight.
func (w *world) watched(days int) (deleted int64) {
	w.Helper()
	for range 2 * days {
		deleted += w.markUnused()
		w.clientsLater(12 * time.Hour)
	}
	return deleted
}

// registered is a client that was registered dynamically.
func (w *world) registered(change ...func(*store.CreateClientParams)) store.ClientID {
	w.Helper()
	return w.NewClient(append([]func(*store.CreateClientParams){func(p *store.CreateClientParams) {
		p.RegistrationAccessToken = new(fixture.Digest(fixture.Unique("registration")))
	}}, change...)...)
}

func (w *world) exists(client store.ClientID) bool {
	w.Helper()
	_, err := w.Q.GetClient(w.Ctx, client)
	return err == nil
}

// Never by age alone: the time counts from the first look that finds nothing.
func TestClientThatNobodyUsesIsDeletedInTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.registered()
	w.Exec(`UPDATE oauth_client SET created_at = now() - interval '10 years'`)
	wantEqual(t, "at the first look", w.markUnused(), 0)
	c, err := w.Q.GetClient(w.Ctx, id)
	w.OK(err)
	if c.UnusedSince == nil || c.UnusedCheckedAt == nil || !c.UnusedSince.Equal(*c.UnusedCheckedAt) {
		t.Errorf("unused since %v, checked at %v", c.UnusedSince, c.UnusedCheckedAt)
	}
	w.Unchanged(func() { wantEqual(t, "a moment later", w.markUnused(), 0) })
	wantEqual(t, "within ten days", w.watched(9), 0)
	before, err := w.Q.GetClient(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "then", w.watched(2), 1)
	wantEqual(t, "exists", w.exists(id), false)
	var disabled bool
	var epoch int64
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT disabled, grants_epoch FROM oauth_client WHERE client_id = $1`, id).Scan(&disabled, &epoch))
	wantEqual(t, "as DeleteClient does", []any{disabled, epoch}, []any{true, before.GrantsEpoch + 1})
	var secrets int
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT num_nonnulls(client_secret, registration_access_token, metadata, name) FROM oauth_client WHERE client_id = $1`, id).Scan(&secrets))
	wantEqual(t, "what is blanked", secrets, 0)
	row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: 10})
	w.OK(err)
	wantEqual(t, "erased", row.Deleted, 1)
	wantEqual(t, "clients that were not registered dynamically", w.exists(w.Client), true)
}

func TestClientThatIsUsedStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, use := range map[string]func() (stop func()){
		"a request": func() func() {
			id := w.pending(func(p *store.CreateAuthorizationParams) { p.ClientID = w.Client })
			return func() { w.Exec(`DELETE FROM oauth_authorization WHERE id = $1`, string(id)) }
		},
		"a family": func() func() {
			k := w.Redeem()
			w.Exec(`DELETE FROM session_client`)
			return func() { w.Exec(`DELETE FROM oauth_authorization WHERE id = $1`, string(k.Authorization)) }
		},
		"an access token of the client": func() func() {
			w.Exec(`INSERT INTO oauth_access_token (id, client_id, scopes) VALUES ('own', $1, '{}')`, w.Client)
			return func() { w.Exec(`DELETE FROM oauth_access_token WHERE id = 'own'`) }
		},
		"a session that it knows": func() func() {
			w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ('s', $1, 'u', 'u', 's')`, w.Client)
			return func() { w.Exec(`DELETE FROM session_client`) }
		},
		"a consent of late": func() func() {
			w.consent("", false, "openid")
			return func() { w.Exec(`UPDATE oauth_consent SET updated_at = now() - interval '11 days'`) }
		},
	} {
		w.Client = w.registered()
		wantEqual(t, name+", not yet", w.watched(8), 0)
		stop := use()
		wantEqual(t, name, w.watched(12), 0)
		c, err := w.Q.GetClient(w.Ctx, w.Client)
		w.OK(err)
		wantEqual(t, name+": unused since", []*time.Time{c.UnusedSince, c.UnusedCheckedAt}, []*time.Time{nil, nil})
		w.Unchanged(func() { w.markUnused() })
		stop()
		wantEqual(t, name+", and then nine days", w.watched(9), 0)
		wantEqual(t, name+", and then", w.watched(2), 1)
	}
}

// What is used between two looks leaves a trace for the retention. Who has not looked for longer knows nothing, and begins anew.
func TestTimeThatNobodyWatchedDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.registered()
	w.watched(8)
	w.clientsLater(unusedRetention)
	wantEqual(t, "after a gap", w.watched(9), 0)
	wantEqual(t, "and then", w.watched(2), 1)
	wantEqual(t, "exists", w.exists(id), false)

	w.registered()
	for range 20 {
		w.markUnused(func(p *store.MarkUnusedClientsParams) { p.Retention = 0 })
		w.clientsLater(24 * time.Hour)
	}
	wantEqual(t, "without a retention", w.markUnused(func(p *store.MarkUnusedClientsParams) { p.Retention = 0 }), 0)
}

// A walk at last that comes upon a client in use writes that down, although it had counted it as unused for long.
func TestUseThatIsSeenLateCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.registered()
	w.watched(9)
	w.clientsLater(23 * time.Hour)
	k := w.Redeem()
	w.clientsLater(time.Hour - time.Minute)
	wantEqual(t, "at the very end", w.markUnused(), 0)
	w.WantLive(k.Access, k.Refresh)
	wantEqual(t, "exists", w.exists(w.Client), true)
}

// A client is deleted once it has been unused for all of UnusedFor. It is looked at again after half of the retention, and has been watched
// if that was less than the retention ago.
func TestUnusedClientIsJudgedToTheInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.registered()
	const instant = time.Microsecond
	for what, c := range map[string]struct {
		since, checked time.Duration // ago
		deleted        int64
		want           [2]time.Duration // the same afterwards
	}{
		"for all of the time":           {unusedFor, 0, 1, [2]time.Duration{unusedFor, 0}},
		"for almost all of the time":    {unusedFor - instant, 0, 0, [2]time.Duration{unusedFor - instant, 0}},
		"half of the retention ago":     {unusedRetention, unusedRetention / 2, 0, [2]time.Duration{unusedRetention, 0}},
		"less than half of it ago":      {unusedRetention, unusedRetention/2 - instant, 0, [2]time.Duration{unusedRetention, unusedRetention/2 - instant}},
		"all of the retention ago":      {unusedRetention, unusedRetention, 0, [2]time.Duration{}},
		"less than all of it ago":       {unusedRetention, unusedRetention - instant, 0, [2]time.Duration{unusedRetention, 0}},
		"unused for too long unwatched": {unusedFor, unusedRetention, 0, [2]time.Duration{}},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			w := w.on(q)
			_, err := tx.Exec(w.Ctx, `UPDATE oauth_client SET unused_since = now() - $2::interval, unused_checked_at = now() - $3::interval WHERE client_id = $1`,
				id, c.since, c.checked)
			w.OK(err)
			wantEqual(t, what+": deleted", w.markUnused(), c.deleted)
			var got [2]time.Duration
			w.OK(tx.QueryRow(w.Ctx, `SELECT now() - unused_since, now() - unused_checked_at FROM oauth_client WHERE client_id = $1`, id).Scan(&got[0], &got[1]))
			wantEqual(t, what, got, c.want)
		})
	}
}

// A consent is of late if it was given no longer ago than UnusedFor.
func TestConsentCountsAsUseToTheInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Client = w.registered()
	w.consent("", false, "openid")
	for ago, want := range map[time.Duration]int64{unusedFor: 0, unusedFor + time.Microsecond: 1} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(`UPDATE oauth_client SET unused_since = now() - $2::interval, unused_checked_at = now() WHERE client_id = $1`, w.Client, unusedFor)
			exec(`UPDATE oauth_consent SET updated_at = now() - $2::interval WHERE client_id = $1`, w.Client, ago)
			wantEqual(t, "deleted, with a consent of "+ago.String()+" ago", w.on(q).markUnused(), want)
		})
	}
}

func TestWhichUnusedClientsAreDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	clients := map[string]store.ClientID{
		"registered":      w.registered(),
		"by hand":         w.NewClient(),
		"acts for itself": w.registered(func(p *store.CreateClientParams) { p.GrantTypes = []string{"client_credentials"} }),
		"exchanges tokens": w.registered(func(p *store.CreateClientParams) {
			p.GrantTypes = []string{"authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"}
		}),
		"disabled":           w.registered(),
		"grants by its name": w.registered(func(p *store.CreateClientParams) { p.GrantTypes = []string{"authorization_code", "refresh_token"} }),
	}
	document := documentParams(time.Now())
	w.put(document, store.OutcomeInserted)
	clients["document"] = document.ClientID
	w.disable(clients["disabled"])
	left := func() (names []string) {
		for _, name := range []string{"registered", "by hand", "acts for itself", "exchanges tokens", "disabled", "grants by its name", "document"} {
			if w.exists(clients[name]) {
				names = append(names, name)
			}
		}
		return names
	}
	wantEqual(t, "deleted", w.watched(12), 3)
	wantEqual(t, "left", left(), []string{"by hand", "acts for itself", "exchanges tokens", "disabled"})
	for range 2 * 12 {
		w.markUnused(func(p *store.MarkUnusedClientsParams) { p.AnyClient = true })
		w.clientsLater(12 * time.Hour)
	}
	wantEqual(t, "left of any", left(), []string{"acts for itself", "exchanges tokens", "disabled"})
	w.Unchanged(func() {
		_, err := w.Q.MarkUnusedClients(w.Ctx, store.MarkUnusedClientsParams{PageSize: 10, Retention: time.Hour})
		wantEqual(t, "without a time", pgErrorOf(err).Message, "UnusedFor is missing or under a second")
		_, err = w.Q.MarkUnusedClients(w.Ctx, store.MarkUnusedClientsParams{PageSize: 10, Retention: time.Hour, UnusedFor: store.Never})
		wantEqual(t, "never", pgErrorOf(err).Message, "UnusedFor is without end")
	})
}

// A client that a grant holds, or another call, is skipped; the grant lives.
func TestGrantThatIsBeingWrittenKeepsItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.Client = w.registered()
	w.watched(10)
	w.clientsLater(time.Minute)
	tx := w.otherSession()
	p := w.GrantParams("code")
	outcome, err := store.New(tx).GrantAuthorization(w.Ctx, p)
	w.OK(err)
	w.want("GrantAuthorization", outcome, store.OutcomeGranted)
	w.Unchanged(func() { wantEqual(t, "deleted", w.markUnused(), 0) })
	w.OK(tx.Commit(w.Ctx))
	wantEqual(t, "deleted afterwards", w.markUnused(), 0)
	row := w.redeem("code", store.OutcomeRedeemed)
	wantEqual(t, "the grant", row.AuthorizationID, &p.ID)

	release := w.holding(`SELECT FROM oauth_client FOR NO KEY UPDATE`)
	w.Unchanged(func() { wantEqual(t, "deleted", w.markUnused(), 0) })
	release()
}
