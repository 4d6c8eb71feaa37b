CREATE OR REPLACE FUNCTION details_of_types(details jsonb, types text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF types IS NULL OR jsonb_typeof(details) IS DISTINCT FROM 'array' THEN
        RETURN details;
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM jsonb_array_elements(details) WITH ORDINALITY AS d (element, n)
        WHERE d.element ->> 'type' = ANY (types)
    );
END
$$;

COMMENT ON FUNCTION details_of_types(jsonb, text[]) IS 'The elements of authorization_details that are of one of some types; all if the types are NULL. What is no list stays as it is. NULL if there is none.';
