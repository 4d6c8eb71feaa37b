-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION add_actor(act jsonb, actor text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN actor IS NULL THEN act
        WHEN act IS NULL THEN jsonb_build_object('sub', actor)
        ELSE jsonb_build_object('sub', actor, 'act', act)
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION add_actor(jsonb, text) IS 'A chain of actors (RFC 8693, section 4.1) with a new one outermost. Without an actor, the chain as it is.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION are_details_within(part jsonb, whole jsonb) RETURNS boolean
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
    RETURN NOT EXISTS (
        SELECT FROM jsonb_array_elements(part) AS p (detail)
        WHERE p.detail NOT IN (SELECT w.detail FROM jsonb_array_elements(coalesce(whole, '[]')) AS w (detail))
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION are_details_within(jsonb, jsonb) IS 'Whether all elements of authorization_details (RFC 9396) are among those of other ones, whole and equal: an element that leaves a member out may grant more. True if there are none. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION assertion_ends_at(expires_at bigint, clock_skew interval) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    -- to_timestamp fails on a time out of range, and the planner evaluates it for constants even if no row is written
    SELECT to_timestamp(greatest(least(expires_at, 253402300799), 0)) + greatest(clock_skew, interval '0')
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION assertion_ends_at(bigint, interval) IS 'Until when an assertion has to be remembered: its exp, in seconds since 1970, and clock_skew.';
-- +goose StatementEnd

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
CREATE FUNCTION find_issued_access_token(
    of_token access_token_id, issued_to client_id, presented_as token_digest, exchanged_for access_token_id, name text,
    OUT authorization_id authorization_id, OUT expires_at timestamptz, OUT scopes text[], OUT resources text[], OUT authorization_details jsonb, OUT act jsonb
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    t oauth_access_token;
BEGIN
    SELECT x.* INTO t FROM oauth_access_token AS x WHERE x.id = of_token;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF t.client_id IS DISTINCT FROM issued_to OR t.token IS DISTINCT FROM presented_as OR t.subject_token_id IS DISTINCT FROM exchanged_for THEN
        PERFORM refuse_parameter(name, 'is that of another token');
    END IF;
    authorization_id := t.authorization_id;
    expires_at := t.expires_at;
    scopes := t.scopes;
    resources := t.resources;
    authorization_details := t.authorization_details;
    act := t.act;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION find_issued_access_token(access_token_id, client_id, token_digest, access_token_id, text) IS 'Part of IssueAccessToken, ExchangeToken and IssueTokenByAssertion: what the same call issued before; NULLs if it has been collected. The id of another token is an error that names the parameter. VOLATILE, so that it sees what was committed while the statement waited for the id.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_assertion(assertion text, until timestamptz, issued_as text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO oauth_client_assertion (id, expires_at, access_token_id)
    VALUES (coalesce(assertion, refuse_parameter('AssertionID', 'is missing')), until, issued_as)
    ON CONFLICT (id) DO NOTHING;
    RETURN CASE
        WHEN FOUND THEN 'issued'
        WHEN EXISTS (SELECT FROM oauth_client_assertion AS g WHERE g.id = assertion AND g.access_token_id = issued_as) THEN 'retried'
        ELSE 'proof_replayed'
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_assertion(text, timestamptz, text) IS 'Part of IssueTokenByAssertion: records that an assertion was presented (RFC 7523, section 3, item 7). issued if it is the first time, retried if the same access token was issued for it, proof_replayed otherwise. VOLATILE, so that it sees what was committed while the statement waited for the row.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_assertion_time(expires_at bigint, clock_skew interval, max_lifetime interval, at_most interval) RETURNS outcome
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE
        WHEN expires_at > extract(epoch FROM expiry(now(), max_lifetime, least(at_most, interval '1 year'), 'MaxLifetime')) THEN 'too_far'
        WHEN (expires_at > extract(epoch FROM now() - clock_skew)) IS NOT TRUE THEN 'expired'
    END::outcome
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_assertion_time(bigint, interval, interval, interval) IS 'What is amiss with the exp of an assertion, in seconds since 1970 (RFC 7523, section 3, item 4): too_far or expired; NULL if nothing is. exp may be no further from now than max_lifetime and at_most, and never further than a year.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION kept_within(list text[], allowed text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF is_within(list, coalesce(allowed, '{}')) THEN
        RETURN list;
    END IF;
    RETURN beyond(list, beyond(list, allowed));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION kept_within(text[], text[]) IS 'A list without the values that are not allowed. NULL if the list is.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION lock_live_access_token(of_token text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.id = of_token AND access_token_is_live(t, a, c, u, s)
    FOR KEY SHARE OF t;
    RETURN FOUND;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION lock_live_access_token(text) IS 'Part of ExchangeToken: whether an access token is live. While it is locked, neither it nor its family is collected. VOLATILE, so that it sees what was committed while the statement waited for a lock. It waits for no ending, because endings change no key.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION may_present(o oauth_client, t oauth_access_token, resources text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(t.client_id = o.client_id OR (NOT is_public(o) AND t.resources && (coalesce(resources, '{}') || o.client_id::text)), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION may_present(oauth_client, oauth_access_token, text[]) IS 'Whether a client may exchange an access token (RFC 8693, section 2.1): one that was issued to it or, if it is confidential, one whose audience has its client_id or one of the resources, which are those that it serves. Never NULL.';
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

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION uses_grant_type;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION may_present;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION lock_live_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION kept_within;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_assertion_time;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_assertion;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION find_issued_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION binds_as_registered;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION beyond;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION assertion_ends_at;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION are_details_within;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION add_actor;
-- +goose StatementEnd
