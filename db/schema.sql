-- The schema as pg_dump writes it, for review. Written by `make generate` from migrations/, and never an input.

CREATE DOMAIN public.access_token_id AS text;

COMMENT ON DOMAIN public.access_token_id IS 'Primary key of oauth_access_token; the jti of a JWT access token.';

CREATE DOMAIN public.account_id AS text;

COMMENT ON DOMAIN public.account_id IS 'Primary key of account.';

CREATE TYPE public.assertion_outcome AS ENUM (
    'fresh',
    'replayed'
);

COMMENT ON TYPE public.assertion_outcome IS 'What RememberClientAssertion found.';

CREATE DOMAIN public.authorization_id AS text;

COMMENT ON DOMAIN public.authorization_id IS 'Primary key of oauth_authorization: names a family of tokens.';

CREATE TYPE public.authorization_status AS ENUM (
    'pending',
    'approved',
    'denied'
);

COMMENT ON TYPE public.authorization_status IS 'What the user has decided.';

CREATE DOMAIN public.client_id AS text;

COMMENT ON DOMAIN public.client_id IS 'The public client identifier (RFC 6749, section 2.2), to which tokens and consents refer.';

CREATE TYPE public.code_outcome AS ENUM (
    'issued',
    'undecided',
    'denied',
    'redeemed',
    'revoked',
    'expired',
    'disabled'
);

COMMENT ON TYPE public.code_outcome IS 'What IssueAuthorizationCode came to.';

CREATE DOMAIN public.consent_id AS text;

COMMENT ON DOMAIN public.consent_id IS 'Primary key of oauth_consent.';

CREATE TYPE public.decision_outcome AS ENUM (
    'approved',
    'denied',
    'decided',
    'expired',
    'exceeded',
    'disabled'
);

COMMENT ON TYPE public.decision_outcome IS 'What ApproveAuthorization or DenyAuthorization came to.';

CREATE TYPE public.grant_outcome AS ENUM (
    'granted',
    'exceeded',
    'disabled'
);

COMMENT ON TYPE public.grant_outcome IS 'What GrantAuthorization came to.';

CREATE TYPE public.issuance_outcome AS ENUM (
    'issued',
    'exceeded',
    'disabled'
);

COMMENT ON TYPE public.issuance_outcome IS 'What IssueAccessToken came to.';

CREATE DOMAIN public.jwk_id AS text;

COMMENT ON DOMAIN public.jwk_id IS 'Primary key of jwks; the kid of what the key signed.';

CREATE TYPE public.oauth_client_field AS ENUM (
    'skip_consent',
    'enable_end_session',
    'scopes',
    'user_id',
    'name',
    'uri',
    'icon',
    'contacts',
    'tos',
    'policy',
    'software_id',
    'software_version',
    'software_statement',
    'post_logout_redirect_uris',
    'token_endpoint_auth_method',
    'grant_types',
    'response_types',
    'public',
    'type',
    'reference_id',
    'metadata',
    'subject_type',
    'require_pkce',
    'jwks',
    'jwks_uri',
    'application_type'
);

COMMENT ON TYPE public.oauth_client_field IS 'Columns of oauth_client that UpdateClient can set to NULL.';

CREATE DOMAIN public.oauth_client_id AS text;

COMMENT ON DOMAIN public.oauth_client_id IS 'Primary key of oauth_client. Stays inside the database layer.';

CREATE TYPE public.redemption_outcome AS ENUM (
    'redeemed',
    'replayed',
    'expired',
    'mismatched',
    'revoked',
    'disabled'
);

COMMENT ON TYPE public.redemption_outcome IS 'What RedeemAuthorizationCode came to.';

CREATE DOMAIN public.reference_id AS text;

COMMENT ON DOMAIN public.reference_id IS 'Opaque pointer to a tenant, such as an organisation.';

CREATE DOMAIN public.refresh_token_id AS text;

COMMENT ON DOMAIN public.refresh_token_id IS 'Primary key of oauth_refresh_token.';

CREATE TYPE public.revocation_reason AS ENUM (
    'code_replayed',
    'refresh_token_reused',
    'token_revoked',
    'authorization_revoked',
    'user_revoked',
    'client_revoked',
    'session_ended',
    'consent_withdrawn'
);

COMMENT ON TYPE public.revocation_reason IS 'Why a family of tokens was ended.';

CREATE TYPE public.rotation_outcome AS ENUM (
    'rotated',
    'replayed',
    'reused',
    'expired',
    'revoked',
    'exceeded',
    'mismatched',
    'disabled'
);

COMMENT ON TYPE public.rotation_outcome IS 'What RotateRefreshToken came to.';

CREATE DOMAIN public.session_id AS text;

COMMENT ON DOMAIN public.session_id IS 'Primary key of session; the sid of OpenID Connect logout.';

CREATE DOMAIN public.token_confirmation AS jsonb;

COMMENT ON DOMAIN public.token_confirmation IS 'The key that a caller has proven to hold (RFC 7800), as queries take it; columns are jsonb.';

CREATE DOMAIN public.token_digest AS text;

COMMENT ON DOMAIN public.token_digest IS 'base64url(SHA-256(credential as presented)), unpadded: 43 characters. Never the credential itself.';

CREATE TYPE public.token_kind AS ENUM (
    'access_token',
    'refresh_token'
);

COMMENT ON TYPE public.token_kind IS 'The token_type_hint of RFC 7009, section 2.1.';

CREATE DOMAIN public.user_id AS text;

COMMENT ON DOMAIN public.user_id IS 'Primary key of "user"; the subject (sub) of tokens.';

CREATE FUNCTION public.lock_grant_parents(doomed_user public.user_id, doomed_clients text[]) RETURNS bigint
    LANGUAGE sql
    AS $$
    -- A function, because it has to see what was granted while the statement waited for the user or client that it deletes: the
    -- cascade sees that too.
    WITH clients AS MATERIALIZED (
        SELECT c.client_id
        FROM oauth_client AS c
        WHERE c.client_id = ANY (
            ARRAY(
                SELECT a.client_id::text FROM oauth_authorization AS a WHERE a.user_id = doomed_user
                UNION
                SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.user_id = doomed_user
                UNION
                SELECT t.client_id FROM oauth_access_token AS t WHERE t.user_id = doomed_user
            )
        )
        ORDER BY c.client_id
        FOR KEY SHARE
    ), sessions AS MATERIALIZED (
        SELECT s.id
        FROM session AS s
        WHERE (SELECT count(*) FROM clients) >= 0
          AND s.id = ANY (
            ARRAY(
                SELECT x.id::text FROM session AS x WHERE x.user_id = doomed_user
                UNION
                SELECT a.session_id FROM oauth_authorization AS a WHERE a.client_id = ANY (doomed_clients)
                UNION
                SELECT r.session_id FROM oauth_refresh_token AS r WHERE r.client_id = ANY (doomed_clients)
                UNION
                SELECT t.session_id FROM oauth_access_token AS t WHERE t.client_id = ANY (doomed_clients)
            )
        )
        ORDER BY s.id
        FOR KEY SHARE
    )
    SELECT (SELECT count(*) FROM clients) + (SELECT count(*) FROM sessions)
$$;

