package migrations

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
)

// DefaultTable is the table that records applied versions.
const DefaultTable = "oauthdb_version"

// Options alter how migrations run. The zero value is the default.
type Options struct {
	// Logger gets a line for each migration applied or undone, and one when the run has to wait for another. Nil is
	// silent.
	Logger *slog.Logger

	// Table records applied versions. It is a lower-case identifier, with or without a schema; a schema must exist.
	// Empty means [DefaultTable].
	Table string

	// LockTimeout bounds how long a statement waits for a lock on a table, index or row before the migration fails with
	// SQLSTATE 55P03. Zero means 5 seconds; negative means no bound. A run that failed so can simply be repeated.
	LockTimeout time.Duration

	// LockWait bounds how long a run waits for another one to finish. It is rounded up to whole seconds. Zero means 5
	// minutes.
	LockWait time.Duration
}

// Result is a migration that a run applied or undid.
type Result struct {
	Version   int64
	Name      string // of the file
	Direction string // "up" or "down"
	Duration  time.Duration
	Empty     bool // the file has no statement in this direction; its version is recorded all the same
}

// FileStatus is a migration file and whether the database has it.
type FileStatus struct {
	Version int64
	Name    string // of the file; empty when a newer release applied it and this one doesn't know it
	Applied bool

	// AppliedAt is the database's clock at the time. Zero while pending.
	AppliedAt time.Time

	// Changed says that the version is applied, but that this release's file for it isn't what was applied. Whenever it is
	// true for one, Status returns a [ChangedError] too.
	Changed bool
}

// Error says which migration failed. It wraps the server's error: errors.As with a *pgconn.PgError finds the SQLSTATE.
type Error struct {
	Version   int64
	Name      string // of the file
	Direction string // "up" or "down"
	Err       error
}

