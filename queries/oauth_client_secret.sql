-- ListClientSecrets lists the secrets of a client that were rotated out and still count, the one that lasts longest first.
-- name: ListClientSecrets :many
SELECT o.*
FROM oauth_client_secret AS o
WHERE o.client_id = @client_id::client_id AND o.expires_at > now()
ORDER BY o.expires_at DESC, o.id;

-- DeleteExpiredClientSecrets deletes secrets that no longer count: of those that expired at after_expires_at or later, the batch_size first.
-- Begin with the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredClientSecrets :one
WITH due AS MATERIALIZED (
    SELECT o.ctid::tid AS ctid, o.expires_at
    FROM oauth_client_secret AS o
    WHERE o.expires_at >= @after_expires_at::timestamptz AND o.expires_at <= now()
    ORDER BY o.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_client_secret AS o
    WHERE o.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING o.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
