-- GetRefreshToken returns one refresh token in whatever state it is; zero rows: no such token.
-- name: GetRefreshToken :one
SELECT r.*
FROM oauth_refresh_token AS r
WHERE r.id = @id::refresh_token_id;

-- FindRefreshTokenByToken returns the refresh token that a digest stands for, in whatever state it is: to look at, never to decide
-- by (RotateRefreshToken and IntrospectRefreshToken decide). Zero rows: no such token.
-- name: FindRefreshTokenByToken :one
SELECT r.*
FROM oauth_refresh_token AS r
WHERE r.token = @token::token_digest;

-- ListAuthorizationRefreshTokens lists the refresh tokens of a family, oldest first: its whole history.
-- name: ListAuthorizationRefreshTokens :many
SELECT r.*
FROM oauth_refresh_token AS r
WHERE r.authorization_id = @authorization_id::authorization_id
ORDER BY r.created_at, r.id;

-- IntrospectRefreshToken answers for a refresh token, by its digest, what RFC 7662, section 2.2 asks: a row only where the
-- token is live, that is unexpired, neither spent nor revoked, of a family that is not revoked, and of an enabled client.
-- name: IntrospectRefreshToken :one
SELECT r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.authorization_id, r.scopes, r.resources, r.confirmation,
    r.created_at AS issued_at, r.expires_at, coalesce(a.auth_time, r.auth_time) AS auth_time, a.acr, a.amr,
    u.email AS username
FROM oauth_refresh_token AS r
JOIN oauth_client AS c ON c.client_id = r.client_id
JOIN "user" AS u ON u.id = r.user_id
LEFT JOIN oauth_authorization AS a ON a.id = r.authorization_id
WHERE r.token = @token::token_digest
  AND r.revoked IS NULL
  AND (r.expires_at IS NULL OR r.expires_at > now())
  AND a.revoked_at IS NULL
  AND NOT c.disabled;

