-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION beyond(list text[], allowed text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN ARRAY(
        SELECT l.value
        FROM unnest(as_set(list)) WITH ORDINALITY AS l (value, n)
        WHERE l.value NOT IN (SELECT a.value FROM unnest(as_set(allowed)) AS a (value))
        ORDER BY l.n
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION beyond(text[], text[]) IS 'The distinct values of a list that are not allowed, in the order of their first occurrence. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION binds_as_registered(c oauth_client, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (c.dpop_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'jkt', false))
        AND (c.tls_client_certificate_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'x5t#S256', false))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION binds_as_registered(oauth_client, jsonb) IS 'Whether a caller has proven to hold the kinds of key that the client''s access tokens have to be bound to (RFC 9449, section 5.2; RFC 8705, section 3.4). True if they need not be bound. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION details_as_set(details jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(details) <> 'array' THEN
        RETURN details;
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM (
            SELECT e.element, min(e.n) AS n
            FROM jsonb_array_elements(details) WITH ORDINALITY AS e (element, n)
            GROUP BY e.element
        ) AS d
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION details_as_set(jsonb) IS 'The distinct elements of authorization_details, in the order of their first occurrence. NULL if there is none.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION details_of_types(details jsonb, types text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF details IS NULL OR types IS NULL THEN
        RETURN details;
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM jsonb_array_elements(details) WITH ORDINALITY AS d (element, n)
        WHERE d.element ->> 'type' = ANY (types)
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION details_of_types(jsonb, text[]) IS 'The elements of authorization_details that are of one of some types; all if the types are NULL. NULL if there is none.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION details_within(part jsonb, whole jsonb, compared_types text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF part IS NULL THEN
        RETURN true;
    END IF;
    IF jsonb_typeof(part) <> 'array' THEN
        RETURN false;
    END IF;
    -- not by @>, which takes an element that leaves a limit out for a narrower one
    RETURN NOT EXISTS (
        SELECT FROM jsonb_array_elements(part) AS p (element)
        WHERE p.element NOT IN (SELECT w.element FROM jsonb_array_elements(coalesce(whole, '[]')) AS w (element))
            AND NOT coalesce(
                jsonb_typeof(p.element -> 'type') = 'string'
                AND p.element ->> 'type' = ANY (compared_types)
                AND p.element -> 'type' IN (SELECT w.element -> 'type' FROM jsonb_array_elements(coalesce(whole, '[]')) AS w (element)),
                false
            )
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION details_within(jsonb, jsonb, text[]) IS 'Whether all elements of authorization_details are among those of another one (RFC 9396, section 6.1). Elements are compared whole. An element of one of compared_types, which the caller has compared by the rules of that type, only needs one of its type there. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_asked(
    c oauth_client, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN NOT is_within(coalesce(scopes, '{}'), coalesce(c.scopes, default_scopes, '{}')) THEN 'invalid_scope'
        WHEN NOT is_within(coalesce(resources, '{}'), coalesce(c.resources, default_resources, '{}')) THEN 'invalid_target'
        WHEN jsonb_typeof(details) <> 'array' OR EXISTS (
            SELECT FROM jsonb_array_elements(CASE WHEN jsonb_typeof(details) = 'array' THEN details END) AS d (element)
            WHERE jsonb_typeof(d.element -> 'type') IS DISTINCT FROM 'string'
                OR (d.element ->> 'type' = ANY (coalesce(c.authorization_details_types, default_types, '{}'))) IS NOT TRUE
        ) THEN 'invalid_authorization_details'
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_asked(oauth_client, text[], text[], text[], text[], jsonb, text[]) IS 'What is amiss with the scopes, resources and authorization_details that a client asks for: invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is. The defaults are what a client may ask for that has nothing registered.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION resolve_redirect_uri(asked text, registered text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    resolved text := coalesce(asked, CASE WHEN cardinality(as_set(registered)) = 1 THEN (as_set(registered))[1] END);
    loopback text[];
BEGIN
    IF resolved IS NULL OR strpos(resolved, '#') > 0 THEN
        RETURN NULL;
    END IF;
    IF resolved = ANY (registered) THEN
        RETURN resolved;
    END IF;
    loopback := regexp_match(resolved, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)$');
    IF (loopback[2]::integer <= 65535) IS NOT FALSE AND EXISTS (
        SELECT FROM unnest(registered) AS r (uri)
        WHERE regexp_replace(r.uri, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost)):[0-9]{1,5}(?=[/?]|$)', '\1') = loopback[1] || loopback[3]
    ) THEN
        RETURN resolved;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION resolve_redirect_uri(text, text[]) IS 'The URI that the answer to a request goes to, or NULL if it may go nowhere. It has to be a registered one, byte by byte (RFC 9700, section 2.1), but a loopback address may have any port (RFC 8252, section 7.3). A request may leave it out if exactly one is registered (RFC 6749, section 3.1.2.3). A URI with a fragment is refused (RFC 6749, section 3.1.2).';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION uses_grant_type(c oauth_client, grant_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(grant_type = ANY (coalesce(c.grant_types, '{authorization_code,refresh_token}')), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION uses_grant_type(oauth_client, text) IS 'Whether a client is registered for a grant type (RFC 7591, section 2). A client without registered grant types uses authorization_code, and the refresh tokens that a server chooses to issue with it. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_again(c oauth_client, a oauth_authorization, granted text[], default_scopes text[], default_resources text[]) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN a.kind = 'code' AND resolve_redirect_uri(a.redirect_uri, c.redirect_uris) IS NULL THEN 'redirect_uri_mismatched'
        WHEN a.kind = 'code' AND NOT uses_grant_type(c, 'authorization_code') THEN 'unauthorized_client'
        -- a type that is the server's default can't be taken from a client
        ELSE judge_asked(c, granted, default_scopes, a.resources, default_resources, a.authorization_details,
            ARRAY(SELECT d.element ->> 'type' FROM jsonb_array_elements(a.authorization_details) AS d (element)))
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_again(oauth_client, oauth_authorization, text[], text[], text[]) IS 'What is amiss with a recorded request because something was taken from the client since, or from the server''s defaults: redirect_uri_mismatched, unauthorized_client, invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_request(
    c oauth_client, redirect_uri text, response_type text, code_challenge text, code_challenge_method text, pushed boolean,
    scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    wanted text[] := string_to_array(response_type, ' ');
BEGIN
    RETURN CASE
        WHEN c.client_id IS NULL OR c.deleted_at IS NOT NULL THEN 'unknown'
        WHEN c.disabled THEN 'disabled'
        WHEN resolve_redirect_uri(redirect_uri, c.redirect_uris) IS NULL THEN 'redirect_uri_mismatched'
        WHEN c.require_pushed_authorization_requests AND pushed IS NOT TRUE THEN 'request_must_be_pushed'
        -- the order of the words doesn't matter (OAuth 2.0 Multiple Response Type Encoding Practices, section 5)
        WHEN NOT EXISTS (
            SELECT FROM unnest(coalesce(c.response_types, '{code}')) AS r (response_type)
            WHERE string_to_array(r.response_type, ' ') @> wanted AND string_to_array(r.response_type, ' ') <@ wanted
        ) THEN 'unsupported_response_type'
        WHEN 'code' = ANY (wanted) AND NOT uses_grant_type(c, 'authorization_code') THEN 'unauthorized_client'
        WHEN wanted && '{token,id_token}' AND NOT uses_grant_type(c, 'implicit') THEN 'unauthorized_client'
        WHEN code_challenge IS NULL AND code_challenge_method IS NOT NULL THEN 'pkce_required'
        WHEN code_challenge IS NULL AND 'code' = ANY (wanted) AND (is_public(c) OR c.require_pkce IS NOT FALSE) THEN 'pkce_required'
        WHEN code_challenge IS NOT NULL AND NOT CASE coalesce(code_challenge_method, 'plain')
            WHEN 'S256' THEN code_challenge ~ '^[A-Za-z0-9_-]{43}$'
            WHEN 'plain' THEN c.allow_plain_pkce IS TRUE AND code_challenge ~ '^[A-Za-z0-9._~-]{43,128}$'
            ELSE false
        END THEN 'pkce_method_refused'
        ELSE judge_asked(c, scopes, default_scopes, resources, default_resources, details, default_types)
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_request(oauth_client, text, text, text, text, boolean, text[], text[], text[], text[], jsonb, text[]) IS 'What is amiss with an authorization request, by the client''s registration; NULL if nothing is. What comes first: whether an answer may be sent at all, then the request, then what it asks for.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION kept_within(list text[], allowed text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF list IS NULL OR is_within(list, coalesce(allowed, '{}')) THEN
        RETURN list;
    END IF;
    RETURN beyond(list, beyond(list, allowed));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION kept_within(text[], text[]) IS 'A list without the values that are not allowed. NULL if the list is.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION kept_within;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_request;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_again;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION uses_grant_type;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION resolve_redirect_uri;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_asked;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION details_within;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION details_of_types;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION details_as_set;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION binds_as_registered;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION beyond;
-- +goose StatementEnd
