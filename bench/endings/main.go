// Command endings measures this core beside an earlier one, in two databases of one server and in one run: the calls that every
// request makes; and of this one every ending with one family and with very many of the same user, client and session.
//
//	go run -C bench ./endings
//
// The earlier core is read from the repository's history, so it takes a clone that is not shallow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
)

func main() { report.Main("endings", run) }

// options are the flags.
type options struct {
	before              string
	families            int
	rounds, calls       int
	beside              int     // rounds
	rate                float64 // of the endings beside introspection
	window              time.Duration
	callsOnly, loadOnly bool
	callgrind, page     string
}

const root = ".." // the repository

func run(ctx context.Context, args []string) (err error) {
	o := options{}
	f := flag.NewFlagSet("endings", flag.ContinueOnError)
	f.StringVar(&o.before, "before", "608fed8", "commit of the core to compare with")
	f.IntVar(&o.families, "families", 100_000, "how many families the large user, client and session have in common")
	f.IntVar(&o.rounds, "rounds", 51, "measurements of each ending")
	f.IntVar(&o.calls, "calls", 3000, "measurements of each call that is no ending")
	f.IntVar(&o.beside, "beside", 20, "measurements of introspection beside a loop of each ending; 0 leaves it out")
	f.Float64Var(&o.rate, "rate", 100, "endings a second in such a loop")
	f.DurationVar(&o.window, "window", 500*time.Millisecond, "how long such a loop goes on, and how long it is quiet before")
	f.BoolVar(&o.callsOnly, "calls-only", false, "leave the endings out")
	f.BoolVar(&o.loadOnly, "load-only", false, "make the two databases, keep them and end")
	f.StringVar(&o.callgrind, "callgrind", "", "folder with the callgrind.out.PID of the processes of the server that DATABASE_URL names: count instructions of the calls, in databases that -load-only has made")
	f.StringVar(&o.page, "write", "", "Markdown file to write to, between <!-- begin calls --> and <!-- end calls -->, and endings likewise")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || o.families < 1 || o.rounds < 1 || o.beside < 0 || !(o.rate > 0) || o.calls < 100 || o.calls > maxCalls {
		return fmt.Errorf("all there is are flags; families, rounds and the rate are above 0, and calls from 100 to %d", maxCalls)
	}

	server, err := dataset.StartServer(ctx, report.Logf)
	if err != nil {
		return err
	}
	files, err := atCommit(ctx, root, o.before)
	if err != nil {
		return err
	}
	before := &core{name: "before", files: files, database: "bench_endings_before"}
	after := &core{name: "after", files: asItIs(root), database: "bench_endings_after"}
	cores := []*core{before, after}
	defer func() {
		for _, c := range cores {
			if c.conn != nil {
				err = errors.Join(err, c.conn.Close(context.WithoutCancel(ctx)))
			}
			if !o.loadOnly && o.callgrind == "" {
				err = errors.Join(err, server.Drop(context.WithoutCancel(ctx), c.database))
			}
		}
	}()
	if o.callgrind != "" {
		return instructions(ctx, server, cores, o.callgrind)
	}
	for c, families := range map[*core]int{before: 1, after: o.families} {
		report.Logf("loading %s", c.name)
		if err := c.open(ctx, server); err != nil {
			return err
		}
		if err := c.load(ctx, families); err != nil {
			return err
		}
	}
	if o.loadOnly {
		return nil
	}

	environment, err := server.Environment(ctx)
	if err != nil {
		return err
	}
	present, err := lastCommit(ctx, root)
	if err != nil {
		return err
	}
	text, err := calls(ctx, cores, o)
	if err != nil {
		return err
	}
	text = fmt.Sprintf("PostgreSQL %s, one connection. Before: commit %s. After: %s.\n\n%s", environment.PostgreSQL, o.before, present, text)
	if err := report.Put(o.page, "calls", text); err != nil || o.callsOnly {
		return err
	}
	if text, err = endings(ctx, server, after, o); err != nil {
		return err
	}
	return report.Put(o.page, "endings", fmt.Sprintf("PostgreSQL %s, one connection. Commit %s.\n\n%s", environment.PostgreSQL, present, text))
}
