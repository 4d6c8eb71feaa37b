-- CreateClient registers a client (RFC 7591, section 2). The comments of the columns say which metadata each one holds. If the client_id is
-- taken, it violates oauth_client_client_id_uidx. A client whose grant types redirect and that has no redirect URI violates
-- oauth_client_redirect_uris_where_redirected. sector_identifier is the host of a sector_identifier_uri that the server has verified (OpenID
-- Connect Core, section 8.1), and can't be changed later.
-- foreign_secret_hash is for a client whose secret is known only as a hash that another server made, such as bcrypt, PBKDF2 or Argon2. It
-- authenticates nobody; ReplaceForeignSecretHash puts a digest in its place when the client first shows the secret. What doesn't look like
-- a hash, such as the asterisks of an export, violates oauth_client_foreign_secret_hash_is_hash.
-- name: CreateClient :one
INSERT INTO oauth_client (
    id, client_id, client_secret, skip_consent, enable_end_session, scopes, user_id, name, uri, icon, contacts, tos,
    policy, software_id, software_version, software_statement, redirect_uris, post_logout_redirect_uris,
    token_endpoint_auth_method, grant_types, response_types, public, type, reference_id, metadata, subject_type,
    require_pkce, jwks, jwks_uri, application_type, client_secret_expires_at, registration_access_token,
    access_token_lifetime, refresh_token_lifetime, authorization_lifetime, code_lifetime, refresh_grace, refresh_grace_until_used,
    backchannel_logout_uri, backchannel_logout_session_required,
    sector_identifier, allow_plain_pkce, default_max_age, require_pushed_authorization_requests, dpop_bound_access_tokens,
    tls_client_certificate_bound_access_tokens, tls_client_auth_subject_dn, tls_client_auth_san_dns, tls_client_auth_san_uri,
    tls_client_auth_san_ip, tls_client_auth_san_email, foreign_secret_hash, resources,
    authorization_details_types
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
    sqlc.narg('backchannel_logout_session_required')::boolean,
    sqlc.narg('sector_identifier')::text, sqlc.narg('allow_plain_pkce')::boolean, sqlc.narg('default_max_age')::interval,
    sqlc.narg('require_pushed_authorization_requests')::boolean, sqlc.narg('dpop_bound_access_tokens')::boolean,
    sqlc.narg('tls_client_certificate_bound_access_tokens')::boolean, sqlc.narg('tls_client_auth_subject_dn')::text,
    sqlc.narg('tls_client_auth_san_dns')::text, sqlc.narg('tls_client_auth_san_uri')::text, sqlc.narg('tls_client_auth_san_ip')::text,
    sqlc.narg('tls_client_auth_san_email')::text, sqlc.narg('foreign_secret_hash')::text, sqlc.narg('resources')::text[],
    sqlc.narg('authorization_details_types')::text[]
)
RETURNING *;

