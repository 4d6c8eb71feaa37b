-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION client_key(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN octet_length(client_id) > 64 THEN md5(client_id) ELSE client_id END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION client_key(text) IS 'The key of a client in ended_grants. A long client_id is hashed.';

-- +goose StatementBegin
CREATE FUNCTION tenant_key(reference_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN reference_id IS NULL THEN '-' WHEN octet_length(reference_id) > 64 THEN '.' || md5(reference_id) ELSE '.' || reference_id END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION tenant_key(text) IS 'The key of a tenant in ended_grants. A long reference_id is hashed. If two hashes collide, ending one tenant''s grants ends the other''s too, which is safe.';

-- +goose StatementBegin
CREATE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- counters only rise, so equal sums mean equal counters
    SELECT CASE WHEN ended_grants = '{}' THEN 0 ELSE
        coalesce((ended_grants -> client_key(client_id) ->> '')::bigint, 0)
        + coalesce((ended_grants -> client_key(client_id) ->> tenant_key(reference_id))::bigint, 0)
    END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION pair_epoch(jsonb, text, text) IS 'How often the grants of a user to a client were ended, in all tenants or in this one.';

-- +goose StatementBegin
CREATE FUNCTION session_is_live(s session, u "user") RETURNS boolean
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

COMMENT ON FUNCTION session_is_live(session, "user") IS 'Whether a session of the user is live. Never NULL.';

-- +goose StatementBegin
CREATE FUNCTION is_ended(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
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

COMMENT ON FUNCTION is_ended(oauth_authorization, oauth_client, "user", session) IS 'Whether the family a, granted by u to c, has been ended for good. s is the session of a bound family; it is ignored for others. Never NULL; true for an authorization that was never granted.';

-- +goose StatementBegin
CREATE FUNCTION is_live(a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT NOT coalesce(c.disabled, true) AND NOT is_ended(a, c, u, s)
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION is_live(oauth_authorization, oauth_client, "user", session) IS 'Whether the family a, granted by u to c, is live: it has not been ended, and its client is not disabled. s is the session of a bound family; it is ignored for others. Never NULL.';

-- +goose StatementBegin
CREATE FUNCTION own_client_is_live(t oauth_access_token) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM oauth_client AS o
        LEFT JOIN "user" AS u ON u.id = t.user_id
        WHERE o.client_id = t.client_id
          AND NOT o.disabled
          AND o.grants_epoch = t.client_epoch
          AND (t.pair_epoch IS NULL OR t.pair_epoch = pair_epoch(u.ended_grants, t.client_id, t.reference_id))
    );
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION own_client_is_live(oauth_access_token) IS 'Part of access_token_is_live, for a token with a client_epoch: a client''s own, or an exchanged one. Whether its client is enabled and the epochs are those of the issue. Not inlined, so that tokens without a client_epoch, which are most, don''t pay for the joins.';

-- +goose StatementBegin
CREATE FUNCTION access_token_is_live(t oauth_access_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
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

COMMENT ON FUNCTION access_token_is_live(oauth_access_token, oauth_authorization, oauth_client, "user", session) IS 'Whether an access token is live. a is its family, if it has one; c, u and s are those of is_live. Never NULL.';

-- +goose StatementBegin
CREATE FUNCTION as_set(list text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN ARRAY(
        SELECT l.value
        FROM unnest(list) WITH ORDINALITY AS l (value, n)
        WHERE l.value IS NOT NULL
        GROUP BY l.value
        ORDER BY min(l.n)
    );
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION as_set(text[]) IS 'The distinct values of a list, in the order of their first occurrence, without NULLs. A NULL list gives an empty one.';

-- +goose StatementBegin
CREATE FUNCTION is_older_secret(of_client text, presented text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM oauth_client_secret AS o
        WHERE o.client_id = of_client AND o.digest = presented AND o.expires_at > now()
    );
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION is_older_secret(text, text) IS 'Whether a digest is that of a secret of the client that was rotated out and still counts. Not inlined, so that its table is read only where the present secret doesn''t match.';

-- +goose StatementBegin
CREATE FUNCTION is_public(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        c.public,
        c.token_endpoint_auth_method = 'none',
        c.client_secret IS NULL AND c.foreign_secret_hash IS NULL AND c.jwks IS NULL AND c.jwks_uri IS NULL
    )
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION is_public(oauth_client) IS 'Whether a client is public: it can''t keep a secret (RFC 6749, section 2.1).';

-- +goose StatementBegin
CREATE FUNCTION authenticates(c oauth_client, method text, presented token_digest) RETURNS boolean
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

COMMENT ON FUNCTION authenticates(oauth_client, text, token_digest) IS 'Whether a client is authenticated by a method of the kind that it is registered for (RFC 6749, section 2.3; RFC 7591, section 2). A secret is compared by its digest; a key or certificate has been verified by the server. The method verified means that the server has authenticated the client in a step of its own. A client without a registered method may use its secret, or a key if it has no secret. Never NULL.';

-- +goose StatementBegin
CREATE FUNCTION consent_counts(g oauth_consent, u "user") RETURNS boolean
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

COMMENT ON FUNCTION consent_counts(oauth_consent, "user") IS 'Whether a consent counts: the grants of its user to its client have not been ended since, and the user is neither suspended nor deleted. Never NULL.';

-- +goose StatementBegin
CREATE FUNCTION refuse_parameter(name text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION '% %', name, reason USING ERRCODE = 'invalid_parameter_value';
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION refuse_parameter(text, text) IS 'Raises invalid_parameter_value (22023) for a parameter that a caller has to pass, by its name.';

-- +goose StatementBegin
CREATE FUNCTION expiry(since timestamptz, given interval, at_most interval, name text) RETURNS timestamptz
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

COMMENT ON FUNCTION expiry(timestamptz, interval, interval, text) IS 'The instant at which a lifetime ends, counted from since and capped by at_most. NULL means never, which is what store.Never gives. A lifetime that is missing or under a second is an error that names the parameter.';

-- +goose StatementBegin
CREATE FUNCTION deadline(given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
AS $$
    SELECT coalesce(expiry(now(), given, at_most, name), refuse_parameter(name, 'is without end')::timestamptz)
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION deadline(interval, interval, text) IS 'Returns when something expires that has to: as expiry from now on, but store.Never is an error.';

-- +goose StatementBegin
CREATE FUNCTION disable_client_of_deleted_user() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.disabled := NEW.disabled OR EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION disable_client_of_deleted_user() IS 'Trigger: a client that is stored for a deleted user is stored as disabled.';

-- +goose StatementBegin
CREATE FUNCTION end_pair(ended_grants jsonb, client_id text, key text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN ended_grants -> client_key(client_id) ? key
            OR (SELECT count(*) FROM jsonb_each(ended_grants) AS c (client, keys), jsonb_object_keys(c.keys)) < 256
        THEN ended_grants || jsonb_build_object(
            client_key(client_id),
            coalesce(ended_grants -> client_key(client_id), '{}')
            || jsonb_build_object(key, coalesce((ended_grants -> client_key(client_id) ->> key)::bigint, 0) + 1)
        )
        ELSE '{}'
    END;
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION end_pair(jsonb, text, text) IS 'ended_grants with one counter raised. If that would add a 257th counter, the answer is an empty map, and the caller has to raise grants_epoch: that ends more, never less.';

-- +goose StatementBegin
CREATE FUNCTION end_sessions(doomed text[]) RETURNS bigint
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

COMMENT ON FUNCTION end_sessions(text[]) IS 'Ends sessions and makes the notification of their clients due. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';

-- +goose StatementBegin
CREATE FUNCTION end_user_sessions(owner text, keep text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- SKIP LOCKED, because the epoch has ended a session that another call holds as well
    RETURN end_sessions(ARRAY(
        SELECT s.id::text
        FROM session AS s
        WHERE s.user_id = owner AND s.id IS DISTINCT FROM keep AND s.ended_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ));
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION end_user_sessions(text, text) IS 'Part of the calls that raise sessions_epoch. Marks the sessions of a user as ended, except the one to keep, for servers that read only the session''s row. Returns how many it marked.';

-- +goose StatementBegin
CREATE FUNCTION lock_parents(of_user text, of_client text, of_session text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM FROM "user" AS u WHERE u.id = of_user FOR KEY SHARE;
    IF of_user IS NOT NULL AND NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    PERFORM FROM oauth_client AS c WHERE c.client_id = of_client FOR KEY SHARE;
    IF of_client IS NOT NULL AND NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    PERFORM FROM session AS s WHERE s.id = of_session AND s.ended_at IS NULL AND s.expires_at > now() FOR KEY SHARE;
    IF of_session IS NOT NULL AND NOT FOUND THEN
        RETURN 'signed_out';
    END IF;
    RETURN 'locked';
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION lock_parents(text, text, text) IS 'Locks the rows that a grant refers to, so that none is deleted before the grant is written. The order is that of all locks: user, client, session. Returns locked; unknown if the user or client is gone; signed_out if the session is gone, has ended or has expired. It waits for no ending, because endings change no key.';

-- +goose StatementBegin
CREATE FUNCTION new_authorization_id() RETURNS authorization_id
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    -- a UUIDv7 (RFC 9562, section 5.7) made from the clock and a random UUIDv4, because uuidv7() needs PostgreSQL 18
    SELECT (
        'azn_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::authorization_id
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION new_authorization_id() IS 'A time-ordered identifier like those of store.NewAuthorizationID, for a family that a statement creates without being given an id.';

-- +goose StatementBegin
CREATE FUNCTION give_family() RETURNS trigger
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

COMMENT ON FUNCTION give_family() IS 'Trigger: gives a token that another server inserts its family. That is the family of the refresh token that the row names, else the one that authorization_code_id names, else a new one. A family of another client or user is not taken. An access token of a dead family is stored as revoked. A client''s own token gets the client''s epoch.';

-- +goose StatementBegin
CREATE FUNCTION is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- <@ compares each value with each. For a long list that takes too long, and keys of an object are searched instead.
    SELECT CASE WHEN cardinality(part) <= 32 THEN part <@ whole ELSE jsonb_object(whole, whole) ?& part END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION is_within(text[], text[]) IS 'Whether all values of a list are in another one. NULL if one of the lists is.';

-- +goose StatementBegin
CREATE FUNCTION judge_spent_refresh_token(
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

COMMENT ON FUNCTION judge_spent_refresh_token(refresh_token_id, refresh_token_id, interval, boolean) IS 'Part of RotateRefreshToken: the verdict about a spent token. While its successor is unused, it is retried for a repeated call, within grace, or at any time with until_used. Otherwise it is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';

-- +goose StatementBegin
CREATE FUNCTION keep_finite() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.expires_at := CASE
        WHEN NEW.expires_at < now() THEN now()
        WHEN TG_TABLE_NAME = 'session' THEN '9999-12-31 00:00:00+00' -- its column is NOT NULL
    END;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION keep_finite() IS 'Trigger: replaces an infinite expiry, because Go has no infinite time and could not read the row. infinity becomes NULL, which means never, and -infinity becomes now(). A session gets the last day of the year 9999 for infinity.';

-- +goose StatementBegin
CREATE FUNCTION key_fits(bound_to jsonb, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT bound_to IS NULL OR coalesce(proven, '{}') @> bound_to
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION key_fits(jsonb, jsonb) IS 'Whether the key that a caller has proven to hold is the one that a grant is bound to (RFC 7800). True if the grant is bound to none.';

-- +goose StatementBegin
CREATE FUNCTION live_session(of_session text, OUT owner user_id, OUT ends_at timestamptz)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT s.user_id, s.expires_at INTO owner, ends_at
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.id = of_session AND session_is_live(s, u);
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION live_session(text) IS 'Part of ExtendSession: returns a session as it is now, if it is live. Volatile, so it sees what was committed while the statement waited for the session.';

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

COMMENT ON FUNCTION make_room_for_session(text, integer) IS 'Part of CreateSession: ends the oldest live sessions of a user, so that one more makes no more than max_sessions. Returns how many it ended. 0 is no maximum.';

-- +goose StatementBegin
CREATE FUNCTION proof_is_fresh(proof text, until timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF proof IS NULL THEN
        RETURN true;
    END IF;
    IF until IS NULL OR until <= now() THEN
        PERFORM refuse_parameter('ProofExpiresAt', 'is missing or past');
    END IF;
    INSERT INTO oauth_proof (id, expires_at) VALUES (proof, until) ON CONFLICT (id) DO NOTHING;
    RETURN FOUND;
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION proof_is_fresh(text, timestamptz) IS 'Records that a DPoP proof was presented (RFC 9449, section 11.1), and returns whether it is the first time. True if no proof was presented.';

-- +goose StatementBegin
CREATE FUNCTION refuse_dead_rotation() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN is_live(a, c, u, s) AND (OLD.expires_at IS NULL OR OLD.expires_at > now()) THEN NEW END
        FROM oauth_authorization AS a
        JOIN oauth_client AS c ON c.client_id = a.client_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
        WHERE a.id = NEW.authorization_id
    );
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION refuse_dead_rotation() IS 'Trigger: keeps another server from spending a dead refresh token. Its UPDATE finds no row, so it answers invalid_grant.';

-- +goose StatementBegin
CREATE FUNCTION stamp_consent() RETURNS trigger
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

COMMENT ON FUNCTION stamp_consent() IS 'Trigger: gives a consent the epochs of its user, whichever server writes it. It stops counting when they rise.';

-- +goose StatementBegin
CREATE FUNCTION stamp_session() RETURNS trigger
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    u "user";
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a sign-in that waited for an ending outlive it.
    SELECT x.* INTO u FROM "user" AS x WHERE x.id = NEW.user_id;
    NEW.user_sessions_epoch := coalesce(u.sessions_epoch, 0);
    IF u.suspended_at IS NOT NULL OR u.deleted_at IS NOT NULL THEN
        NEW.ended_at := now();
        NEW.expires_at := least(NEW.expires_at, now());
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION stamp_session() IS 'Trigger: gives a session the sessions_epoch of its user, whichever server inserts it. A session of a suspended or deleted user is stored as ended.';

-- +goose Down

DROP FUNCTION stamp_session();
DROP FUNCTION stamp_consent();
DROP FUNCTION refuse_dead_rotation();
DROP FUNCTION proof_is_fresh(text, timestamptz);
DROP FUNCTION make_room_for_session(text, integer);
DROP FUNCTION live_session(text);
DROP FUNCTION key_fits(jsonb, jsonb);
DROP FUNCTION keep_finite();
DROP FUNCTION judge_spent_refresh_token(refresh_token_id, refresh_token_id, interval, boolean);
DROP FUNCTION is_within(text[], text[]);
DROP FUNCTION give_family();
DROP FUNCTION new_authorization_id();
DROP FUNCTION lock_parents(text, text, text);
DROP FUNCTION end_user_sessions(text, text);
DROP FUNCTION end_sessions(text[]);
DROP FUNCTION end_pair(jsonb, text, text);
DROP FUNCTION disable_client_of_deleted_user();
DROP FUNCTION deadline(interval, interval, text);
DROP FUNCTION expiry(timestamptz, interval, interval, text);
DROP FUNCTION refuse_parameter(text, text);
DROP FUNCTION consent_counts(oauth_consent, "user");
DROP FUNCTION authenticates(oauth_client, text, token_digest);
DROP FUNCTION is_public(oauth_client);
DROP FUNCTION is_older_secret(text, text);
DROP FUNCTION as_set(text[]);
DROP FUNCTION access_token_is_live(oauth_access_token, oauth_authorization, oauth_client, "user", session);
DROP FUNCTION own_client_is_live(oauth_access_token);
DROP FUNCTION is_live(oauth_authorization, oauth_client, "user", session);
DROP FUNCTION is_ended(oauth_authorization, oauth_client, "user", session);
DROP FUNCTION session_is_live(session, "user");
DROP FUNCTION pair_epoch(jsonb, text, text);
DROP FUNCTION tenant_key(text);
DROP FUNCTION client_key(text);
