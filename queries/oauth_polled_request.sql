-- CreateDeviceAuthorization records the authorization request of a device (RFC 8628, section 3.1). The client is authenticated as in
-- AuthenticateClient. device_code and user_code are the digests of the codes. Make the user code from an alphabet of your own
-- (RFC 8628, section 6.1), and normalise what users type before you hash it.
-- Both codes expire after lifetime. A poll_interval of zero is 5 seconds; it is no longer than lifetime.
-- default_scopes, default_resources and default_authorization_details_types are what a client may ask for that has nothing registered.
--   - created: the request waits for a user to enter the user code
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - disabled: the client is disabled (invalid_client)
--   - unauthorized_client: the client is not registered for urn:ietf:params:oauth:grant-type:device_code (unauthorized_client)
--   - invalid_scope: the client may not ask for the scopes (invalid_scope)
--   - invalid_target: the client may not ask for the resources (invalid_target)
--   - invalid_authorization_details: the client may not use one of the types, or an element has none (invalid_authorization_details)
--   - taken: the user code belongs to a request that has not expired, or the id or device code to any other; call again with new ones
-- Only created writes anything. A user code can be used again once its request has expired.
-- name: CreateDeviceAuthorization :one
WITH client AS MATERIALIZED (
    SELECT c.client_id, deadline(@lifetime::interval, NULL, 'Lifetime') AS expires_at,
        (
            CASE
                WHEN NOT authenticates(c, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
                WHEN c.disabled THEN 'disabled'
                WHEN NOT uses_grant_type(c, 'urn:ietf:params:oauth:grant-type:device_code') THEN 'unauthorized_client'
                ELSE coalesce(
                    judge_asked(
                        c, @scopes::text[], @default_scopes::text[], @resources::text[], @default_resources::text[],
                        sqlc.narg('authorization_details')::jsonb, @default_authorization_details_types::text[]
                    ),
                    CASE WHEN EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = @id::authorization_id) THEN 'taken'::outcome END,
                    'created'
                )
            END
        )::outcome AS outcome
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
    FOR KEY SHARE
), expired_request AS (
    UPDATE oauth_polled_request AS p
    SET user_code = NULL, updated_at = now()
    FROM client AS c
    WHERE p.user_code = @user_code::token_digest AND p.expires_at <= now() AND c.outcome = 'created'
    RETURNING p.id
), new_request AS (
    -- the gate: a user code belongs to one request. The count makes PostgreSQL free the code first.
    INSERT INTO oauth_polled_request (id, code, user_code, expires_at, poll_interval)
    SELECT @id::authorization_id, @device_code::token_digest, @user_code::token_digest, c.expires_at,
        least(coalesce(nullif(@poll_interval::interval, interval '0'), interval '5 seconds'), c.expires_at - now())
    FROM client AS c
    WHERE c.outcome = 'created' AND (SELECT count(*) FROM expired_request) >= 0
    ON CONFLICT DO NOTHING -- of two same calls at once, any of the ids and codes may conflict first
    RETURNING id, expires_at, poll_interval
), created AS (
    INSERT INTO oauth_authorization (id, client_id, kind, scopes, resources, authorization_details, request, expires_at)
    SELECT n.id, c.client_id, 'device', as_set(@scopes::text[]), nullif(as_set(@resources::text[]), '{}'),
        details_as_set(sqlc.narg('authorization_details')::jsonb), sqlc.narg('request')::jsonb, n.expires_at
    FROM new_request AS n
    CROSS JOIN client AS c
)
SELECT coalesce(CASE WHEN c.outcome = 'created' AND n.id IS NULL THEN 'taken' ELSE c.outcome END, 'unauthenticated')::outcome AS outcome,
    n.expires_at, n.poll_interval
FROM (VALUES (true)) AS one (n)
LEFT JOIN client AS c ON true
LEFT JOIN new_request AS n ON true;

