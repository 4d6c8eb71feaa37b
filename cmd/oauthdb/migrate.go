package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
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
	record: migrated{},
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		var p printer
		p.register(flags)
		lockTimeout := lockTimeoutFlag(flags)
		dryRun := flags.Bool("dry-run", false, "say which migrations would be applied, and apply none")
		return func(ctx context.Context, c console) error {
			server, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			return server.withSchema(ctx, c, *lockTimeout, func(s *schema) error {
				if *dryRun {
					return s.wouldMigrate(ctx, c, &p, func(f migrations.FileStatus) bool { return !f.Applied })
				}
				done, err := migrations.Up(ctx, s.DB, s.options)
				return s.report(ctx, c, &p, migrated{Did: "applied", Connection: s.shown(), Migrations: newMigrationRecords(done)}, err)
			})
		}
	},
}

var statusCommand = command{
	name:    "status",
	summary: "list the migrations and which of them the database has",
	record:  migrationRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		var p printer
		p.register(flags)
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
				pending := 0
				if p.json {
					for _, f := range files {
						r := newMigrationRecord(f)
						writeJSON(c.out, r)
						if r.State == statePending {
							pending++
						}
					}
				} else {
					pending = printStatus(c.out, files)
					fmt.Fprintf(c.out, "connect with %s\n", s.shown())
				}
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
	record: migrated{},
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		var p printer
		p.register(flags)
		dryRun := flags.Bool("dry-run", false, "say which migrations would be undone, and undo none")
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
			if !server.private && !*yes && !*dryRun {
				return usage("rollback: this drops tables with their rows in %s: pass -yes if you mean it", server.shown())
			}
			return server.withSchema(ctx, c, *lockTimeout, func(s *schema) error {
				if *dryRun {
					newest, err := migrations.Version(ctx, s.DB, s.options)
					if err != nil {
						return err
					}
					return s.wouldMigrate(ctx, c, &p, func(f migrations.FileStatus) bool {
						return f.Applied && (given && f.Version > *to || !given && f.Version == newest)
					})
				}
				var done []migrations.Result
				if given {
					done, err = migrations.DownTo(ctx, s.DB, *to, s.options)
				} else {
					done, err = migrations.Down(ctx, s.DB, s.options)
				}
				return s.report(ctx, c, &p, migrated{Did: "undid", Migrations: newMigrationRecords(done)}, err)
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

// migrated is what a run of migrations has done.
type migrated struct {
	Did        string            `json:"-"` // applied or undid
	Connection string            `json:"-"`
	DryRun     bool              `json:"dry_run"` // then nothing has changed
	Migrations []migrationRecord `json:"migrations"`
	Version    int64             `json:"version"` // that the schema has now
}

func (r migrated) text(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range r.Migrations {
		if r.DryRun {
			fmt.Fprintf(tw, "would have %s\t%s\n", map[string]string{"applied": "applied", "undid": "undone"}[r.Did], m.Name)
		} else {
			fmt.Fprintf(tw, "%s\t%s\t%.1f ms\n", r.Did, m.Name, *m.Milliseconds)
		}
	}
	tw.Flush()
	switch {
	case r.DryRun:
		fmt.Fprintf(w, "dry run, nothing has changed: at version %d\n", r.Version)
	case len(r.Migrations) > 0:
		fmt.Fprintf(w, "now at version %d\n", r.Version)
	case r.Did == "applied":
		fmt.Fprintf(w, "up to date, at version %d\n", r.Version)
	default:
		fmt.Fprintf(w, "nothing to undo, at version %d\n", r.Version)
	}
	if r.Connection != "" {
		fmt.Fprintf(w, "connect with %s\n", r.Connection)
	}
}

// migrationRecord is a migration and whether the database has it.
type migrationRecord struct {
	Version      int64      `json:"version"`
	Name         string     `json:"name"`  // of the file; empty if a newer release applied it
	State        string     `json:"state"` // applied, pending, changed: from another file, or undone
	AppliedAt    *time.Time `json:"applied_at"`
	Milliseconds *float64   `json:"milliseconds"` // that this run took for it
}

const (
	stateApplied = "applied"
	statePending = "pending"
	stateChanged = "changed"
	stateUndone  = "undone"
)

func newMigrationRecord(f migrations.FileStatus) migrationRecord {
	r := migrationRecord{Version: f.Version, Name: f.Name, State: statePending}
	if f.Applied {
		r.State, r.AppliedAt = stateApplied, new(f.AppliedAt.UTC())
	}
	if f.Changed {
		r.State = stateChanged
	}
	return r
}

func newMigrationRecords(done []migrations.Result) []migrationRecord {
	records := []migrationRecord{}
	for _, r := range done {
		records = append(records, migrationRecord{
			Version: r.Version, Name: r.Name, Milliseconds: new(float64(r.Duration.Microseconds()) / 1000),
		})
	}
	return records
}

// report prints what a run has done, also if it failed on the way.
func (s *schema) report(ctx context.Context, c console, p *printer, done migrated, failed error) error {
	if failed != nil {
		if len(done.Migrations) > 0 && !p.json {
			done.Connection = ""
			var b strings.Builder
			done.text(&b)
			lines := strings.SplitAfter(b.String(), "\n")
			io.WriteString(c.out, strings.Join(lines[:len(done.Migrations)], ""))
		}
		return failed
	}
	for i := range done.Migrations {
		done.Migrations[i].State = map[string]string{"applied": stateApplied, "undid": stateUndone}[done.Did]
	}
	var err error
	if done.Version, err = migrations.Version(ctx, s.DB, s.options); err != nil {
		return err
	}
	p.print(c.out, done)
	return nil
}

// wouldMigrate prints the migrations that a run would apply or undo.
func (s *schema) wouldMigrate(ctx context.Context, c console, p *printer, due func(migrations.FileStatus) bool) error {
	files, err := migrations.Status(ctx, s.DB, s.options)
	if err != nil {
		return err
	}
	would := migrated{DryRun: true, Did: "applied", Migrations: []migrationRecord{}}
	for _, f := range files {
		if due(f) {
			would.Migrations = append(would.Migrations, newMigrationRecord(f))
		}
		if f.Applied {
			would.Version = max(would.Version, f.Version)
			if due(f) {
				would.Did = "undid"
			}
		}
	}
	if would.Did == "undid" {
		slices.Reverse(would.Migrations)
	}
	p.print(c.out, would)
	return nil
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
