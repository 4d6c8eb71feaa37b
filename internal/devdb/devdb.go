package devdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Oldest is the oldest major version of PostgreSQL that devdb runs.
const Oldest = 15

// Kind names one of the clusters that devdb keeps for each major version.
type Kind string

const (
	// Dev is the cluster to work with: durable, in UTC.
	Dev Kind = "dev"
	// Test is the cluster for tests: fast, in an odd time zone, and lost if the machine
	// stops. Its databases are in memory where /dev/shm has 2 GiB to spare.
	Test Kind = "test"
	// Bench is the cluster to measure on: as durable as Dev, with a share of the machine's memory, and a Unix
	// socket too.
	Bench Kind = "bench"
)

// Options says which server is wanted. The zero value is the development cluster of
// the first PostgreSQL found.
type Options struct {
	// Kind is Dev when empty; for Stop, empty means all.
	Kind Kind

	// Major is the major version wanted, 15 or newer. Zero takes the environment
	// variable PG, and where that is empty the first installed version that will do. For
	// Stop, zero means every version and PG is not read.
	Major int

	// Database is the database that the URL names. It is created if need be, but never
	// in a server that DATABASE_URL points at, whose URL is returned as it is. Empty
	// means "postgres", the maintenance database.
	Database string

	// Dir is the folder that holds the clusters. Empty means .devdb in the repository,
	// or oauthdb in the user's cache directory when the working directory is not inside
	// the repository.
	Dir string

	// Logf hears what takes time: creating, fetching, starting. It may be nil.
	Logf func(format string, args ...any)

	getenv  func(string) string // os.Getenv when nil
	folders []string            // where programs are looked for besides PATH; the usual ones when nil
}

// URL returns the connection URL of a server that accepts connections, starting it if
// need be. The URL carries a password. The first call ever takes some seconds, a call
// that finds the cluster running some milliseconds. Without a deadline on ctx it gives
// up after two minutes; fetching programs may take ten more.
func URL(ctx context.Context, o Options) (string, error) {
	c, err := Start(ctx, o)
	if err != nil {
		return "", err
	}
	if o.Database == "" || c.External {
		return c.URL, nil
	}
	return EnsureDatabase(ctx, c.URL, o.Database)
}

// Start is URL for callers who want to know more about the server.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if u := o.env("DATABASE_URL"); u != "" {
		if _, err := pgx.ParseConfig(u); err != nil { // its message hides the password
			return nil, fmt.Errorf("reading DATABASE_URL: %w", err)
		}
		return &Cluster{URL: u, External: true}, nil
	}
	if o.Kind == "" {
		o.Kind = Dev
	}
	if o.Kind != Dev && o.Kind != Test && o.Kind != Bench {
		return nil, fmt.Errorf("devdb: no such kind of cluster: %q", o.Kind)
	}
	p, err := o.settle(ctx)
	if err != nil {
		return nil, err
	}
	progs, err := o.findPrograms(ctx, p)
	if err != nil {
		return nil, err
	}
	c := &Cluster{server: server{
		dir:      filepath.Join(p.dir, fmt.Sprintf("%d-%s", progs.major, o.Kind)),
		programs: progs,
		account:  p.account,
		durable:  o.Kind != Test,
		memory:   o.Kind == Test && haveMemory(),
		settings: settingsOf(o.Kind, progs.major),
		logf:     o.log,
	}}
	if o.Kind == Bench {
		c.SocketDir = c.server.dir
		c.server.settings = append(c.server.settings, setting{"unix_socket_directories", c.SocketDir})
	}
	unlock, err := lock(ctx, c.server.dir+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := c.ensure(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Stop stops the clusters that o selects and waits until they have ended. Stopping
// what does not run is no error. A server that DATABASE_URL points at is left alone.
func Stop(ctx context.Context, o Options) error {
	return o.each(ctx, func(s *server) error { return s.stop(ctx) })
}

// Remove stops every cluster and deletes the folder that holds them, with the
// programs fetched into it.
func Remove(ctx context.Context, o Options) error {
	o.Kind, o.Major = "", 0
	err := o.each(ctx, func(s *server) error {
		if err := s.stop(ctx); err != nil {
			return err
		}
		return s.destroy()
	})
	if err != nil {
		return fmt.Errorf("removing clusters: %w", err)
	}
	dirs, err := o.places()
	if err != nil {
		return err
	}
	var errs []error
	for i := len(dirs) - 1; i >= 0; i-- { // the folder with the pointers last
		errs = append(errs, os.RemoveAll(dirs[i]))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing clusters: %w", err)
	}
	return nil
}

// each calls do for every cluster that o selects, holding its lock.
func (o Options) each(ctx context.Context, do func(*server) error) error {
	dirs, err := o.places()
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(globEscape(dir), "[0-9]*-*", "data"))
		if err != nil {
			return err
		}
		for _, data := range found {
			s := &server{dir: filepath.Dir(data), logf: o.log}
			major, kind, _ := strings.Cut(filepath.Base(s.dir), "-")
			if o.Kind != "" && kind != string(o.Kind) || o.Major != 0 && major != fmt.Sprint(o.Major) {
				continue
			}
			unlock, err := lock(ctx, s.dir+".lock")
			if err != nil {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, do(s))
			unlock()
		}
	}
	return errors.Join(errs...)
}

// EnsureDatabase creates the database name on the server at rawURL if it is not there,
// and returns rawURL with that database in place of its own. The role in rawURL needs
// CREATEDB when there is something to create. rawURL has to be of the form
// postgres://user:password@host:port/database.
func EnsureDatabase(ctx context.Context, rawURL, name string) (string, error) {
	target, err := parseURL(rawURL)
	if err != nil {
		return "", fmt.Errorf("creating database %q: %w", name, err)
	}
	target.Path, target.RawPath = "/"+name, ""

	conn, err := pgx.Connect(ctx, rawURL)
	if err != nil {
		return "", fmt.Errorf("creating database %q: %w", name, err)
	}
	defer conn.Close(ctx)
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil {
		return "", fmt.Errorf("looking for database %q: %w", name, err)
	}
	if !exists {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
		// Somebody else may have created it since: PostgreSQL says so in one of two ways.
		if err != nil && !hasCode(err, "42P04") && !hasCode(err, "23505") {
			return "", fmt.Errorf("creating database %q: %w", name, err)
		}
	}
	return target.String(), nil
}

// parseURL parses a connection URL; unlike that of url.Parse, its error does not quote
// the URL, which carries a password.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("reading the connection URL: %w", err)
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("the connection string is not a URL (postgres://user:password@host:port/database)")
	}
	return u, nil
}

func hasCode(err error, sqlstate string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == sqlstate
}

func (o Options) env(name string) string {
	if o.getenv != nil {
		return o.getenv(name)
	}
	return os.Getenv(name)
}

func (o Options) log(format string, args ...any) {
	if o.Logf != nil {
		o.Logf(format, args...)
	}
}
