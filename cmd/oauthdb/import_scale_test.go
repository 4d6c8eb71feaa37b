package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/testdb"
)

var (
	scaleUsers   = flag.Int("import-users", 2000, "how many users TestImportAtScale takes over")
	scaleClients = flag.Int("import-clients", 200, "how many clients TestImportAtScale takes over")
	scaleTokens  = flag.Int("import-tokens", 200, "how many refresh tokens TestImportAtScale takes over")
)

// TestMain runs the command instead of the tests where a test asks for a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("OAUTHDB_TEST_AS_COMMAND") == "" {
		os.Exit(m.Run())
	}
	main()
}

// process is oauthdb in a process of its own.
func process(t *testing.T, stdin io.Reader, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "OAUTHDB_TEST_AS_COMMAND=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &strings.Builder{}, &strings.Builder{}
	return cmd
}

// generated makes so many records, one by one, as it is read. reached is called before each.
func generated(records int, record func(w io.Writer, n int), reached func(n int)) io.Reader {
	r, w := io.Pipe()
	go func() {
		for n := range records {
			if reached != nil {
				reached(n)
			}
			record(w, n)
		}
		w.Close()
	}()
	return &buffered{from: r}
}

// buffered reads many small writes as few large ones.
type buffered struct {
	from io.Reader
	rest []byte
}

func (b *buffered) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && n < 4096 {
		if len(b.rest) == 0 {
			buf := make([]byte, 4096)
			m, err := b.from.Read(buf)
			if err != nil {
				if n > 0 {
					return n, nil
				}
				return 0, err
			}
			b.rest = buf[:m]
		}
		m := copy(p[n:], b.rest)
		b.rest = b.rest[m:]
		n += m
	}
	return n, nil
}

// One user in two has a password, and one in a hundred is refused.
func generatedUser(w io.Writer, n int) {
	switch {
	case n%100 == 99:
		fmt.Fprintf(w, `{"id": "usr_%07d", "email": "no address"}`+"\n", n)
	case n%2 == 0:
		fmt.Fprintf(w, `{"id": "usr_%07d", "name": "User %d", "email": "user%d@example.com", "email_verified": true, "password_hash": "$2b$10$%053d"}`+"\n", n, n, n, n)
	default:
		fmt.Fprintf(w, `{"id": "usr_%07d", "name": "User %d", "email": "user%d@example.com"}`+"\n", n, n, n)
	}
}

func generatedClient(w io.Writer, n int) {
	fmt.Fprintf(w, `{"client_id": "client-%06d", "client_name": "Client %d", "redirect_uris": ["https://client%d.example/callback"], "client_secret": "secret of %032d",
		"grant_types": ["authorization_code", "refresh_token"], "scope": "openid profile offline_access", "client_uri": "https://client%d.example/"}`+"\n", n, n, n, n, n)
}

func generatedToken(w io.Writer, n int) {
	fmt.Fprintf(w, `{"user_id": "usr_%07d", "client_id": "client-%06d", "scope": "openid offline_access", "token": "refresh token %032d"}`+"\n",
		n*2%*scaleUsers, n%*scaleClients, n)
}

