// Command http measures authorization servers over HTTP, side by side: those that can be made of oauthdb, and those that people would pick
// instead. All run on one PostgreSQL, each on a database of its own and in a process of its own, and are asked in turn. With -write the
// tables become those of docs/http.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/report"
)

func main() {
	if name := os.Getenv(serveVariable); name != "" {
		if err := serve(name); err != nil {
			fmt.Fprintln(os.Stderr, "http:", name+":", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o := defaults()
	write := flag.Bool("write", false, "write the tables into the page")
	page := flag.String("page", filepath.Join("..", "..", "docs", "http.md"), "the page")
	flag.DurationVar(&o.duration, "duration", o.duration, "how long a measurement takes")
	flag.IntVar(&o.rounds, "rounds", o.rounds, "measurements of each cell, of which the median counts")
	flag.IntVar(&o.codes, "codes", o.codes, "how many are exchanged in a measurement")
	flag.IntVar(&o.races, "races", o.races, "how often eight present the same token, or code, at once")
	flag.StringVar(&o.profile, "profile", "", "file for a CPU profile of the server, if -servers names one; -works says under what")
	flag.Func("servers", "those to measure, separated by commas: "+strings.Join(names(), ", "), func(v string) error {
		o.servers = strings.Split(v, ",")
		for _, name := range o.servers {
			if !slices.Contains(names(), name) {
				return fmt.Errorf("there is no %s", name)
			}
		}
		return nil
	})
	flag.Func("works", "those to measure, separated by commas: "+strings.Join(works, ", "), func(v string) error {
		o.works = strings.Split(v, ",")
		for _, name := range o.works {
			if !slices.Contains(works, name) {
				return fmt.Errorf("there is no %s", name)
			}
		}
		return nil
	})
	flag.Parse()
	results, err := run(ctx, o, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err == nil {
		fmt.Println(results.markdown())
		if *write {
			err = report.Put(*page, "http", results.markdown())
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

// options are what is measured, and for how long.
type options struct {
	servers, works []string
	workers        []int
	duration       time.Duration
	rounds, races  int
	codes          int // for a measurement of redemptions with the most workers
	profile        string
}

func defaults() options {
	return options{
		servers: names(), works: works, workers: []int{1, 16}, duration: 800 * time.Millisecond, rounds: 3, races: 3, codes: 240,
	}
}
