// Command http measures authorization servers over HTTP, side by side: those that can be made of oauthdb, and those that people would pick
// instead. All run on one PostgreSQL, each on a database of its own and in a process of its own, and are asked in turn. With -write the
// tables become those of docs/http.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/report"
)

func main() {
	serveIfAsked()
	report.Main("http", func(ctx context.Context, args []string) error {
		o := defaults()
		write := flag.Bool("write", false, "write the tables into the page")
		page := flag.String("page", filepath.Join("..", "..", "docs", "http.md"), "the page")
		flag.DurationVar(&o.duration, "duration", o.duration, "how long a measurement takes")
		flag.IntVar(&o.rounds, "rounds", o.rounds, "measurements of each cell, of which the median counts")
		flag.IntVar(&o.codes, "codes", o.codes, "how many are exchanged in a measurement")
		flag.IntVar(&o.races, "races", o.races, "how often eight present the same token, or code, at once")
		flag.StringVar(&o.profile, "profile", "", "file for a CPU profile of the server, if -servers names one; -works says under what")
		for name, of := range map[string]*[]string{"servers": &o.servers, "works": &o.works} {
			all := *of
			flag.Func(name, "those to measure, separated by semicolons: "+strings.Join(all, "; "), func(v string) (err error) {
				*of, err = pick(all, v)
				return err
			})
		}
		if err := flag.CommandLine.Parse(args); err != nil {
			return err
		}
		results, err := run(ctx, o, report.Logf)
		if err != nil {
			return err
		}
		if !*write {
			*page = ""
		}
		return report.Put(*page, "http", results.markdown())
	})
}

// pick returns those of all that a flag names. Works have commas in their names.
func pick(all []string, names string) ([]string, error) {
	picked := strings.Split(names, ";")
	for _, one := range picked {
		if !slices.Contains(all, one) {
			return nil, fmt.Errorf("there is no %s", one)
		}
	}
	return picked, nil
}

// serveIfAsked makes the process a server, if that is what it was started for.
func serveIfAsked() {
	if name := os.Getenv(serveVariable); name != "" {
		if err := serve(name); err != nil {
			fmt.Fprintln(os.Stderr, "http:", name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
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
