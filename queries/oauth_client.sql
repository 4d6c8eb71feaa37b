-- CreateClient registers a client (RFC 7591, section 2). The comments of the columns say which metadata each one holds. If the client_id is
-- taken, it violates oauth_client_client_id_uidx. A client whose grant types redirect and that has no redirect URI violates
-- oauth_client_redirect_uris_where_redirected.
-- name: CreateClient :one
INSERT INTO oauth_client (
    id, client_id, client_secret, skip_consent, enable_end_session, scopes, user_id, name, uri, icon, contacts, tos,
    policy, software_id, software_version, software_statement, redirect_uris, post_logout_redirect_uris,
    token_endpoint_auth_method, grant_types, response_types, public, type, reference_id, metadata, subject_type,
    require_pkce, jwks, jwks_uri, application_type, client_secret_expires_at, registration_access_token,
    access_token_lifetime, refresh_token_lifetime, authorization_lifetime, code_lifetime, refresh_grace, refresh_grace_until_used,
    backchannel_logout_uri, backchannel_logout_session_required
)
VALUES (
    @id::oauth_client_id, @client_id::client_id, sqlc.narg('client_secret')::token_digest,
    sqlc.narg('skip_consent')::boolean, sqlc.narg('enable_end_session')::boolean, sqlc.narg('scopes')::text[],
    sqlc.narg('user_id')::user_id, sqlc.narg('name')::text, sqlc.narg('uri')::text, sqlc.narg('icon')::text,
    sqlc.narg('contacts')::text[], sqlc.narg('tos')::text, sqlc.narg('policy')::text, sqlc.narg('software_id')::text,
    sqlc.narg('software_version')::text, sqlc.narg('software_statement')::text, coalesce(@redirect_uris::text[], '{}'),
    sqlc.narg('post_logout_redirect_uris')::text[], sqlc.narg('token_endpoint_auth_method')::text,
    sqlc.narg('grant_types')::text[], sqlc.narg('response_types')::text[], sqlc.narg('public')::boolean,
    sqlc.narg('type')::text, sqlc.narg('reference_id')::reference_id, sqlc.narg('metadata')::jsonb,
    sqlc.narg('subject_type')::text, sqlc.narg('require_pkce')::boolean, sqlc.narg('jwks')::jsonb,
    sqlc.narg('jwks_uri')::text, sqlc.narg('application_type')::text,
    sqlc.narg('client_secret_expires_at')::timestamptz, sqlc.narg('registration_access_token')::token_digest,
    sqlc.narg('access_token_lifetime')::interval, sqlc.narg('refresh_token_lifetime')::interval,
    sqlc.narg('authorization_lifetime')::interval, sqlc.narg('code_lifetime')::interval, sqlc.narg('refresh_grace')::interval,
    sqlc.narg('refresh_grace_until_used')::boolean, sqlc.narg('backchannel_logout_uri')::text,
    sqlc.narg('backchannel_logout_session_required')::boolean
)
RETURNING *;

-- GetClient returns the client with a public client_id, disabled or not. Zero rows: there is no such client, or it is deleted.
-- name: GetClient :one
SELECT c.*
FROM oauth_client AS c
WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL;

-- GetClientByID returns a client by its primary key, disabled or not. Zero rows: there is no such client, or it is deleted.
-- name: GetClientByID :one
SELECT c.*
FROM oauth_client AS c
WHERE c.id = @id::oauth_client_id AND c.deleted_at IS NULL;

