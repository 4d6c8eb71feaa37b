package privileges

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// refused wants the error of a privilege that lacks.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if e, found := errors.AsType[*pgconn.PgError](err); !found || e.Code != "42501" {
		t.Errorf("%s: %v, want SQLSTATE 42501", what, err)
	}
}

func TestWhatIsNotOnesOwnIsRefused(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 1, fixture.WithRoles)
	f := w.Redeem()
	ofAll := []string{
		`CREATE TABLE t ()`,
		`CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1`,
		`CREATE SCHEMA s`,
		`ALTER TABLE session ADD COLUMN x int`,
		`ALTER TABLE oauth_refresh_token DISABLE TRIGGER ALL`,
		`DROP TRIGGER give_family ON oauth_refresh_token`,
		`DROP TABLE oauth_access_token`,
		`TRUNCATE oauth_access_token CASCADE`,
		`CREATE INDEX ON session (id)`,
		`CREATE TRIGGER g BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION keep_finite()`,
		`ALTER FUNCTION is_live(oauth_authorization, oauth_client, "user", session) STRICT`,
		`CREATE OR REPLACE FUNCTION has_logout_uri(c oauth_client) RETURNS boolean LANGUAGE sql RETURN true`,
		`UPDATE oauthdb_version SET is_applied = false`,
		`DELETE FROM oauthdb_version`,
		`INSERT INTO oauthdb_version (version_id, is_applied) VALUES (1, true)`,
		`SET session_replication_role = replica`,
		`UPDATE security_event SET call = 'x'`,
		`UPDATE oauth_refresh_token SET token = 'x'`,
		`UPDATE oauth_access_token SET token = 'x', user_id = 'x'`,
		`UPDATE oauth_access_token SET revoked = NULL, expires_at = NULL`,
		`UPDATE session SET user_id = 'x'`,
		`UPDATE jwks SET private_key = 'x'`,
		`UPDATE totp SET secret = 'x'`,
		`UPDATE passkey SET public_key = 'x'`,
		`UPDATE account SET user_id = 'x'`,
		`SELECT * FROM pg_authid`,
		`COPY session TO '/tmp/sessions'`,
	}
	for role, statements := range map[fixture.Role][]string{
		fixture.Application: {
			`DELETE FROM security_event`,
			`DELETE FROM oauth_refresh_token`,
			`DELETE FROM oauth_authorization`,
			`DELETE FROM session`,
			`DELETE FROM "user"`,
			`DELETE FROM oauth_client`,
			`SELECT * FROM verification`,
			`SELECT * FROM device_code`,
		},
		fixture.Collector: {
			`INSERT INTO oauth_access_token (id, client_id, scopes) VALUES ('x', 'x', '{}')`,
			`INSERT INTO session (id, user_id, token, expires_at) VALUES ('x', 'x', 'x', now())`,
			`INSERT INTO security_event (call, outcome) VALUES ('x', 'ended')`,
			`UPDATE oauth_refresh_token SET revoked = NULL`,
			`UPDATE oauth_authorization SET user_id = 'x'`,
			`UPDATE session SET token = 'x'`,
			`SELECT token FROM oauth_refresh_token`,
			`SELECT token FROM oauth_access_token`,
			`SELECT secret FROM totp`,
			`SELECT private_key FROM jwks`,
			`SELECT password FROM account`,
			`SELECT digest FROM recovery_code`,
		},
		fixture.Auditor: {
			`INSERT INTO security_event (call, outcome) VALUES ('x', 'ended')`,
			`DELETE FROM security_event`,
			`UPDATE session SET ended_at = now()`,
			`SELECT id FROM session FOR KEY SHARE`,
		},
	} {
		for _, sql := range append(ofAll, statements...) {
			_, err := w.Pool.Exec(fixture.As(w.Ctx, role), sql)
			refused(t, string(role)+": "+sql, err)
		}
	}

	p, _ := w.RotateParams(f.Refresh)
	for _, role := range []fixture.Role{fixture.Collector, fixture.Auditor} {
		_, err := w.Q.RotateRefreshToken(fixture.As(w.Ctx, role), p)
		refused(t, string(role)+": RotateRefreshToken", err)
		_, err = w.Q.CreateSession(fixture.As(w.Ctx, role), store.CreateSessionParams{ID: "s", UserID: w.User, Token: fixture.Digest("s"), Lifetime: fixture.Long})
		refused(t, string(role)+": CreateSession", err)
	}
	for _, role := range []fixture.Role{fixture.Application, fixture.Auditor} {
		_, err := db.NewCollector(w.Q, db.CollectorOptions{}).Collect(fixture.As(w.Ctx, role))
		refused(t, string(role)+": Collect", err)
	}
}
