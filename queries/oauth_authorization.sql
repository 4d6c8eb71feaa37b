-- CreateAuthorization records an authorization request that awaits the user's decision (RFC 6749, section 4.1.1), for a
-- lifetime. A pushed request (RFC 9126) carries the digest of its request_uri. redirect_uri is as the request carried it,
-- NULL if it carried none. Zero rows: no such client, or it is disabled.
-- name: CreateAuthorization :one
INSERT INTO oauth_authorization (
    id, client_id, redirect_uri, response_type, response_mode, scopes, state, nonce, code_challenge, code_challenge_method,
    resources, claims, request, request_uri, expires_at, confirmation
)
SELECT @id::authorization_id, c.client_id, sqlc.narg('redirect_uri')::text, sqlc.narg('response_type')::text,
    sqlc.narg('response_mode')::text, @scopes::text[], sqlc.narg('state')::text, sqlc.narg('nonce')::text,
    sqlc.narg('code_challenge')::text, sqlc.narg('code_challenge_method')::text, sqlc.narg('resources')::text[],
    sqlc.narg('claims')::jsonb, sqlc.narg('request')::jsonb, sqlc.narg('request_uri')::token_digest,
    now() + @lifetime::interval, sqlc.narg('confirmation')::token_confirmation
FROM oauth_client AS c
WHERE c.client_id = @client_id::client_id AND NOT c.disabled
FOR KEY SHARE OF c
RETURNING *;

-- GetAuthorization returns one authorization in whatever state it is; zero rows: no such authorization.
-- name: GetAuthorization :one
SELECT a.*
FROM oauth_authorization AS a
WHERE a.id = @id::authorization_id;

-- FindAuthorizationByCode returns the authorization that a code, by its digest, stands for, in whatever state it is: to look at,
-- never to decide by (RedeemAuthorizationCode decides). Zero rows: no such code.
-- name: FindAuthorizationByCode :one
SELECT a.*
FROM oauth_authorization AS a
WHERE a.code = @code::token_digest;

-- TakeAuthorizationByRequestURI returns the pushed request that a request_uri, by its digest, stands for, and takes it: a
-- request_uri is used once (RFC 9126, section 4), whatever the number of callers. From then on the request awaits the user's
-- decision for a lifetime. Zero rows: unknown, another client's, expired, revoked, or taken before.
-- name: TakeAuthorizationByRequestURI :one
UPDATE oauth_authorization AS a
SET request_uri = NULL, expires_at = now() + @lifetime::interval, updated_at = now()
WHERE a.request_uri = @request_uri::token_digest
  AND a.client_id = @client_id::client_id
  AND a.status = 'pending'
  AND a.revoked_at IS NULL
  AND a.expires_at > now()
RETURNING a.*;

-- ListUserAuthorizations is a page of what a user has approved and is in force: not revoked, not expired (which a family is a
-- little after its last token, see expires_at). Oldest first; the first
-- page starts after the zero time and the empty id, the next after the last row of the one before.
-- name: ListUserAuthorizations :many
SELECT a.*
FROM oauth_authorization AS a
WHERE a.user_id = @user_id::user_id
  AND (a.created_at, a.id) > (@after_created_at::timestamptz, @after_id::authorization_id)
  AND a.status = 'approved'
  AND a.revoked_at IS NULL
  AND (a.expires_at IS NULL OR a.expires_at > now())
ORDER BY a.created_at, a.id
LIMIT @page_size::integer;

-- ListClientAuthorizations is ListUserAuthorizations for all users of one client.
-- name: ListClientAuthorizations :many
SELECT a.*
FROM oauth_authorization AS a
WHERE a.client_id = @client_id::client_id
  AND (a.created_at, a.id) > (@after_created_at::timestamptz, @after_id::authorization_id)
  AND a.status = 'approved'
  AND a.revoked_at IS NULL
  AND (a.expires_at IS NULL OR a.expires_at > now())
