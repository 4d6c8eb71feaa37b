package linear

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/migrations"
)

// TestKilled kills PostgreSQL with SIGKILL while histories are made, and goes on with them when it has recovered. What got no answer may
// have happened or not; what was answered has.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("PostgreSQL is not killed: -short")
	}
	t.Parallel()
	ctx := t.Context()
	cluster, err := devdb.StartPrivate(ctx, devdb.PrivateOptions{
		Settings: map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"},
	})
	if errors.Is(err, devdb.ErrNoPostgres) {
		t.Skipf("there is no PostgreSQL to kill: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Remove(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	db, err := sql.Open("pgx", cluster.URL)
	if err == nil {
		_, err = migrations.Up(ctx, db, migrations.Options{})
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	lost, made := 0, 0
	for kill := range *kills {
		connect := func() *pgxpool.Pool {
			config, err := pgxpool.ParseConfig(cluster.URL)
			if err != nil {
				t.Fatal(err)
			}
			config.MaxConns = int32(*workers * *worlds)
			pool, err := pgxpool.NewWithConfig(ctx, config)
			if err != nil {
				t.Fatal(err)
			}
			return pool
		}
		pool := connect()
		all := make([]*World, *worlds)
		for i := range all {
			if all[i], err = NewWorld(ctx, pool, fmt.Sprintf("k%d-%d", kill, i)); err != nil {
				t.Fatal(err)
			}
		}
		work := func(calls int, seed uint64) *sync.WaitGroup {
			var working sync.WaitGroup
			for _, w := range all {
				for i := range *workers {
					working.Go(func() {
						if err := w.Work(ctx, pool, i, calls, seed); err != nil {
							t.Error(err)
						}
					})
				}
			}
			return &working
		}
		working := work(1<<30, uint64(kill))
		time.Sleep(20*time.Millisecond + rand.N(60*time.Millisecond))
		if err := cluster.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		working.Wait()
		pool.Close()
		if err := cluster.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		pool = connect()
		work(each/(*workers)/2, uint64(kill)+1<<32).Wait()
		pool.Close()
		for _, w := range all {
			Check(t, w)
			lost += w.Lost()
			made += w.Calls()
		}
		if t.Failed() {
			t.Fatalf("after kill %d of %d", kill+1, *kills)
		}
	}
	t.Logf("%d kills: %d calls, and %d that got no answer", *kills, made, lost)
	if lost < *kills {
		t.Error("the server was not killed in the middle of anything")
	}
}
