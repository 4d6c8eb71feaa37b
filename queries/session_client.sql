-- ListSessionClients lists the clients that a session is known to, in the order in which they came to know it: those to tell when it ends
-- (OpenID Connect Back-Channel Logout 1.0; Front-Channel Logout 1.0). It answers for as long as there is somebody to tell, also when the
-- session itself is gone.
-- name: ListSessionClients :many
SELECT k.*
FROM session_client AS k
WHERE k.session_id = @session_id::session_id
ORDER BY k.created_at, k.id;

-- SweepSessionClients walks a page of what sessions are known to clients, in the order of ids, after after_id (empty: from the start).
-- Where the session is not live, or gone, it makes telling the client due; where the client has been told, or has no logout URI to be told
-- at, it deletes the row. last_id is where the next page goes on; NULL says that there is nothing more. What a call holds is left for
-- the next time.
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
