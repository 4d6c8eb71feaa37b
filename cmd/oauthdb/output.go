package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// printer writes what a command has found or done, for people or, with -json, for programs.
type printer struct{ json bool }

func (p *printer) register(flags *flag.FlagSet) {
	flags.BoolVar(&p.json, "json", false, "print JSON, one object a line; errors too")
}

// record is something that a command prints. Its JSON fields are listed in docs/command.md, and stay as they are.
type record interface {
	// text writes the record for people.
	text(w io.Writer)
}

func (p *printer) print(w io.Writer, r record) {
	if p.json {
		writeJSON(w, r)
		return
	}
	r.text(w)
}

// row is a record that is listed in a table.
type row interface {
	cells() []string
}

// list prints pages of rows under a heading until one is empty. With -json each row is an object of its own.
func list[R row](p *printer, w io.Writer, heading string, next func() ([]R, error)) error {
	printed := false
	for {
		rows, err := next()
		if err != nil || len(rows) == 0 {
			return err
		}
		if p.json {
			for _, r := range rows {
				writeJSON(w, r)
			}
			continue
		}
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if !printed {
			fmt.Fprintln(tw, strings.ReplaceAll(heading, " ", "\t"))
		}
		for _, r := range rows {
			fmt.Fprintln(tw, strings.TrimRight(strings.Join(r.cells(), "\t"), "\t"))
		}
		tw.Flush()
		printed = true
	}
}

func writeJSON(w io.Writer, v any) { w.Write(encode(v, "", "")) }

// encode is JSON that a terminal can show: what it would obey is escaped.
func encode(v any, prefix, indent string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, indent)
	if err := e.Encode(v); err != nil {
		panic(err) // every record can be encoded
	}
	if !bytes.ContainsFunc(b.Bytes(), isObeyed) {
		return b.Bytes()
	}
	var shown bytes.Buffer
	for _, r := range b.String() {
		if r != '\n' && isObeyed(r) { // within a string, where it can be escaped
			fmt.Fprintf(&shown, `\u%04x`, r)
		} else {
			shown.WriteRune(r)
		}
	}
	return shown.Bytes()
}

// fields writes pairs of a name and a value, a line each. A pair whose value is empty is left out.
func fields(w io.Writer, pairs ...string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", pairs[i], pairs[i+1])
		}
	}
	tw.Flush()
}

// What a value looks like to people: times in UTC, lists with spaces, and nothing for what there isn't.

func timeText(t time.Time) string { return t.UTC().Format(time.DateTime + " UTC") }

func optionalTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return timeText(*t)
}

func optional[S ~string](s *S) string {
	if s == nil {
		return ""
	}
	return printable(string(*s))
}

