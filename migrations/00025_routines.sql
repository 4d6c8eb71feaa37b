-- +goose Up

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION client_key(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN octet_length(client_id) > 64 THEN md5(client_id) ELSE client_id END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenant_key(reference_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN reference_id IS NULL THEN '-' WHEN octet_length(reference_id) > 64 THEN '.' || md5(reference_id) ELSE '.' || reference_id END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- counters only rise, so equal sums mean equal counters
RETURN CASE WHEN ended_grants = '{}' THEN 0 ELSE
    coalesce((ended_grants -> client_key(client_id) ->> '')::bigint, 0)
    + coalesce((ended_grants -> client_key(client_id) ->> tenant_key(reference_id))::bigint, 0)
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION session_is_live(s session, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    s.ended_at IS NULL
    AND s.expires_at > now()
    AND s.user_sessions_epoch >= u.sessions_epoch -- greater where a statement waited for the session: s is then the latest version, u the snapshot's
    AND u.suspended_at IS NULL
    AND u.deleted_at IS NULL,
    false
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_ended(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT coalesce(
    a.revoked_at IS NULL
    AND a.client_epoch = c.grants_epoch
    AND u.suspended_at IS NULL
    AND u.deleted_at IS NULL
    AND a.user_epoch = u.grants_epoch
    AND a.pair_epoch = pair_epoch(u.ended_grants, a.client_id, a.reference_id)
    AND (NOT a.bound OR session_is_live(s, u)),
    false
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_live(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT coalesce(c.disabled, true) AND NOT is_ended(a, c, u, s);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION access_token_is_live(t oauth_access_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    t.revoked IS NULL
    AND (t.expires_at IS NULL OR t.expires_at > now())
    AND (t.authorization_id IS NULL OR is_live(a, c, u, s))
    AND (t.client_epoch IS NULL OR own_client_is_live(t)),
    false
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION agreed_resource_scopes(g oauth_consent) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN merge_resource_scopes(g.resource_scopes, scopes_at(g.resources, g.scopes));
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION agreed_scopes(g oauth_consent) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(g.resources) > 0 THEN '{}' ELSE g.scopes END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION asked_or_granted(asked text[], granted text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(asked) > 0 THEN as_set(asked) ELSE granted END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION assertion_ends_at(expires_at bigint, clock_skew interval) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
-- to_timestamp fails on a time out of range, and the planner evaluates it for constants even if no row is written
RETURN to_timestamp(greatest(least(expires_at, 253402300799), 0)) + greatest(clock_skew, interval '0');
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_public(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    c.public,
    c.token_endpoint_auth_method = 'none',
    c.client_secret IS NULL AND c.foreign_secret_hash IS NULL AND c.jwks IS NULL AND c.jwks_uri IS NULL
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION authenticates(c oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    c.client_id IS NOT NULL
    AND CASE
        WHEN method = 'verified' THEN true
        WHEN is_public(c) THEN method = 'none'
        WHEN method IN ('client_secret_basic', 'client_secret_post')
        THEN coalesce(c.token_endpoint_auth_method, method) IN ('client_secret_basic', 'client_secret_post')
            AND (
                coalesce(c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()), false)
                OR is_older_secret(c.client_id, presented)
            )
        WHEN method = 'private_key_jwt'
        THEN c.token_endpoint_auth_method = method
            OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)
        WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth')
        THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')
    END,
    false
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION binds_as_registered(c oauth_client, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (c.dpop_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'jkt', false))
    AND (c.tls_client_certificate_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'x5t#S256', false));
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION client_is_used(of_client text, agreed_since timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_authorization AS a WHERE a.client_id = of_client) -- and so of each refresh token
        OR EXISTS (SELECT FROM oauth_access_token AS t WHERE t.client_id = of_client)
        OR EXISTS (SELECT FROM session_client AS k WHERE k.client_id = of_client)
        OR EXISTS (SELECT FROM oauth_consent AS g WHERE g.client_id = of_client AND g.updated_at >= agreed_since);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION consent_counts(g oauth_consent, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN g.user_epoch = u.grants_epoch
    AND g.pair_epoch = pair_epoch(u.ended_grants, g.client_id, g.reference_id)
    AND u.suspended_at IS NULL
    AND u.deleted_at IS NULL;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION consent_counts(oauth_consent, "user") IS 'Whether a consent counts: the grants of its user to its client have not been ended since, and the user is neither suspended nor deleted. NULL without a consent or a user.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION expiry(since timestamptz, given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
-- 9223372036854775 microseconds is store.Never, the longest time.Duration
RETURN CASE
    WHEN given >= interval '1 second'
    THEN since + least(nullif(given, interval '9223372036854775 microseconds'), nullif(at_most, interval '9223372036854775 microseconds'))
    ELSE refuse_parameter(name, 'is missing or under a second')::timestamptz
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION deadline(given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN coalesce(expiry(now(), given, at_most, name), refuse_parameter(name, 'is without end')::timestamptz);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION delete_client(of_client text, is_managed boolean, manager text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_client AS c
    SET deleted_at = now(), disabled = true, grants_epoch = c.grants_epoch + 1, client_secret = NULL, foreign_secret_hash = NULL,
        registration_access_token = NULL, previous_registration_access_token = NULL, jwks = NULL, jwks_uri = NULL, name = NULL,
        uri = NULL, icon = NULL, contacts = NULL, tos = NULL, policy = NULL, software_statement = NULL, redirect_uris = '{}',
        post_logout_redirect_uris = NULL, tls_client_auth_subject_dn = NULL, tls_client_auth_san_dns = NULL, tls_client_auth_san_uri = NULL,
        tls_client_auth_san_ip = NULL, tls_client_auth_san_email = NULL, metadata = NULL, document_uri = NULL, document_etag = NULL, document_fresh_until = NULL,
        updated_at = now()
    WHERE c.client_id = of_client AND c.deleted_at IS NULL AND (NOT is_managed OR c.registration_access_token = manager);
    RETURN FOUND;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION delete_recovery_codes(owner text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    codes bigint;
BEGIN
    DELETE FROM recovery_code AS c WHERE c.user_id = owner;
    GET DIAGNOSTICS codes = ROW_COUNT;
    RETURN codes;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION delete_recovery_codes(text) IS 'Part of the calls that delete all recovery codes of a user, which they have locked: the order in which this locks the codes doesn''t matter. VOLATILE, so that it sees the codes that were written while the statement waited for the user. Returns how many there were.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION details_within(part jsonb, whole jsonb, compared_types text[]) RETURNS boolean
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
        WHERE p.element NOT IN (SELECT w.element FROM jsonb_array_elements(whole) AS w (element))
            AND NOT coalesce(
                p.element ->> 'type' = ANY (compared_types)
                AND p.element -> 'type' IN (SELECT w.element -> 'type' FROM jsonb_array_elements(whole) AS w (element)),
                false
            )
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION disable_client_of_deleted_user() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- This waits for DeleteUser, or DeleteUser for this. A client that is handed over doesn't wait: DeleteUser locks the user first.
        PERFORM FROM "user" AS u WHERE u.id = NEW.user_id FOR SHARE;
    END IF;
    NEW.disabled := NEW.disabled OR EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION disable_owned_clients(owner text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    owned   text[];
    clients bigint;
BEGIN
    owned := ARRAY(
        SELECT o.id::text
        FROM oauth_client AS o
        WHERE o.user_id = owner
        ORDER BY o.client_id
        FOR NO KEY UPDATE
    );
    -- a statement of its own, which begins with the rows as they were locked
    UPDATE oauth_client AS c
    SET disabled = true, grants_epoch = c.grants_epoch + 1, updated_at = now()
    WHERE c.id = ANY (owned);
    GET DIAGNOSTICS clients = ROW_COUNT;
    RETURN clients;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION disable_owned_clients(text) IS 'Part of DeleteUser, which has locked the user: disables the clients that the user owns and ends what was granted to them. VOLATILE, so that it sees the clients that were stored while the statement waited for the user. Returns how many there are.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION end_replayed_family(family authorization_id) RETURNS authorization_id
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
    WHERE a.id = family AND a.revoked_at IS NULL;
    RETURN family;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION end_replayed_family(authorization_id) IS 'Part of RedeemAuthorizationCode, which has locked the family: ends it, because its code was presented again. VOLATILE, so that it begins with the row as it was locked: a statement that changes a row which it has waited for and locked itself can meet another one in a deadlock (docs/locking.md).';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION has_logout_uri(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(c.backchannel_logout_uri <> '' AND c.deleted_at IS NULL, false);
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
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL AND x.abandoned_at IS NULL AND has_logout_uri(c)
        FOR NO KEY UPDATE OF x SKIP LOCKED
    ));
    RETURN sessions;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION expiry_without_row(expires_at timestamptz, access_token text) RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN access_token IS NOT NULL THEN refuse_parameter('AccessToken', 'is set, but the token is to have no row')::timestamptz
    WHEN expires_at IS NULL THEN refuse_parameter('AccessTokenLifetime', 'is without end, but the token is to have no row')::timestamptz
    ELSE expires_at
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION family_expiry(since timestamptz, given interval, at_most interval, has_refresh_token boolean) RETURNS timestamptz
LANGUAGE sql VOLATILE
-- 9223372036854775 microseconds is store.Never
RETURN CASE
    WHEN has_refresh_token OR given <> interval '0' THEN expiry(since, given, at_most, 'FamilyLifetime')
    ELSE since + nullif(at_most, interval '9223372036854775 microseconds')
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION give_subject(of_sector text, of_user text) RETURNS subject
LANGUAGE sql VOLATILE
RETURN CASE WHEN of_sector IS NULL THEN of_user ELSE (keep_subject(of_sector, of_user, NULL)).held END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION own_sector(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'client:' || client_key(client_id);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION sector_of(c oauth_client) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN c.subject_type <> 'public' THEN coalesce(c.sector_identifier, own_sector(c.client_id)) END;
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
        NEW.client_epoch := (SELECT c.grants_epoch FROM oauth_client AS c WHERE c.client_id = NEW.client_id);
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
            PERFORM FROM oauth_authorization AS a WHERE a.id = candidate AND a.client_id = NEW.client_id AND a.user_id = NEW.user_id;
            EXIT WHEN FOUND;
        END LOOP;
        -- if the user or client is gone, let its foreign key report it rather than the constraint that requires a family
        NEW.authorization_id := candidate;
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
CREATE OR REPLACE FUNCTION user_refusal(u "user") RETURNS outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN u.id IS NULL OR u.deleted_at IS NOT NULL THEN 'unknown'::outcome
    WHEN u.suspended_at IS NOT NULL THEN 'suspended'::outcome
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION granter_refusal(parents text, u "user", of_session text, s session) RETURNS outcome
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN parents = 'unknown' THEN 'unknown'::outcome
    ELSE coalesce(
        user_refusal(u),
        CASE WHEN of_session IS NOT NULL AND (parents = 'signed_out' OR NOT session_is_live(s, u)) THEN 'signed_out'::outcome END
    )
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- <@ compares each value with each. For a long list that takes too long, and keys of an object are searched instead.
RETURN CASE WHEN cardinality(part) <= 32 THEN part <@ whole ELSE jsonb_object(whole, whole) ?& part END;
-- +goose StatementEnd

-- +goose StatementBegin
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
            OR (d.element ->> 'type' = ANY (coalesce(c.authorization_details_types, default_types, '{}'))) IS NOT TRUE
    ) THEN
        RETURN 'invalid_authorization_details';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_assertion_time(expires_at bigint, clock_skew interval, max_lifetime interval, at_most interval) RETURNS outcome
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN expires_at > extract(epoch FROM expiry(now(), max_lifetime, least(at_most, interval '1 year'), 'MaxLifetime')) THEN 'too_far'
    WHEN (expires_at > extract(epoch FROM now() - clock_skew)) IS NOT TRUE THEN 'expired'
END::outcome;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION kept_within(list text[], allowed text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF list IS NULL OR is_within(list, allowed) THEN
        RETURN list;
    END IF;
    RETURN beyond(list, beyond(list, allowed));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
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
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_redeemed_request(
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
        -- collected: if the family goes on, it was used before
        WHEN r.revoked IS NOT NULL
            OR r.id IS NULL AND first IS NOT NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = polled)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN a.redeemed_as = issued_as THEN 'superseded' ELSE 'replayed' END
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
COMMENT ON FUNCTION judge_redeemed_request(authorization_id, access_token_id, interval, boolean) IS 'Part of PollDeviceCode: the verdict about a request whose tokens were issued before. While its refresh token is unused, it is retried for a repeated call, or within grace. Once it is used, a repeated call is superseded. Otherwise it is replayed, and the family ends. VOLATILE, so that it sees what was committed while the statement waited for the family.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_registration(
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
                WHERE (octet_length(p.uri) > 4096 OR lower(p.uri COLLATE "C") !~ '^https?://[^/?#@[:space:]]+([/?#][^[:space:]]*)?$')
                  AND NOT (p.n > cardinality(pages) AND is_redirect_uri(p.uri))
            )
        THEN 'invalid_client_metadata'
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_repeated_approval(family authorization_id) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    verdict outcome;
BEGIN
    SELECT CASE WHEN c.disabled THEN 'disabled' WHEN is_ended(a, c, u, s) THEN 'revoked' END::outcome INTO verdict
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE a.id = family;
    RETURN verdict;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_repeated_approval(authorization_id) IS 'Part of ApproveAuthorization: what stands against approving a family again, NULL if nothing does. VOLATILE: the statement may have waited for the first approval, whose counters can be newer than those that it has read of the user and the client.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION resolve_redirect_uri(asked text, registered text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    resolved text := coalesce(asked, CASE WHEN cardinality(as_set(registered)) = 1 THEN (as_set(registered))[1] END);
    loopback text[];
BEGIN
    IF strpos(resolved, '#') > 0 THEN
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
CREATE OR REPLACE FUNCTION uses_grant_type(c oauth_client, grant_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(grant_type = ANY (coalesce(c.grant_types, '{authorization_code,refresh_token}')), false);
-- +goose StatementEnd

-- +goose StatementBegin
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
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_spent_refresh_token(
    spent refresh_token_id, same_successor refresh_token_id, grace interval, until_used boolean,
    OUT verdict outcome, OUT successor token_digest, OUT successor_id refresh_token_id, OUT successor_expires_at timestamptz,
    OUT since timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    n oauth_refresh_token;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent FOR KEY SHARE;
    SELECT t.* INTO n FROM oauth_refresh_token AS t WHERE t.id = r.successor_id;
    verdict := CASE
        WHEN r.id IS NULL THEN 'unknown'
        WHEN r.successor_id IS NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN n.revoked IS NOT NULL
            OR n.id IS NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = r.authorization_id AND x.revoked IS NULL)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'replayed' END
        WHEN n.id IS NULL OR n.expires_at <= now() THEN 'expired'
        WHEN r.successor_id = same_successor OR until_used OR (grace > interval '0' AND now() < r.revoked + grace) THEN 'retried'
        ELSE 'replayed'
    END;
    IF verdict = 'retried' THEN
        successor := r.successor;
        successor_id := r.successor_id;
        successor_expires_at := n.expires_at;
        since := CASE WHEN r.successor_id = same_successor THEN r.revoked ELSE now() END;
    ELSIF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS a
        SET revoked_at = now(), revoked_reason = 'refresh_token_reused', updated_at = now()
        WHERE a.id = r.authorization_id AND a.revoked_at IS NULL;
        -- Another server spent it, so it is not known which tokens descend from it: all grants of the pair end.
        IF r.successor_id IS NULL THEN
            UPDATE "user" AS u
            SET ended_grants = end_pair(u.ended_grants, r.client_id, ''),
                grants_epoch = u.grants_epoch + (end_pair(u.ended_grants, r.client_id, '') = '{}')::integer,
                updated_at = now()
            WHERE u.id = r.user_id;
        END IF;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_spent_refresh_token(refresh_token_id, refresh_token_id, interval, boolean) IS 'Part of RotateRefreshToken: the verdict about a spent token. While its successor is unused, it is retried for a repeated call, within grace, or at any time with until_used. Once its successor is used, a repeated call is superseded. Otherwise it is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION key_fits(bound_to jsonb, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN bound_to IS NULL OR coalesce(proven, '{}') @> bound_to;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION proves_host(grant_types text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(grant_types, ARRAY['authorization_code']) <@ ARRAY['authorization_code', 'implicit', 'refresh_token', 'client_credentials'];
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION leaves_sector(c oauth_client, verified text, subject_type text, redirect_uris text[], grant_types text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
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
);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION make_room_for_session;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION make_room_for_session(owner text, max_sessions integer, newest text DEFAULT '') RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF max_sessions <= 0 THEN
        RETURN 0;
    END IF;
    -- sign-ins of a user run one after the other; the statement below sees what the earlier ones have committed
    PERFORM FROM "user" AS u WHERE u.id = owner FOR NO KEY UPDATE;
    RETURN end_sessions(ARRAY(
        SELECT l.id::text
        FROM session AS l
        WHERE l.id IN (
            SELECT s.id
            FROM session AS s
            JOIN "user" AS u ON u.id = s.user_id
            WHERE s.user_id = owner AND s.id <> newest AND session_is_live(s, u)
            ORDER BY s.created_at DESC, s.id DESC
            OFFSET max_sessions - 1
        )
        ORDER BY l.id
        FOR NO KEY UPDATE
    ));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION make_room_for_session(text, integer, text) IS 'Part of CreateSession: ends the oldest live sessions of a user, so that no more than max_sessions are left with the newest, which has just been written. Returns how many it ended. 0 is no maximum.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION manages(c oauth_client, manager token_digest, successor token_digest) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(c.registration_access_token = manager OR (c.previous_registration_access_token = manager AND c.registration_access_token = successor), false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION may_decide(a oauth_authorization, decider text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN a.kind NOT IN ('device', 'ciba') OR coalesce(a.user_id = decider, false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION may_introspect(k oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(NOT k.disabled AND method <> 'none' AND authenticates(k, method, presented), false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION may_present(o oauth_client, t oauth_access_token, resources text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(t.client_id = o.client_id OR (NOT is_public(o) AND t.resources && (coalesce(resources, '{}') || o.client_id::text)), false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION newest_signing_key(of_alg text, max_age interval, OUT id jwk_id, OUT created_at timestamptz)
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
        EXIT WHEN id IS NOT NULL;
        -- One is due. There may be no row to lock, so the rotations of an algorithm take turns by an advisory lock.
        PERFORM pg_advisory_xact_lock(hashtextextended(of_alg, 'jwks'::regclass::oid::bigint));
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refresh_token_is_live(r oauth_refresh_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now()) AND is_live(a, c, u, s), false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION replace_recovery_codes(owner text, digests text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    codes text[] := as_set(digests);
BEGIN
    IF codes = '{}' THEN
        PERFORM refuse_parameter('Digests', 'is missing');
    END IF;
    PERFORM delete_recovery_codes(owner);
    INSERT INTO recovery_code (user_id, digest) SELECT owner, d.digest FROM unnest(codes) AS d (digest);
    RETURN cardinality(codes);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION settled(verdict outcome) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- A commit waits for the synchronous standby only if it has written something.
    IF current_setting('synchronous_standby_names') <> '' THEN
        PERFORM pg_logical_emit_message(true, 'oauthdb', '');
    END IF;
    RETURN verdict;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION settled(outcome) IS 'Returns the verdict of a call that has found its work done. Where there is a synchronous standby, the commit then waits until the standby has everything up to here, and so what was found. It may lack that if the wait of the call that did the work was cancelled.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION settled_of_user(owner text, verdict outcome) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (SELECT FROM "user" AS u WHERE u.id = owner AND u.deleted_at IS NULL) THEN
        RETURN settled(verdict);
    END IF;
    RETURN 'unknown';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION settled_of_user(text, outcome) IS 'Part of SuspendUser and ReinstateUser: the verdict if there is nothing left to do, or unknown if there is no such user. VOLATILE, so that it sees a deletion that was committed while the statement waited for the user.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION spend_initial_access_token(
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
    -- registrations with one token run one after the other
    SELECT x.* INTO t FROM oauth_initial_access_token AS x WHERE x.token = presented FOR NO KEY UPDATE;
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
CREATE OR REPLACE FUNCTION stated_sector(of_client text, verified text, subject_type text, grant_types text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(verified, CASE WHEN subject_type <> 'public' AND NOT proves_host(grant_types) THEN own_sector(of_client) END);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION store_client_secret(client oauth_client_id, secret token_digest, until timestamptz) RETURNS oauth_client_id
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_client AS c
    SET client_secret = coalesce(secret, refuse_parameter('ClientSecret', 'is missing')), client_secret_expires_at = until,
        foreign_secret_hash = NULL, updated_at = now()
    WHERE c.id = client;
    RETURN client;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION store_client_secret(oauth_client_id, token_digest, timestamptz) IS 'Part of RotateClientSecret and ReplaceForeignSecretHash, which have locked the client: stores its secret. VOLATILE, so that it begins with the row as it was locked: a statement that changes a row which it has waited for and locked itself can meet another one in a deadlock (docs/locking.md).';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION subject_of(c oauth_client, of_client text, of_user text) RETURNS subject
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN c.client_id = of_client AND sector_of(c) IS NULL THEN of_user WHEN of_user IS NOT NULL THEN known_subject(of_client, of_user) END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION was_granted_by(assertion token_digest, of_token access_token_id) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_client_assertion AS g WHERE g.id = assertion AND g.access_token_id = of_token);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION was_granted_by(token_digest, access_token_id) IS 'Part of IssueTokenByAssertion: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION was_issued_to(of_token access_token_id, issued_to client_id, exchanged_for access_token_id) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM oauth_access_token AS t
        WHERE t.id = of_token AND t.client_id = issued_to AND t.subject_token_id IS NOT DISTINCT FROM exchanged_for
          AND (exchanged_for IS NOT NULL OR t.user_id IS NULL)
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION was_issued_to(access_token_id, client_id, access_token_id) IS 'Part of IssueAccessToken and ExchangeToken: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION was_rotated_into(of_token refresh_token_id, same_successor refresh_token_id) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_refresh_token AS t WHERE t.id = of_token AND t.successor_id = same_successor);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION was_rotated_into(refresh_token_id, refresh_token_id) IS 'Part of RotateRefreshToken: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION was_rotated_into;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION was_issued_to;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION was_granted_by;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION subject_of(c oauth_client, of_client text, of_user text) RETURNS subject
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN c.client_id = of_client AND sector_of(c) IS NULL THEN of_user WHEN of_user IS NOT NULL THEN known_subject(of_client, of_user) END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION store_client_secret;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stated_sector(of_client text, verified text, subject_type text, grant_types text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(verified, CASE WHEN subject_type <> 'public' AND NOT proves_host(grant_types) THEN own_sector(of_client) END)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION spend_initial_access_token(
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
DROP FUNCTION settled_of_user;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION settled;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION replace_recovery_codes(owner text, digests text[]) RETURNS bigint
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
CREATE OR REPLACE FUNCTION refresh_token_is_live(r oauth_refresh_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now()) AND is_live(a, c, u, s), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION newest_signing_key(of_alg text, max_age interval, OUT id jwk_id, OUT created_at timestamptz)
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
CREATE OR REPLACE FUNCTION may_present(o oauth_client, t oauth_access_token, resources text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(t.client_id = o.client_id OR (NOT is_public(o) AND t.resources && (coalesce(resources, '{}') || o.client_id::text)), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION may_introspect(k oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(NOT k.disabled AND method <> 'none' AND authenticates(k, method, presented), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION may_decide(a oauth_authorization, decider text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT a.kind NOT IN ('device', 'ciba') OR coalesce(a.user_id = decider, false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION manages(c oauth_client, manager token_digest, successor token_digest) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(c.registration_access_token = manager OR (c.previous_registration_access_token = manager AND c.registration_access_token = successor), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION make_room_for_session;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION make_room_for_session(owner text, max_sessions integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF coalesce(max_sessions, 0) <= 0 THEN
        RETURN 0;
    END IF;
    -- sign-ins of a user run one after the other; the statement below sees what the earlier ones have committed
    PERFORM FROM "user" AS u WHERE u.id = owner FOR NO KEY UPDATE;
    RETURN end_sessions(ARRAY(
        SELECT l.id::text
        FROM session AS l
        WHERE l.id IN (
            SELECT s.id
            FROM session AS s
            JOIN "user" AS u ON u.id = s.user_id
            WHERE s.user_id = owner AND session_is_live(s, u)
            ORDER BY s.created_at DESC, s.id DESC
            OFFSET max_sessions - 1
        )
        ORDER BY l.id
        FOR NO KEY UPDATE
    ));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION make_room_for_session(text, integer) IS 'Part of CreateSession: ends the oldest live sessions of a user, so that one more makes no more than max_sessions. Returns how many it ended. 0 is no maximum.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION leaves_sector(c oauth_client, verified text, subject_type text, redirect_uris text[], grant_types text[]) RETURNS boolean
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
CREATE OR REPLACE FUNCTION proves_host(grant_types text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(grant_types, ARRAY['authorization_code']) <@ ARRAY['authorization_code', 'implicit', 'refresh_token', 'client_credentials']
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION key_fits(bound_to jsonb, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT bound_to IS NULL OR coalesce(proven, '{}') @> bound_to
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_spent_refresh_token(
    spent refresh_token_id, same_successor refresh_token_id, grace interval, until_used boolean,
    OUT verdict outcome, OUT successor token_digest, OUT successor_id refresh_token_id, OUT successor_expires_at timestamptz,
    OUT since timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    n oauth_refresh_token;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent FOR KEY SHARE;
    SELECT t.* INTO n FROM oauth_refresh_token AS t WHERE t.id = r.successor_id;
    verdict := CASE
        WHEN r.id IS NULL THEN 'unknown'
        WHEN r.successor_id IS NULL OR n.revoked IS NOT NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN n.id IS NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = r.authorization_id AND x.revoked IS NULL) THEN 'replayed'
        WHEN n.id IS NULL OR n.expires_at <= now() THEN 'expired'
        WHEN r.successor_id = same_successor OR until_used OR (grace > interval '0' AND now() < r.revoked + grace) THEN 'retried'
        ELSE 'replayed'
    END;
    IF verdict = 'retried' THEN
        successor := r.successor;
        successor_id := r.successor_id;
        successor_expires_at := n.expires_at;
        since := CASE WHEN r.successor_id = same_successor THEN r.revoked ELSE now() END;
    ELSIF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS a
        SET revoked_at = now(), revoked_reason = 'refresh_token_reused', updated_at = now()
        WHERE a.id = r.authorization_id AND a.revoked_at IS NULL;
        -- Another server spent it, so it is not known which tokens descend from it: all grants of the pair end.
        IF r.successor_id IS NULL THEN
            UPDATE "user" AS u
            SET ended_grants = end_pair(u.ended_grants, r.client_id, ''),
                grants_epoch = u.grants_epoch + (end_pair(u.ended_grants, r.client_id, '') = '{}')::integer,
                updated_at = now()
            WHERE u.id = r.user_id;
        END IF;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_spent_refresh_token(refresh_token_id, refresh_token_id, interval, boolean) IS 'Part of RotateRefreshToken: the verdict about a spent token. While its successor is unused, it is retried for a repeated call, within grace, or at any time with until_used. Otherwise it is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';
-- +goose StatementEnd

-- +goose StatementBegin
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
CREATE OR REPLACE FUNCTION uses_grant_type(c oauth_client, grant_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(grant_type = ANY (coalesce(c.grant_types, '{authorization_code,refresh_token}')), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION resolve_redirect_uri(asked text, registered text[]) RETURNS text
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
DROP FUNCTION judge_repeated_approval;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_registration(
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
CREATE OR REPLACE FUNCTION judge_redeemed_request(
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
CREATE OR REPLACE FUNCTION judge_narrowed(
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
CREATE OR REPLACE FUNCTION kept_within(list text[], allowed text[]) RETURNS text[]
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
CREATE OR REPLACE FUNCTION judge_assertion_time(expires_at bigint, clock_skew interval, max_lifetime interval, at_most interval) RETURNS outcome
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE
        WHEN expires_at > extract(epoch FROM expiry(now(), max_lifetime, least(at_most, interval '1 year'), 'MaxLifetime')) THEN 'too_far'
        WHEN (expires_at > extract(epoch FROM now() - clock_skew)) IS NOT TRUE THEN 'expired'
    END::outcome
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_asked(
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
CREATE OR REPLACE FUNCTION is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- <@ compares each value with each. For a long list that takes too long, and keys of an object are searched instead.
    SELECT CASE WHEN cardinality(part) <= 32 THEN part <@ whole ELSE jsonb_object(whole, whole) ?& part END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION granter_refusal(parents text, u "user", of_session text, s session) RETURNS outcome
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
CREATE OR REPLACE FUNCTION user_refusal(u "user") RETURNS outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN u.id IS NULL OR u.deleted_at IS NOT NULL THEN 'unknown'::outcome
        WHEN u.suspended_at IS NOT NULL THEN 'suspended'::outcome
    END
$$;
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
CREATE OR REPLACE FUNCTION sector_of(c oauth_client) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN c.subject_type <> 'public' THEN coalesce(c.sector_identifier, own_sector(c.client_id)) END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION own_sector(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT 'client:' || client_key(client_id)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION give_subject(of_sector text, of_user text) RETURNS subject
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE WHEN of_sector IS NULL THEN of_user ELSE (keep_subject(of_sector, of_user, NULL)).held END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION family_expiry(since timestamptz, given interval, at_most interval, has_refresh_token boolean) RETURNS timestamptz
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
CREATE OR REPLACE FUNCTION expiry_without_row(expires_at timestamptz, access_token text) RETURNS timestamptz
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
CREATE OR REPLACE FUNCTION has_logout_uri(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(c.backchannel_logout_uri <> '' AND c.deleted_at IS NULL, false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION end_replayed_family;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION disable_owned_clients;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION disable_client_of_deleted_user() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.disabled := NEW.disabled OR EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION details_within(part jsonb, whole jsonb, compared_types text[]) RETURNS boolean
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
DROP FUNCTION delete_recovery_codes;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION delete_client(of_client text, is_managed boolean, manager text) RETURNS boolean
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
CREATE OR REPLACE FUNCTION deadline(given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
AS $$
    SELECT coalesce(expiry(now(), given, at_most, name), refuse_parameter(name, 'is without end')::timestamptz)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION expiry(since timestamptz, given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
AS $$
    -- 9223372036854775 microseconds is store.Never, the longest time.Duration
    SELECT CASE
        WHEN given >= interval '1 second'
        THEN since + least(nullif(given, interval '9223372036854775 microseconds'), nullif(at_most, interval '9223372036854775 microseconds'))
        ELSE refuse_parameter(name, 'is missing or under a second')::timestamptz
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION consent_counts(g oauth_consent, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        g.user_epoch = u.grants_epoch
        AND g.pair_epoch = pair_epoch(u.ended_grants, g.client_id, g.reference_id)
        AND u.suspended_at IS NULL
        AND u.deleted_at IS NULL,
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION consent_counts(oauth_consent, "user") IS 'Whether a consent counts: the grants of its user to its client have not been ended since, and the user is neither suspended nor deleted. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION client_is_used(of_client text, agreed_since timestamptz) RETURNS boolean
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
CREATE OR REPLACE FUNCTION binds_as_registered(c oauth_client, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (c.dpop_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'jkt', false))
        AND (c.tls_client_certificate_bound_access_tokens IS NOT TRUE OR coalesce(proven ? 'x5t#S256', false))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION authenticates(c oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        c.client_id IS NOT NULL
        AND CASE
            WHEN method = 'verified' THEN true
            WHEN is_public(c) THEN method = 'none'
            WHEN method IN ('client_secret_basic', 'client_secret_post')
            THEN coalesce(c.token_endpoint_auth_method, method) IN ('client_secret_basic', 'client_secret_post')
                AND (
                    coalesce(c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()), false)
                    OR is_older_secret(c.client_id, presented)
                )
            WHEN method = 'private_key_jwt'
            THEN c.token_endpoint_auth_method = method
                OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)
            WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth')
            THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')
        END,
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_public(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        c.public,
        c.token_endpoint_auth_method = 'none',
        c.client_secret IS NULL AND c.foreign_secret_hash IS NULL AND c.jwks IS NULL AND c.jwks_uri IS NULL
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION assertion_ends_at(expires_at bigint, clock_skew interval) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    -- to_timestamp fails on a time out of range, and the planner evaluates it for constants even if no row is written
    SELECT to_timestamp(greatest(least(expires_at, 253402300799), 0)) + greatest(clock_skew, interval '0')
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION asked_or_granted(asked text[], granted text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN cardinality(asked) > 0 THEN as_set(asked) ELSE granted END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION agreed_scopes(g oauth_consent) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN cardinality(g.resources) > 0 THEN '{}' ELSE g.scopes END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION agreed_resource_scopes(g oauth_consent) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT merge_resource_scopes(g.resource_scopes, scopes_at(g.resources, g.scopes))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION access_token_is_live(t oauth_access_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        t.revoked IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > now())
        AND (t.authorization_id IS NULL OR is_live(a, c, u, s))
        AND (t.client_epoch IS NULL OR own_client_is_live(t)),
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_live(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT NOT coalesce(c.disabled, true) AND NOT is_ended(a, c, u, s)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_ended(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT NOT coalesce(
        a.revoked_at IS NULL
        AND a.client_epoch = c.grants_epoch
        AND u.suspended_at IS NULL
        AND u.deleted_at IS NULL
        AND a.user_epoch = u.grants_epoch
        AND a.pair_epoch = pair_epoch(u.ended_grants, a.client_id, a.reference_id)
        AND (NOT a.bound OR session_is_live(s, u)),
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION session_is_live(s session, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        s.ended_at IS NULL
        AND s.expires_at > now()
        AND s.user_sessions_epoch >= u.sessions_epoch -- greater where a statement waited for the session: s is then the latest version, u the snapshot's
        AND u.suspended_at IS NULL
        AND u.deleted_at IS NULL,
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- counters only rise, so equal sums mean equal counters
    SELECT CASE WHEN ended_grants = '{}' THEN 0 ELSE
        coalesce((ended_grants -> client_key(client_id) ->> '')::bigint, 0)
        + coalesce((ended_grants -> client_key(client_id) ->> tenant_key(reference_id))::bigint, 0)
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenant_key(reference_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN reference_id IS NULL THEN '-' WHEN octet_length(reference_id) > 64 THEN '.' || md5(reference_id) ELSE '.' || reference_id END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION client_key(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN octet_length(client_id) > 64 THEN md5(client_id) ELSE client_id END
$$;
-- +goose StatementEnd
