-- +goose Up

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
CREATE OR REPLACE FUNCTION disable_client_of_deleted_user() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- This waits for DeleteUser, or DeleteUser for this. A client that is handed over doesn't wait: DeleteUser locks the user first.
        PERFORM FROM "user" AS u WHERE u.id = NEW.user_id FOR SHARE;
    END IF;
    NEW.disabled := EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION disable_client_of_deleted_user() IS 'Trigger, for a client that is not disabled: one that is stored for a deleted user is stored as disabled.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION find_grant_by_assertion(
    assertion text,
    OUT authorization_id authorization_id, OUT expires_at timestamptz, OUT scopes text[], OUT resources text[]
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT a.id, a.max_expires_at, a.granted_scopes, a.resources INTO authorization_id, expires_at, scopes, resources
    FROM oauth_client_assertion AS g
    JOIN oauth_authorization AS a ON a.id = g.authorization_id
    WHERE g.id = assertion;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION gets_refresh_token(c oauth_client, granted_scopes text[], needs_offline_access boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uses_grant_type(c, 'refresh_token') AND (NOT needs_offline_access OR 'offline_access' = ANY (coalesce(granted_scopes, '{}')));
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION gets_refresh_token(oauth_client, text[], boolean) IS 'Whether a client gets a refresh token with a grant, if the server issues one: it has to be registered for refresh_token and, if the server wants it so, granted offline_access (OpenID Connect Core, section 11). Never NULL.';
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
            OR (d.element ->> 'type' = ANY (coalesce(c.authorization_details_types, default_types))) IS NOT TRUE
    ) THEN
        RETURN 'invalid_authorization_details';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION judge_repeated_grant(
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
        -- what isn't known any more has expired
        access_token_expires_at := CASE WHEN t.id IS NOT NULL THEN t.expires_at ELSE coalesce(r.access_token_expires_at, a.expires_at, a.redeemed_at) END;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION keep_sector() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF OLD.sector_identifier IS NOT NULL THEN
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
CREATE OR REPLACE FUNCTION may_introspect(k oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT k.disabled AND method <> 'none' AND authenticates(k, method, presented);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION may_present(o oauth_client, t oauth_access_token, resources text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(t.client_id = o.client_id OR (NOT is_public(o) AND t.resources && (resources || o.client_id::text)), false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION noted(
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
            'registered', 'spent', 'updated', 'replaced'
        )
        OR (verdict = 'rotated' AND of_call = 'RotateClientSecret')
        OR (verdict = 'created' AND of_call IN ('CreatePasskey', 'CreateTOTP'))
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

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION noted(
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
CREATE OR REPLACE FUNCTION may_present(o oauth_client, t oauth_access_token, resources text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(t.client_id = o.client_id OR (NOT is_public(o) AND t.resources && (coalesce(resources, '{}') || o.client_id::text)), false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION may_introspect(k oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(NOT k.disabled AND method <> 'none' AND authenticates(k, method, presented), false);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION keep_sector() RETURNS trigger
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
CREATE OR REPLACE FUNCTION judge_repeated_grant(
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
DROP FUNCTION gets_refresh_token;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION find_grant_by_assertion(
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
COMMENT ON FUNCTION disable_client_of_deleted_user() IS 'Trigger: a client that is stored for a deleted user is stored as disabled.';
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
