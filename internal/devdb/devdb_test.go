//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package devdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/leak"
)

// The test binary plays another process of the same clone when this is set.
const helperDir = "DEVDB_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		c, err := Start(context.Background(), Options{Kind: Test, Dir: dir})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(c.PID, c.DataDir)
		os.Exit(0)
	}
	leak.Main(m)
}

// private returns options whose clusters stand in a folder of the test's own, and are
// removed at its end. No server of the caller's counts.
func private(t *testing.T) Options {
	t.Helper()
	root := openDir(t)
	o := Options{
		Kind:   Test,
		Dir:    filepath.Join(root, ".devdb"),
		Logf:   t.Logf,
		getenv: without("DATABASE_URL"),
	}
	cleanup(t, o)
	// What has been fetched for the repository need not be fetched for each test.
	must(t, os.Mkdir(o.Dir, 0o755))
	shared := filepath.Join(repository(), ".devdb", npm.folder)
	if _, err := os.Stat(shared); err == nil {
		must(t, os.Symlink(shared, filepath.Join(o.Dir, npm.folder)))
	}
	return o
}

func cleanup(t *testing.T, o Options) {
	t.Cleanup(func() {
		if err := Remove(context.Background(), o); err != nil {
			t.Error(err)
		}
	})
}

// openDir is a temporary directory that every user can reach, as that of t.TempDir is
// not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "devdb-test-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func without(names ...string) func(string) string {
	return func(name string) string {
		for _, n := range names {
			if n == name {
				return ""
			}
		}
		return os.Getenv(name)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), o)
	must(t, err)
	return c
}

func query[T any](t *testing.T, url, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	var v T
	must(t, conn.QueryRow(t.Context(), sql, args...).Scan(&v))
	return v
}

// expectGone checks that a process has ended.
func expectGone(t *testing.T, pid int) {
	t.Helper()
	if alive(pid) {
		t.Errorf("process %d is alive", pid)
	}
}

