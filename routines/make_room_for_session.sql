CREATE OR REPLACE FUNCTION make_room_for_session(owner text, max_sessions integer, newest text DEFAULT '') RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF max_sessions <= 0 THEN
        RETURN 0;
    END IF;
    -- sign-ins of a user run one after the other; the statement below sees what the earlier ones have committed
    PERFORM FROM "user" AS u WHERE u.id = owner FOR NO KEY UPDATE;
    RETURN end_sessions(ARRAY(
        SELECT l.id::text
        FROM session AS l
        WHERE l.id IN (
            SELECT s.id
            FROM session AS s
            JOIN "user" AS u ON u.id = s.user_id
            WHERE s.user_id = owner AND s.id <> newest AND session_is_live(s, u)
            ORDER BY s.created_at DESC, s.id DESC
            OFFSET max_sessions - 1
        )
        ORDER BY l.id
        FOR NO KEY UPDATE
    ));
END
$$;

COMMENT ON FUNCTION make_room_for_session(text, integer, text) IS 'Part of CreateSession: ends the oldest live sessions of a user, so that no more than max_sessions are left with the newest, which has just been written. Returns how many it ended. 0 is no maximum.';
