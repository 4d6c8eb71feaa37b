package calls

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

const logoutURI = "https://client.example/logout"

// withLogoutURI registers a client that is told of sign-outs.
func withLogoutURI(p *store.CreateClientParams) { p.BackchannelLogoutURI = new(logoutURI) }

// knownTo makes the world's client one that is told of sign-outs, and lets it know the world's session.
func (w *world) knownTo() {
	w.Helper()
	w.Client = w.NewClient(withLogoutURI)
	w.Redeem()
}

// dueDelivery makes the world's client one that has to be told that the world's session has ended.
func (w *world) dueDelivery() {
	w.Helper()
	w.knownTo()
	w.endSession(w.Session)
}

func (w *world) claim(size int32) []store.ClaimLogoutDeliveriesRow {
	w.Helper()
	rows, err := w.Q.ClaimLogoutDeliveries(w.Ctx, store.ClaimLogoutDeliveriesParams{PageSize: size, LeaseLifetime: time.Minute})
	w.OK(err)
	return rows
}

// claimOne claims a page of deliveries and wants one of the world's client.
func (w *world) claimOne() store.ClaimLogoutDeliveriesRow {
	w.Helper()
	rows := w.claim(10)
	if len(rows) != 1 || rows[0].ClientID != w.Client {
		w.Fatalf("claimed %s, want one delivery to %s", asJSON(rows), w.Client)
	}
	return rows[0]
}

func (w *world) claimsNothing() {
	w.Helper()
	if rows := w.claim(10); len(rows) > 0 {
		w.Errorf("claimed %s, want nothing", asJSON(rows))
	}
}

// finish finishes a delivery and wants an outcome.
func (w *world) finish(d store.ClaimLogoutDeliveriesRow, delivered bool, want store.Outcome, change ...func(*store.FinishLogoutDeliveryParams)) store.FinishLogoutDeliveryRow {
	w.Helper()
	p := store.FinishLogoutDeliveryParams{ID: d.ID, Lease: d.Lease, Delivered: delivered}
	if !delivered {
		p.BackOff = time.Minute
	}
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.FinishLogoutDelivery(w.Ctx, p)
	w.OK(err)
	w.want("FinishLogoutDelivery", row.Outcome, want)
	return row
}

// sweepAll sweeps all pages, and says how many notifications became due and how many rows were deleted.
func (w *world) sweepAll(retention time.Duration) (due, deleted int64) {
	w.Helper()
	after := store.SessionClientID("")
	for range 100 {
		row, err := w.Q.SweepSessionClients(w.Ctx, store.SweepSessionClientsParams{AfterID: after, PageSize: 2, Retention: retention})
		w.OK(err)
		due, deleted = due+row.Due, deleted+row.Deleted
		if row.LastID == nil {
			return due, deleted
		}
		after = *row.LastID
	}
	w.Fatal("the sweep has no end")
	return 0, 0
}

func (w *world) swept(retention time.Duration, want ...int64) {
	w.Helper()
	due, deleted := w.sweepAll(retention)
	wantEqual(w, "due and deleted", []int64{due, deleted}, want)
}

// known is the note that the world's client knows the world's session.
func (w *world) known() store.SessionClient {
	w.Helper()
	rows, err := w.Q.ListSessionClients(w.Ctx, w.Session)
	w.OK(err)
	i := slices.IndexFunc(rows, func(k store.SessionClient) bool { return k.ClientID == w.Client })
	if i < 0 {
		w.Fatalf("%s does not know %s", w.Client, w.Session)
	}
	return rows[i]
}

// eraseClients erases what is left of deleted clients, and of their notices.
func (w *world) eraseClients() {
	w.Helper()
	_, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: 100})
	w.OK(err)
}

// timePasses lets the leases expire and postponed deliveries become due.
func (w *world) timePasses() {
	w.Helper()
	w.Exec(`UPDATE session_client SET due_at = due_at - interval '1 day', lease_expires_at = lease_expires_at - interval '1 day'`)
}

func TestDeliverySaysWhatALogoutTokenHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	w.Exec(`UPDATE session_client SET sub = 'pairwise', sid = 'sid of the client'`)
	var d store.ClaimLogoutDeliveriesRow
	w.changesRows(func() { d = w.claimOne() }, w.knownRow("~"))
	k := w.known()
	wantEqual(t, "delivery", d, store.ClaimLogoutDeliveriesRow{
		ID: k.ID, Lease: *k.Lease, ClientID: w.Client, BackchannelLogoutURI: logoutURI, Sub: "pairwise", SID: "sid of the client", Attempt: 1,
	})
	wantAt(t, "lease_expires_at", k.LeaseExpiresAt, k.UpdatedAt, time.Minute)
	w.Unchanged(w.claimsNothing)
}

func TestDeliveryIsDoneOnceItIsDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	d := w.claimOne()
	w.changesRows(func() {
		wantEqual(t, "due_at", w.finish(d, true, store.OutcomeDelivered).DueAt, nil)
	}, w.knownRow("~"))
	k := w.known()
	wantAt(t, "told_at", k.ToldAt, k.UpdatedAt, 0)
	wantEqual(t, "attempts", k.Attempts, 1)
	w.timePasses()
	w.Unchanged(w.claimsNothing)
	w.Unchanged(func() {
		w.finish(d, true, store.OutcomeRetried)
		w.finish(d, false, store.OutcomeRetried)
	})
}

// Each attempt is due twice as long after the one before, up to 256 times the first back-off.
func TestDeliveryThatFailedIsDueAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256} {
		d := w.claimOne()
		wantEqual(t, "attempt", d.Attempt, int64(n)+1)
		row := w.finish(d, false, store.OutcomePostponed)
		k := w.known()
		wantAt(t, "due_at", row.DueAt, k.UpdatedAt, want*time.Minute)
		wantAt(t, "due_at of the row", k.DueAt, k.UpdatedAt, want*time.Minute)
		wantEqual(t, "told_at", k.ToldAt, nil)
		w.Unchanged(w.claimsNothing)
		w.Unchanged(func() { w.finish(d, false, store.OutcomeRetried) })
		w.timePasses()
	}
	w.finish(w.claimOne(), true, store.OutcomeDelivered)
}

func TestClientIsGivenUpOnAfterTheLastAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	twice := func(p *store.FinishLogoutDeliveryParams) { p.MaxAttempts = 2 }
	w.finish(w.claimOne(), false, store.OutcomePostponed, twice)
	w.timePasses()
	// The back-off is not needed where nothing is postponed.
	w.finish(w.claimOne(), false, store.OutcomeAbandoned, twice, func(p *store.FinishLogoutDeliveryParams) { p.BackOff = 0 })
	k := w.known()
	wantAt(t, "abandoned_at", k.AbandonedAt, k.UpdatedAt, 0)
	wantEqual(t, "told_at, due_at", []any{k.ToldAt, k.DueAt}, []any{(*time.Time)(nil), (*time.Time)(nil)})
	w.timePasses()
	w.Unchanged(w.claimsNothing)
	w.Unchanged(func() { w.swept(time.Hour, 0, 0) }) // it isn't due again, and kept
	w.swept(0, 0, 1)
}

// The end of a session that has ended, or of all of a user's, doesn't bring back a notification that was given up on.
func TestClientThatIsGivenUpOnStaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	w.finish(w.claimOne(), false, store.OutcomeAbandoned, func(p *store.FinishLogoutDeliveryParams) { p.MaxAttempts = 1 })
	w.Unchanged(func() {
		row, err := w.Q.EndSession(w.Ctx, w.Session)
		w.OK(err)
		w.want("EndSession", row.Outcome, store.OutcomeRevoked)
		w.claimsNothing()
	})
}

