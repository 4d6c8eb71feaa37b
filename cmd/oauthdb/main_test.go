package main

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/oauthdb/oauthdb/internal/devdb"
)

// oauthdb runs the command and returns its exit code and what it wrote to each stream.
func oauthdb(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, console{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// emptyDatabase is the URL of a database without anything in it, on the server that tests use.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	u, err := devdb.URL(t.Context(), devdb.Options{Kind: devdb.Test, Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	db, drop, err := (&server{url: u}).scratchDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return db.url
}

func TestWrongUsageIsExplainedAndExitsWithTwo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no command given"},
		{[]string{"frobnicate"}, `no such command: "frobnicate"`},
		{[]string{"help", "frobnicate"}, `no such command: "frobnicate"`},
		{[]string{"migrate", "-frobnicate"}, "flag provided but not defined: -frobnicate"},
		{[]string{"migrate", "now"}, `unexpected argument "now"`},
		{[]string{"migrate", "-cluster", "prod"}, `"prod" is neither dev nor test`},
		{[]string{"migrate", "-database-url", "postgres://user:hunter2@host:port/db"}, "-database-url"},
		{[]string{"rollback", "-to", "-3"}, "-3 is not a version"},
		{[]string{"rollback", "-to", "x"}, "invalid value"},
		{[]string{"rollback", "-database-url", "postgres://user:hunter2@127.0.0.1:1/db"}, "pass -yes if you mean it"},
		{[]string{"gc", "-batch", "0"}, "-batch: 0 is not between 1 and 100000"},
		{[]string{"gc", "-share", "0"}, "-share: 0 is not above 0 and at most 1"},
		{[]string{"gc", "-share", "1.5"}, "-share: 1.5 is not above 0 and at most 1"},
		{[]string{"gc", "-share", "NaN"}, "-share: NaN is not above 0 and at most 1"},
		{[]string{"gc", "-retention", "-1h"}, "cannot be negative"},
		{[]string{"gc", "-event-retention", "-1h"}, "cannot be negative"},
		{[]string{"gc", "-unused-clients", "-1h"}, "cannot be negative"},
		{[]string{"gc", "-unused-clients", "2160h", "-retention", "0"}, "-unused-clients: without a retention"},
		{[]string{"gc", "-any-unused-client"}, "-unused-clients is missing"},
		{[]string{"gc", "-every", "soon"}, "invalid value"},
		{[]string{"gc", "-every", "1m", "-dry-run"}, "-every goes on"},
		{[]string{"client"}, "which command?"},
		{[]string{"client", "-json"}, "which command?"},
		{[]string{"client", "frobnicate"}, `no such command: "client frobnicate"`},
		{[]string{"client", "show"}, "CLIENT is missing"},
		{[]string{"client", "show", "a", "b"}, `unexpected argument "b"`},
		{[]string{"client", "add", "-", "-secret-file", "-"}, "cannot both come from standard input"},
		{[]string{"client", "add", "-", "-user", "a", "-tenant", "b"}, "owned by -user or by -tenant"},
		{[]string{"client", "add", "-", "-secret-lifetime", "-1h"}, "cannot be negative"},
		{[]string{"client", "rotate-secret", "a", "-overlap", "-1h"}, "cannot be negative"},
		{[]string{"client", "rotate-secret", "a", "-secret-file", "-"}, "empty"},
		{[]string{"client", "reap"}, "-unused-for and -retention"},
		{[]string{"session", "show"}, "name a session or pass -cookie"},
		{[]string{"session", "show", "a", "-cookie", "-"}, "name a session or pass -cookie"},
		{[]string{"grant", "list"}, "pass -user, -client or both"},
		{[]string{"key", "rotate", "-alg", "ES256"}, "pass -alg, and -published-for"},
		{[]string{"key", "retire", "a"}, "pass -published-for"},
		{[]string{"key", "add", "-"}, "pass -private-uri or -private"},
		{[]string{"events", "-user", "a", "-client", "b"}, "exclude each other"},
		{[]string{"events", "-after", "-1"}, "cannot be negative"},
		{[]string{"import", "users", "-"}, "csv or json"},
		{[]string{"check", "-only", "objects,frobnicate"}, `there is no check "frobnicate"`},
		{[]string{"import", "users", "users.xml"}, "csv or json"},
		{[]string{"import", "clients", "-", "-jobs", "0"}, "-jobs has to be"},
		{[]string{"import", "clients", "-", "-all", "-quiet"}, "exclude each other"},
		{[]string{"import", "hydra", "-", "-skip", "-1"}, "-skip not negative"},
		{[]string{"import", "consents", "-"}, "csv or json"},
		{[]string{"import", "refresh-tokens", "x.csv", "-family-lifetime", "-1h"}, "a lifetime is negative"},
		{[]string{"import", "better-auth"}, "no source is given"},
		{[]string{"import", "better-auth", "-from", "x", "-only", "sessions"}, "-only: clients, users"},
		{[]string{"import", "hydra-tables"}, "no source is given"},
		{[]string{"import", "hydra-tables", "-from", "x", "-only", "sessions"}, "-only: clients, users"},
		{[]string{"import", "hydra-tables", "-from", "x", "-jobs", "0"}, "-jobs has to be"},
	} {
		code, out, err := oauthdb(t, c.args...)
		if code != exitUsage || !strings.Contains(err, c.want) || !strings.Contains(err, "oauthdb help") || out != "" || strings.Contains(err, "hunter2") {
			t.Errorf("%q: exit code %d, output %q, errors %q; want exit code 2 and %q", c.args, code, out, err, c.want)
		}
	}
}

