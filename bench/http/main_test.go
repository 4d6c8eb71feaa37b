package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain has the program serve if it is asked to, as main has.
func TestMain(m *testing.M) {
	if name := os.Getenv(serveVariable); name != "" {
		if err := serve(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestTheServersThatNeedNoBuilding(t *testing.T) {
	if testing.Short() {
		t.Skip("it is another ten seconds")
	}
	if os.Getenv("DATABASE_URL") != "" {
		t.Skip("a server of the caller's own may lack pg_stat_statements")
	}
	o := defaults()
	o.servers, o.workers, o.rounds, o.races, o.codes, o.duration = []string{"net/http", "zitadel", "fosite", "go-oauth2"}, []int{4}, 1, 1, 20, 50*time.Millisecond
	r, err := run(t.Context(), o, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range o.servers {
		for _, work := range works {
			for _, workers := range o.workers {
				f := r.cells[cell{server, work, workers}]
				if len(f) != 1 || f[0].rate <= 0 || f[0].p50 <= 0 || f[0].p99 < f[0].p50 {
					t.Errorf("%s, %s, %d workers: %+v", server, work, workers, f)
				}
			}
			if n := r.statements[cell{server: server, work: work}]; server == "net/http" && n != 1 {
				t.Errorf("%s, %s: %.2f statements, and examples/tokenendpoint says one", server, work, n)
			}
		}
	}
	for _, server := range []string{"net/http", "zitadel", "fosite"} {
		refreshed, redeemed := r.races[cell{server: server, work: refreshPublic}][0], r.races[cell{server: server, work: redeem}][0]
		if refreshed != (race{answered: racers, live: racers, successor: 1}) {
			t.Errorf("%s: eight refreshes at once: %+v", server, refreshed)
		}
		if redeemed != (race{answered: 1}) {
			t.Errorf("%s: eight redemptions at once: %+v", server, redeemed)
		}
	}
	text := r.markdown()
	for _, want := range []string{"### introspect\n", "| zitadel |", "### Times the rate of go-oauth2, 4 workers"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

func TestTheTablesGoIntoTheirPlace(t *testing.T) {
	page := t.TempDir() + "/page.md"
	k := cell{"net/http", redeem, 1}
	r := &results{options: options{servers: []string{"net/http"}, works: []string{redeem}, workers: []int{1}}, cells: map[cell][]figures{k: {
		{rate: 1, p50: 3 * time.Millisecond}, {rate: 30, p50: 40 * time.Millisecond}, {rate: 2, p50: time.Microsecond},
	}}}
	if err := os.WriteFile(page, []byte("# Title\n\n"+beginMark+"old\n"+endMark+"\n\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.write(page); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); strings.Contains(got, "old") || strings.Count(got, "| net/http | 2 | 3.00 ms |") != 1 || !strings.HasSuffix(got, endMark+"\n\nafter\n") {
		t.Errorf("the page is\n%s", got)
	}
}
