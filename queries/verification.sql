-- DeleteExpiredVerifications deletes up to batch_size values that have expired, and returns how many.
-- name: DeleteExpiredVerifications :execrows
WITH due AS MATERIALIZED (
    SELECT v.id
    FROM verification AS v
    WHERE v.expires_at <= now()
    ORDER BY v.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM verification AS v
WHERE v.id = ANY (ARRAY(SELECT d.id::text FROM due AS d));
