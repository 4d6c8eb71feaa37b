package devdb

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a server that accepted connections when it was returned. Its methods are
// not safe for concurrent use.
type Cluster struct {
	URL      string // of the database postgres, as the superuser postgres; carries a password
	External bool   // DATABASE_URL points at it: devdb knows only URL, and no method works

	Major   int    // 15, say
	Version string // 15.13, say
	BinDir  string // the folder of initdb, pg_ctl and postgres; not always of psql
	DataDir string
	LogFile string // what the server writes to stderr; not complete after a crash of the machine
	Port    int    // on 127.0.0.1
	PID     int    // of the postmaster

	SocketDir string // where its Unix socket is; a Bench cluster has one, the others none

	server server
}

// String names the cluster without its password.
func (c *Cluster) String() string {
	if c == nil {
		return "no PostgreSQL"
	}
	if c.External {
		return "the PostgreSQL of DATABASE_URL"
	}
	return fmt.Sprintf("PostgreSQL %s on 127.0.0.1:%d (pid %d, %s)", c.Version, c.Port, c.PID, c.DataDir)
}

// GoString keeps the password out of %#v.
func (c *Cluster) GoString() string { return c.String() }

// Stop ends the sessions and shuts the server down, waiting for its end. Stopping what
// does not run is no error.
func (c *Cluster) Stop(ctx context.Context) error {
	return c.locked(ctx, func() error { return c.server.stop(ctx) })
}

// Kill ends the server as the out-of-memory killer would, with SIGKILL to the
// postmaster and to all its children, and waits until none is left. What the server had
// given to the operating system survives, so this is not the loss of power.
func (c *Cluster) Kill(ctx context.Context) error {
	return c.locked(ctx, func() error { return c.server.kill(ctx) })
}

// Restart starts the server again after Stop or Kill, waits until it has recovered, and
// brings c up to date. The port stays the same unless somebody has taken it since. A
// server that runs is left alone.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.locked(ctx, func() error { return c.ensure(ctx) })
}

// Remove stops the server and deletes its directory.
func (c *Cluster) Remove(ctx context.Context) error {
	return c.locked(ctx, func() error {
		if err := c.server.stop(ctx); err != nil {
			return err
		}
		return c.server.destroy()
	})
}

func (c *Cluster) locked(ctx context.Context, do func() error) error {
	if c.External {
		return errors.New("devdb: the server of DATABASE_URL is not devdb's to stop or start")
	}
	unlock, err := lock(ctx, c.server.dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// ensure makes the server run and fills in c. The caller holds the lock.
func (c *Cluster) ensure(ctx context.Context) error {
	s := &c.server
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("no server after two minutes"))
		defer cancel()
	}
	pid, port, err := s.run(ctx)
	if err != nil {
		if ended := context.Cause(ctx); ended != nil && !errors.Is(err, ended) {
			err = fmt.Errorf("%w: %w", ended, err)
		}
		return fmt.Errorf("running PostgreSQL %s in %s: %w", s.programs.version, s.dir, err)
	}
	c.URL = s.url(port)
	c.Major, c.Version, c.BinDir = s.programs.major, s.programs.version, s.programs.dir
	c.DataDir, c.LogFile = s.data(), s.log()
	c.Port, c.PID = port, pid
	return nil
}

// server is a data directory with its log and its password, and how to run it.
type server struct {
	dir      string // holds data, log and state.json; belongs to account
	programs programs
	account  account
	durable  bool // initdb syncs what it writes
	private  bool
	memory   bool   // keeps its databases in memory
	source   string // the URL of the primary that it is a standby of, or empty
	settings []setting
	state    state
	logf     func(format string, args ...any)
}

// state is what devdb remembers of a cluster, in state.json.
type state struct {
	Password string `json:"password"`
	Port     int    `json:"port,omitempty"` // tried first at the next start
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }
func (s *server) log() string  { return filepath.Join(s.dir, "log") }

func (s *server) address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (s *server) url(port int) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", s.state.Password),
		Host:     s.address(port),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// run makes the server accept connections, whatever it finds.
