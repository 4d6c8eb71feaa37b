CREATE OR REPLACE FUNCTION asked_or_granted(asked text[], granted text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(asked) > 0 THEN as_set(asked) ELSE granted END;

COMMENT ON FUNCTION asked_or_granted(text[], text[]) IS 'The scopes or resources that a token is asked for or, if the request names none, all that was granted (RFC 6749, section 6; RFC 8707, section 2.2).';
