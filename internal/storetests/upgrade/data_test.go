package upgrade

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is one of a file: its head, a row, or a token.
type line struct {
	Version int64     `json:"version,omitempty"` // of the schema; the first line alone
	Taken   time.Time `json:"taken,omitzero"`

	Table string          `json:"table,omitempty"`
	Row   json.RawMessage `json:"row,omitempty"`

	Token   token.Digest  `json:"token,omitempty"`
	Outcome store.Outcome `json:"outcome,omitempty"` // of IntrospectToken
}

// data is what a release has written.
type data struct {
	version int64
	taken   time.Time
	rows    []line
	tokens  outcomes
}

// outcomes are those of IntrospectToken.
type outcomes map[token.Digest]store.Outcome

func read(t testing.TB, file string) data {
	t.Helper()
	f, err := os.Open(file)
	ok(t, err)
	defer f.Close()
	d := data{tokens: outcomes{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		ok(t, json.Unmarshal(lines.Bytes(), &l))
		switch {
		case l.Version != 0:
			d.version, d.taken = l.Version, l.Taken
		case l.Table != "":
			d.rows = append(d.rows, l)
		default:
			d.tokens[l.Token] = l.Outcome
		}
	}
	ok(t, lines.Err())
	if d.version == 0 || len(d.rows) == 0 || len(d.tokens) == 0 {
		t.Fatalf("%s has no version, no rows or no tokens", file)
	}
	return d
}

func (d data) write(t testing.TB, file string) {
	t.Helper()
	var b strings.Builder
	lines := append([]line{{Version: d.version, Taken: d.taken}}, d.rows...)
	for raw, outcome := range d.tokens {
		lines = append(lines, line{Token: raw, Outcome: outcome})
	}
	slices.SortStableFunc(lines[len(d.rows)+1:], func(a, b line) int { return cmp.Compare(a.Token, b.Token) })
	for _, l := range lines {
		text, err := json.Marshal(l)
		ok(t, err)
		fmt.Fprintf(&b, "%s\n", text)
	}
	ok(t, os.WriteFile(file, []byte(b.String()), 0o644))
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// database is one without a schema at first.
type database struct {
	testing.TB
	url string
	sql *sql.DB // for migrations
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	cluster, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test})
	ok(t, err)
	admin, err := sql.Open("pgx", cluster.URL)
	ok(t, err)
	name := "upgrade_" + strings.ToLower(rand.Text())
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
	ok(t, err)
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		if err := errors.Join(err, admin.Close()); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(cluster.URL)
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	u.Path = "/" + name
	d := &database{TB: t, url: u.String()}
	d.sql, err = sql.Open("pgx", d.url)
	ok(t, err)
	t.Cleanup(func() { d.sql.Close() })
	return d
}

// in runs do in a transaction on a new connection, as one that is older would have planned for an older schema. What do has done is kept
// if keep says so.
func (d *database) in(keep bool, do func(tx pgx.Tx)) {
	d.Helper()
	pool, err := db.Open(d.Context(), d.url, db.Options{MaxConns: 1})
	ok(d, err)
	defer pool.Close()
	tx, err := pool.Begin(d.Context())
	ok(d, err)
	defer tx.Rollback(context.WithoutCancel(d.Context()))
	do(tx)
	if keep {
		ok(d, tx.Commit(d.Context()))
	}
}

// load writes the rows into tables of their version. All times move with the clock: what was good for an hour is so from now on.
func (d *database) load(from data) {
	d.Helper()
	d.in(true, func(tx pgx.Tx) {
		exec := func(sql string, args ...any) {
			d.Helper()
			_, err := tx.Exec(d.Context(), sql, args...)
			ok(d, err)
		}
		exec("SET LOCAL session_replication_role = replica") // neither triggers nor foreign keys: the rows are as they were
		for _, l := range from.rows {
			table := pgx.Identifier{l.Table}.Sanitize()
			exec(fmt.Sprintf("INSERT INTO %s OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(NULL::%[1]s, $1)).*", table), []byte(l.Row))
		}
		times, err := pgx.CollectRows(rows(d.Context(), tx, `
			SELECT format('UPDATE %s SET (%s) = (SELECT %s)', a.attrelid::regclass, string_agg(quote_ident(a.attname), ', '),
				string_agg(format('%I + (now() - $1::timestamptz)', a.attname), ', '))
			FROM pg_attribute AS a
			JOIN pg_class AS c ON c.oid = a.attrelid
			JOIN pg_type AS y ON y.oid = a.atttypid
			WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> 'oauthdb_version' AND a.attnum > 0
				AND 'timestamptz'::regtype IN (y.oid, y.typbasetype)
			GROUP BY a.attrelid`), pgx.RowTo[string])
		ok(d, err)
		for _, sql := range times {
			exec(sql, from.taken)
		}
		exec(`SELECT setval(pg_get_serial_sequence('security_event', 'id'), coalesce(max(id), 1)) FROM security_event`)
	})
}

