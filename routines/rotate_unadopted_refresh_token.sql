CREATE OR REPLACE FUNCTION rotate_unadopted_refresh_token(
    presented_token token_digest,
    of_client client_id,
    new_token token_digest,
    new_token_id refresh_token_id,
    new_access_token token_digest,
    new_access_token_id access_token_id,
    access_lifetime interval,
    refresh_lifetime interval,
    family_lifetime interval,
    grace interval,
    narrower_scopes text[],
    narrower_resources text[],
    proven_key token_confirmation,
    held boolean
)
RETURNS TABLE (
    outcome rotation_outcome, authorization_id authorization_id, user_id user_id, session_id session_id, reference_id reference_id,
    successor token_digest, successor_id refresh_token_id, scopes text[], resources text[], auth_time timestamptz,
    access_token_expires_at timestamptz, refresh_token_expires_at timestamptz
)
LANGUAGE sql VOLATILE
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

COMMENT ON FUNCTION rotate_unadopted_refresh_token(token_digest, client_id, token_digest, refresh_token_id, token_digest, access_token_id, interval, interval, interval, interval, text[], text[], token_confirmation, boolean) IS 'Part of RotateRefreshToken: rotates a token that another server issued, and gives it a family; and ends what a reuse of a token that another server spent has to end.';
