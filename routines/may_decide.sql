CREATE OR REPLACE FUNCTION may_decide(a oauth_authorization, decider text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN a.kind NOT IN ('device', 'ciba') OR coalesce(a.user_id = decider, false);

COMMENT ON FUNCTION may_decide(oauth_authorization, text) IS 'Whether a user may decide about a request. The request of a device is that of the user who claimed it with its user code, and one of CIBA that of the user whom the client named. Never NULL.';
