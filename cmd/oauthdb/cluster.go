package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	record:  urlRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		var p printer
		p.register(flags)
		return func(ctx context.Context, c console) error {
			s, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			p.print(c.out, urlRecord{s.url})
			return nil
		}
	},
}

// urlRecord is the address of a database, with its password.
type urlRecord struct {
	URL string `json:"url"`
}

func (r urlRecord) text(w io.Writer) { fmt.Fprintln(w, r.URL) }

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
			cmd := exec.Command(program, args...)                           // not bound to ctx: what ^C means is for psql to say
			cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, beneath(c.out), c.err // a terminal stays one
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
	record:  startRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.registerCluster(flags)
		var p printer
		p.register(flags)
		return func(ctx context.Context, c console) error {
			cluster, err := t.start(ctx, c)
			if err != nil {
				return err
			}
			if cluster.External {
				p.print(c.out, startRecord{URL: redact(cluster.URL)})
				return nil
			}
			u, err := devdb.EnsureDatabase(ctx, cluster.URL, defaultDatabase)
			if err != nil {
				return err
			}
			p.print(c.out, startRecord{
				Private: true, Version: cluster.Version, Port: cluster.Port, PID: cluster.PID, Programs: cluster.BinDir, Data: cluster.DataDir,
				Log: cluster.LogFile, URL: u,
			})
			return nil
		}
	},
}

// startRecord is the server that is there now.
type startRecord struct {
	Private  bool   `json:"private"` // else DATABASE_URL points at it, and nothing was started
	Version  string `json:"version,omitempty"`
	Port     int    `json:"port,omitempty"`
	PID      int    `json:"pid,omitempty"`
	Programs string `json:"programs,omitempty"`
	Data     string `json:"data,omitempty"`
	Log      string `json:"log,omitempty"`
	URL      string `json:"url"` // without a password that protects something
}

func (r startRecord) text(w io.Writer) {
	if !r.Private {
		fmt.Fprintf(w, "DATABASE_URL points at a server: nothing to start\nconnect with %s\n", r.URL)
		return
	}
	fmt.Fprintf(w, "PostgreSQL %s runs on port %d (process %d)\n", r.Version, r.Port, r.PID)
	fmt.Fprintf(w, "programs     %s\ndata         %s\nlog          %s\n", r.Programs, r.Data, r.Log)
	fmt.Fprintf(w, "connect with %s\n", r.URL)
}

var stopCommand = command{
	name:    "stop",
	summary: "stop the private PostgreSQL, and the one of the tests",
	details: `Those of the clone in which it is called, or outside a clone those in the user's cache, which tests of other modules use. Other
servers are left alone, also that of DATABASE_URL.`,
	record: stopRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var p printer
		p.register(flags)
		remove := flags.Bool("delete", false, "delete it too, with all databases in it")
		return func(ctx context.Context, c console) error {
			stop := devdb.Stop
			if *remove {
				stop = devdb.Remove
			}
			if err := stop(ctx, devdb.Options{Logf: c.say}); err != nil {
				return err
			}
			p.print(c.out, stopRecord{Deleted: *remove})
			return nil
		}
	},
}

// stopRecord says that no private server runs any more.
type stopRecord struct {
	Deleted bool `json:"deleted"`
}

func (r stopRecord) text(w io.Writer) {
	if r.Deleted {
		fmt.Fprintln(w, "stopped and deleted")
	} else {
		fmt.Fprintln(w, "stopped")
	}
}