ORDER BY a.created_at, a.id
LIMIT @page_size::integer;

-- ApproveAuthorization records that a user has agreed to a pending request, and gives it its code, by digest, if one is
-- passed (IssueAuthorizationCode gives it later otherwise; until then it lasts for code_lifetime as well).
-- approved: done. decided: it had been approved or denied before. expired: the request has lapsed or was revoked. exceeded: the
-- scopes go beyond what was asked for. disabled: the client is. But for 'approved' nothing changes. Zero rows: no such
-- authorization, user or session, or the session has expired or is another user's.
-- name: ApproveAuthorization :one
WITH asked AS MATERIALIZED (
    SELECT a.id, a.client_id
    FROM oauth_authorization AS a
    WHERE a.id = @id::authorization_id
), owner AS MATERIALIZED (
    SELECT u.id
    FROM asked AS q
    JOIN "user" AS u ON u.id = @user_id::user_id
    FOR KEY SHARE OF u
), client AS MATERIALIZED (
    SELECT c.client_id, c.disabled
    FROM owner AS o
    CROSS JOIN asked AS q
    JOIN oauth_client AS c ON c.client_id = q.client_id
    FOR KEY SHARE OF c
), signed_in AS MATERIALIZED (
    SELECT s.id
    FROM client AS c
    CROSS JOIN owner AS o
    JOIN session AS s ON s.user_id = o.id
    WHERE s.id = sqlc.narg('session_id')::session_id AND s.expires_at > now()
    FOR KEY SHARE OF s
), pending AS MATERIALIZED (
    SELECT a.id, a.status, a.expires_at, a.revoked_at, a.scopes, c.disabled
    FROM client AS c
    LEFT JOIN signed_in AS s ON true
    JOIN oauth_authorization AS a ON a.client_id = c.client_id
    WHERE a.id = @id::authorization_id
      AND (sqlc.narg('session_id')::session_id IS NULL OR s.id IS NOT NULL)
    FOR NO KEY UPDATE OF a
), verdict AS MATERIALIZED (
    SELECT p.id,
        (
            CASE
                WHEN p.status <> 'pending' THEN 'decided'
                WHEN p.expires_at <= now() OR p.revoked_at IS NOT NULL THEN 'expired'
                WHEN p.disabled THEN 'disabled'
                WHEN NOT @granted_scopes::text[] <@ p.scopes THEN 'exceeded'
                ELSE 'approved'
            END
        )::decision_outcome AS outcome
    FROM pending AS p
), approved AS (
    UPDATE oauth_authorization AS a
    SET status = 'approved',
        user_id = @user_id::user_id,
        session_id = sqlc.narg('session_id')::session_id,
        reference_id = sqlc.narg('reference_id')::reference_id,
        granted_scopes = @granted_scopes::text[],
        auth_time = sqlc.narg('auth_time')::timestamptz,
        acr = sqlc.narg('acr')::text,
        amr = sqlc.narg('amr')::text[],
        decided_at = now(),
        request_uri = NULL,
        code = sqlc.narg('code')::token_digest,
        code_expires_at = CASE WHEN sqlc.narg('code')::token_digest IS NOT NULL THEN now() + @code_lifetime::interval END,
        expires_at = now() + @code_lifetime::interval,
        updated_at = now()
    FROM verdict AS v
    WHERE a.id = v.id AND v.outcome = 'approved'
)
SELECT v.outcome::decision_outcome AS outcome, a.client_id, a.redirect_uri, a.response_mode, a.state
FROM verdict AS v
JOIN oauth_authorization AS a ON a.id = v.id;

