CREATE OR REPLACE FUNCTION end_user_sessions(owner text, keep text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- SKIP LOCKED: whoever holds a session ends it, deletes it or extends it, and the epoch has ended it in any case
    RETURN end_sessions(ARRAY(
        SELECT s.id::text
        FROM session AS s
        WHERE s.user_id = owner AND s.id IS DISTINCT FROM keep AND s.ended_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ));
END
$$;

COMMENT ON FUNCTION end_user_sessions(text, text) IS 'Part of what raises sessions_epoch: marks the sessions that it sees as ended, but for one to keep, for servers that read only the session''s row, and says how many.';
