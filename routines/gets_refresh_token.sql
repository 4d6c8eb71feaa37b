CREATE OR REPLACE FUNCTION gets_refresh_token(c oauth_client, granted_scopes text[], needs_offline_access boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uses_grant_type(c, 'refresh_token') AND (NOT needs_offline_access OR 'offline_access' = ANY (coalesce(granted_scopes, '{}')));

COMMENT ON FUNCTION gets_refresh_token(oauth_client, text[], boolean) IS 'Whether a client gets a refresh token with a grant, if the server issues one: it has to be registered for refresh_token and, if the server wants it so, granted offline_access (OpenID Connect Core, section 11). Never NULL.';
