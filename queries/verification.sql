-- DeleteExpiredVerifications deletes values that have expired: of those that did at after_expires_at or later, the batch_size first. Begin
-- with the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredVerifications :one
WITH due AS MATERIALIZED (
    SELECT v.ctid::tid AS ctid, v.expires_at
    FROM verification AS v
    WHERE v.expires_at >= @after_expires_at::timestamptz AND v.expires_at <= now()
    ORDER BY v.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM verification AS v
    WHERE v.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING v.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
