-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION add_actor(act jsonb, actor text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN actor IS NULL THEN act
        WHEN act IS NULL THEN jsonb_build_object('sub', actor)
        ELSE jsonb_build_object('sub', actor, 'act', act)
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION add_actor(jsonb, text) IS 'A chain of actors (RFC 8693, section 4.1) with a new one outermost. Without an actor, the chain as it is.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION merge_resource_scopes(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    merged   jsonb;
    resource text;
BEGIN
    -- one by one, because jsonb_object_agg is slow with long lists on PostgreSQL 18
    FOR resource IN SELECT jsonb_object_keys(coalesce(earlier, '{}') || coalesce(more, '{}')) LOOP
        merged := coalesce(merged, '{}') || jsonb_build_object(resource, to_jsonb(as_set(
            ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(earlier -> resource) WHEN 'array' THEN earlier -> resource ELSE '[]' END))
            || ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(more -> resource) WHEN 'array' THEN more -> resource ELSE '[]' END))
        )));
    END LOOP;
    RETURN merged;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION merge_resource_scopes(jsonb, jsonb) IS 'The scopes of both at each resource, each once. What is no list counts as an empty one. NULL if there is no resource.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION scopes_at(resources text[], scopes text[]) RETURNS jsonb
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
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION scopes_at(text[], text[]) IS 'The scopes at each of the resources, as resource_scopes has them. NULL without a resource.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION agreed_resource_scopes(g oauth_consent) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT merge_resource_scopes(g.resource_scopes, scopes_at(g.resources, g.scopes))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION agreed_resource_scopes(oauth_consent) IS 'The scopes that a user has agreed to at each resource, as resource_scopes has them, with those of a better-auth server, which apply to the resources that it names.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION agreed_scopes(g oauth_consent) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN cardinality(g.resources) > 0 THEN '{}' ELSE g.scopes END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION agreed_scopes(oauth_consent) IS 'The scopes that a user has agreed to without a resource. Those of a better-auth server that names resources apply to these.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION asked_or_granted(asked text[], granted text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN cardinality(asked) > 0 THEN as_set(asked) ELSE granted END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION asked_or_granted(text[], text[]) IS 'The scopes or resources that a token is asked for or, if the request names none, all that was granted (RFC 6749, section 6; RFC 8707, section 2.2).';
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
CREATE FUNCTION client_is_used(of_client text, agreed_since timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_authorization AS a WHERE a.client_id = of_client)
        OR EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.client_id = of_client)
        OR EXISTS (SELECT FROM oauth_access_token AS t WHERE t.client_id = of_client)
        OR EXISTS (SELECT FROM session_client AS k WHERE k.client_id = of_client)
        OR EXISTS (SELECT FROM oauth_consent AS g WHERE g.client_id = of_client AND g.updated_at >= agreed_since);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION client_is_used(text, timestamptz) IS 'Part of MarkUnusedClients: whether there is anything that a client has asked for or was granted, dead or live, or a consent of no earlier than agreed_since. VOLATILE, so that it sees what was committed before the client was locked.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION common_host(uris text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    -- Apps of unrelated developers share loopback addresses and private schemes, so these are no hosts.
    hosts text[] := ARRAY(
        SELECT DISTINCT substring(lower(r.uri COLLATE "C") FROM '^https?://(?!localhost[:/?]|localhost$|[^:/?]*\.localhost[:/?]|127\.)([a-z0-9.-]+)(?::[0-9]+)?(?:[/?]|$)')
        FROM unnest(uris) AS r (uri)
    );
BEGIN
    RETURN CASE WHEN cardinality(hosts) = 1 AND octet_length(hosts[1]) <= 255 THEN hosts[1] END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION common_host(text[]) IS 'The host that all URIs have in common. NULL if they have none, or one that is too long for a name (RFC 1035, section 2.3.4).';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION consent_gaps(g oauth_consent, asked text[], at_resources text[], OUT scopes text[], OUT resources text[])
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    agreed   jsonb := agreed_resource_scopes(g);
    resource text;
    gap      text[];
