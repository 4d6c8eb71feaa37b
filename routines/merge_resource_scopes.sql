CREATE OR REPLACE FUNCTION merge_resource_scopes(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (
        SELECT jsonb_object_agg(
            r.resource,
            to_jsonb(as_set(
                ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(earlier -> r.resource) WHEN 'array' THEN earlier -> r.resource ELSE '[]' END))
                || ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(more -> r.resource) WHEN 'array' THEN more -> r.resource ELSE '[]' END))
            ))
        )
        FROM jsonb_object_keys(coalesce(earlier, '{}') || coalesce(more, '{}')) AS r (resource)
    );
END
$$;

COMMENT ON FUNCTION merge_resource_scopes(jsonb, jsonb) IS 'The scopes of both at each resource, each once. What is no list counts as an empty one. NULL if there is no resource.';
