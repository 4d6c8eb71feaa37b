CREATE OR REPLACE FUNCTION own_sector(client_id text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN 'client:' || client_key(client_id);
END
$$;

COMMENT ON FUNCTION own_sector(text) IS 'The sector of a client that shares one with no other client. It is no host name, so no registration can claim it.';