-- DenyAuthorization records that a user has refused a pending request (RFC 6749, section 4.1.2.1, access_denied).
-- denied: done. decided: it had been approved or denied before. expired: the request has lapsed or was revoked. But for 'denied' nothing
-- changes. Zero rows: no such authorization.
-- name: DenyAuthorization :one
WITH pending AS MATERIALIZED (
    SELECT a.id, a.status, a.expires_at, a.revoked_at, a.client_id, a.redirect_uri, a.response_mode, a.state
    FROM oauth_authorization AS a
    WHERE a.id = @id::authorization_id
    FOR NO KEY UPDATE
), verdict AS MATERIALIZED (
    SELECT p.id,
        (
            CASE
                WHEN p.status <> 'pending' THEN 'decided'
                WHEN p.expires_at <= now() OR p.revoked_at IS NOT NULL THEN 'expired'
                ELSE 'denied'
            END
        )::decision_outcome AS outcome
    FROM pending AS p
), denied AS (
    UPDATE oauth_authorization AS a
    SET status = 'denied', decided_at = now(), request_uri = NULL, updated_at = now()
    FROM verdict AS v
    WHERE a.id = v.id AND v.outcome = 'denied'
)
SELECT v.outcome::decision_outcome AS outcome, a.client_id, a.redirect_uri, a.response_mode, a.state
FROM verdict AS v
JOIN oauth_authorization AS a ON a.id = v.id;

-- IssueAuthorizationCode gives an approved authorization its code, by digest, for servers whose code comes after the approval.
-- issued: done; a code that was given before and not redeemed is replaced. undecided: not approved yet. denied; redeemed;
-- revoked; expired: the approval has lapsed. disabled: the client is. But for 'issued' nothing changes. Zero rows: no such
-- authorization.
-- name: IssueAuthorizationCode :one
WITH approved AS MATERIALIZED (
    SELECT a.id, a.status, a.user_id, a.granted_scopes, a.redeemed_at, a.revoked_at, a.expires_at, c.disabled
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    WHERE a.id = @id::authorization_id
    FOR NO KEY UPDATE OF a
), verdict AS MATERIALIZED (
    SELECT p.id, p.status, p.user_id, p.granted_scopes,
        (
            CASE
                WHEN p.status = 'denied' THEN 'denied'
                WHEN p.redeemed_at IS NOT NULL THEN 'redeemed'
                WHEN p.revoked_at IS NOT NULL THEN 'revoked'
                WHEN p.expires_at <= now() THEN 'expired'
                WHEN p.status = 'pending' THEN 'undecided'
                WHEN p.disabled THEN 'disabled'
                ELSE 'issued'
            END
        )::code_outcome AS outcome
    FROM approved AS p
), issued AS (
    -- what approval wrote is written again: constraints are checked first on the row as it was before this statement waited for the
    -- approval, and there a code would violate them
    UPDATE oauth_authorization AS a
    SET status = v.status,
        user_id = v.user_id,
        granted_scopes = v.granted_scopes,
        code = @code::token_digest,
        code_expires_at = now() + @code_lifetime::interval,
        expires_at = now() + @code_lifetime::interval,
        updated_at = now()
    FROM verdict AS v
    WHERE a.id = v.id AND v.outcome = 'issued'
)
SELECT v.outcome::code_outcome AS outcome, a.client_id, a.redirect_uri, a.response_mode, a.state
FROM verdict AS v
JOIN oauth_authorization AS a ON a.id = v.id;

