package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/migrations"
)

// documents are the registrations of the demo's three clients, as an administrator or the clients themselves would send them.
//
//go:embed clients/*.json
var documents embed.FS

var demoCommand = command{
	name:    "demo",
	summary: "walk a grant's whole life, call by call",
	details: `The demo works in a database of its own, which it creates beside the one it connects to, migrates, and drops at
the end. It fails if a call returns anything but what the text beside it says, or takes more than one statement.`,
	prepare: func(flags *flag.FlagSet) action {
		t := target{database: "postgres"}
		t.registerServer(flags)
		keep := flags.Bool("keep", false, "leave the demo's database, to look at")
		return func(ctx context.Context, c console) error {
			s, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			return demo(ctx, c, s, *keep)
		}
	},
}

func demo(ctx context.Context, c console, s *server, keep bool) (err error) {
	scratch, drop, err := s.scratchDatabase(ctx)
	if err != nil {
		return err
	}
	p := &page{w: c.out, colours: coloursFor(c.out)}
	defer func() {
		var untrue *untrueError
		if keep || errors.As(err, &untrue) {
			p.line("")
			p.line("The database is left for you to look at: psql '%s'", scratch.shown())
			return
		}
		err = errors.Join(err, drop())
		if err == nil {
			p.line("The database is dropped again. -keep (make demo KEEP=1) leaves it, to look at.")
		}
	}()

	handle, err := scratch.sql(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	files, err := migrations.Up(ctx, handle, migrations.Options{})
	if err := errors.Join(err, handle.Close()); err != nil {
		return err
	}
	migrated := time.Since(began)

	var trace tracer
	pool, err := scratch.pool(ctx, db.Options{Tracer: &trace, MaxConns: 1}) // one connection, which prepares each call once
	if err != nil {
		return err
	}
	defer pool.Close()
	version, err := serverVersion(ctx, pool)
	if err != nil {
		return err
	}

	p.line("%s", p.in(bold, "The life of a grant"))
	p.line("")
	p.line("Each line is one call of package store: its name, its outcome, how many rows it returned or deleted, and how")
	p.line("many milliseconds it took. A call is one SQL statement, which looks, decides and acts at once. Its name leads to the")
	p.line("whole rule in queries/. The demo fails if a call returns anything but what is said here.")
	p.line("")
	p.line("PostgreSQL %s, database %s: made for this run, %s migrated in %s.",
		version, scratch.name, plural(len(files), "file", "files"), milliseconds(migrated))

	w, err := newWalk(pool, &trace, p)
	if err != nil {
		return err
	}
	if err := w.run(ctx, w.chapters()); err != nil {
		return err
	}
	w.summary()
	return nil
}

// scratch is a database that exists for one run.
type scratch struct {
	*server
	name string
}

// scratchDatabase creates a database that nobody else uses, beside the one that s connects to.
func (s *server) scratchDatabase(ctx context.Context) (made *scratch, drop func() error, err error) {
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // never fails
	name := "oauthdb_demo_" + hex.EncodeToString(suffix)
	u, err := withDatabase(s.url, name)
	if err != nil {
		return nil, nil, err
	}
	execute := func(ctx context.Context, doing, statement string) error {
		config, err := s.config()
		if err != nil {
			return err
		}
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		// Not given up half-way: the server would go on, and what it makes would stay.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s database %s: %w", doing, name, err)
		}
		return nil
	}
	// From template0, because template1 may be in use.
	if err := execute(ctx, "creating", "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return nil, nil, err
	}
	drop = func() error {
		return execute(context.WithoutCancel(ctx), "dropping", "DROP DATABASE "+name+" WITH (FORCE)")
	}
	return &scratch{server: &server{url: u, private: s.private, cluster: s.cluster}, name: name}, drop, nil
}

// serverVersion is what the server said of itself when it was connected to.
func serverVersion(ctx context.Context, pool *pgxpool.Pool) (string, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	version, _, _ := strings.Cut(conn.Conn().PgConn().ParameterStatus("server_version"), " ")
	return version, nil
}

// chapter is a part of the walk under one heading.
type chapter struct {
	heading string
	text    []string
	steps   []step
}

// step is one line of the walk.
type step struct {
	want string // the outcome that the note rests on
	note string // what happens, in plain English
	// do makes one call of package store, or runs one statement of another kind if aside is set. It returns the outcome,
	// and an untrueError if something else is not as the note says.
	do    func(ctx context.Context) (outcome string, err error)
	aside bool
}

