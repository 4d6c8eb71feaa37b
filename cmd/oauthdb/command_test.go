package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/pgbouncer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The pages that show commands as they run, and the one of them that lists what they print.
const (
	manual = "../../docs/command.md"
	guide  = "../../docs/import.md"
)

var writePage = flag.Bool("write-page", false, "write what commands print, and the lists of flags and fields, into docs/command.md and docs/import.md")

// TestThePagesShowCommandsAsTheyRun runs the commands of each page in order, and compares what they print but for what differs from run to
// run.
func TestThePagesShowCommandsAsTheyRun(t *testing.T) {
	t.Parallel()
	ran := map[string]bool{}
	pages := map[string]string{}
	for _, name := range []string{manual, guide} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = newWorld(t).page(string(content), ran)
	}
	for _, cmd := range commands() {
		if cmd.record != nil && !ran[cmd.name] && !slices.Contains([]string{"status", "url", "start", "stop"}, cmd.name) { // which are about this machine, or long
			t.Errorf("no page shows %s", cmd.name)
		}
	}
	text := pages[manual]
	for _, part := range []struct{ name, text string }{{"flags", flagList(t)}, {"fields", fieldList(t)}} {
		begin, end := "<!-- "+part.name+":begin -->\n", "<!-- "+part.name+":end -->\n"
		i, j := strings.Index(text, begin), strings.Index(text, end)
		if i < 0 || j < i {
			t.Fatalf("the page has no part %q", part.name)
		}
		if text[i+len(begin):j] != part.text && !*writePage {
			t.Errorf("the list of %s is not as commands have them:\n%s", part.name, part.text)
		}
		text = text[:i+len(begin)] + part.text + text[j:]
	}
	if pages[manual] = text; *writePage {
		for name, text := range pages {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// page runs the commands of a page, and returns it with what they print.
func (w *world) page(content string, ran map[string]bool) string {
	t := w.t
	t.Helper()
	var b strings.Builder
	rest := content
	for {
		before, block, ok := strings.Cut(rest, "```console\n")
		b.WriteString(before)
		if !ok {
			break
		}
		shown, after, _ := strings.Cut(block, "```\n")
		b.WriteString("```console\n")
		for i, step := range strings.Split("\n"+strings.TrimSuffix(shown, "\n"), "\n$ ") {
			if i == 0 {
				if strings.TrimSpace(step) != "" {
					t.Errorf("a block doesn't begin with a command: %q", step)
				}
				continue
			}
			line, want, _ := strings.Cut(step, "\n")
			name, printed := w.shell(line)
			got := printed
			ran[name] = true
			if name == "check" { // what it finds is the server's
				got, want = maskFindings(got), maskFindings(want)
			}
			if mask(got) != mask(want) && !*writePage {
				t.Errorf("%s: it prints\n%s\ninstead of\n%s\n(go test ./cmd/oauthdb -run ^TestThePages -write-page, if that is right)", line, got, want)
			}
			fmt.Fprintf(&b, "$ %s\n", line)
			if mask(got) == mask(want) { // times and ids stay, so that a diff shows what is new
				b.WriteString(nonEmptyLine(want))
			} else {
				b.WriteString(nonEmptyLine(forPage(printed)))
			}
		}
		b.WriteString("```\n")
		rest = after
	}
	return b.String()
}

func nonEmptyLine(s string) string {
	if s == "" {
		return ""
	}
	return s + "\n"
}

// shell runs a line of the page: oauthdb, or cat, with files of testdata/command, and perhaps an input.
func (w *world) shell(line string) (name, printed string) {
	w.t.Helper()
	const folder = "testdata/command"
	line, input, _ := strings.Cut(line, " < ")
	read := func(file string) string {
		content, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			w.t.Fatal(err)
		}
		return string(content)
	}
	args := strings.Fields(line)
	if args[0] == "cat" {
		return "cat", strings.TrimSuffix(read(args[1]), "\n")
	}
	if args[0] != "oauthdb" {
		w.t.Fatalf("no such program: %q", line)
	}
	for i, arg := range args {
		args[i] = strings.Trim(arg, "'")
		if _, err := os.Stat(filepath.Join(folder, args[i])); err == nil && strings.Contains(arg, ".") {
			args[i] = filepath.Join(folder, args[i])
		}
	}
	stdin := ""
	if input != "" {
		stdin = read(input)
	}
	cmd, _, err := find(args[1:])
	if err != nil {
		w.t.Fatal(err)
	}
	code, out, errors := w.run(stdin, args[1:]...)
	printed = strings.ReplaceAll(out+errors, folder+"/", "")
	if code != exitDone {
		printed += fmt.Sprintf("(exit status %d)\n", code)
	}
	return cmd.name, strings.TrimSuffix(printed, "\n")
}

var masks = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)`), "TIME"},
	{regexp.MustCompile(`(?m)^\d+ +TIME`), "0 TIME"}, // of events, whose ids go on
	{regexp.MustCompile(`"id": ?\d+`), `"id":0`},
	{regexp.MustCompile(`("client_(id|secret_expires)_?(issued_)?(at)?": ?)\d{6,}`), "${1}0"},
	{regexp.MustCompile(`\b(acc|cli|usr|ses|azn|key|atk|rtk|cns)_[0-9a-f]{32}\b`), "${1}_ID"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`odb_cs_([0-9A-Za-z]{49}|…)`), "SECRET"},
	{regexp.MustCompile(`\d+(\.\d+)? ms`), "DURATION"},
	{regexp.MustCompile(`"milliseconds":\d+(\.\d+)?`), `"milliseconds":0`},
	{regexp.MustCompile(`postgres://\S+`), "URL"},
	{regexp.MustCompile(`\d{5}_\w+\.sql`), "FILE"},
	{regexp.MustCompile(`oauthdb (devel|v\d)\S*( \(.*\))?, schema \d+, go\S+`), "BUILT"},
	{regexp.MustCompile(`version("?:| )\d+`), "VERSION"},
	{regexp.MustCompile(` +(\n|$)`), "$1"},
	{regexp.MustCompile(`  +`), "  "},
}

