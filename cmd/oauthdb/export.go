package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// exportRecord is a row of a table that is about a user, by the names of its columns, without what authenticates.
type exportRecord struct {
	Table string          `json:"table"`
	Row   json.RawMessage `json:"row"`
}

var exportCommand = command{
	name:    "export",
	operand: "USER",
	summary: "print all that is kept of a user, as the GDPR gives everybody the right to",
	details: `One JSON document, of one moment: for each table the rows that are about the user, what is over and waits for the collector included.
With -json it is an object for each row. USER is an id or an e-mail address; a deleted user has only the id, and what is left is printed.

It has no credential in any form: no hash of a password, no digest, no secret of an app, no token. ExportUser, the call that it makes, says what
is left out. What the application keeps of the user elsewhere is for the application to add.`,
	record: exportRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			return r.withPool(ctx, c, func(pool *pgxpool.Pool) error {
				// all pages are of one moment
				snapshot := db.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly, Attempts: 1}
				return db.InTx(ctx, pool, snapshot, func(tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, `SET LOCAL TimeZone = 'UTC'`); err != nil {
						return err
					}
					return export(ctx, store.New(tx), flags.Arg(0), &exportWriter{w: c.out, json: r.json})
				})
			})
		}
	},
}

// export writes what is kept of a user, a page at a time.
func export(ctx context.Context, q *store.Queries, name string, w *exportWriter) error {
	p := store.ExportUserParams{UserID: store.UserID(name), PageSize: pageSize}
	rows, err := q.ExportUser(ctx, p)
	if err == nil && len(rows) == 0 { // nobody has had this id; perhaps it is an address
		var u store.User
		if u, err = findUser(ctx, q, name); err != nil {
			return err
		}
		p.UserID = u.ID
		rows, err = q.ExportUser(ctx, p)
	}
	if err != nil {
		return err
	}
	w.begin(p.UserID)
	for ; len(rows) > 0 && err == nil; rows, err = q.ExportUser(ctx, p) {
		for _, row := range rows {
			w.write(exportRecord{Table: row.TableName, Row: row.Data})
			p.AfterTableName, p.AfterID = row.TableName, row.ID
		}
	}
	if err != nil {
		return err
	}
	w.end()
	return nil
}

// exportWriter writes rows as they come: an object each or, for people, one document with a list for each table.
type exportWriter struct {
	w     io.Writer
	json  bool
	table string // whose list is open
}

func (w *exportWriter) begin(user store.UserID) {
	if !w.json {
		fmt.Fprintf(w.w, "{\n  \"exported_at\": %s,\n  \"user_id\": %s", value(time.Now().UTC()), value(user))
	}
}

func (w *exportWriter) write(r exportRecord) {
	switch {
	case w.json:
		writeJSON(w.w, r)
		return
	case r.Table == w.table:
		fmt.Fprint(w.w, ",\n    ")
	default:
		w.close()
		fmt.Fprintf(w.w, ",\n  %s: [\n    ", value(r.Table))
	}
	w.table = r.Table
	w.w.Write(bytes.TrimSuffix(encode(r.Row, "    ", "  "), []byte("\n")))
}

func (w *exportWriter) close() {
	if w.table != "" {
		fmt.Fprint(w.w, "\n  ]")
	}
}

func (w *exportWriter) end() {
	if !w.json {
		w.close()
		fmt.Fprint(w.w, "\n}\n")
	}
}

// value is a value in JSON, on a line.
func value(v any) []byte { return bytes.TrimSuffix(encode(v, "", ""), []byte("\n")) }
