package storetest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/peterldowns/pgtestdb"
	"github.com/pressly/goose/v3"

	"github.com/oauthdb/oauthdb/migrations"
)

// migrator makes the template: the migrations of oauthdb, then the caller's own, if any.
type migrator struct{ own fs.FS }

// files are the file systems that hold migrations, in the order in which they are applied.
func (m migrator) files() []fs.FS {
	if m.own == nil {
		return []fs.FS{migrations.FS}
	}
	return []fs.FS{migrations.FS, m.own}
}

// Hash tells states of the migrations apart.
func (m migrator) Hash() (string, error) {
	h := sha256.New()
	for _, fsys := range m.files() {
		names, err := fs.Glob(fsys, "*.sql")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%d files\n", len(names))
		for _, name := range names { // sorted
			content, err := fs.ReadFile(fsys, name)
			if err != nil {
				return "", fmt.Errorf("reading the migrations: %w", err)
			}
			fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(content))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// Migrate runs once for each hash, on an empty database.
func (m migrator) Migrate(ctx context.Context, db *sql.DB, _ pgtestdb.Config) error {
	if _, err := migrations.Up(ctx, db, migrations.Options{}); err != nil {
		return err
	}
	if m.own == nil {
		return nil
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, m.own)
	if err != nil {
		return fmt.Errorf("reading the migrations added: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("applying the migrations added: %w", err)
	}
	return nil
}
