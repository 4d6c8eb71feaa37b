package race

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

func claim(w *world, q *store.Queries, size int32) []store.ClaimLogoutDeliveriesRow {
	rows, err := q.ClaimLogoutDeliveries(w.Ctx, store.ClaimLogoutDeliveriesParams{PageSize: size, LeaseLifetime: time.Minute})
	w.Raced("ClaimLogoutDeliveries", err)
	return rows
}

func finish(w *world, q *store.Queries, d store.ClaimLogoutDeliveriesRow, delivered bool) (store.Outcome, error) {
	row, err := q.FinishLogoutDelivery(w.Ctx, store.FinishLogoutDeliveryParams{ID: d.ID, Lease: d.Lease, Delivered: delivered, BackOff: time.Hour})
	return row.Outcome, err
}

// TestRaceLogoutDeliveries: of workers that claim together, each delivery has one, which no worker misses for good. Of those that finish one
// together, one counts. A worker whose lease has expired either counts or is told that another one has the delivery.
func TestRaceLogoutDeliveries(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(20) {
		scenes := []*scene{w.newScene(true, false), w.newScene(false, false), w.newScene(true, true), w.newScene(false, true)}
		fixture.Together(fixture.Times(len(scenes), soonerOr(func(i int) {
			_, err := w.Q.EndSession(w.Ctx, scenes[i].session)
			w.Raced("EndSession", err)
		}))...)
		var claimed tally[store.SessionClientID]
		fixture.Together(fixture.Times(8, func(int) {
			for range 3 {
				for _, d := range claim(w, w.Q, 2) {
					claimed.add(d.ID)
				}
			}
		})...)
		for _, d := range claim(w, w.Q, 100) { // what all of them skipped, because it was locked
			claimed.add(d.ID)
		}
		if len(claimed.m) != len(scenes) {
			t.Errorf("%d deliveries were claimed, want %d", len(claimed.m), len(scenes))
		}
		for id, n := range claimed.m {
			if n != 1 {
				t.Errorf("%s was claimed %d times", id, n)
			}
		}
		w.Exec(`UPDATE session_client SET lease_expires_at = now() WHERE lease_expires_at IS NOT NULL`)
		first := claim(w, w.Q, 100)
		if len(first) != len(scenes) {
			t.Fatalf("%d deliveries are claimed again, want %d", len(first), len(scenes))
		}
		w.parallel("FinishLogoutDelivery", 8, outcomes{store.OutcomeDelivered: 1, store.OutcomeRetried: 7}, func(int) (store.Outcome, error) {
			return finish(w, w.Q, first[0], true)
		})
		w.Exec(`UPDATE session_client SET lease_expires_at = now() WHERE lease_expires_at IS NOT NULL`)
		var late store.Outcome
		var again []store.ClaimLogoutDeliveriesRow
		fixture.Together(
			soonerOrLater(func() {
				var err error
				late, err = finish(w, w.Q, first[1], true)
				w.Raced("FinishLogoutDelivery", err)
			}),
			soonerOrLater(func() { again = claim(w, w.Q, 100) }),
			soonerOrLater(func() {
				_, err := w.Q.SweepSessionClients(w.Ctx, store.SweepSessionClientsParams{PageSize: 1000, Retention: time.Hour})
				w.Raced("SweepSessionClients", err)
			}),
		)
		taken := false
		for _, d := range again {
			taken = taken || d.ID == first[1].ID
		}
		if want := map[bool]store.Outcome{true: store.OutcomeSuperseded, false: store.OutcomeDelivered}[taken]; late != want {
			t.Errorf("a late result is %s, and another worker has the delivery: %t", late, taken)
		}
		w.Exec(`DELETE FROM session_client`)
	}
}

func soonerOr(call func(i int)) func(i int) {
	return func(i int) { soonerOrLater(func() { call(i) })() }
}

// TestRaceLogoutResultThatWaited: a result that waits for the row goes by what it finds there then.
func TestRaceLogoutResultThatWaited(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	for _, tc := range []struct {
		name string
		by   func(tx pgx.Tx, d store.ClaimLogoutDeliveriesRow) error
		want store.Outcome
	}{
		{"another claim", func(tx pgx.Tx, d store.ClaimLogoutDeliveriesRow) error {
			if rows := claim(w, store.New(tx), 100); len(rows) != 1 || rows[0].ID != d.ID {
				return errors.New("not claimed again")
			}
			return nil
		}, store.OutcomeSuperseded},
		{"the same result", func(tx pgx.Tx, d store.ClaimLogoutDeliveriesRow) error {
			_, err := finish(w, store.New(tx), d, true)
			return err
		}, store.OutcomeRetried},
		{"its deletion", func(tx pgx.Tx, d store.ClaimLogoutDeliveriesRow) error {
			_, err := tx.Exec(w.Ctx, `DELETE FROM session_client WHERE id = $1`, d.ID)
			return err
		}, store.OutcomeUnknown},
	} {
		s := w.newScene(true, false)
		w.does(w.Q.EndSession(w.Ctx, s.session))
		rows := claim(w, w.Q, 100)
		if len(rows) != 1 {
			t.Fatalf("%s: claimed %v", tc.name, rows)
		}
		w.Exec(`UPDATE session_client SET lease_expires_at = now()`)
		tx, err := w.Pool.Begin(w.Ctx)
		w.OK(err)
		w.OK(tc.by(tx, rows[0]))
		var got store.Outcome
		late := w.starts("FinishLogoutDelivery", func(q *store.Queries) (err error) {
			got, err = finish(w, q, rows[0], false)
			return err
		})
		late.wantWaiting("session_client")
		w.OK(tx.Commit(w.Ctx))
		late.succeeds()
		if got != tc.want {
			t.Errorf("a result that waited for %s: %s, want %s", tc.name, got, tc.want)
		}
		w.Exec(`DELETE FROM session_client`)
	}
}