var findings = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^(ok|warning|failure|unknown) +[a-z_]+ +.*\n( {21}.*\n)?`),
	regexp.MustCompile(`\d+ failures?, \d+ warnings?, \d+ in order(, \d+ unknown)?`),
	regexp.MustCompile(`\n\(exit status 1\)`),
}

// maskFindings leaves nothing of what check prints, if it has the form that it should.
func maskFindings(printed string) string {
	for _, f := range findings {
		printed = f.ReplaceAllString(printed, "")
	}
	return printed
}

// mask replaces what differs from run to run.
func mask(printed string) string {
	for _, m := range masks {
		printed = m.what.ReplaceAllString(printed, m.with)
	}
	return printed
}

// forPage is what the page may have of it: no secret, and no address of a test's database.
func forPage(printed string) string {
	printed = regexp.MustCompile(`odb_cs_[0-9A-Za-z]{49}`).ReplaceAllString(printed, "odb_cs_…")
	printed = regexp.MustCompile(`postgres://\S+`).ReplaceAllString(printed, "postgres://auth:xxxxx@db.internal/auth")
	return regexp.MustCompile(` +(\n|$)`).ReplaceAllString(printed, "$1")
}

// flagList lists the flags of every command, but for those that many have.
func flagList(t *testing.T) string {
	t.Helper()
	common := map[string]bool{"database-url": true, "cluster": true, "database": true, "json": true, "pgbouncer": true, "dry-run": true}
	var b strings.Builder
	b.WriteString("| Command | Flags | `-json` | `-dry-run` | `-pgbouncer` |\n|---|---|---|---|---|\n")
	for _, cmd := range commands() {
		flags, _ := cmd.flags()
		var own []string
		flags.VisitAll(func(f *flag.Flag) {
			if !common[f.Name] {
				own = append(own, "`-"+f.Name+"`")
			}
		})
		has := func(name string) string {
			if flags.Lookup(name) != nil {
				return "yes"
			}
			return ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", strings.TrimSpace(cmd.name+" "+cmd.operand), strings.Join(own, " "), has("json"), has("dry-run"), has("pgbouncer"))
	}
	return b.String()
}

// fieldList lists the fields of every record.
func fieldList(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	var order []reflect.Type
	by := map[reflect.Type][]string{}
	for _, cmd := range commands() {
		if cmd.record == nil {
			continue
		}
		r := reflect.TypeOf(cmd.record)
		if by[r] == nil {
			order = append(order, r)
		}
		by[r] = append(by[r], "`"+cmd.name+"`")
	}
	for _, r := range order {
		fmt.Fprintf(&b, "%s:\n\n", strings.Join(by[r], ", "))
		writeFields(&b, r, "")
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func writeFields(b *strings.Builder, r reflect.Type, indent string) {
	for field := range r.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		of := field.Type
		what, may := "", ""
		if of.Kind() == reflect.Pointer {
			of, may = of.Elem(), " or null"
		}
		if options == "omitempty" {
			may = ", where there is one"
		}
		switch {
		case of == reflect.TypeFor[time.Time]():
			what = "time"
		case of == reflect.TypeFor[json.RawMessage]():
			what = "JSON"
		case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct:
			what = "list of objects"
		case of.Kind() == reflect.Slice:
			what = "list of texts"
		case of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Interface:
			what = "object of RFC 7591"
		case of.Kind() == reflect.Map:
			what = "object of numbers"
		case of.Kind() == reflect.Struct:
			what = "object"
		case of.Kind() == reflect.Bool:
			what = "true or false"
		case of.Kind() == reflect.String:
			what = "text"
		default:
			what = "number"
		}
		fmt.Fprintf(b, "%s- `%s`: %s%s\n", indent, name, what, may)
		if of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct && of != reflect.TypeFor[time.Time]() && !slices.Contains([]string{"user", "sessions", "connections", "authorizations", "clients", "security_events"}, name) {
			writeFields(b, of, indent+"  ")
		}
	}
}

// visit is a way to call a command.
type visit struct {
	args  string
	stdin string
	code  int
	says  string // part of what it prints, to either stream
}

// tour calls every command that works on a database, in an order in which each finds something to do.
var tour = []visit{
	{args: "import consents - -format json -all", stdin: `{"user_id": "usr_ada", "client_id": "album", "scope": "photos.read"}`, says: "present"},
	{args: "import refresh-tokens - -format json -all", stdin: `{"user_id": "usr_ada", "client_id": "album", "token": "refresh-token-of-ada"}`, says: "present"},
	{args: "client add testdata/command/client.json -client-id framed -skip-consent -end-session -user usr_bob", says: "registered"},
	{args: "client add - -client-id framed-2 -tenant acme -secret-lifetime 1h", stdin: `{"client_name": "The second", "redirect_uris": ["https://b.example/cb"]}`, says: "registered"},
	{args: "client list -user usr_bob", says: "framed"},
	{args: "client list -tenant acme -name SECOND", says: "framed-2"},
	{args: "client list", says: "album"},
	{args: "client show framed", says: "https://framed.example/callback"},
	{args: "client rotate-secret album -overlap 1h", says: "replaced"},
	{args: "client show album", says: "photos.read"},
	{args: "client disable album", says: "disabled"},
	{args: "client list -disabled", says: "album"},
	{args: "client enable album", says: "enabled"},
	{args: "client reap -unused-for 1h -any", says: "0"},
	{args: "user list", says: "Ada Lovelace"},
	{args: "user show ADA@example.com", says: "Firefox"},
	{args: "session list usr_ada", says: "ses_1"},
	{args: "session show ses_1", says: "192.0.2.17"},
	{args: "session show -cookie -", stdin: "of-ada-on-her-laptop\n", says: "ses_1"},
	{args: "grant list -user usr_ada -client album", says: "azn_1"},
	{args: "grant list -client album", says: "azn_1"},
	{args: "grant show azn_1", says: "approved"},
	{args: "token show -", stdin: "access-token-of-ada\n", says: "access_token"},
	{args: "token show -", stdin: "refresh-token-of-ada", says: "refresh_token"},
	{args: "token revoke -", stdin: "access-token-of-ada", says: "goes on"},
	{args: "token revoke -", stdin: "access-token-of-ada", says: "had been revoked"},
	{args: "key list", says: "key-1"},
	{args: "key add testdata/command/jwk.json -private-uri kms://keys/2", says: "published"},
	{args: "key retire key-1 -published-for 1h", says: "published until"},
	{args: "key rotate -alg ES256 -published-for 1h", says: "retired"},
	{args: "key delete key-1", says: "deleted"},
	{args: "export usr_ada", says: "192.0.2.17"},
	{args: "export ADA@example.com", says: "192.0.2.17"},
	{args: "session end ses_1", says: "has ended"},
	{args: "session end ses_1", says: "had ended"},
	{args: "user sign-out usr_ada -keep ses_1", says: "0"},
	{args: "grant revoke azn_1", says: "has ended"},
	{args: "grant revoke azn_1", says: "had ended"},
	{args: "user revoke usr_ada -client album", says: "dead"},
	{args: "user revoke usr_ada", says: "dead"},
	{args: "client revoke album", says: "dead"},
	{args: "user suspend usr_ada", says: "suspended"},
	{args: "user list -suspended", says: "Ada Lovelace"},
	{args: "user suspend usr_ada", says: "had been suspended"},
	{args: "user reinstate usr_ada", says: "sign in again"},
	{args: "user delete usr_bob", says: "deleted"},
	{args: "export usr_bob", says: "deleted_at"},
	{args: "client delete album", says: "deleted"},
	{args: "events", says: "RotateClientSecret"},
	{args: "events -client album -since 1h", says: "DeleteClient"},
	{args: "events -user usr_ada -after 1", says: "ReinstateUser"},
	{args: "status", says: "applied"},
	{args: "version", says: "devel"},
	{args: "url", says: "postgres://"},
	{args: "rollback -dry-run", says: ".sql"},
	{args: "migrate", says: "ersion"},

	// there is no such thing
	{args: "client show nobody", code: exitNotFound, says: "nobody"},
	{args: "client rotate-secret nobody", code: exitNotFound, says: "nobody"},
	{args: "client disable nobody", code: exitNotFound, says: "nobody"},
	{args: "client enable nobody", code: exitNotFound, says: "nobody"},
	{args: "client revoke nobody", code: exitNotFound, says: "nobody"},
	{args: "client delete nobody", code: exitNotFound, says: "nobody"},
	{args: "client add testdata/command/client.json -user nobody", code: exitNotFound, says: "nobody"},
	{args: "grant list -client nobody", code: exitNotFound, says: "nobody"},
	{args: "grant list -user nobody", code: exitNotFound, says: "nobody"},
	{args: "grant show nobody", code: exitNotFound, says: "nobody"},
	{args: "grant revoke nobody", code: exitNotFound, says: "nobody"},
	{args: "user show nobody@example.com", code: exitNotFound, says: "nobody"},
	{args: "user suspend nobody", code: exitNotFound, says: "nobody"},
	{args: "user reinstate nobody", code: exitNotFound, says: "nobody"},
	{args: "user sign-out nobody", code: exitNotFound, says: "nobody"},
	{args: "user revoke nobody", code: exitNotFound, says: "nobody"},
	{args: "user delete nobody", code: exitNotFound, says: "nobody"},
	{args: "session list nobody", code: exitNotFound, says: "nobody"},
	{args: "session show nobody", code: exitNotFound, says: "nobody"},
	{args: "session show -cookie -", stdin: "nobody", code: exitNotFound, says: "cookie"},
	{args: "token show -", stdin: "nobody", code: exitNotFound, says: "no such token"},
	{args: "token revoke -", stdin: "nobody", code: exitNotFound, says: "no such token"},
	{args: "session end nobody", code: exitNotFound, says: "nobody"},
	{args: "key retire nobody -published-for 1h", code: exitNotFound, says: "nobody"},
	{args: "key rotate -alg EdDSA -published-for 1h", code: exitNotFound, says: "EdDSA"},
	{args: "key delete nobody", code: exitNotFound, says: "nobody"},
	{args: "export nobody", code: exitNotFound, says: "nobody"},
	{args: "client show framed", says: "disabled"}, // its owner is deleted

	// refused
	{args: "client enable framed", code: exitRefused, says: "who owns"},
	{args: "client add testdata/command/client.json -client-id framed", code: exitRefused, says: "taken"},
	{args: "client add -", stdin: `{"redirect_uris": ["javascript:alert(1)"]}`, code: exitRefused, says: "invalid_redirect_uri"},
	{args: "client add -", stdin: `{"redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "private_key_jwt"}`, code: exitRefused, says: "invalid_client_metadata"},
	{args: "client add -", stdin: `{"redirect_uris": "https://a.example/"}`, code: exitRefused, says: "redirect_uris"},
	{args: "client add - -secret-file testdata/command/cookie.txt", stdin: `{"redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "none"}`, code: exitRefused, says: "has no secret"},
	{args: "key add testdata/command/jwk.json -private-uri kms://keys/2", code: exitRefused, says: "already"},
	{args: "key add - -private-uri x", stdin: `{"kty": "EC", "kid": "a", "alg": "ES256", "d": "of-ada-on-her-laptop"}`, code: exitRefused, says: `"d"`},
	{args: "key add testdata/command/jwk.json -private -", stdin: "-----BEGIN PRIVATE KEY-----\nof-ada-on-her-laptop\n", code: exitRefused, says: "not encrypted"},

	{args: "import users - -format json -all", stdin: `{"id": "usr_new", "password_hash": "$argon2id$of-new"}`, says: "aken"},
	{args: "import clients - -all", stdin: `{"client_id": "new", "redirect_uris": ["https://new.example/cb"], "client_secret": "of-ada-on-her-laptop"}`, says: "aken"},
	{args: "import keycloak-clients - -pkce-optional -all", stdin: `{"clients": [{"clientId": "newest", "redirectUris": ["https://new.example/cb"], "secret": "of-ada-on-her-laptop"}]}`, says: "aken"},
	{args: "import keycloak-users -", stdin: `{"users": [{"id": "usr_kc", "username": "kc"}]}`, says: "user name is left out"},
	{args: "import auth0-clients - -all", stdin: `{"client_id": "of-auth0", "callbacks": ["https://new.example/cb"], "client_secret": "of-ada-on-her-laptop", "grant_types": ["authorization_code"]}`, says: "need PKCE"},
	{args: "import auth0-users - -all", stdin: `{"user_id": "auth0|ada", "username": "ada"}`, says: "user name is left out"},
	{args: "import auth0-passwords - -quiet", stdin: `[]`, says: "read"},
	{args: "import auth0-passwords - -all", stdin: `{"_id": "ada", "passwordHash": "$argon2id$of-new"}`, says: "taken"},
	{args: "import hydra - -pkce-optional", stdin: `{"client_id": "newer", "redirect_uris": ["https://new.example/cb"]}`, says: "no secret"},
	{args: "import better-auth -all -from " + betterAuthURL, says: "aken"},
	{args: "import hydra-tables -only clients,users -create-users -pkce-optional -from " + hydraURL, says: "partner"},
	{args: "gc -retention 0", says: "oauth_client"},
}

// tables is a digest of what is in each table.
func (w *world) tables() string {
	w.t.Helper()
	var all string
	err := w.db.Pool.QueryRow(w.t.Context(), `
		SELECT string_agg(c.relname || ' ' || md5(query_to_xml(format('SELECT * FROM %I ORDER BY 1', c.relname), true, true, '')::text), E'\n' ORDER BY c.relname)
		FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`).Scan(&all)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// check runs a visit, and complains of what it prints.
func (w *world) check(v visit, more ...string) (out string) {
	w.t.Helper()
	args := append(strings.Fields(v.args), more...)
	code, out, errors := w.run(v.stdin, args...)
	if code != v.code || !strings.Contains(out+errors, v.says) {
		w.t.Errorf("%q: exit status %d, output\n%s\nerrors\n%s\nwant exit status %d, and %q", args, code, out, errors, v.code, v.says)
	}
	if (code != exitDone) != (errors != "") || code != exitDone && out != "" {
		w.t.Errorf("%q: exit status %d, output %q, errors %q", args, code, out, errors)
	}
	for _, secret := range w.credentials() {
		if strings.Contains(out+errors, secret) {
			w.t.Errorf("%q prints a credential: %s%s", args, out, errors)
		}
	}
	return out
}

// supports says whether the command of a visit has a flag.
func (v visit) supports(t *testing.T, name string) bool {
	t.Helper()
	cmd, _, err := find(strings.Fields(v.args))
	if err != nil {
		t.Fatal(err)
	}
	flags, _ := cmd.flags()
	return flags.Lookup(name) != nil
}

func TestADryRunAnswersAsTheChangeDoesAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.tables()
	tried := map[string]bool{}
	for _, v := range tour {
		if !v.supports(t, "dry-run") || slices.ContainsFunc([]string{"had ended", "had been", "already", "taken", "owns", "sign in again"}, func(s string) bool { return strings.Contains(v.says, s) }) {
			continue // of what a step before it has done
		}
		if v.code == exitDone {
			cmd, _, _ := find(strings.Fields(v.args))
			tried[cmd.name] = true
		}
		out := w.check(v, "-dry-run")
		if v.code == exitDone && !strings.Contains(out, "dry run") {
			t.Errorf("%s -dry-run doesn't say so: %s", v.args, out)
		}
		if strings.Contains(out, "odb_cs_") {
			t.Errorf("%s -dry-run prints a secret that doesn't count: %s", v.args, out)
		}
		if after := w.tables(); after != before {
			t.Fatalf("%s -dry-run: the tables were\n%s\nand are\n%s", v.args, before, after)
		}
	}
	for _, cmd := range commands() {
		flags, _ := cmd.flags()
		if flags.Lookup("dry-run") != nil && !tried[cmd.name] && cmd.name != "user reinstate" {
			t.Errorf("%s -dry-run was not tried", cmd.name)
		}
	}
	// what it would find is what is seen when nothing is taken back
	if w.check(visit{args: "user suspend usr_ada", says: "1 session"}); w.tables() == before {
		t.Error("without -dry-run nothing changes either, or the digest sees nothing")
	}
}

// Each command is called with -json, so that each object is seen to have the fields of its record, and in words.
func TestEveryCommandAnswersInJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]bool{}
	for _, v := range tour {
		cmd, _, err := find(strings.Fields(v.args))
		if err != nil {
			t.Fatal(err)
		}
		more := []string{"-json"}
		if cmd.name == "rollback" {
			more = append(more, "-dry-run")
		}
		if v.code == exitDone {
			out := w.check(v, more...)
			for line := range strings.Lines(out) {
				seen[cmd.name] = true
				if err := isRecord([]byte(line), reflect.TypeOf(cmd.record)); err != nil {
					t.Errorf("%s: %v: %s", v.args, err, line)
				}
			}
			continue
		}
		code, out, errors := w.run(v.stdin, append(strings.Fields(v.args), more...)...)
		var said failure
		if err := json.Unmarshal([]byte(errors), &said); code != v.code || err != nil || said.ExitCode != v.code || !strings.Contains(said.Error, v.says) || out != "" {
			t.Errorf("%s: exit status %d, output %q, errors %s", v.args, code, out, errors)
		}
	}
	for _, cmd := range commands() {
		if cmd.record != nil && !seen[cmd.name] && !slices.Contains([]string{"check", "start", "stop"}, cmd.name) { // which have tests of their own
			t.Errorf("%s -json printed no object", cmd.name)
		}
		if flags, _ := cmd.flags(); (flags.Lookup("json") != nil) != (cmd.record != nil) {
			t.Errorf("%s: has -json and no record, or the other way round", cmd.name)
		}
	}
}