func rows(ctx context.Context, tx pgx.Tx, sql string, args ...any) pgx.Rows {
	r, _ := tx.Query(ctx, sql, args...) // CollectRows returns the error
	return r
}

// contents are the rows of each table as JSON, in an order that is always the same.
type contents map[string][]string

func contentsOf(t testing.TB, tx pgx.Tx) contents {
	t.Helper()
	names, err := pgx.CollectRows(rows(t.Context(), tx, `
		SELECT c.relname::text
		FROM pg_class AS c
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> 'oauthdb_version'`), pgx.RowTo[string])
	ok(t, err)
	all := contents{}
	for _, name := range names {
		all[name], err = pgx.CollectRows(rows(t.Context(), tx, fmt.Sprintf(`
			SELECT (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(to_jsonb(t)) AS c WHERE c.value <> 'null')::text
			FROM %s AS t`, pgx.Identifier{name}.Sanitize())), pgx.RowTo[string])
		ok(t, err)
		slices.Sort(all[name])
	}
	return all
}

// counts says in which of the tables that were there before the number of rows has changed.
func counts(before, after contents) []string {
	var changed []string
	for name, rows := range before {
		if len(after[name]) != len(rows) {
			changed = append(changed, fmt.Sprintf("%s has %d rows and had %d", name, len(after[name]), len(rows)))
		}
	}
	return changed
}

// changes says which rows are in one alone.
func changes(before, after contents) []string {
	var changed []string
	for _, c := range []struct {
		what       string
		from, than contents
	}{{"gone", before, after}, {"new", after, before}} {
		for name, rows := range c.from {
			for _, row := range rows {
				if !slices.Contains(c.than[name], row) {
					changed = append(changed, c.what+" in "+name+": "+row)
				}
			}
		}
	}
	return changed
}

// introspect asks for all tokens that have digests.
func introspect(t testing.TB, tx pgx.Tx) outcomes {
	t.Helper()
	digests, err := pgx.CollectRows(rows(t.Context(), tx, `
		SELECT token::text FROM oauth_refresh_token WHERE token IS NOT NULL UNION SELECT token FROM oauth_access_token WHERE token IS NOT NULL`), pgx.RowTo[string])
	ok(t, err)
	all := outcomes{}
	for _, d := range digests {
		row, err := store.New(tx).IntrospectToken(t.Context(), store.IntrospectTokenParams{Token: token.Digest(d), ClientAuthMethod: "server"})
		ok(t, err)
		all[token.Digest(d)] = row.Outcome
	}
	return all
}

// others says for which tokens something else is said.
func others(before, after outcomes) []string {
	var changed []string
	for raw, outcome := range before {
		if after[raw] != outcome {
			changed = append(changed, fmt.Sprintf("the token %s is %s and was %s", raw, after[raw], outcome))
		}
	}
	return changed
}

// broken lists the constraints that the rows violate, each added anew, those that aren't valid, and indexes that aren't.
func broken(t testing.TB, tx pgx.Tx) []string {
	t.Helper()
	found, err := pgx.CollectRows(rows(t.Context(), tx, `
		SELECT format('%s is not valid', c.conname) FROM pg_constraint AS c WHERE c.connamespace = current_schema()::regnamespace AND NOT c.convalidated
		UNION ALL
		SELECT format('%s is not valid', i.indexrelid::regclass) FROM pg_index AS i WHERE NOT i.indisvalid`), pgx.RowTo[string])
	ok(t, err)
	type constraint struct{ Name, Anew string }
	all, err := pgx.CollectRows(rows(t.Context(), tx, `
		SELECT c.conname::text,
			format('ALTER %s %s DROP CONSTRAINT %I', k.kind, k.name, c.conname) || format('; ALTER %s %s ADD CONSTRAINT %I %s',
				k.kind, k.name, c.conname, replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''))
		FROM pg_constraint AS c
		CROSS JOIN LATERAL (
			SELECT CASE WHEN c.contypid = 0 THEN 'TABLE' ELSE 'DOMAIN' END,
				CASE WHEN c.contypid = 0 THEN c.conrelid::regclass::text ELSE c.contypid::regtype::text END
		) AS k (kind, name)
		WHERE c.connamespace = current_schema()::regnamespace AND c.contype IN ('c', 'f') AND c.coninhcount = 0`), pgx.RowToStructByPos[constraint])
	ok(t, err)
	if len(all) < 50 {
		t.Errorf("only %d constraints were looked at", len(all))
	}
	for _, c := range all {
		nested, err := tx.Begin(t.Context())
		ok(t, err)
		if _, err := nested.Conn().PgConn().Exec(t.Context(), c.Anew).ReadAll(); err != nil {
			found = append(found, fmt.Sprintf("%s: %v", c.Name, err))
		}
		ok(t, nested.Rollback(t.Context()))
	}
	return found
}
