package db

import "github.com/oauthdb/oauthdb/internal/queryfile"

// QueryName returns the name that sqlc put into the first line of a statement, such as "-- name: RedeemAuthorizationCode
// :one". It is empty if there is none. It is for traces, log lines and tests: it names the call and reveals none of its
// values.
func QueryName(sql string) string {
	name, _, _ := queryfile.Header(sql)
	return name
}
