package plan_test

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/plan"
	"github.com/oauthdb/oauthdb/internal/testdb"
)

// called are statements beside the queries, so that everything is run that the functions and triggers of the schema can run: functions
// where no query takes the way in question, and what another server writes.
var called = []plan.Statement{
	{
		Name: "function answer_spent_refresh_token",
		Text: "SELECT (w.given).outcome FROM oauth_client AS c CROSS JOIN LATERAL (SELECT answer_spent_refresh_token($1::refresh_token_id, 'rotated', true, 'locked', c, $2::interval, $3::boolean, $4::refresh_token_id, $5::access_token_id, $6::token_digest, false, '1 hour', NULL, NULL, NULL, NULL, NULL) AS given) AS w WHERE c.client_id = $7::client_id",
		Args: []string{"spent", "grace", "until_used", "same_successor", "new_id", "new_token", "client_id"},
	},
	{
		Name: "function answer_redeemed_code",
		Text: "SELECT (w.given).sub FROM oauth_authorization AS a CROSS JOIN LATERAL (SELECT answer_redeemed_code(a, NULL, $1::refresh_token_id, $2::token_digest, $3::access_token_id, $4::token_digest, false, now(), NULL, NULL) AS given) AS w WHERE a.id = $5::authorization_id",
		Args: []string{"missing_id", "new_refresh_token", "new_id", "new_token", "authorization_id"},
	},
	{Name: "function judge_redeemed_request", Text: "SELECT j.verdict FROM judge_redeemed_request($1::authorization_id, $2::access_token_id, $3::interval, $4::boolean) AS j", Args: []string{"polled", "issued_as", "grace", "proof_is_fresh"}},
	{Name: "function end_replayed_family", Text: "SELECT end_replayed_family($1::authorization_id)", Args: []string{"family"}},
	{Name: "function read_again", Text: "SELECT 1 FROM read_again($1::authorization_id, $2::user_id, $3::session_id) AS p", Args: []string{"family", "of_user", "of_session"}},
	{Name: "function delete_account", Text: "SELECT delete_account($1::text, $2::text)", Args: []string{"owner", "of_account"}},
	{Name: "function settled_of_user", Text: "SELECT settled_of_user($1::text, 'retried')", Args: []string{"owner"}},
	{Name: "function slow_down", Text: "SELECT slow_down($1::authorization_id)", Args: []string{"polled"}},
	{Name: "function judge_repeated_grant", Text: "SELECT j.verdict FROM judge_repeated_grant($1::authorization_id, $2::client_id, $3::user_id, $4::text[], $5::text[], $6::jsonb, $7::access_token_id, $8::token_digest, $9::refresh_token_id, $10::token_digest) AS j", Args: []string{"family", "of_client", "of_user", "of_scopes", "of_resources", "of_details", "issued_as", "access_token", "issued_with", "refresh_token"}},
	{Name: "function return_initial_access_token", Text: "SELECT r.verdict FROM return_initial_access_token($1::token_digest, $2::client_id, $3::oauth_client_id, $4::token_digest, $5::token_digest) AS r", Args: []string{"presented", "of_client", "of_id", "secret", "manager"}},
	{Name: "function judge_registration_update", Text: "SELECT judge_registration_update(NULL, $1::client_id, $2::token_digest, $3::token_digest, $4::outcome, $5::boolean, $6, $7, $8, $9)", Args: []string{"of_client", "manager", "successor", "refused", "wants_secret", "verified", "subject_type", "redirect_uris", "grant_types"}},
	{Name: "function judge_client_document", Text: "SELECT j.verdict FROM judge_client_document($1::client_id, $2::timestamptz, $3::outcome) AS j", Args: []string{"of_client", "fetched", "if_later"}},
	{Name: "function end_sessions", Text: "SELECT end_sessions(ARRAY[$1::text])", Args: []string{"doomed"}},
	{Name: "function end_user_sessions", Text: "SELECT end_user_sessions($1::text, $2::text)", Args: []string{"owner", "keep"}},
	{Name: "function make_room_for_session", Text: "SELECT make_room_for_session($1::text, $2::integer, $3::text)", Args: []string{"owner", "max_sessions", "newest"}},
	{Name: "function judge_logout_lease", Text: "SELECT judge_logout_lease($1::text, $2::text)", Args: []string{"delivery", "presented"}},
	{Name: "function count_attempt", Text: "SELECT n.is_allowed FROM count_attempt($1::text, $2::text, 5, '10 minutes', true) AS n", Args: []string{"purpose", "subject"}},
	{Name: "function replace_recovery_codes", Text: "SELECT replace_recovery_codes($1::text, $2::text[])", Args: []string{"owner", "digests"}},
	{Name: "function disable_owned_clients", Text: "SELECT disable_owned_clients($1::text)", Args: []string{"owner"}},
	{Name: "function delete_recovery_codes", Text: "SELECT delete_recovery_codes($1::text)", Args: []string{"owner"}},
	{Name: "function is_in_force", Text: "SELECT is_in_force(a) FROM oauth_authorization AS a WHERE a.id = $1::authorization_id", Args: []string{"authorization_id"}},
	{Name: "function live_session", Text: "SELECT owner FROM live_session($1::text) AS s (owner, ends_at)", Args: []string{"of_session"}},
	{Name: "function newest_signing_key", Text: "SELECT n.id FROM newest_signing_key($1::text, $2::interval) AS n (id, created_at)", Args: []string{"of_alg", "max_age"}},
	{Name: "function client_is_used", Text: "SELECT client_is_used($1::text, now())", Args: []string{"of_client"}},
	{Name: "function is_older_secret", Text: "SELECT 1 WHERE is_older_secret($1::text, $2::text)", Args: []string{"of_client", "presented"}},
	{Name: "function own_client_is_live", Text: "SELECT own_client_is_live(t) FROM oauth_access_token AS t WHERE t.id = $1::access_token_id", Args: []string{"access_token_id"}},
	{Name: "function lock_live_access_token", Text: "SELECT lock_live_access_token($1::text)", Args: []string{"of_token"}},
	{Name: "function find_issued_access_token", Text: "SELECT f.expires_at FROM find_issued_access_token($1::access_token_id, $2::client_id, $3::token_digest, $4::access_token_id, $5::text) AS f", Args: []string{"of_token", "issued_to", "presented_as", "exchanged_for", "name"}},
	{Name: "function find_issued (collected)", Text: "SELECT f.expires_at FROM find_issued_access_token($1::access_token_id, $2::client_id, $3::token_digest, NULL, 'ID') AS f", Args: []string{"ID", "client_id", "presented_as"}},
	{Name: "function judge_assertion", Text: "SELECT judge_assertion($1::text, $2::timestamptz, $3::text, $4::text, $5::text, $6::text)", Args: []string{"assertion", "until", "issued_as", "family", "of_client", "of_user"}},
	{Name: "function keep_subject", Text: "SELECT k.held FROM keep_subject($1::text, $2::text, NULL) AS k", Args: []string{"of_sector", "of_user"}},
	{Name: "function known_subject", Text: "SELECT known_subject($1::text, $2::text)", Args: []string{"of_client", "of_user"}},
	{Name: "function noted", Text: "SELECT noted('ended', 'measured', $1::text, $2::text) FROM set_config('oauthdb.events', 'on', true)", Args: []string{"of_user", "of_client"}},
	{Name: "function find_grant_by_assertion", Text: "SELECT g.authorization_id FROM find_grant_by_assertion($1::text) AS g", Args: []string{"assertion"}},
	{Name: "function was_granted_by", Text: "SELECT was_granted_by($1::text, $2::text)", Args: []string{"assertion", "of_token"}},
	{Name: "function was_issued_to", Text: "SELECT was_issued_to($1::text, $2::text, NULL)", Args: []string{"of_token", "issued_to"}},
	{Name: "function was_rotated_into", Text: "SELECT was_rotated_into($1::text, $2::text)", Args: []string{"of_token", "same_successor"}},
	{Name: "function lock_parents", Text: "SELECT lock_parents($1::text, $2::text, $3::text)", Args: []string{"of_user", "of_client", "of_session"}},
	{
		Name: "another server's refresh token",
		Text: "INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, scopes) VALUES ('new', $1::token_digest, $2::client_id, $3::session_id, $4::user_id, '{openid}')",
		Args: []string{"token", "client_id", "session_id", "user_id"},
	},
	{
		Name: "another server's access token",
		Text: "INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, scopes) VALUES ('new', $1::token_digest, $2::client_id, $3::session_id, $4::user_id, '{openid}')",
		Args: []string{"token", "client_id", "session_id", "user_id"},
	},
	{
		Name: "another server's access token of a client",
		Text: "INSERT INTO oauth_access_token (id, token, client_id, scopes) VALUES ('new', $1::token_digest, $2::client_id, '{openid}')",
		Args: []string{"token", "client_id"},
	},
	{
		Name: "another server's rotation",
		Text: "UPDATE oauth_refresh_token SET revoked = now() WHERE id = $1::refresh_token_id",
		Args: []string{"refresh_token_id"},
	},
	{
		Name: "another server's client",
		Text: "UPDATE oauth_client SET user_id = $1::user_id, disabled = false WHERE client_id = $2::client_id",
		Args: []string{"deleted", "client_id"},
	},
	{
		Name: "another server's session",
		Text: "INSERT INTO session (id, token, user_id, expires_at) VALUES ('new', $1::token_digest, $2::user_id, now())",
		Args: []string{"token", "user_id"},
	},
}