COMMENT ON FUNCTION public.lock_grant_parents(doomed_user public.user_id, doomed_clients text[]) IS 'Part of DeleteUser and DeleteClient: locks the clients and sessions by which others end the same grants, before the cascade reaches these in no order that one could follow.';

CREATE FUNCTION public.new_authorization_id() RETURNS public.authorization_id
    LANGUAGE sql PARALLEL SAFE
    AS $$
    -- UUIDv7 (RFC 9562, section 5.7) from the clock and a random UUIDv4, until uuidv7() of PostgreSQL 18 is everywhere
    SELECT (
        'azn_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::authorization_id
$$;

COMMENT ON FUNCTION public.new_authorization_id() IS 'A time-ordered identifier, as store.NewAuthorizationID makes them, for families that a statement begins by itself.';

CREATE FUNCTION public.revoke_session_grants(ended public.session_id) RETURNS TABLE(authorization_id public.authorization_id, client_id public.client_id, revoked boolean)
    LANGUAGE sql
    AS $$
    -- A function, because a statement cannot see what was committed while it waited for the session's lock, and a
    -- volatile function can: it looks again. Without it a grant that was approved in that moment would outlive the session.
    WITH bound AS MATERIALIZED (
        SELECT a.id, a.client_id, a.revoked_at, 'offline_access' = ANY (coalesce(a.granted_scopes, a.scopes)) AS offline
        FROM oauth_authorization AS a
        WHERE a.session_id = ended
        ORDER BY a.id
        FOR NO KEY UPDATE
    ), condemned AS (
        -- session_id too: left to the foreign key it would be the row's second update in this transaction, upon which PostgreSQL
        -- checks its other foreign keys again, and so locks the client long after the order of locks has it
        UPDATE oauth_authorization AS a
        SET revoked_at = now(), revoked_reason = 'session_ended', session_id = NULL, updated_at = now()
        FROM bound AS b
        WHERE a.id = b.id AND b.revoked_at IS NULL AND NOT b.offline
        RETURNING a.id
    ), ended_refresh_tokens AS (
        UPDATE oauth_refresh_token AS r
        SET revoked = now(), session_id = NULL, updated_at = now()
        WHERE r.session_id = ended AND r.authorization_id IS NULL AND r.revoked IS NULL
          AND NOT 'offline_access' = ANY (r.scopes)
        RETURNING r.client_id
    ), ended_access_tokens AS (
        UPDATE oauth_access_token AS t
        SET revoked = now(), session_id = NULL, updated_at = now()
        WHERE t.session_id = ended AND t.authorization_id IS NULL AND t.revoked IS NULL
          AND NOT 'offline_access' = ANY (t.scopes)
        RETURNING t.client_id
    )
    -- A plain SELECT of the very types declared: for anything else PostgreSQL wraps the query and loses sight of its UPDATEs,
    -- so that their triggers, foreign keys included, fire after the session is gone.
    SELECT g.authorization_id::authorization_id, g.client_id::client_id, g.revoked::boolean
    FROM (
        SELECT b.id, b.client_id, c.id IS NOT NULL
        FROM bound AS b
        LEFT JOIN condemned AS c ON c.id = b.id
        UNION ALL
        SELECT NULL, s.client_id, s.client_id IN (SELECT e.client_id FROM ended_refresh_tokens AS e UNION ALL SELECT e.client_id FROM ended_access_tokens AS e)
        FROM (
            SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.session_id = ended AND r.authorization_id IS NULL
            UNION
            SELECT t.client_id FROM oauth_access_token AS t WHERE t.session_id = ended AND t.authorization_id IS NULL
        ) AS s
    ) AS g (authorization_id, client_id, revoked)
$$;

COMMENT ON FUNCTION public.revoke_session_grants(ended public.session_id) IS 'Part of EndSession: revokes what was granted in the session and lacks offline_access, and names every client that the session knew.';

CREATE FUNCTION public.rotate_unadopted_refresh_token(presented_token public.token_digest, of_client public.client_id, new_token public.token_digest, new_token_id public.refresh_token_id, new_access_token public.token_digest, new_access_token_id public.access_token_id, access_lifetime interval, refresh_lifetime interval, family_lifetime interval, grace interval, narrower_scopes text[], narrower_resources text[], proven_key public.token_confirmation, held boolean) RETURNS TABLE(outcome public.rotation_outcome, authorization_id public.authorization_id, user_id public.user_id, session_id public.session_id, reference_id public.reference_id, successor public.token_digest, successor_id public.refresh_token_id, scopes text[], resources text[], auth_time timestamp with time zone, access_token_expires_at timestamp with time zone, refresh_token_expires_at timestamp with time zone)
    LANGUAGE sql
    AS $$
    -- A function, because what another server issued or spent is rare and takes three times as many plan nodes as all that is
    -- usual: in the call itself each rotation would pay for setting them up. And a volatile function sees what was committed
    -- since the call began. held says that the caller holds the family and the token, which another server has spent in that very
    -- moment: then the user, which comes before them, is not locked any more than it is already.
    WITH presented AS MATERIALIZED (
        -- what to lock by: user, client, session, family, token, in this order, everywhere
        SELECT r.id, r.client_id, r.user_id, r.session_id, r.authorization_id,
            (NOT held AND (r.authorization_id IS NULL OR (r.revoked IS NOT NULL AND r.successor IS NULL)))::boolean AS of_another_server
        FROM oauth_refresh_token AS r
        WHERE r.token = presented_token AND r.client_id = of_client
    ), owner AS MATERIALIZED (
        SELECT u.id
        FROM presented AS p
        JOIN "user" AS u ON u.id = p.user_id
        WHERE NOT p.of_another_server
        FOR KEY SHARE OF u
    ), sole_owner AS MATERIALIZED (
        -- what another server issued, or spent, has no row in common but its user's
        SELECT u.id
        FROM presented AS p
        JOIN "user" AS u ON u.id = p.user_id
        WHERE p.of_another_server
        FOR UPDATE OF u
    ), client AS MATERIALIZED (
        SELECT c.client_id, c.disabled
        FROM (SELECT o.id FROM owner AS o UNION ALL SELECT s.id FROM sole_owner AS s) AS o
        JOIN oauth_client AS c ON c.client_id = of_client
        FOR KEY SHARE OF c
    ), signed_in AS MATERIALIZED (
        SELECT s.id
        FROM client AS c
        CROSS JOIN presented AS p
        JOIN session AS s ON s.id = p.session_id
        FOR KEY SHARE OF s
    ), kin_signed_in AS MATERIALIZED (
        -- reuse ends what the user has from another server in other sessions too
        SELECT s.id
        FROM client AS c
        CROSS JOIN sole_owner AS o
        JOIN session AS s ON s.user_id = o.id
        ORDER BY s.id
        FOR KEY SHARE OF s
    ), family AS MATERIALIZED (
        SELECT a.id, a.revoked_at, a.confirmation, a.expires_at, a.max_expires_at, a.current_refresh_token
        FROM client AS c
        CROSS JOIN presented AS p
        LEFT JOIN signed_in AS s ON true
        JOIN oauth_authorization AS a ON a.id = p.authorization_id
        WHERE (SELECT count(*) FROM kin_signed_in) >= 0
        FOR NO KEY UPDATE OF a
    ), current AS MATERIALIZED (
        SELECT r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.expires_at, r.revoked, r.scopes, r.authorization_id,
            r.auth_time, r.successor, r.successor_id, r.resources, r.created_at, c.disabled, f.id AS family_id,
            f.revoked_at AS family_revoked_at, f.expires_at AS family_expires_at, f.max_expires_at, coalesce(f.confirmation, r.confirmation) AS bound_to,
            -- a family that began while this statement waited is not in its snapshot: then the token's own row has to tell
            (
                r.successor IS NOT NULL
                AND grace > interval '0'
                AND now() < r.revoked + grace
                AND (f.id IS NULL OR f.current_refresh_token IS NOT DISTINCT FROM r.successor)
                -- another server that spends the successor leaves the family's row as it was
                AND NOT EXISTS (SELECT FROM oauth_refresh_token AS n WHERE n.id = r.successor_id AND n.revoked IS NOT NULL)
            ) AS forgiven
        FROM client AS c
        CROSS JOIN presented AS p
        LEFT JOIN signed_in AS s ON true
        LEFT JOIN family AS f ON true
        JOIN oauth_refresh_token AS r ON r.id = p.id
        WHERE (SELECT count(*) FROM kin_signed_in) >= 0
        FOR NO KEY UPDATE OF r
    ), verdict AS MATERIALIZED (
        SELECT k.id, k.client_id, k.user_id, k.session_id, k.reference_id, k.scopes, k.resources, k.auth_time, k.created_at,
            k.authorization_id, k.family_id, k.revoked, k.successor, k.successor_id, k.bound_to,
            CASE WHEN k.authorization_id IS NULL THEN new_authorization_id() END AS new_family_id,
            CASE WHEN k.family_id IS NULL THEN now() + family_lifetime ELSE k.max_expires_at END AS max_expires_at,
            (
                CASE
                    WHEN k.bound_to IS NOT NULL AND NOT coalesce(proven_key, '{}'::jsonb) @> k.bound_to THEN 'mismatched'
                    WHEN k.family_revoked_at IS NOT NULL THEN 'revoked'
                    WHEN k.revoked IS NOT NULL AND NOT k.forgiven THEN 'reused'
                    WHEN k.disabled THEN 'disabled'
                    WHEN CASE WHEN k.revoked IS NULL THEN k.expires_at ELSE k.family_expires_at END <= now() THEN 'expired'
                    WHEN k.revoked + refresh_lifetime <= now() THEN 'expired'
                    WHEN NOT coalesce(nullif(narrower_scopes, ARRAY[]::text[]), k.scopes) <@ k.scopes THEN 'exceeded'
                    WHEN NOT coalesce(narrower_resources, ARRAY[]::text[]) <@ coalesce(k.resources, ARRAY[]::text[]) THEN 'exceeded'
                    WHEN k.revoked IS NOT NULL THEN 'replayed'
                    ELSE 'rotated'
                END
            )::rotation_outcome AS outcome
        FROM current AS k
    ), issue AS MATERIALIZED (
        SELECT v.id, v.client_id, v.user_id, v.session_id, v.reference_id, v.scopes, v.resources, v.auth_time, v.created_at,
            v.family_id, v.new_family_id, v.max_expires_at, v.bound_to, v.outcome, v.successor,
            coalesce(v.authorization_id, v.new_family_id) AS authorization_id,
            coalesce(v.successor_id, new_token_id) AS successor_id,
            least(now() + access_lifetime, v.max_expires_at)::timestamptz AS access_token_expires_at,
            -- of the successor, which a retry did not write: it counts from the rotation
            least(coalesce(v.revoked, now()) + refresh_lifetime, v.max_expires_at)::timestamptz AS refresh_token_expires_at
        FROM verdict AS v
        WHERE v.outcome IN ('rotated', 'replayed')
    ), adopted AS (
        INSERT INTO oauth_authorization (
            id, client_id, status, scopes, resources, expires_at, user_id, session_id, reference_id, granted_scopes, auth_time,
            decided_at, adopted_at, confirmation, max_expires_at, current_refresh_token
        )
        SELECT i.new_family_id, i.client_id, 'approved', i.scopes, i.resources,
            CASE
                WHEN i.access_token_expires_at IS NOT NULL
                    AND i.refresh_token_expires_at IS NOT NULL
                    AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = i.id AND t.expires_at IS NULL)
                THEN greatest(
                    i.access_token_expires_at, i.refresh_token_expires_at,
                    (SELECT max(t.expires_at) FROM oauth_access_token AS t WHERE t.refresh_id = i.id)
                )
            END,
            i.user_id, i.session_id, i.reference_id, i.scopes, i.auth_time, i.created_at, now(), i.bound_to, i.max_expires_at,
            new_token
        FROM issue AS i
        WHERE i.outcome = 'rotated' AND i.new_family_id IS NOT NULL
    ), adopted_access AS (
        UPDATE oauth_access_token AS t
        SET authorization_id = i.new_family_id, updated_at = now()
        FROM issue AS i
        WHERE i.outcome = 'rotated' AND i.new_family_id IS NOT NULL AND t.refresh_id = i.id AND t.authorization_id IS NULL
    ), moved_along AS (
        UPDATE oauth_authorization AS a
        SET current_refresh_token = CASE WHEN i.outcome = 'rotated' THEN new_token ELSE a.current_refresh_token END,
            expires_at = CASE
                -- greatest() takes NULL for nothing, and here it means never: a token that was issued before may be one without end
                WHEN a.expires_at IS NULL OR i.access_token_expires_at IS NULL THEN NULL
                WHEN i.outcome = 'replayed' THEN greatest(a.expires_at, i.access_token_expires_at)
                WHEN i.refresh_token_expires_at IS NOT NULL THEN greatest(a.expires_at, i.access_token_expires_at, i.refresh_token_expires_at)
            END,
            updated_at = now()
        FROM issue AS i
        WHERE a.id = i.family_id
    ), moved_along_unseen AS (
        -- a family that began while this statement waited: an upsert reaches what is younger than its snapshot
        INSERT INTO oauth_authorization AS a (id, client_id, user_id, scopes, current_refresh_token, expires_at)
        SELECT i.authorization_id, i.client_id, i.user_id, i.scopes,
            CASE WHEN i.outcome = 'rotated' THEN new_token END,
            CASE
                WHEN i.access_token_expires_at IS NOT NULL AND i.refresh_token_expires_at IS NOT NULL
                THEN greatest(i.access_token_expires_at, i.refresh_token_expires_at)
            END
        FROM issue AS i
        WHERE i.family_id IS NULL AND i.new_family_id IS NULL
        ON CONFLICT (id) DO UPDATE
        SET current_refresh_token = coalesce(excluded.current_refresh_token, a.current_refresh_token),
            expires_at = CASE
                WHEN a.expires_at IS NOT NULL AND excluded.expires_at IS NOT NULL THEN greatest(a.expires_at, excluded.expires_at)
            END,
            updated_at = now()
    ), spent AS (
        UPDATE oauth_refresh_token AS r
        SET revoked = now(), successor = new_token, successor_id = i.successor_id,
            authorization_id = i.authorization_id, updated_at = now()
        FROM issue AS i
        WHERE r.id = i.id AND i.outcome = 'rotated'
        RETURNING r.successor
    ), successor AS (
        INSERT INTO oauth_refresh_token (
            id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_id, auth_time, resources,
            confirmation
        )
        SELECT i.successor_id, new_token, i.client_id, i.session_id, i.user_id, i.reference_id,
            i.refresh_token_expires_at, i.scopes, i.authorization_id, i.auth_time, i.resources, i.bound_to
        FROM issue AS i
        WHERE i.outcome = 'rotated'
    ), access AS (
        INSERT INTO oauth_access_token (
            id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, authorization_id, resources,
            confirmation
        )
        SELECT new_access_token_id, new_access_token, i.client_id, i.session_id, i.user_id,
            i.reference_id, i.successor_id, i.access_token_expires_at,
            coalesce(nullif(narrower_scopes, ARRAY[]::text[]), i.scopes), i.authorization_id,
            coalesce(nullif(narrower_resources, ARRAY[]::text[]), i.resources),
            coalesce(proven_key, i.bound_to)
        FROM issue AS i
    ), strays AS MATERIALIZED (
        -- the reused token's kin: without a family when this statement began. One that was adopted in the meantime is seen with
        -- its new family.
        SELECT r.id, r.authorization_id, r.revoked
        FROM verdict AS v
        JOIN oauth_refresh_token AS r ON r.user_id = v.user_id AND r.client_id = v.client_id
        WHERE v.outcome = 'reused' AND v.successor IS NULL
          AND r.id IN (
            SELECT s.id
            FROM oauth_refresh_token AS s
            JOIN verdict AS w ON s.user_id = w.user_id AND s.client_id = w.client_id
            WHERE s.authorization_id IS NULL
        )
        ORDER BY r.id
        FOR NO KEY UPDATE OF r
    ), kin AS MATERIALIZED (
        SELECT a.id
        FROM verdict AS v
        JOIN oauth_authorization AS a ON a.user_id = v.user_id AND a.client_id = v.client_id
        WHERE v.outcome = 'reused' AND v.successor IS NULL AND a.adopted_at IS NOT NULL AND a.revoked_at IS NULL
        ORDER BY a.id
        FOR NO KEY UPDATE OF a
    ), doomed AS (
        SELECT v.authorization_id AS id
        FROM verdict AS v
        WHERE v.outcome = 'reused' AND v.authorization_id IS NOT NULL
        UNION
        SELECT s.authorization_id
        FROM strays AS s
        WHERE s.authorization_id IS NOT NULL
        UNION
        SELECT a.id
        FROM kin AS a
    ), condemned AS (
        -- an upsert, since it reaches a row that is younger than this statement's snapshot
        INSERT INTO oauth_authorization AS a (id, client_id, user_id, scopes, revoked_at, revoked_reason)
        SELECT d.id, v.client_id, v.user_id, v.scopes, now(), 'refresh_token_reused'
        FROM doomed AS d
        CROSS JOIN verdict AS v
        ORDER BY d.id
        ON CONFLICT (id) DO UPDATE
        SET revoked_at = excluded.revoked_at, revoked_reason = excluded.revoked_reason, updated_at = now()
        WHERE a.revoked_at IS NULL
    ), ended_refresh_tokens AS (
        UPDATE oauth_refresh_token AS r
        SET revoked = now(), updated_at = now()
        FROM strays AS s
        WHERE r.id = s.id AND s.authorization_id IS NULL AND s.revoked IS NULL
    ), ended_access_tokens AS (
        UPDATE oauth_access_token AS t
        SET revoked = now(), updated_at = now()
        FROM verdict AS v
        WHERE v.outcome = 'reused' AND v.successor IS NULL
          AND t.user_id = v.user_id AND t.client_id = v.client_id AND t.authorization_id IS NULL AND t.revoked IS NULL
    )
    -- a plain SELECT of the very types declared, for the reason given at revoke_session_grants
    SELECT v.outcome::rotation_outcome, coalesce(i.authorization_id, v.authorization_id)::authorization_id, v.user_id::user_id, v.session_id::session_id,
        v.reference_id::reference_id, coalesce(s.successor, i.successor)::token_digest, i.successor_id::refresh_token_id,
        coalesce(nullif(narrower_scopes, ARRAY[]::text[]), v.scopes)::text[],
        coalesce(nullif(narrower_resources, ARRAY[]::text[]), v.resources)::text[], v.auth_time::timestamptz,
        i.access_token_expires_at::timestamptz, i.refresh_token_expires_at::timestamptz
    FROM verdict AS v
    LEFT JOIN issue AS i ON i.id = v.id
    LEFT JOIN spent AS s ON true
