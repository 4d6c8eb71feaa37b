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
), owned_clients AS MATERIALIZED (
    SELECT c.client_id
    FROM doomed AS d
    JOIN oauth_client AS c ON c.user_id = d.id
    ORDER BY c.client_id
    FOR UPDATE OF c
), clients AS MATERIALIZED (
    SELECT c.client_id
    FROM doomed AS d
    JOIN oauth_client AS c ON c.client_id IN (
        SELECT a.client_id FROM oauth_authorization AS a WHERE a.user_id = @id::user_id
        UNION
        SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.user_id = @id::user_id
        UNION
        SELECT t.client_id FROM oauth_access_token AS t WHERE t.user_id = @id::user_id
    )
    WHERE (SELECT count(*) FROM owned_clients) >= 0
    ORDER BY c.client_id
    FOR KEY SHARE OF c
), sessions AS MATERIALIZED (
    -- another server ends a session by deleting its row, and the cascade reaches these grants in no order: so wait for it here
    SELECT s.id
    FROM doomed AS d
    JOIN session AS s ON s.id = ANY (
        ARRAY(
            SELECT x.id::text FROM session AS x WHERE x.user_id = @id::user_id
            UNION
            SELECT a.session_id FROM owned_clients AS o JOIN oauth_authorization AS a ON a.client_id = o.client_id
            UNION
            SELECT r.session_id FROM owned_clients AS o JOIN oauth_refresh_token AS r ON r.client_id = o.client_id WHERE r.authorization_id IS NULL
            UNION
            SELECT t.session_id FROM owned_clients AS o JOIN oauth_access_token AS t ON t.client_id = o.client_id WHERE t.authorization_id IS NULL
        )
    )
    WHERE (SELECT count(*) FROM clients) >= 0
    ORDER BY s.id
    FOR KEY SHARE OF s
), families AS MATERIALIZED (
    -- the user's, and those of the clients that go too, in the order in which every call locks families
    SELECT a.id, a.user_id
    FROM doomed AS d
    JOIN oauth_authorization AS a
        ON a.user_id = d.id
        OR a.client_id = ANY (ARRAY(SELECT o.client_id::text FROM owned_clients AS o))
    WHERE (SELECT count(*) FROM sessions) >= 0
    ORDER BY a.id
    FOR UPDATE OF a
), deleted AS (
    DELETE FROM "user" AS u
    USING doomed AS d
    WHERE u.id = d.id AND (SELECT count(*) FROM families) >= 0
    RETURNING u.id
)
SELECT d.id::user_id AS id, (SELECT count(*) FROM families AS f WHERE f.user_id = d.id)::bigint AS authorizations
FROM deleted AS d;