// The last attempt may succeed.
func TestDeliveryByTheLastAttemptIsNotGivenUpOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	due := w.known().DueAt
	w.finish(w.claimOne(), true, store.OutcomeDelivered, func(p *store.FinishLogoutDeliveryParams) { p.MaxAttempts = 1 })
	k := w.known()
	wantEqual(t, "abandoned_at", k.AbandonedAt, nil)
	wantEqual(t, "due_at", k.DueAt, due)
}

// A delivery is due, a lease over and a notice old enough from the very instant on.
func TestDeliveriesAreDueToTheInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.dueDelivery()
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		w := w.on(q)
		exec(`UPDATE session_client SET due_at = now() + interval '1 microsecond'`)
		w.claimsNothing()
		exec(`UPDATE session_client SET due_at = now()`)
		w.claimOne()
		exec(`UPDATE session_client SET lease_expires_at = now() + interval '1 microsecond'`)
		w.claimsNothing()
		exec(`UPDATE session_client SET lease_expires_at = now()`)
		d := w.claimOne()
		w.finish(d, true, store.OutcomeDelivered)
		for _, at := range []string{"told_at", "abandoned_at"} {
			exec(`UPDATE session_client SET told_at = NULL, abandoned_at = NULL, due_at = NULL`)
			exec(`UPDATE session_client SET ` + at + ` = now() - interval '1 hour' + interval '1 microsecond'`)
			w.swept(time.Hour, 0, 0)
		}
		exec(`UPDATE session_client SET abandoned_at = now() - interval '1 hour'`)
		w.swept(time.Hour, 0, 1)
	})
}

// What is forgotten is safe: without a maximum the client isn't given up on, and without a back-off or a lease nothing is done.
func TestDeliveryWithoutItsParametersIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	w.Unchanged(func() {
		_, err := w.Q.ClaimLogoutDeliveries(w.Ctx, store.ClaimLogoutDeliveriesParams{PageSize: 1})
		wantEqual(t, "error", pgErrorOf(err).Message, "LeaseLifetime is missing or under a second")
		wantEqual(t, "claimed without a page size", len(w.claim(0)), 0)
		row, err := w.Q.FinishLogoutDelivery(w.Ctx, store.FinishLogoutDeliveryParams{ID: w.known().ID, Delivered: true})
		w.OK(err)
		w.want("FinishLogoutDelivery of what nobody has claimed", row.Outcome, store.OutcomeSuperseded)
	})
	d := w.claimOne()
	w.Unchanged(func() {
		_, err := w.Q.FinishLogoutDelivery(w.Ctx, store.FinishLogoutDeliveryParams{ID: d.ID, Lease: d.Lease})
		wantEqual(t, "error", pgErrorOf(err).Message, "BackOff is missing or under a second")
		w.finish(d, true, store.OutcomeSuperseded, func(p *store.FinishLogoutDeliveryParams) { p.Lease = "" })
		w.finish(d, true, store.OutcomeUnknown, func(p *store.FinishLogoutDeliveryParams) { p.ID = "" })
	})
	for range 40 {
		w.finish(d, false, store.OutcomePostponed, func(p *store.FinishLogoutDeliveryParams) { p.MaxAttempts = -int32(d.Attempt % 2) })
		w.timePasses()
		d = w.claimOne()
	}
}

// A worker that stalls loses its delivery to another one, and its late result doesn't count.
func TestStalledWorkerOverwritesNoNewerResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	stalled := w.claimOne()
	w.timePasses()
	second := w.claimOne()
	if second.Lease == stalled.Lease || second.Attempt != 1 {
		t.Errorf("the second claim has the lease of the first, or is attempt %d", second.Attempt)
	}
	w.Unchanged(func() {
		w.finish(stalled, false, store.OutcomeSuperseded)
		w.finish(stalled, true, store.OutcomeSuperseded)
	})
	w.finish(second, true, store.OutcomeDelivered)
	w.Unchanged(func() {
		w.finish(stalled, false, store.OutcomeSuperseded)
		w.finish(second, true, store.OutcomeRetried)
		w.claimsNothing()
	})
}

