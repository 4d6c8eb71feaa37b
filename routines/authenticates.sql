CREATE OR REPLACE FUNCTION authenticates(c oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        c.client_id IS NOT NULL
        AND CASE
            WHEN method = 'verified' THEN true
            WHEN is_public(c) THEN method = 'none'
            WHEN auth_method_kind(method) IN ('key', 'certificate') THEN auth_method_kind(method) = auth_method_kind(c.token_endpoint_auth_method)
                OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL AND method = 'private_key_jwt')
            WHEN auth_method_kind(method) = 'secret' AND auth_method_kind(coalesce(c.token_endpoint_auth_method, 'client_secret_basic')) = 'secret'
            THEN coalesce(c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()), false)
                OR is_older_secret(c.client_id, presented)
        END,
        false
    )
$$;

COMMENT ON FUNCTION authenticates(oauth_client, text, token_digest) IS 'Whether a client is authenticated by a method of the kind that it is registered for (RFC 6749, section 2.3): a secret by its digest, a key or a certificate that the server has verified. verified stands for whatever the server has checked in a step of its own. Never NULL.';
