-- +goose Up

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
CREATE OR REPLACE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch
    AND g.client_epoch = n.client_epoch;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION consent_holds(g oauth_consent, c oauth_client, u "user") RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
-- as one condition, which can't become a hash join's
RETURN coalesce(consent_counts(g, u) AND g.client_epoch = c.consents_epoch, false);
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION consent_holds(oauth_consent, oauth_client, "user") IS 'Whether a consent counts, and its client is still what the user saw. Not without a consent, its client or its user.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION delete_account(owner text, of_account text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    verdict outcome;
BEGIN
    PERFORM FROM account AS c WHERE c.user_id = owner ORDER BY c.id FOR UPDATE;
    SELECT CASE WHEN bool_or(c.id = of_account) IS NOT TRUE THEN 'unknown' WHEN count(*) = 1 THEN 'last' ELSE 'deleted' END INTO verdict
    FROM account AS c
    WHERE c.user_id = owner;
    IF verdict = 'deleted' THEN
        DELETE FROM account AS c WHERE c.id = of_account;
    END IF;
    RETURN verdict;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION delete_account(text, text) IS 'Part of DeleteAccount, which has locked the user: deletes an account unless it is the last one, and returns the verdict. VOLATILE, so that it sees the accounts that were created while the statement waited for the user or for one of them.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION details_as_set(details jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
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
CREATE FUNCTION is_shown(field text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN field = ANY (ARRAY['redirect_uris', 'scopes', 'name', 'uri', 'icon', 'tos', 'policy']);
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION is_shown(text) IS 'Whether users see a column of a client when they are asked for consent.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_registration_update;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_registration_update(
    c oauth_client, of_client client_id, manager token_digest, successor token_digest, refused outcome, wants_secret boolean,
    verified text, subject_type text, redirect_uris text[], grant_types text[]
) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    verdict outcome;
BEGIN
    FOR look IN 1..2 LOOP
        verdict := CASE
            WHEN c.deleted_at IS NOT NULL OR NOT manages(c, manager, successor) THEN 'unauthenticated'
            WHEN c.disabled THEN 'disabled'
            WHEN refused IS NOT NULL THEN refused
            WHEN wants_secret AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL THEN 'invalid_client_metadata'
            WHEN leaves_sector(c, verified, subject_type, redirect_uris, grant_types) THEN 'invalid_client_metadata'
        END;
        EXIT WHEN verdict IS NOT NULL;
        -- nothing stood against it: the statement has waited for the row, and found another one
        SELECT x.* INTO c FROM oauth_client AS x WHERE x.client_id = of_client;
    END LOOP;
    RETURN coalesce(verdict, 'disabled'); -- it was when the statement got the row, and is not any more
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_registration_update(oauth_client, client_id, token_digest, token_digest, outcome, boolean, text, text, text[], text[]) IS 'Part of UpdateRegistration: why it changed nothing. c is the client as the statement saw it when it began; where nothing stands against that, it has waited, and the client is read again. refused is why the metadata is refused, or NULL; wants_secret says that the method needs a secret and the call brings none; the rest is as in leaves_sector. VOLATILE, so that it sees what was committed while the statement waited for the client.';
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
CREATE OR REPLACE FUNCTION own_sector(client_id text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN 'client:' || client_key(client_id);
END
$$;
-- +goose StatementEnd

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
CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- A large map is stored apart from its row, and each operator would fetch it again. The size of an empty one says so without that.
RETURN CASE WHEN pg_column_size(ended_grants) <= 8 THEN 0 ELSE
    sum_of_counters(ended_grants -> client_key(client_id), tenant_key(reference_id))
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION read_again(family authorization_id, of_user user_id, of_session session_id)
RETURNS TABLE (a oauth_authorization, c oauth_client, u "user", s session)
LANGUAGE plpgsql VOLATILE ROWS 1
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN QUERY
    SELECT f, k, o, b
    FROM oauth_authorization AS f
    JOIN oauth_client AS k ON k.client_id = f.client_id
    LEFT JOIN "user" AS o ON o.id = of_user
    LEFT JOIN session AS b ON b.id = of_session AND b.user_id = o.id
    WHERE f.id = family;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION read_again(authorization_id, user_id, session_id) IS 'Part of the calls that lock a request to decide about it: the request, its client, and the user and the session of whoever decides, all as they are at one moment. VOLATILE, so that it sees what was committed while the statement waited for the request; what it knew of the others may have changed since.';
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
    NEW.client_epoch := coalesce((SELECT c.consents_epoch FROM oauth_client AS c WHERE c.client_id = NEW.client_id), 0);
    -- A server that doesn't write the epochs doesn't know these columns either, and must not revive what has been ended.
    IF TG_OP = 'UPDATE' AND (written.user_epoch, written.pair_epoch, written.client_epoch) <> (NEW.user_epoch, NEW.pair_epoch, NEW.client_epoch) THEN
        NEW.resource_scopes := NULL;
        NEW.authorization_details := NULL;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION stamp_consent() IS 'Trigger: gives a consent the epochs of its user and client, whichever server writes it. It stops counting when they rise.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_repeated_approval;
-- +goose StatementEnd

-- +goose Down

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
COMMENT ON FUNCTION stamp_consent() IS 'Trigger: gives a consent the epochs of its user, whichever server writes it. It stops counting when they rise.';
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION read_again;
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
DROP FUNCTION sum_of_counters;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION own_sector(client_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'client:' || client_key(client_id);
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION narrow_list;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION narrow_details;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_renewed;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_registration_update;
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
DROP FUNCTION is_shown;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION details_as_set(details jsonb) RETURNS jsonb
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
DROP FUNCTION delete_account;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION consent_holds;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION consent_goes_on(g oauth_consent, n oauth_consent) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN g.reference_id IS NOT DISTINCT FROM n.reference_id AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION answer_spent_refresh_token;
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
DROP FUNCTION answer_redeemed_code;
-- +goose StatementEnd