// A lease that has expired still counts, as long as nobody else has claimed the delivery.
func TestLateResultCountsUnlessSomebodyElseIsAtIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.dueDelivery()
	d := w.claimOne()
	w.timePasses()
	w.finish(d, true, store.OutcomeDelivered)
	w.claimsNothing()
}

func TestDeliveriesAreClaimedInTheOrderInWhichTheyAreDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var clients []store.ClientID
	for range 3 {
		w.knownTo()
		clients = append(clients, w.Client)
	}
	w.endSession(w.Session)
	slices.Reverse(clients)
	for i, c := range clients {
		w.Exec(`UPDATE session_client SET due_at = now() + make_interval(mins => $2 - 10) WHERE client_id = $1`, string(c), i)
	}
	w.stillTime(func(q *store.Queries, _ func(string, ...any)) {
		var claimed []store.ClientID
		for _, d := range w.on(q).claim(2) {
			claimed = append(claimed, d.ClientID)
		}
		slices.Sort(claimed)
		wantEqual(t, "claimed on a page of two", claimed, slices.Sorted(slices.Values(clients[:2])))
	})
	for _, c := range clients[:2] {
		rows := w.claim(1)
		if len(rows) != 1 || rows[0].ClientID != c {
			t.Errorf("claimed %s, want %s", asJSON(rows), c)
		}
	}
	w.Exec(`UPDATE session_client SET due_at = now() + interval '1 minute' WHERE client_id = $1`, string(clients[2]))
	w.claimsNothing()
}

// Every way in which a session ends makes it due to tell its clients: at once, or at the next sweep.
func TestEveryEndOfASessionIsTold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		end   func(w *world)
		swept int64 // rows that only the sweep finds
	}{
		{"EndSession", func(w *world) { w.endSession(w.Session) }, 0},
		{"EndUserSessions", func(w *world) {
			row, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User})
			w.OK(err)
			w.want("EndUserSessions", row.Outcome, store.OutcomeEnded)
		}, 0},
		{"CreateSession over the maximum", func(w *world) {
			w.createSession(func(p *store.CreateSessionParams) { p.MaxSessions = 1 })
		}, 0},
		{"SuspendUser", func(w *world) { w.suspend(w.User) }, 0},
		{"DeleteUser", func(w *world) { w.deleteUser(w.User) }, 0},
		{"DELETE FROM session", func(w *world) { w.Exec(`DELETE FROM session WHERE id = $1`, string(w.Session)) }, 1},
		{"DELETE FROM user", func(w *world) { w.Exec(`DELETE FROM "user" WHERE id = $1`, string(w.User)) }, 1},
		{"expiry", func(w *world) { w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session)) }, 1},
		{"an ending that did not see the session", func(w *world) {
			w.Exec(`UPDATE "user" SET sessions_epoch = sessions_epoch + 1 WHERE id = $1`, string(w.User))
		}, 1},
		{"an ending that met a locked row", func(w *world) {
			tx, err := w.Pool.Begin(w.Ctx)
			w.OK(err)
			_, err = tx.Exec(w.Ctx, `SELECT FROM session_client FOR UPDATE`)
			w.OK(err)
			w.endSession(w.Session)
			w.OK(tx.Rollback(w.Ctx))
		}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			quiet := w.Client // has no logout URI
			w.Redeem()
			w.knownTo()
			w.Unchanged(func() { w.swept(0, 0, 0) }) // while the session lives
			w.claimsNothing()
			user, session := w.User, w.Session
			tc.end(w)
			w.swept(0, tc.swept, 1)
			rows, err := w.Q.ListSessionClients(w.Ctx, session)
			w.OK(err)
			if len(rows) != 1 {
				t.Errorf("%d clients are known, want only the one to tell, and not %s", len(rows), quiet)
			}
			w.Unchanged(func() { w.swept(0, 0, 0) }) // nothing is collected before the client was told
			d := w.claimOne()
			wantEqual(t, "sub and sid", []string{d.Sub, d.SID}, []string{string(user), string(session)})
			w.finish(d, true, store.OutcomeDelivered)
			w.Unchanged(func() { w.swept(time.Hour, 0, 0) })
			w.swept(0, 0, 1)
			w.claimsNothing()
		})
	}
}

