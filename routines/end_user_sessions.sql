CREATE OR REPLACE FUNCTION end_user_sessions(owner text, keep text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- SKIP LOCKED, because the epoch has ended a session that another call holds as well
    RETURN end_sessions(ARRAY(
        SELECT s.id::text
        FROM session AS s
        WHERE s.user_id = owner AND s.id IS DISTINCT FROM keep AND s.ended_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ));
END
$$;

COMMENT ON FUNCTION end_user_sessions(text, text) IS 'Part of the calls that raise sessions_epoch. Marks the sessions of a user as ended, except the one to keep, for servers that read only the session''s row. Returns how many it marked.';
