CREATE OR REPLACE FUNCTION session_goes_on(s session, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN s.ended_at IS NULL
    AND s.expires_at > now()
    AND s.user_sessions_epoch >= u.sessions_epoch; -- greater where a statement waited for the session: s is then the latest version, u the snapshot's

COMMENT ON FUNCTION session_goes_on(session, "user") IS 'Part of session_is_live: whether a session of the user has neither ended nor expired. NULL without a session or a user.';
