CREATE OR REPLACE FUNCTION may_use_key(c oauth_client, method text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN method = 'private_key_jwt'
        THEN c.token_endpoint_auth_method = method
            OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)
        WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth')
        THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')
    END;
END
$$;

COMMENT ON FUNCTION may_use_key(oauth_client, text) IS 'Part of authenticates: whether a client may authenticate by a key or certificate. Not inlined, so that clients with a secret, or none, don''t pay for it.';
