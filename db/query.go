package db

import "github.com/oauthdb/oauthdb/internal/queryfile"

// QueryName is the name that sqlc put into the first line of a statement, "-- name: RedeemAuthorizationCode :one", or else
// empty. Traces, log lines and tests that count statements use it: it says which call it was, and nothing of its values.
func QueryName(sql string) string {
	name, _, _ := queryfile.Header(sql)
	return name
}
