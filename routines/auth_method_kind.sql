CREATE OR REPLACE FUNCTION auth_method_kind(method text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN method IN ('client_secret_basic', 'client_secret_post') THEN 'secret'
        WHEN method = 'private_key_jwt' THEN 'key'
        WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth') THEN 'certificate'
        WHEN method = 'none' THEN 'none'
    END
$$;

COMMENT ON FUNCTION auth_method_kind(text) IS 'What a client authenticates with, by token_endpoint_auth_method: secret, key, certificate or none. NULL for a method that is not known.';
