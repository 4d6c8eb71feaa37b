CREATE OR REPLACE FUNCTION missing_authorization_details(asked jsonb, agreed jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(asked) <> 'array' THEN
        PERFORM refuse_parameter('AuthorizationDetails', 'is not a list');
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM jsonb_array_elements(asked) WITH ORDINALITY AS d (element, n)
        -- whole and equal: for @>, an element without a limit would be within one that has it
        WHERE d.element NOT IN (SELECT jsonb_array_elements(agreed))
    );
END
$$;

COMMENT ON FUNCTION missing_authorization_details(jsonb, jsonb) IS 'The elements of one list of authorization_details (RFC 9396) that the other one does not have, whole and equal. NULL if there is none. A parameter that is not a list is an error.';
