// Package migrations is the schema of oauthdb: numbered SQL files, and the calls that apply them.
//
// A deployment step, or a server as it starts, brings a database up to date with one call:
//
//	conn, err := sql.Open("pgx", url) // import _ "github.com/jackc/pgx/v5/stdlib"
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	applied, err := migrations.Up(ctx, conn, migrations.Options{Logger: slog.Default()})
//
// If you have a pgx pool already, pass stdlib.OpenDBFromPool(pool). A server whose role may not alter the schema
// asks [Pending] instead, which only reads, and refuses to start on a schema older than its own.
//
// # What a run guarantees
//
//   - Runs are serialised. Each holds a session-level advisory lock of oauthdb's own, so that of several servers that
//     start together one migrates and the others wait ([Options.LockWait]), then find nothing left to do. The lock is
//     polled for, never queued for: a session that waits inside a statement holds a snapshot, and CREATE INDEX
//     CONCURRENTLY would wait for it in turn.
//   - A file is applied whole or not at all: it runs in a transaction, together with the row that records its version.
//     When it fails, the version before it stands, and [Error] says which file it was.
//   - A file marked NO TRANSACTION holds one statement. When CREATE INDEX CONCURRENTLY fails it leaves an invalid index
//     behind, which has to be dropped before the next run.
//   - Statements don't queue for a table lock longer than [Options.LockTimeout], since everything that comes after them
//     queues too. Files marked NO TRANSACTION are exempt: concurrent index builds block nobody, and wait for older
//     transactions by design.
//   - A file makes the same schema everywhere: what decides the meaning of its text, its transactions and its timeouts is
//     set for the run, whatever the role, the database or the connection string say. No statement_timeout applies, since how
//     long a statement takes depends on the size of the tables.
//   - Each version is recorded with the name and SHA-256 of its file. On a database whose versions came from other files, because a file
//     was edited or renumbered, nothing is applied or undone: [ChangedError] says which file differs.
//
// # What a connection must offer
//
// A run changes the schema on a connection of its own, which it opens with the configuration of the one it is given and
// closes at the end; hooks of a pool, such as AfterConnect, don't run on it. The driver has to be pgx's for database/sql.
// The session lock and settings belong to one server session, so connect to PostgreSQL itself or to a pooler in session
// mode. Through a pooler in transaction mode a run is refused with a [PoolerError] before it changes anything. Connect as the
// role that is to own the tables; they are created in the first schema of the search_path.
//
// A run notices a pooler by the number of the server process, which a pooler can't pass on; a relay that passes on bytes isn't
// noticed and does no harm. Whether the pooler keeps a session for its client is tried out on two further connections. What can't be
// told is refused, and so is a connection that lacks a setting that it asked for, such as search_path.
//
// [Status], [Pending] and [Version] read in single statements, and work through any pooler on a pool that prepares nothing by
// name, such as one of package db with Options.PgBouncer. They too refuse a connection that lacks a setting that it asked for, which is
// known of connections of pgx's driver.
//
// # Beside other migrations
//
// Applied versions are recorded in a table of our own, oauthdb_version, so that an application which keeps its migrations
// with goose in the same database has its goose_db_version to itself. The table is goose's with two more columns, file_name and
// file_sha256. A version that other goose tooling has applied lacks them, and is refused with a [ChangedError].
//
// # Keeping the files
//
// A file that has landed is never edited, renumbered or removed. migrations.sum lists each with its SHA-256, `make check` compares
// them, and `make sums` adds the lines of new files. The functions of the schema are kept in routines/, and `make routine` writes
// the migration that brings a change of one.
package migrations
