CREATE OR REPLACE FUNCTION revoke_session_grants(ended session_id)
RETURNS TABLE (authorization_id authorization_id, client_id client_id, revoked boolean)
LANGUAGE sql VOLATILE
AS $$
    -- A function, because a statement cannot see what was committed while it waited for the session's lock, and a
    -- volatile function can: it looks again. Without it a grant that was approved in that moment would outlive the session.
    WITH bound AS MATERIALIZED (
        SELECT a.id, a.client_id, a.revoked_at, 'offline_access' = ANY (coalesce(a.granted_scopes, a.scopes)) AS offline
        FROM oauth_authorization AS a
        WHERE a.session_id = ended
        ORDER BY a.id
        FOR NO KEY UPDATE
    ), condemned AS (
        -- session_id too: left to the foreign key it would be the row's second update in this transaction, upon which PostgreSQL
        -- checks its other foreign keys again, and so locks the client long after the order of locks has it
        UPDATE oauth_authorization AS a
        SET revoked_at = now(), revoked_reason = 'session_ended', session_id = NULL, updated_at = now()
        FROM bound AS b
        WHERE a.id = b.id AND b.revoked_at IS NULL AND NOT b.offline
        RETURNING a.id
    ), ended_refresh_tokens AS (
        UPDATE oauth_refresh_token AS r
        SET revoked = now(), session_id = NULL, updated_at = now()
        WHERE r.session_id = ended AND r.authorization_id IS NULL AND r.revoked IS NULL
          AND NOT 'offline_access' = ANY (r.scopes)
        RETURNING r.client_id
    ), ended_access_tokens AS (
        UPDATE oauth_access_token AS t
        SET revoked = now(), session_id = NULL, updated_at = now()
        WHERE t.session_id = ended AND t.authorization_id IS NULL AND t.revoked IS NULL
          AND NOT 'offline_access' = ANY (t.scopes)
        RETURNING t.client_id
    )
    -- A plain SELECT of the very types declared: for anything else PostgreSQL wraps the query and loses sight of its UPDATEs,
    -- so that their triggers, foreign keys included, fire after the session is gone.
    SELECT g.authorization_id::authorization_id, g.client_id::client_id, g.revoked::boolean
    FROM (
        SELECT b.id, b.client_id, c.id IS NOT NULL
        FROM bound AS b
        LEFT JOIN condemned AS c ON c.id = b.id
        UNION ALL
        SELECT NULL, s.client_id, s.client_id IN (SELECT e.client_id FROM ended_refresh_tokens AS e UNION ALL SELECT e.client_id FROM ended_access_tokens AS e)
        FROM (
            SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.session_id = ended AND r.authorization_id IS NULL
            UNION
            SELECT t.client_id FROM oauth_access_token AS t WHERE t.session_id = ended AND t.authorization_id IS NULL
        ) AS s
    ) AS g (authorization_id, client_id, revoked)
$$;

COMMENT ON FUNCTION revoke_session_grants(session_id) IS 'Part of EndSession: revokes what was granted in the session and lacks offline_access, and names every client that the session knew.';
