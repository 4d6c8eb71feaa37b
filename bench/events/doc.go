// Command events measures what security events cost: calls with the setting off, with it on, and with noted cut out of their text, in turn,
// in three databases of one server.
//
//	go run -C bench ./events
package main
