package crash

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// TestCrashDuringLogoutDeliveries kills PostgreSQL while sessions end and their clients are told. After the recovery, the client of each
// session whose end was acknowledged is told; and whoever is marked as told has been.
func TestCrashDuringLogoutDeliveries(t *testing.T) {
	killable(t)
	t.Parallel()
	ctx := t.Context()
	cluster := fixture.NewCluster(t, nil)
	w := &fixture.World{TB: t, Ctx: ctx}
	connect := func() {
		var err error
		w.Pool, err = pgxpool.New(ctx, cluster.URL)
		w.OK(err)
		w.Q = store.New(w.Pool)
	}
	connect()
	w.User = w.NewUser()
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.BackchannelLogoutURI = new("https://client.example/logout") })
	sessions := make([]store.SessionID, 300)
	for i := range sessions {
		sessions[i] = w.NewSession(w.User)
	}
	w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) SELECT s.id, $1, s.user_id, s.user_id, s.id FROM session AS s`, string(w.Client))

	var mu sync.Mutex
	told := map[string]int{} // by the sid
	underWay := make(chan struct{}, len(sessions))
	deliver := func(_ context.Context, d db.LogoutDelivery) error {
		underWay <- struct{}{}
		time.Sleep(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		told[d.SID]++
		return nil
	}
	work, stop := context.WithCancel(ctx)
	var ended []store.SessionID
	var running sync.WaitGroup
	worker := db.NewLogoutWorker(w.Q, deliver, db.LogoutOptions{Concurrency: 2, Interval: time.Millisecond})
	running.Go(func() { worker.Run(work) })
	running.Go(func() {
		for _, id := range sessions {
			if _, err := w.Q.EndSession(ctx, id); err != nil {
				return // the server is gone
			}
			ended = append(ended, id)
		}
	})
	for range 20 {
		<-underWay
	}
	if err := cluster.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	running.Wait()
	w.Pool.Close()
	if err := cluster.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	connect()
	defer w.Pool.Close()

	rows, err := w.Pool.Query(ctx, `SELECT sid FROM session_client WHERE told_at IS NOT NULL`)
	w.OK(err)
	marked := 0
	for rows.Next() {
		var sid string
		w.OK(rows.Scan(&sid))
		marked++
		if told[sid] == 0 {
			t.Errorf("%s is marked as told, and was not", sid)
		}
	}
	w.OK(rows.Err())
	if marked == len(sessions) {
		t.Error("the server was not killed in the middle of anything")
	}
	w.Exec(`UPDATE session_client SET lease_expires_at = now()`) // the leases of the dead are over
	underWay = make(chan struct{}, 2*len(sessions))
	if _, err := db.NewLogoutWorker(w.Q, deliver, db.LogoutOptions{}).RunOnce(ctx); err != nil {
		t.Fatal(err)
	}
	twice := 0
	for _, id := range ended {
		switch told[string(id)] {
		case 0:
			t.Errorf("the end of %s was acknowledged, and nobody was told", id)
		case 1:
		default:
			twice++
		}
	}
	t.Logf("%d sessions ended, %d were marked as told when the server was killed, %d were told twice", len(ended), marked, twice)
}
