package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/db"
)

// churned are the tables that autovacuum is about.
var churned = []string{"oauth_authorization", "oauth_refresh_token", "oauth_access_token"}

// parameters are those that the migrations set.
const parameters = `autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor,
	autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit`

// side is a database under steady work.
type side struct {
	*place
	label   string
	largest map[string][2]int64 // table and indexes of each, in the second half of the time
	live    map[string][2]int64 // the same once nothing dead is in them
	vacuums map[string]int64
}

// churn measures with each naptime.
func churn(ctx context.Context, server *dataset.Server, o options) (string, error) {
	var all []string
	for _, naptime := range o.naptimes {
		text, err := churnWith(ctx, server, o, naptime)
		if err != nil {
			return "", err
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n"), nil
}

// churnWith lets grants be made, refreshed, and collected when they have expired, at the same rate on each side.
func churnWith(ctx context.Context, server *dataset.Server, o options, naptime time.Duration) (text string, err error) {
	labels := []string{"defaults", "migrations"}
	if o.try != "" {
		labels = append(labels, "try")
	}
	all := make([]*side, 0, len(labels))
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.drop(context.WithoutCancel(ctx)))
		}
	}()
	for _, label := range labels {
		p, err := newPlace(ctx, server, label)
		if err != nil {
			return "", err
		}
		s := &side{place: p, label: label, largest: map[string][2]int64{}, live: map[string][2]int64{}, vacuums: map[string]int64{}}
		all = append(all, s)
		for _, table := range churned {
			var sql string
			switch label {
			case "defaults":
				sql = `ALTER TABLE ` + table + ` RESET (` + parameters + `)`
			case "try":
				sql = `ALTER TABLE ` + table + ` SET (` + o.try + `)`
			default:
				continue
			}
			if _, err := p.pool.Exec(ctx, sql); err != nil {
				return "", err
			}
		}
	}
	undo, err := all[0].autovacuum(ctx, naptime)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, undo(context.WithoutCancel(ctx))) }()

	report.Logf("%s of steady work", o.lasts)
	g, working := errgroup.WithContext(ctx)
	for _, s := range all {
		g.Go(func() error { return s.work(working, o) })
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	for _, s := range all {
		if o.lasts > 3*naptime && s.vacuums["oauth_access_token"] == 0 {
			return "", errors.New("autovacuum never came, so there is nothing to compare")
		}
		if err := s.compact(ctx); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	tried := ""
	if o.try != "" {
		tried = " Try is " + o.try + "."
	}
	fmt.Fprintf(&b, "%s of work at %g grants a second, each refreshed twice, access tokens of %s, autovacuum_naptime %s, PostgreSQL %s. The tables at their largest in the second half of the time, in multiples of what was live in the end, and how often autovacuum came.%s\n\n",
		short(o.lasts), o.rate, short(o.lifetime), short(naptime), all[0].version(ctx), tried)
	b.WriteString("| Table |")
	for _, s := range all {
		fmt.Fprintf(&b, " %s: table | indexes | vacuums |", s.label)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", 3*len(all)) + "\n")
	for _, table := range churned {
		fmt.Fprintf(&b, "| `%s` |", table)
		for _, s := range all {
			for i := range 2 {
				fmt.Fprintf(&b, " %.1f |", float64(s.largest[table][i])/float64(max(s.live[table][i], 1)))
			}
			fmt.Fprintf(&b, " %d |", s.vacuums[table])
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// short is a time without zeroes at its end: 3m, not 3m0s.
func short(d time.Duration) string {
	if d%time.Minute == 0 {
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.String()
}

// work grants and refreshes, and collects.
func (s *side) work(ctx context.Context, o options) error {
	collector := db.NewCollector(s.q, db.CollectorOptions{Retention: o.lifetime})
	began := time.Now()
	nextLook := began
	return s.grantAndRefresh(ctx, o, func(now time.Time) error {
		if !now.After(nextLook) {
			return nil
		}
		if _, err := collector.Collect(ctx); err != nil {
			return err
		}
		if now.Sub(began) > o.lasts/2 {
			if err := s.look(ctx); err != nil {
				return err
			}
		}
		nextLook = now.Add(min(2*time.Second, o.lifetime/4))
		return nil
	})
}

// grantAndRefresh grants at the rate asked for, and refreshes each grant twice, half a lifetime of an access token apart. In between it
// calls meanwhile.
func (s *side) grantAndRefresh(ctx context.Context, o options, meanwhile func(now time.Time) error) error {
	type due struct {
		family
		at time.Time
	}
	l := lifetimes{code: o.lifetime, access: o.lifetime, refresh: 2 * o.lifetime}
	var err error
	var session family
	if session.session, err = s.signIn(ctx, 24*time.Hour); err != nil {
		return err
	}
	var waiting []due // by time
	began := time.Now()
	grants := 0
	for {
		now := time.Now()
		if now.Sub(began) >= o.lasts {
			return nil
		}
		for due := now.Sub(began).Seconds() * o.rate; float64(grants) < due; grants++ {
			f := session
			if err := s.grant(ctx, &f, l); err != nil {
				return err
			}
			if err := s.redeem(ctx, &f, l, false); err != nil {
				return err
			}
			waiting = append(waiting, struct {
				family
				at time.Time
			}{f, time.Now().Add(o.lifetime / 2)})
		}
		for len(waiting) > 0 && waiting[0].at.Before(now) {
			f := waiting[0].family
			waiting = waiting[1:]
			if err := s.rotate(ctx, &f, l, false); err != nil {
				return err
			}
			if f.tokens < 2 {
				waiting = append(waiting, due{f, time.Now().Add(o.lifetime / 2)})
			}
		}
		if err := meanwhile(now); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *side) size(ctx context.Context, table string) (size [2]int64, vacuums int64, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT pg_relation_size(s.relid), pg_indexes_size(s.relid), s.autovacuum_count
		FROM pg_stat_user_tables AS s
		WHERE s.relname = $1`, table).Scan(&size[0], &size[1], &vacuums)
	return size, vacuums, err
}

func (s *side) look(ctx context.Context) error {
	for _, table := range churned {
		size, vacuums, err := s.size(ctx, table)
		if err != nil {
			return err
		}
		was := s.largest[table]
		s.largest[table], s.vacuums[table] = [2]int64{max(was[0], size[0]), max(was[1], size[1])}, vacuums
	}
	return nil
}

// compact finds out how large the tables are without anything dead in them.
func (s *side) compact(ctx context.Context) error {
	for _, table := range churned {
		if _, err := s.pool.Exec(ctx, `VACUUM FULL `+table); err != nil {
			return err
		}
		size, _, err := s.size(ctx, table)
		if err != nil {
			return err
		}
		s.live[table] = size
	}
	return nil
}
