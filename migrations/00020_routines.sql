-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION merge_resource_scopes(earlier jsonb, more jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (
        SELECT jsonb_object_agg(m.resource, m.scopes)
        FROM (
            SELECT p.resource, to_jsonb(as_set(array_agg(s.scope ORDER BY p.part, s.n))) AS scopes
            FROM (
                SELECT 1 AS part, e.key AS resource, e.value AS scopes FROM jsonb_each(earlier) AS e
                UNION ALL
                SELECT 2, e.key, e.value FROM jsonb_each(more) AS e
            ) AS p
            LEFT JOIN LATERAL jsonb_array_elements_text(CASE WHEN jsonb_typeof(p.scopes) = 'array' THEN p.scopes ELSE '[]' END) WITH ORDINALITY AS s (scope, n) ON true
            GROUP BY p.resource
        ) AS m
    );
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
BEGIN
    RETURN (SELECT jsonb_object_agg(r.resource, to_jsonb(as_set(scopes))) FROM unnest(as_set(resources)) AS r (resource));
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
CREATE FUNCTION consent_gaps(g oauth_consent, asked text[], at_resources text[], OUT scopes text[], OUT resources text[])
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- Pairs of a resource and a scope. '' is no resource; a NULL scope stands for the resource itself, so that none is covered that the
    -- user was never asked about, even if no scope is asked for.
    WITH pairs AS (
        SELECT r.resource, s.scope
        FROM unnest(CASE WHEN cardinality(at_resources) > 0 THEN at_resources ELSE '{""}' END) AS r (resource)
        CROSS JOIN unnest(asked || NULL::text) AS s (scope)
    ), agreed (resource, scope) AS (
        SELECT '', s.scope
        FROM unnest(agreed_scopes(g) || NULL::text) AS s (scope)
        WHERE g.id IS NOT NULL
        UNION ALL
        SELECT e.key, s.scope
        FROM jsonb_each(agreed_resource_scopes(g)) AS e
        CROSS JOIN LATERAL (SELECT NULL UNION ALL SELECT jsonb_array_elements_text(e.value)) AS s (scope)
    ), gaps AS MATERIALIZED (
        SELECT p.resource, p.scope FROM pairs AS p
        EXCEPT
        SELECT a.resource, a.scope FROM agreed AS a
    )
    SELECT
        ARRAY(SELECT l.value FROM unnest(as_set(asked)) WITH ORDINALITY AS l (value, n) WHERE l.value IN (SELECT p.scope FROM gaps AS p) ORDER BY l.n),
        ARRAY(SELECT l.value FROM unnest(as_set(at_resources)) WITH ORDINALITY AS l (value, n) WHERE l.value IN (SELECT p.resource FROM gaps AS p) ORDER BY l.n)
    INTO scopes, resources;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION consent_gaps(oauth_consent, text[], text[]) IS 'Part of CheckConsent: the scopes that a consent does not cover at one of the resources, or without one, and the resources where something is missing. Both lists are empty if all is covered. Linear in the pairs that are asked for.';
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
CREATE FUNCTION judge_repeated_grant(
    family authorization_id, of_client client_id, of_user user_id, issued_as access_token_id, issued_with refresh_token_id,
    OUT verdict outcome, OUT access_token_expires_at timestamptz, OUT refresh_token_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    a  oauth_authorization;
    ok boolean;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = family;
    IF (a.client_id = of_client AND a.user_id = of_user AND a.redeemed_as = issued_as) IS NOT TRUE THEN
        PERFORM refuse_parameter('ID', 'is that of another grant');
    END IF;
    SELECT is_live(a, c, u, s) INTO ok
    FROM oauth_client AS c
    JOIN "user" AS u ON u.id = of_user
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE c.client_id = of_client;
    verdict := CASE WHEN ok THEN 'retried' ELSE 'revoked' END;
    IF ok THEN
        SELECT t.expires_at INTO access_token_expires_at FROM oauth_access_token AS t WHERE t.id = issued_as AND t.authorization_id = family;
        SELECT r.expires_at INTO refresh_token_expires_at FROM oauth_refresh_token AS r WHERE r.id = issued_with AND r.authorization_id = family;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_repeated_grant(authorization_id, client_id, user_id, access_token_id, refresh_token_id) IS 'Part of IssueGrant: the verdict about a grant whose id is taken. It is retried for the same call, and revoked if the grant has been ended since; then nothing more is returned. The id of another grant is an error. VOLATILE, so that it sees what was committed while the statement waited for the id.';
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
    RETURN (
        SELECT jsonb_agg(m.element ORDER BY m.n)
        FROM (
            SELECT d.element, min(d.n) AS n
            FROM jsonb_array_elements(coalesce(earlier, '[]') || coalesce(more, '[]')) WITH ORDINALITY AS d (element, n)
            GROUP BY d.element
        ) AS m
    );
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

-- +goose Down

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
DROP FUNCTION newest_signing_key;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION missing_authorization_details;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION merge_authorization_details;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_repeated_grant;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION expiry_without_row;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION consent_goes_on;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION consent_gaps;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION client_is_used;
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
