package measure

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestSummary(t *testing.T) {
	const out = `pgbench (15.18)
transaction type: /tmp/x/script.sql
scaling factor: 1
query mode: prepared
number of clients: 16
number of threads: 2
maximum number of tries: 1
number of transactions per client: 1000
number of transactions actually processed: 16000/16000
number of failed transactions: 12 (0.075%)
latency average = 1.522 ms
initial connection time = 25.418 ms
tps = 10513.274938 (without initial connection time)
`
	for _, c := range []struct {
		name, out    string
		done, failed int64
		fails        bool
	}{
		{"as it is", out, 16000, 12, false},
		{"before version 15", strings.ReplaceAll(out, "number of failed transactions: 12 (0.075%)\n", ""), 16000, 0, false},
		{"cut off", out[:200], 0, 0, true},
		{"empty", "", 0, 0, true},
		{"of another form", strings.ReplaceAll(out, "16000/16000", "all"), 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			done, failed, err := summary(c.out)
			if (err != nil) != c.fails {
				t.Fatalf("error: %v", err)
			}
			if err == nil && (done != c.done || failed != c.failed) {
				t.Errorf("%d done and %d failed, want %d and %d", done, failed, c.done, c.failed)
			}
		})
	}
}

func TestTransactions(t *testing.T) {
	got, err := transactions(strings.NewReader("0 1 2241 0 1175850568 995598\n3 2 354 0 1175850569 79\n0 1 10 0 1175850569 80 0 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []operation{
		{0, 2241 * time.Microsecond, 1175850568*time.Second + 995598*time.Microsecond},
		{3, 354 * time.Microsecond, 1175850569*time.Second + 79*time.Microsecond},
		{0, 10 * time.Microsecond, 1175850569*time.Second + 80*time.Microsecond},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, line := range []string{"0 1 2241 0 1175850568\n", "0 1 skipped 0 1175850568 995598\n", "\n"} {
		if _, err := transactions(strings.NewReader(line)); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}

// twoConns are two connections, the first of which takes 50 ms for its first operation and 1 ms for each of 100 more, as the second
// does for each of 100.
func twoConns() []operation {
	all := []operation{{0, 50 * ms, 1050 * ms}}
	for n := range time.Duration(100) {
		all = append(all, operation{0, ms, (1051 + n) * ms}, operation{1, ms, (1001 + n) * ms})
	}
	return all
}

func TestWarmedIsWhenTheLastHasDoneItsFirst(t *testing.T) {
	for warm, want := range map[int64]time.Duration{0: 1000 * ms, 1: 1050 * ms, 2: 1051 * ms} {
		if got, err := warmed(twoConns(), 2, warm); got != want || err != nil {
			t.Errorf("%d each: %v, %v, want %v", warm, got, err, want)
		}
	}
	if _, err := warmed(twoConns(), 3, 1); err == nil {
		t.Error("a connection that did nothing wasn't missed")
	}
	if _, err := warmed(twoConns(), 2, 100); err == nil {
		t.Error("a connection that did nothing after its first wasn't missed")
	}
}
