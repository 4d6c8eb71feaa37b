CREATE OR REPLACE FUNCTION scopes_at(resources text[], scopes text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(r.resource, to_jsonb(as_set(scopes))) FROM unnest(as_set(resources)) AS r (resource));
END
$$;

COMMENT ON FUNCTION scopes_at(text[], text[]) IS 'The scopes at each of the resources, as resource_scopes has them. NULL without a resource.';
