CREATE OR REPLACE FUNCTION may_introspect(k oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT k.disabled AND method <> 'none' AND authenticates(k, method, presented);

COMMENT ON FUNCTION may_introspect(oauth_client, text, token_digest) IS 'Whether a client may ask about tokens (RFC 7662, section 2.1): it is authenticated, and not disabled. none is no authentication here. Never NULL.';
