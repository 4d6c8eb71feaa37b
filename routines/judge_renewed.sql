CREATE OR REPLACE FUNCTION judge_renewed(
    c oauth_client, r oauth_refresh_token, scopes text[], default_scopes text[], resources text[], default_resources text[],
    details jsonb, compared_types text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF cardinality(r.scopes) > 0 AND cardinality(kept_within(r.scopes, coalesce(c.scopes, default_scopes))) = 0 THEN
        RETURN 'invalid_scope';
    END IF;
    RETURN judge_narrowed(
        c, scopes, r.scopes, default_scopes, resources, r.resources, default_resources, details, r.authorization_details, compared_types
    );
END
$$;

COMMENT ON FUNCTION judge_renewed(oauth_client, oauth_refresh_token, text[], text[], text[], text[], jsonb, text[]) IS 'Part of RotateRefreshToken: what is amiss with what is asked for, or with what a client may still have of a token''s scopes and resources. invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';
