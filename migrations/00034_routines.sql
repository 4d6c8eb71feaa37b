-- +goose Up

-- +goose StatementBegin
DROP FUNCTION answer_redeemed_code(oauth_authorization, text, refresh_token_id, token_digest, access_token_id, token_digest, boolean, timestamptz, text[], jsonb);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION answer_redeemed_code(
    a oauth_authorization, sector text, new_refresh_id refresh_token_id, new_refresh_token token_digest, new_id access_token_id,
    new_token token_digest, without_row boolean, ends_at timestamptz, access_resources text[], access_details jsonb
) RETURNS token_answer
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    earlier record;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = new_refresh_id;
    IF r.id IS NOT NULL AND (r.authorization_id <> a.id OR r.token IS DISTINCT FROM new_refresh_token) THEN
        PERFORM refuse_parameter('RefreshTokenID', 'is that of another token');
    END IF;
    IF without_row THEN
        ends_at := coalesce(r.access_token_expires_at, a.expires_at, ends_at);
    END IF;
    -- A repeated call gets what was written before, even if the session was extended or the client changed since.
    earlier := find_issued_access_token(new_id, a.client_id, new_token, NULL, 'AccessTokenID');
    IF earlier.authorization_id <> a.id THEN
        PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
    ELSIF earlier.authorization_id IS NOT NULL THEN
        access_resources := earlier.resources;
        access_details := earlier.authorization_details;
        ends_at := earlier.expires_at;
    END IF;
    RETURN ROW(
        NULL, give_subject(sector, a.user_id), NULL, NULL, access_resources, access_details, r.id, NULL, r.expires_at, ends_at
    )::token_answer;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION answer_redeemed_code(oauth_authorization, text, refresh_token_id, token_digest, access_token_id, token_digest, boolean, timestamptz, text[], jsonb) IS 'Part of RedeemAuthorizationCode: what a repeated call is answered about the tokens that it wrote before. VOLATILE, so that it sees tokens that the same call wrote while this one waited for the family.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION is_pairwise(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN c.subject_type <> 'public';
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION is_pairwise(oauth_client) IS 'Whether a client knows its users by pairwise subjects (OpenID Connect Core, section 8). A subject_type that is neither public nor NULL counts as pairwise. NULL without a subject_type.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION sector_of(c oauth_client) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN is_pairwise(c) THEN coalesce(c.sector_identifier, own_sector(c.client_id)) END;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION sector_of(oauth_client) IS 'The sector in which a client knows its users by pairwise subjects (OpenID Connect Core, section 8.1). NULL if it knows them by their ids.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION answer_spent_refresh_token(refresh_token_id, outcome, text, oauth_client, interval, boolean, refresh_token_id, access_token_id, token_digest, boolean, interval, timestamptz, jsonb, jsonb, jsonb, text[], text[], jsonb);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION answer_spent_refresh_token(
    spent refresh_token_id, judged outcome, fresh boolean, parents text, c oauth_client, grace interval, until_used boolean,
    same_successor refresh_token_id, new_id access_token_id, new_token token_digest, without_row boolean,
    lifetime interval, ends_at timestamptz, proven jsonb, act jsonb, data jsonb, access token_answer
) RETURNS token_answer
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    n oauth_refresh_token;
    verdict outcome;
    in_session session_id;
    earlier record;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent FOR KEY SHARE;
    SELECT t.* INTO n FROM oauth_refresh_token AS t WHERE t.id = r.successor_id;
    SELECT k.* INTO c FROM oauth_client AS k WHERE k.client_id = r.client_id;
    verdict := CASE
        WHEN NOT fresh THEN 'proof_replayed'
        WHEN r.id IS NULL THEN 'unknown'
        WHEN r.successor_id IS NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN n.revoked IS NOT NULL
            OR n.id IS NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = r.authorization_id AND x.revoked IS NULL)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'replayed' END
        WHEN n.id IS NULL OR n.expires_at <= now() THEN 'expired'
        WHEN r.successor_id = same_successor
            OR coalesce(c.refresh_grace_until_used, until_used)
            OR (coalesce(c.refresh_grace, grace) > interval '0' AND now() < r.revoked + coalesce(c.refresh_grace, grace))
        THEN CASE WHEN judged = 'rotated' THEN 'retried' ELSE judged::text END
        ELSE 'replayed'
    END;
    IF verdict = 'replayed' THEN
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
    IF verdict <> 'retried' THEN
        RETURN ROW(verdict, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::token_answer;
    END IF;

    -- a repeated call's is counted from the rotation, so that it gets the same answer
    ends_at := coalesce(
        CASE WHEN n.id = same_successor THEN n.access_token_expires_at END,
        least(
            expiry(CASE WHEN n.id = same_successor THEN r.revoked ELSE now() END, lifetime, c.access_token_lifetime, 'AccessTokenLifetime'),
            ends_at
        )
    );
    in_session := CASE WHEN parents = 'locked' THEN r.session_id END;
    IF NOT without_row THEN
        -- It refers to the token presented, which is locked; the successor may be gone.
        INSERT INTO oauth_access_token (
            id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
            confirmation, act, authorization_id, authorization_code_id, data, requested_user_info_claims
        )
        VALUES (
            new_id, new_token, r.client_id, in_session, r.user_id, r.reference_id, r.id, ends_at, access.scopes, access.resources,
            access.authorization_details, proven, act, r.authorization_id, coalesce(r.authorization_code_id, r.authorization_id),
            coalesce(data, r.data), r.requested_user_info_claims
        )
        ON CONFLICT DO NOTHING; -- of id and token: of two same calls at once, either may conflict first
    ELSIF n.id <> same_successor THEN
        UPDATE oauth_refresh_token AS t
        SET access_token_expires_at = greatest(t.access_token_expires_at, expiry_without_row(ends_at, new_token)), updated_at = now()
        WHERE t.id = r.id;
    END IF;
    IF without_row OR NOT FOUND THEN
        -- A repeated call gets what was written before, even if the session was extended or the client changed since.
        earlier := find_issued_access_token(new_id, r.client_id, new_token, NULL, 'AccessTokenID');
        IF earlier.authorization_id <> r.authorization_id THEN
            PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
        ELSIF earlier.authorization_id IS NOT NULL THEN
            access := ROW(
                NULL, NULL, NULL, earlier.scopes, earlier.resources, earlier.authorization_details, NULL, NULL, NULL, NULL
            )::token_answer;
            ends_at := earlier.expires_at;
        END IF;
    END IF;
    RETURN ROW(
        verdict, give_subject(sector_of(c), r.user_id), in_session, access.scopes, access.resources, access.authorization_details,
        r.successor_id, r.successor, n.expires_at, ends_at
    )::token_answer;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION answer_spent_refresh_token(refresh_token_id, outcome, boolean, text, oauth_client, interval, boolean, refresh_token_id, access_token_id, token_digest, boolean, interval, timestamptz, jsonb, jsonb, jsonb, token_answer) IS 'Part of RotateRefreshToken: the answer about a token that is spent, with a proof that is fresh. While its successor is unused, a repeated call is retried, and so is any within the client''s grace, or at any time if the client has that; a retry that is allowed what it asks for gets another access token, or what the same call got before. Once the successor is used, a repeated call is superseded. Otherwise the token is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION may_use_key(c oauth_client, method text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN method = 'private_key_jwt'
        THEN c.token_endpoint_auth_method = method
            OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)
        WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth')
        THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION may_use_key(oauth_client, text) IS 'Part of authenticates: whether a client may authenticate by a key or certificate. Not inlined, so that clients with a secret, or none, don''t pay for it.';
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
                (c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()))
                OR is_older_secret(c.client_id, presented)
            )
        ELSE may_use_key(c, method)
    END,
    false
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION times_ended(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    counters jsonb;
BEGIN
    counters := ended_grants -> client_key(client_id); -- once, as a large map is fetched each time
    -- counters only rise, so equal sums mean equal counters
    RETURN coalesce((counters ->> '')::bigint, 0) + coalesce((counters ->> tenant_key(reference_id))::bigint, 0);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION times_ended(jsonb, text, text) IS 'Part of pair_epoch, for a user who has ended grants: how often those to a client were ended in all tenants, and in one. Not inlined, so that others don''t pay for it.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- A large map is stored apart from its row. The size of an empty one says that it is empty without a look at it.
RETURN CASE WHEN pg_column_size(ended_grants) <= 8 THEN 0 ELSE times_ended(ended_grants, client_id, reference_id) END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION session_goes_on(s session, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN s.ended_at IS NULL
    AND s.expires_at > now()
    AND s.user_sessions_epoch >= u.sessions_epoch;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION session_goes_on(session, "user") IS 'Part of session_is_live: whether a session of the user has neither ended nor expired. NULL without a session or a user.';
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
    AND (NOT a.bound OR session_goes_on(s, u)),
    false
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION long_list_is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN jsonb_object(whole, whole) ?& part;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION long_list_is_within(text[], text[]) IS 'Part of is_within, for lists that are searched as the keys of an object. Not inlined, so that calls with short lists don''t pay for it.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- <@ compares each value with each, which takes too long for a long list
RETURN CASE WHEN cardinality(part) <= 32 THEN part <@ whole ELSE long_list_is_within(part, whole) END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION key_fits(bound_to jsonb, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(coalesce(proven, '{}') @> bound_to, true);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION narrow_renewed(
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
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION narrow_renewed(oauth_client, oauth_refresh_token, text[], text[], text[], text[], jsonb, text[]) IS 'Part of RotateRefreshToken: the scopes, resources and authorization_details that the new access token is to have, which are those asked for or, if none are, those of the refresh token that the client may still have. The outcome is rotated or what is amiss with them: invalid_scope, invalid_target or invalid_authorization_details.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION session_is_live(s session, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(session_goes_on(s, u) AND u.suspended_at IS NULL AND u.deleted_at IS NULL, false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION subject_of(c oauth_client, of_client text, of_user text) RETURNS subject
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN c.client_id = of_client AND is_pairwise(c) IS NOT TRUE THEN of_user ELSE known_subject(of_client, of_user) END;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION subject_of(oauth_client, text, text) IS 'The subject (sub) by which a client knows a user; NULL without a user. It writes nothing, so it is NULL for a client with pairwise subjects that has been granted nothing yet. c spares a look-up if it is the client''s row.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_renewed(oauth_client, oauth_refresh_token, text[], text[], text[], text[], jsonb, text[]);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_spent_refresh_token(refresh_token_id, refresh_token_id, interval, boolean);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION narrow_details(jsonb, jsonb, text[]);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION narrow_list(text[], text[], text[]);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION sum_of_counters(jsonb, text);
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
CREATE FUNCTION sum_of_counters(counters jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE -- inlined, it would evaluate its argument twice
SET search_path FROM CURRENT
AS $$
BEGIN
    -- counters only rise, so equal sums mean equal counters
    RETURN coalesce((counters ->> '')::bigint, 0) + coalesce((counters ->> key)::bigint, 0);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION sum_of_counters(jsonb, text) IS 'How often the grants of a user to a client were ended in all tenants, and in one. For pair_epoch.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION narrow_list(asked text[], held text[], allowed text[]) RETURNS text_list
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN asked_or_granted(asked, kept_within(held, allowed));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION narrow_list(text[], text[], text[]) IS 'The scopes or resources that are asked for or, if none are, those held that are still allowed.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION narrow_details(asked jsonb, held jsonb, types text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN details_of_types(coalesce(details_as_set(asked), held), types);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION narrow_details(jsonb, jsonb, text[]) IS 'The authorization_details that are asked for or, if none are, those held, as far as they are of the types; all if the types are NULL.';
-- +goose StatementEnd

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
    SELECT coalesce(c.refresh_grace, grace), coalesce(c.refresh_grace_until_used, until_used) INTO grace, until_used
    FROM oauth_client AS c
    WHERE c.client_id = r.client_id;
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
COMMENT ON FUNCTION judge_spent_refresh_token(refresh_token_id, refresh_token_id, interval, boolean) IS 'Part of RotateRefreshToken: the verdict about a spent token. While its successor is unused, it is retried for a repeated call, within the client''s grace, or at any time if the client has that. Once its successor is used, a repeated call is superseded. Otherwise it is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_renewed(
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
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_renewed(oauth_client, oauth_refresh_token, text[], text[], text[], text[], jsonb, text[]) IS 'Part of RotateRefreshToken: what is amiss with what is asked for, or with what a client may still have of a token''s scopes and resources. invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION subject_of(c oauth_client, of_client text, of_user text) RETURNS subject
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN c.client_id = of_client AND sector_of(c) IS NULL THEN of_user WHEN of_user IS NOT NULL THEN known_subject(of_client, of_user) END;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION subject_of(oauth_client, text, text) IS 'The subject (sub) by which a client knows a user. It writes nothing, so it is NULL for a client with pairwise subjects that has been granted nothing yet. c spares a look-up if it is the client''s row.';
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
DROP FUNCTION narrow_renewed(oauth_client, oauth_refresh_token, text[], text[], text[], text[], jsonb, text[]);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION key_fits(bound_to jsonb, proven jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN bound_to IS NULL OR coalesce(proven, '{}') @> bound_to;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- <@ compares each value with each. For a long list that takes too long, and keys of an object are searched instead.
RETURN CASE WHEN cardinality(part) <= 32 THEN part <@ whole ELSE jsonb_object(whole, whole) ?& part END;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION long_list_is_within(text[], text[]);
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
DROP FUNCTION session_goes_on(session, "user");
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- A large map is stored apart from its row, and each operator would fetch it again. The size of an empty one says so without that.
RETURN CASE WHEN pg_column_size(ended_grants) <= 8 THEN 0 ELSE
    sum_of_counters(ended_grants -> client_key(client_id), tenant_key(reference_id))
END;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION times_ended(jsonb, text, text);
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
                (c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()))
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
DROP FUNCTION may_use_key(oauth_client, text);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION answer_spent_refresh_token(refresh_token_id, outcome, boolean, text, oauth_client, interval, boolean, refresh_token_id, access_token_id, token_digest, boolean, interval, timestamptz, jsonb, jsonb, jsonb, token_answer);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION answer_spent_refresh_token(
    spent refresh_token_id, judged outcome, parents text, c oauth_client, grace interval, until_used boolean,
    same_successor refresh_token_id, new_id access_token_id, new_token token_digest, without_row boolean,
    lifetime interval, ends_at timestamptz, proven jsonb, act jsonb, data jsonb,
    access_scopes text[], access_resources text[], access_details jsonb,
    OUT outcome outcome, OUT successor token_digest, OUT successor_id refresh_token_id, OUT refresh_token_expires_at timestamptz,
    OUT access_token_expires_at timestamptz, OUT session_id session_id, OUT sub subject, OUT scopes text[], OUT resources text[],
    OUT authorization_details jsonb
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    j record;
    r oauth_refresh_token;
    earlier record;
BEGIN
    IF spent IS NULL THEN
        RETURN;
    END IF;
    j := judge_spent_refresh_token(spent, same_successor, grace, until_used);
    outcome := CASE WHEN j.verdict = 'retried' AND judged <> 'rotated' THEN judged ELSE j.verdict END;
    IF outcome <> 'retried' THEN
        RETURN;
    END IF;

    successor := j.successor;
    successor_id := j.successor_id;
    refresh_token_expires_at := j.successor_expires_at;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent;
    session_id := CASE WHEN parents = 'locked' THEN r.session_id END;
    sub := give_subject(sector_of(c), r.user_id);
    scopes := access_scopes;
    resources := access_resources;
    authorization_details := access_details;
    IF successor_id = same_successor THEN
        SELECT n.access_token_expires_at INTO access_token_expires_at FROM oauth_refresh_token AS n WHERE n.id = same_successor;
    END IF;
    access_token_expires_at := coalesce(
        access_token_expires_at, least(expiry(j.since, lifetime, c.access_token_lifetime, 'AccessTokenLifetime'), ends_at)
    );
    IF NOT without_row THEN
        -- It refers to the token presented, which is locked; the successor may be gone.
        INSERT INTO oauth_access_token (
            id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
            confirmation, act, authorization_id, authorization_code_id, data, requested_user_info_claims
        )
        VALUES (
            new_id, new_token, r.client_id, session_id, r.user_id, r.reference_id, r.id, access_token_expires_at, scopes, resources,
            authorization_details, proven, act, r.authorization_id, coalesce(r.authorization_code_id, r.authorization_id),
            coalesce(data, r.data), r.requested_user_info_claims
        )
        ON CONFLICT DO NOTHING; -- of id and token: of two same calls at once, either may conflict first
        IF FOUND THEN
            RETURN;
        END IF;
    ELSIF successor_id <> same_successor THEN
        UPDATE oauth_refresh_token AS t
        SET access_token_expires_at = greatest(
                t.access_token_expires_at, expiry_without_row(answer_spent_refresh_token.access_token_expires_at, new_token)
            ),
            updated_at = now()
        WHERE t.id = r.id;
    END IF;

    -- A repeated call gets what was written before, even if the session was extended or the client changed since.
    earlier := find_issued_access_token(new_id, r.client_id, new_token, NULL, 'AccessTokenID');
    IF earlier.authorization_id <> r.authorization_id THEN
        PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
    ELSIF earlier.authorization_id IS NOT NULL THEN
        scopes := earlier.scopes;
        resources := earlier.resources;
        authorization_details := earlier.authorization_details;
        access_token_expires_at := earlier.expires_at;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION answer_spent_refresh_token(refresh_token_id, outcome, text, oauth_client, interval, boolean, refresh_token_id, access_token_id, token_digest, boolean, interval, timestamptz, jsonb, jsonb, jsonb, text[], text[], jsonb) IS 'Part of RotateRefreshToken: the outcome for a spent token, by judge_spent_refresh_token. A retry that is allowed what it asks for gets another access token here, or what the same call got before.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION sector_of(c oauth_client) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN c.subject_type <> 'public' THEN coalesce(c.sector_identifier, own_sector(c.client_id)) END;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION sector_of(oauth_client) IS 'The sector in which a client knows its users by pairwise subjects (OpenID Connect Core, section 8.1). NULL if it knows them by their ids. A subject_type that is neither public nor NULL counts as pairwise.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION is_pairwise(oauth_client);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION answer_redeemed_code(oauth_authorization, text, refresh_token_id, token_digest, access_token_id, token_digest, boolean, timestamptz, text[], jsonb);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION answer_redeemed_code(
    a oauth_authorization, sector text, new_refresh_id refresh_token_id, new_refresh_token token_digest, new_id access_token_id,
    new_token token_digest, without_row boolean, ends_at timestamptz, access_resources text[], access_details jsonb,
    OUT sub subject, OUT refresh_token_id refresh_token_id, OUT refresh_token_expires_at timestamptz,
    OUT access_token_expires_at timestamptz, OUT resources text[], OUT authorization_details jsonb
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r oauth_refresh_token;
    earlier record;
BEGIN
    IF a.id IS NULL THEN
        RETURN;
    END IF;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = new_refresh_id;
    IF r.id IS NOT NULL AND (r.authorization_id <> a.id OR r.token IS DISTINCT FROM new_refresh_token) THEN
        PERFORM refuse_parameter('RefreshTokenID', 'is that of another token');
    END IF;
    sub := give_subject(sector, a.user_id);
    refresh_token_id := r.id;
    refresh_token_expires_at := r.expires_at;
    access_token_expires_at := CASE WHEN without_row THEN coalesce(r.access_token_expires_at, a.expires_at, ends_at) ELSE ends_at END;
    resources := access_resources;
    authorization_details := access_details;
    -- A repeated call gets what was written before, even if the session was extended or the client changed since.
    earlier := find_issued_access_token(new_id, a.client_id, new_token, NULL, 'AccessTokenID');
    IF earlier.authorization_id <> a.id THEN
        PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
    ELSIF earlier.authorization_id IS NOT NULL THEN
        resources := earlier.resources;
        authorization_details := earlier.authorization_details;
        access_token_expires_at := earlier.expires_at;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION answer_redeemed_code(oauth_authorization, text, refresh_token_id, token_digest, access_token_id, token_digest, boolean, timestamptz, text[], jsonb) IS 'Part of RedeemAuthorizationCode: what a repeated call is answered about the tokens that it wrote before. NULLs without a family. VOLATILE, so that it sees tokens that the same call wrote while this one waited for the family.';
-- +goose StatementEnd
