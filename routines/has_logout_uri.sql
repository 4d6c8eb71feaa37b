CREATE OR REPLACE FUNCTION has_logout_uri(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(c.backchannel_logout_uri <> '' AND c.deleted_at IS NULL, false);

COMMENT ON FUNCTION has_logout_uri(oauth_client) IS 'Whether a client is told of sign-outs (OpenID Connect Back-Channel Logout, section 2.2). A disabled client is, because its own sessions go on; a deleted one is not. Never NULL.';
