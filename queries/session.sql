-- CreateSession records that a user has signed in; the session lasts for a lifetime unless it is extended.
-- name: CreateSession :one
INSERT INTO session (id, user_id, token, expires_at, ip_address, user_agent)
VALUES (
    @id::session_id, @user_id::user_id, @token::token_digest, now() + @lifetime::interval,
    sqlc.narg('ip_address')::text, sqlc.narg('user_agent')::text
)
RETURNING *;

-- GetSession returns one session, expired or not; zero rows: no such session.
-- name: GetSession :one
SELECT s.*
FROM session AS s
WHERE s.id = @id::session_id;

-- FindSessionByToken returns the session and the user that a cookie's digest stands for; zero rows: none, or it has expired.
-- name: FindSessionByToken :one
SELECT sqlc.embed(s), sqlc.embed(u)
FROM session AS s
JOIN "user" AS u ON u.id = s.user_id
WHERE s.token = @token::token_digest AND s.expires_at > now();

-- ListUserSessions is a page of a user's live sessions, oldest first. The first page starts after the zero time and the
-- empty id, the next after the last row of the one before.
-- name: ListUserSessions :many
SELECT s.*
FROM session AS s
WHERE s.user_id = @user_id::user_id
  AND (s.created_at, s.id) > (@after_created_at::timestamptz, @after_id::session_id)
  AND s.expires_at > now()
ORDER BY s.created_at, s.id
LIMIT @page_size::integer;

-- ExtendSession lets a live session slide: it then lasts for another lifetime from now, though never beyond max_lifetime
-- from its beginning (NULL: no such bound), and never less long than before. To spare writes, it changes nothing while
-- less than min_gain would be gained; the answer is the session either way. Zero rows: no such session, or it has expired.
-- name: ExtendSession :one
WITH live AS MATERIALIZED (
    -- locked, so as it is now: the snapshot may be older
    SELECT s.id, s.user_id, s.token, s.expires_at,
        greatest(
            s.expires_at,
            least(now() + @lifetime::interval, s.created_at + sqlc.narg('max_lifetime')::interval)
        ) AS extended_to
    FROM session AS s
    WHERE s.id = @id::session_id AND s.expires_at > now()
    FOR NO KEY UPDATE
), extended AS (
    -- an upsert goes straight to the row that is locked. An UPDATE would begin with the one in its snapshot; and where a grant
    -- holds that for its foreign key, it deadlocks with another call that waits there for this one
    INSERT INTO session AS s (id, user_id, token, expires_at)
    SELECT l.id, l.user_id, l.token, l.extended_to
    FROM live AS l
    WHERE l.extended_to >= l.expires_at + @min_gain::interval AND l.extended_to > l.expires_at
    ON CONFLICT (id) DO UPDATE
    SET expires_at = excluded.expires_at, updated_at = now()
    RETURNING s.id, s.expires_at
)
SELECT l.id::session_id AS id, l.user_id::user_id AS user_id, coalesce(e.expires_at, l.expires_at)::timestamptz AS expires_at,
    (e.id IS NOT NULL)::boolean AS extended
FROM live AS l
LEFT JOIN extended AS e ON e.id = l.id;

