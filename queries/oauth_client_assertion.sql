-- RememberClientAssertion records that a client assertion was presented (RFC 7523, section 3, item 7).
-- id is the digest of the client and the jti (token.AssertionID).
-- expires_at is the assertion's exp, in seconds since 1970 (RFC 7519, section 4.1.4). It is accepted, and remembered, until clock_skew later.
-- max_lifetime bounds how far from now exp may be.
-- client_id and ip_address are for the security event (ListSecurityEvents); without them it names nobody.
--   - remembered: the assertion had not been presented before
--   - proof_replayed: the assertion had been presented before (invalid_client)
--   - expired: the assertion has expired (invalid_client)
--   - too_far: exp is further away than max_lifetime (invalid_client; RFC 7523, section 3, item 4)
-- Run this call on the pool: a transaction that is rolled back would forget the assertion.
-- name: RememberClientAssertion :one
WITH assertion AS MATERIALIZED (
    SELECT coalesce(judge_assertion_time(@expires_at::bigint, @clock_skew::interval, @max_lifetime::interval, NULL), 'remembered')::outcome AS outcome
), remembered AS (
    INSERT INTO oauth_client_assertion (id, expires_at)
    SELECT @id::token_digest, assertion_ends_at(@expires_at::bigint, @clock_skew::interval)
    FROM assertion AS a
    WHERE a.outcome = 'remembered'
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT noted(
        (CASE WHEN a.outcome = 'remembered' AND NOT EXISTS (SELECT FROM remembered) THEN 'proof_replayed' ELSE a.outcome END)::outcome,
        'RememberClientAssertion', of_client => sqlc.narg('client_id')::client_id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome
FROM assertion AS a;

-- DeleteExpiredClientAssertions deletes assertions that have expired: of those that did at after_expires_at or later, the batch_size first.
-- Begin with the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredClientAssertions :one
WITH due AS MATERIALIZED (
    SELECT t.ctid::tid AS ctid, t.expires_at
    FROM oauth_client_assertion AS t
    WHERE t.expires_at >= @after_expires_at::timestamptz AND t.expires_at <= now()
    ORDER BY t.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_client_assertion AS t
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
