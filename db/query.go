package db

import "strings"

// QueryName is the name that sqlc put into the first line of a statement, "-- name: RedeemAuthorizationCode :one", or else
// empty. Traces, log lines and tests that count statements use it: it says which call it was, and nothing of its values.
func QueryName(sql string) string {
	rest, ok := strings.CutPrefix(strings.TrimLeft(sql, " \t\r\n"), "-- name:")
	if !ok {
		return ""
	}
	line, _, _ := strings.Cut(rest, "\n")
	name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	if strings.ContainsFunc(name, notInName) {
		return ""
	}
	return name
}

func notInName(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
