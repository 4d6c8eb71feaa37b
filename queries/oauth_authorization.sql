-- CheckAuthorizationRequest says what CreateAuthorization or GrantAuthorization would say about a request, by the client's registration, for
-- the authorization endpoint's first look, before a user has signed in (RFC 6749, section 4.1.1). default_scopes, default_resources and
-- default_authorization_details_types are what a client may ask for that has nothing registered. pushed says that the request came through
-- the pushed authorization request endpoint (RFC 9126).
-- The answer's redirect_uri is where the answer goes, errors included: the request's own or, if that carried none, the only one registered.
-- While it is NULL the user gets an error page, and nothing is redirected (RFC 6749, section 4.1.2.1).
--   - accepted: the client may make this request
--   - unknown: there is no such client (an error page)
--   - disabled: the client is disabled (an error page)
--   - redirect_uri_mismatched: the redirect URI isn't registered, or it is left out and not exactly one is registered (an error page)
--   - request_must_be_pushed: the client has to push its requests (invalid_request; RFC 9126, section 5)
--   - unsupported_response_type: the response type is missing, or the client isn't registered for it (unsupported_response_type)
--   - unauthorized_client: the client isn't registered for the grant type (unauthorized_client)
--   - pkce_required: there is no code_challenge, and the client is public, or its require_pkce isn't false (invalid_request)
--   - pkce_method_refused: the code_challenge isn't one by S256; plain takes the client's allow_plain_pkce (invalid_request)
--   - invalid_scope: the client may not ask for refused_scopes (invalid_scope)
--   - invalid_target: the client may not ask for refused_resources (invalid_target)
--   - invalid_authorization_details: the client may not use one of the types, or an element has none (invalid_authorization_details)
-- name: CheckAuthorizationRequest :one
WITH judged AS MATERIALIZED (
    SELECT c.scopes, c.resources,
        (CASE WHEN NOT c.disabled THEN resolve_redirect_uri(sqlc.narg('redirect_uri')::text, c.redirect_uris) END)::text AS redirect_uri,
        coalesce(
            judge_request(
                c, sqlc.narg('redirect_uri')::text, sqlc.narg('response_type')::text, sqlc.narg('code_challenge')::text,
                sqlc.narg('code_challenge_method')::text, @pushed::boolean, @scopes::text[], @default_scopes::text[],
                @resources::text[], @default_resources::text[], sqlc.narg('authorization_details')::jsonb,
                @default_authorization_details_types::text[]
            ),
            'accepted'
        )::outcome AS outcome
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
)
SELECT coalesce(j.outcome, 'unknown')::outcome AS outcome, j.redirect_uri,
    (CASE WHEN j.outcome = 'invalid_scope' THEN beyond(@scopes::text[], coalesce(j.scopes, @default_scopes::text[])) END)::text[] AS refused_scopes,
    (CASE WHEN j.outcome = 'invalid_target' THEN beyond(@resources::text[], coalesce(j.resources, @default_resources::text[])) END)::text[] AS refused_resources
FROM (VALUES (true)) AS one (n)
LEFT JOIN judged AS j ON true;

-- CreateAuthorization judges an authorization request by the client's registration and records it, so that it waits for the user's decision
-- (RFC 6749, section 4.1.1). The request lapses after lifetime. redirect_uri is what the request carried, NULL if it carried none; the
-- answer says where the answer to the client goes, as in CheckAuthorizationRequest. For a pushed request (RFC 9126) request_uri is the
-- digest of its request_uri, which can be used for request_uri_lifetime.
-- default_scopes, default_resources and default_authorization_details_types are what a client may ask for that has nothing registered.
--   - created: the request is stored
--   - unknown: there is no such client (an error page, not a redirect; invalid_client at the PAR endpoint)
--   - disabled: the client is disabled (an error page; invalid_client at the PAR endpoint)
--   - redirect_uri_mismatched: the redirect URI isn't registered, or it is left out and not exactly one is registered (an error page;
--     invalid_request at the PAR endpoint)
--   - request_must_be_pushed: the client has to push its requests, and there is no request_uri (invalid_request; RFC 9126, section 5)
--   - unsupported_response_type: the response type is missing, or the client isn't registered for it (unsupported_response_type)
--   - unauthorized_client: the client isn't registered for the grant type (unauthorized_client)
--   - pkce_required: there is no code_challenge, and the client is public, or its require_pkce isn't false (invalid_request)
--   - pkce_method_refused: the code_challenge isn't one by S256; plain takes the client's allow_plain_pkce (invalid_request)
--   - invalid_scope: the client may not ask for refused_scopes (invalid_scope)
--   - invalid_target: the client may not ask for refused_resources (invalid_target)
--   - invalid_authorization_details: the client may not use one of the types, or an element has none (invalid_authorization_details)
--   - taken: the id or request_uri belongs to another request, or the same call was made before; call again with new ones
-- Only created writes anything.
-- name: CreateAuthorization :one
WITH client AS MATERIALIZED (
    SELECT c.client_id, c.scopes, c.resources,
        (CASE WHEN NOT c.disabled THEN resolve_redirect_uri(sqlc.narg('redirect_uri')::text, c.redirect_uris) END)::text AS redirect_uri,
        coalesce(
            judge_request(
                c, sqlc.narg('redirect_uri')::text, sqlc.narg('response_type')::text, sqlc.narg('code_challenge')::text,
                sqlc.narg('code_challenge_method')::text, sqlc.narg('request_uri')::token_digest IS NOT NULL, @scopes::text[],
                @default_scopes::text[], @resources::text[], @default_resources::text[], sqlc.narg('authorization_details')::jsonb,
                @default_authorization_details_types::text[]
            ),
            'created'
        )::outcome AS outcome
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
    FOR KEY SHARE
), created AS (
    INSERT INTO oauth_authorization (
        id, client_id, redirect_uri, response_type, response_mode, scopes, state, nonce, code_challenge, code_challenge_method,
        resources, authorization_details, claims, acr_values, max_age, request, request_uri, request_uri_expires_at, expires_at,
        confirmation
    )
    SELECT @id::authorization_id, c.client_id, sqlc.narg('redirect_uri')::text, sqlc.narg('response_type')::text,
        sqlc.narg('response_mode')::text, as_set(@scopes::text[]), sqlc.narg('state')::text, sqlc.narg('nonce')::text,
        sqlc.narg('code_challenge')::text,
        -- plain is the default (RFC 7636, section 4.3)
        CASE WHEN sqlc.narg('code_challenge')::text IS NOT NULL THEN coalesce(sqlc.narg('code_challenge_method')::text, 'plain') END,
        nullif(as_set(@resources::text[]), '{}'), details_as_set(sqlc.narg('authorization_details')::jsonb), sqlc.narg('claims')::jsonb,
        nullif(as_set(@acr_values::text[]), '{}'), sqlc.narg('max_age')::bigint, sqlc.narg('request')::jsonb,
        sqlc.narg('request_uri')::token_digest,
        CASE WHEN sqlc.narg('request_uri')::token_digest IS NOT NULL THEN deadline(@request_uri_lifetime::interval, NULL, 'RequestURILifetime') END,
        deadline(@lifetime::interval, NULL, 'Lifetime'), sqlc.narg('confirmation')::token_confirmation
    FROM client AS c
    WHERE c.outcome = 'created'
    ON CONFLICT DO NOTHING -- of id and request_uri: of two same calls at once, either may conflict first
    RETURNING id, expires_at
)
SELECT coalesce(CASE WHEN c.outcome = 'created' AND n.id IS NULL THEN 'taken' ELSE c.outcome END, 'unknown')::outcome AS outcome,
    n.expires_at, c.redirect_uri,
    (CASE WHEN c.outcome = 'invalid_scope' THEN beyond(@scopes::text[], coalesce(c.scopes, @default_scopes::text[])) END)::text[] AS refused_scopes,
    (CASE WHEN c.outcome = 'invalid_target' THEN beyond(@resources::text[], coalesce(c.resources, @default_resources::text[])) END)::text[] AS refused_resources
FROM (VALUES (true)) AS one (n)
LEFT JOIN client AS c ON true
LEFT JOIN created AS n ON true;

-- GetAuthorization returns one authorization in any state. Zero rows: there is no such authorization.
-- name: GetAuthorization :one
SELECT a.*
FROM oauth_authorization AS a
WHERE a.id = @id::authorization_id;

