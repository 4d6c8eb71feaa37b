// Package storetest gives a test a PostgreSQL database of its own, with the schema of
// oauthdb in it, in one line:
//
//	func TestSignIn(t *testing.T) {
//		t.Parallel()
//		db := storetest.New(t)
//		_, err := db.Store.CreateUser(t.Context(), store.CreateUserParams{...})
//		...
//	}
//
// The database is real, so that a test sees what production sees: constraints, locks,
// and outcomes that two transactions decide between them. It is a copy of a template that
// is migrated once for each state of the migrations, so it costs some tens of
// milliseconds, and tests run in parallel, in one package and in many.
//
// # Where the server comes from
//
// The environment variable DATABASE_URL names one, as
// postgres://user:password@host:port/database. Its role has to be a superuser, because
// the package creates a role for the tests and marks the template; tests themselves run
// as that role, which owns its databases and can do nothing else. Use a server that is
// there for tests: nothing is touched but databases named testdb_tpl_…, but a server under
// test is a busy one.
//
// Without DATABASE_URL a server is started, with the PostgreSQL 15 or newer that is
// installed, and left running for the next run. It keeps its data in the user's cache
// directory and is tuned to lose them. PG=18 asks for a major version.
//
// # When a test fails
//
// Its database is kept, and the test says how to look at it with psql. On a server that
// this package started, the twenty newest stay for a day. On that of DATABASE_URL they all
// stay until somebody drops them.
//
// # Time zone
//
// Sessions are in a time zone that is not a whole number of hours from UTC, so that a
// test fails where code forgets that timestamps have one; see [TimeZone].
package storetest
