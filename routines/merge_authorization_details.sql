CREATE OR REPLACE FUNCTION merge_authorization_details(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(more) <> 'array' THEN
        PERFORM refuse_parameter('AuthorizationDetails', 'is not a list');
    END IF;
    RETURN (
        SELECT jsonb_agg(m.element ORDER BY m.n)
        FROM (
            SELECT d.element, min(d.n) AS n
            FROM jsonb_array_elements(coalesce(earlier, '[]') || coalesce(more, '[]')) WITH ORDINALITY AS d (element, n)
            GROUP BY d.element
        ) AS m
    );
END
$$;

COMMENT ON FUNCTION merge_authorization_details(jsonb, jsonb) IS 'The elements of both lists, each once. NULL if there is none. A parameter that is not a list is an error.';