-- FindAuthorizationByCode returns an authorization by the digest of its code, in any state. Use it to display an authorization;
-- RedeemAuthorizationCode decides about the code. Zero rows: there is no such code.
-- name: FindAuthorizationByCode :one
SELECT a.*
FROM oauth_authorization AS a
WHERE a.code = @code::token_digest;

-- TakeAuthorizationByRequestURI returns a pushed request by the digest of its request_uri, and uses the request_uri up: of any number
-- of callers one gets it (RFC 9126, section 4). FindAuthorizationByRequestURI lets the user reload the page. The request then waits for the
-- user's decision for lifetime. Zero rows: the request_uri is unknown, belongs to another client, has expired, or has been used or opened,
-- or the request was revoked (invalid_request_uri).
-- name: TakeAuthorizationByRequestURI :one
UPDATE oauth_authorization AS a
SET request_uri = NULL, expires_at = deadline(@lifetime::interval, NULL, 'Lifetime'), updated_at = now()
WHERE a.request_uri = @request_uri::token_digest
  AND a.client_id = @client_id::client_id
  AND a.status = 'pending'
  AND a.revoked_at IS NULL
  AND a.request_uri_expires_at > now()
RETURNING a.*;

-- IntrospectAuthorization says whether a family is live, and describes it. It is for access tokens without a row: JWTs that name their family,
-- and whose signature and exp the resource server has verified. What such a token may do stands in the JWT; the scopes, resources and
-- authorization_details here are those of the whole grant. A token with a row can be dead in a live family; ask IntrospectAccessTokenByID
-- about it. The caller is authenticated as in AuthenticateClient. A server that asks for itself passes client_auth_method server and no
-- client. sub is that of IntrospectAccessToken.
--   - active: the family is live and has not expired
--   - inactive: there is no such family, or it is not live; an answer with "active": false
--   - unauthenticated: the caller is not authenticated, or is disabled (invalid_client); none is no authentication here
-- name: IntrospectAuthorization :one
WITH live AS (
    SELECT a.id, a.client_id, a.user_id, subject_of(c, a.client_id, a.user_id) AS sub, a.session_id, a.reference_id, a.granted_scopes,
        a.resources, a.authorization_details, a.confirmation, a.act, a.auth_time, a.acr, a.amr, u.email AS username
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE a.id = @id::authorization_id AND is_live(a, c, u, s)
      AND (a.expires_at IS NULL OR a.expires_at > now()) AND (a.max_expires_at IS NULL OR a.max_expires_at > now())
)
SELECT (CASE WHEN a.id IS NOT NULL THEN 'active' WHEN one.is_server OR k.id IS NOT NULL THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    a.client_id, a.user_id, a.sub, a.session_id, a.reference_id, a.granted_scopes, a.resources, a.authorization_details, a.confirmation, a.act,
    a.auth_time, a.acr, a.amr, a.username
FROM (VALUES (@client_auth_method::text = 'server')) AS one (is_server)
LEFT JOIN oauth_client AS k
    ON k.client_id = @client_id::client_id AND may_introspect(k, @client_auth_method::text, @client_secret::token_digest)
LEFT JOIN live AS a ON one.is_server OR k.id IS NOT NULL;

-- FindAuthorizationByRequestURI returns a pushed request by the digest of its request_uri, for as long as the user has not decided: reloads of
-- the page and link scanners do no harm (RFC 9126, section 4). The life of the request_uri bounds the first call only. From that one on the
-- request waits for the user's decision for lifetime. The decision uses the request_uri up. Zero rows: the request_uri is unknown, belongs
-- to another client, has expired before it was opened, or has been used, or the request has lapsed or was revoked (invalid_request_uri).
-- name: FindAuthorizationByRequestURI :one
UPDATE oauth_authorization AS a
SET expires_at = CASE WHEN a.request_uri_expires_at IS NULL THEN a.expires_at ELSE deadline(@lifetime::interval, NULL, 'Lifetime') END,
    request_uri_expires_at = NULL, -- opened
    updated_at = now()
WHERE a.request_uri = @request_uri::token_digest
  AND a.client_id = @client_id::client_id
  AND a.status = 'pending'
  AND a.revoked_at IS NULL
  AND coalesce(a.request_uri_expires_at, a.expires_at) > now()
RETURNING a.*;

-- ListUserAuthorizations returns a page of what a user has approved and is in force: live, with a code or token that has not expired.
-- Oldest first. Begin with the zero time and the empty id; for the next page pass created_at and id of the last row.
-- name: ListUserAuthorizations :many
SELECT a.*
FROM oauth_authorization AS a
JOIN oauth_client AS c ON c.client_id = a.client_id
JOIN "user" AS u ON u.id = a.user_id
LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
WHERE a.user_id = @user_id::user_id
  AND (a.created_at, a.id) > (@after_created_at::timestamptz, @after_id::authorization_id)
  AND is_live(a, c, u, s) -- only what was approved is
  AND is_in_force(a)
ORDER BY a.created_at, a.id
LIMIT @page_size::integer;

-- ListClientAuthorizations is ListUserAuthorizations for all users of one client.
-- name: ListClientAuthorizations :many
SELECT a.*
FROM oauth_authorization AS a
JOIN oauth_client AS c ON c.client_id = a.client_id
JOIN "user" AS u ON u.id = a.user_id
LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
WHERE a.client_id = @client_id::client_id
  AND (a.created_at, a.id) > (@after_created_at::timestamptz, @after_id::authorization_id)
  AND is_live(a, c, u, s) -- only what was approved is
  AND is_in_force(a)
ORDER BY a.created_at, a.id
LIMIT @page_size::integer;

-- ApproveAuthorization records that a user approves a pending request, and gives it its code. code is the digest of the code. If it is
-- NULL, IssueAuthorizationCode gives the code later; the approval lasts for code_lifetime either way.
-- What is granted is what is passed: scopes that the request asked for, and elements of its authorization_details. Elements are compared
-- whole; those of a type in compared_types the caller has compared itself (RFC 9396, section 6.1).
-- The client's registration counts as it is now. default_scopes and default_resources are those of CreateAuthorization. The answer's
-- redirect_uri is where the answer to the client goes.
-- A request of a device or of CIBA gets no code, and the approval lasts until the request expires: pass neither.
-- data is what a library on top keeps with the grant. Introspection returns it.
-- ip_address is for the security event (ListSecurityEvents).
--   - approved: the approval is recorded
--   - retried: the same user had approved it in the same session, and no code has been redeemed; the new code replaces the earlier one
--   - decided: another decision stands (an error page)
--   - mismatched: the request is another user's: of a device by FindAuthorizationByUserCode, of CIBA from the start (an error page)
--   - expired: the request has lapsed (an error page)
--   - revoked: the request, or what the earlier approval granted, has been ended (access_denied)
--   - unknown: there is no such request or user (an error page)
--   - disabled: the client is disabled (unauthorized_client)
--   - suspended: the user is suspended (access_denied)
--   - signed_out: the session is not a live session of the user (login_required)
--   - redirect_uri_mismatched: the request's redirect URI is no longer registered (an error page)
--   - unauthorized_client: the client is no longer registered for authorization_code (unauthorized_client)
--   - invalid_scope: the granted scopes go beyond the request, or beyond what the client may ask for now (invalid_scope)
--   - invalid_target: the client may no longer ask for one of the resources (invalid_target)
--   - invalid_authorization_details: the granted authorization_details go beyond the request, or the client may no longer use one of their
--     types (invalid_authorization_details)
-- Only approved and retried change anything. The code of another authorization is an error.
-- name: ApproveAuthorization :one
WITH asked AS MATERIALIZED (
    SELECT a.id, lock_parents(@user_id::user_id, a.client_id, sqlc.narg('session_id')::session_id) AS parents
    FROM oauth_authorization AS a
    WHERE a.id = @id::authorization_id
), locked_request AS MATERIALIZED (
    SELECT a.id, q.parents
    FROM asked AS q
    JOIN oauth_authorization AS a ON a.id = q.id
    FOR NO KEY UPDATE OF a
), request AS MATERIALIZED (
    -- a second approval keeps what the first one wrote; only the code is new
    SELECT l.id, (p.a).client_id::client_id AS client_id, (p.a).response_mode::text AS response_mode, (p.a).state::text AS state,
        (CASE WHEN (p.a).kind = 'code' THEN resolve_redirect_uri((p.a).redirect_uri, (p.c).redirect_uris) END)::text AS redirect_uri,
        (p.u).id::user_id AS user_id,
        sector_of(p.c) AS sector,
        coalesce((p.a).granted_scopes, as_set(@granted_scopes::text[])) AS granted_scopes,
        (p.u).grants_epoch AS user_epoch, (p.c).grants_epoch AS client_epoch, -- a second approval is refused where they have risen
        coalesce((p.a).pair_epoch, pair_epoch((p.u).ended_grants, (p.a).client_id, sqlc.narg('reference_id')::reference_id)) AS pair_epoch,
        coalesce((p.a).decided_at, now()) AS decided_at,
        CASE WHEN (p.a).kind = 'code' THEN sqlc.narg('code')::token_digest END AS code,
        CASE WHEN (p.a).kind = 'code' THEN deadline(@code_lifetime::interval, (p.c).code_lifetime, 'CodeLifetime') ELSE (p.a).expires_at END AS code_expires_at,
        (
            CASE
                WHEN NOT may_decide(p.a, @user_id::user_id) THEN 'mismatched'
                WHEN (p.a).status = 'approved' AND (p.a).redeemed_at IS NULL AND (p.a).expires_at > now() AND (p.a).user_id = @user_id::user_id
                    AND (p.a).session_id IS NOT DISTINCT FROM sqlc.narg('session_id')::session_id
                THEN coalesce(
                    CASE WHEN (p.c).disabled THEN 'disabled' WHEN is_ended(p.a, p.c, p.u, p.s) THEN 'revoked' END::outcome,
                    judge_again(p.c, p.a, (p.a).granted_scopes, @default_scopes::text[], @default_resources::text[]),
                    'retried'
                )
                WHEN (p.a).status <> 'pending' THEN 'decided'
                WHEN (p.a).revoked_at IS NOT NULL THEN 'revoked'
                WHEN (p.a).expires_at <= now() THEN 'expired'
                WHEN (p.c).disabled THEN 'disabled'
                ELSE coalesce(
                    granter_refusal(l.parents, p.u, sqlc.narg('session_id')::session_id, p.s),
                    CASE
                        WHEN NOT is_within(@granted_scopes::text[], (p.a).scopes) THEN 'invalid_scope'
                        WHEN NOT details_within(sqlc.narg('authorization_details')::jsonb, (p.a).authorization_details, @compared_types::text[])
                        THEN 'invalid_authorization_details'
                        ELSE coalesce(judge_again(p.c, p.a, @granted_scopes::text[], @default_scopes::text[], @default_resources::text[]), 'approved')
                    END
                )
            END
        )::outcome AS outcome
    FROM locked_request AS l
    CROSS JOIN read_again(l.id, @user_id::user_id, sqlc.narg('session_id')::session_id) AS p (a, c, u, s)
), approved AS (
    UPDATE oauth_authorization AS a
    SET status = 'approved', user_id = q.user_id, session_id = sqlc.narg('session_id')::session_id,
        reference_id = CASE WHEN q.outcome = 'approved' THEN sqlc.narg('reference_id')::reference_id ELSE a.reference_id END,
        granted_scopes = q.granted_scopes,
        authorization_details = CASE WHEN q.outcome = 'approved' THEN details_as_set(sqlc.narg('authorization_details')::jsonb) ELSE a.authorization_details END,
        bound = sqlc.narg('session_id')::session_id IS NOT NULL AND NOT 'offline_access' = ANY (q.granted_scopes),
        user_epoch = q.user_epoch, client_epoch = q.client_epoch, pair_epoch = q.pair_epoch,
        auth_time = CASE WHEN q.outcome = 'approved' THEN sqlc.narg('auth_time')::timestamptz ELSE a.auth_time END,
        acr = CASE WHEN q.outcome = 'approved' THEN sqlc.narg('acr')::text ELSE a.acr END,
        amr = CASE WHEN q.outcome = 'approved' THEN sqlc.narg('amr')::text[] ELSE a.amr END,
        data = CASE WHEN q.outcome = 'approved' THEN sqlc.narg('data')::jsonb ELSE a.data END,
        decided_at = q.decided_at, request_uri = NULL, code = coalesce(q.code, a.code),
        code_expires_at = CASE WHEN q.code IS NULL THEN a.code_expires_at ELSE q.code_expires_at END,
        expires_at = q.code_expires_at, updated_at = now()
    FROM request AS q
    WHERE a.id = q.id AND q.outcome IN ('approved', 'retried')
), new_session_client AS (
    INSERT INTO session_client (session_id, client_id, user_id, sub, sid)
    SELECT sqlc.narg('session_id')::session_id, q.client_id, q.user_id, give_subject(q.sector, q.user_id), sqlc.narg('session_id')::session_id
    FROM request AS q
    -- NOT EXISTS first, because ON CONFLICT alone would wait for an ending that is updating this row
    WHERE q.outcome = 'approved' AND sqlc.narg('session_id')::session_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.session_id = sqlc.narg('session_id')::session_id AND k.client_id = q.client_id)
    ON CONFLICT (session_id, client_id) DO NOTHING
)
SELECT noted(
        coalesce(q.outcome, 'unknown')::outcome, 'ApproveAuthorization', of_user => @user_id::user_id, of_client => q.client_id,
        of_session => sqlc.narg('session_id')::session_id, of_family => q.id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    q.client_id, q.redirect_uri, q.response_mode, q.state
FROM (VALUES (true)) AS one (n)
LEFT JOIN request AS q ON true;

-- DenyAuthorization records that a user denies a pending request (RFC 6749, section 4.1.2.1). user_id is needed for the requests of a device
-- or of CIBA, which belong to a user; NULL will do for others.
-- The answer's redirect_uri is where the answer to the client goes. While it is NULL the user gets an error page.
-- ip_address is for the security event (ListSecurityEvents).
--   - denied: the denial is recorded (access_denied)
--   - retried: the request had been denied before (access_denied)
--   - decided: the request had been approved before (an error page)
--   - mismatched: the request is another user's, as in ApproveAuthorization (an error page)
--   - expired: the request has lapsed (an error page)
--   - revoked: the request had been ended before (access_denied)
--   - unknown: there is no such request (an error page)
-- Only denied changes anything.
-- name: DenyAuthorization :one
WITH request AS MATERIALIZED (
    SELECT a.id, a.client_id, a.response_mode, a.state,
        (CASE WHEN a.kind = 'code' THEN resolve_redirect_uri(a.redirect_uri, c.redirect_uris) END)::text AS redirect_uri,
        (
            CASE
                WHEN NOT may_decide(a, sqlc.narg('user_id')::user_id) THEN 'mismatched'
                WHEN a.status = 'denied' THEN 'retried'
                WHEN a.status <> 'pending' THEN 'decided'
                WHEN a.revoked_at IS NOT NULL THEN 'revoked'
                WHEN a.expires_at <= now() THEN 'expired'
                ELSE 'denied'
            END
        )::outcome AS outcome
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    WHERE a.id = @id::authorization_id
    FOR NO KEY UPDATE OF a
), denied AS (
    UPDATE oauth_authorization AS a
    SET status = 'denied', decided_at = now(), request_uri = NULL, updated_at = now()
    FROM request AS q
    WHERE a.id = q.id AND q.outcome = 'denied'
)
SELECT noted(
        coalesce(q.outcome, 'unknown')::outcome, 'DenyAuthorization', of_user => sqlc.narg('user_id')::user_id, of_client => q.client_id,
        of_family => q.id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    q.client_id, q.redirect_uri, q.response_mode, q.state
FROM (VALUES (true)) AS one (n)
LEFT JOIN request AS q ON true;

-- IssueAuthorizationCode gives an approved authorization its code, for servers that make the code after the approval. code is its digest.
-- The client's registration counts as it is now. default_scopes and default_resources are those of CreateAuthorization.
--   - issued: the code is written, and replaces one that was not redeemed
--   - undecided: the user has not approved yet (ask the user)
--   - denied: the user has denied the request (access_denied)
--   - decided: a code of this authorization has been redeemed (an error page)
--   - revoked: the grant has been ended (access_denied)
--   - expired: the approval has lapsed (an error page)
--   - disabled: the client is disabled (unauthorized_client)
--   - redirect_uri_mismatched: the request's redirect URI is no longer registered (an error page)
--   - unauthorized_client: the client is no longer registered for authorization_code (unauthorized_client)
--   - invalid_scope: the client may no longer ask for one of the granted scopes (invalid_scope)
--   - invalid_target: the client may no longer ask for one of the resources (invalid_target)
--   - invalid_authorization_details: the client may no longer use one of the types (invalid_authorization_details)
--   - unknown: there is no such authorization (an error page)
-- Only issued changes anything. The code of another authorization is an error.
-- name: IssueAuthorizationCode :one
WITH request AS MATERIALIZED (
    SELECT a.id, a.client_id, resolve_redirect_uri(a.redirect_uri, c.redirect_uris) AS redirect_uri, a.response_mode, a.state,
        deadline(@code_lifetime::interval, c.code_lifetime, 'CodeLifetime') AS code_expires_at,
        (
            CASE
                WHEN a.status = 'denied' THEN 'denied'
                WHEN a.redeemed_at IS NOT NULL THEN 'decided'
                WHEN a.revoked_at IS NOT NULL THEN 'revoked'
                WHEN a.expires_at <= now() THEN 'expired'
                -- no user: the request was approved while this statement waited for its row, and the snapshot has no user for it yet
                WHEN a.status = 'pending' OR u.id IS NULL THEN 'undecided'
                WHEN c.disabled THEN 'disabled'
                WHEN NOT is_live(a, c, u, s) THEN 'revoked'
                ELSE coalesce(judge_again(c, a, a.granted_scopes, @default_scopes::text[], @default_resources::text[]), 'issued')
            END
        )::outcome AS outcome
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE a.id = @id::authorization_id AND a.kind = 'code'
    FOR NO KEY UPDATE OF a
), issued AS (
    UPDATE oauth_authorization AS a
    SET code = @code::token_digest, code_expires_at = q.code_expires_at, expires_at = q.code_expires_at, updated_at = now()
    FROM request AS q
    WHERE a.id = q.id AND q.outcome = 'issued'
)
SELECT coalesce(q.outcome, 'unknown')::outcome AS outcome, q.client_id, q.redirect_uri, q.response_mode, q.state
FROM (VALUES (true)) AS one (n)
LEFT JOIN request AS q ON true;

-- GrantAuthorization creates an authorization that is approved and has its code, for servers that keep pending requests elsewhere, and for
-- users who need not be asked, because a consent covers the request or the client skips consent. The request is judged as in
-- CheckAuthorizationRequest, which also says where the answer goes; what is granted (granted_scopes, granted_authorization_details), as in
-- ApproveAuthorization. code is the digest of the code, which lasts for code_lifetime.
-- data is what a library on top keeps with the grant. Introspection returns it.
-- ip_address is for the security event (ListSecurityEvents).
--   - granted: the authorization is written
--   - unknown: there is no such client or user (an error page)
--   - disabled: the client is disabled (an error page)
--   - redirect_uri_mismatched: the redirect URI isn't registered, or it is left out and not exactly one is registered (an error page)
--   - request_must_be_pushed: the client has to push its requests, and pushed isn't set (invalid_request; RFC 9126, section 5)
--   - unsupported_response_type: the response type is missing, or the client isn't registered for it (unsupported_response_type)
--   - unauthorized_client: the client isn't registered for the grant type (unauthorized_client)
--   - pkce_required: there is no code_challenge, and the client is public, or its require_pkce isn't false (invalid_request)
--   - pkce_method_refused: the code_challenge isn't one by S256; plain takes the client's allow_plain_pkce (invalid_request)
--   - invalid_scope: the client may not ask for the scopes, or what is granted goes beyond them (invalid_scope)
--   - invalid_target: the client may not ask for the resources (invalid_target)
--   - invalid_authorization_details: the client may not use one of the types, or an element has none, or what is granted goes beyond the
--     request (invalid_authorization_details)
--   - suspended: the user is suspended (access_denied)
--   - signed_out: the session is not a live session of the user (login_required)
--   - taken: the id or code belongs to another authorization, or the same call was made before; call again with new ones
-- Only granted writes anything.
-- name: GrantAuthorization :one
WITH locked AS MATERIALIZED (
    SELECT lock_parents(@user_id::user_id, @client_id::client_id, sqlc.narg('session_id')::session_id) AS parents
), parents AS MATERIALIZED (
    SELECT c.client_id, sector_of(c) AS sector, c.grants_epoch AS client_epoch, u.id AS user_id, u.grants_epoch AS user_epoch,
        pair_epoch(u.ended_grants, c.client_id, sqlc.narg('reference_id')::reference_id) AS pair_epoch,
        deadline(@code_lifetime::interval, c.code_lifetime, 'CodeLifetime') AS code_expires_at,
        coalesce(
            judge_request(
                c, sqlc.narg('redirect_uri')::text, sqlc.narg('response_type')::text, sqlc.narg('code_challenge')::text,
                sqlc.narg('code_challenge_method')::text, @pushed::boolean, @scopes::text[], @default_scopes::text[], @resources::text[],
                @default_resources::text[], sqlc.narg('authorization_details')::jsonb, @default_authorization_details_types::text[]
            ),
            granter_refusal(l.parents, u, sqlc.narg('session_id')::session_id, s),
            CASE
                WHEN NOT is_within(@granted_scopes::text[], coalesce(@scopes::text[], '{}')) THEN 'invalid_scope'
                WHEN NOT details_within(sqlc.narg('granted_authorization_details')::jsonb, sqlc.narg('authorization_details')::jsonb, @compared_types::text[])
                THEN 'invalid_authorization_details'
                ELSE 'granted'
            END::outcome
        )::outcome AS outcome
    FROM locked AS l
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    JOIN "user" AS u ON u.id = @user_id::user_id
    LEFT JOIN session AS s ON s.id = sqlc.narg('session_id')::session_id AND s.user_id = u.id
), granted AS (
    INSERT INTO oauth_authorization (
        id, client_id, status, redirect_uri, response_type, response_mode, scopes, state, nonce, code_challenge,
        code_challenge_method, resources, authorization_details, claims, acr_values, max_age, request, expires_at, user_id, session_id,
        reference_id, granted_scopes, bound, user_epoch, client_epoch, pair_epoch, auth_time, acr, amr, decided_at, code, code_expires_at,
        confirmation, data
    )
    SELECT @id::authorization_id, p.client_id, 'approved', sqlc.narg('redirect_uri')::text,
        sqlc.narg('response_type')::text, sqlc.narg('response_mode')::text, as_set(@scopes::text[]), sqlc.narg('state')::text,
        sqlc.narg('nonce')::text, sqlc.narg('code_challenge')::text,
        CASE WHEN sqlc.narg('code_challenge')::text IS NOT NULL THEN coalesce(sqlc.narg('code_challenge_method')::text, 'plain') END,
        nullif(as_set(@resources::text[]), '{}'), details_as_set(sqlc.narg('granted_authorization_details')::jsonb),
        sqlc.narg('claims')::jsonb, nullif(as_set(@acr_values::text[]), '{}'), sqlc.narg('max_age')::bigint, sqlc.narg('request')::jsonb,
        p.code_expires_at, p.user_id, sqlc.narg('session_id')::session_id, sqlc.narg('reference_id')::reference_id,
        as_set(@granted_scopes::text[]),
        sqlc.narg('session_id')::session_id IS NOT NULL AND NOT 'offline_access' = ANY (coalesce(@granted_scopes::text[], '{}')),
        p.user_epoch, p.client_epoch, p.pair_epoch,
        sqlc.narg('auth_time')::timestamptz, sqlc.narg('acr')::text, sqlc.narg('amr')::text[],
        now(), @code::token_digest, p.code_expires_at, sqlc.narg('confirmation')::token_confirmation, sqlc.narg('data')::jsonb
    FROM parents AS p
    WHERE p.outcome = 'granted'
    ON CONFLICT DO NOTHING -- of id and code: of two same calls at once, either may conflict first
    RETURNING id
), new_session_client AS (
    INSERT INTO session_client (session_id, client_id, user_id, sub, sid)
    SELECT sqlc.narg('session_id')::session_id, p.client_id, p.user_id, give_subject(p.sector, p.user_id), sqlc.narg('session_id')::session_id
    FROM granted AS g
    CROSS JOIN parents AS p
    WHERE sqlc.narg('session_id')::session_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.session_id = sqlc.narg('session_id')::session_id AND k.client_id = p.client_id)
    ON CONFLICT (session_id, client_id) DO NOTHING
)
SELECT noted(
        coalesce(CASE WHEN p.outcome = 'granted' AND NOT EXISTS (SELECT FROM granted) THEN 'taken' ELSE p.outcome END, 'unknown')::outcome,
        'GrantAuthorization', of_user => @user_id::user_id,
        of_client => @client_id::client_id, of_session => sqlc.narg('session_id')::session_id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN parents AS p ON true;

-- RedeemAuthorizationCode exchanges a code for tokens (RFC 6749, section 4.1.3). A code is redeemed once, however many callers present it.
-- The client is authenticated as in AuthenticateClient.
-- code_challenge is what the server derives from the verifier (RFC 7636, section 4.6), NULL if none was presented.
-- redirect_uri may be NULL if the request carried none or had a code_challenge (OAuth 2.1, section 10.2).
-- confirmation is the key that the caller has proven to hold. It has to be the request's dpop_jkt, if there was one (RFC 9449, section 10).
-- It binds the access token and, if the client is public, the refresh token and the family as well (RFC 9449, section 5).
-- proof is the digest of the DPoP proof, which is remembered until proof_expires_at.
-- access_token and refresh_token are the digests of the new tokens. access_token is NULL if that token is a JWT, which is known by its id.
-- access_token_id and refresh_token_id are made once for a request and kept for its retries. That of another token is an error.
-- Without refresh_token and refresh_token_id no refresh token is issued. With refresh_token_needs_offline_access none is issued unless
-- offline_access was granted (OpenID Connect Core, section 11): the answer's refresh_token_id is NULL.
-- resources and authorization_details narrow the access token (RFC 8707, section 2.2; RFC 9396, section 6.1); empty leaves all that was
-- granted. Elements of authorization_details are compared whole; those of a type in compared_types the caller has compared itself.
-- The client's registration counts as it is now. default_scopes and default_resources are those of CreateAuthorization. A client that is
-- registered for grant types without refresh_token gets no refresh token either.
-- access_token_without_row says that no row is written for the access token. That is for JWTs whose resource servers ask
-- IntrospectAuthorization about the family. access_token_id is the jti all the same, and access_token is NULL. The token has to expire.
-- No token lives longer than family_lifetime from now. No access token of a bound family outlives the session.
-- sub is the subject by which the client knows the user (OpenID Connect Core, section 8): user_id, unless the client has pairwise subjects.
-- data is what a library on top keeps with the tokens, if that is another than what it keeps with the grant.
-- id_token_signed_response_alg is the algorithm by which the client wants its ID tokens signed (OpenID Connect Dynamic Client Registration,
-- section 2), NULL if it has registered none.
-- ip_address is for the security event (ListSecurityEvents).
--   - redeemed: the tokens are written
--   - retried: the same call, with the same access_token_id, had redeemed the code; the answer is the same
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - unknown: there is no such code (invalid_grant)
--   - mismatched: the client, redirect_uri, challenge or key is another one, or the client's tokens have to be bound and there is no key
--     (invalid_grant)
--   - proof_replayed: the DPoP proof was presented before, by another call (invalid_dpop_proof)
--   - replayed: the code had been redeemed; this call ends the family (invalid_grant; RFC 6749, section 4.1.2)
--   - disabled: the client is disabled (invalid_client)
--   - revoked: the grant had been ended (invalid_grant)
--   - expired: the code has expired (invalid_grant)
--   - redirect_uri_mismatched: the redirect URI that the code was sent to is no longer registered (invalid_grant)
--   - unauthorized_client: the client is no longer registered for authorization_code (unauthorized_client)
--   - invalid_scope: the client may no longer ask for one of the granted scopes (invalid_scope)
--   - invalid_target: the resources go beyond the grant, or the client may no longer ask for one that was granted (invalid_target)
--   - invalid_authorization_details: the authorization_details go beyond the grant, or the client may no longer use one of the granted types
--     (invalid_authorization_details)
-- Only redeemed and replayed change anything, apart from the proof, which is remembered. Run this call on the pool: a transaction that is
-- rolled back would undo replayed.
-- name: RedeemAuthorizationCode :one
WITH presented AS MATERIALIZED (
    SELECT c::oauth_client AS c, a.id,
        CASE WHEN a.id IS NOT NULL THEN lock_parents(a.user_id, a.client_id, a.session_id) END AS parents,
        CASE
            WHEN a.id IS NULL OR sqlc.narg('proof')::token_digest IS NULL THEN true
            ELSE proof_is_fresh(sqlc.narg('proof')::token_digest, sqlc.narg('proof_expires_at')::timestamptz)
        END AS fresh
    FROM oauth_client AS c
    LEFT JOIN oauth_authorization AS a ON a.code = @code::token_digest
    WHERE c.client_id = @client_id::client_id AND authenticates(c, @client_auth_method::text, @client_secret::token_digest)
), family AS MATERIALIZED (
    -- whole rows: to carry their columns one by one through the joins takes longer than all the rest
    SELECT p.c::oauth_client AS c, a::oauth_authorization AS a, u::"user" AS u, s::session AS s, p.parents, p.fresh,
        sqlc.narg('refresh_token')::token_digest IS NOT NULL
            AND gets_refresh_token(p.c, a.granted_scopes, @refresh_token_needs_offline_access::boolean) AS has_refresh_token
    FROM presented AS p
    JOIN oauth_authorization AS a ON a.id = p.id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    FOR NO KEY UPDATE OF a
), judged AS MATERIALIZED (
    SELECT f.c::oauth_client AS c, f.a::oauth_authorization AS a, f.has_refresh_token, sector_of(f.c) AS sector,
        (CASE WHEN f.parents = 'locked' THEN (f.a).session_id END)::session_id AS session_id,
        asked_or_granted(@resources::text[], (f.a).resources)::text[] AS access_resources,
        coalesce(details_as_set(sqlc.narg('authorization_details')::jsonb), (f.a).authorization_details)::jsonb AS access_details,
        -- counted from the redemption, so that a repeated call gets the same answer
        least(
            expiry(coalesce((f.a).redeemed_at, now()), @access_token_lifetime::interval, (f.c).access_token_lifetime, 'AccessTokenLifetime'),
            CASE WHEN (f.a).bound THEN (f.s).expires_at END
        ) AS access_token_ends_at,
        family_expiry(
            coalesce((f.a).redeemed_at, now()), @family_lifetime::interval, (f.c).authorization_lifetime, f.has_refresh_token
        ) AS family_ends_at,
        (
            CASE
                WHEN (f.a).client_id <> (f.c).client_id THEN 'mismatched'
                WHEN (f.a).code IS DISTINCT FROM @code::token_digest THEN 'unknown'
                WHEN sqlc.narg('code_challenge')::text IS DISTINCT FROM (f.a).code_challenge THEN 'mismatched'
                WHEN sqlc.narg('redirect_uri')::text IS DISTINCT FROM (f.a).redirect_uri
                    AND NOT (sqlc.narg('redirect_uri')::text IS NULL AND (f.a).code_challenge IS NOT NULL) THEN 'mismatched'
                WHEN NOT f.fresh AND ((f.a).redeemed_as = @access_token_id::access_token_id) IS NOT TRUE THEN 'proof_replayed'
                WHEN (f.a).redeemed_at IS NOT NULL AND (f.a).redeemed_as IS DISTINCT FROM @access_token_id::access_token_id THEN 'replayed'
                WHEN NOT key_fits((f.a).confirmation, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
                WHEN NOT binds_as_registered(f.c, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
                WHEN (f.c).disabled THEN 'disabled'
                WHEN NOT is_live(f.a, f.c, f.u, f.s) THEN 'revoked'
                WHEN (f.a).redeemed_at IS NULL AND (f.a).code_expires_at <= now() THEN 'expired'
                WHEN NOT is_within(@resources::text[], coalesce((f.a).resources, '{}')) THEN 'invalid_target'
                WHEN sqlc.narg('authorization_details')::jsonb IS NOT NULL
                    AND NOT details_within(sqlc.narg('authorization_details')::jsonb, (f.a).authorization_details, @compared_types::text[])
                THEN 'invalid_authorization_details'
                WHEN (f.a).redeemed_at IS NOT NULL THEN 'retried'
                ELSE coalesce(judge_again(f.c, f.a, (f.a).granted_scopes, @default_scopes::text[], @default_resources::text[]), 'redeemed')
            END
        )::outcome AS outcome
    FROM family AS f
), redeemed AS (
    UPDATE oauth_authorization AS t
    SET redeemed_at = now(), redeemed_as = @access_token_id::access_token_id,
        confirmation = CASE WHEN is_public(j.c) THEN coalesce(t.confirmation, sqlc.narg('confirmation')::token_confirmation) END,
        max_expires_at = j.family_ends_at,
        expires_at = CASE WHEN @access_token_without_row::boolean AND NOT j.has_refresh_token
            THEN least(j.access_token_ends_at, j.family_ends_at)
        END,
        updated_at = now()
    FROM judged AS j
    WHERE t.id = (j.a).id AND j.outcome = 'redeemed'
    RETURNING t::oauth_authorization AS a, give_subject(j.sector, t.user_id) AS sub, j.session_id, j.access_resources, j.access_details,
        j.has_refresh_token,
        least(j.access_token_ends_at, j.family_ends_at)::timestamptz AS access_token_expires_at,
        (CASE WHEN j.has_refresh_token THEN sqlc.narg('refresh_token_id')::refresh_token_id END)::refresh_token_id AS refresh_token_id,
        (CASE WHEN j.has_refresh_token THEN least(
            expiry(now(), @refresh_token_lifetime::interval, (j.c).refresh_token_lifetime, 'RefreshTokenLifetime'), j.family_ends_at
        ) END)::timestamptz AS refresh_token_expires_at
), new_refresh_token AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, auth_time, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id, data, access_token_expires_at
    )
    SELECT g.refresh_token_id, sqlc.narg('refresh_token')::token_digest, (g.a).client_id, g.session_id, (g.a).user_id, (g.a).reference_id,
        g.refresh_token_expires_at, (g.a).granted_scopes, (g.a).auth_time, (g.a).resources, (g.a).authorization_details,
        (g.a).confirmation, (g.a).id, (g.a).id, sqlc.narg('data')::jsonb,
        CASE WHEN @access_token_without_row::boolean THEN g.access_token_expires_at END
    FROM redeemed AS g
    WHERE g.has_refresh_token
), new_access_token AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id, data
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, (g.a).client_id, g.session_id, (g.a).user_id,
        (g.a).reference_id, g.refresh_token_id, g.access_token_expires_at, (g.a).granted_scopes, g.access_resources, g.access_details,
        sqlc.narg('confirmation')::token_confirmation, (g.a).id, (g.a).id, sqlc.narg('data')::jsonb
    FROM redeemed AS g
    WHERE NOT @access_token_without_row::boolean
    ON CONFLICT DO NOTHING -- the id or token of another one is refused below
    RETURNING id
), answer AS MATERIALIZED (
    SELECT CASE
            WHEN (g.a).id IS NOT NULL
            THEN ROW(
                NULL, g.sub, NULL, NULL, g.access_resources, g.access_details, g.refresh_token_id, NULL, g.refresh_token_expires_at,
                written_expiry(
                    EXISTS (SELECT FROM new_access_token), @access_token_id::access_token_id, (g.a).client_id,
                    sqlc.narg('access_token')::token_digest, @access_token_without_row::boolean, g.access_token_expires_at
                )
            )::token_answer
            WHEN j.outcome = 'retried'
            THEN answer_redeemed_code(
                j.a, j.sector, sqlc.narg('refresh_token_id')::refresh_token_id, sqlc.narg('refresh_token')::token_digest,
                @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, @access_token_without_row::boolean,
                least(j.access_token_ends_at, j.family_ends_at), j.access_resources, j.access_details
            )
        END AS given,
        CASE WHEN j.outcome = 'replayed' THEN end_replayed_family((j.a).id) END AS replayed_family
    FROM judged AS j
    LEFT JOIN redeemed AS g ON true
), told AS (
    SELECT j.outcome, (j.a).id::authorization_id AS authorization_id, (j.a).user_id::user_id AS user_id, (w.given).sub::subject AS sub,
        j.session_id, (j.a).reference_id::reference_id AS reference_id, (j.a).granted_scopes::text[] AS granted_scopes,
        (w.given).resources::text[] AS resources, (w.given).authorization_details::jsonb AS authorization_details,
        (j.a).nonce::text AS nonce, (j.a).claims::jsonb AS claims, (j.a).auth_time::timestamptz AS auth_time, (j.a).acr::text AS acr,
        (j.a).amr::text[] AS amr, (w.given).refresh_token_id::refresh_token_id AS refresh_token_id,
        (w.given).access_token_expires_at::timestamptz AS access_token_expires_at,
        (w.given).refresh_token_expires_at::timestamptz AS refresh_token_expires_at,
        ((j.c).metadata ->> 'id_token_signed_response_alg')::text AS id_token_signed_response_alg,
        CASE
            WHEN j.outcome <> 'mismatched' THEN NULL
            WHEN (j.a).client_id <> (j.c).client_id THEN 'client'
            WHEN sqlc.narg('code_challenge')::text IS DISTINCT FROM (j.a).code_challenge THEN 'code_challenge'
            WHEN coalesce(sqlc.narg('redirect_uri')::text, CASE WHEN (j.a).code_challenge IS NOT NULL THEN (j.a).redirect_uri END)
                IS DISTINCT FROM (j.a).redirect_uri THEN 'redirect_uri'
            ELSE 'key'
        END AS why
    FROM judged AS j
    LEFT JOIN answer AS w ON true
)
SELECT (CASE
        WHEN t.outcome = 'redeemed' THEN 'redeemed' -- nothing to note
        ELSE noted(
            coalesce(t.outcome, CASE WHEN EXISTS (SELECT FROM presented) THEN 'unknown' ELSE 'unauthenticated' END::outcome)::outcome,
            'RedeemAuthorizationCode', of_user => t.user_id, of_client => @client_id::client_id, of_session => t.session_id,
            of_family => t.authorization_id, why => t.why, from_address => sqlc.narg('ip_address')::text
        )
    END)::outcome AS outcome,
    t.authorization_id, t.user_id, t.sub, t.session_id, t.reference_id, t.granted_scopes, t.resources, t.authorization_details, t.nonce,
    t.claims, t.auth_time, t.acr, t.amr, t.refresh_token_id, t.access_token_expires_at, t.refresh_token_expires_at,
    t.id_token_signed_response_alg
FROM (VALUES (true)) AS one (n)
LEFT JOIN told AS t ON true;

-- IssueGrant grants a client access to a user's resources without a request or a code, and issues the tokens (RFC 6749, section 4.5). It is
-- for extension grants, impersonation and administrators. The server has decided that the user may be acted for; this call decides what the
-- client may get.
-- grant_type is what the client has to be registered for. A server that grants of its own accord passes server.
-- default_scopes, default_resources and default_authorization_details_types are what a client may ask for that has nothing registered.
-- With session_id and without offline_access the grant lasts as long as the session.
-- act says who acts for the user, may_act who may (RFC 8693, sections 4.1 and 4.4). Both stay with the grant through every refresh.
-- confirmation is the key that the caller has proven to hold. It binds the access token and, if the client is public, the refresh token and
-- the family as well (RFC 9449, section 5).
-- id and access_token_id are made once for a request and kept for its retries.
-- Without refresh_token and refresh_token_id no refresh token is issued. A client that is registered for grant types without refresh_token
-- gets none either: the answer's refresh_token_id is NULL.
-- access_token_without_row is that of RedeemAuthorizationCode.
-- No token lives longer than family_lifetime from now. No access token of a bound family outlives the session.
-- sub is the subject by which the client knows the user.
--   - issued: the grant and its tokens are written
--   - retried: the same call had written them before; the answer is the same
--   - unknown: there is no such client or user (invalid_grant)
--   - disabled: the client is disabled (invalid_client)
--   - suspended: the user is suspended (invalid_grant)
--   - signed_out: the session is not a live session of the user (invalid_grant)
--   - unauthorized_client: the client is not registered for grant_type (unauthorized_client)
--   - mismatched: the client's tokens have to be bound, and there is no key (invalid_grant)
--   - invalid_scope: the client may not ask for the scopes (invalid_scope)
--   - invalid_target: the client may not ask for the resources (invalid_target)
--   - invalid_authorization_details: the client may not use one of the types, or an element has none (invalid_authorization_details)
--   - revoked: the same call had written the grant before, and it has been ended since (invalid_grant)
-- Only issued changes anything. The id of another grant, or of one of other scopes, resources or tokens, is an
-- error; so is the access_token_id or refresh_token_id of another token.
-- name: IssueGrant :one
WITH locked AS MATERIALIZED (
    SELECT lock_parents(@user_id::user_id, @client_id::client_id, sqlc.narg('session_id')::session_id) AS parents,
        sqlc.narg('session_id')::session_id AS session_id, sqlc.narg('refresh_token')::token_digest AS refresh_token,
        sqlc.narg('session_id')::session_id IS NOT NULL AND NOT 'offline_access' = ANY (coalesce(@scopes::text[], '{}')) AS bound
), asked AS MATERIALIZED (
    SELECT c.client_id, sector_of(c) AS sector, c.grants_epoch AS client_epoch, u.id AS user_id, u.grants_epoch AS user_epoch,
        pair_epoch(u.ended_grants, c.client_id, sqlc.narg('reference_id')::reference_id) AS pair_epoch,
        l.session_id, l.bound, sqlc.narg('reference_id')::reference_id AS reference_id,
        as_set(@scopes::text[]) AS scopes, nullif(as_set(@resources::text[]), '{}') AS resources,
        details_as_set(sqlc.narg('authorization_details')::jsonb) AS authorization_details, sqlc.narg('auth_time')::timestamptz AS auth_time,
        sqlc.narg('act')::jsonb AS act, sqlc.narg('refresh_token_id')::refresh_token_id AS refresh_token_id,
        (CASE WHEN uses_grant_type(c, 'refresh_token') THEN l.refresh_token END)::token_digest AS refresh_token,
        sqlc.narg('confirmation')::token_confirmation AS confirmation,
        CASE WHEN is_public(c) THEN sqlc.narg('confirmation')::token_confirmation END AS family_confirmation,
        CASE WHEN l.bound THEN s.expires_at END AS session_ends_at,
        expiry(now(), @access_token_lifetime::interval, c.access_token_lifetime, 'AccessTokenLifetime') AS access_token_ends_at,
        CASE WHEN l.refresh_token IS NOT NULL AND uses_grant_type(c, 'refresh_token')
            THEN expiry(now(), @refresh_token_lifetime::interval, c.refresh_token_lifetime, 'RefreshTokenLifetime')
        END AS refresh_token_ends_at,
        family_expiry(
            now(), @family_lifetime::interval, c.authorization_lifetime, l.refresh_token IS NOT NULL AND uses_grant_type(c, 'refresh_token')
        ) AS family_ends_at,
        (
            CASE
                WHEN c.disabled THEN 'disabled'
                ELSE coalesce(
                    granter_refusal(l.parents, u, l.session_id, s),
                    CASE
                        WHEN @grant_type::text <> 'server' AND NOT uses_grant_type(c, @grant_type::text) THEN 'unauthorized_client'
                        WHEN NOT binds_as_registered(c, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
                    END::outcome,
                    judge_asked(
                        c, @scopes::text[], @default_scopes::text[], @resources::text[], @default_resources::text[],
                        sqlc.narg('authorization_details')::jsonb, @default_authorization_details_types::text[]
                    ),
                    'issued'
                )
            END
        )::outcome AS outcome
    FROM locked AS l
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    JOIN "user" AS u ON u.id = @user_id::user_id
    LEFT JOIN session AS s ON s.id = l.session_id AND s.user_id = u.id
), new_family AS (
    -- the gate: of all calls with this id, one inserts the row
    INSERT INTO oauth_authorization (
        id, client_id, kind, status, scopes, granted_scopes, resources, authorization_details, user_id, session_id, reference_id, bound,
        user_epoch, client_epoch, pair_epoch, auth_time, acr, amr, decided_at, redeemed_at, redeemed_as, max_expires_at, confirmation,
        act, may_act, data, expires_at
    )
    SELECT @id::authorization_id, q.client_id, 'direct', 'approved', q.scopes, q.scopes, q.resources, q.authorization_details, q.user_id,
        q.session_id, q.reference_id, q.bound, q.user_epoch, q.client_epoch, q.pair_epoch, q.auth_time, sqlc.narg('acr')::text,
        sqlc.narg('amr')::text[], now(), now(), @access_token_id::access_token_id, q.family_ends_at, q.family_confirmation,
        q.act, sqlc.narg('may_act')::jsonb, sqlc.narg('data')::jsonb,
        CASE WHEN @access_token_without_row::boolean AND q.refresh_token IS NULL
            THEN expiry_without_row(least(q.access_token_ends_at, q.session_ends_at, q.family_ends_at), sqlc.narg('access_token')::token_digest)
        END
    FROM asked AS q
    WHERE q.outcome = 'issued'
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), judged AS MATERIALIZED (
    SELECT j.verdict, j.access_token_expires_at, j.refresh_token_expires_at
    FROM asked AS q
    CROSS JOIN judge_repeated_grant(
        @id::authorization_id, q.client_id, q.user_id, q.scopes, q.resources, q.authorization_details, @access_token_id::access_token_id,
        sqlc.narg('access_token')::token_digest, q.refresh_token_id, sqlc.narg('refresh_token')::token_digest
    ) AS j (verdict, access_token_expires_at, refresh_token_expires_at)
    WHERE q.outcome = 'issued' AND NOT EXISTS (SELECT FROM new_family)
), granted AS MATERIALIZED (
    SELECT @id::authorization_id AS id, j.verdict IS NULL AS is_new, q.client_id, q.user_id, give_subject(q.sector, q.user_id) AS sub,
        q.session_id, q.reference_id, q.scopes, q.resources, q.authorization_details, q.auth_time, q.act, q.refresh_token,
        (CASE WHEN q.refresh_token IS NOT NULL THEN q.refresh_token_id END)::refresh_token_id AS refresh_token_id, q.confirmation,
        q.family_confirmation,
        (CASE WHEN j.verdict IS NULL THEN least(q.access_token_ends_at, q.session_ends_at, q.family_ends_at)
            ELSE j.access_token_expires_at END)::timestamptz AS access_token_expires_at,
        (CASE
            WHEN j.verdict IS NOT NULL THEN j.refresh_token_expires_at
            WHEN q.refresh_token IS NOT NULL THEN least(q.refresh_token_ends_at, q.family_ends_at)
        END)::timestamptz AS refresh_token_expires_at
    FROM asked AS q
    LEFT JOIN judged AS j ON true
    WHERE q.outcome = 'issued' AND (j.verdict IS NULL OR j.verdict = 'retried')
), new_refresh_token AS (
    INSERT INTO oauth_refresh_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, auth_time, resources, authorization_details,
        confirmation, authorization_id, authorization_code_id, access_token_expires_at
    )
    SELECT g.refresh_token_id, g.refresh_token, g.client_id, g.session_id, g.user_id, g.reference_id, g.refresh_token_expires_at,
        g.scopes, g.auth_time, g.resources, g.authorization_details, g.family_confirmation, g.id, g.id,
        CASE WHEN @access_token_without_row::boolean THEN expiry_without_row(g.access_token_expires_at, sqlc.narg('access_token')::token_digest) END
    FROM granted AS g
    WHERE g.is_new AND g.refresh_token IS NOT NULL
), new_access_token AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
        confirmation, act, authorization_id, authorization_code_id
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, g.client_id, g.session_id, g.user_id, g.reference_id,
        g.refresh_token_id, g.access_token_expires_at, g.scopes, g.resources, g.authorization_details, g.confirmation, g.act, g.id, g.id
    FROM granted AS g
    WHERE g.is_new AND NOT @access_token_without_row::boolean
), new_session_client AS (
    INSERT INTO session_client (session_id, client_id, user_id, sub, sid)
    SELECT g.session_id, g.client_id, g.user_id, g.sub, g.session_id
    FROM granted AS g
    WHERE g.session_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.session_id = g.session_id AND k.client_id = g.client_id)
    ON CONFLICT (session_id, client_id) DO NOTHING
)
SELECT noted(
        coalesce(j.verdict, q.outcome, 'unknown')::outcome, 'IssueGrant', of_user => @user_id::user_id, of_client => @client_id::client_id,
        of_session => sqlc.narg('session_id')::session_id, of_family => @id::authorization_id
    )::outcome AS outcome,
    g.sub, g.refresh_token_id, g.access_token_expires_at, g.refresh_token_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN asked AS q ON true
