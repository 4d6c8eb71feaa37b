package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

// besideAll measures introspection beside a loop of each ending of the party that has very many families; and, as a control, beside one of
// updates of a table that no call reads, which shows what the processors make of it.
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
	if _, err := c.conn.Exec(ctx, "CREATE SCHEMA bench; CREATE TABLE bench.control (id int PRIMARY KEY, n int); INSERT INTO bench.control VALUES (1, 0)"); err != nil {
		return "", err
	}
	t := report.NewTable(1, fmt.Sprintf("p99 of %d introspections a second beside", introspections), "quiet", fmt.Sprintf("%v a second", o.rate), "multiple", fmt.Sprint("≤ ", most))
	row := func(name string, loop func(context.Context, int64) error) error {
		report.Logf("introspection beside %s", name)
		quiet, busy, err := c.beside(ctx, conns, o, loop)
		if err == nil {
			t.Row(append([]string{name, report.Took(quiet), report.Took(busy)}, against(float64(busy)/float64(quiet))...)...)
		}
		return err
	}
	err = row("an update of a table of its own", func(ctx context.Context, _ int64) error {
		return pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE bench.control SET n = n + 1 WHERE id = $1", 1)
			return err
		})
	})
	for _, e := range all {
		if err != nil {
			return "", err
		}
		err = row("`"+e.name+"`", func(ctx context.Context, _ int64) error {
			return c.undone(ctx, func(tx pgx.Tx) error {
				_, err := c.call(ctx, tx, e.name, e.values(large))
				return err
			})
		})
	}
	return t.String(), err
}

// beside is the p99 of introspections when it is quiet and beside a loop, by turns, as medians over the windows.
func (c *core) beside(ctx context.Context, conns []*pgx.Conn, o options, loop func(context.Context, int64) error) (quiet, busy time.Duration, err error) {
	var p99 [2][]time.Duration
	for n := range 2 * (o.beside + 1) {
		beside := loop
		if n%2 == 0 {
			beside = nil
		}
		p, err := c.introspect(ctx, conns, o, beside)
		if err != nil {
			return 0, 0, err
		}
		if n > 1 { // before, statements are planned
			p99[n%2] = append(p99[n%2], p)
		}
	}
	_, err = c.conn.Exec(ctx, "VACUUM")
	return report.Median(p99[0]), report.Median(p99[1]), err
}

// introspect is the p99 of introspections of the background's tokens for a while, beside a loop of something else if there is one.
func (c *core) introspect(ctx context.Context, conns []*pgx.Conn, o options, loop func(context.Context, int64) error) (time.Duration, error) {
	stop := make(chan struct{})
	timer := time.AfterFunc(o.window, func() { close(stop) })
	defer timer.Stop()
	ended := make(chan error, 1)
	go func() {
		var err error
		if loop != nil {
			_, _, err = measure.Paced(ctx, 1, o.rate, stop, loop)
		}
		ended <- err
	}()
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
