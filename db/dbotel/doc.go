// Package dbotel traces and measures the statements of a pool with OpenTelemetry. It is a module of its own, so that only its
// users depend on OpenTelemetry.
//
//	pool, err := db.Open(ctx, url, db.Options{Tracer: dbotel.NewTracer(dbotel.Options{})})
//	if err != nil {
//		return err
//	}
//	err = dbotel.RecordStats(pool, dbotel.Options{})
//
// A span has the name of the call of package store, for example RedeemAuthorizationCode. For a statement of the application it
// is the sqlc name, or else the keyword, such as SELECT. Preparing a statement and connecting have spans of their own. The
// tracer starts no traces: it adds spans only below a span that is recording.
//
// Tokens, digests and personal data pass through these statements, so no values are recorded: no parameters and no SQL text.
// Of an error, statuses and events contain only what [db.Describe] returns.
//
// [Metrics] counts calls by their outcomes, among which are the signs of attacks. [RecordBacklog] reports what is left to do, and
// [RecordReplica] who answers introspections. docs/monitoring.md has a dashboard and alerts for all of it.
//
// The tracer is built on github.com/exaring/otelpgx, and its metrics are those of that package: db.client.operation.duration with the
// name of the call, db.client.operation.errors, and pgxpool.* for the pool.
package dbotel