LEFT JOIN judged AS j ON true
LEFT JOIN granted AS g ON true;

-- RevokeAuthorization ends one authorization and every token of its family.
--   - ended: the family is dead
--   - revoked: the authorization had been ended before, or has lapsed and is being deleted
--   - unknown: there is no such authorization
-- name: RevokeAuthorization :one
WITH ended AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'authorization_revoked', updated_at = now()
    WHERE a.id = @id::authorization_id AND a.revoked_at IS NULL
    RETURNING a.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM ended) THEN 'ended' WHEN a.id IS NOT NULL THEN settled('revoked') ELSE 'unknown' END)::outcome,
        'RevokeAuthorization', of_user => a.user_id, of_client => a.client_id, of_session => a.session_id, of_family => a.id
    )::outcome AS outcome,
    a.client_id, a.user_id, a.session_id, a.reference_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN oauth_authorization AS a ON a.id = @id::authorization_id;

-- RevokeUserAuthorizations ends everything that a user has granted, to all clients. It also ends what a concurrent statement grants that
-- read before this one committed.
--   - ended: the user's grants are dead
--   - unknown: there is no such user
-- name: RevokeUserAuthorizations :one
WITH ended AS (
    UPDATE "user" AS u
    SET grants_epoch = u.grants_epoch + 1, ended_grants = '{}', updated_at = now()
    WHERE u.id = @user_id::user_id AND u.deleted_at IS NULL
    RETURNING u.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM ended) THEN 'ended' ELSE 'unknown' END)::outcome, 'RevokeUserAuthorizations', of_user => @user_id::user_id
    )::outcome AS outcome;

