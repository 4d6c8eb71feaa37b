CREATE OR REPLACE FUNCTION lock_grant_parents(doomed_user user_id, doomed_clients text[]) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$
    -- A function, because it has to see what was granted while the statement waited for the user or client that it deletes: the
    -- cascade sees that too.
    WITH clients AS MATERIALIZED (
        SELECT c.client_id
        FROM oauth_client AS c
        WHERE c.client_id = ANY (
            ARRAY(
                SELECT a.client_id::text FROM oauth_authorization AS a WHERE a.user_id = doomed_user
                UNION
                SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.user_id = doomed_user
                UNION
                SELECT t.client_id FROM oauth_access_token AS t WHERE t.user_id = doomed_user
            )
        )
        ORDER BY c.client_id
        FOR KEY SHARE
    ), sessions AS MATERIALIZED (
        SELECT s.id
        FROM session AS s
        WHERE (SELECT count(*) FROM clients) >= 0
          AND s.id = ANY (
            ARRAY(
                SELECT x.id::text FROM session AS x WHERE x.user_id = doomed_user
                UNION
                SELECT a.session_id FROM oauth_authorization AS a WHERE a.client_id = ANY (doomed_clients)
                UNION
                SELECT r.session_id FROM oauth_refresh_token AS r WHERE r.client_id = ANY (doomed_clients)
                UNION
                SELECT t.session_id FROM oauth_access_token AS t WHERE t.client_id = ANY (doomed_clients)
            )
        )
        ORDER BY s.id
        FOR KEY SHARE
    )
    SELECT (SELECT count(*) FROM clients) + (SELECT count(*) FROM sessions)
$$;

COMMENT ON FUNCTION lock_grant_parents(user_id, text[]) IS 'Part of DeleteUser and DeleteClient: locks the clients and sessions by which others end the same grants, before the cascade reaches these in no order that one could follow.';
