package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
)

// The parties. The user, the client and the session named large have very many families in common, those named medium a thousand, those named
// small one. A crowd is a user with very many sessions, a group one with a thousand.
const (
	large  = "large"
	medium = "medium"
	small  = "small"
	crowd  = "crowd"
	group  = "group"

	inMedium = 1000
)

// first is the number of a party's first family, above those of the data.
var first = map[string]int64{small: 1_000_000, medium: 2_000_000, large: 3_000_000}

// place is a copy of the data with the parties.
type place struct {
	server *dataset.Server
	data   dataset.Data
	conn   *pgx.Conn // on which things are ended
}

func newPlace(ctx context.Context, server *dataset.Server, name string, families int) (p *place, err error) {
	p = &place{server: server}
	kept, err := server.Prepare(ctx, 10_000, func(string, ...any) {})
	if err != nil {
		return p, err
	}
	if p.data, err = server.Clone(ctx, kept, name); err != nil {
		return p, err
	}
	// the disk's time would hide what is to be seen
	if p.conn, err = pgx.Connect(ctx, server.URL(name)+"&synchronous_commit=off"); err != nil {
		return p, err
	}
	const parties = ` FROM (VALUES ('large'), ('medium'), ('small'), ('crowd'), ('group')) AS p (name)`
	some := min(families, inMedium)
	grants := fmt.Sprintf(`
		FROM (VALUES ('small', %d, 1), ('medium', %d, %d), ('large', %d, %d)) AS p (name, first, families),
			generate_series(p.first::bigint, p.first + p.families - 1) AS n`, first[small], first[medium], some, first[large], families)
	err = server.Exec(ctx, name, "SET session_replication_role = replica",
		`INSERT INTO "user" (id, name, email) SELECT 'usr_' || p.name, p.name, p.name || '@bench.example'`+parties,
		`INSERT INTO account (id, account_id, provider_id, user_id) SELECT 'acc_' || p.name, 'usr_' || p.name, 'credential', 'usr_' || p.name`+parties,
		`INSERT INTO session (id, token, user_id, expires_at) SELECT 'ses_' || p.name, bench.digest('s' || p.name, 0, 0), 'usr_' || p.name, now() + interval '30 days'`+parties,
		fmt.Sprintf(`
			INSERT INTO session (id, token, user_id, expires_at)
			SELECT 'ses_' || p.name || i, bench.digest('s' || p.name, i, 0), 'usr_' || p.name, now() + interval '30 days'
			FROM (VALUES ('crowd', %d), ('group', %d)) AS p (name, sessions), generate_series(1::bigint, p.sessions - 1) AS i`, families, some),
		`INSERT INTO oauth_client (id, client_id, name, scopes, redirect_uris, grant_types, token_endpoint_auth_method, public)
			SELECT 'ocl_' || p.name, 'cli_' || p.name, p.name, '{openid,profile,email}', '{`+dataset.RedirectURI+`}', '{authorization_code,refresh_token}', 'none', true`+parties,
		`INSERT INTO oauth_consent (id, client_id, user_id, scopes) SELECT 'cns_' || p.name, 'cli_' || p.name, 'usr_' || p.name, '{openid,profile,email}'`+parties,
		`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) SELECT 'ses_' || p.name, 'cli_' || p.name, 'usr_' || p.name, 'usr_' || p.name, 'ses_' || p.name`+parties,
		`INSERT INTO oauth_authorization (id, client_id, status, redirect_uri, response_type, scopes, granted_scopes, code_challenge, code_challenge_method, user_id, session_id,
				decided_at, auth_time, code, code_expires_at, redeemed_at, redeemed_as, max_expires_at, bound, user_epoch, client_epoch, pair_epoch)
			SELECT bench.id('azn_', n), 'cli_' || p.name, 'approved', '`+dataset.RedirectURI+`', 'code', '{openid,profile,email}', '{openid,profile,email}',
				'`+dataset.CodeChallenge+`', 'S256', 'usr_' || p.name, 'ses_' || p.name, now(), now(), bench.digest('c', n, 0), now() + interval '1 day', now(),
				bench.token_id('atk_', n, 0), now() + interval '90 days', true, 0, 0, 0`+grants,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, session_id, expires_at, scopes, auth_time, authorization_id, authorization_code_id)
			SELECT bench.token_id('rtk_', n, 0), bench.digest('r', n, 0), 'cli_' || p.name, 'usr_' || p.name, 'ses_' || p.name, now() + interval '30 days',
				'{openid,profile,email}', now(), bench.id('azn_', n), bench.id('azn_', n)`+grants,
		`INSERT INTO oauth_access_token (id, token, client_id, user_id, session_id, refresh_id, expires_at, scopes, authorization_id, authorization_code_id)
			SELECT bench.token_id('atk_', n, 0), bench.digest('a', n, 0), 'cli_' || p.name, 'usr_' || p.name, 'ses_' || p.name, bench.token_id('rtk_', n, 0),
				now() + interval '1 day', '{openid,profile,email}', bench.id('azn_', n), bench.id('azn_', n)`+grants,
		"CREATE TABLE bench.control (id int PRIMARY KEY, n int)", "INSERT INTO bench.control VALUES (1, 0)", "VACUUM (ANALYZE)", "CHECKPOINT")
	return p, err
}

// drop drops the copy.
func (p *place) drop(ctx context.Context) (err error) {
	if p.conn != nil {
		err = p.conn.Close(ctx)
	}
	if p.data.Database != "" {
		err = errors.Join(err, p.server.Drop(ctx, p.data.Database))
	}
	return err
}
