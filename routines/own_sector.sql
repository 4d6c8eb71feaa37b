CREATE OR REPLACE FUNCTION own_sector(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'client:' || client_key(client_id);

COMMENT ON FUNCTION own_sector(text) IS 'The sector of a client that shares one with no other client. It is no host name, so no registration can claim it.';
