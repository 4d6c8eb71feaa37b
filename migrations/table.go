package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3/database"
)

// store is goose's version table, with two columns more: which file was applied, and its SHA-256. goose calls Insert in the
// transaction of the file, so the record and what it is of stand or fall together.
type store struct {
	database.StoreExtender
	files func(version int64) (file, bool)
}

func (m *migrator) newStore() (*store, error) {
	inner, err := database.NewStore(database.DialectPostgres, m.opts.Table)
	if err != nil {
		return nil, err
	}
	extended, ok := inner.(database.StoreExtender)
	if !ok {
		return nil, fmt.Errorf("goose's %T can't say whether the version table exists", inner)
	}
	return &store{StoreExtender: extended, files: m.file}, nil
}

func (s *store) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	if err := s.StoreExtender.CreateVersionTable(ctx, db); err != nil {
		return err
	}
	return addColumns(ctx, db, s.Tablename())
}

func (s *store) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	f, ok := s.files(req.Version)
	if !ok { // version 0, goose's mark of an empty database
		return s.StoreExtender.Insert(ctx, db, req)
	}
	_, err := db.ExecContext(ctx, `
		INSERT INTO `+s.Tablename()+` (version_id, is_applied, file_name, file_sha256)
		VALUES ($1, true, $2, $3)`, f.version, f.name, f.digest)
	if err != nil {
		return fmt.Errorf("record version %d: %w", f.version, err)
	}
	return nil
}

func addColumns(ctx context.Context, db database.DBTxConn, table string) error {
	_, err := db.ExecContext(ctx, `
		ALTER TABLE `+table+`
		    ADD COLUMN IF NOT EXISTS file_name text,
		    ADD COLUMN IF NOT EXISTS file_sha256 text`)
	if err != nil {
		return fmt.Errorf("add columns to version table %s: %w", table, err)
	}
	return nil
}

// prepareTable runs under the lock of runs. Another release may have migrated while this one waited, so what is applied is
// compared again. A version table that goose made by itself gets the columns that it lacks.
func (m *migrator) prepareTable(ctx context.Context, conn *sql.Conn) error {
	applied, err := m.applied(ctx, conn)
	if err != nil {
		return err
	}
	if err := m.compare(applied); err != nil {
		return err
	}
	exists, err := m.tableExists(ctx, conn)
	if err != nil || !exists {
		return err
	}
	var columns int
	err = conn.QueryRowContext(ctx, `
		SELECT count(*)
		FROM pg_catalog.pg_attribute
		WHERE attrelid = $1::text::regclass
		    AND attname IN ('file_name', 'file_sha256')
		    AND NOT attisdropped`, m.opts.Table).Scan(&columns)
	if err != nil {
		return fmt.Errorf("read the columns of version table %s: %w", m.opts.Table, err)
	}
	if columns == 2 {
		return nil
	}
	return addColumns(ctx, conn, m.opts.Table)
}

func (m *migrator) file(version int64) (file, bool) {
	i := slices.IndexFunc(m.files, func(f file) bool { return f.version == version })
	if i < 0 {
		return file{}, false
	}
	return m.files[i], true
}

// is says whether a record is of this very file.
func (f file) is(r record) bool { return f.name == r.name && f.digest == r.digest }

// compare finds the first version that was applied from another file than the one here. Versions that have no file here are a
// newer release's.
func (m *migrator) compare(applied map[int64]record) error {
	for _, f := range m.files {
		if r, ok := applied[f.version]; ok && !f.is(r) {
			return &ChangedError{
				Version: f.version, Name: f.name, Digest: f.digest,
				AppliedName: r.name, AppliedDigest: r.digest,
			}
		}
	}
	return nil
}

// tableExists looks in current_schema() and nowhere else on the search_path, as goose does.
func (m *migrator) tableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	schema, table, qualified := strings.Cut(m.opts.Table, ".")
	if !qualified {
		schema, table = "", m.opts.Table
	}
	var exists bool
	err := db.QueryRowContext(ctx, `
		SELECT EXISTS (
		    SELECT FROM pg_catalog.pg_tables
		    WHERE schemaname = coalesce(nullif($1::text, ''), current_schema())
		        AND tablename = $2::text
		)`, schema, table).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("migrations: look for version table %s: %w", m.opts.Table, ofContext(ctx, err))
	}
	return exists, nil
}

// applied reads which versions are applied. goose's own reading calls create the version table when it is missing.
func (m *migrator) applied(ctx context.Context, db database.DBTxConn) (map[int64]record, error) {
	applied := make(map[int64]record)
	exists, err := m.tableExists(ctx, db)
	if err != nil || !exists {
		return applied, err
	}

	// tstamp is goose's: a timestamp without time zone, written as now() in that of the session, which pinned says. By way of
	// jsonb because a table that goose made alone lacks the columns of the file.
	rows, err := db.QueryContext(ctx, `
		SELECT
		    v.version_id,
		    v.tstamp AT TIME ZONE 'UTC',
		    coalesce(to_jsonb(v) ->> 'file_name', ''),
		    coalesce(to_jsonb(v) ->> 'file_sha256', '')
		FROM `+m.opts.Table+` AS v
		WHERE v.is_applied
		    AND v.version_id > 0`)
	if err != nil {
		return nil, fmt.Errorf("migrations: read version table %s: %w", m.opts.Table, ofContext(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		var r record
		if err := rows.Scan(&version, &r.at, &r.name, &r.digest); err != nil {
			return nil, fmt.Errorf("migrations: read version table %s: %w", m.opts.Table, ofContext(ctx, err))
		}
		applied[version] = r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("migrations: read version table %s: %w", m.opts.Table, ofContext(ctx, err))
	}
	return applied, nil
}
