package main

import (
	"context"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/migrations"
)

func TestMigrateStatusAndRollback(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	newest := files[len(files)-1]
	did := func(verb, file string) string { return verb + ` +` + regexp.QuoteMeta(file) + ` +\d+\.\d ms\n` }
	const connect = `connect with postgres://[^ ]*\n`
	var applied, undid, pending string
	for _, file := range files {
		applied += did("applied", file)
		undid = did("undid", file) + undid
		pending += regexp.QuoteMeta(file) + ` +pending *\n`
	}
	number := func(file string) string { return strings.TrimLeft(strings.SplitN(file, "_", 2)[0], "0") }

	for _, step := range []struct {
		args string
		code int
		want string // the whole output, as a regular expression
	}{
		{"status", exitDone, pending + `5 of 5 pending: run 'oauthdb migrate'\n` + connect},
		{"status -check", exitFailed, pending + `5 of 5 pending: run 'oauthdb migrate'\n` + connect},
		{"rollback -yes", exitDone, `nothing to undo, at version 0\n`},
		{"rollback", exitUsage, ``},
		{"migrate", exitDone, applied + `now at version ` + number(newest) + `\n` + connect},
		{"migrate", exitDone, `up to date, at version ` + number(newest) + `\n` + connect},
		{"status -check", exitDone, `([0-9a-z_.]+ +applied +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n)+up to date\n` + connect},
		{"rollback", exitUsage, ``},
		{"rollback -yes", exitDone, did("undid", newest) + `now at version \d+\n`},
		{"migrate", exitDone, did("applied", newest) + `now at version ` + number(newest) + `\n` + connect},
		{"rollback -yes -to " + number(newest), exitDone, `nothing to undo, at version ` + number(newest) + `\n`},
		{"rollback -yes -to 0", exitDone, undid + `now at version 0\n`},
	} {
		want := strings.ReplaceAll(step.want, `5 of 5`, regexp.QuoteMeta(plural(len(files), "", "")+"of "+plural(len(files), "", "")))
		want = strings.ReplaceAll(want, "  ", " ")
		args := strings.Fields(step.args)
		code, out, errors := oauthdb(t, append(args[:1:1], append([]string{"-database-url", url}, args[1:]...)...)...)
		if code != step.code || !regexp.MustCompile(`^`+want+`$`).MatchString(out) {
			t.Fatalf("%s: exit code %d, output\n%s\nerrors\n%s\nwant exit code %d, output\n%s", step.args, code, out, errors, step.code, want)
		}
		if secret := password(t, url); secret != "" && strings.Contains(out+errors, secret) {
			t.Errorf("%s: prints the password of a server that is not ours", step.args)
		}
	}
}

func password(t *testing.T, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return config.Password
}

func TestAMigrationThatCannotGetItsLockIsExplained(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	if code, _, errors := oauthdb(t, "migrate", "-database-url", url); code != exitDone {
		t.Fatal(errors)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE "user", jwks IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	code, _, errors := oauthdb(t, "rollback", "-to", "0", "-yes", "-lock-timeout", "50ms", "-database-url", url)
	if code != exitFailed || !strings.Contains(errors, "run it again when the database is less busy") {
		t.Errorf("exit code %d, errors %q", code, errors)
	}
}

func TestADatabaseOfOtherFilesIsNotCalledUpToDate(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	if code, _, errors := oauthdb(t, "migrate", "-database-url", url); code != exitDone {
		t.Fatal(errors)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `UPDATE oauthdb_version SET file_sha256 = repeat('0', 64) WHERE version_id = 2`); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"migrate", "status", "status -check", "rollback -yes"} {
		words := strings.Fields(args)
		code, out, errors := oauthdb(t, append(words[:1:1], append([]string{"-database-url", url}, words[1:]...)...)...)
		if code != exitFailed || strings.Contains(out, "up to date") || !strings.Contains(errors, "has changed since it was applied") ||
			!strings.Contains(errors, "make the database anew") {
			t.Errorf("%s: exit code %d, output\n%s\nerrors\n%s", args, code, out, errors)
		}
		if words[0] == "status" && !regexp.MustCompile(`(?m)^00002_\S+ +applied from another file `).MatchString(out) {
			t.Errorf("%s: doesn't mark the file:\n%s", args, out)
		}
	}
}
