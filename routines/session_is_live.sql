CREATE OR REPLACE FUNCTION session_is_live(s session, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(session_goes_on(s, u) AND u.suspended_at IS NULL AND u.deleted_at IS NULL, false);

COMMENT ON FUNCTION session_is_live(session, "user") IS 'Whether a session of the user is live. Never NULL.';
