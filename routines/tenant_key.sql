CREATE OR REPLACE FUNCTION tenant_key(reference_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN reference_id IS NULL THEN '-' WHEN octet_length(reference_id) > 64 THEN '.' || md5(reference_id) ELSE '.' || reference_id END;

COMMENT ON FUNCTION tenant_key(text) IS 'The key of a tenant in ended_grants. A long reference_id is hashed. If two hashes collide, ending one tenant''s grants ends the other''s too, which is safe.';
