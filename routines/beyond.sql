CREATE OR REPLACE FUNCTION beyond(list text[], allowed text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN ARRAY(
        SELECT l.value
        FROM unnest(as_set(list)) WITH ORDINALITY AS l (value, n)
        WHERE l.value NOT IN (SELECT a.value FROM unnest(as_set(allowed)) AS a (value))
        ORDER BY l.n
    );
END
$$;

COMMENT ON FUNCTION beyond(text[], text[]) IS 'The distinct values of a list that are not allowed, in the order of their first occurrence. Never NULL.';