-- AuthenticateClient says whether a caller is the client that it claims to be (RFC 6749, section 2.3). It is for libraries that authenticate
-- in a step of their own and then pass client_auth_method verified. The calls of the token, introspection and revocation endpoints
-- authenticate the client themselves, by the same rules.
-- client_auth_method is one of RFC 7591, section 2. An empty one authenticates nobody.
-- client_secret_basic and client_secret_post compare client_secret, a digest, with the client's secret, and with those that were rotated
-- out and still count.
-- private_key_jwt, tls_client_auth and self_signed_tls_client_auth say that the server has verified the key or certificate.
-- none is for public clients.
--   - authenticated: the caller is the client
--   - unauthenticated: there is no such client, the secret is wrong, or the method is not of the registered kind (invalid_client)
--   - disabled: the client is disabled (invalid_client)
-- name: AuthenticateClient :one
SELECT (
        CASE
            WHEN NOT authenticates(c, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
            WHEN c.disabled THEN 'disabled'
            ELSE 'authenticated'
        END
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN oauth_client AS c ON c.client_id = @client_id::client_id;

-- GetClientByRegistrationToken returns a client if a registration access token, given by its digest, manages it (RFC 7592, section
-- 2). Zero rows: the token is not this client's, or the client is deleted (401).
-- name: GetClientByRegistrationToken :one
SELECT c.*
FROM oauth_client AS c
WHERE c.client_id = @client_id::client_id AND c.registration_access_token = @registration_access_token::token_digest AND c.deleted_at IS NULL;

-- ListClients returns a page of all clients, oldest first. Begin with the zero time and the empty id; for the next page pass created_at and
-- id of the last row.
-- name: ListClients :many
SELECT c.*
FROM oauth_client AS c
WHERE (c.created_at, c.id) > (@after_created_at::timestamptz, @after_id::oauth_client_id)
  AND c.deleted_at IS NULL
ORDER BY c.created_at, c.id
LIMIT @page_size::integer;

-- ListClientsByUser returns a page of the clients that a user owns, like ListClients.
-- name: ListClientsByUser :many
SELECT c.*
FROM oauth_client AS c
WHERE c.user_id = @user_id::user_id
  AND (c.created_at, c.id) > (@after_created_at::timestamptz, @after_id::oauth_client_id)
  AND c.deleted_at IS NULL
ORDER BY c.created_at, c.id
LIMIT @page_size::integer;

-- ListClientsByReference returns a page of the clients that a tenant owns, like ListClients.
-- name: ListClientsByReference :many
SELECT c.*
FROM oauth_client AS c
WHERE c.reference_id = @reference_id::reference_id
  AND (c.created_at, c.id) > (@after_created_at::timestamptz, @after_id::oauth_client_id)
  AND c.deleted_at IS NULL
ORDER BY c.created_at, c.id
LIMIT @page_size::integer;

-- UpdateClient changes the fields that are not nil. The columns named in cleared (OAuthClientField) are set to NULL; any other name there is
-- an error. It changes neither client_id nor secrets. Zero rows: there is no such client, or it is deleted.
-- name: UpdateClient :one
UPDATE oauth_client AS c
SET
    skip_consent = CASE WHEN 'skip_consent' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('skip_consent')::boolean, c.skip_consent) END,
    enable_end_session = CASE WHEN 'enable_end_session' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('enable_end_session')::boolean, c.enable_end_session) END,
    scopes = CASE WHEN 'scopes' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('scopes')::text[], c.scopes) END,
    user_id = CASE WHEN 'user_id' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('user_id')::user_id, c.user_id) END,
    name = CASE WHEN 'name' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('name')::text, c.name) END,
    uri = CASE WHEN 'uri' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('uri')::text, c.uri) END,
    icon = CASE WHEN 'icon' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('icon')::text, c.icon) END,
    contacts = CASE WHEN 'contacts' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('contacts')::text[], c.contacts) END,
    tos = CASE WHEN 'tos' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('tos')::text, c.tos) END,
    policy = CASE WHEN 'policy' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('policy')::text, c.policy) END,
    software_id = CASE WHEN 'software_id' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('software_id')::text, c.software_id) END,
    software_version = CASE WHEN 'software_version' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('software_version')::text, c.software_version) END,
    software_statement = CASE WHEN 'software_statement' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('software_statement')::text, c.software_statement) END,
    redirect_uris = coalesce(sqlc.narg('redirect_uris')::text[], c.redirect_uris),
    post_logout_redirect_uris = CASE WHEN 'post_logout_redirect_uris' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('post_logout_redirect_uris')::text[], c.post_logout_redirect_uris) END,
    token_endpoint_auth_method = CASE WHEN 'token_endpoint_auth_method' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('token_endpoint_auth_method')::text, c.token_endpoint_auth_method) END,
    grant_types = CASE WHEN 'grant_types' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('grant_types')::text[], c.grant_types) END,
    response_types = CASE WHEN 'response_types' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('response_types')::text[], c.response_types) END,
    public = CASE WHEN 'public' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('public')::boolean, c.public) END,
    type = CASE WHEN 'type' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('type')::text, c.type) END,
    reference_id = CASE WHEN 'reference_id' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('reference_id')::reference_id, c.reference_id) END,
    metadata = CASE WHEN 'metadata' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('metadata')::jsonb, c.metadata) END,
    subject_type = CASE WHEN 'subject_type' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('subject_type')::text, c.subject_type) END,
    require_pkce = CASE WHEN 'require_pkce' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('require_pkce')::boolean, c.require_pkce) END,
    jwks = CASE WHEN 'jwks' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('jwks')::jsonb, c.jwks) END,
    jwks_uri = CASE WHEN 'jwks_uri' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('jwks_uri')::text, c.jwks_uri) END,
    application_type = CASE WHEN 'application_type' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('application_type')::text, c.application_type) END,
    access_token_lifetime = CASE WHEN 'access_token_lifetime' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('access_token_lifetime')::interval, c.access_token_lifetime) END,
    refresh_token_lifetime = CASE WHEN 'refresh_token_lifetime' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('refresh_token_lifetime')::interval, c.refresh_token_lifetime) END,
    authorization_lifetime = CASE WHEN 'authorization_lifetime' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('authorization_lifetime')::interval, c.authorization_lifetime) END,
    code_lifetime = CASE WHEN 'code_lifetime' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('code_lifetime')::interval, c.code_lifetime) END,
    refresh_grace = CASE WHEN 'refresh_grace' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('refresh_grace')::interval, c.refresh_grace) END,
    refresh_grace_until_used = CASE WHEN 'refresh_grace_until_used' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('refresh_grace_until_used')::boolean, c.refresh_grace_until_used) END,
    backchannel_logout_uri = CASE WHEN 'backchannel_logout_uri' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('backchannel_logout_uri')::text, c.backchannel_logout_uri) END,
    backchannel_logout_session_required = CASE WHEN 'backchannel_logout_session_required' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('backchannel_logout_session_required')::boolean, c.backchannel_logout_session_required) END,
    updated_at = now()
