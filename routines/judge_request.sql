CREATE OR REPLACE FUNCTION judge_request(
    c oauth_client, redirect_uri text, response_type text, code_challenge text, code_challenge_method text, pushed boolean,
    scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    wanted text[] := string_to_array(response_type, ' ');
BEGIN
    IF c.deleted_at IS NOT NULL THEN
        RETURN 'unknown';
    ELSIF c.disabled THEN
        RETURN 'disabled';
    ELSIF resolve_redirect_uri(redirect_uri, c.redirect_uris) IS NULL THEN
        RETURN 'redirect_uri_mismatched';
    ELSIF c.require_pushed_authorization_requests AND pushed IS NOT TRUE THEN
        RETURN 'request_must_be_pushed';
    -- the order of the words doesn't matter (OAuth 2.0 Multiple Response Type Encoding Practices, section 5)
    ELSIF NOT EXISTS (
        SELECT FROM unnest(coalesce(c.response_types, '{code}')) AS r (response_type)
        WHERE string_to_array(r.response_type, ' ') @> wanted AND string_to_array(r.response_type, ' ') <@ wanted
    ) THEN
        RETURN 'unsupported_response_type';
    ELSIF 'code' = ANY (wanted) AND NOT uses_grant_type(c, 'authorization_code') THEN
        RETURN 'unauthorized_client';
    ELSIF wanted && '{token,id_token}' AND NOT uses_grant_type(c, 'implicit') THEN
        RETURN 'unauthorized_client';
    ELSIF code_challenge IS NULL AND code_challenge_method IS NOT NULL THEN
        RETURN 'pkce_required';
    ELSIF code_challenge IS NULL AND 'code' = ANY (wanted) AND (is_public(c) OR c.require_pkce IS NOT FALSE) THEN
        RETURN 'pkce_required';
    ELSIF code_challenge IS NOT NULL AND NOT (CASE coalesce(code_challenge_method, 'plain')
        WHEN 'S256' THEN code_challenge ~ '^[A-Za-z0-9_-]{43}$'
        WHEN 'plain' THEN c.allow_plain_pkce IS TRUE AND code_challenge ~ '^[A-Za-z0-9._~-]{43,128}$'
        ELSE false
    END) THEN
        RETURN 'pkce_method_refused';
    END IF;
    RETURN judge_asked(c, scopes, default_scopes, resources, default_resources, details, default_types);
END
$$;

COMMENT ON FUNCTION judge_request(oauth_client, text, text, text, text, boolean, text[], text[], text[], text[], jsonb, text[]) IS 'What is amiss with an authorization request, by the client''s registration; NULL if nothing is. What comes first: whether an answer may be sent at all, then the request, then what it asks for.';
