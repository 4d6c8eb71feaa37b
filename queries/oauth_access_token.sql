-- IssueAccessToken issues a token to a client that acts for itself (client credentials, RFC 6749, section 4.4). access_token is
-- its digest, NULL for a JWT that is known by its id (jti). A lifetime of NULL never expires.
-- issued: done. exceeded: scopes beyond what the client may ask for. disabled: the client is. But for 'issued' nothing is
-- written. Zero rows: no such client.
-- name: IssueAccessToken :one
WITH client AS MATERIALIZED (
    SELECT c.client_id, c.disabled, c.scopes
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
    FOR KEY SHARE
), verdict AS MATERIALIZED (
    SELECT c.client_id, now() + sqlc.narg('lifetime')::interval AS expires_at,
        (
            CASE
                WHEN c.disabled THEN 'disabled'
                WHEN NOT @scopes::text[] <@ coalesce(c.scopes, @scopes::text[]) THEN 'exceeded'
                ELSE 'issued'
            END
        )::issuance_outcome AS outcome
    FROM client AS c
), issued AS (
    INSERT INTO oauth_access_token (id, token, client_id, reference_id, expires_at, scopes, resources, confirmation)
    SELECT @id::access_token_id, sqlc.narg('access_token')::token_digest, v.client_id,
        sqlc.narg('reference_id')::reference_id, v.expires_at, @scopes::text[], sqlc.narg('resources')::text[],
        sqlc.narg('confirmation')::token_confirmation
    FROM verdict AS v
    WHERE v.outcome = 'issued'
    RETURNING expires_at
)
SELECT v.outcome::issuance_outcome AS outcome, i.expires_at
FROM verdict AS v
LEFT JOIN issued AS i ON true;

-- GetAccessToken returns one access token in whatever state it is; zero rows: no such token.
-- name: GetAccessToken :one
SELECT t.*
FROM oauth_access_token AS t
WHERE t.id = @id::access_token_id;

-- FindAccessTokenByToken returns the access token that a digest stands for, in whatever state it is: to look at, never to
-- decide by (IntrospectAccessToken decides). Zero rows: no such token.
-- name: FindAccessTokenByToken :one
SELECT t.*
FROM oauth_access_token AS t
WHERE t.token = @token::token_digest;

-- ListAuthorizationAccessTokens lists the access tokens of a family, oldest first.
-- name: ListAuthorizationAccessTokens :many
SELECT t.*
FROM oauth_access_token AS t
WHERE t.authorization_id = @authorization_id::authorization_id
ORDER BY t.created_at, t.id;

-- IntrospectAccessToken answers for an access token, by its digest, what RFC 7662, section 2.2 asks: a row only where the token
-- is live, that is unexpired, not revoked, of a family that is not revoked, and of an enabled client.
-- name: IntrospectAccessToken :one
SELECT t.id, t.client_id, t.user_id, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
    t.confirmation, t.created_at AS issued_at, t.expires_at, a.auth_time, a.acr, a.amr, u.email AS username
FROM oauth_access_token AS t
JOIN oauth_client AS c ON c.client_id = t.client_id
LEFT JOIN "user" AS u ON u.id = t.user_id
LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
WHERE t.token = @token::token_digest
  AND t.revoked IS NULL
  AND (t.expires_at IS NULL OR t.expires_at > now())
  AND a.revoked_at IS NULL
  AND NOT c.disabled;

-- IntrospectAccessTokenByID is IntrospectAccessToken for a JWT, whose id is its jti (RFC 7519, section 4.1.7).
-- name: IntrospectAccessTokenByID :one
SELECT t.id, t.client_id, t.user_id, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
    t.confirmation, t.created_at AS issued_at, t.expires_at, a.auth_time, a.acr, a.amr, u.email AS username
FROM oauth_access_token AS t
JOIN oauth_client AS c ON c.client_id = t.client_id
LEFT JOIN "user" AS u ON u.id = t.user_id
LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
WHERE t.id = @id::access_token_id
  AND t.revoked IS NULL
  AND (t.expires_at IS NULL OR t.expires_at > now())
  AND a.revoked_at IS NULL
  AND NOT c.disabled;