-- RevokeUserAuthorizationsByClient ends everything that a user has granted to one client, in all tenants.
--   - ended: the user's grants to the client are dead
--   - unknown: there is no such user
-- name: RevokeUserAuthorizationsByClient :one
WITH ended AS (
    UPDATE "user" AS u
    SET ended_grants = end_pair(u.ended_grants, @client_id::client_id, ''),
        grants_epoch = u.grants_epoch + (end_pair(u.ended_grants, @client_id::client_id, '') = '{}')::integer,
        updated_at = now()
    WHERE u.id = @user_id::user_id AND u.deleted_at IS NULL
    RETURNING u.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM ended) THEN 'ended' ELSE 'unknown' END)::outcome, 'RevokeUserAuthorizationsByClient',
        of_user => @user_id::user_id, of_client => @client_id::client_id
    )::outcome AS outcome;

-- RevokeClientAuthorizations ends everything that was granted to a client, and the tokens that it holds for itself (client credentials).
--   - ended: the grants and tokens are dead
--   - unknown: there is no such client
-- name: RevokeClientAuthorizations :one
WITH ended AS (
    UPDATE oauth_client AS c
    SET grants_epoch = c.grants_epoch + 1, updated_at = now()
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    RETURNING c.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM ended) THEN 'ended' ELSE 'unknown' END)::outcome, 'RevokeClientAuthorizations',
        of_client => @client_id::client_id
    )::outcome AS outcome;