$$;

COMMENT ON FUNCTION public.rotate_unadopted_refresh_token(presented_token public.token_digest, of_client public.client_id, new_token public.token_digest, new_token_id public.refresh_token_id, new_access_token public.token_digest, new_access_token_id public.access_token_id, access_lifetime interval, refresh_lifetime interval, family_lifetime interval, grace interval, narrower_scopes text[], narrower_resources text[], proven_key public.token_confirmation, held boolean) IS 'Part of RotateRefreshToken: rotates a token that another server issued, and gives it a family; and ends what a reuse of a token that another server spent has to end.';

CREATE TABLE public.account (
    id public.account_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    account_id text NOT NULL,
    provider_id text NOT NULL,
    user_id public.user_id NOT NULL,
    access_token text,
    refresh_token text,
    id_token text,
    access_token_expires_at timestamp with time zone,
    refresh_token_expires_at timestamp with time zone,
    scope text,
    password text,
    CONSTRAINT account_account_id_length CHECK (((octet_length(account_id) >= 1) AND (octet_length(account_id) <= 1024))),
    CONSTRAINT account_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT account_provider_id_length CHECK (((octet_length(provider_id) >= 1) AND (octet_length(provider_id) <= 255)))
);

COMMENT ON TABLE public.account IS 'Ways to sign in: a password (provider_id ''credential''), or an identity at another provider.';