func TestASecondCallReusesTheCluster(t *testing.T) {
	t.Parallel()
	o := private(t)
	first := start(t, o)
	if again := start(t, o); again.PID != first.PID || again.URL != first.URL {
		t.Errorf("got %v, then %v", first, again)
	}

	t.Run("a test cluster is fast and in an odd time zone", func(t *testing.T) {
		for name, want := range map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "server_encoding": "UTF8",
			"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "TimeZone": "Asia/Kathmandu",
		} {
			if got := query[string](t, first.URL, "SELECT current_setting($1)", name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})

	t.Run("nobody gets in without the password", func(t *testing.T) {
		cfg, err := pgx.ParseConfig(first.URL)
		must(t, err)
		cfg.Password = "guess"
		if conn, err := pgx.ConnectConfig(t.Context(), cfg); !hasCode(err, "28P01") {
			t.Errorf("got %v, %v", conn, err)
		}
		fi, err := os.Stat(filepath.Join(filepath.Dir(first.DataDir), "state.json"))
		must(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("the password is kept with mode %v", fi.Mode())
		}
		password := first.server.state.Password
		if s := fmt.Sprintf("%v %+v %#v", first, first, first); strings.Contains(s, password) {
			t.Errorf("the password is printed: %s", s)
		}
	})

	t.Run("the database asked for is created once", func(t *testing.T) {
		o := o
		o.Database = `odd "name"`
		for range 2 {
			u, err := URL(t.Context(), o)
			must(t, err)
			if got := query[string](t, u, "SELECT current_database()::text"); got != o.Database {
				t.Errorf("connected to %q", got)
			}
		}
	})

	t.Run("it keeps its data and its port when it is stopped and started", func(t *testing.T) {
		must(t, Stop(t.Context(), o))
		expectGone(t, first.PID)
		must(t, Stop(t.Context(), o)) // no error
		again := start(t, o)
		if again.PID == first.PID || again.URL != first.URL {
			t.Errorf("got %v, then %v", first, again)
		}
		if !query[bool](t, again.URL, "SELECT EXISTS (SELECT FROM pg_database WHERE datname LIKE 'odd%')") {
			t.Error("the database is gone")
		}
	})

	t.Run("stop leaves other kinds alone", func(t *testing.T) {
		other := o
		other.Kind = Dev
		must(t, Stop(t.Context(), other))
		if now := start(t, o); !alive(now.PID) {
			t.Error("stopped")
		}
	})
}

func TestATestClusterThatLostItsMemoryIsReplaced(t *testing.T) {
	if !haveMemory() {
		t.Skip("the databases are kept on disk here")
	}
	t.Parallel()
	o := private(t)
	c := start(t, o)
	memory := c.server.inMemory()
	base, err := os.Readlink(filepath.Join(c.DataDir, "base"))
	if err != nil || base != filepath.Join(memory, "base") {
		t.Fatalf("the databases stand in %q: %v", base, err)
	}
	must(t, Stop(t.Context(), o))
	must(t, os.RemoveAll(memory)) // as a restart of the machine does
	again := start(t, o)
	if again.URL == c.URL {
		t.Error("the same password in a new cluster")
	}
	must(t, again.Stop(t.Context()))

	// Whoever deletes the folder by hand leaves the memory to the next creation.
	must(t, os.RemoveAll(filepath.Dir(c.DataDir)))
	sweepMemory()
	if _, err := os.Stat(memory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", memory, err)
	}
	start(t, o)
	must(t, Remove(t.Context(), o))
	if _, err := os.Stat(memory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", memory, err)
	}
}

func TestADevelopmentClusterIsDurable(t *testing.T) {
	t.Parallel()
	o := private(t)
	o.Kind = Dev
	c := start(t, o)
	for name, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "TimeZone": "UTC",
	} {
		if got := query[string](t, c.URL, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestProcessesThatStartTogetherShareOneCluster(t *testing.T) {
	t.Parallel()
	o := private(t)
	var cmds []*exec.Cmd
	var outs []*bytes.Buffer
	for range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helperDir+"="+o.Dir, "DATABASE_URL=")
		out := new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		cmds, outs = append(cmds, cmd), append(outs, out)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, outs[i])
		} else if outs[i].String() != outs[0].String() {
			t.Errorf("one got %s, another %s", outs[0], outs[i])
		}
	}
	left, _ := filepath.Glob(filepath.Join(o.Dir, ".*"))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestAKilledPostmasterIsReplaced(t *testing.T) {
	t.Parallel()
	o := private(t)
	c := start(t, o)

	// A backend that notices nothing while it computes holds the shared memory.
	conn, err := pgx.Connect(t.Context(), c.URL)
	must(t, err)
	busy := conn.PgConn().PID()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT count(*) FROM generate_series(1, 10000000000) AS g")
		done <- err
	}()
	time.Sleep(50 * time.Millisecond)

	must(t, syscall.Kill(c.PID, syscall.SIGKILL))
	again := start(t, o)
	if again.PID == c.PID {
		t.Errorf("still process %d", c.PID)
	}
	if err := <-done; err == nil {
		t.Error("the query ended well")
	}
	expectGone(t, int(busy))
}

func TestAStalePidFileIsNoObstacle(t *testing.T) {
	t.Parallel()
	o := private(t)
	c := start(t, o)
	must(t, Stop(t.Context(), o))
	file := filepath.Join(c.DataDir, "postmaster.pid")
	tail := "\n" + c.DataDir + "\n1700000000\n" + strconv.Itoa(c.Port) + "\n\n127.0.0.1\n  1234567         7\nready   \n"

	// A process of the same user's, to which PostgreSQL would defer.
	sleep := c.server.account.command(t.Context(), "/", "sleep", "60")
	must(t, sleep.Start())
	defer func() {
		sleep.Process.Kill()
		sleep.Wait()
	}()
	// By its name a PostgreSQL, but not the one of this cluster.
	program, err := exec.LookPath("sleep")
	must(t, err)
	content, err := os.ReadFile(program)
	must(t, err)
	program = filepath.Join(openDir(t), "postgres")
	must(t, os.WriteFile(program, content, 0o755))
	other := c.server.account.command(t.Context(), "/", program, "60")
	must(t, other.Start())
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	zombie := c.server.account.command(t.Context(), "/", "true")
	must(t, zombie.Start())
	defer zombie.Wait()
	for nameOf(zombie.Process.Pid) != "" && alive(zombie.Process.Pid) {
		time.Sleep(time.Millisecond)
	}

	for what, content := range map[string]string{
		"another PostgreSQL":   strconv.Itoa(other.Process.Pid) + tail,
		"another program":      strconv.Itoa(sleep.Process.Pid) + tail,
		"dead, not reaped":     strconv.Itoa(zombie.Process.Pid) + tail,
		"dead":                 "2147483646" + tail,
		"empty, after a crash": "",
	} {
		must(t, c.server.account.replace(file, []byte(content)))
		must(t, Stop(t.Context(), o)) // nothing that is its own
		if again := start(t, o); again.PID == sleep.Process.Pid || again.PID == other.Process.Pid {
			t.Errorf("%s: taken for the server", what)
		}
		must(t, Stop(t.Context(), o))
	}
	if !alive(sleep.Process.Pid) || !alive(other.Process.Pid) {
		t.Error("a process that isn't the server was ended")
	}
}