-- RegisterClient registers a client by the metadata that it states about itself (RFC 7591, section 3). It spends one use of
-- initial_access_token, and only if the client is registered. Without a token a client is registered only if open is true. A tenant of the
-- token owns the client, else reference_id or user_id. Which scopes a client may state is for the caller to narrow. sector_identifier is the
-- host of a sector_identifier_uri that the server has verified (OpenID Connect Core, section 8.1). Without it the sector is the host of the
-- redirect URIs; it is the client's own if they have none in common, or if a grant type names users elsewhere than there.
-- token_endpoint_auth_method is client_secret_basic if it is nil (RFC 7591, section 2). client_secret is the digest of a secret that the
-- server has made; it is stored only if the method uses one. It lasts for client_secret_lifetime (store.Never: without end).
-- registration_access_token is the digest of the token that manages the registration (RFC 7592).
-- Keep id, client_id and the digests for a retry.
-- ip_address is for the security event (ListSecurityEvents).
--   - registered: the client is registered, and one use is spent (201)
--   - retried: the same call has registered the client (201)
--   - unauthenticated: there is no such initial access token, or none was presented and registration isn't open (invalid_token, 401)
--   - revoked: the initial access token was revoked (invalid_token, 401)
--   - exhausted: the initial access token has no uses left (invalid_token, 401)
--   - expired: the initial access token has expired (invalid_token, 401)
--   - invalid_redirect_uri: a redirect URI is not fit for registration, or there is none and a grant type redirects (invalid_redirect_uri)
--   - invalid_client_metadata: the metadata contradict each other or lack something: no secret or keys for the method, a URL that is none
--     (invalid_client_metadata)
--   - taken: the client_id or the id is that of another client; call again with new ones
-- name: RegisterClient :one
WITH stated AS MATERIALIZED (
    SELECT m.auth_method, m.auth_method IN ('client_secret_basic', 'client_secret_post') AS uses_secret
    FROM (SELECT coalesce(sqlc.narg('token_endpoint_auth_method')::text, 'client_secret_basic')::text AS auth_method) AS m
), judged AS MATERIALIZED (
    SELECT d.auth_method, (CASE WHEN d.uses_secret THEN sqlc.narg('client_secret')::token_digest END)::token_digest AS secret,
        (CASE WHEN d.uses_secret AND sqlc.narg('client_secret')::token_digest IS NULL THEN 'invalid_client_metadata' ELSE judge_registration(
            @redirect_uris::text[], sqlc.narg('post_logout_redirect_uris')::text[], sqlc.narg('grant_types')::text[], d.auth_method,
            sqlc.narg('jwks')::jsonb, sqlc.narg('jwks_uri')::text,
            num_nonnulls(
                sqlc.narg('tls_client_auth_subject_dn')::text, sqlc.narg('tls_client_auth_san_dns')::text,
                sqlc.narg('tls_client_auth_san_uri')::text, sqlc.narg('tls_client_auth_san_ip')::text,
                sqlc.narg('tls_client_auth_san_email')::text
            ),
            ARRAY[
                sqlc.narg('uri')::text, sqlc.narg('icon')::text, sqlc.narg('tos')::text, sqlc.narg('policy')::text,
                sqlc.narg('jwks_uri')::text, sqlc.narg('backchannel_logout_uri')::text
            ]
        ) END)::outcome AS refused
    FROM stated AS d
), admitted AS MATERIALIZED (
    SELECT j.auth_method, j.secret, i.verdict, i.owner, i.issued_at, i.secret_expires_at
    FROM judged AS j
    CROSS JOIN spend_initial_access_token(
        sqlc.narg('initial_access_token')::token_digest, @open::boolean, j.refused, @client_id::client_id, @id::oauth_client_id, j.secret,
        sqlc.narg('registration_access_token')::token_digest
    ) AS i (verdict, owner, issued_at, secret_expires_at)
), new_client AS (
    INSERT INTO oauth_client (
        id, client_id, client_secret, client_secret_expires_at, registration_access_token, user_id, reference_id, public,
        token_endpoint_auth_method, sector_identifier,
        name, uri, icon, contacts, tos, policy, software_id, software_version, software_statement, redirect_uris,
        post_logout_redirect_uris, grant_types, response_types, scopes, jwks, jwks_uri, application_type, subject_type,
        default_max_age, require_pushed_authorization_requests, dpop_bound_access_tokens, tls_client_certificate_bound_access_tokens,
        tls_client_auth_subject_dn, tls_client_auth_san_dns, tls_client_auth_san_uri, tls_client_auth_san_ip,
        tls_client_auth_san_email, backchannel_logout_uri, backchannel_logout_session_required, metadata, authorization_details_types
    )
    SELECT @id::oauth_client_id, @client_id::client_id, a.secret,
        CASE WHEN a.secret IS NOT NULL THEN expiry(now(), @client_secret_lifetime::interval, NULL, 'ClientSecretLifetime') END,
        sqlc.narg('registration_access_token')::token_digest, sqlc.narg('user_id')::user_id,
        coalesce(a.owner, sqlc.narg('reference_id')::reference_id), a.auth_method = 'none', a.auth_method,
        stated_sector(@client_id::client_id, sqlc.narg('sector_identifier')::text, sqlc.narg('subject_type')::text, sqlc.narg('grant_types')::text[]),
        sqlc.narg('name')::text, sqlc.narg('uri')::text, sqlc.narg('icon')::text, sqlc.narg('contacts')::text[],
        sqlc.narg('tos')::text, sqlc.narg('policy')::text, sqlc.narg('software_id')::text, sqlc.narg('software_version')::text,
        sqlc.narg('software_statement')::text, coalesce(@redirect_uris::text[], '{}'), sqlc.narg('post_logout_redirect_uris')::text[],
        sqlc.narg('grant_types')::text[], sqlc.narg('response_types')::text[], sqlc.narg('scopes')::text[], sqlc.narg('jwks')::jsonb,
        sqlc.narg('jwks_uri')::text, sqlc.narg('application_type')::text, sqlc.narg('subject_type')::text,
        sqlc.narg('default_max_age')::interval, sqlc.narg('require_pushed_authorization_requests')::boolean,
        sqlc.narg('dpop_bound_access_tokens')::boolean, sqlc.narg('tls_client_certificate_bound_access_tokens')::boolean,
        sqlc.narg('tls_client_auth_subject_dn')::text, sqlc.narg('tls_client_auth_san_dns')::text,
        sqlc.narg('tls_client_auth_san_uri')::text, sqlc.narg('tls_client_auth_san_ip')::text,
        sqlc.narg('tls_client_auth_san_email')::text, sqlc.narg('backchannel_logout_uri')::text,
        sqlc.narg('backchannel_logout_session_required')::boolean, sqlc.narg('metadata')::jsonb, sqlc.narg('authorization_details_types')::text[]
    FROM admitted AS a
    WHERE a.verdict = 'registered'
    -- of any index: the same call, made twice at once, has the same id too
    ON CONFLICT DO NOTHING
    RETURNING created_at, client_secret_expires_at
), preceded AS MATERIALIZED (
    SELECT b.verdict, b.issued_at, b.secret_expires_at
    FROM admitted AS a
    CROSS JOIN return_initial_access_token(
        sqlc.narg('initial_access_token')::token_digest, @client_id::client_id, @id::oauth_client_id, a.secret,
        sqlc.narg('registration_access_token')::token_digest
    ) AS b (verdict, issued_at, secret_expires_at)
    WHERE a.verdict = 'registered' AND NOT EXISTS (SELECT FROM new_client)
), answer AS (
    SELECT coalesce(b.verdict, a.verdict)::outcome AS outcome, coalesce(n.created_at, b.issued_at, a.issued_at)::timestamptz AS issued_at,
        coalesce(n.client_secret_expires_at, b.secret_expires_at, a.secret_expires_at)::timestamptz AS secret_expires_at
    FROM admitted AS a
    LEFT JOIN new_client AS n ON true
    LEFT JOIN preceded AS b ON true
)
SELECT noted(
        (CASE w.outcome WHEN 'retried' THEN settled('retried') ELSE w.outcome END)::outcome, 'RegisterClient', of_user => sqlc.narg('user_id')::user_id, of_client => @client_id::client_id,
        from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    w.issued_at AS client_id_issued_at, w.secret_expires_at AS client_secret_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN answer AS w ON true;

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

-- FindClientByRegistrationToken returns a client if a registration access token, given by its digest, manages it (RFC 7592, section 2.1),
-- disabled or not. From then on the token that it replaced manages nothing any more. Zero rows: the token is not this client's present one,
-- or the client is deleted (401).
-- name: FindClientByRegistrationToken :one
WITH used AS (
    UPDATE oauth_client AS c
    SET previous_registration_access_token = NULL, updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.registration_access_token = @registration_access_token::token_digest
      AND c.previous_registration_access_token IS NOT NULL
)
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
-- an error. It changes neither client_id nor secrets nor sector_identifier. A new token_endpoint_auth_method sets public as well, where that
-- is not nil in the row and not given. Zero rows: there is no such client, or it is deleted.
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
    public = CASE
        WHEN 'public' = ANY (f.cleared) THEN NULL
        -- what was registered with the method follows it, or a client that is given a secret would go on without
        ELSE coalesce(
            sqlc.narg('public')::boolean,
            CASE
                WHEN c.public IS NOT NULL AND NOT 'token_endpoint_auth_method' = ANY (f.cleared)
                THEN sqlc.narg('token_endpoint_auth_method')::text = 'none'
            END,
            c.public
        )
    END,
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
    allow_plain_pkce = CASE WHEN 'allow_plain_pkce' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('allow_plain_pkce')::boolean, c.allow_plain_pkce) END,
    default_max_age = CASE WHEN 'default_max_age' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('default_max_age')::interval, c.default_max_age) END,
    require_pushed_authorization_requests = CASE WHEN 'require_pushed_authorization_requests' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('require_pushed_authorization_requests')::boolean, c.require_pushed_authorization_requests) END,
    dpop_bound_access_tokens = CASE WHEN 'dpop_bound_access_tokens' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('dpop_bound_access_tokens')::boolean, c.dpop_bound_access_tokens) END,
    tls_client_certificate_bound_access_tokens = CASE WHEN 'tls_client_certificate_bound_access_tokens' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('tls_client_certificate_bound_access_tokens')::boolean, c.tls_client_certificate_bound_access_tokens) END,
    tls_client_auth_subject_dn = CASE WHEN 'tls_client_auth_subject_dn' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('tls_client_auth_subject_dn')::text, c.tls_client_auth_subject_dn) END,
    tls_client_auth_san_dns = CASE WHEN 'tls_client_auth_san_dns' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('tls_client_auth_san_dns')::text, c.tls_client_auth_san_dns) END,
    tls_client_auth_san_uri = CASE WHEN 'tls_client_auth_san_uri' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('tls_client_auth_san_uri')::text, c.tls_client_auth_san_uri) END,
    tls_client_auth_san_ip = CASE WHEN 'tls_client_auth_san_ip' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('tls_client_auth_san_ip')::text, c.tls_client_auth_san_ip) END,
    tls_client_auth_san_email = CASE WHEN 'tls_client_auth_san_email' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('tls_client_auth_san_email')::text, c.tls_client_auth_san_email) END,
    resources = CASE WHEN 'resources' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('resources')::text[], c.resources) END,
    authorization_details_types = CASE WHEN 'authorization_details_types' = ANY (f.cleared) THEN NULL ELSE coalesce(sqlc.narg('authorization_details_types')::text[], c.authorization_details_types) END,
    updated_at = now()
