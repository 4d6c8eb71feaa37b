-- ReplaceRecoveryCodes gives a user new recovery codes. All earlier ones are gone, used or not.
-- digests are those of the new codes. A code is long and random, so that it can't be guessed or found from its digest.
--   - replaced: the codes are written; codes says how many
--   - unknown: there is no such user
--   - suspended: the user is suspended (access_denied)
-- name: ReplaceRecoveryCodes :one
WITH owner AS MATERIALIZED (
    -- calls for the same user run one after the other, so that the codes of only one are left
    SELECT u.id, user_refusal(u) AS refusal
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR NO KEY UPDATE
), replaced AS MATERIALIZED (
    SELECT replace_recovery_codes(o.id, @digests::digest_list) AS codes
    FROM owner AS o
    WHERE o.refusal IS NULL
)
SELECT noted(
        (CASE WHEN r.codes IS NOT NULL THEN 'replaced' ELSE coalesce(o.refusal, 'unknown') END)::outcome, 'ReplaceRecoveryCodes',
        of_user => @user_id::user_id
    )::outcome AS outcome,
    coalesce(r.codes, 0)::bigint AS codes
FROM (VALUES (true)) AS one (n)
LEFT JOIN owner AS o ON true
LEFT JOIN replaced AS r ON true;

-- ListUserRecoveryCodes lists the recovery codes of a user, used ones included.
-- name: ListUserRecoveryCodes :many
SELECT c.*
FROM recovery_code AS c
WHERE c.user_id = @user_id::user_id
ORDER BY c.created_at, c.id;

-- UseRecoveryCode accepts a recovery code once. Count the attempt before, with CountAttempt.
-- ip_address is for the security event (ListSecurityEvents).
--   - accepted: the code is spent; codes_left says how many are not
--   - spent: the code was used before
--   - unknown: the user has no such code, or is deleted
--   - suspended: the user is suspended (access_denied)
-- Run this call on the pool: a transaction that is rolled back would forget that the code was used.
-- name: UseRecoveryCode :one
WITH presented AS MATERIALIZED (
    SELECT c.id, coalesce(user_refusal(u), CASE WHEN c.used_at IS NULL THEN 'accepted'::outcome ELSE 'spent'::outcome END)::outcome AS outcome
    FROM recovery_code AS c
    JOIN "user" AS u ON u.id = c.user_id
    WHERE c.user_id = @user_id::user_id AND c.digest = @digest::token_digest
    FOR NO KEY UPDATE OF c
), used AS (
    UPDATE recovery_code AS c
    SET used_at = now(), updated_at = now()
    FROM presented AS x
    WHERE c.id = x.id AND x.outcome = 'accepted'
), unused AS (
    SELECT count(*)::bigint AS codes
    FROM recovery_code AS c
    WHERE c.user_id = @user_id::user_id AND c.used_at IS NULL AND c.digest IS DISTINCT FROM @digest::token_digest
)
SELECT noted(
        coalesce(x.outcome, 'unknown')::outcome, 'UseRecoveryCode', of_user => @user_id::user_id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    l.codes AS codes_left
FROM (VALUES (true)) AS one (n)
CROSS JOIN unused AS l
LEFT JOIN presented AS x ON true;

-- DeleteRecoveryCodes deletes all recovery codes of a user.
--   - deleted: the codes are gone
--   - unknown: the user had none
-- name: DeleteRecoveryCodes :one
WITH owner AS MATERIALIZED (
    -- as in ReplaceRecoveryCodes, so that what it has written meanwhile is deleted, too
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR NO KEY UPDATE
), deleted AS MATERIALIZED (
    SELECT delete_recovery_codes(o.id) AS codes
    FROM owner AS o
)
SELECT noted(
        (CASE WHEN d.codes > 0 THEN 'deleted' ELSE settled('unknown') END)::outcome, 'DeleteRecoveryCodes', of_user => @user_id::user_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN deleted AS d ON true;