-- CreateBackchannelAuthentication records a request that a client makes about a user (CIBA Core, section 7.1). The server has found the user
-- by the hint. Only that user can approve or deny the request. The client is authenticated as in AuthenticateClient. auth_req_id is the
-- digest of the auth_req_id. request keeps other parameters, such as binding_message and login_hint. notification_token is the
-- client_notification_token of the ping and push modes, encrypted by the caller.
-- The request expires after lifetime. A poll_interval of zero is 5 seconds; it is no longer than lifetime.
-- default_scopes, default_resources and default_authorization_details_types are what a client may ask for that has nothing registered.
--   - created: the request waits for the user
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - disabled: the client is disabled (invalid_client)
--   - unauthorized_client: the client is public, or not registered for urn:openid:params:grant-type:ciba (unauthorized_client)
--   - unknown: there is no such user (unknown_user_id)
--   - suspended: the user is suspended (access_denied)
--   - invalid_scope: the client may not ask for the scopes (invalid_scope)
--   - invalid_target: the client may not ask for the resources (invalid_target)
--   - invalid_authorization_details: the client may not use one of the types, or an element has none (invalid_authorization_details)
--   - taken: the id or auth_req_id belongs to another request, or the same call was made before; call again with new ones
-- Only created writes anything.
-- name: CreateBackchannelAuthentication :one
WITH caller AS MATERIALIZED (
    SELECT c.client_id, lock_parents(@user_id::user_id, c.client_id, NULL) AS parents
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id AND authenticates(c, @client_auth_method::text, @client_secret::token_digest)
), asked AS MATERIALIZED (
    SELECT c.client_id, u.id AS user_id, deadline(@lifetime::interval, NULL, 'Lifetime') AS expires_at,
        (
            CASE
                WHEN c.disabled THEN 'disabled'
                WHEN is_public(c) OR NOT uses_grant_type(c, 'urn:openid:params:grant-type:ciba') THEN 'unauthorized_client'
                ELSE coalesce(
                    granter_refusal(k.parents, u, NULL, NULL),
                    judge_asked(
                        c, @scopes::text[], @default_scopes::text[], @resources::text[], @default_resources::text[],
                        sqlc.narg('authorization_details')::jsonb, @default_authorization_details_types::text[]
                    ),
                    CASE WHEN EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = @id::authorization_id) THEN 'taken'::outcome END,
                    'created'
                )
            END
        )::outcome AS outcome
    FROM caller AS k
    JOIN oauth_client AS c ON c.client_id = k.client_id
    LEFT JOIN "user" AS u ON u.id = @user_id::user_id
), new_request AS (
    -- the gate: an auth_req_id belongs to one request
    INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval, notification_token)
    SELECT @id::authorization_id, @auth_req_id::token_digest, q.expires_at,
        least(coalesce(nullif(@poll_interval::interval, interval '0'), interval '5 seconds'), q.expires_at - now()),
        sqlc.narg('notification_token')::text
    FROM asked AS q
    WHERE q.outcome = 'created'
    ON CONFLICT DO NOTHING -- of two same calls at once, id or code may conflict first
    RETURNING id, expires_at, poll_interval
), created AS (
    INSERT INTO oauth_authorization (id, client_id, kind, user_id, scopes, resources, authorization_details, request, expires_at)
    SELECT n.id, q.client_id, 'ciba', q.user_id, as_set(@scopes::text[]), nullif(as_set(@resources::text[]), '{}'),
        details_as_set(sqlc.narg('authorization_details')::jsonb), sqlc.narg('request')::jsonb, n.expires_at
    FROM new_request AS n
    CROSS JOIN asked AS q
)
SELECT noted(
        coalesce(CASE WHEN q.outcome = 'created' AND n.id IS NULL THEN 'taken' ELSE q.outcome END, 'unauthenticated')::outcome,
        'CreateBackchannelAuthentication', of_user => @user_id::user_id, of_client => @client_id::client_id
    )::outcome AS outcome,
    n.expires_at, n.poll_interval
FROM (VALUES (true)) AS one (n)
LEFT JOIN asked AS q ON true
LEFT JOIN new_request AS n ON true;