func (s *server) run(ctx context.Context) (pid, port int, err error) {
	if _, err := os.Stat(filepath.Join(s.data(), "base")); errors.Is(err, os.ErrNotExist) {
		if err := s.create(ctx); err != nil {
			return 0, 0, fmt.Errorf("creating the cluster: %w", err)
		}
	}
	if err := s.remember(); err != nil {
		return 0, 0, err
	}
	for busy, blank := 0, 0; ; {
		pm, err := readPostmaster(s.data())
		if err != nil {
			return 0, 0, err
		}
		if pm.running(s.data()) {
			err := s.ping(ctx, pm.port)
			if err == nil {
				return pm.pid, pm.port, nil
			}
			if hasCode(err, "28P01") {
				return 0, 0, fmt.Errorf("the server does not take the password in %s: %w", s.dir, err)
			}
			// Starting, recovering or shutting down.
			if perr := pause(ctx, 50*time.Millisecond); perr != nil {
				return 0, 0, fmt.Errorf("the server (pid %d, log in %s) does not accept connections: %w: %w", pm.pid, s.log(), perr, err)
			}
			continue
		}
		if pm.exists && pm.pid == 0 {
			// It is being written, or was when the machine crashed.
			if blank++; blank < 10 {
				if err := pause(ctx, 50*time.Millisecond); err != nil {
					return 0, 0, err
				}
				continue
			}
			if err := os.Remove(filepath.Join(s.data(), "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
				return 0, 0, err
			}
		}
		if pm.pid != 0 {
			if err := pm.disown(s); err != nil {
				return 0, 0, fmt.Errorf("clearing up after a server that was killed: %w", err)
			}
		}
		// Clients know the old port. What occupies it may be the last of their connections.
		port := s.state.Port
		if port == 0 || busy > 3 {
			if port, err = freePort(ctx); err != nil {
				return 0, 0, err
			}
		}
		why, err := s.launch(ctx, port)
		switch {
		case err == nil:
			if port != s.state.Port {
				s.state.Port = port
				if err := s.writeState(s.dir); err != nil {
					return 0, 0, err
				}
			}
			continue // the next round connects
		case strings.Contains(why, "in use"), strings.Contains(why, "could not create any TCP/IP sockets"):
			// The port, or the shared memory of a killed postmaster whose children live on.
			if strings.Contains(why, "shared memory") {
				killOrphans(s.data())
			} else if busy++; busy > 10 {
				return 0, 0, err
			}
		case strings.Contains(why, "lock file"):
			// Its owner shows up in the next round.
		default:
			if now, perr := readPostmaster(s.data()); perr != nil || !now.running(s.data()) {
				return 0, 0, err
			}
			// It is only slow.
		}
		if perr := pause(ctx, 100*time.Millisecond); perr != nil {
			return 0, 0, fmt.Errorf("%w: %w", perr, err)
		}
	}
}

// create makes the cluster in a directory beside s.dir and moves it into place when it
// is complete, so a crash leaves nothing that looks like a cluster.
func (s *server) create(ctx context.Context) (err error) {
	parent, name := filepath.Split(s.dir)
	left, _ := filepath.Glob(filepath.Join(globEscape(parent), ".new-"+name+"-*"))
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	// What is there lacks its databases, such as after a restart of the machine when they
	// were in memory.
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	s.logf("creating a PostgreSQL %s cluster in %s", s.programs.version, s.dir)
	if s.source == "" {
		s.state = state{Password: rand.Text()}
	}
	dir := filepath.Join(parent, ".new-"+name+"-"+rand.Text()[:8])
	if err := s.account.mkdir(dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	build := s.initdb
	if s.source != "" {
		build = s.copySource
	}
	if err := build(ctx, dir); err != nil {
		return err
	}
	if s.memory {
		if err := s.moveToMemory(ctx, dir); err != nil {
			s.logf("keeping the databases on disk: %v", err)
		}
	}
	if err := s.writeState(dir); err != nil {
		return err
	}
	return os.Rename(dir, s.dir)
}

// destroy deletes the server's directory and all that belongs to it.
func (s *server) destroy() error {
	var errs []error
	if _, err := os.Readlink(filepath.Join(s.data(), "base")); err == nil {
		errs = append(errs, os.RemoveAll(s.inMemory()))
	}
	dir := s.dir
	if s.private {
		dir = filepath.Dir(dir)
	}
	if err := errors.Join(append(errs, os.RemoveAll(dir))...); err != nil {
		return fmt.Errorf("removing the cluster in %s: %w", s.dir, err)
	}
	return nil
}

func (s *server) initdb(ctx context.Context, dir string) error {
	pwfile := filepath.Join(dir, "password")
	if err := s.account.replace(pwfile, []byte(s.state.Password+"\n")); err != nil {
		return err
	}
	defer os.Remove(pwfile)

	args := []string{"-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile=password", "--encoding=UTF8"}
	if !s.durable {
		args = append(args, "--no-sync")
	}
	for _, set := range s.settings {
		if set.name == "scram_iterations" { // counts when the password is stored
			args = append(args, "--set", set.name+"="+set.value)
		}
	}
	// Some systems lack the locale.
	var out []byte
	var err error
	for _, locale := range []string{"--locale=C.UTF-8", "--no-locale"} {
		out, err = s.account.command(ctx, dir, filepath.Join(s.programs.dir, "initdb"), append(args, locale)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "locale") {
			break
		}
		// initdb has deleted the directory again.
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}

	data := filepath.Join(dir, "data")
	conf, err := os.ReadFile(filepath.Join(data, "postgresql.conf"))
	if err != nil {
		return err
	}
	conf = append(conf, "\ninclude = 'devdb.conf'\n"...)
	if err := s.account.replace(filepath.Join(data, "postgresql.conf"), conf); err != nil {
		return err
	}
	hba := "local all all scram-sha-256\nhost all         all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
	return s.account.replace(filepath.Join(data, "pg_hba.conf"), []byte(hba))
}

func (s *server) writeState(dir string) error {
	b, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	if err := s.account.replace(filepath.Join(dir, "state.json"), append(b, '\n')); err != nil {
		return fmt.Errorf("storing the cluster's password: %w", err)
	}
	return nil
}

func (s *server) remember() error {
	b, err := os.ReadFile(filepath.Join(s.dir, "state.json"))
	if err == nil {
		err = json.Unmarshal(b, &s.state)
	}
	if err == nil && s.state.Password == "" {
		err = errors.New("no password in it")
	}
	if err != nil {
		return fmt.Errorf("reading the cluster's password: %w (remove %s to start over)", err, s.dir)
	}
	return nil
}

// launch starts the server and waits until it is ready. When that fails, why is what
// the server said.
func (s *server) launch(ctx context.Context, port int) (why string, err error) {
	if err := s.account.replace(filepath.Join(s.data(), "devdb.conf"), render(s.settings)); err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	before := int64(0)
	if fi, err := os.Stat(s.log()); err == nil {
		before = fi.Size()
	}
	if before > 32<<20 {
		if err := os.Remove(s.log()); err != nil {
			return "", err
		}
		before = 0
	}
	s.logf("starting PostgreSQL %s in %s", s.programs.version, s.dir)
	// pg_ctl detaches the server from this process, its terminal and its output. Relative
	// paths, because pg_ctl quotes them for a shell, and not well.
	cmd := s.account.command(ctx, s.dir, filepath.Join(s.programs.dir, "pg_ctl"),
		"start", "--silent", "--wait", "--timeout=60", "-D", "data", "-l", "log", "-o", "-p "+strconv.Itoa(port))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "", nil
	}
	why = string(out) + tail(s.log(), before)
	return why, fmt.Errorf("pg_ctl start: %w: %s", err, strings.TrimSpace(why))
}

// tail is what has been written to the file since it had the size from, or the end of
// it.
func tail(file string, from int64) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size()-from > 4096 {
		from = fi.Size() - 4096
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(f, 4096))
	return string(b)
}