-- RotateRefreshToken exchanges a refresh token for its successor and a new access token (RFC 6749, section 6; RFC 9700, section
-- 4.14.2). It is convergent: clients retry, and every caller who presents the same token gets the same successor, which the
-- server derives (token.Successor). Only the immediate predecessor is forgiven, only within the grace interval (0: never), and
-- only while its successor has not been used.
-- scopes and resources narrow the access token; NULL or empty, as a parameter without a value counts as omitted (RFC 6749,
-- section 3.2), leaves all that was granted. The refresh token keeps what it has (RFC 6749, section 6). confirmation is the key
-- that the caller has proven to hold: it binds the access token, and must be the family's, where the family has one (RFC 9449,
-- section 5). A lifetime of NULL never expires; no token outlives the family's max_expires_at. A token that another server wrote
-- gets a family here, which lasts for family_lifetime at most, if given.
-- rotated: the successor is written. replayed: a retry; successor is the digest of the one that was written before, and the
-- access token is new. reused: a spent token came back; its family is revoked by this statement, and where another server
-- issued or spent it, so are all tokens without a family of this client and user, and the families that were adopted from such.
-- expired; a retry is once the successor or
-- the whole family is. revoked: the family was ended before. disabled: the client is. exceeded: scopes
-- or resources beyond the grant: nothing changes. mismatched: another key: nothing changes. Zero rows: no such token of this
-- client.
-- name: RotateRefreshToken :one
WITH presented AS MATERIALIZED (
    -- what to lock by: user, client, session, family, token, in this order, everywhere
    SELECT r.id, r.client_id, r.user_id, r.session_id, r.authorization_id,
        -- issued, or spent, by another server: that is for rotate_unadopted_refresh_token
        (r.authorization_id IS NULL OR (r.revoked IS NOT NULL AND r.successor IS NULL))::boolean AS of_another_server
    FROM oauth_refresh_token AS r
    WHERE r.token = @presented::token_digest AND r.client_id = @client_id::client_id
), parents AS MATERIALIZED (
    SELECT p.id, p.session_id, p.authorization_id, c.disabled
    FROM presented AS p
    JOIN "user" AS u ON u.id = p.user_id
    JOIN oauth_client AS c ON c.client_id = p.client_id
    WHERE NOT p.of_another_server
    FOR KEY SHARE OF u, c
), signed_in AS MATERIALIZED (
    SELECT s.id
    FROM parents AS p
    JOIN session AS s ON s.id = p.session_id
    FOR KEY SHARE OF s
), current AS MATERIALIZED (
    SELECT r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.expires_at, r.revoked, r.scopes, r.authorization_id,
        r.auth_time, r.successor, r.successor_id, r.resources, p.disabled, a.revoked_at AS family_revoked_at,
        a.expires_at AS family_expires_at, a.max_expires_at, coalesce(a.confirmation, r.confirmation) AS bound_to,
        (
            r.successor IS NOT NULL
            AND @grace::interval > interval '0'
            AND now() < r.revoked + @grace::interval
            AND a.current_refresh_token IS NOT DISTINCT FROM r.successor
            -- another server that spends the successor leaves the family's row as it was
            AND NOT EXISTS (SELECT FROM oauth_refresh_token AS n WHERE n.id = r.successor_id AND n.revoked IS NOT NULL)
        ) AS forgiven
    FROM parents AS p
    LEFT JOIN signed_in AS s ON true
    JOIN oauth_authorization AS a ON a.id = p.authorization_id
    JOIN oauth_refresh_token AS r ON r.id = p.id
    FOR NO KEY UPDATE OF a, r
), verdict AS MATERIALIZED (
    SELECT k.id, k.client_id, k.user_id, k.session_id, k.reference_id, k.authorization_id, k.auth_time, k.bound_to, k.successor,
        k.scopes, k.resources,
        coalesce(k.successor_id, @successor_id::refresh_token_id) AS successor_id,
        least(now() + sqlc.narg('access_token_lifetime')::interval, k.max_expires_at)::timestamptz AS access_token_expires_at,
        -- of the successor, which a retry did not write: it counts from the rotation
        least(coalesce(k.revoked, now()) + sqlc.narg('refresh_token_lifetime')::interval, k.max_expires_at)::timestamptz AS refresh_token_expires_at,
        (
            CASE
                WHEN k.bound_to IS NOT NULL AND NOT coalesce(sqlc.narg('confirmation')::token_confirmation, '{}'::jsonb) @> k.bound_to THEN 'mismatched'
                WHEN k.family_revoked_at IS NOT NULL THEN 'revoked'
                WHEN k.revoked IS NOT NULL AND NOT k.forgiven THEN 'reused'
                WHEN k.disabled THEN 'disabled'
                WHEN CASE WHEN k.revoked IS NULL THEN k.expires_at ELSE k.family_expires_at END <= now() THEN 'expired'
                WHEN k.revoked + sqlc.narg('refresh_token_lifetime')::interval <= now() THEN 'expired'
                WHEN NOT coalesce(nullif(sqlc.narg('scopes')::text[], ARRAY[]::text[]), k.scopes) <@ k.scopes THEN 'exceeded'
                WHEN NOT coalesce(sqlc.narg('resources')::text[], ARRAY[]::text[]) <@ coalesce(k.resources, ARRAY[]::text[]) THEN 'exceeded'
                WHEN k.revoked IS NOT NULL THEN 'replayed'
                ELSE 'rotated'
            END
        )::rotation_outcome AS outcome
    FROM current AS k
    -- spent by another server while this statement waited
    WHERE k.revoked IS NULL OR k.successor IS NOT NULL
), family AS (
    UPDATE oauth_authorization AS a
    SET current_refresh_token = CASE WHEN v.outcome = 'rotated' THEN @successor::token_digest ELSE a.current_refresh_token END,
        expires_at = CASE
            WHEN v.outcome = 'reused' OR e.last_expires_at <= a.expires_at THEN a.expires_at
            -- A sixteenth longer than it has to last, as expires_at is indexed: the next rotations can leave it, and so all
            -- indexes, as it is. (NULL means never.)
            WHEN a.expires_at IS NOT NULL THEN least(e.last_expires_at + (e.last_expires_at - now()) / 16, a.max_expires_at)
        END,
        revoked_at = CASE WHEN v.outcome = 'reused' THEN now() END,
        revoked_reason = CASE WHEN v.outcome = 'reused' THEN 'refresh_token_reused'::revocation_reason END,
        updated_at = now()
    FROM verdict AS v
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN v.access_token_expires_at IS NULL THEN NULL
            WHEN v.outcome = 'replayed' THEN v.access_token_expires_at
            WHEN v.refresh_token_expires_at IS NOT NULL THEN greatest(v.access_token_expires_at, v.refresh_token_expires_at)
        END AS last_expires_at
    ) AS e
    WHERE a.id = v.authorization_id AND v.outcome IN ('rotated', 'replayed', 'reused')
), spent AS (
    UPDATE oauth_refresh_token AS r
    SET revoked = now(), successor = @successor::token_digest, successor_id = v.successor_id, updated_at = now()
    FROM verdict AS v
    WHERE r.id = v.id AND v.outcome = 'rotated'
), successor AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_id, auth_time, resources,
        confirmation
    )
    SELECT v.successor_id, @successor::token_digest, v.client_id, v.session_id, v.user_id, v.reference_id,
        v.refresh_token_expires_at, v.scopes, v.authorization_id, v.auth_time, v.resources, v.bound_to
    FROM verdict AS v
    WHERE v.outcome = 'rotated'
), access AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, authorization_id, resources,
        confirmation
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, v.client_id, v.session_id, v.user_id,
        v.reference_id, v.successor_id, v.access_token_expires_at,
        coalesce(nullif(sqlc.narg('scopes')::text[], ARRAY[]::text[]), v.scopes), v.authorization_id,
        coalesce(nullif(sqlc.narg('resources')::text[], ARRAY[]::text[]), v.resources),
        coalesce(sqlc.narg('confirmation')::token_confirmation, v.bound_to)
    FROM verdict AS v
    WHERE v.outcome IN ('rotated', 'replayed')
), answer AS (
    SELECT v.outcome, v.authorization_id, v.user_id, v.session_id, v.reference_id,
        (CASE v.outcome WHEN 'rotated' THEN @successor::token_digest WHEN 'replayed' THEN v.successor END)::token_digest AS successor,
        (CASE WHEN v.outcome IN ('rotated', 'replayed') THEN v.successor_id END)::refresh_token_id AS successor_id,
        coalesce(nullif(sqlc.narg('scopes')::text[], ARRAY[]::text[]), v.scopes) AS scopes,
        coalesce(nullif(sqlc.narg('resources')::text[], ARRAY[]::text[]), v.resources) AS resources, v.auth_time,
        (CASE WHEN v.outcome IN ('rotated', 'replayed') THEN v.access_token_expires_at END)::timestamptz AS access_token_expires_at,
        (CASE WHEN v.outcome IN ('rotated', 'replayed') THEN v.refresh_token_expires_at END)::timestamptz AS refresh_token_expires_at
    FROM verdict AS v
    UNION ALL
    SELECT f.outcome, f.authorization_id, f.user_id, f.session_id, f.reference_id, f.successor, f.successor_id, f.scopes, f.resources,
        f.auth_time, f.access_token_expires_at, f.refresh_token_expires_at
    FROM presented AS p
    CROSS JOIN LATERAL rotate_unadopted_refresh_token(
        @presented::token_digest, p.client_id, @successor::token_digest, @successor_id::refresh_token_id,
        sqlc.narg('access_token')::token_digest, @access_token_id::access_token_id, sqlc.narg('access_token_lifetime')::interval,
        sqlc.narg('refresh_token_lifetime')::interval, sqlc.narg('family_lifetime')::interval, @grace::interval,
        sqlc.narg('scopes')::text[], sqlc.narg('resources')::text[], sqlc.narg('confirmation')::token_confirmation,
        EXISTS (SELECT FROM current)
    ) AS f
    WHERE NOT EXISTS (SELECT FROM verdict)
)
SELECT w.outcome::rotation_outcome AS outcome, w.authorization_id, w.user_id::user_id AS user_id, w.session_id, w.reference_id,
    w.successor, w.successor_id, w.scopes::text[] AS scopes, w.resources, w.auth_time, w.access_token_expires_at,
    w.refresh_token_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN answer AS w ON one.n