-- GrantAuthorization creates an authorization that is approved and has its code at once, for servers that keep the pending
-- request elsewhere, and for users who are not asked (a consent covers the request, or the client skips it).
-- granted: done. exceeded: the granted scopes go beyond those asked for. disabled: the client is. But for 'granted' nothing is
-- written. Zero rows: no such client, user or session, or the session has expired or is another user's.
-- name: GrantAuthorization :one
WITH owner AS MATERIALIZED (
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR KEY SHARE
), client AS MATERIALIZED (
    SELECT c.client_id, c.disabled
    FROM owner AS o
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    FOR KEY SHARE OF c
), signed_in AS MATERIALIZED (
    SELECT s.id
    FROM client AS c
    CROSS JOIN owner AS o
    JOIN session AS s ON s.user_id = o.id
    WHERE s.id = sqlc.narg('session_id')::session_id AND s.expires_at > now()
    FOR KEY SHARE OF s
), verdict AS MATERIALIZED (
    SELECT c.client_id, o.id AS user_id, s.id AS session_id,
        (
            CASE
                WHEN c.disabled THEN 'disabled'
                WHEN NOT @granted_scopes::text[] <@ @scopes::text[] THEN 'exceeded'
                ELSE 'granted'
            END
        )::grant_outcome AS outcome
    FROM client AS c
    CROSS JOIN owner AS o
    LEFT JOIN signed_in AS s ON true
    WHERE sqlc.narg('session_id')::session_id IS NULL OR s.id IS NOT NULL
), granted AS (
    INSERT INTO oauth_authorization (
        id, client_id, status, redirect_uri, response_type, response_mode, scopes, state, nonce, code_challenge,
        code_challenge_method, resources, claims, request, expires_at, user_id, session_id, reference_id, granted_scopes,
        auth_time, acr, amr, decided_at, code, code_expires_at, confirmation
    )
    SELECT @id::authorization_id, v.client_id, 'approved', sqlc.narg('redirect_uri')::text,
        sqlc.narg('response_type')::text, sqlc.narg('response_mode')::text, @scopes::text[], sqlc.narg('state')::text,
        sqlc.narg('nonce')::text, sqlc.narg('code_challenge')::text, sqlc.narg('code_challenge_method')::text,
        sqlc.narg('resources')::text[], sqlc.narg('claims')::jsonb, sqlc.narg('request')::jsonb,
        now() + @code_lifetime::interval, v.user_id, v.session_id, sqlc.narg('reference_id')::reference_id,
        @granted_scopes::text[], sqlc.narg('auth_time')::timestamptz, sqlc.narg('acr')::text, sqlc.narg('amr')::text[],
        now(), @code::token_digest, now() + @code_lifetime::interval, sqlc.narg('confirmation')::token_confirmation
    FROM verdict AS v
    WHERE v.outcome = 'granted'
)
SELECT v.outcome::grant_outcome AS outcome
FROM verdict AS v;

