package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/testdb"
)

var update = flag.Bool("update", false, "write testdata/demo.txt anew")

// TestDemo compares what the demo prints with testdata/demo.txt, but for what differs from run to run.
func TestDemo(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t) // the demo connects to it, and makes its own beside it
	code, out, errors := oauthdb(t, "demo", "-database-url", url)
	if code != exitDone || errors != "" {
		t.Fatalf("exit code %d, output\n%s\nerrors\n%s", code, out, errors)
	}
	for _, mask := range []struct{ what, with string }{
		{`(?m)^(   \w+ +\w+ +\d+ ) *\d+\.\d  `, "$1    0.0  "},
		{`\d+\.\d ms`, "0.0 ms"},
		{`PostgreSQL \d\S*, database oauthdb_demo_\w{8}:`, "PostgreSQL 15.0, database oauthdb_demo_00000000:"},
		{`\d+ files? migrated`, "0 files migrated"},
	} {
		out = regexp.MustCompile(mask.what).ReplaceAllString(out, mask.with)
	}
	golden := filepath.Join("testdata", "demo.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out != string(want) {
		t.Errorf("it prints something else than %s (go test ./cmd/oauthdb -run TestDemo -update, if that is right):\n%s", golden, out)
	}
	for line := range strings.Lines(out) {
		if len(line) > 130 {
			t.Errorf("too long a line: %s", line)
		}
	}
}

func TestTheDemoLeavesNoDatabaseUnlessAskedTo(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	name := regexp.MustCompile(`database (oauthdb_demo_\w{8}):`)
	for _, keep := range []bool{false, true} {
		args := []string{"demo", "-database-url", url}
		if keep {
			args = append(args, "-keep")
		}
		code, out, errors := oauthdb(t, args...)
		found := name.FindStringSubmatch(out)
		if code != exitDone || found == nil {
			t.Fatalf("exit code %d, errors %q", code, errors)
		}
		var there bool
		if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, found[1]).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if there != keep || strings.Contains(out, "is left for you") != keep {
			t.Errorf("-keep=%t: the database is there: %t", keep, there)
		}
		if there {
			if _, err := conn.Exec(t.Context(), "DROP DATABASE "+found[1]+" WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		}
	}
}

// writer is a function that is written to.
type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

func TestAnInterruptedDemoLeavesNoDatabase(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"demo", "-database-url", url}, console{err: &stderr, out: writer(func(p []byte) {
		stdout.Write(p)
		if bytes.Contains(p, []byte("Pocket Album")) {
			interrupt()
		}
	})})
	found := regexp.MustCompile(`database (oauthdb_demo_\w{8}):`).FindStringSubmatch(stdout.String())
	if code != exitInterrupted || found == nil || strings.Contains(stdout.String(), "Nightly Backup: a machine") {
		t.Fatalf("exit code %d, output\n%s\nerrors %q", code, stdout.String(), stderr.String())
	}
	gone, err := withDatabase(url, found[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), gone); err == nil || !strings.Contains(err.Error(), "3D000") {
		t.Errorf("connecting to its database: %v", err)
	}
}