COMMENT ON COLUMN public.account.account_id IS 'The user''s identifier at the provider; for a password, the user''s own id.';

COMMENT ON COLUMN public.account.provider_id IS '''credential'' for a password, otherwise the name of the other provider.';

COMMENT ON COLUMN public.account.access_token IS 'The other provider''s access token, as the caller encrypted it.';

COMMENT ON COLUMN public.account.refresh_token IS 'The other provider''s refresh token, as the caller encrypted it.';

COMMENT ON COLUMN public.account.id_token IS 'The other provider''s ID token, as the caller encrypted it.';

COMMENT ON COLUMN public.account.scope IS 'What the other provider granted, as it wrote it.';

COMMENT ON COLUMN public.account.password IS 'Password hash (argon2id, say), in the hasher''s own notation.';

CREATE TABLE public.jwks (
    id public.jwk_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    public_key text NOT NULL,
    private_key text NOT NULL,
    alg text,
    crv text,
    expires_at timestamp with time zone,
    CONSTRAINT jwks_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
);

COMMENT ON TABLE public.jwks IS 'Keys that sign tokens. Published while a token that they signed may still be verified.';

COMMENT ON COLUMN public.jwks.public_key IS 'The public JSON Web Key (RFC 7517).';

COMMENT ON COLUMN public.jwks.private_key IS 'The private key as the caller encrypted it: ciphertext.';

COMMENT ON COLUMN public.jwks.alg IS 'Signature algorithm (RFC 7518, section 3.1).';

COMMENT ON COLUMN public.jwks.crv IS 'Curve, for keys that have one.';

COMMENT ON COLUMN public.jwks.expires_at IS 'The key is no longer published from this instant on; NULL means never.';

CREATE TABLE public.oauth_access_token (
    id public.access_token_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    token public.token_digest,
    client_id public.client_id NOT NULL,
    session_id public.session_id,
    user_id public.user_id,
    reference_id public.reference_id,
    refresh_id public.refresh_token_id,
    expires_at timestamp with time zone,
    scopes text[] NOT NULL,
    authorization_id public.authorization_id,
    revoked timestamp with time zone,
    resources text[],
    confirmation jsonb,
    CONSTRAINT oauth_access_token_confirmation_is_object CHECK ((jsonb_typeof(confirmation) = 'object'::text)),
    CONSTRAINT oauth_access_token_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT oauth_access_token_reference_id_length CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255))),
    CONSTRAINT oauth_access_token_resources_hold_no_null CHECK ((array_position(resources, NULL::text) IS NULL)),
    CONSTRAINT oauth_access_token_scopes_hold_no_null CHECK ((array_position(scopes, NULL::text) IS NULL)),
    CONSTRAINT oauth_access_token_token_is_digest CHECK (((token)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
);

COMMENT ON TABLE public.oauth_access_token IS 'Access tokens (RFC 6749, section 1.4), opaque or JWT.';

COMMENT ON COLUMN public.oauth_access_token.token IS 'Digest of the access token; NULL for a JWT that is known by its id (jti) alone.';

COMMENT ON COLUMN public.oauth_access_token.user_id IS 'The subject; NULL for a client that acts for itself (client credentials).';

COMMENT ON COLUMN public.oauth_access_token.reference_id IS 'The tenant in which the grant was made.';

COMMENT ON COLUMN public.oauth_access_token.refresh_id IS 'The refresh token that came with it, or from which it was refreshed.';

COMMENT ON COLUMN public.oauth_access_token.expires_at IS 'The token is refused from this instant on; NULL means never.';

COMMENT ON COLUMN public.oauth_access_token.scopes IS 'Scopes of the token.';

COMMENT ON COLUMN public.oauth_access_token.authorization_id IS 'The family; NULL for client credentials and for tokens that another server wrote.';

COMMENT ON COLUMN public.oauth_access_token.revoked IS 'When this one token was revoked.';

COMMENT ON COLUMN public.oauth_access_token.resources IS 'Resource indicators of the token: its audience (RFC 8707).';

COMMENT ON COLUMN public.oauth_access_token.confirmation IS 'The key to which the token is bound (RFC 7800).';

CREATE TABLE public.oauth_authorization (
    id public.authorization_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.client_id NOT NULL,
    status public.authorization_status DEFAULT 'pending'::public.authorization_status NOT NULL,
    redirect_uri text,
    response_type text,
    response_mode text,
    scopes text[] NOT NULL,
    state text,
    nonce text,
    code_challenge text,
    code_challenge_method text,
    resources text[],
    claims jsonb,
    request jsonb,
    request_uri public.token_digest,
    expires_at timestamp with time zone,
    user_id public.user_id,
    session_id public.session_id,
    reference_id public.reference_id,
    granted_scopes text[],
    auth_time timestamp with time zone,
    acr text,
    amr text[],
    decided_at timestamp with time zone,
    code public.token_digest,
    code_expires_at timestamp with time zone,
    redeemed_at timestamp with time zone,
    adopted_at timestamp with time zone,
    confirmation jsonb,
    max_expires_at timestamp with time zone,
    current_refresh_token public.token_digest,
    revoked_at timestamp with time zone,
    revoked_reason public.revocation_reason,
    CONSTRAINT oauth_authorization_amr_hold_no_null CHECK ((array_position(amr, NULL::text) IS NULL)),
    CONSTRAINT oauth_authorization_approved_by_user CHECK (((status <> 'approved'::public.authorization_status) OR ((user_id IS NOT NULL) AND (granted_scopes IS NOT NULL)))),
    CONSTRAINT oauth_authorization_challenge_method_known CHECK ((code_challenge_method = ANY (ARRAY['S256'::text, 'plain'::text]))),
    CONSTRAINT oauth_authorization_challenge_names_method CHECK (((code_challenge IS NULL) = (code_challenge_method IS NULL))),
    CONSTRAINT oauth_authorization_claims_is_object CHECK ((jsonb_typeof(claims) = 'object'::text)),
    CONSTRAINT oauth_authorization_code_after_approval CHECK (((code IS NULL) OR (status = 'approved'::public.authorization_status))),
    CONSTRAINT oauth_authorization_code_expires CHECK (((code IS NULL) OR (code_expires_at IS NOT NULL))),
    CONSTRAINT oauth_authorization_code_is_digest CHECK (((code)::text ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT oauth_authorization_confirmation_is_object CHECK ((jsonb_typeof(confirmation) = 'object'::text)),
    CONSTRAINT oauth_authorization_current_refresh_token_is_digest CHECK (((current_refresh_token)::text ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT oauth_authorization_granted_scopes_hold_no_null CHECK ((array_position(granted_scopes, NULL::text) IS NULL)),
    CONSTRAINT oauth_authorization_granted_within_asked CHECK ((granted_scopes <@ scopes)),
    CONSTRAINT oauth_authorization_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT oauth_authorization_redeemed_by_code CHECK (((redeemed_at IS NULL) OR (code IS NOT NULL))),
    CONSTRAINT oauth_authorization_reference_id_length CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255))),
    CONSTRAINT oauth_authorization_request_is_object CHECK ((jsonb_typeof(request) = 'object'::text)),
    CONSTRAINT oauth_authorization_request_uri_is_digest CHECK (((request_uri)::text ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT oauth_authorization_resources_hold_no_null CHECK ((array_position(resources, NULL::text) IS NULL)),
    CONSTRAINT oauth_authorization_revoked_for_reason CHECK (((revoked_at IS NULL) = (revoked_reason IS NULL))),
    CONSTRAINT oauth_authorization_scopes_hold_no_null CHECK ((array_position(scopes, NULL::text) IS NULL))
)
WITH (fillfactor='80');

COMMENT ON TABLE public.oauth_authorization IS 'One decision of a user about a client, from the request to the last token that descends from it: the family. revoked_at ends all of them at once. Kept as evidence until the last token has expired.';

COMMENT ON COLUMN public.oauth_authorization.status IS 'pending until the user has decided.';

COMMENT ON COLUMN public.oauth_authorization.redirect_uri IS 'redirect_uri as the authorization request carried it (RFC 6749, section 4.1.1); NULL if it carried none.';

COMMENT ON COLUMN public.oauth_authorization.response_type IS 'response_type of the request.';

COMMENT ON COLUMN public.oauth_authorization.response_mode IS 'response_mode of the request.';

COMMENT ON COLUMN public.oauth_authorization.scopes IS 'Scopes that the request asked for.';

COMMENT ON COLUMN public.oauth_authorization.state IS 'state of the request, handed back to the client.';

COMMENT ON COLUMN public.oauth_authorization.nonce IS 'nonce of the request, for the ID token.';

COMMENT ON COLUMN public.oauth_authorization.code_challenge IS 'PKCE challenge (RFC 7636, section 4.3).';

COMMENT ON COLUMN public.oauth_authorization.code_challenge_method IS 'How the challenge derives from the verifier (RFC 7636, section 4.2).';

COMMENT ON COLUMN public.oauth_authorization.resources IS 'Resource indicators asked for (RFC 8707); NULL if none were.';

COMMENT ON COLUMN public.oauth_authorization.claims IS 'The claims parameter (OpenID Connect Core, section 5.5).';

COMMENT ON COLUMN public.oauth_authorization.request IS 'The rest of the request (prompt, max_age, login_hint, ui_locales ...), an object.';

COMMENT ON COLUMN public.oauth_authorization.request_uri IS 'Digest of a pushed request''s request_uri (RFC 9126), until it has been taken.';

COMMENT ON COLUMN public.oauth_authorization.expires_at IS 'Pending: the request lapses. Approved: when the code expires; later no token of the family lasts longer, but the last may expire a little earlier (by a sixteenth of its lifetime). NULL means never.';

COMMENT ON COLUMN public.oauth_authorization.user_id IS 'Who decided.';

COMMENT ON COLUMN public.oauth_authorization.session_id IS 'The session in which the user decided. Its end revokes what lacks offline_access.';

COMMENT ON COLUMN public.oauth_authorization.reference_id IS 'The tenant in which the user decided.';

COMMENT ON COLUMN public.oauth_authorization.granted_scopes IS 'Scopes that the user granted: never more than were asked for.';

COMMENT ON COLUMN public.oauth_authorization.auth_time IS 'When the user last authenticated (auth_time of OpenID Connect Core, section 2).';

COMMENT ON COLUMN public.oauth_authorization.acr IS 'Authentication context class reference.';

COMMENT ON COLUMN public.oauth_authorization.amr IS 'Authentication methods (RFC 8176).';

COMMENT ON COLUMN public.oauth_authorization.decided_at IS 'When the user approved or denied.';

COMMENT ON COLUMN public.oauth_authorization.code IS 'Digest of the authorization code. Stays after redemption, so that a replay is known as one.';

COMMENT ON COLUMN public.oauth_authorization.code_expires_at IS 'The code is refused from this instant on.';

COMMENT ON COLUMN public.oauth_authorization.redeemed_at IS 'When the code was used: it is used once.';

COMMENT ON COLUMN public.oauth_authorization.adopted_at IS 'When a refresh token that another server wrote was given this family.';

COMMENT ON COLUMN public.oauth_authorization.confirmation IS 'The key to which the family is bound (RFC 7800; dpop_jkt of RFC 9449, section 10). NULL binds nothing.';

COMMENT ON COLUMN public.oauth_authorization.max_expires_at IS 'No token of the family outlives this instant; NULL means no such bound.';

COMMENT ON COLUMN public.oauth_authorization.current_refresh_token IS 'Digest of the one refresh token of the family that has not been used yet.';

COMMENT ON COLUMN public.oauth_authorization.revoked_at IS 'Every token of the family is dead from this instant on.';

COMMENT ON COLUMN public.oauth_authorization.revoked_reason IS 'Why it was revoked.';

CREATE TABLE public.oauth_client (
    id public.oauth_client_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.client_id NOT NULL,
    client_secret public.token_digest,
    disabled boolean DEFAULT false NOT NULL,
    skip_consent boolean,
    enable_end_session boolean,
    scopes text[],
    user_id public.user_id,
    name text,
    uri text,
    icon text,
    contacts text[],
    tos text,
    policy text,
    software_id text,
    software_version text,
    software_statement text,
    redirect_uris text[] NOT NULL,
    post_logout_redirect_uris text[],
    token_endpoint_auth_method text,
    grant_types text[],
    response_types text[],
    public boolean,
    type text,
    reference_id public.reference_id,
    metadata jsonb,
    subject_type text,
    require_pkce boolean,
    jwks jsonb,
    jwks_uri text,
    application_type text,
    previous_client_secret public.token_digest,
    previous_client_secret_expires_at timestamp with time zone,
    client_secret_expires_at timestamp with time zone,
    registration_access_token public.token_digest,
    CONSTRAINT oauth_client_client_id_is_vschar CHECK (((octet_length((client_id)::text) <= 512) AND ((client_id)::text ~ '^[\x20-\x7e]+$'::text))),
    CONSTRAINT oauth_client_client_secret_is_digest CHECK (((client_secret)::text ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT oauth_client_contacts_hold_no_null CHECK ((array_position(contacts, NULL::text) IS NULL)),
    CONSTRAINT oauth_client_grant_types_hold_no_null CHECK ((array_position(grant_types, NULL::text) IS NULL)),
    CONSTRAINT oauth_client_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT oauth_client_jwks_is_object CHECK ((jsonb_typeof(jwks) = 'object'::text)),
    CONSTRAINT oauth_client_metadata_is_object CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT oauth_client_one_source_of_keys CHECK (((jwks IS NULL) OR (jwks_uri IS NULL))),
    CONSTRAINT oauth_client_post_logout_redirect_uris_hold_no_null CHECK ((array_position(post_logout_redirect_uris, NULL::text) IS NULL)),
    CONSTRAINT oauth_client_previous_client_secret_expires CHECK (((previous_client_secret IS NULL) OR (previous_client_secret_expires_at IS NOT NULL))),
    CONSTRAINT oauth_client_previous_client_secret_is_digest CHECK (((previous_client_secret)::text ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT oauth_client_redirect_uris_hold_no_null CHECK ((array_position(redirect_uris, NULL::text) IS NULL)),
    CONSTRAINT oauth_client_redirect_uris_where_redirected CHECK (((cardinality(redirect_uris) > 0) OR (NOT (COALESCE(grant_types, ARRAY['authorization_code'::text]) && ARRAY['authorization_code'::text, 'implicit'::text])))),
    CONSTRAINT oauth_client_reference_id_length CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255))),
    CONSTRAINT oauth_client_registration_access_token_is_digest CHECK (((registration_access_token)::text ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT oauth_client_response_types_hold_no_null CHECK ((array_position(response_types, NULL::text) IS NULL)),
    CONSTRAINT oauth_client_scopes_hold_no_null CHECK ((array_position(scopes, NULL::text) IS NULL))
);

COMMENT ON TABLE public.oauth_client IS 'Registered clients, with the metadata of RFC 7591, section 2.';

COMMENT ON COLUMN public.oauth_client.client_id IS 'The public client identifier (RFC 6749, section 2.2). Never changes: tokens and consents refer to it.';

COMMENT ON COLUMN public.oauth_client.client_secret IS 'Digest of the client secret; NULL for clients that have none.';

COMMENT ON COLUMN public.oauth_client.disabled IS 'While true, the client is issued nothing and none of its tokens is live.';

COMMENT ON COLUMN public.oauth_client.skip_consent IS 'First-party client: its users are not asked for consent.';

COMMENT ON COLUMN public.oauth_client.enable_end_session IS 'Whether the client may end sessions (RP-initiated logout).';

COMMENT ON COLUMN public.oauth_client.scopes IS 'Scopes that the client may ask for; NULL leaves it to the server''s default.';

COMMENT ON COLUMN public.oauth_client.user_id IS 'The user who owns the client, if one does.';

COMMENT ON COLUMN public.oauth_client.name IS 'client_name of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.uri IS 'client_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.icon IS 'logo_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.contacts IS 'contacts of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.tos IS 'tos_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.policy IS 'policy_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.software_id IS 'software_id of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.software_version IS 'software_version of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.software_statement IS 'The signed software statement (RFC 7591, section 2.3) that the client was registered with.';

COMMENT ON COLUMN public.oauth_client.redirect_uris IS 'Redirect URIs, compared by exact match (RFC 9700, section 2.1). Empty only where no grant type redirects.';

COMMENT ON COLUMN public.oauth_client.post_logout_redirect_uris IS 'Where a user may be sent after RP-initiated logout.';

COMMENT ON COLUMN public.oauth_client.token_endpoint_auth_method IS 'token_endpoint_auth_method of RFC 7591: none, client_secret_basic, client_secret_post, private_key_jwt ...';

COMMENT ON COLUMN public.oauth_client.grant_types IS 'grant_types of RFC 7591; NULL means authorization_code.';

COMMENT ON COLUMN public.oauth_client.response_types IS 'response_types of RFC 7591; NULL means code.';

COMMENT ON COLUMN public.oauth_client.public IS 'True for a client that cannot keep a secret (RFC 6749, section 2.1).';

COMMENT ON COLUMN public.oauth_client.type IS 'web, native, user-agent-based ..., as the registrar classes it.';

COMMENT ON COLUMN public.oauth_client.reference_id IS 'The tenant that owns the client, instead of a user.';

COMMENT ON COLUMN public.oauth_client.metadata IS 'Whatever else the registration carried: a JSON object.';

COMMENT ON COLUMN public.oauth_client.subject_type IS 'public or pairwise (OpenID Connect Core, section 8).';

COMMENT ON COLUMN public.oauth_client.require_pkce IS 'Whether a request without a code_challenge is refused; NULL leaves it to the server.';

COMMENT ON COLUMN public.oauth_client.jwks IS 'The client''s public keys, a JSON Web Key Set; excludes jwks_uri (RFC 7591, section 2).';

COMMENT ON COLUMN public.oauth_client.jwks_uri IS 'Where the client publishes its keys; excludes jwks.';

COMMENT ON COLUMN public.oauth_client.application_type IS 'web or native (OpenID Connect Dynamic Client Registration, section 2).';

COMMENT ON COLUMN public.oauth_client.previous_client_secret IS 'Digest of the secret before the last rotation, valid until previous_client_secret_expires_at.';

COMMENT ON COLUMN public.oauth_client.previous_client_secret_expires_at IS 'The previous secret is refused from this instant on.';

COMMENT ON COLUMN public.oauth_client.client_secret_expires_at IS 'The secret is refused from this instant on; NULL means never (client_secret_expires_at of RFC 7591, there as 0).';

COMMENT ON COLUMN public.oauth_client.registration_access_token IS 'Digest of the token that manages this registration (RFC 7592).';

CREATE TABLE public.oauth_client_assertion (
    id public.token_digest NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT oauth_client_assertion_id_is_digest CHECK (((id)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
);

COMMENT ON TABLE public.oauth_client_assertion IS 'Client assertions already presented (RFC 7523, section 3, jti): the primary key is the replay gate.';

COMMENT ON COLUMN public.oauth_client_assertion.id IS 'Digest of the client''s identifier and the assertion''s jti.';

COMMENT ON COLUMN public.oauth_client_assertion.expires_at IS 'When the assertion itself expires, and with it the need to remember it.';

CREATE TABLE public.oauth_consent (
    id public.consent_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.client_id NOT NULL,
    user_id public.user_id,
    reference_id public.reference_id,
    scopes text[] NOT NULL,
    CONSTRAINT oauth_consent_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT oauth_consent_reference_id_length CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255))),
    CONSTRAINT oauth_consent_scopes_hold_no_null CHECK ((array_position(scopes, NULL::text) IS NULL))
);

COMMENT ON TABLE public.oauth_consent IS 'What a user has agreed to for a client: at most one row for each pair, in one tenant at a time.';

COMMENT ON COLUMN public.oauth_consent.user_id IS 'Who agreed.';

COMMENT ON COLUMN public.oauth_consent.reference_id IS 'The tenant in which the user agreed. A consent given in one tenant never serves another.';

COMMENT ON COLUMN public.oauth_consent.scopes IS 'Scopes that the user agreed to.';

CREATE TABLE public.oauth_refresh_token (
    id public.refresh_token_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    token public.token_digest NOT NULL,
    client_id public.client_id NOT NULL,
    session_id public.session_id,
    user_id public.user_id NOT NULL,
    reference_id public.reference_id,
    expires_at timestamp with time zone,
    revoked timestamp with time zone,
    scopes text[] NOT NULL,
    authorization_id public.authorization_id,
    auth_time timestamp with time zone,
    successor public.token_digest,
    successor_id public.refresh_token_id,
    resources text[],
    confirmation jsonb,
    CONSTRAINT oauth_refresh_token_confirmation_is_object CHECK ((jsonb_typeof(confirmation) = 'object'::text)),
    CONSTRAINT oauth_refresh_token_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT oauth_refresh_token_reference_id_length CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255))),
    CONSTRAINT oauth_refresh_token_resources_hold_no_null CHECK ((array_position(resources, NULL::text) IS NULL)),
    CONSTRAINT oauth_refresh_token_rotated_is_revoked CHECK (((successor IS NULL) OR (revoked IS NOT NULL))),
    CONSTRAINT oauth_refresh_token_scopes_hold_no_null CHECK ((array_position(scopes, NULL::text) IS NULL)),
    CONSTRAINT oauth_refresh_token_successor_is_digest CHECK (((successor)::text ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT oauth_refresh_token_successor_is_whole CHECK (((successor IS NULL) = (successor_id IS NULL))),
    CONSTRAINT oauth_refresh_token_token_is_digest CHECK (((token)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
)
WITH (fillfactor='80');

COMMENT ON TABLE public.oauth_refresh_token IS 'Refresh tokens (RFC 6749, section 1.5), spent ones included: they are the evidence by which reuse is recognised.';

COMMENT ON COLUMN public.oauth_refresh_token.token IS 'Digest of the refresh token.';

COMMENT ON COLUMN public.oauth_refresh_token.reference_id IS 'The tenant in which the grant was made.';

COMMENT ON COLUMN public.oauth_refresh_token.expires_at IS 'The token is refused from this instant on; NULL means never.';

COMMENT ON COLUMN public.oauth_refresh_token.revoked IS 'When the token was spent (it then has a successor) or revoked.';

COMMENT ON COLUMN public.oauth_refresh_token.scopes IS 'Scopes that the token can still grant.';

COMMENT ON COLUMN public.oauth_refresh_token.authorization_id IS 'The family. NULL only for a token that another server wrote, until it is adopted.';

COMMENT ON COLUMN public.oauth_refresh_token.auth_time IS 'When the user last authenticated.';

COMMENT ON COLUMN public.oauth_refresh_token.successor IS 'Digest of the token that replaced this one when it was rotated.';

COMMENT ON COLUMN public.oauth_refresh_token.successor_id IS 'Primary key of the successor. No foreign key: either row may be collected first.';

COMMENT ON COLUMN public.oauth_refresh_token.resources IS 'Resource indicators of the grant (RFC 8707).';

COMMENT ON COLUMN public.oauth_refresh_token.confirmation IS 'The key to which the token is bound (RFC 7800).';

CREATE TABLE public.session (
    id public.session_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    token public.token_digest NOT NULL,
    ip_address text,
    user_agent text,
    user_id public.user_id NOT NULL,
    CONSTRAINT session_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT session_ip_address_length CHECK ((octet_length(ip_address) <= 255)),
    CONSTRAINT session_token_length CHECK (((octet_length((token)::text) >= 1) AND (octet_length((token)::text) <= 255))),
    CONSTRAINT session_user_agent_length CHECK ((octet_length(user_agent) <= 4096))
);

COMMENT ON TABLE public.session IS 'Signed-in browsers. Ends by deletion (EndSession), or is collected once it has expired.';

COMMENT ON COLUMN public.session.expires_at IS 'The session is over from this instant on; it slides by ExtendSession.';

COMMENT ON COLUMN public.session.token IS 'Digest of the session cookie. (A better-auth server keeps the cookie''s own value here, so the length is not checked.)';

COMMENT ON COLUMN public.session.ip_address IS 'Where the user signed in from, as the server saw it.';

COMMENT ON COLUMN public.session.user_agent IS 'User-Agent header at sign-in.';

CREATE TABLE public."user" (
    id public.user_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    email_verified boolean DEFAULT false NOT NULL,
    image text,
    CONSTRAINT user_email_is_address CHECK (((octet_length(email) <= 320) AND (email ~ '^[^\s@]+@[^\s@]+$'::text))),
    CONSTRAINT user_id_length CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255))),
    CONSTRAINT user_name_length CHECK ((char_length(name) <= 1024))
);

COMMENT ON TABLE public."user" IS 'People who sign in: the resource owners.';

COMMENT ON COLUMN public."user".id IS 'The subject (sub) of tokens. Written by the caller.';

COMMENT ON COLUMN public."user".name IS 'Display name.';

COMMENT ON COLUMN public."user".email IS 'E-mail address, unique whatever its case.';

COMMENT ON COLUMN public."user".email_verified IS 'Whether the address has been proven to be the user''s.';

COMMENT ON COLUMN public."user".image IS 'URL of a picture.';

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_provider_account_uidx UNIQUE (provider_id, account_id);

ALTER TABLE ONLY public.jwks
    ADD CONSTRAINT jwks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_token_uidx UNIQUE (token);

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_client_assertion
    ADD CONSTRAINT oauth_client_assertion_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_client
    ADD CONSTRAINT oauth_client_client_id_uidx UNIQUE (client_id);

ALTER TABLE ONLY public.oauth_client
    ADD CONSTRAINT oauth_client_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_client_user_uidx UNIQUE (client_id, user_id);

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_token_uidx UNIQUE (token);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_token_uidx UNIQUE (token);

ALTER TABLE ONLY public."user"
    ADD CONSTRAINT user_email_uidx UNIQUE (email);

ALTER TABLE ONLY public."user"
    ADD CONSTRAINT user_pkey PRIMARY KEY (id);

CREATE INDEX account_user_id_idx ON public.account USING btree (user_id);

CREATE INDEX jwks_created_at_idx ON public.jwks USING btree (created_at, id);

CREATE INDEX jwks_expires_at_idx ON public.jwks USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX oauth_access_token_authorization_id_idx ON public.oauth_access_token USING btree (authorization_id);

CREATE INDEX oauth_access_token_client_id_idx ON public.oauth_access_token USING btree (client_id);

CREATE INDEX oauth_access_token_expires_at_idx ON public.oauth_access_token USING btree (expires_at);

CREATE INDEX oauth_access_token_refresh_id_idx ON public.oauth_access_token USING btree (refresh_id);

CREATE INDEX oauth_access_token_session_id_idx ON public.oauth_access_token USING btree (session_id);

CREATE INDEX oauth_access_token_user_id_idx ON public.oauth_access_token USING btree (user_id);

CREATE INDEX oauth_authorization_client_id_idx ON public.oauth_authorization USING btree (client_id, created_at, id);

CREATE UNIQUE INDEX oauth_authorization_code_uidx ON public.oauth_authorization USING btree (code) WHERE (code IS NOT NULL);

CREATE INDEX oauth_authorization_expires_at_idx ON public.oauth_authorization USING btree (expires_at);

CREATE UNIQUE INDEX oauth_authorization_request_uri_uidx ON public.oauth_authorization USING btree (request_uri) WHERE (request_uri IS NOT NULL);

CREATE INDEX oauth_authorization_session_id_idx ON public.oauth_authorization USING btree (session_id);

CREATE INDEX oauth_authorization_user_id_idx ON public.oauth_authorization USING btree (user_id, created_at, id);

CREATE INDEX oauth_client_assertion_expires_at_idx ON public.oauth_client_assertion USING btree (expires_at);

CREATE INDEX oauth_client_created_at_idx ON public.oauth_client USING btree (created_at, id);

CREATE INDEX oauth_client_reference_id_idx ON public.oauth_client USING btree (reference_id, created_at, id) WHERE (reference_id IS NOT NULL);

CREATE INDEX oauth_client_user_id_idx ON public.oauth_client USING btree (user_id);

CREATE INDEX oauth_consent_client_id_idx ON public.oauth_consent USING btree (client_id);

CREATE INDEX oauth_consent_user_id_idx ON public.oauth_consent USING btree (user_id, created_at, id);

CREATE INDEX oauth_refresh_token_authorization_id_idx ON public.oauth_refresh_token USING btree (authorization_id);

CREATE INDEX oauth_refresh_token_client_id_idx ON public.oauth_refresh_token USING btree (client_id);

CREATE INDEX oauth_refresh_token_expires_at_idx ON public.oauth_refresh_token USING btree (expires_at) WHERE (authorization_id IS NULL);

CREATE INDEX oauth_refresh_token_session_id_idx ON public.oauth_refresh_token USING btree (session_id);

CREATE INDEX oauth_refresh_token_user_id_idx ON public.oauth_refresh_token USING btree (user_id);

CREATE INDEX oauth_refresh_token_without_family_idx ON public.oauth_refresh_token USING btree (id) WHERE (authorization_id IS NULL);

CREATE INDEX session_expires_at_idx ON public.session USING btree (expires_at);

CREATE INDEX session_user_id_idx ON public.session USING btree (user_id, created_at, id);

CREATE INDEX user_created_at_idx ON public."user" USING btree (created_at, id);

CREATE UNIQUE INDEX user_email_lower_uidx ON public."user" USING btree (lower(email));

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES public.oauth_authorization(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_refresh_id_fkey FOREIGN KEY (refresh_id) REFERENCES public.oauth_refresh_token(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_client
    ADD CONSTRAINT oauth_client_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES public.oauth_authorization(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;
