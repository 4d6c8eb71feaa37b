CREATE OR REPLACE FUNCTION key_fits(bound_to jsonb, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(coalesce(proven, '{}') @> bound_to, true);

COMMENT ON FUNCTION key_fits(jsonb, jsonb) IS 'Whether the key that a caller has proven to hold is the one that a grant is bound to (RFC 7800). True if the grant is bound to none.';