func TestAnInterruptedCreationIsRepeated(t *testing.T) {
	t.Parallel()
	o := private(t)
	p, err := o.settle(t.Context())
	must(t, err)
	progs, err := o.findPrograms(t.Context(), p)
	must(t, err)
	name := fmt.Sprintf("%d-%s", progs.major, o.Kind)
	for _, dir := range []string{".new-" + name + "-ABC/data", name} {
		must(t, os.MkdirAll(filepath.Join(o.Dir, dir), 0o700))
	}
	start(t, o)
	if left, _ := filepath.Glob(filepath.Join(o.Dir, ".new*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestATakenPortIsGivenUp(t *testing.T) {
	t.Parallel()
	o := private(t)
	c := start(t, o)
	must(t, Stop(t.Context(), o))
	l, err := net.Listen("tcp", c.server.address(c.Port))
	must(t, err)
	defer l.Close()
	if again := start(t, o); again.Port == c.Port {
		t.Errorf("still on port %d", c.Port)
	}
}

func TestDatabaseURLComesFirst(t *testing.T) {
	t.Parallel()
	const given = "postgres://someone:secret@db.example:6543/theirs?sslmode=require"
	dir := filepath.Join(t.TempDir(), ".devdb")
	o := Options{Kind: Test, Dir: dir, Database: "ignored", getenv: func(name string) string {
		return map[string]string{"DATABASE_URL": given, "PG": "nonsense"}[name]
	}}
	u, err := URL(t.Context(), o)
	if err != nil || u != given {
		t.Errorf("got %q, %v", u, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was made: %v", dir, err)
	}
	c, err := Start(t.Context(), o)
	must(t, err)
	if err := c.Kill(t.Context()); err == nil {
		t.Error("somebody else's server can be killed")
	}

	o.getenv = func(string) string { return "postgres://someone:secret@host:port/" }
	if _, err := URL(t.Context(), o); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsHideThePassword(t *testing.T) {
	t.Parallel()
	for _, u := range []string{
		"postgres://someone:secret@host:port/", "postgres://someone:secret%zz@host/", "mysql://someone:secret@host/",
		"user=someone password=secret", "postgres://someone:secret@127.0.0.1:1/",
	} {
		if _, err := EnsureDatabase(t.Context(), u, "name"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}

func TestWithoutProgramsTheErrorSaysWhatToDo(t *testing.T) {
	bin := t.TempDir()
	fake := "#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n"
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte(fake), 0o755))
	}
	must(t, os.Chmod(filepath.Dir(bin), 0o755))
	t.Setenv("PATH", bin) // no npm, no go
	o := Options{Kind: Test, Dir: filepath.Join(openDir(t), ".devdb"), folders: []string{"/nonexistent/*"}, getenv: without("DATABASE_URL", "PG")}
	_, err := URL(t.Context(), o)
	if !errors.Is(err, ErrNoPostgres) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"13.4 is older than 15", "npm", "embedded-postgres", "apt install", "dnf install", "brew install", "DATABASE_URL", "PG=18"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in the message:\n%v", want, err)
		}
	}
	t.Log(err)

	o.Major = 17
	if _, err := URL(t.Context(), o); err == nil || !strings.Contains(err.Error(), "version 17 is not installed") {
		t.Errorf("got %v", err)
	}
}

func TestAVersionIsAskedForByNumber(t *testing.T) {
	t.Parallel()
	for pg, want := range map[string]int{"": 0, "18": 18, "16.4": 16, "14": -1, "new": -1, "-3": -1} {
		got, err := Options{getenv: func(string) string { return pg }}.majorWanted()
		if want == -1 && err == nil || want != -1 && (err != nil || got != want) {
			t.Errorf("PG=%s: got %d, %v", pg, got, err)
		}
	}
	if got, err := (Options{Major: 17, getenv: func(string) string { return "18" }}).majorWanted(); got != 17 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestVersionsAreRead(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]string{
		"postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n": "15 15.13",
		"postgres (PostgreSQL) 18.4\n":                           "18 18.4",
		"postgres (PostgreSQL) 19beta1":                          "19 19beta1",
		"postgres (PostgreSQL) 20devel":                          "20 20devel",
		"postgres (PostgreSQL) 9.6.24":                           "9 9.6.24",
	} {
		major, version, err := parseVersion(out)
		if got := fmt.Sprint(major, " ", version); got != want || err != nil {
			t.Errorf("%q: got %s, %v", out, got, err)
		}
	}
	if _, _, err := parseVersion("bash: no such thing"); err == nil {
		t.Error("nonsense was read as a version")
	}
}

func TestTheNewestPackageOfAMajorVersionIsTaken(t *testing.T) {
	t.Parallel()
	list := []byte(`["17.10.0-beta.17", "18.9.0-beta.9", "18.10.0-beta.9", "18.10.0-beta.16", "18.2.0", "19.0.0-beta.1"]`)
	for major, want := range map[int]string{17: "17.10.0-beta.17", 18: "18.10.0-beta.16", 19: "19.0.0-beta.1"} {
		if got, err := newest(list, major); got != want || err != nil {
			t.Errorf("%d: got %s, %v", major, got, err)
		}
	}
	if got, err := newest([]byte(`["18.2.0-beta.3", "18.2.0", "18.1.0"]`), 18); got != "18.2.0" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := newest([]byte(`"18.2.0"`), 18); got != "18.2.0" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	for _, bad := range []string{`["16.1.0"]`, `{}`, ``} {
		if got, err := newest([]byte(bad), 18); err == nil {
			t.Errorf("%s: got %s", bad, got)
		}
	}
}

func TestNewerInstalledProgramsComeFirst(t *testing.T) {
	t.Parallel()
	root := openDir(t)
	for _, v := range []string{"9", "15", "18", "16"} {
		bin := filepath.Join(root, v, "bin")
		must(t, os.MkdirAll(bin, 0o755))
		for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
			script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s.1'\n", v)
			must(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
		}
	}
	must(t, os.Remove(filepath.Join(root, "18", "bin", "initdb"))) // a client's package
	a, err := serverAccount()
	must(t, err)
	o := Options{folders: []string{filepath.Join(root, "*", "bin")}, getenv: func(string) string { return "" }}
	var tried attempts
	for major, want := range map[int]int{0: 16, 15: 15, 16: 16, 18: 0, 17: 0} {
		if got, _ := o.installed(t.Context(), a, major, &tried); got.major != want {
			t.Errorf("asked for %d: got %d, want %d (%v)", major, got.major, want, tried)
		}
	}

	path := filepath.Join(root, "15", "bin")
	o.getenv = func(name string) string { return map[string]string{"PATH": path}[name] }
	if got, _ := o.installed(t.Context(), a, 0, &tried); got.major != 15 {
		t.Errorf("PATH holds 15, got %d", got.major)
	}
}

func TestFetchedProgramsAreThereInFullOrNotAtAll(t *testing.T) {
	t.Parallel()
	o := private(t)
	p, err := o.settle(t.Context())
	must(t, err)
	calls := 0
	fail := errors.New("no network")
	src := source{name: "fake", folder: "fake", bin: "bin", install: func(_ context.Context, dir string, major int) error {
		calls++
		must(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
		for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
			script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %d.1'\n", major)
			must(t, os.WriteFile(filepath.Join(dir, "bin", name), []byte(script), 0o700))
		}
		return fail
	}}
	if _, err := src.fetch(t.Context(), o, p, 42); !errors.Is(err, fail) {
		t.Errorf("got %v", err)
	}
	if got, ok := src.fetched(t.Context(), p, 42); ok {
		t.Errorf("half of it counts: %v", got)
	}
	fail = nil
	for range 2 {
		if got, err := src.fetch(t.Context(), o, p, 42); err != nil || got.major != 42 {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if calls != 2 {
		t.Errorf("installed %d times, want once in vain and once", calls)
	}
}

func TestTheRepositoryIsFoundFromBelow(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "adapters", "x", "y")
	must(t, os.MkdirAll(deep, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("// comment\nmodule "+module+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "adapters", "x", "go.mod"), []byte("module "+module+"/adapters/x\n"), 0o600))
	t.Chdir(deep)
	want, err := filepath.EvalSymlinks(dir)
	must(t, err)
	if got, err := (Options{}).home(); err != nil || got != filepath.Join(want, ".devdb") {
		t.Errorf("got %s, %v", got, err)
	}
	other := t.TempDir()
	t.Setenv("HOME", other)
	t.Setenv("XDG_CACHE_HOME", "")
	t.Chdir(other)
	cache, err := os.UserCacheDir()
	must(t, err)
	if got, err := (Options{}).home(); err != nil || filepath.Base(got) != "oauthdb" || !strings.HasPrefix(cache, other) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestRootKeepsClustersElsewhereWhenTheFolderIsOutOfReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root starts servers as another user")
	}
	t.Parallel()
	closed := t.TempDir()
	must(t, os.Chmod(filepath.Dir(closed), 0o700))
	o := Options{Kind: Test, Dir: filepath.Join(closed, ".devdb"), Logf: t.Logf, getenv: without("DATABASE_URL", "PG")}
	cleanup(t, o)
	c := start(t, o)
	away := elsewhere(o.Dir)
	if !strings.HasPrefix(c.DataDir, away+"/") {
		t.Errorf("the cluster stands in %s", c.DataDir)
	}
	if fi, err := os.Stat(away); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", away, fi.Mode(), err)
	}
	if b, err := os.ReadFile(filepath.Join(o.Dir, "elsewhere-0")); err != nil || string(b) != away+"\n" {
		t.Errorf("the folder points at %q: %v", b, err)
	}
	if again := start(t, o); again.PID != c.PID {
		t.Errorf("got %v, then %v", c, again)
	}
	must(t, Remove(t.Context(), o))
	expectGone(t, c.PID)
	for _, dir := range []string{away, o.Dir} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}

func TestADirectoryThatSomebodyElseMadeIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a directory away")
	}
	t.Parallel()
	closed := t.TempDir()
	must(t, os.Chmod(filepath.Dir(closed), 0o700))
	o := Options{Dir: filepath.Join(closed, ".devdb")}
	away := elsewhere(o.Dir)
	must(t, os.Mkdir(away, 0o700))
	defer os.Remove(away)
	must(t, os.Lchown(away, 4242, 4242))
	if p, err := o.settle(t.Context()); err == nil || !strings.Contains(err.Error(), away) {
		t.Errorf("got %v, %v", p, err)
	}
	must(t, os.Remove(away))
	must(t, os.Symlink("/tmp", away))
	if p, err := o.settle(t.Context()); err == nil {
		t.Errorf("a link is followed: %v", p)
	}
}

func TestRootAndAnotherUserShareAClone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	t.Parallel()
	// The other user can run this binary only where every user can reach it.
	dir := openDir(t)
	binary := filepath.Join(dir, "devdb.test")
	must(t, copyFile(os.Args[0], binary))
	other := account{uid: 4243, gid: 4243, other: true}
	asOther := func(devdbDir string) (out string, err error) {
		cmd := other.command(t.Context(), "/", binary)
		cmd.Env = append(cmd.Env, helperDir+"="+devdbDir, "DATABASE_URL=", "PG=")
		b, err := cmd.CombinedOutput()
		return string(b), err
	}

	t.Run("root first", func(t *testing.T) {
		o := Options{Kind: Test, Dir: filepath.Join(dir, ".devdb"), getenv: without("DATABASE_URL", "PG")}
		cleanup(t, o)
		c := start(t, o)
		// initdb wants a name for the user, which uid 4243 need not have: what matters is where.
		out, _ := asOther(o.Dir)
		away := elsewhereOf(o.Dir, "4243")
		t.Cleanup(func() { os.RemoveAll(away) })
		if _, err := os.Stat(away); err != nil {
			t.Errorf("the other user's directory: %v: %s", err, out)
		}
		if strings.Contains(out, strconv.Itoa(c.PID)) {
			t.Errorf("the other user got root's server: %s", out)
		}
	})

	t.Run("root second", func(t *testing.T) {
		o := Options{Kind: Test, Dir: filepath.Join(dir, "theirs", ".devdb"), getenv: without("DATABASE_URL", "PG")}
		cleanup(t, o)
		for _, d := range []string{filepath.Dir(o.Dir), o.Dir} {
			must(t, os.Mkdir(d, 0o700))
			must(t, os.Lchown(d, other.uid, other.gid))
		}
		c := start(t, o)
		if !strings.HasPrefix(c.DataDir, elsewhere(o.Dir)) {
			t.Errorf("root's cluster stands in %s", c.DataDir)
		}
	})
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), file)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, file); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	unlock()
	unlock, err = lock(t.Context(), file)
	must(t, err)
	must(t, os.Remove(file)) // as Remove does
	unlock()
	unlock, err = lock(t.Context(), file)
	must(t, err)
	unlock()
}

