package migrations

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pinned are the settings of a session that migrates, whatever the database, the role or the connection string say, so that
// a file makes the same schema everywhere. Those that the server doesn't know are left out.
//
// Of the search_path only the schema is kept in which tables are made; see pin. Not pinned are: role, which says whose the tables are;
// default_tablespace, temp_tablespaces and default_toast_compression, which say how they are stored and change no answer; and settings that
// change only messages, plans or what deparsed definitions look like (lc_messages, escape_string_warning,
// quote_all_identifiers, enable_*).
var pinned = []struct{ name, value string }{
	// What the text of a file means: a backslash in '…', \' in E'…', the bytes of the file, x = NULL (x IS NULL if it is
	// transformed), NULL in '{NULL}', and whether an XML literal is a document.
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"client_encoding", "UTF8"},
	{"transform_null_equals", "off"},
	{"array_nulls", "on"},
	{"xmloption", "content"},

	// Which value a literal of a time or an interval is, in a default, a CHECK or an INSERT; and how a value reads that a
	// statement turns into text. The version table's tstamp is in this time zone too.
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"timezone_abbreviations", "Default"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"xmlbinary", "base64"},

	// Which transactions goose begins. Under serializable, a busy database could refuse a file that fills a column; a
	// deferrable one waits, and a read only one can't migrate at all.
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},

	// What a statement does beside its text. With check_function_bodies off, as after a restore, a broken function is stored. With
	// row_security on, a policy of the operator's could hide rows from an UPDATE that fills a column; off, that is an
	// error. As a replica (which only a superuser can set, and undo) triggers and foreign keys would not fire. Locks and
	// fillfactor are those of heap tables.
	{"check_function_bodies", "on"},
	{"row_security", "off"},
	{"session_replication_role", "origin"},
	{"default_table_access_method", "heap"},

	// How long a file takes depends on the size of the tables, and a run may be idle while it waits for another. There
	// is one bound, lock_timeout, which session sets. transaction_timeout is there since PostgreSQL 17.
	{"idle_session_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"transaction_timeout", "0"},
}

// ownSettings are those that a run sets itself.
func ownSettings() []string {
	names := []string{"statement_timeout", "lock_timeout"}
	for _, s := range pinned {
		names = append(names, s.name)
	}
	return names
}

// pin sets what is pinned. It can't be done by startup parameters: PgBouncer refuses those that it doesn't know.
func pin(ctx context.Context, conn *pgx.Conn) error {
	// First alone, and again: the statement that lifts a very short timeout is subject to it itself.
	err := patiently(ctx, func() error {
		_, err := conn.Exec(ctx, "SET statement_timeout = 0")
		return err
	})
	if err == nil { // the next shortest, as the one below takes some milliseconds
		_, err = conn.Exec(ctx, `
			SELECT set_config('transaction_timeout', '0', false)
			WHERE current_setting('transaction_timeout', true) IS NOT NULL`)
	}
	if err != nil {
		return fmt.Errorf("lift the timeouts of the migration session: %w", err)
	}

	// Without parameters, which pgx doesn't send as text while standard_conforming_strings is off. What is as it should be isn't
	// set, since setting it may take a superuser.
	var values []string
	for _, s := range pinned {
		values = append(values, fmt.Sprintf("('%s', '%s')", s.name, s.value))
	}
	_, err = conn.Exec(ctx, `
		SELECT set_config(s.name, p.value, false)
		FROM pg_catalog.pg_settings AS s
		JOIN (VALUES `+strings.Join(values, ", ")+`) AS p (name, value) ON p.name = s.name
		WHERE s.setting <> p.value`)
	if err != nil {
		return fmt.Errorf("set up the migration session: %w", err)
	}
	return nil
}

// searchSchemaFirst sets the search_path of a run: the schema, and temporary tables after it. A function with SET search_path FROM
// CURRENT keeps it. Where pg_temp isn't named, it comes first, and a temporary table would stand in for one of the schema.
func searchSchemaFirst(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false)
		WHERE current_schema() IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("set the search_path of the migration session: %w", err)
	}
	return nil
}
