package main

import (
	"testing"

	"github.com/oauthdb/oauthdb/migrations/roles"
)

func TestRolesPrintsTheScripts(t *testing.T) {
	t.Parallel()
	o := roles.Options{Schema: "auth", Owner: "o", Application: "a", Collector: "c", Auditor: "u", Peer: "p", VersionTable: "auth.version"}
	named := []string{"-schema", "auth", "-owner", "o", "-application", "a", "-collector", "c", "-auditor", "u", "-peer", "p", "-version-table", "auth.version"}
	for _, c := range []struct {
		args  []string
		write func(roles.Options) (string, error)
		with  roles.Options
	}{
		{nil, roles.Privileges, roles.Options{}},
		{[]string{"-create"}, roles.Create, roles.Options{}},
		{named, roles.Privileges, o},
		{append(named, "-create"), roles.Create, o},
	} {
		want, err := c.write(c.with)
		if err != nil {
			t.Fatal(err)
		}
		code, out, errors := oauthdb(t, append([]string{"roles"}, c.args...)...)
		if code != exitDone || out != want || errors != "" {
			t.Errorf("%q: exit %d, %s, %q", c.args, code, errors, out)
		}
	}
}
