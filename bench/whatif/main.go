// Command whatif measures what a change of the schema would give: store on the data as it is, and on a copy to which some SQL was
// applied, in turn. The figures about what was tried in docs/performance.md come from it.
//
//	go run ./whatif -works rotate -conns 1 -sql 'ALTER TABLE oauth_authorization DROP CONSTRAINT oauth_authorization_scopes_hold_no_null'
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/measure"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "whatif:", err)
		stop()
		os.Exit(1)
	}
}

func logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context) (err error) {
	size := flag.Int64("size", 10_000, "access tokens in the data")
	works := flag.String("works", "introspect-hit,redeem,rotate", "works")
	conns := flag.Int("conns", 1, "connections")
	ops := flag.Int64("ops", 2000, "operations in a round, of all connections")
	rounds := flag.Int("rounds", 7, "rounds")
	change := flag.String("sql", "", "what to change, or @file")
	flag.Parse()
	if name, ok := strings.CutPrefix(*change, "@"); ok {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		*change = string(text)
	}

	server, err := dataset.StartServer(ctx, logf)
	if err != nil {
		return err
	}
	kept, err := server.Prepare(ctx, *size, logf)
	if err != nil {
		return err
	}
	var data [2]dataset.Data
	for i, name := range []string{"bench_whatif_as_it_is", "bench_whatif_changed"} {
		defer func() { err = errors.Join(err, server.Drop(context.WithoutCancel(ctx), name)) }()
		if data[i], err = server.Clone(ctx, kept, name); err != nil {
			return err
		}
	}
	conn, err := server.Connect(ctx, data[1].Database)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, *change)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("apply the change: %w", err)
	}
	for _, d := range data {
		if err := errors.Join(server.Vacuum(ctx, d), server.Warm(ctx, d)); err != nil {
			return err
		}
	}

	number := int64(0)
	for work := range strings.SplitSeq(*works, ",") {
		var p50 [2][]time.Duration
		var wal [2][]float64
		var ratio []float64
		for round := range *rounds {
			var rate [2]float64
			for turn := range 2 {
				i := (round + turn) % 2
				number++
				l := workload.Load{Work: subject.Work(work), Data: data[i], Conns: *conns, Run: number, Ops: *ops/int64(*conns) + warm}
				r, bytes, err := one(ctx, server, l)
				if err != nil {
					return err
				}
				rate[i] = r.PerSecond()
				p50[i] = append(p50[i], r.P50)
				wal[i] = append(wal[i], bytes)
			}
			ratio = append(ratio, rate[1]/rate[0])
		}
		slices.Sort(ratio)
		fmt.Printf("%-16s x %.2f (%.2f to %.2f)   p50 %s to %s   WAL %.0f to %.0f bytes\n", work, ratio[len(ratio)/2], ratio[0], ratio[len(ratio)-1],
			median(p50[0]).Round(time.Microsecond), median(p50[1]).Round(time.Microsecond), median(wal[0]), median(wal[1]))
	}
	return nil
}

// warm is how many operations a connection does before it is measured.
const warm = 10

// one measures one round, and the WAL that an operation writes.
func one(ctx context.Context, server *dataset.Server, l workload.Load) (r report.Round, wal float64, err error) {
	if workload.Plants(l.Work) {
		if err := server.Plant(ctx, l.Data, l.Seed(false)); err != nil {
			return r, 0, err
		}
	}
	session, err := subject.NewStore().Open(ctx, server.URL(l.Data.Database), l.Conns)
	if err != nil {
		return r, 0, err
	}
	defer session.Close()
	before, err := position(ctx, server)
	if err != nil {
		return r, 0, err
	}
	r, done, err := measure.Session(ctx, session, l, warm, time.Minute)
	if err != nil {
		return r, 0, err
	}
	after, err := position(ctx, server)
	return r, float64(after-before) / float64(done), err
}

// position is how many bytes of WAL there have been.
func position(ctx context.Context, server *dataset.Server) (bytes int64, err error) {
	conn, err := server.Connect(ctx, "postgres")
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return bytes, conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&bytes)
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