// isRecord says whether a JSON object has the fields of a type, and no others.
func isRecord(object []byte, of reflect.Type) error {
	var got map[string]json.RawMessage
	if err := json.Unmarshal(object, &got); err != nil {
		return err
	}
	for field := range of.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		value, ok := got[name]
		delete(got, name)
		if !ok && name != "-" && options != "omitempty" {
			return fmt.Errorf("the field %q is missing", name)
		}
		inner := field.Type
		if ok && inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			var values []json.RawMessage
			if err := json.Unmarshal(value, &values); err != nil {
				return err
			}
			for _, v := range values {
				if err := isRecord(v, inner.Elem()); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	for name := range got {
		return fmt.Errorf("the field %q is in no list", name)
	}
	return nil
}

func TestCommandsSayInWordsWhatTheyHaveDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, v := range tour {
		w.check(v)
	}
}

// What works on a database and needs no session of its own works through PgBouncer in transaction mode.
func TestCommandsThroughPgBouncer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.url = pgbouncer.Start(t, w.db.URL, pgbouncer.Options{})
	tried := map[string]bool{"events": true} // which calls write by a setting of the session
	for _, v := range tour {
		cmd, _, _ := find(strings.Fields(v.args))
		if v.code == exitDone && v.supports(t, "pgbouncer") && !tried[cmd.name] {
			w.check(v, "-pgbouncer")
			tried[cmd.name] = true
		}
	}
}

