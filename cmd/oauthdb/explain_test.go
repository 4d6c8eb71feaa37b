package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/catalog"
)

// migratedDatabase is the URL of a database with the schema in it.
func migratedDatabase(t *testing.T) string {
	t.Helper()
	url := emptyDatabase(t)
	if code, _, err := oauthdb(t, "migrate", "-database-url", url); code != exitDone {
		t.Fatalf("migrate: exit code %d: %s", code, err)
	}
	return url
}

func TestExplainListsEveryQuery(t *testing.T) {
	t.Parallel()
	reviewed, err := catalog.Reviewed()
	if err != nil {
		t.Fatal(err)
	}
	code, out, _ := oauthdb(t, "explain")
	for _, q := range reviewed.Queries {
		if !strings.Contains(out, "\n  "+q.Name+" ") {
			t.Errorf("%s is not listed", q.Name)
		}
	}
	if code != exitDone || !strings.Contains(out, "\nsession\n") || len(reviewed.Queries) == 0 {
		t.Errorf("exit code %d, %d queries, output %s", code, len(reviewed.Queries), out)
	}
}

func TestExplainPrintsEveryPage(t *testing.T) {
	t.Parallel()
	url := migratedDatabase(t)
	reviewed, err := catalog.Reviewed()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range reviewed.Queries {
		code, out, errs := oauthdb(t, "explain", q.Name, "-database-url", url)
		if code != exitDone || errs != "" {
			t.Errorf("%s: exit code %d, errors %s", q.Name, code, errs)
		}
		for _, want := range []string{q.Signature, "\nSQL\n", "\nPlan in the database oauthdb_", "eviewed"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", q.Name, want, out)
			}
		}
		if before, _, _ := strings.Cut(out, "\nSQL\n"); longest(before) > max(100, len(q.Signature)+2) {
			t.Errorf("%s: a line of %d letters in\n%s", q.Name, longest(before), before)
		}
	}
}

// longest is the length of the longest line that could have been wrapped: one whose last column has more than a word.
func longest(text string) int {
	n := 0
	for l := range strings.SplitSeq(text, "\n") {
		if column := l[strings.LastIndex("  "+l, "  "):]; strings.Contains(column, " ") {
			n = max(n, len([]rune(l)))
		}
	}
	return n
}

func TestExplainComparesThePlanWithTheReviewedOne(t *testing.T) {
	t.Parallel()
	url := migratedDatabase(t)
	code, out, _ := oauthdb(t, "explain", "findaccesstokenbytoken", "-database-url", url)
	if code != exitDone || !strings.Contains(out, "Same as reviewed.") || strings.Contains(out, "difference") {
		t.Errorf("exit code %d, output %s", code, out)
	}

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), `
		ALTER TABLE oauth_access_token DROP CONSTRAINT oauth_access_token_token_uidx;
		INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('x', 'x', '{https://x.example}');
		INSERT INTO oauth_access_token (id, client_id, scopes) SELECT 'atk_' || n, 'x', '{}' FROM generate_series(1, 2000) AS n;
		ANALYZE oauth_access_token`)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, out, _ = oauthdb(t, "explain", "FindAccessTokenByToken", "-database-url", url)
	for _, want := range []string{
		"Not as reviewed", "\n- Index Scan using oauth_access_token_token_uidx on oauth_access_token t\n", "\n+ Seq Scan on oauth_access_token t\n",
		"oauth_access_token has about 2000 rows and is read from end to end",
	} {
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
}

func TestExplainOfADatabaseWithoutTheSchemaSaysSo(t *testing.T) {
	t.Parallel()
	code, out, err := oauthdb(t, "explain", "GetUser", "-database-url", emptyDatabase(t))
	if code != exitFailed || !strings.Contains(err, "not that of this version") || !strings.Contains(err, "oauthdb status") || out != "" {
		t.Errorf("exit code %d, output %q, errors %q", code, out, err)
	}
}

