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

-- IntrospectRefreshToken answers for a refresh token, by its digest, what RFC 7662, section 2.2 asks. The caller is authenticated as in
-- RedeemAuthorizationCode; client_auth_method server stands for the server itself, which names no client.
--   - active: live, that is unexpired, unspent, and of a live family
--   - inactive
--   - unauthenticated: the caller is not
-- name: IntrospectRefreshToken :one
WITH live AS (
    SELECT r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.authorization_id, r.scopes, r.resources, r.authorization_details,
        r.confirmation, r.created_at AS issued_at, r.expires_at, coalesce(a.auth_time, r.auth_time)::timestamptz AS auth_time, a.acr, a.amr,
        u.email AS username
    FROM oauth_refresh_token AS r
    JOIN oauth_authorization AS a ON a.id = r.authorization_id
    JOIN oauth_client AS c ON c.client_id = a.client_id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE r.token = @token::token_digest AND r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now()) AND is_live(a, c, u, s)
)
SELECT (CASE WHEN r.id IS NOT NULL THEN 'active' WHEN one.is_server OR k.id IS NOT NULL THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.authorization_id, r.scopes, r.resources, r.authorization_details,
    r.confirmation, r.issued_at, r.expires_at, r.auth_time, r.acr, r.amr, r.username
FROM (VALUES (@client_auth_method::text = 'server')) AS one (is_server)
LEFT JOIN oauth_client AS k
    ON k.client_id = @client_id::client_id AND NOT k.disabled AND authenticates(k, @client_auth_method::text, @client_secret::token_digest)
LEFT JOIN live AS r ON one.is_server OR k.id IS NOT NULL;

-- RotateRefreshToken exchanges a refresh token for its successor and a new access token (RFC 6749, section 6; RFC 9700, section
-- 4.14.2). It is convergent: clients retry, and every caller who presents the same token gets the same successor, which the server
-- derives (token.Successor). The immediate predecessor alone is forgiven, and only while its successor is unused: within grace, or
-- whenever grace_until_used is set; the client's refresh_grace and refresh_grace_until_used come first. scopes and resources narrow
-- the access token; empty leaves all that was granted, as a parameter without a value counts as omitted (RFC 6749, section 3.2). The
-- refresh token keeps what it has (RFC 6749, section 6). confirmation is the key that the caller has proven to hold: it binds the access
-- token, and must be the family's, where the family has one (RFC 9449, section 5). proof is the digest of the DPoP proof,
-- remembered until proof_expires_at. No token outlives the family's max_expires_at, nor an access token the session of a bound family.
--   - rotated: the successor and the access token are written
--   - retried: successor is the one that was written before; the access token is new, unless it is the very same call again
--   - unauthenticated: the client is not (invalid_client)
--   - unknown: no such token of this client (invalid_grant, as all that follow)
--   - disabled: the client is (invalid_client)
--   - mismatched: another key
--   - revoked: the family was ended before
--   - proof_replayed: the proof was presented before, by another call (invalid_dpop_proof)
--   - replayed: a spent token came back; its family is ended by this statement, and where another server spent it, all grants of this
--     client and user
--   - expired: the token, or the successor that a retry would get
--   - invalid_scope: scopes beyond those of the token (invalid_scope)
--   - invalid_target: resources beyond the grant (invalid_target)
-- But for rotated, retried and replayed nothing changes, except that a proof is remembered. A verdict of replayed must not be undone: call it
-- on the pool, not in a transaction that may be rolled back.
-- name: RotateRefreshToken :one
WITH presented AS MATERIALIZED (
    SELECT r.id, r.client_id, r.user_id, r.session_id, r.reference_id, r.scopes, r.auth_time, r.resources, r.authorization_details,
        r.confirmation, r.authorization_id, coalesce(r.authorization_code_id, r.authorization_id) AS authorization_code_id, r.data,
        r.revoked IS NOT NULL AS spent, r.successor_id AS replaced_by, a.acr, a.amr, a.max_expires_at, CASE WHEN a.bound THEN s.expires_at END AS session_expires_at,
        c.access_token_lifetime, c.refresh_token_lifetime, coalesce(c.refresh_grace, @grace::interval) AS grace,
        coalesce(c.refresh_grace_until_used, @grace_until_used::boolean) AS until_used,
        (CASE WHEN cardinality(@scopes::text[]) > 0 THEN as_set(@scopes::text[]) ELSE r.scopes END)::text[] AS access_scopes,
        (CASE WHEN cardinality(@resources::text[]) > 0 THEN as_set(@resources::text[]) ELSE r.resources END)::text[] AS access_resources,
        coalesce(sqlc.narg('confirmation')::token_confirmation, a.confirmation, r.confirmation) AS access_confirmation,
        (
            CASE
                WHEN NOT authenticates(c, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
                WHEN r.id IS NULL THEN 'unknown'
                WHEN c.disabled THEN 'disabled'
                WHEN NOT key_fits(coalesce(a.confirmation, r.confirmation), sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
                WHEN NOT is_live(a, c, u, s) THEN 'revoked'
                WHEN r.revoked IS NULL AND r.expires_at <= now() THEN 'expired'
                WHEN NOT coalesce(@scopes::text[], '{}') <@ r.scopes THEN 'invalid_scope'
                WHEN NOT coalesce(@resources::text[], '{}') <@ coalesce(r.resources, '{}') THEN 'invalid_target'
                ELSE 'rotated'
            END
        )::outcome AS outcome
    FROM oauth_client AS c
    LEFT JOIN (
        oauth_refresh_token AS r
        JOIN oauth_authorization AS a ON a.id = r.authorization_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    ) ON r.token = @token::token_digest AND r.client_id = c.client_id
    WHERE c.client_id = @client_id::client_id
), admitted AS MATERIALIZED (
    SELECT p.*, lock_parents(p.user_id, p.client_id, p.session_id) AS parents,
        -- or presented by the very same call
        proof_is_fresh(sqlc.narg('proof')::token_digest, sqlc.narg('proof_expires_at')::timestamptz)
            OR coalesce(p.replaced_by = @successor_id::refresh_token_id, false) AS fresh
    FROM presented AS p
    WHERE p.outcome IN ('rotated', 'invalid_scope', 'invalid_target')
), rotated AS (
    -- the gate: of all who present the token, one gets through
    UPDATE oauth_refresh_token AS r
    SET revoked = now(), successor = @successor::token_digest, successor_id = @successor_id::refresh_token_id, updated_at = now()
    FROM admitted AS p
    WHERE r.id = p.id AND p.outcome = 'rotated' AND p.fresh AND r.revoked IS NULL
    RETURNING r.id
), judged AS MATERIALIZED (
    SELECT j.verdict, j.successor, j.successor_id, j.successor_expires_at, j.since
    FROM admitted AS p
    CROSS JOIN judge_spent_refresh_token(p.id, @successor_id::refresh_token_id, p.grace, p.until_used)
        AS j (verdict, successor, successor_id, successor_expires_at, since)
    WHERE p.fresh AND (p.spent OR p.outcome = 'rotated') AND NOT EXISTS (SELECT FROM rotated)
), granted AS MATERIALIZED (
    SELECT p.*, j.verdict IS NULL AS is_new, (CASE WHEN p.parents = 'locked' THEN p.session_id END)::session_id AS live_session_id,
        coalesce(j.successor, @successor::token_digest)::token_digest AS successor,
        coalesce(j.successor_id, @successor_id::refresh_token_id)::refresh_token_id AS successor_id,
        -- the very same call is told what was written before: the session may have been extended since, and the client changed
        (CASE WHEN t.id IS NOT NULL THEN t.expires_at ELSE least(
            expiry(coalesce(j.since, now()), @access_token_lifetime::interval, p.access_token_lifetime, 'AccessTokenLifetime'),
            p.max_expires_at, p.session_expires_at
        ) END)::timestamptz AS access_token_expires_at,
        (CASE WHEN j.verdict IS NOT NULL THEN j.successor_expires_at ELSE least(
            expiry(now(), @refresh_token_lifetime::interval, p.refresh_token_lifetime, 'RefreshTokenLifetime'), p.max_expires_at
        ) END)::timestamptz AS refresh_token_expires_at
    FROM admitted AS p
    LEFT JOIN judged AS j ON true
    LEFT JOIN oauth_access_token AS t ON t.id = CASE WHEN j.verdict = 'retried' THEN @access_token_id::access_token_id END
    WHERE p.outcome = 'rotated' AND p.fresh AND (j.verdict IS NULL OR j.verdict = 'retried')
), successor AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, auth_time, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id, data
    )
    SELECT g.successor_id, g.successor, g.client_id, g.live_session_id, g.user_id, g.reference_id, g.refresh_token_expires_at, g.scopes,
        g.auth_time, g.resources, g.authorization_details, g.confirmation, g.authorization_id, g.authorization_code_id, g.data
    FROM granted AS g
    WHERE g.is_new
), access AS (
    -- a retry's refers to the token that was presented, as the successor may be gone
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, g.client_id, g.live_session_id, g.user_id,
        g.reference_id, CASE WHEN g.is_new THEN g.successor_id ELSE g.id END, g.access_token_expires_at, g.access_scopes,
        g.access_resources, g.authorization_details, g.access_confirmation, g.authorization_id, g.authorization_code_id
    FROM granted AS g
    ON CONFLICT (id) DO NOTHING
)
SELECT (
        CASE
            WHEN p.outcome IS NULL THEN 'unauthenticated'
            WHEN NOT m.fresh THEN 'proof_replayed'
            WHEN j.verdict IS NULL OR (j.verdict = 'retried' AND p.outcome <> 'rotated') THEN p.outcome
            ELSE j.verdict
        END
    )::outcome AS outcome,
    p.authorization_id, p.user_id, g.live_session_id AS session_id, p.reference_id, g.successor, g.successor_id, g.access_scopes AS scopes,
    g.access_resources AS resources, p.auth_time, p.acr, p.amr, g.access_token_expires_at, g.refresh_token_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS p ON true
LEFT JOIN admitted AS m ON true
LEFT JOIN judged AS j ON true
LEFT JOIN granted AS g ON true;

-- DeleteExpiredRefreshTokens collects at most batch_size refresh tokens that expired more than retention ago, and says how many. Until then
-- a spent one is the evidence by which its reuse is recognised. A token that an access token still refers to waits for that one
-- (DeleteExpiredAccessTokens first). What a call holds is left for the next time.
-- name: DeleteExpiredRefreshTokens :execrows
WITH due AS MATERIALIZED (
    SELECT r.id
    FROM oauth_refresh_token AS r
    WHERE r.expires_at <= now() - @retention::interval AND r.expires_at <= now()
      AND (r.access_token_expires_at IS NULL OR r.access_token_expires_at <= now())
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = r.id)
    ORDER BY r.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF r SKIP LOCKED
)
DELETE FROM oauth_refresh_token AS r
WHERE r.id = ANY (ARRAY(SELECT d.id::text FROM due AS d));

-- DeleteSpentRefreshTokens walks a page of refresh tokens that never expire, in the order of their ids, after after_id (empty: from the
-- start), and collects those that were spent more than retention ago and that no access token refers to. last_id is where the next page
-- goes on; NULL says that there is nothing more. What a call holds is left for the next time.
-- name: DeleteSpentRefreshTokens :one
WITH page AS MATERIALIZED (
    SELECT p.id
    FROM oauth_refresh_token AS p
    WHERE p.expires_at IS NULL AND p.id > @after_id::refresh_token_id
    ORDER BY p.id
    LIMIT @page_size::integer
), due AS MATERIALIZED (
    SELECT r.id
    FROM oauth_refresh_token AS r
    WHERE r.id = ANY (ARRAY(SELECT p.id::text FROM page AS p))
      AND r.revoked <= now() - @retention::interval
      AND (r.access_token_expires_at IS NULL OR r.access_token_expires_at <= now())
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = r.id)
    FOR UPDATE OF r SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_refresh_token AS r
    USING due AS d
    WHERE r.id = d.id
    RETURNING r.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
