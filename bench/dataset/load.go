package dataset

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // for the migrations
	"golang.org/x/sync/errgroup"

	"github.com/oauthdb/oauthdb/migrations"
)

// Data says what is in a database.
type Data struct {
	Database     string
	AccessTokens int64
	Families     int64 // each with 4 access tokens, a spent refresh token and its successor
	Users        int64 // each with a session, a consent, and two families
	Clients      int64
}

// Of is the data with so many access tokens.
func Of(accessTokens int64) Data {
	d := Data{AccessTokens: accessTokens, Families: accessTokens / 4}
	d.Users = d.Families / 2
	d.Clients = min(1000, max(20, d.Families/250))
	return d
}

// ExpiredEvery is which families of the data, of as many, is expired with all its tokens: the last of them.
const ExpiredEvery = 5

// Expired says whether a family of the data is, with all its tokens.
func Expired(family int64) bool { return family%ExpiredEvery == ExpiredEvery-1 }

// Bound says whether a family of the data ends with its session: every other pair of them. A planted one does unless it may be used offline.
func Bound(family int64) bool { return family%4 < 2 }

// ClientOf is the number of the client of a family. The first has half of all: in most deployments one client has most users.
func (d Data) ClientOf(family int64) int64 {
	if family%2 == 0 {
		return 0
	}
	return family % d.Clients
}

// version is part of the name of a database, like the migrations: increase it when what is loaded changes.
const version = "5"

// Prepare makes the database with the data unless it is there from an earlier run, and drops those of earlier migrations.
func (s *Server) Prepare(ctx context.Context, accessTokens int64, logf func(string, ...any)) (Data, error) {
	d := Of(accessTokens)
	sum := sha256.New()
	fmt.Fprint(sum, version, "\n")
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return d, err
	}
	for _, name := range files {
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			return d, err
		}
		sum.Write(text)
	}
	d.Database = fmt.Sprintf("bench_%d_%s", accessTokens, hex.EncodeToString(sum.Sum(nil)[:4]))

	found, err := s.texts(ctx, "postgres", `SELECT datname::text FROM pg_database WHERE datname LIKE $1`, fmt.Sprintf(`bench\_%d\_%%`, accessTokens))
	if err != nil {
		return d, err
	}
	for _, name := range found {
		if name == d.Database {
			return d, nil
		}
		if err := s.Drop(ctx, name); err != nil {
			return d, err
		}
	}
	logf("loading %d access tokens with what belongs to them", accessTokens)
	began := time.Now()
	loading := "loading_" + d.Database
	if err := s.Create(ctx, loading); err != nil {
		return d, err
	}
	if err := s.load(ctx, loading, d); err != nil {
		return d, fmt.Errorf("load %s: %w", d.Database, err)
	}
	// Only what is whole gets the name.
	if err := s.Exec(ctx, "postgres", "ALTER DATABASE "+pgx.Identifier{loading}.Sanitize()+" RENAME TO "+pgx.Identifier{d.Database}.Sanitize()); err != nil {
		return d, err
	}
	logf("loaded in %s", time.Since(began).Round(time.Second))
	return d, nil
}

// Create makes a database with the migrations, in the place of one of the same name.
func (s *Server) Create(ctx context.Context, name string) error {
	if err := s.Drop(ctx, name); err != nil {
		return err
	}
	if err := s.Exec(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return err
	}
	handle, err := sql.Open("pgx", s.URL(name))
	if err != nil {
		return err
	}
	_, err = migrations.Up(ctx, handle, migrations.Options{})
	return errors.Join(err, handle.Close())
}

