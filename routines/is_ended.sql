CREATE OR REPLACE FUNCTION is_ended(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT coalesce(
    a.revoked_at IS NULL
    AND a.client_epoch = c.grants_epoch
    AND u.suspended_at IS NULL
    AND u.deleted_at IS NULL
    AND a.user_epoch = u.grants_epoch
    AND a.pair_epoch = pair_epoch(u.ended_grants, a.client_id, a.reference_id)
    AND (NOT a.bound OR session_goes_on(s, u)),
    false
);

COMMENT ON FUNCTION is_ended(oauth_authorization, oauth_client, "user", session) IS 'Whether the family a, granted by u to c, has been ended for good. s is the session of a bound family; it is ignored for others. Never NULL; true for an authorization that was never granted.';
