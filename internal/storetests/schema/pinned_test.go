package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// unpinned are the functions of the schema that look something up whenever they run, in a search_path that the caller chooses.
// A body that PostgreSQL has parsed when it was created is pinned. One that is kept as text has to bring a search_path of its own:
// the schema, and pg_temp after it, because temporary tables come first where pg_temp isn't named.
func unpinned(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return fixture.CatalogLines(t, pool, `
		SELECT p.proname::text
		FROM pg_proc AS p
		WHERE p.pronamespace = current_schema()::regnamespace
		    AND p.prosqlbody IS NULL
		    AND ('search_path=' || quote_ident(current_schema()) || ', pg_temp') <> ALL (coalesce(p.proconfig, '{}'))
		ORDER BY p.proname`)
}

func TestEveryFunctionPinsWhatItResolves(t *testing.T) {
	t.Parallel()
	pool := fixture.NewPool(t, 1)
	if found := unpinned(t, pool); len(found) > 0 {
		t.Errorf("functions that don't pin what they resolve: %s", strings.Join(found, ", "))
	}
	definers := fixture.CatalogLines(t, pool, `SELECT proname::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosecdef`)
	if len(definers) > 0 {
		t.Errorf("functions that run with the rights of their owner: %v", definers)
	}
	for name, sql := range map[string]string{
		"by_text":         `CREATE FUNCTION by_text() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM session'`,
		"by_path":         `CREATE FUNCTION by_path() RETURNS bigint LANGUAGE sql SET search_path = public AS 'SELECT count(*) FROM session'`,
		"by_path_of_user": `CREATE FUNCTION by_path_of_user() RETURNS void LANGUAGE plpgsql SET search_path = "$user", public, pg_temp AS 'BEGIN END'`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(unpinned(t, pool), name) {
			t.Errorf("%s is not found", name)
		}
	}
}

// Tables and functions of the same names, in the session's temporary schema and in one that its search_path names first, are not taken
// for those of the schema.
func TestFunctionsAreNotMisledByTheSessionsObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Redeem()
	for _, sql := range []string{
		`CREATE SCHEMA decoy`,
		`CREATE FUNCTION decoy.session_is_live(s session, u "user") RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
		`CREATE FUNCTION decoy.is_ended(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean LANGUAGE sql AS 'SELECT false'`,
		`CREATE TABLE decoy.oauth_client (LIKE public.oauth_client)`,
		`CREATE TEMPORARY TABLE session (LIKE public.session)`,
		`CREATE TEMPORARY TABLE oauth_client_secret (LIKE public.oauth_client_secret)`,
		`SET search_path = decoy, public`,
		`UPDATE public.oauth_authorization SET revoked_at = now(), revoked_reason = 'authorization_revoked'`,
		`UPDATE public.session SET ended_at = now(), expires_at = now()`,
		`INSERT INTO decoy.oauth_client SELECT * FROM public.oauth_client`,
		`UPDATE decoy.oauth_client SET client_id = 'decoy'`,
		`INSERT INTO oauth_client_secret (id, created_at, updated_at, client_id, digest, expires_at) SELECT 'x', now(), now(), client_id, repeat('A', 43), now() + interval '1 hour' FROM public.oauth_client`,
	} {
		w.Exec(sql)
	}
	for what, sql := range map[string]string{
		"a session that has ended is live":           `SELECT granter_refusal('locked', u, s.id, s) IS DISTINCT FROM 'signed_out' FROM public."user" AS u JOIN public.session AS s ON s.user_id = u.id`,
		"a family is live that has been revoked":     `SELECT is_live(a, c, u, NULL) FROM public.oauth_authorization AS a, public.oauth_client AS c, public."user" AS u`,
		"a session is locked that has ended":         `SELECT lock_parents(NULL, NULL, id) <> 'signed_out' FROM public.session`,
		"a client of another schema is locked":       `SELECT lock_parents(NULL, 'decoy', NULL) <> 'unknown'`,
		"a secret in a temporary table counts":       `SELECT is_older_secret(client_id, repeat('A', 43)) FROM public.oauth_client`,
		"a client of the schema is found in another": `SELECT lock_parents(NULL, client_id, NULL) <> 'locked' FROM public.oauth_client`,
	} {
		var misled bool
		w.OK(w.Pool.QueryRow(w.Ctx, sql).Scan(&misled))
		if misled {
			t.Error(what)
		}
	}
}