// A grant reads a live session; the session ends and its other clients are told; then the grant commits.
func TestClientOfAGrantThatOverlapsTheEndIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.Client = w.NewClient(withLogoutURI)
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	row, err := store.New(tx).GrantAuthorization(w.Ctx, w.GrantParams("code"))
	w.OK(err)
	w.want("GrantAuthorization", row, store.OutcomeGranted)
	w.endSession(w.Session)
	w.swept(0, 0, 0)
	w.claimsNothing()
	w.OK(tx.Commit(w.Ctx))
	w.claimsNothing()
	w.swept(0, 1, 0)
	w.finish(w.claimOne(), true, store.OutcomeDelivered)
}

// A session whose end was undone (an extension that began before it expired) is live, and nobody is told until it ends.
func TestNobodyIsToldOfALiveSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.knownTo()
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
	w.swept(0, 1, 0)
	w.Exec(`UPDATE session SET expires_at = now() + interval '1 hour' WHERE id = $1`, string(w.Session))
	w.claimsNothing()
	w.endSession(w.Session)
	w.claimOne()
}

func TestOnlyClientsThatAreThereAreTold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(w *world)
		told   bool
	}{
		{"a disabled client", func(w *world) {
			w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, w.Client)), store.OutcomeEnded)
		}, true},
		{"a deleted client", func(w *world) { w.deleteClient(w.Client) }, false},
		{"a client that another server deleted", func(w *world) {
			w.Exec(`DELETE FROM oauth_client WHERE client_id = $1`, string(w.Client))
		}, false},
		{"a client that has no logout URI any more", func(w *world) {
			_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, Cleared: []string{string(store.OAuthClientFieldBackchannelLogoutURI)}})
			w.OK(err)
		}, false},
		{"a client whose logout URI is empty", func(w *world) {
			w.Exec(`UPDATE oauth_client SET backchannel_logout_uri = '' WHERE client_id = $1`, string(w.Client))
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, when := range []string{"before the end", "before the claim", "after the claim"} {
				w := newWorld(t, 2)
				w.knownTo()
				if when == "before the end" {
					tc.change(w)
				}
				w.endSession(w.Session)
				if when == "before the claim" {
					tc.change(w)
				}
				if when != "after the claim" {
					wantEqual(t, "told, changed "+when, len(w.claim(10)) == 1, tc.told)
					continue
				}
				d := w.claimOne()
				tc.change(w)
				if tc.told {
					w.finish(d, true, store.OutcomeDelivered)
					continue
				}
				w.sweepAll(0)
				w.eraseClients()
				w.finish(d, true, store.OutcomeUnknown)
			}
		})
	}
}

// Two workers that claim at once get different deliveries; neither waits for the other.
func TestClaimSkipsWhatAnotherWorkerIsClaiming(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.knownTo()
	w.dueDelivery()
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer tx.Rollback(w.Ctx)
	first, err := store.New(tx).ClaimLogoutDeliveries(w.Ctx, store.ClaimLogoutDeliveriesParams{PageSize: 1, LeaseLifetime: time.Minute})
	w.OK(err)
	ctx, cancel := context.WithTimeout(w.Ctx, 10*time.Second)
	defer cancel()
	second, err := w.Q.ClaimLogoutDeliveries(ctx, store.ClaimLogoutDeliveriesParams{PageSize: 10, LeaseLifetime: time.Minute})
	w.OK(err)
	w.OK(tx.Commit(w.Ctx))
	if len(first) != 1 || len(second) != 1 || first[0].ID == second[0].ID {
		t.Errorf("claimed %s and %s", asJSON(first), asJSON(second))
	}
}
