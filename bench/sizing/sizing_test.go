package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/internal/devdb"
)

// What is measured goes by the calls: an introspection writes nothing, and an access token without a row writes less.
func TestCallsAreMeasured(t *testing.T) {
	// Nobody else may write: the log is the cluster's.
	cluster, err := devdb.StartPrivate(t.Context(), devdb.PrivateOptions{Settings: map[string]string{"fsync": "off", "autovacuum": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	server, err := dataset.ServerOf(cluster)
	if err != nil {
		t.Fatal(err)
	}
	text, err := calls(t.Context(), server, options{calls: 30})
	if err != nil {
		t.Fatal(err)
	}
	log := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\| (.+?) \| (\d+) \|[ \d]+\|[ \d]+\|$`).FindAllStringSubmatch(text, -1) {
		log[row[1]], _ = strconv.Atoi(row[2])
	}
	if len(log) != 9 {
		t.Fatalf("%d calls in\n%s", len(log), text)
	}
	for name, n := range log {
		if (n < 100) != (name == "`IntrospectToken`") {
			t.Errorf("%s writes %d bytes", name, n)
		}
	}
	if with, without := log["`RotateRefreshToken`"], log["`RotateRefreshToken`, access token without a row"]; without >= with {
		t.Errorf("a refresh writes %d bytes with a row for the access token, %d without", with, without)
	}
}

func TestAMillionUsersAddUp(t *testing.T) {
	each := map[string]volume{
		"`CreateSession`":      {log: 700},
		"`GrantAuthorization`": {log: 1400},
		"`RedeemAuthorizationCode`, access token without a row": {log: 2100},
		"`RotateRefreshToken`, access token without a row":      {log: 1000, table: 400, index: 100},
	}
	// 4 refreshes a day, kept for 7 days and one more: 32 million rows of 500 bytes. Log: 4 × (1000 + 1 row deleted) and a seventh of
	// 4200 and 3 rows deleted.
	const want = "| 4 times a day, refresh tokens of 7 days, access tokens without a row | 32 million | 16 | 5 |"
	if got := million(each, 70); !strings.Contains(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestATableThatGrowsAfterTheWarmUpIsSeen(t *testing.T) {
	t.Parallel()
	const lasts = 120 * time.Second
	var samples []sample
	for at := time.Duration(0); at <= lasts; at += time.Second {
		n := int64(at.Seconds())
		samples = append(samples, sample{at, map[string]size{
			"warm":  {table: min(n, 30) * 1e6},
			"wave":  {table: 30 * 1e6, index: n % 7 * 1e6},
			"grows": {index: n * 1e6},
			"late":  {table: max(0, n-100) * 1e6},
		}})
	}
	got := flatness(samples, lasts)
	for name, want := range map[string]string{
		"warm": "| 30.0 | 30.0 | 30.0 | 1.00 | flat |", "wave": "| 36.0 | 36.0 | 36.0 | 1.00 | flat |",
		"grows": "| 39.0 | 79.0 | 120.0 | 1.52 | **grows** |", "late": "**grows** |",
	} {
		if !regexp.MustCompile("(?m)^\\| `" + name + "`.*" + regexp.QuoteMeta(want) + "$").MatchString(got) {
			t.Errorf("%s: want %s in\n%s", name, want, got)
		}
	}
	path := filepath.Join(t.TempDir(), "steady.svg")
	if err := drawn(samples, path); err != nil {
		t.Fatal(err)
	}
	if svg, err := os.ReadFile(path); err != nil || !strings.Contains(string(svg), "grows") {
		t.Errorf("the plot lacks a table: %v", err)
	}
}
