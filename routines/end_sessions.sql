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
        JOIN oauth_client AS c ON c.client_id = x.client_id
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL AND x.abandoned_at IS NULL AND has_logout_uri(c)
        FOR NO KEY UPDATE OF x SKIP LOCKED
    ));
    RETURN sessions;
END
$$;

COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions and makes the notification of their clients due, of those that have a logout URI. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';
