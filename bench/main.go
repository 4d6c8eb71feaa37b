// Command bench measures oauthdb against other ways to do the same, all on one PostgreSQL and in one run, and writes
// docs/performance.md from what it finds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
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
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context) error {
	sizes := flag.String("sizes", "10000", "")
	conns := flag.String("conns", "16", "")
	works := flag.String("works", "introspect-hit,rotate", "")
	subjects := flag.String("subjects", "store,pgx,pgbench", "")
	rounds := flag.Int("rounds", 5, "")
	duration := flag.Duration("duration", time.Second, "")
	flag.Parse()
	server, err := dataset.StartServer(ctx, logf)
	if err != nil {
		return err
	}
	runNo := int64(time.Now().Unix() % 900000)
	for _, size := range strings.Split(*sizes, ",") {
		n, _ := strconv.ParseInt(size, 10, 64)
		d, err := server.Prepare(ctx, n, logf)
		if err != nil {
			return err
		}
		if err := server.Warm(ctx, d); err != nil {
			return err
		}
		for _, w := range strings.Split(*works, ",") {
			for _, cs := range strings.Split(*conns, ",") {
				c, _ := strconv.Atoi(cs)
				l := workload.Load{Work: subject.Work(w), Data: d, Conns: c, Ops: 100}
				one := func(name string) (report.Round, error) {
					runNo++
					l.Run = runNo
					if workload.Plants(l.Work) {
						if err := server.Plant(ctx, d, l.Seed(false)); err != nil {
							return report.Round{}, err
						}
					}
					var r report.Round
					var err error
					if name == "pgbench" {
						r, err = measure.PgBench(ctx, server.PgBench, server.URL(d.Database), l)
					} else {
						s := subject.NewStore()
						switch name {
						case "pgx":
							s = subject.NewPgx()
						case "tx":
							s = subject.NewTransaction(false)
						case "tx-lock":
							s = subject.NewTransaction(true)
						case "gorm":
							s = subject.NewGORM()
						}
						session, oerr := s.Open(ctx, server.URL(d.Database), c)
						if oerr != nil {
							return r, oerr
						}
						r, err = measure.Session(ctx, session, l, time.Minute)
						session.Close()
					}
					if err == nil {
						conn, cerr := server.Connect(ctx, d.Database)
						if cerr != nil {
							return r, cerr
						}
						err = l.Verify(ctx, conn, r.Ops)
						conn.Close(ctx)
					}
					return r, err
				}
				r, err := one("store")
				if err != nil {
					return err
				}
				l.Ops = max(20, int64(r.PerSecond()*duration.Seconds()/float64(c)))
				for i := range *rounds {
					line := fmt.Sprintf("%d %s c=%d #%d:", n, w, c, i)
					for _, name := range strings.Split(*subjects, ",") {
						r, err := one(name)
						if err != nil {
							return err
						}
						line += fmt.Sprintf("  %s %.0f/s p50 %s p99 %s allocs %.0f", name, r.PerSecond(), r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond), r.Allocs)
					}
					fmt.Println(line)
				}
				if err := server.Uproot(ctx, d); err != nil {
					return err
				}
			}
		}
		if err := server.Vacuum(ctx, d); err != nil {
			return err
		}
	}
	return nil
}
