package main

import (
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/pgbouncer"
)

// What needs a session of its own, or settings that a pooler doesn't keep, says so and changes nothing.
func TestCommandsThroughAPooler(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	transaction := pgbouncer.Start(t, url, pgbouncer.Options{})
	dropping := pgbouncer.Start(t, url, pgbouncer.Options{Mode: "session", Settings: map[string]string{"ignore_startup_parameters": "search_path"}})
	with := func(address, params string) string { return address + "&" + params }
	for _, test := range []struct {
		url, args string
		code      int
		says      string
	}{
		{transaction, "migrate", exitFailed, "connect to PostgreSQL itself or to a pooler in session mode"},
		{transaction, "rollback -yes", exitFailed, "connect to PostgreSQL itself or to a pooler in session mode"},
		{transaction, "gc", exitFailed, "Connect to PostgreSQL itself with -database-url"},
		{with(transaction, "search_path=realm"), "status", exitFailed, "Connect to PostgreSQL itself with -database-url"},
		{with(dropping, "search_path=realm"), "migrate", exitFailed, "search_path = 'realm'"},
		{with(dropping, "search_path=realm"), "status", exitFailed, "search_path = 'realm'"},
		{with(dropping, "search_path=realm&statement_timeout=1s"), "migrate", exitFailed, "unsupported startup parameter: statement_timeout"},
		{url, "status -check", exitFailed, "pending"}, // nothing was applied
		{transaction, "status -check", exitFailed, "pending"},
		{dropping, "migrate", exitDone, ""},
		{transaction, "status -check", exitDone, ""},
	} {
		args := strings.Fields(test.args)
		code, out, errors := oauthdb(t, append([]string{args[0], "-database-url", test.url}, args[1:]...)...)
		if code != test.code || !strings.Contains(errors, test.says) {
			t.Errorf("%s: exit code %d, output\n%s\nerrors\n%s\nwant exit code %d and %q", test.args, code, out, errors, test.code, test.says)
		}
	}
}
