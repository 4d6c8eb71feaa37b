-- CreateSession records that a user has signed in. The session lasts for lifetime, unless it is extended. With max_sessions above 0, the
-- user's oldest live sessions end, so that no more than max_sessions are left with the new one; ended_sessions says how many. If a user
-- authenticates again in a session that goes on, call ReauthenticateSession, which adds no session.
--   - created: the session is written
--   - unknown: there is no such user
--   - suspended: the user is suspended (access_denied)
--   - taken: the id or token belongs to another session, or the same call was made before; call again with new ones
-- Only created changes anything.
-- name: CreateSession :one
WITH owner AS MATERIALIZED (
    SELECT u.id, coalesce(user_refusal(u), 'created')::outcome AS outcome
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR KEY SHARE
), created AS (
    INSERT INTO session (id, user_id, token, expires_at, ip_address, user_agent, label, acr, amr, auth_time)
    SELECT @id::session_id, o.id, @token::token_digest, deadline(@lifetime::interval, NULL, 'Lifetime'), sqlc.narg('ip_address')::text,
        sqlc.narg('user_agent')::text, sqlc.narg('label')::text, sqlc.narg('acr')::text, sqlc.narg('amr')::text[],
        sqlc.narg('auth_time')::timestamptz
    FROM owner AS o
    WHERE o.outcome = 'created'
    ON CONFLICT DO NOTHING -- of id and token: of two same calls at once, either may conflict first
    RETURNING id, user_id, expires_at
), room AS MATERIALIZED (
    -- after the session is written, so that a call that writes none ends none
    SELECT make_room_for_session(n.user_id, @max_sessions::integer, n.id) AS ended
    FROM created AS n
)
SELECT noted(
        (CASE WHEN o.outcome IS NULL THEN 'unknown' WHEN o.outcome = 'created' AND n.id IS NULL THEN 'taken' ELSE o.outcome END)::outcome,
        'CreateSession', of_user => o.id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    n.expires_at, coalesce(r.ended, 0)::bigint AS ended_sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN owner AS o ON true
LEFT JOIN created AS n ON true
LEFT JOIN room AS r ON true;

-- GetSession returns one session in any state. Zero rows: there is no such session.
-- name: GetSession :one
SELECT s.*
FROM session AS s
WHERE s.id = @id::session_id;

-- FindSessionByToken returns a live session by the digest of its cookie, and its user. Zero rows: there is no such session, or it is not live.
-- name: FindSessionByToken :one
SELECT sqlc.embed(s), sqlc.embed(u)
FROM session AS s
JOIN "user" AS u ON u.id = s.user_id
WHERE s.token = @token::token_digest AND session_is_live(s, u);

-- ListUserSessions returns a page of a user's live sessions, oldest first. Begin with the zero time and the empty id; for the next page pass
-- created_at and id of the last row.
-- name: ListUserSessions :many
SELECT s.*
FROM session AS s
JOIN "user" AS u ON u.id = s.user_id
WHERE s.user_id = @user_id::user_id
  AND (s.created_at, s.id) > (@after_created_at::timestamptz, @after_id::session_id)
  AND session_is_live(s, u)
ORDER BY s.created_at, s.id
LIMIT @page_size::integer;

-- ExtendSession extends a live session: it lasts for another lifetime from now, but not longer than max_lifetime from its beginning (NULL:
-- no such bound), and never less long than before. To spare writes, it changes nothing if it would add less than min_gain.
--   - extended: the session lasts until expires_at
--   - active: the session goes on as it is
--   - signed_out: there is no such session, or it is not live (login_required)
-- name: ExtendSession :one
WITH target AS MATERIALIZED (
    SELECT s.id, least(deadline(@lifetime::interval, NULL, 'Lifetime'), s.created_at + sqlc.narg('max_lifetime')::interval) AS extended_to
    FROM session AS s
    WHERE s.id = @id::session_id
), extended AS (
    -- no lock before the UPDATE: it begins with the snapshot's version of the row, where another call may wait for whoever has locked the
    -- latest one
    UPDATE session AS s
    SET expires_at = t.extended_to, last_seen_at = now(), updated_at = now()
    FROM target AS t
    CROSS JOIN "user" AS u
    WHERE s.id = t.id AND u.id = s.user_id AND session_is_live(s, u)
      AND t.extended_to >= s.expires_at + @min_gain::interval AND t.extended_to > s.expires_at
    RETURNING s.user_id, s.expires_at
), answer AS (
    SELECT 'extended'::outcome AS outcome, e.user_id, e.expires_at
    FROM extended AS e
    UNION ALL
    SELECT 'active', s.user_id, s.expires_at
    FROM live_session(@id::session_id) AS s (user_id, expires_at)
    WHERE s.user_id IS NOT NULL AND NOT EXISTS (SELECT FROM extended)
)
SELECT coalesce(w.outcome, 'signed_out')::outcome AS outcome, w.user_id, w.expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN answer AS w ON true;

-- ReauthenticateSession records that the user has authenticated again in a session that goes on, for prompt=login or a step up to another
-- acr. It adds and ends no session, and no client is notified. token is the digest of a new cookie; NULL keeps the present one. That of
-- another session is an error.
--   - authenticated: the session has a new auth_time, acr and amr
--   - signed_out: there is no such session of the user, or it is not live (login_required)
-- name: ReauthenticateSession :one
WITH authenticated AS (
    UPDATE session AS s
    SET token = coalesce(sqlc.narg('token')::token_digest, s.token), acr = sqlc.narg('acr')::text, amr = sqlc.narg('amr')::text[],
        auth_time = now(), last_seen_at = now(), updated_at = now()
    FROM "user" AS u
    WHERE s.id = @id::session_id AND s.user_id = @user_id::user_id AND u.id = s.user_id AND session_is_live(s, u)
    RETURNING s.auth_time
)
SELECT (CASE WHEN a.auth_time IS NULL THEN 'signed_out' ELSE 'authenticated' END)::outcome AS outcome, a.auth_time
FROM (VALUES (true)) AS one (n)
LEFT JOIN authenticated AS a ON true;

-- EndSession signs a user out of one session. Everything that was granted in it without offline_access is dead with it (OpenID Connect
-- Back-Channel Logout 1.0, section 2.7). ListSessionClients lists the clients to notify.
--   - ended: the session is over
--   - revoked: the session had been ended before, or has expired and is being deleted
--   - unknown: there is no such session
-- name: EndSession :one
SELECT noted(
        (CASE WHEN e.sessions > 0 THEN 'ended' WHEN s.id IS NOT NULL THEN settled('revoked') ELSE 'unknown' END)::outcome,
        'EndSession', of_user => s.user_id, of_session => s.id
    )::outcome AS outcome,
    s.user_id
FROM (VALUES (true)) AS one (n)
CROSS JOIN end_sessions(ARRAY[(@id::session_id)::text]) AS e (sessions)
LEFT JOIN session AS s ON s.id = @id::session_id;

-- EndUserSessions ends all sessions of a user except keep, if that is set: 'sign out everywhere else'. It also ends a session that begins
-- concurrently. Two concurrent calls that keep the same session keep it; two that keep different ones keep none.
--   - ended: the sessions are over; sessions says how many had not been ended before
--   - unknown: there is no such user
-- name: EndUserSessions :one
WITH owner AS MATERIALIZED (
    UPDATE "user" AS u
    SET sessions_epoch = u.sessions_epoch + 1, updated_at = now()
    WHERE u.id = @user_id::user_id AND u.deleted_at IS NULL
    RETURNING u.id, u.sessions_epoch
), kept AS (
    -- compared in SET, which sees the latest version of the row; WHERE would see the snapshot's
    UPDATE session AS s
    SET user_sessions_epoch = CASE WHEN s.user_sessions_epoch = o.sessions_epoch - 1 THEN o.sessions_epoch ELSE s.user_sessions_epoch END,
        updated_at = now()
    FROM owner AS o
    WHERE s.id = sqlc.narg('keep')::session_id AND s.user_id = o.id
    RETURNING s.id
)
SELECT noted((CASE WHEN o.id IS NULL THEN 'unknown' ELSE 'ended' END)::outcome, 'EndUserSessions', of_user => o.id)::outcome AS outcome,
    -- the one to keep comes first: a statement that holds sessions must not wait for another one
    end_user_sessions(o.id, k.id)::bigint AS sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN owner AS o ON true
LEFT JOIN kept AS k ON true;

-- MarkEndedSessions sets ended_at of sessions that an ending has reached through a counter, for servers that read only the session's row. It
-- looks at page_size sessions in the order of their ids, those after after_id; begin with the empty id and go on with last_id, which is NULL
-- when no session is left. It skips rows that are locked.
-- name: MarkEndedSessions :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid
    FROM session AS p
    WHERE p.id > @after_id::session_id
    ORDER BY p.id
    LIMIT @page_size::integer
), unseen AS MATERIALIZED (
    SELECT s.id
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
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

-- DeleteExpiredSessions deletes sessions that are over. It looks at the batch_size first of those that expired at after_expires_at or later.
-- One call detaches up to batch_size rows of each table that refers to them, whose grants may go on without a session, and deletes the
-- sessions to which nothing refers any more. Begin with the zero time, and go on with last_expires_at, which is that of the first session that
-- stays, until both counts are 0. It skips rows that are locked.
-- name: DeleteExpiredSessions :one
WITH due AS MATERIALIZED (
    SELECT s.id, s.expires_at
    FROM session AS s
    WHERE s.expires_at >= @after_expires_at::timestamptz AND s.expires_at <= now()
    ORDER BY s.expires_at
    LIMIT @batch_size::integer
), access_tokens AS MATERIALIZED (
    SELECT t.ctid::tid AS ctid
    FROM due AS d
    JOIN oauth_access_token AS t ON t.session_id = d.id
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF t SKIP LOCKED
), refresh_tokens AS MATERIALIZED (
    SELECT r.ctid::tid AS ctid
    FROM due AS d
    JOIN oauth_refresh_token AS r ON r.session_id = d.id
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF r SKIP LOCKED
), families AS MATERIALIZED (
    SELECT a.ctid::tid AS ctid
    FROM due AS d
    JOIN oauth_authorization AS a ON a.session_id = d.id
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF a SKIP LOCKED
), detached_access_tokens AS (
    UPDATE oauth_access_token AS t
    SET session_id = NULL, updated_at = now()
    WHERE t.ctid = ANY (ARRAY(SELECT x.ctid FROM access_tokens AS x))
    RETURNING t.id
), detached_refresh_tokens AS (
    UPDATE oauth_refresh_token AS r
    SET session_id = NULL, updated_at = now()
    WHERE r.ctid = ANY (ARRAY(SELECT x.ctid FROM refresh_tokens AS x))
    RETURNING r.id
), detached_families AS (
    UPDATE oauth_authorization AS a
    SET session_id = NULL, updated_at = now()
    WHERE a.ctid = ANY (ARRAY(SELECT x.ctid FROM families AS x))
    RETURNING a.id
), idle AS MATERIALIZED (
    SELECT s.id, s.ctid::tid AS ctid
    FROM due AS d
    JOIN session AS s ON s.id = d.id
    WHERE s.expires_at <= now()
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.session_id = s.id)
      AND NOT EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.session_id = s.id)
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.session_id = s.id)
    FOR UPDATE OF s SKIP LOCKED
), deleted AS (
    DELETE FROM session AS s
    WHERE s.ctid = ANY (ARRAY(SELECT i.ctid FROM idle AS i))
    RETURNING s.id
), last AS ( -- the first that stays, or else the last that goes
    SELECT d.expires_at
    FROM due AS d
    LEFT JOIN idle AS i ON i.id = d.id
    ORDER BY CASE WHEN i.id IS NULL THEN d.expires_at END, d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted,
    ((SELECT count(*) FROM detached_access_tokens) + (SELECT count(*) FROM detached_refresh_tokens) + (SELECT count(*) FROM detached_families))::bigint AS detached,
    l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
