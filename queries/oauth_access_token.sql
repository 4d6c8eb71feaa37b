-- IssueAccessToken issues a token to a client that acts for itself (client credentials, RFC 6749, section 4.4). access_token is the
-- token's digest; NULL if the token is a JWT, which is known by its id (jti). default_scopes are the scopes that a client may ask for if
-- none are registered for it. The client is authenticated as in AuthenticateClient.
--   - issued: the token is written
--   - retried: the same call, with the same id, had issued it before; the id of another token is an error
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - disabled: the client is disabled (invalid_client)
--   - unauthorized_client: the client is public, or not registered for client_credentials (unauthorized_client)
--   - invalid_scope: the scopes go beyond what the client may ask for (invalid_scope)
-- Only issued writes anything.
-- name: IssueAccessToken :one
WITH client AS MATERIALIZED (
    SELECT c.client_id, c.grants_epoch,
        expiry(now(), @lifetime::interval, c.access_token_lifetime, 'Lifetime') AS expires_at,
        (
            CASE
                WHEN NOT authenticates(c, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
                WHEN c.disabled THEN 'disabled'
                WHEN is_public(c) OR NOT 'client_credentials' = ANY (coalesce(c.grant_types, '{authorization_code}')) THEN 'unauthorized_client'
                WHEN NOT is_within(coalesce(@scopes::text[], '{}'), coalesce(c.scopes, @default_scopes::text[], '{}')) THEN 'invalid_scope'
                ELSE 'issued'
            END
        )::outcome AS outcome
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
    FOR KEY SHARE
), issued AS (
    INSERT INTO oauth_access_token (id, token, client_id, reference_id, expires_at, scopes, resources, confirmation, client_epoch)
    SELECT @id::access_token_id, sqlc.narg('access_token')::token_digest, c.client_id,
        sqlc.narg('reference_id')::reference_id, c.expires_at, as_set(@scopes::text[]), nullif(as_set(@resources::text[]), '{}'),
        sqlc.narg('confirmation')::token_confirmation, c.grants_epoch
    FROM client AS c
    WHERE c.outcome = 'issued'
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), answer AS (
    SELECT (
            CASE
                WHEN c.outcome <> 'issued' OR EXISTS (SELECT FROM issued) THEN c.outcome
                WHEN t.id IS NOT NULL AND (t.client_id <> c.client_id OR t.token IS DISTINCT FROM sqlc.narg('access_token')::token_digest)
                THEN refuse_parameter('ID', 'is that of another token')::outcome
                ELSE 'retried'
            END
        )::outcome AS outcome,
        (CASE WHEN c.outcome = 'issued' THEN CASE WHEN t.id IS NULL THEN c.expires_at ELSE t.expires_at END END)::timestamptz AS expires_at
    FROM client AS c
    LEFT JOIN oauth_access_token AS t ON t.id = @id::access_token_id
)
SELECT coalesce(w.outcome, 'unauthenticated')::outcome AS outcome, w.expires_at
FROM (VALUES (true)) AS one (n) -- a row to join to, so that there is an answer even if nothing was found
LEFT JOIN answer AS w ON true;

-- GetAccessToken returns one access token in any state. Zero rows: there is no such token.
-- name: GetAccessToken :one
SELECT t.*
FROM oauth_access_token AS t
WHERE t.id = @id::access_token_id;

-- FindAccessTokenByToken returns an access token by its digest, in any state. Use it to display a token; IntrospectAccessToken decides
-- whether it is live. Zero rows: there is no such token.
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

-- IntrospectAccessToken says whether an access token, given by its digest, is live, and describes it (RFC 7662, section 2.2). The caller is
-- authenticated as in AuthenticateClient. A server that asks for itself, for its UserInfo endpoint for example, passes
-- client_auth_method server and no client.
--   - active: the token is neither expired nor revoked, and its family, or its client where it has no family, is live
--   - inactive: there is no such token, or it is not live; an answer with "active": false
--   - unauthenticated: the caller is not authenticated, or is disabled (invalid_client); none is no authentication here
-- name: IntrospectAccessToken :one
WITH live AS (
    SELECT t.id, t.client_id, t.user_id, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
        t.authorization_details, t.confirmation, t.act, t.created_at AS issued_at, t.expires_at, a.auth_time, a.acr, a.amr, u.email AS username
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    -- only a bound family depends on its session, so others don't look it up
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.token = @token::token_digest AND access_token_is_live(t, a, c, u, s)
)
SELECT (CASE WHEN t.id IS NOT NULL THEN 'active' WHEN one.is_server OR k.id IS NOT NULL THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    t.id, t.client_id, t.user_id, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
    t.authorization_details, t.confirmation, t.act, t.issued_at, t.expires_at, t.auth_time, t.acr, t.amr, t.username
FROM (VALUES (@client_auth_method::text = 'server')) AS one (is_server)
LEFT JOIN oauth_client AS k
    ON k.client_id = @client_id::client_id AND NOT k.disabled AND @client_auth_method::text <> 'none'
    AND authenticates(k, @client_auth_method::text, @client_secret::token_digest)
LEFT JOIN live AS t ON one.is_server OR k.id IS NOT NULL;

-- IntrospectAccessTokenByID is IntrospectAccessToken for a JWT, which is known by its jti (RFC 7519, section 4.1.7).
-- name: IntrospectAccessTokenByID :one
WITH live AS (
    SELECT t.id, t.client_id, t.user_id, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
        t.authorization_details, t.confirmation, t.act, t.created_at AS issued_at, t.expires_at, a.auth_time, a.acr, a.amr, u.email AS username
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.id = @id::access_token_id AND access_token_is_live(t, a, c, u, s)
)
SELECT (CASE WHEN t.id IS NOT NULL THEN 'active' WHEN one.is_server OR k.id IS NOT NULL THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    t.id, t.client_id, t.user_id, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
    t.authorization_details, t.confirmation, t.act, t.issued_at, t.expires_at, t.auth_time, t.acr, t.amr, t.username
FROM (VALUES (@client_auth_method::text = 'server')) AS one (is_server)
LEFT JOIN oauth_client AS k
    ON k.client_id = @client_id::client_id AND NOT k.disabled AND @client_auth_method::text <> 'none'
    AND authenticates(k, @client_auth_method::text, @client_secret::token_digest)
LEFT JOIN live AS t ON one.is_server OR k.id IS NOT NULL;

-- IntrospectToken is IntrospectAccessToken and IntrospectRefreshToken in one call, for a caller that doesn't know which kind it holds: the
-- token_type_hint is only a hint (RFC 7662, section 2.1). kind says which it is.
-- name: IntrospectToken :one
WITH live AS (
    SELECT 'access_token'::token_kind AS kind, t.id AS access_token_id, t.refresh_id AS refresh_token_id, t.client_id,
        t.user_id, t.session_id, t.reference_id, t.authorization_id, t.scopes, t.resources, t.authorization_details,
        t.confirmation::token_confirmation AS confirmation, t.act, t.created_at AS issued_at, t.expires_at, a.auth_time, a.acr, a.amr,
        u.email AS username
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.token = @token::token_digest AND access_token_is_live(t, a, c, u, s)
    UNION ALL
    SELECT 'refresh_token', NULL, r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.authorization_id, r.scopes, r.resources,
        r.authorization_details, r.confirmation, NULL, r.created_at, r.expires_at, coalesce(a.auth_time, r.auth_time), a.acr, a.amr, u.email
    FROM oauth_refresh_token AS r
    JOIN oauth_authorization AS a ON a.id = r.authorization_id
    JOIN oauth_client AS c ON c.client_id = a.client_id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE r.token = @token::token_digest AND r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now()) AND is_live(a, c, u, s)
)
SELECT (CASE WHEN i.kind IS NOT NULL THEN 'active' WHEN one.is_server OR k.id IS NOT NULL THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    i.kind, i.access_token_id, i.refresh_token_id, i.client_id, i.user_id, i.session_id, i.reference_id, i.authorization_id, i.scopes,
    i.resources, i.authorization_details, i.confirmation, i.act, i.issued_at, i.expires_at, i.auth_time, i.acr, i.amr, i.username
FROM (VALUES (@client_auth_method::text = 'server')) AS one (is_server)
LEFT JOIN oauth_client AS k
    ON k.client_id = @client_id::client_id AND NOT k.disabled AND @client_auth_method::text <> 'none'
    AND authenticates(k, @client_auth_method::text, @client_secret::token_digest)
LEFT JOIN live AS i ON one.is_server OR k.id IS NOT NULL
LIMIT 1;

-- RevokeToken revokes an access or refresh token, given by its digest, for the client that it was issued to (RFC 7009, section 2.1). An access
-- token is revoked alone. A refresh token, spent or not, ends its family. The client is authenticated as in AuthenticateClient; a disabled
-- client may revoke.
--   - ended: the token, or its family, is revoked (200)
--   - revoked: it had been revoked before (200)
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - unknown: the client has no such token (200; RFC 7009, section 2.2)
-- name: RevokeToken :one
WITH caller AS MATERIALIZED (
    SELECT c.client_id
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id AND authenticates(c, @client_auth_method::text, @client_secret::token_digest)
), presented AS MATERIALIZED (
    SELECT 'refresh_token'::token_kind AS kind, r.authorization_id, NULL::access_token_id AS access_token_id, r.user_id
    FROM caller AS k
    JOIN oauth_refresh_token AS r ON r.client_id = k.client_id
    WHERE r.token = @token::token_digest
    UNION ALL
    SELECT 'access_token', t.authorization_id, t.id, t.user_id
    FROM caller AS k
    JOIN oauth_access_token AS t ON t.client_id = k.client_id
    WHERE t.token = @token::token_digest
), family AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'token_revoked', updated_at = now()
    FROM presented AS p
    WHERE p.kind = 'refresh_token' AND a.id = p.authorization_id AND a.revoked_at IS NULL
    RETURNING a.id
), access AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM presented AS p
    WHERE t.id = p.access_token_id AND t.revoked IS NULL
    RETURNING t.id
)
SELECT noted(
        (
            CASE
                WHEN NOT EXISTS (SELECT FROM caller) THEN 'unauthenticated'
                WHEN EXISTS (SELECT FROM family) OR EXISTS (SELECT FROM access) THEN 'ended'
                WHEN p.kind IS NOT NULL THEN 'revoked'
                ELSE 'unknown'
            END
        )::outcome,
        'RevokeToken', of_user => p.user_id, of_client => @client_id::client_id, of_family => p.authorization_id
    )::outcome AS outcome,
    p.kind, p.authorization_id, p.access_token_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS p ON true
LIMIT 1;

-- RevokeAccessTokenByID revokes one access token by its id, which is the jti of a JWT (RFC 7519, section 4.1.7), for the client that it was
-- issued to (RFC 7009, section 2.1). The client is authenticated as in AuthenticateClient; a disabled client may revoke.
--   - ended: the token is revoked (200)
--   - revoked: it had been revoked before (200)
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - unknown: the client has no such token (200; RFC 7009, section 2.2)
-- name: RevokeAccessTokenByID :one
WITH caller AS MATERIALIZED (
    SELECT c.client_id
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id AND authenticates(c, @client_auth_method::text, @client_secret::token_digest)
), access AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM caller AS k
    WHERE t.id = @id::access_token_id AND t.client_id = k.client_id AND t.revoked IS NULL
    RETURNING t.id
)
SELECT noted(
        (
            CASE
                WHEN NOT EXISTS (SELECT FROM caller) THEN 'unauthenticated'
                WHEN EXISTS (SELECT FROM access) THEN 'ended'
                WHEN t.id IS NOT NULL THEN 'revoked'
                ELSE 'unknown'
            END
        )::outcome,
        'RevokeAccessTokenByID', of_user => t.user_id, of_client => t.client_id, of_session => t.session_id, of_family => t.authorization_id
    )::outcome AS outcome,
    t.authorization_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN (
    caller AS k
    JOIN oauth_access_token AS t ON t.client_id = k.client_id
) ON t.id = @id::access_token_id;