func (e *Error) Error() string {
	return fmt.Sprintf("migrations: %s %d (%s): %v", e.Direction, e.Version, e.Name, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ChangedError says that a version is applied, but not from the file that this release has for it: the file was edited or
// renumbered, or something that records no files applied it. What the schema is like is then unknown, so nothing is applied or undone.
// Where the data doesn't matter, make the database anew; else roll back with the release that applied the version.
type ChangedError struct {
	Version int64
	Name    string // of this release's file
	Digest  string // SHA-256 of this release's file, in hexadecimal

	AppliedName   string // of the file that was applied; empty if none is recorded
	AppliedDigest string
}

func (e *ChangedError) Error() string {
	switch {
	case e.AppliedDigest == "":
		return fmt.Sprintf("migrations: version %d is applied without a record of its file, so it may not be that of %s", e.Version, e.Name)
	case e.AppliedName != e.Name:
		return fmt.Sprintf("migrations: version %d was applied from %s, and here it is %s", e.Version, e.AppliedName, e.Name)
	default:
		return fmt.Sprintf("migrations: %s has changed since it was applied (SHA-256 %.12s…, then %.12s…)", e.Name, e.Digest, e.AppliedDigest)
	}
}

// Up applies the files that the database lacks, in order. It returns what it applied, nothing when the database was up to
// date, and on error what it had applied before that.
func Up(ctx context.Context, db *sql.DB, opts Options) ([]Result, error) {
	return UpTo(ctx, db, math.MaxInt64, opts)
}

// UpTo is [Up], but stops after version, which is 1 or greater.
func UpTo(ctx context.Context, db *sql.DB, version int64, opts Options) ([]Result, error) {
	m, err := newMigrator(db, FS, opts)
	if err != nil {
		return nil, err
	}
	return m.upTo(ctx, version)
}

// Down undoes the latest version that is applied, and the data in what it created with it. It returns nothing when no
// version is applied.
func Down(ctx context.Context, db *sql.DB, opts Options) ([]Result, error) {
	m, err := newMigrator(db, FS, opts)
	if err != nil {
		return nil, err
	}
	return m.down(ctx)
}

// DownTo undoes the versions above version, latest first; 0 undoes all. It returns what it undid, on error what it had
// undone before that.
func DownTo(ctx context.Context, db *sql.DB, version int64, opts Options) ([]Result, error) {
	m, err := newMigrator(db, FS, opts)
	if err != nil {
		return nil, err
	}
	return m.downTo(ctx, version)
}

// Status lists every file, and every version in the database that has none, by version. Like [Pending] it only reads. With
// a [ChangedError] the list is there all the same.
func Status(ctx context.Context, db *sql.DB, opts Options) ([]FileStatus, error) {
	m, err := newMigrator(db, FS, opts)
	if err != nil {
		return nil, err
	}
	return m.status(ctx)
}

// Pending reports whether a file is not applied. It takes no lock and writes nothing, so it suits a role which can only
// read; all it needs is SELECT on the version table, or no version table at all, which means that everything is pending.
// A database that is ahead of this release has nothing pending: a release runs on the schema of the next one. A database whose
// versions came from other files is a [ChangedError].
func Pending(ctx context.Context, db *sql.DB, opts Options) (bool, error) {
	m, err := newMigrator(db, FS, opts)
	if err != nil {
		return false, err
	}
	return m.pending(ctx)
}

// Version is the highest version applied, 0 when none is. Like [Pending] it only reads.
func Version(ctx context.Context, db *sql.DB, opts Options) (int64, error) {
	m, err := newMigrator(db, FS, opts)
	if err != nil {
		return 0, err
	}
	return m.version(ctx)
}

// identifier keeps table names free of quoting: goose writes them into its statements as they are.
var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$`)

// noTransaction finds the annotation by which goose runs a file outside a transaction.
var noTransaction = regexp.MustCompile(`(?i)^--\s*\+goose\s+NO TRANSACTION\s*$`)

type file struct {
	version       int64
	name          string
	digest        string // SHA-256, in hexadecimal
	noTransaction bool
}

// record is what the version table says of a version that is applied.
type record struct {
	at           time.Time
	name, digest string // of the file; empty if something else than this package applied it
}

type migrator struct {
	db    *sql.DB
	fsys  fs.FS
	opts  Options // with the defaults filled in
	files []file  // by version
}

func newMigrator(db *sql.DB, fsys fs.FS, opts Options) (*migrator, error) {
	opts.Table = cmp.Or(opts.Table, DefaultTable)
	opts.LockTimeout = cmp.Or(opts.LockTimeout, 5*time.Second)
	opts.LockWait = cmp.Or(opts.LockWait, 5*time.Minute)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if !identifier.MatchString(opts.Table) {
		return nil, fmt.Errorf("migrations: version table %q is not a plain lower-case identifier", opts.Table)
	}

	m := &migrator{db: db, fsys: fsys, opts: opts}
	provider, err := m.provider(db)
	if err != nil {
		return nil, err
	}
	for _, source := range provider.ListSources() {
		text, err := fs.ReadFile(fsys, source.Path)
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		digest := sha256.Sum256(text)
		m.files = append(m.files, file{
			version:       source.Version,
			name:          path.Base(source.Path),
			digest:        hex.EncodeToString(digest[:]),
			noTransaction: isWithoutTransaction(text),
		})
	}
	return m, nil
}

// isWithoutTransaction looks at comments alone, as the expression takes long on a whole file.
func isWithoutTransaction(text []byte) bool {
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("--")) && noTransaction.Match(line) {
			return true
		}
	}
	return false
}

func (m *migrator) provider(db *sql.DB, opts ...goose.ProviderOption) (*goose.Provider, error) {
	store, err := m.newStore()
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	opts = append(opts, goose.WithStore(store), goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider(goose.DialectCustom, db, m.fsys, opts...)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return provider, nil
}

// run is one call that changes the schema.
type run struct {
	*migrator
	goose   *goose.Provider
	session *session
	db      *sql.DB
	applied map[int64]record // as the run began
	results []Result
}

func (m *migrator) start(ctx context.Context) (*run, error) {
	db, err := dedicated(ctx, m.db)
	if err != nil {
		return nil, named(ofContext(ctx, err))
	}
	r := &run{
		migrator: m,
		db:       db,
		session: &session{
			lockTimeout: m.opts.LockTimeout,
			lockWait:    m.opts.LockWait,
			log:         m.opts.Logger,
			locked:      m.prepareTable,
		},
	}
	if r.goose, err = m.provider(db, goose.WithSessionLocker(r.session)); err != nil {
		r.close()
		return nil, err
	}
	if r.applied, err = m.applied(ctx, db); err == nil {
		err = m.compare(r.applied)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *run) close() { _ = r.db.Close() }

// read reads which versions are applied, on a connection that has the settings that it asked for.
func (m *migrator) read(ctx context.Context) (map[int64]record, error) {
	conn, err := connect(ctx, m.db)
	if err != nil {
		return nil, named(ofContext(ctx, err))
	}
	defer conn.Close()
	return m.applied(ctx, conn)
}

// named adds the package's name to an error that lacks it.
func named(err error) error {
	var pooler *PoolerError
	if errors.As(err, &pooler) {
		return pooler
	}
	return fmt.Errorf("migrations: %w", err)
}

// upTo hands goose one stretch of files after the other, each of transactional files only or of others only, because
// lock_timeout is a setting of the session and differs between them. Another run may get the lock in between; goose looks
// again at what is applied whenever it has the lock.
func (m *migrator) upTo(ctx context.Context, version int64) ([]Result, error) {
	if version < 1 {
		return nil, fmt.Errorf("migrations: up to version %d: it must be 1 or greater", version)
	}
	r, err := m.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()

	var pending []file
	for _, f := range m.files {
		if _, ok := r.applied[f.version]; !ok && f.version <= version {
			pending = append(pending, f)
		}
	}
	for i, f := range pending {
		if i+1 < len(pending) && pending[i+1].noTransaction == f.noTransaction {
			continue
		}
		r.session.noTransaction = f.noTransaction
		if err := r.collect(ctx)(r.goose.UpTo(ctx, f.version)); err != nil {
			return r.results, err
		}
	}
	return r.results, nil
}

func (m *migrator) down(ctx context.Context) ([]Result, error) {
	r, err := m.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	versions := slices.Sorted(maps.Keys(r.applied))
	switch n := len(versions); n {
	case 0:
		return nil, nil
	case 1:
		return r.downTo(ctx, 0)
	default:
		return r.downTo(ctx, versions[n-2])
	}
}

func (m *migrator) downTo(ctx context.Context, version int64) ([]Result, error) {
	if version < 0 {
		return nil, fmt.Errorf("migrations: down to version %d: it must be 0 or greater", version)
	}
	r, err := m.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.downTo(ctx, version)
}

// downTo undoes one version at a time, for the reason that upTo goes by stretches.
func (r *run) downTo(ctx context.Context, version int64) ([]Result, error) {
	versions := slices.Sorted(maps.Keys(r.applied))
	for i := len(versions) - 1; i >= 0 && versions[i] > version; i-- {
		target := version
		if i > 0 {
			target = max(target, versions[i-1])
		}
		j := slices.IndexFunc(r.files, func(f file) bool { return f.version == versions[i] })
		if j < 0 {
			return r.results, fmt.Errorf("migrations: down from version %d: this release has no file for it", versions[i])
		}
		r.session.noTransaction = r.files[j].noTransaction
		if err := r.collect(ctx)(r.goose.DownTo(ctx, target)); err != nil {
			return r.results, err
		}
	}
	return r.results, nil
}

// collect takes what goose answers: it keeps and logs what was done, and names the file in the error.
func (r *run) collect(ctx context.Context) func([]*goose.MigrationResult, error) error {
	return func(done []*goose.MigrationResult, err error) error {
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			done = partial.Applied
			err = &Error{
				Version:   partial.Failed.Source.Version,
				Name:      path.Base(partial.Failed.Source.Path),
				Direction: partial.Failed.Direction,
				Err:       ofContext(ctx, partial.Err),
			}
		} else if changed := (*ChangedError)(nil); errors.As(err, &changed) {
			err = changed
		} else if err != nil {
			err = fmt.Errorf("migrations: %w", ofContext(ctx, err))
		}
		for _, d := range done {
			result := Result{
				Version:   d.Source.Version,
				Name:      path.Base(d.Source.Path),
				Direction: d.Direction,
				Duration:  d.Duration,
				Empty:     d.Empty,
			}
			r.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "oauthdb: migrated "+result.Direction,
				slog.Int64("version", result.Version),
				slog.String("name", result.Name),
				slog.Duration("duration", result.Duration),
			)
			r.results = append(r.results, result)
		}
		return err
	}
}

// ofContext adds the context's error to err, where database/sql only says that the connection is bad.
func ofContext(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func (m *migrator) status(ctx context.Context) ([]FileStatus, error) {
	applied, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	statuses := make([]FileStatus, 0, len(m.files))
	for _, f := range m.files {
		r, ok := applied[f.version]
		statuses = append(statuses, FileStatus{
			Version: f.version, Name: f.name, Applied: ok, AppliedAt: r.at, Changed: ok && !f.is(r),
		})
	}
	for version, r := range applied {
		if !slices.ContainsFunc(m.files, func(f file) bool { return f.version == version }) {
			statuses = append(statuses, FileStatus{Version: version, Applied: true, AppliedAt: r.at})
		}
	}
	slices.SortFunc(statuses, func(a, b FileStatus) int { return cmp.Compare(a.Version, b.Version) })
	return statuses, m.compare(applied)
}

func (m *migrator) pending(ctx context.Context) (bool, error) {
	applied, err := m.read(ctx)
	if err == nil {
		err = m.compare(applied)
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(m.files, func(f file) bool {
		_, ok := applied[f.version]
		return !ok
	}), nil
}

func (m *migrator) version(ctx context.Context) (int64, error) {
	applied, err := m.read(ctx)
	if err != nil {
		return 0, err
	}
	var highest int64
	for version := range applied {
		highest = max(highest, version)
	}
	return highest, nil
}
