package dataset

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // for the migrations
	"golang.org/x/sync/errgroup"

	"github.com/oauthdb/oauthdb/migrations"
)

// Data says what is in a database.
type Data struct {
	Database     string
	AccessTokens int64
	Families     int64 // each with 4 access tokens, a spent refresh token and its successor
	Users        int64 // each with a session, a consent, and two families
	Clients      int64
}

// Of is the data with so many access tokens.
func Of(accessTokens int64) Data {
	d := Data{AccessTokens: accessTokens, Families: accessTokens / 4}
	d.Users = d.Families / 2
	d.Clients = min(1000, max(20, d.Families/250))
	return d
}

// ExpiredEvery is which families, of as many, is expired with all its tokens.
const ExpiredEvery = 5

// Expired reports whether a family is.
func Expired(family int64) bool { return family%ExpiredEvery == ExpiredEvery-1 }

// ClientOf is the number of the client of a family. The first has half of all: in most deployments one client has most users.
func (d Data) ClientOf(family int64) int64 {
	if family%2 == 0 {
		return 0
	}
	return family % d.Clients
}

// UserOf is the number of the user of a family, and of the user's session.
func (d Data) UserOf(family int64) int64 { return family % d.Users }

// Kinds of digests.
const (
	KindAccess  = "a" // by the number of the access token
	KindRefresh = "r" // by the number of the refresh token: 2 x family is spent, 2 x family + 1 its successor
	KindCode    = "c" // by family
	KindSession = "s" // by user
	KindSecret  = "k" // by client
)

// version is part of the name of a database, like the migrations: increase it when what is loaded changes.
const version = "2"

