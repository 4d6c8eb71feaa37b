-- +goose Up

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
    row_expires_at timestamptz;
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
        SELECT r.expires_at, r.access_token_expires_at INTO refresh_token_expires_at, access_token_expires_at
        FROM oauth_refresh_token AS r
        WHERE r.id = issued_with AND r.authorization_id = family;
        SELECT t.expires_at INTO row_expires_at FROM oauth_access_token AS t WHERE t.id = issued_as AND t.authorization_id = family;
        access_token_expires_at := CASE WHEN FOUND THEN row_expires_at ELSE coalesce(access_token_expires_at, a.expires_at) END;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_repeated_grant(authorization_id, client_id, user_id, access_token_id, refresh_token_id) IS 'Part of IssueGrant: the verdict about a grant whose id is taken. It is retried for the same call, and revoked if the grant has been ended since; then nothing more is returned. The id of another grant is an error. VOLATILE, so that it sees what was committed while the statement waited for the id.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION keep_sector() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    hosts text[];
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.sector_identifier IS NOT NULL THEN
        IF NEW.sector_identifier <> OLD.sector_identifier THEN
            PERFORM refuse_parameter('SectorIdentifier', 'can''t be changed, because all subjects of the client would change');
        END IF;
        NEW.sector_identifier := OLD.sector_identifier;
    END IF;
    IF NEW.subject_type <> 'public' AND NEW.sector_identifier IS NULL THEN
        -- Apps of unrelated developers share loopback addresses and private schemes, so these make no sector.
        hosts := ARRAY(
            SELECT DISTINCT substring(lower(r.uri COLLATE "C") FROM '^https?://(?!localhost[:/?]|localhost$|[^:/?]*\.localhost[:/?]|127\.)([a-z0-9.-]+)(?::[0-9]+)?(?:[/?]|$)')
            FROM unnest(NEW.redirect_uris) AS r (uri)
        );
        NEW.sector_identifier := CASE WHEN cardinality(hosts) = 1 THEN hosts[1] END;
        NEW.sector_identifier := coalesce(NEW.sector_identifier, own_sector(NEW.client_id));
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
DROP FUNCTION known_subject;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION keep_sector;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_repeated_grant;
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
DROP FUNCTION expiry_without_row;
-- +goose StatementEnd
