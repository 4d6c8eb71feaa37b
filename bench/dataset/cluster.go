package dataset

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/devdb"
)

// Server is the PostgreSQL that everything is measured on.
type Server struct {
	Transport string // "Unix socket", or "TCP" for a server of the caller's own
	HostPort  string // for a proxy

	base url.URL // of the database postgres, by way of Transport
}

// StartServer starts the cluster that is kept for benchmarks, or takes the server that DATABASE_URL names, which should then be
// there for that: the benchmark makes databases named bench_..., and resets statistics.
func StartServer(ctx context.Context, logf func(string, ...any)) (*Server, error) {
	c, err := devdb.Start(ctx, devdb.Options{Kind: devdb.Bench, Logf: logf})
	if err != nil {
		return nil, err
	}
	return ServerOf(c)
}

// ServerOf is the server of a cluster that is running.
func ServerOf(c *devdb.Cluster) (*Server, error) {
	s := &Server{}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("DATABASE_URL has to be of the form postgres://user:password@host:port/database")
	}
	s.base, s.Transport, s.HostPort = *u, "TCP", u.Host
	if c.SocketDir != "" {
		s.Transport = "Unix socket"
		s.base.Host = ""
		q := s.base.Query()
		q.Set("host", c.SocketDir)
		q.Set("port", strconv.Itoa(c.Port))
		s.base.RawQuery = q.Encode()
	}
	if s.base.RawQuery == "" { // callers add to it
		s.base.RawQuery = "sslmode=prefer"
	}
	return s, nil
}

// URL is the address of a database on the server, with a query.
func (s *Server) URL(database string) string {
	u := s.base
	u.Path = "/" + database
	return u.String()
}

// Via is the address of a database by way of a proxy at host:port.
func (s *Server) Via(proxy, database string) string {
	u := s.base
	u.Host, u.Path = proxy, "/"+database
	u.RawQuery = "sslmode=disable"
	return u.String()
}

// Connect opens one connection.
func (s *Server) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.URL(database))
}

// Settings are those of the server that matter to what is measured.
func (s *Server) Settings(ctx context.Context) (version string, settings map[string]string, err error) {
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		return "", nil, err
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&version); err != nil {
		return "", nil, err
	}
	settings = map[string]string{"huge pages in use": hugePages()}
	rows, err := conn.Query(ctx, `
		SELECT name, current_setting(name)
		FROM pg_settings
		WHERE name IN (
			'shared_buffers', 'work_mem', 'maintenance_work_mem', 'random_page_cost', 'max_wal_size', 'checkpoint_timeout', 'autovacuum',
			'jit', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_level', 'huge_pages'
		)
		ORDER BY name`)
	if err != nil {
		return "", nil, err
	}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		settings[name] = value
		return nil
	})
	return version, settings, err
}

// hugePages says whether the machine has given out huge pages (vm.nr_hugepages), which the server takes if there are any. With gigabytes
// of shared memory it should have them: with small pages each connection spends more time on its page table than on its queries.
func hugePages() string {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "unknown"
	}
	number := func(name string) (n int) {
		if _, rest, ok := strings.Cut(string(info), name+":"); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
		return n
	}
	if number("HugePages_Total") > number("HugePages_Free") {
		return "yes"
	}
	return "no"
}
