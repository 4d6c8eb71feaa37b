-- CreateOneTimeCode stores the digest of a code that is sent to somebody, or of a challenge. It takes the place of an earlier one of the same
-- purpose and subject, which is wrong from then on. It doesn't refill the budget of guesses (RedeemOneTimeCode), and doesn't count how often
-- a code is sent (CountAttempt).
-- subject is the digest of whom the code is for (token.DigestOf), such as a user's id, an address in lower case, or a browser.
-- digest is the digest of the code. For a code that is short enough to be typed it has to be a keyed one (token.ShortCodeDigest), or whoever
-- reads the table could try all of them.
-- data is given back when the code is redeemed.
-- name: CreateOneTimeCode :one
INSERT INTO one_time_code AS c (purpose, subject, digest, expires_at, data)
VALUES (
    @purpose::text, @subject::token_digest, @digest::token_digest, deadline(@lifetime::interval, NULL, 'Lifetime'), sqlc.narg('data')::jsonb
)
ON CONFLICT (purpose, subject) DO UPDATE
SET digest = excluded.digest, expires_at = excluded.expires_at, data = excluded.data, created_at = now(), updated_at = now()
RETURNING c.*;

-- RedeemOneTimeCode accepts a code once. It counts the guess before it looks at it, so no more than max_attempts guesses are made in a window
-- of attempt_window, however many are made at once. The budget belongs to the purpose and the subject, not to a code: CountAttempt with the
-- same ones uses it too, and a new code doesn't refill it. A right code does.
--   - accepted: the code was right, and is spent; data is what was stored with it
--   - mismatched: the code is another one, such as a later one; attempts_left says how many guesses may follow
--   - exhausted: there were too many guesses, so this one wasn't looked at; the next one is allowed at resets_at
--   - expired: the code has expired; the guess isn't counted
--   - unknown: there is no code, or it was redeemed; the guess isn't counted
-- Run this call on the pool: a transaction that is rolled back would forget the guess.
-- name: RedeemOneTimeCode :one
WITH present AS MATERIALIZED (
    -- locked, so that guesses are judged one after the other
    SELECT c.id, c.purpose, c.subject, c.data, c.expires_at <= now() AS is_over, c.digest = @digest::token_digest AS is_right
    FROM one_time_code AS c
    WHERE c.purpose = @purpose::text AND c.subject = @subject::token_digest
    FOR UPDATE
), guess AS MATERIALIZED (
    SELECT p.id, p.data, n.attempts_left::bigint AS attempts_left, n.resets_at::timestamptz AS resets_at,
        (CASE WHEN NOT n.is_allowed THEN 'exhausted' WHEN p.is_right THEN 'accepted' ELSE 'mismatched' END)::outcome AS outcome
    FROM present AS p
    CROSS JOIN LATERAL count_attempt(p.purpose, p.subject, @max_attempts::integer, @attempt_window::interval, p.is_right)
        AS n (is_allowed, attempts_left, resets_at)
    WHERE NOT p.is_over
), spent AS (
    DELETE FROM one_time_code AS c
    USING guess AS g
    WHERE c.id = g.id AND g.outcome = 'accepted'
    RETURNING c.id
)
SELECT coalesce(CASE WHEN p.is_over THEN 'expired' ELSE g.outcome END, 'unknown')::outcome AS outcome,
    (CASE WHEN g.outcome = 'accepted' THEN g.data END)::jsonb AS data, coalesce(g.attempts_left, 0)::bigint AS attempts_left, g.resets_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN present AS p ON true
LEFT JOIN guess AS g ON true;

-- DeleteExpiredOneTimeCodes deletes codes that have expired: of those that did at after_expires_at or later, the batch_size first. Begin with
-- the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredOneTimeCodes :one
WITH due AS MATERIALIZED (
    SELECT c.ctid::tid AS ctid, c.expires_at
    FROM one_time_code AS c
    WHERE c.expires_at >= @after_expires_at::timestamptz AND c.expires_at <= now()
    ORDER BY c.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM one_time_code AS c
    WHERE c.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING c.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
