-- CreateClient registers a client (RFC 7591, section 2; the columns' comments name the metadata that each holds). A taken
-- client_id violates oauth_client_client_id_uidx; a client that redirects and has no redirect URI violates
-- oauth_client_redirect_uris_where_redirected.
-- name: CreateClient :one
INSERT INTO oauth_client (
    id, client_id, client_secret, skip_consent, enable_end_session, scopes, user_id, name, uri, icon, contacts, tos,
    policy, software_id, software_version, software_statement, redirect_uris, post_logout_redirect_uris,
    token_endpoint_auth_method, grant_types, response_types, public, type, reference_id, metadata, subject_type,
    require_pkce, jwks, jwks_uri, application_type, client_secret_expires_at, registration_access_token
)
VALUES (
    @id::oauth_client_id, @client_id::client_id, sqlc.narg('client_secret')::token_digest,
    sqlc.narg('skip_consent')::boolean, sqlc.narg('enable_end_session')::boolean, sqlc.narg('scopes')::text[],
    sqlc.narg('user_id')::user_id, sqlc.narg('name')::text, sqlc.narg('uri')::text, sqlc.narg('icon')::text,
    sqlc.narg('contacts')::text[], sqlc.narg('tos')::text, sqlc.narg('policy')::text, sqlc.narg('software_id')::text,
    sqlc.narg('software_version')::text, sqlc.narg('software_statement')::text, @redirect_uris::text[],
    sqlc.narg('post_logout_redirect_uris')::text[], sqlc.narg('token_endpoint_auth_method')::text,
    sqlc.narg('grant_types')::text[], sqlc.narg('response_types')::text[], sqlc.narg('public')::boolean,
    sqlc.narg('type')::text, sqlc.narg('reference_id')::reference_id, sqlc.narg('metadata')::jsonb,
    sqlc.narg('subject_type')::text, sqlc.narg('require_pkce')::boolean, sqlc.narg('jwks')::jsonb,
    sqlc.narg('jwks_uri')::text, sqlc.narg('application_type')::text,
    sqlc.narg('client_secret_expires_at')::timestamptz, sqlc.narg('registration_access_token')::token_digest
)
RETURNING *;

-- GetClient returns the client that a public client_id names, disabled or not; zero rows: no such client.
-- name: GetClient :one
SELECT c.*
FROM oauth_client AS c
WHERE c.client_id = @client_id::client_id;

-- GetClientByID returns a client by its primary key, disabled or not; zero rows: no such client.
-- name: GetClientByID :one
SELECT c.*
FROM oauth_client AS c
WHERE c.id = @id::oauth_client_id;

-- AuthenticateClient returns the client that a public client_id names and whether a secret, by its digest, is one of its:
-- the present one before client_secret_expires_at, or the one before the last rotation while that is still accepted
-- (RFC 6749, section 2.3.1). A client that has no secret, or is disabled, is never authenticated. Zero rows: no such client.
-- name: AuthenticateClient :one
SELECT sqlc.embed(c),
    (
        NOT c.disabled
        AND coalesce(
            (
                c.client_secret = @client_secret::token_digest
                AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now())
            )
            OR (
                c.previous_client_secret = @client_secret::token_digest
                AND c.previous_client_secret_expires_at > now()
            ),
            false
        )
    )::boolean AS authenticated
FROM oauth_client AS c
WHERE c.client_id = @client_id::client_id;

-- GetClientByRegistrationToken returns the client whose registration a registration access token, by its digest, manages
-- (RFC 7592, section 2); zero rows: the token is not this client's.
-- name: GetClientByRegistrationToken :one
SELECT c.*
FROM oauth_client AS c
WHERE c.client_id = @client_id::client_id AND c.registration_access_token = @registration_access_token::token_digest;

-- ListClients is a page of all clients, oldest first. The first page starts after the zero time and the empty id, the next
-- after the last row of the one before.
-- name: ListClients :many
SELECT c.*
FROM oauth_client AS c
WHERE (c.created_at, c.id) > (@after_created_at::timestamptz, @after_id::oauth_client_id)
ORDER BY c.created_at, c.id
LIMIT @page_size::integer;

-- ListClientsByUser is a page of the clients that a user owns, in the order of ListClients.
-- name: ListClientsByUser :many
SELECT c.*
FROM oauth_client AS c
WHERE c.user_id = @user_id::user_id
  AND (c.created_at, c.id) > (@after_created_at::timestamptz, @after_id::oauth_client_id)
