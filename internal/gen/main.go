// Command gen writes what is generated from the migrated schema rather than by sqlc:
//
//	store/constraints.go   a constant for each constraint and unique index, from the catalog
//	store/schema_version.go   the version of the newest migration
//	store/sql.go           the calls' statements by name
//	db/schema.sql          the dump that reviewers diff
//	internal/catalog/objects.json   what 'oauthdb check' looks for in a database
//
// and puts the fields of the Params types, which sqlc has written to store, into the order of queries/parameters.txt, with comments.
//
// With -check it writes nothing, and fails if a file is not what it would write; -sqlc names a folder in which sqlc has written anew. It runs in the repository's root, as
// `make generate` and `make check` do, and starts a PostgreSQL if none is running.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/migrations"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if a generated file is stale")
	fresh := flag.String("sqlc", "store", "`folder` to which sqlc has written")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *check, *fresh); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// output is one generated file.
type output struct {
	path string
	text []byte
}

func run(ctx context.Context, check bool, fresh string) (err error) {
	cluster, err := devdb.Start(ctx, devdb.Options{Kind: devdb.Test})
	if err != nil {
		return err
	}
	scratch, drop, err := scratchDatabase(ctx, cluster.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	db, err := sql.Open("pgx", scratch)
	if err != nil {
		return fmt.Errorf("open scratch database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := migrations.Up(ctx, db, migrations.Options{}); err != nil {
		return err
	}

	constraints, err := constraintsFile(ctx, db)
	if err != nil {
		return err
	}
	schema, err := schemaFile(ctx, cluster, scratch)
	if err != nil {
		return err
	}
	outputs, err := callFiles(ctx, db, fresh)
	if err != nil {
		return err
	}
	objects, err := objectsFile(ctx, db)
	if err != nil {
		return err
	}
	version, err := versionFile(ctx, db)
	if err != nil {
		return err
	}
	outputs = append(outputs, output{"store/schema_version.go", version}, output{"store/constraints.go", constraints}, output{"db/schema.sql", schema}, output{"internal/catalog/objects.json", objects})
	var stale []string
	for _, o := range outputs {
		old, err := os.ReadFile(o.path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		switch {
		case bytes.Equal(old, o.text):
		case check:
			stale = append(stale, o.path)
		default:
			if err := os.WriteFile(o.path, o.text, 0o644); err != nil {
				return err
			}
			fmt.Println("wrote", o.path)
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("stale: %s; run `make generate` and commit what it writes", strings.Join(stale, ", "))
	}
	return nil
}

// versionFile renders store/schema_version.go.
func versionFile(ctx context.Context, db *sql.DB) ([]byte, error) {
	version, err := migrations.Version(ctx, db, migrations.Options{})
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `// Code generated from the migrations by "make generate". DO NOT EDIT.

package store

// SchemaVersion is the version of the newest migration that the calls of this package need. They also work on a schema that is newer.
const SchemaVersion = %d
`, version), nil
}

// objectsFile renders internal/catalog/objects.json.
func objectsFile(ctx context.Context, db *sql.DB) ([]byte, error) {
	var document string
	if err := db.QueryRowContext(ctx, catalog.ObjectsQuery, "public").Scan(&document); err != nil {
		return nil, fmt.Errorf("list the objects: %w", err)
	}
	objects, err := catalog.ReadObjects(document)
	if err != nil {
		return nil, err
	}
	return catalog.PackObjects(objects)
}

// scratchDatabase creates a database of its own on the server and returns its URL, and how to drop it.
func scratchDatabase(ctx context.Context, server string) (string, func() error, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, errors.New("the server's address is not a URL") // url.Parse's error holds the password
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return "", nil, fmt.Errorf("open server: %w", err)
	}
	name := "oauthdb_gen_" + strings.ToLower(rand.Text())
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		return "", nil, errors.Join(fmt.Errorf("create scratch database: %w", err), admin.Close())
	}
	u.Path = "/" + name
	return u.String(), func() error {
		_, err := admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return errors.Join(err, admin.Close())
	}, nil
}
