-- ImportRefreshToken takes over what a user had granted to a client on another server, with the refresh tokens of that grant that are still
-- good there. From then on the grant is a family like any other: RotateRefreshToken exchanges each of the tokens once, and a spent one that
-- comes back ends the family. No session comes along, so the grant is bound to none.
-- tokens are the digests by which the server will find what clients present. What another server keeps instead of a token can be taken over
-- if the server can tell it from what is presented (token.Fosite for Ory Hydra).
-- id is the same whenever the grant is imported, so an import can be repeated: derive it from the other server's name for the grant.
-- A grant that was imported before is left as it is, even if it has been ended since.
-- expires_at is when the tokens expire on the other server; NULL if they don't. They expire no later than refresh_token_lifetime from now.
-- No token of the family lives longer than family_lifetime from now.
-- auth_time, acr and amr say how the user had signed in. reference_id is the tenant. confirmation is the key to which the tokens are bound.
-- What the client may no longer ask for drops out when a token is rotated, not here.
--   - issued: the grant and its tokens are stored
--   - retried: the grant had been imported before
--   - unknown: there is no such client or user
--   - disabled: the client is disabled
--   - suspended: the user is suspended
--   - revoked: grants of the user, or of the client, have been ended here, and what was granted elsewhere before doesn't come back
--   - expired: the tokens have expired
--   - unauthorized_client: the client is registered for neither refresh_token nor authorization_code, so it could use none of the tokens
-- Only issued changes anything. A token that is stored already, of another grant, is an error.
-- name: ImportRefreshToken :one
WITH locked AS MATERIALIZED (
    SELECT lock_parents(@user_id::user_id, @client_id::client_id, NULL) AS parents
), asked AS MATERIALIZED (
    SELECT c.client_id, c.grants_epoch AS client_epoch, u.id AS user_id, u.grants_epoch AS user_epoch,
        pair_epoch(u.ended_grants, c.client_id, sqlc.narg('reference_id')::reference_id) AS pair_epoch,
        as_set(@scopes::text[]) AS scopes, nullif(as_set(@resources::text[]), '{}') AS resources,
        details_as_set(sqlc.narg('authorization_details')::jsonb) AS authorization_details,
        family_expiry(now(), @family_lifetime::interval, c.authorization_lifetime, true) AS family_ends_at,
        expiry(now(), @refresh_token_lifetime::interval, c.refresh_token_lifetime, 'RefreshTokenLifetime') AS refresh_token_ends_at,
        CASE WHEN cardinality(@tokens::digest_list) > 0 THEN @tokens::digest_list ELSE refuse_parameter('Tokens', 'is missing')::digest_list END AS tokens,
        (
            CASE
                WHEN c.disabled THEN 'disabled'
                ELSE coalesce(
                    granter_refusal(l.parents, u, NULL, NULL),
                    CASE
                        WHEN c.grants_epoch > 0 OR u.grants_epoch > 0
                            OR pair_epoch(u.ended_grants, c.client_id, sqlc.narg('reference_id')::reference_id) > 0 THEN 'revoked'
                        WHEN sqlc.narg('expires_at')::timestamptz <= now() THEN 'expired'
                        -- as RotateRefreshToken has it for a grant that began elsewhere
                        WHEN NOT (uses_grant_type(c, 'refresh_token') OR uses_grant_type(c, 'authorization_code')) THEN 'unauthorized_client'
                    END::outcome,
                    'issued'
                )
            END
        )::outcome AS outcome
    FROM locked AS l
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    JOIN "user" AS u ON u.id = @user_id::user_id
), new_family AS (
    -- the gate: of all calls with this id, one inserts the row
    INSERT INTO oauth_authorization (
        id, client_id, kind, status, scopes, granted_scopes, resources, authorization_details, user_id, reference_id,
        user_epoch, client_epoch, pair_epoch, auth_time, acr, amr, decided_at, max_expires_at, confirmation
    )
    SELECT @id::authorization_id, q.client_id, 'foreign', 'approved', q.scopes, q.scopes, q.resources, q.authorization_details, q.user_id,
        sqlc.narg('reference_id')::reference_id, q.user_epoch, q.client_epoch, q.pair_epoch, sqlc.narg('auth_time')::timestamptz,
        sqlc.narg('acr')::text, sqlc.narg('amr')::text[], coalesce(sqlc.narg('granted_at')::timestamptz, now()), q.family_ends_at,
        sqlc.narg('confirmation')::token_confirmation
    FROM asked AS q
    WHERE q.outcome = 'issued'
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = @id::authorization_id) -- for one that is there, ON CONFLICT waits
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), new_refresh_tokens AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, user_id, reference_id, expires_at, scopes, auth_time, resources, authorization_details, confirmation,
        authorization_id, authorization_code_id
    )
    SELECT 'rtk_' || md5(t.token), t.token, q.client_id, q.user_id, sqlc.narg('reference_id')::reference_id,
        least(sqlc.narg('expires_at')::timestamptz, q.refresh_token_ends_at, q.family_ends_at), q.scopes, sqlc.narg('auth_time')::timestamptz,
        q.resources, q.authorization_details, sqlc.narg('confirmation')::token_confirmation, f.id, f.id
    FROM new_family AS f
    CROSS JOIN asked AS q
    CROSS JOIN unnest(q.tokens) AS t (token)
)
SELECT noted(
        (CASE WHEN q.outcome = 'issued' AND NOT EXISTS (SELECT FROM new_family) THEN settled('retried') ELSE coalesce(q.outcome, 'unknown') END)::outcome,
        'ImportRefreshToken', of_user => @user_id::user_id, of_client => @client_id::client_id, of_family => @id::authorization_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN asked AS q ON true;

-- GetRefreshToken returns one refresh token in any state. Zero rows: there is no such token.
-- name: GetRefreshToken :one
SELECT r.*
FROM oauth_refresh_token AS r
WHERE r.id = @id::refresh_token_id;

-- FindRefreshTokenByToken returns a refresh token by its digest, in any state. Use it to display a token; RotateRefreshToken and
-- IntrospectRefreshToken decide about it. Zero rows: there is no such token.
-- name: FindRefreshTokenByToken :one
SELECT r.*
FROM oauth_refresh_token AS r
WHERE r.token = @token::token_digest;

-- ListAuthorizationRefreshTokens lists the refresh tokens of a family, spent ones included, oldest first.
-- name: ListAuthorizationRefreshTokens :many
SELECT r.*
FROM oauth_refresh_token AS r
WHERE r.authorization_id = @authorization_id::authorization_id
ORDER BY r.created_at, r.id;

-- IntrospectRefreshToken says whether a refresh token, given by its digest, is live, and describes it (RFC 7662, section 2.2). The caller is
-- authenticated as in AuthenticateClient. A server that asks for itself passes client_auth_method server and no client. sub and data
-- are those of IntrospectAccessToken.
--   - active: the token is neither expired nor spent, and its family is live
--   - inactive: there is no such token, or it is not live; an answer with "active": false
--   - unauthenticated: the caller is not authenticated, or is disabled (invalid_client); none is no authentication here
-- name: IntrospectRefreshToken :one
WITH live AS (
    SELECT r.id, r.client_id, r.user_id, subject_of(c, r.client_id, r.user_id) AS sub, r.session_id, r.reference_id, r.authorization_id,
        r.scopes, r.resources, r.authorization_details,
        r.confirmation, r.created_at AS issued_at, r.expires_at, coalesce(a.auth_time, r.auth_time)::timestamptz AS auth_time, a.acr, a.amr,
        u.email AS username, coalesce(r.data, a.data)::jsonb AS data
    FROM oauth_refresh_token AS r
    JOIN oauth_authorization AS a ON a.id = r.authorization_id
    JOIN oauth_client AS c ON c.client_id = a.client_id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE r.token = @token::token_digest AND refresh_token_is_live(r, a, c, u, s)
)
SELECT (CASE WHEN r.id IS NOT NULL THEN 'active' WHEN one.is_server OR k.id IS NOT NULL THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    r.id, r.client_id, r.user_id, r.sub, r.session_id, r.reference_id, r.authorization_id, r.scopes, r.resources, r.authorization_details,
    r.confirmation, r.issued_at, r.expires_at, r.auth_time, r.acr, r.amr, r.username, r.data
FROM (VALUES (@client_auth_method::text = 'server')) AS one (is_server)
LEFT JOIN oauth_client AS k
    ON k.client_id = @client_id::client_id AND may_introspect(k, @client_auth_method::text, @client_secret::token_digest)
LEFT JOIN live AS r ON one.is_server OR k.id IS NOT NULL;

-- RotateRefreshToken exchanges a refresh token for its successor and a new access token (RFC 6749, section 6; RFC 9700, section 4.14.2).
-- Clients retry, so rotation converges: every caller that presents the same token gets the same successor, which the server derives from it
-- (token.Successor). The client is authenticated as in AuthenticateClient.
-- A spent token may be presented again only while its successor is unused: within grace of the rotation, or at any time if grace_until_used
-- is set. The client's refresh_grace and refresh_grace_until_used take precedence.
-- scopes, resources and authorization_details narrow the access token; empty leaves all that was granted. Elements of authorization_details
-- are compared whole; those of a type in compared_types the caller has compared itself (RFC 9396, section 6.1). The refresh token keeps what
-- it has.
-- The client's registration counts as it is now: what the client may no longer ask for drops out of the access token. default_scopes and
-- default_resources are those of CreateAuthorization.
-- confirmation is the key that the caller has proven to hold. It binds the access token, and has to be the family's key if the family has
-- one (RFC 9449, section 5).
-- proof is the digest of the DPoP proof, which is remembered until proof_expires_at.
-- access_token_without_row is that of RedeemAuthorizationCode. One family may have access tokens with and without a row. Nothing remembers
-- what a retry was answered without a row, so if that retry is repeated, its access token expires later.
-- access_token_id and successor_id are made once for a request and kept for its retries. That of another token is an error.
-- No token outlives the family's max_expires_at. No access token of a bound family outlives the session.
-- data is what a library on top keeps with the new tokens; NULL leaves what it keeps with the token presented.
-- id_token_signed_response_alg is that of RedeemAuthorizationCode.
-- ip_address is for the security event (ListSecurityEvents).
--   - rotated: the successor and the access token are written
--   - retried: the successor had been written before; the access token is new, unless the very same call is repeated
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - unknown: the client has no such token (invalid_grant)
--   - disabled: the client is disabled (invalid_client)
--   - mismatched: the key is another one, or the client's tokens have to be bound and there is no key (invalid_grant)
--   - revoked: the family had been ended (invalid_grant)
--   - proof_replayed: the DPoP proof was presented before, by another call (invalid_dpop_proof)
--   - replayed: a spent token came back; this call ends its family and, if another server had spent the token, all grants of the user to the
--     client (invalid_grant)
--   - superseded: the very same call had been made before, and the successor that it wrote has been used since (invalid_grant)
--   - expired: the token has expired, or the successor that a retry would get (invalid_grant)
--   - unauthorized_client: the client is not registered for refresh_token, or, where another server began the family, for neither that nor
--     authorization_code (unauthorized_client)
--   - invalid_scope: the scopes go beyond those of the token, or the client may no longer ask for one of them, or for any that was granted
--     (invalid_scope)
--   - invalid_target: the resources go beyond the grant, or the client may no longer ask for one of them, or for any that was granted
--     (invalid_target)
--   - invalid_authorization_details: the authorization_details go beyond the grant, or the client may no longer use one of the types
--     (invalid_authorization_details)
-- Only rotated, retried and replayed change anything, apart from the proof, which is remembered. Run this call on the pool: a transaction
-- that is rolled back would undo replayed.
-- name: RotateRefreshToken :one
WITH presented AS MATERIALIZED (
    -- whole rows: to carry their columns one by one through the joins takes longer than all the rest
    SELECT c::oauth_client AS c, r::oauth_refresh_token AS r, a::oauth_authorization AS a, u::"user" AS u, s::session AS s,
        -- what the new access token is to have
        CASE
            -- the usual case, which spares the judgement: nothing less is asked for, and all that was granted may still be had
            WHEN (cardinality(@scopes::text[]) > 0 OR cardinality(@resources::text[]) > 0) IS NOT TRUE
                AND sqlc.narg('authorization_details')::jsonb IS NULL
                AND is_within(r.scopes, coalesce(c.scopes, @default_scopes::text[]))
                AND (r.resources IS NULL OR is_within(r.resources, coalesce(c.resources, @default_resources::text[])))
                AND (r.authorization_details IS NULL OR c.authorization_details_types IS NULL)
            THEN ROW('rotated', NULL, NULL, r.scopes, r.resources, r.authorization_details, NULL, NULL, NULL, NULL)::token_answer
            ELSE narrow_renewed(
                c, r, @scopes::text[], @default_scopes::text[], @resources::text[], @default_resources::text[],
                sqlc.narg('authorization_details')::jsonb, @compared_types::text[]
            )
        END AS access
    FROM oauth_client AS c
    LEFT JOIN (
        oauth_refresh_token AS r
        JOIN oauth_authorization AS a ON a.id = r.authorization_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    ) ON r.token = @token::token_digest AND r.client_id = c.client_id
    WHERE c.client_id = @client_id::client_id
), judged AS MATERIALIZED (
    SELECT p.c::oauth_client AS c, p.r::oauth_refresh_token AS r, p.a::oauth_authorization AS a, sector_of(p.c) AS sector,
        least((p.a).max_expires_at, CASE WHEN (p.a).bound THEN (p.s).expires_at END)::timestamptz AS access_ends_at,
        p.access::token_answer AS access,
        (CASE
            WHEN NOT authenticates(p.c, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
            WHEN (p.r).id IS NULL THEN 'unknown'
            WHEN (p.c).disabled THEN 'disabled'
            WHEN NOT key_fits(coalesce((p.a).confirmation, (p.r).confirmation), sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
            WHEN NOT binds_as_registered(p.c, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
            WHEN NOT is_live(p.a, p.c, p.u, p.s) THEN 'revoked'
            WHEN (p.r).revoked IS NULL AND (p.r).expires_at <= now() THEN 'expired'
            -- another server takes authorization_code for enough
            WHEN NOT (uses_grant_type(p.c, 'refresh_token') OR (p.a).kind = 'foreign' AND uses_grant_type(p.c, 'authorization_code'))
            THEN 'unauthorized_client'
            ELSE (p.access).outcome
        END)::outcome AS outcome
    FROM presented AS p
), admitted AS MATERIALIZED (
    SELECT p.*, lock_parents((p.r).user_id, (p.r).client_id, (p.r).session_id) AS parents,
        CASE
            WHEN sqlc.narg('proof')::token_digest IS NULL THEN true
            WHEN proof_is_fresh(sqlc.narg('proof')::token_digest, sqlc.narg('proof_expires_at')::timestamptz) THEN true
            ELSE was_rotated_into((p.r).id, @successor_id::refresh_token_id)
        END AS fresh
    FROM judged AS p
    WHERE p.outcome IN ('rotated', 'unauthorized_client', 'invalid_scope', 'invalid_target', 'invalid_authorization_details')
), rotated AS (
    -- the gate: of all calls that present the token, one updates the row
    UPDATE oauth_refresh_token AS t
    SET revoked = now(), successor = @successor::token_digest, successor_id = @successor_id::refresh_token_id, updated_at = now()
    FROM admitted AS p
    WHERE t.id = (p.r).id AND p.outcome = 'rotated' AND p.fresh AND t.revoked IS NULL
    RETURNING t::oauth_refresh_token AS r, (p.a).act::stored_object AS act, give_subject(p.sector, t.user_id) AS sub,
        (CASE WHEN p.parents = 'locked' THEN t.session_id END)::session_id AS session_id,
        coalesce(t.authorization_code_id, t.authorization_id)::authorization_id AS authorization_code_id,
        coalesce(sqlc.narg('data')::stored_object, t.data)::stored_object AS data,
        p.access::token_answer AS access,
        least(
            expiry(now(), @access_token_lifetime::interval, (p.c).access_token_lifetime, 'AccessTokenLifetime'), p.access_ends_at
        )::timestamptz AS access_token_expires_at,
        least(
            expiry(now(), @refresh_token_lifetime::interval, (p.c).refresh_token_lifetime, 'RefreshTokenLifetime'), (p.a).max_expires_at
        )::timestamptz AS refresh_token_expires_at
), new_refresh_token AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, auth_time, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id, data, requested_user_info_claims, access_token_expires_at
    )
    SELECT (g.r).successor_id, (g.r).successor, (g.r).client_id, g.session_id, (g.r).user_id, (g.r).reference_id,
        g.refresh_token_expires_at, (g.r).scopes, (g.r).auth_time, (g.r).resources, (g.r).authorization_details, (g.r).confirmation,
        (g.r).authorization_id, g.authorization_code_id, g.data, (g.r).requested_user_info_claims,
        CASE WHEN @access_token_without_row::boolean THEN g.access_token_expires_at END
    FROM rotated AS g
), new_access_token AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
        confirmation, act, authorization_id, authorization_code_id, data, requested_user_info_claims
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, (g.r).client_id, g.session_id, (g.r).user_id,
        (g.r).reference_id, (g.r).successor_id, g.access_token_expires_at, (g.access).scopes, (g.access).resources, (g.access).authorization_details,
        sqlc.narg('confirmation')::token_confirmation, g.act, (g.r).authorization_id, g.authorization_code_id, g.data,
        (g.r).requested_user_info_claims
    FROM rotated AS g
    WHERE NOT @access_token_without_row::boolean
    ON CONFLICT DO NOTHING -- the id or token of another one is refused below
    RETURNING id
), answer AS MATERIALIZED (
    SELECT CASE
            WHEN (g.r).id IS NOT NULL
            THEN ROW(
                'rotated', g.sub, g.session_id, (g.access).scopes, (g.access).resources, (g.access).authorization_details, (g.r).successor_id,
                (g.r).successor, g.refresh_token_expires_at,
                written_expiry(
                    EXISTS (SELECT FROM new_access_token), @access_token_id::access_token_id, (g.r).client_id,
                    sqlc.narg('access_token')::token_digest, @access_token_without_row::boolean, g.access_token_expires_at
                )
            )::token_answer
            WHEN NOT p.fresh OR p.outcome = 'rotated' OR (p.r).revoked IS NOT NULL -- spent, maybe while this statement waited for it
            THEN answer_spent_refresh_token(
                (p.r).id, p.outcome, p.fresh, p.parents, p.c, @grace::interval, @grace_until_used::boolean, @successor_id::refresh_token_id,
                @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, @access_token_without_row::boolean,
                @access_token_lifetime::interval, p.access_ends_at, sqlc.narg('confirmation')::token_confirmation, (p.a).act,
                sqlc.narg('data')::jsonb, p.access
            )
        END AS given
    FROM admitted AS p
    LEFT JOIN rotated AS g ON true
), told AS (
    SELECT coalesce((w.given).outcome, j.outcome)::outcome AS outcome, (j.r).authorization_id::authorization_id AS authorization_id,
        (j.r).user_id::user_id AS user_id, (w.given).sub::subject AS sub, (j.r).session_id::session_id AS presented_session_id,
        (w.given).session_id::session_id AS session_id, (j.r).reference_id::reference_id AS reference_id,
        (w.given).refresh_token::token_digest AS successor, (w.given).refresh_token_id::refresh_token_id AS successor_id,
        (w.given).scopes::text[] AS scopes, (w.given).resources::text[] AS resources,
        (w.given).authorization_details::jsonb AS authorization_details, (j.r).auth_time::timestamptz AS auth_time, (j.a).acr::text AS acr,
        (j.a).amr::text[] AS amr, (w.given).access_token_expires_at::timestamptz AS access_token_expires_at,
        (w.given).refresh_token_expires_at::timestamptz AS refresh_token_expires_at,
        ((j.c).metadata ->> 'id_token_signed_response_alg')::text AS id_token_signed_response_alg
    FROM judged AS j
    LEFT JOIN answer AS w ON true
)
SELECT (CASE
        WHEN t.outcome = 'rotated' THEN 'rotated' -- nothing to note
        ELSE noted(
            coalesce(t.outcome, 'unauthenticated')::outcome, 'RotateRefreshToken', of_user => t.user_id,
            of_client => @client_id::client_id, of_session => t.presented_session_id, of_family => t.authorization_id,
            from_address => sqlc.narg('ip_address')::text
        )
    END)::outcome AS outcome,
    t.authorization_id, t.user_id, t.sub, t.session_id, t.reference_id, t.successor, t.successor_id, t.scopes, t.resources,
    t.authorization_details, t.auth_time, t.acr, t.amr, t.access_token_expires_at, t.refresh_token_expires_at, t.id_token_signed_response_alg
FROM (VALUES (true)) AS one (n)
LEFT JOIN told AS t ON true;

-- DeleteExpiredRefreshTokens deletes refresh tokens that expired more than retention ago: of those that did at after_expires_at or later, the
-- batch_size first. Spent ones are kept that long because their reuse is recognised by them. Begin with the zero time, and go on with
-- last_expires_at until fewer are deleted. A token that an access token refers to is left until that one is deleted, so call
-- DeleteExpiredAccessTokens first. It skips rows that are locked.
-- name: DeleteExpiredRefreshTokens :one
WITH due AS MATERIALIZED (
    SELECT r.ctid::tid AS ctid, r.expires_at
    FROM oauth_refresh_token AS r
    WHERE r.expires_at >= @after_expires_at::timestamptz AND r.expires_at <= now() - @retention::interval AND r.expires_at <= now()
      AND (r.access_token_expires_at IS NULL OR r.access_token_expires_at <= now())
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = r.id)
    ORDER BY r.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF r SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_refresh_token AS r
    WHERE r.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING r.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

-- DeleteSpentRefreshTokens deletes refresh tokens that have no expiry, were spent more than retention ago, and that no access token refers
-- to. It looks at page_size tokens in the order of their ids, those after after_id; begin with the empty id and go on with last_id, which is
-- NULL when no token is left. It skips rows that are locked.
-- name: DeleteSpentRefreshTokens :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid
    FROM oauth_refresh_token AS p
    WHERE p.expires_at IS NULL AND p.id > @after_id::refresh_token_id
    ORDER BY p.id
    LIMIT @page_size::integer
), due AS MATERIALIZED (
    SELECT r.ctid::tid AS ctid
    FROM oauth_refresh_token AS r
    WHERE r.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
      AND r.revoked <= now() - @retention::interval
      AND (r.access_token_expires_at IS NULL OR r.access_token_expires_at <= now())
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = r.id)
    FOR UPDATE OF r SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_refresh_token AS r
    WHERE r.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
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