func TestAPrivateClusterSurvivesBeingKilled(t *testing.T) {
	t.Parallel()
	c, err := StartPrivate(t.Context(), PrivateOptions{
		Dir:      openDir(t),
		Settings: map[string]string{"max_connections": "17", "application_name": "it's"},
	})
	must(t, err)
	defer func() {
		dir := filepath.Dir(filepath.Dir(c.DataDir))
		must(t, c.Remove(context.Background()))
		expectGone(t, c.PID)
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}()
	for name, want := range map[string]string{"fsync": "on", "max_connections": "17"} {
		if got := query[string](t, c.URL, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	conn, err := pgx.Connect(t.Context(), c.URL)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 42 AS n")
	must(t, err)

	url, pid := c.URL, c.PID
	family := append(children(pid), pid)
	if len(family) < 5 {
		t.Errorf("only %v", family)
	}
	must(t, c.Kill(t.Context()))
	for _, pid := range family {
		expectGone(t, pid)
	}
	must(t, c.Kill(t.Context())) // no error
	must(t, c.Restart(t.Context()))
	if c.URL != url || c.PID == pid {
		t.Errorf("restarted as %v", c)
	}
	if got := query[int](t, c.URL, "SELECT n FROM kept"); got != 42 {
		t.Errorf("got %d", got)
	}
}

func TestAStandbyTakesOverFromAPrimaryThatWasKilled(t *testing.T) {
	t.Parallel()
	o := PrivateOptions{Dir: openDir(t)}
	primary, err := StartPrivate(t.Context(), o)
	must(t, err)
	defer func() { must(t, primary.Remove(context.Background())) }()
	standby, err := StartStandby(t.Context(), primary, "the other", o)
	if errors.Is(err, ErrNoPostgres) {
		t.Skip(err)
	}
	must(t, err)
	defer func() { must(t, standby.Remove(context.Background())) }()
	if standby.Port == primary.Port || standby.DataDir == primary.DataDir {
		t.Errorf("the standby is %v, the primary %v", standby, primary)
	}
	conn, err := pgx.Connect(t.Context(), primary.URL)
	must(t, err)
	defer conn.Close(t.Context())
	for _, sql := range []string{`ALTER SYSTEM SET synchronous_standby_names = '"the other"'`, `SELECT pg_reload_conf()`, `CREATE TABLE kept AS SELECT 42 AS n`} {
		_, err = conn.Exec(t.Context(), sql)
		must(t, err)
	}
	if !query[bool](t, standby.URL, `SELECT pg_is_in_recovery()`) {
		t.Error("the copy is no standby")
	}
	must(t, primary.Kill(t.Context()))
	must(t, standby.Promote(t.Context()))
	if got := query[int](t, standby.URL, `SELECT n FROM kept`); got != 42 || query[bool](t, standby.URL, `SELECT pg_is_in_recovery()`) {
		t.Errorf("the standby has %d and is no primary", got)
	}
}

// children returns the direct children of a process.
func children(pid int) []int {
	var found []int
	for child, parent := range processes() {
		if parent == pid {
			found = append(found, child)
		}
	}
	return found
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
