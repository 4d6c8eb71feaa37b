package plan_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/plan"
)

// focus is what a user in the middle of the crowd has, by name: the values that queries are measured with. The user has one
// session, with four authorizations, or about that: as many in a small database as in a large one.
func focus(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, `
		WITH live AS MATERIALIZED (
			SELECT u.id AS user_id, u.email, s.id AS session_id, s.token AS session_token, a.id AS authorization_id, a.client_id,
				c.id AS oauth_client_id, c.client_secret, r.id AS refresh_token_id, r.token AS refresh_token,
				t.id AS access_token_id, t.token AS access_token,
				row_number() OVER (ORDER BY u.id) - count(*) OVER () / 2 AS from_the_middle
			FROM oauth_refresh_token AS r
			JOIN oauth_authorization AS a ON a.id = r.authorization_id
			JOIN oauth_access_token AS t ON t.authorization_id = a.id
			JOIN oauth_client AS c ON c.client_id = a.client_id
			JOIN session AS s ON s.id = a.session_id
			JOIN "user" AS u ON u.id = a.user_id
			WHERE r.revoked IS NULL AND r.expires_at > now() + interval '1 hour' AND t.revoked IS NULL AND t.token IS NOT NULL AND t.expires_at > now() + interval '1 hour'
				AND is_live(a, c, u, s) AND session_is_live(s, u) AND s.expires_at > now() + interval '1 hour' AND c.client_secret IS NOT NULL
				AND a.reference_id IS NULL AND 'client_credentials' = ANY (c.grant_types) AND c.subject_type IS NULL
		), average AS (
			SELECT l.user_id
			FROM live AS l
			WHERE (SELECT count(*) FROM account AS c WHERE c.user_id = l.user_id) = 2
			ORDER BY abs((SELECT count(*) FROM session AS s WHERE s.user_id = l.user_id) - 1)
				+ abs((SELECT count(*) FROM oauth_authorization AS a WHERE a.user_id = l.user_id) - 4)
				+ abs((SELECT count(*) FROM oauth_refresh_token AS r WHERE r.user_id = l.user_id) - 4),
				abs(l.from_the_middle)
			LIMIT 1
		)
		SELECT to_jsonb(l) || jsonb_build_object(
			'account_id', (SELECT c.id FROM account AS c WHERE c.user_id = l.user_id ORDER BY c.id LIMIT 1),
			'consent_id', (SELECT g.id FROM oauth_consent AS g WHERE g.user_id = l.user_id ORDER BY g.id LIMIT 1),
			'consent_client', (SELECT g.client_id FROM oauth_consent AS g WHERE g.user_id = l.user_id AND g.reference_id IS NULL AND g.user_epoch = 1 ORDER BY g.id LIMIT 1),
			'jwk_id', (SELECT k.id FROM jwks AS k ORDER BY k.id LIMIT 1),
			'trusted_issuer_id', (SELECT i.id FROM oauth_trusted_issuer AS i ORDER BY i.id LIMIT 1),
			'provider_subject', (SELECT c.account_id FROM account AS c WHERE c.user_id = l.user_id AND c.provider_id = 'google'),
			'assertion', (SELECT g.id FROM oauth_client_assertion AS g ORDER BY g.id LIMIT 1),
			'soon', extract(epoch FROM now() + interval '5 minutes')::bigint::text,
			'suspended', (SELECT u.id FROM "user" AS u WHERE u.suspended_at IS NOT NULL AND u.deleted_at IS NULL ORDER BY u.id LIMIT 1),
			'deleted', (SELECT u.id FROM "user" AS u WHERE u.deleted_at IS NOT NULL ORDER BY u.id LIMIT 1),
			'last_used_client', (SELECT c.id FROM oauth_client AS c WHERE c.client_id = 'client-100'), -- the first hundred are those of authorizations
			'client_with_secrets', (SELECT o.client_id FROM oauth_client_secret AS o WHERE o.expires_at > now() + interval '1 hour' ORDER BY o.id LIMIT 1),
			'imported_client', (SELECT c.client_id FROM oauth_client AS c WHERE c.foreign_secret_hash IS NOT NULL AND c.deleted_at IS NULL ORDER BY c.id LIMIT 1),
			'foreign_hash', (SELECT c.foreign_secret_hash FROM oauth_client AS c WHERE c.foreign_secret_hash IS NOT NULL AND c.deleted_at IS NULL ORDER BY c.id LIMIT 1),
			'older_secret', (SELECT o.digest FROM oauth_client_secret AS o WHERE o.expires_at > now() + interval '1 hour' ORDER BY o.id LIMIT 1),
			'known_session', (SELECT k.session_id FROM session_client AS k JOIN session AS s ON s.id = k.session_id WHERE k.due_at IS NULL AND s.expires_at > now() ORDER BY k.id LIMIT 1)
		) || (
			SELECT jsonb_build_object('delivery', k.id, 'delivery_lease', k.lease)
			FROM session_client AS k
			WHERE k.lease_expires_at > now()
			ORDER BY k.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('code', a.code, 'code_authorization', a.id, 'code_client', a.client_id, 'code_redirect_uri', a.redirect_uri,
				'code_challenge', a.code_challenge, 'code_secret', c.client_secret)
			FROM oauth_authorization AS a
			JOIN oauth_client AS c ON c.client_id = a.client_id
			JOIN "user" AS u ON u.id = a.user_id
			LEFT JOIN session AS s ON s.id = a.session_id
			WHERE a.kind = 'code' AND a.code_expires_at > now() + interval '1 hour' AND a.redeemed_at IS NULL AND a.revoked_at IS NULL AND c.client_secret IS NOT NULL AND is_live(a, c, u, s)
			ORDER BY a.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('pending_id', a.id, 'request_uri', a.request_uri, 'request_client', a.client_id)
			FROM oauth_authorization AS a
			JOIN oauth_client AS c ON c.client_id = a.client_id
			WHERE a.kind = 'code' AND a.status = 'pending' AND a.expires_at > now() + interval '1 hour' AND a.request_uri IS NOT NULL AND NOT c.disabled
			ORDER BY a.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('device_code', p.code, 'device_client', a.client_id, 'device_secret', c.client_secret)
			FROM oauth_polled_request AS p
			JOIN oauth_authorization AS a ON a.id = p.id
			JOIN oauth_client AS c ON c.client_id = a.client_id
			JOIN "user" AS u ON u.id = a.user_id
			LEFT JOIN session AS s ON s.id = a.session_id
			WHERE p.expires_at > now() + interval '1 hour' AND a.status = 'approved' AND a.redeemed_at IS NULL AND c.client_secret IS NOT NULL AND is_live(a, c, u, s)
			ORDER BY a.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('asking_request', p.id, 'user_code', p.user_code)
			FROM oauth_polled_request AS p
			JOIN oauth_authorization AS a ON a.id = p.id
			WHERE p.expires_at > now() + interval '1 hour' AND a.status = 'pending'
			ORDER BY a.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('polled_request', p.id)
			FROM oauth_polled_request AS p
			JOIN oauth_authorization AS a ON a.id = p.id
			WHERE a.redeemed_at IS NOT NULL AND a.revoked_at IS NULL
			ORDER BY a.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('registered_client', c.client_id, 'registration', c.registration_access_token)
			FROM oauth_client AS c
			WHERE c.previous_registration_access_token IS NOT NULL AND c.deleted_at IS NULL AND NOT c.disabled
			ORDER BY c.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('initial_access_token', t.token, 'initial_access_token_id', t.id)
			FROM oauth_initial_access_token AS t
			WHERE t.expires_at > now() + interval '1 hour' AND t.uses < t.max_uses
			ORDER BY t.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('document_client', c.client_id)
			FROM oauth_client AS c
			WHERE c.document_etag = '"1"' AND c.deleted_at IS NULL
			ORDER BY c.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('pairwise_client', c.client_id, 'pairwise_sector', p.sector, 'pairwise_user', p.user_id, 'pairwise_subject', p.subject)
			FROM oauth_pairwise_subject AS p
			JOIN oauth_client AS c ON c.sector_identifier = p.sector
			WHERE NOT c.disabled
			ORDER BY p.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('owner', c.user_id)
			FROM oauth_client AS c
			WHERE c.user_id IS NOT NULL AND c.deleted_at IS NULL
			ORDER BY c.id DESC
			LIMIT 1
		) || (
			SELECT jsonb_build_object('reference_id', c.reference_id)
			FROM oauth_client AS c
			WHERE c.reference_id IS NOT NULL AND c.deleted_at IS NULL
			ORDER BY c.id DESC
			LIMIT 1
		) || (
			SELECT jsonb_build_object('spent_id', r.id, 'spent_token', r.token)
			FROM oauth_refresh_token AS r
			JOIN oauth_authorization AS a ON a.id = r.authorization_id
			WHERE r.revoked IS NOT NULL AND r.successor IS NULL AND a.revoked_at IS NULL
			ORDER BY r.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object('redeemed_id', a.id, 'redeemed_client', a.client_id, 'redeemed_user', a.user_id, 'redeemed_as', a.redeemed_as,
				'redeemed_scopes', a.granted_scopes::text, 'redeemed_token', t.token)
			FROM oauth_authorization AS a
			JOIN oauth_client AS c ON c.client_id = a.client_id
			JOIN "user" AS u ON u.id = a.user_id
			LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
			JOIN oauth_access_token AS t ON t.id = a.redeemed_as
			WHERE a.resources IS NULL AND a.authorization_details IS NULL AND is_live(a, c, u, s)
			ORDER BY a.id
			LIMIT 1
		)
		|| (
			SELECT jsonb_build_object('code_purpose', c.purpose, 'code_subject', c.subject, 'code_digest', c.digest)
			FROM one_time_code AS c
			JOIN attempt_count AS n ON n.purpose = c.purpose AND n.subject = c.subject
			WHERE c.expires_at > now() + interval '1 hour' AND n.resets_at > now() + interval '1 hour' AND n.attempts < 5
			ORDER BY c.id
			LIMIT 1
		) || (
			SELECT jsonb_build_object(
				'passkey_id', (SELECT p.id FROM passkey AS p WHERE p.user_id = l.user_id ORDER BY p.id LIMIT 1),
				'totp_id', (SELECT o.id FROM totp AS o WHERE o.user_id = l.user_id ORDER BY o.id LIMIT 1),
				'recovery_digest', (SELECT c.digest FROM recovery_code AS c WHERE c.user_id = l.user_id AND c.used_at IS NULL ORDER BY c.id LIMIT 1)
			)
		)
		FROM average
		JOIN live AS l USING (user_id)
		ORDER BY l.refresh_token_id
		LIMIT 1`)
	if err != nil {
		return nil, fmt.Errorf("choose a user to measure with: %w", err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[map[string]any])
	if err != nil {
		return nil, fmt.Errorf("choose a user to measure with: %w", err)
	}
	values := map[string]string{}
	for k, v := range found {
		if v == nil {
			return nil, fmt.Errorf("choose a user to measure with: it has no %s", k)
		}
		values[k] = fmt.Sprint(v)
	}
	return values, nil
}

