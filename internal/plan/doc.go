// Package plan asks PostgreSQL how it would run a statement of the data layer, and judges the answer.
//
// The plan asked for is mostly the generic one: that which serves any parameters, and which a prepared statement ends with. [Explain]
// gets it, and [ExplainFor] the custom one for given arguments; [Settings] keeps the server's configuration out of it, and [Judge] holds it against the rules:
//
//   - no table that grows is read from end to end (Seq Scan), and every index is entered by a condition; an index may only
//     be walked in its order where a LIMIT ends the walk;
//   - nothing is sorted, hashed or kept aside whose number of rows grows with a table.
//
// Whether something grows is not guessed from names: the same statement is explained on two sizes of the same database
// (package sample), and what has more rows in the larger one grows.
//
// The package explains and judges. It changes nothing but the settings of the connection that it is given.
package plan