-- RedeemAuthorizationCode exchanges a code for tokens (RFC 6749, section 4.1.3): once, whatever the number of callers.
-- The code is bound to its client, its redirect_uri and its challenge; the server derives code_challenge from the verifier
-- (RFC 7636, section 4.6), NULL if none was presented. redirect_uri may be NULL where the request carried none, or where a
-- challenge protects the code (OAuth 2.1, section 10.2). confirmation is the key that the caller has proven to hold; it must
-- be the one of dpop_jkt, if the request named one (RFC 9449, section 10), and binds the access token; it binds the family
-- and its refresh token too if the client is public; a confidential client's are bound to its credentials (RFC 9449, section 5). There is no refresh token unless its digest and id are passed.
-- A lifetime of NULL never expires; no token outlives family_lifetime from now, if that is given.
-- redeemed: the tokens are written. replayed: the code was used before, and the family is revoked by this statement
-- (RFC 6749, section 4.1.2). expired. mismatched: another client's, another redirect_uri, challenge or, for a code that was not
-- used yet, another key: nothing changes. (Whoever stole a code and used it first would else be safe from the client's own key.)
-- revoked: the grant was ended before. disabled: the client is. Zero rows: no such code.
-- name: RedeemAuthorizationCode :one
WITH presented AS MATERIALIZED (
    -- what never changes, to lock by: user, client, session, family, in this order, everywhere
    SELECT a.id, a.client_id, a.user_id, a.session_id
    FROM oauth_authorization AS a
    WHERE a.code = @code::token_digest
), parents AS MATERIALIZED (
    SELECT p.id, p.session_id, c.disabled, coalesce(c.public, c.token_endpoint_auth_method = 'none', false) AS public
    FROM presented AS p
    JOIN "user" AS u ON u.id = p.user_id
    JOIN oauth_client AS c ON c.client_id = p.client_id
    FOR KEY SHARE OF u, c
), signed_in AS MATERIALIZED (
    SELECT s.id
    FROM parents AS p
    JOIN session AS s ON s.id = p.session_id
    FOR KEY SHARE OF s
), family AS MATERIALIZED (
    SELECT a.id, a.client_id, a.user_id, a.session_id, a.reference_id, a.redirect_uri, a.code_challenge, a.code_expires_at,
        a.redeemed_at, a.revoked_at, a.granted_scopes, a.resources, a.confirmation, a.nonce, a.claims, a.auth_time, a.acr, a.amr,
        p.disabled, p.public
    FROM parents AS p
    LEFT JOIN signed_in AS s ON true
    JOIN oauth_authorization AS a ON a.id = p.id
    WHERE a.code = @code::token_digest
    FOR NO KEY UPDATE OF a
), verdict AS MATERIALIZED (
    SELECT f.id, f.client_id, f.user_id, f.session_id, f.reference_id, f.granted_scopes, f.resources, f.nonce, f.claims, f.auth_time,
        f.acr, f.amr, sqlc.narg('refresh_token')::token_digest AS refresh_token,
        coalesce(sqlc.narg('confirmation')::token_confirmation, f.confirmation) AS confirmation,
        CASE WHEN f.public THEN coalesce(f.confirmation, sqlc.narg('confirmation')::token_confirmation) END AS family_confirmation,
        now() + sqlc.narg('family_lifetime')::interval AS max_expires_at,
        least(now() + sqlc.narg('access_token_lifetime')::interval, now() + sqlc.narg('family_lifetime')::interval) AS access_token_expires_at,
        least(now() + sqlc.narg('refresh_token_lifetime')::interval, now() + sqlc.narg('family_lifetime')::interval) AS refresh_token_expires_at,
        (
            CASE
                WHEN f.client_id <> @client_id::client_id THEN 'mismatched'
                WHEN sqlc.narg('code_challenge')::text IS DISTINCT FROM f.code_challenge THEN 'mismatched'
                WHEN sqlc.narg('redirect_uri')::text IS DISTINCT FROM f.redirect_uri
                    AND NOT (sqlc.narg('redirect_uri')::text IS NULL AND f.code_challenge IS NOT NULL) THEN 'mismatched'
                WHEN f.redeemed_at IS NOT NULL THEN 'replayed'
                WHEN f.confirmation IS NOT NULL
                    AND NOT coalesce(sqlc.narg('confirmation')::token_confirmation, '{}'::jsonb) @> f.confirmation THEN 'mismatched'
                WHEN f.revoked_at IS NOT NULL THEN 'revoked'
                WHEN f.disabled THEN 'disabled'
                WHEN f.code_expires_at <= now() THEN 'expired'
                ELSE 'redeemed'
            END
        )::redemption_outcome AS outcome
    FROM family AS f
), redeemed AS (
    UPDATE oauth_authorization AS a
    SET redeemed_at = now(),
        current_refresh_token = v.refresh_token,
        confirmation = v.family_confirmation,
        max_expires_at = v.max_expires_at,
        expires_at = CASE
            WHEN v.access_token_expires_at IS NULL THEN NULL
            WHEN v.refresh_token IS NULL THEN v.access_token_expires_at
            WHEN v.refresh_token_expires_at IS NULL THEN NULL
            ELSE greatest(v.access_token_expires_at, v.refresh_token_expires_at)
        END,
        updated_at = now()
    FROM verdict AS v
    WHERE a.id = v.id AND v.outcome = 'redeemed'
), condemned AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
    FROM verdict AS v
    WHERE a.id = v.id AND v.outcome = 'replayed' AND a.revoked_at IS NULL
), refresh AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_id, auth_time, resources,
        confirmation
    )
    SELECT sqlc.narg('refresh_token_id')::refresh_token_id, v.refresh_token, v.client_id, v.session_id,
        v.user_id, v.reference_id, v.refresh_token_expires_at, v.granted_scopes, v.id, v.auth_time, v.resources,
        v.family_confirmation
    FROM verdict AS v
    WHERE v.outcome = 'redeemed' AND v.refresh_token IS NOT NULL
), access AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, authorization_id, resources,
        confirmation
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, v.client_id, v.session_id, v.user_id,
        v.reference_id, CASE WHEN v.refresh_token IS NOT NULL THEN sqlc.narg('refresh_token_id')::refresh_token_id END,
        v.access_token_expires_at, v.granted_scopes, v.id, v.resources, v.confirmation
    FROM verdict AS v
    WHERE v.outcome = 'redeemed'
), answer AS (
    SELECT v.outcome, v.id AS authorization_id, v.user_id, v.session_id, v.reference_id, v.granted_scopes, v.resources, v.nonce, v.claims,
        v.auth_time, v.acr, v.amr,
        (CASE WHEN v.outcome = 'redeemed' THEN v.access_token_expires_at END)::timestamptz AS access_token_expires_at,
        (
            CASE WHEN v.outcome = 'redeemed' AND v.refresh_token IS NOT NULL THEN v.refresh_token_expires_at END
        )::timestamptz AS refresh_token_expires_at
    FROM verdict AS v
)
SELECT w.outcome::redemption_outcome AS outcome, w.authorization_id::authorization_id AS authorization_id, w.user_id, w.session_id,
    w.reference_id, w.granted_scopes, w.resources, w.nonce, w.claims, w.auth_time, w.acr, w.amr, w.access_token_expires_at,
    w.refresh_token_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN answer AS w ON one.n
