// Package pgbouncer starts a PgBouncer for a test, in front of the server that the test uses.
package pgbouncer

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/devdb"
)

// Options are what a test changes in the configuration.
type Options struct {
	// Mode is pool_mode. The default is transaction.
	Mode string

	// PoolSize is how many connections to the server there are for each database and user. The default is 20, as PgBouncer's.
	PoolSize int

	// Settings are further lines of the section [pgbouncer], such as ignore_startup_parameters.
	Settings map[string]string

	// Database is added to the entry of the database, such as connect_query='…'.
	Database string
}

// Start starts a PgBouncer that ends with the test, and returns address, a URL, by way of it. Where PgBouncer isn't installed
// the test is skipped, but never in CI.
func Start(t testing.TB, address string, o Options) string {
	t.Helper()
	const missing = "PgBouncer is not installed: apt install pgbouncer"
	program, err := find()
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(missing)
	} else if err != nil {
		t.Skip(missing)
	}
	for attempt := 1; ; attempt++ {
		through, err := start(t, program, address, o)
		if err == nil {
			return through
		}
		if attempt == 5 { // the port, which was free a moment ago, may be taken
			t.Fatalf("PgBouncer: %v", err)
		}
	}
}

// Tracks says whether the PgBouncer that is installed has track_extra_parameters: 1.20 has.
func Tracks() bool { return since(20) }

// Keeps says whether the PgBouncer that is installed has max_prepared_statements: 1.21 has.
func Keeps() bool { return since(21) }

func since(release int) bool {
	program, err := find()
	if err != nil {
		return false
	}
	out, err := exec.Command(program, "--version").Output()
	var major, minor int
	if _, scan := fmt.Sscanf(string(out), "PgBouncer %d.%d", &major, &minor); err != nil || scan != nil {
		return false
	}
	return major > 1 || minor >= release
}

func find() (string, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil { // Debian's is not on everybody's path
		program, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	return program, err
}

func start(t testing.TB, program, address string, o Options) (through string, err error) {
	server, err := pgconn.ParseConfig(address)
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "oauthdb-pgbouncer-")
	if err != nil {
		return "", err
	}
	stop := func() { os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			stop()
		} else {
			t.Cleanup(stop)
		}
	}()
	users := fmt.Sprintf("%q %q\n", server.User, server.Password)
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte(users), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "ini"), []byte(o.ini(server, port)), 0o600); err != nil {
		return "", err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	defer log.Close()

	// The shell reads until the test closes the pipe, or is gone, however it ends.
	cmd, err := devdb.Program(context.WithoutCancel(t.Context()), dir,
		"/bin/sh", "-c", `"$@" & read -r _; kill $!; wait $!`, "sh", program, "ini")
	if err != nil {
		return "", err
	}
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop = func() {
		stdin.Close()
		_ = cmd.Wait() // the shell's answer is that of the signal
		os.RemoveAll(dir)
	}

	text := ""
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		b, err := os.ReadFile(log.Name())
		if text = string(b); err != nil {
			return "", err
		}
		if strings.Contains(text, fmt.Sprintf("listening on 127.0.0.1:%d", port)) {
			break
		}
		if strings.Contains(text, "FATAL") || strings.Contains(text, "bind") || time.Now().After(deadline) {
			return "", fmt.Errorf("%s does not listen:\n%s", program, text)
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = fmt.Sprintf("127.0.0.1:%d", port), strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String(), nil
}

// ini is the configuration.
func (o Options) ini(server *pgconn.Config, port int) string {
	mode, size := o.Mode, o.PoolSize
	if mode == "" {
		mode = "transaction"
	}
	if size == 0 {
		size = 20
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[databases]\n* = host=%s port=%d %s\n\n[pgbouncer]\n", server.Host, server.Port, o.Database)
	for _, line := range []string{
		fmt.Sprintf("listen_port = %d", port),
		"listen_addr = 127.0.0.1",
		"unix_socket_dir =",
		"auth_type = md5", // of the client; the server may ask for SCRAM, as the file holds the password itself
		"auth_file = users",
		"pool_mode = " + mode,
		fmt.Sprintf("default_pool_size = %d", size),
		"max_client_conn = 500",
		"log_connections = 0",
		"log_disconnections = 0",
	} {
		b.WriteString(line + "\n")
	}
	for name, value := range o.Settings {
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	return b.String()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
