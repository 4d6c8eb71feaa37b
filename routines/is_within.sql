CREATE OR REPLACE FUNCTION is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- <@ compares each value with each. For a long list that takes too long, and keys of an object are searched instead.
RETURN CASE WHEN cardinality(part) <= 32 THEN part <@ whole ELSE jsonb_object(whole, whole) ?& part END;

COMMENT ON FUNCTION is_within(text[], text[]) IS 'Whether all values of a list are in another one. NULL if one of the lists is.';