-- GetPolledRequest returns the codes and the polling of one request of a device or of CIBA. Zero rows: there is no such request.
-- name: GetPolledRequest :one
SELECT p.*
FROM oauth_polled_request AS p
WHERE p.id = @id::authorization_id;

-- FindAuthorizationByUserCode returns the request of a device by the digest of its user code, and claims it for the user who entered the
-- code (RFC 8628, section 3.3). From then on only that user can find, approve or deny it. User codes are short: limit the attempts of a user
-- and of an address before you call this (RFC 8628, section 5.1).
-- ip_address is for the security event (ListSecurityEvents).
--   - claimed: the request waits for this user's decision
--   - retried: the same user had claimed it before, and it still waits
--   - unknown: there is no such user code or user (ask for the code again)
--   - mismatched: another user has claimed the request (ask for the code again)
--   - expired: the request has expired (an error page)
--   - decided: the request has been approved or denied (an error page)
--   - revoked: the request has been ended (an error page)
--   - disabled: the client is disabled (an error page)
--   - suspended: the user is suspended (an error page)
--   - signed_out: the session is not a live session of the user (sign in again)
-- Only claimed and retried answer the request. Only they change anything.
-- name: FindAuthorizationByUserCode :one
WITH asked AS MATERIALIZED (
    SELECT p.id, p.expires_at, lock_parents(@user_id::user_id, NULL, sqlc.narg('session_id')::session_id) AS parents
    FROM oauth_polled_request AS p
    WHERE p.user_code = @user_code::token_digest
), locked_request AS MATERIALIZED (
    SELECT a.id, q.expires_at, q.parents
    FROM asked AS q
    JOIN oauth_authorization AS a ON a.id = q.id
    FOR NO KEY UPDATE OF a
), request AS MATERIALIZED (
    SELECT l.id, (p.a).client_id::client_id AS client_id, (p.u).id::user_id AS user_id, sqlc.narg('session_id')::session_id AS session_id,
        coalesce(
            granter_refusal(l.parents, p.u, sqlc.narg('session_id')::session_id, p.s),
            CASE
                WHEN l.expires_at <= now() THEN 'expired'
                WHEN (p.a).user_id <> (p.u).id THEN 'mismatched'
                WHEN (p.a).status <> 'pending' THEN 'decided'
                WHEN (p.a).revoked_at IS NOT NULL THEN 'revoked'
                WHEN (p.c).disabled THEN 'disabled'
                WHEN (p.a).user_id = (p.u).id THEN 'retried'
                ELSE 'claimed'
            END::outcome
        )::outcome AS outcome
    FROM locked_request AS l
    CROSS JOIN read_again(l.id, @user_id::user_id, sqlc.narg('session_id')::session_id) AS p (a, c, u, s)
), claimed AS (
    UPDATE oauth_authorization AS a
    SET user_id = q.user_id, session_id = q.session_id, updated_at = now()
    FROM request AS q
    WHERE a.id = q.id AND q.outcome IN ('claimed', 'retried')
    RETURNING a.id, a.client_id, a.scopes, a.resources, a.authorization_details, a.request, a.expires_at
)
SELECT noted(
        coalesce(q.outcome, 'unknown')::outcome, 'FindAuthorizationByUserCode', of_user => @user_id::user_id, of_client => q.client_id,
        of_session => sqlc.narg('session_id')::session_id, of_family => q.id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    n.id, n.client_id, n.scopes, n.resources, n.authorization_details, n.request, n.expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN request AS q ON true
LEFT JOIN claimed AS n ON true;

-- PollDeviceCode answers a client that asks whether its request has been decided, and issues the tokens if it has been approved (RFC 8628,
-- section 3.4; CIBA Core, section 10.1). The client is authenticated as in AuthenticateClient. device_code is the digest of the device_code
-- or of the auth_req_id.
-- Clients poll again if an answer is lost, so the tokens converge as in RotateRefreshToken: derive refresh_token from the code
-- (token.Successor). A code may be presented again only while that refresh token is unused, within grace of its redemption.
-- confirmation is the key that the caller has proven to hold. It binds the access token and, if the client is public, the refresh token and
-- the family as well (RFC 9449, section 5).
-- proof is the digest of the DPoP proof, which is remembered until proof_expires_at.
-- access_token_id and refresh_token_id are made once for a request and kept for its retries. That of another token is an error.
-- Without refresh_token and refresh_token_id no refresh token is issued.
-- resources, authorization_details, compared_types, default_scopes, default_resources, refresh_token_needs_offline_access,
-- access_token_without_row and id_token_signed_response_alg are those of RedeemAuthorizationCode. The client's registration counts as it is
-- now. A client that is registered for grant types without refresh_token gets no refresh token.
-- sub is the subject by which the client knows the user.
-- No token lives longer than family_lifetime from now. No access token of a bound family outlives the session.
-- ip_address is for the security event (ListSecurityEvents).
--   - redeemed: the tokens are written
--   - retried: the tokens had been written before; the refresh token is the same, the access token is new, unless the very same call is
--     repeated
--   - authorization_pending: the user has not decided yet (authorization_pending)
--   - slow_down: the user has not decided yet, and the client polls too often; poll_interval has grown by five seconds, to a minute at most
--     (slow_down)
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - unknown: there is no such code (invalid_grant)
--   - mismatched: the client or the key is another one, or the client's tokens have to be bound and there is no key (invalid_grant)
--   - expired: the code has expired, whatever was decided, or the refresh token that a retry would get (expired_token)
--   - disabled: the client is disabled (invalid_client)
--   - unauthorized_client: the client is no longer registered for the grant type (unauthorized_client)
--   - denied: the user has denied the request (access_denied)
--   - revoked: the request or the grant had been ended (access_denied)
--   - proof_replayed: the DPoP proof was presented before, by another call (invalid_dpop_proof)
--   - replayed: the code had been redeemed; this call ends the family (invalid_grant)
--   - superseded: the very same call had been made before, and the refresh token that it wrote has been used since (invalid_grant)
--   - invalid_scope: the client may no longer ask for one of the granted scopes (invalid_scope)
--   - invalid_target: the resources go beyond the grant, or the client may no longer ask for one that was granted (invalid_target)
--   - invalid_authorization_details: the authorization_details go beyond the grant, or the client may no longer use one of the granted types
--     (invalid_authorization_details)
-- Only redeemed, retried, authorization_pending, slow_down and replayed change anything, apart from the proof, which is remembered. A poll that
-- comes too early leaves the time from which the next one is counted. Run this call on the pool: a transaction that is rolled back would undo
-- replayed.
-- name: PollDeviceCode :one
WITH presented AS MATERIALIZED (
    SELECT a.id, a.client_id, a.user_id, a.session_id, a.reference_id, a.granted_scopes, a.resources, a.authorization_details, a.auth_time,
        a.acr, a.amr, a.redeemed_at IS NOT NULL AS is_redeemed, sector_of(c) AS sector, c.access_token_lifetime, c.refresh_token_lifetime,
        c.authorization_lifetime, s.expires_at AS session_ends_at, a.max_expires_at,
        (c.metadata ->> 'id_token_signed_response_alg')::text AS id_token_signed_response_alg,
        (CASE WHEN gets_refresh_token(c, a.granted_scopes, @refresh_token_needs_offline_access::boolean) THEN sqlc.narg('refresh_token')::token_digest END)::token_digest AS refresh_token,
        asked_or_granted(@resources::text[], a.resources)::text[] AS access_resources,
        coalesce(details_as_set(sqlc.narg('authorization_details')::jsonb), a.authorization_details)::jsonb AS access_details,
        CASE WHEN is_public(c) THEN sqlc.narg('confirmation')::token_confirmation END AS family_confirmation,
        (CASE
            WHEN NOT authenticates(c, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
            WHEN a.id IS NULL THEN 'unknown'
            WHEN a.client_id <> c.client_id THEN 'mismatched'
            WHEN p.expires_at <= now() THEN 'expired'
            WHEN c.disabled THEN 'disabled'
            WHEN NOT uses_grant_type(c, CASE WHEN a.kind = 'ciba' THEN 'urn:openid:params:grant-type:ciba' ELSE 'urn:ietf:params:oauth:grant-type:device_code' END)
            THEN 'unauthorized_client'
            WHEN a.revoked_at IS NOT NULL THEN 'revoked'
            WHEN a.status = 'pending' THEN 'authorization_pending'
            WHEN a.status = 'denied' THEN 'denied'
            WHEN NOT key_fits(a.confirmation, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
            WHEN NOT binds_as_registered(c, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
            WHEN NOT is_live(a, c, u, s) THEN 'revoked'
            WHEN NOT is_within(@resources::text[], coalesce(a.resources, '{}')) THEN 'invalid_target'
            WHEN NOT details_within(sqlc.narg('authorization_details')::jsonb, a.authorization_details, @compared_types::text[])
            THEN 'invalid_authorization_details'
            ELSE coalesce(judge_again(c, a, a.granted_scopes, @default_scopes::text[], @default_resources::text[]), 'redeemed')
        END)::outcome AS outcome
    FROM oauth_client AS c
    LEFT JOIN (
        oauth_polled_request AS p
        JOIN oauth_authorization AS a ON a.id = p.id
        LEFT JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    ) ON p.code = @device_code::token_digest
    WHERE c.client_id = @client_id::client_id
), admitted AS MATERIALIZED (
    SELECT p.*,
        least(expiry(now(), @access_token_lifetime::interval, p.access_token_lifetime, 'AccessTokenLifetime'), p.session_ends_at) AS access_token_ends_at,
        CASE WHEN p.refresh_token IS NOT NULL
            THEN expiry(now(), @refresh_token_lifetime::interval, p.refresh_token_lifetime, 'RefreshTokenLifetime')
        END AS refresh_token_ends_at,
        CASE
            WHEN p.is_redeemed THEN p.max_expires_at
            ELSE family_expiry(now(), @family_lifetime::interval, p.authorization_lifetime, p.refresh_token IS NOT NULL)
        END AS family_ends_at,
        CASE WHEN p.outcome <> 'authorization_pending' THEN lock_parents(p.user_id, p.client_id, p.session_id) END AS parents,
        proof_is_fresh(sqlc.narg('proof')::token_digest, sqlc.narg('proof_expires_at')::timestamptz) AS fresh
    FROM presented AS p
    WHERE p.outcome IN ('authorization_pending', 'redeemed', 'invalid_scope', 'invalid_target', 'invalid_authorization_details')
), polled AS (
    -- the gate: of all calls within an interval, one updates the row
    UPDATE oauth_polled_request AS r
    SET polled_at = now(), updated_at = now()
    FROM admitted AS p
    WHERE r.id = p.id AND p.outcome = 'authorization_pending' AND p.fresh AND (r.polled_at IS NULL OR r.polled_at + r.poll_interval <= now())
    RETURNING r.id
), slowed AS MATERIALIZED (
    SELECT slow_down(p.id) AS poll_interval
    FROM admitted AS p
    WHERE p.outcome = 'authorization_pending' AND p.fresh AND NOT EXISTS (SELECT FROM polled)
), redeemed AS (
    -- the gate: of all calls that present the code, one updates the row
    UPDATE oauth_authorization AS a
    SET redeemed_at = now(), redeemed_as = @access_token_id::access_token_id, confirmation = p.family_confirmation,
        max_expires_at = p.family_ends_at,
        expires_at = CASE WHEN @access_token_without_row::boolean AND p.refresh_token IS NULL
            THEN expiry_without_row(least(p.access_token_ends_at, p.family_ends_at), sqlc.narg('access_token')::token_digest)
        END,
        updated_at = now()
    FROM admitted AS p
    WHERE a.id = p.id AND p.outcome = 'redeemed' AND p.fresh AND a.redeemed_at IS NULL AND a.revoked_at IS NULL
    RETURNING a.id
), judged AS MATERIALIZED (
    SELECT j.verdict, j.refresh_token, j.refresh_token_id, j.refresh_token_expires_at, j.access_token_expires_at
    FROM admitted AS p
    CROSS JOIN judge_redeemed_request(p.id, @access_token_id::access_token_id, @grace::interval, p.fresh)
        AS j (verdict, refresh_token, refresh_token_id, refresh_token_expires_at, access_token_expires_at)
    WHERE (p.outcome = 'redeemed' OR p.is_redeemed) AND NOT EXISTS (SELECT FROM redeemed)
), granted AS MATERIALIZED (
    SELECT p.id, p.client_id, p.user_id, give_subject(p.sector, p.user_id) AS sub, p.reference_id, p.granted_scopes, p.resources,
        p.access_resources, p.authorization_details, p.access_details, p.auth_time, p.family_confirmation,
        j.verdict IS NULL AS is_new,
        (CASE WHEN p.parents = 'locked' THEN p.session_id END)::session_id AS live_session_id,
        (CASE WHEN j.verdict IS NULL THEN p.refresh_token ELSE j.refresh_token END)::token_digest AS refresh_token,
        (CASE
            WHEN j.verdict IS NOT NULL THEN j.refresh_token_id
            WHEN p.refresh_token IS NOT NULL THEN sqlc.narg('refresh_token_id')::refresh_token_id
        END)::refresh_token_id AS refresh_token_id,
        (CASE
            WHEN j.access_token_expires_at IS NOT NULL THEN j.access_token_expires_at
            ELSE least(p.access_token_ends_at, p.family_ends_at)
        END)::timestamptz AS access_token_expires_at,
        (CASE
            WHEN j.verdict IS NOT NULL THEN j.refresh_token_expires_at
            WHEN p.refresh_token IS NOT NULL THEN least(p.refresh_token_ends_at, p.family_ends_at)
        END)::timestamptz AS refresh_token_expires_at
    FROM admitted AS p
    LEFT JOIN redeemed AS n ON true
    LEFT JOIN judged AS j ON true
    WHERE p.outcome = 'redeemed' AND (n.id IS NOT NULL OR j.verdict = 'retried')
), new_refresh_token AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, auth_time, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id, access_token_expires_at
    )
    SELECT g.refresh_token_id, g.refresh_token, g.client_id, g.live_session_id, g.user_id, g.reference_id, g.refresh_token_expires_at,
        g.granted_scopes, g.auth_time, g.resources, g.authorization_details, g.family_confirmation, g.id, g.id,
        CASE WHEN @access_token_without_row::boolean THEN expiry_without_row(g.access_token_expires_at, sqlc.narg('access_token')::token_digest) END
    FROM granted AS g
    WHERE g.is_new AND g.refresh_token IS NOT NULL
    RETURNING id, authorization_id
), polled_request AS (
    UPDATE oauth_polled_request AS r
    SET refresh_token_id = n.id, updated_at = now()
    FROM new_refresh_token AS n
    WHERE r.id = n.authorization_id
), raised_refresh_token AS (
    -- the row is kept until the last access token without a row has expired
    UPDATE oauth_refresh_token AS r
    SET access_token_expires_at = greatest(
            r.access_token_expires_at, expiry_without_row(g.access_token_expires_at, sqlc.narg('access_token')::token_digest)
        ),
        updated_at = now()
    FROM granted AS g
    WHERE r.id = g.refresh_token_id AND @access_token_without_row::boolean
      AND r.access_token_expires_at IS DISTINCT FROM g.access_token_expires_at
), raised_family AS (
    UPDATE oauth_authorization AS a
    SET expires_at = greatest(a.expires_at, expiry_without_row(g.access_token_expires_at, sqlc.narg('access_token')::token_digest)),
        updated_at = now()
    FROM granted AS g
    WHERE a.id = g.id AND g.refresh_token_id IS NULL AND NOT g.is_new AND @access_token_without_row::boolean
      AND a.expires_at IS DISTINCT FROM g.access_token_expires_at
), new_access_token AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, g.client_id, g.live_session_id, g.user_id,
        g.reference_id, g.refresh_token_id, g.access_token_expires_at, g.granted_scopes, g.access_resources, g.access_details,
        sqlc.narg('confirmation')::token_confirmation, g.id, g.id
    FROM granted AS g
    WHERE NOT @access_token_without_row::boolean
    ON CONFLICT DO NOTHING -- of id and token: of two same calls at once, either may conflict first
    RETURNING id
), earlier_access_token AS MATERIALIZED (
    SELECT e.authorization_id, e.expires_at, e.resources, e.authorization_details
    FROM granted AS g
    CROSS JOIN find_issued_access_token(@access_token_id::access_token_id, g.client_id, sqlc.narg('access_token')::token_digest, NULL, 'AccessTokenID')
        AS e (authorization_id, expires_at, scopes, resources, authorization_details, act)
    WHERE NOT EXISTS (SELECT FROM new_access_token)
), answer AS MATERIALIZED (
    -- a repeated call gets what was written before, even if the session was extended or the client changed since
    SELECT g.sub, g.live_session_id, g.refresh_token, g.refresh_token_id, g.refresh_token_expires_at,
        g.granted_scopes,
        (CASE WHEN e.authorization_id IS NULL THEN g.access_resources ELSE e.resources END)::text[] AS resources,
        (CASE WHEN e.authorization_id IS NULL THEN g.access_details ELSE e.authorization_details END)::jsonb AS authorization_details,
        (CASE
            WHEN e.authorization_id IS NULL THEN g.access_token_expires_at
            WHEN e.authorization_id = g.id THEN e.expires_at
            ELSE refuse_parameter('AccessTokenID', 'is that of another token')::timestamptz
        END)::timestamptz AS access_token_expires_at
    FROM granted AS g
    LEFT JOIN earlier_access_token AS e ON true
)
SELECT noted(
        coalesce(
            CASE
                WHEN j.verdict IS NOT NULL AND NOT (j.verdict = 'retried' AND p.outcome <> 'redeemed') THEN j.verdict
                WHEN NOT m.fresh THEN 'proof_replayed'
                WHEN EXISTS (SELECT FROM slowed) THEN 'slow_down'
                ELSE p.outcome
            END,
            'unauthenticated'
        )::outcome,
        'PollDeviceCode', of_user => p.user_id, of_client => @client_id::client_id, of_session => p.session_id, of_family => p.id,
        why => CASE WHEN p.client_id <> @client_id::client_id THEN 'client' WHEN p.outcome = 'mismatched' THEN 'key' END,
        from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    p.id AS authorization_id, p.user_id, w.sub, w.live_session_id AS session_id, p.reference_id, w.granted_scopes, w.resources,
    w.authorization_details, p.auth_time, p.acr, p.amr, w.refresh_token, w.refresh_token_id, w.access_token_expires_at, w.refresh_token_expires_at,
    s.poll_interval, p.id_token_signed_response_alg
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS p ON true
LEFT JOIN admitted AS m ON true
LEFT JOIN slowed AS s ON true
LEFT JOIN judged AS j ON true
LEFT JOIN answer AS w ON true;

-- DeleteExpiredPolledRequests deletes codes of devices and of CIBA that expired more than retention ago: of those that did at
-- after_expires_at or later, the batch_size first. They are kept that long so that a client that still polls is told that its code has
-- expired. What was granted stays. Begin with the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are
-- locked.
-- name: DeleteExpiredPolledRequests :one
WITH due AS MATERIALIZED (
    SELECT p.ctid::tid AS ctid, p.expires_at
    FROM oauth_polled_request AS p
    WHERE p.expires_at >= @after_expires_at::timestamptz AND p.expires_at <= now() - @retention::interval AND p.expires_at <= now()
    ORDER BY p.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_polled_request AS p
    WHERE p.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING p.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
