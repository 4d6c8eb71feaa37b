package crash

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/witness"
	"github.com/oauthdb/oauthdb/store"
)

// crashes is few by default, so that TestCrash fits into a run of all:
//
//	make crash
var crashes = flag.Int("crashes", 3, "how often TestCrash kills PostgreSQL with SIGKILL; 0 leaves it out")

// killable skips the test if PostgreSQL isn't to be killed.
func killable(t *testing.T) {
	t.Helper()
	switch {
	case *crashes < 1:
		t.Skip("PostgreSQL is not killed: -crashes 0")
	case testing.Short():
		t.Skip("PostgreSQL is not killed: -short")
	}
}

// TestCrash kills PostgreSQL with SIGKILL while codes are redeemed, tokens rotated and grants ended, over and over, and holds
// what was answered against what each recovery leaves.
//
// A server that is killed keeps what it has given to the operating system, so this is not the loss of power.
func TestCrash(t *testing.T) {
	killable(t)
	t.Parallel()
	cluster := fixture.NewCluster(t, nil)
	connect := func() *fixture.World {
		config, err := pgxpool.ParseConfig(cluster.URL)
		if err != nil {
			t.Fatal(err)
		}
		config.MaxConns = 16
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		return &fixture.World{TB: t, Ctx: t.Context(), Pool: pool, Q: store.New(pool)}
	}
	w := connect()
	seen := witness.New(w, witness.Options{})
	for kill := range *crashes {
		var working sync.WaitGroup
		working.Go(func() { seen.Work(w) })
		time.Sleep(100*time.Millisecond + rand.N(250*time.Millisecond))
		if err := cluster.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		working.Wait()
		w.Pool.Close()
		if err := cluster.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		w = connect()
		var fsync, commit string
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit))
		if fsync != "on" || commit != "on" {
			t.Fatalf("fsync is %s, synchronous_commit %s", fsync, commit)
		}
		seen.Check(w)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", kill+1, *crashes)
		}
	}
	seen.PresentAgain(w)
	w.Pool.Close()
	if c := seen.Counts(); c.Lost < *crashes || c.Rotations < *crashes {
		t.Errorf("the server was not killed in the middle of anything: %s", c)
	}
}