-- MarkDeadAuthorizations sets revoked_at of families that are over: an ending has reached them through a counter, or they were redeemed and
-- have no token left. It leaves a family whose client is only disabled, because that can be undone. It looks at page_size families in the
-- order of their ids, those after after_id; begin with the empty id and go on with last_id, which is NULL when no family is left. It skips
-- rows that are locked.
-- name: MarkDeadAuthorizations :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid
    FROM oauth_authorization AS p
    WHERE p.id > @after_id::authorization_id
    ORDER BY p.id
    LIMIT @page_size::integer
), over AS MATERIALIZED (
    SELECT a.id,
        (CASE
            WHEN a.bound AND NOT session_is_live(s, u) THEN 'session_ended'
            WHEN is_ended(a, c, u, s) THEN 'grants_ended'
            ELSE 'expired'
        END)::revocation_reason AS reason
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE a.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
      AND a.revoked_at IS NULL
      AND a.status = 'approved'
      AND (
        is_ended(a, c, u, s)
        OR (
            a.expires_at IS NULL
            AND NOT EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.authorization_id = a.id)
            AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.authorization_id = a.id)
        )
      )
    FOR NO KEY UPDATE OF a SKIP LOCKED
), marked AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = o.reason, updated_at = now()
    FROM over AS o
    WHERE a.id = o.id
    RETURNING a.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM marked)::bigint AS marked, p.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS p ON true;

