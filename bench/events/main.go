package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/sides"
	"github.com/oauthdb/oauthdb/store"
)

// batch is how many families are granted at a time.
const batch = 50

func main() {
	sides.Comparison{
		Name: "events", Batch: batch, Measure: measure,
		Sides: []*sides.Side{
			{Name: "cut out", Through: func(db store.DBTX) store.DBTX { return cut{db, map[string]statement{}} }},
			{Name: "off"},
			{Name: "on", Setting: "oauthdb.events = 'on'"},
		},
	}.Main()
}

func introspect(s *sides.Side, ctx context.Context, f *sides.Family) (store.Outcome, error) {
	r, err := s.Store.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{
		Token: f.AccessToken(), ClientID: f.Client, ClientAuthMethod: "client_secret_basic", ClientSecret: sides.Secret,
	})
	return r.Outcome, err
}

func end(s *sides.Side, ctx context.Context, f *sides.Family) (store.Outcome, error) {
	r, err := s.Store.EndSession(ctx, f.Session)
	return r.Outcome, err
}

// noted is what one call of noted takes the server that writes nothing, beside returning its argument.
func noted(ctx context.Context, s *sides.Side) (time.Duration, error) {
	const calls = 100_000
	run := func(verdict string) (time.Duration, error) {
		began := time.Now()
		_, err := s.Pool.Exec(ctx, "SELECT count("+verdict+") FROM generate_series(1, $1::integer) AS g (n)", calls)
		return time.Since(began), err
	}
	var took []time.Duration
	for range 9 {
		with, err := run("noted((CASE WHEN g.n > 0 THEN 'redeemed' END)::outcome, 'Call', of_user => 'u', of_client => 'c', of_family => 'f')")
		if err != nil {
			return 0, err
		}
		without, err := run("(CASE WHEN g.n > 0 THEN 'redeemed' END)::outcome")
		if err != nil {
			return 0, err
		}
		took = append(took, (with-without)/calls)
	}
	return sides.Median(took), nil
}

// measure lets the sides take turns and returns the table.
func measure(ctx context.Context, all []*sides.Side, batches int) (string, error) {
	works := []struct {
		name string
		want store.Outcome
		call func(*sides.Side, context.Context, *sides.Family) (store.Outcome, error)
	}{
		{"redemption", store.OutcomeRedeemed, (*sides.Side).Redeem},
		{"rotation", store.OutcomeRotated, (*sides.Side).Rotate},
		{"introspection, which calls no noted", store.OutcomeActive, introspect},
		{"replay of a code, an event", store.OutcomeReplayed, (*sides.Side).Redeem},
		{"sign-out, an event", store.OutcomeEnded, end},
	}
	took := make([][3][]time.Duration, len(works))
	wal := make([][3][]int64, len(works))
	for n := range batches + sides.Warm {
		for _, s := range all {
			if n == sides.Warm { // plans for tables of a size, not for empty ones
				if _, err := s.Pool.Exec(ctx, "VACUUM ANALYZE"); err != nil {
					return "", err
				}
			}
			if err := s.Grant(ctx, batch); err != nil {
				return "", err
			}
		}
		for k, w := range works {
			for at := range batch {
				for turn := range all {
					i := (turn + at) % len(all) // each goes first as often as the others
					s := all[i]
					f := &s.Families[len(s.Families)-batch+at]
					before, err := s.WAL(ctx)
					if err != nil {
						return "", err
					}
					began := time.Now()
					outcome, err := w.call(s, ctx, f)
					duration := time.Since(began)
					if err == nil && outcome != w.want {
						err = fmt.Errorf("%s, %s: %s", w.name, s.Name, outcome)
					}
					if err != nil {
						return "", err
					}
					after, err := s.WAL(ctx)
					if err != nil {
						return "", err
					}
					if n >= sides.Warm {
						took[k][i] = append(took[k][i], duration)
						wal[k][i] = append(wal[k][i], after-before)
					}
				}
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| call | p50 with noted cut out | off | on | off : cut out | on : cut out | WAL off | on |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for k, w := range works {
		none, off, on := sides.Median(took[k][0]), sides.Median(took[k][1]), sides.Median(took[k][2])
		fmt.Fprintf(&b, "| %s | %d µs | %d µs | %d µs | %.3f | %.3f | %d B | %d B |\n", w.name, none.Microseconds(), off.Microseconds(), on.Microseconds(),
			float64(off)/float64(none), float64(on)/float64(none), sides.Median(wal[k][1]), sides.Median(wal[k][2]))
	}
	fmt.Fprintf(&b, "\nOne call of `noted` that writes nothing takes the server")
	for i, s := range all[1:] {
		one, err := noted(ctx, s)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %.1f µs with the setting %s", []string{"", ","}[i], float64(one.Nanoseconds())/1e3, s.Name)
	}
	b.WriteString(".\n")
	return b.String(), nil
}
