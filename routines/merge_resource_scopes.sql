CREATE OR REPLACE FUNCTION merge_resource_scopes(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    merged   jsonb;
    resource text;
BEGIN
    -- one by one, because jsonb_object_agg is slow with long lists on PostgreSQL 18
    FOR resource IN SELECT jsonb_object_keys(coalesce(earlier, '{}') || coalesce(more, '{}')) LOOP
        merged := coalesce(merged, '{}') || jsonb_build_object(resource, to_jsonb(as_set(
            ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(earlier -> resource) WHEN 'array' THEN earlier -> resource ELSE '[]' END))
            || ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(more -> resource) WHEN 'array' THEN more -> resource ELSE '[]' END))
        )));
    END LOOP;
    RETURN merged;
END
$$;

COMMENT ON FUNCTION merge_resource_scopes(jsonb, jsonb) IS 'The scopes of both at each resource, each once. What is no list counts as an empty one. NULL if there is no resource.';