// The rights of a server are enough for what isn't the collector's or the owner's.
func TestCommandsNeedTheRightsOfAServer(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{Roles: true})
	config, err := pgx.ParseConfig(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, d)
	owner := w.url
	tried := map[string]bool{"migrate": true, "rollback": true, "url": true}
	for _, v := range tour {
		cmd, _, _ := find(strings.Fields(v.args))
		if v.code != exitDone || tried[cmd.name] {
			continue
		}
		tried[cmd.name] = true
		role := "_application"
		if cmd.name == "gc" || cmd.name == "client reap" {
			role = "_collector"
		}
		if cmd.name == "events" {
			v.says = "" // none are written here
		}
		w.url = withParams(t, owner, "role", config.User+role)
		w.check(v)
	}
}

func TestASecretIsReadFromAFileOrStandardInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	authenticates := func(client store.ClientID, secret string) bool {
		t.Helper()
		outcome, err := w.db.Store.AuthenticateClient(t.Context(), store.AuthenticateClientParams{
			ClientID: client, ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf(secret),
		})
		if err != nil {
			t.Fatal(err)
		}
		return outcome == store.OutcomeAuthenticated
	}
	for _, v := range []visit{
		{args: "client rotate-secret album -secret-file -", stdin: "chosen-by-the-team\n", says: "replaced"},
		{args: "client rotate-secret album -secret-file -", stdin: "chosen-by-the-team", says: "already"},
		{args: "client add testdata/command/client.json -client-id framed -secret-file -", stdin: "chosen-by-the-team\r\n", says: "registered"},
		{args: "client add - -client-id third", stdin: `{"redirect_uris": ["https://a.example/"], "client_secret": "chosen-by-the-team"}`, says: "registered"},
	} {
		if out := w.check(v); strings.Contains(out, "chosen") {
			t.Errorf("%s prints a secret that it was given: %s", v.args, out)
		}
	}
	for _, client := range []store.ClientID{album, "framed", "third"} {
		if !authenticates(client, "chosen-by-the-team") {
			t.Errorf("%s: the secret that was given doesn't authenticate it", client)
		}
	}
	if authenticates(album, w.secret.Reveal()) {
		t.Error("the secret that was replaced authenticates still")
	}
	// one that is made is printed, and is the one that counts
	var made change
	if err := json.Unmarshal([]byte(w.check(visit{args: "client rotate-secret album -overlap 1h -json"})), &made); err != nil || !authenticates(album, made.ClientSecret) {
		t.Errorf("the secret that is printed doesn't authenticate the client: %v", err)
	}
	if !authenticates(album, "chosen-by-the-team") {
		t.Error("the secret that was replaced with an overlap doesn't count any more")
	}
}

