-- DeleteExpiredDeviceCodes deletes up to batch_size requests of a better-auth server's devices that have expired, and returns how many.
-- name: DeleteExpiredDeviceCodes :execrows
WITH due AS MATERIALIZED (
    SELECT d.id
    FROM device_code AS d
    WHERE d.expires_at <= now()
    ORDER BY d.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM device_code AS d
WHERE d.id = ANY (ARRAY(SELECT x.id::text FROM due AS x));