WHERE w.outcome IS NOT NULL;

-- RevokeAuthorization ends one authorization and with it every token that descends from it, those that are being written at
-- this moment included. Zero rows: no such authorization, or it was revoked before.
-- name: RevokeAuthorization :one
UPDATE oauth_authorization AS a
SET revoked_at = now(), revoked_reason = 'authorization_revoked', updated_at = now()
WHERE a.id = @id::authorization_id AND a.revoked_at IS NULL
RETURNING a.id, a.client_id, a.user_id, a.session_id, a.reference_id;

-- RevokeUserAuthorizations ends everything that a user has granted, to one client if given: authorizations, with every token
-- that descends from them, and tokens without a family. One row for each authorization ended, and one without
-- authorization_id for each client whose tokens without a family were. Zero rows: there was nothing to end.
-- name: RevokeUserAuthorizations :many
WITH owner AS MATERIALIZED (
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR UPDATE
), clients AS MATERIALIZED (
    SELECT c.client_id
    FROM owner AS o
    JOIN oauth_client AS c ON c.client_id IN (
        SELECT a.client_id FROM oauth_authorization AS a WHERE a.user_id = @user_id::user_id
        UNION
        SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.user_id = @user_id::user_id
        UNION
        SELECT t.client_id FROM oauth_access_token AS t WHERE t.user_id = @user_id::user_id
    )
    WHERE sqlc.narg('client_id')::client_id IS NULL OR c.client_id = sqlc.narg('client_id')::client_id
    ORDER BY c.client_id
    FOR KEY SHARE OF c
), sessions AS MATERIALIZED (
    -- another server ends a session by deleting its row, and the cascade reaches these grants in no order: so wait for it here
    SELECT s.id
    FROM owner AS o
    JOIN session AS s ON s.user_id = o.id
    WHERE (SELECT count(*) FROM clients) >= 0
    ORDER BY s.id
    FOR KEY SHARE OF s
), families AS MATERIALIZED (
    SELECT a.id
    FROM owner AS o
    JOIN oauth_authorization AS a ON a.user_id = o.id
    WHERE (SELECT count(*) FROM sessions) >= 0
      AND a.revoked_at IS NULL
      AND (sqlc.narg('client_id')::client_id IS NULL OR a.client_id = sqlc.narg('client_id')::client_id)
    ORDER BY a.id
    FOR NO KEY UPDATE OF a
), strays AS MATERIALIZED (
    -- without a family when this statement began; one that was adopted in the meantime is seen with its new family
    SELECT r.id, r.client_id, r.user_id, r.scopes, r.authorization_id, r.revoked
    FROM owner AS o
    JOIN oauth_refresh_token AS r ON r.user_id = o.id
    WHERE (SELECT count(*) FROM families) >= 0
      AND (sqlc.narg('client_id')::client_id IS NULL OR r.client_id = sqlc.narg('client_id')::client_id)
      AND r.id IN (
        SELECT s.id
        FROM oauth_refresh_token AS s
        WHERE s.user_id = @user_id::user_id AND s.authorization_id IS NULL
    )
    ORDER BY r.id
    FOR NO KEY UPDATE OF r
), condemned AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'user_revoked', updated_at = now()
    FROM families AS f
    WHERE a.id = f.id
    RETURNING a.id, a.client_id, a.session_id
), adopted AS (
    -- an upsert reaches a row that is younger than this statement's snapshot
    INSERT INTO oauth_authorization AS a (id, client_id, user_id, scopes, revoked_at, revoked_reason)
    SELECT s.authorization_id, s.client_id, s.user_id, s.scopes, now(), 'user_revoked'
    FROM strays AS s
    WHERE s.authorization_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE
    SET revoked_at = excluded.revoked_at, revoked_reason = excluded.revoked_reason, updated_at = now()
    WHERE a.revoked_at IS NULL
    RETURNING a.id, a.client_id, a.session_id
), ended_refresh_tokens AS (
    UPDATE oauth_refresh_token AS r
    SET revoked = now(), updated_at = now()
    FROM strays AS s
    WHERE r.id = s.id AND s.authorization_id IS NULL AND s.revoked IS NULL
    RETURNING r.client_id
), ended_access_tokens AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM owner AS o
    WHERE t.user_id = o.id
      AND (sqlc.narg('client_id')::client_id IS NULL OR t.client_id = sqlc.narg('client_id')::client_id)
      AND t.authorization_id IS NULL
      AND t.revoked IS NULL
    RETURNING t.client_id
), ended AS (
    SELECT c.client_id, c.id AS authorization_id, c.session_id
    FROM condemned AS c
    UNION
    SELECT d.client_id, d.id, d.session_id
    FROM adopted AS d
    UNION
    SELECT r.client_id, NULL, NULL
    FROM ended_refresh_tokens AS r
    UNION
    SELECT t.client_id, NULL, NULL
    FROM ended_access_tokens AS t
)
SELECT e.client_id::client_id AS client_id, x.authorization_id, e.session_id
FROM ended AS e
LEFT JOIN ended AS x ON x.authorization_id = e.authorization_id
ORDER BY e.client_id, e.authorization_id;

