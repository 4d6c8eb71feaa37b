package main

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// small is all there is, on little data and in few operations.
func small() Options {
	return Options{
		Sizes: []int64{2000}, Conns: []int{2}, Works: subject.Works, Subjects: names(subjects),
		Delays: []time.Duration{0, 200 * time.Microsecond}, Rounds: 1, TargetRounds: 2, Settings: true, Duration: 15 * time.Millisecond,
		CollectorRounds: 1, Quiet: 200 * time.Millisecond, Rate: 500, Collectors: []int{1, 2}, Paces: []report.Pace{{BatchSize: 1000, Share: 1}}, Label: "test", Hasty: true,
	}
}

func TestTheWholeBenchmark(t *testing.T) {
	if testing.Short() {
		t.Skip("it is another half a minute")
	}
	server, err := dataset.StartServer(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	o := small()
	r := &report.Results{Command: "make bench"}
	d := &driver{Options: o, server: server, out: &bytes.Buffer{}, logf: t.Logf, results: r}
	if err := d.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range o.plan() {
		for _, g := range s.groups {
			for _, c := range g.cells {
				m := r.Find(c.Work, c.Subject, c.Size, c.Conns, c.Delay)
				if m == nil || len(m.Rounds) != g.rounds {
					t.Errorf("the results of %+v are %+v, want %d rounds", c, m, g.rounds)
					continue
				}
				for _, r := range m.Rounds {
					if r.P50 < max(1, c.Delay) || r.P99 < r.P50 || r.P999 < r.P99 || r.Ops <= 0 || r.Elapsed <= 0 || (r.Allocs > 0 && r.Bytes > 0) == (c.Delay > 0) {
						t.Errorf("impossible results of %+v: %+v", c, r)
					}
					oneStatement := c.Subject != "tx-lock" || c.Work == subject.IntrospectMiss
					if d.counts && ((r.Statements == 1) != oneStatement || r.Buffers <= 0 || (r.Rows > 0.9) != workload.Plants(c.Work)) {
						t.Errorf("impossible costs of %+v: %+v", c, r)
					}
				}
			}
		}
	}
	if len(r.Collector) != 2 {
		t.Errorf("%d measurements of collectors, want 2", len(r.Collector))
	}
	for _, c := range r.Collector {
		if c.Rows == 0 || c.Rows%(2000/5+2000/4/5*2) != 0 { // access and refresh tokens; their families are marked, and kept for the retention
			t.Errorf("%d collectors deleted %d rows", c.Collectors, c.Rows)
		}
	}
	if len(r.Subjects) != len(subjects) || len(r.Datasets) != 1 || len(r.Datasets[0].Tables) < 7 {
		t.Errorf("%d subjects, and tables %v", len(r.Subjects), r.Datasets)
	}

	page := strings.Join(slices.Collect(maps.Values(r.Sections())), "\n")
	for _, want := range append(names(subjects), "16 connections |", "`cache_describe`") {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no results of %s", want)
		}
	}
	leftNothing(t, server, o)
}

func TestAnInterruptedBenchmarkLeavesTheDataAsTheyWere(t *testing.T) {
	server, err := dataset.StartServer(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	o := small()
	o.Works, o.CollectorRounds, o.Rounds, o.Duration = []subject.Work{subject.Redeem}, 0, 1000, 50*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logf := func(format string, args ...any) {
		if strings.Contains(format, " in %s") { // a group begins
			time.AfterFunc(300*time.Millisecond, cancel)
		}
	}
	d := &driver{Options: o, server: server, out: &bytes.Buffer{}, logf: logf, results: &report.Results{}}
	if err := d.measure(ctx); err == nil || ctx.Err() == nil {
		t.Fatalf("it ended by itself: %v", err)
	}
	leftNothing(t, server, o)
}

// leftNothing looks for what a benchmark has left.
func leftNothing(t *testing.T, server *dataset.Server, o Options) {
	t.Helper()
	lock, err := exclusive(t.Context(), server, o.Label, true)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close(t.Context())
	for _, size := range o.Sizes {
		d, err := server.Prepare(t.Context(), size, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := server.Connect(t.Context(), d.Database)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for rows, want := range map[string]int64{
			"oauth_access_token": d.AccessTokens, "oauth_refresh_token": 2 * d.Families, "oauth_authorization": d.Families, "session": d.Users,
			"pg_database WHERE starts_with(datname, '" + (&driver{Options: o}).clone(size, "") + "')": 0,
		} {
			var n int64
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+rows).Scan(&n); err != nil || n != want {
				t.Errorf("%d of %s, want %d: %v", n, rows, want, err)
			}
		}
	}
}