FROM (SELECT coalesce(@cleared::text[], ARRAY[]::text[])::oauth_client_field[]::text[] AS cleared) AS f
WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
RETURNING c.*;

-- RotateClientSecret gives a client a new secret. client_secret is its digest. The secret lasts for lifetime (store.Never: without end). The
-- replaced secret counts for another overlap, but not past its own expiry; an overlap of 0 refuses it at once. Secrets that were replaced
-- earlier count for as long as they were promised to.
--   - rotated: the new secret is stored
--   - retried: it is the present secret already; nothing changes
--   - unknown: there is no such client
-- name: RotateClientSecret :one
WITH client AS MATERIALIZED (
    SELECT c.id, c.client_id, c.client_secret, least(c.client_secret_expires_at, now() + @overlap::interval) AS replaced_expires_at,
        (CASE WHEN c.client_secret = @client_secret::token_digest THEN 'retried' ELSE 'rotated' END)::outcome AS outcome
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    FOR NO KEY UPDATE
), rotated AS (
    UPDATE oauth_client AS c
    SET client_secret = coalesce(@client_secret::token_digest, refuse_parameter('ClientSecret', 'is missing')),
        client_secret_expires_at = expiry(now(), @lifetime::interval, NULL, 'Lifetime'),
        foreign_secret_hash = NULL, updated_at = now()
    FROM client AS k
    WHERE c.id = k.id AND k.outcome = 'rotated'
), replaced AS (
    INSERT INTO oauth_client_secret AS o (client_id, digest, expires_at)
    SELECT k.client_id, k.client_secret, k.replaced_expires_at
    FROM client AS k
    WHERE k.outcome = 'rotated' AND k.client_secret IS NOT NULL AND k.replaced_expires_at > now()
    ON CONFLICT (client_id, digest) DO UPDATE
    SET expires_at = excluded.expires_at, updated_at = now()
), present_again AS (
    -- the new secret had been used before and was rotated out: its old row no longer counts
    DELETE FROM oauth_client_secret AS o
    USING client AS k
    WHERE k.outcome = 'rotated' AND o.client_id = k.client_id AND o.digest = @client_secret::token_digest
)
SELECT coalesce((SELECT k.outcome FROM client AS k), 'unknown')::outcome AS outcome;

-- SetRegistrationAccessToken replaces the token that manages a client's registration (RFC 7592, section 3). NULL removes it.
--   - updated: the token is replaced or removed
--   - unknown: there is no such client
-- name: SetRegistrationAccessToken :one
WITH updated AS (
    UPDATE oauth_client AS c
    SET registration_access_token = sqlc.narg('registration_access_token')::token_digest, updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    RETURNING c.id
)
SELECT (CASE WHEN EXISTS (SELECT FROM updated) THEN 'updated' ELSE 'unknown' END)::outcome AS outcome;

-- DisableClient disables a client. It is issued nothing, and none of its tokens is live, until EnableClient. RevokeClientAuthorizations ends
-- the tokens for good.
--   - ended: the client is disabled
--   - unknown: there is no such client
-- name: DisableClient :one
WITH disabled AS (
    UPDATE oauth_client AS c
    SET disabled = true, updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    RETURNING c.id
)
SELECT (CASE WHEN EXISTS (SELECT FROM disabled) THEN 'ended' ELSE 'unknown' END)::outcome AS outcome;

-- EnableClient enables a client that was disabled. Its tokens are live again, unless they have expired or been ended.
--   - enabled: the client is enabled
--   - disabled: the user who owns the client is deleted; the client stays disabled
--   - unknown: there is no such client
-- name: EnableClient :one
WITH enabled AS (
    UPDATE oauth_client AS c
    SET disabled = false, updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    RETURNING c.disabled
)
SELECT (CASE WHEN e.disabled IS NULL THEN 'unknown' WHEN e.disabled THEN 'disabled' ELSE 'enabled' END)::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN enabled AS e ON true;

