CREATE OR REPLACE FUNCTION is_live(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT coalesce(c.disabled, true) AND NOT is_ended(a, c, u, s);

COMMENT ON FUNCTION is_live(oauth_authorization, oauth_client, "user", session) IS 'Whether the family a, granted by u to c, is live: it has not been ended, and its client is not disabled. s is the session of a bound family; it is ignored for others. Never NULL.';