FROM (SELECT coalesce(@cleared::text[], ARRAY[]::text[])::oauth_client_field[]::text[] AS cleared) AS f
WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
RETURNING c.*;

-- UpdateRegistration replaces the metadata that a client states about itself (RFC 7592, section 2.2): what is nil is deleted, or gets its
-- default. It keeps what only the server decides: owner, first-party flags, lifetimes, PKCE, grace, and the sector of pairwise subjects.
-- If the sector is a host, new redirect URIs of a client with pairwise subjects have to be there, unless sector_identifier says that the
-- server has verified the sector_identifier_uri for them.
-- registration_access_token is the digest of the token presented. With a new_registration_access_token that one manages the registration
-- from now on. If it is derived from the one presented (token.Successor), the call can be sent again after a lost answer, until the new
-- token is used.
-- token_endpoint_auth_method is client_secret_basic if it is nil. If the method uses a secret, client_secret is the digest of a new one, for
-- client_secret_lifetime (store.Never: without end). Without it the client keeps the secret that it has. A client of another method has none.
-- If what users see when they are asked for consent changes (redirect_uris, scopes, name, uri, icon, tos, policy), no consent that was given
-- to the client before counts any more, so that users are asked again; grants go on.
-- ip_address is for the security event (ListSecurityEvents).
--   - updated: the registration is replaced, or was by the same call before (200)
--   - unauthenticated: the token is not this client's present one, or the client is deleted; nothing changes (invalid_token, 401)
--   - disabled: the client is disabled; nothing changes (403)
--   - invalid_redirect_uri: as in RegisterClient
--   - invalid_client_metadata: as in RegisterClient; also if the method needs a secret, and the client has none and gets none, or
--     if the client would take pairwise subjects away from its sector
-- name: UpdateRegistration :one
WITH stated AS MATERIALIZED (
    SELECT m.auth_method, m.auth_method IN ('client_secret_basic', 'client_secret_post') AS uses_secret
    FROM (SELECT coalesce(sqlc.narg('token_endpoint_auth_method')::text, 'client_secret_basic')::text AS auth_method) AS m
), judged AS MATERIALIZED (
    SELECT d.auth_method, d.uses_secret,
        judge_registration(
            @redirect_uris::text[], sqlc.narg('post_logout_redirect_uris')::text[], sqlc.narg('grant_types')::text[], d.auth_method,
            sqlc.narg('jwks')::jsonb, sqlc.narg('jwks_uri')::text,
            num_nonnulls(
                sqlc.narg('tls_client_auth_subject_dn')::text, sqlc.narg('tls_client_auth_san_dns')::text,
                sqlc.narg('tls_client_auth_san_uri')::text, sqlc.narg('tls_client_auth_san_ip')::text,
                sqlc.narg('tls_client_auth_san_email')::text
            ),
            ARRAY[
                sqlc.narg('uri')::text, sqlc.narg('icon')::text, sqlc.narg('tos')::text, sqlc.narg('policy')::text,
                sqlc.narg('jwks_uri')::text, sqlc.narg('backchannel_logout_uri')::text
            ]
        )::outcome AS refused
    FROM stated AS d
), updated AS (
    UPDATE oauth_client AS c
    SET
        client_secret = CASE WHEN j.uses_secret THEN coalesce(sqlc.narg('client_secret')::token_digest, c.client_secret) END,
        client_secret_expires_at = CASE
            WHEN NOT j.uses_secret THEN NULL
            WHEN sqlc.narg('client_secret')::token_digest IS NULL THEN c.client_secret_expires_at
            ELSE expiry(now(), @client_secret_lifetime::interval, NULL, 'ClientSecretLifetime')
        END,
        foreign_secret_hash = CASE WHEN j.uses_secret AND sqlc.narg('client_secret')::token_digest IS NULL THEN c.foreign_secret_hash END,
        registration_access_token = coalesce(sqlc.narg('new_registration_access_token')::token_digest, c.registration_access_token),
        previous_registration_access_token = CASE
            WHEN sqlc.narg('new_registration_access_token')::token_digest <> @registration_access_token::token_digest THEN @registration_access_token::token_digest
        END,
        public = j.auth_method = 'none',
        token_endpoint_auth_method = j.auth_method,
        sector_identifier = coalesce(
            c.sector_identifier,
            stated_sector(c.client_id, sqlc.narg('sector_identifier')::text, sqlc.narg('subject_type')::text, sqlc.narg('grant_types')::text[])
        ),
        name = sqlc.narg('name')::text,
        uri = sqlc.narg('uri')::text,
        icon = sqlc.narg('icon')::text,
        contacts = sqlc.narg('contacts')::text[],
        tos = sqlc.narg('tos')::text,
        policy = sqlc.narg('policy')::text,
        software_id = sqlc.narg('software_id')::text,
        software_version = sqlc.narg('software_version')::text,
        software_statement = sqlc.narg('software_statement')::text,
        redirect_uris = coalesce(@redirect_uris::text[], '{}'),
        post_logout_redirect_uris = sqlc.narg('post_logout_redirect_uris')::text[],
        grant_types = sqlc.narg('grant_types')::text[],
        response_types = sqlc.narg('response_types')::text[],
        scopes = sqlc.narg('scopes')::text[],
        jwks = sqlc.narg('jwks')::jsonb,
        jwks_uri = sqlc.narg('jwks_uri')::text,
        application_type = sqlc.narg('application_type')::text,
        subject_type = sqlc.narg('subject_type')::text,
        default_max_age = sqlc.narg('default_max_age')::interval,
        require_pushed_authorization_requests = sqlc.narg('require_pushed_authorization_requests')::boolean,
        dpop_bound_access_tokens = sqlc.narg('dpop_bound_access_tokens')::boolean,
        tls_client_certificate_bound_access_tokens = sqlc.narg('tls_client_certificate_bound_access_tokens')::boolean,
        tls_client_auth_subject_dn = sqlc.narg('tls_client_auth_subject_dn')::text,
        tls_client_auth_san_dns = sqlc.narg('tls_client_auth_san_dns')::text,
        tls_client_auth_san_uri = sqlc.narg('tls_client_auth_san_uri')::text,
        tls_client_auth_san_ip = sqlc.narg('tls_client_auth_san_ip')::text,
        tls_client_auth_san_email = sqlc.narg('tls_client_auth_san_email')::text,
        backchannel_logout_uri = sqlc.narg('backchannel_logout_uri')::text,
        backchannel_logout_session_required = sqlc.narg('backchannel_logout_session_required')::boolean,
        metadata = sqlc.narg('metadata')::jsonb,
        authorization_details_types = sqlc.narg('authorization_details_types')::text[],
        consents_epoch = c.consents_epoch + (
            (c.redirect_uris::text[], c.scopes::text[], c.name, c.uri, c.icon, c.tos, c.policy) IS DISTINCT FROM (
                coalesce(@redirect_uris::text[], '{}'), sqlc.narg('scopes')::text[], sqlc.narg('name')::text, sqlc.narg('uri')::text,
                sqlc.narg('icon')::text, sqlc.narg('tos')::text, sqlc.narg('policy')::text
            )
        )::integer,
        updated_at = now()
    FROM judged AS j
    WHERE c.client_id = @client_id::client_id AND NOT c.disabled AND j.refused IS NULL -- nor is it deleted
      AND manages(c, @registration_access_token::token_digest, sqlc.narg('new_registration_access_token')::token_digest)
      AND (NOT j.uses_secret OR sqlc.narg('client_secret')::token_digest IS NOT NULL OR c.client_secret IS NOT NULL OR c.foreign_secret_hash IS NOT NULL)
      AND NOT leaves_sector(
          c, sqlc.narg('sector_identifier')::text, sqlc.narg('subject_type')::text, @redirect_uris::text[], sqlc.narg('grant_types')::text[]
      )
    RETURNING c.created_at, c.client_secret_expires_at, c.client_secret IS NOT NULL OR c.foreign_secret_hash IS NOT NULL AS has_secret
)
SELECT noted(
        (CASE
            WHEN u.created_at IS NOT NULL THEN 'updated'
            ELSE judge_registration_update(
                c, @client_id::client_id, @registration_access_token::token_digest, sqlc.narg('new_registration_access_token')::token_digest,
                j.refused, j.uses_secret AND sqlc.narg('client_secret')::token_digest IS NULL, sqlc.narg('sector_identifier')::text,
                sqlc.narg('subject_type')::text, @redirect_uris::text[], sqlc.narg('grant_types')::text[]
            )
        END)::outcome,
        'UpdateRegistration', of_client => @client_id::client_id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    u.created_at AS client_id_issued_at, u.has_secret, u.client_secret_expires_at
FROM judged AS j
LEFT JOIN updated AS u ON true
LEFT JOIN oauth_client AS c ON c.client_id = @client_id::client_id;

-- DeleteRegistration deletes a client as DeleteClient does, if a registration access token, given by its digest, manages it (RFC 7592,
-- section 2.3). A disabled client can be deleted.
-- ip_address is for the security event (ListSecurityEvents).
--   - deleted: the client is deleted (204)
--   - unauthenticated: the token is not this client's present one, or the client is deleted (invalid_token, 401)
-- name: DeleteRegistration :one
SELECT noted(
        (
            CASE WHEN delete_client(@client_id::client_id, true, @registration_access_token::token_digest) THEN 'deleted' ELSE 'unauthenticated' END
        )::outcome,
        'DeleteRegistration', of_client => @client_id::client_id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n);

-- PutClientDocument stores what a client ID metadata document says (draft-ietf-oauth-client-id-metadata-document). client_id is the
-- document's https URL, document_uri where it was fetched, if that is another one, and document_client_id what the document says in
-- client_id, which has to be the same. id is for a new client: make one for each call. The id of another client is an
-- error.
-- Fetches are ordered by fetched_at; one that lies ahead counts as now. The document need not be fetched again for fresh_for.
-- token_endpoint_auth_method is none if it is nil. Such a client has no secret.
-- changes are the columns that changed, and consent_changes those of them that users see when they are asked for consent. If there is one of
-- these, no consent that was given to the client before counts any more, so that users are asked again; grants go on. A disabled client
-- stays disabled, and is_disabled says so.
--   - inserted: the client is new
--   - changed: the document is another one than the one stored
--   - fresh: the document says what is stored; it is fresh again
--   - retried: the fetch of this instant is stored already
--   - stale: a later fetch is stored; nothing changes
--   - taken: the client_id is that of a client without a document; nothing changes
--   - revoked: the client is deleted; nothing changes until it is erased
--   - invalid_redirect_uri: as in RegisterClient
--   - invalid_client_metadata: as in RegisterClient; also if the client_id isn't a URL of a document, or not the one that the document says,
--     if the method is one with a secret, or if the client would take pairwise subjects away from its sector, as in UpdateRegistration
-- name: PutClientDocument :one
WITH stated AS MATERIALIZED (
    SELECT m.auth_method, @client_id::client_id AS client_id,
        (CASE
            WHEN @fetched_at::timestamptz > 'epoch' THEN least(@fetched_at::timestamptz, now())
            ELSE refuse_parameter('FetchedAt', 'is missing')::timestamptz
        END)::timestamptz AS fetched_at
    FROM (SELECT coalesce(sqlc.narg('token_endpoint_auth_method')::text, 'none')::text AS auth_method) AS m
), judged AS MATERIALIZED (
    SELECT d.auth_method, d.client_id, d.fetched_at,
        (CASE
            WHEN d.client_id !~ '^https://[^/?#@[:space:]]+/[^#[:space:]]*$' OR d.client_id ~* '/([.]|%2e){1,2}([/?]|$)'
                OR sqlc.narg('document_client_id')::text IS DISTINCT FROM d.client_id OR d.auth_method ~ '^client_secret_'
            THEN 'invalid_client_metadata'
            ELSE judge_registration(
                @redirect_uris::text[], sqlc.narg('post_logout_redirect_uris')::text[], sqlc.narg('grant_types')::text[], d.auth_method,
                sqlc.narg('jwks')::jsonb, sqlc.narg('jwks_uri')::text,
                num_nonnulls(
                    sqlc.narg('tls_client_auth_subject_dn')::text, sqlc.narg('tls_client_auth_san_dns')::text,
                    sqlc.narg('tls_client_auth_san_uri')::text, sqlc.narg('tls_client_auth_san_ip')::text,
                    sqlc.narg('tls_client_auth_san_email')::text
                ),
                ARRAY[
                    sqlc.narg('uri')::text, sqlc.narg('icon')::text, sqlc.narg('tos')::text, sqlc.narg('policy')::text,
                    sqlc.narg('jwks_uri')::text, sqlc.narg('backchannel_logout_uri')::text
                ]
            )
        END)::outcome AS refused
    FROM stated AS d
), put AS (
    INSERT INTO oauth_client AS c (
        id, client_id, document_uri, document_etag, document_fetched_at, document_fresh_until, document_changes, public,
        token_endpoint_auth_method, sector_identifier,
        name, uri, icon, contacts, tos, policy, software_id, software_version, software_statement, redirect_uris,
        post_logout_redirect_uris, grant_types, response_types, scopes, jwks, jwks_uri, application_type, subject_type,
        default_max_age, require_pushed_authorization_requests, dpop_bound_access_tokens, tls_client_certificate_bound_access_tokens,
        tls_client_auth_subject_dn, tls_client_auth_san_dns, tls_client_auth_san_uri, tls_client_auth_san_ip,
        tls_client_auth_san_email, backchannel_logout_uri, backchannel_logout_session_required, metadata, authorization_details_types
    )
    SELECT @id::oauth_client_id, j.client_id, coalesce(sqlc.narg('document_uri')::text, j.client_id), sqlc.narg('document_etag')::text,
        j.fetched_at, deadline(@fresh_for::interval, NULL, 'FreshFor'), NULL::text[], j.auth_method = 'none', j.auth_method,
        stated_sector(j.client_id, NULL, sqlc.narg('subject_type')::text, sqlc.narg('grant_types')::text[]),
        sqlc.narg('name')::text, sqlc.narg('uri')::text, sqlc.narg('icon')::text, sqlc.narg('contacts')::text[],
        sqlc.narg('tos')::text, sqlc.narg('policy')::text, sqlc.narg('software_id')::text, sqlc.narg('software_version')::text,
        sqlc.narg('software_statement')::text, coalesce(@redirect_uris::text[], '{}'), sqlc.narg('post_logout_redirect_uris')::text[],
        sqlc.narg('grant_types')::text[], sqlc.narg('response_types')::text[], sqlc.narg('scopes')::text[], sqlc.narg('jwks')::jsonb,
        sqlc.narg('jwks_uri')::text, sqlc.narg('application_type')::text, sqlc.narg('subject_type')::text,
        sqlc.narg('default_max_age')::interval, sqlc.narg('require_pushed_authorization_requests')::boolean,
        sqlc.narg('dpop_bound_access_tokens')::boolean, sqlc.narg('tls_client_certificate_bound_access_tokens')::boolean,
        sqlc.narg('tls_client_auth_subject_dn')::text, sqlc.narg('tls_client_auth_san_dns')::text,
        sqlc.narg('tls_client_auth_san_uri')::text, sqlc.narg('tls_client_auth_san_ip')::text,
        sqlc.narg('tls_client_auth_san_email')::text, sqlc.narg('backchannel_logout_uri')::text,
        sqlc.narg('backchannel_logout_session_required')::boolean, sqlc.narg('metadata')::jsonb, sqlc.narg('authorization_details_types')::text[]
    FROM judged AS j
    WHERE j.refused IS NULL
    ON CONFLICT (client_id) DO UPDATE
    SET
        document_uri = excluded.document_uri,
        document_etag = excluded.document_etag,
        document_fetched_at = excluded.document_fetched_at,
        document_fresh_until = excluded.document_fresh_until,
        document_changes = document_changes(c, excluded),
        consents_epoch = c.consents_epoch
            + EXISTS (SELECT FROM unnest(document_changes(c, excluded)) AS k (field) WHERE is_shown(k.field))::integer,
        public = excluded.public,
        token_endpoint_auth_method = excluded.token_endpoint_auth_method,
        sector_identifier = coalesce(c.sector_identifier, excluded.sector_identifier),
        name = excluded.name,
        uri = excluded.uri,
        icon = excluded.icon,
        contacts = excluded.contacts,
        tos = excluded.tos,
        policy = excluded.policy,
        software_id = excluded.software_id,
        software_version = excluded.software_version,
        software_statement = excluded.software_statement,
        redirect_uris = excluded.redirect_uris,
        post_logout_redirect_uris = excluded.post_logout_redirect_uris,
        grant_types = excluded.grant_types,
        response_types = excluded.response_types,
        scopes = excluded.scopes,
        jwks = excluded.jwks,
        jwks_uri = excluded.jwks_uri,
        application_type = excluded.application_type,
        subject_type = excluded.subject_type,
        default_max_age = excluded.default_max_age,
        require_pushed_authorization_requests = excluded.require_pushed_authorization_requests,
        dpop_bound_access_tokens = excluded.dpop_bound_access_tokens,
        tls_client_certificate_bound_access_tokens = excluded.tls_client_certificate_bound_access_tokens,
        tls_client_auth_subject_dn = excluded.tls_client_auth_subject_dn,
        tls_client_auth_san_dns = excluded.tls_client_auth_san_dns,
        tls_client_auth_san_uri = excluded.tls_client_auth_san_uri,
        tls_client_auth_san_ip = excluded.tls_client_auth_san_ip,
        tls_client_auth_san_email = excluded.tls_client_auth_san_email,
        backchannel_logout_uri = excluded.backchannel_logout_uri,
        backchannel_logout_session_required = excluded.backchannel_logout_session_required,
        metadata = excluded.metadata,
        authorization_details_types = excluded.authorization_details_types,
        updated_at = now()
    WHERE c.document_fetched_at < excluded.document_fetched_at AND c.deleted_at IS NULL
      AND NOT leaves_sector(c, NULL, excluded.subject_type, excluded.redirect_uris, excluded.grant_types)
    RETURNING c.document_changes IS NULL AS is_new, c.disabled, c.document_changes, c.document_fresh_until
), unchanged AS MATERIALIZED (
    SELECT u.verdict, u.changes, u.is_disabled, u.fresh_until
    FROM judged AS j
    CROSS JOIN judge_client_document(j.client_id, j.fetched_at, 'invalid_client_metadata') AS u (verdict, changes, is_disabled, fresh_until)
    WHERE j.refused IS NULL AND NOT EXISTS (SELECT FROM put)
), answer AS (
    SELECT (CASE
            WHEN j.refused IS NOT NULL THEN j.refused
            WHEN p.is_new THEN 'inserted'
            WHEN cardinality(p.document_changes) > 0 THEN 'changed'
            WHEN p.is_new IS NOT NULL THEN 'fresh'
            ELSE u.verdict
        END)::outcome AS outcome,
        coalesce(p.document_changes, u.changes, '{}')::text[] AS changes,
        coalesce(p.disabled, u.is_disabled, false)::boolean AS is_disabled,
        coalesce(p.document_fresh_until, u.fresh_until)::timestamptz AS fresh_until
    FROM judged AS j
    LEFT JOIN put AS p ON true
    LEFT JOIN unchanged AS u ON true
)
SELECT w.outcome::outcome AS outcome, w.changes::text[] AS changes,
    ARRAY(
        SELECT k.field::text
        FROM unnest(w.changes) AS k (field)
        WHERE is_shown(k.field)
    )::text[] AS consent_changes,
    w.is_disabled::boolean AS is_disabled, w.fresh_until
FROM (VALUES (true)) AS one (n)
LEFT JOIN answer AS w ON true;

-- RefreshClientDocument records that a client's metadata document was asked for again and is the one stored: the answer to a request with
-- document_etag was 304 (RFC 9110, section 15.4.5). It need not be fetched again for fresh_for.
--   - fresh: the document is fresh again
--   - retried: the fetch of this instant is stored already
--   - stale: a later fetch, or a document with another ETag, is stored; nothing changes
--   - taken: the client_id is that of a client without a document; nothing changes
--   - revoked: the client is deleted; nothing changes
--   - unknown: there is no such client
-- name: RefreshClientDocument :one
WITH refreshed AS (
    UPDATE oauth_client AS c
    SET document_fetched_at = least(@fetched_at::timestamptz, now()), document_fresh_until = deadline(@fresh_for::interval, NULL, 'FreshFor'),
        updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
      AND c.document_fetched_at < least(@fetched_at::timestamptz, now()) AND c.document_etag = @document_etag::text
    RETURNING c.disabled, c.document_fresh_until
), answer AS (
    SELECT 'fresh'::outcome AS outcome, r.disabled AS is_disabled, r.document_fresh_until AS fresh_until
    FROM refreshed AS r
    UNION ALL
    SELECT u.verdict, u.is_disabled, u.fresh_until
    FROM judge_client_document(@client_id::client_id, least(@fetched_at::timestamptz, now())::timestamptz, 'stale') AS u (verdict, changes, is_disabled, fresh_until)
    WHERE NOT EXISTS (SELECT FROM refreshed)
)
SELECT coalesce(w.outcome, 'unknown')::outcome AS outcome, coalesce(w.is_disabled, false)::boolean AS is_disabled, w.fresh_until
FROM (VALUES (true)) AS one (n)
LEFT JOIN answer AS w ON true;

-- FindStaleClients returns a page of the clients whose metadata document has to be fetched again, the longest overdue first. Disabled
-- clients are left out. Begin with the zero time and the empty id; for the next page pass document_fresh_until and id of the last row.
-- name: FindStaleClients :many
SELECT c.id, c.client_id, c.document_uri, c.document_etag, c.document_fetched_at, c.document_fresh_until
FROM oauth_client AS c
WHERE c.document_fresh_until <= now() AND (c.document_fresh_until, c.id) > (@after_fresh_until::timestamptz, @after_id::oauth_client_id)
  AND NOT c.disabled
ORDER BY c.document_fresh_until, c.id
LIMIT @page_size::integer;

-- RotateClientSecret gives a client a new secret. client_secret is its digest. The secret lasts for lifetime (store.Never: without end). The
-- replaced secret counts for another overlap, but not past its own expiry; an overlap of 0 refuses it at once. Secrets that were replaced
-- earlier count for as long as they were promised to. A secret that is known only as foreign_secret_hash is refused at once.
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
), rotated AS MATERIALIZED (
    SELECT store_client_secret(k.id, @client_secret::token_digest, expiry(now(), @lifetime::interval, NULL, 'Lifetime')) AS client
    FROM client AS k
    WHERE k.outcome = 'rotated'
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
SELECT noted(coalesce(k.outcome, 'unknown')::outcome, 'RotateClientSecret', of_client => @client_id::client_id)::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN client AS k ON true
LEFT JOIN rotated AS r ON true;

-- ReplaceForeignSecretHash puts the digest of a client's secret in the place of the hash that another server made of it. The caller has
-- checked the secret against foreign_secret_hash, as GetClient gave it, which takes long; the call changes nothing if another secret or hash
-- has been stored since.
--   - replaced: the digest is stored and the hash is gone; the caller is the client
--   - retried: the digest had been stored before; the caller is the client
--   - mismatched: another hash or secret stands there; authenticate again
--   - expired: the secret has expired; nothing changes (invalid_client)
--   - disabled: the client is disabled; nothing changes (invalid_client)
--   - unknown: there is no such client
-- name: ReplaceForeignSecretHash :one
WITH client AS MATERIALIZED (
    SELECT c.id, c.client_secret_expires_at,
        (
            CASE
                WHEN (c.foreign_secret_hash = @foreign_secret_hash::text OR c.client_secret = @client_secret::token_digest) IS NOT TRUE THEN 'mismatched'
                WHEN c.client_secret_expires_at <= now() THEN 'expired'
                WHEN c.disabled THEN 'disabled'
                WHEN c.client_secret IS NULL THEN 'replaced'
                ELSE 'retried'
            END
        )::outcome AS outcome
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    FOR NO KEY UPDATE
), replaced AS MATERIALIZED (
    SELECT store_client_secret(k.id, @client_secret::token_digest, k.client_secret_expires_at) AS client
    FROM client AS k
    WHERE k.outcome = 'replaced'
)
SELECT coalesce(k.outcome, 'unknown')::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN client AS k ON true
LEFT JOIN replaced AS r ON true;

-- SetRegistrationAccessToken replaces the token that manages a client's registration (RFC 7592, section 3). NULL removes it.
--   - updated: the token is replaced or removed
--   - unknown: there is no such client
-- name: SetRegistrationAccessToken :one
WITH updated AS (
    UPDATE oauth_client AS c
    SET registration_access_token = sqlc.narg('registration_access_token')::token_digest, previous_registration_access_token = NULL,
        updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    RETURNING c.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM updated) THEN 'updated' ELSE 'unknown' END)::outcome, 'SetRegistrationAccessToken',
        of_client => @client_id::client_id
    )::outcome AS outcome;

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
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM disabled) THEN 'ended' ELSE 'unknown' END)::outcome, 'DisableClient', of_client => @client_id::client_id
    )::outcome AS outcome;

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
SELECT noted(
        (CASE WHEN e.disabled IS NULL THEN 'unknown' WHEN e.disabled THEN 'disabled' ELSE 'enabled' END)::outcome, 'EnableClient',
        of_client => @client_id::client_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN enabled AS e ON true;

-- DeleteClient deletes a client. It is disabled, everything that was granted to it is dead at once and for good, and its secrets and
-- personal data are blanked. It is told of no sign-out any more. The collector erases the rest; after that the client_id can be used again.
--   - deleted: the client is deleted
--   - unknown: there is no such client
-- name: DeleteClient :one
SELECT noted(
        (CASE WHEN delete_client(@client_id::client_id, false, NULL) THEN 'deleted' ELSE settled('unknown') END)::outcome, 'DeleteClient',
        of_client => @client_id::client_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n);

-- MarkUnusedClients deletes clients that nobody has used for unused_for, as DeleteClient does.
-- A client is used while there is anything that it has asked for or was granted: a request, a family, a token, a session that it knows, or a
-- consent younger than unused_for. The call writes down since when it has found nothing (unused_since), and deletes only once that is
-- unused_for ago, so never by age alone. What a client uses leaves a trace for retention, the one that DeleteEndedAuthorizations is called
-- with. If the call has not looked at a client for longer than that, its time begins anew, so call it more often. With a retention of 0
-- nothing is deleted.
-- Only clients that were registered dynamically (RFC 7591), and so have a registration_access_token, and those of a metadata document are
-- looked at; with any_client all are.
-- A client with the grant type client_credentials or token exchange never is, because its tokens leave no trace; nor is a disabled client,
-- which could register anew.
-- It looks at page_size clients in the order of their ids, those after after_id; begin with the empty id and go on with last_id, which is
-- NULL when no client is left. It skips rows that are locked, among them each client to which something is being granted.
-- name: MarkUnusedClients :one
WITH bounds AS MATERIALIZED (
    SELECT now() - (deadline(@unused_for::interval, NULL, 'UnusedFor') - now()) AS unused_before, @retention::interval AS retention
), page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid
    FROM oauth_client AS p
    WHERE p.id > @after_id::oauth_client_id
    ORDER BY p.id
    LIMIT @page_size::integer
), locked AS MATERIALIZED (
    -- those of which something has to be written; who was looked at lately is left until its time is over
    SELECT c.id, c.client_id, c.unused_since, b.unused_before, c.unused_checked_at > now() - b.retention AS is_watched
    FROM bounds AS b
    CROSS JOIN oauth_client AS c
    WHERE c.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
      AND NOT c.disabled -- nor deleted
      AND (@any_client::boolean OR c.registration_access_token IS NOT NULL OR c.document_fetched_at IS NOT NULL)
      AND NOT coalesce(c.grant_types, '{}') && ARRAY['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange']
      AND (c.unused_since IS NULL OR c.unused_since <= b.unused_before OR c.unused_checked_at <= now() - b.retention / 2)
      AND (c.unused_since IS NOT NULL OR NOT client_is_used(c.client_id, b.unused_before))
    FOR UPDATE OF c SKIP LOCKED
), judged AS MATERIALIZED (
    SELECT l.id, l.client_id, l.unused_before,
        CASE WHEN client_is_used(l.client_id, l.unused_before) THEN NULL WHEN l.is_watched THEN l.unused_since ELSE now() END AS unused_since
    FROM locked AS l
), deleted AS MATERIALIZED (
    SELECT j.id
    FROM judged AS j
    WHERE j.unused_since <= j.unused_before AND delete_client(j.client_id, false, NULL)
), marked AS (
    UPDATE oauth_client AS c
    SET unused_since = j.unused_since, unused_checked_at = CASE WHEN j.unused_since IS NOT NULL THEN now() END, updated_at = now()
    FROM judged AS j
    WHERE c.id = j.id AND (j.unused_since <= j.unused_before) IS NOT TRUE
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

-- EraseDeletedClients deletes what is left of deleted clients. It looks at up to batch_size of them in the order of their deletion. One call
-- deletes up to batch_size access tokens, consents, secrets and rows of session_client each, and the clients to which nothing refers any
-- more, so nothing cascades. Families and refresh tokens are left to the calls that collect those. Begin with the zero time as
-- after_deleted_at. If the call erased anything, stay with after_deleted_at, or go on with erased_until where it isn't NULL: all clients until
-- then are gone. If it erased nothing, go on with last_deleted_at, which is NULL when no client is left. It skips rows that are locked.
-- name: EraseDeletedClients :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.client_id, p.deleted_at
    FROM oauth_client AS p
    WHERE p.deleted_at IS NOT NULL AND p.deleted_at > @after_deleted_at::timestamptz
    ORDER BY p.deleted_at
    LIMIT @batch_size::integer
), access_tokens AS MATERIALIZED (
    -- BETWEEN, because the planner ignores an ORDER BY on a column compared with =, and would then read all tokens of the client
    SELECT t.ctid::tid AS ctid
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT x.ctid::tid AS ctid
        FROM oauth_access_token AS x
        WHERE x.client_id BETWEEN p.client_id AND p.client_id
        ORDER BY x.client_id
        LIMIT @batch_size::integer
        FOR UPDATE SKIP LOCKED
    ) AS t
    LIMIT @batch_size::integer
), deleted_access_tokens AS (
    DELETE FROM oauth_access_token AS t
    WHERE t.ctid = ANY (ARRAY(SELECT x.ctid FROM access_tokens AS x))
    RETURNING t.id
), consents AS MATERIALIZED (
    -- ordered as an index is, or the planner would read all consents of the client
    SELECT g.ctid::tid AS ctid
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT x.ctid::tid AS ctid
        FROM oauth_consent AS x
        WHERE x.client_id = p.client_id
        ORDER BY x.user_id
        LIMIT @batch_size::integer
        FOR UPDATE SKIP LOCKED
    ) AS g
    LIMIT @batch_size::integer
), deleted_consents AS (
    DELETE FROM oauth_consent AS g
    WHERE g.ctid = ANY (ARRAY(SELECT x.ctid FROM consents AS x))
    RETURNING g.id
), secrets AS MATERIALIZED (
    SELECT o.ctid::tid AS ctid
    FROM page AS p
    JOIN oauth_client_secret AS o ON o.client_id = p.client_id
    LIMIT @batch_size::integer
    FOR UPDATE OF o SKIP LOCKED
), deleted_secrets AS (
    DELETE FROM oauth_client_secret AS o
    WHERE o.ctid = ANY (ARRAY(SELECT x.ctid FROM secrets AS x))
    RETURNING o.id
), session_clients AS MATERIALIZED (
    SELECT k.ctid::tid AS ctid
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT x.ctid::tid AS ctid
        FROM session_client AS x
        WHERE x.client_id = p.client_id
        ORDER BY x.id
        LIMIT @batch_size::integer
        FOR UPDATE SKIP LOCKED
    ) AS k
    LIMIT @batch_size::integer
), deleted_session_clients AS (
    DELETE FROM session_client AS k
    WHERE k.ctid = ANY (ARRAY(SELECT x.ctid FROM session_clients AS x))
    RETURNING k.id
), unused AS MATERIALIZED (
    SELECT c.ctid::tid AS ctid
    FROM page AS p
    JOIN oauth_client AS c ON c.id = p.id
    WHERE NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.client_id = c.client_id) -- nor a refresh token, which has a family
      AND NOT EXISTS (SELECT FROM oauth_consent AS g WHERE g.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM oauth_client_secret AS o WHERE o.client_id = c.client_id)
      AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.client_id = c.client_id)
    FOR UPDATE OF c SKIP LOCKED
), deleted_clients AS (
    DELETE FROM oauth_client AS c
    WHERE c.ctid = ANY (ARRAY(SELECT x.ctid FROM unused AS x))
    RETURNING c.id
), first_left AS ( -- the first that isn't gone; one that is deleted at the same time as the last of a full page may be behind it
    SELECT coalesce(
            min(p.deleted_at) FILTER (WHERE NOT EXISTS (SELECT FROM deleted_clients AS d WHERE d.id = p.id)),
            CASE WHEN count(*) >= @batch_size::integer THEN max(p.deleted_at) END,
            'infinity'
        )::timestamptz AS deleted_at
    FROM page AS p
), erased AS (
    SELECT max(p.deleted_at)::timestamptz AS deleted_at
    FROM page AS p
    JOIN first_left AS f ON p.deleted_at < f.deleted_at
), last_of_page AS (
    SELECT max(p.deleted_at)::timestamptz AS deleted_at
    FROM page AS p
)
SELECT (SELECT count(*) FROM deleted_clients)::bigint AS deleted,
    (SELECT count(*) FROM deleted_access_tokens)::bigint AS access_tokens,
    ((SELECT count(*) FROM deleted_consents) + (SELECT count(*) FROM deleted_secrets) + (SELECT count(*) FROM deleted_session_clients))::bigint AS cleared,
    e.deleted_at AS erased_until, l.deleted_at AS last_deleted_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN erased AS e ON true
LEFT JOIN last_of_page AS l ON true;
