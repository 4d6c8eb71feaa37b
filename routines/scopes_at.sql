CREATE OR REPLACE FUNCTION scopes_at(resources text[], scopes text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    at       jsonb;
    resource text;
BEGIN
    FOREACH resource IN ARRAY as_set(resources) LOOP
        at := coalesce(at, '{}') || jsonb_build_object(resource, to_jsonb(as_set(scopes)));
    END LOOP;
    RETURN at;
END
$$;

COMMENT ON FUNCTION scopes_at(text[], text[]) IS 'The scopes at each of the resources, as resource_scopes has them. NULL without a resource.';