// Prepare makes the database with the data unless it is there from an earlier run, and drops those of earlier migrations.
func (s *Server) Prepare(ctx context.Context, accessTokens int64, logf func(string, ...any)) (Data, error) {
	d := Of(accessTokens)
	sum := sha256.New()
	fmt.Fprint(sum, version, "\n", PeerTable, "\n")
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return d, err
	}
	for _, name := range files {
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			return d, err
		}
		sum.Write(text)
	}
	d.Database = fmt.Sprintf("bench_%d_%s", accessTokens, hex.EncodeToString(sum.Sum(nil)[:4]))

	admin, err := s.Connect(ctx, "postgres")
	if err != nil {
		return d, err
	}
	defer admin.Close(ctx)
	rows, err := admin.Query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE $1`, fmt.Sprintf(`bench\_%d\_%%`, accessTokens))
	if err != nil {
		return d, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return d, err
	}
	for _, name := range found {
		if name == d.Database {
			return d, nil
		}
		if _, err := admin.Exec(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return d, err
		}
	}
	logf("loading %d access tokens with what belongs to them", accessTokens)
	began := time.Now()
	loading := "loading_" + d.Database
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS " + pgx.Identifier{loading}.Sanitize() + " WITH (FORCE)",
		"CREATE DATABASE " + pgx.Identifier{loading}.Sanitize(),
	} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return d, err
		}
	}
	if err := s.load(ctx, loading, d); err != nil {
		return d, fmt.Errorf("load %s: %w", d.Database, err)
	}
	// Only what is whole gets the name.
	if _, err := admin.Exec(ctx, "ALTER DATABASE "+pgx.Identifier{loading}.Sanitize()+" RENAME TO "+pgx.Identifier{d.Database}.Sanitize()); err != nil {
		return d, err
	}
	logf("loaded in %s", time.Since(began).Round(time.Second))
	return d, nil
}

// Clone makes a copy of the data for a run that deletes more than it can put back. The caller drops it.
func (s *Server) Clone(ctx context.Context, d Data, name string) (Data, error) {
	admin, err := s.Connect(ctx, "postgres")
	if err != nil {
		return d, err
	}
	defer admin.Close(ctx)
	if err := s.Drop(ctx, name); err != nil {
		return d, err
	}
	_, err = admin.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", pgx.Identifier{name}.Sanitize(), pgx.Identifier{d.Database}.Sanitize()))
	d.Database = name
	return d, err
}

// Drop drops a database if it is there.
func (s *Server) Drop(ctx context.Context, name string) error {
	admin, err := s.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	_, err = admin.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	return err
}

func (s *Server) load(ctx context.Context, database string, d Data) error {
	admin, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		return err
	}
	_, err = migrations.Up(ctx, admin, migrations.Options{})
	if err := errors.Join(err, admin.Close()); err != nil {
		return err
	}
	conn, err := s.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, PeerTable+"CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_prewarm;"); err != nil {
		return err
	}
	restore, err := strip(ctx, conn)
	if err != nil {
		return err
	}

	now := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, t := range d.tables(now) {
		g.Go(func() error { return s.copyTable(gctx, database, t) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, step := range restore { // of a step in any order
		var next sync.Mutex
		g, gctx := errgroup.WithContext(ctx)
		for range 2 {
			g.Go(func() error {
				conn, err := s.Connect(gctx, database)
				if err != nil {
					return err
				}
				defer conn.Close(context.WithoutCancel(gctx))
				for {
					next.Lock()
					if len(step) == 0 {
						next.Unlock()
						return nil
					}
					statement := step[0]
					step = step[1:]
					next.Unlock()
					if _, err := conn.Exec(gctx, statement); err != nil {
						return fmt.Errorf("%s: %w", statement, err)
					}
				}
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "VACUUM (ANALYZE)")
	if err == nil {
		_, err = conn.Exec(ctx, "CHECKPOINT")
	}
	return err
}

// strip drops what would slow down the load, and returns what puts it back: steps, each in any order.
func strip(ctx context.Context, conn *pgx.Conn) (restore [][]string, err error) {
	for _, part := range []string{
		// The rows are loaded as the triggers would make them.
		`SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname),
			format('ALTER TABLE %s ENABLE TRIGGER %I', tgrelid::regclass, tgname)
		FROM pg_trigger WHERE NOT tgisinternal`,
		`SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace`,
		`SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 AND connamespace = 'public'::regnamespace`,
		`SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE contype IN ('u', 'p') AND connamespace = 'public'::regnamespace
		AND conrelid <> 'oauthdb_version'::regclass`,
		`SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
		FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
		WHERE relnamespace = 'public'::regnamespace AND indrelid <> 'oauthdb_version'::regclass
			AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`,
	} {
		rows, err := conn.Query(ctx, part)
		if err != nil {
			return nil, err
		}
		var drops, adds []string
		var drop, add string
		if _, err := pgx.ForEachRow(rows, []any{&drop, &add}, func() error {
			drops, adds = append(drops, drop), append(adds, add)
			return nil
		}); err != nil {
			return nil, err
		}
		if len(drops) > 0 {
			if _, err := conn.Exec(ctx, strings.Join(drops, ";")); err != nil {
				return nil, err
			}
		}
		restore = append([][]string{adds}, restore...)
	}
	// The order above is that of dropping; keys that others refer to come back before those, and checks in between lock the
	// same tables, so two at a time is safe only within a step.
	return restore, nil
}

// table is how to write one.
type table struct {
	name, columns string
	rows          int64
	row           func(b []byte, n int64) []byte // appends row n in COPY's text format
}

func (s *Server) copyTable(ctx context.Context, database string, t table) error {
	conn, err := s.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return copyRows(ctx, conn, t)
}

func copyRows(ctx context.Context, conn *pgx.Conn, t table) error {
	r, w := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(w, 1<<16)
		var line []byte
		for n := range t.rows {
			line = t.row(line[:0], n)
			if _, err := out.Write(line); err != nil {
				return // the reader is gone
			}
		}
		w.CloseWithError(out.Flush())
	}()
	tag, err := conn.PgConn().CopyFrom(ctx, r, "COPY "+t.name+" ("+t.columns+") FROM STDIN")
	r.Close()
	if err != nil {
		return fmt.Errorf("copy %s: %w", t.name, err)
	}
	if tag.RowsAffected() != t.rows {
		return fmt.Errorf("copy %s: %d of %d rows", t.name, tag.RowsAffected(), t.rows)
	}
	return nil
}

// Warm reads what works look up at random into the server's memory, and writes what is dirty, so that neither is measured. The rest,
// which they hardly touch, would only push that out again.
func (s *Server) Warm(ctx context.Context, d Data) error {
	conn, err := s.Connect(ctx, d.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		SELECT sum(pg_prewarm(r::regclass))
		FROM unnest(ARRAY[
			'oauth_access_token', 'oauth_access_token_token_uidx', 'oauth_authorization', 'oauth_authorization_pkey',
			'oauth_refresh_token_token_uidx', '"user"', 'user_pkey', 'oauth_consent', 'oauth_consent_client_user_uidx',
			'oauth_client', 'oauth_client_client_id_uidx', 'oauth2_client', 'oauth2_client_pkey'
		]) AS r`)
	if err == nil {
		_, err = conn.Exec(ctx, "CHECKPOINT")
	}
	return err
}