-- IntrospectToken is IntrospectAccessToken and IntrospectRefreshToken in one, for callers who do not know which kind they hold
-- (RFC 7662, section 2.1: the hint is only a hint); kind says which it was.
-- name: IntrospectToken :one
WITH live AS (
    SELECT 'access_token'::token_kind AS kind, t.id AS access_token_id, t.refresh_id AS refresh_token_id, t.client_id,
        t.user_id, t.session_id, t.reference_id, t.authorization_id, t.scopes, t.resources, t.confirmation::token_confirmation AS confirmation,
        t.created_at AS issued_at, t.expires_at, a.auth_time, a.acr, a.amr, u.email AS username
    FROM oauth_access_token AS t
    JOIN oauth_client AS c ON c.client_id = t.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    WHERE t.token = @token::token_digest
      AND t.revoked IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > now())
      AND a.revoked_at IS NULL
      AND NOT c.disabled
    UNION ALL
    SELECT 'refresh_token'::token_kind, NULL, r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.authorization_id,
        r.scopes, r.resources, r.confirmation::token_confirmation, r.created_at, r.expires_at, coalesce(a.auth_time, r.auth_time), a.acr, a.amr,
        u.email
    FROM oauth_refresh_token AS r
    JOIN oauth_client AS c ON c.client_id = r.client_id
    JOIN "user" AS u ON u.id = r.user_id
    LEFT JOIN oauth_authorization AS a ON a.id = r.authorization_id
    WHERE r.token = @token::token_digest
      AND r.revoked IS NULL
      AND (r.expires_at IS NULL OR r.expires_at > now())
      AND a.revoked_at IS NULL
      AND NOT c.disabled
)
SELECT i.kind::token_kind AS kind, i.access_token_id, i.refresh_token_id, i.client_id::client_id AS client_id, i.user_id,
    i.session_id, i.reference_id, i.authorization_id, i.scopes::text[] AS scopes, i.resources, i.confirmation,
    i.issued_at::timestamptz AS issued_at, i.expires_at, i.auth_time, i.acr, i.amr, i.username
FROM (VALUES (true)) AS one (n)
LEFT JOIN live AS i ON one.n
WHERE i.kind IS NOT NULL
LIMIT 1;

