package upgrade

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/plan/sample"
	"github.com/oauthdb/oauthdb/migrations"
)

var (
	size = flag.Int("size", 0, "measure migrations on so many authorizations, in hundreds, and as many tokens of each kind")
	docs = flag.Bool("docs", false, "with -size, write the table of docs/upgrading.md")
)

// TestHowLongTablesAreLocked applies each migration since the oldest release to large tables. A file is a transaction, so what it locks
// it locks for its time at most.
func TestHowLongTablesAreLocked(t *testing.T) {
	if *size == 0 {
		t.Skip("measures, with -size")
	}
	d := newDatabase(t)
	d.up()
	conn, err := pgx.Connect(t.Context(), d.url)
	ok(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	ok(t, sample.Grow(t.Context(), conn, 0, *size))
	d.downTo(read(t, files(t)[0]).version)

	var b strings.Builder
	fmt.Fprintf(&b, "%d authorizations, as many refresh tokens and access tokens; %s.\n\n| Migration | takes | large tables that nobody can write meanwhile | tables written anew |\n|---|---|---|---|\n",
		*size, serverVersion(t, conn))
	for {
		before := fileNodes(t, conn)
		status, err := migrations.Status(t.Context(), d.sql, migrations.Options{})
		ok(t, err)
		var next migrations.FileStatus
		for _, s := range status {
			if s.AppliedAt.IsZero() {
				next = s
				break
			}
		}
		if next.Version == 0 {
			break
		}
		locked := lockedBy(t, conn, next.Name)
		results, err := migrations.UpTo(t.Context(), d.sql, next.Version, migrations.Options{})
		ok(t, err)
		var rewritten []string
		for table, node := range fileNodes(t, conn) {
			if was, found := before[table]; found && was != node {
				rewritten = append(rewritten, table)
			}
		}
		slices.Sort(rewritten)
		fmt.Fprintf(&b, "| %s | %v | %s | %s |\n", next.Name, results[0].Duration.Round(time.Millisecond), list(locked), list(rewritten))
	}
	t.Logf("\n%s", b.String())
	if *docs {
		const page = "../../../docs/upgrading.md"
		text, err := os.ReadFile(page)
		ok(t, err)
		before, rest, begins := strings.Cut(string(text), "<!-- locked:begin -->\n")
		_, after, ends := strings.Cut(rest, "<!-- locked:end -->")
		if !begins || !ends {
			t.Fatal("docs/upgrading.md has no place for the table")
		}
		ok(t, os.WriteFile(page, []byte(before+"<!-- locked:begin -->\n"+b.String()+"<!-- locked:end -->"+after), 0o644))
	}
}

func list(names []string) string { return cmp.Or(strings.Join(names, ", "), "none") }

func serverVersion(t *testing.T, conn *pgx.Conn) (version string) {
	t.Helper()
	ok(t, conn.QueryRow(t.Context(), "SELECT 'PostgreSQL ' || current_setting('server_version')").Scan(&version))
	return version
}

// fileNodes tells whether a table is written anew.
func fileNodes(t *testing.T, conn *pgx.Conn) map[string]uint32 {
	t.Helper()
	all := map[string]uint32{}
	r, _ := conn.Query(t.Context(), `SELECT c.relname, c.relfilenode FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`)
	var table string
	var node uint32
	_, err := pgx.ForEachRow(r, []any{&table, &node}, func() error { all[table] = node; return nil })
	ok(t, err)
	return all
}

// lockedBy runs the Up of a file, undoes it, and says which tables of more than 1,000 rows others could not have written meanwhile.
func lockedBy(t *testing.T, conn *pgx.Conn, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "migrations", name))
	ok(t, err)
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	if regexp.MustCompile(`(?m)^-- \+goose NO TRANSACTION`).MatchString(up) {
		return []string{"(without a transaction)"}
	}
	tx, err := conn.Begin(t.Context())
	ok(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	_, err = conn.PgConn().Exec(t.Context(), up).ReadAll()
	ok(t, err)
	tables, err := pgx.CollectRows(rows(t.Context(), tx, `
		SELECT DISTINCT c.relname::text
		FROM pg_locks AS l
		JOIN pg_class AS c ON c.oid = l.relation
		WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.reltuples > 1000
			AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
		ORDER BY 1`), pgx.RowTo[string])
	ok(t, err)
	return tables
}
