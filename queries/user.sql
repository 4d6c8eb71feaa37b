-- CreateUser registers a user. If the e-mail address is taken, whatever its ASCII case, it violates user_email_uidx.
-- name: CreateUser :one
INSERT INTO "user" (id, name, email, email_verified, image)
VALUES (@id::user_id, @name::text, sqlc.narg('email')::text, @email_verified::boolean, sqlc.narg('image')::text)
RETURNING *;

-- GetUser returns one user, suspended or not. Zero rows: there is no such user, or the user is deleted.
-- name: GetUser :one
SELECT u.*
FROM "user" AS u
WHERE u.id = @id::user_id AND u.deleted_at IS NULL;

-- FindUserByEmail returns the user who has an e-mail address. ASCII case is ignored. Zero rows: nobody has it.
-- name: FindUserByEmail :one
SELECT u.*
FROM "user" AS u
WHERE lower(u.email COLLATE "C") = lower((@email::text) COLLATE "C");

-- ListUsers returns a page of all users, oldest first. Begin with the zero time and the empty id; for the next page pass created_at and id
-- of the last row.
-- name: ListUsers :many
SELECT u.*
FROM "user" AS u
WHERE (u.created_at, u.id) > (@after_created_at::timestamptz, @after_id::user_id) AND u.deleted_at IS NULL
ORDER BY u.created_at, u.id
LIMIT @page_size::integer;

-- UpdateUser changes the fields that are not nil. remove_email and remove_image set the address and the picture to NULL. A new address is
-- unverified unless email_verified says otherwise. Zero rows: there is no such user, or the user is deleted.
-- name: UpdateUser :one
UPDATE "user" AS u
SET name = coalesce(sqlc.narg('name')::text, u.name),
    email = CASE WHEN @remove_email::boolean THEN NULL ELSE coalesce(sqlc.narg('email')::text, u.email) END,
    email_verified = NOT @remove_email::boolean AND coalesce(
        sqlc.narg('email_verified')::boolean,
        u.email_verified AND lower(coalesce(sqlc.narg('email')::text, u.email) COLLATE "C") = lower(u.email COLLATE "C"),
        false
    ),
    image = CASE WHEN @remove_image::boolean THEN NULL ELSE coalesce(sqlc.narg('image')::text, u.image) END,
    updated_at = now()
WHERE u.id = @id::user_id AND u.deleted_at IS NULL
RETURNING u.*;

-- SuspendUser suspends a user. It ends all grants and sessions of the user, and nothing new can be granted until ReinstateUser.
--   - ended: the user is suspended; sessions says how many sessions had not been ended before
--   - revoked: the user had been suspended before
--   - unknown: there is no such user
-- name: SuspendUser :one
WITH suspended AS MATERIALIZED (
    UPDATE "user" AS u
    SET suspended_at = now(), grants_epoch = u.grants_epoch + 1, sessions_epoch = u.sessions_epoch + 1, ended_grants = '{}', updated_at = now()
    WHERE u.id = @id::user_id AND u.suspended_at IS NULL AND u.deleted_at IS NULL
    RETURNING u.id
)
SELECT noted(
        (CASE WHEN n.id IS NOT NULL THEN 'ended' ELSE settled_of_user(@id::user_id, 'revoked') END)::outcome, 'SuspendUser', of_user => n.id
    )::outcome AS outcome,
    end_user_sessions(n.id, NULL)::bigint AS sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN suspended AS n ON true;

