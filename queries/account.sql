-- CreateAccount adds a way to sign in. An identity that is taken violates account_provider_account_uidx.
-- name: CreateAccount :one
INSERT INTO account (
    id, account_id, provider_id, user_id, access_token, refresh_token, id_token,
    access_token_expires_at, refresh_token_expires_at, scope, password
)
VALUES (
    @id::account_id, @account_id::text, @provider_id::text, @user_id::user_id,
    sqlc.narg('access_token')::text, sqlc.narg('refresh_token')::text, sqlc.narg('id_token')::text,
    sqlc.narg('access_token_expires_at')::timestamptz, sqlc.narg('refresh_token_expires_at')::timestamptz,
    sqlc.narg('scope')::text, sqlc.narg('password')::text
)
RETURNING *;

-- GetAccount returns one account; zero rows: no such account.
-- name: GetAccount :one
SELECT c.*
FROM account AS c
WHERE c.id = @id::account_id;

-- FindAccountByProvider returns the account and the user that an identity at another provider stands for; zero rows: none.
-- name: FindAccountByProvider :one
SELECT sqlc.embed(c), sqlc.embed(u)
FROM account AS c
JOIN "user" AS u ON u.id = c.user_id
WHERE c.provider_id = @provider_id::text AND c.account_id = @account_id::text;

-- FindCredentialAccountByEmail returns the password account, with its user, of the user who has an address, whatever its
-- ASCII case; zero rows: nobody has it, or its user has no password. Sign-in compares the hash.
-- name: FindCredentialAccountByEmail :one
SELECT sqlc.embed(c), sqlc.embed(u)
FROM "user" AS u
JOIN account AS c ON c.user_id = u.id
WHERE lower(u.email COLLATE "C") = lower((@email::text) COLLATE "C") AND c.provider_id = 'credential' AND c.password IS NOT NULL
ORDER BY c.created_at, c.id
LIMIT 1;

-- ListUserAccounts lists a user's ways to sign in, oldest first.
-- name: ListUserAccounts :many
SELECT c.*
FROM account AS c
WHERE c.user_id = @user_id::user_id
ORDER BY c.created_at, c.id;

-- UpdateAccountPassword replaces the hash of a password account; zero rows: the user has none.
-- name: UpdateAccountPassword :one
UPDATE account AS c
SET password = @password::text, updated_at = now()
WHERE c.user_id = @user_id::user_id AND c.provider_id = 'credential'
RETURNING c.*;

-- UpdateAccountTokens replaces what another provider issued, as its answer to a refresh carries it: what is nil is kept,
-- as the answer may leave it out. Zero rows: no such account.
-- name: UpdateAccountTokens :one
UPDATE account AS c
SET access_token = coalesce(sqlc.narg('access_token')::text, c.access_token),
    refresh_token = coalesce(sqlc.narg('refresh_token')::text, c.refresh_token),
    id_token = coalesce(sqlc.narg('id_token')::text, c.id_token),
    access_token_expires_at = coalesce(sqlc.narg('access_token_expires_at')::timestamptz, c.access_token_expires_at),
    refresh_token_expires_at = coalesce(sqlc.narg('refresh_token_expires_at')::timestamptz, c.refresh_token_expires_at),
    scope = coalesce(sqlc.narg('scope')::text, c.scope),
    updated_at = now()
WHERE c.id = @id::account_id
RETURNING c.*;

-- DeleteAccount removes a way to sign in, though never a user's last one.
--   - deleted
--   - last: it is the user's last, and stays
--   - unknown: no such account of the user
-- name: DeleteAccount :one
WITH owner AS MATERIALIZED (
    -- two calls that each remove one of a user's last two accounts come one after the other
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR NO KEY UPDATE
), accounts AS MATERIALIZED (
    SELECT c.id
    FROM owner AS o
    JOIN account AS c ON c.user_id = o.id
    ORDER BY c.id
    FOR UPDATE OF c
), deleted AS (
    DELETE FROM account AS c
    USING accounts AS a
    WHERE c.id = a.id AND c.id = @id::account_id AND (SELECT count(*) FROM accounts) > 1
    RETURNING c.id
)
SELECT (
        CASE
            WHEN EXISTS (SELECT FROM deleted) THEN 'deleted'
            WHEN EXISTS (SELECT FROM accounts AS a WHERE a.id = @id::account_id) THEN 'last'
            ELSE 'unknown'
        END
    )::outcome AS outcome;
