package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/internal/plan/sample"
	"github.com/oauthdb/oauthdb/migrations"
)

// referenceSize is that of the sample in the reference database. ANALYZE takes up to 30,000 rows of a table: every table has
// fewer, so that it reads them all, and no statistic is left to chance.
const referenceSize = 20_000

// reference makes the reference database on a server: migrated, filled and analysed, always alike. The connection has the
// planner's settings fixed. The size is that of the sample, referenceSize but in tests. done closes the connection and drops
// the database.
func reference(ctx context.Context, server string, size int) (_ *pgx.Conn, done func() error, err error) {
	admin, err := pgx.Connect(ctx, server)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the server: %w", err)
	}
	var undo []func() error
	release := func() error {
		var errs []error
		for i := len(undo) - 1; i >= 0; i-- {
			errs = append(errs, undo[i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	forgotten := context.WithoutCancel(ctx)
	undo = append(undo, func() error { return admin.Close(forgotten) })

	var major, block int
	err = admin.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000, current_setting('block_size')::int").Scan(&major, &block)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for the server's version: %w", err)
	}
	switch {
	case major != plan.Reference:
		return nil, nil, fmt.Errorf("the server is PostgreSQL %d, and plans are reviewed as PostgreSQL %d makes them: unset DATABASE_URL, or let it name such a server", major, plan.Reference)
	case block != 8192:
		return nil, nil, fmt.Errorf("the server's pages have %d bytes, and plans are reviewed with 8192", block)
	}

	u, err := url.Parse(server)
	if err != nil {
		return nil, nil, errors.New("the server's address is not a URL") // url.Parse's error holds the password
	}
	name := "oauthdb_review_" + strings.ToLower(rand.Text())
	u.Path = "/" + name
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'"); err != nil {
		return nil, nil, fmt.Errorf("create the reference database: %w", err)
	}
	undo = append(undo, func() error {
		_, err := admin.Exec(forgotten, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return err
	})
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		return nil, nil, fmt.Errorf("open the reference database: %w", err)
	}
	_, err = migrations.Up(ctx, db, migrations.Options{})
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, nil, err
	}
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the reference database: %w", err)
	}
	undo = append(undo, func() error { return conn.Close(forgotten) })
	if err := plan.Settings(ctx, conn); err != nil {
		return nil, nil, err
	}
	if err := sample.Grow(ctx, conn, 0, size); err != nil {
		return nil, nil, err
	}
	return conn, release, settle(ctx, conn)
}

// settle vacuums until every page is known to be visible to all, which the planner counts on and which an open transaction
// may have been in the way of.
func settle(ctx context.Context, conn *pgx.Conn) error {
	for range 20 {
		rows, err := conn.Query(ctx, `
			SELECT c.oid::regclass::text
			FROM pg_class AS c
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> $1 AND c.relallvisible < c.relpages
			ORDER BY 1`, migrations.DefaultTable)
		if err != nil {
			return fmt.Errorf("look at the tables: %w", err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("look at the tables: %w", err)
		}
		if len(tables) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		for _, t := range tables {
			if _, err := conn.Exec(ctx, "VACUUM (ANALYZE) "+t); err != nil {
				return fmt.Errorf("vacuum: %w", err)
			}
		}
	}
	return errors.New("a transaction stays open in the reference database, so that VACUUM cannot do its work")
}
