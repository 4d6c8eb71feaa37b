package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/oauthdb/oauthdb/migrations"
)

var migrateCommand = command{
	name:    "migrate",
	summary: "apply the migrations that the database lacks",
	details: `Several may run at once: one of them migrates, the others wait and find nothing left to do. A migration is
applied whole or not at all.`,
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		lockTimeout := lockTimeoutFlag(flags)
		return func(ctx context.Context, c console) error {
			server, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			return server.withSchema(ctx, c, *lockTimeout, func(s *schema) error {
				done, err := migrations.Up(ctx, s.DB, s.options)
				printResults(c.out, "applied", done)
				if err != nil {
					return err
				}
				version, err := migrations.Version(ctx, s.DB, s.options)
				if err != nil {
					return err
				}
				if len(done) == 0 {
					fmt.Fprintf(c.out, "up to date, at version %d\n", version)
				} else {
					fmt.Fprintf(c.out, "now at version %d\n", version)
				}
				fmt.Fprintf(c.out, "connect with %s\n", s.shown())
				return nil
			})
		}
	},
}

var statusCommand = command{
	name:    "status",
	summary: "list the migrations and which of them the database has",
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		check := flags.Bool("check", false, "fail if a migration is pending")
		return func(ctx context.Context, c console) error {
			server, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			return server.withSchema(ctx, c, 0, func(s *schema) error {
				files, err := migrations.Status(ctx, s.DB, s.options)
				if err != nil && len(files) == 0 {
					return err
				}
				pending := printStatus(c.out, files)
				fmt.Fprintf(c.out, "connect with %s\n", s.shown())
				if err != nil {
					return err
				}
				if *check && pending > 0 {
					return fmt.Errorf("%s pending: run 'oauthdb migrate'", plural(pending, "migration is", "migrations are"))
				}
				return nil
			})
		}
	},
}

var rollbackCommand = command{
	name:    "rollback",
	summary: "undo the latest migration, and the data in what it created",
	details: `Undoing a migration drops what it created: tables with all their rows. On a database other than that of the
private PostgreSQL, -yes has to say that this is meant.`,
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		to := flags.Int64("to", -1, "undo every migration above this `version`; 0 undoes all")
		yes := flags.Bool("yes", false, "yes, drop the data too")
		lockTimeout := lockTimeoutFlag(flags)
		return func(ctx context.Context, c console) error {
			given := false
			flags.Visit(func(f *flag.Flag) { given = given || f.Name == "to" })
			if given && *to < 0 {
				return usage("rollback: -to: %d is not a version", *to)
			}
			server, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			if !server.private && !*yes {
				return usage("rollback: this drops tables with their rows in %s: pass -yes if you mean it", server.shown())
			}
			return server.withSchema(ctx, c, *lockTimeout, func(s *schema) error {
				before, err := migrations.Version(ctx, s.DB, s.options)
				if err != nil {
					return err
				}
				var done []migrations.Result
				if given {
					done, err = migrations.DownTo(ctx, s.DB, *to, s.options)
				} else {
					done, err = migrations.Down(ctx, s.DB, s.options)
				}
				printResults(c.out, "undid", done)
				if err != nil {
					return err
				}
				after, err := migrations.Version(ctx, s.DB, s.options)
				if err != nil {
					return err
				}
				if len(done) == 0 {
					fmt.Fprintf(c.out, "nothing to undo, at version %d\n", before)
				} else {
					fmt.Fprintf(c.out, "now at version %d\n", after)
				}
				return nil
			})
		}
	},
}

func lockTimeoutFlag(flags *flag.FlagSet) *time.Duration {
	return flags.Duration("lock-timeout", 5*time.Second, "give up when a statement waits this `long` for a table that is in use; -1s never does")
}

// schema is the server of a command that looks at migrations or runs them.
type schema struct {
	*server
	DB      *sql.DB
	options migrations.Options
}

func (s *server) withSchema(ctx context.Context, c console, lockTimeout time.Duration, do func(*schema) error) error {
	handle, err := s.sql(ctx)
	if err != nil {
		return err
	}
	defer handle.Close()
	return do(&schema{server: s, DB: handle, options: migrations.Options{Logger: slog.New(waitHandler{c}), LockTimeout: lockTimeout}})
}

// waitHandler passes on that a run waits for another one. What was applied is printed at the end, with more care.
type waitHandler struct{ console }

func (h waitHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}
func (h waitHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h waitHandler) WithGroup(string) slog.Handler      { return h }

func (h waitHandler) Handle(_ context.Context, r slog.Record) error {
	if text, ok := strings.CutPrefix(r.Message, "oauthdb: "); ok && !strings.HasPrefix(text, "migrated ") {
		h.say("%s", text)
	}
	return nil
}

func printResults(w io.Writer, did string, done []migrations.Result) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range done {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", did, r.Name, milliseconds(r.Duration))
	}
	tw.Flush()
}

func printStatus(w io.Writer, files []migrations.FileStatus) (pending int) {
	changed := 0
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range files {
		switch {
		case f.Name == "":
			fmt.Fprintf(tw, "version %d\tapplied by a newer release\t%s\n", f.Version, f.AppliedAt.UTC().Format(time.DateTime+" UTC"))
		case f.Changed:
			changed++
			fmt.Fprintf(tw, "%s\tapplied from another file\t%s\n", f.Name, f.AppliedAt.UTC().Format(time.DateTime+" UTC"))
		case f.Applied:
			fmt.Fprintf(tw, "%s\tapplied\t%s\n", f.Name, f.AppliedAt.UTC().Format(time.DateTime+" UTC"))
		default:
			pending++
			fmt.Fprintf(tw, "%s\tpending\n", f.Name)
		}
	}
	tw.Flush()
	switch {
	case changed > 0: // the error says the rest
	case pending == 0:
		fmt.Fprintln(w, "up to date")
	default:
		fmt.Fprintf(w, "%d of %d pending: run 'oauthdb migrate'\n", pending, len(files))
	}
	return pending
}

// milliseconds is how durations are printed throughout: PostgreSQL's own habit.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
