-- CreateSession records that a user has signed in; the session lasts for a lifetime unless it is extended. With max_sessions the
-- oldest of the user's live sessions end so that the new one makes no more than that; 0 is no maximum. A user who authenticates again in a
-- session that goes on is for ReauthenticateSession: that counts no session more.
--   - created
--   - unknown: no such user
--   - suspended: the user is
-- name: CreateSession :one
WITH owner AS MATERIALIZED (
    SELECT u.id,
        (CASE WHEN u.deleted_at IS NOT NULL THEN 'unknown' WHEN u.suspended_at IS NOT NULL THEN 'suspended' ELSE 'created' END)::outcome AS outcome
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR KEY SHARE
), room AS MATERIALIZED (
    SELECT o.id, make_room_for_session(o.id, @max_sessions::integer) AS ended
    FROM owner AS o
    WHERE o.outcome = 'created'
), created AS (
    INSERT INTO session (id, user_id, token, expires_at, ip_address, user_agent, label, acr, amr, auth_time)
    SELECT @id::session_id, r.id, @token::token_digest, expiry(now(), @lifetime::interval, NULL, 'Lifetime'), sqlc.narg('ip_address')::text,
        sqlc.narg('user_agent')::text, sqlc.narg('label')::text, sqlc.narg('acr')::text, sqlc.narg('amr')::text[],
        sqlc.narg('auth_time')::timestamptz
    FROM room AS r
    RETURNING expires_at
)
SELECT coalesce(o.outcome, 'unknown')::outcome AS outcome, n.expires_at, coalesce(r.ended, 0)::bigint AS ended_sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN owner AS o ON true
LEFT JOIN room AS r ON true
LEFT JOIN created AS n ON true;

-- GetSession returns one session in whatever state it is; zero rows: no such session.
-- name: GetSession :one
SELECT s.*
FROM session AS s
WHERE s.id = @id::session_id;

-- FindSessionByToken returns the session and the user that a cookie's digest stands for; zero rows: none, or it is not live.
-- name: FindSessionByToken :one
SELECT sqlc.embed(s), sqlc.embed(u)
FROM session AS s
JOIN "user" AS u ON u.id = s.user_id
WHERE s.token = @token::token_digest AND session_is_live(s, u);

-- ListUserSessions is a page of a user's live sessions, oldest first. The first page starts after the zero time and the
-- empty id, the next after the last row of the one before.
-- name: ListUserSessions :many
SELECT s.*
FROM session AS s
JOIN "user" AS u ON u.id = s.user_id
WHERE s.user_id = @user_id::user_id
  AND (s.created_at, s.id) > (@after_created_at::timestamptz, @after_id::session_id)
  AND session_is_live(s, u)
ORDER BY s.created_at, s.id
LIMIT @page_size::integer;

-- ExtendSession lets a live session slide: it then lasts for another lifetime from now, though never beyond max_lifetime
-- from its beginning (NULL: no such bound), and never less long than before. To spare writes, it changes nothing while
-- less than min_gain would be gained.
--   - extended
--   - active: nothing to gain; the session goes on as it is
--   - signed_out: it is not live, or there is no such session
-- name: ExtendSession :one
WITH live AS MATERIALIZED (
    SELECT s.id, s.user_id, s.expires_at,
        greatest(
            s.expires_at,
            least(expiry(now(), @lifetime::interval, NULL, 'Lifetime'), s.created_at + sqlc.narg('max_lifetime')::interval)
        ) AS extended_to
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.id = @id::session_id AND session_is_live(s, u)
    FOR NO KEY UPDATE OF s
), extended AS (
    UPDATE session AS s
    SET expires_at = l.extended_to, last_seen_at = now(), updated_at = now()
    FROM live AS l
    WHERE s.id = l.id AND l.extended_to >= l.expires_at + @min_gain::interval AND l.extended_to > l.expires_at
    RETURNING s.id
), answer AS (
    SELECT (CASE WHEN e.id IS NULL THEN 'active' ELSE 'extended' END)::outcome AS outcome, l.user_id,
        (CASE WHEN e.id IS NULL THEN l.expires_at ELSE l.extended_to END)::timestamptz AS expires_at
    FROM live AS l
    LEFT JOIN extended AS e ON true
)
SELECT coalesce(w.outcome, 'signed_out')::outcome AS outcome, w.user_id, w.expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN answer AS w ON true;

-- ReauthenticateSession records that the user has authenticated again in a session that goes on (prompt=login, or a step up to
-- another acr): no session is counted, none ends, and nobody is notified. A new cookie, by its digest, replaces the one before.
--   - authenticated
--   - signed_out: it is not a live session of the user, or there is no such session
-- name: ReauthenticateSession :one
WITH live AS MATERIALIZED (
    SELECT s.id
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.id = @id::session_id AND s.user_id = @user_id::user_id AND session_is_live(s, u)
    FOR NO KEY UPDATE OF s
), authenticated AS (
    UPDATE session AS s
    SET token = coalesce(sqlc.narg('token')::token_digest, s.token), acr = sqlc.narg('acr')::text, amr = sqlc.narg('amr')::text[],
        auth_time = now(), last_seen_at = now(), updated_at = now()
    FROM live AS l
    WHERE s.id = l.id
    RETURNING s.auth_time
)
SELECT (CASE WHEN a.auth_time IS NULL THEN 'signed_out' ELSE 'authenticated' END)::outcome AS outcome, a.auth_time
FROM (VALUES (true)) AS one (n)
LEFT JOIN authenticated AS a ON true;