// Clone makes a copy of the data for a run that deletes more than it can put back. The caller drops it.
func (s *Server) Clone(ctx context.Context, d Data, name string) (Data, error) {
	if err := s.Drop(ctx, name); err != nil {
		return d, err
	}
	err := s.Exec(ctx, "postgres", fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", pgx.Identifier{name}.Sanitize(), pgx.Identifier{d.Database}.Sanitize()))
	d.Database = name
	return d, err
}

// Drop drops a database if it is there.
func (s *Server) Drop(ctx context.Context, name string) error {
	return s.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

// texts are the values of a query of one column.
func (s *Server) texts(ctx context.Context, database, sql string, args ...any) ([]string, error) {
	conn, err := s.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Exec executes statements on a connection of their own.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) error {
	conn, err := s.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// asIs keeps triggers and foreign keys from looking at rows that are as they would make and want them.
const asIs = "SET session_replication_role = replica; SET synchronous_commit = off"

func (s *Server) load(ctx context.Context, database string, d Data) error {
	// Rows go into no index; each is built at the end.
	err := s.Exec(ctx, database, names, "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_prewarm", `
		UPDATE pg_index AS i SET indisready = false
		FROM pg_class AS c
		WHERE c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'oauthdb_version'`)
	if err != nil {
		return err
	}
	families := func(text string) string { return d.families(0, d.Families, false) + text }
	users := func(n int64, text string) string {
		return fmt.Sprintf(text+" FROM generate_series(0::bigint, %d) AS n", n-1)
	}
	two := func(statements ...string) error {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(2)
		for _, statement := range statements {
			g.Go(func() error { return s.Exec(gctx, database, asIs, statement) })
		}
		return g.Wait()
	}
	if err := two( // the largest first
		families(accessTokens(4, 2)),
		families(refreshTokens(2)),
		families(authorizations(Rotated)),
		families(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) SELECT DISTINCT session, client, "user", "user", session FROM f`),
		users(d.Users, `INSERT INTO session (id, expires_at, token, user_id, ip_address, user_agent)
			SELECT bench.id('ses_', n), now() + interval '1 year', bench.digest('s', n, 0), bench.id('usr_', n), '192.0.2.7',
				'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'`),
		users(d.Users, `INSERT INTO "user" (id, name, email, email_verified) SELECT bench.id('usr_', n), 'User ' || n, 'user-' || n || '@bench.example', true`),
		families(fmt.Sprintf(`INSERT INTO oauth_consent (id, client_id, user_id, scopes) SELECT bench.id('cns_', n), client, "user", scopes FROM f WHERE n < %d`, d.Users)),
		users(d.Clients, `INSERT INTO oauth_client
				(id, client_id, client_secret, name, uri, redirect_uris, scopes, grant_types, response_types, token_endpoint_auth_method, public)
			SELECT bench.id('ocl_', n), bench.id('cli_', n), bench.digest('k', n, 0), 'Client ' || n, 'https://app.bench.example', '{`+RedirectURI+`}',
				'{openid,profile,email,offline_access}', '{authorization_code,refresh_token}', '{code}', 'client_secret_basic', false`),
	); err != nil {
		return err
	}
	tables, err := s.texts(ctx, database, "SELECT format('REINDEX TABLE %s', oid::regclass) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relpages DESC")
	if err != nil {
		return err
	}
	if err := two(tables...); err != nil {
		return err
	}
	return s.Exec(ctx, database, "VACUUM (ANALYZE)", "CHECKPOINT")
}

// families begins a statement: f are the families of so many numbers, each in the session of its user or in one of its own. What is
// live stays so for a year, so that a database is of use for that long.
func (d Data) families(first, count int64, ownSession bool) string {
	session, scopes := "bench.id('ses_', n %% %[1]d)", "{openid,profile,email,offline_access}"
	if ownSession {
		session, scopes = "bench.id('ses_', n)", "{openid,profile,email}"
	}
	at := "now() - interval '40 days'"
	if first >= seedBase {
		at = "now() - interval '1 minute'"
	}
	return fmt.Sprintf(`
		WITH f AS (
			SELECT n, bench.id('azn_', n) AS id, bench.id('cli_', CASE WHEN n %% 2 = 0 THEN 0 ELSE n %% %[2]d END) AS client,
				bench.id('usr_', n %% %[1]d) AS "user", `+session+` AS session, '%[3]s'::text[] AS scopes, %[4]s AS began,
				CASE WHEN n < %[5]d AND n %% %[6]d = %[6]d - 1 THEN now() - interval '30 days' + n * interval '1 millisecond' ELSE now() + interval '1 year' END AS ends
			FROM generate_series(%[7]d::bigint, %[8]d) AS n
		)
		`, d.Users, d.Clients, scopes, at, int64(seedBase), ExpiredEvery, first, first+count-1)
}

// State is where a family stands.
type State int

// The states.
const (
	WithCode     State = iota // approved, with a code that was not redeemed yet
	WithRefresh               // with a refresh token that was not used yet, and its access token
	Rotated                   // with a spent refresh token and its successor, and the access token of each
	OwnedSession              // like WithRefresh, each with a session of its own, and without offline_access
)

func authorizations(state State) string {
	redeemed := "NULL, began, bench.token_id('atk_', n, 0), ends"
	if state == WithCode {
		redeemed = "ends, NULL, NULL, NULL"
	}
	return `INSERT INTO oauth_authorization (id, client_id, status, redirect_uri, response_type, scopes, state, nonce, code_challenge, code_challenge_method,
			user_id, session_id, granted_scopes, auth_time, amr, decided_at, bound, user_epoch, client_epoch, pair_epoch, code, code_expires_at,
			expires_at, redeemed_at, redeemed_as, max_expires_at, created_at)
		SELECT id, client, 'approved', '` + RedirectURI + `', 'code', scopes, 'af0ifjsldkj', 'n-0S6_WzA2Mj', '` + CodeChallenge + `', 'S256',
			"user", session, scopes, began, '{pwd}', began,
			CASE WHEN n < ` + fmt.Sprint(seedBase) + ` THEN n % 4 < 2 ELSE NOT 'offline_access' = ANY (scopes) END, 0, 0, 0, bench.digest('c', n, 0), ends,
			` + redeemed + `, began
		FROM f`
}

// refreshTokens are so many of each family, of which the last is current.
func refreshTokens(each int) string {
	return fmt.Sprintf(`INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes, authorization_id,
			authorization_code_id, auth_time, created_at, revoked, successor, successor_id)
		SELECT bench.token_id('rtk_', n, g), bench.digest('r', n, g), client, session, "user", ends, scopes, id, id, began, began,
			CASE WHEN g < %[1]d THEN began END, CASE WHEN g < %[1]d THEN bench.digest('r', n, g + 1) END,
			CASE WHEN g < %[1]d THEN bench.token_id('rtk_', n, g + 1) END
		FROM f, generate_series(0::bigint, %[1]d) AS g`, each-1)
}

// accessTokens are so many of each family and of its refresh tokens.
func accessTokens(each, refreshTokens int) string {
	return fmt.Sprintf(`INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes, authorization_id,
			authorization_code_id, created_at)
		SELECT bench.token_id('atk_', n, g), bench.digest('a', n, g), client, session, "user", bench.token_id('rtk_', n, g * %d / %d), ends, scopes,
			id, id, began
		FROM f, generate_series(0::bigint, %d) AS g`, refreshTokens, each, each-1)
}

// Plant writes families of a state for a run.
func (s *Server) Plant(ctx context.Context, d Data, run, count int64, state State) error {
	all := []string{authorizations(state)}
	switch state {
	case WithCode:
	case Rotated:
		all = append(all, refreshTokens(2), accessTokens(2, 2))
	default:
		all = append(all, refreshTokens(1), accessTokens(1, 1))
	}
	if state == OwnedSession {
		all = append(all, `INSERT INTO session (id, expires_at, token, user_id) SELECT session, ends, bench.digest('s', n, 0), "user" FROM f`,
			`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) SELECT session, client, "user", "user", session FROM f`)
	}
	for i := range all {
		all[i] = d.families(First(run), count, state == OwnedSession) + all[i]
	}
	return s.Exec(ctx, d.Database, slices.Concat([]string{asIs, "BEGIN"}, all, []string{"COMMIT"})...) // at one moment
}

// Uproot deletes what is left of all runs, and of what they have issued.
func (s *Server) Uproot(ctx context.Context, d Data) error {
	first := First(0)
	return s.Exec(ctx, d.Database, "SET synchronous_commit = off",
		fmt.Sprintf("DELETE FROM oauth_authorization WHERE id >= '%s' AND id < 'azo'", Authorization(first)),
		fmt.Sprintf("DELETE FROM session WHERE id >= '%s' AND id < 'set'", Session(first)),
		fmt.Sprintf("DELETE FROM session_client WHERE session_id >= '%s' AND session_id < 'set'", Session(first)),
		"TRUNCATE security_event")
}

// Vacuum does what autovacuum would do at some time in between, had it not been told to keep still.
func (s *Server) Vacuum(ctx context.Context, d Data) error {
	return s.Exec(ctx, d.Database, "VACUUM (ANALYZE)")
}

// Warm reads what works look up at random into the server's memory, and writes what is dirty, so that neither is measured. The rest,
// which they hardly touch, would only push that out again.
func (s *Server) Warm(ctx context.Context, d Data) error {
	return s.Exec(ctx, d.Database, `
		SELECT sum(pg_prewarm(r::regclass))
		FROM unnest(ARRAY[
			'oauth_access_token', 'oauth_access_token_token_uidx', 'oauth_authorization', 'oauth_authorization_pkey',
			'oauth_refresh_token_token_uidx', '"user"', 'user_pkey', 'oauth_consent', 'oauth_consent_client_user_uidx',
			'oauth_client', 'oauth_client_client_id_uidx'
		]) AS r`, "CHECKPOINT")
}
