-- CreateTOTP stores the secret of an authenticator app (RFC 6238). secret is ciphertext: the caller encrypts it first. Store it once the
-- user has shown a first code, and pass the highest step that this code fits as last_step, so that it isn't accepted again. Without
-- algorithm, digits and period the code is the usual one: SHA1, 6 digits, 30 seconds.
--   - created: the secret is written
--   - unknown: there is no such user
--   - suspended: the user is suspended (access_denied)
--   - taken: the id belongs to another one, or the same call was made before; call again with a new one
-- name: CreateTOTP :one
WITH owner AS MATERIALIZED (
    SELECT u.id, coalesce(user_refusal(u), 'created')::outcome AS outcome
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR KEY SHARE
), created AS (
    INSERT INTO totp (id, user_id, name, secret, algorithm, digits, period, last_step)
    SELECT @id::totp_id, o.id, sqlc.narg('name')::text, coalesce(nullif(@secret::text, ''), refuse_parameter('Secret', 'is missing')),
        coalesce(sqlc.narg('algorithm')::text, 'SHA1'),
        coalesce(sqlc.narg('digits')::integer, 6), coalesce(sqlc.narg('period')::integer, 30), sqlc.narg('last_step')::bigint
    FROM owner AS o
    WHERE o.outcome = 'created'
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT noted(
        (CASE WHEN o.outcome IS NULL THEN 'unknown' WHEN o.outcome = 'created' AND n.id IS NULL THEN 'taken' ELSE o.outcome END)::outcome,
        'CreateTOTP', of_user => @user_id::user_id, of_item => @id::totp_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN owner AS o ON true
LEFT JOIN created AS n ON true;

-- ListUserTOTPs lists the authenticator apps of a user, oldest first.
-- name: ListUserTOTPs :many
SELECT o.*
FROM totp AS o
WHERE o.user_id = @user_id::user_id
ORDER BY o.created_at, o.id;

-- UseTOTP accepts a code of an authenticator app once (RFC 6238, section 5.2). The caller holds the secret, so it compares the code. Count
-- the attempt before, with CountAttempt.
-- steps are all time steps within the server's tolerance that the code fits, not only the first one: now and then a code fits two. A code
-- that fits a step which is spent is refused, even if it fits a later one too. The highest step is stored.
-- ip_address is for the security event (ListSecurityEvents).
--   - accepted: the code is spent, with all steps up to the highest that it fits
--   - spent: the code fits a step that is spent
--   - mismatched: the code fits no step: steps is empty
--   - unknown: the user has no such authenticator app, or is deleted
--   - suspended: the user is suspended (access_denied)
-- Run this call on the pool: a transaction that is rolled back would forget the step.
-- name: UseTOTP :one
WITH presented AS MATERIALIZED (
    SELECT o.id, f.highest,
        coalesce(
            user_refusal(u),
            CASE
                WHEN f.lowest IS NULL THEN 'mismatched'::outcome
                WHEN f.lowest <= o.last_step THEN 'spent'::outcome
                ELSE 'accepted'::outcome
            END
        )::outcome AS outcome
    FROM totp AS o
    JOIN "user" AS u ON u.id = o.user_id
    CROSS JOIN (SELECT min(s.step)::bigint AS lowest, max(s.step)::bigint AS highest FROM unnest(@steps::bigint[]) AS s (step)) AS f
    WHERE o.id = @id::totp_id AND o.user_id = @user_id::user_id
    FOR NO KEY UPDATE OF o
), used AS (
    UPDATE totp AS o
    SET last_step = x.highest, last_used_at = now(), updated_at = now()
    FROM presented AS x
    WHERE o.id = x.id AND x.outcome = 'accepted'
)
SELECT noted(
        coalesce(x.outcome, 'unknown')::outcome, 'UseTOTP', of_user => @user_id::user_id, of_item => x.id,
        from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS x ON true;

-- DeleteTOTP deletes an authenticator app of a user.
--   - deleted: the secret is gone
--   - unknown: the user has no such authenticator app
-- name: DeleteTOTP :one
WITH deleted AS (
    DELETE FROM totp AS o
    WHERE o.id = @id::totp_id AND o.user_id = @user_id::user_id
    RETURNING o.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM deleted) THEN 'deleted' ELSE settled('unknown') END)::outcome, 'DeleteTOTP', of_user => @user_id::user_id,
        of_item => @id::totp_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n);
