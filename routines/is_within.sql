CREATE OR REPLACE FUNCTION is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- <@ compares each value with each, which takes too long for a long list
RETURN CASE WHEN cardinality(part) <= 32 THEN part <@ whole ELSE long_list_is_within(part, whole) END;

COMMENT ON FUNCTION is_within(text[], text[]) IS 'Whether all values of a list are in another one. NULL if one of the lists is.';
