CREATE OR REPLACE FUNCTION uses_grant_type(c oauth_client, grant_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(grant_type = ANY (coalesce(c.grant_types, '{authorization_code,refresh_token}')), false);

COMMENT ON FUNCTION uses_grant_type(oauth_client, text) IS 'Whether a client is registered for a grant type (RFC 7591, section 2). A client without registered grant types uses authorization_code, and the refresh tokens that a server chooses to issue with it. Never NULL.';
