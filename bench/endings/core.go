package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

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

	columns map[string]bool // "table.column"
	perCall int             // how often an ending of many families is measured

	authenticatesApart bool // the client of a call, by AuthenticateClient
}

// statement is a query as the server gets it, with the names of its parameters in order.
type statement struct {
	sql      string
	params   []string
	required map[string]bool // those that may not be NULL; all others are by sqlc.narg
}

// atCommit is migrations/ and queries/ as they were at a commit, from the repository that holds root.
func atCommit(ctx context.Context, root, commit string) (fs.FS, error) {
	cmd := exec.CommandContext(ctx, "git", "archive", commit, "migrations", "queries")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("read commit %s, for which the clone has to have its whole history: %w: %s", commit, err, bytes.TrimSpace(stderr.Bytes()))
	}
	files := fstest.MapFS{}
	for archive := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg {
			text, err := io.ReadAll(archive)
			if err != nil {
				return nil, err
			}
			files[h.Name] = &fstest.MapFile{Data: text}
		}
	}
}

// lastCommit is the last commit that changed the SQL.
func lastCommit(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "log", "-1", "--format=%h", "--", "migrations", "queries")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask git for the last commit of migrations and queries: %w", err)
	}
	return string(bytes.TrimSpace(out)), nil
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

// open makes the database, attaches to it and applies the migrations.
func (c *core) open(ctx context.Context, server *dataset.Server) error {
	if err := server.Drop(ctx, c.database); err != nil {
		return err
	}
	admin, err := server.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	_, err = admin.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{c.database}.Sanitize())
	if err == nil { // the disk's time is the same for both, and would hide the difference
		_, err = admin.Exec(ctx, "ALTER DATABASE "+pgx.Identifier{c.database}.Sanitize()+" SET synchronous_commit = off")
	}
	if err := errors.Join(err, admin.Close(ctx)); err != nil {
		return err
	}
	if err := c.attach(ctx, server); err != nil {
		return err
	}
	migrations, err := fs.Glob(c.files, "migrations/*.sql")
	if err != nil {
		return err
	}
	for _, name := range migrations {
		text, err := fs.ReadFile(c.files, name)
		if err != nil {
			return err
		}
		for _, sql := range up(string(text)) {
			if _, err := c.conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", path.Base(name), err)
			}
		}
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

// up is what a migration does, as statements that the server gets one by one where it is to run outside a transaction.
func up(text string) []string {
	text, _, _ = strings.Cut(text, "-- +goose Down")
	alone := strings.Contains(text, "-- +goose NO TRANSACTION")
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "--") {
			b.WriteString(line)
		}
	}
	if !alone {
		return []string{b.String()}
	}
	var all []string
	for sql := range strings.SplitSeq(b.String(), ";") {
		if strings.TrimSpace(sql) != "" {
			all = append(all, sql)
		}
	}
	return all
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
