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

-- DeleteExpiredClientAssertions deletes up to batch_size assertions that have expired, and returns how many.
-- name: DeleteExpiredClientAssertions :execrows
WITH due AS MATERIALIZED (
    SELECT t.id
    FROM oauth_client_assertion AS t
    WHERE t.expires_at <= now()
    ORDER BY t.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM oauth_client_assertion AS t
WHERE t.id = ANY (ARRAY(SELECT d.id::text FROM due AS d));
