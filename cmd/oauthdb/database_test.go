package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	for connection, want := range map[string]string{
		"postgres://ada:secret@db.example:5433/auth?sslmode=require":   "postgres://ada:xxxxx@db.example:5433/auth?sslmode=require",
		"postgresql://ada@db.example/auth":                             "postgresql://ada@db.example/auth",
		"postgres://db.example/auth?user=ada&password=secret":          "postgres://db.example/auth?password=xxxxx&user=ada",
		"postgres://ada@db.example/auth?sslpassword=secret":            "postgres://ada@db.example/auth?sslpassword=xxxxx",
		"host=db.example port=5433 user=ada password=secret dbname=a":  "postgres://ada:xxxxx@db.example:5433/a",
		"host=/run/postgresql user=ada password='secret' dbname=auth":  "postgres://ada:xxxxx@/auth?host=%2Frun%2Fpostgresql&port=5432",
		"postgres://ada:secret@a:5432,b/auth?sslmode=disable":          "postgres://ada:xxxxx@a:5432/auth",
		"postgres://ada:secret@db.example:not-a-port/auth?sslmode=sec": "(a connection string that cannot be read)",
	} {
		if got := redact(connection); got != want {
			t.Errorf("%s: got %s, want %s", connection, got, want)
		}
	}
	own := &server{url: "postgres://postgres:shown@127.0.0.1:5999/oauthdb", private: true}
	if own.shown() != own.url {
		t.Errorf("the private server's URL is shown as %s, which connects nobody", own.shown())
	}
}

func TestAnotherDatabaseOfTheSameServer(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{
		"postgres://ada:secret@db.example:5433/auth?sslmode=disable",
		"postgres://ada:secret@db.example:5433?sslmode=disable",
		"postgres://ada:secret@db.example:5433/auth?sslmode=disable&dbname=x&database=y",
		"host=db.example port=5433 user=ada password=secret dbname=auth sslmode=disable",
	} {
		got, err := withDatabase(connection, "other")
		if err != nil {
			t.Errorf("%s: %v", connection, err)
			continue
		}
		config, err := pgx.ParseConfig(got)
		if err != nil || config.Database != "other" || config.Host != "db.example" || config.Port != 5433 || config.Password != "secret" {
			t.Errorf("%s: got %s, which is %+v, %v", connection, got, config, err)
		}
	}
	if got, err := withDatabase("postgres://ada:secret@a:5432,b/auth", "other"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestPsqlIsGivenWhatItUnderstandsAndNoPassword(t *testing.T) {
	t.Parallel()
	for connection, want := range map[string][2]string{
		"postgres://ada:se%40cret@db.example:5433/auth?sslmode=require&pool_max_conns=3&default_query_exec_mode=exec&statement_cache_capacity=0": {
			"postgres://ada@db.example:5433/auth?sslmode=require", "se@cret",
		},
		"postgres://db.example/auth?user=ada&password=secret":  {"postgres://ada@db.example/auth?user=ada", "secret"},
		"host=db.example user=ada dbname=auth sslmode=disable": {"host=db.example user=ada dbname=auth sslmode=disable", ""},
	} {
		rest, password, err := forLibpq(connection)
		if err != nil || rest != want[0] || password != want[1] {
			t.Errorf("%s: got %q, %q, %v, want %q", connection, rest, password, err, want)
		}
	}
}

func TestPsqlConnects(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("psql is not installed")
	}
	url := emptyDatabase(t)
	code, out, errors := oauthdb(t, "psql", "-database-url", url+"&pool_max_conns=2", "-c", "SELECT 'it is ' || current_user")
	if code != exitDone || !strings.Contains(out, "it is ") {
		t.Errorf("exit code %d, output %q, errors %q", code, out, errors)
	}
	code, _, errors = oauthdb(t, "psql", "-database-url", url, "-c", "SELECT nothing")
	if code != exitFailed || !strings.Contains(errors, `column "nothing" does not exist`) || strings.Contains(errors, "oauthdb:") {
		t.Errorf("exit code %d, errors %q", code, errors)
	}
}

func TestURLIsPrintedAsItIsGiven(t *testing.T) {
	t.Parallel()
	const url = "postgres://ada:secret@db.example/auth"
	if code, out, errors := oauthdb(t, "url", "-database-url", url); code != exitDone || out != url+"\n" {
		t.Errorf("exit code %d, output %q, errors %q", code, out, errors)
	}
}