// ping connects once.
func (s *server) ping(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url(port))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// freePort returns a port on 127.0.0.1 that nobody listens on at this moment.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// stop shuts the server down.
func (s *server) stop(ctx context.Context) error {
	pm, err := readPostmaster(s.data())
	if err != nil || !pm.running(s.data()) {
		return err
	}
	s.logf("stopping PostgreSQL in %s", s.dir)
	patient, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if !signal(pm.pid, sigFast) && pm.running(s.data()) {
		return fmt.Errorf("stopping PostgreSQL in %s: not allowed to signal its process %d", s.dir, pm.pid)
	}
	err = pm.gone(patient, s.data())
	if err != nil && ctx.Err() == nil {
		signal(pm.pid, sigCrash)
		err = pm.gone(ctx, s.data())
	}
	if err != nil {
		return fmt.Errorf("stopping PostgreSQL in %s (pid %d): %w", s.dir, pm.pid, err)
	}
	return nil
}

// kill ends the postmaster and its children without warning.
func (s *server) kill(ctx context.Context) error {
	pm, err := readPostmaster(s.data())
	if err != nil || !pm.running(s.data()) {
		return err
	}
	if err := KillTree(ctx, pm.pid); err != nil {
		return fmt.Errorf("killing PostgreSQL in %s: %w", s.dir, err)
	}
	return nil
}
