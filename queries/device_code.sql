-- DeleteExpiredDeviceCodes deletes requests of a better-auth server's devices that have expired: of those that did at after_expires_at or
-- later, the batch_size first. Begin with the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are
-- locked.
-- name: DeleteExpiredDeviceCodes :one
WITH due AS MATERIALIZED (
    SELECT d.ctid::tid AS ctid, d.expires_at
    FROM device_code AS d
    WHERE d.expires_at >= @after_expires_at::timestamptz AND d.expires_at <= now()
    ORDER BY d.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM device_code AS d
    WHERE d.ctid = ANY (ARRAY(SELECT x.ctid FROM due AS x))
    RETURNING d.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
