-- CreateInitialAccessToken creates an initial access token (RFC 7591, section 3), with which max_uses clients may be registered, at least
-- one. token is its digest. It lasts for lifetime (store.Never: without end). A reference_id names the tenant that owns those clients.
-- name: CreateInitialAccessToken :one
INSERT INTO oauth_initial_access_token (id, token, label, reference_id, max_uses, expires_at)
VALUES (
    @id::initial_access_token_id, @token::token_digest, sqlc.narg('label')::text, sqlc.narg('reference_id')::reference_id,
    (CASE WHEN @max_uses::bigint >= 1 THEN @max_uses::bigint ELSE refuse_parameter('MaxUses', 'is missing or under 1')::bigint END),
    expiry(now(), @lifetime::interval, NULL, 'Lifetime')
)
RETURNING *;

-- GetInitialAccessToken returns an initial access token, even one that can't be used any more. Zero rows: there is none.
-- name: GetInitialAccessToken :one
SELECT t.*
FROM oauth_initial_access_token AS t
WHERE t.id = @id::initial_access_token_id;

-- ListInitialAccessTokens returns a page of the initial access tokens, oldest first. Begin with the zero time and the empty id; for the next
-- page pass created_at and id of the last row.
-- name: ListInitialAccessTokens :many
SELECT t.*
FROM oauth_initial_access_token AS t
WHERE (t.created_at, t.id) > (@after_created_at::timestamptz, @after_id::initial_access_token_id)
ORDER BY t.created_at, t.id
LIMIT @page_size::integer;

-- RevokeInitialAccessToken ends an initial access token. The clients that were registered with it stay.
--   - ended: the token is revoked
--   - revoked: it had been revoked before, or has expired and is being deleted
--   - unknown: there is no such token
-- name: RevokeInitialAccessToken :one
WITH revoked AS (
    UPDATE oauth_initial_access_token AS t
    SET revoked_at = now(), expires_at = least(t.expires_at, now()), updated_at = now()
    WHERE t.id = @id::initial_access_token_id AND t.revoked_at IS NULL
    RETURNING t.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM revoked) THEN 'ended' WHEN t.id IS NOT NULL THEN settled('revoked') ELSE 'unknown' END)::outcome,
        'RevokeInitialAccessToken', of_item => @id::initial_access_token_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN oauth_initial_access_token AS t ON t.id = @id::initial_access_token_id;

-- DeleteExpiredInitialAccessTokens deletes initial access tokens that expired or were revoked more than retention ago: of those that did at
-- after_expires_at or later, the batch_size first. Begin with the zero time, and go on with last_expires_at until fewer are deleted. It skips
-- rows that are locked.
-- name: DeleteExpiredInitialAccessTokens :one
WITH due AS MATERIALIZED (
    SELECT t.ctid::tid AS ctid, t.expires_at
    FROM oauth_initial_access_token AS t
    WHERE t.expires_at >= @after_expires_at::timestamptz AND t.expires_at <= now() - @retention::interval AND t.expires_at <= now()
    ORDER BY t.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_initial_access_token AS t
    WHERE t.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING t.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
