// Command endings measures every ending with one family and with very many of the same user, client and session, and introspection
// beside a loop of it.
//
//	go run -C bench ./endings
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
)

func main() { report.Main("endings", run) }

// options are the flags.
type options struct {
	families int
	rounds   int
	beside   int     // rounds
	rate     float64 // of the endings beside introspection
	window   time.Duration
	page     string
}

func run(ctx context.Context, args []string) (err error) {
	o := options{}
	f := flag.NewFlagSet("endings", flag.ContinueOnError)
	f.IntVar(&o.families, "families", 100_000, "how many families the large user, client and session have in common")
	f.IntVar(&o.rounds, "rounds", 51, "measurements of each ending")
	f.IntVar(&o.beside, "beside", 20, "measurements of introspection beside a loop of each ending; 0 leaves it out")
	f.Float64Var(&o.rate, "rate", 100, "endings a second in such a loop")
	f.DurationVar(&o.window, "window", 500*time.Millisecond, "how long such a loop goes on, and how long it is quiet before")
	f.StringVar(&o.page, "write", "", "Markdown file to write to, between <!-- begin endings --> and <!-- end endings -->")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || o.families < 1 || o.rounds < 1 || o.beside < 0 || !(o.rate > 0) {
		return errors.New("all there is are flags; families, rounds and the rate are above 0")
	}
	server, err := dataset.StartServer(ctx, report.Logf)
	if err != nil {
		return err
	}
	environment, err := server.Environment(ctx)
	if err != nil {
		return err
	}
	commit, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%h", "--", "../migrations", "../queries").Output()
	if err != nil {
		return fmt.Errorf("ask git for the last commit of migrations and queries: %w", err)
	}
	p, err := newPlace(ctx, server, "bench_endings", o.families)
	if err == nil {
		var text string
		if text, err = endings(ctx, p, o); err == nil {
			err = report.Put(o.page, "endings", fmt.Sprintf("PostgreSQL %s, one connection. Commit %s.\n\n%s", environment.PostgreSQL, strings.TrimSpace(string(commit)), text))
		}
	}
	return errors.Join(err, p.drop(context.WithoutCancel(ctx)))
}