// isInlined says whether a function is meant to be replaced by its body in whatever calls it: one in SQL without settings of its own. Others
// are written in PL/pgSQL, because PostgreSQL would plan them anew for each statement.
func isInlined(f plan.Function) bool {
	return f.Language == "sql" && !strings.Contains(f.Definition, "\n SET ")
}

// A rule that is written once and used in many statements costs nothing, as it is gone once the statement is planned.
func TestFunctionsAreInlined(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	functions, err := plan.Functions(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range functions {
		if isInlined(f) {
			names = append(names, f.Name)
		}
	}
	if len(names) < 30 || !slices.Contains(names, "session_is_live") {
		t.Fatalf("only these functions were found: %v", names)
	}
	callsInlined := regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)\(`)
	for _, s := range statements(t, conn) {
		text, err := plan.Verbose(t.Context(), conn, s.Text)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if found := callsInlined.FindAllString(text, -1); len(found) > 0 {
			slices.Sort(found)
			t.Errorf("the plan of %s calls %v", s.Name, slices.Compact(found))
		}
	}
	text, err := plan.Verbose(t.Context(), conn, `SELECT FROM session AS s JOIN "user" AS u ON u.id = s.user_id WHERE session_is_live(s, u) AND s.id = $1`)
	if err != nil || !strings.Contains(text, "sessions_epoch") {
		t.Errorf("a function that is inlined is not seen in the plan: %v\n%s", err, text)
	}
	if _, err := conn.Exec(t.Context(), `ALTER FUNCTION session_is_live(session, "user") SET work_mem = '4MB'`); err != nil {
		t.Fatal(err)
	}
	text, err = plan.Verbose(t.Context(), conn, `SELECT FROM session AS s JOIN "user" AS u ON u.id = s.user_id WHERE session_is_live(s, u) AND s.id = $1`)
	if err != nil || !callsInlined.MatchString(text) {
		t.Errorf("a function that is not inlined is not seen: %v\n%s", err, text)
	}
}

// nested are the plans that the server reports of what runs within a statement.
type nested struct {
	plans  []within        // of the statement that runs now
	seen   map[string]bool // texts, ever
	broken []string
}

// within is a statement that ran within another.
type within struct {
	text string
	plan *plan.Node
}

// take returns the plans reported since it was last called.
func (n *nested) take() []within {
	plans := n.plans
	n.plans = nil
	return plans
}

func (n *nested) hear(message string) {
	_, document, found := strings.Cut(message, "plan:\n")
	if !found || !strings.HasPrefix(message, "duration:") {
		return
	}
	var report struct {
		Text string `json:"Query Text"`
		Plan *plan.Node
	}
	if err := json.Unmarshal([]byte(document), &report); err != nil || report.Plan == nil {
		n.broken = append(n.broken, message)
		return
	}
	if strings.HasPrefix(report.Text, "PREPARE ") || strings.HasPrefix(report.Text, "EXPLAIN ") {
		return // the statement itself
	}
	n.plans = append(n.plans, within{report.Text, report.Plan})
	n.seen[report.Text] = true
}

// connectAndListen is connect as a superuser, to whom the server reports the plans of nested statements.
func connectAndListen(t *testing.T) (*pgx.Conn, *nested) {
	t.Helper()
	own, err := url.Parse(testdb.New(t, testdb.Options{}).URL)
	if err != nil {
		t.Fatal("the database's URL cannot be read")
	}
	cluster, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test})
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := &nested{seen: map[string]bool{}}
	config.Database = strings.TrimPrefix(own.Path, "/")
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { n.hear(notice.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if err := plan.Settings(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0", "SET auto_explain.log_nested_statements = on",
		"SET auto_explain.log_format = json", "SET auto_explain.log_analyze = on", "SET auto_explain.log_timing = off", "SET client_min_messages = log", "SET track_functions = 'all'",
	} {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return conn, n
}

var (
	spaces      = regexp.MustCompile(`\s+`)
	comment     = regexp.MustCompile(`--.*`)
	intoTarget  = regexp.MustCompile(`\bINTO (NEW\.)?[a-z_]+(, (NEW\.)?[a-z_]+)* FROM\b`)
	namesATable = regexp.MustCompile(`\b(FROM|JOIN|UPDATE|INSERT INTO) "?(user|session|account|verification|session_client|oauth_\w+|jwks|one_time_code|attempt_count|passkey|totp|recovery_code|security_event)\b`)
)

// plain is a statement as it is compared: without comments, line breaks and what PL/pgSQL puts around it.
func plain(sql string) string {
	sql = spaces.ReplaceAllString(comment.ReplaceAllString(sql, ""), " ")
	sql = intoTarget.ReplaceAllString(sql, "FROM")
	return strings.TrimSpace(strings.ReplaceAll(sql, "PERFORM ", "SELECT "))
}

// everyFunctionIsLookedAt fails for a function that no statement has called, and for a statement in a function that was not run.
func everyFunctionIsLookedAt(t *testing.T, conn *pgx.Conn, v *survey) {
	t.Helper()
	if len(v.nested.broken) > 0 {
		t.Errorf("reports that could not be read: %q", v.nested.broken)
	}
	functions, err := plan.Functions(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "SELECT f.funcname::text FROM pg_stat_xact_user_functions AS f UNION SELECT f.funcname::text FROM pg_stat_user_functions AS f")
	if err != nil {
		t.Fatal(err)
	}
	ran, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for text := range v.nested.seen {
		seen = append(seen, plain(text))
	}
	slices.SortFunc(seen, func(a, b string) int { return len(b) - len(a) })
	for _, f := range functions {
		if isInlined(f) {
			continue
		}
		if namesATable.MatchString(f.Body) && !slices.Contains(ran, f.Name) {
			t.Errorf("nothing calls the function %s: add a statement that does to called", f.Name)
		}
		if f.Language == "sql" {
			continue // one statement
		}
		rest := plain(f.Body)
		for _, s := range seen {
			rest = strings.ReplaceAll(rest, s, "…")
		}
		if at := namesATable.FindStringIndex(rest); at != nil {
			t.Errorf("a statement of the function %s was not run: %s", f.Name, rest[max(0, at[0]-80):min(len(rest), at[1]+80)])
		}
	}
}
