// Package dbotel traces the statements of a pool with OpenTelemetry, and measures them. It is a module of its own, so that
// whoever doesn't use it doesn't depend on OpenTelemetry.
//
//	pool, err := db.Open(ctx, url, db.Options{Tracer: dbotel.NewTracer(dbotel.Options{})})
//	if err != nil {
//		return err
//	}
//	err = dbotel.RecordStats(pool, dbotel.Options{})
//
// A span is named after the call of package store that it is, RedeemAuthorizationCode, say; one of an application's own
// statements after its sqlc name too, or else its keyword, SELECT. Preparing it and connecting have spans of their own. There
// are spans only below one that records: the tracer begins no trace.
//
// Tokens, digests and people's data pass through these statements, so nothing of their values is recorded: no parameters, no
// SQL text, and of errors what [db.Describe] leaves, in statuses and events alike.
//
// It is built on github.com/exaring/otelpgx, and its metrics are those of that package: db.client.operation.duration with the
// name of the call, db.client.operation.errors, and pgxpool.* for the pool.
package dbotel
