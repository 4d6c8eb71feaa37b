CREATE OR REPLACE FUNCTION client_key(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN octet_length(client_id) > 64 THEN md5(client_id) ELSE client_id END;

COMMENT ON FUNCTION client_key(text) IS 'The key of a client in ended_grants. A long client_id is hashed.';
