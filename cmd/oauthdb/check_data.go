package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
)

// late is how long after it is due a row is looked for that the collector has left. A pass a minute leaves none.
const late = time.Hour

func checkCollector(ctx context.Context, i *inspection) error {
	const most = 10_000 // rows that are counted
	behind := false
	for _, t := range []struct {
		table, column string
		kept          time.Duration // after the time in the column
	}{
		{"oauth_access_token", "expires_at", 0},
		{"oauth_refresh_token", "expires_at", db.DefaultRetention},
		{"oauth_authorization", "revoked_at", db.DefaultRetention},
		{"session", "expires_at", 0},
		{"oauth_proof", "expires_at", 0},
		{"oauth_client_assertion", "expires_at", 0},
		{"security_event", "created_at", db.DefaultEventRetention},
	} {
		var count int
		var oldest *time.Time
		query := fmt.Sprintf(`
			SELECT count(*), min(o.due)
			FROM (SELECT t.%[1]s AS due FROM %[2]s AS t WHERE t.%[1]s < now() - $1::interval ORDER BY t.%[1]s LIMIT %[3]d) AS o`,
			pgx.Identifier{t.column}.Sanitize(), pgx.Identifier{t.table}.Sanitize(), most+1)
		if t.table == "security_event" { // which has no index by time, and is in its order by id
			query = fmt.Sprintf(`SELECT count(*), min(o.due) FROM (
				SELECT e.created_at AS due FROM (SELECT x.created_at FROM security_event AS x ORDER BY x.id LIMIT %d) AS e WHERE e.created_at < now() - $1::interval
			) AS o`, most+1)
		}
		if err := i.QueryRow(ctx, query, t.kept+late).Scan(&count, &oldest); err != nil {
			return err
		}
		if count == 0 {
			continue
		}
		behind = true
		rows := fmt.Sprint(count)
		if count > most {
			rows = fmt.Sprintf("more than %d", most)
		}
		i.warn("run db.NewCollector in a server or 'oauthdb gc -every 1m'; its log says why it falls behind",
			"%s rows of %s should have been deleted, the oldest since %s", rows, t.table, timeText(oldest.Add(t.kept)))
	}
	if !behind {
		i.ok("nothing has been due for longer than %s", late)
	}
	return nil
}

func checkAutovacuum(ctx context.Context, i *inspection) error {
	var on, counts bool
	var age, freeze, groups, groupFreeze int64
	err := one(ctx, i, `
		SELECT current_setting('autovacuum')::boolean, current_setting('track_counts')::boolean,
		    (SELECT age(d.datfrozenxid)::bigint FROM pg_database AS d WHERE d.datname = current_database()), current_setting('autovacuum_freeze_max_age')::bigint,
		    (SELECT mxid_age(d.datminmxid)::bigint FROM pg_database AS d WHERE d.datname = current_database()), current_setting('autovacuum_multixact_freeze_max_age')::bigint`,
		&on, &counts, &age, &freeze, &groups, &groupFreeze)
	if err != nil {
		return err
	}
	before := len(i.found)
	if !on || !counts {
		i.fail("set autovacuum = on and track_counts = on", "autovacuum is off: the tables of tokens grow and their plans get worse")
	}
	switch {
	case age > 1_500_000_000:
		i.fail("VACUUM FREEZE the oldest tables now; end what holds it back: the check transactions", "the oldest row is %d transactions old: at 2.1 thousand million the server takes no more writes", age)
	case age > max(2*freeze, 500_000_000):
		i.warn("find what holds autovacuum back: the check transactions", "the oldest row is %d transactions old", age)
	}
	switch { // of rows that several transactions lock at once, as calls do with users and clients
	case groups > 1_500_000_000:
		i.fail("VACUUM FREEZE the tables user, oauth_client and session now; end what holds it back: the check transactions", "the oldest group of lockers is %d groups old: at 2.1 thousand million the server takes no more locks of this kind", groups)
	case groups > max(2*groupFreeze, 800_000_000):
		i.warn("find what holds autovacuum back: the check transactions", "the oldest group of lockers (multixact) is %d groups old", groups)
	}
	if i.schema == "" {
		i.say(statusUnknown, "see the check search_path", "the tables can't be found")
		return nil
	}
	tables, err := tableNames()
	if err != nil {
		return err
	}
	rows, err := i.Query(ctx, `
		SELECT c.relname::text, coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0), s.last_analyze IS NULL AND s.last_autoanalyze IS NULL,
		    coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'autovacuum_enabled'), true),
		    coalesce(
		        (SELECT o.option_value::float8 FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'autovacuum_vacuum_scale_factor'),
		        current_setting('autovacuum_vacuum_scale_factor')::float8
		    )
		FROM pg_class AS c
		JOIN pg_namespace AS n ON n.oid = c.relnamespace
		LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
		WHERE n.nspname = $1::text AND c.relkind = 'r' AND c.relname = ANY ($2::text[])
		ORDER BY c.relname`, i.schema, tables)
	if err != nil {
		return err
	}
	var table string
	var live, dead int64
	var unanalysed, enabled bool
	var scale float64
	if _, err := pgx.ForEachRow(rows, []any{&table, &live, &dead, &unanalysed, &enabled, &scale}, func() error {
		name := pgx.Identifier{table}.Sanitize()
		if !enabled {
			i.fail(fmt.Sprintf("ALTER TABLE %s RESET (autovacuum_enabled)", name), "autovacuum is off for %s", table)
		}
		if dead > 5*large && dead > live {
			i.warn("find what holds autovacuum back: the check transactions; or let it run more often", "%s has %d dead rows beside %d live ones", table, dead, live)
		}
		if unanalysed && live >= large {
			i.warn("ANALYZE "+name, "%s was never analysed: the planner knows nothing of its %d rows", table, live)
		}
		if live > 1_000_000 && scale > 0.1 {
			i.warn(fmt.Sprintf("ALTER TABLE %s SET (autovacuum_vacuum_scale_factor = 0.02)", name), "%s is vacuumed only when %.0f %% of its %d rows are dead", table, scale*100, live)
		}
		return nil
	}); err != nil {
		return err
	}
	if len(i.found) == before {
		i.ok("on, and not behind")
	}
	return nil
}

