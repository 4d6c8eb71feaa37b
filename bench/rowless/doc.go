// Command rowless measures what an access token without a row saves: redemptions and rotations with and without the row, and what a
// resource server's question costs, in turn, in two databases of one server.
//
//	go run -C bench ./rowless
package main
