package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// volume is what a call has written and left.
type volume struct {
	log   int64 // of the write-ahead log, without images of whole pages
	table int64
	index int64
}

// read is what has been written up to now, and what is there.
func (p *place) read(ctx context.Context) (lsn string, v volume, err error) {
	// A record of some bytes, so that there is one between any two positions, and it is on the disk.
	if _, err := p.pool.Exec(ctx, `SELECT pg_logical_emit_message(true, 'sizing', '')`); err != nil {
		return "", v, err
	}
	err = p.pool.QueryRow(ctx, `
		SELECT pg_current_wal_flush_lsn()::text, sum(pg_relation_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
		FROM pg_class AS c
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace`).Scan(&lsn, &v.table, &v.index)
	return lsn, v, err
}

// costs is what something that is done n times costs each time.
func (p *place) costs(ctx context.Context, do func() (n int64, err error)) (v volume, err error) {
	_, before, err := p.read(ctx)
	if err != nil {
		return v, err
	}
	// so that each page is in the log once, and what comes then are records
	if _, err := p.pool.Exec(ctx, `CHECKPOINT`); err != nil {
		return v, err
	}
	start, _, err := p.read(ctx)
	if err != nil {
		return v, err
	}
	n, err := do()
	if err != nil {
		return v, err
	}
	if n == 0 {
		return v, errors.New("nothing was done")
	}
	end, after, err := p.read(ctx)
	if err != nil {
		return v, err
	}
	var log int64 // without images of pages; other databases of the server should be idle
	err = p.pool.QueryRow(ctx, `SELECT sum(record_size)::bigint FROM walinspect.pg_get_wal_stats($1::text::pg_lsn, $2::text::pg_lsn, false)`, start, end).Scan(&log)
	return volume{log / n, (after.table - before.table) / n, (after.index - before.index) / n}, err
}

// calls measures each call by itself, on one connection.
func calls(ctx context.Context, server *dataset.Server, o options) (text string, err error) {
	p, err := newPlace(ctx, server, "calls", lifetimes{code: time.Hour, access: time.Hour, refresh: 30 * 24 * time.Hour})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.drop(ctx)) }()
	if _, err := p.pool.Exec(ctx, `CREATE SCHEMA walinspect; CREATE EXTENSION pg_walinspect SCHEMA walinspect`); err != nil {
		return "", err
	}
	with, without := make([]family, o.calls), make([]family, o.calls)
	var access []token.Digest
	steps := []struct {
		name string
		call func(i int) error
	}{
		{"`CreateSession`", func(i int) (err error) { with[i].session, err = p.signIn(ctx, 24*time.Hour); return err }},
		{"`GrantAuthorization`", func(i int) error { return p.grant(ctx, &with[i]) }},
		{"`RedeemAuthorizationCode`", func(i int) error { return p.redeem(ctx, &with[i], false) }},
		{"`RotateRefreshToken`", func(i int) error { return p.rotate(ctx, &with[i], false) }},
		{"", func(i int) error { without[i].session = with[i].session; return p.grant(ctx, &without[i]) }},
		{"`RedeemAuthorizationCode`, access token without a row", func(i int) error { return p.redeem(ctx, &without[i], true) }},
		{"`RotateRefreshToken`, access token without a row", func(i int) error { return p.rotate(ctx, &without[i], true) }},
		{"`IssueAccessToken` (client credentials)", func(int) error {
			id := store.NewAccessTokenID()
			access = append(access, *digestOf(id, false))
			r, err := p.q.IssueAccessToken(ctx, store.IssueAccessTokenParams{
				ID: id, AccessToken: digestOf(id, false), ClientID: p.client, ClientAuthMethod: "client_secret_basic", ClientSecret: secret,
				Scopes: []string{"email"}, Lifetime: time.Hour,
			})
			return want(r.Outcome, store.OutcomeIssued, err)
		}},
		{"`IntrospectToken`", func(i int) error {
			r, err := p.q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: access[i], ClientAuthMethod: "server"})
			return want(r.Outcome, store.OutcomeActive, err)
		}},
	}
	each := map[string]volume{}
	t := report.NewTable(1, "Call", "log, bytes", "table, bytes", "indexes, bytes")
	for _, s := range steps {
		report.Logf("%s", s.name)
		v, err := p.costs(ctx, func() (int64, error) {
			for i := range o.calls {
				if err := s.call(i); err != nil {
					return 0, err
				}
			}
			return int64(o.calls), nil
		})
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		if s.name != "" {
			each[s.name] = v
			t.Row(s.name, fmt.Sprint(v.log), fmt.Sprint(v.table), fmt.Sprint(v.index))
		}
	}

	// The collector, once everything has expired.
	if _, err := p.pool.Exec(ctx, `UPDATE oauth_access_token SET expires_at = now() - interval '1 day'; UPDATE oauth_refresh_token SET expires_at = now() - interval '1 day';
		UPDATE session SET expires_at = now() - interval '1 day'`); err != nil {
		return "", err
	}
	collector := db.NewCollector(p.q, db.CollectorOptions{Retention: -1})
	deleted, err := p.costs(ctx, func() (rows int64, err error) {
		for range 3 {
			done, err := collector.Collect(ctx)
			if err != nil {
				return 0, err
			}
			rows += done.Total()
		}
		return rows, nil
	})
	if err != nil {
		return "", fmt.Errorf("the collector: %w", err)
	}
	t.Row("the collector, for each row that it deletes", fmt.Sprint(deleted.log), "", "")
	return fmt.Sprintf("Each call %d times, on PostgreSQL %s. Log is the write-ahead log without images of whole pages; table and indexes are what has grown.\n\n%s\n%s",
		o.calls, p.version, t, million(each, deleted.log)), nil
}

// million is what a million users add up to, by what each call writes and leaves.
func million(each map[string]volume, deleted int64) string {
	const users, day = 1_000_000, 24 * time.Hour
	session, grant := each["`CreateSession`"], each["`GrantAuthorization`"]
	t := report.NewTable(1, "A million users, each with a session and a grant a week, who refresh", "rows of refresh tokens", "kept, GB", "log a day, GB")
	for _, refreshes := range []int64{4, 24} {
		for _, lifetime := range []time.Duration{30 * day, 7 * day, day} {
			for _, rowless := range []bool{false, true} {
				redeem, rotate, what := each["`RedeemAuthorizationCode`"], each["`RotateRefreshToken`"], ""
				plainRedeem, plainRotate := each["`RedeemAuthorizationCode`, access token without a row"], each["`RotateRefreshToken`, access token without a row"]
				rowsOfRotation := int64(2)
				if rowless {
					redeem, rotate, what, rowsOfRotation = plainRedeem, plainRotate, ", access tokens without a row", 1
				}
				spent := users * refreshes * int64((lifetime+db.DefaultRetention)/day) // and none of an access token, which is gone within the hour
				kept := spent*(plainRotate.table+plainRotate.index) + users*(session.table+session.index+grant.table+grant.index+plainRedeem.table+plainRedeem.index)
				log := users * (refreshes*(rotate.log+rowsOfRotation*deleted) + (session.log+grant.log+redeem.log+(2+rowsOfRotation)*deleted)/7)
				days := strings.Replace(fmt.Sprintf(" %d days", lifetime/day), " 1 days", " 1 day", 1)
				t.Row(fmt.Sprintf("%d times a day, refresh tokens of%s%s", refreshes, days, what), fmt.Sprintf("%d million", spent/1e6),
					fmt.Sprintf("%.0f", float64(kept)/1e9), fmt.Sprintf("%.0f", float64(log)/1e9))
			}
		}
	}
	return t.String()
}