-- DeleteExpiredAccessTokens deletes up to batch_size access tokens that have expired, and returns how many. It skips rows that are locked.
-- name: DeleteExpiredAccessTokens :execrows
WITH due AS MATERIALIZED (
    SELECT t.id
    FROM oauth_access_token AS t
    WHERE t.expires_at <= now()
    ORDER BY t.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF t SKIP LOCKED
)
DELETE FROM oauth_access_token AS t -- by an array, not a join: for an unknown LIMIT the planner would read the whole table
WHERE t.id = ANY (ARRAY(SELECT d.id::text FROM due AS d));

-- DeleteDeadAccessTokens deletes access tokens that have no expiry and are dead: revoked, or a client's own that an ending has reached. It
-- looks at page_size tokens in the order of their ids, those after after_id; begin with the empty id and go on with last_id, which is NULL
-- when no token is left. It skips rows that are locked.
-- name: DeleteDeadAccessTokens :one
WITH page AS MATERIALIZED (
    SELECT p.id
    FROM oauth_access_token AS p
    WHERE p.expires_at IS NULL AND p.id > @after_id::access_token_id
    ORDER BY p.id
    LIMIT @page_size::integer
), due AS MATERIALIZED (
    SELECT t.id
    FROM oauth_access_token AS t
    JOIN oauth_client AS c ON c.client_id = t.client_id
    WHERE t.id = ANY (ARRAY(SELECT p.id::text FROM page AS p))
      AND (t.revoked IS NOT NULL OR t.client_epoch <> c.grants_epoch)
    FOR UPDATE OF t SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_access_token AS t
    USING due AS d
    WHERE t.id = d.id
    RETURNING t.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