func TestHelpNamesEveryCommandAndEveryFlag(t *testing.T) {
	t.Parallel()
	_, overview, _ := oauthdb(t, "help")
	for _, cmd := range commands() {
		listed, name := overview, cmd.name
		if group, second, two := strings.Cut(cmd.name, " "); two {
			if !strings.Contains(overview, "\n  "+group+" ") {
				t.Errorf("help does not list %s", group)
			}
			_, listed, _ = oauthdb(t, "help", group)
			name = second
		}
		if !strings.Contains(listed, "\n  "+name+" ") {
			t.Errorf("help does not list %s", cmd.name)
		}
		words := strings.Fields(cmd.name)
		code, byHelp, _ := oauthdb(t, append([]string{"help"}, words...)...)
		if code != exitDone || !strings.Contains(byHelp, "oauthdb "+cmd.name+" [flags]") {
			t.Errorf("help %s: exit code %d, output %q", cmd.name, code, byHelp)
		}
		code, byFlag, _ := oauthdb(t, append(words, "-h")...)
		if code != exitDone || byFlag != byHelp {
			t.Errorf("%s -h differs from help %s", cmd.name, cmd.name)
		}
	}
	if _, migrate, _ := oauthdb(t, "help", "migrate"); !strings.Contains(migrate, "-database-url URL") {
		t.Errorf("help migrate does not mention -database-url: %s", migrate)
	}
}

func TestAServerThatIsNotThereIsExplained(t *testing.T) {
	t.Parallel()
	there := emptyDatabase(t)
	stranger, err := url.Parse(there)
	if err != nil {
		t.Fatal(err)
	}
	stranger.User = url.UserPassword("somebody_else", "secret")
	for url, want := range map[string]string{
		"postgres://user:secret@127.0.0.1:1/db":                  "Nothing listens there",
		"host=/nowhere user=user password=secret":                "Nothing listens there",
		strings.Replace(there, "/oauthdb_demo_", "/no_such_", 1): "The database does not exist",
		stranger.String(): "refused the user or the password",
	} {
		for _, command := range []string{"migrate", "status", "gc", "demo"} {
			code, out, err := oauthdb(t, command, "-database-url", url)
			if code != exitFailed || !strings.Contains(err, want) || strings.Contains(out+err, "secret") {
				t.Errorf("%s: exit code %d, output %q, errors %q; want exit code 1 and %q", command, code, out, err, want)
			}
		}
	}
}

func TestAnInterruptedCommandSaysSo(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"migrate", "-database-url", url}, console{out: &stdout, err: &stderr})
	if code != exitInterrupted || stderr.String() != "oauthdb: interrupted\n" {
		t.Errorf("exit code %d, errors %q", code, stderr.String())
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	t.Parallel()
	if coloursFor(&bytes.Buffer{}) {
		t.Error("a buffer gets colours")
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if coloursFor(f) {
		t.Error("a file gets colours")
	}
	if got := colours(false).in(green, "x") + colours(true).in(green, "x"); got != "x\x1b[32mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
}

// psql asks whether it writes to a terminal.
func TestBeneathAnOutputIsTheFile(t *testing.T) {
	t.Parallel()
	if got := beneath(&output{Writer: os.Stdout}); got != os.Stdout || beneath(os.Stdout) != os.Stdout {
		t.Errorf("it is a %T", got)
	}
}

// full is a disk that takes so many bytes.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	if f.left -= n; n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// Half an export that ends with status 0 would be taken for a whole one.
func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, args := range []string{"export usr_ada", "export usr_ada -json", "user list", "client list -json", "client show album", "status", "roles", "help", "version"} {
		var stderr bytes.Buffer
		words := strings.Fields(args)
		if !slices.Contains([]string{"roles", "help", "version"}, args) {
			words = append(words, "-database-url", w.url)
		}
		if code := run(t.Context(), words, console{in: strings.NewReader(""), out: &full{left: 10}, err: &stderr}); code != exitFailed || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: exit status %d, errors %q", args, code, stderr.String())
		}
	}
}