ORDER BY c.created_at, c.id
LIMIT @page_size::integer;

-- ListClientsByReference is a page of the clients that a tenant owns, in the order of ListClients.
-- name: ListClientsByReference :many
SELECT c.*
FROM oauth_client AS c
WHERE c.reference_id = @reference_id::reference_id
  AND (c.created_at, c.id) > (@after_created_at::timestamptz, @after_id::oauth_client_id)
ORDER BY c.created_at, c.id
LIMIT @page_size::integer;

-- UpdateClient changes the given fields and leaves those that are nil; the columns named in cleared (OAuthClientField) are
-- set to NULL, and a name that is not one of them is an error. client_id and secrets are not changed here. Zero rows: no
-- such client.
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
    updated_at = now()
FROM (SELECT coalesce(@cleared::text[], ARRAY[]::text[])::oauth_client_field[]::text[] AS cleared) AS f
WHERE c.client_id = @client_id::client_id
RETURNING c.*;

-- RotateClientSecret gives a client a new secret, by its digest, and accepts the one before for overlap from now on, so that a
-- fleet can be changed over without an outage; an overlap of 0 refuses it at once. An overlap never outlives the
-- replaced secret's own expiry. A retry, with the secret that is the present one already, leaves the one before as it is. Zero
-- rows: no such client.
-- name: RotateClientSecret :one
UPDATE oauth_client AS c
SET client_secret = @client_secret::token_digest,
    client_secret_expires_at = now() + sqlc.narg('lifetime')::interval,
    previous_client_secret = CASE
        WHEN c.client_secret = @client_secret::token_digest THEN c.previous_client_secret
        ELSE c.client_secret
    END,
    previous_client_secret_expires_at = CASE
        WHEN c.client_secret = @client_secret::token_digest THEN c.previous_client_secret_expires_at
        WHEN c.client_secret IS NOT NULL THEN least(c.client_secret_expires_at, now() + @overlap::interval)
    END,
    updated_at = now()
WHERE c.client_id = @client_id::client_id
RETURNING c.*;

-- SetRegistrationAccessToken replaces the token that manages the registration (RFC 7592, section 3); NULL ends such management.
-- Zero rows: no such client.
-- name: SetRegistrationAccessToken :one
UPDATE oauth_client AS c
SET registration_access_token = sqlc.narg('registration_access_token')::token_digest, updated_at = now()
WHERE c.client_id = @client_id::client_id
RETURNING c.client_id::client_id AS client_id;

-- DisableClient suspends a client: from now on it is issued nothing and none of its tokens is live, until EnableClient. To
-- end the tokens for good, RevokeClientAuthorizations. Zero rows: no such client.
-- name: DisableClient :one
UPDATE oauth_client AS c
SET disabled = true, updated_at = now()
WHERE c.client_id = @client_id::client_id
RETURNING c.*;

-- EnableClient lifts DisableClient: what was live before and has neither expired nor been revoked is live again. Zero rows:
-- no such client.
-- name: EnableClient :one
UPDATE oauth_client AS c
SET disabled = false, updated_at = now()
WHERE c.client_id = @client_id::client_id
RETURNING c.*;

-- DeleteClient deletes a client and, by the schema's cascades, its consents, authorizations and tokens. Grants that run at the
-- same time either finish before and are deleted too, or find no client. Zero rows: no such client.
-- name: DeleteClient :one
WITH doomed AS MATERIALIZED (
    SELECT c.id, c.client_id
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
    FOR UPDATE
), parents AS MATERIALIZED (
    SELECT lock_grant_parents(NULL, ARRAY[d.client_id::text])::bigint AS locked
    FROM doomed AS d
), families AS MATERIALIZED (
    -- in the order in which every call locks families
    SELECT a.id
    FROM doomed AS d
    JOIN oauth_authorization AS a ON a.client_id = d.client_id
    WHERE (SELECT count(*) FROM parents) >= 0
    ORDER BY a.id
    FOR UPDATE OF a
), deleted AS (
    DELETE FROM oauth_client AS c
    USING doomed AS d
    WHERE c.id = d.id AND (SELECT count(*) FROM families) >= 0
    RETURNING c.client_id
)
SELECT d.client_id::client_id AS client_id, (SELECT count(*) FROM families)::bigint AS authorizations
FROM deleted AS d;