-- EndSession signs a user out: the session is over at once, and with it all that was granted in it without offline_access (OpenID
-- Connect Back-Channel Logout 1.0, section 2.7). Telling its clients is due (ListSessionClients).
--   - ended
--   - revoked: it was ended before
--   - unknown: no such session
-- name: EndSession :one
SELECT (CASE WHEN e.sessions > 0 THEN 'ended' WHEN s.id IS NOT NULL THEN 'revoked' ELSE 'unknown' END)::outcome AS outcome, s.user_id
FROM (VALUES (true)) AS one (n)
CROSS JOIN end_sessions(ARRAY[(@id::session_id)::text]) AS e (sessions)
LEFT JOIN session AS s ON s.id = @id::session_id;

-- EndUserSessions is EndSession for all sessions of a user, but for one to keep, if given: 'sign out everywhere else'. A session
-- that begins at the same time is over as well. Two calls that keep the same session keep it; two that keep different ones keep none.
--   - ended: sessions says how many had not ended before
--   - unknown: no such user
-- name: EndUserSessions :one
WITH owner AS MATERIALIZED (
    UPDATE "user" AS u
    SET sessions_epoch = u.sessions_epoch + 1, updated_at = now()
    WHERE u.id = @user_id::user_id
    RETURNING u.id, u.sessions_epoch
), kept AS (
    -- compared here, in SET, where the row is as it is now: in WHERE it would be as the snapshot has it
    UPDATE session AS s
    SET user_sessions_epoch = CASE WHEN s.user_sessions_epoch = o.sessions_epoch - 1 THEN o.sessions_epoch ELSE s.user_sessions_epoch END,
        updated_at = now()
    FROM owner AS o
    WHERE s.id = sqlc.narg('keep')::session_id AND s.user_id = o.id AND s.ended_at IS NULL
)
SELECT (CASE WHEN o.id IS NULL THEN 'unknown' ELSE 'ended' END)::outcome AS outcome,
    coalesce(end_user_sessions(o.id, sqlc.narg('keep')::session_id), 0)::bigint AS sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN owner AS o ON true;

-- MarkEndedSessions walks a page of sessions in the order of their ids, after after_id (empty: from the start), and marks those as
-- ended that an ending has reached only by an epoch, for servers that read only the session's row. last_id is where the next page goes on; NULL
-- says that there is nothing more. A session that a call holds is left for the next time.
-- name: MarkEndedSessions :one
WITH page AS MATERIALIZED (
    SELECT p.id
    FROM session AS p
    WHERE p.id > @after_id::session_id
    ORDER BY p.id
    LIMIT @page_size::integer
), unseen AS MATERIALIZED (
    SELECT s.id
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.id = ANY (ARRAY(SELECT p.id::text FROM page AS p))
      AND s.ended_at IS NULL AND s.expires_at > now() AND NOT session_is_live(s, u)
    FOR NO KEY UPDATE OF s SKIP LOCKED
), marked AS (
    UPDATE session AS s
    SET ended_at = now(), expires_at = now(), updated_at = now()
    FROM unseen AS n
    WHERE s.id = n.id
    RETURNING s.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM marked)::bigint AS marked, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

-- DeleteExpiredSessions collects sessions that are over, and says how many. What was granted in them goes on without a session where
-- it may: of the batch_size sessions that are over the longest, at most batch_size rows of each table that refers to a session are
-- detached, and the sessions to which nothing refers are deleted. Repeat it until all counts are 0. What a call holds is left for the next
-- time.
-- name: DeleteExpiredSessions :one
WITH due AS MATERIALIZED (
    SELECT s.id
    FROM session AS s
    WHERE s.expires_at <= now()
    ORDER BY s.expires_at
    LIMIT @batch_size::integer
), access_tokens AS MATERIALIZED (
    SELECT t.id
    FROM due AS d
    JOIN oauth_access_token AS t ON t.session_id = d.id
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF t SKIP LOCKED
), refresh_tokens AS MATERIALIZED (
    SELECT r.id
    FROM due AS d
    JOIN oauth_refresh_token AS r ON r.session_id = d.id
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF r SKIP LOCKED
), families AS MATERIALIZED (
    SELECT a.id
    FROM due AS d
    JOIN oauth_authorization AS a ON a.session_id = d.id
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF a SKIP LOCKED
), detached_access_tokens AS (
    UPDATE oauth_access_token AS t
    SET session_id = NULL, updated_at = now()
    FROM access_tokens AS x
    WHERE t.id = x.id
    RETURNING t.id
), detached_refresh_tokens AS (
    UPDATE oauth_refresh_token AS r
    SET session_id = NULL, updated_at = now()
    FROM refresh_tokens AS x
    WHERE r.id = x.id
    RETURNING r.id
), detached_families AS (
    UPDATE oauth_authorization AS a
    SET session_id = NULL, updated_at = now()
    FROM families AS x
    WHERE a.id = x.id
    RETURNING a.id
), idle AS MATERIALIZED (
    SELECT s.id
    FROM due AS d
    JOIN session AS s ON s.id = d.id
    WHERE s.expires_at <= now()
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.session_id = s.id)
      AND NOT EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.session_id = s.id)
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.session_id = s.id)
    FOR UPDATE OF s SKIP LOCKED
), deleted AS (
    DELETE FROM session AS s
    USING idle AS i
    WHERE s.id = i.id
    RETURNING s.id
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted,
    ((SELECT count(*) FROM detached_access_tokens) + (SELECT count(*) FROM detached_refresh_tokens) + (SELECT count(*) FROM detached_families))::bigint AS detached;
