package dataset

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"

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

// Environment is what the figures depend on beside the code. What the machine says is known on Linux only.
type Environment struct {
	PostgreSQL string // version
	Go         string // version
	CPU        string // model
	CPUs       int
	Memory     int64             // bytes
	Settings   map[string]string // of the server that matter to the figures
	Transport  string            // "Unix socket", say
	Load       string            // the average before the run
}

// Environment is that of the server, and of the machine.
func (s *Server) Environment(ctx context.Context) (Environment, error) {
	e := Environment{Go: runtime.Version(), CPUs: runtime.NumCPU(), Transport: s.Transport, Settings: map[string]string{}}
	if fs, err := procfs.NewDefaultFS(); err == nil {
		if all, err := fs.CPUInfo(); err == nil && len(all) > 0 {
			e.CPU = all[0].ModelName
		}
		if load, err := fs.LoadAvg(); err == nil {
			e.Load = fmt.Sprintf("%.2f", load.Load1)
		}
		if m, err := fs.Meminfo(); err == nil && m.MemTotalBytes != nil && m.HugePagesTotal != nil && m.HugePagesFree != nil {
			e.Memory = int64(*m.MemTotalBytes)
			// vm.nr_hugepages: with gigabytes of shared memory and small pages, each connection spends more time on its page table than on its queries
			e.Settings["huge pages in use"] = map[bool]string{true: "yes", false: "no"}[*m.HugePagesTotal > *m.HugePagesFree]
		}
	}
	settings, err := s.texts(ctx, "postgres", `
		SELECT name || '=' || current_setting(name)
		FROM pg_settings
		WHERE name IN (
			'server_version', 'shared_buffers', 'work_mem', 'maintenance_work_mem', 'random_page_cost', 'max_wal_size', 'checkpoint_timeout',
			'autovacuum', 'jit', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_level', 'huge_pages'
		)`)
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		e.Settings[name] = value
	}
	e.PostgreSQL = e.Settings["server_version"]
	delete(e.Settings, "server_version")
	return e, err
}
