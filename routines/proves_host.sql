CREATE OR REPLACE FUNCTION proves_host(grant_types text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(grant_types, ARRAY['authorization_code']) <@ ARRAY['authorization_code', 'implicit', 'refresh_token', 'client_credentials'];

COMMENT ON FUNCTION proves_host(text[]) IS 'Whether a client with these grant types learns who a user is only at its redirect URIs, so that their host may be taken for its sector. Never NULL.';