// TestImportAtScale takes over as many users, clients and refresh tokens as its flags say, by a process whose memory is measured. make import-scale
// has it take over a million.
func TestImportAtScale(t *testing.T) {
	if *scaleUsers == 2000 {
		t.Parallel()
	}
	d := testdb.New(t, testdb.Options{})
	for _, v := range []struct {
		records int
		record  func(io.Writer, int)
		args    string
		refused int
	}{
		{*scaleUsers, generatedUser, "import users - -format json", *scaleUsers / 100},
		{*scaleClients, generatedClient, "import clients -", 0},
		{*scaleTokens, generatedToken, "import refresh-tokens - -format json", 0},
	} {
		began := time.Now()
		cmd := process(t, generated(v.records, v.record, nil), append(strings.Fields(v.args), "-quiet", "-database-url", d.URL)...)
		if err := cmd.Run(); (err == nil) != (v.refused == 0) {
			t.Fatalf("%s: %v\n%s", v.args, err, cmd.Stderr)
		}
		took := time.Since(began)
		memory := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
		if want := fmt.Sprintf("%d records read: %d taken, 0 taken with changes, 0 there before, %d refused\n", v.records, v.records-v.refused, v.refused); !strings.HasSuffix(fmt.Sprint(cmd.Stdout), want) || strings.Count(fmt.Sprint(cmd.Stdout), "\n") != v.refused+1 {
			t.Errorf("%s: it says\n%s\nwant\n%s", v.args, cmd.Stdout, want)
		}
		if *scaleUsers > 2000 && memory > 128 { // by itself: the system counts what this process has, too
			t.Errorf("%s: it needs %d MiB", v.args, memory)
		}
		t.Logf("%s: %d records in %v, %.0f a second, with %d MiB of memory", v.args, v.records, took.Round(time.Millisecond), float64(v.records)/took.Seconds(), memory)
	}
	var users, passwords, clients, tokens int
	if err := d.Pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM "user"), (SELECT count(*) FROM account), (SELECT count(*) FROM oauth_client), (SELECT count(*) FROM oauth_refresh_token)`).
		Scan(&users, &passwords, &clients, &tokens); err != nil {
		t.Fatal(err)
	}
	if users != *scaleUsers-*scaleUsers/100 || passwords != *scaleUsers/2 || clients != *scaleClients || tokens != *scaleTokens {
		t.Errorf("%d users, %d passwords, %d clients and %d refresh tokens are there", users, passwords, clients, tokens)
	}
}

// rowsOf is a digest of what an import of generated users has written.
func rowsOf(t *testing.T, d *testdb.DB) (digest string, users int) {
	t.Helper()
	if err := d.Pool.QueryRow(t.Context(), `
		SELECT md5(string_agg(concat_ws('|', u.id, u.name, u.email, u.email_verified, c.account_id, c.provider_id, c.password), ',' ORDER BY u.id)), count(*)
		FROM "user" AS u
		LEFT JOIN account AS c ON c.user_id = u.id`).Scan(&digest, &users); err != nil {
		t.Fatal(err)
	}
	return digest, users
}

// An import that is killed has written whole records, and the same import once more writes the others.
func TestAnImportThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	const records = 1500
	importUsers := func(d *testdb.DB, stdin io.Reader) *exec.Cmd {
		return process(t, stdin, "import", "users", "-", "-format", "json", "-jobs", "3", "-quiet", "-database-url", withParams(t, d.URL, "application_name", "killed"))
	}
	killed := testdb.New(t, testdb.Options{})
	reached, goOn := make(chan struct{}), make(chan struct{})
	cmd := importUsers(killed, generated(records, generatedUser, func(n int) {
		if n == 1000 {
			close(reached)
			<-goOn // so it can't come to its end before it is killed
		}
	}))
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-reached
	for n := 0; n < 100; {
		if _, n = rowsOf(t, killed); n == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if err := cmd.Wait(); err == nil {
		t.Fatal("it wasn't killed")
	}
	var open int
	for ctx := t.Context(); ; time.Sleep(10 * time.Millisecond) { // what the server is at yet
		if err := killed.Pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'killed'`).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if open == 0 {
			break
		}
	}
	_, part := rowsOf(t, killed)
	var half int
	if err := killed.Pool.QueryRow(context.WithoutCancel(t.Context()), `
		SELECT count(*) FROM "user" AS u WHERE right(u.id, 1)::int % 2 = 0 AND NOT EXISTS (SELECT FROM account AS c WHERE c.user_id = u.id)`).Scan(&half); err != nil {
		t.Fatal(err)
	}
	if part == 0 || part > 1000 || half > 0 {
		t.Fatalf("after the kill %d users are there, %d of them without their passwords", part, half)
	}
	again := importUsers(killed, generated(records, generatedUser, nil))
	if err := again.Run(); again.ProcessState.ExitCode() != exitRefused {
		t.Fatalf("once more: %v\n%s", err, again.Stderr)
	}
	if want := fmt.Sprintf("%d taken, 0 taken with changes, %d there before", records-records/100-part, part); !strings.Contains(fmt.Sprint(again.Stdout), want) {
		t.Errorf("once more: it says %s, want %s", again.Stdout, want)
	}
	undisturbed := testdb.New(t, testdb.Options{})
	if err := importUsers(undisturbed, generated(records, generatedUser, nil)).Run(); err == nil {
		t.Error("nothing was refused")
	}
	got, n := rowsOf(t, killed)
	if want, m := rowsOf(t, undisturbed); got != want {
		t.Errorf("the rows differ: %d, and %d without a kill", n, m)
	}
}