-- ReinstateUser lifts a suspension. Nothing that was granted before it, or meanwhile by another server, becomes live again.
--   - reinstated: the user may sign in again
--   - retried: the user is not suspended
--   - unknown: there is no such user
-- name: ReinstateUser :one
WITH reinstated AS (
    UPDATE "user" AS u
    SET suspended_at = NULL, grants_epoch = u.grants_epoch + 1, sessions_epoch = u.sessions_epoch + 1, ended_grants = '{}', updated_at = now()
    WHERE u.id = @id::user_id AND u.suspended_at IS NOT NULL AND u.deleted_at IS NULL
    RETURNING u.id
)
SELECT noted(
        (CASE WHEN n.id IS NOT NULL THEN 'reinstated' ELSE settled_of_user(@id::user_id, 'retried') END)::outcome, 'ReinstateUser', of_user => n.id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN reinstated AS n ON true;

-- DeleteUser deletes a user. All grants and sessions of the user and the clients that the user owns are dead at once, the accounts are gone,
-- and personal data in the user's row is blanked. The address can be used again at once, the id once the collector has erased the rest.
--   - deleted: the user is deleted; sessions says how many sessions had not been ended before
--   - unknown: there is no such user
-- name: DeleteUser :one
WITH deleted AS MATERIALIZED (
    UPDATE "user" AS u
    SET deleted_at = now(), suspended_at = coalesce(u.suspended_at, now()), grants_epoch = u.grants_epoch + 1,
        sessions_epoch = u.sessions_epoch + 1, ended_grants = '{}', name = '', email = NULL, email_verified = false, image = NULL,
        updated_at = now()
    WHERE u.id = @id::user_id AND u.deleted_at IS NULL
    RETURNING u.id
), accounts AS (
    DELETE FROM account AS c
    USING deleted AS d
    WHERE c.user_id = d.id
), disabled AS MATERIALIZED (
    SELECT disable_owned_clients(d.id) AS clients
    FROM deleted AS d
)
SELECT noted((CASE WHEN d.id IS NULL THEN settled('unknown') ELSE 'deleted' END)::outcome, 'DeleteUser', of_user => d.id)::outcome AS outcome,
    -- the clients come first, as in the order of all locks
    coalesce(CASE WHEN o.clients IS NOT NULL THEN end_user_sessions(d.id, NULL) END, 0)::bigint AS sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN deleted AS d ON true
LEFT JOIN disabled AS o ON true;

-- EraseDeletedUsers deletes what is left of deleted users. It looks at up to batch_size of them in the order of their deletion. One call
-- deletes up to batch_size clients that they own as DeleteClient does, and up to batch_size consents, accounts, passkeys, authenticator apps,
-- recovery codes and pairwise subjects each, and the users to whom nothing refers any more, so nothing cascades. Families, tokens and
-- sessions are left to the calls that collect those. Begin with the zero time as after_deleted_at and go on with last_deleted_at, which is
-- NULL when no user is left. It skips rows that are locked.
-- name: EraseDeletedUsers :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.deleted_at
    FROM "user" AS p
    WHERE p.deleted_at > @after_deleted_at::timestamptz
    ORDER BY p.deleted_at
    LIMIT @batch_size::integer
), last_of_page AS (
    SELECT max(p.deleted_at)::timestamptz AS deleted_at
    FROM page AS p
), clients AS MATERIALIZED (
    SELECT c.client_id
    FROM page AS p
    JOIN oauth_client AS c ON c.user_id = p.id
    WHERE c.deleted_at IS NULL
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF c SKIP LOCKED
), deleted_clients AS MATERIALIZED (
    SELECT x.client_id
    FROM clients AS x
    WHERE delete_client(x.client_id, false, NULL)
), consents AS MATERIALIZED (
    SELECT g.id
    FROM page AS p
    JOIN oauth_consent AS g ON g.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF g SKIP LOCKED
), deleted_consents AS (
    DELETE FROM oauth_consent AS g
    USING consents AS x
    WHERE g.id = x.id
    RETURNING g.id
), accounts AS MATERIALIZED (
    SELECT k.id
    FROM page AS p
    JOIN account AS k ON k.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF k SKIP LOCKED
), deleted_accounts AS (
    DELETE FROM account AS k
    USING accounts AS x
    WHERE k.id = x.id
    RETURNING k.id
), subjects AS MATERIALIZED (
    SELECT s.id
    FROM page AS p
    JOIN oauth_pairwise_subject AS s ON s.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF s SKIP LOCKED
), deleted_subjects AS (
    DELETE FROM oauth_pairwise_subject AS s
    USING subjects AS x
    WHERE s.id = x.id
    RETURNING s.id
), passkeys AS MATERIALIZED (
    SELECT y.id
    FROM page AS p
    JOIN passkey AS y ON y.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF y SKIP LOCKED
), deleted_passkeys AS (
    DELETE FROM passkey AS y
    USING passkeys AS x
    WHERE y.id = x.id
    RETURNING y.id
), totps AS MATERIALIZED (
    SELECT o.id
    FROM page AS p
    JOIN totp AS o ON o.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF o SKIP LOCKED
), deleted_totps AS (
    DELETE FROM totp AS o
    USING totps AS x
    WHERE o.id = x.id
    RETURNING o.id
), recovery_codes AS MATERIALIZED (
    SELECT e.id
    FROM page AS p
    JOIN recovery_code AS e ON e.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF e SKIP LOCKED
), deleted_recovery_codes AS (
    DELETE FROM recovery_code AS e
    USING recovery_codes AS x
    WHERE e.id = x.id
    RETURNING e.id
), unused AS MATERIALIZED (
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = ANY (ARRAY(SELECT p.id::text FROM page AS p))
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.user_id = u.id) -- nor tokens, which have a family
      AND NOT EXISTS (SELECT FROM session AS s WHERE s.user_id = u.id)
      AND NOT EXISTS (SELECT FROM account AS k WHERE k.user_id = u.id)
      AND NOT EXISTS (SELECT FROM passkey AS y WHERE y.user_id = u.id)
      AND NOT EXISTS (SELECT FROM totp AS o WHERE o.user_id = u.id)
      AND NOT EXISTS (SELECT FROM recovery_code AS e WHERE e.user_id = u.id)
      AND NOT EXISTS (SELECT FROM oauth_consent AS g WHERE g.user_id = u.id)
      AND NOT EXISTS (SELECT FROM oauth_pairwise_subject AS p WHERE p.user_id = u.id)
      AND NOT EXISTS (SELECT FROM oauth_client AS c WHERE c.user_id = u.id)
    FOR UPDATE OF u SKIP LOCKED
), deleted_users AS (
    DELETE FROM "user" AS u
    USING unused AS x
    WHERE u.id = x.id
    RETURNING u.id
)
SELECT (SELECT count(*) FROM deleted_users)::bigint AS deleted,
    (
        (SELECT count(*) FROM deleted_clients) + (SELECT count(*) FROM deleted_consents) + (SELECT count(*) FROM deleted_accounts)
        + (SELECT count(*) FROM deleted_passkeys) + (SELECT count(*) FROM deleted_totps) + (SELECT count(*) FROM deleted_recovery_codes)
        + (SELECT count(*) FROM deleted_subjects)
    )::bigint AS cleared,
    l.deleted_at AS last_deleted_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last_of_page AS l ON true;
