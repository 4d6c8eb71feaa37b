CREATE OR REPLACE FUNCTION is_public(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    c.public,
    c.token_endpoint_auth_method = 'none',
    c.client_secret IS NULL AND c.foreign_secret_hash IS NULL AND c.jwks IS NULL AND c.jwks_uri IS NULL
);

COMMENT ON FUNCTION is_public(oauth_client) IS 'Whether a client is public: it can''t keep a secret (RFC 6749, section 2.1).';
