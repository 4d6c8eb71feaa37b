// Command endings measures this core beside an earlier one, in two databases of one server and in one run: the calls that every
// request makes, and every ending with one family and with very many of the same user, client and session.
//
//	go run -C bench ./endings
//
// The earlier core is read from the repository's history, so it takes a clone that is not shallow.
package main
