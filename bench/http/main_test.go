package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain has the program serve if it is asked to, as main has.
func TestMain(m *testing.M) {
	serveIfAsked()
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
				if len(f) != 1 || f[0].Ops <= 0 || f[0].P50 <= 0 || f[0].P99 < f[0].P50 || f[0].serverCPU <= 0 || f[0].DatabaseCPU <= 0 {
					t.Errorf("%s, %s, %d workers: %+v", server, work, workers, f)
				} else if n := f[0].Statements; server == "net/http" && n != 1 {
					t.Errorf("%s, %s: %.2f statements, and examples/tokenendpoint says one", server, work, n)
				}
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
