CREATE OR REPLACE FUNCTION details_as_set(details jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(details) IS DISTINCT FROM 'array' THEN
        RETURN details;
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM (
            SELECT e.element, min(e.n) AS n
            FROM jsonb_array_elements(details) WITH ORDINALITY AS e (element, n)
            GROUP BY e.element
        ) AS d
    );
END
$$;

COMMENT ON FUNCTION details_as_set(jsonb) IS 'The distinct elements of authorization_details, in the order of their first occurrence. NULL if there is none.';