// stroll is a walk in a database of its own, in which sabotage has been run.
func stroll(t *testing.T, sabotage string) (*walk, *bytes.Buffer) {
	t.Helper()
	var trace tracer
	db := testdb.New(t, testdb.Options{Tracer: &trace, MaxConns: 1})
	if sabotage != "" {
		if _, err := db.Pool.Exec(t.Context(), sabotage); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	w, err := newWalk(db.Pool, &trace, &page{w: &out})
	if err != nil {
		t.Fatal(err)
	}
	return w, &out
}

// The demo must not be able to lie: where the database does something else than the text says, it has to stop there.
func TestTheDemoStopsWhereItsTextIsUntrue(t *testing.T) {
	t.Parallel()
	ignored := func(table, event, when string) string {
		return `CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + when + ` END $$;
			CREATE TRIGGER sabotage BEFORE ` + event + ` ON ` + table + ` FOR EACH ROW EXECUTE FUNCTION sabotage()`
	}
	for name, c := range map[string]struct{ sabotage, heading, note string }{
		"a family outlives its revocation": {
			ignored(`oauth_authorization`, `UPDATE`, `NEW.revoked_at := NULL; NEW.revoked_reason := NULL; RETURN NEW;`),
			"A stolen refresh token turns up", "the access token that Framed holds",
		},
		"a code is good for two times": {
			ignored(`oauth_authorization`, `UPDATE`, `IF 'photos.write' = ANY (NEW.scopes) THEN NEW.redeemed_at := NULL; NEW.redeemed_as := NULL; END IF; RETURN NEW;`),
			"A stolen code turns up", "the same code once more",
		},
		"an assertion is forgotten": {
			ignored(`oauth_client_assertion`, `INSERT`, `RETURN NULL;`),
			"A machine acts for itself", "the assertion has not been seen before",
		},
		"a column is lost": {
			ignored(`oauth_client`, `INSERT`, `NEW.tos := NULL; RETURN NEW;`),
			"Three applications register", "the row says all that Framed's document said",
		},
		"a consent covers more than was agreed to": {
			ignored(`oauth_consent`, `INSERT`, `NEW.scopes := NEW.scopes || '{profile}'; RETURN NEW;`),
			"Framed asks for Ada's photos", "she agrees to most of it, and keeps her profile to herself",
		},
		"a client cannot be disabled": {
			ignored(`oauth_client`, `UPDATE`, `NEW.disabled := false; RETURN NEW;`),
			"A machine acts for itself", "it takes effect at once, on tokens already issued too",
		},
		"a leaked secret stays good": {
			// the second change of the secret, which lets nobody in
			ignored(`oauth_client`, `UPDATE`, `INSERT INTO oauth_client_secret (client_id, digest, expires_at)
				SELECT s.client_id, OLD.client_secret, now() + interval '1 day' FROM oauth_client_secret AS s
				WHERE s.client_id = OLD.client_id AND NEW.client_secret <> OLD.client_secret; RETURN NEW;`),
			"A secret is changed without an outage", "whoever found the leaked one",
		},
		"what lasts ends with the session": {
			ignored(`session`, `UPDATE`, `UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'session_ended' WHERE session_id = OLD.id AND revoked_at IS NULL; RETURN NEW;`),
			"Ada signs out", "what Pocket Album was given",
		},
		"evidence is collected early": {
			ignored(`oauth_access_token`, `DELETE`, `UPDATE oauth_refresh_token SET expires_at = expires_at - interval '1 year' WHERE id = OLD.refresh_id; RETURN OLD;`),
			"Time passes, and what has expired is collected", "refresh tokens: not yet",
		},
		"a deleted user leaves something behind": {
			ignored(`account`, `DELETE`, `RETURN NULL;`),
			"Ada leaves", "and her row",
		},
		"a suspension ends nothing": {
			ignored(`"user"`, `UPDATE`, `NEW.suspended_at := NULL; NEW.grants_epoch := OLD.grants_epoch; RETURN NEW;`),
			"Ada's account is suspended", "Framed's access token",
		},
		"no session ends for another": {
			ignored(`session`, `UPDATE`, `RETURN NULL;`),
			"Ada signs up and signs in", "at home; two are allowed, so the oldest ends",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, out := stroll(t, c.sabotage)
			err := w.run(t.Context(), w.chapters())
			var lie *untrueError
			if !errors.As(err, &lie) {
				t.Fatalf("it goes on, with error %v:\n%s", err, out)
			}
			if !strings.Contains(err.Error(), c.heading) || !strings.Contains(err.Error(), `"`+c.note+`"`) {
				t.Errorf("it stops elsewhere: %v", err)
			}
		})
	}
}

func TestACallIsHeldToOneStatementOfItsOwn(t *testing.T) {
	t.Parallel()
	w, out := stroll(t, "")
	ask := func(ctx context.Context, pool *pgxpool.Pool, sql string) error {
		_, err := pool.Exec(ctx, sql)
		return err
	}
	do := func(outcome string, statements ...string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			for _, sql := range statements {
				if err := ask(ctx, w.pool, sql); err != nil {
					return "", err
				}
			}
			return outcome, nil
		}
	}
	const named, nameless = "-- name: Ask :one\nSELECT 1", "SELECT 1"
	for _, c := range []struct {
		name string
		step step
		want string
	}{
		{"as it is said", call("done", "", do("done", named)), ""},
		{"another outcome", call("done", "", do("undone", named)), `it answered "undone", not "done"`},
		{"no statement", call("done", "", do("done")), "it took 0 statements"},
		{"two statements", call("done", "", do("done", named, named)), "it took 2 statements"},
		{"a statement that is no call", call("done", "", do("done", nameless)), `it ran the statement ""`},
		{"an aside", aside("done", "", do("done", nameless)), ""},
		{"a call as an aside", aside("done", "", do("done", named)), `it ran the statement "Ask"`},
		{"an error of the server's", call("done", "", do("done", "SELECT nothing")), `column "nothing" does not exist`},
	} {
		before := w.made + w.asides
		err := w.take(t.Context(), c.step)
		switch {
		case c.want == "" && (err != nil || w.made+w.asides != before+1):
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || w.made+w.asides != before):
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
	if w.made != 1 || w.statements != 1 || w.asides != 1 {
		t.Errorf("it counts %d calls, %d statements and %d asides:\n%s", w.made, w.statements, w.asides, out)
	}
}
