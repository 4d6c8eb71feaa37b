CREATE OR REPLACE FUNCTION manages(c oauth_client, manager token_digest, successor token_digest) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(c.registration_access_token = manager OR (c.previous_registration_access_token = manager AND c.registration_access_token = successor), false);

COMMENT ON FUNCTION manages(oauth_client, token_digest, token_digest) IS 'Whether a registration access token manages a client (RFC 7592). One that was replaced by successor does until successor is used, so that an update whose answer was lost can be sent again. Never NULL.';
