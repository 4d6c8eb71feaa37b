CREATE OR REPLACE FUNCTION live_session(of_session text, OUT owner user_id, OUT ends_at timestamptz)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT s.user_id, s.expires_at INTO owner, ends_at
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.id = of_session AND session_is_live(s, u);
END
$$;

COMMENT ON FUNCTION live_session(text) IS 'Part of ExtendSession: returns a session as it is now, if it is live. VOLATILE, so that it sees what was committed while the statement waited for the session.';
