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

COMMENT ON FUNCTION give_family() IS 'Trigger: gives a token that another server inserts its family. That is the family of the refresh token that the row names, else the one that authorization_code_id names, else a new one. A family of another client or user is not taken. An access token of a dead family is stored as revoked. A client''s own token gets the client''s epoch.';
