package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
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
		Sizes: []int64{2000}, Conns: []int{2}, Works: subject.Works, Subjects: subjectNames(),
		Delays: []time.Duration{0, 200 * time.Microsecond}, Rounds: 1, TargetRounds: 2, Settings: true, Duration: 15 * time.Millisecond,
		CostOps: 20, CollectorRounds: 1, Quiet: 200 * time.Millisecond, Rate: 500, Collectors: []int{1, 2}, Paces: []report.Pace{{BatchSize: 1000, Share: 1}}, Label: "test", Hasty: true,
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
	if os.Getenv("DATABASE_URL") != "" {
		t.Log("costs are left out on a server that may lack pg_stat_statements")
		o.CostOps = 0
	}
	var out bytes.Buffer
	d := &driver{Options: o, server: server, out: &out, logf: t.Logf, results: &report.Results{}}
	if err := d.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range o.plan() {
		for _, g := range s.groups {
			for _, c := range g.cells {
				i := slices.IndexFunc(d.results.Cells, func(m report.Cell) bool {
					return m.Work == c.work && m.Subject == c.subject && m.Size == c.size && m.Conns == c.conns && m.Delay == c.delay
				})
				if i < 0 {
					t.Errorf("no results of %+v", c)
					continue
				}
				m := d.results.Cells[i]
				if len(m.Rounds) != g.rounds {
					t.Errorf("%d rounds of %+v, want %d", len(m.Rounds), c, g.rounds)
				}
				for _, r := range m.Rounds {
					if r.P50 <= 0 || r.P99 < r.P50 || r.P999 < r.P99 || r.Ops <= 0 || r.Elapsed <= 0 {
						t.Errorf("impossible results of %+v: %+v", c, r)
					}
					if r.P50 < c.delay {
						t.Errorf("p50 of %+v is %v", c, r.P50)
					}
					if counted := r.Allocs > 0 && r.Bytes > 0; counted == (c.delay > 0) {
						t.Errorf("%+v allocates %v in %v bytes", c, r.Allocs, r.Bytes)
					}
				}
			}
		}
		for _, c := range s.costs {
			i := slices.IndexFunc(d.results.Costs, func(m report.Cost) bool { return m.Work == c.work && m.Subject == c.subject && m.Size == c.size })
			if i < 0 {
				t.Errorf("no costs of %+v", c)
				continue
			}
			m := d.results.Costs[i]
			if m.Statements < 1 || m.RoundTrips != m.Statements || m.Buffers <= 0 || (m.Rows > 0.9) != workload.Plants(c.work) {
				t.Errorf("impossible costs of %+v: %+v", c, m)
			}
			if _, own := find(c.subject).(subject.Variant); own && m.Statements != 1 {
				t.Errorf("%+v takes %v statements and %v round trips, want one of each", c, m.Statements, m.RoundTrips)
			}
		}
	}
	if len(d.results.Collector) != 2 {
		t.Errorf("%d measurements of collectors, want 2", len(d.results.Collector))
	}
	for _, c := range d.results.Collector {
		if c.Rows != 2000/5+2000/4/5*2 { // access and refresh tokens; their families are marked, and kept for the retention
			t.Errorf("%d collectors deleted %d rows", c.Collectors, c.Rows)
		}
	}
	if len(d.results.Subjects) != len(subjects()) || len(d.results.Datasets) != 1 || len(d.results.Datasets[0].Tables) < 7 {
		t.Errorf("%d subjects, and tables %v", len(d.results.Subjects), d.results.Datasets)
	}
	for _, name := range subjectNames() {
		if !strings.Contains(out.String(), "\n  "+name+" ") {
			t.Errorf("%s was not printed", name)
		}
	}

	docs := t.TempDir()
	path := filepath.Join(docs, "results.json")
	if err := d.results.Save(path); err != nil {
		t.Fatal(err)
	}
	var places strings.Builder
	for mark := range d.results.Sections() {
		fmt.Fprintf(&places, "<!-- begin %[1]s -->\n<!-- end %[1]s -->\n", mark)
	}
	if err := os.WriteFile(filepath.Join(docs, "performance.md"), []byte(places.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := command(t.Context(), []string{"-only-report", "-results", path, "-docs", docs}, &out, &out); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"go-oauth2", "store, no row", "16 connections |", "`cache_describe`"} {
		if !bytes.Contains(page, []byte(want)) {
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
	o.Works, o.CollectorRounds, o.Rounds, o.Duration, o.CostOps = []subject.Work{subject.Redeem}, 0, 1000, 50*time.Millisecond, 0
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
	for _, size := range o.Sizes {
		lock, err := exclusive(t.Context(), server, o.Label, true)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close(t.Context())
		d, err := server.Prepare(t.Context(), size, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		var others int
		err = lock.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE starts_with(datname, $1)", (&driver{Options: o}).clone(size, "")).Scan(&others)
		if err != nil {
			t.Fatal(err)
		}
		if others > 0 {
			t.Errorf("%d copies were left", others)
		}
		conn, err := server.Connect(t.Context(), d.Database)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for table, want := range map[string]int64{
			"oauth_access_token": d.AccessTokens, "oauth_refresh_token": 2 * d.Families, "oauth_authorization": d.Families, "session": d.Users,
			"oauth2_token": d.Families,
		} {
			var n int64
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n != want {
				t.Errorf("%d rows of %s, want %d", n, table, want)
			}
		}
	}
}
