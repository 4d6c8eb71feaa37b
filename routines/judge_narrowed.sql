CREATE OR REPLACE FUNCTION judge_narrowed(
    c oauth_client, scopes text[], held_scopes text[], default_scopes text[], resources text[], held_resources text[],
    default_resources text[], details jsonb, held_details jsonb, compared_types text[]
) RETURNS outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN NOT is_within(scopes, held_scopes) THEN 'invalid_scope'::outcome
    WHEN NOT is_within(scopes, coalesce(c.scopes, default_scopes, '{}')) THEN 'invalid_scope'::outcome
    WHEN NOT is_within(resources, coalesce(held_resources, '{}')) THEN 'invalid_target'::outcome
    WHEN NOT is_within(resources, coalesce(c.resources, default_resources, '{}')) THEN 'invalid_target'::outcome
    -- a token without resources would be good at any of them
    WHEN cardinality(held_resources) > 0 AND cardinality(kept_within(held_resources, coalesce(c.resources, default_resources))) = 0
    THEN 'invalid_target'::outcome
    WHEN NOT details_within(details, details_of_types(held_details, c.authorization_details_types), compared_types)
    THEN 'invalid_authorization_details'::outcome
END;

COMMENT ON FUNCTION judge_narrowed(oauth_client, text[], text[], text[], text[], text[], text[], jsonb, jsonb, text[]) IS 'What is amiss with the scopes, resources and authorization_details that a client asks for in exchange for a token that holds others: they go beyond what the token holds or what the client may ask for now, or the client may ask for none of the token''s resources. invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';
