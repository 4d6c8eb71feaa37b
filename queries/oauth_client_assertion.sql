-- RememberClientAssertion notes that a client assertion has been presented (RFC 7523, section 3, item 7). fresh: it had not
-- been before; replayed: it had, refuse it. The id is the digest of client and jti (token.AssertionID). expires_at is the
-- assertion's own exp, which the server has checked, plus the clock skew that the server allows.
-- name: RememberClientAssertion :one
WITH remembered AS (
    INSERT INTO oauth_client_assertion (id, expires_at)
    VALUES (@id::token_digest, @expires_at::timestamptz)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT (CASE WHEN EXISTS (SELECT FROM remembered) THEN 'fresh' ELSE 'replayed' END)::assertion_outcome AS outcome;

-- DeleteExpiredClientAssertions collects at most batch_size assertions that have expired by themselves, and says how many.
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