func call(want, note string, do func(context.Context) (string, error)) step {
	return step{want: want, note: note, do: do}
}

// aside is what is no call of package store: another server that writes, or a look at the tables.
func aside(want, note string, do func(context.Context) (string, error)) step {
	return step{want: want, note: note, do: do, aside: true}
}

// untrueError says that the text would have told something that is not so.
type untrueError struct{ what string }

func (e *untrueError) Error() string { return e.what }

func untrue(format string, args ...any) error {
	return &untrueError{what: fmt.Sprintf(format, args...)}
}

// run takes one step after the other, prints each, and stops at the first that goes otherwise than its text says.
func (w *walk) run(ctx context.Context, chapters []chapter) error {
	for i, ch := range chapters {
		w.page.heading(i+1, ch)
		for _, st := range ch.steps {
			if err := w.take(ctx, st); err != nil {
				w.page.line("")
				return fmt.Errorf("demo: chapter %d (%s), %q: %w", i+1, ch.heading, st.note, err)
			}
		}
	}
	return nil
}

func (w *walk) take(ctx context.Context, st step) error {
	mark := w.trace.count()
	began := time.Now()
	outcome, err := st.do(ctx)
	took := time.Since(began)
	ran := w.trace.since(mark)

	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
	case outcome != st.want:
		err = untrue("it answered %q, not %q", outcome, st.want)
	case len(ran) != 1:
		err = untrue("it took %d statements where 1 was to be expected", len(ran))
	case st.aside != (ran[0].name == ""):
		err = untrue("it ran the statement %q", ran[0].name)
	}
	w.page.step(st, ran, outcome, took, err)
	if err != nil {
		return err
	}
	if st.aside {
		w.asides++
	} else {
		w.made++
		w.statements += len(ran)
		w.took += took
	}
	return nil
}

func (w *walk) summary() {
	w.page.line("")
	w.page.line("%s, %s, %s altogether, %s each on average.",
		w.page.in(bold, plural(w.made, "call", "calls")), w.page.in(bold, plural(w.statements, "statement", "statements")),
		milliseconds(w.took), milliseconds(w.took/time.Duration(max(w.made, 1))))
	w.page.line("The first time that a connection makes a call, it also has it prepared: here %d times, which is in the numbers above.", w.trace.prepares())
	w.page.line("Beside the calls, %s ran: what another server wrote, the passing of time, and looks at the tables.", plural(w.asides, "statement", "statements"))
}

// page is what the demo prints on.
type page struct {
	w io.Writer
	colours
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *page) heading(number int, ch chapter) {
	p.line("")
	p.line("%s", p.in(bold, fmt.Sprintf("%d. %s", number, ch.heading)))
	for _, text := range ch.text {
		p.line("   %s", text)
	}
	p.line("")
	p.line("   %s", p.in(dim, fmt.Sprintf(columns, "call", "outcome", "rows", "ms", "what happens")))
}

// columns are those of a line: the longest name of a call that the demo makes, the longest outcome.
const columns = "%-29s  %-15s %4s %7s  %s"

func (p *page) step(st step, ran []statement, outcome string, took time.Duration, err error) {
	if st.aside && err == nil {
		text := "- " + st.note
		if outcome != "done" {
			text += ": " + outcome
		}
		p.line("   %s", p.in(dim, text))
		return
	}
	name, rows := "(no statement)", "-"
	if len(ran) > 0 {
		name, rows = ran[0].name, fmt.Sprint(ran[0].rows)
	}
	colour := green
	switch outcome { // refusals, and what has come to an end
	case "inactive", "none", "unauthenticated", "refused", "missing", "mismatched", "invalid_scope", "replayed", "proof_replayed", "revoked", "suspended", "kept":
		colour = yellow
	}
	if err != nil {
		colour = red
		if outcome == st.want || outcome == "" { // it is something else that is not as it should be
			outcome = "error"
		}
	}
	// The outcome is padded before it is coloured, since colours have a length too.
	line := fmt.Sprintf(columns, name, "\x00", rows, fmt.Sprintf("%.1f", float64(took)/float64(time.Millisecond)), st.note)
	p.line("   %s", strings.Replace(line, fmt.Sprintf("%-15s", "\x00"), p.in(colour, fmt.Sprintf("%-15s", outcome)), 1))
}