// null stands for NULL among the arguments.
const null = "\x00"

// special are the arguments that neither a parameter's type nor its name tells, by query and parameter: a word is the name
// of a value of focus, anything else is taken as it is.
var special = map[string]map[string]string{
	"FindSessionByToken":                  {"Token": "session_token"},
	"FindAccessTokenByToken":              {"Token": "access_token"},
	"IntrospectAccessToken":               {"Token": "access_token"},
	"FindRefreshTokenByToken":             {"Token": "refresh_token"},
	"IntrospectRefreshToken":              {"Token": "refresh_token"},
	"IntrospectToken":                     {"Token": "refresh_token"},
	"RevokeToken":                         {"Token": "refresh_token"},
	"RotateRefreshToken":                  {"Token": "refresh_token", "SuccessorID": "'new", "AccessTokenID": "'new", "Scopes": null, "Resources": null},
	"ExtendSession":                       {"Lifetime": "'1000 days", "MaxLifetime": null},
	"CreateSession":                       {"MaxSessions": "'1"},
	"FindClientByRegistrationToken":       {"ClientID": "registered_client", "RegistrationAccessToken": "registration"},
	"SetRegistrationAccessToken":          {"RegistrationAccessToken": null},
	"RotateClientSecret":                  {"ClientSecret": "'" + fresh("secret")},
	"ReplaceForeignSecretHash":            {"ClientID": "imported_client", "ForeignSecretHash": "foreign_hash", "ClientSecret": "'" + fresh("secret")},
	"MarkUnusedClients":                   {"AfterID": "last_used_client"},
	"ListClientSecrets":                   {"ClientID": "client_with_secrets"},
	"ListClientsByUser":                   {"UserID": "owner"},
	"ListUserConnections":                 {"AfterClientID": "'", "AfterReferenceID": null},
	"ExportUser":                          {"AfterTableName": "'", "AfterID": "'"},
	"FindConsent":                         {"ClientID": "consent_client", "ReferenceID": null},
	"CheckConsent":                        {"ClientID": "consent_client", "ReferenceID": null, "AuthorizationDetails": "'[]"},
	"WithdrawConsent":                     {"ClientID": "consent_client", "ReferenceID": null},
	"GrantConsent":                        {"ID": "'new", "ReferenceID": null, "AuthorizationDetails": "'[]"},
	"FindAuthorizationByCode":             {"Code": "code"},
	"RedeemAuthorizationCode":             {"Code": "code", "ClientID": "code_client", "ClientSecret": "code_secret", "RedirectURI": "code_redirect_uri", "CodeChallenge": "code_challenge", "RefreshTokenID": "'new", "AccessTokenID": "'new", "Resources": null},
	"TakeAuthorizationByRequestURI":       {"RequestURI": "request_uri", "ClientID": "request_client"},
	"FindAuthorizationByRequestURI":       {"RequestURI": "request_uri", "ClientID": "request_client"},
	"CheckAuthorizationRequest":           {"RedirectURI": null},
	"CreateAuthorization":                 {"RedirectURI": null},
	"ApproveAuthorization":                {"ID": "pending_id"},
	"DenyAuthorization":                   {"ID": "pending_id"},
	"FindAccountByProvider":               {"ProviderID": "'credential", "AccountID": "user_id"},
	"EndUserSessions":                     {"Keep": null},
	"GrantAuthorization":                  {"ID": "'new", "RedirectURI": null},
	"IssueAuthorizationCode":              {"ID": "code_authorization"},
	"CreateBackchannelAuthentication":     {"AuthorizationDetails": "'[]"},
	"CreateDeviceAuthorization":           {"AuthorizationDetails": "'[]"},
	"FindAuthorizationByUserCode":         {"UserCode": "user_code"},
	"GetPolledRequest":                    {"ID": "asking_request"},
	"PollDeviceCode":                      {"DeviceCode": "device_code", "ClientID": "device_client", "ClientSecret": "device_secret", "RefreshTokenID": "'new", "AccessTokenID": "'new", "Resources": null},
	"IssueAccessToken":                    {"ID": "'new"},
	"ExchangeToken":                       {"SubjectToken": "access_token", "SubjectTokenID": null, "ActorToken": null, "ActorTokenID": null, "AccessTokenID": "'new", "Scopes": null, "Resources": null, "AuthorizationDetails": null, "MayAct": null},
	"IssueTokenByAssertion":               {"Issuer": "'google", "Subject": "provider_subject", "AssertionExpiresAt": "soon", "AssertionClientID": null, "AccessTokenID": "'new", "Audiences": "'{https://server.example}", "SigningAlgorithm": "'ES256", "Resources": null},
	"FindTrustedIssuerByIssuer":           {"Issuer": "'google"},
	"CreateTrustedIssuer":                 {"JWKS": null},
	"UpdateTrustedIssuer":                 {"JWKS": null},
	"function find_issued_access_token":   {"Of_token": "access_token_id", "Issued_to": "client_id", "Presented_as": "access_token", "Exchanged_for": null, "Name": "'ID"},
	"function find_issued (collected)":    {"ID": "'none"},
	"function judge_assertion":            {"Assertion": "assertion", "Until": "'tomorrow", "Issued_as": "'new", "Family": "'new", "Of_client": "client_id", "Of_user": "user_id"},
	"function find_grant_by_assertion":    {"Assertion": "assertion"},
	"function was_granted_by":             {"Assertion": "assertion", "Of_token": "access_token_id"},
	"function was_issued_to":              {"Of_token": "access_token_id", "Issued_to": "client_id"},
	"function was_rotated_into":           {"Of_token": "refresh_token_id", "Same_successor": "'new"},
	"function lock_live_access_token":     {"Of_token": "access_token_id"},
	"IssueGrant":                          {"ID": "'new", "RefreshTokenID": "'new", "AccessTokenID": "'new", "GrantType": "'server", "AuthorizationDetails": "'[]"},
	"ImportRefreshToken":                  {"ID": "'new", "Tokens": "'{" + fresh("imported") + "}", "UserID": "'usr_newcomer", "ReferenceID": null, "ExpiresAt": "'tomorrow", "AuthorizationDetails": "'[]"},
	"ImportConsent":                       {"ID": "'new", "UserID": "'usr_newcomer", "ReferenceID": null, "AuthorizationDetails": "'[]"},
	"CreateClient":                        {"ClientID": "'new", "JWKS": null, "ForeignSecretHash": null},
	"UpdateClient":                        {"Cleared": "'{}", "JWKS": null},
	"CreateUser":                          {"Email": "'new@example.com"},
	"UpdateUser":                          {"Email": null},
	"ReinstateUser":                       {"ID": "suspended"},
	"RememberClientAssertion":             {"ExpiresAt": "soon"},
	"ListSessionClients":                  {"SessionID": "known_session"},
	"FinishLogoutDelivery":                {"ID": "delivery", "Lease": "delivery_lease", "Delivered": "'false", "MaxAttempts": "'0"},
	"function judge_logout_lease":         {"Delivery": "delivery", "Presented": "'another lease"},
	"CreateOneTimeCode":                   {"Purpose": "code_purpose", "Subject": "code_subject", "Data": "'{}"},
	"RedeemOneTimeCode":                   {"Purpose": "code_purpose", "Subject": "code_subject", "Digest": "code_digest"},
	"CountAttempt":                        {"Purpose": "code_purpose", "Subject": "code_subject"},
	"ResetAttempts":                       {"Purpose": "code_purpose", "Subject": "code_subject"},
	"CreatePasskey":                       {"SignCount": null},
	"UsePasskey":                          {"SignCount": "'1000000"},
	"CreateTOTP":                          {"Algorithm": null, "Digits": null, "Period": null},
	"UseTOTP":                             {"Steps": "'{1000000}"},
	"ReplaceRecoveryCodes":                {"Digests": "'{" + fresh("one") + "," + fresh("two") + "}"},
	"UseRecoveryCode":                     {"Digest": "recovery_digest"},
	"DeleteExpiredSecurityEvents":         {"AfterID": "'0"},
	"ListSecurityEvents":                  {"AfterID": "'0"},
	"ListUserSecurityEvents":              {"AfterID": "'0"},
	"ListClientSecurityEvents":            {"AfterID": "'0"},
	"FindUserBySubject":                   {"ClientID": "pairwise_client", "Subject": "pairwise_subject"},
	"CreatePairwiseSubject":               {"ClientID": "pairwise_client", "UserID": "suspended", "Subject": "'measured"},
	"function keep_subject":               {"Of_sector": "'other.example", "Of_user": "user_id"},
	"function known_subject":              {"Of_client": "pairwise_client", "Of_user": "pairwise_user"},
	"function noted":                      {"Of_user": "user_id", "Of_client": "client_id"},
	"FindCurrentSigningKey":               {"Alg": "'ES256"},
	"CreateSigningKey":                    {"PrivateKeyURI": null},
	"RotateSigningKeyIfDue":               {"ID": "'new", "Alg": "'ES256", "PrivateKeyURI": null},
	"RetireReplacedSigningKeys":           {"Alg": "'ES256"},
	"function newest_signing_key":         {"Of_alg": "'ES256"},
	"function client_is_used":             {"Of_client": "client_id"},
	"function answer_redeemed_code":       {"Missing_id": "'new", "New_id": "'new"},
	"function answer_spent_refresh_token": {"Spent": "spent_id", "Same_successor": "'new"},
	"function judge_redeemed_request":     {"Polled": "polled_request", "Issued_as": "'new"},
	"function slow_down":                  {"Polled": "asking_request"},
	"function count_attempt":              {"Purpose": "code_purpose", "Subject": "code_subject"},
	"function replace_recovery_codes":     {"Owner": "user_id", "Digests": "'{" + fresh("one") + "}"},
	"function delete_recovery_codes":      {"Owner": "user_id"},
	"function disable_owned_clients":      {"Owner": "user_id"},
	"function judge_repeated_grant":       {"Family": "redeemed_id", "Of_client": "redeemed_client", "Of_user": "redeemed_user", "Of_scopes": "redeemed_scopes", "Of_resources": null, "Of_details": null, "Issued_as": "redeemed_as", "Access_token": "redeemed_token", "Issued_with": "'none", "Refresh_token": null},
	"function end_sessions":               {"Doomed": "known_session"},
	"function end_user_sessions":          {"Owner": "user_id", "Keep": "'none"},
	"function is_older_secret":            {"Of_client": "client_with_secrets", "Presented": "older_secret"},
	"function make_room_for_session":      {"Owner": "user_id", "Max_sessions": "'1", "Newest": "'none"},
	"function live_session":               {"Of_session": "session_id"},
	"function read_again":                 {"Family": "authorization_id", "Of_user": "user_id", "Of_session": "session_id"},
	"function delete_account":             {"Owner": "user_id", "Of_account": "account_id"},
	"function lock_parents":               {"Of_user": "user_id", "Of_client": "client_id", "Of_session": "session_id"},

	"UpdateRegistration":                   {"ClientID": "registered_client", "RegistrationAccessToken": "registration", "TokenEndpointAuthMethod": "'none", "RedirectURIs": "'{https://a.example/}", "PostLogoutRedirectURIs": null, "JWKS": null, "JWKSURI": null, "URI": null, "Icon": null, "TOS": null, "Policy": null, "BackchannelLogoutURI": null, "SectorIdentifier": null, "SubjectType": null},
	"DeleteRegistration":                   {"ClientID": "registered_client", "RegistrationAccessToken": "registration"},
	"RegisterClient":                       {"ID": "'new", "ClientID": "'new", "InitialAccessToken": "initial_access_token", "TokenEndpointAuthMethod": "'none", "RedirectURIs": "'{https://a.example/}", "PostLogoutRedirectURIs": null, "JWKS": null, "JWKSURI": null, "URI": null, "Icon": null, "TOS": null, "Policy": null, "BackchannelLogoutURI": null, "SectorIdentifier": null, "SubjectType": null},
	"PutClientDocument":                    {"ID": "'new", "ClientID": "'https://a.example/client", "DocumentClientID": "'https://a.example/client", "TokenEndpointAuthMethod": "'none", "RedirectURIs": "'{https://a.example/}", "PostLogoutRedirectURIs": null, "JWKS": null, "JWKSURI": null, "URI": null, "Icon": null, "TOS": null, "Policy": null, "BackchannelLogoutURI": null, "SectorIdentifier": null, "SubjectType": null},
	"RefreshClientDocument":                {"ClientID": "document_client", "DocumentETag": "'\"1\""},
	"function return_initial_access_token": {"Presented": "initial_access_token", "Of_client": "registered_client", "Of_id": "'x", "Secret": null, "Manager": "registration"},
	"function judge_registration_update":   {"Of_client": "registered_client", "Manager": "registration", "Successor": null, "Refused": null, "Verified": null, "Subject_type": null, "Redirect_uris": "'{https://a.example/}", "Grant_types": null},
	"function judge_client_document":       {"Of_client": "client_id", "If_later": "'stale"},
	"function delete_client":               {"Of_client": "client_id", "Is_managed": "'false", "Manager": null},
}