// printable is a text from the database as a terminal may have it: others have written it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isObeyed(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// isObeyed says whether a terminal does something at a character, or writes what follows it in another direction, instead of showing it.
func isObeyed(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

func yes(b bool, text string) string {
	if b {
		return text
	}
	return ""
}

func utc(t time.Time) time.Time { return t.UTC() }

func optionalUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

// change is what a call has answered that changes something.
type change struct {
	Outcome         store.Outcome         `json:"outcome"`
	DryRun          bool                  `json:"dry_run"` // then nothing has changed
	ClientID        store.ClientID        `json:"client_id,omitempty"`
	ClientSecret    string                `json:"client_secret,omitempty"` // the one credential that is ever printed: the one that was made
	UserID          store.UserID          `json:"user_id,omitempty"`
	SessionID       store.SessionID       `json:"session_id,omitempty"`
	AuthorizationID store.AuthorizationID `json:"authorization_id,omitempty"`
	KeyID           store.SigningKeyID    `json:"key_id,omitempty"`
	KeyIDs          []store.SigningKeyID  `json:"key_ids,omitempty"`
	Sessions        *int64                `json:"sessions,omitempty"` // that had not been ended before
	Clients         *int64                `json:"clients,omitempty"`
	ExpiresAt       *time.Time            `json:"expires_at,omitempty"`
	Says            string                `json:"message"`
}

func (c change) text(w io.Writer) {
	if c.DryRun {
		fmt.Fprintf(w, "dry run, rolled back: %s\n", c.Says)
		return
	}
	fmt.Fprintln(w, c.Says)
	if c.Outcome == store.OutcomeRegistered || c.ClientSecret != "" {
		fields(w, "client_id", printable(string(c.ClientID)), "client_secret", c.ClientSecret, "secret expires", optionalTime(c.ExpiresAt))
	}
}

// changing is what all commands that change something have in common.
type changing struct {
	target
	printer
	dryRun   bool
	together bool // more than one call, and all of them or none
}

func (ch *changing) register(flags *flag.FlagSet) {
	ch.target.register(flags)
	ch.registerPooler(flags)
	ch.printer.register(flags)
	flags.BoolVar(&ch.dryRun, "dry-run", false, "say what would change, and change nothing: the transaction is rolled back")
}

// run makes a change, or rolls it back, and prints what came of it. What do answers beside notFound and refuse is a fault.
func (ch *changing) run(ctx context.Context, c console, do func(ctx context.Context, q *store.Queries) (change, error)) error {
	return ch.withPool(ctx, c, func(pool *pgxpool.Pool) error {
		var done change
		err := ch.call(ctx, pool, func(q *store.Queries) (err error) {
			done, err = do(ctx, q)
			return err
		})
		if err != nil {
			return err
		}
		ch.report(c, done)
		return nil
	})
}

// call makes the calls of a change, or makes them and takes them back.
func (ch *changing) call(ctx context.Context, pool *pgxpool.Pool, do func(q *store.Queries) error) error {
	switch {
	case ch.dryRun:
		return rolledBack(ctx, pool, do)
	case ch.together:
		return db.InTx(ctx, pool, db.TxOptions{}, func(tx pgx.Tx) error { return do(store.New(tx)) })
	}
	return do(store.New(pool))
}

func (ch *changing) report(c console, done change) {
	if ch.dryRun {
		done.DryRun, done.ClientSecret = true, "" // it was never stored
	}
	ch.print(c.out, done)
}

// rolledBack runs do in a transaction and takes back what it has done.
func rolledBack(ctx context.Context, pool *pgxpool.Pool, do func(q *store.Queries) error) error {
	errDone := errors.New("done")
	err := db.InTx(ctx, pool, db.TxOptions{}, func(tx pgx.Tx) error {
		if err := do(store.New(tx)); err != nil {
			return err
		}
		return errDone
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// withPool opens the database of a command that makes calls.
func (t *target) withPool(ctx context.Context, c console, do func(pool *pgxpool.Pool) error) error {
	s, err := t.open(ctx, c)
	if err != nil {
		return err
	}
	pool, err := s.pool(ctx, db.Options{MaxConns: 2, PgBouncer: t.pgbouncer})
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(pool)
}

// reading is what all commands that only read have in common.
type reading struct {
	target
	printer
}

func (r *reading) register(flags *flag.FlagSet) {
	r.target.register(flags)
	r.registerPooler(flags)
	r.printer.register(flags)
}

func (r *reading) run(ctx context.Context, c console, do func(q *store.Queries) error) error {
	return r.withPool(ctx, c, func(pool *pgxpool.Pool) error { return do(store.New(pool)) })
}

// pageSize is how many rows a list fetches at a time.
const pageSize = 500

func noSuch(what, id string) error { return notFound("no such %s: %q", what, id) }

// secretFrom reads a credential from a file, or from standard input if it is called -. Without a file it makes one.
func secretFrom(c console, file string, kind token.Kind) (token.Raw, bool, error) {
	if file == "" {
		return token.Mint(kind), true, nil
	}
	content, err := readFile(c, file, 64<<10)
	if err != nil {
		return token.Raw{}, false, err
	}
	raw, err := token.ParseForeign(kind, string(bytes.TrimRight(content, "\r\n")))
	if err != nil {
		return token.Raw{}, false, usage("%s: %w", file, err)
	}
	return raw, false, nil
}
