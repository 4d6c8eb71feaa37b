package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/sides"
	"github.com/oauthdb/oauthdb/store"
)

// batch is how many calls one side makes before the other has its turn.
const batch = 100

func main() {
	sides.Comparison{
		Name: "rowless", Batch: batch, Sides: []*sides.Side{{Name: "with a row"}, {Name: "without", WithoutRow: true}}, Measure: measure,
	}.Main()
}

// introspect is what a resource server asks: about the token or, without a row, about its family.
func introspect(s *sides.Side, ctx context.Context, f *sides.Family) (store.Outcome, error) {
	if s.WithoutRow {
		r, err := s.Store.IntrospectAuthorization(ctx, store.IntrospectAuthorizationParams{
			ID: f.ID, ClientID: f.Client, ClientAuthMethod: "client_secret_basic", ClientSecret: sides.Secret,
		})
		return r.Outcome, err
	}
	r, err := s.Store.IntrospectAccessTokenByID(ctx, store.IntrospectAccessTokenByIDParams{
		ID: f.Access, ClientID: f.Client, ClientAuthMethod: "client_secret_basic", ClientSecret: sides.Secret,
	})
	return r.Outcome, err
}

// measure lets the sides take turns and returns the table.
func measure(ctx context.Context, both []*sides.Side, batches int) (string, error) {
	works := []struct {
		name string
		want store.Outcome
		call func(*sides.Side, context.Context, *sides.Family) (store.Outcome, error)
	}{
		{"redemption", store.OutcomeRedeemed, (*sides.Side).Redeem},
		{"rotation", store.OutcomeRotated, (*sides.Side).Rotate},
		{"introspection of the token, or of its family", store.OutcomeActive, introspect},
	}
	took := make([][2][]time.Duration, len(works))
	wal := make([][2][]int64, len(works))
	for n := range batches + sides.Warm {
		for i, s := range both {
			if n == sides.Warm { // plans for tables of a size, not for empty ones
				if _, err := s.Pool.Exec(ctx, "VACUUM ANALYZE"); err != nil {
					return "", err
				}
			}
			if err := s.Grant(ctx, batch); err != nil {
				return "", err
			}
			for k, w := range works {
				before, err := s.WAL(ctx)
				if err != nil {
					return "", err
				}
				durations := make([]time.Duration, 0, batch)
				for at := range batch {
					f := &s.Families[len(s.Families)-batch+at]
					began := time.Now()
					outcome, err := w.call(s, ctx, f)
					durations = append(durations, time.Since(began))
					if err == nil && outcome != w.want {
						err = fmt.Errorf("%s %s: %s", w.name, s.Name, outcome)
					}
					if err != nil {
						return "", err
					}
				}
				after, err := s.WAL(ctx)
				if err != nil {
					return "", err
				}
				if n >= sides.Warm {
					took[k][i] = append(took[k][i], durations...)
					wal[k][i] = append(wal[k][i], (after-before)/batch)
				}
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| call | p50 with a row | without | ratio | WAL with a row | without |\n|---|---:|---:|---:|---:|---:|\n")
	for k, w := range works {
		with, without := sides.Median(took[k][0]), sides.Median(took[k][1])
		fmt.Fprintf(&b, "| %s | %d µs | %d µs | %.2f | %d B | %d B |\n", w.name, with.Microseconds(), without.Microseconds(), float64(without)/float64(with),
			sides.Median(wal[k][0]), sides.Median(wal[k][1]))
	}
	fmt.Fprintf(&b, "\n| after %d families with one rotation each | with a row | without |\n|---|---:|---:|\n", (batches+sides.Warm)*batch)
	for _, table := range []string{"oauth_access_token", "oauth_refresh_token", "oauth_authorization"} {
		fmt.Fprintf(&b, "| `%s`, with its indexes |", table)
		for _, s := range both {
			var size int64
			if err := s.Pool.QueryRow(ctx, "SELECT pg_total_relation_size($1::regclass)", table).Scan(&size); err != nil {
				return "", err
			}
			fmt.Fprintf(&b, " %.1f MB |", float64(size)/1e6)
		}
		fmt.Fprintln(&b)
	}
	return b.String(), nil
}