-- RevokeClientAuthorizations ends everything that was granted to a client, its own tokens (client credentials) included,
-- and says how much: authorizations, and tokens without a family. Zero rows: no such client.
-- name: RevokeClientAuthorizations :one
WITH client AS MATERIALIZED (
    -- waits for every grant that is being made to the client
    SELECT c.client_id
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
    FOR UPDATE
), sessions AS MATERIALIZED (
    -- another server ends a session by deleting its row, and the cascade reaches these grants in no order: so wait for it here
    SELECT s.id
    FROM client AS c
    JOIN session AS s ON s.id = ANY (
        ARRAY(
            SELECT a.session_id::text FROM oauth_authorization AS a WHERE a.client_id = @client_id::client_id AND a.revoked_at IS NULL
            UNION
            SELECT r.session_id FROM oauth_refresh_token AS r WHERE r.client_id = @client_id::client_id AND r.authorization_id IS NULL
            UNION
            SELECT t.session_id FROM oauth_access_token AS t WHERE t.client_id = @client_id::client_id AND t.authorization_id IS NULL
        )
    )
    ORDER BY s.id
    FOR KEY SHARE OF s
), families AS MATERIALIZED (
    SELECT a.id
    FROM client AS c
    JOIN oauth_authorization AS a ON a.client_id = c.client_id
    WHERE (SELECT count(*) FROM sessions) >= 0 AND a.revoked_at IS NULL
    ORDER BY a.id
    FOR NO KEY UPDATE OF a
), strays AS MATERIALIZED (
    -- without a family when this statement began; one that was adopted in the meantime is seen with its new family
    SELECT r.id, r.client_id, r.user_id, r.scopes, r.authorization_id, r.revoked
    FROM client AS c
    JOIN oauth_refresh_token AS r ON r.client_id = c.client_id
    WHERE (SELECT count(*) FROM families) >= 0 AND r.id IN (
        SELECT s.id
        FROM oauth_refresh_token AS s
        WHERE s.client_id = @client_id::client_id AND s.authorization_id IS NULL
    )
    ORDER BY r.id
    FOR NO KEY UPDATE OF r
), condemned AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'client_revoked', updated_at = now()
    FROM families AS f
    WHERE a.id = f.id
    RETURNING a.id
), adopted AS (
    -- an upsert reaches a row that is younger than this statement's snapshot
    INSERT INTO oauth_authorization AS a (id, client_id, user_id, scopes, revoked_at, revoked_reason)
    SELECT s.authorization_id, s.client_id, s.user_id, s.scopes, now(), 'client_revoked'
    FROM strays AS s
    WHERE s.authorization_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE
    SET revoked_at = excluded.revoked_at, revoked_reason = excluded.revoked_reason, updated_at = now()
    WHERE a.revoked_at IS NULL
    RETURNING a.id
), ended_refresh_tokens AS (
    UPDATE oauth_refresh_token AS r
    SET revoked = now(), updated_at = now()
    FROM strays AS s
    WHERE r.id = s.id AND s.authorization_id IS NULL AND s.revoked IS NULL
    RETURNING r.id
), ended_access_tokens AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM client AS c
    WHERE t.client_id = c.client_id AND t.authorization_id IS NULL AND t.revoked IS NULL
    RETURNING t.id
)
SELECT c.client_id::client_id AS client_id,
    ((SELECT count(*) FROM condemned) + (SELECT count(*) FROM adopted))::bigint AS authorizations,
    (SELECT count(*) FROM ended_refresh_tokens)::bigint AS refresh_tokens,
    (SELECT count(*) FROM ended_access_tokens)::bigint AS access_tokens
FROM client AS c;

-- DeleteExpiredAuthorizations collects at most batch_size authorizations that expired more than retention ago and have no
-- token left, and says how many. Until then they are the evidence by which a replay is recognised. It looks at no more than
-- look_at of those that expired first, NULL at all: while there is a backlog of tokens, of which DeleteExpiredRefreshTokens takes
-- those of the same families first, a batch then needn't pass over all families that still have some. What a call holds is left
-- for the next time.
-- name: DeleteExpiredAuthorizations :execrows
WITH due AS MATERIALIZED (
    SELECT a.id
    FROM (
        SELECT o.id
        FROM oauth_authorization AS o
        WHERE o.expires_at <= now() - @retention::interval
        ORDER BY o.expires_at
        LIMIT sqlc.narg('look_at')::bigint
    ) AS oldest
    JOIN oauth_authorization AS a ON a.id = oldest.id
    WHERE a.expires_at <= now() - @retention::interval
      AND NOT EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.authorization_id = a.id)
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.authorization_id = a.id)
    LIMIT @batch_size::integer
    FOR UPDATE OF a SKIP LOCKED
)
DELETE FROM oauth_authorization AS a
USING due AS d
WHERE a.id = d.id;
