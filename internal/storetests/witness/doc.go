// Package witness makes calls on many connections until the server goes away, and remembers what each was answered. When there
// is a server again, it holds the answers against the database: what was acknowledged has to be there, and what got no answer
// is repeated and has to converge.
//
// The tests of crash and failover differ in what happens to the server. What has to hold afterwards is written here.
package witness
