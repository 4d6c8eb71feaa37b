package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"
)

// Source is the PostgreSQL database of another server. It is read in one read-only transaction, so that what is read fits together, and row
// by row, so that it doesn't matter how much there is.
type Source struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

// OpenSource connects to a database, and begins to read it. No error has its password.
func OpenSource(ctx context.Context, connection string) (*Source, error) {
	config, err := pgx.ParseConfig(connection) // its error hides the password
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // which prepares nothing, as a pooler may stand in between
	config.RuntimeParams["application_name"] = "oauthdb import"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Source{conn: conn}
	if s.tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err == nil {
		// a query lasts as long as its rows are written elsewhere
		_, err = s.tx.Exec(ctx, "SET LOCAL statement_timeout = 0; SET LOCAL TimeZone = 'UTC'")
	}
	if err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return s, nil
}

// Close disconnects.
func (s *Source) Close() error { return s.conn.Close(context.Background()) }

// Has says whether there is a column of a table.
func (s *Source) Has(ctx context.Context, table, column string) (found bool, err error) {
	err = s.tx.QueryRow(ctx, `SELECT EXISTS (
		SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND NOT a.attisdropped
	)`, table, column).Scan(&found)
	return found, err
}

// Objects are what a query returns: one JSON object in each row.
func (s *Source) Objects(ctx context.Context, sql string, args ...any) iter.Seq2[map[string]json.RawMessage, error] {
	return func(yield func(map[string]json.RawMessage, error) bool) {
		rows, err := s.tx.Query(ctx, sql, args...)
		if err != nil {
			yield(nil, fmt.Errorf("the source: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var row []byte
			var o map[string]json.RawMessage
			if err := rows.Scan(&row); err != nil {
				yield(nil, fmt.Errorf("the source: %w", err))
				return
			}
			if err := json.Unmarshal(row, &o); err != nil {
				yield(nil, fmt.Errorf("the source: %w", err))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, fmt.Errorf("the source: %w", err))
		}
	}
}

// ofKind gives items their kind.
func ofKind(kind Kind, items iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range items {
			item.Kind = kind
			if !yield(item, err) {
				return
			}
		}
	}
}

// inTurn are the items of the first, then those of the second and so on.
func inTurn(all ...iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, items := range all {
			for item, err := range items {
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}
