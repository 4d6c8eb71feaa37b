CREATE OR REPLACE FUNCTION refresh_token_is_live(r oauth_refresh_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now()) AND is_live(a, c, u, s), false);

COMMENT ON FUNCTION refresh_token_is_live(oauth_refresh_token, oauth_authorization, oauth_client, "user", session) IS 'Whether a refresh token is live: neither spent nor expired, and its family a is live. c, u and s are those of is_live. Never NULL.';