WHERE w.outcome IS NOT NULL;

-- AdoptRefreshTokens gives a family each to at most batch_size refresh tokens that another server wrote, with the access tokens
-- that came with them, and says how many. It looks at as many tokens without a family, in the order of their ids after after_id
-- (empty: from the start), and last_id is where the next batch goes on, also when none of these was adopted; NULL says that there
-- is nothing more. Tokens that a call holds, and spent, revoked or expired ones, are left as they are. Such a token is adopted
-- at its first rotation anyway; this is for those that want to be done with it.
-- name: AdoptRefreshTokens :one
WITH page AS MATERIALIZED (
    -- as many as the index has next, whatever they are, so that no call has to pass over all that was ever spent
    SELECT r.id
    FROM oauth_refresh_token AS r
    WHERE r.authorization_id IS NULL AND r.id > @after_id::refresh_token_id
    ORDER BY r.id
    LIMIT @batch_size::integer
), unadopted AS MATERIALIZED (
    SELECT r.id, r.session_id
    FROM oauth_refresh_token AS r
    JOIN "user" AS u ON u.id = r.user_id
    JOIN oauth_client AS c ON c.client_id = r.client_id
    WHERE r.id = ANY (ARRAY(SELECT p.id::text FROM page AS p))
      AND r.authorization_id IS NULL
      AND r.revoked IS NULL
      AND (r.expires_at IS NULL OR r.expires_at > now())
    FOR KEY SHARE OF u, c SKIP LOCKED
), signed_in AS MATERIALIZED (
    SELECT s.id
    FROM session AS s
    WHERE s.id = ANY (ARRAY(SELECT n.session_id::text FROM unadopted AS n))
    FOR KEY SHARE OF s SKIP LOCKED
), locked AS MATERIALIZED (
    -- a session that is being ended, or collected, has its tokens seen to by that call
    SELECT r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.scopes, r.resources, r.auth_time, r.created_at,
        r.confirmation, r.token, r.expires_at, new_authorization_id() AS new_family_id
    FROM oauth_refresh_token AS r
    WHERE r.id = ANY (ARRAY(SELECT n.id::text FROM unadopted AS n)) AND r.authorization_id IS NULL AND r.revoked IS NULL
      AND (r.session_id IS NULL OR r.session_id IN (SELECT s.id FROM signed_in AS s))
    FOR NO KEY UPDATE OF r SKIP LOCKED
), families AS (
    INSERT INTO oauth_authorization (
        id, client_id, status, scopes, resources, expires_at, user_id, session_id, reference_id, granted_scopes, auth_time,
        decided_at, adopted_at, confirmation, current_refresh_token
    )
    SELECT k.new_family_id, k.client_id, 'approved', k.scopes, k.resources,
        CASE
            WHEN k.expires_at IS NOT NULL
                AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = k.id AND t.expires_at IS NULL)
            THEN greatest(k.expires_at, (SELECT max(t.expires_at) FROM oauth_access_token AS t WHERE t.refresh_id = k.id))
        END,
        k.user_id, k.session_id, k.reference_id, k.scopes, k.auth_time, k.created_at, now(), k.confirmation, k.token
    FROM locked AS k
), adopted AS (
    UPDATE oauth_refresh_token AS r
    SET authorization_id = k.new_family_id, updated_at = now()
    FROM locked AS k
    WHERE r.id = k.id
    RETURNING r.id
), adopted_access AS (
    UPDATE oauth_access_token AS t
    SET authorization_id = k.new_family_id, updated_at = now()
    FROM locked AS k
    WHERE t.refresh_id = k.id AND t.authorization_id IS NULL
), farthest AS (
    SELECT p.id
    FROM page AS p
    ORDER BY p.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM adopted)::bigint AS adopted, f.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN farthest AS f ON one.n;

-- DeleteExpiredRefreshTokens collects at most batch_size refresh tokens, and says how many: those of a family once the whole
-- family expired more than retention ago, since a spent token is the evidence by which its reuse is recognised; those without
-- a family by their own expiry. A token that an access token still refers to waits for that one (DeleteExpiredAccessTokens
-- first). What a call holds is left for the next time.
-- name: DeleteExpiredRefreshTokens :execrows
WITH of_families AS MATERIALIZED (
    SELECT r.id
    FROM oauth_authorization AS a
    JOIN oauth_refresh_token AS r ON r.authorization_id = a.id
    WHERE a.expires_at <= now() - @retention::interval
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = r.id)
    ORDER BY a.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF r SKIP LOCKED
), of_none AS MATERIALIZED (
    SELECT r.id
    FROM oauth_refresh_token AS r
    WHERE r.authorization_id IS NULL AND r.expires_at <= now() - @retention::interval
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = r.id)
    ORDER BY r.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF r SKIP LOCKED
)
DELETE FROM oauth_refresh_token AS r
USING (SELECT f.id FROM of_families AS f UNION ALL SELECT n.id FROM of_none AS n LIMIT @batch_size::integer) AS d
WHERE r.id = d.id;
