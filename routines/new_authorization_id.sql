CREATE OR REPLACE FUNCTION new_authorization_id() RETURNS authorization_id
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    -- a UUIDv7 (RFC 9562, section 5.7) made from the clock and a random UUIDv4, because uuidv7() needs PostgreSQL 18
    SELECT (
        'azn_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::authorization_id
$$;

COMMENT ON FUNCTION new_authorization_id() IS 'A time-ordered identifier like those of store.NewAuthorizationID, for a family that a statement creates without being given an id.';
