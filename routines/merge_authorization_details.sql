CREATE OR REPLACE FUNCTION merge_authorization_details(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(more) <> 'array' THEN
        PERFORM refuse_parameter('AuthorizationDetails', 'is not a list');
    END IF;
    RETURN details_as_set(coalesce(earlier, '[]') || coalesce(more, '[]'));
END
$$;

COMMENT ON FUNCTION merge_authorization_details(jsonb, jsonb) IS 'The elements of both lists, each once. NULL if there is none. A parameter that is not a list is an error.';
