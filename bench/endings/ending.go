package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
)

// ending is a call that ends something.
type ending struct {
	name   string
	values func(of string) values
}

var all = []ending{
	{"RevokeAuthorization", func(of string) values { return values{"id": "azn_" + oneOf(of)} }},
	{"RevokeToken", func(of string) values {
		return client(of, "client_secret_basic").and(values{"token": digest("r", strings.TrimLeft(oneOf(of), "0"))})
	}},
	{"EndSession", func(of string) values { return values{"id": sessionID(of)} }},
	{"EndUserSessions", func(of string) values { return values{"user_id": userID(of)} }},
	{"RevokeUserAuthorizations", func(of string) values { return values{"user_id": userID(of)} }},
	{"RevokeUserAuthorizationsByClient", func(of string) values { return values{"user_id": userID(of), "client_id": clientID(of)} }},
	{"WithdrawConsent", func(of string) values { return values{"user_id": userID(of), "client_id": clientID(of)} }},
	{"RevokeClientAuthorizations", func(of string) values { return values{"client_id": clientID(of)} }},
	{"SuspendUser", func(of string) values { return values{"id": userID(of)} }},
	{"DisableClient", func(of string) values { return values{"client_id": clientID(of)} }},
	{"DeleteUser", func(of string) values { return values{"id": userID(of)} }},
	{"DeleteClient", func(of string) values { return values{"client_id": clientID(of)} }},
}

// bySessions are those whose work is in the sessions of a user.
var bySessions = []string{"EndUserSessions", "SuspendUser"}

// oneOf is the number of a family of a party.
func oneOf(party string) string {
	return map[string]string{large: "000000001000000", medium: "000000000500000", small: "000000000900000"}[party]
}

// cost is what an ending took, as medians, and in rows what it wrote in all tables.
type cost struct {
	took      time.Duration
	wal, rows int64
}

// most is how much longer an ending may take with very many families than with one, and how much longer introspections beside it may.
const most = 1.2

// against writes a multiple that is aimed at, and whether it is met.
func against(multiple float64) []string {
	return []string{report.Decimals(multiple), report.Verdict(multiple <= most)}
}

// endings measures all endings. Each is undone, so that the next finds the data as they were: the time is that of the statement
// without the commit.
func endings(ctx context.Context, server *dataset.Server, c *core, o options) (string, error) {
	number := []string{"1 family", strconv.Itoa(min(o.families, inMedium)), strconv.Itoa(o.families)}
	families := report.NewTable(1, "p50, rows and log", number[0], number[1], number[2], "the greater multiple of 1", fmt.Sprint("≤ ", most), "rows: "+number[0], number[2],
		"log: "+number[0], number[2])
	sessions := report.NewTable(1, "p50", "1 session", number[1], number[2], "for each of these")
	for _, e := range all {
		report.Logf("%s", e.name)
		costs, err := c.ending(ctx, e, []string{small, medium, large}, o.rounds)
		if err != nil {
			return "", err
		}
		families.Row(familiesRow(e.name, costs)...)
		if !slices.Contains(bySessions, e.name) {
			continue
		}
		if costs, err = c.ending(ctx, e, []string{small, group, crowd}, min(o.rounds, 3)); err != nil {
			return "", err
		}
		sessions.Row("`"+e.name+"`", report.Took(costs[small].took), report.Took(costs[group].took), report.Took(costs[crowd].took),
			report.Took(costs[crowd].took/time.Duration(o.families)))
	}
	text := families.String() + "\n" + sessions.String()
	if o.beside > 0 {
		beside, err := besideAll(ctx, server, c, o)
		if err != nil {
			return "", err
		}
		text += "\n" + beside
	}
	return text, nil
}

func familiesRow(name string, costs map[string]cost) []string {
	one, some, many := costs[small], costs[medium], costs[large]
	row := []string{"`" + name + "`", report.Took(one.took), report.Took(some.took), report.Took(many.took)}
	row = append(row, against(float64(max(some.took, many.took))/float64(one.took))...)
	return append(row, fmt.Sprint(one.rows), fmt.Sprint(many.rows), report.Bytes(one.wal), report.Bytes(many.wal))
}

const written = `
	SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint, (pg_current_wal_insert_lsn() - '0/0')::bigint
	FROM pg_stat_xact_user_tables`

// ending measures one ending for each of the parties in turn, so that a machine that is slow for a while is so for all of them.
func (c *core) ending(ctx context.Context, e ending, parties []string, rounds int) (map[string]cost, error) {
	const first = 3 // prepares the statement, and plans it for what it is given
	took, wal, rows := map[string][]time.Duration{}, map[string][]int64{}, map[string][]int64{}
	for n := range rounds + first {
		for i := range parties {
			party := parties[(i+n)%len(parties)]
			if n < first && (party == crowd || party == group) { // which take seconds
				continue
			}
			k, err := c.measured(ctx, e.name, e.values(party))
			if err != nil {
				return nil, err
			}
			if n >= first {
				took[party], wal[party], rows[party] = append(took[party], k.took), append(wal[party], k.wal), append(rows[party], k.rows)
			}
		}
	}
	costs := map[string]cost{}
	for party := range took {
		costs[party] = cost{report.Median(took[party]), report.Median(wal[party]), report.Median(rows[party])}
	}
	_, err := c.conn.Exec(ctx, "VACUUM") // what was undone leaves a dead version of each row, and the next ending would read it
	return costs, err
}

// undone does something in a transaction that is rolled back.
func (c *core) undone(ctx context.Context, do func(tx pgx.Tx) error) error {
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(tx), tx.Rollback(ctx))
}

// measured makes a call, and takes it back.
func (c *core) measured(ctx context.Context, name string, v values) (k cost, err error) {
	err = c.undone(ctx, func(tx pgx.Tx) error {
		var before, after struct{ rows, wal int64 }
		if err := tx.QueryRow(ctx, written).Scan(&before.rows, &before.wal); err != nil {
			return err
		}
		began := time.Now()
		outcome, err := c.call(ctx, tx, name, v)
		k.took = time.Since(began)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, written).Scan(&after.rows, &after.wal); err != nil {
			return err
		}
		if k.rows, k.wal = after.rows-before.rows, after.wal-before.wal; k.rows == 0 {
			return fmt.Errorf("%s of %s has ended nothing: %s", name, c.name, outcome)
		}
		return nil
	})
	return k, err
}
