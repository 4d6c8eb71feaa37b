package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/store"
)

// ending is a call that ends something of a party.
type ending struct {
	name string
	end  func(ctx context.Context, q *store.Queries, of string) error
}

func user(of string) store.UserID     { return store.UserID("usr_" + of) }
func client(of string) store.ClientID { return store.ClientID("cli_" + of) }

// failed is the error of a call. What it has ended shows in the rows that it wrote.
func failed[R any](_ R, err error) error { return err }

var all = []ending{
	{"RevokeAuthorization", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.RevokeAuthorization(ctx, dataset.Authorization(first[of])))
	}},
	{"RevokeToken", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.RevokeToken(ctx, store.RevokeTokenParams{Token: dataset.Refresh(first[of], 0), ClientID: client(of), ClientAuthMethod: "none"}))
	}},
	{"EndSession", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.EndSession(ctx, store.SessionID("ses_"+of)))
	}},
	{"EndUserSessions", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: user(of)}))
	}},
	{"RevokeUserAuthorizations", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.RevokeUserAuthorizations(ctx, user(of)))
	}},
	{"RevokeUserAuthorizationsByClient", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: user(of), ClientID: client(of)}))
	}},
	{"WithdrawConsent", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: user(of), ClientID: client(of)}))
	}},
	{"RevokeClientAuthorizations", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.RevokeClientAuthorizations(ctx, client(of)))
	}},
	{"SuspendUser", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.SuspendUser(ctx, user(of)))
	}},
	{"DisableClient", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.DisableClient(ctx, client(of)))
	}},
	{"DeleteUser", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.DeleteUser(ctx, user(of)))
	}},
	{"DeleteClient", func(ctx context.Context, q *store.Queries, of string) error {
		return failed(q.DeleteClient(ctx, client(of)))
	}},
}

// bySessions are those whose work is in the sessions of a user.
var bySessions = []string{"EndUserSessions", "SuspendUser"}

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
func endings(ctx context.Context, p *place, o options) (string, error) {
	number := []string{"1 family", strconv.Itoa(min(o.families, inMedium)), strconv.Itoa(o.families)}
	families := report.NewTable(1, "p50, rows and log", number[0], number[1], number[2], "the greater multiple of 1", fmt.Sprint("≤ ", most), "rows: "+number[0], number[2],
		"log: "+number[0], number[2])
	sessions := report.NewTable(1, "p50", "1 session", number[1], number[2], "for each of these")
	for _, e := range all {
		report.Logf("%s", e.name)
		costs, err := p.ending(ctx, e, []string{small, medium, large}, o.rounds)
		if err != nil {
			return "", err
		}
		families.Row(familiesRow(e.name, costs)...)
		if !slices.Contains(bySessions, e.name) {
			continue
		}
		if costs, err = p.ending(ctx, e, []string{small, group, crowd}, min(o.rounds, 3)); err != nil {
			return "", err
		}
		sessions.Row("`"+e.name+"`", report.Took(costs[small].took), report.Took(costs[group].took), report.Took(costs[crowd].took),
			report.Took(costs[crowd].took/time.Duration(o.families)))
	}
	text := families.String() + "\n" + sessions.String()
	if o.beside > 0 {
		beside, err := p.besideAll(ctx, o)
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
func (p *place) ending(ctx context.Context, e ending, parties []string, rounds int) (map[string]cost, error) {
	const unmeasured = 3 // prepares the statement, and plans it for what it is given
	took, wal, rows := map[string][]time.Duration{}, map[string][]int64{}, map[string][]int64{}
	for n := range rounds + unmeasured {
		for i := range parties {
			party := parties[(i+n)%len(parties)]
			if n < unmeasured && (party == crowd || party == group) { // which take seconds
				continue
			}
			k, err := p.measured(ctx, e, party)
			if err != nil {
				return nil, err
			}
			if n >= unmeasured {
				took[party], wal[party], rows[party] = append(took[party], k.took), append(wal[party], k.wal), append(rows[party], k.rows)
			}
		}
	}
	costs := map[string]cost{}
	for party := range took {
		costs[party] = cost{report.Median(took[party]), report.Median(wal[party]), report.Median(rows[party])}
	}
	_, err := p.conn.Exec(ctx, "VACUUM") // what was undone leaves a dead version of each row, and the next ending would read it
	return costs, err
}

// undone does something in a transaction that is rolled back.
func (p *place) undone(ctx context.Context, do func(tx pgx.Tx) error) error {
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(tx), tx.Rollback(ctx))
}

// measured makes a call, and takes it back.
func (p *place) measured(ctx context.Context, e ending, of string) (k cost, err error) {
	err = p.undone(ctx, func(tx pgx.Tx) error {
		var before, after struct{ rows, wal int64 }
		if err := tx.QueryRow(ctx, written).Scan(&before.rows, &before.wal); err != nil {
			return err
		}
		began := time.Now()
		if err := e.end(ctx, store.New(tx), of); err != nil {
			return err
		}
		k.took = time.Since(began)
		if err := tx.QueryRow(ctx, written).Scan(&after.rows, &after.wal); err != nil {
			return err
		}
		if k.rows, k.wal = after.rows-before.rows, after.wal-before.wal; k.rows == 0 {
			return fmt.Errorf("%s has ended nothing", e.name)
		}
		return nil
	})
	return k, err
}
