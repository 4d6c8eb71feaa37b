-- CountAttempt counts an attempt before it is made: a guess at a password, say, or a message that is sent. No more than max_attempts are
-- allowed in a window of attempt_window, however many are made at once. The window begins with the first attempt; an attempt that is refused
-- doesn't prolong it.
-- subject is the digest of whom it is counted for (token.DigestOf), such as a user's id, an address or a network. What can be written in
-- several ways is digested in one of them: an e-mail address in lower case.
--   - counted: the attempt may be made; attempts_left says how many may follow
--   - exhausted: there were too many attempts; the next one is allowed at resets_at (429, with Retry-After)
-- Run this call on the pool: a transaction that is rolled back would forget the attempt.
-- name: CountAttempt :one
SELECT (CASE WHEN n.is_allowed THEN 'counted' ELSE 'exhausted' END)::outcome AS outcome, n.attempts_left::bigint AS attempts_left,
    n.resets_at::timestamptz AS resets_at
FROM (VALUES (true)) AS one (n)
CROSS JOIN count_attempt(@purpose::text, @subject::token_digest, @max_attempts::integer, @attempt_window::interval, false)
    AS n (is_allowed, attempts_left, resets_at);

-- ResetAttempts forgets the attempts that were counted, once one of them has been right. Do it for a subject that the right one proves, such
-- as the account, and never for a network, from which somebody may guess at others.
--   - deleted: nothing is counted any more
--   - unknown: nothing had been counted
-- name: ResetAttempts :one
WITH deleted AS (
    DELETE FROM attempt_count AS n
    WHERE n.purpose = @purpose::text AND n.subject = @subject::token_digest
    RETURNING n.id
)
SELECT (CASE WHEN EXISTS (SELECT FROM deleted) THEN 'deleted' ELSE 'unknown' END)::outcome AS outcome
FROM (VALUES (true)) AS one (n);

-- DeleteExpiredAttemptCounts deletes counts whose window has ended: of those that did at after_resets_at or later, the batch_size first. Begin
-- with the zero time, and go on with last_resets_at until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredAttemptCounts :one
WITH due AS MATERIALIZED (
    SELECT n.ctid::tid AS ctid, n.resets_at
    FROM attempt_count AS n
    WHERE n.resets_at >= @after_resets_at::timestamptz AND n.resets_at <= now()
    ORDER BY n.resets_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM attempt_count AS n
    WHERE n.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING n.id
), last AS (
    SELECT d.resets_at
    FROM due AS d
    ORDER BY d.resets_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.resets_at AS last_resets_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
