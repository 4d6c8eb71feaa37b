package privileges

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// withheld are the columns that the auditor doesn't read, and why. A new column has to be granted to the auditor or to stand here.
var withheld = map[string]string{
	"session.token":                                   "digest of the cookie; another server's cookie itself",
	"account.access_token":                            "ciphertext of another provider's token",
	"account.refresh_token":                           "ciphertext of another provider's token",
	"account.id_token":                                "ciphertext of another provider's token",
	"account.password":                                "hash of a password",
	"verification.identifier":                         "another server's codes, some as they are",
	"verification.value":                              "another server's codes, some as they are",
	"device_code.device_code":                         "another server's code as it is",
	"device_code.user_code":                           "another server's code as it is",
	"jwks.private_key":                                "ciphertext of a private key",
	"jwks.private_key_uri":                            "a reference that may carry a PIN (RFC 7512)",
	"oauth_client.client_secret":                      "digest",
	"oauth_client.registration_access_token":          "digest",
	"oauth_client.previous_registration_access_token": "digest",
	"oauth_client.foreign_secret_hash":                "hash of a secret",
	"oauth_client.software_statement":                 "a signed statement, by which others could register",
	"oauth_client.metadata":                           "free form",
	"oauth_client_resource.metadata":                  "free form",
	"oauth_resource.metadata":                         "free form",
	"oauth_client_secret.digest":                      "digest",
	"oauth_client_assertion.id":                       "digest",
	"oauth_proof.id":                                  "digest",
	"oauth_access_token.token":                        "digest",
	"oauth_access_token.data":                         "free form",
	"oauth_refresh_token.token":                       "digest",
	"oauth_refresh_token.successor":                   "digest",
	"oauth_refresh_token.data":                        "free form",
	"oauth_refresh_token.rotation_replay_response":    "another server's answer, tokens included",
	"oauth_authorization.code":                        "digest",
	"oauth_authorization.request_uri":                 "digest",
	"oauth_authorization.state":                       "binds the answer to a browser",
	"oauth_authorization.nonce":                       "binds the ID token to a browser",
	"oauth_authorization.code_challenge":              "digest of the verifier; with the method plain the verifier itself",
	"oauth_authorization.request":                     "free form: id_token_hint may be in it",
	"oauth_authorization.data":                        "free form",
	"oauth_polled_request.code":                       "digest",
	"oauth_polled_request.user_code":                  "digest",
	"oauth_polled_request.notification_token":         "ciphertext of a client's token",
	"oauth_initial_access_token.token":                "digest",
	"one_time_code.subject":                           "digest",
	"one_time_code.digest":                            "digest",
	"one_time_code.data":                              "free form",
	"attempt_count.subject":                           "digest",
	"recovery_code.digest":                            "digest",
	"totp.secret":                                     "ciphertext of a shared secret",
	"session_client.lease":                            "by which a worker reports a delivery",
}

// credentialTypes are domains whose values nobody but their holder may know, in whichever column.
var credentialTypes = []string{"token_digest", "stored_token_digest", "session_cookie", "digest_list"}

func TestEveryColumnIsTheAuditorsOrWithheld(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 1, fixture.WithRoles)
	columns := fixture.CatalogLines(t, w.Pool, `
		SELECT c.relname || '.' || k.attname
		FROM pg_class AS c JOIN pg_attribute AS k ON k.attrelid = c.oid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname <> 'oauthdb_version'
		    AND k.attnum > 0 AND NOT k.attisdropped
		ORDER BY 1`)
	var want []string
	for _, column := range columns {
		if withheld[column] == "" {
			want = append(want, "SELECT "+column)
		}
	}
	fixture.SameLines(t, "the auditor", append(want, "SELECT oauthdb_version"), given(t, w, fixture.Auditor, true))
	for _, column := range slices.Sorted(maps.Keys(withheld)) {
		if !slices.Contains(columns, column) {
			t.Errorf("%s is withheld, but there is no such column", column)
		}
	}
	typed := fixture.CatalogLines(t, w.Pool, `
		SELECT c.relname || '.' || k.attname
		FROM pg_class AS c JOIN pg_attribute AS k ON k.attrelid = c.oid JOIN pg_type AS y ON y.oid = k.atttypid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND y.typname = ANY ($1)`, credentialTypes)
	if len(typed) < 15 {
		t.Errorf("only %d columns hold digests: %q", len(typed), typed)
	}
	for _, column := range typed {
		if withheld[column] == "" {
			t.Errorf("%s holds digests, but isn't withheld", column)
		}
	}
}

func TestAuditorReadsColumnsOneByOne(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 1, fixture.WithRoles)
	w.Redeem()
	auditor := fixture.As(w.Ctx, fixture.Auditor)
	for column := range withheld {
		table, name, _ := strings.Cut(column, ".")
		for _, sql := range []string{`SELECT ` + name + ` FROM ` + table, `SELECT * FROM ` + table, `SELECT count(*) FROM ` + table + ` WHERE ` + name + ` IS NULL`, `SELECT to_jsonb(t) FROM ` + table + ` AS t`} {
			_, err := w.Pool.Exec(auditor, sql)
			refused(t, sql, err)
		}
	}
	for _, sql := range []string{
		`SELECT id, user_id, expires_at, ended_at, ip_address FROM session`,
		`SELECT id, status, revoked_reason, granted_scopes FROM oauth_authorization`,
		`SELECT id, client_id, revoked FROM oauth_refresh_token`,
		`SELECT * FROM security_event`,
		`SELECT * FROM "user"`,
		`SELECT version_id FROM oauthdb_version`,
	} {
		_, err := w.Pool.Exec(auditor, sql)
		w.OK(err)
	}
	var rows int
	w.OK(w.Pool.QueryRow(auditor, `SELECT count(*) FROM oauth_refresh_token WHERE client_id = $1`, w.Client).Scan(&rows))
	if rows != 1 {
		t.Errorf("the auditor sees %d refresh tokens, want 1", rows)
	}
}