-- EndSession signs a user out: it deletes the session and, in the same statement, revokes what was granted in it and lacks
-- offline_access (OpenID Connect Back-Channel Logout 1.0, section 2.7); what has offline_access goes on without a session.
-- One row for each client that the session knew, so that it can be notified, with the authorization that it had (NULL for
-- tokens without a family) and whether that was revoked now; one row without a client if there was none. Zero rows: no such
-- session.
-- name: EndSession :many
WITH owner AS MATERIALIZED (
    -- a token without a family is only ever touched under this lock
    SELECT u.id
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.id = @id::session_id
    FOR UPDATE OF u
), clients AS MATERIALIZED (
    SELECT c.client_id
    FROM owner AS o
    JOIN oauth_client AS c ON c.client_id IN (
        SELECT a.client_id FROM oauth_authorization AS a WHERE a.session_id = @id::session_id
        UNION
        SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.session_id = @id::session_id
        UNION
        SELECT t.client_id FROM oauth_access_token AS t WHERE t.session_id = @id::session_id
    )
    ORDER BY c.client_id
    FOR KEY SHARE OF c
), ended AS MATERIALIZED (
    -- waits for every grant that is being made in the session
    SELECT s.id, s.user_id
    FROM owner AS o
    JOIN session AS s ON s.user_id = o.id
    WHERE s.id = @id::session_id AND (SELECT count(*) FROM clients) >= 0
    FOR UPDATE OF s
), grants AS MATERIALIZED (
    SELECT g.authorization_id::authorization_id AS authorization_id, g.client_id::client_id AS client_id, g.revoked::boolean AS revoked
    FROM ended AS e
    CROSS JOIN LATERAL revoke_session_grants(e.id) AS g (authorization_id, client_id, revoked)
), deleted AS (
    DELETE FROM session AS s
    USING ended AS e
    WHERE s.id = e.id AND (SELECT count(*) FROM grants) >= 0
    RETURNING s.id, s.user_id
)
SELECT d.id::session_id AS session_id, d.user_id::user_id AS user_id, g.client_id, g.authorization_id,
    coalesce(g.revoked, false)::boolean AS revoked
FROM deleted AS d
LEFT JOIN grants AS g ON true
ORDER BY g.client_id, g.authorization_id;

-- EndUserSessions is EndSession for all sessions of a user, but for one to keep, if given: 'sign out everywhere else'.
-- Zero rows: the user has no such session.
-- name: EndUserSessions :many
WITH owner AS MATERIALIZED (
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR UPDATE
), clients AS MATERIALIZED (
    SELECT c.client_id
    FROM owner AS o
    JOIN oauth_client AS c ON c.client_id IN (
        SELECT a.client_id FROM oauth_authorization AS a WHERE a.user_id = @user_id::user_id
        UNION
        SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.user_id = @user_id::user_id
        UNION
        SELECT t.client_id FROM oauth_access_token AS t WHERE t.user_id = @user_id::user_id
    )
    ORDER BY c.client_id
    FOR KEY SHARE OF c
), ended AS MATERIALIZED (
    SELECT s.id, s.user_id
    FROM owner AS o
    JOIN session AS s ON s.user_id = o.id
    WHERE s.id IS DISTINCT FROM sqlc.narg('keep')::session_id AND (SELECT count(*) FROM clients) >= 0
    ORDER BY s.id
    FOR UPDATE OF s
), grants AS MATERIALIZED (
    SELECT e.id AS session_id, g.authorization_id::authorization_id AS authorization_id, g.client_id::client_id AS client_id,
        g.revoked::boolean AS revoked
    FROM ended AS e
    CROSS JOIN LATERAL revoke_session_grants(e.id) AS g (authorization_id, client_id, revoked)
), deleted AS (
    DELETE FROM session AS s
    USING ended AS e
    WHERE s.id = e.id AND (SELECT count(*) FROM grants) >= 0
    RETURNING s.id, s.user_id
)
SELECT d.id::session_id AS session_id, d.user_id::user_id AS user_id, g.client_id, g.authorization_id,
    coalesce(g.revoked, false)::boolean AS revoked
FROM deleted AS d
LEFT JOIN grants AS g ON g.session_id = d.id
ORDER BY d.id, g.client_id, g.authorization_id;

-- DeleteExpiredSessions collects at most batch_size sessions that are over, and says how many. Expiry is not a sign-out: what
-- was granted in the session goes on, without one. Sessions that a call holds are left for the next time.
-- name: DeleteExpiredSessions :execrows
WITH due AS MATERIALIZED (
    SELECT s.id
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.expires_at <= now()
    ORDER BY s.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF s SKIP LOCKED
    FOR KEY SHARE OF u SKIP LOCKED
), families AS MATERIALIZED (
    -- whose session_id is about to become NULL, in the order in which every call locks families
    SELECT a.id
    FROM due AS d
    JOIN oauth_authorization AS a ON a.session_id = d.id
    ORDER BY a.id
    FOR NO KEY UPDATE OF a
)
DELETE FROM session AS s
USING due AS d
WHERE s.id = d.id AND (SELECT count(*) FROM families) >= 0;
