CREATE OR REPLACE FUNCTION session_is_live(s session, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    s.ended_at IS NULL
    AND s.expires_at > now()
    AND s.user_sessions_epoch >= u.sessions_epoch -- greater where a statement waited for the session: s is then the latest version, u the snapshot's
    AND u.suspended_at IS NULL
    AND u.deleted_at IS NULL,
    false
);

COMMENT ON FUNCTION session_is_live(session, "user") IS 'Whether a session of the user is live. Never NULL.';
