-- ListClientSecrets lists the secrets of a client that were rotated out and still count, the one that lasts longest first.
-- name: ListClientSecrets :many
SELECT o.*
FROM oauth_client_secret AS o
WHERE o.client_id = @client_id::client_id AND o.expires_at > now()
ORDER BY o.expires_at DESC, o.id;

-- DeleteExpiredClientSecrets deletes up to batch_size secrets that no longer count, and returns how many.
-- name: DeleteExpiredClientSecrets :execrows
WITH due AS MATERIALIZED (
    SELECT o.id
    FROM oauth_client_secret AS o
    WHERE o.expires_at <= now()
    ORDER BY o.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM oauth_client_secret AS o
WHERE o.id = ANY (ARRAY(SELECT d.id::text FROM due AS d));
