package main

import (
	"bytes"
	"context"
	"debug/elf"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestContainerFilesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	dockerfile, compose := read(t, "Dockerfile"), read(t, "compose.yaml")

	known := map[string]bool{}
	for _, m := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(settingsTable(), -1) {
		known[m[1]] = true
	}
	variables := regexp.MustCompile(`\b(AUTHSERVER_[A-Z_]+|DATABASE_URL[A-Z_]*)\b`).FindAllString(dockerfile+compose, -1)
	if len(variables) < 6 {
		t.Errorf("only %q are set", variables)
	}
	for _, name := range variables {
		if !known[strings.TrimSuffix(name, fileSuffix)] {
			t.Errorf("%s does nothing", name)
		}
	}
	for _, m := range regexp.MustCompile(`"(-[a-z-]+)"`).FindAllStringSubmatch(dockerfile+compose, -1) {
		if (&config{}).flags(&bytes.Buffer{}).Lookup(m[1][1:]) == nil {
			t.Errorf("there is no flag %s", m[1])
		}
	}
	if !strings.Contains(dockerfile, "\nUSER nonroot\n") || !strings.Contains(dockerfile, "ARG MODULE=examples/authserver\n") {
		t.Error("the image runs as root, or builds something else")
	}
	if want := strings.TrimPrefix(regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindString(read(t, "go.mod")), "go "); !strings.Contains(dockerfile, "FROM golang:"+want+" ") {
		t.Errorf("the image is not built with Go %s", want)
	}

	folder := t.TempDir()
	for range 2 { // what is there stays
		if said, err := exec.CommandContext(t.Context(), "deploy/secrets.sh", folder).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	declared := regexp.MustCompile(`file: secrets/(\w+)`).FindAllStringSubmatch(compose, -1)
	for _, m := range declared {
		if value := strings.TrimSpace(read(t, filepath.Join(folder, m[1]))); len(value) < 32 {
			t.Errorf("the secret %s is short", m[1])
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != len(declared) {
		t.Errorf("%d secrets are made, %d are declared, %v", len(entries), len(declared), err)
	}
	file := func(name string) string { return filepath.Join(folder, name) }
	c, err := parseConfig(nil, environment(
		"AUTHSERVER_ISSUER", "http://localhost:8080", "AUTHSERVER_ADDR", ":8080", "DATABASE_URL_FILE", file("server_url"),
		"AUTHSERVER_SUCCESSOR_KEYS_FILE", file("successor_keys"), "AUTHSERVER_KEY_ENCRYPTION_KEYS_FILE", file("key_encryption_keys"),
	), &bytes.Buffer{})
	if err != nil || !strings.HasPrefix(c.databaseURL, "postgres://auth_server:") {
		t.Errorf("the server doesn't start with these secrets: %v", err)
	}
}

// The steps of compose.yaml, without the containers: the build, the database's roles, the migration by the owner, the server as the application,
// its health and its end.
func TestTheStepsOfADeploymentWork(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary anew and makes a PostgreSQL: without -short")
	}
	t.Parallel()
	folder := t.TempDir()
	binary := filepath.Join(folder, "authserver")
	build := regexp.MustCompile(`(?m)^ +(CGO_ENABLED=0 go build .*)$`).FindStringSubmatch(read(t, "Dockerfile"))
	if build == nil {
		t.Fatal("Dockerfile has no build command")
	}
	command := strings.ReplaceAll(build[1], "-o /authserver", "-o "+binary)
	if said, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, said)
	}
	program, err := elf.Open(binary)
	if err == nil {
		if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Error("the binary needs a loader, which the image lacks")
		}
		program.Close()
	}

	port := postgres(t)
	secrets := filepath.Join(folder, "secrets")
	for _, step := range []*exec.Cmd{exec.Command("deploy/secrets.sh", secrets), exec.Command("deploy/roles.sh")} {
		step.Env = append(os.Environ(), "SECRETS="+secrets, "PGHOST=127.0.0.1", "PGPORT="+port)
		if said, err := step.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step, err, said)
		}
	}
	url := func(name string) string {
		return "DATABASE_URL=" + strings.Replace(strings.TrimSpace(read(t, filepath.Join(secrets, name))), "@database:5432/oauthdb", "@127.0.0.1:"+port+"/postgres", 1)
	}
	keys := []string{"AUTHSERVER_SUCCESSOR_KEYS=" + testKey, "AUTHSERVER_KEY_ENCRYPTION_KEYS=" + testKey}
	start := func(said *output, args []string, env ...string) *exec.Cmd {
		cmd := exec.Command(binary, args...)
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = slices.Concat(keys, env), strings.NewReader(newPassword+"\n"), said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	fails := func(wants string, args []string, env ...string) {
		t.Helper()
		said := &output{}
		if err := start(said, args, env...).Wait(); err == nil || !strings.Contains(said.String(), wants) {
			t.Errorf("%s: %v, not %s\n%s", args, err, wants, said)
		}
	}
	fails("-migrate-only", nil, url("owner_url"))
	said := &output{}
	if err := start(said, []string{"-migrate-only"}, url("owner_url")).Wait(); err != nil {
		t.Fatalf("migrating: %v\n%s", err, said)
	}
	if err := start(said, []string{"-add-client", "clients/web.json", "-add-user", "ada@example.com"}, url("server_url")).Wait(); err != nil {
		t.Fatalf("adding a client and a user: %v\n%s", err, said)
	}

	said = &output{}
	server := start(said, []string{"-addr", "127.0.0.1:0", "-log-level", "warn"}, url("server_url"),
		strings.Replace(url("collector_url"), "DATABASE_URL", "AUTHSERVER_COLLECTOR_DATABASE_URL", 1))
	eventually(t, "it serves", func() bool { return strings.Contains(said.String(), "Serving") })
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(said.String())
	if err := start(&output{}, []string{"-healthcheck", "-addr", address}).Wait(); err != nil {
		t.Errorf("it is not healthy: %v\n%s", err, said)
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/keys", "/signin"} {
		if status, _, body := get(t, "http://"+address+path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	w := &world{T: t, issuer: "http://" + address, app: "http://127.0.0.1:1"}
	b := w.browser()
	b.wantPage(b.signIn(answer{}, "ada@example.com", newPassword), http.StatusOK, accountPath, "this device")
	b.wantPage(b.get(w.issuer+secondFactorPath), http.StatusOK, secondFactorPath, "Authenticator app")
	admin, err := pgx.Connect(t.Context(), "postgres://postgres@127.0.0.1:"+port+"/postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	eventually(t, "it collects", func() bool {
		var sessions int
		err := admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'authserver collector' AND usename = 'auth_collector' AND state = 'idle' AND query LIKE '%Delete%'`).Scan(&sessions)
		return err == nil && sessions > 0
	})
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is unhealthy", func() bool { return start(&output{}, []string{"-healthcheck", "-addr", address}).Wait() != nil })
	if err := server.Wait(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	if strings.Contains(said.String(), "level=") {
		t.Errorf("the application's or the collector's role lacks something:\n%s", said)
	}
}

// postgres starts one of the test's own and returns its port. Its superuser needs no password.
func postgres(t *testing.T) string {
	t.Helper()
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			t.Skip("no PostgreSQL is installed: apt install postgresql")
		}
		initdb = found[len(found)-1]
	}
	data, err := os.MkdirTemp("/var/tmp", "authserver-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		account, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("there is no user postgres")
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(data, uid, gid); err != nil {
			t.Fatal(err)
		}
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	run := func(program string, args ...string) {
		cmd := exec.Command(filepath.Join(filepath.Dir(initdb), program), args...)
		cmd.Dir, cmd.SysProcAttr = "/", as
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, said)
		}
	}
	run("initdb", "--pgdata="+data, "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")
	hba := "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	run("pg_ctl", "start", "--pgdata="+data, "--wait", "--log="+filepath.Join(data, "log"),
		"--options=-c listen_addresses=127.0.0.1 -c port="+port+" -c unix_socket_directories="+data+" -c fsync=off")
	t.Cleanup(func() { run("pg_ctl", "stop", "--pgdata="+data, "--mode=immediate") })
	eventually(t, "PostgreSQL answers", func() bool {
		conn, err := pgx.Connect(t.Context(), "postgres://postgres@127.0.0.1:"+port+"/postgres")
		if err != nil {
			return false
		}
		return conn.Close(context.Background()) == nil
	})
	return port
}
