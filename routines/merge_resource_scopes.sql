CREATE OR REPLACE FUNCTION merge_resource_scopes(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (
        SELECT jsonb_object_agg(m.resource, m.scopes)
        FROM (
            SELECT p.resource, to_jsonb(as_set(array_agg(s.scope ORDER BY p.part, s.n))) AS scopes
            FROM (
                SELECT 1 AS part, e.key AS resource, e.value AS scopes FROM jsonb_each(earlier) AS e
                UNION ALL
                SELECT 2, e.key, e.value FROM jsonb_each(more) AS e
            ) AS p
            LEFT JOIN LATERAL jsonb_array_elements_text(CASE WHEN jsonb_typeof(p.scopes) = 'array' THEN p.scopes ELSE '[]' END) WITH ORDINALITY AS s (scope, n) ON true
            GROUP BY p.resource
        ) AS m
    );
END
$$;

COMMENT ON FUNCTION merge_resource_scopes(jsonb, jsonb) IS 'The scopes of both at each resource, each once. What is no list counts as an empty one. NULL if there is no resource.';
