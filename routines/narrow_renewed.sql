CREATE OR REPLACE FUNCTION narrow_renewed(
    c oauth_client, r oauth_refresh_token, scopes text[], default_scopes text[], resources text[], default_resources text[],
    details jsonb, compared_types text[]
) RETURNS token_answer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    kept text[];
BEGIN
    kept := kept_within(r.scopes, coalesce(c.scopes, default_scopes));
    RETURN ROW(
        CASE
            WHEN cardinality(r.scopes) > 0 AND cardinality(kept) = 0 THEN 'invalid_scope'::outcome
            ELSE coalesce(
                judge_narrowed(
                    c, scopes, r.scopes, default_scopes, resources, r.resources, default_resources, details, r.authorization_details,
                    compared_types
                ),
                'rotated'
            )
        END,
        NULL, NULL,
        asked_or_granted(scopes, kept),
        asked_or_granted(resources, kept_within(r.resources, coalesce(c.resources, default_resources))),
        details_of_types(coalesce(details_as_set(details), r.authorization_details), c.authorization_details_types),
        NULL, NULL, NULL, NULL
    )::token_answer;
END
$$;

COMMENT ON FUNCTION narrow_renewed(oauth_client, oauth_refresh_token, text[], text[], text[], text[], jsonb, text[]) IS 'Part of RotateRefreshToken: the scopes, resources and authorization_details that the new access token is to have, which are those asked for or, if none are, those of the refresh token that the client may still have. The outcome is rotated or what is amiss with them: invalid_scope, invalid_target or invalid_authorization_details.';
