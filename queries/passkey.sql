-- CreatePasskey stores a passkey that a user has registered (WebAuthn Level 3, section 7.1). id is its credential ID. A sign_count of
-- nil means that none is known.
--   - created: the passkey is written
--   - unknown: there is no such user
--   - suspended: the user is suspended (access_denied)
--   - taken: the credential ID is registered already, for this or another user, or the same call was made before
-- name: CreatePasskey :one
WITH owner AS MATERIALIZED (
    SELECT u.id, coalesce(user_refusal(u), 'created')::outcome AS outcome
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR KEY SHARE
), created AS (
    INSERT INTO passkey (id, user_id, name, public_key, sign_count, transports, aaguid, backup_eligible, backed_up)
    SELECT @id::passkey_id, o.id, sqlc.narg('name')::text, coalesce(nullif(@public_key::text, ''), refuse_parameter('PublicKey', 'is missing')),
        sqlc.narg('sign_count')::bigint, @transports::text[],
        sqlc.narg('aaguid')::text, @backup_eligible::boolean, @backed_up::boolean
    FROM owner AS o
    WHERE o.outcome = 'created'
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT noted(
        (CASE WHEN o.outcome IS NULL THEN 'unknown' WHEN o.outcome = 'created' AND n.id IS NULL THEN 'taken' ELSE o.outcome END)::outcome,
        'CreatePasskey', of_user => @user_id::user_id, of_item => @id::passkey_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN owner AS o ON true
LEFT JOIN created AS n ON true;

-- FindPasskey returns a passkey by its credential ID, and its user. The caller verifies the signature with its public key and then calls
-- UsePasskey, which decides. Zero rows: there is no such passkey, or its user is deleted.
-- name: FindPasskey :one
SELECT sqlc.embed(p), sqlc.embed(u)
FROM passkey AS p
JOIN "user" AS u ON u.id = p.user_id
WHERE p.id = @id::passkey_id AND u.deleted_at IS NULL;

-- ListUserPasskeys lists the passkeys of a user, oldest first.
-- name: ListUserPasskeys :many
SELECT p.*
FROM passkey AS p
WHERE p.user_id = @user_id::user_id
ORDER BY p.created_at, p.id;

-- UsePasskey records that a user has signed in with a passkey, whose signature the caller has verified (WebAuthn Level 3, section 7.2). The
-- signature counter has to grow with each use. One that was 0 may stay 0, for authenticators that don't count, and any counter will do where
-- none is known. backed_up is flag BS of the authenticator data.
-- ip_address is for the security event (ListSecurityEvents).
--   - accepted: the counter is stored; user_id is who signed in
--   - regressed: the counter has not grown, which is a sign of a copy of the authenticator; the stored counter stays
--   - unknown: there is no such passkey, or its user is deleted
--   - suspended: the user is suspended (access_denied)
-- Run this call on the pool: a transaction that is rolled back would forget the counter.
-- name: UsePasskey :one
WITH presented AS MATERIALIZED (
    SELECT p.id, p.user_id,
        coalesce(
            user_refusal(u),
            CASE
                WHEN p.sign_count IS NULL OR @sign_count::bigint > p.sign_count OR (p.sign_count = 0 AND @sign_count::bigint = 0)
                THEN 'accepted'::outcome
                ELSE 'regressed'::outcome
            END
        )::outcome AS outcome
    FROM passkey AS p
    JOIN "user" AS u ON u.id = p.user_id
    WHERE p.id = @id::passkey_id
    FOR NO KEY UPDATE OF p
), used AS (
    UPDATE passkey AS p
    SET sign_count = @sign_count::bigint, backed_up = @backed_up::boolean, last_used_at = now(), updated_at = now()
    FROM presented AS x
    WHERE p.id = x.id AND x.outcome = 'accepted'
    RETURNING p.user_id
)
SELECT noted(
        coalesce(x.outcome, 'unknown')::outcome, 'UsePasskey', of_user => x.user_id, of_item => x.id,
        from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    s.user_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS x ON true
LEFT JOIN used AS s ON true;

-- DeletePasskey deletes a passkey of a user.
--   - deleted: the passkey is gone
--   - unknown: the user has no such passkey
-- name: DeletePasskey :one
WITH deleted AS (
    DELETE FROM passkey AS p
    WHERE p.id = @id::passkey_id AND p.user_id = @user_id::user_id
    RETURNING p.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM deleted) THEN 'deleted' ELSE settled('unknown') END)::outcome, 'DeletePasskey', of_user => @user_id::user_id,
        of_item => @id::passkey_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n);