// interrupted is an input in the middle of which somebody presses ^C.
type interrupted struct {
	n      int
	cancel func()
}

func (i *interrupted) Read(p []byte) (int, error) {
	if i.n++; i.n == 300 {
		i.cancel()
	}
	return copy(p, fmt.Sprintf(`{"id": "usr_many_%d"}`, i.n)), nil
}

func TestAnImportThatIsInterruptedSaysWhereItGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"import", "users", "-", "-format", "json", "-jobs", "2", "-database-url", w.url}, console{in: &interrupted{cancel: cancel}, out: &stdout, err: &stderr})
	var done int64
	if _, err := fmt.Sscanf(stderr.String(), "oauthdb: stopped after %d records", &done); err != nil || code != exitInterrupted || !strings.Contains(stderr.String(), fmt.Sprintf("-skip %d", done)) {
		t.Fatalf("exit status %d, output %q, errors %q", code, stdout.String(), stderr.String())
	}
	for id, want := range map[int64]bool{done: true, 400: false} {
		if _, err := w.db.Store.GetUser(t.Context(), store.UserID(fmt.Sprintf("usr_many_%d", id))); (err == nil) != want {
			t.Errorf("usr_many_%d: %v, after %d records", id, err, done)
		}
	}
}

// The document for people is one of JSON, and has the rows that -json prints.
func TestAnExportIsOneDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var document map[string]any
	if err := json.Unmarshal([]byte(w.check(visit{args: "export usr_ada"})), &document); err != nil {
		t.Fatal(err)
	}
	lists := map[string]any{"exported_at": document["exported_at"], "user_id": "usr_ada"}
	for line := range strings.Lines(w.check(visit{args: "export usr_ada -json"})) {
		var r struct {
			Table string
			Row   any
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		list, _ := lists[r.Table].([]any)
		lists[r.Table] = append(list, r.Row)
	}
	if len(document) < 8 || !reflect.DeepEqual(document, lists) {
		t.Errorf("the document is\n%v\nand the rows are\n%v", document, lists)
	}
}

func TestNothingThatATerminalObeysIsPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	evil := "\x1b]0;x\x07\u202eA"
	if _, err := w.db.Store.UpdateUser(t.Context(), store.UpdateUserParams{ID: ada, Name: &evil}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Store.UpdateClient(t.Context(), store.UpdateClientParams{ClientID: album, Name: &evil}); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"user list", "user show usr_ada", "client list", "client show album", "client list -json", "export usr_ada"} {
		if _, out, _ := w.run("", strings.Fields(args)...); strings.ContainsAny(out, "\x1b\x07\u202e") {
			t.Errorf("%s: %q", args, out)
		}
	}
}

// A server is never started for somebody who has only installed the command.
func TestOutsideACloneNoServerIsStarted(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("DATABASE_URL", "")
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	t.Chdir(t.TempDir())
	for file, content := range map[string]string{"client.json": `{"redirect_uris":["https://a.example/"]}`, "jwk.json": `{"kty": "EC", "kid": "1", "alg": "ES256"}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range commands() {
		flags, _ := cmd.flags()
		if flags.Lookup("cluster") == nil || cmd.name == "explain" { // which needs a database only for a plan
			continue
		}
		args := strings.Fields(cmd.name)
		more, ok := needed[cmd.name]
		if args = append(args, more...); !ok && cmd.operand != "" {
			args = append(args, "x")
		}
		code, out, errors := oauthdb(t, args...)
		if code != exitUsage || out != "" || !strings.Contains(errors, "no database is given") {
			t.Errorf("%s: exit status %d, output %q, errors %q", cmd.name, code, out, errors)
		}
	}
	if code, out, errors := oauthdb(t, "stop"); code != exitDone || out != "stopped\n" || errors != "" { // nothing, for there is nothing
		t.Errorf("stop: exit status %d, output %q, errors %q", code, out, errors)
	}
	if code, out, errors := oauthdb(t, "stop", "-json"); code != exitDone || out != "{\"deleted\":false}\n" {
		t.Errorf("stop -json: exit status %d, output %q, errors %q", code, out, errors)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "*")); err != nil || len(left) > 0 {
		t.Errorf("it has made %v (%v)", left, err)
	}
}

// needed is what a command asks for before it looks for a database.
var needed = map[string][]string{
	"client add": {"client.json"}, "import auth0-clients": {"client.json"}, "import auth0-users": {"client.json"}, "import auth0-passwords": {"client.json"}, "import clients": {"client.json"}, "import hydra": {"client.json"}, "import keycloak-clients": {"client.json"}, "import keycloak-users": {"client.json"}, "import users": {"client.json"},
	"import consents": {"client.json"}, "import refresh-tokens": {"client.json"}, "import hydra-tables": {"-from", "x"}, "import better-auth": {"-from", "x"},
	"client reap": {"-unused-for", "1h"}, "grant list": {"-user", "x"},
	"token show": {"client.json"}, "token revoke": {"client.json"},
	"key add": {"jwk.json", "-private-uri", "x"}, "key rotate": {"-alg", "ES256", "-published-for", "1h"}, "key retire": {"x", "-published-for", "1h"},
}

func TestALeakedRefreshTokenEndsItsAuthorization(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	live := func(secret, want string) {
		t.Helper()
		w.check(visit{args: "token show - -json", stdin: secret, says: `"live":` + want})
	}
	live("refresh-token-of-ada", "true")
	live("access-token-of-ada", "true")
	w.check(visit{args: "token revoke - -dry-run", stdin: "refresh-token-of-ada", says: "dry run"})
	live("access-token-of-ada", "true")
	w.check(visit{args: "token revoke -", stdin: "refresh-token-of-ada", says: "all its tokens are dead"})
	live("refresh-token-of-ada", "false")
	live("access-token-of-ada", "false")
	cookie := token.Mint(token.SessionToken).Reveal()
	if code, _, errors := w.run(cookie, "token", "show", "-"); code != exitUsage || !strings.Contains(errors, "session show -cookie") || strings.Contains(errors, cookie) {
		t.Errorf("of a cookie: exit status %d, errors %q", code, errors)
	}
}