func TestExplainAnalyzeRunsWhatReads(t *testing.T) {
	t.Parallel()
	url := migratedDatabase(t)
	code, out, err := oauthdb(t, "explain", "-analyze", "GetUser", "-param", "id=usr_it's", "-database-url", url)
	if code != exitDone || !strings.Contains(out, "Run once, and rolled back") || !strings.Contains(out, "actual time=") || !strings.Contains(out, "Buffers:") {
		t.Errorf("exit code %d, output %s, errors %s", code, out, err)
	}
	// NULL by leaving it out
	code, out, err = oauthdb(t, "explain", "FindConsent", "-analyze", "-param", "client_id=a=b", "--param", "user_id=u", "-database-url", url)
	if code != exitDone || !strings.Contains(out, "actual time=") {
		t.Errorf("exit code %d, output %s, errors %s", code, out, err)
	}
	code, _, err = oauthdb(t, "explain", "ListUsers", "-analyze", "-database-url", url,
		"-param", "after_created_at=never", "-param", "after_id=", "-param", "page_size=10")
	if code != exitFailed || !strings.Contains(err, `run ListUsers: ERROR: invalid input syntax for type timestamp with time zone: "never"`) {
		t.Errorf("exit code %d, errors %s", code, err)
	}
}

func TestExplainAnalyzeRefuses(t *testing.T) {
	t.Parallel()
	const nowhere = "postgres://user:secret@127.0.0.1:1/db" // it is not even connected to
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"frobnicate"}, `no query "frobnicate": 'oauthdb explain' lists them`},
		{[]string{"FindConsnet"}, `did you mean FindConsent?`},
		{[]string{"introspect"}, `did you mean IntrospectToken, `},
		{[]string{"GetUser", "GetClient"}, `unexpected argument "GetClient"`},
		{[]string{"-analyze"}, "which query?"},
		{[]string{"RevokeToken", "-analyze", "-param", "token=x"}, "RevokeToken writes oauth_authorization"},
		{[]string{"EndSession", "-analyze"}, "a write is not run, not even to be rolled back"},
		{[]string{"GetUser", "-param", "id=x"}, "-param is for -analyze"},
		{[]string{"GetUser", "-analyze"}, "GetUser needs -param id=... (user_id)"},
		{[]string{"GetUser", "-analyze", "-param", "id=x", "-param", "ip=y"}, `GetUser has no parameter "ip"`},
		{[]string{"GetUser", "-analyze", "-param", "id=x", "-param", "id=y"}, "id is given twice"},
		{[]string{"GetUser", "-analyze", "-param", "id"}, "want name=value"},
	} {
		code, out, err := oauthdb(t, append([]string{"explain", "-database-url", nowhere}, c.args...)...)
		if code != exitUsage || !strings.Contains(err, c.want) || out != "" {
			t.Errorf("%q: exit code %d, output %q, errors %q; want exit code 2 and %q", c.args, code, out, err, c.want)
		}
	}
}

// A query that locks rows, and one that calls a function that writes, are writes.
func TestExplainKnowsAllWrites(t *testing.T) {
	t.Parallel()
	reviewed, err := catalog.Reviewed()
	if err != nil {
		t.Fatal(err)
	}
	url := migratedDatabase(t)
	for _, q := range reviewed.Queries {
		if !q.ReadOnly() {
			continue
		}
		// PostgreSQL is the judge: it refuses a write in a transaction that is read only
		args := []string{"explain", q.Name, "-analyze", "-database-url", url}
		for _, p := range q.Params {
			if !p.Nullable {
				args = append(args, "-param", p.Name+"="+anyValue(p.Type))
			}
		}
		if code, _, err := oauthdb(t, args...); code != exitDone {
			t.Errorf("%s: exit code %d, errors %s", q.Name, code, err)
		}
	}
}

func anyValue(typ string) string {
	switch typ {
	case "timestamptz":
		return "now"
	case "interval":
		return "1 hour"
	case "integer", "bigint":
		return "1"
	case "boolean":
		return "true"
	}
	if strings.HasSuffix(typ, "[]") {
		return "{}"
	}
	return "x"
}

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"a b c", "a b c", " a  b  c"},
		{"a b c", "a c", " a -b  c"},
		{"a c", "a b c", " a +b  c"},
		{"a b", "c d", "-a -b +c +d"},
	} {
		if got := strings.Join(diff(strings.Fields(c[0]), strings.Fields(c[1])), " "); got != c[2] {
			t.Errorf("%s, %s: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
