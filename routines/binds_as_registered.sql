CREATE OR REPLACE FUNCTION binds_as_registered(c oauth_client, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (c.dpop_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'jkt', false))
    AND (c.tls_client_certificate_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'x5t#S256', false));

COMMENT ON FUNCTION binds_as_registered(oauth_client, jsonb) IS 'Whether a caller has proven to hold the kinds of key that the client''s access tokens have to be bound to (RFC 9449, section 5.2; RFC 8705, section 3.4). True if they need not be bound. Never NULL.';
