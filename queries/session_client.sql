-- ListSessionClients lists the clients that know a session, in the order in which they came to know it: those to notify when it ends (OpenID
-- Connect Back-Channel Logout 1.0; Front-Channel Logout 1.0). It works for a session that is deleted, too, while a client has to be notified.
-- name: ListSessionClients :many
SELECT k.*
FROM session_client AS k
WHERE k.session_id = @session_id::session_id
ORDER BY k.created_at, k.id;

-- SweepSessionClients looks at the clients of sessions that have ended or are gone. It makes their notification due, and deletes the rows of
-- clients that were notified or have no logout URI. It looks at page_size rows in the order of their ids, those after after_id; begin with
-- the empty id and go on with last_id, which is NULL when no row is left. It skips rows that are locked.
-- name: SweepSessionClients :one
WITH page AS MATERIALIZED (
    SELECT p.id
    FROM session_client AS p
    WHERE p.id > @after_id::session_client_id
    ORDER BY p.id
    LIMIT @page_size::integer
), over AS MATERIALIZED (
    SELECT k.id, k.told_at IS NOT NULL OR c.backchannel_logout_uri IS NULL AS is_done
    FROM session_client AS k
    JOIN oauth_client AS c ON c.client_id = k.client_id
    LEFT JOIN session AS s ON s.id = k.session_id
    LEFT JOIN "user" AS u ON u.id = s.user_id
    WHERE k.id = ANY (ARRAY(SELECT p.id::text FROM page AS p))
      AND (k.due_at IS NULL OR k.told_at IS NOT NULL OR c.backchannel_logout_uri IS NULL)
      AND NOT session_is_live(s, u)
    FOR UPDATE OF k SKIP LOCKED
), due AS (
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    FROM over AS o
    WHERE k.id = o.id AND NOT o.is_done
    RETURNING k.id
), deleted AS (
    DELETE FROM session_client AS k
    USING over AS o
    WHERE k.id = o.id AND o.is_done
    RETURNING k.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM due)::bigint AS due, (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
