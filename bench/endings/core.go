package main

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/internal/queryfile"
)

// core is the SQL of one state of the repository, and a database that was made with it.
type core struct {
	name     string
	files    fs.FS // with migrations/ and queries/
	database string
	queries  map[string]statement
	conn     *pgx.Conn

	columns            map[string]bool // "table.column"
	authenticatesApart bool            // the client of a call, by AuthenticateClient
}

// statement is a query as the server gets it, with the names of its parameters in order.
type statement struct {
	sql      string
	params   []string
	required map[string]bool // those that may not be NULL; all others are by sqlc.narg
}

// git is what git says in a folder.
func git(ctx context.Context, root string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		err = fmt.Errorf("git %s, for which the clone has to have its whole history: %w: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	return out, err
}

// atCommit is migrations/ and queries/ as they were at a commit, from the repository at root.
func atCommit(ctx context.Context, root, commit string) (fs.FS, error) {
	archive, err := git(ctx, root, "archive", "--format=zip", commit, "migrations", "queries")
	if err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
}

// lastCommit is the last commit that changed the SQL.
func lastCommit(ctx context.Context, root string) (string, error) {
	out, err := git(ctx, root, "log", "-1", "--format=%h", "--", "migrations", "queries")
	return string(bytes.TrimSpace(out)), err
}

// asItIs is the SQL of the working tree.
func asItIs(root string) fs.FS { return os.DirFS(root) }

var (
	parameter = regexp.MustCompile(`sqlc\.n?arg\('?(\w+)'?\)|@(\w+)`)
	embedded  = regexp.MustCompile(`sqlc\.embed\((\w+)\)`)
)

// numbered gives a query's named parameters numbers, as sqlc does.
func numbered(sql string) statement {
	s := statement{required: map[string]bool{}}
	var text strings.Builder
	for line := range strings.Lines(sql) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			text.WriteString(line)
		}
	}
	s.sql = parameter.ReplaceAllStringFunc(embedded.ReplaceAllString(text.String(), "$1.*"), func(p string) string {
		m := parameter.FindStringSubmatch(p)
		name := m[1] + m[2]
		if m[2] != "" {
			s.required[name] = true
		}
		i := slices.Index(s.params, name)
		if i < 0 {
			i, s.params = len(s.params), append(s.params, name)
		}
		return "$" + strconv.Itoa(i+1)
	})
	return s
}

// attach connects to the database, and reads the queries.
func (c *core) attach(ctx context.Context, server *dataset.Server) (err error) {
	if c.conn, err = server.Connect(ctx, c.database); err != nil {
		return err
	}
	c.queries = map[string]statement{}
	queries, err := fs.Glob(c.files, "queries/*.sql")
	if err != nil {
		return err
	}
	for _, name := range queries {
		text, err := fs.ReadFile(c.files, name)
		if err != nil {
			return err
		}
		all, err := queryfile.Parse(path.Base(name), string(text))
		if err != nil {
			return err
		}
		for _, q := range all {
			c.queries[q.Name] = numbered(q.SQL)
		}
	}

	c.authenticatesApart = !slices.Contains(c.queries["RotateRefreshToken"].params, "client_auth_method")
	return nil
}

// open makes the database, applies the migrations and attaches to it.
func (c *core) open(ctx context.Context, server *dataset.Server) error {
	if err := server.Drop(ctx, c.database); err != nil {
		return err
	}
	name := pgx.Identifier{c.database}.Sanitize()
	// the disk's time is the same for both, and would hide the difference
	if err := server.Exec(ctx, "postgres", "CREATE DATABASE "+name, "ALTER DATABASE "+name+" SET synchronous_commit = off"); err != nil {
		return err
	}
	migrations, err := fs.Sub(c.files, "migrations")
	if err != nil {
		return err
	}
	handle, err := sql.Open("pgx", server.URL(c.database))
	if err != nil {
		return err
	}
	migrator, err := goose.NewProvider(goose.DialectPostgres, handle, migrations)
	if err == nil {
		_, err = migrator.Up(ctx)
	}
	if err := errors.Join(err, handle.Close()); err != nil {
		return err
	}
	if err := c.attach(ctx, server); err != nil {
		return err
	}
	c.columns = map[string]bool{}
	rows, err := c.conn.Query(ctx, "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'")
	if err != nil {
		return err
	}
	var column string
	_, err = pgx.ForEachRow(rows, []any{&column}, func() error {
		c.columns[column] = true
		return nil
	})
	return err
}

// call makes a call with the values of its parameters by their names. What the statement doesn't have is left out. One that may be
// NULL is, if it isn't given. It returns the first column of the first row, the outcome of most calls.
func (c *core) call(ctx context.Context, db queryer, name string, values map[string]any) (outcome string, err error) {
	s, ok := c.queries[name]
	if !ok {
		return "", fmt.Errorf("%s has no %s", c.name, name)
	}
	args := make([]any, len(s.params))
	for i, p := range s.params {
		value, given := values[p]
		if !given && s.required[p] {
			return "", fmt.Errorf("%s of %s takes %s", name, c.name, p)
		}
		args[i] = value
	}
	rows, err := db.Query(ctx, s.sql, args...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		if n == 0 {
			outcome = string(rows.RawValues()[0])
		}
	}
	if err := rows.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if n == 0 {
		return "", fmt.Errorf("%s of %s: no row", name, c.name)
	}
	return outcome, nil
}

type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}
