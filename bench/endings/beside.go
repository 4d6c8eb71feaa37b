package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/measure"
	"github.com/oauthdb/oauthdb/bench/report"
)

const (
	introspections = 1000 // a second
	introspecting  = 2    // connections
)

// besideAll measures introspection beside a loop of each ending of the party that has very many families.
func besideAll(ctx context.Context, server *dataset.Server, c *core, o options) (text string, err error) {
	conns := make([]*pgx.Conn, introspecting)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				err = errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
			}
		}
	}()
	for i := range conns {
		if conns[i], err = server.Connect(ctx, c.database); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n| p99 of %d introspections a second beside | quiet | %v endings a second | multiple | ≤ %v |\n|---|---:|---:|---:|---|\n", introspections, o.rate, most)
	for _, e := range all {
		report.Logf("introspection beside %s", e.name)
		var quiet, busy []time.Duration
		for round := range o.beside + 1 {
			q, err := c.introspect(ctx, conns, o, nil)
			if err != nil {
				return "", err
			}
			p, err := c.introspect(ctx, conns, o, func(ctx context.Context, _ int64) error {
				_, _, _, err := c.undone(ctx, e.name, e.values(large))
				return err
			})
			if err != nil {
				return "", err
			}
			if round > 0 { // in the first, statements are planned
				quiet, busy = append(quiet, q), append(busy, p)
			}
		}
		if _, err := c.conn.Exec(ctx, "VACUUM"); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.name, show(median(quiet)), show(median(busy)), against(float64(median(busy))/float64(median(quiet))))
	}
	return b.String(), nil
}

// introspect is the p99 of introspections of the background's tokens for a while, beside a loop of something else if there is one.
func (c *core) introspect(ctx context.Context, conns []*pgx.Conn, o options, beside func(context.Context, int64) error) (time.Duration, error) {
	stop := make(chan struct{})
	timer := time.AfterFunc(o.window, func() { close(stop) })
	defer timer.Stop()
	ended := make(chan error, 1)
	if beside == nil {
		ended <- nil
	} else {
		go func() {
			_, _, err := measure.Paced(ctx, 1, o.rate, stop, beside)
			ended <- err
		}()
	}
	latency, _, err := measure.Paced(ctx, len(conns), introspections, stop, func(ctx context.Context, n int64) error {
		family := 2*(n%(background/2)) + 1
		number, party := strconv.FormatInt(family, 10), strconv.FormatInt(family%backgroundClients, 10)
		outcome, err := c.call(ctx, conns[n%int64(len(conns))], "IntrospectAccessToken",
			client(party, "client_secret_basic").and(values{"token": digest("a", number)}))
		if err == nil && outcome != "active" {
			err = fmt.Errorf("introspection: %s", outcome)
		}
		return err
	})
	return latency.P99, errors.Join(err, <-ended)
}