-- DeleteClient deletes a client. It is disabled, everything that was granted to it is dead at once and for good, and its secrets and
-- personal data are blanked. It is told of no sign-out any more. The collector erases the rest; after that the client_id can be used again.
--   - deleted: the client is deleted
--   - unknown: there is no such client
-- name: DeleteClient :one
WITH deleted AS (
    UPDATE oauth_client AS c
    SET deleted_at = now(), disabled = true, grants_epoch = c.grants_epoch + 1, client_secret = NULL, foreign_secret_hash = NULL,
        registration_access_token = NULL, jwks = NULL, jwks_uri = NULL, name = NULL, uri = NULL, icon = NULL, contacts = NULL,
        tos = NULL, policy = NULL, software_statement = NULL, redirect_uris = '{}', post_logout_redirect_uris = NULL,
        metadata = NULL, updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    RETURNING c.client_id
)
SELECT (CASE WHEN EXISTS (SELECT FROM deleted) THEN 'deleted' ELSE 'unknown' END)::outcome AS outcome;

-- EraseDeletedClients deletes what is left of deleted clients. It looks at up to batch_size of them in the order of their deletion. One call
-- deletes up to batch_size access tokens, consents, secrets and rows of session_client each, and the clients to which nothing refers any
-- more, so nothing cascades. Families and refresh tokens are left to the calls that collect those. Begin with the zero time as
-- after_deleted_at and go on with last_deleted_at, which is NULL when no client is left. It skips rows that are locked.
-- name: EraseDeletedClients :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.client_id, p.deleted_at
    FROM oauth_client AS p
    WHERE p.deleted_at IS NOT NULL AND p.deleted_at > @after_deleted_at::timestamptz
    ORDER BY p.deleted_at
    LIMIT @batch_size::integer
), access_tokens AS MATERIALIZED (
    -- BETWEEN, because the planner ignores an ORDER BY on a column compared with =, and would then read all tokens of the client
    SELECT t.id
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM oauth_access_token AS x
        WHERE x.client_id BETWEEN p.client_id AND p.client_id
        ORDER BY x.client_id
        LIMIT @batch_size::integer
        FOR UPDATE SKIP LOCKED
    ) AS t
    LIMIT @batch_size::integer
), deleted_access_tokens AS (
    DELETE FROM oauth_access_token AS t
    USING access_tokens AS x
    WHERE t.id = x.id
    RETURNING t.id
), consents AS MATERIALIZED (
    -- ordered as an index is, or the planner would read all consents of the client
    SELECT g.id
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM oauth_consent AS x
        WHERE x.client_id = p.client_id
        ORDER BY x.user_id
        LIMIT @batch_size::integer
        FOR UPDATE SKIP LOCKED
    ) AS g
    LIMIT @batch_size::integer
), deleted_consents AS (
    DELETE FROM oauth_consent AS g
    USING consents AS x
    WHERE g.id = x.id
    RETURNING g.id
), secrets AS MATERIALIZED (
    SELECT o.id
    FROM page AS p
    JOIN oauth_client_secret AS o ON o.client_id = p.client_id
    LIMIT @batch_size::integer
    FOR UPDATE OF o SKIP LOCKED
), deleted_secrets AS (
    DELETE FROM oauth_client_secret AS o
    USING secrets AS x
    WHERE o.id = x.id
    RETURNING o.id
), session_clients AS MATERIALIZED (
    SELECT k.id
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM session_client AS x
        WHERE x.client_id = p.client_id
        ORDER BY x.id
        LIMIT @batch_size::integer
        FOR UPDATE SKIP LOCKED
    ) AS k
    LIMIT @batch_size::integer
), deleted_session_clients AS (
    DELETE FROM session_client AS k
    USING session_clients AS x
    WHERE k.id = x.id
    RETURNING k.id
), unused AS MATERIALIZED (
    SELECT c.id
    FROM page AS p
    JOIN oauth_client AS c ON c.id = p.id
    WHERE NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM oauth_consent AS g WHERE g.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM oauth_client_secret AS o WHERE o.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.client_id = c.client_id)
    FOR UPDATE OF c SKIP LOCKED
), deleted_clients AS (
    DELETE FROM oauth_client AS c
    USING unused AS x
    WHERE c.id = x.id
    RETURNING c.id
)
SELECT (SELECT count(*) FROM deleted_clients)::bigint AS deleted,
    (SELECT count(*) FROM deleted_access_tokens)::bigint AS access_tokens,
    ((SELECT count(*) FROM deleted_consents) + (SELECT count(*) FROM deleted_secrets) + (SELECT count(*) FROM deleted_session_clients))::bigint AS cleared,
    l.deleted_at AS last_deleted_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN (SELECT p.deleted_at FROM page AS p ORDER BY p.deleted_at DESC LIMIT 1) AS l ON true;
