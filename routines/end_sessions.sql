CREATE OR REPLACE FUNCTION end_sessions(doomed text[]) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path FROM CURRENT
AS $$
    WITH ended AS (
        UPDATE session AS s
        SET ended_at = now(), expires_at = least(s.expires_at, now()), updated_at = now()
        WHERE s.id = ANY (doomed) AND s.ended_at IS NULL
        RETURNING s.id
    ), to_tell AS MATERIALIZED (
        SELECT k.id
        FROM session_client AS k
        WHERE k.session_id = ANY (doomed) AND k.due_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ), due AS (
        UPDATE session_client AS k
        SET due_at = now(), updated_at = now()
        FROM to_tell AS t
        WHERE k.id = t.id
    )
    SELECT count(*) FROM ended
$$;

COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions, makes it due to tell their clients, and says how many had not ended before. A client that another call holds is left to SweepSessionClients.';
