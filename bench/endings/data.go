package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// The parties. Those named large have very many families in common, those named medium a thousand, those named small one; a family of the
// background belongs to one of many users. A crowd is a user with very many sessions, a group one with a thousand.
const (
	large  = "large"
	medium = "medium"
	small  = "small"
	crowd  = "crowd"
	group  = "group"

	inMedium = 1000

	backgroundUsers   = 5000
	backgroundClients = 20
	background        = 20_000 // families, with a code that is still to be redeemed or with tokens
)

func userID(of string) string    { return "usr_" + of }
func sessionID(of string) string { return "ses_" + of }
func clientID(of string) string  { return "cli_" + of }

// digest is the form of a digest, in SQL the same.
func digestSQL(kind, number string) string {
	return "md5('" + kind + "' || " + number + ") || '-benchdataA'"
}

const secret = "s" // kind of digest, by client

// load fills the database. It is one set of statements for both cores: a column that a core lacks is left out.
func (c *core) load(ctx context.Context, families int) error {
	parties := fmt.Sprintf(`(SELECT i::text AS name FROM generate_series(0, %d) AS i UNION ALL VALUES ('large'), ('medium'), ('small'), ('crowd'), ('group'))`,
		backgroundUsers-1)
	clients := fmt.Sprintf(`(SELECT i::text AS name FROM generate_series(0, %d) AS i UNION ALL VALUES ('large'), ('medium'), ('small'))`, backgroundClients-1)
	// number: of the family; state: code, or tokens
	all := fmt.Sprintf(`(
		SELECT i AS number, (i %% %d)::text AS owner, (i %% %d)::text AS client, i %% 2 = 0 AS has_code FROM generate_series(0, %d) AS i
		UNION ALL SELECT 1000000 + i, 'large', 'large', false FROM generate_series(0, %d) AS i
		UNION ALL SELECT 500000 + i, 'medium', 'medium', false FROM generate_series(0, %d) AS i
		UNION ALL VALUES (900000, 'small', 'small', false)
	)`, backgroundUsers, backgroundClients, background-1, families-1, min(families, inMedium)-1)
	number := "lpad(f.number::text, 15, '0')"
	scopes := "'{openid,profile,email}'"

	steps := []string{
		c.insert(`"user"`, parties+" AS p",
			"id", "'usr_' || p.name", "name", "p.name", "email", "p.name || '@bench.example'"),
		c.insert("session", parties+" AS p",
			"id", "'ses_' || p.name", "token", digestSQL("cookie", "p.name"), "user_id", "'usr_' || p.name", "expires_at", "now() + interval '30 days'",
			"user_agent", "'Mozilla/5.0'"),
		c.insert("session", fmt.Sprintf("(SELECT 'crowd' AS name, i FROM generate_series(1, %d) AS i UNION ALL SELECT 'group', i FROM generate_series(1, %d) AS i) AS p",
			families-1, min(families, inMedium)-1),
			"id", "'ses_' || p.name || p.i", "token", digestSQL("cookie", "p.name || p.i"), "user_id", "'usr_' || p.name", "expires_at", "now() + interval '30 days'",
			"user_agent", "'Mozilla/5.0'"),
		c.insert("account", parties+" AS p",
			"id", "'acc_' || p.name", "account_id", "'usr_' || p.name", "provider_id", "'credential'", "user_id", "'usr_' || p.name"),
		c.insert("oauth_client", clients+" AS k",
			"id", "'ocl_' || k.name", "client_id", "'cli_' || k.name", "client_secret", digestSQL(secret, "k.name"), "name", "k.name",
			"scopes", scopes+"::text[]", "redirect_uris", "ARRAY['https://app.bench.example/callback']", "grant_types", "'{authorization_code,refresh_token}'::text[]",
			"token_endpoint_auth_method", "'client_secret_basic'", "public", "false"),
		c.insert("oauth_authorization", all+" AS f",
			"id", "'azn_' || "+number, "client_id", "'cli_' || f.client", "status", "'approved'::authorization_status",
			"redirect_uri", "'https://app.bench.example/callback'", "response_type", "'code'", "scopes", scopes+"::text[]", "granted_scopes", scopes+"::text[]",
			"code_challenge", "'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'", "code_challenge_method", "'S256'",
			"user_id", "'usr_' || f.owner", "session_id", "'ses_' || f.owner", "decided_at", "now()", "auth_time", "now()",
			"code", digestSQL("c", "f.number"), "code_expires_at", "now() + interval '1 day'",
			"redeemed_at", "CASE WHEN NOT f.has_code THEN now() END",
			"redeemed_as", "CASE WHEN NOT f.has_code THEN 'atk_' || "+number+" END",
			"expires_at", map[bool]string{
				true:  "now() + interval '30 days'", // the family's last token
				false: "CASE WHEN f.has_code THEN now() + interval '1 day' END",
			}[c.columns["oauth_authorization.current_refresh_token"]],
			"max_expires_at", "CASE WHEN NOT f.has_code THEN now() + interval '90 days' END",
			"current_refresh_token", "CASE WHEN NOT f.has_code THEN "+digestSQL("r", "f.number")+" END",
			"bound", "f.number % 4 <> 3", "user_epoch", "0", "client_epoch", "0", "pair_epoch", "0"),
		c.insert("oauth_refresh_token", all+" AS f",
			"id", "'rtk_' || "+number, "token", digestSQL("r", "f.number"), "client_id", "'cli_' || f.client", "user_id", "'usr_' || f.owner",
			"session_id", "'ses_' || f.owner", "expires_at", "now() + interval '30 days'", "scopes", scopes+"::text[]", "auth_time", "now()",
			"authorization_id", "'azn_' || "+number, "authorization_code_id", "'azn_' || "+number) + " WHERE NOT f.has_code",
		c.insert("oauth_access_token", all+" AS f",
			"id", "'atk_' || "+number, "token", digestSQL("a", "f.number"), "client_id", "'cli_' || f.client", "user_id", "'usr_' || f.owner",
			"session_id", "'ses_' || f.owner", "refresh_id", "'rtk_' || "+number, "expires_at", "now() + interval '1 day'", "scopes", scopes+"::text[]",
			"authorization_id", "'azn_' || "+number, "authorization_code_id", "'azn_' || "+number) + " WHERE NOT f.has_code",
		c.insert("oauth_consent", fmt.Sprintf(`(
				SELECT i::text AS owner, (i %% %d)::text AS client FROM generate_series(0, %d) AS i UNION ALL VALUES ('large', 'large'), ('medium', 'medium'), ('small', 'small')
			) AS p`, backgroundClients, backgroundUsers-1),
			"id", "'cns_' || p.owner", "client_id", "'cli_' || p.client", "user_id", "'usr_' || p.owner", "scopes", scopes+"::text[]"),
	}
	if c.columns["session_client.id"] {
		steps = append(steps, `
			INSERT INTO session_client (session_id, client_id, user_id, sub, sid)
			SELECT DISTINCT a.session_id, a.client_id, a.user_id, a.user_id, a.session_id FROM oauth_authorization AS a`)
	}
	steps = append(steps, "VACUUM (ANALYZE)", "CHECKPOINT")
	for _, sql := range steps {
		if _, err := c.conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("load %s: %s: %w", c.name, strings.TrimSpace(strings.SplitN(sql, "(", 2)[0]), err)
		}
	}
	return nil
}

// insert is an INSERT ... SELECT of those of the columns, each with its expression, that the core has.
func (c *core) insert(table, from string, columnsAndValues ...string) string {
	var columns, values []string
	for i := 0; i < len(columnsAndValues); i += 2 {
		if c.columns[strings.Trim(table, `"`)+"."+columnsAndValues[i]] {
			columns, values = append(columns, columnsAndValues[i]), append(values, columnsAndValues[i+1])
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", table, strings.Join(columns, ", "), strings.Join(values, ", "), from)
}

const (
	accessTokenLifetime  = time.Hour
	refreshTokenLifetime = 30 * 24 * time.Hour
	familyLifetime       = 90 * 24 * time.Hour
	grace                = time.Minute
)