-- RevokeToken revokes a token of either kind, by its digest, for the client that it was issued to (RFC 7009, section 2.1). An
-- access token dies alone; a refresh token, spent or not, ends its family, and without a family it dies with the access tokens
-- that came with it. The answer says what was ended. Zero rows: nothing was, as the token is unknown, another client's, or dead
-- already, which RFC 7009, section 2.2 answers like success.
-- name: RevokeToken :one
WITH presented AS MATERIALIZED (
    SELECT r.id, r.client_id, r.user_id, r.session_id, r.authorization_id
    FROM oauth_refresh_token AS r
    WHERE r.token = @token::token_digest AND r.client_id = @client_id::client_id
), family AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'token_revoked', updated_at = now()
    FROM presented AS p
    WHERE a.id = p.authorization_id AND a.revoked_at IS NULL
    RETURNING a.id, p.id AS refresh_token_id, p.client_id, p.user_id
), sole_owner AS MATERIALIZED (
    -- tokens without a family have no row in common but their user's
    SELECT u.id
    FROM presented AS p
    JOIN "user" AS u ON u.id = p.user_id
    WHERE p.authorization_id IS NULL
    FOR UPDATE OF u
), client AS MATERIALIZED (
    SELECT c.client_id
    FROM sole_owner AS o
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    FOR KEY SHARE OF c
), signed_in AS MATERIALIZED (
    SELECT s.id
    FROM client AS c
    CROSS JOIN presented AS p
    JOIN session AS s ON s.id = p.session_id
    FOR KEY SHARE OF s
), stray AS MATERIALIZED (
    SELECT r.id, r.client_id, r.user_id, r.scopes, r.authorization_id, r.revoked
    FROM client AS c
    CROSS JOIN presented AS p
    LEFT JOIN signed_in AS s ON true
    JOIN oauth_refresh_token AS r ON r.id = p.id
    FOR NO KEY UPDATE OF r
), adopted AS (
    -- the token was given a family while this statement waited; an upsert reaches a row that is younger than its snapshot
    INSERT INTO oauth_authorization AS a (id, client_id, user_id, scopes, revoked_at, revoked_reason)
    SELECT s.authorization_id, s.client_id, s.user_id, s.scopes, now(), 'token_revoked'
    FROM stray AS s
    WHERE s.authorization_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE
    SET revoked_at = excluded.revoked_at, revoked_reason = excluded.revoked_reason, updated_at = now()
    WHERE a.revoked_at IS NULL
    RETURNING a.id
), ended_refresh_token AS (
    UPDATE oauth_refresh_token AS r
    SET revoked = now(), updated_at = now()
    FROM stray AS s
    WHERE r.id = s.id AND s.authorization_id IS NULL AND s.revoked IS NULL
    RETURNING r.id
), ended_access_tokens AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM stray AS s
    WHERE t.refresh_id = s.id AND t.authorization_id IS NULL AND t.revoked IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > now())
    RETURNING t.refresh_id
), ended_access_token AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    WHERE t.token = @token::token_digest AND t.client_id = @client_id::client_id AND t.revoked IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > now())
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = t.authorization_id AND a.revoked_at IS NOT NULL)
    RETURNING t.id, t.client_id, t.user_id, t.authorization_id
), ended AS (
    SELECT 'access_token'::token_kind AS kind, e.id AS access_token_id, NULL::refresh_token_id AS refresh_token_id, e.client_id,
        e.user_id, e.authorization_id
    FROM ended_access_token AS e
    UNION ALL
    SELECT 'refresh_token'::token_kind, NULL, f.refresh_token_id, f.client_id, f.user_id, f.id
    FROM family AS f
    UNION ALL
    SELECT 'refresh_token'::token_kind, NULL, s.id, s.client_id, s.user_id, a.id
    FROM stray AS s
    JOIN adopted AS a ON a.id = s.authorization_id
    UNION ALL
    SELECT 'refresh_token'::token_kind, NULL, s.id, s.client_id, s.user_id, NULL
    FROM stray AS s
    WHERE s.id IN (SELECT r.id FROM ended_refresh_token AS r UNION ALL SELECT t.refresh_id FROM ended_access_tokens AS t)
)
SELECT e.kind::token_kind AS kind, x.id AS access_token_id, e.refresh_token_id, e.client_id::client_id AS client_id, e.user_id,
    e.authorization_id
FROM ended AS e
LEFT JOIN ended_access_token AS x ON x.id = e.access_token_id
LIMIT 1;

-- RevokeAccessTokenByID revokes an access token that is known by its id, as a JWT is by its jti (RFC 7519, section 4.1.7), for
-- the client that it was issued to (RFC 7009, section 2.1). It dies alone. Zero rows: nothing was ended, as the token is
-- unknown, another client's, or dead already, which RFC 7009, section 2.2 answers like success.
-- name: RevokeAccessTokenByID :one
UPDATE oauth_access_token AS t
SET revoked = now(), updated_at = now()
WHERE t.id = @id::access_token_id
  AND t.client_id = @client_id::client_id
  AND t.revoked IS NULL
  AND (t.expires_at IS NULL OR t.expires_at > now())
  AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = t.authorization_id AND a.revoked_at IS NOT NULL)
RETURNING t.id, t.client_id, t.user_id, t.authorization_id;

-- DeleteExpiredAccessTokens collects at most batch_size access tokens that have expired, and says how many. What a call
-- holds is left for the next time.
-- name: DeleteExpiredAccessTokens :execrows
WITH due AS MATERIALIZED (
    SELECT t.id
    FROM oauth_access_token AS t
    WHERE t.expires_at <= now()
    ORDER BY t.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF t SKIP LOCKED
)
DELETE FROM oauth_access_token AS t
USING due AS d
WHERE t.id = d.id;
