package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/devdb"
)

var urlCommand = command{
	name:    "url",
	summary: "print the URL of the database, for scripts",
	details: "The URL is printed as it is, with its password.",
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		return func(ctx context.Context, c console) error {
			s, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.out, s.url)
			return nil
		}
	},
}

var psqlCommand = command{
	name:    "psql",
	summary: "open psql on the database",
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		statement := flags.String("c", "", "run this `statement` and leave")
		return func(ctx context.Context, c console) error {
			s, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			program, err := findPsql(s)
			if err != nil {
				return err
			}
			connection, password, err := forLibpq(s.url)
			if err != nil {
				return err
			}
			args := []string{"--dbname=" + connection}
			if *statement != "" {
				args = append(args, "--no-psqlrc", "--command="+*statement)
			}
			cmd := exec.Command(program, args...) // not bound to ctx: what ^C means is for psql to say
			cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
			cmd.Env = os.Environ()
			if password != "" {
				cmd.Env = append(cmd.Env, "PGPASSWORD="+password) // not in the arguments, which everybody can list
			}
			var exit *exec.ExitError
			if err := cmd.Run(); errors.As(err, &exit) {
				return errQuiet // psql has said why
			} else if err != nil {
				return fmt.Errorf("running psql: %w", err)
			}
			return nil
		}
	},
}

func findPsql(s *server) (string, error) {
	if program, err := exec.LookPath("psql"); err == nil {
		return program, nil
	}
	if s.cluster != nil {
		if program, err := exec.LookPath(filepath.Join(s.cluster.BinDir, "psql")); err == nil {
			return program, nil
		}
	}
	return "", fmt.Errorf(`psql is not installed (on Debian and Ubuntu it is in the package postgresql-client, with Homebrew in libpq).
Any other client of PostgreSQL connects with
%s`, s.shown())
}

// forLibpq is a connection string as psql takes it, and the password apart from it.
func forLibpq(connection string) (rest, password string, err error) {
	config, err := pgx.ParseConfig(connection)
	if err != nil {
		return "", "", fmt.Errorf("reading the connection string: %w", err)
	}
	u, err := url.Parse(connection)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return connection, "", nil
	}
	u.User = url.User(config.User)
	q := u.Query()
	for name := range q {
		switch {
		case name == "password", strings.HasPrefix(name, "pool_"), strings.HasSuffix(name, "_cache_capacity"),
			name == "default_query_exec_mode": // pgx's own, which libpq refuses
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), config.Password, nil
}

var startCommand = command{
	name:    "start",
	summary: "start the private PostgreSQL, if it does not run yet",
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.registerCluster(flags)
		return func(ctx context.Context, c console) error {
			cluster, err := t.start(ctx, c)
			if err != nil {
				return err
			}
			if cluster.External {
				fmt.Fprintf(c.out, "DATABASE_URL points at a server: nothing to start\nconnect with %s\n", redact(cluster.URL))
				return nil
			}
			u, err := devdb.EnsureDatabase(ctx, cluster.URL, defaultDatabase)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "PostgreSQL %s runs on port %d (process %d)\n", cluster.Version, cluster.Port, cluster.PID)
			fmt.Fprintf(c.out, "programs     %s\ndata         %s\nlog          %s\n", cluster.BinDir, cluster.DataDir, cluster.LogFile)
			fmt.Fprintf(c.out, "connect with %s\n", u)
			return nil
		}
	},
}

var stopCommand = command{
	name:    "stop",
	summary: "stop the private PostgreSQL, and the one of the tests",
	details: "A server that DATABASE_URL points at is left alone.",
	prepare: func(flags *flag.FlagSet) action {
		remove := flags.Bool("delete", false, "delete it too, with all databases in it")
		return func(ctx context.Context, c console) error {
			if *remove {
				if err := devdb.Remove(ctx, devdb.Options{Logf: c.say}); err != nil {
					return err
				}
				fmt.Fprintln(c.out, "stopped and deleted")
				return nil
			}
			if err := devdb.Stop(ctx, devdb.Options{Logf: c.say}); err != nil {
				return err
			}
			fmt.Fprintln(c.out, "stopped")
			return nil
		}
	},
}
