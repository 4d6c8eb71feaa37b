// Package plan asks PostgreSQL how it would run a statement of the data layer, and judges the answer.
//
// [Explain] returns the generic plan, which serves any parameters and is what a prepared statement ends up with. [ExplainFor]
// returns the custom plan for given arguments. [Settings] makes plans independent of the server's configuration. [Judge]
// checks a plan against the rules:
//
//   - no table that grows is read from end to end (Seq Scan), and every index is entered by a condition; an index may only
//     be walked in its order where a LIMIT ends the walk;
//   - nothing is sorted, hashed or kept aside whose number of rows grows with a table.
//
// A table grows if it has more rows in the larger of two databases (package sample), on both of which the statement is
// explained.
//
// The package explains and judges. It changes nothing but the settings of the connection that it is given.
package plan