-- DeleteExpiredAuthorizations deletes requests and codes that lapsed more than retention ago and have no token: of those that did at
-- after_expires_at or later, the batch_size first. They are kept that long because a replay is recognised by them. One whose client may still
-- poll is left until DeleteExpiredPolledRequests has deleted its code. Begin with the zero time, and go on with last_expires_at until fewer
-- are deleted. It skips rows that are locked.
-- name: DeleteExpiredAuthorizations :one
WITH due AS MATERIALIZED (
    SELECT a.ctid::tid AS ctid, a.expires_at
    FROM oauth_authorization AS a
    WHERE a.expires_at >= @after_expires_at::timestamptz AND a.expires_at <= now() - @retention::interval AND a.expires_at <= now()
      AND NOT EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.authorization_id = a.id)
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.authorization_id = a.id)
      AND NOT EXISTS (SELECT FROM oauth_polled_request AS p WHERE p.id = a.id)
    ORDER BY a.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF a SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_authorization AS a
    WHERE a.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING a.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

-- DeleteEndedAuthorizations deletes what is left of families that ended more than retention ago. It looks at the batch_size first of those
-- that did at after_revoked_at or later. One call deletes up to batch_size access tokens, up to batch_size refresh tokens that no access token
-- refers to, and the families that have no token and whose client doesn't poll, so nothing cascades. Begin with the zero time, and go on with
-- last_revoked_at, which is that of the first family that stays, until all three counts are 0. It skips rows that are locked.
-- name: DeleteEndedAuthorizations :one
WITH ended AS MATERIALIZED (
    SELECT a.id, a.revoked_at
    FROM oauth_authorization AS a
    WHERE a.revoked_at >= @after_revoked_at::timestamptz AND a.revoked_at <= now() - @retention::interval
    ORDER BY a.revoked_at
    LIMIT @batch_size::integer
), access_tokens AS MATERIALIZED (
    SELECT t.ctid::tid AS ctid
    FROM ended AS e
    JOIN oauth_access_token AS t ON t.authorization_id = e.id
    LIMIT @batch_size::integer
    FOR UPDATE OF t SKIP LOCKED
), refresh_tokens AS MATERIALIZED (
    SELECT r.ctid::tid AS ctid
    FROM ended AS e
    JOIN oauth_refresh_token AS r ON r.authorization_id = e.id
    WHERE NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.refresh_id = r.id)
    LIMIT @batch_size::integer
    FOR UPDATE OF r SKIP LOCKED
), families AS MATERIALIZED (
    SELECT a.id, a.ctid::tid AS ctid
    FROM ended AS e
    JOIN oauth_authorization AS a ON a.id = e.id
    WHERE NOT EXISTS (SELECT FROM oauth_refresh_token AS r WHERE r.authorization_id = a.id)
      AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.authorization_id = a.id)
      AND NOT EXISTS (SELECT FROM oauth_polled_request AS p WHERE p.id = a.id)
    FOR UPDATE OF a SKIP LOCKED
), deleted_access_tokens AS (
    DELETE FROM oauth_access_token AS t
    WHERE t.ctid = ANY (ARRAY(SELECT d.ctid FROM access_tokens AS d))
    RETURNING t.id
), deleted_refresh_tokens AS (
    DELETE FROM oauth_refresh_token AS r
    WHERE r.ctid = ANY (ARRAY(SELECT d.ctid FROM refresh_tokens AS d))
    RETURNING r.id
), deleted_families AS (
    DELETE FROM oauth_authorization AS a
    WHERE a.ctid = ANY (ARRAY(SELECT d.ctid FROM families AS d))
    RETURNING a.id
), last AS ( -- the first that stays, or else the last that goes
    SELECT e.revoked_at
    FROM ended AS e
    LEFT JOIN families AS f ON f.id = e.id
    ORDER BY CASE WHEN f.id IS NULL THEN e.revoked_at END, e.revoked_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted_access_tokens)::bigint AS access_tokens,
    (SELECT count(*) FROM deleted_refresh_tokens)::bigint AS refresh_tokens,
    (SELECT count(*) FROM deleted_families)::bigint AS authorizations,
    l.revoked_at AS last_revoked_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;