BEGIN
    scopes := '{}';
    resources := '{}';
    IF cardinality(at_resources) > 0 THEN
        FOREACH resource IN ARRAY as_set(at_resources) LOOP
            gap := ARRAY(SELECT a.scope FROM unnest(asked) AS a (scope) WHERE a.scope NOT IN (SELECT jsonb_array_elements_text(agreed -> resource)));
            IF cardinality(gap) > 0 OR (agreed ? resource) IS NOT TRUE THEN
                resources := resources || resource;
                scopes := scopes || gap;
            END IF;
        END LOOP;
    ELSE
        scopes := ARRAY(SELECT a.scope FROM unnest(asked) AS a (scope) WHERE a.scope NOT IN (SELECT unnest(agreed_scopes(g))));
    END IF;
    scopes := ARRAY(SELECT l.value FROM unnest(as_set(asked)) WITH ORDINALITY AS l (value, n) WHERE l.value IN (SELECT unnest(scopes)) ORDER BY l.n);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION consent_gaps(oauth_consent, text[], text[]) IS 'Part of CheckConsent: the scopes that a consent does not cover at one of the resources, or without one, and the resources where something is missing. A resource that the user has never agreed to is missing even if no scope is asked for. Both lists are empty if all is covered. Linear in the pairs that are asked for.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION consent_goes_on(oauth_consent, oauth_consent) IS 'Whether the stored consent g is one of the same tenant as the new one n, and still counts, so that n can be merged into it.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION count_attempt(
    of_purpose text, of_subject text, most integer, attempt_window interval, is_right boolean,
    OUT is_allowed boolean, OUT attempts_left bigint, OUT resets_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    present attempt_count;
BEGIN
    IF most IS NULL OR most < 1 THEN
        PERFORM refuse_parameter('MaxAttempts', 'is missing or under 1');
    END IF;
    INSERT INTO attempt_count AS n (purpose, subject, attempts, resets_at)
    VALUES (of_purpose, of_subject, 1, deadline(attempt_window, NULL, 'AttemptWindow'))
    ON CONFLICT (purpose, subject) DO UPDATE
    SET attempts = CASE WHEN n.resets_at > now() THEN n.attempts + 1 ELSE 1 END,
        resets_at = CASE WHEN n.resets_at > now() THEN n.resets_at ELSE excluded.resets_at END,
        updated_at = now()
    RETURNING n.* INTO present;
    is_allowed := present.attempts <= most;
    attempts_left := greatest(most - present.attempts, 0);
    resets_at := present.resets_at;
    IF is_right AND is_allowed THEN
        DELETE FROM attempt_count AS n WHERE n.id = present.id;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION count_attempt(text, text, integer, interval, boolean) IS 'Counts an attempt before it is made, and returns whether it is allowed, how many may follow in the window, and when the window ends. Of any number at once no more than most are allowed. A right attempt that is allowed makes the earlier ones forgotten.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION delete_client(of_client text, is_managed boolean, manager text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_client AS c
    SET deleted_at = now(), disabled = true, grants_epoch = c.grants_epoch + 1, client_secret = NULL, foreign_secret_hash = NULL,
        registration_access_token = NULL, previous_registration_access_token = NULL, jwks = NULL, jwks_uri = NULL, name = NULL,
        uri = NULL, icon = NULL, contacts = NULL, tos = NULL, policy = NULL, software_statement = NULL, redirect_uris = '{}',
        post_logout_redirect_uris = NULL, metadata = NULL, document_uri = NULL, document_etag = NULL, document_fresh_until = NULL,
        updated_at = now()
    WHERE c.client_id = of_client AND c.deleted_at IS NULL AND (NOT is_managed OR c.registration_access_token = manager);
    RETURN FOUND;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION delete_client(text, boolean, text) IS 'Deletes a client: it is disabled, everything that was granted to it is dead, and its secrets and personal data are blanked. If is_managed, only for the client''s present registration access token. Returns whether it did.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION details_as_set(details jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(details) IS DISTINCT FROM 'array' THEN
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
    IF types IS NULL OR jsonb_typeof(details) IS DISTINCT FROM 'array' THEN
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
COMMENT ON FUNCTION details_of_types(jsonb, text[]) IS 'The elements of authorization_details that are of one of some types; all if the types are NULL. What is no list stays as it is. NULL if there is none.';
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
CREATE FUNCTION document_changes(stored oauth_client, fetched oauth_client) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN ARRAY(
        SELECT s.key
        FROM jsonb_each(to_jsonb(stored)) AS s (key, value)
        JOIN jsonb_each(to_jsonb(fetched)) AS f (key, value) ON f.key = s.key
        WHERE f.value <> s.value
          AND s.key = ANY (ARRAY[
            'redirect_uris', 'post_logout_redirect_uris', 'token_endpoint_auth_method', 'grant_types', 'response_types', 'scopes', 'name',
            'uri', 'icon', 'contacts', 'tos', 'policy', 'software_id', 'software_version', 'software_statement', 'jwks', 'jwks_uri',
            'application_type', 'subject_type', 'default_max_age', 'require_pushed_authorization_requests', 'dpop_bound_access_tokens',
            'tls_client_certificate_bound_access_tokens', 'tls_client_auth_subject_dn', 'tls_client_auth_san_dns',
            'tls_client_auth_san_uri', 'tls_client_auth_san_ip', 'tls_client_auth_san_email', 'backchannel_logout_uri',
            'backchannel_logout_session_required', 'authorization_details_types', 'metadata'
        ])
        ORDER BY s.key
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION document_changes(oauth_client, oauth_client) IS 'Part of PutClientDocument: the columns that a metadata document fills and that differ between two rows.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION has_logout_uri(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(c.backchannel_logout_uri <> '' AND c.deleted_at IS NULL, false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION has_logout_uri(oauth_client) IS 'Whether a client is told of sign-outs (OpenID Connect Back-Channel Logout, section 2.2). A disabled client is, because its own sessions go on; a deleted one is not. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION end_sessions(doomed text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    sessions bigint;
BEGIN
    UPDATE session AS s
    SET ended_at = now(), expires_at = least(s.expires_at, now()), updated_at = now()
    WHERE s.id = ANY (doomed) AND s.ended_at IS NULL;
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    WHERE k.id = ANY (ARRAY(
        SELECT x.id::text
        FROM session_client AS x
        JOIN oauth_client AS c ON c.client_id = x.client_id
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL AND has_logout_uri(c)
        FOR NO KEY UPDATE OF x SKIP LOCKED
    ));
    RETURN sessions;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions and makes the notification of their clients due, of those that have a logout URI. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION expiry_without_row(expires_at timestamptz, access_token text) RETURNS timestamptz
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE
        WHEN access_token IS NOT NULL THEN refuse_parameter('AccessToken', 'is set, but the token is to have no row')::timestamptz
        WHEN expires_at IS NULL THEN refuse_parameter('AccessTokenLifetime', 'is without end, but the token is to have no row')::timestamptz
        ELSE expires_at
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION expiry_without_row(timestamptz, text) IS 'The expiry of an access token without a row, to be kept with its refresh token or family. Such a token has to be a JWT, so a digest is an error, and it has to expire.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION family_expiry(since timestamptz, given interval, at_most interval, has_refresh_token boolean) RETURNS timestamptz
LANGUAGE sql VOLATILE
AS $$
    -- 9223372036854775 microseconds is store.Never
    SELECT CASE
        WHEN has_refresh_token OR given <> interval '0' THEN expiry(since, given, at_most, 'FamilyLifetime')
        ELSE since + nullif(at_most, interval '9223372036854775 microseconds')
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION family_expiry(timestamptz, interval, interval, boolean) IS 'Returns when the last token of a family expires, as expiry does. Without a refresh token the lifetime may be left out, and what the client allows counts alone.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION find_grant_by_assertion(
    assertion text,
    OUT authorization_id authorization_id, OUT expires_at timestamptz, OUT scopes text[], OUT resources text[]
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT a.id, a.expires_at, a.granted_scopes, a.resources INTO authorization_id, expires_at, scopes, resources
    FROM oauth_client_assertion AS g
    JOIN oauth_authorization AS a ON a.id = g.authorization_id
    WHERE g.id = assertion;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION find_grant_by_assertion(text) IS 'Part of IssueTokenByAssertion: what the same call granted before, if its access token has no row; NULLs if it has been collected. VOLATILE, so that it sees what was committed while the statement waited for the assertion.';
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
        IF EXISTS (SELECT FROM oauth_access_token AS x WHERE x.token = presented_as) THEN
            PERFORM refuse_parameter('AccessToken', 'is that of another token');
        END IF;
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
COMMENT ON FUNCTION find_issued_access_token(access_token_id, client_id, token_digest, access_token_id, text) IS 'Part of the calls that issue access tokens: what the same call issued before; NULLs if it has been collected. The id or digest of another token is an error that names the parameter. VOLATILE, so that it sees what was committed while the statement waited for the id.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION keep_subject(of_sector text, of_user text, wanted subject, OUT held subject, OUT is_new boolean)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT p.subject INTO held FROM oauth_pairwise_subject AS p WHERE p.sector = of_sector AND p.user_id = of_user;
    is_new := false;
    IF NOT FOUND THEN
        INSERT INTO oauth_pairwise_subject (sector, user_id, subject)
        VALUES (of_sector, of_user, coalesce(wanted, gen_random_uuid()::text))
        ON CONFLICT DO NOTHING;
        is_new := FOUND;
        SELECT p.subject INTO held FROM oauth_pairwise_subject AS p WHERE p.sector = of_sector AND p.user_id = of_user;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION keep_subject(text, text, subject) IS 'The pairwise subject of a user in a sector. If there is none, it is made: wanted, or a random one if wanted is NULL. NULL if another user has the one that is wanted. VOLATILE, so that it sees what was committed while it waited.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION give_subject(of_sector text, of_user text) RETURNS subject
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE WHEN of_sector IS NULL THEN of_user ELSE (keep_subject(of_sector, of_user, NULL)).held END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION give_subject(text, text) IS 'The subject (sub) by which a client of a sector knows a user: the id of the user, or a pairwise subject, which is made at its first use. of_sector is sector_of() the client.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION own_sector(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT 'client:' || client_key(client_id)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION own_sector(text) IS 'The sector of a client that shares one with no other client. It is no host name, so no registration can claim it.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION sector_of(c oauth_client) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN c.subject_type <> 'public' THEN coalesce(c.sector_identifier, own_sector(c.client_id)) END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION sector_of(oauth_client) IS 'The sector in which a client knows its users by pairwise subjects (OpenID Connect Core, section 8.1). NULL if it knows them by their ids. A subject_type that is neither public nor NULL counts as pairwise.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION give_family() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    candidate text;
BEGIN
    IF NEW.user_id IS NULL THEN
        -- a client's own token, which is always an access token
        NEW.client_epoch := coalesce(NEW.client_epoch, (SELECT c.grants_epoch FROM oauth_client AS c WHERE c.client_id = NEW.client_id));
        RETURN NEW;
    END IF;
    IF TG_TABLE_NAME = 'oauth_access_token' THEN
        SELECT r.authorization_id INTO NEW.authorization_id
        FROM oauth_refresh_token AS r
        WHERE r.id = NEW.refresh_id AND r.client_id = NEW.client_id AND r.user_id = NEW.user_id;
    END IF;
    IF NEW.authorization_id IS NULL THEN
        PERFORM lock_parents(NEW.user_id, NEW.client_id, NEW.session_id); -- if one is gone, a foreign key reports it below
        FOREACH candidate IN ARRAY ARRAY[
            CASE WHEN octet_length(NEW.authorization_code_id) BETWEEN 1 AND 255 THEN NEW.authorization_code_id END,
            'azn_' || md5(NEW.client_id || ' ' || NEW.user_id || ' ' || nullif(NEW.authorization_code_id, '')),
            new_authorization_id()
        ] LOOP
            CONTINUE WHEN candidate IS NULL;
            INSERT INTO oauth_authorization (
                id, client_id, kind, status, user_id, session_id, reference_id, scopes, granted_scopes, resources, confirmation, bound,
                user_epoch, client_epoch, pair_epoch, decided_at, revoked_at, revoked_reason
            )
            SELECT candidate, c.client_id, 'foreign', 'approved', u.id, s.id, NEW.reference_id, NEW.scopes, NEW.scopes, NEW.resources, NEW.confirmation,
                NEW.session_id IS NOT NULL AND NOT 'offline_access' = ANY (NEW.scopes),
                u.grants_epoch, c.grants_epoch, pair_epoch(u.ended_grants, c.client_id, NEW.reference_id), now(),
                CASE WHEN NEW.session_id IS NOT NULL AND NOT session_is_live(s, u) THEN now() END,
                CASE WHEN NEW.session_id IS NOT NULL AND NOT session_is_live(s, u) THEN 'session_ended'::revocation_reason END
            FROM "user" AS u
            CROSS JOIN oauth_client AS c
            LEFT JOIN session AS s ON s.id = NEW.session_id AND s.user_id = u.id
            WHERE u.id = NEW.user_id AND c.client_id = NEW.client_id
              AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = candidate) -- for one that is there, ON CONFLICT waits
            ON CONFLICT (id) DO NOTHING;
            SELECT a.id INTO NEW.authorization_id
            FROM oauth_authorization AS a
            WHERE a.id = candidate AND a.client_id = NEW.client_id AND a.user_id = NEW.user_id;
            EXIT WHEN FOUND;
        END LOOP;
        -- if the user or client is gone, let its foreign key report it rather than the constraint that requires a family
        NEW.authorization_id := coalesce(NEW.authorization_id, candidate);
        INSERT INTO session_client (session_id, client_id, user_id, sub, sid)
        SELECT NEW.session_id, c.client_id, NEW.user_id, give_subject(sector_of(c), NEW.user_id), NEW.session_id
        FROM oauth_client AS c
        WHERE c.client_id = NEW.client_id AND NEW.session_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.session_id = NEW.session_id AND k.client_id = NEW.client_id)
        ON CONFLICT (session_id, client_id) DO NOTHING;
    END IF;
    -- Another server reads only the token's row, so a dead token has to be marked there. Without offline_access such a server issues
    -- access tokens without spending the refresh token, so refuse_dead_rotation doesn't stop it.
    IF TG_TABLE_NAME = 'oauth_access_token' AND NEW.revoked IS NULL AND (
        SELECT NOT is_ended(a, c, u, s)
        FROM oauth_authorization AS a
        JOIN oauth_client AS c ON c.client_id = a.client_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
        WHERE a.id = NEW.authorization_id
    ) IS NOT TRUE THEN
        NEW.revoked := now();
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION user_refusal(u "user") RETURNS outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN u.id IS NULL OR u.deleted_at IS NOT NULL THEN 'unknown'::outcome
        WHEN u.suspended_at IS NOT NULL THEN 'suspended'::outcome
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION user_refusal("user") IS 'Why nothing may be done for a user: unknown or suspended. NULL if something may.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION granter_refusal(parents text, u "user", of_session text, s session) RETURNS outcome
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN parents = 'unknown' THEN 'unknown'::outcome
        ELSE coalesce(
            user_refusal(u),
            CASE WHEN of_session IS NOT NULL AND (parents = 'signed_out' OR NOT session_is_live(s, u)) THEN 'signed_out'::outcome END
        )
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION granter_refusal(text, "user", text, session) IS 'Why a user may grant nothing, in a session or without one: unknown, suspended or signed_out; NULL if the user may. parents is what lock_parents has answered, s the session if it is one of the user.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION is_in_force(a oauth_authorization) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN coalesce(a.expires_at > now(), false)
        OR EXISTS (
            SELECT FROM oauth_refresh_token AS r
            WHERE r.authorization_id = a.id
              AND ((r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now())) OR r.access_token_expires_at > now())
        )
        OR EXISTS (
            SELECT FROM oauth_access_token AS t
            WHERE t.authorization_id = a.id AND t.revoked IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
        );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION is_in_force(oauth_authorization) IS 'Whether a live family has something that can still be used: a code, or a token that has neither expired nor been spent or revoked. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION is_redirect_uri(uri text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    SELECT coalesce(
        octet_length(uri) <= 4096
        AND lower(uri COLLATE "C") ~ '^[a-z][a-z0-9+.-]*:[\x21-\x22\x24-\x5b\x5d-\x7e]+$' -- printable ASCII without # and \
        AND CASE substring(lower(uri COLLATE "C") FROM '^[^:]*')
            WHEN 'https' THEN lower(uri COLLATE "C") ~ '^https://[^/?@]+([/?]|$)'
            WHEN 'http' THEN lower(uri COLLATE "C") ~ '^http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?([/?]|$)'
            WHEN 'javascript' THEN false
            WHEN 'vbscript' THEN false
            WHEN 'data' THEN false
            WHEN 'blob' THEN false
            WHEN 'file' THEN false
            WHEN 'about' THEN false
            ELSE true
        END,
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION is_redirect_uri(text) IS 'Whether a client may register a redirect URI for itself (RFC 7591, section 5): https, http at a loopback address, or a scheme of an application. It is absolute and has no fragment (RFC 6749, section 3.1.2) and no userinfo. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_asked(
    c oauth_client, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- IF by IF, not one CASE, so that PL/pgSQL runs a query only where there are details
    IF NOT is_within(coalesce(scopes, '{}'), coalesce(c.scopes, default_scopes, '{}')) THEN
        RETURN 'invalid_scope';
    ELSIF NOT is_within(coalesce(resources, '{}'), coalesce(c.resources, default_resources, '{}')) THEN
        RETURN 'invalid_target';
    ELSIF details IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(details) <> 'array' THEN
        RETURN 'invalid_authorization_details';
    ELSIF EXISTS (
        SELECT FROM jsonb_array_elements(details) AS d (element)
        WHERE jsonb_typeof(d.element -> 'type') IS DISTINCT FROM 'string'
            OR (d.element ->> 'type' = ANY (coalesce(c.authorization_details_types, default_types, '{}'))) IS NOT TRUE
    ) THEN
        RETURN 'invalid_authorization_details';
    END IF;
    RETURN NULL;
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
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_again(oauth_client, oauth_authorization, text[], text[], text[]) IS 'What is amiss with a recorded request because something was taken from the client since, or from the server''s defaults: redirect_uri_mismatched, unauthorized_client, invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_assertion(assertion text, until timestamptz, issued_as text, family text, of_client text, of_user text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO oauth_client_assertion (id, expires_at, access_token_id, authorization_id)
    VALUES (coalesce(assertion, refuse_parameter('AssertionID', 'is missing')), until, issued_as, family)
    ON CONFLICT (id) DO NOTHING;
    RETURN CASE
        WHEN FOUND THEN 'issued'
        WHEN EXISTS (
            SELECT
            FROM oauth_client_assertion AS g
            LEFT JOIN oauth_authorization AS a ON a.id = g.authorization_id -- it may be collected
            WHERE g.id = assertion AND g.access_token_id = issued_as AND (a.client_id <> of_client OR a.user_id <> of_user) IS NOT TRUE
        ) THEN 'retried'
        ELSE 'proof_replayed'
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_assertion(text, timestamptz, text, text, text, text) IS 'Part of IssueTokenByAssertion: records that an assertion was presented (RFC 7523, section 3, item 7). issued if it is the first time, retried if the same access token was issued for it to the same client about the same user, proof_replayed otherwise. VOLATILE, so that it sees what was committed while the statement waited for the row.';
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
CREATE FUNCTION judge_client_document(
    of_client client_id, fetched timestamptz, if_later outcome, OUT verdict outcome, OUT changes text[], OUT is_disabled boolean, OUT fresh_until timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT CASE
            WHEN c.deleted_at IS NOT NULL THEN 'revoked'
            WHEN c.document_fetched_at IS NULL THEN 'taken'
            WHEN c.document_fetched_at = fetched THEN 'retried'
            WHEN c.document_fetched_at < fetched THEN if_later
            ELSE 'stale'
        END, c.document_changes, c.disabled, c.document_fresh_until
    INTO verdict, changes, is_disabled, fresh_until
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_client_document(client_id, timestamptz, outcome) IS 'Part of PutClientDocument and RefreshClientDocument: why one changed nothing. if_later is what a fetch was refused for that is the latest one. VOLATILE, so that it sees what was committed while the statement waited for the client.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_logout_lease(delivery text, presented text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN coalesce(
        (
            SELECT CASE WHEN k.lease = presented THEN 'retried' ELSE 'superseded' END
            FROM session_client AS k
            WHERE k.id = delivery
        ),
        'unknown'
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_logout_lease(text, text) IS 'Part of FinishLogoutDelivery: why a lease finished nothing. VOLATILE, so that it sees what was committed while the statement waited for the row.';
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

-- +goose StatementBegin
CREATE FUNCTION judge_narrowed(
    c oauth_client, scopes text[], held_scopes text[], default_scopes text[], resources text[], held_resources text[],
    default_resources text[], details jsonb, held_details jsonb, compared_types text[]
) RETURNS outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN NOT is_within(coalesce(scopes, '{}'), held_scopes) THEN 'invalid_scope'::outcome
        WHEN NOT is_within(coalesce(scopes, '{}'), coalesce(c.scopes, default_scopes, '{}')) THEN 'invalid_scope'::outcome
        WHEN NOT is_within(coalesce(resources, '{}'), coalesce(held_resources, '{}')) THEN 'invalid_target'::outcome
        WHEN NOT is_within(coalesce(resources, '{}'), coalesce(c.resources, default_resources, '{}')) THEN 'invalid_target'::outcome
        -- a token without resources would be good at any of them
        WHEN cardinality(held_resources) > 0 AND cardinality(kept_within(held_resources, coalesce(c.resources, default_resources))) = 0
        THEN 'invalid_target'::outcome
        WHEN NOT details_within(details, details_of_types(held_details, c.authorization_details_types), compared_types)
        THEN 'invalid_authorization_details'::outcome
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_narrowed(oauth_client, text[], text[], text[], text[], text[], text[], jsonb, jsonb, text[]) IS 'What is amiss with the scopes, resources and authorization_details that a client asks for in exchange for a token that holds others: they go beyond what the token holds or what the client may ask for now, or the client may ask for none of the token''s resources. invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_redeemed_request(
    polled authorization_id, issued_as access_token_id, grace interval, proof_is_fresh boolean,
    OUT verdict outcome, OUT refresh_token token_digest, OUT refresh_token_id refresh_token_id, OUT refresh_token_expires_at timestamptz,
    OUT access_token_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a     oauth_authorization;
    first refresh_token_id;
    r     oauth_refresh_token;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = polled;
    SELECT p.refresh_token_id INTO first FROM oauth_polled_request AS p WHERE p.id = polled;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = first FOR KEY SHARE;
    verdict := CASE
        WHEN a.id IS NULL THEN 'unknown'
        WHEN NOT proof_is_fresh AND (a.redeemed_as = issued_as) IS NOT TRUE THEN 'proof_replayed'
        WHEN a.revoked_at IS NOT NULL OR a.redeemed_at IS NULL THEN 'revoked'
        WHEN r.revoked IS NOT NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN r.id IS NULL AND first IS NOT NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = polled) THEN 'replayed'
        WHEN (r.id IS NULL AND first IS NOT NULL) OR r.expires_at <= now() THEN 'expired'
        WHEN a.redeemed_as = issued_as OR (grace > interval '0' AND now() < a.redeemed_at + grace) THEN 'retried'
        ELSE 'replayed'
    END;
    IF verdict = 'retried' THEN
        refresh_token := r.token;
        refresh_token_id := r.id;
        refresh_token_expires_at := r.expires_at;
        -- of an access token without a row; the expiry of another stands in its row
        access_token_expires_at := CASE WHEN a.redeemed_as = issued_as THEN coalesce(r.access_token_expires_at, a.expires_at) END;
    ELSIF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS f
        SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
        WHERE f.id = polled AND f.revoked_at IS NULL;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_redeemed_request(authorization_id, access_token_id, interval, boolean) IS 'Part of PollDeviceCode: the verdict about a request whose tokens were issued before. While its refresh token is unused, it is retried for a repeated call, or within grace. Otherwise it is replayed, and the family ends. VOLATILE, so that it sees what was committed while the statement waited for the family.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_registration(
    redirect_uris text[], post_logout_redirect_uris text[], grant_types text[], auth_method text, jwks jsonb, jwks_uri text,
    tls_names integer, pages text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN coalesce(cardinality(redirect_uris), 0) = 0 AND coalesce(grant_types, ARRAY['authorization_code']) && ARRAY['authorization_code', 'implicit']
            OR EXISTS (SELECT FROM unnest(redirect_uris) AS u (uri) WHERE NOT is_redirect_uri(u.uri))
        THEN 'invalid_redirect_uri'
        WHEN jwks IS NOT NULL AND jwks_uri IS NOT NULL
            OR jwks IS NOT NULL AND jsonb_typeof(jwks -> 'keys') IS DISTINCT FROM 'array'
            OR jsonb_path_exists(jwks, 'lax $.keys[*] ? (exists(@.d) || exists(@.k))') -- a private or a symmetric key
            OR CASE auth_method
                WHEN 'none' THEN false
                WHEN 'client_secret_basic' THEN false
                WHEN 'client_secret_post' THEN false
                WHEN 'private_key_jwt' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'self_signed_tls_client_auth' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'tls_client_auth' THEN tls_names <> 1
                ELSE true
            END
            OR EXISTS (
                SELECT FROM unnest(pages || post_logout_redirect_uris) WITH ORDINALITY AS p (uri, n)
                WHERE p.uri IS NOT NULL
                  AND (octet_length(p.uri) > 4096 OR lower(p.uri COLLATE "C") !~ '^https?://[^/?#@[:space:]]+([/?#][^[:space:]]*)?$')
                  AND NOT (p.n > cardinality(pages) AND is_redirect_uri(p.uri))
            )
        THEN 'invalid_client_metadata'
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_registration(text[], text[], text[], text, jsonb, text, integer, text[]) IS 'Why metadata that a client states about itself is refused (RFC 7591, section 3.2.2): invalid_redirect_uri or invalid_client_metadata. NULL if it is fit. tls_names is how many names of a certificate it has (RFC 8705, section 2.1.2), pages are its other URLs. Whether there is a secret is left to the calls.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION proves_host(grant_types text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(grant_types, ARRAY['authorization_code']) <@ ARRAY['authorization_code', 'implicit', 'refresh_token', 'client_credentials']
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION proves_host(text[]) IS 'Whether a client with these grant types learns who a user is only at its redirect URIs, so that their host may be taken for its sector. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION leaves_sector(c oauth_client, verified text, subject_type text, redirect_uris text[], grant_types text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        subject_type <> 'public'
        AND c.sector_identifier <> own_sector(c.client_id)
        AND c.sector_identifier IS DISTINCT FROM lower(verified COLLATE "C")
        AND NOT (common_host(redirect_uris) IS NOT DISTINCT FROM c.sector_identifier AND proves_host(grant_types))
        -- what the client has already, as an operator may have decided
        AND (
            c.subject_type <> 'public'
            AND coalesce(redirect_uris, '{}') <@ c.redirect_uris::text[]
            AND coalesce(grant_types, ARRAY['authorization_code']) <@ coalesce(c.grant_types::text[], ARRAY['authorization_code'])
        ) IS NOT TRUE,
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION leaves_sector(oauth_client, text, text, text[], text[]) IS 'Whether metadata that a client states about itself would take the pairwise subjects of its sector to where the sector is not. The sector was the host of its redirect URIs and is kept, so whoever registers with the host of another, and then moves away, would know users by that one''s subjects. verified is a sector that the server has verified for these metadata. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION manages(c oauth_client, manager token_digest, successor token_digest) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(c.registration_access_token = manager OR (c.previous_registration_access_token = manager AND c.registration_access_token = successor), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION manages(oauth_client, token_digest, token_digest) IS 'Whether a registration access token manages a client (RFC 7592). One that was replaced by successor does until successor is used, so that an update whose answer was lost can be sent again. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_registration_update(
    of_client client_id, manager token_digest, successor token_digest, refused outcome, wants_secret boolean,
    verified text, subject_type text, redirect_uris text[], grant_types text[]
) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    c oauth_client;
BEGIN
    SELECT x.* INTO c FROM oauth_client AS x WHERE x.client_id = of_client AND x.deleted_at IS NULL;
    RETURN CASE
        WHEN NOT manages(c, manager, successor) THEN 'unauthenticated'
        WHEN c.disabled THEN 'disabled'
        WHEN refused IS NOT NULL THEN refused
        WHEN wants_secret AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL THEN 'invalid_client_metadata'
        WHEN leaves_sector(c, verified, subject_type, redirect_uris, grant_types) THEN 'invalid_client_metadata'
        ELSE 'disabled' -- it was when the statement began
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_registration_update(client_id, token_digest, token_digest, outcome, boolean, text, text, text[], text[]) IS 'Part of UpdateRegistration: why it changed nothing. refused is why the metadata is refused, or NULL; wants_secret says that the method needs a secret and the call brings none; the rest is as in leaves_sector. VOLATILE, so that it sees what was committed while the statement waited for the client.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_repeated_grant(
    family authorization_id, of_client client_id, of_user user_id, of_scopes text[], of_resources text[], of_details jsonb,
    issued_as access_token_id, access_token token_digest, issued_with refresh_token_id, refresh_token token_digest,
    OUT verdict outcome, OUT access_token_expires_at timestamptz, OUT refresh_token_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a  oauth_authorization;
    ok boolean;
    t  oauth_access_token;
    r  oauth_refresh_token;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = family;
    IF (a.client_id = of_client AND a.user_id = of_user AND a.redeemed_as = issued_as AND a.granted_scopes = of_scopes) IS NOT TRUE
        OR a.resources IS DISTINCT FROM of_resources OR a.authorization_details IS DISTINCT FROM of_details
    THEN
        PERFORM refuse_parameter('ID', 'is that of another grant');
    END IF;
    SELECT x.* INTO r FROM oauth_refresh_token AS x WHERE x.id = issued_with AND x.authorization_id = family;
    SELECT x.* INTO t FROM oauth_access_token AS x WHERE x.id = issued_as AND x.authorization_id = family;
    IF (r.id IS NOT NULL AND r.token IS DISTINCT FROM refresh_token) OR (t.id IS NOT NULL AND t.token IS DISTINCT FROM access_token) THEN
        PERFORM refuse_parameter('ID', 'is that of a grant with other tokens');
    END IF;
    SELECT is_live(a, c, u, s) INTO ok
    FROM oauth_client AS c
    JOIN "user" AS u ON u.id = of_user
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE c.client_id = of_client;
    verdict := CASE WHEN ok THEN 'retried' ELSE 'revoked' END;
    IF ok THEN
        refresh_token_expires_at := r.expires_at;
        access_token_expires_at := CASE WHEN t.id IS NOT NULL THEN t.expires_at ELSE coalesce(r.access_token_expires_at, a.expires_at) END;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_repeated_grant(authorization_id, client_id, user_id, text[], text[], jsonb, access_token_id, token_digest, refresh_token_id, token_digest) IS 'Part of IssueGrant: the verdict about a grant whose id is taken. It is retried for the same call, and revoked if the grant has been ended since; then nothing more is returned. The id of another grant, or of one of other scopes, resources or tokens, is an error. VOLATILE, so that it sees what was committed while the statement waited for the id.';
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
    IF c.client_id IS NULL OR c.deleted_at IS NOT NULL THEN
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
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_request(oauth_client, text, text, text, text, boolean, text[], text[], text[], text[], jsonb, text[]) IS 'What is amiss with an authorization request, by the client''s registration; NULL if nothing is. What comes first: whether an answer may be sent at all, then the request, then what it asks for.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION keep_sector() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.sector_identifier IS NOT NULL THEN
        IF NEW.sector_identifier <> OLD.sector_identifier THEN
            PERFORM refuse_parameter('SectorIdentifier', 'can''t be changed, because all subjects of the client would change');
        END IF;
        NEW.sector_identifier := OLD.sector_identifier;
    ELSIF NEW.sector_identifier <> own_sector(NEW.client_id) THEN
        NEW.sector_identifier := lower(NEW.sector_identifier COLLATE "C"); -- a host name
    END IF;
    IF NEW.subject_type <> 'public' AND NEW.sector_identifier IS NULL THEN
        NEW.sector_identifier := coalesce(common_host(NEW.redirect_uris), own_sector(NEW.client_id));
    END IF;
    NEW.sector_identifier := NEW.sector_identifier::stored_sector; -- refused here rather than at the first grant
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION keep_sector() IS 'Trigger: gives a client with pairwise subjects its sector, and keeps it. That is the host of its redirect URIs, if they have one in common that is no loopback address; else the client is a sector of its own. A later change of the redirect URIs changes no subject (OpenID Connect Core, sections 2 and 8.1).';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION known_subject(of_client text, of_user text) RETURNS subject
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN sector_of(c) IS NULL THEN of_user ELSE p.subject END
        FROM oauth_client AS c
        LEFT JOIN oauth_pairwise_subject AS p ON p.sector = sector_of(c) AND p.user_id = of_user
        WHERE c.client_id = of_client
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION known_subject(text, text) IS 'Part of subject_of, for a client with pairwise subjects, or an exchanged token''s. Not inlined, so that others don''t pay for the joins.';
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION live_session(text) IS 'Part of ExtendSession: returns a session as it is now, if it is live. VOLATILE, so that it sees what was committed while the statement waited for the session.';
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
CREATE FUNCTION may_decide(a oauth_authorization, decider text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT a.kind NOT IN ('device', 'ciba') OR coalesce(a.user_id = decider, false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION may_decide(oauth_authorization, text) IS 'Whether a user may decide about a request. The request of a device is that of the user who claimed it with its user code, and one of CIBA that of the user whom the client named. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION may_introspect(k oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(NOT k.disabled AND method <> 'none' AND authenticates(k, method, presented), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION may_introspect(oauth_client, text, token_digest) IS 'Whether a client may ask about tokens (RFC 7662, section 2.1): it is authenticated, and not disabled. none is no authentication here. Never NULL.';
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
CREATE FUNCTION merge_authorization_details(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(more) <> 'array' THEN
        PERFORM refuse_parameter('AuthorizationDetails', 'is not a list');
    END IF;
    RETURN details_as_set(coalesce(earlier, '[]') || coalesce(more, '[]'));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION merge_authorization_details(jsonb, jsonb) IS 'The elements of both lists, each once. NULL if there is none. A parameter that is not a list is an error.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION missing_authorization_details(asked jsonb, agreed jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF jsonb_typeof(asked) <> 'array' THEN
        PERFORM refuse_parameter('AuthorizationDetails', 'is not a list');
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM jsonb_array_elements(asked) WITH ORDINALITY AS d (element, n)
        -- whole and equal: for @>, an element without a limit would be within one that has it
        WHERE d.element NOT IN (SELECT jsonb_array_elements(agreed))
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION missing_authorization_details(jsonb, jsonb) IS 'The elements of one list of authorization_details (RFC 9396) that the other one does not have, whole and equal. NULL if there is none. A parameter that is not a list is an error.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION newest_signing_key(of_alg text, max_age interval, OUT id jwk_id, OUT created_at timestamptz)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF coalesce(of_alg, '') = '' THEN
        PERFORM refuse_parameter('Alg', 'is missing');
    ELSIF max_age IS NULL OR max_age <= interval '0' THEN
        PERFORM refuse_parameter('MaxAge', 'is missing');
    END IF;
    FOR attempt IN 1..2 LOOP
        SELECT k.id, k.created_at INTO id, created_at
        FROM jwks AS k
        WHERE k.alg = of_alg AND k.expires_at IS NULL AND now() - k.created_at < max_age
        ORDER BY k.created_at DESC, k.id DESC
        LIMIT 1;
        EXIT WHEN id IS NOT NULL OR attempt = 2;
        -- One is due. There may be no row to lock, so the rotations of an algorithm take turns by an advisory lock.
        PERFORM pg_advisory_xact_lock(hashtextextended(of_alg, 'jwks'::regclass::oid::bigint));
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION newest_signing_key(text, interval) IS 'Part of RotateSigningKeyIfDue: the newest key of an algorithm that has no expiry and is younger than max_age. If there is none, nobody else adds one until the transaction ends. VOLATILE, so that it sees the key of whoever had the turn before.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION noted(
    verdict outcome, of_call text, of_user text DEFAULT NULL, of_client text DEFAULT NULL, of_session text DEFAULT NULL,
    of_family text DEFAULT NULL, of_item text DEFAULT NULL, why text DEFAULT NULL, from_address text DEFAULT NULL
) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF current_setting('oauthdb.events', true) = 'on' AND (
        verdict IN (
            'replayed', 'proof_replayed', 'mismatched', 'regressed', 'suspended', 'ended', 'withdrawn', 'deleted', 'reinstated', 'enabled',
            'registered', 'spent'
        )
        OR (verdict = 'rotated' AND of_call = 'RotateClientSecret')
        OR (verdict = 'updated' AND of_call IN ('UpdateRegistration', 'SetRegistrationAccessToken'))
        OR (verdict = 'created' AND of_call IN ('CreatePasskey', 'CreateTOTP'))
        OR (verdict = 'replaced' AND of_call = 'ReplaceRecoveryCodes')
        OR (verdict = 'accepted' AND of_call = 'UseRecoveryCode')
    )
    -- Not what anybody can repeat without a credential: polling for a device that no user has to do with, guessing at a code.
    AND NOT (of_call = 'PollDeviceCode' AND of_user IS NULL)
    AND NOT (of_call = 'UseTOTP' AND verdict <> 'spent') THEN
        INSERT INTO security_event (call, outcome, reason, user_id, client_id, session_id, authorization_id, item_id, ip_address)
        -- An address may be what a request's header says, and a client_id what a form says. Neither may make the call fail, so the one is cut,
        -- and the other left out if no client can have it, as it wouldn't fit the index.
        VALUES (
            of_call, verdict, why, of_user, CASE WHEN octet_length(of_client) <= 2048 THEN of_client END, of_session, of_family, of_item,
            left(from_address, 255)
        );
    END IF;
    RETURN verdict;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION noted(outcome, text, text, text, text, text, text, text, text) IS 'Returns the verdict of a call, and writes it to security_event if it matters and the setting oauthdb.events is on.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION refresh_token_is_live(r oauth_refresh_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now()) AND is_live(a, c, u, s), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION refresh_token_is_live(oauth_refresh_token, oauth_authorization, oauth_client, "user", session) IS 'Whether a refresh token is live: neither spent nor expired, and its family a is live. c, u and s are those of is_live. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION registered_before(
    of_client client_id, of_id oauth_client_id, secret token_digest, manager token_digest,
    OUT verdict outcome, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT CASE
            WHEN c.id = of_id AND c.deleted_at IS NULL AND c.client_secret IS NOT DISTINCT FROM secret
                AND c.registration_access_token IS NOT DISTINCT FROM manager
            THEN 'retried'
            ELSE 'taken'
        END, c.created_at, c.client_secret_expires_at
    INTO verdict, issued_at, secret_expires_at
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION registered_before(client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient: whether a client_id has been registered, by the same call (retried) or another (taken). NULL if it hasn''t. VOLATILE, so that it sees what was committed while the statement waited.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION replace_recovery_codes(owner text, digests text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    codes text[] := as_set(digests);
BEGIN
    IF codes = '{}' THEN
        PERFORM refuse_parameter('Digests', 'is missing');
    END IF;
    DELETE FROM recovery_code AS c WHERE c.user_id = owner;
    INSERT INTO recovery_code (user_id, digest) SELECT owner, d.digest FROM unnest(codes) AS d (digest);
    RETURN cardinality(codes);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION replace_recovery_codes(text, text[]) IS 'Part of ReplaceRecoveryCodes, which has locked the user: deletes the user''s codes, those included that another call has written meanwhile, and writes new ones. Returns how many.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION return_initial_access_token(
    presented token_digest, of_client client_id, of_id oauth_client_id, secret token_digest, manager token_digest,
    OUT verdict outcome, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_initial_access_token AS t SET uses = t.uses - 1, updated_at = now() WHERE t.token = presented;
    SELECT b.verdict, b.issued_at, b.secret_expires_at INTO verdict, issued_at, secret_expires_at
    FROM registered_before(of_client, of_id, secret, manager) AS b;
    verdict := coalesce(verdict, 'taken'); -- the id is that of a client with another client_id
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION return_initial_access_token(token_digest, client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient, for a call that met another one that registers the same client_id or id: gives its use of the initial access token back, and says whether the other one was the same call (retried) or not (taken).';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION slow_down(polled authorization_id) RETURNS interval
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    slower interval;
BEGIN
    -- polled_at stays, else a client that polls a little early would never poll in time
    UPDATE oauth_polled_request AS p
    SET poll_interval = greatest(p.poll_interval, least(p.poll_interval + interval '5 seconds', interval '1 minute', p.expires_at - now())),
        updated_at = now()
    WHERE p.id = polled
    RETURNING p.poll_interval INTO slower;
    RETURN slower;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION slow_down(authorization_id) IS 'Part of PollDeviceCode: adds five seconds to the interval of a request that was polled too early (RFC 8628, section 3.5), but makes it no longer than a minute or than what is left of the code''s life. Returns the interval. VOLATILE, because the statement may have waited for the row.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION spend_initial_access_token(
    presented token_digest, is_open boolean, refused outcome, of_client client_id, of_id oauth_client_id, secret token_digest,
    manager token_digest, OUT verdict outcome, OUT owner reference_id, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    t oauth_initial_access_token;
    before record;
BEGIN
    IF presented IS NOT NULL THEN
        -- registrations with one token run one after the other
        SELECT x.* INTO t FROM oauth_initial_access_token AS x WHERE x.token = presented FOR NO KEY UPDATE;
    END IF;
    SELECT b.* INTO before FROM registered_before(of_client, of_id, secret, manager) AS b;
    verdict := CASE
        WHEN t.id IS NULL AND (presented IS NOT NULL OR is_open IS NOT TRUE) THEN 'unauthenticated'
        WHEN before.verdict = 'retried' THEN 'retried'
        WHEN t.revoked_at IS NOT NULL THEN 'revoked'
        WHEN t.uses >= t.max_uses THEN 'exhausted'
        WHEN t.expires_at <= now() THEN 'expired'
        WHEN refused IS NOT NULL THEN refused
        WHEN before.verdict = 'taken' THEN 'taken'
        ELSE 'registered'
    END;
    owner := t.reference_id;
    IF verdict = 'retried' THEN
        issued_at := before.issued_at;
        secret_expires_at := before.secret_expires_at;
    ELSIF verdict = 'registered' THEN
        UPDATE oauth_initial_access_token AS x SET uses = x.uses + 1, updated_at = now() WHERE x.id = t.id;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION spend_initial_access_token(token_digest, boolean, outcome, client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient: whether a client may be registered, and one use of the initial access token if it may. refused is why the metadata is refused, or NULL. What is refused spends nothing. owner is the tenant of the token.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stamp_consent() RETURNS trigger
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    written record := NEW;
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a merge that waited for the row carry scopes over a withdrawal.
    SELECT u.grants_epoch, pair_epoch(u.ended_grants, NEW.client_id, NEW.reference_id)
    INTO NEW.user_epoch, NEW.pair_epoch
    FROM "user" AS u
    WHERE u.id = NEW.user_id;
    IF NOT FOUND THEN
        NEW.user_epoch := 0;
        NEW.pair_epoch := 0;
    END IF;
    -- A server that doesn't write the epochs doesn't know these columns either, and must not revive what has been ended.
    IF TG_OP = 'UPDATE' AND (written.user_epoch, written.pair_epoch) <> (NEW.user_epoch, NEW.pair_epoch) THEN
        NEW.resource_scopes := NULL;
        NEW.authorization_details := NULL;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION stated_sector(of_client text, verified text, subject_type text, grant_types text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(verified, CASE WHEN subject_type <> 'public' AND NOT proves_host(grant_types) THEN own_sector(of_client) END)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION stated_sector(text, text, text, text[]) IS 'The sector of a client that registers itself: the one that the server has verified, or its own if it could claim a host without having it. NULL leaves it to keep_sector.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION subject_of(c oauth_client, of_client text, of_user text) RETURNS subject
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN c.client_id = of_client AND sector_of(c) IS NULL THEN of_user WHEN of_user IS NOT NULL THEN known_subject(of_client, of_user) END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION subject_of(oauth_client, text, text) IS 'The subject (sub) by which a client knows a user. It writes nothing, so it is NULL for a client with pairwise subjects that has been granted nothing yet. c spares a look-up if it is the client''s row.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION subject_of;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION stated_sector;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stamp_consent() RETURNS trigger
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a merge that waited for the row carry scopes over a withdrawal.
    SELECT u.grants_epoch, pair_epoch(u.ended_grants, NEW.client_id, NEW.reference_id)
    INTO NEW.user_epoch, NEW.pair_epoch
    FROM "user" AS u
    WHERE u.id = NEW.user_id;
    IF NOT FOUND THEN
        NEW.user_epoch := 0;
        NEW.pair_epoch := 0;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION spend_initial_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION slow_down;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION return_initial_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION replace_recovery_codes;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION registered_before;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION refresh_token_is_live;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION noted;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION newest_signing_key;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION missing_authorization_details;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION merge_authorization_details;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION may_present;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION may_introspect;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION may_decide;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION lock_live_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION live_session(text) IS 'Part of ExtendSession: returns a session as it is now, if it is live. Volatile, so it sees what was committed while the statement waited for the session.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION known_subject;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION keep_sector;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_request;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_repeated_grant;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_registration_update;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION manages;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION leaves_sector;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION proves_host;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_registration;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_redeemed_request;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_narrowed;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION kept_within;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_logout_lease;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_client_document;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_assertion_time;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_assertion;
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
DROP FUNCTION is_redirect_uri;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION is_in_force;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION granter_refusal;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION user_refusal;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION give_family() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    candidate text;
BEGIN
    IF NEW.user_id IS NULL THEN
        -- a client's own token, which is always an access token
        NEW.client_epoch := coalesce(NEW.client_epoch, (SELECT c.grants_epoch FROM oauth_client AS c WHERE c.client_id = NEW.client_id));
        RETURN NEW;
    END IF;
    IF TG_TABLE_NAME = 'oauth_access_token' THEN
        SELECT r.authorization_id INTO NEW.authorization_id
        FROM oauth_refresh_token AS r
        WHERE r.id = NEW.refresh_id AND r.client_id = NEW.client_id AND r.user_id = NEW.user_id;
    END IF;
    IF NEW.authorization_id IS NULL THEN
        PERFORM lock_parents(NEW.user_id, NEW.client_id, NEW.session_id); -- if one is gone, a foreign key reports it below
        FOREACH candidate IN ARRAY ARRAY[
            CASE WHEN octet_length(NEW.authorization_code_id) BETWEEN 1 AND 255 THEN NEW.authorization_code_id END,
            'azn_' || md5(NEW.client_id || ' ' || NEW.user_id || ' ' || nullif(NEW.authorization_code_id, '')),
            new_authorization_id()
        ] LOOP
            CONTINUE WHEN candidate IS NULL;
            INSERT INTO oauth_authorization (
                id, client_id, kind, status, user_id, session_id, reference_id, scopes, granted_scopes, resources, confirmation, bound,
                user_epoch, client_epoch, pair_epoch, decided_at, revoked_at, revoked_reason
            )
            SELECT candidate, c.client_id, 'foreign', 'approved', u.id, s.id, NEW.reference_id, NEW.scopes, NEW.scopes, NEW.resources, NEW.confirmation,
                NEW.session_id IS NOT NULL AND NOT 'offline_access' = ANY (NEW.scopes),
                u.grants_epoch, c.grants_epoch, pair_epoch(u.ended_grants, c.client_id, NEW.reference_id), now(),
                CASE WHEN NEW.session_id IS NOT NULL AND NOT session_is_live(s, u) THEN now() END,
                CASE WHEN NEW.session_id IS NOT NULL AND NOT session_is_live(s, u) THEN 'session_ended'::revocation_reason END
            FROM "user" AS u
            CROSS JOIN oauth_client AS c
            LEFT JOIN session AS s ON s.id = NEW.session_id AND s.user_id = u.id
            WHERE u.id = NEW.user_id AND c.client_id = NEW.client_id
              AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = candidate) -- for one that is there, ON CONFLICT waits
            ON CONFLICT (id) DO NOTHING;
            SELECT a.id INTO NEW.authorization_id
            FROM oauth_authorization AS a
            WHERE a.id = candidate AND a.client_id = NEW.client_id AND a.user_id = NEW.user_id;
            EXIT WHEN FOUND;
        END LOOP;
        -- if the user or client is gone, let its foreign key report it rather than the constraint that requires a family
        NEW.authorization_id := coalesce(NEW.authorization_id, candidate);
        INSERT INTO session_client (session_id, client_id, user_id, sub, sid)
        SELECT NEW.session_id, NEW.client_id, NEW.user_id, NEW.user_id, NEW.session_id
        WHERE NEW.session_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.session_id = NEW.session_id AND k.client_id = NEW.client_id)
        ON CONFLICT (session_id, client_id) DO NOTHING;
    END IF;
    -- Another server reads only the token's row, so a dead token has to be marked there. Without offline_access such a server issues
    -- access tokens without spending the refresh token, so refuse_dead_rotation doesn't stop it.
    IF TG_TABLE_NAME = 'oauth_access_token' AND NEW.revoked IS NULL AND (
        SELECT NOT is_ended(a, c, u, s)
        FROM oauth_authorization AS a
        JOIN oauth_client AS c ON c.client_id = a.client_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
        WHERE a.id = NEW.authorization_id
    ) IS NOT TRUE THEN
        NEW.revoked := now();
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION sector_of;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION own_sector;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION give_subject;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION keep_subject;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION find_issued_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION find_grant_by_assertion;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION family_expiry;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION expiry_without_row;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION end_sessions(doomed text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    sessions bigint;
BEGIN
    UPDATE session AS s
    SET ended_at = now(), expires_at = least(s.expires_at, now()), updated_at = now()
    WHERE s.id = ANY (doomed) AND s.ended_at IS NULL;
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    WHERE k.id = ANY (ARRAY(
        SELECT x.id::text
        FROM session_client AS x
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ));
    RETURN sessions;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions and makes the notification of their clients due. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION has_logout_uri;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION document_changes;
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
DROP FUNCTION delete_client;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION count_attempt;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION consent_goes_on;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION consent_gaps;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION common_host;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION client_is_used;
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
DROP FUNCTION asked_or_granted;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION agreed_scopes;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION agreed_resource_scopes;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION scopes_at;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION merge_resource_scopes;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION add_actor;
-- +goose StatementEnd
