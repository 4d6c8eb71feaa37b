package db_test

import (
	"testing"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

func TestQueryNameIsTheOneThatSqlcWrote(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		store.SQL("CreateAccount"):                     "CreateAccount",
		"-- name: GetClient :one\nSELECT 1":            "GetClient",
		"\n\t-- name: GetClient :one\nSELECT 1":        "GetClient",
		"-- name: GetClient\r\nSELECT 1":               "GetClient",
		"-- name: GetClient":                           "GetClient",
		"-- name:\nSELECT 1":                           "",
		"SELECT 1":                                     "",
		"SELECT 1 -- name: GetClient :one":             "",
		"/* name: GetClient */ SELECT 1":               "",
		"-- a comment\n-- name: GetClient :one\nBEGIN": "",
		"-- name: alice@wonderland.example\nSELECT 1":  "",
		"": "",
	} {
		if got := db.QueryName(sql); got != want {
			t.Errorf("QueryName(%q) is %q, want %q", sql, got, want)
		}
	}
}