// arguments returns what to measure a query with: what special says, otherwise what the type and the name of the parameter
// say: of each identifier, that of the user in focus, unless the query is about to create it.
func arguments(s plan.Statement, types []string, focus map[string]string) []*string {
	args := make([]*string, len(types))
	for i, typ := range types {
		name := strings.TrimPrefix(s.Args[i], "arg") // sqlc's way around package names
		if name == "id" {
			name = "ID"
		}
		name = strings.ToUpper(name[:1]) + name[1:]
		value, ok := special[s.Name][name]
		switch {
		case !ok && name == "ID" && strings.HasPrefix(s.Name, "Create"):
			value = "new"
		case !ok:
			value = ordinary(name, typ, focus)
		case focus[value] != "":
			value = focus[value]
		default:
			value = strings.TrimPrefix(value, "'")
		}
		if value != null {
			args[i] = &value
		}
	}
	return args
}

func ordinary(name, typ string, focus map[string]string) string {
	switch name {
	case "AfterID":
		return ""
	case "AfterCreatedAt", "AfterDeletedAt", "AfterExpiresAt", "AfterFreshUntil", "AfterResetsAt", "AfterRevokedAt":
		return "-infinity"
	case "Email":
		return focus["email"]
	case "CodeChallenge":
		return fresh(name)
	case "CodeChallengeMethod":
		return "S256"
	case "ResponseType":
		return "code"
	case "AuthorizationDetails", "GrantedAuthorizationDetails":
		return "[]"
	case "ClientAuthMethod":
		return "client_secret_basic"
	case "ClientSecret":
		return focus["client_secret"]
	case "ProofExpiresAt":
		return "tomorrow"
	case "MaxAttempts":
		return "5"
	case "AccessTokenWithoutRow":
		return "false"
	}
	switch typ {
	case "token_digest":
		return fresh(name)
	case "token_confirmation":
		return null
	case "text":
		return "measured"
	case "interval":
		return "10 minutes"
	case "integer", "bigint":
		return "50"
	case "boolean":
		return "true"
	case "text[]":
		return "{openid}"
	case "timestamp with time zone":
		return "tomorrow"
	case "jsonb":
		return "{}"
	}
	if v, ok := focus[typ]; ok {
		return v
	}
	return null
}

// fresh is the digest of a credential that nobody has presented before.
func fresh(name string) string { return (name + strings.Repeat("-", 43))[:43] }
