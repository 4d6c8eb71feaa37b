CREATE OR REPLACE FUNCTION tenant_key(reference_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN reference_id IS NULL THEN '-' WHEN octet_length(reference_id) > 64 THEN '.' || md5(reference_id) ELSE '.' || reference_id END
$$;

COMMENT ON FUNCTION tenant_key(text) IS 'The key of a tenant in ended_grants. Long ones are hashed: two that meet end each other''s grants, which is the safe side.';
