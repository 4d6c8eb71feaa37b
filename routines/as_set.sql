CREATE OR REPLACE FUNCTION as_set(list text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN ARRAY(
        SELECT l.value
        FROM unnest(list) WITH ORDINALITY AS l (value, n)
        WHERE l.value IS NOT NULL
        GROUP BY l.value
        ORDER BY min(l.n)
    );
END
$$;

COMMENT ON FUNCTION as_set(text[]) IS 'The distinct values of a list, in the order of their first occurrence, without NULLs. A NULL list gives an empty one.';
