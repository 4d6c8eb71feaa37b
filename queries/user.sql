-- CreateUser registers a user. A taken address, in whatever case, violates user_email_uidx or user_email_lower_uidx.
-- name: CreateUser :one
INSERT INTO "user" (id, name, email, email_verified, image)
VALUES (@id::user_id, @name::text, @email::text, @email_verified::boolean, sqlc.narg('image')::text)
RETURNING *;

-- GetUser returns one user; zero rows: no such user.
-- name: GetUser :one
SELECT u.*
FROM "user" AS u
WHERE u.id = @id::user_id;

-- FindUserByEmail returns the user who has an address, whatever its case; zero rows: nobody has.
-- name: FindUserByEmail :one
SELECT u.*
FROM "user" AS u
WHERE lower(u.email) = lower(@email::text);

-- ListUsers is a page of all users, oldest first. The first page starts after the zero time and the empty id, the next
-- after the last row of the one before.
-- name: ListUsers :many
SELECT u.*
FROM "user" AS u
WHERE (u.created_at, u.id) > (@after_created_at::timestamptz, @after_id::user_id)
ORDER BY u.created_at, u.id
LIMIT @page_size::integer;

-- UpdateUser changes the given fields and leaves those that are nil; remove_image sets the picture to NULL. Zero rows: no
-- such user. A new address is taken as unverified unless email_verified says otherwise.
-- name: UpdateUser :one
UPDATE "user" AS u
SET name = coalesce(sqlc.narg('name')::text, u.name),
    email = coalesce(sqlc.narg('email')::text, u.email),
    email_verified = coalesce(
        sqlc.narg('email_verified')::boolean,
        u.email_verified AND lower(coalesce(sqlc.narg('email')::text, u.email)) = lower(u.email)
    ),
    image = CASE WHEN @remove_image::boolean THEN NULL ELSE coalesce(sqlc.narg('image')::text, u.image) END,
    updated_at = now()
WHERE u.id = @id::user_id
RETURNING u.*;

-- DeleteUser deletes a user and, by the schema's cascades, everything that is the user's: sessions, accounts, owned clients,
-- consents, authorizations and tokens. Grants that run at the same time either finish before and are deleted too, or
-- find no user. Zero rows: no such user.
-- name: DeleteUser :one
WITH doomed AS MATERIALIZED (
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @id::user_id
    FOR UPDATE
), in_turn AS MATERIALIZED (
    -- two who each use a client that the other owns would wait for each other: owners go one after the other
    SELECT pg_advisory_xact_lock(hashtextextended('oauthdb DeleteUser', 0))::text AS locked
    FROM doomed AS d
    WHERE EXISTS (SELECT FROM oauth_client AS c WHERE c.user_id = d.id)
), owned_clients AS MATERIALIZED (
    SELECT c.client_id
    FROM doomed AS d
    JOIN oauth_client AS c ON c.user_id = d.id
    WHERE (SELECT count(*) FROM in_turn) >= 0
    ORDER BY c.client_id
    FOR UPDATE OF c
), parents AS MATERIALIZED (
    SELECT lock_grant_parents(d.id, ARRAY(SELECT o.client_id::text FROM owned_clients AS o))::bigint AS locked
    FROM doomed AS d
), families AS MATERIALIZED (
    -- in the order in which every call locks families
    SELECT a.id
    FROM doomed AS d
    JOIN oauth_authorization AS a ON a.user_id = d.id
    WHERE (SELECT count(*) FROM parents) >= 0
    ORDER BY a.id
    FOR UPDATE OF a
), deleted AS (
    DELETE FROM "user" AS u
    USING doomed AS d
    WHERE u.id = d.id AND (SELECT count(*) FROM families) >= 0
    RETURNING u.id
)
SELECT d.id::user_id AS id, (SELECT count(*) FROM families)::bigint AS authorizations
FROM deleted AS d;
