CREATE OR REPLACE FUNCTION authenticates(c oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    c.client_id IS NOT NULL
    AND CASE
        WHEN method = 'verified' THEN true
        WHEN is_public(c) THEN method = 'none'
        WHEN method IN ('client_secret_basic', 'client_secret_post')
        THEN coalesce(c.token_endpoint_auth_method, method) IN ('client_secret_basic', 'client_secret_post')
            AND (
                (c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()))
                OR is_older_secret(c.client_id, presented)
            )
        ELSE may_use_key(c, method)
    END,
    false
);

COMMENT ON FUNCTION authenticates(oauth_client, text, token_digest) IS 'Whether a client is authenticated by a method of the kind that it is registered for (RFC 6749, section 2.3; RFC 7591, section 2). A secret is compared by its digest; a key or certificate has been verified by the server. The method verified means that the server has authenticated the client in a step of its own. A client without a registered method may use its secret, or a key if it has no secret. Never NULL.';
