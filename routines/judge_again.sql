CREATE OR REPLACE FUNCTION judge_again(c oauth_client, a oauth_authorization, granted text[], default_scopes text[], default_resources text[]) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF a.kind = 'code' AND resolve_redirect_uri(a.redirect_uri, c.redirect_uris) IS NULL THEN
        RETURN 'redirect_uri_mismatched';
    ELSIF a.kind = 'code' AND NOT uses_grant_type(c, 'authorization_code') THEN
        RETURN 'unauthorized_client';
    ELSIF a.authorization_details IS NULL THEN
        RETURN judge_asked(c, granted, default_scopes, a.resources, default_resources, NULL, NULL);
    END IF;
    -- a type that is the server's default can't be taken from a client
    RETURN judge_asked(c, granted, default_scopes, a.resources, default_resources, a.authorization_details,
        ARRAY(SELECT d.element ->> 'type' FROM jsonb_array_elements(a.authorization_details) AS d (element)));
END
$$;

COMMENT ON FUNCTION judge_again(oauth_client, oauth_authorization, text[], text[], text[]) IS 'What is amiss with a recorded request because something was taken from the client since, or from the server''s defaults: redirect_uri_mismatched, unauthorized_client, invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';