func checkKeys(ctx context.Context, i *inspection) error {
	rows, err := i.Query(ctx, `
		SELECT coalesce(k.alg, '?'), count(*) FILTER (WHERE k.expires_at IS NULL), count(*) FILTER (WHERE k.expires_at > now()), count(*) FILTER (WHERE k.expires_at <= now() - $1::interval),
		    max(k.created_at) FILTER (WHERE k.expires_at IS NULL), now()
		FROM jwks AS k
		GROUP BY k.alg
		ORDER BY 1`, late)
	if err != nil {
		return err
	}
	var alg string
	var signing, published, expired, algorithms int
	var newest *time.Time
	var now time.Time
	before := len(i.found)
	if _, err := pgx.ForEachRow(rows, []any{&alg, &signing, &published, &expired, &newest, &now}, func() error {
		algorithms++
		switch {
		case signing == 0 && published > 0:
			i.warn("a server makes one when it next signs; else 'oauthdb key add'", "no key of %s may sign, while %s published still", alg, plural(published, "is", "are"))
		case newest != nil && now.Sub(*newest) > 366*24*time.Hour:
			i.warn("have the servers rotate keys by age, as RotateSigningKey of adapters/zitadel does", "the newest key of %s is from %s", alg, timeText(*newest))
		}
		if expired > 0 {
			i.warn("run the collector: 'oauthdb gc'", "%s of %s expired and not deleted", plural(expired, "key", "keys"), alg)
		}
		return nil
	}); err != nil {
		return err
	}
	switch {
	case algorithms == 0:
		i.ok("no signing keys; a server that signs JWTs makes one")
	case len(i.found) == before:
		i.ok("each of %s has a key that may sign", plural(algorithms, "algorithm", "algorithms"))
	}
	return nil
}

func checkGrace(ctx context.Context, i *inspection) error {
	short, err := texts(ctx, i, `
		SELECT c.client_id::text
		FROM oauth_client AS c
		WHERE c.refresh_grace < $1::interval AND c.refresh_grace_until_used IS NOT TRUE AND NOT c.disabled
		    AND 'refresh_token' = ANY (coalesce(c.grant_types, ARRAY['refresh_token']))
		ORDER BY 1`, i.failover)
	if err != nil {
		return err
	}
	if len(short) > 0 {
		i.warn("raise refresh_grace, or set refresh_grace_until_used: docs/failover.md", "the grace of %s is shorter than a failover of %s, which then signs their users out: %s",
			plural(len(short), "client", "clients"), i.failover, some(short))
		return nil
	}
	i.ok("no client has a grace of its own below %s; that of the servers is a parameter of their calls", i.failover)
	return nil
}
