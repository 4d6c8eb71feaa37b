CREATE OR REPLACE FUNCTION end_sessions(doomed text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    sessions bigint;
BEGIN
    UPDATE session AS s
    SET ended_at = now(), expires_at = least(s.expires_at, now()), updated_at = now()
    WHERE s.id = ANY (doomed) AND s.ended_at IS NULL;
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    WHERE k.id = ANY (ARRAY(
        SELECT x.id::text
        FROM session_client AS x
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ));
    RETURN sessions;
END
$$;

COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions and makes the notification of their clients due. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';
