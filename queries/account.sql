-- CreateAccount adds a way for a user to sign in. If the identity is taken, it violates account_provider_account_uidx.
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

-- GetAccount returns one account. Zero rows: there is no such account.
-- name: GetAccount :one
SELECT c.*
FROM account AS c
WHERE c.id = @id::account_id;

-- FindAccountByProvider returns the account that stands for an identity at another provider, and its user. Zero rows: nobody has it, or its
-- user is deleted.
-- name: FindAccountByProvider :one
SELECT sqlc.embed(c), sqlc.embed(u)
FROM account AS c
JOIN "user" AS u ON u.id = c.user_id
WHERE c.provider_id = @provider_id::text AND c.account_id = @account_id::text AND u.deleted_at IS NULL;

-- FindCredentialAccountByEmail returns the password account of the user who has an e-mail address, and the user. ASCII case is ignored.
-- Zero rows: nobody has the address, or its user has no password. The caller compares the hash.
-- name: FindCredentialAccountByEmail :one
SELECT sqlc.embed(c), sqlc.embed(u)
FROM "user" AS u
JOIN account AS c ON c.user_id = u.id
WHERE lower(u.email COLLATE "C") = lower((@email::text) COLLATE "C") AND c.provider_id = 'credential' AND c.password IS NOT NULL
ORDER BY c.created_at, c.id
LIMIT 1;

-- ListUserAccounts lists the accounts of a user, oldest first.
-- name: ListUserAccounts :many
SELECT c.*
FROM account AS c
WHERE c.user_id = @user_id::user_id
ORDER BY c.created_at, c.id;

-- UpdateAccountPassword replaces the hash of a user's password. Zero rows: the user has no password account.
-- name: UpdateAccountPassword :one
UPDATE account AS c
SET password = @password::text, updated_at = now()
WHERE c.user_id = @user_id::user_id AND c.provider_id = 'credential'
RETURNING c.*;

-- UpdateAccountTokens stores what another provider answered to a refresh. A nil parameter keeps the stored value, because such an answer
-- may leave a token out. Zero rows: there is no such account.
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

-- DeleteAccount deletes an account of a user, unless it is the last one.
--   - deleted: the account is gone
--   - last: the account is the user's last one and stays
--   - unknown: the user has no such account
-- name: DeleteAccount :one
WITH owner AS MATERIALIZED (
    -- locked, so that two calls that each delete one of the last two accounts run one after the other
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT delete_account(o.id, @id::account_id) AS verdict
    FROM owner AS o
)
SELECT noted(coalesce(j.verdict, 'unknown')::outcome, 'DeleteAccount', of_user => @user_id::user_id, of_item => @id::account_id)::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN judged AS j ON true;
