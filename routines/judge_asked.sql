CREATE OR REPLACE FUNCTION judge_asked(
    c oauth_client, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- IF by IF, not one CASE, so that PL/pgSQL runs a query only where there are details
    IF NOT is_within(scopes, coalesce(c.scopes, default_scopes, '{}')) THEN
        RETURN 'invalid_scope';
    ELSIF NOT is_within(resources, coalesce(c.resources, default_resources, '{}')) THEN
        RETURN 'invalid_target';
    ELSIF details IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(details) <> 'array' THEN
        RETURN 'invalid_authorization_details';
    ELSIF EXISTS (
        SELECT FROM jsonb_array_elements(details) AS d (element)
        WHERE jsonb_typeof(d.element -> 'type') IS DISTINCT FROM 'string'
            OR (d.element ->> 'type' = ANY (coalesce(c.authorization_details_types, default_types))) IS NOT TRUE
    ) THEN
        RETURN 'invalid_authorization_details';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION judge_asked(oauth_client, text[], text[], text[], text[], jsonb, text[]) IS 'What is amiss with the scopes, resources and authorization_details that a client asks for: invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is. The defaults are what a client may ask for that has nothing registered.';
